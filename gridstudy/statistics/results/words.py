"""Analyses -> sentences that say what counted as a replicate."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import pandas as pd

from gridstudy.core.trial import LEAST_SEEDS
from gridstudy.statistics.results.effects import MOST_LEVELS, is_by_cell
from gridstudy.statistics.results.parts import OVER_CONDITIONS, Part
from gridstudy.statistics.results.replicates import (
    BLOCK,
    CONDITIONS,
    ONE_SEED,
    PASSES,
    REPEATS,
    SEED,
    SEED_AND_BLOCK,
    SINGLE,
    Replicates,
)

Roles = Mapping[str, str | None]


def describe_parts(parts: Sequence[Part], effects: pd.DataFrame, *, roles: Roles, adaptive: bool) -> Iterator[str]:
    """Say what counted as a replicate; what holds for all conditions is said once."""
    said: dict[str, list[str]] = {}
    for part in parts:
        some = effects[effects["condition"] == part.condition]
        for sentence in _describe_part(part, some, roles):
            said.setdefault(sentence, []).append(part.condition)
    n_conditions = len([part for part in parts if part.replicates.rule != CONDITIONS])
    for sentence, conditions in said.items():
        everywhere = len(conditions) >= n_conditions or conditions[0] in ("", OVER_CONDITIONS)
        yield sentence if everywhere else f"{', '.join(conditions)}: {sentence}"
    if adaptive:
        yield (
            "The sampler chose how often each configuration was run; unless it drew at random or from a grid, that "
            "depends on the results."
        )
    wide = [name for name, labels in parts[0].configurations.labels.items() if len(labels) > MOST_LEVELS]
    if wide:
        yield f"More than {MOST_LEVELS} values, not compared with each other: {', '.join(wide)}."


def _describe_part(part: Part, effects: pd.DataFrame, roles: Roles) -> Iterator[str]:
    replicates = part.replicates
    yield _describe_rule(replicates, roles)
    if is_by_cell(replicates):
        yield _describe_cells(effects)
    if replicates.groups is not None:
        yield "A seed that ran in several blocks counts once: its differences are averaged."
    if replicates.folds:
        yield (
            f"The replicates are folds of {replicates.folds}-fold cross-validation, which share training data: "
            "intervals are widened as Nadeau and Bengio (2003) propose, and are approximate."
        )
    if replicates.passes_differ and replicates.passes is not None:
        yield (
            f"Something that is not recorded differs between passes (F = {replicates.passes.F:.3g}): configurations "
            "that cannot be paired are not compared."
        )
    if replicates.run_in_turn:
        yield (
            "All runs of one configuration started before those of the next: whatever drifted with time is "
            "confounded with the configuration."
        )
    if replicates.n_without_key:
        yield f"{replicates.n_without_key} runs without a seed or block are left out."
    if part.ranking.n_distinct < len(replicates.ranked):
        yield f"{len(replicates.ranked)} configurations are {part.ranking.n_distinct} different records."
    if len(replicates.ranked):
        yield "All tests are made at one look, with the full 5 %."


def _describe_cells(effects: pd.DataFrame) -> str:
    few = f"No configuration has {LEAST_SEEDS} replicates: "
    if effects["low"].notna().any():
        return few + (
            "values of a hyperparameter are compared over the cells that are alike in all others; interaction counts "
            "as noise, and no cell is compared with another."
        )
    return few + "no difference can be told from noise; rerun the best configurations with several seeds."


def _describe_rule(replicates: Replicates, roles: Roles) -> str:
    return {
        SEED: f"Configurations are paired by the seeds that both have (column {roles['seed']}).",
        BLOCK: f"Configurations are paired by the blocks that both have (column {roles['block']}).",
        SEED_AND_BLOCK: "Configurations are paired by seed and block "
        f"(columns {roles['seed']} and {roles['block']}): a pair shares both.",
        PASSES: "Rows repeated with the same settings are replicates. Sorted by start they form passes; configurations "
        f"are paired over the passes that hold both if there are at least {LEAST_SEEDS} and these are at least three "
        "quarters of the runs of each; others are compared by Welch's test, which assumes that nothing drifts and is "
        "approximate.",
        REPEATS: "Rows repeated with the same settings are replicates, compared by Welch's test, which assumes that "
        "nothing drifts and is approximate.",
        ONE_SEED: "All runs have one seed: repeated rows only show nondeterminism and are not replicates.",
        SINGLE: "No seed or block is shared, and nothing is repeated often enough.",
        CONDITIONS: f"Over the conditions (column {roles['condition']}) each condition counts once, as the mean of its "
        "runs; conditions are never replicates.",
    }[replicates.rule]
