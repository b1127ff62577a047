"""Markdown -> one self-contained HTML page: raw HTML shown as text, pictures inside, scripts forbidden."""

from __future__ import annotations

import base64
import html
import re
from pathlib import Path
from urllib.parse import unquote

PICTURE_TYPES = {".png": "image/png", ".svg": "image/svg+xml", ".jpg": "image/jpeg", ".jpeg": "image/jpeg"}
PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>{title}</title>
<style>
{style}
</style>
</head>
<body>
<main>
{body}
</main>
</body>
</html>"""
STYLE = """
:root { color-scheme: light; }
body { margin: 0; background: #fff; color: #1a1a1a; font: 1.05rem/1.5 system-ui, "Segoe UI", Arial, sans-serif; }
main { max-width: 56rem; margin: 0 auto; padding: 1rem; }
h1 { font-size: 1.7rem; line-height: 1.2; }
h2 { margin-top: 2.5rem; border-bottom: 2px solid #ccc; font-size: 1.4rem; }
h3 { margin-top: 2rem; font-size: 1.15rem; }
code { background: #f2f2f2; padding: 0 .2em; border-radius: .2em; font-size: .9em; overflow-wrap: anywhere; }
blockquote { margin: 1rem 0; padding: .1rem 1rem; border-left: .3rem solid #0173b2; background: #f6f9fc; }
img { max-width: 100%; height: auto; display: block; margin: 1rem auto 0; }
.table { overflow-x: auto; }
table { border-collapse: collapse; font-size: .88rem; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .6rem; border-bottom: 1px solid #ddd; vertical-align: top; }
th { background: #f2f2f2; text-align: left; }
td { text-align: left; }
td code { overflow-wrap: break-word; }
td:first-child { min-width: 9em; }
td[style*="right"] { white-space: nowrap; }
@media screen and (max-width: 45rem) { table { min-width: 42rem; } }
@media print {
  @page { size: A4; margin: 14mm; }
  body { font-size: 9pt; line-height: 1.35; }
  main { max-width: none; padding: 0; }
  h1 { font-size: 15pt; margin: 0; } h2 { font-size: 12pt; margin-top: 1rem; } h3 { font-size: 10.5pt; }
  h2, h3 { break-after: avoid; }
  img { max-height: 11cm; break-inside: avoid; }
  table { font-size: 7pt; } th, td { padding: .1rem .25rem; } td code { overflow-wrap: anywhere; }
  .table { overflow: visible; }
  .first-page { break-after: page; }
  .first-page p, .first-page ul { margin: .35rem 0; }
  .first-page img { max-height: 7.5cm; margin-top: .3rem; }
}
""".strip()


def make_html(text: str, folder: Path) -> str:
    """The report as one self-contained page: raw HTML shown as text, pictures inside, scripts forbidden."""
    body = inline_pictures(markdown_html(text.removeprefix("\ufeff")), folder)
    body = body.replace("<table>", '<div class="table"><table>').replace("</table>", "</table></div>")
    title = re.search(r"<h1>(.*?)</h1>", body, re.DOTALL)
    words = html.escape(html.unescape(re.sub(r"<[^>]*>", "", title[1]))) if title else "Report"
    return PAGE.format(title=words, style=STYLE, body=wrap_first_page(body))


def markdown_html(text: str) -> str:
    """Markdown to HTML; comments vanish, and any other HTML in it is shown as the text that it is."""
    from markdown import Markdown

    converter = Markdown(extensions=["tables", "fenced_code", "sane_lists"])
    converter.preprocessors.deregister("html_block")
    converter.inlinePatterns.deregister("html")
    return str(converter.convert(re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)))


def wrap_first_page(body: str) -> str:
    """Put all before the second section into one element, after which a printer turns the page."""
    sections = [match.start() for match in re.finditer(r"<h2>", body)]
    if len(sections) < 2:
        return body
    return f'<section class="first-page">\n{body[: sections[1]]}</section>\n{body[sections[1] :]}'


def inline_pictures(body: str, folder: Path) -> str:
    """Replace the addresses of pictures on this disk by their content."""
    return re.sub(r'(<img [^>]*?src=")([^"]*)(")', lambda m: m[1] + (_data_uri(m[2], folder) or m[2]) + m[3], body)


def _data_uri(address: str, folder: Path) -> str:
    path = folder / unquote(html.unescape(address))
    kind = PICTURE_TYPES.get(path.suffix.lower())
    try:
        return f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode()}" if kind else ""
    except OSError:
        return ""
