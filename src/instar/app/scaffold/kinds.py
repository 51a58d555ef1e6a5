"""What kind of answer a user's rows want, told from the gold answers: a label, a number, a letter, a short text, ..."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Literal, get_args

from instar.acquire.tasks.options import plainly
from instar.extract import is_number
from instar.extract.quantities import is_amount, is_money
from instar.extract.writing import algebra, visible

Kind = Literal["classify", "extract", "number", "choice", "code", "free"]
KINDS: tuple[str, ...] = get_args(Kind)
MOST_LABELS = 24
"""Distinct answers that can still stand in a prompt as the labels to choose from."""
ROWS_A_LABEL = 5
"""Rows that a label needs, on average, to be a label and not an answer of its own."""
ROWS_AT_LEAST = 3
"""Rows that a label needs, on average, to be told from an answer of its own where it cannot be listed."""
LONGEST_LABEL = 60
MOST_LISTED = 600
"""Characters of all labels together up to which longer ones can be listed too."""
FREE = 120
"""Characters of an answer beyond which (in the median) no comparison of texts says whether it is right."""
_OF_LABELS = {plainly(x) for x in ("label", "labels", "class", "category", "intent", "sentiment", "tag", "topic",
              "section", "标签", "类别", "分类",
              "etiqueta", "categoria", "kategorie", "klasse", "etiquette", "categorie",
              "etichetta", "метка", "класс", "категория", "etiket", "ラベル", "라벨")}  # fmt: skip
_LETTER = re.compile(r"\(?([A-Z])\)?\.?")
_LATEX = re.compile(r"\\[a-z]+|\^|\$[^$]+(?!(?<=\s)\$\d)\$")
MOSTLY = 0.9
"""Share of gold answers that are mathematics from which a file is of formulas, though some answers are words."""
IN_LATEX = 0.1
"""And of those that are in LaTeX: "7-4" may be a score, and "K-9" a dog."""
_CODE = re.compile(
    r"^[^\S\n]*(?:def |class |import |from \w+ import |#include|function |public )"
    r"|^[ \t]+return\b(?=[^\n]*(?:\w\[|\w\((?!s\))|[ \t](?:[+*%<>]|[=!<>]=)[ \t]\w))[^\n]*[ \t]*$",
    re.MULTILINE,
)
"""A line that begins as one of a program does, and no verse or step: "  for the road", "  return to step 2"."""
_BLOCK = re.compile(
    r"^[ \t]+(?:(?:if|while)\b[^\n]*[:{]|for\b(?:[ \t(]+\w+\)?(?:,[ \t(]*\w+\)?)* in |[ \t]*\()[^\n]*[:{])[ \t]*$",
    re.MULTILINE,
)
"""A line that begins a block of a program, and may be one of a verse: "  while stars are falling:"."""
_SIGN = re.compile(
    r"=|[{}]|\w\[|\b(?:if|while|for)[ \t]*\(|\w\((?!s\))"
    r"|^[ \t]+(?:(?:return|yield)\b[ \t]*\S*|(?:pass|break|continue);?)[ \t]*$",
    re.MULTILINE,
)
"""What a program has beside such a line: an assignment, a call, a result, an end."""
_SQL = re.compile(
    r"\s*(?:SELECT\b(?:\s+(?:\*|DISTINCT\b)|.*?\b(?:FROM|from)\b)|WITH\s+\w+\s+AS\s*\("
    r"|select\s+(?:distinct\b|\*|[\w.\"`]+\s*(?:[,(].*?\bfrom\b|from\b)))",
    re.DOTALL,
)
"""How a query begins, and no sentence: "select river, garden", "SELECT button"."""
_CJK = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]")


@dataclass(frozen=True)
class OfKind:
    """A kind of answer, why it was taken, and the labels where it is choosing among labels."""

    kind: Kind
    why: str
    labels: tuple[str, ...] = ()
    copied: bool = False
    """Whether most answers are a piece of their question."""
    unnamed: str = ""
    """What has to be said of labels that are numbers."""
    said: Kind | None = None
    """What the rows would have been taken for, where the user said another kind."""


def kind_of(questions: Sequence[str], golds: Sequence[str], column: str, said: Kind | None = None) -> OfKind:
    """The kind of these answers. ``column`` is what their column is called: "label" makes numbers labels."""
    golds = [visible(g) for g in golds]
    found = replace(_found(questions, golds, column), unnamed=_unnamed(golds, column))
    if said is None or said == found.kind:
        return found
    labels = _labels(golds) if said == "classify" else ()
    return OfKind(said, "you said so", labels, found.copied, found.unnamed, found.kind)


def _unnamed(golds: Sequence[str], column: str) -> str:
    """What has to be said where the labels are numbers: they can be learned, and not be understood."""
    distinct = sorted(set(golds))
    if plainly(column) not in {*_OF_LABELS, "classindex"} or len(golds) < ROWS_AT_LEAST * len(distinct):
        return ""
    if len(distinct) < 2 or not all(re.fullmatch(r"\d{1,3}", g) for g in distinct):
        return ""
    listed = ", ".join(sorted(distinct, key=int)[:4]) + (", ..." if len(distinct) > 4 else "")
    return f"what the labels {listed} stand for no row says: with their names in {column!r} a model knows more"


def _found(questions: Sequence[str], golds: Sequence[str], column: str) -> OfKind:
    distinct = Counter(g.strip() for g in golds)
    listed = max(map(len, distinct)) <= LONGEST_LABEL or _are_long_labels(distinct)
    few = 2 <= len(distinct) <= MOST_LABELS and len(golds) >= ROWS_A_LABEL * len(distinct) and listed
    named = plainly(column) in _OF_LABELS
    last = _last_letter(list(distinct), questions)
    if last and (not few or not named or _options_in(questions)):
        return OfKind("choice", f"every gold answer is one letter from A to {last}")
    numbers = all(is_number(g) or is_money(g) for g in distinct)
    if few and (named or not numbers or set(distinct) <= {"0", "1"}):
        labels = _labels(golds)
        return OfKind("classify", f"{len(golds)} rows have {len(distinct)} distinct answers", labels)
    if numbers:
        money = not all(map(is_number, distinct))
        return OfKind("number", f"every gold answer is a number{' or an amount of money' if money else ''}")
    if formulas(list(distinct)):
        units = all(is_number(g) or is_amount(g) for g in distinct)
        return OfKind("number", f"the gold answers are {'numbers with a unit' if units else 'formulas'}")
    if sum(map(_is_program, golds)) > len(golds) / 2:
        return OfKind("code", "most gold answers are programs")
    if sum(bool(_SQL.match(g)) for g in golds) > len(golds) / 2:
        return OfKind("code", "most gold answers are queries in SQL")
    if len(golds) > 1 == len(distinct):
        return OfKind("extract", "every row has the same answer: there is nothing to learn")
    many = len(distinct) > MOST_LABELS and _repeat(distinct, len(golds))
    if median(map(len, golds)) > FREE and not many:
        return OfKind("free", f"half of the gold answers have more than {FREE} characters")
    inside = sum(g.strip().casefold() in q.casefold() for q, g in zip(questions, golds, strict=True))
    share = inside / len(golds)
    if share >= 0.6:
        return OfKind("extract", f"{share:.0%} of the gold answers stand in their question", copied=True)
    if many:
        too_many = f"{len(distinct)} labels, which are too many to list: {MOST_LABELS} at most"
        return OfKind("extract", f"{len(golds)} rows have {too_many}")
    each = "each another" if len(distinct) == len(golds) else f"{len(distinct)} different ones in {len(golds)} rows"
    return OfKind("extract", f"the gold answers are short texts, {each}")


def _is_program(gold: str) -> bool:
    """Whether this is a program: of a line that may begin a block or be a verse, something else must say so too."""
    return bool(_CODE.search(gold) or (_BLOCK.search(gold) and _SIGN.search(gold)))


def _are_long_labels(distinct: Counter[str]) -> bool:
    """Whether these are few sentences that come again and again, and are short enough to be listed together."""
    return sum(map(len, distinct)) <= MOST_LISTED and _repeat(distinct, distinct.total())


def _repeat(distinct: Counter[str], rows: int) -> bool:
    """Whether most answers are those of several rows, as labels are."""
    return rows >= ROWS_AT_LEAST * len(distinct) and 2 * sum(n > 1 for n in distinct.values()) > len(distinct)


def formulas(golds: Sequence[str]) -> bool:
    """Whether these are formulas: all are numbers or LaTeX, or nearly all are mathematics and some of it is LaTeX. A
    file of formulas has plain ones too ("x = 5"), and here and there a word ("even")."""
    latex = [g for g in golds if _LATEX.search(g)]
    plain = [g for g in golds if not _LATEX.search(g)]
    if latex and all(map(is_number, plain)):
        return True
    read = len(latex) + sum(is_number(g) or is_amount(g) or algebra(g) is not None for g in plain)
    return read >= MOSTLY * len(golds) and len(latex) >= IN_LATEX * len(golds)


def _last_letter(golds: Sequence[str], questions: Sequence[str]) -> str:
    """The last of the letters that all of these are, J at least; "" where one is no letter, or they are no options:
    "M" and "F" are letters too, and so are the sizes S and L."""
    found = [m[1] for g in golds if (m := _LETTER.fullmatch(g))]
    if len(found) < len(golds) or not found:
        return ""
    last = max("J", *found)
    if last == "J":
        return last
    runs_through = "A" in found and len(set(found)) >= 0.6 * (ord(last) - ord("A") + 1)
    return last if runs_through or _options_in(questions) else ""


def _labels(golds: Sequence[str]) -> tuple[str, ...]:
    """The distinct answers; of two that differ in case alone, the one that more rows have."""
    often = Counter(g.strip() for g in golds if g.strip())
    spelled = {g.casefold(): g for g, _ in reversed(often.most_common())}
    return tuple(sorted(spelled.values()))


def _options_in(questions: Sequence[str]) -> bool:
    """Whether the options that letters stand for are in most questions."""
    shown = sum(bool(re.search(r"(?:^|[\s(])A[.):]", q)) for q in questions)
    return shown > len(questions) / 2


def chinese(texts: Sequence[str]) -> bool:
    """Whether most of what these texts say is in Chinese (or Japanese) characters."""
    letters = sum(c.isalpha() for t in texts for c in t)
    return letters > 0 and sum(len(_CJK.findall(t)) for t in texts) > letters / 2
