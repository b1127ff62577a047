"""Contrasts: by hand, and against scipy."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from gridstudy.statistics.results.configurations import identify_configurations
from gridstudy.statistics.results.contrasts import (
    NOT_COMPARED,
    Arm,
    average_groups,
    compare_arms,
    compare_pairs,
    fold_factor,
)
from gridstudy.statistics.results.replicates import find_replicates


def replicates_of(runs, **roles):
    return find_replicates(runs, identify_configurations(runs, ["a"]), score=runs["y"].astype(float), **roles)


def in_order(order, scores):
    return pd.DataFrame({"a": order, "y": scores, "t": range(len(order))})


def pair(replicates, first=0, second=1):
    found = compare_pairs(replicates, np.array([first]), np.array([second]))
    return found.differences, found.labels[0]


def test_pairs_share_seed_and_block_and_a_seed_counts_once():
    rows = [(a, s, b, 10 * s + 100 * b + a * (s + 1)) for s in range(3) for b in range(2) for a in (0, 1)]
    runs = pd.DataFrame(rows, columns=["a", "s", "b", "y"]).drop(1)
    found, label = pair(replicates_of(runs, seed="s", block="b"))
    # differences by seed: -1 (in one block only), -2 and -3 (in both)
    assert (found.n[0], found.mean[0], found.sd[0], label) == (3, -2, 1, "paired")


def test_configurations_are_paired_over_passes_that_hold_both():
    generator = np.random.default_rng(1)
    runs = in_order([0, 1, 1, 0, 0, 1, 0, 1], generator.standard_normal(8))
    found, label = pair(replicates_of(runs, start="t"))
    table = runs.assign(p=np.repeat(range(4), 2)).pivot(index="p", columns="a", values="y")
    assert label == "paired"
    expected = stats.ttest_rel(table[0], table[1], alternative="greater")
    assert found.one_sided_p()[0] == pytest.approx(expected.pvalue)


def test_passes_with_less_than_three_quarters_of_the_runs_leave_welch():
    # configuration 0 runs five times, three of them in passes with 1: less than three quarters
    runs = in_order([0, 1, 0, 1, 0, 1, 0, 0], [1.0, 2.0, 1.3, 2.1, 0.8, 2.4, 1.1, 0.9])
    found, label = pair(replicates_of(runs, start="t"))
    zero, one = (runs.loc[runs["a"] == a, "y"] for a in (0, 1))
    assert label == "unpaired"
    expected = stats.ttest_ind(zero, one, equal_var=False, alternative="less")
    assert found.opposite_p()[0] == pytest.approx(expected.pvalue)


def test_where_passes_differ_what_cannot_be_paired_is_not_compared():
    """Configuration 2 ran three times before the sessions, which differ by far."""
    order = [2, 2, 2, *[0, 1, 3] * 4]
    generator = np.random.default_rng(2)
    session = np.array([0, 0, 0, *np.repeat([10.0, 20, 30, 40], 3)])
    replicates = replicates_of(in_order(order, session + generator.normal(0, 0.1, 15)), start="t")
    assert replicates.passes_differ
    names = {2: 0, 0: 1, 1: 2, 3: 3}
    found, label = pair(replicates, names[0], names[2])
    assert label == NOT_COMPARED
    assert found.one_sided_p()[0] == found.opposite_p()[0] == 1
    assert pair(replicates, names[0], names[1])[1] == "paired"


def test_folds_widen_the_interval_by_one_and_a_half_for_five():
    generator = np.random.default_rng(3)
    rows = [(a, s, generator.standard_normal()) for s in range(5) for a in (0, 1)]
    runs = pd.DataFrame(rows, columns=["a", "fold", "y"])
    plain, _ = pair(replicates_of(runs, seed="fold"))
    folds, _ = pair(replicates_of(runs, seed="fold", folds=5))
    assert folds.half_width(0.95)[0] == pytest.approx(1.5 * plain.half_width(0.95)[0])
    assert fold_factor(np.array([25.0]), 5)[0] == pytest.approx(np.sqrt(1 + 25 / 4))


def test_arms_are_averaged_within_each_replicate():
    rows = [(a, s, [1, 2, 4][s] * a) for s in range(3) for a in range(4)]
    replicates = replicates_of(pd.DataFrame(rows, columns=["a", "s", "y"]), seed="s")
    found = compare_arms(replicates, [(Arm.average([2, 3]), Arm.average([0, 1]))]).differences
    # (2 + 3) / 2 - (0 + 1) / 2 = 2, times 1, 2 and 4
    assert (found.n[0], found.mean[0]) == (3, pytest.approx(14 / 3))
    assert found.sd[0] == pytest.approx(np.std([2, 4, 8], ddof=1))


def test_an_arm_needs_all_its_configurations_in_a_replicate():
    rows = [(a, s, a + s * a) for s in range(4) for a in range(3)]
    runs = pd.DataFrame(rows, columns=["a", "s", "y"]).drop(2)
    found = compare_arms(replicates_of(runs, seed="s"), [(Arm.average([1, 2]), Arm.average([0]))])
    assert found.differences.n[0] == 3


def test_unpaired_arms_of_one_configuration_are_compared_by_welch():
    generator = np.random.default_rng(4)
    runs = pd.DataFrame({"a": [0] * 5 + [1] * 4 + [2] * 3, "y": generator.standard_normal(12)})
    replicates = replicates_of(runs)
    arms = compare_arms(replicates, [(Arm.average([0]), Arm.average([1]))]).differences
    pairs, _ = pair(replicates)
    for name in ("n", "mean", "standard_error", "degrees_of_freedom"):
        assert getattr(arms, name) == pytest.approx(getattr(pairs, name))


def test_unpaired_arms_add_the_variances_of_their_configurations():
    runs = pd.DataFrame({"a": [0, 0, 0, 1, 1, 1, 2, 2, 2], "y": [1, 2, 3, 4, 6, 8, 1, 2, 3]})
    found = compare_arms(replicates_of(runs), [(Arm.average([0, 1]), Arm.average([2]))]).differences
    # s^2 / n: 1/3, 4/3 and 1/3; a quarter of the first two, and the last
    parts = np.array([1 / 12, 4 / 12, 4 / 12])
    assert found.mean[0] == 2
    assert found.standard_error[0] ** 2 == pytest.approx(parts.sum())
    assert found.degrees_of_freedom[0] == pytest.approx(parts.sum() ** 2 / np.sum(parts**2 / 2))


def test_an_empty_arm_is_not_compared():
    rows = [(a, s, a + s * a) for s in range(4) for a in range(2)]
    runs = pd.DataFrame(rows, columns=["a", "s", "y"])
    for roles in ({"seed": "s"}, {}):
        found = compare_arms(replicates_of(runs, **roles), [(Arm.average([]), Arm.average([]))])
        assert not found.differences.testable[0]
        assert found.labels[0].startswith("fewer than 3")


def test_groups_are_averaged_over_what_is_there():
    values = np.array([[1.0, np.nan], [3.0, np.nan], [5.0, 7.0]])
    np.testing.assert_equal(average_groups(values, np.array([0, 0, 1])), [[2, np.nan], [5, 7]])
