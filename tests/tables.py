"""Records built in memory, as `load_records` would return them: `from tests.tables import make_records`."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from gridstudy.core.experiment import Experiment
from gridstudy.core.selection import select_experiments
from gridstudy.core.space import Configuration, Hyperparameter
from gridstudy.core.subject import Data, Description, Objective, Subject
from gridstudy.core.trial import DataIdentity, TrialConfig, TrialResult, TrialRun
from gridstudy.fashion.garments import CLASS_NAMES
from gridstudy.fashion.subject import SUBJECT
from gridstudy.records.plans import Plan, new_plan
from gridstudy.records.tables import PROBLEM_COLUMNS, Records, make_tables

Curves = Mapping[str, tuple[float, ...]]


def describe_images(dataset: str = "garments", validation: str = "holdout") -> Description:
    """What the built-in subject says of itself on these images."""
    scale = 10 if dataset.endswith("-small") else 1
    n_train, n_validation = (60_000, 10_000) if validation == "test" else (50_000, 10_000)
    sizes = {"train": n_train // scale, "validation": n_validation // scale, "test": 10_000 // scale}
    identity = DataIdentity(dataset, "data0000", "split000", validation)
    return SUBJECT.describe(Data(None, identity, sizes, class_names=tuple(CLASS_NAMES)))


def select(names: Sequence[str]) -> tuple[Experiment, ...]:
    """Experiments and groups of the built-in subject."""
    return select_experiments(SUBJECT, names)


def make_records(
    experiments: Sequence[str | Experiment] = ("epochs", "batch_size", "learning_rate"),
    *,
    n_seeds: int = 5,
    rng: int = 0,
    effects: Mapping[str, float] | None = None,
    sd: float | Mapping[str, float] = 0.01,
    correlation: float = 0.7,
    diverged: Collection[tuple[str, int]] = (),
    missing: Collection[tuple[str, int]] = (),
    first_seed: int = 0,
    dataset: str = "garments",
    validation: str = "holdout",
) -> Records:
    """Records of finished trials: seeds `first_seed` and up on every configuration of the experiments.

    `effects` gives the true objective of configurations by name, 0.80 where it is silent; without it, objectives are
    plausible for the hyperparameters. A seed's effect is shared so that configurations correlate by `correlation`;
    `sd` is the spread of one configuration over its seeds, or that of each by name (0.01 where it is silent).
    """
    known = [e for e in experiments if isinstance(e, Experiment)]
    names = [e for e in experiments if isinstance(e, str)]
    chosen = (*(select(names) if names else ()), *known)
    configurations = list(dict.fromkeys(c for experiment in chosen for c in experiment.configurations))
    description = describe_images(dataset, validation)
    data = DataIdentity(dataset, "data0000", "split000", validation)
    generator = np.random.default_rng(rng)
    shared = generator.standard_normal(n_seeds)
    results: list[TrialResult] = []
    for configuration in configurations:
        own = generator.standard_normal(n_seeds)
        spread = sd if isinstance(sd, float) else sd.get(configuration.name, 0.01)
        truth = plausible_accuracy(configuration) if effects is None else effects.get(configuration.name, 0.80)
        for index in range(n_seeds):
            noise = math.sqrt(correlation) * shared[index] + math.sqrt(1 - correlation) * own[index]
            if (configuration.name, first_seed + index) in missing:
                continue
            trial = TrialConfig(SUBJECT.name, configuration, first_seed + index, data)
            bad = (configuration.name, trial.seed) in diverged
            results.append(_result(trial, truth + spread * noise, bad, generator))
    seeds = range(first_seed, first_seed + n_seeds)
    return records_of(results, [new_plan(experiment, description, seeds=seeds) for experiment in chosen])


def records_of(results: Sequence[TrialResult], plans: Sequence[Plan]) -> Records:
    """These results as a log directory would give them."""
    trials, curves = make_tables([(result, _run(result)) for result in results], plans)
    return Records(
        trials=trials, curves=curves, plans=tuple(plans), problems=pd.DataFrame([], columns=list(PROBLEM_COLUMNS)),
        confusions={result.trial.trial_id: result.confusion for result in results if result.confusion},
    )  # fmt: skip


def join_records(*parts: Records) -> Records:
    """All of these as if from one log directory; a plan of a name that is there gets the further seeds."""
    plans: dict[str, Plan] = {}
    for plan in (plan for part in parts for plan in part.plans):
        known = plans.setdefault(plan.experiment.name, plan)
        plans[plan.experiment.name] = replace(known, seeds=tuple(dict.fromkeys((*known.seeds, *plan.seeds))))
    return Records(
        trials=_concat([part.trials for part in parts]),
        curves=_concat([part.curves for part in parts]),
        plans=tuple(plans.values()),
        problems=_concat([part.problems for part in parts]),
        confusions={trial_id: matrix for part in parts for trial_id, matrix in part.confusions.items()},
    )


def _concat(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    return pd.concat([table for table in tables if len(table)] or tables[:1], ignore_index=True)


def make_foreign(records: Records) -> Records:
    """The same trials as if another program had logged them: no seed, no split, no experiment."""
    columns = ("dataset", "dataset_fingerprint", "split_fingerprint", "validation")
    unknown: dict[str, Any] = dict.fromkeys(columns)
    unknown |= {"subject": None, "seed": np.nan, "training_version": np.nan, "test_score": np.nan}
    trials = records.trials.assign(origin="foreign", trial_id="runs/" + records.trials["trial_id"], **unknown)
    curves = records.curves.assign(seed=np.nan, trial_id="runs/" + records.curves["trial_id"])
    return replace(records, trials=trials, curves=curves, plans=(), confusions={})


def plausible_accuracy(configuration: Configuration) -> float:
    """A smooth made-up truth: saturating in examples, updates and width, with an optimum of the learning rate."""
    c: Mapping[str, Any] = configuration
    best_rate = 0.1 if c["optimizer"] == "SGD" else 2e-3
    off = math.log10(c["learning_rate"] / best_rate)
    progress = math.log10(configuration.budgets["updates"] * math.sqrt(c["batch_size"]) / 4000)
    width = math.log2(c["units1"] * c["units2"]) / 2 - 8
    loss = 0.05 * off**2 - 0.03 * progress - 0.006 * width + 0.004 * (c["depth"] - 2) ** 2
    return float(np.clip(0.835 - loss, 0.12, 0.89))


def _result(trial: TrialConfig, objective: float, diverged: bool, generator: np.random.Generator) -> TrialResult:
    curves = learning_curves(int(trial.configuration["epochs"]), objective, generator)
    score = curves["validation_accuracy"][-1]
    if not diverged:
        confusion = confusion_matrix(score)
        return TrialResult(trial, score, False, curves, round(objective - 0.004, 4), confusion)
    n = max(1, int(trial.configuration["epochs"]) // 2)
    cut = {name: (*values[: n - 1], values[n - 1] if name == "validation_accuracy" else math.nan)
           for name, values in curves.items()}  # fmt: skip
    return TrialResult(trial, 0.1, True, cut)


def learning_curves(epochs: int, objective: float, generator: np.random.Generator) -> Curves:
    """Curves that saturate over the epochs and end at `objective`, with a little noise before."""
    left = np.exp(-np.arange(1, epochs + 1) / 1.5)
    left = (left - left[-1]) / max(1e-9, 1 - left[-1])
    noise = generator.normal(0, 0.004, (3, epochs))
    noise[2, -1] = 0
    accuracy = np.clip(objective - (objective - 0.1) * left * 0.5 + noise[2], 0, 1)
    validation_loss = np.abs(1.02 - objective + 2 * (objective - 0.1) * left * 0.5 + noise[1])
    train_loss = np.abs(1.0 - objective + 2 * (objective - 0.1) * left * 0.5 + noise[0])
    return {
        "train_loss": tuple(train_loss.tolist()),
        "validation_loss": tuple(validation_loss.tolist()),
        "validation_accuracy": tuple(accuracy.round(4).tolist()),
    }


def confusion_matrix(accuracy: float, *, n_classes: int = 10, per_class: int = 1000) -> tuple[tuple[int, ...], ...]:
    """As many right as the accuracy says in every class, all errors on the next class, class 0 with twice as many."""
    rows = []
    for true in range(n_classes):
        wrong = min(per_class, round((1 - accuracy) * per_class * (2 if true == 0 else 1)))
        row = [0] * n_classes
        row[true], row[(true + 1) % n_classes] = per_class - wrong, wrong
        rows.append(tuple(row))
    return tuple(rows)


def _run(result: TrialResult) -> TrialRun:
    configuration, budgets = result.trial.configuration, result.trial.configuration.budgets
    per_update = 2e-4 + 1e-9 * budgets.get("parameters", 0) * int(configuration.get("batch_size", 64)) / 64
    n = max(1, result.n_epochs)
    durations = (round(per_update * budgets.get("updates", 100) / n, 6),) * n
    return TrialRun(
        started="2026-01-01T00:00:00+00:00", duration_s=round(sum(durations) + 0.05, 6), cpu_s=round(sum(durations), 6),
        epoch_duration_s=durations, host="bench", platform="Linux", device="cpu", processor="Xeon", arithmetic="avx2",
        source="0123abcd", versions={"torch": "2.4.0", "mltrainer": "0.2.0"},
    )  # fmt: skip


# --- a subject of another kind -------------------------------------------------------------------------------------


def solver_subject() -> Subject:
    """A made-up solver: milliseconds are minimised over two hyperparameters; no curves, budgets, epochs or classes."""

    def train(*_: Any) -> Any:
        raise NotImplementedError

    threads = Hyperparameter("threads", 1, low=1, high=64, scale="log2")
    return Subject(
        name="solver",
        space=[threads, Hyperparameter("kernel", "plain", choices=("plain", "tiled"))],
        train=train,
        prepare=lambda: Data(None, DataIdentity("made", "d", "s", "none")),
        objective=Objective("latency", unit="ms", maximise=False, margin=2.0),
    )


def solver_records(*, n_seeds: int = 5, rng: int = 0) -> Records:
    """The solver's trials: 100 ms, half as long with twice the threads, and 20 ms less when tiled."""
    subject = solver_subject()
    experiment = subject.parse(
        {
            "name": "solver", "question": "How fast?", "hypothesis": "Tiling helps.",
            "scientific": ["threads", "kernel"],
            "contrasts": [{"better": {"threads": 1, "kernel": "tiled"}, "worse": {"threads": 1, "kernel": "plain"}}],
            "grid": {"threads": [1, 2, 4, 8], "kernel": ["plain", "tiled"]},
        }
    )  # fmt: skip
    generator = np.random.default_rng(rng)
    data = subject.prepare()
    results = []
    for seed in range(n_seeds):
        shared = generator.normal()
        for c in experiment.configurations:
            truth = 100 / int(c["threads"]) - (20 / int(c["threads"]) if c["kernel"] == "tiled" else 0)
            score = truth + shared + 0.3 * generator.normal()
            results.append(TrialResult(TrialConfig("solver", c, seed, data.identity), float(score), False, {}))
    return records_of(results, [new_plan(experiment, subject.describe(data), seeds=range(n_seeds))])
