"""`python -m gridstudy run` and `python -m gridstudy analyse`: the two scripts, from any folder."""

from __future__ import annotations

import sys

from gridstudy.cli.command_line import refuse

COMMANDS = ("run", "analyse")


def main(argv: list[str]) -> int:
    """Hand the rest of the command line to one of the two; return its exit code."""
    if not argv or argv[0] not in COMMANDS:
        return refuse(f"the first word is one of {' or '.join(COMMANDS)}; got {argv[0] if argv else 'nothing'}")
    command = f"python -m gridstudy {argv[0]}"
    if argv[0] == "run":
        from gridstudy.cli.run import main as run

        return run(argv[1:], command=command)
    from gridstudy.cli.analyse import main as analyse

    return analyse(argv[1:], command=command)


if __name__ == "__main__":
    from gridstudy.cli.command_line import end

    end(main(sys.argv[1:]))
