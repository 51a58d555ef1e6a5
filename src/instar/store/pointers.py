"""Where the turns of a solution were said, as the ledger keeps it: beside the record, for it is no part of its content.

A list ``[turn, exchange, reply, characters, 1 if plainly]`` a turn, without what stands at its default at the end. The
exchange is its id; of an ask of the record's own call, to the policy that evolves, it is the ask's number.

Of a turn that is a whole reply the words may be left to the exchange: the number of characters is then ``LEFT``, and
the body has neither text nor tokens. They are filled in whenever a record is read, before anything asks for its digest.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from functools import lru_cache
from typing import Any

from instar.records import Learn, Record, Said, Solution, canonical_json
from instar.records.exchange import ask_key

OWN = 64
"""Asks of the record's own call that are named by their number: of most calls that is all there are."""
LEFT = -1
"""In the place of the number of characters: all of the reply, and what it says stands there alone."""


def pointers_of(record: Record, call: str, left: Collection[int] = ()) -> str | None:
    """The pointers of a record that this call made; None where it has none."""
    if not isinstance(record, Solution):
        return None
    found = [_written(place, t.said, call, place in left) for place, t in enumerate(record.turns) if t.said is not None]
    return canonical_json(found) if found else None


def without(record: Record, left: Collection[int]) -> Record:
    """A solution without what these of its turns say."""
    if not left or not isinstance(record, Solution):
        return record
    bare = {"text": "", "token_ids": None}
    turns = tuple(t.model_copy(update=bare) if i in left else t for i, t in enumerate(record.turns))
    return record.model_copy(update={"turns": turns})


def with_id(record: Record, id: str) -> Record:
    """A record that was just read with its id, which its row has: the body of a brief one has none."""
    if not record.id:
        record.__dict__["id"] = id
    return record


def left_to(pointers: str | None, call: str) -> dict[int, Said]:
    """The turns whose words are left to an exchange, with that."""
    if pointers is None or str(LEFT) not in pointers:
        return {}
    places = {entry[0] for entry in json.loads(pointers) if len(entry) > 3 and entry[3] == LEFT}
    return {place: said for place, said in read(pointers, call).items() if place in places}


def with_pointers(record: Record, pointers: str | None, call: str, replies: Mapping[str, Any]) -> Record:
    """A record as it was, whose pointers lay beside it. It was just read, and nobody else has it: it is filled in, not
    copied, which a resume of a hundred thousand answers would wait for. Where an exchange is not among the ``replies``
    its words stay away, and the digest is another."""
    if pointers is not None and isinstance(record, Solution):
        said, left = read(pointers, call), left_to(pointers, call)
        for place, turn in enumerate(record.turns):
            if place in said:
                turn.__dict__["said"] = said[place]
            given = replies.get(left[place].exchange, ()) if place in left else ()
            if place in left and left[place].reply < len(given):
                reply = given[left[place].reply]
                ids = reply["token_ids"]
                turn.__dict__.update(text=reply["text"], token_ids=None if ids is None else tuple(ids))
    return record


def read(pointers: str, call: str) -> dict[int, Said]:
    """The place of each turn to where it was said. Raises ValueError for what is no such list."""
    found: dict[int, Said] = {}
    for entry in json.loads(pointers):
        place, exchange, reply, chars, learn = [*entry, *[None] * 5][:5]
        chars = None if chars == LEFT else chars
        if type(place) is not int or place in found or learn not in (None, 1) or len(entry) > 5:
            raise ValueError(f"{entry!r:.80} is no pointer")
        key = _own(call, exchange) if type(exchange) is int else exchange
        how = Learn.as_asked if learn is None else Learn.plainly
        found[place] = Said(exchange=key, reply=reply, chars=chars, learn=how)
    return found


@lru_cache(maxsize=4096)
def _own(call: str, turn: int) -> str:
    """The exchange that is this ask of a call: what a call made lies together, and mostly was one ask."""
    return ask_key(call, turn)


def _written(place: int, said: Said, call: str, left: bool) -> list[Any]:
    where = next((n for n in range(OWN) if _own(call, n) == said.exchange), said.exchange)
    whole = [place, where, said.reply, LEFT if left else said.chars, 1 if said.learn is Learn.plainly else None]
    while whole[-1] is None:
        whole.pop()
    return whole
