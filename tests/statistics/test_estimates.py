"""The analysis as a whole: what it puts where, and what it keeps out."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from gridstudy.core.errors import StudyError
from gridstudy.core.space import COLUMNS_IN_USE
from gridstudy.fashion.subject import SUBJECT
from gridstudy.statistics.comparisons import COMPARISON_COLUMNS
from gridstudy.statistics.confusion import CLASS_COLUMNS, CONFUSION_COLUMNS, most_confused
from gridstudy.statistics.estimates import (
    COMPARED,
    CONFIRMATION_COLUMNS,
    CONTRAST_COLUMNS,
    VERDICT_COLUMNS,
    analyse,
    confirmation_table,
)
from gridstudy.statistics.findings import find, missing_experiments, study_facts
from gridstudy.statistics.groups import choose_group
from gridstudy.statistics.verdicts import stored_verdicts
from tests.tables import (
    describe_images,
    join_records,
    make_foreign,
    make_records,
    new_plan,
    select,
    solver_records,
)


@pytest.fixture(scope="module")
def study():
    return analyse(make_records(["all", "follow-up"]))


def by_name(estimates, name):
    return next(e for e in estimates.experiments if e.experiment.name == name)


def test_every_experiment_is_there_in_the_studys_order(study):
    plans = select(["all", "follow-up"])
    assert [e.experiment.name for e in study.experiments] == [plan.name for plan in plans]
    assert tuple(study.comparisons.columns) == COMPARED
    assert set(COMPARISON_COLUMNS) < set(COMPARED)
    assert tuple(study.verdicts.columns) == VERDICT_COLUMNS
    assert tuple(study.contrasts.columns) == CONTRAST_COLUMNS
    assert len(study.summary) == sum(len(plan.configurations) for plan in plans)
    assert (study.comparisons["experiment"] == "units").sum() == 630
    assert len(study.verdicts) == 12


def test_a_summary_row_by_hand():
    records = make_records(["epochs"])
    row = analyse(records).summary.set_index("configuration").loc["epochs=10"]
    trials = records.trials[records.trials["configuration"] == "epochs=10"]
    for metric in ("objective", "validation_loss", "train_loss", "test_score"):
        interval = stats.ttest_1samp(trials[metric], 0).confidence_interval(0.95)
        found = row[[f"{metric}_mean", f"{metric}_low", f"{metric}_high"]].tolist()
        assert found == pytest.approx([trials[metric].mean(), interval.low, interval.high])
    assert row["objective_sd"] == pytest.approx(trials["objective"].std())
    assert (row["updates"], row["examples"], row["passes"]) == (1000, 64_000, 1.28)
    assert row["parameters"] == 784 * 256 + 256 + 256 * 256 + 256 + 2560 + 10
    assert row["seconds_mean"] == pytest.approx(trials["duration_s"].mean())
    assert row["seconds_median"] == pytest.approx(trials["duration_s"].median())
    assert row["cpu_seconds_median"] == pytest.approx(trials["cpu_s"].median())
    assert row["label"] == "10"


def test_the_summary_has_the_columns_of_the_subject(study):
    columns = list(study.summary.columns)
    assert columns[:3] == ["experiment", "configuration", "label"]
    assert columns[3:13] == list(SUBJECT.search_space.names)
    budgets = columns.index("updates")
    assert columns[budgets : budgets + 5] == ["updates", "examples", "passes", "parameters", "seconds_mean"]
    assert columns[-4:] == ["deficit_bound", "tied_with_best", "recommended", "flags"]


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


def test_beside_a_single_interval_stands_the_joint_bound():
    estimate = analyse(make_records(["units"])).experiments[0]
    rows = estimate.summary.dropna(subset="deficit")
    assert (rows["deficit_bound"] > rows["deficit_high"]).all(), "36 bounds that hold together are wider"
    assert estimate.summary.set_index("configuration")["deficit_bound"].to_dict() == pytest.approx(estimate.bounds)


def test_the_winners_curse_by_hand():
    estimate = analyse(make_records(["depth"])).experiments[0]
    # E[max of 3 normals] = 1.5 / sqrt(pi)
    spread = estimate.comparisons["difference_sd"].median() / 2**0.5
    assert estimate.winners_curse == pytest.approx(1.5 / np.pi**0.5 * spread / 5**0.5)


def test_test_score_chooses_nothing():
    records = make_records(["all"])
    scrambled = records.trials.assign(test_score=records.trials["test_score"].to_numpy()[::-1])
    a, b = analyse(records), analyse(replace(records, trials=scrambled))
    columns = [c for c in a.summary if not c.startswith("test_score")]
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
    assert row[["deficit", "deficit_bound", "validation_loss_mean", "test_score_mean"]].isna().all()
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
        assert (learning_rate["look"], learning_rate["next_look"]) == (0, 5)
        assert learning_rate["seeds_source"] == "reference study, assumed"
        assert estimates.experiments[0].best, "the highest mean, provisionally"
        assert (estimates.experiments[0].look, len(estimates.experiments[0].tied)) == (0, 3)


def test_a_configuration_without_the_seeds_of_the_first_look_is_named_and_blocks_nothing():
    missing = [("epochs=3", 0), ("epochs=3", 1), ("epochs=3", 2)]
    estimate = analyse(make_records(["epochs"], missing=missing)).experiments[0]
    assert estimate.incomplete == {"epochs=3": 5}
    labels = estimate.comparisons.set_index(["a", "b"])["label"]
    assert labels["epochs=3", "baseline"] == "fewer than 3 common seeds"
    assert labels["baseline", "epochs=10"] == "paired"
    assert "epochs=3" not in estimate.tied
    assert (estimate.look, estimate.ranked_seeds, estimate.best) == (1, 5, "epochs=10")


def test_seeds_between_two_looks_enter_the_means_and_no_ranking():
    records = make_records(["epochs"], n_seeds=8)
    plan = replace(records.plans[0], first_look=5)
    eight = analyse(replace(records, plans=(plan,)))
    five = analyse(replace(records, plans=(plan,), trials=records.trials[records.trials["seed"] < 5]))
    assert eight.summary["n"].tolist() == [8, 8, 8]
    assert eight.experiments[0].ranked_seeds == 5
    assert eight.experiments[0].bounds == five.experiments[0].bounds
    columns = ["verdict", "look", "n_seeds", "p_adjusted"]
    pd.testing.assert_frame_equal(eight.verdicts[columns], five.verdicts[columns])
    assert eight.verdicts["look"].tolist() == [1]


def test_a_planned_experiment_without_trials_is_kept():
    records = make_records(["epochs"])
    (depth,) = select(["depth"])
    plans = (*records.plans, new_plan(depth, describe_images(), seeds=range(5)))
    estimates = analyse(replace(records, plans=plans))
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
    estimates = analyse(replace(records, plans=()))
    assert estimates.experiments == ()
    assert {"experiment", "configuration", "label", "n", "objective_mean"} <= set(estimates.summary.columns)
    assert estimates.group == {}


def test_infinite_losses_of_trials_that_did_not_diverge_do_not_spread():
    records = make_records(["epochs"])
    records.trials.loc[records.trials["configuration"] == "baseline", "validation_loss"] = np.nan
    row = analyse(records).summary.set_index("configuration").loc["baseline"]
    assert np.isnan(row["validation_loss_mean"])
    assert row["objective_mean"] > 0.5


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
    values = fresh.trials.pivot(index="seed", columns="configuration", values="objective")
    interval = stats.ttest_1samp(values["epochs=10"] - values["baseline"], 0).confidence_interval(0.95)
    assert rows["is_best"].to_dict() == {"baseline": False, "epochs=10": True}
    assert rows.loc["baseline", "objective_mean"] == pytest.approx(values["baseline"].mean())
    found = rows.loc["baseline", ["deficit_low", "deficit_high"]].tolist()
    assert found == pytest.approx([interval.low, interval.high])
    assert np.isnan(rows.loc["epochs=10", "deficit"])


def test_a_confirmation_that_has_not_run_is_a_table_of_nothing():
    estimates = analyse(make_records(["epochs"]))
    table = confirmation_table(estimates, "epochs", ["baseline", "epochs=10"], selection_seeds=range(5))
    assert table["n"].tolist() == [0, 0]
    assert table["objective_mean"].isna().all()


def test_the_largest_group_is_analysed_and_the_others_are_named():
    records = make_records(["epochs"])
    other = make_records(["epochs"], n_seeds=2, dataset="fashion-mnist")
    estimates = analyse(join_records(other, records))
    assert estimates.group["dataset"] == "garments"
    assert estimates.left_out[["dataset", "n_trials"]].to_numpy().tolist() == [["fashion-mnist", 6]]
    pd.testing.assert_frame_equal(estimates.summary, analyse(records).summary)
    assert choose_group(records.trials.iloc[:0])[0] == {}


def test_passes_count_the_training_examples_of_the_description():
    passes = [
        analyse(make_records(["epochs"], validation=validation, n_seeds=1)).summary["passes"].iloc[-1]
        for validation in ("holdout", "test")
    ]
    assert passes == pytest.approx([64_000 / 50_000, 64_000 / 60_000])


def test_plans_of_another_subject_are_left_out_with_its_trials():
    both = join_records(make_records(["epochs"]), solver_records(n_seeds=1))
    estimates = analyse(both)
    assert [e.experiment.name for e in estimates.experiments] == ["epochs"]
    assert estimates.left_out[["subject", "n_trials"]].to_numpy().tolist() == [["solver", 8]]
    assert "threads" not in estimates.summary


def test_trials_that_share_name_and_seed_are_named_and_the_rest_is_kept():
    records = make_records(["epochs"])
    twin = records.trials.iloc[[0]].assign(trial_id="epochs=3/seed0-00000000", objective=0.5)
    estimates = analyse(replace(records, trials=pd.concat([records.trials, twin], ignore_index=True)))
    assert estimates.problems["path"].tolist() == [records.trials["trial_id"][0], "epochs=3/seed0-00000000"]
    assert estimates.problems["state"].tolist() == ["conflict"] * 2
    assert "epochs=3 with seed 0" in estimates.problems["reason"][0]
    assert estimates.summary["n"].tolist() == [4, 5, 5]


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
    assert {"epochs", "updates"} <= set(estimates.summary.columns)
    assert [e.experiment.name for e in estimates.experiments] == ["foreign"]
    assert estimates.noise_floors["source"].tolist() == ["reference study, assumed"]


def test_a_mix_of_machines_is_reported():
    records = make_records(["epochs"])
    records.trials.loc[0, "host"] = "laptop"
    records.trials.loc[1, "environment"] = "ATEN_CPU_CAPABILITY default"
    records.trials.loc[2, "arithmetic"] = "unknown"
    records.trials.loc[3, ["processor", "source"]] = ["Epyc", "ffffffff"]
    assert analyse(records).experiments[0].mixed == {
        "host": ("bench", "laptop"),
        "processor": ("Epyc", "Xeon"),
        "environment": ("", "ATEN_CPU_CAPABILITY default"),
        "source": ("0123abcd", "ffffffff"),
    }


def test_a_changed_hypothesis_is_carried_to_the_verdict():
    records = make_records(["batch_size"])
    old = {"hypothesis": "the reverse", "contrasts": [], "changed": "2026-01-01", "n_complete": 12}
    changed = (replace(records.plans[0], superseded=(old,)),)
    estimate = analyse(replace(records, plans=changed)).experiments[0]
    assert estimate.superseded == (old,)
    assert "hypothesis changed" in estimate.verdict.labels


def test_arms_are_the_best_over_the_nuisance(study):
    arms = by_name(study, "learning_rate_per_optimizer").arms
    assert arms["arm"].tolist()[:2] == ["SGD", "SGD, momentum 0.9"]
    assert arms["n_selected_from"].tolist() == [5] * 5
    rows = study.summary[study.summary["experiment"] == "learning_rate_per_optimizer"]
    best = rows.groupby(["optimizer", "momentum"])["objective_mean"].max()
    assert sorted(arms["objective_mean"]) == pytest.approx(sorted(best))


def test_trials_that_no_plan_asks_for_are_named():
    records = make_records(["epochs", "depth"])
    estimates = analyse(replace(records, plans=records.plans[:1]))
    assert set(estimates.unplanned) == {"depth=1", "depth=3"}


# --- labels --------------------------------------------------------------------------------------------------------


def test_every_table_that_names_configurations_has_labels(study):
    estimate = by_name(study, "learning_rate")
    labels = dict(zip(estimate.summary["configuration"], estimate.summary["label"], strict=True))
    assert labels == estimate.labels
    assert labels["baseline"] == "1e-3 (baseline)"
    row = estimate.comparisons.iloc[0]
    assert (row["a_label"], row["b_label"]) == (labels[row["a"]], labels[row["b"]])
    sides = study.contrasts.set_index(["experiment", "first", "second"])[["first_label", "second_label"]]
    rate = sides.loc["learning_rate"]
    assert [tuple(row) for row in rate.to_numpy()] == [(labels[a], labels[b]) for a, b in rate.index]
    tuned = sides.loc["learning_rate_per_optimizer"].iloc[0]
    assert tuned.tolist() == ["Adam", "SGD, momentum 0.9"], "each stands for several learning rates"
    assert study.labels["learning_rate=0.01"] == "learning rate 1e-2"


def confounded_of(**own):
    experiment = SUBJECT.parse(
        {
            "name": "own",
            "scientific": ["batch_size", "learning_rate"],
            "grid": {"batch_size": [16, 64], "learning_rate": [1e-3, 1e-2]},
            "contrasts": [
                {
                    "better": {"batch_size": 64, "learning_rate": 1e-3},
                    "worse": {"batch_size": 16, "learning_rate": 1e-3},
                },
                {
                    "better": {"batch_size": 64, "learning_rate": 1e-3},
                    "worse": {"batch_size": 64, "learning_rate": 1e-2},
                },
            ],
            **own,
        }
    )
    estimates = analyse(make_records([experiment]))
    return estimates.contrasts["confounded"].tolist(), estimates.experiments[0]


def test_confounding_belongs_to_a_contrast():
    contrasts, estimate = confounded_of()
    assert contrasts == ["examples", ""], "the second one compares equal batches"
    assert "confounded with examples" in estimate.verdict.labels
    assert estimate.confounded == ("examples",), "and so is the ranking"


def test_a_budget_that_is_the_treatment_confounds_nothing():
    contrasts, estimate = confounded_of(treatment_budgets=["examples"])
    assert contrasts == ["", ""]
    assert not [label for label in estimate.verdict.labels if label.startswith("confounded")]
    assert estimate.confounded == ()


def test_a_verdict_that_was_stored_stays():
    first = analyse(make_records(["epochs"], sd=0.002))
    assert first.verdicts["verdict"].tolist() == ["supported"]
    stored = stored_verdicts([e.verdict for e in first.experiments if e.verdict])
    worse = make_records(["epochs"], effects={"epochs=3": 0.801}, sd=0.01)
    assert analyse(worse).verdicts["verdict"].tolist() != ["supported"]
    assert analyse(worse, stored=stored).verdicts["verdict"].tolist() == ["supported"]


def test_families_come_from_the_experiments(study):
    sizes = study.verdicts.set_index("experiment")["family_size"]
    assert (sizes["epochs"], sizes["depth_x_units"]) == (7, 5)
    assert analyse(make_records(["depth"])).verdicts["family_size"].tolist() == [7], "those missing count"


# --- findings ------------------------------------------------------------------------------------------------------


def test_classes_of_the_recommended_configuration_are_counted_over_seeds():
    records = make_records(["epochs"])
    findings = find(records)
    estimate = findings.experiments[0]
    name = estimate.recommended or estimate.best
    right = 1 - (1 - records.trials.query("configuration == @name")["objective"]) * 2
    row = findings.class_accuracy.iloc[0]
    assert tuple(findings.class_accuracy.columns) == CLASS_COLUMNS
    assert (row["configuration"], row["class"], row["n_seeds"], row["n_examples"]) == (name, "T-shirt/top", 5, 5000)
    assert row["share"] == pytest.approx(right.mean(), abs=1e-3)
    assert row["low"] < row["share"] < row["high"]
    assert tuple(findings.confusions.columns) == CONFUSION_COLUMNS
    worst = most_confused(findings.confusions).iloc[0]
    assert (worst["true"], worst["predicted"]) == ("T-shirt/top", "Trouser")
    assert worst["share"] == pytest.approx(1 - row["share"])
    assert len(findings.confusions) == 100


def test_missing_experiments_are_those_of_a_family_of_which_some_were_run():
    names = [e.name for e in select(["all"])]
    assert missing_experiments(find(make_records(["epochs", "depth"]))) == [
        name for name in names if name not in ("epochs", "depth")
    ]
    assert missing_experiments(find(make_records(["depth_x_units"]))) == []


# --- a subject of another kind -------------------------------------------------------------------------------------


def test_a_minimised_score_in_a_unit_is_ranked_from_the_lowest():
    records = solver_records()
    estimates = analyse(records)
    estimate = estimates.experiments[0]
    ms = records.trials.groupby("configuration")["objective"].mean()
    assert estimate.best == estimate.recommended == ms.idxmin() == "threads=8,kernel=tiled"
    rows = estimate.summary.set_index("configuration")
    assert rows["objective_mean"].to_dict() == pytest.approx(ms.to_dict()), "means are shown as measured"
    assert rows.loc["baseline", "deficit"] == pytest.approx(ms["baseline"] - ms.min())
    assert estimate.verdict.verdict == "supported"
    assert estimates.contrasts["difference"][0] == pytest.approx(ms["baseline"] - ms["kernel=tiled"])
    assert estimates.margin == 2.0
    assert "search edge: threads" in rows.loc["threads=8,kernel=tiled", "flags"]


def test_no_hyperparameter_may_be_named_like_a_column_of_the_tables():
    records = solver_records()
    estimates = analyse(records)
    columns = {*records.trials, *records.curves, *estimates.summary, *estimates.arms}
    own = {name for plan in records.plans for c in plan.experiment.configurations for name in (*c, *c.budgets)}
    assert columns - own - {"validation_loss", "train_loss"} <= COLUMNS_IN_USE


def test_what_a_subject_lacks_has_no_columns():
    columns = set(analyse(solver_records()).summary.columns)
    assert not [c for c in columns if c.startswith(("test_score", "validation_loss", "train_loss"))]
    assert not columns & {"updates", "examples", "passes", "parameters", "epochs"}
    facts = study_facts(find(solver_records())).set_index("quantity")
    assert facts.loc["margin"].tolist() == [2.0, "ms"]
    findings = find(solver_records())
    assert findings.class_accuracy.empty
    assert findings.confusions.empty


@pytest.mark.parametrize("n_seeds", [1, 2])
def test_the_reference_spread_of_fractions_is_not_assumed_for_another_unit(n_seeds):
    estimates = analyse(solver_records(n_seeds=n_seeds))
    assert estimates.verdicts["seeds_to_decide"].tolist() == [""]
    assert np.isnan(estimates.noise_floors["assumed_difference_sd"]).all()


def test_a_margin_that_nobody_gave_is_asked_for():
    records = solver_records()
    (plan,) = records.plans
    objective = replace(plan.description.objective, margin=None)
    records = replace(records, plans=(replace(plan, description=replace(plan.description, objective=objective)),))
    with pytest.raises(StudyError, match="give them with --margin"):
        analyse(records)
    assert analyse(records, 1.5).margin == 1.5


def test_tables_survive_a_csv_file(study, tmp_path):
    for table in (study.summary, study.comparisons, study.verdicts, study.contrasts, study.noise_floors, study.arms):
        table.to_csv(tmp_path / "table.csv", index=False)
        again = pd.read_csv(tmp_path / "table.csv")
        assert list(again.columns) == list(table.columns)
        assert len(again) == len(table)


def test_a_plan_made_before_a_hyperparameter_existed_has_its_first_value():
    old, new = (make_records([name]) for name in ("epochs", "depth"))
    known = tuple(h for h in describe_images().hyperparameters if h.name != "momentum")
    before = tuple(
        replace(c, resolved={n: v for n, v in c.items() if n != "momentum"})
        for c in old.plans[0].experiment.configurations
    )
    plan = replace(
        old.plans[0],
        experiment=replace(old.plans[0].experiment, configurations=before),
        description=replace(old.plans[0].description, hyperparameters=known),
    )
    estimates = analyse(join_records(replace(old, plans=(plan,)), new))
    assert (estimates.summary["momentum"] == 0).all()
