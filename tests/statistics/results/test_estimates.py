"""The whole analysis: units, conditions, failures, single runs, and what the words say."""

import time

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from gridstudy.core.errors import StudyError
from gridstudy.statistics.results.estimates import analyse_results
from gridstudy.statistics.results.hypotheses import Claim, ResultHypothesis
from gridstudy.statistics.results.parts import OVER_CONDITIONS


def make_runs(effects=(0.0, 1.0, 5.0), n=5, sd=0.3, rng=0, **columns):
    generator = np.random.default_rng(rng)
    rows = [
        {"width": 2**a, "seed": s, "acc": 80 + effect + sd * generator.standard_normal(), **columns}
        for s in range(n)
        for a, effect in enumerate(effects)
    ]
    return pd.DataFrame(rows)


def analyse(runs, **options):
    given = {"objective": "acc", "hyperparameters": ["width"], "margin": 0.5, **options}
    return analyse_results(runs, **given)


def row(table, **where):
    [found] = table[np.logical_and.reduce([table[name] == value for name, value in where.items()])].to_dict("records")
    return found


def test_estimates_are_in_the_unit_of_the_objective():
    runs = make_runs()
    found = analyse(runs, seed="seed")
    y = runs.pivot(index="seed", columns="width", values="acc")
    best = row(found.configurations, configuration="width=4")
    low, high = stats.t.interval(0.95, 4, y[4].mean(), stats.sem(y[4]))
    assert [best[name] for name in ("rank", "n", "mean", "sd", "low", "high")] == pytest.approx(
        [1, 5, y[4].mean(), y[4].std(), low, high]
    )
    pair = row(found.comparisons, a="width=4", b="width=2")
    test = stats.ttest_rel(y[4], y[2])
    interval = test.confidence_interval()
    assert [pair[name] for name in ("difference", "low", "high", "p")] == pytest.approx(
        [(y[4] - y[2]).mean(), interval.low, interval.high, test.pvalue]
    )


def test_where_lower_is_better_ranks_turn_and_differences_do_not():
    runs = make_runs()
    up = analyse(runs, seed="seed", hypotheses=[ResultHypothesis("h", "", (Claim({"width": 1}, {"width": 4}),))])
    down = analyse(
        runs, seed="seed", higher_is_better=False,
        hypotheses=[ResultHypothesis("h", "", (Claim({"width": 1}, {"width": 4}),))],
    )  # fmt: skip
    assert down.configurations["configuration"].tolist() == up.configurations["configuration"].tolist()[::-1]
    columns = ["mean", "low", "high"]
    for name in ("width=1", "width=4"):
        rows = [row(found.configurations, configuration=name) for found in (up, down)]
        assert [rows[0][c] for c in columns] == pytest.approx([rows[1][c] for c in columns])
    pd.testing.assert_frame_equal(up.effects, down.effects)
    assert up.contrasts["low"][0] == pytest.approx(down.contrasts["low"][0])
    assert [found.verdicts["verdict"][0] for found in (up, down)] == ["contradicted", "supported"]
    assert [found.check_exit_code for found in (up, down)] == [3, 0]


def test_tiny_and_huge_objectives_are_analysed_alike():
    runs = make_runs()
    plain = analyse(runs, seed="seed")
    for factor in (1e-12, 1e12):
        scaled = analyse(runs.assign(acc=runs["acc"] * factor), seed="seed", margin=0.5 * factor)
        assert scaled.comparisons["label"].tolist() == plain.comparisons["label"].tolist()
        assert scaled.comparisons["p"].tolist() == pytest.approx(plain.comparisons["p"].tolist(), rel=1e-4)
        assert scaled.configurations["tied"].tolist() == plain.configurations["tied"].tolist()


def test_failed_runs_are_counted_in_the_label_and_left_out():
    runs = make_runs()
    runs.loc[[2, 5], "acc"] = [np.nan, np.inf]
    best = row(analyse(runs, seed="seed").configurations, configuration="width=4")
    assert (best["n"], best["n_failed"], best["label"]) == (3, 2, "2 of 5 failed")


def test_a_single_run_is_compared_with_repeated_ones_at_an_equal_spread():
    runs = pd.DataFrame({"width": [1, 1, 1, 2, 2, 2, 4], "acc": [1.0, 2, 3, 4, 6, 8, 9]})
    found = analyse(runs, hypotheses=[ResultHypothesis("h", "", (Claim({"width": 4}, {"width": 1}),))])
    pair = row(found.comparisons, label="assumes equal spread", a="width=1")
    # s^2 = (2 x 1 + 2 x 4) / 4 with 4 degrees of freedom
    half = stats.t.ppf(0.975, 4) * np.sqrt(2.5) * np.sqrt(1 + 1 / 3)
    assert [pair[name] for name in ("difference", "low", "high")] == pytest.approx([-7, -7 - half, -7 + half])
    assert np.isnan(pair["p"])
    assert found.verdicts["verdict"].tolist() == ["cannot tell"]
    assert row(found.configurations, configuration="width=4")["label"] == "single run"


def test_each_condition_is_analysed_and_then_the_conditions():
    parts = [make_runs(n=3, rng=c, data=name) for c, name in enumerate(["iris", "wine", "digits", "moons"])]
    runs = pd.concat(parts, ignore_index=True)
    found = analyse(runs, seed="seed", condition="data")
    assert found.rules["condition"].tolist() == ["iris", "wine", "digits", "moons", OVER_CONDITIONS]
    means = runs.groupby(["data", "width"])["acc"].mean().unstack()
    pair = row(found.comparisons, condition=OVER_CONDITIONS, a="width=4", b="width=1")
    assert (pair["n"], pair["difference"]) == (4, pytest.approx((means[4] - means[1]).mean()))
    assert pair["p"] == pytest.approx(stats.ttest_rel(means[4], means[1]).pvalue)
    effect = row(found.effects, condition=OVER_CONDITIONS, a="1", b="4")
    assert (effect["unit"], effect["n"]) == ("condition", 4)
    assert any("each condition counts once" in sentence for sentence in found.used)


@pytest.mark.parametrize("folds", [None, 5])
def test_a_condition_without_any_complete_run_says_nothing(folds):
    parts = [make_runs(rng=c, data=name) for c, name in enumerate(["iris", "wine", "digits", "moons"])]
    parts[1]["acc"] = np.nan
    found = analyse(pd.concat(parts, ignore_index=True), seed="seed", condition="data", folds=folds)
    wine = found.configurations.query("condition == 'wine'")
    assert set(wine["label"]) == {"5 of 5 failed"}
    assert wine["mean"].isna().all()
    over = row(found.comparisons, condition=OVER_CONDITIONS, a="width=4", b="width=1")
    assert over["n"] == 3


def test_two_conditions_decide_nothing():
    runs = pd.concat([make_runs(data=name) for name in "ab"], ignore_index=True)
    claim = ResultHypothesis("h", "", (Claim({"width": 4}, {"width": 1}),))
    found = analyse(runs, seed="seed", condition="data", hypotheses=[claim])
    assert found.verdicts["verdict"].tolist() == ["cannot tell"]
    assert found.check_exit_code == 4


def test_where_nothing_is_repeated_five_times_five_runs_are_proposed():
    generator = np.random.default_rng(0)
    runs = pd.DataFrame({"lr": generator.random(30), "act": ["relu", "tanh"] * 15, "acc": generator.random(30)})
    found = analyse(runs, hyperparameters=["lr", "act"])
    best = runs.nlargest(5, "acc")
    assert len(found.rerun) == 25
    assert found.rerun.groupby("lr")["seed"].apply(list).to_dict() == {lr: [0, 1, 2, 3, 4] for lr in best["lr"]}
    assert found.comparisons.empty
    assert any("rerun the best" in sentence for sentence in found.used)
    assert analyse(make_runs(), seed="seed").rerun.empty


def test_seeds_already_used_are_not_proposed_again():
    found = analyse(make_runs(n=1).assign(seed=1), seed="seed")
    assert sorted(set(found.rerun["seed"])) == [0, 2, 3, 4, 5]


def test_copies_are_named_and_counted_once():
    runs = make_runs()
    runs = pd.concat([runs.assign(gamma=1), runs.assign(gamma=2)], ignore_index=True)
    found = analyse(runs, hyperparameters=["width", "gamma"], seed="seed")
    assert found.rules["n_distinct"].tolist() == [3]
    assert row(found.configurations, configuration="width=4,gamma=2")["same_record_as"] == "width=4,gamma=1"
    assert row(found.comparisons, a="width=4,gamma=1", b="width=4,gamma=2")["label"] == "identical records"
    assert "6 configurations are 3 different records." in found.used


def test_costs_recommend_and_without_them_nothing_is_recommended():
    runs = make_runs(effects=(0.0, 0.0, -9.0), sd=0.05).assign(params=lambda table: table["width"])
    with_costs, without = analyse(runs, seed="seed", cost="params"), analyse(runs, seed="seed")
    chosen = with_costs.configurations.query("recommended")
    assert chosen["configuration"].tolist() == ["width=1"]
    assert not without.configurations["recommended"].any()
    assert without.configurations.query("within_margin")["configuration"].sort_values().tolist() == [
        "width=1",
        "width=2",
    ]


def test_what_was_used_is_said():
    runs = make_runs()
    runs["start"] = range(len(runs))
    sentences = {
        "seed": analyse(runs, seed="seed"), "passes": analyse(runs, start="start"), "Welch": analyse(runs),
        "folds of 5-fold": analyse(runs, seed="seed", folds=5), "sampler chose": analyse(runs, adaptive=True),
        "confounded with": analyse(runs.sort_values("width").assign(start=range(15)), start="start"),
    }  # fmt: skip
    for word, found in sentences.items():
        assert any(word in sentence for sentence in found.used), word


def test_sessions_that_differ_are_flagged():
    runs = make_runs(n=6, sd=0.1)
    runs["acc"] += 10 * runs["seed"]
    runs["start"] = range(len(runs))
    found = analyse(runs, start="start")
    assert found.rules["passes_differ"].tolist() == [True]
    assert set(found.comparisons["label"]) == {"paired"}
    assert any("differs between passes" in sentence for sentence in found.used)


def test_more_than_a_hundred_configurations_are_compared_with_the_best():
    generator = np.random.default_rng(0)
    runs = pd.DataFrame(
        [(w, s, generator.random()) for w in range(120) for s in range(3)], columns=["width", "seed", "acc"]
    )
    found = analyse(runs, seed="seed")
    assert len(found.comparisons) == 119
    assert set(found.comparisons["a"]) == {found.configurations["configuration"].iloc[0]}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hyperparameters": ["widht"]}, "unknown column 'widht'; choose from width"),
        ({"margin": 0.0}, "margin must be a number above 0"),
        ({"folds": 1, "seed": "seed"}, "folds must be 2 or more"),
        ({"objective": "text"}, "a finite number as its objective; got none in column 'text'"),
    ],
)
def test_wrong_options_are_refused_in_one_line(options, message):
    with pytest.raises(StudyError, match=message):
        analyse(make_runs(text="x"), **options)


@pytest.mark.slow
def test_a_hundred_thousand_rows_of_two_hundred_columns_take_seconds():
    generator = np.random.default_rng(0)
    configuration = np.arange(100_000) // 3
    values = generator.integers(0, 3, (configuration.max() + 1, 197))
    runs = pd.DataFrame(values[configuration], columns=[f"h{i}" for i in range(197)])
    names = list(runs.columns)
    runs = runs.assign(seed=np.arange(100_000) % 3, acc=generator.random(100_000), cost=1.0)
    begun = time.process_time()
    found = analyse(runs, hyperparameters=names, seed="seed", cost="cost")
    assert len(found.configurations) == configuration.max() + 1
    assert time.process_time() - begun < 20
