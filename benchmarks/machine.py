"""The machine that the benchmark runs on: cores, load, versions, and the best matrix product of its libraries."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from importlib import metadata

from benchmarks.measurement import Measurement
from benchmarks.products import measure_peaks, name_library
from gridstudy.core.machine import processor
from gridstudy.fashion.products import find_row
from gridstudy.running.cores import count_cores

BUSY_LOAD = 0.5
"""Load average, tasks waiting to run, above which a warning says that others are using the machine."""


def describe_machine() -> Iterator[Measurement]:
    """Cores, load and versions."""
    yield Measurement("machine", "cores", count_cores(), "", note=f"{name_processor()}, {platform.platform()}")
    if hasattr(os, "getloadavg"):
        yield Measurement("machine", "load at the start", os.getloadavg()[0], "", note=busy_note(os.getloadavg()[0]))
    packages = ("torch", "mltrainer", "mads-datasets", "optuna", "ray")
    versions = [f"{name} {metadata.version(name)}" for name in packages if _has_metadata(name)]
    yield Measurement(
        "machine", "packages", len(versions), "", note=f"python {platform.python_version()}, {', '.join(versions)}"
    )


def name_processor() -> str:
    """The processor by its model and, because many servers only say "AMD EPYC", by its family."""
    found = processor()
    row = find_row(found)
    kind = f"{found.vendor}, family {found.family}, {'' if 'avx512f' in found.instruction_sets else 'no '}AVX-512"
    return f"{found.model_name} ({row.name if row else kind})"


def busy_note(load: float) -> str:
    """What to say of the load."""
    return "others are using this machine: the times below are worth little" if load > BUSY_LOAD else ""


def _has_metadata(name: str) -> bool:
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True


def measure_machine(number: int) -> tuple[list[Measurement], float]:
    """The peak of each library with one process per core, and the best of them, in operations per second."""
    peaks = measure_peaks(count_cores())
    measured = [
        Measurement("machine", f"matrix peak, {name_library(library)}", peak / 1e9, "GFLOP/s", number, "all cores")
        for library, peak in peaks.items()
    ]
    return measured, max(peaks.values())
