"""What a study consists of and what of it is left to do."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from gridstudy.core.errors import StudyError
from gridstudy.core.experiment import Experiment
from gridstudy.core.files import write_atomic
from gridstudy.core.space import Configuration
from gridstudy.core.subject import Data, Subject
from gridstudy.core.trial import TrialConfig, TrialResult, TrialRun, TrialState
from gridstudy.records.attempts import clear_attempts
from gridstudy.records.plans import (
    CONFIRMATIONS_FOLDER,
    EXPERIMENTS_FOLDER,
    Confirmation,
    Plan,
    write_confirmation,
    write_plan,
)
from gridstudy.records.tables import descriptions_by_subject, find_results, load_plans
from gridstudy.records.toml import RecordError
from gridstudy.records.trials import RESULT_FILE, read_result, trial_status

GIT_ATTRIBUTES = "# records have checksums: git must not change their line ends\n* -text\n"


@dataclass(frozen=True)
class PlannedTrial:
    """A trial with its state on disk; `note` says why a result that is there cannot be used."""

    trial: TrialConfig
    state: TrialState
    note: str = ""
    result: TrialResult | None = None
    run: TrialRun | None = None


def plan_trials(
    experiments: Iterable[Experiment], seeds: Sequence[int], *, subject: Subject, data: Data, logdir: Path
) -> list[PlannedTrial]:
    """Every distinct trial of the experiments with its state: seed by seed, the longest first within a seed.

    So a complete replicate comes early, and the machine's load is not confounded with the configuration.
    Raises StudyError where a record of another default or another format lies in a trial's place.
    """
    configurations = list(dict.fromkeys(c for experiment in experiments for c in experiment.configurations))
    configurations.sort(key=lambda configuration: -configuration.work)
    trials = [
        TrialConfig(subject.name, configuration, seed, data.identity, subject.training_version)
        for seed in seeds
        for configuration in configurations
    ]
    return [PlannedTrial(trial, *trial_status(logdir, trial)) for trial in trials]


def group_trials(trials: Sequence[TrialConfig], *, most: int, n_workers: int | None) -> list[tuple[TrialConfig, ...]]:
    """Trials in groups of one configuration, in the order of their first trials.

    A group has at most `most` trials, and few enough that no worker is idle.
    """
    most = min(most, math.ceil(len(trials) / (n_workers or 1)))
    by_configuration: dict[Configuration, list[int]] = {}
    for number, trial in enumerate(trials):
        by_configuration.setdefault(trial.configuration, []).append(number)
    groups = []
    for numbers in by_configuration.values():
        n_groups = math.ceil(len(numbers) / most)
        groups += [numbers[first::n_groups] for first in range(n_groups)]
    return [tuple(trials[number] for number in group) for group in sorted(groups)]


def identify_group(subject: Subject, data: Data) -> dict[str, object]:
    """What the records of a subject on these data have in common, by the names of GROUP_COLUMNS."""
    return {"subject": subject.name, **vars(data.identity), "training_version": subject.training_version}


def check_logdir(logdir: Path) -> None:
    """Raise StudyError where `logdir` cannot be a log directory."""
    place = Path(os.path.realpath(logdir))  # missing/../file is that file, although no missing is there
    if (os.path.lexists(logdir) and not logdir.is_dir()) or (place.exists() and not place.is_dir()):
        raise StudyError(f"the log directory must be a folder; {logdir} is a file")
    try:
        str(logdir).encode()
    except UnicodeEncodeError:
        raise StudyError(f"the log directory's name must be text in UTF-8; got {str(logdir)!r}") from None


def check_subject(logdir: Path, subject: str) -> None:
    """Raise StudyError where `logdir` was planned for other subjects only: records of two are never analysed together.

    Their configurations may have the same names, so not even their trials can be counted together.
    """
    subjects = descriptions_by_subject(load_plans(logdir)[0])
    if subjects and subject not in subjects:
        raise StudyError(
            f"{logdir} holds the logs of the subject {' and '.join(map(repr, subjects))}; this is about {subject!r}; "
            "use another --logdir"
        )


def prepare_logdir(logdir: Path) -> None:
    """Clear what killed writers left, and keep git from changing the line ends of records.

    The caller holds the log directory, so that no temporary file and no attempt is anybody's.
    """
    clear_attempts(logdir)
    for folder in (logdir, logdir / EXPERIMENTS_FOLDER, logdir / CONFIRMATIONS_FOLDER):
        for path in folder.glob("*.tmp"):
            if re.fullmatch(r".+\.\d+\.tmp", path.name):
                path.unlink(missing_ok=True)
    attributes = logdir / ".gitattributes"
    if not os.path.lexists(attributes):
        write_atomic(attributes, GIT_ATTRIBUTES.encode())


def recorded_dataset(logdir: Path) -> str | None:
    """The data set that the plans in `logdir` are about, else that of the first record that can be read.

    None where there is neither; StudyError where the plans are about several data sets.
    """
    datasets = sorted({name for plan in load_plans(logdir)[0] for name in plan.datasets})
    if len(datasets) > 1:
        raise StudyError(f"{logdir} holds records of {' and '.join(datasets)}; say which with --dataset")
    for path in () if datasets else find_results(logdir):
        with suppress(RecordError):
            return read_result(path)[0].trial.data.dataset
    return datasets[0] if datasets else None


def record_plans(
    logdir: Path, experiments: Iterable[Experiment], *, subject: Subject, data: Data, seeds: Sequence[int]
) -> list[Plan]:
    """Write down, before the first trial, what is asked and expected, and the seeds that it is asked with."""
    description = subject.describe(data)
    return [
        write_plan(
            logdir, experiment, description, seeds=seeds, dataset=data.identity.dataset,
            n_complete=_count_complete(logdir, experiment),
        )
        for experiment in experiments
    ]  # fmt: skip


def record_confirmations(logdir: Path, confirmations: Iterable[Confirmation]) -> None:
    """Write down, before the first trial, which selections are to be confirmed."""
    for confirmation in confirmations:
        write_confirmation(logdir, confirmation)


def _count_complete(logdir: Path, experiment: Experiment) -> int:
    return sum(len(list(logdir.glob(f"{c.name}/seed*/{RESULT_FILE}"))) for c in experiment.configurations)
