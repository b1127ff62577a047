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
from functools import partial
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
        connections = [stack.enter_context(_fork(partial(_work, do, items, reader))) for _ in range(n_forks)]
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
def done_ahead(prepare: Callable[[], None], do: Callable[[T], R]) -> Iterator[Callable[[T], Callable[[], R]]]:
    """A function that has `do` begun for an item and returns one that waits for its result.

    A fork calls `prepare` at once, so that what it imports costs this process nothing. It ends with the context. Where
    there is none, or it fails, `do` is called here, as late as the result is asked for.
    """
    if not can_fork():
        yield lambda item: partial(do, item)
        return
    with _fork(partial(_serve, prepare, do), may_fork=True) as connection:

        def begin(item: T) -> Callable[[], R]:
            with suppress(OSError):
                connection.send(item)
            return partial(finish, item)

        def finish(item: T) -> R:
            try:
                result: R = connection.recv()
            except (EOFError, OSError):
                result = do(item)
            return result

        yield begin


def _serve(prepare: Callable[[], None], do: Callable[[T], R], connection: Connection) -> None:
    prepare()
    connection.send(do(connection.recv()))


@contextmanager
def _fork(work: Callable[[Connection], None], *, may_fork: bool = False) -> Iterator[Connection]:
    """A connection to a fork that does `work` with the other end, and closes it where that fails."""
    if sys.platform == "win32":  # `can_fork` has said no; for the type checker
        raise NotImplementedError
    context = multiprocessing.get_context("fork")
    here, there = context.Pipe()
    process = context.Process(target=_begin, args=(work, here, there), daemon=not may_fork)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # while it forks, Python would swallow a Ctrl-C
    try:
        with warnings.catch_warnings():
            # Python 3.12 counts the threads of the BLAS library, which gets ready for forks by itself
            warnings.filterwarnings("ignore", category=DeprecationWarning)
            process.start()
        there.close()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        yield here
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        here.close()
        if process.pid is not None:
            process.kill()
            process.join()


def _begin(work: Callable[[Connection], None], here: Connection, there: Connection) -> None:
    if sys.platform == "win32":
        raise NotImplementedError
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # at Ctrl-C end at once: the other process says so
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    here.close()
    with suppress(Exception):  # the other process meets it again, and raises it
        work(there)


def _work(do: Callable[[T], R], items: Sequence[T], reader: int, connection: Connection) -> None:
    results = {}
    with suppress(Exception):
        for number in _take(reader):
            results[number] = do(items[number])
    connection.send(results)
