"""Measure the study side by side with the loops that people write, and against the machine: `make benchmark`.

All of it is timed from command to exit, start-up included, in interleaved rounds whose order turns, so that drift
cancels. The loops train every entry of the seven experiments. The study trains a configuration that several
experiments share once, 56 for 61 entries, so both the times per entry and per trained configuration are given.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from benchmarks.decided import measure_decided
from benchmarks.growth import GROWTH_TRIALS, measure_growth, measure_memory
from benchmarks.machine import describe_machine
from benchmarks.measurement import Measurement, print_tables, write_csv
from benchmarks.phases import measure_commands, measure_updates
from benchmarks.rounds import choose_contestants, compare
from benchmarks.setting import ROOT, list_entries, prepare_setting

EPILOG = """\
examples:
  make benchmark                                                      three rounds of everything: most of an hour
  python -m benchmarks.compare --data-dir ../shared/fashion-mnist --rounds 1 --only ours,naive
  python -m benchmarks.compare --dataset garments-small --entries 3 --scale 0.02 --rounds 1    does it work at all
"""


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.compare",
        description=__doc__,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--rounds", type=int, default=3, metavar="N", help="times that each side is run (default: 3)")
    add("--only", type=lambda text: text.split(","), metavar="NAMES",
        help="of ours,bare,naive,optuna,ray (default: all that is installed)")  # fmt: skip
    add("--headline", action="store_true", help="also five seeds of all, to be held against the loops' one")
    add("--growth", action="store_true", help=f"also {GROWTH_TRIALS[0]} to {GROWTH_TRIALS[-1]} tiny trials")
    add("--decided", action="store_true", help="also the study until its hypotheses are decided, at 80 seeds at most")
    add("--entries", type=int, metavar="N", help=f"only the first N of the {len(list_entries())} entries, to try it")
    add("--scale", type=float, default=1.0, metavar="F",
        help="so many times the updates, and in the loops validation images, to try it (default: 1)")  # fmt: skip
    add("--data-dir", type=Path, default=_default_data(), metavar="DIR", help="Fashion-MNIST (default: as the study)")
    add("--dataset", choices=["auto", "fashion-mnist", "garments", "garments-small"], default="auto",
        help="as of the study (default: auto)")  # fmt: skip
    add("--output", type=Path, default=ROOT / "benchmarks" / "results.csv", metavar="FILE",
        help="the table as CSV (default: benchmarks/results.csv)")  # fmt: skip
    return parser


def _default_data() -> Path | None:
    return Path(os.environ["FASHION_MNIST_DIR"]) if os.environ.get("FASHION_MNIST_DIR") else None


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print and write."""
    arguments = build_parser().parse_args(argv)
    if arguments.dataset.startswith("garments"):
        arguments.data_dir = None
    from gridstudy.fashion.sources import DataError

    try:
        contestants = choose_contestants(arguments.only, headline=arguments.headline)
        measurements = measure(arguments, contestants)
    except (ValueError, DataError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    from rich.console import Console

    print_tables(measurements, Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else 150))
    write_csv(arguments.output, measurements)
    print(f"written to {arguments.output}")
    return 0


def measure(arguments: argparse.Namespace, contestants: Sequence[str]) -> list[Measurement]:
    """Everything that was asked for, in a temporary folder."""
    say = partial(print, file=sys.stderr, flush=True)
    measurements = list(describe_machine())
    with tempfile.TemporaryDirectory(prefix="gridstudy-benchmark-") as name:
        work = Path(name)
        say("preparing the data")
        setting, prepared, prepare_s = prepare_setting(arguments, work)
        compared, run = compare(contestants, setting, prepared, n_rounds=arguments.rounds, say=say)
        measurements += compared
        measurements.append(
            Measurement("phases", "preparing the data, once for all runs", prepare_s, "s", note="not in any time above")
        )
        say("phases")
        measurements += measure_commands(setting, run)
        measurements += measure_updates(prepared, work)
        say("memory")
        measurements += measure_memory(setting)
        if arguments.growth:
            say("growth")
            measurements += measure_growth(setting)
        if arguments.decided:
            say("until the hypotheses are decided")
            measurements += measure_decided(setting)
    return measurements


if __name__ == "__main__":
    sys.exit(main())
