"""When verdicts may be read off the records, and how the error of 5 % is shared between these looks.

Seeds may be added and experiments looked at again at any time. Verdicts are read at fixed numbers of seeds only: n0, 2,
4, 8 and 16 n0. Look k has the share w_k of the error, so that min over k of p_k / w_k is a valid p value whatever rule
adds the seeds (a union bound).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from gridstudy.core.trial import FIRST_CONFIRMATION_SEED, LOOK_FACTORS
from gridstudy.statistics.comparisons import Floats

WEIGHTS = (0.8, 0.05, 0.05, 0.05, 0.05)
LAST_SEED = FIRST_CONFIRMATION_SEED - 1
"""Seeds beyond this one are for confirmation."""


@dataclass(frozen=True)
class Schedule:
    """The seeds of an experiment in the order in which they were requested, and the size of its first look."""

    seeds: tuple[int, ...]
    n0: int

    @property
    def selection_seeds(self) -> tuple[int, ...]:
        """The seeds that looks may use; those for confirmation are not among them."""
        return tuple(seed for seed in self.seeds if seed <= LAST_SEED)

    def last_size(self, most_seeds: int | None = None) -> int:
        """The seeds of the last look with at most `most_seeds`; 0 where there is none."""
        return max((size for size in self.sizes if most_seeds is None or size <= most_seeds), default=0)

    @property
    def sizes(self) -> tuple[int, ...]:
        """The number of seeds at each look, as far as seeds up to 999 allow."""
        known = self.selection_seeds
        most = len(known) + LAST_SEED - max(known, default=-1)
        return tuple(factor * self.n0 for factor in LOOK_FACTORS if factor * self.n0 <= most)

    def extended(self, n_seeds: int) -> tuple[int, ...]:
        """The first `n_seeds` seeds: those of the plan, then the ones that follow the highest."""
        known = self.selection_seeds
        following = range(max(known, default=-1) + 1, LAST_SEED + 1)
        return (*known, *following)[:n_seeds]

    def rows(self, objectives: pd.DataFrame, n_seeds: int) -> pd.DataFrame:
        """The objectives of the first `n_seeds` seeds of the plan, a missing seed as a row of NaN."""
        return objectives.reindex(list(self.selection_seeds[:n_seeds]))


def usable_seeds(
    objectives: pd.DataFrame, schedule: Schedule, diverged: Mapping[str, Collection[int]] | None = None
) -> dict[str, int]:
    """How many seeds each configuration has from the plan's first one on, before one is missing or has diverged."""
    seeds = list(schedule.selection_seeds)
    present = objectives.reindex(seeds).notna()
    for name, bad in (diverged or {}).items():
        if name in present:
            present.loc[[seed for seed in seeds if seed in bad], name] = False
    return {str(name): int(n) for name, n in present.cummin().sum().items()}


def n_looks(n_seeds: int, schedule: Schedule) -> int:
    """How many looks `n_seeds` seeds complete."""
    return sum(size <= n_seeds for size in schedule.sizes)


def running_p(p_values: Sequence[float] | Floats) -> Floats:
    """P* after each look, from the p values at the looks so far (last axis): min p_k / w_k, at most 1."""
    p = np.asarray(p_values, float)
    return np.minimum(1.0, np.minimum.accumulate(p / np.array(WEIGHTS[: p.shape[-1]]), axis=-1))
