"""Which experiments a command is about: names, groups, and study files."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from gridstudy.core.errors import StudyError
from gridstudy.core.experiment import Experiment
from gridstudy.core.files import read_bytes
from gridstudy.core.subject import Subject
from gridstudy.core.values import Value

OWN_ORDER = 1_000
"""Experiments of a study file come after those of the subject."""


def select_experiments(
    subject: Subject,
    names: Sequence[str] = (),
    *,
    overrides: Mapping[str, Value] | None = None,
    own: Iterable[Mapping[str, Any]] = (),
) -> tuple[Experiment, ...]:
    """The experiments that `names` (experiments or groups, the user's `own` included) stand for, each once, in order.

    Without names: the user's own, else the group `all`, else all of the subject. Raises StudyError on unknown names.
    """
    own = list(own)
    tables = {table["name"]: table for table in (*subject.experiments, *own)}
    orders = {table["name"]: number for number, table in enumerate(subject.experiments)}
    default = [table["name"] for table in own] or list(subject.groups.get("all", orders))
    chosen: dict[str, None] = {}
    for name in names or default:
        if name not in tables and name not in subject.groups:
            raise StudyError(
                f"unknown experiment or group {name!r}; choose from {', '.join([*tables, *subject.groups])}"
            )
        chosen.update(dict.fromkeys(subject.groups.get(name, (name,))))
    if not chosen:
        raise StudyError(f"the subject {subject.name!r} has no experiments; give some with --study FILE.toml")
    return tuple(subject.parse(tables[name], overrides=overrides, order=orders.get(name, OWN_ORDER)) for name in chosen)


def read_study_file(path: Path, subject: Subject) -> list[Mapping[str, Any]]:
    """The experiment tables of a user's study file; StudyError names the file and what is wrong with it."""
    try:
        content = tomllib.loads(read_bytes(path).decode("utf-8-sig"))  # Windows' editors may mark the encoding
    except OSError as error:
        raise StudyError(f"cannot read the study file {path}: {error.strerror or error}") from None
    except (ValueError, RecursionError) as error:  # not UTF-8, not TOML, a number of 5,000 digits, 1,000 brackets
        raise StudyError(f"the study file {path} is not valid TOML: {error}") from None
    tables: list[Mapping[str, Any]] = content.pop("experiment", None)
    if content or not isinstance(tables, list) or not tables or not all(isinstance(table, dict) for table in tables):
        raise StudyError(f"the study file {path} must hold [[experiment]] tables and nothing else")
    known = {name.lower() for name in (*(table["name"] for table in subject.experiments), *subject.groups)}
    for table in tables:
        experiment = subject.parse(table)
        if experiment.name.lower() in known:  # on many disks "Epochs" and "epochs" are one file
            raise StudyError(
                f"the study file {path} names an experiment {experiment.name!r}, which is built in; rename it"
            )
    if len({table["name"].lower() for table in tables}) < len(tables):
        raise StudyError(f"the study file {path} gives two experiments one name")
    return tables
