"""Rows of runs -> configurations: which are alike in every hyperparameter, and the name of each."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from numbers import Real
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from gridstudy.core.errors import StudyError

NONE = "none"
"""Label of an empty cell, which is a value of its own."""
ALL_RUNS = "all runs"
"""Name of the only configuration where no hyperparameter varies."""

Ints = npt.NDArray[np.int64]
Hashes = npt.NDArray[np.uint64]


@dataclass(frozen=True)
class Configurations:
    """The distinct settings of a table of runs, in the order of their first runs.

    `codes` has the configuration of each run. `levels` has a row per configuration and a column per hyperparameter
    that varies: positions in `labels[hyperparameter]`, whose values are in ascending order. `settings` has the
    original values of all hyperparameters, indexed by configuration.
    """

    codes: Ints
    levels: Ints
    labels: Mapping[str, tuple[str, ...]]
    settings: pd.DataFrame

    @property
    def names(self) -> list[str]:
        return [str(name) for name in self.settings.index]

    def contexts(self, hyperparameters: Collection[str]) -> Hashes:
        """Hash what each configuration has in all hyperparameters but these: equal where they are alike in the rest."""
        left = self._hashes.copy()
        for column, name in enumerate(self.labels):
            if name in hyperparameters:
                left -= self._hash_column(column)
        return left

    @cached_property
    def _hashes(self) -> Hashes:
        """The sum of random numbers, one per hyperparameter and value, so that any part can be taken out again."""
        total = np.zeros(len(self.levels), np.uint64)
        for column in range(len(self.labels)):
            total += self._hash_column(column)
        return total

    def _hash_column(self, column: int) -> Hashes:
        levels = self.levels[:, column]
        keys = np.random.default_rng(column).integers(np.iinfo(np.uint64).max, size=levels.max() + 1, dtype=np.uint64)
        return np.asarray(keys[levels])


def check_columns(runs: pd.DataFrame, columns: Sequence[str]) -> None:
    """Raise StudyError for the first of `columns` that `runs` lacks, with those of similar names."""
    for column in columns:
        if column not in runs.columns:
            known = list(map(str, runs.columns))
            near = difflib.get_close_matches(column, known, n=3) or known[:10]
            raise StudyError(f"unknown column {column!r}; choose from {', '.join(near)}")


def identify_configurations(runs: pd.DataFrame, hyperparameters: Sequence[str]) -> Configurations:
    """Tell the configurations of `runs` apart by the values of their hyperparameters."""
    columns = {name: _read_levels(runs[name]) for name in hyperparameters}
    varied = {name: (levels, labels) for name, (levels, labels) in columns.items() if len(labels) > 1}
    codes = np.zeros(len(runs), np.int64)
    for levels, labels in varied.values():
        codes = pd.factorize(codes * len(labels) + levels)[0].astype(np.int64)
    first = np.unique(codes, return_index=True)[1]
    table = np.column_stack([levels[first] for levels, _ in varied.values()] or [np.zeros((len(first), 0), np.int64)])
    labels_of = {name: labels for name, (_, labels) in varied.items()}
    settings = runs[list(hyperparameters)].iloc[first]
    names = pd.Index(_format_names(table, labels_of), name="configuration")
    return Configurations(codes, table, labels_of, settings.set_axis(names, axis=0))


def format_setting(value: Any) -> str:
    """Write a value as short as it can be read back: `0.001`, `64` for 64.0, `none` for an empty cell."""
    if isinstance(value, Real) and not isinstance(value, (bool, np.bool_)):
        number = float(value)
        if np.isnan(number):
            return NONE
        return str(int(number)) if number == number // 1 and abs(number) < 1e15 else f"{number:.10g}"
    return NONE if value is None or value is pd.NaT or value is pd.NA else str(value)


def _read_levels(column: pd.Series) -> tuple[Ints, tuple[str, ...]]:
    """The level of each row, and the labels of the levels in ascending order."""
    codes, uniques = pd.factorize(column, use_na_sentinel=False)
    values = list(uniques)
    labels = np.array([format_setting(value) for value in values], dtype=object)
    ordered = list(dict.fromkeys(labels[i] for i in sorted(range(len(values)), key=lambda i: _sort_key(values[i]))))
    positions = {label: i for i, label in enumerate(ordered)}
    return np.array([positions[label] for label in labels], np.int64)[codes], tuple(ordered)


def _sort_key(value: Any) -> tuple[int, float, str]:
    """Numbers first by size, then text, then an empty cell."""
    label = format_setting(value)
    try:
        number = float(label)
    except ValueError:
        number = np.nan
    return (2, 0.0, "") if label == NONE else (1, 0.0, label) if np.isnan(number) else (0, number, label)


def _format_names(levels: Ints, labels: Mapping[str, tuple[str, ...]]) -> list[str]:
    if not labels:
        return [ALL_RUNS] * len(levels)
    parts = [
        np.array([f"{name}={label}" for label in known], dtype=object)[levels[:, column]]
        for column, (name, known) in enumerate(labels.items())
    ]
    return [",".join(row) for row in zip(*parts, strict=True)]
