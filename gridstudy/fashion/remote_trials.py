"""A trial on a machine that shares no disk with ours: its data arrives, and its folder comes back, as one object."""

from __future__ import annotations

import io
import tempfile
import traceback
import warnings
import zipfile
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from gridstudy.core.files import write_atomic
from gridstudy.core.study import TrialConfig
from gridstudy.fashion.data import PreparedData, Split, Splits, open_splits
from gridstudy.fashion.training import quiet_process, train_trial
from gridstudy.records.records import ERROR_FILE, RESULT_FILE, clear_trial, read_result, trial_folder, write_result
from gridstudy.running.launchers import Crashed, Finished

SplitArrays = dict[str, tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]]
"""Images and labels of each split, by its name."""


def split_arrays(prepared: PreparedData) -> SplitArrays:
    """The splits as arrays, which an object store hands to the processes of a machine without copying them."""
    splits = open_splits(prepared)
    return {
        name: (split.images.numpy(), split.labels.numpy())
        for name, split in ((name, getattr(splits, name)) for name in Splits.__dataclass_fields__)
    }


def train_remotely(trial: TrialConfig, *, splits: SplitArrays, device: str, attempt: int) -> bytes:
    """Train a trial in a temporary folder; return the folder, packed, with a result or with an error in it."""
    _quiet_once()
    with tempfile.TemporaryDirectory(prefix="gridstudy-") as name:
        folder = Path(name)
        try:
            result, run = train_trial(trial, _to_splits(splits, device), folder, device=device, attempt=attempt)
            write_result(folder, result, run)
        except Exception:
            (folder / ERROR_FILE).write_text(traceback.format_exc(), encoding="utf-8")
        return pack_folder(folder)


@cache
def _quiet_once() -> None:
    quiet_process()


def _to_splits(arrays: SplitArrays, device: str) -> Splits:
    with warnings.catch_warnings():  # the arrays are read-only, of which torch warns; training never writes to them
        warnings.filterwarnings("ignore", "The given NumPy array is not writable", UserWarning)
        pairs = {name: [torch.from_numpy(array).to(device) for array in pair] for name, pair in arrays.items()}
    return Splits(**{name: Split(images, labels) for name, (images, labels) in pairs.items()})


def pack_folder(folder: Path) -> bytes:
    """The files of a folder, and of the folders in it, as a zip archive."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        for path in sorted(folder.rglob("*")):
            file.write(path, path.relative_to(folder))
    return archive.getvalue()


def place_trial(trial: TrialConfig, packed: bytes, *, logdir: Path) -> Finished | Crashed:
    """Put a trial's folder where it would be had it been trained here; its result comes last and completes it."""
    folder = trial_folder(logdir, trial)
    clear_trial(folder)
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        names = archive.namelist()
        archive.extractall(folder, [name for name in names if name != RESULT_FILE])
        if RESULT_FILE not in names:
            return Crashed(trial, (folder / ERROR_FILE).read_text(encoding="utf-8"))
        write_atomic(folder / RESULT_FILE, archive.read(RESULT_FILE))
    return Finished(trial, read_result(folder / RESULT_FILE))
