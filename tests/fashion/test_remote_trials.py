from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from gridstudy.core.study import TrialConfig, TrialState
from gridstudy.fashion.data import open_splits
from gridstudy.fashion.remote_trials import pack_folder, place_trial, split_arrays, train_remotely
from gridstudy.fashion.training import run_trial, train_trial
from gridstudy.records.records import ERROR_FILE, LOG_FILE, RESULT_FILE, read_result, trial_folder, trial_state
from gridstudy.running.launchers import Crashed, Finished
from tests.conftest import fake_result, fake_run


@pytest.fixture
def trial(experiment, small_data):
    return TrialConfig(experiment.configurations[0], 0, **small_data.identity)


def test_a_trial_trained_far_away_has_the_bits_and_the_files_of_one_trained_here(tmp_path, trial, small_data):
    arrays = {name: tuple(map(_read_only, pair)) for name, pair in split_arrays(small_data).items()}
    packed = train_remotely(trial, splits=arrays, device="cpu", attempt=1)
    event = place_trial(trial, packed, logdir=tmp_path / "far")
    result, _ = run_trial(trial, prepared=small_data, logdir=tmp_path / "here", device="cpu", attempt=1)
    assert isinstance(event, Finished)
    assert event.value[0] == result == read_result(trial_folder(tmp_path / "far", trial) / RESULT_FILE)[0]
    assert _kinds(trial_folder(tmp_path / "far", trial)) == _kinds(trial_folder(tmp_path / "here", trial))


def _read_only(array):
    array = np.array(array)
    array.flags.writeable = False
    return array


def _kinds(folder):
    return sorted(path.name.partition(".tfevents")[0] for path in folder.rglob("*") if path.is_file())


def test_a_trial_that_fails_far_away_leaves_its_error_and_its_log_here(tmp_path, trial, small_data):
    trial = replace(trial, configuration=replace(trial.configuration, batch_size=5_001))
    event = place_trial(
        trial, train_remotely(trial, splits=split_arrays(small_data), device="cpu", attempt=1), logdir=tmp_path
    )
    assert isinstance(event, Crashed)
    assert "Traceback" in event.reason
    assert event.reason.strip().splitlines()[-1].startswith("ValueError: batch_size must be between 1 and")
    folder = trial_folder(tmp_path, trial)
    assert (folder / LOG_FILE).is_file()
    assert (folder / ERROR_FILE).is_file()
    assert trial_state(tmp_path, trial)[0] is TrialState.FAILED


def test_a_trial_that_arrives_replaces_what_an_interrupted_attempt_left(tmp_path, trial, small_data):
    from gridstudy.records.records import write_result

    (tmp_path / "node").mkdir()
    write_result(tmp_path / "node", fake_result(trial), fake_run())
    stale = trial_folder(tmp_path / "logs", trial) / "20260101-000000"
    stale.mkdir(parents=True)
    place_trial(trial, pack_folder(tmp_path / "node"), logdir=tmp_path / "logs")
    assert [p.name for p in trial_folder(tmp_path / "logs", trial).iterdir()] == [RESULT_FILE]


def test_a_trial_whose_result_is_cut_on_the_way_is_not_complete(tmp_path, trial, small_data):
    train_trial(trial, open_splits(small_data), _made(tmp_path / "node"))
    (tmp_path / "node" / RESULT_FILE).write_bytes(b"format = 1")
    with pytest.raises(Exception, match="cut short"):
        place_trial(trial, pack_folder(tmp_path / "node"), logdir=tmp_path / "logs")
    assert trial_state(tmp_path / "logs", trial)[0] is not TrialState.COMPLETE


def _made(folder):
    folder.mkdir()
    return folder
