"""Answers and verdicts in words: they say why, carry their labels, and name arms by what tells them apart."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from gridstudy.core.subject import Objective
from gridstudy.reporting.result_sentences import result_rows
from gridstudy.reporting.verdict_sentences import (
    answer,
    contrast_sentences,
    look_sentence,
    needed_phrase,
    seeds_to_recommend,
    verdict_phrase,
    verdict_reason,
)
from gridstudy.statistics.estimates import ExperimentEstimate
from gridstudy.statistics.findings import find
from tests.reports import study_findings
from tests.tables import solver_records

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
        ("no practical difference", "paired", "All differences lie within 0.5 points of zero: p = 0.030"),
        (
            "cannot tell",
            "paired",
            "nor its opposite (p = 0.020) nor equality within 0.5 points (p = 0.030)",
        ),
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


def test_an_undecided_equality_is_called_so(epochs: ExperimentEstimate) -> None:
    e = judged(epochs, "cannot tell", p_adjusted=1.0, p_equivalent_adjusted=0.4)
    alike = tuple(replace(c, relation="alike") for c in e.verdict.contrasts)  # type: ignore[union-attr]
    e = replace(e, verdict=replace(e.verdict, contrasts=alike))  # type: ignore[type-var]
    assert answer(e, 0.005).startswith("**Undecided** whether all differences are within 0.5 points, at 5 seeds")
    reason = verdict_reason(e.verdict, ACCURACY)  # type: ignore[arg-type]
    assert reason.startswith("Neither equality within 0.5 points (p = 0.400) nor a difference beyond it (p = 1.000) is")


def test_the_seeds_that_are_needed_are_a_range_or_none(epochs: ExperimentEstimate) -> None:
    assert epochs.verdict is not None
    advice = epochs.verdict.advice
    for expected, low, high, words in (
        (20.0, 10.0, 40.0, "about 20 needed (10 to 40)"),
        (20.0, 20.0, 20.0, "about 20 needed"),
        (math.inf, 40.0, math.inf, "40 or more needed"),
        (math.inf, math.inf, math.inf, "80 are unlikely to suffice"),
    ):
        changed = replace(advice, expected=expected, low=low, high=high, last=80)
        assert needed_phrase(replace(epochs.verdict, advice=changed)) == words
    assert seeds_to_recommend("10 to 40") == " (likely with 10 to 40 seeds of each)"
    assert seeds_to_recommend("no recommendation expected by 80 seeds") == " (none is expected by 80 seeds)"


def test_contrasts_carry_interval_level_and_n(epochs: ExperimentEstimate) -> None:
    first, second = contrast_sentences(epochs)
    assert "`5 (baseline)` minus `3`" in first
    assert "96 % interval [" in first
    assert "n = 5" in second


def test_differences_of_a_minimised_score_are_subtracted_as_they_are_written() -> None:
    e = find(solver_records()).experiments[0]
    sides, mean = e.contrast_labels[0], e.summary.set_index("label")["objective_mean"]
    (sentence,) = contrast_sentences(e)
    assert sentence.startswith(f"`{sides[1]}` minus `{sides[0]}`: +{mean[sides[1]] - mean[sides[0]]:.3g} ms")
    assert "above the best, ms" in result_rows(e)[0]


def test_an_answer_says_who_leads_and_what_to_use(epochs: ExperimentEstimate) -> None:
    text = answer(judged(replace(epochs, recommended=epochs.best), "supported"), 0.005)
    assert text.startswith("`5` beats `3` by ") and "(baseline)" not in text
    assert text.endswith("**Use `10`**; nothing cheaper is shown to come within 0.5 points.")


def test_an_undecided_answer_names_the_seeds_that_it_needs_or_its_last_look(epochs: ExperimentEstimate) -> None:
    advice = replace(epochs.verdict.advice, expected=20.0, low=10.0, high=40.0)  # type: ignore[union-attr]
    waiting = judged(epochs, "cannot tell", look=1, next_look=10, advice=advice)
    assert answer(waiting, 0.005).startswith(
        "**Undecided** at 5 seeds; about 20 needed (10 to 40). So far `5` is ahead"
    )
    assert "**Undecided** at 5 seeds, the last look. So far" in answer(
        judged(epochs, "cannot tell", look=5, next_look=0), 0.005
    )


def test_a_difference_that_does_not_matter_is_called_so(epochs: ExperimentEstimate) -> None:
    assert "make no practical difference (" in answer(judged(epochs, "no practical difference"), 0.005)
