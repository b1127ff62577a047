"""What the records say of each configuration and of each arm, as tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from gridstudy.core.experiment import Assignment, Experiment
from gridstudy.core.labels import label_values
from gridstudy.core.space import Configuration
from gridstudy.core.subject import Description
from gridstudy.core.trial import UNKNOWN
from gridstudy.core.values import Value, format_value
from gridstudy.records.plans import Plan
from gridstudy.records.tables import CURVE_COLUMNS, LEADING_COLUMNS, RUN_COLUMNS, SCORE_COLUMNS, Records
from gridstudy.statistics.comparisons import Floats, describe, replicate_table

PARTS = ("mean", "sd", "low", "high")
SECONDS = ("seconds_mean", "seconds_median", "cpu_seconds_median")
STANDING = ("deficit", "deficit_low", "deficit_high", "deficit_bound", "tied_with_best", "recommended", "flags")
MACHINE_COLUMNS = ("host", "platform", "device", "processor", "arithmetic", "environment", "source", "versions")


@dataclass(frozen=True)
class Columns:
    """The columns that differ by subject: hyperparameters, budgets, and metrics other than the objective."""

    hyperparameters: tuple[str, ...]
    budgets: tuple[str, ...]
    metrics: tuple[str, ...]

    @property
    def summary(self) -> tuple[str, ...]:
        """A row per experiment and configuration of its plan, n = 0 where no trial is there yet.

        `low` and `high` are 95 % t intervals over seeds. All metrics but the objective are NaN where a trial diverged.
        `deficit` is the best minus this one, paired, with a single 95 % interval, positive where the best is better,
        NaN for the best itself and for unstable ones; `deficit_bound` is the joint 95 % upper bound, over all
        configurations and looks, on the deficit to the truly best one. `flags` are joined by "; ".
        """
        metrics = [f"{m}_{part}" for m in self.metrics for part in PARTS if (m, part) != ("test_score", "sd")]
        return (
            "experiment", "configuration", "label", *self.hyperparameters, "n", "n_diverged",
            *(f"objective_{part}" for part in PARTS), *metrics, *self.budgets, *SECONDS, *STANDING,
        )  # fmt: skip

    @property
    def arms(self) -> tuple[str, ...]:
        """A row per value of the scientific hyperparameters (`arm`, in words): the isolation plot's data.

        It is that of the configuration with the best mean over the nuisance, of the `n_selected_from` stable ones that
        have trials.
        """
        return (
            "experiment", "arm", "configuration", "label", "n_selected_from", "n", "objective_mean", "objective_low",
            "objective_high", *self.hyperparameters, *self.budgets, *SECONDS[:2],
        )  # fmt: skip


def find_columns(records: Records, plans: Sequence[Plan]) -> Columns:
    """The columns that these plans and trials have; a metric without any value has none.

    Without plans, as for runs of other programs, all that is no metric and nothing of a trial itself counts as a
    hyperparameter.
    """
    trials = records.trials
    configurations = [c for plan in plans for c in plan.experiment.configurations]
    sizes = {split: n for plan in plans for split, n in plan.description.sizes.items()}
    metrics = [m for m in records.curves.columns if m not in (*CURVE_COLUMNS, "objective") and m in trials]
    hyperparameters = dict.fromkeys(name for c in configurations for name in c)
    if not plans:
        own = {*LEADING_COLUMNS, *SCORE_COLUMNS, *RUN_COLUMNS, *metrics}
        hyperparameters = dict.fromkeys(n for n in trials.columns[trials.notna().any()] if n not in own)
    return Columns(
        tuple(hyperparameters),
        _with_passes(tuple(dict.fromkeys(name for c in configurations for name in c.budgets)), sizes),
        tuple(m for m in (*metrics, "test_score") if trials[m].notna().any()),
    )


def _with_passes(budgets: tuple[str, ...], sizes: Mapping[str, int]) -> tuple[str, ...]:
    if "examples" not in budgets or not sizes.get("train"):
        return budgets
    after = budgets.index("examples") + 1
    return (*budgets[:after], "passes", *budgets[after:])


def plan_grid(plan: Plan, description: Description) -> pd.DataFrame:
    """Hyperparameters, budgets and cost of a plan's configurations, by name; `passes` are examples over the split.

    A hyperparameter that the plan does not know yet has its reference value.
    """
    references = {h.name: h.reference for h in description.hyperparameters}
    rows = {c.name: {**references, **c, **c.budgets, "cost": c.cost} for c in plan.experiment.configurations}
    grid = pd.DataFrame.from_dict(rows, orient="index")
    n_train = plan.description.sizes.get("train", 0)
    return grid.assign(passes=grid["examples"] / n_train) if n_train and "examples" in grid else grid


def summary_table(
    experiment: str, grid: pd.DataFrame, trials: pd.DataFrame, *, columns: Columns, n_diverged: pd.Series
) -> pd.DataFrame:
    """What is known of each configuration by itself."""
    names = list(grid.index)
    by_name = trials.groupby("configuration")
    found: dict[str, Any] = {
        "experiment": experiment, "n": by_name.size().reindex(names, fill_value=0), "n_diverged": n_diverged,
        **statistics(trials, names, "objective"),
    }  # fmt: skip
    for metric in columns.metrics:
        # a mean without the seeds that diverged would flatter
        found |= {k: np.where(n_diverged, np.nan, v) for k, v in statistics(trials, names, metric).items()}
    found["seconds_mean"] = by_name["duration_s"].mean().reindex(names)
    found["seconds_median"] = by_name["duration_s"].median().reindex(names)
    found["cpu_seconds_median"] = by_name["cpu_s"].median().reindex(names) if "cpu_s" in trials else np.nan
    known = grid.reindex(columns=[*columns.hyperparameters, *columns.budgets])
    return known.assign(**found).rename_axis("configuration").reset_index()


def statistics(trials: pd.DataFrame, names: Sequence[str], metric: str) -> dict[str, Floats]:
    """Mean, standard deviation and 95 % interval of a metric for each configuration."""
    values = replicate_table(trials, names, metric).to_numpy(float)
    stats = describe(np.where(np.isfinite(values), values, np.nan))
    return {f"{metric}_{part}": getattr(stats, part) for part in PARTS}


def arm_table(
    experiment: Experiment, summary: pd.DataFrame, *, stable: pd.Index, columns: Columns, description: Description
) -> pd.DataFrame:
    """The best stable configuration of each value of the scientific hyperparameters."""
    scientific = list(experiment.scientific)
    rows = summary[summary["configuration"].isin(stable)]
    if not scientific or rows.empty:
        return pd.DataFrame(columns=list(columns.arms))
    arms = (description.objective.sign * rows["objective_mean"]).groupby(
        [rows[name] for name in scientific], sort=False
    )
    best = rows.loc[arms.idxmax()].assign(n_selected_from=arms.size().to_numpy())
    varied = [name for name in scientific if name in experiment.varied] or scientific
    arm = [label_values({str(k): v for k, v in row.items()}, description) for row in best[varied].to_dict("records")]
    return best.assign(arm=arm)[list(columns.arms)].reset_index(drop=True)


def side_label(experiment: Experiment, side: Assignment, labels: Mapping[str, str], description: Description) -> str:
    """One side of a contrast: the arm's label, or the values asked about that its configurations share."""
    matching = experiment.matching(side)
    if len(matching) == 1:
        return labels[matching[0].name]
    asked = [name for name in experiment.scientific if name in experiment.varied]
    return label_values({name: matching[0][name] for name in asked}, description)


def configuration_labels(configurations: Iterable[Configuration], description: Description) -> dict[str, str]:
    """Configuration name -> its settings in words, wherever there is no experiment around it."""
    known = {h.name: h for h in description.hyperparameters}

    def setting(name: str, value: Value) -> str:
        return f"{known[name].title} {known[name].format(value)}" if name in known else f"{name} {format_value(value)}"

    return {c.name: ", ".join(setting(*item) for item in c.settings.items()) or "baseline" for c in configurations}


def mixed_machines(trials: pd.DataFrame) -> dict[str, tuple[str, ...]]:
    """What the trials did not have in common of MACHINE_COLUMNS; what is unknown says nothing."""
    known = {c: set(trials[c].dropna()) - {UNKNOWN} for c in MACHINE_COLUMNS if c in trials}
    return {column: tuple(sorted(found)) for column, found in known.items() if len(found) > 1}
