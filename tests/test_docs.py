"""What the documents say is so: flags, commands, names, links, filters and messages."""

from __future__ import annotations

import argparse
import ast
import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from gridstudy.cli import analyse, run_arguments
from gridstudy.core.selection import read_study_file, select_experiments
from gridstudy.core.trial import TrialConfig
from gridstudy.fashion.experiments import FOLLOW_UP, GROUPS, STUDY
from gridstudy.fashion.subject import SUBJECT
from tests.conftest import IDENTITY

ROOT = Path(__file__).parents[1]
GUIDE = ROOT / "README_EXECUTION.md"
SCRIPTS = {"grid_search_experiments.py": run_arguments, "analyze_results.py": analyse}
FLAGS_OF_OTHERS = {
    "--index-url",
    "--head",
    "--address",
    "--disable-usage-stats",
    "--host",
    "--include-dashboard",
    "--port",
    "--backend-store-uri",
    "--upgrade",
}
"""Flags of pip, ray and mlflow that the guide shows."""


def documents() -> list[Path]:
    folders = (ROOT, ROOT / "docs", ROOT / "docs" / "decisions", ROOT / "modellogs", ROOT / "visualizations")
    pages = [page for folder in folders for page in sorted(folder.glob("*.md"))]
    return [page for page in pages if page.name not in ("report.md", "report_template.md")]


def section(title: str) -> str:
    """The text under a heading of the second level."""
    found = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", GUIDE.read_text(encoding="utf-8"), re.M | re.S)
    assert found, f"{GUIDE.name} has no section {title!r}"
    return found[1]


def table_rows(text: str) -> list[list[str]]:
    rows = re.findall(r"^ *\|(.+)\| *$", text, re.M)
    cells = [[cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", row)] for row in rows]
    return [row for row in cells if not set(row[0]) <= set("- ")]


def code_spans(text: str) -> list[str]:
    return re.findall(r"`([^`]+)`", text)


def commands(page: Path) -> Iterator[tuple[str, list[str]]]:
    """Script and arguments of each command of ours in the fenced blocks of a page."""
    text = page.read_text(encoding="utf-8")
    for block in re.findall(r"^ *```(?:bash|powershell|sh|console)\n(.*?)^ *```", text, re.M | re.S):
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            script = next((word for word in words if word in SCRIPTS), None)
            if script:
                yield script, words[words.index(script) + 1 :]


def options(parser: argparse.ArgumentParser) -> set[str]:
    return {option for action in parser._actions for option in action.option_strings}


def slug(heading: str) -> str:
    """The anchor that GitHub makes of a heading."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


# --- flags and commands --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("script", SCRIPTS)
def test_the_guide_lists_the_flags_that_the_parser_has(script):
    rows = table_rows(section(f"{script}: every flag"))
    listed = {word for row in rows for span in code_spans(row[0]) for word in span.split() if word.startswith("-")}
    elsewhere = {word for title in ("From a laptop to a cluster", "MLflow", "Results of other programs")
                 for row in table_rows(section(title))
                 for span in code_spans(row[0]) for word in span.split() if word.startswith("--")}  # fmt: skip
    known = options(SCRIPTS[script].build_parser())
    assert listed <= known, f"documented, but no flag: {sorted(listed - known)}"
    assert known <= listed | elsewhere, f"not documented: {sorted(known - listed - elsewhere)}"


def test_every_flag_that_the_guide_mentions_exists():
    known = set().union(*(options(script.build_parser()) for script in SCRIPTS.values())) | FLAGS_OF_OTHERS
    mentioned = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", GUIDE.read_text(encoding="utf-8")))
    assert mentioned <= known


@pytest.mark.parametrize("page", documents(), ids=lambda page: page.name)
def test_commands_shown_parse(page):
    for script, words in commands(page):
        arguments = SCRIPTS[script].build_parser().parse_args(words)
        if script == "analyze_results.py":
            analyse.parse_margin(arguments.margin)
            continue
        run_arguments.parse_seeds(arguments.seeds or "5")
        run_arguments.parse_workers(arguments.workers)
        if arguments.subject is None:
            study = arguments.study and ROOT / arguments.study
            own = read_study_file(study, SUBJECT) if study and study.is_file() else []
            overrides = run_arguments.parse_overrides(arguments.overrides, SUBJECT)
            names = [name for name in arguments.experiments if not name.isdecimal()]
            if own or not arguments.study:
                select_experiments(SUBJECT, names, overrides=overrides, own=own)


def test_the_guide_shows_commands_of_both_scripts():
    assert {script for script, _ in commands(GUIDE)} == set(SCRIPTS)


# --- names ---------------------------------------------------------------------------------------------------------


def test_every_experiment_stands_in_its_group():
    rows = table_rows(section("grid_search_experiments.py: every flag"))
    listed = {code_spans(row[1])[-1]: code_spans(row[0]) for row in rows if len(row) == 2 and code_spans(row[1])}
    assert tuple(listed["all"]) == GROUPS["all"]
    assert tuple(listed["follow-up"]) == GROUPS["follow-up"]
    assert set(GROUPS["all"]) - set(GROUPS["quick"]) == set(listed["quick"])
    assert set(listed) == set(GROUPS)
    assert {name for names in listed.values() for name in names} == {table["name"] for table in STUDY + FOLLOW_UP}


def test_every_hyperparameter_is_named():
    assert set(SUBJECT.search_space.names) <= set(code_spans(section("Experiments of your own")))


def test_tensorboard_filters_match_real_run_names():
    experiments = select_experiments(SUBJECT, ["all", "follow-up"])
    trials = [
        TrialConfig(SUBJECT.name, c, seed, IDENTITY) for e in experiments for c in e.configurations for seed in range(5)
    ]
    runs = {f"{trial.trial_id}/20260101-120000": trial for trial in trials}
    filters = [code_spans(row[0])[0] for row in table_rows(section("TensorBoard, step by step"))[1:]]
    shown = {pattern: {run for run in runs if re.search(pattern, run)} for pattern in filters}
    assert all(0 < len(found) < len(runs) for found in shown.values())
    epochs = next(e for e in experiments if e.name == "epochs")
    assert epochs.tensorboard_filter in filters
    for experiment in experiments:
        found = {runs[run].configuration for run in runs if re.search(experiment.tensorboard_filter, run)}
        assert found == set(experiment.configurations)


# --- links ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", documents(), ids=lambda page: page.name)
def test_links_and_pictures_exist(page):
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.S)
    for target in re.findall(r"\]\(([^)\s]+)[^)]*\)", text):
        path, _, anchor = target.partition("#")
        if re.match(r"[a-z]+:", target):
            continue
        file = page.parent / path if path else page
        assert file.exists(), f"{page.name} links to {target}"
        if anchor and file.suffix == ".md":
            headings = re.findall(r"^#+ (.+)$", file.read_text(encoding="utf-8"), re.M)
            assert anchor in map(slug, headings), f"{page.name} links to {target}"


# --- messages ------------------------------------------------------------------------------------------------------


@cache
def texts_in_the_code() -> tuple[str, ...]:
    """Every string of the program, what is computed in it as `…`."""
    files = [*ROOT.glob("gridstudy/**/*.py"), *(ROOT / script for script in SCRIPTS)]
    nodes = [node for file in files for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))]
    joined = ("".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values)
              for node in nodes if isinstance(node, ast.JoinedStr))  # fmt: skip
    return (*joined, *(node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)))


def messages() -> list[str]:
    return [code_spans(row[0])[0] for row in table_rows(section("What a message means")) if row[0] != "message"]


@pytest.mark.parametrize("message", messages())
def test_messages_explained_are_those_of_the_program(message):
    parts = [part.strip() for part in message.split("…") if len(part.strip()) > 3]
    assert parts
    for part in parts:
        assert any(part in text for text in texts_in_the_code()), part
