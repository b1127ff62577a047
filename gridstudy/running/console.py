"""What the command line prints: results to stdout, progress and warnings to stderr."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from gridstudy.core.study import Configuration, Experiment, TrialState, format_value
from gridstudy.running.progress import StudyTracker, format_duration
from gridstudy.running.progress import choose_progress as _choose_progress
from gridstudy.running.runner import N_ATTEMPTS, PlannedTrial, Summary, best_configurations

N_BEST = 3
LEAST_SEEDS = 3


def _out() -> Console:
    """The terminal, or what stands for it; a pipe gets wide lines rather than folded ones."""
    return Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else 140)


def _error() -> Console:
    return Console(stderr=True, highlight=False, markup=False)


def warn(message: str) -> None:
    """One line to stderr that stands out."""
    _error().print(f"warning: {message}", style="bold yellow", soft_wrap=True)


def choose_progress() -> StudyTracker:
    """The progress display that this terminal can show."""
    return _choose_progress(_error())


def _table(*columns: str, title: str | None = None, right: Iterable[str] = ()) -> Table:
    frame = box.SIMPLE_HEAD if (sys.stdout.encoding or "").lower().startswith("utf") else box.ASCII
    table = Table(title=title, box=frame, title_justify="left", pad_edge=False)
    for column in columns:
        table.add_column(column, justify="right" if column in right else "left", no_wrap=column in right)
    return table


def print_comparison(lines: Sequence[str]) -> int:
    """Say whether two log directories have the same outcomes; 0 when they do, else 1."""
    for line in lines:
        print(line)
    print(f"{len(lines)} differences" if lines else "the outcomes are equal, bit for bit")
    return 1 if lines else 0


def print_experiments(experiments: Iterable[Experiment]) -> None:
    """Question, hypothesis, contrasts, roles and grid of each experiment."""
    out = _out()
    for experiment in experiments:
        out.print(f"{experiment.name}  ({len(experiment.configurations)} configurations)", style="bold", soft_wrap=True)
        lines = {
            "question": experiment.question,
            "hypothesis": experiment.hypothesis,
            "contrasts": "; ".join(map(str, experiment.contrasts)) or "none: it describes and tests nothing",
            "scientific": ", ".join(experiment.scientific) or "none",
            "nuisance": ", ".join(experiment.nuisance) or "none",
            "varied": "; ".join(f"{n} {_values(experiment, n)}" for n in experiment.varied) or "nothing",
            "fixed": ", ".join(f"{name} {format_value(value)}" for name, value in experiment.fixed.items()),
            "TensorBoard": experiment.tensorboard_filter,
        }
        for key, text in lines.items():
            out.print(f"  {key:<12}{text}", soft_wrap=True)
        out.print()


def _values(experiment: Experiment, name: str) -> str:
    values = dict.fromkeys(getattr(c, name) for c in experiment.configurations)
    return " ".join(format_value(value) for value in values)


def print_setting(prepared: Any, *, device: str, reason: str, n_workers: int | None) -> None:
    """Data, protocol and device of this run; `prepared` is a PreparedData, `n_workers` None: all that a cluster has."""
    out = _out()
    out.print(f"data    {prepared.dataset} from {prepared.origin}", soft_wrap=True)
    if prepared.validation == "test":
        split = (
            "COURSE PROTOCOL: trains on all images, and the test images choose, so the winner's accuracy is flattered"
        )
    else:
        split = (
            f"{prepared.n_train:,} images train, {prepared.n_validation:,} held out choose, {prepared.n_test:,} test"
        )
    out.print(f"split   {split}", soft_wrap=True)
    many = "trials on all of it" if n_workers is None else f"{n_workers} trial{'s' * (n_workers > 1)} at a time"
    out.print(f"device  {device} ({reason}), {many}", soft_wrap=True)


def print_unusable(planned: Iterable[PlannedTrial]) -> None:
    """Say which results are there and cannot be used."""
    for trial in planned:
        if trial.note:
            warn(f"{trial.note}; the trial is run again")


def print_summary(summary: Summary, experiments: Sequence[Experiment], logdir: Path) -> None:
    """The best configurations of each experiment, failures, where the logs are and what to do next."""
    out = _out()
    table = _table("experiment", "best configurations", "mean", "sd", "n", right=("mean", "sd", "n"))
    for experiment in experiments:
        for i, row in enumerate(best_configurations(experiment, summary.results)[:N_BEST]):
            sd = "" if row["sd"] is None else f"{row['sd']:.2%}"
            name = row["name"] + (f" (unstable, {row['n_diverged']} diverged)" if row["n_diverged"] else "")
            table.add_row("" if i else experiment.name, name, f"{row['mean']:.2%}", sd, str(row["n"]))
    out.print(table)
    out.print(
        "mean and standard deviation of the validation accuracy over n seeds; which leads are real, the analysis says"
    )
    for trial, reason in summary.failures.items():
        out.print(
            f"FAILED  {trial.trial_id}: {reason} ({N_ATTEMPTS} attempts; the same command tries again)", soft_wrap=True
        )
    n_all = len(summary.results) + len(summary.failures)
    out.print(
        f"{len(summary.results)} of {n_all} trials complete, {summary.n_run} of them run now in "
        f"{format_duration(summary.duration_s)}; logs in {logdir}",
        soft_wrap=True,
    )
    option = "" if logdir == Path("modellogs") else f" --logdir {_quoted(logdir)}"
    board = f"tensorboard --logdir {_quoted(logdir)}"
    out.print(f"next: python analyze_results.py{option}   or   {board}", soft_wrap=True)


def _quoted(path: Path) -> str:
    return f'"{path}"' if " " in str(path) else str(path)


def print_plan(
    planned: Sequence[PlannedTrial],
    experiments: Sequence[Experiment],
    *,
    resolution: str,
    seconds: Mapping[Configuration, float],
    n_workers: int,
    n_train: int,
) -> None:
    """Every trial with its state, the budget of each arm, what the seeds can resolve and the estimated time."""
    out = _out()
    trials = _table("trial", "state")
    for p in planned:
        trials.add_row(p.trial.trial_id, p.state.value)
    out.print(trials)
    for experiment in experiments:
        out.print(_budget_table(experiment, seconds, n_train))
    counts = Counter(p.state for p in planned)
    out.print(f"{len(planned)} trials: " + ", ".join(f"{counts[state]} {state.value}" for state in TrialState))
    out.print(f"resolution: {resolution}", soft_wrap=True)
    todo = [seconds[p.trial.configuration] for p in planned if p.state is not TrialState.COMPLETE]
    estimate = max([sum(todo) / n_workers, *todo], default=0.0)
    out.print(f"estimated time: about {format_duration(estimate)} with {n_workers} workers (from a few timed steps)")


def _budget_table(experiment: Experiment, seconds: Mapping[Configuration, float], n_train: int) -> Table:
    columns = ("updates", "examples", "passes", "parameters", "seconds")
    table = _table("configuration", *columns, title=f"{experiment.name}: budget per trial", right=columns)
    for c in experiment.configurations:
        budget = (f"{c.updates:,}", f"{c.examples:,}", f"{c.examples / n_train:.2f}", f"{c.parameters:,}")
        table.add_row(c.name, *budget, f"{seconds[c]:.1f}")
    return table


def describe_resolution(n_seeds: int, paired: float, unpaired: float, source: str) -> str:
    """The smallest difference that seeds can find, in words; `paired` and `unpaired` are fractions of accuracy."""
    if n_seeds < LEAST_SEEDS:
        return f"{n_seeds} seed{'s' * (n_seeds > 1)} can resolve no difference; comparisons begin at {LEAST_SEEDS}"
    return (
        f"{n_seeds} seeds find a difference of {100 * paired:.2f} percentage points in 80 % of studies by pairing "
        f"({100 * unpaired:.2f} without); spread from: {source}"
    )
