"""The figure of an experiment's arms: their scores, and their paired differences to the best."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from gridstudy.reporting.plotting import (
    BEHIND,
    BLUE,
    GREY,
    STYLES,
    TIED,
    UNSTABLE,
    WIDTH,
    Figure,
    Floats,
    Mark,
    Scale,
    Unit,
    best_and_worst,
    blank,
    caption,
    confounded_labels,
    draw_intervals,
    drawing_of,
    experiment_points,
    experiment_title,
    finding,
    is_tuned,
    legend_below,
    legend_mark,
    make_scale,
    new_axes,
    new_drawing,
    outliers,
    plain_name,
    records,
    set_number_ticks,
    set_scale,
    set_symlog,
    tuned_words,
    unit_of,
    varied_axes,
    width_of,
)
from gridstudy.statistics.comparisons import is_paired
from gridstudy.statistics.estimates import ExperimentEstimate, StudyEstimates

MOST_ROWS = 40
WIDE = 15
"""Margins that a linear scale of differences may span before the margin itself is hard to see."""


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
        """The finite ends of everything that the differences show; empty where there is none."""
        known = self.points[self.points["difference"].notna()]
        ends = known[["difference", "difference_low", "difference_high", "bound"]].to_numpy(float)
        return np.asarray(ends[np.isfinite(ends)])  # nothing bounds a difference that cannot be tested

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


def arm_figures(estimate: ExperimentEstimate, study: StudyEstimates) -> Iterator[Figure]:
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
        f"{quantity.capitalize()} of {len(arms.points)} arms and their differences to the best: "
        f"{best_and_worst(estimate, arms.unit)}",
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
        yield f"each arm at its best {tuned_words(estimate, study)}"
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
