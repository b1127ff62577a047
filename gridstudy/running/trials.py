"""Trials of any subject: folders of their own, the subject's training, checked outcomes, the records."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache, partial
from pathlib import Path, PosixPath, WindowsPath
from typing import Any

from loguru import logger
from tomlserializer import TOMLSerializer

from gridstudy.core.errors import StopStudy, StudyError
from gridstudy.core.machine import describe_machine
from gridstudy.core.source import source_digest
from gridstudy.core.subject import Data, Objective, Subject
from gridstudy.core.trial import Outcome, TrialConfig, TrialResult, TrialRun
from gridstudy.records.attempts import place_attempt, start_attempt
from gridstudy.records.toml import RecordError
from gridstudy.records.trials import (
    LOG_FILE,
    RESULT_FILE,
    TRIAL_FILE,
    check_same_trial,
    read_result,
    trial_folder,
    write_result,
)
from gridstudy.running.subjects import SubjectSource

# tomlserializer escapes neither quotes nor backslashes, and does not know Windows' paths. A JSON string is a TOML one.
TOMLSerializer.register_type(str, lambda text: json.dumps(text, ensure_ascii=False), str)
for _path_type in (Path, PosixPath, WindowsPath):
    TOMLSerializer.register_type(_path_type, lambda path: json.dumps(str(path), ensure_ascii=False), Path)


class OutcomeError(ValueError):
    """A subject's training returned something that is no outcome of its objective."""


def run_trials(
    trials: Sequence[TrialConfig], *, source: SubjectSource, data: Data, logdir: Path, device: str, attempt: int,
    check: Callable[[], None] = lambda: None, owner: str = "",
) -> list[tuple[TrialResult, TrialRun]]:  # fmt: skip
    """Train trials, each in a folder of this attempt's own, which becomes the trial's as soon as it has a result.

    A result that is there is kept. `check` raises StudyError where the log directory is no longer held, and is called
    before a result is placed. `owner` is the token of the lock, by which the runner finds the folders of attempts that
    fail.
    """
    folders = {trial: trial_folder(logdir, trial) for trial in trials}
    done = {trial: known for trial, folder in folders.items() if (known := known_result(folder, trial)) is not None}
    own = {t: start_attempt(folders[t], attempt=attempt, owner=owner) for t in trials if t not in done}
    if own:
        todo, where = list(own), list(own.values())
        for result, run in train_trials(todo, where, source=source, data=data, device=device, attempt=attempt):
            done[result.trial] = _complete(own[result.trial], folders[result.trial], result, run, check=check)
    return [done[trial] for trial in trials]


def _complete(
    own: Path, folder: Path, result: TrialResult, run: TrialRun, *, check: Callable[[], None]
) -> tuple[TrialResult, TrialRun]:
    or_stop(check)
    write_result(own, result, run)
    if not place_attempt(own, folder):  # there is a result of another runner, whose lock did not reach us
        return read_result(folder / RESULT_FILE)
    return result, run


def known_result(folder: Path, trial: TrialConfig) -> tuple[TrialResult, TrialRun] | None:
    """The result that lies in the trial's folder, if it is whole and this trial's."""
    try:
        result, run = read_result(folder / RESULT_FILE)
        check_same_trial(result.trial, trial)
    except RecordError:
        return None
    return result, run


@dataclass
class _Epochs:
    """Collects what a subject reports after each epoch, with the seconds that it took."""

    subject: Subject
    rows: list[dict[str, float]] = field(default_factory=list)
    duration_s: list[float] = field(default_factory=list)
    clock: float = field(default_factory=time.perf_counter)

    def __call__(self, metrics: Mapping[str, float]) -> None:
        now = time.perf_counter()
        self.duration_s.append(now - self.clock)
        self.clock = now
        _check_metrics(self.subject, metrics)
        self.rows.append({name: float(value) for name, value in metrics.items()})

    def curves(self) -> dict[str, tuple[float, ...]]:
        return {name: tuple(row[name] for row in self.rows) for name in (self.rows[0] if self.rows else {})}


def train_trials(
    trials: Sequence[TrialConfig], folders: Sequence[Path], *, source: SubjectSource, data: Data, device: str,
    attempt: int,
) -> Iterator[tuple[TrialResult, TrialRun]]:  # fmt: skip
    """Train one trial by the subject's `train`, several by its `train_many`, and give each as it ends.

    Logs go to `folders`, which must exist; the files that are open there are closed before the trial is given.
    """
    subject = source.load()
    n_done, epochs = 0, [_Epochs(subject) for _ in trials]
    with ExitStack() as all_logs:
        logs = [all_logs.enter_context(ExitStack()) for _ in trials]
        for trial, folder, log in zip(trials, folders, logs, strict=True):
            log.enter_context(_log_to(folder / LOG_FILE))
            TOMLSerializer.save(_FlatTrial(trial), folder / TRIAL_FILE)
        if len(trials) == 1:
            outcomes = _timed(lambda: [subject.train(trials[0], data.content, folders[0], device, epochs[0])])
        else:
            assert subject.train_many is not None
            outcomes = _timed(partial(subject.train_many, trials, data.content, folders, device, epochs))
        for trial, own, log, (outcome, times) in zip(trials, epochs, logs, outcomes, strict=False):
            if subject.check_content is not None:
                or_stop(partial(subject.check_content, data.content))
            result = check_outcome(trial, outcome, own.curves(), objective=subject.objective, data=data)
            _check_metrics(subject, result.curves)
            seconds = tuple(own.duration_s) if len(own.duration_s) == result.n_epochs else ()
            facts = {"device": device, "arithmetic": "", **_describe(subject, source, device)}
            log.close()
            yield result, TrialRun(**times, epoch_duration_s=seconds, attempt=attempt, **facts)
            n_done += 1
    if n_done < len(trials):
        raise OutcomeError(f"train_many must give an outcome for each trial; got {n_done} for {len(trials)} trials")


def _check_metrics(subject: Subject, names: Iterable[str]) -> None:
    subject.check_columns(set(names) - {subject.objective.name}, what="a metric")


def _timed(train: Callable[[], Iterable[Outcome]]) -> Iterator[tuple[Outcome, dict[str, Any]]]:
    """Outcomes with what [run] says of their time: that since the one before, or, in a list, an even share of all."""

    def times(n_together: int = 1) -> dict[str, Any]:
        return {
            "started": started.isoformat(timespec="seconds"),
            "duration_s": (time.perf_counter() - clock) / n_together,
            "cpu_s": (time.process_time() - cpu) / n_together,
        }

    started, clock, cpu = datetime.now(UTC), time.perf_counter(), time.process_time()
    outcomes = train()
    if isinstance(outcomes, Sequence) and outcomes:
        shared = times(len(outcomes))
        yield from ((outcome, shared) for outcome in outcomes)
        return
    for outcome in outcomes:
        yield outcome, times()
        started, clock, cpu = datetime.now(UTC), time.perf_counter(), time.process_time()


def or_stop(check: Callable[[], None]) -> None:
    """Call `check`; what it refuses ends the study."""
    try:
        check()
    except StudyError as error:
        raise StopStudy(str(error)) from error


def check_outcome(
    trial: TrialConfig, outcome: Outcome, reported: Mapping[str, tuple[float, ...]], *, objective: Objective, data: Data
) -> TrialResult:
    """The result of a trial; raise OutcomeError where the outcome is none of this objective."""
    if not isinstance(outcome, Outcome):
        raise OutcomeError(f"train must return a gridstudy.Outcome; got {type(outcome).__name__}")
    score = float(outcome.score)
    diverged = bool(outcome.diverged) or not math.isfinite(score)
    if not diverged and not objective.contains(score):
        raise OutcomeError(f"a score must lie from {objective.low:g} to {objective.high:g}; got {score:g}")
    curves = {name: tuple(map(float, values)) for name, values in outcome.curves.items()} or dict(reported)
    if len({len(values) for values in curves.values()}) > 1 or not all(curves.values()):
        raise OutcomeError(f"curves must have one value per epoch each; got lengths {_lengths(curves)}")
    confusion = tuple(tuple(int(n) for n in row) for row in outcome.confusion)
    if confusion and data.class_names and len(confusion) != len(data.class_names):
        raise OutcomeError(
            f"confusion must have a row for each of {len(data.class_names)} classes; got {len(confusion)}"
        )
    return TrialResult(
        trial=trial, score=objective.diverged_score if diverged else score, diverged=diverged, curves=curves,
        test_score=math.nan if diverged or outcome.test_score is None else float(outcome.test_score),
        confusion=() if diverged else confusion,
    )  # fmt: skip


def _lengths(curves: Mapping[str, tuple[float, ...]]) -> str:
    return ", ".join(f"{name} {len(values)}" for name, values in curves.items())


@lru_cache
def _describe(subject: Subject, source: SubjectSource, device: str) -> dict[str, Any]:
    """Machine, device, arithmetic and source, which a process has once."""
    own = dict(subject.describe_machine(device)) if subject.describe_machine else {}
    return {**describe_machine(subject.packages), **own, "source": digest_source(source)}


def digest_source(source: SubjectSource) -> str:
    """A digest of the code that a trial imports: the core's and the subject's."""
    return source_digest([Path(__file__).parents[1] / "core", *source.files()])


class _FlatTrial:
    """A trial as flat public attributes, which is what tomlserializer writes."""

    def __init__(self, trial: TrialConfig) -> None:
        self.__dict__.update(
            trial.configuration, trial_id=trial.trial_id, subject=trial.subject, seed=trial.seed, **vars(trial.data)
        )
        self.training_version = trial.training_version


@contextmanager
def _log_to(path: Path) -> Iterator[None]:
    name = str(path).replace("{", "{{").replace("}", "}}")  # loguru fills in what stands in braces
    layout = "{time:YYYY-MM-DD HH:mm:ss.SSS} {level} {message}"
    # a full disk ends the trial, not only its log
    sink = logger.add(name, format=layout, encoding="utf-8", catch=False)
    try:
        yield
    finally:
        logger.remove(sink)
