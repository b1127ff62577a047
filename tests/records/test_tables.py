from __future__ import annotations

import shutil
from dataclasses import replace

import pytest

from gridstudy.core.space import Hyperparameter, SearchSpace
from gridstudy.fashion.subject import SUBJECT
from gridstudy.records.comparison import compare_outcomes
from gridstudy.records.plans import write_plan
from gridstudy.records.tables import load_records
from gridstudy.records.trials import ERROR_FILE, trial_folder, write_result
from tests.conftest import DATA, fake_result, fake_run
from tests.records.test_trials import complete


def plan(logdir, experiment, subject=SUBJECT):
    write_plan(logdir, experiment, subject.describe(DATA), seeds=range(5), dataset="garments-small", n_complete=0)


def test_tables_have_a_row_per_trial_and_epoch_and_name_what_is_unfinished(tmp_path, make_trial, experiment):
    plan(tmp_path, experiment)
    complete(tmp_path, make_trial(0))
    complete(tmp_path, make_trial(1, seed=4), diverged=True)
    trial_folder(tmp_path, make_trial(2)).mkdir(parents=True)
    failed = trial_folder(tmp_path, make_trial(3))
    failed.mkdir(parents=True)
    (failed / ERROR_FILE).write_text("Traceback\nRuntimeError: no luck\n")
    records = load_records(tmp_path)
    assert sorted(records.trials["seed"]) == [0, 4]
    assert records.trials.set_index("seed").loc[4, "objective"] == 0.1
    assert len(records.curves) == 4
    assert sorted(records.problems["state"]) == ["failed", "interrupted"]
    assert "RuntimeError: no luck" in set(records.problems["reason"])


def test_the_objective_s_curve_is_called_objective_also_without_a_plan(tmp_path, make_trial):
    complete(tmp_path, make_trial())
    curves = load_records(tmp_path).curves
    assert list(curves.columns[4:]) == ["validation_loss", "train_loss", "objective", "duration_s"]


@pytest.mark.parametrize("name", ["{} - Copy", "{} (1)", "{}_backup", "{}.sync-conflict-20260101"])
def test_a_copy_beside_a_trial_is_listed_and_not_analysed(tmp_path, make_trial, name):
    folder = complete(tmp_path, make_trial()).parent
    shutil.copytree(folder, folder.with_name(name.format(folder.name)))
    records = load_records(tmp_path)
    assert len(records.trials) == 1
    assert list(records.problems["state"]) == ["copy"]
    assert f"is a copy of {make_trial().trial_id}" in records.problems["reason"][0]


def test_a_copy_of_a_configuration_or_of_a_whole_log_directory_is_listed_too(tmp_path, make_trial):
    folder = complete(tmp_path, make_trial()).parent
    shutil.copytree(folder.parent, tmp_path / f"{folder.parent.name} - Copy")
    shutil.copytree(folder.parent, tmp_path / "backup" / folder.parent.name)
    assert list(load_records(tmp_path).problems["state"]) == ["copy", "copy"]


def test_a_trial_that_was_moved_is_listed_as_moved(tmp_path, make_trial):
    folder = complete(tmp_path, make_trial()).parent
    folder.rename(folder.with_name("elsewhere"))
    records = load_records(tmp_path)
    assert len(records.trials) == 0
    assert list(records.problems["state"]) == ["moved"]


def test_files_that_systems_leave_are_passed_over(tmp_path, make_trial):
    folder = complete(tmp_path, make_trial()).parent
    for name in ("._result.toml", ".DS_Store"):
        (folder / name).write_bytes(b"\0")
        (tmp_path / name).write_bytes(b"\0")
    shutil.copytree(folder, tmp_path / ".stversions" / folder.name)
    records = load_records(tmp_path)
    assert len(records.trials) == 1
    assert records.problems.empty


def test_records_made_before_a_hyperparameter_existed_have_its_default(tmp_path, make_trial):
    complete(tmp_path, make_trial())
    space = SUBJECT.search_space
    wider = SearchSpace((*space.hyperparameters, Hyperparameter("dropout", 0.0, low=0.0, high=0.9)), space.complete)
    subject = replace(SUBJECT, space=wider)
    plan(tmp_path, subject.parse({"name": "new", "grid": {"dropout": [0.0, 0.5]}}), subject)
    assert load_records(tmp_path).trials["dropout"].tolist() == [0.0]


def test_outcomes_compare_equal_whatever_the_run_and_name_what_differs(tmp_path, make_trial):
    for name in ("a", "b"):
        complete(tmp_path / name, make_trial(0), diverged=True)
    assert compare_outcomes(tmp_path / "a", tmp_path / "b") == []
    complete(tmp_path / "a", make_trial(1))
    folder = trial_folder(tmp_path / "b", make_trial(0))
    write_result(folder, replace(fake_result(make_trial(0)), test_score=0.5), fake_run())
    lines = compare_outcomes(tmp_path / "a", tmp_path / "b")
    assert len(lines) == 2
    assert any("only in" in line for line in lines)
    assert any("test_score" in line for line in lines)
