"""Which folder is used, what is cleared from it, and what a file's state is."""

import errno
import os
import threading
import time

import pytest

from gridstudy.fashion.storage import file_states, first_allowed, locked, new_folder, owner_of, remove
from tests.fashion_mnist import silent


def test_the_first_folder_that_may_be_used_is_used_and_said_instead_of_which(tmp_path):
    def use(folder):
        if folder.name != "third":
            raise OSError(errno.EROFS, "Read-only file system", str(folder))
        return folder.name

    said = []
    folders = [tmp_path / name for name in ("first", "second", "third", "fourth")]
    assert first_allowed(folders, use, warn=said.append) == "third"
    assert len(said) == 2
    assert said[1].startswith(f"cannot use {folders[1]}, which belongs to {owner_of(tmp_path)} (Read-only file system)")
    assert said[1].endswith(f"using {folders[2]} instead")


def test_a_home_that_is_no_folder_is_passed_over(tmp_path):
    """As the accounts of daemons have it: HOME=/dev/null."""
    (tmp_path / "home").touch()

    def use(folder):
        folder.mkdir(parents=True)
        return folder.name

    said = []
    assert first_allowed([tmp_path / "home" / "cache", tmp_path / "other"], use, warn=said.append) == "other"
    assert said == [f"cannot use {tmp_path / 'home' / 'cache'} (Not a directory); using {tmp_path / 'other'} instead"]


def test_where_no_folder_may_be_used_the_last_refusal_is_raised(tmp_path):
    def use(folder):
        raise PermissionError(errno.EACCES, "Permission denied", str(folder))

    with pytest.raises(PermissionError, match="second"):
        first_allowed([tmp_path / "first", tmp_path / "second"], use, warn=lambda message: None)


def test_a_fault_that_another_folder_may_not_have_is_raised_at_once(tmp_path):
    def use(folder):
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        first_allowed([tmp_path / "first", tmp_path / "second"], use, warn=silent)


def test_what_a_killed_program_left_a_day_ago_is_cleared(tmp_path):
    old, young = new_folder(tmp_path), new_folder(tmp_path)
    (tmp_path / "sources").mkdir()
    file = tmp_path / "sources" / "pointer.123.tmp"
    for path in (old / "data.npy", file):
        path.write_bytes(b"")
        path.chmod(0o444)
    for path in (old, file):
        os.utime(path, (0, time.time() - 100_000))
    kept = new_folder(tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted([tmp_path / "sources", young, kept])
    assert list((tmp_path / "sources").iterdir()) == []
    remove(kept)
    assert not kept.exists()


def test_only_regular_files_have_a_state(tmp_path):
    (tmp_path / "file").write_bytes(b"abc")
    ((name, size, *_),) = file_states(tmp_path, ["file"])
    assert (name, size) == ("file", 3)
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match="not a regular file"):
        file_states(tmp_path, ["file", "folder"])


@pytest.mark.skipif(os.name == "nt", reason="Windows locks otherwise")
@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_named_and_used(tmp_path, monkeypatch, number):
    import fcntl

    def refuse(*args):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", refuse)
    said = []
    with locked(tmp_path, warn=said.append):
        pass
    (line,) = said
    assert line.startswith(f"{tmp_path} cannot be locked ({os.strerror(number)})")


def test_a_lock_that_somebody_holds_is_waited_for(tmp_path):
    order = []
    with locked(tmp_path, warn=silent):
        thread = threading.Thread(target=_note_when_locked, args=(tmp_path, order))
        thread.start()
        time.sleep(0.2)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]


def _note_when_locked(folder, order):
    with locked(folder, warn=silent):
        order.append("second")
