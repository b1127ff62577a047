"""Claims about results of other programs, written after them -> verdicts at one look, and an exit code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from gridstudy.core.errors import StudyError
from gridstudy.core.trial import LEAST_SEEDS
from gridstudy.records.verdicts import CANNOT_TELL
from gridstudy.statistics.comparisons import ALPHA, TESTED, Floats, holm
from gridstudy.statistics.results.configurations import Configurations, Hashes, Ints, format_setting
from gridstudy.statistics.results.contrasts import Arm, Compared, compare_arms
from gridstudy.statistics.results.effects import compare_over_cells, is_by_cell
from gridstudy.statistics.results.replicates import CONDITIONS, Replicates
from gridstudy.statistics.verdicts import CONTRADICTED, EQUIVALENT, SUPPORTED

WRITTEN_AFTER = "written after the results"
Mask = npt.NDArray[np.bool_]
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
    """One hypothesis: differences of scores, an entry per claim, and p for, against and of equivalence.

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
    """0 if all hold, 3 if one is contradicted or shows no practical difference, 4 if one is undecided, 2 if none."""
    if not verdicts:
        return 2
    if any(verdict in (CONTRADICTED, EQUIVALENT) for verdict in verdicts):
        return 3
    return 4 if any(verdict != SUPPORTED for verdict in verdicts) else 0


def find_arms(claim: Claim, configurations: Configurations, known: Mask) -> tuple[Arm, Arm]:
    """The configurations of both sides, alike in all hyperparameters that neither names; empty arms where none are.

    Each context counts once, and within it each side averages over what only the other side names. Raises StudyError
    for an unknown hyperparameter or value, and for sides that overlap.
    """
    sides = [_matching(side, configurations) for side in (claim.first, claim.second)]
    if np.any(sides[0] & sides[1]):
        raise StudyError(f"the sides of a contrast must exclude each other; got {claim}")
    context = configurations.contexts([*claim.first, *claim.second])
    shared = np.intersect1d(context[sides[0] & known], context[sides[1] & known])
    return _weigh(sides[0] & known, context, shared), _weigh(sides[1] & known, context, shared)


def _weigh(side: Mask, context: Hashes, shared: Hashes) -> Arm:
    cells = np.flatnonzero(side & np.isin(context, shared))
    counts = pd.Series(1, index=context[cells]).groupby(level=0).transform("sum").to_numpy(float)
    return Arm(cells, 1 / counts / max(len(shared), 1))


def _matching(side: Mapping[str, Setting], configurations: Configurations) -> Mask:
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
    by_cell = is_by_cell(replicates)
    known = ~np.isnan(replicates.means) if by_cell else replicates.n >= LEAST_SEEDS
    arms = [find_arms(claim, configurations, known) for claim in hypothesis.claims]
    if by_cell:
        sides = [
            _context_means(replicates.means, arm, configurations, claim)
            for claim, arm in zip(hypothesis.claims, arms, strict=True)
        ]
        compared = compare_over_cells(sides, shared_seeds=replicates.shares_seeds)
    else:
        compared = compare_arms(replicates, arms)
    n_cells = np.array([len(first.cells) for first, _ in arms], np.int64)
    if by_cell and replicates.shares_seeds:
        # how the effects vary by seed is unknown, so that no number of cells decides
        return JudgedClaims(hypothesis, n_cells, compared, 1.0, 1.0, 1.0)
    return JudgedClaims(hypothesis, n_cells, compared, *_combine(compared, hypothesis.claims, margin=margin))


def _context_means(
    means: Floats, arms: tuple[Arm, Arm], configurations: Configurations, claim: Claim
) -> tuple[Floats, Floats]:
    """Averages of both arms within each context that they share, in one order."""
    context = configurations.contexts([*claim.first, *claim.second])
    first, second = (pd.Series(means[arm.cells]).groupby(context[arm.cells]).mean() for arm in arms)
    return np.asarray(first, float), np.asarray(second, float)


def _combine(compared: Compared, claims: Sequence[Claim], *, margin: float) -> tuple[float, float, float]:
    """P that all claims hold, p against them by Bonferroni, and p that all differences are within the margin.

    A claim of equality enters p for with its equivalence p, and p against with one test beyond each margin.
    """
    found, alike = compared.differences, np.array([claim.alike for claim in claims], bool)
    if not len(alike):
        return 1.0, 1.0, 1.0
    equivalent = np.maximum(found.opposite_p(margin), found.one_sided_p(-margin))
    p_for = np.where(alike, equivalent, found.one_sided_p()).max()
    beyond = np.minimum(found.one_sided_p(margin), found.opposite_p(-margin))
    p_against = np.where(alike, beyond, found.opposite_p()).min() * (len(alike) + np.count_nonzero(alike))
    return float(p_for), min(1.0, float(p_against)), float(equivalent.max())


def _word(judged: JudgedClaims, p_adjusted: float, p_equivalent_adjusted: float) -> str:
    """The one word of the four; equivalence goes before significance."""
    if p_equivalent_adjusted <= ALPHA:
        return SUPPORTED if all(claim.alike for claim in judged.hypothesis.claims) else EQUIVALENT
    if p_adjusted <= ALPHA:
        return SUPPORTED if judged.p_for < judged.p_against else CONTRADICTED
    return CANNOT_TELL


def _labels(judged: JudgedClaims, replicates: Replicates) -> tuple[str, ...]:
    kinds = [str(label) for label in judged.compared.labels]
    found = [WRITTEN_AFTER]
    if replicates.folds:
        found.append("approximate: folds share training data")
    if "unpaired" in kinds:
        found.append("approximate: Welch's test assumes that nothing drifts")
    if replicates.rule == CONDITIONS:
        found.append("over conditions")
    return (*found, *dict.fromkeys(kind for kind in kinds if kind not in TESTED))
