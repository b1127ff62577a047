"""One runner per log directory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gridstudy.core.lock import USUAL_TIMES, Lock, LockTimes, Warn, hold


@contextmanager
def lock_logdir(logdir: Path, *, warn: Warn, times: LockTimes = USUAL_TIMES) -> Iterator[Lock]:
    """Hold the log directory for this process; raise StudyError where another runner holds it."""
    with hold(logdir, warn=warn, remedy="wait for it or give another --logdir", times=times) as lock:
        yield lock
