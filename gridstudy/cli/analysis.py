"""An analysis from a log directory to its report, as both the command line and a notebook run it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from gridstudy.core.errors import StudyError
from gridstudy.core.forks import done_ahead
from gridstudy.records.status import newest_change_ns

if TYPE_CHECKING:
    from gridstudy.records.tables import Records
    from gridstudy.reporting.plotting import Figure
    from gridstudy.statistics.findings import Findings
    from gridstudy.statistics.verdicts import StoredVerdict

    Order = tuple[Findings, Path, str]
    """What to draw, into which folder, and in which format."""
    Begin = Callable[[Order], Callable[[], dict[str, Figure]]]

REPORT_FILE = "report.html"
MOST_PROCESSES = 4
"""Draw the figures; more would take memory and gain little."""


def analyse_logdir(logdir: Path, *, margin: float | None, command: str) -> tuple[Findings, list[str]]:
    """All that the records say, without figures, and a line for each frozen selection that cannot be read.

    `margin` is in the unit in which differences are shown. Raises StudyError where there is nothing to analyse.
    """
    from gridstudy.cli.confirmations import confirmation_results
    from gridstudy.records.tables import load_records
    from gridstudy.statistics.findings import find
    from gridstudy.statistics.verdicts import stored_verdicts

    records = load_records(logdir)
    check_records(records, logdir)
    scale = 100 if all(plan.description.objective.is_fraction for plan in records.plans) else 1
    stored = read_stored(logdir)
    findings = find(records, None if margin is None else margin / scale, stored=stored, command=command)
    verdicts = [e.verdict for e in findings.experiments if e.verdict is not None]
    problems = store(logdir, stored_verdicts(verdicts, stored, group=findings.estimates.group_name))
    confirmation, unreadable = confirmation_results(logdir, findings.estimates)
    return replace(findings, confirmation=confirmation), [*problems, *unreadable]


def read_stored(logdir: Path) -> tuple[StoredVerdict, ...]:
    """The verdicts that were reached before; StudyError where their file cannot be read."""
    from gridstudy.records.toml import RecordError
    from gridstudy.records.verdicts import VERDICTS_FILE, read_verdicts
    from gridstudy.statistics.decisions import from_tables

    try:
        return from_tables(read_verdicts(logdir))
    except RecordError as error:
        raise StudyError(
            f"{logdir / VERDICTS_FILE} {error}; move it away to have the verdicts read off the records again"
        ) from None


def store(logdir: Path, verdicts: Sequence[StoredVerdict]) -> list[str]:
    """Keep the verdicts in the log directory; a line where that cannot be done."""
    from gridstudy.records.verdicts import write_verdicts
    from gridstudy.statistics.decisions import to_tables

    try:
        write_verdicts(logdir, to_tables(verdicts))
    except OSError as error:
        return [f"the verdicts could not be stored in {logdir} ({error.strerror or error})"]
    return []


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


def write_results(findings: Findings, output: Path, *, format: str, begin: Begin | None = None) -> list[str]:
    """Write tables, figures and report; return what the user must know about it.

    `begin` comes from `drawn_ahead`; without it the figures are drawn after the tables.
    """
    from gridstudy.reporting.phrases import count
    from gridstudy.reporting.report import write_report
    from gridstudy.reporting.tables import study_tables, write_tables

    try:
        order = findings, output / "visualizations", format
        finish = begin(order) if begin else partial(_draw, order)
        paths = write_tables(study_tables(findings), output)
        figures = finish()
        notes = write_report(findings, output, figures=figures)
    except OSError as error:
        raise StudyError(f"cannot write {error.filename or output}: {error.strerror or error}") from None
    drawn = count(len(figures), "figure")
    written = f"wrote report.md, report.html, {len(paths)} tables and {drawn} to {output.resolve()}"
    return [*notes, written]


def is_outdated(report: Path, logdir: Path) -> bool:
    """Whether a report is older than the logs, or than the text that it shows."""
    newest_ns = newest_change_ns(logdir)
    made_ns = report.stat().st_mtime_ns
    text = report.with_suffix(".md")
    return newest_ns is None or made_ns < newest_ns or (text.is_file() and made_ns < text.stat().st_mtime_ns)


def drawn_ahead() -> AbstractContextManager[Begin]:
    """Have figures drawn by a process that imports what draws while this one reads and estimates."""
    return done_ahead(_import_drawing, _draw)


def _import_drawing() -> None:
    from gridstudy.reporting.figures import import_drawing

    import_drawing()


def _draw(order: Order) -> dict[str, Figure]:
    findings, folder, format = order
    return draw_figures(findings, folder, format=format)


def draw_figures(findings: Findings, folder: Path, *, format: str) -> dict[str, Figure]:
    """Save all figures as `format`, and return those that a browser can show."""
    from gridstudy.reporting.figures import save_figures
    from gridstudy.running.cores import count_cores

    n_processes = min(count_cores(), MOST_PROCESSES)
    for kind in dict.fromkeys([format, "png" if format == "pdf" else format]):
        figures = save_figures(findings, folder=folder, format=kind, n_processes=n_processes)
    return figures
