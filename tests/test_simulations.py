"""The guarantees, in a quick version of `simulations/simulate.py`; bounds give three standard errors."""

import numpy as np
import pytest
from statsmodels.stats.power import TTestPower

from gridstudy.statistics.comparisons import objective_table
from simulations.simulate import (
    Rate,
    best_in_tied_set,
    covariance_factor,
    draw_alike,
    draw_noise,
    false_claims,
    false_equivalence,
    false_flags,
    format_table,
    interval_coverage,
    power_table,
)
from tests.tables import make_records


def broken(rates):
    return [rate for rate in rates if not rate.held]


def test_intervals_cover():
    assert broken(interval_coverage(draw_noise, 4000)) == []


def test_the_best_stays_in_its_tied_set_and_recommendations_hold():
    assert broken(best_in_tied_set(draw_noise, 100, seeds=[5])) == []


def test_studies_without_effects_contain_few_claims():
    assert broken(false_claims(draw_noise, 80, seeds=[5])) == []


def test_equivalence_is_seldom_said_at_the_margin():
    assert broken(false_equivalence(draw_noise, 300, seeds=[5])) == []


def test_flags_are_seldom_raised_on_flat_curves():
    rates = list(false_flags(300))
    assert broken(rates) == []
    edges = [r.rate for r in rates if "edge" in r.claim]
    assert edges == pytest.approx([2 / 3, 2 / 6], abs=0.1)


def test_a_one_point_effect_is_found_as_often_as_theory_says():
    rates = {(r.setting, r.n_seeds): r.rate for r in power_table(4000)}
    found = rates["1 points, paired, correlation 0.926 (s_d 0.50 points)", 5]
    # the simulated s_d is 0.5001 points; three standard errors of 4000 repetitions are 1.3 points
    assert found == pytest.approx(TTestPower().power(0.01 / (0.013 * np.sqrt(2 * 0.074)), 5, 0.05), abs=0.02)
    assert found > 4 * rates["1 points, unpaired, correlation 0.926 (s_d 0.50 points)", 5]


def test_noise_can_be_drawn_like_records():
    records = make_records(["depth"], n_seeds=6)
    objectives = objective_table(records.trials, records.experiments[0].experiment)
    factor = covariance_factor(objectives)
    assert factor.T @ factor == pytest.approx(objectives.cov().to_numpy())
    drawn = draw_alike(factor, np.random.default_rng(0), 4000, 3)
    assert drawn.std() == pytest.approx(objectives.std().mean(), rel=0.5)


def test_a_broken_promise_shows_in_the_table():
    rates = [Rate("x", "y", 5, 0.5, 100, most=0.05), Rate("x", "z", 5, 0.06, 100, most=0.05)]
    assert [rate.held for rate in rates] == [False, True]
    assert "| x | y | 5 | 50.0% | at most 5.0% | **no** | 100 |" in format_table(rates)
