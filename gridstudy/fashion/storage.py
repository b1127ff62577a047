"""Files of data that programs and users share: their digests and states, whose they are, which folder may be used."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import stat
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from filelock import FileLock

T = TypeVar("T")

FileState = tuple[str, int, int, int]
"""Name, size in bytes, time of change in ns, and inode of a file."""

NO_FOLDER = (errno.ENOTDIR, errno.ENOENT)
"""A home that is no folder, such as /dev/null, and one in which none can be made, such as /proc."""
NOT_ALLOWED = (errno.EACCES, errno.EPERM, errno.EROFS, *NO_FOLDER)
NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)
DAY_S = 86_400
PARTIAL = ".partial-"


def ensure_home(warn: Callable[[str], None]) -> None:
    """Give a user without a home folder, as under a number without a name in containers, one that is temporary."""
    try:
        Path.home()
    except RuntimeError:
        home = temporary_home()
        os.environ["HOME"] = str(home)  # mads-datasets and platformdirs ask for it themselves
        warn(f"this user has no home folder; caches are kept in {home}")


def temporary_home() -> Path:
    """Name this user's own folder below the temporary one; make a new one where another user took its name."""
    user_id = os.geteuid() if hasattr(os, "geteuid") else 0
    folder = Path(tempfile.gettempdir(), f"gridstudy-{user_id}")
    with suppress(FileNotFoundError):
        if folder.lstat().st_uid != user_id:
            return Path(tempfile.mkdtemp(prefix="gridstudy-"))
    return folder


def first_allowed(folders: Iterable[Path], use: Callable[[Path], T], *, warn: Callable[[str], None]) -> T:
    """Call `use` with the first folder that the system lets this user use; say which one is used instead of which.

    Raises the last OSError where none may be used, and any other at once.
    """
    refused: OSError | None = None
    for folder in folders:
        if refused is not None:
            warn(f"{_describe(refused)}; using {folder} instead")
        try:
            return use(folder)
        except OSError as error:
            if error.errno not in NOT_ALLOWED:
                raise
            refused = error
    assert refused is not None
    raise refused


def _describe(error: OSError) -> str:
    path = Path(error.filename or ".")
    if error.errno in NO_FOLDER:
        return f"cannot use {path} ({error.strerror})"
    return f"cannot use {path}, which belongs to {owner_of(path)} ({error.strerror})"


def owner_of(path: Path) -> str:
    """The name of the user who owns a file, or else the closest folder above it that can be looked at."""
    if sys.platform != "win32":  # where pathlib knows no owners
        for place in (path, *path.parents):
            with suppress(OSError):
                try:
                    return place.owner()
                except KeyError:
                    return f"user {place.stat().st_uid}"
    return "another user"


def new_folder(parent: Path) -> Path:
    """Make a folder for unfinished files in `parent`, with the umask's rights; clear those left a day ago."""
    parent.mkdir(parents=True, exist_ok=True)
    for left in (*parent.glob(f"{PARTIAL}*"), *parent.glob("sources/*.tmp")):
        with suppress(OSError):
            if time.time() - left.stat().st_mtime > DAY_S:
                remove(left)
    folder = parent / f"{PARTIAL}{uuid.uuid4().hex}"
    folder.mkdir()
    return folder


@contextmanager
def locked(folder: Path, *, warn: Callable[[str], None]) -> Iterator[None]:
    """Hold the lock of a folder; where the file system has none, say so and go on without."""
    with ExitStack() as held:
        try:
            held.enter_context(FileLock(folder / ".lock", timeout=60))
        except OSError as error:
            if error.errno not in NO_LOCKS:
                raise
            warn(f"{folder} cannot be locked ({error.strerror}); do not start two studies there at the same moment")
        yield


def remove(path: Path) -> None:
    """Remove a file, or a folder with read-only files in it, as far as the system allows."""
    for file in path.glob("*.npy"):
        with suppress(OSError):
            file.chmod(0o600)  # Windows deletes no file without the right to write
    shutil.rmtree(path, ignore_errors=True)
    with suppress(OSError):
        path.unlink(missing_ok=True)


def file_states(folder: Path, names: Iterable[str]) -> tuple[FileState, ...]:
    """Look at regular files; raise OSError for anything else."""
    states = []
    for name in names:
        status = (folder / name).stat()
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "not a regular file", str(folder / name))
        states.append((name, status.st_size, status.st_mtime_ns, status.st_ino))
    return tuple(states)


def fingerprint(*parts: str | bytes | memoryview) -> str:
    """The first 12 hex digits of the SHA-256 of all parts together."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part.encode() if isinstance(part, str) else part)
    return digest.hexdigest()[:12]


def file_digest(path: Path, algorithm: str) -> str:
    """The digest of a file in hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.new(algorithm, usedforsecurity=False)).hexdigest()
