"""Jobs for worker processes: a module of its own, so that workers import little."""

from __future__ import annotations

import os
import signal
import sys
import time


def double(job):
    return 2 * job


def fail_on_odd(job):
    if job % 2:
        raise ValueError(f"{job} is odd")
    return job


_spoiled: list[int] = []


def spoil_on_3(job):
    """As a GPU does after some errors: what comes after the third job in its process fails too."""
    if job == 3:
        _spoiled.append(job)
    if _spoiled:
        raise RuntimeError("spoiled")
    return job


def die_on_3(job):
    if job == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return os.getpid()


def exit_on_3(job):
    if job == 3:
        os._exit(7)
    return job


def tell_and_stop(folder):
    (folder / f"{os.getpid()}").touch()
    os.kill(os.getpid(), signal.SIGSTOP)


def sleep_and_tell(job):
    folder, seconds = job
    (folder / f"{os.getpid()}").touch()
    time.sleep(seconds)
    return seconds


def stop_on_3(job):
    """Hang as a stopped worker does, with SIGKILL as the only way out."""
    if job == 3:
        os.kill(os.getpid(), signal.SIGSTOP)
    return job


def doze_or_stop_on_3(job):
    time.sleep(0.05)
    return stop_on_3(job)


def describe_process(job):
    """What a worker finds around it: search path, files of modules, environment and cores."""
    import random

    import gridstudy

    return {
        "path": sys.path,
        "files": [gridstudy.__file__, random.__file__],
        "environment": {name: value for name, value in os.environ.items() if "PYTHON" in name or "GRIDSTUDY_W" in name},
        "cores": os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None,
    }


def train_and_tell_cores(job):
    """Compute as a trial does, with one thread; return the cores that the process may use afterwards."""
    import torch

    torch.set_num_threads(1)
    weights = torch.ones(256, 256, requires_grad=True)
    (weights @ weights).sum().backward()
    return os.sched_getaffinity(0)


def tell_pid(job):
    return os.getpid()


def fail_in_a_thread(job):
    import threading

    thread = threading.Thread(target=fail_on_odd, args=(1,))
    thread.start()
    thread.join()
    return job
