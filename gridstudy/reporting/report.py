"""Findings -> report.md and report.html: fills the template and writes the files, and a person's text is never lost."""

from __future__ import annotations

import platform
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import PackageNotFoundError, files, version
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import pandas as pd

from gridstudy.core.errors import StudyError
from gridstudy.core.files import read_bytes, write_atomic
from gridstudy.records.tables import FOREIGN
from gridstudy.reporting import phrases, question_sentences, result_sentences, summary, verdict_sentences
from gridstudy.reporting.blocks import ReportError, block_name, merge_report, short_hash, stamp_blocks
from gridstudy.reporting.page import make_html
from gridstudy.reporting.phrases import Prose, enumeration, finalize, plain
from gridstudy.statistics.findings import Findings, missing_experiments, study_experiments, study_facts

if TYPE_CHECKING:
    from gridstudy.reporting.plotting import Figure

TEMPLATE = "report_template.md"
EXPERIMENT_KINDS = ("isolation", "heatmap", "experiment")
"""Figures of an experiment, the one that answers its question best first."""


# --- the template --------------------------------------------------------------------------------------------------


def read_template() -> str:
    """The template: at the top of a clone, and where an installation put it."""
    path = Path(__file__).parents[2] / TEMPLATE
    if not path.is_file():
        path = installed_template()
    return path.read_text(encoding="utf-8")


def installed_template() -> Path:
    """The template of an installed package; StudyError where the installation lacks it."""
    try:
        found = [file for file in files("gridstudy") or () if file.name == TEMPLATE]
    except PackageNotFoundError:
        found = []
    if not found:
        raise StudyError(f"{TEMPLATE} is missing from this installation of gridstudy; install it again")
    return Path(str(found[0].locate()))


def fill_template(findings: Findings, folder: Path, *, figures: Mapping[str, Figure] | None = None) -> str:
    """The whole report as it would be on a first run into `folder`, its computed blocks stamped with their hashes."""
    from jinja2 import Environment, StrictUndefined

    # everything that is not Prose is escaped by `finalize`, for Markdown as well as for HTML
    environment = Environment(  # noqa: S701
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, finalize=finalize, keep_trailing_newline=True
    )
    facts = study_facts(findings)
    text = environment.from_string(read_template()).render(
        findings=findings,
        estimates=findings.estimates,
        answers=findings.answers,
        objective=findings.description.objective,
        facts=dict(zip(facts["quantity"], facts["value"], strict=True)),
        experiments=study_experiments(findings),
        foreign=[e for e in findings.experiments if e.experiment.name == FOREIGN],
        missing=missing_experiments(findings),
        pictures=Pictures(figures or {}, folder),
        block_name=block_name,
        analysis_versions=analysis_versions,
        versions_of=versions_of,
        seeds_used=seeds_used,
        phrases=phrases,
        questions=question_sentences,
        results=result_sentences,
        summary=summary,
        verdicts=verdict_sentences,
    )
    return stamp_blocks(re.sub(r"\n{3,}", "\n\n", text))


# --- pictures ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Pictures:
    """The figures as the report shows them, with their captions, by paths relative to its folder."""

    figures: Mapping[str, Figure]
    folder: Path

    def of_kind(self, *kinds: str, experiment: str = "") -> Prose:
        """All figures of these kinds, of one experiment where one is named."""
        found = [f for f in self.figures.values() if f.kind in kinds and experiment in ("", f.experiment)]
        return Prose("\n\n".join(map(self._show, found)))

    def of_experiment(self, experiment: str) -> Prose:
        """The figure that answers the experiment's question best, then the learning curves."""
        own = [f for f in self.figures.values() if f.experiment == experiment]
        best = [f for kind in EXPERIMENT_KINDS for f in own if f.kind == kind][:1]
        return Prose("\n\n".join(map(self._show, [*best, *(f for f in own if f.kind == "curves")])))

    def _show(self, figure: Figure) -> str:
        address = picture_address(figure.path, self.folder)
        return f"![{plain(figure.alt_text)}]({address})\n\n*{plain(figure.caption)}*"


def picture_address(path: Path, folder: Path) -> str:
    """The path of a picture as the report writes it."""
    relative = path.relative_to(folder) if path.is_relative_to(folder) else path
    return quote(relative.as_posix())


# --- reproduction --------------------------------------------------------------------------------------------------


def versions_of(trials: pd.DataFrame) -> list[str]:
    """What the trials ran on, each combination once."""
    known = trials[["platform", "device", "versions"]].dropna().drop_duplicates()
    return [f"{row.platform}, {row.device}, {row.versions}" for row in known.itertuples()]


def analysis_versions() -> str:
    """What the analysis ran on."""
    packages = ", ".join(f"{name} {version(name)}" for name in ("numpy", "pandas", "scipy", "matplotlib", "seaborn"))
    return f"{platform.platform()}, Python {platform.python_version()}, {packages}"


def seeds_used(trials: pd.DataFrame) -> list[str]:
    """The seeds of the analysed trials, ascending."""
    return [f"{seed:.0f}" for seed in sorted(trials["seed"].unique())]


# --- files ---------------------------------------------------------------------------------------------------------


def write_report(
    findings: Findings, folder: Path, *, figures: Mapping[str, Figure] | None = None, now: datetime | None = None
) -> list[str]:
    """Write or refresh report.md and report.html in `folder`; return a line for each old file that was kept beside.

    Bytes that are not UTF-8 pass through unchanged. Raises StudyError where an old file can be neither read nor kept.
    """
    now, figures = now or datetime.now(), figures or {}
    path = (folder / "report.md").resolve()
    fresh = fill_template(findings, folder, figures=figures)
    text, reason = _refresh(_read(path), fresh)
    notes = [keep_beside(path, now, reason)] if reason else []
    _write_changed(path, text)
    points = {picture_address(f.path, folder): f.points for f in figures.values() if f.points}
    page = make_html(text.encode("utf-8", "surrogateescape").decode("utf-8", "replace"), folder, points=points)
    return notes + write_page((folder / "report.html").resolve(), page, now)


def _refresh(old: str | None, fresh: str) -> tuple[str, str]:
    """The new text of the report, and why the old one must be kept beside it, if it must."""
    if old is None or not old.strip():
        return fresh, ""
    try:
        merged = merge_report(old, fresh)
    except ReportError as error:
        return fresh, f"could not be refreshed because {error}; a new one was written"
    if not merged.edited:
        return merged.text, ""
    edited = enumeration(merged.edited)
    return merged.text, f"had been changed by hand inside the computed {edited}, which was refreshed"


def write_page(path: Path, page: str, now: datetime) -> list[str]:
    """Write the HTML page with its hash; a page that somebody changed is kept beside it."""
    old = _read(path)
    body, _, digest = (old or "").rstrip().rpartition("\n<!-- sha256=")
    untouched = old is None or digest == f"{short_hash(body)} -->"
    notes = [] if untouched else [keep_beside(path, now, "had been changed by hand; a new one was written")]
    page = page.rstrip()
    _write_changed(path, f"{page}\n<!-- sha256={short_hash(page)} -->\n")
    return notes


def keep_beside(path: Path, now: datetime, reason: str) -> str:
    """Copy a file to a name with the time, never over another file; return a line that says so."""
    stem, n = f"{path.stem}-{now:%Y%m%d-%H%M%S}", 1
    while True:
        kept = path.with_name(f"{stem}{'' if n == 1 else f'-{n}'}{path.suffix}")
        try:
            with kept.open("xb") as file:
                file.write(read_bytes(path))
            return f"{path.name} {reason}; the old file is kept as {kept.name}"
        except FileExistsError:
            n += 1
        except OSError as error:
            raise StudyError(
                f"{path.name} was left as it is because {kept} cannot be written: {error.strerror}"
            ) from None


def _read(path: Path) -> str | None:
    try:
        return read_bytes(path).decode("utf-8", "surrogateescape")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StudyError(f"{path} cannot be read: {error.strerror}") from None


def _write_changed(path: Path, text: str) -> None:
    content = text.encode("utf-8", "surrogateescape")
    if not path.exists() or read_bytes(path) != content:
        write_atomic(path, content)
