"""What settings in TOML say of a configuration, whole or damaged, and what it is called."""

from __future__ import annotations

import math

import pytest

from gridstudy.records.foreign.settings import name_configurations, read_toml
from gridstudy.records.foreign.table import DamageError
from tests.mltrainer_logs import WINDOWS, load, write_events, write_run, write_settings

# --- configurations ------------------------------------------------------------------------------------------------


def test_equal_settings_are_one_configuration_wherever_they_were_written(tmp_path):
    write_run(tmp_path / "a")
    write_run(tmp_path / "b", **WINDOWS)
    write_run(tmp_path / "c", units1=128, **WINDOWS)
    trials, _, problems = load(tmp_path)
    assert not problems
    assert trials["configuration"].tolist() == ["units1=64", "units1=64", "units1=128"]
    assert trials["configuration_fingerprint"].nunique() == 2
    assert trials["learning_rate"].tolist() == [0.001] * 3


def test_one_configuration_is_named_by_all_that_is_known(tmp_path):
    write_run(tmp_path / "a")
    trials, _, _ = load(tmp_path)
    expected = "epochs=3,train_steps=7,units1=64,units2=32,learning_rate=0.001,weight_decay=1e-05"
    assert trials["configuration"][0] == expected


def test_runs_whose_settings_are_unknown_are_never_replicates(tmp_path):
    write_run(tmp_path / "known")
    for name in ("b", "c"):
        write_events(tmp_path / name)
    write_settings(tmp_path / "no model")
    write_events(tmp_path / "no model")
    trials, _, problems = load(tmp_path)
    assert not problems
    assert trials["configuration_fingerprint"].nunique() == 4
    assert trials["configuration"].tolist()[:2] == ["unknown settings (b)", "unknown settings (c)"]


def test_settings_that_are_no_hyperparameter_tell_configurations_apart():
    runs = [{"epochs": 5, "model.dropout.p": p, "model.act": "relu"} for p in (0.1, 0.5, 0.1)]
    assert name_configurations(runs) == ["dropout.p=0.1", "dropout.p=0.5", "dropout.p=0.1"]
    assert name_configurations([{}]) == ["no settings"]
    assert name_configurations([]) == []
    plain, convolutional = {"units1": 64, "units2": 32}, {"units1": 64, "units2": 32, "model.filters": 16}
    assert name_configurations([plain, convolutional]) == ["no settings", "filters=16"]
    many = name_configurations([{f"model.setting {i}": i + j for i in range(9)} for j in range(2)])
    assert many[0] == ",".join(f"setting {i}={i}" for i in range(9))


def test_a_results_file_says_what_the_settings_do_not(tmp_path):
    write_run(tmp_path / "batch" / "one", epochs=3)
    (tmp_path / "batch" / "batch_results.toml").write_text(
        'experiment_name = "batch"\n[config]\nBatchSize = 16\nlr = 0.001\noptimizer = "torch.optim.sgd"\nseed = 3\n'
        "num_layers = 2\nepochs = 3\n"
    )
    write_events(tmp_path / "lists" / "one")
    (tmp_path / "lists" / "one" / "x_results.toml").write_text("[config]\nhidden_sizes = [9, 5]\nlr = 'auto'\n")
    trials, _, problems = load(tmp_path)
    assert not problems
    first, second = trials.to_dict("records")
    assert (first["batch_size"], first["optimizer"], first["depth"], first["examples"]) == (16, "SGD", 2, 3 * 7 * 16)
    assert math.isnan(first["seed"])
    assert (second["units1"], second["units2"], second["depth"], second["epochs"]) == (9, 5, 2, 3)
    assert math.isnan(second["learning_rate"])


def test_a_results_file_of_another_run_is_not_taken(tmp_path):
    for lr in (0.1, 0.2):
        write_run(tmp_path / f"lr{lr}", lr=lr)
        (tmp_path / f"lr{lr}_results.toml").write_text(f"[config]\nlr = {lr}\nbatch_size = {int(lr * 100)}\n")
    write_run(tmp_path / "lr0.3", lr=0.3)
    trials, _, _ = load(tmp_path)
    assert trials["batch_size"].tolist()[:2] == [10, 20]
    assert math.isnan(trials["batch_size"][2])
    write_events(tmp_path / "nothing known")
    assert math.isnan(load(tmp_path)[0]["batch_size"][3])


# --- TOML ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [r"C:\Users\x", r"\\host\share", r"D:\x\u12 ü\\", 'say "hi" \\z'])
def test_single_backslashes_are_read(tmp_path, value):
    path = tmp_path / "settings.toml"
    path.write_bytes(f'[model]\r\nlogdir = "{value}"\r\nepochs = 4\r\n[types]\r\nepochs = "int"\r\n'.encode())
    content, n_lost = read_toml(path)
    assert content["model"] == {"logdir": value, "epochs": 4}
    assert n_lost == 0


def test_settings_cut_anywhere_are_read_as_far_as_they_go(tmp_path):
    write_settings(tmp_path, **WINDOWS)
    path = tmp_path / "settings.toml"
    text = path.read_text(encoding="utf-8")
    for length in range(len(text)):
        path.write_text(text[:length], encoding="utf-8")
        content, n_lost = read_toml(path)
        assert n_lost <= 1
        if length > 25:
            assert content["model"]["epochs"] == 3


def test_lines_below_a_damaged_heading_are_not_taken_for_the_table_above(tmp_path):
    (tmp_path / "x.toml").write_text("a = 1\n[b\na = 2\nc = 3\n[d]\ne = 4\n")
    assert read_toml(tmp_path / "x.toml") == ({"a": 1, "d": {"e": 4}}, 3)


def test_what_is_no_toml_is_a_record_error(tmp_path):
    (tmp_path / "x.toml").write_text('a = 1\na = 2\nb = "\\x"')
    with pytest.raises(DamageError, match="is not valid TOML"):
        read_toml(tmp_path / "x.toml")
    with pytest.raises(DamageError, match="cannot be read"):
        read_toml(tmp_path)


@pytest.mark.parametrize(
    "text", ["", "model = 3", "[model]\nepochs = 'x'\nearlystop_kwargs = 1", "[model.earlystop_kwargs]\npatience = []"]
)
def test_settings_of_any_shape_are_no_traceback(tmp_path, text):
    write_events(tmp_path / "run")
    for name in ("settings.toml", "model.toml", "x_results.toml"):
        (tmp_path / "run" / name).write_text(text + "\ndelta = 'y'\n" * text.endswith("]"))
    trials, _, problems = load(tmp_path)
    assert not problems
    assert trials["epochs"].tolist() == [3]


def test_damaged_settings_are_one_problem_and_the_run_is_read(tmp_path):
    write_run(tmp_path / "a")
    write_run(tmp_path / "b")
    path = tmp_path / "a" / "settings.toml"
    path.write_text(path.read_text()[:150])
    trials, _, problems = load(tmp_path)
    assert len(trials) == 2
    assert trials["configuration"].nunique() == 2
    assert [(p, state) for p, state, _ in problems] == [(path, "unreadable")]
