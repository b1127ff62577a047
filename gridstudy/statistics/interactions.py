"""Factorial experiments -> repeated-measures analysis of variance, with the seed as block, and cell means."""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import linalg

from gridstudy.core.experiment import Experiment
from gridstudy.core.space import Configuration
from gridstudy.core.trial import LEAST_SEEDS
from gridstudy.core.values import Value
from gridstudy.records.plans import Plan
from gridstudy.statistics.comparisons import ALPHA, Floats, describe, holm, objective_table, select_trials
from gridstudy.statistics.distributions import f_above
from gridstudy.statistics.looks import running_p
from gridstudy.statistics.standing import plan_schedule

CURVE_AXIS = "epoch"
"""Name of the axis along which learning curves are read where no hyperparameter is the number of epochs."""
TESTED = "tested"
JOIN = " x "

INTERACTION_COLUMNS = (
    "experiment", "term", "look", "n", "df1", "df2", "F", "epsilon", "p", "omega_squared", "noise_share", "p_looks",
    "p_holm", "label",
)  # fmt: skip
"""A row per term of a factorial experiment at its last look that is complete in all cells; `term` joins its axes by
" x ", `n` counts the seeds.

`df1` and `df2` are the uncorrected degrees of freedom, `p` is that of F with both multiplied by `epsilon`. `p_looks` is
p*, over the looks so far; `p_holm` is p* over the interactions of all factorial experiments, NaN for main effects.
`label` is `tested` or why it is not.
"""

CELL_COLUMNS = (
    "experiment", "first", "first_value", "second", "second_value", "n", "n_diverged", "mean", "low", "high",
)  # fmt: skip
"""A row per pair of values of two axes, averaged within seeds over any other axis: the objective with a 95 % t interval
over the seeds that all cells have; NaN where a trial diverged or all are missing."""

EFFECT_COLUMNS = (
    "experiment", "term", "axis", "start", "end", "other", "at", "n", "difference", "low", "high",
)  # fmt: skip
"""A row per simple effect of an interaction of two axes that survives Holm: what going from `start` to `end`, the ends
of `axis`, brings where the `other` axis is `at` one of its ends. The difference is paired over the seeds of the last
look, positive where `end` is better, with a single 95 % interval."""


# --- factorial experiments -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Factorial:
    """A full product of axes: `objectives` has a row per seed and a column per cell, the last axis running fastest.

    Objectives are as measured; `sign` makes higher better. `n_diverged` counts the diverged trials of each cell, those
    on other epochs of the same curve included. `looks` are the numbers of seeds at which terms are tested, `seeds` the
    plan's in their order.
    """

    experiment: str
    axes: Mapping[str, tuple[Value, ...]]
    objectives: pd.DataFrame
    n_diverged: Floats
    looks: tuple[int, ...]
    seeds: tuple[int, ...]
    sign: int = 1
    ordered: Collection[str] = field(default_factory=frozenset)
    """Axes whose values are numbers; the ends of the others are the first and the last value of the grid."""

    def at_looks(self) -> list[Floats]:
        """Objectives of the looks that are complete in all cells, (seed, cell)."""
        found = []
        for size in self.looks:
            values = self.objectives.reindex(list(self.seeds[:size])).to_numpy(float)
            if len(values) < size or np.isnan(values).any():
                break
            found.append(values)
        return found

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of values on each axis."""
        return tuple(map(len, self.axes.values()))

    @property
    def terms(self) -> tuple[tuple[str, ...], ...]:
        """Main effects first, then the interactions, by the number of axes."""
        sizes = range(1, len(self.axes) + 1)
        return tuple(term for size in sizes for term in itertools.combinations(self.axes, size))


def factorials(trials: pd.DataFrame, curves: pd.DataFrame, plans: Sequence[Plan]) -> list[Factorial]:
    """The factorial ones of the planned experiments, with the objectives that the records have for them."""
    found = []
    for plan in plans:
        if axes := factorial_axes(plan.experiment, epochs=plan.description.epochs):
            found.append(_read_factorial(trials, curves, plan, axes))
    return found


def factorial_axes(experiment: Experiment, *, epochs: str) -> dict[str, tuple[Value, ...]]:
    """Axis -> values, in the plan's order, where the configurations are the full product of two axes or more.

    The axes are the scientific hyperparameters that vary and, where there are `curve_epochs`, the epochs within reach
    of every curve; `epochs` names the hyperparameter that is their number. Empty where the grid is no product, or
    varies a nuisance hyperparameter too.
    """
    configurations, varied = experiment.configurations, experiment.varied
    scientific = [name for name in experiment.scientific if name in varied]
    axes = {name: tuple(dict.fromkeys(c[name] for c in configurations)) for name in scientific}
    points = {_point(c, axes) for c in configurations}
    if set(experiment.nuisance) & set(varied) or not len(configurations) == len(points) == _n_cells(axes):
        return {}
    on_curve = _curve_epochs(experiment, epochs)
    if axes and len(on_curve) > 1:
        axes[epochs or CURVE_AXIS] = on_curve
    return axes if len(axes) > 1 else {}


def _curve_epochs(experiment: Experiment, epochs: str) -> tuple[int, ...]:
    if epochs in experiment.varied:
        return ()
    reach = min((float(c[epochs]) for c in experiment.configurations if epochs in c), default=math.inf)
    return tuple(e for e in experiment.curve_epochs if e <= reach)


def _point(configuration: Configuration, axes: Collection[str]) -> tuple[Value, ...]:
    return tuple(configuration[name] for name in axes)


def _n_cells(axes: Mapping[str, tuple[Value, ...]]) -> int:
    return math.prod(map(len, axes.values()))


def _read_factorial(
    trials: pd.DataFrame, curves: pd.DataFrame, plan: Plan, axes: Mapping[str, tuple[Value, ...]]
) -> Factorial:
    experiment, sign = plan.experiment, plan.description.objective.sign
    hyperparameters = [name for name in axes if name in experiment.varied]
    names = {_point(c, hyperparameters): c.name for c in experiment.configurations}
    ordered = [names[point] for point in itertools.product(*(axes[name] for name in hyperparameters))]
    (on_curve,) = [name for name in axes if name not in hyperparameters] or [""]
    if on_curve:
        cells = pd.MultiIndex.from_product([ordered, axes[on_curve]], names=["configuration", "epoch"])
        table = curve_objectives(trials, curves, experiment).reindex(columns=cells)
    else:
        table = objective_table(trials, experiment, sign=1)[ordered]
    counts = diverged_counts(trials, experiment)
    schedule = plan_schedule(plan, table)
    numeric = {h.name for h in plan.description.hyperparameters if h.is_numeric} | {on_curve}
    return Factorial(
        experiment.name, axes, table,
        np.array([counts.get(name, 0) for name in table.columns.get_level_values("configuration")], float),
        schedule.sizes, schedule.selection_seeds, sign, frozenset(numeric),
    )  # fmt: skip


def curve_objectives(trials: pd.DataFrame, curves: pd.DataFrame, experiment: Experiment) -> pd.DataFrame:
    """The objective, as measured, after every epoch: a row per seed, a column per configuration and epoch.

    The trials are those of `objective_table`; a diverged one has NaN after its last epoch.
    """
    names = [c.name for c in experiment.configurations]
    rows = curves[curves["trial_id"].isin(select_trials(trials)["trial_id"]) & curves["configuration"].isin(names)]
    table = rows.pivot(index="seed", columns=["configuration", "epoch"], values="objective")
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
    table = table.astype(dict.fromkeys(INTERACTION_COLUMNS[4:-1], float))
    interactions = is_interaction(table["term"])
    adjusted = np.full(len(table), np.nan)
    adjusted[interactions] = holm(table.loc[interactions, "p_looks"].fillna(1.0).to_numpy(float))
    return table.assign(p_holm=np.where(table["label"] == TESTED, adjusted, np.nan))


def is_interaction(terms: pd.Series) -> npt.NDArray[np.bool_]:
    """Which of the terms have more than one axis."""
    return np.array([JOIN in term for term in terms], bool)


def _design_rows(design: Factorial) -> Iterator[dict[str, object]]:
    looks = design.at_looks()
    reason = _why_untested(design, len(looks))
    for term in design.terms:
        row = {
            "experiment": design.experiment, "term": JOIN.join(term), "look": len(looks),
            "n": len(looks[-1]) if looks else 0, "label": reason or TESTED,
        }  # fmt: skip
        yield row if reason else {**row, **_term_row(looks, design, term)}


def _why_untested(design: Factorial, n_looks: int) -> str:
    if design.n_diverged.any():
        return f"unstable, {np.count_nonzero(design.n_diverged)} of {design.n_diverged.size} cells"
    return "" if n_looks else f"fewer than {min(design.looks, default=LEAST_SEEDS)} complete seeds"


def _term_row(looks: Sequence[Floats], design: Factorial, term: Collection[str]) -> dict[str, object]:
    contrasts = term_contrasts(design.shape, [name in term for name in design.axes]).T
    tests = [analyse_term(values @ contrasts) for values in looks]
    test = tests[-1]
    if test is None:
        return {"label": "identical records"}
    omega_squared, noise_share = variance_shares(looks[-1], test)
    p_looks = running_p([1.0 if t is None else t.p for t in tests])[-1]
    return {
        "df1": test.df1, "df2": test.df2, "F": test.F, "epsilon": test.epsilon, "p": test.p,
        "omega_squared": omega_squared, "noise_share": noise_share, "p_looks": p_looks,
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
    p = f_above(f, epsilon * df1, epsilon * df2)
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
    values = np.where(design.n_diverged > 0, np.nan, _common(design)).reshape(-1, *design.shape)
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


def _common(design: Factorial) -> Floats:
    """Objectives on the seeds that all cells have which have any and none diverged."""
    present = design.objectives.notna().any().to_numpy() & (design.n_diverged == 0)
    complete = design.objectives.loc[:, present].notna().all(axis=1)
    return np.asarray(design.objectives[complete], float)


# --- directions ----------------------------------------------------------------------------------------------------


def simple_effects(designs: Sequence[Factorial], interactions: pd.DataFrame) -> pd.DataFrame:
    """What one axis does at the ends of the other, for interactions of two axes that survive Holm: EFFECT_COLUMNS."""
    survive = interactions[interactions["p_holm"] <= ALPHA]
    terms = set(zip(survive["experiment"], survive["term"], strict=True))
    rows = [
        row
        for design in designs
        for pair in itertools.combinations(design.axes, 2)
        if (design.experiment, JOIN.join(pair)) in terms
        for axis, other in (pair, pair[::-1])
        for row in _simple_effects(design, axis, other, term=JOIN.join(pair))
    ]
    table = pd.DataFrame(rows, columns=list(EFFECT_COLUMNS), dtype=object)  # the ends keep their own types
    return table.astype({"n": int, "difference": float, "low": float, "high": float})


def _simple_effects(design: Factorial, axis: str, other: str, *, term: str) -> Iterator[tuple[object, ...]]:
    values = design.sign * design.at_looks()[-1].reshape(-1, *design.shape)
    places = list(design.axes)
    kept = places.index(axis), places.index(other)
    averaged = values.mean(axis=tuple(i + 1 for i in range(len(places)) if i not in kept))
    if kept[0] > kept[1]:
        averaged = averaged.swapaxes(1, 2)
    start, end = _ends(design, axis)
    for at in _ends(design, other):
        change = describe((averaged[:, end, at] - averaged[:, start, at])[:, None])
        yield (
            design.experiment, term, axis, design.axes[axis][start], design.axes[axis][end], other,
            design.axes[other][at], len(averaged), float(change.mean[0]), float(change.low[0]), float(change.high[0]),
        )  # fmt: skip


def _ends(design: Factorial, axis: str) -> tuple[int, int]:
    """The places of the lowest and of the highest value of an axis."""
    values = design.axes[axis]
    order = sorted(range(len(values)), key=lambda i: float(values[i])) if axis in design.ordered else range(len(values))
    return order[0], order[-1]
