"""The report on other programs' results: figures, sentences, and whose report a file is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import gridstudy
from gridstudy.reporting.phrases import terminal
from gridstudy.reporting.results.figures import configuration_figure, effect_figure, forest_figure, result_figures
from gridstudy.reporting.results.findings import ResultFindings
from gridstudy.reporting.results.report import is_own_report, leading_figure, sign, write_report
from gridstudy.reporting.results.sentences import first_sentences


def find(*, n_seeds: int = 4, effect: float = 5.0, by: str | None = None) -> ResultFindings:
    rng = np.random.default_rng(0)
    rows = [
        {"width": width, "seed": seed, "task": task, "loss": 50 + effect * (width == 8) + rng.normal(0, 0.3) + level}
        for level, task in enumerate(("a", "b", "c") if by else ("a",))
        for width in (8, 16, 32)
        for seed in range(n_seeds)
    ]  # fmt: skip
    return gridstudy.analyse(
        pd.DataFrame(rows), objective="loss", hyperparameters="width", seed="seed", minimise=True, margin=0.5,
        unit="mm", by=by,
    )  # fmt: skip


def words(findings: ResultFindings) -> str:
    return " ".join(terminal(sentence) for sentence in first_sentences(findings))


def test_lower_is_better_where_it_is_minimised() -> None:
    text = words(find())
    assert "has the lowest mean" in text and "loss: lower is better" in text
    assert "width 16 better than 8 by 4." in text or "width 32 better than 8 by 4." in text


def test_an_effect_is_told_with_its_interval_the_right_way_round() -> None:
    findings = find()
    row = findings.tested_effects("").iloc[0]
    assert row["a"] == "8" and row["difference"] > 0  # a loss: the second value is the better one
    told = findings.unit.show_difference(row["difference"], row["low"], row["high"]).replace("+", "")
    assert f"better than 8 by {told}" in words(findings)


def test_nothing_is_called_best_without_replicates() -> None:
    findings = find(n_seeds=1)
    assert "none is called the best" in words(findings)
    figure = configuration_figure(findings, "")
    assert "not ranked" in figure.title
    assert leading_figure(findings, list(result_figures(findings))).kind == "configurations"  # no effect has 3 cells


def test_figures_show_each_configuration_with_unit_and_legend() -> None:
    findings = find()
    figure = configuration_figure(findings, "")
    (ax,) = figure.drawing.axes
    assert [label.get_text() for label in ax.get_yticklabels()] == list(findings.configurations("")["configuration"])
    assert ax.get_xlabel() == "loss (mm)"
    assert [text.get_text() for text in figure.drawing.legends[0].get_texts()] == [
        "may be the best (tied)", "shown to be behind the best",
    ]  # fmt: skip
    assert "To the left the first value is better" in effect_figure(findings).caption


def test_a_configuration_far_behind_does_not_squeeze_the_others() -> None:
    figure = configuration_figure(find(effect=500.0), "")
    (ax,) = figure.drawing.axes
    assert ax.get_xlim()[1] < 60
    assert any("\u2192" in text.get_text() for text in ax.texts) and "far outside" in figure.caption


def test_the_forest_has_a_row_per_condition_and_one_over_them() -> None:
    (figure,) = forest_figure(find(by="task"))
    labels = [label.get_text() for label in figure.drawing.axes[0].get_yticklabels()]
    assert labels == ["a", "b", "c", "all conditions"]


def test_a_report_shows_names_as_text(tmp_path: Path) -> None:
    findings = find()
    text = write_report(findings, [], folder=tmp_path)
    assert text.startswith("# `loss` in `the table`") and "## What was compared, and how" in text


@pytest.mark.parametrize(("change", "own"), [("", True), ("mine\n", False)])
def test_an_edited_report_is_somebodys(change: str, own: bool, tmp_path: Path) -> None:
    path = tmp_path / "report.md"
    path.write_text(sign("# Report\n\nText.\n") + change, encoding="utf-8")
    assert is_own_report(path) is own
    path.write_text(sign("# Report\n").replace("# Report", "# My report"), encoding="utf-8")
    assert not is_own_report(path)
    assert not is_own_report(tmp_path / "none.md")
