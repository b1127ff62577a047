"""Tied sets, bounds and recommendations over looks."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from gridstudy.statistics.looks import Schedule
from gridstudy.statistics.ranking import pair_bounds, racing_arms, rank_at_looks

MARGIN = 0.005


def noise(n, k, sd=0.001, seed=0):
    return np.random.default_rng(seed).normal(0, sd, (n, k))


def table(means, n, sd=0.001, seed=0):
    values = 0.8 + np.asarray(means) + noise(n, len(means), sd, seed)
    return pd.DataFrame(values, columns=[f"c{i}" for i in range(len(means))]).rename_axis("seed")


def schedule(n, n0=5):
    return Schedule(tuple(range(n)), n0)


def rank(objectives, **options):
    costs = {name: float(i) for i, name in enumerate(objectives.columns)}
    return rank_at_looks(objectives, schedule(len(objectives)), costs=costs, margin=MARGIN, **options)


def race(objectives, n=None, **options):
    costs = {name: float(i) for i, name in enumerate(objectives.columns)}
    plan = schedule(n or len(objectives))
    return racing_arms("widths", objectives, plan, costs=costs, margin=MARGIN, **options)


def test_pair_bounds_are_one_sided_t_bounds():
    rows = table([0.0, 0.01], 5)
    low, high = pair_bounds(rows, level=0.05 * 0.8)
    d = rows["c1"] - rows["c0"]
    half = stats.t.isf(0.04, 4) * d.std() / 5**0.5
    assert (low[1, 0], high[1, 0]) == pytest.approx((d.mean() - half, d.mean() + half))
    assert low[0, 1] == pytest.approx(-high[1, 0])


def test_what_is_shown_worse_is_left_out_with_its_look():
    found = rank(table([0.0, -0.05, -0.0004], 10))
    assert found.left_out["c1"] == 1
    assert "c1" not in found.tied
    assert (found.look, found.n_seeds, found.n_ranked) == (2, 10, 3)
    assert found.recommended == "c0"


def test_once_left_out_stays_out_whatever_later_seeds_say():
    objectives = table([0.0, -0.05], 10)
    objectives.loc[5:, "c1"] += 0.3
    found = rank(objectives)
    assert (found.tied, found.left_out) == (("c0",), {"c1": 1})


def test_a_bound_is_the_least_over_the_looks():
    early = rank(table([0.0, -0.002], 5))
    objectives = table([0.0, -0.002], 10)
    objectives.loc[5:] += noise(5, 2, sd=0.1)
    late = rank(objectives)
    assert late.bounds["c1"] == pytest.approx(early.bounds["c1"])


def test_levels_are_shared_by_the_looks_and_the_rivals():
    objectives = table([0.001, 0.0, 0.0], 5)
    d = objectives["c0"] - objectives["c1"]
    upper = d.mean() + stats.t.isf(0.05 * 0.8 / 2, 4) * d.std() / 5**0.5
    assert rank(objectives).bounds["c1"] >= upper - 1e-12
    assert rank(objectives[["c0", "c1"]]).bounds["c1"] < upper


def test_one_lucky_seed_is_incomplete_and_blocks_nothing():
    objectives = table([0.0, -0.02, 0.1], 5)
    objectives.loc[1:, "c2"] = np.nan
    found = rank(objectives)
    assert (found.best, found.recommended, found.incomplete) == ("c0", "c0", {"c2": 1})
    assert found.n_ranked == 2


def test_unstable_configurations_are_in_no_ranking():
    found = rank(table([0.0, 0.05], 5), diverged={"c1": [2]})
    assert (found.best, found.tied, found.incomplete) == ("c0", ("c0",), {})


def test_between_two_looks_the_earlier_one_holds():
    objectives = table([0.0, -0.001, -0.0005], 10, sd=0.01)
    objectives.loc[8:, "c2"] = np.nan
    assert rank(objectives).look == 1


def test_unresolved_rankings_get_advice_and_resolved_ones_none():
    assert rank(table([0.0, 0.0], 5, sd=0.02)).advice.in_words("recommendation") != ""
    assert rank(table([0.0, -0.05], 5)).advice.in_words("recommendation") == ""


def test_no_records_rank_nothing():
    found = rank(table([0.0, 0.0], 2))
    assert (found.look, found.best, found.tied, found.recommended) == (0, None, (), None)
    assert found.incomplete == {"c0": 2, "c1": 2}


def test_a_race_starts_with_all_and_goes_on_with_the_tied():
    need = race(table([0.0, -0.001, -0.001], 2))
    assert (need.configurations, need.n_seeds, need.seeds) == (("c0", "c1", "c2"), 5, (0, 1, 2, 3, 4))
    need = race(table([-0.5, 0.0, 0.0], 5, sd=0.02))
    assert (need.configurations, need.n_seeds) == (("c1", "c2"), 10)
    assert need.seeds == tuple(range(10))


def test_a_cheaper_one_races_on_while_it_may_lie_within_the_margin():
    objectives = table([0.0, 0.02, 0.02], 5, sd=0.002)
    wiggle = np.array([1, -1, 2, -2, 0]) * 1e-3
    # worse than c1, by less than the margin as it seems; c1 and c2 are unresolved
    objectives["c1"], objectives["c2"] = 0.82 + 4 * wiggle, 0.82 - 4 * wiggle[::-1]
    objectives["c0"] = objectives["c1"] - 0.004 + wiggle
    found = rank(objectives)
    assert found.left_out == {"c0": 1}
    assert found.bounds["c0"] > MARGIN > found.deficits["c0"]
    assert race(objectives).configurations == ("c0", "c1", "c2")
    objectives["c0"] -= 0.02
    assert race(objectives).configurations == ("c1", "c2")


def test_a_race_ends_with_a_recommendation_or_at_the_limit():
    assert race(table([0.0, -0.05], 5)) is None
    unresolved = table([0.0, 0.0], 5, sd=0.02)
    assert race(unresolved, most_seeds=10).n_seeds == 10
    assert race(unresolved, most_seeds=9) is None
    assert race(table([0.0, 0.0], 80, sd=0.05)) is None


def test_the_best_stays_tied_and_bounds_hold_over_all_looks():
    generator = np.random.default_rng(2)
    lost = wrong = 0
    for _ in range(150):
        truths = generator.normal(0, 0.004, 5)
        shared = generator.normal(0, 0.01, (20, 1))
        spreads = np.exp(generator.uniform(-7, -4, 5))
        values = 0.8 + truths + shared + spreads * generator.standard_normal((20, 5))
        objectives = pd.DataFrame(values, columns=[f"c{i}" for i in range(5)]).rename_axis("seed")
        found = rank(objectives)
        lost += f"c{truths.argmax()}" not in found.tied
        wrong += any(truths.max() - truths[i] > found.bounds[f"c{i}"] + 1e-12 for i in range(5))
    # at most 5 %, three standard errors allowed
    assert max(lost, wrong) <= 150 * 0.05 + 3 * (150 * 0.05 * 0.95) ** 0.5
