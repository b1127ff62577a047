"""The outcomes of two log directories, compared to the last bit."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from gridstudy.core.errors import StudyError
from gridstudy.records.tables import find_results
from gridstudy.records.toml import RecordError, read_toml
from gridstudy.records.trials import read_result


def compare_outcomes(first: Path, second: Path) -> list[str]:
    """The differences between the outcomes of two log directories, one line each; none when they are the same."""
    for logdir in (first, second):
        if not logdir.is_dir():
            raise StudyError(f"a log directory must be an existing folder; got {logdir}")
    outcomes = [dict(_outcomes(logdir)) for logdir in (first, second)]
    if not any(outcomes):
        raise StudyError(f"--compare needs complete trials; neither {first} nor {second} has any")
    lines = []
    for trial_id in sorted(set(outcomes[0]) | set(outcomes[1])):
        a, b = (of.get(trial_id) for of in outcomes)
        if a is None or b is None:
            lines.append(f"{trial_id}: only in {second if a is None else first}")
        elif differing := _differing(a, b):
            lines.append(f"{trial_id}: differs in {', '.join(differing)}")
    return lines


def _outcomes(logdir: Path) -> Iterable[tuple[str, Mapping[str, Any]]]:
    for path in find_results(logdir):
        try:
            result, _ = read_result(path)
            yield result.trial.trial_id, read_toml(path)["outcome"]
        except RecordError as error:
            raise StudyError(f"{path} {error}") from None


def _differing(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[str]:
    """The keys that differ; a hyperparameter that was added between two records of one trial is at its default."""
    known = a["configuration"].keys() & b["configuration"].keys()
    a, b = ({**of, "configuration": {name: of["configuration"][name] for name in known}} for of in (a, b))
    return [key for key in {**a, **b} if not _same(a.get(key), b.get(key))]


def _same(a: Any, b: Any) -> bool:
    """Equality to the last bit, NaN being equal to NaN."""
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(_same, a, b))
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(_same(a[key], b[key]) for key in a)
    if isinstance(a, float) and isinstance(b, float) and math.isnan(a):
        return math.isnan(b)
    return bool(a == b)
