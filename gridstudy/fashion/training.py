"""One trial: seed, network, mltrainer's loop, learning curve."""

from __future__ import annotations

import math
import os
import time
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from loguru import logger
from tensorboard.plugins.hparams import summary_v2 as hparams
from tomlserializer import TOMLSerializer
from torch import nn
from torch.utils.tensorboard.writer import SummaryWriter

from gridstudy.core.errors import StudyError
from gridstudy.core.experiment import Experiment
from gridstudy.core.space import Configuration
from gridstudy.core.subject import Data, Report
from gridstudy.core.trial import Outcome, TrialConfig, is_diverged
from gridstudy.core.values import Value
from gridstudy.fashion.data import PreparedData, Split, Splits, index_batches, open_splits
from gridstudy.fashion.gradients import CrossEntropyGradients
from gridstudy.fashion.lean_mltrainer import Accuracy, Reporter, ReportTypes, Trainer, TrainerSettings
from gridstudy.fashion.network import MLP
from gridstudy.fashion.optimizers import OPTIMIZERS, Optimizer
from gridstudy.fashion.products import Products, choose_products, describe_products
from gridstudy.fashion.space import HYPERPARAMETERS, N_CLASSES, layer_widths
from gridstudy.records.attempts import place_of
from gridstudy.records.tables import load_plans

EVALUATION_BATCH_SIZE = 1000
"""Images scored at once, whatever the trial's own batch size; it divides every validation and test split."""


class _Diverged(Exception):
    """Ends mltrainer's loop after an epoch whose loss was not finite."""


class _CurveReporter(Reporter):
    """Passes the metrics of each epoch on, and ends a trial that diverged."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self.score = math.nan

    def report(self, epoch: int, train_loss: float, test_loss: float, metric_dict: dict[str, float]) -> None:
        self.score = metric_dict["Accuracy"]
        # mltrainer's "test" is our validation
        self._report({"train_loss": train_loss, "validation_loss": test_loss, "validation_accuracy": self.score})
        if is_diverged(train_loss, test_loss):
            raise _Diverged


class _StudyTrainer(Trainer):
    """mltrainer's Trainer with updates that wait for nothing, scored on the whole validation split.

    The base class converts the loss of every batch to a number and averages metrics over batches.
    """

    def trainbatches(self) -> float:
        gradients = CrossEntropyGradients(self.model)
        return train_steps(gradients, self.optimizer, self.traindataloader, n_steps=self.settings.train_steps)

    def evalbatches(self) -> tuple[dict[str, float], float]:
        self.evaluation = evaluate(self.model, self.loss_fn, self.validdataloader)
        return {"Accuracy": self.evaluation.accuracy}, self.evaluation.loss


def train_steps(
    gradients: CrossEntropyGradients,
    optimizer: Optimizer,
    batches: Iterable[tuple[torch.Tensor, torch.Tensor]],
    *,
    n_steps: int,
) -> float:
    """Update the parameters on the next `n_steps` batches; return the mean of their losses."""
    losses = []
    for _, (images, labels) in zip(range(n_steps), batches, strict=False):
        losses.append(gradients(images, labels))
        optimizer.step()
    return float(torch.stack(losses).cpu().double().mean())


def scale_pixels(images: torch.Tensor) -> torch.Tensor:
    """Grey levels, uint8 (B, 784) -> fractions, float32 (B, 784)."""
    return images.to(torch.float32).div_(255)


def training_batches(split: Split, *, batch_size: int, seed: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Endless batches, float32 (batch_size, 784) and int64 (batch_size,), in an order that the seed fixes."""
    order_seed = int(np.random.SeedSequence([seed, 1]).generate_state(1, np.uint64)[0] >> np.uint64(1))
    generator = torch.Generator().manual_seed(order_seed)
    for indices in index_batches(
        len(split.labels), batch_size=batch_size, generator=generator, device=split.images.device
    ):
        yield scale_pixels(split.images.index_select(0, indices)), split.labels.index_select(0, indices)


@dataclass(frozen=True)
class Evaluation:
    """Mean loss, accuracy (a fraction) and predicted classes of a model on a whole split."""

    loss: float
    accuracy: float
    predicted: torch.Tensor


@torch.no_grad()
def evaluate(model: MLP, loss_fn: nn.Module, split: Split, *, products: Products | None = None) -> Evaluation:
    """Score the model on a whole split.

    By default the products are those that `choose_products` chooses for the split's device.
    """
    products = products or choose_products(split.images.device)
    losses, predicted = [], []
    for images, labels in zip(
        split.images.split(EVALUATION_BATCH_SIZE), split.labels.split(EVALUATION_BATCH_SIZE), strict=True
    ):
        logits = model.logits(scale_pixels(images), products)
        losses.append(loss_fn(logits, labels))
        predicted.append(logits.argmax(dim=1))
    classes = torch.cat(predicted)
    return Evaluation(
        loss=float(torch.stack(losses).cpu().double().mean()),
        accuracy=int((classes == split.labels).sum()) / len(split.labels),
        predicted=classes,
    )


def _optimizer_settings(configuration: Mapping[str, Any]) -> dict[str, float]:
    settings = {"lr": configuration["learning_rate"], "weight_decay": configuration["weight_decay"]}
    if configuration["optimizer"] == "SGD":
        settings["momentum"] = configuration["momentum"]
    return settings


def train(trial: TrialConfig, content: Content, folder: Path, device: str, report: Report) -> Outcome:
    """Train one trial through mltrainer, writing its logs to `folder`, which must exist."""
    splits = splits_on(content, device)
    with _one_thread():
        trainer, curve_reporter = _make_trainer(trial, splits, folder, device, report)
        try:
            if _run_loop(trainer):
                return Outcome(math.nan, diverged=True)
            test_accuracy = evaluate(trainer.model, trainer.loss_fn, splits.test).accuracy
            confusion = count_confusions(splits.validation.labels, trainer.evaluation.predicted)
        finally:
            _close(trainer.writer)
    return Outcome(curve_reporter.score, test_score=test_accuracy, confusion=confusion)


def _make_trainer(
    trial: TrialConfig, splits: Splits, folder: Path, device: str, report: Report
) -> tuple[_StudyTrainer, _CurveReporter]:
    values: Mapping[str, Any] = trial.configuration
    torch.manual_seed(trial.seed)
    trainer = _StudyTrainer(
        model=MLP(layer_widths(values)),
        settings=TrainerSettings(
            epochs=values["epochs"],
            metrics=[Accuracy()],
            logdir=folder,
            train_steps=values["train_steps"],
            valid_steps=len(splits.validation.labels) // EVALUATION_BATCH_SIZE,
            reporttypes=[ReportTypes.TENSORBOARD, ReportTypes.TOML],
            optimizer_kwargs=_optimizer_settings(values),
            scheduler_kwargs=None,
            earlystop_kwargs=None,
        ),
        loss_fn=nn.CrossEntropyLoss(),
        optimizer=OPTIMIZERS[values["optimizer"]],
        traindataloader=training_batches(splits.train, batch_size=values["batch_size"], seed=trial.seed),
        validdataloader=splits.validation,
        scheduler=None,
        device=device,
    )
    trainer.settings.logdir = place_of(folder)  # where the logs will lie
    TOMLSerializer.save(trainer.settings, trainer.log_dir / "settings.toml")
    assert trainer.writer is not None
    _write_hparams(trainer.writer, trial)
    curve_reporter = _CurveReporter(report)
    trainer.reporters.append(curve_reporter)
    return trainer, curve_reporter


def _run_loop(trainer: Trainer) -> bool:
    """Run mltrainer's loop; say whether the trial diverged."""
    try:
        trainer.loop()
    except _Diverged:
        logger.info("The loss is not finite: the trial has diverged and ends here.")
        return True
    return False


def _close(writer: SummaryWriter | None) -> None:
    if writer is not None:  # mltrainer closes it only when the trainer is collected
        writer.close()


def count_confusions(labels: torch.Tensor, predicted: torch.Tensor) -> list[list[int]]:
    """Count examples by true class (row) and predicted class (column)."""
    counts = torch.bincount(labels * N_CLASSES + predicted, minlength=N_CLASSES**2)
    rows: list[list[int]] = counts.reshape(N_CLASSES, N_CLASSES).tolist()
    return rows


# --- TensorBoard ---------------------------------------------------------------------------------------------------


def _write_hparams(writer: SummaryWriter, trial: TrialConfig) -> None:
    """Make the trial a session of its configuration's group, over which TensorBoard averages."""
    group = f"{trial.configuration.name} ({trial.data.dataset}, {trial.data.validation})"
    writer._get_file_writer().add_summary(hparams.hparams_pb(dict(trial.configuration), trial_id=group))


def write_hparams_header(logdir: Path, experiments: Sequence[Experiment]) -> None:
    """Declare the hyperparameters that vary, and the metrics, of TensorBoard's HParams table.

    The file at the root of the logs is written anew when experiments add values, so that the columns fit all of them.
    """
    values = _values_in(logdir, experiments)
    varied = {name: found for name, found in values.items() if len(found) > 1}
    keys = [hparams.HParam(name, _domain(found)) for name, found in varied.items()]
    metrics = [
        hparams.Metric("metric/Accuracy", display_name="validation accuracy"),
        hparams.Metric("Loss/test", display_name="validation loss"),
        hparams.Metric("Loss/train", display_name="train loss"),
    ]
    for old in logdir.glob("events.out.tfevents.*"):
        with suppress(OSError):  # Windows keeps a file that TensorBoard has open
            old.unlink()
    with SummaryWriter(log_dir=str(logdir)) as writer:
        writer._get_file_writer().add_summary(hparams.hparams_config_pb(keys, metrics))


def _values_in(logdir: Path, experiments: Sequence[Experiment]) -> dict[str, list[Value]]:
    """The values that each hyperparameter takes in these experiments and in those planned before."""
    planned = [*experiments, *(plan.experiment for plan in load_plans(logdir)[0])]
    configurations = [c for experiment in planned for c in experiment.configurations]
    found = {h.name: {c[h.name]: None for c in configurations if h.name in c} for h in HYPERPARAMETERS}
    return {name: sorted(values, key=lambda v: (isinstance(v, str), v)) for name, values in found.items()}


def _domain(values: Sequence[Value]) -> Any:
    """Numbers as a discrete domain of numbers, which TensorBoard orders; texts as texts."""
    return hparams.Discrete(values) if len({type(v) for v in values}) == 1 else hparams.Discrete(list(map(str, values)))


# --- processes and devices -----------------------------------------------------------------------------------------


@contextmanager
def _one_thread() -> Iterator[None]:
    """Sums of floats depend on the number of threads, so every trial has one."""
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(n_threads)


def describe_machine(device: str) -> dict[str, str]:
    """The device's own name, and how its matrix products are computed."""
    name = torch.cuda.get_device_name() if device.startswith("cuda") else device
    return {"device": name, "arithmetic": describe_products(device)}


def choose_device(requested: str) -> tuple[str, str]:
    """The device to train on and why; raises StudyError when the one that was asked for is not there."""
    found = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if requested != "auto":
        if not found[requested]:
            raise StudyError(f"torch finds no {requested} device here; use --device auto or --device cpu")
        return requested, "as requested"
    if found["cuda"]:
        return "cuda", f"torch finds {torch.cuda.get_device_name()}"
    if found["mps"]:
        return "mps", "torch finds Apple's GPU"
    return "cpu", "torch finds no GPU"


def quiet_process() -> None:
    """Keep mltrainer's log lines off the terminal of this process; each trial has its log file."""
    logger.remove()
    if torch.cuda.is_available():
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True)


# --- data ----------------------------------------------------------------------------------------------------------

SplitArrays = dict[str, tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]]
"""Images and labels of each split, by its name."""
Content = PreparedData | SplitArrays
"""What trials are trained on: a cache on this machine, or the arrays themselves."""


def split_arrays(prepared: PreparedData) -> SplitArrays:
    """The splits as arrays, which an object store hands to the processes of a machine without copying them."""
    splits = open_splits(prepared)
    pairs = {name: getattr(splits, name) for name in Splits.__dataclass_fields__}
    return {name: (split.images.numpy(), split.labels.numpy()) for name, split in pairs.items()}


def splits_on(content: Content, device: str) -> Splits:
    """The splits on a device; those of a cache are opened once per process."""
    return _opened(content, device) if isinstance(content, PreparedData) else _from_arrays(content, device)


@lru_cache(maxsize=1)
def _opened(prepared: PreparedData, device: str) -> Splits:
    splits = open_splits(prepared)
    if device == "cpu":
        return splits
    return Splits(
        *(Split(s.images.to(device), s.labels.to(device)) for s in (splits.train, splits.validation, splits.test))
    )


def _from_arrays(arrays: SplitArrays, device: str) -> Splits:
    with warnings.catch_warnings():  # the arrays are read-only, of which torch warns; training never writes to them
        warnings.filterwarnings("ignore", "The given NumPy array is not writable", UserWarning)
        pairs = {name: [torch.from_numpy(array).to(device) for array in pair] for name, pair in arrays.items()}
    return Splits(**{name: Split(images, labels) for name, (images, labels) in pairs.items()})


# --- estimates of time ---------------------------------------------------------------------------------------------


def estimate_seconds(configurations: Iterable[Configuration], data: Data, device: str) -> dict[Configuration, float]:
    """Seconds that a trial of each configuration would take, from a few timed updates and evaluations."""
    splits = splits_on(data.content, device)
    with _one_thread():
        timings = {shape: _time_steps(c, splits, device) for shape, c in {_shape(c): c for c in configurations}.items()}
    seconds = {}
    for c in configurations:
        per_update, per_image = timings[_shape(c)]
        n_scored = int(c["epochs"]) * data.sizes["validation"] + data.sizes["test"]
        seconds[c] = c.budgets["updates"] * per_update + n_scored * per_image
    return seconds


def _shape(configuration: Mapping[str, Any]) -> tuple[object, ...]:
    """What the cost of an update depends on."""
    names = ("batch_size", "units1", "units2", "depth", "optimizer")
    return *(configuration[name] for name in names), configuration["momentum"] > 0


def _time_steps(
    configuration: Mapping[str, Any], splits: Splits, device: str, *, n_steps: int = 3, n_images: int = 250
) -> tuple[float, float]:
    """Seconds per update and per scored image; a rough figure, since no trial starts before all are timed."""
    model = MLP(layer_widths(configuration)).to(device)
    optimizer = OPTIMIZERS[configuration["optimizer"]](model.parameters(), **_optimizer_settings(configuration))
    batches = training_batches(splits.train, batch_size=configuration["batch_size"], seed=0)
    gradients = CrossEntropyGradients(model)
    train_steps(gradients, optimizer, batches, n_steps=1)
    clock = time.perf_counter()
    train_steps(gradients, optimizer, batches, n_steps=n_steps)
    per_update = (time.perf_counter() - clock) / n_steps
    few = Split(splits.validation.images[:n_images], splits.validation.labels[:n_images])
    clock = time.perf_counter()
    evaluate(model, nn.CrossEntropyLoss(), few)
    return per_update, (time.perf_counter() - clock) / n_images
