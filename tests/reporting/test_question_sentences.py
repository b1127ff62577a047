"""The answers to the study's questions in words."""

from __future__ import annotations

import math
from dataclasses import replace

from gridstudy.reporting.question_sentences import direction, gain_phrase, gain_word, quadratic_sentence, term_words
from gridstudy.statistics.questions import EpochGain, Interaction, Interval, QuadraticFit, SimpleEffect
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


def test_an_interaction_names_hyperparameters_by_their_labels() -> None:
    findings = study_findings()
    effects = tuple(
        SimpleEffect("learning_rate", 1e-4, 1e-2, "batch_size", at, 5, Interval(gain, gain - 0.01, gain + 0.01))
        for at, gain in ((16, -0.035), (128, 0.084))
    )
    found = Interaction("rates", "learning_rate x batch_size", 0.3, 0.1, 0.01, effects)
    assert term_words(findings, found.term) == "learning rate and batch size"
    assert direction(findings, found) == (
        "Changing learning rate from `1e-4` to `1e-2` loses 3.5 points [2.5, 4.5] at batch size = `16` and gains 8.4 "
        "points [7.4, 9.4] at batch size = `128`."
    )
    unclear = replace(found, effects=(replace(effects[0], gain=Interval(0.002, -0.001, 0.005)), effects[1]))
    assert "makes no clear difference at batch size = `16` (+0.20 points [-0.10, 0.50]) and" in direction(
        findings, unclear
    )
