"""Optuna storages of versions 4 and 5, read by whichever Optuna is installed."""

from __future__ import annotations

import shutil
import sys

import pytest

from gridstudy.core.errors import StudyError
from gridstudy.records.foreign.optuna_storage import read_optuna
from gridstudy.records.foreign.roles import propose_roles
from gridstudy.records.foreign.sources import read_results
from tests.records.foreign.results import SAMPLES, content_of, make_database, select_runs


@pytest.fixture(params=["optuna-4.db", "optuna-5.db", "optuna-4.journal", "optuna-5.journal"])
def storage(request, tmp_path):
    pytest.importorskip("optuna")
    sample, _, kind = request.param.rpartition(".")
    if kind == "db":
        return make_database(sample, tmp_path)
    return shutil.copy(SAMPLES / request.param, tmp_path / request.param)


def test_complete_trials_are_read_and_others_are_counted(storage, tmp_path):
    before = content_of(tmp_path)
    table = read_results(f"optuna:{storage}", choice="width")
    assert table.runs["width"].tolist() == [16, 32, 32, 64]
    assert table.runs["value"].to_numpy() == pytest.approx([0.16, 0.321, 0.322, 0.643])
    assert table.runs["seed"].tolist() == [0, 1, 0, 1]
    assert table.problems["state"].tolist() == ["pruned", "fail"]
    assert not table.minimised
    assert table.adaptive_sampler
    assert content_of(tmp_path) == before


def test_trials_are_selected(storage):
    table = read_results(f"optuna:{storage}", choice="width")
    roles = {role.name: role.role for role in propose_roles(table)}
    assert (roles["value"], roles["width"], roles["seed"]) == ("objective", "hyperparameter", "seed")
    found = select_runs(table, objective="value", hyperparameters="width", unit="fraction")
    assert found.runs.groupby("configuration").size().to_dict() == {"width=16": 1, "width=32": 2, "width=64": 1}
    assert found.adaptive_sampler


def test_intermediate_values_are_read_where_asked_for(storage):
    table = read_results(f"optuna:{storage}", choice="width", with_steps=True)
    found = select_runs(table, objective="intermediate", hyperparameters="width", unit="fraction", at=1)
    assert found.runs["objective"].to_numpy() == pytest.approx([0.26, 0.42, 0.42, 0.74])


def test_the_studies_are_listed_where_none_or_a_wrong_one_is_chosen(storage):
    with pytest.raises(StudyError, match="holds 2 studies; choose one with --from: "):
        read_results(f"optuna:{storage}")
    with pytest.raises(StudyError, match="has no study 'with'; did you mean 'width'"):
        read_results(f"optuna:{storage}", choice="with")
    with pytest.raises(StudyError, match="holds no complete trial"):
        read_results(f"optuna:{storage}", choice="empty")


def test_a_file_that_is_no_storage_is_one_line(tmp_path):
    pytest.importorskip("optuna")
    (tmp_path / "text.db").write_text("hello")
    with pytest.raises(StudyError) as error:
        read_results(f"optuna:{tmp_path / 'text.db'}")
    assert "\n" not in str(error.value)
    assert [path.name for path in tmp_path.iterdir()] == ["text.db"]


def test_without_optuna_it_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(StudyError, match="Optuna storages need Optuna: pip install optuna"):
        read_optuna(tmp_path / "x.db")
