"""Results of other programs, a row per run -> everything that can be said of them, as tables and words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from gridstudy.core.errors import StudyError
from gridstudy.statistics.comparisons import Floats
from gridstudy.statistics.results.configurations import (
    Configurations,
    check_columns,
    format_setting,
    identify_configurations,
)
from gridstudy.statistics.results.hypotheses import ResultHypothesis, check_exit_code, judge_hypotheses
from gridstudy.statistics.results.parts import OVER_CONDITIONS, Part, standardise
from gridstudy.statistics.results.ranking import rank
from gridstudy.statistics.results.replicates import Replicates, condition_replicates, find_replicates
from gridstudy.statistics.results.tables import (
    RULE_COLUMNS,
    comparison_rows,
    configuration_rows,
    contrast_rows,
    effect_rows,
    rerun_rows,
    rule_row,
    stack_tables,
    variance_rows,
    verdict_rows,
)
from gridstudy.statistics.results.words import describe_parts


@dataclass(frozen=True)
class ResultEstimates:
    """What the runs say; columns as above. `used` says in sentences what counted as a replicate.

    `settings` has the hyperparameters of each configuration under their own names, indexed by configuration.
    `interactions` is the analysis of variance of complete factorials with paired replicates. `rerun` lists runs that
    would say more where nothing is repeated, else it is empty. `check_exit_code` is 0 if all hypotheses hold, 3 if one
    is contradicted or makes no practical difference, 4 if one is undecided, 2 if there is none.
    """

    used: tuple[str, ...]
    settings: pd.DataFrame
    rules: pd.DataFrame
    configurations: pd.DataFrame
    comparisons: pd.DataFrame
    effects: pd.DataFrame
    interactions: pd.DataFrame
    verdicts: pd.DataFrame
    contrasts: pd.DataFrame
    rerun: pd.DataFrame
    margin: float
    higher_is_better: bool
    check_exit_code: int


def analyse_results(
    runs: pd.DataFrame,
    *,
    objective: str,
    hyperparameters: Sequence[str],
    margin: float,
    seed: str | None = None,
    block: str | None = None,
    start: str | None = None,
    condition: str | None = None,
    cost: str | None = None,
    folds: int | None = None,
    higher_is_better: bool = True,
    adaptive: bool = False,
    hypotheses: Sequence[ResultHypothesis] = (),
) -> ResultEstimates:
    """Analyse a table with a row per run; a missing or infinite objective is a failed run.

    `margin` and all estimates are in the objective's unit. `folds` is the K of K-fold cross-validation, whose folds
    `seed` or `block` names. `adaptive` says that a sampler chose the runs by their results. Raises StudyError for
    unknown columns, two runs of one configuration under one seed, block and condition, and hypotheses about settings
    that no run has.
    """
    roles = {"seed": seed, "block": block, "start": start, "condition": condition, "cost": cost}
    known = list(dict.fromkeys(column for column in roles.values() if column is not None))
    check_columns(runs, [objective, *hyperparameters, *known])
    _check_numbers(margin=margin, folds=folds)
    scores, unit = standardise(runs[objective], higher_is_better=higher_is_better)
    configurations = identify_configurations(runs, hyperparameters)
    parts = []
    for name, rows in _split_conditions(runs, condition):
        some = replace(configurations, codes=configurations.codes[rows])
        replicates = find_replicates(
            runs.loc[rows, known], some, score=scores[rows], seed=seed, block=block, start=start, folds=folds
        )
        costs = None if cost is None else _median_costs(runs.loc[rows, cost], some)
        parts.append(_analyse_part(name, replicates, some, score=scores[rows], costs=costs, margin=margin / unit.size))
    if condition is not None:
        parts.append(_over_conditions(parts, configurations, margin=margin / unit.size))
    judged = judge_hypotheses(hypotheses, parts[-1].replicates, configurations, margin=margin / unit.size)
    effects = stack_tables([effect_rows(part, unit) for part in parts])
    verdicts = verdict_rows(judged)
    return ResultEstimates(
        used=tuple(describe_parts(parts, effects, roles=roles, adaptive=adaptive)),
        settings=configurations.settings,
        rules=pd.DataFrame([rule_row(part, unit) for part in parts], columns=list(RULE_COLUMNS)),
        configurations=stack_tables([configuration_rows(part, unit) for part in parts]),
        comparisons=stack_tables([comparison_rows(part, unit) for part in parts]),
        effects=effects,
        interactions=stack_tables([variance_rows(part) for part in parts]),
        verdicts=verdicts,
        contrasts=contrast_rows(judged, unit),
        rerun=rerun_rows(parts, runs, seed=seed, condition=condition),
        margin=margin, higher_is_better=higher_is_better,
        check_exit_code=check_exit_code(verdicts["verdict"].tolist()),
    )  # fmt: skip


def _check_numbers(*, margin: float, folds: int | None) -> None:
    if not (np.isfinite(margin) and margin > 0):
        raise StudyError(f"margin must be a number above 0, in the unit of the objective; got {margin!r}")
    if folds is not None and folds < 2:
        raise StudyError(f"folds must be 2 or more, the K of K-fold cross-validation; got {folds!r}")


def _split_conditions(runs: pd.DataFrame, condition: str | None) -> Iterator[tuple[str, npt.NDArray[np.bool_]]]:
    if condition is None:
        yield "", np.ones(len(runs), bool)
        return
    labels = runs[condition].map(format_setting, na_action=None).to_numpy(object)
    for label in dict.fromkeys(labels):
        yield str(label), labels == label


def _median_costs(costs: pd.Series, configurations: Configurations) -> Floats:
    medians = pd.to_numeric(costs, errors="coerce").groupby(configurations.codes).median()
    return medians.reindex(range(len(configurations.levels))).to_numpy(float)


def _analyse_part(
    condition: str,
    replicates: Replicates,
    configurations: Configurations,
    *,
    score: pd.Series,
    costs: Floats | None,
    margin: float,
) -> Part:
    k = len(configurations.levels)
    n_runs = np.bincount(configurations.codes, minlength=k)
    n_failed = np.bincount(configurations.codes[score.isna().to_numpy()], minlength=k)
    ranking = rank(replicates, margin=margin, costs=costs)
    return Part(condition, replicates, configurations, ranking, n_runs, n_failed, costs)


def _over_conditions(parts: Sequence[Part], configurations: Configurations, *, margin: float) -> Part:
    replicates = condition_replicates([part.replicates for part in parts])
    costs = None
    if parts[0].costs is not None:
        table = pd.DataFrame([part.costs for part in parts])
        costs = table.mean(skipna=False).to_numpy(float)
    return Part(
        OVER_CONDITIONS, replicates, configurations, rank(replicates, margin=margin, costs=costs),
        np.sum([part.n_runs for part in parts], axis=0), np.sum([part.n_failed for part in parts], axis=0), costs,
    )  # fmt: skip
