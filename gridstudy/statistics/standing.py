"""The best of an experiment's configurations, those tied with it, and the one to recommend."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from gridstudy.core.trial import LEAST_SEEDS
from gridstudy.records.plans import Plan
from gridstudy.statistics.advice import Effect, seeds_to_recommend
from gridstudy.statistics.comparisons import (
    deficit_bounds,
    differences,
    expected_maximum,
    format_seeds,
    ranked,
    recommend,
    tied_set,
)
from gridstudy.statistics.comparisons import seeds_to_recommend as seeds_to_recommend_at_once
from gridstudy.statistics.looks import Schedule
from gridstudy.statistics.noise import NoiseFloor
from gridstudy.statistics.ranking import rank_at_looks

NONE = float("nan")


@dataclass(frozen=True)
class Ranking:
    """The best of an experiment's stable configurations and those that may be as good.

    All rest on the first `ranked_seeds` seeds of the plan, those of look `look`; at look 0, before the first look is
    complete, they are provisional: all seeds count, all are tied, and nothing is recommended. Runs of other programs
    have one look at the full 5 %, 1. `lead` is the best minus the runner-up with a single 95 % interval.
    """

    best: str | None = None
    """The best mean of the stable configurations; None where there is none."""
    runner_up: str | None = None
    lead: float = NONE
    lead_low: float = NONE
    lead_high: float = NONE
    winners_curse: float = NONE
    """By how much the best mean is expected to exceed its truth, were all configurations alike; print with the lead."""
    tied: tuple[str, ...] = ()
    recommended: str | None = None
    """None is "not resolved": name the best, and `seeds_to_recommend`."""
    seeds_to_recommend: str = ""
    """In words, at looks: `10`, `10 to 40`, `no verdict expected by 80 seeds`; empty where unknown or not needed."""
    look: int = 0
    ranked_seeds: int = 0
    left_out: Mapping[str, int] = field(default_factory=dict)
    """Configuration -> the look at which it was shown to be worse than another."""
    incomplete: Mapping[str, int] = field(default_factory=dict)
    """Configurations that lack seeds of the first look, and how many; they are in no ranking."""
    bounds: Mapping[str, float] = field(default_factory=dict)
    """Joint 95 % upper bounds on the deficit to the truly best."""


def plan_schedule(plan: Plan, objectives: pd.DataFrame) -> Schedule:
    """The plan's seeds in their order; where it names none, those of the records."""
    return Schedule(plan.seeds or tuple(sorted(int(seed) for seed in objectives.index)), plan.first_look)


def rank_plan(
    objectives: pd.DataFrame, plan: Plan, *, costs: Mapping[str, float], margin: float,
    diverged: Mapping[str, Collection[int]], noise: NoiseFloor,
) -> Ranking:  # fmt: skip
    """Rank all configurations of a plan at its looks; higher objectives are better."""
    schedule = plan_schedule(plan, objectives)
    at = rank_at_looks(objectives, schedule, costs=costs, margin=margin, diverged=diverged)
    incomplete = {name: schedule.n0 - n for name, n in at.incomplete.items() if n < schedule.n0}
    if not at.best:
        stable = objectives[[name for name in objectives if not diverged.get(str(name))]]
        return _provisional(stable, schedule, margin=margin, noise=noise, incomplete=incomplete)
    rows = schedule.rows(objectives, at.n_seeds)[list(at.bounds)]
    several = len(at.bounds) > 1
    return Ranking(
        **_lead(rows.loc[:, rows.notna().all()], at.best, noise), tied=at.tied,
        recommended=at.recommended if several else None,
        seeds_to_recommend=at.advice.in_words("recommendation") if several else "",
        look=at.look, ranked_seeds=at.n_seeds,
        left_out=at.left_out, incomplete=incomplete, bounds=at.bounds,
    )  # fmt: skip


def _provisional(
    stable: pd.DataFrame, schedule: Schedule, *, margin: float, noise: NoiseFloor, incomplete: Mapping[str, int]
) -> Ranking:
    names = ranked(stable)
    if not names:
        return Ranking(incomplete=incomplete)
    rows = stable[names]
    best = str(rows.mean().idxmax())
    others = [name for name in names if name != best]
    needed = ""
    if others:
        pairs = differences(rows, [best] * len(others), others)
        sds = np.where(pairs.n < LEAST_SEEDS, noise.assumed_difference_sd, pairs.sd)
        leads = [Effect(float(mean), float(sd), int(n)) for mean, sd, n in zip(pairs.mean, sds, pairs.n, strict=True)]
        advice = seeds_to_recommend(leads, schedule.sizes, complete=0, n_ranked=len(names), margin=margin)
        needed = advice.in_words("recommendation")
    return Ranking(**_lead(rows, best, noise), tied=tuple(names), seeds_to_recommend=needed, incomplete=incomplete)


def rank_at_once(stable: pd.DataFrame, *, costs: Mapping[str, float], margin: float, noise: NoiseFloor) -> Ranking:
    """Rank runs without a plan at one look; higher objectives are better."""
    names = ranked(stable)
    if not names:
        return Ranking()
    rows = stable[names]
    lead = _lead(rows, str(rows.mean().idxmax()), noise)
    if len(names) == 1:
        return Ranking(**lead, tied=tuple(names), look=1)
    recommended = recommend(rows, costs=costs, margin=margin)
    needed = seeds_to_recommend_at_once(rows, margin=margin, assumed_sd=noise.assumed_difference_sd)
    return Ranking(
        **lead, tied=tuple(tied_set(rows)), recommended=recommended, look=1, bounds=deficit_bounds(rows),
        seeds_to_recommend="" if recommended else format_seeds(needed),
    )  # fmt: skip


def _lead(rows: pd.DataFrame, best: str, noise: NoiseFloor) -> dict[str, Any]:
    """The best, the highest mean of the others, and what lies between them."""
    others = [str(name) for name in rows.mean().sort_values(ascending=False, kind="stable").index if name != best]
    if not others:
        return {"best": best}
    pair = differences(rows, [best], others[:1])
    mean, half = float(pair.mean[0]), float(pair.half_width(0.95)[0])
    curse = expected_maximum(rows.shape[1]) * noise.difference_sd_median / np.sqrt(2 * max(1, noise.n_seeds))
    return {
        "best": best, "runner_up": others[0], "lead": mean, "lead_low": mean - half, "lead_high": mean + half,
        "winners_curse": float(curse),
    }  # fmt: skip


def deficit_columns(stable: pd.DataFrame, ranking: Ranking, names: Sequence[str]) -> dict[str, Any]:
    """Columns on how each configuration compares with the best; NaN and False for the unstable."""
    columns = pd.DataFrame(index=pd.Index(names), columns=["deficit", "deficit_low", "deficit_high"], dtype=float)
    others = [name for name in stable.columns if name != ranking.best]
    if others and ranking.best:
        pairs = differences(stable, [ranking.best] * len(others), others)
        half = pairs.half_width(0.95)
        columns.loc[others] = np.column_stack([pairs.mean, pairs.mean - half, pairs.mean + half])
    return {
        **{str(name): columns[name].to_numpy() for name in columns},
        "deficit_bound": pd.Series(dict(ranking.bounds), dtype=float).reindex(list(names)).to_numpy(),
        "tied_with_best": np.isin(names, ranking.tied),
        "recommended": [name == ranking.recommended for name in names],
    }
