from __future__ import annotations

from dataclasses import replace

import pytest

from gridstudy.cli.confirmations import choose_confirmations, confirmation_results, plan_confirmations, restrict
from gridstudy.core.errors import StudyError
from gridstudy.fashion.subject import SUBJECT
from gridstudy.records.plans import read_confirmation
from gridstudy.records.tables import load_records
from gridstudy.running.launchers import InProcessLauncher
from gridstudy.running.planning import plan_trials, record_confirmations, record_plans
from gridstudy.running.progress import StudyTracker
from gridstudy.running.runner import run_study
from gridstudy.statistics.estimates import analyse
from tests.conftest import DATA, FakeTrainer


@pytest.fixture
def run(tmp_path, experiment):
    def run(planned, confirmations=()):
        if confirmations:
            record_confirmations(tmp_path, confirmations)
        else:
            seeds = list(dict.fromkeys(p.trial.seed for p in planned))
            record_plans(tmp_path, [experiment], subject=SUBJECT, data=DATA, seeds=seeds)
        return run_study(
            planned, logdir=tmp_path, train=FakeTrainer(tmp_path), launcher=InProcessLauncher(), progress=StudyTracker()
        )

    return run


def _plan_fresh(experiment, chosen, tmp_path):
    return plan_confirmations(restrict([experiment], chosen), chosen, subject=SUBJECT, data=DATA, logdir=tmp_path)


def test_the_tied_set_is_frozen_and_run_on_as_many_fresh_seeds(run, tmp_path, experiment):
    run(plan_trials([experiment], range(4), subject=SUBJECT, data=DATA, logdir=tmp_path))
    chosen = choose_confirmations([experiment], logdir=tmp_path, subject=SUBJECT, data=DATA)
    assert chosen[0].selection_seeds == (0, 1, 2, 3)
    assert chosen[0].fresh_seeds == (1000, 1001, 1002, 1003)
    summary = run(_plan_fresh(experiment, chosen, tmp_path), chosen)
    assert summary.n_run == 4 * len(chosen[0].configurations)
    assert read_confirmation(tmp_path, experiment.name) == chosen[0]


def test_a_frozen_selection_stays_whatever_seeds_come_later(run, tmp_path, experiment):
    run(plan_trials([experiment], range(3), subject=SUBJECT, data=DATA, logdir=tmp_path))
    chosen = choose_confirmations([experiment], logdir=tmp_path, subject=SUBJECT, data=DATA)
    run(_plan_fresh(experiment, chosen, tmp_path), chosen)
    run(plan_trials([experiment], range(6), subject=SUBJECT, data=DATA, logdir=tmp_path))
    assert choose_confirmations([experiment], logdir=tmp_path, subject=SUBJECT, data=DATA) == chosen


def test_fresh_seeds_are_reported_apart_and_enter_no_other_estimate(run, tmp_path, experiment):
    run(plan_trials([experiment], range(4), subject=SUBJECT, data=DATA, logdir=tmp_path))
    before = analyse(load_records(tmp_path))
    chosen = choose_confirmations([experiment], logdir=tmp_path, subject=SUBJECT, data=DATA)
    run(_plan_fresh(experiment, chosen, tmp_path), chosen)
    after = analyse(load_records(tmp_path))
    assert after.summary.equals(before.summary)
    table, problems = confirmation_results(tmp_path, after)
    assert problems == []
    assert list(table["configuration"]) == list(chosen[0].configurations)
    assert set(table["n"]) == {4}
    assert table["is_best"].sum() == 1


def test_too_few_seeds_or_other_data_are_refused(run, tmp_path, experiment):
    run(plan_trials([experiment], range(2), subject=SUBJECT, data=DATA, logdir=tmp_path))
    with pytest.raises(StudyError, match="it has 2 seeds; run the experiment first"):
        choose_confirmations([experiment], logdir=tmp_path, subject=SUBJECT, data=DATA)
    with pytest.raises(StudyError, match="it has 0 seeds"):
        choose_confirmations([replace(experiment, name="other")], logdir=tmp_path, subject=SUBJECT, data=DATA)
    with pytest.raises(StudyError, match="differ from this run in validation"):
        choose_confirmations(
            [experiment],
            logdir=tmp_path,
            subject=SUBJECT,
            data=replace(DATA, identity=replace(DATA.identity, validation="test")),
        )


def test_a_damaged_selection_is_named_and_left_out(run, tmp_path, experiment):
    run(plan_trials([experiment], range(3), subject=SUBJECT, data=DATA, logdir=tmp_path))
    (tmp_path / "confirmations").mkdir()
    (tmp_path / "confirmations" / "two_by_two.toml").write_text("experiment = ")
    with pytest.raises(StudyError, match="delete it to choose anew"):
        choose_confirmations([experiment], logdir=tmp_path, subject=SUBJECT, data=DATA)
    assert len(confirmation_results(tmp_path, analyse(load_records(tmp_path)))[1]) == 1
