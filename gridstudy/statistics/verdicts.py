"""Verdicts on hypotheses: supported, contradicted, no practical difference, or cannot tell.

They are read at looks (see `looks`) and final once reached.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import takewhile
from typing import NamedTuple

import numpy as np
import pandas as pd

from gridstudy.core.trial import LEAST_SEEDS
from gridstudy.records.verdicts import CANNOT_TELL
from gridstudy.statistics.advice import NO_ADVICE, Advice, Effect, Need, seeds_to_decide
from gridstudy.statistics.comparisons import (
    ALPHA,
    Floats,
    comparison_labels,
    differences,
    holm,
    is_skewed,
)
from gridstudy.statistics.looks import WEIGHTS, Schedule, running_p

SUPPORTED = "supported"
CONTRADICTED = "contradicted"
EQUIVALENT = "no practical difference"

ORDER = "order"
ALIKE = "alike"
UNEQUAL = 1.05
FROM_OWN_PAIRS = "the contrast's own pairs"


@dataclass(frozen=True)
class Claim:
    """One contrast of a hypothesis: `first` has the higher objective than `second`, or the two are alike.

    Each side names configurations; where it names several, they differ in nuisance hyperparameters and the best of them
    stands for the side. `confounded` names budgets that differ beside the treatment.
    """

    text: str
    relation: str
    first: tuple[str, ...]
    second: tuple[str, ...]
    confounded: tuple[str, ...] = ()

    @property
    def configurations(self) -> tuple[str, ...]:
        """Those of both sides."""
        return self.first + self.second


@dataclass(frozen=True)
class Evidence:
    """What a verdict rests on: a hypothesis, its plan and its objectives (a row per seed, the higher the better).

    `diverged` has the seeds with which a configuration diverged. `family_size` counts the hypotheses of the family,
    also those without records. `assumed_sd` is that of a difference, to plan with below 3 common seeds.
    """

    experiment: str
    hypothesis: str
    claims: tuple[Claim, ...]
    objectives: pd.DataFrame
    schedule: Schedule
    family: str
    family_size: int
    diverged: Mapping[str, Collection[int]] = field(default_factory=dict)
    assumed_sd: float = np.nan
    assumed_source: str = ""
    hypothesis_changed: bool = False
    nuisance: str = ""

    @property
    def configurations(self) -> tuple[str, ...]:
        """All that the hypothesis names."""
        return tuple(dict.fromkeys(name for claim in self.claims for name in claim.configurations))

    @property
    def claim(self) -> str:
        """The hypothesis as it is judged."""
        return " and ".join(claim.text for claim in self.claims)


@dataclass(frozen=True)
class ContrastEstimate:
    """One contrast at the look that the verdict rests on: the best of each side, and their difference first - second.

    `n_first` and `n_second` count the stable configurations that each best was selected from; where they exceed one,
    the p values are corrected for that selection and the intervals are not. `low` and `high` bound the difference with
    `confidence`, 1 - 5 % x w_k; `equivalence_low` and `equivalence_high` with 1 - 10 % x w_k, as equivalence asks for.
    The p values are those of this look alone. Before the first look (`look` 0) all common seeds count, intervals are
    at 95 and 90 %, and nothing is tested.
    """

    contrast: str
    relation: str
    first: str
    second: str
    n_first: int
    n_second: int
    look: int
    n: int
    difference: float
    difference_sd: float
    planning_sd: float
    low: float
    high: float
    confidence: float
    equivalence_low: float
    equivalence_high: float
    p_for: float
    p_against: float
    p_equivalent: float
    skewed: bool
    confounded: tuple[str, ...]
    label: str


@dataclass(frozen=True)
class Verdict:
    """What the records say of a hypothesis, with the look (0: none yet) and the seeds that it rests on.

    P values are p*, over the looks so far; the adjusted ones by Holm over a family of `family_size`. `next_look` is
    the number of seeds at which the verdict is read next, 0 where it is decided or at the last look; `incomplete` names
    what that look lacks although it was requested. `labels` go wherever the verdict goes.
    """

    experiment: str
    hypothesis: str
    claim: str
    margin: float
    verdict: str
    look: int
    n_seeds: int
    next_look: int
    incomplete: str
    p_for: float
    p_against: float
    p_equivalent: float
    p_adjusted: float
    p_equivalent_adjusted: float
    family: str
    family_size: int
    advice: Advice
    seeds_source: str
    note: str
    labels: tuple[str, ...]
    contrasts: tuple[ContrastEstimate, ...]

    @property
    def seeds_to_decide(self) -> str:
        """The seeds at which a verdict is expected, in words; empty where it is decided or unknown."""
        return self.advice.in_words()


@dataclass(frozen=True)
class StoredVerdict:
    """A verdict as the log directory keeps it; one that cannot tell is kept as a member of its family.

    `group` names the records that it was read off: subject, data and protocol; empty where it is unknown.
    """

    experiment: str
    claim: str
    margin: float
    verdict: str
    look: int
    n_seeds: int
    p_adjusted: float
    p_equivalent_adjusted: float
    family: str
    family_size: int
    note: str
    group: str = ""


# --- p values of one look ------------------------------------------------------------------------------------------


class ArmPValues(NamedTuple):
    """One-sided p values that the best of one side is better, worse, within the margin, beyond it, or below it."""

    better: float
    worse: float
    equivalent: float
    above: float
    below: float


def arm_p_values(objectives: pd.DataFrame, first: Sequence[str], second: Sequence[str], *, margin: float) -> ArmPValues:
    """P values on `best of first` against `best of second`.

    With one configuration a side these are the t tests of one difference and the two one-sided tests of Schuirmann
    (1987). With more, selecting the best would count noise as merit. The best of A exceeds the best of B if some a
    exceeds every b: p = |A| min over a of max over b of p(a > b), an intersection-union test (Berger 1982) within
    Bonferroni's; equivalence likewise.
    """
    pairs = differences(objectives, np.repeat(list(first), len(second)).tolist(), list(second) * len(first))
    shape = n_first, n_second = len(first), len(second)

    def some_first(p: Floats) -> float:
        return min(1.0, n_first * float(p.reshape(shape).max(axis=1).min()))

    def some_second(p: Floats) -> float:
        return min(1.0, n_second * float(p.reshape(shape).max(axis=0).min()))

    p_not_above = n_second * pairs.opposite_p(margin).reshape(shape).min(axis=1).max()
    p_not_below = n_first * pairs.one_sided_p(-margin).reshape(shape).min(axis=0).max()
    return ArmPValues(
        better=some_first(pairs.one_sided_p()),
        worse=some_second(pairs.opposite_p()),
        equivalent=min(1.0, float(max(p_not_above, p_not_below))),
        above=some_first(pairs.one_sided_p(margin)),
        below=some_second(pairs.opposite_p(-margin)),
    )


class LookPValues(NamedTuple):
    """P values of a whole hypothesis: that all its contrasts hold, that one fails, that all are within the margin."""

    supported: float
    against: float
    equivalent: float


NOTHING_TESTED = LookPValues(1.0, 1.0, 1.0)


def combine(claims: Sequence[Claim], arms: Sequence[ArmPValues]) -> LookPValues:
    """The p values of the contrasts as those of the hypothesis; an `alike` one may fail on either side."""
    alike = [claim.relation == ALIKE for claim in claims]
    supported = [p.equivalent if a else p.better for a, p in zip(alike, arms, strict=True)]
    against = [q for a, p in zip(alike, arms, strict=True) for q in ((p.above, p.below) if a else (p.worse,))]
    return LookPValues(max(supported), min(1.0, len(against) * min(against)), max(p.equivalent for p in arms))


def stable_arms(evidence: Evidence, claim: Claim, n_seeds: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Both sides without the configurations that diverged with one of the first `n_seeds` seeds."""
    seeds = set(evidence.schedule.selection_seeds[:n_seeds])
    unstable = {name for name, bad in evidence.diverged.items() if seeds & set(bad)}
    first, second = (tuple(n for n in side if n not in unstable) for side in (claim.first, claim.second))
    return first, second


def is_complete(evidence: Evidence, n_seeds: int) -> bool:
    """Whether every stable configuration that the hypothesis names has the first `n_seeds` seeds of the plan."""
    arms = [stable_arms(evidence, claim, n_seeds) for claim in evidence.claims]
    names = list({name for sides in arms for side in sides for name in side})
    if len(evidence.schedule.selection_seeds) < n_seeds or not all(name in evidence.objectives for name in names):
        return False
    return bool(evidence.schedule.rows(evidence.objectives[names], n_seeds).notna().all(axis=None))


def look_sizes(evidence: Evidence) -> tuple[int, ...]:
    """The seeds of the looks that are complete, up to the first one that is not.

    A later look may be complete where an arm that lacks a seed has diverged since; it must not pass for an earlier one.
    """
    return tuple(takewhile(partial(is_complete, evidence), evidence.schedule.sizes))


def look_p_values(evidence: Evidence, n_seeds: int, *, margin: float) -> LookPValues:
    """The p values of the hypothesis at a complete look; ones where a side has no stable configuration."""
    arms = [stable_arms(evidence, claim, n_seeds) for claim in evidence.claims]
    if not all(first and second for first, second in arms):
        return NOTHING_TESTED
    rows = evidence.schedule.rows(evidence.objectives, n_seeds)
    return combine(evidence.claims, [arm_p_values(rows, first, second, margin=margin) for first, second in arms])


# --- the walk over the looks ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Reached:
    """A verdict, the look at which it was reached (the last one where it cannot tell), and its adjusted p values."""

    verdict: str
    look: int
    p_adjusted: float
    p_equivalent_adjusted: float


@dataclass(frozen=True)
class Trace:
    """The p values of one hypothesis at its complete looks, and whether it claims nothing but equality."""

    looks: tuple[LookPValues, ...]
    all_alike: bool = False

    def running(self) -> Floats:
        """P* after each of five looks (rows): supported, against, equivalent; constant after the last complete one."""
        p = np.ones((len(WEIGHTS), 3))
        if self.looks:
            known = running_p(np.array(self.looks).T).T
            p[: len(known)], p[len(known) :] = known, known[-1]
        return p


def walk(
    traces: Sequence[Trace], *, family_size: int, reached: Sequence[Reached | None] | None = None
) -> list[Reached]:
    """Judge a family look by look: at look k every hypothesis enters the p* of its first k complete looks.

    Holm is applied to claims and to equivalences, two families at 5 % each; what becomes significant is final, and
    equivalence goes first only within one look. Verdicts already `reached` stay.
    """
    found: list[Reached | None] = list(reached or [None] * len(traces))
    if not traces:
        return []
    p = np.stack([trace.running() for trace in traces])
    missing = np.ones((len(WEIGHTS), family_size - len(traces)))
    claims = holm(np.hstack([np.minimum(1, 2 * p[:, :, :2].min(axis=2)).T, missing]))
    equivalences = holm(np.hstack([p[:, :, 2].T, missing]))
    for look in range(len(WEIGHTS)):
        for i, trace in enumerate(traces):
            word = _word(p[i, look], claims[look, i], equivalences[look, i], all_alike=trace.all_alike)
            if found[i] is None and word != CANNOT_TELL:
                found[i] = Reached(word, min(look + 1, len(trace.looks)), claims[look, i], equivalences[look, i])
    return [
        known or Reached(CANNOT_TELL, len(trace.looks), float(claims[-1, i]), float(equivalences[-1, i]))
        for i, (known, trace) in enumerate(zip(found, traces, strict=True))
    ]


def _word(p: Floats, claim: float, equivalence: float, *, all_alike: bool) -> str:
    if equivalence <= ALPHA:
        return SUPPORTED if all_alike else EQUIVALENT
    if claim <= ALPHA:
        return SUPPORTED if p[0] < p[1] else CONTRADICTED
    return CANNOT_TELL


# --- verdicts ------------------------------------------------------------------------------------------------------


def judge(studies: Iterable[Evidence], *, margin: float, stored: Sequence[StoredVerdict] = ()) -> list[Verdict]:
    """A verdict for each experiment with claims, in the order given; those `stored` before stay.

    A stored verdict is dropped where its hypothesis is another one now or its family has grown since.
    """
    judged = [study for study in studies if study.claims]
    verdicts: dict[str, Verdict] = {}
    for family in dict.fromkeys(study.family for study in judged):
        members = [study for study in judged if study.family == family]
        known = {v.experiment: v for v in stored if v.family == family and v.margin == margin}
        named = {study.experiment for study in members} | {v.experiment for v in stored if v.family == family}
        size = max(len(named), *(study.family_size for study in members))
        traces = [_trace(study, margin) for study in members]
        kept = [_kept(study, known.get(study.experiment), size) for study in members]
        for study, trace, result in zip(members, traces, walk(traces, family_size=size, reached=kept), strict=True):
            note = _note(study, known.get(study.experiment), result.verdict, size)
            verdicts[study.experiment] = _verdict(study, trace, result, size=size, margin=margin, note=note)
    return [verdicts[study.experiment] for study in judged]


def stored_verdicts(
    verdicts: Sequence[Verdict], stored: Sequence[StoredVerdict] = (), *, group: str = ""
) -> tuple[StoredVerdict, ...]:
    """The state to keep: these verdicts, and those stored before of other experiments, margins or groups of records."""
    new = {
        (v.experiment, v.margin): StoredVerdict(
            v.experiment, v.claim, v.margin, v.verdict, v.look, v.n_seeds, v.p_adjusted, v.p_equivalent_adjusted,
            v.family, v.family_size, v.note, group,
        )
        for v in verdicts
    }  # fmt: skip
    kept = [v for v in stored if (v.experiment, v.margin) not in new or v.group not in ("", group)]
    return (*kept, *new.values())


def _trace(study: Evidence, margin: float) -> Trace:
    looks = tuple(look_p_values(study, n, margin=margin) for n in look_sizes(study))
    return Trace(looks, all(claim.relation == ALIKE for claim in study.claims))


def _kept(study: Evidence, stored: StoredVerdict | None, size: int) -> Reached | None:
    if stored is None or stored.verdict == CANNOT_TELL or stored.claim != study.claim or stored.family_size < size:
        return None
    return Reached(stored.verdict, stored.look, stored.p_adjusted, stored.p_equivalent_adjusted)


def _note(study: Evidence, stored: StoredVerdict | None, verdict: str, size: int) -> str:
    """Why a verdict that was reached is another one now; empty where it is not."""
    if stored is None or stored.claim != study.claim:
        return ""
    if stored.verdict in (CANNOT_TELL, verdict):
        return stored.note if verdict == CANNOT_TELL else ""
    return f"{stored.verdict} until the family grew from {stored.family_size} to {size}"


def _verdict(study: Evidence, trace: Trace, result: Reached, *, size: int, margin: float, note: str) -> Verdict:
    sizes = study.schedule.sizes
    decided, complete = result.verdict != CANNOT_TELL, len(trace.looks)
    estimates = tuple(_estimate(study, claim, result.look, margin) for claim in study.claims)
    p = trace.running()[max(0, result.look - 1)]
    is_open = not decided and not _is_hopeless(study)
    next_look = sizes[complete] if is_open and complete < len(sizes) else 0
    return Verdict(
        experiment=study.experiment, hypothesis=study.hypothesis, claim=study.claim, margin=margin,
        verdict=result.verdict, look=result.look, n_seeds=sizes[result.look - 1] if result.look else 0,
        next_look=next_look, incomplete=_lacking(study, next_look),
        p_for=float(p[0]), p_against=float(p[1]), p_equivalent=float(p[2]), p_adjusted=float(result.p_adjusted),
        p_equivalent_adjusted=float(result.p_equivalent_adjusted), family=study.family, family_size=size,
        advice=_advice(study, complete, size, margin) if is_open else NO_ADVICE,
        seeds_source=FROM_OWN_PAIRS if all(e.n >= LEAST_SEEDS for e in estimates) else study.assumed_source,
        note=note, labels=tuple(_labels(study, estimates, decided=decided, note=note)), contrasts=estimates,
    )  # fmt: skip


def _estimate(study: Evidence, claim: Claim, look: int, margin: float) -> ContrastEstimate:
    """Estimate a contrast at a look, or on all seeds before the first one."""
    n_seeds = study.schedule.sizes[look - 1] if look else len(study.schedule.selection_seeds)
    rows = study.schedule.rows(study.objectives, n_seeds).reindex(columns=list(study.configurations))
    means = rows.mean()
    arms = [[name for name in side if means[name] == means[name]] for side in stable_arms(study, claim, n_seeds)]
    if not all(arms):
        return _unknown(study, claim, look)
    first, second = (max(arm, key=lambda name: float(means[name])) for arm in arms)
    weight = WEIGHTS[look - 1] if look else 1.0
    pair = differences(rows, [first], [second])
    n, difference, sd = int(pair.n[0]), float(pair.mean[0]), float(pair.sd[0])
    half, half_equivalence = (float(pair.half_width(1 - a * ALPHA * weight)[0]) for a in (1, 2))
    p = combine([claim], [arm_p_values(rows, *arms, margin=margin)]) if look else NOTHING_TESTED
    return ContrastEstimate(
        contrast=claim.text, relation=claim.relation, first=first, second=second, n_first=len(arms[0]),
        n_second=len(arms[1]), look=look, n=n, difference=difference, difference_sd=sd,
        planning_sd=sd if n >= LEAST_SEEDS else study.assumed_sd, low=difference - half, high=difference + half,
        confidence=1 - ALPHA * weight, equivalence_low=difference - half_equivalence,
        equivalence_high=difference + half_equivalence, p_for=p.supported, p_against=p.against,
        p_equivalent=p.equivalent, skewed=is_skewed((rows[first] - rows[second]).to_numpy(float)),
        confounded=claim.confounded, label=str(comparison_labels(pair, paired=True)[0]),
    )  # fmt: skip


def _unknown(study: Evidence, claim: Claim, look: int) -> ContrastEstimate:
    nan, label = float("nan"), "no records"
    for name in claim.configurations:
        if bad := study.diverged.get(name):
            label = f"unstable, {len(bad)} of {_n_trials(study, name)}"
            break
    return ContrastEstimate(
        claim.text, claim.relation, "", "", 0, 0, look, 0, nan, nan, nan, nan, nan, nan, nan, nan, 1.0, 1.0, 1.0,
        False, claim.confounded, label,
    )  # fmt: skip


def _n_trials(study: Evidence, name: str) -> int:
    return int(study.objectives[name].count()) if name in study.objectives else 0


def _advice(study: Evidence, complete: int, size: int, margin: float) -> Advice:
    """Plan with all seeds that are there, each contrast with the spread of its own pair."""
    estimates = [_estimate(study, claim, 0, margin) for claim in study.claims]
    effects = [
        Effect(e.difference, e.planning_sd, e.n, e.relation == ALIKE, max(1, e.n_first), max(1, e.n_second))
        for e in estimates
    ]
    return seeds_to_decide(effects, study.schedule.sizes, complete=complete, family_size=size, margin=margin)


# --- more seeds ----------------------------------------------------------------------------------------------------


def undecided_arms(
    studies: Sequence[Evidence], verdicts: Sequence[Verdict], *, most_seeds: int | None = None
) -> list[Need]:
    """The configurations that need seeds before the next look of each undecided hypothesis, within `most_seeds`.

    Unstable configurations get no more; neither do hypotheses that no further seed can decide.
    """
    by_name = {study.experiment: study for study in studies}
    needs = []
    for verdict in verdicts:
        study, n = by_name[verdict.experiment], verdict.next_look
        if n and (most_seeds is None or n <= most_seeds):
            names = tuple(name for name in study.configurations if not study.diverged.get(name))
            needs.append(Need(study.experiment, names, n, study.schedule.extended(n), verdict.advice))
    return needs


def _is_hopeless(study: Evidence) -> bool:
    """Whether a side has diverged altogether, or a pair of single configurations has identical records."""
    n = len(study.schedule.selection_seeds)
    for claim in study.claims:
        arms = stable_arms(study, claim, n)
        if not all(arms):
            return True
        if all(len(arm) == 1 and arm[0] in study.objectives for arm in arms):
            both = study.schedule.rows(study.objectives, n)[[arms[0][0], arms[1][0]]].dropna().to_numpy(float)
            if len(both) >= LEAST_SEEDS and np.all(both[:, 0] == both[:, 1]):
                return True
    return False


def _lacking(study: Evidence, n_seeds: int) -> str:
    """The trials that a look lacks although its seeds were requested, the first of them by name."""
    seeds = study.schedule.selection_seeds
    if not n_seeds or len(seeds) < n_seeds:
        return ""
    names = [name for name in study.configurations if not study.diverged.get(name)]
    rows = study.schedule.rows(study.objectives, n_seeds).reindex(columns=names)
    missing = [(name, int(seed)) for name in names for seed in rows.index[rows[name].isna()]]
    if not missing:
        return ""
    name, seed = missing[0]
    return f"seed {seed} of {name}" + (f" and {len(missing) - 1} more" if len(missing) > 1 else "")


# --- labels --------------------------------------------------------------------------------------------------------


def _labels(study: Evidence, contrasts: Sequence[ContrastEstimate], *, decided: bool, note: str) -> Iterator[str]:
    if budgets := list(dict.fromkeys(b for c in contrasts for b in c.confounded)):
        yield f"confounded with {', '.join(budgets)}"
    if study.hypothesis_changed:
        yield "hypothesis changed"
    if note:
        yield note
    yield from _unstable_labels(study, contrasts, decided=decided)
    if any(c.skewed for c in contrasts):
        yield "skewed differences"
    for contrast in contrasts:
        if max(contrast.n_first, contrast.n_second) > 1:
            yield f"best of {contrast.n_first} against best of {contrast.n_second} values of {study.nuisance}"
    n_unstable = sum(bool(study.diverged.get(name)) for name in study.configurations)
    if n_unstable and any(len(c.configurations) > 2 for c in study.claims):
        yield f"{n_unstable} unstable configuration{'s'[: n_unstable > 1]} left out"


def _unstable_labels(study: Evidence, contrasts: Sequence[ContrastEstimate], *, decided: bool) -> Iterator[str]:
    """Name the arms that diverged: before the verdict, or since."""
    yield from dict.fromkeys(c.label for c in contrasts if c.label.startswith("unstable"))
    names = dict.fromkeys(name for c in contrasts for name in (c.first, c.second))
    for name in names:
        if bad := study.diverged.get(name):
            since = "unstable since" if decided else "unstable"
            yield f"{since}, {len(bad)} of {_n_trials(study, name)}"


def confounded_budgets(
    budgets: Mapping[str, Mapping[str, float]], first: Sequence[str], second: Sequence[str], *,
    treatment: Collection[str] = (),
) -> tuple[str, ...]:  # fmt: skip
    """The budgets that differ by more than 5 % between two sides and are not the treatment itself.

    `budgets` has the budgets of each configuration by name; a side's is the mean over its configurations.
    """
    names = [name for name in next(iter(budgets.values()), {}) if name not in treatment]
    sides = [[float(np.mean([budgets[c][name] for c in side])) for name in names] for side in (first, second)]
    return tuple(n for n, a, b in zip(names, *sides, strict=True) if max(a, b) > UNEQUAL * min(a, b))
