"""Looks: how many, of which seeds, and p values over several of them."""

import numpy as np
import pandas as pd
import pytest

from gridstudy.statistics.looks import WEIGHTS, Schedule, n_looks, running_p, usable_seeds

FIVE = Schedule((0, 1, 2, 3, 4), 5)


def test_the_weights_share_the_whole_error():
    assert sum(WEIGHTS) == pytest.approx(1.0)


def test_there_are_five_looks_and_none_beyond_seed_999():
    assert FIVE.sizes == (5, 10, 20, 40, 80)
    assert Schedule(tuple(range(980, 985)), 5).sizes == (5, 10, 20)
    assert [FIVE.last_size(most) for most in (None, 79, 4)] == [80, 40, 0]
    # seeds for confirmation serve no look
    assert Schedule((5, 6, 7, 1000), 3).selection_seeds == (5, 6, 7)


def test_later_looks_continue_after_the_seeds_of_the_plan():
    assert Schedule((104, 100), 3).extended(4) == (104, 100, 105, 106)
    assert Schedule((998,), 5).extended(5) == (998, 999)


def test_a_missing_or_diverged_seed_ends_what_is_usable_and_no_other_takes_its_place():
    schedule = Schedule((7, 3, 5, 9), 3)
    objectives = pd.DataFrame({"a": [0.1, 0.2, 0.3, 0.4], "b": [0.1, np.nan, 0.3, 0.4]}, index=[3, 5, 7, 9])
    assert usable_seeds(objectives, schedule) == {"a": 4, "b": 2}
    assert usable_seeds(objectives, schedule, {"a": [3]}) == {"a": 1, "b": 2}
    assert usable_seeds(objectives.drop(index=7), schedule) == {"a": 0, "b": 0}
    assert [n_looks(n, schedule) for n in (2, 3, 5, 6)] == [0, 1, 1, 2]


def test_p_over_looks_is_the_least_share():
    # .04 / .8, then .01 / .05, then .0005 / .05
    assert running_p([0.04, 0.01, 0.0005]).tolist() == pytest.approx([0.05, 0.05, 0.01])
    assert running_p([0.9]).tolist() == [1.0]


def test_p_over_looks_errs_seldom_whatever_looks_are_taken():
    generator = np.random.default_rng(0)
    p = generator.random((100_000, 5))
    assert np.mean(running_p(p)[:, -1] <= 0.05) < 0.05 + 2 * (0.05 * 0.95 / 100_000) ** 0.5
