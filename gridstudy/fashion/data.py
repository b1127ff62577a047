"""Which split is which, how splits are kept in the cache, and how batches are drawn."""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import platformdirs

from gridstudy.core.files import expand_path, read_bytes, write_atomic
from gridstudy.fashion.sources import (
    DATASETS,
    REMEDY,
    Bytes,
    DataError,
    Official,
    Source,
    Warn,
    check_choice,
    find_source,
    fingerprint_official,
    reason_of,
)
from gridstudy.fashion.storage import (
    NOT_ALLOWED,
    FileState,
    ensure_home,
    file_digest,
    file_states,
    fingerprint,
    first_allowed,
    locked,
    new_folder,
    remove,
    temporary_home,
)

if TYPE_CHECKING:
    import torch

VALIDATIONS = ("holdout", "test")

SPLIT_SEED = 20_170_825
HOLDOUT_SHARE = 6
"""One training image in so many of each class is held out for validation."""

Indices = npt.NDArray[np.int64]


@dataclass(frozen=True)
class PreparedData:
    """Split data on disk as memory-mapped arrays, cheap to send to workers.

    Fingerprints are 12 hex digits of SHA-256: of the four official arrays; of those, the validation and its indices.
    `states` are those of the files when their digests were checked.
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
    states: tuple[FileState, ...] = field(compare=False, repr=False)

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
    warn: Warn,
) -> PreparedData:
    """Find the data, split it, and keep the splits in the cache.

    `recorded` is the dataset that the records at hand were made with: auto then means that one.
    Raises DataError, after which the cache is as it was.
    """
    check_choice("dataset", dataset, DATASETS)
    check_choice("validation", validation, VALIDATIONS)
    ensure_home(warn)
    try:
        source = find_source(dataset, data_dir=data_dir, recorded=recorded, warn=warn)
    except OSError as error:
        raise DataError(f"cannot look for the data: {error}: {REMEDY}") from error
    source = replace(source, read=functools.cache(source.read))  # a second cache may need the images as well
    try:
        return first_allowed(_caches(cache_dir), lambda cache: _prepare_in(cache, source, validation, warn), warn=warn)
    except OSError as error:
        raise DataError(f"no data cache may be used: {error}: set GRIDSTUDY_CACHE to a folder of yours") from error


def open_splits(prepared: PreparedData) -> Splits:
    """Check the files of a prepared cache and map them into memory; raise DataError where they changed."""
    try:
        checked = _read_prepared(prepared.folder, prepared.origin)
    except PermissionError:
        checked = None
    if checked != prepared or checked.states != prepared.states:
        raise _changed(prepared)

    import torch  # takes seconds, and a study with nothing left to train does without

    def mapped(name: str) -> torch.Tensor:
        return torch.from_numpy(np.load(prepared.folder / f"{name}.npy", mmap_mode="c"))  # private: never written back

    splits = {name: Split(mapped(f"{name}_images"), mapped(f"{name}_labels")) for name in Splits.__dataclass_fields__}
    return Splits(**splits)


def check_unchanged(prepared: PreparedData) -> None:
    """Raise DataError unless the files are as they were when their digests were checked; costs microseconds.

    To be called before a result is written, which is worth nothing where the mapped images changed meanwhile.
    """
    try:
        states = file_states(prepared.folder, (name for name, *_ in prepared.states))
    except OSError:
        raise _changed(prepared) from None
    if states != prepared.states:
        raise _changed(prepared)


def _changed(prepared: PreparedData) -> DataError:
    return DataError(
        f"the data in {prepared.folder} changed while the study was running; rerun the same command to check them "
        "and resume"
    )


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
    import torch

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


def _caches(given: Path | None) -> Iterator[Path]:
    """The folder to keep splits in, then those that are used where it may not be."""
    variable = os.environ.get("GRIDSTUDY_CACHE")
    if given or variable:
        yield given or expand_path(variable or "", what="GRIDSTUDY_CACHE")
    yield Path(platformdirs.user_cache_dir("gridstudy"))
    yield temporary_home() / ".cache" / "gridstudy"


def _prepare_in(cache: Path, source: Source, validation: str, warn: Warn) -> PreparedData:
    """Read the splits from a cache, or make them there; raise OSError where this user may not."""
    pointer = cache / "sources" / fingerprint(source.identity, validation, str(SPLIT_SEED))
    folder = _follow(pointer)
    if folder is not None:
        prepared = _read_prepared(folder, source.origin)
        if prepared is not None:
            return prepared
        warn(f"the data cache {folder} is damaged or incomplete; it is made again")
    try:
        prepared = _store(source, validation, cache, warn=warn)
    except OSError as error:
        if error.errno in NOT_ALLOWED:
            raise
        advice = "free 70 MB there, or set GRIDSTUDY_CACHE to a folder that can be written"
        raise DataError(f"cannot write the data cache {cache} ({reason_of(error)}): {advice}") from error
    with suppress(OSError):
        pointer.parent.mkdir(exist_ok=True)
        write_atomic(pointer, prepared.folder.name.encode())
    return prepared


def _store(source: Source, validation: str, cache: Path, *, warn: Warn) -> PreparedData:
    """Split the images of a source and write them, unless they are there already."""
    arrays, fingerprints = _split(source.read(), validation)
    folder = cache / f"{source.dataset}-{validation}-{fingerprints['split_fingerprint']}"
    prepared = _read_prepared(folder, source.origin)
    if prepared is not None:
        return prepared
    sizes = {f"n_{name}": len(arrays[f"{name}_labels"]) for name in ("train", "validation", "test")}
    temporary = new_folder(cache)
    try:
        manifest = {"dataset": source.dataset, "validation": validation, **fingerprints, **sizes}
        _write_folder(temporary, arrays, manifest)
        _publish(temporary, folder, source.origin, warn=warn)
    finally:
        remove(temporary)
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
    """Write arrays that nobody is to change, and what they are."""
    digests = {}
    for name, array in arrays.items():
        path = folder / f"{name}.npy"
        with path.open("wb") as file:
            np.save(file, array)
            file.flush()
            os.fsync(file.fileno())
        path.chmod(path.stat().st_mode & ~0o222)
        digests[path.name] = file_digest(path, "sha256")
    content = {**manifest, "files": digests}
    write_atomic(folder / "manifest.json", json.dumps({**content, "seal": _seal(content)}, indent=1).encode())


def _publish(temporary: Path, folder: Path, origin: str, *, warn: Warn) -> None:
    """Move a finished folder into place, unless another study did so meanwhile; a damaged one gives way."""
    with locked(folder.parent, warn=warn):
        if _read_prepared(folder, origin) is not None:
            return
        aside = temporary.with_name(f"{temporary.name}-damaged")
        with suppress(FileNotFoundError):
            folder.rename(aside)
        temporary.rename(folder)
    remove(aside)


def _read_prepared(folder: Path, origin: str) -> PreparedData | None:
    """Read a cache folder's manifest and check every file against it; None where anything is amiss.

    Raises PermissionError where a file may not be read, which says nothing about what is in it.
    """
    try:
        content = json.loads(read_bytes(folder / "manifest.json"))
        sealed = content.pop("seal") == _seal(content)
        digests = content.pop("files")
        states = file_states(folder, digests)  # before the digests, so that no later change is missed
        intact = sealed and all(file_digest(folder / name, "sha256") == digest for name, digest in digests.items())
        return PreparedData(**content, origin=origin, folder=folder, states=states) if intact else None
    except PermissionError:
        raise
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def _follow(pointer: Path) -> Path | None:
    try:
        return pointer.parent.parent / read_bytes(pointer).decode().strip()
    except PermissionError:
        raise
    except (OSError, ValueError):
        return None


def _seal(content: Mapping[str, Any]) -> str:
    return fingerprint(json.dumps(content, sort_keys=True))
