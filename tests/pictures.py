"""The study that figures are tested on, and what stands in axes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection

from gridstudy.records.tables import Records
from gridstudy.statistics.estimates import ExperimentEstimate, StudyEstimates
from gridstudy.statistics.findings import Findings, find
from gridstudy.statistics.questions import StudyAnswers
from tests.tables import make_records

UNSTABLE = "learning_rate=0.01"
NAMES = (
    "epochs", "batch_size", "learning_rate", "optimizer", "combined", "learning_rate_per_optimizer",
    "learning_rate_x_batch_size",
)  # fmt: skip


@dataclass(frozen=True)
class Study:
    """All that figures are drawn from."""

    findings: Findings

    @property
    def estimates(self) -> StudyEstimates:
        return self.findings.estimates

    @property
    def answers(self) -> StudyAnswers:
        return self.findings.answers

    @property
    def cells(self) -> pd.DataFrame:
        return self.findings.cells

    def of(self, name: str) -> ExperimentEstimate:
        return next(e for e in self.estimates.experiments if e.experiment.name == name)

    def cells_of(self, name: str) -> pd.DataFrame:
        return self.cells[self.cells["experiment"] == name]

    def save(self, folder: Path, **options: str) -> dict[str, Any]:
        from gridstudy.reporting.figures import save_figures

        return save_figures(self.findings, folder, **options)


def make_study(records: Records) -> Study:
    return Study(find(records))


@cache
def whole_study() -> Study:
    return make_study(make_records(NAMES, n_seeds=4, diverged=[(UNSTABLE, 1)]))


def legend_of(ax: Axes) -> list[str]:
    legend = ax.get_legend()
    return [text.get_text().replace("\n", " ") for text in legend.get_texts()] if legend else []


def interval_ends(ax: Axes) -> list[float]:
    """Low and high ends of the vertical intervals, sorted."""
    collections = [c for c in ax.collections if isinstance(c, LineCollection)]
    return sorted(y for c in collections for segment in c.get_segments() for y in segment[:, 1])


def ticks_of(ax: Axes) -> list[str]:
    return [tick.get_text() for tick in ax.get_xticklabels()]
