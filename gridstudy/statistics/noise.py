"""How far replicates scatter, and what difference a number of seeds can resolve."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from gridstudy.core.trial import LEAST_SEEDS, LOOK_FACTORS
from gridstudy.statistics.comparisons import (
    ALPHA,
    MOST_SEEDS,
    Floats,
    compare_pairs,
    describe,
    detectable_effects,
    is_paired,
    replicate_table,
    select_trials,
)
from gridstudy.statistics.looks import WEIGHTS

REFERENCE_SD = 0.0074
"""Standard deviation of a configuration over its seeds: the median of the reference study (reference/)."""
REFERENCE_DIFFERENCE_SD = 0.0072
"""Standard deviation of a paired difference: the median over the pairs within its experiments."""

FROM_EXPERIMENT = "this experiment"
FROM_LOGDIR = "repeated configurations in the logdir"
FROM_REFERENCE = "reference study, assumed"


@dataclass(frozen=True)
class Spread:
    """Typical standard deviations of a configuration and of a paired difference, and where they come from."""

    sd: float
    difference_sd: float
    source: str


@dataclass(frozen=True)
class NoiseFloor:
    """The scatter of an experiment's replicates, in the unit of the objective; NaN where there are too few.

    `resolvable_paired` and `resolvable_unpaired` are the smallest differences between two configurations that
    `n_seeds` seeds (the lower median over configurations) find with 80 % power at the level of the looks that they
    complete (see `resolution`); infinite below 3 seeds. They rest on the median spreads, or on those of `source` where
    the experiment has none of its own.
    """

    n_seeds: int
    sd_median: float
    sd_min: float
    sd_max: float
    difference_sd_median: float
    difference_sd_min: float
    difference_sd_max: float
    resolvable_paired: float
    resolvable_unpaired: float
    source: str
    assumed_difference_sd: float
    """The standard deviation of a difference to plan with: the median, or that of `source`."""


def noise_floor(objectives: pd.DataFrame, *, logdir: Spread, family_size: int = 1, first_look: int = 0) -> NoiseFloor:
    """The noise floor of stable configurations; `logdir` stands in where they have fewer than 3 seeds.

    `family_size` counts the hypotheses that Holm corrects over, `first_look` the seeds of the first look.
    """
    columns = describe(objectives.to_numpy(float))
    pairs = compare_pairs(objectives)
    pairs = pairs[pairs["n"] >= LEAST_SEEDS]
    own = _own_spread(columns.sd[columns.n >= LEAST_SEEDS], pairs)
    spread = own or logdir
    n_seeds = int(np.quantile(columns.n, 0.5, method="lower")) if columns.n.size else 0
    paired, unpaired = resolution(n_seeds, spread, family_size=family_size, first_look=first_look)
    return NoiseFloor(
        n_seeds,
        *_median_range(columns.sd),
        *_median_range(pairs["difference_sd"].to_numpy(float)),
        resolvable_paired=paired if is_paired(objectives) else np.nan,
        resolvable_unpaired=unpaired,
        source=spread.source,
        assumed_difference_sd=spread.difference_sd,
    )


def _own_spread(sds: Floats, pairs: pd.DataFrame) -> Spread | None:
    if pairs.empty:
        return None
    return Spread(float(np.median(sds)), float(pairs["difference_sd"].median()), FROM_EXPERIMENT)


def _median_range(values: Floats) -> tuple[float, float, float]:
    known = values[~np.isnan(values)]
    return (float(np.median(known)), float(known.min()), float(known.max())) if known.size else (np.nan,) * 3


def assumed_spread(*, is_fraction: bool) -> Spread:
    """The spread to plan with before there are records: the reference study's for fractions, else unknown."""
    if is_fraction:
        return Spread(REFERENCE_SD, REFERENCE_DIFFERENCE_SD, FROM_REFERENCE)
    return Spread(np.nan, np.nan, "")


def logdir_spread(
    trials: pd.DataFrame | None, *, groups: Sequence[Sequence[str]] = (), assumed: Spread | None = None
) -> Spread:
    """Median spreads of all configurations with 3 seeds and more, else those of `assumed`, the reference study's.

    `groups` are the configurations of each experiment: differences are taken between configurations of one experiment,
    each pair once. Without any such pair, two independent replicates of one configuration stand in.
    """
    selected = select_trials(trials) if trials is not None else pd.DataFrame()
    if len(selected):
        stable = selected.groupby("configuration")["diverged"].transform("sum") == 0
        objectives = replicate_table(selected[stable], selected.loc[stable, "configuration"].unique().tolist())
        columns = describe(objectives.to_numpy(float))
        sds = columns.sd[columns.n >= LEAST_SEEDS]
        if sds.size and np.median(sds) > 0:
            difference_sd = _difference_sd(objectives.loc[:, columns.n >= LEAST_SEEDS], groups)
            sd = float(np.median(sds))
            return Spread(sd, difference_sd if difference_sd > 0 else sd * np.sqrt(2), FROM_LOGDIR)
    return assumed or assumed_spread(is_fraction=True)


def _difference_sd(objectives: pd.DataFrame, groups: Sequence[Sequence[str]]) -> float:
    """The median standard deviation of a difference within the groups; NaN where there is no pair."""
    pairs = [compare_pairs(objectives[[name for name in group if name in objectives]]) for group in groups]
    if not pairs:
        return np.nan
    known = pd.concat(pairs, ignore_index=True).drop_duplicates(["a", "b"])
    return float(known.loc[known["n"] >= LEAST_SEEDS, "difference_sd"].median())


def resolution(n_seeds: int, spread: Spread, *, family_size: int = 1, first_look: int = 0) -> tuple[float, float]:
    """The smallest difference found with 80 % power, with and without pairing; infinite below 3 seeds.

    Two-sided at the level of Holm's strictest test, 5 % x w_k / `family_size` at look k, and the least over the looks
    that `n_seeds` complete. `first_look` is the size of the first one; without it, all seeds are one.
    """
    if n_seeds < LEAST_SEEDS:
        return np.inf, np.inf
    sizes = [factor * first_look for factor in LOOK_FACTORS if 0 < factor * first_look <= n_seeds] or [n_seeds]

    def effect(*, paired: bool) -> float:
        return min(
            detectable_effects(alpha=ALPHA * weight / family_size, paired=paired)[min(n, MOST_SEEDS) - LEAST_SEEDS]
            for n, weight in zip(sizes, WEIGHTS, strict=False)
            if n >= LEAST_SEEDS
        )

    return effect(paired=True) * spread.difference_sd, effect(paired=False) * spread.sd * float(np.sqrt(2))


def planned_resolution(
    n_seeds: int, trials: pd.DataFrame | None, *, groups: Sequence[Sequence[str]] = (), family_size: int = 1,
    first_look: int = 0, is_fraction: bool = True,
) -> tuple[float, float, str]:  # fmt: skip
    """What `n_seeds` could resolve, paired and unpaired, and whose spreads that rests on; for the dry run."""
    spread = logdir_spread(trials, groups=groups, assumed=assumed_spread(is_fraction=is_fraction))
    return *resolution(n_seeds, spread, family_size=family_size, first_look=first_look), spread.source
