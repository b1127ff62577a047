"""The noise floor and what a number of seeds can resolve."""

import numpy as np
import pandas as pd
import pytest
from statsmodels.stats.power import TTestIndPower, TTestPower

from gridstudy.statistics.noise import (
    FROM_EXPERIMENT,
    FROM_LOGDIR,
    FROM_REFERENCE,
    REFERENCE_DIFFERENCE_SD,
    REFERENCE_SD,
    Spread,
    logdir_spread,
    noise_floor,
    planned_resolution,
    resolution,
)
from tests.tables import make_records

WIGGLE = np.array([0.0, 0.001, -0.001, 0.002, -0.002, 0.0005])
LOGDIR = Spread(0.02, 0.01, FROM_LOGDIR)


def test_the_noise_floor_of_three_seeds_by_hand():
    objectives = pd.DataFrame({"a": [0.80, 0.82, 0.84], "b": [0.79, 0.80, 0.81]}).rename_axis("seed")
    floor = noise_floor(objectives, logdir=LOGDIR)
    assert (floor.sd_median, floor.sd_min, floor.sd_max) == pytest.approx((0.015, 0.01, 0.02))
    assert floor.difference_sd_median == pytest.approx(0.01)
    assert floor.source == FROM_EXPERIMENT
    # at the level of a verdict's first look, .8 x 5 %
    paired = TTestPower().solve_power(nobs=3, power=0.8, alpha=0.04)
    unpaired = TTestIndPower().solve_power(nobs1=3, power=0.8, alpha=0.04)
    assert floor.resolvable_paired == pytest.approx(paired * 0.01, rel=1e-3)
    assert floor.resolvable_unpaired == pytest.approx(unpaired * 0.015, rel=1e-3)


def test_the_resolution_is_at_the_level_that_the_verdict_uses():
    paired, _ = resolution(5, LOGDIR, family_size=7)
    assert paired == pytest.approx(TTestPower().solve_power(nobs=5, power=0.8, alpha=0.04 / 7) * 0.01, rel=1e-3)
    assert resolution(2, LOGDIR) == (np.inf, np.inf)


@pytest.mark.parametrize("n_seeds", [20, 39])
def test_at_a_later_look_the_resolution_is_at_that_looks_level(n_seeds):
    """Four times the first look of 5: a twentieth of the 5 %; seeds beyond it are in no verdict."""
    paired, unpaired = resolution(n_seeds, LOGDIR, family_size=7, first_look=5)
    alpha = 0.0025 / 7
    assert paired == pytest.approx(TTestPower().solve_power(nobs=20, power=0.8, alpha=alpha) * 0.01, rel=1e-3)
    expected = TTestIndPower().solve_power(nobs1=20, power=0.8, alpha=alpha) * LOGDIR.sd
    assert unpaired == pytest.approx(expected, rel=1e-3)
    assert resolution(4, LOGDIR, first_look=5) == resolution(4, LOGDIR)


def test_pairs_are_taken_within_experiments_and_each_once():
    generator = np.random.default_rng(0)
    shared, other = generator.normal(0, 0.02, (2, 6))
    values = {"a": shared, "b": shared + WIGGLE, "c": other, "d": other - 2 * WIGGLE}
    rows = [
        {"configuration": name, "seed": seed, "objective": 0.8 + value, "diverged": False, "origin": "ours"}
        for name, column in values.items() for seed, value in enumerate(column)
    ]  # fmt: skip
    trials = pd.DataFrame(rows)
    own = WIGGLE.std(ddof=1)
    assert logdir_spread(trials, groups=[["a", "b"], ["b", "a", "missing"]]).difference_sd == pytest.approx(own)
    assert logdir_spread(trials, groups=[["a", "b"], ["c", "d"]]).difference_sd == pytest.approx(1.5 * own)
    # nothing is known of pairs: as if configurations were independent
    alone = logdir_spread(trials, groups=[["a"], ["c"]])
    assert alone.difference_sd == logdir_spread(trials).difference_sd == pytest.approx(alone.sd * 2**0.5)


def test_another_subject_brings_its_own_assumption():
    assert logdir_spread(None, assumed=LOGDIR) == LOGDIR


def test_one_seed_borrows_the_spread_and_says_from_where():
    objectives = pd.DataFrame({"a": [0.80], "b": [0.79]}).rename_axis("seed")
    floor = noise_floor(objectives, logdir=LOGDIR)
    assert (floor.source, floor.assumed_difference_sd) == (FROM_LOGDIR, 0.01)
    assert floor.resolvable_paired == np.inf
    assert np.isnan(floor.difference_sd_median)


def test_without_any_records_the_reference_study_is_assumed():
    for trials in (None, make_records(["epochs"], n_seeds=1).trials, make_records(["epochs"], n_seeds=0).trials):
        assert logdir_spread(trials) == Spread(REFERENCE_SD, REFERENCE_DIFFERENCE_SD, FROM_REFERENCE)


def test_a_single_repeated_configuration_lends_its_spread():
    records = make_records(["epochs"], n_seeds=5, sd=0.02)
    others = (records.trials["configuration"] != "baseline") & (records.trials["seed"] > 0)
    spread = logdir_spread(records.trials[~others])
    sd = records.trials.loc[records.trials["configuration"] == "baseline", "objective"].std()
    assert spread.source == FROM_LOGDIR
    assert (spread.sd, spread.difference_sd) == pytest.approx((sd, sd * 2**0.5))


def test_diverged_trials_do_not_swell_the_borrowed_spread():
    records = make_records(["epochs"], diverged=[("epochs=3", 0)])
    assert logdir_spread(records.trials).sd < 0.05


def test_planned_resolution_falls_with_seeds_and_pairing():
    trials = make_records(["epochs", "depth"], n_seeds=8, correlation=0.9).trials
    groups = [trials["configuration"].unique().tolist()]
    paired, unpaired, source = planned_resolution(5, trials, groups=groups)
    assert source == FROM_LOGDIR
    assert paired < unpaired
    assert planned_resolution(10, trials, groups=groups)[0] < paired
    assert planned_resolution(5, trials, groups=groups, family_size=7)[0] > paired
    assert planned_resolution(5, None)[2] == FROM_REFERENCE
    assert planned_resolution(2, None)[0] == np.inf


def test_no_resolution_is_planned_from_the_reference_study_in_another_unit():
    paired, unpaired, source = planned_resolution(5, None, is_fraction=False)
    assert np.isnan([paired, unpaired]).all()
    assert source == ""
