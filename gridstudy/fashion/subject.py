"""The built-in subject: multilayer perceptrons on Fashion-MNIST, or on the stand-in that the program draws."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from gridstudy.core.errors import StudyError
from gridstudy.core.experiment import Experiment
from gridstudy.core.space import Configuration
from gridstudy.core.subject import Data, Objective, Report, Subject
from gridstudy.core.trial import DataIdentity, Outcome, TrialConfig
from gridstudy.fashion.experiments import FOLLOW_UP, GROUPS, STUDY
from gridstudy.fashion.space import N_CLASSES, SPACE, budgets, cost, work

TRAINING_VERSION = 2
"""Raised by hand when a change of the code changes the outcome of a trial."""
COURSE_PROTOCOL = "course protocol: the test images choose, so the winner's accuracy is flattered"
STAND_IN = "not Fashion-MNIST: images drawn by this program"


def prepare_data(
    dataset: str = "auto",
    *,
    data_dir: Path | None = None,
    validation: str = "holdout",
    recorded: str | None = None,
    warn: Callable[[str], None],
) -> Data:
    """Find the images, split them and keep the splits in the cache; raise StudyError where that fails."""
    from gridstudy.fashion.data import prepare
    from gridstudy.fashion.garments import CLASS_NAMES

    prepared = prepare(dataset, data_dir=data_dir, validation=validation, recorded=recorded, warn=warn)
    labels = [COURSE_PROTOCOL] * (validation == "test") + [STAND_IN] * prepared.dataset.startswith("garments")
    return Data(
        content=prepared, identity=DataIdentity(**prepared.identity),
        sizes={"train": prepared.n_train, "validation": prepared.n_validation, "test": prepared.n_test},
        labels=tuple(labels), origin=prepared.origin, class_names=tuple(CLASS_NAMES),
    )  # fmt: skip


def _train(trial: TrialConfig, content: Any, folder: Path, device: str, report: Report) -> Outcome:
    from gridstudy.fashion.training import train

    return train(trial, content, folder, device, report)


def _choose_device(requested: str) -> tuple[str, str]:
    from gridstudy.fashion.training import choose_device

    return choose_device(requested)


def _set_up_worker() -> None:
    from gridstudy.fashion.training import quiet_process

    quiet_process()


def _estimate_seconds(
    configurations: Iterable[Configuration], data: Data, device: str
) -> Mapping[Configuration, float]:
    from gridstudy.fashion.training import estimate_seconds

    return estimate_seconds(configurations, data, device)


def _describe_machine(device: str) -> Mapping[str, str]:
    from gridstudy.fashion.training import describe_machine

    return describe_machine(device)


def _check_content(content: Any) -> None:
    from gridstudy.fashion.data import PreparedData, check_unchanged

    if isinstance(content, PreparedData):
        check_unchanged(content)


def _portable(content: Any) -> Any:
    from gridstudy.fashion.training import split_arrays

    return split_arrays(content)


def _prepare_logdir(logdir: Path, experiments: Sequence[Experiment]) -> None:
    from gridstudy.fashion.training import write_hparams_header

    write_hparams_header(logdir, experiments)


def _check(configuration: Configuration, data: Data) -> None:
    n_train = data.sizes["train"]
    if int(configuration["batch_size"]) > n_train:
        raise StudyError(
            f"batch_size cannot exceed the {n_train:,} training images; got {configuration['batch_size']:,}"
        )


SUBJECT = Subject(
    name="fashion-mlp",
    space=SPACE,
    train=_train,
    prepare=partial(prepare_data, warn=print),
    objective=Objective(
        name="validation_accuracy", quantity="accuracy", test_name="test_accuracy", chance=1 / N_CLASSES
    ),
    experiments=STUDY + FOLLOW_UP,
    groups=GROUPS,
    families=(tuple(table["name"] for table in STUDY),),
    budgets=budgets,
    cost=cost,
    work=work,
    epochs="epochs",
    training_version=TRAINING_VERSION,
    packages=("torch", "mltrainer", "tensorboard"),
    choose_device=_choose_device,
    set_up_worker=_set_up_worker,
    estimate_seconds=_estimate_seconds,
    check=_check,
    check_content=_check_content,
    portable=_portable,
    describe_machine=_describe_machine,
    prepare_logdir=_prepare_logdir,
)
subject = SUBJECT


def with_data(
    *, dataset: str, data_dir: Path | None, validation: str, recorded: str | None, warn: Callable[[str], None]
) -> Subject:
    """The built-in subject on the images that the command line asks for."""
    return replace(
        SUBJECT,
        prepare=partial(prepare_data, dataset, data_dir=data_dir, validation=validation, recorded=recorded, warn=warn),
    )
