"""Command lines, study files and names that are wrong or odd."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
import tomli_w
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gridstudy.cli.run_arguments import build_parser
from gridstudy.fashion.subject import SUBJECT
from gridstudy.records.tables import find_results, load_records
from gridstudy.running.launchers import LocalLauncher
from gridstudy.running.planning import record_plans
from tests.conftest import DATA
from tests.studies import PROTECTED, ROOT, TINY, error_lines

HYPERPARAMETERS = SUBJECT.search_space.names


# --- bad input -------------------------------------------------------------------------------------------------------

LONG = "x" * 300
DIGITS = "9" * 5000
BAD_VALUES = {
    "--seeds": [
        "", " ", "0", "00", "-1", "--", "1.5", "five", "1e3", "0x5", "1-", "-1-3", "3-1", "1001", "999999", "1000000",
        "5,6", "5 6", "\u0661", "½", "5 ", "\n5", "+5", "1_0", "∞", "nan", "5-10-15", "990-1000", LONG, DIGITS,
    ],
    "--workers": ["", " ", "0", "-2", "1.5", "257", "1000", "many", "1e1", "²", "0x2", " 2", "2\n", "+2", DIGITS],
    "--device": ["", "tpu", "CPU", "cuda:0", "gpu", "cpu ", "\n"],
    "--dataset": ["", "mnist", "Garments", "fashion_mnist", "garments small", "../x"],
    "--validation": ["", "train", "TEST", "val", "holdout,test"],
    "--logdir": ["", "file", "file/below", "missing/../file", "\udcff", LONG, "below/" * 1000],
    "--data-dir": ["", "nowhere", "no where", "file", ".", "file/below", "nö", LONG],
    "--study": ["", "none.toml", ".", "file", "file/below", "\udcff.toml", "nö\nthing", LONG],
    "--set": [
        "", "=", "==", "train_steps", "=5", "train_steps=", "steps=3", "Train_steps=3", "train steps=5", "ünits=3",
        "train_steps=1.5", "train_steps=0", "train_steps=-1", "train_steps=nan", "train_steps=-inf",
        "train_steps=1e400", f"train_steps={DIGITS}", "train_steps=1000001", "train_steps=5=5", "train_steps=True",
        "train_steps=五", "train_steps=[5]", "train_steps=5\x1b[2J", "learning_rate=0", "learning_rate=-1",
        "learning_rate=nan", "learning_rate=inf", "learning_rate=1e13", "learning_rate=1e-13",
        "learning_rate=0,001", "learning_rate=", "optimizer=adam", "optimizer=", "optimizer=1", "optimizer=LBFGS",
        "optimizer=Adam ", "momentum=0.9",
        "momentum=1", "momentum=-0.1", "weight_decay=-1", "weight_decay=1e7", "batch_size=0", "batch_size=50001",
        "batch_size=six", "depth=0", "depth=17", "depth=1.5", "units1=0", "units1=65537", "units2=-4", "epochs=5",
        f"{LONG}={LONG}",
    ],
    "--compare": ["", "file"],
    "--mlflow": ["nonsense", " ", "C:\\x"],
    "--launcher": ["", "dask", "Ray"],
    "--gpus-per-trial": ["", "0.5", "-1", "nan"],
}  # fmt: skip
BAD_LINES = [
    *([option, value] for option, values in BAD_VALUES.items() for value in values),
    *([option] for option in BAD_VALUES if option != "--mlflow"),
    *([name] for name in ("", " ", "epoch", "EPOCHS", "épochs", "*", "../epochs", "epochs,units", "💥", "\t", LONG)),
    *([option] for option in ("-x", "--sets", "--Seeds=3", "--seed=3", "--dry", "--list=yes", "--dry-run=1", "-")),
    ["--compare", "", ""], ["--compare", "file", "file"], ["--compare", ".", "."], ["--compare", ".", ".", "."],
    ["--confirm"], ["--confirm", "--seeds", "3"], ["--confirm", "--logdir", "file"],
    ["--set", "train_steps=3", "--set", "train_steps=3"], ["--data-dir", ".", "--dataset", "garments"],
    ["--set", "batch_size=50000"], ["--set", "optimizer=Adam", "--set", "momentum=0.5"],
    ["depth", "--set", "depth=2"], ["optimizer", "--set", "optimizer=SGD"], ["--list", "nonsense"],
]  # fmt: skip


@pytest.fixture
def refused(run, tmp_path, monkeypatch):
    """Give a command line that must be refused: exit 2, one line, and nothing is written or run."""

    def never(*arguments, **kwargs):
        raise AssertionError("a bad command was run")

    monkeypatch.setattr("gridstudy.running.runner.run_study", never)
    monkeypatch.setattr(LocalLauncher, "warm_up", lambda self: None)
    (tmp_path / "file").touch()

    def refused(*arguments):
        before = sorted(tmp_path.rglob("*"))
        code, out, err = run(*arguments, *([] if "--dataset" in arguments else ["--dataset", "garments-small"]))
        assert code == 2, (out, err)
        assert len(error_lines(err)) == 1
        assert len([line for line in err.splitlines() if not line.startswith("warning")]) == 1
        assert "\x1b[2J" not in err
        assert sorted(tmp_path.rglob("*")) == before

    return refused


@pytest.mark.parametrize("arguments", BAD_LINES, ids=lambda arguments: ascii(" ".join(arguments))[1:41])
def test_a_bad_command_line_gets_one_line_and_writes_nothing(refused, arguments):
    refused(*arguments)


def _good_table():
    return {
        "name": "mine",
        "question": "Why?",
        "hypothesis": "Wide beats narrow.",
        "scientific": ["units1"],
        "nuisance": ["learning_rate"],
        "contrasts": [{"better": {"units1": 16}, "worse": {"units1": 8}}],
        "curve_epochs": [1, 2],
        "fixed": {"train_steps": 5, "optimizer": "SGD"},
        "grid": {"units1": [8, 16], "learning_rate": [0.1, 0.2]},
    }


WRONG_VALUES = (7, -1.5, True, "text", [], {}, [[]], {"a": 1}, 10**30, float("nan"), float("-inf"), [{"a": [1]}])
PLACES = {
    ("name",): ["text"], ("question",): ["text"], ("hypothesis",): ["text"], ("scientific",): [[]], ("nuisance",): [[]],
    ("contrasts",): [[]], ("curve_epochs",): [[]], ("fixed",): [{}], ("grid",): [], ("grid", "units1"): [],
    ("grid", "units1", 0): [], ("fixed", "train_steps"): [7], ("fixed", "optimizer"): [], ("contrasts", 0): [],
    ("contrasts", 0, "better"): [], ("contrasts", 0, "better", "units1"): [], ("curve_epochs", 0): [7],
    ("scientific", 0): [], ("nuisance", 0): [],
}  # fmt: skip
"""Where a value of an experiment's table stands -> which of WRONG_VALUES are not wrong there."""


def _is(value, other):
    return type(value) is type(other) and value == other


BAD_PLACES = [
    (path, value) for path, right in PLACES.items() for value in WRONG_VALUES if not any(_is(value, r) for r in right)
]


@pytest.mark.parametrize(("path", "value"), BAD_PLACES, ids=lambda part: str(part)[:40])
def test_a_wrong_type_anywhere_in_an_experiment_gets_one_line(refused, tmp_path, path, value):
    table = _good_table()
    place = table
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    (tmp_path / "own.toml").write_text(tomli_w.dumps({"experiment": [table]}))
    refused("--study", "own.toml")


def _file_of(**changes):
    return tomli_w.dumps({"experiment": [{**_good_table(), **changes}]})


BAD_FILES = {
    "empty": "", "blank": " \n\t", "no table": "x = 1", "no experiment": "[[experiments]]\nname = 'x'",
    "half a heading": "[[experiment]", "no content": "[[experiment]]", "not UTF-8": b"\xff\xfe[[experiment]]",
    "zeros": b"\x00" * 4096, "a picture": b"\x89PNG\r\n\x1a\n\x00", "more beside it": _file_of() + "\n[extra]\na = 1\n",
    "brackets": "a = " + "[" * 3000, "a number of 5,000 digits": f"a = {DIGITS}", "a key twice": "a = 1\na = 2",
    "a name twice": _file_of() + _file_of(), "a name twice but for case": _file_of() + _file_of(name="MINE"),
    "a built-in name": _file_of(name="epochs"), "a built-in name but for case": _file_of(name="Epochs"),
    "a group's name": _file_of(name="all"), "a billion configurations": _file_of(
        grid={name: [SUBJECT.search_space[name].low] * 100 for name in HYPERPARAMETERS[:5]}
    ), "both grids": _file_of(configurations=[{"units1": 8}]),
    "an unknown key": _file_of(seed=3), "an unknown hyperparameter": _file_of(fixed={"dropout": 0.5}),
    "momentum without SGD": _file_of(fixed={"optimizer": "Adam", "momentum": 0.9}),
    "both roles": _file_of(nuisance=["units1"]), "a contrast with itself": _file_of(
        contrasts=[{"better": {"units1": 8}, "worse": {"units1": 8}}]
    ), **{f"the name {name!r}": _file_of(name=name) for name in (
        "", " ", "1st", "-x", "a b", "a/b", "..", "../up", "a\\b", "é", "a.", "a\nb", "💥", "x" * 61, "C:", "a*", "<x>",
        "CON", "nul", "Aux", "prn", "COM1", "lpt9",
    )},
}  # fmt: skip


@pytest.mark.parametrize("fault", BAD_FILES, ids=ascii)
def test_a_bad_experiment_file_gets_one_line(refused, tmp_path, fault):
    content = BAD_FILES[fault]
    (tmp_path / "own.toml").write_bytes(content if isinstance(content, bytes) else content.encode())
    refused("--study", "own.toml")


def test_the_table_of_bad_input_is_long():
    assert len(BAD_LINES) + len(BAD_PLACES) + len(BAD_FILES) >= 400


GENERATED = settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
WORDS = st.one_of(
    TEXTS,
    st.sampled_from(sorted(o for action in build_parser()._actions for o in action.option_strings)),
    st.sampled_from(["epochs", "quick", "5", "file", ".", "train_steps=5", "learning_rate=1e999"]),
    st.builds("{}={}".format, st.sampled_from(HYPERPARAMETERS), st.one_of(st.integers(), st.floats(), TEXTS)),
)


@GENERATED
@given(arguments=st.lists(WORDS, max_size=6))
def test_no_command_line_ever_ends_in_a_traceback(run, tmp_path, monkeypatch, arguments):
    monkeypatch.setattr("gridstudy.cli.run._train", lambda *_: 0)
    code, _, err = run(*arguments)
    assert code in (0, 2)
    assert len(error_lines(err)) == (code == 2)
    assert list(tmp_path.iterdir()) == []


VALUES = st.recursive(
    st.one_of(st.integers(-(2**63), 2**63 - 1), st.floats(), st.booleans(), TEXTS, st.sampled_from(HYPERPARAMETERS)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.one_of(TEXTS, st.sampled_from(HYPERPARAMETERS)), inner)
    ),
    max_leaves=6,
)


@GENERATED
@given(key=st.sampled_from(sorted([*_good_table(), "configurations"])), value=VALUES, drop=st.booleans())
def test_no_experiment_file_ever_ends_in_a_traceback(run, tmp_path, key, value, drop):
    table = {**_good_table(), key: value}
    if key == "configurations" and drop:
        table.pop("grid")
    (tmp_path / "own.toml").write_bytes(tomli_w.dumps({"experiment": [table]}).encode())
    code, _, err = run("--study", "own.toml", "--list")
    assert code in (0, 2)
    assert len(error_lines(err)) == (code == 2)


# --- names -----------------------------------------------------------------------------------------------------------

ODD_NAMES = ("n" * 100 + "/" + "n" * 100, "with spaces", "größe ✓ 試", "[a]*{b} 'q' $HOME & %s;#", "-dash", "a=b,c.")


@pytest.mark.parametrize("name", ODD_NAMES, ids=lambda name: ascii(name)[:20])
def test_logs_go_into_folders_of_any_name(run, tmp_path, name):
    (tmp_path / "own.toml").write_text(tomli_w.dumps({"experiment": [PROTECTED]}))
    arguments = ["--study", "own.toml", "--dataset", "garments-small", "--seeds", "1", f"--logdir={name}"]
    code, out, err = run(*arguments)
    assert code == 0, err
    assert name in out
    found = load_records(Path(name))
    assert len(found.trials) == 2
    assert found.problems.empty
    assert "0 of them trained now" in run(*arguments)[1]


def test_the_longest_names_fit_into_a_file_system(tmp_path):
    worst = {
        axis.name: axis.high - 1 / 3 if isinstance(axis.default, float) else int(axis.high)
        for axis in SUBJECT.search_space.hyperparameters
        if not isinstance(axis.default, str)
    }
    worst |= {"momentum": 0.123456789123, "optimizer": "SGD"}
    varied = worst.pop("depth")
    table = {"name": "x" * 60, "grid": {"depth": [2, varied]}}
    experiment = SUBJECT.parse(table, overrides=worst)
    record_plans(tmp_path, [experiment], subject=SUBJECT, data=DATA, seeds=range(1))
    assert len(f"{experiment.name}.toml.{2**22}.tmp".encode()) <= 255


@pytest.mark.parametrize("stream", ["ascii", "cp1252"])
def test_letters_that_the_terminal_lacks_end_no_study(tmp_path, stream):
    (tmp_path / "own.toml").write_bytes(_file_of(question="Größe ✓ 試?").encode())
    command = [sys.executable, str(ROOT / "grid_search_experiments.py"), "--study", "own.toml", "--list"]
    environment = {**os.environ, "PYTHONIOENCODING": stream}
    listed = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, check=False)
    assert listed.returncode == 0, listed.stderr
    assert b"question" in listed.stdout


def _without_a_reader(script, *arguments):
    """Exit code and stderr of a script whose output nobody reads."""
    command = [sys.executable, str(ROOT / script), *map(str, arguments)]
    speaking = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    speaking.stdout.close()
    with speaking.stderr:
        err = speaking.stderr.read()
    return speaking.wait(), err


@pytest.mark.skipif(os.name == "nt", reason="Windows breaks pipes in another way")
@pytest.mark.parametrize("what", ["--list", "--compare"])
def test_a_reader_that_has_had_enough_gets_no_traceback(whole, what):
    logdirs = [whole, whole] if what == "--compare" else []
    assert _without_a_reader("grid_search_experiments.py", what, *logdirs) == (1, "")


@pytest.mark.skipif(os.name == "nt", reason="Windows breaks pipes in another way")
def test_an_analysis_that_nobody_reads_writes_its_files_all_the_same(whole, tmp_path):
    code, err = _without_a_reader("analyze_results.py", "--logdir", whole, "--output", tmp_path)
    assert (code, err) == (0, f"reading {whole} ...\n")
    assert (tmp_path / "report.html").stat().st_size > 0


@pytest.mark.skipif(os.name == "nt", reason="Windows hands streams down in another way")
@pytest.mark.parametrize("stream", [1, 2])
def test_a_stream_that_is_closed_ends_nothing(tmp_path, stream):
    command = [sys.executable, str(ROOT / "grid_search_experiments.py"), "epochs", *TINY, "--logdir", str(tmp_path)]
    closed = subprocess.run(
        command, preexec_fn=partial(os.close, stream), capture_output=True, text=True, check=False
    )  # fmt: skip
    assert (closed.returncode, error_lines(closed.stderr)) == (0, [])
    assert len(list(find_results(tmp_path))) == 6
