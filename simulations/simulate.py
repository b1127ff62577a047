"""Show by simulation what the estimates promise: `python -m simulations.simulate --output docs/simulations.md`.

Objectives are normal with a covariance like that of the real records: standard deviations from 0.5 to 7 percentage
points and correlations over seeds from 0 to 0.96, drawn anew for each repetition; or, with --records, the covariance
of a log directory, configurations picked at random. All random seeds are fixed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import numpy as np
import pandas as pd

from gridstudy.core.study import Experiment
from gridstudy.fashion.experiments import select_experiments
from gridstudy.statistics.comparisons import (
    ALPHA,
    LEAST_SEEDS,
    Floats,
    deficit_bounds,
    differences,
    recommend,
    replicate_table,
    select_trials,
    tied_set,
)
from gridstudy.statistics.estimates import MARGIN, choose_group
from gridstudy.statistics.flags import (
    LEVEL,
    is_infeasible,
    overfitting,
    search_edges,
    still_improving,
    train_loss_rising,
)
from gridstudy.statistics.noise import NoiseFloor, logdir_spread, noise_floor
from gridstudy.statistics.verdicts import CONTRADICTED, SUPPORTED, Evidence, arm_p_values, judge

SEEDS = (3, 5, 10)
Draw = Callable[[np.random.Generator, int, int], Floats]
"""(generator, n seeds, k configurations) -> n x k objectives whose true means are 0."""

Plans = Sequence[tuple[Experiment, list[str]]]
"""Experiments with the names of their configurations."""


@dataclass(frozen=True)
class Rate:
    """How often something happened in `repetitions`, and the bounds that were promised for it."""

    claim: str
    setting: str
    n_seeds: int
    rate: float
    repetitions: int
    least: float = 0.0
    most: float = 1.0

    @property
    def held(self) -> bool:
        """Whether the rate keeps its bounds, give or take three standard errors of the simulation at the bound."""
        slack_low, slack_high = (3 * np.sqrt(p * (1 - p) / self.repetitions) for p in (self.least, self.most))
        return bool(self.least - slack_low <= self.rate <= self.most + slack_high)


# --- noise ---------------------------------------------------------------------------------------------------------


def draw_noise(generator: np.random.Generator, n: int, k: int) -> Floats:
    """Unequal spreads (0.5 to 7 points) and correlations (0 to 0.96), by one factor that the seeds share."""
    spreads = np.exp(generator.uniform(np.log(0.005), np.log(0.07), k))
    share = generator.uniform(0, 0.96, k)
    shared, own = generator.standard_normal((n, 1)), generator.standard_normal((n, k))
    return np.asarray(spreads * (np.sqrt(share) * shared + np.sqrt(1 - share) * own))


def draw_alike(factor: Floats, generator: np.random.Generator, n: int, k: int) -> Floats:
    """Noise whose covariance is factor.T @ factor, for k of its columns picked at random."""
    picked = generator.choice(factor.shape[1], k, replace=k > factor.shape[1])
    return np.asarray(generator.standard_normal((n, len(factor))) @ factor[:, picked])


def covariance_factor(objectives: pd.DataFrame) -> Floats:
    """A matrix F so that F.T @ F is the columns' covariance, over the seeds that all of them have."""
    values = objectives.dropna().to_numpy(float)
    return np.asarray((values - values.mean(axis=0)) / np.sqrt(len(values) - 1))


def as_table(values: Floats, index: str = "seed") -> pd.DataFrame:
    """Objectives as the estimates take them."""
    names = [f"c{i}" for i in range(values.shape[1])]
    return pd.DataFrame(values, columns=names, index=pd.RangeIndex(len(values), name=index))


# --- guarantees ----------------------------------------------------------------------------------------------------


def interval_coverage(draw: Draw, repetitions: int, *, seeds: Sequence[int] = SEEDS) -> Iterator[Rate]:
    """G1: 95 % intervals of differences hold the truth, paired and, where seeds are unknown, by Welch."""
    for n in seeds:
        generator = np.random.default_rng([1, n])
        for setting, width in (("paired", 2), ("unpaired, Welch", 1)):
            values = np.hstack([draw(generator, n, width) for _ in range(2 * repetitions // width)])
            table = as_table(values, index="seed" if width == 2 else "replicate")
            pairs = differences(table, list(table.columns[::2]), list(table.columns[1::2]))
            covered = np.abs(pairs.mean) <= pairs.half_width(0.95)
            yield Rate(
                "G1 the 95 % interval of a difference covers it", setting, n, covered.mean(), repetitions, 0.935, 0.965
            )


def best_in_tied_set(draw: Draw, repetitions: int, *, seeds: Sequence[int] = SEEDS) -> Iterator[Rate]:
    """G2: the best is in its tied set, and a recommended configuration falls short by no more than the margin."""
    for k in (6, 36):
        for n in seeds:
            for setting, spread in ((f"{k} alike", 0.0), (f"{k}, truths 2 points apart (sd)", 0.02)):
                kept, wrong, sizes, lost = _search(draw, repetitions, k=k, n=n, spread=spread)
                yield Rate("G2 the truly best is in its tied set", setting, n, kept, repetitions, least=0.95)
                yield Rate("G2 share of the configurations in the tied set", setting, n, sizes / k, repetitions)
                yield Rate(
                    "recommended, though the deficit exceeds the margin", setting, n, wrong, repetitions, most=ALPHA
                )
                yield Rate("a deficit exceeds its joint 95 % bound", setting, n, lost, repetitions, most=ALPHA)


def _search(draw: Draw, repetitions: int, *, k: int, n: int, spread: float) -> tuple[float, float, float, float]:
    """Shares with the best kept and a wrong recommendation, the mean size of the set, the share with a broken bound."""
    generator = np.random.default_rng([2, k, n, int(1000 * spread)])
    found = np.zeros(4)
    for _ in range(repetitions):
        truths = spread * generator.standard_normal(k)
        table = as_table(truths + draw(generator, n, k))
        deficits = dict(zip(table.columns, truths.max() - truths, strict=True))
        tied = tied_set(table)
        chosen = recommend(table, costs=dict(zip(table.columns, generator.random(k), strict=True)), margin=MARGIN)
        lost = any(deficits[name] > bound + 1e-12 for name, bound in deficit_bounds(table).items())
        best = table.columns[int(truths.argmax())]
        found += (best in tied, chosen is not None and deficits[chosen] > MARGIN, len(tied), lost)
    kept, wrong, size, lost_share = (found / repetitions).tolist()
    return kept, wrong, size, lost_share


def false_claims(draw: Draw, repetitions: int, *, seeds: Sequence[int] = SEEDS) -> Iterator[Rate]:
    """G3: studies without any effect that contain a claim; the seven, and the follow-ups."""
    for group, setting in (("all", "the seven"), ("follow-up", "the follow-ups")):
        plans = [(e, [c.name for c in e.configurations]) for e in select_experiments([group]) if e.contrasts]
        for n in seeds:
            generator = np.random.default_rng([3, n, len(group)])
            claimed = sum(_has_claim(plans, draw, generator, n) for _ in range(repetitions))
            rate = claimed / repetitions
            yield Rate("G3 a study without effects contains a claim", setting, n, rate, repetitions, most=ALPHA)


def _has_claim(plans: Plans, draw: Draw, generator: np.random.Generator, n: int) -> bool:
    names = list(dict.fromkeys(name for _, columns in plans for name in columns))
    table = as_table(0.8 + draw(generator, n, len(names))).set_axis(names, axis=1)
    noise = noise_without_records()
    evidence = [Evidence(plan, table[columns], diverged={}, noise=noise) for plan, columns in plans]
    return any(v.verdict in (SUPPORTED, CONTRADICTED) for v in judge(evidence, margin=MARGIN))


@cache
def noise_without_records() -> NoiseFloor:
    """A noise floor for planning; no verdict but "cannot tell" reads it."""
    return noise_floor(pd.DataFrame(), logdir=logdir_spread(None))


def false_equivalence(draw: Draw, repetitions: int, *, seeds: Sequence[int] = SEEDS) -> Iterator[Rate]:
    """G4: no practical difference, said where the true difference is the margin; one a side, and best of five."""
    for arm, setting in ((1, "one configuration a side"), (5, "best of 5 values of a nuisance a side")):
        for n in seeds:
            generator = np.random.default_rng([4, n, arm])
            said = 0
            for _ in range(repetitions):
                # small noise, or equivalence would never be said
                table = as_table(0.05 * draw(generator, n, 2 * arm))
                better, worse = list(table.columns[:arm]), list(table.columns[arm:])
                table[better] += MARGIN
                said += arm_p_values(table, better, worse, margin=MARGIN)[2] <= ALPHA
            yield Rate(
                "G4 no practical difference, at the margin", setting, n, said / repetitions, repetitions, most=ALPHA
            )


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
        rate = float(np.mean([is_infeasible(accuracy, 10_000) for accuracy in accuracies]))
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
                table = as_table(_pairs_with(generator, n, repetitions, correlation=correlation, effect=effect))
                for kind, objectives in (("paired", table), ("unpaired", table.rename_axis("replicate"))):
                    found = differences(objectives, list(table.columns[::2]), list(table.columns[1::2])).one_sided_p()
                    setting = (
                        f"{100 * effect:g} points, {kind}, correlation {correlation:g} (s_d {100 * sd:.2f} points)"
                    )
                    yield Rate("power", setting, n, float(np.mean(found < ALPHA / 2)), repetitions)


def _pairs_with(generator: np.random.Generator, n: int, pairs: int, *, correlation: float, effect: float) -> Floats:
    shared = np.repeat(generator.standard_normal((n, pairs)), 2, axis=1)
    own = generator.standard_normal((n, 2 * pairs))
    values = 0.013 * (np.sqrt(correlation) * shared + np.sqrt(1 - correlation) * own)
    values[:, ::2] += effect
    return np.asarray(values)


# --- output --------------------------------------------------------------------------------------------------------


def simulate(draw: Draw, repetitions: int) -> Iterator[Rate]:
    """All of it; what is quick gets more repetitions."""
    yield from interval_coverage(draw, 10 * repetitions)
    yield from best_in_tied_set(draw, repetitions)
    yield from false_claims(draw, repetitions)
    yield from false_equivalence(draw, 2 * repetitions)
    yield from false_flags(2 * repetitions)
    yield from power_table(10 * repetitions)


def format_table(rates: Sequence[Rate]) -> str:
    """The rates as a Markdown table."""
    lines = ["| what | setting | seeds | rate | promised | holds | repetitions |", "|---|---|---:|---:|---|---|---:|"]
    for r in rates:
        bounds = [f"at least {r.least:.1%}"] * (r.least > 0) + [f"at most {r.most:.1%}"] * (r.most < 1)
        held = ("yes" if r.held else "**no**") if bounds else ""
        promised = " and ".join(bounds)
        lines.append(
            f"| {r.claim} | {r.setting} | {r.n_seeds} | {r.rate:.1%} | {promised} | {held} | {r.repetitions} |"
        )
    return "\n".join(lines) + "\n"


def main(argv: Sequence[str] | None = None) -> int:
    """Run all simulations; 1 if a promise is broken."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=1000, help="studies per setting (default: 1000)")
    parser.add_argument("--records", type=Path, metavar="LOGDIR", help="take the covariance of these records")
    parser.add_argument("--output", type=Path, metavar="FILE", help="write the Markdown table there too")
    args = parser.parse_args(argv)
    rates = list(simulate(_draw_from(args.records), args.repetitions))
    noise = f"the covariance of the records in {args.records}" if args.records else "drawn spreads and correlations"
    page = f"# What the estimates promise, simulated\n\nNoise: {noise}.\n\n{format_table(rates)}"
    print(page)
    if args.output:
        args.output.parent.mkdir(parents=True, exist_ok=True)
        args.output.write_text(page, encoding="utf-8")
    return 0 if all(rate.held for rate in rates) else 1


def _draw_from(logdir: Path | None) -> Draw:
    if logdir is None:
        return draw_noise
    from gridstudy.records.records import load_records

    _, trials, _ = choose_group(load_records(logdir).trials)
    trials = select_trials(trials)
    stable = trials.groupby("configuration")["diverged"].transform("sum") == 0
    objectives = replicate_table(trials[stable], trials.loc[stable, "configuration"].unique().tolist())
    complete = objectives.dropna(axis=1, thresh=len(objectives))
    if len(complete) < LEAST_SEEDS:
        sys.exit(f"{logdir} must hold at least {LEAST_SEEDS} seeds of a configuration; it has {len(complete)}")
    return partial(draw_alike, covariance_factor(complete))


if __name__ == "__main__":
    sys.exit(main())
