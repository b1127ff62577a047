"""How long a trial may take before it counts as hung."""

from __future__ import annotations

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
