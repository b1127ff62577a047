"""The figures of the whole study: the noise floor, time, cheaper searches, ranking and confusions.

Drawn as those in `experiment_figures` are: on `ax` or on new axes, without pyplot, from numbers that the estimates and
the study questions hold.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

from gridstudy.records.tables import FOREIGN
from gridstudy.reporting.plotting import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    WIDTH,
    Figure,
    Mark,
    Style,
    Unit,
    arm_name,
    blank,
    draw_intervals,
    drawing_of,
    extent,
    legend_below,
    legend_mark,
    new_axes,
    new_drawing,
    place_labels,
    plain_name,
    records,
    set_number_ticks,
    split_words,
    spoken,
    unit_of,
    width_of,
    wrap_label,
)
from gridstudy.statistics.estimates import StudyEstimates
from gridstudy.statistics.questions import HalvingAnswer, RandomSearchAnswer, RankingAnswer, StudyAnswers

LEAST_SEARCH = 10
"""A grid with fewer configurations leaves a cheaper search little to save."""
MOST_RUNS = 8
MOST_CONFUSIONS = 8
PAIRED = "paired"
"""The label of comparisons that are paired by seed and have an interval."""


def study_figures(
    study: StudyEstimates, answers: StudyAnswers, classes: pd.DataFrame, confusions: pd.DataFrame
) -> list[Iterator[Figure]]:
    """The figures of the whole study but the first, in the order of the report, in parts as they are read."""
    return [
        _noise_figures(study), _time_figures(study), _search_figures(answers, study), _ranking_figures(answers, study),
        _confusion_figures(study, classes, confusions),
    ]  # fmt: skip


# --- the noise floor -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class SingleRuns:
    """One configuration's scores, a seed each."""

    configuration: str
    seeds: tuple[int, ...]
    scores: tuple[float, ...]

    @property
    def spread(self) -> float:
        """Highest minus lowest."""
        return max(self.scores) - min(self.scores)


def single_runs(study: StudyEstimates) -> SingleRuns | None:
    """The first seeds of the configuration that most experiments share and that is repeated; None where none is."""
    trials = study.trials[~study.trials["diverged"].astype(bool)]
    counts = trials.groupby("configuration").size()
    uses = study.summary.groupby("configuration")["experiment"].nunique()
    repeated = [str(name) for name, n in counts.items() if n > 1]
    if not repeated:
        return None
    name = max(sorted(repeated), key=lambda n: (uses.get(n, 0), counts[n]))
    rows = trials[trials["configuration"] == name].sort_values("seed").head(MOST_RUNS)
    return SingleRuns(name, tuple(rows["seed"].astype(int)), tuple(rows["objective"].astype(float)))


def draw_single_runs(runs: SingleRuns, unit: Unit, *, ax: Axes | None = None) -> Axes:
    """A row per seed with its score; the band is all that a change of seed does."""
    ax = blank(ax or new_axes())
    scores = pd.DataFrame({"score": np.array(runs.scores) * unit.factor, "seed": range(len(runs.seeds))})
    ax.axvspan(scores["score"].min(), scores["score"].max(), color=BLUE, alpha=0.12, linewidth=0)
    sns.scatterplot(scores, x="score", y="seed", color=BLUE, s=60, ax=ax, legend=False)
    ax.set_yticks(range(len(runs.seeds)), [f"seed {seed}" for seed in runs.seeds])
    ax.set(xlabel=unit.level, ylabel="", ylim=(len(runs.seeds) - 0.4, -0.6))
    set_number_ticks(ax, along="x", most=5)
    apart = unit.show_difference(runs.spread).lstrip("+")
    ax.set_title(f"One configuration, {len(runs.seeds)} seeds:\n{apart} apart", loc="left")
    return ax


def draw_pairing(comparisons: pd.DataFrame, unit: Unit, *, ax: Axes | None = None) -> Axes:
    """Spread of each pair's difference over seeds, paired against unpaired; below the diagonal pairing pays."""
    ax = blank(ax or new_axes())
    points = unit.factor * comparisons[["unpaired_sd", "difference_sd"]]
    ax.set(xscale="log", yscale="log")
    sns.scatterplot(
        points, x="unpaired_sd", y="difference_sd", s=12, color=GREY, alpha=min(0.6, 60 / len(points) + 0.12),
        linewidth=0, ax=ax, legend=False,
    )  # fmt: skip
    ends = [float(points.to_numpy().min()) * 0.9, float(points.to_numpy().max()) * 1.1]
    ax.plot(ends, ends, color="black", linewidth=1, linestyle="--")
    unpaired, paired = points.median()
    ax.plot(unpaired, paired, "D", color=ORANGE, markersize=9, markeredgecolor="white", zorder=5)
    for axis in (ax.xaxis, ax.yaxis):
        _set_log_ticks(axis)
    ax.set(xlabel="not paired", ylabel="paired by seed", xlim=ends, ylim=ends)
    ax.set_title(
        f"Standard deviation of a difference{unit.points and f' ({unit.points.strip()})'}:\n"
        f"median {unpaired:.2g}, and {paired:.2g} if paired", loc="left",
    )  # fmt: skip
    return ax


def _set_log_ticks(axis: Axis) -> None:
    """Plain numbers at 1, 2 and 5 of each decade: less than a decade would else get labels in exponents, and many."""
    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter("{x:g}")


def paired_comparisons(study: StudyEstimates) -> pd.DataFrame:
    """The paired comparisons with enough seeds for a spread, each pair of configurations once."""
    table = study.comparisons
    known = (table["label"] == PAIRED) & (table["difference_sd"] > 0) & (table["unpaired_sd"] > 0)
    return table[known].drop_duplicates(["a", "b"])


def _noise_figures(study: StudyEstimates) -> Iterator[Figure]:
    runs, comparisons, unit = single_runs(study), paired_comparisons(study), unit_of(study.description.objective)
    if runs is None:
        return
    both = len(comparisons) > 0
    drawing = new_drawing(8.6 if both else 5.0, 4.2, left=0.85, right=0.2, top=0.65, bottom=0.62)
    drawing.subplots_adjust(wspace=0.28)
    axes = drawing.subplots(1, 1 + both, squeeze=False)
    draw_single_runs(runs, unit, ax=axes[0, 0])
    if both:
        draw_pairing(comparisons, unit, ax=axes[0, 1])
    spread = unit.show_difference(runs.spread).lstrip("+")
    apart = f"{len(runs.scores)} runs of {runs.configuration}, alike except for the seed, lie {spread} apart"
    right = "; right: each dot is a pair of configurations compared over the same seeds, the diamond their median"
    yield Figure(
        "noise_floor", "noise", "How far apart are runs that differ only in the seed?",
        f"{apart}; a study of single runs would report such differences as findings{right * both}; "
        f"{split_words(study)}.",
        f"{apart}.", drawing=drawing,
    )  # fmt: skip


# --- time ----------------------------------------------------------------------------------------------------------


def time_points(study: StudyEstimates) -> pd.DataFrame:
    """Each stable configuration once, by seconds per trial, with `on_front`: nothing faster scores as well.

    `label` names it by the first experiment that has it.
    """
    sign = study.description.objective.sign
    rows = study.summary[(study.summary["n"] > 0) & (study.summary["n_diverged"] == 0)]
    rows = rows[(rows["experiment"] != FOREIGN) & (rows["seconds_median"] > 0)].drop_duplicates("configuration")
    rows = rows.assign(score=sign * rows["objective_mean"])
    rows = rows.sort_values(["seconds_median", "score"], ascending=[True, False], kind="stable")
    best_before = rows["score"].cummax().shift(fill_value=-np.inf)
    by_name = {estimate.experiment.name: estimate for estimate in study.experiments}
    labels = [
        f"{spoken(name)}: {arm_name(by_name[name], configuration)}"
        for name, configuration in zip(rows["experiment"], rows["configuration"], strict=True)
    ]
    return rows.assign(label=labels, on_front=rows["score"] > best_before).reset_index(drop=True)


def draw_time(points: pd.DataFrame, unit: Unit, *, margin: float, ax: Axes | None = None) -> Axes:
    """Mean score against median seconds per trial; the Pareto front in blue with intervals, its steps labelled.

    Of the front, those are labelled that gain more than the margin over the last label. The worst quarter of the rest
    may lie outside the picture.
    """
    ax = blank(ax or new_axes(4.8, right=2.3, width=8.6))
    shown = points.assign(**{f"{k}": points[f"objective_{k}"] * unit.factor for k in ("mean", "low", "high")})
    front = shown[shown["on_front"]]
    ax.set_xscale("log")
    sns.scatterplot(shown[~shown["on_front"]], x="seconds_median", y="mean", color=GREY, alpha=0.4, s=22, linewidth=0,
                    ax=ax, legend=False)  # fmt: skip
    ax.step(front["seconds_median"], front["mean"], where="post", color=BLUE, linewidth=1, zorder=1)
    draw_intervals(ax, *(front[name].to_numpy(float) for name in ("seconds_median", "low", "high")), color=BLUE)
    sns.scatterplot(front, x="seconds_median", y="mean", color=BLUE, s=45, ax=ax, legend=False, zorder=4)
    _limit_time(ax, shown, unit)
    _set_log_ticks(ax.xaxis)
    set_number_ticks(ax, along="y", most=7)
    ax.set(xlabel="seconds per trial (median over seeds)", ylabel=unit.level)
    _label_front(ax, steps_of_front(front, margin=margin))
    return ax


def steps_of_front(front: pd.DataFrame, *, margin: float) -> pd.DataFrame:
    """The front's fastest and best, and between them what gains more than the margin over the step before."""
    kept: list[int] = []
    for i, score in enumerate(front["score"]):
        if not kept or score > front["score"].iloc[kept[-1]] + margin:
            kept.append(i)
    if kept[-1] != len(front) - 1:
        kept[-1:] = [len(front) - 1] if len(kept) > 1 else [kept[0], len(front) - 1]
    return front.iloc[kept]


def _limit_time(ax: Axes, shown: pd.DataFrame, unit: Unit) -> None:
    """The front and the better three quarters of all points, with a little room."""
    goodness = unit.sign * shown["mean"]
    kept = shown[shown["on_front"] | (goodness >= goodness.quantile(0.25))]
    low, high = float(np.nanmin(kept[["low", "mean"]])), float(np.nanmax(kept[["high", "mean"]]))
    pad = 0.05 * ((high - low) or 1.0)
    ax.set_ylim(low - pad, high + pad)


def _label_front(ax: Axes, steps: pd.DataFrame) -> None:
    """Names to the right of the axes, each joined to its point by a thin line."""
    labels = [wrap_label(str(label), 28) for label in steps["label"]]
    places = place_labels(ax, steps["mean"], labels)
    for label, row, place in zip(labels, records(steps), places, strict=True):
        ax.annotate(
            label, (row["seconds_median"], row["mean"]), xytext=(1.02, place), textcoords=("axes fraction", "data"),
            va="center", fontsize="small", annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": GREY, "linewidth": 0.5, "shrinkB": 4, "relpos": (0, 0.5)},
        )  # fmt: skip


def _time_figures(study: StudyEstimates) -> Iterator[Figure]:
    if "seconds_median" not in study.summary:
        return
    points, objective = time_points(study), study.description.objective
    if len(points) < 3:
        return
    unit, front = unit_of(objective), points[points["on_front"]]
    mixed = {column for e in study.experiments for column in e.mixed if column in ("host", "device")}
    labels = (f"times from more than one {' and '.join(sorted(mixed))}",) if mixed else ()
    ax = draw_time(points, unit, margin=study.margin)
    yield Figure(
        f"time_and_{plain_name(objective.quantity)}", "time", f"What does {spoken(objective.quantity)} cost in time?",
        f"{len(points)} stable configurations, n = {extent(points['n'])} seeds; in blue the Pareto front (nothing "
        "faster scores as well) with 95 % t intervals over seeds, labelled where it gains more than the margin; "
        f"what lies far below the front is not shown; {split_words(study)}.",
        f"{objective.label.capitalize()} against seconds per trial; the front runs from {front['label'].iloc[0]} "
        f"to {front['label'].iloc[-1]}.",
        labels=labels, drawing=drawing_of(ax),
        marks=tuple(
            Mark(ax, r["seconds_median"], r["objective_mean"] * unit.factor,
                 f"{r['label']}: {unit.show_interval(r['objective_mean'], r['objective_low'], r['objective_high'])}, "
                 f"n = {r['n']:.0f}, {r['seconds_median']:.2g} s") for r in records(front)
        ),
    )  # fmt: skip


# --- cheaper searches ----------------------------------------------------------------------------------------------

ETA_MARKS = {2: "^", 3: "v"}


def draw_search(
    search: RandomSearchAnswer, halvings: Sequence[HalvingAnswer], unit: Unit, *, ax: Axes | None = None
) -> Axes:
    """What the best of m random trials reports and is worth, m up to the whole grid, and what halving is worth."""
    ax = blank(ax or new_axes())
    trials = np.arange(1, search.n_configurations + 1)
    for intervals, color, line in ((search.reported, ORANGE, "--"), (search.honest, BLUE, "-")):
        values = np.array(intervals, float) * unit.factor
        sns.lineplot(x=trials, y=values[:, 0], color=color, linestyle=line, errorbar=None, ax=ax, legend=False)
        ax.fill_between(trials, values[:, 1], values[:, 2], color=color, alpha=0.13, linewidth=0)
    for halving in halvings:
        _draw_halving(ax, halving, search, unit)
    _mark_grid(ax, search, unit)
    ax.set_xlim(0, search.n_configurations * 1.06)
    _limit_search(ax, search, unit)
    ax.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    ax.set(xlabel="", ylabel="")
    set_number_ticks(ax, along="y", most=5)
    return ax


def _limit_search(ax: Axes, search: RandomSearchAnswer, unit: Unit) -> None:
    """From the best reported down to half as far again as what suffices is worth; what is worse may be cut off."""
    reported, enough = np.array(search.reported, float), np.array(search.honest[search.sufficient - 1], float)
    best = np.nanmax(unit.sign * reported)
    worst = np.nanmin(unit.sign * enough)
    ends = unit.factor * unit.sign * np.array([worst - 0.5 * (best - worst), best + 0.05 * (best - worst)])
    if np.ptp(ends) > 0:
        ax.set_ylim(*np.sort(ends))


def _mark_grid(ax: Axes, search: RandomSearchAnswer, unit: Unit) -> None:
    """The whole grid at the end of both lines, the gap between them, and the trials that suffice."""
    n, ends = search.n_configurations, [side[-1].value * unit.factor for side in (search.reported, search.honest)]
    ax.plot([n, n], ends, "s", color="black", markersize=6, zorder=5)
    ax.annotate("", (n, ends[1]), (n, ends[0]), arrowprops={"arrowstyle": "<->", "color": "black", "linewidth": 0.8})
    at = search.honest[search.sufficient - 1].value * unit.factor
    ax.plot(search.sufficient, at, "o", color=BLUE, markerfacecolor="white", markersize=8, zorder=4)


def _draw_halving(ax: Axes, halving: HalvingAnswer, search: RandomSearchAnswer, unit: Unit) -> None:
    """Halving at its share of the grid's epochs, as far below the grid's honest value as it lost."""
    place, grid = halving.epochs_share * search.n_configurations, search.honest[-1].value
    low, value, high = (
        unit.factor * (grid - unit.sign * lost) for lost in (halving.lost.high, halving.lost.value, halving.lost.low)
    )
    draw_intervals(ax, np.array([place]), np.array([low]), np.array([high]), color=GREEN, width=1.5)
    ax.plot(place, value, ETA_MARKS[halving.eta], color=GREEN, markersize=8, zorder=4)


def search_legend(halvings: Sequence[HalvingAnswer]) -> list[Artist]:
    """The marks of `draw_search`."""
    etas = sorted({halving.eta for halving in halvings})
    return [
        Line2D([], [], linestyle="--", color=ORANGE, label="random search: reported by its best run"),
        Line2D([], [], color=BLUE, label="random search: worth on other seeds"),
        legend_mark("as good as the grid, within the margin", Style(BLUE, "o", "white", ""), size=8),
        legend_mark("the whole grid", Style("black", "s", "black", ""), size=6),
        *(legend_mark(f"successive halving, eta {e}", Style(GREEN, ETA_MARKS[e], GREEN, ""), size=8) for e in etas),
    ]  # fmt: skip


def searches_shown(answers: StudyAnswers) -> list[RandomSearchAnswer]:
    """The searches of large grids, the largest first, at most four; else of the largest there is."""
    ranked = sorted(answers.random_searches, key=lambda s: -s.n_configurations)
    return [s for s in ranked if s.n_configurations >= LEAST_SEARCH][:4] or ranked[:1]


def _search_figures(answers: StudyAnswers, study: StudyEstimates) -> Iterator[Figure]:
    searches, unit = searches_shown(answers), unit_of(study.description.objective)
    if not searches:
        return
    shown = {s.experiment: [h for h in answers.halvings if h.experiment == s.experiment] for s in searches}
    columns = min(2, len(searches))
    rows = -(-len(searches) // columns)
    drawing = new_drawing(4.3 * columns + 0.4, 0.95 + 2.85 * rows, left=0.8, right=0.15, top=0.55, bottom=0.6)
    drawing.subplots_adjust(hspace=0.42, wspace=0.17)
    grid = drawing.subplots(rows, columns, squeeze=False)
    for search, ax in zip(searches, grid.ravel(), strict=False):
        draw_search(search, shown[search.experiment], unit, ax=ax)
        gap = unit.show_difference(search.optimism.value).lstrip("+")
        ax.set_title(
            f"{spoken(search.experiment)}: the best of {search.n_configurations}\nreports {gap} too much", loc="left"
        )
    for ax in grid.ravel()[len(searches) :]:
        ax.set_axis_off()
    for ax in grid[:, 0]:
        ax.set_ylabel(unit.level)
    for ax in grid[-1]:
        ax.set_xlabel("trials' worth of training")
    legend_below(drawing, search_legend([h for found in shown.values() for h in found]))
    enough = "; ".join(
        f"{s.experiment}: {s.sufficient} of {s.n_configurations} random trials suffice" for s in searches
    )
    yield Figure(
        "search_cost", "search", "Would a cheaper search have found as good a configuration as the whole grid?",
        f"{enough}; replayed on the records, n = {extent(pd.Series([s.n_seeds for s in searches]))} seeds, each a "
        "search of its own; 'worth' is the score of the choice on seeds that did not choose it; 95 % t intervals; "
        f"{split_words(study)}.",
        f"Score found against trials spent. {enough}.", drawing=drawing,
    )  # fmt: skip


# --- ranking by epoch ----------------------------------------------------------------------------------------------


def ranking_table(rankings: Sequence[RankingAnswer]) -> pd.DataFrame:
    """A row per experiment, a column per epoch: how often the leader belongs to the final tied set, in percent."""
    shares = {r.experiment: {at.epoch: 100 * at.share_tied for at in r.rankings} for r in rankings}
    table = pd.DataFrame.from_dict(shares, orient="index")
    return table[sorted(table.columns)]


def draw_rankings(rankings: Sequence[RankingAnswer], *, ax: Axes | None = None) -> Axes:
    """`ranking_table` as a heatmap; a frame marks the first epoch from which on the winner is safe."""
    table = ranking_table(rankings)
    labels = [f"{spoken(r.experiment)} ({r.n_tied} of {r.n_configurations} tied)" for r in rankings]
    if ax is None:
        left = width_of(labels) + 0.25
        height = 1.0 + 0.34 * len(table)
        ax = new_drawing(WIDTH + 0.6, height, left=left, right=0.2, top=0.1, bottom=0.62).subplots()
    sns.heatmap(table, annot=len(table.columns) <= 20, fmt=".0f", cmap="Blues", vmin=0, vmax=100, linewidths=0.5, ax=ax,
                cbar=False, yticklabels=labels, annot_kws={"fontsize": "x-small"})  # fmt: skip
    for i, ranking in enumerate(rankings):
        if ranking.sufficient is not None:
            ax.add_patch(Rectangle((ranking.sufficient - 1 + 0.05, i + 0.05), 0.9, 0.9, fill=False,
                                   edgecolor=ORANGE, linewidth=2.2))  # fmt: skip
    ax.tick_params(axis="x", rotation=0)
    ax.grid(visible=False)
    ax.set(xlabel="epoch (in the cells: % of resampled seeds)", ylabel="")
    return ax


def _ranking_figures(answers: StudyAnswers, study: StudyEstimates) -> Iterator[Figure]:
    telling = [r for r in answers.rankings if not r.is_vacuous]
    if not telling:
        return
    ax = draw_rankings(telling)
    frame = Patch(fill=False, edgecolor=ORANGE, linewidth=2, label="framed: the first epoch that suffices")
    legend_below(drawing_of(ax), [frame])
    silent = [r.experiment for r in answers.rankings if r.is_vacuous]
    left_out = f"; left out, because all are tied at the end: {', '.join(silent)}" if silent else ""
    first = "; ".join(f"{r.experiment}: {f'epoch {r.sufficient}' if r.sufficient else 'none'}" for r in telling)
    yield Figure(
        "ranking_by_epoch", "ranking", "Would fewer epochs have found the best configuration?",
        "In percent of resampled seeds: how often the leader at that epoch belongs to the final tied set; an epoch "
        f"suffices if from then on it does in at least 95 %; n = {extent(pd.Series([r.n_seeds for r in telling]))} "
        f"seeds{left_out}; {split_words(study)}.",
        f"The first epoch that suffices, by experiment: {first}.",
        f"One epoch suffices in {sum(r.sufficient == 1 for r in telling)} of {len(telling)} experiments.",
        drawing=drawing_of(ax),
    )  # fmt: skip


# --- confusions ----------------------------------------------------------------------------------------------------


def chosen_confusions(study: StudyEstimates, classes: pd.DataFrame, confusions: pd.DataFrame) -> Confused | None:
    """Those of the configuration with the best mean, of the recommended ones where there are any; None without rows."""
    rows = study.summary[study.summary["configuration"].isin(classes["configuration"])]
    if rows.empty:
        return None
    score = study.description.objective.sign * rows["objective_mean"]
    ranked = rows.assign(score=score, chosen=rows["recommended"].astype(bool)).sort_values(["chosen", "score"])
    name = str(ranked["configuration"].iloc[-1])
    tables = [table[table["configuration"] == name] for table in (classes, confusions)]
    own, pairs = (table[table["experiment"] == table["experiment"].iloc[0]] for table in tables)
    wrong = pairs[(pairs["true"] != pairs["predicted"]) & (pairs["n"] > 0)]
    return Confused(
        name, own.sort_values("share", kind="stable", ignore_index=True),
        wrong.sort_values("share", ascending=False, kind="stable", ignore_index=True).head(MOST_CONFUSIONS),
    )  # fmt: skip


@dataclass(frozen=True)
class Confused:
    """The classes of one configuration, the hardest first (CLASS_COLUMNS), and the pairs that it confuses most."""

    configuration: str
    classes: pd.DataFrame
    pairs: pd.DataFrame


def draw_classes(classes: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """The share of each class that was right, the hardest on top."""
    ax = blank(ax or new_axes())
    table = classes.assign(place=np.arange(len(classes), dtype=float))
    table[["share", "low", "high"]] *= 100
    places, lows, highs = (table[name].to_numpy(float) for name in ("place", "low", "high"))
    draw_intervals(ax, places, lows, highs, color=BLUE, upright=False)
    sns.scatterplot(table, x="share", y="place", color=BLUE, s=45, ax=ax, legend=False, zorder=4)
    ax.set_yticks(table["place"], table["class"])
    ax.set(xlabel="right (% of the class)", ylabel="", ylim=(len(table) - 0.4, -0.6))
    set_number_ticks(ax, along="x", most=5)
    return ax


def draw_pairs(pairs: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """The pairs of classes that are confused most: which share of the first was taken for the second."""
    ax = blank(ax or new_axes())
    table = pairs.assign(percent=100 * pairs["share"], pair=_pair_names(pairs))
    sns.barplot(table, x="percent", y="pair", color=BLUE, errorbar=None, ax=ax)
    for place, percent in enumerate(table["percent"]):
        ax.annotate(f"{percent:.1f}", (percent, place), xytext=(3, 0), textcoords="offset points", va="center",
                    fontsize="small")  # fmt: skip
    ax.set(xlabel="confused (% of the first class)", ylabel="", xlim=(0, 1.15 * table["percent"].max()))
    return ax


def _pair_names(pairs: pd.DataFrame) -> pd.Series:
    return pairs["true"] + " taken for " + pairs["predicted"]


def _confusion_figures(study: StudyEstimates, classes: pd.DataFrame, confusions: pd.DataFrame) -> Iterator[Figure]:
    found = chosen_confusions(study, classes, confusions)
    if found is None:
        return
    left, gap, panel = width_of(found.classes["class"]) + 0.25, width_of(_pair_names(found.pairs)) + 0.3, 2.4
    height = 0.95 + 0.27 * max(len(found.classes), len(found.pairs))
    n_panels = 1 + bool(len(found.pairs))
    width = left + panel + 0.25 + (gap + panel) * (n_panels - 1)
    drawing = new_drawing(width, height, left=left, right=0.25, top=0.1, bottom=0.62)
    drawing.subplots_adjust(wspace=gap / panel)
    axes = drawing.subplots(1, n_panels, squeeze=False)[0]
    draw_classes(found.classes, ax=axes[0])
    if n_panels > 1:
        draw_pairs(found.pairs, ax=axes[1])
    words = _hardest(found)
    n_seeds = extent(found.classes["n_seeds"])
    yield Figure(
        "confusion", "confusion", "Which classes does the best configuration confuse?",
        f"Configuration {study.labels.get(found.configuration, found.configuration)} after the last epoch, "
        f"n = {n_seeds} seeds, 95 % t intervals over seeds; {split_words(study)}; the test examples are not looked at.",
        words, words, drawing=drawing,
    )  # fmt: skip


def _hardest(found: Confused) -> str:
    first = found.classes.iloc[0]
    words = f"{first['class']} is hardest, {100 * first['share']:.1f} % right"
    if len(found.pairs):
        pair = found.pairs.iloc[0]
        words += f"; {pair['true']} is taken for {pair['predicted']} in {100 * pair['share']:.1f} %"
    return f"{words}."
