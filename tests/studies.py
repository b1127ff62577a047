"""Small real studies that the tests of faults break, and what they have in common."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from benchmarks.chaos.studies import hear_interruptions
from gridstudy.fashion.subject import SUBJECT
from gridstudy.running.launchers import InProcessLauncher
from gridstudy.running.planning import plan_trials
from gridstudy.running.progress import StudyTracker
from gridstudy.running.runner import run_study
from gridstudy.running.trials import run_trials
from tests.fault_jobs import SOURCE

ROOT = Path(__file__).parents[1]
TINY = ["--dataset", "garments-small", "--set", "train_steps=5", "--seeds", "2"]
NOBODY = 65_534
LINUX = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc, or mounts")
PROTECTED = {
    "name": "protected",
    "scientific": ["units1"],
    "fixed": {"epochs": 1, "train_steps": 2, "batch_size": 8, "units2": 8},
    "grid": {"units1": [8, 16]},
}


def plan_protected(logdir, built_in):
    return plan_trials([SUBJECT.parse(PROTECTED)], range(1), subject=SUBJECT, data=built_in, logdir=logdir)


def resume(logdir, built_in, *, launcher=None):
    """What was planned, and how it stands at the end."""
    planned = plan_protected(logdir, built_in)
    train = partial(run_trials, source=SOURCE, data=built_in, logdir=logdir, device="cpu")
    launcher = launcher or InProcessLauncher()
    return planned, run_study(planned, logdir=logdir, train=train, launcher=launcher, progress=StudyTracker())


def error_lines(err):
    """The lines of an error; fails where a traceback or anything unasked is among them."""
    assert "Traceback" not in err
    assert "Exception" not in err
    return [line for line in err.splitlines() if line.startswith("error: ")]


@contextmanager
def unprivileged():
    """Root may read and write everything, so be somebody else for a while."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


def start_study(logdir, *arguments, script=("grid_search_experiments.py",)):
    return subprocess.Popen(
        [sys.executable, *script, "--logdir", str(logdir), *arguments],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
        preexec_fn=hear_interruptions if os.name != "nt" else None,  # noqa: PLW1509
    )  # fmt: skip
