"""One trial: seed, network, mltrainer's loop, learning curve."""

from __future__ import annotations

import json
import os
import platform
import socket
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path, PosixPath, WindowsPath
from typing import Any

import numpy as np
import torch
from loguru import logger
from tensorboard.plugins.hparams import summary_v2 as hparams
from tomlserializer import TOMLSerializer
from torch import nn
from torch.utils.tensorboard.writer import SummaryWriter

from gridstudy.core.study import (
    HYPERPARAMETERS,
    Configuration,
    LearningCurve,
    TrialConfig,
    TrialResult,
    TrialRun,
    is_diverged,
)
from gridstudy.fashion.data import PreparedData, Split, Splits, index_batches, open_splits
from gridstudy.fashion.gradients import CrossEntropyGradients
from gridstudy.fashion.lean_mltrainer import Accuracy, Reporter, ReportTypes, Trainer, TrainerSettings
from gridstudy.fashion.network import MLP
from gridstudy.fashion.optimizers import OPTIMIZERS, FlatOptimizer
from gridstudy.fashion.products import Products, choose_products
from gridstudy.records.records import LOG_FILE, TRIAL_FILE, clear_trial, trial_folder, write_result

EVALUATION_BATCH_SIZE = 1000
"""Images scored at once, whatever the trial's own batch size; it divides every validation and test split."""

# tomlserializer escapes neither quotes nor backslashes, and does not know Windows' paths. A JSON string is a TOML one.
TOMLSerializer.register_type(str, lambda text: json.dumps(text, ensure_ascii=False), str)
for _path_type in (Path, PosixPath, WindowsPath):
    TOMLSerializer.register_type(_path_type, lambda path: json.dumps(str(path), ensure_ascii=False), Path)


class _Diverged(Exception):
    """Ends mltrainer's loop after an epoch whose loss was not finite."""


class _CurveReporter(Reporter):
    """Collects the learning curve and the seconds per epoch, and ends a trial that diverged."""

    def __init__(self) -> None:
        self.rows: list[tuple[float, float, float]] = []
        self.epoch_duration_s: list[float] = []
        self._epoch_started = time.perf_counter()

    def report(self, epoch: int, train_loss: float, test_loss: float, metric_dict: dict[str, float]) -> None:
        now = time.perf_counter()
        self.epoch_duration_s.append(now - self._epoch_started)
        self._epoch_started = now
        self.rows.append((train_loss, test_loss, metric_dict["Accuracy"]))  # mltrainer's "test" is our validation
        if is_diverged(train_loss, test_loss):
            raise _Diverged

    @property
    def curve(self) -> LearningCurve:
        return LearningCurve(*(tuple(column) for column in zip(*self.rows, strict=True)))


class _StudyTrainer(Trainer):
    """mltrainer's Trainer with updates that wait for nothing, scored on the whole validation split.

    The base class converts the loss of every batch to a number and averages metrics over batches.
    """

    def trainbatches(self) -> float:
        gradients = CrossEntropyGradients(self.model)
        return train_steps(gradients, self.optimizer, self.traindataloader, n_steps=self.settings.train_steps)

    def evalbatches(self) -> tuple[dict[str, float], float]:
        loss, accuracy = evaluate(self.model, self.loss_fn, self.validdataloader)
        return {"Accuracy": accuracy}, loss


def train_steps(
    gradients: CrossEntropyGradients,
    optimizer: FlatOptimizer,
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


@torch.no_grad()
def evaluate(model: MLP, loss_fn: nn.Module, split: Split, *, products: Products | None = None) -> tuple[float, float]:
    """Mean loss and accuracy (a fraction) of the model on a whole split.

    By default the products are those that `choose_products` chooses for the split's device.
    """
    products = products or choose_products(split.images.device)
    losses, n_correct = [], []
    for images, labels in zip(
        split.images.split(EVALUATION_BATCH_SIZE), split.labels.split(EVALUATION_BATCH_SIZE), strict=True
    ):
        logits = model.logits(scale_pixels(images), products)
        losses.append(loss_fn(logits, labels))
        n_correct.append((logits.argmax(dim=1) == labels).sum())
    loss = float(torch.stack(losses).cpu().double().mean())
    return loss, int(torch.stack(n_correct).sum()) / len(split.labels)


def _optimizer_settings(configuration: Configuration) -> dict[str, float]:
    settings = {"lr": configuration.learning_rate, "weight_decay": configuration.weight_decay}
    if configuration.optimizer == "SGD":
        settings["momentum"] = configuration.momentum
    return settings


def train_trial(
    trial: TrialConfig, splits: Splits, folder: Path, *, device: str = "cpu", attempt: int = 1
) -> tuple[TrialResult, TrialRun]:
    """Train one trial, writing mltrainer's logs to `folder`, which must exist; `splits` lie on `device`."""
    started, clock = datetime.now(UTC), time.perf_counter()
    with _one_thread(), _log_to(folder / LOG_FILE):
        _write_trial(folder, trial)
        trainer, curve_reporter = _make_trainer(trial, splits, folder, device)
        try:
            diverged = _run_loop(trainer)
            _, test_accuracy = (0.0, float("nan")) if diverged else _score_test(trainer, splits)
        finally:
            _close(trainer.writer)
    result = TrialResult(trial, curve_reporter.curve, test_accuracy=test_accuracy, diverged=diverged)
    run = TrialRun(
        started=started.isoformat(timespec="seconds"),
        duration_s=time.perf_counter() - clock,
        epoch_duration_s=tuple(curve_reporter.epoch_duration_s),
        attempt=attempt,
        **describe_machine(device),
    )
    return result, run


def _make_trainer(
    trial: TrialConfig, splits: Splits, folder: Path, device: str
) -> tuple[_StudyTrainer, _CurveReporter]:
    configuration = trial.configuration
    torch.manual_seed(trial.seed)
    trainer = _StudyTrainer(
        model=MLP(configuration.units),
        settings=TrainerSettings(
            epochs=configuration.epochs,
            metrics=[Accuracy()],
            logdir=folder,
            train_steps=configuration.train_steps,
            valid_steps=len(splits.validation.labels) // EVALUATION_BATCH_SIZE,
            reporttypes=[ReportTypes.TENSORBOARD, ReportTypes.TOML],
            optimizer_kwargs=_optimizer_settings(configuration),
            scheduler_kwargs=None,
            earlystop_kwargs=None,
        ),
        loss_fn=nn.CrossEntropyLoss(),
        optimizer=OPTIMIZERS[configuration.optimizer],
        traindataloader=training_batches(splits.train, batch_size=configuration.batch_size, seed=trial.seed),
        validdataloader=splits.validation,
        scheduler=None,
        device=device,
    )
    assert trainer.writer is not None
    _write_hparams(trainer.writer, trial)
    curve_reporter = _CurveReporter()
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


def _score_test(trainer: Trainer, splits: Splits) -> tuple[float, float]:
    return evaluate(trainer.model, trainer.loss_fn, splits.test)


def _close(writer: SummaryWriter | None) -> None:
    if writer is not None:  # mltrainer closes it only when the trainer is collected
        writer.close()


class _SerializableTrial:
    """A trial as flat public attributes, which is what tomlserializer writes."""

    def __init__(self, trial: TrialConfig) -> None:
        values = asdict(trial)
        self.__dict__.update(values.pop("configuration"), trial_id=trial.trial_id, **values)


def _write_trial(folder: Path, trial: TrialConfig) -> None:
    TOMLSerializer.save(_SerializableTrial(trial), folder / TRIAL_FILE)


def _write_hparams(writer: SummaryWriter, trial: TrialConfig) -> None:
    """Make the trial a session of its configuration's group, over which TensorBoard averages."""
    group = f"{trial.configuration.name} ({trial.dataset}, {trial.validation})"
    writer._get_file_writer().add_summary(hparams.hparams_pb(asdict(trial.configuration), trial_id=group))


def write_hparams_header(logdir: Path) -> None:
    """Declare, once at the root of the logs, the hyperparameters and metrics of TensorBoard's HParams table."""
    if any(logdir.glob("events.out.tfevents.*")):
        return
    metrics = [
        hparams.Metric("metric/Accuracy", display_name="validation accuracy"),
        hparams.Metric("Loss/test", display_name="validation loss"),
        hparams.Metric("Loss/train", display_name="train loss"),
    ]
    keys = [hparams.HParam(name) for name in HYPERPARAMETERS]
    with SummaryWriter(log_dir=str(logdir)) as writer:
        writer._get_file_writer().add_summary(hparams.hparams_config_pb(keys, metrics))


@contextmanager
def _one_thread() -> Iterator[None]:
    """Sums of floats depend on the number of threads, so every trial has one."""
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(n_threads)


@contextmanager
def _log_to(path: Path) -> Iterator[None]:
    name = str(path).replace("{", "{{").replace("}", "}}")  # loguru fills in what stands in braces
    layout = "{time:YYYY-MM-DD HH:mm:ss.SSS} {level} {message}"
    sink = logger.add(
        name, format=layout, encoding="utf-8", catch=False
    )  # a full disk ends the trial, not only its log
    try:
        yield
    finally:
        logger.remove(sink)


@lru_cache(maxsize=1)
def _machine() -> dict[str, Any]:
    packages = ("torch", "mltrainer", "numpy", "tensorboard", "tomlserializer")
    return {
        "host": socket.gethostname(),
        "platform": platform.platform(),
        "versions": {"python": platform.python_version(), **{name: version(name) for name in packages}},
    }


def describe_machine(device: str) -> dict[str, Any]:
    """Host, platform, device and package versions, as a trial's record gives them."""
    name = torch.cuda.get_device_name() if device.startswith("cuda") else device
    return {**_machine(), "device": name}


def choose_device(requested: str) -> tuple[str, str]:
    """The device to train on and why; raises ValueError when the one that was asked for is not there."""
    found = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if requested != "auto":
        if not found[requested]:
            raise ValueError(f"torch finds no {requested} device here; use --device auto or --device cpu")
        return requested, "as asked for"
    if found["cuda"]:
        return "cuda", f"torch finds {torch.cuda.get_device_name()}"
    if found["mps"]:
        return "mps", "torch finds Apple's GPU"
    return "cpu", "torch finds no GPU"


@lru_cache(maxsize=1)
def _splits_on(prepared: PreparedData, device: str) -> Splits:
    """The splits, opened once per process; on an accelerator they are copied there."""
    splits = open_splits(prepared)
    if device == "cpu":
        return splits
    return Splits(
        *(Split(s.images.to(device), s.labels.to(device)) for s in (splits.train, splits.validation, splits.test))
    )


def run_trial(
    trial: TrialConfig, *, prepared: PreparedData, logdir: Path, device: str, attempt: int
) -> tuple[TrialResult, TrialRun]:
    """Clear the trial's folder, train it there and complete it with its result."""
    folder = trial_folder(logdir, trial)
    clear_trial(folder)
    result, run = train_trial(trial, _splits_on(prepared, device), folder, device=device, attempt=attempt)
    write_result(folder, result, run)
    return result, run


def estimate_seconds(
    configurations: Iterable[Configuration], *, prepared: PreparedData, device: str
) -> dict[Configuration, float]:
    """Seconds that a trial of each configuration would take, from a few timed updates and evaluations."""
    splits = _splits_on(prepared, device)
    with _one_thread():
        timings = {shape: _time_steps(c, splits, device) for shape, c in {_shape(c): c for c in configurations}.items()}
    seconds = {}
    for c in configurations:
        per_update, per_image = timings[_shape(c)]
        n_scored = c.epochs * prepared.n_validation + prepared.n_test
        seconds[c] = c.updates * per_update + n_scored * per_image
    return seconds


def _shape(configuration: Configuration) -> tuple[object, ...]:
    """What the cost of an update depends on."""
    return configuration.batch_size, configuration.units, configuration.optimizer, configuration.momentum > 0


def _time_steps(configuration: Configuration, splits: Splits, device: str, n_steps: int = 10) -> tuple[float, float]:
    """Seconds per update and per scored image."""
    model = MLP(configuration.units).to(device)
    optimizer = OPTIMIZERS[configuration.optimizer](model.parameters(), **_optimizer_settings(configuration))
    batches = training_batches(splits.train, batch_size=configuration.batch_size, seed=0)
    gradients = CrossEntropyGradients(model)
    train_steps(gradients, optimizer, batches, n_steps=3)
    clock = time.perf_counter()
    train_steps(gradients, optimizer, batches, n_steps=n_steps)
    per_update = (time.perf_counter() - clock) / n_steps
    few = Split(splits.validation.images[:EVALUATION_BATCH_SIZE], splits.validation.labels[:EVALUATION_BATCH_SIZE])
    clock = time.perf_counter()
    evaluate(model, nn.CrossEntropyLoss(), few)
    return per_update, (time.perf_counter() - clock) / EVALUATION_BATCH_SIZE


def quiet_process() -> None:
    """Keep mltrainer's log lines off the terminal of this process; each trial has its log file."""
    logger.remove()
    if torch.cuda.is_available():
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True)
