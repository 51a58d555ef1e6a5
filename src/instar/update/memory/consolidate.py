"""What was answered with something in sight, learned without it: from memory into the weights.

Answers that were sampled with examples or notes before the question are trained on under the plain prompt, so that the
weights come to give them alone. Context distillation (Snell et al., arXiv 2209.15189; Askell et al., arXiv 2112.00861,
section 2) on samples: its teacher is the same model with more in its prompt. AgentEvolver (arXiv 2511.10395) strips
the recalled experience from its training samples in the same way. Departure: only answers that a verifier called right.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from instar.errors import DataError
from instar.protocols import Update, UpdateContext
from instar.records import OWN, Experience, Learn, Learned, Mark, Policy, Solution
from instar.update.weights.sft import SFT


class Consolidate(Update):
    """Trains the policy's weights (``train``) on these answers, each as the answer to its task alone: without the notes
    that stood before it, and without the examples that the policy is shown. What comes back shows what the reference
    "plain" shows (without that reference: nothing) and remembers what the policy does; which notes it knows by itself
    now is for ``retire``.

    Raises DataError for an answer that no verifier called right, and as ``train`` does.
    """

    name: ClassVar[str] = "consolidate"

    train: Update = SFT()

    async def __call__(self, policy: Policy, data: Sequence[Experience], context: UpdateContext) -> Policy:
        for e in data:
            if e.feedback is None or e.feedback.mark is not Mark.right:
                raise DataError(
                    f"the answer {e.id} is {e.feedback.mark if e.feedback else 'unscored'}, and only right ones go "
                    "into the weights here.",
                    "Filter the answers first; where nothing checks them, nothing should be consolidated.",
                )
        plain = context.references.get("plain")
        shown = {"few_shots": plain.few_shots if plain is not None else (), "id": ""}
        rows = [e.model_copy(update={"solution": plainly(e.solution)}) for e in data]
        made = await self.train(policy.model_copy(update=shown).identified(), rows, context)
        if policy.weights.place == "scripted":  # a real one says what became a row
            context.learned(_turns(rows))
        return made.model_copy(update={"parent": policy.id, "made_by": self.name, "id": ""}).identified()


def plainly(solution: Solution) -> Solution:
    """The same answer, learned as if nothing but the task had been shown."""
    turns = tuple(
        t.model_copy(update={"said": t.said.model_copy(update={"learn": Learn.plainly})}) if t.train and t.said else t
        for t in solution.turns
    )
    return solution.model_copy(update={"turns": turns})


def _turns(data: Sequence[Experience]) -> list[Learned]:
    return [
        Learned(e.solution.id, n, Learn.plainly)
        for e in data
        for n, t in enumerate(e.solution.turns)
        if t.train and t.kind in OWN
    ]
