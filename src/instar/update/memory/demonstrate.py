"""Answers of its own as examples: shown before every question, as turns of a conversation. No weight changes.

In-context learning from self-made demonstrations, as in *Self-Generated In-Context Learning* (Kim et al., arXiv
2206.08082) and the bootstrapped demonstrations of DSPy (Khattab et al., arXiv 2310.03714, section 4). Here each one is
an answer that a verifier called right; which of them help is for a recipe to find out on dev (``demonstrations``).

Measured beforehand on a 135M model: as chat turns they help, as text inside the question they do not, and *which* one
matters more than how many (docs/recipes/demonstrations.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

from pydantic import Field

from instar.errors import DataError
from instar.protocols import Update, UpdateContext
from instar.records import Experience, Mark, Message, Policy, Role


class Demonstrate(Update):
    """Adds these answers, each after its task's own messages, to what the policy is shown first (``few_shots``), in the
    order that it is handed them. The weights stay, so nothing was learned from them in the sense of replay.

    ``marked``: what a verifier must have said of them: "right", or "wrong" for a control. ``most``: examples that one
    policy may come to; each makes every later prompt longer.

    Raises DataError for an answer that is marked otherwise or has no text, for one that is shown already, and beyond
    ``most``.
    """

    name: ClassVar[str] = "demonstrate"
    trains: ClassVar[bool] = False

    marked: Literal["right", "wrong"] = "right"
    most: int = Field(default=8, ge=1)

    async def __call__(self, policy: Policy, data: Sequence[Experience], context: UpdateContext) -> Policy:
        shots = list(policy.few_shots)
        for e in data:
            self._refuse(e)
            turns = turns_of(e)
            if _inside(turns, shots):
                raise DataError(f"the answer {e.id} is shown already.", "Give each example once.")
            shots += turns
        answers = sum(m.role is Role.assistant and not m.calls for m in shots)
        if answers > self.most:
            raise DataError(
                f"{answers} examples are more than the {self.most} that one policy may be shown.",
                "Fewer rounds, or a larger `most`; each example makes every prompt longer.",
            )
        context.learned(())
        changed = {"few_shots": tuple(shots), "parent": policy.id, "made_by": self.name, "id": ""}
        return policy.model_copy(update=changed).identified()

    def _refuse(self, e: Experience) -> None:
        mark = e.feedback.mark if e.feedback else Mark.unscored
        if mark.value != self.marked:
            raise DataError(
                f"the answer {e.id} is {mark.value}, and only {self.marked} ones are shown as examples here.",
                "Filter the answers first (right), or set marked.",
            )
        if not e.solution.text.strip():
            raise DataError(f"the answer {e.id} has no text to show.", "Drop empty answers first (keep).")


def turns_of(e: Experience) -> tuple[Message, ...]:
    """One example as a conversation shows it: the task's messages without its system prompt, then the answer."""
    asked = [m for m in e.task.messages if m.role is not Role.system]
    return (*asked, Message(role=Role.assistant, content=e.solution.text))


def _inside(turns: Sequence[Message], shots: Sequence[Message]) -> bool:
    return any(tuple(shots[i : i + len(turns)]) == tuple(turns) for i in range(len(shots)))
