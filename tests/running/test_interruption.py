from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from gridstudy.running.interruption import Terminated, exit_code_of, sigterm_interrupts
from tests.conftest import wait_until

POSIX = pytest.mark.skipif(os.name == "nt", reason="Windows ends processes in another way")
STUDY = ["depth", "--dataset", "garments-small", "--set", "train_steps=200000", "--seeds", "2", "--workers", "2"]


@POSIX
def test_sigterm_raises_an_interruption_and_its_handler_goes_with_the_block():
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(Terminated), sigterm_interrupts():
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(5)
    assert signal.getsignal(signal.SIGTERM) is before


def test_the_exit_code_says_which_signal_it_was():
    assert (exit_code_of(KeyboardInterrupt()), exit_code_of(Terminated())) == (130, 143)


def test_outside_the_main_thread_nothing_changes():
    before = signal.getsignal(signal.SIGTERM)
    seen = []

    def enter():
        with sigterm_interrupts():
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert seen == [before]


def start_study(logdir, *prefix):
    script = Path(__file__).parents[2] / "grid_search_experiments.py"
    command = [*prefix, sys.executable, str(script), *STUDY, "--logdir", str(logdir)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


@POSIX
@pytest.mark.slow
def test_sigterm_ends_a_study_as_ctrl_c_does(tmp_path):
    study = start_study(tmp_path)
    wait_until(lambda: any(tmp_path.glob("*/seed*/trial.log")))
    study.terminate()
    out, _ = study.communicate(timeout=30)
    assert study.returncode == 143
    assert "interrupted with 0 of 6 trials complete; rerun the same command to resume" in out
    assert "Traceback" not in out
    assert not (tmp_path / ".lock.holder").exists()


@POSIX
@pytest.mark.slow
def test_sigterm_ends_a_study_that_is_process_1_of_a_container(tmp_path):
    prefix = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]
    if subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode:
        pytest.skip("a namespace of processes takes root")
    outer = start_study(tmp_path, *prefix)
    wait_until(lambda: any(tmp_path.glob("*/seed*/trial.log")))
    children = Path(f"/proc/{outer.pid}/task/{outer.pid}/children").read_text().split()
    os.kill(int(children[0]), signal.SIGTERM)
    out, _ = outer.communicate(timeout=30)
    assert outer.returncode == 143
    assert "rerun the same command to resume" in out
