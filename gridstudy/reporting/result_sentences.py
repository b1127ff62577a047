"""One experiment's estimates -> sentences and table rows: its ranking, its noise, its caveats."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from gridstudy.core.subject import Objective
from gridstudy.core.trial import LEAST_SEEDS
from gridstudy.reporting.phrases import (
    MOST_NAMES,
    Prose,
    amount,
    code,
    count,
    difference,
    difference_numbers,
    difference_unit,
    enumeration,
    margin_words,
    number,
    percent,
    plain,
    score,
    sentence,
    span,
)
from gridstudy.reporting.verdict_sentences import (
    assumed,
    cost,
    label,
    labels,
    objective_of,
    seeds_to_recommend,
)
from gridstudy.statistics.comparisons import POWER
from gridstudy.statistics.estimates import ExperimentEstimate
from gridstudy.statistics.findings import CONFIDENCE_PERCENT, UNEQUAL_PERCENT
from gridstudy.statistics.flags import SEARCH_EDGE
from gridstudy.statistics.noise import NoiseFloor

MOST_ROWS = 12
"""A table of the report has no more rows; the CSV files have all."""
MOST_ARMS = 5
TIED_MARK = "tied (see below)"


# --- its ranking ---------------------------------------------------------------------------------------------------


def ranking_sentences(e: ExperimentEstimate, margin: float) -> Prose:
    """The best, its lead, what is tied with it and what is recommended."""
    if e.best is None:
        return Prose("No arm can be ranked: none has finished its first look without diverging.")
    mean = summary_score(e, e.best)
    if e.runner_up is None:
        return Prose(f"One arm can be ranked: {label(e, e.best)}, {mean}.")
    parts = [f"{label(e, e.best)} has the best mean: {mean}.", lead_sentence(e), tied_sentence(e)]
    return Prose(" ".join([*parts, recommendation_sentence(e, margin)]))


def summary_score(e: ExperimentEstimate, configuration: str, metric: str = "objective") -> Prose:
    """The mean of a configuration, with interval and n."""
    row = e.summary[e.summary["configuration"] == configuration].to_dict("records")[0]
    return score_cell(objective_of(e), row, metric, n=row["n"])


def score_cell(
    objective: Objective, row: Mapping[Any, Any], metric: str = "objective", *, n: float | None = None
) -> Prose:
    """The mean of a configuration with its interval, and with n where that has no column of its own."""
    return score(objective, *(row.get(f"{metric}_{part}", math.nan) for part in ("mean", "low", "high")), n=n)


def lead_sentence(e: ExperimentEstimate) -> str:
    """The lead over the runner-up beside the winner's curse."""
    objective = objective_of(e)
    size = str(difference(objective, e.lead, e.lead_low, e.lead_high, signed=False))
    seeds = f" over the first {count(e.ranked_seeds, 'seed')}" if e.ranked_seeds else ""
    size = size.replace(" [", f", single {CONFIDENCE_PERCENT} % interval [")
    lead = f"It leads {label(e, e.runner_up)} by {size}{seeds}"
    if not math.isfinite(e.winners_curse):
        return f"{lead}; how much of that is luck cannot be estimated yet."
    return (
        f"{lead}. If all {len(e.bounds) or len(e.tied)} arms were equally good, the best mean would be too high by "
        f"about {difference(objective, e.winners_curse, signed=False)} (winner's curse)."
    )


def tied_sentence(e: ExperimentEstimate) -> str:
    """How many may be the best."""
    if not e.look:
        return "The first look is not complete, so any arm may be the best."
    if len(e.tied) == 1:
        return "No other arm is tied with it."
    if len(e.tied) == len(e.bounds):
        return "All arms are tied: any of them may be the best."
    others = [name for name in e.tied if name != e.best]
    which = f" (it and {labels(e, others)})" if len(others) <= MOST_NAMES else ""
    return f"{len(e.tied)} arms{which} are tied: any of them may be the best."


def recommendation_sentence(e: ExperimentEstimate, margin: float) -> str:
    """What is recommended and why, or what it would take."""
    if e.recommended is None:
        return sentence(f"no arm can be recommended yet{seeds_to_recommend(e.seeds_to_recommend)}")
    objective = objective_of(e)
    bound = e.bounds.get(e.recommended, math.nan)
    known = f"joint {CONFIDENCE_PERCENT} % bound: {difference(objective, bound, signed=False)}"
    reason = known if bound > 0 else "it is the best itself"
    cheapest = "" if math.isnan(cost(e, e.recommended)) else "the cheapest of "
    return (
        f"Recommended: {label(e, e.recommended)}, {cheapest}{'those' if cheapest else 'one of those'} shown to come "
        f"within {margin_words(objective, margin)} of the best ({reason})."
    )


def joint_sentence(e: ExperimentEstimate) -> Prose:
    """Why arms are tied, or are not, where their single interval suggests the opposite."""
    return Prose(" ".join(filter(None, [_tied_sentence(e), _left_out_sentence(e)])))


def _tied_sentence(e: ExperimentEstimate) -> str:
    if not (names := close_arms(e)):
        return ""
    one = len(names) == 1
    return (
        f"{labels(e, names)}: the single {CONFIDENCE_PERCENT} % interval excludes zero, but the joint test over all "
        f"{len(e.bounds)} arms does not separate {'it' if one else 'them'} from the best, so "
        f"{'it stays' if one else 'they stay'} tied."
    )


def _left_out_sentence(e: ExperimentEstimate) -> str:
    rows = e.summary[e.summary["configuration"].isin(list(e.left_out)) & (e.summary["deficit_low"] <= 0)]
    if rows.empty:
        return ""
    return (
        f"{labels(e, [str(name) for name in rows['configuration']])}: shown at the look named to be worse than another "
        f"arm, although the single {CONFIDENCE_PERCENT} % interval to the best mean includes zero."
    )


def close_arms(e: ExperimentEstimate) -> list[str]:
    """Tied arms whose single interval excludes zero."""
    rows = e.summary[e.summary["tied_with_best"].astype(bool) & (e.summary["deficit_low"] > 0)]
    return [str(name) for name in rows["configuration"]]


# --- its noise -----------------------------------------------------------------------------------------------------


def noise_sentences(e: ExperimentEstimate) -> Prose:
    """The noise floor and what the seeds can resolve."""
    noise, objective = e.noise, objective_of(e)
    parts = [
        f"{what} {difference(objective, median, signed=False)}{_range(objective, least, most)}."
        for what, median, least, most in (
            ("Over seeds, an arm has a standard deviation of", noise.sd_median, noise.sd_min, noise.sd_max),
            ("A paired difference has one of", noise.difference_sd_median, noise.difference_sd_min,
             noise.difference_sd_max),
        )
        if math.isfinite(median)
    ]  # fmt: skip
    return Prose(" ".join([*parts, resolution_sentence(noise, objective)]))


def _range(objective: Objective, least: float, most: float) -> str:
    return "" if least == most else f" (median; {' to '.join(difference_numbers(objective, least, most))})"


def resolution_sentence(noise: NoiseFloor, objective: Objective) -> str:
    """The smallest difference that the present seeds find."""
    if noise.n_seeds == 0:
        return "There are no trials, so nothing can be resolved."
    seeds = count(noise.n_seeds, "seed")
    if noise.n_seeds < LEAST_SEEDS:
        return f"With {seeds} no difference can be tested; comparisons need at least {LEAST_SEEDS}."
    if not math.isfinite(noise.resolvable_unpaired):
        return "The scatter over seeds is unknown."
    unpaired = difference(objective, noise.resolvable_unpaired, signed=False)
    often = f"in {percent(POWER, 0)} of studies{assumed(noise.source)}"
    if not math.isfinite(noise.resolvable_paired):
        return f"With {count(noise.n_seeds, 'unpaired replicate')} a difference of {unpaired} is found {often}."
    paired = difference(objective, noise.resolvable_paired, signed=False)
    found = f"With {seeds} a difference of {paired} is found {often}"
    if noise.resolvable_paired < noise.resolvable_unpaired:
        return f"{found}; without pairing by seed it would have to be {unpaired}."
    return f"{found}; pairing by seed does not help here: {unpaired} would do without it."


# --- its caveats ---------------------------------------------------------------------------------------------------


def flag_sentences(e: ExperimentEstimate) -> Prose:
    """Each flag with its arms."""
    by_flag: dict[str, list[str]] = {}
    for name, flags in zip(e.summary["configuration"], e.summary["flags"], strict=True):
        for flag in filter(None, flags.split("; ")):
            by_flag.setdefault(flag, []).append(name)
    return Prose("; ".join(f"{_flag_words(e, flag)}: {labels(e, names)}" for flag, names in by_flag.items()))


def _flag_words(e: ExperimentEstimate, flag: str) -> Prose:
    """A flag as the tables have it, with the title of a hyperparameter that it names: `search edge in batch size`."""
    words, _, axis = flag.partition(": ")
    return plain(f"{words} in {e.plan.description.title(axis)}" if words == SEARCH_EDGE and axis else flag)


def budget_sentences(e: ExperimentEstimate) -> Prose:
    """Which budgets are the treatment, and which differ beside it."""
    varied = [b for b in e.experiment.treatment_budgets if b in e.summary and e.summary[b].nunique() > 1]
    parts = [f"The arms differ in {enumeration([*map(plain, varied)])} by design."] * bool(varied)
    if e.confounded:
        parts.append(
            f"**Confounded with {enumeration([*map(plain, e.confounded)])}**: arms differ in it by more than "
            f"{UNEQUAL_PERCENT} %, so a difference may come from that and not from what the question is about."
        )
    return Prose(" ".join(parts))


def follow_up_sentences(e: ExperimentEstimate, others: Sequence[ExperimentEstimate]) -> list[Prose]:
    """What experiments found that repair this one: they tune what it fixes, or make equal what confounds it."""
    return [sentence for other in others if other is not e and (sentence := _repair(e, other))]


def _repair(e: ExperimentEstimate, other: ExperimentEstimate) -> Prose:
    asked = set(e.experiment.scientific) & set(e.experiment.varied)
    if not asked or not asked <= set(other.experiment.scientific) or other.arms.empty:
        return Prose("")
    tuned = [n for n in other.experiment.nuisance if n in e.experiment.fixed and n in other.experiment.varied]
    equal = [b for b in e.confounded if b not in other.confounded] if asked == set(other.experiment.scientific) else []
    if not tuned and not equal:
        return Prose("")
    objective = objective_of(other)
    arms = other.arms.assign(rank=objective.sign * other.arms["objective_mean"]).sort_values("rank", ascending=False)
    means = [f"{code(row['arm'])}: {score(objective, row['objective_mean'])}" for row in arms.to_dict("records")]
    shown = ", ".join(means[:MOST_ARMS] + ["…"] * (len(means) > MOST_ARMS))
    where = code(other.experiment.name)
    if tuned:
        axes = enumeration([*map(plain, map(e.plan.description.title, tuned))])
        return Prose(f"The fair comparison is {where}, with {axes} tuned for each arm ({shown}).")
    return Prose(f"The comparison at equal {enumeration([*map(plain, equal)])} is {where} ({shown}).")


def missing_sentence(e: ExperimentEstimate) -> Prose:
    """Which of the planned trials are not there."""
    if not e.incomplete:
        return Prose("")
    absent = list(e.summary.loc[e.summary["n"] == 0, "configuration"])
    fewer = [name for name in e.incomplete if name not in absent]
    parts = [f"no trials of {labels(e, absent)}"] * bool(absent)
    parts += [f"too few seeds for the first look of {labels(e, fewer)}"] * bool(fewer)
    return Prose(f"Missing: {enumeration(parts)}. These arms are not ranked.")


def fixed_sentence(e: ExperimentEstimate) -> Prose:
    """The caveat of every conclusion: what was not varied."""
    if not e.experiment.configurations:
        return Prose("")
    title, known = e.plan.description.title, {h.name: h for h in e.plan.description.hyperparameters}
    values = ", ".join(
        f"{title(name)} {known[name].format(value) if name in known else value}"
        for name, value in e.experiment.fixed.items()
    )
    held = f"The conclusions hold only for {code(values)}." if values else ""
    nuisance = f"Tuned for each arm: {enumeration([*map(plain, map(title, e.experiment.nuisance))])}."
    return Prose(" ".join(filter(None, [held, nuisance if e.experiment.nuisance else ""])))


def caveat_sentences(e: ExperimentEstimate) -> Prose:
    """All that qualifies the experiment's conclusions."""
    parts = budget_sentences(e), fixed_sentence(e), missing_sentence(e), mixed_sentence(e)
    return Prose(" ".join(filter(None, parts)))


def mixed_sentence(e: ExperimentEstimate) -> Prose:
    """A mix of machines or versions."""
    return Prose(f"Not all trials ran on the same {enumeration([*map(plain, e.mixed)])}." if e.mixed else "")


def superseded_sentences(e: ExperimentEstimate) -> Prose:
    """The hypotheses that were there before."""
    return Prose(
        " ".join(
            f"The hypothesis was changed at {code(old.get('changed', 'unknown time'))}, after "
            f"{code(str(old.get('n_complete', 'unknown')) + ' trials')}; "
            f"before, it read: “{plain(old.get('hypothesis', ''))}”."
            for old in e.superseded
        )
    )


# --- its tables ----------------------------------------------------------------------------------------------------


def result_rows(e: ExperimentEstimate) -> list[dict[str, object]]:
    """The table of an experiment, the best mean first, with the budgets in which the arms differ."""
    objective = objective_of(e)
    rows = e.summary.sort_values("objective_mean", ascending=not objective.maximise, kind="stable").head(MOST_ROWS)
    unit = difference_unit(objective)
    below = f"{'below' if objective.maximise else 'above'} the best{f', {unit}' if unit else ''}"
    budgets = [b for b in budget_columns(e) if e.summary[b].nunique() > 1]
    return [
        {
            "arm": label(e, row["configuration"]),
            "status": status_cell(e, row),
            objective.label: mean_cell(e, row),
            "n": f"{row['n']:.0f}",
            below: deficit_cell(objective, row),
            "joint bound": bound_cell(objective, row["deficit_bound"]),
            **{budget: amount(row[budget]) for budget in budgets},
            "seconds": number(row["seconds_median"], ".1f"),
        }
        for row in rows.to_dict("records")
    ]


def mean_cell(e: ExperimentEstimate, row: Mapping[Any, Any]) -> Prose:
    """The mean of a configuration with its interval; an unstable one has none, for it mixes two kinds of runs."""
    objective = objective_of(e)
    unstable = row["configuration"] in e.unstable
    return score(objective, row["objective_mean"]) if unstable else score_cell(objective, row)


def budget_columns(e: ExperimentEstimate) -> list[str]:
    """The budgets that the summary has, in its order."""
    known = {b for c in e.experiment.configurations for b in c.budgets} | {"passes"}
    return [str(name) for name in e.summary if name in known]


def equal_budgets(e: ExperimentEstimate) -> Prose:
    """The budgets in which all arms agree: they need no column."""
    alike = [b for b in budget_columns(e) if e.summary[b].nunique() == 1]
    if not alike:
        return Prose("")
    return Prose(
        f"Every arm has {enumeration([f'{span(e.summary[b], _form(e.summary[b]))} {plain(b)}' for b in alike])}."
    )


def _form(values: pd.Series) -> str:
    return ",.0f" if (values.dropna() % 1 == 0).all() else ",.2f"


def deficit_cell(objective: Objective, row: Mapping[Any, Any]) -> Prose:
    """By how much a configuration falls short of the best, with its single interval, without the unit."""
    if not math.isfinite(row["deficit"]):
        return Prose("")
    value, low, high = difference_numbers(objective, row["deficit"], row["deficit_low"], row["deficit_high"])
    return Prose(value if low == "nan" else f"{value} [{low}, {high}]")


def bound_cell(objective: Objective, bound: float) -> str:
    """The joint upper bound on what is lost against the truly best."""
    return difference_numbers(objective, bound)[0] if math.isfinite(bound) else ""


def status_cell(e: ExperimentEstimate, row: Mapping[Any, Any]) -> str:
    """What the analysis says of a configuration, in a word or two."""
    name = row["configuration"]
    if name in e.unstable:
        return e.unstable[name]
    if name in e.incomplete:
        return "incomplete"
    tied = [TIED_MARK if name in close_arms(e) else "tied"] * bool(row["tied_with_best"] and name != e.best)
    out = [f"worse (look {e.left_out.get(name)})"] * (name in e.left_out)
    return ", ".join(["best mean"] * (name == e.best) + tied + out + ["recommended"] * bool(row["recommended"]))


def rows_left_out(e: ExperimentEstimate) -> Prose:
    """Where the rest of a long table is."""
    if len(e.summary) <= MOST_ROWS:
        return Prose("")
    return Prose(f"The best {MOST_ROWS} of {count(len(e.summary), 'arm')}; {code('experiment_summary.csv')} has all.")


def confirmation_rows(confirmation: pd.DataFrame, objective: Objective) -> list[dict[str, object]]:
    """The frozen tied sets on fresh seeds."""
    unit = difference_unit(objective)
    return [
        {
            "experiment": code(row["experiment"]),
            "arm": code(row["label"]),
            f"{objective.label} on fresh seeds": score_cell(objective, row, n=row["n"]),
            "in the selection": score_cell(objective, row, "selection"),
            f"below the selection's best{f', {unit}' if unit else ''}": deficit_cell(objective, row),
            "status": confirmation_status(row),
        }
        for row in confirmation.to_dict("records")
    ]


def confirmation_sentence(row: Mapping[Any, Any], objective: Objective) -> Prose:
    """What fresh seeds say of the selection's best, beside what the selection said."""
    arm, selection = code(row["label"]), score_cell(objective, row, "selection")
    if not row["n"]:
        return Prose(
            f"**{plain(row['experiment'])}**: {arm} has no complete trials on fresh seeds yet; in the selection it had "
            f"{selection}."
        )
    unstable = f" ({confirmation_status({**row, 'is_best': False})})" if row["n_diverged"] else ""
    fresh = score_cell(objective, row, n=row["n"])
    return Prose(
        f"**{plain(row['experiment'])}**: {arm} reaches {fresh} fresh seeds{unstable}; in the selection it had "
        f"{selection}."
    )


def confirmation_status(row: Mapping[Any, Any]) -> str:
    """Whether a configuration was the best when the set was chosen, and whether it is unstable now."""
    words = ["the selection's best"] * bool(row["is_best"])
    return ", ".join(words + [f"unstable, {row['n_diverged']} of {row['n']}"] * bool(row["n_diverged"]))
