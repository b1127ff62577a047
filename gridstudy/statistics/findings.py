"""What the report may say: all estimates of a study, and the counts and constants that it writes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Protocol

import pandas as pd

from gridstudy.core.subject import Description
from gridstudy.core.trial import LEAST_SEEDS
from gridstudy.records.tables import FOREIGN, Records
from gridstudy.records.verdicts import CANNOT_TELL
from gridstudy.statistics.comparisons import ALPHA, MOST_SEEDS, POWER
from gridstudy.statistics.confusion import class_table, confusion_table
from gridstudy.statistics.estimates import (
    CONFIRMATION_COLUMNS,
    ExperimentEstimate,
    StudyEstimates,
    analyse,
)
from gridstudy.statistics.interactions import cell_table, factorials, interaction_table, simple_effects
from gridstudy.statistics.looks import WEIGHTS
from gridstudy.statistics.questions import StudyAnswers, answer_questions
from gridstudy.statistics.verdicts import CONTRADICTED, EQUIVALENT, SUPPORTED, UNEQUAL, StoredVerdict

CONFIDENCE_PERCENT = 95
UNEQUAL_PERCENT = round(100 * (UNEQUAL - 1))

Fact = tuple[str, float, str]
"""Quantity, value, unit."""


class Figure(Protocol):
    """A figure on the disk, as reporting draws it."""

    @property
    def path(self) -> Path: ...
    @property
    def caption(self) -> str: ...
    @property
    def alt_text(self) -> str: ...


@dataclass(frozen=True)
class Findings:
    """All that the report may say; what reads it computes no statistic.

    `interactions`, `effects` and `cells` have INTERACTION_COLUMNS, EFFECT_COLUMNS and CELL_COLUMNS.
    """

    records: Records
    estimates: StudyEstimates
    interactions: pd.DataFrame
    effects: pd.DataFrame
    cells: pd.DataFrame
    answers: StudyAnswers
    command: str = ""
    confirmation: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=list(CONFIRMATION_COLUMNS)))
    figures: Mapping[str, Figure] = field(default_factory=dict)

    @property
    def margin(self) -> float:
        return self.estimates.margin

    @property
    def description(self) -> Description:
        return self.estimates.description

    @property
    def experiments(self) -> tuple[ExperimentEstimate, ...]:
        return self.estimates.experiments

    @cached_property
    def class_accuracy(self) -> pd.DataFrame:
        """CLASS_COLUMNS: how many examples of each class the recommended configurations, else the best, get right."""
        return class_table(self.estimates, self.records.confusions)

    @cached_property
    def confusions(self) -> pd.DataFrame:
        """CONFUSION_COLUMNS: which classes these configurations take for which."""
        return confusion_table(self.estimates, self.records.confusions)

    @property
    def problems(self) -> pd.DataFrame:
        """PROBLEM_COLUMNS: what the log directory holds that is not analysed, and why."""
        return pd.concat([self.records.problems, self.estimates.problems], ignore_index=True)


def find(
    records: Records, margin: float | None = None, *, stored: tuple[StoredVerdict, ...] = (), command: str = ""
) -> Findings:
    """Estimate everything, and answer the study questions; see `estimates.analyse` for the margin and `stored`."""
    estimates = analyse(records, margin, stored=stored)
    trials, curves, plans = estimates.trials, estimates.curves, estimates.plans
    designs = factorials(trials, curves, plans)
    interactions = interaction_table(designs)
    effects = simple_effects(designs, interactions)
    answers = answer_questions(estimates, interactions=interactions, effects=effects)
    return Findings(records, estimates, interactions, effects, cell_table(designs), answers, command)


def study_facts(findings: Findings) -> pd.DataFrame:
    """Counts and constants that the report writes: quantity, value, unit."""
    facts = [
        *trial_counts(findings), *experiment_counts(findings), *answer_counts(findings.answers),
        *verdict_counts(findings), *constants(findings),
    ]  # fmt: skip
    return pd.DataFrame(facts, columns=["quantity", "value", "unit"])


def trial_counts(findings: Findings) -> list[Fact]:
    """What the logs held and how much of it was analysed."""
    estimates, trials = findings.estimates, findings.records.trials
    ours = trials[trials["origin"] != FOREIGN]
    diverged = ours["diverged"].astype(bool)
    states = findings.records.problems["state"].value_counts()
    return [
        ("trials complete", float((~diverged).sum()), "trials"),
        ("trials diverged", float(diverged.sum()), "trials"),
        *((f"trials {state}", float(states.get(state, 0)), "paths") for state in ("failed", "interrupted")),
        ("trials in conflict", float(len(findings.estimates.problems)), "trials"),
        ("files unreadable", float(states.get("unreadable", 0)), "paths"),
        ("trials foreign", float(len(trials) - len(ours)), "trials"),
        ("trials analysed", float(len(estimates.trials)), "trials"),
        ("trials on fresh seeds", float(len(estimates.confirmation_trials)), "trials"),
        ("trials left out", float(estimates.left_out["n_trials"].sum()), "trials"),
        ("groups left out", float(len(estimates.left_out)), "groups"),
        ("configurations unplanned", float(len(estimates.unplanned)), "configurations"),
        ("configurations analysed", float(estimates.trials["configuration"].nunique()), "configurations"),
        ("seeds", float(estimates.trials["seed"].nunique()), "seeds"),
    ]


def experiment_counts(findings: Findings) -> list[Fact]:
    """How many experiments there are, and of how many the records tell what."""
    return [
        ("experiments recorded", float(len(study_experiments(findings))), "experiments"),
        ("experiments missing", float(len(missing_experiments(findings))), "experiments"),
        ("experiments of the study", float(len(study_family(findings))), "experiments"),
        ("experiments ranked", float(len(ranked_experiments(findings))), "experiments"),
        ("experiments not resolved", float(len(unresolved_experiments(findings))), "experiments"),
    ]


def answer_counts(answers: StudyAnswers) -> list[Fact]:
    """How many experiments, grids and interactions answered a question of the study, and how."""
    grids, interactions = answers.coarse_grids, answers.interactions
    return [
        ("searches replayed", float(len(answers.random_searches)), "experiments"),
        ("searches that part of the grid would do for", float(n_cheaper_searches(answers)), "experiments"),
        ("coarser grids", float(len(grids)), "grids"),
        ("coarser grids that lose nothing shown", float(sum(g.finds_best for g in grids)), "grids"),
        ("interactions tested", float(interactions.n_tested), "interactions"),
        ("interactions not tested", float(interactions.n_untested), "interactions"),
        ("interactions found", float(len(interactions.survivors)), "interactions"),
    ]


def verdict_counts(findings: Findings) -> Iterator[Fact]:
    """How often each verdict fell, in the study's family and in all others."""
    verdicts = findings.estimates.verdicts
    ours = verdicts["experiment"].isin(study_family(findings))
    for family, rows in (("the study", verdicts[ours]), ("others", verdicts[~ours])):
        yield f"hypotheses judged, {family}", float(len(rows)), "hypotheses"
        for word in (SUPPORTED, CONTRADICTED, EQUIVALENT, CANNOT_TELL):
            yield f"{word}, {family}", float((rows["verdict"] == word).sum()), "hypotheses"


def constants(findings: Findings) -> list[Fact]:
    """What the method and the data fix."""
    objective, sizes = findings.description.objective, findings.description.sizes
    margin = (100.0, "percentage points") if objective.is_fraction else (1.0, objective.unit)
    return [
        ("margin", margin[0] * findings.margin, margin[1]),
        ("confidence", CONFIDENCE_PERCENT, "%"),
        ("confidence beside a verdict, first look", 100 * (1 - ALPHA * WEIGHTS[0]), "%"),
        ("confidence beside a verdict, later looks", 100 * (1 - ALPHA * WEIGHTS[1]), "%"),
        ("level of significance", 100 * ALPHA, "%"),
        ("power", 100 * POWER, "%"),
        ("difference of budgets that confounds", UNEQUAL_PERCENT, "%"),
        ("least seeds for an interval", LEAST_SEEDS, "seeds"),
        ("most seeds planned", MOST_SEEDS, "seeds"),
        *((f"{split} examples", float(n), "examples") for split, n in sizes.items()),
    ]


def study_family(findings: Findings) -> tuple[str, ...]:
    """The subject's own family of experiments, of which some were planned here; empty where none was."""
    families = (e.experiment.family for e in findings.experiments)
    return next((family for family in families if family), ())


def study_experiments(findings: Findings) -> list[ExperimentEstimate]:
    """All but what other programs logged."""
    return [e for e in findings.experiments if e.experiment.name != FOREIGN]


def missing_experiments(findings: Findings) -> list[str]:
    """Those of the subject's family that were never planned here or have no trial; none where no other one was run."""
    present = {e.experiment.name for e in findings.experiments if e.best or e.unstable}
    family = study_family(findings)
    return [name for name in family if name not in present] if present & set(family) else []


def ranked_experiments(findings: Findings) -> list[ExperimentEstimate]:
    """Those with several configurations that can be ranked."""
    return [e for e in study_experiments(findings) if e.runner_up]


def unresolved_experiments(findings: Findings) -> list[str]:
    """Those with several configurations of which none can be recommended."""
    return [e.experiment.name for e in ranked_experiments(findings) if not e.recommended]


def n_cheaper_searches(answers: StudyAnswers) -> int:
    """In how many experiments fewer trials than the grid has come within the margin."""
    return sum(a.sufficient < a.n_configurations for a in answers.random_searches)
