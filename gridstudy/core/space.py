"""The search space: hyperparameters with their bounds and defaults, and configurations, its points."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from gridstudy.core.errors import StudyError
from gridstudy.core.values import (
    Value,
    check_names,
    check_readable,
    digest,
    format_power,
    format_value,
    normalise,
    safe_folder_name,
    show,
)

Scale = Literal["linear", "log2", "log10", "categorical"]
SCALES: tuple[Scale, ...] = ("linear", "log2", "log10", "categorical")
LONGEST_NAME = 60
"""Letters of a configuration's folder; with the rest of a trial's paths they stay below 150."""
COLUMNS_IN_USE = frozenset(
    "trial_id configuration configuration_fingerprint seed experiment label arm n n_diverged n_selected_from epoch "
    "diverged score objective objective_mean objective_sd objective_low objective_high test_score duration_s cpu_s "
    "subject dataset dataset_fingerprint split_fingerprint validation training_version host platform device processor "
    "arithmetic environment source versions attempt started cost origin passes seconds_mean seconds_median "
    "cpu_seconds_median deficit deficit_low deficit_high deficit_bound tied_with_best recommended flags".split()
)
"""Names that mean something else in the tables."""

Complete = Callable[[dict[str, Value], frozenset[str]], Mapping[str, Value]]


@dataclass(frozen=True)
class Hyperparameter:
    """One axis of the search space.

    The type is that of `default`. Numbers have the bounds `low` and `high`, both included; texts have `choices`.
    `scale` is how an axis shows it. `first_default` is the default that the first records were made with: keep it
    when you change `default`, so that no record is read with the new one. Records that were made before this
    hyperparameter existed are read with it.
    """

    name: str
    default: Value
    low: float = -math.inf
    high: float = math.inf
    choices: tuple[Value, ...] = ()
    scale: Scale = "linear"
    label: str = ""
    first_default: Value | None = None

    def __post_init__(self) -> None:
        if not self.name.isidentifier() or self.name in COLUMNS_IN_USE:
            raise StudyError(
                f"a hyperparameter's name must be an identifier that no column of the tables has; got {self.name!r}"
            )
        check_readable(self.name, what="a hyperparameter's name")
        if self.scale not in SCALES:
            raise StudyError(f"{self.name}: scale must be one of {', '.join(SCALES)}; got {self.scale!r}")
        self._check_choices()
        for field_name in ("default", "first_default"):
            value = getattr(self, field_name)
            if value is not None:
                object.__setattr__(self, field_name, self.check(value))
        if isinstance(self.default, str | bool):
            object.__setattr__(self, "scale", "categorical")

    def _check_choices(self) -> None:
        if isinstance(self.default, str) and not self.choices:
            raise StudyError(f"{self.name}: a hyperparameter whose values are texts needs choices")
        texts = [choice for choice in self.choices if isinstance(choice, str)]
        for text in texts:
            check_readable(text, what=f"a choice of {self.name}")
        if len({text.casefold() for text in texts}) < len(texts):
            raise StudyError(
                f"{self.name}: choices must differ by more than upper and lower case, which Windows cannot tell apart; "
                f"got {', '.join(texts)}"
            )
        object.__setattr__(self, "choices", tuple(normalise(choice) for choice in self.choices))

    @property
    def reference(self) -> Value:
        """The value that a record is named and hashed against."""
        return self.default if self.first_default is None else self.first_default

    @property
    def is_numeric(self) -> bool:
        """Whether values have an order and a distance."""
        return self.scale != "categorical"

    @property
    def title(self) -> str:
        """How an axis or a heading calls it."""
        return self.label or self.name.replace("_", " ")

    def check(self, value: object) -> Value:
        """Return `value` in this hyperparameter's type and form; raise StudyError with the rule."""
        if self.choices and not isinstance(value, list | dict):
            for choice in self.choices:
                if value == choice and isinstance(value, bool) == isinstance(choice, bool):
                    return choice
            raise StudyError(f"{self.name} must be one of {self.describe_choices()}; got {show(value)}")
        if isinstance(self.default, bool):
            if isinstance(value, bool):
                return value
            raise StudyError(f"{self.name} must be true or false; got {show(value)}")
        return self._check_number(value)

    def describe_choices(self) -> str:
        """The choices in words."""
        return ", ".join(format_value(choice) for choice in self.choices)

    def _check_number(self, value: object) -> Value:
        whole = isinstance(self.default, int)
        rule = f"{self.name} must be {'a whole number' if whole else 'a number'} from {self.low:g} to {self.high:g}"
        if isinstance(value, bool) or not isinstance(value, int | float) or (whole and value != value // 1):
            raise StudyError(f"{rule}; got {show(value)}")
        if not self.low <= value <= self.high:
            raise StudyError(f"{rule}; got {show(value)}")
        return int(value) if whole else normalise(float(value))

    def format(self, value: Value) -> str:
        """A value as tables and figures call it: `1e-3` (but `0.3`) on a scale of powers of ten, else as it is."""
        if self.scale == "log10" and isinstance(value, int | float) and value > 0 and not isinstance(value, bool):
            return format_power(float(value))
        return format_value(value)


@dataclass(frozen=True, eq=False)
class Configuration(Mapping[str, Value]):
    """One point of the search space, every hyperparameter resolved: a mapping from names to values.

    `settings` are the values that tell it from the subject's reference configuration, in the space's order. Budgets
    (`updates`, `examples`, `parameters`, or others) are totals of one trial; `cost` is what "cheapest" means and `work`
    is proportional to the time of a trial, both in arbitrary units.
    """

    resolved: Mapping[str, Value]
    settings: Mapping[str, Value]
    budgets: Mapping[str, float] = field(default_factory=dict)
    cost: float = math.nan
    work: float = 1.0

    def __getitem__(self, name: str) -> Value:
        return self.resolved[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.resolved)

    def __len__(self) -> int:
        return len(self.resolved)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Configuration) and dict(self.resolved) == dict(other.resolved)

    def __hash__(self) -> int:
        return hash(tuple(self.resolved.items()))

    @property
    def name(self) -> str:
        """What differs from the reference, fit for a folder: `epochs=10,optimizer=SGD`, or `baseline`."""
        text = ",".join(f"{name}={format_value(value)}" for name, value in self.settings.items())
        return safe_folder_name(text or "baseline", most=LONGEST_NAME)

    @property
    def fingerprint(self) -> str:
        """Eight hex digits that stand for the hyperparameters."""
        return digest(dict(self.settings))


@dataclass(frozen=True)
class SearchSpace:
    """The hyperparameters of a subject, in their order.

    `complete(values, given)` may fill in what depends on other hyperparameters and refuse combinations with StudyError:
    it gets all values and the names that were given, and returns all values.
    """

    hyperparameters: tuple[Hyperparameter, ...]
    complete: Complete = lambda values, given: values

    def __post_init__(self) -> None:
        if len(set(self.names)) < len(self.names):
            raise StudyError(f"a search space must name each hyperparameter once; got {', '.join(self.names)}")
        if len({name.casefold() for name in self.names}) < len(self.names):
            raise StudyError(
                "hyperparameters must differ by more than upper and lower case, which Windows cannot tell apart; "
                f"got {', '.join(self.names)}"
            )

    @property
    def names(self) -> tuple[str, ...]:
        """The hyperparameters' names."""
        return tuple(h.name for h in self.hyperparameters)

    def __getitem__(self, name: str) -> Hyperparameter:
        check_names([name], self.names, what="hyperparameter")
        return next(h for h in self.hyperparameters if h.name == name)

    def resolve(self, values: Mapping[str, object]) -> dict[str, Value]:
        """Complete `values` with the defaults; raise StudyError on unknown names and impossible values."""
        check_names(values, self.names, what="hyperparameter")
        checked = {name: self[name].check(value) for name, value in values.items()}
        full = {h.name: checked.get(h.name, h.default) for h in self.hyperparameters}
        completed = self.complete(full, frozenset(values))
        return {h.name: h.check(completed[h.name]) for h in self.hyperparameters}

    def settings(self, resolved: Mapping[str, Value]) -> dict[str, Value]:
        """The fewest values from which the reference configuration becomes this one."""
        return self._reference_space().differences(resolved)

    def differences(self, resolved: Mapping[str, Value]) -> dict[str, Value]:
        """The fewest values from which the defaults complete to `resolved`, in the space's order."""
        kept = dict(resolved)
        for name in resolved:
            rest = {other: value for other, value in kept.items() if other != name}
            if self._completes_to(rest, resolved):
                kept = rest
        return kept

    def _completes_to(self, values: Mapping[str, Value], resolved: Mapping[str, Value]) -> bool:
        try:
            return self.resolve(values) == dict(resolved)
        except StudyError:  # what is left out is needed for a possible combination
            return False

    def _reference_space(self) -> SearchSpace:
        if all(h.reference == h.default for h in self.hyperparameters):
            return self
        return replace(self, hyperparameters=tuple(replace(h, default=h.reference) for h in self.hyperparameters))
