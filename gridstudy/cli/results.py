"""Results of other programs from the command line: propose roles, or analyse and report."""

from __future__ import annotations

import argparse
import re
import shlex
import sys
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gridstudy.core.errors import StudyError

if TYPE_CHECKING:
    import pandas as pd

    from gridstudy.records.foreign.options import ResultOptions
    from gridstudy.records.foreign.selection import ForeignRuns
    from gridstudy.records.foreign.table import ColumnRole, RunTable
    from gridstudy.reporting.results.findings import ResultFindings
    from gridstudy.statistics.results.hypotheses import Claim, ResultHypothesis

PREFIXES = ("mlflow:", "optuna:")
GAPS = {
    "COLUMN": "the objective (COLUMN)",
    "COLUMNS": "the hyperparameters (COLUMNS)",
    "NUMBER": "the smallest difference that matters (NUMBER)",
}
"""What a suggested command leaves open."""
MOST_CELL = 34
"""Letters of a cell of the table of proposed roles."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options for results that other programs left."""
    group = parser.add_argument_group("results of other programs", "Without roles, they are proposed.")
    add = group.add_argument
    add("--results", metavar="SOURCE", help="a CSV or Parquet file, a log folder, mlflow:PATH or optuna:PATH")
    add("--from", dest="choice", metavar="NAME", help="the experiment of mlflow:PATH or the study of optuna:PATH")
    add("--study", metavar="FILE", help="a TOML file with a [results] table of these options, and hypotheses")
    add("--objective", metavar="A,B", help="the first of these columns that a run has, or a pattern: 'split*_score'")
    add("--hyperparameters", metavar="A,B", help="the columns whose values are compared")
    add(
        "--ignore",
        metavar="A,B",
        help="columns that are not settings, although like runs differ in them",
    )
    add("--seed", metavar="COLUMN", help="column of the seed: rows with the same seed are paired")
    add("--block", metavar="COLUMN", help="column of the session or machine: rows that share it are paired")
    add("--start", metavar="COLUMN", help="when a run started; known for MLflow, Optuna and log folders")
    add("--by", metavar="COLUMN", help="column of the data set or task: one analysis for each and one across them")
    add("--folds", metavar="K", help="the replicates are folds of K-fold cross-validation")
    add("--epoch", metavar="COLUMN", help="column of the epoch or step, if there is a row for each")
    add("--at", metavar="WHEN", help="last, best or the number of an epoch (default: last)")
    add("--cost", metavar="COLUMN", help="recommend the cheapest of those within the margin by this column")
    add("--where", metavar="COLUMN=VALUE", action="append", help="only these rows, or COLUMN!=VALUE; repeatable")
    add("--unit", metavar="UNIT", help="fraction, percent or any text; without it, --margin is required")
    add("--minimise", action="store_true", help="lower is better (default: higher, or what the source says)")


def is_about_results(arguments: argparse.Namespace) -> bool:
    """Whether the command is about results of other programs: a source, a study file or any of their roles."""
    given = [name for name in option_names() if getattr(arguments, name, None)]
    return any((arguments.results is not None, arguments.study is not None, arguments.choice is not None, given))


def option_names() -> tuple[str, ...]:
    """The options that give columns their roles."""
    return ("objective", "hyperparameters", "ignore", "seed", "block", "start", "by", "folds", "epoch", "at", "cost",
            "where", "unit", "minimise")  # fmt: skip


def run(arguments: argparse.Namespace, command: str, *, say: Any, check_output: Any) -> int:
    """Propose roles or analyse; return the exit code."""
    from gridstudy.reporting.figures import import_matplotlib

    study = read_study(Path(arguments.study)) if arguments.study else Study()
    options = merge_options(arguments, study.options)
    source = arguments.results or study.source or str(arguments.logdir)
    choice = arguments.choice or study.choice
    print(f"reading {source} ...", file=sys.stderr, flush=True)
    table = read_source(source, choice=choice, options=options)
    if not (options.objective or options.hyperparameters or table.is_log_folder):
        for line in proposal_lines(table, choice=choice, program=command.partition(" --")[0]):
            say(line)
        return 0
    folder = choose_folder(arguments.output, source, choice=choice)
    import_matplotlib()
    from gridstudy.reporting.phrases import terminal
    from gridstudy.reporting.results.report import write_results
    from gridstudy.reporting.results.sentences import caveats, first_sentences

    findings = analyse_table(table, options, hypotheses=study.hypotheses, command=command)
    check_output(folder)  # not before, so that a mistake leaves no empty folder behind
    for sentence in [*first_sentences(findings), *caveats(findings)]:
        say(terminal(sentence))
    for line in write_results(findings, folder, format=arguments.format):
        say(line)
    return exit_code(findings.estimates.check_exit_code) if arguments.check else 0


def exit_code(code: int) -> int:
    """The exit code of --check; StudyError where there was nothing to check."""
    if code == 2:
        raise StudyError(
            "--check needs at least one hypothesis with contrasts; results of others take them from --study"
        )
    return code


def read_source(source: str, *, choice: str | None, options: ResultOptions) -> RunTable:
    """Read the source; a row per step only where an epoch is named."""
    from gridstudy.records.foreign.sources import read_results

    with_steps = options.epoch is not None and source.startswith(PREFIXES)
    return read_results(source, choice=choice, with_steps=with_steps)


# --- proposals -----------------------------------------------------------------------------------------------------


def proposal_lines(table: RunTable, *, choice: str | None, program: str) -> Iterator[str]:
    """A row per column with its proposed role, why and examples; then a command to read, mend and paste."""
    from gridstudy.records.foreign.roles import propose_roles, suggested_command
    from gridstudy.records.foreign.table import count_states

    roles = propose_roles(table)
    left = f"; left out: {count_states(table.problems)}" if len(table.problems) else ""
    yield f"{len(table.runs)} {table.row_word}s and {len(roles)} columns in {table.source}{left}"
    yield from (f"note: {note}" for note in table.notes)
    yield ""
    yield from _role_lines(roles)
    yield ""
    command = suggested_command(table, roles, program=program)
    gaps = " and ".join(words for gap, words in GAPS.items() if re.search(rf"--\w+ {gap}\b", command))
    fill = f" fill in {gaps} and" if gaps else ""
    roles_are = "If these roles are right (give columns that are not settings to --ignore),"
    yield f"Nothing was analysed. {roles_are}{fill} paste:"
    name = shlex.quote(table.source)
    yield command.replace(name, f"{name} --from {shlex.quote(choice)}", 1) if choice else command


def _role_lines(roles: Sequence[ColumnRole]) -> Iterator[str]:
    cells = [("column", "proposed role", "why", "examples")]
    cells += [(_cut(r.name), r.role, _cut(r.why, 60), ", ".join(map(_cut, r.examples))) for r in roles]
    widths = [max(len(row[i]) for row in cells) for i in range(3)]
    for row in cells:
        yield "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[3]]).rstrip()


def _cut(text: str, most: int = MOST_CELL) -> str:
    line = "".join(c if c.isprintable() else "?" for c in text)
    return line if len(line) <= most else f"{line[: most - 3]}..."


# --- options -------------------------------------------------------------------------------------------------------


def merge_options(arguments: argparse.Namespace, options: ResultOptions | None) -> ResultOptions:
    """The options of the study file, with those of the command line in their places."""
    from gridstudy.records.foreign.options import LISTS, ResultOptions, check_margin, parse_at, parse_names

    given: dict[str, Any] = {}
    for name in (*option_names(), "margin"):
        value = getattr(arguments, name)
        if value in (None, False):
            continue
        if name == "where":
            given[name] = tuple(value)
        elif name in LISTS:
            given[name] = parse_names(value, key=f"--{name}")
        elif name == "at":
            given[name] = parse_at(value)
        elif name == "folds":
            given[name] = _folds(value)
        elif name == "margin":
            given[name] = check_margin(_number(value))
        elif value == "":
            raise StudyError(f"--{name} must not be empty")
        else:
            given[name] = value
    return replace(options or ResultOptions(), **given)


def _folds(text: str) -> int:
    from gridstudy.records.foreign.options import check_folds

    return check_folds(int(text) if text.isdecimal() else text)


def _number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


@dataclass(frozen=True)
class Study:
    """What a study file says of somebody's results."""

    options: ResultOptions | None = None
    source: str | None = None
    choice: str | None = None
    hypotheses: tuple[ResultHypothesis, ...] = ()


def read_study(path: Path) -> Study:
    """Read a `[results]` table and `[[experiment]]` tables with name, hypothesis and contrasts.

    Raises StudyError. A `file` in `[results]` is relative to the study file.
    """
    from gridstudy.core.files import read_bytes
    from gridstudy.records.foreign.options import parse_results_table

    try:
        content = tomllib.loads(read_bytes(path).decode("utf-8-sig"))
    except OSError as error:
        raise StudyError(f"cannot read the study file {path}: {error.strerror or error}") from None
    except (ValueError, RecursionError) as error:
        raise StudyError(f"the study file {path} is not valid TOML: {error}") from None
    tables, results = content.pop("experiment", []), content.pop("results", {})
    if content or not isinstance(tables, list) or not isinstance(results, dict):
        raise StudyError(f"the study file {path} of results holds one [results] table and [[experiment]] tables only")
    for key in ("file", "from"):
        if key in results and not isinstance(results[key], str):
            raise StudyError(f"{key} in [results] must be a text; got {results[key]!r}")
    hypotheses = tuple(parse_hypothesis(table, path) for table in tables)
    names = [hypothesis.name for hypothesis in hypotheses]
    if len(set(names)) < len(names):
        raise StudyError(f"the study file {path} gives two experiments one name")
    source = _relative_to(path.parent, results["file"]) if "file" in results else None
    return Study(parse_results_table(results), source, results.get("from"), hypotheses)


def _relative_to(folder: Path, source: str) -> str:
    prefix = next((p for p in PREFIXES if source.startswith(p)), "")
    return prefix + str(folder / Path(source.removeprefix(prefix)).expanduser())


def parse_hypothesis(table: object, path: Path) -> ResultHypothesis:
    """Read a claim: `contrasts = [{better = {lr = 0.1}, worse = {lr = 0.01}}, {alike = [{...}, {...}]}]`."""
    from gridstudy.statistics.results.hypotheses import ResultHypothesis

    if not isinstance(table, dict) or not isinstance(table.get("name"), str) or not table["name"].strip():
        raise StudyError(f"the study file {path}: an [[experiment]] needs a name")
    name, words, contrasts = table["name"], table.get("hypothesis"), table.get("contrasts")
    if not isinstance(words, str) or not isinstance(contrasts, list) or not contrasts:
        raise StudyError(f"the study file {path}: experiment {name!r} needs a hypothesis (text) and contrasts (a list)")
    return ResultHypothesis(name, words, tuple(_claim(contrast, name) for contrast in contrasts))


def _claim(table: object, name: str) -> Claim:
    from gridstudy.statistics.results.hypotheses import Claim

    if isinstance(table, dict) and set(table) == {"better", "worse"}:
        return Claim(_side(table["better"], name), _side(table["worse"], name))
    if isinstance(table, dict) and set(table) == {"alike"} and isinstance(table["alike"], list):
        sides = [_side(side, name) for side in table["alike"]]
        if len(sides) == 2:
            return Claim(sides[0], sides[1], alike=True)
    raise StudyError(
        f"experiment {name!r}: a contrast is a table with better and worse, or with alike and two tables; got {table!r}"
    )


def _side(side: object, name: str) -> Mapping[str, Any]:
    plain = isinstance(side, dict) and side and all(isinstance(v, (int, float, str)) for v in side.values())
    if not plain:
        raise StudyError(f"experiment {name!r}: a side of a contrast is a table of hyperparameters; got {side!r}")
    assert isinstance(side, dict)
    return side


# --- analysis ------------------------------------------------------------------------------------------------------


def analyse_table(
    table: RunTable, options: ResultOptions, *, hypotheses: Sequence[ResultHypothesis] = (), command: str
) -> ResultFindings:
    """Select the runs of a table and estimate all that they say."""
    from gridstudy.records.foreign.selection import select_with
    from gridstudy.reporting.results.findings import ResultFindings
    from gridstudy.statistics.results.configurations import identify_configurations
    from gridstudy.statistics.results.estimates import analyse_results

    runs = select_with(table, options)
    frame, hyperparameters, columns = make_frame(runs)
    estimates = analyse_results(
        frame, objective=columns["objective"], hyperparameters=hyperparameters, margin=runs.margin,
        seed=columns["seed"] or None, block=columns["block"] or None, start=columns["start"] or None,
        condition=columns["condition"] or None, cost=columns["cost"] or None, folds=runs.options.folds,
        higher_is_better=not runs.options.minimise, adaptive=runs.adaptive_sampler, hypotheses=hypotheses,
    )  # fmt: skip
    if runs.options.unit == "fraction":
        ends = estimates.configurations[["low", "high"]].clip(0, 1)
        estimates = replace(estimates, configurations=estimates.configurations.assign(**ends))
    # the selection names configurations by all runs of the source, the estimates by those that were analysed
    found = identify_configurations(frame, hyperparameters)
    names = [found.names[code] for code in found.codes[: len(runs.runs)]]
    runs = replace(runs, runs=runs.runs.assign(configuration=names))
    return ResultFindings(runs, estimates, command)


def make_frame(runs: ForeignRuns) -> tuple[pd.DataFrame, list[str], dict[str, str]]:
    """A row per run under the file's own names, its hyperparameters, and the column of each role, empty without one.

    Runs without an objective come last, so that they count as failed; with conditions they are in the problems only.
    """
    import pandas as pd

    options, long = runs.options, runs.runs
    roles = {name: getattr(options, name) or "" for name in ("seed", "block", "start", "cost")}
    roles["condition"] = options.by or ""
    roles["objective"] = runs.pattern or options.objective[0]
    values: dict[str, Any] = {column: long[role].to_numpy() for role, column in roles.items() if column}
    if runs.pattern:
        folds = long["fold"].astype(int).map(lambda i: options.objective[i])
        key = "block" if roles["seed"] else "seed"
        if roles[key]:
            folds = folds.str.cat(long[key].astype(str), sep=" ")
        roles[key], roles["objective"] = runs.pattern, f"value of {runs.pattern}"
        values |= {roles[key]: folds.to_numpy(), roles["objective"]: long["objective"].to_numpy()}
    settings = _tell_unknown_apart(runs.configurations)
    frame = pd.concat([
        settings.loc[long["configuration"]].reset_index(drop=True), pd.DataFrame(values)
    ], axis=1)  # fmt: skip
    problems = runs.problems["configuration"]
    failed = problems[problems.isin(settings.index)]
    if len(failed) and not options.by:
        more = settings.loc[failed].reset_index(drop=True)
        frame = pd.concat([frame, more], ignore_index=True)
        frame[roles["objective"]] = frame[roles["objective"]].astype(float)
    return frame, [str(name) for name in settings.columns], roles


def _tell_unknown_apart(settings: pd.DataFrame) -> pd.DataFrame:
    """Add a column where configurations that differ have the same settings: those of a run that recorded none."""
    from gridstudy.records.foreign.table import format_cell

    alike = settings.map(format_cell).duplicated(keep=False)
    if not alike.any():
        return settings
    names = settings.index.to_series().where(alike, "known")
    column = "settings" if "settings" not in settings.columns else "unknown settings"
    return settings.assign(**{column: names})


# --- output --------------------------------------------------------------------------------------------------------


def choose_folder(given: Path | None, source: str, *, choice: str | None) -> Path:
    """The folder for the report; never one with a report.md that somebody else wrote or edited."""
    from gridstudy.reporting.results.report import REPORT, is_own_report

    if given is not None:
        report = given / REPORT
        if report.exists() and not is_own_report(report):
            raise StudyError(f"{report} was written or edited by somebody; choose another folder with --output")
        return given
    name = folder_name(source, choice)
    for number in range(1, 1000):
        folder = Path(name if number == 1 else f"{name}-{number}")
        if not folder.exists() or (folder.is_dir() and is_own_report(folder / REPORT)):
            return folder
    raise StudyError(f"{name} to {name}-999 exist; choose a folder with --output")


def folder_name(source: str, choice: str | None) -> str:
    """`runs-results` for runs.csv, `mlflow-cnn-results` for experiment cnn of mlflow.db."""
    prefix = next((p for p in PREFIXES if source.startswith(p)), "")
    path = Path(source.removeprefix(prefix)).expanduser()
    stem = path.resolve().name if path.is_dir() else re.sub(r"\.(?:gz|bz2|xz)$", "", path.name).rpartition(".")[0]
    stem = stem or path.stem
    parts = [part for part in (stem, choice, "results") if part]
    return re.sub(r"[^\w.-]+", "-", "-".join(parts)).strip("-.") or "results"
