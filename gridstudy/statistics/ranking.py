"""Tied sets, deficit bounds and recommendations that hold over all looks, and which configurations to race on."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from gridstudy.core.trial import LEAST_SEEDS
from gridstudy.statistics.advice import NO_ADVICE, Advice, Effect, Need, seeds_to_recommend
from gridstudy.statistics.comparisons import ALPHA, Floats, cheapest, differences
from gridstudy.statistics.looks import WEIGHTS, Schedule, n_looks, usable_seeds


@dataclass(frozen=True)
class LookRanking:
    """What the looks say of an experiment's stable configurations.

    `look` is the last one (0: none) that all of the tied set have, on whose `n_seeds` seeds the means are compared.
    `n_ranked` counts the configurations ranked at look 1; `incomplete` ones lack its seeds and block
    nothing. `left_out` has the look at which a configuration was shown to be worse than another.
    `bounds` are joint 95 % upper bounds on the deficit to the truly best; `deficits` are estimates of that to `best`,
    over the seeds that both have.
    """

    look: int
    n_seeds: int
    n_ranked: int
    best: str | None
    tied: tuple[str, ...]
    left_out: Mapping[str, int]
    incomplete: Mapping[str, int]
    """Configuration -> the seeds that it has."""
    bounds: Mapping[str, float]
    deficits: Mapping[str, float]
    recommended: str | None
    """The cheapest whose bound is within the margin; None is "not resolved"."""
    advice: Advice
    """The seeds at which some configuration can be recommended; unknown where one is."""


def rank_at_looks(
    objectives: pd.DataFrame,
    schedule: Schedule,
    *,
    costs: Mapping[str, float],
    margin: float,
    diverged: Mapping[str, Collection[int]] | None = None,
) -> LookRanking:
    """Rank the columns of `objectives` at the looks that they have completed.

    At look k each pair is tested at 5 % x w_k / (m - 1), m the configurations ranked at look 1. The bound of a pair is
    the least over its looks, and the bound on a deficit the largest over the tied set: with 95 % probability the truly
    best stays tied and all bounds hold (a union over its m - 1 rivals and the looks; Hsu 1996). Unstable ones are
    not ranked.
    """
    seeds = usable_seeds(objectives, schedule, diverged)
    unstable = {name for name, bad in (diverged or {}).items() if bad}
    looks = {name: n_looks(n, schedule) for name, n in seeds.items()}
    n_ranked = sum(n > 0 for n in looks.values())
    names = [n for n in looks if looks[n] and n not in unstable]
    incomplete = {n: seeds[n] for n in looks if n not in names and n not in unstable}
    upper, left_out = _bounds(objectives, schedule, names, looks=looks, n_ranked=n_ranked)
    tied = [name for name in names if name not in left_out]
    rivals = np.isin(names, tied)
    bounds = dict(zip(names, upper[rivals].max(axis=0, initial=0.0).tolist(), strict=True))
    look = min((looks[name] for name in tied), default=0)
    n_seeds = schedule.sizes[look - 1] if look else 0
    rows = schedule.rows(objectives, n_seeds)
    means = rows.mean()
    recommended = cheapest([name for name in names if bounds[name] <= margin], costs=costs, means=means)
    best = max(tied, key=lambda name: float(means[name]), default=None)
    deficits = {name: float((rows[best] - rows[name]).mean()) for name in names} if best else {}
    advice = NO_ADVICE
    if best and not recommended:
        advice = _advice(rows, schedule, best, tied, n_ranked=n_ranked, margin=margin)
    return LookRanking(
        look, n_seeds, n_ranked, best, tuple(tied), left_out, incomplete, bounds, deficits, recommended, advice
    )


def _bounds(
    objectives: pd.DataFrame, schedule: Schedule, names: list[str], *, looks: Mapping[str, int], n_ranked: int
) -> tuple[Floats, dict[str, int]]:
    """Upper bounds on every difference (row minus column) over the looks that both have; who was left out when."""
    k = len(names)
    upper = np.full((k, k), np.inf)
    left_out: dict[str, int] = {}
    for look in range(1, max((looks[name] for name in names), default=0) + 1):
        at = np.array([i for i, name in enumerate(names) if looks[name] >= look])
        rows = schedule.rows(objectives, schedule.sizes[look - 1])[[names[i] for i in at]]
        low, high = pair_bounds(rows, level=ALPHA * WEIGHTS[look - 1] / max(1, n_ranked - 1))
        block = np.ix_(at, at)
        upper[block] = np.minimum(upper[block], high)
        # only those still tied may leave others out, so that one always stays
        tied = np.array([names[i] not in left_out for i in at])
        for i in at[(low[tied] > 0).any(axis=0)]:
            left_out.setdefault(names[i], look)
    np.fill_diagonal(upper, 0.0)
    return upper, left_out


def pair_bounds(rows: pd.DataFrame, *, level: float) -> tuple[Floats, Floats]:
    """One-sided bounds at `level` on the difference of each two columns, row minus column of a k x k table."""
    k = len(rows.columns)
    first, second = (rows.columns[i].tolist() for i in np.indices((k, k)).reshape(2, -1))
    pairs = differences(rows, first, second)
    half = np.where(pairs.testable, pairs.half_width(1 - 2 * level), np.inf)
    identical: npt.NDArray[np.bool_] = (pairs.n >= LEAST_SEEDS) & (pairs.sd == 0) & (np.abs(pairs.mean) < 1e-9)
    half = np.where(identical, 0.0, half)
    mean = np.where(identical, 0.0, np.nan_to_num(pairs.mean))
    return (mean - half).reshape(k, k), (mean + half).reshape(k, k)


def _advice(
    rows: pd.DataFrame, schedule: Schedule, best: str, tied: list[str], *, n_ranked: int, margin: float
) -> Advice:
    others = [name for name in tied if name != best]
    pairs = differences(rows, [best] * len(others), others)
    known = [i for i in range(len(others)) if pairs.sd[i] > 0 or abs(pairs.mean[i]) > margin]
    leads = [Effect(float(pairs.mean[i]), float(pairs.sd[i]), int(pairs.n[i])) for i in known]
    complete = n_looks(len(rows), schedule)
    return seeds_to_recommend(leads, schedule.sizes, complete=complete, n_ranked=n_ranked, margin=margin)


def racing_arms(
    experiment: str,
    objectives: pd.DataFrame,
    schedule: Schedule,
    *,
    costs: Mapping[str, float],
    margin: float,
    diverged: Mapping[str, Collection[int]] | None = None,
    most_seeds: int | None = None,
) -> Need | None:
    """The configurations that need seeds before one can be recommended; None where one is or no look is left.

    The first look takes all. After it the tied set races on, and so do configurations that are cheaper than the best
    and estimated to lie within the margin of it: of others the bound is not expected to fall within the margin.
    """
    ranking = rank_at_looks(objectives, schedule, costs=costs, margin=margin, diverged=diverged)
    waiting = bool(ranking.incomplete)
    n = schedule.n0 if waiting else next((size for size in schedule.sizes if size > ranking.n_seeds), 0)
    if not n or (most_seeds is not None and n > most_seeds) or (not waiting and ranking.recommended):
        return None
    if waiting:
        racing = [str(name) for name in objectives.columns if not (diverged or {}).get(str(name))]
    else:
        seeds = usable_seeds(objectives, schedule, diverged)
        racing = [
            name for name in ranking.bounds
            if name in ranking.tied or (
                seeds[name] >= ranking.n_seeds
                and ranking.best is not None
                and costs[name] < costs[ranking.best]
                and ranking.deficits[name] <= margin
            )
        ]  # fmt: skip
    return Need(experiment, tuple(racing), n, schedule.extended(n), ranking.advice) if racing else None
