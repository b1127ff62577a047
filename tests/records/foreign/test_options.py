"""The `[results]` table of a study file."""

from __future__ import annotations

import tomllib

import pytest

from gridstudy.core.errors import StudyError
from gridstudy.records.foreign.delimited import table_of_frame
from gridstudy.records.foreign.options import ResultOptions, parse_results_table
from gridstudy.records.foreign.selection import select_with
from tests.records.foreign.results import make_grid

TABLE = """
file = "results.csv"
objective = "acc"
hyperparameters = ["lr", "batch_size"]
seed = "seed"
where = "lr!=0.1"
unit = "fraction"
margin = 1
"""


def test_a_table_gives_the_same_options_as_the_command_line():
    options = parse_results_table(tomllib.loads(TABLE))
    assert options == ResultOptions(
        objective=("acc",), hyperparameters=("lr", "batch_size"), seed="seed", where=("lr!=0.1",), unit="fraction",
        margin=1.0,
    )  # fmt: skip
    assert len(select_with(table_of_frame(make_grid()), options).runs) == 8


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("hyperparameter = 'lr'", "unknown key 'hyperparameter' in [results]; did you mean 'hyperparameters'"),
        ("seed = 3", "seed must be a text; got 3"), ("minimise = 'yes'", "minimise must be true or false; got 'yes'"),
        ("objective = [1]", "objective must be column names, separated by commas or as a list; got [1]"),
        ("folds = 1", "folds must be a whole number of at least 2; got 1"),
        ("margin = nan", "margin must be a number above 0; got nan"),
        ("at = 'first'", "at must be last, best or the number of an epoch; got 'first'"),
    ],
)  # fmt: skip
def test_a_wrong_key_or_value_is_one_line(line, expected):
    with pytest.raises(StudyError) as error:
        parse_results_table(tomllib.loads(line))
    assert expected in str(error.value)


def test_at_takes_a_word_or_an_epoch():
    assert [parse_results_table({"at": at}).at for at in ("last", "best", 3, "3")] == ["last", "best", 3, 3]
