"""Other people's machines: file systems, clones by Git for Windows, hosts without common locks, copies."""

from __future__ import annotations

import errno
import os
import random
import shutil
import subprocess
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from benchmarks.chaos.intruders import Watch, start_and_kill
from benchmarks.chaos.studies import N_TRIALS, Row, Study, Tally, count_results, take_snapshot, wait_until
from gridstudy.core.files import CANNOT_FLUSH
from gridstudy.core.lock import HOLDER_FILE
from gridstudy.records.tables import find_results, load_records

SHIM = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
int flock(int file, int how) {
    const char *answer = getenv("CHAOS_FLOCK");
    if (answer && atoi(answer)) { errno = atoi(answer); return -1; }
    if (answer) return 0;
    return ((int (*)(int, int))dlsym(RTLD_NEXT, "flock"))(file, how);
}
int fsync(int file) {
    struct stat status;
    const char *answer = getenv("CHAOS_FSYNC");
    if (answer && fstat(file, &status) == 0 && S_ISDIR(status.st_mode)) { errno = atoi(answer); return -1; }
    return ((int (*)(int))dlsym(RTLD_NEXT, "fsync"))(file);
}
"""


def build_shim(work: Path) -> Path | None:
    """A library that answers for flock and fsync as CHAOS_FLOCK and CHAOS_FSYNC say; None without a C compiler."""
    compiler = shutil.which("cc")
    if compiler is None:
        return None
    source, library = work / "shim.c", work / "shim.so"
    source.write_text(SHIM, encoding="utf-8")
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)  # noqa: S603
    return library


def try_unflushed_folders(fault: str, n_times: int, *, reference: Path, work: Path, seed: int) -> Row:
    """Run, kill and resume where the system cannot flush folders, and analyse there."""
    tally, dice = Tally(fault, n_times, reference), random.Random(f"{fault} {seed}")  # noqa: S311
    shim = build_shim(work)
    if shim is None:
        return tally.row("not tried: there is no C compiler")
    while tally.tried < n_times:
        answer = {"CHAOS_FSYNC": str(dice.choice(CANNOT_FLUSH)), "LD_PRELOAD": str(shim)}
        study = Study(work / "struck", work, environment={**answer, "GRIDSTUDY_CACHE": str(work / "cache")})
        before = start_and_kill(study, dice)
        tally.go_on(study, before)
        ended = study.analyse()
        tally.check(ended, is_false=ended.code != 0)
        shutil.rmtree(study.logdir)
    return tally.row()


def try_two_hosts(fault: str, n_times: int, *, reference: Path, work: Path, seed: int) -> Row:
    """Start a study on two hosts at once whose file locks do not see each other, or are not there at all.

    One in five times the one that works is killed, and the other has to take over, which takes a minute.
    """
    tally, dice = Tally(fault, n_times, reference), random.Random(f"{fault} {seed}")  # noqa: S311
    shim, unshare = build_shim(work), shutil.which("unshare")
    if shim is None or unshare is None or os.geteuid() != 0:
        return tally.row("not tried: it takes root and a C compiler")
    n_taken_over = 0
    while tally.tried < n_times:
        answer = dice.choice([0, errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS])
        hosts = [
            Study(
                work / "struck", work, environment={"CHAOS_FLOCK": str(answer), "LD_PRELOAD": str(shim)},
                prefix=[unshare, "-u", "-p", "-f", "--mount-proc", "sh", "-c", f'hostname {name}; exec "$@"', "sh"],
            )
            for name in ("first", "second")
        ]  # fmt: skip
        runs = [host.start(name) for name, host in zip(("first", "second"), hosts, strict=True)]
        watch = Watch(hosts[0].logdir)
        if is_killed := tally.tried % 5 == 0:
            wait_until(lambda: count_results(hosts[0].logdir) > 3 or all(run.has_ended() for run in runs))  # noqa: B023
            watch.look()
            waiting = [run for run in runs if not run.has_ended()]
            holder = (hosts[0].logdir / HOLDER_FILE).read_text(encoding="utf-8").splitlines()[0]
            working = runs["on second" in holder]
            os.killpg(working.process.pid, 9)
            working.wait()
            if len(waiting) < 2 and working in waiting:
                runs = [working, hosts[0].start("third")]
        watch.until_both_end(*runs)
        ends = [tally.note_end(run, hosts[0]) for run in runs if not (is_killed and run is working)]
        n_taken_over += any("took over" in ended.text for ended in ends)
        tally.check(ends[0], is_false=all(ended.code != 0 for ended in ends))
        tally.doubled += len(watch.replaced) + max(0, sum(e.n_trained or 0 for e in ends) - N_TRIALS)
        tally.go_on(hosts[0], watch.first)
        shutil.rmtree(hosts[0].logdir)
    return tally.row(f"{n_taken_over} took over from a killed one after a minute")


def try_windows_line_ends(fault: str, n_times: int, *, reference: Path, work: Path, seed: int) -> Row:
    """Commit a killed study to git, clone it as Git for Windows does, analyse the clone and go on there."""
    tally, dice = Tally(fault, n_times, reference), random.Random(f"{fault} {seed}")  # noqa: S311
    git = shutil.which("git")
    if git is None:
        return tally.row("not tried: there is no git")
    identity = ["-c", "user.name=chaos", "-c", "user.email=chaos@localhost"]
    n_files = 0
    while tally.tried < n_times:
        study, clone = Study(work / "struck", work), Study(work / "clone", work)
        n_complete = len(start_and_kill(study, dice))
        if dice.random() < 0.8:  # what .gitattributes keeps from git, other programs do
            (study.logdir / ".gitattributes").unlink(missing_ok=True)
        for command in (["init", "-q"], ["add", "-A"], [*identity, "commit", "-qm", "logs"]):
            subprocess.run([git, *command], cwd=study.logdir, check=True)  # noqa: S603
        subprocess.run(  # noqa: S603
            [git, "-c", "core.autocrlf=true", "clone", "-q", str(study.logdir), str(clone.logdir)], check=True
        )
        n_files += sum(b"\r\n" in path.read_bytes() for path in find_results(clone.logdir))
        before = take_snapshot(clone.logdir)
        tally.lost += n_complete - len(before)
        tally.check(clone.analyse())
        tally.go_on(clone, before)
        shutil.rmtree(study.logdir)
        shutil.rmtree(clone.logdir)
    return tally.row(f"{n_files} records had CRLF")


COPIES = (" - Copy", " (1)", "_backup", ".sync-conflict-20260101-120000-ABCDEFG", " (conflicted copy)", "~")


def try_copies(fault: str, n_times: int, *, reference: Path, work: Path, seed: int) -> Row:
    """Copy or move trial folders as file managers and sync clients do, analyse and go on."""
    tally, dice = Tally(fault, n_times, reference), random.Random(f"{fault} {seed}")  # noqa: S311
    n_copies = 0
    while tally.tried < n_times:
        study = Study(work / "struck", work)
        before = start_and_kill(study, dice)
        for path in dice.sample(sorted(before), dice.randint(1, len(before))):
            place = path.parent
            if dice.random() < 0.3:
                place = place.parent
            name = dice.choice([f"{place.name}{dice.choice(COPIES)}", "seed99-0123abcd", f"._{place.name}"])
            with suppress(FileExistsError):
                shutil.copytree(place, place.with_name(name))
                n_copies += 1
        tally.check(study.analyse())
        tally.doubled += len(load_records(study.logdir).trials) - len(before)
        tally.go_on(study, before)
        shutil.rmtree(study.logdir)
    return tally.row(f"{n_copies} copies made; an analysis that counts one counts as doubled")


STRIKES: Mapping[str, Callable[..., Row]] = {
    "folders that cannot be flushed": try_unflushed_folders,
    "line ends of Git for Windows": try_windows_line_ends,
    "two hosts without common locks": try_two_hosts,
    "copies of trials": try_copies,
}
