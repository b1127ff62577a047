"""What arms are called: by the values that an experiment asks about."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from gridstudy.core.experiment import Assignment, Experiment
from gridstudy.core.space import Configuration, Hyperparameter
from gridstudy.core.subject import Description
from gridstudy.core.values import Value

Point = Mapping[str, Value]
BASELINE = "baseline"


def arm_labels(experiment: Experiment, description: Description) -> dict[str, str]:
    """Configuration name -> `1e-3`, `256 x 128`, `SGD, momentum 0.9`; unique within the experiment.

    The names that the experiment gives come first, and the reference configuration is marked `(baseline)`.
    """
    configurations = experiment.configurations
    labels = value_labels(configurations, _named_axes(experiment), description)
    found = {
        c.name: experiment.arms.get(c.name) or _mark_baseline(c, label)
        for c, label in zip(configurations, labels, strict=True)
    }
    times = Counter(found.values())
    return {name: label if times[label] == 1 else f"{label} ({name})" for name, label in found.items()}


def _mark_baseline(configuration: Configuration, label: str) -> str:
    if configuration.settings:
        return label
    return f"{label} ({BASELINE})" if label else BASELINE


def _named_axes(experiment: Experiment) -> list[str]:
    """The hyperparameters that tell the arms apart: those asked about, and others only where these do not."""
    roles = [*experiment.scientific, *experiment.nuisance]
    if not experiment.varied:
        return [name for c in experiment.configurations for name in c.settings]
    rest = [name for name in experiment.varied if name not in roles]
    axes = [name for name in roles if name in experiment.varied]
    while rest and len({tuple(c[n] for n in axes) for c in experiment.configurations}) < len(experiment.configurations):
        axes.append(rest.pop(0))
    return axes


def value_labels(points: Sequence[Point], axes: Sequence[str], description: Description) -> list[str]:
    """Call each point by its values on the axes.

    One axis needs no name; axes of like kind, whose names differ in a number only, are joined by " x ". With several
    kinds a text stands alone, a number follows its name, and a default that the values before leave no choice about is
    left out.
    """
    kinds = _kinds(axes, description)
    return [
        ", ".join(
            _words(point, kind, description, named=len(kinds) > 1)
            for i, kind in enumerate(kinds)
            if not _goes_without_saying(point, kind, points, kinds[:i], description)
        )
        for point in points
    ]


def configuration_labels(configurations: Iterable[Configuration], description: Description) -> dict[str, str]:
    """Configuration name -> its settings in words, wherever there is no experiment around it."""
    return {c.name: ", ".join(_setting(description, *item) for item in c.settings.items()) or BASELINE
            for c in configurations}  # fmt: skip


def _setting(description: Description, name: str, value: Value) -> str:
    axis = _axis(description, name)
    return f"{axis.title} {axis.format(value)}"


def side_label(experiment: Experiment, side: Assignment, labels: Mapping[str, str], description: Description) -> str:
    """One side of a contrast: the arm's label, or the values that several configurations share."""
    matching = experiment.matching(side)
    if len(matching) == 1:
        return labels[matching[0].name]
    axes = [name for name in experiment.scientific if name in experiment.varied]
    points = [*experiment.configurations, matching[0]]
    return value_labels(points, axes, description)[-1]


def _axis(description: Description, name: str) -> Hyperparameter:
    try:
        return description[name]
    except KeyError:
        return Hyperparameter(name, 0.0)


def _kinds(axes: Sequence[str], description: Description) -> list[list[str]]:
    kinds: dict[tuple[str, str], list[str]] = {}
    for name in axes:
        axis = _axis(description, name)
        stem = re.sub(r"\d+", "", name) if axis.is_numeric else name
        kinds.setdefault((stem, axis.scale), []).append(name)
    return list(kinds.values())


def _words(point: Point, kind: Sequence[str], description: Description, *, named: bool) -> str:
    values = " x ".join(_axis(description, name).format(point[name]) for name in kind)
    if not named or len(kind) > 1 or isinstance(point[kind[0]], str):
        return values
    return f"{_axis(description, kind[0]).title} {values}"


def _goes_without_saying(
    point: Point,
    kind: Sequence[str],
    points: Sequence[Point],
    before: Sequence[Sequence[str]],
    description: Description,
) -> bool:
    if not before or any(point[name] != _axis(description, name).reference for name in kind):
        return False
    earlier = [name for names in before for name in names]
    alike = [p for p in points if all(p[n] == point[n] for n in earlier)]
    return len({tuple(p[n] for n in kind) for p in alike}) == 1
