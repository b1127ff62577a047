"""Numbers and names in words: intervals and n go with them, and nothing in them is Markdown or HTML by accident."""

from __future__ import annotations

import math
from pathlib import Path

import pandas as pd
import pytest

from gridstudy.reporting.page import make_html
from gridstudy.reporting.phrases import (
    accuracy,
    code,
    codes,
    count,
    enumeration,
    p_value,
    percent,
    plain,
    points,
    seeds,
    span,
)


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
    assert (count(1, "trial"), count(1200, "trial"), seeds(">100")) == (
        "1 trial", "1,200 trials", "more than 100 seeds",
    )  # fmt: skip
    assert enumeration(["a"]) == "a"
    assert enumeration(["a", "b", "c"]) == "a, b and c"
    assert enumeration([]) == ""
    assert span(pd.Series([3.0, 1.0])) == "1 to 3"
    assert codes(["a", "b", "c"], most=2) == "`a`, `b`, …"


def test_text_is_escaped_for_markdown_and_html() -> None:
    assert plain("a <b> [c](d) `e` | f\n# g & h") == "a &lt;b> \\[c\\](d) \\`e\\` \\| f # g &amp; h"
    assert code("a`b|c\n<d") == "`a'b¦c \u2039d`"
    assert "<em>" not in make_html(plain("*a*"), Path())
