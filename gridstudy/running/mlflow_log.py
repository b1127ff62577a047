"""Each complete trial as a run of MLflow, beside the records, which it can always be made from again."""

from __future__ import annotations

import logging
import math
import os
import queue
import re
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from itertools import accumulate, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gridstudy.core.errors import StudyError
from gridstudy.core.experiment import Experiment
from gridstudy.core.labels import arm_labels
from gridstudy.core.subject import Description, Objective
from gridstudy.core.trial import TrialConfig, TrialResult, TrialRun
from gridstudy.records.trials import RESULT_FILE, read_result, trial_folder
from gridstudy.running.runner import Progress

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric, Run

EXPERIMENT = "gridstudy"
METRICS_AT_ONCE = 900
"""MLflow takes at most 1,000 values in one call."""

PATIENCE_S = 10.0
SILENCE_S = 30.0
"""A store that takes no run for so long at the end of a study is left alone; MLflow itself would try for minutes."""

ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",  # a server that is away must not hold up the end of a study for minutes
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
}


def check_uri(uri: str) -> None:
    """Raise StudyError where `uri` is none; the empty one stands for a database in the log directory."""
    if uri and not re.match(r"[a-z][a-z0-9+.-]*:", uri):
        raise StudyError(
            "--mlflow takes the URI of a store, like sqlite:///mlflow.db or http://localhost:5000, or stands last, "
            f"after the experiments; got {uri!r}"
        )


class MLflowProgress:
    """Passes on what the runner tells, and has a thread write a run for every trial that is complete.

    A store that fails costs no trial: it is told once, at the end, and the next start adds the runs that are missing.
    """

    def __init__(
        self,
        inner: Progress,
        *,
        uri: str,
        logdir: Path,
        experiments: Sequence[Experiment],
        description: Description,
        warn: Callable[[str], None],
    ) -> None:
        self._inner = inner
        self._warn = warn
        self._settings = {"uri": uri, "logdir": logdir, "experiments": experiments, "description": description}
        self._arrived: queue.Queue[TrialConfig | None] = queue.Queue()
        self._pending: list[TrialConfig] = []
        self._n_complete = 0
        self._n_written = 0
        self._problem = ""
        self._thread = threading.Thread(target=self._write, name="mlflow", daemon=True)

    def start(self, *, n_trials: int, results: Iterable[TrialResult], work_left: float) -> None:
        results = list(results)
        self._inner.start(n_trials=n_trials, results=results, work_left=work_left)
        for result in results:
            self._add(result.trial)
        self._thread.start()

    def trials_started(self, trials: Sequence[TrialConfig]) -> None:
        self._inner.trials_started(trials)

    def trial_finished(self, result: TrialResult, run: TrialRun) -> None:
        self._inner.trial_finished(result, run)
        self._add(result.trial)

    def trial_failed(self, trial: TrialConfig, reason: str, *, final: bool) -> None:
        self._inner.trial_failed(trial, reason, final=final)

    def stop(self) -> None:
        """Wait until all runs are written, or cannot be."""
        self._inner.stop()
        self._arrived.put(None)
        self._wait()
        if n := self._n_complete - self._n_written:
            reason = self._problem or f"it took none in {SILENCE_S:.0f} s"
            self._warn(f"{n} trials were not logged to MLflow ({reason}); rerun the command to add them")

    def _add(self, trial: TrialConfig) -> None:
        self._n_complete += 1
        self._arrived.put(trial)

    def _wait(self) -> None:
        """Wait for the thread as long as it gets on."""
        self._thread.join(PATIENCE_S)
        if self._thread.is_alive():
            self._warn("waiting for MLflow; Ctrl-C leaves it, and the same command then adds what is missing")
        n_before = -1
        while self._thread.is_alive() and self._n_written > n_before:
            n_before = self._n_written
            self._thread.join(SILENCE_S)

    def _write(self) -> None:
        """The thread: take what has arrived, and try again with it what failed before."""
        store: RunStore | None = None
        ended = False
        while not ended:
            ended = self._take()
            try:
                store = store or RunStore(**self._settings)  # type: ignore[arg-type]
                while self._pending:
                    store.write(self._pending[0])
                    del self._pending[0]
                    self._n_written += 1
            except Exception as error:
                self._problem = _one_line(error)

    def _take(self) -> bool:
        """Wait for a trial, and take those that came with it; whether that was the last of them."""
        arrived = [self._arrived.get()]
        while not self._arrived.empty():
            arrived.append(self._arrived.get())
        self._pending += [trial for trial in arrived if trial is not None]
        return None in arrived


class RunStore:
    """MLflow's runs of one study, found by the trial that each stands for."""

    def __init__(self, uri: str, *, logdir: Path, experiments: Sequence[Experiment], description: Description) -> None:
        self._logdir = logdir
        self._objective = description.objective
        self._labels = {e.name: arm_labels(e, description) for e in experiments}
        with _quietly():
            self._client = _connect(uri or f"sqlite:///{(logdir / 'mlflow.db').resolve().as_posix()}")
            artifacts = None if uri.startswith(("http", "databricks")) else (logdir / "mlruns").resolve().as_uri()
            self._experiment_id = _find_experiment(self._client, artifacts)
            self._runs = {
                run.data.tags.get("trial_id", ""): run for run in _find_runs(self._client, self._experiment_id)
            }

    def write(self, trial: TrialConfig) -> None:
        """Make the trial's run, or, where it is there, name the experiments that it now serves too."""
        tags = experiment_tags(trial, self._labels)
        known = self._runs.get(trial.trial_id)
        if known is not None and known.info.status == "FINISHED":
            for name, arm in tags.items():
                if known.data.tags.get(name) != arm:
                    self._client.set_tag(known.info.run_id, name, arm)
            return
        if known is not None:  # left by a process that died
            self._client.delete_run(known.info.run_id)
        self._runs[trial.trial_id] = self._create(trial, tags)

    def _create(self, trial: TrialConfig, tags: dict[str, str]) -> Run:
        from mlflow.entities import Param

        folder = trial_folder(self._logdir, trial)
        result, run = read_result(folder / RESULT_FILE)
        start_ms, end_ms = _span_ms(run)
        created = self._client.create_run(
            self._experiment_id,
            start_time=start_ms,
            run_name=f"{trial.configuration.name} seed {trial.seed}",
            tags={**trial_tags(result, run), **tags},
        )
        run_id = created.info.run_id
        params = [Param(name, str(value)) for name, value in trial.configuration.items()]  # type: ignore[no-untyped-call]
        self._client.log_batch(run_id, params=params)
        for metrics in _chunks(trial_metrics(result, run, self._objective), METRICS_AT_ONCE):
            self._client.log_batch(run_id, metrics=metrics)
        for path in sorted(folder.rglob("*.toml")):
            self._client.log_artifact(run_id, str(path))
        self._client.set_terminated(run_id, "FINISHED", end_ms)
        return self._client.get_run(run_id)


def trial_tags(result: TrialResult, run: TrialRun) -> dict[str, str]:
    """What a run says of its trial beside the hyperparameters."""
    trial = result.trial
    return {
        "trial_id": trial.trial_id,
        "configuration": trial.configuration.name,
        "seed": str(trial.seed),
        "dataset": trial.data.dataset,
        "validation": trial.data.validation,
        "diverged": "yes" if result.diverged else "no",
        "host": run.host,
        "device": run.device,
    }


def experiment_tags(trial: TrialConfig, labels: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """`experiment.NAME: ARM` for each experiment that the trial serves; characters that MLflow refuses become _.

    `labels` are the arms of each experiment by configuration.
    """
    arms = {name: found.get(trial.configuration.name) for name, found in labels.items()}
    return {"experiment." + re.sub(r"[^\w./ -]", "_", name): arm for name, arm in arms.items() if arm is not None}


def trial_metrics(result: TrialResult, run: TrialRun, objective: Objective) -> list[Metric]:
    """The learning curve, a step per epoch from 1, then what the whole trial has; losses beyond all numbers are nan."""
    from mlflow.entities import Metric

    start_ms, end_ms = _span_ms(run)
    durations = run.epoch_duration_s or (run.duration_s / max(1, result.n_epochs),) * result.n_epochs
    times = [start_ms + int(1000 * s) for s in accumulate(durations)]
    metrics = [
        Metric(name, value if math.isfinite(value) else math.nan, time, step)
        for name, values in result.curves.items()
        for step, (value, time) in enumerate(zip(values, times, strict=True), start=1)
    ]
    metrics.append(Metric("duration_s", run.duration_s, end_ms, 0))
    if objective.name not in result.curves and math.isfinite(result.score):
        metrics.append(Metric(objective.name, result.score, end_ms, 0))
    if math.isfinite(result.test_score):
        metrics.append(Metric(objective.test_name, result.test_score, end_ms, 0))
    return metrics


def _connect(uri: str) -> MlflowClient:
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    if uri.startswith("sqlite:///"):
        sqlite3.connect(uri.removeprefix("sqlite:///")).close()  # raises at once where MLflow would try for minutes
    from mlflow import MlflowClient

    return MlflowClient(uri)


def _find_experiment(client: MlflowClient, artifacts: str | None) -> str:
    found = client.get_experiment_by_name(EXPERIMENT)
    if found:
        return str(found.experiment_id)
    kind = {"mlflow.experimentKind": "custom_model_development"}  # else the browser asks what kind it is
    return client.create_experiment(EXPERIMENT, artifact_location=artifacts, tags=kind)


def _find_runs(client: MlflowClient, experiment_id: str) -> Iterator[Run]:
    token: str | None = None
    while token is None or token:
        page = client.search_runs([experiment_id], max_results=1000, page_token=token)
        yield from page
        token = page.token or ""


def _span_ms(run: TrialRun) -> tuple[int, int]:
    start_ms = int(1000 * datetime.fromisoformat(run.started).timestamp())
    return start_ms, start_ms + int(1000 * run.duration_s)


def _chunks(values: Iterable[Any], n: int) -> Iterator[list[Any]]:
    iterator = iter(values)
    while chunk := list(islice(iterator, n)):
        yield chunk


@contextmanager
def _quietly() -> Iterator[None]:
    """Without the lines, one per table, with which a new database is announced."""
    logging.disable(logging.INFO)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)


def _one_line(error: Exception) -> str:
    if isinstance(error, ImportError):
        return f'{error}; install with: pip install "mlflow>=3" "sqlalchemy<2.1"'
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
