"""Estimates from other programs' results -> figures: configurations, effects, and differences over conditions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from gridstudy.reporting.plotting import (
    BLUE,
    GREY,
    ORANGE,
    SMALL_SIZE,
    WIDTH,
    Figure,
    Floats,
    Mark,
    Row,
    Style,
    draw_intervals,
    drawing_of,
    legend_below,
    legend_mark,
    new_drawing,
    outliers,
    set_number_ticks,
    width_of,
    wrap_label,
)
from gridstudy.reporting.results.findings import ResultFindings
from gridstudy.statistics.results.parts import OVER_CONDITIONS

MOST_ROWS = 30
LETTERS = 44
LINE_INCHES = 0.24
TIED = Style(BLUE, "o", BLUE, "may be the best (tied)")
OTHER = Style(GREY, "D", GREY, "shown to be behind the best")
SINGLE = Style(GREY, "o", "white", "not ranked: too few replicates")
CLEAR = Style(ORANGE, "o", ORANGE, "clear after Holm's correction")
UNCLEAR = Style(GREY, "o", "white", "not clear")
CONDITION = Style(BLUE, "o", BLUE, "one condition, its replicates as n")
WHOLE = Style(ORANGE, "D", ORANGE, "over the conditions, their number as n")


def result_figures(findings: ResultFindings) -> Iterator[Figure]:
    """Every figure that there is material for."""
    for number, condition in enumerate([c for c in findings.conditions if len(findings.configurations(c))]):
        yield configuration_figure(findings, condition, number=number)
    if len(findings.tested_effects(findings.main)):
        yield effect_figure(findings)
    if findings.main == OVER_CONDITIONS:
        yield from forest_figure(findings)


def configuration_figure(findings: ResultFindings, condition: str, *, number: int = 0) -> Figure:
    """Means with intervals, the best on top, each run a faint mark behind."""
    table = findings.configurations(condition)
    table = table[table["mean"].notna()]
    shown = table.head(MOST_ROWS)
    ax = _axes([str(name) for name in shown["configuration"]])
    factor, places = findings.unit.factor, np.arange(len(shown), dtype=float)
    _draw_runs(ax, findings, shown, condition)
    styles = [_style(row) for row in shown.to_dict("records")]
    for style in dict.fromkeys(styles):
        some = np.array([s == style for s in styles])
        rows = shown[some]
        draw_intervals(
            ax, places[some], factor * rows["low"].to_numpy(float), factor * rows["high"].to_numpy(float),
            color=style.color, upright=False,
        )  # fmt: skip
        ax.plot(factor * rows["mean"], places[some], style.marker, color=style.color, mfc=style.face, ms=7, zorder=4)
    ax.set_xlabel(findings.unit.level)
    set_number_ticks(ax, along="x", most=7)
    far = _keep_in_view(ax, findings, shown)
    _set_legend(ax, styles)
    under = f" on {condition}" if condition else ""
    more = f" The {len(shown)} best of {len(table)} are shown." if len(shown) < len(table) else ""
    counts = sorted({int(n) for n in shown["n"]})
    n = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    return Figure(
        name=f"configurations{f'_{number + 1}' if condition else ''}", kind="configurations",
        title=f"Which configurations are best{under}?" if shown["rank"].notna().any()
        else f"Single values{under}, not ranked: some of this order is luck",
        caption=(
            f"Mean {findings.objective} and 95 % interval of each configuration, n = {n}; small dots are single "
            "runs. Two whose intervals overlap may differ all the same: see tables/comparisons.csv."
            if counts[-1] > 1 else f"{findings.objective} of each configuration, one value each."
        ) + far + more,
        alt_text=f"{findings.objective} of {len(shown)} configurations{under}" + ", with intervals" * (counts[-1] > 1),
        drawing=drawing_of(ax),
        marks=_marks(ax, factor * shown["mean"].to_numpy(float), [
            f"{row['configuration']}: {findings.unit.show_interval(row['mean'], row['low'], row['high'])}, "
            f"n = {row['n']:.0f}" for row in shown.to_dict("records")
        ]),
    )  # fmt: skip


def _style(row: Row) -> Style:
    return SINGLE if pd.isna(row["rank"]) else TIED if row["tied"] else OTHER


def _keep_in_view(ax: Axes, findings: ResultFindings, shown: pd.DataFrame) -> str:
    """Leave configurations far behind the others outside the axes, with their values at the edge; say so."""
    sign, factor = findings.unit.sign, findings.unit.factor
    means, lows, highs = (factor * shown[name].to_numpy(float) for name in ("mean", "low", "high"))
    far = outliers(means, sign=sign, lows=lows, highs=highs) if len(means) > 2 else np.zeros(len(means), bool)
    if not far.any():
        return ""
    ends = np.concatenate([means[~far], lows[~far], highs[~far]])
    low, high = np.nanmin(ends), np.nanmax(ends)
    ax.set_xlim(low - 0.08 * (high - low), high + 0.08 * (high - low))
    edge, arrow = (0.01, "\u2190 ") if sign > 0 else (0.99, "\u2192 ")
    for place in np.flatnonzero(far).tolist():
        words = arrow + findings.unit.show(float(shown["mean"].iloc[place]))
        ax.text(edge, float(place), words, transform=ax.get_yaxis_transform(), va="center", color=GREY,
                ha="left" if sign > 0 else "right", fontsize=SMALL_SIZE)  # fmt: skip
    return " Arrows stand for configurations that are far outside the picture."


def _draw_runs(ax: Axes, findings: ResultFindings, shown: pd.DataFrame, condition: str) -> None:
    """Faint marks of single runs, and none of those that would squeeze the means."""
    runs = findings.run_values(condition)
    for place, (name, n) in enumerate(zip(shown["configuration"], shown["n"], strict=True)):
        values = findings.unit.factor * runs.get(str(name), np.empty(0))
        if n > 1:
            height = np.full(len(values), place + 0.22)  # beside the interval, which would hide them
            ax.plot(values, height, ".", color=GREY, alpha=0.6, ms=6, zorder=2, mec="none")


def effect_figure(findings: ResultFindings) -> Figure:
    """Differences between values of each hyperparameter, the clearest on top."""
    table = findings.tested_effects(findings.main)
    shown = table.head(MOST_ROWS)
    labels = [f"{row['hyperparameter']}: {row['a']} against {row['b']}" for row in shown.to_dict("records")]
    ax = _axes(labels)
    styles = [CLEAR if p <= 0.05 else UNCLEAR for p in shown["p_holm"]]
    _draw_differences(ax, findings, shown, styles)
    _set_legend(ax, styles)
    unit = {"cell": "pairs of cells, whose interaction counts as noise", "condition": "conditions"}.get(
        str(shown["unit"].iloc[0]), "replicates"
    )
    better = "left" if findings.runs.options.minimise else "right"
    more = f" The {len(shown)} clearest of {len(table)} are shown." if len(shown) < len(table) else ""
    return Figure(
        name="effects", kind="effects", title="What does each hyperparameter do?",
        caption="Differences between two values, averaged over the cells that are alike in all other hyperparameters, "
        f"with single 95 % intervals; the units are {unit}. To the {better} the first value is better; the shaded "
        f"band is the margin of {findings.margin_words}.{more}",
        alt_text=f"Effects of {shown['hyperparameter'].nunique()} hyperparameters on {findings.objective}",
        drawing=drawing_of(ax), marks=_difference_marks(ax, findings, shown, labels),
    )  # fmt: skip


def forest_figure(findings: ResultFindings) -> Iterator[Figure]:
    """The best configuration over the conditions against the runner-up, in each condition and over them."""
    both = findings.best_pair()
    if both is None:
        return
    table = findings.differences_by_condition(*both)
    labels = [str(c) for c in table["condition"]]
    ax = _axes(labels)
    styles = [WHOLE if c == OVER_CONDITIONS else CONDITION for c in labels]
    _draw_differences(ax, findings, table, styles)
    _set_legend(ax, styles)
    better = "left" if findings.runs.options.minimise else "right"
    yield Figure(
        name="conditions", kind="forest", title="Does the order hold on every condition?",
        finding=f"{both[0]} minus {both[1]}",
        caption=f"{both[0]} minus {both[1]}, the two best over the conditions, with single 95 % intervals. To the "
        f"{better} the first is better; the shaded band is the margin of {findings.margin_words}. The unit of the "
        "last row is the condition, so that it speaks of other conditions of this kind.",
        alt_text=f"Difference of {both[0]} and {both[1]} in {len(labels) - 1} conditions and over them",
        drawing=drawing_of(ax), marks=_difference_marks(ax, findings, table, labels),
    )  # fmt: skip


# --- parts ---------------------------------------------------------------------------------------------------------


def _axes(labels: Sequence[str]) -> Axes:
    """Axes with a row per label, the first on top."""
    wrapped = [wrap_label(label, LETTERS) for label in labels]
    n_lines = sum(max(1, label.count("\n") + 1) for label in wrapped)
    drawing = new_drawing(
        WIDTH, 0.9 + LINE_INCHES * max(n_lines, 2), left=width_of(wrapped) + 0.3, right=0.3, top=0.15, bottom=0.65
    )
    ax = drawing.subplots()
    assert isinstance(ax, Axes)
    ax.set_yticks(range(len(labels)), wrapped)
    ax.set_ylim(len(labels) - 0.4, -0.6)
    ax.grid(visible=False, axis="y")
    return ax


def _set_legend(ax: Axes, styles: Sequence[Style]) -> None:
    legend_below(drawing_of(ax), [legend_mark(style.words, style) for style in dict.fromkeys(styles)])


def _draw_differences(ax: Axes, findings: ResultFindings, table: pd.DataFrame, styles: Sequence[Style]) -> None:
    factor, margin = findings.unit.factor, findings.unit.factor * findings.runs.margin
    ax.axvspan(-margin, margin, color="#EEEEEE", zorder=0)
    ax.axvline(0, color=GREY, linewidth=1, zorder=1)
    for place, (row, style) in enumerate(zip(table.to_dict("records"), styles, strict=True)):
        ends = (np.array([factor * row["low"]]), np.array([factor * row["high"]]))
        draw_intervals(ax, np.array([float(place)]), *ends, color=style.color, upright=False)
        ax.plot(factor * row["difference"], place, style.marker, color=style.color, mfc=style.face, ms=7, zorder=4)
    ax.set_xlabel(findings.unit.difference)
    set_number_ticks(ax, along="x", most=7)


def _difference_marks(
    ax: Axes, findings: ResultFindings, table: pd.DataFrame, labels: Sequence[str]
) -> tuple[Mark, ...]:
    words = [f"{label}: {findings.unit.show_difference(row['difference'], row['low'], row['high'])}, n = {row['n']:.0f}"
             for label, row in zip(labels, table.to_dict("records"), strict=True)]  # fmt: skip
    return _marks(ax, findings.unit.factor * table["difference"].to_numpy(float), words)


def _marks(ax: Axes, places: Floats, words: Sequence[str]) -> tuple[Mark, ...]:
    return tuple(Mark(ax, float(x), float(y), text) for y, (x, text) in enumerate(zip(places, words, strict=True)))
