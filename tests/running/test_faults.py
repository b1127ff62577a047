"""What a user's machine can break, really broken: disks, permissions, memory, clocks, files, keys and names."""

from __future__ import annotations

import errno
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import tomli_w
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import analyze_results
from benchmarks.chaos import hear_interruptions
from grid_search_experiments import main
from gridstudy.cli.run_arguments import build_parser
from gridstudy.core.errors import StudyError
from gridstudy.core.lock import LockTimes
from gridstudy.core.subject import Data
from gridstudy.core.trial import DataIdentity, TrialConfig, TrialState
from gridstudy.fashion.subject import SUBJECT
from gridstudy.records.comparison import compare_outcomes
from gridstudy.records.tables import find_results, load_records
from gridstudy.records.toml import read_toml, write_toml
from gridstudy.records.trials import ERROR_FILE, RESULT_FILE, read_result, trial_folder, trial_status, write_result
from gridstudy.running import launchers, lock
from gridstudy.running.launchers import InProcessLauncher, LocalLauncher
from gridstudy.running.lock import lock_logdir
from gridstudy.running.planning import plan_trials, record_plans, recorded_dataset
from gridstudy.running.progress import StudyTracker
from gridstudy.running.runner import run_study
from gridstudy.running.trials import run_trials
from gridstudy.statistics.estimates import analyse
from tests.conftest import DATA, fake_result, fake_run, wait_until
from tests.fault_jobs import MEGABYTE, SOURCE, limit_memory, run_and_die, run_and_weigh
from tests.jobs import double, sleep_and_tell

HYPERPARAMETERS = SUBJECT.search_space.names
ROOT = Path(__file__).parents[2]
TINY = ["--dataset", "garments-small", "--set", "train_steps=5", "--seeds", "2"]
NOBODY = 65_534
LINUX = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc, or mounts")
PROTECTED = {
    "name": "protected",
    "scientific": ["units1"],
    "fixed": {"epochs": 1, "train_steps": 2, "batch_size": 8, "units2": 8},
    "grid": {"units1": [8, 16]},
}


# --- helpers ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def run(tmp_path, monkeypatch, capsys, small_data):
    """Run the command line in an empty folder; returns exit code, stdout and stderr."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        code = main([str(argument) for argument in arguments])
        return code, *capsys.readouterr()

    return run


@pytest.fixture(scope="session")
def built_in(small_data):
    """The small data as a subject's."""
    sizes = {"train": small_data.n_train, "validation": small_data.n_validation, "test": small_data.n_test}
    return Data(small_data, DataIdentity(**small_data.identity), sizes)


@pytest.fixture(scope="session")
def whole(built_in, tmp_path_factory):
    """Two real trials, complete, of an experiment that was written down."""
    logdir = tmp_path_factory.mktemp("whole")
    record_plans(logdir, [SUBJECT.parse(PROTECTED)], subject=SUBJECT, data=built_in, seeds=range(1))
    _resume(logdir, built_in)
    return logdir


def _plan(logdir, built_in):
    return plan_trials([SUBJECT.parse(PROTECTED)], range(1), subject=SUBJECT, data=built_in, logdir=logdir)


def _resume(logdir, built_in, *, launcher=None):
    """What was planned, and how it stands at the end."""
    planned = _plan(logdir, built_in)
    train = partial(run_trials, source=SOURCE, data=built_in, logdir=logdir, device="cpu")
    launcher = launcher or InProcessLauncher()
    return planned, run_study(planned, logdir=logdir, train=train, launcher=launcher, progress=StudyTracker())


def _error_lines(err):
    """The lines of an error; fails where a traceback or anything unasked is among them."""
    assert "Traceback" not in err
    assert "Exception" not in err
    return [line for line in err.splitlines() if line.startswith("error: ")]


@contextmanager
def _unprivileged():
    """Root may read and write everything, so be somebody else for a while."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def open_folder():
    """A folder of the user that `_unprivileged` is; pytest's own are closed to others."""
    if os.name == "nt":
        pytest.skip("Windows has other permissions")
    with _unprivileged():
        folder = Path(tempfile.mkdtemp(prefix="gridstudy-faults-"))
    yield folder
    subprocess.run(["chmod", "-R", "u+rwx", folder], check=True)
    shutil.rmtree(folder)


@pytest.fixture
def mount(tmp_path):
    """Mount something for the length of a test: `mount(folder, *arguments)`; skips where that is not permitted."""
    mounted = []

    def mount(folder, *arguments):
        folder.mkdir(exist_ok=True)
        command = ["mount", *arguments, str(folder)]
        if not shutil.which("mount") or subprocess.run(command, capture_output=True, check=False).returncode:
            pytest.skip("mounting a file system takes root")
        mounted.append(folder)
        return folder

    yield mount
    for folder in reversed(mounted):
        subprocess.run(["umount", "-l", str(folder)], check=True)


# --- disk full, read-only, no permission -----------------------------------------------------------------------------


@LINUX
@pytest.mark.parametrize("n_free", [0, 24, 90])
def test_a_full_disk_gets_one_line_and_the_study_goes_on_once_there_is_room(run, mount, tmp_path, n_free):
    disk = mount(tmp_path / "disk", "-t", "tmpfs", "-o", "size=4m", "none")
    filler = disk / "filler"
    with suppress(OSError), filler.open("wb", buffering=0) as file:
        while file.write(bytes(4096)):
            pass
    os.truncate(filler, filler.stat().st_size - n_free * 1024)
    arguments = ["depth", *TINY, "--workers", "2", "--logdir", disk / "logs"]
    code, _, err = run(*arguments)
    assert code == 2
    assert len(_error_lines(err)) == 1
    assert "No space left" in err
    filler.unlink()
    code, _, err = run(*arguments)
    assert code == 0, err
    if n_free == 90:
        assert run(*arguments[:-1], tmp_path / "roomy")[0] == 0
        assert run("--compare", disk / "logs", tmp_path / "roomy")[0] == 0


@LINUX
def test_a_read_only_disk_gets_one_line(run, mount, tmp_path):
    disk = mount(tmp_path / "disk", "-t", "tmpfs", "-o", "size=1m", "none")
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    code, _, err = run("depth", *TINY, "--logdir", disk / "logs")
    assert code == 2
    assert len(_error_lines(err)) == 1
    assert "Read-only" in err


@LINUX
def test_an_analysis_on_a_full_disk_gets_one_line(whole, mount, tmp_path, capsys):
    disk = mount(tmp_path / "disk", "-t", "tmpfs", "-o", "size=16k", "none")
    assert analyze_results.main(["--logdir", str(whole), "--output", str(disk)]) == 2
    (line,) = _error_lines(capsys.readouterr().err)
    assert f"cannot write {disk}" in line
    assert "No space left" in line


def test_a_disk_that_fills_up_during_a_trial_stops_the_study_with_what_to_do(whole, built_in, tmp_path):
    def full_disk(trials, *, attempt):
        raise OSError(errno.ENOSPC, "No space left on device")

    planned = _plan(tmp_path, built_in)
    with pytest.raises(StudyError, match="make room and rerun the same command to resume"):
        run_study(planned, logdir=tmp_path, train=full_disk, launcher=InProcessLauncher(), progress=StudyTracker())
    _, summary = _resume(tmp_path, built_in)
    assert summary.n_run == 2
    assert compare_outcomes(whole, tmp_path) == []


def test_a_log_directory_that_may_not_be_written_gets_one_line(run, open_folder, monkeypatch):
    monkeypatch.setenv("GRIDSTUDY_CACHE", str(open_folder / "cache"))
    assert run("depth", *TINY, "--logdir", "elsewhere")[0] == 0  # draws the data, imports what nobody else may read
    subprocess.run(["chmod", "-R", "a+rX,a-w", open_folder], check=True)
    with _unprivileged():
        code, _, err = run("depth", *TINY, "--logdir", open_folder / "logs")
        assert code == 2
        (line,) = _error_lines(err)
        assert f"Permission denied: '{open_folder / 'logs'}'" in line
        assert [path.name for path in open_folder.iterdir()] == ["cache"]


def _copy_for_anybody(logdir, folder):
    shutil.copytree(logdir, folder / "logs")
    if os.geteuid() == 0:
        subprocess.run(["chown", "-R", str(NOBODY), folder / "logs"], check=True)
    return folder / "logs"


UNREADABLE = {
    "result": (f"*/seed0-*/{RESULT_FILE}", 0o000),
    "trial": ("*/seed0-*", 0o000),
    "trial that may be listed": ("*/seed0-*", 0o444),
    "configuration": ("*units1=8*", 0o000),
    "configuration that may be listed": ("*units1=8*", 0o444),
    "experiment": ("experiments/*.toml", 0o000),
    "experiments": ("experiments", 0o000),
    "experiments that may be listed": ("experiments", 0o444),
}


@pytest.mark.parametrize("what", UNREADABLE)
def test_what_may_not_be_read_is_told_and_the_rest_goes_on(whole, built_in, open_folder, monkeypatch, what):
    monkeypatch.setattr("gridstudy.fashion.data.check_unchanged", lambda prepared: None)  # the cache is root's
    pattern, mode = UNREADABLE[what]
    logdir = _copy_for_anybody(whole, open_folder)
    with _unprivileged():
        sorted(logdir.glob(pattern))[0].chmod(mode)
        found = load_records(logdir)
        (reason,) = found.problems["reason"]
        assert "Permission denied" in reason
        analyse(found)
        assert recorded_dataset(logdir) == "garments-small"
        _, summary = _resume(logdir, built_in)
        assert len(summary.results) + len(summary.failures) == 2


def test_an_error_that_may_not_be_read_is_told(whole, open_folder):
    logdir = _copy_for_anybody(whole, open_folder)
    with _unprivileged():
        path = next(find_results(logdir))
        path.unlink()
        path.with_name(ERROR_FILE).touch(mode=0o000)
        (reason,) = load_records(logdir).problems["reason"]
        assert reason == "cannot be read (Permission denied)"


# --- power ---------------------------------------------------------------------------------------------------------


def test_a_result_is_on_the_disk_before_it_has_its_name_and_so_are_its_folders(tmp_path, make_trial, monkeypatch):
    steps = []
    fsync, replace_file = os.fsync, Path.replace

    def note_fsync(descriptor):
        steps.append(Path(f"/proc/self/fd/{descriptor}").readlink() if Path("/proc/self").exists() else None)
        fsync(descriptor)

    def note_replace(path, target):
        steps.append("renamed")
        return replace_file(path, target)

    monkeypatch.setattr(os, "fsync", note_fsync)
    monkeypatch.setattr(Path, "replace", note_replace)
    folder = trial_folder(tmp_path, make_trial())
    folder.mkdir(parents=True)
    write_result(folder, fake_result(make_trial()), fake_run())
    *before, content, renamed, after = steps
    assert renamed == "renamed"
    if content is not None:
        assert before == [folder.parent, tmp_path]
        assert content.name.startswith(f"{RESULT_FILE}.")
        assert after == folder


# --- memory ----------------------------------------------------------------------------------------------------------


@LINUX
def test_a_trial_that_runs_out_of_memory_is_tried_twice_and_recorded_and_the_study_goes_on(built_in, tmp_path):
    class Counting(StudyTracker):
        attempts = ()

        def trial_failed(self, trial, reason, *, final):
            self.attempts = (*self.attempts, final)

    progress = Counting()
    table = {**PROTECTED, "grid": {"units1": [8, 16, 20_000]}, "fixed": {**PROTECTED["fixed"], "units2": 20_000}}
    planned = plan_trials([SUBJECT.parse(table)], range(1), subject=SUBJECT, data=built_in, logdir=tmp_path)
    launcher = LocalLauncher(1, preload=["gridstudy.fashion.training"], setup=partial(limit_memory, 600))
    train = partial(run_trials, source=SOURCE, data=built_in, logdir=tmp_path, device="cpu")
    summary = run_study(planned, logdir=tmp_path, train=train, launcher=launcher, progress=progress)
    assert progress.attempts == (False, True)
    ((trial, reason),) = summary.failures.items()
    assert trial.configuration["units1"] == 20_000
    assert "memory" in reason
    assert len(summary.results) == 2
    assert trial_status(tmp_path, trial).state is TrialState.FAILED
    assert "Traceback" in (trial_folder(tmp_path, trial) / ERROR_FILE).read_text()
    assert [row["state"] for row in load_records(tmp_path).problems.to_dict("records")] == ["failed"]


@LINUX
def test_a_worker_that_dies_once_its_trial_is_complete_costs_no_second_run(whole, built_in, tmp_path):
    train = partial(run_and_die, data=built_in, logdir=tmp_path)
    launcher = LocalLauncher(1, preload=["gridstudy.fashion.training"])
    planned = _plan(tmp_path, built_in)
    summary = run_study(planned, logdir=tmp_path, train=train, launcher=launcher, progress=StudyTracker())
    assert summary.failures == {}
    assert summary.n_run == len(summary.results) == 2
    assert {read_result(path)[1].attempt for path in find_results(tmp_path)} == {1}
    assert list(tmp_path.rglob(ERROR_FILE)) == []
    assert compare_outcomes(whole, tmp_path) == []


@LINUX
def test_a_worker_holds_no_more_after_many_trials_than_after_a_few(built_in, tmp_path):
    configuration = SUBJECT.configure({**PROTECTED["fixed"], "units1": 8})
    trials = [(TrialConfig(SUBJECT.name, configuration, seed, built_in.identity),) for seed in range(60)]
    job = partial(run_and_weigh, data=built_in, logdir=tmp_path)
    events = list(LocalLauncher(1, preload=["gridstudy.fashion.training"]).run(job, trials))
    weights = [event.value for event in events if isinstance(event, launchers.Finished)]
    assert len(weights) == 60
    first, last = weights[19], weights[-1]
    assert last[0] - first[0] < 4 * MEGABYTE
    assert last[1:] == first[1:], "open files or threads grew"


# --- runners, locks and clocks ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("there", ["folder", "unreadable holder", "dead holder", "future"])
def test_odd_locks_get_one_line_or_are_void(run, tmp_path, there):
    logdir = tmp_path / "logs"
    logdir.mkdir()
    if there == "folder":
        (logdir / ".lock").mkdir()
        code, _, err = run("depth", *TINY, "--logdir", logdir)
        assert code == 2
        assert len(_error_lines(err)) == 1
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
    planned, summary = _resume(logdir, built_in)
    assert all(p.state is TrialState.COMPLETE and not p.note for p in planned)
    assert summary.n_run == 0
    assert recorded_dataset(logdir) == "garments-small"
    assert load_records(logdir).problems.empty


def test_two_runners_at_once_train_every_trial_once(tmp_path):
    logdir = tmp_path / "logs"
    studies = [_start(logdir, "epochs", *TINY) for _ in range(2)]
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


# --- divergence ------------------------------------------------------------------------------------------------------


def test_a_rate_of_a_million_is_unstable_in_no_ranking_and_decides_no_contrast(built_in, tmp_path):
    experiment = SUBJECT.parse(
        {
            "name": "rates",
            "hypothesis": "A sane rate beats a million.",
            "scientific": ["learning_rate"],
            "contrasts": [{"better": {"learning_rate": 0.01}, "worse": {"learning_rate": 1e6}}],
            "fixed": {"epochs": 2, "train_steps": 20, "optimizer": "SGD", "units1": 16, "units2": 16},
            "grid": {"learning_rate": [0.01, 0.1, 1e6]},
        }
    )
    record_plans(tmp_path, [experiment], subject=SUBJECT, data=built_in, seeds=range(3))
    planned = plan_trials([experiment], range(3), subject=SUBJECT, data=built_in, logdir=tmp_path)
    train = partial(run_trials, source=SOURCE, data=built_in, logdir=tmp_path, device="cpu")
    summary = run_study(planned, logdir=tmp_path, train=train, launcher=InProcessLauncher(), progress=StudyTracker())
    assert summary.failures == {}
    found = load_records(tmp_path)
    wild = found.trials[found.trials["learning_rate"] == 1e6]
    assert list(wild["diverged"]) == [True] * 3
    assert set(wild["objective"]) == {0.1}
    (estimate,) = analyse(found).experiments
    (name,) = estimate.unstable
    assert estimate.unstable[name] == "unstable, 3 of 3"
    assert name not in (estimate.best, estimate.runner_up, estimate.recommended, *estimate.tied)
    row = estimate.summary.set_index("configuration").loc[name]
    assert "unstable" in row["flags"]
    assert not row["tied_with_best"]
    assert "cannot tell" in str(estimate.verdict)


# --- damage ----------------------------------------------------------------------------------------------------------

FILES = ("result.toml", "trial.toml", "trial.log", "*/settings.toml", "*/model.toml", "*/events.out.tfevents.*")


def _cut(path):
    os.truncate(path, path.stat().st_size // 2)


def _empty(path):
    os.truncate(path, 0)


def _flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x10
    path.write_bytes(content)


def _to_folder(path):
    path.unlink()
    path.mkdir()
    (path / "inside").touch()


def _to_broken_link(path):
    path.unlink()
    path.symlink_to("nowhere")


def _to_loop(path):
    path.unlink()
    path.symlink_to(path.name)


DAMAGES = (_cut, _empty, _flip, _to_folder, _to_broken_link, _to_loop)


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__.strip("_"))
@pytest.mark.parametrize("name", FILES)
def test_a_damaged_file_of_a_trial_is_told_and_made_good(whole, built_in, tmp_path, name, damage):
    logdir = tmp_path / "logs"
    shutil.copytree(whole, logdir)
    (path, *_) = sorted(logdir.glob(f"*/seed*/{name}"))
    damage(path)
    found = load_records(logdir)
    analyse(found)
    is_result = name == RESULT_FILE
    assert len(found.problems) == is_result
    assert len(found.trials) == 2 - is_result
    planned, summary = _resume(logdir, built_in)
    assert [str(path) in p.note for p in planned if p.note] == [True] * is_result
    assert summary.n_run == is_result
    assert summary.failures == {}
    assert compare_outcomes(whole, logdir) == []


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__.strip("_"))
def test_a_damaged_plan_is_told_by_the_analysis_and_refused_by_the_runner(whole, built_in, tmp_path, damage):
    logdir = tmp_path / "logs"
    shutil.copytree(whole, logdir)
    damage(logdir / "experiments" / "protected.toml")
    found = load_records(logdir)
    analyse(found)
    assert len(found.trials) == 2
    assert len(found.problems) == 1
    with pytest.raises(StudyError, match="move it away"):
        record_plans(logdir, [SUBJECT.parse(PROTECTED)], subject=SUBJECT, data=built_in, seeds=range(1))


@pytest.mark.parametrize("what", ["trial", "configuration", "experiments"])
def test_a_file_where_a_folder_should_be_is_told(whole, built_in, tmp_path, what):
    logdir = tmp_path / "logs"
    shutil.copytree(whole, logdir)
    pattern = {"trial": "*/seed0-*", "configuration": "*units1=8*", "experiments": "experiments"}[what]
    folder = sorted(logdir.glob(pattern))[0]
    shutil.rmtree(folder)
    folder.write_text("a file")
    analyse(load_records(logdir))
    _, summary = _resume(logdir, built_in)
    assert len(summary.results) == {"trial": 2, "configuration": 1, "experiments": 2}[what]
    assert len(summary.failures) == (what == "configuration")


def test_a_file_where_the_plans_should_be_is_told_by_the_analysis(whole, tmp_path):
    logdir = tmp_path / "logs"
    shutil.copytree(whole, logdir)
    shutil.rmtree(logdir / "experiments")
    (logdir / "experiments").write_text("a file")
    (problem,) = load_records(logdir).problems.to_dict("records")
    assert problem["path"] == str(logdir / "experiments")
    assert problem["state"] == "unreadable"


def test_results_that_cannot_be_used_are_said_aloud_and_made_again(run, tmp_path):
    arguments = ["depth", *TINY, "--logdir"]
    assert run(*arguments, "whole")[0] == 0
    shutil.copytree("whole", "hurt")
    hurt = sorted(find_results(Path("hurt")))[:2]
    _empty(hurt[0])
    _cut(hurt[1])
    code, out, err = run(*arguments, "hurt")
    assert code == 0
    assert "2 of them trained now" in out
    warnings = [line for line in err.splitlines() if line.startswith("warning: ")]
    assert [any(str(path) in line and "trained again" in line for line in warnings) for path in hurt] == [True, True]
    assert len(warnings) == 2
    assert run("--compare", "whole", "hurt")[0] == 0


def test_the_dataset_is_known_from_the_plans_where_results_are_damaged(whole, tmp_path):
    logdir = tmp_path / "logs"
    shutil.copytree(whole, logdir)
    path = next(find_results(logdir))
    _cut(path)
    os.utime(path, (4e9, 4e9))
    assert recorded_dataset(logdir) == "garments-small"


def test_a_result_in_another_trials_folder_is_never_taken_for_that_trials(tmp_path, make_trial):
    for seed in (0, 1):
        folder = trial_folder(tmp_path, make_trial(seed=seed))
        folder.mkdir(parents=True)
        write_result(folder, fake_result(make_trial(seed=seed)), fake_run())
    shutil.copy(trial_folder(tmp_path, make_trial()) / RESULT_FILE, trial_folder(tmp_path, make_trial(seed=1)))
    state, note, *_ = trial_status(tmp_path, make_trial(seed=1))
    assert state is TrialState.INTERRUPTED
    assert "record of another trial" in note
    found = load_records(tmp_path)
    assert list(found.trials["seed"]) == [0]
    assert "is a copy of" in found.problems.loc[0, "reason"]


@pytest.mark.parametrize("format", [0, 1, 3, "2"])
def test_a_whole_record_of_another_format_is_refused_and_kept(run, whole, tmp_path, monkeypatch, format):
    logdir = tmp_path / "logs"
    shutil.copytree(whole, logdir)
    (path, *_) = find_results(logdir)
    content = read_toml(path)
    write_toml(path, {**content, "format": format})
    written = path.read_bytes()
    found = load_records(logdir)
    assert len(found.trials) == 1
    assert "another format" in found.problems.loc[0, "reason"]
    (tmp_path / "own.toml").write_text(tomli_w.dumps({"experiment": [PROTECTED]}))
    code, _, err = run(
        "--study", tmp_path / "own.toml", "--dataset", "garments-small", "--seeds", "1", "--logdir", logdir
    )
    assert code == 2
    assert len(_error_lines(err)) == 1
    assert "another --logdir" in err
    assert path.read_bytes() == written


@pytest.mark.parametrize(
    "change",
    [
        lambda trial: replace(trial, training_version=2),
        lambda trial: replace(trial, data=replace(trial.data, dataset_fingerprint="2" * 12)),
        lambda trial: replace(trial, data=replace(trial.data, split_fingerprint="3" * 12)),
        lambda trial: replace(trial, seed=9),
    ],
    ids=["training_version", "dataset_fingerprint", "split_fingerprint", "seed"],
)
def test_a_trial_whose_inputs_changed_is_another_trial_and_the_old_one_stays(tmp_path, make_trial, change):
    folder = trial_folder(tmp_path, make_trial())
    folder.mkdir(parents=True)
    write_result(folder, fake_result(make_trial()), fake_run())
    assert trial_status(tmp_path, change(make_trial())).state is TrialState.MISSING
    assert trial_status(tmp_path, make_trial()).state is TrialState.COMPLETE


def test_a_changed_grid_keeps_what_it_shares_and_loses_nothing(whole, built_in, tmp_path):
    logdir = tmp_path / "logs"
    shutil.copytree(whole, logdir)
    changed = SUBJECT.parse({**PROTECTED, "grid": {"units1": [16, 32]}})
    planned = plan_trials([changed], range(1), subject=SUBJECT, data=built_in, logdir=logdir)
    assert {p.trial.configuration["units1"]: p.state for p in planned} == {
        16: TrialState.COMPLETE,
        32: TrialState.MISSING,
    }
    train = partial(run_trials, source=SOURCE, data=built_in, logdir=logdir, device="cpu")
    run_study(planned, logdir=logdir, train=train, launcher=InProcessLauncher(), progress=StudyTracker())
    assert len(load_records(logdir).trials) == 3


def _start(logdir, *arguments, script=("grid_search_experiments.py",)):
    return subprocess.Popen(
        [sys.executable, *script, "--logdir", str(logdir), *arguments],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
        preexec_fn=hear_interruptions if os.name != "nt" else None,  # noqa: PLW1509
    )  # fmt: skip


# --- bad input -------------------------------------------------------------------------------------------------------

LONG = "x" * 300
DIGITS = "9" * 5000
BAD_VALUES = {
    "--seeds": [
        "", " ", "0", "00", "-1", "--", "1.5", "five", "1e3", "0x5", "1-", "-1-3", "3-1", "1001", "999999", "1000000",
        "5,6", "5 6", "\u0661", "½", "5 ", "\n5", "+5", "1_0", "∞", "nan", "5-10-15", "990-1000", LONG, DIGITS,
    ],
    "--workers": ["", " ", "0", "-2", "1.5", "257", "1000", "many", "1e1", "²", "0x2", " 2", "2\n", "+2", DIGITS],
    "--device": ["", "tpu", "CPU", "cuda:0", "gpu", "cpu ", "\n"],
    "--dataset": ["", "mnist", "Garments", "fashion_mnist", "garments small", "../x"],
    "--validation": ["", "train", "TEST", "val", "holdout,test"],
    "--logdir": ["", "file", "file/below", "missing/../file", "\udcff", LONG, "below/" * 1000],
    "--data-dir": ["", "nowhere", "no where", "file", ".", "file/below", "nö", LONG],
    "--study": ["", "none.toml", ".", "file", "file/below", "\udcff.toml", "nö\nthing", LONG],
    "--set": [
        "", "=", "==", "train_steps", "=5", "train_steps=", "steps=3", "Train_steps=3", "train steps=5", "ünits=3",
        "train_steps=1.5", "train_steps=0", "train_steps=-1", "train_steps=nan", "train_steps=-inf",
        "train_steps=1e400", f"train_steps={DIGITS}", "train_steps=1000001", "train_steps=5=5", "train_steps=True",
        "train_steps=五", "train_steps=[5]", "train_steps=5\x1b[2J", "learning_rate=0", "learning_rate=-1",
        "learning_rate=nan", "learning_rate=inf", "learning_rate=1e13", "learning_rate=1e-13",
        "learning_rate=0,001", "learning_rate=", "optimizer=adam", "optimizer=", "optimizer=1", "optimizer=LBFGS",
        "optimizer=Adam ", "momentum=0.9",
        "momentum=1", "momentum=-0.1", "weight_decay=-1", "weight_decay=1e7", "batch_size=0", "batch_size=50001",
        "batch_size=six", "depth=0", "depth=17", "depth=1.5", "units1=0", "units1=65537", "units2=-4", "epochs=5",
        f"{LONG}={LONG}",
    ],
    "--compare": ["", "file"],
    "--mlflow": ["nonsense", " ", "C:\\x"],
    "--launcher": ["", "dask", "Ray"],
    "--gpus-per-trial": ["", "0.5", "-1", "nan"],
}  # fmt: skip
BAD_LINES = [
    *([option, value] for option, values in BAD_VALUES.items() for value in values),
    *([option] for option in BAD_VALUES if option != "--mlflow"),
    *([name] for name in ("", " ", "epoch", "EPOCHS", "épochs", "*", "../epochs", "epochs,units", "💥", "\t", LONG)),
    *([option] for option in ("-x", "--sets", "--Seeds=3", "--seed=3", "--dry", "--list=yes", "--dry-run=1", "-")),
    ["--compare", "", ""], ["--compare", "file", "file"], ["--compare", ".", "."], ["--compare", ".", ".", "."],
    ["--confirm"], ["--confirm", "--seeds", "3"], ["--confirm", "--logdir", "file"],
    ["--set", "train_steps=3", "--set", "train_steps=3"], ["--data-dir", ".", "--dataset", "garments"],
    ["--set", "batch_size=50000"], ["--set", "optimizer=Adam", "--set", "momentum=0.5"],
    ["depth", "--set", "depth=2"], ["optimizer", "--set", "optimizer=SGD"], ["--list", "nonsense"],
]  # fmt: skip


@pytest.fixture
def refused(run, tmp_path, monkeypatch):
    """Give a command line that must be refused: exit 2, one line, and nothing is written or run."""

    def never(*arguments, **kwargs):
        raise AssertionError("a bad command was run")

    monkeypatch.setattr("gridstudy.running.runner.run_study", never)
    monkeypatch.setattr(LocalLauncher, "warm_up", lambda self: None)
    (tmp_path / "file").touch()

    def refused(*arguments):
        before = sorted(tmp_path.rglob("*"))
        code, out, err = run(*arguments, *([] if "--dataset" in arguments else ["--dataset", "garments-small"]))
        assert code == 2, (out, err)
        assert len(_error_lines(err)) == 1
        assert len([line for line in err.splitlines() if not line.startswith("warning")]) == 1
        assert "\x1b[2J" not in err
        assert sorted(tmp_path.rglob("*")) == before

    return refused


@pytest.mark.parametrize("arguments", BAD_LINES, ids=lambda arguments: ascii(" ".join(arguments))[1:41])
def test_a_bad_command_line_gets_one_line_and_writes_nothing(refused, arguments):
    refused(*arguments)


def _good_table():
    return {
        "name": "mine",
        "question": "Why?",
        "hypothesis": "Wide beats narrow.",
        "scientific": ["units1"],
        "nuisance": ["learning_rate"],
        "contrasts": [{"better": {"units1": 16}, "worse": {"units1": 8}}],
        "curve_epochs": [1, 2],
        "fixed": {"train_steps": 5, "optimizer": "SGD"},
        "grid": {"units1": [8, 16], "learning_rate": [0.1, 0.2]},
    }


WRONG_VALUES = (7, -1.5, True, "text", [], {}, [[]], {"a": 1}, 10**30, float("nan"), float("-inf"), [{"a": [1]}])
PLACES = {
    ("name",): ["text"], ("question",): ["text"], ("hypothesis",): ["text"], ("scientific",): [[]], ("nuisance",): [[]],
    ("contrasts",): [[]], ("curve_epochs",): [[]], ("fixed",): [{}], ("grid",): [], ("grid", "units1"): [],
    ("grid", "units1", 0): [], ("fixed", "train_steps"): [7], ("fixed", "optimizer"): [], ("contrasts", 0): [],
    ("contrasts", 0, "better"): [], ("contrasts", 0, "better", "units1"): [], ("curve_epochs", 0): [7],
    ("scientific", 0): [], ("nuisance", 0): [],
}  # fmt: skip
"""Where a value of an experiment's table stands -> which of WRONG_VALUES are not wrong there."""


def _is(value, other):
    return type(value) is type(other) and value == other


BAD_PLACES = [
    (path, value) for path, right in PLACES.items() for value in WRONG_VALUES if not any(_is(value, r) for r in right)
]


@pytest.mark.parametrize(("path", "value"), BAD_PLACES, ids=lambda part: str(part)[:40])
def test_a_wrong_type_anywhere_in_an_experiment_gets_one_line(refused, tmp_path, path, value):
    table = _good_table()
    place = table
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    (tmp_path / "own.toml").write_text(tomli_w.dumps({"experiment": [table]}))
    refused("--study", "own.toml")


def _file_of(**changes):
    return tomli_w.dumps({"experiment": [{**_good_table(), **changes}]})


BAD_FILES = {
    "empty": "", "blank": " \n\t", "no table": "x = 1", "no experiment": "[[experiments]]\nname = 'x'",
    "half a heading": "[[experiment]", "no content": "[[experiment]]", "not UTF-8": b"\xff\xfe[[experiment]]",
    "zeros": b"\x00" * 4096, "a picture": b"\x89PNG\r\n\x1a\n\x00", "more beside it": _file_of() + "\n[extra]\na = 1\n",
    "brackets": "a = " + "[" * 3000, "a number of 5,000 digits": f"a = {DIGITS}", "a key twice": "a = 1\na = 2",
    "a name twice": _file_of() + _file_of(), "a name twice but for case": _file_of() + _file_of(name="MINE"),
    "a built-in name": _file_of(name="epochs"), "a built-in name but for case": _file_of(name="Epochs"),
    "a group's name": _file_of(name="all"), "a billion configurations": _file_of(
        grid={name: [SUBJECT.search_space[name].low] * 100 for name in HYPERPARAMETERS[:5]}
    ), "both grids": _file_of(configurations=[{"units1": 8}]),
    "an unknown key": _file_of(seed=3), "an unknown hyperparameter": _file_of(fixed={"dropout": 0.5}),
    "momentum without SGD": _file_of(fixed={"optimizer": "Adam", "momentum": 0.9}),
    "both roles": _file_of(nuisance=["units1"]), "a contrast with itself": _file_of(
        contrasts=[{"better": {"units1": 8}, "worse": {"units1": 8}}]
    ), **{f"the name {name!r}": _file_of(name=name) for name in (
        "", " ", "1st", "-x", "a b", "a/b", "..", "../up", "a\\b", "é", "a.", "a\nb", "💥", "x" * 61, "C:", "a*", "<x>",
        "CON", "nul", "Aux", "prn", "COM1", "lpt9",
    )},
}  # fmt: skip


@pytest.mark.parametrize("fault", BAD_FILES, ids=ascii)
def test_a_bad_experiment_file_gets_one_line(refused, tmp_path, fault):
    content = BAD_FILES[fault]
    (tmp_path / "own.toml").write_bytes(content if isinstance(content, bytes) else content.encode())
    refused("--study", "own.toml")


def test_the_table_of_bad_input_is_long():
    assert len(BAD_LINES) + len(BAD_PLACES) + len(BAD_FILES) >= 400


GENERATED = settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
WORDS = st.one_of(
    TEXTS,
    st.sampled_from(sorted(o for action in build_parser()._actions for o in action.option_strings)),
    st.sampled_from(["epochs", "quick", "5", "file", ".", "train_steps=5", "learning_rate=1e999"]),
    st.builds("{}={}".format, st.sampled_from(HYPERPARAMETERS), st.one_of(st.integers(), st.floats(), TEXTS)),
)


@GENERATED
@given(arguments=st.lists(WORDS, max_size=6))
def test_no_command_line_ever_ends_in_a_traceback(run, tmp_path, monkeypatch, arguments):
    monkeypatch.setattr("gridstudy.cli.run._train", lambda *_: 0)
    code, _, err = run(*arguments)
    assert code in (0, 2)
    assert len(_error_lines(err)) == (code == 2)
    assert list(tmp_path.iterdir()) == []


VALUES = st.recursive(
    st.one_of(st.integers(-(2**63), 2**63 - 1), st.floats(), st.booleans(), TEXTS, st.sampled_from(HYPERPARAMETERS)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.one_of(TEXTS, st.sampled_from(HYPERPARAMETERS)), inner)
    ),
    max_leaves=6,
)


@GENERATED
@given(key=st.sampled_from(sorted([*_good_table(), "configurations"])), value=VALUES, drop=st.booleans())
def test_no_experiment_file_ever_ends_in_a_traceback(run, tmp_path, key, value, drop):
    table = {**_good_table(), key: value}
    if key == "configurations" and drop:
        table.pop("grid")
    (tmp_path / "own.toml").write_bytes(tomli_w.dumps({"experiment": [table]}).encode())
    code, _, err = run("--study", "own.toml", "--list")
    assert code in (0, 2)
    assert len(_error_lines(err)) == (code == 2)


# --- names -----------------------------------------------------------------------------------------------------------

ODD_NAMES = ("n" * 100 + "/" + "n" * 100, "with spaces", "größe ✓ 試", "[a]*{b} 'q' $HOME & %s;#", "-dash", "a=b,c.")


@pytest.mark.parametrize("name", ODD_NAMES, ids=lambda name: ascii(name)[:20])
def test_logs_go_into_folders_of_any_name(run, tmp_path, name):
    (tmp_path / "own.toml").write_text(tomli_w.dumps({"experiment": [PROTECTED]}))
    arguments = ["--study", "own.toml", "--dataset", "garments-small", "--seeds", "1", f"--logdir={name}"]
    code, out, err = run(*arguments)
    assert code == 0, err
    assert name in out
    found = load_records(Path(name))
    assert len(found.trials) == 2
    assert found.problems.empty
    assert "0 of them trained now" in run(*arguments)[1]


def test_the_longest_names_fit_into_a_file_system(tmp_path):
    worst = {
        axis.name: axis.high - 1 / 3 if isinstance(axis.default, float) else int(axis.high)
        for axis in SUBJECT.search_space.hyperparameters
        if not isinstance(axis.default, str)
    }
    worst |= {"momentum": 0.123456789123, "optimizer": "SGD"}
    varied = worst.pop("depth")
    table = {"name": "x" * 60, "grid": {"depth": [2, varied]}}
    experiment = SUBJECT.parse(table, overrides=worst)
    record_plans(tmp_path, [experiment], subject=SUBJECT, data=DATA, seeds=range(1))
    assert len(f"{experiment.name}.toml.{2**22}.tmp".encode()) <= 255


@pytest.mark.parametrize("stream", ["ascii", "cp1252"])
def test_letters_that_the_terminal_lacks_end_no_study(tmp_path, stream):
    (tmp_path / "own.toml").write_bytes(_file_of(question="Größe ✓ 試?").encode())
    command = [sys.executable, str(ROOT / "grid_search_experiments.py"), "--study", "own.toml", "--list"]
    environment = {**os.environ, "PYTHONIOENCODING": stream}
    listed = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, check=False)
    assert listed.returncode == 0, listed.stderr
    assert b"question" in listed.stdout


def _without_a_reader(script, *arguments):
    """Exit code and stderr of a script whose output nobody reads."""
    command = [sys.executable, str(ROOT / script), *map(str, arguments)]
    speaking = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    speaking.stdout.close()
    with speaking.stderr:
        err = speaking.stderr.read()
    return speaking.wait(), err


@pytest.mark.skipif(os.name == "nt", reason="Windows breaks pipes in another way")
@pytest.mark.parametrize("what", ["--list", "--compare"])
def test_a_reader_that_has_had_enough_gets_no_traceback(whole, what):
    logdirs = [whole, whole] if what == "--compare" else []
    assert _without_a_reader("grid_search_experiments.py", what, *logdirs) == (1, "")


@pytest.mark.skipif(os.name == "nt", reason="Windows breaks pipes in another way")
def test_an_analysis_that_nobody_reads_writes_its_files_all_the_same(whole, tmp_path):
    code, err = _without_a_reader("analyze_results.py", "--logdir", whole, "--output", tmp_path)
    assert (code, err) == (0, f"reading {whole} ...\n")
    assert (tmp_path / "report.html").stat().st_size > 0


@pytest.mark.skipif(os.name == "nt", reason="Windows hands streams down in another way")
@pytest.mark.parametrize("stream", [1, 2])
def test_a_stream_that_is_closed_ends_nothing(tmp_path, stream):
    command = [sys.executable, str(ROOT / "grid_search_experiments.py"), "epochs", *TINY, "--logdir", str(tmp_path)]
    closed = subprocess.run(
        command, preexec_fn=partial(os.close, stream), capture_output=True, text=True, check=False
    )  # fmt: skip
    assert (closed.returncode, _error_lines(closed.stderr)) == (0, [])
    assert len(list(find_results(tmp_path))) == 6


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


def _group_exists(pid):
    try:
        os.killpg(pid, 0)
    except ProcessLookupError:
        return False
    return True


def _has_begun(logdir):
    return any(logdir.glob("*/seed*/trial.log"))


LONG_TRIALS = ["depth", "--dataset", "garments-small", "--set", "train_steps=200000", "--seeds", "2", "--workers", "2"]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no process groups of this kind")
def test_a_second_ctrl_c_stops_at_once_and_leaves_no_process(tmp_path):
    study = _start(tmp_path / "logs", *LONG_TRIALS)
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
    wait_until(lambda: not _group_exists(study.pid), timeout_s=5)


ENTRY_SCRIPT = """
import signal, sys
from benchmarks.chaos import hear_interruptions
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
    study = _start(tmp_path / "logs", *LONG_TRIALS, script=("-c", ENTRY_SCRIPT))
    assert study.stdout.readline() == "here\n"
    time.sleep(delay_s)
    for _ in range(n_signals):
        with suppress(ProcessLookupError):
            os.killpg(study.pid, signal.SIGINT)
        time.sleep(0.01)
    out, _ = study.communicate(timeout=60)
    assert study.returncode == 130
    assert "Traceback" not in out
    wait_until(lambda: not _group_exists(study.pid), timeout_s=20)


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


# --- security --------------------------------------------------------------------------------------------------------

FORBIDDEN = {
    "TLS switched off": r"verify\s*=\s*False|_create_unverified_context|CERT_NONE|check_hostname\s*=\s*False",
    "a download that is not checked": r"curl[^\n]* (-k|--insecure)\b|--trusted-host|--no-check-certificate",
    "a shell": r"shell\s*=\s*True|os\.system\(|os\.popen\(|Invoke-Expression|\biex\b",
    "code that is data": r"(?<![.\w])(eval|exec)\(|\bpickle\.loads?\(|allow_pickle\s*=\s*True|yaml\.load\(",
    "TensorBoard open to the network": r"--bind_all|--host[ =]+['\"]?0\.0\.0\.0",
    "a template that escapes nothing": r"autoescape\s*=\s*False|\bMarkup\(",
}


def _sources():
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.splitlines()  # fmt: skip
    kinds = {".py", ".ps1", ".ipynb", ".md", ".toml", ".txt", ".yml", ".yaml", ".sh", ""}
    return [ROOT / name for name in listed if Path(name).suffix in kinds and not name.startswith("tests/")]


@pytest.mark.parametrize("what", FORBIDDEN)
def test_the_sources_hold_nothing_of(what):
    if not (ROOT / ".git").exists() or not shutil.which("git"):
        pytest.skip("git lists the sources")
    found = [
        f"{path.name}: {match[0]}"
        for path in _sources()
        if path.is_file()
        for match in re.finditer(FORBIDDEN[what], path.read_text(encoding="utf-8", errors="replace"))
    ]
    assert found == []


def test_tensors_are_loaded_as_tensors_only():
    import ast

    calls = [
        node
        for path in [*ROOT.glob("*.py"), *ROOT.glob("gridstudy/**/*.py"), *ROOT.glob("benchmarks/*.py")]
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "torch.load"
    ]
    for call in calls:
        assert {k.arg: ast.unparse(k.value) for k in call.keywords}.get("weights_only") == "True"
