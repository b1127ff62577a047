"""Rounds of trials: who is asked, and when it ends."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from gridstudy.running.runner import Summary
from gridstudy.running.until import run_rounds


@dataclass(frozen=True)
class Wanted:
    experiment: str
    configurations: tuple[str, ...]
    seeds: tuple[int, ...]


@pytest.fixture
def rounds(experiment):
    """Run rounds in which `answers` are needed one after another; returns the parts that were run and the summary."""

    def rounds(answers, *, summaries=(), is_over=lambda: False):
        ran, left = [], list(answers)
        summaries = list(summaries)

        def run(parts):
            ran.append([(e.name, names, seeds) for e, names, seeds in parts])
            return summaries.pop(0) if summaries else Summary(n_run=2, duration_s=1.0)

        def decide():
            return left.pop(0) if left else []

        first = [(experiment, ("a", "b"), (0, 1, 2))]
        return ran, run_rounds(first, decide=decide, run=run, is_over=is_over)

    return rounds


MORE = [Wanted("two_by_two", ("a",), (0, 1, 2, 3, 4, 5))]


def test_rounds_go_on_until_nothing_is_needed(rounds):
    ran, summary = rounds([MORE])
    assert ran == [[("two_by_two", ("a", "b"), (0, 1, 2))], [("two_by_two", ("a",), (0, 1, 2, 3, 4, 5))]]
    assert (summary.n_run, summary.duration_s) == (4, 2.0)


def test_what_was_run_and_is_needed_all_the_same_ends_it(rounds):
    # a record that is there and cannot be analysed would be asked for for ever
    assert len(rounds([MORE] * 9)[0]) == 2


def test_failures_a_time_limit_and_trials_left_end_it(rounds, make_trial):
    assert len(rounds([MORE], summaries=[Summary(failures={make_trial(): "no luck"})])[0]) == 1
    assert len(rounds([MORE], summaries=[Summary(n_left=1)])[0]) == 1
    assert len(rounds([MORE], is_over=lambda: True)[0]) == 1
