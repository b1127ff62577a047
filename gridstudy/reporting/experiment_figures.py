"""The figures of one experiment, in the order of the report.

A `draw_...` function takes what it draws and an optional `ax`, and returns it; it opens no window and touches no state
of pyplot. Numbers come from the estimates; a data step beside a drawing step only picks and reshapes rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pandas as pd

from gridstudy.reporting.arm_figures import arm_figures
from gridstudy.reporting.curve_figures import curve_figures
from gridstudy.reporting.grid_figures import heatmap_figures, interaction_figures, isolation_figures
from gridstudy.reporting.plotting import Figure
from gridstudy.statistics.estimates import ExperimentEstimate, StudyEstimates


def experiment_figures(
    estimate: ExperimentEstimate, study: StudyEstimates, cells: pd.DataFrame
) -> list[Iterator[Figure]]:
    """Each with the experiment's name, in parts as they are read; `cells` has the CELL_COLUMNS of all experiments."""
    own = cells[cells["experiment"] == estimate.experiment.name]
    parts = (
        arm_figures(estimate, study), heatmap_figures(estimate, study), interaction_figures(estimate, own, study),
        isolation_figures(estimate, study), curve_figures(estimate, study),
    )  # fmt: skip
    return [_named(part, estimate.experiment.name) for part in parts]


def _named(figures: Iterator[Figure], experiment: str) -> Iterator[Figure]:
    for figure in figures:
        yield replace(figure, experiment=experiment)
