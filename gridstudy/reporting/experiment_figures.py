"""The figures of one experiment: its arms with their differences, heatmap, lines in panels and learning curves.

A `draw_...` function takes what it draws and an optional `ax`, and returns it; it opens no window and touches no state
of pyplot. Numbers come from the estimates; a data step beside a drawing step only picks and reshapes rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd
import seaborn as sns
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle
from matplotlib.ticker import MaxNLocator

from gridstudy.records.tables import FOREIGN
from gridstudy.reporting.plotting import (
    BEHIND,
    BLUE,
    GREY,
    MOST_LINES,
    SMALL_SIZE,
    STYLES,
    TIED,
    UNSTABLE,
    WIDTH,
    Figure,
    Floats,
    Mark,
    Row,
    Scale,
    Style,
    Unit,
    arm_name,
    blank,
    caption,
    confounded_labels,
    draw_intervals,
    drawing_of,
    experiment_points,
    finding,
    is_tuned,
    legend_below,
    legend_mark,
    make_scale,
    new_axes,
    new_drawing,
    outliers,
    place_labels,
    plain_name,
    records,
    set_number_ticks,
    set_scale,
    set_symlog,
    spoken,
    unit_of,
    varied_axes,
    width_of,
    wrap,
    wrap_label,
)
from gridstudy.statistics.comparisons import describe, is_paired
from gridstudy.statistics.estimates import ExperimentEstimate, StudyEstimates
from gridstudy.statistics.interactions import factorial_axes

MOST_ROWS = 40
WIDE = 15
"""Margins that a linear scale of differences may span before the margin itself is hard to see."""


def experiment_figures(estimate: ExperimentEstimate, study: StudyEstimates, cells: pd.DataFrame) -> Iterator[Figure]:
    """The figures of one experiment, in the order of the report."""
    own = cells[cells["experiment"] == estimate.experiment.name]
    for figure in (
        *_arms_figures(estimate, study), *_heatmap_figures(estimate, study),
        *_interaction_figures(estimate, own, study), *_isolation_figures(estimate, study),
        *_curves_figures(estimate, study),
    ):  # fmt: skip
        yield replace(figure, experiment=estimate.experiment.name)


# --- arms and their differences to the best ------------------------------------------------------------------------


@dataclass(frozen=True)
class Arms:
    """The arms of an experiment as they stand in its figure.

    `points` has `place`, where an arm stands, and `outside`, whether it lies off the scale; `seeds` has a row per
    trial: `place` and `score`. Arms with a `scale` stand along it, others are
    rows. Scores are in the unit shown.
    """

    points: pd.DataFrame
    seeds: pd.DataFrame
    limits: tuple[float, float]
    unit: Unit
    margin: float
    scale: Scale | None
    replicate: str

    @property
    def upright(self) -> bool:
        """Whether scores go up, and arms along."""
        return self.scale is not None

    @property
    def ends(self) -> Floats:
        """The ends of everything that the differences show; empty where there is none."""
        known = self.points[self.points["difference"].notna()]
        return known[["difference", "difference_low", "difference_high", "bound"]].to_numpy(float)

    @property
    def is_wide(self) -> bool:
        """Whether some arm is so many margins behind that a linear scale would hide the margin."""
        return self.ends.size > 0 and bool(-np.nanmin(self.ends) > WIDE * self.margin > 0)


def read_arms(estimate: ExperimentEstimate, study: StudyEstimates) -> Arms:
    """The arms along their axis where the experiment has one of numbers, else in rows, the best on top."""
    points, axes, unit = experiment_points(estimate), varied_axes(estimate), unit_of(study.description.objective)
    scale = None
    if len(axes) == 1 and not is_tuned(estimate):
        values = estimate.summary.set_index("configuration")[axes[0]]
        made = make_scale(study.description, axes[0], values[points["configuration"]])
        if made.kind != "category":
            scale = made
            points["place"] = [made.place(values[name]) for name in points["configuration"]]
    if scale is None:
        points = points.sort_values("mean", ascending=unit.sign < 0, kind="stable").head(MOST_ROWS)
        points["place"] = np.arange(len(points), dtype=float)
    scores = ["mean", "low", "high", "difference", "difference_low", "difference_high", "bound"]
    points[scores] = points[scores].astype(float) * unit.factor
    objectives = estimate.objectives[points["configuration"].tolist()] * (unit.sign * unit.factor)
    seeds = pd.DataFrame(
        {"place": np.tile(points["place"], len(objectives)), "score": objectives.to_numpy(float).ravel(),
         "configuration": np.tile(points["configuration"], len(objectives))}
    ).dropna()  # fmt: skip
    limits = _score_limits(points, seeds, sign=unit.sign)
    points["outside"] = ~points["mean"].between(*limits)
    replicate = "seed" if is_paired(estimate.objectives) else "run"
    return Arms(points, seeds, limits, unit, study.margin * unit.factor, scale, replicate)


def _score_limits(points: pd.DataFrame, seeds: pd.DataFrame, *, sign: int) -> tuple[float, float]:
    """From the worst to the best seed or interval of the stable arms that are no outliers, with a little room."""
    stable = points[points["status"] != UNSTABLE]
    if len(stable):
        means, lows, highs = (stable[name].to_numpy(float) for name in ("mean", "low", "high"))
        stable = stable[~outliers(means, sign=sign, lows=lows, highs=highs)]
    kept = stable if len(stable) else points
    scores = seeds.loc[seeds["configuration"].isin(kept["configuration"]), "score"]
    ends = np.concatenate([scores, kept["low"], kept["high"], kept["mean"]])
    low, high = float(np.nanmin(ends)), float(np.nanmax(ends))
    pad = 0.06 * ((high - low) or 1.0)
    return low - pad, high + pad


def draw_levels(arms: Arms, *, ax: Axes | None = None) -> Axes:
    """Scores of the arms: every seed faint, mean and interval before them; colour and shape say who may be the best.

    What lies off the scale is an arrow at the edge, with its mean.
    """
    ax = blank(ax or new_axes())
    x, y = ("place", "score") if arms.upright else ("score", "place")
    shown = arms.seeds[arms.seeds["score"].between(*arms.limits)]
    sns.scatterplot(shown, x=x, y=y, color=GREY, alpha=0.45, s=16, linewidth=0, ax=ax, legend=False, zorder=2)
    inside = arms.points[~arms.points["outside"]]
    _draw_statuses(ax, inside, "mean", "low", "high", upright=arms.upright)
    _draw_outside(ax, arms)
    _set_label(ax, arms, arms.unit.level)
    (ax.set_ylim if arms.upright else ax.set_xlim)(*arms.limits)
    return ax


def draw_differences(arms: Arms, *, ax: Axes | None = None) -> Axes:
    """Paired differences to the best arm with 95 % intervals, thin lines to the joint bound, and the margin's band.

    Where some arm is more than WIDE margins behind, the scale is logarithmic beyond twice the margin.
    """
    ax = blank(ax or new_axes())
    band = ax.axhspan if arms.upright else ax.axvspan
    band(-arms.margin, arms.margin, color=BLUE, alpha=0.12, linewidth=0, zorder=0)
    (ax.axhline if arms.upright else ax.axvline)(0, color=GREY, linewidth=0.8, zorder=1)
    known = arms.points[arms.points["difference"].notna()]
    places, means, bounds = (known[name].to_numpy(float) for name in ("place", "difference", "bound"))
    draw_intervals(ax, places, bounds, means, color=GREY, width=0.8, upright=arms.upright)
    _draw_statuses(ax, known, "difference", "difference_low", "difference_high", upright=arms.upright)
    _set_label(
        ax, arms, arms.unit.difference.replace("difference", "difference to the best", 1).replace(" (", "\n(", 1)
    )
    if arms.is_wide:
        low, high = float(np.nanmin(arms.ends)), float(np.nanmax(arms.ends))
        set_symlog(ax, low, high, margin=arms.margin, along="y" if arms.upright else "x")
    return ax


def _draw_statuses(ax: Axes, points: pd.DataFrame, value: str, low: str, high: str, *, upright: bool) -> None:
    for status, part in points.groupby("status", sort=False):
        style = STYLES[str(status)]
        places, lows, highs = (part[name].to_numpy(float) for name in ("place", low, high))
        if status != UNSTABLE:
            draw_intervals(ax, places, lows, highs, color=style.color, upright=upright)
        x, y = ("place", value) if upright else (value, "place")
        sns.scatterplot(
            part, x=x, y=y, marker=style.marker, color=style.face, edgecolor=style.color, linewidth=1.4, s=48,
            ax=ax, legend=False, zorder=4,
        )  # fmt: skip


def _draw_outside(ax: Axes, arms: Arms) -> None:
    """An arrow at the worse edge for each arm that is off the scale, with its mean."""
    edge, inward = (0.0, 0.05) if arms.unit.sign > 0 else (1.0, -0.05)
    for row in records(arms.points[arms.points["outside"]]):
        words = arms.unit.show(row["mean"] / arms.unit.factor)
        color = STYLES[row["status"]].color
        along = "x" if arms.upright else "y"
        place = {"x": row["place"], "y": row["place"]}
        coords = ("data", "axes fraction") if arms.upright else ("axes fraction", "data")
        tip = (place["x"], edge) if arms.upright else (edge, place["y"])
        offset = (0, 26 * np.sign(inward)) if along == "x" else (26 * np.sign(inward), 0)
        ax.annotate(
            words, tip, xycoords=coords, xytext=offset, textcoords="offset points", color=color, fontsize="small",
            ha="center" if arms.upright else ("left" if inward > 0 else "right"), va="center",
            arrowprops={"arrowstyle": "-|>", "color": color, "shrinkA": 1, "shrinkB": 0},
        )  # fmt: skip


def _set_label(ax: Axes, arms: Arms, title: str) -> None:
    if arms.upright:
        ax.set(xlabel="", ylabel=title)
        set_number_ticks(ax, along="y", most=6)
    else:
        ax.set(xlabel=title, ylabel="")
        set_number_ticks(ax, along="x", most=5)
        ax.set_yticks(arms.points["place"], arms.points["label"])
        ax.set_ylim(len(arms.points) - 0.4, -0.6)


def draw_arms(arms: Arms) -> tuple[Axes, Axes]:
    """Scores and differences to the best in one drawing: one above the other along an axis, else side by side."""
    if arms.scale is not None:
        drawing = new_drawing(WIDTH, 5.3, left=1.05, right=0.25, top=0.1, bottom=0.56)
        above, below = drawing.subplots(2, 1, sharex=True, height_ratios=[3, 2])
        draw_levels(arms, ax=above)
        draw_differences(arms, ax=below)
        set_scale(below, arms.scale)
        below.set_xlim(*_ends_of(arms.points["place"].to_numpy(float), log=arms.scale.kind == "log"))
        drawing.align_ylabels()
        return above, below
    n_lines = sum(max(1.25, 1 + 0.9 * label.count("\n")) for label in arms.points["label"])
    left = width_of(arms.points["label"]) + 0.25
    drawing = new_drawing(WIDTH, 0.9 + max(1.0, 0.23 * n_lines), left=left, right=0.2, top=0.1, bottom=0.74)
    level, difference = drawing.subplots(1, 2, sharey=True)
    draw_levels(arms, ax=level)
    draw_differences(arms, ax=difference)
    difference.tick_params(labelleft=False)
    return level, difference


def _ends_of(places: Floats, *, log: bool) -> tuple[float, float]:
    """Limits with a little room beyond the outer arms, also where these are off the other scale."""
    ends = np.log([places.min(), places.max()]) if log else np.array([places.min(), places.max()])
    padded = ends + 0.05 * (np.ptp(ends) or 1.0) * np.array([-1, 1])
    low, high = np.exp(padded) if log else padded
    return float(low), float(high)


def arms_legend(arms: Arms) -> list[Artist]:
    """What the marks mean: those that occur."""
    words = f"one {arms.replicate}"
    handles: list[Artist] = [
        Line2D([], [], linestyle="", color=GREY, marker="o", alpha=0.45, markersize=4, label=words)
    ]
    if arms.points["low"].notna().any():
        handles.append(Line2D([], [], color=GREY, linewidth=2, label="95 % interval"))
    present = [status for status in STYLES if (arms.points["status"] == status).any()]
    handles += [legend_mark(STYLES[status].words, STYLES[status]) for status in present]
    if arms.points["bound"].notna().any():
        handles.append(Line2D([], [], color=GREY, linewidth=0.8, label="to the joint bound over all arms"))
    handles.append(Patch(color=BLUE, alpha=0.12, linewidth=0, label="within the margin"))
    return handles


def arms_marks(arms: Arms, level: Axes, difference: Axes) -> tuple[Mark, ...]:
    """What a page shows at each arm: its mean, interval, n, and difference to the best."""
    marks = []
    for row in records(arms.points):
        name, factor = " ".join(str(row["label"]).split()), arms.unit.factor
        mean = arms.unit.show_interval(*(row[k] / factor for k in ("mean", "low", "high")))
        words = f"{mean}, n = {row['n']:.0f}"
        if not row["outside"]:
            at = (row["place"], row["mean"]) if arms.upright else (row["mean"], row["place"])
            marks.append(Mark(level, *at, f"{name}: {words}"))
        if np.isfinite(row["difference"]):
            keys = ("difference", "difference_low", "difference_high")
            apart = f"{arms.unit.show_difference(*(row[k] / factor for k in keys))} to the best"
            apart = apart if row["difference"] else "the best mean"
            at = (row["place"], row["difference"]) if arms.upright else (row["difference"], row["place"])
            marks.append(Mark(difference, *at, f"{name}: {apart}; {words}"))
    return tuple(marks)


def _arms_figures(estimate: ExperimentEstimate, study: StudyEstimates) -> Iterator[Figure]:
    """One figure, where there is anything to compare."""
    name, arms = estimate.experiment.name, read_arms(estimate, study)
    if len(arms.points) < 2 or (arms.points["status"] == UNSTABLE).all():
        return
    level, difference = draw_arms(arms)
    legend_below(drawing_of(level), arms_legend(arms))
    words = _arms_words(arms, estimate, study)
    quantity = study.description.objective.label
    yield Figure(
        f"{plain_name(study.description.objective.quantity)}_{plain_name(name)}", "experiment",
        experiment_title(estimate), caption(estimate, study, *words),
        f"{quantity.capitalize()} of {len(arms.points)} arms and their differences to the best: {_ends(arms)}",
        finding(estimate, study.description), confounded_labels(estimate), drawing=drawing_of(level),
        marks=arms_marks(arms, level, difference),
    )  # fmt: skip


def _arms_words(arms: Arms, estimate: ExperimentEstimate, study: StudyEstimates) -> Iterator[str]:
    """What the caption says of the arms' figure."""
    if (n_all := len(experiment_points(estimate))) > MOST_ROWS:
        yield f"the {MOST_ROWS} best means of {n_all} configurations"
    if estimate.best and not estimate.look:
        yield "provisional: before the first look is complete, all arms count as tied"
    if is_tuned(estimate):
        yield f"each arm at its best {_titles(estimate, study, estimate.experiment.nuisance)}"
    if arms.points["outside"].any():
        off = arms.points.loc[arms.points["outside"], "label"]
        yield f"off the scale of the scores: {'; '.join(' '.join(label.split()) for label in off)}"
    yield "differences are paired over seeds, each with an interval of its own (95 %)" + (
        ", on a scale that is logarithmic beyond twice the margin" if arms.is_wide else ""
    )
    if ((arms.points["status"] == TIED) & (arms.points["difference_high"] < 0)).any():
        yield "a tied arm whose own interval excludes zero is still tied at the joint level of all arms"
    tied, behind = (arms.points.loc[arms.points["status"] == status, "difference"] for status in (TIED, BEHIND))
    if len(tied) and len(behind) and tied.min() < behind.max():
        yield "an arm may stay tied below one that is not, where its difference varies more between seeds"


def experiment_title(estimate: ExperimentEstimate) -> str:
    """The question, or what stands for it."""
    name = estimate.experiment.name
    return estimate.experiment.question or ("Runs of another program" if name == FOREIGN else spoken(name))


def _titles(estimate: ExperimentEstimate, study: StudyEstimates, names: Sequence[str]) -> str:
    varied = [name for name in names if estimate.summary[name].nunique() > 1]
    return " and ".join(make_scale(study.description, name, estimate.summary[name]).title for name in varied)


def _ends(arms: Arms) -> str:
    """The best and the worst mean in words, for those who cannot see the picture."""
    ranked = arms.points.sort_values("mean", ascending=arms.unit.sign < 0, kind="stable")
    words = [
        f"{' '.join(str(r['label']).split())} {arms.unit.show(r['mean'] / arms.unit.factor)}" for r in records(ranked)
    ]
    return f"best {words[0]}, worst {words[-1]}." if len(words) > 1 else f"{words[0]}."


# --- heatmaps ------------------------------------------------------------------------------------------------------


def is_heatmap(estimate: ExperimentEstimate, *, epochs: str) -> bool:
    """Whether cells are configurations on two axes that saw equally many examples: unequal ones never share a map."""
    axes = factorial_axes(estimate.experiment, epochs=epochs)
    planned = len(axes) == 2 and set(axes) <= set(estimate.experiment.varied)
    return planned and "examples" not in estimate.confounded


def draw_heatmap(estimate: ExperimentEstimate, study: StudyEstimates, *, ax: Axes | None = None) -> Axes:
    """Means of a two-way grid; frames mark what may be the best, a star the recommended, words the unstable."""
    unit = unit_of(study.description.objective)
    down, along = _heatmap_scales(estimate, study)
    cells = estimate.summary.set_index([down.name, along.name]).reindex(
        pd.MultiIndex.from_product([down.values, along.values])
    )
    means = cells["objective_mean"].where(cells["n_diverged"] == 0) * unit.factor
    shape = (len(down.values), len(along.values))
    ax = ax or new_axes(1.5 + 0.46 * shape[0], right=0.1)
    words = np.array([_cell_words(row, unit) for row in records(cells)]).reshape(shape)
    sns.heatmap(
        means.to_numpy(float).reshape(shape), annot=words, fmt="", ax=ax,
        cmap="cividis" if unit.sign > 0 else "cividis_r",
        xticklabels=list(along.words), yticklabels=list(down.words),
        cbar_kws={"label": f"mean {unit.level}"}, annot_kws={"fontsize": "small"},
    )  # fmt: skip
    ax.set_facecolor("#DDDDDD")
    ax.grid(visible=False)
    ax.invert_yaxis()
    ax.tick_params(axis="y", rotation=0)
    ax.set(xlabel=along.title, ylabel=down.title)
    _frame_tied(ax, cells, shape, unit)
    for (i, j), row in zip(np.ndindex(shape), records(cells), strict=True):
        if row["n_diverged"] > 0:
            ax.text(
                j + 0.5,
                i + 0.5,
                f"unstable\n{row['n_diverged']:.0f} of {row['n']:.0f}",
                ha="center",
                va="center",
                fontsize="small",
            )
    return ax


def _heatmap_scales(estimate: ExperimentEstimate, study: StudyEstimates) -> tuple[Scale, Scale]:
    axes = factorial_axes(estimate.experiment, epochs=study.description.epochs).items()
    down, along = (make_scale(study.description, name, values) for name, values in axes)
    return down, along


def _cell_words(row: Row, unit: Unit) -> str:
    if not np.isfinite(row["objective_mean"]) or row["n_diverged"] > 0:
        return ""
    return unit.show(row["objective_mean"]).removesuffix(unit.symbol) + " ★" * bool(row["recommended"])


def _frame_tied(ax: Axes, cells: pd.DataFrame, shape: tuple[int, int], unit: Unit) -> None:
    goodness = unit.sign * cells["objective_mean"].where(cells["n_diverged"] == 0)
    middle = (goodness.min() + goodness.max()) / 2
    for (i, j), tied, good in zip(np.ndindex(shape), cells["tied_with_best"], goodness, strict=True):
        if tied == 1:
            ink = "black" if good > middle else "white"
            ax.add_patch(Rectangle((j + 0.06, i + 0.08), 0.88, 0.84, fill=False, edgecolor=ink, linewidth=1.6))


def _heatmap_figures(estimate: ExperimentEstimate, study: StudyEstimates) -> Iterator[Figure]:
    if not is_heatmap(estimate, epochs=study.description.epochs) or estimate.best is None:
        return
    unit, arms = unit_of(study.description.objective), read_arms(estimate, study)
    ax = draw_heatmap(estimate, study)
    framed = Patch(fill=False, edgecolor="black", linewidth=1.6, label="framed: may be the best (tied with the best)")
    handles: list[Artist] = [framed] if estimate.tied else []
    if estimate.recommended:
        starred = Style("black", "*", "black", "")
        handles.append(legend_mark("recommended: the cheapest within the margin", starred, size=10))
    if handles:
        legend_below(drawing_of(ax), handles)
    n_tied = f"{len(estimate.tied)} of {len(estimate.summary)} cells are framed: they may be the best"
    yield Figure(
        f"heatmap_{plain_name(estimate.experiment.name)}", "heatmap", experiment_title(estimate),
        caption(estimate, study, f"means over seeds, {unit.level}", n_tied, noise_words(estimate, unit)),
        f"Heatmap of mean {study.description.objective.label}; {n_tied}; {_ends(arms)}",
        finding(estimate, study.description), confounded_labels(estimate), drawing=drawing_of(ax),
        marks=_heatmap_marks(ax, estimate, study),
    )  # fmt: skip


def noise_words(estimate: ExperimentEstimate, unit: Unit) -> str:
    """The noise floor beside which the means must be read."""
    sd, resolved = estimate.noise.sd_median, estimate.noise.resolvable_paired
    if not (np.isfinite(sd) and np.isfinite(resolved)):
        return "the noise floor is unknown with fewer than 3 seeds"
    spread, least = (unit.show_difference(value).lstrip("+") for value in (sd, resolved))
    return f"one configuration varies by {spread} between seeds (standard deviation), and these seeds resolve {least}"


def point_words(name: str, row: Row, unit: Unit) -> str:
    """A configuration with its mean, interval and n, from a row of the summary."""
    mean = unit.show_interval(row["objective_mean"], row["objective_low"], row["objective_high"])
    return f"{name}: {mean}, n = {row['n']:.0f}"


def _heatmap_marks(ax: Axes, estimate: ExperimentEstimate, study: StudyEstimates) -> tuple[Mark, ...]:
    unit = unit_of(study.description.objective)
    down, along = _heatmap_scales(estimate, study)
    return tuple(
        Mark(ax, along.values.index(row[along.name]) + 0.5, down.values.index(row[down.name]) + 0.5,
             point_words(str(row["label"]), row, unit))
        for row in records(estimate.summary[estimate.summary["n"] > 0])
    )  # fmt: skip


# --- lines in panels: interactions and nuisance hyperparameters ----------------------------------------------------


@dataclass(frozen=True)
class Lines:
    """Scores along an axis, a line per panel, in the unit shown.

    `points` has `panel`, `place`, `mean`, `low`, `high`, `best` and `unstable`. Where the lines' peaks are the question
    (`peaks`), what lies far below may be off the scale.
    """

    points: pd.DataFrame
    scale: Scale
    panels: tuple[str, ...]
    unit: Unit
    peaks: bool = False


def draw_lines(lines: Lines) -> Axes:
    """A panel per line with its intervals, all others pale behind it, so that no two intervals share a place."""
    columns = {1: 1, 2: 2, 3: 3, 4: 2, 5: 3, 6: 3}.get(len(lines.panels), 4)
    rows = -(-len(lines.panels) // columns)
    drawing = new_drawing(WIDTH, 0.75 + 2.0 * rows, left=0.8, right=0.15, top=0.35, bottom=0.62)
    drawing.subplots_adjust(hspace=0.32, wspace=0.08)
    grid = drawing.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    panels: list[Axes] = grid.ravel().tolist()
    for ax, panel in zip(panels, lines.panels, strict=False):
        _draw_panel(ax, lines, panel)
    for ax in panels[len(lines.panels) :]:
        ax.set_axis_off()
    _set_panel_axes(grid, lines)
    limits = _limit_to_contenders(grid[0, 0], lines)
    for ax, panel in zip(panels, lines.panels, strict=False):
        _draw_cut_off(ax, lines, panel, limits)
    return panels[0]


def _draw_panel(ax: Axes, lines: Lines, panel: str) -> None:
    blank(ax)
    for name, part in lines.points[~lines.points["unstable"]].groupby("panel", sort=False):
        if name != panel:
            ax.plot(part["place"], part["mean"], color="#CCCCCC", linewidth=1, zorder=1)
    own = lines.points[lines.points["panel"] == panel]
    stable, unstable = own[~own["unstable"]], own[own["unstable"]]
    places, lows, highs = (stable[name].to_numpy(float) for name in ("place", "low", "high"))
    draw_intervals(ax, places, lows, highs, color=BLUE, width=1.6)
    sns.lineplot(stable, x="place", y="mean", marker="o", color=BLUE, errorbar=None, ax=ax, legend=False, zorder=4)
    ax.plot(unstable["place"], unstable["mean"], "X", color=STYLES[UNSTABLE].color, markersize=8, zorder=4)
    best = own[own["best"]]
    ax.plot(best["place"], best["mean"], "o", color="black", markerfacecolor="none", markersize=13, zorder=5)
    ax.set_title(wrap(panel, 30))


def _set_panel_axes(grid: npt.NDArray[np.object_], lines: Lines) -> None:
    for ax in grid.ravel():
        ax.set(xlabel="", ylabel="")
    for ax in grid[:, 0]:
        ax.set_ylabel(lines.unit.level)
        set_number_ticks(ax, along="y", most=5)
    for column in range(grid.shape[1]):
        lowest = max(row for row in range(grid.shape[0]) if row * grid.shape[1] + column < len(lines.panels))
        set_scale(grid[lowest, column], lines.scale, width=6.8 / grid.shape[1])
        grid[lowest, column].tick_params(labelbottom=True)


def _limit_to_contenders(ax: Axes, lines: Lines) -> tuple[float, float]:
    """Where peaks are the question, leave out up to a quarter of the cells that squeeze the rest to less than half."""
    stable = lines.points[~lines.points["unstable"] & lines.points["mean"].notna()]
    goodness = lines.unit.sign * stable["mean"]
    good = stable[goodness >= goodness.quantile(0.25)]
    ends = [(np.nanmin(part[["low", "mean"]]), np.nanmax(part[["high", "mean"]])) for part in (stable, good)]
    full, reduced = (high - low for low, high in ends)
    low, high = ends[1] if lines.peaks and 0 < 2 * reduced < full else ends[0]
    pad = 0.08 * ((high - low) or 1.0)
    ax.set_ylim(low - pad, high + pad)
    return float(low - pad), float(high + pad)


def _draw_cut_off(ax: Axes, lines: Lines, panel: str, limits: tuple[float, float]) -> None:
    """The mean of each cell that is off the scale, at the edge beyond which it lies."""
    own = lines.points[(lines.points["panel"] == panel) & lines.points["mean"].notna()]
    for row in records(own):
        if limits[0] <= row["mean"] <= limits[1]:
            continue
        below = row["mean"] < limits[0]
        ends = lines.points["place"].min(), lines.points["place"].max()
        ax.annotate(
            f"{'↓' if below else '↑'}{row['mean']:.2g}", (row["place"], 0.0 if below else 1.0),
            xycoords=("data", "axes fraction"), fontsize="x-small", xytext=(0, 3 if below else -3),
            textcoords="offset points", va="bottom" if below else "top",
            ha={ends[0]: "left", ends[1]: "right"}.get(row["place"], "center"),
            color=STYLES[UNSTABLE].color if row["unstable"] else BLUE,
        )  # fmt: skip


def interaction_sides(cells: pd.DataFrame, study: StudyEstimates) -> tuple[Scale, Scale]:
    """The axis to draw along and the one whose values are panels: the shorter, of equal ones the second."""
    first, second = (
        make_scale(study.description, str(cells[side].iloc[0]), cells[f"{side}_value"]) for side in ("first", "second")
    )  # fmt: skip
    return (second, first) if len(second.values) > len(first.values) else (first, second)


def read_interaction(cells: pd.DataFrame, study: StudyEstimates) -> Lines:
    """The cell means of two axes (CELL_COLUMNS) as lines."""
    along, split = interaction_sides(cells, study)
    swapped = str(cells["first"].iloc[0]) == along.name
    at, of = ("first_value", "second_value") if swapped else ("second_value", "first_value")
    unit = unit_of(study.description.objective)
    panels = {value: f"{split.title}: {split.word(value)}" for value in split.values}
    points = pd.DataFrame(
        {"panel": [panels[v] for v in cells[of]], "place": [along.place(v) for v in cells[at]],
         **{name: cells[name].to_numpy(float) * unit.factor for name in ("mean", "low", "high")},
         "best": False, "unstable": (cells["n_diverged"] > 0).to_numpy()}
    )  # fmt: skip
    order = {panel: i for i, panel in enumerate(panels.values())}
    points = points.sort_values(["panel", "place"], key=lambda c: c.map(order) if c.name == "panel" else c)
    return Lines(points, along, tuple(panels.values()), unit)


def _interaction_figures(estimate: ExperimentEstimate, cells: pd.DataFrame, study: StudyEstimates) -> Iterator[Figure]:
    name = estimate.experiment.name
    pairs = list(cells.groupby(["first", "second"], sort=False))
    for (first, second), part in pairs:
        if part["mean"].notna().sum() < 2:
            continue
        suffix = f"_{first}_x_{second}" if len(pairs) > 1 else ""
        lines = read_interaction(part, study)
        n_unstable = int((part["n_diverged"] > 0).sum())
        unstable = [f"{n_unstable} unstable cells left out"] * bool(n_unstable)
        yield Figure(
            f"interaction_{plain_name(name)}{suffix}", "interaction", experiment_title(estimate),
            caption(estimate, study, "each panel shows one line with its intervals and the others pale behind it",
                    "parallel lines would mean no interaction", *unstable),
            f"{study.description.objective.label.capitalize()} against {lines.scale.title}, a panel for each of "
            f"{', '.join(lines.panels)}.",
            labels=confounded_labels(estimate), drawing=drawing_of(draw_lines(lines)),
                )  # fmt: skip


def _varied_nuisance(estimate: ExperimentEstimate) -> list[str]:
    return [name for name in estimate.experiment.nuisance if estimate.summary[name].nunique() > 1]


def read_isolation(estimate: ExperimentEstimate, study: StudyEstimates) -> Lines:
    """The scores of each arm against the one nuisance hyperparameter; the best of each arm is marked."""
    (nuisance,) = _varied_nuisance(estimate)
    unit = unit_of(study.description.objective)
    rows = estimate.summary[estimate.summary["n"] > 0]
    scale = make_scale(study.description, nuisance, rows[nuisance])
    parts = []
    for arm in records(estimate.arms):
        part = rows[_is_arm(rows, estimate, arm)]
        parts.append(pd.DataFrame(
            {"panel": str(arm["arm"]), "place": [scale.place(v) for v in part[nuisance]],
             **{name: part[f"objective_{name}"].to_numpy(float) * unit.factor for name in ("mean", "low", "high")},
             "best": (part["configuration"] == arm["configuration"]).to_numpy(),
             "unstable": (part["n_diverged"] > 0).to_numpy()}
        ).sort_values("place"))  # fmt: skip
    return Lines(pd.concat(parts, ignore_index=True), scale, tuple(map(str, estimate.arms["arm"])), unit, peaks=True)


def _is_arm(rows: pd.DataFrame, estimate: ExperimentEstimate, arm: Row) -> pd.Series:
    scientific = list(estimate.experiment.scientific)
    return (rows[scientific] == pd.Series({name: arm[name] for name in scientific})).all(axis=1)


def _isolation_figures(estimate: ExperimentEstimate, study: StudyEstimates) -> Iterator[Figure]:
    if len(_varied_nuisance(estimate)) != 1 or not 1 < len(estimate.arms) <= MOST_LINES:
        return
    lines = read_isolation(estimate, study)
    title, unit = lines.scale.title, lines.unit
    best = ", ".join(f"{arm['arm']} {unit.show(arm['objective_mean'])}" for arm in records(estimate.arms))
    tuned = f"rings mark each arm's best {title}, the best mean over seeds, which is what the arms are compared at"
    yield Figure(
        f"isolation_{plain_name(estimate.experiment.name)}", "isolation", experiment_title(estimate),
        caption(estimate, study, tuned), f"A panel per arm against {title}; best of each: {best}.",
        finding(estimate, study.description), confounded_labels(estimate), drawing=drawing_of(draw_lines(lines)),
    )  # fmt: skip


# --- learning curves -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class CurveBand:
    """One arm's objective by epoch: a row per seed, and mean and 95 % interval; NaN if unstable."""

    configuration: str
    label: str
    seeds: Floats
    mean: Floats
    low: Floats
    high: Floats

    @property
    def epochs(self) -> npt.NDArray[np.int64]:
        """Epochs from 1."""
        return np.arange(1, self.seeds.shape[1] + 1)


def curve_bands(estimate: ExperimentEstimate, study: StudyEstimates) -> list[CurveBand]:
    """The curves of the arms that `experiment_points` shows; none where they are too many to tell apart.

    Arms that differ in the number of epochs only have one curve in common: the longest stands for all.
    """
    points = experiment_points(estimate)
    epochs = study.description.epochs
    if epochs and varied_axes(estimate) == [epochs] and not _varied_nuisance(estimate):
        longest = estimate.summary.loc[estimate.summary["n"] > 0].sort_values(epochs)["configuration"].iloc[-1]
        points = points[points["configuration"] == longest]
    if len(points) > MOST_LINES:
        return []
    by_name = {str(name): rows for name, rows in study.curves.groupby("configuration")}
    factor = unit_of(study.description.objective).factor
    return [
        _curve_band(estimate, point, by_name[point["configuration"]], factor=factor)
        for point in records(points) if point["configuration"] in by_name
    ]  # fmt: skip


def _curve_band(estimate: ExperimentEstimate, point: Row, curves: pd.DataFrame, *, factor: float) -> CurveBand:
    name = str(point["configuration"])
    seeds = factor * curves.pivot(index="trial_id", columns="epoch", values="objective").to_numpy(float)
    band = describe(seeds)
    unstable = estimate.unstable.get(name)
    label = wrap_label(arm_name(estimate, name), 24) + (f"\n({unstable})" if unstable else "")
    hidden = np.full(seeds.shape[1], np.nan)
    mean, low, high = (hidden,) * 3 if unstable else (band.mean, band.low, band.high)
    return CurveBand(name, label, seeds, mean, low, high)


def draw_curves(bands: Sequence[CurveBand], unit: Unit, *, ordered: bool = False, ax: Axes | None = None) -> Axes:
    """The objective by epoch, labelled at its end: seeds faint, mean and interval before them.

    Colours follow the order of the arms where they are `ordered` along an axis. Of an unstable arm the seeds alone
    are drawn.
    """
    limits = curve_limits(bands, unit)
    labels = [_end_label(band, unit, limits) for band in bands]
    ax = ax or new_axes(4.4, right=width_of(labels, size=SMALL_SIZE) + 0.2)
    blank(ax)
    colours = curve_colours(len(bands), ordered=ordered)
    for band, colour in zip(bands, colours, strict=True):
        ax.plot(band.epochs, band.seeds.T, color=colour, alpha=0.3, linewidth=0.7, label="_seed", zorder=1)
        sns.lineplot(
            x=band.epochs, y=band.mean, color=colour, linewidth=2, errorbar=None, ax=ax, legend=False, zorder=3
        )
        ax.fill_between(band.epochs, band.low, band.high, color=colour, alpha=0.15, linewidth=0)
    ax.xaxis.set_major_locator(MaxNLocator(nbins=10, integer=True, min_n_ticks=1))
    ax.set(xlabel="epoch", ylabel=unit.level)
    ax.set_ylim(*limits)
    set_number_ticks(ax, along="y", most=7)
    _label_ends(ax, labels, [_end(band) for band in bands], colours)
    return ax


def curve_colours(n: int, *, ordered: bool) -> list[str]:
    """Colours from dark to light where the arms have an order, else ones that differ."""
    if ordered and n > 1:
        return list(sns.color_palette("viridis", n + 1).as_hex()[:n])
    return list(sns.color_palette("colorblind", n).as_hex())


def curve_limits(bands: Sequence[CurveBand], unit: Unit) -> tuple[float, float]:
    """From the worst to the best of the contenders' intervals and last scores, without arms far behind at the end."""
    stable = [band for band in bands if np.isfinite(band.mean).any()] or list(bands)
    ends = np.array([_end(band) for band in stable])
    lows, highs = (
        np.array([f(np.concatenate([band.low, band.high, band.mean, band.seeds[:, -1]])) for band in stable])
        for f in (np.nanmin, np.nanmax)
    )
    kept = np.ones(len(stable), bool)
    if len(stable) > 2:
        last = np.array([(band.low[-1], band.high[-1]) for band in stable])
        kept = ~outliers(ends, sign=unit.sign, lows=last[:, 0], highs=last[:, 1])
    low, high = lows[kept].min(), highs[kept].max()
    pad = 0.05 * ((high - low) or 1.0)
    return low - pad, high + pad


def _end(band: CurveBand) -> float:
    return float(np.nanmean(band.seeds[:, -1]))


def _end_label(band: CurveBand, unit: Unit, limits: tuple[float, float]) -> str:
    """An arm's name; where its curve leaves the picture, with its last mean."""
    if limits[0] <= _end(band) <= limits[1]:
        return band.label
    return f"{band.label}\n(ends at {unit.show(_end(band) / unit.factor)})"


def _label_ends(ax: Axes, labels: Sequence[str], ends: Sequence[float], colours: Sequence[str]) -> None:
    """Each arm's name where its curve ends, or at the edge that it leaves the picture at."""
    places = place_labels(ax, ends, labels)
    for label, colour, place in zip(labels, colours, places, strict=True):
        ax.annotate(label, (1, place), xycoords=("axes fraction", "data"), xytext=(6, 0), textcoords="offset points",
                    va="center", color=colour, fontsize="small", annotation_clip=False)  # fmt: skip


def _curves_figures(estimate: ExperimentEstimate, study: StudyEstimates) -> Iterator[Figure]:
    name = estimate.experiment.name
    bands = curve_bands(estimate, study) if name != FOREIGN and "objective" in study.curves else []
    if not any(np.isfinite(band.mean).any() and band.seeds.shape[1] > 1 for band in bands):
        return
    axes, unit = varied_axes(estimate), unit_of(study.description.objective)
    ordered = len(axes) == 1 and make_scale(study.description, axes[0], estimate.summary[axes[0]]).kind != "category"
    if ordered:
        order = estimate.summary.set_index("configuration")[axes[0]]
        bands = sorted(bands, key=lambda band: order[band.configuration])
    ax = draw_curves(bands, unit, ordered=ordered)
    yield Figure(
        f"curves_{plain_name(name)}", "curves", f"Learning curves: {experiment_title(estimate)}",
        caption(estimate, study, _curves_words(estimate, study, bands)),
        f"{study.description.objective.label.capitalize()} by epoch of "
        f"{', '.join(' '.join(band.label.split()) for band in bands)}.",
        labels=confounded_labels(estimate), drawing=drawing_of(ax),
    )  # fmt: skip


def _curves_words(estimate: ExperimentEstimate, study: StudyEstimates, bands: Sequence[CurveBand]) -> str:
    drawn = "lines are means, bands 95 % intervals, thin lines seeds"
    if is_tuned(estimate):
        return f"each arm at its best {_titles(estimate, study, estimate.experiment.nuisance)}; {drawn}"
    if len(bands) < len(experiment_points(estimate)):
        return f"the longest arm, whose curve the shorter ones share; {drawn}"
    return drawn
