"""mltrainer, imported without its progress bars and without mlflow, which takes longer to import than torch."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from types import ModuleType
from typing import Any

from tqdm import tqdm

__all__ = ["Accuracy", "ReportTypes", "Reporter", "Trainer", "TrainerSettings"]


class _DeferredModule(ModuleType):
    """Stands for a module until one of its public attributes is asked for."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(importlib.import_module(self.__name__), name)


@contextmanager
def _import_deferred(name: str) -> Iterator[None]:
    """Let what is imported inside do without module `name` until it really uses it."""
    if name in sys.modules:
        yield
        return
    deferred = _DeferredModule(name)
    deferred.__spec__ = importlib.util.find_spec(name)
    sys.modules[name] = deferred
    try:
        yield
    finally:
        del sys.modules[name]


with _import_deferred("mlflow"):
    from mltrainer import ReportTypes, Trainer, TrainerSettings, trainer
    from mltrainer.metrics import Accuracy
    from mltrainer.trainer import Reporter

tqdm.set_lock(threading.RLock())  # its own lock is a semaphore of the system, which a killed worker leaves behind
trainer.tqdm = partial(tqdm, disable=True)  # two bars per epoch would flood the terminal
