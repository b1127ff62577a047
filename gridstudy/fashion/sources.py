"""Where Fashion-MNIST comes from: a folder, mads-datasets' file, a download, or the stand-in."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import queue
import tempfile
import threading
import time
import urllib.error
import urllib.request
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from gridstudy.fashion.garments import GARMENTS_VERSION, draw_garments

DATASETS = ("auto", "fashion-mnist", "garments", "garments-small")
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


def find_source(dataset: str, *, data_dir: Path | None, recorded: str | None, warn: Callable[[str], None]) -> Source:
    """The place that `dataset` is read from; auto may download it, and without a network falls back to garments."""
    may_fall_back = dataset == "auto" and recorded is None
    if dataset == "auto" and recorded is not None:
        check_choice("dataset of the records", recorded, DATASETS[1:])
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


# --- reading -------------------------------------------------------------------------------------------------------


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
        raise DataError(f"{path} cannot be read ({reason_of(error)}), expected {idx.name}: get it again") from error
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
    fingerprint = fingerprint_official(official)
    if fingerprint != FASHION_MNIST_FINGERPRINT and file_digest(path, "md5") != MADS_MD5:
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


# --- download ------------------------------------------------------------------------------------------------------


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
            raise DataError(f"cannot write {target.parent.parent} ({reason_of(error)}): {REMEDY}") from error
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
            raise NoNetwork(f"the download of {response.url} broke off: {reason_of(error)}") from error
        if not block:
            return
        if time.monotonic() > deadline_s:
            raise NoNetwork(f"the download of {response.url} took too long")
        yield block


def _check_download(path: Path, url: str, md5: str, n_expected: str | None) -> None:
    n_bytes = path.stat().st_size
    if n_expected is not None and n_bytes != int(n_expected):
        raise DataError(f"{url} was cut short: {n_bytes} bytes, expected {n_expected}: try again, or {REMEDY}")
    if (found := file_digest(path, "md5")) != md5:
        raise DataError(f"{url} sent a wrong file: MD5 {found} ({n_bytes} bytes), expected {md5}: {REMEDY}")


# --- fingerprints --------------------------------------------------------------------------------------------------


def fingerprint_official(official: Official) -> str:
    """A fingerprint of the four arrays and their shapes."""
    return fingerprint(*(part for array in official for part in (str(array.shape), np.ascontiguousarray(array).data)))


def fingerprint(*parts: str | bytes | memoryview) -> str:
    """The first 12 hex digits of the SHA-256 of all parts together."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part.encode() if isinstance(part, str) else part)
    return digest.hexdigest()[:12]


def file_digest(path: Path, algorithm: str) -> str:
    """The digest of a file in hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.new(algorithm, usedforsecurity=False)).hexdigest()


# --- errors --------------------------------------------------------------------------------------------------------


def reason_of(error: BaseException) -> str:
    """What an error says, in few words."""
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def check_choice(what: str, value: str, choices: tuple[str, ...]) -> None:
    """Raise DataError unless `value` is one of `choices`."""
    if value not in choices:
        raise DataError(f"{what} must be one of {', '.join(choices)}, got {value!r}")
