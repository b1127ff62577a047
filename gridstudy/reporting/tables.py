"""Estimates -> CSV files: tidy, units in the names, read back by `pandas.read_csv` without options.

Scores, their differences and standard deviations are in the unit of the objective (a fraction is one from 0 to 1),
times in seconds. A number that does not exist is an empty cell, a text that does not exist is `none`, more seeds than
are worth planning are `inf`. A text that a spreadsheet would take for a formula begins with an apostrophe. Files are
UTF-8 and written whole or not at all.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from gridstudy.core.files import write_atomic
from gridstudy.core.subject import Objective
from gridstudy.records.tables import FOREIGN
from gridstudy.statistics.estimates import StudyEstimates
from gridstudy.statistics.findings import Findings, study_facts

NOTHING = "none"
"""Stands for no text; pandas reads an empty cell as a missing number."""
MAIN = "experiment_summary"
"""The table beside the report; all others lie in TABLES_FOLDER."""
TABLES_FOLDER = "tables"
SEEDS_COLUMNS = ("seeds_needed",)
FORMULA = ("=", "+", "-", "@", "\t", "\r")
DIFFERENCES = ("difference", "difference_sd", "low", "high", "planning_sd", "unpaired_sd", "equivalence_low",
               "equivalence_high")  # fmt: skip
NOISE = ("sd_median", "sd_min", "sd_max", "difference_sd_median", "difference_sd_min", "difference_sd_max")
DEFICITS = ("deficit", "deficit_low", "deficit_high", "deficit_bound")
LEADS = ("lead", "lead_low", "lead_high", "winners_curse")


# --- names ---------------------------------------------------------------------------------------------------------


def disk_names(table: str, objective: Objective) -> dict[str, str]:
    """What a file of its own must spell out: columns of `table` -> their names on the disk."""
    quantity = objective.quantity
    names = {f"objective{part}": f"{objective.name}{part}" for part in ("", "_mean", "_sd", "_low", "_high")}
    names |= {f"test_score{part}": f"{objective.test_name}{part}" for part in ("", "_mean", "_sd", "_low", "_high")}
    names |= {name: f"{quantity}_{name}" for name in (*DEFICITS, *LEADS)}
    if table in ("comparisons", "contrasts", "interaction_effects"):
        names |= {n: f"{quantity}_difference_{n.removeprefix('difference').strip('_')}".strip("_") for n in DIFFERENCES}
    if table == "noise_floors":
        names |= {name: f"{quantity}_{name}" for name in NOISE}
        names |= {f"resolvable_{kind}": f"resolvable_{quantity}_{kind}" for kind in ("paired", "unpaired")}
        names["assumed_difference_sd"] = f"assumed_{quantity}_difference_sd"
    if table == "interaction_cells":
        names |= {name: f"{quantity}_{name}" for name in ("mean", "low", "high")}
    return names


def add_labels(table: pd.DataFrame, labels: Mapping[str, str]) -> pd.DataFrame:
    """Put what a configuration is called beside the column that names it, where the table does not say so yet."""
    if "configuration" not in table or "label" in table:
        return table
    table = table.copy()
    words = [labels.get(name, name) for name in table["configuration"]]
    table.insert(list(table.columns).index("configuration") + 1, "label", pd.Series(words, table.index))
    return table


# --- tables --------------------------------------------------------------------------------------------------------


def study_tables(findings: Findings) -> dict[str, pd.DataFrame]:
    """All tables by the name of their file, as they stand on the disk."""
    estimates = findings.estimates
    trials, curves = analysed_records(findings)
    tables = {
        MAIN: estimates.summary,
        "trials": trials,
        "curves": curves,
        "comparisons": estimates.comparisons,
        "verdicts": estimates.verdicts,
        "interactions": findings.interactions,
        "study_questions": findings.answers.table,
        "contrasts": estimates.contrasts,
        "arms": estimates.arms,
        "rankings": ranking_table(estimates),
        "noise_floors": estimates.noise_floors,
        "interaction_cells": findings.cells,
        "interaction_effects": findings.effects,
        "class_accuracy": findings.class_accuracy,
        "confusions": findings.confusions,
        "confirmation": findings.confirmation,
        "study_facts": study_facts(findings),
        "problems": findings.problems,
    }
    objective = findings.description.objective
    return {
        name: for_disk(add_labels(table, estimates.labels), disk_names(name, objective))
        for name, table in tables.items()
    }


def ranking_table(estimates: StudyEstimates) -> pd.DataFrame:
    """A row per experiment: its best, the lead over the runner-up and what is recommended."""
    rows = [
        {
            "experiment": e.experiment.name, "best": e.best, "best_label": e.labels.get(e.best or ""),
            "runner_up": e.runner_up, "runner_up_label": e.labels.get(e.runner_up or ""), "lead": e.lead,
            "lead_low": e.lead_low, "lead_high": e.lead_high, "winners_curse": e.winners_curse,
            "n_configurations": len(e.summary), "n_tied": len(e.tied), "n_unstable": len(e.unstable),
            "n_incomplete": len(e.incomplete), "n_flagged": int((e.summary["flags"] != "").sum()),
            "look": e.look, "n_seeds": e.ranked_seeds, "recommended": e.recommended,
            "recommended_label": e.labels.get(e.recommended or ""), "seeds_to_recommend": e.seeds_to_recommend,
            "confounded_with": "; ".join(e.confounded), "mixed": "; ".join(e.mixed),
        }
        for e in estimates.experiments
    ]  # fmt: skip
    return pd.DataFrame(rows)


def analysed_records(findings: Findings) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The trials of the analysed group, those on fresh seeds and foreign ones included, and their curves."""
    estimates, records = findings.estimates, findings.records
    known = pd.concat([estimates.trials["trial_id"], estimates.confirmation_trials["trial_id"]])
    trials = records.trials[records.trials["trial_id"].isin(known) | (records.trials["origin"] == FOREIGN)]
    return trials, records.curves[records.curves["trial_id"].isin(trials["trial_id"])]


# --- the disk ------------------------------------------------------------------------------------------------------


def for_disk(table: pd.DataFrame, renamed: Mapping[str, str] | None = None) -> pd.DataFrame:
    """The table as a file holds it: spelled-out names, numbers of seeds as numbers, texts that are safe to open."""
    columns: dict[str, Any] = {}
    for name, values in table.items():
        column = values
        if name in SEEDS_COLUMNS:
            column = values.map(seeds_number).astype(float)
        elif not pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values):
            column = values.astype(object).where(values.notna() & (values.astype(str) != ""), NOTHING).map(safe_cell)
        columns[(renamed or {}).get(str(name), str(name))] = column
    return pd.DataFrame(columns, index=table.index)


def seeds_number(words: object) -> float:
    """`12` -> 12, `>100` -> infinity, no words -> NaN."""
    text = "" if words is None else str(words)
    return math.inf if text.startswith(">") else float(text) if text else math.nan


def safe_cell(value: object) -> object:
    """A text that a spreadsheet would run as a formula, with an apostrophe in front; anything else as it is."""
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value


def write_tables(tables: Mapping[str, pd.DataFrame], folder: Path) -> list[Path]:
    """Write every table, also an empty one, so that no file of an earlier run is left to mislead.

    MAIN lies in `folder`, all others in `tables/` below it.
    """
    (folder / TABLES_FOLDER).mkdir(parents=True, exist_ok=True)
    paths = [(folder if name == MAIN else folder / TABLES_FOLDER) / f"{name}.csv" for name in tables]
    for path, table in zip(paths, tables.values(), strict=True):
        write_atomic(path, table.to_csv(index=False, lineterminator="\n").encode(errors="backslashreplace"))
    return paths
