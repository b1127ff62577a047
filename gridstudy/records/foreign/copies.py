"""Databases of others, read from a copy, so that nothing is locked, migrated or created beside them."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from gridstudy.core.errors import StudyError
from gridstudy.records.foreign.delimited import open_regular
from gridstudy.records.foreign.table import in_one_line

COMPANIONS = ("-wal", "-journal")
"""What SQLite keeps beside a database: changes that are not in it yet. `-shm` is made anew."""
SQLITE = b"SQLite format 3\0"


@contextmanager
def copied(path: Path) -> Iterator[Path]:
    """Copy a file and what SQLite keeps beside it to a temporary folder, for as long as the block runs."""
    with tempfile.TemporaryDirectory(prefix="gridstudy-") as folder:
        copy = Path(folder) / path.name
        for suffix in ("", *COMPANIONS):
            source = path.with_name(path.name + suffix)
            if suffix and (not source.is_file() or not source.stat().st_size):
                continue
            with open_regular(source) as original, copy.with_name(copy.name + suffix).open("wb") as file:
                shutil.copyfileobj(original, file, 1 << 20)
        yield copy


def is_sqlite(path: Path) -> bool:
    """Whether a file is an SQLite database, by its first bytes."""
    with open_regular(path) as file:
        return file.read(len(SQLITE)) == SQLITE


@contextmanager
def open_copy(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a copy of an SQLite database; raise StudyError where it is none or damaged."""
    if not is_sqlite(path):
        raise StudyError(f"{path} is not a SQLite database")
    with copied(path) as copy:
        try:
            with closing(sqlite3.connect(copy)) as connection:
                connection.text_factory = lambda content: content.decode("utf-8", "replace")
                (answer,) = connection.execute("PRAGMA quick_check(1)").fetchone()
                if answer != "ok":
                    raise StudyError(f"{path} is damaged: {in_one_line(answer)}")
                yield connection
        except sqlite3.Error as error:
            raise StudyError(f"{path} cannot be read: {in_one_line(str(error))[:200]}") from None
        except UnicodeDecodeError:  # the text of an error may quote what is damaged
            raise StudyError(f"{path} is damaged: a text in it is not UTF-8") from None
