"""Numbers and names in words: intervals and n go with them, and nothing in them is Markdown or HTML by accident."""

from __future__ import annotations

import math
from pathlib import Path

import pandas as pd
import pytest

from gridstudy.core.subject import Objective
from gridstudy.reporting.page import make_html
from gridstudy.reporting.phrases import (
    code,
    codes,
    count,
    difference,
    enumeration,
    p_value,
    percent,
    plain,
    score,
    span,
    terminal,
)

ACCURACY = Objective("accuracy")
LATENCY = Objective("latency", unit="ms", maximise=False, margin=1.0)


def test_scores_carry_interval_and_n() -> None:
    assert score(ACCURACY, 0.841, 0.836, 0.846, n=5) == "84.1 % [83.6, 84.6], n = 5"
    assert score(ACCURACY, 0.841, n=1) == "84.1 %, n = 1"
    assert score(ACCURACY, math.nan) == "no trials"
    assert score(LATENCY, 0.4123, 0.405, 0.419) == "0.4123 ms [0.405, 0.419]"
    assert percent(0.25, 0) == "25 %"


@pytest.mark.parametrize(
    ("value", "words"),
    [(0.0152, "+1.5 points"), (-0.004, "-0.40 points"), (-0.00001, "0.00 points"), (0.2162, "+21.6 points"),
     (math.nan, "unknown")],
)  # fmt: skip
def test_differences_have_a_sign_and_a_unit(value: float, words: str) -> None:
    assert difference(ACCURACY, value) == words


def test_small_numbers_in_words() -> None:
    assert difference(ACCURACY, 0.0152, 0.0022, 0.0283) == "+1.5 points [0.2, 2.8]"
    assert difference(ACCURACY, 0.005, signed=False) == "0.50 points"
    assert difference(LATENCY, 1.25, 0.5, 2.0) == "+1.25 ms [0.5, 2]"
    assert (p_value(0.0123), p_value(0.0001), p_value(math.nan)) == ("p = 0.012", "p < 0.001", "no p")
    assert (count(1, "trial"), count(1200, "trial")) == ("1 trial", "1,200 trials")
    assert enumeration(["a"]) == "a"
    assert enumeration(["a", "b", "c"]) == "a, b and c"
    assert enumeration([]) == ""
    assert span(pd.Series([3.0, 1.0])) == "1 to 3"
    assert codes(["a", "b", "c"], most=2) == "`a`, `b`, …"


def test_no_escape_sequence_reaches_a_terminal() -> None:
    assert "\x1b" not in terminal("logs \x1b[31mred\n\x07")


def test_text_is_escaped_for_markdown_and_html() -> None:
    assert plain("a <b> [c](d) `e` | f\n# g & h") == "a &lt;b> \\[c\\](d) \\`e\\` \\| f # g &amp; h"
    assert code("a`b|c\n<d") == "`a'b¦c \u2039d`"
    assert "<em>" not in make_html(plain("*a*"), Path())
