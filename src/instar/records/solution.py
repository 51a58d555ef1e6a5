"""An attempt at a task, turn by turn: who wrote what, and what of it may be learned."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field

from instar.dialogue import Finish, Said, Sampling
from instar.records.record import Record


class TurnKind(StrEnum):
    """Who or what wrote a turn."""

    assistant = "assistant"
    tool_call = "tool_call"
    tool_result = "tool_result"
    partner = "partner"
    draft = "draft"
    """An earlier answer that the solution replaces."""
    critique = "critique"
    """What was said of a draft: by the model, a tool or a test."""


OWN = frozenset({TurnKind.assistant, TurnKind.tool_call, TurnKind.draft, TurnKind.critique})
"""What a model writes: what may be trained on, if its turn says so."""
ASIDES = frozenset({TurnKind.draft, TurnKind.critique})
"""How an answer was come by: kept to be read, no part of its text, and left out of training, where the task is answered
as if there had been no draft. Only with ``train`` is such a turn part of the conversation that is learned."""


class Turn(BaseModel):
    """One typed turn of a solution. Only turns with ``train`` may be trained on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: TurnKind = TurnKind.assistant
    text: str
    token_ids: tuple[int, ...] | None = None
    train: bool = True
    said: Said | None = Field(default=None, exclude=True, repr=False)
    """Where a model said it; None where none did, and where that is not known. It is no part of any digest, nor of what
    makes two turns equal: equal samples stay equal. The ledger keeps it beside the record."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Turn) and self._what() == other._what()

    def __hash__(self) -> int:
        return hash(self._what())

    def _what(self) -> tuple[object, ...]:
        return self.kind, self.text, self.token_ids, self.train


class Strategy(StrEnum):
    """How a solution was come by (the survey's four)."""

    rationale = "rationale"
    interactive = "interactive"
    self_play = "self-play"
    grounded = "grounded"


class Polarity(StrEnum):
    """What a solution was *meant* to be when it was made."""

    right = "right"
    wrong = "wrong"
    unknown = "unknown"


class Solution(Record):
    """One attempt at a task."""

    kind: ClassVar[str] = "solution"

    task: str
    turns: tuple[Turn, ...]
    policy: str
    engine: str
    precision: str
    sampling: Sampling
    finish: Finish
    strategy: Strategy = Strategy.rationale
    polarity: Polarity = Polarity.unknown
    memories: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    """What else must be known of how it was come by: "rationalised" (the gold answer was shown as a hint)."""
    prompt_tokens: int = 0
    tokens: int = 0
    """Tokens written to get it; a correction counts its critiques and rewrites, not the solution it began with."""

    def content(self) -> dict[str, Any]:
        """As every record's; without flags there is no such entry, as in solutions stored before flags existed."""
        content = super().content()
        if not self.flags:
            del content["flags"]
        return content

    @property
    def text(self) -> str:
        """What the model itself wrote, turns joined by a newline."""
        return "\n".join(t.text for t in self.turns if t.kind in (TurnKind.assistant, TurnKind.tool_call))
