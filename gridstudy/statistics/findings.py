"""What the report may say: all estimates of a study, and the counts and constants that it writes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import pandas as pd

from gridstudy.records.records import Records
from gridstudy.reporting.phrases import SMALLEST_P
from gridstudy.statistics.comparisons import ALPHA, FOREIGN, LEAST_SEEDS, MOST_SEEDS, POWER
from gridstudy.statistics.estimates import CONFIRMATION_COLUMNS, ExperimentEstimate, StudyEstimates, n_train_images
from gridstudy.statistics.questions import StudyAnswers
from gridstudy.statistics.verdicts import CANNOT_TELL, CONTRADICTED, EQUIVALENT, STUDY_FAMILY, SUPPORTED, UNEQUAL

CONFIDENCE_PERCENT = 95
EQUIVALENCE_CONFIDENCE_PERCENT = 90
UNEQUAL_PERCENT = round(100 * (UNEQUAL - 1))

Fact = tuple[str, float, str]
"""Quantity, value, unit."""


class Figure(Protocol):
    """A picture on the disk, as figures.SavedFigure."""

    @property
    def path(self) -> Path: ...
    @property
    def caption(self) -> str: ...
    @property
    def alt_text(self) -> str: ...


@dataclass(frozen=True)
class Findings:
    """All that the report may say; what reads it computes no statistic."""

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


def study_facts(findings: Findings) -> pd.DataFrame:
    """Counts and constants that the report writes: quantity, value, unit."""
    facts = [
        *trial_counts(findings), *experiment_counts(findings), *answer_counts(findings.answers),
        *verdict_counts(findings.estimates.verdicts), *constants(findings),
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
        ("experiments of the study", float(len(STUDY_FAMILY)), "experiments"),
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
        ("coarser grids that find one of the tied", float(sum(g.tied for g in grids)), "grids"),
        ("interactions tested", float(interactions.n_tested), "interactions"),
        ("interactions not tested", float(interactions.n_untested), "interactions"),
        ("interactions found", float(len(interactions.survivors)), "interactions"),
    ]


def verdict_counts(verdicts: pd.DataFrame) -> Iterator[Fact]:
    """How often each verdict fell, in each family."""
    ours = verdicts["experiment"].isin(STUDY_FAMILY)
    for family, rows in (("the study", verdicts[ours]), ("others", verdicts[~ours])):
        yield f"hypotheses judged, {family}", float(len(rows)), "hypotheses"
        for word in (SUPPORTED, CONTRADICTED, EQUIVALENT, CANNOT_TELL):
            yield f"{word}, {family}", float((rows["verdict"] == word).sum()), "hypotheses"


def constants(findings: Findings) -> list[Fact]:
    """What the method and the data fix."""
    group = findings.estimates.group
    return [
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


def study_experiments(findings: Findings) -> list[ExperimentEstimate]:
    """All but what other programs logged."""
    return [e for e in findings.experiments if e.experiment.name != FOREIGN]


def missing_experiments(findings: Findings) -> list[str]:
    """Those of the seven that were never planned here or have no trial."""
    present = {e.experiment.name for e in findings.experiments if e.best or e.unstable}
    return [name for name in STUDY_FAMILY if name not in present]


def ranked_experiments(findings: Findings) -> list[ExperimentEstimate]:
    """Those with several configurations that can be ranked."""
    return [e for e in study_experiments(findings) if e.runner_up]


def unresolved_experiments(findings: Findings) -> list[str]:
    """Those with several configurations of which none can be recommended."""
    return [e.experiment.name for e in ranked_experiments(findings) if not e.recommended]


def n_cheaper_searches(answers: StudyAnswers) -> int:
    """In how many experiments fewer trials than the grid has come within the margin."""
    return sum(a.sufficient < a.n_configurations for a in answers.random_searches)


def n_validation_images(group: Mapping[str, object]) -> int:
    """Images that an accuracy is measured on; the small data a tenth."""
    return 1_000 if str(group.get("dataset")).endswith("-small") else 10_000
