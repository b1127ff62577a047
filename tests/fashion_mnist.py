"""Four files of 80 images that pass for Fashion-MNIST, and what is expected of preparing them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from gridstudy.fashion import sources
from gridstudy.fashion.data import prepare
from gridstudy.fashion.sources import DataError

TINY = {"train": 60, "test": 20}


def idx_bytes(array, *, magic=None, shape=None):
    magic = 0x800 + array.ndim if magic is None else magic
    return b"".join(number.to_bytes(4, "big") for number in (magic, *(shape or array.shape))) + array.tobytes()


def read_tiny(folder):
    return sources.find_source("fashion-mnist", data_dir=folder, recorded=None, warn=silent).read()


def mads_file():
    """Where mads-datasets keeps its file."""
    return Path.home() / ".cache" / "mads_datasets" / "fashionmnist" / "fashionmnist.pt"


def write_pt(path, official, **changes):
    names = ("traindata", "trainlabels", "testdata", "testlabels")
    tensors = dict(zip(names, (torch.from_numpy(array.copy()) for array in official), strict=True))
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save({**tensors, **changes}, path)


def silent(message):
    raise AssertionError(f"unexpected warning: {message}")


def ignore(message):
    """Take a warning that the test is not about."""


def small(**options):
    return prepare("garments-small", warn=options.pop("warn", silent), **options)


def refusal(*args, **options):
    """The one line with which the data is refused; nothing must have been cached."""
    with pytest.raises(DataError) as caught:
        prepare(*args, warn=options.pop("warn", silent), **options)
    line = str(caught.value)
    assert line
    assert "\n" not in line
    assert cached() == []
    return line


def cached():
    """The names in the cache, but for the lock."""
    cache = Path(os.environ["GRIDSTUDY_CACHE"])
    return sorted(path.name for path in cache.iterdir() if path.name != ".lock") if cache.is_dir() else []
