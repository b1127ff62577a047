"""Tails and quantiles: those of scipy.stats."""

import numpy as np
import pytest
from scipy import stats

from gridstudy.statistics.distributions import (
    f_above,
    noncentral_t_below,
    skewness,
    t_above,
    t_below,
    t_critical,
    t_quantile,
    wilson_interval,
)

T = np.array([-np.inf, -40.0, -2.0, 0.0, 0.3, 2.5, 1e3, np.inf])
LEVELS = np.array([1e-300, 1e-6, 0.025, 0.5])


@pytest.mark.parametrize("degrees", [1.0, 2.7, 9.0, 79.0])
def test_tails_and_quantiles_of_t_and_f_are_the_same_bits(degrees):
    assert np.array_equal(t_above(T, degrees), stats.t.sf(T, degrees))
    assert np.array_equal(t_below(T, degrees), stats.t.cdf(T, degrees))
    assert np.array_equal(t_critical(LEVELS, degrees), stats.t.isf(LEVELS, degrees))
    assert np.array_equal(t_quantile(LEVELS, degrees), stats.t.ppf(LEVELS, degrees))
    assert f_above(2.5, degrees, 7.0) == stats.f.sf(2.5, degrees, 7.0)


def test_the_noncentral_t_agrees_to_rounding():
    noncentrality = np.linspace(-30, 30, 101)
    expected = stats.nct.cdf(2.5, 9, noncentrality)
    assert noncentral_t_below(2.5, 9, noncentrality) == pytest.approx(expected, abs=1e-14)


def test_skewness_agrees_and_is_unknown_where_nothing_varies():
    samples = np.random.default_rng(0).exponential(size=(50, 7))
    assert skewness(samples) == pytest.approx(stats.skew(samples, axis=1), rel=1e-12)
    assert skewness(np.array([0.0, 0.0, 3.0])) == pytest.approx(2**-0.5)
    assert np.isnan(skewness(np.zeros(3)))


@pytest.mark.parametrize(("hits", "n"), [(0, 5), (5, 5), (7, 9), (499, 1000)])
def test_wilsons_interval_is_that_of_scipy(hits, n):
    assert wilson_interval(hits, n) == tuple(stats.binomtest(hits, n).proportion_ci(method="wilson"))
