"""Runs that mltrainer logged for somebody else, as rows of the tables in `records`.

A run is a folder with TensorBoard event files. Its settings.toml and model.toml, and a `*_results.toml` in it or above
it, say its configuration; the event files hold its curves. Seed and split are unknown, so runs of equal known settings
are replicates that nothing pairs.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import struct
import tomllib
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from statistics import median
from typing import Any, BinaryIO

from gridstudy.records import EXPERIMENTS_FOLDER, GROUP_COLUMNS, RecordError
from gridstudy.study import (
    BOUNDS,
    GUESSING_ACCURACY,
    HYPERPARAMETERS,
    OPTIMIZERS,
    UNKNOWN,
    StudyError,
    format_value,
    is_diverged,
)

Row = dict[str, Any]

EVENT_FILE = "events.out.tfevents."
RESULTS_SUFFIX = "_results.toml"
TAGS = ("Loss/train", "Loss/test", "metric/Accuracy")
"""What mltrainer logs per epoch: training loss, validation loss and validation accuracy."""
OWN_TRIAL = re.compile(r"seed\d+-[0-9a-f]{8}")
LARGEST_SCALAR_RECORD = 1 << 14
"""Bytes; longer records (pictures, graphs) hold no scalar of mltrainer and are passed over."""

ALIASES = {
    "epochs": ("epochs", "epoch", "nepochs", "numepochs"),
    "train_steps": ("trainsteps",),
    "batch_size": ("batchsize", "batch", "bs"),
    "units1": ("units1",),
    "units2": ("units2",),
    "depth": ("depth", "numlayers", "nlayers", "nhidden", "numhiddenlayers", "hiddenlayers"),
    "learning_rate": ("learningrate", "lr"),
    "optimizer": ("optimizer", "optim"),
    "momentum": ("momentum",),
    "weight_decay": ("weightdecay", "wd"),
}
NAME_OF = {alias: name for name, aliases in ALIASES.items() for alias in aliases}
WIDTHS = ("units", "hiddensize", "hiddensizes", "hiddenunits", "hiddendim", "hiddendims", "hiddenlayers")
IRRELEVANT = (
    "training", "logdir", "reporttypes", "metrics", "verbose", "save", "seed", "randomseed", "device", "timestamp",
    "date", "name", "experimentname", "description", "notes",
)  # fmt: skip
"""Settings that leave the outcome alone, and the seed, which is no part of a configuration."""
NOT_DENSE = ("kernelsize", "numheads", "embeddim", "hiddensize")
"""Keys of layers beside which the widths of the linear layers do not say the network's shape."""


def load_foreign(logdir: Path, *, own_folders: Collection[Path]) -> tuple[list[Row], list[Row], list[Row]]:
    """Rows of trials, curves and problems for the runs below `logdir` that lie in none of `own_folders`.

    Links are not followed, and hidden folders are passed over. A run whose log breaks off counts as one of as many
    epochs as it has, and is a problem as well.
    """
    found = _find(logdir, own_folders)
    reported = _Results(logdir, found)
    runs: list[_Run] = []
    for folder, files in found.events.items():
        try:
            runs.append(_read_run(folder, files, reported, found.problem))
        except RecordError as error:
            found.problem(folder, str(error), state="interrupted" if isinstance(error, _NoEpoch) else "unreadable")
    names = name_configurations([run.settings for run in runs])
    trials = [_trial_row(run, name, logdir) for run, name in zip(runs, names, strict=True)]
    curves = [row for run, name in zip(runs, names, strict=True) for row in _curve_rows(run, name, logdir)]
    return trials, curves, found.problems


class _NoEpoch(RecordError):
    """A run that ended before its first epoch did."""


# --- folders -------------------------------------------------------------------------------------------------------


@dataclass
class _Found:
    """Event files by folder, `*_results.toml` files by folder, and what could not be looked into."""

    events: dict[Path, list[Path]] = field(default_factory=dict)
    results: dict[Path, list[Path]] = field(default_factory=dict)
    problems: list[Row] = field(default_factory=list)

    def problem(self, path: Path, reason: str, *, state: str = "unreadable") -> None:
        self.problems.append({"path": _text(str(path)), "state": state, "reason": reason})


def _text(path: str) -> str:
    """A path that can be written to a file, also where a name in it is no valid UTF-8."""
    return path.encode("utf-8", "backslashreplace").decode()


def _find(logdir: Path, own_folders: Collection[Path]) -> _Found:
    found = _Found()
    own = {str(folder) for folder in own_folders}
    above_own = {str(folder.parent) for folder in own_folders}
    for folder, subfolders, files in os.walk(logdir, onerror=_refused(found)):
        here = Path(folder)
        if not (_is_ours(here, subfolders) or (here == logdir and own)):
            _keep(found.events, here, [name for name in files if name.startswith(EVENT_FILE)])
        _keep(found.results, here, [name for name in files if name.endswith(RESULTS_SUFFIX)])
        others = sorted(n for n in subfolders if not n.startswith(".") and str(here / n) not in own)
        subfolders[:] = [name for name in others if not OWN_TRIAL.fullmatch(name)]
        if len(subfolders) < len(others):
            _report_nested(here.parent, found)
        for name in subfolders:
            if (here / name).is_symlink() and str(here / name) not in above_own:
                found.problem(here / name, "is a link, and links are not followed")
    return found


def _keep(kept: dict[Path, list[Path]], folder: Path, names: Iterable[str]) -> None:
    if files := [folder / name for name in sorted(names)]:
        kept[folder] = files


def _refused(found: _Found) -> Callable[[OSError], None]:
    def report(error: OSError) -> None:
        if not isinstance(error, FileNotFoundError):
            found.problem(Path(error.filename), f"cannot be read ({error.strerror or error})")

    return report


def _is_ours(folder: Path, subfolders: Sequence[str]) -> bool:
    """Whether `folder` is a log directory of this program; the event file in it describes hyperparameters only."""
    return EXPERIMENTS_FOLDER in subfolders and any((folder / EXPERIMENTS_FOLDER).glob("*.toml"))


def _report_nested(logdir: Path, found: _Found) -> None:
    if not any(row["path"] == _text(str(logdir)) for row in found.problems):
        found.problem(logdir, "holds trials of this program, which are read only with this path as --logdir")


# --- one run -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Run:
    """What the files of a run say. `settings`: hyperparameters by name, all else that they say by `file.key`."""

    folder: Path
    settings: Mapping[str, Any]
    curve: _Curve
    host: str | None

    @property
    def fingerprint(self) -> str:
        return _fingerprint(self.settings)


def _read_run(folder: Path, files: Sequence[Path], reported: _Results, problem: Callable[..., None]) -> _Run:
    """Read a run's files; raise RecordError where they hold no curve, and tell `problem` of what is damaged."""
    log = _read_events(files)
    trainer, model = (_model_table(_read_table(folder / name, problem)) for name in ("settings.toml", "model.toml"))
    curve = _make_curve(log, by_mltrainer=bool(trainer or model))
    settings = _model_settings(model) | _trainer_settings(trainer)
    settings = reported.on(folder, settings) | settings
    n_epochs, planned = len(curve.epochs), settings.get("epochs", 0)
    n_missing = 0 if curve.diverged or _stops_early(curve, settings) else max(0, planned - n_epochs)
    if log.damage or n_missing:
        of = f" of {planned}" if n_missing else ""
        reason = f"{log.damage or 'ended early'}: {n_epochs}{of} epochs were read, and it counts as a run of {n_epochs}"
        problem(folder, reason, state="unreadable" if log.damage else "interrupted")
    if n_missing or n_epochs > planned:
        settings["epochs"] = n_epochs
    return _Run(folder, settings, curve, _host(files[-1]))


def _stops_early(curve: _Curve, settings: Mapping[str, Any]) -> bool:
    """Whether mltrainer's early stopping ended the run: as many epochs without a new least loss as it has patience."""
    patience = settings.get("settings.earlystop_kwargs.patience")
    delta = settings.get("settings.earlystop_kwargs.delta")
    delta = delta if isinstance(delta, float) else 0.0
    best, waited = math.inf, 0
    for loss in curve.column("Loss/test"):
        improved = loss + delta < best
        best, waited = (loss, waited) if improved else (best, waited + 1)
    return isinstance(patience, int) and waited >= patience


def _host(path: Path) -> str | None:
    match = re.fullmatch(re.escape(EVENT_FILE) + r"\d+\.(.+?)(\.\d+\.\d+)?", path.name)
    return match[1] if match else None


# --- settings ------------------------------------------------------------------------------------------------------


def _read_table(path: Path, problem: Callable[..., None]) -> dict[str, Any]:
    """The content of a TOML file, as far as it can be read; empty where there is none."""
    if not os.path.lexists(path):
        return {}
    try:
        content, n_lost = read_toml(path)
    except RecordError as error:
        problem(path, str(error))
        return {}
    if n_lost:
        problem(path, f"is cut short or damaged: {n_lost} line{'s' * (n_lost > 1)} of it cannot be read")
    return content


def _model_table(content: Mapping[str, Any]) -> dict[str, Any]:
    """What tomlserializer saved of an object, be it a model or settings."""
    table = content.get("model")
    return table if isinstance(table, dict) else {}


def read_toml(path: Path) -> tuple[dict[str, Any], int]:
    """A TOML file's content, and the number of its lines that were lost; raise RecordError when nothing can be read.

    On Windows tomlserializer writes paths with single backslashes, which is no TOML; those lines are mended.
    """
    try:
        text = path.read_text(encoding="utf-8-sig", errors="replace")
    except OSError as error:
        raise RecordError(f"cannot be read ({error.strerror or error})") from None
    try:
        return tomllib.loads(text), 0
    except tomllib.TOMLDecodeError:
        mended, n_lost = _mend(text.splitlines())
    try:
        return tomllib.loads(mended), n_lost
    except tomllib.TOMLDecodeError as error:
        raise RecordError(f"is no TOML ({error})") from None


def _mend(lines: Iterable[str]) -> tuple[str, int]:
    """The lines that are TOML by themselves or with backslashes escaped; after a lost heading, none up to the next."""
    kept, n_lost, lost_heading = [], 0, False
    for line in lines:
        mended = _mend_line(line)
        is_heading = line.lstrip().startswith("[")
        lost_heading = mended is None if is_heading else lost_heading
        if mended is None or lost_heading:
            n_lost += 1
        else:
            kept.append(mended)
    return "\n".join(kept), n_lost


def _mend_line(line: str) -> str | None:
    string = re.fullmatch(r'\s*([\w.-]+)\s*=\s*"(.*)"\s*', line)
    quoted = f"{string[1]} = {json.dumps(string[2], ensure_ascii=False)}" if string else line
    for attempt in (line, line.replace("\\", "\\\\"), quoted):
        try:
            tomllib.loads(attempt)
        except tomllib.TOMLDecodeError:
            continue
        return attempt
    return None


def _flatten(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """`{"a": {"b": 1}}` as `a.b`, 1, without what cannot change the outcome; addresses in memory are cut out."""
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{prefix}{key}.")
        elif _plain(key) not in IRRELEVANT:
            yield prefix + key, re.sub(r" at 0x[0-9A-Fa-f]+", "", value) if isinstance(value, str) else value


def _plain(path: str) -> str:
    """The last part of a dotted key in small letters and digits only: `batchsize` for `data.batch_size`."""
    return re.sub(r"[^a-z0-9]", "", path.rpartition(".")[2].lower())


def _trainer_settings(table: Mapping[str, Any]) -> dict[str, Any]:
    flat = dict(_flatten(table))
    told = {path: v for path, v in flat.items() if "." not in path or path.startswith("optimizer_kwargs.")}
    return _translate(flat, told, file="settings")


def _model_settings(table: Mapping[str, Any]) -> dict[str, Any]:
    """The model's attributes, and the widths of its hidden layers as its linear layers have them."""
    flat = dict(_flatten(table))
    told = {path: v for path, v in flat.items() if _plain(path) in (*WIDTHS, "units1", "units2", "depth", "numlayers")}
    settings = _translate(flat, told, file="model")
    widths = [v for path, v in flat.items() if _plain(path) == "outfeatures" and isinstance(v, int)][:-1]
    if not widths or any(_plain(path) in NOT_DENSE for path in flat):
        return settings
    shape = _shape(widths)
    return shape | settings if all(settings.get(name, width) == width for name, width in shape.items()) else settings


def _translate(flat: Mapping[str, Any], told: Mapping[str, Any], *, file: str) -> dict[str, Any]:
    """The keys in `told` that mean a hyperparameter under its name, all others of `flat` under `file.key`."""
    settings: dict[str, Any] = {}
    used = set()
    for path, value in told.items():
        meaning = _hyperparameters(_plain(path), value)
        settings |= meaning
        used |= {path} if meaning else set()
    return settings | {f"{file}.{path}": value for path, value in flat.items() if path not in used}


def _hyperparameters(key: str, value: Any) -> dict[str, Any]:
    """What `key` = `value` says of our hyperparameters; nothing where it is none or its value is impossible."""
    sizes = value if isinstance(value, list) else [value]
    if key in WIDTHS and (key not in NAME_OF or isinstance(value, list)):
        shape = _shape(sizes) if sizes and all(type(size) is int and size > 0 for size in sizes) else {}
        return shape if isinstance(value, list) else {n: v for n, v in shape.items() if n != "depth"}
    name = NAME_OF.get(key)
    if name == "optimizer":
        found = [optimizer for optimizer in OPTIMIZERS if optimizer.lower() == _plain(str(value))]
        return {"optimizer": found[0]} if found else {}
    try:
        return {name: BOUNDS[name].check(name, value)} if name else {}
    except StudyError:
        return {}


def _shape(widths: Sequence[int]) -> dict[str, Any]:
    return {"units1": widths[0], "units2": widths[min(1, len(widths) - 1)], "depth": len(widths)}


class _Results:
    """The `[config]` tables of `*_results.toml` files, and which of them speaks of which run."""

    def __init__(self, logdir: Path, found: _Found) -> None:
        self._logdir = logdir
        self._configs = {folder: list(self._read(files, found.problem)) for folder, files in found.results.items()}

    @staticmethod
    def _read(files: Iterable[Path], problem: Callable[..., None]) -> Iterator[tuple[set[str], dict[str, Any]]]:
        for path in files:
            content = _read_table(path, problem)
            if isinstance(content.get("config"), dict):
                flat = dict(_flatten(content["config"]))
                names = {str(content.get("experiment_name")), path.name.removesuffix(RESULTS_SUFFIX)}
                yield names, _translate(flat, flat, file="config")

    def on(self, folder: Path, settings: Mapping[str, Any]) -> dict[str, Any]:
        """The nearest config in or above the run's folder that contradicts none of the run's own settings.

        Of several in one folder, the one that is named like a folder of the run; nothing where that leaves a choice.
        """
        parts = {self._logdir.name, *folder.relative_to(self._logdir).parts}
        for above in (folder, *folder.parents):
            configs = [
                (names, config) for names, config in self._configs.get(above, ())
                if all(config[key] == settings[key] for key in config.keys() & settings.keys())
            ]  # fmt: skip
            fitting = [config for names, config in configs if names & parts] or [config for _, config in configs]
            if fitting:
                return fitting[0] if all(config == fitting[0] for config in fitting) else {}
            if above == self._logdir:
                break
        return {}


# --- names ---------------------------------------------------------------------------------------------------------


def name_configurations(settings: Sequence[Mapping[str, Any]]) -> list[str]:
    """A name for each run, equal for equal settings: the hyperparameters that differ between the runs.

    Where these are equal and other settings are not, those that differ are added.
    """
    alike: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    varying = _varying(settings, HYPERPARAMETERS) or [n for n in HYPERPARAMETERS if any(n in s for s in settings)]
    for run in settings:
        alike[_assignments(run, varying)].append(run)
    names = []
    for run in settings:
        name = _assignments(run, varying)
        others = sorted({key for other in alike[name] for key in other} - set(HYPERPARAMETERS))
        name = ",".join(filter(None, (name, _assignments(run, _varying(alike[name], others))))) or "unknown settings"
        names.append(name if len(name) <= 80 else f"{name[:71].rstrip(',.=')}-{_fingerprint(run)}")
    return names


def _varying(settings: Iterable[Mapping[str, Any]], keys: Iterable[str]) -> list[str]:
    runs = list(settings)
    return [key for key in keys if any(run.get(key) != runs[0].get(key) for run in runs)]


def _assignments(settings: Mapping[str, Any], keys: Iterable[str]) -> str:
    return ",".join(
        f"{key if key in HYPERPARAMETERS else key.partition('.')[2]}={format_value(settings.get(key, UNKNOWN))}"
        for key in keys
    )


def _fingerprint(settings: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(settings, sort_keys=True, default=str).encode()).hexdigest()[:8]


# --- event files ---------------------------------------------------------------------------------------------------


@dataclass
class _Log:
    """Scalars of the event files: tag -> step -> (time in seconds since 1970, value), steps rising."""

    series: dict[str, dict[int, tuple[float, float]]]
    started_s: float
    damage: str


def _read_events(files: Sequence[Path]) -> _Log:
    """Read a run's event files in the order in which they were begun; what a restart logs again replaces the old."""
    logs = [_read_event_file(path) for path in files]
    series: dict[str, dict[int, tuple[float, float]]] = {tag: {} for tag in TAGS}
    for _, points, _ in sorted(logs, key=lambda log: log[0]):
        for time_s, tag, step, value in points:
            steps = series.setdefault(tag, {})
            while steps and next(reversed(steps)) >= step:
                steps.popitem()
            steps[step] = (time_s, value)
    return _Log(series, min(log[0] for log in logs), "; ".join(filter(None, (log[2] for log in logs))))


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
class _Curve:
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


def _make_curve(log: _Log, *, by_mltrainer: bool) -> _Curve:
    """The epochs for which all metrics are there, up to the first whose loss is not finite; raise RecordError if none.

    Accuracies in percent become fractions.
    """
    missing = [tag for tag in TAGS if not log.series[tag]]
    steps = sorted(set.intersection(*(set(log.series[tag]) for tag in TAGS)))
    if log.damage and not steps:
        raise RecordError(f"{log.damage}, and no whole epoch is before that")
    if by_mltrainer and not any(log.series.values()):
        raise _NoEpoch("no epoch was logged")
    if missing or not steps:
        raise RecordError(f"no {', '.join(missing) or 'epoch with all metrics'} in its event file")
    epochs = [{tag: log.series[tag][step][1] for tag in TAGS} for step in steps]
    finite = [not is_diverged(*epoch.values()) for epoch in epochs]
    n_epochs = finite.index(False) + 1 if False in finite else len(epochs)
    return _Curve(
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


# --- rows ----------------------------------------------------------------------------------------------------------


def _trial_row(run: _Run, name: str, logdir: Path) -> Row:
    """A row of `records.TRIAL_COLUMNS`; what the log does not say is NaN, or None where text would stand."""
    settings, last = run.settings, run.curve.epochs[-1]
    updates = len(run.curve.epochs) * settings.get("train_steps", math.nan)
    return {
        "trial_id": _trial_id(run, logdir),
        "configuration": name,
        "configuration_fingerprint": run.fingerprint,
        "seed": math.nan,
        **{n: settings.get(n, None if n == "optimizer" else math.nan) for n in HYPERPARAMETERS},
        "diverged": run.curve.diverged,
        "validation_accuracy": GUESSING_ACCURACY if run.curve.diverged else last["metric/Accuracy"],
        "validation_loss": last["Loss/test"],
        "train_loss": last["Loss/train"],
        "test_accuracy": math.nan,
        "updates": updates,
        "examples": updates * settings.get("batch_size", math.nan),
        "parameters": math.nan,
        "duration_s": run.curve.duration_s,
        **dict.fromkeys(GROUP_COLUMNS, UNKNOWN),
        "host": run.host,
        **dict.fromkeys(("platform", "device", "versions")),
        "attempt": math.nan,
        "started": _timestamp(run.curve.started_s),
        "origin": "foreign",
    }


def _timestamp(time_s: float) -> str | None:
    try:
        return datetime.fromtimestamp(time_s, UTC).isoformat(timespec="seconds")
    except (ValueError, OverflowError, OSError):
        return None


def _curve_rows(run: _Run, name: str, logdir: Path) -> Iterator[Row]:
    for number, (epoch, duration_s) in enumerate(zip(run.curve.epochs, run.curve.epoch_duration_s, strict=True), 1):
        yield {
            "trial_id": _trial_id(run, logdir),
            "configuration": name,
            "seed": math.nan,
            "epoch": number,
            "train_loss": epoch["Loss/train"],
            "validation_loss": epoch["Loss/test"],
            "validation_accuracy": epoch["metric/Accuracy"],
            "duration_s": duration_s,
        }


def _trial_id(run: _Run, logdir: Path) -> str:
    return _text(run.folder.relative_to(logdir).as_posix())
