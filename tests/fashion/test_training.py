from __future__ import annotations

import subprocess
import sys
import tomllib

import numpy as np
import pytest
import torch

from gridstudy.core.selection import select_experiments
from gridstudy.core.subject import Data
from gridstudy.core.trial import DataIdentity, TrialConfig
from gridstudy.fashion.data import open_splits
from gridstudy.fashion.network import MLP
from gridstudy.fashion.space import layer_widths
from gridstudy.fashion.subject import SUBJECT
from gridstudy.fashion.training import count_confusions, evaluate, scale_pixels, training_batches, write_hparams_header
from gridstudy.running.subjects import SubjectSource
from gridstudy.running.trials import train_trials

SOURCE = SubjectSource(module="gridstudy.fashion.subject")

SHORT = {"epochs": 2, "train_steps": 20, "batch_size": 16, "units1": 32, "units2": 16}


@pytest.fixture(scope="module")
def splits(small_data):
    return open_splits(small_data)


def train_in(folder, small_data, seed=0, **values):
    identity = DataIdentity(**small_data.identity)
    trial = TrialConfig(SUBJECT.name, SUBJECT.configure({**SHORT, **values}), seed, identity)
    data = Data(small_data, identity)
    return next(train_trials((trial,), (folder,), source=SOURCE, data=data, device="cpu", attempt=1))[0]


@pytest.fixture
def train(small_data, tmp_path):
    def train(seed=0, **values):
        folder = tmp_path / f"{len(list(tmp_path.iterdir()))}"
        folder.mkdir()
        return train_in(folder, small_data, seed, **values), folder

    return train


def test_the_network_has_the_layers_and_parameters_of_its_configuration():
    configuration = SUBJECT.configure({"depth": 3, "units1": 64, "units2": 32})
    network = MLP(layer_widths(configuration))
    assert network(torch.zeros(5, 1, 28, 28)).shape == (5, 10)
    assert sum(p.numel() for p in network.parameters()) == configuration.budgets["parameters"]


def test_one_seed_gives_the_same_bits_and_another_seed_others(train):
    assert train()[0] == train()[0]
    assert train()[0].curves != train(seed=1)[0].curves


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
    short, long = train(epochs=2)[0].curves, train(epochs=3)[0].curves
    assert short == {name: values[:2] for name, values in long.items()}


def _train_plainly(configuration, splits, n_steps):
    """The textbook loop: separate parameters, autograd, an optimizer as torch makes it."""
    torch.manual_seed(0)
    model, loss_fn = MLP(layer_widths(configuration)), torch.nn.CrossEntropyLoss()
    settings = {"lr": configuration["learning_rate"], "weight_decay": configuration["weight_decay"]}
    optimizer = getattr(torch.optim, configuration["optimizer"])(model.parameters(), **settings)
    batches = training_batches(splits.train, batch_size=configuration["batch_size"], seed=0)
    for _, (images, labels) in zip(range(n_steps), batches, strict=False):
        optimizer.zero_grad()
        loss_fn(model(images), labels).backward()
        optimizer.step()
    return model


@pytest.mark.parametrize("optimizer", ["SGD", "Adam", "AdamW", "RMSprop"])
def test_training_computes_what_the_textbook_loop_computes(splits, train, optimizer):
    configuration = SUBJECT.configure({**SHORT, "epochs": 1, "optimizer": optimizer, "learning_rate": 0.003})
    plain = _train_plainly(configuration, splits, n_steps=SHORT["train_steps"])
    expected = evaluate(plain, torch.nn.CrossEntropyLoss(), splits.validation)
    curves = train(epochs=1, optimizer=optimizer, learning_rate=0.003)[0].curves
    assert curves["validation_loss"][-1] == pytest.approx(expected.loss, rel=1e-4)
    assert curves["validation_accuracy"][-1] == pytest.approx(expected.accuracy, abs=0.003)


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
    evaluation = evaluate(model, loss_fn, splits.test)
    assert evaluation.accuracy == pytest.approx((logits.argmax(1) == splits.test.labels).double().mean().item())
    assert torch.equal(evaluation.predicted, logits.argmax(1))
    assert evaluation.loss == pytest.approx(loss_fn(logits, splits.test.labels).item(), rel=1e-6)


def test_a_trial_diverges_as_an_outcome_with_its_curve(train):
    result, _ = train(learning_rate=1e12, optimizer="SGD", epochs=3)
    assert result.diverged
    assert 1 <= result.n_epochs < 3
    assert np.isnan(result.test_score)


def test_it_learns(train):
    result, _ = train(epochs=3, train_steps=100, learning_rate=3e-3)
    assert result.score > 0.5
    assert result.test_score == pytest.approx(result.score, abs=0.1)


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


def test_settings_parse_below_a_folder_with_quotes_and_backslashes(small_data, tmp_path):
    folder = tmp_path / 'C:\\new "logs" é'
    folder.mkdir()
    train_in(folder, small_data)
    (settings,) = folder.rglob("settings.toml")
    assert tomllib.loads(settings.read_text(encoding="utf-8"))["model"]["logdir"] == str(folder)


def test_the_event_file_holds_the_curve_and_the_hparams_of_its_group(train):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    result, folder = train()
    (timestamped,) = [p for p in folder.iterdir() if p.is_dir()]
    events = EventAccumulator(str(timestamped)).Reload()
    assert [round(e.value, 6) for e in events.Scalars("metric/Accuracy")] == [
        round(a, 6) for a in result.curves["validation_accuracy"]
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


def test_confusions_are_counted_by_true_and_predicted_class():
    counts = count_confusions(torch.tensor([0, 0, 9, 9, 9]), torch.tensor([0, 3, 9, 9, 1]))
    found = {(i, j): n for i, row in enumerate(counts) for j, n in enumerate(row) if n}
    assert (len(counts), found) == (10, {(0, 0): 1, (0, 3): 1, (9, 9): 2, (9, 1): 1})


def test_the_confusions_of_a_trial_are_those_of_its_score(train, splits):
    result, _ = train(epochs=2)
    counts = np.array(result.confusion)
    assert counts.sum(axis=1).tolist() == splits.validation.labels.bincount(minlength=10).tolist()
    assert counts.trace() / counts.sum() == result.score


def test_tensorboard_orders_numbers_as_numbers_and_shows_what_varies(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.plugins.hparams import plugin_data_pb2

    for names in (["epochs"], ["learning_rate", "optimizer"]):
        write_hparams_header(tmp_path, select_experiments(SUBJECT, names))
    (path,) = tmp_path.glob("events.out.tfevents.*")
    events = EventAccumulator(str(path)).Reload()
    content = events.summary_metadata["_hparams_/experiment"].plugin_data.content
    found = plugin_data_pb2.HParamsPluginData.FromString(content).experiment.hparam_infos
    rates = {info.name: [v.number_value for v in info.domain_discrete.values] for info in found}["learning_rate"]
    assert rates == sorted(rates)
    assert {"optimizer", "learning_rate"} <= {info.name for info in found}
    assert "units1" not in {info.name for info in found}
