"""Warnings on single configurations, read from their learning curves and their place in the grid."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

import numpy as np
import pandas as pd

from gridstudy.core.subject import Objective
from gridstudy.core.trial import LEAST_SEEDS
from gridstudy.statistics.comparisons import Floats
from gridstudy.statistics.distributions import t_above

LEVEL = 0.01
"""Level of the one-sided t tests below."""
LEAST_AXIS = 3
"""Of two values one is always at the end."""

STILL_IMPROVING = "still improving"
OVERFITTING = "overfitting"
INFEASIBLE = "infeasible"
TRAIN_LOSS_RISING = "training loss rising"
SEARCH_EDGE = "search edge"
SLOWER = "slower than its budgets explain"
MOST_TIMES_SLOWER = 1.5


def curve_table(curves: pd.DataFrame, metric: str) -> Floats:
    """One configuration's curves as an array: a row per trial, a column per epoch; NaN where a trial has no epoch."""
    trials, rows = np.unique(curves["trial_id"].to_numpy(str), return_inverse=True)  # a tenth of the time of pivot
    epochs, columns = np.unique(curves["epoch"].to_numpy(), return_inverse=True)
    table = np.full((len(trials), len(epochs)), np.nan)
    table[rows, columns] = curves[metric].to_numpy(float)
    return table


def curve_flags(curves: pd.DataFrame, *, sign: int) -> Iterator[str]:
    """The flags of one stable configuration's learning curves; metrics that are not recorded raise none."""
    known = set(curves.columns[curves.notna().any()])
    if "objective" in known and still_improving(sign * curve_table(curves, "objective")):
        yield STILL_IMPROVING
    if "validation_loss" in known and overfitting(curve_table(curves, "validation_loss")):
        yield OVERFITTING
    if "train_loss" in known and train_loss_rising(curve_table(curves, "train_loss")):
        yield TRAIN_LOSS_RISING


def still_improving(objectives: Floats) -> bool:
    """Whether the last epoch still brought a gain, paired over seeds; higher is better."""
    return objectives.shape[1] > 1 and _exceeds_zero(objectives[:, -1] - objectives[:, -2])


def overfitting(validation_loss: Floats) -> bool:
    """Whether the validation loss rose from its least to the end.

    The epoch of the least mean loss is chosen on the other seeds and the rise read on the one left out; chosen and
    read on the same seed, noise alone would rise.
    """
    if len(validation_loss) < LEAST_SEEDS:
        return False
    others = np.sum(validation_loss, axis=0) - validation_loss
    least = np.take_along_axis(validation_loss, others.argmin(axis=1)[:, None], axis=1)[:, 0]
    # the choices share all seeds but two, so the rises are not independent: Nadeau and Bengio's (2003) correction;
    # the plain t raises this flag on 2 to 5 % of flat curves at 5 to 20 seeds
    return _exceeds_zero(validation_loss[:, -1] - least, shared=1 / (len(validation_loss) - 1))


def train_loss_rising(train_loss: Floats) -> bool:
    """Whether the training loss rose over the last two epochs, paired over seeds."""
    return train_loss.shape[1] > 2 and _exceeds_zero(train_loss[:, -1] - train_loss[:, -3])


def _exceeds_zero(changes: Floats, *, shared: float = 0.0) -> bool:
    """One-sided t test at 1 % over seeds; `shared` is added to the 1/n in the variance of their mean."""
    n = len(changes)
    if n < LEAST_SEEDS or not np.std(changes) > 0:
        return False
    t = changes.mean() / (np.std(changes, ddof=1) * np.sqrt(1 / n + shared))
    return bool(t_above(t, n - 1) < LEVEL)


def is_infeasible(mean: float, objective: Objective, *, n_validation: float) -> bool:
    """Whether a mean is no better than guessing; False where the score of guessing is unknown.

    A fraction must exceed guessing by three binomial standard errors.
    """
    if objective.chance is None or (objective.is_fraction and not n_validation > 0):
        return False
    chance = objective.chance
    error = 3 * np.sqrt(chance * (1 - chance) / n_validation) if objective.is_fraction else 0.0
    return bool(objective.sign * (mean - chance) <= error)


def slow_configurations(seconds: pd.Series, amounts: pd.DataFrame) -> dict[str, float]:
    """Configuration -> how many times longer it took than its budgets explain, where that is 1.5 times or more.

    `seconds` are medians over seeds, `amounts` are budgets and cost, a row per configuration. With r times as much of
    everything as another, a configuration should take at most r times as long.
    """
    known = amounts.loc[:, (amounts > 0).all()].to_numpy(float)
    if known.shape[1] == 0:
        return {}
    time = seconds.to_numpy(float)
    more = np.maximum(1.0, (known[:, None] / known[None, :]).max(axis=2))
    slower = time[:, None] / (more * time[None, :])
    worst = pd.Series(np.nan_to_num(slower).max(axis=1, initial=0.0), index=seconds.index)
    return {str(name): float(times) for name, times in worst.items() if times >= MOST_TIMES_SLOWER}


def search_edges(
    means: pd.Series,
    grid: pd.DataFrame,
    *,
    scientific: Sequence[str],
    nuisance: Sequence[str],
    categorical: Collection[str] = (),
) -> Mapping[str, list[str]]:
    """Configuration -> numeric hyperparameters at the end of whose axis it lies, although it is the best there.

    `means` are those of stable configurations, higher being better; `grid` has the hyperparameters of all, by name.
    Asked of the best configuration for the scientific hyperparameters and of the best of each arm for the nuisance. An
    axis is the line through that point, all other scientific and nuisance values kept; it must have three points or
    more.
    """
    if means.empty:
        return {}
    arms = means.groupby([grid.loc[means.index, n] for n in scientific]) if scientific else None
    asked = {str(best): list(nuisance) for best in (arms.idxmax() if arms is not None else [means.idxmax()])}
    asked[str(means.idxmax())].extend(scientific)
    roles = (*scientific, *nuisance)
    found = {
        best: [axis for axis in axes if axis not in categorical and _at_end(grid, best, axis, roles)]
        for best, axes in asked.items()
    }
    return {best: axes for best, axes in found.items() if axes}


def _at_end(grid: pd.DataFrame, name: str, axis: str, roles: Sequence[str]) -> bool:
    if not pd.api.types.is_numeric_dtype(grid[axis]):
        return False
    others = [role for role in roles if role != axis]
    here = grid.loc[name]
    line = grid[axis][(grid[others] == here[others]).all(axis=1)]
    return line.nunique() >= LEAST_AXIS and here[axis] in (line.min(), line.max())
