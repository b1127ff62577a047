"""What the figures of an experiment show: labels, marks, intervals and colours; no pixels."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.colors import to_hex, to_rgb

from gridstudy.fashion.subject import SUBJECT
from gridstudy.reporting.arm_figures import MOST_ROWS, arms_legend, draw_arms, draw_differences, draw_levels, read_arms
from gridstudy.reporting.curve_figures import curve_bands, draw_curves
from gridstudy.reporting.grid_figures import (
    draw_heatmap,
    draw_lines,
    interaction_sides,
    is_heatmap,
    read_interaction,
    read_isolation,
)
from gridstudy.reporting.plotting import BLUE, GREEN, GREY, drawing_of, legend_below, unit_of
from tests.pictures import UNSTABLE, dots, interval_ends, legend_of, make_study, texts_of, ticks_of
from tests.tables import make_records, solver_records

pytestmark = pytest.mark.usefixtures("no_figure_left_open")

PERCENT = unit_of(SUBJECT.objective)


def arms_of(study, name):
    return read_arms(study.of(name), study.estimates)


# --- arms and differences ------------------------------------------------------------------------------------------


def test_every_seed_is_a_faint_mark_behind_its_mean_and_interval(study):
    estimate = study.of("batch_size")
    ax = draw_levels(arms_of(study, "batch_size"))
    assert len(dots(ax, faint=True)) == estimate.objectives.size == 24
    table = 100 * estimate.summary[["objective_mean", "objective_low", "objective_high"]]
    assert interval_ends(ax) == pytest.approx(sorted(table[["objective_low", "objective_high"]].to_numpy().ravel()))
    assert [y for _, y in dots(ax)] == pytest.approx(table["objective_mean"].tolist())
    assert ax.get_ylabel() == "validation accuracy (%)"


def test_differences_to_the_best_are_drawn_with_their_intervals_and_the_margin(study):
    arms = arms_of(study, "batch_size")
    ax = draw_differences(arms)
    known = arms.points[arms.points["difference_low"].notna()]
    assert len(known) == 5
    ends = known[["difference_low", "difference_high"]].to_numpy(float).ravel()
    assert interval_ends(ax) == pytest.approx(sorted(ends))
    (band,) = ax.patches
    assert (band.get_y(), band.get_height()) == (-0.5, 1.0)
    assert max(y for _, y in dots(ax)) == 0


def test_powers_of_two_and_rates_have_log_axes_with_a_tick_at_each_value_in_one_notation(study):
    _, below = draw_arms(arms_of(study, "batch_size"))
    assert (below.get_xscale(), ticks_of(below)) == ("log", ["4", "8", "16", "32", "64", "128"])
    _, below = draw_arms(arms_of(study, "learning_rate"))
    assert (below.get_xscale(), ticks_of(below)) == ("log", ["1e-5", "1e-4", "5e-4", "1e-3", "5e-3", "1e-2"])
    assert below.get_xlabel() == "learning rate"


def test_epochs_stand_at_their_distance(study):
    _, below = draw_arms(arms_of(study, "epochs"))
    assert (below.get_xscale(), list(below.get_xticks())) == ("linear", [3, 5, 10])


def test_categories_are_rows_with_the_best_on_top(study):
    level, difference = draw_arms(arms_of(study, "optimizer"))
    rows = [tick.get_text() for tick in level.get_yticklabels()]
    assert sorted(rows) == ["Adam (baseline)", "AdamW", "RMSprop", "SGD"]
    low, high = level.get_ylim()
    assert low > high
    means = [x for x, _ in sorted(dots(level), key=lambda dot: dot[1])]
    assert means == sorted(means, reverse=True)
    assert difference.get_xlabel() == "difference to the best\n(percentage points)"


def test_an_outlier_is_an_arrow_with_its_number_and_does_not_squeeze_the_others():
    effects = {"optimizer=SGD": 0.30, "baseline": 0.840, "optimizer=AdamW": 0.841, "optimizer=RMSprop": 0.838}
    study = make_study(make_records(["optimizer"], effects=effects, sd=0.002))
    level, difference = draw_arms(arms_of(study, "optimizer"))
    low, high = level.get_xlim()
    assert 82 < low < high < 86
    mean = study.of("optimizer").summary.set_index("configuration")["objective_mean"]["optimizer=SGD"]
    assert texts_of(level) == [f"{100 * mean:.1f} %"]
    assert len(dots(level)) == 3
    assert difference.get_xscale() == "symlog"
    assert len(dots(difference)) == 4


def test_colour_says_recommended_tied_or_behind():
    effects = {"epochs=3": 0.842, "baseline": 0.85, "epochs=10": 0.8501}
    study = make_study(make_records(["epochs"], effects=effects, sd=0.002))
    arms = arms_of(study, "epochs")
    level, _ = draw_arms(arms)
    edges = {
        float(c.get_offsets()[0][0]): to_hex(c.get_edgecolor()[0]) for c in level.collections
        if hasattr(c, "get_sizes") and len(c.get_sizes()) and c.get_alpha() is None
    }  # fmt: skip
    assert edges == {3: GREY, 5: GREEN, 10: BLUE}
    legend_below(drawing_of(level), arms_legend(arms))
    assert legend_of(drawing_of(level)) == [
        "one seed", "95 % interval", "recommended: the cheapest within the margin", "may be the best (tied)",
        "shown to be behind the best", "to the joint bound over all arms", "within the margin",
    ]  # fmt: skip


def test_an_unstable_arm_has_no_interval_and_its_diverged_seed_does_not_squeeze_the_others(study):
    arms = arms_of(study, "learning_rate")
    ax = draw_levels(arms)
    assert len(interval_ends(ax)) == 2 * 5
    assert ax.get_ylim()[0] > 12  # the diverged seed scores 10 %
    assert "unstable: a seed diverged, so not ranked" in [handle.get_label() for handle in arms_legend(arms)]


def test_before_the_first_look_the_caption_says_provisional():
    captions = [make_study(make_records(["epochs"], n_seeds=n)).figures()["accuracy_epochs"].caption for n in (2, 3)]
    assert ["Provisional" in caption for caption in captions] == [True, False]


def test_a_long_ranking_shows_the_best_means_and_says_so():
    plan = SUBJECT.parse(
        {"name": "many", "scientific": ["units1", "units2", "depth"],
         "grid": {"units1": [8, 16, 32, 64], "units2": [8, 16, 32, 64], "depth": [2, 3, 4]}}
    )  # fmt: skip
    figures = make_study(make_records([plan], n_seeds=3)).figures()
    assert len(figures["accuracy_many"].drawing.axes[0].get_yticks()) == MOST_ROWS
    assert f"The {MOST_ROWS} best means of 48 configurations" in figures["accuracy_many"].caption
    assert {name for name in figures if name.startswith("interaction_many")} == {
        "interaction_many_units1_x_units2", "interaction_many_units1_x_depth", "interaction_many_units2_x_depth"
    }  # fmt: skip


def test_where_less_is_better_scores_are_shown_as_measured_and_the_lowest_is_best():
    study = make_study(solver_records())
    arms = arms_of(study, "solver")
    level, difference = draw_arms(arms)
    assert level.get_xlabel() == "latency (ms)"
    summary = study.of("solver").summary
    assert arms.points["configuration"].iloc[0] == summary.sort_values("objective_mean")["configuration"].iloc[0]
    means = study.of("solver").summary["objective_mean"]
    assert sorted(x for x, _ in dots(level)) == pytest.approx(sorted(means))
    assert max(x for x, _ in dots(difference)) == 0
    assert min(x for x, _ in dots(level, faint=True)) > 0


def test_drawing_into_given_axes_returns_them(study):
    ax = draw_levels(arms_of(study, "epochs"))
    ax.clear()
    assert draw_levels(arms_of(study, "optimizer"), ax=ax) is ax


# --- heatmaps ------------------------------------------------------------------------------------------------------


def test_heatmap_cells_show_means_frames_and_what_is_unstable(study):
    estimate = study.of("learning_rate_x_batch_size")
    assert UNSTABLE in estimate.unstable
    ax = draw_heatmap(estimate, study.estimates)
    words = [text for text in texts_of(ax) if text]
    assert len(words) == 20
    assert words.count("unstable\n1 of 4") == 1
    means = estimate.summary.loc[estimate.summary["n_diverged"] == 0, "objective_mean"]
    assert sorted(w.split()[0] for w in words if "unstable" not in w) == sorted(f"{100 * m:.1f}" for m in means)
    assert len(ax.patches) == len(estimate.tied)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("batch size", "learning rate")


def test_the_frames_of_a_heatmap_are_explained_in_its_legend_and_caption(study):
    figure = study.figures()["heatmap_learning_rate_x_batch_size"]
    assert "framed: may be the best (tied with the best)" in legend_of(figure.drawing)
    assert f"{len(study.of('learning_rate_x_batch_size').tied)} of 20 cells are framed" in figure.caption


def test_unequal_examples_never_share_a_heatmap():
    plan = SUBJECT.parse(
        {"name": "unequal", "scientific": ["batch_size", "depth"], "grid": {"batch_size": [16, 64], "depth": [1, 2]}}
    )
    study = make_study(make_records([plan, "epochs"], n_seeds=3))
    assert not is_heatmap(study.of("unequal"), epochs="epochs")
    figures = study.figures()
    assert "heatmap_unequal" not in figures
    assert "interaction_unequal" in figures


# --- lines in panels -----------------------------------------------------------------------------------------------


def panels_of(ax):
    return {panel.get_title(): panel for panel in drawing_of(ax).axes if panel.get_title()}


def test_interactions_have_a_panel_per_line_so_that_no_two_intervals_share_a_place(study):
    cells = study.cells_of("learning_rate_x_batch_size")
    along, split = interaction_sides(cells, study.estimates)
    assert (along.name, split.name) == ("learning_rate", "batch_size")
    panels = panels_of(draw_lines(read_interaction(cells, study.estimates)))
    assert list(panels) == ["batch size: 16", "batch size: 32", "batch size: 64", "batch size: 128"]
    known = cells[cells["mean"].notna()]
    assert len(known) == 19
    ends = [end for ax in panels.values() for end in interval_ends(ax, width=1.6)]
    assert sorted(ends) == pytest.approx(sorted(100 * known[["low", "high"]].to_numpy().ravel()))
    assert panels["batch size: 128"].get_xscale() == "log"


def test_isolation_has_a_panel_per_arm_in_its_true_places_and_rings_the_best(study):
    estimate = study.of("learning_rate_per_optimizer")
    panels = panels_of(draw_lines(read_isolation(estimate, study.estimates)))
    assert list(panels) == estimate.arms["arm"].tolist()
    rings = [line.get_ydata()[0] for ax in panels.values() for line in ax.lines if line.get_markersize() == 13]
    assert sorted(rings) == pytest.approx(sorted(100 * estimate.arms["objective_mean"]))
    rates = set(estimate.summary["learning_rate"])
    assert {float(x) for ax in panels.values() for line in ax.lines for x in line.get_xdata()} <= rates


# --- learning curves -----------------------------------------------------------------------------------------------


def test_curves_show_seeds_means_and_only_the_seeds_of_the_unstable(study):
    bands = curve_bands(study.of("learning_rate"), study.estimates)
    by_name = {band.configuration: band for band in bands}
    assert len(bands) == 6
    assert np.isnan(by_name[UNSTABLE].mean).all()
    stable = by_name["baseline"]
    assert stable.mean == pytest.approx(stable.seeds.mean(axis=0))
    ax = draw_curves(bands, PERCENT)
    assert sum(line.get_label().startswith("_seed") for line in ax.lines) == 6 * 4
    assert any("unstable, 1 of 4" in text for text in texts_of(ax))
    assert {text.split("\n")[0] for text in texts_of(ax)} == {"1e-5", "1e-4", "5e-4", "1e-3", "5e-3", "1e-2"}
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("epoch", "validation accuracy (%)")


def test_arms_that_differ_in_epochs_only_share_one_curve(study):
    bands = curve_bands(study.of("epochs"), study.estimates)
    assert [band.configuration for band in bands] == ["epochs=10"]
    assert "The longest arm, whose curve the shorter ones share" in study.figures()["curves_epochs"].caption


def test_what_the_labels_of_curves_are_values_of_stands_above_them(study):
    assert "batch size" in texts_of(study.figures()["curves_batch_size"].drawing.axes[0])


def test_a_curve_that_leaves_the_picture_says_where_it_ends():
    effects = {"optimizer=SGD": 0.30, "baseline": 0.840, "optimizer=AdamW": 0.841, "optimizer=RMSprop": 0.838}
    study = make_study(make_records(["optimizer"], effects=effects, sd=0.002))
    ax = draw_curves(curve_bands(study.of("optimizer"), study.estimates), PERCENT)
    assert ax.get_ylim()[0] > 35
    mean = study.of("optimizer").summary.set_index("configuration")["objective_mean"]["optimizer=SGD"]
    assert f"SGD\n(ends at {100 * mean:.1f} %)" in texts_of(ax)


def test_colours_follow_the_order_of_numbers(study):
    bands = curve_bands(study.of("batch_size"), study.estimates)
    ax = draw_curves(bands, PERCENT, ordered=True)
    lightness = [np.dot(to_rgb(text.get_color()), [0.3, 0.59, 0.11]) for text in ax.texts]
    assert lightness == sorted(lightness)
    assert len({text.get_color() for text in ax.texts}) == len(bands)


def test_too_many_configurations_have_no_curves(study):
    assert curve_bands(study.of("learning_rate_x_batch_size"), study.estimates) == []
