"""Estimates from other programs' results -> sentences: the first screen, and the words of the report."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from gridstudy.core.trial import LEAST_SEEDS
from gridstudy.records.foreign.table import count_states
from gridstudy.reporting.phrases import Prose, code, codes, count, p_value, plain, sentence
from gridstudy.reporting.results.findings import ResultFindings
from gridstudy.statistics.results.parts import OVER_CONDITIONS

MOST_EFFECTS = 3
MOST_TIED = 4
NO_HYPOTHESIS = (
    "No hypothesis was given, so nothing here is a verdict: with many comparisons some look clear by chance. Verdicts "
    "need a study file with claims (--study)."
)


def first_sentences(findings: ResultFindings) -> list[Prose]:
    """What the screen and the report's first page say: what was read, the answer, how sure it is."""
    sentences = [read_sentence(findings), *answer_sentences(findings), *effect_sentences(findings)]
    if len(findings.estimates.verdicts):
        sentences += verdict_sentences(findings)
    else:
        sentences.append(Prose(NO_HYPOTHESIS))
    if len(findings.estimates.rerun):
        sentences.append(Prose(
            "Too little is repeated. `rerun.csv` lists the best configurations with five new seeds each: run these "
            "and compare them by the new runs alone."
        ))  # fmt: skip
    return sentences


def read_sentence(findings: ResultFindings) -> Prose:
    """What was read, and how much of it was left out."""
    rules = findings.estimates.rules
    each = rules[rules["condition"] != OVER_CONDITIONS]
    n_runs = int(each["n_runs"].sum() - each["n_failed"].sum())
    n_configurations = findings.estimates.configurations["configuration"].nunique()
    noun = "value" if findings.runs.pattern else "run"
    column = findings.runs.options.by
    by = f" under {count(len(each), 'condition')} ({code(column)})" if column else ""
    left = findings.runs.problems
    out = f"; left out: {count_states(left)}" if len(left) else ""
    better = "lower" if findings.runs.options.minimise else "higher"
    return Prose(
        f"{count(n_runs, noun)} of {count(n_configurations, 'configuration')}{by} from {code(findings.runs.source)}"
        f"{out}. "
        f"{code(findings.objective)}: {better} is better; differences up to {findings.margin_words} do not matter."
    )


# --- configurations ------------------------------------------------------------------------------------------------


def answer_sentences(findings: ResultFindings) -> Iterator[Prose]:
    """The tied set of each condition, and over them, where there are several."""
    if findings.main == OVER_CONDITIONS:
        yield from _answer(findings, OVER_CONDITIONS, prefix="Over the conditions: ")
    for condition in findings.conditions:
        yield from _answer(findings, condition, prefix=f"{code(condition)}: " if condition else "")


def _answer(findings: ResultFindings, condition: str, *, prefix: str) -> Iterator[Prose]:
    table = findings.configurations(condition)
    ranked = table[table["rank"].notna()]
    if ranked.empty:
        yield sentence(prefix + _unranked(findings, table, condition))
        return
    best = ranked.iloc[0].to_dict()
    highest = "lowest" if findings.runs.options.minimise else "highest"
    words = f"{prefix}{code(best['configuration'])} has the {highest} mean, {score(findings, best)}."
    tied = ranked[ranked["tied"].astype(bool)]
    if len(ranked) == 1:
        words += f" No other configuration has {LEAST_SEEDS} replicates, so there is nothing to compare it with."
    elif len(tied) == 1:
        rest = "The other one is" if len(ranked) == 2 else f"All {len(ranked) - 1} others are"
        words += f" {rest} worse (95 % joint confidence)."
    elif len(tied) == len(ranked):
        words += f" None of the {len(ranked)} ranked configurations can be told from the best."
    else:
        alike = [name for name in tied["configuration"] if name != best["configuration"]]
        words += (
            f" {count(len(alike), 'other')} of {len(ranked) - 1} cannot be told from the best: "
            f"{codes(alike, most=MOST_TIED)}; the rest are worse (95 % joint confidence)."
        )
    yield Prose(words)
    yield from _copies(ranked, prefix)
    if condition == findings.main:
        yield from _recommendation(findings, ranked, prefix)
    few = len(table) - len(ranked)
    if few:
        word = "conditions" if condition == OVER_CONDITIONS else "replicates"
        are = "is" if few == 1 else "are"
        yield Prose(f"{prefix}{count(few, 'configuration')} with fewer than {LEAST_SEEDS} {word} {are} not ranked.")


def _unranked(findings: ResultFindings, table: pd.DataFrame, condition: str) -> str:
    word = "conditions" if condition == OVER_CONDITIONS else "replicates"
    highest = "lowest" if findings.runs.options.minimise else "highest"
    best = table[table["mean"].notna()]
    name = ""
    if len(best):
        value = findings.unit.show(best.iloc[0]["mean"])
        name = f"; the {highest} value, {value} of {code(best.iloc[0]['configuration'])}, may be luck"
    return f"no configuration has {LEAST_SEEDS} {word}, so none is called the best{name}."


def _copies(ranked: pd.DataFrame, prefix: str) -> Iterator[Prose]:
    copies = ranked[ranked["same_record_as"] != ""]
    if len(copies):
        first = copies.iloc[0]
        have = "configuration has" if len(copies) == 1 else "configurations have"
        yield Prose(
            f"{prefix}{len(copies)} {have} exactly the record of another, such as {code(first['configuration'])} that "
            f"of {code(first['same_record_as'])}: a setting without effect, or one run under several names. Such "
            "copies count once."
        )


def _recommendation(findings: ResultFindings, ranked: pd.DataFrame, prefix: str) -> Iterator[Prose]:
    within = ranked[ranked["within_margin"].astype(bool)]
    chosen = ranked[ranked["recommended"].astype(bool)]
    if len(within) < 2 and chosen.empty:
        return
    names = codes(within["configuration"], most=MOST_TIED)
    if chosen.empty:
        yield sentence(
            f"{prefix}certainly within {findings.margin_words} of the best (95 % joint confidence): {names}. Without "
            "--cost none is recommended"
        )
        return
    row = chosen.iloc[0]
    if len(within) == 1:
        yield Prose(f"{prefix}{code(row['configuration'])} is the only one that is certainly within "
                    f"{findings.margin_words} of the best (95 % joint confidence).")  # fmt: skip
        return
    yield Prose(
        f"{prefix}{code(row['configuration'])} is the cheapest ({code(findings.runs.options.cost)} {row['cost']:g}) of "
        f"{len(within)} that are certainly within {findings.margin_words} of the best (95 % joint confidence)."
    )


def score(findings: ResultFindings, row: Mapping[Any, Any]) -> str:
    """A mean with its interval and its number of replicates."""
    return f"{findings.unit.show_interval(row['mean'], row['low'], row['high'])}, n = {row['n']:.0f}"


# --- effects and hypotheses ----------------------------------------------------------------------------------------


def effect_sentences(findings: ResultFindings) -> Iterator[Prose]:
    """The clearest effects, those that survive Holm first."""
    effects = findings.tested_effects(findings.main)
    if effects.empty:
        return
    clear = effects[effects["p_holm"] <= 0.05]
    if clear.empty:
        n = int(effects["p_holm"].notna().sum())
        none = f"Of {count(n, 'pair')} of values none differs clearly (p by Holm)" if n else "No effect can be tested"
        yield Prose(f"{none}; the largest difference: {effect_words(findings, effects.iloc[0].to_dict())}.")
        return
    shown = [effect_words(findings, row) for row in clear.head(MOST_EFFECTS).to_dict("records")]
    n_more = len(clear) - MOST_EFFECTS
    more = f"; {n_more} more {'is' if n_more == 1 else 'are'} in tables/effects.csv" if n_more > 0 else ""
    yield Prose(f"Clearest effects, averaged over what else varies (p by Holm): {'; '.join(shown)}{more}.")


def effect_words(findings: ResultFindings, row: Mapping[Any, Any]) -> str:
    """`layers 1 better than 5 by 1.7 points [1.1, 2.4], over 8 pairs of cells, p < 0.001`."""
    unit, flip = findings.unit, row["difference"] * findings.unit.sign < 0
    first, second = (row["b"], row["a"]) if flip else (row["a"], row["b"])
    ends = sorted(x * (-1 if row["difference"] < 0 else 1) for x in (row["low"], row["high"]))
    size = re.sub(r"(?<!e)\+", "", unit.show_difference(abs(row["difference"]), *ends))
    over = {
        "cell": f"over {count(row['n'], 'pair')} of cells",
        "condition": f"over {count(row['n'], 'condition')}",
    }.get(row["unit"], f"n = {row['n']:.0f} replicates, over {count(row['n_cells'], 'pair')} of cells")
    p = f", {p_value(row['p_holm'])}" if pd.notna(row["p_holm"]) else ", for these seeds only"
    return f"{code(row['hyperparameter'])} {code(first)} better than {code(second)} by {size} ({over}{p})"


def verdict_sentences(findings: ResultFindings) -> Iterator[Prose]:
    """Each hypothesis with its verdict and what it rests on."""
    contrasts = findings.estimates.contrasts
    for row in findings.estimates.verdicts.to_dict("records"):
        mine = contrasts[contrasts["name"] == row["name"]].to_dict("records")
        found = [f"{plain(c['contrast'])}: {findings.unit.show_difference(c['difference'], c['low'], c['high'])}"
                 f", n = {c['n']:.0f}" for c in mine if pd.notna(c["difference"])]  # fmt: skip
        yield Prose(f"{code(row['name'])} ({plain(row['hypothesis'])}): **{row['verdict']}**"
                    f"{' - ' if found else ''}{'; '.join(found)} ({plain(row['labels'])}).")  # fmt: skip


# --- caveats -------------------------------------------------------------------------------------------------------


def caveats(findings: ResultFindings) -> Iterator[Prose]:
    """What was used for pairing, what was selected, and what a reader must know of the source."""
    runs = findings.runs
    for words in findings.estimates.used:
        paired = bool(runs.pattern) and words.endswith(f"that both have (column {runs.pattern}).")
        yield plain(f"Configurations are paired by the columns {runs.pattern}, each a replicate." if paired else words)
    for row in findings.estimates.rules.to_dict("records"):
        if pd.notna(row["nondeterminism_sd"]):
            spread = findings.unit.show_difference(row["nondeterminism_sd"]).lstrip("+")
            yield Prose(f"Rows repeated under one seed differ by a standard deviation of {spread}.")
    if runs.options.epoch:
        yield Prose(epoch_words(findings))
    if runs.pattern and not runs.options.folds:
        yield Prose("If these are folds of a cross-validation, they share training data and the intervals are too "
                    "narrow: give --folds K.")  # fmt: skip
    yield from (plain(f"{warning[:1].upper()}{warning[1:]}.") for warning in runs.warnings)
    yield from (plain(f"{note[:1].upper()}{note[1:]}.") for note in runs.notes)


def epoch_words(findings: ResultFindings) -> str:
    """Which epoch counts, and by how much the best one exceeds the last."""
    options, excess = findings.runs.options, findings.runs.best_excess
    if options.at == "best" and excess is not None:
        size = findings.unit.show_difference(excess).lstrip("+")
        return (
            f"The best value over {code(options.epoch)} was taken: a selection by the same data, on average {size} "
            "better than the last."
        )
    where = "the last (largest)" if options.at == "last" else "number"
    return f"Of each run {where} {code(options.epoch)}{'' if options.at == 'last' else f' {options.at}'} counts."
