"""Which records are analysed together: one subject, one data set, one split, one protocol, one training version."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from gridstudy.core.errors import StudyError
from gridstudy.core.subject import Description, Objective
from gridstudy.records.plans import Plan
from gridstudy.records.tables import GROUP_COLUMNS, PROBLEM_COLUMNS, descriptions_by_subject


def choose_group(trials: pd.DataFrame) -> tuple[dict[str, object], pd.DataFrame, pd.DataFrame]:
    """The largest group of trials alike in GROUP_COLUMNS: its key, its trials, and the sizes of the others."""
    columns = list(GROUP_COLUMNS)
    sizes = trials.groupby(columns, dropna=False).size().rename("n_trials").reset_index()
    sizes = sizes.sort_values("n_trials", ascending=False, kind="stable", ignore_index=True)
    if sizes.empty:
        return {}, trials, sizes
    key = sizes[columns].iloc[0]
    return (
        dict(zip(columns, key, strict=True)),
        trials[(trials[columns] == key).all(axis=1)],
        sizes.iloc[1:].reset_index(drop=True),
    )


def name_group(group: Mapping[str, object]) -> str:
    """A group of records in one line, as stored verdicts name it."""
    return " ".join(map(str, group.values()))


def describe_group(plans: Sequence[Plan], group: dict[str, object]) -> Description:
    """What the plans say of the group's subject; without trials, of that of the first plan."""
    known = descriptions_by_subject(plans)
    subject = str(group["subject"]) if group else next(iter(known), "")
    return known.get(subject) or Description(subject, Objective())


def find_margin(margin: float | None, objective: Objective) -> float:
    """The margin given, else that of the objective; raise StudyError where there is none."""
    found = objective.margin if margin is None else margin
    if found is None:
        raise StudyError(
            f"the differences of {objective.label} (in {objective.unit}) that do not matter are unknown; "
            f"give them with --margin"
        )
    return found


def drop_conflicts(trials: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The trials that are alone with their configuration's name and seed, and a row of problems for each other one."""
    conflicts = trials.duplicated(["configuration", "seed"], keep=False)
    rows = [
        (trial, "conflict", f"is one of several trials of {name} with seed {seed}; none of them is analysed")
        for trial, name, seed in trials.loc[conflicts, ["trial_id", "configuration", "seed"]].itertuples(index=False)
    ]
    return trials[~conflicts], pd.DataFrame(rows, columns=list(PROBLEM_COLUMNS))
