"""Kills, interruptions, a full disk and a long run: what ends processes at random moments."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import tomli_w

from benchmarks.chaos.studies import (
    N_TRIALS,
    SMALL,
    Row,
    Run,
    Snapshot,
    Study,
    Tally,
    count_results,
    find_workers,
    take_snapshot,
    wait_for_a_moment,
)
from gridstudy.records.tables import find_results
from gridstudy.records.trials import read_result

REAL = ("batch_size", "--set", "train_steps=5", "--seeds", "2")
"""The small study on real data, without its folder."""
SAMPLE_S = 0.5
LONG_STUDY = {
    "name": "long_run",
    "scientific": ["units1"],
    "fixed": {"epochs": 1, "train_steps": 5, "units2": 16},
    "grid": {"units1": [16, 32]},
}

Fault = Callable[[Run, random.Random], None]


def kill_group(run: Run, dice: random.Random) -> None:
    """The runner, its workers and their server at once, as when the machine is switched off."""
    os.killpg(run.process.pid, signal.SIGKILL)


def kill_runner(run: Run, dice: random.Random) -> None:
    """The runner alone; its workers have to notice."""
    run.process.kill()


def kill_worker(run: Run, dice: random.Random) -> None:
    """One of the workers, as the system does when memory runs out; the study has to go on by itself."""
    if workers := find_workers(run.process.pid):
        with suppress(ProcessLookupError):
            os.kill(dice.choice(workers), signal.SIGKILL)


def hang_worker(run: Run, dice: random.Random) -> None:
    """Stop one of the workers for ever; the study has to notice and go on by itself."""
    if workers := find_workers(run.process.pid):
        with suppress(ProcessLookupError):
            os.kill(dice.choice(workers), signal.SIGSTOP)


def interrupt(run: Run, dice: random.Random) -> None:
    """Ctrl-C, and for half of the studies a second one soon after."""
    os.killpg(run.process.pid, signal.SIGINT)
    if dice.random() < 0.5:
        time.sleep(dice.uniform(0, 0.2))
        with suppress(ProcessLookupError):
            os.killpg(run.process.pid, signal.SIGINT)


KILLS: Mapping[str, Fault] = {
    "kill -9, the whole process group": kill_group,
    "kill -9, the runner alone": kill_runner,
    "kill -9, one worker": kill_worker,
}


def try_fault(
    fault: str, n_times: int, *, strike: Fault, reference: Path, work: Path, seed: int, arguments: Sequence[str] = SMALL
) -> Row:
    """Strike `n_times` studies at random moments between their first result and their end, and go on with each.

    Every one counted had some of its results then and lacked others.
    """
    dice = random.Random(f"{fault} {seed}")  # noqa: S311 - moments, not secrets
    tally = Tally(fault, n_times, reference)
    n_missed = 0
    while tally.tried < n_times:
        study = Study(work / "struck", work, arguments)
        before = _strike(study, strike, dice, tally)
        if before is None:
            n_missed += 1
        else:
            tally.go_on(study, before)
        shutil.rmtree(study.logdir)
    return tally.row(f"{n_missed} more had ended before the strike")


def _strike(study: Study, fault: Fault, dice: random.Random, tally: Tally) -> Snapshot | None:
    """Start a study and break it; the results that were complete then, None where all were."""
    run = study.start()
    is_under_way = wait_for_a_moment(study, run, dice)
    before = take_snapshot(study.logdir)
    if is_under_way:
        fault(run, dice)
    ended = tally.note_end(run, study)
    if not is_under_way:
        return None
    if fault in (kill_worker, hang_worker):
        tally.check(ended, is_false=ended.code != 0)
        return before if len(before) < N_TRIALS else None
    before = take_snapshot(study.logdir)
    return before if len(before) < N_TRIALS else None


# --- a disk that fills up --------------------------------------------------------------------------------------------


def try_full_disk(fault: str, n_times: int, *, reference: Path, work: Path, seed: int) -> Row:
    """Run out of room at a random moment, make room and go on."""
    tally = Tally(fault, n_times, reference)
    dice = random.Random(f"disk {seed}")  # noqa: S311 - moments, not secrets
    n_roomy = 0
    while tally.tried < n_times:
        with small_disk(work / "disk") as disk:
            if disk is None:
                return tally.row("not tried: to mount a file system takes root")
            filler = fill(disk, bytes_left=dice.randint(0, 250) << 10)
            study = Study(disk / "logs", work)
            ended = tally.note_end(study.start(), study)
            before = take_snapshot(study.logdir)
            filler.unlink()
            if ended.code == 0:
                n_roomy += 1
            else:
                tally.go_on(study, before)
    return tally.row(f"{n_roomy} more had room enough")


@contextmanager
def small_disk(folder: Path) -> Iterator[Path | None]:
    """A file system of 2 MB for as long as it is needed; None where that is not permitted."""
    folder.mkdir()
    mount, umount = shutil.which("mount"), shutil.which("umount")
    command = [mount or "", "-t", "tmpfs", "-o", "size=2m", "none", str(folder)]
    mounted = bool(mount) and subprocess.run(command, capture_output=True, check=False).returncode == 0  # noqa: S603
    try:
        yield folder if mounted else None
    finally:
        if mounted:
            subprocess.run([umount or "umount", "-l", str(folder)], check=True)  # noqa: S603 - our own mount
        folder.rmdir()


def fill(disk: Path, *, bytes_left: int) -> Path:
    """Leave so much room and no more; the file that takes the rest."""
    filler = disk / "filler"
    with suppress(OSError), filler.open("wb", buffering=0) as file:
        while file.write(bytes(4096)):
            pass
    os.truncate(filler, filler.stat().st_size - bytes_left)
    return filler


# --- a long run ------------------------------------------------------------------------------------------------------


def try_long_run(n_trials: int, *, work: Path) -> Row:
    """Train many trials in one go, weighing the workers all the while."""
    plan = work / "long_run.toml"
    plan.write_text(tomli_w.dumps({"experiment": [LONG_STUDY]}), encoding="utf-8")
    dataset = ("--dataset", "garments-small")
    study = Study(work / "long", work, ["--study", str(plan), "--seeds", str(n_trials // 2), *dataset])
    run = study.start()
    weights: dict[int, list[tuple[int, int, int]]] = {}
    while not run.has_ended():
        n_results = count_results(study.logdir)
        for worker in find_workers(run.process.pid):
            with suppress(OSError, IndexError):
                weights.setdefault(worker, []).append((n_results, *weigh(worker)))
        time.sleep(SAMPLE_S)
    if (ended := run.wait()).code:
        raise RuntimeError(ended.text)
    runs = [read_result(path)[1] for path in find_results(study.logdir)]
    n_again = sum(trial.attempt > 1 for trial in runs)
    note = "; ".join(describe_weights(samples, n_trials) for samples in weights.values())
    return Row(f"{n_trials} trials in one go", 1, n_trials - len(runs), n_again, 0, note=note)


def weigh(pid: int) -> tuple[int, int]:
    """Resident bytes and open files of a process."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE"), len(list(Path(f"/proc/{pid}/fd").iterdir()))


def describe_weights(samples: Sequence[tuple[int, int, int]], n_trials: int) -> str:
    """What a worker held after a tenth of the trials, and the most that it held in the last tenth."""
    early = [sample for sample in samples if sample[0] >= n_trials / 10][:1] or samples[:1]
    late = [sample for sample in samples if sample[0] >= n_trials * 0.9] or samples[-1:]
    memory, files = (max(column) for column in list(zip(*late, strict=True))[1:])
    return f"a worker {early[0][1] / 2**20:.1f} -> {memory / 2**20:.1f} MiB, {early[0][2]} -> {files} open files"
