from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import tomllib

import pytest
from rich.console import Console

from benchmarks.chaos.studies import hear_interruptions
from gridstudy.fashion.subject import SUBJECT
from gridstudy.running import console
from tests.conftest import group_exists, wait_until

TINY = ["--dataset", "garments-small", "--set", "train_steps=5", "--seeds", "2"]


def test_a_study_completes_and_the_same_command_then_has_nothing_to_do(run, tmp_path):
    code, out, err = run("epochs", *TINY)
    assert code == 0, err
    assert "6 of 6 trials complete, 6 of them trained now" in out
    assert out.splitlines()[-2:] == ["next: python analyze_results.py", "or:   python -m gridstudy board"]
    assert len(list(tmp_path.glob("modellogs/*/seed*/result.toml"))) == 6
    code, out, _ = run("epochs", *TINY)
    assert code == 0
    assert "6 of 6 trials complete, 0 of them trained now" in out


def test_the_number_of_workers_changes_no_outcome(run):
    for workers in ("1", "2"):
        code, _, err = run("epochs", *TINY, "--workers", workers, "--logdir", f"w{workers}")
        assert code == 0, err
    code, out, _ = run("--compare", "w1", "w2")
    assert code == 0
    assert "equal, bit for bit" in out
    assert run("--compare", "w1", "elsewhere")[0] == 2


def test_a_dry_run_shows_states_budgets_resolution_and_time_and_writes_nothing(run, tmp_path):
    code, out, _ = run("epochs", *TINY, "--dry-run")
    assert code == 0
    assert "6 trials: 6 missing" in out
    assert "parameters" in out
    assert "comparisons begin at 3 seeds; this plan has 2" in out
    assert "estimated time: about" in out
    assert list(tmp_path.iterdir()) == []
    assert "5 seeds find a difference of" in run("epochs", "--dataset", "garments-small", "--dry-run")[1]


def test_the_list_has_one_line_per_experiment_and_a_name_or_its_number_shows_everything(run):
    code, out, _ = run("--list")
    assert code == 0
    assert "learning_rate_per_optimizer" in out
    assert "units1 16 32 64 128 256 512" not in out
    code, by_name, _ = run("--list", "units")
    assert code == 0
    assert "units1 16 32 64 128 256 512" in by_name
    assert "question" in by_name
    assert run("--list", "2") == (0, by_name, "")


@pytest.mark.parametrize("width", [40, 80])
def test_a_narrow_terminal_folds_the_list_and_cuts_no_name(capsys, monkeypatch, width):
    monkeypatch.setattr(console, "_out", lambda: Console(width=width, highlight=False, markup=False))
    console.print_list(SUBJECT.parse(table) for table in SUBJECT.experiments)
    out = capsys.readouterr().out
    assert "…" not in out
    for table in SUBJECT.experiments if width == 80 else ():
        assert f" {table['name']} " in out


def test_numbers_stand_for_names_and_go_on_with_the_experiments_of_a_study_file(run, tmp_path):
    (tmp_path / "own.toml").write_text(
        '[[experiment]]\nname = "mine"\nquestion = "Wide?"\nscientific = ["units1"]\n'
        "grid = { units1 = [8, 16] }\nfixed = { epochs = 1, train_steps = 5 }\n"
    )
    code, out, _ = run("--list", "--study", "own.toml")
    assert code == 0
    number, name, n_configurations, *_ = out.splitlines()[-2].split()
    assert (number, name, n_configurations) == ("14", "mine", "2")
    assert run("--list", "--study", "own.toml", "14") == run("--list", "--study", "own.toml", "mine")
    assert "14 trials" not in run("14", "--study", "own.toml", *TINY[:2], "--seeds", "1", "--dry-run")[1]
    assert "unknown experiment or group '14'" in run("--list", "14")[2]


def answered(monkeypatch, text):
    monkeypatch.setattr(sys, "stdin", io.StringIO(text))


@pytest.mark.parametrize("answer", ["n\n", "\n", "what?\n"])
def test_ask_shows_the_work_and_runs_nothing_without_a_yes(run, tmp_path, monkeypatch, answer):
    answered(monkeypatch, answer)
    code, out, _ = run("epochs", *TINY, "--ask")
    assert code == 3
    assert "6 trials: 6 missing, 0 interrupted, 0 failed, 0 complete\nestimated time: about " in out
    assert out.endswith("Start now? [y/N] \nNothing was run.\n")
    assert list(tmp_path.iterdir()) == []


def test_ask_without_anybody_who_can_answer_is_one_line(run, tmp_path, monkeypatch):
    for nobody in (io.StringIO(""), None):
        monkeypatch.setattr(sys, "stdin", nobody)
        code, _, err = run("epochs", *TINY, "--ask")
        assert code == 2
        assert err.splitlines() == [
            "error: a run with --ask waits for an answer, and nobody can give one here; leave --ask out to start "
            "(in the menu: -Yes)"
        ]
    assert list(tmp_path.iterdir()) == []


def test_ask_changes_no_outcome_and_does_not_ask_where_nothing_is_missing(run, monkeypatch):
    answered(monkeypatch, "Yes\n")
    _, out, _ = run("epochs", *TINY, "--ask", "--logdir", "asked")
    assert "6 of 6 trials complete, 6 of them trained now" in out
    assert "next: " not in out
    answered(monkeypatch, "")
    code, out, _ = run("epochs", *TINY, "--ask", "--logdir", "asked")
    assert code == 0
    assert "[y/N]" not in out
    assert "6 of 6 trials complete, 0 of them trained now" in out
    assert run("epochs", *TINY, "--logdir", "plain")[0] == 0
    assert run("--compare", "asked", "plain")[0] == 0


def test_ask_before_until_decided_tells_of_the_first_look_and_then_of_what_is_undecided(run, monkeypatch):
    study = ["epochs", *TINY[:4], "--seeds", "3", "--until-decided", "--most-seeds", "6", "--ask"]
    answered(monkeypatch, "n\n")
    _, out, _ = run(*study)
    assert "9 trials: 9 missing" in out
    assert "then, look by look, more seeds where they are needed, up to 6 per configuration" in out
    assert run("epochs", *TINY[:4], "--seeds", "3")[0] == 0
    answered(monkeypatch, "n\n")
    _, out, _ = run(*study)
    assert "9 trials: 0 missing, 0 interrupted, 0 failed, 9 complete" in out
    assert "0 of 1 hypothesis decided; 9 trials to go" in out
    answered(monkeypatch, "y\n")
    assert "18 of them trained now" not in run(*study)[1]
    answered(monkeypatch, "")
    code, out, _ = run(*study)  # all looks that may be had are there
    assert code == 0
    assert "[y/N]" not in out


def test_every_run_says_data_split_and_device(run):
    _, out, _ = run("depth", *TINY)
    assert "data    garments-small (drawn by" in out
    assert "device  cpu (torch finds no GPU), " in out or "device  cuda" in out


def test_the_courses_protocol_is_labelled(run, tmp_path):
    code, out, _ = run("depth", *TINY, "--validation", "test")
    assert code == 0
    assert "NOTE    course protocol" in out
    (path, *_) = tmp_path.glob("modellogs/*/seed*/result.toml")
    assert tomllib.loads(path.read_text())["outcome"]["validation"] == "test"


def test_an_experiment_of_ones_own_runs(run, tmp_path):
    (tmp_path / "own.toml").write_text(
        '[[experiment]]\nname = "mine"\nscientific = ["units1"]\n'
        "grid = { units1 = [8, 16] }\nfixed = { epochs = 1, train_steps = 5 }\n"
    )
    code, out, _ = run("--study", "own.toml", "--dataset", "garments-small", "--seeds", "1")
    assert code == 0
    assert "2 of 2 trials complete" in out


def test_divergence_is_an_outcome_not_a_failure(run):
    arguments = ["depth", "--dataset", "garments-small", "--seeds", "1"]
    code, out, _ = run(*arguments, "--set", "learning_rate=1e6", "--set", "optimizer=SGD", "--set", "train_steps=5")
    assert code == 0
    assert "diverged" in out


BAD_COMMANDS = [
    (["epoch"], "unknown experiment or group 'epoch'"),
    (["--seeds", "0"], "--seeds takes a number of replicates"),
    (["--seeds", "-3"], "--seeds"),
    (["--seeds", "five"], "--seeds takes a number of replicates"),
    (["--seeds", "9-3"], "--seeds takes"),
    (["--seeds", "1000-1004"], "seeds 1000 and above are reserved for --confirm"),
    (["--seeds", "٣"], "--seeds takes"),
    (["--workers", "0"], "--workers takes a whole number"),
    (["--workers", "many"], "--workers takes a whole number"),
    (["--set", "train_steps"], "--set takes NAME=VALUE"),
    (["--set", "steps=3"], "unknown hyperparameter 'steps'"),
    (["--set", "train_steps=1.5"], "train_steps must be a whole number"),
    (["--set", "train_steps=-1"], "train_steps must be a whole number"),
    (["--set", "learning_rate=nan"], "learning_rate must be a number"),
    (["--set", "train_steps=3", "--set", "train_steps=4"], "--set gives train_steps twice"),
    (["epochs", "--set", "epochs=3"], "epochs is set by the grid"),
    (["--data-dir", "nowhere"], "nowhere"),
    (["--data-dir", "."], "holds no Fashion-MNIST"),
    (["--study", "none.toml"], "cannot read the study file"),
    (["--device", "tpu"], "invalid choice"),
    (["--ask", "--dry-run"], "--dry-run and --ask ask for two things"),
    (["--short"], "--short is for --status"),
    (["--until-decided", "--until", "recommended"], "--until-decided is --until decided; got --until recommended"),
    (["--until-decided", "--most-seeds", "4", "--dataset", "garments-small"], "--most-seeds must allow the first look"),
    (["--until-decided", "--most-seeds", "4", "--dataset", "garments-small", "--dry-run"], "is at 5 seeds; got 4"),
    (["--output", "here"], "--output is for --status"),
    (["--dataset", "mnist"], "invalid choice"),
    (["--sets", "a=1"], "unrecognized arguments"),
    (["--compare", "a", "b"], "log directory"),
    (["--logdir", "file"], "must be a folder"),
    (
        ["--dataset", "garments-small", "--set", "batch_size=50000", "epochs"],
        "cannot exceed the 5,000 training images",
    ),
]


@pytest.mark.parametrize(("arguments", "message"), BAD_COMMANDS, ids=lambda value: str(value)[:40])
def test_a_bad_command_gets_one_line_and_writes_nothing(run, tmp_path, arguments, message):
    (tmp_path / "file").touch()
    code, _, err = run(*arguments)
    assert code == 2
    assert message in err
    assert "Traceback" not in err
    assert len([line for line in err.splitlines() if "error:" in line]) == 1
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def _start(tmp_path, *arguments):
    command = [sys.executable, "grid_search_experiments.py", "--logdir", str(tmp_path), *arguments]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
        preexec_fn=hear_interruptions if os.name != "nt" else None,  # noqa: PLW1509
    )  # fmt: skip


def test_a_study_killed_midway_and_started_again_ends_with_the_same_bits(run, tmp_path, request):
    os.chdir(request.config.rootpath)
    logdir = tmp_path / "killed"
    arguments = ["batch_size", *TINY, "--workers", "2"]
    study = _start(logdir, *arguments)
    wait_until(lambda: len(list(logdir.glob("*/seed*/result.toml"))) >= 3)
    os.killpg(study.pid, signal.SIGKILL)
    study.communicate()
    assert run(*arguments, "--logdir", logdir)[0] == 0
    assert run(*arguments, "--logdir", tmp_path / "whole")[0] == 0
    assert run("--compare", logdir, tmp_path / "whole")[0] == 0


def test_ctrl_c_stops_soon_says_how_to_resume_and_leaves_no_process(tmp_path, request):
    os.chdir(request.config.rootpath)
    study = _start(tmp_path / "logs", "epochs", "--dataset", "garments-small", "--seeds", "20")
    wait_until(lambda: len(list((tmp_path / "logs").glob("*/seed*/result.toml"))) >= 1)
    os.killpg(study.pid, signal.SIGINT)
    out, _ = study.communicate(timeout=30)
    assert study.returncode == 130
    assert "rerun the same command to resume" in out
    assert "Traceback" not in out
    assert "leaked" not in out
    wait_until(lambda: not group_exists(study.pid), timeout_s=20)
