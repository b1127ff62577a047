"""Make the samples of other programs' results in tests/samples, each with the program's own version.

Each was made in a scratch environment, for example:

    python3.11 -m venv /tmp/mlflow && /tmp/mlflow/bin/pip install mlflow==3.17.2
    USER=somebody /tmp/mlflow/bin/python tests/samples/make_samples.py mlflow tests/samples

Databases are kept as their SQL text, since an empty one has several hundred kB, and `mlruns` as one archive. Before
0.3, mltrainer needs ray beside it; 0.1.124 also gin-config and Python 3.11.
"""

from __future__ import annotations

import math
import os
import shutil
import socket
import sqlite3
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

LEARNING_RATES = (0.1, 0.01)
SEEDS = (0, 1, 2)


def main() -> None:
    """Make the samples of one program: `mlflow`, `optuna` or `mltrainer`."""
    kind, samples = sys.argv[1], Path(sys.argv[2]).resolve()
    samples.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        {"mlflow": make_mlflow, "optuna": make_optuna, "mltrainer": make_mltrainer}[kind](samples)


def dump(database: Path, target: Path) -> None:
    """Write a database as SQL text."""
    with closing(sqlite3.connect(database)) as connection:
        target.write_text("\n".join(connection.iterdump()) + "\n", encoding="utf-8")


def make_mlflow(samples: Path) -> None:
    """Make a store with two experiments; in `grid` six finished runs, one failed, one running, one deleted."""
    import mlflow

    version = ".".join(mlflow.__version__.split(".")[:2])
    stores = {"sqlite": f"sqlite:///{Path('mlflow.db').resolve()}"}
    if mlflow.__version__ < "3.6":
        stores["mlruns"] = Path("mlruns").resolve().as_uri()
    for kind, uri in stores.items():
        mlflow.set_tracking_uri(uri)
        mlflow.set_experiment("grid")
        for lr in LEARNING_RATES:
            for seed in SEEDS:
                log_run(mlflow, lr, seed)
        log_run(mlflow, 0.1, 3, status="FAILED")
        deleted = log_run(mlflow, 0.1, 4)
        mlflow.delete_run(deleted)
        mlflow.tracking.MlflowClient().create_run(mlflow.get_experiment_by_name("grid").experiment_id)
        mlflow.set_experiment("other")
        log_run(mlflow, 0.1, 0)
        if kind == "sqlite":
            dump(Path("mlflow.db"), samples / f"mlflow-{version}.sql")
            make_nested(mlflow, samples)
        else:
            shutil.make_archive(str(samples / f"mlruns-{version}"), "gztar", ".", "mlruns")


def make_nested(mlflow, samples: Path) -> None:
    """Make a store with two sweeps: a parent each, which repeats the best value of the runs nested in it."""
    mlflow.set_tracking_uri(f"sqlite:///{Path('nested.db').resolve()}")
    mlflow.set_experiment("sweeps")
    for lr in LEARNING_RATES:
        with mlflow.start_run(run_name=f"sweep-{lr}"):
            for seed in SEEDS:
                with mlflow.start_run(run_name=f"lr{lr}-seed{seed}", nested=True):
                    mlflow.log_params({"lr": lr, "seed": seed})
                    mlflow.log_metric("accuracy", 0.8 + seed / 100 - lr)
            mlflow.log_metric("accuracy", 0.8 + max(SEEDS) / 100 - lr)
    dump(Path("nested.db"), samples / "mlflow-nested.sql")


def log_run(mlflow, lr: float, seed: int, *, status: str = "FINISHED") -> str:
    """A run with its learning rate as a parameter, its width in one text and its seed in a tag."""
    with mlflow.start_run(run_name=f"lr{lr}-seed{seed}") as run:
        mlflow.log_params({"lr": lr, "config": f"ModelConfig(hidden_size=64, dropout={lr / 2})"})
        mlflow.set_tag("seed", seed)
        for step in (0, 1, 2):
            mlflow.log_metric("metric/Accuracy", 0.5 + step / 10 + seed / 100 - lr, step=step)
        mlflow.log_metric("metric/Accuracy", 0.5 + seed / 100 - lr, step=0)
        mlflow.log_metric("loss", math.nan if seed == 1 else 1.0)
        if status != "FINISHED":
            mlflow.end_run(status)
    return run.info.run_id


def make_optuna(samples: Path) -> None:
    """Make a study with complete, pruned and failed trials, one configuration repeated; in SQLite and as a journal."""
    import optuna

    version = optuna.__version__.split(".")[0]
    journal = samples / f"optuna-{version}.journal"
    journal.unlink(missing_ok=True)
    backend = optuna.storages.journal.JournalFileBackend(str(journal))
    for storage in ("sqlite:///optuna.db", optuna.storages.JournalStorage(backend)):
        study = optuna.create_study(
            study_name="width", storage=storage, direction="maximize", sampler=optuna.samplers.RandomSampler(seed=0)
        )
        optuna.create_study(study_name="empty", storage=storage)
        for width in (16, 32, 32, 64):
            study.enqueue_trial({"width": width, "activation": "relu"})
        study.optimize(objective, n_trials=6, catch=(ValueError,))
    dump(Path("optuna.db"), samples / f"optuna-{version}.sql")


def objective(trial) -> float:
    """Trials 4 and 5 are pruned and fail."""
    import optuna

    width = trial.suggest_int("width", 8, 64)
    trial.suggest_categorical("activation", ["relu", "tanh"])
    trial.set_user_attr("seed", trial.number % 2)
    for step in (1, 2):
        trial.report(width / 100 + step / 10, step)
    if trial.number == 4:
        raise optuna.TrialPruned
    if trial.number == 5:
        raise ValueError("out of memory")
    return width / 100 + trial.number / 1000


def make_mltrainer(samples: Path) -> None:
    """Make four runs of two widths, of which one was interrupted, as this version's Trainer logs them."""
    from importlib.metadata import version

    import torch
    from mltrainer import ReportTypes, Trainer, TrainerSettings, metrics

    number = version("mltrainer")
    logdir = Path("logs")
    with_gin = hasattr(ReportTypes, "GIN")
    for seed, width in enumerate((8, 16, 16, 8)):
        torch.manual_seed(seed)
        if with_gin:
            bind_gin(width)
        settings = TrainerSettings(
            epochs=3, metrics=[metrics.Accuracy()], logdir=logdir, train_steps=2, valid_steps=2,
            reporttypes=[ReportTypes.TENSORBOARD, ReportTypes.GIN if with_gin else ReportTypes.TOML],
        )  # fmt: skip
        layers = torch.nn.Flatten(), torch.nn.Linear(16, width), torch.nn.ReLU(), torch.nn.Linear(width, 10)
        trainer = Trainer(
            torch.nn.Sequential(*layers), settings, torch.nn.CrossEntropyLoss(), torch.optim.Adam,
            batches(), batches(), torch.optim.lr_scheduler.ReduceLROnPlateau,
        )  # fmt: skip
        if seed == 3:
            trainer.settings.epochs = 1
        trainer.loop()
        trainer.writer.close()
        time.sleep(1.1)  # folders are named by the second
    target = samples / f"mltrainer-{number}"
    shutil.rmtree(target, ignore_errors=True)
    for folder in sorted(logdir.iterdir()):
        for path in folder.iterdir():
            renamed = path.name.replace(socket.gethostname(), "host")
            (target / folder.name).mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target / folder.name / renamed)


def bind_gin(width: int) -> None:
    """What a notebook of that time did: bind the sizes, and save the configuration beside the log."""
    import gin

    gin.clear_config()
    if "net" not in globals():
        globals()["net"] = gin.external_configurable(dict, name="NeuralNetwork", module="models")
    gin.parse_config(
        f"# sizes\nNeuralNetwork.units1 = {width}\nNeuralNetwork.units2 = 8\nNeuralNetwork.dropout = 0.1\n"
    )


def batches():
    import torch

    while True:
        yield torch.rand(16, 1, 4, 4), torch.randint(0, 10, (16,))


if __name__ == "__main__":
    main()
