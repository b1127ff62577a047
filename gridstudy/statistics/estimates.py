"""Records -> means with intervals, comparisons, flags and verdicts: all that the figures and the report may say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

import numpy as np
import pandas as pd

from gridstudy.core.experiment import Experiment
from gridstudy.core.labels import arm_labels
from gridstudy.core.subject import Description
from gridstudy.core.trial import FIRST_CONFIRMATION_SEED
from gridstudy.records.plans import Plan
from gridstudy.records.tables import FOREIGN, Records
from gridstudy.statistics.comparisons import (
    COMPARISON_COLUMNS,
    compare_pairs,
    differences,
    objective_table,
    replicate_table,
    select_trials,
)
from gridstudy.statistics.flags import (
    INFEASIBLE,
    SEARCH_EDGE,
    SLOWER,
    curve_flags,
    is_infeasible,
    search_edges,
    slow_configurations,
)
from gridstudy.statistics.groups import choose_group, describe_group, drop_conflicts, find_margin, name_group
from gridstudy.statistics.noise import NoiseFloor, Spread, assumed_spread, logdir_spread, noise_floor
from gridstudy.statistics.standing import Ranking, deficit_columns, plan_schedule, rank_at_once, rank_plan
from gridstudy.statistics.summaries import (
    Columns,
    arm_table,
    configuration_labels,
    find_columns,
    mixed_machines,
    plan_grid,
    side_label,
    statistics,
    summary_table,
)
from gridstudy.statistics.verdicts import (
    Claim,
    ContrastEstimate,
    Evidence,
    StoredVerdict,
    Verdict,
    confounded_budgets,
    judge,
)

OTHER_FAMILY = "all other experiments"
COMPARED = ("experiment", "a", "a_label", "b", "b_label", *COMPARISON_COLUMNS[2:])
VERDICT_COLUMNS = (*(f.name for f in fields(Verdict) if f.name not in ("advice", "contrasts")), "seeds_to_decide")
CONTRAST_COLUMNS = ("experiment", *(f.name for f in fields(ContrastEstimate)), "first_label", "second_label")
CONFIRMATION_COLUMNS = (
    "experiment", "configuration", "label", "n", "objective_mean", "objective_sd", "objective_low", "objective_high",
    "test_score_mean", "is_best", "deficit", "deficit_low", "deficit_high", "n_diverged", "selection_mean",
    "selection_low", "selection_high",
)  # fmt: skip
"""A row per configuration of a frozen tied set, on fresh seeds alone. `is_best` marks the best mean of the selection's
seeds; `deficit` is that configuration minus this one, paired over fresh seeds, with a 95 % interval. What the seeds of
the selection said stands last; of the best it is too high on average, because it was chosen for it."""


@dataclass(frozen=True, kw_only=True)
class ExperimentEstimate(Ranking):
    """All that the records say of one experiment.

    `summary`, `comparisons` and `arms` are this experiment's rows of the study's tables. `objectives` has a row per
    seed and a column per configuration of the plan, in its order, unstable ones included, multiplied by -1 where the
    objective is minimised, so that higher is better; index `replicate` where seeds are unknown.
    """

    plan: Plan
    labels: Mapping[str, str]
    """Configuration -> what its arm is called in this experiment."""
    objectives: pd.DataFrame
    summary: pd.DataFrame
    comparisons: pd.DataFrame
    arms: pd.DataFrame
    noise: NoiseFloor
    verdict: Verdict | None
    contrast_labels: tuple[tuple[str, str], ...]
    """Both sides of each contrast, as their arms are called."""
    unstable: Mapping[str, str]
    """Configuration -> `unstable, 2 of 5`; these are in no ranking."""
    confounded: tuple[str, ...]
    """Budgets beside the treatment that differ by more than 5 % between the arms; they qualify the ranking. Contrasts
    have their own."""
    mixed: Mapping[str, tuple[str, ...]]
    """What the trials did not have in common of host, platform, device, processor, arithmetic, environment, source
    and versions."""

    @property
    def experiment(self) -> Experiment:
        """The experiment."""
        return self.plan.experiment

    @property
    def superseded(self) -> tuple[Mapping[str, Any], ...]:
        """Hypotheses that this one replaced, each with the time and the number of trials that were complete."""
        return self.plan.superseded


@dataclass(frozen=True)
class StudyEstimates:
    """All that the records say: per experiment, and as tidy tables over all experiments.

    Only one group of records (GROUP_COLUMNS) is analysed, `group`; `left_out` has a row per other group with
    `n_trials`. Trials of other programs are the last experiment, `foreign`. The columns of `summary` and `arms` are
    described in `summaries.Columns`.
    """

    description: Description
    margin: float
    group: Mapping[str, object]
    left_out: pd.DataFrame
    experiments: tuple[ExperimentEstimate, ...]
    summary: pd.DataFrame
    comparisons: pd.DataFrame
    """COMPARED: all pairs of an experiment's configurations, a single 95 % interval each."""
    arms: pd.DataFrame
    noise_floors: pd.DataFrame
    """A row per experiment: `experiment` and the fields of NoiseFloor."""
    verdicts: pd.DataFrame
    """VERDICT_COLUMNS: a row per experiment with a hypothesis, labels joined by "; "."""
    contrasts: pd.DataFrame
    """CONTRAST_COLUMNS: a row per contrast, confounding budgets joined by ", "."""
    trials: pd.DataFrame
    """The trials that the estimates rest on: one group, seeds of the selection, foreign ones apart."""
    curves: pd.DataFrame
    """Their learning curves."""
    confirmation_trials: pd.DataFrame
    """The group's trials on fresh seeds, for `confirmation_table`."""
    unplanned: tuple[str, ...]
    """Configurations with trials that no recorded experiment asks for; they are in `trials` and nowhere else."""
    problems: pd.DataFrame
    """PROBLEM_COLUMNS: trials that share configuration and seed with another one; none of these is analysed."""
    labels: Mapping[str, str]
    """Configuration -> its settings in words, for tables that belong to no experiment."""

    @property
    def group_name(self) -> str:
        """The group of records in one line, as stored verdicts name it."""
        return name_group(self.group)

    @property
    def plans(self) -> tuple[Plan, ...]:
        """The plans of the experiments, without `foreign`."""
        return tuple(e.plan for e in self.experiments if e.experiment.name != FOREIGN)


@dataclass(frozen=True)
class _Context:
    """What all experiments of a study share."""

    description: Description
    columns: Columns
    curve_flags: Mapping[str, list[str]]
    spread: Spread
    margin: float

    @property
    def sign(self) -> int:
        return self.description.objective.sign


# --- the study -----------------------------------------------------------------------------------------------------


def analyse(records: Records, margin: float | None = None, *, stored: Sequence[StoredVerdict] = ()) -> StudyEstimates:
    """Estimate everything from the largest group of records; verdicts that were `stored` before stay.

    Without `margin`, the objective's own applies; StudyError where it has none.
    """
    foreign = records.trials["origin"] == FOREIGN
    group, trials, left_out = choose_group(records.trials[~foreign])
    trials, problems = drop_conflicts(trials)
    selected = select_trials(trials)
    description = describe_group(records.plans, group)
    margin = find_margin(margin, description.objective)
    plans = [plan for plan in records.plans if plan.description.subject == description.subject]
    context = _Context(
        description, find_columns(records, plans), _curve_flags(selected, records.curves, description.objective.sign),
        _spread(selected, plans, description), margin,
    )  # fmt: skip
    drafts = [_estimate_plan(plan, selected, context, size=family_size(plan, plans)) for plan in plans]
    known = [verdict for verdict in stored if verdict.group in ("", name_group(group))]
    estimates = _judged(drafts, selected, plans, margin=margin, stored=known)
    if foreign.any():
        estimates.append(_estimate_foreign(records.trials[foreign], records.curves, context))
    configurations = {c.name: c for plan in plans for c in plan.experiment.configurations}
    return StudyEstimates(
        description=description, margin=margin, group=group, left_out=left_out, experiments=tuple(estimates),
        summary=_join([e.summary for e in estimates], context.columns.summary),
        comparisons=_join([e.comparisons for e in estimates], COMPARED),
        arms=_join([e.arms for e in estimates], context.columns.arms),
        noise_floors=_noise_table(estimates), verdicts=_verdict_table(estimates), contrasts=_contrast_table(estimates),
        trials=selected, curves=records.curves[records.curves["trial_id"].isin(selected["trial_id"])],
        confirmation_trials=trials[trials["seed"] >= FIRST_CONFIRMATION_SEED],
        unplanned=tuple(name for name in selected["configuration"].unique() if name not in configurations),
        problems=problems, labels=configuration_labels(configurations.values(), description),
    )  # fmt: skip


def _spread(trials: pd.DataFrame, plans: Sequence[Plan], description: Description) -> Spread:
    """The spread of repeated configurations; the reference study's stands in where scores are fractions."""
    groups = [[c.name for c in plan.experiment.configurations] for plan in plans]
    assumed = assumed_spread(is_fraction=description.objective.is_fraction)
    return logdir_spread(trials, groups=groups, assumed=assumed)


def _curve_flags(trials: pd.DataFrame, curves: pd.DataFrame, sign: int) -> dict[str, list[str]]:
    stable = trials.groupby("configuration")["diverged"].transform("sum") == 0
    rows = curves[curves["trial_id"].isin(trials.loc[stable, "trial_id"])]
    return {str(name): list(curve_flags(part, sign=sign)) for name, part in rows.groupby("configuration")}


# --- verdicts ------------------------------------------------------------------------------------------------------


def family_size(plan: Plan, plans: Sequence[Plan]) -> int:
    """How many hypotheses are corrected together with this plan's, those that were never run included."""
    if plan.experiment.family:
        return len(plan.experiment.family)
    return max(1, sum(bool(p.experiment.contrasts) and not p.experiment.family for p in plans))


def _judged(
    drafts: Sequence[ExperimentEstimate], trials: pd.DataFrame, plans: Sequence[Plan], *, margin: float,
    stored: Sequence[StoredVerdict],
) -> list[ExperimentEstimate]:  # fmt: skip
    evidence = [_evidence(draft, trials, size=family_size(draft.plan, plans)) for draft in drafts]
    verdicts = {verdict.experiment: verdict for verdict in judge(evidence, margin=margin, stored=stored)}
    return [replace(draft, verdict=verdicts.get(draft.experiment.name)) for draft in drafts]


def evidence(estimate: ExperimentEstimate, estimates: StudyEstimates) -> Evidence:
    """What the verdict on an experiment of these estimates rests on."""
    size = family_size(estimate.plan, [e.plan for e in estimates.experiments])
    return _evidence(estimate, estimates.trials, size=size)


def _evidence(draft: ExperimentEstimate, trials: pd.DataFrame, *, size: int) -> Evidence:
    experiment = draft.experiment
    return Evidence(
        experiment=experiment.name, hypothesis=experiment.hypothesis, claims=claims(experiment),
        objectives=draft.objectives, schedule=plan_schedule(draft.plan, draft.objectives),
        family=", ".join(experiment.family) or OTHER_FAMILY, family_size=size,
        diverged=diverged_seeds(trials, experiment), assumed_sd=draft.noise.assumed_difference_sd,
        assumed_source=draft.noise.source, hypothesis_changed=bool(draft.superseded),
        nuisance=" and ".join(draft.plan.description.title(name) for name in experiment.nuisance),
    )  # fmt: skip


def claims(experiment: Experiment) -> tuple[Claim, ...]:
    """The contrasts of an experiment as claims about its configurations, each with the budgets that confound it."""
    budgets = {c.name: c.budgets for c in experiment.configurations}
    treatment = experiment.treatment_budgets
    found = []
    for contrast in experiment.contrasts:
        first, second = (tuple(c.name for c in experiment.matching(side)) for side in (contrast.first, contrast.second))
        confounded = confounded_budgets(budgets, first, second, treatment=treatment)
        found.append(Claim(str(contrast), contrast.relation, first, second, confounded))
    return tuple(found)


def diverged_seeds(trials: pd.DataFrame, experiment: Experiment) -> dict[str, set[int]]:
    """The seeds with which each configuration of an experiment diverged."""
    rows = trials[trials["diverged"].astype(bool)]
    rows = rows[rows["configuration"].isin([c.name for c in experiment.configurations])]
    return {str(name): {int(seed) for seed in seeds} for name, seeds in rows.groupby("configuration")["seed"]}


# --- one experiment ------------------------------------------------------------------------------------------------


def _estimate_plan(plan: Plan, trials: pd.DataFrame, context: _Context, *, size: int) -> ExperimentEstimate:
    """Estimate an experiment, of a family of `size`; the verdict comes later."""
    experiment = plan.experiment
    grid = plan_grid(plan, context.description)
    objectives = objective_table(trials, experiment, sign=context.sign)
    labels = arm_labels(experiment, context.description)
    stable = _stable(objectives, trials)
    noise = noise_floor(stable, logdir=context.spread, family_size=size, first_look=plan.first_look)
    ranking = rank_plan(
        objectives, plan, costs=_costs(grid), margin=context.margin, diverged=diverged_seeds(trials, experiment),
        noise=noise,
    )  # fmt: skip
    return _estimate(plan, trials, grid, objectives=objectives, ranking=ranking, noise=noise, labels=labels,
                     context=context)  # fmt: skip


def _estimate_foreign(trials: pd.DataFrame, curves: pd.DataFrame, context: _Context) -> ExperimentEstimate:
    """Estimate runs of other programs: those of one configuration are replicates, unpaired, without a question."""
    names = trials["configuration"].drop_duplicates().tolist()
    experiment = Experiment(FOREIGN, question="", hypothesis="", configurations=(), scientific=())
    columns = [c for c in (*context.columns.hyperparameters, *context.columns.budgets, "cost") if c in trials]
    grid = trials.drop_duplicates("configuration").set_index("configuration")[columns]
    objectives = context.sign * replicate_table(trials, names)
    stable = _stable(objectives, trials)
    noise = noise_floor(stable, logdir=context.spread)
    ranking = rank_at_once(stable, costs=_costs(grid), margin=context.margin, noise=noise)
    context = replace(context, curve_flags=_curve_flags(trials, curves, context.sign))
    return _estimate(
        Plan(experiment, context.description), trials, grid, objectives=objectives, ranking=ranking, noise=noise,
        labels={str(name): str(name) for name in names}, context=context,
    )  # fmt: skip


def _costs(grid: pd.DataFrame) -> dict[str, float]:
    costs = grid["cost"] if "cost" in grid else pd.Series(np.nan, index=grid.index)
    return {str(name): float(cost) for name, cost in costs.items()}


def _stable(objectives: pd.DataFrame, trials: pd.DataFrame) -> pd.DataFrame:
    """The columns of configurations that have trials, none of them diverged."""
    diverged = trials.loc[trials["diverged"].astype(bool), "configuration"]
    kept = objectives.notna().any().to_numpy() & ~objectives.columns.isin(diverged)
    return objectives.loc[:, kept]


def _estimate(
    plan: Plan, trials: pd.DataFrame, grid: pd.DataFrame, *, objectives: pd.DataFrame, ranking: Ranking,
    noise: NoiseFloor, labels: Mapping[str, str], context: _Context,
) -> ExperimentEstimate:  # fmt: skip
    """Estimate the configurations that `grid` lists, a row each by name."""
    experiment, names = plan.experiment, list(grid.index)
    trials = trials[trials["configuration"].isin(names)]
    n_diverged = trials.groupby("configuration")["diverged"].sum().reindex(names, fill_value=0).astype(int)
    unstable = {str(n): f"unstable, {k} of {objectives[n].count()}" for n, k in n_diverged.items() if k}
    stable = _stable(objectives, trials)
    summary = summary_table(experiment.name, grid, trials, columns=context.columns, n_diverged=n_diverged)
    summary = summary.assign(label=[labels[name] for name in names], **deficit_columns(stable, ranking, names))
    summary["flags"] = _flags(experiment, grid, stable, unstable, summary=summary, context=context)
    pairs = compare_pairs(objectives, unstable=unstable, assumed_sd=noise.assumed_difference_sd)
    pairs = pairs.assign(experiment=experiment.name, a_label=pairs["a"].map(labels), b_label=pairs["b"].map(labels))
    return ExperimentEstimate(
        **vars(ranking), plan=plan, labels=labels, objectives=objectives,
        summary=summary[list(context.columns.summary)], comparisons=pairs[list(COMPARED)],
        arms=arm_table(
            experiment, summary, stable=stable.columns, columns=context.columns, description=context.description
        ),
        noise=noise, verdict=None, unstable=unstable, mixed=mixed_machines(trials),
        contrast_labels=tuple(
            (side_label(experiment, c.first, labels, context.description),
             side_label(experiment, c.second, labels, context.description))
            for c in experiment.contrasts
        ),
        confounded=_confounded(experiment),
    )  # fmt: skip


def _confounded(experiment: Experiment) -> tuple[str, ...]:
    """Budgets beside the treatment that differ between any two arms, each the mean over the arm's nuisance values."""
    arms: dict[tuple[Any, ...], list[str]] = {}
    for c in experiment.configurations:
        arms.setdefault(tuple(c[name] for name in experiment.scientific), []).append(c.name)
    budgets = {c.name: c.budgets for c in experiment.configurations}
    sides = list(arms.values())
    found = [
        confounded_budgets(budgets, first, second, treatment=experiment.treatment_budgets)
        for i, first in enumerate(sides) for second in sides[:i]
    ]  # fmt: skip
    different = {budget for names in found for budget in names}
    return tuple(name for name in next(iter(budgets.values()), {}) if name in different)


def _flags(
    experiment: Experiment, grid: pd.DataFrame, stable: pd.DataFrame, unstable: Mapping[str, str], *,
    summary: pd.DataFrame, context: _Context,
) -> list[str]:  # fmt: skip
    """The flags of each configuration, joined."""
    description, means = context.description, stable.mean()
    n_validation = description.sizes.get("validation", np.nan)
    flags: dict[str, list[str]] = {str(name): [] for name in grid.index}
    for name, mean in means.items():
        if is_infeasible(context.sign * mean, description.objective, n_validation=n_validation):
            flags[str(name)].append(INFEASIBLE)
        flags[str(name)].extend(context.curve_flags.get(str(name), []))
    for name, axes in search_edges(
        means, grid, scientific=experiment.scientific, nuisance=experiment.nuisance,
        categorical=[h.name for h in description.hyperparameters if not h.is_numeric],
    ).items():  # fmt: skip
        flags[name].extend(f"{SEARCH_EDGE}: {axis}" for axis in axes)
    seconds = summary.set_index("configuration").loc[list(stable.columns), "seconds_median"]
    amounts = grid.reindex(columns=[c for c in (*context.columns.budgets, "cost") if c in grid])
    for name in slow_configurations(seconds, amounts.loc[seconds.index].astype(float)):
        flags[name].append(SLOWER)
    return ["; ".join([unstable[name]] if name in unstable else found) for name, found in flags.items()]


# --- tables --------------------------------------------------------------------------------------------------------


def _join(parts: Sequence[pd.DataFrame], columns: Sequence[str]) -> pd.DataFrame:
    filled = [part for part in parts if len(part)]
    return pd.concat(filled, ignore_index=True) if filled else pd.DataFrame(columns=list(columns))


def _noise_table(estimates: Sequence[ExperimentEstimate]) -> pd.DataFrame:
    rows = [{"experiment": e.experiment.name, **asdict(e.noise)} for e in estimates]
    return pd.DataFrame(rows, columns=["experiment", *(f.name for f in fields(NoiseFloor))])


def _verdict_table(estimates: Sequence[ExperimentEstimate]) -> pd.DataFrame:
    verdicts = [e.verdict for e in estimates if e.verdict]
    rows = [{**{c: getattr(v, c) for c in VERDICT_COLUMNS}, "labels": "; ".join(v.labels)} for v in verdicts]
    return pd.DataFrame(rows, columns=list(VERDICT_COLUMNS))


def _contrast_table(estimates: Sequence[ExperimentEstimate]) -> pd.DataFrame:
    rows = [
        {**asdict(contrast), "confounded": ", ".join(contrast.confounded), "experiment": e.experiment.name,
         "first_label": first, "second_label": second}
        for e in estimates if e.verdict
        for contrast, (first, second) in zip(e.verdict.contrasts, e.contrast_labels, strict=True)
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=list(CONTRAST_COLUMNS))


# --- confirmation --------------------------------------------------------------------------------------------------


def confirmation_table(
    estimates: StudyEstimates, experiment: str, configurations: Sequence[str], *, selection_seeds: Sequence[int]
) -> pd.DataFrame:
    """The frozen tied set of an experiment on fresh seeds alone: CONFIRMATION_COLUMNS.

    The best is the one of the selection's seeds, so that no figure here was chosen for being high.
    """
    names, fresh, sign = list(configurations), estimates.confirmation_trials, estimates.description.objective.sign
    fresh = fresh[fresh["configuration"].isin(names)]
    chosen = estimates.trials[estimates.trials["seed"].isin(selection_seeds)]
    selection = {part: statistics(chosen, names, "objective")[f"objective_{part}"] for part in ("mean", "low", "high")}
    means = sign * pd.Series(selection["mean"], index=names)
    best = str(means.idxmax()) if means.notna().any() else names[0]
    objectives = sign * replicate_table(fresh, names)
    n_diverged = fresh.groupby("configuration")["diverged"].sum().reindex(names, fill_value=0).astype(int)
    usable = ((n_diverged == 0) & (n_diverged[best] == 0) & (pd.Index(names) != best)).to_numpy()
    pairs = differences(objectives, [best] * len(names), names)
    deficit, half = np.where(usable, pairs.mean, np.nan), pairs.half_width(0.95)
    labels: Mapping[str, str] = next((e.labels for e in estimates.experiments if e.experiment.name == experiment), {})
    columns = {
        "experiment": experiment, "configuration": names, "label": [labels.get(name, name) for name in names],
        "n": objectives.count().to_numpy(), **statistics(fresh, names, "objective"),
        "test_score_mean": statistics(fresh, names, "test_score")["test_score_mean"],
        "is_best": np.array(names) == best, "deficit": deficit, "deficit_low": deficit - half,
        "deficit_high": deficit + half, "n_diverged": n_diverged.to_numpy(),
        **{f"selection_{part}": values for part, values in selection.items()},
    }  # fmt: skip
    return pd.DataFrame(columns)[list(CONFIRMATION_COLUMNS)]
