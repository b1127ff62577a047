"""Studies to be struck: start one, look at it from outside, go on with it, and count what became of its trials.

A trial is lost when its result was there before and is not at the end, doubled when its result was there and was made
again, differing when its outcome is not that of an undisturbed study to the last bit. A run is rude when it hangs, ends
in a traceback, or calls a study complete that is not.
"""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from gridstudy.records.comparison import compare_outcomes
from gridstudy.records.tables import find_results
from gridstudy.records.toml import RecordError
from gridstudy.records.trials import read_result, trial_folder

ROOT = Path(__file__).resolve().parents[2]
SMALL = ("batch_size", "--dataset", "garments-small", "--set", "train_steps=5", "--seeds", "2")
N_TRIALS = 12
"""What both the small study and that on real data train."""

PATIENCE_S = 300.0


class Fingerprint(NamedTuple):
    """Tells a file that was written again from one that was left alone, whatever it says."""

    inode: int
    changed_ns: int


Snapshot = Mapping[Path, Fingerprint]


@dataclass(frozen=True)
class Row:
    """How often a fault was tried, what became of the trials, how often a process outlived its study or was rude."""

    fault: str
    tried: int
    lost: int
    doubled: int
    differing: int
    left_behind: int = 0
    rude: int = 0
    note: str = ""


class Ended(NamedTuple):
    """How a run ended: its exit code, None where it had to be killed, and what it said."""

    code: int | None
    text: str

    @property
    def is_rude(self) -> bool:
        return self.code is None or "Traceback" in self.text

    @property
    def n_trained(self) -> int | None:
        """How many trials the run says that it trained."""
        found = re.search(r"([\d,]+) of them trained now", self.text)
        return int(found[1].replace(",", "")) if found else None


@dataclass
class Study:
    """A study's log directory, the folder for what it says, and how it is started."""

    logdir: Path
    work: Path
    arguments: Sequence[str] = SMALL
    folder: Path = ROOT
    environment: Mapping[str, str] = field(default_factory=dict)
    prefix: Sequence[str] = ()

    @property
    def command(self) -> list[str]:
        script = [sys.executable, str(ROOT / "grid_search_experiments.py")]
        return [*self.prefix, *script, "--workers", "2", "--logdir", str(self.logdir), *self.arguments]

    def start(self, name: str = "output") -> Run:
        """Start it in a process group of its own."""
        output = self.work / f"{name}.txt"
        with output.open("wb") as file:
            process = subprocess.Popen(  # noqa: S603 - our own command
                self.command, cwd=self.folder, env={**os.environ, **self.environment}, start_new_session=True,
                preexec_fn=hear_interruptions,  # noqa: PLW1509 - no threads here
                stdin=subprocess.DEVNULL, stdout=file, stderr=file,
            )  # fmt: skip
        return Run(process, output)

    def finish(self) -> Ended:
        """Run it to its end."""
        return self.start().wait()

    def analyse(self) -> Ended:
        """Analyse what is there."""
        command = [sys.executable, str(ROOT / "analyze_results.py"), "--logdir", str(self.logdir)]
        command += ["--output", str(self.work / "analysis")]
        try:
            ended = subprocess.run(  # noqa: S603 - our own command
                command, cwd=self.folder, env={**os.environ, **self.environment}, capture_output=True, text=True,
                errors="replace", timeout=PATIENCE_S, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return Ended(None, "")
        return Ended(ended.returncode, ended.stdout + ended.stderr)


@dataclass
class Run:
    """A study that runs, and the file that holds what it says."""

    process: subprocess.Popen[bytes]
    output: Path

    def has_ended(self) -> bool:
        return self.process.poll() is not None

    def wait(self) -> Ended:
        """How it ended; kills it after PATIENCE_S."""
        code: int | None
        try:
            code = self.process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            code = None
        return Ended(code, self.output.read_text(encoding="utf-8", errors="replace"))

    def has_left(self) -> bool:
        """Whether a process of an ended run is still there after half a minute; kills it."""
        if wait_until(lambda: group_is_gone(self.process.pid), patience_s=30):
            return False
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        return True


def hear_interruptions() -> None:
    """Undo what a shell does to a command in the background, whose children would be deaf to Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def count_results(logdir: Path) -> int:
    """How many results are there, whole or not."""
    return len(list(find_results(logdir)))


def take_snapshot(logdir: Path) -> Snapshot:
    """The results that are complete now, and lie where they belong."""
    found = {}
    for path in find_results(logdir):
        with suppress(RecordError, FileNotFoundError):
            if path.parent != trial_folder(logdir, read_result(path)[0].trial):
                continue
            found[path] = Fingerprint(path.stat().st_ino, path.stat().st_mtime_ns)
    return found


def wait_until(condition: Callable[[], object], *, patience_s: float = PATIENCE_S) -> bool:
    """Look often; whether it came true within `patience_s`."""
    deadline = time.monotonic() + patience_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.003)
    return True


def wait_for_a_moment(study: Study, run: Run, dice: random.Random) -> bool:
    """Wait for a random moment between the first result and the last; whether the run was still under way then."""
    n_before = dice.randint(1, N_TRIALS - 1)
    wait_until(lambda: count_results(study.logdir) >= n_before or run.has_ended())
    time.sleep(dice.uniform(0, 0.1))
    return not run.has_ended()


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


@dataclass
class Tally:
    """What has been counted of one fault; `n_times` strikes are wanted, held against the study in `reference`."""

    fault: str
    n_times: int
    reference: Path
    tried: int = 0
    lost: int = 0
    doubled: int = 0
    differing: int = 0
    left_behind: int = 0
    rude: int = 0

    def note_end(self, run: Run, study: Study) -> Ended:
        """Wait for a struck run and count what is wrong with its end."""
        ended = run.wait()
        self.left_behind += run.has_left()
        self.check(ended, is_false=ended.code == 0 and count_results(study.logdir) < N_TRIALS)
        return ended

    def check(self, ended: Ended, *, is_false: bool = False) -> None:
        """Count a run that was rude, or that claims what is false, and show what it said."""
        if ended.is_rude or is_false:
            self.rude += 1
            print(f"{self.fault}: exit code {ended.code}\n{ended.text}", file=sys.stderr)

    def go_on(self, study: Study, before: Snapshot) -> None:
        """Give the study's command again, and count the trials lost, doubled and differing."""
        n_complete = len(take_snapshot(study.logdir))
        ended = study.finish()
        self.check(ended, is_false=ended.n_trained is None)
        n_trained = ended.n_trained or 0
        after = take_snapshot(study.logdir)
        made_again = sum(path in after and after[path] != fingerprint for path, fingerprint in before.items())
        self.tried += 1
        self.lost += sum(path not in after for path in before)
        self.doubled += max(made_again, n_trained - (N_TRIALS - n_complete))
        self.differing += len(compare_outcomes(self.reference, study.logdir)) if after else N_TRIALS
        print(
            f"{self.fault}: {self.tried} of {self.n_times}, {n_complete} of {N_TRIALS} were complete; "
            f"lost {self.lost}, doubled {self.doubled}, differing {self.differing}, rude {self.rude}",
            file=sys.stderr,
        )

    def row(self, note: str = "") -> Row:
        return Row(
            self.fault, self.tried, self.lost, self.doubled, self.differing, self.left_behind, self.rude, note
        )  # fmt: skip
