"""How many seeds a verdict or a recommendation would take: the next look with enough power, as a range."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gridstudy.core.trial import LEAST_SEEDS
from gridstudy.statistics.comparisons import ALPHA, POWER, Floats
from gridstudy.statistics.distributions import noncentral_t_below, t_critical
from gridstudy.statistics.looks import WEIGHTS

N_DRAWS = 400
QUARTILES = (0.25, 0.75)


@dataclass(frozen=True)
class Effect:
    """A difference that seeds are planned for: its mean and standard deviation, estimated from `n` seeds.

    An assumed standard deviation comes with fewer than 3 seeds and is taken as known. The claim is an order or, with
    `alike`, equality; the level of a test is divided by the numbers of configurations a side was selected from.
    """

    difference: float
    sd: float
    n: int
    alike: bool = False
    n_first: int = 1
    n_second: int = 1


@dataclass(frozen=True)
class Advice:
    """Seeds at the looks that should decide: by the estimates, and the quartiles over their uncertainty.

    `expected` is within the quartiles: estimates of many differences together may promise more than nearly all of what
    the differences may be. Infinite beyond the last look, `last`; NaN where nothing can be planned.
    """

    expected: float
    low: float
    high: float
    last: int

    def in_words(self, what: str = "verdict") -> str:
        """`20`, `10 to 40`, `40 or more`, `no verdict expected by 80 seeds`, or nothing where it is unknown."""
        if np.isnan(self.expected):
            return ""
        if np.isinf(self.low):
            return f"no {what} expected by {self.last} seeds"
        if np.isinf(self.high):
            return f"{self.low:.0f} or more"
        return f"{self.low:.0f}" if self.low == self.high else f"{self.low:.0f} to {self.high:.0f}"


NO_ADVICE = Advice(np.nan, np.nan, np.nan, 0)


@dataclass(frozen=True)
class Need:
    """The configurations of an experiment that should be trained, and with which seeds, those already run included.

    `n_seeds` are those of the next look; `advice` says at which look no more may be needed.
    """

    experiment: str
    configurations: tuple[str, ...]
    n_seeds: int
    seeds: tuple[int, ...]
    advice: Advice


def t_power(effect: Floats, n: int, level: float | Floats) -> Floats:
    """Power of a one-sided paired t test at `level`, by the noncentral t; `effect` in sds of the difference."""
    return np.asarray(1 - noncentral_t_below(t_critical(level, n - 1), n - 1, effect * np.sqrt(n)))


def verdict_power(
    difference: Floats, sd: Floats, effects: Sequence[Effect], *, n: int, level: float, margin: float
) -> Floats:
    """The least power of a verdict on all `effects` together at one look with `n` seeds and this two-sided `level`.

    `difference` and `sd` have the effects on their last axis. The tests of a conjunction depend on each other, so their
    chances to fail are added up (Bonferroni).
    """
    alike = np.array([e.alike for e in effects])
    first, second = (np.array([getattr(e, side) for e in effects], float) for side in ("n_first", "n_second"))

    def power(effect: Floats, level: Floats, of: npt.NDArray[np.bool_]) -> Floats:
        return t_power(effect[..., of] / sd[..., of], n, level[of])

    def missed_equivalence(at: float, of: npt.NDArray[np.bool_]) -> Floats:
        return 2 - power(margin - difference, at / second, of) - power(margin + difference, at / first, of)

    def all_of(missed: Floats) -> Floats:
        return np.asarray(np.maximum(0.0, 1 - missed.sum(axis=-1)))

    each = level / 2 / (len(effects) + alike.sum())
    missed, wrong = np.empty_like(difference), np.empty_like(difference)
    if alike.any():
        missed[..., alike] = missed_equivalence(level / 2, alike)
        wrong[..., alike] = power(np.abs(difference) - margin, each / np.maximum(first, second), alike)
    if not alike.all():
        missed[..., ~alike] = 1 - power(difference, level / 2 / first, ~alike)
        wrong[..., ~alike] = power(-difference, each / second, ~alike)
    equivalent = all_of(missed_equivalence(level, np.ones_like(alike)))
    return np.asarray(np.maximum(np.maximum(all_of(missed), wrong.max(axis=-1)), equivalent))


def seeds_to_decide(
    effects: Sequence[Effect], sizes: Sequence[int], *, complete: int, family_size: int, margin: float
) -> Advice:
    """The next look with 80 % power for a verdict on all `effects`, after `complete` looks of these `sizes`.

    The level is Holm's strictest, so that the advice does not depend on the other experiments.
    """
    if not _can_be_planned(effects, sizes):
        return NO_ADVICE

    def power(difference: Floats, sd: Floats, look: int) -> Floats:
        level = ALPHA * WEIGHTS[look] / family_size
        return verdict_power(difference, sd, effects, n=sizes[look], level=level, margin=margin)

    return _advise(power, effects, sizes, complete)


def seeds_to_recommend(
    leads: Sequence[Effect], sizes: Sequence[int], *, complete: int, n_ranked: int, margin: float
) -> Advice:
    """The next look at which some configuration can be recommended with 80 % power, after `complete` looks.

    `leads` are those of the best configuration over the others that may be the best. It can be recommended if none of
    these is shown to be possibly better by more than the margin; a cheaper one may be recommended instead.
    """
    if not _can_be_planned(leads, sizes):
        return NO_ADVICE

    def power(lead: Floats, sd: Floats, look: int) -> Floats:
        level = ALPHA * WEIGHTS[look] / max(1, n_ranked - 1)
        missed = 1 - t_power((lead + margin) / sd, sizes[look], level)
        return np.asarray(np.maximum(0.0, 1 - missed.sum(axis=-1)))

    return _advise(power, leads, sizes, complete)


def _can_be_planned(effects: Sequence[Effect], sizes: Sequence[int]) -> bool:
    return bool(effects and sizes) and all(e.sd > 0 and np.isfinite(e.difference) for e in effects)


def _advise(
    power: Callable[[Floats, Floats, int], Floats], effects: Sequence[Effect], sizes: Sequence[int], complete: int
) -> Advice:
    difference, sd = draw_effects(effects)
    needed = np.full(len(difference), np.inf)
    for look in reversed(range(complete, len(sizes))):
        needed = np.where(power(difference, sd, look) >= POWER, sizes[look], needed)
    low, high = np.quantile(needed[1:], QUARTILES, method="inverted_cdf")
    return Advice(float(min(max(needed[0], low), high)), float(low), float(high), sizes[-1])


def draw_effects(effects: Sequence[Effect]) -> tuple[Floats, Floats]:
    """What the differences and their standard deviations may be, given the estimates: the estimates in the first row.

    Drawn from their posterior under Jeffreys' prior, with a seed of its own; an assumed standard deviation is fixed.
    """
    generator = np.random.default_rng(0)
    shape = N_DRAWS, len(effects)
    n = np.array([max(e.n, 1) for e in effects], float)
    estimated = np.array([e.n >= LEAST_SEEDS for e in effects])
    degrees = np.where(estimated, n - 1, 1)
    scale = np.where(estimated, np.sqrt(degrees / generator.chisquare(degrees, shape)), 1.0)
    difference, sd = (np.array([getattr(e, name) for e in effects], float) for name in ("difference", "sd"))
    sds = sd * scale
    differences = difference + sds * generator.standard_normal(shape) / np.sqrt(n)
    return np.vstack([difference, differences]), np.vstack([sd, sds])
