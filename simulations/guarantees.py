"""G1 to G4 and the flags: what the estimates promise at one look, with unequal spreads and correlations."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from gridstudy.core.subject import Objective
from gridstudy.statistics.comparisons import ALPHA, Floats, deficit_bounds, differences, recommend, tied_set
from gridstudy.statistics.flags import (
    LEVEL,
    is_infeasible,
    overfitting,
    search_edges,
    still_improving,
    train_loss_rising,
)
from gridstudy.statistics.looks import Schedule
from gridstudy.statistics.ranking import rank_at_looks
from gridstudy.statistics.verdicts import (
    CONTRADICTED,
    ORDER,
    SUPPORTED,
    Claim,
    Evidence,
    Trace,
    arm_p_values,
    look_p_values,
    walk,
)
from simulations.noise import MARGIN, Draw, as_table
from simulations.rates import Rate

SEEDS = (3, 5, 10)
Contrast = tuple[int, int] | tuple[tuple[int, ...], tuple[int, ...]]
"""Two columns of which the first is claimed to be better, or two sets of columns."""
SEVEN = (((1, 0),), ((2, 0),), ((3, 0),), ((4, 0), (5, 4)), ((6, 0),), ((7, 0),), ((8, 9), (8, 10)))
"""The contrasts of seven hypotheses as pairs of columns; most compare with one baseline, column 0."""
TUNED = (((0, 1, 2, 3, 4), (5, 6, 7, 8, 9)),)
"""One contrast between the best of five and the best of five others."""

GUESSING = Objective("accuracy", chance=0.1)


def interval_coverage(draw: Draw, repetitions: int, *, seeds: Sequence[int] = SEEDS) -> Iterator[Rate]:
    """G1: 95 % intervals of differences hold the truth, paired and, where seeds are unknown, by Welch."""
    for n in seeds:
        generator = np.random.default_rng([1, n])
        for setting, width in (("paired", 2), ("unpaired, Welch", 1)):
            values = np.hstack([draw(generator, n, width) for _ in range(2 * repetitions // width)])
            table = as_table(values, index="seed" if width == 2 else "replicate")
            pairs = differences(table, list(table.columns[::2]), list(table.columns[1::2]))
            rate = float(np.mean(np.abs(pairs.mean) <= pairs.half_width(0.95)))
            yield Rate("G1 the 95 % interval of a difference covers it", setting, n, rate, repetitions, 0.935, 0.965)


# --- the best ------------------------------------------------------------------------------------------------------


def best_in_tied_set(draw: Draw, repetitions: int, *, seeds: Sequence[int] = SEEDS) -> Iterator[Rate]:
    """G2 at one look: the best is in its tied set, and a recommendation falls short by no more than the margin."""
    for k in (6, 36):
        for n in seeds:
            for setting, spread in ((f"{k} alike", 0.0), (f"{k}, truths 2 points apart (sd)", 0.02)):
                kept, wrong, size, lost, single = _search(draw, repetitions, k=k, n=n, spread=spread)
                yield Rate("G2 the truly best is in its tied set", setting, n, kept, repetitions, least=0.95)
                yield Rate("G2 share of the configurations in the tied set", setting, n, size, repetitions)
                yield Rate("recommended, though beyond the margin", setting, n, wrong, repetitions, most=ALPHA)
                yield Rate("a deficit exceeds its joint 95 % bound", setting, n, lost, repetitions, most=ALPHA)
                yield Rate("single 95 % intervals below the best all cover", setting, n, single, repetitions)


def _search(draw: Draw, repetitions: int, *, k: int, n: int, spread: float) -> list[float]:
    """Shares: best kept, wrong recommendation, size of the set, a broken joint bound, all single intervals cover."""
    generator = np.random.default_rng([2, k, n, int(1000 * spread)])
    found = np.zeros(5)
    for _ in range(repetitions):
        truths = spread * generator.standard_normal(k)
        table = as_table(truths + draw(generator, n, k))
        deficits = dict(zip(table.columns, truths.max() - truths, strict=True))
        tied = tied_set(table)
        chosen = recommend(table, costs=dict(zip(table.columns, generator.random(k), strict=True)), margin=MARGIN)
        lost = any(deficits[name] > bound + 1e-12 for name, bound in deficit_bounds(table).items())
        best = table.columns[int(truths.argmax())]
        wrong = chosen is not None and deficits[chosen] > MARGIN
        found += (best in tied, wrong, len(tied) / k, lost, _singles_cover(table, truths))
    return [float(share) for share in found / repetitions]


def _singles_cover(table: pd.DataFrame, truths: Floats) -> bool:
    highest = int(table.mean().to_numpy().argmax())
    others = [i for i in range(len(truths)) if i != highest]
    names = table.columns
    pairs = differences(table, [str(names[highest])] * len(others), [str(names[i]) for i in others])
    return bool(np.all(np.abs(pairs.mean - (truths[highest] - truths[others])) <= pairs.half_width(0.95)))


def best_over_looks(draw: Draw, repetitions: int, *, k: int = 12, n0: int = 5) -> Iterator[Rate]:
    """G2 over all looks: the best is still tied after five of them, and all bounds hold."""
    costs = {f"c{i}": float(i) for i in range(k)}
    for setting, spread in ((f"{k} alike", 0.0), (f"{k}, truths 0.5 points apart (sd)", 0.005)):
        generator = np.random.default_rng([9, k, int(1000 * spread)])
        found = np.zeros(3)
        for _ in range(repetitions):
            truths = spread * generator.standard_normal(k)
            table = as_table(truths + draw(generator, 16 * n0, k))
            ranking = rank_at_looks(table, Schedule(tuple(range(16 * n0)), n0), costs=costs, margin=MARGIN)
            deficits = dict(zip(table.columns, truths.max() - truths, strict=True))
            lost = any(deficits[name] > bound + 1e-12 for name, bound in ranking.bounds.items())
            wrong = ranking.recommended is not None and deficits[ranking.recommended] > MARGIN
            found += (table.columns[int(truths.argmax())] in ranking.tied, lost, wrong)
        kept, lost_share, wrong_share = (float(share) for share in found / repetitions)
        seeds = f"{n0} to {16 * n0}"
        yield Rate("G2 the truly best is still tied after five looks", setting, seeds, kept, repetitions, least=0.95)
        yield Rate("a deficit exceeds its bound over five looks", setting, seeds, lost_share, repetitions, most=ALPHA)
        yield Rate("recommended, though beyond the margin", setting, seeds, wrong_share, repetitions, most=ALPHA)


# --- hypotheses ----------------------------------------------------------------------------------------------------


def false_claims(draw: Draw, repetitions: int, *, seeds: Sequence[int] = SEEDS) -> Iterator[Rate]:
    """G3: studies without any effect that contain a claim, at one look."""
    for contrasts, setting in ((SEVEN, "seven hypotheses"), ((TUNED,), "best of five against best of five")):
        for n in seeds:
            generator = np.random.default_rng([3, n, len(contrasts)])
            rate = sum(_has_claim(contrasts, draw, generator, n) for _ in range(repetitions)) / repetitions
            yield Rate("G3 a study without effects contains a claim", setting, n, rate, repetitions, most=ALPHA)


def _has_claim(contrasts: Sequence[Sequence[Contrast]], draw: Draw, generator: np.random.Generator, n: int) -> bool:
    table = as_table(0.8 + draw(generator, n, 11))
    traces = [Trace((look_p_values(_evidence(pairs, table), n, margin=MARGIN),)) for pairs in contrasts]
    return any(v.verdict in (SUPPORTED, CONTRADICTED) for v in walk(traces, family_size=len(traces)))


def _evidence(pairs: Sequence[Contrast], table: pd.DataFrame) -> Evidence:
    claims = tuple(Claim("", ORDER, *(tuple(f"c{i}" for i in np.atleast_1d(side)) for side in pair)) for pair in pairs)
    return Evidence("", "", claims, table, Schedule(tuple(table.index), len(table)), "", 1)


def false_equivalence(draw: Draw, repetitions: int, *, seeds: Sequence[int] = SEEDS) -> Iterator[Rate]:
    """G4: no practical difference, said where the true difference is the margin; one a side, and best of five."""
    for arm, setting in ((1, "one configuration a side"), (5, "best of 5 values of a nuisance a side")):
        for n in seeds:
            generator = np.random.default_rng([4, n, arm])
            said = 0
            for _ in range(repetitions):
                # small noise, or equivalence would never be said
                table = as_table(0.05 * draw(generator, n, 2 * arm))
                first, second = list(table.columns[:arm]), list(table.columns[arm:])
                table[first] += MARGIN
                said += arm_p_values(table, first, second, margin=MARGIN).equivalent <= ALPHA
            rate = said / repetitions
            yield Rate("G4 no practical difference, at the margin", setting, n, rate, repetitions, most=ALPHA)


# --- flags ---------------------------------------------------------------------------------------------------------


def false_flags(repetitions: int) -> Iterator[Rate]:
    """Flags raised on flat curves: no trend over the epochs, noise that is independent or carries over (0.8)."""
    tests = {"still improving": still_improving, "overfitting": overfitting, "training loss rising": train_loss_rising}
    for name, test in tests.items():
        for n in SEEDS:
            for carried in (0.0, 0.8):
                generator = np.random.default_rng([5, n, int(10 * carried)])
                raised = sum(test(flat_curves(generator, n, 10, carried=carried)) for _ in range(repetitions))
                setting = f"10 epochs, noise carried over {carried:g}"
                yield Rate(f"flag on flat curves: {name}", setting, n, raised / repetitions, repetitions, most=LEVEL)
    for n in SEEDS:
        accuracies = np.random.default_rng([8, n]).binomial(10_000, 0.12, (repetitions, n)).mean(axis=1) / 10_000
        rate = float(np.mean([is_infeasible(accuracy, GUESSING, n_validation=10_000) for accuracy in accuracies]))
        yield Rate("flag on flat curves: infeasible", "truth 12 %, 10,000 images", n, rate, repetitions, most=LEVEL)
    for k in (3, 6):
        rate = _false_edges(k, repetitions)
        yield Rate("flag on flat curves: search edge", f"axis of {k} (2 of {k} expected)", 5, rate, repetitions)


def flat_curves(generator: np.random.Generator, n: int, epochs: int, *, carried: float) -> Floats:
    """Curves without trend, each seed with a level and a spread of its own; autoregressive noise of first order."""
    noise = generator.standard_normal((n, epochs))
    for epoch in range(1, epochs):
        noise[:, epoch] = carried * noise[:, epoch - 1] + np.sqrt(1 - carried**2) * noise[:, epoch]
    return np.asarray(0.5 + generator.normal(0, 0.02, (n, 1)) + 0.01 * noise)


def _false_edges(k: int, repetitions: int) -> float:
    generator = np.random.default_rng([6, k])
    grid = pd.DataFrame({"epochs": range(k)}, index=[f"c{i}" for i in range(k)])
    found = 0
    for _ in range(repetitions):
        means = pd.Series(generator.standard_normal(k), index=grid.index)
        found += any(search_edges(means, grid, scientific=["epochs"], nuisance=[]).values())
    return found / repetitions


# --- power ---------------------------------------------------------------------------------------------------------


def power_table(repetitions: int) -> Iterator[Rate]:
    """How often a true difference is found at 5 % two-sided, spread 1.3 points, with and without pairing."""
    for effect in (0.005, 0.01):
        for correlation in (0.0, 0.7, 0.926):
            sd = 0.013 * np.sqrt(2 * (1 - correlation))
            for n in SEEDS:
                generator = np.random.default_rng([7, n, int(1000 * correlation)])
                values = correlated_pairs(generator, n, repetitions, correlation=correlation, effect=effect)
                table = as_table(values)
                for kind, objectives in (("paired", table), ("unpaired", table.rename_axis("replicate"))):
                    found = differences(objectives, list(table.columns[::2]), list(table.columns[1::2])).one_sided_p()
                    setting = (
                        f"{100 * effect:g} points, {kind}, correlation {correlation:g} (s_d {100 * sd:.2f} points)"
                    )
                    yield Rate("power", setting, n, float(np.mean(found < ALPHA / 2)), repetitions)


def correlated_pairs(
    generator: np.random.Generator, n: int, pairs: int, *, correlation: float, effect: float
) -> Floats:
    """Objectives of pairs of configurations, n x 2 pairs, the first of each pair better by `effect`; sd 1.3 points."""
    shared = np.repeat(generator.standard_normal((n, pairs)), 2, axis=1)
    own = generator.standard_normal((n, 2 * pairs))
    values = 0.013 * (np.sqrt(correlation) * shared + np.sqrt(1 - correlation) * own)
    values[:, ::2] += effect
    return np.asarray(values)
