"""The study that figures are tested on, and what stands in axes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PathCollection
from matplotlib.figure import Figure as Drawing

from gridstudy.records.tables import Records
from gridstudy.reporting.figures import all_figures, save_figures
from gridstudy.reporting.plotting import Figure
from gridstudy.statistics.estimates import ExperimentEstimate, StudyEstimates
from gridstudy.statistics.findings import Findings, find
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

    def of(self, name: str) -> ExperimentEstimate:
        return next(e for e in self.estimates.experiments if e.experiment.name == name)

    def cells_of(self, name: str) -> pd.DataFrame:
        cells = self.findings.cells
        return cells[cells["experiment"] == name]

    def figures(self) -> dict[str, Figure]:
        return {figure.name: figure for figure in all_figures(self.findings)}

    def save(self, folder: Path, *, format: str = "png") -> dict[str, Figure]:
        return save_figures(self.findings, folder, format=format)


def make_study(records: Records) -> Study:
    return Study(find(records))


@cache
def whole_study() -> Study:
    return make_study(make_records(NAMES, n_seeds=4, diverged=[(UNSTABLE, 1)]))


def legend_of(drawing: Drawing) -> list[str]:
    return [text.get_text().replace("\n", " ") for legend in drawing.legends for text in legend.get_texts()]


def interval_ends(ax: Axes, *, width: float = 2.0) -> list[float]:
    """Low and high ends of the upright intervals of a line width, sorted."""
    collections = [c for c in ax.collections if isinstance(c, LineCollection) and c.get_linewidth()[0] == width]
    return sorted(y for c in collections for segment in c.get_segments() for y in segment[:, 1])


def dots(ax: Axes, *, faint: bool = False) -> list[tuple[float, float]]:
    """The points of the axes, sorted: those of the arms, or the faint ones of their seeds."""
    found = [c for c in ax.collections if isinstance(c, PathCollection) and (c.get_alpha() is not None) == faint]
    return sorted((float(x), float(y)) for c in found for x, y in c.get_offsets())


def texts_of(ax: Axes) -> list[str]:
    return [text.get_text() for text in ax.texts]


def ticks_of(ax: Axes) -> list[str]:
    return [tick.get_text() for tick in ax.get_xticklabels()]
