"""All pictures of a study in the order of the report; the one place where they are saved and closed."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure

from gridstudy.reporting.experiment_figures import experiment_pictures
from gridstudy.reporting.plotting import STYLE, Picture, configuration_styles, group_labels, wrap
from gridstudy.reporting.study_figures import study_pictures
from gridstudy.statistics.comparisons import FOREIGN
from gridstudy.statistics.estimates import StudyEstimates
from gridstudy.statistics.questions import StudyAnswers


@dataclass(frozen=True)
class SavedFigure:
    """A picture on disk with the words that belong to it."""

    name: str
    path: Path
    title: str
    caption: str
    alt_text: str


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
            for picture in experiment_pictures(estimate, estimates, cells, styles):
                own = () if estimate.experiment.name == FOREIGN else labels
                yield replace(picture, labels=(*own, *picture.labels))
    for picture in study_pictures(estimates, answers, styles):
        yield replace(picture, labels=(*labels, *picture.labels))
