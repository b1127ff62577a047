"""The study questions, answered from the records at no extra training: numbers and booleans, no prose.

Each question is a function that returns frozen answers, one per experiment; `StudyAnswers.table` has all their numbers.
Accuracies are fractions. Unstable configurations and those with fewer than 3 seeds are in no answer, and only seeds
count that all others have. Intervals are 95 % t intervals over seeds unless an answer says otherwise.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import special, stats

from gridstudy.core.study import Configuration, Experiment, Value, format_value
from gridstudy.statistics.comparisons import (
    ALPHA,
    LEAST_SEEDS,
    Floats,
    deficit_bounds,
    describe,
    objective_table,
    paired_differences,
    replicate_table,
    select_trials,
    tied_set,
)
from gridstudy.statistics.flags import curve_table, overfitting, still_improving
from gridstudy.statistics.interactions import TESTED, curve_objectives, diverged_counts, is_interaction
from gridstudy.statistics.noise import logdir_spread, noise_floor

N_RESAMPLES = 1000
RESAMPLING_SEED = 2024
SUFFICIENT_SHARE = 0.95
ETAS = (2, 3)
LEAST_LEVELS = 4
"""Fewer points leave no grid of every other point."""

QUESTION_COLUMNS = ("question", "quantity", "subject", "value", "low", "high", "unit", "note")
Answer = TypeVar("Answer")


class Interval(NamedTuple):
    """An estimate with its 95 % interval, NaN where there is none."""

    value: float
    low: float = np.nan
    high: float = np.nan


Row = tuple[str, str, str, float | Interval, str, str]
"""Question, quantity, subject, value with or without an interval, unit, note."""


def mean_interval(values: npt.ArrayLike) -> Interval:
    """The mean over seeds with its t interval; no interval below 3 seeds."""
    sample = describe(np.asarray(values, float)[:, None])
    if sample.n[0] < LEAST_SEEDS:
        return Interval(float(sample.mean[0]))
    return Interval(float(sample.mean[0]), float(sample.low[0]), float(sample.high[0]))


def _present(answers: Iterable[Answer | None]) -> tuple[Answer, ...]:
    return tuple(answer for answer in answers if answer is not None)


# --- what is replayed ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Replay:
    """The configurations of an experiment that can be compared, in the plan's order.

    `table` is their objective table, `objectives` its rows without gaps: (seed, configuration). `accuracy` is (seed,
    epoch, configuration), with no epochs where the configurations do not share their number. `tied` marks those that
    may be the best.
    """

    experiment: Experiment
    configurations: tuple[Configuration, ...]
    table: pd.DataFrame
    accuracy: Floats
    tied: npt.NDArray[np.bool_]
    n_unstable: int

    @property
    def objectives(self) -> Floats:
        """(seed, configuration), on the seeds that all have."""
        return np.asarray(self.table.dropna(), float)

    @property
    def note(self) -> str:
        """What the numbers rest on."""
        unstable = f", {self.n_unstable} unstable" if self.n_unstable else ""
        planned = len(self.experiment.configurations)
        return f"n={len(self.accuracy)} seeds, {len(self.configurations)} of {planned} configurations{unstable}"


def read_replay(trials: pd.DataFrame, curves: pd.DataFrame, experiment: Experiment) -> Replay | None:
    """What can be replayed of an experiment; None below two configurations or three seeds in common."""
    unstable = diverged_counts(trials, experiment)
    table = objective_table(trials, experiment).drop(columns=list(unstable))
    table = table.loc[:, table.count() >= LEAST_SEEDS]
    complete = table.dropna()
    if table.shape[1] < 2 or len(complete) < LEAST_SEEDS:
        return None
    configurations = tuple(c for c in experiment.configurations if c.name in table.columns)
    n_epochs = {c.epochs for c in configurations}
    known = curve_objectives(trials, curves, experiment)
    accuracy = _accuracy(complete, known, n_epochs=n_epochs.pop() if len(n_epochs) == 1 else 0)
    tied = np.isin(table.columns.to_numpy(), tied_set(table))
    return Replay(experiment, configurations, table, accuracy, tied, len(unstable))


def _accuracy(complete: pd.DataFrame, known: pd.DataFrame, *, n_epochs: int) -> Floats:
    """The learning curves of the seeds and configurations of `complete`: (seed, epoch, configuration)."""
    cells = pd.MultiIndex.from_product([complete.columns, range(1, n_epochs + 1)])
    values = known.reindex(index=complete.index, columns=cells).to_numpy(float)
    return values.reshape(len(complete), len(complete.columns), n_epochs).swapaxes(1, 2)


# --- 1 epochs, upside and downside ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class EpochGain:
    """What training from epoch `before` to epoch `after` brings and costs, in all, paired over seeds.

    `arms` tells two arms of the experiment from two points of one learning curve.
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


def answer_epochs(trials: pd.DataFrame, curves: pd.DataFrame, experiment: Experiment) -> EpochsAnswer | None:
    """Upside and downside of more epochs; None for an experiment about anything else or without trials."""
    if experiment.scientific != ("epochs",) or experiment.varied != ("epochs",):
        return None
    selected = select_trials(trials)
    unstable = diverged_counts(trials, experiment)
    present = set(selected["configuration"]) - set(unstable)
    arms = sorted((c for c in experiment.configurations if c.name in present), key=lambda c: c.epochs)
    if not arms:
        return None
    own = curves[curves["trial_id"].isin(selected["trial_id"])]
    by_arm = {c.name: own[own["configuration"] == c.name] for c in arms}
    longest = arms[-1].name
    gains = (*_curve_gains(by_arm[longest]), *_arm_gains(selected, arms))
    return EpochsAnswer(
        experiment.name, longest, by_arm[longest]["seed"].nunique(), gains,
        {name: overfitting(curve_table(curve, "validation_loss")) for name, curve in by_arm.items()},
        {name: still_improving(curve_table(curve, "validation_accuracy")) for name, curve in by_arm.items()},
    )  # fmt: skip


def _curve_gains(curve: pd.DataFrame) -> Iterator[EpochGain]:
    accuracy, seconds = (curve_table(curve, metric) for metric in ("validation_accuracy", "duration_s"))
    for i in range(1, accuracy.shape[1]):
        gain = mean_interval(accuracy[:, i] - accuracy[:, i - 1])
        yield EpochGain(i, i + 1, False, gain, mean_interval(seconds[:, i]))


def _arm_gains(selected: pd.DataFrame, arms: Sequence[Configuration]) -> Iterator[EpochGain]:
    names = [arm.name for arm in arms]
    accuracy, seconds = (replicate_table(selected, names, metric) for metric in ("validation_accuracy", "duration_s"))
    for before, after in itertools.pairwise(arms):
        gain, cost = (mean_interval((t[after.name] - t[before.name]).dropna().to_numpy()) for t in (accuracy, seconds))
        yield EpochGain(before.epochs, after.epochs, True, gain, cost)


def _epochs_rows(answer: EpochsAnswer) -> Iterator[Row]:
    note = f"n={answer.n_seeds} seeds"
    for step in answer.gains:
        where = "arms" if step.arms else answer.longest
        subject = f"{answer.experiment}: {where}, epoch {step.before} to {step.after}"
        gain, seconds = step.per_epoch()
        yield "epochs", "gain per extra epoch", subject, gain, "accuracy", note
        yield "epochs", "seconds per extra epoch", subject, seconds, "s", note
    for flag, flagged in (("overfitting", answer.overfitting), ("still improving", answer.still_improving)):
        for name, value in flagged.items():
            yield "epochs", flag, f"{answer.experiment}: {name}", value, "flag", ""


# --- 2 more epochs to find the best --------------------------------------------------------------------------------


@dataclass(frozen=True)
class EpochRanking:
    """The ranking by seed means at one epoch, compared with the final one.

    `tau` is Kendall's tau-b. `lost` is the final mean of the final winner minus that of the winner at this epoch. Their
    intervals are the 2.5 % and 97.5 % points over resampled seeds. `share_tied` of the resamples have a winner that is
    in the final tied set.
    """

    epoch: int
    winner: str
    tau: Interval
    lost: Interval
    share_tied: float


@dataclass(frozen=True)
class RankingAnswer:
    """`sufficient` is the first epoch from which on the winner is in the final tied set in at least 95 % of resamples.

    None where no epoch does. `n_tied` says how much that asks: where all are tied, any winner will do (`is_vacuous`).
    """

    experiment: str
    n_seeds: int
    n_configurations: int
    n_tied: int
    rankings: tuple[EpochRanking, ...]
    sufficient: int | None
    note: str

    @property
    def is_vacuous(self) -> bool:
        """Whether the records cannot tell any configuration from the best, so that no choice could be wrong."""
        return self.n_tied == self.n_configurations


def answer_ranking(replay: Replay) -> RankingAnswer | None:
    """Whether fewer epochs would have found the best; None where the configurations share no second epoch."""
    n_seeds, n_epochs, n_configurations = replay.accuracy.shape
    if n_epochs < 2:
        return None
    means = resample_means(replay.accuracy)
    rankings = tuple(_rank_epoch(epoch, replay, means) for epoch in range(1, n_epochs + 1))
    return RankingAnswer(
        replay.experiment.name, n_seeds, n_configurations, int(replay.tied.sum()), rankings,
        first_sufficient([r.share_tied for r in rankings]), replay.note,
    )  # fmt: skip


def resample_means(accuracy: Floats) -> Floats:
    """Means over the first axis, the seeds: as they are (first row), then over N_RESAMPLES resamples of the seeds."""
    n = len(accuracy)
    drawn = np.random.default_rng(RESAMPLING_SEED).multinomial(n, np.full(n, 1 / n), size=N_RESAMPLES)
    weights = np.vstack([np.ones(n), drawn]) / n
    return np.asarray(np.tensordot(weights, accuracy, axes=1), float)


def _rank_epoch(epoch: int, replay: Replay, means: Floats) -> EpochRanking:
    """`means` is (resample, epoch, configuration)."""
    now, end = means[:, epoch - 1], means[:, -1]
    winners = now.argmax(axis=1)
    return EpochRanking(
        epoch, replay.configurations[winners[0]].name, _resampled(kendall_tau(now, end)),
        _resampled(end.max(axis=1) - end[np.arange(len(end)), winners]),
        float(replay.tied[winners[1:]].mean()),
    )  # fmt: skip


def _resampled(values: Floats) -> Interval:
    return Interval(float(values[0]), *np.nanquantile(values[1:], [0.025, 0.975]).tolist())


def kendall_tau(a: Floats, b: Floats) -> Floats:
    """Kendall's (1945) tau-b of each row of `a` with the same row of `b`; zero where a row is all ties."""
    i, j = np.triu_indices(a.shape[1], 1)
    sign_a, sign_b = np.sign(a[:, i] - a[:, j]), np.sign(b[:, i] - b[:, j])
    scale = np.sqrt(np.sum(sign_a**2, axis=1) * np.sum(sign_b**2, axis=1))
    return np.asarray(np.sum(sign_a * sign_b, axis=1) / np.maximum(scale, 1.0), float)


def first_sufficient(shares: Sequence[float]) -> int | None:
    """The first epoch, from 1, whose share and all later ones reach SUFFICIENT_SHARE."""
    n_short = max((e for e, share in enumerate(shares, start=1) if share < SUFFICIENT_SHARE), default=0)
    return n_short + 1 if n_short < len(shares) else None


def _ranking_rows(answer: RankingAnswer) -> Iterator[Row]:
    question, name = "more epochs to find the best", answer.experiment
    note = f"{answer.note}, {answer.n_tied} in the final tied set"
    sufficient = np.nan if answer.sufficient is None else answer.sufficient
    yield question, "first epoch that suffices", name, sufficient, "epoch", note
    for at in answer.rankings:
        subject, winner = f"{name}, epoch {at.epoch}", f"winner {at.winner}"
        yield question, "Kendall's tau with the final ranking", subject, at.tau, "tau", note
        yield question, "winner in the final tied set", subject, at.share_tied, "share", winner
        yield question, "accuracy lost", subject, at.lost, "accuracy", winner


# --- 3 factors of 2 ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class CoarseGrid:
    """What a grid in factors of 4 would have found, and at what share of the cost.

    `lost` is the full grid's best mean minus this grid's, paired, with no interval where both are one configuration,
    whose name is `best`; as both are selected, the interval is too narrow. `bound` is not: the joint 95 % upper bound
    on the deficit of `best` to the truly best. `tied` says whether `best` may be the best. `cost` has the shares of
    updates x parameters, examples and seconds.
    """

    experiment: str
    grid: str
    n_configurations: int
    best: str
    lost: Interval
    bound: float
    tied: bool
    cost: Mapping[str, float]
    note: str


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


def log2_axes(experiment: Experiment) -> dict[str, tuple[float, ...]]:
    """Scientific axes in steps of a factor of 2, ascending, where the grid is the product of its scientific axes."""
    varied = [name for name in experiment.scientific if name in experiment.varied]
    values = {name: sorted({getattr(c, name) for c in experiment.configurations}) for name in varied}
    points = {tuple(getattr(c, name) for name in varied) for c in experiment.configurations}
    is_product = len(experiment.configurations) == len(points) == math.prod(map(len, values.values()))
    return {name: tuple(v) for name, v in values.items() if is_product and _in_factors_of_2(v)}


def _in_factors_of_2(values: Sequence[Value]) -> bool:
    numbers = [float(v) for v in values if not isinstance(v, str)]
    return len(numbers) == len(values) >= LEAST_LEVELS and all(b == 2 * a for a, b in itertools.pairwise(numbers))


def answer_factors(replay: Replay, trials: pd.DataFrame) -> tuple[CoarseGrid, ...]:
    """Every grid of every other point, from the first and from the second value of each axis."""
    axes = log2_axes(replay.experiment)
    if not axes:
        return ()
    seconds = select_trials(trials).groupby("configuration")["duration_s"].mean()
    halves = itertools.product(*([v[::2], v[1::2]] for v in axes.values()))
    grids = (dict(zip(axes, half, strict=True)) for half in halves)
    return _present(_coarse_grid(replay, kept, seconds) for kept in grids)


def _coarse_grid(replay: Replay, kept: Mapping[str, Sequence[float]], seconds: pd.Series) -> CoarseGrid | None:
    planned, means = replay.experiment.configurations, replay.table.mean()
    part = [c for c in planned if all(getattr(c, name) in values for name, values in kept.items())]
    found = means[means.index.isin([c.name for c in part])]
    if found.empty:
        return None
    best, full_best = str(found.idxmax()), str(means.idxmax())
    lost = mean_interval(paired_differences(replay.table[full_best], replay.table[best]))
    return CoarseGrid(
        experiment=replay.experiment.name,
        grid="; ".join(f"{name} {', '.join(map(format_value, values))}" for name, values in kept.items()),
        n_configurations=len(part),
        best=best,
        lost=lost if best != full_best else Interval(0.0),
        bound=deficit_bounds(replay.table)[best],
        tied=bool(replay.tied[means.index == best][0]),
        cost=cost_shares(planned, part, seconds),
        note=replay.note,
    )


def cost_shares(full: Sequence[Configuration], part: Sequence[Configuration], seconds: pd.Series) -> dict[str, float]:
    """Cost of one seed on a part of the grid, as a share of the full one's; NaN where seconds are missing."""
    costs = {
        "updates x parameters": {c: float(c.updates * c.parameters) for c in full},
        "examples": {c: float(c.examples) for c in full},
        "seconds": {c: float(seconds.get(c.name, np.nan)) for c in full},
    }
    return {name: sum(cost[c] for c in part) / sum(cost.values()) for name, cost in costs.items()}


def answer_quadratic(replay: Replay, trials: pd.DataFrame) -> QuadraticFit | None:
    """Whether the optimum of a one-axis experiment lies between grid points; None without a log2 axis."""
    experiment = replay.experiment
    axes = [name for name in experiment.scientific if name in experiment.varied]
    if len(axes) != 1 or not log2_axes(experiment):
        return None
    (axis,) = axes
    x = np.log2([float(getattr(c, axis)) for c in replay.configurations])
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
    (b, c), factor = slopes.mean(axis=1), stats.t.ppf(1 - ALPHA / 2, n - 1) ** 2 / n
    spread = factor * np.cov(slopes)
    square, mixed, constant = c**2 - spread[1, 1], b * c - spread[0, 1], b**2 - spread[0, 0]
    if square <= 0:
        return np.nan, np.nan
    root = np.sqrt(max(mixed**2 - square * constant, 0.0))
    return float((-mixed - root) / (2 * square)), float((-mixed + root) / (2 * square))


def _factor_rows(grid: CoarseGrid) -> Iterator[Row]:
    question, subject = "factors of 2", f"{grid.experiment}: {grid.grid}"
    yield question, "accuracy lost by factors of 4", subject, grid.lost, "accuracy", f"{grid.note}, {grid.best}"
    yield question, "upper bound on the accuracy lost", subject, grid.bound, "accuracy", grid.best
    yield question, "best is in the tied set of the full grid", subject, grid.tied, "flag", grid.best
    for cost, share in grid.cost.items():
        yield question, f"share of {cost}", subject, share, "share", f"{grid.n_configurations} configurations"


def _quadratic_rows(fit: QuadraticFit) -> Iterator[Row]:
    question = "factors of 2"
    inside = "" if fit.optimum.value > 0 else "; no optimum inside the grid"
    yield question, "optimum of a quadratic in log2", fit.experiment, fit.optimum, fit.axis, fit.note + inside
    if not inside:
        nearest = f"over {fit.axis} {fit.nearest:g}, the nearest grid point"
        yield question, "fitted gain at the optimum", fit.experiment, fit.gain, "accuracy", nearest
    yield question, "largest misfit of the quadratic", fit.experiment, fit.misfit, "accuracy", fit.note
    yield question, "smallest resolvable difference", fit.experiment, fit.resolvable, "accuracy", fit.note


# --- 4 interactions ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Interaction:
    """An interaction that survives Holm."""

    experiment: str
    term: str
    omega_squared: float
    noise_share: float
    p_holm: float


@dataclass(frozen=True)
class InteractionsAnswer:
    """The interactions that survive Holm, largest omega squared first, of `n_tested`."""

    n_tested: int
    n_untested: int
    survivors: tuple[Interaction, ...]


def answer_interactions(table: pd.DataFrame) -> InteractionsAnswer:
    """Read the answer off the table of interactions.interaction_table."""
    terms = table[is_interaction(table["term"])]
    tested = terms[terms["label"] == TESTED]
    columns = ["experiment", "term", "omega_squared", "noise_share", "p_holm"]
    rows = tested.loc[tested["p_holm"] <= ALPHA, columns].sort_values("omega_squared", ascending=False)
    survivors = tuple(Interaction(*row) for row in rows.itertuples(index=False, name=None))
    return InteractionsAnswer(len(tested), len(terms) - len(tested), survivors)


def _interaction_rows(answer: InteractionsAnswer) -> Iterator[Row]:
    question = "interactions"
    for found in answer.survivors:
        subject, note = f"{found.experiment}: {found.term}", f"Holm's p = {found.p_holm:.2g}"
        yield question, "omega squared", subject, found.omega_squared, "share", note
        yield question, "share of noise", subject, found.noise_share, "share", note


# --- 5 grid search is naive ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class RandomSearchAnswer:
    """The best of m trials drawn at random from the grid, m = 1 to all, as single-seed searches averaged over seeds.

    `reported` is the objective that such a search would quote, `honest` that of its choice on the other seeds, and
    `optimism` the difference for the full grid. `sufficient` is the smallest m whose honest value comes within the
    margin of the full grid's.
    """

    experiment: str
    n_seeds: int
    n_configurations: int
    reported: tuple[Interval, ...]
    honest: tuple[Interval, ...]
    optimism: Interval
    sufficient: int
    note: str


@dataclass(frozen=True)
class HalvingAnswer:
    """Successive halving on the recorded curves, one search per seed.

    `share_tied` of the winners are in the final tied set (Wilson's interval), `full_share_tied` of those of the full
    grid. `lost` is the full grid's winner minus halving's, on the seeds that did not choose them.
    """

    experiment: str
    eta: int
    rungs: tuple[int, ...]
    epochs_share: float
    share_tied: Interval
    full_share_tied: Interval
    lost: Interval
    note: str


def answer_random_search(replay: Replay, *, margin: float) -> RandomSearchAnswer | None:
    """Replay random search, ties broken in the plan's order; None below 3 configurations."""
    n, size = replay.objectives.shape
    if size < 3:
        return None
    ranks = replay.objectives.argsort(axis=1, kind="stable").argsort(axis=1)
    judged = np.einsum("rcm,sc->rsm", best_of_weights(size).T[ranks], replay.objectives)
    reported = np.diagonal(judged).T
    honest = tuple(map(mean_interval, pseudovalues(judged).T))
    sufficient = next(m for m, worth in enumerate(honest, start=1) if worth.value >= honest[-1].value - margin)
    return RandomSearchAnswer(
        replay.experiment.name, n, size, tuple(map(mean_interval, reported.T)), honest,
        mean_interval(pseudovalues(reported - judged)[:, -1]), sufficient, replay.note,
    )  # fmt: skip


def best_of_weights(size: int) -> Floats:
    """Chance C(j-1, m-1) / C(size, m) that the j-th smallest is the best of m draws without replacement; row m.

    Unbiased for the expected best of m, unlike the resampling estimate of Dodge et al. 2019 (Tang et al. 2020).
    """
    m, j = np.arange(1, size + 1)[:, None], np.arange(1, size + 1)[None, :]
    return np.asarray(special.comb(j - 1, m - 1) / special.comb(size, m), float)


def pseudovalues(judged: Floats) -> Floats:
    """Jackknife values, a row per seed, of the mean of `judged` over all pairs of different seeds.

    `judged` is (choosing seed, judging seed, search): what a search on one seed chose, worth on another. Every seed is
    in many pairs, both as the chooser and as the judge; a t interval of the pseudovalues allows for that (Tukey 1958;
    Arvesen 1969). Simulated it covers 93 to 98 % at 5 and 10 seeds, at 3 seeds 80 to 96 %.
    """
    n = len(judged)
    pairs = judged * (1 - np.eye(n))[:, :, None]
    total = pairs.sum(axis=(0, 1))
    without = (total - pairs.sum(axis=0) - pairs.sum(axis=1)) / ((n - 1) * (n - 2))
    return np.asarray(total / (n - 1) - (n - 1) * without, float)


def answer_halving(replay: Replay, eta: int) -> HalvingAnswer | None:
    """Replay successive halving; None where the epochs hold no two rungs."""
    _, n_epochs, size = replay.accuracy.shape
    rungs = halving_rungs(n_epochs, eta)
    if len(rungs) < 2:
        return None
    final = replay.accuracy[:, -1]
    full, winners = final.argmax(axis=1), np.array([halve(curves, rungs, eta) for curves in replay.accuracy])
    lost = pseudovalues((final[:, full] - final[:, winners]).T[:, :, None])[:, 0]
    return HalvingAnswer(
        replay.experiment.name, eta, rungs, halving_epochs(size, rungs, eta) / (size * n_epochs),
        share_interval(replay.tied[winners]), share_interval(replay.tied[full]), mean_interval(lost), replay.note,
    )  # fmt: skip


def halving_rungs(n_epochs: int, eta: int) -> tuple[int, ...]:
    """The epochs at which successive halving selects: all epochs divided by powers of eta, rounded down."""
    rungs = [n_epochs]
    while rungs[-1] >= eta:
        rungs.append(rungs[-1] // eta)
    return tuple(reversed(rungs))


def survivors_at(size: int, rungs: Sequence[int], eta: int) -> list[int]:
    """How many configurations train up to each rung (Jamieson and Talwalkar 2016)."""
    return [max(1, size // eta**i) for i in range(len(rungs))]


def halving_epochs(size: int, rungs: Sequence[int], eta: int) -> int:
    """Epochs that successive halving trains in all, pausing and resuming; the winner is trained to the end."""
    steps = np.diff([0, *rungs])
    return int(np.sum(steps * survivors_at(size, rungs, eta)))


def halve(accuracy: Floats, rungs: Sequence[int], eta: int) -> int:
    """The winner of successive halving on learning curves, (epoch, configuration): its column."""
    kept = np.arange(accuracy.shape[1])
    for rung, n_next in zip(rungs, [*survivors_at(len(kept), rungs, eta)[1:], 1], strict=True):
        kept = kept[np.argsort(-accuracy[rung - 1, kept], kind="stable")[:n_next]]
    return int(kept[0])


def share_interval(hits: npt.NDArray[np.bool_]) -> Interval:
    """The share of true values with Wilson's (1927) interval."""
    test = stats.binomtest(int(hits.sum()), len(hits))
    bounds = test.proportion_ci(method="wilson")
    return Interval(float(hits.mean()), float(bounds.low), float(bounds.high))


def _random_search_rows(answer: RandomSearchAnswer) -> Iterator[Row]:
    question, name = "grid search is naive", answer.experiment
    note = answer.note
    yield question, "random trials that suffice", name, answer.sufficient, "trials", note
    yield question, "optimism of the best single run", name, answer.optimism, "accuracy", note
    for m, (reported, honest) in enumerate(zip(answer.reported, answer.honest, strict=True), start=1):
        yield question, "best of m random trials, as reported", f"{name}, m={m}", reported, "accuracy", note
        yield question, "best of m random trials, on other seeds", f"{name}, m={m}", honest, "accuracy", note


def _halving_rows(answer: HalvingAnswer) -> Iterator[Row]:
    question, subject = "grid search is naive", f"{answer.experiment}, eta={answer.eta}"
    rungs = f"{answer.note}, rungs at epochs {', '.join(map(str, answer.rungs))}"
    yield question, "halving: share of epochs", subject, answer.epochs_share, "share", rungs
    yield question, "halving: winner in the final tied set", subject, answer.share_tied, "share", rungs
    yield question, "full grid: winner in the final tied set", subject, answer.full_share_tied, "share", rungs
    yield question, "halving: accuracy lost on other seeds", subject, answer.lost, "accuracy", rungs


# --- all together --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class StudyAnswers:
    """The answers to the five questions, by experiment in the order given, and all their numbers as one table."""

    epochs: tuple[EpochsAnswer, ...]
    rankings: tuple[RankingAnswer, ...]
    coarse_grids: tuple[CoarseGrid, ...]
    quadratics: tuple[QuadraticFit, ...]
    interactions: InteractionsAnswer
    random_searches: tuple[RandomSearchAnswer, ...]
    halvings: tuple[HalvingAnswer, ...]

    @property
    def table(self) -> pd.DataFrame:
        """`study_questions.csv`, QUESTION_COLUMNS."""
        rows = [
            (*where, *(value if isinstance(value, Interval) else Interval(float(value))), unit, note)
            for *where, value, unit, note in _question_rows(self)
        ]
        return pd.DataFrame(rows, columns=list(QUESTION_COLUMNS))


def answer_questions(
    trials: pd.DataFrame,
    curves: pd.DataFrame,
    experiments: Sequence[Experiment],
    *,
    interactions: pd.DataFrame,
    margin: float,
) -> StudyAnswers:
    """Answer the study questions from one group of records; `interactions` is the table of `interaction_table`."""
    replays = _present(read_replay(trials, curves, e) for e in experiments)
    return StudyAnswers(
        epochs=_present(answer_epochs(trials, curves, e) for e in experiments),
        rankings=_present(map(answer_ranking, replays)),
        coarse_grids=tuple(grid for r in replays for grid in answer_factors(r, trials)),
        quadratics=_present(answer_quadratic(r, trials) for r in replays),
        interactions=answer_interactions(interactions),
        random_searches=_present(answer_random_search(r, margin=margin) for r in replays),
        halvings=_present(answer_halving(r, eta) for r in replays for eta in ETAS),
    )


def _question_rows(answers: StudyAnswers) -> Iterator[Row]:
    for epochs in answers.epochs:
        yield from _epochs_rows(epochs)
    for ranking in answers.rankings:
        yield from _ranking_rows(ranking)
    for grid in answers.coarse_grids:
        yield from _factor_rows(grid)
    for fit in answers.quadratics:
        yield from _quadratic_rows(fit)
    yield from _interaction_rows(answers.interactions)
    for search in answers.random_searches:
        yield from _random_search_rows(search)
    for halving in answers.halvings:
        yield from _halving_rows(halving)
