"""Judge by going backwards: take an answer for true, hide a number of the question, see if the model finds it again.

Paper: Weng et al., *Large Language Models are Better Reasoners with Self-Verification*, arXiv 2212.09561. Forward:
sample candidate answers. Backward: state the question with a candidate's answer, mask one condition (a number) as X,
and ask for X several times; a candidate's score is how often X comes back right. The one with the highest score wins.
No gold answer is looked at: the question itself is what is known.

Departures: the paper lets the model rewrite question and answer as a statement; here a template does. Every *different*
answer is verified once and its verdict shared. At most ``conditions`` numbers are hidden, the first ones. What has no
number in its question is asked instead, as the paper does for general tasks, whether the answer is true or false.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, ClassVar

from pydantic import Field

from instar.acquire.feedback.checkers import number
from instar.acquire.feedback.fence import WARNING, fenced, mark_for
from instar.acquire.feedback.judging import SYSTEM, judge_of, verdict
from instar.acquire.feedback.vote import same
from instar.extract import How, extract
from instar.protocols import Judge, Model, Models
from instar.records import Feedback, Finish, Mark, Message, Role, Sampling, Solution, Task

_NUMBER = re.compile(r"(?<![\w.,])\d{1,12}(?:\.\d{1,6})?(?![\w]|[.,]\d)")


class SelfVerify(Judge):
    """Asks for each hidden number ``tries`` times; ``models["judge"]`` if it is bound, else ``models["self"]``.

    Score: share of the asks that found the hidden number (or said "true"). Mark: right for the answers with the highest
    score of the task if that is above 0, and wrong for the others; if all different answers have the same score it says
    nothing and they are unscored, unless there is one answer only, which is right above a half. A solution without an
    answer is wrong. The paper's P (tries) is 10; 4 is for a small machine.
    """

    name: ClassVar[str] = "self_verify"
    believes_a_model: ClassVar[bool] = True

    extract: How = "auto"
    conditions: int = Field(default=3, ge=1)
    tries: int = Field(default=4, ge=1)
    sampling: Sampling = Sampling(temperature=0.7, top_k=40, max_tokens=64)

    async def __call__(self, task: Task, solutions: Sequence[Solution], models: Models) -> Sequence[Feedback]:
        answers = [extract(s.text, self.extract) for s in solutions]
        judge = judge_of(models)
        scores: dict[str, tuple[int, int]] = {}
        for answer in answers:
            if answer is not None and same(answer) not in scores:
                scores[same(answer)] = await self._verified(task.question, answer, judge)
        shares = {a: found / asked for a, (found, asked) in scores.items()}
        return [self._feedback(s, a, shares, scores, judge) for s, a in zip(solutions, answers, strict=True)]

    async def _verified(self, question: str, answer: str, judge: Model) -> tuple[int, int]:
        """(asks that came back right, asks)."""
        hidden = list(_NUMBER.finditer(question))[: self.conditions]
        if not hidden:
            replies = await judge.ask(_true_or_false(question, answer), n=self.tries, sampling=self.sampling)
            said = [verdict(r.text, "verdict", "true|false") for r in replies if r.finish is Finish.stop]
            return sum(s is not None and s.lower() == "true" for s in said), self.tries
        found = 0
        for m in hidden:
            masked = f"{question[: m.start()]}X{question[m.end() :]}"
            replies = await judge.ask(_backwards(masked, answer), n=self.tries, sampling=self.sampling)
            given = [extract(r.text, "auto", "0") for r in replies]
            found += sum(g is not None and number(g) == number(m.group()) for g in given)
        return found, self.tries * len(hidden)

    def _feedback(
        self,
        solution: Solution,
        answer: str | None,
        shares: dict[str, float],
        counts: dict[str, tuple[int, int]],
        judge: Model,
    ) -> Feedback:
        evidence: dict[str, Any] = {"answers": len(shares), "judge": judge.policy.id}
        score: float | None
        if answer is None:
            score, mark, why = 0.0, Mark.wrong, "no answer found"
        else:
            score = shares[same(answer)]
            found, asked = counts[same(answer)]
            evidence |= {"found": found, "asked": asked}
            why = f"the question was recovered from it in {found} of {asked} asks"
            best = max(shares.values())
            if len(shares) > 1 and len(set(shares.values())) == 1:
                score, mark, why = None, Mark.unscored, f"{why}, as from every other answer"
            elif len(shares) == 1:
                mark = Mark.right if score > 0.5 else Mark.wrong
            else:
                mark = Mark.right if score == best else Mark.wrong
        return Feedback(
            solution=solution.id, score=score, mark=mark, source="judge", comment=why, answer=answer, evidence=evidence
        )


def _backwards(masked: str, answer: str) -> tuple[Message, ...]:
    mark = mark_for(masked, answer)
    return (
        Message(role=Role.system, content="One number of a question was replaced by X. Find it from the answer."),
        Message(
            role=Role.user,
            content=f"{WARNING.format(mark=mark)}\n\n{fenced('question', masked, mark)}\n\n"
            f"{fenced('answer', answer, mark)}\n\nThis answer is true. What is the value of X? "
            "Write the result after 'Answer:'.",
        ),
    )


def _true_or_false(question: str, answer: str) -> tuple[Message, ...]:
    mark = mark_for(question, answer)
    return (
        Message(role=Role.system, content=SYSTEM),
        Message(
            role=Role.user,
            content=f"{WARNING.format(mark=mark)}\n\n{fenced('question', question, mark)}\n\n"
            f"{fenced('answer', answer, mark)}\n\nIs this answer correct? Write, alone on the last line, "
            '"Verdict: true" or "Verdict: false".',
        ),
    )
