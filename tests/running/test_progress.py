from __future__ import annotations

import io
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from gridstudy.fashion.subject import SUBJECT
from gridstudy.running import progress
from gridstudy.running.progress import LiveProgress, PlainProgress, StudyTracker, choose_progress, format_duration
from tests.conftest import fake_result, fake_run


class Clock:
    """A clock that tests set."""

    def __init__(self):
        self.now_s = 100.0

    def monotonic(self):
        return self.now_s


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(progress, "time", clock)
    return clock


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self):
        return True


def console_on(file, **options):
    return Console(file=file, width=100, _environ={"TERM": "xterm", **options})


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0 s"), (92.4, "92 s"), (179, "179 s"), (179.6, "3 min"), (720, "12 min"), (11_100, "3 h 05 min")],
)
def test_durations_are_in_seconds_up_to_three_minutes(seconds, words):
    assert format_duration(seconds) == words


def test_the_panel_is_drawn_on_a_terminal_and_nowhere_else(monkeypatch):
    assert isinstance(choose_progress(console_on(Terminal()), environment={}), LiveProgress)
    assert isinstance(choose_progress(console_on(io.StringIO()), environment={}), PlainProgress)
    assert isinstance(choose_progress(console_on(Terminal(), TERM="dumb"), environment={}), PlainProgress)


def test_forced_colour_forces_no_panel():
    file = io.StringIO()
    console = console_on(file, FORCE_COLOR="1")
    assert console.is_terminal
    assert isinstance(choose_progress(console, environment={}), PlainProgress)


@pytest.mark.parametrize("name", ["JPY_PARENT_PID", "COLAB_RELEASE_TAG"])
def test_a_command_that_a_notebook_runs_gets_plain_lines_although_it_has_a_terminal(name):
    assert isinstance(choose_progress(console_on(Terminal()), environment={name: "17"}), PlainProgress)


def test_the_bar_measures_work_and_not_trials(make_trial, clock):
    short = make_trial()
    configuration = SUBJECT.configure({**short.configuration, "train_steps": 300})
    long = replace(short, configuration=configuration)
    tracker = StudyTracker()
    costs = [t.configuration.work for t in (short, long)]
    tracker.start(n_trials=2, results=[], work_left=sum(costs))
    tracker.trials_started([long])
    tracker.trial_finished(fake_result(long), fake_run())
    done, total = tracker.work()
    assert done / total == pytest.approx(costs[1] / sum(costs))
    assert done / total > 0.9
    assert "1 of 2 trials done (97% of the work)" in tracker.headline()


def test_what_was_complete_before_counts_as_done(make_trial, clock):
    tracker = StudyTracker()
    cost = make_trial().configuration.work
    tracker.start(n_trials=2, results=[fake_result(make_trial())], work_left=cost)
    assert tracker.work() == (cost, 2 * cost)


def test_running_trials_count_by_their_time_and_never_as_done(make_trial, clock):
    tracker = StudyTracker()
    cost = make_trial().configuration.work
    tracker.start(n_trials=2, results=[], work_left=2 * cost)
    tracker.trials_started([make_trial(seed=0)])
    clock.now_s += 10
    assert tracker.work()[0] == 0
    tracker.trial_finished(fake_result(make_trial(seed=0)), replace(fake_run(), duration_s=10.0))
    tracker.trials_started([make_trial(seed=1)])
    clock.now_s += 5
    assert tracker.estimate_s(make_trial(seed=1)) == 10
    assert tracker.work() == (1.5 * cost, 2 * cost)
    assert tracker.time_left() == pytest.approx(5)
    clock.now_s += 500
    assert tracker.work()[0] < 2 * cost


def test_a_trial_without_progress_is_named(make_trial, clock):
    tracker = StudyTracker()
    tracker.start(n_trials=2, results=[], work_left=2 * make_trial().configuration.work)
    tracker.trials_started([make_trial(seed=0)])
    tracker.trial_finished(fake_result(make_trial(seed=0)), fake_run())
    tracker.trials_started([make_trial(seed=1)])
    clock.now_s += 20
    assert "SLOW" not in tracker.describe_running()
    clock.now_s += 20
    assert tracker.describe_running().endswith("seed 1 (SLOW, 40 s)")


def test_plain_lines_come_at_most_every_few_seconds_and_at_the_end(make_trial, clock):
    file = io.StringIO()
    plain = PlainProgress(console_on(file))
    plain.start(n_trials=50, results=[], work_left=50 * make_trial().configuration.work)
    for seed in range(50):
        plain.trials_started([make_trial(seed=seed)])
        clock.now_s += 0.5
        plain.trial_finished(fake_result(make_trial(seed=seed)), fake_run())
    lines = file.getvalue().splitlines()
    assert 4 <= len(lines) <= 7
    assert lines[-1].startswith("50 of 50 trials done (100% of the work)")


def test_the_panel_shows_the_work_and_leaves_nothing_behind(make_trial):
    file = Terminal()
    panel = LiveProgress(console_on(file))
    panel.start(n_trials=1, results=[], work_left=make_trial().configuration.work)
    panel.trials_started([make_trial()])
    panel._live.refresh()
    panel.stop()
    shown = file.getvalue()
    assert "0 of 1 trials done" in shown
    assert "failed     0" in shown
    assert shown.endswith(("\x1b[2K", "\x1b[?25h")), repr(shown[-40:])


def test_no_best_is_named_where_only_some_configurations_are_among_the_trials(make_trial):
    file = Terminal()
    panel = LiveProgress(console_on(file), looks="1 of 2 hypotheses decided", shows_best=False)
    panel.start(n_trials=2, results=[fake_result(make_trial())], work_left=make_trial().configuration.work)
    panel._live.refresh()
    panel.stop()
    assert "best" not in panel.headline()
    assert "1 of 2 hypotheses decided" in file.getvalue()
    assert "best" not in file.getvalue()


@pytest.mark.slow
def test_a_study_with_forced_colour_in_a_file_draws_nothing_over(tmp_path):
    script = Path(__file__).parents[2] / "grid_search_experiments.py"
    command = [sys.executable, str(script), "depth", "--dataset", "garments-small", "--set", "train_steps=5",
               "--seeds", "2", "--logdir", str(tmp_path / "logs")]  # fmt: skip
    done = subprocess.run(command, capture_output=True, check=True, env={**os.environ, "FORCE_COLOR": "1"}, text=True)
    assert "\x1b[1A" not in done.stderr
    assert len(done.stderr.splitlines()) <= 3
