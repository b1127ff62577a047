"""Work shared with forks: the same results in the same order, whatever becomes of a fork."""

import multiprocessing
import os
import signal
import sys
import threading
import time

import pytest

from gridstudy.core.forks import can_fork, done_ahead, map_forked

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="forks are made on Linux only")


@pytest.fixture(autouse=True)
def no_fork_left():
    yield
    assert not multiprocessing.active_children()


@pytest.fixture
def alone(monkeypatch):
    """No other thread, whatever the tests before have left."""
    monkeypatch.setattr(threading, "active_count", lambda: 1)


@pytest.mark.parametrize("n_processes", [1, 2, 3, 50])
@pytest.mark.parametrize("n_items", [0, 1, 7, 1000])
def test_results_are_those_of_one_process_in_their_order(alone, n_items, n_processes):
    assert map_forked(lambda x: x * x, range(n_items), n_processes=n_processes) == [x * x for x in range(n_items)]


@linux_only
def test_forks_take_part(alone):
    def slow(_):
        time.sleep(0.02)
        return os.getpid()

    assert len(set(map_forked(slow, range(20), n_processes=3))) == 3


@linux_only
def test_what_a_fork_fails_at_is_done_here(alone):
    here = os.getpid()

    def fail_in_fork(number):
        time.sleep(0.01)
        if os.getpid() != here:
            raise RuntimeError("no luck")
        return number

    assert map_forked(fail_in_fork, range(5), n_processes=3) == list(range(5))


@linux_only
def test_what_a_killed_fork_took_is_done_here(alone):
    here = os.getpid()

    def die_in_fork(number):
        time.sleep(0.01)
        if os.getpid() != here:
            os.kill(os.getpid(), signal.SIGKILL)
        return number

    assert map_forked(die_in_fork, range(5), n_processes=2) == list(range(5))


def test_an_error_is_raised_as_without_forks(alone):
    def fail(number):
        raise ValueError(f"item {number}")

    with pytest.raises(ValueError, match="item"):
        map_forked(fail, range(5), n_processes=2)


@linux_only
def test_an_interruption_leaves_no_fork_behind(alone):
    here = os.getpid()

    def interrupt(_):
        if os.getpid() == here:
            raise KeyboardInterrupt
        time.sleep(60)

    began_s = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        map_forked(interrupt, range(5), n_processes=2)
    assert time.monotonic() - began_s < 30


def test_beside_other_threads_nothing_is_forked():
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait)
    thread.start()
    try:
        assert not can_fork()
        assert set(map_forked(lambda _: os.getpid(), range(5), n_processes=2)) == {os.getpid()}
    finally:
        stop.set()
        thread.join()


# --- ahead ---------------------------------------------------------------------------------------------------------


@linux_only
def test_what_is_done_ahead_is_prepared_and_done_by_a_fork(alone):
    prepared = []
    with done_ahead(lambda: prepared.append(1), lambda x: (x, len(prepared), os.getpid())) as begin:
        item, n_prepared, pid = begin("figures")()
    assert (item, n_prepared, prepared) == ("figures", 1, [])
    assert pid != os.getpid()


@pytest.mark.parametrize("fault", ["preparing", "doing", "killed"])
def test_what_a_fork_fails_at_ahead_is_done_here(alone, fault):
    here = os.getpid()

    def fail(at):
        if fault == at and os.getpid() != here:
            raise RuntimeError("no luck")
        if fault == "killed" and os.getpid() != here:
            os.kill(os.getpid(), signal.SIGKILL)
        return os.getpid()

    with done_ahead(lambda: fail("preparing"), lambda _: fail("doing")) as begin:
        assert begin("figures")() == here


@linux_only
def test_a_fork_that_is_not_needed_any_more_ends(alone):
    with pytest.raises(KeyboardInterrupt), done_ahead(lambda: time.sleep(60), lambda _: None):
        raise KeyboardInterrupt


def test_an_error_ahead_is_raised_here(alone):
    def fail(number):
        raise ValueError(f"item {number}")

    with done_ahead(lambda: None, fail) as begin, pytest.raises(ValueError, match="item 3"):
        begin(3)()


def test_what_is_done_ahead_may_fork_again(alone):
    def share(n):
        return map_forked(lambda x: x * x, range(n), n_processes=2)

    with done_ahead(lambda: None, share) as begin:
        assert begin(4)() == [0, 1, 4, 9]
