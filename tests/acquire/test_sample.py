import asyncio

import pytest

from instar.acquire.solutions.sample import Sample
from instar.errors import EngineError
from instar.records import Finish, Policy, Reply, Role, Sampling, Weights
from tests.acquire.things import task


class Fake:
    """Replies with numbered texts and remembers how it was asked."""

    def __init__(self, short: int = 0) -> None:
        weights = Weights(place="scripted", digest="d")
        self.policy = Policy(weights=weights, system="End with 'Answer: X'.").identified()
        self.short = short
        self.asked: list = []

    async def ask(self, messages, *, n=1, sampling):
        self.asked.append((messages, n, sampling))
        about = {"policy": self.policy.id, "engine": "fake", "precision": "f32"}
        return [
            Reply(text=f"Answer: {i}", finish=Finish.stop, token_ids=(i,), prompt_tokens=5, tokens=3 + i, **about)
            for i in range(n - self.short)
        ]


def test_one_ask_gives_all_samples_with_what_really_answered():
    model = Fake()
    sampling = Sampling(temperature=1.0, max_tokens=9)
    found = asyncio.run(Sample(samples=3, sampling=sampling)(task(answer="7"), {"self": model}))
    [(messages, n, used)] = model.asked
    assert (n, used) == (3, sampling)
    assert [m.role for m in messages] == [Role.system, Role.user]
    assert [s.text for s in found] == ["Answer: 0", "Answer: 1", "Answer: 2"]
    assert {(s.task, s.policy, s.engine, s.precision, s.id) for s in found} == {
        ("t", model.policy.id, "fake", "f32", "")
    }
    assert [(s.prompt_tokens, s.tokens, s.turns[0].token_ids) for s in found] == [
        (5, 3, (0,)),
        (5, 4, (1,)),
        (5, 5, (2,)),
    ]


def test_the_defaults_are_those_of_rest_em():
    assert Sample().sampling == Sampling(temperature=0.7, top_k=40, max_tokens=256)


def test_a_model_that_gives_too_few_replies_is_an_error():
    with pytest.raises(EngineError, match="Asked for 3 replies and got 2"):
        asyncio.run(Sample(samples=3)(task(), {"self": Fake(short=1)}))


def test_no_samples_is_refused():
    with pytest.raises(ValueError, match="greater than or equal to 1"):
        Sample(samples=0)
