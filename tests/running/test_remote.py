from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from gridstudy.core.errors import StopStudy, StudyError
from gridstudy.core.subject import Data
from gridstudy.core.trial import DataIdentity, TrialConfig, TrialState
from gridstudy.fashion.subject import SUBJECT
from gridstudy.fashion.training import split_arrays
from gridstudy.records.trials import (
    ERROR_FILE,
    LOG_FILE,
    RESULT_FILE,
    read_result,
    trial_folder,
    trial_status,
    write_result,
)
from gridstudy.running.launchers import Crashed, Finished, LocalLauncher, Started
from gridstudy.running.remote import pack_folder, place_trials, set_up_process, train_remotely
from gridstudy.running.subjects import SubjectSource
from gridstudy.running.trials import run_trials, train_trials
from tests.conftest import fake_result, fake_run
from tests.jobs import fail_in_a_thread

HOW = {"source": SubjectSource(module="gridstudy.fashion.subject"), "device": "cpu", "attempt": 1}


@pytest.fixture
def data(small_data):
    return Data(small_data, DataIdentity(**small_data.identity))


@pytest.fixture
def trial(experiment, data):
    return TrialConfig(SUBJECT.name, experiment.configurations[0], 0, data.identity)


def test_a_trial_trained_far_away_has_the_bits_and_the_files_of_one_trained_here(tmp_path, trial, data):
    arrays = {name: tuple(map(_read_only, pair)) for name, pair in split_arrays(data.content).items()}
    packed = train_remotely((trial,), data=replace(data, content=arrays), **HOW)
    event = place_trials((trial,), packed, logdir=tmp_path / "far")
    ((result, _),) = run_trials((trial,), data=data, logdir=tmp_path / "here", **HOW)
    assert isinstance(event, Finished)
    assert event.value[0][0] == result == read_result(trial_folder(tmp_path / "far", trial) / RESULT_FILE)[0]
    assert _kinds(trial_folder(tmp_path / "far", trial)) == _kinds(trial_folder(tmp_path / "here", trial))


def _read_only(array):
    array = np.array(array)
    array.flags.writeable = False
    return array


def _kinds(folder):
    return sorted(path.name.partition(".tfevents")[0] for path in folder.rglob("*") if path.is_file())


def test_a_trial_that_fails_far_away_leaves_its_error_and_its_log_here(tmp_path, trial, data):
    trial = replace(trial, configuration=SUBJECT.configure({**trial.configuration, "batch_size": 5_001}))
    event = place_trials((trial,), train_remotely((trial,), data=data, **HOW), logdir=tmp_path)
    assert isinstance(event, Crashed)
    assert "Traceback" in event.reason
    assert event.reason.strip().splitlines()[-1].startswith("ValueError: batch_size must be between 1 and")
    folder = trial_folder(tmp_path, trial)
    assert (folder / LOG_FILE).is_file()
    assert (folder / ERROR_FILE).is_file()
    assert trial_status(tmp_path, trial).state is TrialState.FAILED


def test_a_trial_that_arrives_replaces_what_an_interrupted_attempt_left(tmp_path, trial):
    (tmp_path / "node").mkdir()
    write_result(tmp_path / "node", fake_result(trial), fake_run())
    stale = trial_folder(tmp_path / "logs", trial) / "20260101-000000"
    stale.mkdir(parents=True)
    place_trials((trial,), [pack_folder(tmp_path / "node")], logdir=tmp_path / "logs")
    assert [p.name for p in trial_folder(tmp_path / "logs", trial).iterdir()] == [RESULT_FILE]


def test_a_trial_whose_result_is_cut_on_the_way_is_not_complete(tmp_path, trial, data):
    (tmp_path / "node").mkdir()
    list(train_trials((trial,), (tmp_path / "node",), data=data, **HOW))
    (tmp_path / "node" / RESULT_FILE).write_bytes(b"format = 1")
    with pytest.raises(Exception, match="cut short"):
        place_trials((trial,), [pack_folder(tmp_path / "node")], logdir=tmp_path / "logs")
    assert trial_status(tmp_path / "logs", trial).state is not TrialState.COMPLETE


def test_a_result_that_is_there_is_kept_when_an_equal_trial_arrives(tmp_path, trial):
    (tmp_path / "node").mkdir()
    write_result(tmp_path / "node", fake_result(trial), fake_run(attempt=2))
    folder = trial_folder(tmp_path / "logs", trial)
    folder.mkdir(parents=True)
    write_result(folder, fake_result(trial), fake_run(attempt=1))
    event = place_trials((trial,), [pack_folder(tmp_path / "node")], logdir=tmp_path / "logs")
    assert event.value[0][1].attempt == read_result(folder / RESULT_FILE)[1].attempt == 1


def test_nothing_is_placed_in_a_log_directory_that_is_no_longer_held(tmp_path, trial):
    def lost():
        raise StudyError("the lock was removed")

    (tmp_path / "node").mkdir()
    write_result(tmp_path / "node", fake_result(trial), fake_run())
    with pytest.raises(StopStudy, match="the lock was removed"):
        place_trials((trial,), [pack_folder(tmp_path / "node")], logdir=tmp_path / "logs", check=lost)
    assert not (tmp_path / "logs").exists()


def test_a_thread_that_fails_in_a_worker_leaves_no_traceback_on_the_terminal(capfd):
    launcher = LocalLauncher(1, setup=partial(set_up_process, HOW["source"]))
    assert [type(event) for event in launcher.run(fail_in_a_thread, [1])] == [Started, Finished]
    assert capfd.readouterr().err == ""
