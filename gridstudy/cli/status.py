"""`--status`: how far a log directory is and how old its report, read from the log directory alone."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

from gridstudy.cli.analysis import REPORT_FILE, is_outdated
from gridstudy.cli.run_arguments import DEFAULT_SEEDS, parse_duration, parse_most_seeds, parse_seeds, parse_workers
from gridstudy.core.errors import StudyError
from gridstudy.core.experiment import Experiment
from gridstudy.core.trial import TrialState
from gridstudy.records.plans import CONFIRMATIONS_FOLDER, read_confirmation
from gridstudy.records.status import ExperimentStatus, FoundTrial, Key, find_trials, status_of
from gridstudy.records.tables import load_plans
from gridstudy.records.toml import RecordError
from gridstudy.records.verdicts import VERDICTS_FILE, read_verdicts, verdict_word
from gridstudy.running import console
from gridstudy.running.planning import check_logdir


def show_status(arguments: argparse.Namespace, chosen: Sequence[Experiment] | None) -> int:
    """Print how far the chosen experiments are, or, for None, all that were planned in the log directory."""
    logdir = arguments.logdir
    check_logdir(logdir)
    seeds = check_choices(arguments)
    plans, unreadable = load_plans(logdir)
    planned = {plan.experiment.name: plan for plan in plans}
    found = find_trials(logdir)
    if chosen is None:
        chosen = [plan.experiment for plan in plans]
    elif seeds is None:
        seeds = range(DEFAULT_SEEDS)
    statuses = [status_of(e, planned.get(e.name), found, seeds) for e in chosen]
    report = describe_report(logdir, arguments.output or Path())
    if arguments.short:
        console.print_lines([f"{_counts(statuses, logdir)}; {report}", describe_choices(arguments)])
        return 0
    problems = [f"unreadable  {row['path']}: {row['reason']}" for row in unreadable]
    verdicts = _stored_verdicts(logdir, problems)
    if statuses:
        counted = ("complete", "failed", "missing")
        rows = [_row(status, verdicts) for status in statuses]
        console.print_table(rows, "experiment", *counted, "look reached", "verdict last stored", right=counted)
    console.print_result(_counts(statuses, logdir))
    lines = [*_trial_lines(statuses, found), *_confirmation_lines(logdir, chosen, found, problems), *problems]
    console.print_lines([*lines, report])
    return 0


def check_choices(arguments: argparse.Namespace) -> Sequence[int] | None:
    """Refuse what a run with these options would refuse, as far as that takes no time; return the seeds."""
    parse_workers(arguments.workers)
    parse_duration(arguments.time_limit)
    parse_duration(arguments.trial_timeout)
    parse_most_seeds(arguments.most_seeds)
    if arguments.output is not None and os.path.lexists(arguments.output) and not arguments.output.is_dir():
        raise StudyError(f"--output must be a folder; {arguments.output} is a file")
    if arguments.data_dir is not None:
        from gridstudy.fashion.sources import find_source

        find_source(arguments.dataset, data_dir=arguments.data_dir, recorded=None, warn=console.warn)
    return None if arguments.seeds is None else parse_seeds(arguments.seeds)


def describe_choices(arguments: argparse.Namespace) -> str:
    """The options that the next run would have, in one line."""
    choices = {
        "subject": arguments.subject, "study": arguments.study, "seeds": arguments.seeds or DEFAULT_SEEDS,
        "data": None if arguments.subject else arguments.data_dir or arguments.dataset,
        "logs": arguments.logdir, "report in": arguments.output or "this folder", "device": arguments.device,
        "workers": arguments.workers or "auto", "validation": None if arguments.subject else arguments.validation,
    }  # fmt: skip
    return ", ".join(f"{name} {value}" for name, value in choices.items() if value is not None)


def describe_report(logdir: Path, output: Path) -> str:
    """How old the report is, in words."""
    report = output / REPORT_FILE
    if not report.is_file():
        return "no report yet"
    made = datetime.fromtimestamp(report.stat().st_mtime).strftime("%Y-%m-%d %H:%M")
    return f"report of {made}, " + ("older than the logs" if is_outdated(report, logdir) else "up to date")


def _counts(statuses: Sequence[ExperimentStatus], logdir: Path) -> str:
    if not statuses:
        return f"nothing has been run in {logdir}"
    complete, failed, missing = (
        {item for status in statuses for item in getattr(status, name)} for name in ("complete", "failed", "missing")
    )
    where = f"{len(statuses)} experiment{'s' * (len(statuses) > 1)}"
    return f"{len(complete):,} complete, {len(failed):,} failed, {len(missing):,} missing in {where}"


def _stored_verdicts(logdir: Path, problems: list[str]) -> dict[str, str]:
    """Experiment -> the verdict last stored, in words."""
    try:
        tables = read_verdicts(logdir)
    except RecordError as error:
        problems.append(f"unreadable  {logdir / VERDICTS_FILE}: {error}")
        return {}
    return {str(t.get("experiment")): verdict_word(str(t.get("verdict"))) for t in tables}


def _row(status: ExperimentStatus, verdicts: Mapping[str, str]) -> tuple[str, ...]:
    experiment = status.experiment
    look = f"{status.look} ({status.n_seeds} seeds)" if status.look else "none yet"
    verdict = verdicts.get(experiment.name, "none yet" if experiment.contrasts else "no hypothesis")
    counts = (len(status.complete), len(status.failed), len(status.missing))
    return experiment.name, *(f"{n:,}" for n in counts), look, verdict


def _trial_lines(statuses: Sequence[ExperimentStatus], found: Mapping[Key, FoundTrial]) -> list[str]:
    """A line for each trial that failed, and for each whose record is of no use."""
    failed = dict.fromkeys(trial for status in statuses for trial in status.failed)
    damaged = dict.fromkeys(
        found[key] for s in statuses for key in sorted(s.missing) if key in found and found[key].reason
    )
    return [
        *console.limited(f"FAILED      {trial.trial_id}: {trial.reason}" for trial in failed),
        *console.limited(f"unreadable  {trial.trial_id}/{trial.reason}" for trial in damaged),
    ]


def _confirmation_lines(
    logdir: Path, experiments: Sequence[Experiment], found: Mapping[Key, FoundTrial], problems: list[str]
) -> list[str]:
    """A line for each frozen selection: how much of it is complete."""
    lines = []
    for experiment in experiments:
        try:
            frozen = read_confirmation(logdir, experiment.name)
        except RecordError as error:
            problems.append(f"unreadable  {logdir / CONFIRMATIONS_FOLDER / experiment.name}.toml: {error}")
            continue
        if frozen is not None:
            keys = [(name, seed) for name in frozen.configurations for seed in frozen.fresh_seeds]
            n_complete = sum(key in found and found[key].state is TrialState.COMPLETE for key in keys)
            lines.append(f"confirmation of {experiment.name}: {n_complete} of {len(keys)} trials complete")
    return lines
