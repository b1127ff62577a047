"""Analyses -> tables in the unit of the objective."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from gridstudy.core.trial import LEAST_SEEDS
from gridstudy.statistics.comparisons import Floats, describe
from gridstudy.statistics.distributions import t_quantile
from gridstudy.statistics.results.configurations import Ints
from gridstudy.statistics.results.contrasts import NOT_COMPARED, average_groups, compare_pairs, fold_factor
from gridstudy.statistics.results.effects import analyse_variance, estimate_effects
from gridstudy.statistics.results.hypotheses import JudgedHypothesis
from gridstudy.statistics.results.parts import Part, Unit
from gridstudy.statistics.results.replicates import CONDITIONS, Replicates

MOST_PAIRED = 100
"""Of more configurations each is compared with the best only."""
N_RERUN = 5
EQUAL_SPREAD = "assumes equal spread"

CONFIGURATION_COLUMNS = (
    "condition", "configuration", "rank", "n", "n_failed", "mean", "sd", "low", "high", "cost", "tied",
    "deficit_bound", "within_margin", "recommended", "same_record_as", "label",
)  # fmt: skip
"""A row per configuration and condition, the best first. `n` counts replicates, `n_failed` runs without an objective;
`mean` to `high`, the 95 % t interval, and `deficit_bound` are in the objective's unit. `rank` is NaN below three
replicates, `deficit_bound` infinite where nothing bounds it; `same_record_as` names the first configuration with the
same record. `label` says "k of n failed", "single run" or that there are too few replicates."""
COMPARISON_COLUMNS = ("condition", "a", "b", "n", "difference", "difference_sd", "low", "high", "p", "label")
"""A row per pair. `difference` is a - b in the objective's unit, `low` and `high` its single 95 % interval, `p`
two-sided; `label` is the kind of comparison (paired, unpaired, assumes equal spread) or why there is none."""
EFFECT_COLUMNS = (
    "condition", "hyperparameter", "a", "b", "n", "unit", "n_cells", "difference", "difference_sd", "low", "high",
    "p", "p_holm", "label",
)  # fmt: skip
"""A row per hyperparameter and pair of its values: a - b, averaged over `n_cells` pairs of configurations that
are alike in all others. `n` counts units: replicates, conditions, or distinct pairs of cells."""
RULE_COLUMNS = (
    "condition", "rule", "n_runs", "n_failed", "n_configurations", "n_distinct", "n_ranked", "n_passes", "pass_F",
    "pass_p", "passes_differ", "run_in_turn", "one_seed", "nondeterminism_sd", "n_without_key",
)  # fmt: skip
"""A row per condition: what counted as a replicate; `nondeterminism_sd` is the spread under one seed."""
VERDICT_COLUMNS = (
    "name", "hypothesis", "verdict", "p_for", "p_against", "p_equivalent", "p_adjusted", "p_equivalent_adjusted",
    "family_size", "labels",
)  # fmt: skip
CONTRAST_COLUMNS = (
    "name", "contrast", "n", "n_cells", "difference", "difference_sd", "low", "high", "low_90", "high_90", "label",
)  # fmt: skip
"""A row per claim: first - second, above zero where the first is better or, if lower is better, below zero."""


def stack_tables(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Put tables of the same columns below each other; empty ones give nothing but their columns."""
    filled = [table for table in tables if len(table)]
    return pd.concat(filled, ignore_index=True) if filled else tables[0]


def configuration_rows(part: Part, unit: Unit) -> pd.DataFrame:
    """List the configurations of an analysis, the best first: CONFIGURATION_COLUMNS."""
    replicates, ranking, order = part.replicates, part.ranking, part.best_first
    mean, sd, half = _describe_configurations(replicates)
    mean, low, high = unit.intervals(mean, half)
    names = np.array(part.configurations.names, dtype=object)
    n_ranked = np.count_nonzero(replicates.n[order] >= LEAST_SEEDS)
    table = pd.DataFrame(
        {
            "condition": part.condition, "configuration": names, "rank": np.nan, "n": replicates.n,
            "n_failed": part.n_failed, "mean": mean, "sd": unit.size * sd, "low": low, "high": high,
            "cost": np.full(len(names), np.nan) if part.costs is None else part.costs, "tied": ranking.tied,
            "deficit_bound": unit.size * ranking.deficit, "within_margin": ranking.within_margin,
            "recommended": np.arange(len(names)) == ranking.recommended,
            "same_record_as": np.where(ranking.record == np.arange(len(names)), "", names[ranking.record]),
            "label": "",
        },
        columns=list(CONFIGURATION_COLUMNS),
    ).iloc[order]  # fmt: skip
    return table.assign(
        rank=np.where(np.arange(len(order)) < n_ranked, np.arange(len(order)) + 1.0, np.nan),
        label=[_configuration_label(part, i) for i in order.tolist()],
    )


def _describe_configurations(replicates: Replicates) -> tuple[Floats, Floats, Floats]:
    """Mean, standard deviation and half the 95 % interval of each configuration's score."""
    values = replicates.scores.to_numpy(float)
    if replicates.groups is not None:
        values = average_groups(values, replicates.groups)
    samples = describe(values)
    half = (samples.high - samples.low) / 2
    if replicates.folds:
        half = half * fold_factor(samples.n, replicates.folds)
    return samples.mean, samples.sd, np.where(samples.n >= LEAST_SEEDS, half, np.nan)


def _configuration_label(part: Part, number: int) -> str:
    n, n_runs, n_failed = (int(counts[number]) for counts in (part.replicates.n, part.n_runs, part.n_failed))
    labels = [f"{n_failed} of {n_runs} failed"] if n_failed else []
    if part.replicates.rule == CONDITIONS:
        return ", ".join(labels + [f"fewer than {LEAST_SEEDS} conditions"] * (n < LEAST_SEEDS))
    if n == 1:
        labels.append("single run" if n_runs - n_failed == 1 else f"mean of {n_runs - n_failed} runs, no replicates")
    elif 1 < n < LEAST_SEEDS:
        labels.append(f"fewer than {LEAST_SEEDS} replicates")
    return ", ".join(labels)


def comparison_rows(part: Part, unit: Unit) -> pd.DataFrame:
    """Compare all pairs, or above 100 configurations each with the best: COMPARISON_COLUMNS."""
    replicates = part.replicates
    first, second = _pairs(part)
    compared = compare_pairs(replicates, first, second)
    found = compared.differences
    half, p = found.half_width(0.95), 2 * np.minimum(found.one_sided_p(), found.opposite_p())
    half, p = np.where(found.testable, half, np.nan), np.where(found.testable, np.minimum(p, 1), np.nan)
    mean, labels = found.mean, compared.labels.copy()
    single = (np.minimum(replicates.n[first], replicates.n[second]) == 1) & (replicates.rule != CONDITIONS)
    if single.any() and not replicates.folds:
        labels[single] = NOT_COMPARED if replicates.passes_differ else EQUAL_SPREAD
        mean = np.where(single, replicates.means[first] - replicates.means[second], mean)
        if not replicates.passes_differ:
            half = np.where(single, _equal_spread_half(replicates, first, second), half)
    return _difference_table(
        unit, mean=mean, sd=found.sd, half=half,
        columns={
            "condition": part.condition, "a": _names(part, first), "b": _names(part, second),
            "n": found.n.astype(int), "p": p, "label": labels,
        },
    )[list(COMPARISON_COLUMNS)]  # fmt: skip


def _pairs(part: Part) -> tuple[Ints, Ints]:
    """All pairs of which one is ranked, or each with the best where there are too many."""
    order = part.best_first
    order = order[~np.isnan(part.replicates.means[order])]
    n_ranked = np.count_nonzero(part.replicates.n[order] >= LEAST_SEEDS)
    if len(order) > MOST_PAIRED:
        others = order[1:] if n_ranked else order[:0]
        return np.full(len(others), order[0]), others
    i, j = np.triu_indices(len(order), 1)
    return order[i[i < n_ranked]], order[j[i < n_ranked]]


def _equal_spread_half(replicates: Replicates, first: Ints, second: Ints) -> Floats:
    """Half the 95 % interval of single runs against repeated ones, with a spread pooled over all repeated ones."""
    _, sd, _ = _describe_configurations(replicates)
    ranked, n = replicates.ranked, replicates.n.astype(float)
    degrees = np.sum(n[ranked] - 1)
    pooled = np.sqrt(np.sum((n[ranked] - 1) * sd[ranked] ** 2) / degrees)
    return np.asarray(t_quantile(0.975, degrees) * pooled * np.sqrt(1 / n[first] + 1 / n[second]))


def effect_rows(part: Part, unit: Unit) -> pd.DataFrame:
    """Compare the values of each hyperparameter: EFFECT_COLUMNS."""
    effects = estimate_effects(part.replicates, part.configurations)
    found = effects.compared.differences
    return _difference_table(
        unit, mean=found.mean, sd=found.sd, half=np.where(found.testable, found.half_width(0.95), np.nan),
        columns={
            "condition": part.condition, "hyperparameter": [pair.hyperparameter for pair in effects.pairs],
            "a": [pair.a for pair in effects.pairs], "b": [pair.b for pair in effects.pairs],
            "n": found.n.astype(int), "unit": effects.unit, "n_cells": effects.n_cells, "p": effects.p,
            "p_holm": effects.p_holm, "label": effects.compared.labels,
        },
    )[list(EFFECT_COLUMNS)]  # fmt: skip


def _difference_table(
    unit: Unit, *, mean: Floats, sd: Floats, half: Floats, columns: Mapping[str, object]
) -> pd.DataFrame:
    difference, low, high = unit.intervals(mean, half)
    values = {"difference": difference, "difference_sd": unit.size * sd, "low": low, "high": high}
    return pd.DataFrame({**columns, **values}, index=range(len(mean)))


def _names(part: Part, numbers: Ints) -> npt.NDArray[np.object_]:
    return np.array(part.configurations.names, dtype=object)[numbers]


def variance_rows(part: Part) -> pd.DataFrame:
    """Analyse a complete factorial: the condition and VARIANCE_COLUMNS."""
    table = analyse_variance(part.replicates, part.configurations)
    table.insert(0, "condition", part.condition)
    return table


def rule_row(part: Part, unit: Unit) -> dict[str, object]:
    """Say what counted as a replicate: RULE_COLUMNS."""
    replicates, test = part.replicates, part.replicates.passes
    return {
        "condition": part.condition, "rule": replicates.rule, "n_runs": int(part.n_runs.sum()),
        "n_failed": int(part.n_failed.sum()), "n_configurations": np.count_nonzero(part.n_runs),
        "n_distinct": part.ranking.n_distinct, "n_ranked": len(replicates.ranked),
        "n_passes": test.n_passes if test else 0, "pass_F": test.F if test else np.nan,
        "pass_p": test.p if test else np.nan, "passes_differ": replicates.passes_differ,
        "run_in_turn": replicates.run_in_turn, "one_seed": replicates.one_seed,
        "nondeterminism_sd": unit.size * replicates.nondeterminism, "n_without_key": replicates.n_without_key,
    }  # fmt: skip


def verdict_rows(judged: Sequence[JudgedHypothesis]) -> pd.DataFrame:
    """List the verdicts: VERDICT_COLUMNS."""
    rows = [
        (
            j.evidence.hypothesis.name, j.evidence.hypothesis.hypothesis, j.verdict, j.evidence.p_for,
            j.evidence.p_against, j.evidence.p_equivalent, j.p_adjusted, j.p_equivalent_adjusted, j.family_size,
            "; ".join(j.labels),
        )
        for j in judged
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=list(VERDICT_COLUMNS))


def contrast_rows(judged: Sequence[JudgedHypothesis], unit: Unit) -> pd.DataFrame:
    """List the differences that the verdicts rest on: CONTRAST_COLUMNS."""
    tables = []
    for evidence in (j.evidence for j in judged):
        found = evidence.compared.differences
        halves = [np.where(found.testable, found.half_width(level), np.nan) for level in (0.95, 0.9)]
        _, low_90, high_90 = unit.intervals(found.mean, halves[1])
        columns = {
            "name": evidence.hypothesis.name, "contrast": [str(claim) for claim in evidence.hypothesis.claims],
            "n": found.n.astype(int), "n_cells": evidence.n_cells, "low_90": low_90, "high_90": high_90,
            "label": evidence.compared.labels,
        }  # fmt: skip
        tables.append(_difference_table(unit, mean=found.mean, sd=found.sd, half=halves[0], columns=columns))
    return stack_tables([pd.DataFrame(columns=list(CONTRAST_COLUMNS)), *tables])[list(CONTRAST_COLUMNS)]


def rerun_rows(parts: Sequence[Part], runs: pd.DataFrame, *, seed: str | None, condition: str | None) -> pd.DataFrame:
    """The five best of each condition with five new seeds, where no analysis has anything repeated."""
    if any(len(part.replicates.ranked) for part in parts):
        return pd.DataFrame()
    used = set() if seed is None else set(pd.to_numeric(runs[seed], errors="coerce").dropna())
    seeds = list(itertools.islice((s for s in itertools.count() if s not in used), N_RERUN))
    single = [part for part in parts if part.replicates.rule != CONDITIONS]
    tables = []
    for part in single:
        best = part.configurations.settings.iloc[part.best_first[:N_RERUN]]
        table = best.loc[best.index.repeat(N_RERUN)].reset_index(drop=True)
        column = seed or ("seed" if "seed" not in table.columns else "rerun_seed")
        table[column] = np.tile(seeds, len(best))
        if condition is not None:
            table.insert(0, condition, part.condition)
        tables.append(table)
    return pd.concat(tables, ignore_index=True)
