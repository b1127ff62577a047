"""What the figures show: labels, marks, intervals, colours and words; no pixels."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PathCollection
from matplotlib.figure import Figure

from gridstudy.estimates import ExperimentEstimate, StudyEstimates, analyse
from gridstudy.experiments import read_study_file
from gridstudy.figures import (
    COLOURS,
    MOST_ROWS,
    SavedFigure,
    all_pictures,
    caption,
    configuration_styles,
    curve_bands,
    draw_curves,
    draw_experiment,
    draw_heatmap,
    draw_interaction,
    draw_isolation,
    draw_pairing,
    draw_ranking,
    draw_search,
    draw_single_runs,
    draw_time,
    experiment_points,
    finding,
    group_labels,
    interaction_sides,
    is_heatmap,
    make_scale,
    make_style,
    paired_comparisons,
    save_figures,
    searches_shown,
    short_value,
    single_runs,
    time_points,
    wrap,
)
from gridstudy.interactions import cell_table, factorials, interaction_table
from gridstudy.questions import StudyAnswers, answer_questions
from gridstudy.records import Records
from gridstudy.study import parse_experiment
from tests.tables import make_foreign, make_records

OWN_STUDY = Path(__file__).parents[1] / "examples" / "own_study.toml"
UNSTABLE = "learning_rate=0.01"
NAMES = (
    "epochs", "batch_size", "learning_rate", "optimizer", "combined", "learning_rate_per_optimizer",
    "learning_rate_x_batch_size",
)  # fmt: skip


@dataclass(frozen=True)
class Study:
    """All that figures are drawn from."""

    estimates: StudyEstimates
    answers: StudyAnswers
    cells: pd.DataFrame

    def of(self, name: str) -> ExperimentEstimate:
        return next(e for e in self.estimates.experiments if e.experiment.name == name)

    def cells_of(self, name: str) -> pd.DataFrame:
        return self.cells[self.cells["experiment"] == name]

    def save(self, folder: Path, **options: str) -> dict[str, SavedFigure]:
        return save_figures(self.estimates, answers=self.answers, cells=self.cells, folder=folder, **options)


def make_study(records: Records) -> Study:
    estimates = analyse(records)
    trials, curves = estimates.trials, estimates.curves
    plans = [e.experiment for e in estimates.experiments if e.experiment.name != "foreign"]
    designs = factorials(trials, curves, plans)
    table = interaction_table(designs)
    answers = answer_questions(trials, curves, plans, interactions=table, margin=estimates.margin)
    return Study(estimates, answers, cell_table(designs))


@pytest.fixture(scope="module")
def study() -> Study:
    return make_study(make_records(NAMES, n_seeds=4, diverged=[(UNSTABLE, 1)]))


@pytest.fixture(scope="module")
def styles(study):
    return configuration_styles(study.estimates.experiments)


@pytest.fixture(autouse=True)
def no_figure_left_open() -> Iterator[None]:
    yield
    if "matplotlib.pyplot" in sys.modules:
        assert not sys.modules["matplotlib.pyplot"].get_fignums()


def legend_of(ax: Axes) -> list[str]:
    legend = ax.get_legend()
    return [text.get_text().replace("\n", " ") for text in legend.get_texts()] if legend else []


def interval_ends(ax: Axes) -> list[float]:
    """Low and high ends of the vertical intervals, sorted."""
    collections = [c for c in ax.collections if isinstance(c, LineCollection)]
    return sorted(y for c in collections for segment in c.get_segments() for y in segment[:, 1])


def ticks_of(ax: Axes) -> list[str]:
    return [tick.get_text() for tick in ax.get_xticklabels()]


# --- one experiment ------------------------------------------------------------------------------------------------


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


def test_only_the_best_of_each_arm_is_shown_where_nuisance_is_optimised(study):
    estimate = study.of("learning_rate_per_optimizer")
    points = experiment_points(estimate)
    assert sorted(points["configuration"]) == sorted(estimate.arms["configuration"])
    assert all("at learning_rate" in label for label in points["label"])


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


def test_every_picture_carries_the_labels():
    study = make_study(make_records(["epochs", "batch_size"], n_seeds=3, validation="test"))
    pictures = list(all_pictures(study.estimates, study.answers, study.cells))
    assert pictures
    for picture in pictures:
        assert {"garments, a drawn stand-in", "course protocol: chosen on the test images"} <= set(picture.labels)


def test_labels_stand_in_the_picture(tmp_path, monkeypatch):
    titles = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, path, **_: titles.append(figure.get_suptitle()))
    make_study(make_records(["epochs", "batch_size"], n_seeds=2)).save(tmp_path)
    assert titles
    assert all("garments, a drawn stand-in" in title for title in titles)
    confounded = [" ".join(title.split()) for title in titles if "Which batch size" in title]
    assert len(confounded) == 2
    assert all("confounded with examples" in title for title in confounded)


def test_names_are_wrapped_at_their_commas():
    assert wrap("epochs=10,units2=128,depth=3", 22) == "epochs=10,units2=128,\ndepth=3"
    assert wrap("a plain sentence", 8) == "a plain\nsentence"


@pytest.mark.parametrize(
    ("value", "words"), [(0.0005, "5e-4"), (1e-5, "1e-5"), (0.01, "0.01"), (0, "0"), (64, "64"), ("SGD", "SGD")]
)
def test_small_values_are_written_short(value, words):
    assert short_value(value) == words


# --- colours and scales --------------------------------------------------------------------------------------------


def test_one_colour_per_configuration_in_all_figures(study, styles):
    points = draw_experiment(study.of("batch_size"), styles=styles)
    baseline = next(line for line in points.lines if line.get_xdata()[0] == 64 and line.get_markersize() < 10)
    bands = curve_bands(study.of("epochs"), study.estimates.curves)
    curves = draw_curves(bands, styles=styles)
    legend = curves.get_legend()
    (handle,) = (h for h, b in zip(legend.legend_handles, bands, strict=True) if b.configuration == "baseline")
    assert handle.get_color() == baseline.get_color() == styles["baseline"].color


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


# --- the whole study -----------------------------------------------------------------------------------------------


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


# --- saving --------------------------------------------------------------------------------------------------------


def test_a_study_has_all_its_figures_each_with_words(study):
    pictures = {picture.name: picture for picture in all_pictures(study.estimates, study.answers, study.cells)}
    assert {f"accuracy_{name}" for name in NAMES} <= set(pictures)
    assert {
        "curves_epochs", "heatmap_learning_rate_x_batch_size", "interaction_learning_rate_x_batch_size",
        "isolation_learning_rate_per_optimizer", "noise_floor", "time_and_accuracy", "search_cost", "ranking_by_epoch",
    } <= set(pictures)  # fmt: skip
    assert "heatmap_epochs" not in pictures
    for picture in pictures.values():
        assert picture.title and picture.alt_text
        assert "10,000 images of garments held out" in picture.caption


def test_figures_are_saved_under_their_names(tmp_path):
    saved = make_study(make_records(["epochs"], n_seeds=3)).save(tmp_path / "new" / "folder")
    for name, figure in saved.items():
        assert (figure.name, figure.path.name) == (name, f"{name}.png")
        assert figure.path.stat().st_size > 10_000
    assert "Hypothesis: " in saved["accuracy_epochs"].title


def test_absent_experiments_have_no_figures(tmp_path):
    saved = make_study(make_records(["depth"], n_seeds=3)).save(tmp_path)
    assert {name for name in saved if name.startswith(("accuracy", "heatmap", "isolation"))} == {"accuracy_depth"}
    assert sorted(path.stem for path in tmp_path.iterdir()) == sorted(saved)


def test_planned_experiments_without_trials_are_skipped(tmp_path):
    records = make_records(["epochs", "depth"], n_seeds=1)
    trials = records.trials[records.trials["configuration"] == "epochs=3"]
    cut = Records(trials, records.curves, records.experiments, records.problems)
    assert set(make_study(cut).save(tmp_path)) == {"accuracy_epochs", "curves_epochs"}


def test_one_seed_is_drawn_without_intervals(tmp_path):
    study = make_study(make_records(["batch_size", "optimizer"], n_seeds=1))
    styles = configuration_styles(study.estimates.experiments)
    ax = draw_experiment(study.of("batch_size"), styles=styles)
    assert interval_ends(ax) == []
    assert "one seed, no interval" in legend_of(ax)
    saved = study.save(tmp_path)
    assert {"accuracy_batch_size", "curves_batch_size", "time_and_accuracy"} <= set(saved)
    assert not {"noise_floor", "ranking_by_epoch"} & set(saved)
    assert "no interval from a single seed" in saved["accuracy_batch_size"].caption


def test_all_diverged_is_drawn_too(tmp_path):
    diverged = [(name, seed) for name in ("epochs=3", "baseline", "epochs=10") for seed in range(2)]
    assert "accuracy_epochs" in make_study(make_records(["epochs"], n_seeds=2, diverged=diverged)).save(tmp_path)


def test_own_experiments_are_drawn():
    own = [parse_experiment(table) for table in read_study_file(OWN_STUDY)]
    study = make_study(make_records(own, n_seeds=3))
    names = {picture.name for picture in all_pictures(study.estimates, study.answers, study.cells)}
    assert {"accuracy_weight_decay", "isolation_weight_decay", "accuracy_wide_or_deep"} <= names


def test_dollars_and_letters_that_the_font_lacks_do_no_harm(tmp_path):
    odd = {"name": "odd", "question": "Is it $5 or $6? 日本", "scientific": ["depth"], "grid": {"depth": [1, 2]}}
    plan = parse_experiment(odd, overrides={"epochs": 2})
    assert "accuracy_odd-epochs-2" in make_study(make_records([plan], n_seeds=1)).save(tmp_path)


def test_logs_of_another_program_are_drawn_apart(tmp_path):
    saved = make_study(make_foreign(make_records(["batch_size"], n_seeds=3))).save(tmp_path)
    assert list(saved) == ["accuracy_foreign"]
    assert "split and seeds unknown" in saved["accuracy_foreign"].caption
    assert "3 runs per configuration" in saved["accuracy_foreign"].caption


def test_svg_is_the_same_file_each_time(tmp_path):
    study = make_study(make_records(["epochs"], n_seeds=2))
    first, second = (study.save(tmp_path / folder, format="svg")["accuracy_epochs"].path for folder in "ab")
    assert first.suffix == ".svg"
    assert first.read_bytes() == second.read_bytes()


def test_style_of_the_caller_is_left_alone(study, tmp_path):
    before = dict(mpl.rcParams)
    make_study(make_records(["epochs"], n_seeds=1)).save(tmp_path)
    assert dict(mpl.rcParams) == before
