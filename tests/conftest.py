"""A 2x2 study, a fake trainer, and small data, for all tests."""

from __future__ import annotations

import hashlib
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from gridstudy.core.experiment import Experiment
from gridstudy.core.subject import Data
from gridstudy.core.trial import DataIdentity, TrialConfig, TrialResult, TrialRun
from gridstudy.fashion import sources
from gridstudy.fashion.data import PreparedData, prepare
from gridstudy.fashion.subject import SUBJECT
from gridstudy.records.attempts import place_attempt, start_attempt
from gridstudy.records.trials import trial_folder, write_result
from tests.fashion_mnist import TINY, idx_bytes

if TYPE_CHECKING:
    from tests.pictures import Study

TWO_BY_TWO = {
    "name": "two_by_two",
    "question": "Does width matter?",
    "hypothesis": "Wide beats narrow.",
    "scientific": ["units1", "learning_rate"],
    "contrasts": [{"better": {"units1": 32, "learning_rate": 0.001}, "worse": {"units1": 16, "learning_rate": 0.001}}],
    "fixed": {"epochs": 2, "train_steps": 3, "batch_size": 8, "units2": 8},
    "grid": {"units1": [16, 32], "learning_rate": [0.001, 0.01]},
}

IDENTITY = DataIdentity("garments-small", "0" * 12, "1" * 12, "holdout")
DATA = Data(None, IDENTITY, {"train": 5_000, "validation": 1_000, "test": 1_000})


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Keep the data that tests make out of the user's cache."""
    import os

    folder = tmp_path_factory.mktemp("cache")
    os.environ["GRIDSTUDY_CACHE"] = str(folder)
    return folder


@pytest.fixture(scope="session")
def small_data(cache: Path) -> PreparedData:
    return prepare("garments-small", cache_dir=cache, warn=lambda message: None)


@pytest.fixture
def isolated(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No test sees the user's caches, data or network."""
    from mads_datasets.settings import fashionmnistsettings

    monkeypatch.setenv("GRIDSTUDY_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("FASHION_MNIST_DIR", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "home"))
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(fashionmnistsettings, "dataset_url", "http://127.0.0.1:9/fashionmnist.pt")


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder of four good IDX files of 60 and 20 images, which pass for Fashion-MNIST."""
    rng = np.random.default_rng(0)
    folder = tmp_path / "idx"
    folder.mkdir()
    files, arrays = [], []
    for idx in sources.IDX_FILES:
        n = TINY["train" if idx.name.startswith("train") else "test"]
        shape = (n, *idx.shape[1:])
        array = (rng.integers(0, 256, shape) if len(shape) == 3 else rng.permutation(n) % 10).astype(np.uint8)
        content = idx_bytes(array)
        (folder / idx.name).write_bytes(content)
        files.append(sources.IdxFile(idx.name, shape, hashlib.md5(content).hexdigest()))
        arrays.append(array)
    monkeypatch.setattr(sources, "IDX_FILES", tuple(files))
    monkeypatch.setattr(sources, "FASHION_MNIST_FINGERPRINT", sources.fingerprint_official(sources.Official(*arrays)))
    return folder


@pytest.fixture
def no_figure_left_open() -> Iterator[None]:
    yield
    if "matplotlib.pyplot" in sys.modules:
        assert not sys.modules["matplotlib.pyplot"].get_fignums()


@pytest.fixture
def experiment() -> Experiment:
    return SUBJECT.parse(TWO_BY_TWO)


@pytest.fixture
def make_trial(experiment: Experiment) -> Callable[..., TrialConfig]:
    def make(number: int = 0, seed: int = 0) -> TrialConfig:
        return TrialConfig(SUBJECT.name, experiment.configurations[number], seed, IDENTITY, SUBJECT.training_version)

    return make


class FakeTrainer:
    """Stands for training: writes what a trial writes, at once. `failing` trials raise, as often as it says."""

    def __init__(self, logdir: Path, failing: dict[TrialConfig, int] | None = None) -> None:
        self.logdir = logdir
        self.failing = failing or {}
        self.trained: list[TrialConfig] = []

    def __call__(self, trials: tuple[TrialConfig], *, attempt: int) -> list[tuple[TrialResult, TrialRun]]:
        (trial,) = trials
        folder = trial_folder(self.logdir, trial)
        own = start_attempt(folder, attempt=attempt)
        if attempt <= self.failing.get(trial, 0):
            raise RuntimeError("no luck")
        self.trained.append(trial)
        result, run = fake_result(trial), fake_run(attempt)
        write_result(own, result, run)
        place_attempt(own, folder)
        return [(result, run)]


def fake_result(trial: TrialConfig, *, diverged: bool = False) -> TrialResult:
    epochs = int(trial.configuration["epochs"])
    accuracies = tuple(0.8 + 0.01 * epoch + 0.001 * trial.seed for epoch in range(epochs))
    losses = tuple(1 / (epoch + 1) for epoch in range(epochs))
    if diverged:
        losses = (*losses[:-1], float("nan"))
    curves = {"train_loss": losses, "validation_loss": losses, "validation_accuracy": accuracies}
    score = 0.1 if diverged else accuracies[-1]
    return TrialResult(trial, score, diverged, curves, test_score=float("nan") if diverged else 0.79)


def fake_run(attempt: int = 1, n_epochs: int = 2) -> TrialRun:
    return TrialRun(
        started="2026-01-01T00:00:00+00:00",
        duration_s=1.0,
        cpu_s=0.9,
        epoch_duration_s=(0.5,) * n_epochs,
        attempt=attempt,
        host="here",
        platform="test",
        device="cpu",
        versions={"python": "3"},
    )


def wait_until(condition: Callable[[], bool], *, timeout_s: float = 60.0) -> None:
    """Wait for something that happens in another process; fail when it does not."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def group_exists(pid: int) -> bool:
    """Whether a process of this group is there."""
    try:
        os.killpg(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.fixture
def run(tmp_path, monkeypatch, capsys, small_data):
    """Run the command line in an empty folder; returns exit code, stdout and stderr."""
    from grid_search_experiments import main

    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        code = main([str(argument) for argument in arguments])
        return code, *capsys.readouterr()

    return run


@pytest.fixture
def study() -> Study:
    """A whole study with its estimates, for the figures."""
    from tests.pictures import whole_study

    return whole_study()
