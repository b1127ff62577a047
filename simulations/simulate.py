"""Show by simulation what the estimates promise: `python -m simulations.simulate --output docs/simulations.md`.

Objectives are normal with a covariance like that of the real records: standard deviations from 0.5 to 7 percentage
points and correlations over seeds from 0 to 0.96, drawn anew for each repetition; or, with --reference, the covariance
of real records, configurations picked at random. All random seeds are fixed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from simulations.designs import racing, until_decided
from simulations.guarantees import (
    best_in_tied_set,
    best_over_looks,
    false_claims,
    false_equivalence,
    false_flags,
    interval_coverage,
    power_table,
)
from simulations.looks import (
    equivalence_price,
    false_claims_under_adversaries,
    false_equivalences_under_adversaries,
    power_at_looks,
)
from simulations.noise import Draw, covariance_factor, draw_alike, draw_noise, reference_objectives
from simulations.peers import beside_adastop
from simulations.rates import Rate, Row, format_table, format_wide
from simulations.results import simulate_folds, simulate_sessions, simulate_structures

Tables = Iterator[tuple[str, Sequence[Row], Callable[[Sequence[Any]], str]]]
"""Texts, each with the rows of the table beneath it and what formats them."""


def one_look(draw: Draw, repetitions: int) -> Tables:
    """G1 to G4 at one look, and the flags."""
    yield "Intervals, and the best of several.", [
        *interval_coverage(draw, 10 * repetitions), *best_in_tied_set(draw, repetitions)
    ], format_table  # fmt: skip
    yield "Hypotheses.", [
        *false_claims(draw, repetitions), *false_equivalence(draw, 2 * repetitions)
    ], format_table  # fmt: skip
    yield "Flags.", list(false_flags(2 * repetitions)), format_table


def any_look(draw: Draw, repetitions: int) -> Tables:
    """G2 and G5 however seeds and experiments are added."""
    studies = 10 * repetitions
    yield (
        f"G5: a study without any effect claims one; at most 5 % is promised ({studies} studies a cell).",
        list(false_claims_under_adversaries(studies)),
        format_wide,
    )
    yield (
        f"G5: a study whose differences are all at the margin says *no practical difference*; at most 5 % is promised "
        f"({studies} studies a cell).",
        list(false_equivalences_under_adversaries(studies)),
        format_wide,
    )
    yield "G2 over all looks.", list(best_over_looks(draw, repetitions)), format_table


def power(_: Draw, repetitions: int) -> Tables:
    """What can be found, at one look and at several."""
    yield "An order, by the look at which it is found.", list(power_at_looks(5 * repetitions)), format_table
    yield (
        "Equivalence, alone and corrected over seven hypotheses.",
        list(equivalence_price(10 * repetitions)),
        format_table,
    )
    yield "One difference at 5 %, with and without pairing.", list(power_table(10 * repetitions)), format_table


def savings(_: Draw, repetitions: int) -> Tables:
    """Until decided and racing beside fixed designs."""
    yield (
        "Effects and scatter are those of the reference study, the true means drawn within their uncertainty. The "
        "fixed design is the smallest one with a single look at 5 % that decides at least as much.",
        [*until_decided(max(1, repetitions // 5)), *racing(max(1, repetitions // 10))],
        format_table,
    )


def peers(_: Draw, repetitions: int) -> Tables:
    """The same draws judged by the looks and by AdaStop."""
    yield (
        "AdaStop (package `adastop`) compares two configurations at 5 %, five seeds a stage, at most five stages, and "
        "otherwise by its defaults; it does not pair seeds. The looks go on to 80 seeds. The standard deviation of a "
        "configuration is 1.3 points.",
        list(beside_adastop(max(1, repetitions * 3 // 20))),
        format_table,
    )


def others(_: Draw, repetitions: int) -> Tables:
    """What is said of results that other programs left."""
    studies = max(1, repetitions // 2)
    rates = [*simulate_sessions(studies), *simulate_structures(studies)]
    yield (
        "Nothing makes a difference, so that every claim is a false one; at most 5 % is promised "
        f"({studies} studies a cell, half as many with conditions).",
        [rate for rate in rates if rate.promise],
        format_wide,
    )
    yield (
        "The same without a promise: one configuration ran within one session only, or the starts are unknown, so that "
        "repeats cannot be paired. Where sessions differ, the starts are what tells.",
        [rate for rate in rates if not rate.promise],
        format_wide,
    )
    yield (
        "Folds of a cross-validation of two models that are equally good: how often a difference is claimed at 5 %, as "
        f"`--folds` corrects it and without ({10 * studies} data sets). There is no promise: the correction is "
        "approximate.",
        list(simulate_folds(10 * studies)),
        format_wide,
    )


SECTIONS: Mapping[str, tuple[str, Callable[[Draw, int], Tables]]] = {
    "looks": ("However seeds are added", any_look),
    "one-look": ("At one look", one_look),
    "power": ("What can be found", power),
    "savings": ("Until decided, and races, beside fixed designs", savings),
    "peers": ("Beside AdaStop", peers),
    "others": ("Results of other programs", others),
}

INTRODUCTION = """# What the estimates promise, simulated

`python -m simulations.simulate --output docs/simulations.md` makes this page again; every random seed is fixed.
Noise, where nothing else is said: {noise}.
A promise holds if the rate keeps it within the error of the simulation: two standard errors for G5, three elsewhere.

Looks are at 5, 10, 20, 40 and 80 seeds. In the tables on G5 a study has seven hypotheses, each an order of two
configurations. The guarantee is for the family of hypotheses as it stands, however its seeds were added. It does not
cover adding experiments to the second family until one of them claims something; that column carries no promise.
"""


def format_page(sections: Mapping[str, str], *, noise: str) -> str:
    """The whole page: an introduction and the tables of each section."""
    parts = [f"## {SECTIONS[name][0]}\n\n{tables}" for name, tables in sections.items()]
    return "\n".join([INTRODUCTION.format(noise=noise), *parts])


def main(argv: Sequence[str] | None = None) -> int:
    """Run the simulations; 1 if a promise is broken."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=1000, help="studies per setting (default: 1000)")
    parser.add_argument("--only", choices=SECTIONS, nargs="+", default=list(SECTIONS), help="run these sections only")
    parser.add_argument("--reference", action="store_true", help="take the covariance of real records")
    parser.add_argument("--output", type=Path, metavar="FILE", help="write the page there too")
    args = parser.parse_args(argv)
    draw, noise = draw_noise, "drawn spreads and correlations"
    if args.reference:
        draw = partial(draw_alike, covariance_factor(reference_objectives()[0]))
        noise = "the covariance of the reference study's records"
    sections: dict[str, str] = {}
    broken = 0
    for name in args.only:
        tables = list(SECTIONS[name][1](draw, args.repetitions))
        sections[name] = "\n".join(f"{text}\n\n{form(rows)}" for text, rows, form in tables)
        broken += sum(not row.held for _, rows, _ in tables for row in rows if isinstance(row, Rate))
    page = format_page(sections, noise=noise)
    print(page)
    if args.output:
        args.output.parent.mkdir(parents=True, exist_ok=True)
        args.output.write_text(page, encoding="utf-8")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
