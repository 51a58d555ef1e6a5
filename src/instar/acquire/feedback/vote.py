"""Judge by vote: the answer that most samples of one question reach is taken for right. No gold answer is looked at.

Papers: Wang et al., *Self-Consistency*, arXiv 2203.11171 (an unweighted vote does as well as a weighted one); Huang et
al., *Large Language Models Can Self-Improve* (LMSI), arXiv 2210.11610, which trains on what the vote says.

The samples come from one model and err together: a vote is agreement, not evidence. Its margin says how much of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple

from instar.acquire.feedback.checkers import number
from instar.extract import How, extract
from instar.protocols import Judge, Models, PlantedIn
from instar.records import Feedback, Mark, Solution, Task
from instar.similarity import normalised


class Tally(NamedTuple):
    """A count of votes. ``majority`` is None in a tie and when nobody has an answer."""

    majority: str | None
    top: int
    second: int
    voters: int
    """All samples, also those without an answer: silence is not agreement."""

    @property
    def share(self) -> float:
        """The leading answer's part of all samples."""
        return self.top / self.voters if self.voters else 0.0

    @property
    def margin(self) -> float:
        """How far the leading answer is before the next one, as a part of all samples."""
        return (self.top - self.second) / self.voters if self.voters else 0.0

    def decided(self, to_come: int) -> bool:
        """Whether no ``to_come`` further votes can change or tie the majority."""
        return self.top - self.second > to_come


class Vote(Judge):
    """Score 1 for the answers of the majority (the most frequent answer; it need not have half), 0 for all others.

    ``margin`` in the evidence is (votes of the first - votes of the second) / samples, ``share`` the votes of the first
    / samples. In a tie there is no majority and nobody is right: all are unscored, for a vote that does not decide says
    nothing. Likewise if no sample has an answer. A sample without an answer beside a majority is wrong.
    Numbers are compared by value: "7", "7.0" and "14/2" are one answer.
    """

    name: ClassVar[str] = "vote"
    planted_in: ClassVar[PlantedIn] = "fellows"

    extract: How = "auto"

    async def __call__(self, task: Task, solutions: Sequence[Solution], models: Models) -> Sequence[Feedback]:
        answers = [extract(s.text, self.extract) for s in solutions]
        tally = count(answers)
        evidence = {"share": tally.share, "margin": tally.margin, "majority": tally.majority, "voters": tally.voters}
        return [self._feedback(s, a, tally, evidence) for s, a in zip(solutions, answers, strict=True)]

    def _feedback(self, solution: Solution, answer: str | None, tally: Tally, evidence: dict[str, Any]) -> Feedback:
        if tally.majority is None:
            score, mark = None, Mark.unscored
            why = f"a tie: {tally.top} votes each" if tally.top else "no sample has an answer"
        elif answer is None:
            score, mark, why = 0.0, Mark.wrong, "no answer found"
        elif same(answer) == same(tally.majority):
            score, mark, why = 1.0, Mark.right, f"with the majority: {tally.top} of {tally.voters}"
        else:
            score, mark, why = 0.0, Mark.wrong, f"against the majority: {tally.top} of {tally.voters}"
        return Feedback(
            solution=solution.id,
            score=score,
            mark=mark,
            source="vote",
            comment=why,
            answer=answer,
            evidence=evidence,
        )


def count(answers: Sequence[str | None]) -> Tally:
    """The votes of these answers; None is a sample without one. The majority is shown as it was first written."""
    first: dict[str, str] = {}
    votes: Counter[str] = Counter()
    for answer in answers:
        if answer is not None:
            first.setdefault(same(answer), answer)
            votes[same(answer)] += 1
    ranked = votes.most_common(2)
    top = ranked[0][1] if ranked else 0
    second = ranked[1][1] if len(ranked) > 1 else 0
    return Tally(first[ranked[0][0]] if top > second else None, top, second, len(answers))


def same(answer: str) -> str:
    """One text for equal answers: the value of a number, otherwise without case, Unicode form and runs of space."""
    value = number(answer)
    return str(value) if value is not None else normalised(answer)
