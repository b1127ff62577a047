"""Claims: which configurations they mean, p values by hand, verdicts and exit codes."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from gridstudy.core.errors import StudyError
from gridstudy.records.verdicts import CANNOT_TELL
from gridstudy.statistics.results.configurations import identify_configurations
from gridstudy.statistics.results.hypotheses import (
    WRITTEN_AFTER,
    Claim,
    ResultHypothesis,
    check_exit_code,
    find_arms,
    judge_hypotheses,
)
from gridstudy.statistics.results.replicates import find_replicates
from gridstudy.statistics.verdicts import CONTRADICTED, EQUIVALENT, SUPPORTED


def judge(rows, *claims, margin=0.5, names=("a",), **roles):
    runs = pd.DataFrame(rows)
    configurations = identify_configurations(runs, list(names))
    replicates = find_replicates(runs, configurations, score=runs["y"].astype(float), **roles)
    hypotheses = [ResultHypothesis("h", "", tuple(parts) if isinstance(parts, list) else (parts,)) for parts in claims]
    return judge_hypotheses(hypotheses, replicates, configurations, margin=margin)


def three_levels(differences, n=5, sd=0.1, rng=0):
    generator = np.random.default_rng(rng)
    return [
        {"a": a, "s": s, "y": d + sd * generator.standard_normal()} for s in range(n) for a, d in enumerate(differences)
    ]


def better(a, b):
    return Claim({"a": a}, {"a": b})


def alike(a, b):
    return Claim({"a": a}, {"a": b}, alike=True)


@pytest.mark.parametrize(
    ("claims", "word"),
    [
        ([better(2, 1), better(1, 0)], SUPPORTED),
        ([better(2, 1), better(0, 1)], CONTRADICTED),
        ([alike(1, 2)], CONTRADICTED),
    ],
)
def test_clear_differences_decide(claims, word):
    assert [j.verdict for j in judge(three_levels([0, 3, 6]), claims, seed="s")] == [word]


def test_equality_is_supported_and_a_claimed_order_shows_no_practical_difference():
    rows = three_levels([0, 0, 3], sd=0.02)
    found = judge(rows, alike(0, 1), better(0, 1), [better(2, 0), alike(0, 1)], seed="s")
    assert [j.verdict for j in found] == [SUPPORTED, EQUIVALENT, SUPPORTED]


def test_much_noise_cannot_tell():
    assert judge(three_levels([0, 0.1], sd=5), better(1, 0), seed="s")[0].verdict == CANNOT_TELL


def test_p_values_are_the_t_tests_combined():
    rows = three_levels([0, 0.2, 0.1], sd=0.2, n=6)
    y = pd.DataFrame(rows).pivot(index="s", columns="a", values="y")
    [found] = judge(rows, [better(1, 0), alike(1, 2)], margin=0.3, seed="s")

    def p(differences, shift, side):
        return stats.ttest_1samp(differences, shift, alternative=side).pvalue

    order, equal = y[1] - y[0], y[1] - y[2]
    equivalent = max(p(equal, 0.3, "less"), p(equal, -0.3, "greater"))
    against = 3 * min(p(order, 0, "less"), p(equal, 0.3, "greater"), p(equal, -0.3, "less"))
    assert found.evidence.p_for == pytest.approx(max(p(order, 0, "greater"), equivalent))
    assert found.evidence.p_against == pytest.approx(min(1, against))
    within = max(p(order, 0.3, "less"), p(order, -0.3, "greater"), equivalent)
    assert found.evidence.p_equivalent == pytest.approx(within)


def test_claims_and_equivalences_are_two_families():
    rows = three_levels([0, 0.2, 5], sd=0.2, n=6)
    found = judge(rows, better(1, 0), better(2, 0), margin=0.5, seed="s")
    raw = [2 * min(j.evidence.p_for, j.evidence.p_against) for j in found]
    assert raw[1] < raw[0]
    assert [j.p_adjusted for j in found] == pytest.approx([raw[0], 2 * raw[1]])
    assert found[0].p_equivalent_adjusted == pytest.approx(2 * found[0].evidence.p_equivalent)
    assert [j.family_size for j in found] == [2, 2]


def test_what_an_arm_leaves_open_is_averaged_where_both_are_there():
    runs = pd.DataFrame([("adam", 1, 0), ("adam", 2, 0), ("sgd", 1, 0), ("sgd", 2, 0), ("adam", 3, 1)])
    runs.columns = ["opt", "lr", "c"]
    configurations = identify_configurations(runs, ["opt", "lr", "c"])
    known = np.ones(5, bool)
    first, second = find_arms(Claim({"opt": "adam"}, {"opt": "sgd"}), configurations, known)
    assert (first.cells.tolist(), second.cells.tolist()) == ([0, 1], [2, 3])
    # lr is named by one side only: the other averages over it
    first, second = find_arms(Claim({"opt": "adam"}, {"opt": "sgd", "lr": 2}), configurations, known)
    assert (first.cells.tolist(), first.weights.tolist()) == ([0, 1], [0.5, 0.5])
    assert (second.cells.tolist(), second.weights.tolist()) == ([3], [1.0])


def test_claims_over_single_runs_take_the_cells_as_units():
    rows = [{"a": a, "b": b, "y": 3 * a + 0.1 * b * a} for a in (0, 1) for b in range(4)]
    [found] = judge(rows, better(1, 0), names=("a", "b"))
    assert (found.verdict, found.evidence.compared.differences.n[0]) == (SUPPORTED, 4)
    assert found.labels == (WRITTEN_AFTER, "noise and interaction together")


@pytest.mark.parametrize("seeds", [[1], [1, 2]])
def test_cells_that_share_one_or_two_seeds_decide_nothing(seeds):
    rows = [{"a": a, "b": b, "s": s, "y": 3 * a + 0.1 * b * a} for s in seeds for a in (0, 1) for b in range(4)]
    assert judge(rows, better(1, 0), names=("a", "b"), seed="s")[0].verdict == CANNOT_TELL


def test_approximations_are_said():
    rows = three_levels([0, 3])
    assert "folds" in judge(rows, better(1, 0), seed="s", folds=5)[0].labels[1]
    assert "Welch" in judge(rows, better(1, 0))[0].labels[1]


@pytest.mark.parametrize(
    ("claim", "message"),
    [
        (Claim({"b": 1}, {"a": 0}), "unknown hyperparameter 'b' in a contrast; choose from a"),
        (Claim({"a": 7}, {"a": 0}), "no run has a 7, named in a contrast; choose from 0, 1"),
        (Claim({"a": 1}, {"a": 1}), "the sides of a contrast must exclude each other"),
    ],
)
def test_claims_about_what_is_not_there_are_refused(claim, message):
    with pytest.raises(StudyError, match=message):
        judge(three_levels([0, 1]), claim, seed="s")


@pytest.mark.parametrize(
    ("verdicts", "code"),
    [
        ([], 2),
        ([SUPPORTED], 0),
        ([SUPPORTED, CANNOT_TELL], 4),
        ([CANNOT_TELL, CONTRADICTED], 3),
        ([EQUIVALENT, SUPPORTED], 3),
    ],
)
def test_exit_codes(verdicts, code):
    assert check_exit_code(verdicts) == code
