"""Ranking: the same sets and bounds as for our own records, copies counted once, costs."""

import numpy as np
import pandas as pd
import pytest

from gridstudy.statistics.comparisons import deficit_bounds, tied_set
from gridstudy.statistics.results.ranking import distinct_records, rank
from gridstudy.statistics.results.replicates import REPEATS, SEED, Replicates


def make_replicates(values, *, rule=SEED):
    table = pd.DataFrame(values).rename_axis(index="seed" if rule == SEED else "replicate")
    return Replicates(rule, table, table.notna().sum().to_numpy())


def noisy(k=6, n=5, rng=0):
    generator = np.random.default_rng(rng)
    return generator.standard_normal((n, k)) + 3 * generator.standard_normal(k)


@pytest.mark.parametrize("rule", [SEED, REPEATS])
def test_tied_sets_and_deficits_are_those_of_our_own_records(rule):
    for rng in range(5):
        replicates = make_replicates(noisy(rng=rng), rule=rule)
        found = rank(replicates, margin=1.0)
        named = replicates.scores.rename(columns=str)
        assert [str(i) for i in np.flatnonzero(found.tied)] == tied_set(named)
        assert found.deficit == pytest.approx(list(deficit_bounds(named).values()))


def test_configurations_with_one_record_count_once():
    values = noisy(k=4)
    copied = rank(make_replicates(values[:, [0, 0, 1, 2, 2, 2, 3]]), margin=1.0)
    plain = rank(make_replicates(values), margin=1.0)
    assert copied.n_distinct == 4
    assert copied.record.tolist() == [0, 0, 2, 3, 3, 3, 6]
    assert copied.tied.tolist() == plain.tied[[0, 0, 1, 2, 2, 2, 3]].tolist()
    assert copied.deficit == pytest.approx(plain.deficit[[0, 0, 1, 2, 2, 2, 3]])


def test_fewer_than_three_equal_values_are_no_evidence_of_one_record():
    assert distinct_records(make_replicates([[1.0, 1.0], [2.0, 2.0]])).tolist() == [0, 1]
    assert distinct_records(make_replicates([[1.0, 1.0], [2.0, 2.0], [3.0, np.nan]])).tolist() == [0, 1]


def test_the_cheapest_within_the_margin_is_recommended_only_where_costs_are_known():
    values = noisy(k=3, n=10)[:, [0, 0, 0]] + np.random.default_rng(1).normal(0, 0.01, (10, 3))
    values[:, 2] -= 100
    replicates = make_replicates(values)
    found = rank(replicates, margin=0.1, costs=np.array([2.0, 1.0, 0.5]))
    assert found.within_margin.tolist() == [True, True, False]
    assert found.recommended == 1
    assert rank(replicates, margin=0.1).recommended is None


def test_only_configurations_with_three_replicates_are_ranked():
    values = noisy(k=3)
    values[2:, 1] = np.nan
    found = rank(make_replicates(values), margin=1.0)
    assert not found.tied[1]
    assert np.isnan(found.deficit[1])
    assert found.n_distinct == 2
