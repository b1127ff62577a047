"""How far a log directory is, told from its plans and the checksums of its records: thousands of them in a second."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from gridstudy.core.experiment import Experiment
from gridstudy.core.trial import LOOK_FACTORS, TrialState
from gridstudy.records.attempts import place_of
from gridstudy.records.plans import Plan
from gridstudy.records.tables import unfinished_row
from gridstudy.records.toml import RecordError, check_whole
from gridstudy.records.trials import ERROR_FILE, RESULT_FILE, TRIAL_NAME
from gridstudy.records.verdicts import VERDICTS_FILE

EVENTS = "tfevents"
"""Stands in the names of the event files that TensorBoard shows."""


class FoundTrial(NamedTuple):
    """A trial's folder: its path below the log directory, its state, and why it failed or its record is of no use."""

    trial_id: str
    state: TrialState
    reason: str = ""


Key = tuple[str, int]
"""A configuration's name and a seed."""


@dataclass(frozen=True)
class ExperimentStatus:
    """How far an experiment is. `look` is the last one whose trials are all complete, on `n_seeds` seeds; 0 is none."""

    experiment: Experiment
    complete: frozenset[Key]
    failed: tuple[FoundTrial, ...]
    missing: frozenset[Key]
    look: int
    n_seeds: int


def find_trials(logdir: Path) -> dict[Key, FoundTrial]:
    """All trials that lie where they belong; of one on several data sets, the one that is furthest."""
    found: dict[Key, FoundTrial] = {}
    for path in sorted(logdir.glob("*/seed*-*")):
        if TRIAL_NAME.fullmatch((place := place_of(path)).name):
            key = path.parent.name, int(place.name[len("seed") :].partition("-")[0])
            trial = _look_at(path) if place == path else FoundTrial(_id(place), TrialState.INTERRUPTED)
            if key not in found or trial.state is TrialState.COMPLETE:
                found[key] = trial
    return found


def _look_at(folder: Path) -> FoundTrial:
    trial_id = _id(folder)
    if os.path.lexists(folder / RESULT_FILE):
        try:
            check_whole(folder / RESULT_FILE)
        except RecordError as error:
            return FoundTrial(trial_id, TrialState.INTERRUPTED, f"{RESULT_FILE} {error}")
        return FoundTrial(trial_id, TrialState.COMPLETE)
    row = unfinished_row(folder)
    is_failed = row["state"] == TrialState.FAILED.value
    return FoundTrial(trial_id, TrialState.FAILED if is_failed else TrialState.INTERRUPTED, row["reason"] * is_failed)


def _id(folder: Path) -> str:
    return f"{folder.parent.name}/{folder.name}"


def status_of(
    experiment: Experiment, plan: Plan | None, found: Mapping[Key, FoundTrial], seeds: Sequence[int] | None
) -> ExperimentStatus:
    """How far an experiment is with `seeds`, or, where None are given, with those of the looks that it has begun."""
    names = [c.name for c in experiment.configurations]
    present = {key: trial for key, trial in found.items() if key[0] in set(names)}
    complete = frozenset(key for key, trial in present.items() if trial.state is TrialState.COMPLETE)
    failed = {key: trial for key, trial in present.items() if trial.state is TrialState.FAILED}
    wanted = {(n, seed) for n in names for seed in (_begun(plan, n, found) if seeds is None else seeds)}
    n_seeds, look = _reached(plan, complete)
    return ExperimentStatus(
        experiment, complete, tuple(failed.values()), frozenset(wanted - complete - set(failed)), look, n_seeds
    )


def _begun(plan: Plan | None, name: str, found: Mapping[Key, FoundTrial]) -> Sequence[int]:
    """The seeds of the plan up to the look that a configuration has begun."""
    if plan is None:
        return ()
    n_begun = max((i for i, seed in enumerate(plan.seeds, start=1) if (name, seed) in found), default=0)
    n_look = next((n for factor in LOOK_FACTORS if (n := factor * plan.first_look) >= n_begun), n_begun)
    return plan.seeds[:n_look]


def _reached(plan: Plan | None, complete: frozenset[Key]) -> tuple[int, int]:
    """How many seeds, and so how many looks, are complete for what the hypothesis names, or for all."""
    if plan is None:
        return 0, 0
    claims = [side for contrast in plan.experiment.contrasts for side in (contrast.first, contrast.second)]
    named = {c.name for claim in claims for c in plan.experiment.matching(claim)}
    names = named or {c.name for c in plan.experiment.configurations}
    lacking = (n for n, seed in enumerate(plan.seeds) if any((name, seed) not in complete for name in names))
    n_seeds = next(lacking, len(plan.seeds))
    return n_seeds, sum(factor * plan.first_look <= n_seeds for factor in LOOK_FACTORS)


def newest_change_ns(logdir: Path) -> int | None:
    """When a file that the analysis reads last changed, as stat has it; None where there is none."""
    return max(_change_times_ns(logdir), default=None)


def _change_times_ns(logdir: Path) -> Iterator[int]:
    for path in _log_files(logdir):
        with suppress(FileNotFoundError):  # the folder of an attempt was moved into its trial's place meanwhile
            yield path.stat().st_mtime_ns


def _log_files(logdir: Path) -> Iterator[Path]:
    for folder, subfolders, files in os.walk(logdir):
        subfolders[:] = [name for name in subfolders if not name.startswith(".")]
        for name in files:
            if name == ERROR_FILE or EVENTS in name or (name.endswith(".toml") and name != VERDICTS_FILE):
                path = Path(folder, name)
                if path.is_file():
                    yield path
