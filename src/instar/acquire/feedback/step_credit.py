"""Say of each step of an episode whether it helped: a model reads the whole course with its outcome.

Paper: *AgentEvolver: Towards Efficient Self-Evolving Agent System*, arXiv 2511.10395, "self-attributing": one call an
episode labels every step GOOD or BAD. Departures: the score stays that of ``inner`` and nothing else, the labels are
evidence for ``grpo`` (``train.step_credit``) alone; a step that the reply says nothing of, or two things, has no label;
the paper's labeller is a stronger model, here it is the one that judges (``judge_model``), else the one that learns.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import ClassVar

from pydantic import Field

from instar.acquire.feedback.judging import judge_of, prompt
from instar.protocols import Judge, Model, Models, PlantedIn
from instar.records import Feedback, Finish, Mark, Message, Sampling, Solution, Task, TurnKind

LONGEST = 400
"""Characters of a step, or of what came of it, that are shown."""
REQUEST = (
    "These are the steps of one attempt, which ended {outcome}. Did each step help to a right end? Write a line for "
    'each of the {n} steps and nothing else: "Step 1: GOOD" if it helped, "Step 1: BAD" if it did not.'
)
_LINE = re.compile(r"\W*step\s*(\d{1,3})\W+(good|bad)\W*", re.IGNORECASE)


class StepCredit(Judge):
    """``inner``'s verdict on each episode, and in its evidence ``steps``: for every trained turn 1 (good), -1 (bad) or
    0 (nothing that can be read was said of it), and who said so. An episode without a score is not asked about.

    One call of ``models["judge"]`` (else ``models["self"]``) an episode.
    """

    name: ClassVar[str] = "step_credit"
    planted_in: ClassVar[PlantedIn] = "nowhere"
    marks_steps: ClassVar[bool] = True

    inner: Judge
    sampling: Sampling = Field(default=Sampling(temperature=0.0, max_tokens=160))

    async def __call__(self, task: Task, solutions: Sequence[Solution], models: Models) -> Sequence[Feedback]:
        judged, judge = await self.inner(task, solutions, models), judge_of(models)
        return [await self._labelled(task, s, f, judge) for s, f in zip(solutions, judged, strict=True)]

    async def _labelled(self, task: Task, solution: Solution, said: Feedback, judge: Model) -> Feedback:
        steps = _steps(solution)
        if said.score is None or not steps:
            return said
        outcome = "right" if said.mark is Mark.right else "wrong"
        request = REQUEST.format(outcome=outcome, n=len(steps))
        shown: tuple[Message, ...] = prompt(task, steps, request, reference=None, protect=True)
        (reply,) = await judge.ask(shown, n=1, sampling=self.sampling)
        labels = read_labels(reply.text, len(steps), cut=reply.finish is Finish.length)
        told = {**said.evidence, "steps": labels, "steps_by": judge.policy.id}
        return said.model_copy(update={"evidence": told, "id": ""})


def read_labels(text: str, n: int, *, cut: bool = False) -> list[int]:
    """1 (good), -1 (bad) or 0 (not said, or said both ways) for each of ``n`` steps, from "Step 2: GOOD" lines. Of a
    reply that was ``cut``, the last line may be half a line: it does not count."""
    lines = text.splitlines()
    found: dict[int, set[int]] = {}
    for line in lines[:-1] if cut else lines:
        if said := _LINE.fullmatch(line):
            found.setdefault(int(said[1]), set()).add(1 if said[2].lower() == "good" else -1)
    return [sum(found.get(k, ())) for k in range(1, n + 1)]


def _steps(solution: Solution) -> list[tuple[str, str]]:
    """The trained turns, each with what came of it until the next."""
    found: list[tuple[str, list[str]]] = []
    for turn in solution.turns:
        if turn.train:
            found.append((f"step {len(found) + 1}", [turn.text[:LONGEST]]))
        elif found and turn.kind in (TurnKind.tool_result, TurnKind.partner):
            found[-1][1].append(f"It was answered: {turn.text[:LONGEST]}")
    return [(label, "\n".join(texts)) for label, texts in found]
