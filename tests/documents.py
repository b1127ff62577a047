"""Helpers for the tests of documents: their blocks and tables, and commands run to compare their output."""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from gridstudy.cli.analyse import main as analyse
from gridstudy.cli.run import main as run
from tests.test_layout import MAY_IMPORT

ROOT = Path(__file__).parents[1]
MAINS = {"grid_search_experiments.py": run, "analyze_results.py": analyse}

VARIES = {
    r"\d{4}-\d\d-\d\d \d\d:\d\d": "DATE",
    r"\b\d+(\.\d+)? (s|min|minutes|h)\b": "TIME",
    r"(?<=figures to ).*": "FOLDER",
    r"\d+ trials at a time": "WORKERS",
    r"(?<=from four IDX files in ).*": "FOLDER",
    r"\b\d+\.\d+\.\d+\S*": "VERSION",
}
"""Patterns of what an output may say differently each time: times, paths, the number of workers and versions."""


class Block(NamedTuple):
    """A fenced block of a page: its language and its text, without the indentation of the fence."""

    language: str
    text: str


def blocks(page: Path) -> list[Block]:
    """All fenced blocks of a page, in order."""
    found = re.findall(r"^( *)```(\w*)\n(.*?)^ *```", page.read_text(encoding="utf-8"), re.M | re.S)
    return [Block(language, re.sub(rf"^{indent}", "", text, flags=re.M)) for indent, language, text in found]


def commands_of(text: str) -> list[list[str]]:
    """The words of each command in a block; a backslash joins lines, comments are left out."""
    lines = text.replace("\\\n", " ").splitlines()
    return [words for words in (shlex.split(line, comments=True) for line in lines) if words]


def our_commands(page: Path) -> Iterator[tuple[str, list[str]]]:
    """The script and the arguments of each command of ours in the fenced blocks of a page."""
    for block in blocks(page):
        if block.language in ("bash", "powershell", "sh", "console"):
            for words in commands_of(block.text):
                script, arguments = split_command(words)
                if script:
                    yield script, arguments


def split_command(words: list[str]) -> tuple[str, list[str]]:
    """`python -m gridstudy run x` and `python grid_search_experiments.py x` -> the script's name and ["x"]."""
    for position, word in enumerate(words):
        if word in MAINS:
            return word, words[position + 1 :]
        if word == "gridstudy" and words[position + 1 : position + 2] in (["run"], ["analyse"]):
            script = "grid_search_experiments.py" if words[position + 1] == "run" else "analyze_results.py"
            return script, words[position + 2 :]
    return "", []


def output_of(block: Block, *, folder: Path) -> str:
    """Run the commands of ours in a block, in `folder`; return what the last one printed to stdout.

    Paths in `examples/` are taken from the repository.
    """
    printed = ""
    for words in commands_of(block.text):
        script, arguments = split_command(words)
        assert script, f"no command of ours: {shlex.join(words)}"
        arguments = [str(ROOT / word) if word.startswith("examples/") else word for word in arguments]
        printed = printed_by(script, arguments, folder=folder)
    return printed


def printed_by(script: str, arguments: list[str], *, folder: Path) -> str:
    """Run a script in this process and in `folder`; return its stdout, and fail where it does."""
    stdout, before = io.StringIO(), Path.cwd()
    os.chdir(folder)
    try:
        with contextlib.redirect_stdout(stdout), contextlib.redirect_stderr(io.StringIO()) as stderr:
            code = MAINS[script](arguments)
    finally:
        os.chdir(before)
    assert code == 0, stderr.getvalue()
    return stdout.getvalue()


def without_what_varies(text: str) -> str:
    """An output to compare: times, paths and versions replaced, spaces at the ends of lines removed."""
    for pattern, word in VARIES.items():
        text = re.sub(pattern, word, text)
    return "\n".join(line.rstrip() for line in text.strip("\n").splitlines() if line.strip())


def table_rows(text: str) -> list[list[str]]:
    """The cells of every row of the Markdown tables in a text, without the rules under headings."""
    rows = re.findall(r"^ *\|(.+)\| *$", text, re.M)
    cells = [[cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", row)] for row in rows]
    return [row for row in cells if not set(row[0]) <= set("- :")]


def section(page: Path, title: str) -> str:
    """The text under a heading of the second level."""
    found = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", page.read_text(encoding="utf-8"), re.M | re.S)
    assert found, f"{page.name} has no section {title!r}"
    return found[1]


def code_spans(text: str) -> list[str]:
    """What stands between backticks."""
    return re.findall(r"`([^`]+)`", text)


# --- what README takes from the reference study and from the rooms ---------------------------------------------------


def reference(name: str) -> pd.DataFrame:
    """A table of the reference study."""
    return pd.read_csv(ROOT / "reference" / "tables" / f"{name}.csv", keep_default_na=False)


def result_rows() -> list[list[str]]:
    """README's table of results: experiment, verdict, differences, seeds."""
    contrasts = reference("contrasts")
    rows = []
    for verdict in reference("verdicts").to_dict("records"):
        own = contrasts[contrasts["experiment"] == verdict["experiment"]].to_dict("records")
        words = {"cannot tell": "undecided"}.get(verdict["verdict"], verdict["verdict"])
        note = f" ({verdict['labels']})" if verdict["labels"] != "none" else ""
        rows.append([f"`{verdict['experiment']}`", words + note, "; ".join(map(difference, own)), str(own[0]["n"])])
    return rows


def difference(row: dict[str, object]) -> str:
    """A contrast in words: `10 over 5: +1.36 [0.55, 2.16]`."""
    labels = (str(row[f"{side}_label"]).removesuffix(" (baseline)") for side in ("first", "second"))
    first, second = (label.partition(":")[0] for label in labels)
    joined = f"{first} over {second}" if row["relation"] == "order" else f"{first} against {second}"
    value, low, high = (100 * float(str(row[f"accuracy_difference{end}"])) for end in ("", "_low", "_high"))
    return f"{joined}: {value:+.2f} [{low:.2f}, {high:.2f}]"


def room_rows() -> list[list[str]]:
    """README's map: a row per room, with the first line of its docstring."""
    rooms = {room: (ROOT / "gridstudy" / room / "__init__.py").read_text(encoding="utf-8") for room in MAY_IMPORT}
    return [[f"`gridstudy/{room}/`", text.splitlines()[0].strip('"').rstrip(".")] for room, text in rooms.items()]
