"""Every box of output in README and the guide is what its command prints.

`python -m tests.test_boxes` writes them anew.
"""

from __future__ import annotations

import atexit
import contextlib
import io
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path

import pytest
from _pytest.mark import ParameterSet

from tests.documents import MAINS, ROOT, blocks, commands_of, our_commands, split_command, without_what_varies
from tests.records.foreign.results import make_database

PAGES = (ROOT / "README.md", ROOT / "README_EXECUTION.md")
GUIDE = PAGES[1]
REAL_DATA = Path(os.environ.get("FASHION_MNIST_DIR") or ROOT.parent / "shared" / "fashion-mnist").resolve()
TINY = "epochs --seeds 1 --dataset garments-small --set train_steps=5"
LEARNT = 0.02
"""By how much a trained number may differ on another processor, as a part of it; half a unit more for small ones."""


# --- running what the pages show -----------------------------------------------------------------------------------


class Screen(io.StringIO):
    """A stream that takes the characters of tables."""

    encoding = "utf-8"


def run(command: str, *, script: str = "grid_search_experiments.py", code: int = 0) -> str:
    """Run a command of ours in the current folder; return all that it printed, to stdout and stderr."""
    with contextlib.redirect_stdout(Screen()) as out, contextlib.redirect_stderr(Screen()) as err:
        found = MAINS[script](shlex.split(command))
    printed = out.getvalue() + err.getvalue()
    assert found == code, printed
    return printed.replace(f"{Path.cwd()}{os.sep}", "").replace(str(REAL_DATA), "../shared/fashion-mnist")


def analyse(command: str, *, code: int = 0) -> str:
    """As `run`, for the other script."""
    return run(command, script="analyze_results.py", code=code)


def run_block(text: str) -> str:
    """Run the commands of a block, with the files in `examples/` that they name beside them."""
    with contextlib.suppress(FileExistsError):
        Path("examples").symlink_to(ROOT / "examples")
    commands = [split_command(words) for words in commands_of(text.replace("$ ", ""))]
    assert all(script for script, _ in commands), text
    return "".join(run(shlex.join(arguments), script=script) for script, arguments in commands)


# --- what the boxes need before their commands ---------------------------------------------------------------------


@cache
def kept() -> Path:
    """A folder for what several boxes need."""
    folder = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, folder)
    return folder


@cache
def first_run() -> tuple[Path, str]:
    """The logs of the first run on the real images, and what it prints."""
    if not REAL_DATA.is_dir():
        pytest.skip("needs the four files of Fashion-MNIST")
    with contextlib.chdir(make(kept() / "first")):
        return Path("modellogs").resolve(), run(f"epochs --seeds 3 --data-dir {REAL_DATA}")


@cache
def tiny_logs() -> Path:
    """The logs of a run of seconds."""
    with contextlib.chdir(make(kept() / "tiny")):
        run(TINY)
        return Path("modellogs").resolve()


def make(folder: Path) -> Path:
    """A new folder."""
    folder.mkdir()
    return folder


def of_the_first_run(command: str) -> str:
    """The first run."""
    return first_run()[1]


def of_two_data_sets(command: str) -> str:
    """A log directory with the records of two data sets, and a run that names neither."""
    shutil.copytree(first_run()[0], "modellogs")
    run(TINY)
    return run("epochs", code=2)


def of_a_copy(command: str) -> str:
    """A trial folder beside its copy, analysed."""
    shutil.copytree(tiny_logs(), "modellogs")
    (folder,) = Path("modellogs").glob("train_steps=5/seed0-*")
    shutil.copytree(folder, folder.with_name(f"{folder.name} (1)"))
    return analyse("")


def of_equal_logs(command: str) -> str:
    """Two log directories with the same outcomes."""
    shutil.copytree(tiny_logs(), "modellogs")
    shutil.copytree(tiny_logs(), "modellogs2")
    return run_block(command)


def of_different_logs(command: str) -> str:
    """Two log directories, of which the second lacks a trial."""
    shutil.copytree(tiny_logs(), "modellogs")
    shutil.copytree(tiny_logs(), "modellogs2")
    shutil.rmtree(next(Path("modellogs2").glob("epochs=3*")))
    return run("--compare modellogs modellogs2", code=1)


def of_a_timeout(command: str) -> str:
    """A trial that takes longer than it may."""
    return run("full_passes --seeds 1 --dataset garments-small --trial-timeout 1s", code=1)


def of_a_changed_default(command: str) -> str:
    """The digits, whose default number of epochs is another one after a run."""
    source = (ROOT / "examples" / "digits.py").read_text(encoding="utf-8")
    Path("my_digits.py").write_text(source, encoding="utf-8")
    run("units --subject my_digits.py --seeds 1 --logdir logs_digits")
    changed = source.replace('Hyperparameter("epochs", 10', 'Hyperparameter("epochs", 12')
    assert changed != source
    Path("my_digits.py").write_text(changed, encoding="utf-8")
    command = [
        sys.executable,
        "-m",
        "gridstudy",
        "run",
        "units",
        "--subject",
        "my_digits.py",
        "--logdir",
        "logs_digits",
    ]
    ended = subprocess.run(
        command, check=False, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True
    )
    assert ended.returncode == 2, ended.stdout
    return ended.stderr


def of_claims(command: str) -> str:
    """The study file that stands above the box."""
    (claims,) = [block.text for block in blocks(GUIDE) if block.language == "toml" and "[results]" in block.text]
    Path("claims.toml").write_text(claims, encoding="utf-8")
    Path("examples").symlink_to(ROOT / "examples")
    return analyse("--study claims.toml --check")


def of_mlflow(command: str) -> str:
    """A store that mltrainer's reporter wrote."""
    make_database("mlflow-3.5", Path()).rename("mlflow.db")
    return run_block(command)


def of_folds(command: str) -> str:
    """The table that the Python block before the command writes."""
    pytest.importorskip("sklearn")
    (code,) = [block.text for block in blocks(GUIDE) if "GridSearchCV" in block.text]
    exec(compile(code, GUIDE.name, "exec"), {})
    return run_block(command)


def of_the_course(command: str) -> str:
    """The command of the box without its training."""
    return run("epochs --validation test --logdir course --dataset garments-small --dry-run")


def of_the_looks(command: str) -> str:
    """The dry run of the command of the box above."""
    (above,) = [arguments for _, arguments in our_commands(GUIDE) if {"--until-decided", "--set"} <= {*arguments}]
    return run(shlex.join([*above, "--dry-run"]))


CASES: Mapping[str, Callable[[str], str]] = {
    "data    fashion-mnist (": of_the_first_run,
    "copy        ": of_a_copy,
    "the outcomes are equal": of_equal_logs,
    "1 difference between": of_different_logs,
    "error: modellogs holds records": of_two_data_sets,
    "FAILED  ": of_a_timeout,
    "error: units=": of_a_changed_default,
    "30 runs of 6 configurations from examples/seeds.csv": of_claims,
    "--results mlflow:": of_mlflow,
    "from cv.csv": of_folds,
    "NOTE    course protocol": of_the_course,
    "looks at seeds": of_the_looks,
}
"""How to get the output of a box, by what stands in its first line; all others follow the block that they belong to."""
FAST = (of_claims, of_mlflow, of_folds)
OTHERS = (
    "wrote report.md, ",
    "               label  n ",
    "read        trials: 35 complete",
    " experiment      complete ",
    "nothing has been run in modellogs",
)
"""Boxes that `tests/test_docs.py` and `tests/menu` compare."""


# --- comparing -----------------------------------------------------------------------------------------------------

VARIES = {
    r" +\d+\.\d$": " SECONDS",
    r"with \d+ workers?": "WORKERS",
    r"(?<=IDX files in )[^)]*": "FOLDER",
    r"(?<=-)[0-9a-f]{8}\b": "HASH",
    r"\b[\d.]+ (min|s)\b": "TIME",
}


def boxes() -> Iterator[tuple[Path, str, str]]:
    """Page, command and text of each box."""
    for page in PAGES:
        found = blocks(page)
        for before, block in zip([found[0], *found], found, strict=False):
            if block.language == "text" and not block.text.startswith(OTHERS):
                command = block.text.splitlines()[0] if block.text.startswith("$ ") else before.text
                yield page, command, block.text


def case_of(box: str) -> Callable[[str], str]:
    """How to get the output of a box."""
    first = box.split("\n")[0]
    return next((case for words, case in CASES.items() if words in first), run_block)


def comparable(text: str) -> list[str]:
    """The lines of an output without what varies from run to run."""
    for pattern, word in VARIES.items():
        text = re.sub(pattern, word, text, flags=re.M)
    lines = without_what_varies(text).splitlines()
    return [re.sub(r"─+", "─", " ".join(line.split())) for line in lines if not line.startswith("$ ")]


def excerpt(printed: str, box: str) -> str:
    """The part of an output from the first line of a box to its last one; all of it where there is no such part."""
    shown = [line for line in box.splitlines() if not line.startswith("$ ")]
    lines = printed.splitlines()
    first, last = (comparable(next(filter(str.strip, side))) for side in (shown, shown[::-1]))
    start = next((i for i, line in enumerate(lines) if agree(comparable(line), first)), 0)
    end = next((i for i, line in enumerate(lines) if i >= start and agree(comparable(line), last)), len(lines))
    return "".join(f"{line.rstrip()}\n" for line in lines[start : end + 1])


def agree(printed: Sequence[str], shown: Sequence[str]) -> bool:
    """Whether the words are equal, and the numbers up to what another processor changes."""
    number = r"\d+(?:\.\d+)?"
    texts = ["\n".join(lines) for lines in (printed, shown)]
    if re.sub(number, "N", texts[0]) != re.sub(number, "N", texts[1]):
        return False
    pairs = zip(*(map(float, re.findall(number, text)) for text in texts), strict=True)
    return all(abs(a - b) <= 0.5 + LEARNT * abs(b) for a, b in pairs)


def parameters() -> Iterator[ParameterSet]:
    """The boxes with their names; those that train are slow."""
    for page, command, box in boxes():
        is_fast = case_of(box) in FAST or "--results" in command or "--list" in command
        marks = [] if is_fast else [pytest.mark.slow]
        yield pytest.param(page, command, box, id=box.split("\n")[0][:40], marks=marks)


@pytest.mark.parametrize(("page", "command", "box"), list(parameters()))
def test_a_box_is_what_its_command_prints(page, command, box, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = excerpt(case_of(box)(command), box)
    assert agree(comparable(found), comparable(box)), found


# --- writing them anew ---------------------------------------------------------------------------------------------


def write_boxes(*words: str) -> None:
    """Replace the boxes that are not what their commands print: all, or those with one of `words` in them."""
    for page, command, box in boxes():
        if words and not any(word in box for word in words):
            continue
        with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
            found = excerpt(case_of(box)(command), box)
        if agree(comparable(found), comparable(box)):
            continue
        fresh = box[: box.index("\n") + 1] * box.startswith("$ ") + found
        text, pad = page.read_text(encoding="utf-8"), " " * 2
        for old, new in ((box, fresh), (textwrap.indent(box, pad), textwrap.indent(fresh, pad))):
            text = text.replace(f"```text\n{old}", f"```text\n{new}")
        page.write_text(text, encoding="utf-8")
        print(f"{page.name}: {found}", flush=True)


if __name__ == "__main__":
    write_boxes(*sys.argv[1:])
