"""Data of a subject of one's own: arrays with a name, and fingerprints that tell when they changed."""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Mapping, Sequence
from typing import Any

from gridstudy.core.errors import StudyError
from gridstudy.core.subject import Data
from gridstudy.core.trial import DataIdentity


def fingerprint(*parts: Any) -> str:
    """Twelve hex digits of SHA-256 over arrays, numbers, texts and containers of them.

    Raises StudyError for an object that has no stable content, such as a function.
    """
    digest = hashlib.sha256()
    for part in parts:
        _add(digest, part)
    return digest.hexdigest()[:12]


def _add(digest: Any, part: Any) -> None:
    if isinstance(part, Mapping):
        for key in sorted(part, key=repr):
            _add(digest, key)
            _add(digest, part[key])
    elif isinstance(part, bytes | str | int | float | bool | None):
        digest.update(repr(part).encode())
    elif hasattr(part, "__array__"):
        import numpy as np

        array = np.ascontiguousarray(part)
        if array.dtype.hasobject:
            digest.update(pickle.dumps(array.tolist()))
        else:
            digest.update(f"{array.shape} {array.dtype}".encode() + array.tobytes())
    elif isinstance(part, Sequence):
        digest.update(f"{len(part)}".encode())
        for item in part:
            _add(digest, item)
    else:
        raise StudyError(f"a fingerprint needs arrays, numbers or texts; got {type(part).__name__}")


def make_data(
    name: str,
    *,
    train: Any,
    validation: Any,
    test: Any = None,
    sizes: Mapping[str, int] | None = None,
    class_names: Sequence[str] = (),
    protocol: str = "holdout",
    labels: Sequence[str] = (),
    origin: str = "",
) -> Data:
    """Data from three splits, each an array or a tuple of arrays: `content` is a dict with their names.

    `sizes` counts the examples of each split; by default the length of its (first) array.
    """
    content = {"train": train, "validation": validation, "test": test}
    given = {split: part for split, part in content.items() if part is not None}
    counted = {split: len(part[0]) if isinstance(part, tuple) else len(part) for split, part in given.items()}
    whole = fingerprint(*given.values())
    identity = DataIdentity(name, whole, fingerprint(whole, protocol, *counted.values()), protocol)
    return Data(content, identity, dict(sizes or counted), tuple(labels), origin, tuple(class_names))
