"""Seeds advised: the next look with enough power for the whole hypothesis."""

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.power import TTestPower

from gridstudy.statistics.advice import Advice, Effect, draw_effects, seeds_to_decide, seeds_to_recommend, t_power

SIZES = (5, 10, 20, 40, 80)
MARGIN = 0.005


def decide(*effects, complete=1, family_size=7):
    return seeds_to_decide(effects, SIZES, complete=complete, family_size=family_size, margin=MARGIN)


def test_power_agrees_with_statsmodels():
    exact = TTestPower().power(0.8, nobs=10, alpha=0.01, alternative="larger")
    assert t_power(np.array(0.8), 10, 0.01) == pytest.approx(exact)


@pytest.mark.parametrize("ratio", [0.4, 0.6, 1.0, 2.0])
def test_one_order_is_planned_at_the_level_of_the_next_look(ratio):
    advised = decide(Effect(0.01 * ratio, 0.01, 1000)).expected
    level = 0.05 * 0.05 / 7 / 2
    powers = {n: stats.nct.sf(stats.t.isf(level, n - 1), n - 1, ratio * n**0.5) for n in SIZES[1:]}
    assert advised == min((n for n, power in powers.items() if power >= 0.8), default=np.inf)


def test_two_contrasts_take_more_seeds_than_each_alone_and_have_their_power_together():
    generator = np.random.default_rng(0)
    alone = Effect(0.0101, 0.01, 1000)
    n = int(decide(alone, complete=0, family_size=1).expected)
    assert decide(alone, alone, complete=0, family_size=1).expected > n
    n = int(decide(alone, alone, complete=0, family_size=1).expected)
    t = stats.ttest_1samp(generator.normal(0.0101, 0.01, (2000, 2, n)), 0, axis=2, alternative="greater").pvalue
    level = 0.05 * (0.8 if n == 5 else 0.05) / 2
    assert np.mean((t <= level).all(axis=1)) > 0.8 - 3 * (0.8 * 0.2 / 2000) ** 0.5


def test_a_small_difference_is_planned_for_equivalence_and_one_at_the_margin_never_decides():
    assert decide(Effect(0.0, 0.003, 1000)).expected in (20, 40)
    assert np.isfinite(decide(Effect(0.0, 0.004, 1000, alike=True)).expected)
    assert decide(Effect(0.005, 0.05, 1000)).in_words() == "no verdict expected by 80 seeds"


def test_a_difference_far_beyond_the_margin_contradicts_equality():
    assert decide(Effect(0.03, 0.005, 1000, alike=True)).expected == 10


def test_few_seeds_give_a_wide_range():
    few, many = decide(Effect(0.006, 0.01, 5)), decide(Effect(0.006, 0.01, 500))
    assert few.expected == many.expected
    assert few.low < few.high
    assert many.low == many.high == many.expected


def test_the_range_follows_the_uncertainty_of_both_estimates():
    differences, sds = draw_effects([Effect(0.01, 0.02, 5), Effect(0.01, 0.02, 1)])
    assert differences[1:, 1].std() == pytest.approx(0.02, rel=0.15)
    # an assumed spread is taken as known; the other scatters as chi squared does
    assert (sds[:, 1] == 0.02).all()
    assert np.median(sds[1:, 0]) == pytest.approx(0.02 * (4 / stats.chi2.median(4)) ** 0.5, rel=0.1)


def test_nothing_is_advised_where_nothing_is_known():
    assert decide(Effect(0.01, np.nan, 0)).in_words() == ""
    assert decide(Effect(np.nan, 0.01, 0)).in_words() == ""
    assert decide().in_words() == ""


@pytest.mark.parametrize(
    ("advice", "words"),
    [
        (Advice(20, 20, 20, 80), "20"),
        (Advice(20, 10, 40, 80), "10 to 40"),
        (Advice(40, 20, np.inf, 80), "20 or more"),
        (Advice(np.inf, np.inf, np.inf, 80), "no verdict expected by 80 seeds"),
    ],
)
def test_advice_in_words(advice, words):
    assert advice.in_words() == words


def test_a_recommendation_is_planned_against_all_rivals():
    lead = Effect(0.002, 0.006, 1000)
    one = seeds_to_recommend([lead], SIZES, complete=0, n_ranked=2, margin=MARGIN)
    many = seeds_to_recommend([lead] * 19, SIZES, complete=0, n_ranked=20, margin=MARGIN)
    assert one.expected < many.expected
    hopeless = seeds_to_recommend([Effect(0.0, 0.5, 1000)], SIZES, complete=0, n_ranked=2, margin=MARGIN)
    assert hopeless.in_words("recommendation") == "no recommendation expected by 80 seeds"


@pytest.mark.parametrize("difference", [0.0, 0.001, 0.002, 0.004])
@pytest.mark.parametrize("sd", [0.003, 0.005, 0.007, 0.01])
def test_what_is_expected_is_within_its_range(difference, sd):
    effects = [Effect(difference, sd, 5)] * 12
    advised = [
        seeds_to_recommend(effects, SIZES, complete=1, n_ranked=13, margin=MARGIN),
        decide(*[Effect(difference, sd, 5, alike=True)] * 2),
    ]
    assert all(advice.low <= advice.expected <= advice.high for advice in advised)
