"""Floating-point operations of trials, and the share of the machine that a study used."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.measurement import Measurement
from gridstudy.core.space import Configuration
from gridstudy.core.trial import TrialResult
from gridstudy.fashion.space import N_CLASSES, layer_widths
from gridstudy.records.tables import find_results
from gridstudy.records.trials import LOG_FILE, TRIAL_FILE, read_result

if TYPE_CHECKING:
    from benchmarks.rounds import Run
    from gridstudy.fashion.data import PreparedData

N_PIXELS = 784


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
