"""What is read of event files, whole or damaged."""

from __future__ import annotations

import math
import os
import time

import numpy as np
import pytest

from gridstudy.records.foreign.event_files import read_events
from gridstudy.records.foreign.log_folders import read_log_folders
from tests.mltrainer_logs import load, write_events, write_run, write_settings

pytest.importorskip("torch")
from torch.utils.tensorboard.writer import SummaryWriter


def test_an_event_file_cut_anywhere_gives_the_values_before_and_no_trial_unless_all_epochs_are_there(tmp_path):
    path = write_run(tmp_path / "run")
    content = path.read_bytes()
    seen = set()
    for length in [*range(0, len(content), 7), len(content)]:
        path.write_bytes(content[:length])
        trials, curves, problems = load(tmp_path)
        assert len(problems) == (length < len(content))
        accuracies = read_events([path]).series["metric/Accuracy"].values.tolist()
        assert accuracies == pytest.approx([0.5, 0.6, 0.7][: len(accuracies)])
        assert (len(trials), len(curves)) == ((1, 3) if len(accuracies) == 3 else (0, 0))
        seen.add(len(accuracies))
    assert seen == {0, 1, 2, 3}


def test_a_flipped_bit_never_changes_a_figure_unseen(tmp_path):
    path = write_run(tmp_path / "run")
    content = path.read_bytes()
    for at in range(0, len(content), 5):
        path.write_bytes(content[:at] + bytes([content[at] ^ 4]) + content[at + 1 :])
        _, curves, problems = load(tmp_path)
        assert len(problems) == 1
        if len(curves):
            assert curves["objective"].to_numpy() == pytest.approx([0.5, 0.6, 0.7][: len(curves)])


def test_a_run_that_ended_early_is_a_problem_and_never_a_configuration_of_its_own(tmp_path):
    write_run(tmp_path / "whole", epochs=3)
    write_run(tmp_path / "cut", (0.5, 0.6), epochs=3)
    trials, _, problems = load(tmp_path)
    assert trials["trial_id"].tolist() == ["whole"]
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
    assert curves["objective"].to_numpy() == pytest.approx([0.1, 0.9, 0.9, 0.9])


def test_a_diverged_run_scores_as_guessing(tmp_path):
    write_settings(tmp_path / "run", epochs=4)
    write_events(tmp_path / "run", (0.5, 0.6, 0.1, 0.1), losses=[1.0, 0.5, math.nan, math.nan])
    trials, curves, problems = load(tmp_path)
    assert not problems
    assert (trials["diverged"][0], trials["objective"][0], trials["epochs"][0]) == (True, 0.1, 4)
    assert len(curves) == 3


def test_a_clock_that_went_back_gives_no_duration(tmp_path):
    write_settings(tmp_path / "run", epochs=2)
    with SummaryWriter(log_dir=str(tmp_path / "run")) as writer:
        for step, time_s in ((0, 1_700_003_600), (1, 1_700_000_000)):
            for tag in ("Loss/train", "Loss/test", "metric/Accuracy"):
                writer.add_scalar(tag, 0.5, step, walltime=time_s)
    trials, curves, problems = load(tmp_path)
    assert not problems
    assert math.isnan(trials["duration_s"][0])
    assert curves["duration_s"].isna().all()
    assert math.isnan(read_log_folders(tmp_path).runs["duration_s"].iloc[0])


@pytest.mark.skipif(os.name == "nt", reason="named pipes are of another kind there")
def test_a_pipe_or_a_device_in_place_of_a_file_is_a_problem_and_nothing_hangs(tmp_path):
    write_run(tmp_path / "good")
    for name in ("events.out.tfevents.1.x", "settings.toml"):
        path = write_run(tmp_path / name)
        target = path if name.startswith("events") else tmp_path / name / name
        target.unlink()
        os.mkfifo(target)
    endless = write_run(tmp_path / "endless")
    endless.unlink()
    endless.symlink_to("/dev/zero")
    trials, _, problems = load(tmp_path)
    assert sorted(trials["trial_id"]) == ["good", "settings.toml"]
    assert len(problems) == 3
    assert all("not a regular file" in reason for _, _, reason in problems)


def test_many_events_are_read_quickly(tmp_path):
    with SummaryWriter(log_dir=str(tmp_path / "run")) as writer:
        for step in range(20_000):
            writer.add_scalar("metric/Accuracy", 0.5, step)
    (path,) = (tmp_path / "run").iterdir()
    started_s = time.process_time()
    log = read_events([path])
    duration_s = time.process_time() - started_s
    assert len(log.series["metric/Accuracy"]) == 20_000
    assert duration_s < 1.0  # bytes one by one took 12 s on the machine where this takes 0.1 s


def test_accuracies_in_percent_become_fractions(tmp_path):
    write_events(tmp_path / "percent", (0.5, 55.0, 80.0))
    write_events(tmp_path / "fraction", (0.5, 0.55, 1.0))
    write_events(tmp_path / "neither", (0.5, 55.0, 800.0))
    trials, _, problems = load(tmp_path)
    assert trials.set_index("trial_id")["objective"].to_dict() == pytest.approx({"percent": 0.8, "fraction": 1.0})
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
