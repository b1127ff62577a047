"""What is left to do of a study, and doing it: launch, show progress, record failures, sum up."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from gridstudy.core.errors import StudyError
from gridstudy.core.files import write_atomic
from gridstudy.core.study import Configuration, Experiment, TrialConfig, TrialResult, TrialRun, TrialState
from gridstudy.records.records import (
    ERROR_FILE,
    LOG_FILE,
    RESULT_FILE,
    Confirmation,
    RecordError,
    find_results,
    read_result,
    trial_folder,
    trial_state,
    write_confirmation,
    write_experiment,
)
from gridstudy.running.launchers import Crashed, Event, Finished, Launcher, Started

N_ATTEMPTS = 2
"""A trial that fails is tried once more."""

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
"""Errors that every further trial would meet as well: disk full, quota used up, read-only."""

CONFIRMATION_SEED = 1000
"""Seeds from here up confirm a selection and serve no other estimate."""


class Progress(Protocol):
    """What the runner tells of a study as it goes."""

    def start(self, *, n_trials: int, results: Iterable[TrialResult], cost_left: float) -> None:
        """`results` are there already; `cost_left` is in the unit of relative_cost."""

    def trial_started(self, trial: TrialConfig) -> None: ...

    def trial_finished(self, result: TrialResult, run: TrialRun) -> None: ...

    def trial_failed(self, trial: TrialConfig, reason: str, *, final: bool) -> None: ...

    def stop(self) -> None: ...


@dataclass(frozen=True)
class PlannedTrial:
    """A trial with its state on disk; `note` says why a result that is there cannot be used."""

    trial: TrialConfig
    state: TrialState
    note: str = ""


@dataclass
class Summary:
    """How a study stands after a run."""

    results: list[TrialResult] = field(default_factory=list)
    failures: dict[TrialConfig, str] = field(default_factory=dict)
    n_run: int = 0
    duration_s: float = 0.0


def plan_trials(
    experiments: Iterable[Experiment], seeds: Sequence[int], *, data: Mapping[str, Any], logdir: Path
) -> list[PlannedTrial]:
    """Every distinct trial of the experiments with its state, longest first.

    `data` holds dataset, dataset_fingerprint, split_fingerprint and validation.
    """
    configurations = dict.fromkeys(c for experiment in experiments for c in experiment.configurations)
    trials = [TrialConfig(configuration=c, seed=seed, **data) for c in configurations for seed in seeds]
    trials.sort(key=lambda trial: -relative_cost(trial.configuration))
    return [PlannedTrial(trial, *trial_state(logdir, trial)) for trial in trials]


def relative_cost(configuration: Configuration) -> float:
    """About how long a trial takes, in arbitrary units: a cost per update, per weight touched and per product."""
    c = configuration
    update = 3e5 + 2.0 * c.parameters + c.parameters * c.batch_size / 16
    evaluation = 10_000 * c.parameters / 64
    return c.epochs * (c.train_steps * update + evaluation)


def check_logdir(logdir: Path) -> None:
    """Raise StudyError where `logdir` cannot be a log directory."""
    place = Path(os.path.realpath(logdir))  # missing/../file is that file, although no missing is there
    if (os.path.lexists(logdir) and not logdir.is_dir()) or (place.exists() and not place.is_dir()):
        raise StudyError(f"the log directory must be a folder; {logdir} is a file")
    try:
        str(logdir).encode()
    except UnicodeEncodeError:
        raise StudyError(f"the log directory's name must be text in UTF-8; got {str(logdir)!r}") from None


def recorded_dataset(logdir: Path) -> str | None:
    """The dataset that the readable records in `logdir` were made with, None where there are none.

    Raises StudyError where there are records of several datasets.
    """
    datasets = set()
    for path in find_results(logdir):
        with suppress(RecordError):
            datasets.add(read_result(path)[0].trial.dataset)
    if len(datasets) > 1:
        raise StudyError(
            f"{logdir} holds records of several data sets ({', '.join(sorted(datasets))}); choose one with --dataset"
        )
    return next(iter(datasets), None)


def record_plans(logdir: Path, experiments: Iterable[Experiment], confirmations: Sequence[Confirmation]) -> None:
    """Write down, before the first trial, what is asked and expected, or which selections are to be confirmed."""
    if confirmations:
        for confirmation in confirmations:
            write_confirmation(logdir, confirmation)
        return
    for experiment in experiments:
        complete = sum(len(list(logdir.glob(f"{c.name}/seed*/{RESULT_FILE}"))) for c in experiment.configurations)
        write_experiment(logdir, experiment, n_complete=complete)


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
    timeout_s: Callable[[TrialConfig], float] | None = None,
) -> Summary:
    """Run every trial that is not complete, each at most N_ATTEMPTS times, and return what is there at the end.

    `train(trial, attempt=...)` trains one trial, and the launcher calls it; what finishes has been recorded and carries
    (TrialResult, TrialRun). The caller holds the lock of `logdir`, and `check` raises StudyError where it is lost.
    A trial that takes longer than `timeout_s` is ended and counts as failed. An interruption carries the number of
    complete trials.
    """
    summary = Summary(results=[_read_complete(logdir, p) for p in planned if p.state is TrialState.COMPLETE])
    todo = [p.trial for p in planned if p.state is not TrialState.COMPLETE]
    clock = time.perf_counter()
    progress.start(
        n_trials=len(planned), results=summary.results, cost_left=sum(relative_cost(t.configuration) for t in todo)
    )
    try:
        for attempt in range(1, N_ATTEMPTS + 1):
            events = launcher.run(partial(train, attempt=attempt), todo, timeout_s=timeout_s)
            events = _checked(events, check)
            todo = _follow(events, summary, progress=progress, logdir=logdir, final=attempt == N_ATTEMPTS)
    except KeyboardInterrupt as interruption:
        n_complete = sum(trial_state(logdir, p.trial)[0] is TrialState.COMPLETE for p in planned)
        interruption.args = (f"{n_complete} of {len(planned)} trials complete",)
        raise
    finally:
        summary.duration_s = time.perf_counter() - clock
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


def _read_complete(logdir: Path, planned: PlannedTrial) -> TrialResult:
    return read_result(trial_folder(logdir, planned.trial) / RESULT_FILE)[0]


def _follow(
    events: Iterable[Event], summary: Summary, *, progress: Progress, logdir: Path, final: bool
) -> list[TrialConfig]:
    """Take note of what happens to trials; return those that failed.

    Raises StudyError where a trial failed for want of room, as all others would. At any end nothing runs on.
    """
    failed = []
    try:
        for event in (_settle(event, logdir) for event in events):
            match event:
                case Started(trial):
                    progress.trial_started(trial)
                case Finished(trial, (result, run)):
                    summary.results.append(result)
                    summary.failures.pop(trial, None)
                    summary.n_run += 1
                    progress.trial_finished(result, run)
                case Crashed(trial, reason):
                    failed.append(trial)
                    summary.failures[trial] = reason.strip().splitlines()[-1]
                    _check_room(logdir, summary.failures[trial])
                    with suppress(OSError):  # without the record the trial is run again all the same
                        record_failure(trial_folder(logdir, trial), reason)
                    progress.trial_failed(trial, summary.failures[trial], final=final)
    finally:
        if isinstance(events, Generator):  # an error's traceback would keep it, and its workers, alive
            events.close()
    return failed


def _settle(event: Event, logdir: Path) -> Event:
    """The event; a trial whose worker died after its result was written has finished, and must not run again."""
    if isinstance(event, Crashed) and trial_state(logdir, event.job)[0] is TrialState.COMPLETE:
        return Finished(event.job, read_result(trial_folder(logdir, event.job) / RESULT_FILE))
    return event


def _check_room(logdir: Path, reason: str) -> None:
    """Raise StudyError where `reason`, the last line of a traceback, says that nothing more can be written."""
    if any(f"[Errno {code}]" in reason for code in NO_ROOM):
        raise StudyError(
            f"the study needs a log directory that it can write to; {logdir} gave {reason}; "
            "make room, and the same command goes on from here"
        )


def record_failure(folder: Path, reason: str) -> None:
    """Leave the reason, with the end of the trial's log, in the trial's folder."""
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / LOG_FILE
    tail = log.read_text(encoding="utf-8", errors="replace").splitlines()[-20:] if log.is_file() else []
    lines = [*(["The end of the log:", *tail, ""] if tail else []), reason.strip(), ""]
    write_atomic(folder / ERROR_FILE, "\n".join(lines).encode())


def best_configurations(experiment: Experiment, results: Iterable[TrialResult]) -> list[dict[str, Any]]:
    """The experiment's configurations by falling mean objective: name, mean, sd (None for one seed), n, n_diverged.

    Configurations with a diverged seed come last, unranked.
    """
    by_configuration: dict[Configuration, list[TrialResult]] = {}
    for result in results:
        if result.trial.configuration in experiment.configurations:
            by_configuration.setdefault(result.trial.configuration, []).append(result)
    rows = [_summarise(c, rs) for c, rs in by_configuration.items()]
    return sorted(rows, key=lambda row: (row["n_diverged"] > 0, -row["mean"]))


def _summarise(configuration: Configuration, results: Sequence[TrialResult]) -> dict[str, Any]:
    from statistics import fmean, stdev

    objectives = [result.objective for result in results]
    return {
        "name": configuration.name,
        "mean": fmean(objectives),
        "sd": stdev(objectives) if len(objectives) > 1 else None,
        "n": len(objectives),
        "n_diverged": sum(result.diverged for result in results),
    }
