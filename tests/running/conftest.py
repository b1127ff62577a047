"""Real studies, complete or to be broken, and places that can be spoiled."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from gridstudy.core.subject import Data
from gridstudy.core.trial import DataIdentity
from gridstudy.fashion.subject import SUBJECT
from gridstudy.running.planning import record_plans
from tests.studies import PROTECTED, resume, unprivileged


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
    resume(logdir, built_in)
    return logdir


@pytest.fixture
def open_folder():
    """A folder of the user that `_unprivileged` is; pytest's own are closed to others."""
    if os.name == "nt":
        pytest.skip("Windows has other permissions")
    with unprivileged():
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
