"""The first page: short, complete, and no verdict without its label."""

from __future__ import annotations

import pytest

from gridstudy.reporting.result_sentences import verdict_phrase
from gridstudy.reporting.summary import effects_sentence, summary_lines, verdict_overview
from gridstudy.statistics.findings import Findings
from tests.reports import facts_of, study_findings, verdict


@pytest.fixture
def findings() -> Findings:
    return study_findings()


def test_a_confounded_verdict_carries_its_label_wherever_it_goes() -> None:
    given = verdict("supported", labels=("confounded with examples", "hypothesis changed"))
    assert verdict_phrase(given) == "**supported** (confounded with examples; hypothesis changed)"
    assert "`epochs`, confounded and hypothesis changed" in verdict_overview([given])
    assert "confounded" in effects_sentence([given])


def test_the_overview_counts_each_verdict() -> None:
    words = ("supported", "supported", "contradicted", "no practical difference", "cannot tell")
    text = verdict_overview([verdict(word) for word in words])
    for part in (
        "5 hypotheses",
        "2 are supported",
        "1 is contradicted",
        "1 shows no practical",
        "for 1 the records cannot",
    ):
        assert part in text
    assert verdict_overview([]) == "No hypothesis was judged."


def test_the_summary_fits_a_terminal(findings: Findings) -> None:
    lines = summary_lines(findings, facts_of(findings))
    assert 6 <= len(lines) <= 10
    assert not any("`" in line or "**" in line or "&" in line for line in lines)
    assert lines[0].startswith("read ") and "1 diverged" in lines[0]
