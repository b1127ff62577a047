"""What can be checked of Windows elsewhere: letters, names, the length of paths, and moves that are refused."""

from __future__ import annotations

import errno
import io
import os
import re
import socket
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from gridstudy.__main__ import main
from gridstudy.core import files
from gridstudy.core.errors import StudyError
from gridstudy.core.selection import select_experiments
from gridstudy.core.space import Hyperparameter, SearchSpace
from gridstudy.core.values import RESERVED
from gridstudy.fashion.subject import SUBJECT
from gridstudy.records.comparison import compare_outcomes
from gridstudy.records.plans import plan_path

ROOT = Path(__file__).parents[1]
TINY = ["--dataset", "garments-small", "--set", "train_steps=5", "--seeds", "1"]
OWN = """
[[experiment]]
name = "mine"
question = "Größer — wird's ≥ besser? 日本"
scientific = ["units1"]
grid = { units1 = [8, 16] }
fixed = { epochs = 1, train_steps = 5 }
"""


def is_safe(name):
    """Whether Windows can store a file of this name."""
    device = name.split(".")[0].lower() in RESERVED
    return not device and not re.search(r'[<>:"/\\|?*\x00-\x1f]|[. ]$', name)


# --- letters -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["cp1252", "ascii"])
def test_every_command_prints_to_a_pipe_that_lacks_letters(tmp_path, monkeypatch, small_data, encoding):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "größe→.toml").write_text(OWN, encoding="utf-8")
    logs = ["--logdir", "lögs→日本"]
    study = ["mine", "--study", "größe→.toml", "--dataset", "garments-small", "--seeds", "1"]
    (tmp_path / "runs→.csv").write_text("größe,acc\n1,0.5\n2,0.6\n1,0.4\n2,0.7\n", encoding="utf-8")
    commands = [
        ["run", "--help"], ["analyse", "--help"], ["board", "--help"], ["run", "--list"],
        ["run", "--list", *study[:3]], ["run", *study, *logs, "--dry-run"], ["run", *study, *logs],
        ["run", "--status", *logs], ["run", "--status", "--short", *logs], ["run", *study, *logs, "--ask"],
        ["run", "--compare", logs[1], logs[1]], ["analyse", *logs, "--output", "öut→", "--if-outdated"],
        ["analyse", *logs, "--output", "öut→"], ["analyse", "--results", "runs→.csv"],
        ["run", "→"], ["analyse", "--logdir", "→"], ["board", "--logdir", "größe→.toml"],
    ]  # fmt: skip
    codes = []
    for command in commands:
        streams = {name: io.TextIOWrapper(io.BytesIO(), encoding=encoding) for name in ("stdout", "stderr")}
        with monkeypatch.context() as context:
            for name, stream in streams.items():
                context.setattr(sys, name, stream)
            codes.append(main(command))
            for stream in (sys.stdout, sys.stderr):
                stream.flush()
        assert streams["stdout"].buffer.getvalue() + streams["stderr"].buffer.getvalue(), command
        assert b"Traceback" not in streams["stderr"].buffer.getvalue()
    assert codes == [0] * 14 + [2] * 3


@pytest.mark.parametrize("encoding", ["cp1252", "ascii"])
def test_a_study_whose_output_is_piped_runs_in_an_encoding_that_lacks_letters(tmp_path, small_data, encoding):
    (tmp_path / "own.toml").write_text(OWN, encoding="utf-8")
    command = [sys.executable, ROOT / "grid_search_experiments.py", "--study", "own.toml", *TINY[:2], "--seeds", "1"]
    environment = {**os.environ, "PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"}
    done = subprocess.run(
        [*command, "--logdir", "lögs→"], cwd=tmp_path, env=environment, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert b"2 of 2 trials complete" in done.stdout
    assert b"Error" not in done.stderr


# --- spawn ---------------------------------------------------------------------------------------------------------


OWN_SUBJECT = ["--subject", str(ROOT / "examples" / "digits.py"), "learning_rate", "--seeds", "1"]


@pytest.mark.parametrize("arguments", [["depth", *TINY], OWN_SUBJECT], ids=["built-in", "own"])
def test_a_study_whose_workers_are_spawned_has_the_same_bits(tmp_path, small_data, arguments):
    program = (
        "import multiprocessing, sys\n"
        "from gridstudy.__main__ import main\n"
        "if __name__ == '__main__':\n"
        "    real, asked = multiprocessing.get_context, []\n"
        "    multiprocessing.get_context = lambda method=None: asked.append(method) or real('spawn')\n"
        "    code = main(['run', *sys.argv[1:]])\n"
        "    sys.exit(code if asked else 'nobody asked how to start workers')\n"
    )
    (tmp_path / "spawned.py").write_text(program)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    for name, start in (("spawn", ["spawned.py"]), ("usual", ["-m", "gridstudy", "run"])):
        command = [sys.executable, *start, *arguments, "--workers", "1", "--logdir", name]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert "3 of 3 trials complete, 3 of them trained now" in done.stdout
    assert compare_outcomes(tmp_path / "spawn", tmp_path / "usual") == []


# --- names and paths -----------------------------------------------------------------------------------------------


def test_no_path_below_a_log_directory_is_longer_than_150_letters(tmp_path, small_data):
    """Measured on the files of a real trial whose folder, seed and host are then made as long as they can be."""
    assert main(["run", "depth", *TINY, "--logdir", str(tmp_path)]) == 0
    inside = {
        path.relative_to(folder).as_posix().replace(socket.gethostname(), "N" * 15)  # Windows' longest
        for folder in tmp_path.glob("*/seed*")
        for path in folder.rglob("*")
    }
    assert any("tfevents" in name for name in inside)
    experiments = select_experiments(SUBJECT, ["all", "follow-up"])
    folders = {f"{c.name}/seed1999-01234567" for e in experiments for c in e.configurations}
    paths = {f"{folder}/{name}" for folder in folders for name in inside}
    paths |= {plan_path(Path(), e.name).as_posix() for e in experiments}
    assert max(map(len, paths)) <= 150
    assert all(is_safe(part) for path in paths for part in path.split("/"))


CHOICES = ("plain", "aux", "a.", "x:y", "what?", "tab\there", "ends ", "größe", "l" * 200)


def test_values_that_windows_cannot_store_get_safe_names():
    space = SearchSpace((Hyperparameter("kind", "plain", choices=CHOICES), Hyperparameter("size", 1, low=1, high=9)))
    from gridstudy.core.space import Configuration

    names = set()
    for choice in CHOICES:
        resolved = space.resolve({"kind": choice, "size": 2})
        names.add(Configuration(resolved, space.settings(resolved)).name)
        names.add(plan_path(Path(), f"sizes[kind={choice}]").name)
    assert len({name.casefold() for name in names}) == 2 * len(CHOICES)
    assert all(is_safe(name) and len(name) <= 125 for name in names)


@pytest.mark.parametrize("make", [
    lambda: Hyperparameter("kind", "Adam", choices=("Adam", "adam")),
    lambda: SearchSpace((Hyperparameter("Size", 1), Hyperparameter("size", 1))),
])  # fmt: skip
def test_names_that_windows_cannot_tell_apart_are_refused(make):
    with pytest.raises(StudyError, match="upper and lower case, which Windows cannot tell apart") as caught:
        make()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["aux", "COM1", "a.", "x:y", "a b", "Epochs"])
def test_experiments_that_windows_cannot_store_or_tell_apart_are_refused(tmp_path, monkeypatch, capsys, name):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.toml").write_text(OWN.replace("mine", name), encoding="utf-8")
    assert main(["run", "--study", "own.toml", "--dry-run"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert repr(name) in line


# --- moves that are refused ----------------------------------------------------------------------------------------


def test_a_study_whose_files_a_scanner_holds_for_a_moment_loses_nothing(tmp_path, monkeypatch, small_data, capsys):
    monkeypatch.chdir(tmp_path)
    real, refused = Path.replace, []

    def sometimes(self, target):
        if refused.count(target) < 2:
            refused.append(target)
            raise PermissionError(errno.EACCES, "in use by another process", str(target))
        return real(self, target)

    monkeypatch.setattr(Path, "replace", sometimes)
    assert main(["run", "depth", *TINY]) == 0
    assert len(refused) >= 2
    assert "3 of 3 trials complete" in capsys.readouterr().out


def test_a_plan_that_stays_refused_is_one_line_after_two_seconds_and_leaves_what_was_there(
    tmp_path, monkeypatch, small_data, capsys
):
    monkeypatch.chdir(tmp_path)
    assert files.PATIENCE_S == 2
    assert main(["run", "depth", *TINY]) == 0
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    capsys.readouterr()

    def never(self, target):
        raise PermissionError(errno.EACCES, "in use by another process", str(target))

    with monkeypatch.context() as context:
        context.setattr(Path, "replace", never)
        assert main(["run", "depth", *TINY[:4], "--seeds", "2"]) == 2
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert "in use by another process" in errors[0]
    assert {path: path.read_bytes() for path in before} == before
    assert main(["run", "depth", *TINY[:4], "--seeds", "2"]) == 0


# --- the workflow --------------------------------------------------------------------------------------------------


def test_the_workflow_tests_the_oldest_and_the_newest_python_and_both_powershells():
    text = (ROOT / ".github" / "workflows" / "tests.yml").read_text(encoding="utf-8")
    oldest = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["requires-python"]
    assert f'python: ["{oldest.removeprefix(">=")}", "3.14"]' in text
    assert "[ubuntu-latest, windows-latest, macos-latest]" in text
    assert "powershell: [powershell, pwsh]" in text
