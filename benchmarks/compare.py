"""Measure the study side by side with the loops that people write, and against the machine: `make benchmark`.

All of it is timed from command to exit, start-up included, in interleaved rounds whose order turns, so that drift
cancels. The loops train every entry of the seven experiments. The study trains a configuration that several
experiments share once, 56 for 61 entries, so both the times per entry and per trained configuration are given.
"""

from __future__ import annotations

import argparse
import csv
import importlib.util
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from functools import partial
from importlib import import_module, metadata
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from benchmarks.products import measure_peaks, name_library
from gridstudy.core.selection import select_experiments
from gridstudy.core.space import Configuration
from gridstudy.core.subject import Data
from gridstudy.core.trial import DataIdentity, TrialConfig, TrialResult
from gridstudy.fashion.space import N_CLASSES, layer_widths
from gridstudy.fashion.subject import SUBJECT
from gridstudy.records.tables import find_results
from gridstudy.records.trials import LOG_FILE, TRIAL_FILE, read_result
from gridstudy.running.cores import count_cores
from gridstudy.running.subjects import SubjectSource
from gridstudy.running.trials import run_trials

if TYPE_CHECKING:
    from rich.console import Console

    from gridstudy.fashion.data import PreparedData

T = TypeVar("T")
SOURCE = SubjectSource(module="gridstudy.fashion.subject")
ROOT = Path(__file__).resolve().parents[1]
N_PIXELS = 784
OURS, HEADLINE, LOOPS = "ours", "ours, five seeds", ("naive", "optuna", "ray")
DESCRIPTIONS = {
    OURS: "python grid_search_experiments.py --seeds 1",
    HEADLINE: "python grid_search_experiments.py --seeds 5",
    "naive": "mltrainer's Trainer, one trial after another",
    "optuna": "Optuna's GridSampler, two jobs",
    "ray": "Ray Tune, two CPUs",
}
PACKAGES = {"naive": "mltrainer", "optuna": "optuna", "ray": "ray.tune"}
JOBS = 2
"""Trials at a time that Optuna and Ray Tune are given."""

GROWTH_TRIALS = (10, 30, 100, 300, 1000)
MEMORY_WORKERS = (1, 2, 4)
TINY = {"epochs": 1, "train_steps": 1, "batch_size": 4, "units1": 16, "units2": 16}
BUSY_LOAD = 0.5
"""Load average, tasks waiting to run, above which a warning says that others are using the machine."""

EPILOG = """\
examples:
  make benchmark                                                      three rounds of everything: most of an hour
  python -m benchmarks.compare --data-dir ../shared/fashion-mnist --rounds 1 --only ours,naive
  python -m benchmarks.compare --dataset garments-small --entries 3 --scale 0.02 --rounds 1    does it work at all
"""


@dataclass(frozen=True)
class Measurement:
    """One number; `round` counts from 1, and is 0 for what is measured once."""

    section: str
    quantity: str
    value: float
    unit: str
    round: int = 0
    note: str = ""


@dataclass(frozen=True)
class Setting:
    """What is run, and where files of the benchmark go: `work` is temporary."""

    work: Path
    entries: tuple[Configuration, ...]
    data_options: tuple[str, ...]
    study_options: tuple[str, ...]
    n_validation: int
    scale: float

    @property
    def n_distinct(self) -> int:
        return len(set(self.entries))


@dataclass(frozen=True)
class Run:
    """A finished command: when it was started (seconds since the epoch), how long it took, what it trained."""

    name: str
    started: float
    duration_s: float
    logdir: Path
    n_entries: int
    n_trained: int


class Objective(Protocol):
    """Trains entry `number` and returns its validation loss."""

    def __call__(self, number: int) -> float: ...


# --- the loops that people write ------------------------------------------------------------------------------------


def train_naively(configuration: Mapping[str, Any], *, data_dir: Path, logdir: Path, n_validation: int) -> float:
    """Train as course scripts do, data loaded anew and streamed image by image; return the last validation loss."""
    import torch
    from mads_datasets.factories.torchfactories import FashionDatasetFactory
    from mads_datasets.settings import fashionmnistsettings
    from mltrainer import ReportTypes, Trainer, TrainerSettings, metrics
    from mltrainer.preprocessors import BasePreprocessor

    from gridstudy.fashion.network import MLP

    streamers: Mapping[str, Any] = FashionDatasetFactory(fashionmnistsettings, datadir=data_dir).create_datastreamer(
        batchsize=configuration["batch_size"], preprocessor=BasePreprocessor()
    )
    settings = {"lr": configuration["learning_rate"], "weight_decay": configuration["weight_decay"]}
    trainer = Trainer(
        model=MLP(layer_widths(configuration)),
        settings=TrainerSettings(
            epochs=configuration["epochs"],
            metrics=[metrics.Accuracy()],
            logdir=logdir,
            train_steps=configuration["train_steps"],
            valid_steps=max(1, n_validation // configuration["batch_size"]),
            reporttypes=[ReportTypes.TENSORBOARD, ReportTypes.TOML],
            optimizer_kwargs=settings | ({"momentum": configuration["momentum"]} if configuration["momentum"] else {}),
            scheduler_kwargs=None,
            earlystop_kwargs=None,
        ),
        loss_fn=torch.nn.CrossEntropyLoss(),
        optimizer=getattr(torch.optim, configuration["optimizer"]),
        traindataloader=streamers["train"].stream(),
        validdataloader=streamers["valid"].stream(),
        scheduler=None,
    )
    trainer.loop()
    return float(trainer.test_loss)


def train_entry(number: int, *, work: Path, logdir: Path) -> float:
    """The objective of all three loops: train entry `number` of the job that `write_job` left in `work`."""
    job = json.loads((work / "job.json").read_text(encoding="utf-8"))
    return train_naively(
        SUBJECT.configure(job["entries"][number]),
        data_dir=work / "mads",
        logdir=logdir / f"entry{number:03d}",
        n_validation=job["n_validation"],
    )


def run_naive(objective: Objective, n_entries: int, work: Path) -> None:
    """One trial after another."""
    for number in range(n_entries):
        objective(number)


def run_optuna(objective: Objective, n_entries: int, work: Path) -> None:
    """Optuna's GridSampler over the entries, JOBS at a time."""
    optuna = import_module("optuna")
    sampler = optuna.samplers.GridSampler({"entry": list(range(n_entries))}, seed=0)
    study = optuna.create_study(sampler=sampler, direction="minimize")
    study.optimize(
        lambda trial: objective(trial.suggest_int("entry", 0, max(1, n_entries - 1))), n_trials=n_entries, n_jobs=JOBS
    )


def run_ray(objective: Objective, n_entries: int, work: Path) -> None:
    """Ray Tune's grid search over the entries on JOBS CPUs, one for each trial."""
    from gridstudy.running.ray_launcher import import_ray

    ray = import_ray(local=True)
    tune = import_module("ray.tune")
    ray.init(address="local", num_cpus=JOBS, include_dashboard=False)
    try:
        tuner = tune.Tuner(
            tune.with_resources(lambda config: {"loss": objective(config["entry"])}, {"cpu": 1}),
            param_space={"entry": tune.grid_search(list(range(n_entries)))},
            run_config=tune.RunConfig(storage_path=str(work / "ray"), verbose=0),
        )
        results = tuner.fit()
        if results.errors:
            raise results.errors[0]
    finally:
        ray.shutdown()


_RUN_LOOP: Mapping[str, Callable[[Objective, int, Path], None]] = {
    "naive": run_naive,
    "optuna": run_optuna,
    "ray": run_ray,
}


def is_installed(loop: str) -> bool:
    """Whether the loop's package is here."""
    try:
        return importlib.util.find_spec(PACKAGES[loop]) is not None
    except ModuleNotFoundError:
        return False


# --- what is run, and on what data ----------------------------------------------------------------------------------


def list_entries(*, n_entries: int | None = None, scale: float = 1.0) -> tuple[Configuration, ...]:
    """The configurations of the seven experiments in order, shared ones repeated; all of them, or the first few."""
    experiments = select_experiments(SUBJECT, ["all"], overrides=scaled_steps(scale))
    return tuple(c for experiment in experiments for c in experiment.configurations)[:n_entries]


def scaled_steps(scale: float) -> dict[str, int]:
    """What to override so that a trial has `scale` times its updates."""
    return {} if scale == 1 else {"train_steps": max(1, round(SUBJECT.configure({})["train_steps"] * scale))}


def write_mads_file(path: Path, prepared: PreparedData) -> None:
    """Write data that was prepared with the test images as validation in the form of mads-datasets' fashionmnist.pt."""
    import torch

    from gridstudy.fashion.data import open_splits

    splits = open_splits(prepared)
    path.parent.mkdir(parents=True)
    content = {
        "traindata": splits.train.images.reshape(-1, 28, 28),
        "trainlabels": splits.train.labels,
        "testdata": splits.test.images.reshape(-1, 28, 28),
        "testlabels": splits.test.labels,
    }
    torch.save({name: tensor.clone() for name, tensor in content.items()}, path)


def prepare_setting(arguments: argparse.Namespace, work: Path) -> tuple[Setting, PreparedData, float]:
    """Make a data cache of our own and mads-datasets' file; returns also the seconds that the cache took."""
    from gridstudy.fashion.data import prepare

    warn = partial(print, file=sys.stderr)
    clock = time.perf_counter()
    prepared = prepare(arguments.dataset, data_dir=arguments.data_dir, cache_dir=work / "cache", warn=warn)
    duration_s = time.perf_counter() - clock
    official = prepare(
        arguments.dataset, data_dir=arguments.data_dir, cache_dir=work / "cache", validation="test", warn=warn
    )
    write_mads_file(work / "mads" / "fashionmnist" / "fashionmnist.pt", official)
    entries = list_entries(n_entries=arguments.entries, scale=arguments.scale)
    setting = Setting(
        work=work,
        entries=entries,
        data_options=_data_options(arguments, prepared),
        study_options=_study_options(arguments, work, entries),
        n_validation=max(1, round(prepared.n_validation * arguments.scale)),
        scale=arguments.scale,
    )
    write_job(setting)
    return setting, prepared, duration_s


def _data_options(arguments: argparse.Namespace, prepared: PreparedData) -> tuple[str, ...]:
    if arguments.data_dir:
        return ("--data-dir", str(arguments.data_dir.resolve()))
    return ("--dataset", prepared.dataset)


def _study_options(arguments: argparse.Namespace, work: Path, entries: Sequence[Configuration]) -> tuple[str, ...]:
    """None for the study as it is; a study file for a part of it."""
    if arguments.entries:
        return ("--study", str(write_study(work / "entries.toml", [dict(entry) for entry in entries])))
    return _set_options(arguments.scale)


def _set_options(scale: float) -> tuple[str, ...]:
    return tuple(word for name, value in scaled_steps(scale).items() for word in ("--set", f"{name}={value}"))


def write_study(path: Path, configurations: Sequence[Mapping[str, object]]) -> Path:
    """A study file of one experiment."""
    import tomli_w

    content = {"experiment": [{"name": path.stem, "configurations": configurations}]}
    path.write_text(tomli_w.dumps(content), encoding="utf-8")
    return path


def write_job(setting: Setting) -> None:
    """Leave what `train_entry` needs."""
    job = {"n_validation": setting.n_validation, "entries": [dict(entry) for entry in setting.entries]}
    (setting.work / "job.json").write_text(json.dumps(job), encoding="utf-8")


# --- running commands -----------------------------------------------------------------------------------------------


def study_command(setting: Setting, logdir: Path, *options: str) -> list[str]:
    """Our study as a user runs it; on the CPU, where the loops are."""
    return [
        sys.executable,
        str(ROOT / "grid_search_experiments.py"),
        "--device",
        "cpu",
        "--logdir",
        str(logdir),
        *options,
    ]


def loop_command(setting: Setting, logdir: Path, loop: str) -> list[str]:
    """This file again, as one of the loops."""
    return [sys.executable, "-m", "benchmarks.compare", "--loop", loop, str(setting.work), str(logdir)]


def environment(setting: Setting) -> dict[str, str]:
    """Ours, without limits on threads, which would change what is compared, and with the benchmark's data cache."""
    limits = {"OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "TORCH_NUM_THREADS"}
    kept = {name: value for name, value in os.environ.items() if name not in limits}
    return {**kept, "GRIDSTUDY_CACHE": str(setting.work / "cache"), "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"}


@contextmanager
def start(command: Sequence[str], setting: Setting) -> Iterator[subprocess.Popen[bytes]]:
    """Start a command with its output in a file, wait for it in the end, and fail as it does, with that output."""
    path = setting.work / "output.txt"
    with path.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603 - the command is ours
            command, cwd=ROOT, env=environment(setting), stdin=subprocess.DEVNULL, stdout=output, stderr=output
        )
        try:
            yield process
            process.wait()
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait()
    if process.returncode:
        tail = path.read_text(encoding="utf-8", errors="replace")[-3000:]
        raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}:\n{tail}")


def time_command(command: Sequence[str], setting: Setting) -> tuple[float, float]:
    """When the command was started, in seconds since the epoch, and the seconds that it took."""
    started, clock = time.time(), time.perf_counter()
    with start(command, setting):
        pass
    return started, time.perf_counter() - clock


def run_contestant(name: str, setting: Setting, number: int) -> Run:
    """Run one side of the comparison in round `number`."""
    logdir = setting.work / f"{name.replace(', ', '-').replace(' ', '-')}-{number}"
    n_entries = len(setting.entries)
    if name in LOOPS:
        started, duration_s = time_command(loop_command(setting, logdir, name), setting)
        n_trained = len(list(logdir.glob("entry*")))
        if n_trained != n_entries:
            print(f"{name} trained {n_trained} of the {n_entries} entries: the work is not equal", file=sys.stderr)
        return Run(name, started, duration_s, logdir, n_entries, n_trained)
    n_seeds = 5 if name == HEADLINE else 1
    options = (*setting.study_options, *setting.data_options, "--seeds", str(n_seeds))
    started, duration_s = time_command(study_command(setting, logdir, *options), setting)
    return Run(name, started, duration_s, logdir, n_entries * n_seeds, setting.n_distinct * n_seeds)


# --- floating-point operations and the machine's peak ---------------------------------------------------------------


def layer_sizes(configuration: Configuration) -> list[int]:
    """Weights of each layer, from input to output, biases apart."""
    widths = (N_PIXELS, *layer_widths(configuration), N_CLASSES)
    return [n_in * n_out for n_in, n_out in pairwise(widths)]


def count_training(configuration: Configuration) -> int:
    """Operations per example of an update: per weight 2 forward, 2 for its gradient, 2 for that of the layer's input.

    The images need no gradient, so the first layer has 4.
    """
    first, *others = layer_sizes(configuration)
    return 4 * first + 6 * sum(others)


def count_operations(
    configuration: Configuration, *, n_validation: int, n_test: int, n_epochs: int | None = None
) -> tuple[int, int]:
    """Operations of a trial in training and in evaluation, which scores the validation split after each epoch."""
    n_epochs = configuration["epochs"] if n_epochs is None else n_epochs
    n_examples = n_epochs * configuration["train_steps"] * configuration["batch_size"]
    n_scored = n_epochs * n_validation + n_test
    return n_examples * count_training(configuration), n_scored * 2 * sum(layer_sizes(configuration))


def count_recorded(results: Iterable[TrialResult], *, n_validation: int, n_test: int) -> tuple[int, int]:
    """Operations of trials as they were: a diverged one ended early and was not tested."""
    counts = [
        count_operations(
            result.trial.configuration,
            n_validation=n_validation,
            n_test=0 if result.diverged else n_test,
            n_epochs=result.n_epochs,
        )
        for result in results
    ]
    return sum(training for training, _ in counts), sum(evaluation for _, evaluation in counts)


def measure_machine(number: int) -> tuple[list[Measurement], float]:
    """The peak of each library with one process per core, and the best of them, in operations per second."""
    peaks = measure_peaks(count_cores())
    measured = [
        Measurement("machine", f"matrix peak, {name_library(library)}", peak / 1e9, "GFLOP/s", number, "all cores")
        for library, peak in peaks.items()
    ]
    return measured, max(peaks.values())


# --- what the records of a run tell ---------------------------------------------------------------------------------


def read_training_phase(logdir: Path) -> tuple[float, float]:
    """When the first trial began and the last had ended, in seconds since the epoch.

    By the times of the files that a trial writes first and last: its record gives whole seconds only.
    """
    results = list(find_results(logdir))
    began = min((path.parent / TRIAL_FILE).stat().st_mtime for path in results)
    return began, max(path.stat().st_mtime for path in results)


def read_first_epoch(logdir: Path) -> float:
    """When training began, in seconds since the epoch; the first update ends milliseconds later.

    The log says when a trial's first epoch had ended, and its record how long that was.
    """
    beginnings = []
    for path in find_results(logdir):
        log = (path.parent / LOG_FILE).read_text(encoding="utf-8")
        line = next(line for line in log.splitlines() if " Epoch 0 " in line)
        ended = datetime.fromisoformat(" ".join(line.split()[:2])).timestamp()
        beginnings.append(ended - read_result(path)[1].epoch_duration_s[0])
    return min(beginnings)


def measure_run(run: Run, prepared: PreparedData, *, peak: float, number: int) -> Iterator[Measurement]:
    """The phases of one run of ours, and the share of the best library's peak that its training phase reached."""
    began, ended = read_training_phase(run.logdir)
    results = [read_result(path)[0] for path in find_results(run.logdir)]
    training, evaluation = count_recorded(results, n_validation=prepared.n_validation, n_test=prepared.n_test)
    measured = partial(Measurement, run.name, round=number)
    yield measured("command to first update", read_first_epoch(run.logdir) - run.started, "s")
    yield measured("training phase, first trial's start to last one's end", ended - began, "s")
    yield measured("last trial's end to exit", run.started + run.duration_s - ended, "s")
    yield measured("operations in training", training / 1e9, "GFLOP", note="2 forward, 4 backward, first layer 2")
    yield measured("operations in evaluation", evaluation / 1e9, "GFLOP", note="2 per weight and image")
    share = 100 / (ended - began) / peak
    yield measured("share of the best matrix peak", share * (training + evaluation), "%")
    yield measured("of which training", share * training, "%")


# --- the comparison -------------------------------------------------------------------------------------------------


def compare(
    contestants: Sequence[str], setting: Setting, prepared: PreparedData, *, n_rounds: int, say: Callable[[str], None]
) -> tuple[list[Measurement], Run | None]:
    """All rounds; returns also the last run of ours, the larger one where there are two."""
    measurements: list[Measurement] = []
    last: dict[str, Run] = {}
    for number in range(1, n_rounds + 1):
        say(f"round {number}: matrix peak")
        measured, peak = measure_machine(number)
        measurements += measured
        runs = {}
        for name in rotate(contestants, number - 1):
            say(f"round {number}: {name}")
            runs[name] = run_contestant(name, setting, number)
            measurements += measure_times(runs[name], number)
            if name in (OURS, HEADLINE):
                measurements += measure_run(runs[name], prepared, peak=peak, number=number)
        measurements += measure_ratios(runs, number)
        last.update(runs)
    return measurements, last.get(HEADLINE) or last.get(OURS)


def rotate(names: Sequence[str], n: int) -> list[str]:
    """Begin with another one in each round."""
    n %= max(1, len(names))
    return [*names[n:], *names[:n]]


def measure_times(run: Run, number: int) -> Iterator[Measurement]:
    """Whole time, and per entry and trained configuration."""
    measured = partial(Measurement, "comparison", round=number)
    yield measured(f"{run.name}: time", run.duration_s, "s", note=DESCRIPTIONS[run.name])
    yield measured(f"{run.name}: time per entry", run.duration_s / run.n_entries, "s", note=f"{run.n_entries} entries")
    yield measured(f"{run.name}: time per trial", run.duration_s / run.n_trained, "s", note=f"{run.n_trained} trials")


def measure_ratios(runs: Mapping[str, Run], number: int) -> Iterator[Measurement]:
    """How many times as long as ours the others took in one round, whole and per trained configuration."""
    for ours in (OURS, HEADLINE):
        for name in LOOPS:
            if ours in runs and name in runs:
                a, b = runs[ours], runs[name]
                measured = partial(Measurement, "ratios", unit="x", round=number)
                yield measured(f"{name} / {ours}: time", b.duration_s / a.duration_s)
                if ours == OURS:
                    per_trial = b.duration_s / b.n_trained * a.n_trained / a.duration_s
                    yield measured(f"{name} / {ours}: time per trial", per_trial)


# --- phases ---------------------------------------------------------------------------------------------------------


def measure_commands(setting: Setting, run: Run | None) -> Iterator[Measurement]:
    """`--help`, and the analysis of a finished run."""
    command = [sys.executable, str(ROOT / "grid_search_experiments.py"), "--help"]
    yield Measurement("phases", "--help", median(time_command(command, setting)[1] for _ in range(5)), "s")
    if run is None:
        return
    output = setting.work / "analysis"
    command = [sys.executable, str(ROOT / "analyze_results.py"), "--logdir", str(run.logdir), "--output", str(output)]
    yield Measurement("phases", f"analysis of {run.n_trained} trials", time_command(command, setting)[1], "s")


def measure_updates(prepared: PreparedData, folder: Path, *, n_updates: int = 300) -> list[Measurement]:
    """What an update of the baseline costs by phase, what an epoch and a trial cost beside updates; one thread."""
    import torch

    from gridstudy.fashion.data import open_splits

    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        splits = open_splits(prepared)
        return [
            *_measure_phases(_baseline_trial(prepared), splits, folder / "phases", n_updates),
            *_measure_fixed(prepared, splits, folder / "fixed"),
        ]
    finally:
        torch.set_num_threads(n_threads)


def _baseline_trial(prepared: PreparedData, values: Mapping[str, Any] | None = None) -> TrialConfig:
    return TrialConfig(SUBJECT.name, SUBJECT.configure(values or {}), 0, DataIdentity(**prepared.identity))


def _measure_phases(trial: TrialConfig, splits: Any, folder: Path, n_updates: int) -> Iterator[Measurement]:
    from gridstudy.fashion import training
    from gridstudy.fashion.gradients import CrossEntropyGradients

    training.quiet_process()
    folder.mkdir()
    trainer, _ = training._make_trainer(trial, splits, folder, "cpu", lambda metrics: None)
    gradients, loss_fn = CrossEntropyGradients(trainer.model), trainer.loss_fn
    times: dict[str, list[float]] = {name: [] for name in ("batch", "forward", "gradients", "optimizer")}
    for _ in range(n_updates):
        (images, labels), s = clocked(lambda: next(trainer.traindataloader))
        times["batch"].append(s)
        times["forward"].append(clocked(partial(_forward, trainer.model, loss_fn, images, labels))[1])
        times["gradients"].append(clocked(partial(gradients, images, labels))[1])
        times["optimizer"].append(clocked(trainer.optimizer.step)[1])
    typical = {name: median(values) for name, values in times.items()}
    typical["backward"] = typical.pop("gradients") - typical["forward"]
    n_steps = trial.configuration["train_steps"]
    reports = [clocked(partial(trainer.report, epoch, 0.5, 0.5, {"Accuracy": 0.8}))[1] for epoch in range(30)]
    typical["logging"] = median(reports) / n_steps
    whole = median(clocked(trainer.trainbatches)[1] / n_steps for _ in range(5))
    for name in ("batch", "forward", "backward", "optimizer", "logging"):
        yield Measurement("update of the baseline", name, 1e6 * typical[name], "us")
    yield Measurement("update of the baseline", "all, in the study's own loop", 1e6 * whole, "us")
    scored = median(clocked(trainer.evalbatches)[1] for _ in range(5))
    n_images = len(splits.validation.labels)
    yield Measurement("phases", f"evaluation of the baseline on {n_images:,} images", 1e3 * scored, "ms")
    trainer.writer.close()


def _forward(model: Any, loss_fn: Any, images: Any, labels: Any) -> None:
    import torch

    with torch.no_grad():
        loss_fn(model(images), labels)


def _measure_fixed(prepared: PreparedData, splits: Any, logdir: Path) -> Iterator[Measurement]:
    """What a trial costs that trains next to nothing, its two evaluations taken off."""
    from gridstudy.fashion import training
    from gridstudy.fashion.network import MLP

    trial = _baseline_trial(prepared, TINY)
    data = Data(prepared, trial.data)
    run = partial(run_trials, (trial,), source=SOURCE, data=data, logdir=logdir, device="cpu", attempt=1)
    model, loss_fn = MLP(layer_widths(trial.configuration)), import_module("torch").nn.CrossEntropyLoss()
    run()
    scored = [
        median(clocked(partial(training.evaluate, model, loss_fn, split))[1] for _ in range(5))
        for split in (splits.validation, splits.test)
    ]
    fixed = median(clocked(run)[1] for _ in range(9)) - sum(scored)
    yield Measurement("phases", "a trial beside its updates and evaluations", 1e3 * fixed, "ms")


def clocked(function: Callable[[], T]) -> tuple[T, float]:
    """What the function returns, and the seconds that it took."""
    clock = time.perf_counter()
    value = function()
    return value, time.perf_counter() - clock


# --- growth and memory ----------------------------------------------------------------------------------------------


def measure_growth(setting: Setting, counts: Sequence[int] = GROWTH_TRIALS) -> Iterator[Measurement]:
    """Cost against the number of tiny trials: run, run again with nothing to do, and a line through both."""
    study = write_study(setting.work / "tiny.toml", [TINY])
    times: dict[str, list[float]] = {"running": [], "nothing to do": []}
    for n in counts:
        options = ("--study", str(study), "--dataset", "garments-small", "--seeds", str(n))
        command = study_command(setting, setting.work / f"growth-{n}", *options)
        for what, values in times.items():
            values.append(time_command(command, setting)[1])
            yield Measurement("growth", f"{n} tiny trials, {what}", values[-1], "s")
    for what, values in times.items():
        intercept, slope, r2 = fit_line(counts, values)
        yield Measurement("growth", f"{what}: fixed", intercept, "s")
        yield Measurement("growth", f"{what}: per trial", 1e3 * slope, "ms", note=f"R2 of the line {r2:.5f}")


def fit_line(x: Sequence[float], y: Sequence[float]) -> tuple[float, float, float]:
    """Least squares: intercept, slope and R2."""
    import numpy as np

    slope, intercept = np.polyfit(x, y, 1)
    residuals = np.asarray(y) - (intercept + slope * np.asarray(x))
    return float(intercept), float(slope), float(1 - residuals.var() / np.var(y))


def measure_memory(setting: Setting, *, interval_s: float = 0.2) -> Iterator[Measurement]:
    """The most memory that the study's processes hold together, by PSS, which counts a shared page once; Linux only.

    On the three depths and the three combined, the largest batches and networks among them.
    """
    if not Path("/proc/self/smaps_rollup").exists():
        return
    for n_workers in MEMORY_WORKERS:
        logdir = setting.work / f"memory-{n_workers}"
        options = ("depth", "combined", "--seeds", "1", "--workers", str(n_workers), *setting.data_options)
        command = study_command(setting, logdir, *options, *_set_options(setting.scale))
        most_all = most_workers = 0
        with start(command, setting) as process:
            while process.poll() is None:
                everything, workers = sample_memory(process.pid)
                most_all, most_workers = max(most_all, everything), max(most_workers, workers)
                time.sleep(interval_s)
        noun = "worker" if n_workers == 1 else "workers"
        yield Measurement(
            "memory", f"{n_workers} {noun}: all processes", most_all / 2**20, "MiB", note="most PSS at once"
        )
        yield Measurement("memory", f"{n_workers} {noun}: the workers", most_workers / 2**20, "MiB")


def sample_memory(pid: int) -> tuple[int, int]:
    """Bytes (PSS) of a process with all its descendants, and of those that the server of workers has forked."""
    children = list_children(pid)
    grandchildren = [grandchild for child in children for grandchild in list_children(child)]
    workers = sum(map(read_pss, grandchildren))
    return read_pss(pid) + sum(map(read_pss, children)) + workers, workers


def list_children(pid: int) -> list[int]:
    """Processes that this one has started and that still run."""
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        return [int(child) for task in tasks for child in (task / "children").read_text().split()]
    except OSError:
        return []


def read_pss(pid: int) -> int:
    """Bytes of memory that this process holds, a page that n processes share counted as 1/n; 0 when it has gone."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(1024 * int(line.split()[1]) for line in lines if line.startswith("Pss:"))


# --- what comes out -------------------------------------------------------------------------------------------------


def describe_machine() -> Iterator[Measurement]:
    """Cores, load and versions."""
    yield Measurement("machine", "cores", count_cores(), "", note=f"{cpu_name()}, {platform.platform()}")
    if hasattr(os, "getloadavg"):
        yield Measurement("machine", "load at the start", os.getloadavg()[0], "", note=busy_note(os.getloadavg()[0]))
    packages = ("torch", "mltrainer", "mads-datasets", "optuna", "ray")
    versions = [f"{name} {metadata.version(name)}" for name in packages if _has_metadata(name)]
    yield Measurement(
        "machine", "packages", len(versions), "", note=f"python {platform.python_version()}, {', '.join(versions)}"
    )


def busy_note(load: float) -> str:
    """What to say of the load."""
    return "others are using this machine: the times below are worth little" if load > BUSY_LOAD else ""


def _has_metadata(name: str) -> bool:
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True


def cpu_name() -> str:
    """The processor, as the system calls it."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def write_csv(path: Path, measurements: Iterable[Measurement]) -> None:
    """One row per measurement."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Measurement)])
        writer.writeheader()
        writer.writerows(asdict(measurement) for measurement in measurements)


def print_tables(measurements: Iterable[Measurement], console: Console) -> None:
    """A table per section; what was measured in several rounds as median and range."""
    from rich import box
    from rich.table import Table

    sections: dict[str, dict[str, list[Measurement]]] = {}
    for m in measurements:
        sections.setdefault(m.section, {}).setdefault(m.quantity, []).append(m)
    for section, quantities in sections.items():
        table = Table(title=section, title_justify="left", box=box.SIMPLE_HEAD)
        for header in ("quantity", "median", "least", "most", "unit", "n", "note"):
            table.add_column(header, justify="right" if header in ("median", "least", "most", "n") else "left")
        for quantity, rows in quantities.items():
            values = [m.value for m in rows]
            spread = [format_number(f(values)) for f in (min, max)] if len(values) > 1 else ["", ""]
            table.add_row(
                quantity, format_number(median(values)), *spread, rows[0].unit, str(len(values)), rows[0].note
            )
        console.print(table)


def format_number(value: float) -> str:
    """Three or four digits, and no exponent where a person would not write one."""
    return f"{value:,.0f}" if abs(value) >= 1000 or value == int(value) else f"{value:.3g}"


# --- command line ---------------------------------------------------------------------------------------------------


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.compare",
        description=__doc__,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--rounds", type=int, default=3, metavar="N", help="times that each side is run (default: 3)")
    add("--only", type=lambda text: text.split(","), metavar="NAMES",
        help="of ours,naive,optuna,ray (default: all that is installed)")  # fmt: skip
    add("--headline", action="store_true", help="also five seeds of all, to be held against the loops' one")
    add("--growth", action="store_true", help=f"also {GROWTH_TRIALS[0]} to {GROWTH_TRIALS[-1]} tiny trials")
    add("--entries", type=int, metavar="N", help=f"only the first N of the {len(list_entries())} entries, to try it")
    add("--scale", type=float, default=1.0, metavar="F",
        help="so many times the updates, and in the loops validation images, to try it (default: 1)")  # fmt: skip
    add("--data-dir", type=Path, default=_default_data(), metavar="DIR", help="Fashion-MNIST (default: as the study)")
    add("--dataset", choices=["auto", "fashion-mnist", "garments", "garments-small"], default="auto",
        help="as of the study (default: auto)")  # fmt: skip
    add("--output", type=Path, default=ROOT / "benchmarks" / "results.csv", metavar="FILE",
        help="the table as CSV (default: benchmarks/results.csv)")  # fmt: skip
    add("--loop", nargs=3, metavar=("NAME", "WORK", "LOGDIR"), help=argparse.SUPPRESS)
    return parser


def _default_data() -> Path | None:
    return Path(os.environ["FASHION_MNIST_DIR"]) if os.environ.get("FASHION_MNIST_DIR") else None


def choose_contestants(only: Sequence[str] | None, *, headline: bool) -> list[str]:
    """The sides of the comparison, in their first order; ValueError on a name that is none."""
    known = (OURS, *LOOPS)
    for name in only or ():
        if name not in known:
            raise ValueError(f"--only takes names of {','.join(known)}; got {name!r}")
        if name in LOOPS and not is_installed(name):
            raise ValueError(f'{name} is not installed here; pip install ".[benchmark]"')
    chosen = [name for name in known if (name in only if only else name == OURS or is_installed(name))]
    return [*chosen, HEADLINE] if headline else chosen


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print and write; or, as a child of itself, run one of the loops."""
    arguments = build_parser().parse_args(argv)
    if arguments.loop:
        return _run_loop(arguments.loop[0], work=Path(arguments.loop[1]), logdir=Path(arguments.loop[2]))
    if arguments.dataset.startswith("garments"):
        arguments.data_dir = None
    from gridstudy.fashion.sources import DataError

    try:
        contestants = choose_contestants(arguments.only, headline=arguments.headline)
        measurements = measure(arguments, contestants)
    except (ValueError, DataError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    from rich.console import Console

    print_tables(measurements, Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else 150))
    write_csv(arguments.output, measurements)
    print(f"written to {arguments.output}")
    return 0


def _run_loop(loop: str, *, work: Path, logdir: Path) -> int:
    n_entries = len(json.loads((work / "job.json").read_text(encoding="utf-8"))["entries"])
    logdir.mkdir(parents=True)
    _RUN_LOOP[loop](partial(train_entry, work=work, logdir=logdir), n_entries, work)
    return 0


def measure(arguments: argparse.Namespace, contestants: Sequence[str]) -> list[Measurement]:
    """Everything that was asked for, in a temporary folder."""
    say = partial(print, file=sys.stderr, flush=True)
    measurements = list(describe_machine())
    with tempfile.TemporaryDirectory(prefix="gridstudy-benchmark-") as name:
        work = Path(name)
        say("preparing the data")
        setting, prepared, prepare_s = prepare_setting(arguments, work)
        compared, run = compare(contestants, setting, prepared, n_rounds=arguments.rounds, say=say)
        measurements += compared
        measurements.append(
            Measurement("phases", "preparing the data, once for all runs", prepare_s, "s", note="not in any time above")
        )
        say("phases")
        measurements += measure_commands(setting, run)
        measurements += measure_updates(prepared, work)
        say("memory")
        measurements += measure_memory(setting)
        if arguments.growth:
            say("growth")
            measurements += measure_growth(setting)
    return measurements


if __name__ == "__main__":
    sys.exit(main())
