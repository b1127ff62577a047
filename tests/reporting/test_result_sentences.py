"""An experiment in words: verdicts say why and carry their labels, rankings say what is tied."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from gridstudy.core.subject import Objective
from gridstudy.reporting.result_sentences import (
    answer,
    contrast_sentences,
    lead_sentence,
    look_sentence,
    needed_phrase,
    noise_sentences,
    ranking_sentences,
    seeds_to_recommend,
    tied_sentence,
    verdict_phrase,
    verdict_reason,
)
from gridstudy.statistics.estimates import ExperimentEstimate
from tests.reports import study_findings

ACCURACY = Objective("validation_accuracy")


@pytest.fixture
def epochs() -> ExperimentEstimate:
    """An experiment about epochs with a verdict on two contrasts."""
    return study_findings().experiments[0]


def judged(e: ExperimentEstimate, word: str, *, label: str = "paired", **changes: object) -> ExperimentEstimate:
    assert e.verdict is not None
    contrasts = tuple(replace(c, label=label) for c in e.verdict.contrasts)
    return replace(e, verdict=replace(e.verdict, verdict=word, contrasts=contrasts, **changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("word", "label", "words"),
    [
        ("supported", "paired", "All differences are as claimed: p = 0.020 after Holm's correction over 7 hypotheses."),
        ("contradicted", "paired", "At least one difference is not as claimed"),
        ("no practical difference", "paired", "All differences lie within 0.50 points of zero: p = 0.030"),
        ("cannot tell", "paired", "Neither a direction (p = 0.020) nor equality within 0.50 points (p = 0.030)"),
        ("cannot tell", "no records", "An arm that the hypothesis names has no trials yet."),
        ("cannot tell", "unstable, 2 of 5", "An arm that the hypothesis names is unstable, 2 of 5."),
        ("cannot tell", "fewer than 3 common seeds", "There are fewer than 3 common seeds, too few for an interval."),
        ("cannot tell", "identical records", "All seeds give the same score (identical records), so nothing can be"),
    ],
)
def test_each_verdict_says_why(epochs: ExperimentEstimate, word: str, label: str, words: str) -> None:
    e = judged(epochs, word, label=label, p_adjusted=0.02, p_equivalent_adjusted=0.03)
    assert words in verdict_reason(e.verdict, ACCURACY)  # type: ignore[arg-type]


def test_a_verdict_never_goes_without_its_labels(epochs: ExperimentEstimate) -> None:
    e = judged(epochs, "supported", labels=("confounded with examples", "hypothesis changed"))
    assert verdict_phrase(e.verdict) == "**supported** (confounded with examples; hypothesis changed)"  # type: ignore[arg-type]
    assert "(confounded with examples; hypothesis changed)" in answer(e, 0.005)


def test_a_verdict_names_its_look_and_the_next_one(epochs: ExperimentEstimate) -> None:
    verdict = judged(epochs, "cannot tell", look=2, n_seeds=10, next_look=20, incomplete="seed 7 of epochs=10").verdict
    assert look_sentence(verdict) == (  # type: ignore[arg-type]
        "Read at look 2, with 10 seeds. The next look is at 20 seeds. It lacks seed 7 of epochs=10."
    )


def test_the_seeds_that_are_needed_are_a_range_or_none(epochs: ExperimentEstimate) -> None:
    assert epochs.verdict is not None
    advice = epochs.verdict.advice
    for expected, low, high, words in (
        (20.0, 10.0, 40.0, "about 20 needed (10 to 40)"),
        (20.0, 20.0, 20.0, "about 20 needed"),
        (math.inf, 40.0, math.inf, "40 or more needed"),
        (math.inf, math.inf, math.inf, "no verdict is expected by 80 seeds"),
    ):
        changed = replace(advice, expected=expected, low=low, high=high, last=80)
        assert needed_phrase(replace(epochs.verdict, advice=changed)) == words
    assert seeds_to_recommend("10 to 40") == " (likely at 10 to 40 seeds)"
    assert seeds_to_recommend("no recommendation expected by 80 seeds") == " (none is expected by 80 seeds)"


def test_contrasts_carry_interval_level_and_n(epochs: ExperimentEstimate) -> None:
    first, second = contrast_sentences(epochs)
    assert "`5 (baseline)` minus `3`" in first
    assert "96 % interval [" in first
    assert "n = 5" in second


def test_rankings_in_words(epochs: ExperimentEstimate) -> None:
    everything = tuple(epochs.bounds)
    assert "No other arm is tied with it. Recommended: " in ranking_sentences(
        replace(epochs, look=1, tied=(str(epochs.best),), recommended=epochs.best), 0.005
    )
    assert "All arms are tied: any of them may be the best." in tied_sentence(replace(epochs, look=1, tied=everything))
    assert "The first look is not complete" in tied_sentence(replace(epochs, look=0))
    assert "No arm can be ranked" in ranking_sentences(replace(epochs, best=None), 0.005)
    assert "One arm can be ranked" in ranking_sentences(replace(epochs, runner_up=None), 0.005)
    assert "cannot be estimated yet" in lead_sentence(replace(epochs, winners_curse=math.nan))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "With 5 seeds a difference of 1.0 points is found in 80 % of studies; without pairing by seed it would"),
        ({"resolvable_paired": 0.03}, "pairing by seed does not help here: 2.0 points would do without it."),
        ({"resolvable_paired": math.nan}, "With 5 unpaired replicates a difference of 2.0 points is found"),
        ({"n_seeds": 2}, "With 2 seeds no difference can be tested; comparisons need at least 3."),
        ({"n_seeds": 0}, "There are no trials, so nothing can be resolved."),
        ({"source": "reference study, assumed"}, "(scatter assumed: reference study, assumed)"),
    ],
)
def test_the_noise_floor_in_words(epochs: ExperimentEstimate, changes: dict[str, object], words: str) -> None:
    noise = replace(epochs.noise, n_seeds=5, resolvable_paired=0.01, resolvable_unpaired=0.02, source="this experiment")
    e = replace(epochs, noise=replace(noise, **changes))  # type: ignore[arg-type]
    assert words in noise_sentences(e)
