"""Checked TOML files: whole, unaltered and of the format that this program reads."""

from __future__ import annotations

import hashlib
import math
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tomli_w

from gridstudy.core.files import read_bytes, with_unix_line_ends, write_atomic

FORMAT = 2
"""Raised when the files of a log directory change their meaning; a reader refuses what it does not know."""


LARGEST = 1 << 63
"""Whole numbers of a record are smaller: larger ones fit into no table."""


class RecordError(Exception):
    """A file that cannot be read as a record; one line with the reason, the path left to the caller."""


class FormatError(RecordError):
    """A whole record of another version of this program: nothing that may be run again in its place."""


class UnreadableError(RecordError):
    """A file that is there and that the system does not let us read, now or ever: whether it is whole is unknown."""


def write_toml(path: Path, content: Mapping[str, Any]) -> None:
    """Write TOML whose last line is the SHA-256 of the lines before, so that no cut or flipped bit goes unseen."""
    body = tomli_w.dumps({"format": FORMAT, **content}).encode()
    write_atomic(path, body + b"# sha256 " + hashlib.sha256(body).hexdigest().encode() + b"\n")


def read_toml(path: Path) -> dict[str, Any]:
    """Read what `write_toml` wrote; raise RecordError when it is cut, altered or of another format.

    CRLF is read as LF: Git for Windows may have changed the line ends.
    """
    try:
        content = tomllib.loads(_whole_body(path).decode())
    except (ValueError, RecursionError) as error:
        raise RecordError(f"is not valid TOML ({error})") from None
    _check_format(content.pop("format", None))
    return content


def check_whole(path: Path) -> None:
    """Raise RecordError where `read_toml` would find a file cut, altered or of another format, many times as fast."""
    first_line = _whole_body(path).partition(b"\n")[0]
    _check_format(FORMAT if first_line == f"format = {FORMAT}".encode() else None)


def _whole_body(path: Path) -> bytes:
    try:
        body, marker, checksum = with_unix_line_ends(read_bytes(path)).rpartition(b"# sha256 ")
    except OSError as error:
        kind = RecordError if isinstance(error, FileNotFoundError) else UnreadableError
        raise kind(f"cannot be read ({error.strerror or error})") from None
    if not marker:
        raise RecordError("is empty or cut short (its last line, the checksum, is missing)")
    if checksum.decode("ascii", "replace").strip() != hashlib.sha256(body).hexdigest():
        raise RecordError("is damaged or was edited (its checksum does not match)")
    return body


def _check_format(found: object) -> None:
    if found != FORMAT:
        raise FormatError(
            f"was written in another format than {FORMAT}, the one that this version reads; use another log directory"
        )


class Fields:
    """The keys of a TOML table, taken out one by one and checked; `end` refuses those that are left."""

    def __init__(self, table: object, *, what: str) -> None:
        if not isinstance(table, dict):
            raise RecordError(f"has no table {what}")
        self._table = dict(table)
        self._what = what

    def __contains__(self, key: str) -> bool:
        return key in self._table

    def _take(self, key: str, kinds: tuple[type, ...], default: Any) -> Any:
        if key not in self._table:
            if default is None:
                raise RecordError(f"lacks {self._what}.{key}")
            return default
        value = self._table.pop(key)
        if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
            raise RecordError(f"has {self._what}.{key} of a wrong type ({type(value).__name__})")
        return value

    def text(self, key: str, default: str | None = None) -> str:
        """A string."""
        return str(self._take(key, (str,), default))

    def whole(self, key: str, default: int | None = None) -> int:
        """An integer."""
        return self._whole(self._take(key, (int,), default), key)

    def _whole(self, value: int, key: str) -> int:
        if abs(value) >= LARGEST:
            raise RecordError(f"has a number of more than 63 bits in {self._what}.{key}")
        return value

    def number(self, key: str, default: float | None = None) -> float:
        """A number; NaN and infinity are allowed."""
        return number(self._take(key, (int, float), default), what=f"{self._what}.{key}")

    def flag(self, key: str) -> bool:
        """True or false."""
        return bool(self._take(key, (bool,), None))

    def table(self, key: str, default: dict[str, Any] | None = None) -> dict[str, Any]:
        """A table with whatever it holds."""
        return dict(self._take(key, (dict,), default))

    def array(self, key: str, default: list[Any] | None = None) -> list[Any]:
        """An array with whatever it holds."""
        return list(self._take(key, (list,), default))

    def any_of(self, key: str, kinds: tuple[type, ...]) -> Any:
        """A value of one of these types; whole numbers of at most 63 bits."""
        value = self._take(key, kinds, None)
        return self._whole(value, key) if isinstance(value, int) else value

    def values(self, key: str) -> dict[str, bool | int | float | str]:
        """A table of hyperparameter values."""
        table = self.table(key)
        if not all(
            isinstance(v, bool | str)
            or (isinstance(v, int) and abs(v) < LARGEST)
            or (isinstance(v, float) and math.isfinite(v))
            for v in table.values()
        ):
            raise RecordError(f"has {self._what}.{key} with something else than numbers and texts")
        return table

    def numbers(self, key: str) -> dict[str, float]:
        """A table of numbers."""
        return {name: number(value, what=f"{self._what}.{key}") for name, value in self.table(key).items()}

    def texts(self, key: str, default: dict[str, Any] | None = None) -> dict[str, str]:
        """A table of strings."""
        table = self.table(key, default)
        if not all(isinstance(value, str) for value in table.values()):
            raise RecordError(f"has {self._what}.{key} with something else than texts")
        return table

    def strings(self, key: str) -> tuple[str, ...]:
        """An array of strings."""
        array = self.array(key)
        if not all(isinstance(value, str) for value in array):
            raise RecordError(f"has {self._what}.{key} with something else than texts")
        return tuple(array)

    def wholes(self, key: str) -> tuple[int, ...]:
        """An array of integers."""
        array = self.array(key)
        if not all(isinstance(value, int) and not isinstance(value, bool) for value in array):
            raise RecordError(f"has {self._what}.{key} with something else than whole numbers")
        return tuple(self._whole(value, key) for value in array)

    def whole_table(self) -> dict[str, Any]:
        """All keys that are left, unchecked."""
        table, self._table = self._table, {}
        return table

    def end(self) -> None:
        """Raise RecordError naming the keys that nobody asked for."""
        if self._table:
            raise RecordError(f"has unknown keys in {self._what}: {', '.join(sorted(self._table))}")


def number(value: object, *, what: str) -> float:
    """A number of a record; raise RecordError for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise RecordError(f"has something else than a number in {what}")
    if isinstance(value, int) and abs(value) >= LARGEST:
        raise RecordError(f"has a number of more than 63 bits in {what}")
    return float(value)
