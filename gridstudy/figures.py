"""Estimates -> matplotlib Axes, and all pictures of a study saved in one place.

A `draw_...` function takes what it draws and an optional `ax`, and returns it; it opens no window and touches no state
of pyplot. Numbers come from the estimates; a data step beside a drawing step only picks and reshapes rows.
"""

from __future__ import annotations

import itertools
import re
import textwrap
import warnings
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator
from matplotlib.typing import LineStyleType

from gridstudy.comparisons import FOREIGN, TESTED, describe, is_paired
from gridstudy.estimates import ExperimentEstimate, StudyEstimates, n_train_images
from gridstudy.interactions import factorial_axes
from gridstudy.questions import HalvingAnswer, RandomSearchAnswer, RankingAnswer, StudyAnswers
from gridstudy.study import Value, format_value, format_values

STYLE: Mapping[str, object] = {
    "font.size": 11, "axes.labelsize": 11, "axes.titlesize": 11, "xtick.labelsize": 10, "ytick.labelsize": 10,
    "legend.fontsize": 10, "legend.frameon": False, "figure.titlesize": 12, "savefig.dpi": 150, "figure.dpi": 150,
    "axes.spines.top": False, "axes.spines.right": False, "axes.linewidth": 0.6, "axes.grid": True,
    "axes.axisbelow": True, "grid.alpha": 0.35, "grid.linewidth": 0.5, "lines.linewidth": 1.6, "lines.markersize": 7,
    "svg.hashsalt": "gridstudy", "text.parse_math": False,
}  # fmt: skip
WIDTH, HEIGHT = 8.0, 5.0
"""Inches of an ordinary picture."""
BELOW_FRONT = 0.06
"""How far below the Pareto front's lowest point a configuration is still shown."""
MOST_LINES = 8
MOST_ROWS = 40
MOST_PANELS = 12
LEAST_SEARCH = 10
"""A grid with fewer configurations leaves a cheaper search little to save."""
SIX_NAMES = 6

Row = Mapping[Hashable, Any]
"""A row of a table, by column."""

GREY = "#555555"
COLOURS = ("#0173B2", "#DE8F05", "#029E73", "#D55E00", "#CC78BC", "#222222", "#56B4E9", "#A6761D")
"""Told apart with any colour vision: seaborn's `colorblind`, without its pale ones."""
MARKERS = ("o", "s", "^", "D", "v", "P", "h", "p")
LINES: tuple[LineStyleType, ...] = ("-", "--", "-.", ":")


@dataclass(frozen=True)
class SavedFigure:
    """A picture on disk with the words that belong to it."""

    name: str
    path: Path
    title: str
    caption: str
    alt_text: str


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


# --- saving --------------------------------------------------------------------------------------------------------


def save_figures(
    estimates: StudyEstimates, *, answers: StudyAnswers, cells: pd.DataFrame, folder: Path, format: str = "png"
) -> dict[str, SavedFigure]:
    """Draw and save all pictures that the records have material for, by name.

    `answers` are those of `answer_questions`, `cells` is the table of `interactions.cell_table`; `format` is a file
    ending that matplotlib knows.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with mpl.rc_context(dict(STYLE)):  # type: ignore[arg-type]
        pictures = all_pictures(estimates, answers, cells)
        return {picture.name: _save(picture, folder, format) for picture in pictures}


def _save(picture: Picture, folder: Path, format: str) -> SavedFigure:
    path = folder / f"{picture.name}.{format}"
    title = " ".join(filter(None, (picture.title, picture.finding)))
    _write_words(picture)
    with warnings.catch_warnings():
        # names and questions are the user's: a letter that the font lacks becomes a box
        warnings.filterwarnings("ignore", message="Glyph")
        _lay_out(picture.figure)
        picture.figure.savefig(path, format=format, metadata={"Date": None} if format == "svg" else None)
    picture.figure.clear()
    return SavedFigure(picture.name, path, title, picture.caption, picture.alt_text)


def _lay_out(figure: Figure) -> None:
    """Settle the layout now; `savefig` would draw everything once for it and once more for the file."""
    engine = figure.get_layout_engine()
    if engine is not None:
        engine.execute(figure)
        figure.set_layout_engine(None)


def _write_words(picture: Picture) -> None:
    """Title, finding and warnings above, wrapped to the width of the figure."""
    told = [label for label in picture.labels if label not in picture.finding]
    parts = (picture.title, picture.finding, f"Note: {' · '.join(told)}." if told else "")
    n_letters = int(11 * picture.figure.get_figwidth())
    title = "\n".join(wrap(part, n_letters) for part in parts if part)
    picture.figure.set_figheight(picture.figure.get_figheight() + 0.2 * title.count("\n"))
    picture.figure.suptitle(title, x=0.01, ha="left")


def all_pictures(estimates: StudyEstimates, answers: StudyAnswers, cells: pd.DataFrame) -> Iterator[Picture]:
    """Every picture in the order of the report; those of absent experiments are left out."""
    styles = configuration_styles(estimates.experiments)
    labels = group_labels(estimates.group)
    for estimate in estimates.experiments:
        if (estimate.summary["n"] > 0).any():
            for picture in _experiment_pictures(estimate, estimates, cells, styles):
                own = () if estimate.experiment.name == FOREIGN else labels
                yield replace(picture, labels=(*own, *picture.labels))
    for picture in _study_pictures(estimates, answers, styles):
        yield replace(picture, labels=(*labels, *picture.labels))


def _experiment_pictures(
    estimate: ExperimentEstimate, estimates: StudyEstimates, cells: pd.DataFrame, styles: Mapping[str, Style]
) -> Iterator[Picture]:
    yield _accuracy_picture(estimate, estimates.group, styles)
    yield from _heatmap_pictures(estimate, estimates.group)
    own = cells[cells["experiment"] == estimate.experiment.name]
    yield from _interaction_pictures(estimate, own, estimates.group)
    yield from _isolation_pictures(estimate, estimates.group, styles)
    yield from _curves_pictures(estimate, estimates, styles)


def _study_pictures(estimates: StudyEstimates, answers: StudyAnswers, styles: Mapping[str, Style]) -> Iterator[Picture]:
    yield from _noise_pictures(estimates, styles)
    yield from _time_pictures(estimates, styles)
    yield from _search_pictures(answers, estimates.group)
    yield from _ranking_pictures(answers, estimates.group)


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
        *extra, f"n = {_range(rows['n'])} {'runs' if foreign else 'seeds'} per configuration", interval,
        "logs of another program, split and seeds unknown" if foreign else split_words(group),
        f"budget: {_range(rows['examples'])} images in {_range(rows['updates'])} updates",
        *_confounded(estimate),
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


def _range(values: pd.Series) -> str:
    known = values.dropna()
    if known.empty:
        return "unknown"
    low, high = int(known.min()), int(known.max())
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def _confounded(estimate: ExperimentEstimate) -> tuple[str, ...]:
    return (f"confounded with {', '.join(estimate.confounded)}",) if estimate.confounded else ()


def _plain_name(name: str) -> str:
    """An experiment's name without what is awkward in file names and links."""
    return re.sub(r"[^A-Za-z0-9_-]+", "-", name).strip("-")


def wrap(text: str, width: int) -> str:
    """Break `text` into lines, at the commas of a configuration's name too."""
    lines = textwrap.wrap(text.replace(",", ", "), width) if " " not in text else textwrap.wrap(text, width)
    return "\n".join(line if " " in text else line.replace(", ", ",") for line in lines)


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
        ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: short_value(value)))
    if scale.kind == "category":
        ax.set_xlim(-0.6, len(scale.values) - 0.4)
    ax.set_xlabel(_words(scale.name))


def _words(name: str) -> str:
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


def set_legend(ax: Axes, handles: Sequence[Artist]) -> None:
    """A legend to the right of the axes, where it covers nothing."""
    ax.legend(handles=list(handles), loc="upper left", bbox_to_anchor=(1.01, 1.02), borderaxespad=0)


def _title_legend(ax: Axes, title: str) -> None:
    legend = ax.get_legend()
    assert legend is not None
    legend.set_title(title)


def _beneath(figure: Figure, handles: Sequence[Artist], columns: int) -> None:
    figure.legend(handles=list(handles), loc="outside lower center", ncols=columns)


# --- accuracy by configuration -------------------------------------------------------------------------------------

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


def draw_experiment(estimate: ExperimentEstimate, *, styles: Mapping[str, Style], ax: Axes | None = None) -> Axes:
    """Accuracy against the scientific hyperparameter, or a ranking where there is no single one."""
    points, axes = experiment_points(estimate), varied_axes(estimate)
    if len(axes) == 1 and len(points) > 1:
        return _draw_against(estimate, points, axes[0], styles=styles, ax=ax)
    return _draw_ranking_of(estimate, points, axes, styles=styles, ax=ax)


def _draw_against(
    estimate: ExperimentEstimate, points: pd.DataFrame, axis: str, *, styles: Mapping[str, Style], ax: Axes | None
) -> Axes:
    ax = ax or new_axes()
    values = estimate.summary.set_index("configuration")[axis]
    scale = make_scale(axis, values[points["configuration"]])
    for point in points.to_dict("records"):
        place = scale.place(values[point["configuration"]])
        _draw_point(ax, point, place, _seeds(estimate, point), styles, upright=True)
    set_scale(ax, scale)
    set_percent(ax, along="y")
    set_legend(ax, point_legend(points, "seed" if is_paired(estimate.objectives) else "run"))
    return ax


def _draw_ranking_of(
    estimate: ExperimentEstimate, points: pd.DataFrame, axes: Sequence[str], *, styles: Mapping[str, Style],
    ax: Axes | None,
) -> Axes:  # fmt: skip
    """The best MOST_ROWS configurations in rows, the highest mean on top."""
    points = points.sort_values("mean", ascending=False, kind="stable").head(MOST_ROWS)
    ax = ax or new_axes(_ranking_height(points))
    for row, point in enumerate(points.to_dict("records")):
        _draw_point(ax, point, row, _seeds(estimate, point), styles, upright=False)
    ax.set_yticks(range(len(points)), points["label"])
    ax.set_ylim(len(points) - 0.4, -0.6)
    if 0 < len(axes) <= 2 and len(points) == len(estimate.summary):
        ax.set_ylabel(" × ".join(axes))  # noqa: RUF001
    set_percent(ax, along="x")
    set_legend(ax, point_legend(points, "seed" if is_paired(estimate.objectives) else "run"))
    return ax


def _ranking_height(points: pd.DataFrame) -> float:
    n_lines = sum(max(1.2, 1 + label.count("\n")) for label in points["label"])
    return float(max(3.4, 1.7 + 0.2 * n_lines))


def _seeds(estimate: ExperimentEstimate, point: Row) -> npt.NDArray[np.float64]:
    return estimate.objectives[point["configuration"]].dropna().to_numpy(float)


def _draw_point(
    ax: Axes, point: Row, place: float, seeds: npt.NDArray[np.float64],
    styles: Mapping[str, Style], *, upright: bool,
) -> None:  # fmt: skip
    """A configuration: its seeds faintly, mean and interval before them; hollow unless tied with the best."""
    style = styles[str(point["configuration"])]
    seen = {"color": style.color, "alpha": 0.4, "s": 22, "linewidths": 0, "zorder": 2, "label": "_seeds"}
    mean = float(point["mean"])
    across = np.full(len(seeds), place)
    ax.scatter(*((across, seeds) if upright else (seeds, across)), **seen)  # type: ignore[arg-type]
    x, y = (place, mean) if upright else (mean, place)
    if point["unstable"]:
        ax.plot(x, y, "X", color=style.color, markersize=9, zorder=4)
        return
    _draw_interval(ax, place, point["low"], point["high"], style.color, upright=upright)
    face = style.color if point["tied"] else "white"
    ax.plot(x, y, style.marker, color=style.color, markerfacecolor=face, markeredgewidth=1.6, zorder=4)
    if point["recommended"]:
        ax.plot(x, y, "o", color="black", markerfacecolor="none", markersize=15, markeredgewidth=1.4, zorder=5)


def _draw_interval(ax: Axes, place: float, low: float, high: float, color: str, *, upright: bool) -> None:
    if np.isfinite(low) and np.isfinite(high):
        draw = ax.vlines if upright else ax.hlines
        draw(place, low, high, color=color, linewidth=2, zorder=3)


def point_legend(points: pd.DataFrame, replicate: str) -> list[Artist]:
    """What the marks mean, in grey: those that occur; a `replicate` is a seed, or a run where seeds are unknown."""
    stable = points[~points["unstable"]]
    handles = [_mark(f"mean of {_range(points['n'])} {replicate}s,\n95 % interval", "o", face="white", line=True)]
    if not points["low"].notna().any():
        handles = [_mark(f"one {replicate}, no interval", "o")]
    elif len(points):
        handles.append(
            Line2D([], [], linestyle="", marker="o", color=GREY, alpha=0.4, markersize=4.5, label=f"one {replicate}")
        )
    if stable["tied"].any() and len(points) > 1:
        handles.append(_mark("filled: may be the best\n(tied with the best)", "o"))
    if stable["recommended"].any():
        handles.append(_mark("recommended", "o", face="none", size=13, color="black"))
    if len(stable) < len(points):
        handles.append(_mark("unstable:\na seed diverged", "X", size=9))
    return handles


def _mark(
    label: str, marker: str, *, face: str = GREY, size: float = 7, color: str = GREY, line: bool = False
) -> Artist:
    return Line2D(
        [], [], marker=marker, color=color, markerfacecolor=face, markersize=size, linestyle="-" if line else "",
        linewidth=2, label=label,
    )  # fmt: skip


def _accuracy_picture(
    estimate: ExperimentEstimate, group: Mapping[str, object], styles: Mapping[str, Style]
) -> Picture:
    name, points = estimate.experiment.name, experiment_points(estimate)
    title = estimate.experiment.question or ("Runs of another program" if name == FOREIGN else name)
    n_rows = len(points)
    shown = f"the {MOST_ROWS} highest means of {n_rows} configurations" if n_rows > MOST_ROWS else ""
    axes = varied_axes(estimate)
    against = " and ".join(axes) if 0 < len(axes) <= 2 else "configuration"
    return Picture(
        f"accuracy_{_plain_name(name)}", title, caption(estimate, group, *filter(None, [shown])),
        f"Validation accuracy by {against}: {_ends(points)}", figure_of(draw_experiment(estimate, styles=styles)),
        finding(estimate), _confounded(estimate),
    )  # fmt: skip


def _ends(points: pd.DataFrame) -> str:
    """The highest and the lowest mean in words, for those who cannot see the picture."""
    ranked = points.sort_values("mean", ascending=False, kind="stable")
    words = [f"{' '.join(r['label'].split())} {100 * r['mean']:.1f} %" for r in ranked.to_dict("records")]
    return f"highest {words[0]}, lowest {words[-1]}." if len(words) > 1 else f"{words[0]}."


# --- factorial experiments -----------------------------------------------------------------------------------------


def is_heatmap(estimate: ExperimentEstimate) -> bool:
    """Whether cells are configurations on two axes that saw equally many images: unequal ones never share a map."""
    axes = factorial_axes(estimate.experiment)
    planned = len(axes) == 2 and set(axes) <= set(estimate.experiment.varied)
    return planned and "examples" not in estimate.confounded


def draw_heatmap(estimate: ExperimentEstimate, *, ax: Axes | None = None) -> Axes:
    """Means of a two-way grid; frames mark what is tied with the best, a star the recommended, words the unstable."""
    down, along = (make_scale(name, values) for name, values in factorial_axes(estimate.experiment).items())
    cells = estimate.summary.set_index([down.name, along.name])
    grid = pd.MultiIndex.from_product([down.values, along.values])
    means = cells["validation_accuracy_mean"].where(cells["n_diverged"] == 0).reindex(grid).to_numpy(float)
    ax = ax or new_axes(1.9 + 0.5 * len(down.values))
    ax.set_facecolor("#DDDDDD")
    image = ax.imshow(means.reshape(len(down.values), -1), cmap="cividis", aspect="auto", origin="lower")
    middle = float(np.mean(image.get_clim()))
    for (i, v), (j, w) in itertools.product(enumerate(down.values), enumerate(along.values)):
        _draw_cell(ax, i, j, pd.Series(cells.xs((v, w))), middle)
    ax.grid(visible=False)
    ax.set_xticks(range(len(along.values)), [short_value(v) for v in along.values])
    ax.set_yticks(range(len(down.values)), [short_value(v) for v in down.values])
    ax.set(xlabel=_words(along.name), ylabel=_words(down.name))
    _beneath(figure_of(ax), _cell_legend(estimate), 2)
    figure_of(ax).colorbar(image, ax=ax, format=percent_format(), label="mean accuracy")
    return ax


def _draw_cell(ax: Axes, i: int, j: int, cell: pd.Series, middle: float) -> None:
    mean, ink = cell["validation_accuracy_mean"], "black"
    if cell["n_diverged"]:
        words = f"unstable\n{int(cell['n_diverged'])} of {int(cell['n'])}"
    else:
        words = "" if np.isnan(mean) else f"{100 * mean:.1f}" + " ★" * bool(cell["recommended"])
        ink = "black" if np.isnan(mean) or mean > middle else "white"
    ax.text(j, i, words, ha="center", va="center", color=ink, fontsize=10)
    if cell["tied_with_best"]:
        ax.add_patch(Rectangle((j - 0.45, i - 0.42), 0.9, 0.84, fill=False, edgecolor=ink, linewidth=1.6))


def _cell_legend(estimate: ExperimentEstimate) -> list[Artist]:
    handles: list[Artist] = [
        Patch(fill=False, edgecolor="black", linewidth=1.6, label="may be the best (tied with the best)")
    ]
    if estimate.recommended:
        handles.append(_mark("recommended", "*", size=11, color="black", face="black"))
    return handles if estimate.tied else handles[1:]


def _heatmap_pictures(estimate: ExperimentEstimate, group: Mapping[str, object]) -> Iterator[Picture]:
    if not is_heatmap(estimate):
        return
    name, noise = estimate.experiment.name, estimate.noise
    floor = (
        f"noise floor: one configuration scatters by {100 * noise.sd_median:.2f} points (standard deviation over "
        f"seeds), the present seeds resolve {100 * noise.resolvable_paired:.2f} points"
        if np.isfinite(noise.sd_median) and np.isfinite(noise.resolvable_paired)
        else "noise floor unknown from fewer than 3 seeds"
    )
    n_tied = f"{len(estimate.tied)} of {len(estimate.summary)} cells are tied with the best"
    points = experiment_points(estimate)
    yield Picture(
        f"heatmap_{_plain_name(name)}", estimate.experiment.question or name,
        caption(estimate, group, "means over seeds in percent", n_tied, floor),
        f"Heatmap of mean validation accuracy; {n_tied}; {_ends(points)}", figure_of(draw_heatmap(estimate)),
        finding(estimate), _confounded(estimate),
    )  # fmt: skip


def interaction_sides(cells: pd.DataFrame) -> tuple[Scale, Scale]:
    """The axis to draw along and the one whose values are lines: the shorter, of equal ones the second."""
    first, second = (
        make_scale(str(cells[side].iloc[0]), cells[f"{side}_value"]) for side in ("first", "second")
    )  # fmt: skip
    return (second, first) if len(second.values) > len(first.values) else (first, second)


def draw_interaction(cells: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Cell means of two axes (CELL_COLUMNS) with 95 % intervals, a line per value of one; no unstable ones."""
    ax = ax or new_axes()
    along, lines = interaction_sides(cells)
    swapped = str(cells["first"].iloc[0]) == along.name
    at, of = ("first_value", "second_value") if swapped else ("second_value", "first_value")
    styles, handles = level_styles(len(lines.values)), []
    for index, (value, style) in enumerate(zip(lines.values, styles, strict=True)):
        part = cells[cells[of] == value].sort_values(at, key=lambda v: v.map(along.place))
        places = [along.dodge(v, index, len(lines.values)) for v in part[at]]
        (drawn,) = ax.plot(places, part["mean"], style.line, marker=style.marker, color=style.color, markersize=6)
        known = part["low"].notna().to_numpy()
        ax.vlines(np.array(places)[known], part["low"][known], part["high"][known], color=style.color, linewidth=1.4)
        drawn.set_label(short_value(value))
        handles.append(drawn)
    set_scale(ax, along)
    set_percent(ax, along="y")
    set_legend(ax, handles[::-1] if lines.kind != "category" else handles)
    _title_legend(ax, lines.name)
    return ax


def _interaction_pictures(
    estimate: ExperimentEstimate, cells: pd.DataFrame, group: Mapping[str, object]
) -> Iterator[Picture]:
    name = estimate.experiment.name
    pairs = list(cells.groupby(["first", "second"], sort=False))
    for (first, second), part in pairs:
        if part["mean"].isna().all():
            continue
        suffix = f"_{first}_x_{second}" if len(pairs) > 1 else ""
        along, lines = interaction_sides(part)
        n_unstable = int((part["n_diverged"] > 0).sum())
        unstable = [f"{n_unstable} unstable cells left out"] if n_unstable else []
        yield Picture(
            f"interaction_{_plain_name(name)}{suffix}", estimate.experiment.question or name,
            caption(estimate, group, "means and intervals; parallel lines would mean no interaction", *unstable),
            f"Lines of mean validation accuracy over {along.name}, one for each value of {lines.name}.",
            figure_of(draw_interaction(part)), labels=_confounded(estimate),
        )  # fmt: skip


# --- nuisance hyperparameters --------------------------------------------------------------------------------------


def draw_isolation(estimate: ExperimentEstimate, *, styles: Mapping[str, Style], ax: Axes | None = None) -> Axes:
    """Accuracy against the nuisance hyperparameter, a line per arm in the style of its best; a ring marks that best."""
    ax = ax or new_axes()
    (nuisance,) = _varied_nuisance(estimate)
    rows = estimate.summary[estimate.summary["n"] > 0]
    scale = make_scale(nuisance, rows[nuisance])
    arms = estimate.arms.to_dict("records")
    for index, arm in enumerate(arms):
        part, best = rows[_is_arm(rows, estimate, arm)].sort_values(nuisance), arm["configuration"]
        _draw_arm(ax, part, scale, styles[best], best=best, at=(index, len(arms)))
    handles = [_line(arm["arm"].replace(", ", ",\n"), styles[arm["configuration"]]) for arm in arms]
    handles.append(_mark("best of its arm", "o", face="none", size=13, color="black"))
    if (rows["n_diverged"] > 0).any():
        handles.append(_mark("unstable:\na seed diverged", "X", size=9))
    set_scale(ax, scale)
    set_percent(ax, along="y")
    set_legend(ax, handles)
    return ax


def _varied_nuisance(estimate: ExperimentEstimate) -> list[str]:
    return [name for name in estimate.experiment.nuisance if estimate.summary[name].nunique() > 1]


def _is_arm(rows: pd.DataFrame, estimate: ExperimentEstimate, arm: Row) -> pd.Series:
    scientific = list(estimate.experiment.scientific)
    return (rows[scientific] == pd.Series({name: arm[name] for name in scientific})).all(axis=1)


def _draw_arm(ax: Axes, part: pd.DataFrame, scale: Scale, style: Style, *, best: str, at: tuple[int, int]) -> None:
    """One arm of an isolation plot, the `at[0]`-th of `at[1]` side by side."""
    places = np.array([scale.dodge(v, *at) for v in part[scale.name]])
    means, unstable = part["validation_accuracy_mean"].to_numpy(float), (part["n_diverged"] > 0).to_numpy(bool)
    ax.plot(places[~unstable], means[~unstable], style.line, marker=style.marker, color=style.color)
    ax.plot(places[unstable], means[unstable], "X", color=style.color, markersize=9)
    kept = part[~unstable]
    ax.vlines(
        places[~unstable], kept["validation_accuracy_low"], kept["validation_accuracy_high"], color=style.color,
        linewidth=1.4,
    )  # fmt: skip
    chosen = (part["configuration"] == best).to_numpy(bool)
    ax.plot(places[chosen], means[chosen], "o", color="black", markerfacecolor="none", markersize=15, zorder=5)


def _line(label: str, style: Style) -> Artist:
    return Line2D([], [], color=style.color, marker=style.marker, linestyle=style.line, label=label)


def _isolation_pictures(
    estimate: ExperimentEstimate, group: Mapping[str, object], styles: Mapping[str, Style]
) -> Iterator[Picture]:
    nuisance = _varied_nuisance(estimate)
    if len(nuisance) != 1 or not 0 < len(estimate.arms) <= MOST_LINES:
        return
    name = estimate.experiment.name
    tuned = f"each arm is judged at its best {nuisance[0]}, the highest mean over seeds"
    means = zip(estimate.arms["arm"], 100 * estimate.arms["validation_accuracy_mean"], strict=True)
    best = ", ".join(f"{arm} {mean:.1f} %" for arm, mean in means)
    yield Picture(
        f"isolation_{_plain_name(name)}", estimate.experiment.question or name, caption(estimate, group, tuned),
        f"Validation accuracy against {nuisance[0]}, a line per arm; best of each: {best}.",
        figure_of(draw_isolation(estimate, styles=styles)), finding(estimate), _confounded(estimate),
    )  # fmt: skip


# --- learning curves -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class CurveBand:
    """One configuration's validation accuracy by epoch: a row per seed, and mean and 95 % interval; NaN if unstable."""

    configuration: str
    label: str
    seeds: npt.NDArray[np.float64]
    mean: npt.NDArray[np.float64]
    low: npt.NDArray[np.float64]
    high: npt.NDArray[np.float64]

    @property
    def epochs(self) -> npt.NDArray[np.int64]:
        """Epochs from 1."""
        return np.arange(1, self.seeds.shape[1] + 1)


def curve_bands(estimate: ExperimentEstimate, curves: pd.DataFrame) -> list[CurveBand]:
    """The curves of the configurations that `experiment_points` shows; none where they are too many to tell apart."""
    points = experiment_points(estimate)
    if len(points) > MOST_LINES:
        return []
    by_name = {str(name): rows for name, rows in curves.groupby("configuration")}
    compact = 0 < len(varied_axes(estimate)) <= 2
    return [
        _curve_band(estimate, point, by_name[point["configuration"]], compact=compact)
        for point in points.to_dict("records") if point["configuration"] in by_name
    ]  # fmt: skip


def _curve_band(estimate: ExperimentEstimate, point: Row, curves: pd.DataFrame, *, compact: bool) -> CurveBand:
    name = str(point["configuration"])
    seeds = curves.pivot(index="trial_id", columns="epoch", values="validation_accuracy").to_numpy(float)
    band = describe(seeds)
    unstable = estimate.unstable.get(name)
    label = (str(point["label"]) if compact else wrap(name, 24)) + (f"\n({unstable})" if unstable else "")
    hidden = np.full(seeds.shape[1], np.nan)
    mean, low, high = (hidden,) * 3 if unstable else (band.mean, band.low, band.high)
    return CurveBand(name, label, seeds, mean, low, high)


def draw_curves(bands: Sequence[CurveBand], *, styles: Mapping[str, Style], ax: Axes | None = None) -> Axes:
    """Validation accuracy by epoch: seeds faint, mean and interval before them; of an unstable one the seeds alone."""
    ax = ax or new_axes()
    for band in bands:
        style = styles[band.configuration]
        ax.plot(band.epochs, band.seeds.T, style.line, color=style.color, alpha=0.25, linewidth=0.8, label="_seed")
        ax.plot(band.epochs, band.mean, style.line, color=style.color, marker=style.marker, markersize=5)
        ax.fill_between(band.epochs, band.low, band.high, color=style.color, alpha=0.13, linewidth=0)
    ax.xaxis.set_major_locator(MaxNLocator(nbins=10, integer=True, min_n_ticks=1))
    ax.set_xlabel("epoch")
    set_percent(ax, along="y")
    set_legend(ax, [_line(band.label, styles[band.configuration]) for band in bands])
    return ax


def _curves_pictures(
    estimate: ExperimentEstimate, estimates: StudyEstimates, styles: Mapping[str, Style]
) -> Iterator[Picture]:
    name = estimate.experiment.name
    bands = curve_bands(estimate, estimates.curves) if name != FOREIGN else []
    if max((band.seeds.shape[1] for band in bands), default=0) < 2:
        return
    if estimate.experiment.nuisance:
        which = "the best configuration of each arm"
    else:
        which = "every configuration" if len(bands) > 1 else "the configuration"
    steps = estimate.summary["train_steps"]
    ax = draw_curves(bands, styles=styles)
    if 0 < len(axes := varied_axes(estimate)) <= 2 and not _varied_nuisance(estimate):
        _title_legend(ax, " × ".join(axes))  # noqa: RUF001
    yield Picture(
        f"curves_{_plain_name(name)}", f"Learning curves: {estimate.experiment.question or name}",
        caption(estimate, estimates.group, f"{which}; lines are means, bands intervals, thin lines seeds; "
                f"an epoch is {_range(steps)} updates"),
        f"Validation accuracy by epoch of {len(bands)} configurations: {_ends(experiment_points(estimate))}",
        figure_of(ax), labels=_confounded(estimate),
    )  # fmt: skip


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
        axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.set_minor_locator(NullLocator())
        axis.set_major_formatter("{x:g}")
    ax.set(xlabel="unpaired (percentage points)", ylabel="paired by seed (percentage points)", xlim=ends, ylim=ends)
    ax.set_title(f"standard deviation of {len(points):,} differences;\nbelow the line pairing sharpens")
    return ax


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
    ax.xaxis.set_major_formatter("{x:g}")
    ax.set_xlabel("seconds per trial (mean over seeds)")
    set_percent(ax, along="y")
    set_legend(ax, handles)
    _title_legend(ax, "Pareto front")
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
    _draw_interval(ax, place, low, high, style.color, upright=True)
    ax.plot(place, mean, style.marker, color=style.color, zorder=4)


def _front_mark(row: Row, styles: Mapping[str, Style]) -> Artist:
    style = styles[str(row["configuration"])]
    return _mark(wrap(str(row["configuration"]), 26), style.marker, color=style.color, face=style.color)


def _time_pictures(estimates: StudyEstimates, styles: Mapping[str, Style]) -> Iterator[Picture]:
    points = time_points(estimates)
    if len(points) < 3:
        return
    front = points[points["on_front"]]
    mixed = {column for e in estimates.experiments for column in e.mixed if column in ("host", "device")}
    labels = (f"times from more than one {' and '.join(sorted(mixed))}",) if mixed else ()
    yield Picture(
        "time_and_accuracy", "What does accuracy cost in time?",
        f"{len(points)} stable configurations, n = {_range(points['n'])} seeds; marks in the legend are on the Pareto "
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
    _draw_interval(ax, place, low, high, color, upright=True)
    ax.plot(place, grid - halving.lost.value, marker, color=color, markersize=9, zorder=4)


def search_legend() -> list[Artist]:
    """The marks of `draw_search`."""
    marks = [_mark(f"successive halving, eta {e}", m, color=c, face=c, size=9) for e, (m, c) in ETA_MARKS.items()]
    return [
        Line2D([], [], linestyle="--", color=REPORTED, label="random search: what it reports"),
        Line2D([], [], color=HONEST, label="random search: worth on other seeds"),
        _mark("as good as the grid, within the margin", "o", face="white", color=HONEST, size=9), *marks,
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
    _beneath(figure, search_legend(), 2)
    enough = "; ".join(
        f"{s.experiment}: {s.sufficient} of {s.n_configurations} random trials suffice" for s in searches
    )
    yield Picture(
        "search_cost", "What did grid search cost against random search and successive halving?",
        f"{enough}; replayed on the records, n = {_range(pd.Series([s.n_seeds for s in searches]))} seeds, each a "
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
    _beneath(figure, ranking_legend(), 2)
    silent = [r.experiment for r in answers.rankings if r.is_vacuous]
    left_out = f"; left out, all being tied at the end: {', '.join(silent)}" if silent else ""
    first = "; ".join(f"{r.experiment}: {f'epoch {r.sufficient}' if r.sufficient else 'none'}" for r in telling)
    yield Picture(
        "ranking_by_epoch", "Would fewer epochs have found the best configuration?",
        f"First epoch from which the winner is in the final tied set in at least 95 % of resamples: {first}; "
        f"n = {_range(pd.Series([r.n_seeds for r in telling]))} seeds, bands hold 95 % of resampled seeds{left_out}; "
        f"{split_words(group)}.",
        f"Agreement of the ranking at each epoch with the final one. First epoch that suffices: {first}.", figure,
    )  # fmt: skip
