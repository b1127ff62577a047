"""What is left to do of a study, and doing it: launch, show progress, record failures, sum up."""

from __future__ import annotations

import errno
import math
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain
from pathlib import Path
from statistics import fmean, stdev
from typing import Any, Protocol

from gridstudy.core.errors import StopStudy, StudyError
from gridstudy.core.experiment import Experiment
from gridstudy.core.files import write_atomic
from gridstudy.core.space import Configuration
from gridstudy.core.subject import Objective
from gridstudy.core.trial import TrialConfig, TrialResult, TrialRun, TrialState
from gridstudy.records.attempts import attempt_folder, place_attempt
from gridstudy.records.trials import ERROR_FILE, LOG_FILE, trial_folder, trial_status
from gridstudy.running.launchers import Crashed, Event, Finished, IsOver, Launcher, Started, never
from gridstudy.running.planning import PlannedTrial, group_trials
from gridstudy.running.timeouts import TrialClock

N_ATTEMPTS = 2
"""A trial that fails is tried once more."""

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
"""Errors that every further trial would meet as well: disk full, quota used up, read-only."""


class Progress(Protocol):
    """What the runner tells of a study as it goes."""

    def start(self, *, n_trials: int, results: Iterable[TrialResult], work_left: float) -> None:
        """`results` are there already; `work_left` is in the unit of Configuration.work."""

    def trials_started(self, trials: Sequence[TrialConfig]) -> None:
        """One trial, or those that are trained at once; all of these leave with the first that finishes or fails."""

    def trial_finished(self, result: TrialResult, run: TrialRun) -> None: ...

    def trial_failed(self, trial: TrialConfig, reason: str, *, final: bool) -> None: ...

    def stop(self) -> None: ...


@dataclass
class Summary:
    """How a study stands after a run."""

    results: list[TrialResult] = field(default_factory=list)
    failures: dict[TrialConfig, str] = field(default_factory=dict)
    n_run: int = 0
    n_left: int = 0
    """Trials that were not reached, because the time was up."""
    duration_s: float = 0.0


def _trust() -> None:
    """Check nothing: nobody else can write to the log directory."""


def run_study(
    planned: Sequence[PlannedTrial],
    *,
    logdir: Path,
    train: Callable[..., Any],
    launcher: Launcher,
    progress: Progress,
    check: Callable[[], None] = _trust,
    owner: str = "",
    clock: TrialClock | None = None,
    is_over: IsOver = never,
    most_together: int = 1,
    n_workers: int | None = None,
) -> Summary:
    """Run every trial that is not complete, each at most N_ATTEMPTS times, and return what is there at the end.

    The launcher calls `train(trials, attempt=...)`, usually with one trial; what finishes has been recorded and carries
    a (TrialResult, TrialRun) for each. First, up to `most_together` trials of one configuration are trained at once, as
    long as that leaves none of `n_workers` idle; those of a group that fails are then trained alone. The caller holds
    the lock of `logdir`, whose token is `owner`, and `check` raises StudyError where it is lost.
    A trial that takes longer than `clock` allows is ended and counts as failed; none starts once `is_over` says so. An
    interruption carries the number of complete trials.
    """
    summary = Summary(results=[_of(p.trial, p.result) for p in planned if p.result is not None])
    todo = [p.trial for p in planned if p.state is not TrialState.COMPLETE]
    began_s = time.perf_counter()
    clock = clock or TrialClock()
    for p in planned:
        if p.run is not None:
            clock.observe(p.trial, p.run)
    progress.start(n_trials=len(planned), results=summary.results, work_left=sum(t.configuration.work for t in todo))
    try:
        groups = group_trials(todo, most=most_together, n_workers=n_workers)
        n_attempts = N_ATTEMPTS + (most_together > 1)
        for attempt in range(1, n_attempts + 1):
            events = launcher.run(partial(train, attempt=attempt), groups, timeout_s=clock.timeout_s, is_over=is_over)
            events = _checked(events, check)
            final = attempt == n_attempts
            record = partial(_record_failure, logdir, attempt=attempt, owner=owner)
            failed = _follow(events, summary, progress=progress, clock=clock, logdir=logdir, final=final, record=record)
            groups = [(trial,) for trial in failed]
    except KeyboardInterrupt as interruption:
        n_complete = sum(trial_status(logdir, p.trial).state is TrialState.COMPLETE for p in planned)
        interruption.args = (f"{n_complete} of {len(planned)} trials complete",)
        raise
    finally:
        summary.duration_s = time.perf_counter() - began_s
        summary.n_left = len(planned) - len(summary.results) - len(summary.failures)
        progress.stop()
    return summary


def _checked(events: Iterator[Event], check: Callable[[], None]) -> Iterator[Event]:
    """Pass events on while `check` raises nothing, which is asked before each and at the end."""
    try:
        for event in events:
            check()
            yield event
        check()
    finally:
        if isinstance(events, Generator):
            events.close()


def _follow(
    events: Iterable[Event],
    summary: Summary,
    *,
    progress: Progress,
    clock: TrialClock,
    logdir: Path,
    final: bool,
    record: Callable[[TrialConfig, str], None],
) -> list[TrialConfig]:
    """Take note of what happens to trials; return those that failed.

    Raises StudyError where a trial failed for want of room, as all others would. At any end nothing runs on.
    """
    failed = []
    try:
        for event in chain.from_iterable(_settle(event, logdir) for event in events):
            match event:
                case Started(trials):
                    progress.trials_started(trials)
                case Finished(trial, (recorded, run)):
                    result = _of(trial, recorded)
                    summary.results.append(result)
                    summary.failures.pop(trial, None)
                    summary.n_run += 1
                    clock.observe(trial, run)
                    progress.trial_finished(result, run)
                case Crashed(trial, reason):
                    failed.append(trial)
                    summary.failures[trial] = reason.strip().splitlines()[-1]
                    _check_room(logdir, summary.failures[trial])
                    with suppress(OSError):  # without the record the trial is run again all the same
                        record(trial, reason)
                    progress.trial_failed(trial, summary.failures[trial], final=final)
    finally:
        if isinstance(events, Generator):  # an error's traceback would keep it, and its workers, alive
            events.close()
    return failed


def _of(trial: TrialConfig, result: TrialResult) -> TrialResult:
    """The result with the trial as it was planned: a record does not know how much work a trial is."""
    return replace(result, trial=trial)


def _settle(event: Event, logdir: Path) -> Iterator[Event]:
    """That trials have started, or how each of them ended.

    A trial whose worker died after its result was written has finished, and must not run again.
    """
    match event:
        case Started():
            yield event
        case Finished(trials, values):
            yield from map(Finished, trials, values)
        case Crashed(trials, reason):
            for trial in trials:
                status = trial_status(logdir, trial)
                is_complete = status.state is TrialState.COMPLETE
                yield Finished(trial, (status.result, status.run)) if is_complete else Crashed(trial, reason)


def _check_room(logdir: Path, reason: str) -> None:
    """Raise StudyError where `reason`, the last line of a traceback, says that every further trial would fail."""
    if (fault := reason.partition(f"{StopStudy.__name__}: ")[2]) and reason.startswith(StopStudy.__module__):
        raise StudyError(fault)
    if any(f"[Errno {code}]" in reason for code in NO_ROOM):
        raise StudyError(f"cannot write to {logdir}: {reason}; make room and rerun the same command to resume")


def _record_failure(logdir: Path, trial: TrialConfig, reason: str, *, attempt: int, owner: str) -> None:
    """Leave the reason in the folder of the attempt, which becomes the trial's; one elsewhere has been put there."""
    folder = trial_folder(logdir, trial)
    own = attempt_folder(folder, attempt=attempt, owner=owner)
    if own.is_dir():
        record_failure(own, reason)
        place_attempt(own, folder)
    else:
        record_failure(folder, reason)


def record_failure(folder: Path, reason: str) -> None:
    """Leave the reason, with the end of the trial's log, in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / LOG_FILE
    tail = log.read_text(encoding="utf-8", errors="replace").splitlines()[-20:] if log.is_file() else []
    lines = [*(["The end of the log:", *tail, ""] if tail else []), reason.strip(), ""]
    write_atomic(folder / ERROR_FILE, "\n".join(lines).encode())


def best_configurations(
    experiment: Experiment, results: Iterable[TrialResult], objective: Objective
) -> list[dict[str, Any]]:
    """The experiment's configurations, the best mean objective first: configuration, mean, sd (None for one seed), n.

    Configurations with a diverged seed, `n_diverged`, come last, unranked; a score that is NaN counts in `n` alone.
    """
    by_configuration: dict[Configuration, list[TrialResult]] = {}
    for result in results:
        if result.trial.configuration in experiment.configurations:
            by_configuration.setdefault(result.trial.configuration, []).append(result)
    rows = [_summarise(c, rs) for c, rs in by_configuration.items()]
    return sorted(rows, key=lambda row: (row["n_diverged"] > 0, -objective.sign * row["mean"]))


def _summarise(configuration: Configuration, results: Sequence[TrialResult]) -> dict[str, Any]:
    scores = [result.score for result in results if not math.isnan(result.score)]
    return {
        "configuration": configuration,
        "mean": fmean(scores) if scores else math.nan,
        "sd": stdev(scores) if len(scores) > 1 else None,
        "n": len(results),
        "n_diverged": sum(result.diverged for result in results),
    }
