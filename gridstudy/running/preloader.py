"""Imported by the fork server alone: imports what its workers need, so that each of them starts at once.

Importing is the work here, because multiprocessing's server can do nothing else before it forks.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from contextlib import suppress

from gridstudy.running.worker_start import START_VARIABLE, report_in_one_line

sys.excepthook = report_in_one_line

for name in json.loads(os.environ.get(START_VARIABLE, "{}")).get("preload", []):
    with suppress(Exception):  # the server lives on, and a worker tells what is missing
        importlib.import_module(name)
