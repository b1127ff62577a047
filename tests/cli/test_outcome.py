"""Look by look and confirmed, through the command line: what it says before, at the end, and after a kill."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys

import pytest

from benchmarks.chaos.studies import hear_interruptions
from grid_search_experiments import main
from gridstudy.records.plans import find_plan
from tests.conftest import wait_until

TINY = ["--dataset", "garments-small", "--set", "train_steps=5"]
DEPTH = "depth[train_steps=5]"


@pytest.fixture
def run(tmp_path, monkeypatch, capsys, small_data):
    """Run the command line in an empty folder; returns stdout."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        code = main([*map(str, arguments), *TINY])
        out, err = capsys.readouterr()
        assert code == 0, err
        return out

    return run


def test_the_dry_run_shows_the_looks_the_next_one_and_the_trials_to_go(run, tmp_path):
    command = ["depth", "learning_rate", "--seeds", "3", "--most-seeds", "6"]
    decided, raced = (run(*command, "--dry-run", *until) for until in (["--until-decided"], ["--until", "recommended"]))
    assert "24 trials: 24 missing" in decided
    assert "estimated time of the first look: about " in decided
    # three depths and three of the six rates are in contrasts; one of each is the baseline
    assert "look by look: 0 of 2 hypotheses decided; 24 to 39 trials to go" in decided
    assert "look by look: 0 of 2 experiments can recommend a configuration; 24 to 48 trials to go" in raced
    assert " ".join(next(line for line in decided.splitlines() if DEPTH in line and " 6 " in line).split()) == (
        f"{DEPTH} 3 6 undecided 3 3 of 3"
    )
    assert "estimated time of all looks: at most " in decided
    assert list(tmp_path.iterdir()) == []
    run(*command, "--until-decided")
    assert "3 6" in run(*command, "--until-decided", "--dry-run")


def test_the_dry_run_lists_what_is_left_and_says_how_long_all_looks_should_take(run):
    command = ["depth", "--seeds", "3", "--most-seeds", "12"]
    run(*command[:3])
    left = run(*command[:2], "4", "--dry-run")
    assert "12 trials: 3 missing, 0 interrupted, 0 failed, 9 complete" in left
    assert left.count("/seed3-") == 3
    assert "/seed0-" not in left
    looks = run(*command, "--until-decided", "--dry-run")
    assert "estimated time of the first look" not in looks
    assert re.search(r"estimated time of all looks: about \d+ s(, at most \d+ s,)? with \d+ worker", looks)


def test_until_decided_ends_with_verdicts_looks_trials_and_the_fixed_design(run, tmp_path):
    command = ["depth", "--until-decided", "--seeds", "3", "--most-seeds", "6"]
    out = run(*command)
    verdict = next(line for line in out.splitlines() if line.split()[:1] == [DEPTH] and "look" in line)
    assert verdict.split()[-2:] == ["6", "18"]
    assert "The next look is at 12 seeds." in out
    assert "18 trials in all; a fixed design with 6 seeds for every configuration takes 18" in out
    assert "undecided" in verdict
    # resumed with nothing to do, it says the same
    assert run(*command).splitlines()[-4:] == out.splitlines()[-4:]


def test_until_recommended_ends_with_what_can_be_recommended_or_why_nothing_can(run):
    out = run("depth", "--until", "recommended", "--seeds", "3", "--most-seeds", "3")
    assert "configurations of" in out
    assert f"{DEPTH}: No recommendation yet" in out or f"{DEPTH}: Use " in out
    assert "9 trials in all; a fixed design with 3 seeds for every configuration takes 9" in out


def test_seeds_asked_for_later_are_run_and_later_looks_continue_after_them(run, tmp_path):
    run("depth", "--seeds", "3")
    run("depth", "--until-decided", "--most-seeds", "3")
    assert find_plan(tmp_path / "modellogs", DEPTH).seeds == (0, 1, 2)
    run("depth", "--until-decided", "--most-seeds", "6", "--seeds", "100-101")
    assert find_plan(tmp_path / "modellogs", DEPTH).seeds == (0, 1, 2, 100, 101, 102)
    assert len(list(tmp_path.glob("modellogs/*/seed10*/result.toml"))) == 9


def test_a_confirmation_ends_with_its_finding_beside_the_selections_estimate(run):
    run("depth", "--seeds", "3")
    out = run("depth", "--confirm")
    (line,) = [line for line in out.splitlines() if line.startswith("confirmed")]
    assert DEPTH in line
    assert "n = 3 fresh seeds; in the selection it had" in line


def test_a_time_limit_that_ends_it_is_told(run, capsys, monkeypatch):
    told = []
    monkeypatch.setattr("gridstudy.running.console.print_line", told.append)
    command = ["depth", "--seeds", "3", "--most-seeds", "6"]
    run(*command, "--until-decided", "--time-limit", "0.001s")
    assert told == ["the time limit is reached; rerun the same command to resume"]
    run(*command, "--until-decided")
    told.clear()
    run(*command, "--until-decided", "--time-limit", "0.001s")
    assert told == []


def test_other_data_in_the_log_directory_decide_nothing(run, tmp_path):
    run("depth", "--seeds", "6", "--validation", "test")
    out = run("depth", "--until-decided", "--seeds", "3", "--most-seeds", "6")
    # the looks of the plan are at 6, 12, ... seeds, and these data have none of them yet
    assert "36 of" not in out
    assert len(list(tmp_path.glob("modellogs/*/seed*/result.toml"))) == 18 + 18


@pytest.mark.slow
def test_a_study_that_is_killed_between_looks_ends_with_the_same_outcomes_and_verdicts(run, tmp_path, request):
    os.chdir(request.config.rootpath)
    arguments = ["depth", "optimizer", "--until-decided", "--seeds", "3", "--most-seeds", "12"]
    command = [sys.executable, "grid_search_experiments.py", *arguments, *TINY, "--logdir", str(tmp_path / "killed")]
    for n in (5, 20, 30):
        study = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
            preexec_fn=hear_interruptions if os.name != "nt" else None,  # noqa: PLW1509
        )  # fmt: skip
        wait_until(lambda n=n: len(list(tmp_path.glob("killed/*/seed*/result.toml"))) >= n)
        os.killpg(study.pid, signal.SIGKILL)
        study.communicate()
    outs = [run(*arguments, "--logdir", tmp_path / name) for name in ("killed", "whole")]
    killed, whole = (out.splitlines()[-6:] for out in outs)
    assert [line.replace(str(tmp_path / "killed"), str(tmp_path / "whole")) for line in killed] == whole
    assert main(["--compare", str(tmp_path / "killed"), str(tmp_path / "whole")]) == 0
    verdicts = [(tmp_path / name / "verdicts.toml").read_bytes() for name in ("killed", "whole")]
    assert verdicts[0] == verdicts[1]
