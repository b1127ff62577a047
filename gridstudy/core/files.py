"""Files written whole or not at all, and read only where they are files of a sensible size."""

from __future__ import annotations

import codecs
import errno
import os
import stat
import time
from pathlib import Path

from gridstudy.core.errors import StudyError

CANNOT_FLUSH = (errno.EINVAL, errno.EBADF, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EACCES)
"""Answers of file systems that cannot open or flush a folder: SMB shares, VirtualBox folders, some FUSE mounts."""

MOST_BYTES = 64 << 20
"""Larger than any text file of ours; a file above it is refused instead of read."""

PATIENCE_S = 2.0
"""How long a move into place is retried while another program, such as a virus scanner, holds the file."""


def write_atomic(path: Path, content: bytes) -> None:
    """Write `content` under a temporary name, flush it to the disk and move it into place."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        move_into_place(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    flush_folder(path.parent)


def move_into_place(source: Path, target: Path) -> None:
    """Replace `target` by `source`, retrying for PATIENCE_S where the system refuses for the moment."""
    deadline_s = time.monotonic() + PATIENCE_S
    while True:
        try:
            source.replace(target)
        except PermissionError:
            if time.monotonic() > deadline_s:
                raise
            time.sleep(0.05)
        else:
            return


def flush_folder(folder: Path) -> None:
    """Make a rename inside `folder` survive a power cut, where the system can (Windows cannot open folders).

    Raises OSError with the folder's path for any fault but those in CANNOT_FLUSH.
    """
    if os.name == "nt":
        return
    try:
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        if error.errno not in CANNOT_FLUSH:
            raise OSError(error.errno, error.strerror, str(folder)) from None


def read_bytes(path: Path, *, most: int = MOST_BYTES) -> bytes:
    """Read a regular file of at most `most` bytes; raise OSError for a pipe, a device or a larger file."""
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "not a regular file", str(path))
        if status.st_size > most:
            raise OSError(errno.EFBIG, f"larger than {most >> 20} MB", str(path))
        return file.read(most + 1)


def with_unix_line_ends(content: bytes) -> bytes:
    """Read CRLF as LF and leave a byte order mark out, so that a checksum survives Git for Windows and Notepad."""
    return content.removeprefix(codecs.BOM_UTF8).replace(b"\r\n", b"\n")


def expand_path(text: str, *, what: str) -> Path:
    """Read a path as a shell does, with `~` and `~user` as home folders; `what` names the flag or variable.

    Raises StudyError for the home of an unknown user.
    """
    try:
        return Path(text).expanduser()
    except RuntimeError:
        raise StudyError(f"{what}: no home folder is known for {text!r}; write the path in full") from None
