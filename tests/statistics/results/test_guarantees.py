"""The guarantees, in a quick version of `simulations/results.py`; bounds give three standard errors."""

from functools import partial

import pytest

from simulations.results import (
    BEST,
    EFFECT,
    PAIR,
    VERDICT,
    draw_cells,
    draw_conditions,
    draw_copies,
    draw_grid,
    draw_one_within_a_session,
    draw_sessions,
    measure,
    read_conditions,
    reader,
    simulate_folds,
)


def broken(rates):
    rates = list(rates)
    assert rates
    return [rate for rate in rates if not rate.held]


@pytest.mark.parametrize("spread", [0.0, 0.05])
def test_sessions_that_differ_make_few_false_claims(spread):
    draw = partial(draw_sessions, n=5, spread=spread)
    assert broken(measure(draw, reader(start="start"), 60, setting="sessions", n=5)) == []


def test_a_configuration_within_one_session_is_seldom_told_from_the_others():
    draw = partial(draw_one_within_a_session, n=5, spread=0.05)
    rates = {r.claim: r.rate for r in measure(draw, reader(start="start"), 60, setting="one", n=5)}
    # unflagged, such a configuration is missed by up to 28 % of its intervals
    assert rates[PAIR] <= 0.08
    assert rates[BEST] <= 0.15


def test_effects_that_vary_by_seed_make_few_false_claims():
    draw = partial(draw_grid, n=5, varying=0.02)
    assert broken(measure(draw, reader(seed="seed"), 60, setting="grid", n=5)) == []


def test_conditions_make_few_false_claims():
    draw = partial(draw_conditions, n=5, varying=0.02)
    assert broken(measure(draw, read_conditions, 40, setting="conditions", n=5)) == []


def test_copies_make_few_false_claims():
    draw = partial(draw_copies, n=5)
    assert broken(measure(draw, reader(seed="seed"), 40, setting="copies", n=5)) == []
    cells = measure(partial(draw_copies, n=1), reader(), 100, setting="copies of cells", n=1)
    assert broken(rate for rate in cells if rate.claim == EFFECT) == []


def test_cells_make_few_false_claims_and_none_where_they_share_a_seed():
    cells = measure(partial(draw_cells, n=8, interaction=0.02), reader(), 100, setting="cells", n=1)
    assert broken(rate for rate in cells if rate.claim in (EFFECT, VERDICT)) == []
    shared = measure(partial(draw_cells, n=8, varying=0.02), reader(seed="seed"), 50, setting="one seed", n=1)
    assert [rate.rate for rate in shared if rate.claim in (EFFECT, VERDICT)] == [0, 0]


def test_folds_are_told_apart_less_often_with_the_correction():
    rates = {(rate.setting, rate.claim): rate.rate for rate in simulate_folds(400)}
    for name in ("5 folds", "10 folds", "5 folds, repeated 5 times"):
        assert rates[name, "corrected"] < min(0.1, rates[name, "not corrected"])
    assert rates["5 folds, repeated 5 times", "not corrected"] > 0.2
