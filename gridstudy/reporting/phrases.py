"""Numbers and names -> words: Markdown in which nothing but what is meant as such is Markdown or HTML."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence

import pandas as pd

from gridstudy.statistics.comparisons import MOST_SEEDS, POWER
from gridstudy.statistics.questions import Interval

MOST_NAMES = 4
"""Beyond so many, names are not enumerated."""
SMALLEST_P = 0.001
IN_STUDIES = f"in {100 * POWER:.0f} % of studies"


# --- text that is safe in Markdown and in HTML ---------------------------------------------------------------------


class Prose(str):
    """Markdown that may be written as it is; every other text is escaped on its way into the template."""

    __slots__ = ()


def plain(text: object) -> Prose:
    """Somebody's words on one line, in which nothing is Markdown or HTML."""
    line = " ".join(str(text).replace("&", "&amp;").split())
    return Prose(re.sub(r"([\\`*\[\]|])", r"\\\1", line).replace("<", "&lt;"))


def code(text: object) -> Prose:
    """A name, date or version as a code span; in it numbers are no results."""
    line = " ".join(str(text).split()).replace("`", "'").replace("|", "¦").replace("<", "\u2039")
    return Prose(f"`{line}`")


def codes(names: Iterable[object], *, most: int = MOST_NAMES) -> Prose:
    """Names as code spans, those beyond `most` as `...`: every number that is written must be in a table."""
    known = list(names)
    return Prose(", ".join([code(name) for name in known[:most]] + ["…"] * (len(known) > most)))


def finalize(value: object) -> str:
    """What jinja2 writes for a value."""
    return value if isinstance(value, Prose) else plain("" if value is None else value)


# --- numbers in words ----------------------------------------------------------------------------------------------


def percent(fraction: float, decimals: int = 1) -> Prose:
    """`0.841` -> `84.1 %`."""
    return Prose(f"{fixed(100 * fraction, decimals)} %") if math.isfinite(fraction) else Prose("unknown")


def fixed(value: float, decimals: int) -> str:
    """A number with so many decimals, and never a negative zero."""
    text = f"{value:.{decimals}f}"
    return text.lstrip("-") if float(text) == 0 else text


def accuracy(mean: float, low: float, high: float, n: float | None = None) -> Prose:
    """`84.1 % [83.6, 84.6], n = 5`; without an interval where there is none."""
    if not math.isfinite(mean):
        return Prose("no trials")
    return Prose(percent(mean) + bounds(low, high, 1) + (f", n = {n:.0f}" if n is not None else ""))


def points(difference: float, low: float = math.nan, high: float = math.nan, *, signed: bool = True) -> Prose:
    """A difference of accuracies in percentage points: `+1.52 points [0.22, 2.83]`."""
    if not math.isfinite(difference):
        return Prose("unknown")
    decimals = 1 if abs(difference) >= 0.1 else 2
    value = fixed(100 * difference, decimals)
    sign = "+" if signed and float(value) > 0 else ""
    return Prose(f"{sign}{value} points{bounds(low, high, decimals)}")


def bounds(low: float, high: float, decimals: int) -> str:
    """An interval of fractions in percent: ` [83.6, 84.6]`; nothing where there is none."""
    return f" [{fixed(100 * low, decimals)}, {fixed(100 * high, decimals)}]" if math.isfinite(low) else ""


def interval_points(interval: Interval) -> Prose:
    """An Interval of accuracies as `points` writes it."""
    return points(interval.value, interval.low, interval.high)


def p_value(p: float) -> Prose:
    """`p = 0.012`, or `p < 0.001`."""
    if not math.isfinite(p):
        return Prose("no p")
    return Prose(f"p < {SMALLEST_P}" if p < SMALLEST_P else f"p = {fixed(p, 3)}")


def count(n: float, noun: str, plural: str | None = None) -> Prose:
    """`1 trial`, `280 trials`, `1,200 trials`."""
    return Prose(f"{n:,.0f} {noun if n == 1 else plural or noun + 's'}")


def number(value: float, form: str = ",.0f") -> str:
    """A number for a table: `1,200`; nothing where there is none."""
    return f"{value:{form}}" if math.isfinite(value) else ""


def of(part: int, whole: int, noun: str) -> Prose:
    """`3 of 7 hypotheses`."""
    return Prose(f"{part} of {count(whole, noun)}")


def seeds(words: str) -> Prose:
    """`12` -> `12 seeds`, `>100` -> `more than 100 seeds`."""
    return Prose(f"more than {MOST_SEEDS} seeds") if words.startswith(">") else count(float(words), "seed")


def enumeration(parts: Sequence[str]) -> Prose:
    """`a`, `a and b`, `a, b and c`."""
    return Prose(" and ".join(filter(None, [", ".join(parts[:-1]), *parts[-1:]])))


def span(values: pd.Series, form: str = ",.0f") -> Prose:
    """The range of a column: `32,000`, or `2,000 to 64,000`."""
    known = values.dropna()
    if known.empty:
        return Prose("unknown")
    least, most = f"{known.min():{form}}", f"{known.max():{form}}"
    return Prose(least if least == most else f"{least} to {most}")


def table(rows: Sequence[Mapping[str, object]], *, left: int = 1) -> Prose:
    """A Markdown table of rows with like keys, the first `left` columns aligned left, the others right."""
    if not rows:
        return Prose("")
    header = list(rows[0])
    lines = [header, ["---" if i < left else "---:" for i in range(len(header))]]
    lines += [[finalize(cell) for cell in row.values()] for row in rows]
    return Prose("\n".join("| " + " | ".join(line) + " |" for line in lines))
