"""Estimates from other programs' results -> CSV files under the file's own column names."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from gridstudy.reporting.results.findings import ResultFindings
from gridstudy.reporting.tables import MAIN, for_disk


def result_tables(findings: ResultFindings) -> dict[str, pd.DataFrame]:
    """All tables by the name of their file, as they stand on the disk; numbers are in the file's own unit."""
    estimates = findings.estimates
    tables = {
        MAIN: _with_settings(findings, estimates.configurations),
        "comparisons": _by_condition(findings, estimates.comparisons),
        "effects": _by_condition(findings, estimates.effects),
        "interactions": _by_condition(findings, estimates.interactions),
        "replicates": _by_condition(findings, estimates.rules),
        "verdicts": estimates.verdicts,
        "contrasts": estimates.contrasts,
        "problems": findings.runs.problems,
    }
    return {name: for_disk(table, _names(findings, name)) for name, table in tables.items()}


def _by_condition(findings: ResultFindings, table: pd.DataFrame) -> pd.DataFrame:
    """The table with the condition under the name of its column, or without where there is none."""
    by = findings.runs.options.by
    return table.rename(columns={"condition": by}) if by else table.drop(columns="condition")


def _with_settings(findings: ResultFindings, table: pd.DataFrame) -> pd.DataFrame:
    """Hyperparameters in columns of their own behind the configuration's name."""
    settings = findings.estimates.settings.reindex(table["configuration"]).reset_index(drop=True)
    settings = settings[[name for name in settings.columns if name not in table.columns]]
    table = table.reset_index(drop=True)
    if findings.runs.options.cost is None:
        table = table.drop(columns=["cost", "recommended"])
    place = list(table.columns).index("configuration") + 1
    parts = [table.iloc[:, :place], settings.set_axis(table.index), table.iloc[:, place:]]
    return _by_condition(findings, pd.concat(parts, axis=1))


def _names(findings: ResultFindings, table: str) -> Mapping[str, str]:
    """Names that say of what a number is: `acc_mean`, `acc_difference`."""
    objective = findings.runs.pattern or findings.runs.options.objective[0]
    if table == MAIN:
        cost = findings.runs.options.cost
        own = {name: f"{objective}_{name}" for name in ("mean", "sd", "low", "high", "deficit_bound")}
        return own | ({"cost": cost} if cost else {})
    differences = ("difference", "difference_sd")
    bounds = {name: f"{objective}_difference_{name}" for name in ("low", "high", "low_90", "high_90")}
    return {name: f"{objective}_{name}" for name in differences} | bounds
