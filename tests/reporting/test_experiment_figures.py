"""What the figures of an experiment show: labels, marks, intervals and colours; no pixels."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.collections import PathCollection

from gridstudy.core.study import parse_experiment
from gridstudy.reporting.experiment_figures import (
    MOST_ROWS,
    curve_bands,
    draw_curves,
    draw_experiment,
    draw_heatmap,
    draw_interaction,
    draw_isolation,
    interaction_sides,
    is_heatmap,
)
from gridstudy.reporting.figures import all_pictures
from gridstudy.reporting.plotting import configuration_styles
from tests.pictures import UNSTABLE, interval_ends, legend_of, make_study, ticks_of
from tests.tables import make_records

pytestmark = pytest.mark.usefixtures("no_figure_left_open")


# --- accuracy ------------------------------------------------------------------------------------------------------


def test_every_seed_is_a_mark_behind_its_mean_and_interval(study, styles):
    estimate = study.of("batch_size")
    ax = draw_experiment(estimate, styles=styles)
    seeds = [c for c in ax.collections if isinstance(c, PathCollection)]
    assert sum(len(c.get_offsets()) for c in seeds) == estimate.objectives.size == 24
    assert all(c.get_alpha() < 0.5 for c in seeds)
    table = estimate.summary
    expected = table[["validation_accuracy_low", "validation_accuracy_high"]].to_numpy().ravel()
    assert interval_ends(ax) == pytest.approx(sorted(expected))
    means = [line.get_ydata()[0] for line in ax.lines if line.get_marker() != "o" or line.get_markersize() < 10]
    assert set(np.round(table["validation_accuracy_mean"], 9)) <= set(np.round(np.array(means, float), 9))


def test_powers_of_two_and_rates_have_log_axes_with_a_tick_at_each_value(study, styles):
    batches = draw_experiment(study.of("batch_size"), styles=styles)
    assert (batches.get_xscale(), ticks_of(batches)) == ("log", ["4", "8", "16", "32", "64", "128"])
    rates = draw_experiment(study.of("learning_rate"), styles=styles)
    assert (rates.get_xscale(), ticks_of(rates)) == ("log", ["1e-5", "1e-4", "5e-4", "1e-3", "5e-3", "0.01"])
    assert rates.get_xlabel() == "learning_rate"
    assert rates.get_ylabel() == "validation accuracy"


def test_optimizers_are_categories_and_epochs_stand_at_their_distance(study, styles):
    optimizers = draw_experiment(study.of("optimizer"), styles=styles)
    assert ticks_of(optimizers) == ["SGD", "Adam", "AdamW", "RMSprop"]
    epochs = draw_experiment(study.of("epochs"), styles=styles)
    assert (epochs.get_xscale(), list(epochs.get_xticks())) == ("linear", [3, 5, 10])


def test_tied_are_filled_others_hollow_and_the_recommended_is_ringed():
    effects = {"epochs=3": 0.70, "baseline": 0.85, "epochs=10": 0.8501}
    estimate = make_study(make_records(["epochs"], effects=effects, sd=0.002)).of("epochs")
    styles = configuration_styles([estimate])
    ax = draw_experiment(estimate, styles=styles)
    faces = {line.get_xdata()[0]: line.get_markerfacecolor() for line in ax.lines if line.get_markersize() < 10}
    assert faces == {3: "white", 5: styles["baseline"].color, 10: styles["epochs=10"].color}
    assert estimate.recommended == "baseline"
    assert [line.get_xdata()[0] for line in ax.lines if line.get_markersize() > 10] == [5]
    assert legend_of(ax) == [
        "mean of 5 seeds, 95 % interval", "one seed", "filled: may be the best (tied with the best)", "recommended"
    ]  # fmt: skip


def test_an_unstable_configuration_is_crossed_out_and_has_no_interval(study, styles):
    ax = draw_experiment(study.of("learning_rate"), styles=styles)
    assert [line.get_xdata()[0] for line in ax.lines if line.get_marker() == "X"] == [0.01]
    assert len(interval_ends(ax)) == 2 * 5
    assert "unstable: a seed diverged" in legend_of(ax)


def test_combinations_are_ranked_in_rows_with_wrapped_names(study, styles):
    ax = draw_experiment(study.of("combined"), styles=styles)
    rows = [tick.get_text() for tick in ax.get_yticklabels()]
    assert len(rows) == 3
    assert all(len(line) <= 30 for row in rows for line in row.split("\n"))
    lines = [line for line in ax.lines if line.get_markersize() < 10]
    means = [line.get_xdata()[0] for line in sorted(lines, key=lambda line: line.get_ydata()[0])]
    assert means == sorted(means, reverse=True)
    low, high = ax.get_ylim()
    assert low > high  # the first row is the top one


def test_a_long_ranking_shows_the_highest_means_and_says_so():
    plan = parse_experiment(
        {"name": "many", "scientific": ["units1", "units2", "depth"],
         "grid": {"units1": [8, 16, 32, 64], "units2": [8, 16, 32, 64], "depth": [2, 3, 4]}}
    )  # fmt: skip
    study = make_study(make_records([plan], n_seeds=3))
    pictures = {p.name: p for p in all_pictures(study.estimates, study.answers, study.cells)}
    picture = pictures["accuracy_many"]
    assert len(picture.figure.axes[0].get_yticks()) == MOST_ROWS
    assert f"the {MOST_ROWS} highest means of 48 configurations" in picture.caption
    assert {name for name in pictures if name.startswith("interaction_many")} == {
        "interaction_many_units1_x_units2", "interaction_many_units1_x_depth", "interaction_many_units2_x_depth"
    }  # fmt: skip


def test_drawing_into_given_axes_returns_them(study, styles):
    ax = draw_experiment(study.of("epochs"), styles=styles)
    ax.clear()
    assert draw_experiment(study.of("optimizer"), styles=styles, ax=ax) is ax


def test_one_colour_per_configuration_in_all_figures(study, styles):
    points = draw_experiment(study.of("batch_size"), styles=styles)
    baseline = next(line for line in points.lines if line.get_xdata()[0] == 64 and line.get_markersize() < 10)
    bands = curve_bands(study.of("epochs"), study.estimates.curves)
    curves = draw_curves(bands, styles=styles)
    legend = curves.get_legend()
    (handle,) = (h for h, b in zip(legend.legend_handles, bands, strict=True) if b.configuration == "baseline")
    assert handle.get_color() == baseline.get_color() == styles["baseline"].color


# --- factorial experiments, isolation, curves ----------------------------------------------------------------------


def test_heatmap_cells_show_means_frames_and_what_is_unstable(study):
    estimate = study.of("learning_rate_x_batch_size")
    assert UNSTABLE in estimate.unstable
    ax = draw_heatmap(estimate)
    words = [text.get_text() for text in ax.texts]
    assert len(words) == 20
    assert words.count("unstable\n1 of 4") == 1
    means = estimate.summary.loc[estimate.summary["n_diverged"] == 0, "validation_accuracy_mean"]
    assert sorted(w.split()[0] for w in words if "unstable" not in w) == sorted(f"{100 * m:.1f}" for m in means)
    assert len(ax.patches) == len(estimate.tied)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("batch_size (images per batch)", "learning_rate")


def test_unequal_examples_never_share_a_heatmap():
    plan = parse_experiment(
        {"name": "unequal", "scientific": ["batch_size", "depth"], "grid": {"batch_size": [16, 64], "depth": [1, 2]}}
    )
    study = make_study(make_records([plan, "epochs"], n_seeds=3))
    assert not is_heatmap(study.of("unequal"))
    names = {p.name for p in all_pictures(study.estimates, study.answers, study.cells)}
    assert "heatmap_unequal" not in names
    assert "interaction_unequal" in names


def test_interaction_plot_has_a_line_per_level_with_intervals(study):
    cells = study.cells_of("learning_rate_x_batch_size")
    along, lines = interaction_sides(cells)
    assert (along.name, lines.name) == ("learning_rate", "batch_size")
    ax = draw_interaction(cells)
    assert ax.get_xscale() == "log"
    assert legend_of(ax) == ["128", "64", "32", "16"]
    assert len(ax.lines) == 4
    known = cells[cells["mean"].notna()]
    assert len(known) == 19
    assert interval_ends(ax) == pytest.approx(sorted(known[["low", "high"]].to_numpy().ravel()))


def test_isolation_plot_has_a_line_per_arm_and_rings_the_best(study, styles):
    estimate = study.of("learning_rate_per_optimizer")
    ax = draw_isolation(estimate, styles=styles)
    assert ax.get_xscale() == "log"
    assert len(legend_of(ax)) == len(estimate.arms) + 2
    rings = [line.get_ydata()[0] for line in ax.lines if line.get_markersize() == 15]
    assert sorted(rings) == pytest.approx(sorted(estimate.arms["validation_accuracy_mean"]))


def test_curves_show_seeds_means_and_only_the_seeds_of_the_unstable(study, styles):
    bands = curve_bands(study.of("learning_rate"), study.estimates.curves)
    by_name = {band.configuration: band for band in bands}
    assert len(bands) == 6
    assert np.isnan(by_name[UNSTABLE].mean).all()
    stable = by_name["baseline"]
    assert stable.mean == pytest.approx(stable.seeds.mean(axis=0))
    ax = draw_curves(bands, styles=styles)
    assert len(ax.lines) == 6 * (4 + 1)
    assert any("unstable, 1 of 4" in label for label in legend_of(ax))
    assert ax.get_xlabel() == "epoch"


def test_too_many_configurations_have_no_curves(study):
    assert curve_bands(study.of("learning_rate_x_batch_size"), study.estimates.curves) == []
