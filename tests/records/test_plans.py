from __future__ import annotations

from dataclasses import replace

import pytest

from gridstudy.core.errors import StudyError
from gridstudy.core.subject import Objective
from gridstudy.fashion.subject import SUBJECT
from gridstudy.records.plans import find_plan, plan_path, write_plan
from tests.conftest import DATA

DESCRIPTION = SUBJECT.describe(DATA)


def plan(logdir, experiment, *, seeds=range(5), n_complete=0, description=DESCRIPTION):
    return write_plan(logdir, experiment, description, seeds=seeds, dataset="garments-small", n_complete=n_complete)


def test_a_plan_is_read_back_as_it_was_written(tmp_path, experiment):
    written = plan(tmp_path, experiment)
    read = find_plan(tmp_path, experiment.name)
    assert read == written
    assert read.experiment.configurations[0].budgets == experiment.configurations[0].budgets
    assert read.description.hyperparameters == SUBJECT.search_space.hyperparameters


def test_seeds_are_kept_in_the_order_requested_and_the_first_run_fixes_the_first_look(tmp_path, experiment):
    plan(tmp_path, experiment, seeds=range(10, 14))
    recorded = plan(tmp_path, experiment, seeds=range(12))
    assert recorded.seeds == (10, 11, 12, 13, *range(10))
    assert recorded.first_look == 4


def test_below_three_seeds_the_first_look_is_at_five(tmp_path, experiment):
    plan(tmp_path, experiment, seeds=range(2))
    assert plan(tmp_path, experiment, seeds=range(20)).first_look == 5


def test_a_hypothesis_changed_after_the_run_is_kept_beside_the_new_one(tmp_path, experiment):
    changed = replace(experiment, hypothesis="The opposite.", contrasts=())
    plan(tmp_path, experiment)
    plan(tmp_path, changed, n_complete=3)
    recorded = plan(tmp_path, changed, n_complete=4)
    assert recorded.experiment.hypothesis == "The opposite."
    assert [(s["hypothesis"], s["n_complete"]) for s in recorded.superseded] == [(experiment.hypothesis, 3)]


def test_a_plan_with_the_line_ends_of_windows_is_whole(tmp_path, experiment):
    written = plan(tmp_path, experiment)
    path = plan_path(tmp_path, experiment.name)
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert find_plan(tmp_path, experiment.name) == written


def test_a_damaged_plan_stops_the_runner(tmp_path, experiment):
    plan(tmp_path, experiment)
    path = plan_path(tmp_path, experiment.name)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(StudyError, match="move it away to plan this experiment anew"):
        plan(tmp_path, experiment)


def test_two_subjects_never_share_a_plan(tmp_path, experiment):
    plan(tmp_path, experiment)
    with pytest.raises(StudyError, match="use another --logdir"):
        plan(tmp_path, experiment, description=replace(DESCRIPTION, subject="other"))


def test_an_objective_in_its_own_unit_is_read_back(tmp_path, experiment):
    described = replace(DESCRIPTION, objective=Objective("latency", unit="ms", maximise=False, margin=2.0))
    assert plan(tmp_path, experiment, description=described) == find_plan(tmp_path, experiment.name)
