"""Results as other programs leave them, made small, and what a folder holds before and after."""

from __future__ import annotations

import sqlite3
import tarfile
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from gridstudy.records.foreign.options import parse_results_table
from gridstudy.records.foreign.selection import ForeignRuns, select_with
from gridstudy.records.foreign.table import RunTable

SAMPLES = Path(__file__).parents[2] / "samples"


def make_database(sample: str, folder: Path) -> Path:
    """A database of a sample that is kept as SQL text."""
    path = folder / f"{sample}.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript((SAMPLES / f"{sample}.sql").read_text(encoding="utf-8"))
    return path


@contextmanager
def optuna_study(path: Path) -> Iterator[Any]:
    """A new Optuna study that maximises, in a database whose connections are closed afterwards."""
    optuna = pytest.importorskip("optuna")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    storage = optuna.storages.RDBStorage(f"sqlite:///{path}")
    try:
        yield optuna.create_study(study_name="s", storage=storage, direction="maximize")
    finally:
        storage.engine.dispose()


def unpack(sample: str, folder: Path) -> Path:
    """The folder in a sample that is kept as an archive."""
    with tarfile.open(SAMPLES / f"{sample}.tar.gz") as archive:
        archive.extractall(folder, filter="data")
    return folder / sample.partition("-")[0]


def select_runs(table: RunTable, **options: object) -> ForeignRuns:
    """Select runs with the options of a `[results]` table."""
    return select_with(table, parse_results_table({key: value for key, value in options.items() if value is not None}))


def content_of(folder: Path) -> dict[str, bytes | None]:
    """Every path below a folder and its bytes."""
    return {str(p.relative_to(folder)): p.read_bytes() if p.is_file() else None for p in sorted(folder.rglob("*"))}


def make_grid(*, seeds: Sequence[int] = range(4), **columns: Sequence[object]) -> pd.DataFrame:
    """A row per learning rate, batch size and seed with an accuracy, and further columns of that length."""
    rng = np.random.default_rng(0)
    rows = [
        {"lr": lr, "batch_size": size, "seed": seed, "acc": 0.8 + rng.normal(0, 0.01)}
        for lr in (0.1, 0.01) for size in (16, 32) for seed in seeds
    ]  # fmt: skip
    return pd.DataFrame(rows).assign(**{name: list(values) for name, values in columns.items()})
