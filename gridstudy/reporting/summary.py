"""The whole study -> the sentences of its first page, its conclusions and the screen."""

from __future__ import annotations

import html
import math
import re
from collections.abc import Mapping, Sequence

from gridstudy.reporting.phrases import IN_STUDIES, Prose, code, codes, count, enumeration, of, seeds, span
from gridstudy.reporting.question_sentences import interaction_sentence
from gridstudy.reporting.result_sentences import contrast_effect, summary_accuracy
from gridstudy.statistics.comparisons import LEAST_SEEDS
from gridstudy.statistics.estimates import ExperimentEstimate
from gridstudy.statistics.findings import (
    Findings,
    missing_experiments,
    ranked_experiments,
    study_experiments,
    unresolved_experiments,
)
from gridstudy.statistics.verdicts import CANNOT_TELL, CONTRADICTED, EQUIVALENT, STUDY_FAMILY, SUPPORTED, Verdict


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


def terminal(text: str) -> str:
    """Markdown as a terminal shows it."""
    return html.unescape(re.sub(r"\\([\\`*\[\]|])", r"\1", text.replace("**", "").replace("`", "")))


def read_sentence(facts: Mapping[str, float]) -> Prose:
    """What the logs held."""
    kinds = {f"trials {word}": word for word in ("complete", "diverged", "failed", "interrupted")}
    kinds |= {"files unreadable": "unreadable", "trials foreign": "foreign"}
    return Prose(", ".join(f"{facts[quantity]:,.0f} {word}" for quantity, word in kinds.items()))


# --- the data ------------------------------------------------------------------------------------------------------


def question(findings: Findings) -> Prose:
    """What the study asks."""
    group = findings.estimates.group
    data = "the built-in stand-in for Fashion-MNIST" if is_stand_in(group) else "Fashion-MNIST" if group else "its data"
    return Prose(
        f"Which hyperparameters of a plain network change its accuracy on {data}, by how much, "
        "and which of the differences are more than the luck of a seed?"
    )


def is_stand_in(group: Mapping[str, object]) -> bool:
    """Whether the images are the built-in garments."""
    return str(group.get("dataset", "")).startswith("garments")


def data_labels(group: Mapping[str, object]) -> list[str]:
    """What must stand in the title and in the summary."""
    labels = ["STAND-IN DATA, not Fashion-MNIST"] if is_stand_in(group) else []
    return labels + (["COURSE PROTOCOL: the test images chose"] if group.get("validation") == "test" else [])


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


# --- verdicts ------------------------------------------------------------------------------------------------------


def own_verdicts(findings: Findings, *, ours: bool) -> list[Verdict]:
    """The verdicts of the seven, or of all others."""
    verdicts = [e.verdict for e in findings.experiments if e.verdict]
    return [v for v in verdicts if (v.experiment in STUDY_FAMILY) == ours]


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


def decide_mark(verdict: Verdict) -> str:
    """The seeds that would decide, where it is not decided."""
    return f", {seeds(verdict.seeds_to_decide)} to decide" if verdict.seeds_to_decide else ""


def effects_sentence(verdicts: Sequence[Verdict]) -> Prose:
    """The differences of the hypotheses on which there is a claim."""
    claims = [v for v in verdicts if v.verdict in (SUPPORTED, CONTRADICTED)]
    return Prose("; ".join(contrast_effect(c) + confounded_mark(v) for v in claims for c in v.contrasts))


# --- what else a reader must know ----------------------------------------------------------------------------------


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
        f"{typical}; the smallest typical difference that the seeds find {IN_STUDIES} is "
        f"{span(100 * finds, '.2f')} points, by experiment."
    )


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
        which = of(len(unresolved), len(ranked_experiments(findings)), "experiment")
        found.append(Prose(f"Which configuration to use is not resolved in {which}."))
    if unstable := sorted({name for e in findings.experiments for name in e.unstable}):
        found.append(Prose(f"Unstable, so in no ranking: {codes(unstable)}."))
    found.append(Prose("Every conclusion holds only at the fixed hyperparameters of its experiment."))
    return found


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
