"""How long a trial may take before it counts as hung."""

from __future__ import annotations

from collections.abc import Iterable
from statistics import median

from gridstudy.core.trial import TrialConfig, TrialRun

TIMES_THE_ESTIMATE = 20.0
SHORTEST_TIMEOUT_S = 120.0
FIRST_TIMEOUT_S = 1800.0
"""What a trial may take until one has finished to estimate from."""

SLOW_TIMES_THE_ESTIMATE = 5.0
SHORTEST_SLOW_S = 30.0


def default_timeout_s(estimate_s: float | None) -> float:
    """Seconds after which a trial that was to take `estimate_s` counts as hung; None: no trial has finished yet."""
    if estimate_s is None:
        return FIRST_TIMEOUT_S
    return max(SHORTEST_TIMEOUT_S, TIMES_THE_ESTIMATE * estimate_s)


def is_slow(elapsed_s: float, estimate_s: float | None) -> bool:
    """Whether a running trial has taken so much longer than estimated that it should be named."""
    threshold_s = default_timeout_s(None) / 4
    if estimate_s is not None:
        threshold_s = max(SHORTEST_SLOW_S, SLOW_TIMES_THE_ESTIMATE * estimate_s)
    return elapsed_s > threshold_s


class TrialClock:
    """Estimates how long a trial takes from those that have finished, by the work of its configuration."""

    def __init__(self, limit_s: float | None = None) -> None:
        self._limit_s = limit_s
        self._seconds_per_work: list[float] = []

    def observe(self, trial: TrialConfig, run: TrialRun) -> None:
        """Learn from a trial that has finished."""
        if run.duration_s > 0:
            self._seconds_per_work.append(run.duration_s / trial.configuration.work)

    def estimate_s(self, trial: TrialConfig) -> float | None:
        """Seconds that a trial should take; None until one has finished."""
        if not self._seconds_per_work:
            return None
        return median(self._seconds_per_work) * trial.configuration.work

    def timeout_s(self, trials: Iterable[TrialConfig]) -> float:
        """Seconds after which trials, trained one after the other, count as hung: limits, or multiples of estimates."""
        return sum(self._limit_s or default_timeout_s(self.estimate_s(trial)) for trial in trials)
