"""One engine samples, another examines: told apart by precision, one of them loaded at a time."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from instar.engines.scripted.engine import ScriptedEngine
from instar.engines.split import SplitEngine
from instar.errors import EngineError
from instar.records import Finish, Policy, Reply, Sampling
from instar.scripted_world import START, weights_of
from tests.engines.tiny import user

POLICY = Policy(weights=weights_of(START)).identified()


class Named(ScriptedEngine):
    """An engine with a name and precisions of its own, which notes when it is unloaded."""

    def __init__(self, name: str, sample: str, exam: str) -> None:
        super().__init__()
        self.name, self.batch_invariant, self.concurrency = name, name == "exact", 7 if name == "exact" else 9
        self.precisions = {"sample": sample, "exam": exam}
        self.unloaded = 0

    def precision_for(self, purpose: str) -> str:
        return self.precisions[purpose]

    async def ask(self, policy: Policy, messages: Any, **more: Any) -> list[Reply]:
        await asyncio.sleep(0)
        return [
            Reply(text="7", finish=Finish.stop, policy=policy.id, engine=self.name, precision=more["precision"],
                  token_ids=(1,), prompt_tokens=1, tokens=1)
        ]  # fmt: skip

    async def score(self, policy: Policy, messages: Any, replies: Any, *, precision: str) -> list[list[float]]:
        return [[0.0] if precision == self.precisions["exam"] and self.name == "exact" else [-1.0] for _ in replies]

    def unload(self) -> None:
        self.unloaded += 1


def asked(engine: SplitEngine, precision: str) -> str:
    how = Sampling(temperature=0.0, max_tokens=4)
    (reply,) = asyncio.run(engine.ask(POLICY, user("?"), n=1, sampling=how, seed=1, precision=precision))
    return f"{reply.engine} {reply.precision}"


def test_the_precision_says_who_answers_and_exams_are_of_the_examiner_alone() -> None:
    quick, exact = Named("quick", "bf16", "f32"), Named("exact", "f32", "f32")
    both = SplitEngine(quick, exact)
    assert (both.name, both.precision_for("exam"), both.precision_for("sample")) == ("exact", "f32", "bf16")
    assert asked(both, "f32") == "exact f32"
    assert asked(both, "bf16") == "quick bf16"
    assert (both.batch_invariant, both.concurrency) == (False, 7)
    reply = Reply(text="7", finish=Finish.stop, policy=POLICY.id, engine="quick", precision="bf16")
    assert asyncio.run(both.score(POLICY, user("?"), [reply], precision="f32")) == [[0.0]]
    assert asyncio.run(both.score(POLICY, user("?"), [reply], precision="bf16")) == [[-1.0]]


def test_the_other_one_is_unloaded_but_not_while_it_is_at_work() -> None:
    quick, exact = Named("quick", "bf16", "f32"), Named("exact", "f32", "f32")
    both = SplitEngine(quick, exact)
    asked(both, "bf16")
    assert (quick.unloaded, exact.unloaded) == (0, 1)
    asked(both, "f32")
    assert quick.unloaded == 1

    async def crowd() -> None:
        how = Sampling(temperature=0.0, max_tokens=4)
        asks = (both.ask(POLICY, user("?"), n=1, sampling=how, seed=1, precision=p) for p in ("bf16", "f32"))
        await asyncio.gather(*asks)

    asyncio.run(crowd())
    assert quick.unloaded == 1


def test_two_engines_at_one_precision_could_not_be_told_apart() -> None:
    with pytest.raises(EngineError, match="both at f32"):
        SplitEngine(Named("quick", "f32", "f32"), Named("exact", "f32", "f32"))
