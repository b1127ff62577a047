"""Which runs are found in a folder, beside our own trials too, and the rows that they make."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pandas as pd
import pytest

from gridstudy.records.foreign.runs import load_foreign
from gridstudy.records.tables import CURVE_COLUMNS, GROUP_COLUMNS, load_records
from gridstudy.records.trials import trial_folder, write_result
from gridstudy.statistics.estimates import analyse
from tests.conftest import fake_result, fake_run
from tests.mltrainer_logs import load, write_run, write_settings
from tests.records.test_tables import plan

torch = pytest.importorskip("torch")
from torch.utils.tensorboard.writer import SummaryWriter  # noqa: E402

# --- what mltrainer itself writes ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def notebook(tmp_path_factory):
    """Six runs of two configurations by mltrainer's Trainer."""
    from gridstudy.fashion.lean_mltrainer import Accuracy, ReportTypes, Trainer, TrainerSettings

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
    assert {"objective", "validation_loss", "train_loss", "duration_s", *GROUP_COLUMNS} <= set(records.trials.columns)
    assert {"objective", "validation_loss", "train_loss", *CURVE_COLUMNS} <= set(records.curves.columns)
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
    assert 0 <= trial["objective"] <= 1
    assert trial["duration_s"] > 0
    curve = records.curves[records.curves["trial_id"] == trial["trial_id"]]
    assert curve["epoch"].tolist() == [1, 2]
    assert curve["objective"].iloc[-1] == trial["objective"]


def test_what_the_log_cannot_say_is_unknown(notebook):
    trial = load_records(notebook).trials.iloc[0]
    for column in ("seed", "batch_size", "optimizer", "momentum", "examples", "test_score", "device", "versions"):
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
        "noise": ("unreadable", "events.out.tfevents.1.x is not an event file, and no whole epoch is before that"),
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
    plan(tmp_path, experiment)
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
    plan(tmp_path / "modellogs", experiment)
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
        from gridstudy.records.tables import load_records
        assert len(load_records(Path(sys.argv[1]) / "own").trials) == 1
        assert not {"tensorboard", "torch"} & set(sys.modules)
        assert len(load_records(Path(sys.argv[1]) / "foreign").trials) == 1
        assert not {"tensorflow", "torch"} & set(sys.modules)
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code), tmp_path], check=True, cwd=Path(__file__).parents[2])
