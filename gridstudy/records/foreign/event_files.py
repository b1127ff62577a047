"""TensorBoard event files that mltrainer wrote -> the epochs of a run, as far as the files are whole."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import numpy.typing as npt

from gridstudy.core.files import read_bytes
from gridstudy.records.foreign.table import DamageError

EVENT_FILE = "events.out.tfevents."
TAGS = ("Loss/train", "Loss/test", "metric/Accuracy")
"""What mltrainer logs per epoch: training loss, validation loss and validation accuracy."""
LARGEST_SCALAR_RECORD = 1 << 14
"""Bytes; longer records (pictures, graphs) hold no scalar of mltrainer and are passed over."""


SHORT_RECORD = 256
"""Bytes; shorter records are always checked, since a wrong bit may have made a value vanish."""
HEAD, TAIL = 12, 4
"""Bytes before a record's payload, its length and that length's checksum, and after it, the payload's checksum."""
MANY_BYTES = 4096
"""Checksums of as many bytes are computed for all records of one length at once."""
SHORTEST_SCALAR, LONGEST_SCALAR = 26, 128
"""Bytes; lengths of nearly all records that hold a scalar."""
MOST_EVENT_BYTES = 1 << 30


class NoEpoch(DamageError):
    """A run that ended before its first epoch did."""


# --- event files ---------------------------------------------------------------------------------------------------

Whole = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Octets = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Series:
    """A tag's scalars: rising steps, times in seconds since 1970, and values."""

    steps: Whole
    times_s: Floats
    values: Floats

    def __len__(self) -> int:
        return len(self.steps)


@dataclass(frozen=True)
class Log:
    """Scalars of the event files by tag; those of mltrainer are there even where they are empty."""

    series: Mapping[str, Series]
    started_s: float
    damage: str


@dataclass(frozen=True)
class _Points:
    """Scalars in no order: the number of the record, which of `tags`, step, time and value of each."""

    tags: Sequence[str]
    records: Whole
    which: Whole
    steps: Whole
    times_s: Floats
    values: Floats


def read_events(files: Sequence[Path]) -> Log:
    """Read a run's event files in the order in which they were begun; what a restart logs again replaces the old."""
    logs = sorted((_read_event_file(path) for path in files), key=lambda log: log[0])
    parts: dict[str, list[Series]] = {tag: [] for tag in TAGS}
    for _, found, _ in logs:
        for tag, series in found.items():
            parts.setdefault(tag, []).append(series)
    damage = "; ".join(filter(None, (log[2] for log in logs)))
    return Log({tag: _without_replaced(series) for tag, series in parts.items()}, logs[0][0], damage)


def _without_replaced(parts: Sequence[Series]) -> Series:
    """One series; a point is replaced by any later one of the same or a lower step."""
    empty = np.zeros(0)
    steps = np.concatenate([np.zeros(0, np.int64), *(part.steps for part in parts)])
    later = np.minimum.accumulate(np.append(steps, np.iinfo(np.int64).max)[::-1])[::-1][1:]
    kept = steps < later
    times_s = np.concatenate([empty, *(part.times_s for part in parts)])
    return Series(steps[kept], times_s[kept], np.concatenate([empty, *(part.values for part in parts)])[kept])


def _read_event_file(path: Path) -> tuple[float, dict[str, Series], str]:
    """When the file was begun, its scalars in the file's order, and where it is damaged; the rest is lost then."""
    try:
        content = read_bytes(path, most=MOST_EVENT_BYTES)
    except OSError as error:
        return math.inf, {}, f"{path.name} cannot be read ({error.strerror or error})"
    if not content:
        return math.inf, {}, f"{path.name} is empty"
    begins, lengths, damage = _frames(content)
    times_s = np.full(len(begins), math.inf)
    parsed, usual = _parse_usual(content, begins, lengths, times_s)
    others, n_parsed = _parse_others(content, begins, lengths, times_s, np.flatnonzero(~usual))
    parsed = [*parsed, others]
    with_value = np.zeros(len(begins), dtype=bool)
    for points in parsed:
        with_value[points.records] = True
    n_whole = min(n_parsed, _first_damaged(content, begins, lengths, with_value))
    if n_whole < len(begins):
        at = int(begins[n_whole]) - HEAD
        damage = f"is damaged after byte {at}" if at else "is not an event file"
    started_s = float(times_s[:n_whole].min(initial=math.inf))
    return started_s, _by_tag(parsed, n_whole), f"{path.name} {damage}" if damage else ""


def _by_tag(parsed: Sequence[_Points], n_whole: int) -> dict[str, Series]:
    """The scalars of the first records by tag, in the file's order."""
    tags = list(dict.fromkeys(tag for points in parsed for tag in points.tags))
    which = np.concatenate([np.array([tags.index(t) for t in p.tags], np.int64)[p.which] for p in parsed])
    records, steps, times_s, values = (
        np.concatenate([getattr(p, name) for p in parsed]) for name in ("records", "steps", "times_s", "values")
    )
    found = {}
    for number, tag in enumerate(tags):
        (mine,) = np.nonzero((which == number) & (records < n_whole))
        mine = mine[np.argsort(records[mine], kind="stable")]
        found[tag] = Series(steps[mine], times_s[mine], values[mine])
    return found


def _frames(content: bytes) -> tuple[Whole, Whole, str]:
    """The records of a TFRecord file, and where the last breaks off: length, its checksum, payload, its checksum.

    Returned are where each payload begins and how long it is.
    """
    heads: list[int] = []
    add, unpack = heads.append, struct.Struct("<Q").unpack_from
    at, last = 0, len(content) - HEAD - TAIL
    while at <= last:
        add(at)
        at += unpack(content, at)[0] + HEAD + TAIL
    damage = ""
    if at != len(content):
        at = heads.pop() if at > len(content) else at
        head = content[at : at + HEAD]
        damage = f"breaks off after byte {at}"
        if len(head) == HEAD and struct.pack("<I", _checksum(head[:8])) != head[8:]:
            damage = f"is damaged after byte {at}" if at else "is not an event file"
    begins = np.array(heads, dtype=np.int64) + HEAD
    return begins, np.diff(np.append(begins, at + HEAD)) - HEAD - TAIL, damage


# A scalar as SummaryWriter.add_scalar writes it: 09 TIME(8) 10 STEP(1 to 9) 2a n 0a n-2 0a TAG_LENGTH TAG 15 VALUE(4)


def _parse_usual(
    content: bytes, begins: Whole, lengths: Whole, times_s: Floats
) -> tuple[list[_Points], npt.NDArray[np.bool_]]:
    """The points of records in the one form that nearly all have, many at once, and which records these are."""
    usual = np.zeros(len(begins), dtype=bool)
    parsed = []
    for length in np.unique(lengths[(lengths > SHORTEST_SCALAR) & (lengths < LONGEST_SCALAR)]).tolist():
        (numbers,) = np.nonzero(lengths == length)
        records = _cut_out(content, begins[numbers], length)
        alike = (records[:, 0] == 0x09) & (records[:, 9] == 0x10) & (records[:, -5] == 0x15)
        for n_step in range(1, min(10, length - 21)):
            numbers, records = numbers[alike], records[alike]
            alike = records[:, 9 + n_step] >= 0x80  # the step has more bytes than this
            chosen, n = ~alike, length - 10 - n_step
            for at, expected in enumerate((0x2A, n - 2, 0x0A, n - 4, 0x0A, n - 11), 10 + n_step):
                chosen &= records[:, at] == expected
            if chosen.any():
                points = _scalars(records[chosen], numbers[chosen], n_step)
                parsed.append(points)
                usual[points.records] = True
                times_s[points.records] = points.times_s
    return parsed, usual


def _cut_out(content: bytes, begins: Whole, length: int) -> Octets:
    """The bytes of some records, a row each."""
    return np.lib.stride_tricks.sliding_window_view(np.frombuffer(content, np.uint8), length)[begins]


def _scalars(records: Octets, numbers: Whole, n_step: int) -> _Points:
    """The points of records whose step has `n_step` bytes, seven bits in each, the lowest first."""
    steps = (records[:, 10 : 10 + n_step].astype(np.int64) & 0x7F) << (7 * np.arange(n_step))
    tags = np.ascontiguousarray(records[:, 16 + n_step : -5])
    tags = tags.view(f"V{tags.shape[1]}").ravel()
    different, which = _different(tags)
    names = [tag.tobytes().decode("utf-8", "replace") for tag in different]
    times_s, values = _column(records[:, 1:9], "<f8"), _column(records[:, -4:], "<f4")
    return _Points(names, numbers, which, steps.sum(axis=1), times_s, values.astype(float))


def _different(tags: npt.NDArray[Any]) -> tuple[list[Any], Whole]:
    """The different tags, and which of them each is; there are few, so each is sought in turn."""
    which, different = np.full(len(tags), -1, np.int64), []
    while (unknown := np.flatnonzero(which < 0)).size:
        different.append(tags[unknown[0]])
        which[tags == different[-1]] = len(different) - 1
    return different, which


def _column(octets: Octets, dtype: str) -> Floats:
    """Some bytes of each record as a number."""
    return np.ascontiguousarray(octets).view(dtype).ravel()


def _parse_others(
    content: bytes, begins: Whole, lengths: Whole, times_s: Floats, numbers: Whole
) -> tuple[_Points, int]:
    """The points of records in any other form, and how many records come before the first that is no event."""
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
    from tensorboard.compat.proto.event_pb2 import Event

    rows, n_parsed = [], len(begins)
    for number in numbers.tolist():
        begin, length = int(begins[number]), int(lengths[number])
        if length > LARGEST_SCALAR_RECORD:
            continue
        try:
            event = Event.FromString(content[begin : begin + length])
        except DecodeError:
            n_parsed = number
            break
        times_s[number] = event.wall_time
        values = event.summary.value if event.HasField("summary") else ()
        rows += [(v.tag, number, event.step, event.wall_time, v.simple_value) for v in values if _is_scalar(v)]
    tags, records, steps, times, scalars = zip(*rows, strict=True) if rows else ((),) * 5
    names = list(dict.fromkeys(tags))
    which = np.array([names.index(tag) for tag in tags], np.int64)
    whole = (np.array(records, np.int64), which, np.array(steps, np.int64))
    return _Points(names, *whole, np.array(times, float), np.array(scalars, float)), n_parsed


def _is_scalar(value: Any) -> bool:
    return bool(value.HasField("simple_value"))


def _first_damaged(content: bytes, begins: Whole, lengths: Whole, with_value: npt.NDArray[np.bool_]) -> int:
    """The number of records before the first with a wrong checksum.

    Checked are all lengths, and the payloads that are short or from which a value is taken: a wrong bit in a picture
    changes no number.
    """
    wrong = np.flatnonzero(~_are_lengths_whole(content, begins, lengths))
    first = int(wrong[0]) if len(wrong) else len(begins)
    checked = with_value | (lengths < SHORT_RECORD)
    for length in np.unique(lengths[checked]).tolist():
        (numbers,) = np.nonzero(checked & (lengths == length))
        wrong = numbers[~_match(content, begins[numbers], length)]
        first = min([first, *wrong[:1].tolist()])
    return first


def _are_lengths_whole(content: bytes, begins: Whole, lengths: Whole) -> npt.NDArray[np.bool_]:
    """Whether each length has the checksum that follows it; equal lengths have equal ones."""
    if not len(begins):
        return np.zeros(0, dtype=bool)
    different, which = np.unique(lengths, return_inverse=True)
    expected = np.array([_checksum(struct.pack("<Q", length)) for length in different.tolist()], np.uint32)
    stored = np.ascontiguousarray(_cut_out(content, begins - TAIL, TAIL)).view("<u4").ravel()
    return np.asarray(stored == expected[which])


def _match(content: bytes, begins: Whole, length: int) -> npt.NDArray[np.bool_]:
    """Whether the bytes from each of `begins` have the checksum that follows them.

    A checksum is linear in the bits: that of a record is the xor of what each byte contributes at its place.
    """
    if len(begins) * length < MANY_BYTES:
        cut = [(content[begin : begin + length], begin + length) for begin in begins.tolist()]
        found = [struct.pack("<I", _checksum(part)) == content[end : end + TAIL] for part, end in cut]
        return np.array(found, dtype=bool)
    table = np.array(_crc_table(), np.uint32)
    records = _cut_out(content, begins, length + TAIL)
    columns = np.ascontiguousarray(records[:, :length].T)
    crc: npt.NDArray[np.uint32] = np.zeros(len(begins), np.uint32)
    contribution, start = table, np.uint32(0xFFFFFFFF)
    for column in columns[::-1]:
        crc ^= contribution[column]
        contribution = table[contribution & np.uint32(0xFF)] ^ (contribution >> np.uint32(8))
        start = table[start & np.uint32(0xFF)] ^ (start >> np.uint32(8))
    crc ^= start ^ np.uint32(0xFFFFFFFF)
    masked = ((crc >> np.uint32(15)) | (crc << np.uint32(17))) + np.uint32(0xA282EAD8)
    return np.asarray(masked == np.ascontiguousarray(records[:, length:]).view("<u4").ravel())


def _checksum(content: bytes) -> int:
    """CRC-32C, masked as in TFRecord files."""
    table, crc = _crc_table(), 0xFFFFFFFF
    for byte in content:
        crc = table[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


@cache
def _crc_table() -> tuple[int, ...]:
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)  # noqa: PLW2901
        table.append(byte)
    return tuple(table)


# --- curves --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Curve:
    """A run's epochs, each with its metrics by tag and the time of its end; `diverged` after the last one."""

    epochs: tuple[Mapping[str, float], ...]
    ended_s: tuple[float, ...]
    started_s: float
    diverged: bool

    def column(self, tag: str) -> list[float]:
        return [epoch[tag] for epoch in self.epochs]

    @property
    def epoch_duration_s(self) -> list[float]:
        """Seconds from the end of one epoch to that of the next; of the first, unknown."""
        return [math.nan, *map(possible_duration, self.ended_s, self.ended_s[1:])]

    @property
    def duration_s(self) -> float:
        """The median epoch, times the number of epochs: when a notebook began to train is not in its log."""
        known = [duration_s for duration_s in self.epoch_duration_s if not math.isnan(duration_s)]
        return len(self.epochs) * median(known) if known else math.nan


def possible_duration(start_s: float, end_s: float) -> float:
    """Seconds between two times of a log; unknown where the clock went back or a time is none."""
    duration_s = end_s - start_s
    return duration_s if 0 <= duration_s < math.inf else math.nan


def make_curve(log: Log, *, by_mltrainer: bool) -> Curve:
    """The epochs for which all metrics are there, up to the first whose loss is not finite; raise DamageError if none.

    Accuracies in percent become fractions.
    """
    found = {tag: log.series[tag] for tag in TAGS}
    missing = [tag for tag, series in found.items() if not len(series)]
    steps = sorted(set.intersection(*(set(series.steps.tolist()) for series in found.values())))
    if log.damage and not steps:
        raise DamageError(f"{log.damage}, and no whole epoch is before that")
    if by_mltrainer and not any(map(len, log.series.values())):
        raise NoEpoch("no epoch was logged")
    if missing or not steps:
        raise DamageError(f"no {', '.join(missing) or 'epoch with all metrics'} in its event file")
    columns = {tag: series.values[np.isin(series.steps, steps)].tolist() for tag, series in found.items()}
    epochs = [dict(zip(TAGS, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    finite = [all(map(math.isfinite, epoch.values())) for epoch in epochs]
    n_epochs = finite.index(False) + 1 if False in finite else len(epochs)
    times_s = found["Loss/train"].times_s[np.isin(found["Loss/train"].steps, steps)]
    return Curve(
        tuple(_as_fractions(epochs[:n_epochs])),
        tuple(times_s[:n_epochs].tolist()),
        log.started_s,
        diverged=False in finite,
    )


def _as_fractions(epochs: Sequence[Mapping[str, float]]) -> Iterator[dict[str, float]]:
    accuracies = [epoch["metric/Accuracy"] for epoch in epochs]
    if any(accuracy < 0 or accuracy > 100 for accuracy in accuracies):
        raise DamageError("its metric/Accuracy is neither a fraction nor in percent")
    unit = 100 if any(accuracy > 1.01 for accuracy in accuracies) else 1
    for epoch, accuracy in zip(epochs, accuracies, strict=True):
        yield {**epoch, "metric/Accuracy": accuracy / unit}
