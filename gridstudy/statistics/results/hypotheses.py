"""Claims about results of other programs, written after them -> verdicts at one look, and an exit code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from gridstudy.core.errors import StudyError
from gridstudy.statistics.comparisons import ALPHA, LEAST_SEEDS, Floats, holm
from gridstudy.statistics.results.configurations import Configurations, Ints, format_setting
from gridstudy.statistics.results.contrasts import Arm, Compared, compare_arms
from gridstudy.statistics.results.effects import compare_over_cells
from gridstudy.statistics.results.replicates import Replicates
from gridstudy.statistics.verdicts import CANNOT_TELL, CONTRADICTED, EQUIVALENT, SUPPORTED

WRITTEN_AFTER = "written after the results"
Setting = int | float | str | bool | None


@dataclass(frozen=True)
class Claim:
    """That the configurations with the values `first` are better than those with `second`, or alike.

    What both leave open is averaged over the configurations that are there for both.
    """

    first: Mapping[str, Setting]
    second: Mapping[str, Setting]
    alike: bool = False

    def __str__(self) -> str:
        sides = [", ".join(f"{k} {format_setting(v)}" for k, v in side.items()) for side in (self.first, self.second)]
        return f"{sides[0]} {'alike' if self.alike else 'better than'} {sides[1]}"


@dataclass(frozen=True)
class ResultHypothesis:
    """Claims that must all hold."""

    name: str
    hypothesis: str
    claims: tuple[Claim, ...]


@dataclass(frozen=True)
class JudgedClaims:
    """One hypothesis: its contrasts as differences of scores, an entry per claim, and p for, against and of equivalence.

    `differences` are first - second; `n_cells` counts the configurations of each first arm.
    """

    hypothesis: ResultHypothesis
    n_cells: Ints
    compared: Compared
    p_for: float
    p_against: float
    p_equivalent: float


@dataclass(frozen=True)
class JudgedHypothesis:
    """A verdict, with Holm's p over the family of `family_size` hypotheses."""

    evidence: JudgedClaims
    verdict: str
    p_adjusted: float
    p_equivalent_adjusted: float
    family_size: int
    labels: tuple[str, ...]


def judge_hypotheses(
    hypotheses: Sequence[ResultHypothesis], replicates: Replicates, configurations: Configurations, *, margin: float
) -> list[JudgedHypothesis]:
    """Judge at one look; claims and equivalences are two Holm families, each at 5 %."""
    judged = [_judge_claims(hypothesis, replicates, configurations, margin=margin) for hypothesis in hypotheses]
    claims = holm([min(1.0, 2 * min(j.p_for, j.p_against)) for j in judged])
    equivalences = holm([j.p_equivalent for j in judged])
    return [
        JudgedHypothesis(j, _word(j, p, equivalent), p, equivalent, len(judged), _labels(j, replicates))
        for j, p, equivalent in zip(judged, claims.tolist(), equivalences.tolist(), strict=True)
    ]


def check_exit_code(verdicts: Sequence[str]) -> int:
    """0 if all hold as claimed, 3 if one is contradicted or makes no practical difference, 4 if undecided, 2 if none."""
    if not verdicts:
        return 2
    if any(verdict in (CONTRADICTED, EQUIVALENT) for verdict in verdicts):
        return 3
    return 4 if any(verdict != SUPPORTED for verdict in verdicts) else 0


def find_arms(claim: Claim, configurations: Configurations, known: np.ndarray) -> tuple[Arm, Arm]:
    """The configurations of both sides, alike in all hyperparameters that neither names; empty arms where none are.

    Each context counts once, and within it each side averages over what only the other side names. Raises StudyError
    for an unknown hyperparameter or value, and for sides that overlap.
    """
    sides = [_matching(side, configurations) for side in (claim.first, claim.second)]
    if np.any(sides[0] & sides[1]):
        raise StudyError(f"the sides of a contrast must exclude each other; got {claim}")
    context = configurations.contexts([*claim.first, *claim.second])
    shared = np.intersect1d(*(context[side & known] for side in sides))
    return _weigh(sides[0] & known, context, shared), _weigh(sides[1] & known, context, shared)


def _weigh(side: np.ndarray, context: np.ndarray, shared: np.ndarray) -> Arm:
    cells = np.flatnonzero(side & np.isin(context, shared))
    counts = pd.Series(1, index=context[cells]).groupby(level=0).transform("sum").to_numpy(float)
    return Arm(cells, 1 / counts / max(len(shared), 1))


def _matching(side: Mapping[str, Setting], configurations: Configurations) -> np.ndarray:
    matches = np.ones(len(configurations.levels), bool)
    for name, value in side.items():
        label = format_setting(value)
        if name not in configurations.settings.columns:
            known = ", ".join(map(str, configurations.settings.columns))
            raise StudyError(f"unknown hyperparameter {name!r} in a contrast; choose from {known}")
        if name in configurations.labels:
            labels, column = configurations.labels[name], list(configurations.labels).index(name)
        else:
            labels, column = (format_setting(configurations.settings[name].iloc[0]),), None
        if label not in labels:
            raise StudyError(f"no run has {name} {label}, named in a contrast; choose from {', '.join(labels[:20])}")
        if column is not None:
            matches &= configurations.levels[:, column] == labels.index(label)
    if not matches.any():
        raise StudyError(f"no run has {', '.join(f'{k} {format_setting(v)}' for k, v in side.items())} together")
    return matches


def _judge_claims(
    hypothesis: ResultHypothesis, replicates: Replicates, configurations: Configurations, *, margin: float
) -> JudgedClaims:
    by_cell = not len(replicates.ranked)
    known = ~np.isnan(replicates.means) if by_cell else replicates.n >= LEAST_SEEDS
    arms = [find_arms(claim, configurations, known) for claim in hypothesis.claims]
    if by_cell:
        compared = compare_over_cells(replicates, [_side_by_side(c, a, configurations) for c, a in zip(hypothesis.claims, arms, strict=True)])
    else:
        compared = compare_arms(replicates, arms)
    p_for, p_against, p_equivalent = _combine(compared, hypothesis.claims, margin=margin, judged=not replicates.one_seed)
    n_cells = np.array([len(first.cells) for first, _ in arms], np.int64)
    return JudgedClaims(hypothesis, n_cells, compared, p_for, p_against, p_equivalent)
