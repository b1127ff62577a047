from __future__ import annotations

import errno
import shutil
from pathlib import Path

import pytest

from gridstudy.core import files
from gridstudy.core.trial import TrialState
from gridstudy.records import toml
from gridstudy.records.attempts import clear_attempts, find_attempts, is_attempt, place_attempt, place_of, start_attempt
from gridstudy.records.status import find_trials
from gridstudy.records.tables import find_results, load_records
from gridstudy.records.trials import (
    ERROR_FILE,
    LOG_FILE,
    RESULT_FILE,
    TRIAL_FILE,
    read_result,
    trial_folder,
    trial_status,
    write_result,
)
from tests.conftest import fake_result, fake_run


@pytest.fixture
def trial(make_trial):
    return make_trial()


@pytest.fixture
def place(tmp_path, trial):
    return trial_folder(tmp_path, trial)


def begin(place, owner="", *, attempt=1):
    own = start_attempt(place, attempt=attempt, owner=owner)
    (own / TRIAL_FILE).write_text(owner)
    (own / LOG_FILE).write_text(owner)
    return own


def complete(own, trial, *, attempt=1):
    write_result(own, fake_result(trial), fake_run(attempt))


def test_an_attempt_lies_beside_its_trial_under_a_name_that_says_whose_it_is(place):
    own = begin(place, "0123456789abcdef", attempt=2)
    assert own.name == f"{place.name}.attempt2-01234567"
    assert own.parent == place.parent
    assert is_attempt(own)
    assert place_of(own) == place
    assert place_of(place) == place


def test_the_first_that_is_placed_stays_and_the_other_is_deleted(place, trial):
    first, second = begin(place, "aa"), begin(place, "bb")
    for number, own in enumerate((first, second), 1):
        complete(own, trial, attempt=number)
    assert place_attempt(second, place)
    assert not place_attempt(first, place)
    assert read_result(place / RESULT_FILE)[1].attempt == 2
    assert (place / LOG_FILE).read_text() == "bb"
    assert [path.name for path in place.parent.iterdir()] == [place.name]


def test_a_result_that_appears_between_the_look_and_the_move_stays(place, trial, monkeypatch):
    """The other runner places its result when ours has found a failed attempt there, and is about to clear it."""
    failed = begin(place, "aa")
    (failed / ERROR_FILE).write_text("no luck")
    place_attempt(failed, place)
    own, other = (place.with_name(f"{place.name}.attempt1-{owner}") for owner in ("bb", "cc"))
    for folder in (own, other):
        folder.mkdir()
        complete(folder, trial)
    move = files.move_into_place

    def interrupted_move(source, target):
        if source == place:
            monkeypatch.undo()
            assert place_attempt(other, place)
        move(source, target)

    monkeypatch.setattr("gridstudy.records.attempts.move_into_place", interrupted_move)
    inode = (other / RESULT_FILE).stat().st_ino
    assert not place_attempt(own, place)
    assert (place / RESULT_FILE).stat().st_ino == inode
    assert [path.name for path in place.parent.iterdir()] == [place.name]


def test_where_a_program_keeps_a_file_open_the_files_are_copied(place, trial, monkeypatch):
    own = begin(place, "aa")
    (own / "subject").mkdir()
    (own / "subject" / RESULT_FILE).write_text("a file of the subject's own")
    complete(own, trial)
    move = Path.replace

    def refuse(self, target):
        if self == own:
            raise PermissionError(errno.EACCES, "used by another process", str(self))
        return move(self, target)

    monkeypatch.setattr(Path, "replace", refuse)
    monkeypatch.setattr(files, "PATIENCE_S", 0.1)
    assert place_attempt(own, place)
    assert sorted(path.name for path in place.iterdir()) == sorted([LOG_FILE, TRIAL_FILE, RESULT_FILE, "subject"])
    assert (place / "subject" / RESULT_FILE).exists()
    assert not own.exists()
    read_result(place / RESULT_FILE)


def test_what_an_overlay_cannot_move_is_copied_or_deleted_in_place(tmp_path, place, trial, monkeypatch):
    """A container's overlay answers EXDEV to the rename of a folder in a lower layer."""
    place.mkdir(parents=True)
    (place / LOG_FILE).write_text("left unfinished")
    move = Path.replace

    def refuse(self, target):
        if self.is_dir():
            raise OSError(errno.EXDEV, "Invalid cross-device link", str(self))
        return move(self, target)

    monkeypatch.setattr(Path, "replace", refuse)
    own = begin(place, "aa")
    assert not place.exists()
    (own / "latest").symlink_to("nowhere")
    complete(own, trial)
    assert place_attempt(own, place)
    assert (place / "latest").is_symlink()
    assert trial_status(tmp_path, trial).state is TrialState.COMPLETE
    assert not list(find_attempts(tmp_path))


@pytest.mark.parametrize("reason", [errno.EACCES, errno.ESTALE])
def test_an_attempt_whose_result_cannot_be_read_stays(tmp_path, place, trial, monkeypatch, reason):
    own = begin(place, "aa")
    complete(own, trial)

    def refuse(path):
        raise OSError(reason, "refused", str(path))

    with monkeypatch.context() as patch:
        patch.setattr(toml, "read_bytes", refuse)
        clear_attempts(tmp_path)
    assert (own / RESULT_FILE).exists()
    clear_attempts(tmp_path)
    assert trial_status(tmp_path, trial).state is TrialState.COMPLETE


def test_a_folder_that_may_not_be_entered_is_not_replaced(place, monkeypatch):
    place.mkdir(parents=True)
    (place / LOG_FILE).write_text("somebody's")

    stat = Path.stat

    def refuse(self, **options):
        if self == place / RESULT_FILE:
            raise PermissionError(errno.EACCES, "Permission denied", str(self))
        return stat(self, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "stat", refuse)
        with pytest.raises(PermissionError):
            start_attempt(place, attempt=1)
    assert (place / LOG_FILE).read_text() == "somebody's"


def test_an_attempt_counts_as_interrupted_and_never_as_complete(tmp_path, place, trial):
    own = begin(place, "aa")
    for is_whole in (False, True):
        if is_whole:
            complete(own, trial)
        assert trial_status(tmp_path, trial).state is TrialState.INTERRUPTED
        assert not list(find_results(tmp_path))
        records = load_records(tmp_path)
        assert records.trials.empty
        assert list(records.problems["state"]) == ["interrupted"]
        assert records.problems["reason"].item().startswith("it has its result" if is_whole else "it has no result yet")
        (found,) = find_trials(tmp_path).values()
        assert (found.trial_id, found.state) == (trial.trial_id, TrialState.INTERRUPTED)
    place_attempt(own, place)
    assert trial_status(tmp_path, trial).state is TrialState.COMPLETE
    assert load_records(tmp_path).problems.empty


def test_an_empty_attempt_is_no_run_of_another_program(tmp_path, place):
    start_attempt(place, attempt=1)
    assert list(load_records(tmp_path).problems["state"]) == ["interrupted"]


def test_what_killed_runners_left_is_cleared_and_what_was_complete_is_placed(tmp_path, place, make_trial):
    begin(place, "aa")
    whole = make_trial(seed=1)
    complete(begin(trial_folder(tmp_path, whole), "aa"), whole)
    clear_attempts(tmp_path)
    assert not list(find_attempts(tmp_path))
    assert not place.exists()
    assert [path.parent for path in find_results(tmp_path)] == [trial_folder(tmp_path, whole)]


def test_a_result_in_place_is_kept_when_an_attempt_is_cleared(tmp_path, place, trial):
    first, second = begin(place, "aa"), begin(place, "bb")
    complete(first, trial, attempt=1)
    complete(second, trial, attempt=2)
    place_attempt(second, place)
    clear_attempts(tmp_path)
    assert read_result(place / RESULT_FILE)[1].attempt == 2
    assert not list(find_attempts(tmp_path))


def test_what_lies_in_a_trials_place_is_cleared_when_an_attempt_starts(tmp_path, place):
    (place / "20260101-000000").mkdir(parents=True)
    own = start_attempt(place, attempt=1)
    assert not place.exists()
    shutil.rmtree(own)
    place.write_text("a file")
    start_attempt(place, attempt=1)
    assert not place.exists()
