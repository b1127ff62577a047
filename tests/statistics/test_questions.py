"""The study questions: numbers worked by hand, properties, coverage, and what is left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from gridstudy.fashion.subject import SUBJECT
from gridstudy.records.tables import Records
from gridstudy.statistics.comparisons import deficit_bounds, tied_set
from gridstudy.statistics.estimates import analyse
from gridstudy.statistics.interactions import (
    EFFECT_COLUMNS,
    INTERACTION_COLUMNS,
    factorials,
    interaction_table,
    simple_effects,
)
from gridstudy.statistics.questions import (
    QUESTION_COLUMNS,
    CoarseGrid,
    EpochsAnswer,
    StudyAnswers,
    answer_questions,
)
from gridstudy.statistics.questions.epochs import answer_epochs
from gridstudy.statistics.questions.factors_of_2 import (
    answer_factors,
    answer_quadratic,
    fieller,
    fit_quadratic,
    log2_axes,
)
from gridstudy.statistics.questions.interactions import answer_interactions
from gridstudy.statistics.questions.ranking_by_epoch import (
    answer_ranking,
    first_sufficient,
    kendall_tau,
    resample_means,
)
from gridstudy.statistics.questions.replay import Replay, mean_interval, read_replay
from gridstudy.statistics.questions.search import (
    answer_halving,
    answer_random_search,
    best_of_weights,
    halve,
    halving_epochs,
    halving_rungs,
    pseudovalues,
    share_interval,
)
from gridstudy.statistics.standing import Ranking
from tests.tables import describe_images, join_records, make_foreign, make_records, new_plan, select, solver_records

BATCHES = (4, 8, 16, 32, 64, 128)


def replay_of(records: Records, name: str) -> Replay:
    estimate = next(e for e in analyse(records).experiments if e.experiment.name == name)
    replay = read_replay(records.trials, records.curves, estimate)
    assert replay is not None
    return replay


def made_replay(objectives: np.ndarray) -> Replay:
    """A replay of depths on these curves, (seed, epoch, configuration)."""
    n_epochs, size = objectives.shape[1:]
    grid = {"depth": list(range(1, size + 1))}
    experiment = SUBJECT.parse({"name": "made", "scientific": ["depth"], "fixed": {"epochs": n_epochs}, "grid": grid})
    names = [c.name for c in experiment.configurations]
    table = pd.DataFrame(objectives[:, -1], columns=names, index=pd.RangeIndex(len(objectives), name="seed"))
    plan = new_plan(experiment, describe_images(), seeds=range(len(objectives)))
    ranking = Ranking(tied=tuple(tied_set(table)), bounds=deficit_bounds(table))
    return Replay(plan, ranking, experiment.configurations, table, objectives, 0)


def answers_of(records: Records, *, margin: float = 0.005) -> StudyAnswers:
    estimates = analyse(records, margin)
    designs = factorials(estimates.trials, estimates.curves, estimates.plans)
    interactions = interaction_table(designs)
    return answer_questions(estimates, interactions=interactions, effects=simple_effects(designs, interactions))


# --- epochs --------------------------------------------------------------------------------------------------------


def epochs_answer(records: Records) -> EpochsAnswer:
    answer = answer_epochs(records.trials, records.curves, records.plans[0])
    assert answer is not None
    return answer


def test_gains_between_arms_are_paired_and_per_epoch():
    records = make_records(["epochs"])
    answer = epochs_answer(records)
    table = records.trials.pivot(index="seed", columns="epochs", values="objective")
    difference = table[10] - table[5]
    low, high = stats.t.interval(0.95, 4, difference.mean(), stats.sem(difference))
    last = answer.gains[-1]
    assert (last.before, last.after, last.arms) == (5, 10, True)
    assert last.gain == pytest.approx((difference.mean(), low, high))
    assert last.per_epoch()[0] == pytest.approx((difference.mean() / 5, low / 5, high / 5))


def test_gains_along_the_curve_are_those_of_the_longest_arm():
    records = make_records(["epochs"])
    answer = epochs_answer(records)
    steps = [g for g in answer.gains if not g.arms]
    curve = records.curves.query("configuration == 'epochs=10'").pivot(index="seed", columns="epoch")
    assert answer.longest == "epochs=10"
    assert [(g.before, g.after) for g in steps] == [(e, e + 1) for e in range(1, 10)]
    accuracy = curve["objective"]
    assert steps[1].gain.value == pytest.approx((accuracy[3] - accuracy[2]).mean())
    assert steps[1].seconds.value == pytest.approx(curve["duration_s"][3].median())
    assert answer.still_improving == {"epochs=3": True, "baseline": True, "epochs=10": False}


def test_a_diverged_arm_is_no_arm():
    answer = epochs_answer(make_records(["epochs"], diverged=[("epochs=10", 1)]))
    assert answer.longest == "baseline"
    assert [(g.before, g.after) for g in answer.gains if g.arms] == [(3, 5)]
    assert set(answer.overfitting) == {"epochs=3", "baseline"}


def test_overfitting_is_taken_from_the_curves():
    records = make_records(["epochs"])
    loss = 1 + (records.curves["epoch"] - 4) ** 2 * 0.1 + records.curves["seed"] * 1e-3 * records.curves["epoch"]
    curves = records.curves.assign(validation_loss=loss)
    answer = epochs_answer(replace(records, curves=curves))
    assert answer.overfitting == {"epochs=3": False, "baseline": True, "epochs=10": True}


def test_below_three_common_seeds_there_is_no_answer():
    assert answers_of(make_records(["all", "follow-up"], n_seeds=2)).table.empty
    uneven = [(name, seed) for name, seeds in (("epochs=3", (0, 1)), ("epochs=10", (3, 4))) for seed in seeds]
    records = make_records(["epochs"], missing=uneven)
    assert answer_epochs(records.trials, records.curves, records.plans[0]) is None


def test_one_slow_trial_does_not_move_the_seconds():
    records = make_records(["epochs"])
    slow = records.trials["configuration"].eq("epochs=10") & records.trials["seed"].eq(2)
    trials = records.trials.assign(duration_s=records.trials["duration_s"].where(~slow, 99.0))
    answer = answer_epochs(trials, records.curves, records.plans[0])
    assert answer is not None
    assert answer.gains[-1].seconds == epochs_answer(records).gains[-1].seconds
    assert np.isnan([*answer.gains[-1].seconds[1:]]).all()


def test_gains_between_arms_are_on_the_seeds_that_all_have():
    records = make_records(["epochs"], missing=[("epochs=3", 0)])
    answer = epochs_answer(records)
    table = records.trials.pivot(index="seed", columns="epochs", values="objective").loc[1:]
    assert answer.n_seeds == 4
    assert [g.gain.value for g in answer.gains if g.arms] == pytest.approx(
        [(table[5] - table[3]).mean(), (table[10] - table[5]).mean()]
    )


# --- the ranking by epoch ------------------------------------------------------------------------------------------


def test_kendalls_tau_is_that_of_scipy_with_ties_too():
    a, b = np.random.default_rng(0).integers(0, 4, (2, 20, 6)).astype(float)
    expected = [stats.kendalltau(x, y).statistic for x, y in zip(a, b, strict=True)]
    assert kendall_tau(a, b) == pytest.approx(np.nan_to_num(expected))
    assert kendall_tau(np.ones((1, 3)), np.arange(3.0)[None]) == [0]


def test_the_first_epoch_that_suffices_is_followed_by_no_worse_one():
    assert first_sufficient([1.0, 1.0]) == 1
    assert first_sufficient([0.99, 0.5, 0.95, 1.0]) == 3
    assert first_sufficient([1.0, 0.94]) is None


def test_resampled_means_start_with_the_mean_itself():
    values = np.random.default_rng(0).normal(size=(5, 2, 3))
    means = resample_means(values)
    assert means[0] == pytest.approx(values.mean(axis=0))
    assert means[1:].mean(axis=0) == pytest.approx(values.mean(axis=0), abs=0.1)
    assert np.array_equal(means, resample_means(values)), "the same resamples every time"


def test_a_ranking_that_turns_needs_the_epochs_after_the_turn():
    noise = np.random.default_rng(0).normal(0, 1e-4, (5, 4, 3))
    turning = np.array([[0.5, 0.6, 0.7], [0.6, 0.65, 0.7], [0.8, 0.75, 0.7], [0.85, 0.8, 0.75]])
    answer = answer_ranking(made_replay(turning + noise))
    assert answer is not None
    assert (answer.sufficient, answer.n_tied, answer.is_vacuous) == (3, 1, False)
    assert [r.share_tied for r in answer.rankings] == [0, 0, 1, 1]
    assert [r.tau.value for r in answer.rankings] == [-1, -1, 1, 1]
    assert answer.rankings[0].lost.value == pytest.approx(0.1, abs=1e-3)
    assert answer.rankings[0].lost.low <= answer.rankings[0].lost.value <= answer.rankings[0].lost.high
    assert answer.rankings[3].lost == (0, 0, 0)


def test_where_all_are_tied_any_epoch_suffices_and_the_answer_says_so():
    answer = answer_ranking(made_replay(0.8 + np.random.default_rng(5).normal(0, 0.01, (5, 3, 3))))
    assert answer is not None
    assert (answer.sufficient, answer.is_vacuous) == (1, True)


def test_configurations_with_unlike_numbers_of_epochs_have_no_ranking():
    records = make_records(["epochs", "combined"])
    assert answers_of(records).rankings == ()
    assert answers_of(records).halvings == ()


# --- factors of 2 --------------------------------------------------------------------------------------------------


def test_log2_axes_are_found():
    plans = [new_plan(e, describe_images(), seeds=range(5)) for e in select(["all", "follow-up"])]
    axes = {plan.experiment.name: list(log2_axes(plan)) for plan in plans}
    assert {name: found for name, found in axes.items() if found} == {
        "units": ["units1", "units2"],
        "batch_size": ["batch_size"],
        "batch_size_equal_examples": ["batch_size"],
        "depth_x_units": ["units1"],
        "learning_rate_x_batch_size": ["batch_size"],
    }


def test_an_axis_that_is_not_of_scale_log2_is_no_grid_in_factors_of_2():
    table = {"name": "own", "scientific": ["epochs"], "grid": {"epochs": [1, 2, 4, 8]}}
    assert log2_axes(new_plan(SUBJECT.parse(table), describe_images(), seeds=range(5))) == {}


def test_every_other_batch_size_costs_what_it_costs():
    records = make_records(["batch_size"])
    first, second = answer_factors(replay_of(records, "batch_size"), records.trials)
    assert (first.grid, second.grid) == ("batch_size 4, 16, 64", "batch_size 8, 32, 128")
    assert first.cost["examples"] == pytest.approx((4 + 16 + 64) / sum(BATCHES))
    assert first.cost["updates"] == first.cost["parameters"] == pytest.approx(1 / 2)
    assert first.cost["cost"] == first.cost["examples"], "equal networks"
    assert first.cost["seconds"] + second.cost["seconds"] == pytest.approx(1)
    assert first.n_configurations == 3


def test_the_accuracy_lost_is_the_deficit_of_the_coarse_grids_best():
    records = make_records(["batch_size"])
    replay = replay_of(records, "batch_size")
    first, second = answer_factors(replay, records.trials)
    assert (second.best, second.tied, second.lost.value) == ("batch_size=128", True, 0)
    assert np.isnan(second.lost.low)
    difference = replay.table["batch_size=128"] - replay.table[first.best]
    low, high = stats.t.interval(0.95, 4, difference.mean(), stats.sem(difference))
    assert first.lost == pytest.approx((difference.mean(), low, high))
    assert first.bound == replay.ranking.bounds[first.best] > deficit_bounds(replay.table)[first.best]
    assert first.bound > first.lost.value


def test_two_axes_have_four_coarse_grids():
    records = make_records(["units", "depth_x_units"])
    grids = answer_factors(replay_of(records, "units"), records.trials)
    assert [g.n_configurations for g in grids] == [9, 9, 9, 9]
    assert sum(g.cost["examples"] for g in grids) == pytest.approx(1)
    assert [g.n_configurations for g in answer_factors(replay_of(records, "depth_x_units"), records.trials)] == [9, 9]


def test_a_parabola_is_recovered():
    x, shifts = np.arange(2.0, 8.0), np.array([-0.01, 0.0, 0.01, 0.02])
    objectives = 0.8 + shifts[:, None] - 0.004 * (x - 5.4) ** 2
    optimum, nearest, gain, misfit = fit_quadratic(x, objectives)
    assert (optimum.value, nearest) == pytest.approx((5.4, 5))
    assert gain.value == pytest.approx(0.004 * 0.4**2)
    assert misfit == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("center", [1.0, 9.0])
def test_an_optimum_outside_the_grid_is_none(center):
    x = np.arange(2.0, 8.0)
    optimum, nearest, gain, _ = fit_quadratic(x, np.tile(-((x - center) ** 2), (3, 1)))
    assert np.isnan([*optimum, nearest, *gain]).all()
    assert np.isnan(fit_quadratic(x, np.tile((x - 4) ** 2, (3, 1)))[0].value), "a valley has no peak"


def test_fiellers_bounds_are_where_the_slope_is_just_significant():
    rng = np.random.default_rng(0)
    c = rng.normal(-0.004, 0.0005, 5)
    slopes = np.array([-2 * c * 5 + rng.normal(0, 0.002, 5), c])
    for bound in fieller(slopes):
        assert stats.ttest_1samp(slopes[0] + 2 * slopes[1] * bound, 0).pvalue == pytest.approx(0.05)
    assert np.isnan(fieller(np.array([[1.0, -1.0, 0.5], [0.1, -0.1, 0.05]]))).all(), "no curvature, no bounds"


def test_intervals_of_the_optimum_and_of_the_gain_cover():
    rng, x, n = np.random.default_rng(1), np.arange(2.0, 8.0), 400
    covered = np.zeros(2)
    for _ in range(n):
        c = rng.normal(-0.004, 0.0005, (5, 1))
        objectives = c * (x - 5.4) ** 2 + rng.normal(0, 0.01, (5, 1)) + rng.normal(0, 0.003, (5, 6))
        optimum, _, gain, _ = fit_quadratic(x, objectives)
        covered += [optimum.low <= 5.4 <= optimum.high, gain.low <= 0.004 * 0.4**2 <= gain.high]
    assert (covered >= stats.binom.ppf(0.001, n, 0.94)).all()


def test_the_quadratic_is_given_in_the_axis_own_unit():
    effects = {f"batch_size={b}": 0.8 - 0.004 * (np.log2(b) - 5.4) ** 2 for b in BATCHES if b != 64}
    effects["baseline"] = 0.8 - 0.004 * 0.6**2
    records = make_records(["batch_size"], effects=effects, sd=0.002)
    fit = answer_quadratic(replay_of(records, "batch_size"), records.trials)
    assert fit is not None
    assert fit.optimum.value == pytest.approx(2**5.4, rel=0.15)
    assert 32 < fit.optimum.low < fit.optimum.value < fit.optimum.high < 64
    assert (fit.axis, fit.nearest) == ("batch_size", 32)
    assert 0 < fit.gain.value < fit.resolvable
    assert answer_quadratic(replay_of(make_records(["units"]), "units"), records.trials) is None


# --- interactions --------------------------------------------------------------------------------------------------


def test_interactions_that_survive_holm_are_ordered_by_size():
    rows = [
        ("x", "a", 5, 1, 4, 9, 1, 1e-9, 0.9, 0.1, np.nan, "tested"),
        ("x", "a x b", 5, 1, 4, 9, 1, 0.001, 0.1, 0.2, 0.01, "tested"),
        ("y", "a x c", 5, 1, 4, 9, 1, 0.002, 0.3, 0.2, 0.01, "tested"),
        ("z", "a x d", 5, 1, 4, 9, 1, 0.030, 0.5, 0.2, 0.06, "tested"),
        ("u", "a x e", 5, *[np.nan] * 8, "unstable, 1 of 9 cells"),
    ]
    columns = [name for name in INTERACTION_COLUMNS if name not in ("look", "p_looks")]
    step = ("y", "a x c", "a", 1, 8, "c", 2, 5, 0.3, 0.2, 0.4)
    effects = pd.DataFrame([step], columns=list(EFFECT_COLUMNS))
    answer = answer_interactions(pd.DataFrame(rows, columns=columns), effects)
    (effect,) = answer.survivors[0].effects
    assert (effect.axis, effect.start, effect.end, effect.other, effect.at) == ("a", 1, 8, "c", 2)
    assert effect.gain == (0.3, 0.2, 0.4)
    assert answer.survivors[1].effects == ()
    assert [(i.experiment, i.omega_squared) for i in answer.survivors] == [("y", 0.3), ("x", 0.1)]
    assert (answer.n_tested, answer.n_untested) == (3, 1)


# --- random search and successive halving --------------------------------------------------------------------------


def test_the_expected_best_of_m_of_four_numbers():
    # all subsets by hand: of the six pairs the maxima are .2, .3, .4, .3, .4, .4
    expected = [0.25, 2.0 / 6, (0.3 + 3 * 0.4) / 4, 0.4]
    assert best_of_weights(4) @ [0.1, 0.2, 0.3, 0.4] == pytest.approx(expected)
    assert best_of_weights(36).sum(axis=1) == pytest.approx(np.ones(36))


def test_pseudovalues_average_to_the_mean_over_pairs_of_different_seeds():
    judged = np.random.default_rng(0).normal(size=(4, 4, 2))
    off = ~np.eye(4, dtype=bool)
    assert pseudovalues(judged).mean(axis=0) == pytest.approx(judged[off].mean(axis=0))
    same_choice = np.tile(np.arange(4.0)[None, :, None], (4, 1, 1))
    assert pseudovalues(same_choice)[:, 0] == pytest.approx(np.arange(4))


def test_a_search_among_equals_reports_what_its_choice_is_not_worth():
    rng = np.random.default_rng(1)
    answers = [answer_random_search(made_replay(rng.normal(0.8, 0.01, (5, 2, 6))), margin=0.005) for _ in range(100)]
    reported, honest = (np.mean([getattr(a, part)[-1].value for a in answers]) for part in ("reported", "honest"))
    # E[max of 6 normals] = 1.267; a mean over 100 times 5 seeds of standard deviation .01 is within .002
    assert reported == pytest.approx(0.8 + 0.01267, abs=0.002)
    assert honest == pytest.approx(0.8, abs=0.002)
    covered = sum(a.optimism.low <= 0.01267 <= a.optimism.high for a in answers)
    assert covered >= stats.binom.ppf(0.001, 100, 0.94)


def test_where_one_configuration_always_wins_there_is_no_optimism():
    accuracy = np.random.default_rng(0).normal([0.8, 0.9, 0.8, 0.8], 1e-3, (5, 1, 4))
    answer = answer_random_search(made_replay(accuracy), margin=0.005)
    assert answer is not None
    assert answer.optimism == pytest.approx((0, 0, 0), abs=1e-12)
    assert answer.honest[-1] == pytest.approx(answer.reported[-1])
    assert answer.sufficient == 4


def test_the_first_number_of_trials_within_the_margin():
    accuracy = np.tile([0.1, 0.2, 0.3, 0.4], (3, 1, 1))
    sufficient = {m: answer_random_search(made_replay(accuracy), margin=m) for m in (0.01, 0.05, 0.1, 1.0)}
    assert [a.sufficient for a in sufficient.values() if a] == [4, 3, 2, 1]


def test_halving_on_four_curves():
    # after epoch 1 the columns 0 and 2 go on, after epoch 2 column 2 alone; column 3, best in the end, is lost
    curves = np.array([[0.5, 0.2, 0.4, 0.3], [0.5, 0.6, 0.7, 0.6], [0.6, 0.6, 0.7, 0.8], [0.6, 0.6, 0.7, 0.9]])
    rungs = halving_rungs(4, 2)
    assert rungs == (1, 2, 4)
    assert halve(curves, rungs, 2) == 2
    assert halving_epochs(4, rungs, 2) == 4 * 1 + 2 * 1 + 1 * 2


@pytest.mark.parametrize(
    ("n_epochs", "eta", "rungs"), [(5, 2, (1, 2, 5)), (5, 3, (1, 5)), (20, 3, (2, 6, 20)), (1, 2, (1,)), (2, 3, (2,))]
)
def test_rungs(n_epochs: int, eta: int, rungs: Sequence[int]):
    assert halving_rungs(n_epochs, eta) == rungs


def test_halving_is_compared_with_the_full_grid():
    # column 3 is best in the end on every seed, and halving drops it on every seed
    curves = np.array([[0.5, 0.2, 0.4, 0.3], [0.5, 0.6, 0.7, 0.6], [0.6, 0.6, 0.7, 0.8], [0.6, 0.6, 0.7, 0.9]])
    noise = np.random.default_rng(0).normal(0, 1e-4, (5, 4, 4))
    answer = answer_halving(made_replay(curves + noise), 2)
    assert answer is not None
    assert answer.epochs_share == 8 / 16
    assert (answer.share_tied.value, answer.full_share_tied.value) == (0, 1)
    assert answer.lost.value == pytest.approx(0.2, abs=1e-3)
    difference = (curves + noise)[:, -1, 3] - (curves + noise)[:, -1, 2]
    assert answer.lost == pytest.approx(mean_interval(difference)), "one choice: the plain paired interval"


def test_shares_have_wilsons_interval():
    interval = share_interval(np.array([True, True, True, True, False]))
    # (p + z^2 / 2n -+ z sqrt(p q / n + z^2 / 4 n^2)) / (1 + z^2 / n), z = 1.96
    assert interval == pytest.approx((0.8, 0.3755, 0.9638), abs=1e-4)


# --- all together --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def complete() -> Records:
    return make_records(["all", "follow-up"])


def test_one_tidy_table(complete: Records):
    table = answers_of(complete).table
    assert tuple(table.columns) == QUESTION_COLUMNS
    assert not table.duplicated(["question", "quantity", "subject"]).any()
    assert table[["value", "low", "high"]].dtypes.eq(float).all()
    assert set(table["question"]) >= {"epochs", "more epochs to find the best", "factors of 2", "grid search is naive"}
    known = table.dropna(subset=["low", "high"])
    slack = 1e-12
    resampled = known["quantity"].str.startswith("Kendall") | known["quantity"].eq("accuracy lost")
    inside = (known["low"] <= known["value"] + slack) & (known["value"] <= known["high"] + slack)
    assert inside[~resampled].all()


def test_the_table_holds_the_numbers_of_the_answers(complete: Records):
    answers = answers_of(complete)
    cells = answers.table.set_index(["quantity", "subject"])["value"]
    for ranking in answers.rankings:
        assert cells["first epoch that suffices", ranking.experiment] == pytest.approx(ranking.sufficient, nan_ok=True)
        for at in ranking.rankings:
            subject = f"{ranking.experiment}, epoch {at.epoch}"
            assert cells["Kendall's tau with the final ranking", subject] == at.tau.value
    for grid in answers.coarse_grids:
        shares = {cost: cells[f"share of {cost}", f"{grid.experiment}: {grid.grid}"] for cost in grid.cost}
        assert shares == grid.cost
        assert cells["upper bound on the accuracy lost", f"{grid.experiment}: {grid.grid}"] == grid.bound
    for fit in answers.quadratics:
        assert cells["largest misfit of the quadratic", fit.experiment] == fit.misfit
    for search in answers.random_searches:
        assert cells["random trials that suffice", search.experiment] == search.sufficient
        last = f"{search.experiment}, m={search.n_configurations}"
        assert cells["best of m random trials, as reported", last] == search.reported[-1].value
        assert cells["best of m random trials, on other seeds", last] == search.honest[-1].value
    for halving in answers.halvings:
        subject = f"{halving.experiment}, eta={halving.eta}"
        assert cells["halving: share of epochs", subject] == halving.epochs_share
        assert cells["halving: winner in the final tied set", subject] == halving.share_tied.value
        assert cells["halving: accuracy lost on other seeds", subject] == halving.lost.value
    assert all([answers.rankings, answers.coarse_grids, answers.quadratics, answers.random_searches, answers.halvings])


def test_surviving_interactions_are_in_the_table_with_their_direction():
    records = make_records(["learning_rate_over_epochs"], sd=0.001)
    answers = answers_of(records)
    (found,) = answers.interactions.survivors
    rows = answers.table[answers.table["question"] == "interactions"].set_index("quantity")
    assert rows["subject"].unique().tolist() == ["learning_rate_over_epochs: learning_rate x epochs"]
    assert rows["value"].iloc[:2].to_dict() == {
        "omega squared": found.omega_squared,
        "share of noise": found.noise_share,
    }
    curves = records.curves.query("configuration == 'epochs=20,learning_rate=0.01'")
    gain = curves.query("epoch == 20")["objective"].mean() - curves.query("epoch == 1")["objective"].mean()
    assert rows["value"]["gain from epochs 1 to 20 at learning_rate 0.01"] == pytest.approx(gain)


def test_other_seeds_and_other_programs_change_nothing():
    records = make_records(["epochs", "batch_size"])
    other = join_records(
        records, make_records(["epochs", "batch_size"], first_seed=1000), make_foreign(make_records(["depth"]))
    )
    pd.testing.assert_frame_equal(answers_of(other).table, answers_of(records).table)


def test_missing_experiments_give_no_rows():
    records = make_records(["optimizer"])
    answers = answers_of(records)
    assert (answers.epochs, answers.coarse_grids, answers.quadratics) == ((), (), ())
    assert {r.experiment for r in answers.rankings} == {"optimizer"}
    empty = make_records([])
    table = answers_of(empty).table
    assert table.empty
    assert tuple(table.columns) == QUESTION_COLUMNS


def test_planned_experiments_without_trials_give_no_rows(complete: Records):
    none = complete.trials.iloc[:0], complete.curves.iloc[:0]
    records = replace(complete, trials=none[0], curves=none[1])
    assert answers_of(records).table.empty


def test_unstable_configurations_are_in_no_answer():
    replay = replay_of(make_records(["batch_size"], diverged=[("batch_size=128", 3)]), "batch_size")
    assert [c["batch_size"] for c in replay.configurations] == [4, 8, 16, 32, 64]
    assert replay.note == "n=5 seeds, 5 of 6 configurations, 1 unstable"
    records = make_records(["batch_size"], diverged=[(f"batch_size={b}", 3) for b in (8, 32, 128)])
    grids: tuple[CoarseGrid, ...] = answer_factors(replay_of(records, "batch_size"), records.trials)
    assert [g.grid for g in grids] == ["batch_size 4, 16, 64"], "nothing is left of the other"


def test_the_tied_set_is_that_of_the_looks():
    records = make_records([SUBJECT.parse({"name": "two", "scientific": ["depth"], "grid": {"depth": [1, 2]}})])
    differences = np.array([-1.0, -0.5, 0.0, 0.5, 1.0]) + stats.t.isf(0.045, 4) * np.sqrt(0.625 / 5)
    shallow = records.trials["configuration"] == "depth=1"
    objective = np.where(shallow, 0.8 + 0.01 * differences[records.trials["seed"]], 0.8)
    records = replace(records, trials=records.trials.assign(objective=objective))
    replay = replay_of(records, "two")
    assert tied_set(replay.table) == ["depth=1"], "one look at 5 % would leave the other out"
    assert replay.tied.tolist() == [True, True]


def test_arms_that_got_more_seeds_are_replayed_on_the_seeds_that_all_have():
    few = [(f"batch_size={size}", seed) for size in (4, 8) for seed in range(5, 10)]
    records = join_records(make_records(["batch_size"]), make_records(["batch_size"], first_seed=5, missing=few))
    replay = replay_of(records, "batch_size")
    assert replay.ranking.look == 2
    assert replay.curves.shape == (5, 5, 6)
    assert not replay.tied[:2].any()


def test_configurations_that_lack_seeds_of_the_first_look_are_in_no_answer_about_the_best():
    records = make_records(["batch_size"], missing=[("baseline", 0), ("batch_size=4", 1)])
    replay = replay_of(records, "batch_size")
    assert [c["batch_size"] for c in replay.configurations] == [8, 16, 32, 128]
    assert replay.curves.shape == (5, 5, 4)
    assert replay.curves[:, -1] == pytest.approx(replay.objectives)
    full = answer_factors(replay, records.trials)[1]
    assert full.best == str(replay.table[["batch_size=8", "batch_size=32", "batch_size=128"]].mean().idxmax())


# --- a subject of another kind -------------------------------------------------------------------------------------


def test_a_minimised_score_without_curves_budgets_or_epochs_has_the_questions_that_it_can_have():
    answers = answers_of(solver_records(), margin=2.0)
    assert (answers.epochs, answers.rankings, answers.halvings) == ((), (), ())
    assert {tuple(grid.cost) for grid in answers.coarse_grids} == {("seconds",)}
    first, second = answers.coarse_grids
    assert (first.grid, first.best, first.finds_best) == ("threads 1, 4", "threads=4,kernel=tiled", False)
    assert (second.best, second.finds_best) == ("threads=8,kernel=tiled", True)
    assert first.lost.low > 5, "the coarse grid loses about 10 ms, counted as a loss although lower is better"
    (search,) = answers.random_searches
    assert search.reported[0].value > search.reported[-1].value > 0, "as measured: the more trials, the faster"
    assert search.reported[0].low < search.reported[0].value < search.reported[0].high
    assert set(answers.table["unit"]) == {"ms", "flag", "share", "trials"}
    assert "latency lost by factors of 4" in set(answers.table["quantity"])
