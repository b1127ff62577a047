"""Values of hyperparameters: one form for each number, and how they are written."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence

from gridstudy.core.errors import StudyError

Value = bool | int | float | str

MISREAD = frozenset(
    "na n/a nan null none nil true false inf infinity -inf -nan #n/a #na <na> 1.#ind 1.#qnan -1.#ind -1.#qnan".split()
)  # fmt: skip
"""Texts, in lower case, that readers of CSV take for a missing number, a truth value or infinity."""
RESERVED = {"con", "prn", "aux", "nul"} | {f"{port}{n}" for port in ("com", "lpt") for n in range(10)}
"""Names that Windows keeps for devices, whatever their ending."""


def normalise(value: Value) -> Value:
    """Give a floating-point number one form: ten significant digits, no negative zero."""
    return float(f"{value:.10g}") + 0.0 if isinstance(value, float) and math.isfinite(value) else value


def format_value(value: Value) -> str:
    """A value as it stands in names: 0.001, 64, Adam."""
    return f"{value:.10g}" if isinstance(value, float) else str(value)


def format_power(value: float) -> str:
    """A number as mantissa and power of ten, 1e-3 or 2.5e4, or as it is where that is shorter: 0.3, 3, 20."""
    mantissa, _, exponent = f"{value:.9e}".partition("e")
    power, plain = f"{float(mantissa):g}e{int(exponent)}", format_value(value)
    return plain if len(plain) < len(power) else power


def format_values(values: Mapping[str, Value]) -> str:
    """An assignment in words: `depth 2, units1 64`."""
    return ", ".join(f"{name} {format_value(value)}" for name, value in values.items())


def digest(content: object) -> str:
    """Eight hex digits of SHA-256 over the content as JSON, keys sorted."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:8]


def check_names(given: Iterable[str], known: Sequence[str], *, what: str) -> None:
    """Raise StudyError naming the first of `given` that is not in `known`."""
    for name in given:
        if name not in known:
            raise StudyError(f"unknown {what} {show(name)}; choose from {', '.join(known)}")


def check_readable(text: str, *, what: str) -> None:
    """Raise StudyError where a reader of CSV would take the text for something else than text."""
    try:
        float(text)
    except ValueError:
        if text.strip().lower() not in MISREAD and text.strip():
            return
    raise StudyError(
        f"{what} must read as text in a CSV file, and pandas or a spreadsheet would take {text!r} for a number or a "
        "missing value; rename it"
    )


def show(value: object) -> str:
    """A value as a message quotes it, cut where it is long."""
    try:
        text = repr(value)
    except ValueError:  # an integer of thousands of digits has no repr
        return "a number of thousands of digits"
    return text if len(text) <= 60 else f"{text[:57]}..."


def safe_folder_name(text: str, *, most: int) -> str:
    """A text as a folder's name that every system can store and tell apart, at most `most` letters long."""
    safe = re.sub(r"[^A-Za-z0-9_.+=,\[\]-]", "_", text)
    device = text.split(".", maxsplit=1)[0].lower() in RESERVED
    if safe == text and len(text) <= most and not text.endswith(".") and not device:
        return text
    return f"{safe[: most - 9].rstrip(',.=')}-{digest(text)}"
