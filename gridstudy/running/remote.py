"""Trials on a machine that shares no disk with ours: their data arrive, and their folders come back, as objects."""

from __future__ import annotations

import io
import tempfile
import threading
import traceback
import zipfile
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path

from loguru import logger

from gridstudy.core.files import write_atomic
from gridstudy.core.subject import Data
from gridstudy.core.trial import TrialConfig, TrialResult, TrialRun
from gridstudy.records.attempts import place_attempt, start_attempt
from gridstudy.records.trials import ERROR_FILE, RESULT_FILE, read_result, trial_folder, write_result
from gridstudy.running.launchers import Crashed, Finished
from gridstudy.running.subjects import SubjectSource
from gridstudy.running.trials import known_result, or_stop, train_trials


def train_remotely(
    trials: Sequence[TrialConfig], *, source: SubjectSource, data: Data, device: str, attempt: int
) -> list[bytes]:
    """Train trials in temporary folders; return each folder, packed, with a result or with an error in it."""
    set_up_process(source)
    with tempfile.TemporaryDirectory(prefix="gridstudy-") as name:
        folders = [Path(name) / str(number) for number in range(len(trials))]
        for folder in folders:
            folder.mkdir()
        waiting = deque(folders)
        try:
            for done in train_trials(trials, folders, source=source, data=data, device=device, attempt=attempt):
                write_result(waiting.popleft(), *done)
        except Exception:
            for folder in waiting:
                (folder / ERROR_FILE).write_text(traceback.format_exc(), encoding="utf-8")
        return [pack_folder(folder) for folder in folders]


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


def place_trials(
    trials: Sequence[TrialConfig], packed: Sequence[bytes], *, logdir: Path, check: Callable[[], None] = lambda: None
) -> Finished | Crashed:
    """Put the folders of trials where they would be had they been trained here; results that are there are kept.

    `check` raises StudyError where the log directory is no longer held.
    """
    or_stop(check)
    placed = [_place(trial, one, logdir=logdir) for trial, one in zip(trials, packed, strict=True)]
    reasons = [reason for reason in placed if isinstance(reason, str)]
    return Crashed(trials, reasons[0]) if reasons else Finished(trials, placed)


def _place(trial: TrialConfig, packed: bytes, *, logdir: Path) -> tuple[TrialResult, TrialRun] | str:
    """Fill a trial's folder and return its result, which comes last and completes it, or the reason why it has none."""
    folder = trial_folder(logdir, trial)
    if (known := known_result(folder, trial)) is not None:
        return known
    own = start_attempt(folder, attempt=1)
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        names = archive.namelist()
        archive.extractall(own, [name for name in names if name != RESULT_FILE])
        if RESULT_FILE in names:
            write_atomic(own / RESULT_FILE, archive.read(RESULT_FILE))
    place_attempt(own, folder)
    if RESULT_FILE not in names:
        return (folder / ERROR_FILE).read_text(encoding="utf-8")
    return read_result(folder / RESULT_FILE)
