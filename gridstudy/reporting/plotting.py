"""What the figures share: the words on them, units and scales, the points of an experiment, marks and margins."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import seaborn as sns
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Drawing
from matplotlib.font_manager import FontProperties
from matplotlib.lines import Line2D
from matplotlib.textpath import text_to_path
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullLocator

from gridstudy.core.labels import BASELINE, tell_apart
from gridstudy.core.space import Hyperparameter
from gridstudy.core.subject import Description, Objective
from gridstudy.core.values import Value, digest, format_value
from gridstudy.records.tables import FOREIGN
from gridstudy.records.verdicts import verdict_word
from gridstudy.statistics.estimates import ExperimentEstimate, StudyEstimates

WIDTH = 8.0
"""Inches of an ordinary picture."""
MOST_LINES = 8
FONT = "DejaVu Sans"
TICK_SIZE, SMALL_SIZE = 9.9, 9.0
"""Points of the text of ticks and legends, and of names written beside marks."""
LINE, SMALL_LINE = 0.19, 0.155
"""Inches between two lines of text, and of small text."""

BLUE, ORANGE, GREEN, RED = sns.color_palette("colorblind").as_hex()[:4]
GREY = "#666666"

Row = Mapping[Hashable, Any]
"""A row of a table, by column."""
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Mark:
    """A place in some axes, in data coordinates, and what a page shows when the pointer rests on it."""

    ax: Axes
    x: float
    y: float
    text: str


@dataclass(frozen=True)
class Figure:
    """A picture with the words that belong to it.

    `kind` is what it shows (forest, experiment, heatmap, ...), `labels` are the warnings that it must carry. It has a
    `drawing` with `marks` until it is saved; from then on it has a `path`, and `points` (x, y, text) where a page may
    show more, x and y from 0 to 1 from the picture's left and top.
    """

    name: str
    kind: str
    title: str
    caption: str
    alt_text: str
    finding: str = ""
    labels: tuple[str, ...] = ()
    experiment: str = ""
    drawing: Drawing | None = None
    marks: tuple[Mark, ...] = ()
    path: Path = Path()
    points: tuple[tuple[float, float, str], ...] = ()


def records(table: pd.DataFrame) -> list[dict[Hashable, Any]]:
    """The rows of a table, each by column."""
    return table.to_dict("records")


# --- units and scales ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Unit:
    """How scores are shown: a factor, the digits after the point, the titles of axes, and the sign of the better."""

    factor: float
    digits: int | None
    symbol: str
    points: str
    level: str
    difference: str
    sign: int

    def show(self, score: float) -> str:
        """A score in words: `84.1 %`."""
        return f"{self._number(self.factor * score)}{self.symbol}"

    def show_difference(self, difference: float, low: float = np.nan, high: float = np.nan) -> str:
        """A difference with its interval, where it has one: `+0.28 points [+0.11, +0.44]`."""
        words = f"{self._signed(difference)}{self.points}"
        return f"{words} [{self._signed(low)}, {self._signed(high)}]" if np.isfinite([low, high]).all() else words

    def show_interval(self, score: float, low: float, high: float) -> str:
        """A score with its interval, where it has one: `84.1 % [83.5, 84.7]`."""
        if not np.isfinite([low, high]).all():
            return self.show(score)
        return f"{self.show(score)} [{self._number(self.factor * low)}, {self._number(self.factor * high)}]"

    def _number(self, shown: float) -> str:
        return f"{shown:.4g}" if self.digits is None else f"{shown:.{self.digits}f}"

    def _signed(self, difference: float) -> str:
        shown = self.factor * difference
        return f"{shown:+.3g}" if self.digits is None else f"{shown:+.{self.digits + 1}f}"


def unit_of(objective: Objective) -> Unit:
    """The unit that an objective is shown in: a fraction in percent, any other as it is."""
    if objective.is_fraction:
        return Unit(
            100.0, 1, " %", " points", f"{objective.label} (%)", "difference (percentage points)", objective.sign
        )
    ending = f" {objective.unit}" if objective.unit else ""
    titled = f" ({objective.unit})" if objective.unit else ""
    return Unit(1.0, None, ending, ending, f"{objective.label}{titled}", f"difference{titled}", objective.sign)


@dataclass(frozen=True)
class Scale:
    """An axis for a hyperparameter: `kind` is log, linear or category; `values` ascend, or stand as planned."""

    name: str
    title: str
    values: tuple[Value, ...]
    words: tuple[str, ...]
    kind: str

    def place(self, value: Value) -> float:
        """Where on the axis a value stands."""
        return float(self.values.index(value)) if self.kind == "category" else float(value)

    def word(self, value: Value) -> str:
        """How a value is written."""
        return self.words[self.values.index(value)]


def make_scale(description: Description, name: str, values: Iterable[Value]) -> Scale:
    """The scale that the subject gives a hyperparameter; categories where a log axis would need the log of zero."""
    hyperparameter = hyperparameter_of(description, name)
    planned = tuple(dict.fromkeys(values))
    kind = {"linear": "linear", "categorical": "category"}.get(hyperparameter.scale, "log")
    numbers = not any(isinstance(value, str | bool) for value in planned)
    if not numbers or (kind == "log" and min(map(float, planned)) <= 0):
        kind = "category"
    ordered = tuple(sorted(planned, key=float)) if numbers and hyperparameter.is_numeric else planned
    return Scale(name, hyperparameter.title, ordered, tuple(map(hyperparameter.format, ordered)), kind)


def hyperparameter_of(description: Description, name: str) -> Hyperparameter:
    """The hyperparameter of this name; one that the description does not know is shown as it is."""
    try:
        return description[name]
    except KeyError:
        return Hyperparameter(name, 0)


def set_scale(ax: Axes, scale: Scale, *, width: float = 6.5) -> None:
    """Scale, ticks and title of a horizontal axis of `width` inches: a tick at every value that has room."""
    if scale.kind == "log":
        ax.set_xscale("log")
    places = np.array([scale.place(value) for value in scale.values])
    positions = np.log(places) if scale.kind == "log" else places
    span = float(np.ptp(positions)) or 1.0
    shown = _spaced((positions - positions.min()) / span * width, scale.words)
    ax.set_xticks(places[shown], [wrap(scale.words[i], 14) for i in shown])
    ax.xaxis.set_minor_locator(NullLocator())
    if scale.kind == "category":
        ax.set_xlim(-0.6, len(scale.values) - 0.4)
    ax.set_xlabel(scale.title)


def _spaced(inches: Floats, words: Sequence[str]) -> list[int]:
    """The ticks, at these inches, whose labels do not touch: the first, and from there whatever has room."""
    shown = [0]
    for i in range(1, len(inches)):
        room = (width_of([words[i]]) + width_of([words[shown[-1]]])) / 2 + 0.08
        if inches[i] - inches[shown[-1]] >= room:
            shown.append(i)
    return shown


# --- words ---------------------------------------------------------------------------------------------------------


def plain_name(name: str) -> str:
    """An experiment's name without what is awkward in file names and links.

    Two names stay two: one that is changed ends in a hash of what it was.
    """
    plain = re.sub(r"[^A-Za-z0-9_-]+", "-", name).strip("-")
    return plain if plain == name else f"{plain}-{digest(name)}".lstrip("-")


def spoken(name: str) -> str:
    """A name as a title says it."""
    return name.replace("_", " ")


def wrap(text: str, width: int) -> str:
    """Break `text` into lines, at the commas of a configuration's name too."""
    lines = textwrap.wrap(text.replace(",", ", "), width) if " " not in text else textwrap.wrap(text, width)
    return "\n".join(line if " " in text else line.replace(", ", ",") for line in lines)


def wrap_label(label: str, width: int) -> str:
    """Break an arm's name into lines, between its settings where these are short enough."""
    settings = label.split(", ")
    if max(map(len, settings)) >= width:
        return wrap(label, width)
    kept = ", ".join(setting.replace(" ", "\u00a0") for setting in settings)
    return "\n".join(textwrap.wrap(kept, width)).replace("\u00a0", " ")


def finding(estimate: ExperimentEstimate, description: Description) -> str:
    """The verdict with its labels and the differences that it rests on; empty where there is no hypothesis."""
    verdict = estimate.verdict
    if verdict is None:
        return ""
    unit = unit_of(description.objective)
    labels = f" ({'; '.join(verdict.labels)})" if verdict.labels else ""
    steps = [
        f"{sides}: {unit.show_difference(c.difference, c.low, c.high)}"
        for c, sides in zip(verdict.contrasts, contrast_words(estimate), strict=True)
        if np.isfinite(c.difference)
    ]
    return ". ".join([f"Hypothesis: {verdict_word(verdict.verdict)}{labels}", *["; ".join(steps)] * bool(steps)]) + "."


def contrast_words(estimate: ExperimentEstimate) -> list[str]:
    """Each contrast of the hypothesis by the names of its arms: `10 vs 3`, `AdamW ≈ Adam`, `1e-3 vs 1e-2 (Adam)`."""
    contrasts = estimate.verdict.contrasts if estimate.verdict else ()
    return [
        _against(*sides, word="vs" if contrast.relation == "order" else "≈")
        for contrast, sides in zip(contrasts, estimate.contrast_labels, strict=True)
    ]


def _against(first: str, second: str, *, word: str) -> str:
    """Two arms, and what they share once and in brackets."""
    first, second, shared = tell_apart(first, second)
    return f"{first} {word} {second}" + (f" ({shared})" if shared else "")


def arm_name(estimate: ExperimentEstimate, configuration: str) -> str:
    """How the experiment calls a configuration, without the mark of the baseline."""
    return estimate.labels.get(configuration, configuration).removesuffix(BASELINE)


def experiment_title(estimate: ExperimentEstimate) -> str:
    """The question, or what stands for it."""
    name = estimate.experiment.name
    return estimate.experiment.question or ("Runs of another program" if name == FOREIGN else spoken(name))


def tuned_words(estimate: ExperimentEstimate, study: StudyEstimates) -> str:
    """The titles of the nuisance hyperparameters that are tuned in each arm."""
    names = varied_nuisance(estimate)
    return " and ".join(hyperparameter_of(study.description, name).title for name in names)


def point_words(name: str, row: Row, unit: Unit) -> str:
    """A configuration with its mean, interval and n, from a row of the summary."""
    mean = unit.show_interval(row["objective_mean"], row["objective_low"], row["objective_high"])
    return f"{name}: {mean}, n = {row['n']:.0f}"


def best_and_worst(estimate: ExperimentEstimate, unit: Unit) -> str:
    """The best and the worst mean in words, for those who cannot see the picture."""
    points = experiment_points(estimate).sort_values("mean", ascending=unit.sign < 0, kind="stable")
    words = [f"{' '.join(str(row['label']).split())} {unit.show(row['mean'])}" for row in records(points)]
    return f"best {words[0]}, worst {words[-1]}." if len(words) > 1 else f"{words[0]}."


def caption(estimate: ExperimentEstimate, study: StudyEstimates, *extra: str) -> str:
    """What `extra` says, then n, interval, split and budget, and the label of a confounded experiment."""
    rows = estimate.summary[estimate.summary["n"] > 0]
    foreign = estimate.experiment.name == FOREIGN
    replicates = "runs" if foreign else "seeds"
    interval = f"95 % t intervals over {replicates}" if (rows["n"] > 1).any() else "one run each, so no interval"
    parts = [
        *extra, f"n = {extent(rows['n'])} {replicates} per configuration", interval,
        "logs of another program, split and seeds unknown" if foreign else split_words(study),
        budget_words(estimate), *confounded_labels(estimate),
    ]  # fmt: skip
    words = "; ".join(filter(None, parts))
    return f"{words}." if words.startswith("n = ") else f"{words[:1].upper()}{words[1:]}."


def split_words(study: StudyEstimates) -> str:
    """On which examples the scores were measured."""
    sizes, data = study.description.sizes, str(study.group.get("dataset") or "")
    if not sizes.get("validation"):
        return f"data: {data}" if data else ""
    words = f"scored on {sizes['validation']:,} examples" + (f" of {data}" if data else "")
    return words + (f", trained on {sizes['train']:,}" if sizes.get("train") else "")


def budget_words(estimate: ExperimentEstimate) -> str:
    """What a trial of the experiment spends, by budget."""
    configurations = estimate.experiment.configurations
    names = list(configurations[0].budgets) if configurations else []
    known = [name for name in names if name in estimate.summary]
    spent = ", ".join(f"{extent(estimate.summary[name])} {spoken(name)}" for name in known)
    return f"budget of a trial: {spent}" if spent else ""


def extent(values: pd.Series) -> str:
    """The lowest and the highest of counts, or the one that there is."""
    known = values.dropna()
    if known.empty:
        return "unknown"
    low, high = f"{known.min():,.0f}", f"{known.max():,.0f}"
    return low if low == high else f"{low} to {high}"


def confounded_labels(estimate: ExperimentEstimate) -> tuple[str, ...]:
    """The label of an experiment whose arms also differ in a budget that is not its treatment."""
    return (f"confounded with {', '.join(estimate.confounded)}",) if estimate.confounded else ()


# --- the points of an experiment -----------------------------------------------------------------------------------

POINT_COLUMNS = (
    "configuration", "label", "n", "mean", "low", "high", "difference", "difference_low", "difference_high", "bound",
    "status",
)  # fmt: skip
RECOMMENDED, TIED, BEHIND, UNRANKED, UNSTABLE = "recommended", "tied", "behind", "unranked", "unstable"


@dataclass(frozen=True)
class Style:
    """How the arms of one status look in every figure, and what the legend says."""

    color: str
    marker: str
    face: str
    words: str


STYLES: Mapping[str, Style] = {
    RECOMMENDED: Style(GREEN, "D", GREEN, "recommended: the cheapest within the margin"),
    TIED: Style(BLUE, "o", BLUE, "may be the best (tied)"),
    BEHIND: Style(GREY, "o", "white", "shown to be behind the best"),
    UNRANKED: Style(GREY, "s", "white", "not ranked: seeds are missing"),
    UNSTABLE: Style(RED, "X", RED, "unstable: a seed diverged, so not ranked"),
}


def experiment_points(estimate: ExperimentEstimate) -> pd.DataFrame:
    """The configurations to show, in the plan's order: all, or the best of each arm where nuisance is tuned.

    `difference` is this arm minus the best, positive when better, with its paired 95 % interval; `bound` is the joint
    lower bound. All are raw scores, not yet in the unit that is shown.
    """
    rows = estimate.summary[estimate.summary["n"] > 0]
    if is_tuned(estimate):
        rows = rows[rows["configuration"].isin(estimate.arms["configuration"])]
    labels = [wrap_label(estimate.labels.get(name, name), 40) for name in rows["configuration"]]
    best = rows["configuration"] == estimate.best
    points = rows[["configuration", "n"]].assign(
        label=labels, mean=rows["objective_mean"], low=rows["objective_low"], high=rows["objective_high"],
        difference=(-rows["deficit"]).where(~best, 0.0), difference_low=-rows["deficit_high"],
        difference_high=-rows["deficit_low"], bound=-rows["deficit_bound"],
        status=[_status(row, estimate) for row in records(rows)],
    )  # fmt: skip
    return points[list(POINT_COLUMNS)].reset_index(drop=True)


def _status(row: Row, estimate: ExperimentEstimate) -> str:
    if row["n_diverged"] > 0:
        return UNSTABLE
    if row["configuration"] in estimate.incomplete:
        return UNRANKED
    if row["recommended"]:
        return RECOMMENDED
    return TIED if row["tied_with_best"] else BEHIND


def is_tuned(estimate: ExperimentEstimate) -> bool:
    """Whether each arm is shown at its best nuisance value."""
    return bool(len(estimate.arms)) and bool((estimate.arms["n_selected_from"] > 1).any())


def varied_axes(estimate: ExperimentEstimate) -> list[str]:
    """The scientific hyperparameters that take more than one value."""
    return [name for name in estimate.experiment.scientific if estimate.summary[name].nunique() > 1]


def varied_nuisance(estimate: ExperimentEstimate) -> list[str]:
    """The nuisance hyperparameters that take more than one value."""
    return [name for name in estimate.experiment.nuisance if estimate.summary[name].nunique() > 1]


def outliers(means: Floats, *, sign: int, lows: Floats, highs: Floats) -> npt.NDArray[np.bool_]:
    """Which arms lie so far below the others that they would squeeze what the question is about.

    From the best down, arms are contenders until a gap of more than three times what the contenders span, intervals
    included; at least half are contenders.
    """
    order = np.argsort(-sign * means)
    for n_kept in range(max(2, (len(means) + 1) // 2), len(means)):
        kept, rest = order[:n_kept], order[n_kept:]
        span = np.nanmax([highs[kept], means[kept]]) - np.nanmin([lows[kept], means[kept]])
        if abs(means[kept[-1]] - means[rest[0]]) > 3 * span > 0:
            return np.asarray(np.isin(np.arange(len(means)), rest))
    return np.zeros(len(means), bool)


# --- marks ---------------------------------------------------------------------------------------------------------


def draw_intervals(
    ax: Axes, places: Floats, lows: Floats, highs: Floats, *, color: str, width: float = 2.0, upright: bool = True
) -> None:
    """Intervals at `places`, upright or lying; none where an end is unknown."""
    known = np.isfinite(lows) & np.isfinite(highs)
    if known.any():
        draw = ax.vlines if upright else ax.hlines
        draw(places[known], lows[known], highs[known], color=color, linewidth=width, zorder=3)


def legend_mark(label: str, style: Style, *, size: float = 7, line: bool = False) -> Artist:
    """What a mark looks like in a legend."""
    return Line2D(
        [], [], marker=style.marker, color=style.color, markerfacecolor=style.face, markersize=size,
        linestyle="-" if line else "", linewidth=2, label=label,
    )  # fmt: skip


def set_number_ticks(ax: Axes, *, along: str, most: int) -> None:
    """Plain numbers at round places."""
    axis = ax.xaxis if along == "x" else ax.yaxis
    axis.set_major_locator(MaxNLocator(most, steps=[1, 2, 2.5, 5, 10]))
    axis.set_major_formatter(FuncFormatter(lambda value, _: format_value(round(float(value), 10) + 0.0)))


def set_symlog(ax: Axes, low: float, high: float, *, margin: float, along: str) -> None:
    """A scale of differences from below `low` to above `high`, both in view of zero.

    It is linear up to twice the margin and logarithmic beyond, with plain numbers at round multiples of the margin.
    """
    reach = [max(2.0 * margin, 1.4 * side) for side in (-low, high)]
    steps = margin * np.array([1, 2, 10, 40, 100, 400, 1000, 4000])
    if max(reach) < steps[2]:  # else nothing would tell that the scale is no longer linear
        steps = np.insert(steps, 2, 4 * margin)
    ticks = np.array([*-steps[steps <= reach[0]][::-1], 0.0, *steps[steps <= reach[1]]])
    words = [f"{tick:+.4g}" if tick else "0" for tick in ticks]
    if along == "x":
        ax.set_xscale("symlog", linthresh=2 * margin, linscale=0.8)
        ax.set_xlim(-reach[0], reach[1])
        shown = _spaced_from_zero(ax, ticks, words)
        ax.set_xticks(ticks[shown], [words[i] for i in shown], fontsize="small")
        ax.xaxis.set_minor_locator(NullLocator())
    else:
        ax.set_yscale("symlog", linthresh=2 * margin, linscale=0.8)
        ax.set_ylim(-reach[0], reach[1])
        ax.set_yticks(ticks, words, fontsize="small")
        ax.yaxis.set_minor_locator(NullLocator())


def _spaced_from_zero(ax: Axes, ticks: Floats, words: Sequence[str]) -> list[int]:
    """The ticks of a horizontal axis whose labels do not touch: zero, and from there outwards whatever has room."""
    left, right = ax.xaxis.get_transform().transform(np.array(ax.get_xlim()))
    width = drawing_of(ax).get_figwidth() * ax.get_position().width
    places = ax.xaxis.get_transform().transform(ticks) / (right - left) * width
    zero = int(np.flatnonzero(ticks == 0)[0])
    sides = (range(zero, len(ticks)), range(zero, -1, -1))
    shown = {side[i] for side in sides for i in _spaced(np.abs(places[list(side)]), [words[k] for k in side])}
    return sorted(shown)


def spread_out(places: Floats, sizes: Floats) -> Floats:
    """Centres for labels of `sizes` near `places`, moved as little as it takes that none overlaps another."""
    order = np.argsort(places, kind="stable")
    lower = np.cumsum(sizes[order]) - sizes[order] / 2
    blocks: list[tuple[float, int]] = []
    for value in places[order] - lower:  # pool adjacent violators: the least squares fit that keeps the order
        mean, n = float(value), 1
        while blocks and blocks[-1][0] > mean:
            before, n_before = blocks.pop()
            mean, n = (before * n_before + mean * n) / (n_before + n), n_before + n
        blocks.append((mean, n))
    result = np.empty(len(places))
    result[order] = np.repeat([mean for mean, _ in blocks], [n for _, n in blocks]) + lower
    return result


def place_labels(ax: Axes, places: Iterable[float], labels: Sequence[str]) -> Floats:
    """Heights in data coordinates for small labels beside the axes, none over another or above the axes."""
    low, high = ax.get_ylim()
    inches = drawing_of(ax).get_figheight() * ax.get_position().height
    sizes = np.array([SMALL_LINE * (1 + label.count("\n")) + 0.04 for label in labels]) * (high - low) / inches
    spread = spread_out(np.clip(np.array(list(places), float), low, high), sizes)
    return np.asarray(spread + min(0.0, high - float((spread + sizes / 2).max())))


# --- drawings ------------------------------------------------------------------------------------------------------


def new_drawing(width: float, height: float, *, left: float, right: float, top: float, bottom: float) -> Drawing:
    """An empty drawing outside pyplot with fixed margins, all in inches."""
    drawing = Drawing(figsize=(width, height))
    drawing.subplots_adjust(
        left=left / width, right=1 - right / width, top=1 - top / height, bottom=bottom / height, wspace=0.1, hspace=0.1
    )
    return drawing


def new_axes(height: float = 4.2, *, right: float = 0.3, top: float = 0.15, width: float = WIDTH) -> Axes:
    """Axes on a drawing of their own."""
    ax = new_drawing(width, height, left=0.85, right=right, top=top, bottom=0.65).subplots()
    assert isinstance(ax, Axes)
    return ax


def blank(ax: Axes) -> Axes:
    """Give axes blank titles until they get their own.

    Of axes without any, seaborn asks all tick labels whether they are visible, which takes longer than drawing points.
    """
    ax.set(xlabel=" ", ylabel=" ")
    return ax


def drawing_of(ax: Axes) -> Drawing:
    """The drawing that the axes lie on."""
    drawing = ax.get_figure(root=True)
    assert drawing is not None
    return drawing


def grow(drawing: Drawing, *, top: float = 0.0, bottom: float = 0.0) -> None:
    """Add room above and below, in inches; axes keep their size."""
    old = drawing.get_figheight()
    new = old + top + bottom
    above, below = drawing.subplotpars.top * old, drawing.subplotpars.bottom * old
    drawing.set_figheight(new)
    drawing.subplots_adjust(top=(above + bottom) / new, bottom=(below + bottom) / new)


def legend_below(drawing: Drawing, handles: Sequence[Artist]) -> None:
    """A legend under all axes, in as many columns as have room."""
    columns = _columns([str(handle.get_label()) for handle in handles], drawing.get_figwidth() - 0.2)
    drawing.legend(
        handles=list(handles), loc="lower left", bbox_to_anchor=(0.01, 0), ncols=columns, borderaxespad=0.2,
        frameon=False, columnspacing=1.2, handletextpad=0.4,
    )  # fmt: skip
    grow(drawing, bottom=0.05 + 0.22 * -(-len(handles) // columns))


def _columns(labels: Sequence[str], width: float) -> int:
    """The most columns of a legend that fit on `width` inches."""
    for columns in range(len(labels), 1, -1):
        n_rows = -(-len(labels) // columns)
        widths = [width_of(labels[i : i + n_rows]) + 0.65 for i in range(0, len(labels), n_rows)]
        if sum(widths) <= width:
            return len(widths)
    return 1


def width_of(labels: Iterable[str], *, size: float = TICK_SIZE) -> float:
    """Inches that the longest line of the labels takes, in text of `size` points."""
    font = FontProperties(family=FONT, size=size)
    lines = [line for label in labels for line in label.split("\n")]
    # measuring is exact and costs microseconds; a layout engine draws the figure once more
    widths = [text_to_path.get_text_width_height_descent(line, font, ismath=False)[0] for line in lines]
    return float(max(widths, default=0.0)) / 72
