"""Pages as a browser reads them, and texts that would like to be more than text."""

from __future__ import annotations

from html.parser import HTMLParser

_TAGS = """
    div style h3 h4 p span i b table thead tbody tr th td section details summary code pre bdi
    mark a br svg g title circle text tspan line colgroup col html head meta body
"""
_ATTRIBUTES = """
    class style title href width height role aria-label x y x1 y1 x2 y2 cx cy r opacity colspan
    open lang charset http-equiv content name
"""
TAGS, ATTRIBUTES = set(_TAGS.split()), set(_ATTRIBUTES.split())
CELLS = {"td", "th", "p", "br", "div", "summary", "li"}
VOID = {"br", "col", "meta", "circle", "line"}

HOSTILE = {
    "script": "<script>alert(1)</script>",
    "attribute": "\" onmouseover='alert(1)' x=\"",
    "picture": "<img src=x onerror=alert(1)>",
    "style": "</style></pre></svg><style>*{display:none}</style>",
    "template": "{{ 7 * 191 }}{% raw %}{{ self }}",
    "terminal": "\x1b[2J\x1b]0;owned\x07\r\x9b",
    "bidi": "a\u202egnp\u2066.exe\u200f\u061c",
    "lines": "one\ntwo\u2028three\x00",
    "surrogate": "\udcff",
}


class Page(HTMLParser):
    """What is in a page: tags, attributes and text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.html, self.tags, self.attributes = html, [], []
        self.words: list[str] = []
        self.open: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == [], "every element is closed"

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += attributes
        self.words += [" "] * (tag in CELLS)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += attributes

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, "elements are closed in order"

    def handle_data(self, data):
        if self.open[-1:] != ["style"]:
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join("".join(self.words).split())

    def classes(self) -> list[str]:
        return [value for name, value in self.attributes if name == "class"]


def harmless_page(html: str) -> Page:
    """Read a page in which nothing is but what our own templates put there."""
    page = Page(html)
    assert set(page.tags) <= TAGS, set(page.tags) - TAGS
    assert {name for name, _ in page.attributes} <= ATTRIBUTES
    links = [value for name, value in page.attributes if name == "href"]
    assert all(link.startswith("./") for link in links), links
    shown = "".join([*page.words, *(value or "" for _, value in page.attributes)])
    shown = shown.replace("\n", "")
    assert shown.isprintable(), sorted({c for c in shown if not c.isprintable()})
    assert page.tags.count("style") <= 2
    html.encode()  # what goes into a file, surrogates and all
    return page
