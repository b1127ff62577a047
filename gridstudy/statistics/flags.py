"""Warnings on single configurations, read from their learning curves and their place in the grid."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd
from scipy import stats

from gridstudy.core.study import GUESSING_ACCURACY
from gridstudy.statistics.comparisons import LEAST_SEEDS, Floats

LEVEL = 0.01
"""Level of the one-sided t tests below."""
LEAST_AXIS = 3
"""Of two values one is always at the end."""

STILL_IMPROVING = "still improving"
OVERFITTING = "overfitting"
INFEASIBLE = "infeasible"
TRAIN_LOSS_RISING = "training loss rising"
SEARCH_EDGE = "search edge"


def curve_table(curves: pd.DataFrame, metric: str) -> Floats:
    """One configuration's curves as an array: a row per trial, a column per epoch."""
    return curves.pivot(index="trial_id", columns="epoch", values=metric).to_numpy(float)


def curve_flags(curves: pd.DataFrame) -> Iterator[str]:
    """The flags of one stable configuration's learning curves."""
    if still_improving(curve_table(curves, "validation_accuracy")):
        yield STILL_IMPROVING
    if overfitting(curve_table(curves, "validation_loss")):
        yield OVERFITTING
    if train_loss_rising(curve_table(curves, "train_loss")):
        yield TRAIN_LOSS_RISING


def still_improving(validation_accuracy: Floats) -> bool:
    """Whether the last epoch still brought a gain, paired over seeds."""
    return validation_accuracy.shape[1] > 1 and _exceeds_zero(validation_accuracy[:, -1] - validation_accuracy[:, -2])


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
    return bool(stats.t.sf(t, n - 1) < LEVEL)


def is_infeasible(mean_accuracy: float, n_validation: float) -> bool:
    """Whether an accuracy is no better than guessing, by three binomial standard errors."""
    standard_error = np.sqrt(GUESSING_ACCURACY * (1 - GUESSING_ACCURACY) / n_validation)
    return bool(mean_accuracy <= GUESSING_ACCURACY + 3 * standard_error)


def search_edges(
    means: pd.Series, grid: pd.DataFrame, *, scientific: Sequence[str], nuisance: Sequence[str]
) -> Mapping[str, list[str]]:
    """Configuration -> numeric hyperparameters at the end of whose axis it lies, although it is the best there.

    `means` are those of stable configurations, `grid` has the hyperparameters of all, by name. Asked of the best
    configuration for the scientific hyperparameters and of the best of each arm for the nuisance. An axis is the line
    through that point, all other scientific and nuisance values kept; it must have at least three points.
    """
    if means.empty:
        return {}
    arms = means.groupby([grid.loc[means.index, n] for n in scientific]) if scientific else None
    asked = {str(best): list(nuisance) for best in (arms.idxmax() if arms is not None else [means.idxmax()])}
    asked[str(means.idxmax())].extend(scientific)
    roles = (*scientific, *nuisance)
    found = {best: [axis for axis in axes if _at_end(grid, best, axis, roles)] for best, axes in asked.items()}
    return {best: axes for best, axes in found.items() if axes}


def _at_end(grid: pd.DataFrame, name: str, axis: str, roles: Sequence[str]) -> bool:
    if not pd.api.types.is_numeric_dtype(grid[axis]):
        return False
    others = [role for role in roles if role != axis]
    here = grid.loc[name]
    line = grid[axis][(grid[others] == here[others]).all(axis=1)]
    return line.nunique() >= LEAST_AXIS and here[axis] in (line.min(), line.max())
