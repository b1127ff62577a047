"""Where jobs run: in this process or in local processes, behind one interface.

A launcher turns jobs into events. It knows nothing of trials: it calls one picklable function per job.
"""

from __future__ import annotations

import math
import multiprocessing
import os
import signal
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import wait
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess
from typing import Any, Protocol

if sys.platform == "win32":
    from multiprocessing.connection import PipeConnection as Connection
else:
    from multiprocessing.connection import Connection

from gridstudy.core.errors import StudyError
from gridstudy.running.cores import Cores, allowed_cores, use_cores
from gridstudy.running.worker_start import (
    PRELOADER,
    compare_modules,
    loaded_modules,
    restore_environment,
    safe_start,
)

GRACE_S = 5.0
"""Seconds that running jobs get to finish when the study is interrupted."""

POLL_S = 0.5
"""How often jobs that may time out are looked at, in seconds."""

LONGEST_LOOK_S = 5.0
"""Two looks further apart count as this: all was stopped meanwhile (Ctrl-Z), the jobs too."""

N_STARTS = 3
RESTART_PAUSE_S = 0.1


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

Timeout = Callable[[Any], float]
"""Job -> the seconds from its own start after which it counts as hung; asked again while the job runs."""

IsOver = Callable[[], bool]
"""Whether the time is up, so that no further job may start; those that run still finish."""


def never() -> bool:
    """The time is never up."""
    return False


class Launcher(Protocol):
    """Runs jobs somewhere. Closing the iterator early stops what still runs."""

    def run(
        self,
        function: Callable[[Any], Any],
        jobs: Iterable[Any],
        *,
        timeout_s: Timeout | None = None,
        is_over: IsOver = never,
    ) -> Iterator[Event]:
        """Call `function` once per job, in the order given as far as workers allow, and tell what happens.

        A job that takes longer than `timeout_s` has crashed; none starts once `is_over` says so. Raises StudyError
        where no worker can be had.
        """
        ...


class InProcessLauncher:
    """Runs one job after another in the calling process, for as long as each takes: nothing could end it there."""

    def run(
        self,
        function: Callable[[Any], Any],
        jobs: Iterable[Any],
        *,
        timeout_s: Timeout | None = None,
        is_over: IsOver = never,
    ) -> Iterator[Event]:
        for job in jobs:
            if is_over():
                return
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
        self._context.set_forkserver_preload([PRELOADER])
        self._preload = tuple(preload)
        self._cores = allowed_cores()  # before torch is imported, which may bind this process to one of them
        self.n_workers = n_workers
        self._setup = setup

    def warm_up(self) -> None:
        """Begin to import the preloaded modules in the background."""
        if self._context.get_start_method() == "forkserver":
            from multiprocessing import forkserver

            with _few_resources(), safe_start(self._preload):
                forkserver.ensure_running()

    def run(
        self,
        function: Callable[[Any], Any],
        jobs: Iterable[Any],
        *,
        timeout_s: Timeout | None = None,
        is_over: IsOver = never,
    ) -> Iterator[Event]:
        """As the protocol says; after GRACE_S, or a second interruption, running jobs are killed."""
        waiting = deque(jobs)
        workers: list[_Worker] = []
        try:
            for _ in range(min(self.n_workers, len(waiting))):
                workers.append(self._start(function))
            for worker in workers:
                if not is_over():
                    yield worker.assign(waiting.popleft())
            while any(worker.job is not None for worker in workers):
                for number in _ready(workers, None if timeout_s is None else POLL_S):
                    event = workers[number].collect(timeout_s)
                    if event is None:
                        continue
                    if isinstance(event, Crashed):  # alive or not: what a failure spoils, as a GPU's state, it keeps
                        workers[number].end()
                        workers[number] = self._start(function)
                    yield event
                    if waiting and not is_over():
                        yield workers[number].assign(waiting.popleft())
        finally:
            _stop(workers)

    def _start(self, function: Callable[[Any], Any]) -> _Worker:
        for _ in range(N_STARTS):
            with suppress(EOFError, ConnectionError), _few_resources(), safe_start(self._preload):
                return self._start_once(function)
            time.sleep(RESTART_PAUSE_S)  # the fork server has died; the next start begins another
        raise StudyError(
            "cannot start worker processes: the process that starts them ends at once; "
            "check the limits on memory and processes (ulimit -a), then rerun the same command"
        )

    def _start_once(self, function: Callable[[Any], Any]) -> _Worker:
        ours, theirs = self._context.Pipe()
        start = _WorkerStart(self._setup, self._cores, loaded_modules())
        process = self._context.Process(target=_work, args=(theirs, function, start), daemon=True)  # type: ignore[attr-defined]
        try:
            process.start()
        finally:
            theirs.close()
        return _Worker(process, ours)


@contextmanager
def _few_resources() -> Iterator[None]:
    """Turn a lack of memory, files or processes while a worker starts into a StudyError."""
    try:
        yield
    except (ConnectionError, FileNotFoundError):
        raise
    except (OSError, MemoryError) as error:
        reason = str(error) or type(error).__name__
        raise StudyError(
            f"cannot start worker processes: {reason}; raise the limits on open files, memory and processes "
            "(ulimit -a) or use fewer --workers, then rerun the same command"
        ) from None


@dataclass
class _Worker:
    """A worker process, our end of its pipe, and the job that it has."""

    process: BaseProcess
    connection: Connection
    job: Any = None
    waited_s: float = 0.0
    looked_s: float = 0.0

    def assign(self, job: Any) -> Started:
        self.job, self.waited_s, self.looked_s = job, 0.0, time.monotonic()
        with suppress(OSError):  # it has died idle; collect() will say so
            self.connection.send(job)
        return Started(job)

    def collect(self, timeout_s: Timeout | None) -> Finished | Crashed | None:
        """The end of the job, or None while it may still run."""
        now = time.monotonic()
        self.waited_s += min(now - self.looked_s, LONGEST_LOOK_S)
        self.looked_s = now
        if not self.connection.poll():
            limit_s = math.inf if timeout_s is None else timeout_s(self.job)
            if self.waited_s < limit_s:
                return None
            job, self.job = self.job, None
            return Crashed(job, describe_timeout(limit_s))
        job, self.job = self.job, None
        try:
            value, reason = self.connection.recv()
        except (EOFError, OSError):
            self.process.join()
            return Crashed(job, _describe_exit(self.process.exitcode))
        if isinstance(reason, StudyError):
            raise reason
        return Finished(job, value) if reason is None else Crashed(job, reason)

    def end(self) -> None:
        """End the process, which has no job."""
        self.connection.close()
        self.process.kill()
        self.process.join()


def _ready(workers: list[_Worker], patience_s: float | None) -> list[int]:
    """Wait until a job has ended, at most `patience_s`; the numbers of all workers with a job, for one may hang."""
    busy = {worker.connection: number for number, worker in enumerate(workers) if worker.job is not None}
    wait(list(busy), patience_s)
    return list(busy.values())


def describe_timeout(limit_s: float) -> str:
    """The reason of a job that was ended because it took too long."""
    return f"no result within {limit_s:.0f} s; the worker was killed"


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
        for worker in workers:
            worker.process.join(max(0.0, deadline_s - time.monotonic()))
            worker.process.kill()  # idle, and yet it does not end: it is stopped
            worker.process.join()


@dataclass(frozen=True)
class _WorkerStart:
    """What a worker needs before its first job: what to set up, its cores, and the files of the runner's modules."""

    setup: Callable[[], None] | None
    cores: Cores
    modules: Mapping[str, str]


def _work(connection: Connection, function: Callable[[Any], Any], start: _WorkerStart) -> None:
    """A worker's life: jobs come in, (value, None) or (None, traceback) go out, until the other end closes.

    A worker that runs other modules than the runner says so once, as a StudyError in place of a traceback.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole process group; the runner decides
    sys.excepthook = sys.__excepthook__
    restore_environment()
    use_cores(start.cores)
    jobs: deque[Any] = deque()
    arrived = threading.Semaphore(0)
    threading.Thread(target=_receive, args=(connection, jobs, arrived), daemon=True).start()
    if start.setup is not None:
        start.setup()
    refusal = compare_modules(start.modules)
    while True:
        arrived.acquire()
        if refusal is not None:
            connection.send((None, StudyError(refusal)))
            continue
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
