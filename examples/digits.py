"""A subject of one's own without torch: scikit-learn's multilayer perceptron on its own 8x8 digits.

python grid_search_experiments.py --subject examples/digits.py --logdir logs_digits
python analyze_results.py --logdir logs_digits --output digits
"""

from __future__ import annotations

import warnings

from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import confusion_matrix
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier

import gridstudy as gs


def prepare() -> gs.Data:
    """Split 1,797 digits into 1,197 for training, 300 for validation and 300 for the test."""
    images, labels = load_digits(return_X_y=True)
    rest, test, rest_labels, test_labels = train_test_split(
        images / 16, labels, test_size=300, random_state=0, stratify=labels
    )
    train, validation, train_labels, validation_labels = train_test_split(
        rest, rest_labels, test_size=300, random_state=0, stratify=rest_labels
    )
    return gs.make_data(
        "digits", train=(train, train_labels), validation=(validation, validation_labels), test=(test, test_labels),
        class_names=[str(digit) for digit in range(10)], origin="scikit-learn",
    )  # fmt: skip


def train(trial, data, folder, device, report) -> gs.Outcome:
    """Train one network, an epoch at a time, and score it on the validation digits."""
    values = trial.configuration
    network = MLPClassifier(
        hidden_layer_sizes=(values["units"],), learning_rate_init=values["learning_rate"], alpha=values["l2"],
        batch_size=64, max_iter=1, warm_start=True, random_state=trial.seed,
    )  # fmt: skip
    images, labels = data["validation"]
    for _ in range(values["epochs"]):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # one epoch per call is what we want
            network.fit(*data["train"])
        report({"train_loss": network.loss_, "validation_accuracy": network.score(images, labels)})
    return gs.Outcome(
        network.score(images, labels), test_score=network.score(*data["test"]),
        confusion=confusion_matrix(labels, network.predict(images)).tolist(),
    )  # fmt: skip


subject = gs.Subject(
    name="digits",
    space=[
        gs.Hyperparameter("epochs", 10, low=1, high=200),
        gs.Hyperparameter("units", 32, low=1, high=1024, scale="log2"),
        gs.Hyperparameter("learning_rate", 1e-3, low=1e-6, high=1.0, scale="log10", label="learning rate"),
        gs.Hyperparameter("l2", 1e-4, low=0.0, high=10.0, scale="log10", label="L2 penalty"),
    ],
    train=train, prepare=prepare, epochs="epochs", packages=("scikit-learn",),
    objective=gs.Objective("validation_accuracy", chance=0.1, quantity="accuracy", test_name="test_accuracy"),
    budgets=lambda v: {"examples": v["epochs"] * 1197, "parameters": v["units"] * (64 + 1 + 10) + 10},
    cost=lambda v: v["epochs"] * 1197 * v["units"] * 75,
    experiments=[
        {"name": "units", "question": "How many hidden units do the digits need?",
         "hypothesis": "64 units beat 8.", "scientific": ["units"], "treatment_budgets": ["parameters"],
         "contrasts": [{"better": {"units": 64}, "worse": {"units": 8}}], "grid": {"units": [8, 16, 32, 64, 128]}},
        {"name": "learning_rate", "question": "Which learning rate is best after ten epochs?",
         "hypothesis": "1e-2 beats 1e-4.", "scientific": ["learning_rate"],
         "contrasts": [{"better": {"learning_rate": 1e-2}, "worse": {"learning_rate": 1e-4}}],
         "grid": {"learning_rate": [1e-4, 1e-3, 1e-2]}},
    ],
)  # fmt: skip
