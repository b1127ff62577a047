"""Flags: each raised where it should be, and seldom on flat curves."""

import numpy as np
import pandas as pd
import pytest

from gridstudy.core.subject import Objective
from gridstudy.statistics.flags import (
    curve_flags,
    is_infeasible,
    overfitting,
    search_edges,
    slow_configurations,
    still_improving,
    train_loss_rising,
)
from simulations.guarantees import flat_curves

WIGGLE = np.array([[0.0], [0.001], [-0.001], [0.002], [0.0005]]) * np.array([1, -1, 2, 0.5, 1.5])


def curves(*values):
    return np.array(values) + WIGGLE


def test_a_last_gain_in_all_seeds_is_still_improving():
    assert still_improving(curves(0.5, 0.6, 0.7, 0.8, 0.9))
    assert not still_improving(curves(0.5, 0.6, 0.7, 0.7, 0.6))
    assert not still_improving(curves(0.5, 0.6, 0.7, 0.8, 0.9)[:2])
    assert not still_improving(np.array([[0.8], [0.81], [0.82]]))


def test_a_loss_that_rises_from_its_least_is_overfitting():
    assert overfitting(curves(0.5, 0.4, 0.3, 0.4, 0.5))
    assert not overfitting(curves(0.5, 0.4, 0.3, 0.2, 0.1))
    assert not overfitting(curves(0.5, 0.4, 0.3, 0.4, 0.5)[:2])


def test_the_epoch_is_chosen_without_the_seed_that_it_is_read_on():
    # each seed has a dip of its own at another epoch; on itself each would rise by 0.2
    dips = 0.5 - 0.2 * np.eye(4, 5)
    assert not overfitting(dips)


def test_a_training_loss_that_rises_over_two_epochs():
    assert train_loss_rising(curves(0.5, 0.3, 0.3, 0.4, 0.5))
    assert not train_loss_rising(curves(0.5, 0.4, 0.5, 0.6, 0.4))
    assert not train_loss_rising(np.array([[0.1, 0.2], [0.1, 0.3], [0.1, 0.25]]))


def test_guessing_is_infeasible():
    # three standard errors on 10,000 images: 0.1 + 3 sqrt(.09 / 10,000) = 0.109
    accuracy = Objective("accuracy", chance=0.1)
    assert is_infeasible(0.1089, accuracy, n_validation=10_000)
    assert not is_infeasible(0.1091, accuracy, n_validation=10_000)
    assert is_infeasible(0.12, accuracy, n_validation=1_000)
    assert not is_infeasible(0.1, accuracy, n_validation=np.nan)
    assert not is_infeasible(0.0, Objective("accuracy"), n_validation=10_000), "the score of guessing is unknown"


def test_a_minimised_score_is_infeasible_where_it_is_not_below_guessing():
    loss = Objective("loss", unit="nats", maximise=False, chance=2.3, margin=0.1)
    assert is_infeasible(2.31, loss, n_validation=np.nan)
    assert not is_infeasible(2.29, loss, n_validation=np.nan)


def test_curves_without_losses_raise_no_flag_of_losses():
    table = pd.DataFrame(
        {
            "trial_id": list("aabbcc"),
            "epoch": [1, 2] * 3,
            "objective": [9, 5, 9, 4.9, 9, 5.2],
            "validation_loss": np.nan,
        }
    )
    assert list(curve_flags(table, sign=-1)) == ["still improving"]
    assert list(curve_flags(table, sign=1)) == []


def test_an_arm_that_takes_longer_than_its_budgets_explain():
    # from 3 to 5 epochs 0.28 s each, from 5 to 10 3.41 s each, as a loaded machine once had it
    amounts = pd.DataFrame({"updates": [300.0, 500, 1000], "parameters": 1e5}, index=["3", "5", "10"])
    seconds = pd.Series([0.84, 1.4, 18.45], index=amounts.index)
    assert slow_configurations(seconds, amounts) == {"10": pytest.approx(18.45 / 2.8)}
    assert slow_configurations(pd.Series([0.5, 0.8, 1.5], index=amounts.index), amounts) == {}
    assert slow_configurations(seconds, amounts[[]]) == {}
    assert slow_configurations(seconds[["3"]], amounts.loc[["3"]]) == {}


def grid(**columns):
    n = len(next(iter(columns.values())))
    return pd.DataFrame(columns, index=[f"c{i}" for i in range(n)])


def test_the_best_at_the_end_of_an_axis_is_at_the_search_edge():
    axis = grid(learning_rate=[0.1, 0.01, 0.001])
    means = pd.Series([0.9, 0.8, 0.7], index=axis.index)
    assert search_edges(means, axis, scientific=["learning_rate"], nuisance=[]) == {"c0": ["learning_rate"]}
    middle = pd.Series([0.7, 0.9, 0.8], index=axis.index)
    assert search_edges(middle, axis, scientific=["learning_rate"], nuisance=[]) == {}


def test_an_unstable_end_of_the_axis_is_no_reason_to_widen():
    axis = grid(learning_rate=[1.0, 0.1, 0.01, 0.001])
    means = pd.Series([0.9, 0.8, 0.7], index=axis.index[1:])
    assert search_edges(means, axis, scientific=["learning_rate"], nuisance=[]) == {}


def test_each_arm_is_asked_for_the_edge_of_its_nuisance():
    axis = grid(optimizer=["SGD"] * 3 + ["Adam"] * 3, learning_rate=[1.0, 0.1, 0.01, 0.01, 0.001, 0.0001])
    means = pd.Series([0.8, 0.7, 0.6, 0.7, 0.9, 0.8], index=axis.index)
    edges = search_edges(means, axis, scientific=["optimizer"], nuisance=["learning_rate"])
    assert edges == {"c0": ["learning_rate"]}


def test_hand_picked_combinations_have_no_axis():
    axis = grid(units1=[512, 256, 128], epochs=[10, 7, 5])
    means = pd.Series([0.9, 0.8, 0.7], index=axis.index)
    assert search_edges(means, axis, scientific=["units1", "epochs"], nuisance=[]) == {}


@pytest.mark.parametrize("n", [3, 5, 10])
@pytest.mark.parametrize("carried", [0.0, 0.8])
@pytest.mark.parametrize("flag", [still_improving, overfitting, train_loss_rising])
def test_flat_curves_seldom_raise_a_flag(flag, n, carried):
    generator = np.random.default_rng([n, int(10 * carried)])
    raised = sum(flag(flat_curves(generator, n, 10, carried=carried)) for _ in range(600))
    # 1 % of 600 is 6, three standard errors 7.3
    assert raised <= 13
