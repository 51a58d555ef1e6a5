"""Judge an episode by the environment itself: its actions are played again, and the score is what comes of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from pydantic import Field

from instar.acquire.environments.floor import scored
from instar.acquire.environments.playing import Spoiled, played
from instar.acquire.solutions.play import SPOILED
from instar.protocols import Environment, Judge, Models, PlantedIn
from instar.records import Feedback, Mark, Solution, Task, TurnKind


class Outcome(Judge):
    """The score of each episode in ``environment``: 1 is right, less is wrong, and one that is not over in its turns
    has the last score that was said, or 0.

    The actions are played again and what is seen is compared with what the model saw. An episode that was spoiled (its
    environment hung, died, raised or said too much), and one that now goes otherwise, is invalid with that reason: it
    is never trained on, and an exam accepts none.
    """

    name: ClassVar[str] = "outcome"
    planted_in: ClassVar[PlantedIn] = "nowhere"

    environment: Environment
    seconds: float = Field(default=10.0, gt=0, le=600)

    async def __call__(self, task: Task, solutions: Sequence[Solution], models: Models) -> Sequence[Feedback]:
        return [await self._judged(task, s) for s in solutions]

    async def _judged(self, task: Task, solution: Solution) -> Feedback:
        seen = [t.text for t in solution.turns if t.kind is TurnKind.tool_result]
        actions = [t.text for t in solution.turns if t.kind is TurnKind.assistant]
        if SPOILED in solution.flags:
            return self._said(solution, None, seen[-1].removeprefix("error: ") if seen else "it could not begin")
        if not seen:
            return self._said(solution, None, "it is no episode: nothing was seen after what it says (solve with play)")
        try:
            moves = await played(self.environment, task.private, actions, (), self.seconds)
        except Spoiled as e:
            return self._said(solution, None, str(e))
        if [m.observation for m in moves[1:]] != seen[: len(moves) - 1]:
            return self._said(solution, None, "the environment answers the same actions otherwise than it did")
        over = "" if moves[-1].done else "not over in its turns"
        return self._said(solution, scored(moves), over)

    def _said(self, solution: Solution, score: float | None, comment: str) -> Feedback:
        mark = Mark.invalid if score is None else Mark.right if score == 1.0 else Mark.wrong
        return Feedback(solution=solution.id, score=score, mark=mark, source="environment", comment=comment)
