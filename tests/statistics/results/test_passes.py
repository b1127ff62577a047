"""Passes: where one ends, and the F test of what differs between them, against statsmodels."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from statsmodels.formula.api import ols

from gridstudy.statistics.results.passes import analyse_passes, is_run_in_turn, number_passes


def test_a_pass_ends_where_a_configuration_comes_again():
    order = np.array([0, 1, 2, 1, 0, 0, 2])
    assert number_passes(order, pd.Series(range(7))).tolist() == [0, 0, 0, 1, 1, 2, 2]


def test_runs_are_sorted_by_start_first():
    starts = pd.Series(pd.to_datetime(["2024-01-03", "2024-01-01", "2024-01-02"]))
    assert number_passes(np.array([0, 1, 0]), starts).tolist() == [1, 0, 0]


@pytest.mark.parametrize(
    ("order", "in_turn"), [([0, 0, 1, 1], True), ([0, 1, 0, 1], False), ([0, 1, 2], False), ([0, 0], False)]
)
def test_configurations_run_in_turn_are_recognised(order, in_turn):
    assert is_run_in_turn(np.array(order), pd.Series(range(len(order)))) is in_turn


def test_the_f_test_is_that_of_an_unbalanced_two_way_analysis():
    generator = np.random.default_rng(0)
    runs = pd.DataFrame([(c, p) for c in range(4) for p in range(5)], columns=["c", "p"]).drop([3, 8, 14])
    runs["y"] = generator.standard_normal(len(runs)) + 0.5 * runs["p"] + runs["c"]
    expected = sm.stats.anova_lm(ols("y ~ C(c) + C(p)", runs).fit(), typ=2).loc["C(p)"]
    found = analyse_passes(runs["y"].to_numpy(), runs["c"].to_numpy(), runs["p"].to_numpy())
    assert (found.n_passes, found.df1, found.df2) == (5, 4, 9)
    assert pytest.approx(expected["F"]) == found.F
    assert found.p == pytest.approx(expected["PR(>F)"])


def test_passes_that_explain_everything_differ():
    configuration, passes = np.tile(np.arange(3), 4), np.repeat(np.arange(4), 3)
    assert analyse_passes(1.0 * configuration + passes, configuration, passes).differ
    assert not analyse_passes(1.0 * configuration, configuration, passes).differ


def test_without_runs_left_over_nothing_is_tested():
    found = analyse_passes(np.array([1.0, 2.0, 3.0]), np.array([0, 0, 1]), np.array([0, 1, 1]))
    assert np.isnan(found.p)
    assert not found.differ
