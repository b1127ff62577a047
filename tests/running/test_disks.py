"""Disks that are full or read-only, folders that may not be used, power that fails: really made so."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest

import analyze_results
from gridstudy.core.errors import StudyError
from gridstudy.records.attempts import place_attempt, start_attempt
from gridstudy.records.comparison import compare_outcomes
from gridstudy.records.tables import find_results, load_records
from gridstudy.records.trials import ERROR_FILE, RESULT_FILE, trial_folder, write_result
from gridstudy.running.launchers import InProcessLauncher
from gridstudy.running.planning import recorded_dataset
from gridstudy.running.progress import StudyTracker
from gridstudy.running.runner import run_study
from gridstudy.statistics.estimates import analyse
from tests.conftest import fake_result, fake_run
from tests.studies import LINUX, NOBODY, TINY, error_lines, plan_protected, resume, unprivileged

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
    assert len(error_lines(err)) == 1
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
    assert len(error_lines(err)) == 1
    assert "Read-only" in err


@LINUX
def test_an_analysis_on_a_full_disk_gets_one_line(whole, mount, tmp_path, capsys):
    disk = mount(tmp_path / "disk", "-t", "tmpfs", "-o", "size=16k", "none")
    assert analyze_results.main(["--logdir", str(whole), "--output", str(disk)]) == 2
    (line,) = error_lines(capsys.readouterr().err)
    assert f"cannot write {disk}" in line
    assert "No space left" in line


def test_a_disk_that_fills_up_during_a_trial_stops_the_study_with_what_to_do(whole, built_in, tmp_path):
    def full_disk(trials, *, attempt):
        raise OSError(errno.ENOSPC, "No space left on device")

    planned = plan_protected(tmp_path, built_in)
    with pytest.raises(StudyError, match="make room and rerun the same command to resume"):
        run_study(planned, logdir=tmp_path, train=full_disk, launcher=InProcessLauncher(), progress=StudyTracker())
    _, summary = resume(tmp_path, built_in)
    assert summary.n_run == 2
    assert compare_outcomes(whole, tmp_path) == []


def test_a_log_directory_that_may_not_be_written_gets_one_line(run, open_folder, monkeypatch):
    monkeypatch.setenv("GRIDSTUDY_CACHE", str(open_folder / "cache"))
    assert run("depth", *TINY, "--logdir", "elsewhere")[0] == 0  # draws the data, imports what nobody else may read
    subprocess.run(["chmod", "-R", "a+rX,a-w", open_folder], check=True)
    with unprivileged():
        code, _, err = run("depth", *TINY, "--logdir", open_folder / "logs")
        assert code == 2
        (line,) = error_lines(err)
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
    with unprivileged():
        sorted(logdir.glob(pattern))[0].chmod(mode)
        found = load_records(logdir)
        (reason,) = found.problems["reason"]
        assert "Permission denied" in reason
        analyse(found)
        assert recorded_dataset(logdir) == "garments-small"
        _, summary = resume(logdir, built_in)
        assert len(summary.results) + len(summary.failures) == 2


def test_an_error_that_may_not_be_read_is_told(whole, open_folder):
    logdir = _copy_for_anybody(whole, open_folder)
    with unprivileged():
        path = next(find_results(logdir))
        path.unlink()
        path.with_name(ERROR_FILE).touch(mode=0o000)
        (reason,) = load_records(logdir).problems["reason"]
        assert reason == "cannot be read (Permission denied)"


# --- power -----------------------------------------------------------------------------------------------------------


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
    own = start_attempt(folder, attempt=1)
    write_result(own, fake_result(make_trial()), fake_run())
    place_attempt(own, folder)
    content, renamed, inside, placed, *after = steps
    assert renamed == placed == "renamed"
    if content is not None:
        assert content.name.startswith(f"{RESULT_FILE}.")
        assert inside == own
        assert after == [folder.parent, tmp_path]
