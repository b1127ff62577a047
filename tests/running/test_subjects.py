from __future__ import annotations

import os
import re
import sys
import textwrap

import pytest

from gridstudy.core.errors import StudyError
from gridstudy.running.subjects import SubjectSource, load_subject, prepare_data, source_of_file

GOOD = """
import gridstudy as gs

def train(trial, data, folder, device, report):
    return gs.Outcome(0.5)

subject = gs.Subject(
    name="made-up", space=[gs.Hyperparameter("size", 1, low=1, high=9)], train=train,
    prepare=lambda: gs.make_data("three", train=[1, 2], validation=[3]), objective=gs.Objective("accuracy"),
    experiments=[{"name": "size", "grid": {"size": [1, 2]}, "scientific": ["size"]}],
)
"""


@pytest.fixture(autouse=True)
def clean_imports(monkeypatch):
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if name.startswith("own_"):
            del sys.modules[name]
    load_subject.cache_clear()


def write(tmp_path, text, name="own_subject.py"):
    path = tmp_path / name
    path.write_text(textwrap.dedent(text), encoding="utf-8")
    return path


def test_a_subject_is_loaded_from_its_file_and_may_import_what_lies_beside_it(tmp_path):
    write(tmp_path, "SIZES = [1, 2]", "own_sizes.py")
    path = write(tmp_path, "from own_sizes import SIZES\n" + GOOD.replace("[1, 2]}", "SIZES}"))
    source = source_of_file(path)
    assert source.load().name == "made-up"
    assert [p.name for p in source.files()] == ["own_sizes.py", "own_subject.py"]


def test_a_machine_without_the_file_loads_the_subject_from_its_text(tmp_path):
    source = source_of_file(write(tmp_path, GOOD))
    source.path.unlink()
    assert source.load().name == "made-up"


def test_the_built_in_subject_is_a_module(tmp_path):
    source = SubjectSource(module="gridstudy.fashion.subject")
    assert source.load().name == "fashion-mlp"
    assert {"training.py", "network.py"} <= {p.name for p in source.files()}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("import nowhere_to_be_found", "ModuleNotFoundError: No module named 'nowhere_to_be_found' (line 1)"),
        ("x = 1\n1 / 0", "ZeroDivisionError: division by zero (line 2)"),
        ("def f(:", "SyntaxError: invalid syntax (line 1)"),
        ("raise SystemExit(3)", "SystemExit: 3 (line 1)"),
        ("x = 1", "it must define subject = gridstudy.Subject(...); got None"),
        ("subject = 3", "it must define subject = gridstudy.Subject(...); got 3"),
        (GOOD.replace('"size", 1,', '"size", 10,'), "size must be a whole number from 1 to 9; got 10"),
        (GOOD.replace("train=train,", ""), "missing 1 required positional argument: 'train'"),
        (GOOD.replace("train=train,", "train=3,"), "train must be a function; got 3"),
        (
            GOOD.replace('gs.Objective("accuracy")', 'gs.Objective("use", unit="kWh")'),
            "an objective in kWh needs a margin",
        ),
        (GOOD.replace('name="made-up"', 'name="made up"'), "a subject's name has up to 40 letters"),
        (
            GOOD.replace("train=train,", 'train=train, budgets=lambda v: {"size": v["size"]},'),
            "a budget must not be named like a hyperparameter or another column of the tables; got 'size'",
        ),
        (
            GOOD.replace('gs.Objective("accuracy")', 'gs.Objective("size")'),
            "the objective must not be named like a hyperparameter or another column of the tables; got 'size'",
        ),
    ],
)
def test_a_subject_file_at_fault_is_refused_in_one_line(tmp_path, text, message):
    path = write(tmp_path, text)
    with pytest.raises(StudyError, match=re.escape(message)) as error:
        source_of_file(path).load()
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("prepare", "message"),
    [
        ("1 / 0", "cannot prepare the data of the subject made-up: ZeroDivisionError: division by zero (line 9)"),
        ("[1, 2]", "prepare() must return a gridstudy.Data, as gridstudy.make_data does; got"),
    ],
)
def test_data_that_cannot_be_prepared_are_told_in_one_line(tmp_path, prepare, message):
    text = GOOD.replace('gs.make_data("three", train=[1, 2], validation=[3])', prepare)
    source = source_of_file(write(tmp_path, text))
    with pytest.raises(StudyError, match=re.escape(message)):
        prepare_data(source.load(), source)


def test_a_subject_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(StudyError, match="cannot read the subject file"):
        source_of_file(tmp_path / "none.py")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no such pipes")
def test_a_pipe_is_no_subject_file(tmp_path):
    os.mkfifo(tmp_path / "pipe.py")
    with pytest.raises(StudyError, match=r"cannot read the subject file .*not a regular file"):
        source_of_file(tmp_path / "pipe.py")


def test_a_subject_file_named_like_a_loaded_module_is_refused(tmp_path):
    with pytest.raises(StudyError, match="has the name of the module 'random', which is loaded; rename it"):
        source_of_file(write(tmp_path, GOOD, "random.py")).load()
