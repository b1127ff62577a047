"""run_experiments.ps1 by a real parser: Windows PowerShell 5.1 takes it, and its names are the programs'."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator

import pytest
import tree_sitter_powershell
from tree_sitter import Language, Node, Parser

from gridstudy.cli import analyse, board, run_arguments
from tests.menu.shell import ROOT, SCRIPT

SOURCE = SCRIPT.read_bytes()
AUTOMATIC = {
    "_",
    "true",
    "false",
    "null",
    "Matches",
    "PSScriptRoot",
    "ExecutionContext",
    "LASTEXITCODE",
    "ErrorActionPreference",
    "WhatIfPreference",
    "PSCmdlet",
}
# What the script may call beside its own functions; all are in Windows PowerShell 5.1.
CMDLETS = {
    "ForEach-Object", "Get-Command", "Get-Item", "Join-Path", "New-Object", "Pop-Location", "Push-Location",
    "Read-Host", "Select-Object", "Set-Content", "Set-StrictMode", "Start-Sleep", "Test-Path", "Where-Object",
    "Write-Host",
}  # fmt: skip


def parse(source: bytes) -> Node:
    return Parser(Language(tree_sitter_powershell.language())).parse(source).root_node


def walk(node: Node) -> Iterator[Node]:
    yield node
    for child in node.children:
        yield from walk(child)


def find(node: Node, *types: str) -> list[Node]:
    return [n for n in walk(node) if n.type in types]


def words(node: Node | None) -> str:
    assert node is not None and node.text is not None
    return node.text.decode()


def not_in_5_1(root: Node) -> list[str]:
    """What Windows PowerShell 5.1 would refuse, or what only PowerShell 7 knows, by line."""
    found = []
    for node in walk(root):
        text = words(node).lower()
        if (
            node.is_missing
            or node.type in {"ERROR", "UNEXPECTED", "pipeline_chain_tail", "merging_redirection_operator"}
            or (node.type == "command_parameter" and text == "-parallel")
            or (node.type == "variable" and text in {"$iswindows", "$islinux", "$ismacos", "$iscoreclr"})
        ):
            found.append(f"line {node.start_point[0] + 1}: {words(node)[:60]!r}")
    return found


@pytest.fixture(scope="module")
def tree() -> Node:
    return parse(SOURCE)


@pytest.fixture(scope="module")
def functions(tree: Node) -> dict[str, Node]:
    return {words(find(n, "function_name")[0]): n for n in find(tree, "function_statement")}


def declared_parameters(function: Node) -> set[str]:
    blocks = find(function, "param_block")
    parameters = find(blocks[0], "script_parameter") if blocks else []
    return {words(next(c for c in p.children if c.type == "variable"))[1:] for p in parameters}


def test_the_script_parses_and_holds_nothing_that_powershell_5_1_refuses(tree):
    assert not_in_5_1(tree) == []
    assert not tree.has_error


@pytest.mark.parametrize(
    "source",
    [
        "a && b", "a || b", "$x = $a ?? $b", "$x ??= 3", "$x = $a ? 1 : 2", "$x?.Length", "$x?[0]", "if ($a) {",
        "1..3 | ForEach-Object -Parallel { $_ }", "if ($IsWindows) { 1 }", "python x.py 2>&1",
    ],
)  # fmt: skip
def test_the_check_refuses_what_it_should(source):
    assert not_in_5_1(parse(source.encode()))


def test_the_script_is_plain_ascii_with_unix_line_ends():
    assert SOURCE.isascii()
    assert b"\r" not in SOURCE
    assert b"\t" not in SOURCE


def test_every_command_called_exists_and_takes_the_parameters_given(tree, functions):
    for command in find(tree, "command"):
        name = words(command.child_by_field_name("command_name") or command.children[0])
        if not name[0].isalpha():  # & $Command is a program; the grammar takes 1..2 for a command
            continue
        assert name in functions or name in CMDLETS, f"line {command.start_point[0] + 1}: {name}"
        if name in functions:
            own = [e for c in command.children if c.type == "command_elements" for e in c.children]
            given = {words(e)[1:] for e in own if e.type == "command_parameter"}
            assert given <= declared_parameters(functions[name]), f"line {command.start_point[0] + 1}: {words(command)}"


def test_every_variable_read_is_set_somewhere_in_reach(tree, functions):
    """Strict mode ends the script at the first variable that was never set."""

    def set_in(node: Node) -> set[str]:
        targets = [words(n) for n in find(node, "left_assignment_expression")]
        loops = [words(find(n, "variable")[0]) for n in find(node, "foreach_statement")]
        return {re.sub(r"^\$(script:|global:)?", "", t) for t in [*targets, *loops]}

    inside = {n.id for f in functions.values() for n in walk(f)}
    at_top = {words(n)[1:] for n in find(tree, "variable") if n.id not in inside} & (
        set_in(tree) | {words(n)[1:] for p in find(tree, "script_parameter") for n in find(p, "variable")}
    )
    for name, function in functions.items():
        known = set_in(function) | declared_parameters(function) | at_top | AUTOMATIC
        for variable in find(function, "variable", "braced_variable"):
            short = re.sub(r"^[$@]\{?(script:|global:)?|\}$", "", words(variable))
            assert short in known or short.startswith("env:"), f"{name}: {words(variable)}"


def test_what_a_program_prints_goes_to_the_terminal_and_is_never_captured(tree):
    calls = [c for c in find(tree, "command") if words(c).startswith("Invoke-")]
    assert len(calls) >= 20
    for call in calls:
        pipe = call.parent
        assert pipe is not None and "|" not in [child.type for child in pipe.children]
        ancestor: Node | None = call
        while ancestor is not None and ancestor.type != "function_statement":
            assert ancestor.type not in {
                "assignment_expression",
                "array_expression",
                "sub_expression",
                "command_argument",
            }
            ancestor = ancestor.parent


def test_the_help_names_every_parameter_and_no_line_is_taken_for_a_keyword(tree):
    text = SOURCE.decode().split("<#")[1].split("#>")[0]
    keywords = re.findall(r"^\s*\.(\w+)(?:\s+(\S.*))?\s*$", text, flags=re.MULTILINE)
    assert {keyword for keyword, _ in keywords} == {"SYNOPSIS", "DESCRIPTION", "PARAMETER", "EXAMPLE"}
    parameters = find(find(tree, "param_block")[0], "script_parameter")
    declared = [words(next(c for c in p.children if c.type == "variable"))[1:] for p in parameters]
    assert [name for keyword, name in keywords if keyword == "PARAMETER"] == declared


def test_the_names_are_those_that_psscriptanalyzer_asks_for(functions):
    """Singular nouns, and ShouldProcess for verbs that change a state; the analyzer itself cannot be installed here."""
    for name in functions:
        verb, noun = name.split("-")
        assert not noun.endswith("s") or noun.endswith("sis"), name
        assert verb not in {"New", "Set", "Remove", "Start", "Stop", "Restart", "Reset", "Update"}, name


def test_every_option_is_one_of_the_programs():
    options = set(re.findall(r"'(--[a-z-]+)'", SOURCE.decode())) - {"--clear", "--disable-pip-version-check"}
    parsers = [module.build_parser() for module in (run_arguments, analyse, board)]
    known = {option for parser in parsers for action in parser._actions for option in action.option_strings}
    assert len(options) > 15
    assert options <= known


def test_the_python_inside_the_script_runs(functions):
    (probe,) = re.findall(r'\$code = "(.*)"', words(functions["Test-Interpreter"]))
    (opener,) = re.findall(r"\$open = '(.*)'", words(functions["Open-Report"]))
    assert not set(probe + opener) & set('"%$`')  # Windows PowerShell 5.1 and batch files would change these
    (pattern,) = re.findall(r"-match '(.*)'\)", words(functions["Test-Interpreter"]))
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    found = re.match(pattern, done.stdout.strip())
    assert found is not None
    assert found.groups() == tuple(map(str, sys.version_info[:2]))


def test_the_pythons_looked_for_are_those_that_the_project_takes():
    found = re.findall(r"'(3\.\d+)'", re.search(rb"\$PythonVersions = (.*)", SOURCE)[1].decode())
    assert min(int(v.split(".")[1]) for v in found) == 11
    assert 'requires-python = ">=3.11"' in (ROOT / "pyproject.toml").read_text()
    assert "torch==2.13.0" in (ROOT / "requirements.txt").read_text(), (
        "torch is a new one: check $PythonVersions, then here"
    )
