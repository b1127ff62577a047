"""Independent work shared with forked processes, which inherit everything and so need no imports of their own."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from multiprocessing.connection import Connection
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

N_BYTES = 2
"""Bytes of an item's number; all numbers together fit into a pipe."""
MOST_ITEMS = 32_000


def can_fork() -> bool:
    """Whether a fork of this process is safe: on Linux, where no other thread of Python may hold a lock."""
    return sys.platform == "linux" and threading.active_count() == 1


def map_forked(do: Callable[[T], R], items: Sequence[T], *, n_processes: int) -> list[R]:
    """`do` of each item, in their order, by this process and up to `n_processes` - 1 forks of it.

    Results are pickled. Whatever a fork did not finish is done here, so that an error is raised as without forks. No
    fork outlives the call.
    """
    n_forks = min(n_processes, len(items)) - 1
    if n_forks < 1 or len(items) > MOST_ITEMS or not can_fork():
        return [do(item) for item in items]
    reader, writer = os.pipe()
    with ExitStack() as stack:
        stack.callback(os.close, reader)
        os.write(writer, b"".join(number.to_bytes(N_BYTES, "little") for number in range(len(items))))
        os.close(writer)
        connections = [stack.enter_context(_fork(do, items, reader)) for _ in range(n_forks)]
        results = {number: do(items[number]) for number in _take(reader)}
        for connection in connections:
            with suppress(EOFError, OSError):
                results.update(connection.recv())
        return [results[number] if number in results else do(item) for number, item in enumerate(items)]


def _take(reader: int) -> Iterator[int]:
    """The numbers of the items that no other process has taken."""
    while number := os.read(reader, N_BYTES):
        yield int.from_bytes(number, "little")


@contextmanager
def _fork(do: Callable[[T], R], items: Sequence[T], reader: int) -> Iterator[Connection]:
    """A connection to a fork that sends the results of the items that it took, or closes it."""
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(do, items, reader, sender), daemon=True)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # while it forks, Python would swallow a Ctrl-C
    try:
        with warnings.catch_warnings():
            # Python 3.12 counts the threads of the BLAS library, which gets ready for forks by itself
            warnings.filterwarnings("ignore", category=DeprecationWarning)
            process.start()
        sender.close()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        yield receiver
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        receiver.close()
        if process.pid is not None:
            process.kill()
            process.join()


def _work(do: Callable[[T], R], items: Sequence[T], reader: int, sender: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # at Ctrl-C end at once: the other process says so
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    results = {}
    with suppress(Exception):  # the other process meets it again, and raises it
        for number in _take(reader):
            results[number] = do(items[number])
    sender.send(results)
