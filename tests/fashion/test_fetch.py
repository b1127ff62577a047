"""The words for a download that failed; `test_sources` has the downloads themselves."""

import errno
import socket
import subprocess
import sys

import pytest
from mads_datasets import DatasetFactoryProvider, DatasetType
from mads_datasets.settings import fashionmnistsettings
from requests import exceptions

from gridstudy.fashion import fetch


def test_a_disk_that_is_full_is_not_a_fault_of_the_network():
    error = OSError(errno.ENOSPC, "No space left on device")
    assert fetch.is_local(error)
    assert fetch.explain(error, host="here") == "No space left on device"


@pytest.mark.parametrize(
    "error", [exceptions.ConnectionError("a"), exceptions.SSLError("b"), ValueError("c"), OSError("no CA certificate")]
)
def test_a_fault_of_the_network_is_not_one_of_the_disk(error):
    assert not fetch.is_local(error)
    assert "here" in fetch.explain(error, host="here")


def test_any_other_fault_is_told_in_its_own_words_on_one_line():
    assert fetch.explain(ValueError("two\n lines"), host="here") == "here: two lines"


def test_a_download_that_nobody_waits_for_ends_by_itself(tmp_path, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}/"
        monkeypatch.setattr(fashionmnistsettings, "dataset_url", url)
        factory = DatasetFactoryProvider.create_factory(DatasetType.FASHION, datadir=tmp_path / "cache")
        (tmp_path / "settings.json").write_text(factory.settings.model_dump_json(warnings=False))
        command = [sys.executable, "-P", fetch.__file__, "settings.json", "3"]
        assert subprocess.run(command, cwd=tmp_path, timeout=60, check=False).returncode == fetch.FAILED
