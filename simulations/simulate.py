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
from simulations.looks import adversaries, equivalence_price, power_at_looks
from simulations.noise import Draw, covariance_factor, draw_alike, draw_noise, reference_objectives
from simulations.peers import beside_adastop
from simulations.rates import Rate, Row, format_table

Section = Callable[[Draw, int], Iterator[Row]]


def one_look(draw: Draw, repetitions: int) -> Iterator[Row]:
    """G1 to G4 at one look, and the flags."""
    yield from interval_coverage(draw, 10 * repetitions)
    yield from best_in_tied_set(draw, repetitions)
    yield from false_claims(draw, repetitions)
    yield from false_equivalence(draw, 2 * repetitions)
    yield from false_flags(2 * repetitions)


def any_look(draw: Draw, repetitions: int) -> Iterator[Row]:
    """G2 and G5 however seeds and experiments are added."""
    yield from adversaries(2 * repetitions)
    yield from best_over_looks(draw, repetitions)


def power(_: Draw, repetitions: int) -> Iterator[Row]:
    """What can be found, at one look and at several."""
    yield from power_at_looks(5 * repetitions)
    yield from equivalence_price(10 * repetitions)
    yield from power_table(10 * repetitions)


def savings(_: Draw, repetitions: int) -> Iterator[Row]:
    """Until decided and racing beside fixed designs."""
    yield from until_decided(max(1, repetitions // 5))
    yield from racing(max(1, repetitions // 10))


def peers(_: Draw, repetitions: int) -> Iterator[Row]:
    """The same draws judged by the looks and by AdaStop."""
    yield from beside_adastop(max(1, repetitions * 3 // 20))


SECTIONS: Mapping[str, tuple[str, Section]] = {
    "looks": ("However seeds are added", any_look),
    "one-look": ("At one look", one_look),
    "power": ("What can be found", power),
    "savings": ("Until decided, and races, beside fixed designs", savings),
    "peers": ("Beside AdaStop", peers),
}

INTRODUCTION = """# What the estimates promise, simulated

Noise: {noise}. `python -m simulations.simulate --output docs/simulations.md` makes this page again; every random seed
is fixed. "holds" allows for the error of the simulation itself: two standard errors in the rows on G5, three elsewhere.

Looks are at 5, 10, 20, 40 and 80 seeds. A study has seven hypotheses, each an order of two configurations. G5 holds for
the family of hypotheses as it stands: however seeds are added and whatever is dropped. It does not cover someone who
adds experiments to the second family until one of them claims something, a row that is shown without a promise.
"""


def format_page(sections: Mapping[str, Sequence[Row]], *, noise: str) -> str:
    """The whole page: an introduction and a table per section."""
    parts = [f"## {SECTIONS[name][0]}\n\n{format_table(rows)}" for name, rows in sections.items()]
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
    sections = {name: list(SECTIONS[name][1](draw, args.repetitions)) for name in args.only}
    page = format_page(sections, noise=noise)
    print(page)
    if args.output:
        args.output.parent.mkdir(parents=True, exist_ok=True)
        args.output.write_text(page, encoding="utf-8")
    rates = [row for rows in sections.values() for row in rows if isinstance(row, Rate)]
    return 0 if all(rate.held for rate in rates) else 1


if __name__ == "__main__":
    sys.exit(main())
