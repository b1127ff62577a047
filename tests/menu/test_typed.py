"""The menu of run_experiments.ps1, typed in a pseudo-terminal, with the real programs."""

from __future__ import annotations

import os
import zipfile

import pytest

from tests.conftest import wait_until
from tests.documents import blocks, without_what_varies
from tests.menu.shell import (
    ROOT,
    SCRIPT,
    TINY,
    answers,
    assert_gone,
    needs_powershell,
    needs_terminal,
    processes_naming,
    run,
    typed,
)

pytestmark = [needs_powershell, needs_terminal]
PLACES = ["-LogDir", "logs", "-OutputDir", "out", "-NoOpen"]


@pytest.fixture
def terminal():
    """Start the script in a terminal; what is left of it at the end is killed."""
    started = []

    def start(*arguments, **options):
        started.append(typed(*arguments, **options))
        return started[-1]

    yield start
    for child in started:
        child.close(force=True)


def test_a_choice_is_kept_or_refused_at_once_and_an_unknown_key_is_one_line(terminal, tmp_path):
    menu = terminal("-Subject", TINY, "-Seeds", 3, *PLACES, cwd=tmp_path)
    first = menu.answer("Choose: ", "z")
    assert "seeds" in first
    assert "'z' is not on the menu" in menu.answer("Choose: ", "")
    assert "'' is not on the menu" in menu.answer("Choose: ", "o")
    menu.answer("Which of ", "seeds")
    menu.answer("(Enter: the default): ", "many")
    refused = menu.answer("Choose: ", "o")
    assert "--seeds takes a number of replicates like 5, or a range like 10-19; got 'many'" in refused
    assert first.strip().splitlines()[1] in refused
    menu.answer("Which of ", "seeds")
    menu.answer("(Enter: the default): ", "7")
    assert "7" in menu.answer("Choose: ", "q").split("(Enter")[-1]
    assert menu.exit_code() == 0


def test_the_menu_runs_until_decided_with_tensorboard_beside_it(terminal, tmp_path):
    menu = terminal("-Seeds", 3, *PLACES, cwd=tmp_path, TINY_SECONDS="0.2")
    menu.answer("Choose: ", "t")
    address = menu.until("/\r\n").split()[-1] + "/"
    assert answers(address)
    assert f"TensorBoard: {address} (t stops it)" in menu.answer("Choose: ", "7")
    menu.answer("Its file", str(TINY))
    assert "12 trials: 12 missing" in menu.answer("Start now? [y/N]", "y")
    wait_until(lambda: any(tmp_path.glob("logs/*/*/result.toml")))
    assert answers(address)
    assert "12 of 12 trials complete" in menu.answer("Open the report? [y/N]", "n")
    menu.answer("Choose: ", "5")
    menu.answer("Which experiments", "1")
    menu.answer("Until how many seeds", "3")
    assert "hypothesis of" in menu.answer("Open the report? [y/N]", "n")
    menu.answer("Choose: ", "t")
    assert "TensorBoard has stopped." in menu.until("Choose: ")
    assert not answers(address)
    menu.sendline("t")
    address = menu.until("/\r\n").split()[-1] + "/"
    menu.answer("Choose: ", "q")
    assert menu.exit_code() == 0
    assert_gone(address)


def test_chosen_experiments_are_listed_and_taken_by_number(terminal, tmp_path):
    menu = terminal("-Subject", TINY, "-Seeds", 1, *PLACES, cwd=tmp_path)
    menu.answer("Choose: ", "4")
    listed = menu.answer("Which experiments", "2")
    assert "Is size 4 better than 3?" in listed
    assert "2 trials: 2 missing" in menu.answer("Start now? [y/N]", "n")
    assert "Nothing was run." in menu.answer("Choose: ", "q")
    assert menu.exit_code() == 0
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_tensorboard_of_the_menu_ends_with_a_killed_shell(terminal, tmp_path):
    menu = terminal("-Subject", TINY, *PLACES, cwd=tmp_path)
    menu.answer("Choose: ", "t")
    address = menu.until("/\r\n").split()[-1] + "/"
    menu.until("Choose: ")
    menu.kill(9)
    assert_gone(address)


def test_an_empty_line_does_not_end_a_piped_menu_and_the_end_of_the_input_does(tmp_path):
    done = run("-Subject", TINY, *PLACES, cwd=tmp_path, answers="\nw\nsmall\n")
    assert done.returncode == 0, done.stderr
    assert "'' is not on the menu" in done.stdout
    assert "10 trials: 10 missing" in done.stdout


def test_the_guide_shows_the_menu_as_it_is(tmp_path):
    done = run("-LogDir", "modellogs", "-OutputDir", "here", cwd=tmp_path, answers="q\n")
    shown = done.stdout.replace(f"{tmp_path}{os.sep}modellogs", "modellogs").replace(
        f"{tmp_path}{os.sep}here", "this folder"
    )
    (box,) = [block.text for block in blocks(ROOT / "README_EXECUTION.md") if "Choose: q" in block.text]
    assert without_what_varies(shown) == without_what_varies(box)


# Ctrl-C


def test_ctrl_c_in_a_run_loses_nothing_and_the_same_choice_resumes(terminal, tmp_path):
    arguments = ["-Action", "All", "-Subject", TINY, "-Seeds", 3, "-Workers", 2, "-Yes", *PLACES[:4]]
    shell = terminal(*arguments, cwd=tmp_path, TINY_SECONDS="0.5")
    wait_until(lambda: any(tmp_path.glob("logs/*/*/result.toml")))
    assert shell.interrupt() == 130
    assert "rerun the same command to resume" in shell.before
    assert not processes_naming(tmp_path)
    kept = len(list(tmp_path.glob("logs/*/*/result.toml")))
    assert 0 < kept < 12
    done = run(*arguments, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert f"12 of 12 trials complete, {12 - kept} of them trained now" in done.stdout
    assert not (tmp_path / "out" / "tables" / "problems.csv").read_text().strip().splitlines()[1:]


def test_ctrl_c_at_the_question_and_at_the_menu_is_130(terminal, tmp_path):
    shell = terminal("-Action", "Quick", "-Subject", TINY, *PLACES[:4], cwd=tmp_path)
    shell.until("Start now? [y/N]")
    assert shell.interrupt() == 130
    menu = terminal("-Subject", TINY, *PLACES, cwd=tmp_path)
    menu.until("Choose: ")
    assert menu.interrupt() == 130
    assert not processes_naming(tmp_path)


@pytest.mark.slow
def test_ctrl_c_in_tensorboard_is_130(terminal, tmp_path):
    shell = terminal("-Action", "TensorBoard", *PLACES[:2], "-NoOpen", cwd=tmp_path)
    address = shell.until("/\r\n").split()[-1] + "/"
    assert answers(address)
    assert shell.interrupt() == 130
    assert_gone(address)


# First use


@pytest.fixture
def wheels(tmp_path):
    """A copy of the script whose requirements are one small package, and a folder with its wheel for pip."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    info = "smallest-1.0.dist-info"
    with zipfile.ZipFile(folder / "smallest-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("smallest.py", "")
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: smallest\nVersion: 1.0\n")
        wheel.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: hand\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{info}/RECORD", f"smallest.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n")
    copy = tmp_path / "a copy"
    copy.mkdir()
    for name in (SCRIPT.name, "grid_search_experiments.py", "analyze_results.py", "gridstudy"):
        (copy / name).symlink_to(ROOT / name)
    (copy / SCRIPT.name).unlink()
    (copy / SCRIPT.name).write_bytes(SCRIPT.read_bytes())
    (copy / "requirements.txt").write_text("smallest==1.0\n")
    return copy, {"GRIDSTUDY_PYTHON": "", "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(folder)}


@pytest.mark.slow
def test_the_first_use_shows_pips_progress_and_ctrl_c_in_it_is_130(terminal, wheels, tmp_path):
    copy, variables = wheels
    script = copy / SCRIPT.name
    shell = terminal("-Action", "Status", cwd=tmp_path, script=script, **variables)
    shell.until("Making .venv with python")
    assert shell.interrupt() == 130
    assert not (copy / ".venv" / "requirements-installed").exists()
    done = run("-Action", "Status", cwd=tmp_path, script=script, **variables)
    assert "Installing collected packages: smallest" in done.stdout
    assert "Successfully installed smallest-1.0" in done.stdout
    assert (copy / ".venv" / "requirements-installed").exists()
    again = run("-Action", "Status", cwd=tmp_path, script=script, **variables)
    assert "Installing" not in again.stdout
    assert (again.returncode, again.stderr) == (done.returncode, done.stderr)


@pytest.mark.slow
def test_a_subject_of_ones_own_and_until_decided_for_real(terminal, tmp_path):
    menu = terminal("-Seeds", 3, *PLACES, cwd=tmp_path)
    menu.timeout = 300
    menu.answer("Choose: ", "7")
    menu.answer("Its file", str(ROOT / "examples" / "digits.py"))
    menu.answer("Start now? [y/N]", "y")
    assert "trials complete" in menu.answer("Open the report? [y/N]", "n")
    menu.answer("Choose: ", "5")
    menu.answer("Which experiments", "units")
    menu.answer("Until how many seeds", "5m")
    if menu.expect_exact(["Start now? [y/N]", "hypothesis of"]) == 0:  # no question where all is decided
        menu.sendline("y")
        menu.until("hypothesis of")
    menu.answer("Open the report? [y/N]", "n")
    menu.answer("Choose: ", "q")
    assert menu.exit_code() == 0
