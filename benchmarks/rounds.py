"""The sides of the comparison, run in turn, and their times as ratios."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.loops import is_installed
from benchmarks.machine import measure_machine
from benchmarks.measurement import Measurement
from benchmarks.operations import measure_run
from benchmarks.setting import Setting, loop_command, study_command, time_command

if TYPE_CHECKING:
    from gridstudy.fashion.data import PreparedData

OURS, HEADLINE, LOOPS = "ours", "ours, five seeds", ("bare", "naive", "optuna", "ray")
DESCRIPTIONS = {
    OURS: "python grid_search_experiments.py --seeds 1",
    HEADLINE: "python grid_search_experiments.py --seeds 5",
    "bare": "a bare torch loop, data in memory, fused optimizers, two processes",
    "naive": "mltrainer's Trainer, one trial after another",
    "optuna": "Optuna's GridSampler, two jobs",
    "ray": "Ray Tune, two CPUs",
}


@dataclass(frozen=True)
class Run:
    """A finished command: when it was started (seconds since the epoch), how long it took, what it trained."""

    name: str
    started: float
    duration_s: float
    logdir: Path
    n_entries: int
    n_trained: int


def run_contestant(name: str, setting: Setting, number: int) -> Run:
    """Run one side of the comparison in round `number`."""
    logdir = setting.work / f"{name.replace(', ', '-').replace(' ', '-')}-{number}"
    n_entries = len(setting.entries)
    if name in LOOPS:
        started, duration_s = time_command(loop_command(setting, logdir, name), setting)
        n_trained = len(list(logdir.glob("entry*")))
        if n_trained != n_entries:
            print(f"{name} trained {n_trained} of the {n_entries} entries: the work is not equal", file=sys.stderr)
        return Run(name, started, duration_s, logdir, n_entries, n_trained)
    n_seeds = 5 if name == HEADLINE else 1
    options = (*setting.study_options, *setting.data_options, "--seeds", str(n_seeds))
    started, duration_s = time_command(study_command(setting, logdir, *options), setting)
    return Run(name, started, duration_s, logdir, n_entries * n_seeds, setting.n_distinct * n_seeds)


def compare(
    contestants: Sequence[str], setting: Setting, prepared: PreparedData, *, n_rounds: int, say: Callable[[str], None]
) -> tuple[list[Measurement], Run | None]:
    """All rounds; returns also the last run of ours, the larger one where there are two."""
    measurements: list[Measurement] = []
    last: dict[str, Run] = {}
    for number in range(1, n_rounds + 1):
        say(f"round {number}: matrix peak")
        measured, peak = measure_machine(number)
        measurements += measured
        runs = {}
        for name in rotate(contestants, number - 1):
            say(f"round {number}: {name}")
            runs[name] = run_contestant(name, setting, number)
            measurements += measure_times(runs[name], number)
            if name in (OURS, HEADLINE):
                measurements += measure_run(runs[name], prepared, peak=peak, number=number)
        measurements += measure_ratios(runs, number)
        last.update(runs)
    return measurements, last.get(HEADLINE) or last.get(OURS)


def rotate(names: Sequence[str], n: int) -> list[str]:
    """Begin with another one in each round."""
    n %= max(1, len(names))
    return [*names[n:], *names[:n]]


def measure_times(run: Run, number: int) -> Iterator[Measurement]:
    """Whole time, and per entry and trained configuration."""
    measured = partial(Measurement, "comparison", round=number)
    yield measured(f"{run.name}: time", run.duration_s, "s", note=DESCRIPTIONS[run.name])
    yield measured(f"{run.name}: time per entry", run.duration_s / run.n_entries, "s", note=f"{run.n_entries} entries")
    yield measured(f"{run.name}: time per trial", run.duration_s / run.n_trained, "s", note=f"{run.n_trained} trials")


def measure_ratios(runs: Mapping[str, Run], number: int) -> Iterator[Measurement]:
    """How many times as long as ours the others took in one round, whole and per trained configuration."""
    for ours in (OURS, HEADLINE):
        for name in LOOPS:
            if ours in runs and name in runs:
                a, b = runs[ours], runs[name]
                measured = partial(Measurement, "ratios", unit="x", round=number)
                yield measured(f"{name} / {ours}: time", b.duration_s / a.duration_s)
                if ours == OURS:
                    per_trial = b.duration_s / b.n_trained * a.n_trained / a.duration_s
                    yield measured(f"{name} / {ours}: time per trial", per_trial)


def choose_contestants(only: Sequence[str] | None, *, headline: bool) -> list[str]:
    """The sides of the comparison, in their first order; ValueError on a name that is none."""
    known = (OURS, *LOOPS)
    for name in only or ():
        if name not in known:
            raise ValueError(f"--only takes names of {','.join(known)}; got {name!r}")
        if name in LOOPS and not is_installed(name):
            raise ValueError(f'{name} is not installed here; pip install ".[benchmark]"')
    chosen = [name for name in known if (name in only if only else name == OURS or is_installed(name))]
    return [*chosen, HEADLINE] if headline else chosen
