"""Experiments: a question with its hypothesis, fixed before the run, and its grid."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from gridstudy.core.errors import StudyError
from gridstudy.core.space import Configuration, SearchSpace
from gridstudy.core.values import RESERVED, Value, check_names, check_readable, format_value, format_values, show

MOST_CONFIGURATIONS = 10_000
MOST_EPOCHS = 1_000_000
EXPERIMENT_KEYS = (
    "name", "question", "hypothesis", "scientific", "nuisance", "contrasts", "curve_epochs", "treatment_budgets",
    "fixed", "grid", "configurations", "arms",
)  # fmt: skip

Assignment = Mapping[str, Value]
Relation = Literal["order", "alike"]


@dataclass(frozen=True)
class Contrast:
    """A claim about two arms: `first` has the better objective (`order`), or both are `alike` within the margin.

    Each side assigns some hyperparameters. Where several configurations match, they may differ in nuisance
    hyperparameters only, and the best of them stands for the side.
    """

    relation: Relation
    first: Assignment
    second: Assignment

    def __str__(self) -> str:
        sign = ">" if self.relation == "order" else "="
        return f"{format_values(self.first)} {sign} {format_values(self.second)}"


@dataclass(frozen=True)
class Experiment:
    """One question of the study with its hypothesis, fixed before the run, and its grid.

    `scientific` names the hyperparameters that the question is about, `nuisance` those that are tuned so that the
    comparison is fair; all others are fixed or tied to these. `curve_epochs`, where given, are the epochs at which
    the learning curves are read as a further scientific axis. `treatment_budgets` are the budgets whose difference is
    the treatment itself. `arms` gives configurations names of their own, by the configuration's name. `family` lists
    the experiments whose hypotheses are corrected together with this one, whether they were run or not; where it is
    empty, the experiment belongs with all others that have none. `order` is its place among the experiments.
    """

    name: str
    question: str
    hypothesis: str
    configurations: tuple[Configuration, ...]
    scientific: tuple[str, ...]
    nuisance: tuple[str, ...] = ()
    contrasts: tuple[Contrast, ...] = ()
    curve_epochs: tuple[int, ...] = ()
    treatment_budgets: tuple[str, ...] = ()
    overrides: Mapping[str, Value] = field(default_factory=dict)
    arms: Mapping[str, str] = field(default_factory=dict)
    family: tuple[str, ...] = ()
    order: int = 1_000

    @property
    def hyperparameters(self) -> tuple[str, ...]:
        """The names of all hyperparameters, in the space's order."""
        return tuple(self.configurations[0]) if self.configurations else ()

    @property
    def varied(self) -> tuple[str, ...]:
        """Hyperparameters that take more than one value in the grid."""
        return tuple(n for n in self.hyperparameters if len({c[n] for c in self.configurations}) > 1)

    @property
    def fixed(self) -> dict[str, Value]:
        """Hyperparameters that take one value in the whole grid: the caveat of the conclusion."""
        varied = self.varied
        return {n: self.configurations[0][n] for n in self.hyperparameters if n not in varied}

    @property
    def tensorboard_filter(self) -> str:
        """A regular expression that shows this experiment's runs in TensorBoard."""
        return "^(" + "|".join(re.escape(c.name) for c in self.configurations) + ")/"

    def matching(self, assignment: Assignment) -> tuple[Configuration, ...]:
        """The configurations of the grid that agree with `assignment`."""
        return tuple(c for c in self.configurations if all(c[n] == v for n, v in assignment.items()))


Configure = Callable[[Mapping[str, object]], Configuration]


def parse_experiment(
    table: Mapping[str, Any],
    *,
    space: SearchSpace,
    configure: Configure,
    overrides: Mapping[str, Value] | None = None,
    families: Iterable[tuple[str, ...]] = (),
    order: int = 1_000,
) -> Experiment:
    """Read an experiment from a table as in a study file; `overrides` replace its fixed hyperparameters.

    The grid is given once: `grid`, hyperparameter -> values, is the product; `configurations` is a list of tables.
    Raises StudyError naming the experiment and the key at fault.
    """
    name = check_experiment_name(table.get("name"))
    try:
        experiment = _parse_experiment(table, space, configure, dict(overrides or {}))
    except StudyError as error:
        raise StudyError(f"experiment {name!r}: {error}") from None
    family = next((f for f in families if experiment.name in f), ())
    return Experiment(**{**vars(experiment), "family": family, "order": order})


def check_experiment_name(name: object) -> str:
    """Return the name of an experiment; raise StudyError where no file could have it, or no table."""
    if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]{0,59}", name):
        raise StudyError(
            f"an experiment's name has 1 to 60 letters, digits, _ and -, and begins with a letter; got {show(name)}"
        )
    if name.lower() in RESERVED:
        raise StudyError(
            f"an experiment's name becomes a file name, and Windows keeps {name!r} for a device; rename it"
        )
    check_readable(name, what="an experiment's name")
    return name


def _parse_experiment(
    table: Mapping[str, Any], space: SearchSpace, configure: Configure, overrides: dict[str, Value]
) -> Experiment:
    check_names(table, EXPERIMENT_KEYS, what="key of an experiment")
    check_names(overrides, space.names, what="hyperparameter")
    fixed = _typed(table, "fixed", dict, {})
    rows = _grid_rows(table)
    _check_collisions(table, space)
    check_overrides(overrides, rows)
    built = [configure({**fixed, **overrides, **row}) for row in rows]
    labels = _typed(table, "arms", list, [])
    if labels and (len(labels) != len(built) or not all(isinstance(text, str) and text for text in labels)):
        raise StudyError(f"arms must give each of the {len(built)} configurations a name; got {show(labels)}")
    experiment = Experiment(
        name=table["name"] + _override_suffix(overrides, space),
        question=_typed(table, "question", str, ""),
        hypothesis=_typed(table, "hypothesis", str, ""),
        configurations=tuple(dict.fromkeys(built)),
        scientific=_names(table, "scientific", space),
        nuisance=_names(table, "nuisance", space),
        contrasts=tuple(parse_contrast(c, space) for c in _typed(table, "contrasts", list, [])),
        curve_epochs=tuple(_check_epoch(e) for e in _typed(table, "curve_epochs", list, [])),
        treatment_budgets=tuple(_typed(table, "treatment_budgets", list, [])),
        overrides=overrides,
        arms={c.name: text for c, text in zip(built, labels, strict=False)},
    )
    _check_roles(experiment)
    return experiment


def _typed(table: Mapping[str, Any], key: str, kind: type, default: Any) -> Any:
    value = table.get(key, default)
    if kind is list and isinstance(value, tuple):
        value = list(value)
    if not isinstance(value, kind):
        kinds: dict[type, str] = {str: "a string", list: "an array", dict: "a table"}
        raise StudyError(f"{key} must be {kinds[kind]}; got {show(value)}")
    return value


def _names(table: Mapping[str, Any], key: str, space: SearchSpace) -> tuple[str, ...]:
    names = _typed(table, key, list, [])
    for name in names:
        if name not in space.names:
            raise StudyError(
                f"{key} names the unknown hyperparameter {show(name)}; choose from {', '.join(space.names)}"
            )
    return tuple(names)


def _check_epoch(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MOST_EPOCHS:
        raise StudyError(f"curve_epochs must be whole numbers from 1 to {MOST_EPOCHS:,}; got {show(value)}")
    return value


def _grid_rows(table: Mapping[str, Any]) -> list[dict[str, Any]]:
    if ("grid" in table) == ("configurations" in table):
        raise StudyError("give either grid (a table of arrays) or configurations (an array of tables)")
    if "grid" in table:
        grid = _typed(table, "grid", dict, {})
        if not grid or not all(isinstance(values, list | tuple) and values for values in grid.values()):
            raise StudyError(f"grid must give each hyperparameter a non-empty array of values; got {show(grid)}")
        if (n := math.prod(map(len, grid.values()))) > MOST_CONFIGURATIONS:
            raise StudyError(f"a grid has at most {MOST_CONFIGURATIONS:,} configurations; this one has {n:,}")
        return [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]
    rows: list[dict[str, Any]] = _typed(table, "configurations", list, [])
    if not rows or not all(isinstance(row, dict) for row in rows):
        raise StudyError(f"configurations must be a non-empty array of tables; got {show(rows)}")
    return rows


def _check_collisions(table: Mapping[str, Any], space: SearchSpace) -> None:
    """Refuse two values of one axis that become one in the form that numbers are kept in."""
    for name, values in dict(table.get("grid") or {}).items():
        if name not in space.names:
            continue
        seen: dict[Value, Any] = {}
        kept_values = [space[name].check(value) for value in values]  # refuses what cannot be hashed
        for value, kept in dict(zip(values, kept_values, strict=True)).items():
            if kept in seen:
                raise StudyError(
                    f"{name} has two values that agree to ten significant digits, {show(seen[kept])} and "
                    f"{show(value)}; leave one of them out"
                )
            seen[kept] = value


def check_overrides(overrides: Mapping[str, Value], rows: Iterable[Mapping[str, Any]]) -> None:
    """Refuse to override a hyperparameter that the grid itself sets."""
    for name in overrides:
        if any(name in row for row in rows):
            raise StudyError(
                f"{name} is set by the grid, so it cannot be overridden; leave it out or write a study file"
            )


def _override_suffix(overrides: Mapping[str, Value], space: SearchSpace) -> str:
    inner = ",".join(f"{name}={format_value(overrides[name])}" for name in space.names if name in overrides)
    return f"[{inner}]" if inner else ""


def parse_contrast(table: Any, space: SearchSpace) -> Contrast:
    """Read `{better = {...}, worse = {...}}` or `{alike = [{...}, {...}]}`; raise StudyError for anything else."""
    if isinstance(table, dict) and set(table) == {"better", "worse"}:
        return Contrast("order", *(_assignment(table[side], space) for side in ("better", "worse")))
    if isinstance(table, dict) and set(table) == {"alike"} and isinstance(table["alike"], list | tuple):
        sides = [_assignment(side, space) for side in table["alike"]]
        if len(sides) == 2:
            return Contrast("alike", *sides)
    raise StudyError(f"a contrast is a table with better and worse, or with alike and two tables; got {show(table)}")


def _assignment(side: object, space: SearchSpace) -> dict[str, Value]:
    if not isinstance(side, dict):
        raise StudyError(f"a side of a contrast is a table of hyperparameters; got {show(side)}")
    check_names(side, space.names, what="hyperparameter")
    return {name: space[name].check(value) for name, value in side.items()}


def _check_roles(experiment: Experiment) -> None:
    both = set(experiment.scientific) & set(experiment.nuisance)
    if both:
        raise StudyError(f"{sorted(both)[0]} cannot be both scientific and nuisance")
    for contrast in experiment.contrasts:
        arms = [experiment.matching(assignment) for assignment in (contrast.first, contrast.second)]
        for arm, assignment in zip(arms, (contrast.first, contrast.second), strict=True):
            if not arm:
                raise StudyError(f"the contrast names {format_values(assignment)}, which no configuration has")
            if len({tuple(c[n] for n in experiment.scientific) for c in arm}) > 1:
                raise StudyError(
                    f"the contrast's side {format_values(assignment)} must single out one value of each scientific "
                    f"hyperparameter; it matches {len(arm)} configurations"
                )
        if set(arms[0]) & set(arms[1]):
            raise StudyError(f"the contrast {contrast} compares a configuration with itself")
