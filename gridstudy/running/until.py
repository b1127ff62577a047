"""Run look by look: the first look for every configuration, then more seeds for the arms that still need them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Protocol

from gridstudy.core.experiment import Experiment
from gridstudy.running.planning import PlannedTrial
from gridstudy.running.runner import Summary

Part = tuple[Experiment, tuple[str, ...], tuple[int, ...]]
"""An experiment, those of its configurations that are trained, by name, and their seeds."""


class Need(Protocol):
    """Configurations of an experiment, by name, and the seeds that they should have in the end."""

    @property
    def experiment(self) -> str: ...
    @property
    def configurations(self) -> tuple[str, ...]: ...
    @property
    def seeds(self) -> tuple[int, ...]: ...


def run_rounds(
    first: Sequence[Part],
    *,
    decide: Callable[[], Sequence[Need]],
    run: Callable[[Sequence[Part]], Summary],
    is_over: Callable[[], bool],
) -> Summary:
    """Run the first look, then ask `decide` which arms need seeds and run those, until none does.

    Ends early where `is_over` says that the time is up, where a round has failures, which more seeds cannot mend, or
    where what is needed was run already. The results are those of the last round.
    """
    by_name = {experiment.name: experiment for experiment, _, _ in first}
    summary, parts = run(first), list(first)
    while not (summary.failures or summary.n_left or is_over()):
        before, parts = parts, [(by_name[n.experiment], n.configurations, n.seeds) for n in decide()]
        if not parts or parts == before:
            break
        now = run(parts)
        n_run, duration_s = summary.n_run + now.n_run, summary.duration_s + now.duration_s
        summary = replace(now, n_run=n_run, duration_s=duration_s)
    return summary


def distinct(planned: Iterable[PlannedTrial]) -> list[PlannedTrial]:
    """The trials of several experiments, each once, seed by seed and the longest first within a seed."""
    by_trial = {p.trial: p for p in planned}
    return sorted(by_trial.values(), key=lambda p: (p.trial.seed, -p.trial.configuration.work))
