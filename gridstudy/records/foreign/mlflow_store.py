"""MLflow stores, an SQLite file or an `mlruns` folder -> a table of runs, without MLflow.

MLflow's client migrates an older store, refuses a newer one and creates a database where there is none; reading needs
five tables, which are alike in all versions seen.
"""

from __future__ import annotations

import math
import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from gridstudy.core.errors import StudyError
from gridstudy.core.files import read_bytes
from gridstudy.records.foreign.copies import open_copy
from gridstudy.records.foreign.delimited import flatten_column, read_texts
from gridstudy.records.foreign.options import near
from gridstudy.records.foreign.table import RunTable, in_one_line, problem_table

FINISHED, PARENT = "finished", "parent"
STATES = {"1": "running", "2": "scheduled", "3": FINISHED, "4": "failed", "5": "killed"}
LARGEST = 1.797e308
"""What MLflow's SQLite store writes for an infinite value, rounded down."""
UNREAD_TAGS = ("mlflow.log-model.history", "mlflow.runName", "mlflow.loggedArtifacts")

Point = tuple[int, int, float]
"""Step, time in milliseconds, value."""


@dataclass
class _StoredRun:
    run_id: str
    name: str
    state: str
    start_ms: int | None
    end_ms: int | None
    metrics: dict[str, list[Point]] = field(default_factory=dict)
    params: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)


def read_mlflow(path: Path, *, experiment: str | None = None, with_steps: bool = False) -> RunTable:
    """Read the finished runs of an experiment; raise StudyError, listing the experiments, where it is left open.

    Each metric has its value at the latest step; with `with_steps` there is a row per run and step instead.
    """
    if not path.exists():
        raise StudyError(f"there is no MLflow store at {path}")
    chosen, runs = _from_folder(path, experiment) if path.is_dir() else _from_database(path, experiment)
    source = f"mlflow:{path}"
    _mark_parents(runs)
    finished = [run for run in runs if run.state == FINISHED]
    others = [run for run in runs if run.state != FINISHED]
    if not finished:
        raise StudyError(f"{source} holds no finished run{f' ({len(others)} others)' * bool(others)}")
    return _table(finished, others, source, experiment=chosen, with_steps=with_steps)


def _mark_parents(runs: Sequence[_StoredRun]) -> None:
    """Give a run that only sums up the runs nested in it, all of its metrics being theirs too, a state of its own."""
    below: dict[str, set[str]] = {}
    for run in runs:
        below.setdefault(run.tags.get("mlflow.parentRunId", ""), set()).update(run.metrics)
    for run in runs:
        if run.state == FINISHED and run.run_id in below and below[run.run_id] >= set(run.metrics):
            run.state = PARENT


def _choose(names: Mapping[str, int], path: Path, experiment: str | None) -> str:
    filled = {name: n for name, n in names.items() if n}
    shown = "; ".join(f"{name} ({n} runs)" for name, n in filled.items()) or "none with runs"
    if experiment is None:
        if len(filled) == 1:
            return next(iter(filled))
        if not filled:
            raise StudyError(f"{path} holds no runs")
        raise StudyError(f"{path} holds several experiments; choose one with --from: {shown}")
    if experiment not in names:
        raise StudyError(f"{path} has no experiment {experiment!r}{near(experiment, names)}; it has {shown}")
    return experiment


# --- SQLite --------------------------------------------------------------------------------------------------------


def _experiment_rows(connection: sqlite3.Connection) -> list[tuple[int, str, int]]:
    return connection.execute(
        "SELECT e.experiment_id, e.name, COUNT(r.run_uuid) FROM experiments e LEFT JOIN runs r "
        "ON r.experiment_id = e.experiment_id AND r.lifecycle_stage = 'active' "
        "WHERE e.lifecycle_stage = 'active' GROUP BY e.experiment_id ORDER BY e.experiment_id"
    ).fetchall()


def _from_database(path: Path, experiment: str | None) -> tuple[str, list[_StoredRun]]:
    with open_copy(path) as connection:
        if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'experiments'").fetchone():
            raise StudyError(f"{path} is no MLflow store: it has no table of experiments")
        rows = _experiment_rows(connection)
        chosen = _choose({name: n for _, name, n in rows}, path, experiment)
        number = next(experiment_id for experiment_id, name, _ in rows if name == chosen)
        columns = "run_uuid, name, status, start_time, end_time, lifecycle_stage"
        query = f"SELECT {columns} FROM runs WHERE experiment_id = ? ORDER BY start_time"  # noqa: S608 - fixed text
        runs = {
            run_id: _StoredRun(run_id, name or run_id, _state(status, stage), start_ms, end_ms)
            for run_id, name, status, start_ms, end_ms, stage in connection.execute(query, (number,))
        }
        of_experiment = "FROM {} WHERE run_uuid IN (SELECT run_uuid FROM runs WHERE experiment_id = ?)"
        for table in ("params", "tags"):
            for run_id, key, value in connection.execute(
                f"SELECT run_uuid, key, value {of_experiment.format(table)}",
                (number,),
            ):
                getattr(runs[run_id], table)[key] = value
        for run_id, key, step, time_ms, value, is_nan in connection.execute(
            f"SELECT run_uuid, key, step, timestamp, value, is_nan {of_experiment.format('metrics')}",
            (number,),
        ):
            point = (step or 0, time_ms or 0, math.nan if is_nan or value is None else _unbounded(value))
            runs[run_id].metrics.setdefault(key, []).append(point)
    return chosen, list(runs.values())


def _state(status: str | None, stage: str | None) -> str:
    return "deleted" if stage == "deleted" else STATES.get(str(status), str(status or "unknown").lower())


def _unbounded(value: float) -> float:
    return math.copysign(math.inf, value) if abs(value) >= LARGEST else float(value)


# --- folders -------------------------------------------------------------------------------------------------------


def _from_folder(path: Path, experiment: str | None) -> tuple[str, list[_StoredRun]]:
    folders = _experiment_folders(path)
    if not folders:
        raise StudyError(f"{path} is not an MLflow store: no folder in it has an experiment's meta.yaml")
    counts = {name: len(list(_run_folders(folder))) for name, folder in folders.items()}
    chosen = _choose(counts, path, experiment)
    return chosen, [_read_folder(folder) for folder in _run_folders(folders[chosen])]


def _experiment_folders(path: Path) -> dict[str, Path]:
    found = {}
    for folder in sorted(p for p in path.iterdir() if p.is_dir() and not p.name.startswith(".")):
        meta = _read_meta(folder / "meta.yaml")
        if meta.get("lifecycle_stage", "active") == "active" and "experiment_id" in meta and "run_id" not in meta:
            found[meta.get("name", folder.name)] = folder
    return found


def _run_folders(experiment: Path) -> Iterator[Path]:
    yield from sorted(p.parent for p in experiment.glob("*/meta.yaml") if (p.parent / "params").is_dir()
                      or (p.parent / "metrics").is_dir() or "run_id" in _read_meta(p))  # fmt: skip


def _read_meta(path: Path) -> dict[str, str]:
    """A meta.yaml of MLflow: one `key: value` a line, nothing nested that matters here."""
    meta = {}
    for line in _lines(path) if path.is_file() else ():
        key, colon, value = line.partition(":")
        if colon and not key.startswith((" ", "#")):
            meta[key] = _unquoted(value.strip())
    return meta


def _unquoted(value: str) -> str:
    if len(value) > 1 and value[0] == value[-1] == "'":
        return value[1:-1].replace("''", "'")
    return value[1:-1] if len(value) > 1 and value[0] == value[-1] == '"' else value


def _lines(path: Path) -> list[str]:
    try:
        return read_bytes(path).decode("utf-8", "replace").splitlines()
    except OSError as error:
        raise StudyError(f"{path} cannot be read: {error.strerror or error}") from None


def _read_folder(folder: Path) -> _StoredRun:
    meta = _read_meta(folder / "meta.yaml")
    run_id, name = meta.get("run_id", folder.name), meta.get("run_name")
    start_ms, end_ms = _whole(meta.get("start_time")), _whole(meta.get("end_time"))
    run = _StoredRun(run_id, name or run_id, _state(meta.get("status"), meta.get("lifecycle_stage")), start_ms, end_ms)
    run.params = {key: "\n".join(_lines(path)) for key, path in _keys(folder / "params")}
    run.tags = {key: "\n".join(_lines(path)) for key, path in _keys(folder / "tags")}
    metrics = {key: list(_points(path)) for key, path in _keys(folder / "metrics")}
    run.metrics = {key: points for key, points in metrics.items() if points}
    return run


def _whole(text: str | None) -> int | None:
    return int(text) if text and text.lstrip("-").isdecimal() else None


def _keys(folder: Path) -> Iterator[tuple[str, Path]]:
    """A file per key; a slash in the key is a folder."""
    for above, subfolders, files in os.walk(folder):
        subfolders.sort()
        for name in sorted(files):
            if not name.startswith("."):
                path = Path(above) / name
                yield path.relative_to(folder).as_posix(), path


def _points(path: Path) -> Iterator[Point]:
    """Lines `time value step`; the oldest versions left the step out."""
    for number, line in enumerate(_lines(path), 1):
        parts = line.split()
        try:
            if parts:
                yield int(parts[2]) if len(parts) > 2 else number - 1, int(float(parts[0])), float(parts[1])
        except (ValueError, IndexError, OverflowError):
            raise StudyError(f"{path}: row {number} is not an MLflow metric: {line[:60]!r}") from None


# --- table ---------------------------------------------------------------------------------------------------------


def _table(
    runs: Sequence[_StoredRun], others: Sequence[_StoredRun], source: str, *, experiment: str, with_steps: bool
) -> RunTable:
    rows = [row for run in runs for row in (_step_rows(run) if with_steps else [_run_row(run)])]
    frame = pd.DataFrame([*rows, *map(_run_row, others)])
    params = _in_order(f"{key}" for run in runs for key in run.params)
    frame = frame.set_index(pd.Index(frame.pop("\0row"), name="run"))
    settings = [name for name in params if name in frame]
    tags = [str(name) for name in frame if str(name).startswith("tag.")]
    roles = {"run_id": "name", "run_name": "name", "start_time": "start", "duration_s": "time"}
    metrics = {name for row in rows for name in row} - {*settings, *tags, *roles, "step"}
    roles |= dict.fromkeys(metrics, "other metric")
    roles |= dict.fromkeys((tag for tag in tags if tag.startswith("tag.mlflow.")), "name")
    added: dict[str, Any] = {}
    for name in [*settings, *tags]:
        frame[name] = read_texts(frame[name])[0]
        nested = flatten_column(frame[name], name, [str(c) for c in frame.columns])
        roles |= {name: "derived from others"} if nested else {}
        added |= nested
    if added:
        frame = pd.concat([frame, pd.DataFrame(added, index=frame.index)], axis=1)
    left_out = frame.iloc[len(rows) :]
    problems = problem_table(
        {
            "path": f"{source}: run {in_one_line(run.name)}",
            "state": run.state,
            "reason": "it only sums up the runs nested in it" if run.state == PARENT else f"its status is {run.state}",
        }
        for run in others
    )
    return RunTable(
        frame.iloc[: len(rows)], source, row_word="run", known_roles=roles, problems=problems, left_out=left_out,
        start="start_time",
        notes=(f"experiment {experiment}, read without MLflow, finished runs only",),
        epoch="step" if with_steps else None,
    )  # fmt: skip


def _in_order(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))


def _run_row(run: _StoredRun) -> dict[str, Any]:
    latest = {key: max(points, key=lambda point: point[:2])[2] for key, points in run.metrics.items()}
    return {**_constant_cells(run), **_named_metrics(run, latest)}


def _step_rows(run: _StoredRun) -> Iterator[dict[str, Any]]:
    steps: dict[int, dict[str, float]] = {}
    for key, points in run.metrics.items():
        for step, _, value in sorted(points, key=lambda point: point[:2]):
            steps.setdefault(step, {})[key] = value
    for step in sorted(steps):
        yield {**_constant_cells(run), "step": step, **_named_metrics(run, steps[step])}


def _constant_cells(run: _StoredRun) -> dict[str, Any]:
    duration_s = (run.end_ms - run.start_ms) / 1000 if run.start_ms and run.end_ms else math.nan
    tags = {f"tag.{key}": value for key, value in run.tags.items() if key not in UNREAD_TAGS}
    return {
        "\0row": in_one_line(run.name), "run_id": run.run_id, "run_name": run.name, "start_time": _time(run.start_ms),
        "duration_s": duration_s if duration_s >= 0 else math.nan, **run.params, **tags,
    }  # fmt: skip


def _time(time_ms: int | None) -> str | None:
    try:
        return datetime.fromtimestamp(time_ms / 1000, UTC).isoformat(timespec="milliseconds") if time_ms else None
    except (ValueError, OverflowError, OSError):
        return None


def _named_metrics(run: _StoredRun, values: Mapping[str, float]) -> dict[str, float]:
    """Metrics under their own names; one that is called like a parameter or a column of ours is `metric.NAME`."""
    taken = {*run.params, "run_id", "run_name", "start_time", "duration_s", "step"}
    return {f"metric.{key}" if key in taken else key: value for key, value in values.items()}
