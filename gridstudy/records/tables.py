"""A log directory as tables."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gridstudy.core.space import Hyperparameter
from gridstudy.core.subject import Description
from gridstudy.core.trial import TrialResult, TrialRun
from gridstudy.records.attempts import is_attempt
from gridstudy.records.plans import EXPERIMENTS_FOLDER, Plan, read_plan
from gridstudy.records.toml import RecordError
from gridstudy.records.trials import ERROR_FILE, LOG_FILE, RESULT_FILE, TRIAL_FILE, TRIAL_NAME, read_result

if TYPE_CHECKING:
    import pandas as pd

GROUP_COLUMNS = ("subject", "dataset", "dataset_fingerprint", "split_fingerprint", "validation", "training_version")
"""Records that differ in any of these are never analysed together."""
OURS = "gridstudy"
FOREIGN = "foreign"
"""`origin` of the trials that another program logged."""

LEADING_COLUMNS = ("trial_id", "configuration", "configuration_fingerprint", "seed")
SCORE_COLUMNS = ("diverged", "objective", "test_score")
RUN_COLUMNS = (
    "duration_s", "cpu_s", *GROUP_COLUMNS, "host", "platform", "device", "processor", "arithmetic", "environment",
    "source", "versions", "attempt", "started", "cost", "origin",
)  # fmt: skip
CURVE_COLUMNS = ("trial_id", "configuration", "seed", "epoch", "duration_s")
PROBLEM_COLUMNS = ("path", "state", "reason")


@dataclass(frozen=True)
class Records:
    """A log directory as tables.

    `trials` has a row per complete or diverged trial: LEADING_COLUMNS, a column per hyperparameter, SCORE_COLUMNS, the
    last value of each curve but the objective's, a column per budget, RUN_COLUMNS. `objective` is the score as it was
    measured, also where it is minimised. `curves` has a row per trial and epoch (from 1): CURVE_COLUMNS and a column
    per metric, the objective's under the name `objective`. `problems` has a row per path that is no such trial, with
    `state` (failed, interrupted, unreadable, copy) and `reason`. `confusions` holds the confusion matrices by trial.
    """

    trials: pd.DataFrame
    curves: pd.DataFrame
    plans: tuple[Plan, ...]
    problems: pd.DataFrame
    confusions: Mapping[str, tuple[tuple[int, ...], ...]] = field(default_factory=dict)


def load_records(logdir: Path) -> Records:
    """Read everything below `logdir`, runs of others too; what cannot be read becomes a row of `problems`."""
    from gridstudy.records.foreign.runs import load_foreign  # with pandas, which --status and a run do without

    folders = own_folders(logdir)
    problems: list[dict[str, str]] = []
    read = list(_read_trials(logdir, folders, problems))
    plans, unreadable = load_plans(logdir)
    foreign_trials, foreign_curves, foreign_problems = load_foreign(logdir, own_folders=folders)
    trials, curves = make_tables(read, plans)
    return Records(
        trials=_append(trials, foreign_trials),
        curves=_append(curves, foreign_curves),
        plans=plans,
        problems=_frame(problems + unreadable + foreign_problems, PROBLEM_COLUMNS),
        confusions={result.trial.trial_id: result.confusion for result, _ in read if result.confusion},
    )


# --- finding trials ------------------------------------------------------------------------------------------------


def own_folders(logdir: Path) -> list[Path]:
    """The folders below `logdir` that hold files of our trials, complete or not, wherever they lie.

    A log directory inside is passed over: it is read with a path of its own.
    """
    found: list[Path] = []
    for folder, subfolders, files in os.walk(logdir):
        if EXPERIMENTS_FOLDER in subfolders and Path(folder) != logdir:
            subfolders.clear()
        if _is_ours(Path(folder), subfolders, files):
            found.append(Path(folder))
            subfolders.clear()
        subfolders[:] = [name for name in subfolders if not name.startswith(".")]
    return sorted(found)


def _is_ours(folder: Path, subfolders: Sequence[str], files: Sequence[str]) -> bool:
    """Whether a folder holds a trial of this program: known by our files, or by its name where it is still empty."""
    if TRIAL_FILE in files or RESULT_FILE in files:
        return True
    is_named = TRIAL_NAME.fullmatch(folder.name) is not None or is_attempt(folder)
    return is_named and set(files) <= {LOG_FILE, ERROR_FILE} and not subfolders


def find_results(logdir: Path) -> Iterator[Path]:
    """The result files where trials belong, two levels below `logdir`, in order of their names."""
    yield from (path for path in sorted(logdir.glob(f"*/*/{RESULT_FILE}")) if not is_attempt(path.parent))


def _read_trials(
    logdir: Path, folders: Sequence[Path], problems: list[dict[str, str]]
) -> Iterator[tuple[TrialResult, TrialRun]]:
    """Read the trials that lie where they belong; the rest becomes rows of `problems`."""
    places = {folder.relative_to(logdir).as_posix() for folder in folders}
    for folder in folders:
        path = folder / RESULT_FILE
        if not os.path.lexists(path) or is_attempt(folder):
            problems.append(unfinished_row(folder))
            continue
        try:
            result, run = read_result(path)
        except RecordError as error:
            problems.append({"path": str(path), "state": "unreadable", "reason": str(error)})
            continue
        belongs = result.trial.trial_id
        if belongs == folder.relative_to(logdir).as_posix():
            yield result, run
        else:
            state, reason = ("copy", "is a copy of") if belongs in places else ("moved", "was moved, and belongs in")
            problems.append({"path": str(path), "state": state, "reason": f"{reason} {belongs}; it is left out"})


def unfinished_row(folder: Path) -> dict[str, str]:
    """Why a trial's folder has no result: path, state and reason."""
    from gridstudy.core.files import read_bytes

    try:
        text = read_bytes(folder / ERROR_FILE).decode("utf-8", "replace")
    except FileNotFoundError:
        is_whole = is_attempt(folder) and os.path.lexists(folder / RESULT_FILE)
        reason = "it has its result, but not its place yet; run the study once" if is_whole else "it has no result yet"
        return {"path": str(folder), "state": "interrupted", "reason": reason}
    except OSError as error:
        return {"path": str(folder), "state": "unreadable", "reason": f"cannot be read ({error.strerror})"}
    lines = text.strip().splitlines()
    return {"path": str(folder), "state": "failed", "reason": lines[-1] if lines else "no error was written"}


# --- plans ---------------------------------------------------------------------------------------------------------


def load_plans(logdir: Path) -> tuple[tuple[Plan, ...], list[dict[str, str]]]:
    """The plans of a log directory in the order of their experiments, and a row for each that cannot be read."""
    plans, problems = [], []
    folder = logdir / EXPERIMENTS_FOLDER
    if os.path.lexists(folder) and not folder.is_dir():
        problems.append({"path": str(folder), "state": "unreadable", "reason": "must be a folder with the plans"})
    for path in sorted(folder.glob("[!.]*.toml")):
        try:
            plans.append(read_plan(path))
        except RecordError as error:
            problems.append({"path": str(path), "state": "unreadable", "reason": str(error)})
    return tuple(sorted(plans, key=lambda plan: (plan.experiment.order, plan.experiment.name))), problems


def descriptions_by_subject(plans: Iterable[Plan]) -> dict[str, Description]:
    """What the plans say of each subject; of several descriptions, the one with the most hyperparameters."""
    descriptions: dict[str, Description] = {}
    for plan in plans:
        known = descriptions.get(plan.description.subject)
        if known is None or len(plan.description.hyperparameters) > len(known.hyperparameters):
            descriptions[plan.description.subject] = plan.description
    return descriptions


# --- rows ----------------------------------------------------------------------------------------------------------


def make_tables(
    read: Sequence[tuple[TrialResult, TrialRun]], plans: Sequence[Plan] = ()
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The trials and curves tables of results; see Records."""
    descriptions = descriptions_by_subject(plans)
    names = _objective_names(descriptions, read)
    hyperparameters, budgets, metrics = _columns(descriptions, read, names)
    columns = (
        *LEADING_COLUMNS,
        *hyperparameters,
        *SCORE_COLUMNS[:2],
        *metrics,
        SCORE_COLUMNS[2],
        *budgets,
        *RUN_COLUMNS,
    )
    trials = _frame([_trial_row(result, run) for result, run in read], columns)
    curves = _frame(
        [
            row
            for result, run in read
            for row in _curve_rows(result, run, objective=names.get(result.trial.subject, ""))
        ],
        (*CURVE_COLUMNS[:4], *metrics, "objective", CURVE_COLUMNS[4]),
    )
    for name, h in hyperparameters.items():
        if h is not None and trials[name].isna().any():  # made before this hyperparameter existed
            trials[name] = trials[name].where(trials[name].notna(), h.reference)
    return trials.infer_objects(), curves


def _objective_names(
    descriptions: Mapping[str, Description], read: Sequence[tuple[TrialResult, TrialRun]]
) -> dict[str, str]:
    """Subject -> the name of its objective's curve: as the plans say, else the one that ends in the score."""
    names = {subject: description.objective.name for subject, description in descriptions.items()}
    for result, _ in read:
        if result.trial.subject not in names and not result.diverged:
            ending = [name for name, values in result.curves.items() if values[-1] == result.score]
            names.update({result.trial.subject: ending[0]} if ending else {})
    return names


def _columns(
    descriptions: Mapping[str, Description],
    read: Sequence[tuple[TrialResult, TrialRun]],
    objectives: Mapping[str, str],
) -> tuple[dict[str, Hyperparameter | None], list[str], list[str]]:
    """Hyperparameters, budgets and metrics of all trials, in the order of the plans."""
    hyperparameters: dict[str, Hyperparameter | None] = {
        h.name: h for description in descriptions.values() for h in description.hyperparameters
    }
    budgets: dict[str, None] = {}
    metrics: dict[str, None] = {"validation_loss": None, "train_loss": None}
    counted: Counter[str] = Counter()
    for result, _ in read:
        for name in result.trial.configuration:
            hyperparameters.setdefault(name, None)
        budgets.update(dict.fromkeys(result.trial.configuration.budgets))
        for name in result.curves:
            counted[name] += 1
            metrics.setdefault(name, None)
    used = [name for name in metrics if name not in set(objectives.values()) and counted[name]]
    return hyperparameters, list(budgets), used


def _trial_row(result: TrialResult, run: TrialRun) -> dict[str, Any]:
    trial = result.trial
    configuration = trial.configuration
    return {
        "trial_id": trial.trial_id,
        "configuration": configuration.name,
        "configuration_fingerprint": configuration.fingerprint,
        "seed": trial.seed,
        **configuration,
        "diverged": result.diverged,
        "objective": result.score,
        **{name: values[-1] for name, values in result.curves.items()},
        "test_score": result.test_score,
        **configuration.budgets,
        "duration_s": run.duration_s,
        "cpu_s": run.cpu_s,
        "subject": trial.subject,
        **vars(trial.data),
        "training_version": trial.training_version,
        "host": run.host,
        "platform": run.platform,
        "device": run.device,
        "processor": run.processor,
        "arithmetic": run.arithmetic,
        "environment": _join(run.environment),
        "source": run.source,
        "versions": _join(run.versions),
        "attempt": run.attempt,
        "started": run.started,
        "cost": configuration.cost,
        "origin": OURS,
    }


def _join(table: Mapping[str, str]) -> str:
    return " ".join(f"{name} {value}" for name, value in sorted(table.items()))


def _curve_rows(result: TrialResult, run: TrialRun, *, objective: str) -> Iterator[dict[str, Any]]:
    durations = run.epoch_duration_s or (float("nan"),) * result.n_epochs
    for number in range(result.n_epochs):
        yield {
            "trial_id": result.trial.trial_id,
            "configuration": result.trial.configuration.name,
            "seed": result.trial.seed,
            "epoch": number + 1,
            **{"objective" if name == objective else name: values[number] for name, values in result.curves.items()},
            "duration_s": durations[number],
        }


def _frame(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame(rows, columns=list(dict.fromkeys(columns)))


def _append(table: pd.DataFrame, rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """The table with the rows of other programs' runs below, and columns for what only they have."""
    import pandas as pd

    if not rows:
        return table
    added = pd.DataFrame(rows)
    columns = [*table.columns, *(name for name in added.columns if name not in table.columns)]
    if table.empty:
        return added.reindex(columns=columns)
    return pd.concat([table, added], ignore_index=True)[columns]
