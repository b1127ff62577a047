"""Jobs as tasks of Ray, on this machine or on a cluster whose nodes share no disk; the launchers' interface."""

from __future__ import annotations

import logging
import os
import re
import secrets
import socket
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gridstudy.core.errors import StudyError
from gridstudy.running.launchers import GRACE_S, Crashed, Event, Finished, Started

N_RETRIES = 3
"""How often Ray runs a job again, elsewhere, whose node or process was lost; a job that raises it leaves to us."""

POLL_S = 2.0
"""Seconds after which nodes that have joined are seen even if no job has ended."""

CONNECT_S = 10.0

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

    def run(self, function: Callable[..., Any], jobs: Iterable[Any]) -> Iterator[Event]:
        """As the protocol says; jobs that end within GRACE_S of an early end are still received."""
        waiting, running = deque(jobs), dict[Any, Any]()
        if not waiting:
            return
        with self._connect():
            shared = {name: self._ray.put(value) for name, value in self._shared.items()}
            task = self._ray.remote(num_cpus=1, num_gpus=self._gpus_per_job, max_retries=N_RETRIES)(_call)
            try:
                while waiting or running:
                    while waiting and len(running) < self._count_places():
                        job = waiting.popleft()
                        running[task.remote(function, job, **shared)] = job
                        yield Started(job)
                    for reference in self._ray.wait(list(running), timeout=POLL_S)[0]:
                        yield self._collect(running.pop(reference), reference)
            finally:
                if running:
                    for reference in self._ray.wait(list(running), num_returns=len(running), timeout=GRACE_S)[0]:
                        self._collect(running[reference], reference)

    @contextmanager
    def _connect(self) -> Iterator[None]:
        """Be connected to Ray; a local one ends with the connection, a cluster forgets what this process had there."""
        try:
            self._initialise()
            self._check_gpus()
            yield
        finally:
            self._ray.shutdown()

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
            raise StudyError(f"each trial is to have {self._gpus_per_job:g} of a GPU, and this Ray has none")

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
        import ray
        import ray.exceptions
    except ImportError:
        raise StudyError('--launcher ray needs the package ray; install it with: pip install ".[ray]"') from None
    return ray


def _check_answers(address: str | None) -> None:
    """Raise OSError where nobody listens at HOST:PORT, for which Ray itself would wait for minutes."""
    if match := re.fullmatch(r"(?:ray://)?\[?([^/\]]+)\]?:(\d+)", address or ""):
        socket.create_connection((match[1], int(match[2])), timeout=CONNECT_S).close()


def _call(function: Callable[..., Any], job: Any, **shared: Any) -> Any:
    return function(job, **shared)


def _describe(error: Exception) -> str:
    """What Ray says of a job that came to nothing, the gist in the last line."""
    text = re.sub(r"\x1b\[\d+m", "", str(error)).strip()
    return (
        text if "Traceback" in text or "\n  File " in text else f"{text}\n{type(error).__name__}: {_first_line(error)}"
    )


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
