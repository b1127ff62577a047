"""The HTML page: self-contained, and a person's HTML is text in it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gridstudy.reporting.page import make_html


def test_a_persons_html_is_shown_as_text(tmp_path: Path) -> None:
    page = make_html("# T\n\nI <b>like</b> it <script>x</script>\n\n<div>block</div>\n\n<!-- hidden -->", tmp_path)
    assert "&lt;script&gt;" in page and "<b>" not in page and "hidden" not in page


def test_the_first_page_ends_before_the_second_section(tmp_path: Path) -> None:
    page = make_html("# T\n\n## Summary\n\nfirst\n\n## Next\n\nsecond", tmp_path)
    first = page[page.index('<section class="first-page">') : page.index("</section>")]
    assert "first" in first and "second" not in first
    assert "<title>T</title>" in page


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no such pipes")
def test_a_pipe_or_an_endless_file_is_no_picture(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "endless.png").symlink_to("/dev/zero")
    page = make_html("# T\n\n![a](pipe.png)\n\n![b](endless.png)", tmp_path)
    assert "base64" not in page
