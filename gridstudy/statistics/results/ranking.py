"""Replicates -> distinct records, the set tied with the best, deficits, and what the costs recommend."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gridstudy.core.trial import LEAST_SEEDS
from gridstudy.statistics.comparisons import ALPHA, Floats
from gridstudy.statistics.results.configurations import Ints
from gridstudy.statistics.results.contrasts import compare_pairs
from gridstudy.statistics.results.replicates import Replicates

MOST_RIVALS = 100
"""A configuration is left out of the tied set by one of so many, those of the highest means; more are never tested."""
MOST_VALUES = 200_000_000
"""Most scores that are read to compare all configurations with their rivals: in a large table there are fewer rivals,
so that fewer configurations are left out, and where too many are tied nothing bounds a deficit."""


@dataclass(frozen=True)
class Ranking:
    """An entry per configuration; `record` is the number of the first configuration with the same record.

    `tied` and `deficit` (a joint 95 % upper bound, infinite where nothing bounds it, NaN for unranked ones) count
    distinct records only. `recommended` is a number, or None.
    """

    record: Ints
    tied: npt.NDArray[np.bool_]
    deficit: Floats
    within_margin: npt.NDArray[np.bool_]
    recommended: int | None
    n_distinct: int


def rank(replicates: Replicates, *, margin: float, costs: Floats | None = None) -> Ranking:
    """Compare the ranked configurations with the best, at one look with the full 5 %.

    The tied set is Hsu's (1996): left out is a configuration to which another is superior by a one-sided t at
    5 % / (k - 1), with k distinct records. `costs` has an entry per configuration; without it nothing is recommended.
    """
    record = distinct_records(replicates)
    ranked = replicates.ranked
    distinct = ranked[record[ranked] == ranked]
    tied, deficit = np.zeros(len(record), bool), np.full(len(record), np.nan)
    tied[distinct] = _tied(replicates, distinct)
    deficit[distinct] = _deficits(replicates, distinct, distinct[tied[distinct]])
    tied[ranked], deficit[ranked] = tied[record[ranked]], deficit[record[ranked]]
    within = np.nan_to_num(deficit, nan=np.inf) <= margin
    chosen = None
    if costs is not None and within.any():
        # of equal or unknown costs the one of the higher mean
        order = np.lexsort((-replicates.means, np.nan_to_num(costs, nan=np.inf)))
        chosen = int(order[within[order]][0])
    return Ranking(record, tied, deficit, within, chosen, len(distinct))


def distinct_records(replicates: Replicates) -> Ints:
    """The first of the configurations that agree in every replicate, at least three; itself where none does."""
    values = np.ascontiguousarray(replicates.scores.to_numpy(float).T) + 0.0
    record = np.arange(len(values), dtype=np.int64)
    first: dict[bytes, int] = {}
    for configuration in np.flatnonzero(np.count_nonzero(~np.isnan(values), axis=1) >= LEAST_SEEDS).tolist():
        record[configuration] = first.setdefault(values[configuration].tobytes(), configuration)
    return record


def _tied(replicates: Replicates, names: Ints) -> npt.NDArray[np.bool_]:
    if len(names) < 2:
        return np.ones(len(names), bool)
    best_first = names[np.argsort(-replicates.means[names], kind="stable")]
    kept = np.ones(len(names), bool)
    for rival in best_first[: min(MOST_RIVALS, _most_rivals(replicates))].tolist():
        found = compare_pairs(replicates, np.full(len(names), rival), names).differences
        kept &= found.one_sided_p() >= ALPHA / (len(names) - 1)
    return kept


def _deficits(replicates: Replicates, names: Ints, tied: Ints) -> Floats:
    """Joint 95 % upper bounds: the largest over the tied set (Hsu 1996, section 4.1)."""
    if len(names) < 2:
        return np.zeros(len(names))
    if len(tied) > _most_rivals(replicates):
        return np.full(len(names), np.inf)
    bounds = np.zeros(len(names))
    for rival in tied.tolist():
        found = compare_pairs(replicates, np.full(len(names), rival), names).differences
        half = found.half_width(1 - 2 * ALPHA / (len(names) - 1))
        upper = np.where(found.testable, found.mean + half, np.inf)
        upper[names == rival] = 0.0
        bounds = np.maximum(bounds, upper)
    return bounds


def _most_rivals(replicates: Replicates) -> int:
    return 1 + MOST_VALUES // replicates.scores.size
