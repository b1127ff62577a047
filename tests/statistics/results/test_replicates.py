"""Replicates: which rule applies, which rows count."""

import numpy as np
import pandas as pd
import pytest

from gridstudy.core.errors import StudyError
from gridstudy.statistics.results.configurations import identify_configurations
from gridstudy.statistics.results.replicates import (
    BLOCK,
    ONE_SEED,
    PASSES,
    REPEATS,
    SEED,
    SEED_AND_BLOCK,
    SINGLE,
    condition_replicates,
    find_replicates,
)


def replicates_of(rows, **roles):
    runs = pd.DataFrame(rows)
    return find_replicates(runs, identify_configurations(runs, ["a"]), score=runs["y"].astype(float), **roles)


def grid(k=2, n=3, **columns):
    return [{"a": a, "s": s, "y": 10 * a + s, **columns} for s in range(n) for a in range(k)]


def test_a_shared_seed_pairs_the_rows():
    found = replicates_of(grid(), seed="s")
    assert found.rule == SEED
    assert found.scores.to_numpy().tolist() == [[0, 10], [1, 11], [2, 12]]
    assert found.n.tolist() == [3, 3]


def test_a_shared_block_pairs_the_rows():
    assert replicates_of(grid(), block="s").rule == BLOCK


def test_seeds_that_no_two_configurations_share_pair_nothing():
    rows = [{"a": a, "s": 10 * a + s, "y": s} for s in range(3) for a in range(2)]
    assert replicates_of(rows, seed="s").rule == REPEATS


def test_with_seed_and_block_a_pair_shares_both():
    rows = [{"a": a, "s": s, "b": s, "y": a} for s in range(3) for a in range(2)]
    found = replicates_of(rows, seed="s", block="b")
    assert (found.rule, found.groups) == (SEED_AND_BLOCK, None)
    rows[0]["b"] = 1
    assert replicates_of(rows, seed="s", block="b").scores.notna().sum(axis=1).tolist() == [1, 1, 2, 2]


def test_a_seed_in_several_blocks_is_one_replicate():
    rows = [{"a": a, "s": s, "b": b, "y": a} for b in range(3) for s in range(2) for a in range(2)]
    found = replicates_of(rows, seed="s", block="b")
    assert found.n.tolist() == [2, 2]
    assert found.groups.tolist() == [0, 1, 0, 1, 0, 1]


def test_rows_repeated_under_one_seed_show_nondeterminism_only():
    rows = [{"a": a, "s": 42, "y": a + e} for a in (0, 1) for e in (0.0, 0.3, 0.6)]
    found = replicates_of(rows, seed="s")
    assert (found.rule, found.n.tolist()) == (ONE_SEED, [1, 1])
    assert found.means.tolist() == pytest.approx([0.3, 1.3])
    assert found.nondeterminism == pytest.approx(0.3)


def test_two_rows_of_one_key_are_refused():
    with pytest.raises(StudyError, match="one run per s; got two for s 0"):
        replicates_of([*grid(), {"a": 0, "s": 0, "y": 1}], seed="s")


def test_runs_without_a_seed_are_left_out_and_counted():
    found = replicates_of([*grid(), {"a": 0, "s": None, "y": 100}], seed="s")
    assert (found.n_without_key, found.scores.to_numpy().max()) == (1, 12)


def test_repeated_rows_are_replicates_and_failed_ones_are_not():
    found = replicates_of([{"a": 0, "y": y} for y in (1, 2, 3, np.nan)] + [{"a": 1, "y": 4}])
    assert (found.rule, found.n.tolist()) == (REPEATS, [3, 1])
    assert found.ranked.tolist() == [0]


def test_known_starts_make_passes():
    rows = [{**row, "t": t} for t, row in enumerate(grid())]
    found = replicates_of(rows, start="t")
    assert (found.rule, found.passes.n_passes) == (PASSES, 3)
    assert found.scores.to_numpy().tolist() == [[0, 10], [1, 11], [2, 12]]


def test_one_unknown_start_leaves_welch():
    rows = [{**row, "t": t if t else None} for t, row in enumerate(grid())]
    assert replicates_of(rows, start="t").rule == REPEATS


def test_configurations_run_in_turn_are_not_paired():
    rows = [{"a": a, "t": 3 * a + s, "y": s} for a in range(2) for s in range(3)]
    found = replicates_of(rows, start="t")
    assert (found.rule, found.run_in_turn) == (REPEATS, True)


def test_too_few_repeats_are_averaged():
    found = replicates_of([{"a": 0, "y": 1}, {"a": 0, "y": 2}, {"a": 1, "y": 4}])
    assert (found.rule, found.n.tolist(), found.means.tolist()) == (SINGLE, [1, 1], [1.5, 4])


def test_folds_without_a_column_that_names_them_are_refused():
    with pytest.raises(StudyError, match="folds need a seed or block column"):
        replicates_of(grid(), folds=5)


def test_a_condition_counts_once():
    parts = [
        replicates_of([{"a": a, "s": s, "y": a + c} for s in range(4) for a in range(2)], seed="s") for c in (0, 5)
    ]
    found = condition_replicates(parts)
    assert found.scores.to_numpy().tolist() == [[0, 1], [5, 6]]
    assert found.n.tolist() == [2, 2]
