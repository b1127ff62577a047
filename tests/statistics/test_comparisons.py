"""Comparisons: numbers worked out by hand, then against scipy and statsmodels."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import TTestIndPower, TTestPower

from gridstudy.statistics.comparisons import (
    COMPARISON_COLUMNS,
    compare_pairs,
    deficit_bounds,
    describe,
    detectable_effects,
    differences,
    expected_maximum,
    format_seeds,
    holm,
    is_skewed,
    objective_table,
    paired_differences,
    recommend,
    seeds_needed,
    seeds_to_recommend,
    tied_set,
)
from tests.tables import join_records, make_foreign, make_records


def table(index="seed", **columns):
    return pd.DataFrame(columns).rename_axis(index).astype(float)


THREE_SEEDS = table(a=[0.80, 0.82, 0.84], b=[0.79, 0.80, 0.81])


def test_a_paired_interval_on_three_seeds_is_the_one_worked_out_by_hand():
    row = compare_pairs(THREE_SEEDS).iloc[0]
    assert tuple(row.index) == COMPARISON_COLUMNS
    # differences 1, 2, 3 points: mean 2, standard deviation 1; t(.975, 2) = 4.302653
    assert row["difference"] == pytest.approx(0.02)
    assert row["difference_sd"] == pytest.approx(0.01)
    assert row["low"] == pytest.approx(0.02 - 4.302653 * 0.01 / 3**0.5)
    assert row["high"] == pytest.approx(0.02 + 4.302653 * 0.01 / 3**0.5)
    # with two degrees of freedom p = 1 - t / sqrt(t^2 + 2), t = 2 sqrt(3)
    assert row["p"] == pytest.approx(1 - 12**0.5 / 14**0.5)
    assert row["correlation"] == pytest.approx(1.0)
    assert row["unpaired_sd"] == pytest.approx(0.0005**0.5)
    assert (row["n"], row["label"], row["paired"]) == (3, "paired", True)


def test_paired_differences_keep_the_common_seeds_only():
    a, b = pd.Series({0: 0.8, 1: 0.9, 2: 0.7}), pd.Series({1: 0.85, 2: 0.7, 3: 0.1})
    assert paired_differences(a, b).to_dict() == pytest.approx({1: 0.05, 2: 0.0})


def test_unknown_seeds_give_welchs_interval():
    a, b = [0.80, 0.82, 0.84, 0.81], [0.79, 0.70, 0.81, np.nan]
    row = compare_pairs(table("replicate", a=a, b=b)).iloc[0]
    welch = stats.ttest_ind(a, b[:3], equal_var=False)
    interval = welch.confidence_interval(0.95)
    assert row["p"] == pytest.approx(welch.pvalue)
    assert (row["low"], row["high"]) == pytest.approx((interval.low, interval.high))
    assert (row["label"], row["paired"], row["n"]) == ("unpaired", False, 3)
    assert np.isnan(row["correlation"])


@pytest.mark.parametrize(
    ("a", "b", "label"),
    [
        ([0.8, 0.9, 0.7], [0.8, 0.9, 0.7], "identical records"),
        ([0.8, 0.9, 0.7], [0.7, 0.8, 0.6], "constant difference"),
        ([0.8, 0.9, np.nan], [0.7, 0.6, 0.6], "fewer than 3 common seeds"),
        ([0.8, np.nan, np.nan], [np.nan, 0.8, 0.6], "fewer than 3 common seeds"),
    ],
)
def test_what_cannot_be_tested_has_a_label_and_neither_interval_nor_p(a, b, label):
    row = compare_pairs(table(a=a, b=b)).iloc[0]
    assert row["label"] == label
    assert row[["low", "high", "p"]].isna().all()


def test_an_unstable_configuration_is_compared_with_nothing():
    row = compare_pairs(THREE_SEEDS, unstable=["b"]).iloc[0]
    assert (row["label"], row["seeds_needed"]) == ("unstable", "")
    assert row[["low", "high", "p"]].isna().all()


def test_below_three_seeds_the_plan_rests_on_an_assumed_spread():
    pair = table(a=[0.82], b=[0.80])
    # two standard deviations: 4.2 seeds
    assert compare_pairs(pair, assumed_sd=0.01).loc[0, "seeds_needed"] == "5"
    assert compare_pairs(pair).loc[0, "seeds_needed"] == ""


def test_all_pairs_are_compared_once_in_order():
    pairs = compare_pairs(table(a=[1, 2, 3], b=[2, 2, 4], c=[0, 1, 1]))
    assert list(zip(pairs["a"], pairs["b"], strict=True)) == [("a", "b"), ("a", "c"), ("b", "c")]
    assert compare_pairs(table(a=[1, 2, 3])).empty


def test_holm_by_hand():
    # sorted .01 x 3, .03 x 2, .04 x 1; the last may not fall below the one before
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.6]).tolist() == [1.0, 1.0]
    assert holm([]).tolist() == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
@settings(deadline=None, max_examples=20)
def test_holm_agrees_with_statsmodels(p):
    assert holm(p) == pytest.approx(multipletests(p, method="holm")[1])


def test_holm_takes_several_families_at_once():
    families = np.array([[0.01, 0.04, 0.03], [0.5, 0.001, 0.6]])
    assert holm(families).tolist() == [holm(family).tolist() for family in families]


def test_normal_differences_are_seldom_called_skewed_and_skewed_ones_often():
    generator = np.random.default_rng(3)
    normal = [is_skewed(generator.standard_normal(20)) for _ in range(1000)]
    skewed = [is_skewed(generator.gamma(1.0, size=20)) for _ in range(1000)]
    # three binomial standard errors at 1 %
    assert np.mean(normal) < 0.01 + 3 * (0.01 * 0.99 / 1000) ** 0.5
    assert np.mean(skewed) > 0.4


def test_too_few_or_equal_differences_are_not_called_skewed():
    assert not is_skewed(np.array([0.0, 9.0, np.nan]))
    assert not is_skewed(np.full(8, 0.1))


def test_describe_by_hand():
    found = describe(np.array([[1.0, 5.0], [2.0, np.nan], [3.0, np.nan]]))
    assert found.mean.tolist() == [2.0, 5.0]
    assert found.sd[0] == 1.0
    assert found.high[0] == pytest.approx(2 + 4.302653 / 3**0.5)
    assert np.isnan([found.sd[1], found.low[1]]).all()


# --- the best ------------------------------------------------------------------------------------------------------


def test_the_tied_set_leaves_out_only_what_another_beats():
    # best - near: mean 1, sd 1, t = sqrt(3): p .11; best - far: mean 10, sd 1, t = 17.3: p .0017 < .05 / 2
    objectives = table(near=[0.80, 0.81, 0.82], far=[0.69, 0.73, 0.74], best=[0.80, 0.82, 0.84])
    objectives["far"] = objectives["best"] - [0.09, 0.10, 0.11]
    assert tied_set(objectives) == ["near", "best"]


def test_only_configurations_with_three_seeds_are_ranked_and_the_others_block_nothing():
    objectives = table(best=[0.9, 0.91, 0.93], lucky=[0.99, np.nan, np.nan], never=[np.nan] * 3)
    assert tied_set(objectives) == ["best"]
    assert deficit_bounds(objectives) == {"best": 0.0}
    assert recommend(objectives, costs={"best": 2.0, "lucky": 1.0}, margin=0.005) == "best"
    assert np.isnan(seeds_to_recommend(objectives, margin=0.005, assumed_sd=0.01))


def test_where_nothing_has_three_seeds_all_that_have_records_may_be_the_best():
    objectives = table(best=[0.9, 0.91], once=[0.5, np.nan], never=[np.nan] * 2)
    assert tied_set(objectives) == ["best", "once"]
    assert tied_set(objectives[["best"]]) == ["best"]
    assert tied_set(objectives[[]]) == []


@given(st.integers(0, 10_000), st.integers(2, 8), st.integers(3, 6))
@settings(deadline=None, max_examples=20)
def test_the_tied_set_holds_the_highest_mean(seed, k, n):
    values = np.random.default_rng(seed).normal(0, 1, (n, k)).cumsum(axis=1)
    objectives = pd.DataFrame(values, columns=[f"c{i}" for i in range(k)]).rename_axis("seed")
    assert objectives.mean().idxmax() in tied_set(objectives)


def test_deficit_bounds_by_hand():
    # a - b: mean 2 points, standard error .57735; one comparison, so t(.95, 2) = 2.919986
    bounds = deficit_bounds(THREE_SEEDS)
    half = 2.919986 * 0.01 / 3**0.5
    # b is not in the tied set (t = 3.46 > 2.92), so that a has no rival
    assert bounds == pytest.approx({"a": 0.0, "b": 0.02 + half})


def test_the_cheapest_within_the_margin_is_recommended():
    base = np.array([0.80, 0.82, 0.84, 0.83, 0.81])
    wiggle = np.array([1, -1, 0, 1, -1]) * 1e-4
    objectives = table(dear=base, cheap=base - 0.001 + wiggle, poor=base - 0.05 + 2 * wiggle)
    costs = {"dear": 9.0, "cheap": 2.0, "poor": 1.0}
    assert recommend(objectives, costs=costs, margin=0.005) == "cheap"
    assert recommend(objectives, costs=costs, margin=0.0005) == "dear"


def test_nothing_is_recommended_while_a_rival_may_be_better_by_more_than_the_margin():
    objectives = table(a=[0.80, 0.84, 0.82, 0.86], b=[0.84, 0.80, 0.83, 0.82])
    assert recommend(objectives, costs={"a": 1.0, "b": 2.0}, margin=0.005) is None
    few = table(a=[0.80, 0.84], b=[0.84, 0.80])
    assert recommend(few, costs={"a": 1.0, "b": 2.0}, margin=0.005) is None


def test_seeds_to_recommend_has_its_power_against_all_rivals_at_once():
    generator = np.random.default_rng(1)
    noise = generator.standard_normal((8, 5))
    noise = (noise - noise.mean(axis=0)) / noise.std(axis=0, ddof=1)
    objectives = pd.DataFrame(0.8 + 0.004 * noise, columns=list("abcde")).rename_axis("seed")
    n = int(seeds_to_recommend(objectives, margin=0.005, assumed_sd=np.nan))
    factor = np.linalg.cholesky(np.cov(objectives.to_numpy().T) + 1e-12 * np.eye(5))
    drawn = generator.standard_normal((300, n, 5)) @ factor.T
    found = [recommend(table(**dict(zip("abcde", d.T, strict=True))), costs=dict.fromkeys("abcde", 1.0), margin=0.005)
             for d in drawn]  # fmt: skip
    # three binomial standard errors below 80 %
    assert np.mean([name is not None for name in found]) > 0.8 - 3 * (0.8 * 0.2 / 300) ** 0.5


def test_seeds_to_recommend_is_the_power_of_the_hardest_rival():
    objectives = table(a=[0.80, 0.82, 0.81, 0.82], b=[0.80, 0.81, 0.82, 0.81])
    d = objectives["a"] - objectives["b"]
    exact = TTestPower().solve_power((d.mean() + 0.005) / d.std(), power=0.8, alpha=0.05, alternative="larger")
    assert seeds_to_recommend(objectives, margin=0.005, assumed_sd=9.0) == np.ceil(exact)
    assumed = seeds_to_recommend(table(a=[0.8], b=[0.8]), margin=0.01, assumed_sd=0.01)
    assert assumed == np.ceil(TTestPower().solve_power(1.0, power=0.8, alpha=0.05, alternative="larger"))


# --- power ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [3, 5, 10, 100])
def test_detectable_effects_agree_with_statsmodels(n):
    assert detectable_effects()[n - 3] == pytest.approx(
        TTestPower().solve_power(nobs=n, power=0.8, alpha=0.05), rel=1e-5
    )
    unpaired = TTestIndPower().solve_power(nobs1=n, power=0.8, alpha=0.05) / 2**0.5
    assert detectable_effects(paired=False)[n - 3] == pytest.approx(unpaired, rel=1e-5)


def test_strict_levels_do_not_upset_the_noncentral_t():
    effects = np.array(detectable_effects(alpha=0.05 / 36 / 7))
    assert (np.diff(effects) < 0).all()
    assert stats.nct.sf(stats.t.isf(0.025 / 36 / 7, 4), 4, effects[2] * 5**0.5) == pytest.approx(0.8, abs=1e-3)


def test_seeds_needed_is_the_fewest_with_enough_power():
    # five seeds find 1.68 standard deviations, four 2.0
    assert seeds_needed(1.69, 1.0) == 5
    assert seeds_needed(-1.66, 1.0) == 6
    assert seeds_needed(np.array([0.1, 0.0]), np.array([1.0, 1.0])).tolist() == [np.inf, np.inf]
    assert np.isnan(seeds_needed(np.array([0.1, np.nan]), np.array([0.0, 1.0]))).all()
    assert [format_seeds(n) for n in (12.0, np.inf, np.nan)] == ["12", ">100", ""]


def test_expected_maximum_of_normals():
    assert expected_maximum(1) == pytest.approx(0, abs=1e-9)
    assert expected_maximum(2) == pytest.approx(1 / np.pi**0.5)
    assert expected_maximum(36) == pytest.approx(2.1181, abs=1e-3)


# --- tables --------------------------------------------------------------------------------------------------------


def test_the_objective_table_has_the_plans_order_and_no_confirmation_seeds_and_no_foreign_trials():
    records = make_records(["epochs"], n_seeds=3, missing=[("epochs=3", 1)])
    fresh = make_records(["epochs"], n_seeds=3, first_seed=1000)
    trials = join_records(records, fresh, make_foreign(records)).trials
    objectives = objective_table(trials, records.plans[0].experiment, sign=1)
    assert list(objectives.columns) == ["epochs=3", "baseline", "epochs=10"]
    assert list(objectives.index) == [0, 1, 2]
    assert objectives.isna().sum().sum() == 1


def test_differences_ignore_seeds_that_only_one_has():
    pair = differences(table(a=[1, 2, 3, 9], b=[0, 0, 0, np.nan]), ["a"], ["b"])
    assert (pair.n[0], pair.mean[0]) == (3, 2.0)
