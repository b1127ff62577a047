"""The search space of the built-in subject: a multilayer perceptron and how it is trained."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from gridstudy.core.errors import StudyError
from gridstudy.core.space import Hyperparameter, SearchSpace
from gridstudy.core.values import Value

N_INPUTS = 784
N_CLASSES = 10
ADAMW_WEIGHT_DECAY = 1e-2

HYPERPARAMETERS = (
    Hyperparameter("epochs", 5, low=1, high=10_000),
    Hyperparameter("train_steps", 100, low=1, high=1_000_000, label="updates per epoch"),
    Hyperparameter("batch_size", 64, low=1, high=50_000, scale="log2", label="batch size"),
    Hyperparameter("units1", 256, low=1, high=65_536, scale="log2", label="units in layer 1"),
    Hyperparameter("units2", 256, low=1, high=65_536, scale="log2", label="units in layer 2"),
    Hyperparameter("depth", 2, low=1, high=16, label="hidden layers"),
    Hyperparameter("learning_rate", 1e-3, low=1e-12, high=1e12, scale="log10", label="learning rate"),
    Hyperparameter("optimizer", "Adam", choices=("SGD", "Adam", "AdamW", "RMSprop")),
    Hyperparameter("momentum", 0.0, low=0.0, high=0.9999),
    Hyperparameter("weight_decay", 0.0, low=0.0, high=1e6, scale="log10", label="weight decay"),
)
"""`train_steps` are updates per epoch; `depth` counts hidden layers, of which the first has `units1` and every further
one `units2`; at depth 1 `units2` means nothing and is set to `units1`, so that equal networks are equal."""


def complete(values: dict[str, Value], given: frozenset[str]) -> dict[str, Value]:
    """Fill in AdamW's weight decay and the width of a layer that is not there; refuse momentum without SGD."""
    if values["optimizer"] == "AdamW" and "weight_decay" not in given:
        values["weight_decay"] = ADAMW_WEIGHT_DECAY
    if values["momentum"] and values["optimizer"] != "SGD":
        raise StudyError(
            f"momentum applies to SGD only; got momentum {values['momentum']:g} with {values['optimizer']}"
        )
    if values["depth"] == 1:
        values["units2"] = values["units1"]
    return values


SPACE = SearchSpace(HYPERPARAMETERS, complete)


def layer_widths(values: Mapping[str, Any]) -> tuple[int, ...]:
    """Width of each hidden layer, from input to output."""
    return (int(values["units1"]),) + (int(values["units2"]),) * (int(values["depth"]) - 1)


def budgets(values: Mapping[str, Any]) -> dict[str, float]:
    """Optimizer steps, training images seen with repeats counted, and weights and biases of the network."""
    updates = values["epochs"] * values["train_steps"]
    widths = (N_INPUTS, *layer_widths(values), N_CLASSES)
    parameters = sum(n_in * n_out + n_out for n_in, n_out in pairwise(widths))
    return {"updates": updates, "examples": updates * values["batch_size"], "parameters": parameters}


def cost(values: Mapping[str, Any]) -> float:
    """What "cheapest" means: examples x parameters."""
    spent = budgets(values)
    return spent["examples"] * spent["parameters"]


def work(values: Mapping[str, Any]) -> float:
    """About how long a trial takes, in arbitrary units: a cost per update, per weight touched and per product."""
    parameters = budgets(values)["parameters"]
    update = 3e5 + 2.0 * parameters + parameters * values["batch_size"] / 16
    evaluation = 10_000 * parameters / 64
    return float(values["epochs"] * (values["train_steps"] * update + evaluation))
