"""The report: every number is in a table, nobody's text is lost, nothing is executed."""

from __future__ import annotations

import math
import os
import random
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pandas as pd
import pytest

from gridstudy.core.errors import StudyError
from gridstudy.core.selection import select_experiments
from gridstudy.fashion.subject import SUBJECT
from gridstudy.reporting import report
from gridstudy.reporting.blocks import WRITTEN, Block, parse_report
from gridstudy.reporting.phrases import plain
from gridstudy.reporting.plotting import Figure
from gridstudy.reporting.report import fill_template, write_report
from gridstudy.reporting.summary import first_screen
from gridstudy.statistics.findings import Findings
from tests.reports import FRESH, LATER, find, study_findings, tables_of
from tests.tables import make_foreign, make_records

ALLOWED_TAGS = {
    "html", "head", "meta", "title", "style", "body", "main", "section", "h1", "h2", "h3", "p", "strong", "em", "code",
    "blockquote", "ul", "li", "table", "thead", "tbody", "tr", "th", "td", "img", "div", "details",
    "summary", "nav", "a", "span",
}  # fmt: skip
NOW = datetime(2026, 1, 2, 3, 4, 5)
EVIL = '<script>alert("x")</script> [link](javascript:alert(1)) | `code` <!-- end: summary --> <img src=x onerror=y>'
NUMBER = re.compile(r"(?<![\w.,])-?\d[\d,]*(?:\.\d+)?(?![\w])")
WORDS = ("lesson", "é", "漢字", "<b>", "&amp;", "\t", "\r\n", "\n\n", "-->", "<!-- note -->", "`", "#", "\u2028", "|")


@pytest.fixture
def findings() -> Findings:
    return study_findings()


@pytest.fixture
def tables() -> dict[str, pd.DataFrame]:
    return tables_of(study_findings())


# --- the whole report ----------------------------------------------------------------------------------------------


def test_the_report_has_its_sections_in_order(findings: Findings, tmp_path: Path) -> None:
    text = fill_template(findings, tmp_path)
    sections = re.findall(r"^## (.*)", text, re.MULTILINE)
    assert sections == [
        "Summary", "Hypotheses and design", "Results of each experiment", "Interactions", "Study questions",
        "Reflection", "Conclusions and recommendations", "Reproduction",
    ]  # fmt: skip
    assert text.count("**To write:**") >= 4
    assert text.count("\n### ") >= 4 + 5


def test_experiments_are_all_in_the_report(tmp_path: Path) -> None:
    names = [e.name for e in select_experiments(SUBJECT, ["quick", "follow-up"])]
    text = fill_template(find(make_records(names, n_seeds=3)), tmp_path)
    assert all(f"<!-- computed: results/{name} " in text for name in names)


def test_the_words_that_the_method_forbids_are_not_said(findings: Findings, tmp_path: Path) -> None:
    text = fill_template(findings, tmp_path).lower()
    for word in (
        "proves",
        "proven",
        "significantly",
        "confirms the hypothesis",
        "rejected",
        "refuted",
        "equal to the best",
    ):
        assert word not in text


def test_missing_experiments_and_trials_are_said_to_be_missing(findings: Findings, tmp_path: Path) -> None:
    text = fill_template(findings, tmp_path)
    assert "Missing of the 7 experiments: `units`, `depth`, `optimizer`, `combined`." in text
    assert "| `3 x 256` | incomplete |" in text
    assert "unstable, 1 of 5" in text


def test_labels_of_the_data_mark_title_and_summary(tmp_path: Path) -> None:
    records = make_records(["epochs"])
    (plan,) = records.plans
    marked = replace(plan, description=replace(plan.description, labels=("drawn by this program",)))
    text = fill_template(find(replace(records, plans=(marked,))), tmp_path)
    title = next(line for line in text.splitlines() if line.startswith("# "))
    summary = text[text.index("## Summary") : text.index("## Hypotheses")]
    assert "drawn by this program" in title
    assert "drawn by this program" in summary
    assert "drawn by this program" not in fill_template(find(records), tmp_path)


def test_single_seeds_yield_no_claim(tmp_path: Path) -> None:
    found = find(make_records(["epochs", "learning_rate"], n_seeds=1))
    text = fill_template(found, tmp_path)
    assert set(found.estimates.verdicts["verdict"]) == {"cannot tell"}
    assert "With 1 seed no difference can be tested" in text
    assert "**Undecided**: there are fewer than 3 common seeds" in text


def test_test_accuracy_is_shown_once(findings: Findings, tmp_path: Path) -> None:
    text = fill_template(findings, tmp_path)
    assert len(re.findall(r"\| test accuracy \|", text)) == 1
    rows = text[text.index("| test accuracy |") :].split("\n\n")[0].splitlines()[2:]
    assert len(rows) == len({row.split("|")[1] for row in rows}) > 0


def test_foreign_logs_alone_make_a_report(tmp_path: Path) -> None:
    found = find(make_foreign(make_records(["epochs"])))
    text = fill_template(found, tmp_path)
    assert "### Logs of other programs" in text
    assert "unpaired" in text
    assert "Fashion-MNIST" not in text and "50,000 images train" not in text
    assert first_screen(found)


def test_confirmations_have_a_section(findings: Findings, tmp_path: Path) -> None:
    rows = pd.DataFrame(
        [
            {"experiment": "epochs", "configuration": "epochs=10", "label": "10", "n": 5, "objective_mean": 0.86,
             "objective_sd": 0.01, "objective_low": 0.85, "objective_high": 0.87,
             "test_score_mean": 0.85, "is_best": True, "deficit": 0.0, "deficit_low": math.nan,
             "deficit_high": math.nan, "n_diverged": 0},
        ]
    )  # fmt: skip
    text = fill_template(replace(findings, confirmation=rows), tmp_path)
    assert "### Confirmation on fresh seeds" in text and "86.0 % [85.0, 87.0], n = 5" in text
    assert "Confirmation on fresh seeds" not in fill_template(findings, tmp_path)


def test_a_changed_hypothesis_is_told_with_what_it_replaced(tmp_path: Path) -> None:
    records = make_records(["epochs"])
    old = {"hypothesis": "Fewer is better.", "contrasts": [], "changed": "2026-01-01T00:00:00", "n_complete": 15}
    changed = replace(records.plans[0], superseded=(old,))
    text = fill_template(find(replace(records, plans=(changed,))), tmp_path)
    assert "hypothesis changed" in text[text.index("## Summary") : text.index("## Hypotheses")]
    assert "after `15 trials`; before, it read: “Fewer is better.”" in text
    assert "before the run" not in text


def test_markdown_needs_declared_dependencies() -> None:
    project = tomllib.loads((Path(report.__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))
    names = " ".join(project["project"]["dependencies"])
    assert "jinja2" in names and "markdown" in names


# --- every number is in a table ------------------------------------------------------------------------------------


def untraced(text: str, numbers: Iterable[float]) -> list[str]:
    """The numbers of a text that no cell gives, as it is or in percent, rounded to as many decimals."""
    known = {round(scale * sign * number, d) for number in numbers if math.isfinite(number)
             for scale in (1, 100) for sign in (1, -1) for d in (0, 1, 2, 3)}  # fmt: skip
    return [token for token in NUMBER.findall(text) if round(float(token.replace(",", "")), 3) not in known]


def numbers_of(tables: Iterable[pd.DataFrame]) -> list[float]:
    """All numbers of the tables, those within their notes included."""
    numbers: list[float] = []
    for table in tables:
        for _, column in table.items():
            if pd.api.types.is_numeric_dtype(column):
                numbers.extend(column.dropna().astype(float))
            else:
                numbers.extend(float(n) for text in column.astype(str) for n in re.findall(r"\d+(?:\.\d+)?", text))
    return numbers


def traceable(text: str, findings: Findings) -> str:
    """A block without code spans, pictures with their captions, the plan's words and names of quantities."""
    for e in findings.experiments:
        for words in (e.experiment.hypothesis, e.experiment.question):
            text = text.replace(plain(words), "") if words else text
    text = re.sub(r"!\[.*?\]\(.*?\)\n\n\*.*?\*\n", "", text)
    return re.sub(r"`[^`]*`", "", text)


def test_every_number_is_in_a_table(findings: Findings, tables: Mapping[str, pd.DataFrame], tmp_path: Path) -> None:
    blocks = {b.name: b.content for b in parse_report(fill_template(findings, tmp_path)) if isinstance(b, Block)}
    facts = numbers_of([tables["study_facts"]])
    everything = numbers_of(t for name, t in tables.items() if name not in ("curves", "trials", "comparisons"))
    n_numbers = 0
    for name, content in blocks.items():
        own = name.removeprefix("results/")
        rows = [t[t["experiment"] == own] for t in tables.values() if "experiment" in t]
        known = facts + (numbers_of(rows) if name.startswith("results/") else everything)
        text = traceable(content, findings)
        n_numbers += len(NUMBER.findall(text))
        assert untraced(text, known) == [], name
    assert n_numbers > 500


def test_a_made_up_number_does_not_pass_the_test_above(tables: Mapping[str, pd.DataFrame]) -> None:
    rows = [t[t["experiment"] == "epochs"] for t in tables.values() if "experiment" in t]
    assert untraced("It reaches 99.7 %, a lead of 7.77 points, p = 0.777.", numbers_of(rows)) == [
        "99.7",
        "7.77",
        "0.777",
    ]


# --- nothing is executed -------------------------------------------------------------------------------------------


def test_no_html_of_a_user_gets_through(tmp_path: Path) -> None:
    evil = SUBJECT.parse(
        {"name": "evil", "question": EVIL, "hypothesis": EVIL, "scientific": ["epochs"], "grid": {"epochs": [1, 2, 3]},
         "contrasts": [{"better": {"epochs": 2}, "worse": {"epochs": 1}}]}
    )  # fmt: skip
    evil = replace(evil, name=f"evil {EVIL}")
    records = make_records([evil])
    records = replace(records, trials=records.trials.assign(host=EVIL, platform=EVIL, versions=EVIL))
    path = tmp_path / "a b.png"
    path.write_bytes(b"\x89PNG")
    figure = Figure(name="forest", kind="forest", title=EVIL, caption=EVIL, alt_text=EVIL, path=path,
                    points=((0.5, 0.5, EVIL),))  # fmt: skip
    found = replace(find(records), command=EVIL)
    assert write_report(found, tmp_path, figures={"forest": figure}) == []
    text, page = ((tmp_path / f"report.{kind}").read_text(encoding="utf-8") for kind in ("md", "html"))
    assert len([b for b in parse_report(text) if isinstance(b, Block)]) == len(re.findall(r"<!-- end: ", text))
    page = re.sub(r"<(script|style)>.*?</\1>", "", page, flags=re.DOTALL)  # ours
    tags = {tag.lower() for tag in re.findall(r"<([a-zA-Z0-9]+)", page)}
    assert tags <= ALLOWED_TAGS
    assert all(
        target.startswith("#") for target in re.findall(r'href="([^"]*)"', page)
    ) and "onerror=y>" not in page.replace("&gt;", "")
    assert "default-src 'none'" in page
    assert 'src="data:image/png;base64' in page and 'src="x"' not in page


# --- a person's text is never lost ---------------------------------------------------------------------------------


def edits(text: str, generator: random.Random) -> tuple[str, list[str]]:
    """Insert what a person might at random places; return the new text and the pieces."""
    pieces = []
    for n in range(generator.randint(1, 5)):
        piece = f"@{n}{''.join(generator.choices(WORDS, k=generator.randint(1, 6)))}@"
        place = generator.randint(0, len(text))
        text, pieces = text[:place] + piece + text[place:], [*pieces, piece]
    return text, pieces


@pytest.mark.parametrize("seed", range(300))
def test_no_edit_is_ever_lost(seed: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Edits anywhere, deletions, line ends, marks of order, no last newline: all is there or kept beside."""
    generator = random.Random(seed)
    text, _ = edits(FRESH, generator)
    if generator.random() < 0.3:
        start = generator.randint(0, len(text))
        text = text[:start] + text[start + generator.randint(0, 60) :]
    if generator.random() < 0.3:
        text = text.replace("\r\n", "\n").replace("\n", "\r\n")
    old = text.encode() if generator.random() < 0.7 else text.rstrip().encode("latin-1", "replace")
    old = (b"\xef\xbb\xbf" if generator.random() < 0.3 else b"") + old
    path = tmp_path / "report.md"
    path.write_bytes(old)
    monkeypatch.setattr(report, "fill_template", lambda findings, folder, *, figures: LATER)
    notes = write_report(None, tmp_path, now=NOW)  # type: ignore[arg-type]
    kept = tmp_path / "report-20260102-030405.md"
    new = path.read_bytes()
    if notes:
        assert kept.read_bytes() == old and kept.name in notes[0]
    else:
        assert not kept.exists()
        for part in parse_report(old.decode("utf-8", "surrogateescape")):
            if isinstance(part, str):
                for piece in re.split(WRITTEN.pattern.replace("(?P<names>", "(?:"), part):
                    assert piece.encode("utf-8", "surrogateescape") in new
    assert [b.content for b in parse_report(new.decode("utf-8", "surrogateescape")) if isinstance(b, Block) and not
            b.is_untouched] == []  # fmt: skip


@pytest.mark.parametrize("content", [b"\xff\xfe" + FRESH.encode("utf-16-le"), b"\x00\xff\x80 notes", b"mine"])
def test_what_cannot_be_read_is_kept(content: bytes, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(report, "fill_template", lambda findings, folder, *, figures: FRESH)
    (tmp_path / "report.md").write_bytes(content)
    (tmp_path / "report-20260102-030405.md").write_text("older")
    (note,) = write_report(None, tmp_path, now=NOW)  # type: ignore[arg-type]
    assert (tmp_path / "report-20260102-030405-2.md").read_bytes() == content
    assert (tmp_path / "report-20260102-030405.md").read_text() == "older"
    assert "report-20260102-030405-2.md" in note and "\n" not in note
    assert (tmp_path / "report.md").read_text(encoding="utf-8") == FRESH


def test_a_changed_page_is_kept_and_an_unchanged_one_is_not(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(report, "fill_template", lambda findings, folder, *, figures: FRESH)
    for _ in range(2):
        assert write_report(None, tmp_path, now=NOW) == []  # type: ignore[arg-type]
    page = tmp_path / "report.html"
    page.write_text(page.read_text(encoding="utf-8").replace("alpha", "my alpha"), encoding="utf-8")
    (note,) = write_report(None, tmp_path, now=NOW)  # type: ignore[arg-type]
    assert "my alpha" in (tmp_path / "report-20260102-030405.html").read_text(encoding="utf-8")
    assert "report.html had been changed by hand" in note


def test_nothing_is_written_where_the_old_file_cannot_be_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(report, "fill_template", lambda findings, folder, *, figures: FRESH)
    path = tmp_path / "report.md"
    path.write_text("mine")

    def refuse(*_: object) -> str:
        raise StudyError("report.md was left as it is")

    monkeypatch.setattr(report, "keep_beside", refuse)
    with pytest.raises(StudyError, match="left as it is"):
        write_report(None, tmp_path, now=NOW)  # type: ignore[arg-type]
    assert path.read_text() == "mine"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no such pipes")
@pytest.mark.parametrize("name", ["report.md", "report.html"])
def test_a_pipe_in_place_of_the_report_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str) -> None:
    monkeypatch.setattr(report, "fill_template", lambda findings, folder, *, figures: FRESH)
    os.mkfifo(tmp_path / name)
    with pytest.raises(StudyError, match="not a regular file"):
        write_report(None, tmp_path, now=NOW)  # type: ignore[arg-type]
