"""The CSV files: all there, read back as they were written."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import pandas as pd
import pytest

from gridstudy.reporting.tables import RENAMED, for_disk, seeds_number, write_tables
from gridstudy.statistics.findings import Findings
from tests.reports import find, study_findings, tables_of
from tests.tables import join_records, make_foreign, make_records


@pytest.fixture
def findings() -> Findings:
    return study_findings()


@pytest.fixture
def tables() -> dict[str, pd.DataFrame]:
    return tables_of(study_findings())


def test_tables_survive_the_way_to_the_disk(tables: dict[str, pd.DataFrame], tmp_path: Path) -> None:
    for path in write_tables(tables, tmp_path):
        again, table = pd.read_csv(path), tables[path.stem]
        assert list(again.columns) == list(table.columns)
        for column in table:
            kinds = [t[column].dtype.kind for t in (again, table)]
            if len(table) and not table[column].isna().all() and column not in ("first_value", "second_value"):
                assert kinds[0] == kinds[1], (path.stem, column)
            if len(table) and kinds == ["f", "f"]:
                pd.testing.assert_series_equal(again[column], table[column], rtol=1e-14)
    named = ("experiment_summary", "trials", "curves", "comparisons", "verdicts", "interactions", "study_questions")
    assert all((tmp_path / f"{name}.csv").stat().st_size > 100 for name in named)


def test_the_summary_table_has_a_row_for_each_experiment_and_configuration(
    findings: Findings, tables: Mapping[str, pd.DataFrame]
) -> None:
    planned = [(e.experiment.name, c.name) for e in findings.experiments for c in e.experiment.configurations]
    found = tables["experiment_summary"][["experiment", "configuration"]].itertuples(index=False, name=None)
    assert sorted(found) == sorted(planned)


def test_missing_texts_and_seeds_have_one_spelling() -> None:
    table = for_disk(pd.DataFrame({"flags": ["", None, "a"], "seeds_needed": ["", "12", ">100"], "low": [1.0, 2, 3]}),
                     RENAMED["comparisons"])  # fmt: skip
    assert list(table["flags"]) == ["none", "none", "a"]
    assert math.isnan(seeds_number("")) and list(table["seeds_needed"])[1:] == [12.0, math.inf]
    assert "accuracy_difference_low" in table


def test_foreign_and_confirming_trials_are_in_the_table_of_trials() -> None:
    ours, fresh = make_records(["epochs"]), make_records(["epochs"], first_seed=1000, rng=1)
    trials = tables_of(find(join_records(ours, fresh, make_foreign(make_records(["epochs"], rng=2)))))["trials"]
    assert len(trials) == 45
    assert (trials["origin"] == "foreign").sum() == 15
