"""Words, colours and scales that the figures share."""

from __future__ import annotations

import pytest

from gridstudy.reporting.plotting import (
    COLOURS,
    caption,
    configuration_styles,
    experiment_points,
    finding,
    group_labels,
    make_scale,
    make_style,
    short_value,
    wrap,
)

pytestmark = pytest.mark.usefixtures("no_figure_left_open")


# --- words ---------------------------------------------------------------------------------------------------------


def test_the_finding_has_the_verdict_with_its_label(study):
    words = finding(study.of("batch_size"))
    assert "(confounded with examples)" in words
    assert study.of("batch_size").verdict.verdict in words
    assert study.of("batch_size").experiment.hypothesis in words


def test_the_caption_has_n_interval_split_budget_and_label(study):
    words = caption(study.of("batch_size"), study.estimates.group)
    for part in (
        "n = 4 seeds", "95 % t intervals", "10,000 images of garments held out, 50,000 to train on",
        "budget: 2,000 to 64,000 images in 500 updates", "confounded with examples",
    ):  # fmt: skip
        assert part in words


def test_stand_in_data_and_the_course_protocol_are_named():
    assert group_labels({"dataset": "fashion-mnist", "validation": "holdout"}) == ()
    assert group_labels({"dataset": "garments-small", "validation": "test"}) == (
        "garments, a drawn stand-in", "course protocol: chosen on the test images"
    )  # fmt: skip


def test_names_are_wrapped_at_their_commas():
    assert wrap("epochs=10,units2=128,depth=3", 22) == "epochs=10,units2=128,\ndepth=3"
    assert wrap("a plain sentence", 8) == "a plain\nsentence"


@pytest.mark.parametrize(
    ("value", "words"), [(0.0005, "5e-4"), (1e-5, "1e-5"), (0.01, "0.01"), (0, "0"), (64, "64"), ("SGD", "SGD")]
)
def test_small_values_are_written_short(value, words):
    assert short_value(value) == words


# --- configurations, colours and scales ----------------------------------------------------------------------------


def test_only_the_best_of_each_arm_is_shown_where_nuisance_is_optimised(study):
    estimate = study.of("learning_rate_per_optimizer")
    points = experiment_points(estimate)
    assert sorted(points["configuration"]) == sorted(estimate.arms["configuration"])
    assert all("at learning_rate" in label for label in points["label"])


def test_colours_differ_within_an_experiment_of_few(study, styles):
    for estimate in study.estimates.experiments:
        shown = experiment_points(estimate)["configuration"]
        if len(shown) <= len(COLOURS):
            assert len({styles[name].color for name in shown}) == len(shown), estimate.experiment.name


def test_styles_do_not_depend_on_later_experiments(study):
    few = configuration_styles([study.of("epochs"), study.of("batch_size")])
    more = configuration_styles([study.of("epochs"), study.of("batch_size"), study.of("optimizer")])
    assert few.items() <= more.items()


def test_256_styles_differ():
    assert len({make_style(index) for index in range(256)}) == 256


@pytest.mark.parametrize(
    ("name", "values", "kind"),
    [
        ("epochs", [3, 5, 10], "linear"), ("batch_size", [16, 32, 64], "log"), ("learning_rate", [1e-3, 3e-3], "log"),
        ("weight_decay", [0.0, 0.01, 0.3], "category"), ("optimizer", ["SGD", "Adam"], "category"),
        ("depth", [1, 2, 3], "linear"), ("train_steps", [100, 1000], "log"),
    ],
)  # fmt: skip
def test_scale_fits_the_values(name, values, kind):
    assert make_scale(name, values).kind == kind
