"""Records and plans whose every value is replaced by wrong ones, with a checksum that fits: read or refused."""

from __future__ import annotations

import copy
from contextlib import suppress

import pytest

from gridstudy.fashion.subject import SUBJECT
from gridstudy.records.plans import read_plan
from gridstudy.records.toml import RecordError, read_toml, write_toml
from gridstudy.records.trials import RESULT_FILE, read_result, trial_folder, write_result
from gridstudy.running.planning import record_plans
from tests.conftest import DATA, fake_result, fake_run

WRONG = (7, -1, True, "text", [], {}, [[]], [1, "x"], 10**30, 10**400, float("nan"), float("inf"), [{"a": 1}])


def _record(tmp_path, experiment, make_trial):
    folder = trial_folder(tmp_path, make_trial())
    folder.mkdir(parents=True)
    write_result(folder, fake_result(make_trial()), fake_run())
    return folder / RESULT_FILE, read_result


def _plan(tmp_path, experiment, make_trial):
    record_plans(tmp_path, [experiment], subject=SUBJECT, data=DATA, seeds=range(2))
    return tmp_path / "experiments" / f"{experiment.name}.toml", read_plan


def _places(value, path=()):
    """The paths to everything in tables and arrays, of an array to its first two elements."""
    items = value.items() if isinstance(value, dict) else list(enumerate(value))[:2] if isinstance(value, list) else ()
    for key, inner in items:
        yield (*path, key)
        yield from _places(inner, (*path, key))


def _forge(content, path, wrong):
    forged = copy.deepcopy(content)
    place = forged
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = wrong
    return forged


@pytest.mark.parametrize("write", [_record, _plan])
def test_whatever_a_forged_file_holds_it_is_read_or_refused(tmp_path, experiment, make_trial, monkeypatch, write):
    path, read = write(tmp_path, experiment, make_trial)
    monkeypatch.setattr("os.fsync", lambda descriptor: None)
    content = read_toml(path)
    n_refused = 0
    for number, place in enumerate(_places(content)):
        for wrong in WRONG[number % 4 :: 4]:
            write_toml(path, _forge(content, place, wrong))
            with suppress(RecordError):
                read(path)
                continue
            n_refused += 1
    assert n_refused > 80
