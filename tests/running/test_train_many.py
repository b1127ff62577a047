"""Subjects that train several trials at once: a result per trial, with the same outcome as alone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

import gridstudy as gs
from gridstudy.core.trial import TrialConfig
from gridstudy.records.comparison import compare_outcomes
from gridstudy.records.trials import ERROR_FILE, LOG_FILE, read_result, trial_folder
from gridstudy.running.launchers import Crashed, Finished, InProcessLauncher
from gridstudy.running.planning import group_trials, plan_trials
from gridstudy.running.progress import StudyTracker
from gridstudy.running.remote import place_trials, train_remotely
from gridstudy.running.runner import run_study
from gridstudy.running.subjects import SubjectSource
from gridstudy.running.timeouts import TrialClock
from gridstudy.running.trials import run_trials
from tests.conftest import fake_run

DATA = gs.make_data("line", train=np.linspace(0, 1, 20), validation=np.linspace(0, 1, 5))
ARMS = {"name": "rate", "scientific": ["rate"], "grid": {"rate": [0.1, 0.2]}}


def walk(rate, seeds, content, reports):
    """Fit a line's mean by noisy steps, all seeds in one array; element by element, so that the bits are the same."""
    noise = np.stack([np.random.default_rng(seed).normal(size=10) for seed in seeds])
    weights = np.zeros(len(seeds))
    for epoch in range(10):
        weights = weights - rate * (weights - content["train"].mean() + 0.1 * noise[:, epoch])
        for report, weight in zip(reports, weights, strict=True):
            report({"weight": weight})
    return [gs.Outcome(float(np.exp(-abs(weight - 0.5)))) for weight in weights]


def train(trial, content, folder, device, report):
    return walk(trial.configuration["rate"], [trial.seed], content, [report])[0]


def train_many(trials, content, folders, device, reports):
    return walk(trials[0].configuration["rate"], [trial.seed for trial in trials], content, reports)


def made_up(train_many=train_many, train=train, **options):
    return gs.Subject(
        name="walk", space=[gs.Hyperparameter("rate", 0.1, low=0.0, high=1.0)], objective=gs.Objective("closeness"),
        train=train, train_many=train_many, prepare=lambda: DATA, **options,
    )  # fmt: skip


def run(logdir, subject, *, seeds=range(5), progress=None):
    plan = plan_trials([subject.parse(ARMS)], seeds, subject=subject, data=DATA, logdir=logdir)
    how = {"source": SubjectSource(here=subject), "data": DATA, "logdir": logdir, "device": "cpu"}
    return run_study(
        plan, logdir=logdir, train=partial(run_trials, **how), progress=progress or StudyTracker(),
        most_together=16 if subject.train_many else 1, launcher=InProcessLauncher(),
    )  # fmt: skip


def trial_of(subject, seed, rate=0.1):
    return TrialConfig(subject.name, subject.configure({"rate": rate}), seed, DATA.identity)


def noting(calls, fail_for=()):
    """A train_many that notes the seeds that it is given, and yields until a seed of `fail_for`."""

    def many(trials, content, folders, device, reports):
        calls.append([trial.seed for trial in trials])
        for trial, folder, report in zip(trials, folders, reports, strict=True):
            if trial.seed in fail_for:
                raise ValueError(f"seed {trial.seed} is beyond us")
            yield train(trial, content, folder, device, report)

    return many


def test_trials_trained_at_once_have_the_outcomes_of_trials_trained_alone(tmp_path):
    together = run(tmp_path / "together", made_up())
    assert (together.n_run, together.failures) == (10, {})
    run(tmp_path / "alone", made_up(train_many=None))
    assert compare_outcomes(tmp_path / "together", tmp_path / "alone") == []


def test_each_trial_has_its_own_folder_curve_log_and_its_share_of_the_time(tmp_path):
    run(tmp_path, made_up())
    trials = [trial_of(made_up(), seed) for seed in range(5)]
    results = [read_result(trial_folder(tmp_path, trial) / "result.toml") for trial in trials]
    assert [result.trial for result, _ in results] == trials
    assert len({result.curves["weight"] for result, _ in results}) == 5
    assert len({facts.duration_s for _, facts in results}) == 1
    assert all((trial_folder(tmp_path, trial) / LOG_FILE).is_file() for trial in trials)


def test_groups_are_of_one_configuration_and_leave_no_worker_idle(tmp_path):
    subject = made_up()
    trials = [trial_of(subject, seed, rate) for seed in range(5) for rate in (0.1, 0.2)]
    for most, n_workers, sizes in (
        (16, None, [5, 5]),
        (16, 2, [5, 5]),
        (16, 4, [3, 3, 2, 2]),
        (2, 2, [2] * 4 + [1] * 2),
    ):
        groups = group_trials(trials, most=most, n_workers=n_workers)
        assert [len(group) for group in groups] == sizes
        assert all(len({trial.configuration for trial in group}) == 1 for group in groups)
        assert {trial for group in groups for trial in group} == set(trials)
    assert group_trials(trials, most=1, n_workers=2) == [(trial,) for trial in trials]
    assert group_trials([], most=16, n_workers=2) == []


def test_a_trial_that_has_no_company_is_trained_by_train(tmp_path):
    calls = []
    run(tmp_path, made_up(noting(calls)), seeds=range(1))
    assert calls == []


def test_one_failing_trial_of_a_group_leaves_the_others_their_results(tmp_path):
    calls = []

    def refuse_2(trial, *arguments):
        if trial.seed == 2:
            raise ValueError("seed 2 is beyond us")
        return train(trial, *arguments)

    subject = made_up(noting(calls, fail_for=[2]), refuse_2)
    summary = run(tmp_path / "fell", subject)
    assert {trial.seed: reason for trial, reason in summary.failures.items()} == {2: "ValueError: seed 2 is beyond us"}
    assert (len(summary.results), summary.n_run) == (8, 8)
    assert calls == [[0, 1, 2, 3, 4]] * 2
    assert "Traceback" in (trial_folder(tmp_path / "fell", trial_of(subject, 2)) / ERROR_FILE).read_text()
    run(tmp_path / "alone", made_up(train_many=None), seeds=[0, 1, 3, 4])
    assert compare_outcomes(tmp_path / "fell", tmp_path / "alone") == []


def test_a_group_that_fails_is_trained_one_by_one_to_the_same_outcomes(tmp_path):
    summary = run(tmp_path / "fell", made_up(noting([], fail_for=[1, 3])))
    assert (summary.n_run, summary.failures) == (10, {})
    assert not list(tmp_path.rglob(ERROR_FILE))
    run(tmp_path / "alone", made_up(train_many=None))
    assert compare_outcomes(tmp_path / "fell", tmp_path / "alone") == []


def test_too_few_outcomes_are_a_failure_of_the_group(tmp_path):
    told = []

    class Telling(StudyTracker):
        def trial_failed(self, trial, reason, *, final):
            super().trial_failed(trial, reason, final=final)
            told.append((trial.seed, reason, final))

    subject = made_up(lambda *arguments: train_many(*arguments)[:3])
    assert run(tmp_path, subject, progress=Telling()).failures == {}
    assert [seed for seed, _, _ in told] == [3, 4] * 2
    assert told[0][1].endswith("train_many must give an outcome for each trial; got 3 for 5 trials")
    assert not any(final for _, _, final in told)


def test_most_together_is_checked():
    with pytest.raises(gs.StudyError, match="most_together must be a whole number from 1; got 0"):
        made_up(most_together=0)


# --- killed in the middle, workers and machines ---------------------------------------------------------------------

FILE = """
import os, signal
from pathlib import Path
import gridstudy as gs
from tests.running.test_train_many import made_up, train

def many(trials, content, folders, device, reports):
    for trial, folder, report in zip(trials, folders, reports, strict=True):
        mark = Path(__file__).with_name(f"killed-{os.environ.get('KILL', 'none')}")
        if trial.seed == 3 and not mark.exists() and "KILL" in os.environ:
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        Path(__file__).with_name("trained").open("a").write(f"{trial.configuration['rate']} {trial.seed}\\n")
        yield train(trial, content, folder, device, report)

subject = made_up(many, experiments=[{"name": "rate", "scientific": ["rate"], "grid": {"rate": [0.1, 0.2]}}])
"""
ROOT = Path(__file__).parents[2]


@pytest.fixture
def subject_file(tmp_path):
    path = tmp_path / "own_walk.py"
    path.write_text(FILE)
    return path


def start(code, tmp_path, **environment):
    return subprocess.run(
        [sys.executable, "-c", f"import gridstudy as gs\n{code}"], cwd=tmp_path, capture_output=True, text=True,
        check=False, timeout=120, env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
    )  # fmt: skip


def test_a_study_that_is_killed_in_the_middle_of_a_group_trains_only_what_is_missing(tmp_path, subject_file):
    code = "from own_walk import subject\ngs.run(subject, logdir='logs')"
    killed = start(code, tmp_path, KILL="runner")
    assert killed.returncode == -signal.SIGKILL
    assert len(list((tmp_path / "logs").glob("*/seed*/result.toml"))) == 3
    assert start(code, tmp_path).returncode == 0
    trained = (tmp_path / "trained").read_text().splitlines()
    assert sorted(trained) == sorted(f"{rate} {seed}" for rate in (0.1, 0.2) for seed in range(5))
    run(tmp_path / "alone", made_up(train_many=None))
    assert compare_outcomes(tmp_path / "logs", tmp_path / "alone") == []


def test_a_worker_that_dies_in_a_group_keeps_its_results_and_the_rest_is_trained(tmp_path, subject_file):
    done = start("print(gs.run('own_walk.py', logdir='logs', workers=2).failures)", tmp_path, KILL="worker")
    assert (done.returncode, done.stdout.strip()) == (0, "{}"), done.stderr
    assert "the worker process was killed by SIGKILL" in done.stderr
    trained = (tmp_path / "trained").read_text().splitlines()
    assert len(trained) == len(set(trained)) == 8  # the two that were left are trained by train
    run(tmp_path / "alone", made_up(train_many=None))
    assert compare_outcomes(tmp_path / "logs", tmp_path / "alone") == []


def test_groups_trained_far_away_arrive_each_in_its_place(tmp_path):
    subject = made_up()
    trials = tuple(trial_of(subject, seed) for seed in range(3))
    how = {"source": SubjectSource(here=subject), "data": DATA, "device": "cpu", "attempt": 1}
    event = place_trials(trials, train_remotely(trials, **how), logdir=tmp_path / "far")
    assert isinstance(event, Finished)
    assert [result.trial for result, _ in event.value] == list(trials)
    run_trials(trials, logdir=tmp_path / "here", **how)
    assert compare_outcomes(tmp_path / "far", tmp_path / "here") == []


def test_a_group_that_fails_far_away_brings_the_results_that_it_has(tmp_path):
    subject = made_up(noting([], fail_for=[1]))
    trials = tuple(trial_of(subject, seed) for seed in range(3))
    packed = train_remotely(trials, source=SubjectSource(here=subject), data=DATA, device="cpu", attempt=1)
    event = place_trials(trials, packed, logdir=tmp_path)
    assert isinstance(event, Crashed)
    assert event.reason.strip().endswith("ValueError: seed 1 is beyond us")
    assert [(trial_folder(tmp_path, t) / "result.toml").exists() for t in trials] == [True, False, False]


@pytest.mark.slow
@pytest.mark.skipif(find_spec("ray") is None, reason="ray is not installed")
def test_a_local_ray_trains_groups_to_the_same_outcomes(tmp_path, subject_file):
    code = "import sys; from gridstudy.cli.run import main; sys.exit(main(sys.argv[1:]))"
    arguments = ["--subject", "own_walk.py", "--launcher", "ray", "--workers", "2", "--logdir", "logs"]
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=tmp_path, capture_output=True, text=True, check=False,
        timeout=240, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    run(tmp_path / "alone", made_up(train_many=None))
    assert compare_outcomes(tmp_path / "logs", tmp_path / "alone") == []


# --- time -----------------------------------------------------------------------------------------------------------


def test_a_group_may_take_as_long_as_its_trials_one_after_the_other():
    trials = tuple(trial_of(made_up(), seed) for seed in range(3))
    clock = TrialClock()
    assert clock.timeout_s(trials) == 3 * 1800
    clock.observe(trials[0], fake_run())
    assert clock.timeout_s(trials) == 3 * 120
    assert TrialClock(7.0).timeout_s(trials) == 21


def test_a_running_group_is_shown_as_one_and_leaves_with_its_first_trial():
    tracker = StudyTracker()
    trials = tuple(trial_of(made_up(), seed) for seed in range(3))
    tracker.start(n_trials=3, results=[], work_left=3.0)
    tracker.trials_started(trials)
    assert tracker.describe_running() == "baseline seeds 0, 1, 2 (0 s)"
    tracker.trial_failed(trials[0], "no luck", final=False)
    assert (tracker.describe_running(), tracker.n_failed) == ("", 0)
