"""All figures of a study in the order of the report; the one place where they are saved."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gridstudy.core.forks import map_forked
from gridstudy.records.tables import FOREIGN

if TYPE_CHECKING:
    from gridstudy.reporting.plotting import Figure
    from gridstudy.statistics.findings import Findings

RESOLUTION = 150
"""Pixels per inch."""
TITLE_LETTERS, TEXT_LETTERS = 9.4, 12.0
"""Letters that fit on an inch."""
SAVING: Mapping[str, Mapping[str, Any]] = {
    "svg": {"metadata": {"Date": None}},
    "png": {"pil_kwargs": {"compress_level": 3}},  # 6 % larger than by default, in 0.7 of the time
}
"""What matplotlib must know of a format to save a figure in it."""


def save_figures(findings: Findings, folder: Path, *, format: str = "png", n_processes: int = 1) -> dict[str, Figure]:
    """Draw and save all figures that the findings have material for, by up to `n_processes`.

    matplotlib must know `format` as a file ending.
    """
    import_matplotlib()
    folder.mkdir(parents=True, exist_ok=True)

    def save(figures: Iterator[Figure]) -> list[Figure]:
        return [save_figure(figure, folder, format) for figure in figures]

    with own_style():
        saved = map_forked(save, figure_parts(findings), n_processes=n_processes)
    return {figure.name: figure for figures in saved for figure in figures}


def all_figures(findings: Findings) -> Iterator[Figure]:
    """Every figure in the order of the report; those of absent experiments are left out."""
    yield from chain.from_iterable(figure_parts(findings))


def figure_parts(findings: Findings) -> list[Iterator[Figure]]:
    """All figures in parts that draw when they are read, in any order or process."""
    import_matplotlib()
    from gridstudy.reporting.experiment_figures import experiment_figures
    from gridstudy.reporting.forest_figures import forest_figures
    from gridstudy.reporting.study_figures import study_figures

    study = findings.estimates
    labels = study.description.labels
    parts = [_labelled(forest_figures(study), labels)]
    for estimate in study.experiments:
        if (estimate.summary["n"] > 0).any():
            own = () if estimate.experiment.name == FOREIGN else labels
            parts += [_labelled(part, own) for part in experiment_figures(estimate, study, findings.cells)]
    of_study = study_figures(study, findings.answers, findings.class_accuracy, findings.confusions)
    return [*parts, *(_labelled(part, labels) for part in of_study)]


def _labelled(figures: Iterator[Figure], labels: tuple[str, ...]) -> Iterator[Figure]:
    for figure in figures:
        yield replace(figure, labels=(*labels, *figure.labels))


# --- matplotlib as it ships ----------------------------------------------------------------------------------------


def import_matplotlib() -> None:
    """Import matplotlib for the first time without the user's settings.

    It reads MPLBACKEND and a matplotlibrc, in the current folder first, while it is imported, and some values end in
    an error or a wait.
    """
    if "matplotlib" in sys.modules:
        return
    backend = os.environ.pop("MPLBACKEND", None)
    try:
        with tempfile.TemporaryDirectory() as empty:
            Path(empty, "matplotlibrc").touch()
            with contextlib.chdir(empty):
                import matplotlib  # noqa: F401
    finally:
        if backend is not None:
            os.environ["MPLBACKEND"] = backend


def import_drawing() -> None:
    """Import all that draws and saves figures, as the first figure would."""
    import_matplotlib()
    import matplotlib.backends.backend_agg  # noqa: F401

    import gridstudy.reporting.experiment_figures
    import gridstudy.reporting.forest_figures
    import gridstudy.reporting.study_figures  # noqa: F401


@contextlib.contextmanager
def own_style() -> Iterator[None]:
    """Draw in seaborn's theme over matplotlib's defaults, and leave the caller's settings as they were."""
    import matplotlib as mpl
    import seaborn as sns

    from gridstudy.reporting.plotting import FONT

    own = {
        "font.sans-serif": [FONT], "svg.hashsalt": "gridstudy", "text.parse_math": False,
        "savefig.dpi": RESOLUTION, "figure.dpi": RESOLUTION, "axes.spines.top": False, "axes.spines.right": False,
        "grid.color": "#E5E5E5", "axes.edgecolor": "#888888",
    }  # fmt: skip
    with mpl.rc_context():
        mpl.rcdefaults()
        sns.set_theme("notebook", "whitegrid", "colorblind", font_scale=0.9, rc=own)
        yield


# --- files ---------------------------------------------------------------------------------------------------------


def save_figure(figure: Figure, folder: Path, format: str) -> Figure:
    """Write title and warnings over the drawing and save it, within `own_style`."""
    drawing = figure.drawing
    assert drawing is not None
    path = folder / f"{figure.name}.{format}"
    _write_words(figure)
    with warnings.catch_warnings():
        # names and questions are the user's: a letter that the font lacks becomes a box
        warnings.filterwarnings("ignore", message="Glyph")
        drawing.savefig(path, format=format, **SAVING.get(format, {}))
    points = _points(figure)
    return replace(figure, path=path, points=points, drawing=None, marks=())


def _points(figure: Figure) -> tuple[tuple[float, float, str], ...]:
    """The figure's marks as fractions of its width and height, from the left and from the top."""
    assert figure.drawing is not None
    size = figure.drawing.bbox
    places = [(mark.ax.transData.transform((mark.x, mark.y)), mark.text) for mark in figure.marks]
    return tuple(
        (round(float(x / size.width), 4), round(float(1 - y / size.height), 4), text) for (x, y), text in places
    )


def _write_words(figure: Figure) -> None:
    """Title, finding and warnings above the axes, wrapped to the width of the drawing."""
    from gridstudy.reporting.plotting import LINE, grow, wrap

    drawing = figure.drawing
    assert drawing is not None
    width = drawing.get_figwidth() - 0.2
    told = [label for label in figure.labels if label not in figure.finding]
    below = [
        wrap(text, int(TEXT_LETTERS * width))
        for text in (figure.finding, f"Note: {'; '.join(told)}." if told else "")
        if text
    ]
    title, rest = wrap(figure.title, int(TITLE_LETTERS * width)), "\n".join(below)
    n_lines = 1 + title.count("\n"), 1 + rest.count("\n") if rest else 0
    room = 0.14 + 1.2 * LINE * n_lines[0] + LINE * n_lines[1]
    grow(drawing, top=room)
    height = drawing.get_figheight()
    drawing.suptitle(title, x=0.012, y=1 - 0.1 / height, ha="left", va="top", weight="bold", fontsize="large")
    if rest:
        y = 1 - (0.12 + 1.2 * LINE * n_lines[0]) / height
        drawing.text(0.012, y, rest, ha="left", va="top", fontsize="medium", color="#333333")
