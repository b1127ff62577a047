"""Runs that mltrainer logged for somebody else, as rows of the tables in `records`.

Seed and split are unknown, so whole runs of equal known settings are replicates that nothing pairs.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gridstudy.records.foreign.event_files import Curve, NoEpoch, make_curve
from gridstudy.records.foreign.log_folders import LoggedRun, Progress, find_logs, read_logged_runs, timestamp
from gridstudy.records.foreign.settings import HYPERPARAMETERS, fingerprint_settings, name_configurations
from gridstudy.records.foreign.table import DamageError

Row = dict[str, Any]
UNKNOWN = "unknown"
"""Stands for the data set, split and protocol of trials that another program logged."""
DIVERGED_ACCURACY = 0.1
GROUP_COLUMNS = ("subject", "dataset", "dataset_fingerprint", "split_fingerprint", "validation", "training_version")


def load_foreign(
    logdir: Path, *, own_folders: Collection[Path], progress: Progress | None = None
) -> tuple[list[Row], list[Row], list[Row]]:
    """Rows of trials, curves and problems for the runs below `logdir` that lie in none of `own_folders`.

    Links are not followed, and hidden folders are passed over. A run that is not whole is a problem and no trial; one
    whose settings are unknown is a configuration of its own.
    """
    found = find_logs(logdir, own_folders)
    whole: list[_Run] = []
    for run in read_logged_runs(logdir, found, progress=progress):
        try:
            curve = make_curve(run.log, by_mltrainer=run.by_mltrainer)
        except DamageError as error:
            found.problem(run.folder, str(error), state="interrupted" if isinstance(error, NoEpoch) else "unreadable")
            continue
        if run.interruption or run.log.damage:
            reason = f"{run.interruption or run.log.damage}{', and it is left out' if run.interruption else ''}"
            found.problem(run.folder, reason, state="unreadable" if run.log.damage else "interrupted")
        if not run.interruption:
            whole.append(_Run(run, curve, _resolved(run, curve)))
    names = name_configurations([run.settings for run in whole if run.logged.settings_known])
    known = iter(names)
    named = [
        (run, next(known) if run.logged.settings_known else f"unknown settings ({run.logged.name})") for run in whole
    ]
    trials = [_trial_row(run, name) for run, name in named]
    curves = [row for run, name in named for row in _curve_rows(run, name)]
    return trials, curves, found.problems


@dataclass(frozen=True)
class _Run:
    logged: LoggedRun
    curve: Curve
    settings: Mapping[str, Any]

    @property
    def fingerprint(self) -> str:
        """Equal for equal settings; unknown ones are equal to none."""
        own = {} if self.logged.settings_known else {"unknown settings": self.logged.name}
        return fingerprint_settings({**self.settings, **own})


def _resolved(run: LoggedRun, curve: Curve) -> Mapping[str, Any]:
    """The settings, with the epochs of a run that was trained on after its planned ones."""
    n_epochs = len(curve.epochs)
    return {**run.settings, "epochs": n_epochs} if n_epochs > run.settings.get("epochs", math.inf) else run.settings


# --- rows ----------------------------------------------------------------------------------------------------------


def _trial_row(run: _Run, name: str) -> Row:
    """A row of `records.TRIAL_COLUMNS`; what the log does not say is NaN, or None where text would stand."""
    settings, last = run.settings, run.curve.epochs[-1]
    updates = len(run.curve.epochs) * settings.get("train_steps", math.nan)
    return {
        "trial_id": run.logged.name,
        "configuration": name,
        "configuration_fingerprint": run.fingerprint,
        "seed": math.nan,
        **{n: settings.get(n, None if n == "optimizer" else math.nan) for n in HYPERPARAMETERS},
        "epochs": settings.get("epochs", len(run.curve.epochs)),
        "diverged": run.curve.diverged,
        "objective": DIVERGED_ACCURACY if run.curve.diverged else last["metric/Accuracy"],
        "validation_loss": last["Loss/test"],
        "train_loss": last["Loss/train"],
        "test_score": math.nan,
        "updates": updates,
        "examples": updates * settings.get("batch_size", math.nan),
        "parameters": math.nan,
        "duration_s": run.curve.duration_s,
        **dict.fromkeys(GROUP_COLUMNS, UNKNOWN),
        "host": run.logged.host,
        **dict.fromkeys(("platform", "device", "versions")),
        "attempt": math.nan,
        "started": timestamp(run.curve.started_s),
        "origin": "foreign",
    }


def _curve_rows(run: _Run, name: str) -> Iterator[Row]:
    for number, (epoch, duration_s) in enumerate(zip(run.curve.epochs, run.curve.epoch_duration_s, strict=True), 1):
        yield {
            "trial_id": run.logged.name,
            "configuration": name,
            "seed": math.nan,
            "epoch": number,
            "train_loss": epoch["Loss/train"],
            "validation_loss": epoch["Loss/test"],
            "objective": epoch["metric/Accuracy"],
            "duration_s": duration_s,
        }
