from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from gridstudy.running import cores
from gridstudy.running.cores import allowed_cores, count_cores, describe_binding, read_quota, use_cores


def make_groups(tmp_path, memberships, files):
    """A /proc/self/cgroup of these lines and control groups with these files, as paths for read_quota."""
    for name, content in files.items():
        path = tmp_path / "cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content + "\n")
    (tmp_path / "memberships").write_text("\n".join(memberships) + "\n")
    return tmp_path / "cgroup", tmp_path / "memberships"


@pytest.mark.parametrize(
    ("memberships", "files", "expected"),
    [
        (["0::/"], {"cpu.max": "50000 100000"}, 0.5),
        (["0::/"], {"cpu.max": "max 100000"}, None),
        (["0::/"], {}, None),
        (["0::/a/b"], {"cpu.max": "max 100000", "a/cpu.max": "200000 100000", "a/b/cpu.max": "max 100000"}, 2.0),
        (["0::/a/b"], {"a/cpu.max": "300000 100000", "a/b/cpu.max": "250000 100000"}, 2.5),
        (["0::/docker/of-the-host"], {"cpu.max": "150000 100000"}, 1.5),
        (["4:memory:/x", "2:cpu,cpuacct:/a"], {"cpu,cpuacct/a/cpu.cfs_quota_us": "25000",
                                               "cpu,cpuacct/a/cpu.cfs_period_us": "50000"}, 0.5),
        (["1:cpu:/"], {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, None),
        (["1:cpu:/gone"], {"cpu/cpu.cfs_quota_us": "400000", "cpu/cpu.cfs_period_us": "100000"}, 4.0),
        (["3:cpuset:/a"], {"cpuset/a/cpu.cfs_quota_us": "1000", "cpuset/a/cpu.cfs_period_us": "100000"}, None),
        (["1:name=systemd:/", "0::/"], {"unified/cpu.max": "100000 100000"}, 1.0),
        (["0::/"], {"cpu.max": "garbage"}, None),
        (["0::/"], {"cpu.max": "1000 0"}, None),
    ],
)  # fmt: skip
def test_the_least_quota_of_the_groups_is_read(tmp_path, memberships, files, expected):
    assert read_quota(*make_groups(tmp_path, memberships, files)) == expected


def test_without_control_groups_there_is_no_quota(tmp_path):
    assert read_quota(tmp_path / "none", tmp_path / "nothing") is None


@pytest.mark.parametrize(("quota", "expected"), [(0.5, 1), (1.2, 2), (2.0, 2), (1000.0, 8), (None, 8)])
def test_the_quota_limits_the_cores_rounded_up(monkeypatch, quota, expected):
    monkeypatch.setattr(cores, "allowed_cores", lambda: frozenset(range(8)))
    monkeypatch.setattr(cores, "read_quota", lambda: quota)
    assert count_cores({}) == expected


@pytest.mark.parametrize(("count", "expected"), [("3", 3), ("99", 8), ("default", 8), ("0", 8), ("-2", 8), ("", 8)])
def test_python_cpu_count_limits_the_cores(monkeypatch, count, expected):
    monkeypatch.setattr(cores, "allowed_cores", lambda: frozenset(range(8)))
    monkeypatch.setattr(cores, "read_quota", lambda: None)
    assert count_cores({"PYTHON_CPU_COUNT": count}) == expected


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity here")
def test_cores_that_were_taken_away_come_back():
    ours = allowed_cores()
    try:
        os.sched_setaffinity(0, {min(ours)})
        assert count_cores({}) == 1
        use_cores(ours)
        assert allowed_cores() == ours
        use_cores(frozenset({10_000}))
        assert allowed_cores() == ours
    finally:
        os.sched_setaffinity(0, ours)


@pytest.mark.parametrize(
    ("environment", "bound"),
    [
        ({}, None),
        ({"OMP_PROC_BIND": "false"}, None),
        ({"KMP_AFFINITY": "disabled"}, None),
        ({"OMP_PROC_BIND": "close"}, "OMP_PROC_BIND=close"),
        ({"GOMP_CPU_AFFINITY": "0-3", "OMP_PROC_BIND": "TRUE"}, "OMP_PROC_BIND=TRUE GOMP_CPU_AFFINITY=0-3"),
    ],
)
def test_variables_that_bind_are_named(environment, bound):
    note = describe_binding(environment)
    assert note is None if bound is None else note.startswith(f"{bound} would bind all workers")


BOUND_STUDY = """
import os, sys
sys.path.insert(0, sys.argv[1])
from gridstudy.running.launchers import Finished, LocalLauncher
from tests.jobs import train_and_tell_cores
if __name__ == "__main__":
    cores = os.sched_getaffinity(0)
    launcher = LocalLauncher(2, preload=["torch"])
    import torch
    assert os.sched_getaffinity(0) < cores, "this torch does not bind"
    values = [e.value for e in launcher.run(train_and_tell_cores, range(2)) if isinstance(e, Finished)]
    assert values == [cores] * 2, values
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity here")
def test_workers_use_all_cores_although_openmp_binds_threads(tmp_path):
    if len(allowed_cores()) < 2:
        pytest.skip("one core cannot be bound further")
    (tmp_path / "script.py").write_text(BOUND_STUDY)
    command = [sys.executable, str(tmp_path / "script.py"), str(Path(__file__).parents[2])]
    environment = {**os.environ, "OMP_PROC_BIND": "true"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if "does not bind" in done.stderr:
        pytest.skip("this build of torch does not bind its threads")
    assert (done.returncode, done.stderr) == (0, "")
