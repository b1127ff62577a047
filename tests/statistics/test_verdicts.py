"""Verdicts: one word of four, from contrasts worked out by hand."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from gridstudy.core.study import Contrast
from gridstudy.fashion.experiments import select_experiments
from gridstudy.statistics.noise import FROM_EXPERIMENT, FROM_LOGDIR, Spread, noise_floor
from gridstudy.statistics.verdicts import (
    Evidence,
    adjust,
    arm_p_values,
    confounded_budgets,
    judge,
    judge_contrast,
    verdict_word,
)

MARGIN = 0.005
WIGGLE = np.array([0.0, 0.001, -0.001, 0.002, -0.002])
OTHER = np.array([0.001, -0.002, 0.0, 0.001, 0.0])
ORDERING = (Contrast({"epochs": 5}, {"epochs": 3}), Contrast({"epochs": 10}, {"epochs": 5}))


def evidence(name, diverged=None, changed=False, **columns):
    """Evidence on an experiment of the study; columns by position in its grid."""
    (experiment,) = select_experiments([name])
    if name == "epochs":
        experiment = replace(experiment, contrasts=ORDERING)
    names = [c.name for c in experiment.configurations]
    objectives = pd.DataFrame(dict(zip(names, columns.values(), strict=True))).rename_axis("seed").astype(float)
    noise = noise_floor(objectives, logdir=Spread(0.013, 0.01, FROM_LOGDIR))
    return Evidence(experiment, objectives, diverged or {}, noise, changed)


def verdict_on(study):
    return judge([study], margin=MARGIN)[0]


def test_a_clear_ordering_is_supported():
    verdict = verdict_on(evidence("epochs", three=0.80 + WIGGLE, five=0.83 + OTHER, ten=0.86 + WIGGLE[::-1]))
    assert verdict.verdict == "supported"
    assert verdict.seeds_to_decide == ""
    assert verdict.p_for == max(c.p_for for c in verdict.contrasts)
    # alone in a family of seven, and two-sided
    assert verdict.p_adjusted == pytest.approx(7 * 2 * verdict.p_for)
    assert (verdict.family_size, verdict.seeds_source) == (7, FROM_EXPERIMENT)


def test_one_clear_step_in_the_wrong_direction_contradicts_an_ordering():
    verdict = verdict_on(evidence("epochs", three=0.80 + WIGGLE, five=0.83 + OTHER, ten=0.70 + WIGGLE[::-1]))
    assert verdict.verdict == "contradicted"
    assert verdict.p_against == pytest.approx(2 * min(c.p_against for c in verdict.contrasts))


def test_equivalence_goes_before_significance():
    tiny = np.array([1, -1, 0, 1, -1]) * 1e-5
    verdict = verdict_on(evidence("epochs", three=0.80 + WIGGLE, five=0.801 + WIGGLE + tiny, ten=0.802 + WIGGLE))
    assert verdict.p_for < 0.001
    assert verdict.verdict == "no practical difference"


def test_equivalence_is_the_90_percent_interval_within_the_margin():
    for shift in (0.001, 0.002, 0.003, 0.004, 0.0049):
        d = shift + np.array([0.0, 0.001, -0.001, 0.0015, -0.0015])
        study = evidence("batch_size", **{f"b{i}": 0.8 + WIGGLE for i in range(4)}, b64=0.8 + WIGGLE + d, b128=WIGGLE)
        contrast = judge_contrast(study.experiment.contrasts[0], study, margin=MARGIN)
        interval = stats.ttest_1samp(contrast.difference + d - d.mean(), 0).confidence_interval(0.90)
        assert (contrast.low_90, contrast.high_90) == pytest.approx((interval.low, interval.high))
        assert (contrast.p_equivalent <= 0.05) == (max(-interval.low, interval.high) <= MARGIN)


def batch_sizes(b4, b64):
    return {"b4": b4, "b8": 0.8 + OTHER, "b16": 0.8 + OTHER, "b32": 0.8 + OTHER, "b64": b64, "b128": 0.8 + OTHER}


def test_noise_cannot_tell_and_plans_seeds():
    verdict = verdict_on(evidence("batch_size", **batch_sizes(0.80 + 10 * WIGGLE, 0.81 + 10 * OTHER)))
    assert verdict.verdict == "cannot tell"
    assert 5 < int(verdict.seeds_to_decide) <= 100
    assert verdict.labels == ("confounded with examples",)


def test_one_seed_cannot_tell_and_plans_with_a_borrowed_spread():
    single = {name: values[:1] for name, values in batch_sizes(0.80 + WIGGLE, 0.82 + WIGGLE).items()}
    verdict = verdict_on(evidence("batch_size", **single))
    assert (verdict.verdict, verdict.p_adjusted) == ("cannot tell", 1.0)
    assert verdict.seeds_source == FROM_LOGDIR
    # two standard deviations at 5 % / 7, two-sided, with 80 % power
    n = int(verdict.seeds_to_decide)
    power = [stats.nct.sf(stats.t.isf(0.025 / 7, m - 1), m - 1, 2 * m**0.5) for m in (n - 1, n)]
    assert power[0] < 0.8 <= power[1]


def test_a_small_difference_is_planned_for_equivalence():
    verdict = verdict_on(evidence("batch_size", **batch_sizes(0.80 + 3 * WIGGLE, 0.8001 + 3 * OTHER)))
    assert verdict.verdict == "cannot tell"
    assert int(verdict.seeds_to_decide) < 30


def test_an_unstable_side_cannot_tell_with_the_count():
    study = evidence("batch_size", diverged={"batch_size=4": 2}, **batch_sizes(0.10 + WIGGLE, 0.82 + OTHER))
    verdict = verdict_on(study)
    assert verdict.verdict == "cannot tell"
    assert "unstable, 2 of 5" in verdict.labels
    assert verdict.seeds_to_decide == ""


def test_identical_records_and_missing_records_cannot_tell():
    verdict = verdict_on(evidence("batch_size", **batch_sizes(0.8 + WIGGLE, 0.8 + WIGGLE)))
    assert (verdict.verdict, verdict.contrasts[0].label) == ("cannot tell", "identical records")
    verdict = verdict_on(evidence("batch_size", **batch_sizes(np.full(5, np.nan), 0.8 + WIGGLE)))
    assert (verdict.verdict, verdict.contrasts[0].label) == ("cannot tell", "no records")


def test_a_changed_hypothesis_is_labelled():
    study = evidence("batch_size", changed=True, **batch_sizes(0.7 + WIGGLE, 0.8 + OTHER))
    assert "hypothesis changed" in verdict_on(study).labels


def test_an_experiment_without_contrasts_has_no_verdict():
    study = evidence("full_passes", only=0.88 + WIGGLE)
    assert judge([study], margin=MARGIN) == []


def test_holm_counts_the_missing_of_the_seven_and_the_others_apart():
    p = np.array([0.01, 0.004, 0.01, 0.02])
    ours = np.array([True, True, False, False])
    # of seven: .004 x 7, .01 x 6; of two others: .01 x 2, .02 x 1
    assert adjust(p, ours) == pytest.approx([0.06, 0.028, 0.02, 0.02])
    assert adjust(np.array([]), np.array([], bool)).tolist() == []


def test_the_family_of_others_has_their_number():
    records = evidence("batch_size", **batch_sizes(0.7 + WIGGLE, 0.8 + OTHER))
    other = replace(records, experiment=replace(records.experiment, name="batch_size[epochs=10]"))
    ours, theirs = judge([records, other], margin=MARGIN)
    assert (ours.family_size, theirs.family_size) == (7, 1)
    assert ours.p_adjusted == pytest.approx(7 * theirs.p_adjusted)


def test_there_are_four_words():
    assert verdict_word(0.001, 1.0, 0.04, 0.01) == "no practical difference"
    assert verdict_word(0.001, 1.0, 0.06, 0.01) == "supported"
    assert verdict_word(1.0, 0.001, 0.06, 0.01) == "contradicted"
    assert verdict_word(0.001, 1.0, 0.06, 0.051) == "cannot tell"


# --- arms ----------------------------------------------------------------------------------------------------------


def test_one_a_side_is_the_plain_t_test():
    a, b = 0.81 + WIGGLE, 0.80 + OTHER
    table = pd.DataFrame({"a": a, "b": b}).rename_axis("seed")
    p_for, p_against, _ = arm_p_values(table, ["a"], ["b"], margin=MARGIN)
    assert p_for == pytest.approx(stats.ttest_rel(a, b, alternative="greater").pvalue)
    assert p_against == pytest.approx(stats.ttest_rel(a, b, alternative="less").pvalue)


def test_the_best_over_a_nuisance_pays_for_the_selection():
    columns = {"a": 0.81 + WIGGLE, "a2": 0.70 + WIGGLE[::-1], "b": 0.80 + OTHER, "b2": 0.60 + OTHER[::-1]}
    table = pd.DataFrame(columns).rename_axis("seed")
    single = arm_p_values(table, ["a"], ["b"], margin=MARGIN)
    several = arm_p_values(table, ["a", "a2"], ["b", "b2"], margin=MARGIN)
    assert several[0] == pytest.approx(2 * single[0])


def test_a_verdict_over_a_nuisance_names_the_selection_and_leaves_the_unstable_out():
    (experiment,) = select_experiments(["learning_rate_per_optimizer"])
    names = [c.name for c in experiment.configurations]
    generator = np.random.default_rng(0)
    objectives = pd.DataFrame(0.8 + 0.002 * generator.standard_normal((5, 25)), columns=names).rename_axis("seed")
    objectives["learning_rate=0.1,optimizer=SGD,momentum=0.9"] += 0.05
    noise = noise_floor(objectives, logdir=Spread(0.013, 0.01, FROM_LOGDIR))
    verdict = verdict_on(Evidence(experiment, objectives, {"learning_rate=1,optimizer=SGD": 1}, noise))
    assert verdict.verdict == "supported"
    assert verdict.contrasts[0].better == "learning_rate=0.1,optimizer=SGD,momentum=0.9"
    assert "best of 5 against best of 4 values of learning_rate" in verdict.labels
    assert "1 unstable configuration left out" in verdict.labels


@pytest.mark.parametrize(
    ("name", "budgets"),
    [
        ("epochs", ("updates", "examples")),
        ("units", ("parameters",)),
        ("batch_size", ("examples",)),
        ("learning_rate", ()),
        ("batch_size_equal_examples", ("updates",)),
        ("learning_rate_per_optimizer", ()),
        ("full_passes", ()),
    ],
)
def test_unequal_budgets_of_the_arms_confound(name, budgets):
    assert confounded_budgets(*select_experiments([name])) == budgets
