"""The figures of the whole study: the noise floor, time, cheaper searches and the ranking by epoch.

Drawn as those in `experiment_figures` are: on `ax` or on new axes, without pyplot, from numbers that the estimates and
the study questions hold.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

from gridstudy.reporting.plotting import (
    COLOURS,
    GREY,
    WIDTH,
    Picture,
    Row,
    Style,
    draw_interval,
    extent,
    figure_of,
    legend_mark,
    make_style,
    new_axes,
    set_legend,
    set_legend_beneath,
    set_percent,
    split_words,
    title_legend,
    wrap,
)
from gridstudy.statistics.comparisons import FOREIGN, TESTED
from gridstudy.statistics.estimates import StudyEstimates
from gridstudy.statistics.questions import HalvingAnswer, RandomSearchAnswer, RankingAnswer, StudyAnswers

BELOW_FRONT = 0.06
"""How far below the Pareto front's lowest point a configuration is still shown."""
MOST_PANELS = 12
LEAST_SEARCH = 10
"""A grid with fewer configurations leaves a cheaper search little to save."""
SIX_NAMES = 6


def study_pictures(estimates: StudyEstimates, answers: StudyAnswers, styles: Mapping[str, Style]) -> Iterator[Picture]:
    """The pictures of the whole study, in the order of the report."""
    yield from _noise_pictures(estimates, styles)
    yield from _time_pictures(estimates, styles)
    yield from _search_pictures(answers, estimates.group)
    yield from _ranking_pictures(answers, estimates.group)


# --- the noise floor -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class SingleRuns:
    """One configuration's accuracies, a seed each, under the names that experiments would have given it."""

    configuration: str
    names: tuple[str, ...]
    accuracies: tuple[float, ...]

    @property
    def spread(self) -> float:
        """Highest minus lowest."""
        return max(self.accuracies) - min(self.accuracies)


def single_runs(estimates: StudyEstimates) -> SingleRuns | None:
    """The configuration that most experiments share and that is repeated; None where no seed is."""
    trials = estimates.trials[~estimates.trials["diverged"].astype(bool)]
    counts = trials.groupby("configuration").size()
    uses = {str(name): _experiments_with(estimates, str(name)) for name, n in counts.items() if n > 1}
    if not uses:
        return None
    name = max(sorted(uses), key=lambda n: (len(uses[n]), n == "baseline", counts[n]))
    accuracies = trials[trials["configuration"] == name].sort_values("seed")["validation_accuracy"].tolist()[:SIX_NAMES]
    names = [*uses[name], *(f"run {i + 1}" for i in range(len(uses[name]), len(accuracies)))]
    return SingleRuns(name, tuple(names[: len(accuracies)]), tuple(accuracies))


def _experiments_with(estimates: StudyEstimates, configuration: str) -> list[str]:
    rows = estimates.summary[estimates.summary["configuration"] == configuration]
    return [str(name) for name in rows["experiment"] if name != FOREIGN]


def draw_single_runs(runs: SingleRuns, *, color: str = COLOURS[0], ax: Axes | None = None) -> Axes:
    """A row per name, the accuracy of one run in each; the band is all that a change of seed does."""
    ax = ax or new_axes()
    rows = range(len(runs.accuracies))
    ax.axvspan(min(runs.accuracies), max(runs.accuracies), color=color, alpha=0.12, linewidth=0)
    ax.plot(runs.accuracies, rows, "o", color=color, markersize=9)
    ax.set_yticks(rows, [wrap(name.replace("_", " "), 14) for name in runs.names])
    ax.set_ylim(len(runs.accuracies) - 0.4, -0.6)
    set_percent(ax, along="x", label="validation accuracy, one run each")
    ax.set_title(f"{wrap(runs.configuration, 24)}, {len(rows)} single runs:\n{100 * runs.spread:.1f} points apart")
    return ax


def draw_pairing(comparisons: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Spread of each pair's difference over seeds, paired against unpaired; below the diagonal pairing pays."""
    ax = ax or new_axes()
    points = 100 * comparisons[["unpaired_sd", "difference_sd"]].to_numpy(float)
    ax.set(xscale="log", yscale="log")
    alpha = min(0.6, 60 / len(points) + 0.12)
    ax.scatter(points[:, 0], points[:, 1], s=14, color=COLOURS[2], alpha=alpha, linewidths=0)
    ends = [points.min() * 0.9, points.max() * 1.1]
    ax.plot(ends, ends, color=GREY, linewidth=1, linestyle="--")
    for axis in (ax.xaxis, ax.yaxis):
        _set_log_ticks(axis)
    ax.set(xlabel="unpaired (percentage points)", ylabel="paired by seed (percentage points)", xlim=ends, ylim=ends)
    ax.set_title(f"standard deviation of {len(points):,} differences;\nbelow the line pairing sharpens")
    return ax


def _set_log_ticks(axis: Axis) -> None:
    """Plain numbers at 1, 2 and 5 of each decade: less than a decade would else get labels in exponents, and many."""
    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter("{x:g}")


def paired_comparisons(estimates: StudyEstimates) -> pd.DataFrame:
    """The paired comparisons with enough seeds for a spread, each pair of configurations once."""
    table = estimates.comparisons
    known = (table["label"] == TESTED[0]) & (table["difference_sd"] > 0) & (table["unpaired_sd"] > 0)
    return table[known].drop_duplicates(["a", "b"])


def _noise_pictures(estimates: StudyEstimates, styles: Mapping[str, Style]) -> Iterator[Picture]:
    runs, comparisons = single_runs(estimates), paired_comparisons(estimates)
    if runs is None:
        return
    width = 8.6 if len(comparisons) else 6.0
    axes = Figure(figsize=(width, 4.6), layout="constrained").subplots(1, 1 + bool(len(comparisons)), squeeze=False)
    style = styles.get(runs.configuration, make_style(0))
    draw_single_runs(runs, color=style.color, ax=axes[0, 0])
    if len(comparisons):
        draw_pairing(comparisons, ax=axes[0, 1])
    n_runs, spread = len(runs.accuracies), f"{100 * runs.spread:.1f} points"
    apart = f"{n_runs} runs of {runs.configuration}, alike but for the seed, lie {spread} apart"
    right = (
        "; each mark on the right is a pair of configurations compared over the same seeds" if len(comparisons) else ""
    )
    yield Picture(
        "noise_floor", "The noise floor: one configuration as single runs would have reported it",
        f"{apart}; single-run studies report such differences as findings{right}; {split_words(estimates.group)}.",
        f"{apart}.", figure_of(axes[0, 0]),
    )  # fmt: skip


# --- time ----------------------------------------------------------------------------------------------------------


def time_points(estimates: StudyEstimates) -> pd.DataFrame:
    """Each stable configuration once, by seconds per trial, with `on_front`: nothing faster is as accurate."""
    rows = estimates.summary[(estimates.summary["n"] > 0) & (estimates.summary["n_diverged"] == 0)]
    rows = rows[(rows["experiment"] != FOREIGN) & (rows["seconds_mean"] > 0)].drop_duplicates("configuration")
    rows = rows.sort_values(["seconds_mean", "validation_accuracy_mean"], ascending=[True, False], kind="stable")
    best_before = rows["validation_accuracy_mean"].cummax().shift(fill_value=-1.0)
    return rows.assign(on_front=rows["validation_accuracy_mean"] > best_before).reset_index(drop=True)


def draw_time(points: pd.DataFrame, *, styles: Mapping[str, Style], ax: Axes | None = None) -> Axes:
    """Mean accuracy against seconds per trial; the Pareto front with intervals, its configurations in the legend.

    What lies far below the front is outside the picture.
    """
    front = points[points["on_front"]]
    handles = [_front_mark(row, styles) for row in front.iloc[::-1].to_dict("records")]
    ax = ax or new_axes(_height_for(handles), 9.0)
    ax.step(front["seconds_mean"], front["validation_accuracy_mean"], where="post", color=GREY, linewidth=1, zorder=1)
    lowest = front["validation_accuracy_mean"].min() - BELOW_FRONT
    for row in points[points["validation_accuracy_mean"] >= lowest].to_dict("records"):
        _draw_timed(ax, row, styles[row["configuration"]])
    ax.set_xscale("log")
    _set_log_ticks(ax.xaxis)
    ax.set_xlabel("seconds per trial (mean over seeds)")
    set_percent(ax, along="y")
    set_legend(ax, handles)
    title_legend(ax, "Pareto front")
    return ax


def _height_for(handles: Sequence[Artist]) -> float:
    n_lines = sum(1 + str(handle.get_label()).count("\n") for handle in handles)
    return max(5.6, 1.4 + 0.185 * n_lines + 0.06 * len(handles))


def _draw_timed(ax: Axes, row: Row, style: Style) -> None:
    place, mean = row["seconds_mean"], row["validation_accuracy_mean"]
    if not row["on_front"]:
        ax.plot(place, mean, style.marker, color=style.color, alpha=0.3, markersize=5)
        return
    low, high = row["validation_accuracy_low"], row["validation_accuracy_high"]
    draw_interval(ax, place, low, high, style.color, upright=True)
    ax.plot(place, mean, style.marker, color=style.color, zorder=4)


def _front_mark(row: Row, styles: Mapping[str, Style]) -> Artist:
    style = styles[str(row["configuration"])]
    return legend_mark(wrap(str(row["configuration"]), 26), style.marker, color=style.color, face=style.color)


def _time_pictures(estimates: StudyEstimates, styles: Mapping[str, Style]) -> Iterator[Picture]:
    points = time_points(estimates)
    if len(points) < 3:
        return
    front = points[points["on_front"]]
    mixed = {column for e in estimates.experiments for column in e.mixed if column in ("host", "device")}
    labels = (f"times from more than one {' and '.join(sorted(mixed))}",) if mixed else ()
    yield Picture(
        "time_and_accuracy", "What does accuracy cost in time?",
        f"{len(points)} stable configurations, n = {extent(points['n'])} seeds; marks in the legend are on the Pareto "
        "front (nothing faster is as accurate), with 95 % t intervals over seeds; what lies more than "
        f"{100 * BELOW_FRONT:g} points below it is not shown; {split_words(estimates.group)}.",
        f"Accuracy against seconds per trial; the front runs from {front['configuration'].iloc[0]} "
        f"to {front['configuration'].iloc[-1]}.",
        figure_of(draw_time(points, styles=styles)), labels=labels,
    )  # fmt: skip


# --- cheaper searches ----------------------------------------------------------------------------------------------

REPORTED, HONEST, ETA_MARKS = COLOURS[1], COLOURS[0], {2: ("^", COLOURS[3]), 3: ("v", COLOURS[2])}


def draw_search(search: RandomSearchAnswer, halvings: Sequence[HalvingAnswer] = (), *, ax: Axes | None = None) -> Axes:
    """What the best of m random trials reports and is worth, m up to the whole grid, and what halving is worth."""
    ax = ax or new_axes()
    trials = np.arange(1, search.n_configurations + 1)
    for intervals, color, line in ((search.reported, REPORTED, "--"), (search.honest, HONEST, "-")):
        values = np.array(intervals, float)
        ax.plot(trials, values[:, 0], line, color=color)
        ax.fill_between(trials, values[:, 1], values[:, 2], color=color, alpha=0.13, linewidth=0)
    at = search.honest[search.sufficient - 1].value
    ax.plot(search.sufficient, at, "o", color=HONEST, markerfacecolor="white", markersize=9, zorder=4)
    for halving in halvings:
        _draw_halving(ax, halving, search)
    ax.set_xlim(0, search.n_configurations + 1)
    ax.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    ax.set_xlabel(f"trials' worth of training (grid: {search.n_configurations})")
    set_percent(ax, along="y")
    return ax


def _draw_halving(ax: Axes, halving: HalvingAnswer, search: RandomSearchAnswer) -> None:
    """Halving at its share of the grid's epochs, as far below the grid's honest value as it lost."""
    marker, color = ETA_MARKS[halving.eta]
    place, grid = halving.epochs_share * search.n_configurations, search.honest[-1].value
    low, high = grid - halving.lost.high, grid - halving.lost.low
    draw_interval(ax, place, low, high, color, upright=True)
    ax.plot(place, grid - halving.lost.value, marker, color=color, markersize=9, zorder=4)


def search_legend() -> list[Artist]:
    """The marks of `draw_search`."""
    marks = [legend_mark(f"successive halving, eta {e}", m, color=c, face=c, size=9) for e, (m, c) in ETA_MARKS.items()]
    return [
        Line2D([], [], linestyle="--", color=REPORTED, label="random search: what it reports"),
        Line2D([], [], color=HONEST, label="random search: worth on other seeds"),
        legend_mark("as good as the grid, within the margin", "o", face="white", color=HONEST, size=9), *marks,
    ]  # fmt: skip


def searches_shown(answers: StudyAnswers) -> list[RandomSearchAnswer]:
    """The searches of large grids, the largest first, at most four; else of the largest there is."""
    ranked = sorted(answers.random_searches, key=lambda s: -s.n_configurations)
    return [s for s in ranked if s.n_configurations >= LEAST_SEARCH][:4] or ranked[:1]


def _search_pictures(answers: StudyAnswers, group: Mapping[str, object]) -> Iterator[Picture]:
    searches = searches_shown(answers)
    if not searches:
        return
    figure, panels = panel_grid(len(searches), columns=2, height=3.2)
    for search, ax in zip(searches, panels, strict=True):
        draw_search(search, [h for h in answers.halvings if h.experiment == search.experiment], ax=ax)
        ax.set_title(search.experiment.replace("_", " "))
    set_legend_beneath(figure, search_legend(), 2)
    enough = "; ".join(
        f"{s.experiment}: {s.sufficient} of {s.n_configurations} random trials suffice" for s in searches
    )
    yield Picture(
        "search_cost", "What did grid search cost against random search and successive halving?",
        f"{enough}; replayed on the records, n = {extent(pd.Series([s.n_seeds for s in searches]))} seeds, each a "
        "search of its own; 'worth' is the choice's accuracy on seeds that did not choose it; 95 % t intervals; "
        f"{split_words(group)}.",
        f"Accuracy found against trials spent. {enough}.", figure,
    )  # fmt: skip


def panel_grid(n_panels: int, *, columns: int, height: float) -> tuple[Figure, list[Axes]]:
    """A figure with that many panels of `height` inches, in rows of `columns`."""
    columns = min(columns, n_panels)
    rows = -(-n_panels // columns)
    figure = Figure(figsize=(WIDTH + (columns > 1), 1.8 + height * rows))
    figure.set_layout_engine("constrained", h_pad=0.09, w_pad=0.07)
    panels = figure.subplots(rows, columns, squeeze=False).ravel().tolist()
    for ax in panels[n_panels:]:
        ax.remove()
    return figure, panels[:n_panels]


# --- ranking by epoch ----------------------------------------------------------------------------------------------

TAU, SHARE = COLOURS[0], COLOURS[3]


def draw_ranking(ranking: RankingAnswer, *, ax: Axes | None = None) -> Axes:
    """Kendall's tau with the final ranking and how often the winner is in the final tied set, by epoch."""
    ax = ax or new_axes()
    epochs = [r.epoch for r in ranking.rankings]
    tau = np.array([r.tau for r in ranking.rankings], float)
    ax.plot(epochs, tau[:, 0], "-o", color=TAU, markersize=4)
    ax.fill_between(epochs, tau[:, 1], tau[:, 2], color=TAU, alpha=0.15, linewidth=0)
    ax.plot(epochs, [r.share_tied for r in ranking.rankings], "--s", color=SHARE, markersize=4)
    if ranking.sufficient is not None:
        ax.axvline(ranking.sufficient, color=GREY, linewidth=1, linestyle=":")
    ax.set_ylim(min(-0.05, float(np.nanmin(tau)) - 0.05), 1.08)
    ax.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    ax.set_xlabel("epoch")
    return ax


def ranking_legend() -> list[Artist]:
    """The marks of `draw_ranking`."""
    return [
        Line2D([], [], color=TAU, marker="o", markersize=4, label="Kendall's tau with the final ranking"),
        Line2D(
            [], [], color=SHARE, marker="s", markersize=4, linestyle="--", label="winner in the final tied set (share)"
        ),
        Line2D([], [], color=GREY, linewidth=1, linestyle=":", label="first epoch that suffices"),
    ]


def _ranking_pictures(answers: StudyAnswers, group: Mapping[str, object]) -> Iterator[Picture]:
    telling = [r for r in answers.rankings if not r.is_vacuous][:MOST_PANELS]
    if not telling:
        return
    figure, panels = panel_grid(len(telling), columns=3, height=2.2)
    for ranking, ax in zip(telling, panels, strict=True):
        draw_ranking(ranking, ax=ax)
        ax.set_title(
            f"{wrap(ranking.experiment.replace('_', ' '), 24)}\n{ranking.n_tied} of {ranking.n_configurations} tied"
        )
    set_legend_beneath(figure, ranking_legend(), 2)
    silent = [r.experiment for r in answers.rankings if r.is_vacuous]
    left_out = f"; left out, all being tied at the end: {', '.join(silent)}" if silent else ""
    first = "; ".join(f"{r.experiment}: {f'epoch {r.sufficient}' if r.sufficient else 'none'}" for r in telling)
    yield Picture(
        "ranking_by_epoch", "Would fewer epochs have found the best configuration?",
        f"First epoch from which the winner is in the final tied set in at least 95 % of resamples: {first}; "
        f"n = {extent(pd.Series([r.n_seeds for r in telling]))} seeds, bands hold 95 % of resampled seeds{left_out}; "
        f"{split_words(group)}.",
        f"Agreement of the ranking at each epoch with the final one. First epoch that suffices: {first}.", figure,
    )  # fmt: skip
