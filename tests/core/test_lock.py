from __future__ import annotations

import errno
import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from gridstudy.core.errors import StudyError
from gridstudy.core.lock import HOLDER_FILE, LOCK_FILE, LockTimes, hold
from gridstudy.running.lock import lock_logdir
from tests.conftest import wait_until

fcntl = pytest.importorskip("fcntl", reason="Windows has other locks")

FAST = LockTimes(renewal_s=0.05, dead_after_s=0.6, poll_s=0.02, report_after_s=0.1)
LINUX = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="identifies processes by /proc")
HOLD = """
import sys, time
from pathlib import Path
from gridstudy.core.lock import LockTimes, hold
with hold(Path(sys.argv[1]), warn=print, times=LockTimes(renewal_s=0.05)):
    print("held", flush=True)
    time.sleep(60)
"""
no_warning = partial(pytest.fail, "nothing was to be reported")


@pytest.fixture
def no_flock(monkeypatch):
    """A file system whose locks end at the host: every process gets the lock."""
    monkeypatch.setattr(fcntl, "flock", lambda descriptor, operation: None)


def foreign_holder(folder, *, renewals=0, token="f" * 16):
    """The file of a holder on another host; returns its content."""
    folder.mkdir(exist_ok=True)
    values = {"process": 7, "host": "elsewhere", "machine": "another", "started": "1", "token": token}
    content = f"process 7 on elsewhere\n{json.dumps({**values, 'renewals': f'{renewals:012d}'})}\n"
    (folder / HOLDER_FILE).write_text(content)
    return content


@pytest.fixture
def living_holder(tmp_path):
    """A holder on another host that renews its file."""
    ended = threading.Event()

    def renew():
        n = 0
        while not ended.wait(0.05):
            foreign_holder(tmp_path, renewals=(n := n + 1))

    foreign_holder(tmp_path)
    thread = threading.Thread(target=renew)
    thread.start()
    yield tmp_path
    ended.set()
    thread.join()


def test_the_lock_of_a_folder_that_lies_as_it_was_taken_passes_its_check(tmp_path):
    with hold(tmp_path / "new", warn=no_warning, times=FAST) as lock:
        lock.check()
        pickle.loads(pickle.dumps(lock)).check()
        assert (tmp_path / "new" / HOLDER_FILE).read_text().startswith(f"process {os.getpid()} on ")
    assert not (tmp_path / "new" / HOLDER_FILE).exists()


def test_a_lock_file_that_was_removed_or_replaced_fails_the_check(tmp_path):
    with hold(tmp_path, warn=no_warning, times=FAST) as lock:
        (tmp_path / LOCK_FILE).unlink()
        with pytest.raises(StudyError, match=r"\.lock was removed or replaced while this process held it"):
            lock.check()
        (tmp_path / LOCK_FILE).touch()
        with pytest.raises(StudyError, match="another process may write there"):
            lock.check()


def test_a_folder_that_was_deleted_fails_the_check_and_is_not_made_again(tmp_path):
    folder = tmp_path / "logs"
    with hold(folder, warn=no_warning, times=FAST) as lock:
        shutil.rmtree(folder)
        time.sleep(3 * FAST.renewal_s)
        with pytest.raises(StudyError, match="was deleted while it was in use"):
            lock.check()
    assert not folder.exists()


def test_a_holder_whose_lock_file_is_removed_still_keeps_others_away(tmp_path):
    with hold(tmp_path, warn=no_warning, times=FAST):
        (tmp_path / LOCK_FILE).unlink()
        with pytest.raises(StudyError, match="is in use by process"), hold(tmp_path, warn=no_warning, times=FAST):
            pass


def test_a_removed_holder_file_fails_the_check(tmp_path):
    with hold(tmp_path, warn=no_warning, times=FAST) as lock:
        (tmp_path / HOLDER_FILE).unlink()
        with pytest.raises(StudyError, match="holder was removed"):
            lock.check()


def test_a_second_runner_is_turned_away_and_told_who_is_there(tmp_path):
    with lock_logdir(tmp_path, warn=no_warning):
        second = subprocess.run([sys.executable, "-c", HOLD, tmp_path], capture_output=True, text=True, check=False)
        assert f"is in use by process {os.getpid()} on " in second.stderr


def test_two_runners_in_one_process_are_kept_apart_too(tmp_path):
    with (
        lock_logdir(tmp_path, warn=no_warning),
        pytest.raises(StudyError, match=r"only one process may write to .*another --logdir"),
        lock_logdir(tmp_path, warn=no_warning),
    ):
        pass


def test_the_lock_of_a_killed_process_of_this_system_is_void_at_once(tmp_path):
    holder = subprocess.Popen([sys.executable, "-c", HOLD, tmp_path], stdout=subprocess.PIPE)
    assert holder.stdout.readline() == b"held\n"
    holder.kill()
    holder.communicate()
    assert (tmp_path / HOLDER_FILE).exists()
    with hold(tmp_path, warn=no_warning) as lock:
        lock.check()


@LINUX
def test_a_living_process_of_this_system_is_respected_although_its_lock_does_not_reach_us(tmp_path, no_flock):
    holder = subprocess.Popen([sys.executable, "-c", HOLD, tmp_path], stdout=subprocess.PIPE)
    try:
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(StudyError, match=f"process {holder.pid} on "), hold(tmp_path, warn=no_warning):
            pass
    finally:
        holder.kill()
        holder.communicate()


@LINUX
def test_a_process_of_this_system_that_is_stopped_is_respected_although_it_shows_no_life(tmp_path, no_flock):
    holder = subprocess.Popen([sys.executable, "-c", HOLD, tmp_path], stdout=subprocess.PIPE)
    try:
        assert holder.stdout.readline() == b"held\n"
        holder.send_signal(signal.SIGSTOP)
        with pytest.raises(StudyError, match=f"process {holder.pid} on "), hold(tmp_path, warn=no_warning, times=FAST):
            pass
    finally:
        holder.kill()
        holder.communicate()


def test_a_living_holder_on_another_host_is_respected(living_holder):
    with (
        pytest.raises(StudyError, match="in use by process 7 on elsewhere"),
        hold(living_holder, warn=print, times=FAST),
    ):
        pass
    assert "elsewhere" in (living_holder / HOLDER_FILE).read_text()


def test_a_holder_elsewhere_that_shows_no_life_is_replaced_and_the_wait_and_the_takeover_are_reported(tmp_path):
    foreign_holder(tmp_path)
    os.utime(tmp_path / HOLDER_FILE, (4e9, 4e9))  # its host's clock is of no account
    messages = []
    clock = time.monotonic()
    with hold(tmp_path, warn=messages.append, times=FAST) as lock:
        assert time.monotonic() - clock >= FAST.dead_after_s
        lock.check()
    assert messages == [
        f"{tmp_path} was left locked by process 7 on elsewhere; waiting up to 0.6 s for a sign that it lives",
        f"took over {tmp_path} from process 7 on elsewhere, which has shown no life for 0.6 s",
    ]


def test_who_was_taken_over_notices_and_does_not_take_the_file_back(tmp_path):
    with hold(tmp_path, warn=no_warning, times=FAST) as lock:
        content = foreign_holder(tmp_path)
        time.sleep(3 * FAST.renewal_s)
        with pytest.raises(StudyError, match="taken over by process 7 on elsewhere"):
            lock.check()
    assert (tmp_path / HOLDER_FILE).read_text() == content


def test_a_holder_renews_its_file(tmp_path):
    with hold(tmp_path, warn=no_warning, times=FAST) as lock:
        before = (tmp_path / HOLDER_FILE).read_bytes()
        wait_until(lambda: (tmp_path / HOLDER_FILE).read_bytes() != before, timeout_s=5)
        lock.check()


@pytest.mark.parametrize("code", ["ENOLCK", "EOPNOTSUPP", "ENOSYS", "ENOTSUP"])
def test_without_file_locks_the_holder_file_does_and_one_line_names_the_folder(tmp_path, monkeypatch, code):
    def refuse(descriptor, operation):
        raise OSError(getattr(errno, code), "no locks here")

    monkeypatch.setattr(fcntl, "flock", refuse)
    messages = []
    with ExitStack() as stack:
        lock = stack.enter_context(hold(tmp_path, warn=messages.append, times=FAST))
        lock.check()
        assert len(messages) == 1
        assert f"the file system of {tmp_path} has no file locks" in messages[0]
        with pytest.raises(StudyError, match="is in use by process"), hold(tmp_path, warn=print, times=FAST):
            pass
    with hold(tmp_path, warn=messages.append, times=FAST):
        pass


def test_any_other_answer_of_the_file_lock_is_raised(tmp_path, monkeypatch):
    def fail(descriptor, operation):
        raise OSError(errno.EIO, "broken disk")

    monkeypatch.setattr(fcntl, "flock", fail)
    with pytest.raises(OSError, match="broken disk"), hold(tmp_path, warn=no_warning, times=FAST):
        pass


def test_of_many_that_take_over_a_dead_holder_at_once_one_wins(tmp_path, no_flock):
    foreign_holder(tmp_path)
    outcomes = []

    def take():
        try:
            with hold(tmp_path, warn=lambda message: None, times=FAST) as lock:
                time.sleep(1)
                lock.check()
                outcomes.append("held")
        except StudyError:
            outcomes.append("refused")

    threads = [threading.Thread(target=take) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["held"] + ["refused"] * 3


def test_of_two_that_find_a_holder_dead_at_the_same_moment_one_is_let_in(tmp_path, no_flock):
    foreign_holder(tmp_path)
    both, entered = threading.Barrier(2), []

    def meet(message):
        if message.startswith("took over") and both.wait(timeout=10) == 0:
            time.sleep(0.2)

    def take():
        with suppress(StudyError), hold(tmp_path, warn=meet, times=replace(FAST, poll_s=0.6)):
            entered.append(threading.get_ident())
            time.sleep(1)

    threads = [threading.Thread(target=take) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(entered) == 1


def test_with_patience_a_holder_is_waited_for_and_reported(tmp_path):
    messages = []
    with ExitStack() as stack:
        stack.enter_context(hold(tmp_path, warn=no_warning, times=FAST))

        def second():
            with hold(tmp_path, warn=messages.append, patience_s=10, times=FAST):
                messages.append("held")

        thread = threading.Thread(target=second)
        thread.start()
        wait_until(lambda: messages, timeout_s=5)
    thread.join()
    assert messages == [f"waiting for process {os.getpid()} on {os.uname().nodename}, which holds {tmp_path}", "held"]


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo], ids=["folder", "pipe"])
def test_a_holder_file_that_is_no_file_is_named(tmp_path, make):
    make(tmp_path / HOLDER_FILE)
    with pytest.raises(StudyError, match="must be a regular file; remove"), hold(tmp_path, warn=no_warning):
        pass


@pytest.mark.parametrize(
    "content", [b"", b"process 1 on another-host", b"\xff\n{", b"x\n[1]\n", b'x\n{"process": 1}\n']
)
def test_a_holder_file_that_says_nothing_is_watched_and_replaced(tmp_path, content):
    (tmp_path / HOLDER_FILE).write_bytes(content)
    with hold(tmp_path, warn=lambda message: None, times=FAST) as lock:
        lock.check()


def test_lock_files_get_the_rights_that_the_umask_leaves(tmp_path):
    before = os.umask(0o002)
    try:
        with hold(tmp_path, warn=no_warning, times=FAST):
            modes = {name: (tmp_path / name).stat().st_mode & 0o777 for name in (LOCK_FILE, HOLDER_FILE)}
    finally:
        os.umask(before)
    assert modes == {LOCK_FILE: 0o664, HOLDER_FILE: 0o664}
