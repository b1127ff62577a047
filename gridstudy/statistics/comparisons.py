"""Objectives of configurations over seeds -> differences with intervals, sets tied with the best, seeds needed.

An objective table has a row per seed (index `seed`) and a column per configuration; a missing trial is NaN. Where
seeds are unknown its index is `replicate`, a running number, and nothing may be paired.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import integrate, special

from gridstudy.core.experiment import Experiment
from gridstudy.core.trial import FIRST_CONFIRMATION_SEED, LEAST_SEEDS
from gridstudy.records.tables import FOREIGN
from gridstudy.statistics.distributions import noncentral_t_below, skewness, t_above, t_below, t_critical, t_quantile

MOST_SEEDS = 100
ALPHA = 0.05
POWER = 0.8
TESTED = ("paired", "unpaired")
"""Labels of comparisons that have an interval and a p."""

Floats = npt.NDArray[np.float64]

COMPARISON_COLUMNS = (
    "a", "b", "n", "difference", "difference_sd", "low", "high", "p", "paired", "label", "correlation", "unpaired_sd",
    "seeds_needed",
)  # fmt: skip
"""`difference` is a - b, positive where a is better, `low` and `high` its 95 % interval, `p` two-sided;
`difference_sd` is over seeds, `unpaired_sd` what it would be without pairing; `seeds_needed` is "", "12" or ">100"."""


# --- tables --------------------------------------------------------------------------------------------------------


def objective_table(trials: pd.DataFrame, experiment: Experiment, *, sign: int) -> pd.DataFrame:
    """Objectives of the experiment's own trials, a row per seed, a column per configuration in the plan's order.

    They are multiplied by the objective's `sign`, so that higher is better. Confirmation seeds and foreign trials are
    left out; a diverged trial counts as guessing.
    """
    names = [c.name for c in experiment.configurations]
    return sign * replicate_table(select_trials(trials), names)


def select_trials(trials: pd.DataFrame) -> pd.DataFrame:
    """Our own trials on the seeds of the selection, those from which everything but the confirmation is estimated."""
    return trials[(trials["origin"] != FOREIGN) & ~(trials["seed"] >= FIRST_CONFIRMATION_SEED)]


def replicate_table(trials: pd.DataFrame, names: Sequence[str], metric: str = "objective") -> pd.DataFrame:
    """`metric` of each replicate of the named configurations; see the module for the two kinds of index."""
    rows = trials[trials["configuration"].isin(names)]
    if rows["seed"].isna().any() or rows.duplicated(["configuration", "seed"]).any():
        rows = rows.assign(replicate=rows.groupby("configuration").cumcount())
        table = rows.pivot(index="replicate", columns="configuration", values=metric)
    else:
        table = rows.pivot(index="seed", columns="configuration", values=metric)
    return table.reindex(columns=pd.Index(names, name="configuration")).astype(float)


def is_paired(objectives: pd.DataFrame) -> bool:
    """Whether the rows are seeds, so that configurations may be compared within a row."""
    return objectives.index.name != "replicate"


# --- one sample ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Samples:
    """Number, mean, standard deviation and 95 % t interval of each column; NaN where they do not exist."""

    n: Floats
    mean: Floats
    sd: Floats
    low: Floats
    high: Floats


def describe(values: Floats) -> Samples:
    """Describe each column of `values` (NaN: missing)."""
    n, mean, sd = _moments(values)
    half = _quantile(0.975, n - 1) * sd / np.sqrt(np.maximum(n, 1))
    return Samples(n, mean, sd, mean - half, mean + half)


def _moments(values: Floats) -> tuple[Floats, Floats, Floats]:
    n = np.sum(~np.isnan(values), axis=0).astype(float)
    mean = np.divide(np.nansum(values, axis=0), n, out=np.full(n.shape, np.nan), where=n > 0)
    squares = np.nansum((values - mean) ** 2, axis=0)
    sd = np.sqrt(np.divide(squares, n - 1, out=np.full(n.shape, np.nan), where=n > 1))
    return n, mean, np.where(sd < 1e-9, 0.0, sd)


def _quantile(probability: float | Floats, degrees_of_freedom: Floats) -> Floats:
    defined = degrees_of_freedom > 0
    return np.where(defined, t_quantile(probability, np.where(defined, degrees_of_freedom, 1.0)), np.nan)


# --- two samples ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Differences:
    """Differences of pairs of columns, each with a variance of its own; `testable` where a t test may be made.

    Paired by rows, or Welch's (1947) where the rows are not seeds. All arrays have one shape, an entry per pair.
    """

    n: Floats
    mean: Floats
    sd: Floats
    unpaired_sd: Floats
    correlation: Floats
    standard_error: Floats
    degrees_of_freedom: Floats
    testable: npt.NDArray[np.bool_]

    def one_sided_p(self, shift: float = 0.0) -> Floats:
        """P of the hypothesis that the difference is at most `shift`; 1 where nothing can be tested."""
        return self._p(t_above, shift)

    def opposite_p(self, shift: float = 0.0) -> Floats:
        """P of the hypothesis that the difference is at least `shift`; 1 where nothing can be tested."""
        return self._p(t_below, shift)

    def _p(self, tail: Any, shift: float) -> Floats:
        t = (self.mean - shift) / np.where(self.testable, self.standard_error, 1.0)
        return np.where(self.testable, tail(t, np.where(self.testable, self.degrees_of_freedom, 1.0)), 1.0)

    def half_width(self, confidence: float) -> Floats:
        """Half the two-sided t interval, NaN where nothing can be tested."""
        degrees = np.where(self.testable, self.degrees_of_freedom, np.nan)
        return _quantile((1 + confidence) / 2, degrees) * self.standard_error


def paired_differences(a: pd.Series, b: pd.Series) -> pd.Series:
    """The differences a - b over the seeds that both have."""
    return (a - b).dropna()


def differences(objectives: pd.DataFrame, first: Sequence[str], second: Sequence[str]) -> Differences:
    """Differences first - second of columns, an entry per pair."""
    a, b = (objectives[list(names)].to_numpy(float) for names in (first, second))
    return _paired(a, b) if is_paired(objectives) else _unpaired(a, b)


def _paired(a: Floats, b: Floats) -> Differences:
    common = ~np.isnan(a) & ~np.isnan(b)
    n, mean, sd = _moments(a - b)
    sd_a, sd_b = (_moments(np.where(common, x, np.nan))[2] for x in (a, b))
    product = 2 * sd_a * sd_b
    correlation = np.divide(sd_a**2 + sd_b**2 - sd**2, product, out=np.full(n.shape, np.nan), where=product > 0)
    testable = (n >= LEAST_SEEDS) & (sd > 0)
    return Differences(
        n, mean, sd, np.hypot(sd_a, sd_b), correlation, sd / np.sqrt(np.maximum(n, 1)), n - 1, testable
    )  # fmt: skip


def _unpaired(a: Floats, b: Floats) -> Differences:
    (n_a, mean_a, sd_a), (n_b, mean_b, sd_b) = _moments(a), _moments(b)
    n, sd = np.minimum(n_a, n_b), np.hypot(sd_a, sd_b)
    testable = (n >= LEAST_SEEDS) & (sd > 0)
    part_a, part_b = sd_a**2 / np.maximum(n_a, 1), sd_b**2 / np.maximum(n_b, 1)
    parts = part_a**2 / np.maximum(n_a - 1, 1) + part_b**2 / np.maximum(n_b - 1, 1)
    degrees = np.divide((part_a + part_b) ** 2, parts, out=np.full(n.shape, np.nan), where=testable)
    unknown = np.full(n.shape, np.nan)
    return Differences(n, mean_a - mean_b, sd, sd, unknown, np.sqrt(part_a + part_b), degrees, testable)


def compare_pairs(
    objectives: pd.DataFrame, *, unstable: Collection[str] = (), assumed_sd: float = np.nan
) -> pd.DataFrame:
    """All pairs of columns, a before b: a row each with COMPARISON_COLUMNS.

    Seeds are planned with `assumed_sd`, of a difference, where there are fewer than 3 common seeds.
    """
    first, second = (objectives.columns[i].tolist() for i in np.triu_indices(objectives.shape[1], 1))
    pairs = differences(objectives, first, second)
    label = comparison_labels(pairs, paired=is_paired(objectives))
    label[np.isin(first, list(unstable)) | np.isin(second, list(unstable))] = "unstable"
    shown = np.isin(label, TESTED)
    half = np.where(shown, pairs.half_width(0.95), np.nan)
    p = 2 * np.minimum(pairs.one_sided_p(), pairs.opposite_p())
    planning_sd = np.where(pairs.n < LEAST_SEEDS, assumed_sd, pairs.sd)
    needed = seeds_needed(pairs.mean, planning_sd, paired=is_paired(objectives))
    columns = (
        first, second, pairs.n.astype(int), pairs.mean, pairs.sd, pairs.mean - half, pairs.mean + half,
        np.where(shown, p, np.nan), is_paired(objectives), label, pairs.correlation, pairs.unpaired_sd,
        [format_seeds(n) if known != "unstable" else "" for n, known in zip(needed, label, strict=True)],
    )  # fmt: skip
    return pd.DataFrame(dict(zip(COMPARISON_COLUMNS, columns, strict=True)))


def comparison_labels(pairs: Differences, *, paired: bool) -> npt.NDArray[np.object_]:
    """What kind of comparison each pair allows, or why it allows none."""
    few = f"fewer than {LEAST_SEEDS} common seeds" if paired else f"fewer than {LEAST_SEEDS} replicates"
    same = np.where(np.abs(pairs.mean) < 1e-9, "identical records", "constant difference")
    label = np.where(pairs.testable, TESTED[0] if paired else TESTED[1], np.where(pairs.n < LEAST_SEEDS, few, same))
    return label.astype(object)


def holm(p: Sequence[float] | Floats) -> Floats:
    """Holm's (1979) adjusted p values of each family (the last axis), in the order given.

    Pad with ones for members of a family that are missing. Statsmodels gives the same, but collects garbage at every
    call, which takes 20 ms.
    """
    given = np.asarray(p, float)
    order = np.argsort(given, axis=-1)
    factors = given.shape[-1] - np.arange(given.shape[-1])
    rising = np.maximum.accumulate(np.take_along_axis(given, order, -1) * factors, axis=-1)
    adjusted = np.empty_like(given)
    np.put_along_axis(adjusted, order, np.minimum(1, rising), -1)
    return adjusted


# --- skewness ------------------------------------------------------------------------------------------------------


def is_skewed(differences_of_pair: Floats) -> bool:
    """Whether |skewness| exceeds what normal samples of this size show in 99 of 100; False below 3 differences.

    The t methods assume normal differences: at a skewness of 1 their intervals err in 9 % instead of 5 %.
    """
    known = differences_of_pair[~np.isnan(differences_of_pair)]
    if known.size < LEAST_SEEDS or np.ptp(known) == 0:
        return False
    return bool(abs(skewness(known)) > skewness_limit(known.size))


@lru_cache
def skewness_limit(n: int) -> float:
    """The |skewness| that 1 % of normal samples of size n exceed, from 20,000 of them."""
    samples = np.random.default_rng(0).standard_normal((20_000, n))
    return float(np.quantile(np.abs(skewness(samples)), 0.99))


# --- power ---------------------------------------------------------------------------------------------------------


@lru_cache
def detectable_effects(*, alpha: float = ALPHA, paired: bool = True) -> tuple[float, ...]:
    """The difference that a two-sided t test finds with 80 % power, for 3 to 100 seeds, in sds of the difference.

    By the noncentral t (Cohen 1988); without pairing two samples of n share 2n - 2 degrees of freedom.
    """
    n = np.arange(LEAST_SEEDS, MOST_SEEDS + 1, dtype=float)
    degrees = (n - 1) if paired else 2 * (n - 1)
    noncentrality = special.nctdtrinc(degrees, 1 - POWER, t_critical(alpha / 2, degrees))
    return tuple((noncentrality / np.sqrt(n)).tolist())


def seeds_needed(difference: Floats | float, sd: Floats | float, *, paired: bool = True) -> Floats:
    """The fewest seeds with which the t test finds `difference`; infinite beyond 100, NaN where it is unknown."""
    effects = np.array(detectable_effects(paired=paired))
    ratio = np.divide(np.abs(difference), sd, out=np.full(np.shape(difference), np.nan), where=np.greater(sd, 0))
    n = LEAST_SEEDS + np.sum(effects > np.expand_dims(ratio, -1), axis=-1).astype(float)
    return np.where(np.isnan(ratio), np.nan, np.where(n > MOST_SEEDS, np.inf, n))


def format_seeds(n: float) -> str:
    """A number of seeds in words: `12`, `>100`, or nothing where it is unknown."""
    if np.isnan(n):
        return ""
    return f">{MOST_SEEDS}" if n > MOST_SEEDS else str(int(n))


# --- the best ------------------------------------------------------------------------------------------------------


def tied_set(objectives: pd.DataFrame) -> list[str]:
    """The configurations that may be the best, in the columns' order: Hsu's (1996) confidence set at 95 %.

    A configuration is left out if another is better by a one-sided t at 5 % / (k - 1). Unstable configurations must
    not be among the columns; one that is not ranked is not in the set.
    """
    names = ranked(objectives)
    if len(names) < 2:
        return names
    pairs = _all_pairs(objectives, names)
    beats = (pairs.one_sided_p() < ALPHA / (len(names) - 1)).reshape(len(names), -1)
    return [name for name, beaten in zip(names, beats.T, strict=True) if not beaten.any()]


def deficit_bounds(objectives: pd.DataFrame) -> dict[str, float]:
    """By how much each configuration may fall short of the truly best one: joint 95 % upper bounds.

    The largest bound over the tied set at 5 % / (k - 1). Both follow from the same k - 1 comparisons with the truly
    best, so that they hold together (Hsu 1996, section 4.1). Infinite where there are fewer than 3 common seeds;
    configurations that are not ranked have none.
    """
    names = ranked(objectives)
    if len(names) < 2:
        return dict.fromkeys(names, 0.0)
    pairs = _all_pairs(objectives, names)
    half = pairs.half_width(1 - 2 * ALPHA / (len(names) - 1))
    identical = (pairs.n >= LEAST_SEEDS) & (pairs.sd == 0) & (np.abs(pairs.mean) < 1e-9)
    upper = np.where(pairs.testable, pairs.mean + half, np.where(identical, 0.0, np.inf)).reshape(len(names), -1)
    np.fill_diagonal(upper, 0.0)
    rivals = np.isin(names, tied_set(objectives))
    return dict(zip(names, np.maximum(upper[rivals].max(axis=0), 0.0).tolist(), strict=True))


def ranked(objectives: pd.DataFrame) -> list[str]:
    """The configurations with at least 3 replicates; where there are none, all that have any."""
    n = objectives.notna().sum()
    return [str(name) for name in n.index[(n >= LEAST_SEEDS) | ((n > 0) & (n.max() < LEAST_SEEDS))]]


def _all_pairs(objectives: pd.DataFrame, names: Sequence[str]) -> Differences:
    """Differences of all ordered pairs, row after row of a k x k table."""
    grid = np.array(names, dtype=object)
    return differences(objectives, np.repeat(grid, len(grid)).tolist(), np.tile(grid, len(grid)).tolist())


def recommend(objectives: pd.DataFrame, *, costs: Mapping[str, float], margin: float) -> str | None:
    """The cheapest configuration whose deficit to the best is within the margin by its 95 % bound, if there is one.

    Of several whose cost is unknown (NaN) the one of the higher mean.
    """
    within = [name for name, bound in deficit_bounds(objectives).items() if bound <= margin]
    return cheapest(within, costs=costs, means=objectives.mean())


def cheapest(names: Sequence[str], *, costs: Mapping[str, float], means: Mapping[str, float] | pd.Series) -> str | None:
    """The cheapest of these configurations; of several whose cost is equal or unknown (NaN) the one of higher mean."""
    return min(names, key=lambda name: (np.nan_to_num(costs[name], nan=np.inf), -means[name]), default=None)


def seeds_to_recommend(objectives: pd.DataFrame, *, margin: float, assumed_sd: float) -> float:
    """Seeds after which some configuration can be recommended with 80 % power, were the estimates true; one look.

    The highest mean must be shown to lie at most the margin below each rival in the tied set, one-sided at
    5 % / (k - 1); the chances to fail are added up. `assumed_sd` is the standard deviation of a difference where there
    are fewer than 3 common seeds. Infinite beyond 100 seeds.
    """
    names = ranked(objectives)
    best = str(objectives[names].mean().idxmax())
    rivals = [name for name in tied_set(objectives) if name != best]
    if not rivals:
        return np.nan
    pairs = differences(objectives, [best] * len(rivals), rivals)
    sd = np.where(pairs.n < LEAST_SEEDS, assumed_sd, pairs.sd)
    if not (sd > 0).all():
        return np.nan
    n = np.arange(LEAST_SEEDS, MOST_SEEDS + 1, dtype=float)[:, None]
    degrees = (n - 1) if is_paired(objectives) else 2 * (n - 1)
    critical = t_critical(ALPHA / (len(names) - 1), degrees)
    missed = noncentral_t_below(critical, degrees, (np.maximum(pairs.mean, 0) + margin) / sd * np.sqrt(n))
    enough = np.flatnonzero(missed.sum(axis=1) <= 1 - POWER)
    return float(n[enough[0], 0]) if enough.size else np.inf


@lru_cache
def expected_maximum(k: int) -> float:
    """E[max of k standard normals], by integration over its distribution."""

    def density_times_value(x: float) -> float:  # a call of stats.norm costs 50 times what ndtr and exp do
        return float(x * k * (np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi)) * special.ndtr(x) ** (k - 1))

    return float(integrate.quad(density_times_value, -9, 9)[0])
