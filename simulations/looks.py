"""G5: false claims and false equivalences however seeds are added, and the power at each look.

Every hypothesis is one order between two configurations, so that a study is an array of differences over seeds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from scipy import stats

from gridstudy.records.verdicts import CANNOT_TELL
from gridstudy.statistics.advice import Effect, verdict_power
from gridstudy.statistics.comparisons import ALPHA, POWER, Floats
from gridstudy.statistics.looks import WEIGHTS
from gridstudy.statistics.verdicts import EQUIVALENT, LookPValues, Reached, Trace, walk
from simulations.noise import LOOKS, MARGIN, pair_differences
from simulations.rates import Rate

HYPOTHESES = 7
MOST = 100
SDS = (0.005, 0.01, 0.02)
EFFECTS = (0.3, 0.5, 1.0, 2.0)
UNDECIDED = Reached(CANNOT_TELL, 0, 1.0, 1.0)
Integers = np.ndarray[tuple[int, ...], np.dtype[np.int64]]


# --- p values ------------------------------------------------------------------------------------------------------


def p_values(differences: Floats, n: int) -> Floats:
    """P for, against and for equivalence (last axis) from the first n of the differences (last axis)."""
    mean = differences[..., :n].mean(axis=-1)
    error = differences[..., :n].std(axis=-1, ddof=1) / np.sqrt(n)
    below, above = stats.t.cdf((mean - MARGIN) / error, n - 1), stats.t.sf((mean + MARGIN) / error, n - 1)
    supported = stats.t.sf(mean / error, n - 1)
    return np.stack([supported, 1 - supported, np.maximum(below, above)], axis=-1)


def look_p_values(differences: Floats, looks: Sequence[int] = LOOKS) -> Floats:
    """The p values at each look: studies x hypotheses x looks x 3."""
    return np.stack([p_values(differences, n) for n in looks], axis=2)


def judge_study(p: Floats, complete: Sequence[int] | Integers) -> list[Reached]:
    """The verdicts of one study (hypotheses x looks x 3) of which each hypothesis has so many complete looks."""
    if not may_decide(p):
        return [UNDECIDED] * len(p)
    traces = [Trace(tuple(LookPValues(*values) for values in q[:n])) for q, n in zip(p.tolist(), complete, strict=True)]
    return walk(traces, family_size=len(traces))


def may_decide(p: Floats) -> bool:
    """Whether any p value passes the least level that Holm asks of the first one; without it there is no verdict."""
    least = (p / np.array(WEIGHTS)[:, None]).min(axis=(0, 1))
    return bool(min(2 * least[0], 2 * least[1], least[2]) <= ALPHA / len(p))


def has_claim(verdicts: Sequence[Reached]) -> bool:
    """Whether a study without effects claims one."""
    return any(v.verdict not in (CANNOT_TELL, EQUIVALENT) for v in verdicts)


def has_equivalence(verdicts: Sequence[Reached]) -> bool:
    """Whether a study says no practical difference."""
    return any(v.verdict == EQUIVALENT for v in verdicts)


# --- adversaries ---------------------------------------------------------------------------------------------------


def visit(p: Floats, numbers: Sequence[int], *, dropping: bool = False) -> list[list[Reached]]:
    """Look at all experiments with these numbers of seeds in turn; with `dropping`, not at decided ones."""
    states = []
    for study in p:
        complete = np.zeros(len(study), int)
        verdicts: list[Reached] = []
        for looks in sorted({sum(size <= n for size in LOOKS) for n in numbers} - {0}):
            open_ones = [not verdicts or not dropping or v.verdict == CANNOT_TELL for v in verdicts or study]
            complete[open_ones] = looks
            verdicts = judge_study(study, complete)
        states.append(verdicts)
    return states


def follow_advice(p: Floats, differences: Floats) -> list[list[Reached]]:
    """Run what is undecided up to the look that is advised, until all is decided or nothing more is advised."""
    advised = advised_looks(differences)
    states = []
    for study, next_looks in zip(p, advised, strict=True):
        complete = np.ones(len(study), int)
        while True:
            verdicts = judge_study(study, complete)
            going = np.array([v.verdict == CANNOT_TELL for v in verdicts])
            following = np.where(going, next_looks[np.arange(len(study)), complete - 1], complete)
            if (following == complete).all():
                break
            complete = following
        states.append(verdicts)
    return states


def advised_looks(differences: Floats) -> Integers:
    """The look that is advised after each look, the same one where none is: studies x hypotheses x looks."""
    advised = np.tile(np.arange(1, len(LOOKS) + 1), (*differences.shape[:2], 1))
    for done, n in enumerate(LOOKS):
        mean, sd = differences[..., :n].mean(axis=-1), differences[..., :n].std(axis=-1, ddof=1)
        for look in reversed(range(done + 1, len(LOOKS))):
            level = ALPHA * WEIGHTS[look] / differences.shape[1]
            effects = [Effect(0.0, 1.0, n)]
            power = verdict_power(mean[..., None], sd[..., None], effects, n=LOOKS[look], level=level, margin=MARGIN)
            advised[..., done] = np.where(power >= POWER, look + 1, advised[..., done])
    return advised


def add_experiments(p: Floats) -> list[list[Reached]]:
    """The verdicts of one study after each experiment that is added to its family, each with all looks."""
    return [judge_study(p[: m + 1], [len(LOOKS)] * (m + 1)) for m in range(len(p))]


def single_look_rule(differences: Floats, numbers: Sequence[int]) -> tuple[float, float]:
    """Shares of studies with a claim and with an equivalence, judged with each number of seeds at the full 5 %."""
    claimed = np.zeros(len(differences), bool)
    equivalent = np.zeros(len(differences), bool)
    for n in numbers:
        p = p_values(differences, n)
        alike = p[..., 2] <= ALPHA
        equivalent |= alike.any(axis=1)
        claimed |= ((2 * p[..., :2].min(axis=-1) <= ALPHA / differences.shape[1]) & ~alike).any(axis=1)
    return float(claimed.mean()), float(equivalent.mean())


def false_claims_under_adversaries(repetitions: int) -> Iterator[Rate]:
    """G5: studies of seven hypotheses without any effect that claim one."""
    for setting, differences in _studies(repetitions):
        p = look_p_values(differences)
        yield from _under_all(p, differences, setting, has_claim)
        ever = float(np.mean([any(map(has_claim, add_experiments(study))) for study in p]))
        yield Rate("adding until one claims (no promise)", setting, "80", ever, repetitions)
        old = single_look_rule(differences, range(5, MOST + 1))[0]
        yield Rate("without looks: every seed at 5 % (no promise)", setting, "5 to 100", old, repetitions)


def false_equivalences_under_adversaries(repetitions: int) -> Iterator[Rate]:
    """G5: studies of seven hypotheses whose true differences are the margin that say no practical difference."""
    for setting, differences in _studies(repetitions):
        shifted = differences + MARGIN
        yield from _under_all(look_p_values(shifted), shifted, setting, has_equivalence)
        old = single_look_rule(shifted, range(5, MOST + 1))[1]
        yield Rate("without looks: every seed at 5 % (no promise)", setting, "5 to 100", old, repetitions)


def _studies(repetitions: int) -> Iterator[tuple[str, Floats]]:
    for shared, kind in ((False, "independent"), (True, "one baseline")):
        for sd in SDS:
            generator = np.random.default_rng([20, int(1000 * sd), int(shared)])
            yield (
                f"s_d {100 * sd:g} points, {kind}",
                pair_differences(
                    generator, studies=repetitions, hypotheses=HYPOTHESES, seeds=MOST, sd=sd, shared_baseline=shared
                ),
            )


def _under_all(
    p: Floats, differences: Floats, setting: str, is_false: Callable[[Sequence[Reached]], bool]
) -> Iterator[Rate]:
    states = {
        "first look": ("5", visit(p, [5])),
        "following the advice": ("5 to 80", follow_advice(p, differences)),
        "5 at a time to 50": ("5 to 50", visit(p, range(5, 51, 5))),
        "every seed to 100": ("5 to 100", visit(p, range(5, MOST + 1))),
        "dropping what is decided": ("5 to 100", visit(p, range(5, MOST + 1), dropping=True)),
        "adding experiments, all seven in the end": ("80", [add_experiments(study)[-1] for study in p]),
    }
    for name, (seeds, verdicts) in states.items():
        rate = float(np.mean([is_false(v) for v in verdicts]))
        yield Rate(name, setting, seeds, rate, len(p), most=ALPHA, slack=2)


# --- power ---------------------------------------------------------------------------------------------------------


def power_at_looks(repetitions: int) -> Iterator[Rate]:
    """How often a true order is found by each look, at Holm's strictest level; beside it one plain t at look 1.

    The margin is small beside s_d (10 points), so that equivalence does not interfere.
    """
    for effect in EFFECTS:
        generator = np.random.default_rng([21, int(10 * effect)])
        differences = 0.1 * (effect + generator.standard_normal((repetitions, 1, LOOKS[-1])))
        p = look_p_values(differences)
        plain = float(np.mean(2 * p[:, 0, 0, 0] <= ALPHA / HYPOTHESES))
        setting = f"{effect:g} s_d, one of seven hypotheses"
        yield Rate("power of the plain paired t, one look", setting, LOOKS[0], plain, repetitions)
        found = [walk([_trace(study[0])], family_size=HYPOTHESES)[0] for study in p]
        for look, n in enumerate(LOOKS, 1):
            share = float(np.mean([v.verdict != CANNOT_TELL and v.look <= look for v in found]))
            least = max(0.0, plain - 0.06) if look == 1 else 0.0
            yield Rate("power of the verdict by this look", setting, n, share, repetitions, least=least)


def _trace(p: Floats) -> Trace:
    return Trace(tuple(LookPValues(*values) for values in p.tolist()))


def equivalence_price(repetitions: int) -> Iterator[Rate]:
    """What correcting equivalence over a family of seven costs: how often it is said at the first look where true."""
    for sd in (0.002, 0.003, 0.005):
        generator = np.random.default_rng([22, int(10_000 * sd)])
        p = p_values(sd * generator.standard_normal((repetitions, 1, LOOKS[0])), LOOKS[0])[:, 0, 2]
        for name, level in (
            ("alone at 5 %", ALPHA),
            ("one of seven at the first look", ALPHA * WEIGHTS[0] / HYPOTHESES),
        ):
            setting = f"no difference, s_d {100 * sd:g} points, {name}"
            yield Rate("power of equivalence", setting, LOOKS[0], float(np.mean(p <= level)), repetitions)
