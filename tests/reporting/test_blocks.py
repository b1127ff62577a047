"""Computed blocks in a person's file: refreshed, put in place, never guessed."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from gridstudy.reporting.blocks import ReportError, make_block, merge_report, parse_report
from tests.reports import FRESH, LATER


def test_blocks_know_whether_they_are_untouched() -> None:
    block = make_block("x", "one\ntwo")
    assert block.is_untouched and not replace(block, content="\none\ntwo three\n").is_untouched
    assert [str(part) for part in parse_report(f"before{block}after")] == ["before", str(block), "after"]


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
    assert "new 2" not in merged.text and "no longer hold anything for `new`" in merged.text


def test_a_report_with_the_line_ends_of_windows_keeps_them() -> None:
    merged = merge_report(FRESH.replace("\n", "\r\n"), LATER)
    assert "new 2" in merged.text
    assert "\n" not in merged.text.replace("\r\n", "")


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
