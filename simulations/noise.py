"""Objectives to simulate with: normal, with a covariance like that of real records."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from gridstudy.statistics.comparisons import Floats

MARGIN = 0.005
N0 = 5
LOOKS = (5, 10, 20, 40, 80)
REFERENCE = Path(__file__).with_name("reference_objectives.csv")
"""Validation accuracies of the 56 configurations of the seven experiments with ten seeds on the real data."""

Draw = Callable[[np.random.Generator, int, int], Floats]
"""(generator, n seeds, k configurations) -> n x k objectives whose true means are 0."""


def draw_noise(generator: np.random.Generator, n: int, k: int) -> Floats:
    """Unequal spreads (0.5 to 7 points) and correlations (0 to 0.96), by one factor that the seeds share."""
    spreads = np.exp(generator.uniform(np.log(0.005), np.log(0.07), k))
    share = generator.uniform(0, 0.96, k)
    shared, own = generator.standard_normal((n, 1)), generator.standard_normal((n, k))
    return np.asarray(spreads * (np.sqrt(share) * shared + np.sqrt(1 - share) * own))


def draw_alike(factor: Floats, generator: np.random.Generator, n: int, k: int) -> Floats:
    """Noise whose covariance is factor.T @ factor, for k of its columns picked at random."""
    picked = generator.choice(factor.shape[1], k, replace=k > factor.shape[1])
    return np.asarray(generator.standard_normal((n, len(factor))) @ factor[:, picked])


def covariance_factor(objectives: pd.DataFrame) -> Floats:
    """A matrix F so that F.T @ F is the columns' covariance, over the seeds that all of them have."""
    values = objectives.dropna().to_numpy(float)
    return np.asarray((values - values.mean(axis=0)) / np.sqrt(len(values) - 1))


def as_table(values: Floats, index: str = "seed") -> pd.DataFrame:
    """Objectives as the estimates take them."""
    names = [f"c{i}" for i in range(values.shape[1])]
    return pd.DataFrame(values, columns=names, index=pd.RangeIndex(len(values), name=index))


def reference_objectives() -> tuple[pd.DataFrame, pd.Series, pd.Series]:
    """Real objectives (a row per seed, a column per configuration), their costs, and the experiments of each."""
    table = pd.read_csv(REFERENCE, index_col="configuration")
    objectives = table.drop(columns=["experiments", "cost"]).T.rename_axis("seed")
    return objectives, table["cost"], table["experiments"].str.split()


def pair_differences(
    generator: np.random.Generator, *, studies: int, hypotheses: int, seeds: int, sd: float, shared_baseline: bool
) -> Floats:
    """Differences without an effect: studies x hypotheses x seeds, independent or against one baseline."""
    own = generator.standard_normal((studies, hypotheses, seeds))
    if not shared_baseline:
        return sd * own
    return np.asarray(sd * np.sqrt(0.5) * (own - generator.standard_normal((studies, 1, seeds))))
