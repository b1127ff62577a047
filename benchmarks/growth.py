"""Time against the number of trials, and memory against the number of workers."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.measurement import Measurement
from benchmarks.phases import TINY
from benchmarks.setting import Setting, set_options, start, study_command, time_command, write_study

GROWTH_TRIALS = (10, 30, 100, 300, 1000)
MEMORY_WORKERS = (1, 2, 4)


def measure_growth(setting: Setting, counts: Sequence[int] = GROWTH_TRIALS) -> Iterator[Measurement]:
    """Cost against the number of tiny trials: run, run again with nothing to do, and a line through both."""
    study = write_study(setting.work / "tiny.toml", [TINY])
    times: dict[str, list[float]] = {"running": [], "nothing to do": []}
    for n in counts:
        options = ("--study", str(study), "--dataset", "garments-small", "--seeds", str(n))
        command = study_command(setting, setting.work / f"growth-{n}", *options)
        for what, values in times.items():
            values.append(time_command(command, setting)[1])
            yield Measurement("growth", f"{n} tiny trials, {what}", values[-1], "s")
    for what, values in times.items():
        intercept, slope, r2 = fit_line(counts, values)
        yield Measurement("growth", f"{what}: fixed", intercept, "s")
        yield Measurement("growth", f"{what}: per trial", 1e3 * slope, "ms", note=f"R2 of the line {r2:.5f}")


def fit_line(x: Sequence[float], y: Sequence[float]) -> tuple[float, float, float]:
    """Least squares: intercept, slope and R2."""
    import numpy as np

    slope, intercept = np.polyfit(x, y, 1)
    residuals = np.asarray(y) - (intercept + slope * np.asarray(x))
    return float(intercept), float(slope), float(1 - residuals.var() / np.var(y))


def measure_memory(setting: Setting, *, interval_s: float = 0.2) -> Iterator[Measurement]:
    """The most memory that the study's processes hold together, by PSS, which counts a shared page once; Linux only.

    On the three depths and the three combined, the largest batches and networks among them.
    """
    if not Path("/proc/self/smaps_rollup").exists():
        return
    for n_workers in MEMORY_WORKERS:
        logdir = setting.work / f"memory-{n_workers}"
        options = ("depth", "combined", "--seeds", "1", "--workers", str(n_workers), *setting.data_options)
        command = study_command(setting, logdir, *options, *set_options(setting.scale))
        most_all = most_workers = 0
        with start(command, setting) as process:
            while process.poll() is None:
                everything, workers = sample_memory(process.pid)
                most_all, most_workers = max(most_all, everything), max(most_workers, workers)
                time.sleep(interval_s)
        noun = "worker" if n_workers == 1 else "workers"
        yield Measurement(
            "memory", f"{n_workers} {noun}: all processes", most_all / 2**20, "MiB", note="most PSS at once"
        )
        yield Measurement("memory", f"{n_workers} {noun}: the workers", most_workers / 2**20, "MiB")


def sample_memory(pid: int) -> tuple[int, int]:
    """Bytes (PSS) of a process with all its descendants, and of those that the server of workers has forked."""
    children = list_children(pid)
    grandchildren = [grandchild for child in children for grandchild in list_children(child)]
    workers = sum(map(read_pss, grandchildren))
    return read_pss(pid) + sum(map(read_pss, children)) + workers, workers


def list_children(pid: int) -> list[int]:
    """Processes that this one has started and that still run."""
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        return [int(child) for task in tasks for child in (task / "children").read_text().split()]
    except OSError:
        return []


def read_pss(pid: int) -> int:
    """Bytes of memory that this process holds, a page that n processes share counted as 1/n; 0 when it has gone."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(1024 * int(line.split()[1]) for line in lines if line.startswith("Pss:"))
