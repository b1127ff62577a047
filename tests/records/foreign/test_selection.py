"""Which runs are analysed, and the one line for each thing that may be wrong with the options or the file."""

from __future__ import annotations

import math
import time

import numpy as np
import pandas as pd
import pytest

from gridstudy.core.errors import StudyError
from gridstudy.records.foreign.delimited import table_of_frame
from gridstudy.records.foreign.selection import RUN_COLUMNS
from gridstudy.records.foreign.sources import read_results
from tests.records.foreign.results import make_grid, select_runs

GRID = {"objective": "acc", "hyperparameters": "lr,batch_size", "unit": "fraction"}


def select(frame, **options):
    return select_runs(table_of_frame(frame, "r.csv"), **{**GRID, **options})


def refused(frame, **options):
    with pytest.raises(StudyError) as error:
        select(frame, **options)
    assert "\n" not in str(error.value)
    return str(error.value)


# --- runs and configurations ---------------------------------------------------------------------------------------


def test_runs_and_configurations_of_a_grid():
    found = select(make_grid(), seed="seed")
    assert tuple(found.runs.columns) == RUN_COLUMNS
    assert found.configurations.index.tolist() == [
        "lr=0.1,batch_size=16", "lr=0.1,batch_size=32", "lr=0.01,batch_size=16", "lr=0.01,batch_size=32",
    ]  # fmt: skip
    assert found.configurations["batch_size"].tolist() == [16, 32, 16, 32]
    assert found.varying == ("lr", "batch_size")
    assert found.runs.groupby("configuration").size().eq(4).all()
    assert found.runs["row"].tolist() == list(range(2, 18))
    assert (found.margin, found.points_per_unit) == (0.005, 100)
    assert found.problems.empty
    assert found.warnings == ()
    assert found.options.start is None


def test_a_configuration_is_named_by_what_differs_and_an_empty_cell_is_a_value():
    frame = make_grid(dropout=[None, 0.5] * 8, kind=["a"] * 16)
    found = select(frame, hyperparameters="lr,dropout,kind", ignore="batch_size")
    assert found.configurations.index.tolist()[:2] == ["lr=0.1,dropout=none", "lr=0.1,dropout=0.5"]
    assert found.configurations["dropout"].tolist()[:2] == ["none", 0.5]
    assert found.varying == ("lr", "dropout")


def test_numbers_that_print_alike_are_one_value():
    frame = make_grid()
    frame.loc[0, "lr"] = 0.1 + 1e-16 * 3
    frame["shift"] = [0.0, -0.0] * 8
    found = select(frame, hyperparameters="lr,batch_size,shift")
    assert len(found.configurations) == 4
    assert found.varying == ("lr", "batch_size")
    assert found.notes == ("lr: 3 values are 2 after rounding to ten significant digits",)


def test_the_first_objective_that_a_run_has():
    frame = make_grid().assign(test_acc=[0.5] * 8 + [None] * 8)
    found = select(frame, objective="test_acc,acc")
    assert found.runs["objective"].tolist()[:8] == [0.5] * 8
    assert found.runs["objective"].tolist()[8:] == pytest.approx(frame["acc"][8:])


def test_each_column_of_a_pattern_is_a_replicate():
    frame = make_grid(seeds=[0]).assign(
        **{f"split{i}_test_score": np.linspace(0.5, 0.6, 4) + i / 100 for i in range(5)}
    )
    found = select(frame, objective="split*_test_score", folds=5)
    assert found.pattern == "split*_test_score"
    assert found.options.folds == 5
    assert len(found.runs) == 20
    assert found.runs[found.runs["row"] == 2]["objective"].tolist() == pytest.approx([0.5, 0.51, 0.52, 0.53, 0.54])
    assert sorted(found.runs["fold"].unique()) == [0, 1, 2, 3, 4]
    assert "must match at least two columns; it matches none" in refused(frame, objective="fold*_score")


def test_a_condition_and_a_cost():
    frame = make_grid(dataset=["x", "y"] * 8, n_params=[1, 2] * 8)
    found = select(frame, by="dataset", cost="n_params")
    assert found.runs["condition"].tolist()[:2] == ["x", "y"]
    assert found.runs["cost"].tolist()[:2] == [1, 2]


def test_rows_without_a_number_are_problems_with_their_configuration():
    frame = make_grid().astype({"acc": object})
    frame.loc[[0, 5, 9], "acc"] = [None, "OOM", math.inf]
    found = select(frame, seed="seed")
    assert len(found.runs) == 13
    assert found.problems["path"].tolist() == ["r.csv: row 2", "r.csv: row 7", "r.csv: row 11"]
    assert found.problems["reason"].tolist() == ["its objective is missing or no number"] * 2 + [
        "its objective is infinite"
    ]
    assert found.problems["configuration"].tolist() == [
        "lr=0.1,batch_size=16", "lr=0.1,batch_size=32", "lr=0.01,batch_size=16",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("where", "n"),
    [("lr=0.1", 8), ("lr=1e-1", 8), ("lr!=0.1", 8), ("note=none", 8), ("note!=none", 8), (["lr=0.1", "seed!=0"], 6)],
)
def test_rows_are_filtered(where, n):
    assert len(select(make_grid(note=["a", None] * 8), where=where).runs) == n


def test_a_number_among_words_is_filtered_however_it_is_written():
    frame = make_grid(loss=["999.0", "OOM", *[f"{i / 10}" for i in range(14)]])
    found = select(frame, objective="loss", unit="nats", margin=0.1, where=["loss!=999", "loss!=OOM"])
    assert len(found.runs) == 14


def test_runs_that_did_not_finish_are_never_counted_unasked():
    frame = make_grid(status=["FINISHED"] * 15 + ["FAILED"])
    assert refused(frame, seed="seed") == (
        "r.csv: column 'status' says that some runs did not finish; give --where 'status=FINISHED', or "
        "--ignore status to count them"
    )
    assert len(select(frame, seed="seed", where="status=FINISHED").runs) == 15
    assert len(select(frame, seed="seed", ignore="status").runs) == 16


def test_a_mean_with_its_spread_is_no_run():
    frame = make_grid(acc=["0.80 \u00b1 0.01"] * 16)
    assert refused(frame).endswith(
        "row 2 has '0.80 \u00b1 0.01', a mean over runs, and an analysis needs a row per run"
    )


# --- epochs --------------------------------------------------------------------------------------------------------


def curves():
    """Two models, two seeds, four epochs in any order; the best epoch is the third."""
    values = {1: 0.5, 2: 0.6, 3: 0.9, 4: 0.7}
    frame = pd.DataFrame(
        {"model": model, "seed": seed, "epoch": epoch, "acc": value}
        for model in "AB" for seed in (0, 1) for epoch, value in values.items()
    )  # fmt: skip
    return frame.sample(frac=1, random_state=0).reset_index(drop=True)


def test_epochs_are_never_counted_as_replicates():
    frame = pd.concat([make_grid().assign(epoch=epoch) for epoch in range(3)])
    assert refused(frame, ignore="seed") == (
        "r.csv: rows 2 and 18 differ in 'epoch' (0, 1), and epochs of one run are not replicates; give --epoch epoch, "
        "or --ignore epoch if each row is a run"
    )
    assert "give --epoch epoch" in refused(frame, seed="seed")
    ended_early = make_grid(epoch=[3, 5, 7, 9] * 4)
    assert len(select(ended_early, seed="seed").runs) == 16


def test_the_last_epoch_is_the_largest_not_the_last_row():
    found = select(curves(), hyperparameters="model", seed="seed", epoch="epoch")
    assert found.runs["objective"].tolist() == [0.7] * 4
    assert found.best_excess is None


def test_the_best_epoch_comes_with_its_excess_over_the_last():
    found = select(curves(), hyperparameters="model", seed="seed", epoch="epoch", at="best")
    assert found.runs["objective"].tolist() == [0.9] * 4
    assert found.best_excess == pytest.approx(0.2)
    least = select(curves(), hyperparameters="model", seed="seed", epoch="epoch", at="best", minimise=True)
    assert least.runs["objective"].tolist() == [0.5] * 4


def test_a_run_without_the_epoch_asked_for_is_a_problem():
    frame = curves()
    frame = frame[~((frame["model"] == "A") & (frame["seed"] == 0) & (frame["epoch"] > 2))]
    found = select(frame, hyperparameters="model", seed="seed", epoch="epoch", at=3)
    assert len(found.runs) == 3
    assert found.problems["reason"].tolist() == ["it ends at epoch 2, before epoch 3"]
    assert found.problems["configuration"].tolist() == ["model=A"]
    last = select(frame, hyperparameters="model", seed="seed", epoch="epoch")
    assert last.warnings == ("1 of 4 runs end before epoch 4",)


def test_runs_without_a_seed_are_told_apart_by_their_names():
    frame = curves().assign(run_id=lambda f: f["model"] + f["seed"].astype(str))
    found = select(frame, hyperparameters="model", epoch="epoch", ignore="seed")
    assert len(found.runs) == 4
    message = refused(frame.drop(columns="run_id"), hyperparameters="model", epoch="epoch", ignore="seed")
    assert "of model=" in message
    assert "name the column that tells runs apart with --seed, --block or --by" in message


# --- what is refused -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (
            {"hyperparameters": "lr,batchsize"},
            "r.csv has no column 'batchsize' (--hyperparameters); did you mean 'batch_size'?",
        ),
        ({"seed": "xyz"}, "r.csv has no column 'xyz' (--seed); its columns are lr, batch_size, seed, acc"),
        ({"seed": "lr"}, "r.csv: column 'lr' cannot be both --hyperparameters and --seed"),
        ({"where": "lr>3"}, "--where must be COLUMN=VALUE or COLUMN!=VALUE; got 'lr>3'"),
        ({"where": "LR=3"}, "r.csv has no column 'LR' (--where); did you mean 'lr'?"),
        ({"where": "lr=3"}, "r.csv: no row has lr=3; lr is 0.1, 0.01"),
        ({"at": "best"}, "at best needs an epoch column; name it with --epoch"),
        ({"at": "first"}, "at must be last, best or the number of an epoch; got 'first'"),
        ({"folds": 1}, "folds must be a whole number of at least 2; got 1"),
        ({"margin": 0}, "margin must be a number above 0; got 0"),
        ({"unit": None}, "the smallest difference that matters must be given: --margin in the unit of acc"),
        ({"objective": ""}, "objective must be column names, separated by commas or as a list; got ''"),
        ({"objective": "acc,s*"}, "a pattern stands alone as the objective; got 'acc,s*'"),
    ],
)
def test_wrong_options_are_one_line(options, expected):
    assert expected in refused(make_grid(), **options)


def test_rows_unlike_in_a_possible_setting_are_no_replicates():
    frame = make_grid(total_params=[100, 200] * 8)
    assert refused(frame, seed="seed") == (
        "r.csv: rows 2 and 3 are alike in lr, batch_size but not in 'total_params' (100, 200), so they are not "
        "replicates; add total_params to --hyperparameters, or --ignore total_params"
    )
    assert len(select(frame, seed="seed", ignore="total_params").runs) == 16
    assert len(select(frame, seed="seed", hyperparameters="lr,batch_size,total_params").configurations) == 8
    assert "add dataset to --hyperparameters, --by dataset, or --ignore dataset" in refused(
        make_grid(dataset=["x", "y"] * 8)
    )


def test_results_times_and_names_are_no_settings():
    frame = make_grid(
        auc=np.random.default_rng(0).random(16), run_name=[f"r{i}" for i in range(16)], fit_time=range(16)
    )
    assert len(select(frame, seed="seed").runs) == 16


def test_two_rows_of_one_configuration_and_seed_are_refused_with_a_hint():
    twice = pd.concat([make_grid(), make_grid()], ignore_index=True)
    message = refused(twice, seed="seed")
    assert message.startswith("r.csv: rows 2 and 18 are both lr=0.1,batch_size=16 with seed 0")
    assert "--where" in message
    sessions = twice.assign(session=[1] * 16 + [2] * 16)
    assert "column 'session' tells such rows apart: --block session" in refused(sessions, seed="seed")
    assert len(select(sessions, seed="seed", block="session").runs) == 32


def test_a_row_without_a_seed_is_named():
    frame = make_grid()
    frame.loc[3, "seed"] = None
    assert "column 'seed' is empty in row 5; --where 'seed!=none' leaves such rows out" in refused(frame, seed="seed")
    assert len(select(frame, seed="seed", where="seed!=none").runs) == 15


def test_a_table_of_means_is_refused():
    means = make_grid(seeds=[0]).drop(columns="seed").rename(columns={"acc": "acc_mean"}).assign(acc_std=0.01)
    assert "column 'acc_mean' holds means over runs, and an analysis needs a row per run" in refused(
        means, objective="acc_mean"
    )
    folds = make_grid(seeds=[0]).rename(columns={"acc": "mean_test_score"})
    folds = folds.assign(std_test_score=0.1, split0_test_score=0.5, split1_test_score=0.6)
    assert "--objective 'split*_test_score' names them" in refused(folds, objective="mean_test_score")


# --- units and warnings --------------------------------------------------------------------------------------------


def test_a_fraction_outside_its_range_is_refused_with_its_row():
    frame = make_grid()
    frame.loc[4, "acc"] = 81.5
    assert "with --unit fraction values lie between 0 and 1; acc has 81.5 in row 6" in refused(frame)


def test_percent_and_own_units():
    percent = select(make_grid().assign(acc=lambda f: 100 * f["acc"]), unit="percent")
    assert (percent.margin, percent.points_per_unit, percent.warnings) == (
        0.5,
        1,
        ("column 'seed' may be a seed, which decides what a replicate is: --seed seed",),
    )
    assert (
        "no value of acc is above 1; --unit fraction may be meant"
        in select(make_grid(), unit="percent", seed="seed").warnings
    )
    own = select(make_grid(), unit="kWh", margin=0.1)
    assert (own.margin, own.points_per_unit) == (0.1, 1)
    assert select(make_grid(), margin=1).margin == 0.01


def test_a_loss_without_minimise_is_warned_about():
    frame = make_grid().rename(columns={"acc": "val_loss"})
    options = {"objective": "val_loss", "unit": "nats", "margin": 0.1, "seed": "seed"}
    assert select(frame, **options).warnings == ("'val_loss' looks like a loss, where less is better: --minimise",)
    assert select(frame, minimise=True, **options).warnings == ()


def test_far_outliers_are_named_and_kept():
    frame = make_grid().rename(columns={"acc": "val_loss"})
    frame.loc[7, "val_loss"] = 999
    found = select(frame, objective="val_loss", unit=None, margin=0.1, minimise=True, seed="seed")
    assert found.warnings == ("far from all others: 999 in row 9; --where leaves rows out",)
    assert len(found.runs) == 16


@pytest.mark.slow
def test_a_large_file_is_read_in_time(tmp_path):
    rng, n = np.random.default_rng(0), 100_000
    frame = pd.DataFrame({"lr": rng.choice([0.1, 0.01], n), "acc": rng.random(n), "seed": np.arange(n)})
    more = pd.DataFrame(rng.random((n, 150)).round(6), columns=[f"m{i}" for i in range(150)])
    texts = pd.DataFrame({f"t{i}": rng.choice(["a", "b"], n) for i in range(47)})
    pd.concat([frame, more, texts], axis=1).to_csv(tmp_path / "large.csv", index=False)
    started_s = time.process_time()
    table = read_results(str(tmp_path / "large.csv"))
    found = select_runs(table, objective="acc", hyperparameters="lr", seed="seed", unit="fraction",
                        ignore=[f"t{i}" for i in range(47)])  # fmt: skip
    assert time.process_time() - started_s < 20
    assert len(found.runs) == n
