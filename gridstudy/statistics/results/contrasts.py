"""Replicates -> differences of configurations, or of averages over several, paired where the records allow it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from gridstudy.core.trial import LEAST_SEEDS
from gridstudy.statistics.comparisons import Differences, Floats, comparison_labels, describe, differences
from gridstudy.statistics.results.configurations import Ints
from gridstudy.statistics.results.replicates import BLOCK, CONDITIONS, PAIRED_RULES, PASSES, UNPAIRED_INDEX, Replicates

LEAST_SHARE = 0.75
"""Of the runs of each configuration, the least share in passes that hold both for the two to be paired."""
NOT_COMPARED = "not compared: something that is not recorded differs between passes"
UNIT_WORDS = {BLOCK: "blocks", CONDITIONS: "conditions", PASSES: "passes"}

Labels = npt.NDArray[np.object_]


@dataclass(frozen=True)
class Arm:
    """A weighted average of configurations; the weights add up to one."""

    cells: Ints
    weights: Floats

    @classmethod
    def average(cls, cells: Sequence[int] | Ints) -> Arm:
        return cls(np.asarray(cells, np.int64), np.full(len(cells), 1 / max(len(cells), 1)))


@dataclass(frozen=True)
class Compared:
    """Differences first - second of scores, and of each what kind it is, or why there is none."""

    differences: Differences
    labels: Labels


def compare_pairs(replicates: Replicates, first: Ints, second: Ints) -> Compared:
    """Compare configurations, an entry per pair."""
    values = replicates.scores.to_numpy(float)
    a, b = values[:, first], values[:, second]
    most_runs = np.maximum(replicates.n[first], replicates.n[second])
    if replicates.rule in PAIRED_RULES:
        return _paired(replicates, a, b)
    return _choose(replicates, _paired(replicates, a, b), _unpaired(a, b), most_runs=most_runs)


def compare_arms(replicates: Replicates, arms: Sequence[tuple[Arm, Arm]]) -> Compared:
    """Compare averages of configurations, an entry per pair of arms.

    Averages are taken within each replicate that has all configurations of both arms, and the replicate is the unit:
    taking cells x seeds as pairs makes many false claims where an effect varies by seed.
    """
    values = replicates.scores.to_numpy(float)
    a, b = (_average_arms(values, [pair[side] for pair in arms]) for side in (0, 1))
    if replicates.rule in PAIRED_RULES:
        return _paired(replicates, a, b)
    most_runs = np.array([replicates.n[np.append(x.cells, y.cells)].max(initial=0) for x, y in arms], np.int64)
    return _choose(replicates, _paired(replicates, a, b), _unpaired_arms(values, arms), most_runs=most_runs)


def _average_arms(values: Floats, arms: Sequence[Arm]) -> Floats:
    """Averages within each replicate, a column per arm; NaN where a configuration is missing."""
    averages = np.full((len(values), len(arms)), np.nan)
    for column, arm in enumerate(arms):
        if len(arm.cells):
            averages[:, column] = values[:, arm.cells] @ arm.weights
    return averages


def compare_values(a: Floats, b: Floats, *, unpaired: bool = False) -> Differences:
    """Differences a - b of columns, paired by rows or not; NaN is missing."""
    index = pd.RangeIndex(len(a), name=UNPAIRED_INDEX if unpaired else "seed")
    table = pd.DataFrame(np.hstack([a, b]), index=index)
    names = list(range(table.shape[1]))
    return differences(table, names[: a.shape[1]], names[a.shape[1] :])  # type: ignore[arg-type]


def correct_for_folds(found: Differences, folds: int) -> Differences:
    """Widen differences over folds, which share training data (Nadeau and Bengio 2003); an approximation."""
    return replace(found, standard_error=found.standard_error * fold_factor(found.n, folds))


def fold_factor(n: Floats, folds: int) -> Floats:
    """By how much n differences over folds, repetitions included, are less certain than s / sqrt(n) says."""
    return np.sqrt(1 + n / (folds - 1))


def average_groups(values: Floats, groups: Ints) -> Floats:
    """Average the rows of each group, over those that are not missing."""
    member = (groups[None, :] == np.unique(groups)[:, None]).astype(float)
    counts = member @ ~np.isnan(values)
    sums = member @ np.nan_to_num(values)
    return np.asarray(np.divide(sums, counts, out=np.full(sums.shape, np.nan), where=counts > 0))


def _paired(replicates: Replicates, a: Floats, b: Floats) -> Compared:
    if replicates.groups is not None:
        common = ~np.isnan(a) & ~np.isnan(b)
        a, b = (average_groups(np.where(common, x, np.nan), replicates.groups) for x in (a, b))
    found = compare_values(a, b)
    if replicates.folds:
        found = correct_for_folds(found, replicates.folds)
    labels = comparison_labels(found, paired=True)
    word = "folds" if replicates.folds else UNIT_WORDS.get(replicates.rule, "seeds")
    labels[found.n < LEAST_SEEDS] = f"fewer than {LEAST_SEEDS} common {word}"
    return Compared(found, labels)


def _unpaired(a: Floats, b: Floats) -> Compared:
    found = compare_values(a, b, unpaired=True)
    return Compared(found, comparison_labels(found, paired=False))


def _unpaired_arms(values: Floats, arms: Sequence[tuple[Arm, Arm]]) -> Compared:
    """Welch's (1947) test for averages of configurations whose runs are independent.

    Each configuration contributes weight^2 s^2 / n to the variance of the difference; the degrees of freedom follow
    Satterthwaite (1946).
    """
    samples = describe(values)
    parts = np.divide(samples.sd**2, samples.n, out=np.full(len(samples.n), np.nan), where=samples.n > 0)
    rows = [_combine(samples.n, samples.mean, parts, first, second) for first, second in arms]
    n, mean, variance, degrees = np.array(rows, float).reshape(-1, 4).T
    testable = (n >= LEAST_SEEDS) & (variance > 0)
    unknown = np.full(len(n), np.nan)
    error = np.sqrt(variance)
    found = Differences(n, mean, error * np.sqrt(n), unknown, unknown, error, degrees, testable)
    return Compared(found, comparison_labels(found, paired=False))


def _combine(n: Floats, mean: Floats, parts: Floats, first: Arm, second: Arm) -> tuple[float, float, float, float]:
    cells = np.append(first.cells, second.cells)
    if not len(cells):
        return 0.0, np.nan, np.nan, np.nan
    weights = np.append(first.weights, -second.weights)
    squares = weights**2 * parts[cells]
    variance, spread = float(squares.sum()), float(np.sum(squares**2 / np.maximum(n[cells] - 1, 1)))
    degrees = variance**2 / spread if spread > 0 else np.nan
    return float(n[cells].min()), float(weights @ mean[cells]), variance, degrees


def _choose(replicates: Replicates, paired: Compared, unpaired: Compared, *, most_runs: Ints) -> Compared:
    """Pair over passes that hold both, if these are enough; else Welch, or nothing where the passes differ."""
    if replicates.rule == PASSES:
        n = paired.differences.n
        pairable = (n >= LEAST_SEEDS) & (n >= LEAST_SHARE * most_runs)
    else:
        pairable = np.zeros(len(most_runs), bool)
    found = Differences(
        *(
            np.where(pairable, getattr(paired.differences, f.name), getattr(unpaired.differences, f.name))
            for f in fields(Differences)
        )
    )
    labels = np.where(pairable, paired.labels, unpaired.labels)
    if replicates.passes_differ:
        found = replace(found, testable=found.testable & pairable)
        labels = np.where(pairable, labels, NOT_COMPARED)
    return Compared(found, labels)
