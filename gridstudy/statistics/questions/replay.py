"""What is replayed: the configurations of an experiment on the seeds that all have, and numbers with intervals."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd

from gridstudy.core.experiment import Experiment
from gridstudy.core.space import Configuration
from gridstudy.core.subject import Objective
from gridstudy.core.trial import LEAST_SEEDS
from gridstudy.records.plans import Plan
from gridstudy.statistics.comparisons import Floats, describe, objective_table
from gridstudy.statistics.estimates import ExperimentEstimate
from gridstudy.statistics.interactions import curve_objectives, diverged_counts
from gridstudy.statistics.standing import Ranking

Answer = TypeVar("Answer")


class Interval(NamedTuple):
    """An estimate with its 95 % interval, NaN where there is none."""

    value: float
    low: float = np.nan
    high: float = np.nan

    def times(self, factor: float) -> Interval:
        """The interval of a multiple, a negative one too."""
        low, high = sorted((factor * self.low, factor * self.high))
        return Interval(factor * self.value, low, high)


Row = tuple[str, str, str, float | Interval, str, str]
"""Question, quantity, subject, value with or without an interval, unit, note."""


def mean_interval(values: npt.ArrayLike) -> Interval:
    """The mean over seeds with its t interval; no interval below 3 seeds."""
    sample = describe(np.asarray(values, float)[:, None])
    if sample.n[0] < LEAST_SEEDS:
        return Interval(float(sample.mean[0]))
    return Interval(float(sample.mean[0]), float(sample.low[0]), float(sample.high[0]))


def present(answers: Iterable[Answer | None]) -> tuple[Answer, ...]:
    """The answers that there are."""
    return tuple(answer for answer in answers if answer is not None)


def unit_of(objective: Objective) -> str:
    """The unit of differences in the table of answers."""
    return objective.quantity if objective.is_fraction else objective.unit


@dataclass(frozen=True)
class Replay:
    """The configurations of an experiment that can be compared, in the plan's order, on the seeds that all have.

    `table` is their objective table without gaps, higher being better. `curves` is (seed, epoch, configuration), higher
    being better, with no epochs where the configurations do not share their number. `ranking` is that of the looks.
    """

    plan: Plan
    ranking: Ranking
    configurations: tuple[Configuration, ...]
    table: pd.DataFrame
    curves: Floats
    n_unstable: int

    @property
    def experiment(self) -> Experiment:
        """The experiment."""
        return self.plan.experiment

    @property
    def objective(self) -> Objective:
        """What is compared."""
        return self.plan.description.objective

    @property
    def tied(self) -> npt.NDArray[np.bool_]:
        """Which configurations may be the best."""
        return self.table.columns.isin(self.ranking.tied)

    @property
    def objectives(self) -> Floats:
        """(seed, configuration), higher being better."""
        return np.asarray(self.table, float)

    @property
    def note(self) -> str:
        """What the numbers rest on."""
        unstable = f", {self.n_unstable} unstable" if self.n_unstable else ""
        planned = len(self.experiment.configurations)
        return f"n={len(self.table)} seeds, {len(self.configurations)} of {planned} configurations{unstable}"


def common_table(trials: pd.DataFrame, plan: Plan, *, among: Collection[str] | None = None) -> pd.DataFrame:
    """Objectives, higher being better, of the stable configurations with 3 seeds and more, on the seeds that all have.

    Empty below three such seeds. `among` narrows it to these configurations.
    """
    unstable = diverged_counts(trials, plan.experiment)
    table = objective_table(trials, plan.experiment, sign=plan.description.objective.sign).drop(columns=list(unstable))
    names = [name for name in table.columns if among is None or name in among]
    complete = table.loc[:, [name for name in names if table[name].count() >= LEAST_SEEDS]].dropna()
    return complete if len(complete) >= LEAST_SEEDS else complete.iloc[:0, :0]


def read_replay(trials: pd.DataFrame, curves: pd.DataFrame, estimate: ExperimentEstimate) -> Replay | None:
    """What can be replayed of an experiment; None below two ranked configurations or three seeds in common."""
    plan = estimate.plan
    table = common_table(trials, plan, among=estimate.bounds or estimate.tied)
    if table.shape[1] < 2:
        return None
    configurations = tuple(c for c in plan.experiment.configurations if c.name in table.columns)
    n_unstable = len(diverged_counts(trials, plan.experiment))
    return Replay(plan, estimate, configurations, table, _read_curves(table, trials, curves, plan), n_unstable)


def _read_curves(table: pd.DataFrame, trials: pd.DataFrame, curves: pd.DataFrame, plan: Plan) -> Floats:
    """The learning curves of the seeds and configurations of `table`: (seed, epoch, configuration)."""
    known = curve_objectives(trials, curves, plan.experiment)
    lengths = {int(known[name].notna().any().sum()) if name in known else 0 for name in table.columns}
    n_epochs = lengths.pop() if len(lengths) == 1 else 0
    cells = pd.MultiIndex.from_product([table.columns, range(1, n_epochs + 1)])
    values = known.reindex(index=table.index, columns=cells).to_numpy(float)
    shaped = values.reshape(len(table), len(table.columns), n_epochs).swapaxes(1, 2)
    return np.asarray(plan.description.objective.sign * shaped, float)
