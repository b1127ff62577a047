"""Draw the conclusions: from the logs to tables, figures and a report."""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from gridstudy.cli.command_line import BAD_USAGE, Parser, drop_output, prepare_streams, refuse, to_path

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gridstudy.records.records import Records
    from gridstudy.reporting.figures import SavedFigure
    from gridstudy.statistics.findings import Findings

COMPLETE, INTERRUPTED = 0, 130
MOST_PROBLEMS = 50

EPILOG = """\
writes into the output folder: report.md (yours to write in: only its computed blocks are refreshed), report.html,
experiment_summary.csv, trials.csv, curves.csv, comparisons.csv, verdicts.csv and more tables, visualizations/

examples:
  python analyze_results.py                                  modellogs/ -> report, tables and figures here
  python analyze_results.py --logdir ../old_logs --output old    logs of other programs are read too
  python analyze_results.py --margin 1                       differences up to one percentage point do not matter
  python analyze_results.py --format pdf                     figures for print; the report shows PNG copies

exit code: 0 done, 2 bad usage or nothing to analyse, 130 interrupted
"""


def build_parser() -> argparse.ArgumentParser:
    """The command line, without any import that takes time."""
    parser = Parser(
        description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    add = parser.add_argument
    add("--logdir", type=to_path, default=Path("modellogs"), metavar="DIR",
        help="where the logs are (default: modellogs)")  # fmt: skip
    add("--output", type=to_path, default=Path(), metavar="DIR", help="where the results go (default: this folder)")
    add("--margin", default="0.5", metavar="POINTS",
        help="differences up to so many percentage points do not matter (default: 0.5)")  # fmt: skip
    add("--format", choices=["png", "svg", "pdf"], default="png",
        help="of the figures; with pdf, the report shows PNG copies (default: png)")  # fmt: skip
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit code."""
    prepare_streams()
    parser = build_parser()
    try:
        arguments = parser.parse_args(argv)
    except SystemExit as end:
        return COMPLETE if end.code == 0 else BAD_USAGE
    from gridstudy.core.errors import StudyError

    try:
        return _run(arguments, list(sys.argv[1:] if argv is None else argv))
    except StudyError as error:
        return refuse(str(error))
    except OSError as error:  # a name that is too long, no room for what is printed
        return refuse(f"the system refused: {error}; mend that and start anew")
    except KeyboardInterrupt:
        print("interrupted; the same command starts anew", file=sys.stderr)
        return INTERRUPTED


def _run(arguments: argparse.Namespace, argv: Sequence[str]) -> int:
    margin = parse_margin(arguments.margin)
    check_folders(arguments.logdir, arguments.output)
    print(f"reading {arguments.logdir} ...", file=sys.stderr, flush=True)

    from gridstudy.records.records import load_records

    records = load_records(arguments.logdir)
    check_records(records, arguments.logdir)
    findings = estimate(records, margin=margin, command=command_line(argv))
    findings, problems = add_confirmation(findings, arguments.logdir)
    for line in first_screen(findings):
        say(line)
    notes = write_results(findings, arguments.output, format=arguments.format)
    for line in [*problem_lines(records), *left_out_lines(findings), *problems, *notes]:
        say(line)
    return COMPLETE


def say(line: str) -> None:
    """Print a line; where nobody reads any longer, go on without, for the files are still wanted."""
    try:
        print(line, flush=True)
    except BrokenPipeError:
        drop_output()


def parse_margin(text: str) -> float:
    """`0.5` percentage points -> 0.005; StudyError on anything outside 0 to 50."""
    from gridstudy.core.errors import StudyError

    try:
        margin = float(text)
    except ValueError:
        margin = math.nan
    if not 0 < margin < 50:
        raise StudyError(f"--margin takes percentage points, more than 0 and less than 50, like 0.5; got {text!r}")
    return margin / 100


def check_folders(logdir: Path, output: Path) -> None:
    """Refuse a log directory that is not there and an output folder that cannot be written, before any work."""
    from gridstudy.core.errors import StudyError

    if not logdir.is_dir():
        raise StudyError(
            f"--logdir must be a folder with logs, as python grid_search_experiments.py makes one; there is no {logdir}"
        )
    try:
        output.mkdir(parents=True, exist_ok=True)
        probe = output / ".analyze_results.tmp"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise StudyError(f"--output must be a folder that can be written; got {output} ({error.strerror})") from None


def check_records(records: Records, logdir: Path) -> None:
    """Refuse to analyse nothing, and say what is there instead."""
    from gridstudy.core.errors import StudyError

    if len(records.trials):
        return
    there = "" if records.problems.empty else f", only {len(records.problems)} that are not: {_first_problem(records)}"
    raise StudyError(
        f"there must be at least one complete trial to analyse; {logdir} holds none{there}. "
        "Run python grid_search_experiments.py first, or give another --logdir"
    )


def _first_problem(records: Records) -> str:
    row = records.problems.iloc[0]
    return f"{row['path']} is {row['state']} ({row['reason']})"


def command_line(argv: Sequence[str]) -> str:
    """The command that was given, for the report."""
    return " ".join(["python analyze_results.py", *(f'"{part}"' if " " in part else part for part in argv)])


def estimate(records: Records, *, margin: float, command: str) -> Findings:
    """All that the records say, without figures."""
    from gridstudy.statistics.estimates import analyse
    from gridstudy.statistics.findings import Findings
    from gridstudy.statistics.interactions import cell_table, factorials, interaction_table
    from gridstudy.statistics.questions import answer_questions

    estimates = analyse(records, margin=margin)
    plans = [e.experiment for e in estimates.experiments if e.experiment.configurations]
    designs = factorials(estimates.trials, estimates.curves, plans)
    interactions = interaction_table(designs)
    answers = answer_questions(estimates.trials, estimates.curves, plans, interactions=interactions, margin=margin)
    return Findings(
        records=records, estimates=estimates, interactions=interactions, cells=cell_table(designs), answers=answers,
        command=command,
    )  # fmt: skip


def add_confirmation(findings: Findings, logdir: Path) -> tuple[Findings, list[str]]:
    """Add what the fresh seeds say, and a line for each frozen selection that cannot be read."""
    from dataclasses import replace

    from gridstudy.cli.confirmations import confirmation_results

    confirmation, problems = confirmation_results(logdir, findings.estimates)
    return replace(findings, confirmation=confirmation), problems


def write_results(findings: Findings, output: Path, *, format: str) -> list[str]:
    """Write tables, figures and report; return what the user must know about it."""
    from dataclasses import replace

    from gridstudy.core.errors import StudyError
    from gridstudy.reporting.report import write_report
    from gridstudy.reporting.tables import study_tables, write_tables
    from gridstudy.statistics.findings import study_facts

    try:
        tables = study_tables(
            findings.estimates, findings.records, interactions=findings.interactions, cells=findings.cells,
            questions=findings.answers.table, confirmation=findings.confirmation, facts=study_facts(findings),
        )  # fmt: skip
        paths = write_tables(tables, output)
        figures = draw_figures(findings, output / "visualizations", format=format)
        notes = write_report(replace(findings, figures=figures), output)
    except OSError as error:
        raise StudyError(f"cannot write {error.filename or output}: {error.strerror or error}") from None
    written = f"wrote report.md, report.html, {len(paths)} tables and {len(figures)} figures to {output.resolve()}"
    return [*notes, written]


def draw_figures(findings: Findings, folder: Path, *, format: str) -> dict[str, SavedFigure]:
    """Save all figures as `format`, and return those that a browser can show."""
    from gridstudy.reporting.figures import save_figures

    for kind in dict.fromkeys([format, "png" if format == "pdf" else format]):
        figures = save_figures(
            findings.estimates, answers=findings.answers, cells=findings.cells, folder=folder, format=kind
        )
    return figures


def first_screen(findings: Findings) -> list[str]:
    """The one-page summary in about ten lines."""
    from gridstudy.reporting.summary import summary_lines
    from gridstudy.statistics.findings import study_facts

    facts = study_facts(findings)
    return summary_lines(findings, dict(zip(facts["quantity"], facts["value"], strict=True)))


def problem_lines(records: Records) -> list[str]:
    """A line for each path that could not be used, with its reason."""
    rows = records.problems.to_dict("records")
    lines = [f"{row['state']:<12}{row['path']}: {row['reason']}" for row in rows[:MOST_PROBLEMS]]
    return lines + [f"{len(rows) - MOST_PROBLEMS} more are in problems.csv"] * (len(rows) > MOST_PROBLEMS)


def left_out_lines(findings: Findings) -> list[str]:
    """A line for each group of trials that may not be analysed together with the largest."""
    rows = findings.estimates.left_out.to_dict("records")
    return [
        f"left out    {row['n_trials']} trials: " + ", ".join(f"{k} {v}" for k, v in row.items() if k != "n_trials")
        for row in rows
    ]


if __name__ == "__main__":
    sys.exit(main())
