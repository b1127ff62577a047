"""Columns and options -> the runs that are analysed: configurations, pairing keys and one objective per run."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from gridstudy.core.errors import StudyError
from gridstudy.records.foreign.log_folders import log_options
from gridstudy.records.foreign.options import ResultOptions, near
from gridstudy.records.foreign.roles import is_loss, leave_unfinished_out, propose_roles
from gridstudy.records.foreign.table import (
    NONE,
    ColumnRole,
    RunTable,
    format_cell,
    is_missing,
    parse_scalar,
    parse_starts,
    problem_table,
)

Codes = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

RUN_COLUMNS = ("configuration", "condition", "seed", "block", "start", "fold", "objective", "cost", "row")
MAY_BE_A_SETTING = ("hyperparameter", "condition", "cost", "derived from others")
MARGIN_POINTS = 0.5
"""Percentage points; the margin of objectives that are a fraction or in percent, unless another is given."""
FAR = 10.0
"""A few values are named as far outliers where the gap to the others exceeds this many times the others' range."""


@dataclass(frozen=True)
class ForeignRuns:
    """Somebody's results, ready to be compared.

    `runs` has RUN_COLUMNS, a row per run (with an objective pattern, per run and column): `configuration` is a key of
    `configurations`; `condition`, `seed`, `block`, `start` and `cost` are empty where no column was named; `fold`
    counts the columns of a pattern from 0; `objective` is in the file's own unit.

    `pattern` is what matched several columns of the objective, or empty.

    `configurations` has a row per configuration and a column per hyperparameter. `problems` also has the
    `configuration` of runs that were left out, where it is known. `margin` is in the objective's unit; times
    `points_per_unit` values are in the unit that is shown. `best_excess` is how much the best epoch exceeds the last
    on average, where the best was asked for.
    """

    runs: pd.DataFrame
    configurations: pd.DataFrame
    varying: tuple[str, ...]
    options: ResultOptions
    source: str
    problems: pd.DataFrame
    margin: float
    points_per_unit: float
    pattern: str
    best_excess: float | None = None
    adaptive_sampler: bool = False
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def select_with(table: RunTable, options: ResultOptions) -> ForeignRuns:
    """Select and check the runs of `table`; raise StudyError naming file, column and row where something is wrong."""
    if table.is_log_folder:
        options = log_options(table, options)
    if not options.objective or not options.hyperparameters:
        raise StudyError(f"{table.source}: an analysis needs an objective and hyperparameters; got neither or only one")
    options, pattern = _resolve(table, options)
    is_pattern = bool(pattern)
    table = replace(table, runs=_filtered(table, options.where))
    if table.runs.empty:
        raise StudyError(f"{table.source} holds no runs{_left_out(table)}")
    roles = [role for role in propose_roles(table) if role.name not in _used(options)]
    _check_states(table, options)
    warnings = list(_hints(roles, options))
    configurations, names, left_out, merged = _named(table, options.hyperparameters)
    long = _objectives(table, options, names, is_pattern=is_pattern)
    problems = _problems(table, long, left_out)
    excess, ended_early = None, None
    if options.epoch:
        long, excess, early, ended_early = _one_epoch(table, options, long, roles=roles)
        problems = pd.concat([problems, early], ignore_index=True)
    long = long[np.isfinite(long["objective"].to_numpy(float))].reset_index(drop=True)
    if long.empty:
        raise StudyError(f"{table.source}: {_listed(options.objective)} has no number in any {table.row_word}"
                         f"{_why_no_number(table, options)}")  # fmt: skip
    _check_settings(table, options, long, roles=roles)
    _check_means(table, options, long, is_pattern=is_pattern)
    if table.adaptive_sampler and (options.seed or options.block):
        long, repeats = _without_copies(long)
        merged = [*merged, *repeats]
    _check_repeated(table, options, long, roles=roles, is_pattern=is_pattern)
    margin, factor, unit_warning = _unit(table, options, long)
    kept = configurations[configurations.index.isin(pd.unique(long["configuration"]))]
    return ForeignRuns(
        runs=long[list(RUN_COLUMNS)], configurations=kept, varying=_varying(kept), options=options,
        source=table.source, problems=problems, margin=margin, points_per_unit=factor,
        pattern=pattern, best_excess=excess,
        adaptive_sampler=table.adaptive_sampler, notes=(*table.notes, *merged),
        warnings=tuple(filter(None, (*warnings, ended_early, unit_warning, _far_outliers(table, long)))),
    )  # fmt: skip


# --- options -------------------------------------------------------------------------------------------------------


def _resolve(table: RunTable, options: ResultOptions) -> tuple[ResultOptions, str]:
    """The options with patterns resolved and the source's own start and direction, and the pattern or nothing."""
    columns = [str(c) for c in table.runs.columns]
    patterns = [name for name in options.objective if name not in columns and re.search(r"[*?[]", name)]
    if patterns and len(options.objective) > 1:
        raise StudyError(f"a pattern stands alone as the objective; got {','.join(options.objective)!r}")
    objective = options.objective
    if patterns:
        objective = tuple(fnmatch.filter(columns, patterns[0]))
        if len(objective) < 2:
            raise StudyError(f"{table.source}: the pattern {patterns[0]!r} must match at least two columns; "
                             f"it matches {_listed(objective) if objective else 'none'}")  # fmt: skip
    resolved = replace(
        options, objective=objective, start=options.start or table.start, epoch=options.epoch or table.epoch,
        minimise=options.minimise or objective[0] in table.minimised,
    )  # fmt: skip
    _check_names(table, resolved)
    if resolved.at != "last" and not resolved.epoch:
        raise StudyError(f"at {resolved.at} needs an epoch column; name it with --epoch")
    return resolved, patterns[0] if patterns else ""


def _check_names(table: RunTable, options: ResultOptions) -> None:
    columns = [str(c) for c in table.runs.columns]
    role_of: dict[str, str] = {}
    for option in ("objective", "hyperparameters", "seed", "block", "start", "by", "epoch", "cost", "ignore"):
        value = getattr(options, option)
        for name in value if isinstance(value, tuple) else [value] if value is not None else []:
            if name not in columns:
                raise StudyError(f"{table.source} has no column {name!r} (--{option}){near(name, columns)}"
                                 f"{_some_columns(columns, name)}")  # fmt: skip
            if role_of.setdefault(name, option) != option and {option, role_of[name]} != {"ignore", "start"}:
                raise StudyError(f"{table.source}: column {name!r} cannot be both --{role_of[name]} and --{option}")


def _some_columns(columns: Sequence[str], name: str) -> str:
    return "" if near(name, columns) else f"; its columns are {_listed(columns)}"


def _listed(names: Iterable[str], most: int = 12) -> str:
    names = list(names)
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _filtered(table: RunTable, where: Sequence[str]) -> pd.DataFrame:
    runs = table.runs
    for condition in where:
        column, negated, value = _parse_condition(table, condition)
        codes, labels = _labels(runs[column])
        hits = np.isin(
            codes, [i for i, label in enumerate(labels) if value in (label, format_cell(parse_scalar(label)))]
        )
        kept = runs[~hits if negated else hits]
        if kept.empty:
            raise StudyError(f"{table.source}: no {table.row_word} has {condition}; {column} is {_listed(labels)}")
        runs = kept
    return runs


def _parse_condition(table: RunTable, condition: str) -> tuple[str, bool, str]:
    columns = sorted((str(c) for c in table.runs.columns), key=len, reverse=True)
    for column in columns:
        match = re.fullmatch(re.escape(column) + r"\s*(!?)=(.*)", condition, re.DOTALL)
        if match:
            return column, bool(match[1]), format_cell(parse_scalar(match[2]))
    column, equals, _ = condition.partition("=")
    if not equals:
        raise StudyError(f"--where must be COLUMN=VALUE or COLUMN!=VALUE; got {condition!r}")
    name = column.rstrip("! ")
    raise StudyError(f"{table.source} has no column {name!r} (--where){near(name, columns)}")


def _hints(roles: Sequence[ColumnRole], options: ResultOptions) -> Iterator[str]:
    """Options that the roles of unused columns suggest."""
    for role, option, given in (("seed", "seed", options.seed), ("block", "block", options.block)):
        names = [r.name for r in roles if r.role == role]
        if names and given is None:
            yield f"column {names[0]!r} may be a {role}, which decides what a replicate is: --{option} {names[0]}"


def _used(options: ResultOptions) -> set[str]:
    single = {getattr(options, name) for name in ("seed", "block", "start", "by", "epoch", "cost")} - {None}
    return {*options.objective, *options.hyperparameters, *options.ignore, *single}


# --- configurations ------------------------------------------------------------------------------------------------


def _labels(column: pd.Series) -> tuple[Codes, list[str]]:
    """A column as codes, and what each code is called; values that are written alike have one code."""
    codes, values = pd.factorize(column, use_na_sentinel=False)
    again, labels = pd.factorize(np.array([format_cell(value) for value in values], dtype=object))
    return again[codes].astype(np.int64), [str(label) for label in labels]


def _combine(columns: Iterable[Codes], length: int) -> Codes:
    """One code per combination of codes, in order of first appearance."""
    combined = np.zeros(length, dtype=np.int64)
    for codes in columns:
        combined = pd.factorize(combined * (int(codes.max(initial=0)) + 1) + codes)[0].astype(np.int64)
    return combined


def _named(table: RunTable, names: Sequence[str]) -> tuple[pd.DataFrame, Any, list[Any], list[str]]:
    """The configurations, the name of each row's, those of the runs left out, and what was read as one value."""
    runs, left_out, n_runs = table.runs[list(names)], table.left_out, len(table.runs)
    if left_out is not None and len(left_out):
        runs = pd.concat([runs.astype(object), left_out.reindex(columns=list(names)).astype(object)])
    labelled = {name: _labels(runs[name]) for name in names}
    columns = [column for column, _ in labelled.values()]
    unknown = np.array([row if row in table.unknown_settings else "" for row in runs.index], dtype=object)
    codes = _combine([*columns, pd.factorize(unknown)[0].astype(np.int64)], len(runs))
    _, first = np.unique(codes, return_index=True)
    index = np.array(_configuration_names(labelled, first, n_runs=n_runs, unknown=unknown), dtype=object)
    configurations = pd.DataFrame(
        {name: _values(runs[name].iloc[first]) for name in names}, index=pd.Index(index, name="configuration")
    )
    merged = [note for name in names if (note := _merged(name, table.runs[name], labelled[name][1]))]
    return configurations, index[codes[:n_runs]], list(index[codes[n_runs:]]), merged


def _configuration_names(
    labelled: Mapping[str, tuple[Codes, list[str]]], first: Codes, *, n_runs: int, unknown: npt.NDArray[np.object_]
) -> list[str]:
    """What each configuration is called: the hyperparameters that differ between the analysed runs.

    `first` is the first run of each. One that was never completed is called by all that differ anywhere.
    """
    here = _differing(labelled, first[first < n_runs]) or list(labelled)
    anywhere = _differing(labelled, first) or here
    names = []
    for i in first:
        shown = here if i < n_runs else anywhere
        name = ",".join(f"{key}={labelled[key][1][labelled[key][0][i]]}" for key in shown)
        names.append(f"unknown settings ({unknown[i]})" if unknown[i] else name)
    return names


def _differing(labelled: Mapping[str, tuple[Codes, list[str]]], rows: Codes) -> list[str]:
    return [name for name, (codes, _) in labelled.items() if np.unique(codes[rows]).size > 1]


def _values(column: pd.Series) -> list[Any]:
    """A column's values in one form each: ten significant digits, `none` for an empty cell."""
    return [NONE if is_missing(v) else parse_scalar(format_cell(v)) if _is_number(v) else v for v in column]


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float, np.number)) and not isinstance(value, (bool, np.bool_))


def _merged(name: str, column: pd.Series, labels: Sequence[str]) -> str:
    n_values = column.nunique(dropna=False)
    if n_values <= len(labels) or not pd.api.types.is_float_dtype(column):
        return ""
    return f"{name}: {n_values} values are {len(labels)} after rounding to ten significant digits"


def _varying(configurations: pd.DataFrame) -> tuple[str, ...]:
    return tuple(str(name) for name in configurations if configurations[name].map(format_cell).nunique() > 1)


# --- objective -----------------------------------------------------------------------------------------------------


def _objectives(table: RunTable, options: ResultOptions, names: Any, *, is_pattern: bool) -> pd.DataFrame:
    """RUN_COLUMNS of each row (with a pattern, of each row and column); the objective is NaN where there is none."""
    runs = table.runs
    columns = {name: _numbers(runs[name]) for name in options.objective}
    if is_pattern:
        parts = [_rows(table, options, names).assign(objective=v, fold=i) for i, v in enumerate(columns.values())]
        return pd.concat(parts, ignore_index=True)
    objective = np.full(len(runs), np.nan)
    for name, values in columns.items():
        unset = np.isnan(objective) & runs[name].notna().to_numpy()
        objective = np.where(unset, values, objective)
    return _rows(table, options, names).assign(objective=objective, fold=np.nan)


def _rows(table: RunTable, options: ResultOptions, names: Any) -> pd.DataFrame:
    runs = table.runs
    columns: dict[str, Any] = {"configuration": names}
    for target, name in (("seed", options.seed), ("block", options.block)):
        columns[target] = runs[name].to_numpy() if name else None
    columns["start"] = _starts(table, options.start)
    columns["condition"] = runs[options.by].map(format_cell).to_numpy() if options.by else None
    columns["cost"] = _numbers(runs[options.cost]) if options.cost else np.nan
    frame = pd.DataFrame(columns | {"row": runs.index.to_numpy()})
    return frame.assign(position=np.arange(len(runs)), fold=np.nan)


def _starts(table: RunTable, name: str | None) -> Any:
    if name is None:
        return None
    starts = parse_starts(table.runs[name])
    if starts is None:
        found = format_cell(table.runs[name].dropna().iloc[0])
        raise StudyError(f"{table.source}: --start needs numbers or dates such as 2024-12-31 23:59; column {name!r} "
                         f"has {found!r}")  # fmt: skip
    return starts.to_numpy()


def _numbers(column: pd.Series) -> Floats:
    """A column as numbers, NaN where a cell is none."""
    if pd.api.types.is_numeric_dtype(column):
        return column.to_numpy(float, na_value=np.nan)
    return pd.to_numeric(column, errors="coerce").to_numpy(float, na_value=np.nan)


def _problems(table: RunTable, long: pd.DataFrame, left_out: Sequence[str]) -> pd.DataFrame:
    """The runs that the source left out, and those whose objective is no finite number."""
    bad = long[~np.isfinite(long["objective"].to_numpy(float))]
    if table.is_log_folder or table.epoch:  # a step without the objective is no failed run there
        bad = bad[~bad["row"].isin(long["row"][np.isfinite(long["objective"])])].drop_duplicates("row")
    rows = problem_table(
        {
            "path": f"{table.source}: {table.row_word} {row}",
            "state": "no objective",
            "reason": "its objective is infinite" if np.isinf(value) else "its objective is missing or no number",
        }
        for row, value in zip(bad["row"], bad["objective"], strict=True)
    ).assign(configuration=bad["configuration"].to_numpy())
    configuration = pd.Series([*left_out, *[None] * (len(table.problems) - len(left_out))], dtype=object)
    known = table.problems.assign(configuration=configuration.to_numpy())
    return pd.concat([part for part in (known, rows) if len(part)] or [rows], ignore_index=True)


def _left_out(table: RunTable) -> str:
    return f" that can be analysed ({len(table.problems)} left out)" if len(table.problems) else ""


# --- epochs --------------------------------------------------------------------------------------------------------


def _one_epoch(
    table: RunTable, options: ResultOptions, long: pd.DataFrame, *, roles: Sequence[ColumnRole]
) -> tuple[pd.DataFrame, float | None, pd.DataFrame, str | None]:
    """One row per run: its last, best or N-th epoch.

    Also the excess of best over last, the runs without such an epoch, and a warning about runs that end early.
    """
    assert options.epoch is not None
    epochs = _numbers(table.runs[options.epoch])[long["position"].to_numpy()]
    if np.isnan(epochs).any():
        row = long["row"].to_numpy()[np.isnan(epochs)][0]
        raise StudyError(f"{table.source}: the epoch must be a number; column {options.epoch!r} has none in "
                         f"{table.row_word} {row}")  # fmt: skip
    long = long.assign(epoch=epochs, run=_run_codes(table, long, epochs, roles=roles))
    in_order = long[np.isfinite(long["objective"])].sort_values(["run", "epoch"], kind="stable")
    last = in_order.groupby("run", sort=False).tail(1)
    ends = long.groupby("run")["epoch"].max()
    early = None
    if (short := int((ends < ends.max()).sum())) and short <= len(ends) / 4:
        early = f"{short} of {len(ends)} runs end before epoch {ends.max():g}"
    if options.at == "last":
        return last, None, _empty_problems(), early
    if options.at == "best":
        sign = -1 if options.minimise else 1
        ranked = in_order.assign(signed=sign * in_order["objective"]).sort_values(["run", "signed"], kind="stable")
        best = ranked.groupby("run", sort=False).tail(1).drop(columns="signed")
        excess = best.set_index("run")["objective"] - last.set_index("run")["objective"]
        return best, float(excess.abs().mean()), _empty_problems(), early
    chosen = in_order[in_order["epoch"] == options.at]
    missing = last[~last["run"].isin(chosen["run"])]
    problems = problem_table(
        {"path": f"{table.source}: {table.row_word} {row}", "state": "incomplete",
         "reason": f"it ends at epoch {epoch:g}, before epoch {options.at}"}
        for row, epoch in zip(missing["row"], missing["epoch"], strict=True)
    ).assign(configuration=missing["configuration"].to_numpy())  # fmt: skip
    return chosen, None, problems, None


def _empty_problems() -> pd.DataFrame:
    return problem_table(()).assign(configuration=None)


def _run_codes(table: RunTable, long: pd.DataFrame, epochs: Floats, *, roles: Sequence[ColumnRole]) -> Codes:
    """A number per run: rows alike in configuration, seed, block, condition and fold, told apart by the run's name."""
    keys = [pd.factorize(long[c], use_na_sentinel=False)[0].astype(np.int64)
            for c in ("configuration", "seed", "block", "condition", "fold")]  # fmt: skip
    codes = _combine(keys, len(long))
    epoch_codes = pd.factorize(epochs)[0].astype(np.int64)
    names = [role.name for role in roles if role.role == "name"]
    for name in [None, *names]:
        if name is not None:
            column = _labels(table.runs[name])[0][long["position"].to_numpy()]
            codes = _combine([codes, column], len(long))
        repeated = pd.Series(_combine([codes, epoch_codes], len(long))).duplicated(keep=False).to_numpy()
        if not repeated.any():
            return codes
    first, second = _two_alike(_combine([codes, epoch_codes], len(long)))
    raise StudyError(f"{table.source}: {table.row_word}s {long['row'].iloc[first]} and {long['row'].iloc[second]} are "
                     f"both epoch {epochs[first]:g} of {long['configuration'].iloc[first]}; name the column that tells "
                     "runs apart with --seed, --block or --by")  # fmt: skip


def _two_alike(codes: Codes) -> tuple[int, int]:
    """Positions of the first value that comes again."""
    second = int(np.argmax(pd.Series(codes).duplicated().to_numpy()))
    return int(np.argmax(codes == codes[second])), second


# --- checks --------------------------------------------------------------------------------------------------------


def _check_states(table: RunTable, options: ResultOptions) -> None:
    """Raise where a column says that some runs did not finish, and no option speaks of it."""
    for name in map(str, table.runs.columns):
        filters = () if name in _used(options) else leave_unfinished_out(name, table.runs[name])
        if filters:
            where = " ".join(f"--where '{condition}'" for condition in filters)
            raise StudyError(f"{table.source}: column {name!r} says that some runs did not finish; give {where}, or "
                             f"--ignore {name} to count them")  # fmt: skip


def _why_no_number(table: RunTable, options: ResultOptions) -> str:
    """The first cell of the objective, and what is needed where it is a mean with its spread."""
    cells = table.runs[options.objective[0]].dropna()
    if cells.empty:
        return ""
    means = re.search(r"\d\s*(?:±|\+/?-|\()\s*\d", str(cells.iloc[0]))
    return f"; {table.row_word} {cells.index[0]} has {format_cell(cells.iloc[0])[:40]!r}" + (
        ", a mean over runs, and an analysis needs a row per run" if means else ""
    )


def _check_settings(
    table: RunTable, options: ResultOptions, long: pd.DataFrame, *, roles: Sequence[ColumnRole]
) -> None:
    """Raise where runs of one configuration differ in a column that may be a setting."""
    runs, positions = table.runs, long["position"].to_numpy()
    keys = [pd.factorize(long[c], use_na_sentinel=False)[0].astype(np.int64) for c in ("configuration", "condition")]
    configuration = _combine(keys, len(long))
    if np.unique(positions).size == np.unique(configuration).size:
        return
    _check_epochs(table, options, long, roles=roles)
    for role in roles:
        flattened = table.known_roles.get(role.name) == "derived from others"  # its parts are columns themselves
        if role.role not in MAY_BE_A_SETTING or flattened:
            continue
        codes, labels = _labels(runs[role.name])
        codes = codes[positions]
        if np.unique(_combine([configuration, codes], len(long))).size == np.unique(configuration).size:
            continue
        one, other = _two_unlike(configuration, codes)
        by = f", --by {role.name}" if role.role == "condition" else ""
        rows = [str(long["row"].iloc[i]) for i in (one, other)]
        raise StudyError(
            f"{table.source}: {table.row_word}s {rows[0]} and {rows[1]} are alike in "
            f"{_listed(options.hyperparameters)} but not in {role.name!r} ({labels[codes[one]]}, "
            f"{labels[codes[other]]}), so they are not replicates; add "
            f"{role.name} to --hyperparameters{by}, or --ignore {role.name}"
        )


def _check_epochs(table: RunTable, options: ResultOptions, long: pd.DataFrame, *, roles: Sequence[ColumnRole]) -> None:
    """Raise where there is a row per epoch and no option says so: epochs of one run are no replicates."""
    keys = [pd.factorize(long[c], use_na_sentinel=False)[0].astype(np.int64)
            for c in ("configuration", "condition", "seed", "block")]  # fmt: skip
    run = _combine(keys, len(long))
    for role in [role for role in roles if role.role == "epoch" and not options.epoch]:
        codes, labels = _labels(table.runs[role.name])
        codes = codes[long["position"].to_numpy()]
        if np.unique(_combine([run, codes], len(long))).size > np.unique(run).size:
            one, other = _two_unlike(run, codes)
            raise StudyError(
                f"{table.source}: {table.row_word}s {long['row'].iloc[one]} and {long['row'].iloc[other]} differ in "
                f"{role.name!r} ({labels[codes[one]]}, {labels[codes[other]]}), and epochs of one run are not "
                f"replicates; give --epoch {role.name}, or --ignore {role.name} if each row is a run"
            )


def _two_unlike(groups: Codes, codes: Codes) -> tuple[int, int]:
    """Two positions of one group with unlike codes."""
    first = pd.Series(codes).groupby(groups).transform("first").to_numpy()
    other = int(np.argmax(first != codes))
    return int(np.argmax(groups == groups[other])), other


def _check_means(table: RunTable, options: ResultOptions, long: pd.DataFrame, *, is_pattern: bool) -> None:
    """Raise where the objective is a mean over runs that the file does not show."""
    if is_pattern or long.groupby(["configuration", "condition"], dropna=False).size().max() > 1:
        return
    columns = {str(c).lower() for c in table.runs.columns}
    splits = [str(c) for c in table.runs.columns if re.fullmatch(r"split\d+_\w+", str(c))]
    for name in options.objective:
        spread = re.sub(r"mean|avg|average", "std", name.lower())
        if spread == name.lower() or not columns & {spread, spread.replace("std", "sd"), spread.replace("std", "sem")}:
            continue
        better = f"; --objective '{re.sub(r'[0-9]+', '*', splits[0], count=1)}' names them" if splits else ""
        raise StudyError(f"{table.source}: column {name!r} holds means over runs, and an analysis needs a row per run"
                         f"{better}")  # fmt: skip


def _check_repeated(
    table: RunTable, options: ResultOptions, long: pd.DataFrame, *, roles: Sequence[ColumnRole], is_pattern: bool
) -> None:
    """Raise where two rows have one configuration, seed, block and condition."""
    if options.seed is None and options.block is None and not is_pattern:
        return
    for name in filter(None, (options.seed, options.block)):
        empty = table.runs[name].isna().to_numpy()[long["position"].to_numpy()]
        if empty.any():
            row = long["row"].iloc[int(np.argmax(empty))]
            raise StudyError(f"{table.source}: column {name!r} is empty in {table.row_word} {row}; "
                             f"--where '{name}!=none' leaves such rows out")  # fmt: skip
    columns = ("configuration", "condition", "seed", "block", "fold")
    keys = [pd.factorize(long[c], use_na_sentinel=False)[0].astype(np.int64) for c in columns]
    codes = _combine(keys, len(long))
    one_seed = options.seed is not None and long["seed"].nunique() == 1  # repeats show nondeterminism, and may be
    if one_seed or np.unique(codes).size == len(codes):
        return
    first, second = _two_alike(codes)
    rows = [long["row"].iloc[i] for i in (first, second)]
    what = ", ".join(f"{n} {format_cell(table.runs[n].loc[rows[0]])}" for n in (options.seed, options.block) if n)
    name, hint = long["configuration"].iloc[first], _separating(table, options, long, codes, roles=roles)
    raise StudyError(f"{table.source}: {table.row_word}s {rows[0]} and {rows[1]} are both {name}"
                     f"{' with ' * bool(what)}{what}{hint}")  # fmt: skip


def _without_copies(long: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Runs that a sampler asked for again count once, where seed and objective agree too; and a note about them."""
    again = long.duplicated(["configuration", "condition", "seed", "block", "fold", "objective"]).to_numpy()
    n_again = int(again.sum())
    note = f"{n_again} of {len(long)} runs repeat another in settings, seed and objective, and count once"
    return long[~again].reset_index(drop=True), [note] if n_again else []


def _separating(
    table: RunTable, options: ResultOptions, long: pd.DataFrame, codes: Codes, *, roles: Sequence[ColumnRole]
) -> str:
    """Which unused column tells the repeated rows apart, as a hint."""
    positions = long["position"].to_numpy()
    for role in roles:
        if role.role in ("objective", "other metric", "time", "constant", "empty"):
            continue
        column = _labels(table.runs[role.name])[0]
        if column.max() + 1 < len(table.runs) and np.unique(
            _combine([codes, column[positions]], len(long))
        ).size == len(long):
            option = "by" if role.role == "condition" or options.block else "block"
            return f"; column {role.name!r} tells such rows apart: --{option} {role.name}"
    return "; keep one of them, or leave the other out with --where"


def _unit(table: RunTable, options: ResultOptions, long: pd.DataFrame) -> tuple[float, float, str | None]:
    """The margin in the objective's unit, percentage points per unit, and a warning."""
    values = long["objective"].to_numpy(float)
    warning = None
    if options.unit == "fraction" and ((values < 0) | (values > 1)).any():
        at = int(np.argmax((values < 0) | (values > 1)))
        raise StudyError(
            f"{table.source}: with --unit fraction values lie between 0 and 1; {_listed(options.objective)} has "
            f"{values[at]:g} in {table.row_word} {long['row'].iloc[at]}"
        )
    if options.unit == "percent" and (values <= 1).all():
        warning = f"no value of {_listed(options.objective)} is above 1; --unit fraction may be meant"
    losses = [name for name in options.objective if is_loss(name)]
    if losses and not options.minimise:
        warning = (
            f"{warning + '; ' if warning else ''}{losses[0]!r} looks like a loss, where less is better: --minimise"
        )
    if options.unit in ("fraction", "percent"):
        factor = 100.0 if options.unit == "fraction" else 1.0
        return (options.margin or MARGIN_POINTS) / factor, factor, warning
    if options.margin is None:
        raise StudyError(f"{table.source}: the smallest difference that matters must be given: --margin in the unit of "
                         f"{_listed(options.objective)}, or --unit fraction or percent")  # fmt: skip
    return options.margin, 1.0, warning


def _far_outliers(table: RunTable, long: pd.DataFrame) -> str | None:
    """Name a few values that lie far outside all others, such as a failure that was logged as loss 999."""
    order = np.argsort(long["objective"].to_numpy(float), kind="stable")
    values = long["objective"].to_numpy(float)[order]
    most = max(1, len(values) // 20)
    for k in range(most, 0, -1):
        for rest, out, gap in (
            (values[:-k], order[-k:], values[-k] - values[-k - 1] if len(values) > k else 0.0),
            (values[k:], order[:k], values[k] - values[k - 1] if len(values) > k else 0.0),
        ):
            if len(rest) > 3 and np.ptp(rest) > 0 and gap > FAR * np.ptp(rest):
                far = [f"{long['objective'].iloc[i]:g} in {table.row_word} {long['row'].iloc[i]}" for i in out[:3]]
                return f"far from all others: {', '.join(far)}{' and more' * (k > 3)}; --where leaves rows out"
    return None
