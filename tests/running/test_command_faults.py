"""What a study does when it is ended, hangs or meets a faulty subject, through the command line and from Python."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import gridstudy as gs
from grid_search_experiments import main
from gridstudy.core.subject import Data
from gridstudy.core.trial import DataIdentity
from gridstudy.fashion.subject import SUBJECT
from gridstudy.records.comparison import compare_outcomes
from gridstudy.records.tables import find_results
from gridstudy.records.trials import ERROR_FILE
from gridstudy.running.launchers import InProcessLauncher, LocalLauncher
from gridstudy.running.planning import plan_trials
from gridstudy.running.progress import StudyTracker
from gridstudy.running.runner import run_study
from gridstudy.running.trials import run_trials
from tests.conftest import IDENTITY, TWO_BY_TWO, wait_until
from tests.fault_jobs import SOURCE
from tests.studies import ROOT, start_study

DIGITS = ROOT / "examples" / "digits.py"
POSIX = pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals")


@POSIX
def test_a_study_of_a_subject_file_that_is_killed_resumes_to_equal_outcomes(tmp_path, capsys):
    pytest.importorskip("sklearn")
    arguments = ["learning_rate", "--subject", DIGITS, "--seeds", "2", "--workers", "2"]
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    study = start_study(killed, *map(str, arguments))
    wait_until(lambda: len(list(find_results(killed))) >= 2)
    os.killpg(study.pid, signal.SIGKILL)
    study.communicate()
    n_before = len(list(find_results(killed)))
    assert n_before < 6
    for logdir in (killed, whole):
        assert main([*map(str, arguments), "--logdir", str(logdir)]) == 0
    assert f"{6 - n_before} of them trained now" in capsys.readouterr().out
    assert compare_outcomes(killed, whole) == []


@POSIX
def test_a_study_that_is_terminated_exits_with_143_and_says_how_to_resume(tmp_path):
    study = start_study(tmp_path, "epochs", "--dataset", "garments-small", "--seeds", "20")
    wait_until(lambda: any(tmp_path.glob("*/seed*/result.toml")))
    study.send_signal(signal.SIGTERM)
    out, _ = study.communicate(timeout=60)
    assert study.returncode == 143
    assert "rerun the same command to resume" in out
    assert "Traceback" not in out


def test_a_trial_beyond_its_time_is_ended_and_recorded(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "slow.py").write_text(
        "import time\nimport gridstudy as gs\n\n"
        "def prepare():\n    return gs.make_data('none', train=([[0.0]], [0]), validation=([[0.0]], [0]))\n\n"
        "def train(trial, data, folder, device, report):\n"
        "    time.sleep(60 * (trial.configuration['size'] > 1))\n    return gs.Outcome(0.5)\n\n"
        "subject = gs.Subject('slow', [gs.Hyperparameter('size', 1, low=1, high=9)], train, prepare,\n"
        "    gs.Objective('score'), experiments=[{'name': 'sizes', 'scientific': ['size'],\n"
        "    'grid': {'size': [1, 2]}}])\n"
    )
    assert main(["--subject", "slow.py", "--seeds", "1", "--workers", "2", "--trial-timeout", "8s"]) == 1
    assert len(list(find_results(Path("modellogs")))) == 1
    (error,) = Path("modellogs").rglob(ERROR_FILE)
    assert "no result within 8 s" in error.read_text()


def test_a_home_folder_in_a_path_is_the_users(tmp_path, monkeypatch, small_data):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "home"))
    arguments = ["epochs", "--dataset", "garments-small", "--set", "train_steps=5", "--seeds", "1"]
    assert main([*arguments, "--logdir", "~/logs"]) == 0
    assert len(list(find_results(tmp_path / "home" / "logs"))) == 3
    assert not Path("~").exists()


@pytest.mark.parametrize("arguments", [["--trial-timeout", "0"], ["--trial-timeout", "soon"], ["--subject", "no.py"]])
def test_a_time_or_a_subject_that_is_none_gets_one_line(tmp_path, monkeypatch, capsys, arguments):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: ")
    assert len(err.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_package_that_is_not_installed_gets_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "tomlserializer", None)
    monkeypatch.delitem(sys.modules, "gridstudy.running.trials")
    assert main(["epochs", "--dataset", "garments-small", "--set", "train_steps=5", "--seeds", "1"]) == 2
    err = [line for line in capsys.readouterr().err.splitlines() if not line.startswith("warning: ")]
    assert len(err) == 1
    assert "'tomlserializer' is not installed" in err[0]


def _subject(train):
    return gs.Subject(
        "made-up", [gs.Hyperparameter("size", 1, low=1, high=9)], train, lambda: Data("content", IDENTITY),
        gs.Objective("score"),
        experiments=[{"name": "sizes", "scientific": ["size"], "grid": {"size": [1, 2, 3]}}],
    )  # fmt: skip


def test_a_subject_of_this_process_has_one_worker(tmp_path):
    subject = _subject(lambda *_: gs.Outcome(0.5))
    with pytest.raises(gs.StudyError, match="one trial at a time"):
        gs.run(subject, seeds=1, logdir=tmp_path / "logs", workers=2)
    assert not (tmp_path / "logs").exists()
    assert len(gs.run(subject, seeds=1, logdir=tmp_path / "logs").results) == 3


def test_a_train_that_raises_is_a_failure_with_its_traceback_and_the_study_goes_on(tmp_path):
    def train(trial, data, folder, device, report):
        if trial.configuration["size"] == 2:
            raise ValueError("size 2 has no network")
        return gs.Outcome(0.5)

    summary = gs.run(_subject(train), seeds=1, logdir=tmp_path)
    assert len(summary.results) == 2
    assert list(summary.failures.values()) == ["ValueError: size 2 has no network"]
    (error,) = tmp_path.rglob(ERROR_FILE)
    assert "Traceback" in error.read_text()
    assert "in train" in error.read_text()


def test_workers_that_are_spawned_give_the_bits_of_this_process(tmp_path, small_data):
    data = Data(small_data, DataIdentity(**small_data.identity))
    experiment = SUBJECT.parse(TWO_BY_TWO)
    launchers = {"spawn": LocalLauncher(2, start_method="spawn"), "here": InProcessLauncher()}
    for name, launcher in launchers.items():
        logdir = tmp_path / name
        planned = plan_trials([experiment], range(1), subject=SUBJECT, data=data, logdir=logdir)
        run_study(
            planned, logdir=logdir, launcher=launcher, progress=StudyTracker(),
            train=_train(data, logdir),
        )  # fmt: skip
    assert compare_outcomes(tmp_path / "spawn", tmp_path / "here") == []


def _train(data, logdir):
    from functools import partial

    return partial(run_trials, source=SOURCE, data=data, logdir=logdir, device="cpu")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a file that is always full")
def test_progress_that_cannot_be_written_ends_no_study(tmp_path):
    command = [sys.executable, ROOT / "grid_search_experiments.py", "depth", "--dataset", "garments-small"]
    options = ["--set", "train_steps=5", "--seeds", "1", "--logdir", tmp_path / "logs"]
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run([*command, *options], stderr=full, stdout=subprocess.PIPE, text=True, check=False)
    assert ended.returncode == 0
    assert "3 of 3 trials complete" in ended.stdout


def test_a_source_that_changed_since_its_records_were_made_is_said_once(tmp_path):
    subject = tmp_path / "own_digits.py"
    subject.write_text(DIGITS.read_text(encoding="utf-8"), encoding="utf-8")
    command = ["learning_rate", "--subject", subject, "--seeds", "1", "--logdir", tmp_path / "logs"]
    for text in ("", "# changed\n"):
        subject.write_text(subject.read_text(encoding="utf-8") + text, encoding="utf-8")
        ended = subprocess.run(
            [sys.executable, ROOT / "grid_search_experiments.py", *command], capture_output=True, text=True, check=True
        )
        warnings = [line for line in ended.stderr.splitlines() if "raise its training_version" in line]
        assert len(warnings) == bool(text)
