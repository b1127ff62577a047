"""Jobs as tasks of Ray, on this machine or on a cluster whose nodes share no disk; the launchers' interface."""

from __future__ import annotations

import logging
import os
import re
import secrets
import signal
import socket
import tempfile
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import chdir, contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import gridstudy
from gridstudy.core.errors import StudyError
from gridstudy.core.source import source_digest
from gridstudy.running.launchers import (
    GRACE_S,
    Crashed,
    Event,
    Finished,
    IsOver,
    Started,
    Timeout,
    describe_timeout,
    never,
)

N_RETRIES = 3
"""How often Ray runs a job again, elsewhere, whose node or process was lost; a job that raises it leaves to us."""

POLL_S = 2.0
"""Seconds after which nodes that have joined are seen even if no job has ended."""

CONNECT_S = 10.0

HEAD_PATIENCE_S = 4.0
"""How long Ray's head may be out of reach; Ray itself waits for a minute and then ends this process without a word."""

SHUTDOWN_S = 3.0
"""How long a Ray whose head is lost may take to end before its processes are killed."""

LOCAL_STORE_BYTES = 256 << 20
"""The object store of a local Ray: room for the data and for what returns."""


class RayLauncher:
    """Runs jobs as Ray tasks of one CPU each, and of `gpus_per_job` of a GPU.

    Without an `address` it starts a Ray of `n_workers` CPUs on this machine; with one it fills the cluster there, or
    runs at most `n_workers` jobs at a time. `shared` are keyword arguments of every call, put in the object store
    once. `receive(job, value)` is called here with what a job returned, and says what becomes of it.
    Running raises StudyError where there is no such cluster, or none with a GPU.
    """

    def __init__(
        self,
        n_workers: int | None = None,
        *,
        address: str | None = None,
        gpus_per_job: float = 0.0,
        shared: Mapping[str, Any] | None = None,
        receive: Callable[[Any, Any], Finished | Crashed] = Finished,
    ) -> None:
        self.n_workers = n_workers
        self._address = address
        self._gpus_per_job = gpus_per_job
        self._shared = dict(shared or {})
        self._receive = receive
        self._ray = import_ray(local=address is None)

    def run(
        self,
        function: Callable[..., Any],
        jobs: Iterable[Any],
        *,
        timeout_s: Timeout | None = None,
        is_over: IsOver = never,
    ) -> Iterator[Event]:
        """As the protocol says; jobs that end within GRACE_S of an early end are still received."""
        waiting, running = deque(jobs), dict[Any, Any]()
        started_s: dict[Any, float] = {}
        if not waiting:
            return
        with self._connect() as head:
            shared = {name: self._ray.put(value) for name, value in self._shared.items()}
            shared["digest"] = _own_digest()
            task = self._ray.remote(num_cpus=1, num_gpus=self._gpus_per_job, max_retries=N_RETRIES)(call_with_our_code)
            try:
                while running or (waiting and not is_over()):
                    head.check()
                    while waiting and not is_over() and len(running) < self._count_places():
                        job = waiting.popleft()
                        reference = task.remote(function, job, **shared)
                        running[reference], started_s[reference] = job, time.monotonic()
                        yield Started(job)
                    for reference in self._ray.wait(list(running), timeout=POLL_S)[0]:
                        yield self._collect(running.pop(reference), reference)
                    for reference, limit_s in overdue(running, started_s, timeout_s):
                        self._ray.cancel(reference, force=True)
                        yield Crashed(running.pop(reference), describe_timeout(limit_s))
            finally:
                if running and not head.is_lost:
                    for reference in self._ray.wait(list(running), num_returns=len(running), timeout=GRACE_S)[0]:
                        self._collect(running[reference], reference)

    @contextmanager
    def _connect(self) -> Iterator[Head]:
        """Be connected to Ray; a local one ends with the connection, a cluster forgets what this process had there."""
        before = set(_descendants())
        head = Head()
        empty = tempfile.TemporaryDirectory(prefix="gridstudy-")  # the current folder of a local Ray
        try:
            with harmless_start(empty.name):
                self._initialise()
            head.address = self._address or ""
            if not head.address.startswith("ray://"):
                head.address = self._ray.get_runtime_context().gcs_address
            self._check_gpus()
            yield head
        finally:
            if head.is_lost:
                self._end(set(_descendants()) - before)
            else:
                self._ray.shutdown()
            empty.cleanup()

    def _end(self, started: set[Any]) -> None:
        """End a Ray whose head is lost, and kill what we started that does not end by itself."""
        import psutil

        thread = threading.Thread(target=self._ray.shutdown, daemon=True)
        thread.start()
        thread.join(SHUTDOWN_S)
        for process in started:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(started, timeout=SHUTDOWN_S)

    def _initialise(self) -> None:
        place: dict[str, Any] = {"address": self._address}
        if self._address is None:
            place = {
                "address": "local",
                "num_cpus": self.n_workers,
                "include_dashboard": False,
                "object_store_memory": LOCAL_STORE_BYTES,
            }
        package = str(Path(__file__).parents[1])  # sent to the nodes, which need only what it depends on
        try:
            _check_answers(self._address)
            self._ray.init(
                **place, runtime_env={"py_modules": [package]}, log_to_driver=False, logging_level=logging.ERROR
            )
        except (OSError, OverflowError, ValueError, self._ray.exceptions.RayError) as error:
            raise StudyError(f"no Ray answers at {self._address or 'this machine'}: {_first_line(error)}") from None

    def _check_gpus(self) -> None:
        if self._gpus_per_job and not self._ray.cluster_resources().get("GPU"):
            raise StudyError("--gpus-per-trial was given, but this Ray cluster has no GPUs")

    def _count_places(self) -> int:
        """How many jobs can run at once, now; at least one, for nodes may yet join."""
        resources = self._ray.cluster_resources()
        n = resources.get("CPU", 0.0)
        if self._gpus_per_job:
            n = min(n, resources.get("GPU", 0.0) / self._gpus_per_job)
        return max(1, min(int(n + 1e-6), self.n_workers or int(n + 1e-6)))

    def _collect(self, job: Any, reference: Any) -> Finished | Crashed:
        try:
            value = self._ray.get(reference)
        except self._ray.exceptions.RayError as error:
            if isinstance(cause := getattr(error, "cause", None), OtherCodeError):
                raise StudyError(str(cause)) from None
            return Crashed(job, _describe(error))
        try:
            return self._receive(job, value)
        except Exception:
            return Crashed(job, traceback.format_exc())


def import_ray(*, local: bool) -> Any:
    """Ray, with its usage statistics off, and a token of its own for a Ray of our own; StudyError if not installed."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    if local and "RAY_AUTH_MODE" not in os.environ:  # Ray listens to the whole network; from 2.52 on it asks for this
        os.environ.update(RAY_AUTH_MODE="token", RAY_AUTH_TOKEN=secrets.token_hex(32))
    try:
        import psutil  # noqa: F401 - to end what a Ray leaves whose head is lost
        import ray
        import ray.exceptions
    except ImportError:
        raise StudyError('--launcher ray needs the package ray; install it with: pip install ".[ray]"') from None
    return ray


def _check_answers(address: str | None, *, timeout_s: float = CONNECT_S) -> None:
    """Raise OSError where nobody listens at HOST:PORT, for which Ray itself would wait for minutes."""
    if match := re.fullmatch(r"(?:ray://)?\[?([^/\]]+)\]?:(\d+)", address or ""):
        socket.create_connection((match[1], int(match[2])), timeout=timeout_s).close()


def overdue(
    running: Mapping[Any, Any], started_s: Mapping[Any, float], timeout_s: Timeout | None
) -> list[tuple[Any, float]]:
    """The references of jobs that take too long, each with the seconds that it had."""
    if timeout_s is None:
        return []
    limits = [(reference, timeout_s(job)) for reference, job in running.items()]
    return [(reference, limit_s) for reference, limit_s in limits if time.monotonic() - started_s[reference] > limit_s]


@dataclass
class Head:
    """The process that a Ray cluster hangs on, by its HOST:PORT."""

    address: str = ""
    is_lost: bool = False
    _answered_s: float = field(default_factory=time.monotonic)

    def check(self) -> None:
        """Raise StudyError once the head has not answered for HEAD_PATIENCE_S."""
        while time.monotonic() - self._answered_s > POLL_S / 2:
            try:
                _check_answers(self.address, timeout_s=POLL_S)
            except OSError as error:
                if time.monotonic() - self._answered_s > HEAD_PATIENCE_S:
                    self.is_lost = True
                    raise StudyError(
                        f"Ray's head at {self.address} no longer answers ({_first_line(error)}); start Ray again, then "
                        "rerun the same command to resume"
                    ) from None
                time.sleep(POLL_S / 4)
            else:
                self._answered_s = time.monotonic()


@contextmanager
def harmless_start(folder: str) -> Iterator[None]:
    """Keep from Ray, while it starts, what it would hand to its workers or take from us.

    It puts the current folder, which is `folder` meanwhile, first on its workers' search path, and its own handler in
    place of ours for SIGTERM.
    """
    handler = signal.getsignal(signal.SIGTERM)
    with chdir(folder):
        yield
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, handler)


def _descendants() -> list[Any]:
    import psutil

    return list(psutil.Process().children(recursive=True))


class OtherCodeError(Exception):
    """A worker has imported other source code than the program."""


def call_with_our_code(function: Callable[..., Any], job: Any, *, digest: str, **shared: Any) -> Any:
    """Call a job in a worker; raise OtherCodeError where the worker runs other source code than the program."""
    if _own_digest() != digest:
        raise OtherCodeError(
            f"workers must run the program's own code; a worker of Ray has imported {gridstudy.__file__}, which differs"
        )
    return function(job, **shared)


@cache
def _own_digest() -> str:
    return source_digest([gridstudy])


def _describe(error: Exception) -> str:
    """What Ray says of a job that came to nothing, the gist in the last line."""
    text = re.sub(r"\x1b\[\d+m", "", str(error)).strip()
    return (
        text if "Traceback" in text or "\n  File " in text else f"{text}\n{type(error).__name__}: {_first_line(error)}"
    )


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
