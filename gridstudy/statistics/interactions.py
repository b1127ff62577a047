"""Factorial experiments -> repeated-measures analysis of variance, with the seed as block, and cell means."""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import linalg, stats

from gridstudy.core.study import Configuration, Experiment, Value
from gridstudy.statistics.comparisons import LEAST_SEEDS, Floats, describe, holm, objective_table, select_trials

CURVE_AXIS = "epochs"
"""Name of the axis along which learning curves are read."""
TESTED = "tested"
JOIN = " x "

INTERACTION_COLUMNS = (
    "experiment", "term", "n", "df1", "df2", "F", "epsilon", "p", "omega_squared", "noise_share", "p_holm", "label",
)  # fmt: skip
"""A row per term of a factorial experiment; `term` joins its axes by " x ", `n` counts complete seeds.

`df1` and `df2` are the uncorrected degrees of freedom, `p` is that of F with both multiplied by `epsilon`. `p_holm`
is over the interactions of all factorial experiments, NaN for main effects. `label` is `tested` or why it is not.
"""

CELL_COLUMNS = (
    "experiment", "first", "first_value", "second", "second_value", "n", "n_diverged", "mean", "low", "high",
)  # fmt: skip
"""A row per pair of values of two axes, averaged within seeds over any other axis: accuracy with a 95 % t interval over
seeds; NaN where a trial diverged or all are missing."""


# --- factorial experiments -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Factorial:
    """A full product of axes: `objectives` has a row per seed and a column per cell, the last axis running fastest.

    `n_diverged` counts the diverged trials of each cell, those on other epochs of the same curve included.
    """

    experiment: str
    axes: Mapping[str, tuple[Value, ...]]
    objectives: pd.DataFrame
    n_diverged: Floats

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of values on each axis."""
        return tuple(map(len, self.axes.values()))

    @property
    def terms(self) -> tuple[tuple[str, ...], ...]:
        """Main effects first, then the interactions, by the number of axes."""
        sizes = range(1, len(self.axes) + 1)
        return tuple(term for size in sizes for term in itertools.combinations(self.axes, size))


def factorials(trials: pd.DataFrame, curves: pd.DataFrame, experiments: Sequence[Experiment]) -> list[Factorial]:
    """The factorial ones of `experiments`, with the objectives that the records have for them."""
    return [
        _read_factorial(trials, curves, experiment, axes)
        for experiment in experiments
        if (axes := factorial_axes(experiment))
    ]


def factorial_axes(experiment: Experiment) -> dict[str, tuple[Value, ...]]:
    """Axis -> values, in the plan's order, where the configurations are the full product of two axes or more.

    The axes are the scientific hyperparameters that vary and, where there are `curve_epochs`, the epochs within reach
    of every curve. Empty where the grid is no product, or varies a nuisance hyperparameter too.
    """
    configurations, varied = experiment.configurations, experiment.varied
    scientific = [name for name in experiment.scientific if name in varied]
    axes = {name: tuple(dict.fromkeys(getattr(c, name) for c in configurations)) for name in scientific}
    points = {_point(c, axes) for c in configurations}
    if set(experiment.nuisance) & set(varied) or not len(configurations) == len(points) == _n_cells(axes):
        return {}
    epochs = tuple(e for e in experiment.curve_epochs if e <= min(c.epochs for c in configurations))
    if axes and CURVE_AXIS not in varied and len(epochs) > 1:
        axes[CURVE_AXIS] = epochs
    return axes if len(axes) > 1 else {}


def _point(configuration: Configuration, axes: Collection[str]) -> tuple[Value, ...]:
    return tuple(getattr(configuration, name) for name in axes)


def _n_cells(axes: Mapping[str, tuple[Value, ...]]) -> int:
    return math.prod(map(len, axes.values()))


def _read_factorial(
    trials: pd.DataFrame, curves: pd.DataFrame, experiment: Experiment, axes: Mapping[str, tuple[Value, ...]]
) -> Factorial:
    on_curve = CURVE_AXIS in axes and CURVE_AXIS not in experiment.varied
    hyperparameters = [name for name in axes if not (on_curve and name == CURVE_AXIS)]
    names = {_point(c, hyperparameters): c.name for c in experiment.configurations}
    ordered = [names[point] for point in itertools.product(*(axes[name] for name in hyperparameters))]
    if on_curve:
        cells = pd.MultiIndex.from_product([ordered, axes[CURVE_AXIS]], names=["configuration", "epoch"])
        table = curve_objectives(trials, curves, experiment).reindex(columns=cells)
    else:
        table = objective_table(trials, experiment)[ordered]
    counts = diverged_counts(trials, experiment)
    n_diverged = np.array([counts.get(name, 0) for name in table.columns.get_level_values("configuration")], float)
    return Factorial(experiment.name, axes, table, n_diverged)


def curve_objectives(trials: pd.DataFrame, curves: pd.DataFrame, experiment: Experiment) -> pd.DataFrame:
    """Validation accuracy after every epoch: a row per seed, a column per configuration and epoch.

    The trials are those of `objective_table`; a diverged one has NaN after its last epoch.
    """
    names = [c.name for c in experiment.configurations]
    rows = curves[curves["trial_id"].isin(select_trials(trials)["trial_id"]) & curves["configuration"].isin(names)]
    table = rows.pivot(index="seed", columns=["configuration", "epoch"], values="validation_accuracy")
    return table.reindex(columns=names, level="configuration").astype(float)


def diverged_counts(trials: pd.DataFrame, experiment: Experiment) -> dict[str, int]:
    """Unstable configuration -> number of its trials that diverged, on the seeds of the selection."""
    selected = select_trials(trials)
    rows = selected[selected["configuration"].isin([c.name for c in experiment.configurations])]
    counts = rows[rows["diverged"].astype(bool)].groupby("configuration").size()
    return {str(name): int(count) for name, count in counts.items()}


# --- analysis of variance ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class TermTest:
    """F of a term against its own interaction with the seed; `p` has Greenhouse and Geisser's correction."""

    df1: int
    df2: int
    F: float
    epsilon: float
    p: float
    sum_of_squares: float
    error_mean_square: float


def interaction_table(designs: Sequence[Factorial]) -> pd.DataFrame:
    """Analysis of variance of each factorial experiment, a row per term, INTERACTION_COLUMNS.

    Interactions that cannot be tested stay in Holm's family with p = 1, so that a divergence elsewhere makes no
    interaction significant.
    """
    rows = [row for design in designs for row in _design_rows(design)]
    table = pd.DataFrame(rows, columns=list(INTERACTION_COLUMNS))
    table = table.astype(dict.fromkeys(INTERACTION_COLUMNS[3:-1], float))
    interactions = is_interaction(table["term"])
    adjusted = np.full(len(table), np.nan)
    adjusted[interactions] = holm(table.loc[interactions, "p"].fillna(1.0).to_numpy(float))
    return table.assign(p_holm=np.where(table["label"] == TESTED, adjusted, np.nan))


def is_interaction(terms: pd.Series) -> npt.NDArray[np.bool_]:
    """Which of the terms have more than one axis."""
    return np.array([JOIN in term for term in terms], bool)


def _design_rows(design: Factorial) -> Iterator[dict[str, object]]:
    values = design.objectives.dropna().to_numpy(float)
    reason = _why_untested(design, len(values))
    for term in design.terms:
        row = {"experiment": design.experiment, "term": JOIN.join(term), "n": len(values), "label": reason or TESTED}
        yield row if reason else {**row, **_term_row(values, design, term)}


def _why_untested(design: Factorial, n_complete: int) -> str:
    if design.n_diverged.any():
        return f"unstable, {np.count_nonzero(design.n_diverged)} of {design.n_diverged.size} cells"
    return f"fewer than {LEAST_SEEDS} complete seeds" if n_complete < LEAST_SEEDS else ""


def _term_row(values: Floats, design: Factorial, term: Collection[str]) -> dict[str, object]:
    test = analyse_term(values @ term_contrasts(design.shape, [name in term for name in design.axes]).T)
    if test is None:
        return {"label": "identical records"}
    omega_squared, noise_share = variance_shares(values, test)
    return {
        "df1": test.df1, "df2": test.df2, "F": test.F, "epsilon": test.epsilon, "p": test.p,
        "omega_squared": omega_squared, "noise_share": noise_share,
    }  # fmt: skip


def term_contrasts(shape: Sequence[int], in_term: Sequence[bool]) -> Floats:
    """Orthonormal contrasts of a term over the cells: Helmert's on the axes in the term, the average on the others."""
    axes = zip(shape, in_term, strict=True)
    return reduce(np.kron, [linalg.helmert(n) if within else np.full((1, n), n**-0.5) for n, within in axes])


def analyse_term(scores: Floats) -> TermTest | None:
    """Test that the mean contrast scores (a row per seed, orthonormal columns) are zero; None if no seed differs.

    F compares the squared mean with the trace of the covariance S of the scores; both degrees of freedom are multiplied
    by epsilon = tr(S)^2 / (df1 tr(S S)) (Box 1954; Greenhouse and Geisser 1959). S has at most n - 1 dimensions, so
    that with few seeds epsilon is too low. False at 5 %, simulated with 5 seeds on 6 x 6 and 3 x 6 cells: spreads of
    0.5 to 7 points with correlations of 0 to .96, 1 to 4 %; all cells alike, 0 to 3 %; one cell or one end of an axis
    14 times as noisy as the rest, 2 to 6 %. Huynh and Feldt's epsilon has 7 to 9 %, no correction up to 25 %.
    """
    n, df1 = scores.shape
    deviations = scores - scores.mean(axis=0)
    gram = deviations @ deviations.T / (n - 1)
    trace = float(np.trace(gram))
    if trace < 1e-18:
        return None
    epsilon = trace**2 / (df1 * float(np.sum(gram**2)))
    sum_of_squares = n * float(np.sum(scores.mean(axis=0) ** 2))
    df2, f = df1 * (n - 1), sum_of_squares / trace
    p = float(stats.f.sf(f, epsilon * df1, epsilon * df2))
    return TermTest(df1, df2, f, epsilon, p, sum_of_squares, trace / df1)


def variance_shares(values: Floats, test: TermTest) -> tuple[float, float]:
    """Omega squared of a term, and the share of noise: of the variance of one trial drawn from the grid.

    (SS - df1 MS_error) / (SS_total + MS_seeds), the total and not the partial omega squared (Dodd and Schultz 1973;
    `omega.full.SS` of the R package MOTE). The noise is the mean variance of a cell over seeds. All omega squared of a
    design and the noise add up to one; an estimate below zero is left so, as cutting it off would bias it (Okada 2017).
    """
    n, n_cells = values.shape
    ms_seeds = n_cells * float(np.var(values.mean(axis=1), ddof=1))
    total = float(np.sum((values - values.mean()) ** 2)) + ms_seeds
    noise = n * float(np.sum(np.var(values, axis=0, ddof=1)))
    return (test.sum_of_squares - test.df1 * test.error_mean_square) / total, noise / total


# --- cell means ----------------------------------------------------------------------------------------------------


def cell_table(designs: Sequence[Factorial]) -> pd.DataFrame:
    """Cell means with intervals for interaction plots and heatmaps, CELL_COLUMNS."""
    parts = [part for design in designs for part in _cell_parts(design)]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=list(CELL_COLUMNS))


def _cell_parts(design: Factorial) -> Iterator[pd.DataFrame]:
    values = np.where(design.n_diverged > 0, np.nan, design.objectives.to_numpy(float)).reshape(-1, *design.shape)
    n_diverged = design.n_diverged.reshape(design.shape)
    for pair in itertools.combinations(range(len(design.axes)), 2):
        others = tuple(i for i in range(len(design.axes)) if i not in pair)
        (first, first_values), (second, second_values) = (list(design.axes.items())[i] for i in pair)
        points = list(itertools.product(first_values, second_values))
        cells = describe(values.mean(axis=tuple(i + 1 for i in others)).reshape(len(values), len(points)))
        columns = (
            design.experiment, first, [a for a, _ in points], second, [b for _, b in points], cells.n.astype(int),
            n_diverged.sum(axis=others).ravel().astype(int), cells.mean, cells.low, cells.high,
        )  # fmt: skip
        yield pd.DataFrame(dict(zip(CELL_COLUMNS, columns, strict=True)))
