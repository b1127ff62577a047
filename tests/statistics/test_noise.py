"""The noise floor and what a number of seeds can resolve."""

import numpy as np
import pandas as pd
import pytest

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
)
from tests.tables import make_records

LOGDIR = Spread(0.02, 0.01, FROM_LOGDIR)


def test_the_noise_floor_of_three_seeds_by_hand():
    objectives = pd.DataFrame({"a": [0.80, 0.82, 0.84], "b": [0.79, 0.80, 0.81]}).rename_axis("seed")
    floor = noise_floor(objectives, logdir=LOGDIR)
    assert (floor.sd_median, floor.sd_min, floor.sd_max) == pytest.approx((0.015, 0.01, 0.02))
    assert floor.difference_sd_median == pytest.approx(0.01)
    assert floor.source == FROM_EXPERIMENT
    # three seeds find 3.264 standard deviations of a paired difference, and 2.171 of an unpaired one
    assert floor.resolvable_paired == pytest.approx(0.03264, rel=1e-3)
    assert floor.resolvable_unpaired == pytest.approx(2.1714 * 0.015 * 2**0.5, rel=1e-3)


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
    sd = records.trials.loc[records.trials["configuration"] == "baseline", "validation_accuracy"].std()
    assert spread.source == FROM_LOGDIR
    assert (spread.sd, spread.difference_sd) == pytest.approx((sd, sd * 2**0.5))


def test_diverged_trials_do_not_swell_the_borrowed_spread():
    records = make_records(["epochs"], diverged=[("epochs=3", 0)])
    assert logdir_spread(records.trials).sd < 0.05


def test_planned_resolution_falls_with_seeds_and_pairing():
    trials = make_records(["epochs", "depth"], n_seeds=8, correlation=0.9).trials
    paired, unpaired, source = planned_resolution(5, trials)
    assert source == FROM_LOGDIR
    assert paired < unpaired
    assert planned_resolution(10, trials)[0] < paired
    assert planned_resolution(5, None)[2] == FROM_REFERENCE
    assert planned_resolution(2, None)[0] == np.inf
