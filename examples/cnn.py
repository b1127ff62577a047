"""A subject of one's own with torch: a small convolutional network on Fashion-MNIST, through mltrainer.

python grid_search_experiments.py --subject examples/cnn.py --logdir logs_cnn --seeds 3
python analyze_results.py --logdir logs_cnn --output cnn
"""

from __future__ import annotations

import torch
from torch import nn

import gridstudy as gs
from gridstudy.fashion.lean_mltrainer import Accuracy, Reporter, ReportTypes, Trainer, TrainerSettings
from gridstudy.fashion.subject import prepare_data
from gridstudy.fashion.training import scale_pixels, splits_on, training_batches


def build_network(filters: int, dropout: float) -> nn.Sequential:
    """Two convolutions with pooling, dropout, and a linear layer: images (B, 784) -> logits (B, 10)."""
    return nn.Sequential(
        nn.Unflatten(1, (1, 28, 28)), nn.Conv2d(1, filters, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(filters, 2 * filters, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Dropout(dropout), nn.Linear(2 * filters * 49, 10),
    )  # fmt: skip


class CurveReporter(Reporter):
    """Hands each epoch's metrics of mltrainer to the study."""

    def __init__(self, report) -> None:
        self.pass_on, self.score = report, 0.0

    def report(self, epoch, train_loss, test_loss, metric_dict) -> None:
        self.score = float(metric_dict["Accuracy"])
        self.pass_on({"train_loss": train_loss, "validation_loss": test_loss, "validation_accuracy": self.score})


def train(trial, content, folder, device, report) -> gs.Outcome:
    """Train one network with mltrainer's loop and plain autograd."""
    values, splits = trial.configuration, splits_on(content, device)
    torch.manual_seed(trial.seed)
    torch.set_num_threads(1)  # sums of floats depend on the number of threads
    images, labels = splits.validation.images.split(1000), splits.validation.labels.split(1000)
    trainer = Trainer(
        model=build_network(values["filters"], values["dropout"]), loss_fn=nn.CrossEntropyLoss(),
        optimizer=torch.optim.Adam, scheduler=None, device=device,
        traindataloader=training_batches(splits.train, batch_size=64, seed=trial.seed),
        validdataloader=[(scale_pixels(i), j) for i, j in zip(images, labels, strict=True)],
        settings=TrainerSettings(
            epochs=values["epochs"], metrics=[Accuracy()], logdir=folder, train_steps=100, valid_steps=len(labels),
            reporttypes=[ReportTypes.TENSORBOARD], scheduler_kwargs=None, earlystop_kwargs=None,
            optimizer_kwargs={"lr": values["learning_rate"]},
        ),
    )  # fmt: skip
    curve = CurveReporter(report)
    trainer.reporters.append(curve)
    trainer.loop()
    return gs.Outcome(curve.score)


subject = gs.Subject(
    name="cnn", train=train, prepare=lambda: prepare_data(warn=print), epochs="epochs", packages=("torch", "mltrainer"),
    space=[gs.Hyperparameter("epochs", 3, low=1, high=100), gs.Hyperparameter("dropout", 0.0, low=0.0, high=0.9),
           gs.Hyperparameter("filters", 8, low=1, high=256, scale="log2"),
           gs.Hyperparameter("learning_rate", 1e-3, low=1e-6, high=1.0, scale="log10", label="learning rate")],
    objective=gs.Objective("validation_accuracy", chance=0.1, quantity="accuracy"),
    budgets=lambda v: {"updates": 100 * v["epochs"], "examples": 6400 * v["epochs"],
                       "parameters": 18 * v["filters"] ** 2 + 992 * v["filters"] + 10},
    cost=lambda v: 6400 * v["epochs"] * v["filters"] ** 2,
    experiments=[
        {"name": "filters", "question": "How many filters does a small convolutional network need?",
         "hypothesis": "16 filters beat 4.", "scientific": ["filters"], "treatment_budgets": ["parameters"],
         "contrasts": [{"better": {"filters": 16}, "worse": {"filters": 4}}], "grid": {"filters": [4, 8, 16]}},
        {"name": "dropout_x_filters", "question": "Does dropout help more where there are more filters?",
         "scientific": ["dropout", "filters"], "grid": {"dropout": [0.0, 0.5], "filters": [4, 16]}},
    ],
)  # fmt: skip
