"""The answers to the study's questions in words."""

from __future__ import annotations

import math
from dataclasses import replace

from gridstudy.reporting.question_sentences import gain_phrase, gain_word, quadratic_sentence
from gridstudy.statistics.questions import EpochGain, Interval, QuadraticFit
from tests.reports import study_findings


def test_gains_and_quadratics_in_words() -> None:
    gain = EpochGain(5, 10, True, Interval(0.02, 0.01, 0.03), Interval(5.0))
    findings = study_findings()
    words = "epoch 5 to 10: +0.40 points [0.20, 0.60] and 1.00 s per extra epoch (a gain)"
    assert gain_phrase(findings, gain) == words
    assert gain_word(Interval(0.0, -1.0, 1.0)) == "no clear gain"
    assert gain_word(Interval(-2.0, -3.0, -1.0)) == "a loss"
    assert gain_word(Interval(1.0)) == "no interval"
    fit = QuadraticFit(
        "batch_size", "batch_size", Interval(48, 40, 60), 64, Interval(0.001, 0.0, 0.002), 0.002, 0.01, ""
    )
    assert "peaks at 48 [40, 60]" in quadratic_sentence(findings, fit)
    assert "less than the seeds can resolve" in quadratic_sentence(findings, fit)
    assert "has no peak inside the grid" in quadratic_sentence(findings, replace(fit, optimum=Interval(math.nan)))
