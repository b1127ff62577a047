from __future__ import annotations

import pytest

from gridstudy.running.timeouts import default_timeout_s, is_slow


@pytest.mark.parametrize(("estimate_s", "timeout_s"), [(None, 1800), (0.0, 120), (6.0, 120), (6.1, 122), (100.0, 2000)])
def test_a_trial_may_take_twenty_times_its_estimate_and_at_least_two_minutes(estimate_s, timeout_s):
    assert default_timeout_s(estimate_s) == pytest.approx(timeout_s)


@pytest.mark.parametrize(("elapsed_s", "estimate_s", "slow"), [
    (29, 1.0, False), (31, 1.0, True), (499, 100.0, False), (501, 100.0, True), (449, None, False), (451, None, True),
])  # fmt: skip
def test_a_trial_is_named_as_slow_long_before_it_is_ended(elapsed_s, estimate_s, slow):
    assert is_slow(elapsed_s, estimate_s) is slow
