"""A subject: the search space, training function, budgets and data of a study."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gridstudy.core.errors import StudyError
from gridstudy.core.experiment import Experiment, parse_experiment
from gridstudy.core.space import COLUMNS_IN_USE, Configuration, Hyperparameter, SearchSpace
from gridstudy.core.trial import DataIdentity, Outcome, TrialConfig
from gridstudy.core.values import Value, check_readable, safe_folder_name

FRACTION = "fraction"
FRACTION_MARGIN = 0.005
"""Differences up to half a percentage point do not matter, unless the user says otherwise."""

Report = Callable[[Mapping[str, float]], None]
"""Called once per epoch with that epoch's metrics."""


@dataclass(frozen=True)
class Objective:
    """The score that trials are compared by: its name, direction and unit.

    A `fraction` lies from 0 to 1 and is shown in percent and percentage points; any other unit is shown as it is, and
    then a margin, up to which differences do not matter, must be given. `chance` is the score of guessing. `quantity`
    names differences in columns, as in `accuracy_difference`; `test_name` is the score on the test split.
    """

    name: str = "score"
    unit: str = FRACTION
    maximise: bool = True
    chance: float | None = None
    low: float | None = None
    high: float | None = None
    margin: float | None = None
    label: str = ""
    quantity: str = ""
    test_name: str = "test_score"

    def __post_init__(self) -> None:
        if not self.name.isidentifier():
            raise StudyError(f"an objective's name must be a Python identifier; got {self.name!r}")
        fraction = self.unit == FRACTION
        defaults = {
            "low": 0.0 if fraction else -math.inf, "high": 1.0 if fraction else math.inf,
            "margin": FRACTION_MARGIN if fraction else None, "label": self.name.replace("_", " "),
            "quantity": self.name,
        }  # fmt: skip
        for name, default in defaults.items():
            if getattr(self, name) in (None, ""):
                object.__setattr__(self, name, default)

    @property
    def is_fraction(self) -> bool:
        """Whether scores are shown in percent."""
        return self.unit == FRACTION

    @property
    def sign(self) -> int:
        """1 if higher scores are better, -1 if lower ones are."""
        return 1 if self.maximise else -1

    @property
    def diverged_score(self) -> float:
        """The score that a diverged trial is given: that of guessing, NaN where none is known."""
        return math.nan if self.chance is None else self.chance

    def show(self, score: float, *, digits: int = 2) -> str:
        """A score in words: `84.61 %`, or in its own unit to four significant digits."""
        return f"{100 * score:.{digits}f} %" if self.is_fraction else f"{score:.4g} {self.unit}".rstrip()

    def show_difference(self, difference: float) -> str:
        """A difference of two scores in words: `0.50 points`, or in its own unit."""
        return f"{100 * difference:.2f} points" if self.is_fraction else f"{difference:.4g} {self.unit}".rstrip()

    def contains(self, score: float) -> bool:
        """Whether a finite score lies in the declared range."""
        assert self.low is not None
        assert self.high is not None
        return self.low <= score <= self.high


@dataclass(frozen=True)
class Data:
    """The data that trials are trained and scored on, prepared once.

    `content` is handed to `train` and must be picklable. `sizes` counts the examples of the splits (train, validation,
    test); `notes` are shown wherever results are; `labels` mark every output, as a warning does.
    """

    content: Any
    identity: DataIdentity
    sizes: Mapping[str, int] = field(default_factory=dict)
    labels: tuple[str, ...] = ()
    origin: str = ""
    class_names: tuple[str, ...] = ()


Train = Callable[[TrialConfig, Any, Path, str, Report], Outcome]
TrainMany = Callable[[Sequence[TrialConfig], Any, Sequence[Path], str, Sequence[Report]], Iterable[Outcome]]


@dataclass(frozen=True, eq=False)
class Subject:
    """A subject of a study; a file for --subject defines one under the name `subject`.

    `train(trial, data, folder, device, report)` trains one trial on the content of `data`, may write logs to `folder`
    and returns an Outcome; it may call `report` after each epoch. `prepare()` returns the Data. `budgets` and `cost`
    take the resolved hyperparameters and return the totals of a trial and its cost, by which the cheapest is chosen.
    `epochs` names the hyperparameter that is the number of epochs, if there is one. `families` lists experiments whose
    hypotheses are corrected together. Raise `training_version` whenever a change of the code changes the outcome of a
    trial.

    The rest is optional. `packages` are those whose versions are recorded. `choose_device(requested)` returns a device
    and the reason. `set_up_worker()` is called once in every worker. `estimate_seconds` times a few steps for the dry
    run. `check` refuses a configuration that the data do not allow. `check_content` raises StudyError where the data
    have changed since they were prepared, and is called before each result is written. `portable` turns the content of
    the data into one that another machine can use. `describe_machine(device)` adds to the `[run]` table.
    `prepare_logdir` is called before the first trial.

    `train_many(trials, data, folders, device, reports)` trains from two to `most_together` trials of one configuration,
    alike except for the seed, for where that takes less time than one after the other. It gives the outcomes in the
    order of the trials, each to the bits that `train` gives: as a list where all end together, or yielding each as it
    ends, to be recorded at once. Where it raises, the trials that have no result yet are trained by `train`.
    """

    name: str
    space: SearchSpace | Sequence[Hyperparameter]
    train: Train
    prepare: Callable[[], Data]
    objective: Objective
    experiments: Sequence[Mapping[str, Any]] = ()
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    families: tuple[tuple[str, ...], ...] = ()
    budgets: Callable[[Mapping[str, Any]], Mapping[str, float]] = lambda values: {}
    cost: Callable[[Mapping[str, Any]], float] | None = None
    work: Callable[[Mapping[str, Any]], float] | None = None
    epochs: str = ""
    training_version: int = 1
    packages: tuple[str, ...] = ()
    choose_device: Callable[[str], tuple[str, str]] | None = None
    set_up_worker: Callable[[], None] | None = None
    estimate_seconds: Callable[[Iterable[Configuration], Data, str], Mapping[Configuration, float]] | None = None
    check: Callable[[Configuration, Data], None] | None = None
    check_content: Callable[[Any], None] | None = None
    portable: Callable[[Any], Any] | None = None
    describe_machine: Callable[[str], Mapping[str, str]] | None = None
    prepare_logdir: Callable[[Path, Sequence[Experiment]], None] | None = None
    train_many: TrainMany | None = None
    most_together: int = 16

    def __post_init__(self) -> None:
        if safe_folder_name(self.name, most=40) != self.name:
            raise StudyError(f"a subject's name has up to 40 letters, digits, _ and -; got {self.name!r}")
        check_readable(self.name, what="a subject's name")
        for name in ("train", "prepare"):
            if not callable(getattr(self, name)):
                raise StudyError(f"{name} must be a function; got {getattr(self, name)!r}")
        if self.objective.margin is None:
            raise StudyError(
                f"an objective in {self.objective.unit} needs a margin, up to which differences do not matter; give "
                f"Objective({self.objective.name!r}, unit={self.objective.unit!r}, margin=...)"
            )
        if not isinstance(self.space, SearchSpace):
            object.__setattr__(self, "space", SearchSpace(tuple(self.space)))
        default = self.configure({})  # a default outside its bounds is a mistake of the file, not of an experiment
        self.check_columns([self.objective.name], what="the objective", taken=frozenset())
        self.check_columns(default.budgets, what="a budget")
        if self.epochs and self.epochs not in self.search_space.names:
            raise StudyError(f"epochs must name a hyperparameter; got {self.epochs!r}")
        if self.most_together < 1:
            raise StudyError(f"most_together must be a whole number from 1; got {self.most_together!r}")

    @property
    def search_space(self) -> SearchSpace:
        """The search space, typed."""
        assert isinstance(self.space, SearchSpace)
        return self.space

    def configure(self, values: Mapping[str, object]) -> Configuration:
        """Complete `values` with the defaults; raise StudyError on unknown names and impossible values."""
        resolved = self.search_space.resolve(values)
        cost = math.nan if self.cost is None else float(self.cost(resolved))
        work = float(self.work(resolved)) if self.work else cost if math.isfinite(cost) else 1.0
        budgets = {name: float(value) for name, value in self.budgets(resolved).items()}
        return Configuration(resolved, self.search_space.settings(resolved), budgets, cost, work)

    def check_columns(self, names: Iterable[str], *, what: str, taken: frozenset[str] = COLUMNS_IN_USE) -> None:
        """Raise StudyError where a name would share a column of the tables with a hyperparameter or something else."""
        for name in names:
            if name in taken or name in self.search_space.names:
                raise StudyError(
                    f"{what} must not be named like a hyperparameter or another column of the tables; got {name!r}"
                )

    def parse(
        self, table: Mapping[str, Any], *, overrides: Mapping[str, Value] | None = None, order: int = 1_000
    ) -> Experiment:
        """Read an experiment of this subject from a table."""
        return parse_experiment(
            table, space=self.search_space, configure=self.configure, overrides=overrides, families=self.families,
            order=order,
        )  # fmt: skip

    def describe(self, data: Data) -> Description:
        """Return the description of this subject and these data for the analysis."""
        return Description(
            subject=self.name, objective=self.objective, hyperparameters=self.search_space.hyperparameters,
            epochs=self.epochs, sizes=dict(data.sizes), labels=data.labels, class_names=data.class_names,
        )  # fmt: skip


@dataclass(frozen=True)
class Description:
    """The part of a subject that the analysis needs; the runner writes it into every plan."""

    subject: str
    objective: Objective
    hyperparameters: tuple[Hyperparameter, ...] = ()
    epochs: str = ""
    sizes: Mapping[str, int] = field(default_factory=dict)
    labels: tuple[str, ...] = ()
    class_names: tuple[str, ...] = ()

    def __getitem__(self, name: str) -> Hyperparameter:
        """The hyperparameter of this name; KeyError where the description does not know it."""
        for hyperparameter in self.hyperparameters:
            if hyperparameter.name == name:
                return hyperparameter
        raise KeyError(name)

    def title(self, name: str) -> str:
        """What sentences and figures call a hyperparameter: its label, or the name where there is none."""
        return next((h.title for h in self.hyperparameters if h.name == name), name)
