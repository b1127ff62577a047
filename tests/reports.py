"""Findings, verdicts and reports for tests."""

from __future__ import annotations

from functools import cache

import pandas as pd

from analyze_results import estimate
from gridstudy.records.records import Records
from gridstudy.reporting.blocks import stamp_blocks
from gridstudy.reporting.tables import study_tables
from gridstudy.statistics.findings import Findings, study_facts
from gridstudy.statistics.noise import FROM_EXPERIMENT
from gridstudy.statistics.verdicts import ContrastEstimate, Verdict
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
    return estimate(records, margin=margin, command="python analyze_results.py")


@cache
def study_findings() -> Findings:
    names = ["epochs", "batch_size", "learning_rate", "depth_x_units"]
    return find(make_records(names, diverged=[("learning_rate=0.01", 1)], missing=[("depth=3", 0)]))


def tables_of(findings: Findings) -> dict[str, pd.DataFrame]:
    return study_tables(
        findings.estimates, findings.records, interactions=findings.interactions, cells=findings.cells,
        questions=findings.answers.table, confirmation=findings.confirmation, facts=study_facts(findings),
    )  # fmt: skip


def facts_of(findings: Findings) -> dict[str, float]:
    """The facts by quantity."""
    return dict(study_facts(findings)[["quantity", "value"]].itertuples(index=False, name=None))


def contrast(difference: float = 0.0152, **changes: object) -> ContrastEstimate:
    values: dict[str, object] = dict(  # noqa: C408
        contrast="epochs 10 > epochs 5", better="epochs=10", worse="baseline", n_better=1, n_worse=1, n=5,
        difference=difference, difference_sd=0.01, planning_sd=0.01, low=difference - 0.01, high=difference + 0.01,
        low_90=0.0, high_90=0.0, p_for=0.01, p_against=0.99, p_equivalent=0.9, label="paired",
    )  # fmt: skip
    return ContrastEstimate(**{**values, **changes})  # type: ignore[arg-type]


def verdict(word: str, *contrasts: ContrastEstimate, **changes: object) -> Verdict:
    values: dict[str, object] = dict(  # noqa: C408
        experiment="epochs", hypothesis="More is better.", verdict=word, p_for=0.01, p_against=0.99, p_equivalent=0.9,
        p_adjusted=0.02, family="the seven experiments", family_size=7, seeds_to_decide="",
        seeds_source=FROM_EXPERIMENT, labels=(), contrasts=contrasts or (contrast(),),
    )  # fmt: skip
    return Verdict(**{**values, **changes})  # type: ignore[arg-type]
