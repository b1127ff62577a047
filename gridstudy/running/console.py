"""What the command line prints: results to stdout, progress and warnings to stderr."""

from __future__ import annotations

import math
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from gridstudy.core.errors import StudyError
from gridstudy.core.experiment import Experiment
from gridstudy.core.labels import arm_labels
from gridstudy.core.space import Configuration
from gridstudy.core.subject import Data, Description, Objective, Subject
from gridstudy.core.trial import TrialState
from gridstudy.core.values import format_value
from gridstudy.running.planning import PlannedTrial
from gridstudy.running.progress import StudyTracker, format_duration
from gridstudy.running.progress import choose_progress as _choose_progress
from gridstudy.running.runner import N_ATTEMPTS, Summary, best_configurations
from gridstudy.running.until import Part

N_BEST = 3
MOST_LINES = 20
"""Of failed trials, and of damaged records, so many are told one by one."""


def _out() -> Console:
    """The terminal, or what stands for it; a pipe gets wide lines rather than folded ones."""
    return Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else 140)


def _error() -> Console:
    return Console(stderr=True, highlight=False, markup=False)


def warn(message: str) -> None:
    """One line to stderr that stands out."""
    _error().print(f"warning: {message}", style="bold yellow", soft_wrap=True)


def choose_progress(
    experiments: Iterable[Experiment], description: Description, *, looks: str = "", later: Sequence[Part] = ()
) -> StudyTracker:
    """The progress display that this terminal can show, in which arms are called by their values.

    `looks` is a line on how far a study is that goes look by look. `later` are the parts that a round after the first
    look trains: its arms are named by the experiments that need them, and none is called the best, because others
    have fewer seeds and take no part.
    """
    names: dict[str, str] = {}
    everything = [(experiment, {c.name for c in experiment.configurations}) for experiment in experiments]
    for experiment, trained in [*((e, set(arms)) for e, arms, _ in later), *everything]:
        for name, label in arm_labels(experiment, description).items():
            if name in trained:
                names.setdefault(name, f"{experiment.name} {label}")
    return _choose_progress(_error(), description.objective, names, looks=looks, shows_best=not later)


def _table(*columns: str, title: str | None = None, right: Iterable[str] = ()) -> Table:
    """An empty table; what does not fit into a column is folded, never cut."""
    frame = box.SIMPLE_HEAD if (sys.stdout.encoding or "utf-8").lower().startswith("utf") else box.ASCII
    table = Table(title=title, box=frame, title_justify="left", pad_edge=False)
    for column in columns:
        is_right = column in right
        table.add_column(column, justify="right" if is_right else "left", no_wrap=is_right, overflow="fold")
    return table


# --- before the run ------------------------------------------------------------------------------------------------


def print_comparison(lines: Sequence[str]) -> int:
    """Say whether two log directories have the same outcomes; 0 when they do, else 1."""
    n = len(lines)
    print(f"{n} difference{'s'[: n != 1]} between the outcomes" if lines else "the outcomes are equal, bit for bit")
    for line in lines:
        print(line)
    return 1 if lines else 0


def print_list(experiments: Iterable[Experiment]) -> None:
    """One line per experiment: number, name, configurations and question, which is folded first."""
    table = _table("", "experiment", "configurations", "question", right=("", "configurations"))
    table.columns[1].no_wrap = True
    for number, experiment in enumerate(experiments, start=1):
        name = Text(experiment.name, no_wrap=False)
        table.add_row(str(number), name, str(len(experiment.configurations)), experiment.question)
    _out().print(table)


def print_lines(lines: Iterable[str]) -> None:
    """Lines to stdout, whatever the names in them hold."""
    for line in lines:
        print("".join(c if c.isprintable() else " " for c in line))


def limited(lines: Iterable[str]) -> list[str]:
    """The first lines, and how many more there are."""
    lines = list(lines)
    more = [f"... and {len(lines) - MOST_LINES} more"] * (len(lines) > MOST_LINES)
    return [*lines[:MOST_LINES], *more]


def print_experiments(experiments: Iterable[Experiment], subject: Subject) -> None:
    """Question, hypothesis, contrasts, roles and grid of each experiment."""
    out = _out()
    for experiment in experiments:
        out.print(f"{experiment.name}  ({len(experiment.configurations)} configurations)", style="bold", soft_wrap=True)
        lines = {
            "question": experiment.question,
            "hypothesis": experiment.hypothesis or "none: it describes and tests nothing",
            "contrasts": "; ".join(map(str, experiment.contrasts)) or "none",
            "scientific": ", ".join(experiment.scientific) or "none",
            "nuisance": ", ".join(experiment.nuisance) or "none",
            "varied": "; ".join(f"{n} {_values(experiment, n, subject)}" for n in experiment.varied) or "nothing",
            "fixed": ", ".join(f"{name} {format_value(value)}" for name, value in experiment.fixed.items()),
            "TensorBoard": experiment.tensorboard_filter,
        }
        for key, text in lines.items():
            out.print(f"  {key:<12}{text}", soft_wrap=True)
        out.print()


def _values(experiment: Experiment, name: str, subject: Subject) -> str:
    values = dict.fromkeys(c[name] for c in experiment.configurations)
    return " ".join(subject.search_space[name].format(value) for value in values)


def print_setting(data: Data, *, device: str, reason: str, n_workers: int | None) -> None:
    """Data, splits and device of this run; `n_workers` None: all that a cluster has; no device: nothing is left."""
    out = _out()
    origin = f" ({data.origin})" if data.origin else ""
    out.print(f"data    {data.identity.dataset}{origin}", soft_wrap=True)
    for label in data.labels:
        out.print(f"NOTE    {label}", soft_wrap=True)
    if data.sizes:
        out.print("split   " + ", ".join(f"{n:,} {name}" for name, n in data.sizes.items()), soft_wrap=True)
    if not device:
        out.print("device  none needed: every trial is complete", soft_wrap=True)
        return
    many = "trials on all of it" if n_workers is None else f"{n_workers} trial{'s' * (n_workers > 1)} at a time"
    out.print(f"device  {device} ({reason}), {many}", soft_wrap=True)


def print_unusable(planned: Iterable[PlannedTrial]) -> None:
    """Report the results that are there and cannot be used."""
    for trial in planned:
        if trial.note:
            warn(f"{trial.note}; the trial is trained again")


# --- after the run -------------------------------------------------------------------------------------------------


def print_summary(summary: Summary, experiments: Sequence[Experiment], logdir: Path, description: Description) -> None:
    """The best configurations of each experiment, failures and where the logs are."""
    out = _out()
    objective = description.objective
    table = _table("experiment", "best arms", "mean", "sd", "n", right=("mean", "sd", "n"))
    for experiment in experiments:
        labels = arm_labels(experiment, description)
        for i, row in enumerate(best_configurations(experiment, summary.results, objective)[:N_BEST]):
            sd = "" if row["sd"] is None else objective.show_difference(row["sd"])
            unstable = f" (unstable, {row['n_diverged']} diverged)" if row["n_diverged"] else ""
            label = labels[row["configuration"].name] + unstable
            mean = "" if math.isnan(row["mean"]) else objective.show(row["mean"])
            table.add_row("" if i else experiment.name, label, mean, sd, str(row["n"]))
    out.print(table)
    out.print(f"mean and sd of the {objective.label} over n seeds; the analysis tells which leads are real")
    _print_failures(out, summary)
    n_all = len(summary.results) + len(summary.failures) + summary.n_left
    out.print(
        f"{len(summary.results)} of {n_all} trials complete, {summary.n_run} of them trained now in "
        f"{format_duration(summary.duration_s)}; logs in {logdir}",
        soft_wrap=True,
    )


def print_next(logdir: Path, *, analyse: str) -> None:
    """The commands that show what is in the logs; `analyse` is the analysis."""
    option = "" if logdir == Path("modellogs") else f" --logdir {quote(logdir)}"
    print_result(f"next: {analyse}{option}\nor:   python -m gridstudy board{option}")


def print_line(text: str) -> None:
    """A line of progress to stderr."""
    _error().print(text, soft_wrap=True)


def print_table(rows: Iterable[Sequence[str]], *columns: str, right: Sequence[str] = ()) -> None:
    """A table to stdout."""
    table = _table(*columns, right=right)
    for row in rows:
        table.add_row(*row)
    _out().print(table)


def print_result(text: str) -> None:
    """A line to stdout."""
    _out().print(text, soft_wrap=True)


def _print_failures(out: Console, summary: Summary) -> None:
    for trial, reason in summary.failures.items():
        out.print(
            f"FAILED  {trial.trial_id}: {reason} ({N_ATTEMPTS} attempts; rerun the same command to try again)",
            soft_wrap=True,
        )


def quote(path: Path) -> str:
    """A path as it stands in a command."""
    return f'"{path}"' if " " in str(path) else str(path)


# --- the dry run ---------------------------------------------------------------------------------------------------


def print_plan(
    planned: Sequence[PlannedTrial],
    experiments: Sequence[Experiment],
    *,
    description: Description,
    resolution: str,
    seconds: Mapping[Configuration, float],
    n_workers: int,
    until: bool = False,
) -> None:
    """The trials that are left, the budget of each arm, what the seeds can resolve and the estimated time.

    With `until`, the trials are those of the first look only.
    """
    out = _out()
    left = _table("trial", "state")
    for p in planned:
        if p.state is not TrialState.COMPLETE:
            left.add_row(p.trial.trial_id, p.state.value)
    if left.row_count:
        out.print(left)
    for experiment in experiments:
        out.print(_budget_table(experiment, description, seconds))
    _print_counts(planned)
    out.print(f"resolution: {resolution}", soft_wrap=True)
    if seconds and left.row_count:
        out.print(_estimate(planned, seconds, n_workers, of=" of the first look" if until else ""))


def print_time_of_looks(*, expected_s: float | None, most_s: float, n_workers: int) -> None:
    """How long all looks take that are left, in seconds of training: as expected, where that is known, and at most."""
    most = f"at most {format_duration(most_s / n_workers)}"
    expected = None if expected_s is None else f"about {format_duration(expected_s / n_workers)}"
    time = most if expected is None else expected if expected_s == most_s else f"{expected}, {most},"
    _out().print(f"estimated time of all looks: {time} with {_workers(n_workers)}", soft_wrap=True)


def print_work(
    planned: Sequence[PlannedTrial], *, seconds: Mapping[Configuration, float], n_workers: int, until: str
) -> None:
    """What a run would train, how long that takes, and in words what may follow."""
    _print_counts(planned)
    for line in ([_estimate(planned, seconds, n_workers)] if seconds else []) + ([until] if until else []):
        _out().print(line, soft_wrap=True)


def _print_counts(planned: Sequence[PlannedTrial]) -> None:
    counts = Counter(p.state for p in planned)
    _out().print(f"{len(planned)} trials: " + ", ".join(f"{counts[state]} {state.value}" for state in TrialState))


def _estimate(
    planned: Sequence[PlannedTrial], seconds: Mapping[Configuration, float], n_workers: int, *, of: str = ""
) -> str:
    todo = [seconds[p.trial.configuration] for p in planned if p.state is not TrialState.COMPLETE]
    estimate = max([sum(todo) / n_workers, *todo], default=0.0)
    return f"estimated time{of}: about {format_duration(estimate)} with {_workers(n_workers)}, from a few timed steps"


def _workers(n: int) -> str:
    return f"{n} worker{'s' * (n > 1)}"


def ask(question: str) -> bool:
    """Ask on stdout; True for an answer that begins with y; StudyError where standard input is at its end."""
    print(f"{question} [y/N] ", end="", flush=True)
    answer = sys.stdin.readline() if sys.stdin is not None else ""
    if not answer or not sys.stdin.isatty():
        print()  # nobody typed the end of the line
    if not answer:
        raise StudyError(
            "a run with --ask waits for an answer, and nobody can give one here; leave --ask out to start "
            "(in the menu: -Yes)"
        )
    return answer.strip().lower().startswith("y")


def _budget_table(experiment: Experiment, description: Description, seconds: Mapping[Configuration, float]) -> Table:
    labels = arm_labels(experiment, description)
    budgets = list(dict.fromkeys(name for c in experiment.configurations for name in c.budgets))
    n_train = description.sizes.get("train")
    passes = ["passes"] if n_train and "examples" in budgets else []
    columns = (*budgets, *passes, *(["seconds"] if seconds else []))
    table = _table("arm", *columns, title=f"{experiment.name}: budget per trial", right=columns)
    for c in experiment.configurations:
        cells = [f"{c.budgets[name]:,.0f}" if name in c.budgets else "" for name in budgets]
        cells += [f"{c.budgets['examples'] / n_train:.2f}"] if passes and n_train else []
        table.add_row(labels[c.name], *cells, *([f"{seconds[c]:.1f}"] if seconds else []))
    return table


def describe_resolution(n_seeds: int, paired: float, unpaired: float, source: str, objective: Objective) -> str:
    """The smallest difference that seeds can find, in words."""
    return (
        f"{n_seeds} seeds find a difference of {objective.show_difference(paired)} in 80 % of studies by pairing "
        f"({objective.show_difference(unpaired)} without); spread from: {source}"
    )
