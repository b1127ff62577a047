"""How many CPU cores this process may use, and all of them for its workers.

OMP_PROC_BIND and its kin bind a process to one core as soon as torch is imported, and its workers with it: count cores
and take `allowed_cores` before that.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
MEMBERSHIPS = Path("/proc/self/cgroup")
BINDING_VARIABLES = ("OMP_PROC_BIND", "OMP_PLACES", "GOMP_CPU_AFFINITY", "KMP_AFFINITY")
UNBOUND = ("", "false", "0", "none", "disabled")

Cores = frozenset[int]


def count_cores(environment: Mapping[str, str] = os.environ) -> int:
    """The least of the cores allowed, the quota of the control groups (rounded up) and PYTHON_CPU_COUNT."""
    limits = [len(allowed_cores()) or os.cpu_count() or 1]
    quota = read_quota()
    if quota is not None:
        limits.append(max(1, math.ceil(quota)))
    count = environment.get("PYTHON_CPU_COUNT", "")
    if count.isascii() and count.isdigit() and int(count) > 0:
        limits.append(int(count))
    return min(limits)


def allowed_cores() -> Cores:
    """The numbers of the cores that this process may use; empty where the system does not say."""
    return frozenset(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else frozenset()


def use_cores(cores: Cores) -> None:
    """Let this process use `cores` again; it keeps what it has where the system does not allow that."""
    if cores and hasattr(os, "sched_setaffinity"):
        with suppress(OSError):
            os.sched_setaffinity(0, cores)


def describe_binding(environment: Mapping[str, str] = os.environ) -> str | None:
    """One line on the variables that would put all workers on one core, None where there are none."""
    set_here = {name: environment.get(name, "") for name in BINDING_VARIABLES}
    bound = [f"{name}={value}" for name, value in set_here.items() if value.strip().lower() not in UNBOUND]
    if not bound:
        return None
    return f"{' '.join(bound)} would bind all workers to the same cores; workers ignore it and share all cores"


def read_quota(cgroups: Path = CGROUPS, memberships: Path = MEMBERSHIPS) -> float | None:
    """The least CPU quota of this process's control groups and those above them, in cores; None: there is none."""
    quotas = [quota for folder in _groups(cgroups, memberships) if (quota := _read_group(folder)) is not None]
    return min(quotas, default=None)


def _groups(cgroups: Path, memberships: Path) -> Iterator[Path]:
    """The folders of the control groups that may limit the CPU: version 2, then version 1, each up to its root."""
    for line in _read(memberships).splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number == "0" and not controllers:
            roots = [cgroups, cgroups / "unified"]
        elif "cpu" in controllers.split(","):
            roots = [cgroups / controllers, cgroups / "cpu"]
        else:
            continue
        inner = Path(path.lstrip("/"))  # as the host sees it; a container may have only the root
        for root in roots:
            yield from (root / folder for folder in (inner, *inner.parents))


def _read_group(folder: Path) -> float | None:
    """The quota that one control group sets, in cores."""
    quota, _, period = _read(folder / "cpu.max").strip().partition(" ")
    if not quota:
        quota, period = (_read(folder / f"cpu.cfs_{name}_us").strip() for name in ("quota", "period"))
    try:
        cores = int(quota) / int(period or 100_000)
    except (ValueError, ZeroDivisionError):  # `max`, or no such file
        return None
    return cores if cores > 0 else None


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
