from __future__ import annotations

import hashlib
import math
import os
import re
from dataclasses import replace

import pytest

from gridstudy.core.errors import StudyError
from gridstudy.core.files import write_atomic
from gridstudy.core.space import Hyperparameter, SearchSpace
from gridstudy.core.trial import TrialConfig, TrialState
from gridstudy.fashion.subject import SUBJECT
from gridstudy.records.comparison import compare_outcomes
from gridstudy.records.toml import FormatError, RecordError
from gridstudy.records.trials import (
    ERROR_FILE,
    RESULT_FILE,
    read_result,
    trial_folder,
    trial_status,
    write_result,
)
from tests.conftest import IDENTITY, fake_result, fake_run


def complete(logdir, trial, **kwargs):
    folder = trial_folder(logdir, trial)
    folder.mkdir(parents=True)
    result = fake_result(trial, **kwargs)
    write_result(folder, result, fake_run(n_epochs=result.n_epochs))
    return folder / RESULT_FILE


def forge(path, change):
    """Change the text of a record and give it a checksum that fits."""
    body = path.read_bytes().rpartition(b"# sha256 ")[0].decode()
    changed = change(body)
    assert changed != body
    path.write_bytes(changed.encode() + b"# sha256 " + hashlib.sha256(changed.encode()).hexdigest().encode() + b"\n")


def test_a_result_is_read_back_as_it_was(tmp_path, make_trial):
    trial = make_trial()
    result = replace(fake_result(trial), confusion=((3, 1), (0, 4)))
    folder = trial_folder(tmp_path, trial)
    folder.mkdir(parents=True)
    write_result(folder, result, fake_run())
    assert read_result(folder / RESULT_FILE) == (result, fake_run())


def test_a_diverged_result_keeps_its_nan(tmp_path, make_trial):
    result, _ = read_result(complete(tmp_path, make_trial(), diverged=True))
    assert result.diverged
    assert math.isnan(result.curves["train_loss"][-1])


def test_states_are_read_from_the_disk(tmp_path, make_trial):
    trial = make_trial()
    folder = trial_folder(tmp_path, trial)
    assert trial_status(tmp_path, trial).state is TrialState.MISSING
    folder.mkdir(parents=True)
    assert trial_status(tmp_path, trial).state is TrialState.INTERRUPTED
    (folder / ERROR_FILE).write_text("no luck")
    assert trial_status(tmp_path, trial).state is TrialState.FAILED
    write_result(folder, fake_result(trial), fake_run())
    assert trial_status(tmp_path, trial)[:3] == (TrialState.COMPLETE, "", fake_result(trial))


def test_a_result_cut_anywhere_is_never_taken_for_a_whole_one(tmp_path, make_trial):
    path = complete(tmp_path, make_trial())
    content = path.read_bytes()
    for length in range(0, len(content) - 1, 7):
        path.write_bytes(content[:length])
        with pytest.raises(RecordError):
            read_result(path)
    status = trial_status(tmp_path, make_trial())
    assert status.state is TrialState.INTERRUPTED
    assert str(path) in status.note


def test_a_flipped_bit_anywhere_is_seen(tmp_path, make_trial):
    path = complete(tmp_path, make_trial())
    content = path.read_bytes()
    for position in range(0, len(content) - 1, 11):
        flipped = bytearray(content)
        flipped[position] ^= 1
        path.write_bytes(flipped)
        with pytest.raises(RecordError):
            read_result(path)


def test_a_result_with_the_line_ends_of_windows_is_whole(tmp_path, make_trial):
    path = complete(tmp_path, make_trial())
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert trial_status(tmp_path, make_trial()).state is TrialState.COMPLETE


@pytest.mark.parametrize(
    ("pattern", "replacement", "reason"),
    [
        (r"train_loss = \[[^]]*\]", "train_loss = []", "curves that are empty or of unlike lengths"),
        (r"train_loss = \[\s*1.0,", "train_loss = [", "curves that are empty or of unlike lengths"),
        (r"train_loss = \[\s*1.0,", 'train_loss = ["1.0",', "something else than a number"),
        (r"score = 0.81", "score = nan", "a score that is not finite"),
        (r"seed = 0", 'seed = "0"', "outcome.seed of a wrong type (str)"),
        (r"seed = 0", "seed = true", "outcome.seed of a wrong type (bool)"),
        (r"seed = 0", "seed = 1", "and its content makes"),
        (r'host = "here"', 'host = ["here"]', "run.host of a wrong type (list)"),
        (r"diverged = false", "diverged = false\nextra = 1", "unknown keys in outcome: extra"),
        (r"diverged = false\n", "", "lacks outcome.diverged"),
        (r"units1 = 16\n", "units1 = inf\n", "something else than numbers and texts"),
        (r"epoch_duration_s = \[[^]]*\]", "epoch_duration_s = [1.0]", "another number of epochs in its durations"),
    ],
)
def test_a_record_forged_with_a_checksum_that_fits_is_refused_by_name(
    tmp_path, make_trial, pattern, replacement, reason
):
    path = complete(tmp_path, make_trial())
    forge(path, lambda text: re.sub(pattern, replacement, text, count=1))
    with pytest.raises(RecordError, match=re.escape(reason)):
        read_result(path)


def test_known_run_keys_that_are_missing_read_as_unknown(tmp_path, make_trial):
    path = complete(tmp_path, make_trial())
    forge(path, lambda text: re.sub(r'host = "here"\n', "", text))
    assert read_result(path)[1].host == "unknown"


def test_a_record_of_another_format_is_never_replaced(tmp_path, make_trial):
    path = complete(tmp_path, make_trial())
    forge(path, lambda text: text.replace("format = 2", "format = 1"))
    with pytest.raises(FormatError, match="another format than 2"):
        read_result(path)
    with pytest.raises(StudyError, match="give another --logdir"):
        trial_status(tmp_path, make_trial())


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to("/dev/zero")])
def test_what_is_no_regular_file_is_refused_at_once(tmp_path, make_trial, make):
    path = complete(tmp_path, make_trial())
    path.unlink()
    make(path)
    with pytest.raises(RecordError, match="not a regular file"):
        read_result(path)


# --- hyperparameters that come and defaults that change -----------------------------------------------------------


def test_a_new_hyperparameter_leaves_old_records_complete(tmp_path, make_trial):
    trial = make_trial()
    complete(tmp_path, trial)
    space = SUBJECT.search_space
    wider = SearchSpace((*space.hyperparameters, Hyperparameter("dropout", 0.0, low=0.0, high=0.9)), space.complete)
    subject = replace(SUBJECT, space=wider)
    again = TrialConfig(
        subject.name, subject.configure(dict(trial.configuration)), 0, IDENTITY, subject.training_version
    )
    assert again.trial_id == trial.trial_id
    assert trial_status(tmp_path, again).state is TrialState.COMPLETE
    other = TrialConfig(
        subject.name, subject.configure({**trial.configuration, "dropout": 0.5}), 0, IDENTITY, subject.training_version
    )
    assert trial_status(tmp_path, other).state is TrialState.MISSING


def test_records_from_before_and_after_a_new_hyperparameter_compare_as_equal(tmp_path, make_trial):
    trial = make_trial()
    complete(tmp_path / "before", trial)
    space = SUBJECT.search_space
    wider = SearchSpace((*space.hyperparameters, Hyperparameter("dropout", 0.0, low=0.0, high=0.9)), space.complete)
    configuration = replace(SUBJECT, space=wider).configure(dict(trial.configuration))
    complete(tmp_path / "after", replace(trial, configuration=configuration))
    assert compare_outcomes(tmp_path / "before", tmp_path / "after") == []


def _with_rate(default, first_default=None):
    space = SUBJECT.search_space
    rate = replace(space["learning_rate"], default=default, first_default=first_default)
    others = (rate if h.name == "learning_rate" else h for h in space.hyperparameters)
    return replace(SUBJECT, space=SearchSpace(tuple(others), space.complete))


def test_a_record_is_never_read_with_a_default_that_changed_since(tmp_path):
    trial = TrialConfig(SUBJECT.name, SUBJECT.configure({}), 0, IDENTITY)
    complete(tmp_path, trial)
    changed = _with_rate(5e-4)
    with pytest.raises(StudyError, match=re.escape("Give the hyperparameter first_default=0.001")):
        trial_status(tmp_path, TrialConfig(changed.name, changed.configure({}), 0, IDENTITY))


def test_with_the_first_default_kept_old_and_new_records_lie_side_by_side(tmp_path):
    trial = TrialConfig(SUBJECT.name, SUBJECT.configure({}), 0, IDENTITY)
    complete(tmp_path, trial)
    kept = _with_rate(5e-4, first_default=1e-3)
    new = TrialConfig(kept.name, kept.configure({}), 0, IDENTITY)
    assert new.trial_id.startswith("learning_rate=0.0005/")
    assert trial_status(tmp_path, new).state is TrialState.MISSING
    old = TrialConfig(kept.name, kept.configure({"learning_rate": 1e-3}), 0, IDENTITY)
    assert trial_status(tmp_path, old).state is TrialState.COMPLETE


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


def test_a_byte_order_mark_is_no_damage(tmp_path, make_trial):
    complete(tmp_path, make_trial())
    path = trial_folder(tmp_path, make_trial()) / RESULT_FILE
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert trial_status(tmp_path, make_trial()).state is TrialState.COMPLETE
