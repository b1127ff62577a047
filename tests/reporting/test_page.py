"""The HTML page: self-contained, and a person's HTML is text in it."""

from __future__ import annotations

from pathlib import Path

from gridstudy.reporting.page import make_html


def test_a_persons_html_is_shown_as_text(tmp_path: Path) -> None:
    page = make_html("# T\n\nI <b>like</b> it <script>x</script>\n\n<div>block</div>\n\n<!-- hidden -->", tmp_path)
    assert "&lt;script&gt;" in page and "<b>" not in page and "hidden" not in page


def test_the_first_page_ends_before_the_second_section(tmp_path: Path) -> None:
    page = make_html("# T\n\n## Summary\n\nfirst\n\n## Next\n\nsecond", tmp_path)
    first = page[page.index('<section class="first-page">') : page.index("</section>")]
    assert "first" in first and "second" not in first
    assert "<title>T</title>" in page
