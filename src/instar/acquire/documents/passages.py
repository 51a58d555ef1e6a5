"""Passages of documents: a few sentences each, with where they stand and the digest of what they say."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath
from typing import NamedTuple

from instar.acquire.documents.read import Document

_PARAGRAPH = re.compile(r"[^\n]+(?:\n(?![^\S\n]*\n)[^\n]+)*")
_SENTENCE = re.compile(r"\S(?:.*?)(?:[.!?]+[\"'\u201d\u2019)\]]*(?=\s|$)|$)", re.DOTALL)
_SHORTENED = re.compile(r"(?:\b(?:Mr|Mrs|Ms|Dr|St|No|vs|etc|cf|e\.g|i\.e|[A-Z])\.)$")
_HEADING = re.compile(r"^(?:#{1,6}\s+)?([^\n.!?|]{2,100})$")


class Span(NamedTuple):
    """Characters ``start`` to ``end`` of a text."""

    start: int
    end: int


class Passage(NamedTuple):
    """A stretch of a document. ``span`` counts characters of the document's text, ``bytes`` the same text in UTF-8."""

    document: str
    """The digest of the document's file."""
    name: str
    title: str
    span: Span
    bytes: Span
    text: str

    @property
    def digest(self) -> str:
        """Of what it says."""
        return hashlib.sha256(self.text.encode()).hexdigest()


def passages(document: Document, characters: int = 800) -> list[Passage]:
    """The document in stretches of whole sentences of at most ``characters``; a longer sentence is cut between words.
    Headings are in none: the last one before a passage is its title."""
    found: list[Passage] = []
    text, title = document.text, title_of(document)
    at, at_byte = 0, 0
    for span, heading in _stretches(text, characters):
        if heading is not None:
            title = heading
            continue
        at_byte += len(text[at : span.start].encode())
        said = text[span.start : span.end]
        size = len(said.encode())
        found.append(Passage(document.digest, document.name, title, span, Span(at_byte, at_byte + size), said))
        at, at_byte = span.end, at_byte + size
    return found


def title_of(document: Document) -> str:
    """The document's first line where that is a heading, else its file's name in words."""
    first = document.text.strip().partition("\n")[0].strip()
    heading = _HEADING.match(first)
    stem = PurePosixPath(document.name).stem
    return heading[1].strip() if heading else " ".join(re.split(r"[_\-\s]+", stem)) or stem


def _stretches(text: str, characters: int) -> Iterator[tuple[Span, str | None]]:
    begun: Span | None = None
    for paragraph in _PARAGRAPH.finditer(text):
        heading = _HEADING.match(paragraph[0].strip())
        if heading:
            if begun:
                yield begun, None
                begun = None
            yield Span(*paragraph.span()), heading[1].strip()
            continue
        for sentence in (piece for own in sentences(paragraph[0]) for piece in _pieces(paragraph[0], own, characters)):
            own = Span(paragraph.start() + sentence.start, paragraph.start() + sentence.end)
            if begun and own.end - begun.start > characters:
                yield begun, None
                begun = None
            begun = Span(begun.start, own.end) if begun else own
    if begun:
        yield begun, None


def _pieces(text: str, own: Span, most: int) -> Iterator[Span]:
    """A sentence, or what it is cut into where it is too long."""
    start = own.start
    while own.end - start > most:
        cut = text.rfind(" ", start + 1, start + most)
        cut = start + most if cut < 0 else cut
        yield Span(start, cut)
        start = cut + (text[cut] == " ")
    if own.end > start:
        yield Span(start, own.end)


def sentences(text: str) -> list[Span]:
    """Where the sentences of a paragraph stand. A full stop after a title, an initial or a shortened word ends none;
    a line of a table or a list is a sentence."""
    found: list[Span] = []
    begun: int | None = None
    for m in _SENTENCE.finditer(text):
        start = m.start() if begun is None else begun
        said = text[start : m.end()].rstrip()
        if _SHORTENED.search(said) and m.end() < len(text):
            begun = start
            continue
        found.append(Span(start, start + len(said)))
        begun = None
    return found


def holds(text: str, words: str) -> Span | None:
    """Where these words first stand in a text as whole words, whatever their case; None where they do not."""
    if not words.strip():
        return None
    m = re.search(rf"(?<!\w){re.escape(words.strip())}(?!\w)", text, re.IGNORECASE)
    return Span(*m.span()) if m else None


def rows_of(text: str) -> list[Sequence[str]]:
    """The rows of the tables in a text (cells between bars), without the ruling line of Markdown."""
    rows = ([c.strip() for c in line.strip().strip("|").split("|")] for line in text.split("\n") if "|" in line)
    return [r for r in rows if len(r) > 1 and not all(set(c) <= set("-: ") for c in r)]
