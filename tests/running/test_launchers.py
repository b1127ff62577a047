from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from multiprocessing import forkserver
from pathlib import Path

import pytest

from gridstudy.core.errors import StudyError
from gridstudy.running import launchers, worker_start
from gridstudy.running.launchers import Crashed, Finished, InProcessLauncher, LocalLauncher, Started
from tests.conftest import wait_until
from tests.jobs import (
    describe_process,
    die_on_3,
    double,
    doze_or_stop_on_3,
    exit_on_3,
    fail_on_odd,
    sleep_and_tell,
    spoil_on_3,
    stop_on_3,
    tell_and_stop,
    tell_pid,
)


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


# --- which modules workers run ---------------------------------------------------------------------------------------

ROOT = Path(__file__).parents[2]
DESCRIBE = """
import json, sys
if __name__ == "__main__":
    sys.path.insert(0, sys.argv[1])
from gridstudy.core.errors import StudyError
from gridstudy.running.launchers import Finished, LocalLauncher
from tests.jobs import describe_process
if __name__ == "__main__":
    launcher = LocalLauncher(1, preload=["gridstudy.core.trial"], start_method=sys.argv[2])
    try:
        launcher.warm_up()
        (value,) = [e.value for e in launcher.run(describe_process, [0]) if isinstance(e, Finished)]
    except StudyError as error:
        sys.exit(f"error: {error}")
    print(json.dumps({**value, "cores": None, "ours": sys.path}))
"""
START_METHODS = ["spawn"] if os.name == "nt" else ["forkserver", "spawn"]


def run_script(tmp_path, code, *arguments, **options):
    """Run a script that does not lie in the current folder."""
    (tmp_path / "scripts").mkdir(exist_ok=True)
    script = tmp_path / "scripts" / "script.py"
    script.write_text(code)
    command = [sys.executable, str(script), str(ROOT), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, **options)


@pytest.mark.parametrize("start_method", START_METHODS)
def test_nothing_in_the_current_folder_is_imported_by_a_worker(tmp_path, start_method):
    current = tmp_path / "current"
    (current / "gridstudy").mkdir(parents=True)
    for name in ("gridstudy/__init__", "torch", "random", "token", "multiprocessing", "sitecustomize"):
        (current / f"{name}.py").write_text(f"open({str(tmp_path / 'executed')!r}, 'a').write(__name__)")
    done = run_script(tmp_path, DESCRIBE, start_method, cwd=current)
    assert (done.returncode, done.stderr) == (0, "")
    assert not (tmp_path / "executed").exists()
    found = json.loads(done.stdout)
    assert found["files"][0] == str(ROOT / "gridstudy" / "__init__.py")
    assert found["path"] == found["ours"]
    assert not {"", str(current)} & set(found["path"])


@pytest.mark.parametrize("start_method", START_METHODS)
def test_a_worker_has_the_current_folder_on_its_path_where_the_program_has_it(tmp_path, start_method):
    code = DESCRIBE.replace("sys.path.insert(0, sys.argv[1])", "sys.path[:0] = [sys.argv[1], '']")
    found = json.loads(run_script(tmp_path, code, start_method, cwd=tmp_path).stdout)
    assert found["path"][:2] == [str(ROOT), str(tmp_path)]


def test_workers_get_the_environment_of_the_program(tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "PYTHONHASHSEED": "1"}
    environment.pop("PYTHONSAFEPATH", None)
    found = json.loads(run_script(tmp_path, DESCRIBE, START_METHODS[0], cwd=tmp_path, env=environment).stdout)
    ours = {name: value for name, value in environment.items() if "PYTHON" in name}
    assert found["environment"] == ours


def test_a_worker_that_has_other_modules_than_the_program_is_refused_in_one_line(tmp_path):
    other = tmp_path / "other"
    shutil.copytree(ROOT / "gridstudy", other / "gridstudy", ignore=shutil.ignore_patterns("__pycache__"))
    code = DESCRIBE.replace("    launcher =", f"    sys.path.insert(0, {str(other)!r})\n    launcher =")
    done = run_script(tmp_path, code, START_METHODS[0], cwd=tmp_path)
    assert done.stderr.startswith("error: workers must run the program's own modules; gridstudy is ")
    assert str(other / "gridstudy") in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_workers_run_the_program_s_copy_although_another_is_installed(tmp_path):
    installed = tmp_path / "installed"
    shutil.copytree(ROOT / "gridstudy", installed / "gridstudy", ignore=shutil.ignore_patterns("__pycache__"))
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    done = run_script(tmp_path, DESCRIBE, START_METHODS[0], cwd=tmp_path, env=environment)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["files"][0] == str(ROOT / "gridstudy" / "__init__.py")


def test_python_without_its_environment_needs_a_safe_path(tmp_path):
    done = subprocess.run(
        [sys.executable, "-E", "-c", DESCRIBE, str(ROOT), START_METHODS[0]],
        capture_output=True, text=True, check=False, cwd=tmp_path,
    )  # fmt: skip
    assert "need python's -P or -I beside -E" in done.stderr.splitlines()[-1]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such sockets")
def test_a_long_temporary_folder_does(tmp_path):
    long = tmp_path / ("x" * 100)
    long.mkdir()
    done = run_script(tmp_path, DESCRIBE, "forkserver", cwd=tmp_path, env={**os.environ, "TMPDIR": str(long)})
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such sockets")
def test_a_long_temporary_folder_without_a_shorter_one_gets_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / ("x" * 100)))
    monkeypatch.setattr(worker_start, "SHORT_FOLDERS", (str(tmp_path / "missing"),))
    with pytest.raises(StudyError, match="at most 60 letters; set TMPDIR to a shorter one than"):
        LocalLauncher(1).warm_up()


# --- hangs and scarce resources --------------------------------------------------------------------------------------


@pytest.mark.skipif(os.name == "nt", reason="Windows stops no process")
def test_a_job_that_hangs_is_ended_after_its_own_time_and_the_rest_goes_on():
    clock = time.monotonic()
    limits = {3: 0.6}
    events = list(LocalLauncher(2).run(stop_on_3, range(6), timeout_s=lambda job: limits.get(job, 60.0)))
    assert [(e.job, e.reason) for e in events if isinstance(e, Crashed)] == [
        (3, "no result within 1 s; the worker was killed")
    ]
    assert sorted(e.job for e in events if isinstance(e, Finished)) == [0, 1, 2, 4, 5]
    assert time.monotonic() - clock < 15


@pytest.mark.skipif(os.name == "nt", reason="Windows stops no process")
def test_a_job_that_hangs_is_noticed_while_others_keep_ending():
    limits = {3: 0.5}
    ended = []
    for event in LocalLauncher(2).run(doze_or_stop_on_3, range(3, 60), timeout_s=lambda job: limits.get(job, 60.0)):
        if not isinstance(event, Started):
            ended.append(event.job)
    assert len(ended) == 57
    assert ended.index(3) < 40


@pytest.mark.skipif(os.name == "nt", reason="Windows stops no process")
def test_a_worker_that_is_stopped_while_idle_does_not_hold_up_the_end(monkeypatch):
    monkeypatch.setattr(launchers, "GRACE_S", 0.3)
    events = LocalLauncher(2).run(tell_pid, range(2))
    pids = [event.value for event in events if isinstance(event, Finished) and not os.kill(event.value, signal.SIGSTOP)]
    assert len(pids) == 2
    assert not any(_is_alive(pid) for pid in pids)


@pytest.mark.skipif(os.name == "nt", reason="Windows stops no process")
def test_time_in_which_all_was_stopped_does_not_count_against_a_job(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(STOPPED_SCRIPT)
    command = [sys.executable, str(script), str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    study = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True, start_new_session=True)
    wait_until(lambda: any(path.name.isdigit() for path in tmp_path.iterdir()))
    os.killpg(study.pid, signal.SIGSTOP)
    time.sleep(3)
    os.killpg(study.pid, signal.SIGCONT)
    assert study.communicate(timeout=60)[0] == "Finished\n"


STOPPED_SCRIPT = """
import sys
from pathlib import Path
from gridstudy.running import launchers, worker_start
from tests.jobs import sleep_and_tell

launchers.LONGEST_LOOK_S = 0.6
if __name__ == "__main__":
    events = launchers.LocalLauncher(1).run(sleep_and_tell, [(Path(sys.argv[1]), 1.0)], timeout_s=lambda job: 3.0)
    print([type(event).__name__ for event in events][-1])
"""


def test_the_clock_of_a_job_begins_with_the_job(tmp_path):
    jobs = [(tmp_path, 0.5)] * 4
    events = list(LocalLauncher(1).run(sleep_and_tell, jobs, timeout_s=lambda job: 1.5))
    assert [e for e in events if isinstance(e, Crashed)] == []


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the fork server is Linux's start method here")
def test_a_fork_server_that_was_killed_is_replaced():
    launcher = LocalLauncher(1)
    launcher.warm_up()
    os.kill(forkserver._forkserver._forkserver_pid, signal.SIGKILL)
    events = list(launcher.run(double, [4]))
    assert [e.value for e in events if isinstance(e, Finished)] == [8]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the fork server is Linux's start method here")
def test_a_fork_server_that_dies_at_every_start_gets_one_line(monkeypatch):
    launcher = LocalLauncher(1)
    launcher.warm_up()
    start_once = LocalLauncher._start_once

    def kill_and_start(self, function):
        os.kill(forkserver._forkserver._forkserver_pid, signal.SIGKILL)
        os.waitid(os.P_PID, forkserver._forkserver._forkserver_pid, os.WEXITED | os.WNOWAIT)
        monkeypatch.setattr(forkserver, "ensure_running", lambda: None)
        monkeypatch.setattr(forkserver._forkserver, "ensure_running", lambda: None)
        try:
            return start_once(self, function)
        finally:
            monkeypatch.undo()
            monkeypatch.setattr(LocalLauncher, "_start_once", kill_and_start)

    monkeypatch.setattr(LocalLauncher, "_start_once", kill_and_start)
    with pytest.raises(StudyError, match="ends at once; check the limits"):
        list(launcher.run(double, [4]))


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such limit")
@pytest.mark.parametrize("n_files", [12, 13, 14])
def test_too_few_open_files_get_one_line(tmp_path, n_files):
    def limit():
        import resource

        resource.setrlimit(resource.RLIMIT_NOFILE, (n_files, n_files))

    done = run_script(tmp_path, DESCRIBE, "forkserver", cwd=tmp_path, preexec_fn=limit)
    assert done.returncode == 1
    assert done.stderr.startswith("error: cannot start worker processes: ")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such limit")
def test_a_worker_that_needs_more_open_files_than_are_left_gets_one_line():
    import resource

    launcher = LocalLauncher(1)
    launcher.warm_up()
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = os.dup(0)
    os.close(free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, before[1]))
    try:
        with pytest.raises(StudyError, match=r"cannot start worker processes: .*Too many open files"):
            list(launcher.run(double, [4]))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity here")
def test_workers_get_the_cores_back_that_the_program_had_before_it_was_bound():
    cores = os.sched_getaffinity(0)
    if len(cores) < 2:
        pytest.skip("one core cannot be bound further")
    launcher = LocalLauncher(1)
    try:
        os.sched_setaffinity(0, {min(cores)})  # as OpenMP does when torch is imported under OMP_PROC_BIND
        (value,) = [e.value for e in launcher.run(describe_process, [0]) if isinstance(e, Finished)]
    finally:
        os.sched_setaffinity(0, cores)
    assert value["cores"] == cores


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
