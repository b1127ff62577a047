from __future__ import annotations

import subprocess
import sys
import tomllib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from gridstudy.core.study import Configuration, TrialConfig
from gridstudy.fashion.data import open_splits
from gridstudy.fashion.network import MLP
from gridstudy.fashion.training import evaluate, scale_pixels, train_trial, training_batches

SHORT = {"epochs": 2, "train_steps": 20, "batch_size": 16, "units1": 32, "units2": 16}


@pytest.fixture(scope="module")
def splits(small_data):
    return open_splits(small_data)


@pytest.fixture
def train(small_data, splits, tmp_path):
    def train(seed=0, **values):
        trial = TrialConfig(Configuration.from_values({**SHORT, **values}), seed, **small_data.identity)
        folder = tmp_path / f"{len(list(tmp_path.iterdir()))}"
        folder.mkdir()
        return train_trial(trial, splits, folder)[0], folder

    return train


def test_the_network_has_the_layers_and_parameters_of_its_configuration():
    configuration = Configuration.from_values({"depth": 3, "units1": 64, "units2": 32})
    network = MLP(configuration.units)
    assert network(torch.zeros(5, 1, 28, 28)).shape == (5, 10)
    assert sum(p.numel() for p in network.parameters()) == configuration.parameters


def test_one_seed_gives_the_same_bits_and_another_seed_others(train):
    assert train()[0] == train()[0]
    assert train()[0].curve != train(seed=1)[0].curve


@pytest.fixture
def threads():
    """Set the number of torch's threads, and put it back."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def test_any_number_of_threads_gives_the_same_bits(train, threads):
    results = []
    for n_threads in (1, 2, 3, 8):
        threads(n_threads)
        results.append(train(batch_size=64, units1=512, units2=512)[0])
        assert torch.get_num_threads() == n_threads
    assert results[1:] == results[:-1]


def test_fewer_epochs_are_the_first_epochs_of_more(train):
    short, long = train(epochs=2)[0].curve, train(epochs=3)[0].curve
    assert short.validation_accuracy == long.validation_accuracy[:2]
    assert short.train_loss == long.train_loss[:2]
    assert short.validation_loss == long.validation_loss[:2]


def _train_plainly(configuration, splits, n_steps):
    """The textbook loop: separate parameters, autograd, an optimizer as torch makes it."""
    torch.manual_seed(0)
    model, loss_fn = MLP(configuration.units), torch.nn.CrossEntropyLoss()
    settings = {"lr": configuration.learning_rate, "weight_decay": configuration.weight_decay}
    optimizer = getattr(torch.optim, configuration.optimizer)(model.parameters(), **settings)
    batches = training_batches(splits.train, batch_size=configuration.batch_size, seed=0)
    for _, (images, labels) in zip(range(n_steps), batches, strict=False):
        optimizer.zero_grad()
        loss_fn(model(images), labels).backward()
        optimizer.step()
    return model


@pytest.mark.parametrize("optimizer", ["SGD", "Adam", "AdamW", "RMSprop"])
def test_training_computes_what_the_textbook_loop_computes(splits, train, optimizer):
    configuration = Configuration.from_values({**SHORT, "epochs": 1, "optimizer": optimizer, "learning_rate": 0.003})
    plain = _train_plainly(configuration, splits, n_steps=SHORT["train_steps"])
    loss, accuracy = evaluate(plain, torch.nn.CrossEntropyLoss(), splits.validation)
    curve = train(epochs=1, optimizer=optimizer, learning_rate=0.003)[0].curve
    assert curve.validation_loss[-1] == pytest.approx(loss, rel=1e-4)
    assert curve.validation_accuracy[-1] == pytest.approx(accuracy, abs=0.003)


def test_batches_are_permutations_one_after_another(splits):
    n = len(splits.train.labels)
    batches = training_batches(splits.train, batch_size=n // 4, seed=3)
    first = [next(batches) for _ in range(4)]
    assert torch.equal(torch.cat([y for _, y in first]).bincount(), splits.train.labels.bincount())
    again = training_batches(splits.train, batch_size=n // 4, seed=3)
    assert torch.equal(first[0][0], next(again)[0])
    other = training_batches(splits.train, batch_size=n // 4, seed=4)
    assert not torch.equal(first[0][1], next(other)[1])


def test_pixels_are_fractions():
    assert torch.equal(scale_pixels(torch.tensor([[0, 51, 255]], dtype=torch.uint8)), torch.tensor([[0.0, 0.2, 1.0]]))


def test_evaluation_scores_the_whole_split(splits):
    torch.manual_seed(0)
    model, loss_fn = MLP((16,)), torch.nn.CrossEntropyLoss()
    with torch.no_grad():
        logits = model(scale_pixels(splits.test.images))
    loss, accuracy = evaluate(model, loss_fn, splits.test)
    assert accuracy == pytest.approx((logits.argmax(1) == splits.test.labels).double().mean().item())
    assert loss == pytest.approx(loss_fn(logits, splits.test.labels).item(), rel=1e-6)


def test_a_trial_diverges_as_an_outcome_with_its_curve(train):
    result, _ = train(learning_rate=1e12, optimizer="SGD", epochs=3)
    assert result.diverged
    assert 1 <= len(result.curve) < 3
    assert np.isnan(result.test_accuracy)


def test_it_learns(train):
    result, _ = train(epochs=3, train_steps=100, learning_rate=3e-3)
    assert result.objective > 0.5
    assert result.test_accuracy == pytest.approx(result.objective, abs=0.1)


def test_the_folder_holds_what_mltrainer_and_we_write_and_every_toml_parses(train):
    _, folder = train()
    (timestamped,) = [p for p in folder.iterdir() if p.is_dir()]
    names = {p.name.split(".")[0] + p.suffix if "tfevents" not in p.name else "events" for p in timestamped.iterdir()}
    assert names == {"model.toml", "settings.toml", "events"}
    for path in folder.rglob("*.toml"):
        tomllib.loads(path.read_text(encoding="utf-8"))
    assert tomllib.loads((timestamped / "model.toml").read_text())["model"]["units1"] == 32
    assert tomllib.loads((folder / "trial.toml").read_text())["model"]["train_steps"] == 20
    assert "Epoch 1" in (folder / "trial.log").read_text()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a file that is always full")
def test_a_log_that_cannot_be_written_ends_the_trial_not_only_the_log():
    code = (
        "from pathlib import Path; from gridstudy.fashion import training\n"
        "with training._log_to(Path('/dev/full')): training.logger.info('a line')\n"
        "print('went on')"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert "No space left" in ended.stderr
    assert ended.stdout == ""


def test_settings_parse_below_a_folder_with_quotes_and_backslashes(small_data, splits, tmp_path):
    folder = tmp_path / 'C:\\new "logs" é'
    folder.mkdir()
    trial = TrialConfig(Configuration.from_values(SHORT), 0, **small_data.identity)
    train_trial(trial, splits, folder)
    (settings,) = folder.rglob("settings.toml")
    assert tomllib.loads(settings.read_text(encoding="utf-8"))["model"]["logdir"] == str(folder)


def test_the_event_file_holds_the_curve_and_the_hparams_of_its_group(train):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    result, folder = train()
    (timestamped,) = [p for p in folder.iterdir() if p.is_dir()]
    events = EventAccumulator(str(timestamped)).Reload()
    assert [round(e.value, 6) for e in events.Scalars("metric/Accuracy")] == [
        round(a, 6) for a in result.curve.validation_accuracy
    ]
    content = events.summary_metadata["_hparams_/session_start_info"].plugin_data.content
    assert b"garments-small, holdout" in content


def test_the_seed_of_the_order_is_not_the_seed_of_the_weights(splits):
    torch.manual_seed(0)
    drawn = torch.randperm(len(splits.train.labels))[:16]
    _, labels = next(training_batches(splits.train, batch_size=16, seed=0))
    assert not torch.equal(splits.train.labels[drawn], labels)


def test_importing_the_training_does_not_import_mlflow():
    code = "import sys, gridstudy.fashion.training; sys.exit(any(m.startswith('mlflow.') for m in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_trial_config_of_another_version_is_another_trial(small_data):
    trial = TrialConfig(Configuration.from_values({}), 0, **small_data.identity)
    assert replace(trial, training_version=0).trial_id != trial.trial_id
