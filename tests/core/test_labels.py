from __future__ import annotations

import pytest

from gridstudy.core.labels import arm_labels
from gridstudy.core.selection import select_experiments
from gridstudy.fashion.subject import SUBJECT
from tests.conftest import DATA


def labels(name: str) -> list[str]:
    (experiment,) = select_experiments(SUBJECT, [name])
    found = arm_labels(experiment, SUBJECT.describe(DATA))
    assert list(found) == [c.name for c in experiment.configurations]
    assert len(set(found.values())) == len(found)
    return list(found.values())


@pytest.mark.parametrize(
    ("name", "some"),
    [
        ("epochs", ["3", "5 (baseline)", "10"]),
        ("units", ["16 x 16", "256 x 256 (baseline)", "512 x 16"]),
        ("learning_rate", ["1e-2", "5e-3", "1e-3 (baseline)", "5e-4", "1e-4", "1e-5"]),
        ("optimizer", ["SGD", "Adam (baseline)", "AdamW", "RMSprop"]),
        ("learning_rate_per_optimizer", ["SGD, learning rate 0.1", "SGD, momentum 0.9, learning rate 1e-2"]),
        ("batch_size_equal_examples", ["4", "128", "64 (baseline)"]),
        ("full_passes", ["baseline"]),
    ],
)
def test_an_arm_is_called_by_the_values_asked_about(name, some):
    assert set(some) <= set(labels(name))
