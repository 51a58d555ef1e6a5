"""One correction under way: what the model is shown, what it wrote, what that cost, and the solution it ends with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from instar.answers import replies_of, turn_of
from instar.protocols import Model
from instar.records import Experience, Learn, Message, Reply, Role, Sampling, Solution, Turn, TurnKind

UNCHANGED = "unchanged"
"""The flag of a correction that ends with the very text it began with."""

UNRESOLVED = "unresolved"
"""The flag of a correction that ended without approval: the rounds ran out, or nothing could be checked."""

NO_EVIDENCE = "no_evidence"
"""The flag of a correction whose tool had nothing to say. That is not approval: it is always ``unresolved`` too."""


class Dialogue:
    """The conversation of one correction, with ``models["self"]``. It begins with the task and the draft.

    What is said is kept in order as turns: drafts and critiques, never trained on. Make the result with ``ended``.
    """

    def __init__(self, experience: Experience, model: Model) -> None:
        self.draft = experience.solution
        self.model = model
        self.latest = Candidate(experience.solution)
        self.candidates = [self.latest]
        self.shown = [*model.policy.prompt(experience.task), Message(role=Role.assistant, content=self.draft.text)]
        self.history: list[Turn] = [_aside(TurnKind.draft, self.draft.text)]
        self.prompt_tokens = 0
        self.tokens = 0

    async def ask(self, request: str, sampling: Sampling) -> Reply:
        """The reply to one more request. Request and reply stay in the conversation."""
        self.shown.append(Message(role=Role.user, content=request))
        (reply,) = await replies_of(self.model, tuple(self.shown), sampling)
        self.shown.append(Message(role=Role.assistant, content=reply.text))
        self.prompt_tokens += reply.prompt_tokens
        self.tokens += reply.tokens
        return reply

    async def critique(self, request: str, sampling: Sampling) -> str:
        """What the model says of the latest draft."""
        reply = await self.ask(request, sampling)
        self.history.append(turn_of(reply, kind=TurnKind.critique, train=False, token_ids=None))
        return reply.text

    async def rewrite(self, request: str, sampling: Sampling) -> Candidate:
        """The model's next draft. An empty one is noted but replaces nothing."""
        reply = await self.ask(request, sampling)
        self.history.append(turn_of(reply, kind=TurnKind.draft, train=False, token_ids=None))
        if reply.text.strip():
            self.latest = Candidate(self.draft, reply, sampling)
            self.candidates.append(self.latest)
        return self.latest

    def note(self, text: str) -> None:
        """Keep what a tool or a test said of the latest draft."""
        self.history.append(_aside(TurnKind.critique, text))

    def ended(self, answer: Candidate, *flags: str, **more: Any) -> Solution:
        """The solution that ends with this candidate: its text is the answer, all before it are asides."""
        same = (UNCHANGED,) if answer.text == self.draft.text else ()
        changed = {
            "id": "",
            "turns": (*self.history, answer.turn()),
            "flags": tuple(dict.fromkeys((*self.draft.flags, *same, *flags))),
            "prompt_tokens": self.prompt_tokens,
            "tokens": self.tokens,
        }
        return self.draft.model_copy(update={**answer.origin(), **changed, **more})


class Candidate:
    """A draft that may become the answer: the solution as it came, or a rewrite of it."""

    def __init__(self, draft: Solution, reply: Reply | None = None, sampling: Sampling | None = None) -> None:
        self._draft, self._reply, self._sampling = draft, reply, sampling
        self.text = draft.text if reply is None else reply.text
        self.score: float | None = None

    def turn(self) -> Turn:
        """The turn that holds the answer, and may be trained on."""
        if self._reply is not None:
            return turn_of(self._reply, learn=Learn.plainly)
        last: Sequence[Turn] = [t for t in self._draft.turns if t.kind is TurnKind.assistant]
        return last[0] if len(last) == 1 and last[0].text == self.text else Turn(text=self.text)

    def origin(self) -> dict[str, Any]:
        """Who really wrote it, and how, where that is not the draft's own."""
        if self._reply is None:
            return {}
        reply = self._reply
        return {
            "policy": reply.policy,
            "engine": reply.engine,
            "precision": reply.precision,
            "finish": reply.finish,
            "sampling": self._sampling,
        }


def _aside(kind: TurnKind, text: str) -> Turn:
    return Turn(kind=kind, text=text, train=False)
