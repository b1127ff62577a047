"""What each column of somebody's results may be: proposed by name, distinct counts and dependence, never assumed."""

from __future__ import annotations

import fnmatch
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from gridstudy.records.foreign.options import quote_name
from gridstudy.records.foreign.table import ColumnRole, RunTable, format_cell, parse_starts

Codes = npt.NDArray[np.int64]

PREFIX = r"(?:.*_)?"


def _pattern(words: str, *, before: str = "", after: str = "") -> re.Pattern[str]:
    """A pattern that matches any of the words, themselves patterns, between `before` and `after`."""
    return re.compile(f"{before}(?:{'|'.join(words.split())}){after}")


USUAL_NAMES: Mapping[str, re.Pattern[str]] = {
    "derived from others": _pattern("params config parameters hparams (?:log|log10|log2)_?(?:lr|learning_rate)"),
    "other metric": _pattern(
        "(?:rank|std|sem|stderr|ci|var)_.* .*_(?:std|sd|sem|stderr|rank|ci|var) .*_?gap n_?(?:test|valid|val|train) "
        "(?:final|best|last|stopped|stopping)_?epochs? epochs?_?(?:run|trained|completed)"
    ),
    "seed": _pattern(
        "seed random_?state rng rep repeat replicate fold cv_?fold split",
        before=PREFIX, after="(?:_?(?:id|nr|no|number|index))?",
    ),
    "time": _pattern(
        "time duration runtime elapsed seconds secs minutes hours walltime",
        before=PREFIX, after="(?:_(?:s|sec|secs|min|mins|h|ms|total|seconds))?",
    ),
    "start": _pattern(
        "start start_?time started(?:_at)? timestamp date datetime created(?:_at)? begin", before=PREFIX
    ),
    "block": _pattern(
        "session machine host hostname node batch_?run block worker gpu_?name device cluster",
        before=PREFIX, after="(?:_?id)?",
    ),
    "condition": _pattern(
        "data_?set dataset_?name data task problem benchmark corpus domain environment env env_?id subject language",
        before=PREFIX,
    ),
    "epoch": _pattern("epoch step iteration iter it round", before="(?:global_|training_|n_?)?"),
    "cost": _pattern(
        "(?:n|num|total|trainable|model)?_*(?:params?|parameters?|weights)(?:_?count)? "
        "(?:total_|n_|model_)?(?:flops|macs|size_mb|memory_mb) "
        "(?:total|trainable|n|num)_?(?:trainable_?|total_?)?(?:params|parameters)"
    ),
    "name": _pattern(
        "name id uuid pid index idx path folder file filename notes? description url comment trial run number user "
        "commit tag column_1 unnamed.*",
        before=PREFIX,
    ),
}  # fmt: skip
HYPERPARAMETER = _pattern(
    "lr learning_?rate batch_?size bs epochs max_?epochs n_?epochs num_?epochs hidden hidden\\d "
    "hidden_?(?:size|sizes|dim|units|layers) units\\d* width depth n?_?layers num_?layers dropout p_?drop "
    "optimi[sz]er optim momentum weight_?decay wd alpha beta\\d? gamma kernel kernel_?size filters channels "
    "n_?estimators max_?depth model method algorithm algo arch(?:itecture)? activation act scheduler l1 l2 c "
    "embed(?:ding)?_?(?:dim|size) n_?heads num_?heads patience train_?steps augment(?:ation)? normali[sz]ation "
    "loss_?fn criterion temperature warmup variant policy subsample colsample.* min_samples.* num_leaves "
    "bidirectional cell opt (?:param|config|hparams?|hp|cfg|args)_.+",
    before=PREFIX,
)
METRIC = _pattern(
    "acc accuracy balanced_?accuracy f1 f1_?score f1_?macro macro_?f1 auc roc_?auc auroc auprc score r2 precision "
    "recall loss error err error_?rate rmse mse mae mape nll perplexity ppl bleu rouge.* iou miou dice map mrr ndcg.* "
    "reward return accuracy_?score top\\d? top_?\\d_?(?:acc|accuracy) value objective kappa mcc brier",
    before=PREFIX,
    after="(?:_(?:score|mean|val|valid|test|macro|micro|pct|percent))*",
)
WITHIN_SETTINGS = re.compile(r"(?:.*_)?(?:param|config|hparams?|hp|cfg|args)_(.+)")
"""A name below a table of settings."""
PLACE = _pattern("name id uuid path folder dir directory file filename out output url", before=PREFIX)
"""Settings that say where a run writes or what it is called."""
STATE = re.compile(r"(?:.*_)?(?:state|status)")
FINISHED = frozenset("finished complete completed success succeeded done terminated ok".split())
UNFINISHED = frozenset(
    "failed fail failure crashed running killed error errored aborted pending paused preempted preempting pruned "
    "scheduled waiting timeout timed_out interrupted cancelled canceled stopped oom".split()
)
LOSS = _pattern(
    "loss error err error_?rate rmse mse mae mape nll perplexity ppl brier", before=PREFIX, after="(?:_.*)?"
)
REPLICATE = re.compile(r"(?:split|fold|seed|run|rep|repeat|replicate)_?\d+(?:_.*)?")
"""Columns that hold one score each of the same configuration."""
ORDER_OF_OBJECTIVES = (
    r"val", r"test", r"acc|f1|auc|score|r2", r"value|objective|reward|return|map|iou|dice",
    r"loss|error|rmse|mse|mae|err",
)  # fmt: skip
MOST_SAMPLED = 2_000
MOST_COMPARED = 80
EXAMPLES = 3


def is_loss(name: str) -> bool:
    """Whether an objective of this name is usually minimised."""
    return bool(LOSS.fullmatch(_plain(name))) and not re.search(r"acc|score", _plain(name))


def leave_unfinished_out(name: str, column: pd.Series) -> tuple[str, ...]:
    """Row filters that keep the runs that finished, where a column says how runs ended and some did not finish."""
    if pd.api.types.is_numeric_dtype(column) or not STATE.fullmatch(_plain(name)):
        return ()
    states = [str(value) for value in column.dropna().unique()]
    finished = [state for state in states if state.lower() in FINISHED]
    unfinished = [state for state in states if state.lower() in UNFINISHED]
    if not finished or not unfinished or len(finished) + len(unfinished) < len(states):
        return ()
    if len(finished) == 1:
        return (f"{name}={finished[0]}",)
    return tuple(f"{name}!={state}" for state in unfinished)


def propose_roles(table: RunTable) -> list[ColumnRole]:
    """Propose a role for each column, in the file's order."""
    runs = table.runs
    found: dict[str, tuple[str, str]] = {}
    codes = {str(name): _codes(runs[name]) for name in runs}
    for name, column in codes.items():
        found[name] = _by_itself(table, name, column)
    _mark_numbered(runs, found)
    _mark_epoch(runs, found, codes)
    _mark_derived(table, found, codes)
    _mark_objective(runs, found)
    return [ColumnRole(name, role, why, _examples(runs[name])) for name, (role, why) in found.items()]


def _codes(column: pd.Series) -> Codes:
    return pd.factorize(column, use_na_sentinel=False)[0].astype(np.int64)


def _examples(column: pd.Series) -> tuple[str, ...]:
    values = column.head(MOST_SAMPLED).dropna().drop_duplicates().head(EXAMPLES)
    return tuple(text if len(text) <= 40 else f"{text[:37]}..." for text in map(format_cell, values))


def _plain(name: str) -> str:
    """A name in small letters with underscores and without a unit: `testAcc` and `Test Acc (%)` are `test_acc`."""
    parted = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", re.sub(r"[\[(][^\])]*[\])]\s*$", "", name).strip())
    return re.sub(r"[\s\-:/.]+", "_", parted).lower().strip("_")


# --- a column by itself --------------------------------------------------------------------------------------------


def _by_itself(table: RunTable, name: str, codes: Codes) -> tuple[str, str]:
    column = table.runs[name]
    n_rows, n_values = len(column), int(codes.max(initial=-1)) + 1
    if not n_rows or column.isna().all():
        return "empty", "no cell has a value"
    if name in table.known_roles:
        role = table.known_roles[name]
        if role == "hyperparameter" and USUAL_NAMES["seed"].fullmatch(_plain(name)):
            return "seed", "by its name"
        constant = role == "hyperparameter" and n_values == 1 < n_rows
        return ("constant", "one value in all rows") if constant else (role, "the source says so")
    numeric = pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)
    numeric = numeric or (bool(METRIC.fullmatch(_plain(name))) and _mostly_numbers(column))
    if leave_unfinished_out(name, column):
        return "name", "how each run ended; only those that finished count"
    named = _by_name(name, numeric=numeric, n_values=n_values, n_rows=n_rows)
    if n_values == 1 < n_rows and not (named and named[0] == "seed"):  # rows of one seed are no replicates
        named = "constant", "one value in all rows"
    elif table.units.get(name) == "s":
        named = named or ("time", "its cells have a unit of time")
    elif named and named[0] == "start" and parse_starts(column) is None:
        named = "name", "no dates that can be put in order"
    return named or _by_content(column, numeric=numeric, n_values=n_values)


def _mostly_numbers(column: pd.Series) -> bool:
    """Whether most cells of a column of texts are numbers, such as losses with `OOM` among them."""
    filled = column.dropna()
    return bool(pd.to_numeric(filled, errors="coerce").notna().sum() > len(filled) / 2)


def _by_name(name: str, *, numeric: bool, n_values: int, n_rows: int) -> tuple[str, str] | None:
    plain, why = _plain(name), "by its name"
    if numeric and REPLICATE.fullmatch(plain) and n_values > 1:
        return "objective", "a replicate of each row; the pattern takes them together"
    if (among := _among_settings(plain, many=n_values > max(2, n_rows / 2))) or HYPERPARAMETER.fullmatch(plain):
        return among or "hyperparameter", why
    if METRIC.fullmatch(plain) and not USUAL_NAMES["other metric"].fullmatch(plain):
        return ("other metric", why) if numeric else None
    role = next((r for r, pattern in USUAL_NAMES.items() if pattern.fullmatch(plain) and _may_be(r, numeric)), None)
    few = n_values <= n_rows / 2
    if role == "block" and numeric and not few:
        return "name", "nearly every row has its own"
    if role == "name" and numeric and few and re.search("trial|run|number", plain):
        return "seed", "the same few numbers serve many rows"
    return (role, why) if role else None


def _among_settings(plain: str, *, many: bool) -> str | None:
    """The role of a seed, or of a name or place of its own, that stands among the settings: `config/seed`."""
    within = WITHIN_SETTINGS.fullmatch(plain)
    if within and USUAL_NAMES["seed"].fullmatch(within[1]):
        return "seed"
    return "name" if within and many and PLACE.fullmatch(within[1]) else None


def _may_be(role: str, numeric: bool) -> bool:
    """Whether a column of numbers, or of texts, may have a role that its name suggests."""
    only = {"cost": True, "time": True, "epoch": True, "other metric": True, "derived from others": False}
    return only.get(role, numeric) == numeric


def _by_content(column: pd.Series, *, numeric: bool, n_values: int) -> tuple[str, str]:
    n_rows = len(column)
    if pd.api.types.is_datetime64_any_dtype(column):
        return "start", "dates and times"
    many = n_values > max(2, n_rows / 2)
    if numeric and many:
        whole = bool((column.dropna() % 1 == 0).all())
        return ("name", "a number of its own in each row") if whole and n_values == n_rows else (
            "other metric", f"numbers, {n_values} different ones in {n_rows} rows"
        )  # fmt: skip
    if not numeric and many:
        dates = parse_starts(column) is not None
        return ("start", "dates and times") if dates else ("name", "nearly every row has its own text")
    return "hyperparameter", f"{n_values} different values in {n_rows} rows"


# --- columns beside each other -------------------------------------------------------------------------------------


def _mark_numbered(runs: pd.DataFrame, found: dict[str, tuple[str, str]]) -> None:
    """Columns called 0, 1, 2 hold a replicate each, where no other column is a metric by its name."""
    numbers = [name for name in found if name.isdecimal() and pd.api.types.is_numeric_dtype(runs[name])]
    others = [name for name in found if name not in numbers]
    counted = sorted(map(int, numbers))
    in_turn = len(numbers) > 1 and counted[0] in (0, 1) and counted == [*range(counted[0], counted[-1] + 1)]
    if in_turn and not any(METRIC.fullmatch(_plain(name)) or re.match(r"\d", name) for name in others):
        found |= dict.fromkeys(numbers, ("objective", "a replicate of each row; the pattern takes them together"))


def _mark_epoch(runs: pd.DataFrame, found: dict[str, tuple[str, str]], codes: Mapping[str, Codes]) -> None:
    """An epoch or step that says nothing of a run's course, one value per configuration, is a setting."""
    epochs = [name for name, (role, _) in found.items() if role == "epoch"]
    for name in epochs[1:]:
        found[name] = ("other metric", f"counts beside {epochs[0]!r}")
    if epochs and int(codes[epochs[0]].max()) + 1 == len(codes[epochs[0]]) > 1:
        found[epochs[0]] = ("other metric", "a value of its own in each row")
    named = [name for name, (role, _) in found.items() if role == "name" and runs[name].dtype == object]
    if epochs and any(int(codes[name].max()) + 1 == len(runs) > 1 for name in named):
        found[epochs[0]] = ("other metric", "each row is a run with a name of its own")


def _mark_derived(table: RunTable, found: dict[str, tuple[str, str]], codes: Mapping[str, Codes]) -> None:
    """A column that one hyperparameter fixes, with several rows each, follows from it."""
    names = [name for name, (role, _) in found.items() if role == "hyperparameter" and name not in table.known_roles]
    names = names[:MOST_COMPARED]
    by_name = {n for n in names if found[n][1] == "by its name"}
    for name in [n for n in names if n not in by_name]:
        for other in names:
            if other == name or found[other][0] != "hyperparameter" or codes[name].max() > codes[other].max():
                continue
            one_to_one = codes[name].max() == codes[other].max()
            later = list(found).index(other) > list(found).index(name)
            if one_to_one and later and other not in by_name:
                continue
            if codes[name].max() == 0 or (not one_to_one and codes[other].max() + 1 > len(codes[name]) / 2):
                continue
            if _fixes(codes[other], codes[name]):
                found[name] = ("derived from others", f"{other!r} fixes it")
                break


def _fixes(determining: Codes, determined: Codes) -> bool:
    """Whether equal values of the one column always go with equal values of the other."""
    for part in (slice(MOST_SAMPLED), slice(None)):
        a, b = determining[part], determined[part]
        if np.unique(a * (int(b.max()) + 1) + b).size != np.unique(a).size:
            return False
    return True


def _mark_objective(runs: pd.DataFrame, found: dict[str, tuple[str, str]]) -> None:
    """The metric with the most usual name is the objective, unless the source or folds said so."""
    if any(role == "objective" for role, _ in found.values()):
        return
    metrics = [n for n, (role, _) in found.items() if role == "other metric" and METRIC.fullmatch(_plain(n))]
    spreads = ("std", "rank", "sem", "stderr")
    metrics = [n for n in metrics if not re.search("|".join(spreads), _plain(n))]
    if metrics:
        found[min(metrics, key=_place)] = ("objective", "by its name, the first of " + ", ".join(metrics[:4]))


def _place(name: str) -> tuple[int, ...]:
    plain = _plain(name)
    training = int(bool(re.search(r"(?:^|_)train", plain)))
    loss = int(is_loss(name))
    return training, loss, *(0 if re.search(pattern, plain) else 1 for pattern in ORDER_OF_OBJECTIVES)


# --- a command -----------------------------------------------------------------------------------------------------


def suggested_command(
    table: RunTable, roles: Sequence[ColumnRole], *, program: str = "python analyze_results.py"
) -> str:
    """Write the command that analyses `table` with these roles, to be read before it is pasted."""
    return " ".join([f"{program} --results {shlex.quote(table.source)}", *_arguments(table, roles)])


def _arguments(table: RunTable, roles: Sequence[ColumnRole]) -> Iterator[str]:
    named: dict[str, list[str]] = {}
    for role in roles:
        named.setdefault(role.role, []).append(role.name)
    objective = _objective(named.get("objective", []))
    yield f"--objective {shlex.quote(quote_name(objective or 'COLUMN'))}"
    yield f"--hyperparameters {shlex.quote(','.join(map(quote_name, named.get('hyperparameter', []))) or 'COLUMNS')}"
    if folds := _n_folds(table, objective, named.get("seed", [])):
        yield f"--folds {folds}"
    options = {"seed": "seed", "block": "block", "condition": "by", "epoch": "epoch", "cost": "cost"}
    for proposed, option in options.items():
        if named.get(proposed):
            yield f"--{option} {shlex.quote(named[proposed][0])}"
    for name in named.get("name", []):
        yield from (f"--where {shlex.quote(where)}" for where in leave_unfinished_out(name, table.runs[name]))
    if named.get("start") and table.start is None:
        yield f"--start {shlex.quote(named['start'][0])}"
    columns = [str(c) for c in table.runs.columns]
    values = pd.to_numeric(table.runs[objective], errors="coerce") if objective in columns else pd.Series(dtype=float)
    values = values[np.isfinite(values.to_numpy(float, na_value=np.nan))]
    if objective and (is_loss(objective) or objective in table.minimised):
        yield "--minimise"
    yield _unit_argument(objective or "", values, table)


def _n_folds(table: RunTable, objective: str | None, seeds: Sequence[str]) -> int:
    """The number of folds, where columns or a column of keys are called like folds; 0 where none are."""
    if objective and re.match(r"(?:split|fold)_?\*", objective):
        return len(fnmatch.filter(map(str, table.runs.columns), objective))
    if seeds and re.search("fold|split", _plain(seeds[0])):
        return int(table.runs[seeds[0]].nunique())
    return 0


def _objective(names: Sequence[str]) -> str | None:
    if len(names) > 1 and names[0].isdecimal():
        return "[0-9]" if len(max(names, key=len)) == 1 else "[0-9]*"
    if len(names) > 1 and REPLICATE.fullmatch(_plain(names[0])):
        return re.sub(r"\d+", "*", names[0], count=1)
    return names[0] if names else None


def _unit_argument(objective: str, values: pd.Series, table: RunTable) -> str:
    plain = _plain(objective)
    share = re.search(r"acc|f1|auc|precision|recall|score", plain)
    if (
        table.units.get(objective) == "%"
        or re.search(r"[\[(] ?(?:%|pct|percent) ?[\])]", objective)
        or (share and len(values) and 1 < values.max() <= 100 and values.min() >= 0)
    ):
        return "--unit percent"
    if share and (not len(values) or (values.min() >= 0 and values.max() <= 1)):
        return "--unit fraction"
    return "--margin NUMBER"
