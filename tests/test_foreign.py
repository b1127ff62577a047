from __future__ import annotations

import math
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from gridstudy.estimates import analyse
from gridstudy.foreign import load_foreign, name_configurations, read_toml
from gridstudy.records import (
    CURVE_COLUMNS,
    GROUP_COLUMNS,
    TRIAL_COLUMNS,
    RecordError,
    load_records,
    trial_folder,
    write_experiment,
    write_result,
)
from tests.conftest import fake_result, fake_run

torch = pytest.importorskip("torch")
from torch.utils.tensorboard.writer import SummaryWriter  # noqa: E402

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


# --- what mltrainer itself writes ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def notebook(tmp_path_factory):
    """Six runs of two configurations by mltrainer's Trainer."""
    from gridstudy.lean_mltrainer import Accuracy, ReportTypes, Trainer, TrainerSettings

    logdir = tmp_path_factory.mktemp("notebook logs é")

    def batches():
        while True:
            yield torch.rand(16, 1, 4, 4), torch.randint(0, 10, (16,))

    for number in range(6):
        settings = TrainerSettings(
            epochs=2, metrics=[Accuracy()], logdir=logdir / f"run {number}", train_steps=2, valid_steps=4,
            reporttypes=[ReportTypes.TENSORBOARD, ReportTypes.TOML],
        )  # fmt: skip
        layers = torch.nn.Linear(16, 8 << number % 2), torch.nn.ReLU(), torch.nn.Linear(8 << number % 2, 10)
        trainer = Trainer(
            torch.nn.Sequential(torch.nn.Flatten(), *layers), settings, torch.nn.CrossEntropyLoss(), torch.optim.Adam,
            batches(), batches(), torch.optim.lr_scheduler.ReduceLROnPlateau,
        )  # fmt: skip
        trainer.loop()
        trainer.writer.close()
    return logdir


def test_runs_of_mltrainer_are_read(notebook):
    records = load_records(notebook)
    assert records.problems.empty
    assert list(records.trials.columns) == list(TRIAL_COLUMNS)
    assert list(records.curves.columns) == list(CURVE_COLUMNS)
    assert records.trials["configuration"].value_counts().to_dict() == {
        "units1=8,units2=8": 3,
        "units1=16,units2=16": 3,
    }
    trial = records.trials.iloc[0]
    assert trial["trial_id"].startswith("run 0/")
    assert (trial["epochs"], trial["train_steps"], trial["updates"], trial["depth"]) == (2, 2, 4, 1)
    assert (trial["learning_rate"], trial["weight_decay"]) == (0.001, 1e-05)
    assert trial["origin"] == "foreign"
    assert not trial["diverged"]
    assert 0 <= trial["validation_accuracy"] <= 1
    assert trial["duration_s"] > 0
    curve = records.curves[records.curves["trial_id"] == trial["trial_id"]]
    assert curve["epoch"].tolist() == [1, 2]
    assert curve["validation_accuracy"].iloc[-1] == trial["validation_accuracy"]


def test_what_the_log_cannot_say_is_unknown(notebook):
    trial = load_records(notebook).trials.iloc[0]
    for column in ("seed", "batch_size", "optimizer", "momentum", "examples", "test_accuracy", "device", "versions"):
        assert pd.isna(trial[column]), column
    assert all(trial[column] == "unknown" for column in GROUP_COLUMNS)


def test_foreign_runs_are_compared_unpaired_and_without_a_verdict(notebook):
    estimates = analyse(load_records(notebook))
    assert [e.experiment.name for e in estimates.experiments] == ["foreign"]
    (foreign,) = estimates.experiments
    assert foreign.verdict is None
    assert estimates.verdicts.empty
    assert foreign.objectives.index.name == "replicate"
    assert foreign.objectives.shape == (3, 2)
    assert len(estimates.comparisons) == 1
    assert not estimates.comparisons["paired"].any()
    assert foreign.noise.n_seeds == 3


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
    assert trials["configuration"][0].startswith(expected[:71])
    write_events(tmp_path / "b")
    trials, _, _ = load(tmp_path)
    assert trials["configuration"][1].startswith("train_steps=unknown,units1=unknown")
    trials, _, _ = load(tmp_path / "b")
    assert trials["configuration"].tolist() == ["epochs=3"]


def test_settings_that_are_no_hyperparameter_tell_configurations_apart():
    runs = [{"epochs": 5, "model.dropout.p": p, "model.act": "relu"} for p in (0.1, 0.5, 0.1)]
    assert name_configurations(runs) == ["epochs=5,dropout.p=0.1", "epochs=5,dropout.p=0.5", "epochs=5,dropout.p=0.1"]
    assert name_configurations([{}]) == ["unknown settings"]
    assert name_configurations([]) == []
    long = name_configurations([{f"model.{'long name ' * 4}{i}": i + j for i in range(9)} for j in range(2)])
    assert len(set(long)) == 2
    assert max(map(len, long)) <= 80


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
    with pytest.raises(RecordError, match="is no TOML"):
        read_toml(tmp_path / "x.toml")
    with pytest.raises(RecordError, match="cannot be read"):
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


# --- event files ---------------------------------------------------------------------------------------------------


def test_an_event_file_cut_anywhere_gives_the_epochs_before(tmp_path):
    path = write_run(tmp_path / "run")
    content = path.read_bytes()
    seen = set()
    for length in [*range(0, len(content), 7), len(content)]:
        path.write_bytes(content[:length])
        trials, curves, problems = load(tmp_path)
        assert len(problems) == (length < len(content))
        assert len(trials) <= 1
        seen.add(len(curves))
        if len(trials):
            assert trials["epochs"][0] == len(curves)
            assert curves["validation_accuracy"].to_numpy() == pytest.approx([0.5, 0.6, 0.7][: len(curves)])
    assert seen == {0, 1, 2, 3}


def test_a_flipped_bit_never_changes_a_figure_unseen(tmp_path):
    path = write_run(tmp_path / "run")
    content = path.read_bytes()
    for at in range(0, len(content), 5):
        path.write_bytes(content[:at] + bytes([content[at] ^ 4]) + content[at + 1 :])
        _, curves, problems = load(tmp_path)
        assert len(problems) == 1
        if len(curves):
            assert curves["validation_accuracy"].to_numpy() == pytest.approx([0.5, 0.6, 0.7][: len(curves)])


def test_a_run_that_ended_early_counts_for_the_epochs_it_has(tmp_path):
    write_run(tmp_path / "whole", epochs=3)
    write_run(tmp_path / "cut", (0.5, 0.6), epochs=3)
    trials, _, problems = load(tmp_path)
    assert dict(zip(trials["trial_id"], trials["configuration"], strict=True)) == {
        "cut": "epochs=2",
        "whole": "epochs=3",
    }
    ((path, state, reason),) = problems
    assert (path.name, state) == ("cut", "interrupted")
    assert "2 of 3 epochs" in reason


def test_early_stopping_is_no_interruption(tmp_path):
    write_settings(tmp_path / "run", epochs=9, patience=2)
    write_events(tmp_path / "run", (0.5,) * 4, losses=[1.0, 0.5, 0.6, 0.7])
    trials, curves, problems = load(tmp_path)
    assert not problems
    assert (trials["epochs"][0], trials["updates"][0], len(curves)) == (9, 4 * 7, 4)


def test_a_restart_replaces_what_it_logs_again(tmp_path):
    write_events(tmp_path / "run", (0.1, 0.2, 0.3), filename_suffix=".a")
    with SummaryWriter(log_dir=str(tmp_path / "run"), filename_suffix=".b") as writer:
        for step in (1, 2, 3):
            for tag in ("Loss/train", "Loss/test", "metric/Accuracy"):
                writer.add_scalar(tag, 0.9, step)
    _, curves, problems = load(tmp_path)
    assert not problems
    assert curves["validation_accuracy"].to_numpy() == pytest.approx([0.1, 0.9, 0.9, 0.9])


def test_a_diverged_run_scores_as_guessing(tmp_path):
    write_settings(tmp_path / "run", epochs=4)
    write_events(tmp_path / "run", (0.5, 0.6, 0.1, 0.1), losses=[1.0, 0.5, math.nan, math.nan])
    trials, curves, problems = load(tmp_path)
    assert not problems
    assert (trials["diverged"][0], trials["validation_accuracy"][0], trials["epochs"][0]) == (True, 0.1, 4)
    assert len(curves) == 3


def test_accuracies_in_percent_become_fractions(tmp_path):
    write_events(tmp_path / "percent", (0.5, 55.0, 80.0))
    write_events(tmp_path / "fraction", (0.5, 0.55, 1.0))
    write_events(tmp_path / "neither", (0.5, 55.0, 800.0))
    trials, _, problems = load(tmp_path)
    assert trials.set_index("trial_id")["validation_accuracy"].to_dict() == pytest.approx(
        {"percent": 0.8, "fraction": 1.0}
    )
    assert [path.name for path, _, _ in problems] == ["neither"]


def test_pictures_and_graphs_beside_the_scalars_are_passed_over(tmp_path):
    with SummaryWriter(log_dir=str(tmp_path / "run")) as writer:
        writer.add_text("big", "x" * 100_000)
        writer.add_histogram("weights", np.arange(10.0))
        writer.add_hparams({"lr": 0.1}, {"metric": 1.0}, run_name="hp")
        for tag in ("Loss/train", "Loss/test", "metric/Accuracy"):
            writer.add_scalar(tag, 0.5, 0)
    trials, _, problems = load(tmp_path)
    assert trials["trial_id"].tolist() == ["run"]
    assert [path.name for path, _, _ in problems] == ["hp"]


# --- folders -------------------------------------------------------------------------------------------------------


def test_logs_of_another_program_are_one_problem_each(tmp_path):
    with SummaryWriter(log_dir=str(tmp_path / "other")) as writer:
        writer.add_scalar("train/loss_epoch", 1.0, 0)
    write_settings(tmp_path / "never trained")
    SummaryWriter(log_dir=str(tmp_path / "never trained")).close()
    (tmp_path / "noise").mkdir()
    (tmp_path / "noise" / "events.out.tfevents.1.x").write_bytes(b"hello" * 9)
    trials, _, problems = load(tmp_path)
    assert trials.empty
    assert {path.name: (state, reason) for path, state, reason in problems} == {
        "never trained": ("interrupted", "no epoch was logged"),
        "noise": ("unreadable", "events.out.tfevents.1.x is no event file, and no whole epoch is before that"),
        "other": ("unreadable", "no Loss/train, Loss/test, metric/Accuracy in its event file"),
    }


def test_a_run_folder_itself_may_be_the_logdir(tmp_path):
    write_run(tmp_path)
    assert load(tmp_path)[0]["trial_id"].tolist() == ["."]


def test_names_with_spaces_and_other_letters_are_kept(tmp_path):
    write_run(tmp_path / "été 2024" / "запуск 1")
    bad = Path(os.fsdecode(os.fsencode(tmp_path) + b"/l\xffx"))
    write_run(tmp_path / "good")
    try:
        (tmp_path / "good").rename(bad)
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    records = load_records(tmp_path)
    assert records.trials["trial_id"].tolist() == ["l\\udcffx", "été 2024/запуск 1"]
    records.trials.to_csv(tmp_path / "trials.csv")


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_links_are_not_followed(tmp_path):
    write_run(tmp_path / "logs" / "run")
    write_run(tmp_path / "elsewhere" / "run")
    (tmp_path / "logs" / "loop").symlink_to(tmp_path / "logs")
    (tmp_path / "logs" / "out").symlink_to(tmp_path / "elsewhere")
    trials, _, problems = load(tmp_path / "logs")
    assert trials["trial_id"].tolist() == ["run"]
    assert [(path.name, state) for path, state, _ in problems] == [("loop", "unreadable"), ("out", "unreadable")]


def test_a_folder_that_may_not_be_read_is_a_problem(tmp_path, monkeypatch):
    write_run(tmp_path / "run")
    (tmp_path / "secret").mkdir()
    scan = os.scandir

    def refuse(path):
        if Path(path).name == "secret":
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    trials, _, problems = load(tmp_path)
    assert len(trials) == 1
    assert problems == [(tmp_path / "secret", "unreadable", "cannot be read (Permission denied)")]


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may read all")
def test_an_event_file_that_may_not_be_read_is_a_problem(tmp_path):
    write_run(tmp_path / "run").chmod(0)
    assert "cannot be read" in load(tmp_path)[2][0][2]


def test_nothing_is_there(tmp_path):
    assert load_foreign(tmp_path / "missing", own_folders=()) == ([], [], [])
    assert load_foreign(tmp_path, own_folders=()) == ([], [], [])


# --- beside our own trials -----------------------------------------------------------------------------------------


def complete(logdir, trial):
    folder = trial_folder(logdir, trial)
    (folder / "20260101-000000").mkdir(parents=True)
    (folder / "20260101-000000" / "events.out.tfevents.1.x").write_bytes(b"never opened")
    (logdir / "events.out.tfevents.1.x").write_bytes(b"never opened")
    write_result(folder, fake_result(trial), fake_run())


def test_own_and_foreign_runs_are_read_from_one_logdir(tmp_path, experiment, make_trial):
    write_experiment(tmp_path, experiment, n_complete=0)
    for seed in range(3):
        complete(tmp_path, make_trial(seed=seed))
        write_run(tmp_path / "notebook" / str(seed), (0.5, 0.6, 0.7 + seed / 100))
    records = load_records(tmp_path)
    assert records.problems.empty
    assert records.trials["origin"].tolist() == ["gridstudy"] * 3 + ["foreign"] * 3
    estimates = analyse(records)
    assert [e.experiment.name for e in estimates.experiments] == ["two_by_two", "foreign"]
    assert estimates.group["dataset"] == "garments-small"
    assert estimates.trials["seed"].tolist() == [0, 1, 2]


def test_our_trials_elsewhere_are_not_taken_for_foreign_ones(tmp_path, experiment, make_trial):
    write_experiment(tmp_path / "modellogs", experiment, n_complete=0)
    for seed in range(2):
        complete(tmp_path / "modellogs", make_trial(seed=seed))
    trials, _, problems = load(tmp_path)
    assert trials.empty
    assert [path for path, _, _ in problems] == [tmp_path / "modellogs"]


def test_no_tensorboard_is_imported_without_foreign_runs_and_never_torch(tmp_path, make_trial):
    complete(tmp_path / "own", make_trial())
    write_run(tmp_path / "foreign" / "run")
    code = """
        import sys
        from pathlib import Path
        from gridstudy.records import load_records
        assert len(load_records(Path(sys.argv[1]) / "own").trials) == 1
        assert not {"tensorboard", "torch"} & set(sys.modules)
        assert len(load_records(Path(sys.argv[1]) / "foreign").trials) == 1
        assert not {"tensorflow", "torch"} & set(sys.modules)
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code), tmp_path], check=True, cwd=Path(__file__).parents[1])
