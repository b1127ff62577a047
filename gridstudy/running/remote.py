"""A trial on a machine that shares no disk with ours: its data arrives, and its folder comes back, as one object."""

from __future__ import annotations

import io
import tempfile
import threading
import traceback
import zipfile
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path

from loguru import logger

from gridstudy.core.files import write_atomic
from gridstudy.core.subject import Data
from gridstudy.core.trial import TrialConfig
from gridstudy.records.trials import ERROR_FILE, RESULT_FILE, clear_trial, read_result, trial_folder, write_result
from gridstudy.running.launchers import Crashed, Finished
from gridstudy.running.subjects import SubjectSource
from gridstudy.running.trials import known_result, or_stop, train_trial


def train_remotely(trial: TrialConfig, *, source: SubjectSource, data: Data, device: str, attempt: int) -> bytes:
    """Train a trial in a temporary folder; return the folder, packed, with a result or with an error in it."""
    set_up_process(source)
    with tempfile.TemporaryDirectory(prefix="gridstudy-") as name:
        folder = Path(name)
        try:
            result, run = train_trial(trial, folder, source=source, data=data, device=device, attempt=attempt)
            write_result(folder, result, run)
        except Exception:
            (folder / ERROR_FILE).write_text(traceback.format_exc(), encoding="utf-8")
        return pack_folder(folder)


@cache
def set_up_process(source: SubjectSource) -> None:
    """Do once per worker process what the subject asks for; logs go to the trials' files, not to the terminal."""
    logger.remove()
    threading.excepthook = _log_thread_fault
    subject = source.load()
    if subject.set_up_worker is not None:
        subject.set_up_worker()


def _log_thread_fault(fault: threading.ExceptHookArgs) -> None:
    """Log what ended a thread, such as TensorBoard's writer; the trial fails by itself if it needs the thread."""
    with suppress(OSError):
        logger.error("{}: {}", fault.exc_type.__name__, fault.exc_value)


def pack_folder(folder: Path) -> bytes:
    """The files of a folder, and of the folders in it, as a zip archive."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        for path in sorted(folder.rglob("*")):
            file.write(path, path.relative_to(folder))
    return archive.getvalue()


def place_trial(
    trial: TrialConfig, packed: bytes, *, logdir: Path, check: Callable[[], None] = lambda: None
) -> Finished | Crashed:
    """Put a trial's folder where it would be had it been trained here; its result comes last and completes it.

    A result that is there is kept. `check` raises StudyError where the log directory is no longer held.
    """
    folder = trial_folder(logdir, trial)
    or_stop(check)
    if (known := known_result(folder, trial)) is not None:
        return Finished(trial, known)
    clear_trial(folder)
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        names = archive.namelist()
        archive.extractall(folder, [name for name in names if name != RESULT_FILE])
        if RESULT_FILE not in names:
            return Crashed(trial, (folder / ERROR_FILE).read_text(encoding="utf-8"))
        write_atomic(folder / RESULT_FILE, archive.read(RESULT_FILE))
    return Finished(trial, read_result(folder / RESULT_FILE))
