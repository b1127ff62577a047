"""The package's rooms: who may import whom, and where torch lives."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "gridstudy"

MAY_IMPORT = {
    "core": set(),
    "records": {"core"},
    "running": {"core", "records"},
    "statistics": {"core", "records"},
    "reporting": {"core", "records", "statistics"},
    "fashion": {"core", "records"},
    "cli": {"core", "records", "running", "statistics", "reporting", "fashion"},
}
"""Room -> the rooms it may import from; `gridstudy/__init__.py` and `__main__.py` may import everything."""


def modules() -> list[Path]:
    return sorted(path for path in PACKAGE.rglob("*.py") if len(path.relative_to(PACKAGE).parts) > 1)


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0]


def name_of(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def imported(path: Path) -> set[str]:
    """Full names of all imported modules, also in functions and under TYPE_CHECKING."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{name_of(path)}: imports are absolute"
            names.add(node.module or "")
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return names


def named(path: Path) -> set[str]:
    """Modules of ours that stand in a text, as they do for importlib."""
    nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    texts = {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    return {text for text in texts if re.fullmatch(r"gridstudy(\.\w+)+", text)}


def rooms_imported(path: Path) -> set[str]:
    names = imported(path) | named(path)
    return {name.split(".")[1] for name in names if name.startswith("gridstudy.")} & set(MAY_IMPORT)


def test_every_module_is_in_a_room_of_the_table():
    assert {room_of(path) for path in modules()} == set(MAY_IMPORT)
    assert {path.name for path in PACKAGE.glob("*.py")} <= {"__init__.py", "__main__.py"}


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_a_room_imports_only_what_the_table_allows(path: Path):
    room = room_of(path)
    assert rooms_imported(path) <= MAY_IMPORT[room] | {room}, name_of(path)


@pytest.mark.parametrize(
    "text",
    [
        "from gridstudy.fashion import subject",
        "def later():\n    import gridstudy.fashion.subject",
        "if TYPE_CHECKING:\n    from gridstudy.fashion.subject import SUBJECT",
        "from gridstudy import fashion",
        "import_module('gridstudy.fashion.subject')",
    ],
)
def test_an_import_is_seen_wherever_it_stands(tmp_path: Path, text: str):
    (tmp_path / "module.py").write_text(text, encoding="utf-8")
    assert rooms_imported(tmp_path / "module.py") == {"fashion"}


def exported(room: str) -> set[str]:
    """The modules that a room's __init__ names for others."""
    tree = ast.parse((PACKAGE / room / "__init__.py").read_text(encoding="utf-8"))
    (value,) = [node.value for node in tree.body if isinstance(node, ast.Assign)]
    return set(ast.literal_eval(value))


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=name_of)
def test_a_room_is_entered_through_the_modules_that_it_exports(path: Path):
    ours = (name.split(".")[1:3] for name in imported(path) if name.startswith("gridstudy."))
    for room, module in (parts for parts in ours if len(parts) == 2):
        if room in MAY_IMPORT and room != path.relative_to(PACKAGE).parts[0]:
            assert module in exported(room), f"{name_of(path)} imports {room}.{module}, which {room} keeps to itself"


def test_rooms_export_modules_that_exist():
    for room in MAY_IMPORT:
        for name in exported(room):
            assert (PACKAGE / room / name).with_suffix(".py").exists() or (PACKAGE / room / name).is_dir()


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_torch_is_imported_in_fashion_only(path: Path):
    roots = {name.split(".")[0] for name in imported(path)}
    assert room_of(path) == "fashion" or not roots & {"torch", "mltrainer", "mads_datasets"}, name_of(path)


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_nothing_imports_a_script(path: Path):
    assert not imported(path) & {"grid_search_experiments", "analyze_results"}, name_of(path)


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_computing_never_plots_and_plotting_never_computes(path: Path):
    roots = {name.split(".")[0] for name in imported(path)}
    if room_of(path) != "reporting":
        assert not roots & {"matplotlib", "seaborn"}, name_of(path)
    else:
        assert not roots & {"scipy", "statsmodels"}, name_of(path)


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_rooms_are_free_of_import_circles(path: Path):
    """No module reaches itself over imports made while it is loaded."""
    known = {"gridstudy." + p.relative_to(PACKAGE).with_suffix("").as_posix().replace("/", "."): p for p in modules()}
    start = next(name for name, p in known.items() if p == path)
    reached: set[str] = set()
    queue = [path]
    while queue:
        for name in imported(queue.pop()) & set(known):
            assert name != start or path.name == "__init__.py", name_of(path)
            if name not in reached:
                reached.add(name)
                queue.append(known[name])


def test_standard_library_names_are_not_shadowed():
    assert not {path.stem for path in modules()} & (sys.stdlib_module_names - {"statistics", "__init__"})
