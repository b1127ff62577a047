"""Effects: which cells are side by side, what the unit is, and the analysis of variance."""

import itertools

import numpy as np
import pandas as pd
import pytest
from statsmodels.stats.anova import AnovaRM

from gridstudy.statistics.results.configurations import identify_configurations
from gridstudy.statistics.results.effects import (
    CELLS_ARE_UNITS,
    CELLS_SHARE_SEEDS,
    analyse_variance,
    estimate_effects,
    pair_values,
)
from gridstudy.statistics.results.replicates import find_replicates


def effects_of(rows, names=("a", "b"), **roles):
    runs = pd.DataFrame(rows)
    configurations = identify_configurations(runs, list(names))
    return estimate_effects(
        find_replicates(runs, configurations, score=runs["y"].astype(float), **roles), configurations
    )


def sides(rows, names):
    configurations = identify_configurations(pd.DataFrame(rows), names)
    return {
        (p.hyperparameter, p.a, p.b): [
            (configurations.names[i], configurations.names[j]) for i, j in zip(p.a_cells, p.b_cells, strict=True)
        ]
        for p in pair_values(configurations)
    }


def test_an_incomplete_factorial_compares_where_both_are_there():
    found = sides([{"a": 1, "b": 1}, {"a": 1, "b": 2}, {"a": 2, "b": 1}, {"a": 3, "b": 2}], ["a", "b"])
    assert found == {
        ("a", "1", "2"): [("a=1,b=1", "a=2,b=1")],
        ("a", "1", "3"): [("a=1,b=2", "a=3,b=2")],
        ("b", "1", "2"): [("a=1,b=1", "a=1,b=2")],
    }


def test_a_star_compares_the_neighbours_of_its_baseline():
    found = sides([{"a": 1, "b": 1}, {"a": 2, "b": 1}, {"a": 1, "b": 2}, {"a": 1, "b": 3}], ["a", "b"])
    assert found["a", "1", "2"] == [("a=1,b=1", "a=2,b=1")]
    assert found["b", "2", "3"] == [("a=1,b=2", "a=1,b=3")]


def test_effects_are_averaged_within_each_replicate_and_the_replicate_is_the_unit():
    rows = [{"a": a, "b": b, "s": s, "y": a * (s + b)} for s in range(3) for a in (0, 1) for b in (0, 10)]
    found = effects_of(rows, seed="s")
    assert [(p.hyperparameter, p.a, p.b) for p in found.pairs] == [("a", "0", "1"), ("b", "0", "10")]
    # -(s + 0) and -(s + 10), averaged: -5, -6 and -7
    assert (found.compared.differences.n[0], found.compared.differences.mean[0]) == (3, -6)
    assert found.compared.differences.sd[0] == pytest.approx(1)
    assert (found.unit, found.n_cells.tolist()) == ("replicate", [2, 2])


def test_with_one_run_per_cell_the_cell_is_the_unit():
    rows = [{"a": a, "b": b, "y": 10 * a + b + a * b} for a in (0, 1) for b in (0, 1, 2)]
    found = effects_of(rows)
    assert found.unit == "cell"
    assert found.compared.labels[0] == CELLS_ARE_UNITS
    # the differences are -10, -11 and -12
    assert (found.compared.differences.n[0], found.compared.differences.mean[0]) == (3, -11)
    assert found.compared.differences.sd[0] == pytest.approx(1)
    assert found.compared.labels[1] == "fewer than 3 cells"


@pytest.mark.parametrize("seeds", [[1], [1, 2]])
def test_too_few_seeds_shared_by_all_cells_are_said(seeds):
    rows = [{"a": a, "b": b, "s": s, "y": a * b} for s in seeds for a in (0, 1) for b in (0, 1, 2)]
    found = effects_of(rows, seed="s")
    assert found.compared.labels[0] == CELLS_SHARE_SEEDS
    assert found.compared.differences.testable[0]
    assert np.isnan(found.p).all()


def test_copies_of_cells_are_no_further_evidence():
    rows = [{"a": a, "b": b, "c": c, "y": 10 * a + b * b + a * b} for a in (0, 1) for b in (0, 1, 2) for c in range(6)]
    found = effects_of(rows, ["a", "b", "c"])
    assert found.n_cells[0] == 18
    assert found.compared.differences.n[0] == 3


def test_configurations_with_too_few_replicates_are_in_no_effect():
    rows = [{"a": a, "b": b, "s": s, "y": a + s * b} for s in range(3) for a in (0, 1) for b in (0, 1)]
    found = effects_of(rows[:-1], seed="s")
    assert found.n_cells.tolist() == [1, 1]


def test_p_values_are_adjusted_over_all_effects():
    generator = np.random.default_rng(0)
    rows = [
        {"a": a, "b": b, "s": s, "y": a + generator.standard_normal()} for s in range(5) for a in (0, 9) for b in (0, 1)
    ]
    found = effects_of(rows, seed="s")
    assert found.p_holm[0] == pytest.approx(2 * found.p[0])
    assert found.p_holm[1] == pytest.approx(found.p[1])


def test_a_complete_factorial_gets_the_analysis_of_variance():
    generator = np.random.default_rng(1)
    rows = [
        {"a": a, "b": b, "s": s, "y": a + generator.standard_normal()}
        for s, a, b in itertools.product(range(4), range(2), range(2))
    ]
    runs = pd.DataFrame(rows).sample(frac=1, random_state=0).reset_index(drop=True)
    configurations = identify_configurations(runs, ["a", "b"])
    replicates = find_replicates(runs, configurations, score=runs["y"], seed="s")
    table = analyse_variance(replicates, configurations).set_index("term")
    expected = AnovaRM(runs, "y", "s", within=["a", "b"]).fit().anova_table
    assert table["F"].to_dict() == pytest.approx({t.replace(":", " x "): f for t, f in expected["F Value"].items()})
    assert table["p"].tolist() == pytest.approx(expected["Pr > F"].tolist())
    assert table["p_holm"].notna().tolist() == [False, False, True]


@pytest.mark.parametrize("roles", [{}, {"seed": "s", "folds": 4}])
def test_folds_and_rows_that_share_nothing_get_none(roles):
    rows = [{"a": a, "b": b, "s": s, "y": a * b * s} for s in range(4) for a in (0, 1) for b in (0, 1)]
    runs = pd.DataFrame(rows)
    configurations = identify_configurations(runs, ["a", "b"])
    replicates = find_replicates(runs, configurations, score=runs["y"].astype(float), **roles)
    assert analyse_variance(replicates, configurations).empty


def test_an_incomplete_factorial_gets_no_analysis_of_variance():
    rows = [{"a": a, "b": b, "s": s, "y": s} for s in range(4) for a, b in [(0, 0), (0, 1), (1, 0)]]
    runs = pd.DataFrame(rows)
    configurations = identify_configurations(runs, ["a", "b"])
    replicates = find_replicates(runs, configurations, score=runs["y"].astype(float), seed="s")
    assert analyse_variance(replicates, configurations).empty
