"""Findings -> report.md and report.html: fills the template and writes the files, and a person's text is never lost."""

from __future__ import annotations

import inspect
import platform
import re
from collections.abc import Callable
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pandas as pd

from gridstudy.core.errors import StudyError
from gridstudy.core.files import write_atomic
from gridstudy.reporting import phrases, question_sentences, result_sentences, summary
from gridstudy.reporting.blocks import ReportError, block_name, merge_report, short_hash, stamp_blocks
from gridstudy.reporting.page import make_html
from gridstudy.reporting.phrases import Prose, enumeration, finalize, plain
from gridstudy.reporting.summary import own_verdicts
from gridstudy.statistics.estimates import ExperimentEstimate
from gridstudy.statistics.findings import Figure, Findings, missing_experiments, study_experiments, study_facts

TEMPLATE = Path(__file__).parents[2] / "report_template.md"


# --- the template --------------------------------------------------------------------------------------------------


def fill_template(findings: Findings, folder: Path) -> str:
    """The whole report as it would be on a first run into `folder`, its computed blocks stamped with their hashes."""
    from jinja2 import Environment, StrictUndefined

    # everything that is not Prose is escaped by `finalize`, for Markdown as well as for HTML
    environment = Environment(  # noqa: S701
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, finalize=finalize, keep_trailing_newline=True
    )
    facts = study_facts(findings)
    text = environment.from_string(TEMPLATE.read_text(encoding="utf-8")).render(
        findings=findings,
        estimates=findings.estimates,
        answers=findings.answers,
        facts=dict(zip(facts["quantity"], facts["value"], strict=True)),
        ours=own_verdicts(findings, ours=True),
        others=own_verdicts(findings, ours=False),
        picture=lambda shown: figure(shown, folder),
        **template_functions(),
    )
    return stamp_blocks(re.sub(r"\n{3,}", "\n\n", text))


def template_functions() -> dict[str, Callable[..., Any]]:
    """What the template may call: all words, and what finds experiments, figures and versions."""
    modules = (phrases, result_sentences, question_sentences, summary)
    words = {name: function for module in modules for name, function in inspect.getmembers(module, inspect.isfunction)}
    others = (
        block_name, study_experiments, missing_experiments, experiment_figures, figures_named, summary_figure,
        versions_of, analysis_versions, seeds_used,
    )  # fmt: skip
    return words | {function.__name__: function for function in others}


# --- pictures ------------------------------------------------------------------------------------------------------


def figure(picture: Figure | None, folder: Path) -> Prose:
    """A picture with its caption, by a path relative to `folder`."""
    if picture is None:
        return Prose("")
    path = Path(picture.path)
    relative = path.relative_to(folder) if path.is_relative_to(folder) else path
    return Prose(f"![{plain(picture.alt_text)}]({quote(relative.as_posix())})\n\n*{plain(picture.caption)}*")


def experiment_figures(findings: Findings, e: ExperimentEstimate) -> list[Figure]:
    """The picture that answers the question best, then the learning curves."""
    name = re.sub(r"[^A-Za-z0-9_-]+", "-", e.experiment.name).strip("-")
    best = [findings.figures.get(f"{kind}_{name}") for kind in ("isolation", "heatmap", "accuracy")]
    found = [*[picture for picture in best if picture][:1], findings.figures.get(f"curves_{name}")]
    return [picture for picture in found if picture]


def figures_named(findings: Findings, *prefixes: str) -> list[Figure]:
    """The pictures whose names begin so."""
    return [picture for name, picture in findings.figures.items() if name.startswith(prefixes)]


def summary_figure(findings: Findings) -> Figure | None:
    """The one picture of the first page."""
    return next(iter(figures_named(findings, "noise")), next(iter(findings.figures.values()), None))


# --- reproduction --------------------------------------------------------------------------------------------------


def versions_of(trials: pd.DataFrame) -> list[str]:
    """What the trials ran on, each combination once."""
    known = trials[["platform", "device", "versions"]].dropna().drop_duplicates()
    return [f"{row.platform}, {row.device}, {row.versions}" for row in known.itertuples()]


def analysis_versions() -> str:
    """What the analysis ran on."""
    packages = ", ".join(f"{name} {version(name)}" for name in ("numpy", "pandas", "scipy", "matplotlib"))
    return f"{platform.platform()}, Python {platform.python_version()}, {packages}"


def seeds_used(trials: pd.DataFrame) -> list[str]:
    """The seeds of the analysed trials, ascending."""
    return [f"{seed:.0f}" for seed in sorted(trials["seed"].unique())]


# --- files ---------------------------------------------------------------------------------------------------------


def write_report(findings: Findings, folder: Path, *, now: datetime | None = None) -> list[str]:
    """Write or refresh report.md and report.html in `folder`; return a line for each old file that was kept beside.

    Bytes that are not UTF-8 pass through unchanged. Raises StudyError where an old file can be neither read nor kept.
    """
    now = now or datetime.now()
    path = (folder / "report.md").resolve()
    fresh = fill_template(findings, folder)
    text, reason = _refresh(_read(path), fresh)
    notes = [keep_beside(path, now, reason)] if reason else []
    _write_changed(path, text)
    page = make_html(text.encode("utf-8", "surrogateescape").decode("utf-8", "replace"), folder)
    return notes + write_page((folder / "report.html").resolve(), page, now)


def _refresh(old: str | None, fresh: str) -> tuple[str, str]:
    """The new text of the report, and why the old one must be kept beside it, if it must."""
    if old is None or not old.strip():
        return fresh, ""
    try:
        merged = merge_report(old, fresh)
    except ReportError as error:
        return fresh, f"cannot be refreshed, for {error}; a new one was written"
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
                file.write(path.read_bytes())
            return f"{path.name} {reason}; the old file is kept as {kept.name}"
        except FileExistsError:
            n += 1
        except OSError as error:
            raise StudyError(f"{path.name} was left as it is, for {kept} cannot be written: {error.strerror}") from None


def _read(path: Path) -> str | None:
    try:
        return path.read_bytes().decode("utf-8", "surrogateescape")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StudyError(f"{path} cannot be read: {error.strerror}") from None


def _write_changed(path: Path, text: str) -> None:
    content = text.encode("utf-8", "surrogateescape")
    if not path.exists() or path.read_bytes() != content:
        write_atomic(path, content)
