"""Replicates -> what each hyperparameter does, over the configurations that are alike in all others."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from gridstudy.core.trial import LEAST_SEEDS
from gridstudy.statistics.comparisons import Differences, Floats, comparison_labels, holm
from gridstudy.statistics.interactions import (
    JOIN,
    TESTED,
    analyse_term,
    is_interaction,
    term_contrasts,
    variance_shares,
)
from gridstudy.statistics.results.configurations import Configurations, Ints
from gridstudy.statistics.results.contrasts import (
    LEAST_SHARE,
    Arm,
    Compared,
    average_groups,
    compare_arms,
    compare_values,
)
from gridstudy.statistics.results.replicates import CONDITIONS, PAIRED_RULES, PASSES, Replicates

MOST_LEVELS = 50
"""The values of a hyperparameter that takes more, such as one drawn at random, are not compared."""
MOST_CELLS = 1000
"""A larger factorial gets no analysis of variance."""
CELL, REPLICATE, CONDITION = "cell", "replicate", "condition"
CELLS_ARE_UNITS = "noise and interaction together"
CELLS_SHARE_SEEDS = "noise and interaction together, for these seeds only"

VARIANCE_COLUMNS = ("term", "n", "df1", "df2", "F", "epsilon", "p", "omega_squared", "noise_share", "p_holm", "label")
"""A row per term of a complete factorial, as in `interactions`; `n` counts complete replicates, `p_holm` is over the
interactions."""


@dataclass(frozen=True)
class ValuePair:
    """Two values of a hyperparameter with the configurations that have them and are alike otherwise, side by side."""

    hyperparameter: str
    a: str
    b: str
    a_cells: Ints
    b_cells: Ints


@dataclass(frozen=True)
class Effects:
    """Differences a - b of scores, an entry per pair of values; `p_holm` is over all that could be tested."""

    pairs: tuple[ValuePair, ...]
    n_cells: Ints
    unit: str
    compared: Compared

    @property
    def p(self) -> Floats:
        """Two-sided p, NaN where nothing was tested.

        Cells that share one or two seeds are not tested: an effect that varies by seed is the same error in all of
        them (by 2 points where a cell's noise is 1 point, 80 % of such grids had a significant effect).
        """
        found = self.compared.differences
        p = np.minimum(1.0, 2 * np.minimum(found.one_sided_p(), found.opposite_p()))
        return np.where(found.testable & (self.compared.labels != CELLS_SHARE_SEEDS), p, np.nan)

    @property
    def p_holm(self) -> Floats:
        p = self.p
        adjusted = np.full(len(p), np.nan)
        adjusted[~np.isnan(p)] = holm(p[~np.isnan(p)])
        return adjusted


def pair_values(configurations: Configurations) -> Iterator[ValuePair]:
    """All pairs of values of each hyperparameter that some configurations, alike in all others, have."""
    for column, (name, labels) in enumerate(configurations.labels.items()):
        if len(labels) > MOST_LEVELS:
            continue
        context, contexts = pd.factorize(configurations.contexts([name]))
        cells = np.full((len(contexts), len(labels)), -1, np.int64)
        cells[context, configurations.levels[:, column]] = np.arange(len(context))
        for i, j in itertools.combinations(range(len(labels)), 2):
            both = (cells[:, i] >= 0) & (cells[:, j] >= 0)
            if both.any():
                yield ValuePair(name, labels[i], labels[j], cells[both, i], cells[both, j])


def is_by_cell(replicates: Replicates) -> bool:
    """Whether cells must be the units, as no configuration has replicates enough."""
    return replicates.rule != CONDITIONS and not len(replicates.ranked)


def estimate_effects(replicates: Replicates, configurations: Configurations) -> Effects:
    """Compare the values of each hyperparameter; with one run per cell the cell is the unit, else the replicate.

    Only configurations with records count: with replicates, those that have at least three.
    """
    by_cell = is_by_cell(replicates)
    known = ~np.isnan(replicates.means) if by_cell else replicates.n >= LEAST_SEEDS
    pairs = tuple(_keep(pair, known) for pair in pair_values(configurations))
    pairs = tuple(pair for pair in pairs if len(pair.a_cells))
    n_cells = np.array([len(pair.a_cells) for pair in pairs], np.int64)
    if by_cell:
        sides = [(replicates.means[pair.a_cells], replicates.means[pair.b_cells]) for pair in pairs]
        return Effects(pairs, n_cells, CELL, compare_over_cells(sides, shared_seeds=replicates.shares_seeds))
    arms = [(Arm.average(pair.a_cells), Arm.average(pair.b_cells)) for pair in pairs]
    unit = CONDITION if replicates.rule == CONDITIONS else REPLICATE
    return Effects(pairs, n_cells, unit, compare_arms(replicates, arms))


def _keep(pair: ValuePair, known: np.ndarray) -> ValuePair:
    both = known[pair.a_cells] & known[pair.b_cells]
    return ValuePair(pair.hyperparameter, pair.a, pair.b, pair.a_cells[both], pair.b_cells[both])


def compare_over_cells(sides: Sequence[tuple[Floats, Floats]], *, shared_seeds: bool) -> Compared:
    """Compare two lists of cells side by side, an entry per pair of lists; copies of a pair of cells count once.

    A hyperparameter without effect repeats the records of the others, and the repeats are no further evidence.
    """
    columns = [np.unique(np.column_stack(side), axis=0) for side in sides]
    longest = max(map(len, columns), default=0)
    values = np.full((2, longest, len(sides)), np.nan)
    for i, column in enumerate(columns):
        values[:, : len(column), i] = column.T
    found = compare_values(*values)
    return Compared(found, _cell_labels(found, shared_seeds=shared_seeds))


def _cell_labels(found: Differences, *, shared_seeds: bool) -> np.ndarray:
    labels = comparison_labels(found, paired=True)
    labels[found.testable] = CELLS_SHARE_SEEDS if shared_seeds else CELLS_ARE_UNITS
    labels[found.n < LEAST_SEEDS] = f"fewer than {LEAST_SEEDS} cells"
    return labels


# --- analysis of variance ------------------------------------------------------------------------------------------


def analyse_variance(replicates: Replicates, configurations: Configurations) -> pd.DataFrame:
    """Analyse a complete factorial with paired replicates, VARIANCE_COLUMNS; empty where it is none."""
    empty = pd.DataFrame(columns=list(VARIANCE_COLUMNS))
    values = _complete_rows(replicates, configurations)
    if values is None:
        return empty
    axes, shape = list(configurations.labels), [len(labels) for labels in configurations.labels.values()]
    terms = [t for size in range(1, len(axes) + 1) for t in itertools.combinations(range(len(axes)), size)]
    rows = []
    for term in terms:
        row: dict[str, object] = {"term": JOIN.join(axes[i] for i in term), "n": len(values), "label": TESTED}
        test = analyse_term(values @ term_contrasts(shape, [i in term for i in range(len(axes))]).T)
        if test is None:
            row["label"] = "identical records"
        else:
            omega_squared, noise_share = variance_shares(values, test)
            row |= {
                "df1": test.df1, "df2": test.df2, "F": test.F, "epsilon": test.epsilon, "p": test.p,
                "omega_squared": omega_squared, "noise_share": noise_share,
            }  # fmt: skip
        rows.append(row)
    table = pd.DataFrame(rows, columns=list(VARIANCE_COLUMNS))
    table = table.astype(dict.fromkeys(VARIANCE_COLUMNS[2:-1], float))
    interactions = is_interaction(table["term"]) & table["p"].notna().to_numpy()
    table.loc[interactions, "p_holm"] = holm(table.loc[interactions, "p"].to_numpy(float))
    return table


def _complete_rows(replicates: Replicates, configurations: Configurations) -> Floats | None:
    """Scores of the replicates that hold every cell, the last hyperparameter running fastest; None for no factorial."""
    shape = [len(labels) for labels in configurations.labels.values()]
    k = len(configurations.levels)
    paired = replicates.rule in (*PAIRED_RULES, PASSES) and not replicates.folds
    if len(shape) < 2 or not paired or k > MOST_CELLS or k != np.prod(shape, dtype=float):
        return None
    order = np.lexsort(configurations.levels.T[::-1])
    scores = replicates.scores.to_numpy(float)[:, order]
    complete = ~np.isnan(scores).any(axis=1)
    values = scores[complete]
    if replicates.groups is not None:
        values = average_groups(values, replicates.groups[complete])
    enough = len(values) >= LEAST_SEEDS and (
        replicates.rule != PASSES or len(values) >= LEAST_SHARE * replicates.n.max()
    )
    return values if enough else None
