"""Log directories of mltrainer and other writers of TensorBoard event files -> runs with settings and curves.

A run is a folder with event files. Its settings.toml and model.toml, its saved_config.gin, and a `*_results.toml` in it
or above it, say its configuration; the event files hold its curves.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pandas as pd

from gridstudy.core.errors import StudyError
from gridstudy.core.files import read_bytes
from gridstudy.records.foreign.event_files import EVENT_FILE, TAGS, Log, possible_duration, read_events
from gridstudy.records.foreign.options import ResultOptions, near
from gridstudy.records.foreign.settings import (
    GIN_FILE,
    RESULTS_SUFFIX,
    Results,
    gin_settings,
    model_settings,
    model_table,
    read_table,
    short_names,
    trainer_settings,
)  # fmt: skip
from gridstudy.records.foreign.table import RunTable, problem_table

Row = dict[str, Any]
Progress = Callable[[int, int], None]
"""Told how many of how many runs have been read."""

PLANS_FOLDER = "experiments"
OWN_FILES = ("result.toml", "trial.toml")
OWN_RECORD = re.compile(rb'^trial_id = "[^"]+/seed\d+-[0-9a-f]{8}"', re.MULTILINE)
DEFAULT_PATIENCE = 10
"""Epochs; mltrainer's own, which a GIN file mentions only where it was changed."""
ENOUGH_RUNS = 0.75
"""Where the planned epochs are unknown, a run is whole if it has as many as this share of its neighbours reach."""
ACCURACY = "metric/Accuracy"


@dataclass(frozen=True)
class LoggedRun:
    """What the files of a run say. `settings`: hyperparameters by name, all else that they say by `file.key`.

    `interruption` says why the run is not whole, or is empty; `settings_known` is false where a file of settings is
    missing or damaged.
    """

    folder: Path
    name: str
    settings: Mapping[str, Any]
    settings_known: bool
    log: Log
    host: str | None
    by_mltrainer: bool
    has_gin: bool
    interruption: str = ""

    @property
    def n_epochs(self) -> int:
        """Epochs for which all of mltrainer's metrics are there; steps, where the log is another program's."""
        usual = [set(self.log.series[tag].steps.tolist()) for tag in TAGS if len(self.log.series[tag])]
        return len(set.intersection(*usual)) if usual else max(map(len, self.log.series.values()), default=0)


def path_text(path: Path) -> str:
    """A path that can be written to a file, also where a name in it is no valid UTF-8."""
    return str(path).encode("utf-8", "backslashreplace").decode()


# --- folders -------------------------------------------------------------------------------------------------------


@dataclass
class Found:
    """Event files by folder, `*_results.toml` files by folder, and what could not be looked into."""

    events: dict[Path, list[Path]] = field(default_factory=dict)
    results: dict[Path, list[Path]] = field(default_factory=dict)
    problems: list[Row] = field(default_factory=list)

    def problem(self, path: Path, reason: str, *, state: str = "unreadable") -> None:
        self.problems.append({"path": path_text(path), "state": state, "reason": reason})


def find_logs(logdir: Path, own_folders: Collection[Path] = ()) -> Found:
    """Find the runs of other programs below `logdir`; links are not followed, and hidden names are passed over."""
    found = Found()
    own = {str(folder) for folder in own_folders}
    above_own = {str(folder.parent) for folder in own_folders}
    for folder, subfolders, files in os.walk(logdir, onerror=_refused(found)):
        here = Path(folder)
        visible = [name for name in files if not name.startswith(".")]
        if not (_is_own_logdir(here, subfolders) or (here == logdir and own)):
            _keep(found.events, here, [name for name in visible if name.startswith(EVENT_FILE)])
        _keep(found.results, here, [name for name in visible if name.endswith(RESULTS_SUFFIX)])
        others = sorted(n for n in subfolders if not n.startswith(".") and str(here / n) not in own)
        subfolders[:] = [name for name in others if not is_own_trial(here / name)]
        if len(subfolders) < len(others):
            _report_nested(here.parent, found)
        for name in subfolders:
            link = os.path.islink(here / name)  # noqa: PTH114 - Path's raises where a folder may not be searched
            if link and str(here / name) not in above_own:
                found.problem(here / name, "is a link, and links are not followed")
    return found


def is_own_trial(folder: Path) -> bool:
    """Whether a folder is a trial of this program, by the content of its files, whatever its name."""
    return any(_names_a_trial(folder / name) for name in OWN_FILES)


def _names_a_trial(path: Path) -> bool:
    try:
        return path.is_file() and OWN_RECORD.search(read_bytes(path)) is not None
    except OSError:
        return False


def _keep(kept: dict[Path, list[Path]], folder: Path, names: Iterable[str]) -> None:
    if files := [folder / name for name in sorted(names)]:
        kept[folder] = files


def _refused(found: Found) -> Callable[[OSError], None]:
    def report(error: OSError) -> None:
        if not isinstance(error, FileNotFoundError):
            found.problem(Path(error.filename), f"cannot be read ({error.strerror or error})")

    return report


def _is_own_logdir(folder: Path, subfolders: Sequence[str]) -> bool:
    """Whether `folder` is a log directory of this program; the event file in it describes hyperparameters only."""
    return PLANS_FOLDER in subfolders and any((folder / PLANS_FOLDER).glob("*.toml"))


def _report_nested(logdir: Path, found: Found) -> None:
    if not any(row["path"] == path_text(logdir) for row in found.problems):
        found.problem(logdir, "holds trials of this program, which are read only with this path as --logdir")


# --- runs ----------------------------------------------------------------------------------------------------------


def read_logged_runs(logdir: Path, found: Found, *, progress: Progress | None = None) -> list[LoggedRun]:
    """Read all runs that were found; damaged settings are added to the problems."""
    reported = Results(logdir, found.results, found.problem)
    runs = []
    for number, (folder, files) in enumerate(found.events.items(), 1):
        runs.append(_read_run(logdir, folder, files, reported, found.problem))
        if progress is not None:
            progress(number, len(found.events))
    return [replace(run, interruption=_interruption(run, runs)) for run in runs]


def _read_run(
    logdir: Path, folder: Path, files: Sequence[Path], reported: Results, problem: Callable[..., None]
) -> LoggedRun:
    (trainer, trainer_whole), (model, model_whole) = (
        read_table(folder / name, problem) for name in ("settings.toml", "model.toml")
    )
    gin = gin_settings(folder / GIN_FILE, problem)
    settings = gin | model_settings(model_table(model)) | trainer_settings(model_table(trainer))
    told = reported.on(folder, settings)
    return LoggedRun(
        folder, path_text(Path(folder.relative_to(logdir).as_posix())), told | settings,
        settings_known=bool(gin or told or (trainer_whole and model_whole)), log=read_events(files),
        host=_host(files[-1]), by_mltrainer=bool(gin or model_table(trainer) or model_table(model)),
        has_gin=bool(gin),
    )  # fmt: skip


def _host(path: Path) -> str | None:
    match = re.fullmatch(re.escape(EVENT_FILE) + r"\d+\.(.+?)(\.\d+\.\d+)?", path.name)
    return match[1] if match else None


def _interruption(run: LoggedRun, runs: Sequence[LoggedRun]) -> str:
    """Why a run is not whole: fewer epochs than planned, or, where that is unknown, than most of its neighbours."""
    planned = run.settings.get("epochs")
    expected = planned or _usual_epochs([r.n_epochs for r in runs if r.folder.parent == run.folder.parent])
    missing = run.n_epochs < expected and not _diverged(run.log) and not stops_early(run)
    if not missing and not (run.log.damage and planned is None):
        return ""
    of = f" of {expected}" if missing else ""
    return f"{run.log.damage or 'ended early'}: {run.n_epochs}{of} epochs were read"


def _usual_epochs(counts: Sequence[int]) -> int:
    """The number of epochs that at least three quarters of these runs reach."""
    return sorted(counts, reverse=True)[math.ceil(ENOUGH_RUNS * len(counts)) - 1]


def _diverged(log: Log) -> bool:
    return not all(np.isfinite(log.series[tag].values).all() for tag in TAGS)


def stops_early(run: LoggedRun) -> bool:
    """Whether mltrainer's early stopping ended the run: as many epochs without a new least loss as it has patience."""
    patience = _setting(run.settings, "earlystop_kwargs.patience")
    if patience is None and run.has_gin:
        patience = DEFAULT_PATIENCE
    delta = _setting(run.settings, "earlystop_kwargs.delta")
    delta = delta if isinstance(delta, float) else 0.0
    best, waited = math.inf, 0
    for loss in run.log.series["Loss/test"].values.tolist():
        improved = loss + delta < best
        best, waited = (loss, waited) if improved else (best, waited + 1)
    return isinstance(patience, int) and waited >= patience


def _setting(settings: Mapping[str, Any], ending: str) -> Any:
    return next((value for key, value in settings.items() if key.endswith(f".{ending}")), None)


# --- table ---------------------------------------------------------------------------------------------------------


def read_log_folders(logdir: Path, *, progress: Progress | None = None) -> RunTable:
    """Read a log directory as a table, a row per run and step; all settings and tags are columns.

    Raises StudyError where there is no run.
    """
    if not logdir.is_dir():
        raise StudyError(f"a log directory must be a folder that exists; {logdir} is not")
    found = find_logs(logdir)
    runs = read_logged_runs(logdir, found, progress=progress)
    whole = [run for run in runs if not run.interruption and run.n_epochs]
    others = [run for run in runs if run.interruption or not run.n_epochs]
    if not whole:
        raise StudyError(f"{logdir} holds no whole run{f' ({len(others)} interrupted)' if others else ''}")
    names = short_names({key for run in runs for key in run.settings})
    tags = list(dict.fromkeys(tag for run in whole for tag, steps in run.log.series.items() if len(steps)))
    columns = {tag: f"tag.{tag}" if tag in (*names.values(), *OWN_COLUMNS) else tag for tag in tags}
    frame = _concatenate([_frame(run, names, columns) for run in whole])
    frame = frame.set_index(pd.Index(frame["run"], name="row"))
    left_out = pd.DataFrame([_settings_row(run, names) for run in others], index=[run.name for run in others])
    problems = [
        {"path": path_text(run.folder), "state": "unreadable" if run.log.damage else "interrupted",
         "reason": run.interruption or "no epoch was logged"} for run in others
    ]  # fmt: skip
    settings = [name for name in names.values() if name in frame]
    roles = {"run": "name", "start": "start", "host": "name", "epoch": "epoch", "duration_s": "time"}
    objective = next((columns[tag] for tag in (ACCURACY, *tags) if tag in columns and tag.startswith("metric/")), None)
    roles |= dict.fromkeys(columns.values(), "other metric") | ({objective: "objective"} if objective else {})
    return RunTable(
        frame, str(logdir), row_word="run", known_roles=roles | dict.fromkeys(settings, "hyperparameter"),
        problems=problem_table([*problems, *found.problems]), start="start", epoch="epoch", left_out=left_out,
        unknown_settings=frozenset(run.name for run in runs if not run.settings_known), is_log_folder=True,
    )  # fmt: skip


OWN_COLUMNS = ("run", "start", "host", "duration_s", "epoch")


def _frame(run: LoggedRun, names: Mapping[str, str], columns: Mapping[str, str]) -> pd.DataFrame:
    """A row per step, counted from 1; a tag that was not logged at a step is empty there."""
    series = {tag: found for tag, found in run.log.series.items() if len(found)}
    steps = np.unique(np.concatenate([found.steps for found in series.values()]))
    constant = {
        "run": run.name, "start": timestamp(run.log.started_s), "host": run.host, "duration_s": _duration_s(run.log),
        **_settings_row(run, names),
    }  # fmt: skip
    frame = pd.DataFrame({name: [value] * len(steps) for name, value in constant.items()})
    frame["epoch"] = np.arange(1, len(steps) + 1)
    values = {columns[tag]: pd.Series(found.values, found.steps).reindex(steps) for tag, found in series.items()}
    return pd.concat([frame, pd.DataFrame(values).reset_index(drop=True)], axis=1)


def _concatenate(frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """All rows below each other; what a frame has no column for is empty."""
    names = list(dict.fromkeys(name for frame in frames for name in frame))
    return pd.DataFrame({
        name: [v for frame in frames for v in (frame[name].tolist() if name in frame else [None] * len(frame))]
        for name in names
    })  # fmt: skip


def _settings_row(run: LoggedRun, names: Mapping[str, str]) -> Row:
    return {names[key]: str(v) if isinstance(v, (list, dict)) else v for key, v in run.settings.items()}


def _duration_s(log: Log) -> float:
    """The median epoch, times the number of epochs: when a notebook began to train is not in its log."""
    times = max(log.series.values(), key=len).times_s.tolist()
    known = [d for d in map(possible_duration, times, times[1:]) if not math.isnan(d)]
    return len(times) * median(known) if known else math.nan


def timestamp(time_s: float) -> str | None:
    """A time as ISO 8601, or None where it is none."""
    try:
        return datetime.fromtimestamp(time_s, UTC).isoformat(timespec="milliseconds")
    except (ValueError, OverflowError, OSError):
        return None


def log_options(table: RunTable, options: ResultOptions) -> ResultOptions:
    """Complete the options for a log directory, which needs no roles: all its settings are hyperparameters."""
    objective = options.objective or tuple(n for n, role in table.known_roles.items() if role == "objective")
    tags = [n for n, role in table.known_roles.items() if role in ("objective", "other metric")]
    if not objective:
        raise StudyError(
            f"{table.source} has no metric/Accuracy; choose the objective with --objective: {', '.join(tags)}"
        )
    for name in objective:
        if name not in tags:
            raise StudyError(f"{table.source} has no tag {name!r}{near(name, tags)}; its tags are {', '.join(tags)}")
    settings = tuple(n for n, role in table.known_roles.items() if role == "hyperparameter" and n not in options.ignore)
    unit = options.unit or ("fraction" if objective == (ACCURACY,) and options.margin is None else None)
    return replace(options, objective=objective, hyperparameters=options.hyperparameters or settings, unit=unit)
