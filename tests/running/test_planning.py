from __future__ import annotations

import subprocess

import pytest

from gridstudy.core.errors import StudyError
from gridstudy.core.trial import TrialState
from gridstudy.fashion.subject import SUBJECT
from gridstudy.records.attempts import start_attempt
from gridstudy.records.plans import write_plan
from gridstudy.records.trials import trial_folder, trial_status
from gridstudy.running.planning import plan_trials, prepare_logdir, recorded_dataset
from tests.conftest import DATA
from tests.records.test_trials import complete


def test_trials_are_planned_seed_by_seed_the_longest_first(tmp_path, experiment):
    planned = plan_trials([experiment], range(2), subject=SUBJECT, data=DATA, logdir=tmp_path)
    assert [p.trial.seed for p in planned] == [0] * 4 + [1] * 4
    works = [p.trial.configuration.work for p in planned[:4]]
    assert works == sorted(works, reverse=True)


def test_a_complete_trial_is_planned_with_its_result(tmp_path, experiment, make_trial):
    complete(tmp_path, make_trial())
    planned = plan_trials([experiment], [0], subject=SUBJECT, data=DATA, logdir=tmp_path)
    (done,) = [p for p in planned if p.state is TrialState.COMPLETE]
    assert done.result is not None
    assert done.result.trial == make_trial()


def test_records_of_two_data_sets_need_a_choice(tmp_path, experiment):
    assert recorded_dataset(tmp_path) is None
    for dataset in ("garments", "fashion-mnist"):
        write_plan(tmp_path, experiment, SUBJECT.describe(DATA), seeds=[0], dataset=dataset, n_complete=0)
        if dataset == "garments":
            assert recorded_dataset(tmp_path) == "garments"
    with pytest.raises(StudyError, match="fashion-mnist and garments; say which with --dataset"):
        recorded_dataset(tmp_path)


def test_temporary_files_of_killed_writers_go_and_a_user_s_files_stay(tmp_path):
    (tmp_path / "experiments").mkdir()
    left = [tmp_path / "verdicts.toml.4321.tmp", tmp_path / "experiments" / "epochs.toml.77.tmp"]
    for path in [*left, tmp_path / "notes.tmp"]:
        path.touch()
    prepare_logdir(tmp_path)
    assert not any(path.exists() for path in left)
    assert (tmp_path / "notes.tmp").exists()


def test_attempts_of_killed_runners_go(tmp_path, make_trial):
    own = start_attempt(trial_folder(tmp_path, make_trial()), attempt=1)
    prepare_logdir(tmp_path)
    assert not own.exists()


def test_records_survive_a_clone_by_git_for_windows(tmp_path, make_trial):
    logs, clone = tmp_path / "logs", tmp_path / "clone"
    complete(logs, make_trial())
    prepare_logdir(logs)
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-c", "core.autocrlf=true"]
    for command in (["init", "-q"], ["add", "."], ["commit", "-qm", "logs"]):
        subprocess.run([*git, *command], cwd=logs, check=True, capture_output=True)
    subprocess.run([*git, "clone", "-q", logs, clone], check=True, capture_output=True)
    assert trial_status(clone, make_trial()).state is TrialState.COMPLETE
    assert b"\r\n" not in next(clone.rglob("result.toml")).read_bytes()
