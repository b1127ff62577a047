"""Files of a log directory that are damaged, replaced, forged or changed."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import tomli_w

from gridstudy.core.errors import StudyError
from gridstudy.core.trial import TrialState
from gridstudy.fashion.subject import SUBJECT
from gridstudy.records.comparison import compare_outcomes
from gridstudy.records.tables import find_results, load_records
from gridstudy.records.toml import read_toml, write_toml
from gridstudy.records.trials import RESULT_FILE, trial_folder, trial_status, write_result
from gridstudy.running.launchers import InProcessLauncher
from gridstudy.running.planning import plan_trials, record_plans, recorded_dataset
from gridstudy.running.progress import StudyTracker
from gridstudy.running.runner import run_study
from gridstudy.running.trials import run_trials
from gridstudy.statistics.estimates import analyse
from tests.conftest import fake_result, fake_run
from tests.fault_jobs import SOURCE
from tests.studies import PROTECTED, TINY, error_lines, resume

FILES = ("result.toml", "trial.toml", "trial.log", "*/settings.toml", "*/model.toml", "*/events.out.tfevents.*")


def _cut(path):
    os.truncate(path, path.stat().st_size // 2)


def _empty(path):
    os.truncate(path, 0)


def _flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x10
    path.write_bytes(content)


def _to_folder(path):
    path.unlink()
    path.mkdir()
    (path / "inside").touch()


def _to_broken_link(path):
    path.unlink()
    path.symlink_to("nowhere")


def _to_loop(path):
    path.unlink()
    path.symlink_to(path.name)


DAMAGES = (_cut, _empty, _flip, _to_folder, _to_broken_link, _to_loop)


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__.strip("_"))
@pytest.mark.parametrize("name", FILES)
def test_a_damaged_file_of_a_trial_is_told_and_made_good(whole, built_in, tmp_path, name, damage):
    logdir = tmp_path / "logs"
    shutil.copytree(whole, logdir)
    (path, *_) = sorted(logdir.glob(f"*/seed*/{name}"))
    damage(path)
    found = load_records(logdir)
    analyse(found)
    is_result = name == RESULT_FILE
    assert len(found.problems) == is_result
    assert len(found.trials) == 2 - is_result
    planned, summary = resume(logdir, built_in)
    assert [str(path) in p.note for p in planned if p.note] == [True] * is_result
    assert summary.n_run == is_result
    assert summary.failures == {}
    assert compare_outcomes(whole, logdir) == []


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__.strip("_"))
def test_a_damaged_plan_is_told_by_the_analysis_and_refused_by_the_runner(whole, built_in, tmp_path, damage):
    logdir = tmp_path / "logs"
    shutil.copytree(whole, logdir)
    damage(logdir / "experiments" / "protected.toml")
    found = load_records(logdir)
    analyse(found)
    assert len(found.trials) == 2
    assert len(found.problems) == 1
    with pytest.raises(StudyError, match="move it away"):
        record_plans(logdir, [SUBJECT.parse(PROTECTED)], subject=SUBJECT, data=built_in, seeds=range(1))


@pytest.mark.parametrize("what", ["trial", "configuration", "experiments"])
def test_a_file_where_a_folder_should_be_is_told(whole, built_in, tmp_path, what):
    logdir = tmp_path / "logs"
    shutil.copytree(whole, logdir)
    pattern = {"trial": "*/seed0-*", "configuration": "*units1=8*", "experiments": "experiments"}[what]
    folder = sorted(logdir.glob(pattern))[0]
    shutil.rmtree(folder)
    folder.write_text("a file")
    analyse(load_records(logdir))
    _, summary = resume(logdir, built_in)
    assert len(summary.results) == {"trial": 2, "configuration": 1, "experiments": 2}[what]
    assert len(summary.failures) == (what == "configuration")


def test_a_file_where_the_plans_should_be_is_told_by_the_analysis(whole, tmp_path):
    logdir = tmp_path / "logs"
    shutil.copytree(whole, logdir)
    shutil.rmtree(logdir / "experiments")
    (logdir / "experiments").write_text("a file")
    (problem,) = load_records(logdir).problems.to_dict("records")
    assert problem["path"] == str(logdir / "experiments")
    assert problem["state"] == "unreadable"


def test_results_that_cannot_be_used_are_said_aloud_and_made_again(run, tmp_path):
    arguments = ["depth", *TINY, "--logdir"]
    assert run(*arguments, "whole")[0] == 0
    shutil.copytree("whole", "hurt")
    hurt = sorted(find_results(Path("hurt")))[:2]
    _empty(hurt[0])
    _cut(hurt[1])
    code, out, err = run(*arguments, "hurt")
    assert code == 0
    assert "2 of them trained now" in out
    warnings = [line for line in err.splitlines() if line.startswith("warning: ")]
    assert [any(str(path) in line and "trained again" in line for line in warnings) for path in hurt] == [True, True]
    assert len(warnings) == 2
    assert run("--compare", "whole", "hurt")[0] == 0


def test_the_dataset_is_known_from_the_plans_where_results_are_damaged(whole, tmp_path):
    logdir = tmp_path / "logs"
    shutil.copytree(whole, logdir)
    path = next(find_results(logdir))
    _cut(path)
    os.utime(path, (4e9, 4e9))
    assert recorded_dataset(logdir) == "garments-small"


def test_a_result_in_another_trials_folder_is_never_taken_for_that_trials(tmp_path, make_trial):
    for seed in (0, 1):
        folder = trial_folder(tmp_path, make_trial(seed=seed))
        folder.mkdir(parents=True)
        write_result(folder, fake_result(make_trial(seed=seed)), fake_run())
    shutil.copy(trial_folder(tmp_path, make_trial()) / RESULT_FILE, trial_folder(tmp_path, make_trial(seed=1)))
    state, note, *_ = trial_status(tmp_path, make_trial(seed=1))
    assert state is TrialState.INTERRUPTED
    assert "record of another trial" in note
    found = load_records(tmp_path)
    assert list(found.trials["seed"]) == [0]
    assert "is a copy of" in found.problems.loc[0, "reason"]


@pytest.mark.parametrize("format", [0, 1, 3, "2"])
def test_a_whole_record_of_another_format_is_refused_and_kept(run, whole, tmp_path, monkeypatch, format):
    logdir = tmp_path / "logs"
    shutil.copytree(whole, logdir)
    (path, *_) = find_results(logdir)
    content = read_toml(path)
    write_toml(path, {**content, "format": format})
    written = path.read_bytes()
    found = load_records(logdir)
    assert len(found.trials) == 1
    assert "another format" in found.problems.loc[0, "reason"]
    (tmp_path / "own.toml").write_text(tomli_w.dumps({"experiment": [PROTECTED]}))
    code, _, err = run(
        "--study", tmp_path / "own.toml", "--dataset", "garments-small", "--seeds", "1", "--logdir", logdir
    )
    assert code == 2
    assert len(error_lines(err)) == 1
    assert "another --logdir" in err
    assert path.read_bytes() == written


@pytest.mark.parametrize(
    "change",
    [
        lambda trial: replace(trial, training_version=trial.training_version + 1),
        lambda trial: replace(trial, data=replace(trial.data, dataset_fingerprint="2" * 12)),
        lambda trial: replace(trial, data=replace(trial.data, split_fingerprint="3" * 12)),
        lambda trial: replace(trial, seed=9),
    ],
    ids=["training_version", "dataset_fingerprint", "split_fingerprint", "seed"],
)
def test_a_trial_whose_inputs_changed_is_another_trial_and_the_old_one_stays(tmp_path, make_trial, change):
    folder = trial_folder(tmp_path, make_trial())
    folder.mkdir(parents=True)
    write_result(folder, fake_result(make_trial()), fake_run())
    assert trial_status(tmp_path, change(make_trial())).state is TrialState.MISSING
    assert trial_status(tmp_path, make_trial()).state is TrialState.COMPLETE


def test_a_changed_grid_keeps_what_it_shares_and_loses_nothing(whole, built_in, tmp_path):
    logdir = tmp_path / "logs"
    shutil.copytree(whole, logdir)
    changed = SUBJECT.parse({**PROTECTED, "grid": {"units1": [16, 32]}})
    planned = plan_trials([changed], range(1), subject=SUBJECT, data=built_in, logdir=logdir)
    assert {p.trial.configuration["units1"]: p.state for p in planned} == {
        16: TrialState.COMPLETE,
        32: TrialState.MISSING,
    }
    train = partial(run_trials, source=SOURCE, data=built_in, logdir=logdir, device="cpu")
    run_study(planned, logdir=logdir, train=train, launcher=InProcessLauncher(), progress=StudyTracker())
    assert len(load_records(logdir).trials) == 3
