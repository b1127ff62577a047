"""A digest of source code, so that records say which code made them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

from gridstudy.core.files import with_unix_line_ends


def source_digest(files: Iterable[Path]) -> str:
    """Twelve hex digits of SHA-256 over the files' names and texts, in any order; CRLF is read as LF."""
    parts = sorted(path.name.encode() + b"\0" + with_unix_line_ends(path.read_bytes()) for path in files)
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:12]
