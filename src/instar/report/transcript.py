"""An episode as a transcript: who said what, in which role, what was seen, and what was taken back."""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any

from instar.records import Solution, Turn, TurnKind
from instar.records.exchange import SELF
from instar.store.ledger import Ledger
from instar.store.readers.exchanges import roles

TEXT = 2000
"""Characters of a text shown at most; a cut is marked."""
WHO = {
    TurnKind.assistant: "model",
    TurnKind.tool_call: "call",
    TurnKind.tool_result: "seen",
    TurnKind.partner: "partner",
    TurnKind.draft: "draft",
    TurnKind.critique: "critique",
}
"""Who speaks in a turn of which no role is known, or that "self" said."""


def transcripts(ledger: Ledger, ids: Collection[str]) -> dict[str, list[dict[str, Any]]]:
    """Of each of these solutions that has several turns, its turns in order: ``who`` (the role that was asked, else
    what kind of turn it is), ``kind``, ``text`` and whether it may be learned (``train``)."""
    found = [s for s in ledger.records(ids=list(ids)) if isinstance(s, Solution) and len(s.turns) > 1]
    asked = roles(ledger, {t.said.exchange for s in found for t in s.turns if t.said is not None})
    return {s.id: [_turn(t, asked) for t in s.turns] for s in found}


def _turn(turn: Turn, asked: dict[str, str]) -> dict[str, Any]:
    role = asked.get(turn.said.exchange, SELF) if turn.said is not None else SELF
    who = WHO[turn.kind] if role == SELF else role
    if role != SELF and turn.kind is TurnKind.draft:
        who = f"{role}, taken back"
    return {"who": who, "kind": turn.kind.value, "text": cut(turn.text), "train": turn.train}


def several(turns: str) -> bool:
    """Whether the turns of a solution (JSON) are more than one."""
    return len(json.loads(turns)) > 1


def cut(text: str, limit: int = TEXT) -> str:
    """At most ``limit`` characters, and how many more there are."""
    return text if len(text) <= limit else f"{text[:limit]} … ({len(text) - limit:,} characters more)"
