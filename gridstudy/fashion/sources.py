"""Where Fashion-MNIST comes from: a folder, mads-datasets' cache or its download, or drawn garments instead."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from gridstudy.core.errors import StudyError
from gridstudy.core.files import expand_path, move_into_place
from gridstudy.fashion.fetch import NOT_WRITTEN
from gridstudy.fashion.garments import CLASS_NAMES, GARMENTS_VERSION, draw_garments
from gridstudy.fashion.storage import file_digest, fingerprint, first_allowed, new_folder, remove, temporary_home

if TYPE_CHECKING:
    from mads_datasets.base import AbstractDatasetFactory
    from mads_datasets.settings import DatasetSettings

DATASETS = ("auto", "fashion-mnist", "garments", "garments-small")
GARMENTS_SIZES = {"garments": (60_000, 10_000), "garments-small": (6_000, 1_000)}

FASHION_MNIST_FINGERPRINT = "eee656c63c1c"
SILENCE_S = 10.0
"""A download that has received nothing for so long is given up."""
DOWNLOAD_S = 900.0
SETTINGS_FILE = "settings.json"

REMEDY = "pass --data-dir DIR (or set FASHION_MNIST_DIR) with the four IDX files or mads-datasets' fashionmnist.pt"

Warn = Callable[[str], None]


class DataError(StudyError):
    """A fault of the data, told in one line: the rule, what came, what would work."""


class DownloadFailed(Exception):
    """Fashion-MNIST could not be downloaded, for the reason given."""


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


# --- which source --------------------------------------------------------------------------------------------------


def find_source(dataset: str, *, data_dir: Path | None, recorded: str | None, warn: Warn) -> Source:
    """Find where to read `dataset`; auto may download it, and draws garments where the download fails."""
    may_fall_back = dataset == "auto" and recorded is None
    if dataset == "auto" and recorded is not None:
        check_choice("dataset of the records", recorded, DATASETS[1:])
        dataset = recorded
    if dataset in GARMENTS_SIZES:
        if data_dir is not None:
            advice = "use another log folder, or leave the data folder out" if recorded else "leave one of the two out"
            raise DataError(f"a data folder is for fashion-mnist, got {data_dir} with {dataset}: {advice}")
        return _garments(dataset)
    variable = os.environ.get("FASHION_MNIST_DIR")
    if data_dir or variable:
        return _folder_source(data_dir or expand_path(variable or "", what="FASHION_MNIST_DIR"), warn)
    try:
        return _mads_source(_find_mads_file(warn))
    except DownloadFailed as error:
        if not may_fall_back:
            raise DataError(f"no copy of Fashion-MNIST here, and the download failed: {error}: {REMEDY}") from error
        warn(_fallback_warning(str(error)))
        return _garments("garments")


def _fallback_warning(reason: str) -> str:
    rule = "!" * 100
    return "\n".join(
        (
            rule,
            "!!  THIS IS NOT FASHION-MNIST. There is no copy on this machine, and the download failed:",
            f"!!  {reason}.",
            "!!  The study uses 'garments' instead: images that this program draws.",
            "!!  Its accuracies say nothing about Fashion-MNIST.",
            f"!!  For the real data, {REMEDY}.",
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


def _folder_source(folder: Path, warn: Warn) -> Source:
    """Find the four IDX files in torchvision's root, its FashionMNIST or its raw folder; else mads-datasets' file."""
    if not folder.is_dir():
        what = "a file" if folder.exists() else "missing"
        raise DataError(f"the data folder must be an existing folder, {folder} is {what}: {REMEDY}")
    places = [folder, folder / "raw", folder / "FashionMNIST" / "raw"]
    copies = {place: {idx: _files(place / idx.name, place / f"{idx.name}.gz") for idx in IDX_FILES} for place in places}
    place = max(places, key=lambda place: sum(map(bool, copies[place].values())))
    missing = [idx.name for idx, paths in copies[place].items() if not paths]
    if not missing:
        paths = [path for several in copies[place].values() for path in several]
        return _source("four IDX files in", place, paths, lambda: _read_idx_files(copies[place], warn))
    if len(missing) < len(IDX_FILES):
        raise DataError(f"{place} must hold four IDX files (or .gz), {', '.join(missing)} missing: {REMEDY}")
    found = _files(folder / "fashionmnist.pt", _mads_file(folder))
    if not found:
        raise DataError(f"{folder} holds no Fashion-MNIST ({IDX_FILES[0].name}[.gz] and so on): {REMEDY}")
    return _mads_source(found[0])


def _files(*paths: Path) -> list[Path]:
    return [path for path in paths if path.is_file()]


def _mads_source(path: Path) -> Source:
    return _source("mads-datasets' file", path, [path], lambda: _read_mads_file(path))


def _source(kind: str, place: Path, paths: list[Path], read: Callable[[], Official]) -> Source:
    """Tell a source by path, size and time of change, so that a second start need not read it."""
    stats = [(str(path.resolve()), path.stat().st_size, path.stat().st_mtime_ns) for path in paths]
    return Source("fashion-mnist", f"{kind} {place}", json.dumps(stats), read)


# --- reading IDX files ---------------------------------------------------------------------------------------------


def _read_idx_files(copies: Mapping[IdxFile, list[Path]], warn: Warn) -> Official:
    """Read the four files, the small ones first, which are cheap to refuse."""
    read = {idx: _read_first_good(idx, copies[idx], warn) for idx in sorted(copies, key=lambda idx: len(idx.shape))}
    return Official(*(read[idx] for idx in IDX_FILES))


def _read_first_good(idx: IdxFile, paths: list[Path], warn: Warn) -> Bytes:
    """Read a file or, where it is damaged, the other copy beside it."""
    *others, last = paths
    for path in others:
        try:
            return _read_idx(idx, path)
        except DataError as error:
            warn(f"{error}; using {last} instead")
    return _read_idx(idx, last)


def _read_idx(idx: IdxFile, path: Path) -> Bytes:
    """Read one IDX file; check its form and its digest."""
    n_header = 4 + 4 * len(idx.shape)
    n_bytes = int(np.prod(idx.shape))
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            header, body = file.read(n_header), file.read(n_bytes + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(
            f"{path} cannot be read ({reason_of(error)}), expected {idx.name}; download it again"
        ) from error
    if len(header) < n_header:
        raise DataError(f"{path} ends after {len(header)} bytes, expected a header of {n_header}; download it again")
    magic = 0x800 + len(idx.shape)
    if (found := int.from_bytes(header[:4], "big")) != magic:
        raise DataError(f"{path} has the magic number {found}, expected {magic} ({idx.name})")
    shape = tuple(np.frombuffer(header, dtype=">u4", offset=4).tolist())
    if shape != idx.shape:
        raise DataError(f"{path} has the dimensions {_times(shape)}, expected {_times(idx.shape)} ({idx.name})")
    if len(body) != n_bytes:
        came = f"only {len(body)}" if len(body) < n_bytes else f"more than {n_bytes}"
        raise DataError(f"{path} has {came} bytes after its header, expected {n_bytes}; download it again")
    array = np.frombuffer(body, dtype=np.uint8).reshape(idx.shape)
    if len(idx.shape) == 1 and array.max(initial=0) >= len(CLASS_NAMES):
        raise DataError(f"{path} has the label {array.max()}, expected 0 to {len(CLASS_NAMES) - 1}")
    if (md5 := hashlib.md5(header + body, usedforsecurity=False).hexdigest()) != idx.md5:
        raise DataError(f"{path} is not Fashion-MNIST: MD5 (uncompressed) {md5}, expected {idx.md5}")
    return array


def _times(shape: tuple[int, ...]) -> str:
    return " x ".join(str(n) for n in shape)


# --- mads-datasets -------------------------------------------------------------------------------------------------


def mads_factory(folder: Path) -> AbstractDatasetFactory[DatasetSettings]:
    """Make mads-datasets' factory of Fashion-MNIST for a cache in `folder`; takes 0.6 s the first time."""
    from loguru import logger
    from mads_datasets import DatasetFactoryProvider, DatasetType

    logger.disable("mads_datasets")  # it logs each step; faults are raised
    return DatasetFactoryProvider.create_factory(DatasetType.FASHION, datadir=folder)


def _mads_file(cache: Path) -> Path:
    return cache / "fashionmnist" / "fashionmnist.pt"


def _find_mads_file(warn: Warn) -> Path:
    """Find the file in mads-datasets' cache, or download it there, or to a temporary folder where that may not be."""
    caches = [home / ".cache" / "mads_datasets" for home in (Path.home(), temporary_home())]
    found = _files(*map(_mads_file, caches))
    try:
        return found[0] if found else first_allowed(caches, lambda cache: download(cache, warn=warn), warn=warn)
    except OSError as error:
        raise DataError(f"cannot write {error.filename or caches[0]} ({reason_of(error)}): {REMEDY}") from error


def download(cache: Path, *, warn: Warn, silence_s: float = SILENCE_S, limit_s: float = DOWNLOAD_S) -> Path:
    """Let mads-datasets download into a temporary folder of `cache`, and move its file into place.

    Raises DownloadFailed, and OSError where `cache` cannot be written.
    """
    temporary = new_folder(cache.absolute())  # mads-datasets downloads nothing into a folder that exists
    try:
        factory = mads_factory(temporary)
        warn(f"downloading Fashion-MNIST from {factory.settings.dataset_url}")
        (temporary / SETTINGS_FILE).write_text(factory.settings.model_dump_json(warnings=False), encoding="utf-8")
        _fetch(temporary, silence_s=silence_s, limit_s=limit_s)
        target = _mads_file(cache)
        target.parent.mkdir(exist_ok=True)
        move_into_place(_mads_file(temporary), target)
    finally:
        remove(temporary)
    return target


def _fetch(folder: Path, *, silence_s: float, limit_s: float) -> None:
    """Run the download with the settings in `folder` in a process of its own, and end it when it takes too long."""
    command = [sys.executable, "-P", str(Path(__file__).with_name("fetch.py")), SETTINGS_FILE, str(2 * limit_s)]
    pipe, null = subprocess.PIPE, subprocess.DEVNULL
    with subprocess.Popen(command, cwd=folder, stdin=null, stdout=pipe, stderr=null, text=True) as process:  # noqa: S603
        try:
            said = _wait(process, _mads_file(folder), silence_s=silence_s, limit_s=limit_s)
        finally:
            process.kill()
    if process.returncode == NOT_WRITTEN:
        raise DataError(f"cannot write {folder} ({said.strip()}): {REMEDY}")
    if process.returncode:
        raise DownloadFailed(said.strip() or f"mads-datasets ended with exit code {process.returncode}")


def _wait(process: subprocess.Popen[str], file: Path, *, silence_s: float, limit_s: float) -> str:
    """Wait for the end of the download to `file` and return its output; raise DownloadFailed at a time limit."""
    began_s = changed_s = time.monotonic()
    size = None
    while True:
        try:
            return process.communicate(timeout=0.1)[0]
        except subprocess.TimeoutExpired:
            now_s = time.monotonic()
        before, size = size, _progress(file)
        if size is None or size != before:
            changed_s = now_s
        if now_s - changed_s > silence_s:
            raise DownloadFailed(f"no data arrived for {silence_s:g} s")
        if now_s - began_s > limit_s:
            raise DownloadFailed(f"the download took more than {limit_s:g} s")


def _progress(file: Path) -> int | None:
    """Bytes downloaded so far; None before the download has begun, while libraries are imported."""
    if not file.parent.exists():
        return None
    return file.stat().st_size if file.exists() else 0


def _read_mads_file(path: Path) -> Official:
    """Read mads-datasets' file with its factory, which runs no code that a pickle might contain."""
    factory = mads_factory(path.parent.parent)
    settings = factory.settings.model_copy(update={"name": path.parent.name})  # the folder may have any name
    try:
        splits = type(factory)(settings, datadir=factory.datadir).create_dataset()
        tensors = (part for name in ("train", "valid") for part in (splits[name].data, splits[name].labels))
        official = Official(*(tensor.byte().numpy() for tensor in tensors))
    except Exception as error:  # torch.load raises nearly anything on a damaged file
        found = f"{type(error).__name__}; {path.stat().st_size} bytes"
        expected = f"expected mads-datasets' file with MD5 {settings.digest}"
        raise DataError(f"{path} cannot be read as tensors ({found}), {expected}: delete it to download it") from error
    found = fingerprint_official(official)
    if found != FASHION_MNIST_FINGERPRINT and file_digest(path, "md5") != settings.digest:
        expected = f"expected {FASHION_MNIST_FINGERPRINT}"
        raise DataError(f"{path} is not Fashion-MNIST: SHA-256 of its arrays {found}, {expected}: {REMEDY}")
    return official


# --- fingerprint and errors -----------------------------------------------------------------------------------------


def fingerprint_official(official: Official) -> str:
    """A fingerprint of the four arrays and their shapes."""
    return fingerprint(*(part for array in official for part in (str(array.shape), np.ascontiguousarray(array).data)))


def reason_of(error: BaseException) -> str:
    """What an error says, in few words."""
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def check_choice(what: str, value: str, choices: tuple[str, ...]) -> None:
    """Raise DataError unless `value` is one of `choices`."""
    if value not in choices:
        raise DataError(f"{what} must be one of {', '.join(choices)}, got {value!r}")
