"""Starts of repeated runs -> passes, and whether something that is not recorded differs between them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import sparse
from scipy.sparse import csgraph
from scipy.sparse import linalg as sparse_linalg

from gridstudy.statistics.comparisons import Floats
from gridstudy.statistics.distributions import f_above
from gridstudy.statistics.results.configurations import Ints

PASS_LEVEL = 0.01
"""At most this share of results without any difference between passes is flagged."""


@dataclass(frozen=True)
class PassTest:
    """F test of the passes, beside configurations; NaN where no run is left over to estimate the noise from."""

    n_passes: int
    df1: int
    df2: int
    F: float
    p: float

    @property
    def differ(self) -> bool:
        """Whether something that is not recorded differs between passes."""
        return bool(self.p < PASS_LEVEL)


def number_passes(configurations: Ints, start: pd.Series) -> Ints:
    """Number the pass of each run: in order of start, a pass ends where a configuration comes again."""
    order = np.argsort(start.rank(method="first").to_numpy(float), kind="stable")
    passes = np.empty(len(configurations), np.int64)
    current, seen = 0, set[int]()
    for run, configuration in zip(order.tolist(), configurations[order].tolist(), strict=True):
        if configuration in seen:
            current, seen = current + 1, set()
        seen.add(configuration)
        passes[run] = current
    return passes


def is_run_in_turn(configurations: Ints, start: pd.Series) -> bool:
    """Whether all runs of one configuration started before those of the next, so that drift is confounded with it."""
    ordered = configurations[np.argsort(start.rank(method="first").to_numpy(float), kind="stable")]
    n_configurations = len(np.unique(ordered))
    n_stretches = 1 + np.count_nonzero(np.diff(ordered))
    return bool(1 < n_configurations == n_stretches < len(ordered))


def analyse_passes(scores: Floats, configurations: Ints, passes: Ints) -> PassTest:
    """Test whether the passes differ, with configuration and pass as additive factors."""
    a, b = (np.unique(codes, return_inverse=True)[1] for codes in (configurations, passes))
    n, k, n_passes = len(scores), int(a.max()) + 1, int(b.max()) + 1
    ones, rows = np.ones(n), np.arange(n)
    design = sparse.csr_matrix((np.tile(ones, 2), (np.tile(rows, 2), np.append(a, k + b))), shape=(n, k + n_passes))
    links = sparse.csr_matrix((ones, (a, k + b)), shape=(k + n_passes,) * 2)
    rank = k + n_passes - int(csgraph.connected_components(links, directed=False, return_labels=False))
    df1, df2 = rank - k, n - rank
    if df1 < 1 or df2 < 1:
        return PassTest(n_passes, df1, df2, np.nan, np.nan)
    within = scores - (np.bincount(a, scores) / np.bincount(a))[a]
    # where the solver stops early, the noise is overestimated and the flag is less likely
    fitted = design @ sparse_linalg.lsmr(design, within, atol=1e-12, btol=1e-12, maxiter=500)[0]
    before, after = float(within @ within), float(np.sum((within - fitted) ** 2))
    if before < 1e-18 * n:
        return PassTest(n_passes, df1, df2, np.nan, np.nan)
    f = max(before - after, 0.0) / df1 / max(after / df2, 1e-18 * before)
    return PassTest(n_passes, df1, df2, f, f_above(f, df1, df2))
