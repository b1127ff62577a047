"""A subject that trains in no time, or as slowly as TINY_SECONDS says; trials of a size in TINY_FAILS fail."""

from __future__ import annotations

import os
import random
import time

import gridstudy as gs


def prepare() -> gs.Data:
    return gs.make_data("tiny", train=([0], [0]), validation=([0], [0]))


def train(trial, data, folder, device, report) -> gs.Outcome:
    size = trial.configuration["size"]
    if str(size) in os.environ.get("TINY_FAILS", "").split():
        raise ValueError(f"no luck with size {size}")
    time.sleep(float(os.environ.get("TINY_SECONDS", "0")))
    return gs.Outcome(0.5 + 0.1 * size + 0.001 * random.Random(trial.seed).random())


def experiment(name: str, first: int, second: int) -> dict[str, object]:
    return {
        "name": name, "question": f"Is size {second} better than {first}?", "hypothesis": "The larger one is.",
        "scientific": ["size"], "grid": {"size": [first, second]},
        "contrasts": [{"better": {"size": second}, "worse": {"size": first}}],
    }  # fmt: skip


subject = gs.Subject(
    name="tiny", space=[gs.Hyperparameter("size", 1, low=1, high=4)], train=train, prepare=prepare,
    objective=gs.Objective("accuracy"),
    experiments=[experiment("small", 1, 2), experiment("large", 3, 4)],
    groups={"all": ("small", "large"), "quick": ("small",), "follow-up": ("large",)},
)  # fmt: skip
