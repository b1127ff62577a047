"""Where Fashion-MNIST comes from, which split is which, and how batches are drawn."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import queue
import shutil
import tempfile
import threading
import time
import urllib.error
import urllib.request
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import platformdirs
import torch
from filelock import FileLock

from gridstudy.garments import GARMENTS_VERSION, draw_garments

DATASETS = ("auto", "fashion-mnist", "garments", "garments-small")
VALIDATIONS = ("holdout", "test")
CLASS_NAMES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
GARMENTS_SIZES = {"garments": (60_000, 10_000), "garments-small": (6_000, 1_000)}

SPLIT_SEED = 20_170_825
HOLDOUT_SHARE = 6
"""One training image in so many of each class is held out for validation."""

FASHION_MNIST_FINGERPRINT = "eee656c63c1c"
MADS_URL = "https://github.com/raoulg/data_assets/raw/main/fashionmnist.pt"
MADS_MD5 = "c4f1c3f76673fe3802f579773267163a"
SILENCE_S = 10.0
DOWNLOAD_S = 900.0

REMEDY = "give --data-dir DIR (or FASHION_MNIST_DIR) with the four IDX files or mads-datasets' fashionmnist.pt"


class DataError(Exception):
    """A fault of the data, told in one line: the rule, what came, what would work."""


class NoNetwork(Exception):
    """Nobody answered the download."""


class IdxFile(NamedTuple):
    """What one of the four published files must be; `md5` is of the uncompressed file."""

    name: str
    shape: tuple[int, ...]
    md5: str


IDX_FILES = (
    IdxFile("train-images-idx3-ubyte", (60_000, 28, 28), "f4a8712d7a061bf5bd6d2ca38dc4d50a"),
    IdxFile("train-labels-idx1-ubyte", (60_000,), "9018921c3c673c538a1fc5bad174d6f9"),
    IdxFile("t10k-images-idx3-ubyte", (10_000, 28, 28), "8181f5470baa50b63fa0f6fddb340f0a"),
    IdxFile("t10k-labels-idx1-ubyte", (10_000,), "15d484375f8d13e6eb1aabb0c3f46965"),
)

Bytes = npt.NDArray[np.uint8]
Indices = npt.NDArray[np.int64]


class Official(NamedTuple):
    """The images (n, 28, 28) and labels (n,), uint8, in the official order."""

    train_images: Bytes
    train_labels: Bytes
    test_images: Bytes
    test_labels: Bytes


@dataclass(frozen=True)
class Source:
    """A place that the images can be read from; an equal `identity` promises equal images."""

    dataset: str
    origin: str
    identity: str
    read: Callable[[], Official]


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
    _check_choice("dataset", dataset, DATASETS)
    _check_choice("validation", validation, VALIDATIONS)
    try:
        source = _find_source(dataset, data_dir=data_dir, recorded=recorded, warn=warn)
    except OSError as error:
        raise DataError(f"cannot look for the data: {error}: {REMEDY}") from error
    cache = cache_dir or Path(os.environ.get("GRIDSTUDY_CACHE") or platformdirs.user_cache_dir("gridstudy"))
    pointer = cache / "sources" / _fingerprint(source.identity, validation, str(SPLIT_SEED))
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


# Where the data comes from


def _find_source(dataset: str, *, data_dir: Path | None, recorded: str | None, warn: Callable[[str], None]) -> Source:
    may_fall_back = dataset == "auto" and recorded is None
    if dataset == "auto" and recorded is not None:
        _check_choice("dataset of the records", recorded, DATASETS[1:])
        dataset = recorded
    if dataset in GARMENTS_SIZES:
        if data_dir is not None:
            raise DataError(f"a data folder is for fashion-mnist, got {data_dir} with {dataset}: {_either(recorded)}")
        return _garments(dataset)
    given = data_dir or (Path(os.environ["FASHION_MNIST_DIR"]) if os.environ.get("FASHION_MNIST_DIR") else None)
    if given is not None:
        return _folder_source(given)
    cached = _mads_file()
    if cached.is_file():
        return _pt_source(cached)
    try:
        _download(MADS_URL, cached, md5=MADS_MD5, warn=warn)
    except NoNetwork as error:
        if not may_fall_back:
            raise DataError(f"no Fashion-MNIST here and no network ({error}): {REMEDY}") from error
        warn(_fallback_warning(str(error)))
        return _garments("garments")
    return _pt_source(cached)


def _either(recorded: str | None) -> str:
    return "use another log folder, or leave the data folder out" if recorded else "leave one of the two out"


def _fallback_warning(reason: str) -> str:
    rule = "!" * 100
    return "\n".join(
        (
            rule,
            "!!  THIS IS NOT FASHION-MNIST. No copy was found here and no network answered:",
            f"!!  {reason}.",
            "!!  The study uses the built-in stand-in 'garments' (images drawn by this program).",
            "!!  Its accuracies say nothing about Fashion-MNIST.",
            f"!!  For the real data {REMEDY}.",
            rule,
        )
    )


def _garments(dataset: str) -> Source:
    n_train, n_test = GARMENTS_SIZES[dataset]
    return Source(
        dataset=dataset,
        origin=f"drawn by gridstudy (garments version {GARMENTS_VERSION}), a stand-in for Fashion-MNIST",
        identity=f"{dataset} version {GARMENTS_VERSION}",
        read=lambda: Official(*draw_garments(n_train, n_test)),
    )


def _folder_source(folder: Path) -> Source:
    if not folder.is_dir():
        what = "a file" if folder.exists() else "nothing"
        raise DataError(f"the data folder must be an existing folder, {folder} is {what}: {REMEDY}")
    for place in (folder, folder / "FashionMNIST" / "raw"):
        paths = {idx: _first_file(place / idx.name, place / f"{idx.name}.gz") for idx in IDX_FILES}
        found = {idx: path for idx, path in paths.items() if path is not None}
        if len(found) == len(IDX_FILES):
            return _idx_source(place, found)
        if found:
            missing = ", ".join(idx.name for idx in IDX_FILES if idx not in found)
            raise DataError(f"{place} must hold four IDX files (or .gz), {missing} missing: {REMEDY}")
    path = _first_file(folder / "fashionmnist.pt", folder / "fashionmnist" / "fashionmnist.pt")
    if path is None:
        raise DataError(f"{folder} holds no Fashion-MNIST ({IDX_FILES[0].name}[.gz] and so on): {REMEDY}")
    return _pt_source(path)


def _idx_source(place: Path, paths: Mapping[IdxFile, Path]) -> Source:
    return _source("four IDX files in", place, tuple(paths.values()), lambda: _read_idx_files(paths))


def _first_file(*paths: Path) -> Path | None:
    return next((path for path in paths if path.is_file()), None)


def _pt_source(path: Path) -> Source:
    return _source("mads-datasets' file", path, (path,), lambda: _read_pt(path))


def _source(kind: str, place: Path, paths: tuple[Path, ...], read: Callable[[], Official]) -> Source:
    """Tell a source by path, size and time of change, so that a second start need not read it."""
    stats = [(str(path.resolve()), path.stat().st_size, path.stat().st_mtime_ns) for path in paths]
    return Source("fashion-mnist", f"{kind} {place}", json.dumps(stats), read)


def _mads_file() -> Path:
    return Path.home() / ".cache" / "mads_datasets" / "fashionmnist" / "fashionmnist.pt"


# Reading


def _read_idx_files(paths: Mapping[IdxFile, Path]) -> Official:
    """Read the four files: first what is cheap to refuse, then the digests."""
    read = {idx: _read_idx(idx, paths[idx]) for idx in sorted(paths, key=lambda idx: len(idx.shape))}
    for idx, (_, md5) in read.items():
        if md5 != idx.md5:
            raise DataError(f"{paths[idx]} is not Fashion-MNIST: MD5 (uncompressed) {md5}, expected {idx.md5}")
    return Official(*(read[idx][0] for idx in IDX_FILES))


def _read_idx(idx: IdxFile, path: Path) -> tuple[Bytes, str]:
    """Read one IDX file and check its form; returns the array and the MD5 of the uncompressed file."""
    n_header = 4 + 4 * len(idx.shape)
    n_bytes = int(np.prod(idx.shape))
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            header, body = file.read(n_header), file.read(n_bytes + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} cannot be read ({_reason(error)}), expected {idx.name}: get it again") from error
    if len(header) < n_header:
        raise DataError(f"{path} ends after {len(header)} bytes, expected a header of {n_header}: get it again")
    magic = 0x800 + len(idx.shape)
    if (found := int.from_bytes(header[:4], "big")) != magic:
        raise DataError(f"{path} has the magic number {found}, expected {magic} ({idx.name})")
    shape = tuple(np.frombuffer(header, dtype=">u4", offset=4).tolist())
    if shape != idx.shape:
        raise DataError(f"{path} has the dimensions {_times(shape)}, expected {_times(idx.shape)} ({idx.name})")
    if len(body) != n_bytes:
        came = f"only {len(body)}" if len(body) < n_bytes else f"more than {n_bytes}"
        raise DataError(f"{path} has {came} bytes after its header, expected {n_bytes}: get it again")
    array = np.frombuffer(body, dtype=np.uint8).reshape(idx.shape)
    if len(idx.shape) == 1:
        _check_labels(array, path)
    return array, hashlib.md5(header + body, usedforsecurity=False).hexdigest()


def _check_labels(labels: Bytes, path: Path) -> None:
    if labels.max(initial=0) >= len(CLASS_NAMES):
        raise DataError(f"{path} has the label {labels.max()}, expected 0 to {len(CLASS_NAMES) - 1}")


def _times(shape: tuple[int, ...]) -> str:
    return " x ".join(str(n) for n in shape)


def _read_pt(path: Path) -> Official:
    """Read mads-datasets' file, without running what a pickle might contain."""
    try:
        return _load_pt(path)
    except DataError:
        raise
    except Exception as error:  # torch.load raises nearly anything on a damaged file
        found = f"{type(error).__name__}; {path.stat().st_size} bytes"
        expected = f"expected mads-datasets' file with MD5 {MADS_MD5}"
        raise DataError(f"{path} cannot be read as tensors ({found}), {expected}: delete it to download it") from error


def _load_pt(path: Path) -> Official:
    content = torch.load(path, map_location="cpu", weights_only=True)
    names = ("traindata", "trainlabels", "testdata", "testlabels")
    official = Official(*(_from_pt(content, name, idx, path) for name, idx in zip(names, IDX_FILES, strict=True)))
    _check_labels(official.train_labels, path)
    _check_labels(official.test_labels, path)
    fingerprint = _dataset_fingerprint(official)
    if fingerprint != FASHION_MNIST_FINGERPRINT and _file_digest(path, "md5") != MADS_MD5:
        raise DataError(
            f"{path} is not Fashion-MNIST: SHA-256 of its arrays {fingerprint}, expected {FASHION_MNIST_FINGERPRINT}"
        )
    return official


def _from_pt(content: object, name: str, idx: IdxFile, path: Path) -> Bytes:
    tensor = content.get(name) if isinstance(content, dict) else None
    if not isinstance(tensor, torch.Tensor):
        raise DataError(f"{path} must hold a tensor '{name}', found {type(tensor).__name__}")
    if tuple(tensor.shape) != idx.shape:
        raise DataError(
            f"{path}: '{name}' has the dimensions {_times(tuple(tensor.shape))}, expected {_times(idx.shape)}"
        )
    whole = tensor.to(torch.uint8)
    if not torch.equal(whole.to(tensor.dtype), tensor):
        raise DataError(f"{path}: '{name}' must hold whole numbers from 0 to 255, found others ({tensor.dtype})")
    return whole.numpy()


# Download


def _download(
    url: str,
    target: Path,
    *,
    md5: str,
    silence_s: float = SILENCE_S,
    limit_s: float = DOWNLOAD_S,
    warn: Callable[[str], None] = lambda message: None,
) -> None:
    """Download to a temporary file beside the folder of `target`, check it, move it into place.

    Raises NoNetwork without an answer for `silence_s` or an end within `limit_s`; DataError for a wrong file.
    """
    began_s = time.monotonic()
    with _ask(url, silence_s) as response:
        warn(f"downloading Fashion-MNIST from {url}")
        partial: Path | None = None
        try:
            # not in the folder itself: mads-datasets never downloads again once that exists
            target.parent.parent.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(prefix=".fashionmnist-", dir=target.parent.parent)
            partial = Path(name)
            with os.fdopen(handle, "wb") as file:
                for block in _blocks(response, deadline_s=began_s + limit_s):
                    file.write(block)
                file.flush()
                os.fsync(file.fileno())
            _check_download(partial, url, md5, response.headers.get("Content-Length"))
            target.parent.mkdir(exist_ok=True)
            partial.replace(target)
        except OSError as error:
            raise DataError(f"cannot write {target.parent.parent} ({_reason(error)}): {REMEDY}") from error
        finally:
            if partial is not None:
                partial.unlink(missing_ok=True)


def _ask(url: str, silence_s: float) -> HTTPResponse:
    """Open the URL, giving up after `silence_s` even where looking up the name hangs."""
    answers: queue.SimpleQueue[HTTPResponse | Exception] = queue.SimpleQueue()

    def ask() -> None:
        try:
            answers.put(urllib.request.urlopen(url, timeout=silence_s))  # noqa: S310 - the URL is ours
        except Exception as error:
            answers.put(error)

    threading.Thread(target=ask, daemon=True).start()
    try:
        answer = answers.get(timeout=silence_s)
    except queue.Empty:
        raise NoNetwork(f"{url} did not answer within {silence_s:g} s") from None
    if isinstance(answer, Exception):
        reason = answer.reason if isinstance(answer, urllib.error.URLError) else answer
        raise NoNetwork(f"{url}: {reason}") from answer
    return answer


def _blocks(response: HTTPResponse, *, deadline_s: float) -> Iterator[bytes]:
    while True:
        try:
            block = response.read1(1 << 18)
        except (OSError, HTTPException) as error:
            raise NoNetwork(f"the download of {response.url} broke off: {_reason(error)}") from error
        if not block:
            return
        if time.monotonic() > deadline_s:
            raise NoNetwork(f"the download of {response.url} took too long")
        yield block


def _check_download(path: Path, url: str, md5: str, n_expected: str | None) -> None:
    n_bytes = path.stat().st_size
    if n_expected is not None and n_bytes != int(n_expected):
        raise DataError(f"{url} was cut short: {n_bytes} bytes, expected {n_expected}: try again, or {REMEDY}")
    if (found := _file_digest(path, "md5")) != md5:
        raise DataError(f"{url} sent a wrong file: MD5 {found} ({n_bytes} bytes), expected {md5}: {REMEDY}")


# The cache


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
        raise DataError(f"cannot write the data cache {cache} ({_reason(error)}): {advice}") from error
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
    dataset_fingerprint = _dataset_fingerprint(official)
    indices = (train.astype("<i8").tobytes(), validation_indices.astype("<i8").tobytes())
    split_fingerprint = _fingerprint(dataset_fingerprint, validation, *indices)
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
        digests[path.name] = _file_digest(path, "sha256")
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
            _file_digest(folder / name, "sha256") == digest for name, digest in content.pop("files").items()
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


# Fingerprints


def _dataset_fingerprint(official: Official) -> str:
    return _fingerprint(*(part for array in official for part in (str(array.shape), np.ascontiguousarray(array).data)))


def _fingerprint(*parts: str | bytes | memoryview) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part.encode() if isinstance(part, str) else part)
    return digest.hexdigest()[:12]


def _seal(content: Mapping[str, Any]) -> str:
    return _fingerprint(json.dumps(content, sort_keys=True))


def _file_digest(path: Path, algorithm: str) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.new(algorithm, usedforsecurity=False)).hexdigest()


def _reason(error: BaseException) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def _check_choice(what: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise DataError(f"{what} must be one of {', '.join(choices)}, got {value!r}")
