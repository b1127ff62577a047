"""The forest plot: every contrast of every hypothesis, the first figure of a study."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.patches import Patch

from gridstudy.records.verdicts import CANNOT_TELL, verdict_word
from gridstudy.reporting.plotting import (
    BLUE,
    GREEN,
    GREY,
    RED,
    SMALL_SIZE,
    Figure,
    Mark,
    Row,
    Style,
    Unit,
    blank,
    contrast_words,
    draw_intervals,
    drawing_of,
    extent,
    legend_below,
    legend_mark,
    new_drawing,
    records,
    set_symlog,
    split_words,
    spoken,
    unit_of,
    width_of,
    wrap_label,
)
from gridstudy.statistics.estimates import StudyEstimates
from gridstudy.statistics.verdicts import CONTRADICTED, EQUIVALENT, SUPPORTED

VERDICTS: Mapping[str, tuple[str, str]] = {
    SUPPORTED: (GREEN, "o"), CONTRADICTED: (RED, "X"), EQUIVALENT: (BLUE, "s"), CANNOT_TELL: (GREY, "D"),
}  # fmt: skip
"""Verdict -> colour and marker."""

FOREST_COLUMNS = (
    "experiment", "contrast", "difference", "low", "high", "n", "verdict", "note", "place", "heading", "heading_note",
)  # fmt: skip
FOREST_WIDTH, FOREST_RIGHT, FOREST_LINE = 8.6, 2.4, 0.205
LETTERS_OF_CONTRAST = 38


def forest_rows(study: StudyEstimates) -> pd.DataFrame:
    """A row per contrast of every hypothesis, FOREST_COLUMNS; differences are positive where the first arm is better.

    `place` is the row's place in the figure in lines of text, `heading` that of its experiment's name, NaN after the
    first contrast. A note that all contrasts share stands in its line (`heading_note`).
    """
    rows, line = [], 0.0
    for estimate in study.experiments:
        verdict = estimate.verdict
        contrasts = verdict.contrasts if verdict else ()
        heading, line = line, line + 1.0
        notes = [f"confounded with {', '.join(c.confounded)}" if c.confounded else "" for c in contrasts]
        shared = notes[0] if len(set(notes)) == 1 else ""
        for c, sides, note in zip(contrasts, contrast_words(estimate), notes, strict=True):
            words = "\n".join(filter(None, [_in_lines(sides), "" if shared else note]))
            height = 1 + 0.75 * words.count("\n")
            rows.append((
                estimate.experiment.name, words, c.difference, c.low, c.high, c.n, verdict.verdict if verdict else "",
                note or ("" if np.isfinite(c.difference) else c.label), line + (height - 1) / 2, heading, shared,
            ))  # fmt: skip
            heading, line = np.nan, line + height
        line = line + 0.35 if contrasts else line - 1.0
    return pd.DataFrame(rows, columns=list(FOREST_COLUMNS))


def _in_lines(sides: str) -> str:
    """Two arms on one line where they fit, else one below the other."""
    if len(sides) <= LETTERS_OF_CONTRAST:
        return sides
    first, joint, second = sides.partition(" vs ") if " vs " in sides else sides.partition(" ≈ ")
    arms = (first, f"{joint.strip()} {second}") if joint else (first,)
    return "\n".join(wrap_label(arm, LETTERS_OF_CONTRAST) for arm in arms)


def draw_forest(rows: pd.DataFrame, unit: Unit, *, margin: float, ax: Axes | None = None) -> Axes:
    """Every contrast a row under the name of its experiment, with its interval and the margin's band.

    The scale is linear around zero and logarithmic beyond twice the margin, so that small and large effects show.
    """
    last = float(rows["place"].max())
    if ax is None:
        left = 0.4 + max(
            width_of(rows["contrast"], size=SMALL_SIZE),
            1.15 * width_of(map(spoken, rows["experiment"]), size=SMALL_SIZE),
        )
        height = 0.9 + FOREST_LINE * (last + 1.6)
        drawing = new_drawing(FOREST_WIDTH, height, left=left, right=FOREST_RIGHT, top=0.05, bottom=0.62)
        ax = drawing.subplots()
    blank(ax)
    shown = rows.assign(**{name: rows[name] * unit.factor for name in ("difference", "low", "high")})
    band = margin * unit.factor
    ax.axvspan(-band, band, color=BLUE, alpha=0.12, linewidth=0, zorder=0)
    ax.axvline(0, color=GREY, linewidth=0.8, zorder=1)
    for verdict, part in shown.groupby("verdict", sort=False):
        color, marker = VERDICTS[str(verdict)]
        places, lows, highs = (part[name].to_numpy(float) for name in ("place", "low", "high"))
        draw_intervals(ax, places, lows, highs, color=color, upright=False)
        sns.scatterplot(
            part, x="difference", y="place", marker=marker, color=color, s=32, ax=ax, legend=False, zorder=4
        )
    ax.set(xlabel=f"paired {unit.difference}", ylabel="", ylim=(last + 0.8, -0.8))
    ends = shown[["low", "high", "difference"]].to_numpy(float)
    set_symlog(ax, np.nanmin(ends), np.nanmax(ends), margin=band, along="x")
    ax.set_yticks([])
    _write_forest(ax, rows, unit)
    return ax


def _write_forest(ax: Axes, rows: pd.DataFrame, unit: Unit) -> None:
    """Names to the left; difference, interval, n and verdict to the right."""
    left = drawing_of(ax).subplotpars.left * drawing_of(ax).get_figwidth() * 72
    for row in records(rows):
        color = VERDICTS[row["verdict"]][0]
        if np.isfinite(row["heading"]):
            _write(ax, row["heading"], 8 - left, spoken(row["experiment"]), weight="bold")
            _write(ax, row["heading"], 8, verdict_word(row["verdict"]), weight="bold", color=color, beyond=True)
            _write(ax, row["heading"], -6, row["heading_note"], color=RED, beyond=True, align="right")
        _write(ax, row["place"], 18 - left, row["contrast"])
        words = unit.show_difference(row["difference"], row["low"], row["high"]).replace(unit.points, "", 1)
        numbers = f"{words}  n = {row['n']:.0f}" if np.isfinite(row["difference"]) else ""
        _write(ax, row["place"], 8, numbers or row["note"], beyond=True)
    starts = rows.loc[rows["heading"] > 0, "heading"]
    for place in starts:
        ax.axhline(place - 0.68, color="#DDDDDD", linewidth=0.6, zorder=0)


def _write(
    ax: Axes, place: float, offset: float, words: str, *, weight: str = "normal", color: str = "black",
    beyond: bool = False, align: Literal["left", "right"] = "left",
) -> None:  # fmt: skip
    """Words beside a row: `offset` in points from the axes' left edge, or `beyond` their right one."""
    ax.annotate(
        words, (float(beyond), place), xycoords=("axes fraction", "data"), xytext=(offset, 0), weight=weight,
        textcoords="offset points", va="center", ha=align, fontsize="small", color=color, annotation_clip=False,
    )  # fmt: skip


def forest_figures(study: StudyEstimates) -> Iterator[Figure]:
    """One figure, where a hypothesis was judged."""
    rows, unit = forest_rows(study), unit_of(study.description.objective)
    known = rows[np.isfinite(rows["difference"].astype(float))]
    if known.empty:
        return
    ax = draw_forest(rows, unit, margin=study.margin)
    present = [verdict for verdict in VERDICTS if (rows["verdict"] == verdict).any()]
    marks = [
        legend_mark(verdict_word(v), Style(VERDICTS[v][0], VERDICTS[v][1], VERDICTS[v][0], ""), line=True)
        for v in present
    ]
    band = Patch(color=BLUE, alpha=0.12, linewidth=0, label="within the margin")
    legend_below(drawing_of(ax), [*marks, band])
    told = rows.drop_duplicates("experiment")["verdict"].value_counts()
    counts = ", ".join(f"{told[verdict]} {verdict_word(verdict)}" for verdict in present)
    margin = unit.show_difference(study.margin).lstrip("+")
    yield Figure(
        "0_forest", "forest", "Which hypotheses hold?",
        f"Every contrast of every hypothesis: paired difference over seeds with its interval at the level of its look, "
        f"n = {extent(known['n'])} seeds; the band is the margin of {margin} that does not matter; the scale is "
        f"logarithmic beyond twice the margin; {split_words(study)}.",
        f"Differences of {len(rows)} contrasts in {rows['experiment'].nunique()} experiments: {counts}.",
        f"{told.sum()} {'hypothesis' if told.sum() == 1 else 'hypotheses'}: {counts}.", drawing=drawing_of(ax),
        marks=tuple(
            Mark(ax, row["difference"] * unit.factor, row["place"], _forest_words(row, unit)) for row in records(known)
        ),
    )  # fmt: skip


def _forest_words(row: Row, unit: Unit) -> str:
    apart = unit.show_difference(row["difference"], row["low"], row["high"])
    words = f"{', '.join(row['contrast'].splitlines())}: {apart}, n = {row['n']:.0f}, {verdict_word(row['verdict'])}"
    return f"{words}, {row['heading_note']}" if row["heading_note"] else words
