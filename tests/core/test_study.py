from __future__ import annotations

import re
from dataclasses import replace

import pytest

from gridstudy.core.errors import StudyError
from gridstudy.core.study import Configuration, LearningCurve, TrialConfig, TrialResult, parse_experiment
from tests.conftest import DATA, TWO_BY_TWO


def test_the_baseline_is_called_baseline_and_others_say_what_differs():
    assert Configuration.from_values({}).name == "baseline"
    assert Configuration.from_values({"epochs": 10, "optimizer": "SGD"}).name == "epochs=10,optimizer=SGD"
    assert Configuration.from_values({"learning_rate": 1e-5}).name == "learning_rate=1e-05"


def test_units2_means_nothing_at_depth_1():
    one = Configuration.from_values({"depth": 1, "units1": 64, "units2": 512})
    assert one == Configuration.from_values({"depth": 1, "units1": 64})
    assert one.units == (64,)
    assert one.name == "units1=64,depth=1"


def test_a_third_layer_repeats_units2():
    assert Configuration.from_values({"depth": 3, "units1": 64, "units2": 32}).units == (64, 32, 32)


def test_adamw_decays_weights_unless_told_otherwise():
    assert Configuration.from_values({"optimizer": "AdamW"}).weight_decay == 1e-2
    assert Configuration.from_values({"optimizer": "AdamW"}).name == "optimizer=AdamW"
    assert Configuration.from_values({"optimizer": "AdamW", "weight_decay": 0}).name == "optimizer=AdamW,weight_decay=0"


def test_budgets_of_the_baseline():
    baseline = Configuration.from_values({})
    assert (baseline.updates, baseline.examples) == (500, 32_000)
    assert baseline.parameters == 784 * 256 + 256 + 256 * 256 + 256 + 256 * 10 + 10


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"epochs": 0}, "epochs must be a whole number from 1 to 10000; got 0"),
        ({"epochs": 2.5}, "epochs must be a whole number"),
        ({"epochs": True}, "got True"),
        ({"batch_size": "64"}, "got '64'"),
        ({"learning_rate": 0}, "learning_rate must be a number from 1e-12"),
        ({"learning_rate": float("nan")}, "got nan"),
        ({"learning_rate": float("inf")}, "got inf"),
        ({"optimizer": "Adagrad"}, "optimizer must be one of SGD, Adam, AdamW, RMSprop; got 'Adagrad'"),
        ({"momentum": 0.9}, "momentum applies to SGD only"),
        ({"droput": 0.1}, "'droput' is no hyperparameter; known: epochs"),
    ],
)
def test_impossible_values_are_refused_with_rule_and_value(values, message):
    with pytest.raises(StudyError, match=re.escape(message)):
        Configuration.from_values(values)


def test_long_names_are_cut_and_keep_apart():
    values = {"epochs": 7, "train_steps": 123, "batch_size": 48, "units1": 100, "units2": 90, "depth": 3,
              "learning_rate": 0.00123, "optimizer": "SGD", "momentum": 0.95}  # fmt: skip
    one, other = Configuration.from_values(values), Configuration.from_values({**values, "momentum": 0.96})
    assert len(one.name) <= 80
    assert one.name != other.name


def test_the_trial_fingerprint_changes_with_everything_that_defines_the_outcome():
    trial = TrialConfig(Configuration.from_values({}), 0, **DATA)
    others = [
        replace(trial, configuration=Configuration.from_values({"epochs": 6})),
        replace(trial, seed=1),
        *(replace(trial, **{name: "other"}) for name in DATA),
        replace(trial, training_version=trial.training_version + 1),
    ]
    assert len({t.fingerprint for t in [trial, *others]}) == 1 + len(others)


def test_names_of_trials_are_safe_on_windows():
    for values in ({}, {"learning_rate": 1e-5, "optimizer": "AdamW"}, {"weight_decay": 0.25, "depth": 1}):
        trial = TrialConfig(Configuration.from_values(values), 3, **DATA)
        for part in trial.trial_id.split("/"):
            assert not re.search(r'[<>:"\\|?*\x00-\x1f]', part)
            assert not part.endswith((".", " "))


def test_a_diverged_trial_scores_as_guessing_does():
    trial = TrialConfig(Configuration.from_values({}), 0, **DATA)
    curve = LearningCurve((float("nan"),), (float("nan"),), (0.3,))
    assert TrialResult(trial, curve, test_accuracy=float("nan"), diverged=True).objective == 0.1


def test_a_grid_is_a_product_and_roles_follow():
    experiment = parse_experiment(TWO_BY_TWO)
    assert experiment.configurations[0].name.endswith("units1=16,units2=8")
    assert experiment.varied == ("units1", "learning_rate")
    assert experiment.fixed["train_steps"] == 3


def test_an_override_changes_every_configuration_and_the_name():
    experiment = parse_experiment({**TWO_BY_TWO, "fixed": {}}, overrides={"train_steps": 782})
    assert experiment.name == "two_by_two[train_steps=782]"
    assert {c.train_steps for c in experiment.configurations} == {782}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"grid": None, "configurations": None}, "give either grid"),
        ({"grid": {"units1": []}}, "non-empty array"),
        ({"grid": {"units1": 16}}, "non-empty array"),
        ({"gird": {}}, "'gird' is no key of an experiment"),
        ({"scientific": ["unit1"]}, "scientific names 'unit1'"),
        ({"nuisance": ["units1"]}, "units1 cannot be both scientific and nuisance"),
        ({"contrasts": [{"better": {"units1": 64}, "worse": {"units1": 16}}]}, "units1 64, which no configuration has"),
        ({"contrasts": [{"better": {"units1": 32}, "worse": {"units1": 16}}]}, "must single out one value"),
        ({"contrasts": [{"better": {"units1": 32}}]}, "a contrast is a table with better and worse"),
        ({"question": 3}, "question must be a string; got 3"),
        ({"name": "../evil"}, "an experiment's name is"),
    ],
)
def test_an_experiment_at_fault_is_refused_with_its_key(change, message):
    table = {key: value for key, value in {**TWO_BY_TWO, **change}.items() if value is not None}
    with pytest.raises(StudyError, match=re.escape(message)):
        parse_experiment(table)
