"""TensorBoard event files that mltrainer wrote -> the epochs of a run, as far as the files are whole."""

from __future__ import annotations

import math
import os
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from statistics import median
from typing import BinaryIO

from gridstudy.core.study import is_diverged
from gridstudy.records.records import RecordError

EVENT_FILE = "events.out.tfevents."
TAGS = ("Loss/train", "Loss/test", "metric/Accuracy")
"""What mltrainer logs per epoch: training loss, validation loss and validation accuracy."""
LARGEST_SCALAR_RECORD = 1 << 14
"""Bytes; longer records (pictures, graphs) hold no scalar of mltrainer and are passed over."""


class NoEpoch(RecordError):
    """A run that ended before its first epoch did."""


# --- event files ---------------------------------------------------------------------------------------------------


@dataclass
class Log:
    """Scalars of the event files: tag -> step -> (time in seconds since 1970, value), steps rising."""

    series: dict[str, dict[int, tuple[float, float]]]
    started_s: float
    damage: str


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


def _read_event_file(path: Path) -> tuple[float, list[tuple[float, str, int, float]], str]:
    """When the file was begun, its (time, tag, step, value) points, and where it is damaged; the rest is lost then."""
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
    from tensorboard.compat.proto.event_pb2 import Event

    started_s, points, damage = math.inf, [], ""
    try:
        with path.open("rb") as file:
            for payload in _records(file):
                event = Event.FromString(payload)
                started_s = min(started_s, event.wall_time)
                for value in event.summary.value:
                    if value.HasField("simple_value"):
                        points.append((event.wall_time, value.tag, event.step, value.simple_value))
    except OSError as error:
        damage = f"{path.name} cannot be read ({error.strerror or error})"
    except (RecordError, DecodeError) as error:
        damage = f"{path.name} {error if isinstance(error, RecordError) else 'is damaged'}"
    return started_s, points, damage


def _records(file: BinaryIO) -> Iterator[bytes]:
    """The payloads of a TFRecord file: length, its checksum, payload, its checksum; raise RecordError at damage."""
    size = os.fstat(file.fileno()).st_size
    if not size:
        raise RecordError("is empty")
    at = 0
    while at < size:
        head = file.read(12)
        if len(head) < 12:
            raise RecordError(f"breaks off after byte {at}")
        length, checksum = struct.unpack("<QI", head)
        if _checksum(head[:8]) != checksum:
            raise RecordError(f"is damaged after byte {at}" if at else "is no event file")
        if at + length + 16 > size:
            raise RecordError(f"breaks off after byte {at}")
        at += length + 16
        if length > LARGEST_SCALAR_RECORD:
            file.seek(at)
            continue
        payload, tail = file.read(length), file.read(4)
        if struct.pack("<I", _checksum(payload)) != tail:
            raise RecordError(f"is damaged after byte {at - length - 16}")
        yield payload


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
        return [math.nan, *(b - a for a, b in zip(self.ended_s, self.ended_s[1:], strict=False))]

    @property
    def duration_s(self) -> float:
        """The median epoch, times the number of epochs: when a notebook began to train is not in its log."""
        return len(self.epochs) * median(self.epoch_duration_s[1:]) if len(self.epochs) > 1 else math.nan


def make_curve(log: Log, *, by_mltrainer: bool) -> Curve:
    """The epochs for which all metrics are there, up to the first whose loss is not finite; raise RecordError if none.

    Accuracies in percent become fractions.
    """
    missing = [tag for tag in TAGS if not log.series[tag]]
    steps = sorted(set.intersection(*(set(log.series[tag]) for tag in TAGS)))
    if log.damage and not steps:
        raise RecordError(f"{log.damage}, and no whole epoch is before that")
    if by_mltrainer and not any(log.series.values()):
        raise NoEpoch("no epoch was logged")
    if missing or not steps:
        raise RecordError(f"no {', '.join(missing) or 'epoch with all metrics'} in its event file")
    epochs = [{tag: log.series[tag][step][1] for tag in TAGS} for step in steps]
    finite = [not is_diverged(*epoch.values()) for epoch in epochs]
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
        raise RecordError("its metric/Accuracy is neither a fraction nor in percent")
    unit = 100 if any(accuracy > 1.01 for accuracy in accuracies) else 1
    for epoch, accuracy in zip(epochs, accuracies, strict=True):
        yield {**epoch, "metric/Accuracy": accuracy / unit}
