"""Interactions and the answers to the study's questions -> sentences and table rows."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import pandas as pd

from gridstudy.reporting.phrases import (
    Prose,
    code,
    codes,
    count,
    enumeration,
    fixed,
    interval_points,
    of,
    p_value,
    percent,
    plain,
    points,
    span,
)
from gridstudy.statistics.findings import CONFIDENCE_PERCENT, Findings, n_cheaper_searches
from gridstudy.statistics.questions import CoarseGrid, EpochGain, Interval, QuadraticFit, RankingAnswer, StudyAnswers

LEAST_SEARCH = 10
"""A grid with fewer configurations leaves a cheaper search little to save."""


# --- interactions --------------------------------------------------------------------------------------------------


def interaction_sentence(findings: Findings) -> Prose:
    """The interactions found, largest first: the one that the summary quotes is the first."""
    answer = findings.answers.interactions
    if not answer.survivors:
        if not answer.n_tested:
            return Prose("No factorial experiment is complete enough to show an interaction.")
        return Prose(f"Of {count(answer.n_tested, 'interaction')} tested, none survives Holm's correction.")
    first = answer.survivors[0]
    survive = "survives" if len(answer.survivors) == 1 else "survive"
    return Prose(
        f"Of {count(answer.n_tested, 'interaction')} tested, {len(answer.survivors)} {survive} Holm's correction; "
        f"by share of variance the largest is {code(first.term)} in {code(first.experiment)}: "
        f"omega squared {percent(first.omega_squared)}, noise {percent(first.noise_share)}, {p_value(first.p_holm)}."
    )


def interaction_rows(interactions: pd.DataFrame) -> list[dict[str, object]]:
    """The analysis of variance, a row per term."""
    return [
        {
            "experiment": code(row["experiment"]),
            "term": code(row["term"]),
            "n": f"{row['n']:.0f}",
            "omega squared": percent_cell(row["omega_squared"]) or plain(row["label"]),
            "noise": percent_cell(row["noise_share"]),
            "p": fixed_p(row["p"]),
            "p, Holm": fixed_p(row["p_holm"]),
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


def gain_phrase(step: EpochGain) -> Prose:
    """What an extra epoch brings and costs between two numbers of epochs."""
    gain, cost = step.per_epoch()
    price = f" and {fixed(cost.value, 2)} s" if math.isfinite(cost.value) else ""
    return Prose(
        f"epoch {step.before} to {step.after}: {interval_points(gain)}{price} per extra epoch ({gain_word(gain)})"
    )


def gain_word(gain: Interval) -> str:
    """Whether a gain is told from none."""
    if not math.isfinite(gain.low):
        return "no interval"
    return "a gain" if gain.low > 0 else "a loss" if gain.high < 0 else "not told from none"


def epochs_paragraphs(answers: StudyAnswers) -> list[Prose]:
    """Upside and downside of epochs, a paragraph for each experiment about them."""
    paragraphs = []
    for answer in answers.epochs:
        arms = "; ".join(gain_phrase(step) for step in answer.gains if step.arms)
        last = [gain_phrase(step) for step in answer.gains if not step.arms][-1:]
        overfitting = [name for name, flagged in answer.overfitting.items() if flagged]
        improving = [name for name, flagged in answer.still_improving.items() if flagged]
        parts = [f"{code(answer.experiment)}, between its arms, n = {answer.n_seeds}: {arms}."] * bool(arms)
        parts += [f"The last step on the learning curve of {code(answer.longest)}: {last[0]}."] * bool(last)
        parts += [f"Still improving at the end: {codes(improving)}."] * bool(improving)
        down = f"overfitting is flagged for {codes(overfitting)}" if overfitting else "overfitting is flagged nowhere"
        paragraphs.append(Prose(" ".join([*parts, f"The downside: the seconds above, and {down}."])))
    return paragraphs


def ranking_conclusion(answers: Sequence[RankingAnswer]) -> Prose:
    """Whether more epochs are needed to find the best, over all experiments that can tell."""
    telling = [a for a in answers if not a.is_vacuous]
    if not telling:
        return Prose("No experiment can tell: in none is a configuration told from the best at the end.")
    early = [a for a in telling if a.sufficient is not None and a.sufficient < len(a.rankings)]
    late = [a for a in telling if a not in early]
    not_for, yes_for = (enumeration([code(a.experiment) for a in group]) for group in (early, late))
    parts = [f"not for {not_for}, where an earlier epoch suffices"] * bool(early)
    parts += [f"yes for {yes_for}, where only the last epoch does"] * bool(late)
    return Prose(f"Are all epochs needed? {'; '.join(parts).capitalize()}.")


def ranking_rows(answers: Iterable[RankingAnswer]) -> list[dict[str, object]]:
    """From which epoch on the winner would have been the same."""
    return [
        {
            "experiment": code(a.experiment),
            "configurations": str(a.n_configurations),
            "tied at the end": str(a.n_tied),
            "epochs": str(len(a.rankings)),
            "first epoch that suffices": sufficient_cell(a),
            "tau after the first epoch": tau_cell(a.rankings[0].tau),
        }
        for a in answers
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


def coarse_conclusion(grids: Sequence[CoarseGrid]) -> Prose:
    """How many of the coarser grids would have found one that may be the best."""
    n_tied = sum(g.tied for g in grids)
    return Prose(
        f"Of {count(len(grids), 'grid')} in factors of 4, {n_tied} "
        f"{'finds' if n_tied == 1 else 'find'} a configuration that is tied with the best of the full grid."
    )


def coarse_rows(grids: Iterable[CoarseGrid]) -> list[dict[str, object]]:
    """What every other point of the grid would have found."""
    return [
        {
            "experiment": code(g.experiment),
            "kept": code(g.grid),
            "finds": code(g.best),
            "lost against the full grid": points(*g.lost, signed=False),
            f"at most ({CONFIDENCE_PERCENT} %)": points(g.bound, signed=False),
            "finds one of the tied": "yes" if g.tied else "no",
            "share of the examples": percent(g.cost["examples"], 0),
        }
        for g in grids
    ]


def quadratic_sentence(fit: QuadraticFit) -> Prose:
    """Whether the optimum lies between grid points, and whether that is worth anything."""
    where = f"{code(fit.experiment)}: a quadratic in log2 of {code(fit.axis)}"
    if not math.isfinite(fit.optimum.value):
        return Prose(f"{where} peaks at no place inside the grid.")
    low, high = fit.optimum.low, fit.optimum.high
    between = f" [{low:,.0f}, {high:,.0f}]" if math.isfinite(low) else ", without bounds"
    worth = "below" if fit.gain.value < max(fit.resolvable, fit.misfit) else "above"
    return Prose(
        f"{where} peaks at {fit.optimum.value:,.0f}{between}, {interval_points(fit.gain)} over the nearest grid point; "
        f"that is {worth} what the seeds can resolve ({points(fit.resolvable, signed=False)}) "
        f"or the fit misses by ({points(fit.misfit, signed=False)})."
    )


# --- cheaper searches ----------------------------------------------------------------------------------------------


def search_conclusion(answers: StudyAnswers) -> Prose:
    """In how many experiments part of the grid would have done."""
    n_fewer, n_searches = n_cheaper_searches(answers), len(answers.random_searches)
    return Prose(
        f"In {of(n_fewer, n_searches, 'experiment')} some of the grid's configurations, drawn at random, "
        "come within the margin of what the whole grid finds."
    )


def search_rows(answers: StudyAnswers) -> list[dict[str, object]]:
    """Random search against the full grid."""
    return [
        {
            "experiment": code(a.experiment),
            "configurations": str(a.n_configurations),
            "random trials that come within the margin": str(a.sufficient),
            "optimism of the best single run": interval_points(a.optimism),
        }
        for a in answers.random_searches
        if a.experiment in searches_shown(answers)
    ]


def halving_conclusion(answers: StudyAnswers) -> Prose:
    """What successive halving saved and how often it ended as well, over the experiments shown."""
    shown = [a for a in answers.halvings if a.experiment in searches_shown(answers)]
    epochs, tied, full = (
        pd.Series([100 * share for share in shares])
        for shares in zip(*((a.epochs_share, a.share_tied.value, a.full_share_tied.value) for a in shown), strict=True)
    )
    return Prose(
        f"Successive halving trains all for a few epochs and goes on with the best. Replayed on the recorded curves it "
        f"spends {span(epochs)} % of the epochs; its winner is tied with the best in {span(tied)} % of the searches, "
        f"the full grid's in {span(full)} %."
    )


def halving_rows(answers: StudyAnswers) -> list[dict[str, object]]:
    """Successive halving against the full grid."""
    return [
        {
            "experiment": code(a.experiment),
            "keeps": code(f"1 of {a.eta}"),
            "share of the epochs": percent(a.epochs_share, 0),
            "winner among the tied": percent(a.share_tied.value, 0),
            "full grid's winner among the tied": percent(a.full_share_tied.value, 0),
            "lost on other seeds": points(*a.lost, signed=False),
        }
        for a in answers.halvings
        if a.experiment in searches_shown(answers)
    ]


def searches_shown(answers: StudyAnswers) -> list[str]:
    """The experiments with grids large enough for a cheaper search to save something; all, if there is none."""
    large = [a.experiment for a in answers.random_searches if a.n_configurations >= LEAST_SEARCH]
    return large or [a.experiment for a in answers.random_searches]
