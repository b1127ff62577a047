"""Words, units, scales and points that the figures share."""

from __future__ import annotations

import re

import numpy as np
import pytest

from gridstudy.core.space import Hyperparameter
from gridstudy.core.subject import Description, Objective
from gridstudy.fashion.subject import SUBJECT
from gridstudy.records.verdicts import verdict_word
from gridstudy.reporting.plotting import (
    BEHIND,
    RECOMMENDED,
    STYLES,
    TIED,
    UNRANKED,
    budget_words,
    caption,
    contrast_words,
    experiment_points,
    finding,
    make_scale,
    outliers,
    plain_name,
    split_words,
    spread_out,
    unit_of,
    wrap,
    wrap_label,
)
from tests.pictures import UNSTABLE, make_study
from tests.tables import describe_images, make_records, solver_records

pytestmark = pytest.mark.usefixtures("no_figure_left_open")

IMAGES = describe_images()


# --- words ---------------------------------------------------------------------------------------------------------


def test_the_finding_has_the_verdict_with_its_labels_and_the_differences(study):
    estimate = study.of("batch_size")
    words = finding(estimate, study.estimates.description)
    contrast = estimate.verdict.contrasts[0]
    assert words.startswith(f"Hypothesis: {verdict_word(estimate.verdict.verdict)} (confounded with examples")
    sides = contrast_words(estimate)[0]
    assert f"{sides}: {100 * contrast.difference:+.2f} points [{100 * contrast.low:+.2f}, " in words


def test_an_experiment_without_hypothesis_has_no_finding():
    study = make_study(make_records(["full_passes"], n_seeds=3))
    assert finding(study.of("full_passes"), study.estimates.description) == ""


def test_contrasts_name_what_differs_and_once_what_is_shared():
    table = {
        "name": "claims", "scientific": ["learning_rate", "batch_size"],
        "grid": {"learning_rate": [1e-2, 1e-3], "batch_size": [16, 64]},
        "contrasts": [
            {"better": {"learning_rate": 1e-3, "batch_size": 16}, "worse": {"learning_rate": 1e-2, "batch_size": 16}},
            {"alike": [{"learning_rate": 1e-3, "batch_size": 64}, {"learning_rate": 1e-2, "batch_size": 16}]},
        ],
    }  # fmt: skip
    study = make_study(make_records([SUBJECT.parse(table)], n_seeds=3))
    assert contrast_words(study.of("claims")) == [
        "learning rate 1e-3 vs learning rate 1e-2 (batch size 16)",
        "learning rate 1e-3, batch size 64 ≈ learning rate 1e-2, batch size 16",
    ]


def test_the_caption_has_n_interval_split_and_budget(study):
    words = caption(study.of("batch_size"), study.estimates)
    for part in (
        "n = 4 seeds", "95 % t intervals", "scored on 10,000 examples of garments, trained on 50,000",
        "budget of a trial: 500 updates, 2,000 to 64,000 examples", "confounded with examples",
    ):  # fmt: skip
        assert part in words


def test_a_subject_without_splits_and_budgets_has_neither_in_its_captions():
    study = make_study(solver_records())
    estimate = study.of("solver")
    assert budget_words(estimate) == ""
    assert split_words(study.estimates) == "data: made"
    assert "budget" not in caption(estimate, study.estimates)


def test_two_experiments_never_share_a_file_of_a_figure():
    names = ["x-y", "x:y", "x y", "x[y]", "-x-y", "ü", "ö", "epochs"]
    files = [plain_name(name) for name in names]
    assert len({file.lower() for file in files}) == len(names)
    assert (files[0], files[-1]) == ("x-y", "epochs")
    assert all(re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_-]*", file) for file in files)


def test_names_are_wrapped_at_their_commas():
    assert wrap("epochs=10,units2=128,depth=3", 22) == "epochs=10,units2=128,\ndepth=3"
    assert wrap("a plain sentence", 8) == "a plain\nsentence"


def test_labels_are_wrapped_between_their_settings():
    assert wrap_label("epochs 10, batch size 64, 512 x 256", 24) == "epochs 10,\nbatch size 64, 512 x 256"
    assert wrap_label("a very long setting that never ends", 12).count("\n") > 1


# --- units ---------------------------------------------------------------------------------------------------------


def test_fractions_are_shown_in_percent_and_points():
    unit = unit_of(SUBJECT.objective)
    assert unit.level == "validation accuracy (%)"
    assert unit.show_interval(0.84149, 0.835, 0.8472) == "84.1 % [83.5, 84.7]"
    assert unit.show_difference(-0.0028, -0.0044, -0.0011) == "-0.28 points [-0.44, -0.11]"
    assert unit.show_difference(0.0028) == "+0.28 points"


def test_other_units_are_shown_as_they_are():
    unit = unit_of(Objective("latency", unit="ms", maximise=False, margin=2.0))
    assert (unit.level, unit.difference) == ("latency (ms)", "difference (ms)")
    assert unit.show(12.345) == "12.35 ms"
    assert unit.show_difference(-3.0, -4.0, np.nan) == "-3 ms"


# --- scales --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "values", "kind", "words"),
    [
        ("epochs", [10, 3, 5], "linear", ("3", "5", "10")),
        ("batch_size", [16, 32, 64], "log", ("16", "32", "64")),
        ("learning_rate", [1e-2, 5e-3, 1e-3], "log", ("1e-3", "5e-3", "1e-2")),
        ("weight_decay", [0.0, 0.01, 0.3], "category", ("0", "1e-2", "0.3")),
        ("optimizer", ["SGD", "Adam"], "category", ("SGD", "Adam")),
    ],
)  # fmt: skip
def test_the_subject_says_the_scale_and_how_values_are_written(name, values, kind, words):
    scale = make_scale(IMAGES, name, values)
    assert (scale.kind, scale.words) == (kind, words)


def test_an_axis_has_the_subjects_title():
    assert make_scale(IMAGES, "units1", [16, 32]).title == "units in layer 1"
    other = Description("other", Objective(), (Hyperparameter("max_depth", 3),))
    assert make_scale(other, "max_depth", [1, 2]).title == "max depth"


# --- points --------------------------------------------------------------------------------------------------------


def test_the_status_of_an_arm_says_whether_it_may_be_the_best():
    effects = {"epochs=3": 0.70, "baseline": 0.85, "epochs=10": 0.8501}
    estimate = make_study(make_records(["epochs"], effects=effects, sd=0.002)).of("epochs")
    status = experiment_points(estimate).set_index("configuration")["status"]
    assert status.to_dict() == {"epochs=3": BEHIND, "baseline": RECOMMENDED, "epochs=10": TIED}


def test_an_arm_with_too_few_seeds_is_not_called_worse():
    missing = [("epochs=3", seed) for seed in (2, 3, 4)]
    estimate = make_study(make_records(["epochs"], missing=missing)).of("epochs")
    assert experiment_points(estimate).set_index("configuration")["status"]["epochs=3"] == UNRANKED


def test_differences_to_the_best_are_negative_and_lie_in_their_intervals(study):
    estimate = study.of("batch_size")
    points = experiment_points(estimate).set_index("configuration")
    assert points["difference"][estimate.best] == 0
    others = points.drop(index=estimate.best)
    assert (others["difference"] < 0).all()
    assert (others["difference_low"] < others["difference"]).all()
    assert (others["difference"] < others["difference_high"]).all()
    assert (others["bound"] < others["difference"]).all()


def test_only_the_best_of_each_arm_is_shown_where_nuisance_is_tuned(study):
    estimate = study.of("learning_rate_per_optimizer")
    points = experiment_points(estimate)
    assert sorted(points["configuration"]) == sorted(estimate.arms["configuration"])
    assert all("learning rate" in " ".join(label.split()) for label in points["label"])


def test_an_unstable_arm_has_no_difference(study):
    point = experiment_points(study.of("learning_rate")).set_index("configuration").loc[UNSTABLE]
    assert np.isnan(point["difference"])
    assert point["status"] == "unstable"


def test_every_status_looks_different():
    assert len({(style.color, style.marker) for style in STYLES.values()}) == len(STYLES)


@pytest.mark.parametrize(
    ("means", "sign", "expected"),
    [
        ([84.0, 84.2, 83.9, 30.0], 1, [False, False, False, True]),
        ([84.0, 80.0, 76.0, 72.0], 1, [False] * 4),
        ([10.0, 11.0, 10.5, 90.0], -1, [False, False, False, True]),
        ([84.0, 30.0], 1, [False] * 2),
    ],
)  # fmt: skip
def test_outliers_are_far_behind_the_contenders(means, sign, expected):
    means = np.array(means)
    assert outliers(means, sign=sign, lows=means - 0.5, highs=means + 0.5).tolist() == expected


def test_labels_are_spread_without_overlap_in_their_order():
    places = np.array([1.0, 1.1, 5.0, 0.9])
    spread = spread_out(places, np.full(4, 1.0))
    assert spread == pytest.approx([1.0, 2.0, 5.0, 0.0])
