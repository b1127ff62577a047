"""Interactions and the answers to the study's questions -> sentences and table rows."""

from __future__ import annotations

import math

import pandas as pd

from gridstudy.core.labels import label_values
from gridstudy.core.subject import Objective
from gridstudy.core.values import Value
from gridstudy.reporting.phrases import (
    Prose,
    code,
    codes,
    count,
    difference,
    enumeration,
    fixed,
    of,
    p_value,
    percent,
    plain,
    sentence,
    span,
)
from gridstudy.statistics.findings import CONFIDENCE_PERCENT, Findings, n_cheaper_searches
from gridstudy.statistics.interactions import JOIN
from gridstudy.statistics.questions import (
    CoarseGrid,
    EpochGain,
    Interaction,
    Interval,
    QuadraticFit,
    RankingAnswer,
    SimpleEffect,
    StudyAnswers,
)

LEAST_SEARCH = 10
"""A grid with fewer configurations leaves a cheaper search little to save."""


def objective_of(findings: Findings) -> Objective:
    """The objective of the study."""
    return findings.description.objective


def arm(findings: Findings, experiment: str, configuration: str) -> str:
    """What an experiment calls a configuration."""
    known = [e.labels for e in findings.experiments if e.experiment.name == experiment]
    return known[0].get(configuration, configuration) if known else configuration


def axis(findings: Findings, name: str) -> str:
    """The title of a hyperparameter."""
    return findings.description.title(name)


def term_words(findings: Findings, term: str) -> Prose:
    """The hyperparameters of an interaction by their titles: `learning rate and batch size`."""
    return enumeration([plain(axis(findings, name)) for name in term.split(JOIN)])


def gain(findings: Findings, interval: Interval, *, signed: bool = True) -> Prose:
    """A difference of objectives with its interval."""
    return difference(objective_of(findings), interval.value, interval.low, interval.high, signed=signed)


# --- interactions --------------------------------------------------------------------------------------------------


def interaction_sentence(findings: Findings) -> Prose:
    """The largest interaction that was found, with its direction."""
    found = findings.answers.interactions
    if not found.survivors:
        if not found.n_tested:
            return Prose("")
        return Prose(f"None of {count(found.n_tested, 'interaction')} tested is significant after Holm's correction.")
    first = found.survivors[0]
    survive = of(len(found.survivors), found.n_tested, "interaction")
    return Prose(
        f"{survive} tested {'is' if len(found.survivors) == 1 else 'are'} significant after Holm's correction. The "
        f"largest is that of {term_words(findings, first.term)} in {code(first.experiment)}. "
        + (direction(findings, first) or f"Its omega squared is {percent(first.omega_squared)}.")
    )


def interaction_items(findings: Findings) -> list[Prose]:
    """A line for each interaction that was found."""
    items = []
    for found in findings.answers.interactions.survivors:
        size = f"omega squared {percent(found.omega_squared)}, noise {percent(found.noise_share)}"
        where = f"{code(found.experiment)}, {term_words(findings, found.term)}"
        items.append(Prose(f"{where} ({size}, {p_value(found.p_holm)}). {direction(findings, found)}"))
    return items


def own_interactions(findings: Findings, experiment: str) -> list[Prose]:
    """A sentence for each interaction that was found in an experiment."""
    found = [i for i in findings.answers.interactions.survivors if i.experiment == experiment]
    return [sentence(f"{term_words(findings, i.term)} interact ({p_value(i.p_holm)})") for i in found]


def direction(findings: Findings, interaction: Interaction) -> Prose:
    """What the first axis does at both ends of the other; nothing where there are more than two axes."""
    if not interaction.effects:
        return Prose("")
    first = interaction.effects[0]
    changes = [effect_phrase(findings, effect) for effect in interaction.effects if effect.axis == first.axis]
    start, end = (_value(findings, first.axis, value) for value in (first.start, first.end))
    return Prose(f"Changing {plain(axis(findings, first.axis))} from {start} to {end} {enumeration(changes)}.")


def effect_phrase(findings: Findings, effect: SimpleEffect) -> Prose:
    """What one step brings at one value of the other axis: `gains 3.6 points [2.9, 4.2] at batch size = 16`."""
    value, low, high = effect.gain
    at = f"{plain(axis(findings, effect.other))} = {_value(findings, effect.other, effect.at)}"
    if low <= 0 <= high:
        return Prose(f"makes no clear difference at {at} ({gain(findings, effect.gain)})")
    word, size = ("gains", (value, low, high)) if value >= 0 else ("loses", (-value, -high, -low))
    return Prose(f"{word} {difference(objective_of(findings), *size, signed=False)} at {at}")


def _value(findings: Findings, name: str, value: Value) -> Prose:
    return code(label_values({name: value}, findings.description))


def interaction_rows(findings: Findings, interactions: pd.DataFrame) -> list[dict[str, object]]:
    """The analysis of variance, a row per term."""
    return [
        {
            "experiment": code(row["experiment"]),
            "term": code(JOIN.join(axis(findings, name) for name in str(row["term"]).split(JOIN))),
            "n": f"{row['n']:.0f}",
            "omega squared": percent_cell(row["omega_squared"]) or plain(row["label"]),
            "noise": percent_cell(row["noise_share"]),
            "p": fixed_p(row["p"]),
            "p, looks and Holm": fixed_p(row["p_holm"]),
        }
        for row in interactions.to_dict("records")
    ]


def percent_cell(share: float) -> Prose:
    """A share in a table, or nothing."""
    return percent(share) if math.isfinite(share) else Prose("")


def fixed_p(p: float) -> Prose:
    """A p value in a table: `0.012`, `< 0.001`, or nothing."""
    return Prose(p_value(p).removeprefix("p ").removeprefix("= ")) if math.isfinite(p) else Prose("")


# --- epochs --------------------------------------------------------------------------------------------------------


def gain_phrase(findings: Findings, step: EpochGain) -> Prose:
    """What an extra epoch brings and costs between two numbers of epochs."""
    each, cost = step.per_epoch()
    price = f" and {fixed(cost.value, 2)} s" if math.isfinite(cost.value) else ""
    return Prose(
        f"epoch {step.before} to {step.after}: {gain(findings, each)}{price} per extra epoch ({gain_word(each)})"
    )


def gain_word(interval: Interval) -> str:
    """Whether a gain is more than noise."""
    if not math.isfinite(interval.low):
        return "no interval"
    return "a gain" if interval.low > 0 else "a loss" if interval.high < 0 else "no clear gain"


def epochs_paragraphs(findings: Findings) -> list[Prose]:
    """Upside and downside of epochs, a paragraph for each experiment about them."""
    paragraphs = []
    for answer in findings.answers.epochs:
        arms = "; ".join(gain_phrase(findings, step) for step in answer.gains if step.arms)
        last = [gain_phrase(findings, step) for step in answer.gains if not step.arms][-1:]
        flagged = [
            codes([arm(findings, answer.experiment, name) for name, found in flags.items() if found])
            for flags in (answer.overfitting, answer.still_improving)
        ]
        longest = code(arm(findings, answer.experiment, answer.longest))
        parts = [f"{code(answer.experiment)}, between its arms, n = {answer.n_seeds}: {arms}."] * bool(arms)
        parts += [f"The last step on the learning curve of {longest}: {last[0]}."] * bool(last)
        parts += [f"Still improving at the end: {flagged[1]}."] * bool(flagged[1])
        down = f"overfitting is flagged for {flagged[0]}" if flagged[0] else "overfitting is flagged nowhere"
        paragraphs.append(Prose(" ".join([*parts, f"The downside is the time above; {down}."])))
    return paragraphs


def ranking_conclusion(answers: StudyAnswers) -> Prose:
    """Whether more epochs are needed to find the best, over all experiments that can tell."""
    telling = [a for a in answers.rankings if not a.is_vacuous]
    if not telling:
        return Prose("No experiment can tell: in none is an arm shown to be worse than the best at the end.")
    early = [a for a in telling if a.sufficient is not None and a.sufficient < len(a.rankings)]
    late = [a for a in telling if a not in early]
    not_for, yes_for = (enumeration([code(a.experiment) for a in group]) for group in (early, late))
    parts = [f"not for {not_for}, where an earlier epoch suffices"] * bool(early)
    parts += [f"yes for {yes_for}, where only the last epoch does"] * bool(late)
    return Prose(f"Are all epochs needed? {'; '.join(parts).capitalize()}.")


def ranking_rows(answers: StudyAnswers) -> list[dict[str, object]]:
    """From which epoch on the winner would have been the same."""
    return [
        {
            "experiment": code(a.experiment),
            "arms": str(a.n_configurations),
            "tied at the end": str(a.n_tied),
            "epochs": str(len(a.rankings)),
            "first epoch that suffices": sufficient_cell(a),
            "tau after the first epoch": tau_cell(a.rankings[0].tau),
        }
        for a in answers.rankings
    ]


def tau_cell(tau: Interval) -> Prose:
    """Kendall's tau with its interval."""
    return Prose(f"{fixed(tau.value, 2)} [{fixed(tau.low, 2)}, {fixed(tau.high, 2)}]")


def sufficient_cell(answer: RankingAnswer) -> str:
    """The first epoch that suffices, or why there is none to name."""
    if answer.is_vacuous:
        return "any: all are tied"
    return "none" if answer.sufficient is None else str(answer.sufficient)


# --- the step of the grid ------------------------------------------------------------------------------------------


def coarse_conclusion(answers: StudyAnswers) -> Prose:
    """For how many of the coarser grids no loss is shown."""
    grids = answers.coarse_grids
    which = of(sum(g.finds_best for g in grids), len(grids), "grid")
    return Prose(f"For {which} in factors of 4, no loss against the full grid is shown.")


def coarse_rows(findings: Findings) -> list[dict[str, object]]:
    """What every other point of the grid would have found."""
    return [
        {
            "experiment": code(g.experiment),
            "kept": code(kept_words(findings, g)),
            "finds": code(arm(findings, g.experiment, g.best)),
            "lost against the full grid": gain(findings, g.lost, signed=False),
            f"at most ({CONFIDENCE_PERCENT} %)": difference(objective_of(findings), g.bound, signed=False),
            "loses accuracy?": coarse_word(g),
            "share of the cost": percent(next(iter(g.cost.values()), math.nan), 0),
        }
        for g in findings.answers.coarse_grids
    ]


def kept_words(findings: Findings, grid: CoarseGrid) -> str:
    """The values that a coarser grid keeps: `batch size: 4, 16, 64`."""
    return "; ".join(
        f"{axis(findings, name)}: {', '.join(label_values({name: v}, findings.description) for v in values)}"
        for name, values in grid.kept.items()
    )


def coarse_word(grid: CoarseGrid) -> str:
    """Whether the coarser grid is shown to lose; what is only not shown is not called a no."""
    if grid.finds_best:
        return "not shown"
    if grid.tied:
        return "unclear: the single interval excludes zero, the joint test does not"
    return "yes" if grid.lost.low > 0 else "yes: another arm was shown to be better"


def quadratic_sentence(findings: Findings, fit: QuadraticFit) -> Prose:
    """Whether the optimum lies between grid points, and whether that is worth anything."""
    where = f"{code(fit.experiment)}: a quadratic in log2 of {plain(axis(findings, fit.axis))}"
    if not math.isfinite(fit.optimum.value):
        return Prose(f"{where} has no peak inside the grid.")
    low, high = fit.optimum.low, fit.optimum.high
    between = f" [{low:,.0f}, {high:,.0f}]" if math.isfinite(low) else " (no bounds)"
    worth = "less" if fit.gain.value < max(fit.resolvable, fit.misfit) else "more"
    resolved, missed = (difference(objective_of(findings), x, signed=False) for x in (fit.resolvable, fit.misfit))
    return Prose(
        f"{where} peaks at {fit.optimum.value:,.0f}{between}, {gain(findings, fit.gain)} over the nearest grid point. "
        f"That is {worth} than the seeds can resolve ({resolved}) or the error of the fit ({missed})."
    )


# --- cheaper searches ----------------------------------------------------------------------------------------------


def search_conclusion(answers: StudyAnswers) -> Prose:
    """In how many experiments part of the grid would have done."""
    n_fewer, n_searches = n_cheaper_searches(answers), len(answers.random_searches)
    return Prose(
        f"In {of(n_fewer, n_searches, 'experiment')} a random part of the grid does as well as the whole, on average "
        "within the margin."
    )


def search_rows(findings: Findings) -> list[dict[str, object]]:
    """Random search against the full grid."""
    return [
        {
            "experiment": code(a.experiment),
            "arms": str(a.n_configurations),
            "random arms that come within the margin": str(a.sufficient),
            "optimism of the best single run": gain(findings, a.optimism),
        }
        for a in findings.answers.random_searches
        if a.experiment in searches_shown(findings.answers)
    ]


def halving_conclusion(answers: StudyAnswers) -> Prose:
    """What successive halving saved and how often it ended as well, over the experiments shown."""
    shown = [a for a in answers.halvings if a.experiment in searches_shown(answers)]
    if not shown:
        return Prose("")
    epochs, tied, full = (
        pd.Series([100 * share for share in shares])
        for shares in zip(*((a.epochs_share, a.share_tied.value, a.full_share_tied.value) for a in shown), strict=True)
    )
    return Prose(
        f"Successive halving trains all arms for a few epochs and goes on with the best. Replayed on the recorded "
        f"curves it spends {span(epochs)} % of the epochs; its winner is tied with the best in {span(tied)} % of the "
        f"searches, the full grid's in {span(full)} %."
    )


def halving_rows(findings: Findings) -> list[dict[str, object]]:
    """Successive halving against the full grid."""
    return [
        {
            "experiment": code(a.experiment),
            "keeps": code(f"1 of {a.eta}"),
            "share of the epochs": percent(a.epochs_share, 0),
            "winner among the tied": percent(a.share_tied.value, 0),
            "full grid's winner among the tied": percent(a.full_share_tied.value, 0),
            "lost on other seeds": gain(findings, a.lost, signed=False),
        }
        for a in findings.answers.halvings
        if a.experiment in searches_shown(findings.answers)
    ]


def searches_shown(answers: StudyAnswers) -> list[str]:
    """The experiments with grids large enough for a cheaper search to save something; all, if there is none."""
    large = [a.experiment for a in answers.random_searches if a.n_configurations >= LEAST_SEARCH]
    return large or [a.experiment for a in answers.random_searches]
