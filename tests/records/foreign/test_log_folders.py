"""Log directories of mltrainer, every version that was met, as a table of runs."""

from __future__ import annotations

import shutil

import pytest

from gridstudy.core.errors import StudyError
from gridstudy.records.foreign.log_folders import is_own_trial
from gridstudy.records.foreign.options import ResultOptions
from gridstudy.records.foreign.roles import propose_roles
from gridstudy.records.foreign.runs import load_foreign
from gridstudy.records.foreign.selection import select_with
from gridstudy.records.foreign.sources import read_results
from tests.mltrainer_logs import load, write_events, write_run, write_settings
from tests.records.foreign.results import SAMPLES, content_of, select_runs

pytest.importorskip("torch")
from torch.utils.tensorboard.writer import SummaryWriter

VERSIONS = ("0.1.124", "0.2.2", "0.2.4", "0.2.5", "0.3.6")


def select(logdir, **options):
    return select_with(read_results(str(logdir)), ResultOptions(**options))


def write_gin(folder, n_epochs, **bindings):
    write_events(folder, [0.5 + i / 100 for i in range(n_epochs)])
    (folder / "saved_config.gin").write_text("".join(f"Net.{key} = {value}\n" for key, value in bindings.items()))


# --- what each version writes --------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", VERSIONS)
def test_logs_of_each_version_need_no_roles(version, tmp_path):
    logdir = shutil.copytree(SAMPLES / f"mltrainer-{version}", tmp_path / "logs")
    before = content_of(tmp_path)
    found = select(logdir)
    assert sorted(found.runs.groupby("configuration").size()) == [1, 2]
    assert [name.split(",")[0] for name in found.configurations.index] == ["units1=8", "units1=16"]
    assert "units1" in found.varying
    assert (found.options.objective, found.points_per_unit) == (("metric/Accuracy",), 100)
    assert found.options.start
    assert found.problems["state"].tolist() == ["interrupted"]
    assert found.problems["reason"].tolist() == ["ended early: 1 of 3 epochs were read"]
    assert found.problems["configuration"].tolist() == [found.configurations.index[0]]
    assert content_of(tmp_path) == before


@pytest.mark.parametrize("version", VERSIONS)
def test_logs_of_each_version_are_trials_of_a_log_directory(version):
    trials, curves, problems = load(SAMPLES / f"mltrainer-{version}")
    assert trials["units1"].tolist() == [8, 16, 16]
    assert trials["epochs"].tolist() == [3, 3, 3]
    assert len(curves) == 9
    assert [state for _, state, _ in problems] == ["interrupted"]


def test_all_columns_of_a_log_directory_have_roles_that_the_source_knows():
    roles = {role.name: role.role for role in propose_roles(read_results(str(SAMPLES / "mltrainer-0.2.4")))}
    assert (roles["units1"], roles["epoch"], roles["metric/Accuracy"]) == ("hyperparameter", "epoch", "objective")
    assert (roles["Loss/test"], roles["start"], roles["learning_rate"]) == ("other metric", "start", "constant")


# --- objective -----------------------------------------------------------------------------------------------------


def test_any_tag_may_be_the_objective(tmp_path):
    for name, width in (("a", 8), ("b", 8), ("c", 16)):
        write_run(tmp_path / name, units1=width)
    found = select(tmp_path, objective=("Loss/test",), margin=0.1, minimise=True)
    assert found.runs["objective"].to_numpy() == pytest.approx([1 / 3] * 3)
    assert select(tmp_path).runs["objective"].to_numpy() == pytest.approx([0.7] * 3)
    assert select(tmp_path, at="best", objective=("Loss/test",), margin=0.1).best_excess == pytest.approx(2 / 3)


def test_logs_without_accuracy_ask_for_an_objective(tmp_path):
    for name in "ab":
        with SummaryWriter(log_dir=str(tmp_path / name)) as writer:
            for step in range(3):
                writer.add_scalar("Loss/test", 1 / (step + 1), step)
        write_settings(tmp_path / name)
        (tmp_path / name / "model.toml").write_text("[model]\nunits1 = 8\n")
    with pytest.raises(StudyError, match="has no metric/Accuracy; choose the objective with --objective: Loss/test"):
        select(tmp_path)
    with pytest.raises(StudyError, match="has no tag 'Loss/tset'; did you mean 'Loss/test'"):
        select(tmp_path, objective=("Loss/tset",))
    assert len(select(tmp_path, objective=("Loss/test",), margin=0.1, minimise=True).runs) == 2


# --- settings ------------------------------------------------------------------------------------------------------


def test_widths_in_a_gin_file_tell_networks_apart(tmp_path):
    for width in (8, 16, 32):
        for seed in range(3):
            write_gin(tmp_path / f"{width}-{seed}", 3, units=width, dropout=0.1)
    found = select(tmp_path)
    assert found.runs.groupby("configuration").size().tolist() == [3, 3, 3]
    trials, _, _ = load(tmp_path)
    assert trials["configuration"].nunique() == 3


def test_gin_files_of_every_form_are_read(tmp_path):
    write_events(tmp_path / "run")
    path = tmp_path / "run" / "saved_config.gin"
    path.write_text(
        "import models\n\n# Macros:\nwidth = 64\n\n# Parameters for Net:\nNet.hidden_sizes = [128, 64]\n"
        "Net.config = \\\n    {'dropout': 0.2,\n     'norm': 'batch'}\nNet.out = %width\n"
        "Trainer.loss = @CrossEntropy()\nTrainerSettings.epochs = 3\n"
    )
    runs = read_results(str(tmp_path)).runs.iloc[0]
    assert (runs["units1"], runs["units2"], runs["depth"], runs["epochs"]) == (128, 64, 2, 3)
    assert (runs["Net.config.dropout"], runs["Net.config.norm"], runs["Net.out"]) == (0.2, "batch", 64)
    assert runs["Trainer.loss"] == "@CrossEntropy()"


def test_two_widths_of_one_name_are_both_kept(tmp_path):
    for number, (a, b) in enumerate([(8, 16), (8, 32), (16, 16)]):
        write_events(tmp_path / str(number))
        (tmp_path / str(number) / "saved_config.gin").write_text(f"A.units1 = {a}\nB.units1 = {b}\n")
    assert load(tmp_path)[0]["configuration"].nunique() == 3


def test_settings_in_one_text_or_a_nested_table_are_flattened(tmp_path):
    for name, config in (
        ("repr", 'config = "ModelConfig(hidden_size=64, dropout=0.2)"'),
        ("dict", "config = \"{'hidden_size': 64, 'dropout': 0.3}\""),
        ("table", "[model.config]\nhidden_size = 32\ndropout = 0.2"),
    ):
        write_run(tmp_path / name)
        (tmp_path / name / "model.toml").write_text(f"[model]\n{config}\n")
    assert sorted(select(tmp_path).configurations.index) == [
        "config.dropout=0.2,config.hidden_size=32", "config.dropout=0.2,config.hidden_size=64",
        "config.dropout=0.3,config.hidden_size=64",
    ]  # fmt: skip


def test_a_name_shows_settings_that_only_some_networks_have(tmp_path):
    write_run(tmp_path / "plain")
    write_run(tmp_path / "convolutional")
    with (tmp_path / "convolutional" / "model.toml").open("w") as file:
        file.write("[model]\nunits1 = 64\nunits2 = 32\nfilters = 16\n")
    trials, _, _ = load(tmp_path)
    assert trials.set_index("trial_id")["configuration"]["convolutional"] == "filters=16"
    assert select(tmp_path).configurations["filters"].tolist() == [16, "none"]


@pytest.mark.parametrize("value", ["[" * 3000 + "]" * 3000, "9" * 4301, "0x" + "f" * 5000])
def test_a_monstrous_value_is_one_problem_and_never_the_end(tmp_path, value):
    write_run(tmp_path / "good")
    write_run(tmp_path / "odd")
    with (tmp_path / "odd" / "settings.toml").open("r+") as file:
        content = file.read()
        file.seek(0)
        file.write(content.replace("valid_steps = 10", f"valid_steps = {value}"))
    (tmp_path / "odd" / "x_results.toml").write_text(f"[config]\nlr = {value}\n")
    trials, _, problems = load(tmp_path)
    assert sorted(trials["trial_id"]) == ["good", "odd"]
    assert {path.name for path, _, _ in problems} <= {"settings.toml", "x_results.toml"}


def test_unknown_settings_are_a_configuration_each(tmp_path):
    for name in ("a", "b"):
        write_events(tmp_path / name)
    for name in ("c", "d"):
        write_run(tmp_path / name)
    found = select(tmp_path)
    assert found.configurations.index.tolist()[:2] == ["unknown settings (a)", "unknown settings (b)"]
    assert sorted(found.runs.groupby("configuration").size()) == [1, 1, 2]


# --- interrupted runs ----------------------------------------------------------------------------------------------


def test_where_no_epochs_are_recorded_most_runs_say_how_many_there_should_be(tmp_path):
    for number, n_epochs in enumerate((5, 5, 5, 5, 6, 3)):
        write_gin(tmp_path / str(number), n_epochs, units=8)
    found = select(tmp_path)
    assert found.problems["path"].str.endswith("5").tolist() == [True]
    assert found.problems["reason"].tolist() == ["ended early: 3 of 5 epochs were read"]
    assert len(found.configurations) == 1
    assert len(found.runs) == 5
    assert load(tmp_path)[0]["configuration"].nunique() == 1


def test_early_stopping_explains_a_short_run(tmp_path):
    write_gin(tmp_path / "0", 14, units=8)
    for number in (1, 2, 3):
        write_gin(tmp_path / str(number), 20, units=8)
    shutil.rmtree(tmp_path / "0")
    write_events(tmp_path / "0", [0.5] * 14, losses=[1.0, 0.9, 0.5, 0.4] + [0.6] * 10)
    (tmp_path / "0" / "saved_config.gin").write_text("Net.units = 8\n")
    assert len(select(tmp_path).runs) == 4


# --- folders -------------------------------------------------------------------------------------------------------


def test_trials_of_this_program_are_known_by_their_content_not_by_their_names(tmp_path):
    write_run(tmp_path / "mine" / "seed1-20240101")
    trials, _, problems = load(tmp_path)
    assert trials["trial_id"].tolist() == ["mine/seed1-20240101"]
    assert not problems
    own = tmp_path / "ours" / "renamed"
    write_run(own)
    (own / "result.toml").write_text('format = 1\n[outcome]\ntrial_id = "baseline/seed0-039327fb"\n')
    assert is_own_trial(own)
    assert not is_own_trial(tmp_path / "mine" / "seed1-20240101")
    assert load(tmp_path)[0]["trial_id"].tolist() == ["mine/seed1-20240101"]


def test_files_of_file_managers_are_ignored(tmp_path):
    write_run(tmp_path / "run")
    (tmp_path / "run" / ".DS_Store").write_bytes(b"\0")
    (tmp_path / "run" / "._x_results.toml").write_bytes(b"\0\1")
    (tmp_path / "run" / "._events.out.tfevents.1.x").write_bytes(b"\0\1")
    write_run(tmp_path / ".stversions" / "run")
    trials, _, problems = load(tmp_path)
    assert len(trials) == 1
    assert not problems


def test_progress_is_told_while_reading(tmp_path):
    for name in "abc":
        write_run(tmp_path / name)
    told = []
    load_foreign(tmp_path, own_folders=(), progress=lambda done, total: told.append((done, total)))
    assert told == [(1, 3), (2, 3), (3, 3)]


def test_a_folder_without_runs_is_one_line(tmp_path):
    with pytest.raises(StudyError, match="holds no whole run"):
        read_results(str(tmp_path))
    write_run(tmp_path / "cut", (0.5,), epochs=3)
    with pytest.raises(StudyError, match=r"holds no whole run \(1 interrupted\)"):
        read_results(str(tmp_path))


def test_select_runs_takes_a_log_directory_too(tmp_path):
    for name, width in (("a", 8), ("b", 16)):
        write_run(tmp_path / name, units1=width)
    table = read_results(str(tmp_path))
    found = select_runs(table, objective="metric/Accuracy", hyperparameters="units1", unit="percent")
    assert found.runs["configuration"].tolist() == ["units1=8", "units1=16"]
