"""SIGTERM ends a run as Ctrl-C does."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

INTERRUPTED, TERMINATED = 130, 143
"""Exit codes after Ctrl-C and after SIGTERM: 128 and the number of the signal, as shells have it."""


class Terminated(KeyboardInterrupt):
    """SIGTERM has asked this process to end."""


@contextmanager
def sigterm_interrupts() -> Iterator[None]:
    """Raise Terminated in the main thread when SIGTERM arrives, as KeyboardInterrupt is raised on Ctrl-C.

    Process 1 of a container gets only the signals that it handles, so this also makes `docker stop` reach it.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, _raise_terminated)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _raise_terminated(number: int, frame: FrameType | None) -> None:
    raise Terminated


def exit_code_of(interruption: KeyboardInterrupt) -> int:
    """The exit code of a program that an interruption has ended."""
    return TERMINATED if isinstance(interruption, Terminated) else INTERRUPTED
