"""Runners that meet in one log directory, odd locks, and clocks that are wrong."""

from __future__ import annotations

import os
import shutil
from contextlib import contextmanager

import pytest

from gridstudy.core.errors import StudyError
from gridstudy.core.lock import LockTimes
from gridstudy.core.trial import TrialState
from gridstudy.records.tables import find_results, load_records
from gridstudy.records.trials import read_result
from gridstudy.running import lock
from gridstudy.running.lock import lock_logdir
from gridstudy.running.planning import recorded_dataset
from tests.studies import TINY, error_lines, resume, start_study


@pytest.mark.parametrize("there", ["folder", "unreadable holder", "dead holder", "future"])
def test_odd_locks_get_one_line_or_are_void(run, tmp_path, there):
    logdir = tmp_path / "logs"
    logdir.mkdir()
    if there == "folder":
        (logdir / ".lock").mkdir()
        code, _, err = run("depth", *TINY, "--logdir", logdir)
        assert code == 2
        assert len(error_lines(err)) == 1
        return
    (logdir / ".lock").touch()
    if there == "unreadable holder":
        (logdir / ".lock.holder").mkdir()
        with pytest.raises(StudyError, match="must be a regular file"), lock_logdir(logdir, warn=print):
            pass
        (logdir / ".lock.holder").rmdir()
    elif there == "dead holder":
        (logdir / ".lock.holder").write_text("process 1 on another-host")
    else:
        os.utime(logdir / ".lock", (4e9, 4e9))
    with lock_logdir(logdir, warn=print, times=LockTimes(dead_after_s=0.2, poll_s=0.05)):
        pass


def test_a_holder_that_cannot_be_read_is_another_process(tmp_path):
    with lock_logdir(tmp_path, warn=print):
        (tmp_path / ".lock.holder").unlink()
        (tmp_path / ".lock.holder").mkdir()
        with pytest.raises(StudyError, match="in use by another process"), lock_logdir(tmp_path, warn=print):
            pass


def test_the_clock_of_another_host_changes_nothing(whole, built_in, tmp_path):
    logdir = tmp_path / "logs"
    shutil.copytree(whole, logdir)
    for n, path in enumerate(sorted(logdir.rglob("*"))):
        os.utime(path, (4e9, 4e9) if n % 2 else (1, 1))
    planned, summary = resume(logdir, built_in)
    assert all(p.state is TrialState.COMPLETE and not p.note for p in planned)
    assert summary.n_run == 0
    assert recorded_dataset(logdir) == "garments-small"
    assert load_records(logdir).problems.empty


def test_two_runners_at_once_train_every_trial_once(tmp_path):
    logdir = tmp_path / "logs"
    studies = [start_study(logdir, "epochs", *TINY) for _ in range(2)]
    outputs = [study.communicate(timeout=120)[0] for study in studies]
    codes = sorted(study.returncode for study in studies)
    assert codes in ([0, 2], [0, 0]), outputs
    assert all("Traceback" not in output for output in outputs)
    if codes == [0, 2]:
        assert "is in use by process" in "".join(outputs)
    assert {read_result(path)[1].attempt for path in find_results(logdir)} == {1}
    assert len(list(find_results(logdir))) == 6


def test_what_another_runner_completes_before_the_lock_is_ours_is_not_run_again(run, monkeypatch):
    arguments = ["depth", *TINY, "--logdir", "logs"]

    @contextmanager
    def late_lock(logdir, *, warn):
        monkeypatch.setattr(lock, "lock_logdir", lock_logdir)
        assert run(*arguments)[0] == 0
        with lock_logdir(logdir, warn=warn) as held:
            yield held

    monkeypatch.setattr(lock, "lock_logdir", late_lock)
    code, out, _ = run(*arguments)
    assert code == 0
    assert "6 of 6 trials complete, 0 of them trained now" in out
