"""The whole study -> the sentences of its first page, its conclusions and the screen."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

from gridstudy.core.subject import Objective
from gridstudy.core.trial import LEAST_SEEDS
from gridstudy.records.verdicts import CANNOT_TELL
from gridstudy.reporting.phrases import (
    Prose,
    code,
    codes,
    count,
    difference_numbers,
    difference_unit,
    enumeration,
    fixed,
    of,
    percent,
    plain,
    sentence,
    terminal,
)
from gridstudy.reporting.question_sentences import interaction_sentence, own_interactions
from gridstudy.reporting.result_sentences import (
    confirmation_sentence,
    follow_up_sentences,
    score_cell,
    summary_score,
)
from gridstudy.reporting.verdict_sentences import advice_sentence, answer, decide_sentence, label, look_sentence
from gridstudy.statistics.comparisons import POWER
from gridstudy.statistics.confusion import most_confused
from gridstudy.statistics.estimates import ExperimentEstimate
from gridstudy.statistics.findings import (
    Findings,
    missing_experiments,
    ranked_experiments,
    study_experiments,
    study_facts,
    unresolved_experiments,
)
from gridstudy.statistics.verdicts import CONTRADICTED, EQUIVALENT, SUPPORTED

SCREEN_WIDTH = 100
INDENT = " " * 12
VERDICT_WORDS = {
    SUPPORTED: ("is supported", "are supported"),
    CONTRADICTED: ("is contradicted", "are contradicted"),
    EQUIVALENT: ("makes no practical difference", "make no practical difference"),
    CANNOT_TELL: ("is undecided", "are undecided"),
}
"""What is said of one and of several hypotheses."""


# --- the screen ----------------------------------------------------------------------------------------------------


def first_screen(findings: Findings) -> list[str]:
    """What the analysis prints: what it read, an answer to each question, how sure that is, and what to do next."""
    facts = study_facts(findings)
    lines = screen_lines("read", read_sentence(dict(zip(facts["quantity"], facts["value"], strict=True))))
    for words in findings.description.labels:
        lines += screen_lines("note", plain(words))
    for e in study_experiments(findings):
        lines += screen_lines(e.experiment.name, *experiment_answer(findings, e))
    for key, text in {
        "verdicts": verdict_overview(findings),
        "interaction": interaction_sentence(findings),
        "noise": noise_summary(findings),
        "caveats": " ".join(caveats(findings)),
        "next": next_sentence(findings),
    }.items():
        lines += screen_lines(key, text)
    return lines


def screen_lines(key: str, *texts: str) -> list[str]:
    """Texts beside a key, wrapped, each on lines of its own; nothing where they are all empty."""
    indent, name = len(INDENT) * " ", terminal(key)
    found = [
        line
        for text in texts
        for line in textwrap.wrap(
            terminal(text), SCREEN_WIDTH, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False
        )
    ]
    if found and len(name) < len(indent):
        return [f"{name:<{len(indent)}}{found[0].lstrip()}", *found[1:]]
    return [name, *found] if found else []


def read_sentence(facts: Mapping[str, float]) -> Prose:
    """What the logs held; what is not there is not named."""
    kinds = {f"trials {word}": word for word in ("complete", "diverged", "failed", "interrupted")}
    kinds |= {"files unreadable": "unreadable", "trials foreign": "foreign"}
    shown = [f"{facts[q]:,.0f} {word}" for q, word in kinds.items() if facts.get(q) or word == "complete"]
    return Prose(f"trials: {', '.join(shown)}")


def outcome_line(e: ExperimentEstimate, margin: float, *, racing: bool) -> str:
    """What a study that goes look by look adds to an experiment's row; nothing where the row says it all."""
    if racing:
        return terminal(f"{e.experiment.name}: {advice_sentence(e, margin)}")
    if e.verdict is None or not e.verdict.next_look:
        return ""
    return terminal(f"{e.experiment.name}: {look_sentence(e.verdict)}{decide_sentence(e.verdict)}")


def confirmed_line(row: Mapping[Any, Any], objective: Objective) -> str:
    """What fresh seeds found of an experiment's best configuration; `row` is one of the confirmation."""
    return (
        f"{'confirmed' if row['n'] else 'unconfirmed':<{len(INDENT)}}{terminal(confirmation_sentence(row, objective))}"
    )


def problem_lines(findings: Findings) -> list[Prose]:
    """A line for each reason why paths were left out, with the first of them."""
    reasons = {
        "failed": "trials that failed", "interrupted": "trials that were interrupted",
        "unreadable": "files that cannot be read", "copy": "copies of other trials",
        "moved": "trials that were moved away from their place",
        "conflict": "several trials of one configuration and seed",
    }  # fmt: skip
    groups = findings.problems.groupby("state", sort=False)["path"]
    return [Prose(f"left out, {plain(reasons.get(str(s), s))}: {codes(paths)}") for s, paths in groups]


# --- the answers ---------------------------------------------------------------------------------------------------


def experiment_answer(findings: Findings, e: ExperimentEstimate) -> list[Prose]:
    """An experiment's question, its answer, and the fair comparison where another experiment makes it."""
    found = [plain(e.experiment.question), answer(e, findings.margin)]
    if not found[1] and e.best:
        found[1] = Prose(f"{label(e, e.best)} reaches {summary_score(e, e.best)}.")
    others = [*own_interactions(findings, e.experiment.name), *follow_up_sentences(e, study_experiments(findings))]
    return [text for text in (*found, *others) if text]


def answer_items(findings: Findings) -> list[Prose]:
    """A line of the first page for each experiment: its name, its question and its answer."""
    items = []
    for e in study_experiments(findings):
        asked, *told = experiment_answer(findings, e) or [Prose("no trials yet.")]
        question = f" *{asked}*" if e.experiment.question else f" {asked}"
        items.append(Prose(" ".join([f"**{plain(e.experiment.name)}.**{question}", *told])))
    return items


def verdict_overview(findings: Findings) -> Prose:
    """How many hypotheses got which verdict, with the names of those that are not supported unless all are alike."""
    verdicts = [e.verdict for e in study_experiments(findings) if e.verdict]
    if not verdicts:
        return Prose("No experiment has a hypothesis to judge.")
    if len({v.verdict for v in verdicts}) == 1:
        which = {1: "The hypothesis", 2: "Both hypotheses"}.get(len(verdicts), f"All {len(verdicts)} hypotheses")
        return Prose(f"{which} {VERDICT_WORDS[verdicts[0].verdict][len(verdicts) > 1]}.")
    groups = []
    for word, said in VERDICT_WORDS.items():
        if found := [code(v.experiment) for v in verdicts if v.verdict == word]:
            names = "" if word == SUPPORTED else f" ({', '.join(found)})"
            groups.append(f"{len(found)} {said[len(found) > 1]}{names}")
    return Prose(f"Of {count(len(verdicts), 'hypothesis', 'hypotheses')}, {enumeration(groups)}.")


def next_sentence(findings: Findings) -> Prose:
    """What to run next."""
    experiments = study_experiments(findings)
    waiting = [e.verdict for e in experiments if e.verdict and e.verdict.next_look]
    if not waiting:
        unresolved = unresolved_experiments(findings)
        return race_sentence([e for e in experiments if e.experiment.name in unresolved])
    sizes = sorted({v.next_look for v in waiting})
    looks = "The next looks are" if len(sizes) > 1 else "The next look is"
    return Prose(f"{looks} at {enumeration([*map(str, sizes)])} seeds: rerun the study with `--until-decided`.")


def race_sentence(unresolved: Sequence[ExperimentEstimate]) -> Prose:
    """How to get recommendations, and where they are to be expected."""
    if not unresolved:
        return Prose("")
    likely = [e.experiment.name for e in unresolved if not e.seeds_to_recommend.startswith("no ")]
    if not likely:
        return Prose("More seeds are not expected to give a recommendation where there is none.")
    where = f" in {codes(likely, most=len(likely))}" if len(likely) < len(unresolved) else ""
    return Prose(f"Rerun the study with `--until recommended` to add seeds until a setting can be recommended{where}.")


# --- the data ------------------------------------------------------------------------------------------------------


def data_sentences(findings: Findings) -> Prose:
    """What the scores were measured on."""
    description, group = findings.description, findings.estimates.group
    if not group:
        return Prose("There are no trials of this program in the logs.")
    shown = [f"{plain(split)} ({count(n, 'example')})" for split, n in description.sizes.items()]
    parts = [f"The data are split into {enumeration(shown)}."] * bool(shown)
    parts.append(f"The objective is {plain(description.objective.label)} after training"
                 f"{'' if description.objective.maximise else '; lower is better'}.")  # fmt: skip
    if has_test_scores(findings):
        parts.append("Scores on the test split choose nothing and are shown once, under the conclusions.")
    return Prose(" ".join([*parts, *(sentence(plain(words)) for words in description.labels)]))


def has_test_scores(findings: Findings) -> bool:
    """Whether the subject records scores on a test split."""
    return "test_score_mean" in findings.estimates.summary


# --- classes -------------------------------------------------------------------------------------------------------


def class_experiment(findings: Findings) -> ExperimentEstimate | None:
    """The experiment whose chosen arm stands for the classes: the best one recommended, else the best mean."""
    known = set(findings.class_accuracy["experiment"])
    choices = [e for e in study_experiments(findings) if e.experiment.name in known]
    return max(choices, key=lambda e: (e.recommended is not None, _chosen_mean(e)), default=None)


def _chosen_mean(e: ExperimentEstimate) -> float:
    rows = e.summary[e.summary["configuration"] == (e.recommended or e.best)]
    return float(e.plan.description.objective.sign * rows["objective_mean"].iloc[0])


def class_rows(findings: Findings, e: ExperimentEstimate) -> list[dict[str, object]]:
    """The share of each class that the chosen arm gets right, the hardest class first."""
    table = findings.class_accuracy
    rows = table[table["experiment"] == e.experiment.name].sort_values("share", kind="stable").to_dict("records")
    return [
        {"class": plain(r["class"]), "right": share_cell(r), "examples, all seeds": f"{r['n_examples']:,.0f}"}
        for r in rows
    ]


def share_cell(row: Mapping[Hashable, Any]) -> Prose:
    """A share with its interval in percent."""
    bounds = [fixed(100 * row[end], 1) for end in ("low", "high")]
    interval = f" [{bounds[0]}, {bounds[1]}]" if math.isfinite(row["low"]) else ""
    return Prose(f"{percent(row['share'])}{interval}")


def confusion_rows(findings: Findings, e: ExperimentEstimate) -> list[dict[str, object]]:
    """The pairs of classes that the chosen arm confuses most."""
    table = most_confused(findings.confusions)
    return [
        {"class": plain(r["true"]), "taken for": plain(r["predicted"]), "share of the class": percent(r["share"])}
        for r in table[table["experiment"] == e.experiment.name].to_dict("records")
    ]


# --- what else a reader must know ----------------------------------------------------------------------------------


def noise_summary(findings: Findings) -> Prose:
    """What the present seeds can find, by experiment, in a sentence."""
    floors = findings.estimates.noise_floors
    known = floors[floors["resolvable_paired"].map(math.isfinite)].sort_values("resolvable_paired", kind="stable")
    if known.empty:
        return Prose("No setting was repeated often enough to know the scatter over seeds.")
    objective = findings.description.objective
    least, most = known.iloc[0], known.iloc[-1]
    unit = difference_unit(objective)
    low, high = difference_numbers(objective, least["resolvable_paired"], most["resolvable_paired"])
    names = code(least["experiment"]), code(most["experiment"])
    found = f"a true difference of {low} {unit}".rstrip() + f" ({names[0]})"
    if len(known) > 1:
        found = f"true differences of {low} ({names[0]}) to {high} {unit}".rstrip() + f" ({names[1]})"
    return Prose(f"With the present seeds, {percent(POWER, 0)} of studies find {found} between two typical settings.")


def caveats(findings: Findings) -> list[Prose]:
    """What a reader of the summary must know besides."""
    estimates, experiments = findings.estimates, study_experiments(findings)
    if not estimates.group:
        return [Prose("All logs are of other programs: seeds and splits are unknown, so nothing is paired or judged.")]
    found = [sentence(f"**{plain(words)}**") for words in findings.description.labels]
    n = estimates.trials["seed"].nunique()
    if n < LEAST_SEEDS:
        found.append(
            Prose(f"With {count(n, 'seed')} no difference can be tested; comparisons need at least {LEAST_SEEDS}.")
        )
    if missing := missing_experiments(findings):
        family = max((len(e.experiment.family) for e in experiments), default=0)
        found.append(Prose(f"Missing of the {count(family, 'experiment')}: {codes(missing, most=len(missing))}."))
    if partial := [e.experiment.name for e in experiments if e.incomplete]:
        found.append(Prose(f"Incomplete: {codes(partial, most=len(partial))}."))
    if any(e.confounded for e in experiments):
        found.append(Prose("Where it says confounded, a budget differs between the arms and may be the cause."))
    if unresolved := unresolved_experiments(findings):
        which = of(len(unresolved), len(ranked_experiments(findings)), "experiment")
        found.append(Prose(f"In {which} we cannot recommend a setting yet."))
    if unstable := sorted({estimates.labels.get(name, name) for e in findings.experiments for name in e.unstable}):
        found.append(Prose(f"Training diverged, so not ranked: {codes(unstable)}."))
    found.append(Prose("Every conclusion holds only for the settings that its experiment kept fixed."))
    return found


def chosen_rows(findings: Findings) -> list[dict[str, object]]:
    """What each experiment chose, with its test score: the one place that shows it, once for each configuration."""
    choosing: dict[str, list[ExperimentEstimate]] = {}
    for e in study_experiments(findings):
        if chosen := e.recommended or e.best:
            choosing.setdefault(chosen, []).append(e)
    objective = findings.description.objective
    test = objective.test_name.replace("_", " ")
    rows: list[dict[str, object]] = []
    for chosen, by in choosing.items():
        summary = by[0].summary[by[0].summary["configuration"] == chosen].to_dict("records")[0]
        row: dict[str, object] = {
            "setting": code(findings.estimates.labels.get(chosen, chosen)),
            "recommended in": codes([e.experiment.name for e in by if e.recommended], most=len(by)),
            "best mean so far in": codes([e.experiment.name for e in by if not e.recommended], most=len(by)),
            objective.label: summary_score(by[0], chosen),
        }
        rows.append(row | ({test: score_cell(objective, summary, "test_score")} if has_test_scores(findings) else {}))
    return rows
