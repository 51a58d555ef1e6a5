"""What a passage says that can be asked for: values in its sentences and tables, found by rule, and questions by rule.

After SQuAD's way (Rajpurkar et al., arXiv 1606.05250): an answer is a span of the text. The answer is picked first and
the question written for it, so that the key is in the document and nobody has to be believed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from instar.acquire.documents.passages import Passage, Span, holds, rows_of, sentences
from instar.similarity import normalised

_MONTHS = "January|February|March|April|May|June|July|August|September|October|November|December"
_DATE = rf"\d{{1,2}} (?:{_MONTHS})(?: \d{{4}})?|(?:{_MONTHS}) \d{{1,2}}(?:, \d{{4}})?"
_NUMBER = r"\d+(?:[.,]\d+)*(?![\w])"
_NAME = r"[A-Z][\w'\u2019-]+(?: (?:of |the |de |van |von )?[A-Z][\w'\u2019-]+)*"
_QUOTED = r"(?<=[\"“])[^\"“”\n]{2,60}(?=[\"”])"
_VALUE = re.compile(rf"{_DATE}|{_QUOTED}|(?<![\w.]){_NUMBER}|(?<![\w.]){_NAME}")
_SMALL = """a an and as at but by for from he her his however in it its my no not of on one or our she since some that
the their then there these they this those to we what when where which while who with you your mr mrs ms dr st"""
_OPENERS = frozenset(_SMALL.split())
"""What a capital at the beginning of a sentence says nothing about."""
GAP = "____"


class Fact(NamedTuple):
    """A value that stands in a sentence of a passage. ``span`` counts characters of the document's text."""

    passage: Passage
    sentence: str
    answer: str
    span: Span


def facts(passage: Passage) -> list[Fact]:
    """The values of a passage in the order in which they stand: dates, numbers, names, what is quoted. Not those that
    its title names, nor one that stands in it twice: a question for it would have two places."""
    found: list[Fact] = []
    for place in sentences(passage.text):
        said = passage.text[place.start : place.end]
        if "|" in said:
            continue
        for m in _VALUE.finditer(said):
            start, value = m.start(), m[0]
            while (first := value.partition(" "))[0].lower() in _OPENERS and first[2]:
                start, value = start + len(first[0]) + 1, first[2]
            if value.lower() in _OPENERS or (m.start() == 0 and " " not in value and value[0].isalpha()):
                continue  # the first word of a sentence is no name because it has a capital
            if holds(passage.title, value) or len(re.findall(rf"(?<!\w){re.escape(value)}(?!\w)", passage.text)) > 1:
                continue
            at = passage.span.start + place.start + start
            found.append(Fact(passage, said, value, Span(at, at + len(value))))
    return found


def others(fact: Fact, among: Sequence[Fact]) -> list[str]:
    """The values of the passage's other sentences: who recites the passage has not answered."""
    told = normalised(f"{fact.sentence} {fact.passage.title}")
    return list(dict.fromkeys(f.answer for f in among if normalised(f.answer) not in told))


def gap(fact: Fact) -> str:
    """The fact's sentence with its value left out: a question by rule."""
    place = holds(fact.sentence, fact.answer)
    assert place is not None, "a fact's value stands in its sentence"
    left = f"{fact.sentence[: place.start]}{GAP}{fact.sentence[place.end :]}"
    about = "" if holds(left, fact.passage.title) else f" (from: {fact.passage.title})"
    return f"Fill the gap{about}: {left}"


def table_questions(passage: Passage) -> Iterator[tuple[str, str]]:
    """Of each table in a passage: what stands in a column of a row, by rule, with the answer. A table needs a line of
    headings, and rows that are as long and told apart by their first cell."""
    rows = rows_of(passage.text)
    if len(rows) < 2:
        return
    head, body = rows[0], [r for r in rows[1:] if len(r) == len(rows[0])]
    names = [r[0] for r in body]
    for row in body:
        if names.count(row[0]) > 1 or not row[0]:
            continue
        for column, value in zip(head[1:], row[1:], strict=True):
            if column and value and not holds(row[0], value):
                yield f'In the table of "{passage.title}", what is the {column} of {row[0]}?', value


def why_no_question(question: str, answer: str, fact: Fact) -> str | None:
    """Why a written question cannot be used, by what can be seen of it; None where nothing is wrong with it."""
    words = question.split()
    if not question.rstrip().endswith("?"):
        return "it is no question"
    if not 4 <= len(words) <= 40:
        return "it is shorter than 4 words or longer than 40"
    if "\n" in question.strip():
        return "it has more than one line"
    if holds(question, answer) is not None:
        return "the answer stands in it"
    asked = set(re.findall(r"\w{3,}", question.casefold()))
    named = [w for w in re.findall(r"\w{3,}", f"{fact.passage.title} {fact.sentence}") if w[0].isupper()]
    if named and not asked & {w.casefold() for w in named if holds(answer, w) is None}:
        return "it names nothing of what it asks about: without the passage nobody knows what is meant"
    return None
