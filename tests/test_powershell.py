"""run_experiments.ps1: syntax by a real parser, command lines by our own parsers, real runs where pwsh is found."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import tree_sitter_powershell
from tree_sitter import Language, Node, Parser

from gridstudy.cli import analyse, run_arguments
from gridstudy.cli.command_line import BAD_USAGE
from gridstudy.cli.run import SOME_FAILED
from gridstudy.core.selection import select_experiments
from gridstudy.core.subject import Description, Objective
from gridstudy.fashion.experiments import FOLLOW_UP, GROUPS, STUDY
from gridstudy.fashion.subject import SUBJECT
from gridstudy.running import console
from gridstudy.running.interruption import INTERRUPTED

ROOT = Path(__file__).parents[1]
SCRIPT = ROOT / "run_experiments.ps1"
SOURCE = SCRIPT.read_bytes()
STUDY_ACTIONS = {"All": ["all"], "Quick": ["quick"], "FollowUp": ["follow-up"], "Custom": ["epochs", "depth"]}
PLAN_ACTIONS = ["DryRun", "Status"]
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
}
# What the script may call beside its own functions; all are in Windows PowerShell 5.1.
CMDLETS = {
    "Get-Command", "Get-Item", "Join-Path", "New-Object", "Pop-Location", "Push-Location", "Read-Host", "Select-Object",
    "Set-Content", "Set-StrictMode", "Start-Sleep", "Test-Path", "Where-Object", "Write-Host", "Write-Verbose",
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


# Syntax


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
    calls = [c for c in find(tree, "command") if words(c).startswith(("Invoke-Python", "Invoke-StudyAction"))]
    assert len(calls) >= 4
    for call in calls:
        pipe = call.parent
        assert pipe is not None and len(find(pipe, "|")) == 0
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


# The command lines


class Evaluator:
    """Just enough PowerShell to run Get-StudyArguments: assignments, if, switch, strings and arrays of them."""

    def __init__(self, variables: Mapping[str, Any]) -> None:
        self.variables = {name.lower(): value for name, value in variables.items()}
        self.output: list[str] = []

    def run(self, node: Node) -> None:
        for statement in node.named_children:
            if statement.type in {"statement_list", "script_block_body", "statement_block"}:
                self.run(statement)
            elif statement.type == "pipeline":
                self.run_pipeline(statement)
            elif statement.type == "if_statement":
                self.run_if(statement)
            elif statement.type == "switch_statement":
                self.run_switch(statement)
            else:
                assert statement.type in {"comment", "param_block"}, (
                    f"Get-StudyArguments must stay plain: {words(statement)}"
                )

    def run_pipeline(self, node: Node) -> None:
        assignment = node.named_children[0]
        if assignment.type != "assignment_expression":
            value = self.value(node)
            self.output += value if isinstance(value, list) else [value]
            return
        target, operator, source = assignment.named_children
        name, value = words(target)[1:].lower(), self.value(source)
        self.variables[name] = self.variables[name] + value if words(operator) == "+=" else value

    def run_if(self, node: Node) -> None:
        branches = [
            (node.child_by_field_name("condition"), next(c for c in node.children if c.type == "statement_block"))
        ]
        for clause in find(node, "elseif_clause"):
            if clause.parent is not None and clause.parent.parent == node:
                branches.append((clause.named_children[0], clause.named_children[1]))
        for condition, block in branches:
            assert condition is not None
            if self.value(condition):
                return self.run(block)
        return None

    def run_switch(self, node: Node) -> None:
        value = self.value(node.named_children[0].named_children[0])
        for clause in find(node, "switch_clause"):
            if self.value(clause.named_children[0]).lower() == value.lower():
                self.run(clause.named_children[1])

    def value(self, node: Node) -> Any:
        if node.type == "variable":
            return self.variables[words(node)[1:].lower()]
        if node.type in {"verbatim_string_characters"}:
            return words(node)[1:-1]
        if node.type == "array_expression":
            return self.as_list(node)
        children = node.named_children
        if node.type == "comparison_expression" and len(children) == 3:
            equal = self.value(children[0]) == self.value(children[2])
            return {"-eq": equal, "-ne": not equal}[words(children[1])]
        if node.type == "additive_expression" and len(children) == 2:
            return self.value(children[0]) + self.value(children[1])
        assert len(children) == 1, f"Get-StudyArguments must stay plain: {words(node)}"
        return self.value(children[0])

    def as_list(self, node: Node) -> list[str]:
        (literal,) = find(node, "array_literal_expression") or [None]
        return [self.value(c) for c in literal.named_children] if literal is not None else []


@pytest.fixture(scope="module")
def command_line(functions):
    """The arguments that Get-StudyArguments gives, by running its parse tree."""
    body = find(functions["Get-StudyArguments"], "script_block")[0]
    defaults = dict.fromkeys(declared_parameters(functions["Get-StudyArguments"]), "")

    def build(action: str, **values: object) -> list[str]:
        evaluator = Evaluator(
            {**defaults, "Experiments": [], "Dataset": "auto", "Seeds": "5", "Action": action} | values
        )
        evaluator.run(body)
        return evaluator.output

    return build


PLACES = {"DataDir": "/my data/fashion mnist", "LogDir": "C:\\my logs", "OutputDir": "/my report"}


@pytest.mark.parametrize("action", STUDY_ACTIONS)
@pytest.mark.parametrize("places", [{}, PLACES])
def test_a_run_is_a_command_line_of_the_study(command_line, action, places):
    names = STUDY_ACTIONS[action]
    given = {"Experiments": names} if action == "Custom" else {}
    script, *rest = command_line(action, Seeds="10-19", **given, **places)
    assert script == "grid_search_experiments.py"
    parsed = run_arguments.build_parser().parse_args(rest)
    assert parsed.experiments == names
    assert select_experiments(SUBJECT, parsed.experiments)
    assert run_arguments.parse_seeds(parsed.seeds) == range(10, 20)
    assert not parsed.dry_run
    assert parsed.dataset == "auto"
    assert parsed.data_dir == (Path(places["DataDir"]) if places else None)
    assert parsed.logdir == Path(places["LogDir"] if places else "modellogs")
    assert run_arguments.build_parser().parse_args([*rest, "--dry-run"]).dry_run


@pytest.mark.parametrize("action", PLAN_ACTIONS)
@pytest.mark.parametrize("names", [[], ["epochs"], ["epochs", "full_passes"]])
def test_a_dry_run_and_the_status_only_plan(command_line, action, names):
    script, *rest = command_line(action, Experiments=names, Dataset="garments-small", **PLACES)
    assert script == "grid_search_experiments.py"
    parsed = run_arguments.build_parser().parse_args(rest)
    assert parsed.dry_run
    assert (parsed.experiments, parsed.seeds, parsed.dataset) == (names, "5", "garments-small")


def test_the_analysis_is_a_command_line_of_the_analysis(command_line):
    assert command_line("Analyze") == ["analyze_results.py"]
    script, *rest = command_line("Analyze", **PLACES)
    assert script == "analyze_results.py"
    parsed = analyse.build_parser().parse_args(rest)
    assert (parsed.logdir, parsed.output) == (Path(PLACES["LogDir"]), Path(PLACES["OutputDir"]))


@pytest.mark.parametrize("logdir", ["", "/my logs"])
def test_tensorboard_serves_this_machine_only(command_line, logdir):
    module, name, *rest = command_line("TensorBoard", Port="6006", LogDir=logdir)
    assert (module, name) == ("-m", "tensorboard.main")
    assert dict(zip(rest[::2], rest[1::2], strict=True)) == {
        "--host": "127.0.0.1",
        "--port": "6006",
        "--logdir": logdir or "modellogs",
    }
    assert b"bind_all" not in SOURCE
    assert b"0.0.0.0" not in SOURCE


def test_every_action_offered_is_one_that_is_done(tree, functions):
    parameter = next(p for p in find(tree, "script_parameter") if words(p).rstrip().endswith("$Action = 'Menu'"))
    offered = {words(n)[1:-1] for n in find(find(parameter, "attribute")[1], "verbatim_string_characters")}
    built = {
        words(find(n, "verbatim_string_characters")[0])[1:-1]
        for n in find(functions["Get-StudyArguments"], "switch_clause")
    }
    assert offered - built == {"Menu", "Report"}
    menu = set(re.findall(r"'\d' = '(\w+)'", words(functions["Invoke-Menu"])))
    assert menu == offered - {"Menu"}
    keys = re.findall(r"'  (\w)  ", words(functions["Show-Menu"]))
    assert keys == [*re.findall(r"'(\d)' = ", words(functions["Invoke-Menu"])), "q"]


def test_the_names_and_datasets_offered_are_those_of_the_study(tree, functions):
    shown = re.sub(
        r"Write-Host|'|\w[\w-]*:", " ", " ".join(re.findall(r"Write-Host '.*'", words(functions["Read-Choices"])))
    )
    assert set(shown.split()) == {*(table["name"] for table in STUDY + FOLLOW_UP), *GROUPS}
    parameter = next(p for p in find(tree, "script_parameter") if words(p).endswith("$Dataset = 'auto'"))
    datasets = [words(n)[1:-1] for n in find(find(parameter, "attribute")[0], "verbatim_string_characters")]
    action = next(a for a in run_arguments.build_parser()._actions if a.dest == "dataset")
    assert datasets == action.choices


def test_every_exit_code_of_the_programs_is_explained(functions):
    codes = {SOME_FAILED, BAD_USAGE, INTERRUPTED}
    codes |= {BAD_USAGE, analyse.INTERRUPTED}
    labels = [words(n.named_children[0]) for n in find(functions["Show-ExitCode"], "switch_clause")]
    assert {int(label) for label in labels} == codes


def test_the_lines_of_the_dry_run_that_the_script_looks_for_are_there(functions, capsys):
    (pattern,) = re.findall(r"-match '(\^\(.*\))'", words(functions["Get-DryRunSummary"]))
    (nothing,) = re.findall(r"-match '( 0 missing.*)'", words(functions["Confirm-Training"]))
    described = Description("any", Objective())
    console.print_plan(
        [], [], description=described, resolution="none", seconds={SUBJECT.configure({}): 1.0}, n_workers=2
    )
    lines = [line for line in capsys.readouterr().out.splitlines() if re.match(pattern, line)]
    assert [line.split(":")[0] for line in lines] == ["0 trials", "resolution", "estimated time"]
    assert nothing in lines[0]
    assert nothing not in lines[0].replace("0 missing", "10 missing")


def test_the_python_inside_the_script_runs(functions):
    (probe,) = re.findall(r'\$code = "(.*)"', words(functions["Test-Interpreter"]))
    (pattern,) = re.findall(r"-match '(.*)'\)", words(functions["Test-Interpreter"]))
    assert not set(probe) & set('"%$`')  # Windows PowerShell 5.1 and batch files would change these
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    found = re.match(pattern, done.stdout.strip())
    assert found is not None
    assert found.groups() == tuple(map(str, sys.version_info[:2]))
    (opener,) = re.findall(r"-c '(.*)' \$Address", words(functions["Open-Address"]))
    compile(opener, "Open-Address", "exec")


def test_the_pythons_looked_for_are_those_that_the_project_takes():
    found = re.findall(r"'(3\.\d+)'", re.search(rb"\$PythonVersions = (.*)", SOURCE)[1].decode())
    assert min(int(v.split(".")[1]) for v in found) == 11
    assert 'requires-python = ">=3.11"' in (ROOT / "pyproject.toml").read_text()
    assert "torch==2.13.0" in (ROOT / "requirements.txt").read_text(), (
        "torch is a new one: check $PythonVersions, then here"
    )


# Real runs, wherever there is a PowerShell

SHELLS = [path for path in (shutil.which("pwsh"), shutil.which("powershell")) if path]
needs_shell = pytest.mark.skipif(not SHELLS, reason="no pwsh or powershell on this machine: the script was only parsed")
needs_unix = pytest.mark.skipif(
    os.name == "nt", reason="the fake Python is a script with a first line that names Python"
)

FAKE = """\
import json, os, sys
arguments = sys.argv[1:]
if arguments[0] == "-c":
    print("python 3 13 64")
    sys.exit(0)
with open(os.environ["FAKE_LOG"], "a") as log:
    print(json.dumps(arguments), file=log)
if "--dry-run" in arguments:
    print("8 trials: 8 missing, 0 interrupted, 0 failed, 0 complete")
    print("estimated time: about 1 h with 2 workers (from a few timed steps)")
    sys.exit(0)
sys.exit(int(os.environ.get("FAKE_EXIT", "0")))
"""


@pytest.fixture(params=SHELLS or ["none"])
def shell(request, tmp_path):
    """Run a copy of the script in a folder with a space in its name, from another folder."""
    folder = tmp_path / "a study"
    folder.mkdir()
    shutil.copy(SCRIPT, folder)

    def run(*arguments: object, script: Path = folder / SCRIPT.name, answers: str = "", **environment: str):
        return subprocess.run(
            [request.param, "-NoProfile", "-ExecutionPolicy", "Bypass", "-File", script, *map(str, arguments)],
            cwd=tmp_path,
            input=answers,
            env={**os.environ, **environment},
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=120,
            check=False,
        )

    return run


@pytest.fixture
def fake(tmp_path):
    """A Python that only notes what it was asked; and what it noted."""
    path = tmp_path / "fake python"
    path.write_text(f"#!{sys.executable}\n{FAKE}")
    path.chmod(0o755)
    log = tmp_path / "fake.log"

    def noted() -> list[Sequence[str]]:
        return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []

    return {"GRIDSTUDY_PYTHON": str(path), "FAKE_LOG": str(log)}, noted


@needs_shell
@needs_unix
@pytest.mark.parametrize("action", [*STUDY_ACTIONS, *PLAN_ACTIONS, "Analyze"])
def test_each_action_gives_python_the_command_line_that_was_checked(shell, fake, command_line, tmp_path, action):
    environment, noted = fake
    names = ["epochs", "depth"] if action == "Custom" else []
    given = ["-Experiments", ",".join(names)] if names else []
    done = shell("-Action", action, "-Seeds", "3", "-LogDir", "my logs", "-Yes", *given, **environment)
    assert done.returncode == 0, done.stderr
    expected = command_line(action, Seeds="3", LogDir=str(tmp_path / "my logs"), Experiments=names)
    assert noted() == [expected]


@needs_shell
@needs_unix
@pytest.mark.parametrize("code", [1, 2, 130])
def test_the_exit_code_is_that_of_python_and_its_meaning_is_shown(shell, fake, code):
    environment, _ = fake
    done = shell("-Action", "Quick", "-Yes", FAKE_EXIT=str(code), **environment)
    assert done.returncode == code
    assert f"Exit code {code}:" in done.stdout


@needs_shell
@needs_unix
def test_the_menu_asks_before_a_long_run_and_comes_back(shell, fake):
    environment, noted = fake
    done = shell(answers="1\nn\n4\nepochs depth\n7\ny\n6\nq\n", FAKE_EXIT="1", **environment)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("Choose experiments and seeds") == 4
    assert "estimated time: about 1 h" in done.stdout
    assert "Nothing was run." in done.stdout
    assert "Exit code 1:" in done.stdout
    assert [arguments[-1] for arguments in noted()] == ["--dry-run", "--dry-run", "depth", "analyze_results.py"]


@needs_shell
def test_wrong_usage_is_one_line_and_exit_code_2(shell):
    for arguments in (
        ["-Action", "Custom"],
        ["-Action", "All", "-Experiments", "epochs"],
        ["-Action", "All", "-Python", "no-such"],
    ):
        done = shell(*arguments)
        assert done.returncode == 2
        assert done.stderr.startswith("error: ")
        assert len(done.stderr.splitlines()) == 1


@needs_shell
def test_a_dry_run_a_short_study_and_its_report_for_real(shell, tmp_path, small_data):
    common = ["-Dataset", "garments-small", "-LogDir", tmp_path / "my logs", "-Python", sys.executable]
    done = shell("-Action", "DryRun", "-Experiments", "epochs", "-Seeds", "2", *common, script=SCRIPT)
    assert done.returncode == 0, done.stderr
    assert "6 trials: 6 missing" in done.stdout
    done = shell("-Action", "Custom", "-Experiments", "epochs", "-Seeds", "2", "-Yes", *common, script=SCRIPT)
    assert done.returncode == 0, done.stderr
    done = shell("-Action", "Report", "-NoOpen", "-OutputDir", tmp_path / "my report", *common, script=SCRIPT)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "my report" / "report.html").is_file()
