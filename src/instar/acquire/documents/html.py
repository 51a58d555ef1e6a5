"""The words of an HTML page, by the standard library's tokenizer: no script is run and nothing is fetched.

It is hand-written on ``html.parser`` because it needs no tree: a page nested a million deep costs no more than a flat
one. The libraries that find "the article" in a page guess, and their guesses change between versions.
"""

from __future__ import annotations

from html.parser import HTMLParser

from instar.acquire.documents.limits import Limits

_SILENT = frozenset({"script", "style", "noscript", "template", "head", "svg", "math", "iframe", "object", "textarea"})
"""What is in them is not said on the page."""
_BLOCK = """address article aside blockquote br caption dd details div dl dt fieldset figcaption figure footer form h1
h2 h3 h4 h5 h6 header hr li main nav ol p pre section summary table tbody tfoot thead tr ul"""
_BLOCKS = frozenset(_BLOCK.split())
_CELLS = frozenset({"td", "th"})
CELL = " | "
_FEW = 20


class _Words(HTMLParser):
    """Collects words; a block begins a new line, a cell of a table is set off from the next."""

    def __init__(self, limits: Limits) -> None:
        super().__init__(convert_charrefs=True)
        self.limits = limits
        self.said: list[str] = []
        self.silent: list[str] = []
        self.rows = 0
        self.characters = 0

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag in _SILENT:
            self.silent.append(tag)
        elif tag == "body":
            self.silent.clear()  # a head that nobody closed ends where the body begins
        self.rows += tag == "tr"
        if self.rows > self.limits.rows:
            return
        if tag in _BLOCKS:
            self.said.append("\n")
        elif tag in _CELLS:
            self.said.append(CELL)

    def handle_endtag(self, tag: str) -> None:
        if tag in self.silent:
            del self.silent[self.silent.index(tag) :]
        if tag in _BLOCKS and self.rows <= self.limits.rows:
            self.said.append("\n")

    def handle_data(self, data: str) -> None:
        if self.silent or self.rows > self.limits.rows or self.characters > self.limits.characters:
            return
        self.characters += len(data)
        self.said.append(data)


def closed(page: str) -> bool:
    """Whether the marks of a page are closed, but for a few. For the end of each that is not, a tokenizer looks through
    the rest of the page: 64 KB of ``<a `` keep it busy for more than a minute."""
    tags = page.count("<", page.rfind(">") + 1)
    comments = page.count("<!--", page.rfind("-->") + 1)
    return max(tags, comments) <= _FEW


def text_of_html(page: str, limits: Limits) -> tuple[str, list[str]]:
    """The page's words a line a block, and what was left out."""
    words = _Words(limits)
    words.feed(page)
    words.close()
    lines = (" ".join(line.split()).removeprefix(CELL.strip()).strip() for line in "".join(words.said).split("\n"))
    left_out = []
    if words.rows > limits.rows:
        left_out.append(f"{words.rows - limits.rows:,} rows of tables and what stands after them")
    if words.silent:
        left_out.append(f"what stands after a <{words.silent[0]}> that nobody closed")
    return "\n".join(line for line in lines if line), left_out
