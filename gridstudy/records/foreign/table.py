"""The table of runs that every reader of other programs' results returns, and what its cells say."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from numbers import Number
from typing import Any

import pandas as pd

PROBLEM_COLUMNS = ("path", "state", "reason")
NONE = "none"
"""How an empty cell of a hyperparameter is written: a value of its own."""


class DamageError(Exception):
    """A file that cannot be read; one line with the reason, the path left to the caller."""


@dataclass(frozen=True)
class ColumnRole:
    """What a column of somebody's results is proposed to be, and why."""

    name: str
    role: str
    why: str
    examples: tuple[str, ...] = ()


@dataclass(frozen=True)
class RunTable:
    """Results of another program: a row per run, or per run and epoch, under the file's own column names.

    `runs.index` says where a row is found: its number in the file (the heading is row 1, as a spreadsheet counts) or
    the run's name; `row_word` is what to call it. `known_roles` are the roles that the source itself states.
    `problems` has PROBLEM_COLUMNS: runs that were left out already. `start` and `epoch` name columns where the source
    records them. `units` are what was cut from a column's cells, `%` or `s`. `minimised` are the columns that the
    source says to minimise.
    `left_out` has the settings of the runs in the first rows of `problems`; a run in `unknown_settings` is a
    configuration of its own.
    """

    runs: pd.DataFrame
    source: str
    row_word: str = "row"
    known_roles: Mapping[str, str] = field(default_factory=dict)
    problems: pd.DataFrame = field(default_factory=lambda: problem_table(()))
    notes: tuple[str, ...] = ()
    start: str | None = None
    epoch: str | None = None
    units: Mapping[str, str] = field(default_factory=dict)
    minimised: frozenset[str] = frozenset()
    left_out: pd.DataFrame | None = None
    unknown_settings: frozenset[str] = frozenset()
    is_log_folder: bool = False
    adaptive_sampler: bool = False


def problem_table(rows: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """Make a table with PROBLEM_COLUMNS."""
    return pd.DataFrame(list(rows), columns=list(PROBLEM_COLUMNS))


def count_states(problems: pd.DataFrame) -> str:
    """Say how many runs were left out by state: `3 failed, 1 running`."""
    return ", ".join(f"{n} {state}" for state, n in problems["state"].value_counts(sort=False).items())


def parse_starts(column: pd.Series) -> pd.Series | None:
    """Starts that can be put in order, NaN or NaT where a cell is empty; None where they cannot.

    Numbers, dates and times, ISO texts and 31.12.2024; 01/02/2024 may be of January or February.
    """
    if pd.api.types.is_numeric_dtype(column) or pd.api.types.is_datetime64_any_dtype(column):
        return column
    texts = column.dropna().astype(str)
    european = bool(len(texts)) and bool(texts.str.match(r"\d{1,2}\.\d{1,2}\.\d{4}").all())
    try:
        options: dict[str, Any] = {"format": "mixed", "dayfirst": True} if european else {"format": "ISO8601"}
        return pd.to_datetime(column.astype("string"), utc=True, **options)
    except (ValueError, TypeError, OverflowError):
        return None


def is_missing(value: Any) -> bool:
    """Whether a cell is empty."""
    return value is None or value is pd.NaT or value is pd.NA or (isinstance(value, float) and math.isnan(value))


def format_cell(value: Any) -> str:
    """Write a hyperparameter's value as names and tables show it: 0.001, 64, Adam, none."""
    if is_missing(value):
        return NONE
    if isinstance(value, Number) and not isinstance(value, (bool, complex)):
        text = f"{float(value):.10g}"  # type: ignore[arg-type]
        return "0" if text == "-0" else text
    return in_one_line(str(value))


def in_one_line(text: str) -> str:
    """A text without line ends, and with what cannot be printed as an escape, for names and messages."""
    text = " ".join(text.split())
    return text if text.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def parse_scalar(text: str) -> Any:
    """Read a number, a truth value, None or quoted text; anything else is text."""
    text = text.strip()
    words = {"true": True, "false": False, "none": None, "null": None}
    if text.lower() in words:
        return words[text.lower()]
    if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
        return text[1:-1]
    if re.fullmatch(r"[+-]?\d{1,18}", text):
        return int(text)
    try:
        return float(text) if re.match(r"[+-]?[\d.]", text) and "_" not in text else text
    except ValueError:
        return text
