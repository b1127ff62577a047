"""The package's layers: who may import whom, and where torch lives."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

TORCH = {"network", "gradients", "optimizers", "sources", "data", "training", "lean_mltrainer", "remote_trials"}
"""The modules that may import torch or mltrainer while they are imported."""

RUNNING = {"training", "gradients", "optimizers", "network", "data", "sources", "garments", "launchers", "runner",
           "progress", "console"}  # fmt: skip
ANALYSING = {"comparisons", "noise", "flags", "verdicts", "estimates", "interactions", "questions", "plotting",
             "experiment_figures", "study_figures", "figures", "tables", "findings", "phrases", "result_sentences",
             "question_sentences", "summary", "blocks", "page", "report"}  # fmt: skip
DRAWING = {"plotting", "experiment_figures", "study_figures", "figures"}


def _modules() -> dict[str, Path]:
    return {path.stem: path for path in (ROOT / "gridstudy").glob("*.py") if path.stem != "__init__"}


def _imports(path: Path, *, top_level_only: bool = False) -> set[str]:
    """Full names of imported modules; what stands under TYPE_CHECKING or in a function counts only if asked."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    nodes = tree.body if top_level_only else ast.walk(tree)
    names: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return names


def _ours(path: Path) -> set[str]:
    return {name.split(".")[1] for name in _imports(path) if name.startswith("gridstudy.")} & set(_modules())


def test_torch_is_imported_only_where_training_needs_it():
    for name, path in _modules().items():
        roots = {imported.split(".")[0] for imported in _imports(path, top_level_only=True)}
        assert name in TORCH or not roots & {"torch", "mltrainer"}, name


def test_nothing_imports_a_script():
    for path in _modules().values():
        assert not {"grid_search_experiments", "analyze_results"} & _imports(path), path.name


def test_the_words_of_the_study_import_nothing_of_ours():
    assert _ours(_modules()["study"]) == set()
    assert _ours(_modules()["experiments"]) <= {"study"}
    assert _ours(_modules()["launchers"]) == set()


@pytest.mark.parametrize("name", sorted(ANALYSING))
def test_the_analysis_reads_records_and_never_the_running_half(name):
    reached, queue = set(), [name]
    while queue:
        module = queue.pop()
        if module not in reached:
            reached.add(module)
            queue.extend(_ours(_modules()[module]))
    assert not reached & RUNNING, f"{name} reaches {sorted(reached & RUNNING)}"
    assert not reached & TORCH


def test_figures_compute_nothing_and_estimates_draw_nothing():
    modules = _modules()
    for name in DRAWING:
        assert not {"scipy", "statsmodels"} & {n.split(".")[0] for n in _imports(modules[name])}, name
    for name in ANALYSING - DRAWING - {"report"}:
        assert not {"matplotlib", "seaborn"} & {n.split(".")[0] for n in _imports(modules[name])}, name
