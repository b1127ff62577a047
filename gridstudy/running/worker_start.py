"""How worker processes begin: with the runner's modules, deaf to Ctrl-C, and with sockets in a short folder."""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from multiprocessing import resource_tracker
from pathlib import Path
from types import TracebackType

from gridstudy.core.errors import StudyError

PRELOADER = "gridstudy.running.preloader"
START_VARIABLE = "GRIDSTUDY_WORKER_START"
"""Environment variable: what the fork server preloads, and the environment that its workers get back."""

MOST_LETTERS = 60
"""A longer temporary folder, with what multiprocessing adds to it, is too long for the name of a socket."""

SHORT_FOLDERS = ("/tmp", "/var/tmp", "/dev/shm")  # noqa: S108 - a folder of our own is made inside


@contextmanager
def safe_start(preload: Iterable[str]) -> Iterator[None]:
    """Let the Python processes that start inside find modules where this process does, and never see Ctrl-C."""
    with ExitStack() as stack:
        stack.enter_context(_module_search(preload))
        stack.enter_context(_short_sockets())
        stack.enter_context(_interruptions_held())
        yield


@contextmanager
def _module_search(preload: Iterable[str]) -> Iterator[None]:
    """Start Python processes with this process's search path and without the current folder.

    multiprocessing starts them as `python -c`, which looks into the current folder before the standard library.
    """
    if sys.flags.ignore_environment and not sys.flags.safe_path:
        raise StudyError("worker processes need python's -P or -I beside -E, to keep the current folder's modules out")
    ours = {"PYTHONSAFEPATH": "1", "PYTHONPATH": os.pathsep.join(_search_path())}
    before = {name: os.environ.get(name) for name in ours}
    ours[START_VARIABLE] = json.dumps({"preload": list(preload), "environment": before})
    os.environ.update(ours)
    try:
        yield
    finally:
        _set_environment({**before, START_VARIABLE: None})


def _search_path() -> list[str]:
    """Where this process looks for modules, absolute; workers also get what PYTHONPATH cannot hold, a little later."""
    return [os.path.abspath(path) for path in sys.path if os.pathsep not in path]  # noqa: PTH100 - `` is the current


def report_in_one_line(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Report in one line what ends the fork server, or a worker before its first job.

    A lack of memory, files or processes (multiprocessing asserts that all files arrive) is left to the runner, which
    meets it too.
    """
    if not issubclass(kind, EOFError | OSError | MemoryError | AssertionError):
        print(f"error: a worker process could not start: {kind.__name__}: {error}", file=sys.stderr)


def restore_environment() -> None:
    """Give a worker the environment that the runner has."""
    start = os.environ.get(START_VARIABLE)
    if start is not None:
        _set_environment({**json.loads(start)["environment"], START_VARIABLE: None})


def _set_environment(values: Mapping[str, str | None]) -> None:
    for name, value in values.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


@contextmanager
def _short_sockets() -> Iterator[None]:
    """Let multiprocessing make its folder for sockets where their names, which must be short, fit."""
    if os.name == "nt" or len(os.fsencode(tempfile.gettempdir())) <= MOST_LETTERS:
        yield
        return
    usable = [folder for folder in SHORT_FOLDERS if Path(folder).is_dir() and os.access(folder, os.W_OK | os.X_OK)]
    if not usable:
        raise StudyError(
            f"the temporary folder may have at most {MOST_LETTERS} letters; set TMPDIR to a shorter one than "
            f"{tempfile.gettempdir()}"
        )
    before, tempfile.tempdir = tempfile.tempdir, usable[0]
    try:
        yield
    finally:
        tempfile.tempdir = before


@contextmanager
def _interruptions_held() -> Iterator[None]:
    """Let Ctrl-C wait, and let processes that are started inside never see it, not even while they import."""
    if sys.platform == "win32":  # has no masks of signals
        yield
        return
    resource_tracker.ensure_running()  # when it starts, it lets interruptions through again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def loaded_modules() -> dict[str, str]:
    """The file of each top-level module that this process has imported."""
    files = {name: getattr(module, "__file__", None) for name, module in list(sys.modules.items()) if "." not in name}
    return {name: file for name, file in files.items() if file and name not in ("__main__", "__mp_main__")}


def compare_modules(expected: Mapping[str, str]) -> str | None:
    """One line where this worker has imported another file than the runner under some name, else None."""
    for name, file in loaded_modules().items():
        if name in expected and os.path.realpath(file) != os.path.realpath(expected[name]):
            return (
                f"workers must run the program's own modules; {name} is {expected[name]} in the program and {file} in "
                "a worker; remove one of the two, or run from another folder"
            )
    return None
