"""Find the answer in what a model wrote. The text is untrusted: only its end is read, and no pattern backtracks far."""

from __future__ import annotations

import re
from typing import Literal, get_args

How = Literal["auto", "answer_line", "last_number", "choice", "text"]
HOWS: tuple[str, ...] = get_args(How)

LOOK_AT = 4_000
"""Characters, counted from the end, that are looked at; as many more as the gold answer has."""

_STRICT = re.compile(r"(?:\banswer\b\*{0,2}[ \t]{0,4}[:=]|####|<answer>)\*{0,2}[ \t]{0,4}", re.IGNORECASE)
_LOOSE = re.compile(r"\banswer is\b[*: \t]{0,4}", re.IGNORECASE)
_NUMBER = re.compile(
    r"(?:(?<![\w.)\]}])[-+])?(?<![\w.])"  # a sign after a digit or a bracket is an operator
    r"(?:[0-9]{1,3}(?:,[0-9]{3})+(?![0-9])|[0-9]+|(?=\.[0-9]))"
    r"(?:\.[0-9]+)?(?:[eE][-+]?[0-9]{1,3}(?![\w.]))?"
    r"(?:[ ]?/[ ]?[0-9]+(?![0-9./]))?"
)
_WHOLE_NUMBER = re.compile(r"[-+]?(?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9]*)(?:\.[0-9]+|(?<=[0-9]))(?:[ ]?/[ ]?[0-9]+)?")
_LETTER_FIRST = re.compile(r"[\s(\[*\"'{<]{0,6}([A-Ja-j])(?![\w'])")
_LETTER_LINE = re.compile(r"^[\s(\[*]{0,6}([A-J])[)\].:*]", re.MULTILINE)
_LETTER_ANYWHERE = re.compile(r"\(([A-J])\)")
_TRAILING = ".,;:!"
_DECORATION = "*_`$\"' \t\r\n"


def extract(reply: str, how: How, gold: str | None = None) -> str | None:
    """The answer in a reply, or None if there is none.

    how:
        ``answer_line``: what follows the last "Answer:" on its line (also "The answer is", "####", "<answer>").
        ``last_number``: the last number; thousands commas and a plus sign are removed, "3 / 4" becomes "3/4".
        ``choice``: one option letter A-J, upper case.
        ``text``: the whole reply without surrounding white space.
        ``auto``: a marker wins if there is one, otherwise the last number. Only the *kind* of ``gold`` matters, never
            its value: where gold is a number, a number is taken; where it is one letter, a letter; where it has
            several lines (or is "", which says that any shape will do), all that follows the marker; where it is
            other text and there is no marker, the whole reply.
    """
    text = reply[-(LOOK_AT + len(gold or "")) :].replace("−", "-")  # noqa: RUF001 - the true minus sign
    if not text.strip():
        return None
    if how == "text":
        return text.strip()
    if how == "last_number":
        return _last_number(text)
    if how == "choice":
        return _choice(text)
    marked = _marked(text)
    if how == "answer_line":
        return _clean(marked, gold) if marked is not None else None
    return _auto(text, marked, gold)


def is_number(text: str) -> bool:
    """Whether a text is one number and nothing else: "1,234", "-0.5", "3/4"."""
    return len(text) <= LOOK_AT and _WHOLE_NUMBER.fullmatch(text.strip()) is not None


def _auto(text: str, marked: str | None, gold: str | None) -> str | None:
    if gold is not None and not is_number(gold):
        if re.fullmatch(r"[A-J]", gold.strip()):
            letter = _choice(text)
            if letter is not None:
                return letter
        if "\n" in gold.strip() or not gold.strip():
            after = _after_marker(text)
            return (after.replace("</answer>", "") if after is not None else text).strip() or None
        return _clean(text if marked is None else marked, gold)
    if marked is None:
        return _last_number(text)
    # a marker wins: with an equation after it the result, otherwise the number that is named first
    number = _last_number(marked.rpartition("=")[2]) if "=" in marked else _first_number(marked)
    if gold is None and number is not None and re.search(r"[^\W\d_]{3}.*[^\W\d_]{3}", marked):
        return _clean(marked, gold)  # nothing says that a number is wanted, and this is a sentence
    return number if number is not None else _clean(marked, gold)


def _after_marker(text: str) -> str | None:
    """All that follows the last marker that something follows; an explicit "Answer:" outranks "the answer is"."""
    for pattern in (_STRICT, _LOOSE):
        for match in reversed(list(pattern.finditer(text))):
            rest = text[match.end() :]
            if rest.strip(_DECORATION + _TRAILING):
                return rest
    return None


def _marked(text: str) -> str | None:
    """The first line with anything on it after the last marker."""
    after = _after_marker(text)
    if after is None:
        return None
    line = next(line for line in after.splitlines() if line.strip(_DECORATION + _TRAILING))
    return line.partition("</answer>")[0]


def _clean(text: str, gold: str | None) -> str | None:
    """Without the decoration and the full stop that models add; what gold itself begins or ends with is left."""
    text = text.strip()
    like = (gold or "").strip()
    if like[-1:] not in tuple(_TRAILING):
        text = text.rstrip(_TRAILING)
    if like[:1] not in tuple(_DECORATION) and like[-1:] not in tuple(_DECORATION):
        text = text.strip(_DECORATION)
        if like[-1:] not in tuple(_TRAILING):
            text = text.rstrip(_TRAILING)
    return text or None


def _first_number(text: str) -> str | None:
    match = _NUMBER.search(text)
    return _plain(match.group()) if match else None


def _last_number(text: str) -> str | None:
    found = list(_NUMBER.finditer(text))
    return _plain(found[-1].group()) if found else None


def _plain(number: str) -> str:
    return number.replace(",", "").replace(" ", "").lstrip("+")


def _choice(text: str) -> str | None:
    marked = _marked(text)
    if marked is not None:
        match = _LETTER_FIRST.match(marked)
        # "a dog" is not option A: a small letter counts only when nothing or punctuation follows
        if match and (match.group(1).isupper() or not re.match(r"\s*\w", marked[match.end() :])):
            return match.group(1).upper()
    alone = re.fullmatch(r"[\s(\[*]{0,6}([A-Ja-j])[\s)\].:*]{0,6}", text)
    if alone:
        return alone.group(1).upper()
    for pattern in (_LETTER_ANYWHERE, _LETTER_LINE):
        found = pattern.findall(text)
        if found:
            return str(found[-1])
    return None
