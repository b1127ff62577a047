"""Each action of run_experiments.ps1 in a real PowerShell, with the real programs, without a terminal."""

from __future__ import annotations

import os
import re
import shlex
import sys
import time
import tomllib
import venv

import pytest

from gridstudy.cli import analyse, board, run_arguments
from tests.menu.shell import (
    ROOT,
    SCRIPT,
    TINY,
    answers,
    assert_gone,
    end,
    needs_powershell,
    powershell,
    processes_naming,
    run,
    start,
)

pytestmark = needs_powershell
RUNS = ["All", "Quick", "FollowUp", "Custom", "UntilDecided", "Confirm"]
PARSERS = {
    "grid_search_experiments.py": run_arguments, "analyze_results.py": analyse, "-m gridstudy board": board,
}  # fmt: skip


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A folder in which the tiny subject has run with three seeds, and what the script printed meanwhile."""
    folder = tmp_path_factory.mktemp("a study [of] one's own")
    done = tiny("-Action", "Custom", "-Seeds", 3, "-Yes", cwd=folder)
    return folder, done


def tiny(*arguments, cwd, **variables):
    return run(*arguments, "-Subject", TINY, "-LogDir", "my logs", "-OutputDir", "out", cwd=cwd, **variables)


def run_each(*calls, cwd):
    """Call the script several times in one shell, which starts faster; its exit codes stand between the outputs."""
    return powershell("; ".join(f"& '{SCRIPT}' {call}; \"code $LASTEXITCODE\"" for call in calls), cwd=cwd)


def answers_of_each(done):
    """The exit code and the lines of each call of `run_each`."""
    *parts, rest = re.split(r"^code (\d+)\n", done.stdout, flags=re.M)
    assert rest == ""
    return [(int(code), text.splitlines()) for text, code in zip(parts[::2], parts[1::2], strict=True)]


def error_of(done):
    """The one line of an error, the last on stderr; progress may come before it."""
    *progress, line = done.stderr.splitlines()
    assert line.startswith("error: ")
    assert not any("error" in earlier.lower() or "Traceback" in earlier for earlier in progress)
    assert done.returncode == 2
    return line


# Command lines


FIRST_WORDS = {
    "All": "all", "Quick": "quick", "FollowUp": "follow-up", "Custom": "epochs", "UntilDecided": "--until-decided",
    "Confirm": "--confirm", "DryRun": "--dry-run", "Status": "--status", "Analyze": "--logdir",
    "Report": "--if-outdated", "TensorBoard": "-m",
}  # fmt: skip


def test_whatif_prints_the_command_lines_and_runs_nothing(tmp_path):
    common = "-LogDir 'my logs' -OutputDir 'it''s' -Yes -WhatIf"
    calls = [f"-Action {action} {common}" for action in FIRST_WORDS]
    calls[3] += " -Experiments epochs,2"
    done = run_each(*calls, cwd=tmp_path)
    assert done.stderr == ""
    assert not list(tmp_path.iterdir())
    for action, (code, lines) in zip(FIRST_WORDS, answers_of_each(done), strict=True):
        assert code == 0
        commands = [shlex.split(line.removeprefix("What if: ").replace("''", "'\\''")) for line in lines]
        assert {python for python, *_ in commands} == {sys.executable}
        scripts = [script for _, script, *_ in commands]
        if action == "Report":
            assert commands.pop()[-2:] == [str(tmp_path / "it's"), "report.html"]
        for _, *words in commands:
            script = next(name for name in PARSERS if words[: len(name.split())] == name.split())
            parsed = PARSERS[script].build_parser().parse_args(words[len(script.split()) :])
            assert parsed.logdir == tmp_path / "my logs"
            if script == "analyze_results.py" or action == "Status":
                assert parsed.output == tmp_path / "it's"
        assert FIRST_WORDS[action] in commands[0]
        assert ("analyze_results.py" in scripts[1:]) == (action in RUNS)


def test_whatif_at_the_first_use_makes_no_environment(tmp_path):
    script = tmp_path / SCRIPT.name
    script.write_bytes(SCRIPT.read_bytes())
    done = run("-Action", "Quick", "-WhatIf", cwd=tmp_path, script=script, GRIDSTUDY_PYTHON="")
    assert done.returncode == 0, done.stderr
    assert "-m venv --clear" in done.stdout
    assert "-m pip install" in done.stdout
    assert [path.name for path in tmp_path.iterdir()] == [SCRIPT.name]


# What each does


def test_chosen_experiments_run_and_are_analysed(finished):
    folder, done = finished
    assert done.returncode == 0, done.stderr
    assert "12 of 12 trials complete" in done.stdout
    assert "wrote report.md, report.html" in done.stdout
    assert (folder / "out" / "report.html").is_file()
    assert sorted(path.name for path in folder.iterdir()) == ["my logs", "out"]


def test_the_dry_run_and_the_status_say_what_is_there(finished):
    folder, _ = finished
    done = tiny("-Action", "DryRun", "-Experiments", "small", "-Seeds", 4, cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "8 trials: 2 missing, 0 interrupted, 0 failed, 6 complete" in done.stdout
    started = time.monotonic()
    done = tiny("-Action", "Status", "-Seeds", 3, cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "small" in done.stdout
    assert "large" in done.stdout
    assert "verdict last stored" in done.stdout
    assert "estimate" not in done.stdout + done.stderr
    assert time.monotonic() - started < 15  # 2 s on a machine of one's own


def test_an_interpreter_is_looked_up_from_the_callers_folder(tmp_path):
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} "$@"\n')
    python.chmod(0o755)
    done = tiny("-Action", "Status", cwd=tmp_path, GRIDSTUDY_PYTHON="./python")
    assert done.returncode == 0, done.stderr


def test_a_report_that_is_older_than_the_logs_is_made_again_and_opened(finished, tmp_path):
    folder, _ = finished
    opened = tmp_path / "opened"
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\necho "$1" > {shlex.quote(str(opened))}\n')
    browser.chmod(0o755)
    report = folder / "out" / "report.html"
    places = ["-LogDir", "my logs", "-OutputDir", "out"]
    made = report.stat().st_mtime_ns
    done = run("-Action", "Report", *places, "-NoOpen", cwd=folder, BROWSER=f"{browser} %s")
    assert done.returncode == 0, done.stderr
    assert report.stat().st_mtime_ns == made
    assert not opened.exists()
    os.utime(report, (0, 0))
    done = run("-Action", "Report", *places, cwd=folder, BROWSER=f"{browser} %s")
    assert done.returncode == 0, done.stderr
    assert report.stat().st_mtime > 0
    assert opened.read_text().strip() == report.as_uri()


def test_the_exit_code_is_that_of_the_run_and_what_is_there_is_analysed(tmp_path):
    done = tiny("-Action", "Quick", "-Seeds", 3, "-Yes", cwd=tmp_path, TINY_FAILS="2")
    assert done.returncode == 1
    assert "no luck with size 2" in done.stderr
    assert (tmp_path / "out" / "report.html").is_file()
    done = tiny("-Action", "Quick", "-Seeds", 3, "-Yes", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "6 of 6 trials complete, 3 of them trained now" in done.stdout


def test_the_exit_code_is_that_of_the_analysis_where_the_run_is_complete(finished):
    folder, _ = finished
    (folder / "taken").touch()
    places = ["-LogDir", "my logs", "-OutputDir", "taken"]
    done = run("-Action", "Quick", "-Subject", TINY, "-Seeds", 3, *places, cwd=folder)
    assert done.returncode == 2
    assert "6 of 6 trials complete" in done.stdout
    assert "--output must be a folder that can be written" in done.stderr


def test_an_analysis_that_fails_speaks_for_itself(tmp_path):
    done = run("-Action", "Analyze", "-LogDir", tmp_path, cwd=tmp_path)
    assert "an analysis needs at least one complete trial" in error_of(done)
    assert "failed and the rest is done" not in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize(("action", "trials"), [("All", 4), ("FollowUp", 2)])
def test_a_group_runs_and_is_analysed(action, trials, tmp_path):
    names = ["-Experiments", "small,large"] if action == "Custom" else []
    done = tiny("-Action", action, *names, "-Seeds", 1, "-Yes", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert f"{trials} of {trials} trials complete" in done.stdout
    assert (tmp_path / "out" / "report.html").is_file()


@pytest.mark.slow
def test_until_decided_keeps_to_its_limits_and_the_best_are_confirmed(tmp_path):
    done = tiny(
        "-Action", "UntilDecided", "-Experiments", "small", "-Seeds", 3, "-MostSeeds", 6, "-TimeLimit", "5m", "-Yes",
        cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "hypothesis of" in done.stdout
    done = tiny("-Action", "Confirm", "-Experiments", "small", "-Yes", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert tomllib.loads((tmp_path / "my logs" / "confirmations" / "small.toml").read_text())


@pytest.mark.slow
def test_the_built_in_study_runs_on_small_data_and_from_a_study_file(tmp_path, small_data):
    own = (ROOT / "examples" / "own_study.toml").read_text()
    (tmp_path / "study.toml").write_text(own.replace("[experiment.fixed]", "[experiment.fixed]\ntrain_steps = 3"))
    common = ["-Dataset", "garments-small", "-LogDir", "logs", "-Seeds", 1, "-Workers", 1, "-Device", "cpu", "-Yes"]
    done = run("-Action", "Custom", "-Study", "study.toml", *common, "-OutputDir", "out", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "8 of 8 trials complete" in done.stdout


# TensorBoard and a shell that is killed


def address_of(shell):
    return next(line.strip() for line in shell.stdout if line.startswith("http://"))


def test_tensorboard_ends_with_a_killed_shell(tmp_path):
    shell = start("-Action", "TensorBoard", "-NoOpen", "-LogDir", tmp_path, cwd=tmp_path)
    try:
        address = address_of(shell)
        assert answers(address)
        assert processes_naming(tmp_path)
    finally:
        end(shell)
    assert_gone(address)


def test_tensorboard_that_cannot_start_speaks_for_itself(tmp_path):
    (tmp_path / "file").touch()
    done = run("-Action", "TensorBoard", "-NoOpen", "-LogDir", "file", cwd=tmp_path)
    assert "the log directory must be a folder" in error_of(done)
    assert "trial failed" not in done.stdout


# Wrong usage


def test_a_run_that_nobody_can_confirm_is_one_line(tmp_path):
    done = tiny("-Action", "Quick", "-Seeds", 1, cwd=tmp_path)
    assert error_of(done)
    assert "Nothing was run" not in done.stdout


def test_an_interpreter_without_the_packages_is_one_line(tmp_path):
    venv.create(tmp_path / "bare")
    python = next(path for path in (tmp_path / "bare").glob("*/python*") if path.name in ("python", "python.exe"))
    done = run("-Action", "Quick", "-Yes", "-Python", python, cwd=tmp_path)
    line = error_of(done)
    assert "is not installed for" in line
    assert "-m pip install -r requirements.txt" in line


WRONG = {
    "-Action Custom": "-Action Custom takes -Experiments",
    "-Action All -Experiments epochs": "-Experiments goes with -Action Custom",
    "-Action Analyze -Seeds 3": "-Action Analyze takes -LogDir, -OutputDir and -Subject; got -Seeds",
    "-MostSeeds 20": "-MostSeeds goes with -Action UntilDecided; got -Action Menu",
    "-Action All -Python no-such": "there is no no-such",
    "-Action All -Seeds many -Yes": "--seeds takes a number of replicates like 5",
}


def test_wrong_usage_is_one_line(tmp_path):
    done = run_each(*WRONG, cwd=tmp_path)
    assert [code for code, _ in answers_of_each(done)] == [2] * len(WRONG)
    for line, message in zip(done.stderr.splitlines(), WRONG.values(), strict=True):
        assert line.startswith("error: ")
        assert message in line
    assert not list(tmp_path.iterdir())


def test_a_parameter_that_powershell_refuses_is_exit_code_1(tmp_path):
    assert run("-Action", "Everything", cwd=tmp_path).returncode == 1


def test_get_help_shows_every_parameter_and_the_exit_codes(tmp_path):
    text = powershell(f"Get-Help '{SCRIPT}' -Full", cwd=tmp_path).stdout
    for name in ("Action", "Experiments", "Seeds", "MostSeeds", "TimeLimit", "Study", "Subject", "Python", "WhatIf"):
        assert f"-{name}" in text
    assert "When PowerShell itself refuses a parameter" in " ".join(text.split())
