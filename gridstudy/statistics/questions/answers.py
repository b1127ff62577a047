"""All answers together, and their numbers as one table."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd

from gridstudy.core.subject import Objective
from gridstudy.records.tables import FOREIGN
from gridstudy.statistics.estimates import StudyEstimates
from gridstudy.statistics.questions.epochs import EpochsAnswer, answer_epochs, epochs_rows
from gridstudy.statistics.questions.factors_of_2 import (
    CoarseGrid,
    QuadraticFit,
    answer_factors,
    answer_quadratic,
    factor_rows,
    quadratic_rows,
)
from gridstudy.statistics.questions.interactions import InteractionsAnswer, answer_interactions, interaction_rows
from gridstudy.statistics.questions.ranking_by_epoch import RankingAnswer, answer_ranking, ranking_rows
from gridstudy.statistics.questions.replay import Interval, Row, present, read_replay, unit_of
from gridstudy.statistics.questions.search import (
    ETAS,
    HalvingAnswer,
    RandomSearchAnswer,
    answer_halving,
    answer_random_search,
    halving_rows,
    random_search_rows,
)

QUESTION_COLUMNS = ("question", "quantity", "subject", "value", "low", "high", "unit", "note")


@dataclass(frozen=True)
class StudyAnswers:
    """The answers to the five questions, by experiment in the order given, and all their numbers as one table."""

    objective: Objective
    epochs: tuple[EpochsAnswer, ...]
    rankings: tuple[RankingAnswer, ...]
    coarse_grids: tuple[CoarseGrid, ...]
    quadratics: tuple[QuadraticFit, ...]
    interactions: InteractionsAnswer
    random_searches: tuple[RandomSearchAnswer, ...]
    halvings: tuple[HalvingAnswer, ...]

    @property
    def table(self) -> pd.DataFrame:
        """`study_questions.csv`, QUESTION_COLUMNS."""
        rows = [
            (*where, *(value if isinstance(value, Interval) else Interval(float(value))), unit, note)
            for *where, value, unit, note in _question_rows(self)
        ]
        return pd.DataFrame(rows, columns=list(QUESTION_COLUMNS))


def answer_questions(estimates: StudyEstimates, *, interactions: pd.DataFrame, effects: pd.DataFrame) -> StudyAnswers:
    """Answer the study questions from the estimates of one group of records.

    `interactions` and `effects` are the tables of `interaction_table` and `simple_effects`.
    """
    trials, curves = estimates.trials, estimates.curves
    planned = [e for e in estimates.experiments if e.experiment.name != FOREIGN]
    replays = present(read_replay(trials, curves, estimate) for estimate in planned)
    return StudyAnswers(
        objective=estimates.description.objective,
        epochs=present(answer_epochs(trials, curves, estimate.plan) for estimate in planned),
        rankings=present(map(answer_ranking, replays)),
        coarse_grids=tuple(grid for r in replays for grid in answer_factors(r, trials)),
        quadratics=present(answer_quadratic(r, trials) for r in replays),
        interactions=answer_interactions(interactions, effects),
        random_searches=present(answer_random_search(r, margin=estimates.margin) for r in replays),
        halvings=present(answer_halving(r, eta) for r in replays for eta in ETAS),
    )


def _question_rows(answers: StudyAnswers) -> Iterator[Row]:
    quantity, unit = answers.objective.quantity, unit_of(answers.objective)
    for epochs in answers.epochs:
        yield from epochs_rows(epochs, unit=unit)
    for ranking in answers.rankings:
        yield from ranking_rows(ranking, quantity=quantity, unit=unit)
    for grid in answers.coarse_grids:
        yield from factor_rows(grid, quantity=quantity, unit=unit)
    for fit in answers.quadratics:
        yield from quadratic_rows(fit, unit=unit)
    yield from interaction_rows(answers.interactions, unit=unit)
    for search in answers.random_searches:
        yield from random_search_rows(search, unit=unit)
    for halving in answers.halvings:
        yield from halving_rows(halving, quantity=quantity, unit=unit)
