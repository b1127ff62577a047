"""The machine that a trial ran on: what may change its outcome or its time, and is recorded with it."""

from __future__ import annotations

import os
import platform
import socket
from collections.abc import Iterable
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

ARITHMETIC_VARIABLES = ("ATEN_CPU_CAPABILITY", "MKL_CBWR", "ONEDNN_MAX_CPU_ISA", "MKL_ENABLE_INSTRUCTIONS")
"""Variables of the environment that make the same program on the same processor compute other bits."""
PACKAGES = ("numpy", "tomlserializer")


@lru_cache(maxsize=1)
def describe_processor() -> str:
    """The processor's name and the widest vector instructions that it has, as the system tells them."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.processor() or platform.machine() or "unknown"
    facts = dict(reversed([(k.strip(), v.strip()) for k, _, v in (line.partition(":") for line in lines) if v]))
    flags = set(facts.get("flags", "").split())
    widest = next((name for name in ("amx_tile", "avx512f", "avx2", "avx") if name in flags), "")
    family = f"family {facts['cpu family']} model {facts.get('model', '?')}" if "cpu family" in facts else ""
    return " ".join(part for part in (facts.get("model name", platform.machine()), family, widest) if part)


def describe_machine(packages: Iterable[str] = ()) -> dict[str, Any]:
    """Host, platform, processor, package versions and arithmetic variables, as a trial's record gives them."""
    versions = {"python": platform.python_version()}
    for name in (*PACKAGES, *packages):
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = "unknown"
    return {
        "host": socket.gethostname(),
        "platform": platform.platform(),
        "processor": describe_processor(),
        "versions": versions,
        "environment": {name: os.environ[name] for name in ARITHMETIC_VARIABLES if name in os.environ},
    }
