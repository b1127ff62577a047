"""Settings that a program wrote as one text: `ModelConfig(hidden_size=64, dropout=0.2)`, `{'lr': 0.1}` -> flat."""

from __future__ import annotations

import re
from collections.abc import Iterator

from gridstudy.records.foreign.table import parse_scalar

MOST_LETTERS = 20_000
DEEPEST = 20
OPENING, CLOSING = "([{<", ")]}>"


def flatten_text(text: str, prefix: str) -> dict[str, object] | None:
    """Read `text` as `{prefix.key: value}`, nested keys joined by dots; None where it is an ordinary text."""
    if len(text) > MOST_LETTERS or not _looks_nested(text):
        return None
    return _flatten(text, prefix, depth=0)


def _looks_nested(text: str) -> bool:
    return bool(re.match(r"\s*(?:[A-Za-z_][\w.]*\s*\(\s*\w+\s*=|\{\s*['\"]|\w+: )", text))


def _flatten(text: str, prefix: str, *, depth: int) -> dict[str, object] | None:
    pairs = _pairs(text)
    if not pairs or depth > DEEPEST:
        return None
    flat: dict[str, object] = {}
    for key, value in pairs:
        below = _flatten(value, f"{prefix}.{key}", depth=depth + 1) if _looks_nested(value) else None
        flat |= below if below is not None else {f"{prefix}.{key}": parse_scalar(value)}
    return flat


def _pairs(text: str) -> list[tuple[str, str]] | None:
    """The keys and values of a call, a dict or lines `key: value`; None where any part has no key."""
    call = re.fullmatch(r"\s*[A-Za-z_][\w.]*\s*\((.*)\)\s*", text, re.DOTALL)
    mapping = re.fullmatch(r"\s*\{(.*)\}\s*", text, re.DOTALL)
    if call:
        matches = [re.fullmatch(r"\s*(\w+)\s*=(.*)", part, re.DOTALL) for part in _split(call[1])]
    elif mapping:
        matches = [re.fullmatch(r"\s*['\"]([^'\"]+)['\"]\s*:(.*)", part, re.DOTALL) for part in _split(mapping[1])]
    else:
        lines = text.strip().splitlines()
        matches = [re.fullmatch(r"(\w+): (.*)", line) for line in lines] if len(lines) > 1 else [None]
    return [(m[1], m[2].strip()) for m in matches if m] if all(matches) else None


def _split(text: str) -> Iterator[str]:
    """The parts between commas that stand outside brackets and quotes; a trailing comma ends nothing."""
    depth, quote, begin = 0, "", 0
    for at, letter in enumerate(text):
        if quote:
            quote = "" if letter == quote and text[at - 1] != "\\" else quote
        elif letter in "'\"":
            quote = letter
        elif letter in OPENING:
            depth += 1
        elif letter in CLOSING:
            depth -= 1
        elif letter == "," and not depth:
            yield text[begin:at]
            begin = at + 1
    if text[begin:].strip():
        yield text[begin:]
