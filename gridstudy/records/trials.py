"""Trials on disk: where each lies, in what state it is, and its result.

LOGDIR/CONFIGURATION/seedS-HASH/       a trial: trial.toml, trial.log, the subject's own logs, error.txt if it failed,
                                       and result.toml, whose existence makes the trial complete
LOGDIR/CONFIGURATION/seedS-HASH.attemptN-OWNER/    an attempt at it that is under way, see attempts.py
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

from gridstudy.core.errors import StudyError
from gridstudy.core.space import Configuration
from gridstudy.core.trial import DataIdentity, TrialConfig, TrialResult, TrialRun, TrialState
from gridstudy.core.values import format_value
from gridstudy.records.toml import Fields, FormatError, RecordError, number, read_toml, write_toml

RESULT_FILE = "result.toml"
ERROR_FILE = "error.txt"
LOG_FILE = "trial.log"
TRIAL_FILE = "trial.toml"

TRIAL_NAME = re.compile(r"seed\d+-[0-9a-f]{8}")
ATTEMPT_MARK = ".attempt"
"""Stands behind the name of a trial's folder in the names of its attempts' folders."""


def trial_folder(logdir: Path, trial: TrialConfig) -> Path:
    """Where the trial's files are."""
    return logdir.joinpath(*trial.trial_id.split("/"))


class TrialStatus(NamedTuple):
    """What the disk says of a trial: `note` is why a result that is there cannot be used."""

    state: TrialState
    note: str = ""
    result: TrialResult | None = None
    run: TrialRun | None = None


def trial_status(logdir: Path, trial: TrialConfig) -> TrialStatus:
    """The trial's state on disk, with its record where it is complete.

    Raises StudyError where the record is whole and stands for something else than this trial.
    """
    folder = trial_folder(logdir, trial)
    path = folder / RESULT_FILE
    if os.path.lexists(path):
        try:
            result, run = read_result(path)
            check_same_trial(result.trial, trial)
        except FormatError as error:
            raise StudyError(f"{path} {error}; give another --logdir") from None
        except RecordError as error:
            return TrialStatus(TrialState.INTERRUPTED, f"{path} {error}")
        return TrialStatus(TrialState.COMPLETE, result=result, run=run)
    if os.path.lexists(folder / ERROR_FILE):
        return TrialStatus(TrialState.FAILED)
    was_begun = os.path.lexists(folder) or any(folder.parent.glob(f"{folder.name}{ATTEMPT_MARK}*"))
    return TrialStatus(TrialState.INTERRUPTED if was_begun else TrialState.MISSING)


def check_same_trial(found: TrialConfig, wanted: TrialConfig) -> None:
    """Raise StudyError where a default has changed since the record was made, RecordError for another trial's record.

    A hyperparameter that the record does not know had its reference value when the record was made.
    """
    if found.trial_id != wanted.trial_id:
        raise RecordError(f"is the record of another trial, {found.trial_id}")
    for name, value in found.configuration.items():
        if name not in wanted.configuration:
            raise StudyError(
                f"the records know a hyperparameter {name!r} that the subject lacks; use another log directory"
            )
        if wanted.configuration[name] != value:
            new, old = format_value(wanted.configuration[name]), format_value(value)
            raise StudyError(
                f"{found.trial_id} was trained with {name} {old}, its default at that time; the default is {new} now. "
                f"Give the hyperparameter first_default={value!r}, or use another --logdir"
            )


def write_result(folder: Path, result: TrialResult, run: TrialRun) -> None:
    """Write the result of a trial, last of all its files."""
    write_toml(folder / RESULT_FILE, {"outcome": _outcome_table(result), "run": asdict(run)})


def _outcome_table(result: TrialResult) -> dict[str, Any]:
    trial, configuration = result.trial, result.trial.configuration
    return {
        "trial_id": trial.trial_id,
        "subject": trial.subject,
        "seed": trial.seed,
        **vars(trial.data),
        "training_version": trial.training_version,
        "score": result.score,
        "diverged": result.diverged,
        "test_score": result.test_score,
        "cost": configuration.cost,
        "confusion": [" ".join(map(str, row)) for row in result.confusion],
        "configuration": dict(configuration.resolved),
        "settings": dict(configuration.settings),
        "budgets": dict(configuration.budgets),
        "curves": {name: list(values) for name, values in result.curves.items()},
    }


def read_result(path: Path) -> tuple[TrialResult, TrialRun]:
    """Read a result file; raise RecordError when it is not one that this program wrote."""
    content = Fields(read_toml(path), what="the file")
    result = _read_outcome(Fields(content.table("outcome"), what="outcome"))
    run = _read_run(Fields(content.table("run"), what="run"), n_epochs=result.n_epochs)
    content.end()
    return result, run


def _read_outcome(table: Fields) -> TrialResult:
    trial_id = table.text("trial_id")
    configuration = Configuration(
        resolved=table.values("configuration"), settings=table.values("settings"), budgets=table.numbers("budgets"),
        cost=table.number("cost"),
    )  # fmt: skip
    data = DataIdentity(*(table.text(name) for name in DataIdentity.__dataclass_fields__))
    trial = TrialConfig(
        table.text("subject"), configuration, table.whole("seed"), data, table.whole("training_version")
    )
    result = TrialResult(
        trial=trial, score=table.number("score"), diverged=table.flag("diverged"),
        curves=_read_curves(table.table("curves")), test_score=table.number("test_score"),
        confusion=_read_confusion(table.strings("confusion")),
    )  # fmt: skip
    table.end()
    if not configuration.settings.items() <= configuration.resolved.items():
        raise RecordError("has settings that its configuration contradicts")
    if trial.trial_id != trial_id:
        raise RecordError(f"says trial {trial_id}, and its content makes {trial.trial_id}")
    if not result.diverged and not math.isfinite(result.score):
        raise RecordError("has a score that is not finite, and is not marked as diverged")
    return result


def _read_curves(table: Mapping[str, Any]) -> dict[str, tuple[float, ...]]:
    curves = {}
    for name, values in table.items():
        if not isinstance(values, list):
            raise RecordError(f"has outcome.curves.{name} that is not an array")
        curves[name] = tuple(number(value, what=f"outcome.curves.{name}") for value in values)
    if len({len(values) for values in curves.values()}) > 1 or not all(curves.values()):
        raise RecordError("has curves that are empty or of unlike lengths")
    return curves


def _read_confusion(lines: Sequence[str]) -> tuple[tuple[int, ...], ...]:
    """A row of counts per line; raise RecordError unless the matrix is square."""
    rows = tuple(tuple(int(n) if n.isdecimal() else -1 for n in line.split()) for line in lines)
    if not all(len(row) == len(rows) and min(row) >= 0 for row in rows):
        raise RecordError("has a confusion matrix that is not square or counts something else than examples")
    return rows


def _read_run(table: Fields, *, n_epochs: int) -> TrialRun:
    """Read how a trial came about; what is missing is unknown."""
    unknown = TrialRun()
    durations = tuple(number(value, what="run.epoch_duration_s") for value in table.array("epoch_duration_s", []))
    if durations and n_epochs and len(durations) != n_epochs:
        raise RecordError("has another number of epochs in its durations than in its curves")
    texts = ("started", "host", "platform", "device", "processor", "arithmetic", "source")
    run = TrialRun(
        epoch_duration_s=durations,
        duration_s=table.number("duration_s", unknown.duration_s),
        cpu_s=table.number("cpu_s", unknown.cpu_s),
        attempt=table.whole("attempt", unknown.attempt),
        versions=table.texts("versions", {}),
        environment=table.texts("environment", {}),
        **{name: table.text(name, getattr(unknown, name)) for name in texts},
    )
    table.end()
    return run
