"""Computed blocks in a person's file: hashed, found again, refreshed; everything outside them is left alone."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from gridstudy.reporting.phrases import Prose, code

MARKER = re.compile(r"<!-- (?:computed: (?P<name>\S+) sha256=(?P<digest>[0-9a-f]{16})|end: (?P<end>\S+)) -->")
UNSTAMPED = re.compile(r"<!-- computed: (\S+) -->(.*?)<!-- end -->", re.DOTALL)
WRITTEN = re.compile(r"<!-- computed so far: (?P<names>[^<>\n]*) -->")


class ReportError(Exception):
    """An old report whose markers make no sense any more; one line with the reason."""


@dataclass(frozen=True)
class Block:
    """A computed part of the report; everything outside blocks is a person's."""

    name: str
    digest: str
    content: str

    @property
    def is_untouched(self) -> bool:
        """Whether the content is what was written; ends of lines do not count."""
        return self.digest == short_hash(self.content)

    def __str__(self) -> str:
        return f"<!-- computed: {self.name} sha256={self.digest} -->{self.content}<!-- end: {self.name} -->"


def short_hash(content: str) -> str:
    """A hash of a text; ends of lines and of the text do not count."""
    lines = "\n".join(line.rstrip() for line in content.splitlines()).strip()
    return hashlib.sha256(lines.encode("utf-8", "surrogateescape")).hexdigest()[:16]


def block_name(prefix: str, name: str) -> Prose:
    """The name of an experiment's block, fit for a marker."""
    fit = re.sub(r"[^\w\[\]=.,-]+", "_", name)
    return Prose(f"{prefix}/{fit}" if fit == name else f"{prefix}/{fit}-{short_hash(name)}")


def make_block(name: str, content: str) -> Block:
    """A block with its hash."""
    content = f"\n{content.strip()}\n" if content.strip() else "\n"
    return Block(name, short_hash(content), content)


# --- a filled template ---------------------------------------------------------------------------------------------


def stamp_blocks(text: str) -> str:
    """Put hashes into the markers of a filled template and list the names of the blocks at the end."""
    names = [match[1] for match in UNSTAMPED.finditer(text)]
    stamped = UNSTAMPED.sub(lambda match: str(make_block(match[1], match[2])), text)
    return f"{stamped.rstrip()}\n\n{written_comment(names)}\n"


def written_comment(names: Iterable[str]) -> str:
    """The comment that tells a block that a person removed from one that is new."""
    return f"<!-- computed so far: {' '.join(dict.fromkeys(names))} -->"


# --- an old report -------------------------------------------------------------------------------------------------


def parse_report(text: str) -> list[str | Block]:
    """A report as a person's texts and computed blocks, in order; raises ReportError where markers do not pair up."""
    parts: list[str | Block] = []
    start, opened = 0, None
    for marker in MARKER.finditer(text):
        if marker["name"] and opened is None:
            parts.append(text[start : marker.start()])
            opened, start = marker, marker.end()
        elif opened is not None and marker["end"] == opened["name"]:
            parts.append(Block(opened["name"], opened["digest"], text[start : marker.start()]))
            opened, start = None, marker.end()
        else:
            raise ReportError(f"its marker {marker[0]} has no counterpart")
    if opened is not None:
        raise ReportError(f"its marker {opened[0]} has no end")
    parts.append(text[start:])
    if len(parts) == 1 and text.strip() and not WRITTEN.search(text):
        raise ReportError("it holds none of the markers that this program writes")
    return parts


@dataclass(frozen=True)
class Merged:
    """An old report with its computed blocks refreshed, and the blocks into which somebody had written."""

    text: str
    edited: tuple[str, ...]


def merge_report(old: str, fresh: str) -> Merged:
    """Refresh the computed blocks of `old` from `fresh` and keep everything else; raises ReportError.

    A block that a person removed stays away; one never written before goes after its predecessor in `fresh`.
    """
    parts = parse_report(old)
    blocks = {part.name: part for part in parse_report(fresh) if isinstance(part, Block)}
    written = _names_written(parts)
    newline = "\r\n" if 2 * old.count("\r\n") > old.count("\n") else "\n"
    edited = tuple(part.name for part in parts if isinstance(part, Block) and not part.is_untouched)
    merged: list[str | Block] = [
        part if isinstance(part, str) else _with_newlines(blocks.get(part.name) or _gone(part.name), newline)
        for part in parts
    ]
    for before, name in pairwise([None, *blocks]):
        if name is not None and name not in written:
            _insert(merged, _with_newlines(blocks[name], newline), after=before, newline=newline)
    text = _list_written("".join(map(str, merged)), written_comment([*written, *blocks]), newline)
    if not all(part.is_untouched for part in parse_report(text) if isinstance(part, Block)):
        raise ReportError("its markers run into each other")
    return Merged(text, edited)


def _list_written(text: str, comment: str, newline: str) -> str:
    if WRITTEN.search(text):
        return WRITTEN.sub(lambda _: comment, text)
    return f"{text}{newline}{newline}{comment}{newline}"


def _names_written(parts: Sequence[str | Block]) -> list[str]:
    """The blocks that were ever written, by the comment at the end and by what is there."""
    listed = [name for part in parts if isinstance(part, str) for found in WRITTEN.finditer(part)
              for name in found["names"].split()]  # fmt: skip
    return [*dict.fromkeys([*listed, *(part.name for part in parts if isinstance(part, Block))])]


def _with_newlines(block: Block, newline: str) -> Block:
    return Block(block.name, block.digest, block.content.replace("\n", newline))


def _gone(name: str) -> Block:
    return make_block(name, f"*The records no longer hold anything for {code(name)}.*")


def _insert(parts: list[str | Block], block: Block, *, after: str | None, newline: str) -> None:
    """Put a new block behind the one named `after`, or at the end where that is not there."""
    places = [i for i, part in enumerate(parts) if isinstance(part, Block) and part.name == after]
    place = places[-1] + 1 if places else len(parts)
    parts[place:place] = [newline * 2, block]
