"""Whether more epochs are needed to find the best configuration."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from gridstudy.statistics.comparisons import Floats
from gridstudy.statistics.questions.replay import Interval, Replay, Row

N_RESAMPLES = 1000
RESAMPLING_SEED = 2024
SUFFICIENT_SHARE = 0.95


@dataclass(frozen=True)
class EpochRanking:
    """The ranking by seed means at one epoch, compared with the final one.

    `tau` is Kendall's tau-b. `lost` is the final mean of the final winner minus that of the winner at this epoch. Their
    intervals are the 2.5 % and 97.5 % points over resampled seeds. `share_tied` of the resamples have a winner that is
    in the final tied set.
    """

    epoch: int
    winner: str
    tau: Interval
    lost: Interval
    share_tied: float


@dataclass(frozen=True)
class RankingAnswer:
    """`sufficient` is the first epoch from which on the winner is in the final tied set in at least 95 % of resamples.

    None where no epoch does. `n_tied` says how much that asks: where all are tied, any winner will do (`is_vacuous`).
    """

    experiment: str
    n_seeds: int
    n_configurations: int
    n_tied: int
    rankings: tuple[EpochRanking, ...]
    sufficient: int | None
    note: str

    @property
    def is_vacuous(self) -> bool:
        """Whether the records cannot tell any configuration from the best, so that no choice could be wrong."""
        return self.n_tied == self.n_configurations


def answer_ranking(replay: Replay) -> RankingAnswer | None:
    """Whether fewer epochs would have found the best; None where the configurations share no second epoch."""
    n_seeds, n_epochs, n_configurations = replay.curves.shape
    if n_epochs < 2:
        return None
    means = resample_means(replay.curves)
    rankings = tuple(_rank_epoch(epoch, replay, means) for epoch in range(1, n_epochs + 1))
    return RankingAnswer(
        replay.experiment.name, n_seeds, n_configurations, int(replay.tied.sum()), rankings,
        first_sufficient([r.share_tied for r in rankings]), replay.note,
    )  # fmt: skip


def resample_means(curves: Floats) -> Floats:
    """Means over the first axis, the seeds: as they are (first row), then over N_RESAMPLES resamples of the seeds."""
    n = len(curves)
    drawn = np.random.default_rng(RESAMPLING_SEED).multinomial(n, np.full(n, 1 / n), size=N_RESAMPLES)
    weights = np.vstack([np.ones(n), drawn]) / n
    return np.asarray(np.tensordot(weights, curves, axes=1), float)


def _rank_epoch(epoch: int, replay: Replay, means: Floats) -> EpochRanking:
    """`means` is (resample, epoch, configuration)."""
    now, end = means[:, epoch - 1], means[:, -1]
    winners = now.argmax(axis=1)
    return EpochRanking(
        epoch, replay.configurations[winners[0]].name, _resampled(kendall_tau(now, end)),
        _resampled(end.max(axis=1) - end[np.arange(len(end)), winners]),
        float(replay.tied[winners[1:]].mean()),
    )  # fmt: skip


def _resampled(values: Floats) -> Interval:
    return Interval(float(values[0]), *np.nanquantile(values[1:], [0.025, 0.975]).tolist())


def kendall_tau(a: Floats, b: Floats) -> Floats:
    """Kendall's (1945) tau-b of each row of `a` with the same row of `b`; zero where a row is all ties."""
    i, j = np.triu_indices(a.shape[1], 1)
    sign_a, sign_b = np.sign(a[:, i] - a[:, j]), np.sign(b[:, i] - b[:, j])
    same, in_a, in_b = (np.einsum("ij,ij->i", x, y) for x, y in ((sign_a, sign_b), (sign_a,) * 2, (sign_b,) * 2))
    return np.asarray(same / np.maximum(np.sqrt(in_a * in_b), 1.0), float)


def first_sufficient(shares: Sequence[float]) -> int | None:
    """The first epoch, from 1, whose share and all later ones reach SUFFICIENT_SHARE."""
    n_short = max((e for e, share in enumerate(shares, start=1) if share < SUFFICIENT_SHARE), default=0)
    return n_short + 1 if n_short < len(shares) else None


def ranking_rows(answer: RankingAnswer, *, quantity: str, unit: str) -> Iterator[Row]:
    """The numbers of the answer."""
    question, name = "more epochs to find the best", answer.experiment
    note = f"{answer.note}, {answer.n_tied} in the final tied set"
    sufficient = np.nan if answer.sufficient is None else answer.sufficient
    yield question, "first epoch that suffices", name, sufficient, "epoch", note
    for at in answer.rankings:
        subject, winner = f"{name}, epoch {at.epoch}", f"winner {at.winner}"
        yield question, "Kendall's tau with the final ranking", subject, at.tau, "tau", note
        yield question, "winner in the final tied set", subject, at.share_tied, "share", winner
        yield question, f"{quantity} lost", subject, at.lost, unit, winner
