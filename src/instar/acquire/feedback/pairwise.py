"""Judge by comparing: a model says which of two answers is better, in both orders; what it says of the order is no win.

Paper: Zheng et al., *Judging LLM-as-a-Judge with MT-Bench and Chatbot Arena*, arXiv 2306.05685: with one order a judge
prefers a place (GPT-4 agreed with itself in 65 % of swaps), so each pair is judged in both and a win counts only if
both agree; else it is a tie.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar, Literal

from pydantic import Field

from instar.acquire.feedback.judging import critique, judge_of, prompt, reference_of, verdict
from instar.extract import extract
from instar.protocols import Judge, Model, Models, PlantedIn
from instar.records import Feedback, Finish, Mark, Message, Reply, Sampling, Solution, Task

Said = Literal["first", "second", "tie"] | None


class Pairwise(Judge):
    """Compares each solution of a task with the next ``opponents`` ones (in a ring), each pair in both orders.

    Score: (wins + ties / 2) / comparisons that could be read, so full credit means better than all it met. Mark: right
    above a half, wrong below it, unscored at exactly a half (the judge does not say), invalid if no comparison could be
    read. Right here means *better than its fellows*, no more. A single solution is unscored. The evidence has wins,
    ties, losses, how often the two orders agreed (``swaps_agree`` of ``swaps``), and who judged.
    """

    name: ClassVar[str] = "pairwise"
    believes_a_model: ClassVar[bool] = True
    planted_in: ClassVar[PlantedIn] = "pairs"

    opponents: int = Field(default=2, ge=1)
    reference: bool = True
    protect: bool = True
    sampling: Sampling = Sampling(temperature=0.0, max_tokens=160)

    async def __call__(self, task: Task, solutions: Sequence[Solution], models: Models) -> Sequence[Feedback]:
        judge = judge_of(models)
        tallies = [_Tally() for _ in solutions]
        for a, b in self._pairs(len(solutions)):
            one, note = await self._compare(task, solutions[a], solutions[b], judge)
            other, _ = await self._compare(task, solutions[b], solutions[a], judge)
            tallies[a].add(one, other, note)
            tallies[b].add(_turned(one), _turned(other), note)
        return [self._feedback(task, s, t, judge) for s, t in zip(solutions, tallies, strict=True)]

    def _pairs(self, n: int) -> Iterator[tuple[int, int]]:
        met = set()
        for step in range(1, min(self.opponents, n - 1) + 1):
            for a in range(n):
                pair = (min(a, (a + step) % n), max(a, (a + step) % n))
                if pair not in met:
                    met.add(pair)
                    yield pair

    def prompt(self, task: Task, first: Solution, second: Solution) -> tuple[Message, ...]:
        """What the judge is shown of a pair in one order."""
        request = (
            "Compare the two answers to the question: which one is more correct and more helpful? Neither their order "
            "nor their length counts. Write a short explanation first. Then write, alone on the last line, "
            '"Better: A", "Better: B" or "Better: tie".'
        )
        shown = [("A", first.text), ("B", second.text)]
        reference = reference_of(task) if self.reference else None
        return prompt(task, shown, request, reference=reference, protect=self.protect)

    async def _compare(self, task: Task, first: Solution, second: Solution, judge: Model) -> tuple[Said, str]:
        (reply,) = await judge.ask(self.prompt(task, first, second), n=1, sampling=self.sampling)
        return _said(reply), critique(reply.text)

    def _feedback(self, task: Task, solution: Solution, tally: _Tally, judge: Model) -> Feedback:
        score = tally.score
        if score is None:
            mark = Mark.invalid if tally.unread else Mark.unscored
            comment = f"none of {tally.unread} comparisons could be read" if tally.unread else "nothing to compare with"
        else:
            mark = Mark.unscored if score == 0.5 else Mark.right if score > 0.5 else Mark.wrong
            comment = tally.note
        return Feedback(
            solution=solution.id,
            score=None if mark is Mark.unscored else score,
            mark=mark,
            source="judge",
            comment=comment,
            answer=extract(solution.text, "auto", reference_of(task)),
            evidence={**tally.figures(), "judge": judge.policy.id},
        )


class _Tally:
    """One solution's comparisons."""

    def __init__(self) -> None:
        self.wins = self.ties = self.losses = self.unread = self.swaps = self.agree = 0
        self.note = ""

    def add(self, one: Said, other: Said, note: str) -> None:
        """The verdicts of both orders, the solution shown first in the first and second in the other."""
        self.note = self.note or note
        if one is None or other is None:
            self.unread += 1
            return
        self.swaps += 1
        agreed = _turned(other) == one
        self.agree += agreed
        if agreed and one == "first":
            self.wins += 1
        elif agreed and one == "second":
            self.losses += 1
        else:
            self.ties += 1

    @property
    def score(self) -> float | None:
        met = self.wins + self.ties + self.losses
        return (self.wins + self.ties / 2) / met if met else None

    def figures(self) -> dict[str, int]:
        """For the evidence."""
        return {
            "wins": self.wins, "ties": self.ties, "losses": self.losses, "unread": self.unread,
            "swaps": self.swaps, "swaps_agree": self.agree,
        }  # fmt: skip


def _said(reply: Reply) -> Said:
    word = None if reply.finish is Finish.length else verdict(reply.text, "better", "A|B|tie")
    return {"a": "first", "b": "second", "tie": "tie"}[word.lower()] if word else None  # type: ignore[return-value]  # the table's values are the literals


def _turned(said: Said) -> Said:
    """The same verdict as seen by the other solution of the pair."""
    return "second" if said == "first" else "first" if said == "second" else said
