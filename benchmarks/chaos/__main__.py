"""The table of `make chaos`; Linux only."""

from __future__ import annotations

import argparse
import csv
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, fields
from functools import partial
from pathlib import Path

from benchmarks.chaos import intruders, kills, machines
from benchmarks.chaos.studies import ROOT, SMALL, Row, Study

REAL_DATA = Path(os.environ.get("FASHION_MNIST_DIR") or ROOT.parent / "shared" / "fashion-mnist")


def list_faults(arguments: argparse.Namespace, work: Path) -> Iterator[tuple[str, Callable[[], Row]]]:
    """Every fault and how to try it: `times` kills in all, a fifth as many of each of the others."""
    small = partial(_try_on, SMALL, work / "small")
    few, common = max(1, arguments.times // 5), {"work": work, "seed": arguments.seed}
    for number, (fault, strike) in enumerate(kills.KILLS.items()):
        share = len(range(number, arguments.times, len(kills.KILLS)))
        yield fault, partial(small, kills.try_fault, fault, share, strike=strike, **common)
    if arguments.real and arguments.data_dir.is_dir():
        real = (*kills.REAL, "--data-dir", str(arguments.data_dir.resolve()))
        try_real = partial(_try_on, real, work / "real", kills.try_fault)
        for number, strike in enumerate((kills.kill_group, kills.kill_runner)):
            fault = f"kill -9 on real data, the {'whole process group' if number == 0 else 'runner alone'}"
            share = len(range(number, arguments.real, 2))
            yield fault, partial(try_real, fault, share, strike=strike, arguments=real, **common)
    fault = "Ctrl-C, once or twice"
    yield fault, partial(small, kills.try_fault, fault, few, strike=kills.interrupt, **common)
    fault = "a hung worker"
    limited = (*SMALL, "--trial-timeout", "4s")
    yield fault, partial(small, kills.try_fault, fault, few, strike=kills.hang_worker, arguments=limited, **common)
    fault = "disk full, a tmpfs of 2 MB"
    yield fault, partial(small, kills.try_full_disk, fault, few, **common)
    for fault, attempt in {**intruders.STRIKES, **machines.STRIKES}.items():
        yield fault, partial(small, attempt, fault, few, **common)
    if arguments.trials:
        yield f"{arguments.trials} trials in one go", partial(kills.try_long_run, arguments.trials, work=work)


def _try_on(study: Sequence[str], reference: Path, attempt: Callable[..., Row], *strikes: object, **how: object) -> Row:
    """Try a fault; the undisturbed study to hold it against is trained the first time."""
    if not reference.exists():
        ended = Study(reference, reference.parent, study).finish()
        if ended.code:
            raise RuntimeError(ended.text)
    return attempt(*strikes, reference=reference, **how)


def format_table(rows: Sequence[Row]) -> str:
    """The rows as a table in Markdown."""
    names = [field.name for field in fields(Row)]
    lines = [names, ["---"] * len(names), *([str(value) for value in asdict(row).values()] for row in rows)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def write_tables(rows: Sequence[Row], path: Path) -> None:
    """Write the table as CSV to `path`, and as Markdown beside it; rows there of faults not tried now stay."""
    rows = [*_read_others(path, rows), *rows]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Row)])
        writer.writeheader()
        writer.writerows(asdict(row) for row in rows)
    path.with_suffix(".md").write_text(format_table(rows) + "\n", encoding="utf-8")


def _read_others(path: Path, rows: Sequence[Row]) -> list[Row]:
    """The rows of a table whose faults are not among `rows`."""
    if not path.exists():
        return []
    tried, counts = {row.fault for row in rows}, [f.name for f in fields(Row) if f.type == "int"]
    with path.open(newline="", encoding="utf-8") as file:
        return [
            Row(fault=line["fault"], note=line["note"], **{name: int(line.get(name) or 0) for name in counts})
            for line in csv.DictReader(file)
            if line["fault"] not in tried
        ]


def main(argv: Sequence[str] | None = None) -> int:
    """Try the faults and print the table; 1 where a trial was lost, doubled or differs, or a run was at fault."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.chaos", description="Break running studies at random moments; count what is lost."
    )
    add = parser.add_argument
    add("--times", type=int, default=100, metavar="N",
        help="strikes by kill -9; the other faults get a fifth each (default: 100)")  # fmt: skip
    add("--real", type=int, default=50, metavar="N", help="kills of studies on Fashion-MNIST; 0: none (default: 50)")
    add("--data-dir", type=Path, default=REAL_DATA, metavar="DIR", help=f"Fashion-MNIST (default: {REAL_DATA})")
    add("--trials", type=int, default=1000, metavar="N", help="trials of the long run; 0 leaves it out (default: 1000)")
    add(
        "--only",
        default="",
        metavar="TEXT",
        help="try only the faults whose name contains this; the rows of others stay",
    )
    add("--seed", type=int, default=0, metavar="N", help="of the random moments (default: 0)")
    add("--output", type=Path, default=ROOT / "benchmarks" / "chaos.csv", metavar="FILE",
        help="the table as CSV, and as Markdown beside it (default: benchmarks/chaos.csv)")  # fmt: skip
    arguments = parser.parse_args(argv)
    if not sys.platform.startswith("linux"):
        parser.error(f"processes are looked at as Linux shows them; this is {sys.platform}")
    with tempfile.TemporaryDirectory(prefix="gridstudy-chaos-") as work:
        faults = list_faults(arguments, Path(work))
        rows = [attempt() for fault, attempt in faults if arguments.only in fault]
    print(format_table(rows))
    write_tables(rows, arguments.output)
    return int(any(row.lost or row.doubled or row.differing or row.left_behind or row.rude for row in rows))


if __name__ == "__main__":
    sys.exit(main())
