"""Show by simulation what is said of other programs' results.

No simulated configuration, value or hypothesis makes a difference, so that every claim is a false one. Noise has
standard deviations from 0.5 to 7 points, drawn anew for each study. Folds and repeats that cannot be paired have no
promise: the page says what was found. All random seeds are fixed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd

from gridstudy.records.verdicts import CANNOT_TELL
from gridstudy.statistics.comparisons import ALPHA, Floats
from gridstudy.statistics.results.configurations import Configurations, identify_configurations
from gridstudy.statistics.results.contrasts import compare_pairs, compare_values, correct_for_folds
from gridstudy.statistics.results.effects import estimate_effects
from gridstudy.statistics.results.hypotheses import Claim, ResultHypothesis, judge_hypotheses
from gridstudy.statistics.results.ranking import rank
from gridstudy.statistics.results.replicates import Replicates, condition_replicates, find_replicates
from simulations.noise import draw_noise
from simulations.rates import Rate

MARGIN = 0.005
N_CONFIGURATIONS = 6
PAIR = "95 % interval of a difference misses it"
BEST = "the best is not in its tied set"
EFFECT = "an effect survives Holm"
VERDICT = "a hypothesis gets a verdict that claims a difference"
EQUIVALENT = "no practical difference"

Draw = Callable[[np.random.Generator], pd.DataFrame]
"""A study without any difference: columns `a` and perhaps `b`, `score`, and what was recorded beside them."""
Read = Callable[[pd.DataFrame], Replicates]


def measure(draw: Draw, read: Read, repetitions: int, *, setting: str, n: int, promised: bool = True) -> Iterator[Rate]:
    """Shares of false claims of all four kinds over many studies."""
    generator = np.random.default_rng([11, n, sum(map(ord, setting))])
    found = np.array([_count_claims(runs, read(runs)) for runs in (draw(generator) for _ in range(repetitions))])
    for claim, claims in zip((PAIR, BEST, EFFECT, VERDICT), found.T, strict=True):
        known = claims[~np.isnan(claims)]
        if len(known):
            yield Rate(
                claim, f"{setting}; n = {n}", n, float(known.mean()), len(known), most=ALPHA if promised else 1.0
            )


def _count_claims(runs: pd.DataFrame, replicates: Replicates) -> tuple[float, float, float, float]:
    configurations = _identify(runs)
    first, second = np.triu_indices(len(configurations.levels), 1)
    found = compare_pairs(replicates, first, second).differences
    missed = found.testable & (np.abs(found.mean) > np.nan_to_num(found.half_width(0.95), nan=np.inf))
    tied = rank(replicates, margin=MARGIN).tied
    lost = 1.0 - tied[0] if replicates.n[0] >= 3 else np.nan
    effects = estimate_effects(replicates, configurations).p_holm
    labels = configurations.labels["a"]
    hypotheses = [
        ResultHypothesis(f"{a} > {b}", "", (Claim({"a": a}, {"a": b}),))
        for a, b in zip(labels[::2], labels[1::2], strict=False)
    ]
    judged = judge_hypotheses(hypotheses, replicates, configurations, margin=MARGIN)
    claimed = any(j.verdict not in (CANNOT_TELL, EQUIVALENT) for j in judged)
    return float(missed.mean()), float(lost), float(np.any(effects <= ALPHA)), float(claimed)


def _identify(runs: pd.DataFrame) -> Configurations:
    return identify_configurations(runs, [name for name in ("a", "b") if name in runs])


def reader(**roles: str | None) -> Read:
    """Find the replicates by these columns."""
    return lambda runs: find_replicates(runs, _identify(runs), score=runs["score"], **roles)


def _as_runs(scores: Floats, *, row: str) -> pd.DataFrame:
    """A table of replicates by configurations as rows of runs, the configuration running fastest."""
    n, k = scores.shape
    return pd.DataFrame({"a": np.tile(np.arange(k), n), row: np.repeat(np.arange(n), k), "score": scores.ravel()})


# --- sessions ------------------------------------------------------------------------------------------------------


def draw_sessions(generator: np.random.Generator, *, n: int, spread: float, missing: float = 0.0) -> pd.DataFrame:
    """Each configuration once per session, in an order of its own; the sessions differ by `spread`; some runs fail."""
    scores = _own_noise(generator, n, N_CONFIGURATIONS) + generator.normal(0, spread, (n, 1))
    runs = _as_runs(scores, row="session")
    runs["start"] = runs["session"] + generator.random(len(runs))
    return runs[generator.random(len(runs)) >= missing]


def draw_one_within_a_session(generator: np.random.Generator, *, n: int, spread: float) -> pd.DataFrame:
    """As `draw_sessions`, but the first configuration ran three times within the first session only."""
    runs = draw_sessions(generator, n=n, spread=spread)
    level, sd = generator.normal(0, spread), np.exp(generator.uniform(np.log(0.005), np.log(0.07)))
    own = pd.DataFrame({"a": 0, "session": 0, "score": level + sd * generator.standard_normal(3)})
    own["start"] = -1 + generator.random(3)
    return pd.concat([own, runs[runs["a"] > 0]], ignore_index=True)


def _own_noise(generator: np.random.Generator, n: int, k: int) -> Floats:
    spreads = np.exp(generator.uniform(np.log(0.005), np.log(0.07), k))
    return np.asarray(spreads * generator.standard_normal((n, k)))


def simulate_sessions(repetitions: int) -> Iterator[Rate]:
    """Repeated rows in sessions: passes by start, the same with failures, and where starts are unknown."""
    for n in (3, 5):
        for spread in (0.0, 0.05):
            differ = f"sessions differ by {100 * spread:g} points (sd)"
            for missing in (0.0, 0.1):
                setting = f"passes, {differ}" + f", {missing:.0%} of the runs failed" * (missing > 0)
                yield from measure(
                    lambda g, n=n, s=spread, m=missing: draw_sessions(g, n=n, spread=s, missing=m),
                    reader(start="start"), repetitions, setting=setting, n=n,
                )  # fmt: skip
            yield from measure(
                lambda g, n=n, s=spread: draw_one_within_a_session(g, n=n, spread=s),
                reader(start="start"), repetitions, setting=f"one configuration within one session, {differ}",
                n=n, promised=False,
            )  # fmt: skip
            yield from measure(
                lambda g, n=n, s=spread: draw_sessions(g, n=n, spread=s),
                reader(), repetitions, setting=f"starts unknown, {differ}", n=n, promised=False,
            )  # fmt: skip


# --- seeds, conditions, copies, cells ------------------------------------------------------------------------------


def draw_grid(generator: np.random.Generator, *, n: int, varying: float) -> pd.DataFrame:
    """A grid of 4 x 3 on shared seeds; what `a` does varies by seed with the standard deviation `varying`."""
    effect = generator.normal(0, varying, (n, 4, 1)) + np.zeros((1, 1, 3))
    runs = _as_runs(draw_noise(generator, n, 12) + effect.reshape(n, 12), row="seed")
    return runs.assign(b=runs["a"] % 3, a=runs["a"] // 3)


def draw_conditions(generator: np.random.Generator, *, n: int, varying: float) -> pd.DataFrame:
    """Ten seeds of each configuration on each of n data sets, on which the differences vary."""
    parts = []
    for condition in range(n):
        scores = draw_noise(generator, 10, N_CONFIGURATIONS) + generator.normal(0, varying, N_CONFIGURATIONS)
        parts.append(_as_runs(scores, row="seed").assign(condition=condition))
    return pd.concat(parts, ignore_index=True)


def read_conditions(runs: pd.DataFrame) -> Replicates:
    """Make each condition one replicate."""
    configurations = _identify(runs)
    parts = []
    for _, rows in runs.groupby("condition"):
        some = identify_configurations(rows, ["a"])
        assert some.names == configurations.names
        parts.append(find_replicates(rows, some, score=rows["score"], seed="seed"))
    return condition_replicates(parts)


def draw_copies(generator: np.random.Generator, *, n: int) -> pd.DataFrame:
    """Four values of `a` by six of `b`, which has no effect at all: each record has six names."""
    scores = np.repeat(draw_noise(generator, n, 4), 6, axis=1)
    runs = _as_runs(scores, row="seed")
    return runs.assign(b=runs["a"] % 6, a=runs["a"] // 6)


def draw_cells(
    generator: np.random.Generator, *, n: int, interaction: float = 0.0, varying: float = 0.0
) -> pd.DataFrame:
    """One run per cell of a grid of 4 x n: interactions sum to zero over `b`, and `a` varies by the one seed."""
    crossed = generator.normal(0, interaction, (4, n))
    crossed -= crossed.mean(axis=1, keepdims=True)
    scores = 0.01 * generator.standard_normal((4, n)) + crossed + generator.normal(0, varying, (4, 1))
    runs = _as_runs(scores.reshape(1, -1), row="seed")
    return runs.assign(b=runs["a"] % n, a=runs["a"] // n)


def simulate_structures(repetitions: int) -> Iterator[Rate]:
    """Effects that vary by seed, conditions, copies, and one run per cell."""
    for n in (3, 5, 10):
        for varying in (0.0, 0.02):
            setting = f"4 x 3 grid on shared seeds, effects vary by seed by {100 * varying:g} points (sd)"
            yield from measure(
                lambda g, n=n, v=varying: draw_grid(g, n=n, varying=v), reader(seed="seed"), repetitions,
                setting=setting, n=n,
            )  # fmt: skip
        yield from measure(
            lambda g, n=n: draw_copies(g, n=n), reader(seed="seed"), repetitions, n=n,
            setting="4 records under 6 names each",
        )  # fmt: skip
    for n in (3, 5):
        yield from measure(
            lambda g, n=n: draw_conditions(g, n=n, varying=0.02), read_conditions, repetitions // 2, n=n,
            setting="conditions of 10 seeds, differences vary by 2 points (sd)",
        )  # fmt: skip
    yield from _simulate_cells(repetitions)


def _simulate_cells(repetitions: int) -> Iterator[Rate]:
    for interaction in (0.0, 0.02):
        yield from _cells_only(
            lambda g, i=interaction: draw_cells(g, n=8, interaction=i), reader(), repetitions,
            setting=f"one run per cell of 4 x 8, interaction {100 * interaction:g} points (sd)",
        )  # fmt: skip
    yield from _cells_only(
        lambda g: draw_copies(g, n=1), reader(), repetitions, setting="one run per cell, 4 records under 6 names each"
    )
    yield from _cells_only(
        lambda g: draw_cells(g, n=8, varying=0.02), reader(seed="seed"), repetitions,
        setting="one run per cell of 4 x 8, one seed for all, effects vary by seed by 2 points (sd)",
    )  # fmt: skip


def _cells_only(draw: Draw, read: Read, repetitions: int, *, setting: str) -> Iterator[Rate]:
    """Without replicates only effects and verdicts can be wrong."""
    rates = measure(draw, read, repetitions, setting=setting, n=1)
    yield from (rate for rate in rates if rate.claim in (EFFECT, VERDICT))


# --- folds ---------------------------------------------------------------------------------------------------------


def simulate_folds(repetitions: int) -> Iterator[Rate]:
    """Two regressions on exchangeable features, compared by K-fold cross-validation of 60 examples."""
    for folds, repeats in ((5, 1), (10, 1), (5, 5)):
        generator = np.random.default_rng([12, folds, repeats])
        errors = np.stack([_cross_validate(generator, folds, repeats) for _ in range(repetitions)], axis=2)
        found = compare_values(errors[0], errors[1])
        for setting, used in (("corrected", correct_for_folds(found, folds)), ("not corrected", found)):
            rate = float(np.mean(2 * np.minimum(used.one_sided_p(), used.opposite_p()) < ALPHA))
            name = f"{folds} folds" + f", repeated {repeats} times" * (repeats > 1)
            yield Rate(setting, name, folds * repeats, rate, repetitions)


def _cross_validate(generator: np.random.Generator, folds: int, repeats: int) -> Floats:
    """Squared errors of y on x1 and on x2, for y = x1 + x2 + noise: 2 x splits."""
    x = generator.standard_normal((2, 60))
    y = x.sum(axis=0) + generator.standard_normal(60)
    errors = []
    for _ in range(repeats):
        fold = generator.permutation(np.arange(60) % folds)
        test = (fold == np.arange(folds)[:, None]).astype(float)
        slopes = ((x * y) @ (1 - test).T) / ((x * x) @ (1 - test).T)
        squares = (y - slopes[:, :, None] * x[:, None]) ** 2
        errors.append((squares * test).sum(axis=2) / test.sum(axis=1))
    return np.concatenate(errors, axis=1)
