"""Records built in memory, as `load_records` would return them: `from tests.tables import make_records`."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from gridstudy.core.study import Configuration, Experiment, LearningCurve, TrialConfig, TrialResult, TrialRun
from gridstudy.fashion.experiments import select_experiments
from gridstudy.records.records import (
    CURVE_COLUMNS,
    PROBLEM_COLUMNS,
    TRIAL_COLUMNS,
    RecordedExperiment,
    Records,
    _curve_rows,
    _trial_row,
)


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

    `effects` gives the true accuracy of configurations by name, 0.80 where it is silent; without it, accuracies are
    plausible for the hyperparameters. A seed's effect is shared so that configurations correlate by `correlation`;
    `sd` is the spread of one configuration over its seeds, or that of each by name (0.01 where it is silent).
    """
    known = [e for e in experiments if isinstance(e, Experiment)]
    names = [e for e in experiments if isinstance(e, str)]
    plans = (*(select_experiments(names) if names else ()), *known)
    configurations = list(dict.fromkeys(c for plan in plans for c in plan.configurations))
    generator = np.random.default_rng(rng)
    shared = generator.standard_normal(n_seeds)
    trials: list[dict[str, Any]] = []
    curves: list[dict[str, Any]] = []
    for configuration in configurations:
        own = generator.standard_normal(n_seeds)
        spread = sd if isinstance(sd, float) else sd.get(configuration.name, 0.01)
        truth = plausible_accuracy(configuration) if effects is None else effects.get(configuration.name, 0.80)
        for index in range(n_seeds):
            noise = math.sqrt(correlation) * shared[index] + math.sqrt(1 - correlation) * own[index]
            if (configuration.name, first_seed + index) in missing:
                continue
            trial = TrialConfig(configuration, first_seed + index, dataset, "data0000", "split000", validation)
            result = _result(trial, truth + spread * noise, (configuration.name, trial.seed) in diverged, generator)
            trials.append(_trial_row(result, _run(result)))
            curves.extend(_curve_rows(result, _run(result)))
    return Records(
        trials=pd.DataFrame(trials, columns=list(TRIAL_COLUMNS)),
        curves=pd.DataFrame(curves, columns=list(CURVE_COLUMNS)),
        experiments=tuple(RecordedExperiment(plan) for plan in plans),
        problems=pd.DataFrame([], columns=list(PROBLEM_COLUMNS)),
    )


def join_records(*parts: Records) -> Records:
    """All of these as if from one log directory; of experiments of one name, the first."""
    experiments = {r.experiment.name: r for part in reversed(parts) for r in part.experiments}
    return Records(
        trials=pd.concat([part.trials for part in parts], ignore_index=True),
        curves=pd.concat([part.curves for part in parts], ignore_index=True),
        experiments=tuple(experiments.values()),
        problems=pd.concat([part.problems for part in parts], ignore_index=True),
    )


def make_foreign(records: Records) -> Records:
    """The same trials as if another program had logged them: no seed, no split, no experiment."""
    columns = ("dataset", "dataset_fingerprint", "split_fingerprint", "validation")
    unknown: dict[str, Any] = dict.fromkeys(columns)
    unknown |= {"seed": np.nan, "training_version": np.nan, "test_accuracy": np.nan}
    trials = records.trials.assign(origin="foreign", trial_id="runs/" + records.trials["trial_id"], **unknown)
    curves = records.curves.assign(seed=np.nan, trial_id="runs/" + records.curves["trial_id"])
    return replace(records, trials=trials, curves=curves, experiments=())


def plausible_accuracy(configuration: Configuration) -> float:
    """A smooth made-up truth: saturating in examples, updates and width, with an optimum of the learning rate."""
    best_rate = 0.1 if configuration.optimizer == "SGD" else 2e-3
    off = math.log10(configuration.learning_rate / best_rate)
    progress = math.log10(configuration.updates * math.sqrt(configuration.batch_size) / 4000)
    width = math.log2(configuration.units1 * configuration.units2) / 2 - 8
    loss = 0.05 * off**2 - 0.03 * progress - 0.006 * width + 0.004 * (configuration.depth - 2) ** 2
    return float(np.clip(0.835 - loss, 0.12, 0.89))


def _result(trial: TrialConfig, objective: float, diverged: bool, generator: np.random.Generator) -> TrialResult:
    curve = learning_curve(trial.configuration.epochs, objective, generator)
    if not diverged:
        return TrialResult(trial, curve, test_accuracy=round(objective - 0.004, 4), diverged=False)
    n = max(1, trial.configuration.epochs // 2)
    cut = LearningCurve(
        (*curve.train_loss[: n - 1], math.nan), (*curve.validation_loss[: n - 1], math.nan),
        curve.validation_accuracy[:n],
    )  # fmt: skip
    return TrialResult(trial, cut, test_accuracy=math.nan, diverged=True)


def learning_curve(epochs: int, objective: float, generator: np.random.Generator) -> LearningCurve:
    """A curve that saturates over the epochs and ends at `objective`, with a little noise before."""
    left = np.exp(-np.arange(1, epochs + 1) / 1.5)
    left = (left - left[-1]) / max(1e-9, 1 - left[-1])
    noise = generator.normal(0, 0.004, (3, epochs))
    noise[2, -1] = 0
    accuracy = np.clip(objective - (objective - 0.1) * left * 0.5 + noise[2], 0, 1)
    validation_loss = np.abs(1.02 - objective + 2 * (objective - 0.1) * left * 0.5 + noise[1])
    train_loss = np.abs(1.0 - objective + 2 * (objective - 0.1) * left * 0.5 + noise[0])
    return LearningCurve(
        tuple(train_loss.tolist()), tuple(validation_loss.tolist()), tuple(accuracy.round(4).tolist())
    )  # fmt: skip


def _run(result: TrialResult) -> TrialRun:
    configuration = result.trial.configuration
    per_epoch = configuration.train_steps * (2e-4 + 1e-9 * configuration.parameters * configuration.batch_size / 64)
    durations = (round(per_epoch, 6),) * len(result.curve)
    return TrialRun(
        started="2026-01-01T00:00:00+00:00", duration_s=round(sum(durations) + 0.05, 6), epoch_duration_s=durations,
        attempt=1, host="bench", platform="Linux", device="cpu", versions={"torch": "2.4.0", "mltrainer": "0.2.0"},
    )  # fmt: skip
