"""The words for a download that failed; `test_sources` has the downloads themselves."""

import errno

import pytest
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
