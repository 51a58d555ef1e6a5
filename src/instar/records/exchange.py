"""One finished model call: what was asked, of whom, what came back. The journal of a run is its exchanges."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from instar.dialogue import Message, Prompt, Reply, Sampling
from instar.hashing import hash_of
from instar.records.record import Record

SELF = "self"
"""The role of the policy that evolves."""


def ask_key(call: str, turn: int, role: str = SELF, branch: str = "") -> str:
    """The key of one ask inside a call; turns count from 0 in the order asked, for each role and branch on its own."""
    if branch:
        return hash_of("ask", call, turn, role, branch)
    return hash_of("ask", call, turn) if role == SELF else hash_of("ask", call, turn, role)


def border_key(call: str, kind: str, n: int, branch: str = "") -> str:
    """The key of what a call does beyond asking models; each kind is counted from 0 on its own, in each branch, so that
    none shifts another, nor the seed of an ask."""
    return hash_of("border", call, branch, kind, n) if branch else hash_of("border", call, kind, n)


def ask_hash(messages: Sequence[Message], n: int, sampling: Sampling, policy: str, precision: str) -> str:
    """What was asked, in short: a journalled reply answers the same question and no other. Frozen by a law.

    Tools that may be called are a part of their own, only where there are any."""
    said = [m.model_dump(mode="json", exclude={"tools"}) for m in messages]
    tools = [t.model_dump(mode="json") for m in messages for t in m.tools]
    more = [{"tools": hash_of("tools", tools)}] if tools else []
    return hash_of("asked", said, n, sampling.model_dump(mode="json"), policy, precision, *more)


def seed_of(key: str) -> int:
    """A seed of 31 bits from a key: small enough for every engine."""
    return int(key.rsplit(":", 1)[1][:8], 16) & 0x7FFFFFFF


class Exchange(Record):
    """One finished model call. Its id is the key of its ask in the journal, where it is kept.

    None is "not known": ledgers of schema 1 kept neither what was shown nor how it was sampled, and an engine that has
    its prompts rendered elsewhere does not know their tokens.
    """

    kind: ClassVar[str] = "exchange"

    call: str
    turn: int
    """The how-many-th ask of its call, from 0, of its role and branch."""
    ask: str
    """``ask_hash`` of what was asked."""
    policy: str
    engine: str
    precision: str
    replies: tuple[Reply, ...]
    role: str | None = None
    """Who was asked: ``self`` for the policy that evolves."""
    messages: tuple[Message, ...] | None = None
    sampling: Sampling | None = None
    seed: int | None = None
    weights: str | None = None
    """The digest of the weights that answered."""
    prompt: Prompt | None = None
    branch: str | None = None
    """Which of the ways of its call that go on side by side it is of; None for the one there is without any."""

    def content(self) -> dict[str, Any]:
        """As every record's; in no branch there is no such entry, as before there were any."""
        content = super().content()
        if self.branch is None:
            del content["branch"]
        return content
