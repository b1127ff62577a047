"""Runs that mltrainer logged for somebody else, as rows of the tables in `records`.

A run is a folder with TensorBoard event files. Its settings.toml and model.toml, and a `*_results.toml` in it or above
it, say its configuration; the event files hold its curves. Seed and split are unknown, so runs of equal known settings
are replicates that nothing pairs.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gridstudy.core.trial import UNKNOWN
from gridstudy.records.foreign.event_files import EVENT_FILE, Curve, NoEpoch, make_curve, read_events
from gridstudy.records.foreign.settings import (
    RESULTS_SUFFIX,
    Results,
    fingerprint_settings,
    model_settings,
    model_table,
    name_configurations,
    read_table,
    trainer_settings,
)
from gridstudy.records.toml import RecordError

Row = dict[str, Any]

OWN_TRIAL = re.compile(r"seed\d+-[0-9a-f]{8}")


def load_foreign(logdir: Path, *, own_folders: Collection[Path]) -> tuple[list[Row], list[Row], list[Row]]:
    """Rows of trials, curves and problems for the runs below `logdir` that lie in none of `own_folders`.

    Links are not followed, and hidden folders are passed over. A run whose log breaks off counts as one of as many
    epochs as it has, and is a problem as well.
    """
    found = _find(logdir, own_folders)
    reported = Results(logdir, found.results, found.problem)
    runs: list[_Run] = []
    for folder, files in found.events.items():
        try:
            runs.append(_read_run(folder, files, reported, found.problem))
        except RecordError as error:
            found.problem(folder, str(error), state="interrupted" if isinstance(error, NoEpoch) else "unreadable")
    names = name_configurations([run.settings for run in runs])
    trials = [_trial_row(run, name, logdir) for run, name in zip(runs, names, strict=True)]
    curves = [row for run, name in zip(runs, names, strict=True) for row in _curve_rows(run, name, logdir)]
    return trials, curves, found.problems


# --- folders -------------------------------------------------------------------------------------------------------


@dataclass
class _Found:
    """Event files by folder, `*_results.toml` files by folder, and what could not be looked into."""

    events: dict[Path, list[Path]] = field(default_factory=dict)
    results: dict[Path, list[Path]] = field(default_factory=dict)
    problems: list[Row] = field(default_factory=list)

    def problem(self, path: Path, reason: str, *, state: str = "unreadable") -> None:
        self.problems.append({"path": _text(str(path)), "state": state, "reason": reason})


def _text(path: str) -> str:
    """A path that can be written to a file, also where a name in it is no valid UTF-8."""
    return path.encode("utf-8", "backslashreplace").decode()


def _find(logdir: Path, own_folders: Collection[Path]) -> _Found:
    found = _Found()
    own = {str(folder) for folder in own_folders}
    above_own = {str(folder.parent) for folder in own_folders}
    for folder, subfolders, files in os.walk(logdir, onerror=_refused(found)):
        here = Path(folder)
        if not (_is_ours(here, subfolders) or (here == logdir and own)):
            _keep(found.events, here, [name for name in files if name.startswith(EVENT_FILE)])
        _keep(found.results, here, [name for name in files if name.endswith(RESULTS_SUFFIX)])
        others = sorted(n for n in subfolders if not n.startswith(".") and str(here / n) not in own)
        subfolders[:] = [name for name in others if not OWN_TRIAL.fullmatch(name)]
        if len(subfolders) < len(others):
            _report_nested(here.parent, found)
        for name in subfolders:
            if (here / name).is_symlink() and str(here / name) not in above_own:
                found.problem(here / name, "is a link, and links are not followed")
    return found


def _keep(kept: dict[Path, list[Path]], folder: Path, names: Iterable[str]) -> None:
    if files := [folder / name for name in sorted(names)]:
        kept[folder] = files


def _refused(found: _Found) -> Callable[[OSError], None]:
    def report(error: OSError) -> None:
        if not isinstance(error, FileNotFoundError):
            found.problem(Path(error.filename), f"cannot be read ({error.strerror or error})")

    return report


def _is_ours(folder: Path, subfolders: Sequence[str]) -> bool:
    """Whether `folder` is a log directory of this program; the event file in it describes hyperparameters only."""
    return EXPERIMENTS_FOLDER in subfolders and any((folder / EXPERIMENTS_FOLDER).glob("*.toml"))


def _report_nested(logdir: Path, found: _Found) -> None:
    if not any(row["path"] == _text(str(logdir)) for row in found.problems):
        found.problem(logdir, "holds trials of this program, which are read only with this path as --logdir")


# --- one run -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Run:
    """What the files of a run say. `settings`: hyperparameters by name, all else that they say by `file.key`."""

    folder: Path
    settings: Mapping[str, Any]
    curve: Curve
    host: str | None

    @property
    def fingerprint(self) -> str:
        return fingerprint_settings(self.settings)


def _read_run(folder: Path, files: Sequence[Path], reported: Results, problem: Callable[..., None]) -> _Run:
    """Read a run's files; raise RecordError where they hold no curve, and tell `problem` of what is damaged."""
    log = read_events(files)
    trainer, model = (model_table(read_table(folder / name, problem)) for name in ("settings.toml", "model.toml"))
    curve = make_curve(log, by_mltrainer=bool(trainer or model))
    settings = model_settings(model) | trainer_settings(trainer)
    settings = reported.on(folder, settings) | settings
    n_epochs, planned = len(curve.epochs), settings.get("epochs", 0)
    n_missing = 0 if curve.diverged or _stops_early(curve, settings) else max(0, planned - n_epochs)
    if log.damage or n_missing:
        of = f" of {planned}" if n_missing else ""
        reason = f"{log.damage or 'ended early'}: {n_epochs}{of} epochs were read, and it counts as a run of {n_epochs}"
        problem(folder, reason, state="unreadable" if log.damage else "interrupted")
    if n_missing or n_epochs > planned:
        settings["epochs"] = n_epochs
    return _Run(folder, settings, curve, _host(files[-1]))


def _stops_early(curve: Curve, settings: Mapping[str, Any]) -> bool:
    """Whether mltrainer's early stopping ended the run: as many epochs without a new least loss as it has patience."""
    patience = settings.get("settings.earlystop_kwargs.patience")
    delta = settings.get("settings.earlystop_kwargs.delta")
    delta = delta if isinstance(delta, float) else 0.0
    best, waited = math.inf, 0
    for loss in curve.column("Loss/test"):
        improved = loss + delta < best
        best, waited = (loss, waited) if improved else (best, waited + 1)
    return isinstance(patience, int) and waited >= patience


def _host(path: Path) -> str | None:
    match = re.fullmatch(re.escape(EVENT_FILE) + r"\d+\.(.+?)(\.\d+\.\d+)?", path.name)
    return match[1] if match else None


# --- rows ----------------------------------------------------------------------------------------------------------


def _trial_row(run: _Run, name: str, logdir: Path) -> Row:
    """A row of `records.TRIAL_COLUMNS`; what the log does not say is NaN, or None where text would stand."""
    settings, last = run.settings, run.curve.epochs[-1]
    updates = len(run.curve.epochs) * settings.get("train_steps", math.nan)
    return {
        "trial_id": _trial_id(run, logdir),
        "configuration": name,
        "configuration_fingerprint": run.fingerprint,
        "seed": math.nan,
        **{n: settings.get(n, None if n == "optimizer" else math.nan) for n in HYPERPARAMETERS},
        "diverged": run.curve.diverged,
        "validation_accuracy": GUESSING_ACCURACY if run.curve.diverged else last["metric/Accuracy"],
        "validation_loss": last["Loss/test"],
        "train_loss": last["Loss/train"],
        "test_accuracy": math.nan,
        "updates": updates,
        "examples": updates * settings.get("batch_size", math.nan),
        "parameters": math.nan,
        "duration_s": run.curve.duration_s,
        **dict.fromkeys(GROUP_COLUMNS, UNKNOWN),
        "host": run.host,
        **dict.fromkeys(("platform", "device", "versions")),
        "attempt": math.nan,
        "started": _timestamp(run.curve.started_s),
        "origin": "foreign",
    }


def _timestamp(time_s: float) -> str | None:
    try:
        return datetime.fromtimestamp(time_s, UTC).isoformat(timespec="seconds")
    except (ValueError, OverflowError, OSError):
        return None


def _curve_rows(run: _Run, name: str, logdir: Path) -> Iterator[Row]:
    for number, (epoch, duration_s) in enumerate(zip(run.curve.epochs, run.curve.epoch_duration_s, strict=True), 1):
        yield {
            "trial_id": _trial_id(run, logdir),
            "configuration": name,
            "seed": math.nan,
            "epoch": number,
            "train_loss": epoch["Loss/train"],
            "validation_loss": epoch["Loss/test"],
            "validation_accuracy": epoch["metric/Accuracy"],
            "duration_s": duration_s,
        }


def _trial_id(run: _Run, logdir: Path) -> str:
    return _text(run.folder.relative_to(logdir).as_posix())
