"""Estimates -> CSV files: tidy, units in the names, read back by `pandas.read_csv` without options.

Accuracies, their differences and standard deviations are fractions, times seconds, losses means of cross entropy. A
number that does not exist is an empty cell, a text that does not exist is `none`, more seeds than are worth planning
are `inf`. Files are UTF-8 and written whole or not at all.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from gridstudy.core.files import write_atomic
from gridstudy.records.records import Records
from gridstudy.statistics.comparisons import FOREIGN
from gridstudy.statistics.estimates import StudyEstimates

NOTHING = "none"
"""Stands for no text; pandas reads an empty cell as a missing number."""
SEEDS_COLUMNS = ("seeds_needed", "seeds_to_decide", "seeds_to_recommend")
RENAMED: Mapping[str, Mapping[str, str]] = {
    "comparisons": {
        "difference": "accuracy_difference", "difference_sd": "accuracy_difference_sd",
        "low": "accuracy_difference_low", "high": "accuracy_difference_high",
        "unpaired_sd": "accuracy_difference_unpaired_sd",
    },
    "contrasts": {
        "difference": "accuracy_difference", "difference_sd": "accuracy_difference_sd",
        "planning_sd": "accuracy_difference_planning_sd",
        "low": "accuracy_difference_low", "high": "accuracy_difference_high",
        "low_90": "accuracy_difference_low_90", "high_90": "accuracy_difference_high_90",
    },
    "noise_floors": {
        "sd_median": "accuracy_sd_median", "sd_min": "accuracy_sd_min", "sd_max": "accuracy_sd_max",
        "difference_sd_median": "accuracy_difference_sd_median", "difference_sd_min": "accuracy_difference_sd_min",
        "difference_sd_max": "accuracy_difference_sd_max", "resolvable_paired": "resolvable_accuracy_paired",
        "resolvable_unpaired": "resolvable_accuracy_unpaired",
        "assumed_difference_sd": "assumed_accuracy_difference_sd",
    },
    "experiment_summary": {
        "deficit": "accuracy_deficit", "deficit_low": "accuracy_deficit_low", "deficit_high": "accuracy_deficit_high",
        "deficit_bound": "accuracy_deficit_bound",
    },
    "confirmation": {
        "deficit": "accuracy_deficit", "deficit_low": "accuracy_deficit_low", "deficit_high": "accuracy_deficit_high",
    },
    "interaction_cells": {"mean": "accuracy_mean", "low": "accuracy_low", "high": "accuracy_high"},
}  # fmt: skip
"""What the library calls shortly and a file on its own must spell out."""

RANKING_COLUMNS = (
    "experiment", "best", "runner_up", "accuracy_lead", "accuracy_lead_low", "accuracy_lead_high",
    "accuracy_winners_curse", "n_configurations", "n_tied", "n_unstable", "n_incomplete", "n_flagged", "recommended",
    "seeds_to_recommend", "confounded_with", "mixed",
)  # fmt: skip


def ranking_table(estimates: StudyEstimates) -> pd.DataFrame:
    """A row per experiment: its best, the lead over the runner-up and what is recommended; RANKING_COLUMNS."""
    rows = [
        {
            "experiment": e.experiment.name, "best": e.best, "runner_up": e.runner_up, "accuracy_lead": e.lead,
            "accuracy_lead_low": e.lead_low, "accuracy_lead_high": e.lead_high,
            "accuracy_winners_curse": e.winners_curse, "n_configurations": len(e.summary), "n_tied": len(e.tied),
            "n_unstable": len(e.unstable), "n_incomplete": len(e.incomplete),
            "n_flagged": int((e.summary["flags"] != "").sum()), "recommended": e.recommended,
            "seeds_to_recommend": e.seeds_to_recommend, "confounded_with": "; ".join(e.confounded),
            "mixed": "; ".join(e.mixed),
        }
        for e in estimates.experiments
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=list(RANKING_COLUMNS))


def for_disk(table: pd.DataFrame, renamed: Mapping[str, str] | None = None) -> pd.DataFrame:
    """The table as a file holds it: spelled-out names, numbers of seeds as numbers, `none` for no text."""
    columns: dict[str, Any] = {}
    for name, values in table.items():
        column = values
        if name in SEEDS_COLUMNS:
            column = values.map(seeds_number).astype(float)
        elif not pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values):
            column = values.astype(object).where(values.notna() & (values.astype(str) != ""), NOTHING)
        columns[(renamed or {}).get(str(name), str(name))] = column
    return pd.DataFrame(columns, index=table.index)


def seeds_number(words: object) -> float:
    """`12` -> 12, `>100` -> infinity, no words -> NaN."""
    text = "" if words is None else str(words)
    return math.inf if text.startswith(">") else float(text) if text else math.nan


def study_tables(
    estimates: StudyEstimates,
    records: Records,
    *,
    interactions: pd.DataFrame,
    cells: pd.DataFrame,
    questions: pd.DataFrame,
    confirmation: pd.DataFrame,
    facts: pd.DataFrame,
) -> dict[str, pd.DataFrame]:
    """All tables by the name of their file, as they stand on the disk; `records` are what the estimates come from."""
    trials, curves = analysed_records(estimates, records)
    tables = {
        "experiment_summary": estimates.summary,
        "trials": trials,
        "curves": curves,
        "comparisons": estimates.comparisons,
        "verdicts": estimates.verdicts,
        "interactions": interactions,
        "study_questions": questions,
        "contrasts": estimates.contrasts,
        "arms": estimates.arms,
        "rankings": ranking_table(estimates),
        "noise_floors": estimates.noise_floors,
        "interaction_cells": cells,
        "confirmation": confirmation,
        "study_facts": facts,
        "problems": records.problems,
    }
    return {name: for_disk(table, RENAMED.get(name)) for name, table in tables.items()}


def analysed_records(estimates: StudyEstimates, records: Records) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The trials of the analysed group, those on fresh seeds and foreign ones included, and their curves."""
    known = pd.concat([estimates.trials["trial_id"], estimates.confirmation_trials["trial_id"]])
    trials = records.trials[records.trials["trial_id"].isin(known) | (records.trials["origin"] == FOREIGN)]
    return trials, records.curves[records.curves["trial_id"].isin(trials["trial_id"])]


def write_tables(tables: Mapping[str, pd.DataFrame], folder: Path) -> list[Path]:
    """Write `NAME.csv` for each table, also an empty one, so that no file of an earlier run is left to mislead."""
    paths = [folder / f"{name}.csv" for name in tables]
    for path, table in zip(paths, tables.values(), strict=True):
        write_atomic(path, table.to_csv(index=False, lineterminator="\n").encode(errors="backslashreplace"))
    return paths
