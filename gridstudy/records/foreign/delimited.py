"""CSV and Parquet files -> a table of runs; delimiter, decimal sign and encoding are detected and reported."""

from __future__ import annotations

import bz2
import csv
import errno
import gzip
import io
import lzma
import os
import re
import stat
import warnings
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pandas as pd

from gridstudy.core.errors import StudyError
from gridstudy.records.foreign.nested_text import flatten_text
from gridstudy.records.foreign.table import RunTable, in_one_line

DELIMITERS = (",", ";", "\t", "|")
SAMPLED_LINES = 200
MOST_BYTES = 2 << 30
"""Larger tables are refused."""
MISSING = (
    "", "-", "--", "NA", "N/A", "n/a", "nan", "NaN", "NAN", "None", "none", "null", "NULL", "<NA>", "#N/A", "?",
    "\u2013", "\u2014",
)  # fmt: skip
SECONDS = {
    "ms": 1e-3, "s": 1.0, "sec": 1.0, "secs": 1.0, "second": 1.0, "seconds": 1.0, "min": 60.0, "mins": 60.0,
    "minute": 60.0, "minutes": 60.0, "m": 60.0, "h": 3600.0, "hr": 3600.0, "hrs": 3600.0, "hour": 3600.0,
    "hours": 3600.0, "d": 86400.0, "days": 86400.0,
}  # fmt: skip
WITH_UNIT = re.compile(r"\s*([+-]?\d+(?:[.,]\d+)?(?:[eE][+-]?\d+)?)\s*([A-Za-z]+|%)\s*")
NUMBER = r"[+-]?(?:\d+(?:[.,]\d*)?|[.,]\d+)(?:[eE][+-]?\d+)?"
NAMES_OF_ENCODINGS = {"utf-8-sig": "UTF-8", "utf-16": "UTF-16", "utf-32": "UTF-32", "cp1252": "Windows-1252"}
NAMES_OF_DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "vertical bar", " ": "spaces"}
OTHER_KINDS = {
    b"\x28\xb5\x2f\xfd": "is compressed; unpack it first",
    b"PK\x03\x04": "is a spreadsheet or an archive; save the table as CSV",
    b"\xd0\xcf\x11\xe0": "is a spreadsheet; save the table as CSV",
    b"SQLite format 3\0": "is an SQLite database; write mlflow: or optuna: before its path",
    b"{": "is JSON; read it with pandas, and write CSV or call gridstudy.analyse with the table",
    b"[": "is JSON; read it with pandas, and write CSV or call gridstudy.analyse with the table",
    b"<!DOCTYPE": "is a web page; download the file itself", b"<!doctype": "is a web page; download the file itself",
    b"<html": "is a web page; download the file itself",
    b"version https://git-lfs": "is a pointer of Git LFS; run git lfs pull to get the file itself",
}  # fmt: skip
"""How files that are no CSV begin, and what to do."""
OPEN_COMPRESSED: Mapping[bytes, Callable[[BinaryIO], Any]] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ": lzma.open,
}
"""How compressed files begin, and what reads them."""


@dataclass(frozen=True)
class _Layout:
    encoding: str
    delimiter: str
    decimal: str
    names: list[str]
    skipped: list[int]
    """Lines that hold no row, from 0: comments, empty lines and the heading."""
    n_lines: int
    notes: list[str]


def read_csv(path: Path) -> RunTable:
    """Read a CSV file; raise StudyError, in one line, where it is no table of runs."""
    with open_regular(path) as given, _unpacked(given, path) as file:
        layout = _find_layout(file, path)
        file.seek(0)
        runs = _parse(file, layout, path)
    runs.columns = pd.Index(layout.names)
    if layout.decimal == ",":
        runs = runs.apply(_with_points)
    lines = sorted(set(range(layout.n_lines)) - set(layout.skipped))
    whole = len(lines) == len(runs)
    runs.index = pd.Index([line + 1 for line in lines] if whole else range(2, len(runs) + 2), name="row")
    runs = runs.dropna(how="all")
    if runs.empty:
        raise StudyError(f"{path} has a heading and no rows")
    return table_of_frame(runs, source=str(path), notes=tuple(layout.notes))


def open_regular(path: Path) -> BinaryIO:
    """Open a regular file of a sensible size; raise StudyError for a pipe, a device, or what is not there."""
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            os.close(descriptor)
            raise OSError(errno.EINVAL, "not a regular file", str(path))
    except OSError as error:
        raise StudyError(f"results must be a file that can be read; {path}: {error.strerror or error}") from None
    if not 0 < status.st_size <= MOST_BYTES:
        os.close(descriptor)
        size = "is empty" if not status.st_size else f"is larger than {MOST_BYTES >> 30} GB"
        raise StudyError(f"{path} {size}")
    return os.fdopen(descriptor, "rb")


def _unpacked(file: BinaryIO, path: Path) -> BinaryIO:
    """The file itself, or what is compressed in it, in memory."""
    start = file.read(8)
    file.seek(0)
    opener = next((opener for begin, opener in OPEN_COMPRESSED.items() if start.startswith(begin)), None)
    if opener is None:
        return file
    try:
        with opener(file) as compressed:
            content = compressed.read(MOST_BYTES + 1)
    except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
        raise StudyError(f"{path} cannot be unpacked: {in_one_line(str(error))}") from None
    if not 0 < len(content) <= MOST_BYTES:
        raise StudyError(f"{path} {'is larger than 2 GB unpacked' if content else 'is empty'}")
    return io.BytesIO(content)


# --- layout --------------------------------------------------------------------------------------------------------


def _find_layout(file: BinaryIO, path: Path) -> _Layout:
    encoding, lines, others, n_lines = _scan(file, path)
    if not lines:
        raise StudyError(f"{path} holds no line that is not empty or a comment")
    skipped = [number for number, _ in others]
    if excel := re.fullmatch(r'"?sep=(.)"?', lines[0][1]):  # Excel's own way to name the delimiter
        skipped.append(lines.pop(0)[0])
    if not lines:
        raise StudyError(f"{path} has no heading")
    first_number, comments = lines[0][0], [text for number, text in others if text and number < lines[0][0]]
    texts = [text for _, text in lines]
    delimiter = excel[1] if excel else _delimiter(texts)
    rows = [_cells(text.strip() if delimiter == " " else text, delimiter) for text in texts]
    heading = rows[0]
    if len(heading) == 1 and not comments:
        raise StudyError(f"{path} has one column, {heading[0][:60]!r}; cells must be separated by commas, semicolons, "
                         "tabs or vertical bars")  # fmt: skip
    commented = _cells(comments[-1].lstrip("# "), delimiter) if comments else []
    if len(commented) == len(heading) and all(_is_number(cell) for cell in heading) and not _is_number(commented[0]):
        heading = commented
    elif all(_is_number(cell) for cell in heading if cell) and any(heading):
        raise StudyError(f"{path} has no heading: its first row is {texts[0][:60]!r}, and columns need names")
    else:
        skipped, rows = [*skipped, first_number], rows[1:]
    if not rows:
        raise StudyError(f"{path} has a heading and no rows")
    _check_headings(rows, [number + 1 for number, _ in lines[-len(rows) :]], path)
    if {len(row) for row in rows} == {len(heading) + 1}:
        heading = ["", *heading] if any(row[-1] for row in rows) else [*heading, ""]
    decimal = _decimal(rows)
    notes = [f"read as {NAMES_OF_ENCODINGS[encoding]} with {NAMES_OF_DELIMITERS[delimiter]} between cells and decimal "
             f"{'comma' if decimal == ',' else 'point'}s"]  # fmt: skip
    return _Layout(encoding, delimiter, decimal, _column_names(heading, notes), skipped, n_lines, notes)


def _check_headings(rows: Sequence[Sequence[str]], numbers: Sequence[int], path: Path) -> None:
    """Raise where one of the first rows is no run: words that no later row has, in columns of numbers."""
    for number, row in zip(numbers[:3], rows[:3], strict=False):
        later = [dict(enumerate(r)) for r in rows[3:]]
        words = [(j, cell) for j, cell in enumerate(row) if cell not in MISSING]
        if (
            len(later) < 2
            or not words
            or any(_is_number(cell) or cell in {r.get(j) for r in later} for j, cell in words)
        ):
            continue
        if any(all(_is_number(r.get(j, "")) for r in later) for j, _ in words):
            raise StudyError(f"{path}: row {number} ({', '.join(cell for _, cell in words)[:60]}) looks like a second "
                             "heading; write one heading, in pandas by df.columns = ['_'.join(map(str, c)) for c in "
                             "df.columns] and df.reset_index()")  # fmt: skip


Lines = list[tuple[int, str]]


def _scan(file: BinaryIO, path: Path) -> tuple[str, Lines, Lines, int]:
    """The encoding, the first lines with rows, all lines without, and the number of lines."""
    start = file.read(4096)
    other = next((words for begin, words in OTHER_KINDS.items() if start.lstrip(b"\xef\xbb\xbf").startswith(begin)), "")
    if other:
        raise StudyError(f"{path} {other}")
    if start.startswith((b"\xff\xfe\0\0", b"\0\0\xfe\xff")):
        candidates: tuple[str, ...] = ("utf-32",)
    elif start.startswith((b"\xff\xfe", b"\xfe\xff")):
        candidates = ("utf-16",)
    elif b"\0" in start:
        raise StudyError(f"{path} is not text in UTF-8, or UTF-16 with a byte order mark; save it as UTF-8")
    else:
        candidates = ("utf-8-sig", "cp1252")
    for encoding in candidates:
        file.seek(0)
        sampled: Lines = []
        others: Lines = []
        number = -1
        try:
            for number, raw in enumerate(_decoded(file, encoding)):
                text = raw.strip()
                if not text or text.startswith("#"):
                    others.append((number, text))
                elif len(sampled) < SAMPLED_LINES:
                    sampled.append((number, raw.rstrip("\r\n")))
        except UnicodeDecodeError:
            continue
        return encoding, sampled, others, number + 1
    raise StudyError(f"{path}: row {_undecoded_row(file)} is neither UTF-8, UTF-16 nor Windows-1252; save it as UTF-8")


def _undecoded_row(file: BinaryIO) -> int:
    """The first row that cannot be decoded; a reader decodes many rows at once and cannot say."""
    file.seek(0)
    for number, line in enumerate(file, 1):
        try:
            line.decode("cp1252")
        except UnicodeDecodeError:
            return number
    return 1


def _decoded(file: BinaryIO, encoding: str) -> Iterable[str]:
    wrapper = io.TextIOWrapper(file, encoding=encoding, newline=None)
    try:
        yield from wrapper
    finally:
        wrapper.detach()


def _cells(line: str, delimiter: str) -> list[str]:
    return [cell.strip() for cell in next(csv.reader([line], delimiter=delimiter, skipinitialspace=True), [])]


def _delimiter(lines: Sequence[str]) -> str:
    """The delimiter with which most lines have as many cells as the heading (or one more); then the most cells."""

    def quality(delimiter: str) -> tuple[float, int]:
        lengths = [len(_cells(line, delimiter)) for line in lines]
        if lengths[0] == 1:
            return 0.0, 1
        alike = sum(length in (lengths[0], lengths[0] + 1) for length in lengths[1:])
        return (alike + 1) / len(lengths), lengths[0]

    best = max(DELIMITERS, key=quality)
    by_spaces = [len(_cells(line.strip(), " ")) for line in lines]
    if quality(best)[1] == 1 and by_spaces[0] > 2 and set(by_spaces[1:]) <= {by_spaces[0], by_spaces[0] + 1}:
        return " "  # as R writes tables
    return best


def _is_number(cell: str) -> bool:
    return bool(re.fullmatch(NUMBER, cell))


def _decimal(rows: Iterable[Sequence[str]]) -> str:
    """A comma, where cells have one between digits and none has a point."""
    cells = [cell for row in rows for cell in row]
    commas = any(re.fullmatch(r"[+-]?\d+,\d+(?:[eE][+-]?\d+)?(?:\s*(?:[A-Za-z]+|%))?", cell) for cell in cells)
    points = any(re.fullmatch(r"[+-]?\d*\.\d+(?:[eE][+-]?\d+)?", cell) for cell in cells)
    return "," if commas and not points else "."


def _column_names(heading: Sequence[str], notes: list[str]) -> list[str]:
    """Names for all columns, each once; what was made up is noted."""
    names: list[str] = []
    for number, given in enumerate(heading, 1):
        name = given or f"column {number}"
        if not given:
            notes.append(f"column {number} has no name and is called {name!r}")
        again = 1
        while name in names:
            again += 1
            name = f"{given or 'column'} ({again})"
        if again > 1:
            notes.append(f"two columns are called {given!r}; the later one is read as {name!r}")
        names.append(name)
    return names


def _parse(file: BinaryIO, layout: _Layout, path: Path) -> pd.DataFrame:
    separator = r"\s+" if layout.delimiter == " " else layout.delimiter
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)  # cells that have no column would be lost
            return pd.read_csv(
                file, sep=separator, decimal=layout.decimal, encoding=layout.encoding, header=None,
                names=range(len(layout.names)), index_col=False, skiprows=layout.skipped, skip_blank_lines=True,
                skipinitialspace=True, na_values=list(MISSING), keep_default_na=False, low_memory=False,
                on_bad_lines="error",
            )  # fmt: skip
    except pd.errors.EmptyDataError:
        raise StudyError(f"{path} has a heading and no rows") from None
    except (pd.errors.ParserError, pd.errors.ParserWarning, ValueError) as error:
        reason = re.sub(r"^Error tokenizing data\. C error: ", "", str(error)).strip()
        if isinstance(error, pd.errors.ParserWarning):
            reason = _too_many_cells(file, layout)
        elif opened := re.fullmatch(r"EOF inside string starting at row (\d+)", reason):
            reason = f"the quotation mark that row {int(opened[1]) + 1} opens is never closed"
        raise StudyError(f"{path} cannot be read as a table: {in_one_line(reason)}") from None


def _with_points(column: pd.Series) -> pd.Series:
    """A column in which pandas left numbers with decimal commas as texts, because other texts are among them."""
    if column.dtype != object or column.astype(str).str.contains(r"\d,\d+,").any():
        return column
    replaced = column.str.replace(r"^\s*([+-]?\d+),(\d+(?:[eE][+-]?\d+)?)\s*$", r"\1.\2", regex=True)
    return replaced.where(replaced.notna(), column)


def _too_many_cells(file: BinaryIO, layout: _Layout) -> str:
    """Say which row has a cell without a column."""
    file.seek(0)
    most, skipped = len(layout.names), set(layout.skipped)
    rows = [
        (number + 1, len(cells))
        for number, line in enumerate(_decoded(file, layout.encoding))
        if number not in skipped and any((cells := _cells(line.strip("\r\n"), layout.delimiter))[most:])
    ]
    if not rows:  # such as one whose cells hold line ends
        return f"some rows have more cells than the {most} columns"
    return f"row {rows[0][0]} has {rows[0][1]} cells, more than the {most} columns"


# --- cells ---------------------------------------------------------------------------------------------------------


def table_of_frame(runs: pd.DataFrame, source: str = "the table", *, notes: Sequence[str] = ()) -> RunTable:
    """Make a table of runs of a DataFrame: numbers that were written as text are read, nested texts are flattened."""
    runs = runs.copy(deep=False)
    runs.columns = pd.Index([in_one_line(str(name)) for name in runs.columns])
    if runs.columns.has_duplicates:
        name = runs.columns[runs.columns.duplicated()][0]
        raise StudyError(f"{source}: two columns are called {name!r}; give each a name of its own")
    if runs.index.name != "row":
        runs = runs.set_axis(pd.RangeIndex(2, len(runs) + 2, name="row"))
    added: dict[str, list[Any]] = {}
    units: dict[str, str] = {}
    found = list(notes)
    for name in list(runs.columns):
        column = runs[name]
        if isinstance(column.dtype, pd.CategoricalDtype):
            column = column.astype(object)
        elif pd.api.types.is_timedelta64_dtype(column):
            column, units[name] = column.dt.total_seconds(), "s"
        if column.dtype == object:
            column = column.map(_plain_cell)
        if column.dtype == object or pd.api.types.is_string_dtype(column):
            column, unit = read_texts(column)
            if unit:
                units[name] = unit
                found.append(f"{name}: {'percent signs were cut off' if unit == '%' else 'times are in seconds'}")
            added |= flatten_column(column, name, list(runs.columns))
        runs[name] = column
    if added:
        runs = runs.join(pd.DataFrame(added, index=runs.index))
        found.append(f"read from texts: {', '.join(added)}")
    roles = {key.partition(".")[0]: "derived from others" for key in added}
    return RunTable(runs, source, notes=tuple(found), units=units, known_roles=roles)


def _plain_cell(value: Any) -> Any:
    """A list, dict or decimal number of Parquet or a DataFrame as text or a number; anything else as it is."""
    if isinstance(value, np.ndarray):
        value = value.tolist()
    return (
        float(value)
        if isinstance(value, Decimal)
        else str(value)
        if isinstance(value, (list, dict, set, tuple))
        else value
    )


def read_texts(column: pd.Series) -> tuple[pd.Series, str]:
    """A column of texts as numbers where all cells are, and the unit that was cut off (`s` for any time)."""
    codes, different = pd.factorize(column)
    values, unit = _read_different(pd.Series(different, dtype=object))
    return values.reindex(codes).set_axis(column.index), unit  # code -1, an empty cell, is in no index


def _read_different(values: pd.Series) -> tuple[pd.Series, str]:
    text = values.map(lambda value: value.strip() if isinstance(value, str) else value)
    text = text.mask(text.isin(MISSING))
    filled = text.dropna()
    if filled.empty or not filled.map(lambda value: isinstance(value, (str, int, float))).all():
        return text, ""
    if filled.isin(["True", "False", "true", "false"]).all():
        return text.map({"True": True, "true": True, "False": False, "false": False}), ""
    numbers = pd.to_numeric(filled, errors="coerce")
    if numbers.notna().all():
        return numbers.reindex(text.index), ""
    with_units, unit = _with_units(filled)
    return (with_units.reindex(text.index), unit) if with_units is not None else (text, "")


def _with_units(filled: pd.Series) -> tuple[pd.Series | None, str]:
    matches = [WITH_UNIT.fullmatch(str(value)) for value in filled.unique()]
    found = {m[0]: (float(m[1].replace(",", ".")), m[2]) for m in matches if m}
    units = {unit for _, unit in found.values()}
    if not all(matches) or not (units == {"%"} or units <= set(SECONDS)):
        return None, ""
    factor = {unit: SECONDS.get(unit, 1.0) for unit in units}
    values = {text: number * factor[unit] for text, (number, unit) in found.items()}
    return filled.map(lambda value: values[str(value)]).astype(float), "%" if units == {"%"} else "s"


def flatten_column(column: pd.Series, name: str, taken: Sequence[str]) -> dict[str, list[Any]]:
    """The settings that each cell of a column writes as one text, by name; empty where any cell is another text."""
    texts = column.dropna()
    if texts.empty or not isinstance(texts.iloc[0], str) or flatten_text(texts.iloc[0], name) is None:
        return {}
    read = {text: flatten_text(text, name) if isinstance(text, str) else None for text in texts.unique()}
    if any(flat is None for flat in read.values()):
        return {}
    keys = list(dict.fromkeys(key for flat in read.values() for key in flat or ()))
    if any(key in taken or f"param_{key.partition('.')[2]}" in taken for key in keys):
        return {}
    return {key: [(read.get(cell) or {}).get(key) for cell in column] for key in keys}


# --- Parquet -------------------------------------------------------------------------------------------------------


def read_parquet(path: Path) -> RunTable:
    """Read a Parquet file, for which pyarrow must be installed."""
    try:
        import pyarrow as pa  # type: ignore[import-untyped]
        from pyarrow import parquet
    except ImportError:
        raise StudyError("Parquet files need pyarrow: pip install pyarrow") from None
    with open_regular(path) as file:
        try:
            runs = parquet.read_table(file).to_pandas()
        except (pa.ArrowException, OSError, ValueError) as error:
            raise StudyError(f"{path} cannot be read as Parquet: {in_one_line(str(error))[:200]}") from None
    if runs.empty:
        raise StudyError(f"{path} holds no rows")
    names = [name for name in runs.index.names if name is not None]
    return table_of_frame(runs.reset_index(level=names) if names else runs, source=str(path))
