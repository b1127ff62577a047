"""`python -m gridstudy run`, `analyse` and `board`: the two scripts and TensorBoard, from any folder."""

from __future__ import annotations

import sys

from gridstudy.cli.command_line import refuse

COMMANDS = ("run", "analyse", "board")


def main(argv: list[str]) -> int:
    """Hand the rest of the command line to one of the commands; return its exit code."""
    if not argv or argv[0] not in COMMANDS:
        return refuse(f"the first word is one of {', '.join(COMMANDS)}; got {argv[0] if argv else 'nothing'}")
    command = f"python -m gridstudy {argv[0]}"
    if argv[0] == "run":
        from gridstudy.cli.run import main as chosen
    elif argv[0] == "analyse":
        from gridstudy.cli.analyse import main as chosen
    else:
        from gridstudy.cli.board import main as chosen
    return chosen(argv[1:], command=command)


if __name__ == "__main__":
    from gridstudy.cli.command_line import end

    end(main(sys.argv[1:]))
