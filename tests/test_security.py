"""What the sources must not hold."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FORBIDDEN = {
    "TLS switched off": r"verify\s*=\s*False|_create_unverified_context|CERT_NONE|check_hostname\s*=\s*False",
    "a download that is not checked": r"curl[^\n]* (-k|--insecure)\b|--trusted-host|--no-check-certificate",
    "a shell": r"shell\s*=\s*True|os\.system\(|os\.popen\(|Invoke-Expression|\biex\b",
    "code that is data": r"(?<![.\w])(eval|exec)\(|\bpickle\.loads?\(|allow_pickle\s*=\s*True|yaml\.load\(",
    "TensorBoard open to the network": r"--bind_all|--host[ =]+['\"]?0\.0\.0\.0",
    "a template that escapes nothing": r"autoescape\s*=\s*False|\bMarkup\(",
}


def _sources():
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.splitlines()  # fmt: skip
    kinds = {".py", ".ps1", ".ipynb", ".md", ".toml", ".txt", ".yml", ".yaml", ".sh", ""}
    return [ROOT / name for name in listed if Path(name).suffix in kinds and not name.startswith("tests/")]


@pytest.mark.parametrize("what", FORBIDDEN)
def test_the_sources_hold_nothing_of(what):
    if not (ROOT / ".git").exists() or not shutil.which("git"):
        pytest.skip("git lists the sources")
    found = [
        f"{path.name}: {match[0]}"
        for path in _sources()
        if path.is_file()
        for match in re.finditer(FORBIDDEN[what], path.read_text(encoding="utf-8", errors="replace"))
    ]
    assert found == []


def test_tensors_are_loaded_as_tensors_only():
    import ast

    calls = [
        node
        for path in [*ROOT.glob("*.py"), *ROOT.glob("gridstudy/**/*.py"), *ROOT.glob("benchmarks/**/*.py")]
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "torch.load"
    ]
    for call in calls:
        assert {k.arg: ast.unparse(k.value) for k in call.keywords}.get("weights_only") == "True"
