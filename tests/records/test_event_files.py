"""What is read of event files, whole or damaged."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tests.mltrainer_logs import load, write_events, write_run, write_settings

pytest.importorskip("torch")
from torch.utils.tensorboard.writer import SummaryWriter


def test_an_event_file_cut_anywhere_gives_the_epochs_before(tmp_path):
    path = write_run(tmp_path / "run")
    content = path.read_bytes()
    seen = set()
    for length in [*range(0, len(content), 7), len(content)]:
        path.write_bytes(content[:length])
        trials, curves, problems = load(tmp_path)
        assert len(problems) == (length < len(content))
        assert len(trials) <= 1
        seen.add(len(curves))
        if len(trials):
            assert trials["epochs"][0] == len(curves)
            assert curves["validation_accuracy"].to_numpy() == pytest.approx([0.5, 0.6, 0.7][: len(curves)])
    assert seen == {0, 1, 2, 3}


def test_a_flipped_bit_never_changes_a_figure_unseen(tmp_path):
    path = write_run(tmp_path / "run")
    content = path.read_bytes()
    for at in range(0, len(content), 5):
        path.write_bytes(content[:at] + bytes([content[at] ^ 4]) + content[at + 1 :])
        _, curves, problems = load(tmp_path)
        assert len(problems) == 1
        if len(curves):
            assert curves["validation_accuracy"].to_numpy() == pytest.approx([0.5, 0.6, 0.7][: len(curves)])


def test_a_run_that_ended_early_counts_for_the_epochs_it_has(tmp_path):
    write_run(tmp_path / "whole", epochs=3)
    write_run(tmp_path / "cut", (0.5, 0.6), epochs=3)
    trials, _, problems = load(tmp_path)
    assert dict(zip(trials["trial_id"], trials["configuration"], strict=True)) == {
        "cut": "epochs=2",
        "whole": "epochs=3",
    }
    ((path, state, reason),) = problems
    assert (path.name, state) == ("cut", "interrupted")
    assert "2 of 3 epochs" in reason


def test_early_stopping_is_no_interruption(tmp_path):
    write_settings(tmp_path / "run", epochs=9, patience=2)
    write_events(tmp_path / "run", (0.5,) * 4, losses=[1.0, 0.5, 0.6, 0.7])
    trials, curves, problems = load(tmp_path)
    assert not problems
    assert (trials["epochs"][0], trials["updates"][0], len(curves)) == (9, 4 * 7, 4)


def test_a_restart_replaces_what_it_logs_again(tmp_path):
    write_events(tmp_path / "run", (0.1, 0.2, 0.3), filename_suffix=".a")
    with SummaryWriter(log_dir=str(tmp_path / "run"), filename_suffix=".b") as writer:
        for step in (1, 2, 3):
            for tag in ("Loss/train", "Loss/test", "metric/Accuracy"):
                writer.add_scalar(tag, 0.9, step)
    _, curves, problems = load(tmp_path)
    assert not problems
    assert curves["validation_accuracy"].to_numpy() == pytest.approx([0.1, 0.9, 0.9, 0.9])


def test_a_diverged_run_scores_as_guessing(tmp_path):
    write_settings(tmp_path / "run", epochs=4)
    write_events(tmp_path / "run", (0.5, 0.6, 0.1, 0.1), losses=[1.0, 0.5, math.nan, math.nan])
    trials, curves, problems = load(tmp_path)
    assert not problems
    assert (trials["diverged"][0], trials["validation_accuracy"][0], trials["epochs"][0]) == (True, 0.1, 4)
    assert len(curves) == 3


def test_accuracies_in_percent_become_fractions(tmp_path):
    write_events(tmp_path / "percent", (0.5, 55.0, 80.0))
    write_events(tmp_path / "fraction", (0.5, 0.55, 1.0))
    write_events(tmp_path / "neither", (0.5, 55.0, 800.0))
    trials, _, problems = load(tmp_path)
    assert trials.set_index("trial_id")["validation_accuracy"].to_dict() == pytest.approx(
        {"percent": 0.8, "fraction": 1.0}
    )
    assert [path.name for path, _, _ in problems] == ["neither"]


def test_pictures_and_graphs_beside_the_scalars_are_passed_over(tmp_path):
    with SummaryWriter(log_dir=str(tmp_path / "run")) as writer:
        writer.add_text("big", "x" * 100_000)
        writer.add_histogram("weights", np.arange(10.0))
        writer.add_hparams({"lr": 0.1}, {"metric": 1.0}, run_name="hp")
        for tag in ("Loss/train", "Loss/test", "metric/Accuracy"):
            writer.add_scalar(tag, 0.5, 0)
    trials, _, problems = load(tmp_path)
    assert trials["trial_id"].tolist() == ["run"]
    assert [path.name for path, _, _ in problems] == ["hp"]
