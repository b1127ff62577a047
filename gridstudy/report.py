"""Estimates -> report.md and report.html: words follow from numbers, and a person's text is never lost."""

from __future__ import annotations

import base64
import hashlib
import html
import math
import platform
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote, unquote

import pandas as pd

from gridstudy.comparisons import ALPHA, FOREIGN, LEAST_SEEDS, MOST_SEEDS, POWER
from gridstudy.estimates import CONFIRMATION_COLUMNS, ExperimentEstimate, StudyEstimates, n_train_images
from gridstudy.noise import FROM_EXPERIMENT, NoiseFloor
from gridstudy.questions import CoarseGrid, EpochGain, Interval, QuadraticFit, RankingAnswer, StudyAnswers
from gridstudy.records import Records, write_atomic
from gridstudy.study import StudyError, format_values
from gridstudy.verdicts import CANNOT_TELL, CONTRADICTED, EQUIVALENT, STUDY_FAMILY, SUPPORTED, ContrastEstimate, Verdict

TEMPLATE = Path(__file__).parents[1] / "report_template.md"
MOST_ROWS = 12
"""A table of the report has no more rows; the CSV files have all."""
MOST_NAMES = 4
LEAST_SEARCH = 10
"""A grid with fewer configurations leaves a cheaper search little to save."""
SMALLEST_P = 0.001
CONFIDENCE_PERCENT = 95
EQUIVALENCE_CONFIDENCE_PERCENT = 90
UNEQUAL_PERCENT = 5
PICTURE_TYPES = {".png": "image/png", ".svg": "image/svg+xml", ".jpg": "image/jpeg", ".jpeg": "image/jpeg"}


class Figure(Protocol):
    """A picture on the disk, as figures.SavedFigure."""

    @property
    def name(self) -> str: ...
    @property
    def path(self) -> Path: ...
    @property
    def title(self) -> str: ...
    @property
    def caption(self) -> str: ...
    @property
    def alt_text(self) -> str: ...


@dataclass(frozen=True)
class Findings:
    """All that the report may say; nothing below computes a statistic."""

    records: Records
    estimates: StudyEstimates
    interactions: pd.DataFrame
    cells: pd.DataFrame
    answers: StudyAnswers
    command: str
    confirmation: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=list(CONFIRMATION_COLUMNS)))
    figures: Mapping[str, Figure] = field(default_factory=dict)

    @property
    def margin(self) -> float:
        return self.estimates.margin

    @property
    def experiments(self) -> tuple[ExperimentEstimate, ...]:
        return self.estimates.experiments


# --- text that is safe in Markdown and in HTML ---------------------------------------------------------------------


class Prose(str):
    """Markdown that may be written as it is; every other text is escaped on its way into the template."""

    __slots__ = ()


def plain(text: object) -> Prose:
    """Somebody's words on one line, in which nothing is Markdown or HTML."""
    line = " ".join(str(text).replace("&", "&amp;").split())
    return Prose(re.sub(r"([\\`*\[\]|])", r"\\\1", line).replace("<", "&lt;"))


def code(text: object) -> Prose:
    """A name, date or version as a code span; in it numbers are no results."""
    line = " ".join(str(text).split()).replace("`", "'").replace("|", "¦").replace("<", "\u2039")
    return Prose(f"`{line}`")


def codes(names: Iterable[object], *, most: int = MOST_NAMES) -> Prose:
    """Names as code spans, those beyond `most` as `...`: every number that is written must be in a table."""
    known = list(names)
    return Prose(", ".join([code(name) for name in known[:most]] + ["…"] * (len(known) > most)))


def finalize(value: object) -> str:
    """What jinja2 writes for a value."""
    return value if isinstance(value, Prose) else plain("" if value is None else value)


# --- numbers in words ----------------------------------------------------------------------------------------------


def percent(fraction: float, decimals: int = 1) -> Prose:
    """`0.841` -> `84.1 %`."""
    return Prose(f"{fixed(100 * fraction, decimals)} %") if math.isfinite(fraction) else Prose("unknown")


def fixed(value: float, decimals: int) -> str:
    """A number with so many decimals, and never a negative zero."""
    text = f"{value:.{decimals}f}"
    return text.lstrip("-") if float(text) == 0 else text


def accuracy(mean: float, low: float, high: float, n: float | None = None) -> Prose:
    """`84.1 % [83.6, 84.6], n = 5`; without an interval where there is none."""
    if not math.isfinite(mean):
        return Prose("no trials")
    interval = f" [{fixed(100 * low, 1)}, {fixed(100 * high, 1)}]" if math.isfinite(low) else ""
    return Prose(f"{percent(mean)}{interval}" + (f", n = {n:.0f}" if n is not None else ""))


def points(difference: float, low: float = math.nan, high: float = math.nan, *, signed: bool = True) -> Prose:
    """A difference of accuracies in percentage points: `+1.52 points [0.22, 2.83]`."""
    if not math.isfinite(difference):
        return Prose("unknown")
    decimals = 1 if abs(difference) >= 0.1 else 2
    value = fixed(100 * difference, decimals)
    sign = "+" if signed and float(value) > 0 else ""
    interval = f" [{fixed(100 * low, decimals)}, {fixed(100 * high, decimals)}]" if math.isfinite(low) else ""
    return Prose(f"{sign}{value} points{interval}")


def interval_points(interval: Interval) -> Prose:
    """An Interval of accuracies as `points` writes it."""
    return points(interval.value, interval.low, interval.high)


def p_value(p: float) -> Prose:
    """`p = 0.012`, or `p < 0.001`."""
    if not math.isfinite(p):
        return Prose("no p")
    return Prose(f"p < {SMALLEST_P}" if p < SMALLEST_P else f"p = {fixed(p, 3)}")


def count(n: float, noun: str, plural: str | None = None) -> Prose:
    """`1 trial`, `280 trials`, `1,200 trials`."""
    return Prose(f"{n:,.0f} {noun if n == 1 else plural or noun + 's'}")


def of(part: int, whole: int, noun: str) -> Prose:
    """`3 of 7 hypotheses`."""
    return Prose(f"{part} of {count(whole, noun)}")


def seeds(words: str) -> Prose:
    """`12` -> `12 seeds`, `>100` -> `more than 100 seeds`."""
    return Prose(f"more than {MOST_SEEDS} seeds") if words.startswith(">") else count(float(words), "seed")


def enumeration(parts: Sequence[str]) -> Prose:
    """`a`, `a and b`, `a, b and c`."""
    return Prose(" and ".join(filter(None, [", ".join(parts[:-1]), *parts[-1:]])))


def span(values: pd.Series, form: str = ",.0f") -> Prose:
    """The range of a column: `32,000`, or `2,000 to 64,000`."""
    known = values.dropna()
    if known.empty:
        return Prose("unknown")
    least, most = f"{known.min():{form}}", f"{known.max():{form}}"
    return Prose(least if least == most else f"{least} to {most}")


def table(rows: Sequence[Mapping[str, object]], *, left: int = 1) -> Prose:
    """A Markdown table of rows with like keys, the first `left` columns aligned left, the others right."""
    if not rows:
        return Prose("")
    header = list(rows[0])
    lines = [header, ["---" if i < left else "---:" for i in range(len(header))]]
    lines += [[finalize(cell) for cell in row.values()] for row in rows]
    return Prose("\n".join("| " + " | ".join(line) + " |" for line in lines))


def figure(picture: Figure | None, folder: Path) -> Prose:
    """A picture with its caption, by a path relative to `folder`."""
    if picture is None:
        return Prose("")
    path = Path(picture.path)
    relative = path.relative_to(folder) if path.is_relative_to(folder) else path
    return Prose(f"![{plain(picture.alt_text)}]({quote(relative.as_posix())})\n\n*{plain(picture.caption)}*")


# --- facts of the whole study --------------------------------------------------------------------------------------


def study_facts(findings: Findings) -> pd.DataFrame:
    """Counts and constants that the report writes: quantity, value, unit."""
    estimates, trials, problems = findings.estimates, findings.records.trials, findings.records.problems
    ours = trials[trials["origin"] != FOREIGN]
    states = problems["state"].value_counts()
    group = estimates.group
    answered = findings.answers.interactions
    rows: list[tuple[str, float, str]] = [
        ("trials complete", float((~ours["diverged"].astype(bool)).sum()), "trials"),
        ("trials diverged", float(ours["diverged"].astype(bool).sum()), "trials"),
        *((f"trials {state}", float(states.get(state, 0)), "paths") for state in ("failed", "interrupted")),
        ("files unreadable", float(states.get("unreadable", 0)), "paths"),
        ("trials foreign", float(len(trials) - len(ours)), "trials"),
        ("trials analysed", float(len(estimates.trials)), "trials"),
        ("trials on fresh seeds", float(len(estimates.confirmation_trials)), "trials"),
        ("trials left out", float(estimates.left_out["n_trials"].sum()), "trials"),
        ("groups left out", float(len(estimates.left_out)), "groups"),
        ("configurations unplanned", float(len(estimates.unplanned)), "configurations"),
        ("configurations analysed", float(estimates.trials["configuration"].nunique()), "configurations"),
        ("seeds", float(estimates.trials["seed"].nunique()), "seeds"),
        ("experiments recorded", float(len(study_experiments(findings))), "experiments"),
        ("experiments missing", float(len(missing_experiments(findings))), "experiments"),
        ("experiments of the study", float(len(STUDY_FAMILY)), "experiments"),
        ("experiments ranked", float(sum(e.runner_up is not None for e in study_experiments(findings))), "experiments"),
        ("experiments not resolved", float(len(unresolved_experiments(findings))), "experiments"),
        ("searches replayed", float(len(findings.answers.random_searches)), "experiments"),
        ("searches that part of the grid would do for", float(n_cheaper_searches(findings.answers)), "experiments"),
        ("coarser grids", float(len(findings.answers.coarse_grids)), "grids"),
        ("coarser grids that find one of the tied", float(sum(g.tied for g in findings.answers.coarse_grids)), "grids"),
        ("interactions tested", float(answered.n_tested), "interactions"),
        ("interactions not tested", float(answered.n_untested), "interactions"),
        ("interactions found", float(len(answered.survivors)), "interactions"),
        *verdict_counts(findings),
        ("margin", 100 * findings.margin, "percentage points"),
        ("confidence", CONFIDENCE_PERCENT, "%"),
        ("confidence for no practical difference", EQUIVALENCE_CONFIDENCE_PERCENT, "%"),
        ("level of significance", 100 * ALPHA, "%"),
        ("power", 100 * POWER, "%"),
        ("difference of budgets that confounds", UNEQUAL_PERCENT, "%"),
        ("least seeds for an interval", LEAST_SEEDS, "seeds"),
        ("most seeds planned", MOST_SEEDS, "seeds"),
        ("smallest p written", SMALLEST_P, ""),
        ("validation images", float(n_validation_images(group)), "images"),
        ("training images", float(n_train_images(str(group.get("dataset")), str(group.get("validation")))), "images"),
    ]
    return pd.DataFrame(rows, columns=["quantity", "value", "unit"])


def verdict_counts(findings: Findings) -> Iterator[tuple[str, float, str]]:
    """How often each verdict fell, in each family."""
    verdicts = findings.estimates.verdicts
    ours = verdicts["experiment"].isin(STUDY_FAMILY)
    for family, rows in (("the study", verdicts[ours]), ("others", verdicts[~ours])):
        yield f"hypotheses judged, {family}", float(len(rows)), "hypotheses"
        for word in (SUPPORTED, CONTRADICTED, EQUIVALENT, CANNOT_TELL):
            yield f"{word}, {family}", float((rows["verdict"] == word).sum()), "hypotheses"


def study_experiments(findings: Findings) -> list[ExperimentEstimate]:
    """All but what other programs logged."""
    return [e for e in findings.experiments if e.experiment.name != FOREIGN]


def missing_experiments(findings: Findings) -> list[str]:
    """Those of the seven that were never planned here or have no trial."""
    present = {e.experiment.name for e in findings.experiments if e.best or e.unstable}
    return [name for name in STUDY_FAMILY if name not in present]


def is_stand_in(group: Mapping[str, object]) -> bool:
    """Whether the images are the built-in garments."""
    return str(group.get("dataset", "")).startswith("garments")


def n_validation_images(group: Mapping[str, object]) -> int:
    """Images that an accuracy is measured on; the small data a tenth."""
    return 1_000 if str(group.get("dataset")).endswith("-small") else 10_000


def data_labels(group: Mapping[str, object]) -> list[str]:
    """What must stand in the title and in the summary."""
    labels = ["STAND-IN DATA, not Fashion-MNIST"] if is_stand_in(group) else []
    return labels + (["COURSE PROTOCOL: the test images chose"] if group.get("validation") == "test" else [])


def unresolved_experiments(findings: Findings) -> list[str]:
    """Those with several configurations of which none can be recommended."""
    return [e.experiment.name for e in study_experiments(findings) if e.runner_up and not e.recommended]


def data_sentence(group: Mapping[str, object]) -> Prose:
    """What the accuracies were measured on, in a sentence."""
    if not group:
        return Prose("There are no trials of this program in the logs.")
    if group.get("validation") == "test":
        return Prose(
            "Course protocol: all training images train, and the official test images choose, "
            "so every accuracy of a chosen configuration is flattered."
        )
    return Prose(
        "A part of the training images, held out with a fixed split, chooses; "
        "the official test images choose nothing and are shown once, under the conclusions."
    )


# --- verdicts in words ---------------------------------------------------------------------------------------------


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
    source = "" if verdict.seeds_source == FROM_EXPERIMENT else f" (scatter assumed: {verdict.seeds_source})"
    power = f"{100 * POWER:.0f} %"
    if verdict.seeds_to_decide.startswith(">"):
        return f" Were the estimates true, it would take {seeds(verdict.seeds_to_decide)} to decide it{source}."
    return f" Were the estimates true, {seeds(verdict.seeds_to_decide)} would decide it in {power} of studies{source}."


def contrast_phrase(contrast: ContrastEstimate) -> Prose:
    """One difference of a hypothesis: `epochs 10 > epochs 5`: +1.52 points [0.22, 2.83], n = 5."""
    name = code(contrast.contrast)
    if not math.isfinite(contrast.difference):
        return Prose(f"{name}: {plain(contrast.label)}")
    n = f", n = {contrast.n}"
    chosen = max(contrast.n_better, contrast.n_worse) > 1
    between = f" ({code(contrast.better)} against {code(contrast.worse)}, each the best of its side; " if chosen else ""
    between += "the interval does not allow for that choice)" if chosen else ""
    untested = "" if contrast.label == "paired" else f" ({plain(contrast.label)})"
    return Prose(f"{name}: {points(contrast.difference, contrast.low, contrast.high)}{n}{between}{untested}")


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


def contrast_effect(contrast: ContrastEstimate) -> Prose:
    """As `contrast_phrase`, short."""
    if not math.isfinite(contrast.difference):
        return Prose(f"{code(contrast.contrast)} {plain(contrast.label)}")
    return Prose(
        f"{code(contrast.contrast)} {points(contrast.difference, contrast.low, contrast.high)}, n = {contrast.n}"
    )


def verdict_overview(verdicts: Sequence[Verdict]) -> Prose:
    """How many hypotheses got which verdict, and which: a sentence."""
    if not verdicts:
        return Prose("No hypothesis was judged.")
    groups = []
    for word in (SUPPORTED, CONTRADICTED, EQUIVALENT, CANNOT_TELL):
        found = [v for v in verdicts if v.verdict == word]
        names = "; ".join(code(v.experiment) + confounded_mark(v) + decide_mark(v) for v in found)
        if found:
            groups.append(f"{verdict_count(word, len(found))} ({names})")
    return Prose(f"Of {count(len(verdicts), 'hypothesis', 'hypotheses')} judged, {enumeration(groups)}.")


def decide_mark(verdict: Verdict) -> str:
    """The seeds that would decide, where it is not decided."""
    return f", {seeds(verdict.seeds_to_decide)} to decide" if verdict.seeds_to_decide else ""


def verdict_count(word: str, n: int) -> str:
    """`2 are supported`, `for 1 the records cannot tell`."""
    if word == CANNOT_TELL:
        return f"for {n} the records cannot tell"
    if word == EQUIVALENT:
        return f"{n} {'shows' if n == 1 else 'show'} no practical difference"
    return f"{n} {'is' if n == 1 else 'are'} {word}"


def confounded_mark(verdict: Verdict) -> str:
    """The label that a verdict is never quoted without, in a word; `verdict_phrase` says it in full."""
    words = ["confounded"] * any(label.startswith("confounded") for label in verdict.labels)
    words += ["hypothesis changed"] * ("hypothesis changed" in verdict.labels)
    return f", {' and '.join(words)}" if words else ""


# --- an experiment in words ----------------------------------------------------------------------------------------


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
    return accuracy(row[f"{metric}_mean"], row[f"{metric}_low"], row[f"{metric}_high"], row["n"])


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
    source = "" if noise.source == FROM_EXPERIMENT else f" (scatter assumed: {noise.source})"
    power = f"{100 * POWER:.0f} %"
    unpaired = points(noise.resolvable_unpaired, signed=False)
    if not math.isfinite(noise.resolvable_paired):
        replicates = count(noise.n_seeds, "replicate")
        return f"{replicates}, unpaired, find a difference of {unpaired} in {power} of studies{source}."
    paired = points(noise.resolvable_paired, signed=False)
    found = f"{count(noise.n_seeds, 'seed')} find a typical difference of {paired} in {power} of studies{source}"
    if noise.resolvable_paired < noise.resolvable_unpaired:
        return f"{found}; without pairing by seed it would have to be {unpaired}."
    return f"{found}; here pairing by seed does not help: without it, {unpaired} would do."


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


def result_rows(e: ExperimentEstimate) -> list[dict[str, object]]:
    """The table of an experiment, by mean, with the budget of each configuration."""
    rows = e.summary.sort_values("validation_accuracy_mean", ascending=False, kind="stable").head(MOST_ROWS)
    return [
        {
            "configuration": code(row["configuration"]),
            "status": status_cell(e, row),
            "validation accuracy": accuracy(
                row["validation_accuracy_mean"], row["validation_accuracy_low"], row["validation_accuracy_high"]
            ),
            "n": f"{row['n']:.0f}",
            "below the best, points": deficit_cell(row),
            "updates": f"{row['updates']:,.0f}",
            "examples": f"{row['examples']:,.0f}",
            "passes": fixed(row["passes"], 2) if math.isfinite(row["passes"]) else "",
            "parameters": f"{row['parameters']:,.0f}" if math.isfinite(row["parameters"]) else "",
            "seconds": fixed(row["seconds_mean"], 1) if math.isfinite(row["seconds_mean"]) else "",
        }
        for row in rows.to_dict("records")
    ]


def deficit_cell(row: Mapping[Any, Any]) -> Prose:
    """By how much a configuration falls short of the best, with its interval."""
    return (
        Prose(points(row["deficit"], row["deficit_low"], row["deficit_high"], signed=False).replace(" points", ""))
        if (math.isfinite(row["deficit"]))
        else Prose("")
    )


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


def chosen_rows(findings: Findings) -> list[dict[str, object]]:
    """What validation chose, with its test accuracy: the one place that shows it, once for each configuration."""
    choosing: dict[str, list[ExperimentEstimate]] = {}
    for e in study_experiments(findings):
        if chosen := e.recommended or e.best:
            choosing.setdefault(chosen, []).append(e)
    return [
        {
            "configuration": code(chosen),
            "recommended in": codes([e.experiment.name for e in by if e.recommended], most=len(by)),
            "highest mean, not resolved, in": codes(
                [e.experiment.name for e in by if not e.recommended and e.runner_up], most=len(by)
            ),
            "alone in": codes([e.experiment.name for e in by if not e.runner_up], most=len(by)),
            "validation accuracy": summary_accuracy(by[0], chosen),
            "test accuracy": summary_accuracy(by[0], chosen, "test_accuracy"),
        }
        for chosen, by in choosing.items()
    ]


# --- interactions and the study questions in words -----------------------------------------------------------------


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
            "omega squared": percent(row["omega_squared"])
            if math.isfinite(row["omega_squared"])
            else plain(row["label"]),
            "noise": percent(row["noise_share"]) if math.isfinite(row["noise_share"]) else "",
            "p": fixed_p(row["p"]),
            "p, Holm": fixed_p(row["p_holm"]),
        }
        for row in interactions.to_dict("records")
    ]


def fixed_p(p: float) -> Prose:
    """A p value in a table: `0.012`, `< 0.001`, or nothing."""
    return Prose(p_value(p).removeprefix("p ").removeprefix("= ")) if math.isfinite(p) else Prose("")


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


def ranking_conclusion(answers: Sequence[RankingAnswer]) -> Prose:
    """Whether more epochs are needed to find the best, over all experiments that can tell."""
    telling = [a for a in answers if not a.is_vacuous]
    if not telling:
        return Prose("No experiment can tell: in none is a configuration told from the best at the end.")
    early = [a for a in telling if a.sufficient is not None and a.sufficient < len(a.rankings)]
    late = [a for a in telling if a not in early]
    parts = [f"not for {enumeration([code(a.experiment) for a in early])}, where an earlier epoch suffices"] * bool(
        early
    )
    parts += [f"yes for {enumeration([code(a.experiment) for a in late])}, where only the last epoch does"] * bool(late)
    return Prose(f"Are all epochs needed? {'; '.join(parts).capitalize()}.")


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


def coarse_conclusion(grids: Sequence[CoarseGrid]) -> Prose:
    """How many of the coarser grids would have found one that may be the best."""
    n_tied = sum(g.tied for g in grids)
    return Prose(
        f"Of {count(len(grids), 'grid')} in factors of 4, {n_tied} "
        f"{'finds' if n_tied == 1 else 'find'} a configuration that is tied with the best of the full grid."
    )


def quadratic_sentence(fit: QuadraticFit) -> Prose:
    """Whether the optimum lies between grid points, and whether that is worth anything."""
    where = f"{code(fit.experiment)}: a quadratic in log2 of {code(fit.axis)}"
    if not math.isfinite(fit.optimum.value):
        return Prose(f"{where} peaks at no place inside the grid.")
    bounds = (
        f" [{fit.optimum.low:,.0f}, {fit.optimum.high:,.0f}]" if math.isfinite(fit.optimum.low) else ", without bounds"
    )
    worth = "below" if fit.gain.value < max(fit.resolvable, fit.misfit) else "above"
    return Prose(
        f"{where} peaks at {fit.optimum.value:,.0f}{bounds}, {interval_points(fit.gain)} over the nearest grid point; "
        f"that is {worth} what the seeds can resolve ({points(fit.resolvable, signed=False)}) "
        f"or the fit misses by ({points(fit.misfit, signed=False)})."
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


def searches_shown(answers: StudyAnswers) -> list[str]:
    """The experiments with grids large enough for a cheaper search to save something; all, if there is none."""
    large = [a.experiment for a in answers.random_searches if a.n_configurations >= LEAST_SEARCH]
    return large or [a.experiment for a in answers.random_searches]


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


def search_conclusion(answers: StudyAnswers) -> Prose:
    """In how many experiments part of the grid would have done."""
    n_fewer, n_searches = n_cheaper_searches(answers), len(answers.random_searches)
    return Prose(
        f"In {of(n_fewer, n_searches, 'experiment')} some of the grid's configurations, drawn at random, "
        "come within the margin of what the whole grid finds."
    )


def n_cheaper_searches(answers: StudyAnswers) -> int:
    """In how many experiments fewer trials than the grid has come within the margin."""
    return sum(a.sufficient < a.n_configurations for a in answers.random_searches)


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


def confirmation_rows(confirmation: pd.DataFrame) -> list[dict[str, object]]:
    """The frozen tied sets on fresh seeds."""
    return [
        {
            "experiment": code(row["experiment"]),
            "configuration": code(row["configuration"]),
            "validation accuracy on fresh seeds": accuracy(
                row["validation_accuracy_mean"],
                row["validation_accuracy_low"],
                row["validation_accuracy_high"],
                row["n"],
            ),
            "below the selection's best, points": deficit_cell(row),
            "status": confirmation_status(row),
        }
        for row in confirmation.to_dict("records")
    ]


def confirmation_status(row: Mapping[Any, Any]) -> str:
    """Whether a configuration was the best when the set was chosen, and whether it is unstable now."""
    words = ["the selection's best"] * bool(row["is_best"])
    return ", ".join(words + [f"unstable, {row['n_diverged']} of {row['n']}"] * bool(row["n_diverged"]))


# --- the summary ---------------------------------------------------------------------------------------------------


def question(findings: Findings) -> Prose:
    """What the study asks."""
    group = findings.estimates.group
    data = "the built-in stand-in for Fashion-MNIST" if is_stand_in(group) else "Fashion-MNIST" if group else "its data"
    return Prose(
        f"Which hyperparameters of a plain network change its accuracy on {data}, by how much, "
        "and which of the differences are more than the luck of a seed?"
    )


def own_verdicts(findings: Findings, *, ours: bool) -> list[Verdict]:
    """The verdicts of the seven, or of all others."""
    verdicts = [e.verdict for e in findings.experiments if e.verdict]
    return [v for v in verdicts if (v.experiment in STUDY_FAMILY) == ours]


def caveats(findings: Findings) -> list[Prose]:
    """What a reader of the summary must know besides."""
    estimates = findings.estimates
    found = [Prose(f"**{label}**.") for label in data_labels(estimates.group)]
    if not estimates.group:
        return [Prose("All logs are of other programs: seeds and splits are unknown, so nothing is paired or judged.")]
    n = estimates.trials["seed"].nunique()
    if n < LEAST_SEEDS:
        found.append(Prose(f"With {count(n, 'seed')} no difference can be tested; comparisons begin at {LEAST_SEEDS}."))
    if missing := missing_experiments(findings):
        found.append(Prose(f"Missing of the seven experiments: {codes(missing, most=7)}."))
    if partial := [e.experiment.name for e in study_experiments(findings) if e.incomplete]:
        found.append(Prose(f"Incomplete: {codes(partial, most=13)}."))
    if any(e.confounded for e in study_experiments(findings)):
        found.append(Prose("Where it says confounded, a budget differs between the arms and may be the cause."))
    if unresolved := unresolved_experiments(findings):
        n_ranked = sum(e.runner_up is not None for e in study_experiments(findings))
        found.append(
            Prose(f"Which configuration to use is not resolved in {of(len(unresolved), n_ranked, 'experiment')}.")
        )
    if unstable := sorted({name for e in findings.experiments for name in e.unstable}):
        found.append(Prose(f"Unstable, so in no ranking: {codes(unstable)}."))
    found.append(Prose("Every conclusion holds only at the fixed hyperparameters of its experiment."))
    return found


def noise_summary(findings: Findings) -> Prose:
    """The noise floor of the study in a sentence."""
    known = findings.estimates.noise_floors
    known = known[known["sd_median"].notna()]
    if known.empty:
        return Prose("No stable configuration of an experiment was repeated, so the scatter over seeds is unknown.")
    sds, finds = known["sd_median"], known.loc[known["resolvable_paired"].map(math.isfinite), "resolvable_paired"]
    typical = (
        f"One configuration scatters over its seeds by {span(100 * sds, '.2f')} points (medians of the experiments)"
    )
    if finds.empty:
        return Prose(f"{typical}.")
    return Prose(
        f"{typical}; the smallest typical difference that the seeds find in {100 * POWER:.0f} % of studies is "
        f"{span(100 * finds, '.2f')} points, by experiment."
    )


def summary_lines(findings: Findings, facts: Mapping[str, float]) -> list[str]:
    """The first page for a terminal, a line for each of its parts."""
    ours, others = own_verdicts(findings, ours=True), own_verdicts(findings, ours=False)
    lines = {
        "read": read_sentence(facts),
        "question": question(findings),
        "answer": verdict_overview(ours),
        "effects": effects_sentence(ours),
        "follow-up": verdict_overview(others) if others else "",
        "interaction": interaction_sentence(findings),
        "noise": noise_summary(findings),
        "caveats": " ".join(caveats(findings)),
    }
    return [f"{key:<12}{terminal(text)}" for key, text in lines.items() if text]


def read_sentence(facts: Mapping[str, float]) -> Prose:
    """What the logs held."""
    kinds = {f"trials {word}": word for word in ("complete", "diverged", "failed", "interrupted")}
    kinds |= {"files unreadable": "unreadable", "trials foreign": "foreign"}
    return Prose(", ".join(f"{facts[quantity]:,.0f} {word}" for quantity, word in kinds.items()))


def effects_sentence(verdicts: Sequence[Verdict]) -> Prose:
    """The differences of the hypotheses on which there is a claim."""
    claims = [v for v in verdicts if v.verdict in (SUPPORTED, CONTRADICTED)]
    return Prose("; ".join(contrast_effect(c) + confounded_mark(v) for v in claims for c in v.contrasts))


def terminal(text: str) -> str:
    """Markdown as a terminal shows it."""
    return html.unescape(re.sub(r"\\([\\`*\[\]|])", r"\1", text.replace("**", "").replace("`", "")))


# --- pictures ------------------------------------------------------------------------------------------------------


def experiment_figures(findings: Findings, e: ExperimentEstimate) -> list[Figure]:
    """The picture that answers the question best, then the learning curves."""
    name = re.sub(r"[^A-Za-z0-9_-]+", "-", e.experiment.name).strip("-")
    best = [findings.figures.get(f"{kind}_{name}") for kind in ("isolation", "heatmap", "accuracy")]
    found = [*[picture for picture in best if picture][:1], findings.figures.get(f"curves_{name}")]
    return [picture for picture in found if picture]


def figures_named(findings: Findings, *prefixes: str) -> list[Figure]:
    """The pictures whose names begin so."""
    return [picture for name, picture in findings.figures.items() if name.startswith(prefixes)]


def summary_figure(findings: Findings) -> Figure | None:
    """The one picture of the first page."""
    return next(iter(figures_named(findings, "noise")), next(iter(findings.figures.values()), None))


# --- filling the template ------------------------------------------------------------------------------------------


def fill_template(findings: Findings, folder: Path, template: Path = TEMPLATE) -> str:
    """The whole report as it would be on a first run into `folder`, its computed blocks stamped with their hashes."""
    from jinja2 import Environment, StrictUndefined

    # everything that is not Prose is escaped by `finalize`, for Markdown as well as for HTML
    environment = Environment(  # noqa: S701
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, finalize=finalize, keep_trailing_newline=True
    )
    facts = study_facts(findings)
    text = environment.from_string(template.read_text(encoding="utf-8")).render(
        findings=findings,
        estimates=findings.estimates,
        answers=findings.answers,
        facts=dict(zip(facts["quantity"], facts["value"], strict=True)),
        ours=own_verdicts(findings, ours=True),
        others=own_verdicts(findings, ours=False),
        picture=lambda shown: figure(shown, folder),
        STUDY=STUDY_FAMILY,
        **{name: value for name, value in globals().items() if callable(value) and name[0].islower()},
    )
    return stamp_blocks(re.sub(r"\n{3,}", "\n\n", text))


def block_name(prefix: str, name: str) -> Prose:
    """The name of an experiment's block, fit for a marker."""
    fit = re.sub(r"[^\w\[\]=.,-]+", "_", name)
    return Prose(f"{prefix}/{fit}" if fit == name else f"{prefix}/{fit}-{_digest(name)}")


def versions_of(trials: pd.DataFrame) -> list[str]:
    """What the trials ran on, each combination once."""
    known = trials[["platform", "device", "versions"]].dropna().drop_duplicates()
    return [f"{row.platform}, {row.device}, {row.versions}" for row in known.itertuples()]


def analysis_versions() -> str:
    """What the analysis ran on."""
    packages = ", ".join(f"{name} {version(name)}" for name in ("numpy", "pandas", "scipy", "matplotlib"))
    return f"{platform.platform()}, Python {platform.python_version()}, {packages}"


def seeds_used(trials: pd.DataFrame) -> list[str]:
    """The seeds of the analysed trials, ascending."""
    return [f"{seed:.0f}" for seed in sorted(trials["seed"].unique())]


# --- computed blocks in a person's file ----------------------------------------------------------------------------

MARKER = re.compile(r"<!-- (?:computed: (?P<name>\S+) sha256=(?P<digest>[0-9a-f]{16})|end: (?P<end>\S+)) -->")
UNSTAMPED = re.compile(r"<!-- computed: (\S+) -->(.*?)<!-- end -->", re.DOTALL)
WRITTEN = re.compile(r"<!-- computed so far: (?P<names>[^<>\n]*) -->")


class ReportError(Exception):
    """An old report whose markers make no sense any more; one line with the reason."""


@dataclass(frozen=True)
class Block:
    """A computed part of the report; everything outside blocks is a person's."""

    name: str
    digest: str
    content: str

    @property
    def is_untouched(self) -> bool:
        """Whether the content is what was written; ends of lines do not count."""
        return self.digest == _digest(self.content)

    def __str__(self) -> str:
        return f"<!-- computed: {self.name} sha256={self.digest} -->{self.content}<!-- end: {self.name} -->"


def _digest(content: str) -> str:
    lines = "\n".join(line.rstrip() for line in content.splitlines()).strip()
    return hashlib.sha256(lines.encode("utf-8", "surrogateescape")).hexdigest()[:16]


def make_block(name: str, content: str) -> Block:
    """A block with its hash."""
    content = f"\n{content.strip()}\n" if content.strip() else "\n"
    return Block(name, _digest(content), content)


def stamp_blocks(text: str) -> str:
    """Put hashes into the markers of a filled template and list the names of the blocks at the end."""
    names = [match[1] for match in UNSTAMPED.finditer(text)]
    stamped = UNSTAMPED.sub(lambda match: str(make_block(match[1], match[2])), text)
    return f"{stamped.rstrip()}\n\n{written_comment(names)}\n"


def written_comment(names: Iterable[str]) -> str:
    """The comment that tells a block that a person removed from one that is new."""
    return f"<!-- computed so far: {' '.join(dict.fromkeys(names))} -->"


def parse_report(text: str) -> list[str | Block]:
    """A report as a person's texts and computed blocks, in order; raises ReportError where markers do not pair up."""
    parts: list[str | Block] = []
    start, opened = 0, None
    for marker in MARKER.finditer(text):
        if marker["name"] and opened is None:
            parts.append(text[start : marker.start()])
            opened, start = marker, marker.end()
        elif opened is not None and marker["end"] == opened["name"]:
            parts.append(Block(opened["name"], opened["digest"], text[start : marker.start()]))
            opened, start = None, marker.end()
        else:
            raise ReportError(f"its marker {marker[0]} has no counterpart")
    if opened is not None:
        raise ReportError(f"its marker {opened[0]} has no end")
    parts.append(text[start:])
    if len(parts) == 1 and text.strip() and not WRITTEN.search(text):
        raise ReportError("it holds none of the markers that this program writes")
    return parts


@dataclass(frozen=True)
class Merged:
    """An old report with its computed blocks refreshed, and the blocks into which somebody had written."""

    text: str
    edited: tuple[str, ...]


def merge_report(old: str, fresh: str) -> Merged:
    """Refresh the computed blocks of `old` from `fresh` and keep everything else; raises ReportError.

    A block that a person removed stays away; one never written before goes after its predecessor in `fresh`.
    """
    parts = parse_report(old)
    blocks = {part.name: part for part in parse_report(fresh) if isinstance(part, Block)}
    written = _names_written(parts)
    newline = "\r\n" if 2 * old.count("\r\n") > old.count("\n") else "\n"
    edited = tuple(part.name for part in parts if isinstance(part, Block) and not part.is_untouched)
    merged: list[str | Block] = [
        part if isinstance(part, str) else _with_newlines(blocks.get(part.name) or _gone(part.name), newline)
        for part in parts
    ]
    for before, name in pairwise([None, *blocks]):
        if name is not None and name not in written:
            _insert(merged, _with_newlines(blocks[name], newline), after=before, newline=newline)
    text = _list_written("".join(map(str, merged)), written_comment([*written, *blocks]), newline)
    if not all(part.is_untouched for part in parse_report(text) if isinstance(part, Block)):
        raise ReportError("its markers run into each other")
    return Merged(text, edited)


def _list_written(text: str, comment: str, newline: str) -> str:
    return (
        WRITTEN.sub(lambda _: comment, text) if WRITTEN.search(text) else f"{text}{newline}{newline}{comment}{newline}"
    )


def _names_written(parts: Sequence[str | Block]) -> list[str]:
    """The blocks that were ever written, by the comment at the end and by what is there."""
    listed = [name for part in parts if isinstance(part, str) for found in WRITTEN.finditer(part)
              for name in found["names"].split()]  # fmt: skip
    return [*dict.fromkeys([*listed, *(part.name for part in parts if isinstance(part, Block))])]


def _with_newlines(block: Block, newline: str) -> Block:
    return Block(block.name, block.digest, block.content.replace("\n", newline))


def _gone(name: str) -> Block:
    return make_block(name, f"*The records hold nothing for {code(name)} any more.*")


def _insert(parts: list[str | Block], block: Block, *, after: str | None, newline: str) -> None:
    """Put a new block behind the one named `after`, or at the end where that is not there."""
    places = [i for i, part in enumerate(parts) if isinstance(part, Block) and part.name == after]
    place = places[-1] + 1 if places else len(parts)
    parts[place:place] = [newline * 2, block]


# --- files ---------------------------------------------------------------------------------------------------------


def write_report(findings: Findings, folder: Path, *, now: datetime | None = None) -> list[str]:
    """Write or refresh report.md and report.html in `folder`; return a line for each old file that was kept beside.

    Bytes that are not UTF-8 pass through unchanged. Raises StudyError where an old file can be neither read nor kept.
    """
    now = now or datetime.now()
    path = (folder / "report.md").resolve()
    fresh = fill_template(findings, folder)
    text, reason = _refresh(_read(path), fresh)
    notes = [keep_beside(path, now, reason)] if reason else []
    _write_changed(path, text)
    page = make_html(text.encode("utf-8", "surrogateescape").decode("utf-8", "replace"), folder)
    return notes + write_page((folder / "report.html").resolve(), page, now)


def _refresh(old: str | None, fresh: str) -> tuple[str, str]:
    """The new text of the report, and why the old one must be kept beside it, if it must."""
    if old is None or not old.strip():
        return fresh, ""
    try:
        merged = merge_report(old, fresh)
    except ReportError as error:
        return fresh, f"cannot be refreshed, for {error}; a new one was written"
    if not merged.edited:
        return merged.text, ""
    return (
        merged.text,
        f"had been changed by hand inside the computed {enumeration(merged.edited)}, which was refreshed",
    )


def write_page(path: Path, page: str, now: datetime) -> list[str]:
    """Write the HTML page with its hash; a page that somebody changed is kept beside it."""
    old = _read(path)
    body, _, digest = (old or "").rstrip().rpartition("\n<!-- sha256=")
    untouched = old is None or digest == f"{_digest(body)} -->"
    notes = [] if untouched else [keep_beside(path, now, "had been changed by hand; a new one was written")]
    page = page.rstrip()
    _write_changed(path, f"{page}\n<!-- sha256={_digest(page)} -->\n")
    return notes


def keep_beside(path: Path, now: datetime, reason: str) -> str:
    """Copy a file to a name with the time, never over another file; return a line that says so."""
    stem, n = f"{path.stem}-{now:%Y%m%d-%H%M%S}", 1
    while True:
        kept = path.with_name(f"{stem}{'' if n == 1 else f'-{n}'}{path.suffix}")
        try:
            with kept.open("xb") as file:
                file.write(path.read_bytes())
            return f"{path.name} {reason}; the old file is kept as {kept.name}"
        except FileExistsError:
            n += 1
        except OSError as error:
            raise StudyError(f"{path.name} was left as it is, for {kept} cannot be written: {error.strerror}") from None


def _read(path: Path) -> str | None:
    try:
        return path.read_bytes().decode("utf-8", "surrogateescape")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StudyError(f"{path} cannot be read: {error.strerror}") from None


def _write_changed(path: Path, text: str) -> None:
    content = text.encode("utf-8", "surrogateescape")
    if not path.exists() or path.read_bytes() != content:
        write_atomic(path, content)


# --- HTML ----------------------------------------------------------------------------------------------------------

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>{title}</title>
<style>
{style}
</style>
</head>
<body>
<main>
{body}
</main>
</body>
</html>"""
STYLE = """
:root { color-scheme: light; }
body { margin: 0; background: #fff; color: #1a1a1a; font: 1.05rem/1.5 system-ui, "Segoe UI", Arial, sans-serif; }
main { max-width: 56rem; margin: 0 auto; padding: 1rem; }
h1 { font-size: 1.7rem; line-height: 1.2; }
h2 { margin-top: 2.5rem; border-bottom: 2px solid #ccc; font-size: 1.4rem; }
h3 { margin-top: 2rem; font-size: 1.15rem; }
code { background: #f2f2f2; padding: 0 .2em; border-radius: .2em; font-size: .9em; overflow-wrap: anywhere; }
blockquote { margin: 1rem 0; padding: .1rem 1rem; border-left: .3rem solid #0173b2; background: #f6f9fc; }
img { max-width: 100%; height: auto; display: block; margin: 1rem auto 0; }
.table { overflow-x: auto; }
table { border-collapse: collapse; font-size: .88rem; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .6rem; border-bottom: 1px solid #ddd; vertical-align: top; }
th { background: #f2f2f2; text-align: left; }
td { text-align: left; }
td code { overflow-wrap: break-word; }
td:first-child { min-width: 9em; }
td[style*="right"] { white-space: nowrap; }
@media screen and (max-width: 45rem) { table { min-width: 42rem; } }
@media print {
  @page { size: A4; margin: 14mm; }
  body { font-size: 9pt; line-height: 1.35; }
  main { max-width: none; padding: 0; }
  h1 { font-size: 15pt; margin: 0; } h2 { font-size: 12pt; margin-top: 1rem; } h3 { font-size: 10.5pt; }
  h2, h3 { break-after: avoid; }
  img { max-height: 11cm; break-inside: avoid; }
  table { font-size: 7pt; } th, td { padding: .1rem .25rem; } td code { overflow-wrap: anywhere; }
  .table { overflow: visible; }
  .first-page { break-after: page; }
  .first-page p, .first-page ul { margin: .35rem 0; }
  .first-page img { max-height: 7.5cm; margin-top: .3rem; }
}
""".strip()


def make_html(text: str, folder: Path) -> str:
    """The report as one self-contained page: raw HTML shown as text, pictures inside, scripts forbidden."""
    body = inline_pictures(markdown_html(text.removeprefix("\ufeff")), folder)
    body = body.replace("<table>", '<div class="table"><table>').replace("</table>", "</table></div>")
    title = re.search(r"<h1>(.*?)</h1>", body, re.DOTALL)
    words = html.escape(html.unescape(re.sub(r"<[^>]*>", "", title[1]))) if title else "Report"
    return PAGE.format(title=words, style=STYLE, body=wrap_first_page(body))


def markdown_html(text: str) -> str:
    """Markdown to HTML; comments vanish, and any other HTML in it is shown as the text that it is."""
    from markdown import Markdown

    converter = Markdown(extensions=["tables", "fenced_code", "sane_lists"])
    converter.preprocessors.deregister("html_block")
    converter.inlinePatterns.deregister("html")
    return str(converter.convert(re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)))


def wrap_first_page(body: str) -> str:
    """Put all before the second section into one element, after which a printer turns the page."""
    sections = [match.start() for match in re.finditer(r"<h2>", body)]
    if len(sections) < 2:
        return body
    return f'<section class="first-page">\n{body[: sections[1]]}</section>\n{body[sections[1] :]}'


def inline_pictures(body: str, folder: Path) -> str:
    """Replace the addresses of pictures on this disk by their content."""
    return re.sub(r'(<img [^>]*?src=")([^"]*)(")', lambda m: m[1] + (_data_uri(m[2], folder) or m[2]) + m[3], body)


def _data_uri(address: str, folder: Path) -> str:
    path = folder / unquote(html.unescape(address))
    kind = PICTURE_TYPES.get(path.suffix.lower())
    try:
        return f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode()}" if kind else ""
    except OSError:
        return ""
