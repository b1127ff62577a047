"""Configurations: which runs are alike, their names, and what is alike in all else."""

import numpy as np
import pandas as pd
import pytest

from gridstudy.core.errors import StudyError
from gridstudy.statistics.results.configurations import check_columns, format_setting, identify_configurations


def test_a_name_shows_every_setting_that_differs_and_no_other():
    runs = pd.DataFrame({"lr": [0.1, 0.001, 0.1], "units": [64.0, 32.0, 64.0], "epochs": [5, 5, 5]})
    found = identify_configurations(runs, ["lr", "units", "epochs"])
    assert found.names == ["lr=0.1,units=64", "lr=0.001,units=32"]
    assert found.codes.tolist() == [0, 1, 0]
    assert found.labels == {"lr": ("0.001", "0.1"), "units": ("32", "64")}
    assert found.settings["epochs"].tolist() == [5, 5]


def test_an_empty_cell_is_a_value_of_its_own_and_comes_last():
    runs = pd.DataFrame({"dropout": [np.nan, 0.5, np.nan], "act": ["relu", None, "relu"]})
    found = identify_configurations(runs, ["dropout", "act"])
    assert found.names == ["dropout=none,act=relu", "dropout=0.5,act=none"]
    assert found.labels["dropout"] == ("0.5", "none")


def test_numbers_are_ordered_by_size_and_before_text():
    runs = pd.DataFrame({"size": ["10", "9", "auto", "100"]})
    assert identify_configurations(runs, ["size"]).labels["size"] == ("9", "10", "100", "auto")


def test_a_number_in_text_equals_the_number():
    runs = pd.DataFrame({"size": pd.Series([1, "1", 1.0], dtype=object)})
    assert identify_configurations(runs, ["size"]).names == ["all runs"]


def test_contexts_are_equal_exactly_where_all_other_hyperparameters_are():
    runs = pd.DataFrame([(a, b, c) for a in (1, 2) for b in (1, 2, 3) for c in "xy"], columns=["a", "b", "c"])
    found = identify_configurations(runs, ["a", "b", "c"])
    for named in (["a"], ["b"], ["a", "c"]):
        rest = [name for name in "abc" if name not in named]
        expected = runs.groupby(rest).ngroup().to_numpy()
        contexts = found.contexts(named)
        assert ((contexts[:, None] == contexts) == (expected[:, None] == expected)).all()


def test_without_varying_hyperparameters_all_runs_are_one_configuration():
    found = identify_configurations(pd.DataFrame({"a": [1, 1]}), ["a"])
    assert found.names == ["all runs"]
    assert found.codes.tolist() == [0, 0]


@pytest.mark.parametrize(
    ("value", "label"),
    [(0.001, "0.001"), (64.0, "64"), (1e-5, "1e-05"), (True, "True"), (None, "none"), (np.nan, "none"), ("x", "x")],
)
def test_settings_are_written_short(value, label):
    assert format_setting(value) == label


def test_an_unknown_column_is_refused_with_similar_names():
    with pytest.raises(StudyError, match="unknown column 'learning_rat'; choose from learning_rate"):
        check_columns(pd.DataFrame(columns=["learning_rate", "units"]), ["units", "learning_rat"])
