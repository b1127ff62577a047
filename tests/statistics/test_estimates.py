"""The analysis as a whole: what it puts where, and what it keeps out."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from gridstudy.fashion.experiments import select_experiments
from gridstudy.records.records import RecordedExperiment
from gridstudy.statistics.comparisons import COMPARISON_COLUMNS
from gridstudy.statistics.estimates import (
    ARM_COLUMNS,
    CONFIRMATION_COLUMNS,
    SUMMARY_COLUMNS,
    analyse,
    choose_group,
    confirmation_table,
    n_train_images,
)
from tests.tables import join_records, make_foreign, make_records


@pytest.fixture(scope="module")
def study():
    return analyse(make_records(["all", "follow-up"]))


def by_name(estimates, name):
    return next(e for e in estimates.experiments if e.experiment.name == name)


def test_every_experiment_is_there_in_the_studys_order(study):
    plans = select_experiments(["all", "follow-up"])
    assert [e.experiment.name for e in study.experiments] == [plan.name for plan in plans]
    assert tuple(study.summary.columns) == SUMMARY_COLUMNS
    assert tuple(study.comparisons.columns) == ("experiment", *COMPARISON_COLUMNS)
    assert tuple(study.arms.columns) == ARM_COLUMNS
    assert len(study.summary) == sum(len(plan.configurations) for plan in plans)
    assert (study.comparisons["experiment"] == "units").sum() == 630
    assert len(study.verdicts) == 12


def test_a_summary_row_by_hand():
    records = make_records(["epochs"])
    row = analyse(records).summary.set_index("configuration").loc["epochs=10"]
    trials = records.trials[records.trials["configuration"] == "epochs=10"]
    for metric in ("validation_accuracy", "validation_loss", "train_loss", "test_accuracy"):
        interval = stats.ttest_1samp(trials[metric], 0).confidence_interval(0.95)
        found = row[[f"{metric}_mean", f"{metric}_low", f"{metric}_high"]].tolist()
        assert found == pytest.approx([trials[metric].mean(), interval.low, interval.high])
    assert row["validation_accuracy_sd"] == pytest.approx(trials["validation_accuracy"].std())
    assert (row["updates"], row["examples"], row["passes"]) == (1000, 64_000, 1.28)
    assert row["parameters"] == 784 * 256 + 256 + 256 * 256 + 256 + 2560 + 10
    assert row["seconds_mean"] == pytest.approx(trials["duration_s"].mean())


def test_deficits_are_paired_with_the_best():
    records = make_records(["epochs"])
    estimate = analyse(records).experiments[0]
    rows = estimate.summary.set_index("configuration")
    assert estimate.best == "epochs=10"
    assert np.isnan(rows.loc["epochs=10", "deficit"])
    d = estimate.objectives["epochs=10"] - estimate.objectives["epochs=3"]
    interval = stats.ttest_1samp(d, 0).confidence_interval(0.95)
    found = rows.loc["epochs=3", ["deficit", "deficit_low", "deficit_high"]].tolist()
    assert found == pytest.approx([d.mean(), interval.low, interval.high])
    assert estimate.lead == pytest.approx(rows["deficit"].min())


def test_the_winners_curse_by_hand():
    estimate = analyse(make_records(["depth"])).experiments[0]
    # E[max of 3 normals] = 1.5 / sqrt(pi)
    spread = estimate.comparisons["difference_sd"].median() / 2**0.5
    assert estimate.winners_curse == pytest.approx(1.5 / np.pi**0.5 * spread / 5**0.5)


def test_test_accuracy_chooses_nothing():
    records = make_records(["all"])
    scrambled = records.trials.assign(test_accuracy=records.trials["test_accuracy"].to_numpy()[::-1])
    a, b = analyse(records), analyse(replace(records, trials=scrambled))
    columns = [c for c in SUMMARY_COLUMNS if not c.startswith("test_accuracy")]
    pd.testing.assert_frame_equal(a.summary[columns], b.summary[columns])
    pd.testing.assert_frame_equal(a.comparisons, b.comparisons)
    pd.testing.assert_frame_equal(a.verdicts, b.verdicts)


def test_the_row_order_of_the_records_changes_nothing():
    records = make_records(["units", "depth"])
    shuffled = replace(records, trials=records.trials.sample(frac=1, random_state=1))
    pd.testing.assert_frame_equal(analyse(records).summary, analyse(shuffled).summary)


def test_an_unstable_configuration_is_in_no_ranking():
    records = make_records(["learning_rate"], diverged=[("learning_rate=0.005", 1), ("learning_rate=0.005", 3)])
    estimate = analyse(records).experiments[0]
    row = estimate.summary.set_index("configuration").loc["learning_rate=0.005"]
    assert estimate.unstable == {"learning_rate=0.005": "unstable, 2 of 5"}
    assert row["flags"] == "unstable, 2 of 5"
    assert estimate.objectives["learning_rate=0.005"].tolist().count(0.1) == 2
    assert (row["n"], row["n_diverged"], row["tied_with_best"], row["recommended"]) == (5, 2, False, False)
    assert row[["deficit", "deficit_bound", "validation_loss_mean", "test_accuracy_mean"]].isna().all()
    touched = estimate.comparisons[(estimate.comparisons[["a", "b"]] == "learning_rate=0.005").any(axis=1)]
    assert set(touched["label"]) == {"unstable"}
    assert "learning_rate=0.005" not in set(estimate.arms["configuration"])


def test_all_diverged_leaves_an_experiment_without_a_best():
    names = ["epochs=3", "baseline", "epochs=10"]
    records = make_records(["epochs"], diverged=[(name, seed) for name in names for seed in range(5)])
    estimate = analyse(records).experiments[0]
    assert (estimate.best, estimate.recommended, estimate.tied) == (None, None, ())
    assert estimate.verdict.verdict == "cannot tell"
    assert estimate.arms.empty


@pytest.mark.parametrize("n_seeds", [0, 1, 2])
def test_too_few_seeds_make_no_claim(n_seeds):
    estimates = analyse(make_records(["all"], n_seeds=n_seeds))
    assert set(estimates.verdicts["verdict"]) == {"cannot tell"}
    assert not estimates.summary["recommended"].any()
    assert estimates.summary["deficit_low"].isna().all()
    assert estimates.comparisons["p"].isna().all()
    if n_seeds:
        learning_rate = estimates.verdicts.set_index("experiment").loc["learning_rate"]
        assert int(learning_rate["seeds_to_decide"]) == 3
        assert learning_rate["seeds_source"] == "reference study, assumed"


def test_missing_trials_are_counted_and_the_rest_is_compared():
    missing = [("epochs=3", 0), ("epochs=3", 1), ("epochs=3", 2)]
    estimate = analyse(make_records(["epochs"], missing=missing)).experiments[0]
    assert estimate.incomplete == {"epochs=3": 3}
    labels = estimate.comparisons.set_index(["a", "b"])["label"]
    assert labels["epochs=3", "baseline"] == "fewer than 3 common seeds"
    assert labels["baseline", "epochs=10"] == "paired"
    assert "epochs=3" in estimate.tied


def test_a_planned_experiment_without_trials_is_kept():
    records = make_records(["epochs"])
    plans = (*records.experiments, *(RecordedExperiment(e) for e in select_experiments(["depth"])))
    estimates = analyse(replace(records, experiments=plans))
    rows = estimates.summary[estimates.summary["experiment"] == "depth"].set_index("configuration")
    assert rows["n"].to_dict() == {"depth=1": 0, "baseline": 5, "depth=3": 0}
    assert by_name(estimates, "depth").incomplete == {"depth=1": 5, "depth=3": 5}


def test_one_configuration_alone_is_neither_best_of_anything_nor_unresolved():
    estimate = analyse(make_records(["full_passes"])).experiments[0]
    assert (estimate.runner_up, estimate.recommended, estimate.seeds_to_recommend) == (None, None, "")
    assert len(estimate.tied) == 1
    assert (estimate.comparisons.empty, estimate.verdict) == (True, None)


def test_an_empty_log_directory_has_empty_tables():
    records = make_records(["epochs"], n_seeds=0)
    estimates = analyse(replace(records, experiments=()))
    assert estimates.experiments == ()
    assert tuple(estimates.summary.columns) == SUMMARY_COLUMNS
    assert estimates.group == {}


def test_infinite_losses_of_trials_that_did_not_diverge_do_not_spread():
    records = make_records(["epochs"])
    records.trials.loc[records.trials["configuration"] == "baseline", "validation_loss"] = np.nan
    row = analyse(records).summary.set_index("configuration").loc["baseline"]
    assert np.isnan(row["validation_loss_mean"])
    assert row["validation_accuracy_mean"] > 0.5


def test_confirmation_seeds_are_in_no_other_estimate():
    records = make_records(["epochs"])
    fresh = make_records(["epochs"], first_seed=1000, rng=9)
    both = analyse(join_records(records, fresh))
    pd.testing.assert_frame_equal(analyse(records).summary, both.summary)
    assert len(both.confirmation_trials) == 15
    assert (both.trials["seed"] < 1000).all()


def test_a_confirmation_is_read_from_the_fresh_seeds_alone():
    fresh = make_records(["epochs"], first_seed=1000, rng=9)
    estimates = analyse(join_records(make_records(["epochs"]), fresh))
    table = confirmation_table(estimates, "epochs", ["baseline", "epochs=10"], selection_seeds=range(5))
    assert tuple(table.columns) == CONFIRMATION_COLUMNS
    rows = table.set_index("configuration")
    values = fresh.trials.pivot(index="seed", columns="configuration", values="validation_accuracy")
    interval = stats.ttest_1samp(values["epochs=10"] - values["baseline"], 0).confidence_interval(0.95)
    assert rows["is_best"].to_dict() == {"baseline": False, "epochs=10": True}
    assert rows.loc["baseline", "validation_accuracy_mean"] == pytest.approx(values["baseline"].mean())
    found = rows.loc["baseline", ["deficit_low", "deficit_high"]].tolist()
    assert found == pytest.approx([interval.low, interval.high])
    assert np.isnan(rows.loc["epochs=10", "deficit"])


def test_a_confirmation_that_has_not_run_is_a_table_of_nothing():
    estimates = analyse(make_records(["epochs"]))
    table = confirmation_table(estimates, "epochs", ["baseline", "epochs=10"], selection_seeds=range(5))
    assert table["n"].tolist() == [0, 0]
    assert table["validation_accuracy_mean"].isna().all()


def test_the_largest_group_is_analysed_and_the_others_are_named():
    records = make_records(["epochs"])
    other = make_records(["epochs"], n_seeds=2, dataset="fashion-mnist")
    estimates = analyse(join_records(other, records))
    assert estimates.group["dataset"] == "garments"
    assert estimates.left_out[["dataset", "n_trials"]].to_numpy().tolist() == [["fashion-mnist", 6]]
    pd.testing.assert_frame_equal(estimates.summary, analyse(records).summary)
    assert choose_group(records.trials.iloc[:0])[0] == {}


def test_passes_count_the_training_images_of_the_protocol():
    assert n_train_images("garments", "holdout") == 50_000
    assert n_train_images("fashion-mnist", "test") == 60_000
    assert n_train_images("garments-small", "holdout") == 5_000


def test_foreign_runs_are_unpaired_replicates_without_a_verdict():
    foreign = make_foreign(make_records(["epochs"], n_seeds=4))
    estimates = analyse(join_records(make_records(["depth"]), foreign))
    assert [e.experiment.name for e in estimates.experiments] == ["depth", "foreign"]
    estimate = estimates.experiments[-1]
    assert (estimate.verdict, estimate.objectives.index.name) == (None, "replicate")
    assert set(estimate.comparisons["label"]) == {"unpaired"}
    assert estimate.summary["n"].tolist() == [4, 4, 4]
    assert np.isnan(estimate.noise.resolvable_paired)
    assert estimate.noise.resolvable_unpaired > 0
    assert (estimates.trials["origin"] == "gridstudy").all()


def test_only_foreign_runs_give_their_noise_floor():
    estimates = analyse(make_foreign(make_records(["epochs"], n_seeds=1)))
    assert [e.experiment.name for e in estimates.experiments] == ["foreign"]
    assert estimates.noise_floors["source"].tolist() == ["reference study, assumed"]


def test_a_mix_of_machines_is_reported():
    records = make_records(["epochs"])
    records.trials.loc[0, "host"] = "laptop"
    assert analyse(records).experiments[0].mixed == {"host": ("bench", "laptop")}


def test_a_changed_hypothesis_is_carried_to_the_verdict():
    records = make_records(["batch_size"])
    old = {"hypothesis": "the reverse", "contrasts": [], "changed": "2026-01-01", "n_complete": 12}
    changed = (replace(records.experiments[0], superseded=(old,)),)
    estimate = analyse(replace(records, experiments=changed)).experiments[0]
    assert estimate.superseded == (old,)
    assert "hypothesis changed" in estimate.verdict.labels


def test_arms_are_the_best_over_the_nuisance(study):
    arms = by_name(study, "learning_rate_per_optimizer").arms
    assert arms["arm"].tolist()[:2] == ["optimizer SGD, momentum 0", "optimizer SGD, momentum 0.9"]
    assert arms["n_selected_from"].tolist() == [5] * 5
    rows = study.summary[study.summary["experiment"] == "learning_rate_per_optimizer"]
    best = rows.groupby(["optimizer", "momentum"])["validation_accuracy_mean"].max()
    assert sorted(arms["validation_accuracy_mean"]) == pytest.approx(sorted(best))


def test_trials_that_no_plan_asks_for_are_named():
    records = make_records(["epochs", "depth"])
    estimates = analyse(replace(records, experiments=records.experiments[:1]))
    assert set(estimates.unplanned) == {"depth=1", "depth=3"}


def test_tables_survive_a_csv_file(study, tmp_path):
    for table in (study.summary, study.comparisons, study.verdicts, study.contrasts, study.noise_floors, study.arms):
        table.to_csv(tmp_path / "table.csv", index=False)
        again = pd.read_csv(tmp_path / "table.csv")
        assert list(again.columns) == list(table.columns)
        assert len(again) == len(table)
