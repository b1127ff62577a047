"""The analysis' command line: read, estimate, draw, write."""

from __future__ import annotations

import argparse
import math
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from gridstudy.cli import results
from gridstudy.cli.command_line import Parser, answer, collecting_seldom, drop_output, to_path

if TYPE_CHECKING:
    from gridstudy.records.tables import Records
    from gridstudy.statistics.findings import Findings

COMPLETE, INTERRUPTED = 0, 130
MOST_PROBLEMS = 50

DESCRIPTION = "Analyse the logs of a study: write tables, figures and a report."
EPILOG = """\
writes into the output folder:
  report.md (yours to edit: only its computed blocks are refreshed),
  report.html, experiment_summary.csv, tables/ and visualizations/

examples:
  {command}
      analyse modellogs/ and write into this folder
  {command} --logdir ../old_logs --output old
      logs of other programs are read too
  {command} --margin 1
      differences up to one percentage point do not matter
  {command} --if-outdated
      only if the logs are newer than the report
  {command} --format pdf
      figures for print; the report shows PNG copies
  {command} --results runs.csv
      propose a role for each column of a table of results
  {command} --results runs.csv --objective acc \\
      --hyperparameters lr,layers --seed seed --unit fraction

exit code:
  0 done, 2 bad usage or nothing to analyse, 130 interrupted;
  with --check also 3 or 4
"""


def build_parser(command: str = "python analyze_results.py") -> argparse.ArgumentParser:
    """The command line, without any import that takes time."""
    parser = Parser(
        prog=command, description=DESCRIPTION, epilog=EPILOG.format(command=command), allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    add = parser.add_argument
    add("--logdir", type=to_path, default=Path("modellogs"), metavar="DIR",
        help="where the logs are (default: modellogs)")  # fmt: skip
    add("--output", type=to_path, metavar="DIR",
        help="where the results go (default: this folder; for --results a new one named after the source)")  # fmt: skip
    add("--margin", metavar="M",
        help="differences up to this do not matter: percentage points, or the unit of the objective "
        "(default: 0.5 points, or what the subject says)")  # fmt: skip
    add("--format", choices=["png", "svg", "pdf"], default="png",
        help="of the figures; with pdf, the report shows PNG copies (default: png)")  # fmt: skip
    add("--check", action="store_true",
        help="exit code 0 if every hypothesis is decided as claimed, 3 if one is contradicted or makes no practical "
        "difference, else 4 if one is undecided, 2 if there is none")  # fmt: skip
    add("--if-outdated", action="store_true",
        help="analyse only if there is no report or one older than the logs; print its path last")  # fmt: skip
    results.add_options(parser)
    return parser


def main(argv: Sequence[str] | None = None, *, command: str = "python analyze_results.py") -> int:
    """Run the command line; return its exit code."""
    run = partial(_run, command=" ".join([command, *map(_quote, sys.argv[1:] if argv is None else argv)]))
    try:
        with collecting_seldom():
            return answer(build_parser(command), argv, run, advice="fix it and rerun the same command")
    except KeyboardInterrupt:
        print("interrupted; rerun the same command to start again", file=sys.stderr)
        return INTERRUPTED


def _quote(text: str) -> str:
    return f'"{text}"' if " " in text else text


def _run(arguments: argparse.Namespace, command: str) -> int:
    if arguments.if_outdated:
        return _run_if_outdated(arguments, command)
    if results.is_about_results(arguments):
        return results.run(arguments, command, say=say, check_output=check_output)
    from gridstudy.cli.analysis import REPORT_FILE, analyse_logdir, drawn_ahead, write_results
    from gridstudy.records.status import newest_change_ns
    from gridstudy.reporting.summary import first_screen
    from gridstudy.statistics.results.hypotheses import check_exit_code

    margin, output = parse_margin(arguments.margin), arguments.output or Path()
    check_folders(arguments.logdir, output)
    newest_ns = newest_change_ns(arguments.logdir)
    print(f"reading {arguments.logdir} ...", file=sys.stderr, flush=True)
    with drawn_ahead() as begin:
        findings, problems = analyse_logdir(arguments.logdir, margin=margin, command=command)
        for line in first_screen(findings):
            say(line)
        notes = write_results(findings, output, format=arguments.format, begin=begin)
    _date_report(output / REPORT_FILE, newest_ns, newest_change_ns(arguments.logdir))
    for line in [*problem_lines(findings.records), *left_out_lines(findings), *problems, *notes]:
        say(line)
    if arguments.check:
        return results.exit_code(check_exit_code([e.verdict.verdict for e in findings.experiments if e.verdict]))
    return COMPLETE


def _date_report(report: Path, before_ns: int | None, after_ns: int | None) -> None:
    """Date a report now, also where it did not change; or by the logs that it is of, where they have changed since."""
    with suppress(OSError):
        if before_ns is None or before_ns == after_ns:
            os.utime(report)
        else:
            os.utime(report, ns=(before_ns, before_ns))


def _run_if_outdated(arguments: argparse.Namespace, command: str) -> int:
    """Analyse where the report is missing or outdated, say which, and print the report's path last."""
    from gridstudy.cli.analysis import REPORT_FILE, is_outdated
    from gridstudy.core.errors import StudyError

    given = {"--margin": arguments.margin, "--format": arguments.format != "png", "--check": arguments.check}
    for option in [option for option, value in given.items() if value]:
        raise StudyError(f"--if-outdated may leave the report as it is, so {option} does not go with it")
    if results.is_about_results(arguments):
        raise StudyError("--if-outdated is for the logs of a study; leave it out with --results")
    report = (arguments.output or Path()).resolve() / REPORT_FILE
    if not report.is_file():
        say("there is no report yet: making it")
    elif is_outdated(report, arguments.logdir):
        say("the report is older than the logs: making it again")
    else:
        say("the report is up to date")
        say(str(report))
        return COMPLETE
    code = _run(argparse.Namespace(**{**vars(arguments), "if_outdated": False}), command)
    say(str(report))
    return code


def say(line: str) -> None:
    """Print a line; where nobody reads any longer, go on without, for the files are still wanted."""
    try:
        print(line, flush=True)
    except BrokenPipeError:
        drop_output()


def parse_margin(text: str | None) -> float | None:
    """A margin in the unit in which differences are shown; StudyError for anything but a positive number."""
    from gridstudy.core.errors import StudyError

    if text is None:
        return None
    try:
        margin = float(text)
    except ValueError:
        margin = math.nan
    if not 0 < margin < math.inf:
        raise StudyError(f"--margin takes a positive number, like 0.5; got {text!r}")
    return margin


def check_folders(logdir: Path, output: Path) -> None:
    """Refuse a log directory that is not there and an output folder that cannot be written, before any work."""
    from gridstudy.core.errors import StudyError

    if not logdir.is_dir():
        raise StudyError(
            f"--logdir must be a folder with logs, as python grid_search_experiments.py makes one; got {logdir}"
        )
    check_output(output)


def check_output(output: Path) -> None:
    """Refuse an output folder that cannot be written, before any work."""
    from gridstudy.core.errors import StudyError

    try:
        output.mkdir(parents=True, exist_ok=True)
        probe = output / ".analyze_results.tmp"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise StudyError(f"--output must be a folder that can be written; got {output} ({error.strerror})") from None


def problem_lines(records: Records) -> list[str]:
    """A line for each path that could not be used, with its reason."""
    rows = records.problems.to_dict("records")
    lines = [f"{row['state']:<12}{row['path']}: {row['reason']}" for row in rows[:MOST_PROBLEMS]]
    more = [f"{len(rows) - MOST_PROBLEMS} more are in tables/problems.csv"] * (len(rows) > MOST_PROBLEMS)
    return ["".join(c if c.isprintable() else "?" for c in line) for line in lines] + more


def left_out_lines(findings: Findings) -> list[str]:
    """A line for each group of trials that may not be analysed together with the largest."""
    group = findings.estimates.group
    return [
        f"left out    {row['n_trials']} trial{'s'[: row['n_trials'] != 1]}: " + ", ".join(
            f"{str(key).replace('_', ' ')} {value} instead of {group[str(key)]}"
            for key, value in row.items() if key != "n_trials" and value != group.get(str(key))
        )
        for row in findings.estimates.left_out.to_dict("records")
    ]  # fmt: skip
