from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from gridstudy.records.tables import find_results
from gridstudy.records.trials import read_result
from tests.conftest import wait_until

SCRIPT = Path(__file__).parents[2] / "grid_search_experiments.py"
STUDY = ["depth", "--dataset", "garments-small", "--seeds", "2", "--workers", "1", "--set"]
SHIMS = {
    "no-op": "int flock(int fd, int operation) { return 0; }",
    "missing": "#include <errno.h>\nint flock(int fd, int operation) { errno = ENOSYS; return -1; }",
}


@pytest.fixture(params=SHIMS)
def shim(request, tmp_path):
    """A library that takes the system's file locks away."""
    if not shutil.which("cc") or not sys.platform.startswith("linux"):
        pytest.skip("building the library takes cc")
    source, library = tmp_path / "shim.c", tmp_path / "shim.so"
    source.write_text(SHIMS[request.param])
    subprocess.run(["cc", "-shared", "-fPIC", "-o", str(library), str(source)], check=True)
    return library


def start(logdir, n_steps, shim, *prefix):
    command = [*prefix, sys.executable, str(SCRIPT), *STUDY, f"train_steps={n_steps}", "--logdir", str(logdir)]
    environment = {**os.environ, "LD_PRELOAD": str(shim)}
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment, start_new_session=True
    )


@pytest.mark.slow
def test_runners_whose_locks_do_not_reach_each_other_train_every_trial_once(tmp_path, shim):
    prefix = ["unshare", "--uts", "--pid", "--fork", "--mount-proc", "sh", "-c", 'hostname other; exec "$@"', "sh"]
    if subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode:
        pytest.skip("another host name takes root")
    logdir = tmp_path / "logs"
    first = start(logdir, 150, shim)
    try:
        wait_until((logdir / ".lock.holder").exists)
        second = start(logdir, 150, shim, *prefix)
        out, _ = second.communicate(timeout=100)
        assert second.returncode == 2, out
        assert f"is in use by process {first.pid} on {os.uname().nodename}" in out
        out, _ = first.communicate(timeout=100)
        assert first.returncode == 0, out
    finally:
        with suppress(ProcessLookupError):
            os.killpg(first.pid, signal.SIGKILL)
    assert {read_result(path)[1].attempt for path in find_results(logdir)} == {1}
    assert len(list(find_results(logdir))) == 6


@pytest.mark.slow
def test_a_study_whose_lock_file_is_deleted_stops_with_one_line(tmp_path):
    logdir = tmp_path / "logs"
    study = start(logdir, 150, "")
    try:
        wait_until(lambda: any(logdir.glob("*/seed*/trial.log")))
        (logdir / ".lock").unlink()
        out, _ = study.communicate(timeout=60)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(study.pid, signal.SIGKILL)
    assert study.returncode == 2, out
    assert "Traceback" not in out
    (line,) = [line for line in out.splitlines() if line.startswith("error: ")]
    assert "removed or replaced" in line
