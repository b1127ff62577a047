from __future__ import annotations

import math
import os
import subprocess
import sys
import time

import pytest

from grid_search_experiments import main
from gridstudy.core.labels import arm_labels
from gridstudy.fashion.subject import SUBJECT
from gridstudy.records.trials import RESULT_FILE
from gridstudy.running.launchers import InProcessLauncher
from gridstudy.running.mlflow_log import ENVIRONMENT, MLflowProgress, experiment_tags, trial_metrics
from gridstudy.running.planning import plan_trials
from gridstudy.running.progress import StudyTracker
from gridstudy.running.runner import run_study
from tests.conftest import DATA, TWO_BY_TWO, FakeTrainer, fake_result, fake_run


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    """MLflow's settings end with the test; the test that sets them is the first to import it."""
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    pytest.importorskip("mlflow.store.tracking.sqlalchemy_store", exc_type=ImportError)


@pytest.fixture
def run(tmp_path, experiment):
    """Run the 2x2 study with a fake trainer; returns the summary and the warnings."""

    def run(*, mlflow=True, uri="", seeds=range(1), experiments=(experiment,), train=None):
        warnings = []
        progress = StudyTracker()
        if mlflow:
            progress = MLflowProgress(
                progress, uri=uri, logdir=tmp_path, experiments=experiments, description=SUBJECT.describe(DATA),
                warn=warnings.append,
            )  # fmt: skip
        summary = run_study(
            plan_trials(experiments, seeds, subject=SUBJECT, data=DATA, logdir=tmp_path),
            logdir=tmp_path,
            train=train or FakeTrainer(tmp_path),
            launcher=InProcessLauncher(),
            progress=progress,
        )
        return summary, [w for w in warnings if "waiting for MLflow" not in w]  # as it may on a busy machine

    return run


@pytest.fixture
def client(tmp_path):
    from mlflow import MlflowClient

    return lambda: MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}")


def _runs(client):
    experiment = client().get_experiment_by_name("gridstudy")
    return client().search_runs([experiment.experiment_id])


@pytest.mark.slow
def test_each_trial_is_one_run_with_parameters_metrics_tags_and_files(run, client, make_trial, tmp_path):
    summary, warnings = run()
    assert warnings == []
    runs = {r.data.tags["trial_id"]: r for r in _runs(client)}
    assert sorted(runs) == sorted(result.trial.trial_id for result in summary.results)
    trial = make_trial(3)
    one = runs[trial.trial_id]
    assert one.info.status == "FINISHED"
    assert one.info.run_name == f"{trial.configuration.name} seed 0"
    assert one.data.params["units1"] == "32"
    assert one.data.params["learning_rate"] == "0.01"
    assert {
        "seed": "0",
        "dataset": "garments-small",
        "configuration": trial.configuration.name,
    }.items() <= one.data.tags.items()
    assert one.data.tags["experiment.two_by_two"] == "units in layer 1 32, learning rate 1e-2"
    history = client().get_metric_history(one.info.run_id, "validation_accuracy")
    assert [(m.step, m.value) for m in history] == [(1, 0.8), (2, 0.81)]
    assert [m.timestamp - one.info.start_time for m in history] == [500, 1000]
    assert one.data.metrics["test_accuracy"] == 0.79
    assert [a.path for a in client().list_artifacts(one.info.run_id)] == [RESULT_FILE]
    assert len(list((tmp_path / "mlruns").rglob(RESULT_FILE))) == 4


@pytest.mark.slow
def test_resuming_doubles_no_run_and_adds_those_that_are_missing(run, client):
    run(mlflow=False)
    run(seeds=range(2))
    first = {r.data.tags["trial_id"]: r.info.run_id for r in _runs(client)}
    assert len(first) == 8
    run(seeds=range(2))
    assert {r.data.tags["trial_id"]: r.info.run_id for r in _runs(client)} == first
    assert len(_runs(client)) == 8


@pytest.mark.slow
def test_a_run_gets_the_tag_of_an_experiment_that_it_serves_later(run, client, experiment):
    run()
    later = SUBJECT.parse({**TWO_BY_TWO, "name": "later"})
    run(experiments=(experiment, later))
    tags = [set(r.data.tags) for r in _runs(client)]
    assert len(tags) == 4
    assert all({"experiment.two_by_two", "experiment.later"} <= names for names in tags)


@pytest.mark.slow
def test_a_run_that_a_dead_process_left_half_written_is_made_anew(run, client, make_trial):
    run()
    whole = next(r for r in _runs(client) if r.data.tags["trial_id"] == make_trial().trial_id)
    client().update_run(whole.info.run_id, status="RUNNING")
    run()
    runs = [r for r in _runs(client) if r.data.tags["trial_id"] == make_trial().trial_id]
    assert [r.info.status for r in runs] == ["FINISHED"]
    assert runs[0].info.run_id != whole.info.run_id


@pytest.mark.parametrize("uri", ["sqlite:////nowhere/at/all/mlflow.db", "http://127.0.0.1:9", "nonsense://x"])
def test_a_store_that_fails_costs_no_trial_and_one_line(run, uri):
    summary, warnings = run(uri=uri)
    assert (summary.n_run, summary.failures) == (4, {})
    (warning,) = warnings
    assert warning.startswith("4 trials were not logged to MLflow (")
    assert warning.endswith("); rerun the command to add them")
    assert "\n" not in warning


@pytest.mark.slow
def test_a_store_that_is_locked_for_a_while_gets_the_runs_later(run, client, tmp_path, monkeypatch):
    from gridstudy.running.mlflow_log import RunStore

    write, calls = RunStore.write, []

    def write_or_fail(self, trial):
        calls.append(trial)
        if len(calls) == 1:
            raise OSError("database is locked")
        write(self, trial)

    monkeypatch.setattr(RunStore, "write", write_or_fail)
    _, warnings = run()
    assert warnings in (
        [],
        ["4 trials were not logged to MLflow (OSError: database is locked); rerun the command to add them"],
    )
    run()
    assert len(_runs(client)) == 4


def test_a_diverged_trial_has_no_test_accuracy_and_its_losses_are_no_numbers(make_trial):
    metrics = trial_metrics(fake_result(make_trial(), diverged=True), fake_run(), SUBJECT.objective)
    assert "test_accuracy" not in {m.key for m in metrics}
    assert math.isnan([m.value for m in metrics if m.key == "train_loss"][-1])


def test_a_name_that_mlflow_refuses_is_spelled_in_letters_that_it_takes(make_trial):
    experiment = SUBJECT.parse(
        {**TWO_BY_TWO, "fixed": {**TWO_BY_TWO["fixed"], "train_steps": 5}}, overrides={"train_steps": 3}
    )
    labels = {experiment.name: arm_labels(experiment, SUBJECT.describe(DATA))}
    (tag,) = experiment_tags(make_trial(), labels).items()
    assert tag == ("experiment.two_by_two_train_steps_3_", "units in layer 1 16, learning rate 1e-3")


def test_a_word_that_is_no_uri_gets_one_line_and_nothing_is_written(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["--mlflow", "epochs"]) == 2
    assert "error: --mlflow takes the URI of a store" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_store_that_never_answers_is_left_alone_after_a_while(run, monkeypatch):
    from gridstudy.running import mlflow_log

    monkeypatch.setattr(mlflow_log, "PATIENCE_S", 0.1)
    monkeypatch.setattr(mlflow_log, "SILENCE_S", 1.0)
    monkeypatch.setattr(mlflow_log, "_connect", lambda uri: time.sleep(5))
    summary, warnings = run()
    assert summary.n_run == 4
    assert warnings == ["4 trials were not logged to MLflow (it took none in 1 s); rerun the command to add them"]


@pytest.mark.slow
def test_mlflow_is_imported_in_the_thread_only_and_without_telemetry():
    environment = {name: value for name, value in os.environ.items() if name not in ENVIRONMENT}
    code = "import sys, grid_search_experiments, gridstudy.running.mlflow_log; sys.exit('mlflow' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)
    code = (
        "import sys; from gridstudy.running.mlflow_log import _connect; _connect('http://127.0.0.1:9'); "
        "from mlflow.telemetry.utils import is_telemetry_disabled; sys.exit(not is_telemetry_disabled())"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)
