"""Which split is which, how splits are kept in the cache, and how batches are drawn."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import platformdirs
import torch
from filelock import FileLock

from gridstudy.fashion.sources import (
    DATASETS,
    REMEDY,
    Bytes,
    DataError,
    Official,
    Source,
    check_choice,
    file_digest,
    find_source,
    fingerprint,
    fingerprint_official,
    reason_of,
)

VALIDATIONS = ("holdout", "test")

SPLIT_SEED = 20_170_825
HOLDOUT_SHARE = 6
"""One training image in so many of each class is held out for validation."""

Indices = npt.NDArray[np.int64]


@dataclass(frozen=True)
class PreparedData:
    """Split data on disk as memory-mapped arrays, cheap to send to workers.

    Fingerprints are 12 hex digits of SHA-256: of the four official arrays; of those, the validation and its indices.
    """

    dataset: str
    dataset_fingerprint: str
    validation: str
    split_fingerprint: str
    origin: str
    folder: Path
    n_train: int
    n_validation: int
    n_test: int

    @property
    def identity(self) -> dict[str, str]:
        """What of the data defines a trial's outcome."""
        names = ("dataset", "dataset_fingerprint", "split_fingerprint", "validation")
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True)
class Split:
    """Images as uint8 (N, 784) and labels as int64 (N,), memory-mapped."""

    images: torch.Tensor
    labels: torch.Tensor


@dataclass(frozen=True)
class Splits:
    """What is trained on, what chooses, and what chooses nothing."""

    train: Split
    validation: Split
    test: Split


def prepare(
    dataset: str = "auto",
    *,
    data_dir: Path | None = None,
    validation: str = "holdout",
    recorded: str | None = None,
    cache_dir: Path | None = None,
    warn: Callable[[str], None],
) -> PreparedData:
    """Find the data, split it, and keep the splits in the cache.

    `recorded` is the dataset that the records at hand were made with: auto then means that one.
    Raises DataError, after which the cache is as it was.
    """
    check_choice("dataset", dataset, DATASETS)
    check_choice("validation", validation, VALIDATIONS)
    try:
        source = find_source(dataset, data_dir=data_dir, recorded=recorded, warn=warn)
    except OSError as error:
        raise DataError(f"cannot look for the data: {error}: {REMEDY}") from error
    cache = cache_dir or Path(os.environ.get("GRIDSTUDY_CACHE") or platformdirs.user_cache_dir("gridstudy"))
    pointer = cache / "sources" / fingerprint(source.identity, validation, str(SPLIT_SEED))
    folder = _follow(pointer)
    if folder is not None:
        prepared = _read_prepared(folder, source.origin)
        if prepared is not None:
            return prepared
        warn(f"the data cache {folder} is damaged or incomplete: making it again")
    prepared = _store(source, validation, cache)
    with suppress(OSError):
        _write_atomically(pointer, prepared.folder.name)
    return prepared


def open_splits(prepared: PreparedData) -> Splits:
    """Map the arrays of a prepared cache into memory, without copying them."""

    def mapped(name: str) -> torch.Tensor:
        return torch.from_numpy(np.load(prepared.folder / f"{name}.npy", mmap_mode="c"))

    splits = {name: Split(mapped(f"{name}_images"), mapped(f"{name}_labels")) for name in Splits.__dataclass_fields__}
    return Splits(**splits)


def index_batches(
    n_images: int, *, batch_size: int, generator: torch.Generator, device: torch.device | str = "cpu"
) -> Iterator[torch.Tensor]:
    """Draw batches of indices for ever, on `device`: one permutation after another, a short remainder dropped.

    The generator lies on the CPU, so that every device sees the same order.
    """
    if not 1 <= batch_size <= n_images:
        raise ValueError(f"batch_size must be between 1 and the {n_images} images, got {batch_size}")
    return _endless_batches(n_images, batch_size, generator, device)


def _endless_batches(
    n_images: int, batch_size: int, generator: torch.Generator, device: torch.device | str
) -> Iterator[torch.Tensor]:
    while True:
        permutation = torch.randperm(n_images, generator=generator).to(device)
        for start in range(0, n_images - batch_size + 1, batch_size):
            yield permutation[start : start + batch_size]


def hold_out(labels: Bytes, *, seed: int = SPLIT_SEED) -> tuple[Indices, Indices]:
    """Split indices into training and validation, each ascending, with the same share of every class."""
    keys = np.random.PCG64(seed).random_raw(len(labels))  # the raw stream is the same in every numpy
    held_out = np.zeros(len(labels), dtype=bool)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        order = np.argsort(keys[members], kind="stable")
        held_out[members[order[: len(members) // HOLDOUT_SHARE]]] = True
    return np.flatnonzero(~held_out), np.flatnonzero(held_out)


# --- the cache -----------------------------------------------------------------------------------------------------


def _store(source: Source, validation: str, cache: Path) -> PreparedData:
    """Split the images of a source and write them, unless they are there already."""
    official = source.read()
    arrays, fingerprints = _split(official, validation)
    folder = cache / f"{source.dataset}-{validation}-{fingerprints['split_fingerprint']}"
    prepared = _read_prepared(folder, source.origin)
    if prepared is not None:
        return prepared
    sizes = {f"n_{name}": len(arrays[f"{name}_labels"]) for name in ("train", "validation", "test")}
    manifest = {"dataset": source.dataset, "validation": validation, **fingerprints, **sizes}
    temporary: Path | None = None
    try:
        cache.mkdir(parents=True, exist_ok=True)
        _sweep(cache)
        temporary = Path(tempfile.mkdtemp(prefix=".partial-", dir=cache))
        _write_folder(temporary, arrays, manifest)
        _publish(temporary, folder, source.origin)
    except OSError as error:
        advice = "free 70 MB there, or set GRIDSTUDY_CACHE to a folder that can be written"
        raise DataError(f"cannot write the data cache {cache} ({reason_of(error)}): {advice}") from error
    finally:
        if temporary is not None:
            _remove(temporary)
    prepared = _read_prepared(folder, source.origin)
    if prepared is None:
        raise DataError(f"the data cache {folder} reads back differently than written: check the disk")
    return prepared


def _split(official: Official, validation: str) -> tuple[dict[str, npt.NDArray[Any]], dict[str, str]]:
    """The arrays in split order, images flat, and the fingerprints of the dataset and the split."""
    train = validation_indices = np.arange(len(official.train_labels), dtype=np.int64)
    validation_images, validation_labels = official.train_images, official.train_labels
    if validation == "holdout":
        train, validation_indices = hold_out(official.train_labels)
    else:
        validation_images, validation_labels = official.test_images, official.test_labels
        validation_indices = np.arange(len(validation_labels), dtype=np.int64)
    arrays: dict[str, npt.NDArray[Any]] = {
        "train_images": _flat(official.train_images)[train],
        "train_labels": official.train_labels[train].astype(np.int64),
        "validation_images": _flat(validation_images)[validation_indices],
        "validation_labels": validation_labels[validation_indices].astype(np.int64),
        "test_images": _flat(official.test_images),
        "test_labels": official.test_labels.astype(np.int64),
    }
    dataset_fingerprint = fingerprint_official(official)
    indices = (train.astype("<i8").tobytes(), validation_indices.astype("<i8").tobytes())
    split_fingerprint = fingerprint(dataset_fingerprint, validation, *indices)
    return arrays, {"dataset_fingerprint": dataset_fingerprint, "split_fingerprint": split_fingerprint}


def _flat(images: Bytes) -> Bytes:
    return images.reshape(len(images), -1)


def _write_folder(folder: Path, arrays: Mapping[str, npt.NDArray[Any]], manifest: Mapping[str, Any]) -> None:
    digests = {}
    for name, array in arrays.items():
        path = folder / f"{name}.npy"
        with path.open("wb") as file:
            np.save(file, array)
            file.flush()
            os.fsync(file.fileno())
        digests[path.name] = file_digest(path, "sha256")
    content = {**manifest, "files": digests}
    _write_atomically(folder / "manifest.json", json.dumps({**content, "seal": _seal(content)}, indent=1))


def _publish(temporary: Path, folder: Path, origin: str) -> None:
    """Move a finished folder into place, unless another study did so meanwhile; a damaged one gives way."""
    with FileLock(folder.parent / ".lock", timeout=60):
        if _read_prepared(folder, origin) is not None:
            return
        aside = temporary.with_name(f"{temporary.name}-damaged")
        with suppress(FileNotFoundError):
            folder.rename(aside)
        temporary.rename(folder)
    _remove(aside)


def _read_prepared(folder: Path, origin: str) -> PreparedData | None:
    """Read a cache folder's manifest and check every file against it; None if anything is amiss."""
    try:
        content = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        intact = content.pop("seal") == _seal(content) and all(
            file_digest(folder / name, "sha256") == digest for name, digest in content.pop("files").items()
        )
        return PreparedData(**content, origin=origin, folder=folder) if intact else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _follow(pointer: Path) -> Path | None:
    try:
        return pointer.parent.parent / pointer.read_text(encoding="utf-8").strip()
    except (OSError, ValueError):
        return None


def _sweep(cache: Path) -> None:
    """Remove what a killed process left a day ago."""
    for left in cache.glob(".partial-*"):
        with suppress(OSError):
            if time.time() - left.stat().st_mtime > 86_400:
                _remove(left)


def _remove(path: Path) -> None:
    shutil.rmtree(path, ignore_errors=True)
    with suppress(OSError):
        path.unlink(missing_ok=True)


def _write_atomically(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=".partial-", dir=path.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    finally:
        Path(name).unlink(missing_ok=True)


def _seal(content: Mapping[str, Any]) -> str:
    return fingerprint(json.dumps(content, sort_keys=True))
