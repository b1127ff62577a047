"""The entries that both sides train, the data that they read, and their commands as a user would give them."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from benchmarks.loops import JOB_FILE, SPLITS_FILE
from gridstudy.core.selection import select_experiments
from gridstudy.core.space import Configuration
from gridstudy.fashion.subject import SUBJECT

if TYPE_CHECKING:
    from gridstudy.fashion.data import PreparedData

T = TypeVar("T")
ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Setting:
    """What is run, and where files of the benchmark go: `work` is temporary."""

    work: Path
    entries: tuple[Configuration, ...]
    data_options: tuple[str, ...]
    study_options: tuple[str, ...]
    n_validation: int
    scale: float

    @property
    def n_distinct(self) -> int:
        return len(set(self.entries))


def list_entries(*, n_entries: int | None = None, scale: float = 1.0) -> tuple[Configuration, ...]:
    """The configurations of the seven experiments in order, shared ones repeated; all of them, or the first few."""
    experiments = select_experiments(SUBJECT, ["all"], overrides=scaled_steps(scale))
    return tuple(c for experiment in experiments for c in experiment.configurations)[:n_entries]


def scaled_steps(scale: float) -> dict[str, int]:
    """What to override so that a trial has `scale` times its updates."""
    return {} if scale == 1 else {"train_steps": max(1, round(SUBJECT.configure({})["train_steps"] * scale))}


def write_mads_file(path: Path, prepared: PreparedData) -> None:
    """Write data that was prepared with the test images as validation in the form of mads-datasets' fashionmnist.pt."""
    import torch

    from gridstudy.fashion.data import open_splits

    splits = open_splits(prepared)
    path.parent.mkdir(parents=True)
    content = {
        "traindata": splits.train.images.reshape(-1, 28, 28),
        "trainlabels": splits.train.labels,
        "testdata": splits.test.images.reshape(-1, 28, 28),
        "testlabels": splits.test.labels,
    }
    torch.save({name: tensor.clone() for name, tensor in content.items()}, path)


def write_splits(path: Path, prepared: PreparedData) -> None:
    """Write the study's own splits, images uint8 (N, 784) and labels, for the bare loop."""
    import torch

    from gridstudy.fashion.data import open_splits

    splits = open_splits(prepared)
    torch.save(
        {
            name: (getattr(splits, name).images.clone(), getattr(splits, name).labels.clone())
            for name in ("train", "validation", "test")
        },
        path,
    )


def prepare_setting(arguments: argparse.Namespace, work: Path) -> tuple[Setting, PreparedData, float]:
    """Make a data cache of our own and mads-datasets' file; returns also the seconds that the cache took."""
    from gridstudy.fashion.data import prepare

    warn = partial(print, file=sys.stderr)
    clock = time.perf_counter()
    prepared = prepare(arguments.dataset, data_dir=arguments.data_dir, cache_dir=work / "cache", warn=warn)
    duration_s = time.perf_counter() - clock
    official = prepare(
        arguments.dataset, data_dir=arguments.data_dir, cache_dir=work / "cache", validation="test", warn=warn
    )
    write_mads_file(work / "mads" / "fashionmnist" / "fashionmnist.pt", official)
    write_splits(work / SPLITS_FILE, prepared)
    entries = list_entries(n_entries=arguments.entries, scale=arguments.scale)
    setting = Setting(
        work=work,
        entries=entries,
        data_options=_data_options(arguments, prepared),
        study_options=_study_options(arguments, work, entries),
        n_validation=max(1, round(prepared.n_validation * arguments.scale)),
        scale=arguments.scale,
    )
    write_job(setting)
    return setting, prepared, duration_s


def _data_options(arguments: argparse.Namespace, prepared: PreparedData) -> tuple[str, ...]:
    if arguments.data_dir:
        return ("--data-dir", str(arguments.data_dir.resolve()))
    return ("--dataset", prepared.dataset)


def _study_options(arguments: argparse.Namespace, work: Path, entries: Sequence[Configuration]) -> tuple[str, ...]:
    """None for the study as it is; a study file for a part of it."""
    if arguments.entries:
        return ("--study", str(write_study(work / "entries.toml", [dict(entry) for entry in entries])))
    return set_options(arguments.scale)


def set_options(scale: float) -> tuple[str, ...]:
    """Options of the study for `scale` times its updates."""
    return tuple(word for name, value in scaled_steps(scale).items() for word in ("--set", f"{name}={value}"))


def write_study(path: Path, configurations: Sequence[Mapping[str, object]]) -> Path:
    """A study file of one experiment."""
    import tomli_w

    content = {"experiment": [{"name": path.stem, "configurations": configurations}]}
    path.write_text(tomli_w.dumps(content), encoding="utf-8")
    return path


def write_job(setting: Setting) -> None:
    """Leave what `train_entry` needs."""
    job = {"n_validation": setting.n_validation, "entries": [dict(entry) for entry in setting.entries]}
    (setting.work / JOB_FILE).write_text(json.dumps(job), encoding="utf-8")


def study_command(setting: Setting, logdir: Path, *options: str) -> list[str]:
    """Our study as a user runs it; on the CPU, where the loops are."""
    return [
        sys.executable,
        str(ROOT / "grid_search_experiments.py"),
        "--device",
        "cpu",
        "--logdir",
        str(logdir),
        *options,
    ]


def loop_command(setting: Setting, logdir: Path, loop: str) -> list[str]:
    """One of the loops that people write."""
    return [sys.executable, "-m", "benchmarks.loops", loop, str(setting.work), str(logdir)]


def environment(setting: Setting) -> dict[str, str]:
    """Ours, without limits on threads, which would change what is compared, and with the benchmark's data cache."""
    limits = {"OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "TORCH_NUM_THREADS"}
    kept = {name: value for name, value in os.environ.items() if name not in limits}
    return {**kept, "GRIDSTUDY_CACHE": str(setting.work / "cache"), "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"}


@contextmanager
def start(command: Sequence[str], setting: Setting) -> Iterator[subprocess.Popen[bytes]]:
    """Start a command with its output in a file, wait for it in the end, and fail as it does, with that output."""
    path = setting.work / "output.txt"
    with path.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603 - the command is ours
            command, cwd=ROOT, env=environment(setting), stdin=subprocess.DEVNULL, stdout=output, stderr=output
        )
        try:
            yield process
            process.wait()
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait()
    if process.returncode:
        tail = path.read_text(encoding="utf-8", errors="replace")[-3000:]
        raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}:\n{tail}")


def time_command(command: Sequence[str], setting: Setting) -> tuple[float, float]:
    """When the command was started, in seconds since the epoch, and the seconds that it took."""
    started, clock = time.time(), time.perf_counter()
    with start(command, setting):
        pass
    return started, time.perf_counter() - clock


def clocked(function: Callable[[], T]) -> tuple[T, float]:
    """What the function returns, and the seconds that it took."""
    clock = time.perf_counter()
    value = function()
    return value, time.perf_counter() - clock
