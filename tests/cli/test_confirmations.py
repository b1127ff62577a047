from __future__ import annotations

from dataclasses import replace

import pytest

from gridstudy.cli.confirmations import choose_confirmations, confirmation_results, plan_confirmations, restrict
from gridstudy.core.errors import StudyError
from gridstudy.records.records import load_records, read_confirmation
from gridstudy.running.launchers import InProcessLauncher
from gridstudy.running.progress import StudyTracker
from gridstudy.running.runner import plan_trials, record_plans, run_study
from gridstudy.statistics.estimates import analyse
from tests.conftest import DATA, FakeTrainer


@pytest.fixture
def run(tmp_path, experiment):
    def run(planned, confirmations=()):
        record_plans(tmp_path, [experiment], list(confirmations))
        return run_study(
            planned, logdir=tmp_path, train=FakeTrainer(tmp_path), launcher=InProcessLauncher(), progress=StudyTracker()
        )

    return run


def _plan_fresh(experiment, chosen, tmp_path):
    return plan_confirmations(restrict([experiment], chosen), chosen, data=DATA, logdir=tmp_path)


def test_the_tied_set_is_frozen_and_run_on_as_many_fresh_seeds(run, tmp_path, experiment):
    run(plan_trials([experiment], range(4), data=DATA, logdir=tmp_path))
    chosen = choose_confirmations([experiment], logdir=tmp_path, data=DATA)
    assert chosen[0].selection_seeds == (0, 1, 2, 3)
    assert chosen[0].fresh_seeds == (1000, 1001, 1002, 1003)
    summary = run(_plan_fresh(experiment, chosen, tmp_path), chosen)
    assert summary.n_run == 4 * len(chosen[0].configurations)
    assert read_confirmation(tmp_path, experiment.name) == chosen[0]


def test_a_frozen_selection_stays_whatever_seeds_come_later(run, tmp_path, experiment):
    run(plan_trials([experiment], range(3), data=DATA, logdir=tmp_path))
    chosen = choose_confirmations([experiment], logdir=tmp_path, data=DATA)
    run(_plan_fresh(experiment, chosen, tmp_path), chosen)
    run(plan_trials([experiment], range(6), data=DATA, logdir=tmp_path))
    assert choose_confirmations([experiment], logdir=tmp_path, data=DATA) == chosen


def test_fresh_seeds_are_reported_apart_and_enter_no_other_estimate(run, tmp_path, experiment):
    run(plan_trials([experiment], range(4), data=DATA, logdir=tmp_path))
    before = analyse(load_records(tmp_path))
    chosen = choose_confirmations([experiment], logdir=tmp_path, data=DATA)
    run(_plan_fresh(experiment, chosen, tmp_path), chosen)
    after = analyse(load_records(tmp_path))
    assert after.summary.equals(before.summary)
    table, problems = confirmation_results(tmp_path, after)
    assert problems == []
    assert list(table["configuration"]) == list(chosen[0].configurations)
    assert set(table["n"]) == {4}
    assert table["is_best"].sum() == 1


def test_too_few_seeds_or_other_data_are_refused(run, tmp_path, experiment):
    run(plan_trials([experiment], range(2), data=DATA, logdir=tmp_path))
    with pytest.raises(StudyError, match="takes 3 seeds of two_by_two; got 2"):
        choose_confirmations([experiment], logdir=tmp_path, data=DATA)
    with pytest.raises(StudyError, match="got 0"):
        choose_confirmations([replace(experiment, name="other")], logdir=tmp_path, data=DATA)
    with pytest.raises(StudyError, match="differ from this run in validation"):
        choose_confirmations([experiment], logdir=tmp_path, data={**DATA, "validation": "test"})


def test_a_damaged_selection_is_named_and_left_out(run, tmp_path, experiment):
    run(plan_trials([experiment], range(3), data=DATA, logdir=tmp_path))
    (tmp_path / "confirmations").mkdir()
    (tmp_path / "confirmations" / "two_by_two.toml").write_text("experiment = ")
    with pytest.raises(StudyError, match="delete it to choose anew"):
        choose_confirmations([experiment], logdir=tmp_path, data=DATA)
    assert len(confirmation_results(tmp_path, analyse(load_records(tmp_path)))[1]) == 1
