"""Records -> means with intervals, comparisons, flags and verdicts: all that the figures and the report may say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

import numpy as np
import pandas as pd

from gridstudy.core.study import HYPERPARAMETERS, UNKNOWN, Experiment, format_values
from gridstudy.fashion.experiments import TABLES
from gridstudy.records.records import GROUP_COLUMNS, RecordedExperiment, Records
from gridstudy.statistics.comparisons import (
    COMPARISON_COLUMNS,
    FIRST_CONFIRMATION_SEED,
    FOREIGN,
    Floats,
    compare_pairs,
    deficit_bounds,
    describe,
    differences,
    expected_maximum,
    format_seeds,
    recommend,
    replicate_table,
    seeds_to_recommend,
    select_trials,
    tied_set,
)
from gridstudy.statistics.flags import INFEASIBLE, SEARCH_EDGE, curve_flags, is_infeasible, search_edges
from gridstudy.statistics.noise import NoiseFloor, Spread, logdir_spread, noise_floor
from gridstudy.statistics.verdicts import ContrastEstimate, Evidence, Verdict, confounded_budgets, judge

MARGIN = 0.005
"""Differences up to half a percentage point do not matter, unless the user says otherwise."""

SUMMARY_COLUMNS = (
    "experiment", "configuration", *HYPERPARAMETERS, "n", "n_diverged",
    "validation_accuracy_mean", "validation_accuracy_sd", "validation_accuracy_low", "validation_accuracy_high",
    "validation_loss_mean", "validation_loss_sd", "validation_loss_low", "validation_loss_high",
    "train_loss_mean", "train_loss_sd", "train_loss_low", "train_loss_high",
    "test_accuracy_mean", "test_accuracy_low", "test_accuracy_high",
    "updates", "examples", "passes", "parameters", "seconds_mean",
    "deficit", "deficit_low", "deficit_high", "deficit_bound", "tied_with_best", "recommended", "flags",
)  # fmt: skip
"""A row per experiment and configuration of its plan, n = 0 where no trial is there yet.

`low` and `high` are 95 % t intervals over seeds. Losses and test accuracy are NaN where a trial diverged. `deficit`
is the highest mean minus this one, paired, with a 95 % interval, NaN for the best itself and for unstable ones;
`deficit_bound` is the joint 95 % upper bound on the deficit to the truly best one. `flags` are joined by "; ".
"""

ARM_COLUMNS = (
    "experiment", "arm", "configuration", "n_selected_from", "n", "validation_accuracy_mean",
    "validation_accuracy_low", "validation_accuracy_high", *HYPERPARAMETERS,
    "updates", "examples", "passes", "parameters", "seconds_mean",
)  # fmt: skip
"""A row per value of the scientific hyperparameters (`arm`, in words): the configuration with the best mean over the
nuisance, of the `n_selected_from` stable ones that have trials. The isolation plot's data."""

CONFIRMATION_COLUMNS = (
    "experiment", "configuration", "n", "validation_accuracy_mean", "validation_accuracy_sd",
    "validation_accuracy_low", "validation_accuracy_high", "test_accuracy_mean", "is_best", "deficit", "deficit_low",
    "deficit_high", "n_diverged",
)  # fmt: skip
"""A row per configuration of a frozen tied set, on fresh seeds alone. `is_best` marks the highest mean of the
selection's seeds; `deficit` is that configuration minus this one, paired over fresh seeds, with a 95 % interval."""


@dataclass(frozen=True)
class Ranking:
    """The best of an experiment's stable configurations and those that may be as good; `lead` has a 95 % interval."""

    best: str | None
    """The highest mean of the stable configurations; None where there is none."""
    runner_up: str | None
    lead: float
    lead_low: float
    lead_high: float
    winners_curse: float
    """By how much the best mean is expected to exceed its truth, were all configurations alike; print with the lead."""
    tied: tuple[str, ...]
    recommended: str | None
    """None is "not resolved": name the best, and `seeds_to_recommend`."""
    seeds_to_recommend: str


@dataclass(frozen=True)
class ExperimentEstimate(Ranking):
    """All that the records say of one experiment.

    `summary`, `comparisons` and `arms` are this experiment's rows of the study's tables (SUMMARY_COLUMNS,
    COMPARISON_COLUMNS after `experiment`, ARM_COLUMNS). `objectives` has a row per seed and a column per
    configuration of the plan, in its order, unstable ones included; index `replicate` where seeds are unknown.
    """

    experiment: Experiment
    superseded: tuple[Mapping[str, object], ...]
    """Hypotheses that this one replaced, each with the time and the number of trials that were complete."""
    objectives: pd.DataFrame
    summary: pd.DataFrame
    comparisons: pd.DataFrame
    arms: pd.DataFrame
    noise: NoiseFloor
    verdict: Verdict | None
    unstable: Mapping[str, str]
    """Configuration -> `unstable, 2 of 5`; these are in no ranking."""
    incomplete: Mapping[str, int]
    """Configurations with fewer trials than the one with the most, and how many are missing."""
    confounded: tuple[str, ...]
    """Budgets that differ by more than 5 % between the arms: updates, examples, parameters."""
    mixed: Mapping[str, tuple[str, ...]]
    """What the trials did not have in common of host, platform, device and versions."""


@dataclass(frozen=True)
class StudyEstimates:
    """All that the records say: per experiment, and as tidy tables over all experiments.

    Only one group of records (dataset, split, protocol, training version) is analysed, `group`; `left_out` has a row
    per other group with `n_trials`. Trials of other programs are the last experiment, `foreign`.
    """

    margin: float
    group: Mapping[str, object]
    left_out: pd.DataFrame
    experiments: tuple[ExperimentEstimate, ...]
    summary: pd.DataFrame
    comparisons: pd.DataFrame
    arms: pd.DataFrame
    noise_floors: pd.DataFrame
    """A row per experiment: `experiment` and the fields of NoiseFloor."""
    verdicts: pd.DataFrame
    """A row per experiment with a hypothesis: the fields of Verdict, labels joined by "; ", without contrasts."""
    contrasts: pd.DataFrame
    """A row per contrast: `experiment` and the fields of ContrastEstimate."""
    trials: pd.DataFrame
    """The trials that the estimates rest on: one group, seeds of the selection, foreign ones apart."""
    curves: pd.DataFrame
    """Their learning curves."""
    confirmation_trials: pd.DataFrame
    """The group's trials on fresh seeds, for `confirmation_table`."""
    unplanned: tuple[str, ...]
    """Configurations with trials that no recorded experiment asks for; they are in `trials` and nowhere else."""


# --- the study -----------------------------------------------------------------------------------------------------


def analyse(records: Records, *, margin: float = MARGIN) -> StudyEstimates:
    """Estimate everything from the largest group of records."""
    foreign = records.trials["origin"] == FOREIGN
    group, trials, left_out = choose_group(records.trials[~foreign])
    selected = select_trials(trials)
    spread = logdir_spread(selected)
    flags = _flags_by_configuration(selected, records.curves)
    plans = sorted(records.experiments, key=lambda recorded: _rank(recorded.experiment.name))
    grids = [_plan_grid(recorded.experiment, group) for recorded in plans]
    drafts = [
        _estimate(recorded, selected, grid, curve_flags=flags, spread=spread, margin=margin)
        for recorded, grid in zip(plans, grids, strict=True)
    ]
    estimates = _judged(drafts, margin)
    if foreign.any():
        estimates.append(_estimate_foreign(records.trials[foreign], records.curves, spread, margin))
    planned = {c.name for recorded in plans for c in recorded.experiment.configurations}
    return StudyEstimates(
        margin=margin, group=group, left_out=left_out, experiments=tuple(estimates),
        summary=_join([e.summary for e in estimates], SUMMARY_COLUMNS),
        comparisons=_join([e.comparisons for e in estimates], ("experiment", *COMPARISON_COLUMNS)),
        arms=_join([e.arms for e in estimates], ARM_COLUMNS),
        noise_floors=_noise_table(estimates), verdicts=_verdict_table(estimates), contrasts=_contrast_table(estimates),
        trials=selected, curves=records.curves[records.curves["trial_id"].isin(selected["trial_id"])],
        confirmation_trials=trials[trials["seed"] >= FIRST_CONFIRMATION_SEED],
        unplanned=tuple(name for name in selected["configuration"].unique() if name not in planned),
    )  # fmt: skip


def choose_group(trials: pd.DataFrame) -> tuple[dict[str, object], pd.DataFrame, pd.DataFrame]:
    """The largest group of trials alike in GROUP_COLUMNS: its key, its trials, and the sizes of the others."""
    columns = list(GROUP_COLUMNS)
    sizes = trials.groupby(columns, dropna=False).size().rename("n_trials").reset_index()
    sizes = sizes.sort_values("n_trials", ascending=False, kind="stable", ignore_index=True)
    if sizes.empty:
        return {}, trials, sizes
    key = sizes[columns].iloc[0]
    return (
        dict(zip(columns, key, strict=True)),
        trials[(trials[columns] == key).all(axis=1)],
        sizes.iloc[1:].reset_index(drop=True),
    )


def _rank(name: str) -> tuple[int, str]:
    """The study's experiments in their order, then its follow-ups, then all others by name."""
    return (list(TABLES).index(name) if name in TABLES else len(TABLES)), name


def _judged(estimates: Sequence[ExperimentEstimate], margin: float) -> list[ExperimentEstimate]:
    evidence = [
        Evidence(e.experiment, e.objectives, _n_diverged(e.summary), e.noise, bool(e.superseded)) for e in estimates
    ]
    verdicts = {verdict.experiment: verdict for verdict in judge(evidence, margin=margin)}
    return [replace(e, verdict=verdicts.get(e.experiment.name)) for e in estimates]


def _n_diverged(summary: pd.DataFrame) -> dict[str, int]:
    return dict(zip(summary["configuration"], summary["n_diverged"], strict=True))


def _estimate_foreign(trials: pd.DataFrame, curves: pd.DataFrame, spread: Spread, margin: float) -> ExperimentEstimate:
    """Runs of other programs: those of one configuration are replicates, unpaired, without a question."""
    experiment = Experiment(FOREIGN, question="", hypothesis="", configurations=(), scientific=())
    columns = [*HYPERPARAMETERS, "updates", "examples", "parameters"]
    grid = trials.drop_duplicates("configuration").set_index("configuration")[columns].assign(passes=np.nan)
    flags = _flags_by_configuration(trials, curves)
    return _estimate(RecordedExperiment(experiment), trials, grid, curve_flags=flags, spread=spread, margin=margin)


# --- one experiment ------------------------------------------------------------------------------------------------


def _estimate(
    recorded: RecordedExperiment, trials: pd.DataFrame, grid: pd.DataFrame, *,
    curve_flags: Mapping[str, list[str]], spread: Spread, margin: float,
) -> ExperimentEstimate:  # fmt: skip
    """Estimate an experiment whose configurations `grid` lists, a row each by name; the verdict comes later."""
    experiment = recorded.experiment
    trials = trials[trials["configuration"].isin(grid.index)]
    objectives = replicate_table(trials, list(grid.index))
    n_diverged = trials.groupby("configuration")["diverged"].sum().reindex(grid.index, fill_value=0).astype(int)
    stable = objectives.loc[:, (n_diverged == 0).to_numpy() & objectives.notna().any().to_numpy()]
    unstable = {str(n): f"unstable, {k} of {objectives[n].count()}" for n, k in n_diverged.items() if k}
    noise = noise_floor(stable, logdir=spread)
    ranking = rank_configurations(stable, grid["examples"] * grid["parameters"], noise, margin=margin)
    summary = _summary(experiment, grid, trials, n_diverged).assign(
        **_deficits(stable, ranking, list(grid.index)),
        flags=_flags(experiment, grid, stable, unstable, curve_flags=curve_flags, n_validation=_n_validation(trials)),
    )
    comparisons = compare_pairs(objectives, unstable=unstable, assumed_sd=noise.assumed_difference_sd)
    comparisons.insert(0, "experiment", experiment.name)
    expected = max(1, len(objectives))
    return ExperimentEstimate(
        **vars(ranking), experiment=experiment, superseded=recorded.superseded, objectives=objectives,
        summary=summary[list(SUMMARY_COLUMNS)], comparisons=comparisons,
        arms=_arms(experiment, summary, stable.columns), noise=noise, verdict=None, unstable=unstable,
        incomplete={str(n): expected - k for n, k in objectives.count().items() if k < expected},
        confounded=confounded_budgets(experiment), mixed=_mixed(trials),
    )  # fmt: skip


def rank_configurations(stable: pd.DataFrame, costs: pd.Series, noise: NoiseFloor, *, margin: float) -> Ranking:
    """Rank the columns of `stable`, each with a trial and none diverged; `costs` are examples x parameters."""
    if stable.columns.empty:
        return Ranking(None, None, np.nan, np.nan, np.nan, np.nan, (), None, "")
    order = [str(name) for name in stable.mean().sort_values(ascending=False, kind="stable").index]
    tied = tuple(tied_set(stable))
    if len(order) == 1:
        return Ranking(order[0], None, np.nan, np.nan, np.nan, np.nan, tied, None, "")
    lead = differences(stable, order[:1], order[1:2])
    half = lead.half_width(0.95)
    curse = expected_maximum(len(order)) * noise.difference_sd_median / np.sqrt(2 * max(1, noise.n_seeds))
    cost_of = {str(name): float(cost) for name, cost in costs.items()}
    recommended = recommend(stable, costs=cost_of, margin=margin)
    needed = seeds_to_recommend(stable, margin=margin, assumed_sd=noise.assumed_difference_sd)
    return Ranking(
        best=order[0], runner_up=order[1], lead=float(lead.mean[0]), lead_low=float((lead.mean - half)[0]),
        lead_high=float((lead.mean + half)[0]), winners_curse=float(curse), tied=tied, recommended=recommended,
        seeds_to_recommend="" if recommended else format_seeds(needed),
    )  # fmt: skip


def _summary(experiment: Experiment, grid: pd.DataFrame, trials: pd.DataFrame, n_diverged: pd.Series) -> pd.DataFrame:
    """What is known of each configuration by itself."""
    names = list(grid.index)
    n = trials.groupby("configuration").size().reindex(names, fill_value=0)
    columns: dict[str, Any] = {"experiment": experiment.name, "n": n, "n_diverged": n_diverged}
    columns |= _statistics(trials, names, "validation_accuracy")
    for metric in ("validation_loss", "train_loss", "test_accuracy"):
        # a mean without the seeds that diverged would flatter
        columns |= {k: np.where(n_diverged, np.nan, v) for k, v in _statistics(trials, names, metric).items()}
    columns["seconds_mean"] = trials.groupby("configuration")["duration_s"].mean().reindex(names)
    return grid.assign(**columns).rename_axis("configuration").reset_index()


def _statistics(trials: pd.DataFrame, names: Sequence[str], metric: str) -> dict[str, Floats]:
    values = replicate_table(trials, names, metric).to_numpy(float)
    stats = describe(np.where(np.isfinite(values), values, np.nan))
    return {f"{metric}_{part}": getattr(stats, part) for part in ("mean", "sd", "low", "high")}


def _deficits(stable: pd.DataFrame, ranking: Ranking, names: list[str]) -> dict[str, Any]:
    """Columns on how each configuration compares with the best; NaN and False for the unstable."""
    columns = pd.DataFrame(index=pd.Index(names), columns=["deficit", "deficit_low", "deficit_high"], dtype=float)
    others = [name for name in stable.columns if name != ranking.best]
    pairs = differences(stable, [ranking.best or ""] * len(others), others) if others else None
    if pairs:
        half = pairs.half_width(0.95)
        columns.loc[others] = np.column_stack([pairs.mean, pairs.mean - half, pairs.mean + half])
    bounds = pd.Series(deficit_bounds(stable), dtype=float).reindex(names)
    return {
        **{str(name): columns[name].to_numpy() for name in columns},
        "deficit_bound": bounds.to_numpy(),
        "tied_with_best": np.isin(names, ranking.tied),
        "recommended": [name == ranking.recommended for name in names],
    }


def _arms(experiment: Experiment, summary: pd.DataFrame, stable: pd.Index) -> pd.DataFrame:
    """The best stable configuration of each value of the scientific hyperparameters."""
    scientific = list(experiment.scientific)
    rows = summary[summary["configuration"].isin(stable)]
    if not scientific or rows.empty:
        return pd.DataFrame(columns=list(ARM_COLUMNS))
    arms = rows.groupby(scientific, sort=False)["validation_accuracy_mean"]
    best = rows.loc[arms.idxmax()].assign(n_selected_from=arms.size().to_numpy())
    words = [format_values({str(n): v for n, v in row.items()}) for row in best[scientific].to_dict("records")]
    return best.assign(arm=words)[list(ARM_COLUMNS)].reset_index(drop=True)


def _mixed(trials: pd.DataFrame) -> dict[str, tuple[str, ...]]:
    values = {c: tuple(sorted(trials[c].dropna().unique())) for c in ("host", "platform", "device", "versions")}
    return {column: found for column, found in values.items() if len(found) > 1}


# --- flags ---------------------------------------------------------------------------------------------------------


def _flags(
    experiment: Experiment, grid: pd.DataFrame, stable: pd.DataFrame, unstable: Mapping[str, str], *,
    curve_flags: Mapping[str, list[str]], n_validation: float,
) -> list[str]:  # fmt: skip
    """The flags of each configuration, joined."""
    means = stable.mean()
    flags: dict[str, list[str]] = {name: [words] for name, words in unstable.items()}
    for name, mean in means.items():
        flags[str(name)] = [INFEASIBLE] * is_infeasible(mean, n_validation) + curve_flags.get(str(name), [])
    edges = search_edges(means, grid, scientific=experiment.scientific, nuisance=experiment.nuisance)
    for name, axes in edges.items():
        flags[name].extend(f"{SEARCH_EDGE}: {axis}" for axis in axes)
    return ["; ".join(flags.get(name, [])) for name in grid.index]


def _flags_by_configuration(trials: pd.DataFrame, curves: pd.DataFrame) -> dict[str, list[str]]:
    stable = trials.groupby("configuration")["diverged"].transform("sum") == 0
    rows = curves[curves["trial_id"].isin(trials.loc[stable, "trial_id"])]
    return {str(name): list(curve_flags(part)) for name, part in rows.groupby("configuration")}


# --- budgets -------------------------------------------------------------------------------------------------------


def _plan_grid(experiment: Experiment, group: Mapping[str, object]) -> pd.DataFrame:
    """Hyperparameters and budgets of the plan's configurations, by name."""
    n_train = n_train_images(str(group.get("dataset")), str(group.get("validation")))
    rows = {
        c.name: {**asdict(c), "updates": c.updates, "examples": c.examples, "passes": c.examples / n_train,
                 "parameters": c.parameters}
        for c in experiment.configurations
    }  # fmt: skip
    return pd.DataFrame.from_dict(rows, orient="index")


def n_train_images(dataset: str, validation: str) -> int:
    """Images in the training split: 60,000 where the test split validates, else 50,000; the small data a tenth."""
    n_train = 60_000 if validation == "test" else 50_000
    return n_train // 10 if dataset.endswith("-small") else n_train


def _n_validation(trials: pd.DataFrame) -> float:
    """Images that an accuracy is measured on, NaN where that is unknown."""
    dataset = str(trials["dataset"].iloc[0]) if len(trials) else UNKNOWN
    return np.nan if dataset == UNKNOWN else 1_000 if dataset.endswith("-small") else 10_000


# --- tables --------------------------------------------------------------------------------------------------------


def _join(parts: Sequence[pd.DataFrame], columns: Sequence[str]) -> pd.DataFrame:
    filled = [part for part in parts if len(part)]
    return pd.concat(filled, ignore_index=True) if filled else pd.DataFrame(columns=list(columns))


def _noise_table(estimates: Sequence[ExperimentEstimate]) -> pd.DataFrame:
    rows = [{"experiment": e.experiment.name, **asdict(e.noise)} for e in estimates]
    return pd.DataFrame(rows, columns=["experiment", *(f.name for f in fields(NoiseFloor))])


def _verdict_table(estimates: Sequence[ExperimentEstimate]) -> pd.DataFrame:
    columns = [f.name for f in fields(Verdict) if f.name != "contrasts"]
    verdicts = [e.verdict for e in estimates if e.verdict]
    rows = [{**{c: getattr(v, c) for c in columns}, "labels": "; ".join(v.labels)} for v in verdicts]
    return pd.DataFrame(rows, columns=columns)


def _contrast_table(estimates: Sequence[ExperimentEstimate]) -> pd.DataFrame:
    rows = [
        {"experiment": e.experiment.name, **asdict(contrast)}
        for e in estimates if e.verdict for contrast in e.verdict.contrasts
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=["experiment", *(f.name for f in fields(ContrastEstimate))])


# --- confirmation --------------------------------------------------------------------------------------------------


def confirmation_table(
    estimates: StudyEstimates, experiment: str, configurations: Sequence[str], *, selection_seeds: Sequence[int]
) -> pd.DataFrame:
    """The frozen tied set of an experiment on fresh seeds alone: CONFIRMATION_COLUMNS.

    The best is the one of the selection's seeds, so that no figure here was chosen for being high.
    """
    names, fresh = list(configurations), estimates.confirmation_trials
    fresh = fresh[fresh["configuration"].isin(names)]
    selection = replicate_table(estimates.trials[estimates.trials["seed"].isin(selection_seeds)], names).mean()
    best = str(selection.idxmax()) if selection.notna().any() else names[0]
    objectives = replicate_table(fresh, names)
    n_diverged = fresh.groupby("configuration")["diverged"].sum().reindex(names, fill_value=0).astype(int)
    usable = ((n_diverged == 0) & (n_diverged[best] == 0) & (pd.Index(names) != best)).to_numpy()
    pairs = differences(objectives, [best] * len(names), names)
    deficit, half = np.where(usable, pairs.mean, np.nan), pairs.half_width(0.95)
    columns = {
        "experiment": experiment, "configuration": names, "n": objectives.count().to_numpy(),
        **_statistics(fresh, names, "validation_accuracy"),
        "test_accuracy_mean": _statistics(fresh, names, "test_accuracy")["test_accuracy_mean"],
        "is_best": np.array(names) == best, "deficit": deficit, "deficit_low": deficit - half,
        "deficit_high": deficit + half, "n_diverged": n_diverged.to_numpy(),
    }  # fmt: skip
    return pd.DataFrame(columns)[list(CONFIRMATION_COLUMNS)]
