"""MLflow stores of several versions, read without MLflow and left as they are."""

from __future__ import annotations

import math
import os
import shutil
import sqlite3
import sys
from contextlib import closing

import numpy as np
import pandas as pd
import pytest

from gridstudy.core.errors import StudyError
from gridstudy.records.foreign.roles import propose_roles
from gridstudy.records.foreign.sources import read_results
from tests.records.foreign.results import content_of, make_database, select_runs, unpack

STORES = ("mlflow-3.5", "mlflow-3.17", "mlruns-3.5")


def make_store(sample, folder):
    return unpack(sample, folder) if sample.startswith("mlruns") else make_database(sample, folder)


@pytest.fixture(params=STORES)
def store(request, tmp_path):
    return make_store(request.param, tmp_path)


def test_finished_runs_are_read_and_others_are_counted_by_state(store):
    table = read_results(f"mlflow:{store}", choice="grid")
    runs = table.runs.set_index("run_name").sort_index()
    assert runs.index.tolist() == [f"lr{lr}-seed{seed}" for lr in (0.01, 0.1) for seed in range(3)]
    assert runs["lr"].tolist() == [0.01] * 3 + [0.1] * 3
    assert runs["tag.seed"].tolist() == [0, 1, 2] * 2
    assert runs["config.dropout"].tolist() == [0.005] * 3 + [0.05] * 3
    assert runs["loss"].isna().tolist() == [False, True, False] * 2
    assert (runs["duration_s"] >= 0).all()
    assert sorted(table.problems["state"]) == ["deleted", "failed", "running"]


def test_the_latest_step_counts_not_the_last_line(store):
    runs = read_results(f"mlflow:{store}", choice="grid").runs.set_index("run_name")
    assert runs.loc["lr0.1-seed2", "metric/Accuracy"] == pytest.approx(0.5 + 0.2 + 0.02 - 0.1)


def test_runs_are_selected_and_failed_ones_are_known_by_configuration(store):
    table = read_results(f"mlflow:{store}", choice="grid")
    found = select_runs(
        table, objective="metric/Accuracy", hyperparameters="lr,config.dropout", seed="tag.seed", unit="fraction"
    )
    assert found.runs.groupby("configuration").size().to_dict() == {
        "lr=0.1,config.dropout=0.05": 3, "lr=0.01,config.dropout=0.005": 3,
    }  # fmt: skip
    assert found.options.start
    failed = found.problems.set_index("state")["configuration"]
    assert failed["failed"] == "lr=0.1,config.dropout=0.05"


def test_all_steps_are_read_where_asked_for(store):
    table = read_results(f"mlflow:{store}", choice="grid", with_steps=True)
    found = select_runs(
        table, objective="metric/Accuracy", hyperparameters="lr", seed="tag.seed", unit="fraction", at=1
    )
    assert found.runs["objective"].to_numpy() == pytest.approx(
        found.runs["configuration"].map({"lr=0.1": 0.5, "lr=0.01": 0.59}) + found.runs["seed"].astype(float) / 100
    )


def test_nothing_beside_a_store_changes(store, tmp_path):
    before = content_of(tmp_path)
    read_results(f"mlflow:{store}", choice="grid")
    assert content_of(tmp_path) == before


def test_roles_of_a_store(store):
    roles = {role.name: role.role for role in propose_roles(read_results(f"mlflow:{store}", choice="grid"))}
    assert roles["lr"] == roles["config.dropout"] == "hyperparameter"
    assert (roles["tag.seed"], roles["metric/Accuracy"], roles["config"]) == (
        "seed",
        "objective",
        "derived from others",
    )
    assert {role for name, role in roles.items() if name.startswith("tag.mlflow.")} == {"name"}


def test_the_experiments_are_listed_where_none_or_a_wrong_one_is_chosen(store):
    with pytest.raises(StudyError, match=r"choose one with --from: grid \(8 runs\)|--from: .*grid \(\d runs\)"):
        read_results(f"mlflow:{store}")
    with pytest.raises(StudyError, match="has no experiment 'gird'; did you mean 'grid'"):
        read_results(f"mlflow:{store}", choice="gird")


def test_both_kinds_of_store_hold_the_same_runs(tmp_path):
    columns = ["lr", "config.dropout", "tag.seed", "metric/Accuracy", "loss"]
    tables = []
    for sample in ("mlflow-3.5", "mlruns-3.5"):
        runs = read_results(f"mlflow:{make_store(sample, tmp_path)}", choice="grid").runs
        tables.append(runs.sort_values("run_name").set_index("run_name")[columns])
    pd.testing.assert_frame_equal(*tables)


def test_changes_that_are_still_in_the_write_ahead_log_are_read(tmp_path):
    store = make_database("mlflow-3.5", tmp_path)
    with closing(sqlite3.connect(store)) as writer:
        writer.execute("PRAGMA journal_mode=WAL")
        writer.execute("UPDATE params SET value = '0.7' WHERE key = 'lr'")
        writer.commit()
        before = content_of(tmp_path)
        assert f"{store.name}-wal" in before
        assert set(read_results(f"mlflow:{store}", choice="grid").runs["lr"]) == {0.7}
        assert content_of(tmp_path) == before


def test_infinite_values_are_infinite_again(tmp_path):
    store = make_database("mlflow-3.5", tmp_path)
    with closing(sqlite3.connect(store)) as writer:
        writer.execute("UPDATE metrics SET value = 1.7976931348623157e308 WHERE key = 'loss'")
        writer.commit()
    assert read_results(f"mlflow:{store}", choice="grid").runs["loss"].dropna().eq(math.inf).all()


def test_a_store_that_cannot_be_read_is_one_line(tmp_path):
    (tmp_path / "text.db").write_text("hello")
    (tmp_path / "empty").mkdir()
    with closing(sqlite3.connect(tmp_path / "other.db")) as connection:
        connection.execute("CREATE TABLE x (y)")
    damaged = make_database("mlflow-3.5", tmp_path)
    content = damaged.read_bytes()
    damaged.write_bytes(content[:5000] + b"\xff" * 60_000 + content[65_000:])
    for name, expected in {
        "text.db": "is not a SQLite database", "empty": "is not an MLflow store", "other.db": "no table of experiments",
        damaged.name: "is damaged|cannot be read",
    }.items():  # fmt: skip
        with pytest.raises(StudyError, match=expected) as error:
            read_results(f"mlflow:{tmp_path / name}", choice="grid")
        assert "\n" not in str(error.value)


def test_random_damage_to_a_database_is_read_or_refused_in_one_line(tmp_path):
    content = make_database("mlflow-3.5", tmp_path).read_bytes()
    damaged, n_refused = tmp_path / "damaged.db", 0
    for number in range(60):
        rng = np.random.default_rng(number)
        octets = np.frombuffer(content, np.uint8).copy()
        octets[rng.integers(100, len(octets), 300)] = rng.integers(0, 256, 300)
        damaged.write_bytes(octets.tobytes())
        try:
            read_results(f"mlflow:{damaged}", choice="grid")
        except StudyError as error:
            assert "\n" not in str(error)
            n_refused += 1
    assert n_refused > 30


def test_files_of_file_managers_are_no_metrics(tmp_path):
    store = make_store("mlruns-3.5", tmp_path)
    for run in store.glob("*/*/metrics"):
        (run / ".DS_Store").write_bytes(b"\0\1")
        (run / "._loss").write_bytes(b"\0\1")
    assert len(read_results(f"mlflow:{store}", choice="grid").runs) == 6


def test_an_empty_metric_file_and_a_name_with_line_ends_are_no_traceback(tmp_path):
    store = make_store("mlruns-3.5", tmp_path)
    for path in store.glob("*/*/metrics/loss"):
        path.write_text("")
    for path in store.glob("*/*/params/config"):
        path.write_text(f"two\nlines of {path.parents[1].name}\x1b[31m")
    table = read_results(f"mlflow:{store}", choice="grid")
    assert "loss" not in table.runs
    options = {"objective": "metric/Accuracy", "seed": "tag.seed", "unit": "fraction"}
    names = select_runs(table, hyperparameters="lr,config", **options).configurations.index
    assert all(name.isprintable() and "two lines of" in name for name in names)


def test_a_damaged_metric_file_is_named_with_its_row(tmp_path):
    store = make_store("mlruns-3.5", tmp_path)
    (path, *_) = store.glob("*/*/metrics/loss")
    path.write_text("1700000000 0.5 0\nnonsense\n")
    with pytest.raises(StudyError, match="loss: row 2 is not an MLflow metric: 'nonsense'"):
        for experiment in ("grid", "other"):
            read_results(f"mlflow:{store}", choice=experiment)


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write everywhere")
def test_a_store_in_a_folder_without_write_permission(tmp_path):
    store = make_database("mlflow-3.5", tmp_path)
    store.chmod(0o444)
    tmp_path.chmod(0o555)
    try:
        assert len(read_results(f"mlflow:{store}", choice="grid").runs) == 6
    finally:
        tmp_path.chmod(0o755)


def test_mlflow_itself_is_not_imported(tmp_path):
    import subprocess

    store = shutil.move(make_database("mlflow-3.17", tmp_path), tmp_path / "store")
    code = (
        "import sys; from gridstudy.records.foreign.sources import read_results; "
        f"read_results('mlflow:{store}', choice='grid'); "
        "assert not {'mlflow', 'sqlalchemy', 'torch'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
