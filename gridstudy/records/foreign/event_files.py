"""TensorBoard event files that mltrainer wrote -> the epochs of a run, as far as the files are whole."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from statistics import median

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
FEW = 32
"""Checksums of as many records of one length are computed one by one, of more all at once."""
MOST_EVENT_BYTES = 1 << 30


class NoEpoch(DamageError):
    """A run that ended before its first epoch did."""


# --- event files ---------------------------------------------------------------------------------------------------


@dataclass
class Log:
    """Scalars of the event files: tag -> step -> (time in seconds since 1970, value), steps rising."""

    series: dict[str, dict[int, tuple[float, float]]]
    started_s: float
    damage: str


Point = tuple[float, str, int, float]
"""Time in seconds since 1970, tag, step, value."""


def read_events(files: Sequence[Path]) -> Log:
    """Read a run's event files in the order in which they were begun; what a restart logs again replaces the old."""
    logs = [_read_event_file(path) for path in files]
    series: dict[str, dict[int, tuple[float, float]]] = {tag: {} for tag in TAGS}
    for _, points, _ in sorted(logs, key=lambda log: log[0]):
        for time_s, tag, step, value in points:
            steps = series.setdefault(tag, {})
            while steps and next(reversed(steps)) >= step:
                steps.popitem()
            steps[step] = (time_s, value)
    return Log(series, min(log[0] for log in logs), "; ".join(filter(None, (log[2] for log in logs))))


def _read_event_file(path: Path) -> tuple[float, list[Point], str]:
    """When the file was begun, its points, and where it is damaged; the rest is lost then."""
    try:
        content = read_bytes(path, most=MOST_EVENT_BYTES)
    except OSError as error:
        return math.inf, [], f"{path.name} cannot be read ({error.strerror or error})"
    if not content:
        return math.inf, [], f"{path.name} is empty"
    frames, damage = _frames(content)
    events, frames, damage = _parse(content, frames, damage)
    n_whole = _first_damaged(content, frames, events)
    if n_whole < len(frames):
        at = frames[n_whole][0] - 12
        damage = f"is damaged after byte {at}" if at else "is no event file"
    points = [point for event in events[:n_whole] for point in event[1]]
    started_s = min((event[0] for event in events[:n_whole]), default=math.inf)
    return started_s, points, f"{path.name} {damage}" if damage else ""


Frame = tuple[int, int]
"""Where a record's payload begins, and its length."""


def _frames(content: bytes) -> tuple[list[Frame], str]:
    """The records of a TFRecord file: length, its checksum, payload, its checksum; and where the last breaks off."""
    frames: list[Frame] = []
    at, size = 0, len(content)
    unpack = struct.Struct("<Q").unpack_from
    while at < size:
        if at + 12 > size:
            return frames, f"breaks off after byte {at}"
        (length,) = unpack(content, at)
        if at + length + 16 > size:
            if struct.pack("<I", _checksum(content[at : at + 8])) != content[at + 8 : at + 12]:
                return frames, f"is damaged after byte {at}" if at else "is no event file"
            return frames, f"breaks off after byte {at}"
        frames.append((at + 12, length))
        at += length + 16
    return frames, ""


Event = tuple[float, list[Point]]


def _parse(content: bytes, frames: list[Frame], damage: str) -> tuple[list[Event], list[Frame], str]:
    """The time and points of each record, up to the first that is no event."""
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
    from tensorboard.compat.proto.event_pb2 import Event as Message

    events: list[Event] = []
    for begin, length in frames:
        if length > LARGEST_SCALAR_RECORD:
            events.append((math.inf, []))
            continue
        try:
            message = Message.FromString(content[begin : begin + length])
        except DecodeError:
            return events, frames[: len(events)], f"is damaged after byte {begin - 12}"
        time_s, step = message.wall_time, message.step
        values = message.summary.value if message.HasField("summary") else ()
        points = [(time_s, v.tag, step, v.simple_value) for v in values if v.HasField("simple_value")]
        events.append((time_s, points))
    return events, frames, damage


def _first_damaged(content: bytes, frames: Sequence[Frame], events: Sequence[Event]) -> int:
    """The number of records before the first with a wrong checksum.

    Checked are all lengths, and the payloads that are short or from which a value is taken: a wrong bit in a picture
    changes no number.
    """
    checked = [(begin - 12, 8) for begin, _ in frames]
    owners = list(range(len(frames)))
    for number, ((begin, length), (_, points)) in enumerate(zip(frames, events, strict=True)):
        if points or length < SHORT_RECORD:
            checked.append((begin, length))
            owners.append(number)
    groups: dict[int, list[int]] = {}
    for index, (_, length) in enumerate(checked):
        groups.setdefault(length, []).append(index)
    first = len(frames)
    for length, indices in groups.items():
        begins = np.array([checked[i][0] for i in indices], dtype=np.int64)
        wrong = np.flatnonzero(~_match(content, begins, length))
        first = min([first, *(owners[indices[i]] for i in wrong)])
    return first


def _match(content: bytes, begins: npt.NDArray[np.int64], length: int) -> npt.NDArray[np.bool_]:
    """Whether the bytes from each of `begins` have the checksum that follows them."""
    stored = [content[begin + length : begin + length + 4] for begin in begins]
    if len(begins) < FEW:
        return np.array([
            struct.pack("<I", _checksum(content[begin : begin + length])) == given
            for begin, given in zip(begins, stored, strict=True)
        ])  # fmt: skip
    octets, table = np.frombuffer(content, np.uint8), np.array(_crc_table(), np.uint32)
    crc: npt.NDArray[np.uint32] = np.full(len(begins), 0xFFFFFFFF, np.uint32)
    for offset in range(length):
        crc = table[(crc ^ octets[begins + offset]) & np.uint32(0xFF)] ^ (crc >> np.uint32(8))
    crc ^= np.uint32(0xFFFFFFFF)
    masked = ((crc >> np.uint32(15)) | (crc << np.uint32(17))) + np.uint32(0xA282EAD8)
    return np.asarray(masked == np.frombuffer(b"".join(stored), "<u4"))


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
    missing = [tag for tag in TAGS if not log.series[tag]]
    steps = sorted(set.intersection(*(set(log.series[tag]) for tag in TAGS)))
    if log.damage and not steps:
        raise DamageError(f"{log.damage}, and no whole epoch is before that")
    if by_mltrainer and not any(log.series.values()):
        raise NoEpoch("no epoch was logged")
    if missing or not steps:
        raise DamageError(f"no {', '.join(missing) or 'epoch with all metrics'} in its event file")
    epochs = [{tag: log.series[tag][step][1] for tag in TAGS} for step in steps]
    finite = [all(map(math.isfinite, epoch.values())) for epoch in epochs]
    n_epochs = finite.index(False) + 1 if False in finite else len(epochs)
    return Curve(
        tuple(_as_fractions(epochs[:n_epochs])),
        tuple(log.series["Loss/train"][step][0] for step in steps[:n_epochs]),
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
