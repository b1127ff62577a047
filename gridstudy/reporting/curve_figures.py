"""The figure of an experiment's learning curves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from gridstudy.records.tables import FOREIGN
from gridstudy.reporting.plotting import (
    GREY,
    MOST_LINES,
    SMALL_SIZE,
    Figure,
    Floats,
    Row,
    Unit,
    arm_name,
    blank,
    caption,
    confounded_labels,
    drawing_of,
    experiment_points,
    experiment_title,
    hyperparameter_of,
    is_tuned,
    make_scale,
    new_axes,
    outliers,
    place_labels,
    plain_name,
    records,
    set_number_ticks,
    tuned_words,
    unit_of,
    varied_axes,
    varied_nuisance,
    width_of,
    wrap_label,
)
from gridstudy.statistics.comparisons import describe
from gridstudy.statistics.estimates import ExperimentEstimate, StudyEstimates
from gridstudy.statistics.flags import curve_table


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
    if epochs and varied_axes(estimate) == [epochs] and not varied_nuisance(estimate):
        longest = estimate.summary.loc[estimate.summary["n"] > 0].sort_values(epochs)["configuration"].iloc[-1]
        points = points[points["configuration"] == longest]
    if len(points) > MOST_LINES:
        return []
    by_name = {str(name): rows for name, rows in study.curves.groupby("configuration")}
    factor = unit_of(study.description.objective).factor
    return [
        _curve_band(estimate, point, by_name[point["configuration"]], factor=factor)
        for point in records(points)
        if point["configuration"] in by_name and by_name[point["configuration"]]["objective"].notna().any()
    ]  # fmt: skip


def _curve_band(estimate: ExperimentEstimate, point: Row, curves: pd.DataFrame, *, factor: float) -> CurveBand:
    name = str(point["configuration"])
    seeds = factor * curve_table(curves, "objective")
    band = describe(seeds)
    unstable = estimate.unstable.get(name)
    label = wrap_label(arm_name(estimate, name), 24) + (f"\n({unstable})" if unstable else "")
    hidden = np.full(seeds.shape[1], np.nan)
    mean, low, high = (hidden,) * 3 if unstable else (band.mean, band.low, band.high)
    return CurveBand(name, label, seeds, mean, low, high)


def draw_curves(
    bands: Sequence[CurveBand], unit: Unit, *, axis: str = "", ordered: bool = False, ax: Axes | None = None
) -> Axes:
    """The objective by epoch, labelled at its end: seeds faint, mean and interval before them.

    `axis` stands over the labels. Colours follow the order of the arms where they are `ordered` along it. Of an
    unstable arm the seeds alone are drawn.
    """
    limits = curve_limits(bands, unit)
    labels = [_end_label(band, unit, limits) for band in bands]
    ax = ax or new_axes(4.5, right=width_of([axis, *labels], size=SMALL_SIZE) + 0.2, top=0.1 + 0.2 * bool(axis))
    blank(ax)
    colours = curve_colours(len(bands), ordered=ordered)
    for band, colour in zip(bands, colours, strict=True):
        faint = 0.3 * min(1.0, (10 / len(band.seeds)) ** 0.5)
        ax.plot(band.epochs, band.seeds.T, color=colour, alpha=faint, linewidth=0.7, label="_seed", zorder=1)
        sns.lineplot(
            x=band.epochs, y=band.mean, color=colour, linewidth=2, errorbar=None, ax=ax, legend=False, zorder=3
        )
        ax.fill_between(band.epochs, band.low, band.high, color=colour, alpha=0.15, linewidth=0)
    ax.xaxis.set_major_locator(MaxNLocator(nbins=10, integer=True, min_n_ticks=1))
    ax.set(xlabel="epoch", ylabel=unit.level)
    ax.set_ylim(*limits)
    set_number_ticks(ax, along="y", most=7)
    _label_ends(ax, labels, [_end(band) for band in bands], colours)
    if axis:
        ax.annotate(axis, (1, 1), xycoords="axes fraction", xytext=(6, 6), textcoords="offset points", color=GREY,
                    fontsize="small", annotation_clip=False)  # fmt: skip
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


def curve_figures(estimate: ExperimentEstimate, study: StudyEstimates) -> Iterator[Figure]:
    """One figure, where the subject has curves of more than one epoch and the arms are few."""
    name = estimate.experiment.name
    bands = curve_bands(estimate, study) if name != FOREIGN and "objective" in study.curves else []
    if not any(np.isfinite(band.mean).any() and band.seeds.shape[1] > 1 for band in bands):
        return
    axes, unit = varied_axes(estimate), unit_of(study.description.objective)
    ordered = len(axes) == 1 and make_scale(study.description, axes[0], estimate.summary[axes[0]]).kind != "category"
    if ordered:
        order = estimate.summary.set_index("configuration")[axes[0]]
        bands = sorted(bands, key=lambda band: order[band.configuration])
    ax = draw_curves(bands, unit, axis=_axis_words(estimate, study), ordered=ordered)
    yield Figure(
        f"curves_{plain_name(name)}", "curves", f"Learning curves: {experiment_title(estimate)}",
        caption(estimate, study, _curves_words(estimate, study, bands)),
        f"{study.description.objective.label.capitalize()} by epoch of "
        f"{', '.join(' '.join(band.label.split()) for band in bands)}.",
        labels=confounded_labels(estimate), drawing=drawing_of(ax),
    )  # fmt: skip


def _axis_words(estimate: ExperimentEstimate, study: StudyEstimates) -> str:
    """What the labels are values of, where the arms differ in one hyperparameter."""
    axes = varied_axes(estimate)
    return hyperparameter_of(study.description, axes[0]).title if len(axes) == 1 and not is_tuned(estimate) else ""


def _curves_words(estimate: ExperimentEstimate, study: StudyEstimates, bands: Sequence[CurveBand]) -> str:
    drawn = "lines are means, bands 95 % intervals, thin lines seeds"
    if is_tuned(estimate):
        return f"each arm at its best {tuned_words(estimate, study)}; {drawn}"
    if len(bands) < len(experiment_points(estimate)):
        return f"the longest arm, whose curve the shorter ones share; {drawn}"
    return drawn
