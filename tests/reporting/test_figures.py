"""Which pictures a study has, the words on them, and how they are saved; no pixels."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import pytest
from matplotlib.figure import Figure

from gridstudy.core.study import parse_experiment
from gridstudy.fashion.experiments import read_study_file
from gridstudy.records.records import Records
from gridstudy.reporting.experiment_figures import draw_experiment
from gridstudy.reporting.figures import all_pictures
from gridstudy.reporting.plotting import configuration_styles
from tests.pictures import NAMES, interval_ends, legend_of, make_study
from tests.tables import make_foreign, make_records

OWN_STUDY = Path(__file__).parents[2] / "examples" / "own_study.toml"

pytestmark = pytest.mark.usefixtures("no_figure_left_open")


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
