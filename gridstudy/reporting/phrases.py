"""Numbers and names -> words: Markdown in which nothing but what is meant as such is Markdown or HTML."""

from __future__ import annotations

import html
import math
import re
from collections.abc import Iterable, Mapping, Sequence

import pandas as pd

from gridstudy.core.subject import Objective

MOST_NAMES = 4
"""Beyond so many, names are not enumerated."""
SMALLEST_P = 0.001
NAN = math.nan


# --- text that is safe in Markdown, in HTML and in a terminal ------------------------------------------------------


class Prose(str):
    """Markdown that may be written as it is; every other text is escaped on its way into the template."""

    __slots__ = ()


def one_line(text: object) -> str:
    """A text on one line, with `?` for what a terminal would obey instead of showing it."""
    return "".join(c if c.isprintable() else "?" for c in " ".join(str(text).split()))


def plain(text: object) -> Prose:
    """Somebody's words on one line, in which nothing is Markdown or HTML."""
    line = one_line(text).replace("&", "&amp;")
    return Prose(re.sub(r"([\\`*\[\]|])", r"\\\1", line).replace("<", "&lt;"))


def code(text: object) -> Prose:
    """A name, date or version as a code span; in it numbers are no results."""
    line = one_line(text).replace("`", "'").replace("|", "¦").replace("<", "\u2039")
    return Prose(f"`{line}`")


def codes(names: Iterable[object], *, most: int = MOST_NAMES) -> Prose:
    """Names as code spans, those beyond `most` as `...`: every number that is written must be in a table."""
    known = list(names)
    return Prose(", ".join([code(name) for name in known[:most]] + ["…"] * (len(known) > most)))


def finalize(value: object) -> str:
    """What jinja2 writes for a value."""
    return value if isinstance(value, Prose) else plain("" if value is None else value)


def terminal(text: str) -> str:
    """Markdown as a terminal shows it."""
    return one_line(html.unescape(re.sub(r"\\([\\`*\[\]|])", r"\1", text.replace("**", "").replace("`", ""))))


def sentence(text: str) -> Prose:
    """The text with a capital letter in front and a full stop behind, unless it begins with a name."""
    return Prose(f"{text[:1].upper()}{text[1:].rstrip('.')}." if text else "")


# --- scores and their differences ----------------------------------------------------------------------------------


def score(objective: Objective, mean: float, low: float = NAN, high: float = NAN, *, n: float | None = None) -> Prose:
    """`84.1 % [83.6, 84.6], n = 5`, or `0.412 mm [0.405, 0.419]`; without an interval where there is none."""
    if not math.isfinite(mean):
        return Prose("no trials")
    if objective.is_fraction:
        words = f"{percent(mean)}{_bounds(f'{fixed(100 * x, 1)}' for x in (low, high))}"
    else:
        words = f"{mean:.4g} {objective.unit}".rstrip() + _bounds(f"{x:.4g}" for x in (low, high))
    return Prose(words + (f", n = {n:.0f}" if n is not None else ""))


def difference(
    objective: Objective, value: float, low: float = NAN, high: float = NAN, *, signed: bool = True
) -> Prose:
    """A difference of two scores in points or in the objective's unit: `+1.5 points [0.2, 2.8]`."""
    if not math.isfinite(value):
        return Prose("unknown")
    number, *bounds = difference_numbers(objective, value, low, high)
    sign = "+" if signed and float(number) > 0 else ""
    return Prose(f"{sign}{number} {difference_unit(objective)}".rstrip() + _bounds(bounds))


def difference_numbers(objective: Objective, *values: float) -> list[str]:
    """Differences as bare numbers, with as many decimals as the least of them needs."""
    if not objective.is_fraction:
        return [f"{x:.3g}" for x in values]
    sizes = [abs(100 * x) for x in values if math.isfinite(x)]
    decimals = 1 if sizes and sizes[0] >= 1 and min(sizes) >= 0.1 else 2
    return [fixed(100 * x, decimals) for x in values]


def difference_unit(objective: Objective) -> str:
    """`points`, or the objective's unit."""
    return "points" if objective.is_fraction else objective.unit


def margin_words(objective: Objective, margin: float) -> Prose:
    """A margin as it was given: `0.5 points`."""
    return Prose(f"{100 * margin if objective.is_fraction else margin:g} {difference_unit(objective)}".rstrip())


def _bounds(numbers: Iterable[str]) -> str:
    low, high = numbers
    return "" if "nan" in (low, high) else f" [{low}, {high}]"


# --- numbers in words ----------------------------------------------------------------------------------------------


def percent(fraction: float, decimals: int = 1) -> Prose:
    """`0.841` -> `84.1 %`."""
    return Prose(f"{fixed(100 * fraction, decimals)} %") if math.isfinite(fraction) else Prose("unknown")


def level(confidence: float) -> str:
    """A confidence level: `95 %`, `99.75 %`."""
    return f"{100 * confidence:.6g} %"


def fixed(value: float, decimals: int) -> str:
    """A number with so many decimals, and never a negative zero."""
    text = f"{value:.{decimals}f}"
    return text.lstrip("-") if float(text) == 0 else text


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


def amount(value: float) -> str:
    """A budget: whole numbers with separators, others with three digits; nothing where it is unknown."""
    return number(value, ",.0f" if value == round(value) or value >= 1000 else ".3g") if math.isfinite(value) else ""


def of(part: int, whole: int, noun: str, plural: str | None = None) -> Prose:
    """`3 of 7 hypotheses`."""
    return Prose(f"{part} of {count(whole, noun, plural)}")


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
    header = [finalize(name) for name in rows[0]]
    lines = [header, ["---" if i < left else "---:" for i in range(len(header))]]
    lines += [[finalize(cell) for cell in row.values()] for row in rows]
    return Prose("\n".join("| " + " | ".join(line) + " |" for line in lines))
