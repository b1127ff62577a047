"""One analysis of some runs, and the unit of its scores."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from gridstudy.core.errors import StudyError
from gridstudy.core.trial import LEAST_SEEDS
from gridstudy.statistics.comparisons import Floats
from gridstudy.statistics.results.configurations import Configurations, Ints
from gridstudy.statistics.results.ranking import Ranking
from gridstudy.statistics.results.replicates import Replicates

OVER_CONDITIONS = "all conditions"
"""Stands in the column `condition` for the analysis whose unit is the condition."""


@dataclass(frozen=True)
class Unit:
    """From scores, for which higher is better and spreads are near one, to the objective: times `factor`."""

    factor: float

    @property
    def size(self) -> float:
        return abs(self.factor)

    def intervals(self, mean: Floats, half: Floats) -> tuple[Floats, Floats, Floats]:
        """Mean, lower and upper bound in the objective's unit."""
        centre, width = self.factor * mean, self.size * half
        return centre, centre - width, centre + width


@dataclass(frozen=True)
class Part:
    """An analysis: of one condition, of all runs (`condition` is "") or over the conditions."""

    condition: str
    replicates: Replicates
    configurations: Configurations
    ranking: Ranking
    n_runs: Ints
    n_failed: Ints
    costs: Floats | None

    @property
    def best_first(self) -> Ints:
        """Numbers of the configurations with a run: the ranked ones, then the others, each by their mean."""
        present = np.flatnonzero(self.n_runs)
        means = np.nan_to_num(self.replicates.means[present], nan=-np.inf)
        unranked = self.replicates.n[present] < LEAST_SEEDS
        return present[np.lexsort((-means, unranked))]


def standardise(objective: pd.Series, *, higher_is_better: bool) -> tuple[pd.Series, Unit]:
    """Turn an objective into scores, higher is better, with a spread near one; NaN where it is no finite number.

    The factor is a power of two, so that nothing is rounded.
    """
    values = pd.to_numeric(objective, errors="coerce").astype(float).replace([np.inf, -np.inf], np.nan)
    known = values.dropna().to_numpy(float)
    if not len(known):
        raise StudyError(f"a run has a finite number as its objective; got none in column {objective.name!r}")
    spread = float(np.subtract(*np.quantile(known, [0.75, 0.25]))) or float(np.ptp(known)) or 1.0
    factor = 2.0 ** np.round(np.log2(spread)) * (1 if higher_is_better else -1)
    return values / factor, Unit(float(factor))
