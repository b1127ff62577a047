"""The settings beside a run's log, in TOML -> hyperparameters, and a name for each configuration.

mltrainer writes settings.toml and model.toml, notebooks a `*_results.toml`; keys are spelt in many ways.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import tomllib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from gridstudy.core.errors import StudyError
from gridstudy.core.study import BOUNDS, HYPERPARAMETERS, OPTIMIZERS, UNKNOWN, format_value
from gridstudy.records.records import RecordError

RESULTS_SUFFIX = "_results.toml"

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


# --- TOML ----------------------------------------------------------------------------------------------------------


def read_table(path: Path, problem: Callable[..., None]) -> dict[str, Any]:
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


def model_table(content: Mapping[str, Any]) -> dict[str, Any]:
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


# --- hyperparameters -----------------------------------------------------------------------------------------------


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


def trainer_settings(table: Mapping[str, Any]) -> dict[str, Any]:
    """The trainer's settings: hyperparameters by name, all others under `settings.key`."""
    flat = dict(_flatten(table))
    told = {path: v for path, v in flat.items() if "." not in path or path.startswith("optimizer_kwargs.")}
    return _translate(flat, told, file="settings")


def model_settings(table: Mapping[str, Any]) -> dict[str, Any]:
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


# --- results files -------------------------------------------------------------------------------------------------


class Results:
    """The `[config]` tables of `*_results.toml` files, and which of them speaks of which run."""

    def __init__(self, logdir: Path, files: Mapping[Path, Sequence[Path]], problem: Callable[..., None]) -> None:
        self._logdir = logdir
        self._configs = {folder: list(self._read(paths, problem)) for folder, paths in files.items()}

    @staticmethod
    def _read(files: Iterable[Path], problem: Callable[..., None]) -> Iterator[tuple[set[str], dict[str, Any]]]:
        for path in files:
            content = read_table(path, problem)
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
        names.append(name if len(name) <= 80 else f"{name[:71].rstrip(',.=')}-{fingerprint_settings(run)}")
    return names


def _varying(settings: Iterable[Mapping[str, Any]], keys: Iterable[str]) -> list[str]:
    runs = list(settings)
    return [key for key in keys if any(run.get(key) != runs[0].get(key) for run in runs)]


def _assignments(settings: Mapping[str, Any], keys: Iterable[str]) -> str:
    return ",".join(
        f"{key if key in HYPERPARAMETERS else key.partition('.')[2]}={format_value(settings.get(key, UNKNOWN))}"
        for key in keys
    )


def fingerprint_settings(settings: Mapping[str, Any]) -> str:
    """Eight hex digits that are equal for equal settings."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True, default=str).encode()).hexdigest()[:8]
