"""Break running studies at random moments, go on, and count what was lost, doubled or differs: `make chaos`.

Every strike has a study of its own: twelve small trials, struck once, started again with the same command, and held
against a study that nothing disturbed. A trial is lost when its result was there before and is not at the end, doubled
when its result was there and was made again, differing when its outcome is not the same to the last bit. Linux only.
"""

from __future__ import annotations

import argparse
import csv
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import NamedTuple

import tomli_w

from gridstudy.records.comparison import compare_outcomes
from gridstudy.records.tables import find_results
from gridstudy.records.toml import RecordError
from gridstudy.records.trials import read_result

ROOT = Path(__file__).resolve().parents[1]
SMALL = ("batch_size", "--set", "train_steps=5", "--seeds", "2")
N_SMALL = 12
PATIENCE_S = 600.0
SAMPLE_S = 0.5
LONG_STUDY = {
    "name": "long_run",
    "scientific": ["units1"],
    "fixed": {"epochs": 1, "train_steps": 5, "units2": 16},
    "grid": {"units1": [16, 32]},
}


class Fingerprint(NamedTuple):
    """Tells a file that was written again from one that was left alone, whatever it says."""

    inode: int
    changed_ns: int


def hear_interruptions() -> None:
    """Undo what a shell does to a command in the background, whose children would be deaf to Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


Snapshot = Mapping[Path, Fingerprint]


@dataclass(frozen=True)
class Row:
    """How often a fault was tried, what became of the trials, and how often a process outlived its study."""

    fault: str
    tried: int
    lost: int
    doubled: int
    differing: int
    left_behind: int = 0
    note: str = ""


@dataclass
class Study:
    """A study's log directory, where its output goes, and its arguments."""

    logdir: Path
    output: Path
    arguments: Sequence[str] = SMALL

    def start(self) -> subprocess.Popen[bytes]:
        """Start it in a process group of its own."""
        command = [sys.executable, str(ROOT / "grid_search_experiments.py"), "--dataset", "garments-small"]
        command += ["--workers", "2", "--logdir", str(self.logdir), *self.arguments]
        with self.output.open("wb") as output:
            return subprocess.Popen(  # noqa: S603 - our own command
                command, cwd=ROOT, start_new_session=True, preexec_fn=hear_interruptions,  # noqa: PLW1509 - no threads here
                stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            )  # fmt: skip

    def finish(self) -> int:
        """Run it to its end; the number of trials that it ran. Raises RuntimeError with its output where it fails."""
        code = self.start().wait(PATIENCE_S)
        text = self.output.read_text(encoding="utf-8", errors="replace")
        found = re.search(r"(\d+) of them run now", text)
        if code or not found:
            raise RuntimeError(f"the study ended with exit code {code}:\n{text}")
        return int(found[1])

    def has_results(self, n: int) -> bool:
        return len(list(find_results(self.logdir))) >= n


def take_snapshot(logdir: Path) -> Snapshot:
    """The results that are complete now."""
    found = {}
    for path in find_results(logdir):
        with suppress(RecordError, FileNotFoundError):
            read_result(path)
            found[path] = Fingerprint(path.stat().st_ino, path.stat().st_mtime_ns)
    return found


def wait_until(condition: Callable[[], object], *, patience_s: float = PATIENCE_S) -> bool:
    """Look often; whether it came true within `patience_s`."""
    deadline_s = time.monotonic() + patience_s
    while not condition():
        if time.monotonic() > deadline_s:
            return False
        time.sleep(0.003)
    return True


# --- faults ----------------------------------------------------------------------------------------------------------


def kill_group(process: subprocess.Popen[bytes], dice: random.Random) -> None:
    """The runner, its workers and their server at once, as when the machine is switched off."""
    os.killpg(process.pid, signal.SIGKILL)


def kill_runner(process: subprocess.Popen[bytes], dice: random.Random) -> None:
    """The runner alone; its workers have to notice."""
    process.kill()


def kill_worker(process: subprocess.Popen[bytes], dice: random.Random) -> None:
    """One of the workers, as the system does when memory runs out; the study has to go on by itself."""
    if workers := find_workers(process.pid):
        with suppress(ProcessLookupError):
            os.kill(dice.choice(workers), signal.SIGKILL)


def interrupt(process: subprocess.Popen[bytes], dice: random.Random) -> None:
    """Ctrl-C, and for half of the studies a second one soon after."""
    os.killpg(process.pid, signal.SIGINT)
    if dice.random() < 0.5:
        time.sleep(dice.uniform(0, 0.2))
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGINT)


FAULTS: Mapping[str, Callable[[subprocess.Popen[bytes], random.Random], None]] = {
    "kill -9, the whole process group": kill_group,
    "kill -9, the runner alone": kill_runner,
    "kill -9, one worker": kill_worker,
    "Ctrl-C, once or twice": interrupt,
}


def find_workers(pid: int) -> list[int]:
    """The processes that train: grandchildren of the runner, forked by its server."""
    return [grandchild for child in find_children(pid) for grandchild in find_children(child)]


def find_children(pid: int) -> list[int]:
    """The children of a process."""
    children: list[int] = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            children += map(int, path.read_text().split())
    return children


def group_is_gone(pid: int) -> bool:
    """Whether no process of the group is left."""
    try:
        os.killpg(pid, 0)
    except ProcessLookupError:
        return True
    return False


# --- strikes ---------------------------------------------------------------------------------------------------------


@dataclass
class Tally:
    """What has been counted of one fault."""

    fault: str
    n_times: int
    tried: int = 0
    lost: int = 0
    doubled: int = 0
    differing: int = 0

    def go_on(self, study: Study, before: Snapshot, reference: Path) -> None:
        """Give the study's command again, and count the trials lost, doubled and differing."""
        n_complete = len(take_snapshot(study.logdir))
        n_run = study.finish()
        after = take_snapshot(study.logdir)
        made_again = sum(path in after and after[path] != fingerprint for path, fingerprint in before.items())
        self.tried += 1
        self.lost += sum(path not in after for path in before)
        self.doubled += max(made_again, n_run - (N_SMALL - n_complete))
        self.differing += len(compare_outcomes(reference, study.logdir))
        print(
            f"{self.fault}: {self.tried} of {self.n_times}, {n_complete} of {N_SMALL} were complete; "
            f"lost {self.lost}, doubled {self.doubled}, differing {self.differing}",
            file=sys.stderr,
        )

    def row(self, note: str, *, left_behind: int = 0) -> Row:
        return Row(self.fault, self.tried, self.lost, self.doubled, self.differing, left_behind, note)


def try_fault(fault: str, n_times: int, *, reference: Path, work: Path, seed: int) -> Row:
    """Strike `n_times` studies at random moments between their first result and their end, and go on with each."""
    dice = random.Random(f"{fault} {seed}")  # noqa: S311 - moments, not secrets
    tally = Tally(fault, n_times)
    n_left = n_missed = 0
    while tally.tried < n_times:
        study = Study(work / "struck", work / "output.txt")
        before, has_left = strike(study, FAULTS[fault], dice)
        n_left += has_left
        if before is None:
            n_missed += 1
        else:
            tally.go_on(study, before, reference)
        shutil.rmtree(study.logdir)
    return tally.row(f"{n_missed} more had ended before the strike", left_behind=n_left)


def strike(
    study: Study, fault: Callable[[subprocess.Popen[bytes], random.Random], None], dice: random.Random
) -> tuple[Snapshot | None, bool]:
    """Start a study and break it.

    Returns the results that were complete then, None where it had ended before; and whether a process was left.
    """
    process = study.start()
    n_before = dice.randint(1, N_SMALL - 1)
    wait_until(lambda: study.has_results(n_before) or process.poll() is not None)
    time.sleep(dice.uniform(0, 0.1))
    before = take_snapshot(study.logdir)
    if process.poll() is not None:
        return None, False
    fault(process, dice)
    code = process.wait(PATIENCE_S)
    has_left = not wait_until(lambda: group_is_gone(process.pid), patience_s=30)
    if fault is kill_worker:
        return before, has_left
    return None if code == 0 else take_snapshot(study.logdir), has_left


# --- a disk that fills up --------------------------------------------------------------------------------------------


def try_full_disk(n_times: int, *, reference: Path, work: Path, seed: int) -> Row:
    """Run out of room at a random moment, make room and go on."""
    tally = Tally("disk full, a tmpfs of 2 MB", n_times)
    dice = random.Random(f"disk {seed}")  # noqa: S311 - moments, not secrets
    n_roomy = 0
    while tally.tried < n_times:
        with small_disk(work / "disk") as disk:
            if disk is None:
                return tally.row("not tried: to mount a file system takes root")
            filler = fill(disk, bytes_left=dice.randint(0, 250) << 10)
            study = Study(disk / "logs", work / "output.txt")
            code = study.start().wait(PATIENCE_S)
            before = take_snapshot(study.logdir)
            filler.unlink()
            if code == 0:
                n_roomy += 1
            else:
                tally.go_on(study, before, reference)
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
    study = Study(work / "long", work / "output.txt", ["--study", str(plan), "--seeds", str(n_trials // 2)])
    process = study.start()
    weights: dict[int, list[tuple[int, int, int]]] = {}
    while process.poll() is None:
        n_results = len(list(find_results(study.logdir)))
        for worker in find_workers(process.pid):
            with suppress(OSError, IndexError):
                weights.setdefault(worker, []).append((n_results, *weigh(worker)))
        time.sleep(SAMPLE_S)
    if process.returncode:
        raise RuntimeError(study.output.read_text(encoding="utf-8", errors="replace"))
    runs = [read_result(path)[1] for path in find_results(study.logdir)]
    n_again = sum(run.attempt > 1 for run in runs)
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


# --- the table -------------------------------------------------------------------------------------------------------


def run_all(n_times: int, *, n_trials: int, work: Path, seed: int) -> Iterator[Row]:
    """A row per fault: `n_times` strikes by -9 in all, a fifth as many of each of the others, and the long run."""
    reference = Study(work / "reference", work / "output.txt")
    reference.finish()
    kills = [fault for fault in FAULTS if FAULTS[fault] is not interrupt]
    for number, fault in enumerate(kills):
        share = len(range(number, n_times, len(kills)))
        yield try_fault(fault, share, reference=reference.logdir, work=work, seed=seed)
    few = max(1, n_times // 5)
    for fault in FAULTS:
        if fault not in kills:
            yield try_fault(fault, few, reference=reference.logdir, work=work, seed=seed)
    yield try_full_disk(few, reference=reference.logdir, work=work, seed=seed)
    if n_trials:
        yield try_long_run(n_trials, work=work)


def format_table(rows: Sequence[Row]) -> str:
    """The rows as a table in Markdown."""
    names = [field.name for field in fields(Row)]
    lines = [names, ["---"] * len(names), *([str(value) for value in asdict(row).values()] for row in rows)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def write_tables(rows: Sequence[Row], path: Path) -> None:
    """Write the table as CSV to `path`, and as Markdown beside it."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Row)])
        writer.writeheader()
        writer.writerows(asdict(row) for row in rows)
    path.with_suffix(".md").write_text(format_table(rows) + "\n", encoding="utf-8")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the faults and print the table; 1 where a trial was lost, doubled or differs, or a process left."""
    parser = argparse.ArgumentParser(description="Break running studies at random moments, and count what is lost.")
    add = parser.add_argument
    add("--times", type=int, default=100, metavar="N", help="strikes by kill -9 (default: 100)")
    add("--trials", type=int, default=1000, metavar="N", help="trials of the long run; 0 leaves it out (default: 1000)")
    add("--seed", type=int, default=0, metavar="N", help="of the random moments (default: 0)")
    add("--output", type=Path, default=ROOT / "benchmarks" / "chaos.csv", metavar="FILE",
        help="the table as CSV, and as Markdown beside it (default: benchmarks/chaos.csv)")  # fmt: skip
    arguments = parser.parse_args(argv)
    if not sys.platform.startswith("linux"):
        parser.error(f"processes are looked at as Linux shows them; this is {sys.platform}")
    with tempfile.TemporaryDirectory(prefix="gridstudy-chaos-") as work:
        rows = list(run_all(arguments.times, n_trials=arguments.trials, work=Path(work), seed=arguments.seed))
    print(format_table(rows))
    write_tables(rows, arguments.output)
    return int(any(row.lost or row.doubled or row.differing or row.left_behind for row in rows))


if __name__ == "__main__":
    sys.exit(main())
