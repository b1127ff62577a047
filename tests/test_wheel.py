"""The installed package is whole: built as a wheel, installed in an environment of its own, run from another folder."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment that has the wheel of this checkout, and borrows the packages that it depends on."""
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    offline = ["--quiet", "--no-deps", "--no-index"]
    build = [*pip, "wheel", *offline, "--no-build-isolation", "-w", folder, copy_of_checkout(folder)]
    subprocess.run(build, check=True)
    venv.create(folder / "env", with_pip=False, symlinks=os.name != "nt")
    found = folder / "env" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    (wheel,) = folder.glob("*.whl")
    install = [*pip, "--python", found, "install", *offline, wheel]
    subprocess.run(install, check=True)
    ask = [found, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
    site = Path(subprocess.run(ask, check=True, capture_output=True, text=True).stdout.strip())
    (site / "borrowed.pth").write_text(sysconfig.get_path("purelib"), encoding="utf-8")
    return found


def copy_of_checkout(folder: Path) -> Path:
    """What a wheel is built from, so that no build folder appears in the checkout."""
    import shutil

    source = folder / "source"
    source.mkdir()
    for name in ("gridstudy", "examples"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE", "report_template.md"):
        shutil.copy(ROOT / name, source / name)
    return source


def run(python: Path, *arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    command = [python, "-m", "gridstudy", *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)


def test_an_installed_package_runs_and_analyses_a_subject_from_any_folder(python: Path, tmp_path: Path):
    subject = ROOT / "examples" / "digits.py"
    trained = run(python, "run", "learning_rate", "--subject", subject, "--seeds", 3, "--logdir", "logs", cwd=tmp_path)
    assert trained.returncode == 0, trained.stderr
    assert "9 of 9 trials complete" in trained.stdout
    assert "next: python -m gridstudy analyse --logdir logs\n" in trained.stdout
    analysed = run(python, "analyse", "--logdir", "logs", "--output", "out", cwd=tmp_path)
    assert analysed.returncode == 0, analysed.stderr
    report = (tmp_path / "out" / "report.md").read_text(encoding="utf-8")
    assert "Which learning rate is best after ten epochs?" in report
    assert (tmp_path / "out" / "experiment_summary.csv").is_file()


def test_an_installed_package_brings_the_examples(python: Path):
    code = "from importlib.metadata import files; print(*[f.name for f in files('gridstudy')])"
    names = subprocess.run([python, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    assert {"report_template.md", "own_study.toml", "digits.py", "cnn.py"} <= set(names)


@pytest.mark.parametrize("arguments", [(), ("train",)])
def test_a_first_word_that_is_no_command_is_one_line(python: Path, tmp_path: Path, arguments):
    refused = run(python, *arguments, cwd=tmp_path)
    assert refused.returncode == 2
    assert len(refused.stderr.splitlines()) == 1
