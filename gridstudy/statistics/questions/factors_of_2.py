"""Grids in factors of 2: what every other point would have found, and where the optimum lies between the points."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from gridstudy.core.space import Configuration
from gridstudy.core.values import Value, format_value
from gridstudy.records.plans import Plan
from gridstudy.statistics.comparisons import ALPHA, Floats, paired_differences, select_trials
from gridstudy.statistics.distributions import t_quantile
from gridstudy.statistics.noise import logdir_spread, noise_floor
from gridstudy.statistics.questions.replay import Interval, Replay, Row, mean_interval, present

LEAST_LEVELS = 4
"""Fewer points leave no grid of every other point."""


@dataclass(frozen=True)
class CoarseGrid:
    """What a grid in factors of 4 would have found, and at what share of the cost.

    `kept` has the values of each axis that it keeps. `lost` is the full grid's best mean minus this grid's, paired,
    with no interval where both are one configuration, whose name is `best`; as both are selected, the interval is too
    narrow. `bound` is not: the joint 95 % upper bound on the deficit of `best` to the truly best, NaN before the first
    look. `tied` says whether `best` may be the best. `cost` has the shares of the cost, of each budget and of the
    seconds (medians over seeds) that are known.
    """

    experiment: str
    kept: Mapping[str, Sequence[float]]
    n_configurations: int
    best: str
    lost: Interval
    bound: float
    tied: bool
    cost: Mapping[str, float]
    note: str

    @property
    def grid(self) -> str:
        """The values that it keeps, in words."""
        return "; ".join(f"{name} {', '.join(map(format_value, values))}" for name, values in self.kept.items())

    @property
    def finds_best(self) -> bool:
        """Whether nothing is shown to be lost: `best` may be the best, and the interval of `lost` includes zero."""
        return self.tied and not self.lost.low > 0


@dataclass(frozen=True)
class QuadraticFit:
    """A quadratic in log2 of an axis, fitted to each seed.

    `optimum` is where the mean curve peaks, with Fieller's (1954) interval, NaN where that is unbounded; all NaN where
    it peaks at no place inside the grid. `gain` is the fitted gain there over the nearest grid point, with an interval
    for that place. `misfit` is the largest distance of a seed mean from the fit, `resolvable` the smallest
    difference that the present seeds find with 80 % power: a gain below either is not worth a finer grid.
    """

    experiment: str
    axis: str
    optimum: Interval
    nearest: float
    gain: Interval
    misfit: float
    resolvable: float
    note: str


def log2_axes(plan: Plan) -> dict[str, tuple[float, ...]]:
    """Scientific axes of scale log2 in steps of a factor of 2, ascending, where the grid is the product of its axes."""
    experiment = plan.experiment
    log2 = {h.name for h in plan.description.hyperparameters if h.scale == "log2"}
    varied = [name for name in experiment.scientific if name in experiment.varied]
    points = {tuple(c[name] for name in varied) for c in experiment.configurations}
    values = {name: list(dict.fromkeys(c[name] for c in experiment.configurations)) for name in varied}
    if not len(experiment.configurations) == len(points) == math.prod(map(len, values.values())):
        return {}
    numbers = {name: sorted(_numbers(v)) for name, v in values.items() if name in log2}
    return {name: tuple(v) for name, v in numbers.items() if _in_factors_of_2(v)}


def _numbers(values: Sequence[Value]) -> list[float]:
    return [v for v in values if not isinstance(v, str)]


def _in_factors_of_2(values: Sequence[float]) -> bool:
    return len(values) >= LEAST_LEVELS and all(b == 2 * a for a, b in itertools.pairwise(values))


def answer_factors(replay: Replay, trials: pd.DataFrame) -> tuple[CoarseGrid, ...]:
    """Every grid of every other point, from the first and from the second value of each axis."""
    axes = log2_axes(replay.plan)
    if not axes:
        return ()
    seconds = select_trials(trials).groupby("configuration")["duration_s"].median()
    halves = itertools.product(*([v[::2], v[1::2]] for v in axes.values()))
    grids = (dict(zip(axes, half, strict=True)) for half in halves)
    return present(_coarse_grid(replay, kept, seconds) for kept in grids)


def _coarse_grid(replay: Replay, kept: Mapping[str, Sequence[float]], seconds: pd.Series) -> CoarseGrid | None:
    planned, means = replay.experiment.configurations, replay.table.mean()
    part = [c for c in planned if all(c[name] in values for name, values in kept.items())]
    found = means[means.index.isin([c.name for c in part])]
    if found.empty:
        return None
    best, full_best = str(found.idxmax()), str(means.idxmax())
    lost = mean_interval(paired_differences(replay.table[full_best], replay.table[best]))
    return CoarseGrid(
        experiment=replay.experiment.name,
        kept=kept,
        n_configurations=len(part),
        best=best,
        lost=lost if best != full_best else Interval(0.0),
        bound=replay.ranking.bounds.get(best, math.nan),
        tied=bool(replay.tied[means.index == best][0]),
        cost=cost_shares(planned, part, seconds),
        note=replay.note,
    )


def cost_shares(full: Sequence[Configuration], part: Sequence[Configuration], seconds: pd.Series) -> dict[str, float]:
    """The share of the cost, of each budget and of the seconds that `part` has of `full`, where all are known."""
    amounts = pd.DataFrame({c.name: {"cost": c.cost, **c.budgets, "seconds": seconds.get(c.name)} for c in full}).T
    known = amounts.astype(float).dropna(axis=1)
    shares = known.loc[[c.name for c in part]].sum() / known.sum()
    return {str(name): float(share) for name, share in shares.items()}


def answer_quadratic(replay: Replay, trials: pd.DataFrame) -> QuadraticFit | None:
    """Whether the optimum of a one-axis experiment lies between grid points; None without a log2 axis."""
    experiment = replay.experiment
    axes = [name for name in experiment.scientific if name in experiment.varied]
    if len(axes) != 1 or not log2_axes(replay.plan):
        return None
    (axis,) = axes
    x = np.log2([float(c[axis]) for c in replay.configurations])
    if len(x) < LEAST_LEVELS:
        return None
    floor = noise_floor(replay.table, logdir=logdir_spread(trials))
    optimum, nearest, gain, misfit = fit_quadratic(x, replay.objectives)
    powers = Interval(*(2.0**value for value in optimum))
    return QuadraticFit(experiment.name, axis, powers, 2.0**nearest, gain, misfit, floor.resolvable_paired, replay.note)


def fit_quadratic(x: Floats, objectives: Floats) -> tuple[Interval, float, Interval, float]:
    """Where the mean parabola peaks inside the range of `x`, the nearest x, the gain over it, the largest misfit."""
    coefficients = np.asarray(np.polynomial.polynomial.polyfit(x, objectives.T, 2), float)
    mean = coefficients.mean(axis=1)
    misfit = float(np.max(np.abs(objectives.mean(axis=0) - np.polynomial.polynomial.polyval(x, mean))))
    peak = -mean[1] / (2 * mean[2]) if mean[2] < 0 else np.nan
    if not x.min() < peak < x.max():
        return Interval(np.nan), np.nan, Interval(np.nan), misfit
    nearest = float(x[np.abs(x - peak).argmin()])
    at_peak, at_nearest = (np.polynomial.polynomial.polyval(place, coefficients) for place in (peak, nearest))
    return Interval(float(peak), *fieller(coefficients[1:])), nearest, mean_interval(at_peak - at_nearest), misfit


def fieller(slopes: Floats) -> tuple[float, float]:
    """The places at which the slope b + 2 c x may be zero by a paired t at 5 %, from (b, c) per seed; Fieller (1954).

    NaN where they have no bounds, the curvature not being significant.
    """
    n = slopes.shape[1]
    (b, c), factor = slopes.mean(axis=1), t_quantile(1 - ALPHA / 2, n - 1) ** 2 / n
    spread = factor * np.cov(slopes)
    square, mixed, constant = c**2 - spread[1, 1], b * c - spread[0, 1], b**2 - spread[0, 0]
    if square <= 0:
        return np.nan, np.nan
    root = np.sqrt(max(mixed**2 - square * constant, 0.0))
    return float((-mixed - root) / (2 * square)), float((-mixed + root) / (2 * square))


def factor_rows(grid: CoarseGrid, *, quantity: str, unit: str) -> Iterator[Row]:
    """The numbers of the answer."""
    question, subject = "factors of 2", f"{grid.experiment}: {grid.grid}"
    yield question, f"{quantity} lost by factors of 4", subject, grid.lost, unit, f"{grid.note}, {grid.best}"
    yield question, f"upper bound on the {quantity} lost", subject, grid.bound, unit, grid.best
    yield question, "best is in the tied set of the full grid", subject, grid.tied, "flag", grid.best
    for cost, share in grid.cost.items():
        yield question, f"share of {cost}", subject, share, "share", f"{grid.n_configurations} configurations"


def quadratic_rows(fit: QuadraticFit, *, unit: str) -> Iterator[Row]:
    """The numbers of the answer."""
    question = "factors of 2"
    inside = "" if fit.optimum.value > 0 else "; no optimum inside the grid"
    yield question, "optimum of a quadratic in log2", fit.experiment, fit.optimum, fit.axis, fit.note + inside
    if not inside:
        nearest = f"over {fit.axis} {fit.nearest:g}, the nearest grid point"
        yield question, "fitted gain at the optimum", fit.experiment, fit.gain, unit, nearest
    yield question, "largest misfit of the quadratic", fit.experiment, fit.misfit, unit, fit.note
    yield question, "smallest resolvable difference", fit.experiment, fit.resolvable, unit, fit.note
