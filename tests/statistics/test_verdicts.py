"""Verdicts: one word of four, read at looks, from contrasts worked out by hand."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from gridstudy.statistics.looks import Schedule
from gridstudy.statistics.verdicts import (
    ALIKE,
    FROM_OWN_PAIRS,
    ORDER,
    Claim,
    Evidence,
    LookPValues,
    StoredVerdict,
    Trace,
    arm_p_values,
    combine,
    confounded_budgets,
    judge,
    look_p_values,
    look_sizes,
    stored_verdicts,
    undecided_arms,
    walk,
)

MARGIN = 0.005
WIGGLE = np.array([0.0, 0.001, -0.001, 0.002, -0.002])
OTHER = np.array([0.001, -0.002, 0.0, 0.001, 0.0])


def order(first, second, **options):
    return Claim(f"{first} > {second}", ORDER, (first,), (second,), **options)


def alike(first, second):
    return Claim(f"{first} alike {second}", ALIKE, (first,), (second,))


def evidence(*claims, name="depth", family="the seven", family_size=7, **columns):
    """Evidence with seeds 0, 1, ... and the first look at five."""
    objectives = pd.DataFrame(columns).rename_axis("seed").astype(float)
    return Evidence(
        name, "a hypothesis", claims, objectives, Schedule(tuple(range(len(objectives))), 5), family, family_size,
        assumed_sd=0.01, assumed_source="elsewhere",
    )  # fmt: skip


def pair(difference, sd=0.01, n=5, *, claim=order, seed=0, **options):
    """Evidence on one contrast, b over a, with exactly this mean difference and standard deviation at each look."""
    generator = np.random.default_rng(seed)
    blocks = []
    for _ in range(0, n, 5):
        d = generator.standard_normal(5)
        blocks.append(difference + sd * (d - d.mean()) / d.std(ddof=1))
    a = 0.8 + generator.normal(0, 0.01, n)
    return evidence(claim("b", "a"), a=a, b=a + np.concatenate(blocks)[:n], **options)


def verdict_on(study, **options):
    return judge([study], margin=MARGIN, **options)[0]


# --- one look ------------------------------------------------------------------------------------------------------


def test_a_clear_ordering_is_supported_at_the_first_look():
    columns = {"three": 0.80 + WIGGLE, "five": 0.83 + OTHER, "ten": 0.86 + WIGGLE[::-1]}
    verdict = verdict_on(evidence(order("five", "three"), order("ten", "five"), **columns))
    assert (verdict.verdict, verdict.look, verdict.n_seeds, verdict.next_look) == ("supported", 1, 5, 0)
    assert verdict.seeds_to_decide == ""
    assert verdict.p_for == pytest.approx(max(c.p_for for c in verdict.contrasts) / 0.8)
    # alone in a family of seven, and two-sided
    assert verdict.p_adjusted == pytest.approx(7 * 2 * verdict.p_for)
    assert (verdict.family_size, verdict.seeds_source) == (7, FROM_OWN_PAIRS)


def test_one_clear_step_in_the_wrong_direction_contradicts_an_ordering():
    columns = {"three": 0.80 + WIGGLE, "five": 0.83 + OTHER, "ten": 0.70 + WIGGLE[::-1]}
    verdict = verdict_on(evidence(order("five", "three"), order("ten", "five"), **columns))
    assert verdict.verdict == "contradicted"
    assert verdict.p_against == pytest.approx(2 * min(c.p_against for c in verdict.contrasts) / 0.8)


def test_equivalence_goes_before_significance_within_a_look():
    verdict = verdict_on(pair(0.001, sd=0.0002))
    assert verdict.p_adjusted < 0.05
    assert verdict.verdict == "no practical difference"


def test_equivalence_is_corrected_by_holm():
    # significant alone, not in a family of seven
    alone, of_seven = (verdict_on(pair(0.001, sd=0.003, family_size=size)) for size in (1, 7))
    assert (alone.verdict, of_seven.verdict) == ("no practical difference", "cannot tell")
    assert of_seven.p_equivalent_adjusted == pytest.approx(min(1, 7 * alone.p_equivalent_adjusted))


@pytest.mark.parametrize("difference", [0.001, 0.003, 0.004, 0.0049])
def test_equivalence_is_an_interval_within_the_margin_at_the_looks_level(difference):
    verdict = verdict_on(pair(difference, sd=0.0015, family_size=1))
    (contrast,) = verdict.contrasts
    half = stats.t.isf(0.05 * 0.8, 4) * contrast.difference_sd / 5**0.5
    assert contrast.equivalence_high == pytest.approx(difference + half)
    assert (verdict.p_equivalent <= 0.05) == (contrast.equivalence_high <= MARGIN)


def test_intervals_beside_a_verdict_are_at_its_looks_level():
    (contrast,) = verdict_on(pair(0.01, n=10)).contrasts
    half = stats.t.isf(0.05 * 0.05 / 2, 9) * contrast.difference_sd / 10**0.5
    assert (contrast.n, contrast.look, contrast.confidence) == (10, 2, pytest.approx(0.9975))
    assert contrast.low == pytest.approx(0.01 - half)


def test_a_claim_of_equality_is_supported_by_equivalence_and_contradicted_by_a_difference_beyond_the_margin():
    assert verdict_on(pair(0.0005, sd=0.0005, claim=alike)).verdict == "supported"
    assert verdict_on(pair(0.03, sd=0.002, claim=alike)).verdict == "contradicted"
    assert verdict_on(pair(-0.03, sd=0.002, claim=alike)).verdict == "contradicted"
    # significantly different and within the margin
    assert verdict_on(pair(0.002, sd=0.0003, claim=alike)).verdict == "supported"


def test_equality_enters_p_for_by_its_equivalence_and_p_against_on_both_sides():
    study = evidence(order("b", "a"), alike("c", "b"), a=0.80 + WIGGLE, b=0.83 + OTHER, c=0.831 + OTHER[::-1])
    p = look_p_values(study, 5, margin=MARGIN)
    b_a, c_b = study.objectives["b"] - study.objectives["a"], study.objectives["c"] - study.objectives["b"]

    def greater(values, than):
        return stats.ttest_1samp(values, than, alternative="greater").pvalue

    within = max(greater(-c_b, -MARGIN), greater(c_b, -MARGIN))
    assert p.supported == pytest.approx(max(greater(b_a, 0), within))
    assert p.against == pytest.approx(min(1, 3 * min(greater(-b_a, 0), greater(c_b, MARGIN), greater(-c_b, MARGIN))))
    assert verdict_on(study).verdict == "cannot tell"


def test_a_mixed_hypothesis_may_be_supported():
    tiny = np.array([1, -1, 0, 1, -1]) * 1e-4
    study = evidence(order("b", "a"), alike("c", "b"), a=0.80 + WIGGLE, b=0.83 + OTHER, c=0.8301 + OTHER + tiny)
    assert verdict_on(study).verdict == "supported"


# --- looks ---------------------------------------------------------------------------------------------------------


def test_noise_cannot_tell_and_names_the_next_look_and_a_range_of_seeds():
    verdict = verdict_on(pair(0.008, sd=0.01))
    assert (verdict.verdict, verdict.look, verdict.next_look) == ("cannot tell", 1, 10)
    assert verdict.seeds_to_decide == "40 or more"


def test_one_seed_cannot_tell_and_plans_with_an_assumed_spread():
    verdict = verdict_on(evidence(order("b", "a"), a=[0.80], b=[0.82]))
    assert (verdict.verdict, verdict.p_adjusted, verdict.look, verdict.next_look) == ("cannot tell", 1.0, 0, 5)
    assert verdict.seeds_source == "elsewhere"
    assert verdict.contrasts[0].difference == pytest.approx(0.02)
    assert verdict.seeds_to_decide != ""


def test_seeds_between_two_looks_change_no_verdict():
    before = verdict_on(pair(0.008, sd=0.01))
    after = verdict_on(pair(0.008, sd=0.01, n=9))
    assert (after.look, after.p_adjusted) == (before.look, before.p_adjusted)


def test_a_missing_seed_makes_a_look_incomplete_and_is_named():
    study = pair(0.008, sd=0.01, n=10)
    study.objectives.loc[7, "b"] = np.nan
    verdict = verdict_on(study)
    assert (verdict.look, verdict.next_look, verdict.incomplete) == (1, 10, "seed 7 of b")
    study.objectives.loc[2, "a"] = np.nan
    verdict = verdict_on(study)
    assert (verdict.look, verdict.verdict, verdict.p_for) == (0, "cannot tell", 1.0)


def test_a_later_look_never_passes_for_an_earlier_one():
    # m1 lacks a seed of the first look and diverges later: the second look is complete without it, the first is not
    claim = Claim("momentum > plain", ORDER, ("m1", "m2"), ("p1",))
    generator = np.random.default_rng(0)
    columns = {name: mean + generator.normal(0, 0.001, 10) for name, mean in (("m1", 0.85), ("m2", 0.9), ("p1", 0.8))}
    study = replace(evidence(claim, **columns), diverged={"m1": [8]})
    assert look_sizes(study) == (5, 10)
    study.objectives.loc[2, "m1"] = np.nan
    assert look_sizes(study) == ()
    assert verdict_on(study).look == 0


def test_seeds_count_in_the_order_of_the_plan():
    study = pair(0.02, sd=0.002, n=10)
    study.objectives.loc[[5, 6, 7, 8, 9], "b"] = study.objectives.loc[[5, 6, 7, 8, 9], "a"].to_numpy() + 10 * WIGGLE
    assert verdict_on(study).look == 1
    turned = replace(study, schedule=Schedule((5, 6, 7, 8, 9, 0, 1, 2, 3, 4), 5))
    assert look_p_values(turned, 5, margin=MARGIN).supported > look_p_values(study, 5, margin=MARGIN).supported


def test_a_verdict_is_final_at_the_look_that_reached_it():
    study = pair(0.02, sd=0.002, n=10)
    study.objectives.loc[5:, "b"] -= 0.2
    verdict = verdict_on(study)
    assert (verdict.verdict, verdict.look, verdict.contrasts[0].n) == ("supported", 1, 5)


def trace(*looks, all_alike=False):
    return Trace(tuple(LookPValues(*p) for p in looks), all_alike)


def test_holm_counts_the_missing_of_a_family():
    claims = [trace((0.004 * 0.8 / 2, 1, 1)), trace((0.008 * 0.8 / 2, 1, 1))]
    found = walk(claims, family_size=7)
    # .004 x 7, .008 x 6
    assert [r.p_adjusted for r in found] == pytest.approx([0.028, 0.048])
    assert [r.verdict for r in found] == ["supported", "supported"]
    assert walk([], family_size=7) == []


def test_an_earlier_claim_is_not_overruled_by_a_later_equivalence():
    found = walk([trace((0.001, 1, 0.9), (0.001, 1, 1e-6))], family_size=1)
    assert (found[0].verdict, found[0].look) == ("supported", 1)
    found = walk([trace((0.9, 1, 0.9), (0.001, 1, 0.001))], family_size=1)
    assert (found[0].verdict, found[0].look) == ("no practical difference", 2)


def test_a_later_look_of_one_hypothesis_may_help_another():
    # the second becomes significant once the first does not count any more, at its own first look
    found = walk([trace((0.9, 1, 1), (1e-5, 1, 1)), trace((0.018, 1, 1))], family_size=2)
    assert [(r.verdict, r.look) for r in found] == [("supported", 2), ("supported", 1)]


def test_a_stored_claim_stays_when_another_experiment_would_make_it_an_equivalence():
    # Holm over two: the claim is significant, the equivalence only once the other experiment's is
    standard_error = 0.001 / 5**0.5
    margin = 6.6 * standard_error
    study = pair(4 * standard_error, sd=0.001, name="one", family_size=2)
    clear = pair(0.0, sd=0.0001, name="two", family_size=2)
    first = judge([study], margin=margin)
    anew = judge([study, clear], margin=margin)
    kept = judge([study, clear], margin=margin, stored=stored_verdicts(first))
    assert [v[0].verdict for v in (first, anew, kept)] == ["supported", "no practical difference", "supported"]
    assert kept[1].verdict == "no practical difference"


# --- the state that is kept ----------------------------------------------------------------------------------------


def test_stored_verdicts_keep_other_experiments_and_other_margins():
    verdicts = judge([pair(0.02, sd=0.002, name="one")], margin=MARGIN)
    state = stored_verdicts(verdicts)
    assert (state[0].verdict, state[0].look, state[0].n_seeds, state[0].margin) == ("supported", 1, 5, MARGIN)
    other = judge([pair(0.02, sd=0.002, name="two")], margin=0.01, stored=state)
    assert [(v.experiment, v.margin) for v in stored_verdicts(other, state)] == [("one", MARGIN), ("two", 0.01)]
    assert stored_verdicts(verdicts, state) == state


def test_a_stored_verdict_stays_although_its_records_are_gone():
    state = stored_verdicts([verdict_on(pair(0.02, sd=0.002))])
    noise = pair(0.0, sd=0.05)
    noise.objectives.loc[4, "a"] = np.nan
    verdict = verdict_on(noise, stored=state)
    assert (verdict.verdict, verdict.look) == ("supported", 1)


def test_verdicts_of_other_records_are_kept_apart():
    ours, theirs = (stored_verdicts([verdict_on(pair(0.02, sd=0.002))], group=group) for group in ("ours", "theirs"))
    assert [v.group for v in stored_verdicts([verdict_on(pair(0.02))], [*ours, *theirs], group="ours")] == [
        "theirs", "ours",
    ]  # fmt: skip
    # one stored before groups were is replaced
    assert stored_verdicts([verdict_on(pair(0.02, sd=0.002))], [replace(ours[0], group="")], group="ours") == ours


def test_adding_an_experiment_recomputes_its_family_and_says_so():
    borderline = pair(0.02, sd=0.0125, name="one", family="others", family_size=1)
    alone = verdict_on(borderline)
    assert alone.verdict == "supported"
    state = stored_verdicts([alone])
    noise = pair(0.0, sd=0.05, name="two", family="others", family_size=2)
    verdict, other = judge([borderline, noise], margin=MARGIN, stored=state)
    assert (verdict.verdict, verdict.family_size, other.family_size) == ("cannot tell", 2, 2)
    assert "supported until the family grew from 1 to 2" in verdict.labels
    # it is still said the next time, and removing the other experiment does not bring the verdict back
    state = stored_verdicts([verdict, other], state)
    verdict = verdict_on(borderline, stored=state)
    assert (verdict.verdict, verdict.family_size) == ("cannot tell", 2)
    assert "supported until the family grew from 1 to 2" in verdict.labels


def test_an_experiment_of_another_family_changes_nothing():
    one = pair(0.02, sd=0.0125, name="one", family="others", family_size=1)
    state = stored_verdicts([verdict_on(one)])
    verdict, _ = judge([one, pair(0.0, name="two")], margin=MARGIN, stored=state)
    assert (verdict.verdict, verdict.family_size) == ("supported", 1)


def test_another_hypothesis_is_judged_anew_and_labelled():
    state = stored_verdicts([verdict_on(pair(0.02, sd=0.002))])
    turned = evidence(order("a", "b"), **dict(pair(0.02, sd=0.002).objectives.items()))
    assert verdict_on(turned, stored=state).verdict == "contradicted"
    changed = replace(turned, hypothesis_changed=True)
    assert "hypothesis changed" in verdict_on(changed).labels


def test_a_stored_state_is_plain_values():
    (state,) = stored_verdicts([verdict_on(pair(0.02, sd=0.002))])
    assert StoredVerdict(**vars(state)) == state
    assert all(type(value) in (str, int, float) for value in vars(state).values())


# --- arms ----------------------------------------------------------------------------------------------------------


def test_an_unstable_arm_cannot_tell_with_the_count():
    study = replace(pair(0.05, sd=0.002), diverged={"a": [1, 3]})
    verdict = verdict_on(study)
    assert (verdict.verdict, verdict.seeds_to_decide, verdict.next_look) == ("cannot tell", "", 0)
    assert "unstable, 2 of 5" in verdict.labels


def test_an_arm_that_diverges_after_the_verdict_leaves_it_and_labels_it():
    study = replace(pair(0.02, sd=0.002, n=10), diverged={"a": [8]})
    verdict = verdict_on(study)
    assert (verdict.verdict, verdict.look) == ("supported", 1)
    assert "unstable since, 1 of 10" in verdict.labels


def test_identical_records_and_missing_records_cannot_tell():
    verdict = verdict_on(evidence(order("b", "a"), a=0.8 + WIGGLE, b=0.8 + WIGGLE))
    assert (verdict.verdict, verdict.contrasts[0].label, verdict.next_look) == ("cannot tell", "identical records", 0)
    verdict = verdict_on(evidence(order("b", "a"), a=0.8 + WIGGLE))
    assert (verdict.verdict, verdict.contrasts[0].label, verdict.next_look) == ("cannot tell", "no records", 5)


def test_an_experiment_without_claims_has_no_verdict():
    assert judge([evidence(only=0.88 + WIGGLE)], margin=MARGIN) == []


def test_skewed_differences_are_labelled():
    study = pair(0.01, n=20)
    study.objectives["b"] = study.objectives["a"] + np.random.default_rng(0).gamma(0.3, 0.01, 20)
    assert "skewed differences" in verdict_on(study).labels
    assert "skewed differences" not in verdict_on(pair(0.01, n=20)).labels


def test_confounding_of_a_contrast_is_a_label_of_its_verdict():
    study = evidence(order("b", "a", confounded=("examples",)), a=0.8 + WIGGLE, b=0.9 + OTHER)
    assert verdict_on(study).labels == ("confounded with examples",)


def test_one_a_side_is_the_plain_t_test():
    a, b = 0.81 + WIGGLE, 0.80 + OTHER
    p = arm_p_values(pd.DataFrame({"a": a, "b": b}).rename_axis("seed"), ["a"], ["b"], margin=MARGIN)
    assert p.better == pytest.approx(stats.ttest_rel(a, b, alternative="greater").pvalue)
    assert p.worse == pytest.approx(stats.ttest_rel(a, b, alternative="less").pvalue)
    assert p.above == pytest.approx(stats.ttest_rel(a - MARGIN, b, alternative="greater").pvalue)
    assert p.below == pytest.approx(stats.ttest_rel(a + MARGIN, b, alternative="less").pvalue)


def test_the_best_over_a_nuisance_pays_for_the_selection():
    columns = {"a": 0.81 + WIGGLE, "a2": 0.70 + WIGGLE[::-1], "b": 0.80 + OTHER, "b2": 0.60 + OTHER[::-1]}
    rows = pd.DataFrame(columns).rename_axis("seed")
    single = arm_p_values(rows, ["a"], ["b"], margin=MARGIN)
    several = arm_p_values(rows, ["a", "a2"], ["b", "b2"], margin=MARGIN)
    assert several.better == pytest.approx(2 * single.better)
    assert combine([order("a", "b")], [several]).supported == several.better


def test_a_verdict_over_a_nuisance_names_the_selection_and_leaves_the_unstable_out():
    claim = Claim("momentum > plain", ORDER, ("m1", "m2"), ("p1", "p2", "p3"))
    columns = {"m1": 0.85 + WIGGLE, "m2": 0.80 + OTHER, "p1": 0.80 + WIGGLE[::-1], "p2": 0.79 + OTHER[::-1]}
    study = evidence(claim, **columns, p3=0.1 + WIGGLE)
    study = replace(study, diverged={"p3": [0]}, nuisance="learning_rate")
    verdict = verdict_on(study)
    assert (verdict.verdict, verdict.contrasts[0].first) == ("supported", "m1")
    assert "best of 2 against best of 2 values of learning_rate" in verdict.labels
    assert "1 unstable configuration left out" in verdict.labels


BUDGETS = {
    "a": {"updates": 100.0, "examples": 6400.0},
    "b": {"updates": 100.0, "examples": 12800.0},
    "c": {"updates": 102.0, "examples": 3200.0},
}


@pytest.mark.parametrize(
    ("first", "second", "treatment", "names"),
    [
        (["a"], ["b"], (), ("examples",)),
        (["a"], ["b"], ("examples",), ()),
        # 2 % more updates do not matter; means over a side do
        (["a"], ["c"], (), ("examples",)),
        (["a"], ["a"], (), ()),
        (["b", "c"], ["a"], (), ("examples",)),
    ],
)
def test_a_budget_that_differs_beside_the_treatment_confounds(first, second, treatment, names):
    assert confounded_budgets(BUDGETS, first, second, treatment=treatment) == names


# --- more seeds ----------------------------------------------------------------------------------------------------


def test_only_arms_of_undecided_hypotheses_need_more_seeds():
    studies = [pair(0.02, sd=0.002, name="decided"), pair(0.005, name="open"), pair(0.0, n=3, name="new")]
    needs = undecided_arms(studies, judge(studies, margin=MARGIN))
    assert [(n.experiment, n.configurations, n.n_seeds) for n in needs] == [
        ("open", ("b", "a"), 10),
        ("new", ("b", "a"), 5),
    ]
    assert needs[1].seeds == (0, 1, 2, 3, 4)


def test_seeds_end_at_the_limit_and_at_the_last_look():
    study = pair(0.004, n=10)
    verdicts = judge([study], margin=MARGIN)
    assert undecided_arms([study], verdicts, most_seeds=19) == []
    assert undecided_arms([study], verdicts, most_seeds=20)[0].n_seeds == 20
    study = pair(0.004, sd=0.1, n=80)
    verdicts = judge([study], margin=MARGIN)
    assert undecided_arms([study], verdicts) == []
    assert verdicts[0].seeds_to_decide == "no verdict expected by 80 seeds"


def test_what_no_seed_can_decide_gets_none():
    studies = [replace(pair(0.02), diverged={"a": [1]}), evidence(order("b", "a"), a=0.8 + WIGGLE, b=0.8 + WIGGLE)]
    for study in studies:
        assert undecided_arms([study], judge([study], margin=MARGIN)) == []
