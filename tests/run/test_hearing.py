"""What is said of a round in which all answers that have a score are right."""

from __future__ import annotations

from typing import cast

import pytest

from instar.errors import NothingToLearn
from instar.records import Experience, Feedback, Finish, Mark, Policy, Sampling, Solution, Turn
from instar.run.learning import Heard, weigh
from instar.run.steps import Steps
from instar.scripted_world import base_policy
from tests.acquire.things import task


def judged(number: int, mark: Mark) -> Experience:
    """An answer with what a verifier said of it."""
    score = {Mark.right: 1.0, Mark.wrong: 0.0}.get(mark)
    solution = Solution(
        id=f"s{number}", task="t", turns=(Turn(text="7"),), policy="p", engine="e", precision="f", sampling=Sampling(),
        finish=Finish.stop,
    )  # fmt: skip
    said = Feedback(solution=solution.id, score=score, mark=mark, source="verifier", answer="7")
    return Experience(task=task(), solution=solution, feedback=said)


class Silent:
    """A ledger that keeps nothing."""

    def ensure_op(self, *about: object) -> None: ...

    def add_records(self, made: object) -> None: ...


class Round:
    """As much of a run as is asked for here."""

    round = 1
    base: Policy = base_policy().identified()
    ledger = Silent()


@pytest.mark.parametrize(
    ("others", "says"),
    [
        (0, "harder tasks"),
        (30, "The check gave 30 others no score at all: it must give wrong answers one too (False, or 0)"),
    ],
)
def test_a_check_that_scores_right_answers_alone_is_not_taken_for_tasks_too_easy(others: int, says: str) -> None:
    heard = Heard()
    made = [judged(n, Mark.right) for n in range(40)] + [judged(100 + n, Mark.invalid) for n in range(others)]
    heard.hear(1, made, lambda _: None)
    with pytest.raises(NothingToLearn) as told:
        weigh(cast(Steps, Round()), heard, keep_going=False)
    assert says in str(told.value)
    assert ("40 of 40 answers that have a score are right" in str(told.value)) is bool(others)
