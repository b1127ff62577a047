"""Attempts at trials: each trains in a folder of its own, which takes the trial's place by one rename at its end.

LOGDIR/CONFIGURATION/seedS-HASH.attemptN-OWNER/    the Nth attempt of the runner whose lock has the token OWNER

So runners that do not know of each other never write to the same folder, and never delete what the other writes. A
TensorBoard that watches shows the run under the attempt's name until then, and under the trial's name afterwards.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from gridstudy.core.files import flush_folder, move_into_place, write_atomic
from gridstudy.records.toml import FormatError, RecordError, UnreadableError
from gridstudy.records.trials import ATTEMPT_MARK, RESULT_FILE, TRIAL_NAME, read_result

ATTEMPT_NAME = re.compile(rf"{TRIAL_NAME.pattern}{re.escape(ATTEMPT_MARK)}\d+-[0-9a-f]+")
LONGEST_OWNER = 8
"""Letters of an owner's token that a folder's name has."""
SET_ASIDE = 0
"""The number of the attempt that holds what lay in a trial's place before."""
N_TRIES = 10


def attempt_folder(folder: Path, *, attempt: int, owner: str) -> Path:
    """Where an attempt at the trial that belongs in `folder` trains."""
    return folder.with_name(f"{folder.name}{ATTEMPT_MARK}{attempt}-{owner[:LONGEST_OWNER]}")


def place_of(folder: Path) -> Path:
    """The trial's folder that an attempt's folder will become; any other folder stays."""
    return folder.with_name(folder.name.partition(ATTEMPT_MARK)[0]) if is_attempt(folder) else folder


def is_attempt(folder: Path) -> bool:
    """Whether a folder is an attempt's, by its name."""
    return ATTEMPT_NAME.fullmatch(folder.name) is not None


def start_attempt(folder: Path, *, attempt: int, owner: str = "") -> Path:
    """Make the folder of an attempt, and clear the trial's own of what an earlier one left, so that no log shows it.

    Without an `owner` the attempt belongs to nobody else.
    """
    own = attempt_folder(folder, attempt=attempt, owner=owner or _new_owner())
    _remove(own)
    own.mkdir(parents=True)
    _clear_place(folder)
    return own


def _new_owner() -> str:
    return secrets.token_hex(LONGEST_OWNER // 2)


def place_attempt(attempt: Path, folder: Path) -> bool:
    """Make an attempt's folder the trial's.

    Where a whole result has appeared meanwhile, it stays, the attempt is deleted, and False is returned.
    """
    for n_left in reversed(range(N_TRIES)):
        if not _clear_place(folder):
            _remove(attempt)
            return False
        try:
            _move(attempt, folder)
        except FileExistsError:  # another runner placed its own at this moment
            if not n_left:
                raise
        else:
            break
    for parent in folder.parents[:2]:  # the folder must survive a power cut too
        flush_folder(parent)
    return True


def _move(attempt: Path, folder: Path) -> None:
    """Move a folder to where there is none; raise FileExistsError where there is one.

    Windows refuses to move a folder in which a program has a file open, and a container's overlay one of a lower layer.
    The files are copied then, the result last.
    """
    try:
        move_into_place(attempt, folder)
    except OSError as error:
        if isinstance(error, PermissionError) or error.errno == errno.EXDEV:
            _copy(attempt, folder)
        elif os.path.lexists(folder):
            raise FileExistsError(f"{folder} exists") from None
        else:
            raise


def _copy(attempt: Path, folder: Path) -> None:
    def without_result(here: str, _: list[str]) -> set[str]:
        return {RESULT_FILE} if Path(here) == attempt else set()

    shutil.copytree(attempt, folder, symlinks=True, ignore=without_result)
    if (attempt / RESULT_FILE).exists():
        write_atomic(folder / RESULT_FILE, (attempt / RESULT_FILE).read_bytes())
    _remove(attempt)


def _clear_place(folder: Path) -> bool:
    """Clear a trial's place of what is not complete; return False where a whole result lies there.

    What lies there is moved away before it is deleted: between a look and a deletion, another runner may complete it.
    Raises PermissionError, before anything is moved, where the folder may not be entered: there may be a whole result.
    """
    if not os.path.lexists(folder):
        return True
    try:
        (folder / RESULT_FILE).stat()
    except PermissionError:
        raise
    except OSError:
        pass
    if _is_complete(folder, folder):
        return False
    aside = attempt_folder(folder, attempt=SET_ASIDE, owner=_new_owner())
    try:
        move_into_place(folder, aside)
    except FileNotFoundError:
        return True
    except OSError as error:
        if error.errno != errno.EXDEV:  # as of a folder in a lower layer of a container's overlay
            raise
        _remove(folder)
        return True
    if _is_complete(aside, folder):
        move_into_place(aside, folder)
        return False
    _remove(aside)
    return True


def _is_complete(folder: Path, place: Path) -> bool | None:
    """Whether a folder holds a whole result of the trial that belongs in `place`; None where that cannot be told."""
    try:
        result, _ = read_result(folder / RESULT_FILE)
    except (FormatError, UnreadableError):
        return None
    except RecordError:
        return False
    return result.trial.trial_id == f"{place.parent.name}/{place.name}"


def _remove(folder: Path) -> None:
    """Delete a folder, or what lies in its place; the next runner clears what the system keeps."""
    if folder.is_dir() and not folder.is_symlink():
        shutil.rmtree(folder, ignore_errors=True)
    else:
        with suppress(OSError):
            folder.unlink()


def find_attempts(logdir: Path) -> Iterator[Path]:
    """The folders of attempts that are under way, or were when their runner ended."""
    yield from filter(is_attempt, sorted(logdir.glob(f"*/seed*{ATTEMPT_MARK}*")))


def clear_attempts(logdir: Path) -> None:
    """Delete what attempts of earlier runners left; one that was killed as its trial was complete is put into place.

    One whose result cannot be read, or is of another version of this program, stays. The caller holds the log
    directory, so that these runners have ended, or have shown no life for a minute: such a one finds out that the lock
    is lost before it places anything.
    """
    for attempt in find_attempts(logdir):
        place = place_of(attempt)
        is_complete = _is_complete(attempt, place)
        if is_complete:
            place_attempt(attempt, place)
        elif is_complete is not None:
            _remove(attempt)
