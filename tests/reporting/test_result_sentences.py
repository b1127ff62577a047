"""An experiment in words: verdicts say why and carry their labels, rankings say what is tied."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from gridstudy.reporting.result_sentences import (
    contrast_phrase,
    lead_sentence,
    noise_sentences,
    ranking_sentences,
    tied_sentence,
    verdict_reason,
)
from gridstudy.statistics.findings import Findings
from gridstudy.statistics.noise import FROM_EXPERIMENT, NoiseFloor
from gridstudy.statistics.verdicts import Verdict
from tests.reports import contrast, study_findings, verdict


@pytest.fixture
def findings() -> Findings:
    return study_findings()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (verdict("supported"), "The difference is in the claimed direction: p = 0.020 after Holm's correction over 7"),
        (verdict("supported", contrast(), contrast()), "All its differences are in the claimed direction"),
        (verdict("contradicted", contrast(), contrast()), "At least one of its differences goes the other way"),
        (verdict("no practical difference"), "The difference lies within 0.50 points of zero, by 90 % intervals."),
        (verdict("cannot tell"), "Neither direction is significant (p = 0.020 after"),
        (verdict("cannot tell", contrast(label="no records")), "A configuration that it names has no trials yet."),
        (
            verdict("cannot tell", contrast(label="unstable, 2 of 5")),
            "A configuration that it names is unstable, 2 of 5.",
        ),
        (
            verdict("cannot tell", contrast(label="fewer than 3 common seeds")),
            "There are fewer than 3 common seeds, too",
        ),
        (verdict("cannot tell", contrast(label="identical records")), "The seeds do not scatter (identical records)"),
        (verdict("cannot tell", seeds_to_decide="12"), "12 seeds would decide it in 80 % of studies."),
        (verdict("cannot tell", seeds_to_decide=">100"), "it would take more than 100 seeds to decide it."),
        (verdict("cannot tell", seeds_to_decide="9", seeds_source="reference study, assumed"), "(scatter assumed: ref"),
    ],
)
def test_each_verdict_says_why(given: Verdict, words: str) -> None:
    assert words in verdict_reason(given, 0.005)


def test_contrasts_in_words() -> None:
    assert contrast_phrase(contrast()) == "`epochs 10 > epochs 5`: +1.52 points [0.52, 2.52], n = 5"
    chosen = contrast_phrase(contrast(n_better=3))
    assert "each the best of its side; the interval does not allow for that choice" in chosen
    assert contrast_phrase(contrast(math.nan, label="no records")) == "`epochs 10 > epochs 5`: no records"
    single = contrast(n=1, low=math.nan, high=math.nan, label="fewer than 3 common seeds")
    assert contrast_phrase(single).endswith("+1.52 points, n = 1 (fewer than 3 common seeds)")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "5 seeds find a typical difference of 1.00 points in 80 % of studies; without pairing by seed it would"),
        ({"resolvable_paired": 0.03}, "here pairing by seed does not help: without it, 2.00 points would do."),
        ({"resolvable_paired": math.nan}, "5 replicates, unpaired, find a difference of 2.00 points"),
        ({"n_seeds": 2}, "With 2 seeds no difference can be tested; comparisons begin at 3."),
        ({"n_seeds": 0}, "There are no trials, so nothing can be resolved."),
        ({"source": "reference study, assumed"}, "(scatter assumed: reference study, assumed)"),
    ],
)
def test_the_noise_floor_in_words(changes: dict[str, object], words: str) -> None:
    noise = NoiseFloor(5, 0.01, 0.005, 0.02, 0.004, 0.003, 0.005, 0.5, 0.01, 0.02, FROM_EXPERIMENT, 0.004)
    assert words in noise_sentences(replace(noise, **changes))  # type: ignore[arg-type]


def test_rankings_in_words(findings: Findings) -> None:
    e = findings.experiments[0]
    text = ranking_sentences(replace(e, tied=(str(e.best),), recommended=e.best), 0.005)
    assert "No other configuration is tied with it. Recommended: " in text
    text = ranking_sentences(replace(e, recommended=None, seeds_to_recommend="12"), 0.005)
    assert "A recommendation is not resolved; it would take 12 seeds." in text
    everything = tuple(e.summary["configuration"])
    assert "All are tied with the best: any of them may be the best." in tied_sentence(replace(e, tied=everything))
    assert "nothing is ranked" in ranking_sentences(replace(e, best=None), 0.005)
    assert "One configuration can be ranked" in ranking_sentences(replace(e, runner_up=None), 0.005)
    assert "cannot be estimated yet" in lead_sentence(replace(e, winners_curse=math.nan))
