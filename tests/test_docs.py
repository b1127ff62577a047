"""What the documents say is so: flags, commands, names, links, filters and messages."""

from __future__ import annotations

import argparse
import ast
import contextlib
import io
import re
import sys
import tomllib
from functools import cache
from pathlib import Path

import pandas as pd
import pytest

from benchmarks import table
from benchmarks.measurement import read_csv
from gridstudy.cli import analyse, board, run_arguments
from gridstudy.core.selection import read_study_file, select_experiments
from gridstudy.core.trial import TrialConfig
from gridstudy.fashion.experiments import FOLLOW_UP, GROUPS, STUDY
from gridstudy.fashion.subject import SUBJECT
from tests.conftest import IDENTITY
from tests.documents import (
    ROOT,
    blocks,
    code_spans,
    our_commands,
    output_of,
    reference,
    result_rows,
    room_rows,
    section,
    table_rows,
    without_what_varies,
)
from tests.test_layout import imported

README = ROOT / "README.md"
GUIDE = ROOT / "README_EXECUTION.md"
SCRIPTS = {"grid_search_experiments.py": run_arguments, "analyze_results.py": analyse}
FLAGS_OF_OTHERS = {
    "--index-url",
    "--head",
    "--address",
    "--disable-usage-stats",
    "--host",
    "--include-dashboard",
    "--backend-store-uri",
    "--upgrade",
}
"""Flags of pip, ray and mlflow that the guide shows."""


def documents() -> list[Path]:
    folders = (ROOT, ROOT / "docs", ROOT / "docs" / "decisions", ROOT / "modellogs", ROOT / "visualizations")
    pages = [page for folder in folders for page in sorted(folder.glob("*.md"))]
    return [page for page in pages if page.name not in ("report.md", "report_template.md")]


def options(parser: argparse.ArgumentParser) -> set[str]:
    return {option for action in parser._actions for option in action.option_strings}


def slug(heading: str) -> str:
    """The anchor that GitHub makes of a heading."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


# --- flags and commands --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("script", SCRIPTS)
def test_the_guide_lists_the_flags_that_the_parser_has(script):
    rows = table_rows(section(GUIDE, f"{script}: every flag"))
    listed = {word for row in rows for span in code_spans(row[0]) for word in span.split() if word.startswith("-")}
    elsewhere = {word for title in ("From a laptop to a cluster", "MLflow", "Results of other programs")
                 for row in table_rows(section(GUIDE, title))
                 for span in code_spans(row[0]) for word in span.split() if word.startswith("--")}  # fmt: skip
    known = options(SCRIPTS[script].build_parser())
    assert listed <= known, f"documented, but no flag: {sorted(listed - known)}"
    assert known <= listed | elsewhere, f"not documented: {sorted(known - listed - elsewhere)}"


def test_the_guide_lists_the_flags_of_the_board():
    rows = [row for row in table_rows(section(GUIDE, "TensorBoard, step by step")) if row[0].startswith("`-")]
    listed = {word for row in rows for span in code_spans(row[0]) for word in span.split() if word.startswith("-")}
    assert listed == options(board.build_parser())


@pytest.mark.parametrize("page", documents(), ids=lambda page: page.name)
def test_every_flag_that_a_document_mentions_exists(page):
    known = set().union(*(options(script.build_parser()) for script in (*SCRIPTS.values(), board))) | FLAGS_OF_OTHERS
    mentioned = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", page.read_text(encoding="utf-8")))
    assert mentioned <= known


@pytest.mark.parametrize("page", documents(), ids=lambda page: page.name)
def test_commands_shown_parse(page):
    for script, words in our_commands(page):
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
    assert {script for script, _ in our_commands(GUIDE)} == set(SCRIPTS)


# --- names ---------------------------------------------------------------------------------------------------------


def test_every_experiment_stands_in_its_group():
    rows = table_rows(section(GUIDE, "grid_search_experiments.py: every flag"))
    listed = {code_spans(row[1])[-1]: code_spans(row[0]) for row in rows if len(row) == 2 and code_spans(row[1])}
    assert tuple(listed["all"]) == GROUPS["all"]
    assert tuple(listed["follow-up"]) == GROUPS["follow-up"]
    assert set(GROUPS["all"]) - set(GROUPS["quick"]) == set(listed["quick"])
    assert set(listed) == set(GROUPS)
    assert {name for names in listed.values() for name in names} == {table["name"] for table in STUDY + FOLLOW_UP}


def test_every_hyperparameter_is_named():
    assert set(SUBJECT.search_space.names) <= set(code_spans(section(GUIDE, "Experiments of your own")))


def test_tensorboard_filters_match_real_run_names():
    experiments = select_experiments(SUBJECT, ["all", "follow-up"])
    trials = [
        TrialConfig(SUBJECT.name, c, seed, IDENTITY) for e in experiments for c in e.configurations for seed in range(5)
    ]
    runs = {f"{trial.trial_id}/20260101-120000": trial for trial in trials}
    rows = table_rows(section(GUIDE, "TensorBoard, step by step"))[1:]
    filters = [code_spans(row[0])[0] for row in rows if len(row) == 2]
    shown = {pattern: {run for run in runs if re.search(pattern, run)} for pattern in filters}
    assert all(0 < len(found) < len(runs) for found in shown.values())
    epochs = next(e for e in experiments if e.name == "epochs")
    assert epochs.tensorboard_filter in filters
    for experiment in experiments:
        found = {runs[run].configuration for run in runs if re.search(experiment.tensorboard_filter, run)}
        assert found == set(experiment.configurations)


# --- README: its numbers, its rooms and the outputs that it shows ---------------------------------------------------


def points(value: float, digits: int = 1) -> str:
    return f"{100 * value:.{digits}f}"


def leads(experiment: str, contrast: str) -> tuple[str, int]:
    """The difference and interval of a contrast of the reference study in words, and its number of seeds."""
    table = reference("contrasts")
    (row,) = table[(table["experiment"] == experiment) & (table["contrast"] == contrast)].to_dict("records")
    low, high = (points(float(row[f"accuracy_difference_{end}"])) for end in ("low", "high"))
    return f"{points(float(row['accuracy_difference']))} points of validation accuracy [{low}, {high}]", int(row["n"])


def prose(page: Path) -> str:
    return " ".join(page.read_text(encoding="utf-8").split())


def test_readme_leads_with_what_the_reference_study_found():
    text = prose(README)
    epochs, n_epochs = leads("epochs", "epochs 10 > epochs 5")
    units, n_units = leads("units", "units1 256, units2 256 > units1 64, units2 64")
    assert f"ten epochs beat five by {epochs} (n = {n_epochs} seeds)" in text
    assert f"two of 64 by {units.replace(' of validation accuracy', '')} (n = {n_units})" in text
    verdicts = reference("verdicts").set_index("experiment")["verdict"]
    assert (verdicts[["units", "optimizer"]] == "supported").all()
    assert verdicts["depth"] == "cannot tell"
    counts = verdicts.value_counts()
    assert (len(verdicts), counts["supported"], counts["cannot tell"]) == (12, 9, 3)
    assert "Of twelve hypotheses nine are supported; three are undecided at 80 seeds" in text
    open_ones = reference("verdicts").query("verdict == 'cannot tell'")
    assert set(open_ones["n_seeds"]) == {80}


def test_readme_tells_the_interaction_and_the_recommendations_that_the_reference_study_found():
    effects = reference("interaction_effects")
    own = effects[(effects["experiment"] == "learning_rate_x_batch_size") & (effects["axis"] == "learning_rate")]
    small, large = (own[own["at"].astype(float) == size].iloc[0] for size in (16, 128))
    assert (float(small["start"]), float(small["end"])) == (1e-4, 1e-2)
    assert float(small["accuracy_difference_low"]) < 0 < float(small["accuracy_difference_high"])
    gain, low, high = (points(float(large[f"accuracy_difference{end}"])) for end in ("", "_low", "_high"))
    assert f"from 1e-4 to 1e-2 gains {gain} points [{low}, {high}] with batches of 128" in prose(README)
    summary = pd.read_csv(ROOT / "reference" / "experiment_summary.csv")
    chosen = summary[summary["recommended"]].set_index("experiment")["label"].str.removesuffix(" (baseline)")
    names = ["epochs", "depth", "learning_rate", "batch_size"]
    assert chosen[names].tolist() == ["10", "2", "1e-3", "128"]


def test_readme_counts_the_trials_of_the_reference_study():
    facts = reference("study_facts").set_index("quantity")["value"].astype(float)
    n_fixed = facts["configurations analysed"] * facts["seeds"]
    assert f"It took {facts['trials complete']:,.0f} trials" in prose(README)
    assert f"would have taken {n_fixed:,.0f}" in prose(README)


def test_readme_states_the_simulated_rate_of_false_claims():
    page = (ROOT / "docs" / "simulations.md").read_text(encoding="utf-8")
    rows = table_rows(page.partition("G5: a study without any effect")[2].partition("G5:")[0])
    rates = [float(cell.strip("*%")) for row in rows if row[0] for cell in row[1:7]]  # the last two promise nothing
    assert f"it did so in {min(rates)} to {max(rates)} %" in prose(README)


def test_the_levels_of_the_intervals_are_those_of_the_reference_study():
    contrasts = reference("contrasts")
    first, later = contrasts["n"] == 5, contrasts["n"] > 5
    assert set(contrasts[first]["confidence"]) == {0.96}
    assert set(contrasts[later]["confidence"]) == {0.9975}
    assert "96 % intervals where n is 5 and 99.75 % intervals where it is larger" in prose(README)


def test_readme_shows_the_results_of_the_reference_study():
    rows = table_rows(section(README, "Results of the reference study"))
    assert rows[1:] == result_rows()


def test_readme_maps_every_room():
    rows = table_rows(section(README, "The map"))
    assert [row for row in rows if row[0].startswith("`gridstudy/")] == room_rows()


@pytest.mark.parametrize(("page", "lines"), [(README, table.readme_lines), (GUIDE, table.guide_lines)])
def test_the_documents_quote_the_benchmark_as_it_was_measured(page, lines):
    results = table.Results(read_csv(table.RESULTS))
    text = page.read_text(encoding="utf-8")
    assert table.replace_between(text, list(lines(results))) == text


def test_readme_shows_what_its_commands_print(tmp_path):
    shown = blocks(README)
    (position,) = [i for i, block in enumerate(shown) if "--subject" in block.text]
    printed = output_of(shown[position], folder=tmp_path)
    assert without_what_varies(printed) == without_what_varies(shown[position + 1].text)
    (last,) = [block.text for block in shown if block.text.startswith("wrote ")]
    last_printed = without_what_varies(printed).splitlines()[-1]
    assert re.sub(r"\d+ figures", "", without_what_varies(last)) == re.sub(r"\d+ figures", "", last_printed)
    shown = blocks(GUIDE)  # shows the status of the same study
    (position,) = [i for i, block in enumerate(shown) if "--status --logdir" in block.text]
    status = output_of(shown[position], folder=tmp_path)
    assert without_what_varies(status) == without_what_varies(shown[position + 1].text)


def test_readme_shows_what_its_python_prints(monkeypatch):
    shown = blocks(README)
    (position,) = [i for i, block in enumerate(shown) if block.language == "python"]
    monkeypatch.chdir(ROOT)
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(compile(shown[position].text, README.name, "exec"), {})
    assert printed.getvalue() == shown[position + 1].text


# --- dependencies --------------------------------------------------------------------------------------------------

IMPORT_NAMES = {"tomli-w": "tomli_w", "mads-datasets": "mads_datasets", "protobuf": "google"}
OPTIONAL = {"ray", "psutil", "optuna", "pyarrow"}
PINNED_FOR_OTHERS = {"sqlalchemy"}
"""Held back for the sake of mltrainer's mlflow, and imported by nobody of ours."""


def roots_imported() -> set[str]:
    names = {name.split(".")[0] for file in ROOT.glob("gridstudy/**/*.py") for name in imported(file)}
    return names - sys.stdlib_module_names - {"gridstudy"}


def roots_declared() -> set[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    names = {re.split(r"[<>=\[]", text)[0] for text in project["dependencies"]}
    return {IMPORT_NAMES.get(name, name) for name in names}


def test_every_declared_dependency_is_imported_by_the_product():
    assert roots_declared() - PINNED_FOR_OTHERS <= roots_imported()


def test_every_imported_package_is_declared():
    assert roots_imported() - OPTIONAL <= roots_declared()


def test_the_product_draws_with_seaborn_and_loads_with_mads_datasets():
    assert {"seaborn", "mads_datasets"} <= roots_imported()


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
    return [code_spans(row[0])[0] for row in table_rows(section(GUIDE, "What a message means")) if row[0] != "message"]


@pytest.mark.parametrize("message", messages())
def test_messages_explained_are_those_of_the_program(message):
    parts = [part.strip() for part in message.split("…") if len(part.strip()) > 3]
    assert parts
    for part in parts:
        assert any(part in text for text in texts_in_the_code()), part
