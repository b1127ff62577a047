"""What the figures of the whole study show: labels, marks and numbers; no pixels."""

from __future__ import annotations

import numpy as np
import pytest

from gridstudy.reporting.study_figures import (
    draw_pairing,
    draw_ranking,
    draw_search,
    draw_single_runs,
    draw_time,
    paired_comparisons,
    searches_shown,
    single_runs,
    time_points,
)
from tests.pictures import UNSTABLE, legend_of

pytestmark = pytest.mark.usefixtures("no_figure_left_open")


def test_single_runs_appear_under_the_names_of_their_experiments(study):
    runs = single_runs(study.estimates)
    assert runs.configuration == "baseline"
    assert runs.names == ("epochs", "batch_size", "learning_rate", "optimizer")
    assert runs.spread == pytest.approx(max(runs.accuracies) - min(runs.accuracies))
    ax = draw_single_runs(runs)
    assert list(ax.lines[0].get_xdata()) == list(runs.accuracies)


def test_pairing_shows_each_paired_comparison_once(study):
    comparisons = paired_comparisons(study.estimates)
    assert not comparisons.duplicated(["a", "b"]).any()
    assert UNSTABLE not in set(comparisons["a"]) | set(comparisons["b"])
    ax = draw_pairing(comparisons)
    expected = 100 * comparisons[["unpaired_sd", "difference_sd"]].to_numpy()
    np.testing.assert_allclose(np.asarray(ax.collections[0].get_offsets()), expected)


def test_pareto_front_rises_and_nothing_faster_beats_it(study, styles):
    points = time_points(study.estimates)
    assert UNSTABLE not in set(points["configuration"])
    front = points[points["on_front"]]
    assert front["validation_accuracy_mean"].is_monotonic_increasing
    for row in points[~points["on_front"]].itertuples():
        faster = front[front["seconds_mean"] <= row.seconds_mean]
        assert faster["validation_accuracy_mean"].max() >= row.validation_accuracy_mean
    ax = draw_time(points, styles=styles)
    assert ax.get_xscale() == "log"
    assert len(legend_of(ax)) == len(front)


def test_times_within_a_decade_are_marked_in_plain_numbers(study, styles):
    points = time_points(study.estimates)
    seconds = points["seconds_mean"].to_numpy()
    squeezed = 0.3 * (seconds / seconds.min()) ** (np.log(8) / np.log(seconds.max() / seconds.min()))
    ax = draw_time(points.assign(seconds_mean=squeezed), styles=styles)
    ax.figure.canvas.draw()
    low, high = ax.get_xlim()
    labels = [t.get_text() for t in ax.get_xticklabels(which="both") if low <= t.get_position()[0] <= high]
    assert labels == ["0.5", "1", "2"]


def test_search_ends_at_the_whole_grid_and_halving_costs_less(study):
    (search, *_) = searches_shown(study.answers)
    assert search.experiment == "learning_rate_per_optimizer"
    halvings = [h for h in study.answers.halvings if h.experiment == search.experiment]
    ax = draw_search(search, halvings)
    reported, honest = ax.lines[0], ax.lines[1]
    assert reported.get_xdata()[-1] == search.n_configurations
    assert honest.get_ydata()[-1] == pytest.approx(search.honest[-1].value)
    marks = [line for line in ax.lines if line.get_marker() in ("^", "v")]
    assert [m.get_xdata()[0] for m in marks] == pytest.approx(
        [h.epochs_share * search.n_configurations for h in halvings]
    )


def test_ranking_ends_in_perfect_agreement(study):
    ranking = next(r for r in study.answers.rankings if r.experiment == "batch_size")
    ax = draw_ranking(ranking)
    tau, share = ax.lines[0], ax.lines[1]
    assert list(tau.get_xdata()) == [1, 2, 3, 4, 5]
    assert tau.get_ydata()[-1] == share.get_ydata()[-1] == 1
