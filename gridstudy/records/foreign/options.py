"""What a user says of somebody's results: options of the command line, or a `[results]` table of a study file."""

from __future__ import annotations

import csv
import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from gridstudy.core.errors import StudyError


@dataclass(frozen=True)
class ResultOptions:
    """Roles of the columns, and how the objective is read.

    `objective`: the first of these columns that a run has, or one pattern such as `split*_test_score`, each column of
    which is a replicate. `where`: `COLUMN=VALUE` or `COLUMN!=VALUE`, all of which must hold; `none` is an empty cell.
    `unit`: `fraction`, `percent`, or any text; `margin` is in percentage points for the first two.
    """

    objective: tuple[str, ...] = ()
    hyperparameters: tuple[str, ...] = ()
    seed: str | None = None
    block: str | None = None
    start: str | None = None
    by: str | None = None
    epoch: str | None = None
    at: str | int = "last"
    cost: str | None = None
    ignore: tuple[str, ...] = ()
    where: tuple[str, ...] = ()
    unit: str | None = None
    minimise: bool = False
    folds: int | None = None
    margin: float | None = None


LISTS = ("objective", "hyperparameters", "ignore", "where")
NAMES = ("seed", "block", "start", "by", "epoch", "cost", "unit")
SOURCE_KEYS = ("file", "from")
"""Keys of a `[results]` table that say where the results are, not what they mean."""


def parse_results_table(table: Mapping[str, Any]) -> ResultOptions:
    """Read the `[results]` table of a study file; its keys are the options' names."""
    known = [f.name for f in fields(ResultOptions)]
    for key in table:
        if key not in (*known, *SOURCE_KEYS):
            raise StudyError(f"unknown key {key!r} in [results]{near(key, known)}; choose from {', '.join(known)}")
    return ResultOptions(**{key: _check(key, value) for key, value in table.items() if key in known})


def _check(key: str, value: Any) -> Any:
    if key in LISTS:
        return parse_names(value, key=key)
    if key in NAMES:
        return _typed(key, value, str, "a text")
    if key == "minimise":
        return _typed(key, value, bool, "true or false")
    if key == "folds":
        return check_folds(value)
    if key == "margin":
        return check_margin(value)
    return parse_at(value)


def _typed(key: str, value: Any, kind: type, rule: str) -> Any:
    if not isinstance(value, kind):
        raise StudyError(f"{key} must be {rule}; got {value!r}")
    return value


def parse_names(value: str | Sequence[str], *, key: str) -> tuple[str, ...]:
    """Read `A,B`, a name with a comma in quotes, or a list of names; raise StudyError for anything else."""
    names = next(csv.reader([value], skipinitialspace=True), []) or [""] if isinstance(value, str) else value
    if not isinstance(names, (list, tuple)) or not all(isinstance(name, str) and name.strip() for name in names):
        raise StudyError(f"{key} must be column names, separated by commas or as a list; got {value!r}")
    return tuple(name.strip() for name in names)


def quote_name(name: str) -> str:
    """A column's name as `parse_names` reads it back."""
    return '"' + name.replace('"', '""') + '"' if "," in name or name.startswith('"') else name


def parse_at(value: object) -> str | int:
    """Read `last`, `best` or the number of an epoch."""
    text = str(value).strip()
    if text in ("last", "best"):
        return text
    if isinstance(value, bool) or not text.isdecimal():
        raise StudyError(f"at must be last, best or the number of an epoch; got {value!r}")
    return int(text)


def check_folds(value: object) -> int:
    """Check a number of folds."""
    if isinstance(value, bool) or not isinstance(value, int) or not 2 <= value <= 10_000:
        raise StudyError(f"folds must be a whole number of at least 2; got {value!r}")
    return value


def check_margin(value: object) -> float:
    """Check a margin."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < float("inf"):
        raise StudyError(f"margin must be a number above 0; got {value!r}")
    return float(value)


def near(name: str, known: Iterable[str]) -> str:
    """Suggest the names most like `name`: `; did you mean 'lr'?`, or nothing."""
    by_small = {k.lower(): k for k in known}
    found = [by_small[small] for small in difflib.get_close_matches(name.lower(), by_small, n=3, cutoff=0.6)]
    return f"; did you mean {' or '.join(map(repr, found))}?" if found else ""
