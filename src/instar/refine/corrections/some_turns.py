"""A few turns of a dialogue to learn from, drawn by lot: of the one who had the task, or of the other.

Paper: Tu et al., *Towards Conversational Diagnostic AI* (AMIE), arXiv 2401.05654, on fine-tuning: of each dialogue
three random turns of each role, on average, are targets, those of at least 30 characters. Departure: ``shortest`` is 1,
for the questions and answers of a small model are short.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import ClassVar, Literal

from pydantic import Field

from instar.protocols import Correct, Models
from instar.records import Experience, Solution, Turn, TurnKind

OTHER_SIDE = "other_side"
"""The flag of a dialogue as the partner saw it: what is learned of it are the partner's words."""
_TURNED = {TurnKind.assistant: TurnKind.partner, TurnKind.partner: TurnKind.assistant}


class SomeTurns(Correct):
    """The dialogue with at most ``each`` of its turns to be learned, drawn by ``seed`` from those that have so many
    characters (``shortest``). What was said beside it (notes, drafts, comments) is left out: each turn is learned under
    the plain prompt of the experience's task and the dialogue before it.

    ``side`` "partner": the dialogue is turned round, flagged "other_side", and the turns are the partner's; hand it the
    task as the partner was shown it. What it said that is not so (``untrue`` in the feedback's evidence, places of
    turns) is not learned.

    It asks no model. A dialogue without a turn to learn gives nothing.
    """

    name: ClassVar[str] = "some_turns"

    side: Literal["own", "partner"] = "own"
    each: int = Field(default=3, ge=1)
    shortest: int = Field(default=1, ge=1)
    seed: int = 0

    async def __call__(self, experience: Experience, models: Models) -> Sequence[Solution]:
        solution = experience.solution
        chosen = self._chosen(experience)
        if not chosen:
            return []
        turns = tuple(self._turn(t, i in chosen) for i, t in enumerate(solution.turns) if t.kind in _TURNED)
        flags = solution.flags if self.side == "own" else (*solution.flags, OTHER_SIDE)
        return [solution.model_copy(update={"id": "", "task": experience.task.id, "turns": turns, "flags": flags})]

    def _turn(self, turn: Turn, train: bool) -> Turn:
        kind = turn.kind if self.side == "own" else _TURNED[turn.kind]
        # where it was said is left out: there it may have been said under comments, which are not to be learned
        return turn.model_copy(update={"kind": kind, "train": train, "said": None})

    def _chosen(self, experience: Experience) -> frozenset[int]:
        """The places of the turns to learn."""
        solution, said = experience.solution, experience.feedback
        untrue = () if said is None else said.evidence.get("untrue", ())
        wanted = TurnKind.assistant if self.side == "own" else TurnKind.partner
        fit = [
            i
            for i, t in enumerate(solution.turns)
            if t.kind is wanted
            and len(t.text.strip()) >= self.shortest
            and (t.train if self.side == "own" else i not in untrue)
        ]
        luck = random.Random(f"{self.seed}|{self.side}|{solution.id}")
        return frozenset(luck.sample(fit, min(self.each, len(fit))))
