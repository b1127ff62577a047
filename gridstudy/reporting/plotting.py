"""What the figures share: pictures and their words, a style per configuration, axes, marks and legends."""

from __future__ import annotations

import itertools
import re
import textwrap
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter, NullLocator
from matplotlib.typing import LineStyleType

from gridstudy.core.study import Value, format_value, format_values
from gridstudy.statistics.comparisons import FOREIGN
from gridstudy.statistics.estimates import ExperimentEstimate, n_train_images

STYLE: Mapping[str, object] = {
    "font.size": 11, "axes.labelsize": 11, "axes.titlesize": 11, "xtick.labelsize": 10, "ytick.labelsize": 10,
    "legend.fontsize": 10, "legend.frameon": False, "figure.titlesize": 12, "savefig.dpi": 150, "figure.dpi": 150,
    "axes.spines.top": False, "axes.spines.right": False, "axes.linewidth": 0.6, "axes.grid": True,
    "axes.axisbelow": True, "grid.alpha": 0.35, "grid.linewidth": 0.5, "lines.linewidth": 1.6, "lines.markersize": 7,
    "svg.hashsalt": "gridstudy", "text.parse_math": False,
}  # fmt: skip
WIDTH, HEIGHT = 8.0, 5.0
"""Inches of an ordinary picture."""
MOST_LINES = 8

Row = Mapping[Hashable, Any]
"""A row of a table, by column."""

GREY = "#555555"
COLOURS = ("#0173B2", "#DE8F05", "#029E73", "#D55E00", "#CC78BC", "#222222", "#56B4E9", "#A6761D")
"""Told apart with any colour vision: seaborn's `colorblind`, without its pale ones."""
MARKERS = ("o", "s", "^", "D", "v", "P", "h", "p")
LINES: tuple[LineStyleType, ...] = ("-", "--", "-.", ":")


@dataclass(frozen=True)
class Picture:
    """A finished figure that is not saved yet; `labels` are the warnings that it must carry."""

    name: str
    title: str
    caption: str
    alt_text: str
    figure: Figure
    finding: str = ""
    labels: tuple[str, ...] = ()


# --- words ---------------------------------------------------------------------------------------------------------


def group_labels(group: Mapping[str, object]) -> tuple[str, ...]:
    """What every picture of these records must say aloud."""
    labels = []
    if str(group.get("dataset")).startswith("garments"):
        labels.append("garments, a drawn stand-in")
    if group.get("validation") == "test":
        labels.append("course protocol: chosen on the test images")
    return tuple(labels)


def finding(estimate: ExperimentEstimate) -> str:
    """The verdict with its labels and the hypothesis; empty where there is none."""
    verdict = estimate.verdict
    if verdict is None:
        return ""
    labels = f" ({'; '.join(verdict.labels)})" if verdict.labels else ""
    seeds = f" Seeds to decide: {verdict.seeds_to_decide}." if verdict.seeds_to_decide else ""
    return f"Hypothesis: {verdict.verdict}{labels}. {verdict.hypothesis}{seeds}"


def caption(estimate: ExperimentEstimate, group: Mapping[str, object], *extra: str) -> str:
    """What `extra` says, then n, interval, split and budget, and the label of a confounded experiment."""
    rows = estimate.summary[estimate.summary["n"] > 0]
    interval = "95 % t intervals over seeds" if (rows["n"] > 1).any() else "no interval from a single seed"
    foreign = estimate.experiment.name == FOREIGN
    parts = [
        *extra, f"n = {extent(rows['n'])} {'runs' if foreign else 'seeds'} per configuration", interval,
        "logs of another program, split and seeds unknown" if foreign else split_words(group),
        f"budget: {extent(rows['examples'])} images in {extent(rows['updates'])} updates",
        *confounded_labels(estimate),
    ]  # fmt: skip
    return "; ".join(parts) + "."


def split_words(group: Mapping[str, object]) -> str:
    """On which images the accuracy was measured."""
    dataset, small = str(group.get("dataset")), str(group.get("dataset")).endswith("-small")
    n_scored = 1_000 if small else 10_000
    if group.get("validation") == "test":
        return f"scored on the {n_scored:,} test images of {dataset} (course protocol)"
    n_train = n_train_images(dataset, str(group.get("validation")))
    return f"validation: {n_scored:,} images of {dataset} held out, {n_train:,} to train on"


def extent(values: pd.Series) -> str:
    """The lowest and the highest of counts, or the one that there is."""
    known = values.dropna()
    if known.empty:
        return "unknown"
    low, high = int(known.min()), int(known.max())
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def confounded_labels(estimate: ExperimentEstimate) -> tuple[str, ...]:
    """The label of an experiment whose arms also differ in a budget."""
    return (f"confounded with {', '.join(estimate.confounded)}",) if estimate.confounded else ()


def plain_name(name: str) -> str:
    """An experiment's name without what is awkward in file names and links."""
    return re.sub(r"[^A-Za-z0-9_-]+", "-", name).strip("-")


def wrap(text: str, width: int) -> str:
    """Break `text` into lines, at the commas of a configuration's name too."""
    lines = textwrap.wrap(text.replace(",", ", "), width) if " " not in text else textwrap.wrap(text, width)
    return "\n".join(line if " " in text else line.replace(", ", ",") for line in lines)


# --- which configurations are shown --------------------------------------------------------------------------------

POINT_COLUMNS = ("configuration", "label", "n", "mean", "low", "high", "tied", "recommended", "unstable")


def experiment_points(estimate: ExperimentEstimate) -> pd.DataFrame:
    """The configurations to show, in the plan's order: all, or the best of each arm where nuisance is optimised."""
    rows = estimate.summary[estimate.summary["n"] > 0]
    arms = estimate.arms.set_index("configuration")["arm"] if len(estimate.arms) else pd.Series(dtype=str)
    tuned = len(arms) and (estimate.arms["n_selected_from"] > 1).any()
    if tuned:
        rows = rows[rows["configuration"].isin(arms.index)]
    axes = varied_axes(estimate)
    labels = [_point_label(estimate, row, axes, arms if tuned else None) for row in rows.to_dict("records")]
    part = rows[["configuration", "n"]].assign(
        label=labels, mean=rows["validation_accuracy_mean"], low=rows["validation_accuracy_low"],
        high=rows["validation_accuracy_high"], tied=rows["tied_with_best"].astype(bool),
        recommended=rows["recommended"].astype(bool), unstable=rows["n_diverged"] > 0,
    )  # fmt: skip
    return part[list(POINT_COLUMNS)].reset_index(drop=True)


def varied_axes(estimate: ExperimentEstimate) -> list[str]:
    """The scientific hyperparameters that take more than one value."""
    return [name for name in estimate.experiment.scientific if estimate.summary[name].nunique() > 1]


def _point_label(estimate: ExperimentEstimate, row: Row, axes: Sequence[str], arms: pd.Series | None) -> str:
    name = str(row["configuration"])
    if arms is not None:
        nuisance = [n for n in estimate.experiment.nuisance if estimate.summary[n].nunique() > 1]
        chosen = format_values({n: row[n] for n in nuisance})
        return f"{wrap(str(arms[name]), 30)}\n{wrap(f'at {chosen}', 30)}" if chosen else wrap(str(arms[name]), 30)
    if 0 < len(axes) <= 2:
        return " × ".join(short_value(row[n]) for n in axes)  # noqa: RUF001
    return wrap(name, 30)


# --- one style per configuration -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Style:
    """How a configuration looks in every picture."""

    color: str
    marker: str
    line: LineStyleType


def make_style(index: int) -> Style:
    """Colours first, then markers, then lines: 256 styles that differ in one of them."""
    lap, n_markers = index // len(COLOURS), len(MARKERS)
    line = LINES[(lap + lap // n_markers) % len(LINES)]
    return Style(COLOURS[index % len(COLOURS)], MARKERS[(index + lap) % n_markers], line)


def configuration_styles(estimates: Sequence[ExperimentEstimate]) -> dict[str, Style]:
    """A style for each configuration of the study, with colours that differ within a picture of few.

    Pictures of few configurations choose first; each takes the first free style whose colour its picture lacks.
    """
    shown = [experiment_points(estimate)["configuration"].tolist() for estimate in estimates]
    everything = [estimate.summary["configuration"].tolist() for estimate in estimates]
    indices: dict[str, int] = {}
    for names in [*sorted(shown, key=lambda names: len(names) > MOST_LINES), *everything]:
        colours = {indices[name] % len(COLOURS) for name in names if name in indices}
        for name in names:
            if name not in indices:
                indices[name] = _free_index(set(indices.values()), colours)
                colours.add(indices[name] % len(COLOURS))
    return {name: make_style(index) for name, index in indices.items()}


def _free_index(taken: set[int], colours: set[int]) -> int:
    n_colours = len(COLOURS)
    return next(
        i for i in itertools.count() if i not in taken and (len(colours) == n_colours or i % n_colours not in colours)
    )


def level_styles(n_levels: int) -> list[Style]:
    """Styles for the levels of a hyperparameter, dark to light: a level is no configuration and has none's colour."""
    shades = mpl.colormaps["plasma"](np.linspace(0, 0.82, n_levels))
    return [
        Style(mpl.colors.to_hex(shade), MARKERS[i % len(MARKERS)], LINES[i % len(LINES)])
        for i, shade in enumerate(shades)
    ]


# --- axes ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Scale:
    """An axis for a hyperparameter: `kind` is log, linear or category; `values` ascend, or stand as planned."""

    name: str
    values: tuple[Value, ...]
    kind: str

    def place(self, value: Value) -> float:
        """Where on the axis a value stands."""
        return float(self.values.index(value)) if self.kind == "category" else float(value)

    def dodge(self, value: Value, index: int, size: int) -> float:
        """The place of the `index`-th of `size` marks side by side at `value`."""
        shift = (index - (size - 1) / 2) / max(size, 4)
        if self.kind == "log":
            return self.place(value) * float(self._span() ** (0.03 * shift))
        return self.place(value) + shift * (0.5 if self.kind == "category" else 0.03 * self._span())

    def _span(self) -> float:
        low, high = self.place(self.values[0]), self.place(self.values[-1])
        return (high / low if self.kind == "log" else high - low) or 1.0


def make_scale(name: str, values: Iterable[Value]) -> Scale:
    """A log axis for rates, powers of two and wide ranges; categories for words and where a zero stands among rates."""
    planned = tuple(dict.fromkeys(values))
    if any(isinstance(v, str) for v in planned):
        return Scale(name, planned, "category")
    numbers = sorted(float(v) for v in planned)
    ordered = tuple(sorted(planned, key=float))
    if numbers[0] <= 0:
        return Scale(name, ordered, "category")
    wide = numbers[-1] / numbers[0] >= 8
    powers = len(numbers) > 2 and all(np.log2(v).is_integer() for v in numbers)
    return Scale(name, ordered, "log" if wide or powers or name == "learning_rate" else "linear")


def set_scale(ax: Axes, scale: Scale) -> None:
    """Scale, ticks and label of the horizontal axis: a tick at every value while there is room."""
    if scale.kind == "log":
        ax.set_xscale("log")
    if len(scale.values) <= MOST_LINES or scale.kind == "category":
        places = [scale.place(v) for v in scale.values]
        ax.set_xticks(places, [wrap(short_value(v), 14) for v in scale.values])
        ax.xaxis.set_minor_locator(NullLocator())
    elif scale.kind == "log":
        ax.xaxis.set_major_locator(LogLocator(subs=(1,)))
        ax.xaxis.set_minor_formatter(NullFormatter())
        ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: short_value(value)))
    if scale.kind == "category":
        ax.set_xlim(-0.6, len(scale.values) - 0.4)
    ax.set_xlabel(axis_label(scale.name))


def axis_label(name: str) -> str:
    """A hyperparameter as an axis label."""
    unit = {"train_steps": "updates per epoch", "batch_size": "images per batch", "units1": "first layer",
            "units2": "further layers", "depth": "hidden layers"}.get(name)  # fmt: skip
    return f"{name} ({unit})" if unit else name


def short_value(value: Value) -> str:
    """A hyperparameter's value on an axis: 5e-4 where 0.0005 would need the room of two."""
    if isinstance(value, str) or not 0 < abs(value) < 0.01:
        return format_value(value)
    digits, exponent = f"{value:.10e}".split("e")
    return f"{float(digits):g}e{int(exponent)}"


def percent_format() -> FuncFormatter:
    """Fractions as percent, with no more digits than they need."""
    return FuncFormatter(lambda fraction, _: f"{round(100 * fraction, 6):g} %")


def set_percent(ax: Axes, *, along: str, label: str = "validation accuracy") -> None:
    """Percent ticks on the axis `along` (x or y), within what an accuracy can be."""
    axis = ax.xaxis if along == "x" else ax.yaxis
    axis.set_major_locator(MaxNLocator(5 if along == "x" else 8, steps=[1, 2, 5, 10]))
    axis.set_major_formatter(percent_format())
    axis.set_label_text(label)
    get, set_ = (ax.get_xlim, ax.set_xlim) if along == "x" else (ax.get_ylim, ax.set_ylim)
    low, high = get()
    set_(max(low, -0.02), min(high, 1.02))


def new_axes(height: float = HEIGHT, width: float = WIDTH) -> Axes:
    """Axes on a figure of their own, outside pyplot."""
    ax = Figure(figsize=(width, height), layout="constrained").subplots()
    assert isinstance(ax, Axes)
    return ax


def figure_of(ax: Axes) -> Figure:
    """The figure that the axes lie on."""
    figure = ax.get_figure(root=True)
    assert figure is not None
    return figure


# --- marks and legends ---------------------------------------------------------------------------------------------


def draw_interval(ax: Axes, place: float, low: float, high: float, color: str, *, upright: bool) -> None:
    """An interval at `place`, upright or lying; nothing where it has no ends."""
    if np.isfinite(low) and np.isfinite(high):
        draw = ax.vlines if upright else ax.hlines
        draw(place, low, high, color=color, linewidth=2, zorder=3)


def legend_mark(
    label: str, marker: str, *, face: str = GREY, size: float = 7, color: str = GREY, line: bool = False
) -> Artist:
    """What a mark looks like in a legend."""
    return Line2D(
        [], [], marker=marker, color=color, markerfacecolor=face, markersize=size, linestyle="-" if line else "",
        linewidth=2, label=label,
    )  # fmt: skip


def set_legend(ax: Axes, handles: Sequence[Artist]) -> None:
    """A legend to the right of the axes, where it covers nothing."""
    ax.legend(handles=list(handles), loc="upper left", bbox_to_anchor=(1.01, 1.02), borderaxespad=0)


def title_legend(ax: Axes, title: str) -> None:
    """Put a title over the legend that the axes have."""
    legend = ax.get_legend()
    assert legend is not None
    legend.set_title(title)


def set_legend_beneath(figure: Figure, handles: Sequence[Artist], columns: int) -> None:
    """A legend under all axes of a figure, in so many columns."""
    figure.legend(handles=list(handles), loc="outside lower center", ncols=columns)
