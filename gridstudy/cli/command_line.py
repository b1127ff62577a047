"""What both scripts share: mistakes told in one line, paths, and streams that whoever started us may have closed."""

from __future__ import annotations

import argparse
import os
import sys
from io import TextIOWrapper
from pathlib import Path
from typing import NoReturn

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


def to_path(text: str) -> Path:
    """A path that was given; the empty one, which would be the current folder, is a mistake."""
    if not text:
        raise argparse.ArgumentTypeError("a path must not be empty")
    return Path(text)


def prepare_streams() -> None:
    """Let a stream that is closed, or a terminal that lacks a letter, end nothing."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115, PTH123 - until the end
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")


def drop_output() -> None:
    """Print nowhere from now on: whoever read the output has had enough of it, as head has."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
