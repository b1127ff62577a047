from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import psutil
import pytest

import gridstudy
from grid_search_experiments import main
from gridstudy.core.errors import StudyError
from gridstudy.core.source import source_digest
from gridstudy.core.subject import Data
from gridstudy.core.trial import DataIdentity
from gridstudy.fashion.subject import SUBJECT
from gridstudy.fashion.training import split_arrays
from gridstudy.records.comparison import compare_outcomes
from gridstudy.running.launchers import Crashed, Finished, InProcessLauncher, Started
from gridstudy.running.planning import plan_trials
from gridstudy.running.progress import StudyTracker
from gridstudy.running.remote import place_trials, train_remotely
from gridstudy.running.runner import run_study
from gridstudy.running.subjects import SubjectSource
from gridstudy.running.trials import run_trials
from tests.conftest import wait_until

SOURCE = SubjectSource(module="gridstudy.fashion.subject")
TINY = ["epochs", "--dataset", "garments-small", "--set", "train_steps=5", "--seeds", "2"]


def test_without_the_package_one_line_says_what_to_install(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "ray", None)
    assert main([*TINY, "--launcher", "ray"]) == 2
    assert capsys.readouterr().err == (
        'error: --launcher ray needs the package ray; install it with: pip install ".[ray]"\n'
    )
    assert list(tmp_path.iterdir()) == []


def test_the_rest_runs_without_the_package():
    code = "import sys, grid_search_experiments, gridstudy.running.remote; sys.exit('ray' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--ray-address", "auto"], "are for --launcher ray"),
        (["--gpus-per-trial", "1"], "are for --launcher ray"),
        (["--launcher", "ray", "--gpus-per-trial", "0"], "--gpus-per-trial takes a part of a GPU"),
        (["--launcher", "ray", "--gpus-per-trial", "2"], "--gpus-per-trial takes a part of a GPU"),
        (["--launcher", "ray", "--gpus-per-trial", "nan"], "--gpus-per-trial takes a part of a GPU"),
        (["--launcher", "ray", "--device", "cuda"], "got --device cuda"),
        (["--launcher", "dask"], "invalid choice"),
    ],
)
def test_options_that_do_not_go_together_get_one_line(tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    assert main([*TINY, *arguments]) == 2
    err = capsys.readouterr().err
    assert message in err
    assert len([line for line in err.splitlines() if "error:" in line]) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_head_that_stops_answering_is_told_in_one_line_within_seconds(monkeypatch):
    from gridstudy.running import ray_launcher

    monkeypatch.setattr(ray_launcher, "POLL_S", 0.1)
    monkeypatch.setattr(ray_launcher, "HEAD_PATIENCE_S", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as server:
        head = ray_launcher.Head(f"127.0.0.1:{server.getsockname()[1]}")
        time.sleep(0.6)
        head.check()
    clock = time.monotonic()
    time.sleep(0.1)
    with pytest.raises(StudyError, match=r"Ray's head at 127.0.0.1:\d+ no longer answers .*rerun the same command"):
        head.check()
    assert head.is_lost
    assert time.monotonic() - clock < 3


def test_ray_starts_in_an_empty_folder_and_leaves_our_handler_in_place(tmp_path):
    from gridstudy.running.ray_launcher import harmless_start

    before, folder = signal.getsignal(signal.SIGTERM), Path.cwd()
    with harmless_start(str(tmp_path)):
        assert Path.cwd() == tmp_path
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # as Ray sets its own
    assert (signal.getsignal(signal.SIGTERM), Path.cwd()) == (before, folder)


def test_only_jobs_that_take_too_long_are_overdue():
    from gridstudy.running.ray_launcher import overdue

    now = time.monotonic()
    started_s = {"long": now - 50, "new": now - 5}
    assert overdue({"long": 1, "new": 2}, started_s, lambda job: 40.0 * job) == [("long", 40.0)]
    assert overdue({"long": 1, "new": 2}, started_s, None) == []


def test_a_worker_with_other_source_code_than_the_program_refuses():
    from gridstudy.running.ray_launcher import OtherCodeError, call_with_our_code

    with pytest.raises(OtherCodeError, match="workers must run the program's own code"):
        call_with_our_code(len, "job", digest="0" * 12)
    assert call_with_our_code(len, "job", digest=source_digest([gridstudy])) == 3


# --- with Ray ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def ray():
    """Ray, open to this test only: with a token of its own, and none of its processes left behind."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_AUTH_MODE", "token")
        patch.setenv("RAY_AUTH_TOKEN", secrets.token_hex(32))
        ray = pytest.importorskip("ray", reason="ray is not installed")
        ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
        yield ray
        ray.shutdown()
        assert not [p for p in psutil.Process().children(recursive=True) if p.name() in ("raylet", "gcs_server")]


@pytest.mark.slow
def test_a_local_ray_makes_the_outcomes_of_local_processes_and_is_not_started_for_nothing(
    tmp_path, monkeypatch, capsys, ray, small_data
):
    monkeypatch.chdir(tmp_path)
    on_ray = [*TINY, "--launcher", "ray", "--workers", "2", "--logdir", "ray"]
    assert main(on_ray) == 0, capsys.readouterr().err
    assert main([*TINY, "--workers", "2", "--logdir", "local"]) == 0
    assert compare_outcomes(Path("ray"), Path("local")) == []
    capsys.readouterr()
    monkeypatch.setattr(ray, "init", None)
    assert main(on_ray) == 0
    assert "6 of 6 trials complete, 0 of them trained now" in capsys.readouterr().out


def behave(job, *, shared):
    if job == "raise":
        raise ValueError("this job raises")
    if job == "exit":
        os._exit(7)
    return (job, shared.sum())


@pytest.mark.slow
def test_jobs_that_raise_or_die_are_told_and_the_rest_goes_on(ray):
    import numpy as np

    from gridstudy.running.ray_launcher import RayLauncher

    def refuse_3(job, value):
        if job == 3:
            raise OSError("no space left")
        return Finished(job, value)

    jobs = [1, "raise", "exit", 3, 4]
    launcher = RayLauncher(2, shared={"shared": np.ones(10)}, receive=refuse_3)
    events = list(launcher.run(behave, jobs))
    assert [e.job for e in events if isinstance(e, Started)] == jobs
    assert {e.job: e.value for e in events if isinstance(e, Finished)} == {1: (1, 10.0), 4: (4, 10.0)}
    crashed = {e.job: e.reason.strip().splitlines()[-1] for e in events if isinstance(e, Crashed)}
    assert crashed["raise"] == "ValueError: this job raises"
    assert crashed["exit"].startswith("WorkerCrashedError: ")
    assert crashed[3] == "OSError: no space left"


def note_and_train(trials, *, notes, **arguments):
    import ray

    node = ray.get_runtime_context().get_node_id()
    (trial,) = trials
    (notes / f"{trial.fingerprint}-{node}").touch()
    packed = train_remotely(trials, **arguments)
    (notes / f"{trial.fingerprint}-{node}-done").touch()
    return packed


@pytest.mark.slow
def test_the_trials_of_a_node_that_is_lost_run_again_elsewhere_to_the_same_bits(tmp_path, ray, small_data):
    from gridstudy.running.ray_launcher import RayLauncher

    data = Data(small_data, DataIdentity(**small_data.identity))
    experiment = SUBJECT.parse(
        {"name": "lost", "scientific": ["units1"], "grid": {"units1": [32, 64]}, "fixed": {"train_steps": 500}}
    )
    plan = partial(plan_trials, [experiment], range(4), subject=SUBJECT, data=data)
    notes = tmp_path / "notes"
    notes.mkdir()
    with _cluster(2) as (address, nodes):
        threading.Thread(target=_kill_in_the_middle, args=(ray, notes, nodes[1]), daemon=True).start()
        launcher = RayLauncher(
            address=address,
            shared={"data": replace(data, content=split_arrays(small_data))},
            receive=partial(place_trials, logdir=tmp_path / "ray"),
        )
        summary = run_study(
            plan(logdir=tmp_path / "ray"),
            logdir=tmp_path / "ray",
            train=partial(note_and_train, notes=notes, source=SOURCE, device="cpu"),
            launcher=launcher,
            progress=StudyTracker(),
        )
    assert (summary.n_run, summary.failures) == (8, {})
    n_nodes = [len(_nodes(notes, result.trial.fingerprint)) for result in summary.results]
    assert sorted(n_nodes) == [1] * 7 + [2]
    run_study(
        plan(logdir=tmp_path / "here"),
        logdir=tmp_path / "here",
        train=partial(run_trials, source=SOURCE, data=data, logdir=tmp_path / "here", device="cpu"),
        launcher=InProcessLauncher(),
        progress=StudyTracker(),
    )
    assert compare_outcomes(tmp_path / "ray", tmp_path / "here") == []


def _nodes(notes, fingerprint):
    return {path.name.split("-")[1] for path in notes.glob(f"{fingerprint}-*")}


def _kill_in_the_middle(ray, notes, node):
    """Wait for a second trial on the node that is not the head, and end the node while it is at it."""

    def trials(pattern):
        head = [n["NodeID"] for n in ray.nodes() if "node:__internal_head__" in n["Resources"]]
        return [path for path in notes.glob(pattern) if head and path.name.split("-")[1] not in head]

    wait_until(ray.is_initialized)
    wait_until(lambda: len(trials("*-done")) == 1 and len(trials("*")) == 3)
    _kill(node)


@pytest.mark.slow
def test_ctrl_c_stops_soon_keeps_what_is_complete_and_leaves_no_process(tmp_path, request, ray, small_data):
    logdir = tmp_path / "logs"
    arguments = ["epochs", "--dataset", "garments-small", "--set", "train_steps=200", "--seeds", "9"]
    study = subprocess.Popen(
        [sys.executable, "grid_search_experiments.py", *arguments, "--launcher", "ray", "--logdir", str(logdir)],
        cwd=request.config.rootpath, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        start_new_session=True,
    )  # fmt: skip
    wait_until(lambda: len(list(logdir.glob("*/seed*/result.toml"))) >= 1)
    children = psutil.Process(study.pid).children(recursive=True)
    os.killpg(study.pid, signal.SIGINT)
    out, _ = study.communicate(timeout=30)
    assert study.returncode == 130
    assert "rerun the same command to resume" in out
    assert "Traceback" not in out
    _, alive = psutil.wait_procs(children, timeout=10)
    assert not alive
    assert len(list(logdir.glob("*/seed*/result.toml"))) >= 1


@pytest.mark.slow
def test_a_cluster_that_does_not_answer_or_has_no_gpu_gets_one_line(tmp_path, monkeypatch, capsys, ray, small_data):
    monkeypatch.chdir(tmp_path)
    assert main([*TINY, "--launcher", "ray", "--ray-address", f"127.0.0.1:{_free_port()}"]) == 2
    assert "error: no Ray answers at 127.0.0.1:" in capsys.readouterr().err
    assert main([*TINY, "--launcher", "ray", "--workers", "1", "--gpus-per-trial", "0.5"]) == 2
    assert "error: --gpus-per-trial was given, but this Ray cluster has no GPUs" in capsys.readouterr().err


@pytest.mark.slow
def test_a_head_that_is_killed_gets_one_line_soon_and_no_process_is_left(ray):
    from gridstudy.running.ray_launcher import RayLauncher

    before = set(psutil.Process().children(recursive=True))
    events = RayLauncher(1).run(time.sleep, [120.0])
    assert isinstance(next(events), Started)
    started = set(psutil.Process().children(recursive=True)) - before
    (head,) = [process for process in started if process.name() == "gcs_server"]
    head.kill()
    clock = time.monotonic()
    with pytest.raises(StudyError, match=r"Ray's head at .* no longer answers"):
        next(events)
    assert time.monotonic() - clock < 15
    assert not psutil.wait_procs(started, timeout=1)[1]


@pytest.mark.slow
def test_a_job_that_hangs_on_ray_is_ended(ray):
    from gridstudy.running.ray_launcher import RayLauncher

    events = list(RayLauncher(1).run(time.sleep, [120.0, 0.1], timeout_s=lambda job: 10.0))
    assert [(e.job, e.reason) for e in events if isinstance(e, Crashed)] == [
        (120.0, "no result within 10 s; the worker was killed")
    ]
    assert [e.job for e in events if isinstance(e, Finished)] == [0.1]


def see_path(job):
    import gridstudy

    return sys.path, gridstudy.__file__


@pytest.mark.slow
def test_nothing_in_the_current_folder_is_imported_on_ray(ray, tmp_path, monkeypatch):
    from gridstudy.running.ray_launcher import RayLauncher

    for name in ("gridstudy/__init__", "torch", "random", "token"):
        path = tmp_path / "current" / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"open({str(tmp_path / 'executed')!r}, 'a').write(__name__)")
    monkeypatch.chdir(tmp_path / "current")
    (event,) = [e for e in RayLauncher(1).run(see_path, [0]) if not isinstance(e, Started)]
    path, _ = event.value
    assert str(tmp_path / "current") not in path
    assert not (tmp_path / "executed").exists()


def see_gpu(job):
    return os.environ.get("CUDA_VISIBLE_DEVICES")


@pytest.mark.slow
def test_jobs_share_a_gpu_by_the_part_that_each_gets(ray):
    from gridstudy.running.ray_launcher import RayLauncher

    with _cluster(1, "--num-cpus=4", "--num-gpus=1") as (address, _):
        events = list(RayLauncher(address=address, gpus_per_job=0.5).run(see_gpu, range(3)))
    assert [isinstance(e, Started) for e in events[:3]] == [True, True, False]
    assert [e.value for e in events if isinstance(e, Finished)] == ["0"] * 3


@contextmanager
def _cluster(n_nodes, *resources):
    """A Ray of several nodes of one CPU on this machine; its address, and the process that keeps each node."""
    port = _free_port()
    common = [str(Path(sys.executable).with_name("ray")), "start", "--block", *(resources or ["--num-cpus=1"])]
    head = [f"--port={port}", "--head", "--include-dashboard=false", f"--ray-client-server-port={_free_port()}"]
    nodes = [_start(common + head)]
    try:
        wait_until(lambda: _listens(port))
        time.sleep(2)
        nodes += [_start([*common, f"--address=127.0.0.1:{port}"]) for _ in range(n_nodes - 1)]
        yield f"127.0.0.1:{port}", nodes
    finally:
        for node in reversed(nodes):
            _kill(node)


def _start(command):
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _kill(node):
    """End a node as a power cut would."""
    if node.poll() is not None:
        return
    processes = psutil.Process(node.pid).children(recursive=True)
    for process in processes:
        if process.is_running():
            process.kill()
    node.kill()
    node.wait()
    psutil.wait_procs(processes, timeout=10)


def _free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _listens(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
