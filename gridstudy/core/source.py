"""A digest of source code: which code made a result."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType

from gridstudy.core.files import read_bytes, with_unix_line_ends


def source_digest(sources: Iterable[ModuleType | Path]) -> str:
    """12 hex digits of SHA-256 over the text of source files, in any order, with CRLF read as LF.

    A package or a folder stands for all Python files below it. Raises OSError where a file cannot be read, and
    ValueError for a module that has no source file.
    """
    digests = sorted({digest for source in sources for digest in _digests(source)})
    return hashlib.sha256("\n".join(digests).encode()).hexdigest()[:12]


def _digests(source: ModuleType | Path) -> Iterator[str]:
    """The digest of each file with its path inside the package or folder, so that it does not depend on the place."""
    path = source if isinstance(source, Path) else _locate(source)
    files = sorted(path.rglob("*.py")) if path.is_dir() else [path]
    for file in files:
        content = hashlib.sha256(with_unix_line_ends(read_bytes(file))).hexdigest()
        yield f"{file.relative_to(path.parent).as_posix()} {content}"


def _locate(module: ModuleType) -> Path:
    """The file of a module, or the folder of a package."""
    if not module.__dict__.get("__file__"):
        raise ValueError(f"a source digest needs modules that have a file; {module.__name__} has none")
    file = Path(str(module.__file__))
    return file.parent if file.name == "__init__.py" else file
