"""What a log directory holds: names, atomic writes, the state of each trial, and all of it as tables.

LOGDIR/experiments/NAME.toml           an experiment as it was planned, with every superseded hypothesis
LOGDIR/CONFIGURATION/seedS-HASH/       a trial: trial.toml, trial.log, mltrainer's folder, error.txt if it failed,
                                       and result.toml, whose existence makes the trial complete
"""

from __future__ import annotations

import hashlib
import math
import os
import shutil
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tomli_w

from gridstudy.core.errors import StudyError
from gridstudy.core.files import flush_folder, read_bytes, write_atomic
from gridstudy.core.study import (
    HYPERPARAMETERS,
    Configuration,
    Contrast,
    Experiment,
    LearningCurve,
    TrialConfig,
    TrialResult,
    TrialRun,
    TrialState,
)

if TYPE_CHECKING:
    import pandas as pd

FORMAT = 1
"""Raised when the files below change their meaning; a reader refuses what it does not know."""

RESULT_FILE = "result.toml"
ERROR_FILE = "error.txt"
LOG_FILE = "trial.log"
TRIAL_FILE = "trial.toml"
EXPERIMENTS_FOLDER = "experiments"
CONFIRMATIONS_FOLDER = "confirmations"
GROUP_COLUMNS = ("dataset", "dataset_fingerprint", "split_fingerprint", "validation", "training_version")
"""Records that differ in any of these are never analysed together."""


class RecordError(Exception):
    """A file that cannot be read as a record; one line with the reason, the path left to the caller."""


class FormatError(RecordError):
    """A whole record of another version of this program: nothing that may be run again in its place."""


# --- files ---------------------------------------------------------------------------------------------------------


def _write_toml(path: Path, content: Mapping[str, Any]) -> None:
    """Write TOML whose last line is the SHA-256 of the lines before, so that no cut or flipped bit goes unseen."""
    body = tomli_w.dumps(content).encode()
    write_atomic(path, body + b"# sha256 " + hashlib.sha256(body).hexdigest().encode() + b"\n")


def _read_toml(path: Path) -> dict[str, Any]:
    """Read what `_write_toml` wrote; raise RecordError when it is cut, altered or of another format."""
    try:
        body, marker, digest = read_bytes(path).rpartition(b"# sha256 ")
    except OSError as error:
        raise RecordError(f"cannot be read ({error.strerror or error})") from None
    if not marker:
        raise RecordError("is empty or cut short (its last line, the checksum, is missing)")
    if digest.decode("ascii", "replace").strip() != hashlib.sha256(body).hexdigest():
        raise RecordError("is damaged or was edited (its checksum does not match)")
    try:
        content = tomllib.loads(body.decode())
    except ValueError as error:
        raise RecordError(f"is not TOML ({error})") from None
    if content.get("format") != FORMAT:
        raise FormatError(f"has format {content.get('format')!r}, and this program reads format {FORMAT}")
    return content


# --- trials --------------------------------------------------------------------------------------------------------


def trial_folder(logdir: Path, trial: TrialConfig) -> Path:
    """Where the trial's files are."""
    return logdir.joinpath(*trial.trial_id.split("/"))


def trial_state(logdir: Path, trial: TrialConfig) -> tuple[TrialState, str]:
    """The trial's state on disk, with the reason where a result is there that cannot be used.

    Raises StudyError where the result is whole and of another format.
    """
    folder = trial_folder(logdir, trial)
    result = folder / RESULT_FILE
    if os.path.lexists(result):
        try:
            found = read_result(result)[0].trial
        except FormatError as error:
            raise StudyError(f"{result} {error}; give another --logdir") from None
        except RecordError as error:
            return TrialState.INTERRUPTED, f"{result} {error}"
        if found != trial:
            return TrialState.INTERRUPTED, f"{result} is the record of another trial, {found.trial_id}"
        return TrialState.COMPLETE, ""
    if os.path.lexists(folder / ERROR_FILE):
        return TrialState.FAILED, ""
    return (TrialState.INTERRUPTED if os.path.lexists(folder) else TrialState.MISSING), ""


def clear_trial(folder: Path) -> None:
    """Remove what an interrupted or failed attempt left, so that no log shows it, and make the folder anew."""
    if folder.is_dir() and not folder.is_symlink():
        shutil.rmtree(folder)
    else:
        folder.unlink(missing_ok=True)
    folder.mkdir(parents=True)


def write_result(folder: Path, result: TrialResult, run: TrialRun) -> None:
    """Complete the trial: write its result, last of all its files."""
    trial = asdict(result.trial)
    outcome = {
        "trial_id": result.trial.trial_id,
        **{name: value for name, value in trial.items() if name != "configuration"},
        "diverged": result.diverged,
        "test_accuracy": result.test_accuracy,
        **asdict(result.curve),
        "configuration": trial["configuration"],
    }
    for parent in folder.parents[:2]:  # the folder itself must survive a power cut too
        flush_folder(parent)
    _write_toml(folder / RESULT_FILE, {"format": FORMAT, "outcome": outcome, "run": asdict(run)})


def read_result(path: Path) -> tuple[TrialResult, TrialRun]:
    """Read a result file; raise RecordError when it is not one that this program wrote."""
    content = _read_toml(path)
    try:
        outcome, run = dict(content["outcome"]), dict(content["run"])
        curve = LearningCurve(**{name: tuple(outcome.pop(name)) for name in LearningCurve.__dataclass_fields__})
        test_accuracy, diverged = outcome.pop("test_accuracy"), outcome.pop("diverged")
        trial_id = outcome.pop("trial_id")
        trial = TrialConfig(configuration=Configuration(**outcome.pop("configuration")), **outcome)
        run["epoch_duration_s"] = tuple(run["epoch_duration_s"])
        result = TrialResult(trial=trial, curve=curve, test_accuracy=test_accuracy, diverged=diverged)
        if trial.trial_id != trial_id:
            raise RecordError(f"says trial {trial_id}, and its content makes {trial.trial_id}")
        return result, TrialRun(**run)
    except (KeyError, TypeError) as error:
        raise RecordError(f"has missing or unknown keys ({error})") from None


def find_results(logdir: Path) -> Iterator[Path]:
    """The result files below `logdir`, in order of their names."""
    yield from sorted(logdir.glob(f"*/*/{RESULT_FILE}"))


# --- experiments ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class RecordedExperiment:
    """An experiment as the runner wrote it down, and the hypotheses that it replaced (each with time and reach)."""

    experiment: Experiment
    superseded: tuple[Mapping[str, Any], ...] = ()


def write_experiment(logdir: Path, experiment: Experiment, *, n_complete: int) -> None:
    """Write down the plan; a hypothesis changed since then is kept beside the new one, with `n_complete` trials run."""
    path = logdir / EXPERIMENTS_FOLDER / f"{experiment.name}.toml"
    superseded: list[Mapping[str, Any]] = []
    if os.path.lexists(path):
        try:
            recorded = _read_experiment(path)
        except RecordError as error:
            raise StudyError(f"{path} {error}; move it away to plan this experiment anew") from None
        if recorded.experiment == experiment:
            return
        superseded = list(recorded.superseded)
        if _claim(recorded.experiment) != _claim(experiment):
            now = datetime.now(UTC).isoformat(timespec="seconds")
            superseded.append({**_claim(recorded.experiment), "changed": now, "n_complete": n_complete})
    path.parent.mkdir(parents=True, exist_ok=True)
    _write_toml(path, {"format": FORMAT, "experiment": asdict(experiment), "superseded": superseded})


def _claim(experiment: Experiment) -> dict[str, Any]:
    return {"hypothesis": experiment.hypothesis, "contrasts": [asdict(c) for c in experiment.contrasts]}


def _read_experiment(path: Path) -> RecordedExperiment:
    content = _read_toml(path)
    try:
        table = dict(content["experiment"])
        for name in ("scientific", "nuisance", "curve_epochs"):
            table[name] = tuple(table[name])
        table["configurations"] = tuple(Configuration(**row) for row in table["configurations"])
        table["contrasts"] = tuple(Contrast(**row) for row in table["contrasts"])
        return RecordedExperiment(Experiment(**table), tuple(content["superseded"]))
    except (KeyError, TypeError) as error:
        raise RecordError(f"has missing or unknown keys ({error})") from None


@dataclass(frozen=True)
class Confirmation:
    """What was chosen to be run again, before looking: configurations by name, and the seeds on both sides."""

    experiment: str
    configurations: tuple[str, ...]
    selection_seeds: tuple[int, ...]
    fresh_seeds: tuple[int, ...]


def write_confirmation(logdir: Path, confirmation: Confirmation) -> None:
    """Freeze a selection."""
    path = logdir / CONFIRMATIONS_FOLDER / f"{confirmation.experiment}.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    _write_toml(path, {"format": FORMAT, "confirmation": asdict(confirmation)})


def read_confirmation(logdir: Path, experiment: str) -> Confirmation | None:
    """The frozen selection of an experiment, if there is one; raises RecordError when it is damaged."""
    path = logdir / CONFIRMATIONS_FOLDER / f"{experiment}.toml"
    if not os.path.lexists(path):
        return None
    try:
        table = dict(_read_toml(path)["confirmation"])
        columns = ("configurations", "selection_seeds", "fresh_seeds")
        return Confirmation(table.pop("experiment"), *(tuple(table.pop(column)) for column in columns))
    except (KeyError, TypeError) as error:
        raise RecordError(f"has missing or unknown keys ({error})") from None


# --- tables --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Records:
    """A log directory as tables.

    `trials`: a row per complete or diverged trial; `curves`: a row per trial and epoch (from 1);
    `problems`: a row per path that is no such trial, with `state` (failed, interrupted, unreadable) and `reason`.
    Accuracies are fractions; a diverged trial has the accuracy of guessing and `diverged` set.
    """

    trials: pd.DataFrame
    curves: pd.DataFrame
    experiments: tuple[RecordedExperiment, ...]
    problems: pd.DataFrame


TRIAL_COLUMNS = (
    "trial_id", "configuration", "configuration_fingerprint", "seed", *HYPERPARAMETERS, "diverged",
    "validation_accuracy", "validation_loss", "train_loss", "test_accuracy", "updates", "examples", "parameters",
    "duration_s", *GROUP_COLUMNS, "host", "platform", "device", "versions", "attempt", "started", "origin",
)  # fmt: skip
CURVE_COLUMNS = (
    "trial_id", "configuration", "seed", "epoch", "train_loss", "validation_loss", "validation_accuracy", "duration_s",
)  # fmt: skip
PROBLEM_COLUMNS = ("path", "state", "reason")


def load_records(logdir: Path) -> Records:
    """Read everything below `logdir`, runs of others too; what cannot be read becomes a row of `problems`."""
    import pandas as pd

    from gridstudy.records.foreign.runs import load_foreign

    trials: list[dict[str, Any]] = []
    curves: list[dict[str, Any]] = []
    problems: list[dict[str, str]] = []
    folders = _trial_folders(logdir)
    for folder in folders:
        path = folder / RESULT_FILE
        if not os.path.lexists(path):
            problems.append(_unfinished_row(folder))
            continue
        try:
            result, run = read_result(path)
            if result.trial.trial_id != folder.relative_to(logdir).as_posix():
                raise RecordError(f"is the record of another trial, {result.trial.trial_id}")
        except RecordError as error:
            problems.append({"path": str(path), "state": "unreadable", "reason": str(error)})
            continue
        trials.append(_trial_row(result, run))
        curves.extend(_curve_rows(result, run))
    experiments, unreadable = _load_experiments(logdir)
    foreign_trials, foreign_curves, foreign_problems = load_foreign(logdir, own_folders=folders)
    return Records(
        trials=pd.DataFrame(trials + foreign_trials, columns=list(TRIAL_COLUMNS)),
        curves=pd.DataFrame(curves + foreign_curves, columns=list(CURVE_COLUMNS)),
        experiments=experiments,
        problems=pd.DataFrame(problems + unreadable + foreign_problems, columns=list(PROBLEM_COLUMNS)),
    )


def _trial_folders(logdir: Path) -> list[Path]:
    """What carries a trial's name two levels down, complete or not, folder or not."""
    return sorted(logdir.glob("*/seed*-????????"))


def _unfinished_row(folder: Path) -> dict[str, str]:
    try:
        lines = (folder / ERROR_FILE).read_text(encoding="utf-8", errors="replace").strip().splitlines()
    except FileNotFoundError:
        return {"path": str(folder), "state": "interrupted", "reason": "it has no result yet"}
    except OSError as error:
        return {"path": str(folder), "state": "unreadable", "reason": f"cannot be read ({error.strerror})"}
    return {"path": str(folder), "state": "failed", "reason": lines[-1] if lines else "no error was written"}


def _trial_row(result: TrialResult, run: TrialRun) -> dict[str, Any]:
    trial, curve = result.trial, result.curve
    configuration = trial.configuration
    return {
        "trial_id": trial.trial_id,
        "configuration": configuration.name,
        "configuration_fingerprint": configuration.fingerprint,
        "seed": trial.seed,
        **asdict(configuration),
        "diverged": result.diverged,
        "validation_accuracy": result.objective,
        "validation_loss": curve.validation_loss[-1],
        "train_loss": curve.train_loss[-1],
        "test_accuracy": result.test_accuracy,
        "updates": configuration.updates,
        "examples": configuration.examples,
        "parameters": configuration.parameters,
        "duration_s": run.duration_s,
        **{column: getattr(trial, column) for column in GROUP_COLUMNS},
        "host": run.host,
        "platform": run.platform,
        "device": run.device,
        "versions": " ".join(f"{name} {version}" for name, version in sorted(run.versions.items())),
        "attempt": run.attempt,
        "started": run.started,
        "origin": "gridstudy",
    }


def _curve_rows(result: TrialResult, run: TrialRun) -> Iterator[dict[str, Any]]:
    curve = result.curve
    columns = (curve.train_loss, curve.validation_loss, curve.validation_accuracy, run.epoch_duration_s)
    for epoch, values in enumerate(zip(*columns, strict=True), start=1):
        yield {
            "trial_id": result.trial.trial_id,
            "configuration": result.trial.configuration.name,
            "seed": result.trial.seed,
            "epoch": epoch,
            **dict(zip(CURVE_COLUMNS[4:], values, strict=True)),
        }


def _load_experiments(logdir: Path) -> tuple[tuple[RecordedExperiment, ...], list[dict[str, str]]]:
    experiments, problems = [], []
    folder = logdir / EXPERIMENTS_FOLDER
    if os.path.lexists(folder) and not folder.is_dir():
        problems.append({"path": str(folder), "state": "unreadable", "reason": "must be a folder with the plans"})
    for path in sorted(folder.glob("*.toml")):
        try:
            experiments.append(_read_experiment(path))
        except RecordError as error:
            problems.append({"path": str(path), "state": "unreadable", "reason": str(error)})
    return tuple(experiments), problems


# --- comparison ----------------------------------------------------------------------------------------------------


def compare_outcomes(first: Path, second: Path) -> list[str]:
    """The differences between the outcomes of two log directories, one line each; none when they are the same."""
    for logdir in (first, second):
        if not logdir.is_dir():
            raise StudyError(f"a log directory must be a folder that exists; {logdir} is not")
    outcomes = [dict(_outcomes(logdir)) for logdir in (first, second)]
    if not any(outcomes):
        raise StudyError(f"outcomes are compared of complete trials; {first} and {second} hold none")
    lines = []
    for trial_id in sorted(set(outcomes[0]) | set(outcomes[1])):
        a, b = (of.get(trial_id) for of in outcomes)
        if a is None or b is None:
            lines.append(f"{trial_id}: only in {second if a is None else first}")
        elif differing := [key for key in {**a, **b} if not _same(a.get(key), b.get(key))]:
            lines.append(f"{trial_id}: differs in {', '.join(differing)}")
    return lines


def _outcomes(logdir: Path) -> Iterable[tuple[str, dict[str, Any]]]:
    for path in find_results(logdir):
        try:
            read_result(path)
            outcome = _read_toml(path)["outcome"]
        except RecordError as error:
            raise StudyError(f"{path} {error}") from None
        yield outcome["trial_id"], outcome


def _same(a: Any, b: Any) -> bool:
    """Equality to the last bit, NaN being equal to NaN."""
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(_same, a, b))
    if isinstance(a, float) and isinstance(b, float) and math.isnan(a):
        return math.isnan(b)
    return bool(a == b)
