"""Epochs, upside and downside: what each further epoch brings, and what it costs."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from gridstudy.core.space import Configuration
from gridstudy.records.plans import Plan
from gridstudy.statistics.comparisons import replicate_table, select_trials
from gridstudy.statistics.flags import curve_table, overfitting, still_improving
from gridstudy.statistics.questions.replay import Interval, Row, common_table, mean_interval


@dataclass(frozen=True)
class EpochGain:
    """What training from epoch `before` to epoch `after` brings and costs, in all, paired over seeds.

    `arms` tells two arms of the experiment from two points of one learning curve. `seconds` is a median over seeds,
    without an interval.
    """

    before: int
    after: int
    arms: bool
    gain: Interval
    seconds: Interval

    def per_epoch(self) -> tuple[Interval, Interval]:
        """Gain and seconds per extra epoch."""
        epochs = self.after - self.before
        return Interval(*(g / epochs for g in self.gain)), Interval(*(s / epochs for s in self.seconds))


@dataclass(frozen=True)
class EpochsAnswer:
    """The gains along the curve of the `longest` configuration and between the arms; configurations with flags."""

    experiment: str
    longest: str
    n_seeds: int
    gains: tuple[EpochGain, ...]
    overfitting: Mapping[str, bool]
    still_improving: Mapping[str, bool]


def answer_epochs(trials: pd.DataFrame, curves: pd.DataFrame, plan: Plan) -> EpochsAnswer | None:
    """Upside and downside of more epochs; None for an experiment about anything else or below 3 common seeds."""
    experiment, epochs, sign = plan.experiment, plan.description.epochs, plan.description.objective.sign
    if not epochs or experiment.scientific != (epochs,) or experiment.varied != (epochs,):
        return None
    table = common_table(trials, plan)
    arms = sorted((c for c in experiment.configurations if c.name in table.columns), key=lambda c: float(c[epochs]))
    if not arms:
        return None
    selected = select_trials(trials)
    selected = selected[selected["seed"].isin(table.index) & selected["configuration"].isin(table.columns)]
    own = curves[curves["trial_id"].isin(selected["trial_id"])]
    by_arm = {c.name: own[own["configuration"] == c.name] for c in arms}
    longest = arms[-1].name
    gains = (*_curve_gains(by_arm[longest], sign=sign), *_arm_gains(table, selected, arms, epochs=epochs))
    return EpochsAnswer(
        experiment.name, longest, len(table), gains, _overfitting(by_arm),
        {name: still_improving(sign * curve_table(curve, "objective")) for name, curve in by_arm.items() if len(curve)},
    )  # fmt: skip


def _overfitting(by_arm: Mapping[str, pd.DataFrame]) -> dict[str, bool]:
    """The arms that overfit; empty where no validation loss is recorded."""
    known = {n: curve for n, curve in by_arm.items() if "validation_loss" in curve and curve["validation_loss"].any()}
    return {name: overfitting(curve_table(curve, "validation_loss")) for name, curve in known.items()}


def _curve_gains(curve: pd.DataFrame, *, sign: int) -> Iterator[EpochGain]:
    if curve.empty:
        return
    objectives, seconds = sign * curve_table(curve, "objective"), curve_table(curve, "duration_s")
    for i in range(1, objectives.shape[1]):
        gain = mean_interval(objectives[:, i] - objectives[:, i - 1])
        yield EpochGain(i, i + 1, False, gain, Interval(float(np.median(seconds[:, i]))))


def _arm_gains(
    table: pd.DataFrame, selected: pd.DataFrame, arms: Sequence[Configuration], *, epochs: str
) -> Iterator[EpochGain]:
    seconds = replicate_table(selected, [arm.name for arm in arms], "duration_s")
    for before, after in itertools.pairwise(arms):
        gain = mean_interval(table[after.name] - table[before.name])
        cost = Interval(float((seconds[after.name] - seconds[before.name]).median()))
        yield EpochGain(int(before[epochs]), int(after[epochs]), True, gain, cost)


def epochs_rows(answer: EpochsAnswer, *, unit: str) -> Iterator[Row]:
    """The numbers of the answer."""
    note = f"n={answer.n_seeds} seeds"
    for step in answer.gains:
        where = "arms" if step.arms else answer.longest
        subject = f"{answer.experiment}: {where}, epoch {step.before} to {step.after}"
        gain, seconds = step.per_epoch()
        yield "epochs", "gain per extra epoch", subject, gain, unit, note
        yield "epochs", "seconds per extra epoch", subject, seconds, "s", f"{note}, median"
    for flag, flagged in (("overfitting", answer.overfitting), ("still improving", answer.still_improving)):
        for name, value in flagged.items():
            yield "epochs", flag, f"{answer.experiment}: {name}", value, "flag", ""
