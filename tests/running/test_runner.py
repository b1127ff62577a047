from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest

from gridstudy.core.errors import StudyError
from gridstudy.core.study import LearningCurve, TrialState
from gridstudy.records.records import ERROR_FILE, RESULT_FILE, load_records, trial_folder
from gridstudy.running.launchers import InProcessLauncher, Started
from gridstudy.running.progress import StudyTracker
from gridstudy.running.runner import best_configurations, lock_logdir, plan_trials, relative_cost, run_study
from tests.conftest import DATA, FakeTrainer, fake_result


def _run(logdir, experiment, trainer, seeds=range(2), launcher=None):
    planned = plan_trials([experiment], seeds, data=DATA, logdir=logdir)
    return run_study(
        planned,
        logdir=logdir,
        train=trainer,
        launcher=launcher or InProcessLauncher(),
        progress=StudyTracker(),
    )


def test_a_study_runs_every_trial_once_and_then_has_nothing_to_do(tmp_path, experiment):
    trainer = FakeTrainer(tmp_path)
    summary = _run(tmp_path, experiment, trainer)
    assert (summary.n_run, len(summary.results), summary.failures) == (8, 8, {})
    again = _run(tmp_path, experiment, trainer)
    assert (again.n_run, len(again.results)) == (0, 8)
    assert len(trainer.trained) == 8


def test_more_seeds_add_only_what_is_missing(tmp_path, experiment):
    trainer = FakeTrainer(tmp_path)
    _run(tmp_path, experiment, trainer, seeds=range(2))
    assert _run(tmp_path, experiment, trainer, seeds=range(3)).n_run == 4
    assert {t.seed for t in trainer.trained[8:]} == {2}


def test_the_longest_trials_come_first(tmp_path, experiment):
    planned = plan_trials([experiment], range(2), data=DATA, logdir=tmp_path)
    costs = [relative_cost(p.trial.configuration) for p in planned]
    assert costs == sorted(costs, reverse=True)


def test_a_configuration_that_two_experiments_share_is_trained_once(tmp_path, experiment):
    planned = plan_trials([experiment, experiment], range(3), data=DATA, logdir=tmp_path)
    assert len(planned) == 12


def test_a_trial_that_fails_once_is_tried_again_and_completes(tmp_path, experiment, make_trial):
    summary = _run(tmp_path, experiment, FakeTrainer(tmp_path, failing={make_trial(1, 1): 1}))
    assert summary.failures == {}
    assert len(summary.results) == 8
    assert not (trial_folder(tmp_path, make_trial(1, 1)) / ERROR_FILE).exists()
    assert load_records(tmp_path).trials.set_index("trial_id").loc[make_trial(1, 1).trial_id, "attempt"] == 2


def test_a_trial_that_fails_twice_leaves_its_error_and_the_study_goes_on(tmp_path, experiment, make_trial):
    trial = make_trial(1, 1)
    summary = _run(tmp_path, experiment, FakeTrainer(tmp_path, failing={trial: 2}))
    assert summary.failures == {trial: "RuntimeError: no luck"}
    assert len(summary.results) == 7
    assert "Traceback" in (trial_folder(tmp_path, trial) / ERROR_FILE).read_text()
    assert _run(tmp_path, experiment, FakeTrainer(tmp_path)).n_run == 1


def test_a_study_that_is_stopped_midway_goes_on_from_there(tmp_path, experiment):
    class Interrupting(InProcessLauncher):
        def run(self, function, jobs):
            for n, event in enumerate(super().run(function, jobs)):
                if n == 6 and isinstance(event, Started):
                    raise KeyboardInterrupt
                yield event

    with pytest.raises(KeyboardInterrupt):
        _run(tmp_path, experiment, FakeTrainer(tmp_path), launcher=Interrupting())
    assert len(load_records(tmp_path).trials) == 3
    assert _run(tmp_path, experiment, FakeTrainer(tmp_path)).n_run == 5


def test_what_an_interrupted_attempt_left_is_cleared(tmp_path, experiment, make_trial):
    folder = trial_folder(tmp_path, make_trial())
    (folder / "20260101-000000").mkdir(parents=True)
    _run(tmp_path, experiment, FakeTrainer(tmp_path))
    assert [p.name for p in folder.iterdir()] == [RESULT_FILE]


def test_a_damaged_result_is_planned_again_with_the_reason(tmp_path, experiment, make_trial):
    _run(tmp_path, experiment, FakeTrainer(tmp_path))
    (trial_folder(tmp_path, make_trial()) / RESULT_FILE).write_bytes(b"")
    planned = plan_trials([experiment], range(2), data=DATA, logdir=tmp_path)
    (damaged,) = [p for p in planned if p.state is not TrialState.COMPLETE]
    assert damaged.trial == make_trial()
    assert "empty or cut short" in damaged.note


def test_a_second_runner_is_turned_away_and_told_who_is_there(tmp_path):
    with lock_logdir(tmp_path):
        code = (
            "import sys; from pathlib import Path; from gridstudy.running.runner import lock_logdir; "
            "lock_logdir(Path(sys.argv[1])).__enter__()"
        )
        second = subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True, text=True, check=False)
        assert "is in use by process" in second.stderr
    with lock_logdir(tmp_path):
        pass


def test_the_lock_of_a_process_that_died_is_void(tmp_path):
    code = (
        "import os, sys; from pathlib import Path; from gridstudy.running.runner import lock_logdir; "
        "lock_logdir(Path(sys.argv[1])).__enter__(); os._exit(1)"
    )
    subprocess.run([sys.executable, "-c", code, tmp_path], check=False)
    with lock_logdir(tmp_path):
        pass


def test_two_runners_in_one_process_are_kept_apart_too(tmp_path):
    with lock_logdir(tmp_path), pytest.raises(StudyError, match="one runner per log directory"), lock_logdir(tmp_path):
        pass


def test_the_best_come_first_and_the_unstable_last(tmp_path, experiment, make_trial):
    lucky = replace(fake_result(make_trial(2)), curve=LearningCurve((1.0,), (1.0,), (0.99,)))
    results = [
        *[lucky] * 9,
        fake_result(make_trial(2, 5), diverged=True),
        fake_result(make_trial(0, 1)),
        fake_result(make_trial(1, 0)),
    ]
    rows = best_configurations(experiment, results)
    assert [row["name"] for row in rows] == [
        make_trial(0).configuration.name,
        make_trial(1).configuration.name,
        make_trial(2).configuration.name,
    ]
    assert rows[2]["n_diverged"] == 1
    assert rows[2]["mean"] > rows[0]["mean"]
