"""The cure of the winner's curse: what may be the best is frozen, then run again on fresh seeds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd

from gridstudy.core.errors import StudyError
from gridstudy.core.experiment import Experiment
from gridstudy.core.subject import Data, Subject
from gridstudy.core.trial import FIRST_CONFIRMATION_SEED, TrialConfig
from gridstudy.records.plans import Confirmation, read_confirmation
from gridstudy.records.tables import load_records
from gridstudy.records.toml import RecordError
from gridstudy.running.planning import PlannedTrial, identify_group, plan_trials
from gridstudy.statistics.estimates import CONFIRMATION_COLUMNS, StudyEstimates, analyse, confirmation_table
from gridstudy.statistics.standing import plan_schedule


def choose_confirmations(
    experiments: Iterable[Experiment], *, logdir: Path, subject: Subject, data: Data
) -> list[Confirmation]:
    """For each experiment the selection that was frozen earlier, else its tied set as the records have it now.

    Raises StudyError where the records are of other data, or an experiment has no tied set to confirm.
    """
    estimates = analyse(load_records(logdir))
    wanted = identify_group(subject, data)
    differing = [name for name, value in wanted.items() if estimates.group.get(name, value) != value]
    if differing:
        raise StudyError(
            f"the records in {logdir} differ from this run in {', '.join(differing)}; --confirm needs the same data"
        )
    return [_frozen(logdir, e.name) or _choose(estimates, e.name) for e in experiments]


def _frozen(logdir: Path, experiment: str) -> Confirmation | None:
    try:
        return read_confirmation(logdir, experiment)
    except RecordError as error:
        raise StudyError(f"the frozen selection of {experiment} {error}; delete it to choose anew") from None


def _choose(estimates: StudyEstimates, name: str) -> Confirmation:
    """The tied set of an experiment at its last complete look, with as many fresh seeds as that look has."""
    found = [e for e in estimates.experiments if e.experiment.name == name]
    if not found or not found[0].look:
        n = len(found[0].objectives.dropna(how="all")) if found else 0
        raise StudyError(
            f"--confirm reruns the arms that may be the best, for which {name} must have completed its first look; "
            f"it has {n} seeds; run the experiment first"
        )
    seeds = plan_schedule(found[0].plan, found[0].objectives).selection_seeds[: found[0].ranked_seeds]
    fresh = range(FIRST_CONFIRMATION_SEED, FIRST_CONFIRMATION_SEED + len(seeds))
    return Confirmation(name, tuple(found[0].tied), tuple(seeds), tuple(fresh))


def restrict(experiments: Sequence[Experiment], confirmations: Sequence[Confirmation]) -> list[Experiment]:
    """The experiments with the configurations to confirm only."""
    return [
        replace(e, configurations=tuple(c for c in e.configurations if c.name in chosen.configurations), contrasts=())
        for e, chosen in zip(experiments, confirmations, strict=True)
    ]


def plan_confirmations(
    experiments: Sequence[Experiment],
    confirmations: Sequence[Confirmation],
    *,
    subject: Subject,
    data: Data,
    logdir: Path,
) -> list[PlannedTrial]:
    """Every trial of the restricted experiments on the fresh seeds of each, seed by seed, the longest first."""
    planned: dict[TrialConfig, PlannedTrial] = {}
    for experiment, confirmation in zip(experiments, confirmations, strict=True):
        for p in plan_trials([experiment], confirmation.fresh_seeds, subject=subject, data=data, logdir=logdir):
            planned[p.trial] = p
    return sorted(planned.values(), key=lambda p: (p.trial.seed, -p.trial.configuration.work))


def confirmation_results(logdir: Path, estimates: StudyEstimates) -> tuple[pd.DataFrame, list[str]]:
    """CONFIRMATION_COLUMNS of every frozen selection, and a line for each that cannot be read."""
    tables, problems = [], []
    for name in [e.experiment.name for e in estimates.experiments]:
        try:
            frozen = read_confirmation(logdir, name)
        except RecordError as error:
            problems.append(f"the frozen selection of {name} {error}; it is left out")
            continue
        if frozen:
            tables.append(
                confirmation_table(estimates, name, frozen.configurations, selection_seeds=frozen.selection_seeds)
            )
    empty = pd.DataFrame(columns=list(CONFIRMATION_COLUMNS))
    return (pd.concat(tables, ignore_index=True) if tables else empty), problems
