"""How hyperparameters interact: the interactions that survive Holm, with their direction."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd

from gridstudy.core.values import Value, format_value
from gridstudy.statistics.comparisons import ALPHA
from gridstudy.statistics.interactions import TESTED, is_interaction
from gridstudy.statistics.questions.replay import Interval, Row


@dataclass(frozen=True)
class SimpleEffect:
    """What going from `start` to `end` on `axis` brings where `other` is `at`; positive where `end` is better."""

    axis: str
    start: Value
    end: Value
    other: str
    at: Value
    n: int
    gain: Interval


@dataclass(frozen=True)
class Interaction:
    """An interaction that survives Holm; of two axes, with what each does from end to end at both ends of the other."""

    experiment: str
    term: str
    omega_squared: float
    noise_share: float
    p_holm: float
    effects: tuple[SimpleEffect, ...] = ()


@dataclass(frozen=True)
class InteractionsAnswer:
    """The interactions that survive Holm, largest omega squared first, of `n_tested`."""

    n_tested: int
    n_untested: int
    survivors: tuple[Interaction, ...]


def answer_interactions(table: pd.DataFrame, effects: pd.DataFrame) -> InteractionsAnswer:
    """Read the answer off the tables of interactions.interaction_table and interactions.simple_effects."""
    terms = table[is_interaction(table["term"])]
    tested = terms[terms["label"] == TESTED]
    found = tested[tested["p_holm"] <= ALPHA].sort_values("omega_squared", ascending=False)
    survivors = tuple(
        Interaction(
            row["experiment"], row["term"], row["omega_squared"], row["noise_share"], row["p_holm"],
            tuple(_effects(effects, row["experiment"], row["term"])),
        )
        for row in found.to_dict("records")
    )  # fmt: skip
    return InteractionsAnswer(len(tested), len(terms) - len(tested), survivors)


def _effects(effects: pd.DataFrame, experiment: str, term: str) -> Iterator[SimpleEffect]:
    rows = effects[(effects["experiment"] == experiment) & (effects["term"] == term)]
    for row in rows.to_dict("records"):
        gain = Interval(row["difference"], row["low"], row["high"])
        yield SimpleEffect(row["axis"], row["start"], row["end"], row["other"], row["at"], int(row["n"]), gain)


def interaction_rows(answer: InteractionsAnswer, *, unit: str) -> Iterator[Row]:
    """The numbers of the answer."""
    question = "interactions"
    for found in answer.survivors:
        subject, note = f"{found.experiment}: {found.term}", f"Holm's p = {found.p_holm:.2g}"
        yield question, "omega squared", subject, found.omega_squared, "share", note
        yield question, "share of noise", subject, found.noise_share, "share", note
        for e in found.effects:
            start, end, at = map(format_value, (e.start, e.end, e.at))
            step = f"gain from {e.axis} {start} to {end} at {e.other} {at}"
            yield question, step, subject, e.gain, unit, f"n={e.n} seeds"
