"""Arms by value: what a configuration is called within its experiment."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from gridstudy.core.experiment import Experiment
from gridstudy.core.space import Configuration
from gridstudy.core.subject import Description
from gridstudy.core.values import Value, format_value

BASELINE = " (baseline)"


def arm_labels(experiment: Experiment, description: Description) -> dict[str, str]:
    """Configuration's name -> arm: the values asked about, as in `1e-3`, `256 x 128` and `SGD, momentum 0.9`.

    The experiment's own names come first. Labels are unique within the experiment; the reference configuration is
    marked.
    """
    configurations = experiment.configurations
    asked = [n for n in (*experiment.scientific, *experiment.nuisance) if n in experiment.varied] or experiment.varied
    labels = {c.name: experiment.arms.get(c.name) or _label(c, asked, description) for c in configurations}
    counts = Counter(labels.values())
    for c in configurations:
        if counts[labels[c.name]] > 1:
            rest = [name for name in experiment.varied if name not in asked]
            labels[c.name] = ", ".join([labels[c.name], *(_named(c, name, description) for name in rest)])
        if not c.settings and c.name not in experiment.arms and labels[c.name] != "baseline":
            labels[c.name] += BASELINE
    return labels


def label_values(values: Mapping[str, Value], description: Description) -> str:
    """An assignment as an arm is called: `256 x 128`, or `SGD, momentum 0.9`."""
    return _label(values, list(values), description)


def short_label(label: str) -> str:
    """An arm's name without the mark of the baseline, and without its description (`wide: ...`)."""
    return label.removesuffix(BASELINE).partition(": ")[0]


def tell_apart(first: str, second: str) -> tuple[str, str, str]:
    """The short names of two arms without the settings that they share, and these settings."""
    sides = [short_label(side).split(", ") for side in (first, second)]
    shared = [part for part in sides[0] if part in sides[1]]
    own = [", ".join(part for part in side if part not in shared) for side in sides]
    if not all(own):
        return ", ".join(sides[0]), ", ".join(sides[1]), ""
    return own[0], own[1], ", ".join(shared)


def _label(values: Mapping[str, Value] | Configuration, names: Sequence[str], description: Description) -> str:
    if not names:
        return "baseline"
    if len(names) > 1 and len({_kind(name, description) for name in names}) == 1 and len(names) <= 3:
        return " x ".join(_shown(values, name, description) for name in names)
    first, *others = names
    bare = len(names) == 1 or isinstance(values[first], str)
    return ", ".join(
        [_shown(values, first, description) if bare else _named(values, first, description)]
        + [_named(values, name, description) for name in others if not _is_silent(values, name, description)]
    )


def _is_silent(values: Mapping[str, Value] | Configuration, name: str, description: Description) -> bool:
    """Whether a value goes without saying: zero, as no momentum is."""
    return values[name] == 0 and not isinstance(values[name], bool) and _known(name, description)


def _kind(name: str, description: Description) -> str:
    """Axes of one kind are joined by x: those whose names differ in a number only."""
    return name.rstrip("0123456789")


def _known(name: str, description: Description) -> bool:
    return any(h.name == name for h in description.hyperparameters)


def _shown(values: Mapping[str, Value] | Configuration, name: str, description: Description) -> str:
    return description[name].format(values[name]) if _known(name, description) else format_value(values[name])


def _named(values: Mapping[str, Value] | Configuration, name: str, description: Description) -> str:
    return f"{description.title(name)} {_shown(values, name, description)}"
