from __future__ import annotations

import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from gridstudy.core.errors import StopStudy, StudyError
from gridstudy.core.machine import CPU_VARIABLES
from gridstudy.core.space import Hyperparameter
from gridstudy.core.subject import Data, Objective, Subject
from gridstudy.core.trial import UNKNOWN, Outcome, TrialConfig
from gridstudy.records.attempts import attempt_folder
from gridstudy.records.trials import LOG_FILE, RESULT_FILE, TRIAL_FILE, read_result, trial_folder
from gridstudy.running.subjects import SubjectSource
from gridstudy.running.trials import OutcomeError, run_trials
from tests.conftest import IDENTITY

DATA = Data("content", IDENTITY, class_names=("a", "b"))


def subject_that(train, **options):
    options = {"objective": Objective("latency", unit="ms", maximise=False, margin=1.0, low=0.0), **options}
    return Subject(
        name="made-up", space=[Hyperparameter("size", 1, low=1)], train=train, prepare=lambda: DATA, **options
    )


def run(subject, logdir, seed=0, **options):
    trial = TrialConfig(subject.name, subject.configure({}), seed, IDENTITY)
    source = SubjectSource(here=subject)
    return run_trials((trial,), source=source, data=DATA, logdir=logdir, device="cpu", attempt=1, **options)[0]


def test_a_subject_gets_the_trial_the_content_and_its_folder(tmp_path):
    seen = []

    def train(trial, content, folder, device, report):
        seen.append((trial.configuration["size"], trial.seed, content, folder, device))
        return Outcome(3.5, test_score=4.0)

    result, run_facts = run(subject_that(train), tmp_path, seed=7, owner="abc")
    trial = result.trial
    assert seen == [(1, 7, "content", attempt_folder(trial_folder(tmp_path, trial), attempt=1, owner="abc"), "cpu")]
    assert (result.score, result.test_score, result.curves) == (3.5, 4.0, {})
    assert {LOG_FILE, TRIAL_FILE} < {p.name for p in trial_folder(tmp_path, trial).iterdir()}
    assert run_facts.host != "unknown"
    assert run_facts.source != "unknown"


@pytest.mark.parametrize("name", ["size", "seed"])
def test_a_metric_that_would_hide_another_column_is_refused(tmp_path, name):
    def report_it(trial, content, folder, device, report):
        report({name: 1.0})
        return Outcome(3.0)

    def return_it(trial, content, folder, device, report):
        return Outcome(3.0, curves={name: [1.0]})

    for train in (report_it, return_it):
        with pytest.raises(StudyError, match=f"a metric must not be named like a hyperparameter .* got '{name}'"):
            run(subject_that(train), tmp_path)


def test_a_record_names_the_processor_and_the_variables_that_change_its_bits(tmp_path, monkeypatch):
    for name in CPU_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MKL_CBWR", "COMPATIBLE")
    run(subject_that(lambda *_: Outcome(1.0)), tmp_path)
    (path,) = tmp_path.rglob(RESULT_FILE)
    _, run_facts = read_result(path)
    assert run_facts.processor not in ("", UNKNOWN)
    assert run_facts.environment == {"MKL_CBWR": "COMPATIBLE"}


def test_what_is_reported_each_epoch_becomes_the_curves_with_their_seconds(tmp_path):
    def train(trial, content, folder, device, report):
        for epoch in range(3):
            report({"loss": 1.0 / (epoch + 1), "latency": 5.0 - epoch})
        return Outcome(3.0)

    result, run_facts = run(subject_that(train), tmp_path)
    assert result.curves == {"loss": (1.0, 0.5, pytest.approx(1 / 3)), "latency": (5.0, 4.0, 3.0)}
    assert len(run_facts.epoch_duration_s) == 3


@pytest.mark.parametrize("score", [math.nan, math.inf, -math.inf])
def test_a_score_that_is_not_finite_is_a_diverged_trial_and_a_valid_outcome(tmp_path, score):
    result, _ = run(subject_that(lambda *_: Outcome(score)), tmp_path)
    assert result.diverged
    assert math.isnan(result.score)
    chance = Objective("accuracy", chance=0.5)
    assert run(subject_that(lambda *_: Outcome(score), objective=chance), tmp_path / "b")[0].score == 0.5


@pytest.mark.parametrize(
    ("outcome", "reason"),
    [
        (Outcome(-1.0), "a score must lie from 0 to inf; got -1"),
        (0.5, "train must return a gridstudy.Outcome; got float"),
        (Outcome(1.0, curves={"a": (1.0,), "b": (1.0, 2.0)}), "one value per epoch each; got lengths a 1, b 2"),
        (Outcome(1.0, confusion=((1,),)), "a row for each of 2 classes; got 1"),
    ],
)
def test_an_outcome_that_is_none_is_a_failure_with_a_reason(tmp_path, outcome, reason):
    with pytest.raises(OutcomeError, match=reason):
        run(subject_that(lambda *_: outcome), tmp_path)


def test_a_result_that_is_there_is_kept(tmp_path):
    first, _ = run(subject_that(lambda *_: Outcome(1.0)), tmp_path)
    assert run(subject_that(lambda *_: Outcome(2.0)), tmp_path)[0].score == first.score == 1.0


def test_a_result_that_appears_meanwhile_is_kept(tmp_path):
    def train(trial, content, folder, device, report):
        other = subject_that(lambda *_: Outcome(1.0))
        run_trials((trial,), source=SubjectSource(here=other), data=DATA, logdir=tmp_path, device="cpu", attempt=1)
        return Outcome(2.0)

    assert run(subject_that(train), tmp_path)[0].score == 1.0
    (path,) = tmp_path.rglob(RESULT_FILE)
    assert read_result(path)[0].score == 1.0
    assert [folder.name for folder in path.parent.parent.iterdir()] == [path.parent.name]


def test_two_attempts_at_once_do_not_touch_each_others_files(tmp_path):
    """Runner B starts, trains and ends while A is in the middle of the same trial; each looks at its files."""
    seen = {}

    def train_as(name, during=lambda: None):
        def train(trial, content, folder, device, report):
            (folder / "curve").write_text(name)
            during()
            seen[name] = sorted(path.name for path in folder.iterdir()), (folder / "curve").read_text()
            return Outcome({"A": 1.0, "B": 2.0}[name])

        return subject_that(train)

    def fail(trial, content, folder, device, report):
        (folder / "curve").write_text("C")
        raise ValueError("C fails")

    def meanwhile():
        with pytest.raises(ValueError, match="C fails"):
            run(subject_that(fail), tmp_path)
        run(train_as("B"), tmp_path)

    result, _ = run(train_as("A", meanwhile), tmp_path)
    files = ["curve", LOG_FILE, TRIAL_FILE]
    assert seen == {"A": (sorted(files), "A"), "B": (sorted(files), "B")}
    folder = trial_folder(tmp_path, result.trial)
    assert result.score == read_result(folder / RESULT_FILE)[0].score == 2.0
    assert (folder / "curve").read_text() == "B"
    assert sorted(path.name for path in folder.iterdir()) == sorted([*files, RESULT_FILE])


def test_no_result_is_placed_where_the_lock_is_lost_or_the_data_changed(tmp_path):
    def lost():
        raise StudyError("the lock is lost")

    subject = subject_that(lambda *_: Outcome(1.0))
    with pytest.raises(StopStudy, match="the lock is lost"):
        run(subject, tmp_path, check=lost)
    changed = replace(subject, check_content=lambda content: lost())
    with pytest.raises(StopStudy, match="the lock is lost"):
        run(changed, tmp_path)
    assert not list(tmp_path.rglob("result.toml"))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a file that is always full")
def test_a_log_that_cannot_be_written_ends_the_trial_not_only_the_log():
    code = (
        "from pathlib import Path; from gridstudy.running import trials\n"
        "with trials._log_to(Path('/dev/full')): trials.logger.info('a line')\n"
        "print('went on')"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert "No space left" in ended.stderr
    assert ended.stdout == ""
