"""What the looks save: until decided and racing beside fixed designs, with the effects and scatter of real records."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd

from gridstudy.records.verdicts import CANNOT_TELL
from gridstudy.statistics.comparisons import ALPHA, Floats, cheapest, deficit_bounds, holm
from gridstudy.statistics.looks import Schedule
from gridstudy.statistics.ranking import racing_arms, rank_at_looks
from gridstudy.statistics.verdicts import (
    CONTRADICTED,
    EQUIVALENT,
    ORDER,
    Claim,
    Evidence,
    LookPValues,
    Trace,
    look_p_values,
    walk,
)
from simulations.noise import LOOKS, MARGIN, N0, covariance_factor, reference_objectives
from simulations.rates import Count, Rate, Row

HYPOTHESES = {
    "epochs": (("epochs=10", "epochs=3"),),
    "units": (("baseline", "units1=16,units2=16"),),
    "batch_size": (("baseline", "batch_size=4"),),
    "depth": (("baseline", "depth=1"), ("depth=3", "baseline")),
    "learning_rate": (("baseline", "learning_rate=1e-05"),),
    "optimizer": (("baseline", "optimizer=SGD"),),
    "combined": (
        ("epochs=10,batch_size=32,units1=512", "epochs=10,units2=128,depth=3,learning_rate=0.0005,optimizer=AdamW"),
        ("epochs=10,batch_size=32,units1=512", "batch_size=128,units1=128,units2=64"),
    ),
}
"""The orders that the hypotheses of the seven experiments claim."""
FIXED_SEEDS = (5, 10, 15, 20, 25, 30, 35, 40, 45, 50, 60, 70, 80)
WIDTHS = "units"


def draw_study(generator: np.random.Generator, truths: pd.Series, factor: Floats, n_seeds: int) -> pd.DataFrame:
    """Objectives with these true means and the covariance of real ones."""
    noise = generator.standard_normal((n_seeds, len(factor))) @ factor
    return pd.DataFrame(truths.to_numpy() + noise, columns=truths.index).rename_axis("seed")


def draw_truths(generator: np.random.Generator, objectives: pd.DataFrame, factor: Floats) -> pd.Series:
    """What the true means may be, given the real records."""
    noise = generator.standard_normal(len(factor)) @ factor / np.sqrt(len(objectives))
    return pd.Series(objectives.mean().to_numpy() + noise, index=objectives.columns)


# --- until decided -------------------------------------------------------------------------------------------------


def until_decided(repetitions: int) -> Iterator[Row]:
    """Trials until the seven hypotheses are decided, beside the fixed design that decides as many."""
    objectives, _, _ = reference_objectives()
    generator, factor = np.random.default_rng(40), covariance_factor(objectives)
    sequential, fixed = np.zeros(3), np.zeros(len(FIXED_SEEDS))
    for _ in range(repetitions):
        truths = draw_truths(generator, objectives, factor)
        study = draw_study(generator, truths, factor, LOOKS[-1])
        sequential += run_until_decided(study, truths)
        fixed += [decided_at_once(study, n) for n in FIXED_SEEDS]
    (trials, decided, wrong), fixed = sequential / repetitions, fixed / repetitions
    setting, seeds = f"the seven, {len(objectives.columns)} configurations", f"{LOOKS[0]} to {LOOKS[-1]}"
    yield Count("trials until decided", setting, seeds, float(trials), repetitions)
    yield Rate("hypotheses decided by then", setting, seeds, float(decided), repetitions)
    yield Rate("a study has a wrong verdict", setting, seeds, float(wrong), repetitions, most=2 * ALPHA)
    enough = [n for n, share in zip(FIXED_SEEDS, fixed, strict=True) if share >= decided]
    n = min(enough, default=FIXED_SEEDS[-1])
    yield Count("trials of a fixed design", setting, n, float(n * len(objectives.columns)), repetitions)
    yield Rate("hypotheses decided by it", setting, n, float(fixed[FIXED_SEEDS.index(n)]), repetitions)


def run_until_decided(study: pd.DataFrame, truths: pd.Series) -> tuple[float, float, float]:
    """Trials, the share decided, and whether a verdict is wrong."""
    evidence = evidence_of(study)
    looks: list[list[LookPValues]] = [[] for _ in evidence]
    verdicts = [CANNOT_TELL] * len(evidence)
    for n in LOOKS:
        for i, e in enumerate(evidence):
            if verdicts[i] == CANNOT_TELL:
                looks[i].append(look_p_values(e, n, margin=MARGIN))
        verdicts = [v.verdict for v in walk([Trace(tuple(p)) for p in looks], family_size=len(looks))]
    seeds = dict.fromkeys(study.columns, N0)
    for e, p in zip(evidence, looks, strict=True):
        seeds |= {name: max(seeds[name], LOOKS[len(p) - 1]) for name in e.configurations}
    decided = np.mean([word != CANNOT_TELL for word in verdicts])
    wrong = any(is_wrong(w, truths, pairs) for w, pairs in zip(verdicts, HYPOTHESES.values(), strict=True))
    return float(sum(seeds.values())), float(decided), float(wrong)


def evidence_of(study: pd.DataFrame) -> list[Evidence]:
    """The seven hypotheses on a simulated study."""
    schedule = Schedule(tuple(study.index), N0)
    return [
        Evidence(name, name, tuple(Claim(f"{a} > {b}", ORDER, (a,), (b,)) for a, b in pairs), study, schedule, "", 7)
        for name, pairs in HYPOTHESES.items()
    ]


def decided_at_once(study: pd.DataFrame, n: int) -> float:
    """The share of the seven that one look with n seeds decides at the full 5 %."""
    p = np.array([look_p_values(e, n, margin=MARGIN) for e in evidence_of(study)])
    claims, equivalences = holm(np.minimum(1, 2 * p[:, :2].min(axis=1))), holm(p[:, 2])
    return float(np.mean((claims <= ALPHA) | (equivalences <= ALPHA)))


def is_wrong(verdict: str, truths: pd.Series, pairs: Sequence[tuple[str, str]]) -> bool:
    """Whether the true means speak against a verdict."""
    steps = np.array([truths[a] - truths[b] for a, b in pairs])
    if verdict == EQUIVALENT:
        return bool((np.abs(steps) > MARGIN).any())
    return verdict != CANNOT_TELL and bool((steps > 0).all()) == (verdict == CONTRADICTED)


# --- racing --------------------------------------------------------------------------------------------------------


def racing(repetitions: int) -> Iterator[Row]:
    """Trials until one of the 36 widths can be recommended, beside a fixed design; then where all are alike."""
    objectives, costs, experiments = reference_objectives()
    names = [str(name) for name, of in experiments.items() if WIDTHS in of]
    real = objectives[names]
    factor, price = covariance_factor(real), {name: float(costs[name]) for name in names}
    for setting in ("36 widths", "36 widths, truths alike"):
        generator = np.random.default_rng(41)
        raced, fixed = np.zeros(3), np.zeros((len(FIXED_SEEDS), 2))
        for _ in range(repetitions):
            truths = draw_truths(generator, real, factor)
            if setting.endswith("alike"):
                truths[:] = truths.mean()
            deficits = (truths.max() - truths).to_dict()
            study = draw_study(generator, truths, factor, LOOKS[-1])
            raced += run_race(study, price, deficits)
            fixed += fixed_recommendations(study, price, deficits)
        yield from _race_rows(setting, raced / repetitions, fixed / repetitions, len(names), repetitions)


def _race_rows(setting: str, raced: Floats, fixed: Floats, k: int, repetitions: int) -> Iterator[Row]:
    trials, resolved, wrong = (float(value) for value in raced)
    seeds = f"{LOOKS[0]} to {LOOKS[-1]}"
    yield Count("trials of a race", setting, seeds, trials, repetitions)
    yield Rate("a configuration was recommended", setting, seeds, resolved, repetitions)
    yield Rate("recommended, though beyond the margin", setting, seeds, wrong, repetitions, most=ALPHA)
    enough = [i for i, share in enumerate(fixed[:, 0]) if share >= resolved]
    i = min(enough, default=len(FIXED_SEEDS) - 1)
    yield Count("trials of a fixed design", setting, FIXED_SEEDS[i], float(FIXED_SEEDS[i] * k), repetitions)
    yield Rate("a configuration was recommended by it", setting, FIXED_SEEDS[i], float(fixed[i, 0]), repetitions)


def run_race(
    study: pd.DataFrame, costs: Mapping[str, float], deficits: Mapping[str, float]
) -> tuple[float, float, float]:
    """Trials, whether one was recommended, and whether it lies beyond the margin."""
    schedule = Schedule(tuple(study.index), N0)
    run = pd.DataFrame(index=study.index, columns=study.columns, dtype=float)
    while need := racing_arms(WIDTHS, run, schedule, costs=costs, margin=MARGIN):
        arms = list(need.configurations)
        run.loc[run.index[: need.n_seeds], arms] = study.loc[run.index[: need.n_seeds], arms]
    chosen = rank_at_looks(run, schedule, costs=costs, margin=MARGIN).recommended
    wrong = chosen is not None and deficits[chosen] > MARGIN
    return float(run.notna().sum().sum()), float(chosen is not None), float(wrong)


def fixed_recommendations(
    study: pd.DataFrame, costs: Mapping[str, float], deficits: Mapping[str, float]
) -> list[tuple[float, float]]:
    """Whether one look at each fixed number of seeds recommends one, and whether that lies beyond the margin."""
    found = []
    for n in FIXED_SEEDS:
        bounds = deficit_bounds(study.iloc[:n])
        chosen = cheapest([name for name in bounds if bounds[name] <= MARGIN], costs=costs, means=study.iloc[:n].mean())
        found.append((float(chosen is not None), float(chosen is not None and deficits[chosen] > MARGIN)))
    return found
