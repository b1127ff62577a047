"""Estimates from other programs' results -> report.md, report.html, tables and figures in one folder."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pandas as pd

from gridstudy.core.errors import StudyError
from gridstudy.core.files import read_bytes, write_atomic
from gridstudy.reporting.figures import own_style, save_figure
from gridstudy.reporting.page import make_html
from gridstudy.reporting.phrases import code, count, fixed, p_value, plain, table
from gridstudy.reporting.plotting import Figure
from gridstudy.reporting.results.figures import result_figures
from gridstudy.reporting.results.findings import ResultFindings
from gridstudy.reporting.results.sentences import caveats, first_sentences
from gridstudy.reporting.results.tables import result_tables
from gridstudy.reporting.tables import write_tables

REPORT = "report.md"
MARK = re.compile(r"\n<!-- gridstudy results ([0-9a-f]{16}) -->\n$")
MOST_ROWS = 30
MOST_PROBLEMS = 20


def write_results(findings: ResultFindings, folder: Path, *, format: str) -> list[str]:
    """Write all that was found into `folder`; return the lines that the user must see."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        paths = write_tables(result_tables(findings), folder)
        rerun = folder / "rerun.csv"
        if len(findings.estimates.rerun):
            write_atomic(rerun, findings.estimates.rerun.to_csv(index=False, lineterminator="\n").encode())
        else:
            rerun.unlink(missing_ok=True)
        figures = draw_figures(findings, folder / "visualizations", format=format)
        text = sign(write_report(findings, figures, folder=folder))
        write_atomic(folder / REPORT, text.encode())
        points = {_address(figure, folder): figure.points for figure in figures}
        write_atomic(folder / "report.html", make_html(text, folder, points=points).encode())
    except OSError as error:
        raise StudyError(f"cannot write {error.filename or folder}: {error.strerror or error}") from None
    more = ", rerun.csv" if len(findings.estimates.rerun) else ""
    drawn = count(len(figures), "figure")
    return [f"wrote report.md, report.html, {len(paths)} tables{more} and {drawn} to {folder.resolve()}"]


def sign(text: str) -> str:
    """Add a line by which `is_own_report` knows the text again."""
    body = text.rstrip("\n") + "\n"
    return f"{body}\n<!-- gridstudy results {_digest(body)} -->\n"


def is_own_report(path: Path) -> bool:
    """Whether a report was written here and nobody has written in it since."""
    try:
        text = read_bytes(path).decode("utf-8", "replace")
    except OSError:
        return False
    found = MARK.search(text)
    return found is not None and found[1] == _digest(text[: found.start()])


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def draw_figures(findings: ResultFindings, folder: Path, *, format: str) -> list[Figure]:
    """Save all figures as `format`, and return those that a browser can show."""
    folder.mkdir(parents=True, exist_ok=True)
    saved: list[Figure] = []
    for kind in dict.fromkeys([format, "png" if format == "pdf" else format]):
        with own_style():
            saved = [save_figure(figure, folder, kind) for figure in result_figures(findings)]
    return saved


# --- the text ------------------------------------------------------------------------------------------------------


def write_report(findings: ResultFindings, figures: Sequence[Figure], *, folder: Path) -> str:
    """The whole report as Markdown."""
    rest = [figure for figure in figures if figure is not leading_figure(findings, figures)]
    of_configurations = [figure for figure in rest if figure.kind == "configurations"]
    of_effects = [figure for figure in rest if figure.kind == "effects"]
    sections = [
        f"# {code(findings.objective)} in {code(findings.runs.source)}",
        _bullets(first_sentences(findings)),
        *([_picture(first, folder)] if (first := leading_figure(findings, figures)) else []),
        "## What was compared, and how",
        _bullets(caveats(findings)),
        *_configuration_sections(findings, of_configurations, folder),
        *_effect_sections(findings, of_effects, folder),
        *_variance_section(findings),
        *_verdict_section(findings),
        *_rerun_section(findings),
        *_problem_section(findings),
        "## Files",
        "`experiment_summary.csv` has a row per configuration, `tables/comparisons.csv` the difference of every pair, "
        "`tables/effects.csv` that of every pair of values, `tables/problems.csv` what was left out.",
        "To run this analysis again:",
        f"```\n{findings.command}\n```",
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def leading_figure(findings: ResultFindings, figures: Sequence[Figure]) -> Figure | None:
    """The figure of the first page: over conditions, of the ranking, or, where nothing is ranked, of the effects."""
    ranked = findings.configurations(findings.main)["rank"].notna().any()
    order = ["forest", "configurations", "effects"] if ranked else ["forest", "effects", "configurations"]
    return min(figures, key=lambda figure: order.index(figure.kind), default=None)


def _bullets(sentences: Iterator[Any] | Sequence[Any]) -> str:
    return "\n".join(f"- {sentence}" for sentence in sentences)


def _address(figure: Figure, folder: Path) -> str:
    return quote(figure.path.relative_to(folder).as_posix())


def _picture(figure: Figure, folder: Path) -> str:
    return f"![{plain(figure.alt_text)}]({_address(figure, folder)})\n\n*{plain(figure.caption)}*"


def _configuration_sections(findings: ResultFindings, figures: Sequence[Figure], folder: Path) -> Iterator[str]:
    yield "## Configurations"
    for condition in dict.fromkeys((findings.main, *findings.conditions)):
        rows = findings.configurations(condition)
        if condition:
            yield f"### {plain(condition)}"
        yield table([_configuration_row(findings, row) for row in rows.head(MOST_ROWS).to_dict("records")], left=1)
        if len(rows) > MOST_ROWS:
            yield f"{len(rows) - MOST_ROWS} more are in `experiment_summary.csv`."
    yield from (_picture(figure, folder) for figure in figures)


def _configuration_row(findings: ResultFindings, row: Mapping[Any, Any]) -> dict[str, object]:
    notes = [str(row["label"])] if row["label"] else []
    notes += ["may be the best"] if row["tied"] else []
    notes += ["recommended"] if row["recommended"] else []
    cost = findings.runs.options.cost
    bound = row["deficit_bound"]
    return {
        "configuration": code(row["configuration"]),
        "rank": "" if pd.isna(row["rank"]) else f"{row['rank']:.0f}",
        "n": f"{row['n']:.0f}",
        f"mean {findings.objective} [95 %]": findings.unit.show_interval(row["mean"], row["low"], row["high"])
        if pd.notna(row["mean"]) else "no run",
        "behind the best by at most": findings.unit.show_difference(bound).lstrip("+")
        if pd.notna(bound) and abs(bound) != float("inf") else "",
        **({cost: f"{row['cost']:.4g}"} if cost else {}),
        "note": "; ".join(notes),
    }  # fmt: skip


def _effect_sections(findings: ResultFindings, figures: Sequence[Figure], folder: Path) -> Iterator[str]:
    effects = findings.tested_effects(findings.main)
    if effects.empty:
        return
    yield "## Hyperparameters"
    yield from (_picture(figure, folder) for figure in figures)
    rows = [
        {
            "hyperparameter": code(row["hyperparameter"]), "values": plain(f"{row['a']} against {row['b']}"),
            "difference [95 %]": findings.unit.show_difference(row["difference"], row["low"], row["high"]),
            "n": f"{row['n']:.0f} {row['unit']}s", "pairs of cells": f"{row['n_cells']:.0f}",
            "p (Holm)": p_value(row["p_holm"]) if pd.notna(row["p_holm"]) else "not tested",
        }
        for row in effects.head(MOST_ROWS).to_dict("records")
    ]  # fmt: skip
    yield table(rows, left=2)
    if len(effects) > MOST_ROWS:
        yield f"{len(effects) - MOST_ROWS} more are in `tables/effects.csv`."


def _variance_section(findings: ResultFindings) -> Iterator[str]:
    found = findings.estimates.interactions
    found = found[(found["condition"] == findings.main) & found["p"].notna()]
    if found.empty:
        return
    yield "## Analysis of variance"
    yield (
        "The grid is complete and its replicates are paired. `A x B` is an interaction: what A does depends on B. Its "
        "p value is corrected by Holm over the interactions."
    )
    rows = [
        {
            "term": code(row["term"]), "F": f"{row['F']:.3g}",
            "p": p_value(row["p"] if pd.isna(row["p_holm"]) else row["p_holm"]),
            "share of the variance": "" if pd.isna(row["omega_squared"])
            else f"{fixed(100 * max(row['omega_squared'], 0.0), 0)} %",
        }
        for row in found.to_dict("records")
    ]  # fmt: skip
    yield table(rows)


def _verdict_section(findings: ResultFindings) -> Iterator[str]:
    if findings.estimates.verdicts.empty:
        return
    yield "## Hypotheses"
    yield (
        "They were written after the results, or nothing shows that they were not. All are judged at one look; p "
        "values are corrected by Holm."
    )
    rows = [
        {
            "hypothesis": plain(f"{row['name']}: {row['hypothesis']}"), "verdict": row["verdict"],
            "p": p_value(row["p_adjusted"]), "p (alike)": p_value(row["p_equivalent_adjusted"]),
            "note": plain(row["labels"]),
        }
        for row in findings.estimates.verdicts.to_dict("records")
    ]  # fmt: skip
    yield table(rows, left=2)


def _rerun_section(findings: ResultFindings) -> Iterator[str]:
    rerun = findings.estimates.rerun
    if rerun.empty:
        return
    yield "## Runs that would say more"
    yield (
        f"`rerun.csv` lists {len(rerun)} runs: the best configurations, each with the same new seeds, so that they "
        "can be compared in pairs. The best of many single runs look better than they are; judge by the new runs alone."
    )


def _problem_section(findings: ResultFindings) -> Iterator[str]:
    problems = findings.runs.problems
    if problems.empty:
        return
    yield "## Left out"
    rows = [{"run": plain(row["path"]), "state": row["state"], "reason": plain(row["reason"])}
            for row in problems.head(MOST_PROBLEMS).to_dict("records")]  # fmt: skip
    yield table(rows, left=3)
    if len(problems) > MOST_PROBLEMS:
        yield f"{len(problems) - MOST_PROBLEMS} more are in `tables/problems.csv`."
