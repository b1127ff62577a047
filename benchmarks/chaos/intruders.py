"""What others do to a study that runs or waits: foreign code, removed locks and folders, changed and forged files."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from benchmarks.chaos.studies import (
    ROOT,
    Row,
    Run,
    Snapshot,
    Study,
    Tally,
    take_snapshot,
    wait_for_a_moment,
    wait_until,
)
from gridstudy.core.lock import HOLDER_FILE, LOCK_FILE
from gridstudy.records.tables import find_results
from gridstudy.records.toml import read_toml, write_toml
from gridstudy.records.trials import ERROR_FILE

FOREIGN_MODULE = """
import os
open({marker!r}, "a").close()
raise SystemExit("a module of the current folder was executed")
"""
SHADOWED = ("torch", "random", "token", "numpy", "json", "tomlserializer")


def start_and_kill(study: Study, dice: random.Random) -> Snapshot:
    """Leave a study with some of its results: kill it at a random moment; the results that are complete."""
    run = study.start()
    wait_for_a_moment(study, run, dice)
    with suppress(ProcessLookupError):
        os.killpg(run.process.pid, 9)
    run.wait()
    return take_snapshot(study.logdir)


# --- foreign code ----------------------------------------------------------------------------------------------------


def try_foreign_package(fault: str, n_times: int, *, reference: Path, work: Path, seed: int) -> Row:
    """Run and resume from a folder with a gridstudy of other seeds, and modules that end whoever imports them."""
    tally, dice = Tally(fault, n_times, reference), random.Random(f"{fault} {seed}")  # noqa: S311
    folder, marker = work / "elsewhere", work / "executed"
    shutil.copytree(ROOT / "gridstudy", folder / "gridstudy")
    training = folder / "gridstudy" / "fashion" / "training.py"
    text = training.read_text(encoding="utf-8").replace("trial.seed", "(trial.seed + 1)")
    assert "(trial.seed + 1)" in text
    training.write_text(text, encoding="utf-8")
    while tally.tried < n_times:
        for name in SHADOWED:
            (folder / f"{name}.py").unlink(missing_ok=True)
        for name in dice.sample(SHADOWED, dice.randint(0, 2)):
            (folder / f"{name}.py").write_text(FOREIGN_MODULE.format(marker=str(marker)), encoding="utf-8")
        study = Study(work / "struck", work, folder=folder)
        before = start_and_kill(study, dice)
        tally.go_on(study, before)
        shutil.rmtree(study.logdir)
    shutil.rmtree(folder)
    tally.differing += marker.exists()
    return tally.row()


# --- the log directory -----------------------------------------------------------------------------------------------


class Watch:
    """Results as they were first seen; counts those that are replaced or vanish later."""

    def __init__(self, logdir: Path) -> None:
        self.logdir = logdir
        self.first: dict[Path, Any] = {}
        self.replaced: set[Path] = set()

    def look(self) -> None:
        for path, found in take_snapshot(self.logdir).items():
            if self.first.setdefault(path, found) != found:
                self.replaced.add(path)

    def until_both_end(self, *runs: Run) -> bool:
        """Look on until all have ended; whether they did."""

        def have_ended() -> bool:
            self.look()
            return all(run.has_ended() for run in runs)

        ended = wait_until(have_ended)
        self.look()
        return ended


def try_unlinked_lock(fault: str, n_times: int, *, reference: Path, work: Path, seed: int) -> Row:
    """Remove the lock, its holder file or both while a study runs, start it a second time, then go on."""
    tally, dice = Tally(fault, n_times, reference), random.Random(f"{fault} {seed}")  # noqa: S311
    n_refused = 0
    while tally.tried < n_times:
        study = Study(work / "struck", work)
        first = study.start()
        if wait_for_a_moment(study, first, dice):
            watch = Watch(study.logdir)
            watch.look()
            for name in dice.choice([[LOCK_FILE], [HOLDER_FILE], [LOCK_FILE, HOLDER_FILE]]):
                (study.logdir / name).unlink(missing_ok=True)
            second = study.start("second")
            watch.until_both_end(first, second)
            ends = [tally.note_end(run, study) for run in (first, second)]
            n_refused += sum(ended.code == 2 for ended in ends)
            tally.doubled += len(watch.replaced)
            tally.go_on(study, watch.first)
        else:
            tally.note_end(first, study)
        shutil.rmtree(study.logdir)
    return tally.row(f"{n_refused} of the runs stopped with one line")


def try_deleted_logdir(fault: str, n_times: int, *, reference: Path, work: Path, seed: int) -> Row:
    """Delete the log directory while a study runs, half of the times start it again at once, then go on."""
    tally, dice = Tally(fault, n_times, reference), random.Random(f"{fault} {seed}")  # noqa: S311
    n_refused = 0
    while tally.tried < n_times:
        study = Study(work / "struck", work)
        runs = [study.start()]
        if wait_for_a_moment(study, runs[0], dice):
            while study.logdir.exists():  # the runner may write there meanwhile
                shutil.rmtree(study.logdir, ignore_errors=True)
            if dice.random() < 0.5:
                runs.append(study.start("second"))
            watch = Watch(study.logdir)
            watch.until_both_end(*runs)
            ends = [tally.note_end(run, study) for run in runs]
            n_refused += sum(ended.code == 2 for ended in ends)
            tally.doubled += len(watch.replaced)
            tally.go_on(study, watch.first)
        else:
            tally.note_end(runs[0], study)
        shutil.rmtree(study.logdir)
    return tally.row(f"{n_refused} of the runs stopped with one line; what was deleted does not count as lost")


# --- the data cache --------------------------------------------------------------------------------------------------


def _zero(path: Path) -> None:
    path.chmod(0o600)
    with path.open("r+b") as file:
        file.seek(128)
        file.write(bytes(path.stat().st_size - 128))


def _cut(path: Path) -> None:
    path.chmod(0o600)
    os.truncate(path, path.stat().st_size // 2)


def _replace(path: Path) -> None:
    other = path.with_suffix(".other")
    other.write_bytes(bytes(path.stat().st_size))
    other.replace(path)


def _remove(path: Path) -> None:
    path.unlink()


def try_changed_cache(fault: str, n_times: int, *, reference: Path, work: Path, seed: int) -> Row:
    """Change images or labels of the data cache while a study runs, then go on."""
    tally, dice = Tally(fault, n_times, reference), random.Random(f"{fault} {seed}")  # noqa: S311
    n_stopped = 0
    while tally.tried < n_times:
        study = Study(work / "struck", work, environment={"GRIDSTUDY_CACHE": str(work / "cache")})
        run = study.start()
        if is_under_way := wait_for_a_moment(study, run, dice):
            before = take_snapshot(study.logdir)
            change = dice.choice([_zero, _cut, _replace, _remove])
            change(dice.choice(sorted(work.glob("cache/garments-small-*/*.npy"))))
        ended = tally.note_end(run, study)
        n_stopped += ended.code == 2
        if is_under_way:
            tally.go_on(study, before)
        shutil.rmtree(study.logdir)
    shutil.rmtree(work / "cache")
    return tally.row(f"{n_stopped} stopped with one line; the others had read what was changed")


# --- records ---------------------------------------------------------------------------------------------------------

FORGERIES: Mapping[str, Callable[[dict[str, Any]], Any]] = {
    "empty curves": lambda r: r["outcome"]["curves"].update({name: [] for name in r["outcome"]["curves"]}),
    "uneven curves": lambda r: r["outcome"]["curves"]["train_loss"].append(0.5),
    "curves of texts": lambda r: r["outcome"]["curves"].update(train_loss=["low"]),
    "a score of text": lambda r: r["outcome"].update(score="0.9"),
    "a score that is no number": lambda r: r["outcome"].update(score=float("nan")),
    "a list as host": lambda r: r["run"].update(host=["here"]),
    "a number as host": lambda r: r["run"].update(host=7),
    "a negative seed": lambda r: r["outcome"].update(seed=-1),
    "another seed": lambda r: r["outcome"].update(seed=77),
    "a table as subject": lambda r: r["outcome"].update(subject={}),
    "an unknown key": lambda r: r["outcome"].update(extra=1),
    "a missing key": lambda r: r["outcome"].pop("score"),
    "no run": lambda r: r.pop("run"),
    "texts as budgets": lambda r: r["outcome"]["budgets"].update(updates="many"),
    "a confusion that is not square": lambda r: r["outcome"].update(confusion=["1 2", "3"]),
    "another value": lambda r: r["outcome"]["configuration"].update(epochs=77),
    "an integer of 400 digits": lambda r: r["outcome"].update(test_score=10**400),
}
"""Changes of a record, which then gets a checksum that is right."""


def try_forged_records(fault: str, n_times: int, *, reference: Path, work: Path, seed: int) -> Row:
    """Forge records of a killed study with checksums that are right, analyse and go on."""
    tally, dice = Tally(fault, n_times, reference), random.Random(f"{fault} {seed}")  # noqa: S311
    n_forged = n_believed = 0
    while tally.tried < n_times:
        study = Study(work / "struck", work)
        start_and_kill(study, dice)
        paths = list(find_results(study.logdir))
        forged = dice.sample(paths, dice.randint(1, len(paths)))
        for path in forged:
            record = read_toml(path)
            FORGERIES[dice.choice(sorted(FORGERIES))](record)
            write_toml(path, record)
        n_forged += len(forged)
        before = take_snapshot(study.logdir)
        n_believed += len(before.keys() & set(forged))
        tally.check(study.analyse())
        tally.go_on(study, before)
        shutil.rmtree(study.logdir)
    tally.differing += n_believed
    return tally.row(f"{n_forged} records forged in {len(FORGERIES)} ways, {n_believed} believed")


def try_pipes(fault: str, n_times: int, *, reference: Path, work: Path, seed: int) -> Row:
    """Put a pipe, or a link to an endless file, in place of files of a killed study, analyse and go on."""
    tally, dice = Tally(fault, n_times, reference), random.Random(f"{fault} {seed}")  # noqa: S311
    n_refused = 0
    patterns = ("*/*/result.toml", "*/*/trial.toml", "*/*/trial.log", "*/*/*/settings.toml", "*/*/*/events.out.*",
                "experiments/*.toml", HOLDER_FILE, LOCK_FILE)  # fmt: skip
    while tally.tried < n_times:
        study = Study(work / "struck", work)
        start_and_kill(study, dice)
        found = (sorted(study.logdir.glob(pattern)) for pattern in patterns)
        places = [dice.choice(paths) for paths in found if paths]
        folder = dice.choice([path.parent for path in study.logdir.glob("*/*/trial.log")])
        struck = [*dice.sample(places, min(3, len(places))), folder / ERROR_FILE, study.logdir / "mine_results.toml"]
        for path in struck:
            path.unlink(missing_ok=True)
            os.mkfifo(path) if dice.random() < 0.7 else path.symlink_to("/dev/zero")
        before = take_snapshot(study.logdir)
        tally.check(study.analyse())
        ended = study.finish()
        if ended.code == 2:  # a plan or a lock: refused by name, and removed as the line says
            n_refused += 1
            tally.check(ended, is_false=not any(str(path) in ended.text for path in struck))
            for path in struck:
                path.unlink(missing_ok=True)
        else:
            tally.check(ended)
        tally.go_on(study, before)
        shutil.rmtree(study.logdir)
    return tally.row(f"{n_refused} runs refused a plan or a lock by its name")


STRIKES: Mapping[str, Callable[..., Row]] = {
    "a foreign gridstudy in the current folder": try_foreign_package,
    "the lock unlinked, a second runner": try_unlinked_lock,
    "the log directory deleted": try_deleted_logdir,
    "the data cache changed": try_changed_cache,
    "records forged": try_forged_records,
    "pipes and endless files": try_pipes,
}
