"""What the figures of the whole study show: labels, marks and numbers; no pixels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import PathCollection

from gridstudy.fashion.subject import SUBJECT
from gridstudy.records.verdicts import verdict_word
from gridstudy.reporting.forest_figures import draw_forest, forest_rows
from gridstudy.reporting.plotting import drawing_of, unit_of
from gridstudy.reporting.study_figures import (
    chosen_confusions,
    draw_classes,
    draw_pairing,
    draw_pairs,
    draw_rankings,
    draw_search,
    draw_single_runs,
    draw_time,
    paired_comparisons,
    ranking_table,
    search_legend,
    searches_shown,
    single_runs,
    steps_of_front,
    time_points,
)
from tests.pictures import UNSTABLE, dots, make_study, texts_of
from tests.tables import make_records

pytestmark = pytest.mark.usefixtures("no_figure_left_open")

PERCENT = unit_of(SUBJECT.objective)


# --- every hypothesis ----------------------------------------------------------------------------------------------


def test_the_forest_has_a_row_per_contrast_with_its_difference_verdict_and_n(study):
    rows = forest_rows(study.estimates)
    contrasts = study.estimates.contrasts
    assert len(rows) == len(contrasts) >= len(study.estimates.verdicts)
    assert rows["difference"].tolist() == pytest.approx(contrasts["difference"].tolist(), nan_ok=True)
    ax = draw_forest(rows, PERCENT, margin=0.005)
    words = texts_of(ax)
    for row in rows.to_dict("records"):
        assert row["contrast"] in words
        assert verdict_word(row["verdict"]) in words
        if np.isfinite(row["difference"]):
            assert any(text.startswith(f"{100 * row['difference']:+.2f}") and "n = 4" in text for text in words)


def test_the_forest_groups_by_experiment_and_says_what_is_confounded(study):
    rows = forest_rows(study.estimates)
    assert rows["heading"].notna().sum() == rows["experiment"].nunique()
    notes = rows.dropna(subset="heading").set_index("experiment")["heading_note"]
    assert notes["batch_size"] == "confounded with examples"
    assert notes["epochs"] == ""
    assert "confounded with examples" in texts_of(draw_forest(rows, PERCENT, margin=0.005))
    assert rows["place"].is_monotonic_increasing


def test_the_forest_marks_where_its_scale_is_no_longer_linear(study):
    rows = forest_rows(study.estimates).iloc[:2].assign(difference=[0.013, 0.01], low=[-0.007, 0.0], high=[0.033, 0.02])
    ax = draw_forest(rows, PERCENT, margin=0.005)
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["-1", "-0.5", "0", "+0.5", "+1", "+2"]


def test_the_forest_shows_half_a_point_and_55_points_at_once(study):
    rows = forest_rows(study.estimates).iloc[:2].assign(difference=[0.005, 0.55], low=[0.003, 0.53], high=[0.007, 0.57])
    ax = draw_forest(rows, PERCENT, margin=0.005)
    assert ax.get_xscale() == "symlog"
    small, large = (ax.transData.transform((x, 0))[0] for x in (0.5, 55.0))
    zero = ax.transData.transform((0, 0))[0]
    assert small - zero > 0.1 * (large - zero)
    ticks = [tick.get_text() for tick in ax.get_xticklabels()]
    assert {"-0.5", "0", "+0.5", "+50"} <= set(ticks)
    (band,) = ax.patches
    assert (band.get_x(), band.get_width()) == (-0.5, 1.0)


def test_the_forest_comes_first_and_counts_the_verdicts(study):
    figure = next(iter(study.figures().values()))
    assert (figure.name, figure.kind) == ("0_forest", "forest")
    verdicts = study.estimates.verdicts["verdict"].value_counts()
    assert figure.finding.startswith(f"{len(study.estimates.verdicts)} hypotheses: ")
    assert all(f"{n} {verdict_word(word)}" in figure.finding for word, n in verdicts.items())


# --- noise ---------------------------------------------------------------------------------------------------------


def test_single_runs_are_the_seeds_of_the_configuration_in_most_experiments(study):
    runs = single_runs(study.estimates)
    assert (runs.configuration, runs.seeds) == ("baseline", (0, 1, 2, 3))
    assert runs.spread == pytest.approx(max(runs.scores) - min(runs.scores))
    ax = draw_single_runs(runs, PERCENT)
    assert sorted(x for x, _ in dots(ax)) == pytest.approx(sorted(100 * score for score in runs.scores))
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["seed 0", "seed 1", "seed 2", "seed 3"]
    assert f"{100 * runs.spread:.2f} points apart" in ax.get_title(loc="left")


def test_pairing_shows_each_comparison_once_and_says_its_median(study):
    comparisons = paired_comparisons(study.estimates)
    assert not comparisons.duplicated(["a", "b"]).any()
    assert UNSTABLE not in set(comparisons["a"]) | set(comparisons["b"])
    ax = draw_pairing(comparisons, PERCENT)
    (cloud,) = (c for c in ax.collections if isinstance(c, PathCollection))
    expected = 100 * comparisons[["unpaired_sd", "difference_sd"]].to_numpy()
    np.testing.assert_allclose(np.asarray(cloud.get_offsets()), expected)
    unpaired, paired = np.median(expected, axis=0)
    assert f"median {unpaired:.2g}, and {paired:.2g} if paired" in ax.get_title(loc="left")


# --- time ----------------------------------------------------------------------------------------------------------


def test_pareto_front_rises_and_nothing_faster_beats_it(study):
    points = time_points(study.estimates)
    assert UNSTABLE not in set(points["configuration"])
    front = points[points["on_front"]]
    assert front["objective_mean"].is_monotonic_increasing
    for row in points[~points["on_front"]].itertuples():
        faster = front[front["seconds_median"] <= row.seconds_median]
        assert faster["objective_mean"].max() >= row.objective_mean


def test_the_front_is_labelled_where_it_gains_more_than_the_margin(study):
    points = time_points(study.estimates)
    front = points[points["on_front"]]
    steps = steps_of_front(front, margin=0.005)
    assert (np.diff(steps["score"]) > 0).all()
    assert (np.diff(steps["score"])[:-1] > 0.005).all()
    ax = draw_time(points, PERCENT, margin=0.005)
    assert ax.get_xscale() == "log"
    assert [" ".join(text.split()) for text in texts_of(ax)] == steps["label"].tolist()
    assert all(": " in label for label in steps["label"])


def test_times_within_a_decade_are_marked_in_plain_numbers(study):
    points = time_points(study.estimates)
    seconds = points["seconds_median"].to_numpy()
    squeezed = 0.3 * (seconds / seconds.min()) ** (np.log(8) / np.log(seconds.max() / seconds.min()))
    ax = draw_time(points.assign(seconds_median=squeezed), PERCENT, margin=0.005)
    drawing_of(ax).canvas.draw()
    low, high = ax.get_xlim()
    places = [tick for tick in ax.get_xticks() if low <= tick <= high]
    assert [ax.xaxis.get_major_formatter()(place) for place in places] == ["0.5", "1", "2"]


# --- search and ranking --------------------------------------------------------------------------------------------


def test_search_ends_at_the_whole_grid_and_halving_costs_less(study):
    (search, *_) = searches_shown(study.findings.answers)
    assert search.experiment == "learning_rate_per_optimizer"
    halvings = [h for h in study.findings.answers.halvings if h.experiment == search.experiment]
    ax = draw_search(search, halvings, PERCENT)
    reported, honest = ax.lines[0], ax.lines[1]
    assert reported.get_xdata()[-1] == search.n_configurations
    assert honest.get_ydata()[-1] == pytest.approx(100 * search.honest[-1].value)
    marks = [line for line in ax.lines if line.get_marker() in ("^", "v")]
    assert [m.get_xdata()[0] for m in marks] == pytest.approx(
        [h.epochs_share * search.n_configurations for h in halvings]
    )
    assert "the whole grid" in [handle.get_label() for handle in search_legend(halvings)]


def test_rankings_are_one_panel_with_the_first_epoch_that_suffices_framed(study):
    telling = [r for r in study.findings.answers.rankings if not r.is_vacuous]
    table = ranking_table(telling)
    assert list(table.index) == [r.experiment for r in telling]
    assert table.loc[telling[0].experiment, len(telling[0].rankings)] == 100
    ax = draw_rankings(telling)
    frames = {(patch.get_y() // 1, patch.get_x() // 1 + 1) for patch in ax.patches}
    assert frames == {(i, r.sufficient) for i, r in enumerate(telling) if r.sufficient is not None}
    assert len(study.figures()["ranking_by_epoch"].drawing.axes) == 1


# --- confusions ----------------------------------------------------------------------------------------------------


def test_confusions_are_those_of_the_best_recommended_configuration():
    effects = {"epochs=3": 0.70, "baseline": 0.85, "epochs=10": 0.8501}
    study = make_study(make_records(["epochs"], effects=effects, sd=0.002))
    found = chosen_confusions(study.estimates, study.findings.class_accuracy, study.findings.confusions)
    assert found.configuration == study.of("epochs").recommended == "baseline"
    names = study.estimates.description.class_names
    assert found.classes["class"].iloc[0] == names[0]  # it is made with twice as many errors
    ax = draw_classes(found.classes)
    assert sorted(x for x, _ in dots(ax)) == pytest.approx(sorted(100 * found.classes["share"]))
    bars = draw_pairs(found.pairs)
    first = bars.get_yticklabels()[0].get_text()
    assert first == f"{names[0]} taken for {names[1]}"
    assert bars.patches[0].get_width() == pytest.approx(100 * found.pairs["share"].iloc[0])


def test_without_confusion_matrices_there_is_no_such_figure():
    records = replace(make_records(["epochs"], n_seeds=3), confusions={})
    study = make_study(records)
    assert "confusion" not in study.figures()
    empty = pd.DataFrame(columns=["configuration"])
    assert chosen_confusions(study.estimates, empty, empty) is None
