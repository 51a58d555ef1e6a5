"""Answering and correcting as one procedure: its price is the whole price, and it leaves no gap in an exam."""

import asyncio
from typing import ClassVar

import pytest

from instar.acquire.solutions.corrected import Corrected
from instar.acquire.solutions.sample import Sample
from instar.errors import StepFailed
from instar.protocols import Correct
from tests.acquire.test_sample import Fake
from tests.acquire.things import solution, task


class Twice(Correct):
    """Gives so many rewrites of a draft."""

    name: ClassVar[str] = "law_rewrites"
    n: int = 1

    async def __call__(self, experience, models):
        new = solution(f"better than {experience.solution.text}")
        return [new.model_copy(update={"tokens": 40, "prompt_tokens": 7})] * self.n


def test_it_costs_the_draft_and_the_correction():
    made = asyncio.run(Corrected(draft=Sample(samples=2), correct=Twice())(task(), {"self": Fake()}))
    assert [s.text for s in made] == ["better than Answer: 0", "better than Answer: 1"]
    assert [(s.tokens, s.prompt_tokens) for s in made] == [(43, 12), (44, 12)]


@pytest.mark.parametrize("n", [0, 2])
def test_a_correction_that_gives_none_or_several_is_refused(n):
    with pytest.raises(StepFailed, match=f"law_rewrites gave {n} solutions of one draft"):
        asyncio.run(Corrected(draft=Sample(samples=1), correct=Twice(n=n))(task(), {"self": Fake()}))
