"""The router: each policy is answered by the engine that has its weights, and the rest is that of what evolves."""

from __future__ import annotations

import asyncio

import pytest

from instar.engines.remote.address import address_of
from instar.engines.remote.engine import OpenAIEngine
from instar.engines.router import Router
from instar.engines.scripted.engine import ScriptedEngine
from instar.errors import EngineError
from instar.protocols import Routes
from instar.records import Policy, Reply, Sampling
from instar.scripted_world import base_policy
from tests.engines.chat_server import saying, serving
from tests.engines.tiny import user

FAR = Policy(weights=address_of("openai:small@http://127.0.0.1:9/v1").weights()).identified()


class Noting(ScriptedEngine):
    """Notes what was done to it; ``fails`` says whether it closes badly."""

    def __init__(self, *, fails: bool = False) -> None:
        super().__init__()
        self.done: list[str] = []
        self.fails = fails

    def evict(self, policy: Policy) -> None:
        self.done.append(f"evict {policy.weights.place}")

    def unload(self) -> None:
        self.done.append("unload")

    def close(self) -> None:
        self.done.append("close")
        if self.fails:
            raise EngineError("it does not close.")


def test_replies_are_of_the_engine_that_has_the_weights_and_say_so() -> None:
    async def both(router: Router, far: Policy) -> list[Reply]:
        asked = [
            router.ask(p, user("What is 1 + 2?"), n=1, sampling=Sampling(), seed=1, precision=precision)
            for p, precision in ((base_policy(), "exact"), (far, "remote"))
        ]
        return [r for replies in await asyncio.gather(*asked) for r in replies]

    with serving(lambda _: saying("three")) as chat:
        far = Policy(weights=address_of(f"openai:small@{chat.url}").weights()).identified()
        router = Router(ScriptedEngine(), {"remote": OpenAIEngine(concurrency=3)})
        replies = asyncio.run(both(router, far))
        router.close()
    assert [(r.engine, r.precision, r.policy) for r in replies] == [
        ("scripted", "exact", base_policy().id),
        ("openai", "remote", far.id),
    ]


def test_its_name_and_precisions_are_those_of_what_evolves_and_a_policy_elsewhere_has_its_own() -> None:
    router = Router(ScriptedEngine(), {"remote": OpenAIEngine(concurrency=100)})
    assert isinstance(router, Routes)
    assert (router.name, router.precision_for("sample"), router.precision_for("exam")) == ("scripted",) + ("exact",) * 2
    assert router.precision_beside(base_policy(), "any") == "any", "what an ask hash holds today does not change"
    assert router.precision_beside(FAR, "any") == "remote"
    assert router.concurrency == 100
    assert not router.batch_invariant
    router.close()


def test_scores_and_evictions_go_where_the_weights_are() -> None:
    home, other = Noting(), Noting()
    router = Router(home, {"remote": other})
    router.evict(FAR)
    router.evict(base_policy())
    assert (home.done, other.done) == (["evict scripted"], ["evict remote"])
    with pytest.raises(EngineError, match="a server, not log-probabilities"):
        asyncio.run(Router(home, {"remote": OpenAIEngine()}).score(FAR, user("?"), [], precision="remote"))


def test_all_are_unloaded_and_closed_also_where_one_does_not_close() -> None:
    home, other = Noting(fails=True), Noting()
    router = Router(home, {"remote": other})
    router.unload()
    with pytest.raises(EngineError, match="does not close"):
        router.close()
    assert home.done == other.done == ["unload", "close"]


def test_busy_seconds_are_those_of_all() -> None:
    home, other = ScriptedEngine(latency=0.02), ScriptedEngine(latency=0.02)
    router = Router(home, {"remote": other})
    asyncio.run(router.ask(base_policy(), user("What is 1 + 2?"), n=1, sampling=Sampling(), seed=1, precision="exact"))
    assert router.busy_seconds() == home.busy_seconds() > 0
