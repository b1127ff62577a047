"""Who may write to a folder: one process at a time, also where file locks are missing or end at the host.

The system's file lock keeps processes of one host apart. Beside it lies a holder file that its owner renews every few
seconds. It speaks for holders whose lock does not reach us: on NFS with local locks, and where there are no locks.
"""

from __future__ import annotations

import errno
import json
import os
import secrets
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from gridstudy.core.errors import StudyError
from gridstudy.core.files import read_bytes

LOCK_FILE = ".lock"
HOLDER_FILE = ".lock.holder"
NO_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS)
"""Answers of file systems that have no file locks."""

Warn = Callable[[str], None]


@dataclass(frozen=True)
class LockTimes:
    """How often a holder shows that it lives, and how long others wait for that, all in seconds."""

    renewal_s: float = 5.0
    dead_after_s: float = 60.0
    poll_s: float = 0.5
    report_after_s: float = 2.0


USUAL_TIMES = LockTimes()


@dataclass(frozen=True)
class Holder:
    """The process that holds a folder.

    `machine` names the running system and `started` the process's start, for ids of processes are used again.
    """

    process: int
    host: str
    machine: str
    started: str
    token: str

    def __str__(self) -> str:
        return f"process {self.process} on {self.host}"


@dataclass(frozen=True)
class Lock:
    """What this process holds in `folder`; picklable, so that workers can check it too.

    `file` is device and inode of the lock file, None where there are no file locks.
    """

    folder: Path
    token: str
    file: tuple[int, int] | None

    def check(self) -> None:
        """Raise StudyError unless what this process holds still lies in the folder."""
        if not self.folder.is_dir():
            raise StudyError(f"{self.folder} was deleted while it was in use; rerun the same command to start afresh")
        if self.file is not None and _identify(self.folder / LOCK_FILE) != self.file:
            raise StudyError(
                f"{self.folder / LOCK_FILE} was removed or replaced while this process held it, so another process may "
                "write there; rerun the same command to resume"
            )
        try:
            holder = _read_holder(self.folder)
        except FileNotFoundError:
            raise StudyError(
                f"{self.folder / HOLDER_FILE} was removed while this process held the folder; "
                "rerun the same command to resume"
            ) from None
        if holder is None or holder.token != self.token:
            raise StudyError(
                f"{self.folder} was taken over by {holder or 'another process'}; wait for it, then rerun the same "
                "command to resume"
            )


@contextmanager
def hold(
    folder: Path,
    *,
    warn: Warn,
    remedy: str = "wait for it or use another folder",
    patience_s: float = 0.0,
    times: LockTimes = USUAL_TIMES,
) -> Iterator[Lock]:
    """Hold `folder` for this process, making it where it is missing.

    Waits at most `patience_s` for a living holder, and at most `dead_after_s` more for one that may be dead. `warn`
    hears what is waited for, what was taken over, and that a file system has no locks. Raises StudyError, which ends
    in `remedy`, where another process keeps the folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    deadline_s = time.monotonic() + patience_s
    file_lock, identity = _lock_file(folder, warn=warn, remedy=remedy, deadline_s=deadline_s, times=times)
    try:
        ours = _describe_ourselves()
        while not _become_holder(folder, ours, warn=warn, times=times, locked=identity is not None):
            if time.monotonic() >= deadline_s:
                raise _in_use(folder, remedy)
            time.sleep(times.poll_s)
        lock = Lock(folder, ours.token, identity)
        with _renewed(lock, ours, times.renewal_s):
            try:
                yield lock
            finally:
                _leave(folder, ours)
    finally:
        file_lock.release()


# --- the file lock -------------------------------------------------------------------------------------------------


def _lock_file(
    folder: Path, *, warn: Warn, remedy: str, deadline_s: float, times: LockTimes
) -> tuple[FileLock, tuple[int, int] | None]:
    """Lock the folder's file and say which file that is, None where the file system has no locks."""
    with suppress(FileExistsError):
        (folder / LOCK_FILE).touch(exist_ok=False)  # with the rights that the umask leaves
    file_lock = FileLock(folder / LOCK_FILE, fallback_to_soft=False)
    report = _Report(warn, times.report_after_s)
    while True:
        try:
            file_lock.acquire(timeout=0)
        except Timeout:
            if time.monotonic() >= deadline_s:
                raise _in_use(folder, remedy) from None
            report.say(f"waiting for {_name_holder(folder)}, which holds {folder}")
            time.sleep(times.poll_s)
        except OSError as error:
            if error.errno not in NO_LOCKS:
                raise
            warn(f"the file system of {folder} has no file locks; {HOLDER_FILE} there keeps other runners away")
            return file_lock, None
        else:
            return file_lock, _identify(folder / LOCK_FILE) or (0, 0)


def _identify(path: Path) -> tuple[int, int] | None:
    """Device and inode of a file, None where there is none."""
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return status.st_dev, status.st_ino


# --- the holder file -----------------------------------------------------------------------------------------------


def _become_holder(folder: Path, ours: Holder, *, warn: Warn, times: LockTimes, locked: bool) -> bool:
    """Put our holder file in place; return False where another holder lives."""
    path = folder / HOLDER_FILE
    if os.path.lexists(path) and not path.is_file():
        raise StudyError(f"a lock's holder file must be a regular file; remove {path}")
    if _write_new(path, _encode(ours, 0)):
        return True
    there, void = _name_holder(folder), _is_void(folder, locked=locked)
    if not void and not _is_dead(folder, warn=warn, times=times):
        return _write_new(path, _encode(ours, 0))  # it may have left while we watched
    if not void:
        warn(f"took over {folder} from {there}, which has shown no life for {times.dead_after_s:g} s")
    _replace_holder(folder, ours)
    if not (locked and void):
        time.sleep(times.poll_s)  # another process may take over at this moment; the last one keeps the folder
    return _is_ours(folder, ours)


def _is_void(folder: Path, *, locked: bool) -> bool:
    """Whether the holder file is that of a process of this very system that has ended."""
    try:
        holder = _read_holder(folder)
    except FileNotFoundError:
        return False
    if holder is None or holder.machine != _name_machine():
        return False
    if Path("/proc/self/stat").exists():
        return not _lives_here(holder)
    return locked  # elsewhere the file lock, which we got, answers for the processes of this system


def _is_dead(folder: Path, *, warn: Warn, times: LockTimes) -> bool:
    """Watch the holder file until it changes or goes, or has not done so for `dead_after_s` of our own clock."""
    path = folder / HOLDER_FILE
    before = _signature(path)
    begin_s = time.monotonic()
    report = _Report(warn, min(times.report_after_s, times.dead_after_s / 2))
    while _signature(path) == before:
        if _holder_lives_here(folder):
            return False
        if time.monotonic() - begin_s >= times.dead_after_s:
            return True
        report.say(
            f"{folder} was left locked by {_name_holder(folder)}; waiting up to {times.dead_after_s:g} s "
            "for a sign that it lives"
        )
        time.sleep(times.poll_s)
    return False


def _holder_lives_here(folder: Path) -> bool:
    with suppress(OSError):
        holder = _read_holder(folder)
        return holder is not None and holder.machine == _name_machine() and bool(holder.started) and _lives_here(holder)
    return False


def _lives_here(holder: Holder) -> bool:
    """Whether a holder of this very system still runs."""
    started = _read_start(holder.process)
    if started:
        return started == holder.started
    try:
        os.kill(holder.process, 0)  # the system may hide the processes of other users
    except PermissionError:
        return True
    except (OSError, OverflowError):
        return False
    return False


@contextmanager
def _renewed(lock: Lock, ours: Holder, renewal_s: float) -> Iterator[None]:
    """Change the holder file every `renewal_s` for as long as it is ours."""
    ended = threading.Event()

    def renew() -> None:
        n_renewals = 0
        while not ended.wait(renewal_s):
            n_renewals += 1
            with suppress(OSError):  # a full or absent disk; the next renewal, or check(), meets it again
                if _is_ours(lock.folder, ours):
                    _overwrite(lock.folder / HOLDER_FILE, _encode(ours, n_renewals))

    thread = threading.Thread(target=renew, name="lock renewal", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(renewal_s)


def _leave(folder: Path, ours: Holder) -> None:
    with suppress(OSError):
        if _is_ours(folder, ours):
            (folder / HOLDER_FILE).unlink()


def _is_ours(folder: Path, ours: Holder) -> bool:
    holder = _read_holder(folder)
    return holder is not None and holder.token == ours.token


def _encode(holder: Holder, n_renewals: int) -> bytes:
    """The holder file: a line for people and one of JSON, of the same length at every renewal."""
    return f"{holder}\n{json.dumps({**asdict(holder), 'renewals': f'{n_renewals:012d}'})}\n".encode()


def _read_holder(folder: Path) -> Holder | None:
    """Who holds the folder, None where the file does not say; raise FileNotFoundError where there is none."""
    try:
        values: dict[str, Any] = json.loads(read_bytes(folder / HOLDER_FILE).splitlines()[1])
        return Holder(**{name: values[name] for name in Holder.__dataclass_fields__})
    except FileNotFoundError:
        raise
    except (OSError, ValueError, IndexError, KeyError, TypeError):
        return None


def _name_holder(folder: Path) -> str:
    """The holder in words; the first line of its file is meant for people."""
    try:
        lines = read_bytes(folder / HOLDER_FILE).decode("utf-8", errors="replace").splitlines()
    except OSError:
        return "another process"
    return (" ".join(lines[0].split()) if lines else "") or "another process"


def _signature(path: Path) -> tuple[int, int, bytes] | None:
    """Whatever of the holder file changes when it is renewed or replaced; opening it asks a file server anew."""
    try:
        content = read_bytes(path)
    except FileNotFoundError:
        return None
    except OSError:
        content = b""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns, content


def _write_new(path: Path, content: bytes) -> bool:
    """Write a file; return False, having written nothing, where there is one."""
    try:
        with path.open("xb") as file:
            file.write(content)
    except FileExistsError:
        return False
    except OSError:
        path.unlink(missing_ok=True)
        raise
    return True


def _overwrite(path: Path, content: bytes) -> None:
    """Write over a file that must be there, without emptying it first."""
    with path.open("r+b") as file:
        file.write(content)


def _replace_holder(folder: Path, ours: Holder) -> None:
    temporary = folder / f"{HOLDER_FILE}.{ours.token}.tmp"
    try:
        _write_new(temporary, _encode(ours, 0))
        temporary.replace(folder / HOLDER_FILE)
    finally:
        temporary.unlink(missing_ok=True)


# --- who we are ----------------------------------------------------------------------------------------------------


def _describe_ourselves() -> Holder:
    process = os.getpid()
    return Holder(process, socket.gethostname(), _name_machine(), _read_start(process), secrets.token_hex(8))


def _name_machine() -> str:
    """What the processes that can see each other have in common, and no other host or container has."""
    with suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    return f"{socket.gethostname()} {uuid.getnode():012x}"


def _read_start(process: int) -> str:
    """When a process of this system began, in the kernel's ticks; empty where the system does not say."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return ""
    return "ended" if fields[0] in "ZX" else fields[19]


class _Report:
    """Says once, after a moment, what is waited for."""

    def __init__(self, warn: Warn, after_s: float) -> None:
        self._warn = warn
        self._due_s = time.monotonic() + after_s
        self._said = False

    def say(self, message: str) -> None:
        if not self._said and time.monotonic() >= self._due_s:
            self._said = True
            self._warn(message)


def _in_use(folder: Path, remedy: str) -> StudyError:
    return StudyError(f"only one process may write to {folder}, and it is in use by {_name_holder(folder)}; {remedy}")
