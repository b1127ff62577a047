"""Which arms need more seeds, and up to which look: the decision that a running study asks for."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from gridstudy.records.tables import Records
from gridstudy.records.toml import RecordError
from gridstudy.statistics.estimates import ExperimentEstimate, StudyEstimates, analyse, diverged_seeds, evidence
from gridstudy.statistics.looks import Need
from gridstudy.statistics.ranking import racing_arms
from gridstudy.statistics.standing import plan_schedule
from gridstudy.statistics.verdicts import (
    CANNOT_TELL,
    StoredVerdict,
    Verdict,
    stored_verdicts,
    trials_left,
    undecided_arms,
)

Goal = Literal["decided", "recommended"]


@dataclass(frozen=True)
class Decision:
    """What is left to do until all is decided: needs per experiment, and the trials that they may take."""

    needs: tuple[Need, ...]
    verdicts: tuple[Verdict, ...]
    stored: tuple[StoredVerdict, ...]
    expected_trials: int
    most_trials: int

    def in_words(self) -> str:
        """How far the hypotheses are: `3 of 7 hypotheses decided, about 120 trials to go (at most 400)`."""
        n_decided = sum(v.verdict != CANNOT_TELL for v in self.verdicts)
        text = f"{n_decided} of {len(self.verdicts)} hypotheses decided"
        if self.needs:
            text += f"; about {self.expected_trials:,} trials to go, at most {self.most_trials:,}"
        return text


def decide(
    records: Records, *, experiments: Collection[str], goal: Goal, margin: float | None = None,
    stored: Sequence[StoredVerdict] = (), most_seeds: int = 80,
) -> Decision:  # fmt: skip
    """Decide for the named experiments which of their configurations need seeds, within `most_seeds`."""
    estimates = analyse(records, margin, stored=stored)
    asked = [e for e in estimates.experiments if e.experiment.name in experiments]
    verdicts = [e.verdict for e in asked if e.verdict is not None]
    studies = [evidence(e, estimates) for e in asked if e.verdict is not None]
    kept = stored_verdicts([e.verdict for e in estimates.experiments if e.verdict is not None], stored)
    if goal == "recommended":
        racing = [(e, need) for e in asked if (need := _racing(e, estimates, most_seeds)) is not None]
        n_trials = sum(_lacking(e, need) for e, need in racing)
        return Decision(tuple(need for _, need in racing), tuple(verdicts), kept, n_trials, n_trials)
    needs = undecided_arms(studies, verdicts, most_seeds=most_seeds)
    expected, most = trials_left(studies, verdicts, most_seeds=most_seeds)
    return Decision(tuple(needs), tuple(verdicts), kept, expected, most)


def _racing(estimate: ExperimentEstimate, estimates: StudyEstimates, most_seeds: int) -> Need | None:
    experiment = estimate.experiment
    return racing_arms(
        experiment.name, estimate.objectives, plan_schedule(estimate.plan, estimate.objectives),
        costs={c.name: c.cost for c in experiment.configurations}, margin=estimates.margin,
        diverged=diverged_seeds(estimates.trials, experiment), most_seeds=most_seeds,
    )  # fmt: skip


def _lacking(estimate: ExperimentEstimate, need: Need) -> int:
    """The trials that a need asks for and the records lack."""
    rows = estimate.objectives.reindex(index=list(need.seeds), columns=list(need.configurations))
    return int(rows.isna().sum().sum())


def to_tables(stored: Sequence[StoredVerdict]) -> list[dict[str, Any]]:
    """Stored verdicts as the log directory keeps them."""
    return [asdict(verdict) for verdict in stored]


def from_tables(tables: Sequence[dict[str, Any]]) -> tuple[StoredVerdict, ...]:
    """Read stored verdicts; RecordError where a table is none."""
    try:
        return tuple(StoredVerdict(**table) for table in tables)
    except TypeError as error:
        raise RecordError(f"has a verdict with missing or unknown keys ({error})") from None
