"""Which classes a configuration gets right, and which it takes for which, from the confusion matrices of its trials."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd

from gridstudy.statistics.comparisons import Floats, describe
from gridstudy.statistics.estimates import ExperimentEstimate, StudyEstimates

Matrix = Sequence[Sequence[int]]

CLASS_COLUMNS = (
    "experiment", "configuration", "label", "class", "n_seeds", "n_examples", "share", "low", "high",
)  # fmt: skip
"""A row per experiment and class, for the recommended configuration, else the best: the share of the class's validation
examples (`n_examples` over all seeds) that was classified right, with a 95 % t interval over seeds."""

CONFUSION_COLUMNS = ("experiment", "configuration", "label", "true", "predicted", "n_seeds", "n", "share")
"""A row per experiment and pair of classes, those that were right included: `n` counts validation examples over all
seeds, `share` is that of the true class."""


def class_table(estimates: StudyEstimates, confusions: Mapping[str, Matrix]) -> pd.DataFrame:
    """CLASS_COLUMNS; empty where no confusion matrix is recorded."""
    rows = [row for e in estimates.experiments for row in _class_rows(e, estimates, confusions)]
    return pd.DataFrame(rows, columns=list(CLASS_COLUMNS))


def confusion_table(estimates: StudyEstimates, confusions: Mapping[str, Matrix]) -> pd.DataFrame:
    """CONFUSION_COLUMNS; empty where no confusion matrix is recorded."""
    rows = [row for e in estimates.experiments for row in _confusion_rows(e, estimates, confusions)]
    return pd.DataFrame(rows, columns=list(CONFUSION_COLUMNS))


def most_confused(confusions: pd.DataFrame) -> pd.DataFrame:
    """The wrong predictions of each experiment that are most frequent: rows of `confusion_table`, largest first."""
    wrong = confusions[(confusions["true"] != confusions["predicted"]) & (confusions["n"] > 0)]
    largest = wrong.sort_values("n", ascending=False, kind="stable").groupby("experiment", sort=False).head(5)
    order = {name: place for place, name in enumerate(confusions["experiment"].unique())}
    return largest.sort_values("experiment", key=lambda names: names.map(order), kind="stable").reset_index(drop=True)


def _matrices(estimate: ExperimentEstimate, trials: pd.DataFrame, confusions: Mapping[str, Matrix]) -> Floats:
    """(seed, true class, predicted class) of the recommended configuration, else of the best."""
    ids = trials.loc[trials["configuration"] == (estimate.recommended or estimate.best), "trial_id"]
    known = [np.asarray(confusions[trial_id], float) for trial_id in ids if trial_id in confusions]
    return np.array([matrix for matrix in known if matrix.shape == known[0].shape])


def _names(estimates: StudyEstimates, n_classes: int) -> tuple[str, ...]:
    names = estimates.description.class_names
    return names if len(names) == n_classes else tuple(str(number) for number in range(n_classes))


def _class_rows(
    estimate: ExperimentEstimate, estimates: StudyEstimates, confusions: Mapping[str, Matrix]
) -> Iterator[tuple[object, ...]]:
    matrices = _matrices(estimate, estimates.trials, confusions)
    if not len(matrices):
        return
    counts = matrices.sum(axis=2)
    right = np.divide(matrices.diagonal(axis1=1, axis2=2), counts, out=np.full(counts.shape, np.nan), where=counts > 0)
    shares = describe(right)
    for i, name in enumerate(_names(estimates, len(matrices[0]))):
        yield (
            *_which(estimate), name, len(matrices), int(counts[:, i].sum()), float(shares.mean[i]),
            float(shares.low[i]), float(shares.high[i]),
        )  # fmt: skip


def _confusion_rows(
    estimate: ExperimentEstimate, estimates: StudyEstimates, confusions: Mapping[str, Matrix]
) -> Iterator[tuple[object, ...]]:
    matrices = _matrices(estimate, estimates.trials, confusions)
    if not len(matrices):
        return
    total = matrices.sum(axis=0)
    names = _names(estimates, len(total))
    for true, row in zip(names, total, strict=True):
        for predicted, n in zip(names, row, strict=True):
            share = float(n / row.sum()) if row.sum() else np.nan
            yield *_which(estimate), true, predicted, len(matrices), int(n), share


def _which(estimate: ExperimentEstimate) -> tuple[str, str, str]:
    name = estimate.recommended or estimate.best or ""
    return estimate.experiment.name, name, estimate.labels.get(name, name)
