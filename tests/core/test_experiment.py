from __future__ import annotations

import re

import pytest

from gridstudy.core.errors import StudyError
from gridstudy.fashion.subject import SUBJECT
from tests.conftest import TWO_BY_TWO


def test_a_grid_is_a_product_and_roles_follow():
    experiment = SUBJECT.parse(TWO_BY_TWO)
    assert experiment.configurations[0].name.endswith("units1=16,units2=8")
    assert experiment.varied == ("units1", "learning_rate")
    assert experiment.fixed["train_steps"] == 3


def test_an_override_changes_every_configuration_and_the_name():
    experiment = SUBJECT.parse({**TWO_BY_TWO, "fixed": {}}, overrides={"train_steps": 782})
    assert experiment.name == "two_by_two[train_steps=782]"
    assert {c["train_steps"] for c in experiment.configurations} == {782}


def test_a_contrast_claims_an_order_or_likeness():
    sides = [{"units1": 32, "learning_rate": 0.001}, {"units1": 16, "learning_rate": 0.001}]
    experiment = SUBJECT.parse({**TWO_BY_TWO, "contrasts": [{"better": sides[0], "worse": sides[1]}, {"alike": sides}]})
    assert [c.relation for c in experiment.contrasts] == ["order", "alike"]
    assert str(experiment.contrasts[1]) == "units1 32, learning_rate 0.001 = units1 16, learning_rate 0.001"


def test_the_family_of_the_seven_is_known_to_each_of_them():
    epochs = SUBJECT.parse(SUBJECT.experiments[0])
    assert len(epochs.family) == 7
    assert SUBJECT.parse(TWO_BY_TWO).family == ()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"grid": None, "configurations": None}, "give either grid"),
        ({"grid": {"units1": []}}, "non-empty array"),
        ({"grid": {"units1": 16}}, "non-empty array"),
        ({"grid": {"learning_rate": [0.3, 0.30000000000000004]}, "contrasts": []}, "agree to ten significant digits"),
        ({"gird": {}}, "unknown key of an experiment 'gird'; choose from name"),
        ({"scientific": ["unit1"]}, "scientific names the unknown hyperparameter 'unit1'"),
        ({"nuisance": ["units1"]}, "units1 cannot be both scientific and nuisance"),
        ({"contrasts": [{"better": {"units1": 64}, "worse": {"units1": 16}}]}, "units1 64, which no configuration has"),
        ({"contrasts": [{"better": {"units1": 32}, "worse": {"units1": 16}}]}, "must single out one value"),
        ({"contrasts": [{"better": {"units1": 32}}]}, "a contrast is a table with better and worse"),
        ({"contrasts": [{"alike": [{"units1": 32}]}]}, "or with alike and two tables"),
        ({"question": 3}, "question must be a string; got 3"),
        ({"arms": ["one"]}, "arms must give each of the 4 configurations a name"),
        ({"name": "../evil"}, "an experiment's name has 1 to 60 letters"),
        ({"name": "aux"}, "Windows keeps 'aux' for a device"),
        *(({"name": name}, "must read as text") for name in ("NA", "null", "nan", "None", "TRUE", "inf")),
    ],
)
def test_an_experiment_at_fault_is_refused_with_its_key(change, message):
    table = {key: value for key, value in {**TWO_BY_TWO, **change}.items() if value is not None}
    with pytest.raises(StudyError, match=re.escape(message)):
        SUBJECT.parse(table)
