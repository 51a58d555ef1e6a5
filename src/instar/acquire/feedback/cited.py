"""Judge an answer with its citations: whether it is right, and which of the texts that it cites really say it.

Citation precision and recall after ALCE (Gao et al., arXiv 2305.14627, section 3), which asks an entailment model
whether a cited text supports a sentence. Departure: the task knows the passage that its answer was picked from, so
support is that passage and nothing has to be believed; precision and recall are of the reply's citations as a set.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from instar.acquire.documents.passages import holds
from instar.acquire.documents.showing import cited
from instar.protocols import Judge, Models
from instar.records import Feedback, Mark, Solution, Task

LONGEST = 4_000
"""Characters of a reply that are looked at."""


class Cited(Judge):
    """Right (score 1) is a reply in which the gold answer stands, none of the task's ``others`` does, and which cites
    the texts that say it (private ``cite``) and no other. A right answer with other citations has half the F1 of its
    citations as its score and is wrong; a wrong answer has 0, however well it cites.

    ``evidence`` has ``citation_precision`` and ``citation_recall`` (absent: nothing was cited), and what was cited.
    A task without ``cite`` cannot be judged: its verdict is invalid.
    """

    name: ClassVar[str] = "cited"

    async def __call__(self, task: Task, solutions: Sequence[Solution], models: Models) -> Sequence[Feedback]:
        return [self._judged(task, s) for s in solutions]

    def _judged(self, task: Task, solution: Solution) -> Feedback:
        answer, gold = task.private.get("answer"), task.private.get("cite")
        if answer is None or not isinstance(gold, Sequence):
            return Feedback(solution=solution.id, score=None, mark=Mark.invalid, source="verifier",
                            comment="the task does not say which text answers it")  # fmt: skip
        said, numbers = cited(solution.text[:LONGEST])
        right = holds(said, str(answer)) is not None
        right = right and not any(holds(said, str(o)) for o in task.private.get("others", ()))
        hits = len(set(numbers) & set(gold))
        precision = hits / len(numbers) if numbers else None
        recall = hits / len(gold) if gold else 0.0
        f1 = 2 * precision * recall / (precision + recall) if precision and recall else 0.0
        full = right and f1 == 1.0
        evidence = {"cited": numbers, "citation_recall": recall, "answer_right": right}
        if precision is not None:
            evidence["citation_precision"] = precision
        return Feedback(
            solution=solution.id, score=1.0 if full else f1 / 2 if right else 0.0,
            mark=Mark.right if full else Mark.wrong, source="verifier", answer=str(answer) if right else said[:200],
            comment="" if full else _why(right, precision, recall), evidence=evidence,
        )  # fmt: skip


def _why(right: bool, precision: float | None, recall: float) -> str:
    if not right:
        return "the answer is not the one that the text gives"
    if precision is None:
        return "it cites nothing"
    return f"citation precision {precision:.2f}, recall {recall:.2f}"
