"""Markdown -> one self-contained HTML page: raw HTML shown as text, pictures inside, no script but its own.

The page has a contents list, sections that fold, points that tell more when the pointer rests on them, and tables that
a click on a heading sorts. It can be read without scripts.
"""

from __future__ import annotations

import base64
import hashlib
import html
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from urllib.parse import unquote

from gridstudy.core.files import read_bytes

Points = Sequence[tuple[float, float, str]]
"""Places in a picture, x and y from 0 to 1 from its left and top, and what to show there."""

PICTURE_TYPES = {".png": "image/png", ".svg": "image/svg+xml", ".jpg": "image/jpeg", ".jpeg": "image/jpeg"}
PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'; \
script-src 'sha256-{script_hash}'">
<title>{title}</title>
<style>
{style}
</style>
</head>
<body>
<main>
{body}
</main>
<script>{script}</script>
</body>
</html>"""
STYLE = """
:root { color-scheme: light; }
body { margin: 0; background: #fff; color: #1a1a1a; font: 1.05rem/1.5 system-ui, "Segoe UI", Arial, sans-serif; }
main { max-width: 78rem; margin: 0 auto; padding: 1rem; }
h1, p, ul, ol, blockquote, nav { max-width: 56rem; }
h1 { font-size: 1.7rem; line-height: 1.2; }
h2, h3 { display: inline; }
h2 { font-size: 1.4rem; }
h3 { font-size: 1.15rem; }
summary { cursor: pointer; margin-top: 1.2rem; }
details.level2 > summary { margin-top: 2.5rem; border-bottom: 2px solid #ccc; }
nav { columns: 2; margin: 1rem 0; padding: .6rem 1rem; background: #f6f9fc; font-size: .9rem; line-height: 1.6; }
nav a { display: block; color: #0b5394; text-decoration: none; }
nav a.level3 { padding-left: 1.2rem; }
code { background: #f2f2f2; padding: 0 .2em; border-radius: .2em; font-size: .9em; overflow-wrap: anywhere; }
pre { white-space: pre-wrap; }
blockquote { margin: 1rem 0; padding: .1rem 1rem; border-left: .3rem solid #0173b2; background: #f6f9fc; }
.picture { position: relative; display: inline-block; margin: 1rem 0 0; }
img { max-width: 100%; max-height: 60rem; height: auto; display: block; }
.spot { position: absolute; width: 1rem; height: 1rem; margin: -.5rem 0 0 -.5rem; border-radius: 50%; }
.spot:hover, .spot:focus { background: rgba(1, 115, 178, .25); outline: none; z-index: 2; }
.spot:hover::after, .spot:focus::after {
  content: attr(data-text); position: absolute; top: 1.2rem; left: 50%; transform: translateX(-50%); z-index: 3;
  width: max-content; max-width: 20rem; padding: .3rem .6rem; border-radius: .3rem; background: #1a1a1a; color: #fff;
  font-size: .85rem; line-height: 1.35; white-space: pre-line; pointer-events: none; }
.spot.left::after { left: 0; transform: none; } .spot.right::after { left: auto; right: 0; transform: none; }
.table { overflow-x: auto; }
table { border-collapse: collapse; font-size: .88rem; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .6rem; border-bottom: 1px solid #ddd; vertical-align: top; text-align: left; }
th { background: #f2f2f2; }
th[data-sort] { cursor: pointer; } th[data-sort]:hover { background: #ddd; }
th[aria-sort=ascending]::after { content: " \\25B2"; } th[aria-sort=descending]::after { content: " \\25BC"; }
td[style*="right"] { text-align: right; white-space: nowrap; }
@media screen and (max-width: 45rem) { nav { columns: 1; } }
@media screen and (min-width: 78rem) {
  nav { float: right; columns: 1; width: 17rem; margin: 0 0 1rem 2rem; }
  .first-page { min-height: 30rem; }
}
@media print {
  @page { size: A4; margin: 12mm; }
  body { font-size: 9pt; line-height: 1.3; }
  main, h1, p, ul, blockquote { max-width: none; } main { padding: 0; }
  h1 { font-size: 15pt; margin: 0; } h2 { font-size: 12pt; } h3 { font-size: 10.5pt; }
  nav { display: none; } summary { list-style: none; margin-top: .8rem; break-after: avoid; }
  details::details-content { content-visibility: visible; block-size: auto; }
  img { max-height: 11cm; break-inside: avoid; }
  .spot { display: none; }
  table { font-size: 7pt; } th, td { padding: .1rem .25rem; }
  .table { overflow: visible; }
  .first-page { font-size: 7.5pt; line-height: 1.2; }
  .first-page summary { margin-top: .3rem; }
  .first-page p, .first-page ul { margin: .2rem 0; }
  .first-page .picture { margin: .2rem 0; }
  .first-page img { max-height: 10cm; }
}
""".strip()
SCRIPT = """
const number = text => parseFloat((text.replace(/,/g, "").match(/^[<>]? ?([-+]?\\d.*)/) || [])[1]);
const compare = (a, b) => { const x = number(a), y = number(b);
  return Number.isNaN(x) - Number.isNaN(y) || x - y || a.localeCompare(b, undefined, { numeric: true }); };
for (const head of document.querySelectorAll("th")) {
  head.dataset.sort = "";
  head.title = "Click to sort";
  head.addEventListener("click", () => {
    const down = head.getAttribute("aria-sort") === "ascending";
    const body = head.closest("table").tBodies[0], at = head.cellIndex;
    const rows = [...body.rows]
      .sort((a, b) => (down ? -1 : 1) * compare(a.cells[at].textContent, b.cells[at].textContent));
    for (const other of head.parentNode.cells) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    body.append(...rows);
  });
}
const unfold = () => { const place = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  for (let at = place; at; at = at.parentElement) if (at.tagName === "DETAILS") at.open = true;
  if (place) place.scrollIntoView(); };
addEventListener("hashchange", unfold);
addEventListener("beforeprint", () => { for (const part of document.querySelectorAll("details")) part.open = true; });
if (location.hash) unfold();
"""


def make_html(text: str, folder: Path, *, points: Mapping[str, Points] | None = None) -> str:
    """The report as one self-contained page; `points` are those of each picture, by its address in the text."""
    body = inline_pictures(markdown_html(text.removeprefix("\ufeff")), folder, points or {})
    body = body.replace("<table>", '<div class="table"><table>').replace("</table>", "</table></div>")
    title = re.search(r"<h1>(.*?)</h1>", body, re.DOTALL)
    words = html.escape(_text(title[1])) if title else "Report"
    digest = base64.b64encode(hashlib.sha256(SCRIPT.encode()).digest()).decode()
    return PAGE.format(title=words, style=STYLE, script=SCRIPT, script_hash=digest, body=fold(body))


def markdown_html(text: str) -> str:
    """Markdown to HTML; comments vanish, and any other HTML in it is shown as the text that it is."""
    from markdown import Markdown

    converter = Markdown(extensions=["tables", "fenced_code", "sane_lists"])
    converter.preprocessors.deregister("html_block")
    converter.inlinePatterns.deregister("html")
    return str(converter.convert(re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)))


# --- sections ------------------------------------------------------------------------------------------------------


def fold(body: str) -> str:
    """Put each section into an element that folds, and a contents list behind the first one.

    Sections of the second level are open. A printer turns the page after the first one.
    """
    head, *sections = re.split(r"(?=<h2>)", body)
    if not sections:
        return body
    folded, links = [], []
    for number, section in enumerate(sections):
        start, *parts = re.split(r"(?=<h3>)", section)
        place = f"part{number}"
        links.append(_link(place, start, 2))
        links += [_link(f"{place}.{i}", part, 3) for i, part in enumerate(parts)]
        inner = "".join(_details(f"{place}.{i}", part, 3) for i, part in enumerate(parts))
        folded.append(_details(place, start, 2, inner=inner))
    contents = f'<nav aria-label="Contents">\n{"".join(links)}</nav>\n'
    return f'<section class="first-page">\n{head}{contents}{folded[0]}</section>\n{"".join(folded[1:])}'


def _details(place: str, section: str, level: int, *, inner: str = "") -> str:
    heading, end, rest = section.partition(f"</h{level}>")
    opened = " open" if level == 2 else ""
    return (
        f'<details class="level{level}" id="{place}"{opened}><summary>{heading}{end}</summary>{rest}{inner}</details>\n'
    )


def _link(place: str, section: str, level: int) -> str:
    heading = section.partition(f"</h{level}>")[0]
    heading = heading.partition("</code>: ")[0]  # of an experiment, its name without its question
    return f'<a class="level{level}" href="#{place}">{html.escape(_text(heading))}</a>\n'


def _text(fragment: str) -> str:
    return html.unescape(re.sub(r"<[^>]*>", "", fragment))


# --- pictures ------------------------------------------------------------------------------------------------------


def inline_pictures(body: str, folder: Path, points: Mapping[str, Points]) -> str:
    """Replace the addresses of pictures on this disk by their content, and lay spots with words over their points."""

    def show(match: re.Match[str]) -> str:
        address = html.unescape(match[2])
        picture = f"{match[1]}{_data_uri(address, folder) or match[2]}{match[3]}"
        return f'<span class="picture">{picture}{"".join(_spots(points.get(address, ())))}</span>'

    return re.sub(r'(<img [^>]*?src=")([^"]*)("[^>]*>)', show, body)


def _spots(points: Points) -> Iterator[str]:
    for x, y, text in points:
        words, side = html.escape(text), " left" if x < 0.2 else " right" if x > 0.8 else ""
        yield (
            f'<span class="spot{side}" tabindex="0" role="note" aria-label="{words}" data-text="{words}" '
            f'style="left:{100 * x:.2f}%;top:{100 * y:.2f}%"></span>'
        )


def _data_uri(address: str, folder: Path) -> str:
    path = folder / unquote(address)
    kind = PICTURE_TYPES.get(path.suffix.lower())
    try:
        return f"data:{kind};base64,{base64.b64encode(read_bytes(path)).decode()}" if kind else ""
    except OSError:
        return ""
