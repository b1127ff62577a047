"""Print what README.md and README_EXECUTION.md quote of benchmarks/results.csv: `python -m benchmarks.table`.

With `--write` it goes into the two files, between `<!-- benchmark -->` and `<!-- /benchmark -->`.
"""

from __future__ import annotations

import argparse
import re
import sys
import textwrap
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from statistics import median

from benchmarks.measurement import Measurement, read_csv
from benchmarks.rounds import HEADLINE, LOOPS, OURS
from benchmarks.setting import ROOT

RESULTS = ROOT / "benchmarks" / "results.csv"
BEGIN, END = "<!-- benchmark -->\n", "<!-- /benchmark -->\n"
LOOP_NAMES = {
    "bare": "a bare torch loop in two processes",
    "naive": "mltrainer's `Trainer`, one trial after another",
    "optuna": "Optuna's GridSampler around that, two jobs",
    "ray": "Ray Tune around that, two CPUs",
}
SHARE = "share of the best matrix peak"


class Results:
    """The measurements of one benchmark, found by section and quantity."""

    def __init__(self, measurements: Sequence[Measurement]) -> None:
        self._measurements = measurements

    def rows(self, section: str, quantity: str) -> list[Measurement]:
        """The rows of all rounds; a quantity that ends in `*` stands for all that begin so."""
        return [m for m in self._measurements if m.section == section and fnmatchcase(m.quantity, quantity)]

    def spread(self, section: str, quantity: str, unit: str = "") -> str:
        """Median [least, most] over the rounds; the value alone of one round; empty where it was not measured."""
        values = [m.value for m in self.rows(section, quantity)]
        if not values:
            return ""
        middle, *ends = (_round(f(values)) for f in (median, min, max))
        return f"{middle}{unit}" + (f" [{ends[0]}, {ends[1]}]" if len(values) > 1 else "")

    def machine(self) -> str:
        """Cores, processor and load."""
        (cores,), (load,) = self.rows("machine", "cores"), self.rows("machine", "load at the start")
        processor = cores.note.split(", Linux")[0]
        return f"{cores.value:.0f} cores of {processor}, load {load.value:.1f} at the start"

    def n_rounds(self) -> int:
        """How many rounds there were."""
        return max(m.round for m in self._measurements)


def _round(value: float) -> str:
    return f"{value:.2f}" if abs(value) < 1 else f"{value:.1f}" if abs(value) < 10 else f"{value:,.0f}"


def readme_lines(results: Results) -> Iterator[str]:
    """One item of README's list."""
    ratios = ", ".join(
        f"{results.spread('ratios', f'{loop} / {OURS}: time')} times with {name.partition(',')[0]}"
        for loop, name in LOOP_NAMES.items()
        if results.rows("ratios", f"{loop} / {OURS}: time")
    )
    five, one = (results.spread("comparison", f"{name}: time", " s") for name in (HEADLINE, OURS))
    text = (
        f"- Speed, median [least, most] of {results.n_rounds()} rounds on {results.machine()}: the seven experiments "
        f"take {five} with five seeds and {one} with one. One seed takes longer elsewhere: {ratios}. "
        "The ratios depend on the processor: on how fast it multiplies matrices, which is most of our time, and on "
        "how fast it runs Python, which is most of the loops'."
    )
    yield from textwrap.wrap(text, 128, subsequent_indent="  ", break_on_hyphens=False)


def guide_lines(results: Results) -> Iterator[str]:
    """The comparison and what is inside, as Markdown tables."""
    packages = results.rows("machine", "packages")[0].note
    yield f"Measured in {results.n_rounds()} rounds on {results.machine()}; {packages}."
    yield ""
    yield "| seven experiments, one seed | time, median [least, most] | times as long as ours | per network trained |"
    yield "| --- | --- | --- | --- |"
    yield f"| this study | {results.spread('comparison', f'{OURS}: time', ' s')} | | |"
    for loop in LOOPS:
        if time := results.spread("comparison", f"{loop}: time", " s"):
            ratios = (results.spread("ratios", f"{loop} / {OURS}: {what}") for what in ("time", "time per trial"))
            yield f"| {LOOP_NAMES[loop]} | {time} | {' | '.join(ratios)} |"
    yield f"| this study, **five** seeds | {results.spread('comparison', f'{HEADLINE}: time', ' s')} | | |"
    yield ""
    if five := results.rows("ratios", f"naive / {HEADLINE}: time"):
        shares = [1 / m.value for m in five]
        middle, *ends = (f"{f(shares):.2f}" for f in (median, min, max))
        yield f"Our five seeds take {middle} [{', '.join(ends)}] of the time of mltrainer's loop for one."
        yield ""
    yield "| inside | measured |"
    yield "| --- | --- |"
    for label, value in inside_rows(results):
        if value:
            yield f"| {label} | {value} |"


def inside_rows(results: Results) -> Iterator[tuple[str, str]]:
    """What a study consists of; empty values stand for what was not measured."""
    for library in dict.fromkeys(m.quantity for m in results.rows("machine", "matrix peak*")):
        yield f"{library}, float32, all cores", results.spread("machine", library, " GFLOP/s")
    yield f"{SHARE} while five seeds train and are scored", results.spread(HEADLINE, SHARE, " %")
    yield f"{SHARE} with one seed", results.spread(OURS, SHARE, " %")
    yield "command to first update", results.spread(OURS, "command to first update", " s")
    phases = ("batch", "forward", "backward", "optimizer")
    update = [results.spread("update of the baseline", phase) for phase in phases]
    yield f"an update of the baseline: {', '.join(phases)}", f"{', '.join(update)} us"
    yield "scoring the baseline on 10,000 images", results.spread("phases", "evaluation of the baseline*", " ms")
    yield (
        "a trial beside its updates and its scoring: files, logs, set-up",
        results.spread("phases", "a trial beside*", " ms"),
    )
    for analysis in results.rows("phases", "analysis of*"):
        yield analysis.quantity, f"{_round(analysis.value)} s"
    memory = [
        results.spread("memory", f"{n} {noun}: all*") for n, noun in ((1, "worker"), (2, "workers"), (4, "workers"))
    ]
    yield "memory of all processes with 1, 2, 4 workers", f"{', '.join(memory)} MiB"
    for what in ("running", "nothing to do"):
        fixed, each = (
            results.spread("growth", f"{what}: {part}", unit) for part, unit in (("fixed", " s"), ("per trial", " ms"))
        )
        yield f"10 to 1,000 tiny trials, {what}", f"{fixed} and {each} each" if fixed else ""
    if decided := results.rows("until decided", "time"):
        trials, fixed = (results.spread("until decided", what) for what in ("trials", "trials of a fixed design"))
        yield (
            f"`--until-decided`, {decided[0].note}",
            f"{_round(decided[0].value)} s for {trials} trials; a fixed design of the same power needs {fixed}",
        )


def replace_between(text: str, lines: Sequence[str]) -> str:
    """The text with these lines between its two marks; ValueError where it has none."""
    pattern = re.escape(BEGIN) + ".*?" + re.escape(END)
    if not re.search(pattern, text, re.S):
        raise ValueError(f"{BEGIN.strip()} and {END.strip()} must be in the file")
    block = BEGIN + "\n".join(lines) + "\n" + END
    return re.sub(pattern, lambda match: block, text, count=1, flags=re.S)


def main(argv: Sequence[str] | None = None) -> int:
    """Print, or write, both texts."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.table", description=__doc__, allow_abbrev=False)
    parser.add_argument(
        "file", nargs="?", type=Path, default=RESULTS, metavar="FILE.csv", help="default: benchmarks/results.csv"
    )
    parser.add_argument("--write", action="store_true", help="into README.md and README_EXECUTION.md instead")
    arguments = parser.parse_args(argv)
    results = Results(read_csv(arguments.file))
    for name, lines in (("README.md", readme_lines(results)), ("README_EXECUTION.md", guide_lines(results))):
        if arguments.write:
            path = ROOT / name
            path.write_text(replace_between(path.read_text(encoding="utf-8"), list(lines)), encoding="utf-8")
        else:
            print(f"{name}:", *lines, "", sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
