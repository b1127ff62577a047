"""What the parts of a study cost: commands, updates, evaluation, and a trial beside them."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from importlib import import_module
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from benchmarks.measurement import Measurement
from benchmarks.rounds import Run
from benchmarks.setting import ROOT, Setting, clocked, time_command
from gridstudy.core.subject import Data
from gridstudy.core.trial import DataIdentity, TrialConfig
from gridstudy.fashion.space import layer_widths
from gridstudy.fashion.subject import SUBJECT
from gridstudy.running.subjects import SubjectSource
from gridstudy.running.trials import run_trials

if TYPE_CHECKING:
    from gridstudy.fashion.data import PreparedData

SOURCE = SubjectSource(module="gridstudy.fashion.subject")
TINY = {"epochs": 1, "train_steps": 1, "batch_size": 4, "units1": 16, "units2": 16}


def measure_commands(setting: Setting, run: Run | None) -> Iterator[Measurement]:
    """`--help`, and the analysis of a finished run."""
    command = [sys.executable, str(ROOT / "grid_search_experiments.py"), "--help"]
    yield Measurement("phases", "--help", median(time_command(command, setting)[1] for _ in range(5)), "s")
    if run is None:
        return
    output = setting.work / "analysis"
    command = [sys.executable, str(ROOT / "analyze_results.py"), "--logdir", str(run.logdir), "--output", str(output)]
    yield Measurement("phases", f"analysis of {run.n_trained} trials", time_command(command, setting)[1], "s")


def measure_updates(prepared: PreparedData, folder: Path, *, n_updates: int = 300) -> list[Measurement]:
    """What an update of the baseline costs by phase, what an epoch and a trial cost beside updates; one thread."""
    import torch

    from gridstudy.fashion.data import open_splits

    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        splits = open_splits(prepared)
        return [
            *_measure_phases(_baseline_trial(prepared), splits, folder / "phases", n_updates),
            *_measure_fixed(prepared, splits, folder / "fixed"),
        ]
    finally:
        torch.set_num_threads(n_threads)


def _baseline_trial(prepared: PreparedData, values: Mapping[str, Any] | None = None) -> TrialConfig:
    return TrialConfig(SUBJECT.name, SUBJECT.configure(values or {}), 0, DataIdentity(**prepared.identity))


def _measure_phases(trial: TrialConfig, splits: Any, folder: Path, n_updates: int) -> Iterator[Measurement]:
    from gridstudy.fashion import training
    from gridstudy.fashion.gradients import CrossEntropyGradients

    training.quiet_process()
    folder.mkdir()
    trainer, _ = training._make_trainer(trial, splits, folder, "cpu", lambda metrics: None)
    gradients = CrossEntropyGradients(trainer.model)
    times: dict[str, list[float]] = {name: [] for name in ("batch", "forward", "gradients", "optimizer")}
    for _ in range(n_updates):
        (images, labels), s = clocked(lambda: next(trainer.traindataloader))
        times["batch"].append(s)
        times["forward"].append(clocked(partial(gradients._forward, images))[1])
        times["gradients"].append(clocked(partial(gradients, images, labels))[1])
        times["optimizer"].append(clocked(trainer.optimizer.step)[1])
    typical = {name: median(values) for name, values in times.items()}
    typical["backward"] = typical.pop("gradients") - typical["forward"]
    n_steps = trial.configuration["train_steps"]
    reports = [clocked(partial(trainer.report, epoch, 0.5, 0.5, {"Accuracy": 0.8}))[1] for epoch in range(30)]
    typical["logging"] = median(reports) / n_steps
    whole = median(clocked(trainer.trainbatches)[1] / n_steps for _ in range(5))
    for name in ("batch", "forward", "backward", "optimizer", "logging"):
        yield Measurement("update of the baseline", name, 1e6 * typical[name], "us")
    yield Measurement("update of the baseline", "all, in the study's own loop", 1e6 * whole, "us")
    scored = median(clocked(trainer.evalbatches)[1] for _ in range(5))
    n_images = len(splits.validation.labels)
    yield Measurement("phases", f"evaluation of the baseline on {n_images:,} images", 1e3 * scored, "ms")
    trainer.writer.close()


def _measure_fixed(prepared: PreparedData, splits: Any, logdir: Path) -> Iterator[Measurement]:
    """What a trial costs that trains next to nothing, its two evaluations taken off."""
    from gridstudy.fashion import training
    from gridstudy.fashion.network import MLP

    trial = _baseline_trial(prepared, TINY)
    data = Data(prepared, trial.data)
    run = partial(run_trials, source=SOURCE, data=data, logdir=logdir, device="cpu", attempt=1)
    first, *others = (replace(trial, seed=seed) for seed in range(10))  # a trial that is complete is not run again
    model, loss_fn = MLP(layer_widths(trial.configuration)), import_module("torch").nn.CrossEntropyLoss()
    run((first,))
    scored = [
        median(clocked(partial(training.evaluate, model, loss_fn, split))[1] for _ in range(5))
        for split in (splits.validation, splits.test)
    ]
    fixed = median(clocked(partial(run, (one,)))[1] for one in others) - sum(scored)
    yield Measurement("phases", "a trial beside its updates and evaluations", 1e3 * fixed, "ms")
