from __future__ import annotations

import math
import shutil
from dataclasses import replace

import pytest

from gridstudy.core.errors import StudyError
from gridstudy.core.trial import TrialState
from gridstudy.fashion.subject import SUBJECT
from gridstudy.records.attempts import find_attempts, start_attempt
from gridstudy.records.tables import load_records
from gridstudy.records.trials import ERROR_FILE, LOG_FILE, RESULT_FILE, read_result, trial_folder
from gridstudy.running.launchers import InProcessLauncher, Started
from gridstudy.running.lock import lock_logdir
from gridstudy.running.planning import plan_trials, record_plans, recorded_dataset
from gridstudy.running.progress import StudyTracker
from gridstudy.running.runner import best_configurations, run_study
from tests.conftest import DATA, FakeTrainer, fake_result


def _run(logdir, experiment, trainer, seeds=range(2), launcher=None, **options):
    planned = plan_trials([experiment], seeds, subject=SUBJECT, data=DATA, logdir=logdir)
    return run_study(
        planned,
        logdir=logdir,
        train=trainer,
        launcher=launcher or InProcessLauncher(),
        progress=StudyTracker(),
        **options,
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


def test_trials_go_seed_by_seed_and_the_longest_come_first_within_a_seed(tmp_path, experiment):
    planned = plan_trials([experiment], range(2), subject=SUBJECT, data=DATA, logdir=tmp_path)
    order = [(p.trial.seed, -p.trial.configuration.work) for p in planned]
    assert order == sorted(order)


def test_a_configuration_that_two_experiments_share_is_trained_once(tmp_path, experiment):
    planned = plan_trials([experiment, experiment], range(3), subject=SUBJECT, data=DATA, logdir=tmp_path)
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
        def run(self, function, jobs, **options):
            for n, event in enumerate(super().run(function, jobs, **options)):
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


def test_a_failed_attempt_leaves_its_log_beside_its_error(tmp_path, experiment, make_trial):
    trial = make_trial(1, 1)
    folder = trial_folder(tmp_path, trial)
    trainer = FakeTrainer(tmp_path)

    def train(trials, *, attempt):
        if trials == (trial,):
            own = start_attempt(folder, attempt=attempt, owner="abc")
            (own / LOG_FILE).write_text(f"log of attempt {attempt}")
            raise RuntimeError("no luck")
        return trainer(trials, attempt=attempt)

    _run(tmp_path, experiment, train, owner="abc")
    assert {path.name for path in folder.iterdir()} == {LOG_FILE, ERROR_FILE}
    assert "The end of the log:\nlog of attempt 2" in (folder / ERROR_FILE).read_text()
    assert not list(find_attempts(tmp_path))


def test_a_damaged_result_is_planned_again_with_the_reason(tmp_path, experiment, make_trial):
    _run(tmp_path, experiment, FakeTrainer(tmp_path))
    (trial_folder(tmp_path, make_trial()) / RESULT_FILE).write_bytes(b"")
    planned = plan_trials([experiment], range(2), subject=SUBJECT, data=DATA, logdir=tmp_path)
    (damaged,) = [p for p in planned if p.state is not TrialState.COMPLETE]
    assert damaged.trial == make_trial()
    assert "empty or cut short" in damaged.note


def test_a_lock_that_is_lost_midway_ends_the_study_before_the_next_trial(tmp_path, experiment):
    trainer = FakeTrainer(tmp_path)

    def check():
        if len(trainer.trained) == 3:
            raise StudyError("the lock is lost")

    with pytest.raises(StudyError, match="the lock is lost"):
        _run(tmp_path, experiment, trainer, check=check)
    assert len(trainer.trained) == 3


def test_a_log_directory_that_is_deleted_during_a_study_is_no_complete_study(tmp_path, experiment):
    logdir = tmp_path / "logs"

    class Deleting(FakeTrainer):
        def __call__(self, trials, *, attempt):
            done = super().__call__(trials, attempt=attempt)
            if len(self.trained) == 8:
                shutil.rmtree(logdir)
            return done

    with (
        lock_logdir(logdir, warn=pytest.fail) as lock,
        pytest.raises(StudyError, match="was deleted while it was in use"),
    ):
        _run(logdir, experiment, Deleting(logdir), check=lock.check)


def test_an_interruption_carries_the_number_of_complete_trials_on_the_disk(tmp_path, experiment):
    class Interrupted(FakeTrainer):
        def __call__(self, trials, *, attempt):
            done = super().__call__(trials, attempt=attempt)
            if len(self.trained) == 3:  # recorded, and the runner has not heard of it
                raise KeyboardInterrupt
            return done

    with pytest.raises(KeyboardInterrupt, match="3 of 8 trials complete"):
        _run(tmp_path, experiment, Interrupted(tmp_path))


def test_plans_for_two_datasets_need_a_choice(tmp_path, experiment):
    assert recorded_dataset(tmp_path) is None
    for name in ("garments", "garments-small"):
        data = replace(DATA, identity=replace(DATA.identity, dataset=name))
        record_plans(tmp_path, [experiment], subject=SUBJECT, data=data, seeds=range(2))
        if name == "garments":
            assert recorded_dataset(tmp_path) == "garments"
    with pytest.raises(StudyError, match="holds records of garments and garments-small; say which with --dataset"):
        recorded_dataset(tmp_path)


def test_the_best_come_first_and_the_unstable_last(tmp_path, experiment, make_trial):
    lucky = replace(fake_result(make_trial(2)), score=0.99)
    results = [
        *[lucky] * 9,
        fake_result(make_trial(2, 5), diverged=True),
        fake_result(make_trial(0, 1)),
        fake_result(make_trial(1, 0)),
    ]
    rows = best_configurations(experiment, results, SUBJECT.objective)
    assert [row["configuration"].name for row in rows] == [
        make_trial(0).configuration.name,
        make_trial(1).configuration.name,
        make_trial(2).configuration.name,
    ]
    assert rows[2]["n_diverged"] == 1
    assert rows[2]["mean"] > rows[0]["mean"]


def test_the_work_of_a_trial_is_that_of_the_plan_though_records_do_not_know_it(tmp_path, experiment):
    class Watching(StudyTracker):
        seen = ()

        def start(self, *, n_trials, results, work_left):
            self.seen += tuple(result.trial.configuration.work for result in results)
            super().start(n_trials=n_trials, results=results, work_left=work_left)

        def trial_finished(self, result, run):
            self.seen += (result.trial.configuration.work,)
            super().trial_finished(result, run)

    class FromDisk(FakeTrainer):
        def __call__(self, trials, *, attempt):
            super().__call__(trials, attempt=attempt)
            return [read_result(trial_folder(self.logdir, trial) / RESULT_FILE) for trial in trials]

    work = sorted(configuration.work for configuration in experiment.configurations)
    for _ in range(2):
        planned = plan_trials([experiment], range(1), subject=SUBJECT, data=DATA, logdir=tmp_path)
        progress = Watching()
        run_study(
            planned, logdir=tmp_path, train=FromDisk(tmp_path), launcher=InProcessLauncher(), progress=progress
        )  # fmt: skip
        assert sorted(progress.seen) == work
        assert progress.work() == (sum(work), sum(work))


def test_scores_that_nobody_knows_leave_the_others_their_mean(experiment, make_trial):
    unknown = [replace(fake_result(make_trial(0, seed), diverged=True), score=float("nan")) for seed in range(2)]
    rows = best_configurations(experiment, [*unknown, fake_result(make_trial(0, 2))], SUBJECT.objective)
    assert [(row["n"], row["n_diverged"], row["sd"]) for row in rows] == [(3, 2, None)]
    assert rows[0]["mean"] == fake_result(make_trial(0, 2)).score
    (row,) = best_configurations(experiment, unknown, SUBJECT.objective)
    assert math.isnan(row["mean"])
