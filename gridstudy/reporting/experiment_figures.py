"""The figures of one experiment: accuracy, heatmap, interactions, nuisance hyperparameters and learning curves.

A `draw_...` function takes what it draws and an optional `ax`, and returns it; it opens no window and touches no state
of pyplot. Numbers come from the estimates; a data step beside a drawing step only picks and reshapes rows.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle
from matplotlib.ticker import MaxNLocator

from gridstudy.reporting.plotting import (
    GREY,
    MOST_LINES,
    Picture,
    Row,
    Scale,
    Style,
    axis_label,
    caption,
    confounded_labels,
    draw_interval,
    experiment_points,
    extent,
    figure_of,
    finding,
    legend_mark,
    level_styles,
    make_scale,
    new_axes,
    percent_format,
    plain_name,
    set_legend,
    set_legend_beneath,
    set_percent,
    set_scale,
    short_value,
    title_legend,
    varied_axes,
    wrap,
)
from gridstudy.statistics.comparisons import FOREIGN, describe, is_paired
from gridstudy.statistics.estimates import ExperimentEstimate, StudyEstimates
from gridstudy.statistics.interactions import factorial_axes

MOST_ROWS = 40


def experiment_pictures(
    estimate: ExperimentEstimate, estimates: StudyEstimates, cells: pd.DataFrame, styles: Mapping[str, Style]
) -> Iterator[Picture]:
    """The pictures of one experiment, in the order of the report."""
    yield _accuracy_picture(estimate, estimates.group, styles)
    yield from _heatmap_pictures(estimate, estimates.group)
    own = cells[cells["experiment"] == estimate.experiment.name]
    yield from _interaction_pictures(estimate, own, estimates.group)
    yield from _isolation_pictures(estimate, estimates.group, styles)
    yield from _curves_pictures(estimate, estimates, styles)


# --- accuracy by configuration -------------------------------------------------------------------------------------


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
    draw_interval(ax, place, point["low"], point["high"], style.color, upright=upright)
    face = style.color if point["tied"] else "white"
    ax.plot(x, y, style.marker, color=style.color, markerfacecolor=face, markeredgewidth=1.6, zorder=4)
    if point["recommended"]:
        ax.plot(x, y, "o", color="black", markerfacecolor="none", markersize=15, markeredgewidth=1.4, zorder=5)


def point_legend(points: pd.DataFrame, replicate: str) -> list[Artist]:
    """What the marks mean, in grey: those that occur; a `replicate` is a seed, or a run where seeds are unknown."""
    stable = points[~points["unstable"]]
    handles = [legend_mark(f"mean of {extent(points['n'])} {replicate}s,\n95 % interval", "o", face="white", line=True)]
    if not points["low"].notna().any():
        handles = [legend_mark(f"one {replicate}, no interval", "o")]
    elif len(points):
        handles.append(
            Line2D([], [], linestyle="", marker="o", color=GREY, alpha=0.4, markersize=4.5, label=f"one {replicate}")
        )
    if stable["tied"].any() and len(points) > 1:
        handles.append(legend_mark("filled: may be the best\n(tied with the best)", "o"))
    if stable["recommended"].any():
        handles.append(legend_mark("recommended", "o", face="none", size=13, color="black"))
    if len(stable) < len(points):
        handles.append(legend_mark("unstable:\na seed diverged", "X", size=9))
    return handles


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
        f"accuracy_{plain_name(name)}", title, caption(estimate, group, *filter(None, [shown])),
        f"Validation accuracy by {against}: {_ends(points)}", figure_of(draw_experiment(estimate, styles=styles)),
        finding(estimate), confounded_labels(estimate),
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
    ax.set(xlabel=axis_label(along.name), ylabel=axis_label(down.name))
    set_legend_beneath(figure_of(ax), _cell_legend(estimate), 2)
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
        handles.append(legend_mark("recommended", "*", size=11, color="black", face="black"))
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
        f"heatmap_{plain_name(name)}", estimate.experiment.question or name,
        caption(estimate, group, "means over seeds in percent", n_tied, floor),
        f"Heatmap of mean validation accuracy; {n_tied}; {_ends(points)}", figure_of(draw_heatmap(estimate)),
        finding(estimate), confounded_labels(estimate),
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
    title_legend(ax, lines.name)
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
            f"interaction_{plain_name(name)}{suffix}", estimate.experiment.question or name,
            caption(estimate, group, "means and intervals; parallel lines would mean no interaction", *unstable),
            f"Lines of mean validation accuracy over {along.name}, one for each value of {lines.name}.",
            figure_of(draw_interaction(part)), labels=confounded_labels(estimate),
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
    handles.append(legend_mark("best of its arm", "o", face="none", size=13, color="black"))
    if (rows["n_diverged"] > 0).any():
        handles.append(legend_mark("unstable:\na seed diverged", "X", size=9))
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
        f"isolation_{plain_name(name)}", estimate.experiment.question or name, caption(estimate, group, tuned),
        f"Validation accuracy against {nuisance[0]}, a line per arm; best of each: {best}.",
        figure_of(draw_isolation(estimate, styles=styles)), finding(estimate), confounded_labels(estimate),
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
        title_legend(ax, " × ".join(axes))  # noqa: RUF001
    yield Picture(
        f"curves_{plain_name(name)}", f"Learning curves: {estimate.experiment.question or name}",
        caption(estimate, estimates.group, f"{which}; lines are means, bands intervals, thin lines seeds; "
                f"an epoch is {extent(steps)} updates"),
        f"Validation accuracy by epoch of {len(bands)} configurations: {_ends(experiment_points(estimate))}",
        figure_of(ax), labels=confounded_labels(estimate),
    )  # fmt: skip
