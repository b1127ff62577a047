"""Run look by look: the first look for every configuration, then more seeds for the arms that still need them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from gridstudy.core.experiment import Experiment
from gridstudy.running.planning import PlannedTrial
from gridstudy.running.runner import Summary


class Need(Protocol):
    """Configurations of an experiment, by name, and the seeds that they should have in the end."""

    @property
    def experiment(self) -> str: ...
    @property
    def configurations(self) -> tuple[str, ...]: ...
    @property
    def seeds(self) -> tuple[int, ...]: ...


@dataclass(frozen=True)
class Round:
    """One look's worth of trials: experiments restricted to some configurations, on the seeds of each."""

    parts: tuple[tuple[Experiment, tuple[str, ...], tuple[int, ...]], ...]


def run_rounds(
    first: Round,
    *,
    decide: Callable[[], Sequence[Need]],
    run: Callable[[Round], Summary],
    experiments: Iterable[Experiment],
    is_over: Callable[[], bool],
) -> Summary:
    """Run the first look, then ask `decide` which arms need seeds and run those, until none does.

    Ends early where `is_over` says that the time is up, or where a round has failures, which more seeds cannot mend.
    """
    by_name = {experiment.name: experiment for experiment in experiments}
    summary = run(first)
    while not (summary.failures or summary.n_left or is_over()):
        needs = decide()
        if not needs:
            break
        summary = _joined(summary, run(Round(tuple((by_name[n.experiment], n.configurations, n.seeds) for n in needs))))
    return summary


def _joined(before: Summary, now: Summary) -> Summary:
    known = {result.trial for result in now.results}
    return Summary(
        results=[*(r for r in before.results if r.trial not in known), *now.results], failures=now.failures,
        n_run=before.n_run + now.n_run, n_left=now.n_left, duration_s=before.duration_s + now.duration_s,
    )  # fmt: skip


def distinct(planned: Iterable[PlannedTrial]) -> list[PlannedTrial]:
    """The trials of several experiments, each once, seed by seed and the longest first within a seed."""
    by_trial = {p.trial: p for p in planned}
    return sorted(by_trial.values(), key=lambda p: (p.trial.seed, -p.trial.configuration.work))
