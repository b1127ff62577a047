"""The report: words follow from numbers, every number is in a table, nobody's text is lost, nothing is executed."""

from __future__ import annotations

import math
import random
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import pandas as pd
import pytest

from analyze_results import estimate
from gridstudy import report
from gridstudy.experiments import select_experiments
from gridstudy.noise import FROM_EXPERIMENT, NoiseFloor
from gridstudy.questions import EpochGain, Interval, QuadraticFit
from gridstudy.records import Records
from gridstudy.report import (
    Block,
    Findings,
    ReportError,
    accuracy,
    code,
    count,
    fill_template,
    make_block,
    make_html,
    merge_report,
    p_value,
    parse_report,
    percent,
    plain,
    points,
    stamp_blocks,
    study_facts,
    write_report,
)
from gridstudy.study import StudyError, parse_experiment
from gridstudy.tables import RENAMED, for_disk, seeds_number, study_tables, write_tables
from gridstudy.verdicts import ContrastEstimate, Verdict
from tests.tables import join_records, make_foreign, make_records

ALLOWED_TAGS = {
    "html", "head", "meta", "title", "style", "body", "main", "section", "h1", "h2", "h3", "p", "strong", "em", "code",
    "blockquote", "ul", "li", "table", "thead", "tbody", "tr", "th", "td", "img", "div",
}  # fmt: skip
NOW = datetime(2026, 1, 2, 3, 4, 5)
EVIL = '<script>alert("x")</script> [link](javascript:alert(1)) | `code` <!-- end: summary --> <img src=x onerror=y>'


@dataclass(frozen=True)
class Picture:
    name: str
    path: Path
    title: str = "a title"
    caption: str = "a caption"
    alt_text: str = "what is seen"


def find(records: Records, margin: float = 0.005) -> Findings:
    return estimate(records, margin=margin, command="python analyze_results.py")


@pytest.fixture(scope="module")
def findings() -> Findings:
    names = ["epochs", "batch_size", "learning_rate", "depth_x_units"]
    return find(make_records(names, diverged=[("learning_rate=0.01", 1)], missing=[("depth=3", 0)]))


@pytest.fixture(scope="module")
def tables(findings: Findings) -> dict[str, pd.DataFrame]:
    return tables_of(findings)


def tables_of(findings: Findings) -> dict[str, pd.DataFrame]:
    return study_tables(
        findings.estimates, findings.records, interactions=findings.interactions, cells=findings.cells,
        questions=findings.answers.table, confirmation=findings.confirmation, facts=study_facts(findings),
    )  # fmt: skip


def contrast(difference: float = 0.0152, **changes: object) -> ContrastEstimate:
    values: dict[str, object] = dict(  # noqa: C408
        contrast="epochs 10 > epochs 5", better="epochs=10", worse="baseline", n_better=1, n_worse=1, n=5,
        difference=difference, difference_sd=0.01, planning_sd=0.01, low=difference - 0.01, high=difference + 0.01,
        low_90=0.0, high_90=0.0, p_for=0.01, p_against=0.99, p_equivalent=0.9, label="paired",
    )  # fmt: skip
    return ContrastEstimate(**{**values, **changes})  # type: ignore[arg-type]


def verdict(word: str, *contrasts: ContrastEstimate, **changes: object) -> Verdict:
    values: dict[str, object] = dict(  # noqa: C408
        experiment="epochs", hypothesis="More is better.", verdict=word, p_for=0.01, p_against=0.99, p_equivalent=0.9,
        p_adjusted=0.02, family="the seven experiments", family_size=7, seeds_to_decide="",
        seeds_source=FROM_EXPERIMENT, labels=(), contrasts=contrasts or (contrast(),),
    )  # fmt: skip
    return Verdict(**{**values, **changes})  # type: ignore[arg-type]


# --- numbers in words ----------------------------------------------------------------------------------------------


def test_accuracies_carry_interval_and_n() -> None:
    assert accuracy(0.841, 0.836, 0.846, 5) == "84.1 % [83.6, 84.6], n = 5"
    assert accuracy(0.841, math.nan, math.nan, 1) == "84.1 %, n = 1"
    assert accuracy(math.nan, math.nan, math.nan, 0) == "no trials"
    assert percent(0.25, 0) == "25 %"


@pytest.mark.parametrize(
    ("difference", "words"),
    [
        (0.0152, "+1.52 points"), (-0.004, "-0.40 points"), (-0.00001, "0.00 points"), (0.2162, "+21.6 points"),
        (math.nan, "unknown"),
    ],
)  # fmt: skip
def test_differences_are_points_with_a_sign(difference: float, words: str) -> None:
    assert points(difference) == words


def test_small_numbers_in_words() -> None:
    assert points(0.0152, 0.0022, 0.0283) == "+1.52 points [0.22, 2.83]"
    assert points(0.005, signed=False) == "0.50 points"
    assert (p_value(0.0123), p_value(0.0001), p_value(math.nan)) == ("p = 0.012", "p < 0.001", "no p")
    assert (count(1, "trial"), count(1200, "trial"), report.seeds(">100")) == (
        "1 trial", "1,200 trials", "more than 100 seeds",
    )  # fmt: skip
    assert report.enumeration(["a"]) == "a"
    assert report.enumeration(["a", "b", "c"]) == "a, b and c"
    assert report.enumeration([]) == ""
    assert report.span(pd.Series([3.0, 1.0])) == "1 to 3"
    assert report.codes(["a", "b", "c"], most=2) == "`a`, `b`, …"


# --- verdicts in words ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (verdict("supported"), "The difference is in the claimed direction: p = 0.020 after Holm's correction over 7"),
        (verdict("supported", contrast(), contrast()), "All its differences are in the claimed direction"),
        (verdict("contradicted", contrast(), contrast()), "At least one of its differences goes the other way"),
        (verdict("no practical difference"), "The difference lies within 0.50 points of zero, by 90 % intervals."),
        (verdict("cannot tell"), "Neither direction is significant (p = 0.020 after"),
        (verdict("cannot tell", contrast(label="no records")), "A configuration that it names has no trials yet."),
        (
            verdict("cannot tell", contrast(label="unstable, 2 of 5")),
            "A configuration that it names is unstable, 2 of 5.",
        ),
        (
            verdict("cannot tell", contrast(label="fewer than 3 common seeds")),
            "There are fewer than 3 common seeds, too",
        ),
        (verdict("cannot tell", contrast(label="identical records")), "The seeds do not scatter (identical records)"),
        (verdict("cannot tell", seeds_to_decide="12"), "12 seeds would decide it in 80 % of studies."),
        (verdict("cannot tell", seeds_to_decide=">100"), "it would take more than 100 seeds to decide it."),
        (verdict("cannot tell", seeds_to_decide="9", seeds_source="reference study, assumed"), "(scatter assumed: ref"),
    ],
)
def test_each_verdict_says_why(given: Verdict, words: str) -> None:
    assert words in report.verdict_reason(given, 0.005)


def test_a_confounded_verdict_carries_its_label_wherever_it_goes() -> None:
    given = verdict("supported", labels=("confounded with examples", "hypothesis changed"))
    assert report.verdict_phrase(given) == "**supported** (confounded with examples; hypothesis changed)"
    assert "`epochs`, confounded and hypothesis changed" in report.verdict_overview([given])
    assert "confounded" in report.effects_sentence([given])


def test_the_overview_counts_each_verdict() -> None:
    words = ("supported", "supported", "contradicted", "no practical difference", "cannot tell")
    text = report.verdict_overview([verdict(word) for word in words])
    for part in (
        "5 hypotheses",
        "2 are supported",
        "1 is contradicted",
        "1 shows no practical",
        "for 1 the records cannot",
    ):
        assert part in text
    assert report.verdict_overview([]) == "No hypothesis was judged."


def test_contrasts_in_words() -> None:
    assert report.contrast_phrase(contrast()) == "`epochs 10 > epochs 5`: +1.52 points [0.52, 2.52], n = 5"
    chosen = report.contrast_phrase(contrast(n_better=3))
    assert "each the best of its side; the interval does not allow for that choice" in chosen
    assert report.contrast_phrase(contrast(math.nan, label="no records")) == "`epochs 10 > epochs 5`: no records"
    single = contrast(n=1, low=math.nan, high=math.nan, label="fewer than 3 common seeds")
    assert report.contrast_phrase(single).endswith("+1.52 points, n = 1 (fewer than 3 common seeds)")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "5 seeds find a typical difference of 1.00 points in 80 % of studies; without pairing by seed it would"),
        ({"resolvable_paired": 0.03}, "here pairing by seed does not help: without it, 2.00 points would do."),
        ({"resolvable_paired": math.nan}, "5 replicates, unpaired, find a difference of 2.00 points"),
        ({"n_seeds": 2}, "With 2 seeds no difference can be tested; comparisons begin at 3."),
        ({"n_seeds": 0}, "There are no trials, so nothing can be resolved."),
        ({"source": "reference study, assumed"}, "(scatter assumed: reference study, assumed)"),
    ],
)
def test_the_noise_floor_in_words(changes: dict[str, object], words: str) -> None:
    noise = NoiseFloor(5, 0.01, 0.005, 0.02, 0.004, 0.003, 0.005, 0.5, 0.01, 0.02, FROM_EXPERIMENT, 0.004)
    assert words in report.noise_sentences(replace(noise, **changes))  # type: ignore[arg-type]


def test_rankings_in_words(findings: Findings) -> None:
    e = findings.experiments[0]
    text = report.ranking_sentences(replace(e, tied=(str(e.best),), recommended=e.best), 0.005)
    assert "No other configuration is tied with it. Recommended: " in text
    text = report.ranking_sentences(replace(e, recommended=None, seeds_to_recommend="12"), 0.005)
    assert "A recommendation is not resolved; it would take 12 seeds." in text
    everything = tuple(e.summary["configuration"])
    assert "All are tied with the best: any of them may be the best." in report.tied_sentence(
        replace(e, tied=everything)
    )
    assert "nothing is ranked" in report.ranking_sentences(replace(e, best=None), 0.005)
    assert "One configuration can be ranked" in report.ranking_sentences(replace(e, runner_up=None), 0.005)
    assert "cannot be estimated yet" in report.lead_sentence(replace(e, winners_curse=math.nan))


def test_gains_and_quadratics_in_words() -> None:
    gain = EpochGain(5, 10, True, Interval(0.02, 0.01, 0.03), Interval(5.0))
    assert report.gain_phrase(gain) == "epoch 5 to 10: +0.40 points [0.20, 0.60] and 1.00 s per extra epoch (a gain)"
    assert report.gain_word(Interval(0.0, -1.0, 1.0)) == "not told from none"
    assert report.gain_word(Interval(-2.0, -3.0, -1.0)) == "a loss"
    assert report.gain_word(Interval(1.0)) == "no interval"
    fit = QuadraticFit("batch", "batch_size", Interval(48, 40, 60), 64, Interval(0.001, 0.0, 0.002), 0.002, 0.01, "")
    assert "peaks at 48 [40, 60]" in report.quadratic_sentence(fit)
    assert "below what the seeds can resolve" in report.quadratic_sentence(fit)
    assert "at no place inside the grid" in report.quadratic_sentence(replace(fit, optimum=Interval(math.nan)))


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
    assert "Missing of the seven experiments: `units`, `depth`, `optimizer`, `combined`." in text
    assert "fewer seeds than others for" in text
    assert "unstable, 1 of 5" in text


def test_stand_in_data_and_course_protocol_are_labelled(tmp_path: Path) -> None:
    text = fill_template(find(make_records(["epochs"], validation="test")), tmp_path)
    title = next(line for line in text.splitlines() if line.startswith("# "))
    summary = text[text.index("## Summary") : text.index("## Hypotheses")]
    for label in ("STAND-IN DATA", "COURSE PROTOCOL"):
        assert label in title and label in summary
    real = fill_template(find(make_records(["epochs"], dataset="fashion-mnist")), tmp_path)
    assert "STAND-IN" not in real and "COURSE PROTOCOL" not in real


def test_single_seeds_yield_no_claim(tmp_path: Path) -> None:
    found = find(make_records(["epochs", "learning_rate"], n_seeds=1))
    text = fill_template(found, tmp_path)
    assert set(found.estimates.verdicts["verdict"]) == {"cannot tell"}
    assert "With 1 seed no difference can be tested" in text
    assert "seeds would decide it" in text or "to decide it" in text


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
    report.summary_lines(found, dict(study_facts(found)[["quantity", "value"]].itertuples(index=False, name=None)))


def test_confirmations_have_a_section(findings: Findings, tmp_path: Path) -> None:
    rows = pd.DataFrame(
        [
            {"experiment": "epochs", "configuration": "epochs=10", "n": 5, "validation_accuracy_mean": 0.86,
             "validation_accuracy_sd": 0.01, "validation_accuracy_low": 0.85, "validation_accuracy_high": 0.87,
             "test_accuracy_mean": 0.85, "is_best": True, "deficit": 0.0, "deficit_low": math.nan,
             "deficit_high": math.nan, "n_diverged": 0},
        ]
    )  # fmt: skip
    text = fill_template(replace(findings, confirmation=rows), tmp_path)
    assert "### Confirmation on fresh seeds" in text and "86.0 % [85.0, 87.0], n = 5" in text
    assert "Confirmation on fresh seeds" not in fill_template(findings, tmp_path)


# --- every number is in a table ------------------------------------------------------------------------------------


NUMBER = re.compile(r"(?<![\w.,])-?\d[\d,]*(?:\.\d+)?(?![\w])")


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


# --- tables --------------------------------------------------------------------------------------------------------


def test_tables_survive_the_way_to_the_disk(tables: dict[str, pd.DataFrame], tmp_path: Path) -> None:
    for path in write_tables(tables, tmp_path):
        again, table = pd.read_csv(path), tables[path.stem]
        assert list(again.columns) == list(table.columns)
        for column in table:
            kinds = [t[column].dtype.kind for t in (again, table)]
            if len(table) and not table[column].isna().all() and column not in ("first_value", "second_value"):
                assert kinds[0] == kinds[1], (path.stem, column)
            if len(table) and kinds == ["f", "f"]:
                pd.testing.assert_series_equal(again[column], table[column], rtol=1e-14)
    named = ("experiment_summary", "trials", "curves", "comparisons", "verdicts", "interactions", "study_questions")
    assert all((tmp_path / f"{name}.csv").stat().st_size > 100 for name in named)


def test_the_summary_table_has_a_row_for_each_experiment_and_configuration(
    findings: Findings, tables: Mapping[str, pd.DataFrame]
) -> None:
    planned = [(e.experiment.name, c.name) for e in findings.experiments for c in e.experiment.configurations]
    found = tables["experiment_summary"][["experiment", "configuration"]].itertuples(index=False, name=None)
    assert sorted(found) == sorted(planned)


def test_missing_texts_and_seeds_have_one_spelling() -> None:
    table = for_disk(pd.DataFrame({"flags": ["", None, "a"], "seeds_needed": ["", "12", ">100"], "low": [1.0, 2, 3]}),
                     RENAMED["comparisons"])  # fmt: skip
    assert list(table["flags"]) == ["none", "none", "a"]
    assert math.isnan(seeds_number("")) and list(table["seeds_needed"])[1:] == [12.0, math.inf]
    assert "accuracy_difference_low" in table


def test_foreign_and_confirming_trials_are_in_the_table_of_trials() -> None:
    ours, fresh = make_records(["epochs"]), make_records(["epochs"], first_seed=1000, rng=1)
    trials = tables_of(find(join_records(ours, fresh, make_foreign(make_records(["epochs"], rng=2)))))["trials"]
    assert len(trials) == 45
    assert (trials["origin"] == "foreign").sum() == 15


# --- nothing is executed -------------------------------------------------------------------------------------------


def test_no_html_of_a_user_gets_through(tmp_path: Path) -> None:
    evil = parse_experiment(
        {"name": "evil", "question": EVIL, "hypothesis": EVIL, "scientific": ["epochs"], "grid": {"epochs": [1, 2, 3]},
         "contrasts": [{"better": {"epochs": 2}, "worse": {"epochs": 1}}]}
    )  # fmt: skip
    evil = replace(evil, name=f"evil {EVIL}")
    records = make_records([evil])
    records = replace(records, trials=records.trials.assign(host=EVIL, platform=EVIL, versions=EVIL))
    picture = Picture("noise", tmp_path / "a b.png", EVIL, EVIL, EVIL)
    picture.path.write_bytes(b"\x89PNG")
    found = replace(find(records), figures={"noise": picture}, command=EVIL)
    assert write_report(found, tmp_path) == []
    text, page = ((tmp_path / f"report.{kind}").read_text(encoding="utf-8") for kind in ("md", "html"))
    assert len([b for b in parse_report(text) if isinstance(b, Block)]) == len(re.findall(r"<!-- end: ", text))
    tags = {tag.lower() for tag in re.findall(r"<([a-zA-Z0-9]+)", page)}
    assert tags <= ALLOWED_TAGS
    assert "href" not in page and "onerror=y>" not in page.replace("&gt;", "")
    assert "default-src 'none'" in page
    assert 'src="data:image/png;base64' in page and 'src="x"' not in page


def test_text_is_escaped_for_markdown_and_html() -> None:
    assert plain("a <b> [c](d) `e` | f\n# g & h") == "a &lt;b> \\[c\\](d) \\`e\\` \\| f # g &amp; h"
    assert code("a`b|c\n<d") == "`a'b¦c \u2039d`"
    assert "<em>" not in make_html(plain("*a*"), Path())


def test_a_persons_html_is_shown_as_text(tmp_path: Path) -> None:
    page = make_html("# T\n\nI <b>like</b> it <script>x</script>\n\n<div>block</div>\n\n<!-- hidden -->", tmp_path)
    assert "&lt;script&gt;" in page and "<b>" not in page and "hidden" not in page


def test_the_first_page_ends_before_the_second_section(tmp_path: Path) -> None:
    page = make_html("# T\n\n## Summary\n\nfirst\n\n## Next\n\nsecond", tmp_path)
    first = page[page.index('<section class="first-page">') : page.index("</section>")]
    assert "first" in first and "second" not in first
    assert "<title>T</title>" in page


# --- a person's text is never lost ---------------------------------------------------------------------------------


FRESH = stamp_blocks(
    "# A\n\n<!-- computed: a -->\nalpha 1 ±\n<!-- end -->\n\n> **To write:** here\n\n"
    "<!-- computed: b -->\nbeta 1\n<!-- end -->\n\n## End\n\n<!-- computed: empty --><!-- end -->\n"
)
LATER = stamp_blocks(
    "# other\n\n<!-- computed: a -->\nalpha 2 ±\n<!-- end -->\n\n<!-- computed: new -->\nnew 2\n<!-- end -->\n\n"
    "<!-- computed: b -->\nbeta 2\n<!-- end -->\n\n<!-- computed: empty -->\nno more\n<!-- end -->\n"
)


def test_computed_blocks_are_refreshed_and_new_ones_put_in_their_place() -> None:
    merged = merge_report(FRESH.replace("here", "mine"), LATER)
    assert merged.edited == ()
    assert "alpha 2" in merged.text and "alpha 1" not in merged.text and "> **To write:** mine" in merged.text
    assert merged.text.index("alpha 2") < merged.text.index("new 2") < merged.text.index("mine")
    assert merged.text.startswith("# A") and "no more" in merged.text
    assert merge_report(merged.text, LATER) == merged


def test_a_removed_block_stays_away() -> None:
    without = re.sub(r"<!-- computed: b sha.*?<!-- end: b -->", "gone", FRESH, flags=re.DOTALL)
    merged = merge_report(without, LATER)
    assert "beta" not in merged.text and "gone" in merged.text and "new 2" in merged.text


def test_an_experiment_that_is_gone_leaves_no_stale_numbers() -> None:
    merged = merge_report(LATER, FRESH)
    assert "new 2" not in merged.text and "hold nothing for `new`" in merged.text


def test_a_block_with_a_persons_words_is_told() -> None:
    assert merge_report(FRESH.replace("beta 1", "beta 1 I doubt it"), LATER).edited == ("b",)
    assert merge_report(FRESH.replace("\n", "\r\n"), LATER).edited == ()
    assert merge_report(FRESH.replace("beta 1", "beta 1   "), LATER).edited == ()


@pytest.mark.parametrize(
    "broken",
    [
        FRESH.replace("<!-- end: a -->", ""),
        FRESH.replace("<!-- end: b -->", "<!-- end: a -->"),
        FRESH.replace("<!-- end: a -->", "<!-- end: a --><!-- end: a -->"),
        "Dear diary, this is no report of yours.",
    ],
)
def test_a_file_without_sense_is_not_merged(broken: str) -> None:
    with pytest.raises(ReportError):
        merge_report(broken, LATER)


WORDS = ("lesson", "é", "漢字", "<b>", "&amp;", "\t", "\r\n", "\n\n", "-->", "<!-- note -->", "`", "#", "\u2028", "|")


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
    monkeypatch.setattr(report, "fill_template", lambda findings, folder: LATER)
    notes = write_report(None, tmp_path, now=NOW)  # type: ignore[arg-type]
    kept = tmp_path / "report-20260102-030405.md"
    new = path.read_bytes()
    if notes:
        assert kept.read_bytes() == old and kept.name in notes[0]
    else:
        assert not kept.exists()
        for part in parse_report(old.decode("utf-8", "surrogateescape")):
            if isinstance(part, str):
                for piece in re.split(report.WRITTEN.pattern.replace("(?P<names>", "(?:"), part):
                    assert piece.encode("utf-8", "surrogateescape") in new
    assert [b.content for b in parse_report(new.decode("utf-8", "surrogateescape")) if isinstance(b, Block) and not
            b.is_untouched] == []  # fmt: skip


@pytest.mark.parametrize("content", [b"\xff\xfe" + FRESH.encode("utf-16-le"), b"\x00\xff\x80 notes", b"mine"])
def test_what_cannot_be_read_is_kept(content: bytes, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(report, "fill_template", lambda findings, folder: FRESH)
    (tmp_path / "report.md").write_bytes(content)
    (tmp_path / "report-20260102-030405.md").write_text("older")
    (note,) = write_report(None, tmp_path, now=NOW)  # type: ignore[arg-type]
    assert (tmp_path / "report-20260102-030405-2.md").read_bytes() == content
    assert (tmp_path / "report-20260102-030405.md").read_text() == "older"
    assert "report-20260102-030405-2.md" in note and "\n" not in note
    assert (tmp_path / "report.md").read_text(encoding="utf-8") == FRESH


def test_a_changed_page_is_kept_and_an_unchanged_one_is_not(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(report, "fill_template", lambda findings, folder: FRESH)
    for _ in range(2):
        assert write_report(None, tmp_path, now=NOW) == []  # type: ignore[arg-type]
    page = tmp_path / "report.html"
    page.write_text(page.read_text(encoding="utf-8").replace("alpha", "my alpha"), encoding="utf-8")
    (note,) = write_report(None, tmp_path, now=NOW)  # type: ignore[arg-type]
    assert "my alpha" in (tmp_path / "report-20260102-030405.html").read_text(encoding="utf-8")
    assert "report.html had been changed by hand" in note


def test_nothing_is_written_where_the_old_file_cannot_be_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(report, "fill_template", lambda findings, folder: FRESH)
    path = tmp_path / "report.md"
    path.write_text("mine")

    def refuse(*_: object) -> str:
        raise StudyError("report.md was left as it is")

    monkeypatch.setattr(report, "keep_beside", refuse)
    with pytest.raises(StudyError, match="left as it is"):
        write_report(None, tmp_path, now=NOW)  # type: ignore[arg-type]
    assert path.read_text() == "mine"


def test_blocks_know_whether_they_are_untouched() -> None:
    block = make_block("x", "one\ntwo")
    assert block.is_untouched and not replace(block, content="\none\ntwo three\n").is_untouched
    assert [str(part) for part in parse_report(f"before{block}after")] == ["before", str(block), "after"]


def test_markdown_needs_declared_dependencies() -> None:
    project = tomllib.loads((Path(report.__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))
    names = " ".join(project["project"]["dependencies"])
    assert "jinja2" in names and "markdown" in names


def test_the_summary_fits_a_terminal(findings: Findings) -> None:
    facts = dict(study_facts(findings)[["quantity", "value"]].itertuples(index=False, name=None))
    lines = report.summary_lines(findings, facts)
    assert 6 <= len(lines) <= 10
    assert not any("`" in line or "**" in line or "&" in line for line in lines)
    assert lines[0].startswith("read ") and "1 diverged" in lines[0]


def test_a_changed_hypothesis_is_told_with_what_it_replaced(tmp_path: Path) -> None:
    records = make_records(["epochs"])
    old = {"hypothesis": "Fewer is better.", "contrasts": [], "changed": "2026-01-01T00:00:00", "n_complete": 15}
    changed = replace(records.experiments[0], superseded=(old,))
    text = fill_template(find(replace(records, experiments=(changed,))), tmp_path)
    assert "hypothesis changed" in text[text.index("## Summary") : text.index("## Hypotheses")]
    assert "after `15 trials`; before, it read: “Fewer is better.”" in text
    assert "before the run" not in text


def test_experiments_are_all_in_the_report(tmp_path: Path) -> None:
    names = [e.name for e in select_experiments(["quick", "follow-up"])]
    text = fill_template(find(make_records(names, n_seeds=3)), tmp_path)
    assert all(f"<!-- computed: results/{name} " in text for name in names)
