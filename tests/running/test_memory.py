"""Trials that run out of memory or diverge, and what workers hold after many."""

from __future__ import annotations

from functools import partial
from multiprocessing import forkserver

import pytest

from gridstudy.core.trial import TrialConfig, TrialState
from gridstudy.fashion.subject import SUBJECT
from gridstudy.records.comparison import compare_outcomes
from gridstudy.records.tables import find_results, load_records
from gridstudy.records.trials import ERROR_FILE, read_result, trial_folder, trial_status
from gridstudy.running import launchers
from gridstudy.running.launchers import InProcessLauncher, LocalLauncher
from gridstudy.running.planning import plan_trials, record_plans
from gridstudy.running.progress import StudyTracker
from gridstudy.running.runner import run_study
from gridstudy.running.trials import run_trials
from gridstudy.statistics.estimates import analyse
from tests.fault_jobs import MEGABYTE, SOURCE, limit_memory, run_and_die, run_and_weigh
from tests.studies import LINUX, PROTECTED, plan_protected

# --- memory ----------------------------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def new_server():
    """A fork server that preloads what these tests ask for; that of an earlier test has preloaded less."""
    forkserver._forkserver._stop()


@LINUX
def test_a_trial_that_runs_out_of_memory_is_tried_twice_and_recorded_and_the_study_goes_on(built_in, tmp_path):
    class Counting(StudyTracker):
        attempts = ()

        def trial_failed(self, trial, reason, *, final):
            self.attempts = (*self.attempts, final)

    progress = Counting()
    table = {**PROTECTED, "grid": {"units1": [8, 16, 20_000]}, "fixed": {**PROTECTED["fixed"], "units2": 20_000}}
    planned = plan_trials([SUBJECT.parse(table)], range(1), subject=SUBJECT, data=built_in, logdir=tmp_path)
    launcher = LocalLauncher(1, preload=["gridstudy.fashion.training"], setup=partial(limit_memory, 600))
    train = partial(run_trials, source=SOURCE, data=built_in, logdir=tmp_path, device="cpu", owner="abc")
    summary = run_study(planned, logdir=tmp_path, train=train, launcher=launcher, progress=progress, owner="abc")
    assert progress.attempts == (False, True)
    ((trial, reason),) = summary.failures.items()
    assert trial.configuration["units1"] == 20_000
    assert "memory" in reason
    assert len(summary.results) == 2
    assert trial_status(tmp_path, trial).state is TrialState.FAILED
    assert "Traceback" in (trial_folder(tmp_path, trial) / ERROR_FILE).read_text()
    assert [row["state"] for row in load_records(tmp_path).problems.to_dict("records")] == ["failed"]


@LINUX
def test_a_worker_that_dies_once_its_trial_is_complete_costs_no_second_run(whole, built_in, tmp_path):
    train = partial(run_and_die, data=built_in, logdir=tmp_path)
    launcher = LocalLauncher(1, preload=["gridstudy.fashion.training"])
    planned = plan_protected(tmp_path, built_in)
    summary = run_study(planned, logdir=tmp_path, train=train, launcher=launcher, progress=StudyTracker())
    assert summary.failures == {}
    assert summary.n_run == len(summary.results) == 2
    assert {read_result(path)[1].attempt for path in find_results(tmp_path)} == {1}
    assert list(tmp_path.rglob(ERROR_FILE)) == []
    assert compare_outcomes(whole, tmp_path) == []


@LINUX
def test_a_worker_holds_no_more_after_many_trials_than_after_a_few(built_in, tmp_path):
    configuration = SUBJECT.configure({**PROTECTED["fixed"], "units1": 8})
    trials = [(TrialConfig(SUBJECT.name, configuration, seed, built_in.identity),) for seed in range(60)]
    job = partial(run_and_weigh, data=built_in, logdir=tmp_path)
    events = list(LocalLauncher(1, preload=["gridstudy.fashion.training"]).run(job, trials))
    weights = [event.value for event in events if isinstance(event, launchers.Finished)]
    assert len(weights) == 60
    first, last = weights[19], weights[-1]
    assert last[0] - first[0] < 4 * MEGABYTE
    assert last[1:] == first[1:], "open files or threads grew"


# --- divergence ------------------------------------------------------------------------------------------------------


def test_a_rate_of_a_million_is_unstable_in_no_ranking_and_decides_no_contrast(built_in, tmp_path):
    experiment = SUBJECT.parse(
        {
            "name": "rates",
            "hypothesis": "A sane rate beats a million.",
            "scientific": ["learning_rate"],
            "contrasts": [{"better": {"learning_rate": 0.01}, "worse": {"learning_rate": 1e6}}],
            "fixed": {"epochs": 2, "train_steps": 20, "optimizer": "SGD", "units1": 16, "units2": 16},
            "grid": {"learning_rate": [0.01, 0.1, 1e6]},
        }
    )
    record_plans(tmp_path, [experiment], subject=SUBJECT, data=built_in, seeds=range(3))
    planned = plan_trials([experiment], range(3), subject=SUBJECT, data=built_in, logdir=tmp_path)
    train = partial(run_trials, source=SOURCE, data=built_in, logdir=tmp_path, device="cpu")
    summary = run_study(planned, logdir=tmp_path, train=train, launcher=InProcessLauncher(), progress=StudyTracker())
    assert summary.failures == {}
    found = load_records(tmp_path)
    wild = found.trials[found.trials["learning_rate"] == 1e6]
    assert list(wild["diverged"]) == [True] * 3
    assert set(wild["objective"]) == {0.1}
    (estimate,) = analyse(found).experiments
    (name,) = estimate.unstable
    assert estimate.unstable[name] == "unstable, 3 of 3"
    assert name not in (estimate.best, estimate.runner_up, estimate.recommended, *estimate.tied)
    row = estimate.summary.set_index("configuration").loc[name]
    assert "unstable" in row["flags"]
    assert not row["tied_with_best"]
    assert "cannot tell" in str(estimate.verdict)
