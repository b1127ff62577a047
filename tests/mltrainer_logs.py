"""Runs as mltrainer logs them, and what is read of them."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from gridstudy.records.foreign.runs import load_foreign

pytest.importorskip("torch")
from torch.utils.tensorboard.writer import SummaryWriter

SETTINGS = """\
[model]
epochs = {epochs}
metrics = ["Accuracy"]
logdir = "{logdir}"
train_steps = {train_steps}
valid_steps = 10
reporttypes = ["ReportTypes.TENSORBOARD", "ReportTypes.TOML"]
[model.optimizer_kwargs]
lr = {lr}
weight_decay = 1e-05

[model.earlystop_kwargs]
save = false
verbose = true
patience = {patience}


[types]
epochs = "int"
logdir = "{logdir_type}"
"""
WINDOWS = {"logdir": r"C:\Users\Zoë\new\1 x", "logdir_type": "WindowsPath"}
MODEL = '[model]\ntraining = true\nunits1 = {units1}\nunits2 = 32\nact = "<f at {address}>"\n[types]\nunits1 = "int"\n'


def write_events(
    folder, accuracies=(0.5, 0.6, 0.7), *, losses=None, tags=("Loss/train", "Loss/test"), first=0, **kwargs
):
    losses = losses or [1 / (i + 1) for i in range(len(accuracies))]
    with SummaryWriter(log_dir=str(folder), **kwargs) as writer:
        for step, (accuracy, loss) in enumerate(zip(accuracies, losses, strict=True), first):
            for tag in tags:
                writer.add_scalar(tag, loss, step, walltime=1_700_000_000 + 2 * step)
            writer.add_scalar("metric/Accuracy", accuracy, step, walltime=1_700_000_000 + 2 * step)
            writer.add_scalar("learning_rate", 0.001, step, walltime=1_700_000_000 + 2 * step)
    return next(folder.glob("events.out.tfevents.*"))


def write_settings(folder, *, epochs=3, train_steps=7, lr=0.001, patience=10, logdir="logs", logdir_type="PosixPath"):
    folder.mkdir(parents=True, exist_ok=True)
    values = {"epochs": epochs, "train_steps": train_steps, "lr": lr, "patience": patience}
    text = SETTINGS.format(**values, logdir=logdir, logdir_type=logdir_type)
    (folder / "settings.toml").write_text(text, encoding="utf-8")


def write_run(folder, accuracies=(0.5, 0.6, 0.7), *, units1=64, **settings):
    write_settings(folder, **settings)
    (folder / "model.toml").write_text(MODEL.format(units1=units1, address=hex(id(folder))))
    return write_events(folder, accuracies)


def load(logdir):
    trials, curves, problems = load_foreign(logdir, own_folders=())
    return pd.DataFrame(trials), pd.DataFrame(curves), [(Path(p["path"]), p["state"], p["reason"]) for p in problems]
