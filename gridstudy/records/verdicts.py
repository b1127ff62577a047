"""Verdicts that were reached, kept in the log directory so that later looks do not change them.

LOGDIR/verdicts.toml                   an array of tables, one per experiment and margin
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gridstudy.records.toml import Fields, read_toml, write_toml

VERDICTS_FILE = "verdicts.toml"
CANNOT_TELL = "cannot tell"
"""The verdict on a hypothesis that is not decided yet."""


def verdict_word(verdict: str) -> str:
    """A verdict as a reader is told it; in the files an undecided one is `cannot tell`."""
    return "undecided" if verdict == CANNOT_TELL else verdict


def read_verdicts(logdir: Path) -> list[dict[str, Any]]:
    """The stored verdicts as tables, none where there is no file; raises RecordError where it cannot be read."""
    path = logdir / VERDICTS_FILE
    if not os.path.lexists(path):
        return []
    content = Fields(read_toml(path), what="the file")
    tables = content.array("verdict")
    content.end()
    return [Fields(table, what="verdict").whole_table() for table in tables]


def write_verdicts(logdir: Path, tables: Sequence[Mapping[str, Any]]) -> None:
    """Store verdicts, unless these are stored already; raises OSError where the log directory cannot be written."""
    kept = [dict(table) for table in tables]
    if kept != read_verdicts(logdir):
        write_toml(logdir / VERDICTS_FILE, {"verdict": kept})
