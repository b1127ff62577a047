"""What worker processes are told to do in the tests of faults: a module of its own, for it is sent to them by name."""

from __future__ import annotations

import gc
import os
import signal
from pathlib import Path

from gridstudy.running.subjects import SubjectSource
from gridstudy.running.trials import run_trials

MEGABYTE = 1 << 20
SOURCE = SubjectSource(module="gridstudy.fashion.subject")


def limit_memory(megabytes):
    """Let this process take so much more address space than it has."""
    import resource

    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + megabytes * MEGABYTE
    resource.setrlimit(resource.RLIMIT_AS, (most, most))


def run_and_die(trials, *, data, logdir, attempt):
    """Train a trial; die of SIGKILL once it is complete and before the runner hears of it."""
    run_trials(trials, source=SOURCE, data=data, logdir=logdir, device="cpu", attempt=attempt)
    os.kill(os.getpid(), signal.SIGKILL)


def run_and_weigh(trials, *, data, logdir):
    """Train a trial; return what the process then holds: resident bytes, open files and threads."""
    import resource

    run_trials(trials, source=SOURCE, data=data, logdir=logdir, device="cpu", attempt=1)
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    n_files, n_threads = (sum(1 for _ in Path(f"/proc/self/{what}").iterdir()) for what in ("fd", "task"))
    return pages * resource.getpagesize(), n_files, n_threads
