"""Which arms need more seeds, and up to which look: the decision that a running study asks for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np

from gridstudy.records.tables import Records
from gridstudy.records.toml import RecordError
from gridstudy.records.verdicts import CANNOT_TELL
from gridstudy.statistics.advice import Need
from gridstudy.statistics.estimates import ExperimentEstimate, StudyEstimates, analyse, diverged_seeds, evidence
from gridstudy.statistics.ranking import racing_arms
from gridstudy.statistics.standing import plan_schedule
from gridstudy.statistics.verdicts import StoredVerdict, Verdict, stored_verdicts, undecided_arms

Goal = Literal["decided", "recommended"]


@dataclass(frozen=True)
class TrialsLeft:
    """How many trials are missing: as advised, with the quartiles of that advice, and at most.

    `expected` is None where nothing is known to plan with; `low` then ends at the next look. `expected_trials` and
    `most_trials` have the trials by configuration.
    """

    low: int
    expected: int | None
    high: int
    most: int
    expected_trials: Mapping[str, int] = field(default_factory=dict, compare=False)
    most_trials: Mapping[str, int] = field(default_factory=dict, compare=False)

    def in_words(self) -> str:
        """`about 120 trials to go (80 to 300), at most 400`; `45 to 400 trials to go` before anything is known."""
        if self.low == self.most:
            return f"{self.most:,} trials to go"
        if self.expected is None:
            return f"{self.low:,} to {self.most:,} trials to go"
        spread = f" ({self.low:,} to {self.high:,})" if self.low < self.high else ""
        return f"about {self.expected:,} trials to go{spread}, at most {self.most:,}"


@dataclass(frozen=True)
class Decision:
    """What is left to do until all is decided, or until each experiment can recommend a configuration."""

    goal: Goal
    experiments: tuple[ExperimentEstimate, ...]
    needs: tuple[Need, ...]
    stored: tuple[StoredVerdict, ...]
    left: TrialsLeft
    margin: float

    @property
    def verdicts(self) -> tuple[Verdict, ...]:
        """The verdicts on the hypotheses of these experiments."""
        return tuple(e.verdict for e in self.experiments if e.verdict is not None)

    def in_words(self) -> str:
        """How far it is: `3 of 7 hypotheses decided; about 120 trials to go (80 to 300), at most 400`."""
        if self.goal == "recommended":
            done = [e.recommended is not None for e in self.experiments if len(e.experiment.configurations) > 1]
            what = "experiment can recommend a configuration", "experiments can recommend a configuration"
        else:
            done = [v.verdict != CANNOT_TELL for v in self.verdicts]
            what = "hypothesis decided", "hypotheses decided"
        text = f"{sum(done)} of {len(done)} {what[len(done) != 1]}"
        return f"{text}; {self.left.in_words()}" if self.needs else text


def decide(
    records: Records, *, experiments: Collection[str], goal: Goal, margin: float | None = None,
    stored: Sequence[StoredVerdict] = (), most_seeds: int = 80,
) -> Decision:  # fmt: skip
    """Decide for the named experiments which of their configurations need seeds, within `most_seeds`."""
    estimates = analyse(records, margin, stored=stored)
    asked = {e.experiment.name: e for e in estimates.experiments if e.experiment.name in experiments}
    if goal == "recommended":
        needs = [need for e in asked.values() if (need := _race(e, estimates, most_seeds)) is not None]
    else:
        judged = [e for e in asked.values() if e.verdict is not None]
        studies, verdicts = [evidence(e, estimates) for e in judged], [e.verdict for e in judged if e.verdict]
        needs = undecided_arms(studies, verdicts, most_seeds=most_seeds)
    return Decision(
        goal, tuple(asked.values()), tuple(needs),
        stored_verdicts(
            [e.verdict for e in estimates.experiments if e.verdict], stored, group=estimates.group_name
        ),
        trials_left(needs, asked, most_seeds=most_seeds), estimates.margin,
    )  # fmt: skip


def _race(estimate: ExperimentEstimate, estimates: StudyEstimates, most_seeds: int) -> Need | None:
    experiment = estimate.experiment
    return racing_arms(
        experiment.name, estimate.objectives, plan_schedule(estimate.plan, estimate.objectives),
        costs={c.name: c.cost for c in experiment.configurations}, margin=estimates.margin,
        diverged=diverged_seeds(estimates.trials, experiment), most_seeds=most_seeds,
    )  # fmt: skip


def trials_left(needs: Iterable[Need], experiments: Mapping[str, ExperimentEstimate], *, most_seeds: int) -> TrialsLeft:
    """Count the missing trials of the first looks and of all needs; one that several experiments share counts once.

    What is advised ends at the last look; where nothing is advised, any look from the next to the last may suffice.
    """
    first = {
        pair for e in experiments.values()
        for pair in _lacking(e, [c.name for c in e.experiment.configurations], e.plan.first_look)
    }  # fmt: skip
    bounds: list[set[tuple[str, int]]] = [set(first) for _ in range(4)]
    is_known = True
    for need in needs:
        e, advice = experiments[need.experiment], need.advice
        last = plan_schedule(e.plan, e.objectives).last_size(most_seeds)
        sizes = [advice.low, advice.expected, advice.high]
        if np.isnan(advice.expected):
            is_known, sizes = False, [need.n_seeds, need.n_seeds, last]
        for bound, n in zip(bounds, [*sizes, last], strict=True):
            bound.update(_lacking(e, need.configurations, int(min(max(n, need.n_seeds), last))))
    low, expected, high, most = map(len, bounds)
    by_configuration = [Counter(name for name, _ in bounds[i]) for i in (1, 3)]
    return TrialsLeft(low, expected if is_known else None, high, most, *by_configuration)


def _lacking(estimate: ExperimentEstimate, names: Sequence[str], n_seeds: int) -> set[tuple[str, int]]:
    """Configuration and seed of each trial that the records lack up to a look."""
    seeds = plan_schedule(estimate.plan, estimate.objectives).extended(n_seeds)
    missing = estimate.objectives.reindex(index=list(seeds), columns=list(names)).isna()
    return {(name, seed) for name in names for seed in missing.index[missing[name]]}


def to_tables(stored: Sequence[StoredVerdict]) -> list[dict[str, Any]]:
    """Stored verdicts as the log directory keeps them."""
    return [asdict(verdict) for verdict in stored]


def from_tables(tables: Sequence[dict[str, Any]]) -> tuple[StoredVerdict, ...]:
    """Read stored verdicts; RecordError where a table is none."""
    try:
        return tuple(StoredVerdict(**table) for table in tables)
    except TypeError as error:
        raise RecordError(f"has a verdict with missing or unknown keys ({error})") from None
