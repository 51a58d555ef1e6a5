"""Whether two answers say the same: by value where they are numbers, by their letters where they are words."""

# ruff: noqa: RUF001 - look-alike signs are meant
from __future__ import annotations

import re
from typing import Any

from instar.extract.choices import letters
from instar.extract.numbers import number
from instar.extract.quantities import quantity
from instar.extract.reading import extract, json_in
from instar.extract.writing import INVISIBLE, algebra, plainly, without_spaces
from instar.legible import normal

_WRITTEN_ALSO = {
    **dict.fromkeys((*INVISIBLE, 0xFE0E, 0xFE0F)), **dict.fromkeys(map(ord, "’‘ʼ‛′"), "'"),
    **dict.fromkeys(map(ord, "“”„‟"), '"'), **dict.fromkeys(map(ord, "‐‑–"), "-"),
}  # fmt: skip
"""Quotation marks and hyphens that an editor puts for a keyboard's; what shows nothing; how an emoji is drawn."""


def says(reply: str, gold: str) -> bool:
    """Whether the answer in a whole reply says what ``gold`` says: what ``auto`` does, for a check of one's own."""
    answer = extract(reply, "auto", gold)
    return answer is not None and same(answer, gold)


def same(answer: str, gold: str) -> bool:
    """Whether an answer says what ``gold`` says. Equal but for case, spaces and kinds of quotation marks; numbers, with
    units too, by value; option letters in any order; lists item by item, sets in any order; JSON by what it holds;
    formulas without their spaces. Dates are not: their form is the task."""
    if plain_words(answer) == plain_words(gold):
        return True
    plain = plain_words(plainly(gold)).replace("^!", "!")
    if plain and plain_words(plainly(answer)).replace("^!", "!") == plain:
        return True
    if (held := json_in(gold)) is not None and (said := json_in(answer)) is not None and _same_json(said, held):
        return True
    if re.fullmatch(r"\(?[a-z]\)?\.?", plain):
        return plain_words(plainly(answer)).strip(" ().") == plain.strip(" ().")
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
    return _same_algebra(answer, gold) or _listed(answer, gold)


def plain_words(text: str) -> str:
    """NFKC, case folded, runs of whitespace made one space, quotation marks and hyphens those of a keyboard."""
    if not text.isascii():
        text = normal("NFKC", text.translate(_WRITTEN_ALSO))
    return " ".join(text.casefold().split())


def _same_json(answer: Any, gold: Any) -> bool:
    """Whether two values of JSON hold the same: objects in any order, numbers by value, texts as words."""
    if isinstance(gold, dict) and isinstance(answer, dict):
        said = {plain_words(k): v for k, v in answer.items()}
        wanted = {plain_words(k): v for k, v in gold.items()}
        if len(said) != len(answer) or len(wanted) != len(gold):  # two names that differ in case alone
            said, wanted = answer, gold
        return said.keys() == wanted.keys() and all(_same_json(said[k], v) for k, v in wanted.items())
    if isinstance(gold, list) and isinstance(answer, list):
        return len(answer) == len(gold) and all(map(_same_json, answer, gold))
    if isinstance(gold, str) and isinstance(answer, str):
        return plain_words(answer) == plain_words(gold)
    return isinstance(answer, bool) == isinstance(gold, bool) and bool(answer == gold)


def _same_algebra(answer: str, gold: str) -> bool:
    """Whether both are one formula but for spaces, "5" that of "x = 5"; or as many of them, parted by "or"."""
    wanted = algebra(gold)
    if wanted is None or len(answer) > 2 * len(gold) + 40:
        return False
    if without_spaces(plainly(answer).strip().rstrip(".")) == wanted or algebra(answer) == wanted:
        return True
    if re.search(r"\sor\s", gold):
        own = [_side(x) for x in re.split(r"\sor\s", gold)]
        given = [_side(x) for x in re.split(r"\sor\s|\sand\s|[,;]", answer)]
        names = {name for name, _ in own}
        return {x for _, x in own} == {x for _, x in given} and {name for name, _ in given} <= {*names, ""}
    (name, value), (said, given_value) = _side(gold), _side(answer)
    return bool(name) and said in (name, "") and given_value == value


def _side(text: str) -> tuple[str, str]:
    """What a formula says a letter is, and that letter with its sign: ("x=", "5"); without such, ("", the formula)."""
    plain = algebra(text) or without_spaces(plainly(text).strip().rstrip("."))
    sides = re.fullmatch(r"([^\W\d_](?:_\w{1,3})?(?:\([^\W\d_]\))?[=∈])([^=<>≤≥≠∈]+)", plain)
    name, value = sides.groups() if sides else ("", plain)
    found = number(value)
    return name, value if found is None else str(found)


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
