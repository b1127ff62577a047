"""An experiment in words: rankings say what is tied, and the noise floor what the seeds can find."""

from __future__ import annotations

import math
from dataclasses import replace

import pandas as pd
import pytest

from gridstudy.reporting.result_sentences import (
    flag_sentences,
    joint_sentence,
    lead_sentence,
    noise_sentences,
    ranking_sentences,
    rows_left_out,
    tied_sentence,
)
from gridstudy.statistics.estimates import ExperimentEstimate
from tests.reports import study_findings


@pytest.fixture
def epochs() -> ExperimentEstimate:
    """An experiment about epochs with a verdict on two contrasts."""
    return study_findings().experiments[0]


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


def test_what_contradicts_a_single_interval_is_explained(epochs: ExperimentEstimate) -> None:
    other = next(str(name) for name in epochs.summary["configuration"] if name != epochs.best)
    is_other = epochs.summary["configuration"] == other
    summary = epochs.summary.assign(tied_with_best=True, deficit_low=-0.01)
    close = replace(epochs, summary=summary.assign(deficit_low=summary["deficit_low"].mask(is_other, 0.01)))
    assert "the single 95 % interval excludes zero, but the joint test over all" in joint_sentence(close)
    out = replace(epochs, summary=summary, left_out={other: 2})
    assert joint_sentence(out).startswith(f"`{epochs.labels[other]}`: shown at the look named to be worse than another")
    assert joint_sentence(replace(epochs, summary=summary, left_out={})) == ""


def test_a_flag_names_a_hyperparameter_by_its_label(epochs: ExperimentEstimate) -> None:
    flagged = epochs.summary.assign(flags="search edge: batch_size; still improving")
    words = flag_sentences(replace(epochs, summary=flagged))
    assert words.startswith("search edge in batch size: ")
    assert "; still improving: " in words


def test_a_long_table_says_how_many_rows_it_has(epochs: ExperimentEstimate) -> None:
    assert rows_left_out(epochs) == ""
    long = replace(epochs, summary=pd.concat([epochs.summary] * 9))
    assert rows_left_out(long).startswith(f"The best 12 of {len(long.summary)} arms; ")


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
