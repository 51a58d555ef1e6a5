from __future__ import annotations

import asyncio
from typing import Any

import pytest

from instar.engines.scripted.engine import ScriptedEngine
from instar.errors import EngineError, ModelError
from instar.records import Finish, Policy, Reply, Sampling
from instar.scripted_world import START, is_right, last_number, weights_of
from tests.engines.tiny import policy_of, user


def with_skill(add: float) -> Policy:
    return Policy(weights=weights_of({**START, "add": add})).identified()


def ask(engine: ScriptedEngine, policy: Policy, text: str, temperature: float = 1.0, **more: Any) -> list[Reply]:
    sampling = Sampling(temperature=temperature, max_tokens=more.pop("max_tokens", 64))
    settings = {"n": 1, "seed": 1, **more}
    return asyncio.run(engine.ask(policy, user(text), sampling=sampling, precision="exact", **settings))


def questions(n: int) -> list[str]:
    return [f"What is {i} + {2 * i + 1}?" for i in range(n)]


def test_it_is_right_as_often_as_its_skill_says() -> None:
    for skill in (0.0, 0.3, 0.8, 1.0):
        replies = [(q, r) for q in questions(100) for r in ask(ScriptedEngine(), with_skill(skill), q, n=8)]
        share = sum(bool(is_right(q, r.text)) for q, r in replies) / len(replies)
        assert abs(share - skill) < 0.05


def test_greedy_a_higher_skill_is_right_on_a_superset() -> None:
    def right(skill: float) -> set[str]:
        return {q for q in questions(150) if is_right(q, ask(ScriptedEngine(), with_skill(skill), q, 0.0)[0].text)}

    assert right(0.2) < right(0.5) < right(0.9)
    assert right(1.0) == set(questions(150))


def test_some_replies_hold_no_number_and_some_are_cut_short() -> None:
    engine = ScriptedEngine(parse_failures=0.4)
    replies = [r for q in questions(50) for r in ask(engine, with_skill(0.2), q, n=4)]
    silent = [r for r in replies if last_number(r.text) is None]
    assert 0.3 < len(silent) / len(replies) < 0.5
    assert {r.finish for r in silent} == {Finish.stop, Finish.length}


def test_a_reply_depends_on_nothing_else_that_is_asked() -> None:
    engine = ScriptedEngine()
    alone = ask(engine, with_skill(0.3), "What is 2 + 2?", n=3)
    for q in questions(5):
        ask(engine, with_skill(0.7), q)
    assert ask(engine, with_skill(0.3), "What is 2 + 2?", n=3) == alone


def test_a_hundred_samples_of_one_ask_all_differ() -> None:
    assert len({r.text for r in ask(ScriptedEngine(), with_skill(0.5), "What is 2 + 2?", n=100)}) >= 99


def test_a_failing_engine_fails_transiently_and_asking_again_can_help() -> None:
    engine = ScriptedEngine(fail_rate=0.5)

    def outcome(question: str) -> EngineError | None:
        try:
            ask(engine, with_skill(0.5), question)
        except EngineError as e:
            return e
        return None

    tries = {q: [outcome(q) for _ in range(10)] for q in questions(20)}
    errors = [e for row in tries.values() for e in row if e]
    assert 60 < len(errors) < 140
    assert all(e.transient for e in errors)
    assert any(row[0] and None in row for row in tries.values())


def test_the_empty_engine_says_nothing() -> None:
    assert [r.text for r in ask(ScriptedEngine(empty=True), with_skill(0.5), "What is 1 + 1?", n=2)] == ["", ""]


def test_real_weights_are_refused() -> None:
    with pytest.raises(ModelError, match="scripted engine cannot answer for tiny"):
        ask(ScriptedEngine(), policy_of("tiny"), "What is 1 + 1?")


def test_a_policy_without_an_id_and_an_ask_for_no_reply_are_refused() -> None:
    with pytest.raises(EngineError, match="no id"):
        ask(ScriptedEngine(), Policy(weights=weights_of(START)), "What is 1 + 1?")
    with pytest.raises(EngineError, match="n is 0"):
        ask(ScriptedEngine(), with_skill(0.5), "What is 1 + 1?", n=0)
