"""The rule of looks beside AdaStop (Mathieu et al. 2023, package `adastop`) on the same draws."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from gridstudy.statistics.comparisons import ALPHA, Floats
from gridstudy.statistics.verdicts import CONTRADICTED, SUPPORTED
from simulations.guarantees import correlated_pairs
from simulations.looks import judge_study, look_p_values
from simulations.noise import LOOKS, N0
from simulations.rates import Count, Rate, Row

CORRELATIONS = (0.0, 0.7, 0.93)
STAGES = 5


def beside_adastop(repetitions: int, *, effect: float = 0.01) -> Iterator[Row]:
    """False claims, wrong signs, and seeds per configuration until decided, two configurations that differ or not."""
    for correlation in CORRELATIONS:
        for shift in (0.0, effect):
            generator = np.random.default_rng([30, int(100 * correlation), int(1000 * shift)])
            values = correlated_pairs(generator, LOOKS[-1], repetitions, correlation=correlation, effect=shift)
            pairs = values.T.reshape(repetitions, 2, LOOKS[-1])
            for name, found in (("looks", _by_looks(pairs)), ("AdaStop", [_by_adastop(pair) for pair in pairs])):
                yield from _rows(name, np.array(found), correlation=correlation, shift=shift)


def _rows(name: str, found: Floats, *, correlation: float, shift: float) -> Iterator[Row]:
    """The rows of one method; `found` has the sign of the claim (0: none) and the seeds used, a row per study."""
    setting = f"{name}, {100 * shift:g} points, correlation {correlation:g}"
    repetitions, last = len(found), LOOKS[-1] if name == "looks" else STAGES * N0
    seeds = f"{N0} to {last}"
    if shift == 0:
        most = ALPHA if name == "looks" else 1.0
        rate = float(np.mean(found[:, 0] != 0))
        yield Rate("a claim without an effect", setting, seeds, rate, repetitions, most=most)
        return
    yield Rate("a claim with the right sign", setting, seeds, float(np.mean(found[:, 0] > 0)), repetitions)
    yield Rate("a claim with the wrong sign", setting, seeds, float(np.mean(found[:, 0] < 0)), repetitions)
    yield Rate(
        "a claim within 25 seeds", setting, seeds, float(np.mean((found[:, 0] > 0) & (found[:, 1] <= 25))), repetitions
    )
    yield Count("seeds of each configuration until decided or the end", setting, seeds, found[:, 1].mean(), repetitions)


def _by_looks(pairs: Floats) -> list[tuple[int, int]]:
    p = look_p_values((pairs[:, 0] - pairs[:, 1])[:, None, :])
    found = []
    for study in p:
        (verdict,) = judge_study(study, [len(LOOKS)])
        sign = {SUPPORTED: 1, CONTRADICTED: -1}.get(verdict.verdict, 0)
        found.append((sign, LOOKS[verdict.look - 1] if verdict.look else LOOKS[-1]))
    return found


def _by_adastop(pair: Floats) -> tuple[int, int]:
    """AdaStop's decision at 5 % with five seeds a stage, otherwise by its defaults."""
    from adastop import MultipleAgentsComparator

    comparator = MultipleAgentsComparator(n=N0, K=STAGES, alpha=ALPHA, seed=0)
    for stage in range(1, STAGES + 1):
        comparator.partial_compare({"first": pair[0, : stage * N0], "second": pair[1, : stage * N0]}, verbose=False)
        if comparator.is_finished:
            break
    (decision,) = comparator.decisions.values()
    return {"larger": 1, "smaller": -1}.get(decision, 0), stage * N0
