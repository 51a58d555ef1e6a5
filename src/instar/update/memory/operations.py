"""What a model may do to a list of insights, read strictly from its reply: ADD, EDIT, AGREE and REMOVE (ExpeL).

A line is one operation or nothing. What cannot be read is counted with its reason, and never guessed at.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal, NamedTuple, cast

Kind = Literal["ADD", "EDIT", "AGREE", "REMOVE"]
ORDER: tuple[Kind, ...] = ("REMOVE", "AGREE", "EDIT", "ADD")
"""In which they are applied, as in ExpeL's code: what is removed is not edited."""
_LINE = re.compile(r"(ADD|EDIT|AGREE|REMOVE)(?: (\d{1,3}))?: ?(.*)")
SHORTEST = 8
"""Characters: what is shorter is no insight."""


class Operation(NamedTuple):
    """One change of a list. ``number`` counts from 1 in the list that was shown; None of ADD, which has none."""

    kind: Kind
    number: int | None
    text: str


def read(reply: str, *, shown: int, most: int, longest: int) -> tuple[list[Operation], list[str]]:
    """The operations of a reply to a list of ``shown`` insights, in the order in which they are applied, and a reason
    for each line that is none. At most ``most`` are read, the first ones; a text has at most ``longest`` characters."""
    found: list[Operation] = []
    unread: list[str] = []
    for made in _lines(reply, shown, longest):
        if isinstance(made, str):
            unread.append(made)
        elif len(found) == most:
            unread.append(f"it is more than {most} operations")
        else:
            found.append(made)
    return sorted(found, key=lambda o: ORDER.index(o.kind)), unread


def whole_lines(reply: str) -> str:
    """A cut reply without the line that it was cut in."""
    return reply.rpartition("\n")[0]


def _lines(reply: str, shown: int, longest: int) -> Iterator[Operation | str]:
    for line in filter(None, map(str.strip, reply.splitlines())):
        m = _LINE.fullmatch(line)
        if m is None:
            yield "the line is no operation"
            continue
        kind, text = cast(Kind, m[1]), " ".join(m[3].split())
        number = None if m[2] is None else int(m[2])
        if (kind == "ADD") is not (number is None):
            yield f"{kind} {'without a number' if number is None else 'with a number'}"
        elif number is not None and not 1 <= number <= shown:
            yield f"{kind} of an insight that is not in the list"
        elif kind in ("AGREE", "REMOVE"):
            yield Operation(kind, number, "")
        elif not SHORTEST <= len(text) <= longest:
            yield f"{kind} of a text that is not of {SHORTEST} to {longest} characters"
        elif not text.isprintable() or "<<<" in text or ">>>" in text:
            yield f"{kind} of a text with marks or signs that cannot be shown"
        else:
            yield Operation(kind, number, text)
