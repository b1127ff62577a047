"""The figures of grids: heatmaps, interactions and nuisance hyperparameters."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
import seaborn as sns
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.patches import Patch, Rectangle

from gridstudy.reporting.plotting import (
    BLUE,
    MOST_LINES,
    STYLES,
    UNSTABLE,
    WIDTH,
    Figure,
    Mark,
    Row,
    Scale,
    Style,
    Unit,
    best_and_worst,
    blank,
    caption,
    confounded_labels,
    draw_intervals,
    drawing_of,
    experiment_title,
    finding,
    legend_below,
    legend_mark,
    make_scale,
    new_axes,
    new_drawing,
    plain_name,
    point_words,
    records,
    set_number_ticks,
    set_scale,
    unit_of,
    varied_nuisance,
    wrap,
)
from gridstudy.statistics.estimates import ExperimentEstimate, StudyEstimates
from gridstudy.statistics.interactions import factorial_axes

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


def heatmap_figures(estimate: ExperimentEstimate, study: StudyEstimates) -> Iterator[Figure]:
    """One figure, where the grid has two axes and its cells saw equally many examples."""
    if not is_heatmap(estimate, epochs=study.description.epochs) or estimate.best is None:
        return
    unit = unit_of(study.description.objective)
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
        f"Heatmap of mean {study.description.objective.label}; {n_tied}; {best_and_worst(estimate, unit)}",
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
    drawing.subplots_adjust(hspace=0.32, wspace=0.2)
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
        set_scale(grid[lowest, column], lines.scale, width=6.4 / grid.shape[1])
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


def interaction_figures(estimate: ExperimentEstimate, cells: pd.DataFrame, study: StudyEstimates) -> Iterator[Figure]:
    """A figure for each pair of axes of a factorial experiment."""
    name = estimate.experiment.name
    pairs = list(cells.groupby(["first", "second"], sort=False))
    for (first, second), part in pairs:
        if part["mean"].notna().sum() < 2:
            continue
        suffix = f"_{first}_x_{second}" if len(pairs) > 1 else ""
        lines, (along, split) = read_interaction(part, study), interaction_sides(part, study)
        n_unstable = int((part["n_diverged"] > 0).sum())
        unstable = [f"{n_unstable} unstable cells left out"] * bool(n_unstable)
        yield Figure(
            f"interaction_{plain_name(name)}{suffix}", "interaction",
            f"Do {along.title} and {split.title} interact?",
            caption(estimate, study, "each panel shows one line with its intervals and the others pale behind it",
                    "parallel lines would mean no interaction", *unstable),
            f"{study.description.objective.label.capitalize()} against {lines.scale.title}, a panel for each of "
            f"{', '.join(lines.panels)}.",
            labels=confounded_labels(estimate), drawing=drawing_of(draw_lines(lines)),
                )  # fmt: skip


def read_isolation(estimate: ExperimentEstimate, study: StudyEstimates) -> Lines:
    """The scores of each arm against the one nuisance hyperparameter; the best of each arm is marked."""
    (nuisance,) = varied_nuisance(estimate)
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


def isolation_figures(estimate: ExperimentEstimate, study: StudyEstimates) -> Iterator[Figure]:
    """One figure, where one nuisance hyperparameter is tuned in each of a few arms."""
    if len(varied_nuisance(estimate)) != 1 or not 1 < len(estimate.arms) <= MOST_LINES:
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
