"""Hyperparameter studies of neural networks whose conclusions hold.

Define a subject of your own, run it and analyse it:

    import gridstudy as gs

    subject = gs.Subject(
        name="ridge", space=[gs.Hyperparameter("alpha", 1.0, low=1e-6, high=1e6, scale="log10")],
        train=train, prepare=prepare, objective=gs.Objective("r_squared", low=-10.0, high=1.0),
        experiments=[{"name": "alpha", "question": "How much shrinkage?", "scientific": ["alpha"],
                      "grid": {"alpha": [0.1, 1.0, 10.0]}}],
    )
    gs.run(subject, seeds=5, logdir="logs")
    findings = gs.analyse("logs")

The names are imported when they are first used, so that `import gridstudy` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gridstudy.cli.face import analyse, run
    from gridstudy.core.data import fingerprint, make_data
    from gridstudy.core.errors import StudyError
    from gridstudy.core.space import Configuration, Hyperparameter, SearchSpace
    from gridstudy.core.subject import Data, Objective, Subject
    from gridstudy.core.trial import DataIdentity, Outcome, TrialConfig

_PLACES = {
    "analyse": "cli.face",
    "run": "cli.face",
    "fingerprint": "core.data",
    "make_data": "core.data",
    "StudyError": "core.errors",
    "Configuration": "core.space",
    "Hyperparameter": "core.space",
    "SearchSpace": "core.space",
    "Data": "core.subject",
    "Objective": "core.subject",
    "Subject": "core.subject",
    "DataIdentity": "core.trial",
    "Outcome": "core.trial",
    "TrialConfig": "core.trial",
}

__all__ = [
    "Configuration", "Data", "DataIdentity", "Hyperparameter", "Objective", "Outcome", "SearchSpace", "StudyError",
    "Subject", "TrialConfig", "analyse", "fingerprint", "make_data", "run",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_PLACES])
