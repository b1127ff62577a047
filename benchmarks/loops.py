"""The loops that people write: `python -m benchmarks.loops NAME WORK LOGDIR`."""

from __future__ import annotations

import importlib.util
import json
import multiprocessing
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import lru_cache, partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from gridstudy.fashion.space import layer_widths
from gridstudy.fashion.subject import SUBJECT

if TYPE_CHECKING:
    import torch

JOB_FILE, SPLITS_FILE = "job.json", "splits.pt"
PACKAGES = {"bare": "torch", "naive": "mltrainer", "optuna": "optuna", "ray": "ray.tune"}
JOBS = 2
"""Trials at a time that the bare loop, Optuna and Ray Tune are given."""


class Objective(Protocol):
    """Trains entry `number` and returns its validation loss."""

    def __call__(self, number: int) -> float: ...


def train_naively(configuration: Mapping[str, Any], *, data_dir: Path, logdir: Path, n_validation: int) -> float:
    """Train as course scripts do, data loaded anew and streamed image by image; return the last validation loss."""
    import torch
    from mads_datasets.factories.torchfactories import FashionDatasetFactory
    from mads_datasets.settings import fashionmnistsettings
    from mltrainer import ReportTypes, Trainer, TrainerSettings, metrics
    from mltrainer.preprocessors import BasePreprocessor

    from gridstudy.fashion.network import MLP

    streamers: Mapping[str, Any] = FashionDatasetFactory(fashionmnistsettings, datadir=data_dir).create_datastreamer(
        batchsize=configuration["batch_size"], preprocessor=BasePreprocessor()
    )
    settings = {"lr": configuration["learning_rate"], "weight_decay": configuration["weight_decay"]}
    trainer = Trainer(
        model=MLP(layer_widths(configuration)),
        settings=TrainerSettings(
            epochs=configuration["epochs"],
            metrics=[metrics.Accuracy()],
            logdir=logdir,
            train_steps=configuration["train_steps"],
            valid_steps=max(1, n_validation // configuration["batch_size"]),
            reporttypes=[ReportTypes.TENSORBOARD, ReportTypes.TOML],
            optimizer_kwargs=settings | ({"momentum": configuration["momentum"]} if configuration["momentum"] else {}),
            scheduler_kwargs=None,
            earlystop_kwargs=None,
        ),
        loss_fn=torch.nn.CrossEntropyLoss(),
        optimizer=getattr(torch.optim, configuration["optimizer"]),
        traindataloader=streamers["train"].stream(),
        validdataloader=streamers["valid"].stream(),
        scheduler=None,
    )
    trainer.loop()
    return float(trainer.test_loss)


def train_entry(number: int, *, work: Path, logdir: Path) -> float:
    """Train entry `number` of the job that `write_job` left in `work`, through mltrainer."""
    return train_naively(
        read_job(work, number),
        data_dir=work / "mads",
        logdir=logdir / f"entry{number:03d}",
        n_validation=_load_job(work)["n_validation"],
    )


def read_job(work: Path, number: int) -> Mapping[str, Any]:
    """The configuration of entry `number`."""
    return SUBJECT.configure(_load_job(work)["entries"][number])


def _load_job(work: Path) -> dict[str, Any]:
    job: dict[str, Any] = json.loads((work / JOB_FILE).read_text(encoding="utf-8"))
    return job


def train_barely(configuration: Mapping[str, Any], *, splits_file: Path) -> tuple[float, float]:
    """Train in plain torch on data in memory; return the last validation accuracy and the test accuracy."""
    import torch

    from gridstudy.fashion.network import MLP

    splits = load_splits(splits_file)
    torch.manual_seed(0)
    model, loss_fn = MLP(layer_widths(configuration)), torch.nn.CrossEntropyLoss()
    optimizer = make_optimizer(configuration, model)
    batches = shuffle_endlessly(*splits["train"], batch_size=configuration["batch_size"])
    accuracy = 0.0
    for _ in range(configuration["epochs"]):
        for _ in range(configuration["train_steps"]):
            images, labels = next(batches)
            optimizer.zero_grad()
            loss_fn(model(images), labels).backward()
            optimizer.step()
        accuracy = score(model, *splits["validation"])
    return accuracy, score(model, *splits["test"])


@lru_cache(maxsize=1)
def load_splits(path: Path) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    """The splits as fractions, float32 (N, 784), and labels; once per process."""
    import torch

    return {
        name: (images.float() / 255, labels) for name, (images, labels) in torch.load(path, weights_only=True).items()
    }


def make_optimizer(configuration: Mapping[str, Any], model: torch.nn.Module) -> torch.optim.Optimizer:
    """The optimizer of torch, fused where torch has that."""
    import torch

    name = configuration["optimizer"]
    settings: dict[str, Any] = {"lr": configuration["learning_rate"], "weight_decay": configuration["weight_decay"]}
    if name == "SGD":
        settings["momentum"] = configuration["momentum"]
    settings["foreach" if name == "RMSprop" else "fused"] = True
    optimizer: torch.optim.Optimizer = getattr(torch.optim, name)(model.parameters(), **settings)
    return optimizer


def shuffle_endlessly(
    images: torch.Tensor, labels: torch.Tensor, *, batch_size: int
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Whole batches of one random order after another."""
    import torch

    while True:
        order = torch.randperm(len(labels))
        for batch in order[: len(order) // batch_size * batch_size].split(batch_size):
            yield images[batch], labels[batch]


def score(model: torch.nn.Module, images: torch.Tensor, labels: torch.Tensor) -> float:
    """Accuracy, a fraction."""
    import torch

    with torch.no_grad():
        pairs = zip(images.split(1000), labels.split(1000), strict=True)
        return sum(int((model(x).argmax(1) == y).sum()) for x, y in pairs) / len(labels)


def train_entry_barely(number: int, *, work: Path, logdir: Path) -> float:
    """Train entry `number` in plain torch and leave its two accuracies in a file; return the first."""
    accuracies = train_barely(read_job(work, number), splits_file=work / SPLITS_FILE)
    (logdir / f"entry{number:03d}.txt").write_text(" ".join(map(str, accuracies)), encoding="utf-8")
    return accuracies[0]


def use_one_thread() -> None:
    """Leave the other cores to the other processes."""
    import torch

    torch.set_num_threads(1)


def run_bare(objective: Objective, n_entries: int, work: Path) -> None:
    """A pool of JOBS processes of one thread each."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(JOBS, mp_context=context, initializer=use_one_thread) as pool:
        for _ in pool.map(objective, range(n_entries)):
            pass


def run_naive(objective: Objective, n_entries: int, work: Path) -> None:
    """One trial after another."""
    for number in range(n_entries):
        objective(number)


def run_optuna(objective: Objective, n_entries: int, work: Path) -> None:
    """Optuna's GridSampler over the entries, JOBS at a time."""
    optuna = import_module("optuna")
    sampler = optuna.samplers.GridSampler({"entry": list(range(n_entries))}, seed=0)
    study = optuna.create_study(sampler=sampler, direction="minimize")
    study.optimize(
        lambda trial: objective(trial.suggest_int("entry", 0, max(1, n_entries - 1))), n_trials=n_entries, n_jobs=JOBS
    )


def run_ray(objective: Objective, n_entries: int, work: Path) -> None:
    """Ray Tune's grid search over the entries on JOBS CPUs, one for each trial."""
    from gridstudy.running.ray_launcher import import_ray

    ray = import_ray(local=True)
    tune = import_module("ray.tune")
    ray.init(address="local", num_cpus=JOBS, include_dashboard=False)
    try:
        tuner = tune.Tuner(
            tune.with_resources(lambda config: {"loss": objective(config["entry"])}, {"cpu": 1}),
            param_space={"entry": tune.grid_search(list(range(n_entries)))},
            run_config=tune.RunConfig(storage_path=str(work / "ray"), verbose=0),
        )
        results = tuner.fit()
        if results.errors:
            raise results.errors[0]
    finally:
        ray.shutdown()


_RUN_LOOP: Mapping[str, Callable[[Objective, int, Path], None]] = {
    "bare": run_bare,
    "naive": run_naive,
    "optuna": run_optuna,
    "ray": run_ray,
}


def is_installed(loop: str) -> bool:
    """Whether the loop's package is here."""
    try:
        return importlib.util.find_spec(PACKAGES[loop]) is not None
    except ModuleNotFoundError:
        return False


def main(argv: Sequence[str] | None = None) -> int:
    """Run one of the loops over all entries."""
    loop, work, logdir = sys.argv[1:] if argv is None else argv
    Path(logdir).mkdir(parents=True)
    train = train_entry_barely if loop == "bare" else train_entry
    n_entries = len(_load_job(Path(work))["entries"])
    _RUN_LOOP[loop](partial(train, work=Path(work), logdir=Path(logdir)), n_entries, Path(work))
    return 0


if __name__ == "__main__":
    sys.exit(main())
