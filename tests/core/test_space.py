from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridstudy.core.errors import StudyError
from gridstudy.core.space import LONGEST_NAME, Hyperparameter, SearchSpace
from gridstudy.fashion.space import layer_widths
from gridstudy.fashion.subject import SUBJECT


def test_the_baseline_is_called_baseline_and_others_say_what_differs():
    assert SUBJECT.configure({}).name == "baseline"
    assert SUBJECT.configure({"epochs": 10, "optimizer": "SGD"}).name == "epochs=10,optimizer=SGD"
    assert SUBJECT.configure({"learning_rate": 1e-5}).name == "learning_rate=1e-05"


def test_units2_means_nothing_at_depth_1():
    one = SUBJECT.configure({"depth": 1, "units1": 64, "units2": 512})
    assert one == SUBJECT.configure({"depth": 1, "units1": 64})
    assert layer_widths(one) == (64,)
    assert one.name == "units1=64,depth=1"


def test_a_third_layer_repeats_units2():
    assert layer_widths(SUBJECT.configure({"depth": 3, "units1": 64, "units2": 32})) == (64, 32, 32)


def test_adamw_decays_weights_unless_told_otherwise():
    assert SUBJECT.configure({"optimizer": "AdamW"})["weight_decay"] == 1e-2
    assert SUBJECT.configure({"optimizer": "AdamW"}).name == "optimizer=AdamW"
    assert SUBJECT.configure({"optimizer": "AdamW", "weight_decay": 0}).name == "optimizer=AdamW,weight_decay=0"


def test_budgets_of_the_baseline():
    budgets = SUBJECT.configure({}).budgets
    assert (budgets["updates"], budgets["examples"]) == (500, 32_000)
    assert budgets["parameters"] == 784 * 256 + 256 + 256 * 256 + 256 + 256 * 10 + 10


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"epochs": 0}, "epochs must be a whole number from 1 to 10000; got 0"),
        ({"epochs": 2.5}, "epochs must be a whole number"),
        ({"epochs": True}, "got True"),
        ({"epochs": 10**5000}, "got a number of thousands of digits"),
        ({"batch_size": "64"}, "got '64'"),
        ({"learning_rate": 0}, "learning_rate must be a number from 1e-12"),
        ({"learning_rate": float("nan")}, "got nan"),
        ({"learning_rate": float("inf")}, "got inf"),
        ({"optimizer": "Adagrad"}, "optimizer must be one of SGD, Adam, AdamW, RMSprop; got 'Adagrad'"),
        ({"momentum": 0.9}, "momentum applies to SGD only"),
        ({"droput": 0.1}, "unknown hyperparameter 'droput'; choose from epochs"),
    ],
)
def test_impossible_values_are_refused_with_rule_and_value(values, message):
    with pytest.raises(StudyError, match=re.escape(message)):
        SUBJECT.configure(values)


def test_long_names_are_cut_and_keep_apart():
    values = {"epochs": 7, "train_steps": 123, "batch_size": 48, "units1": 100, "units2": 90, "depth": 3,
              "learning_rate": 0.00123, "optimizer": "SGD", "momentum": 0.95}  # fmt: skip
    one, other = SUBJECT.configure(values), SUBJECT.configure({**values, "momentum": 0.96})
    assert len(one.name) <= LONGEST_NAME
    assert one.name != other.name


def test_floats_that_print_alike_are_one_value():
    assert SUBJECT.configure({"learning_rate": 0.3}) == SUBJECT.configure({"learning_rate": 0.30000000000000004})
    assert str(SUBJECT.configure({"weight_decay": -0.0})["weight_decay"]) == "0.0"
    assert SUBJECT.configure({"batch_size": 64.0}) == SUBJECT.configure({"batch_size": 64})


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "epochs": st.integers(1, 20), "batch_size": st.sampled_from([4, 64]), "units1": st.sampled_from([16, 256]),
            "units2": st.sampled_from([16, 256]), "depth": st.integers(1, 3), "learning_rate": st.floats(1e-6, 1.0),
            "optimizer": st.sampled_from(["SGD", "Adam", "AdamW"]), "weight_decay": st.sampled_from([0.0, 0.01, 0.1]),
        },
    )
)  # fmt: skip
def test_settings_are_what_the_configuration_can_be_made_from_again(values):
    configuration = SUBJECT.configure(values)
    assert SUBJECT.configure(dict(configuration.settings)) == configuration
    for name in configuration.settings:
        rest = {other: value for other, value in configuration.settings.items() if other != name}
        assert SUBJECT.configure(rest) != configuration, "every setting is needed"


# --- a space of one's own ------------------------------------------------------------------------------------------


def test_a_new_hyperparameter_at_its_default_changes_no_name():
    space = SUBJECT.search_space
    wider = SearchSpace((*space.hyperparameters, Hyperparameter("dropout", 0.0, low=0.0, high=0.9)), space.complete)
    for values in ({}, {"epochs": 10}, {"depth": 1, "units1": 64}):
        assert wider.settings(wider.resolve(values)) == space.settings(space.resolve(values))
    assert wider.settings(wider.resolve({"dropout": 0.5})) == {"dropout": 0.5}


def test_after_a_default_changed_names_tell_from_the_first_default():
    space = SearchSpace((Hyperparameter("rate", 0.1, low=0, high=1, first_default=0.5),))
    assert space.resolve({}) == {"rate": 0.1}
    assert space.settings({"rate": 0.1}) == {"rate": 0.1}
    assert space.settings({"rate": 0.5}) == {}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "two words", "default": 1}, "must be an identifier"),
        ({"name": "seed", "default": 1}, "that no column of the tables has"),
        ({"name": "dataset", "default": "a", "choices": ("a", "b")}, "that no column of the tables has"),
        ({"name": "objective_mean", "default": 1}, "that no column of the tables has"),
        ({"name": "None", "default": 1}, "must read as text"),
        ({"name": "nan", "default": 1}, "must read as text"),
        ({"name": "kind", "default": "a"}, "needs choices"),
        ({"name": "kind", "default": "a", "choices": ("b",)}, "kind must be one of b; got 'a'"),
        ({"name": "kind", "default": "Adam", "choices": ("Adam", "adam")}, "upper and lower case"),
        ({"name": "kind", "default": "NA", "choices": ("NA", "b")}, "must read as text"),
        ({"name": "x", "default": 5, "low": 6}, "x must be a whole number from 6 to inf; got 5"),
        ({"name": "x", "default": 5, "scale": "log"}, "scale must be one of linear"),
    ],
)
def test_a_hyperparameter_at_fault_is_refused(arguments, message):
    with pytest.raises(StudyError, match=re.escape(message)):
        Hyperparameter(**arguments)


@pytest.mark.parametrize("text", ["aux", "a.", "x:y", "what?", "a b", "é", "con.txt"])
def test_choices_that_windows_cannot_store_get_safe_folder_names(text):
    space = SearchSpace((Hyperparameter("kind", "plain", choices=("plain", text)),))
    settings = space.settings(space.resolve({"kind": text}))
    from gridstudy.core.space import Configuration

    name = Configuration(space.resolve({"kind": text}), settings).name
    assert re.fullmatch(r"[A-Za-z0-9_.+=,\[\]-]+", name)
    assert not name.endswith((".", " "))


@pytest.mark.parametrize(
    ("value", "shown"), [(1e-3, "1e-3"), (5e-4, "5e-4"), (0.01, "1e-2"), (0.3, "0.3"), (3.0, "3"), (2.5e4, "2.5e4")]
)
def test_values_on_a_scale_of_powers_of_ten_have_one_notation(value, shown):
    assert SUBJECT.search_space["learning_rate"].format(value) == shown
