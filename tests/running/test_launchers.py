from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress

import pytest

from gridstudy.running import launchers
from gridstudy.running.launchers import Crashed, Finished, InProcessLauncher, LocalLauncher, Started
from tests.conftest import wait_until
from tests.jobs import die_on_3, double, exit_on_3, fail_on_odd, sleep_and_tell, spoil_on_3, tell_and_stop


@pytest.mark.parametrize("launcher", [InProcessLauncher(), LocalLauncher(2), LocalLauncher(1)])
def test_every_job_starts_and_finishes_once(launcher):
    events = list(launcher.run(double, range(7)))
    assert [e.job for e in events if isinstance(e, Started)] == list(range(7))
    assert {e.job: e.value for e in events if isinstance(e, Finished)} == {n: 2 * n for n in range(7)}


@pytest.mark.parametrize("launcher", [InProcessLauncher(), LocalLauncher(2)])
def test_a_job_that_raises_is_told_with_its_traceback_and_the_rest_goes_on(launcher):
    events = list(launcher.run(fail_on_odd, range(6)))
    assert sorted(e.job for e in events if isinstance(e, Finished)) == [0, 2, 4]
    crashed = {e.job: e.reason for e in events if isinstance(e, Crashed)}
    assert sorted(crashed) == [1, 3, 5]
    assert "Traceback" in crashed[3]
    assert "ValueError: 3 is odd" in crashed[3]


def test_a_killed_worker_is_replaced_and_its_signal_told():
    events = list(LocalLauncher(2).run(die_on_3, range(8)))
    assert [(e.job, e.reason) for e in events if isinstance(e, Crashed)] == [
        (3, "the worker process was killed by SIGKILL")
    ]
    assert sorted(e.job for e in events if isinstance(e, Finished)) == [0, 1, 2, 4, 5, 6, 7]


def test_a_worker_whose_job_raised_is_replaced_for_it_may_be_spoiled():
    events = list(LocalLauncher(1).run(spoil_on_3, range(7)))
    assert [e.job for e in events if isinstance(e, Crashed)] == [3]
    assert [e.job for e in events if isinstance(e, Finished)] == [0, 1, 2, 4, 5, 6]


def test_a_worker_that_exits_is_told_with_its_exit_code():
    events = list(LocalLauncher(1).run(exit_on_3, range(5)))
    assert [(e.job, e.reason) for e in events if isinstance(e, Crashed)] == [
        (3, "the worker process ended with exit code 7")
    ]


def test_it_works_under_the_spawn_start_method():
    events = list(LocalLauncher(2, start_method="spawn").run(double, range(3)))
    assert sorted(e.value for e in events if isinstance(e, Finished)) == [0, 2, 4]


def test_closing_the_iterator_gives_running_jobs_a_moment_and_leaves_no_process(tmp_path):
    events = LocalLauncher(2).run(sleep_and_tell, [(tmp_path, 0.5), (tmp_path, 0.5), (tmp_path, 0.5)])
    next(events), next(events)
    wait_until(lambda: len(list(tmp_path.iterdir())) == 2)
    events.close()
    assert not any(_is_alive(int(path.name)) for path in tmp_path.iterdir())


@pytest.mark.skipif(os.name == "nt", reason="Windows stops no process")
def test_a_worker_that_hears_nothing_is_killed(tmp_path, monkeypatch):
    monkeypatch.setattr(launchers, "GRACE_S", 0.1)
    events = LocalLauncher(1).run(tell_and_stop, [tmp_path])
    next(events)
    wait_until(lambda: any(tmp_path.iterdir()))
    closing = threading.Thread(target=events.close, daemon=True)
    closing.start()
    closing.join(10)
    (pid,) = (int(path.name) for path in tmp_path.iterdir())
    try:
        assert not _is_alive(pid)
    finally:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def test_workers_end_with_a_runner_that_is_killed(tmp_path):
    code = (
        "from pathlib import Path; from gridstudy.running.launchers import LocalLauncher; "
        "from tests.jobs import sleep_and_tell; "
        f"list(LocalLauncher(2).run(sleep_and_tell, [(Path({str(tmp_path)!r}), 60.0)] * 2))"
    )
    runner = subprocess.Popen([sys.executable, "-c", code])
    wait_until(lambda: len(list(tmp_path.iterdir())) == 2)
    runner.kill()
    runner.wait()
    wait_until(lambda: not any(_is_alive(int(path.name)) for path in tmp_path.iterdir()), timeout_s=10)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
