"""The machine that a trial ran on: what may change its outcome or its time, and is recorded with it."""

from __future__ import annotations

import os
import platform
import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

CPU_VARIABLES = (
    "ATEN_CPU_CAPABILITY",
    "MKL_CBWR",
    "MKL_ENABLE_INSTRUCTIONS",
    "ONEDNN_MAX_CPU_ISA",
    "DNNL_MAX_CPU_ISA",
    "ONEDNN_DEFAULT_FPMATH_MODE",
    "DNNL_DEFAULT_FPMATH_MODE",
)
"""Variables that change which instructions, and so which bits, torch, MKL and oneDNN compute with."""

INSTRUCTION_SETS = (
    *("sse4_2", "avx", "avx2", "fma", "avx512f", "avx512bw", "avx512vl", "avx512_bf16", "avx512_fp16", "amx_tile"),
    *("asimd", "sve", "sve2"),
)
PACKAGES = ("numpy", "tomlserializer")


@dataclass(frozen=True)
class Processor:
    """A processor as it names itself; empty strings stand for what the system does not say."""

    vendor: str
    family: str
    model_name: str
    instruction_sets: tuple[str, ...]


@lru_cache(maxsize=1)
def processor() -> Processor:
    """The processor of this machine, whatever the variables say that restrict what libraries use of it."""
    path = Path("/proc/cpuinfo")
    if path.exists():
        return parse_cpuinfo(path.read_text(encoding="utf-8", errors="replace"))
    return parse_platform(platform.processor() or platform.machine())


def parse_cpuinfo(text: str) -> Processor:
    """Read the first processor of Linux's /proc/cpuinfo, as x86 and ARM write it."""
    first = text.strip().split("\n\n")[0].splitlines()
    values = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in first)}
    return Processor(
        vendor=values.get("vendor_id", values.get("CPU implementer", "")),
        family=values.get("cpu family", values.get("CPU architecture", "")),
        model_name=values.get("model name", values.get("CPU part", "")) or platform.machine(),
        instruction_sets=_known_sets(values.get("flags", values.get("Features", "")).split()),
    )


def parse_platform(text: str) -> Processor:
    """Read what `platform.processor()` says; Windows: "AMD64 Family 26 Model 68 Stepping 0, AuthenticAMD"."""
    description, _, vendor = text.partition(", ")
    words = description.split()
    family = words[words.index("Family") + 1] if "Family" in words[:-1] else ""
    return Processor(vendor=vendor, family=family, model_name=text, instruction_sets=())


def _known_sets(flags: Iterable[str]) -> tuple[str, ...]:
    present = set(flags)
    return tuple(name for name in INSTRUCTION_SETS if name in present)


def relevant_environment(environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """Those of `CPU_VARIABLES` that are set, with their values; by default in this process's environment."""
    environment = os.environ if environment is None else environment
    return {name: environment[name] for name in CPU_VARIABLES if environment.get(name)}


def describe_processor() -> str:
    """The processor in one line: name, family, and the instruction sets that numerical libraries look for."""
    found = processor()
    family = f"family {found.family}" if found.family else ""
    return ", ".join(part for part in (found.model_name, family, " ".join(found.instruction_sets)) if part)


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
        "environment": relevant_environment(),
    }
