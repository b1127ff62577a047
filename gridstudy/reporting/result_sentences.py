"""One experiment's estimates -> sentences and table rows: its verdict, its ranking, its caveats."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from gridstudy.core.study import format_values
from gridstudy.reporting.phrases import (
    IN_STUDIES,
    MOST_NAMES,
    Prose,
    accuracy,
    code,
    codes,
    count,
    enumeration,
    fixed,
    number,
    p_value,
    plain,
    points,
    seeds,
)
from gridstudy.statistics.comparisons import LEAST_SEEDS
from gridstudy.statistics.estimates import ExperimentEstimate
from gridstudy.statistics.findings import CONFIDENCE_PERCENT, EQUIVALENCE_CONFIDENCE_PERCENT, UNEQUAL_PERCENT
from gridstudy.statistics.noise import FROM_EXPERIMENT, NoiseFloor
from gridstudy.statistics.verdicts import CONTRADICTED, EQUIVALENT, SUPPORTED, ContrastEstimate, Verdict

MOST_ROWS = 12
"""A table of the report has no more rows; the CSV files have all."""


# --- its verdict ---------------------------------------------------------------------------------------------------


def verdict_phrase(verdict: Verdict) -> Prose:
    """The verdict with the labels that go wherever it goes."""
    labels = f" ({plain('; '.join(verdict.labels))})" if verdict.labels else ""
    return Prose(f"**{verdict.verdict}**{labels}")


def verdict_reason(verdict: Verdict, margin: float) -> Prose:
    """Why that word, in a sentence or two."""
    family = count(verdict.family_size, "hypothesis", "hypotheses")
    holm = f"{p_value(verdict.p_adjusted)} after Holm's correction over {family}"
    if verdict.verdict == SUPPORTED:
        every = "The difference is" if len(verdict.contrasts) == 1 else "All its differences are"
        return Prose(f"{every} in the claimed direction: {holm}.")
    if verdict.verdict == CONTRADICTED:
        one = "The difference goes" if len(verdict.contrasts) == 1 else "At least one of its differences goes"
        return Prose(f"{one} the other way: {holm}.")
    within = f"{points(margin, signed=False)} of zero"
    if verdict.verdict == EQUIVALENT:
        every = "The difference lies" if len(verdict.contrasts) == 1 else "All its differences lie"
        return Prose(f"{every} within {within}, by {EQUIVALENCE_CONFIDENCE_PERCENT} % intervals.")
    return Prose(f"{untold_reason(verdict.contrasts, holm, within)}{decide_sentence(verdict)}")


def untold_reason(contrasts: Sequence[ContrastEstimate], holm: str, within: str) -> str:
    """Why the records cannot tell."""
    labels = dict.fromkeys(c.label for c in contrasts)
    if "no records" in labels:
        return "A configuration that it names has no trials yet."
    if unstable := [label for label in labels if label.startswith("unstable")]:
        return f"A configuration that it names is {plain(unstable[0])}."
    if few := [label for label in labels if label.startswith("fewer")]:
        return f"There are {few[0]}, too few for an interval."
    if untested := [label for label in labels if label not in ("paired", "unpaired")]:
        return f"The seeds do not scatter ({untested[0]}), so nothing can be tested."
    beyond = f"the {EQUIVALENCE_CONFIDENCE_PERCENT} % intervals reach beyond {within}"
    return f"Neither direction is significant ({holm}), and {beyond}."


def decide_sentence(verdict: Verdict) -> str:
    """The seeds that would decide, where more seeds would help."""
    if not verdict.seeds_to_decide:
        return ""
    needed, source = seeds(verdict.seeds_to_decide), assumed(verdict.seeds_source)
    if verdict.seeds_to_decide.startswith(">"):
        return f" Were the estimates true, it would take {needed} to decide it{source}."
    return f" Were the estimates true, {needed} would decide it {IN_STUDIES}{source}."


def assumed(source: str) -> str:
    """A remark where the scatter over seeds is not the experiment's own."""
    return "" if source == FROM_EXPERIMENT else f" (scatter assumed: {source})"


def contrast_phrase(contrast: ContrastEstimate) -> Prose:
    """One difference of a hypothesis: `epochs 10 > epochs 5`: +1.52 points [0.22, 2.83], n = 5."""
    name = code(contrast.contrast)
    if not math.isfinite(contrast.difference):
        return Prose(f"{name}: {plain(contrast.label)}")
    untested = "" if contrast.label == "paired" else f" ({plain(contrast.label)})"
    difference = points(contrast.difference, contrast.low, contrast.high)
    return Prose(f"{name}: {difference}, n = {contrast.n}{choice_remark(contrast)}{untested}")


def choice_remark(contrast: ContrastEstimate) -> str:
    """What was compared, where a side of the hypothesis has several configurations."""
    if max(contrast.n_better, contrast.n_worse) <= 1:
        return ""
    sides = f"{code(contrast.better)} against {code(contrast.worse)}"
    return f" ({sides}, each the best of its side; the interval does not allow for that choice)"


def contrast_effect(contrast: ContrastEstimate) -> Prose:
    """As `contrast_phrase`, short."""
    if not math.isfinite(contrast.difference):
        return Prose(f"{code(contrast.contrast)} {plain(contrast.label)}")
    return Prose(
        f"{code(contrast.contrast)} {points(contrast.difference, contrast.low, contrast.high)}, n = {contrast.n}"
    )


def verdict_rows(verdicts: Iterable[Verdict]) -> list[dict[str, object]]:
    """A row per hypothesis for the tables of verdicts."""
    return [
        {
            "experiment": code(v.experiment),
            "verdict": verdict_phrase(v),
            "seeds to decide": v.seeds_to_decide,
            "differences claimed to be positive": Prose("; ".join(map(contrast_effect, v.contrasts))),
        }
        for v in verdicts
    ]


# --- its ranking ---------------------------------------------------------------------------------------------------


def ranking_sentences(e: ExperimentEstimate, margin: float) -> Prose:
    """The best, its lead, what is tied with it and what is recommended."""
    if e.best is None:
        return Prose("No stable configuration has a trial, so nothing is ranked.")
    mean = summary_accuracy(e, e.best)
    if e.runner_up is None:
        return Prose(f"One configuration can be ranked: {code(e.best)}, {mean}.")
    parts = [f"{code(e.best)} has the highest mean: {mean}.", lead_sentence(e), tied_sentence(e)]
    return Prose(" ".join([*parts, recommendation_sentence(e, margin)]))


def summary_accuracy(e: ExperimentEstimate, configuration: str, metric: str = "validation_accuracy") -> Prose:
    """The mean of a configuration, with interval and n."""
    row = e.summary[e.summary["configuration"] == configuration].to_dict("records")[0]
    return accuracy_cell(row, metric, n=row["n"])


def accuracy_cell(row: Mapping[Any, Any], metric: str = "validation_accuracy", *, n: float | None = None) -> Prose:
    """The mean of a configuration with its interval, and with n where that has no column of its own."""
    return accuracy(row[f"{metric}_mean"], row[f"{metric}_low"], row[f"{metric}_high"], n)


def lead_sentence(e: ExperimentEstimate) -> str:
    """The lead over the runner-up beside the winner's curse."""
    lead = f"Its lead over {code(e.runner_up)} is {points(e.lead, e.lead_low, e.lead_high, signed=False)}"
    if not math.isfinite(e.winners_curse):
        return f"{lead}; how much of it is luck cannot be estimated yet."
    return (
        f"{lead}; were all configurations alike, the best of them would exceed its true mean by about "
        f"{points(e.winners_curse, signed=False)} (winner's curse)."
    )


def tied_sentence(e: ExperimentEstimate) -> str:
    """How many may be the best."""
    n_ranked = len(e.summary) - len(e.unstable) - int((e.summary["n"] == 0).sum())
    if len(e.tied) == 1:
        return "No other configuration is tied with it."
    if len(e.tied) == n_ranked:
        return "All are tied with the best: any of them may be the best."
    others = [name for name in e.tied if name != e.best]
    which = f" (it and {codes(others)})" if len(others) <= MOST_NAMES else ""
    return f"{len(e.tied)} configurations{which} are tied with the best: any of them may be the best."


def recommendation_sentence(e: ExperimentEstimate, margin: float) -> str:
    """What to use, or that it is not resolved."""
    if e.recommended is None:
        needed = f"; it would take {seeds(e.seeds_to_recommend)}" if e.seeds_to_recommend else ""
        return f"A recommendation is not resolved{needed}."
    bound = float(e.summary.loc[e.summary["configuration"] == e.recommended, "deficit_bound"].iloc[0])
    known = f"{CONFIDENCE_PERCENT} % bound: {points(bound, signed=False)}" if bound > 0 else "it is the best itself"
    return (
        f"Recommended: {code(e.recommended)}, the cheapest (examples x parameters) of those shown to fall short of the "
        f"best by no more than {points(margin, signed=False)} ({known})."
    )


# --- its noise -----------------------------------------------------------------------------------------------------


def noise_sentences(noise: NoiseFloor) -> Prose:
    """The noise floor and what the seeds can resolve."""
    parts = []
    if math.isfinite(noise.sd_median):
        parts.append(
            f"One configuration scatters over its seeds by a standard deviation of "
            f"{points(noise.sd_median, signed=False)} "
            f"(median; {fixed(100 * noise.sd_min, 2)} to {fixed(100 * noise.sd_max, 2)})."
        )
    if math.isfinite(noise.difference_sd_median):
        parts.append(
            f"A paired difference of two scatters by {points(noise.difference_sd_median, signed=False)} "
            f"(median; {fixed(100 * noise.difference_sd_min, 2)} to {fixed(100 * noise.difference_sd_max, 2)})."
        )
    return Prose(" ".join([*parts, resolution_sentence(noise)]))


def resolution_sentence(noise: NoiseFloor) -> str:
    """The smallest difference that the present seeds find."""
    if noise.n_seeds == 0:
        return "There are no trials, so nothing can be resolved."
    if noise.n_seeds < LEAST_SEEDS:
        return f"With {count(noise.n_seeds, 'seed')} no difference can be tested; comparisons begin at {LEAST_SEEDS}."
    source, unpaired = assumed(noise.source), points(noise.resolvable_unpaired, signed=False)
    if not math.isfinite(noise.resolvable_paired):
        replicates = count(noise.n_seeds, "replicate")
        return f"{replicates}, unpaired, find a difference of {unpaired} {IN_STUDIES}{source}."
    paired = points(noise.resolvable_paired, signed=False)
    found = f"{count(noise.n_seeds, 'seed')} find a typical difference of {paired} {IN_STUDIES}{source}"
    if noise.resolvable_paired < noise.resolvable_unpaired:
        return f"{found}; without pairing by seed it would have to be {unpaired}."
    return f"{found}; here pairing by seed does not help: without it, {unpaired} would do."


# --- its caveats ---------------------------------------------------------------------------------------------------


def flag_sentences(e: ExperimentEstimate) -> Prose:
    """Each flag with its configurations."""
    by_flag: dict[str, list[str]] = {}
    for name, flags in zip(e.summary["configuration"], e.summary["flags"], strict=True):
        for flag in filter(None, flags.split("; ")):
            by_flag.setdefault(flag, []).append(name)
    return Prose("; ".join(f"{plain(flag)}: {codes(names)}" for flag, names in by_flag.items()))


def confounded_sentence(e: ExperimentEstimate) -> Prose:
    """What differs between the arms besides the question."""
    if not e.confounded:
        return Prose("")
    return Prose(
        f"**Confounded with {enumeration([*map(plain, e.confounded)])}**, in which the arms differ by more than "
        f"{UNEQUAL_PERCENT} %: a difference may come from that and not from what the question asks."
    )


def missing_sentence(e: ExperimentEstimate) -> Prose:
    """Which of the planned trials are not there."""
    if not e.incomplete:
        return Prose("")
    absent = list(e.summary.loc[e.summary["n"] == 0, "configuration"])
    fewer = [name for name in e.incomplete if name not in absent]
    parts = [f"no trials of {codes(absent)}"] * bool(absent)
    parts += [f"fewer seeds than others for {codes(fewer)}"] * bool(fewer)
    return Prose(f"Missing: {enumeration(parts)}.")


def fixed_sentence(e: ExperimentEstimate) -> Prose:
    """The caveat of every conclusion: what was not varied."""
    nuisance = f" Tuned for each arm: {codes(e.experiment.nuisance)}." if e.experiment.nuisance else ""
    if not e.experiment.configurations:
        return Prose("")
    return Prose(f"Holds only at the fixed hyperparameters {code(format_values(e.experiment.fixed))}.{nuisance}")


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
    """The table of an experiment, by mean, with the budget of each configuration."""
    rows = e.summary.sort_values("validation_accuracy_mean", ascending=False, kind="stable").head(MOST_ROWS)
    return [
        {
            "configuration": code(row["configuration"]),
            "status": status_cell(e, row),
            "validation accuracy": accuracy_cell(row),
            "n": f"{row['n']:.0f}",
            "below the best, points": deficit_cell(row),
            "updates": f"{row['updates']:,.0f}",
            "examples": f"{row['examples']:,.0f}",
            "passes": number(row["passes"], ".2f"),
            "parameters": number(row["parameters"]),
            "seconds": number(row["seconds_mean"], ".1f"),
        }
        for row in rows.to_dict("records")
    ]


def deficit_cell(row: Mapping[Any, Any]) -> Prose:
    """By how much a configuration falls short of the best, with its interval."""
    if not math.isfinite(row["deficit"]):
        return Prose("")
    return Prose(points(row["deficit"], row["deficit_low"], row["deficit_high"], signed=False).replace(" points", ""))


def status_cell(e: ExperimentEstimate, row: Mapping[Any, Any]) -> str:
    """What the analysis says of a configuration, in a word or two."""
    name = row["configuration"]
    if name in e.unstable:
        return e.unstable[name]
    words = ["highest mean"] * (name == e.best) + ["tied"] * bool(row["tied_with_best"] and name != e.best)
    return ", ".join(words + ["recommended"] * bool(row["recommended"]))


def rows_left_out(e: ExperimentEstimate) -> Prose:
    """Where the rest of a long table is."""
    if len(e.summary) <= MOST_ROWS:
        return Prose("")
    return Prose(f"The best of {count(len(e.summary), 'configuration')}; {code('experiment_summary.csv')} has all.")


def confirmation_rows(confirmation: pd.DataFrame) -> list[dict[str, object]]:
    """The frozen tied sets on fresh seeds."""
    return [
        {
            "experiment": code(row["experiment"]),
            "configuration": code(row["configuration"]),
            "validation accuracy on fresh seeds": accuracy_cell(row, n=row["n"]),
            "below the selection's best, points": deficit_cell(row),
            "status": confirmation_status(row),
        }
        for row in confirmation.to_dict("records")
    ]


def confirmation_status(row: Mapping[Any, Any]) -> str:
    """Whether a configuration was the best when the set was chosen, and whether it is unstable now."""
    words = ["the selection's best"] * bool(row["is_best"])
    return ", ".join(words + [f"unstable, {row['n_diverged']} of {row['n']}"] * bool(row["n_diverged"]))
