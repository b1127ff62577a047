"""Where jobs run: in this process or in local processes, behind one interface.

A launcher turns jobs into events. It knows nothing of trials: it calls one picklable function per job.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess
from typing import Any, Protocol

GRACE_S = 5.0
"""Seconds that running jobs get to finish when the study is interrupted."""


@dataclass(frozen=True)
class Started:
    """A job has begun."""

    job: Any


@dataclass(frozen=True)
class Finished:
    """A job has returned `value`."""

    job: Any
    value: Any


@dataclass(frozen=True)
class Crashed:
    """A job has raised, or its process has died; `reason` holds the traceback or the signal."""

    job: Any
    reason: str


Event = Started | Finished | Crashed


class Launcher(Protocol):
    """Runs jobs somewhere. Closing the iterator early stops what still runs."""

    def run(self, function: Callable[[Any], Any], jobs: Iterable[Any]) -> Iterator[Event]:
        """Call `function` once per job, in the order given as far as workers allow, and tell what happens."""
        ...


class InProcessLauncher:
    """Runs one job after another in the calling process."""

    def run(self, function: Callable[[Any], Any], jobs: Iterable[Any]) -> Iterator[Event]:
        for job in jobs:
            yield Started(job)
            yield _call(function, job)


def _call(function: Callable[[Any], Any], job: Any) -> Finished | Crashed:
    try:
        return Finished(job, function(job))
    except Exception:
        return Crashed(job, traceback.format_exc())


class LocalLauncher:
    """Runs jobs in `n_workers` processes of this machine; a worker whose job raised, or that died, is replaced.

    `preload` names modules that a server process imports once, to fork workers from, where the system has such a
    server; elsewhere each worker imports what it needs. `setup` is called first in every worker.
    """

    def __init__(
        self,
        n_workers: int,
        *,
        preload: Iterable[str] = (),
        setup: Callable[[], None] | None = None,
        start_method: str | None = None,
    ) -> None:
        method = start_method or ("forkserver" if sys.platform.startswith("linux") else "spawn")
        self._context: BaseContext = multiprocessing.get_context(method)
        self._context.set_forkserver_preload(list(preload))
        self.n_workers = n_workers
        self._setup = setup

    def warm_up(self) -> None:
        """Begin to import the preloaded modules in the background."""
        if self._context.get_start_method() == "forkserver":
            from multiprocessing import forkserver

            with _interruptions_held():
                forkserver.ensure_running()

    def run(self, function: Callable[[Any], Any], jobs: Iterable[Any]) -> Iterator[Event]:
        """As the protocol says; after GRACE_S, or a second interruption, running jobs are killed."""
        waiting = deque(jobs)
        workers = [self._start(function) for _ in range(min(self.n_workers, len(waiting)))]
        try:
            for worker in workers:
                yield worker.assign(waiting.popleft())
            while any(worker.job is not None for worker in workers):
                for number in _ready(workers):
                    event = workers[number].collect()
                    if isinstance(event, Crashed):  # alive or not: what a failure spoils, as a GPU's state, it keeps
                        workers[number].end()
                        workers[number] = self._start(function)
                    yield event
                    if waiting:
                        yield workers[number].assign(waiting.popleft())
        finally:
            _stop(workers)

    def _start(self, function: Callable[[Any], Any]) -> _Worker:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=_work, args=(theirs, function, self._setup), daemon=True)  # type: ignore[attr-defined]
        with _interruptions_held():
            process.start()
        theirs.close()
        return _Worker(process, ours)


@contextmanager
def _interruptions_held() -> Iterator[None]:
    """Let Ctrl-C wait, and let processes that are started inside never see it, not even while they import."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    resource_tracker.ensure_running()  # when it starts, it lets interruptions through again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@dataclass
class _Worker:
    """A worker process, our end of its pipe, and the job that it has."""

    process: BaseProcess
    connection: Connection
    job: Any = None

    def assign(self, job: Any) -> Started:
        self.job = job
        with suppress(OSError):  # it has died idle; collect() will say so
            self.connection.send(job)
        return Started(job)

    def collect(self) -> Finished | Crashed:
        """Wait for the end of the job."""
        job, self.job = self.job, None
        try:
            value, reason = self.connection.recv()
        except (EOFError, OSError):
            self.process.join()
            return Crashed(job, _describe_exit(self.process.exitcode))
        return Finished(job, value) if reason is None else Crashed(job, reason)

    def end(self) -> None:
        """End the process, which has no job."""
        self.connection.close()
        self.process.kill()
        self.process.join()


def _ready(workers: list[_Worker]) -> list[int]:
    """Wait until a job has ended; the numbers of the workers that had one."""
    busy = {worker.connection: number for number, worker in enumerate(workers) if worker.job is not None}
    return [busy[connection] for connection in wait(list(busy))]  # type: ignore[index]


def _describe_exit(exitcode: int | None) -> str:
    if exitcode is not None and exitcode < 0:
        name = signal.Signals(-exitcode).name if -exitcode in set(signal.Signals) else f"signal {-exitcode}"
        return f"the worker process was killed by {name}"
    return f"the worker process ended with exit code {exitcode}"


def _stop(workers: list[_Worker]) -> None:
    """End all workers: idle ones at once, busy ones after a moment of grace."""
    deadline_s = time.monotonic() + GRACE_S
    try:
        for worker in workers:
            if worker.job is None:
                worker.connection.close()
        for worker in workers:
            if worker.job is not None and worker.connection.poll(max(0.0, deadline_s - time.monotonic())):
                worker.connection.close()
    finally:
        for worker in workers:
            worker.connection.close()
            if worker.job is not None:
                worker.process.kill()
            worker.process.join()


def _work(connection: Connection, function: Callable[[Any], Any], setup: Callable[[], None] | None) -> None:
    """A worker's life: jobs come in, (value, None) or (None, traceback) go out, until the other end closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole process group; the runner decides
    jobs: deque[Any] = deque()
    arrived = threading.Semaphore(0)
    threading.Thread(target=_receive, args=(connection, jobs, arrived), daemon=True).start()
    if setup is not None:
        setup()
    while True:
        arrived.acquire()
        event = _call(function, jobs.popleft())
        connection.send((event.value, None) if isinstance(event, Finished) else (None, event.reason))


def _receive(connection: Connection, jobs: deque[Any], arrived: threading.Semaphore) -> None:
    """Take jobs in; when the runner has gone, even killed in the middle of a job, end the process with it."""
    while True:
        try:
            jobs.append(connection.recv())
        except (EOFError, OSError):
            os._exit(1)
        arrived.release()
