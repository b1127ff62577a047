"""Optuna storages, SQLite or a journal file -> a table of trials, read by Optuna itself from a copy."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd

from gridstudy.core.errors import StudyError
from gridstudy.records.foreign.copies import copied, is_sqlite, open_copy
from gridstudy.records.foreign.options import near
from gridstudy.records.foreign.table import RunTable, format_cell, in_one_line, problem_table


def read_optuna(path: Path, *, study: str | None = None, with_steps: bool = False) -> RunTable:
    """Read the complete trials of a study; raise StudyError, listing the studies, where it is left open.

    With `with_steps` there is a row per trial and intermediate value, in the column `intermediate`.
    """
    try:
        import optuna  # type: ignore[import-not-found,unused-ignore]
    except ImportError:
        raise StudyError("Optuna storages need Optuna: pip install optuna") from None
    if not path.is_file():
        raise StudyError(f"there is no Optuna storage at {path}")
    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with copied(path) as copy, _quiet():
            storage = _open(optuna, copy, database=is_sqlite(path))
            try:
                return _table(optuna, storage, path, study=study, with_steps=with_steps)
            finally:
                if hasattr(storage, "engine"):
                    storage.engine.dispose()
    except StudyError:
        raise
    except Exception as error:
        if is_sqlite(path) and not _has_studies(path):
            raise StudyError(f"{path} is no Optuna storage: it has no table of studies") from None
        raise StudyError(
            f"{path} cannot be read by Optuna {optuna.__version__}: {in_one_line(str(error))[:200]}"
        ) from None
    finally:
        optuna.logging.set_verbosity(level)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the lines about migrations that alembic, below Optuna, writes to stderr."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)


def _has_studies(path: Path) -> bool:
    with open_copy(path) as connection:
        return connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'studies'").fetchone() is not None


def _open(optuna: Any, path: Path, *, database: bool) -> Any:
    if not database:
        backend = optuna.storages.journal.JournalFileBackend(str(path))
        return optuna.storages.JournalStorage(backend)
    storage = optuna.storages.RDBStorage(f"sqlite:///{path}", skip_compatibility_check=True)
    if storage.get_current_version() != storage.get_head_version():
        storage.upgrade()  # the copy, so the user's file stays as it is
    return storage


def _table(optuna: Any, storage: Any, path: Path, *, study: str | None, with_steps: bool) -> RunTable:
    names = optuna.get_all_study_names(storage)
    if study is None and len(names) != 1:
        raise StudyError(f"{path} holds {len(names)} studies; choose one with --from: {', '.join(names) or 'none'}")
    if study is not None and study not in names:
        raise StudyError(f"{path} has no study {study!r}{near(study, names)}; it has {', '.join(names) or 'none'}")
    loaded = optuna.load_study(study_name=study or names[0], storage=storage)
    trials = loaded.get_trials(deepcopy=False)
    source = f"optuna:{path}"
    complete = [trial for trial in trials if trial.state.name == "COMPLETE"]
    others = [trial for trial in trials if trial.state.name != "COMPLETE"]
    problems = problem_table(
        {"path": f"{source}: trial {t.number}", "state": t.state.name.lower(), "reason": f"its state is {t.state.name}"}
        for t in others
    )
    if not complete:
        raise StudyError(f"{source} holds no complete trial ({len(problems)} others)")
    rows = [row for trial in complete for row in _rows(trial, with_steps=with_steps)]
    frame = pd.DataFrame(rows)
    if frame.empty:
        raise StudyError(f"{source}: no complete trial has intermediate values")
    params = list(dict.fromkeys(name for trial in complete for name in trial.params))
    values = [str(c) for c in frame if str(c) == "value" or str(c).startswith("value_")]
    roles = {"trial": "name", "start_time": "start", "duration_s": "time"} | dict.fromkeys(params, "hyperparameter")
    roles |= {("intermediate" if with_steps else values[0]): "objective"}
    roles |= dict.fromkeys(values if with_steps else values[1:], "other metric")
    roles |= {"step": "epoch"} if with_steps else {}
    directions = [direction.name for direction in loaded.directions]
    note = (
        f"study {loaded.study_name}, read by Optuna {optuna.__version__}, complete trials only; direction "
        f"{', '.join(directions).lower()}"
    )
    return RunTable(
        frame.set_index(pd.Index(frame["trial"], name="trial"), drop=False).rename_axis(index="row"), source,
        row_word="trial", known_roles=roles, problems=problems, start="start_time",
        left_out=pd.DataFrame([t.params for t in others]),
        epoch="step" if with_steps else None,
        minimised=frozenset(c for c, d in zip(["intermediate"] if with_steps else values, directions, strict=False)
                            if d == "MINIMIZE"),
        notes=(note,),
        adaptive_sampler=True,
    )  # fmt: skip


def _rows(trial: Any, *, with_steps: bool) -> Iterator[dict[str, Any]]:
    start, duration = trial.datetime_start, trial.duration
    seconds = duration.total_seconds() if duration is not None else float("nan")
    values = (
        {"value": trial.values[0]} if len(trial.values) == 1 else {f"value_{i}": v for i, v in enumerate(trial.values)}
    )
    attributes = {
        k: v if isinstance(v, (int, float, str, type(None))) else format_cell(v) for k, v in trial.user_attrs.items()
    }
    row = {
        "trial": trial.number, **values, "start_time": start.isoformat() if start else None,
        "duration_s": seconds if seconds >= 0 else float("nan"), **trial.params,
        **{f"user.{k}" if k in trial.params or k in ("trial", "start_time", "duration_s", *values) else k: v
           for k, v in attributes.items()},
    }  # fmt: skip
    if not with_steps:
        yield row
        return
    for step, value in sorted(trial.intermediate_values.items()):
        yield {**row, "step": step, "intermediate": value}
