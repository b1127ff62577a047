"""An analysis from a log directory to its report, as both the command line and a notebook run it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from gridstudy.core.errors import StudyError

if TYPE_CHECKING:
    from gridstudy.records.tables import Records
    from gridstudy.reporting.figures import Figure
    from gridstudy.statistics.findings import Findings


def analyse_logdir(logdir: Path, *, margin: float | None, command: str) -> tuple[Findings, list[str]]:
    """All that the records say, without figures, and a line for each frozen selection that cannot be read.

    `margin` is in the unit in which differences are shown. Raises StudyError where there is nothing to analyse.
    """
    from gridstudy.cli.confirmations import confirmation_results
    from gridstudy.records.tables import load_records

    records = load_records(logdir)
    check_records(records, logdir)
    findings = estimate(records, margin=margin, command=command)
    confirmation, problems = confirmation_results(logdir, findings.estimates)
    return replace(findings, confirmation=confirmation), problems


def check_records(records: Records, logdir: Path) -> None:
    """Refuse to analyse nothing, and say what is there instead."""
    if len(records.trials):
        return
    there = ""
    if len(records.problems):
        row = records.problems.iloc[0]
        there = f", and {len(records.problems)} that are not: {row['path']} is {row['state']} ({row['reason']})"
    raise StudyError(
        f"an analysis needs at least one complete trial; {logdir} holds none{there}. "
        "Run python grid_search_experiments.py first, or give another --logdir"
    )


def estimate(records: Records, *, margin: float | None, command: str) -> Findings:
    """All that the records say, without figures."""
    from gridstudy.statistics.estimates import analyse
    from gridstudy.statistics.findings import find

    estimates = analyse(records, margin=margin)
    return find(records, estimates, command=command)


def write_results(findings: Findings, output: Path, *, format: str) -> list[str]:
    """Write tables, figures and report; return what the user must know about it."""
    from gridstudy.reporting.report import write_report
    from gridstudy.reporting.tables import study_tables, write_tables

    try:
        paths = write_tables(study_tables(findings), output)
        figures = draw_figures(findings, output / "visualizations", format=format)
        notes = write_report(findings, output, figures=figures)
    except OSError as error:
        raise StudyError(f"cannot write {error.filename or output}: {error.strerror or error}") from None
    written = f"wrote report.md, report.html, {len(paths)} tables and {len(figures)} figures to {output.resolve()}"
    return [*notes, written]


def draw_figures(findings: Findings, folder: Path, *, format: str) -> dict[str, Figure]:
    """Save all figures as `format`, and return those that a browser can show."""
    from gridstudy.reporting.figures import save_figures

    for kind in dict.fromkeys([format, "png" if format == "pdf" else format]):
        figures = save_figures(findings, folder=folder, format=kind)
    return figures
