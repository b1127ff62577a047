"""Trials: what defines the outcome of a training run, and what came of it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

from gridstudy.core.space import Configuration
from gridstudy.core.values import digest

LEAST_SEEDS = 3
"""Fewer replicates have no interval, and no comparison."""
LOOK_FACTORS = (1, 2, 4, 8, 16)
"""Verdicts are read at so many times the seeds of an experiment's first look."""
FIRST_CONFIRMATION_SEED = 1000
"""Seeds from here up confirm a selection and serve no other estimate."""
UNKNOWN = "unknown"
"""Stands for what a record or another program did not write down."""


class TrialState(Enum):
    """What the disk says of a trial."""

    MISSING = "missing"
    INTERRUPTED = "interrupted"
    FAILED = "failed"
    COMPLETE = "complete"


@dataclass(frozen=True)
class DataIdentity:
    """What of the data defines a trial's outcome: name, fingerprints of the data and of its split, and the protocol."""

    dataset: str
    dataset_fingerprint: str
    split_fingerprint: str
    validation: str


@dataclass(frozen=True)
class TrialConfig:
    """One training run, by all that defines its outcome."""

    subject: str
    configuration: Configuration
    seed: int
    data: DataIdentity
    training_version: int = 1

    @property
    def fingerprint(self) -> str:
        """Eight hex digits that stand for everything that defines the outcome.

        Hyperparameters count only where they differ from the subject's reference configuration, so that a new one
        whose default changes nothing leaves every record as it is.
        """
        identity = {
            "subject": self.subject, "settings": dict(self.configuration.settings), "seed": self.seed,
            **vars(self.data), "training_version": self.training_version,
        }  # fmt: skip
        return digest(identity)

    @property
    def trial_id(self) -> str:
        """The trial's folder below the log directory: `batch_size=4/seed0-1a2b3c4d`."""
        return f"{self.configuration.name}/seed{self.seed}-{self.fingerprint}"


@dataclass(frozen=True)
class Outcome:
    """What a subject's training returns.

    `score` is the objective after the last epoch; one that is not finite makes the trial diverged. `curves` have one
    value per epoch; `train_loss`, `validation_loss` and the objective's own name are understood by the analysis.
    `confusion` counts validation examples, a row per true class and a column per predicted one.
    """

    score: float
    curves: Mapping[str, Sequence[float]] = field(default_factory=dict)
    test_score: float | None = None
    confusion: Sequence[Sequence[int]] = ()
    diverged: bool = False
    arithmetic: str = ""


@dataclass(frozen=True)
class TrialResult:
    """The outcome of a trial: the same bits whenever it is run again on one machine.

    A diverged trial has the curves up to and with the epoch whose loss was not finite, the score of guessing (NaN where
    the subject names none), and no test score (NaN, as where the subject has none).
    """

    trial: TrialConfig
    score: float
    diverged: bool
    curves: Mapping[str, tuple[float, ...]]
    test_score: float = math.nan
    confusion: tuple[tuple[int, ...], ...] = ()

    @property
    def n_epochs(self) -> int:
        """The number of epochs that the curves have; 0 without curves."""
        return max(map(len, self.curves.values()), default=0)


@dataclass(frozen=True)
class TrialRun:
    """How a trial came about: what may differ when it is run again. Times in seconds, `started` in ISO 8601 UTC.

    `arithmetic` names the rule by which matrix products were computed, `source` is a digest of the code that the trial
    imported, `environment` holds the variables that change arithmetic, where they are set.
    """

    started: str = UNKNOWN
    duration_s: float = math.nan
    cpu_s: float = math.nan
    epoch_duration_s: tuple[float, ...] = ()
    attempt: int = 1
    host: str = UNKNOWN
    platform: str = UNKNOWN
    device: str = UNKNOWN
    processor: str = UNKNOWN
    arithmetic: str = UNKNOWN
    source: str = UNKNOWN
    versions: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)


def is_diverged(*losses: float) -> bool:
    """Whether any loss is NaN or infinite."""
    return not all(math.isfinite(loss) for loss in losses)
