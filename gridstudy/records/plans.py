"""Plans: experiments as the runner wrote them down before the first trial, with all that the analysis must know.

LOGDIR/experiments/NAME.toml           an experiment, its subject, its seeds in the order requested, old hypotheses
LOGDIR/confirmations/NAME.toml         a selection that was frozen to be run again on fresh seeds
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from gridstudy.core.errors import StudyError
from gridstudy.core.experiment import Contrast, Experiment
from gridstudy.core.space import Configuration, Hyperparameter
from gridstudy.core.subject import Description, Objective
from gridstudy.core.trial import LEAST_SEEDS
from gridstudy.core.values import safe_folder_name
from gridstudy.records.toml import Fields, RecordError, read_toml, write_toml

T = TypeVar("T")

EXPERIMENTS_FOLDER = "experiments"
CONFIRMATIONS_FOLDER = "confirmations"
LONGEST_FILE = 120
"""Letters of a plan's name at most, so that its path stays below 150."""
DEFAULT_FIRST_LOOK = 5
"""Seeds of the first look where the first run of an experiment has fewer than three."""


@dataclass(frozen=True)
class Plan:
    """An experiment as the runner wrote it down.

    `seeds` are all that were ever requested, in the order requested; the first look is at the first `first_look` of
    them. `superseded` holds the hypotheses that this one replaced, each with the time and the number of trials that
    were complete.
    """

    experiment: Experiment
    description: Description
    seeds: tuple[int, ...] = ()
    first_look: int = DEFAULT_FIRST_LOOK
    superseded: tuple[Mapping[str, Any], ...] = ()
    datasets: tuple[str, ...] = ()
    """The data sets that it was ever planned on."""


def new_plan(
    experiment: Experiment, description: Description, seeds: Sequence[int], *, datasets: tuple[str, ...] = ()
) -> Plan:
    """The plan of a first run with `seeds`, which fix the first look."""
    known = tuple(dict.fromkeys(seeds))
    first_look = len(known) if len(known) >= LEAST_SEEDS else DEFAULT_FIRST_LOOK
    return Plan(experiment, description, known, first_look, datasets=datasets)


def plan_path(logdir: Path, experiment: str) -> Path:
    """Where the plan of an experiment lies."""
    return logdir / EXPERIMENTS_FOLDER / _file_name(experiment)


def _file_name(experiment: str) -> str:
    """An experiment's file; overridden values are part of its name, and may be anything."""
    return f"{safe_folder_name(experiment, most=LONGEST_FILE)}.toml"


def write_plan(
    logdir: Path,
    experiment: Experiment,
    description: Description,
    *,
    seeds: Sequence[int],
    dataset: str,
    n_complete: int,
) -> Plan:
    """Write down the plan, and append `seeds`; a hypothesis changed since then is kept, with `n_complete` trials run.

    Raises StudyError where the plan that is there cannot be read or is of another subject.
    """
    plan = new_plan(experiment, description, seeds, datasets=(dataset,))
    recorded = find_plan(logdir, experiment.name)
    if recorded is not None:
        plan = _revise(recorded, plan, n_complete=n_complete)
        if plan == recorded:
            return plan
    path = plan_path(logdir, experiment.name)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_toml(path, _plan_table(plan))
    return plan


def find_plan(logdir: Path, experiment: str) -> Plan | None:
    """The plan of an experiment, if there is one; StudyError where it cannot be read."""
    path = plan_path(logdir, experiment)
    if not os.path.lexists(path):
        return None
    try:
        return read_plan(path)
    except RecordError as error:
        raise StudyError(f"{path} {error}; move it away to plan this experiment anew") from None


def _revise(recorded: Plan, plan: Plan, *, n_complete: int) -> Plan:
    if recorded.description.subject != plan.description.subject:
        raise StudyError(
            f"{plan.experiment.name} was planned here for the subject {recorded.description.subject!r}; this run is "
            f"about {plan.description.subject!r}; use another --logdir"
        )
    superseded = list(recorded.superseded)
    if _claim(recorded.experiment) != _claim(plan.experiment):
        now = datetime.now(UTC).isoformat(timespec="seconds")
        superseded.append({**_claim(recorded.experiment), "changed": now, "n_complete": n_complete})
    first_look = recorded.first_look if recorded.seeds else plan.first_look
    seeds = tuple(dict.fromkeys((*recorded.seeds, *plan.seeds)))
    datasets = tuple(dict.fromkeys((*recorded.datasets, *plan.datasets)))
    return replace(plan, superseded=tuple(superseded), seeds=seeds, first_look=first_look, datasets=datasets)


def _claim(experiment: Experiment) -> dict[str, Any]:
    return {"hypothesis": experiment.hypothesis, "contrasts": [_contrast_table(c) for c in experiment.contrasts]}


# --- to and from TOML ----------------------------------------------------------------------------------------------


def _contrast_table(contrast: Contrast) -> dict[str, Any]:
    return {"relation": contrast.relation, "first": dict(contrast.first), "second": dict(contrast.second)}


def _configuration_table(configuration: Configuration) -> dict[str, Any]:
    return {
        "name": configuration.name, "cost": configuration.cost, "values": dict(configuration.resolved),
        "settings": dict(configuration.settings), "budgets": dict(configuration.budgets),
    }  # fmt: skip


def _plan_table(plan: Plan) -> dict[str, Any]:
    experiment = {f.name: getattr(plan.experiment, f.name) for f in fields(Experiment)}
    experiment |= {
        "configurations": [_configuration_table(c) for c in plan.experiment.configurations],
        "contrasts": [_contrast_table(c) for c in plan.experiment.contrasts],
    }
    description = {f.name: getattr(plan.description, f.name) for f in fields(Description)}
    description |= {
        "objective": _without_none(asdict(plan.description.objective)),
        "hyperparameters": [_without_none(asdict(h)) for h in plan.description.hyperparameters],
    }
    return {
        "seeds": list(plan.seeds), "first_look": plan.first_look, "datasets": list(plan.datasets),
        "experiment": experiment,
        "description": description, "superseded": [dict(table) for table in plan.superseded],
    }  # fmt: skip


def _without_none(table: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in table.items() if value is not None}


def read_plan(path: Path) -> Plan:
    """Read a plan; raise RecordError when it is not one that this program wrote."""
    content = Fields(read_toml(path), what="the file")
    try:
        plan = Plan(
            experiment=_read_experiment(Fields(content.table("experiment"), what="experiment")),
            description=_read_description(Fields(content.table("description"), what="description")),
            seeds=content.wholes("seeds"),
            first_look=content.whole("first_look"),
            superseded=tuple(content.array("superseded")),
            datasets=content.strings("datasets"),
        )
    except StudyError as error:
        raise RecordError(f"does not describe an experiment ({error})") from None
    content.end()
    if not all(isinstance(table, dict) for table in plan.superseded):
        raise RecordError("has a superseded hypothesis that is not a table")
    return plan


def _read_experiment(table: Fields) -> Experiment:
    experiment = Experiment(
        name=table.text("name"), question=table.text("question"), hypothesis=table.text("hypothesis"),
        configurations=tuple(_read_configuration(row) for row in table.array("configurations")),
        scientific=table.strings("scientific"), nuisance=table.strings("nuisance"),
        contrasts=tuple(_read_contrast(row) for row in table.array("contrasts")),
        curve_epochs=table.wholes("curve_epochs"), treatment_budgets=table.strings("treatment_budgets"),
        overrides=table.values("overrides"), arms=table.texts("arms"), family=table.strings("family"),
        order=table.whole("order"),
    )  # fmt: skip
    table.end()
    return experiment


def _read_configuration(row: object) -> Configuration:
    table = Fields(row, what="experiment.configurations")
    name = table.text("name")
    configuration = Configuration(
        table.values("values"), table.values("settings"), table.numbers("budgets"), table.number("cost")
    )
    table.end()
    if configuration.name != name:
        raise RecordError(f"calls a configuration {name}, and its settings make {configuration.name}")
    return configuration


def _read_contrast(row: object) -> Contrast:
    table = Fields(row, what="experiment.contrasts")
    relation = table.text("relation")
    if relation not in ("order", "alike"):
        raise RecordError(f"has a contrast with the unknown relation {relation!r}")
    contrast = Contrast(relation, table.values("first"), table.values("second"))  # type: ignore[arg-type]
    table.end()
    return contrast


def _read_description(table: Fields) -> Description:
    description = Description(
        subject=table.text("subject"), objective=_construct(Objective, table.table("objective"), what="an objective"),
        hyperparameters=tuple(
            _construct(Hyperparameter, row, what="a hyperparameter") for row in table.array("hyperparameters")
        ),
        epochs=table.text("epochs"), sizes=_read_sizes(table.table("sizes")),
        labels=table.strings("labels"), class_names=table.strings("class_names"),
    )  # fmt: skip
    table.end()
    return description


def _read_sizes(table: Mapping[str, Any]) -> dict[str, int]:
    sizes = Fields(table, what="description.sizes")
    return {name: sizes.whole(name) for name in table}


KINDS: Mapping[str, tuple[type, ...]] = {
    "str": (str,), "Scale": (str,), "bool": (bool,), "float": (int, float), "float | None": (int, float),
    "Value": (bool, int, float, str), "Value | None": (bool, int, float, str), "tuple[Value, ...]": (list,),
}  # fmt: skip
"""What a file may hold for a field of each type."""


def _construct(kind: type[T], row: object, *, what: str) -> T:
    """Make an Objective or a Hyperparameter of a table whose values have the types of its fields."""
    if not isinstance(row, dict):
        raise RecordError(f"has {what} that is not a table")
    table = Fields(row, what=what)
    kinds = {f.name: KINDS[str(f.type)] for f in fields(kind)}  # type: ignore[arg-type]
    values = {name: table.any_of(name, kinds[name]) for name in kinds if name in row}
    table.end()
    try:
        return kind(**{name: tuple(value) if isinstance(value, list) else value for name, value in values.items()})
    except TypeError as error:
        raise RecordError(f"has {what} with missing keys ({error})") from None


# --- confirmations -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Confirmation:
    """What was chosen to be run again, before looking: configurations by name, and the seeds on both sides."""

    experiment: str
    configurations: tuple[str, ...]
    selection_seeds: tuple[int, ...]
    fresh_seeds: tuple[int, ...]


def write_confirmation(logdir: Path, confirmation: Confirmation) -> None:
    """Freeze a selection."""
    path = logdir / CONFIRMATIONS_FOLDER / _file_name(confirmation.experiment)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_toml(path, {"confirmation": asdict(confirmation)})


def read_confirmation(logdir: Path, experiment: str) -> Confirmation | None:
    """The frozen selection of an experiment, if there is one; raises RecordError when it is damaged."""
    path = logdir / CONFIRMATIONS_FOLDER / _file_name(experiment)
    if not os.path.lexists(path):
        return None
    table = Fields(Fields(read_toml(path), what="the file").table("confirmation"), what="confirmation")
    confirmation = Confirmation(
        table.text("experiment"), table.strings("configurations"), table.wholes("selection_seeds"),
        table.wholes("fresh_seeds"),
    )  # fmt: skip
    table.end()
    return confirmation
