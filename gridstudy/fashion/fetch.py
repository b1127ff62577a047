"""Run mads-datasets' download as a program of its own, which `sources` ends when it takes too long.

The download has no time limit of its own, and only a process can be ended. It imports nothing of this package.
"""

from __future__ import annotations

import os
import re
import sys
import threading
from pathlib import Path
from urllib.parse import urlsplit

FAILED = 3
"""Exit code where the download failed; the reason is on stdout."""

NOT_WRITTEN = 4
"""Exit code where the file could not be written; the reason is on stdout."""


def main(settings_file: str, limit_s: float) -> int:
    """Let mads-datasets' factory, with the settings in a JSON file, download into that file's folder.

    Prints one line where that fails.
    """
    timer = threading.Timer(limit_s, os._exit, [FAILED])  # for the case that the program that waits was killed
    timer.daemon = True
    timer.start()
    from mads_datasets import DatasetFactoryProvider, DatasetType

    path = Path(settings_file).absolute()
    factory = DatasetFactoryProvider.create_factory(DatasetType.FASHION, datadir=path.parent)
    settings = type(factory.settings).model_validate_json(path.read_text(encoding="utf-8"))
    factory = type(factory)(settings, datadir=path.parent)
    try:
        factory.download_data()
    except Exception as error:
        print(explain(error, host=urlsplit(str(factory.settings.dataset_url)).hostname or "the server"))
        return NOT_WRITTEN if is_local(error) else FAILED
    return 0


def is_local(error: Exception) -> bool:
    """Whether the system refused to write, such as on a full disk; the errors of requests have no number."""
    return isinstance(error, OSError) and error.errno is not None


def explain(error: Exception, *, host: str) -> str:
    """Say in one line why a download failed, and what would help."""
    from requests import exceptions

    said = " ".join(str(error).split())
    reasons = (
        (is_local(error), getattr(error, "strerror", said)),
        (
            isinstance(error, exceptions.SSLError) or "CA certificate" in said,
            f"the certificate of {host} could not be verified; where a proxy replaces certificates, "
            "set REQUESTS_CA_BUNDLE to a file that contains the proxy's",
        ),
        (
            re.search("(code|failed:) 407", said),
            "the proxy asks for a user name and a password (status 407); put them in HTTPS_PROXY",
        ),
        (isinstance(error, exceptions.ProxyError), f"the proxy did not connect to {host}"),
        (isinstance(error, exceptions.ChunkedEncodingError), f"the connection to {host} broke off"),
        (isinstance(error, exceptions.ConnectionError), f"{host} cannot be reached"),
        (said.startswith("Digest of"), f"{host} sent a wrong file, perhaps the login page of a network or a proxy"),
    )
    return next((reason for applies, reason in reasons if applies), f"{host}: {said}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], float(sys.argv[2])))
