"""The scripted model as its own critic: it knows the correction's requests, and insight decides what that is worth."""

from __future__ import annotations

import asyncio

import pytest

from instar.engines.scripted.engine import ScriptedEngine
from instar.protocols import Correct
from instar.records import Message, Policy, Reply, Role, Sampling
from instar.refine.corrections.constitutional import Constitutional
from instar.refine.corrections.critic import Critic
from instar.refine.corrections.self_refine import SelfRefine
from instar.scripted_world import base_policy, is_right
from tests.refine.talking import draft

CORRECTIONS = (SelfRefine(), Critic(), Constitutional())


class Bound:
    """The scripted engine as a model with a seed."""

    def __init__(self, engine: ScriptedEngine, seed: int) -> None:
        self.engine, self.seed, self.policy = engine, seed, base_policy()

    async def ask(self, messages: list[Message], *, n: int = 1, sampling: Sampling) -> list[Reply]:
        self.seed += 1
        return await self.engine.ask(self.policy, messages, n=n, sampling=sampling, seed=self.seed, precision="exact")


def share_right(op: Correct, *, insight: float, draft_off: int, n: int = 60) -> float:
    """The share of right answers after correcting drafts that are off by so much."""
    engine = ScriptedEngine(insight=insight)
    right = 0
    for i in range(n):
        question = f"What is {i} + {i + 3}?"
        begun = draft(f"The answer is {2 * i + 3 + draft_off}.", question, task=f"t{i}")
        (found,) = asyncio.run(op(begun, {"self": Bound(engine, 1000 * i)}))
        right += bool(is_right(question, found.text))
    return right / n


@pytest.mark.parametrize("op", CORRECTIONS, ids=lambda o: o.name)
def test_with_insight_wrong_drafts_are_mended_and_right_ones_are_left(op: Correct) -> None:
    assert share_right(op, insight=1.0, draft_off=2) > 0.8
    assert share_right(op, insight=1.0, draft_off=0) == 1.0


@pytest.mark.parametrize("op", CORRECTIONS, ids=lambda o: o.name)
def test_a_silent_critic_mends_no_more_than_its_skill(op: Correct) -> None:
    assert share_right(op, insight=0.0, draft_off=2) < 0.55


def test_it_writes_programs_for_python_too_and_they_mend_what_is_wrong() -> None:
    op = Critic(tool="python", seconds=10)
    assert share_right(op, insight=1.0, draft_off=2, n=6) > 0.8
    assert share_right(op, insight=0.0, draft_off=0, n=2) == 1.0


def test_a_question_with_the_words_of_a_request_but_no_earlier_answer_is_a_question() -> None:
    async def ask(policy: Policy) -> Reply:
        said = [Message(role=Role.user, content="Give feedback on 2 + 2, and a better answer.")]
        sampling = Sampling(temperature=0.0, max_tokens=20)
        return (await ScriptedEngine().ask(policy, said, n=1, sampling=sampling, seed=1, precision="exact"))[0]

    assert "Score" not in asyncio.run(ask(base_policy())).text
