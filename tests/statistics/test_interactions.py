"""Interactions: the analysis of variance by hand, against statsmodels, and by simulation."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.stats.anova import AnovaRM

from gridstudy.fashion.experiments import GROUPS
from gridstudy.fashion.subject import SUBJECT
from gridstudy.records.tables import Records
from gridstudy.statistics.comparisons import holm
from gridstudy.statistics.interactions import (
    CELL_COLUMNS,
    EFFECT_COLUMNS,
    INTERACTION_COLUMNS,
    Factorial,
    analyse_term,
    cell_table,
    curve_objectives,
    factorial_axes,
    factorials,
    interaction_table,
    simple_effects,
    term_contrasts,
)
from tests.tables import describe_images, join_records, make_records, new_plan, select, solver_records

DEPTH_X_UNITS = "depth_x_units"
OVER_EPOCHS = "learning_rate_over_epochs"


def designs_of(records: Records) -> list[Factorial]:
    return factorials(records.trials, records.curves, records.plans)


def design_of(values: np.ndarray, shape: tuple[int, ...]) -> Factorial:
    axes = {name: tuple(range(n)) for name, n in zip("abc", shape, strict=False)}
    n = len(values)
    return Factorial("made", axes, pd.DataFrame(values), np.zeros(values.shape[1]), (n,), tuple(range(n)))


# --- which experiments ---------------------------------------------------------------------------------------------


def test_factorial_experiments_are_the_full_products() -> None:
    experiments = select(["all", "follow-up"])
    assert len(experiments) == len(GROUPS["all"]) + len(GROUPS["follow-up"])
    axes = {
        e.name: {name: len(values) for name, values in factorial_axes(e, epochs="epochs").items()} for e in experiments
    }
    assert {name: shape for name, shape in axes.items() if shape} == {
        "units": {"units1": 6, "units2": 6},
        DEPTH_X_UNITS: {"depth": 3, "units1": 6},
        "learning_rate_x_batch_size": {"learning_rate": 5, "batch_size": 4},
        OVER_EPOCHS: {"learning_rate": 5, "epochs": 5},
    }


def test_curve_epochs_beyond_the_last_epoch_are_no_axis() -> None:
    table = {"name": "short", "scientific": ["depth"], "curve_epochs": [1, 3, 9], "grid": {"depth": [1, 2]}}
    assert factorial_axes(SUBJECT.parse(table), epochs="epochs") == {"depth": (1, 2), "epochs": (1, 3)}
    assert factorial_axes(SUBJECT.parse({**table, "curve_epochs": [5, 9]}), epochs="epochs") == {}


def test_a_varied_nuisance_hyperparameter_makes_no_factorial() -> None:
    grid = {"depth": [1, 2], "units1": [16, 32], "learning_rate": [1e-3, 1e-2]}
    table = {"name": "own", "scientific": ["depth", "units1"], "nuisance": ["learning_rate"], "grid": grid}
    assert factorial_axes(SUBJECT.parse(table), epochs="epochs") == {}


# --- analysis of variance ------------------------------------------------------------------------------------------


def test_a_worked_example() -> None:
    # a brings 2, 4 and 3 on the three seeds, b nothing: F = 3 * 3^2 / 1; SS_total 31, MS_seeds 1, noise 3 * 2
    values = np.array([[0, 0, 2, 2], [0, 0, 4, 4], [0, 0, 3, 3]], float)
    table = interaction_table([design_of(values, (2, 2))]).set_index("term")
    row = table.loc["a"]
    assert (row["F"], row["df1"], row["df2"], row["epsilon"]) == pytest.approx((27, 1, 2, 1))
    assert row["p"] == pytest.approx(stats.ttest_1samp([2, 4, 3], 0).pvalue)
    assert (row["omega_squared"], row["noise_share"]) == pytest.approx((26 / 32, 6 / 32))
    assert table.loc["a x b", "label"] == "identical records"


def test_f_is_that_of_statsmodels() -> None:
    values = np.random.default_rng(1).normal(size=(5, 24)) * np.linspace(1, 4, 24)
    cells = pd.MultiIndex.from_product([range(3), range(4), range(2)], names=["a", "b", "c"])
    long = pd.DataFrame(values, columns=cells, index=pd.Index(range(5), name="seed")).melt(ignore_index=False)
    theirs = AnovaRM(long.reset_index(), "value", "seed", within=["a", "b", "c"]).fit().anova_table
    ours = interaction_table([design_of(values, (3, 4, 2))]).set_index("term")
    assert len(ours) == len(theirs) == 7
    for term, row in theirs.iterrows():
        mine = ours.loc[str(term).replace(":", " x ")]
        assert tuple(mine[["F", "df1", "df2"]]) == pytest.approx(tuple(row[["F Value", "Num DF", "Den DF"]]))
    assert ours["omega_squared"].sum() + ours["noise_share"].iloc[0] == pytest.approx(1)


def test_epsilon_is_that_of_greenhouse_and_geisser() -> None:
    # the formula in the covariance of the cells themselves, Winer 1971, p. 523
    values = np.random.default_rng(2).normal(size=(6, 4)) * [1, 2, 3, 4]
    covariance, k = np.cov(values.T), 4
    numerator = k**2 * (np.diag(covariance).mean() - covariance.mean()) ** 2
    rows = covariance.mean(axis=1)
    epsilon = numerator / ((k - 1) * ((covariance**2).sum() - 2 * k * (rows**2).sum() + k**2 * covariance.mean() ** 2))
    test = analyse_term(values @ term_contrasts([4], [True]).T)
    assert test is not None
    assert test.epsilon == pytest.approx(epsilon)
    assert test.p == pytest.approx(stats.f.sf(test.F, 3 * epsilon, 15 * epsilon))


def test_contrasts_of_all_terms_are_one_orthonormal_basis() -> None:
    terms = [(a, b) for a in (False, True) for b in (False, True)]
    basis = np.vstack([term_contrasts((3, 6), term) for term in terms])
    assert basis @ basis.T == pytest.approx(np.eye(18))


def test_one_interaction_of_two_values_is_a_paired_t() -> None:
    values = np.random.default_rng(3).normal(size=(5, 4))
    t = stats.ttest_1samp(values @ [1, -1, -1, 1], 0)
    row = interaction_table([design_of(values, (2, 2))]).set_index("term").loc["a x b"]
    assert (row["F"], row["p"]) == pytest.approx((t.statistic**2, t.pvalue))


# --- false and true findings ---------------------------------------------------------------------------------------


def unlike_spreads(rng: np.random.Generator, n_cells: int) -> np.ndarray:
    """Cells with spreads of 0.5 to 7 points, correlated by 0 to 0.96, as in the real records; a root of it."""
    sd = np.exp(rng.uniform(np.log(0.005), np.log(0.07), n_cells))
    loading = np.sqrt(rng.uniform(0, 0.96, n_cells))
    return np.linalg.cholesky((np.outer(loading, loading) + np.diag(1 - loading**2)) * np.outer(sd, sd))


def falling_spreads(shape: tuple[int, int]) -> np.ndarray:
    """Spreads that fall from 7 to 0.5 points along the first axis; neighbours correlate by 0.9."""
    grid = np.indices(shape).reshape(2, -1)
    sd = 0.07 * (0.005 / 0.07) ** (grid[0] / (shape[0] - 1))
    distance = np.abs(grid[:, :, None] - grid[:, None, :]).sum(axis=0)
    return np.linalg.cholesky(0.9**distance * np.outer(sd, sd))


Shape = tuple[int, int]


def rejections(
    shape: Shape, in_term: tuple[bool, bool], *, n: int, alike: bool = False, effect: float = 0, corrected: bool = True
) -> int:
    rng = np.random.default_rng(n)
    contrasts = term_contrasts(shape, in_term)
    tilt = effect * np.outer(*(np.linspace(-1, 1, m) for m in shape)).ravel()
    count = 0
    for repetition in range(n):
        if repetition % 20 == 0:
            root = falling_spreads(shape) if alike else unlike_spreads(rng, len(tilt))
        test = analyse_term((tilt + rng.normal(size=(5, len(tilt))) @ root.T) @ contrasts.T)
        assert test is not None
        count += (test.p if corrected else stats.f.sf(test.F, test.df1, test.df2)) <= 0.05
    return count


@pytest.mark.parametrize("shape", [(6, 6), (3, 6)])
@pytest.mark.parametrize(("in_term", "alike"), [((True, True), False), ((True, True), True), ((False, True), False)])
def test_at_most_five_per_cent_false(shape: tuple[int, int], in_term: tuple[bool, bool], alike: bool) -> None:
    n = 1000  # were the true rate 5 %, this bound would be passed once in a thousand
    assert rejections(shape, in_term=in_term, alike=alike, n=n) <= stats.binom.isf(0.001, n, 0.05)


def test_without_the_correction_more_than_five_per_cent_are_false() -> None:
    n = 400
    count = rejections((6, 6), in_term=(True, True), n=n, corrected=False)
    assert count > stats.binom.isf(0.001, n, 0.05)


def test_an_interaction_of_four_points_is_mostly_found() -> None:
    n = 400  # simulated at length: 68 % and 88 %
    assert rejections((6, 6), in_term=(True, True), n=n, effect=0.04) > stats.binom.ppf(0.001, n, 0.65)
    assert rejections((3, 6), in_term=(True, True), n=n, effect=0.04) > stats.binom.ppf(0.001, n, 0.84)


# --- from records --------------------------------------------------------------------------------------------------


def test_a_row_per_term_and_holm_over_the_interactions() -> None:
    table = interaction_table(designs_of(make_records(["epochs", "units", DEPTH_X_UNITS, OVER_EPOCHS])))
    assert tuple(table.columns) == INTERACTION_COLUMNS
    assert table["term"].tolist()[:3] == ["units1", "units2", "units1 x units2"]
    interactions = table["term"].str.contains(" x ")
    assert table.loc[~interactions, "p_holm"].isna().all()
    p, p_holm = (table.loc[interactions, column].to_numpy() for column in ("p", "p_holm"))
    assert p_holm.tolist() == pytest.approx(holm(np.minimum(1, p / 0.8)).tolist()), "the first look has four fifths"
    assert (table["look"] == 1).all()
    assert (table["n"] == 5).all()
    assert (table["label"] == "tested").all()


def test_a_diverged_trial_makes_the_table_unstable_and_stays_in_the_family() -> None:
    records = make_records(["units", DEPTH_X_UNITS], diverged=[("depth=3", 2)])
    table = interaction_table(designs_of(records)).set_index("term")
    assert table.loc["depth x units1", "label"] == "unstable, 1 of 18 cells"
    assert table.loc[["depth", "depth x units1"], ["F", "p", "p_holm", "omega_squared"]].isna().all(axis=None)
    row = table.loc["units1 x units2"]
    assert row["p_holm"] == pytest.approx(min(1, 2 * row["p"] / 0.8))


def test_a_look_that_lacks_a_cell_tests_nothing() -> None:
    table = interaction_table(designs_of(make_records([DEPTH_X_UNITS], n_seeds=4, missing=[("depth=3", 0)])))
    assert (table["label"] == "fewer than 4 complete seeds").all()
    assert table[["p", "p_holm"]].isna().all(axis=None)


def test_seeds_between_two_looks_are_in_no_test_and_a_second_look_has_a_twentieth() -> None:
    records = make_records([DEPTH_X_UNITS], n_seeds=8)
    plan = replace(records.plans[0], first_look=4)
    both = interaction_table(factorials(records.trials, records.curves, [plan])).set_index("term")
    first = records.trials[records.trials["seed"] < 4]
    one = interaction_table(factorials(first, records.curves, [plan])).set_index("term")
    between = interaction_table(factorials(records.trials.query("seed < 7"), records.curves, [plan])).set_index("term")
    pd.testing.assert_frame_equal(one, between)
    assert (one["look"].unique(), one["n"].unique(), both["n"].unique()) == ([1], [4], [8])
    expected = np.minimum(1, np.minimum(one["p"] / 0.8, both["p"] / 0.05))
    assert both["p_looks"].tolist() == pytest.approx(expected.tolist())


def test_confirmation_seeds_are_left_out() -> None:
    records = make_records([DEPTH_X_UNITS, OVER_EPOCHS])
    both = join_records(records, make_records([DEPTH_X_UNITS, OVER_EPOCHS], first_seed=1000, rng=1))
    pd.testing.assert_frame_equal(interaction_table(designs_of(both)), interaction_table(designs_of(records)))


def test_learning_curves_end_at_the_objective() -> None:
    records = make_records([OVER_EPOCHS], n_seeds=3)
    experiment = records.plans[0].experiment
    curves = curve_objectives(records.trials, records.curves, experiment)
    rate = experiment.configurations[1].name
    last = records.trials.query("configuration == @rate").set_index("seed")["objective"]
    assert curves[(rate, 20)].tolist() == last.tolist()


def test_cell_means_have_the_interval_of_the_mean() -> None:
    records = make_records([DEPTH_X_UNITS, OVER_EPOCHS], diverged=[("depth=3", 2)])
    cells = cell_table(designs_of(records))
    assert tuple(cells.columns) == CELL_COLUMNS
    assert len(cells) == 18 + 25
    cell = cells.query("first == 'depth' and first_value == 1 and second_value == 16").iloc[0]
    narrow = records.trials.query("depth == 1 and units1 == 16")["objective"]
    low, high = stats.t.interval(0.95, 4, narrow.mean(), stats.sem(narrow))
    assert tuple(cell[["mean", "low", "high", "n"]]) == pytest.approx((narrow.mean(), low, high, 5))
    unstable = cells[cells["n_diverged"] > 0]
    assert unstable[["first_value", "second_value", "n"]].values.tolist() == [[3, 256, 0]]
    assert unstable["mean"].isna().all()
    assert cells[cells["first"] == "learning_rate"]["second"].eq("epochs").all()


def test_cell_means_of_three_axes_are_averaged_within_seeds() -> None:
    values = np.arange(24, dtype=float).reshape(3, 8)
    cells = cell_table([design_of(values, (2, 2, 2))])
    assert len(cells) == 12
    first = cells.iloc[0]
    assert first["mean"] == pytest.approx(values[:, :2].mean())
    assert first["high"] - first["mean"] == pytest.approx(stats.t.ppf(0.975, 2) * 8 / np.sqrt(3))


def test_records_without_a_factorial_experiment_give_empty_tables() -> None:
    designs = designs_of(make_records(["epochs"]))
    assert interaction_table(designs).columns.tolist() == list(INTERACTION_COLUMNS)
    assert cell_table(designs).columns.tolist() == list(CELL_COLUMNS)
    assert interaction_table(designs).empty
    assert cell_table(designs).empty


def test_an_experiment_without_trials_is_untested() -> None:
    records = make_records(["epochs"])
    plans = [new_plan(e, describe_images(), seeds=range(5)) for e in select([DEPTH_X_UNITS, OVER_EPOCHS])]
    designs = factorials(records.trials, records.curves, plans)
    assert (interaction_table(designs)["label"] == "fewer than 5 complete seeds").all()
    assert cell_table(designs)["mean"].count() == 1, "the baseline, which the epochs have too"


# --- directions ----------------------------------------------------------------------------------------------------


def test_a_surviving_interaction_says_what_each_axis_does_at_the_ends_of_the_other() -> None:
    records = solver_records()
    designs = designs_of(records)
    effects = simple_effects(designs, interaction_table(designs))
    assert tuple(effects.columns) == EFFECT_COLUMNS
    found = effects.set_index(["axis", "at"])
    assert found[["start", "end", "other"]].values.tolist() == [
        [1, 8, "kernel"], [1, 8, "kernel"], ["plain", "tiled", "threads"], ["plain", "tiled", "threads"]
    ]  # fmt: skip
    ms = records.trials.pivot(index="seed", columns=["kernel", "threads"], values="objective")
    faster = ms["plain"][1] - ms["tiled"][1]  # a minimised score falls, which is a gain
    low, high = stats.t.interval(0.95, 4, faster.mean(), stats.sem(faster))
    row = found.loc[("kernel", 1)]
    assert tuple(row[["n", "difference", "low", "high"]]) == pytest.approx((5, faster.mean(), low, high))


def test_without_a_surviving_interaction_there_is_no_direction() -> None:
    designs = designs_of(make_records([DEPTH_X_UNITS]))
    assert simple_effects(designs, interaction_table(designs)).empty
