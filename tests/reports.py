"""Findings, verdicts and reports for tests."""

from __future__ import annotations

from functools import cache

import pandas as pd

from gridstudy.records.tables import Records
from gridstudy.reporting.blocks import stamp_blocks
from gridstudy.reporting.tables import study_tables
from gridstudy.statistics import findings as findings_module
from gridstudy.statistics.findings import Findings, study_facts
from tests.tables import make_records

FRESH = stamp_blocks(
    "# A\n\n<!-- computed: a -->\nalpha 1 ±\n<!-- end -->\n\n> **To write:** here\n\n"
    "<!-- computed: b -->\nbeta 1\n<!-- end -->\n\n## End\n\n<!-- computed: empty --><!-- end -->\n"
)
LATER = stamp_blocks(
    "# other\n\n<!-- computed: a -->\nalpha 2 ±\n<!-- end -->\n\n<!-- computed: new -->\nnew 2\n<!-- end -->\n\n"
    "<!-- computed: b -->\nbeta 2\n<!-- end -->\n\n<!-- computed: empty -->\nno more\n<!-- end -->\n"
)


def find(records: Records, margin: float = 0.005) -> Findings:
    return findings_module.find(records, margin, command="python analyze_results.py")


@cache
def study_findings() -> Findings:
    names = ["epochs", "batch_size", "learning_rate", "depth_x_units"]
    return find(make_records(names, diverged=[("learning_rate=0.01", 1)], missing=[("depth=3", 0)]))


def tables_of(findings: Findings) -> dict[str, pd.DataFrame]:
    return study_tables(findings)


def facts_of(findings: Findings) -> dict[str, float]:
    """The facts by quantity."""
    return dict(study_facts(findings)[["quantity", "value"]].itertuples(index=False, name=None))
