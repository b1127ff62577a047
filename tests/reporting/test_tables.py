"""The CSV files: all there, read back as they were written."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import pandas as pd
import pytest

from gridstudy.core.subject import Objective
from gridstudy.reporting.tables import disk_names, for_disk, safe_cell, seeds_number, write_tables
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
    sizes = {path.stem: path.stat().st_size for path in tmp_path.rglob("*.csv")}
    assert all(sizes[name] > 100 for name in named)


def test_the_summary_table_has_a_row_for_each_experiment_and_configuration(
    findings: Findings, tables: Mapping[str, pd.DataFrame]
) -> None:
    planned = [(e.experiment.name, c.name) for e in findings.experiments for c in e.experiment.configurations]
    found = tables["experiment_summary"][["experiment", "configuration"]].itertuples(index=False, name=None)
    assert sorted(found) == sorted(planned)


def test_missing_texts_and_seeds_have_one_spelling() -> None:
    names = disk_names("comparisons", Objective("validation_accuracy", quantity="accuracy"))
    table = for_disk(
        pd.DataFrame({"flags": ["", None, "a"], "seeds_needed": ["", "12", ">100"], "low": [1.0, 2, 3]}), names
    )
    assert list(table["flags"]) == ["none", "none", "a"]
    assert math.isnan(seeds_number(""))
    assert list(table["seeds_needed"])[1:] == [12.0, math.inf]
    assert "accuracy_difference_low" in table


def test_no_cell_is_taken_for_a_formula_by_a_spreadsheet() -> None:
    for text in ("=1+1", "+cmd", "-2+3", "@sum"):
        assert str(safe_cell(text))[0] not in "=+-@"
    assert (safe_cell("a=b"), safe_cell(-1.5)) == ("a=b", -1.5)


def test_configurations_stand_beside_the_names_of_their_arms(tables: Mapping[str, pd.DataFrame]) -> None:
    for name in ("experiment_summary", "trials"):
        columns = list(tables[name].columns)
        assert columns[columns.index("configuration") + 1] == "label"
    summary = tables["experiment_summary"].set_index(["experiment", "configuration"])["label"]
    assert summary["learning_rate", "learning_rate=1e-05"] == "1e-5"


def test_the_summary_lies_in_the_output_folder_and_the_rest_in_tables(
    tables: dict[str, pd.DataFrame], tmp_path: Path
) -> None:
    paths = write_tables(tables, tmp_path)
    assert [p.name for p in paths if p.parent == tmp_path] == ["experiment_summary.csv"]
    assert {p.parent for p in paths} == {tmp_path, tmp_path / "tables"}


def test_foreign_and_confirming_trials_are_in_the_table_of_trials() -> None:
    ours, fresh = make_records(["epochs"]), make_records(["epochs"], first_seed=1000, rng=1)
    trials = tables_of(find(join_records(ours, fresh, make_foreign(make_records(["epochs"], rng=2)))))["trials"]
    assert len(trials) == 45
    assert (trials["origin"] == "foreign").sum() == 15
