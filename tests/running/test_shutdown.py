"""Studies that are interrupted, and studies that are resumed with other workers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from gridstudy.fashion.subject import SUBJECT
from gridstudy.records.tables import find_results
from gridstudy.running import launchers
from gridstudy.running.launchers import LocalLauncher
from gridstudy.running.planning import plan_trials
from gridstudy.running.progress import StudyTracker
from gridstudy.running.runner import run_study
from tests.conftest import DATA, group_exists, wait_until
from tests.jobs import double, sleep_and_tell
from tests.studies import LINUX, ROOT, start_study

# --- shutdown --------------------------------------------------------------------------------------------------------


def test_grace_is_given_once_to_all_running_jobs_together(tmp_path, monkeypatch):
    monkeypatch.setattr(launchers, "GRACE_S", 0.5)
    events = LocalLauncher(4).run(sleep_and_tell, [(tmp_path, 60.0)] * 4)
    for _ in range(4):
        next(events)
    wait_until(lambda: len(list(tmp_path.iterdir())) == 4)
    clock = time.monotonic()
    events.close()
    assert time.monotonic() - clock < 1.5


def test_no_worker_outlives_an_interruption_of_the_runner(tmp_path, experiment, monkeypatch):
    monkeypatch.setattr(launchers, "GRACE_S", 0.1)
    workers = []
    start = LocalLauncher._start

    def note_worker(self, function):
        workers.append(start(self, function))
        return workers[-1]

    class Interrupted(StudyTracker):
        def trials_started(self, trials):
            raise KeyboardInterrupt

    monkeypatch.setattr(LocalLauncher, "_start", note_worker)
    planned = plan_trials([experiment], range(1), subject=SUBJECT, data=DATA, logdir=tmp_path)
    try:
        run_study(planned, logdir=tmp_path, train=double, launcher=LocalLauncher(2), progress=Interrupted())
    except KeyboardInterrupt as interruption:
        assert interruption.__traceback__ is not None
        assert workers
        assert not any(worker.process.is_alive() for worker in workers)


def _has_begun(logdir):
    return any(logdir.glob("*/seed*/trial.log"))


LONG_TRIALS = ["depth", "--dataset", "garments-small", "--set", "train_steps=200000", "--seeds", "2", "--workers", "2"]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no process groups of this kind")
def test_a_second_ctrl_c_stops_at_once_and_leaves_no_process(tmp_path):
    study = start_study(tmp_path / "logs", *LONG_TRIALS)
    wait_until(lambda: _has_begun(tmp_path / "logs"))
    os.killpg(study.pid, signal.SIGINT)
    time.sleep(1)
    assert study.poll() is None, "one Ctrl-C should leave running trials a moment"
    os.killpg(study.pid, signal.SIGINT)
    clock = time.monotonic()
    out, _ = study.communicate(timeout=30)
    assert time.monotonic() - clock < launchers.GRACE_S - 1
    assert study.returncode == 130
    assert "rerun the same command to resume" in out
    assert "Traceback" not in out
    assert "leaked" not in out
    wait_until(lambda: not group_exists(study.pid), timeout_s=5)


ENTRY_SCRIPT = """
import signal, sys
from benchmarks.chaos.studies import hear_interruptions
from grid_search_experiments import main
print("here", flush=True)
code = main(sys.argv[1:])
signal.signal(signal.SIGINT, signal.SIG_IGN)
sys.exit(code)
"""


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Windows has no process groups of this kind")
@pytest.mark.parametrize("delay_s", [0.0, 0.1, 0.5, 1.0, 2.0, 4.0])
@pytest.mark.parametrize("n_signals", [1, 3])
def test_ctrl_c_at_any_moment_of_the_start_is_quiet(tmp_path, delay_s, n_signals):
    study = start_study(tmp_path / "logs", *LONG_TRIALS, script=("-c", ENTRY_SCRIPT))
    assert study.stdout.readline() == "here\n"
    time.sleep(delay_s)
    for _ in range(n_signals):
        with suppress(ProcessLookupError):
            os.killpg(study.pid, signal.SIGINT)
        time.sleep(0.01)
    out, _ = study.communicate(timeout=60)
    assert study.returncode == 130
    assert "Traceback" not in out
    wait_until(lambda: not group_exists(study.pid), timeout_s=20)


SHARED_MEMORY_SCRIPT = """
import os, signal, subprocess, sys, time
from pathlib import Path
subprocess.run(["mount", "-t", "tmpfs", "none", "/dev/shm"], check=True)
study = subprocess.Popen(sys.argv[3:], start_new_session=True, stdout=2)
while not any(Path(sys.argv[1]).glob("*/seed*/*/model.toml")):
    assert study.poll() is None
    time.sleep(0.05)
time.sleep(2)
os.killpg(study.pid, int(sys.argv[2]))
study.wait()
while subprocess.run(["pgrep", "-g", str(study.pid)], capture_output=True).stdout.strip():
    time.sleep(0.05)
print(os.listdir("/dev/shm"))
"""


@LINUX
@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_a_study_that_ends_in_any_way_leaves_no_shared_memory_and_no_semaphore(tmp_path, how):
    if subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False).returncode:
        pytest.skip("a /dev/shm of one's own takes root")
    command = [sys.executable, str(ROOT / "grid_search_experiments.py"), "--logdir", str(tmp_path), *LONG_TRIALS]
    script = ["unshare", "-m", sys.executable, "-c", SHARED_MEMORY_SCRIPT, tmp_path, str(int(how)), *command]
    ended = subprocess.run(script, capture_output=True, text=True, check=False, timeout=120)
    assert ended.stdout.splitlines()[-1:] == ["[]"], ended.stderr


# --- determinism -----------------------------------------------------------------------------------------------------


def _real_data():
    folder = os.environ.get("FASHION_MNIST_DIR") or ROOT.parent / "shared" / "fashion-mnist"
    return Path(folder)


@pytest.mark.slow
@pytest.mark.parametrize("data", ["garments-small", "fashion-mnist"])
def test_any_number_of_workers_and_any_resumption_give_the_same_bits(run, data):
    if data == "fashion-mnist" and not _real_data().is_dir():
        pytest.skip("no Fashion-MNIST here")
    place = ["--data-dir", _real_data().resolve()] if data == "fashion-mnist" else []
    arguments = ["batch_size", "--dataset", data, *place, "--set", "train_steps=5", "--set", "epochs=1"]
    for workers in (1, 2, 4):
        assert run(*arguments, "--seeds", "2", "--workers", workers, "--logdir", f"w{workers}")[0] == 0
    assert run(*arguments, "--seeds", "1", "--workers", 4, "--logdir", "resumed")[0] == 0
    for path in sorted(find_results(Path("resumed")))[::2]:
        path.unlink()
    assert run(*arguments, "--seeds", "2", "--workers", 2, "--logdir", "resumed")[0] == 0
    for other in ("w2", "w4", "resumed"):
        assert run("--compare", "w1", other)[0] == 0
