"""What both scripts share: mistakes told in one line, paths, and streams that whoever started us may have closed."""

from __future__ import annotations

import argparse
import gc
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from io import TextIOWrapper
from pathlib import Path
from typing import Any, NoReturn, TextIO

BAD_USAGE = 2


class Parser(argparse.ArgumentParser):
    """Tells a mistake in one line, where argparse would put the usage before it."""

    def error(self, message: str) -> NoReturn:
        self.exit(BAD_USAGE, f"error: {one_line(message)}; --help shows what works\n")


def one_line(message: str) -> str:
    """A message fit for one line of a terminal, whatever the names in it hold."""
    return "".join(c if c.isprintable() else " " for c in message)


def refuse(message: str) -> int:
    """Say in one line on stderr what stands against a command; its exit code."""
    print(f"error: {one_line(message)}", file=sys.stderr)
    return BAD_USAGE


def answer(
    parser: argparse.ArgumentParser,
    argv: Sequence[str] | None,
    run: Callable[[argparse.Namespace], int],
    *,
    advice: str,
) -> int:
    """Do what a command line says, and report in one line what stands against it; return the exit code.

    `advice` says what to do where the system refuses something.
    """
    prepare_streams()
    try:
        arguments = parser.parse_args(argv)
    except SystemExit as end:
        return 0 if end.code == 0 else BAD_USAGE
    from gridstudy.core.errors import StudyError

    try:
        return run(arguments)
    except StudyError as error:
        return refuse(str(error))
    except ModuleNotFoundError as error:
        return refuse(explain_missing_package(error))
    except OSError as error:  # no permission, no room, no more processes
        return refuse(f"system error: {error}; {advice}")


def to_path(text: str) -> Path:
    """A path that was given, its `~` expanded; the empty one, which would be the current folder, is a mistake."""
    from gridstudy.core.errors import StudyError
    from gridstudy.core.files import expand_path

    if not text:
        raise argparse.ArgumentTypeError("a path must not be empty")
    try:
        return expand_path(text, what="a path")
    except StudyError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


class ForgivingStream:
    """A stream whose faults end nothing: what cannot be written is dropped, as on a full disk."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write what can be written."""
        with suppress(OSError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Flush what can be flushed."""
        with suppress(OSError):
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def prepare_streams() -> None:
    """Let a stream that is closed, or a terminal that lacks a letter, end nothing; progress may be lost on the way."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115, PTH123 - until the end
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")
    if isinstance(sys.stderr, TextIOWrapper):
        sys.stderr = ForgivingStream(sys.stderr)


@contextmanager
def collecting_seldom() -> Iterator[None]:
    """Look for garbage in cycles 150 times less often: most objects of an analysis live until its end.

    By default Python looks all of them through again and again, for a tenth of the analysis' time.
    """
    thresholds = gc.get_threshold()
    gc.set_threshold(100_000, *thresholds[1:])
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)


def drop_output() -> None:
    """Print nowhere from now on: whoever read the output has had enough of it, as head has."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def end(exit_code: int) -> NoReturn:
    """End the process; a second Ctrl-C finds nothing left to interrupt."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.exit(exit_code)


def explain_missing_package(error: ModuleNotFoundError) -> str:
    """Name the package that is not installed, and the command that installs it; a module of ours is no package."""
    name = (error.name or str(error)).partition(".")[0]
    if name == __package__.partition(".")[0]:
        raise error
    return (
        f"the Python package {name!r} is not installed for {sys.executable}; "
        "install all that is needed with: python -m pip install -r requirements.txt"
    )
