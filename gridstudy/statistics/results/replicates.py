"""Runs of other programs -> replicates: which rows count, which may be paired, and what that rests on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from gridstudy.core.errors import StudyError
from gridstudy.core.trial import LEAST_SEEDS
from gridstudy.statistics.comparisons import Floats
from gridstudy.statistics.results.configurations import Configurations, Ints
from gridstudy.statistics.results.passes import PassTest, analyse_passes, is_run_in_turn, number_passes

SEED = "seed"
BLOCK = "block"
SEED_AND_BLOCK = "seed and block"
PASSES = "passes"
REPEATS = "repeated rows"
ONE_SEED = "one seed"
SINGLE = "single runs"
CONDITIONS = "conditions"
PAIRED_RULES = (SEED, BLOCK, SEED_AND_BLOCK, CONDITIONS)
"""Rules by which any two configurations are compared within a row; under PASSES some are."""

MOST_CELLS = 30_000_000
"""Largest table of replicates by configurations, 240 MB."""
MOST_PASS_CELLS = 3_000_000
"""In a larger table of passes nothing is paired: so many configurations seldom meet three times."""
UNPAIRED_INDEX = "replicate"
"""Name of the index of a table whose rows share nothing, as `comparisons` has it."""


@dataclass(frozen=True)
class Replicates:
    """The scores, higher is better: a row per replicate, a column per configuration (its number), NaN where missing.

    `n` counts the replicates of each configuration; under ONE_SEED and SINGLE `scores` is one row of means and no
    configuration has more than one. `groups` numbers the seed of each row where a seed ran in several blocks: rows of
    one seed are averaged, as they are no independent replicates. `folds` is the K of K-fold cross-validation.
    `nondeterminism` is the spread of rows repeated under one seed.
    """

    rule: str
    scores: pd.DataFrame
    n: Ints
    groups: Ints | None = None
    folds: int | None = None
    passes: PassTest | None = None
    run_in_turn: bool = False
    one_seed: bool = False
    n_without_key: int = 0
    nondeterminism: float = np.nan

    @property
    def ranked(self) -> Ints:
        """Numbers of the configurations with enough replicates to be compared."""
        return np.flatnonzero(self.n >= LEAST_SEEDS)

    @property
    def shares_seeds(self) -> bool:
        """Whether configurations ran with the same seeds, so that effects of a seed are the same in all cells."""
        return self.one_seed or self.rule in (SEED, BLOCK, SEED_AND_BLOCK)

    @property
    def passes_differ(self) -> bool:
        return self.passes is not None and self.passes.differ

    @property
    def means(self) -> Floats:
        """Mean score of each configuration, NaN where it has none."""
        values = self.scores.to_numpy(float)
        counts = np.count_nonzero(~np.isnan(values), axis=0)
        return np.asarray(
            np.divide(np.nansum(values, axis=0), counts, out=np.full(len(counts), np.nan), where=counts > 0)
        )


def find_replicates(
    runs: pd.DataFrame,
    configurations: Configurations,
    *,
    score: pd.Series,
    seed: str | None = None,
    block: str | None = None,
    start: str | None = None,
    folds: int | None = None,
) -> Replicates:
    """Use the first rule that applies: a shared seed or block, passes of repeated rows, repeated rows, single runs.

    `score` belongs to the rows of `runs`; rows where it is not finite are left out. Raises StudyError for two rows of
    one configuration and one key, and for folds that no column names.
    """
    used = np.isfinite(score.to_numpy(float))
    rows, codes, values = runs[used], configurations.codes[used], score.to_numpy(float)[used]
    k = len(configurations.levels)
    keys = [column for column in (seed, block) if column is not None]
    one_seed = seed is not None and rows[seed].nunique() == 1
    if keys and not one_seed and (found := _pair_by_keys(rows, codes, values, keys=keys, k=k)):
        found = replace(found, rule=_key_rule(seed, block), groups=None if folds else found.groups, folds=folds)
        return found if folds or found.groups is None else replace(found, n=_count_groups(found))
    if folds and len(rows):
        raise StudyError(f"folds need a seed or block column that names the fold, shared by configurations; got {keys}")
    if one_seed or np.bincount(codes, minlength=1).max(initial=0) < LEAST_SEEDS:
        return _average_runs(codes, values, k=k, one_seed=one_seed)
    starts = None if start is None or rows[start].isna().any() else rows[start]
    return _repeat_rows(codes, values, starts, k=k)


def condition_replicates(parts: Sequence[Replicates]) -> Replicates:
    """Make the mean score within each condition one replicate."""
    table = pd.DataFrame(np.vstack([part.means for part in parts]))
    n = table.notna().sum().to_numpy(np.int64)
    return Replicates(CONDITIONS, table.rename_axis(index="condition"), n)


# --- seeds and blocks ----------------------------------------------------------------------------------------------


def _key_rule(seed: str | None, block: str | None) -> str:
    return SEED_AND_BLOCK if seed and block else SEED if seed else BLOCK


def _pair_by_keys(rows: pd.DataFrame, codes: Ints, values: Floats, *, keys: Sequence[str], k: int) -> Replicates | None:
    """Replicates that share their keys, or None where no key serves two configurations."""
    known = rows[list(keys)].notna().all(axis=1).to_numpy()
    rows, codes, values = rows[known], codes[known], values[known]
    if not len(rows):
        return None
    key, labels = pd.factorize(pd.MultiIndex.from_frame(rows[list(keys)]))
    pairs = pd.DataFrame({"configuration": codes, "key": key})
    if pairs.drop_duplicates().groupby("key").size().max() < 2:
        return None
    _check_unique(pairs, rows, keys)
    table = _lay_out(codes, key.astype(np.int64), values, k=k).rename_axis(index="seed")
    groups = None
    if len(keys) > 1:
        seeds = pd.factorize(pd.Index([label[0] for label in labels]))[0].astype(np.int64)
        groups = seeds if len(np.unique(seeds)) < len(seeds) else None
    n = np.bincount(codes, minlength=k)
    return Replicates("", table, n, groups=groups, n_without_key=int(np.count_nonzero(~known)))


def _check_unique(pairs: pd.DataFrame, rows: pd.DataFrame, keys: Sequence[str]) -> None:
    again = pairs.duplicated().to_numpy()
    if again.any():
        values = ", ".join(f"{name} {value}" for name, value in rows[list(keys)].iloc[int(again.argmax())].items())
        raise StudyError(
            f"a configuration has one run per {' and '.join(keys)}; got two for {values}; name the column that "
            "separates them as block or condition"
        )


def _count_groups(replicates: Replicates) -> Ints:
    """Number of different seeds of each configuration."""
    present = replicates.scores.notna().groupby(replicates.groups).any()
    return present.sum().to_numpy(np.int64)


def _lay_out(codes: Ints, rows: Ints, values: Floats, *, k: int) -> pd.DataFrame:
    n_rows = int(rows.max()) + 1
    if n_rows * k > MOST_CELLS:
        raise StudyError(
            f"at most {MOST_CELLS:,} pairs of a replicate and a configuration can be compared; got {n_rows:,} x {k:,}; "
            "choose fewer rows or hyperparameters"
        )
    table = np.full((n_rows, k), np.nan)
    table[rows, codes] = values
    return pd.DataFrame(table)


# --- rows that share nothing ---------------------------------------------------------------------------------------


def _average_runs(codes: Ints, values: Floats, *, k: int, one_seed: bool) -> Replicates:
    """One value per configuration: its only run, or the mean of too few, or of those under one seed."""
    counts = np.bincount(codes, minlength=k)
    sums = np.bincount(codes, values, minlength=k)
    means = np.divide(sums, counts, out=np.full(k, np.nan), where=counts > 0)
    spare = np.sum(np.maximum(counts - 1, 0))
    spread = np.sqrt(np.sum((values - means[codes]) ** 2) / spare) if one_seed and spare else np.nan
    table = pd.DataFrame(means[None]).rename_axis(index=UNPAIRED_INDEX)
    n = np.minimum(counts, 1)
    return Replicates(ONE_SEED if one_seed else SINGLE, table, n, one_seed=one_seed, nondeterminism=float(spread))


def _repeat_rows(codes: Ints, values: Floats, starts: pd.Series | None, *, k: int) -> Replicates:
    n = np.bincount(codes, minlength=k)
    if starts is None:
        table = _lay_out(codes, _count_runs(codes), values, k=k).rename_axis(index=UNPAIRED_INDEX)
        return Replicates(REPEATS, table, n)
    if is_run_in_turn(codes, starts):
        table = _lay_out(codes, _count_runs(codes), values, k=k).rename_axis(index=UNPAIRED_INDEX)
        return Replicates(REPEATS, table, n, run_in_turn=True)
    passes = number_passes(codes, starts)
    fits = (int(passes.max()) + 1) * k <= MOST_PASS_CELLS
    table = _lay_out(codes, passes if fits else _count_runs(codes), values, k=k)
    rule, index = (PASSES, "pass") if fits else (REPEATS, UNPAIRED_INDEX)
    return Replicates(rule, table.rename_axis(index=index), n, passes=analyse_passes(values, codes, passes))


def _count_runs(codes: Ints) -> Ints:
    """The running number of each run within its configuration."""
    return np.asarray(pd.Series(codes).groupby(codes).cumcount(), np.int64)
