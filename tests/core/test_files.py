from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from gridstudy.core import files
from gridstudy.core.files import flush_folder, read_bytes, write_atomic


@pytest.mark.parametrize("code", ["EINVAL", "EBADF", "ENOTSUP", "EOPNOTSUPP", "ENOSYS", "EACCES"])
def test_a_folder_that_cannot_be_flushed_loses_nothing(tmp_path, monkeypatch, code):
    real = os.fsync

    def refuse_folders(descriptor):
        if os.path.isdir(f"/proc/self/fd/{descriptor}"):  # noqa: PTH112
            raise OSError(getattr(errno, code), os.strerror(getattr(errno, code)))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", refuse_folders)
    write_atomic(tmp_path / "file", b"content")
    assert (tmp_path / "file").read_bytes() == b"content"


@pytest.mark.parametrize("code", ["EINVAL", "ENOTSUP", "EACCES"])
def test_a_folder_that_cannot_be_opened_loses_nothing(tmp_path, monkeypatch, code):
    real = os.open

    def refuse_folders(path, flags, *arguments, **options):
        if os.path.isdir(path):  # noqa: PTH112
            raise OSError(getattr(errno, code), os.strerror(getattr(errno, code)), str(path))
        return real(path, flags, *arguments, **options)

    monkeypatch.setattr(os, "open", refuse_folders)
    write_atomic(tmp_path / "file", b"content")
    assert (tmp_path / "file").read_bytes() == b"content"


def test_any_other_fault_of_a_flush_is_raised_with_the_folder(tmp_path, monkeypatch):
    def broken(descriptor):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(OSError, match="Input/output error") as caught:
        flush_folder(tmp_path)
    assert caught.value.filename == str(tmp_path)


@pytest.mark.parametrize("n_refusals", [1, 2])
def test_a_move_that_a_scanner_refuses_for_a_moment_is_made_all_the_same(tmp_path, monkeypatch, n_refusals):
    refusals = iter(range(n_refusals))
    real = Path.replace

    def sometimes(self, target):
        if next(refusals, None) is not None:
            raise PermissionError(errno.EACCES, "in use", str(target))
        return real(self, target)

    monkeypatch.setattr(Path, "replace", sometimes)
    write_atomic(tmp_path / "file", b"content")
    assert (tmp_path / "file").read_bytes() == b"content"


def test_a_move_that_is_refused_for_ever_is_an_error_and_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "PATIENCE_S", 0.1)

    def never(self, target):
        raise PermissionError(errno.EACCES, "in use", str(target))

    monkeypatch.setattr(Path, "replace", never)
    with pytest.raises(PermissionError):
        write_atomic(tmp_path / "file", b"content")
    assert list(tmp_path.iterdir()) == []


def test_a_file_larger_than_sensible_is_refused(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"12345")
    with pytest.raises(OSError, match="larger than"):
        read_bytes(path, most=4)
    assert read_bytes(path, most=5) == b"12345"
