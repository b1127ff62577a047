"""Verdicts on hypotheses: supported, contradicted, no practical difference, or cannot tell."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from gridstudy.core.study import Configuration, Contrast, Experiment, Value
from gridstudy.fashion.experiments import STUDY
from gridstudy.statistics.comparisons import (
    ALPHA,
    LEAST_SEEDS,
    POWER,
    Floats,
    comparison_labels,
    differences,
    format_seeds,
    holm,
    is_paired,
    seeds_needed,
)
from gridstudy.statistics.noise import FROM_EXPERIMENT, NoiseFloor

SUPPORTED = "supported"
CONTRADICTED = "contradicted"
EQUIVALENT = "no practical difference"
CANNOT_TELL = "cannot tell"

STUDY_FAMILY = tuple(table["name"] for table in STUDY)
BUDGETS = ("updates", "examples", "parameters")
"""Budgets whose inequality confounds; passes follow from examples, seconds always differ."""
UNEQUAL = 1.05


@dataclass(frozen=True)
class ContrastEstimate:
    """One step of a hypothesis: the best configuration of each side, and their difference better - worse.

    `n_better` and `n_worse` count the stable configurations that each best was selected from; where they exceed one,
    the p values are corrected for that selection and the intervals are not. Differences are fractions of accuracy;
    `low` and `high` bound 95 %, `low_90` and `high_90` the 90 % that equivalence asks for. `planning_sd` is the
    standard deviation of the difference that seeds are planned with: `difference_sd`, or an assumed one.
    """

    contrast: str
    better: str
    worse: str
    n_better: int
    n_worse: int
    n: int
    difference: float
    difference_sd: float
    planning_sd: float
    low: float
    high: float
    low_90: float
    high_90: float
    p_for: float
    p_against: float
    p_equivalent: float
    label: str


@dataclass(frozen=True)
class Verdict:
    """What the records say of a hypothesis, with `p_adjusted` by Holm over a family of `family_size` experiments.

    `labels` (confounded, unstable, changed, selected) go wherever the verdict goes. `seeds_to_decide` is "" where
    it is decided or more seeds would not help; `seeds_source` says whose spread they were planned with.
    """

    experiment: str
    hypothesis: str
    verdict: str
    p_for: float
    p_against: float
    p_equivalent: float
    p_adjusted: float
    family: str
    family_size: int
    seeds_to_decide: str
    seeds_source: str
    labels: tuple[str, ...]
    contrasts: tuple[ContrastEstimate, ...]


@dataclass(frozen=True)
class Evidence:
    """What a verdict rests on: an experiment, its objectives, and how many trials of a configuration diverged."""

    experiment: Experiment
    objectives: pd.DataFrame
    diverged: Mapping[str, int]
    noise: NoiseFloor
    hypothesis_changed: bool = False


# --- contrasts -----------------------------------------------------------------------------------------------------


def judge_contrast(contrast: Contrast, evidence: Evidence, *, margin: float) -> ContrastEstimate:
    """Compare the best of each side; the sides may differ in nuisance hyperparameters within."""
    objectives, means = evidence.objectives, evidence.objectives.mean()
    sides = [[c.name for c in evidence.experiment.matching(side)] for side in (contrast.better, contrast.worse)]
    arms = [[name for name in side if not evidence.diverged.get(name) and means[name] > 0] for side in sides]
    if not all(arms):
        return _untold(contrast, _why_empty(next(s for s, arm in zip(sides, arms, strict=True) if not arm), evidence))
    better, worse = (max(arm, key=lambda name: means[name]) for arm in arms)
    pair = differences(objectives, [better], [worse])
    n, difference, sd = int(pair.n[0]), float(pair.mean[0]), float(pair.sd[0])
    half_95, half_90 = float(pair.half_width(0.95)[0]), float(pair.half_width(0.90)[0])
    p_for, p_against, p_equivalent = arm_p_values(objectives, *arms, margin=margin)
    return ContrastEstimate(
        contrast=str(contrast), better=better, worse=worse, n_better=len(arms[0]), n_worse=len(arms[1]), n=n,
        difference=difference, difference_sd=sd,
        planning_sd=sd if n >= LEAST_SEEDS else evidence.noise.assumed_difference_sd,
        low=difference - half_95, high=difference + half_95, low_90=difference - half_90, high_90=difference + half_90,
        p_for=p_for, p_against=p_against, p_equivalent=p_equivalent,
        label=str(comparison_labels(pair, paired=is_paired(objectives))[0]),
    )  # fmt: skip


def _why_empty(side: Sequence[str], evidence: Evidence) -> str:
    for name in side:
        if n_diverged := evidence.diverged.get(name):
            return f"unstable, {n_diverged} of {evidence.objectives[name].count()}"
    return "no records"


def _untold(contrast: Contrast, label: str) -> ContrastEstimate:
    unknown = (float("nan"),) * 7
    return ContrastEstimate(str(contrast), "", "", 0, 0, 0, *unknown, 1.0, 1.0, 1.0, label)


def arm_p_values(
    objectives: pd.DataFrame, better: Sequence[str], worse: Sequence[str], *, margin: float
) -> tuple[float, float, float]:
    """One-sided p for `best of better > best of worse`, against it, and for a difference within the margin.

    With one configuration a side these are the t tests of one difference and the two one-sided tests of Schuirmann
    (1987). With more, selecting the best would count noise as merit. The best of A exceeds the best of B if some a
    exceeds every b: p = |A| min over a of max over b of p(a > b), an intersection-union test (Berger 1982) within
    Bonferroni's; equivalence likewise.
    """
    pairs = differences(objectives, np.repeat(better, len(worse)).tolist(), list(worse) * len(better))
    shape = n_better, n_worse = len(better), len(worse)
    p_for = n_better * pairs.one_sided_p().reshape(shape).max(axis=1).min()
    p_against = n_worse * pairs.opposite_p().reshape(shape).max(axis=0).min()
    p_below = n_worse * pairs.opposite_p(margin).reshape(shape).min(axis=1).max()
    p_above = n_better * pairs.one_sided_p(-margin).reshape(shape).min(axis=0).max()
    return min(1.0, float(p_for)), min(1.0, float(p_against)), min(1.0, float(max(p_below, p_above)))


# --- verdicts ------------------------------------------------------------------------------------------------------


def judge(studies: Sequence[Evidence], *, margin: float) -> list[Verdict]:
    """A verdict for each experiment with contrasts, in the order given.

    The seven experiments of the study are one family of seven, those missing with p = 1; all others are another.
    """
    studies = [study for study in studies if study.experiment.contrasts]
    contrasts = [
        tuple(judge_contrast(c, study, margin=margin) for c in study.experiment.contrasts) for study in studies
    ]
    p = np.array([2 * min(combine(steps)[:2]) for steps in contrasts]).clip(max=1)
    ours = np.array([study.experiment.name in STUDY_FAMILY for study in studies], bool)
    sizes = np.where(ours, len(STUDY_FAMILY), np.sum(~ours))
    return [
        _verdict(study, steps, p_adjusted=float(adjusted), family_size=int(size), margin=margin)
        for study, steps, adjusted, size in zip(studies, contrasts, adjust(p, ours), sizes, strict=True)
    ]


def adjust(p: Floats, ours: npt.NDArray[np.bool_]) -> Floats:
    """Holm within the family of seven (`ours`) and within all others."""
    adjusted = np.ones(len(p))
    adjusted[ours] = holm(np.append(p[ours], np.ones(len(STUDY_FAMILY) - ours.sum())))[: ours.sum()]
    adjusted[~ours] = holm(p[~ours])
    return adjusted


def combine(contrasts: Sequence[ContrastEstimate]) -> tuple[float, float, float]:
    """P for all contrasts together, p against them, and p that all are within the margin."""
    p_against = min(1.0, len(contrasts) * min(c.p_against for c in contrasts))
    return max(c.p_for for c in contrasts), p_against, max(c.p_equivalent for c in contrasts)


def _verdict(
    study: Evidence, contrasts: tuple[ContrastEstimate, ...], *, p_adjusted: float, family_size: int, margin: float
) -> Verdict:
    experiment = study.experiment
    p_for, p_against, p_equivalent = combine(contrasts)
    word = verdict_word(p_for, p_against, p_equivalent, p_adjusted)
    needed = seeds_to_decide(contrasts, family_size=family_size, margin=margin) if word == CANNOT_TELL else np.nan
    return Verdict(
        experiment=experiment.name, hypothesis=experiment.hypothesis, verdict=word,
        p_for=p_for, p_against=p_against, p_equivalent=p_equivalent, p_adjusted=p_adjusted,
        family="the seven experiments" if experiment.name in STUDY_FAMILY else "the other experiments",
        family_size=family_size,
        seeds_to_decide=format_seeds(needed),
        seeds_source=FROM_EXPERIMENT if all(c.n >= LEAST_SEEDS for c in contrasts) else study.noise.source,
        labels=tuple(_verdict_labels(study, contrasts)), contrasts=contrasts,
    )  # fmt: skip


def verdict_word(p_for: float, p_against: float, p_equivalent: float, p_adjusted: float) -> str:
    """The one word of the four; equivalence goes before significance."""
    if p_equivalent <= ALPHA:
        return EQUIVALENT
    if p_adjusted <= ALPHA:
        return SUPPORTED if p_for < p_against else CONTRADICTED
    return CANNOT_TELL


def seeds_to_decide(contrasts: Sequence[ContrastEstimate], *, family_size: int, margin: float) -> float:
    """The fewest seeds with which a verdict falls with 80 % power, were the estimates true.

    For a significant one the level is Holm's strictest, 5 % / family size, so that the number does not hang on the
    other experiments; for equivalence both of its tests get 90 % power. NaN where more seeds would not help.
    """
    for_all = [_needed(c, ALPHA / family_size / c.n_better) if c.difference > 0 else _hopeless(c) for c in contrasts]
    level = ALPHA / family_size / len(contrasts)
    against = [_needed(c, level / c.n_worse) if c.difference < 0 else _hopeless(c) for c in contrasts]
    alike = [
        float(seeds_needed(margin - abs(c.difference), c.planning_sd, sides=1, power=(1 + POWER) / 2))
        if abs(c.difference) < margin
        else _hopeless(c)
        for c in contrasts
    ]
    needed = np.fmin(np.fmin(np.max(for_all), np.fmin.reduce(against)), np.max(alike))
    return float(np.maximum(needed, 1 + min(c.n for c in contrasts)))


def _needed(contrast: ContrastEstimate, alpha: float) -> float:
    return float(seeds_needed(contrast.difference, contrast.planning_sd, alpha=alpha))


def _hopeless(contrast: ContrastEstimate) -> float:
    """Infinitely many seeds for what the estimate speaks against; NaN where there is no estimate."""
    return np.inf if contrast.planning_sd > 0 else np.nan


# --- labels --------------------------------------------------------------------------------------------------------


def _verdict_labels(study: Evidence, contrasts: Sequence[ContrastEstimate]) -> Iterator[str]:
    experiment = study.experiment
    if budgets := confounded_budgets(experiment):
        yield f"confounded with {', '.join(budgets)}"
    if study.hypothesis_changed:
        yield "hypothesis changed"
    yield from dict.fromkeys(c.label for c in contrasts if c.label.startswith("unstable"))
    for contrast in contrasts:
        if max(contrast.n_better, contrast.n_worse) > 1:
            nuisance = ", ".join(experiment.nuisance)
            yield f"best of {contrast.n_better} against best of {contrast.n_worse} values of {nuisance}"
    if experiment.nuisance and (n_unstable := sum(map(bool, study.diverged.values()))):
        yield f"{n_unstable} unstable configuration{'s'[: n_unstable > 1]} left out"


def confounded_budgets(experiment: Experiment) -> tuple[str, ...]:
    """The BUDGETS that differ by more than 5 % between arms, each the mean over the arm's nuisance values."""
    arms: dict[tuple[Value, ...], list[Configuration]] = {}
    for configuration in experiment.configurations:
        arms.setdefault(tuple(getattr(configuration, n) for n in experiment.scientific), []).append(configuration)
    means = {b: [np.mean([getattr(c, b) for c in arm]) for arm in arms.values()] for b in BUDGETS}
    return tuple(budget for budget, values in means.items() if values and max(values) > UNEQUAL * min(values))
