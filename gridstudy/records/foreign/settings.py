"""The settings beside a run's log, in TOML or GIN -> hyperparameters, and a name for each configuration.

mltrainer writes settings.toml and model.toml, before version 0.2 saved_config.gin, notebooks a `*_results.toml`; keys
are spelt in many ways.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import tomllib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from gridstudy.core.files import read_bytes
from gridstudy.records.foreign.nested_text import flatten_text
from gridstudy.records.foreign.table import DamageError, format_cell, parse_scalar

RESULTS_SUFFIX = "_results.toml"
GIN_FILE = "saved_config.gin"

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
HYPERPARAMETERS = tuple(ALIASES)
WHOLE_NUMBERS = ("epochs", "train_steps", "batch_size", "units1", "units2", "depth")
OPTIMIZERS = ("SGD", "Adam", "AdamW", "RMSprop")
NAME_OF = {alias: name for name, aliases in ALIASES.items() for alias in aliases}
WIDTHS = ("units", "hiddensize", "hiddensizes", "hiddenunits", "hiddendim", "hiddendims", "hiddenlayers")
IRRELEVANT = (
    "training", "logdir", "reporttypes", "metrics", "verbose", "save", "seed", "randomseed", "device", "timestamp",
    "date", "name", "experimentname", "description", "notes",
)  # fmt: skip
"""Settings that leave the outcome alone, and the seed, which is no part of a configuration."""
NOT_DENSE = ("kernelsize", "numheads", "embeddim", "hiddensize")
"""Keys of layers beside which the widths of the linear layers do not say the network's shape."""


NO_TOML = (ValueError, RecursionError)
"""What tomllib raises: for wrong syntax, for integers of over 4,300 digits, and for thousands of brackets."""

LARGEST_NUMBER = 1e15

# --- TOML ----------------------------------------------------------------------------------------------------------


def read_table(path: Path, problem: Callable[..., None]) -> tuple[dict[str, Any], bool]:
    """The content of a TOML file, as far as it can be read, and whether it is there and whole."""
    if not os.path.lexists(path):
        return {}, False
    try:
        content, n_lost = read_toml(path)
    except DamageError as error:
        problem(path, str(error))
        return {}, False
    if n_lost:
        problem(path, f"is cut short or damaged: {n_lost} line{'s' * (n_lost > 1)} of it cannot be read")
    return content, not n_lost


def model_table(content: Mapping[str, Any]) -> dict[str, Any]:
    """What tomlserializer saved of an object, be it a model or settings."""
    table = content.get("model")
    return table if isinstance(table, dict) else {}


def read_toml(path: Path) -> tuple[dict[str, Any], int]:
    """A TOML file's content, and the number of its lines that were lost; raise DamageError when nothing can be read.

    On Windows tomlserializer writes paths with single backslashes, which is no TOML; those lines are mended.
    """
    text = _read_text(path)
    try:
        return tomllib.loads(text), 0
    except NO_TOML:
        mended, n_lost = _mend(text.splitlines())
    try:
        return tomllib.loads(mended), n_lost
    except NO_TOML as error:
        raise DamageError(f"is not valid TOML ({error})") from None


def _read_text(path: Path) -> str:
    try:
        return read_bytes(path).decode("utf-8-sig", "replace").replace("\r\n", "\n")
    except OSError as error:
        raise DamageError(f"cannot be read ({error.strerror or error})") from None


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
        except NO_TOML:
            continue
        return attempt
    return None


# --- hyperparameters -----------------------------------------------------------------------------------------------


def _flatten(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """`{"a": {"b": 1}}` and `{"a": "A(b=1)"}` as `a.b`, 1, without what cannot change the outcome.

    Addresses in memory are cut out.
    """
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{prefix}{key}.")
        elif _plain(key) not in IRRELEVANT:
            cut = re.sub(r" at 0x[0-9A-Fa-f]+", "", value) if isinstance(value, str) else _printable(value)
            nested = flatten_text(cut, prefix + key) if isinstance(cut, str) else None
            if nested is None:
                yield prefix + key, cut
            else:
                yield from ((path, v) for path, v in nested.items() if _plain(path) not in IRRELEVANT)


def _printable(value: Any) -> Any:
    """A value, or words for an integer that is too large to be a number or a text."""
    if isinstance(value, int) and value.bit_length() > 63:
        return f"{hex(value)[:20]}... ({value.bit_length()} bits)"
    return value


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
    keys = (*WIDTHS, "units1", "units2", "depth", "numlayers")
    told = {path: v for path, v in flat.items() if _plain(path) in keys and "." not in path}
    settings = _translate(flat, told, file="model")
    outputs, inputs = (
        [path for path, v in flat.items() if _plain(path) == key and isinstance(v, int)]
        for key in ("outfeatures", "infeatures")
    )
    if len(outputs) < 2 or any(_plain(path) in NOT_DENSE for path in flat):
        return settings
    widths = [flat[path] for path in outputs[:-1]]
    shape = _shape(widths)
    if any(settings.get(name, width) != width for name, width in shape.items()):
        return settings
    told_by_shape = {f"model.{path}" for path in (*outputs[:-1], *inputs[1:])} if _is_told(shape, widths) else set()
    return shape | {key: value for key, value in settings.items() if key not in told_by_shape}


def _translate(flat: Mapping[str, Any], told: Mapping[str, Any], *, file: str) -> dict[str, Any]:
    """The keys in `told` that mean a hyperparameter under its name, all others of `flat` under `file.key`."""
    settings: dict[str, Any] = {}
    used = set()
    for path, value in told.items():
        meaning = _hyperparameters(_plain(path), value)
        if all(settings.get(name, v) == v for name, v in meaning.items()):  # of two that disagree both are kept
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
    return {name: number} if name and (number := _number(name, value)) is not None else {}


def _number(name: str, value: Any) -> int | float | None:
    """A hyperparameter's value where it is a possible one; an int passes for a float, a bool for neither."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < LARGEST_NUMBER:
        return None
    if name in WHOLE_NUMBERS:
        return int(value) if value == value // 1 and value >= 1 else None
    return float(value)


def _shape(widths: Sequence[int]) -> dict[str, Any]:
    return {"units1": widths[0], "units2": widths[min(1, len(widths) - 1)], "depth": len(widths)}


def _is_told(shape: Mapping[str, Any], widths: Sequence[int]) -> bool:
    """Whether the first width, the second and the depth say all widths."""
    return list(widths) == [shape["units1"], *[shape["units2"]] * (shape["depth"] - 1)]


# --- results files -------------------------------------------------------------------------------------------------


class Results:
    """The `[config]` tables of `*_results.toml` files, and which of them speaks of which run."""

    def __init__(self, logdir: Path, files: Mapping[Path, Sequence[Path]], problem: Callable[..., None]) -> None:
        self._logdir = logdir
        self._configs = {folder: list(self._read(paths, problem)) for folder, paths in files.items()}

    @staticmethod
    def _read(files: Iterable[Path], problem: Callable[..., None]) -> Iterator[tuple[set[str], dict[str, Any]]]:
        for path in files:
            content, _ = read_table(path, problem)
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


# --- GIN -----------------------------------------------------------------------------------------------------------


def gin_settings(path: Path, problem: Callable[..., None]) -> dict[str, Any]:
    """The bindings of a GIN file, hyperparameters by name, all others under `gin.SELECTOR.KEY`; empty without one."""
    if not os.path.lexists(path):
        return {}
    try:
        text = _read_text(path)
    except DamageError as error:
        problem(path, str(error))
        return {}
    flat = dict(_flatten(dict(_bindings(text))))
    return _translate(flat, flat, file="gin")


def _bindings(text: str) -> Iterator[tuple[str, Any]]:
    """`selector.key` and value of each binding; macros are put in their places."""
    macros: dict[str, Any] = {}
    bindings: dict[str, str] = {}
    lines = re.sub(r"\\\n\s*", " ", text).splitlines()
    for statement in _statements(lines):
        match = re.fullmatch(r"([\w./@]+)\s*=\s*(.*)", statement, re.DOTALL)
        if match and "." not in match[1]:
            macros[match[1]] = _gin_value(match[2])
        elif match:
            bindings[match[1]] = match[2]
    for key, value in bindings.items():
        yield key, macros.get(value.strip()[1:], value) if value.strip().startswith("%") else _gin_value(value)


def _statements(lines: Iterable[str]) -> Iterator[str]:
    """Bindings with the indented lines that continue them, without comments."""
    statement = ""
    for line in lines:
        if line.startswith((" ", "\t", ")", "]", "}")) and statement:
            statement += " " + line.strip()
            continue
        if statement:
            yield statement
        statement = "" if line.startswith(("#", "import ")) else line.strip()
    if statement:
        yield statement


def _gin_value(text: str) -> Any:
    """A number, a text, or a list of numbers; anything else as it is written."""
    text = text.strip()
    if text[:1] in "([" and text[-1:] in ")]":
        parts = [parse_scalar(part) for part in text[1:-1].split(",") if part.strip()]
        return parts if all(isinstance(part, (int, float)) for part in parts) else text
    return parse_scalar(text)


# --- names ---------------------------------------------------------------------------------------------------------


def name_configurations(settings: Sequence[Mapping[str, Any]]) -> list[str]:
    """A name for each run, equal for equal settings: every setting that differs between the runs.

    Where none differs, the hyperparameters that are known.
    """
    others = sorted({key for run in settings for key in run} - set(HYPERPARAMETERS))
    shown = _varying(settings, (*HYPERPARAMETERS, *others))
    shown = shown or [n for n in HYPERPARAMETERS if any(n in run for run in settings)]
    return [_assignments(run, shown) or "no settings" for run in settings]


def _varying(settings: Iterable[Mapping[str, Any]], keys: Iterable[str]) -> list[str]:
    runs = list(settings)
    return [key for key in keys if any(run.get(key) != runs[0].get(key) for run in runs)]


def _assignments(settings: Mapping[str, Any], keys: Sequence[str]) -> str:
    names = short_names(keys)
    return ",".join(f"{names[key]}={format_cell(settings[key])}" for key in keys if key in settings)


def short_names(keys: Iterable[str]) -> dict[str, str]:
    """Settings without the file that they stand in, where that is clear: `dropout.p` for `model.dropout.p`."""
    keys = sorted(keys, key=lambda key: (HYPERPARAMETERS.index(key) if key in HYPERPARAMETERS else 99, key))
    short = {key: key if key in HYPERPARAMETERS else key.partition(".")[2] or key for key in keys}
    counts = Counter(short.values())
    return {key: name if counts[name] == 1 else key for key, name in short.items()}


def fingerprint_settings(settings: Mapping[str, Any]) -> str:
    """Eight hex digits that are equal for equal settings."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True, default=str).encode()).hexdigest()[:8]
