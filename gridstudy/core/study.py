"""The words of a study as frozen values: configurations, experiments, trials and their results."""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from enum import Enum
from typing import Any

from gridstudy.core.errors import StudyError

OPTIMIZERS = ("SGD", "Adam", "AdamW", "RMSprop")
N_CLASSES = 10
GUESSING_ACCURACY = 1 / N_CLASSES
UNKNOWN = "unknown"
"""Stands for the dataset, split and protocol of trials that another program logged."""
TRAINING_VERSION = 1
"""Raised by hand when a change of the code changes the outcome of a trial."""

Value = int | float | str


class TrialState(Enum):
    """What the disk says of a trial."""

    MISSING = "missing"
    INTERRUPTED = "interrupted"
    FAILED = "failed"
    COMPLETE = "complete"


@dataclass(frozen=True)
class Bounds:
    """The numbers that a hyperparameter may take, both ends included."""

    type: type[int] | type[float]
    least: float
    most: float

    def check(self, name: str, value: object) -> int | float:
        """Return `value` as this type; an int passes for a float, a bool for neither."""
        kind = "a whole number" if self.type is int else "a number"
        rule = f"{name} must be {kind} from {self.least:g} to {self.most:g}"
        if isinstance(value, bool) or not isinstance(value, (int, float)) or (self.type is int and value != value // 1):
            raise StudyError(f"{rule}; got {value!r}")
        if not self.least <= value <= self.most:
            raise StudyError(f"{rule}; got {value!r}")
        return self.type(value)


BOUNDS: Mapping[str, Bounds] = {
    "epochs": Bounds(int, 1, 10_000),
    "train_steps": Bounds(int, 1, 1_000_000),
    "batch_size": Bounds(int, 1, 50_000),
    "units1": Bounds(int, 1, 65_536),
    "units2": Bounds(int, 1, 65_536),
    "depth": Bounds(int, 1, 16),
    "learning_rate": Bounds(float, 1e-12, 1e12),
    "momentum": Bounds(float, 0.0, 0.9999),
    "weight_decay": Bounds(float, 0.0, 1e6),
}


@dataclass(frozen=True)
class Configuration:
    """One point of the search space, every hyperparameter resolved.

    `train_steps` are updates per epoch; `depth` counts hidden layers, of which the first has `units1` and every
    further one `units2`; at depth 1 `units2` means nothing and is set to `units1`, so that equal networks are equal.
    """

    epochs: int = 5
    train_steps: int = 100
    batch_size: int = 64
    units1: int = 256
    units2: int = 256
    depth: int = 2
    learning_rate: float = 1e-3
    optimizer: str = "Adam"
    momentum: float = 0.0
    weight_decay: float = 0.0

    @classmethod
    def from_values(cls, values: Mapping[str, object]) -> Configuration:
        """Complete `values` with the baseline; raise StudyError on unknown names and impossible values."""
        check_names(values, HYPERPARAMETERS, what="hyperparameter")
        checked = {name: _check_value(name, value) for name, value in values.items()}
        if checked.get("optimizer") == "AdamW":
            checked.setdefault("weight_decay", 1e-2)
        configuration = cls(**checked)  # type: ignore[arg-type]
        if configuration.momentum and configuration.optimizer != "SGD":
            raise StudyError(
                f"momentum applies to SGD only; got momentum {configuration.momentum:g} with {configuration.optimizer}"
            )
        if configuration.depth == 1:
            configuration = cls(**{**asdict(configuration), "units2": configuration.units1})
        return configuration

    @property
    def name(self) -> str:
        """What differs from the baseline, fit for a file name: `epochs=10,optimizer=SGD`, or `baseline`."""
        differing = ",".join(f"{name}={format_value(value)}" for name, value in self.differences().items())
        if len(differing) <= 80:
            return differing or "baseline"
        return f"{differing[:71].rstrip(',.=')}-{self.fingerprint}"

    @property
    def fingerprint(self) -> str:
        """Eight hex digits that stand for the resolved hyperparameters."""
        return _digest(asdict(self))

    @property
    def units(self) -> tuple[int, ...]:
        """Width of each hidden layer, from input to output."""
        return (self.units1,) + (self.units2,) * (self.depth - 1)

    @property
    def updates(self) -> int:
        """Budget in optimizer steps."""
        return self.epochs * self.train_steps

    @property
    def examples(self) -> int:
        """Budget in training images seen, repeats counted."""
        return self.updates * self.batch_size

    @property
    def parameters(self) -> int:
        """Weights and biases of the network on 28x28 images and ten classes."""
        widths = (784, *self.units, N_CLASSES)
        return sum(n_in * n_out + n_out for n_in, n_out in itertools.pairwise(widths))

    def differences(self) -> dict[str, Value]:
        """The hyperparameters in which this differs from the baseline and that do not follow from the others."""
        baseline = Configuration.from_values({"optimizer": self.optimizer, "depth": self.depth, "units1": self.units1})
        reference = {**asdict(baseline), "optimizer": "Adam", "depth": 2, "units1": 256}
        return {name: value for name, value in asdict(self).items() if value != reference[name]}


HYPERPARAMETERS: tuple[str, ...] = tuple(f.name for f in fields(Configuration))


def _check_value(name: str, value: object) -> Value:
    if name != "optimizer":
        return BOUNDS[name].check(name, value)
    if value not in OPTIMIZERS:
        raise StudyError(f"optimizer must be one of {', '.join(OPTIMIZERS)}; got {value!r}")
    return str(value)


def check_names(given: Iterable[str], known: Sequence[str], *, what: str) -> None:
    """Raise StudyError naming the first of `given` that is not in `known`."""
    for name in given:
        if name not in known:
            raise StudyError(f"{name!r} is no {what}; known: {', '.join(known)}")


def format_value(value: Value) -> str:
    """A hyperparameter's value as it stands in names and tables: 0.001, 64, Adam."""
    return f"{value:.10g}" if isinstance(value, float) else str(value)


def _digest(content: object) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:8]


@dataclass(frozen=True)
class Contrast:
    """A claim that one arm of an experiment has the higher objective than another.

    Each side assigns some hyperparameters. Where several configurations match, they may differ in nuisance
    hyperparameters only, and the best of them stands for the side.
    """

    better: Mapping[str, Value]
    worse: Mapping[str, Value]

    def __str__(self) -> str:
        return f"{format_values(self.better)} > {format_values(self.worse)}"


def format_values(values: Mapping[str, Value]) -> str:
    """`depth 2, units1 64`: an assignment in words."""
    return ", ".join(f"{name} {format_value(value)}" for name, value in values.items())


@dataclass(frozen=True)
class Experiment:
    """One question of the study with its hypothesis, fixed before the run, and its grid.

    `scientific` names the hyperparameters that the question is about, `nuisance` those that are tuned so that the
    comparison is fair; all others are fixed or tied to these. `curve_epochs`, where given, are the epochs at which
    the learning curves are read as a further scientific axis.
    """

    name: str
    question: str
    hypothesis: str
    configurations: tuple[Configuration, ...]
    scientific: tuple[str, ...]
    nuisance: tuple[str, ...] = ()
    contrasts: tuple[Contrast, ...] = ()
    curve_epochs: tuple[int, ...] = ()
    overrides: Mapping[str, Value] = field(default_factory=dict)

    @property
    def varied(self) -> tuple[str, ...]:
        """Hyperparameters that take more than one value in the grid."""
        return tuple(n for n in HYPERPARAMETERS if len({getattr(c, n) for c in self.configurations}) > 1)

    @property
    def fixed(self) -> dict[str, Value]:
        """Hyperparameters that take one value in the whole grid: the caveat of the conclusion."""
        return {n: getattr(self.configurations[0], n) for n in HYPERPARAMETERS if n not in self.varied}

    @property
    def tensorboard_filter(self) -> str:
        """A regular expression that shows this experiment's runs in TensorBoard."""
        return "^(" + "|".join(re.escape(c.name) for c in self.configurations) + ")/"

    def matching(self, assignment: Mapping[str, Value]) -> tuple[Configuration, ...]:
        """The configurations of the grid that agree with `assignment`."""
        return tuple(c for c in self.configurations if all(getattr(c, n) == v for n, v in assignment.items()))


@dataclass(frozen=True)
class TrialConfig:
    """One training run, by all that defines its outcome."""

    configuration: Configuration
    seed: int
    dataset: str
    dataset_fingerprint: str
    split_fingerprint: str
    validation: str
    training_version: int = TRAINING_VERSION

    @property
    def fingerprint(self) -> str:
        """Eight hex digits that stand for everything that defines the outcome."""
        return _digest(asdict(self))

    @property
    def trial_id(self) -> str:
        """The trial's folder below the log directory: `batch_size=4/seed0-1a2b3c4d`."""
        return f"{self.configuration.name}/seed{self.seed}-{self.fingerprint}"


@dataclass(frozen=True)
class LearningCurve:
    """Metrics per epoch, each a tuple of one length; accuracies are fractions, losses means of cross entropy."""

    train_loss: tuple[float, ...] = ()
    validation_loss: tuple[float, ...] = ()
    validation_accuracy: tuple[float, ...] = ()

    def __len__(self) -> int:
        return len(self.train_loss)


@dataclass(frozen=True)
class TrialResult:
    """The outcome of a trial: the same bits whenever it is run again on one machine.

    A diverged trial has the curve up to and with the epoch whose loss was not finite, and no test accuracy (nan).
    """

    trial: TrialConfig
    curve: LearningCurve
    test_accuracy: float
    diverged: bool

    @property
    def objective(self) -> float:
        """Validation accuracy after the last epoch, as a fraction; a diverged trial scores as guessing does."""
        return GUESSING_ACCURACY if self.diverged else self.curve.validation_accuracy[-1]


@dataclass(frozen=True)
class TrialRun:
    """How a trial came about: what may differ when it is run again. Times in seconds, `started` in ISO 8601 UTC."""

    started: str
    duration_s: float
    epoch_duration_s: tuple[float, ...]
    attempt: int
    host: str
    platform: str
    device: str
    versions: Mapping[str, str]


def is_diverged(*losses: float) -> bool:
    """Whether any loss is NaN or infinite."""
    return not all(math.isfinite(loss) for loss in losses)


RESERVED_NAMES = {"con", "prn", "aux", "nul"} | {f"{port}{n}" for port in ("com", "lpt") for n in range(10)}
"""What Windows lets no file be called, whatever its ending; experiments become files."""
MOST_CONFIGURATIONS = 10_000

EXPERIMENT_KEYS = (
    "name", "question", "hypothesis", "scientific", "nuisance", "contrasts", "curve_epochs", "fixed", "grid",
    "configurations",
)  # fmt: skip


def parse_experiment(table: Mapping[str, Any], *, overrides: Mapping[str, Value] | None = None) -> Experiment:
    """Read an experiment from a table as in an experiment file; `overrides` replace its fixed hyperparameters.

    The grid is given once: `grid`, hyperparameter -> values, is the product; `configurations` is a list of tables.
    Raises StudyError naming the experiment and the key at fault.
    """
    name = table.get("name")
    if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]{0,59}", name):
        raise StudyError(f"an experiment's name is 1 to 60 letters, digits, _ and -, a letter first; got {name!r}")
    if name.lower() in RESERVED_NAMES:
        raise StudyError(f"an experiment's name becomes a file's, and Windows keeps {name!r} for a device; rename it")
    try:
        return _parse_experiment(table, dict(overrides or {}))
    except StudyError as error:
        raise StudyError(f"experiment {name!r}: {error}") from None


def _parse_experiment(table: Mapping[str, Any], overrides: dict[str, Value]) -> Experiment:
    check_names(table, EXPERIMENT_KEYS, what="key of an experiment")
    check_names(overrides, HYPERPARAMETERS, what="hyperparameter")
    fixed = _typed(table, "fixed", dict, {})
    rows = _grid_rows(table)
    check_overrides(overrides, rows)
    configurations = tuple(dict.fromkeys(Configuration.from_values({**fixed, **overrides, **row}) for row in rows))
    experiment = Experiment(
        name=table["name"] + _override_suffix(overrides),
        question=_typed(table, "question", str, ""),
        hypothesis=_typed(table, "hypothesis", str, ""),
        configurations=configurations,
        scientific=tuple(_names(table, "scientific")),
        nuisance=tuple(_names(table, "nuisance")),
        contrasts=tuple(_parse_contrast(c) for c in _typed(table, "contrasts", list, [])),
        curve_epochs=tuple(BOUNDS["epochs"].check("curve_epochs", e) for e in _typed(table, "curve_epochs", list, [])),  # type: ignore[misc]
        overrides=overrides,
    )
    _check_roles(experiment)
    return experiment


def _typed(table: Mapping[str, Any], key: str, kind: type, default: Any) -> Any:
    value = table.get(key, default)
    if not isinstance(value, kind):
        kinds: dict[type, str] = {str: "a string", list: "an array", dict: "a table"}
        raise StudyError(f"{key} must be {kinds[kind]}; got {value!r}")
    return value


def _names(table: Mapping[str, Any], key: str) -> list[str]:
    names = _typed(table, key, list, [])
    for name in names:
        if name not in HYPERPARAMETERS:
            raise StudyError(f"{key} names {name!r}, which is no hyperparameter; known: {', '.join(HYPERPARAMETERS)}")
    return list(names)


def _grid_rows(table: Mapping[str, Any]) -> list[dict[str, Any]]:
    if ("grid" in table) == ("configurations" in table):
        raise StudyError("give either grid (a table of arrays) or configurations (an array of tables)")
    if "grid" in table:
        grid = _typed(table, "grid", dict, {})
        if not grid or not all(isinstance(values, list) and values for values in grid.values()):
            raise StudyError(f"grid must give each hyperparameter a non-empty array of values; got {grid!r}")
        if (n := math.prod(map(len, grid.values()))) > MOST_CONFIGURATIONS:
            raise StudyError(f"a grid has at most {MOST_CONFIGURATIONS:,} configurations; this one has {n:,}")
        return [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]
    rows: list[dict[str, Any]] = _typed(table, "configurations", list, [])
    if not rows or not all(isinstance(row, dict) for row in rows):
        raise StudyError(f"configurations must be a non-empty array of tables; got {rows!r}")
    return rows


def check_overrides(overrides: Mapping[str, Value], rows: Iterable[Mapping[str, Any]]) -> None:
    """Refuse to override a hyperparameter that the grid itself sets."""
    for name in overrides:
        if any(name in row for row in rows):
            raise StudyError(
                f"{name} is set by the grid, so it cannot be overridden; leave it out or write a study file"
            )


def _override_suffix(overrides: Mapping[str, Value]) -> str:
    inner = ",".join(f"{name}={format_value(overrides[name])}" for name in HYPERPARAMETERS if name in overrides)
    return f"[{inner}]" if inner else ""


def _parse_contrast(table: Any) -> Contrast:
    if not isinstance(table, dict) or set(table) != {"better", "worse"}:
        raise StudyError(f"a contrast is a table with better and worse; got {table!r}")
    sides = {}
    for side in ("better", "worse"):
        assignment = _typed(table, side, dict, {})
        check_names(assignment, HYPERPARAMETERS, what="hyperparameter")
        sides[side] = {name: _check_value(name, value) for name, value in assignment.items()}
    return Contrast(**sides)


def _check_roles(experiment: Experiment) -> None:
    both = set(experiment.scientific) & set(experiment.nuisance)
    if both:
        raise StudyError(f"{sorted(both)[0]} cannot be both scientific and nuisance")
    for contrast in experiment.contrasts:
        arms = [experiment.matching(assignment) for assignment in (contrast.better, contrast.worse)]
        for arm, assignment in zip(arms, (contrast.better, contrast.worse), strict=True):
            if not arm:
                raise StudyError(f"the contrast names {format_values(assignment)}, which no configuration has")
            if len({tuple(getattr(c, n) for n in experiment.scientific) for c in arm}) > 1:
                raise StudyError(
                    f"the contrast's side {format_values(assignment)} must single out one value of each scientific "
                    f"hyperparameter; it matches {len(arm)} configurations"
                )
        if set(arms[0]) & set(arms[1]):
            raise StudyError(f"the contrast {contrast} compares a configuration with itself")
