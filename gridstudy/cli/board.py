"""`python -m gridstudy board`: TensorBoard on the logs of a study, for this machine only."""

from __future__ import annotations

import argparse
import os
import sys
import threading
import webbrowser
from collections.abc import Sequence
from contextlib import redirect_stderr, suppress
from io import StringIO
from pathlib import Path

from gridstudy.cli.command_line import Parser, answer, to_path
from gridstudy.running.interruption import exit_code_of, sigterm_interrupts

HOST = "127.0.0.1"
COMPLETE = 0
WAKE_S = 0.2
"""How often the main thread wakes; on Windows, Ctrl-C does not reach a thread that waits without end."""

DESCRIPTION = "Show the logs of a study in TensorBoard, which answers to this machine only."
EPILOG = """\
prints the address once TensorBoard answers, and opens it in the browser; Ctrl-C ends it

examples:
  {command}
  {command} --logdir logs_digits --port 6006 --no-open

exit code: 0 standard input has closed, 2 bad usage, 130 interrupted, 143 terminated
"""


def build_parser(command: str = "python -m gridstudy board") -> argparse.ArgumentParser:
    """The command line, without any import that takes time."""
    parser = Parser(
        prog=command, description=DESCRIPTION, epilog=EPILOG.format(command=command), allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    add = parser.add_argument
    add("--logdir", type=to_path, default=Path("modellogs"), metavar="DIR",
        help="where the logs are (default: modellogs)")  # fmt: skip
    add("--port", metavar="N", help="the port, from 1 to 65535 (default: the first free one from 6006)")
    add("--no-open", action="store_true", help="open no browser")
    add("--until-stdin-closes", action="store_true",
        help="end when standard input does, so that it never outlives the program that started it")  # fmt: skip
    return parser


def main(argv: Sequence[str] | None = None, *, command: str = "python -m gridstudy board") -> int:
    """Run the command line; return its exit code."""
    try:
        with sigterm_interrupts():
            return answer(build_parser(command), argv, _serve, advice="fix it and rerun the same command")
    except KeyboardInterrupt as interruption:
        return exit_code_of(interruption)


def _serve(arguments: argparse.Namespace) -> int:
    """Start TensorBoard, say where it is, and wait for the end."""
    from gridstudy.running.planning import check_logdir

    port = parse_port(arguments.port)
    check_logdir(arguments.logdir)
    ended = threading.Event()
    if arguments.until_stdin_closes:
        threading.Thread(target=_watch_stdin, args=[ended], daemon=True).start()
    if not arguments.logdir.is_dir():
        print(f"{arguments.logdir} holds no logs yet; they appear as trials run", file=sys.stderr)
    address = start_tensorboard(arguments.logdir, port)
    print(address, flush=True)
    if not arguments.no_open:
        threading.Thread(target=_open_browser, args=[address], daemon=True).start()  # some browsers return at their end
    while not ended.wait(WAKE_S):
        pass
    return COMPLETE


def parse_port(text: str | None) -> int | None:
    """A port from 1 to 65535, None where none was given; StudyError on anything else."""
    from gridstudy.core.errors import StudyError

    if text is None:
        return None
    if not (text.isascii() and text.isdecimal() and 1 <= int(text) <= 65535):
        raise StudyError(f"--port takes a whole number from 1 to 65535; got {text!r}")
    return int(text)


def start_tensorboard(logdir: Path, port: int | None) -> str:
    """Serve `logdir` from a thread of this process, so that TensorBoard ends with it; return the address.

    TensorBoard's reader of event files, where it has one, is a process that ends when this one does.
    Raises StudyError where the port cannot be had.
    """
    from gridstudy.core.errors import StudyError

    with redirect_stderr(StringIO()):  # notes on TensorFlow and on fast loading, which a user need not read
        from tensorboard import default, program

        # plugins of other packages are left out: torch's profiler starts a process that outlives a killed board
        server = program.TensorBoard(default.get_static_plugins())
        server.configure(("tensorboard",), logdir=str(logdir.resolve()), host=HOST, port=port)
        try:
            return str(server.launch())
        except (program.TensorBoardServerException, OSError) as error:
            if port is None:
                raise StudyError(f"no free port was found ({error}); give one with --port") from None
            raise StudyError(f"port {port} cannot be used ({error}); give another --port") from None


def _watch_stdin(ended: threading.Event) -> None:
    with suppress(OSError):
        while sys.stdin is not None and os.read(0, 4096):  # a thread must not hold sys.stdin's own lock at the end
            pass
    ended.set()


def _open_browser(address: str) -> None:
    """Open the address; a browser that draws in the terminal would take it over, so that one is left alone."""
    has_screen = sys.platform in ("win32", "darwin") or {"DISPLAY", "WAYLAND_DISPLAY", "BROWSER"} & set(os.environ)
    if not (has_screen and webbrowser.open(address)):
        print("no browser could be opened; open the address yourself", file=sys.stderr)
