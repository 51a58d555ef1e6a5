"""Whether two answers say the same: by value where they are numbers, by their letters where they are words."""

from __future__ import annotations

import re
import unicodedata

from instar.extract.choices import letters
from instar.extract.numbers import number
from instar.extract.quantities import quantity
from instar.extract.reading import extract
from instar.extract.writing import plainly


def says(reply: str, gold: str) -> bool:
    """Whether the answer in a whole reply says what ``gold`` says: what ``auto`` does, for a check of one's own."""
    answer = extract(reply, "auto", gold)
    return answer is not None and same(answer, gold)


def same(answer: str, gold: str) -> bool:
    """Whether an answer says what ``gold`` says. Equal but for case and spaces; numbers, with units too, by value;
    option letters in any order; lists item by item, sets in any order. Dates are not: their form is the task."""
    if plain_words(answer) == plain_words(gold):
        return True
    if re.fullmatch(r"\(?[A-Ja-j]\)?\.?", gold.strip()):
        return answer.strip(" ().").upper() == gold.strip(" ().").upper()
    wanted = number(gold)
    if wanted is not None:
        given = quantity(answer)
        if given is None:
            return number(answer) == wanted
        return given.value == wanted or (given.unit[:1] == ("%",) and given.value / 100 == wanted)
    if (several := letters(gold)) is not None:
        return letters(answer) == several
    if (counted := quantity(gold)) is not None:
        given = quantity(answer)
        return given is not None and given.says(counted)
    return _listed(answer, gold)


def plain_words(text: str) -> str:
    """NFKC, case folded, runs of whitespace made one space."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def _listed(answer: str, gold: str) -> bool:
    """Whether both are lists of the same things; a set in braces has no order."""
    wanted, given = _items(gold), _items(answer)
    if wanted is None or given is None or wanted[0] != given[0] or len(wanted[1]) != len(given[1]):
        return False
    if wanted[0] == "{}":
        return sorted(map(_item, wanted[1])) == sorted(map(_item, given[1]))
    return [_item(x) for x in wanted[1]] == [_item(x) for x in given[1]]


def _items(text: str) -> tuple[str, list[str]] | None:
    text = plainly(text).replace("\\{", "{").replace("\\}", "}").strip().rstrip(".")
    bracket = text[:1] + text[-1:] if text[:1] in tuple("([{") and text[-1:] in tuple(")]}") else ""
    inner = text[1:-1] if bracket else text
    if re.fullmatch(r"-?\d+(?:\.\d+)?(?: +-?\d+(?:\.\d+)?)+", inner.strip()):
        return bracket, inner.split()
    if re.search(r"[\[\](){}]", inner) or not re.search(r"[,;、]|\s+and\s+", inner):
        return None
    return bracket, [x.strip(" \"'") for x in re.split(r"[,;、]\s*(?:and\s)?|\s+and\s+", inner)]


def _item(text: str) -> str:
    found = number(text)
    return plain_words(text) if found is None else str(found)
