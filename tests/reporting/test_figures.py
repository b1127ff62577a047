"""Which figures a study has, the words on them, and how they are saved; no pixels."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import matplotlib as mpl
import pytest
from matplotlib.figure import Figure as Drawing

from gridstudy.core.selection import read_study_file
from gridstudy.fashion.subject import SUBJECT
from gridstudy.reporting.figures import save_figures
from gridstudy.reporting.plotting import Figure
from tests.pictures import NAMES, make_study
from tests.tables import make_foreign, make_records, solver_records

ROOT = Path(__file__).parents[2]
OWN_STUDY = ROOT / "examples" / "own_study.toml"

pytestmark = pytest.mark.usefixtures("no_figure_left_open")


def labelled(records, *labels):
    """The records as if the subject asked for these labels."""
    plans = tuple(replace(plan, description=replace(plan.description, labels=labels)) for plan in records.plans)
    return replace(records, plans=plans)


def words_of(drawing: Drawing) -> str:
    """The title and the lines below it."""
    return " ".join([drawing.get_suptitle(), *(text.get_text() for text in drawing.texts)]).replace("\n", " ")


def test_every_figure_carries_the_subjects_labels():
    study = make_study(labelled(make_records(["epochs", "batch_size"], n_seeds=3), "a drawn stand-in", "flattered"))
    figures = study.figures()
    assert figures
    assert all({"a drawn stand-in", "flattered"} <= set(figure.labels) for figure in figures.values())


def test_labels_stand_in_the_picture(tmp_path, monkeypatch):
    saved = []
    monkeypatch.setattr(Drawing, "savefig", lambda drawing, path, **_: saved.append(words_of(drawing)))
    make_study(labelled(make_records(["epochs", "batch_size"], n_seeds=2), "a drawn stand-in")).save(tmp_path)
    assert saved
    assert all("a drawn stand-in" in words for words in saved)
    confounded = [words for words in saved if "Which batch size" in words]
    assert len(confounded) == 2
    assert all("confounded with examples" in words for words in confounded)


def test_a_study_has_all_its_figures_each_with_words(study):
    figures = study.figures()
    assert {f"accuracy_{name}" for name in NAMES} <= set(figures)
    assert {
        "0_forest", "curves_epochs", "heatmap_learning_rate_x_batch_size", "interaction_learning_rate_x_batch_size",
        "isolation_learning_rate_per_optimizer", "noise_floor", "time_and_accuracy", "search_cost", "ranking_by_epoch",
        "confusion",
    } <= set(figures)  # fmt: skip
    assert "heatmap_epochs" not in figures
    for figure in figures.values():
        assert figure.title and figure.alt_text and figure.kind
        assert "10,000 examples of garments" in figure.caption
    assert figures["curves_epochs"].experiment == "epochs"
    assert figures["noise_floor"].experiment == ""


def test_the_first_file_is_the_forest(tmp_path):
    saved = make_study(make_records(["epochs", "batch_size"], n_seeds=3)).save(tmp_path)
    assert min(path.name for path in tmp_path.iterdir()) == "0_forest.png"
    assert next(iter(saved)) == "0_forest"


def test_figures_are_saved_under_their_names(tmp_path):
    saved = make_study(make_records(["epochs"], n_seeds=3)).save(tmp_path / "new" / "folder")
    for name, figure in saved.items():
        assert isinstance(figure, Figure)
        assert (figure.name, figure.path.name, figure.drawing) == (name, f"{name}.png", None)
        assert figure.path.stat().st_size > 5_000
    assert saved["accuracy_epochs"].finding.startswith("Hypothesis: ")


def test_points_for_a_page_lie_within_the_picture_and_name_arm_mean_interval_and_n(tmp_path):
    study = make_study(make_records(["batch_size"], n_seeds=3))
    saved = study.save(tmp_path)
    points = saved["accuracy_batch_size"].points
    assert len(points) == 12
    assert all(0 < x < 1 and 0 < y < 1 for x, y, _ in points)
    row = study.of("batch_size").summary.set_index("configuration").loc["batch_size=128"]
    mean, low, high = (100 * row[f"objective_{part}"] for part in ("mean", "low", "high"))
    assert f"128: {mean:.1f} % [{low:.1f}, {high:.1f}], n = 3" in [text for _, _, text in points]
    levels = {text.split(":")[0]: (x, y) for x, y, text in points if " best" not in text}
    assert levels["4"][0] < levels["128"][0]
    assert levels["128"][1] < levels["4"][1]  # the better one is nearer to the top
    assert len(saved["0_forest"].points) == len(study.estimates.contrasts)


def test_absent_experiments_have_no_figures(tmp_path):
    saved = make_study(make_records(["depth"], n_seeds=3)).save(tmp_path)
    assert {name for name in saved if name.startswith(("accuracy", "heatmap", "isolation"))} == {"accuracy_depth"}
    assert sorted(path.stem for path in tmp_path.iterdir()) == sorted(saved)


def test_a_single_point_is_no_picture():
    assert "accuracy_full_passes" not in make_study(make_records(["full_passes"], n_seeds=3)).figures()


def test_planned_experiments_without_trials_are_skipped():
    records = make_records(["epochs", "depth"], n_seeds=1)
    trials = records.trials[records.trials["configuration"].isin(["epochs=3", "epochs=10"])]
    figures = make_study(replace(records, trials=trials)).figures()
    assert {figure.experiment for figure in figures.values()} == {"", "epochs"}


def test_one_seed_is_drawn_without_intervals():
    figures = make_study(make_records(["batch_size", "optimizer"], n_seeds=1)).figures()
    assert {"accuracy_batch_size", "curves_batch_size", "time_and_accuracy"} <= set(figures)
    assert not {"noise_floor", "ranking_by_epoch"} & set(figures)
    assert "one run each, so no interval" in figures["accuracy_batch_size"].caption
    (legend,) = figures["accuracy_batch_size"].drawing.legends
    assert "95 % interval" not in [text.get_text() for text in legend.get_texts()]


def test_where_everything_diverged_there_is_nothing_to_draw():
    diverged = [(name, seed) for name in ("epochs=3", "baseline", "epochs=10") for seed in range(2)]
    assert make_study(make_records(["epochs"], n_seeds=2, diverged=diverged)).figures() == {}


def test_own_experiments_are_drawn():
    own = [SUBJECT.parse(table) for table in read_study_file(OWN_STUDY, SUBJECT)]
    figures = make_study(make_records(own, n_seeds=3)).figures()
    assert {"accuracy_weight_decay", "isolation_weight_decay", "accuracy_wide_or_deep"} <= set(figures)


def test_another_subject_has_the_figures_that_it_has_material_for(tmp_path):
    saved = make_study(solver_records()).save(tmp_path)
    assert {"0_forest", "latency_solver", "heatmap_solver", "interaction_solver", "time_and_latency"} <= set(saved)
    assert not {"confusion", "ranking_by_epoch", "curves_solver"} & set(saved)
    words = " ".join(w for f in saved.values() for w in (f.title, f.caption, f.alt_text, f.finding)).lower()
    for foreign in ("accuracy", "images", "10,000", "percent", "epoch", "validation"):
        assert foreign not in words
    assert "ms" in words


def test_dollars_and_letters_that_the_font_lacks_do_no_harm(tmp_path):
    odd = {"name": "odd", "question": "Is it $5 or $6? 日本", "scientific": ["depth"], "grid": {"depth": [1, 2]}}
    plan = SUBJECT.parse(odd, overrides={"epochs": 2})
    assert any(
        name.startswith("accuracy_odd-epochs-2") for name in make_study(make_records([plan], n_seeds=1)).save(tmp_path)
    )


def test_logs_of_another_program_are_drawn_apart():
    figures = make_study(make_foreign(make_records(["batch_size"], n_seeds=3))).figures()
    assert [figure.kind for figure in figures.values()] == ["experiment"]
    (figure,) = figures.values()
    assert figure.experiment == "foreign"
    assert "split and seeds unknown" in figure.caption
    assert "3 runs per configuration" in figure.caption


def test_svg_is_the_same_file_each_time(tmp_path):
    study = make_study(make_records(["epochs"], n_seeds=2))
    first, second = (study.save(tmp_path / folder, format="svg")["accuracy_epochs"].path for folder in "ab")
    assert first.suffix == ".svg"
    assert first.read_bytes() == second.read_bytes()


def test_style_of_the_caller_is_left_alone_and_does_not_matter(tmp_path):
    study = make_study(make_records(["epochs"], n_seeds=1))
    expected = study.save(tmp_path / "plain")["accuracy_epochs"].path.read_bytes()
    loud = {"font.size": 30, "axes.facecolor": "red", "lines.linewidth": 9}  # those that the theme sets itself
    with mpl.rc_context({**loud, "axes.labelpad": 40, "savefig.facecolor": "red"}):
        before = dict(mpl.rcParams)
        assert study.save(tmp_path / "loud")["accuracy_epochs"].path.read_bytes() == expected
        assert dict(mpl.rcParams) == before


def test_two_processes_draw_the_same_figures_as_one(tmp_path, monkeypatch):
    monkeypatch.setattr(threading, "active_count", lambda: 1)  # so that it forks, whatever other tests have left
    findings = make_study(make_records(["epochs", "batch_size"], n_seeds=3)).findings
    one, two = (
        {
            name: (figure.path.read_bytes(), replace(figure, path=Path()))
            for name, figure in save_figures(findings, tmp_path / str(n), n_processes=n).items()
        }
        for n in (1, 2)
    )
    assert list(one) == list(two)
    assert one == two


@pytest.mark.parametrize("backend", ["garbage", "TkAgg"])
def test_neither_a_backend_nor_a_matplotlibrc_of_the_current_folder_matters(tmp_path, backend):
    (tmp_path / "matplotlibrc").write_bytes(b"font.size: 40\n\xff\xfe no settings\n")
    code = (
        "from pathlib import Path\n"
        "from gridstudy.statistics.findings import find\n"
        "from gridstudy.reporting.figures import save_figures\n"
        "from tests.tables import make_records\n"
        "print(len(save_figures(find(make_records(['epochs'], n_seeds=1)), Path('out'))))\n"
    )
    environment = os.environ | {"MPLBACKEND": backend, "PYTHONPATH": str(ROOT)}
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert (run.returncode, run.stderr) == (0, "")
    assert int(run.stdout) == len(list((tmp_path / "out").iterdir())) > 1


def test_seaborn_draws_and_computes_no_interval():
    texts = [path.read_text(encoding="utf-8") for path in (ROOT / "gridstudy" / "reporting").glob("*figures.py")]
    assert sum("import seaborn as sns" in text for text in texts) >= 5
    calls = [call for text in texts for call in re.findall(r"sns\.(?:line|bar|point)plot\([^)]*\)", text)]
    assert calls
    assert all("errorbar=None" in call for call in calls)
