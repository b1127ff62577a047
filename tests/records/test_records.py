from __future__ import annotations

import math
import os
from dataclasses import replace

import pytest

from gridstudy.core.files import write_atomic
from gridstudy.core.study import TrialState
from gridstudy.records.records import (
    ERROR_FILE,
    RESULT_FILE,
    RecordError,
    compare_outcomes,
    load_records,
    read_result,
    trial_folder,
    trial_state,
    write_experiment,
    write_result,
)
from tests.conftest import fake_result, fake_run


def _complete(logdir, trial, **kwargs):
    folder = trial_folder(logdir, trial)
    folder.mkdir(parents=True)
    write_result(folder, fake_result(trial, **kwargs), fake_run())
    return folder / RESULT_FILE


def test_a_result_is_read_back_as_it_was(tmp_path, make_trial):
    path = _complete(tmp_path, make_trial())
    result, run = read_result(path)
    assert result == fake_result(make_trial())
    assert run == fake_run()


def test_a_diverged_result_keeps_its_nan(tmp_path, make_trial):
    result, _ = read_result(_complete(tmp_path, make_trial(), diverged=True))
    assert result.diverged
    assert math.isnan(result.curve.train_loss[-1])


def test_states_are_read_from_the_disk(tmp_path, make_trial):
    trial = make_trial()
    folder = trial_folder(tmp_path, trial)
    assert trial_state(tmp_path, trial) == (TrialState.MISSING, "")
    folder.mkdir(parents=True)
    assert trial_state(tmp_path, trial) == (TrialState.INTERRUPTED, "")
    (folder / ERROR_FILE).write_text("no luck")
    assert trial_state(tmp_path, trial) == (TrialState.FAILED, "")
    write_result(folder, fake_result(trial), fake_run())
    assert trial_state(tmp_path, trial) == (TrialState.COMPLETE, "")


def test_a_result_cut_anywhere_is_never_taken_for_a_whole_one(tmp_path, make_trial):
    path = _complete(tmp_path, make_trial())
    content = path.read_bytes()
    for length in range(0, len(content) - 1, 7):
        path.write_bytes(content[:length])
        with pytest.raises(RecordError):
            read_result(path)
    state, note = trial_state(tmp_path, make_trial())
    assert state is TrialState.INTERRUPTED
    assert str(path) in note


def test_a_flipped_bit_anywhere_is_seen(tmp_path, make_trial):
    path = _complete(tmp_path, make_trial())
    content = path.read_bytes()
    for position in range(0, len(content) - 1, 11):
        flipped = bytearray(content)
        flipped[position] ^= 1
        path.write_bytes(flipped)
        with pytest.raises(RecordError):
            read_result(path)


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "file"
    write_atomic(path, b"old")

    def full_disk(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(OSError, match="No space"):
        write_atomic(path, b"new")
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_tables_have_a_row_per_trial_and_epoch_and_name_what_is_unfinished(tmp_path, make_trial):
    _complete(tmp_path, make_trial(0))
    _complete(tmp_path, make_trial(1, seed=4), diverged=True)
    (trial_folder(tmp_path, make_trial(2))).mkdir(parents=True)
    failed = trial_folder(tmp_path, make_trial(3))
    failed.mkdir(parents=True)
    (failed / ERROR_FILE).write_text("Traceback\nRuntimeError: no luck\n")
    records = load_records(tmp_path)
    assert sorted(records.trials["seed"]) == [0, 4]
    assert records.trials.set_index("seed").loc[4, "validation_accuracy"] == 0.1
    assert len(records.curves) == 4
    assert sorted(records.problems["state"]) == ["failed", "interrupted"]
    assert "RuntimeError: no luck" in set(records.problems["reason"])


def test_an_experiment_is_read_back_as_it_was_planned(tmp_path, experiment):
    write_experiment(tmp_path, experiment, n_complete=0)
    (recorded,) = load_records(tmp_path).experiments
    assert recorded.experiment == experiment
    assert recorded.superseded == ()


def test_a_hypothesis_changed_after_the_run_is_kept_beside_the_new_one(tmp_path, experiment):
    write_experiment(tmp_path, experiment, n_complete=0)
    write_experiment(tmp_path, replace(experiment, hypothesis="The opposite.", contrasts=()), n_complete=3)
    write_experiment(tmp_path, replace(experiment, hypothesis="The opposite.", contrasts=()), n_complete=4)
    (recorded,) = load_records(tmp_path).experiments
    assert recorded.experiment.hypothesis == "The opposite."
    assert [(s["hypothesis"], s["n_complete"]) for s in recorded.superseded] == [(experiment.hypothesis, 3)]


def test_outcomes_compare_equal_whatever_the_run_and_name_what_differs(tmp_path, make_trial):
    for name in ("a", "b"):
        _complete(tmp_path / name, make_trial(0), diverged=True)
    assert compare_outcomes(tmp_path / "a", tmp_path / "b") == []
    _complete(tmp_path / "a", make_trial(1))
    folder = trial_folder(tmp_path / "b", make_trial(0))
    write_result(folder, replace(fake_result(make_trial(0)), test_accuracy=0.5), fake_run())
    lines = compare_outcomes(tmp_path / "a", tmp_path / "b")
    assert len(lines) == 2
    assert any("only in" in line for line in lines)
    assert any("test_accuracy" in line for line in lines)
