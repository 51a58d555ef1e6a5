"""What a model proposes becomes tasks with a key that is right, or is refused with a reason; it is contained."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from fractions import Fraction

import pytest

from instar.acquire.tasks import proposals
from instar.acquire.tasks.executed import CHANGES, ENDLESS, FAILS, HUNGRY, NOT_PLAIN, result_of, values_of
from instar.acquire.tasks.proposals import (
    FORBIDDEN,
    IMPORTS,
    NO_EXPRESSION,
    NO_PROGRAM,
    NO_RESULT,
    SAYS_NOTHING,
    TOO_LONG,
    Proposal,
    read_expression,
    read_program,
)
from instar.acquire.tasks.proposer import REQUEST, REQUEST_PROGRAM, Proposer
from instar.acquire.tasks.random_expressions import RandomExpressions
from instar.arithmetic import decimal_of
from instar.made import KEY_OTHER
from instar.protocols import Created, Refused
from instar.records import Message, Objective, Role, Task
from tests.acquire.asked import Told

GOAL = Objective(id="i1:goal", ability="proposed", tasks=6)


def made(op: Proposer, say, sources: tuple[Task, ...] = (), seen: tuple[Task, ...] = ()) -> tuple[list, Told]:
    model = Told(say)
    return list(asyncio.run(op([GOAL], sources, seen, {"self": model}))), model


@pytest.mark.parametrize(
    ("reply", "shown", "key"),
    [
        ("12 + 7", "12 + 7", "19"),
        ("1. 12+7 = 20\n2. 3 + 4", "12 + 7", "19"),  # what it says the result is does not count
        ("`(3 - 10) * 2`", "(3 - 10) * 2", "-14"),
        ("8 × 4 ÷ 5", "8 * 4 / 5", "6.4"),  # noqa: RUF001 - the sign is meant
        ("- 3 + 4", "3 + 4", "7"),  # the mark of a list
    ],
)
def test_an_expression_is_read_with_its_exact_result(reply: str, shown: str, key: str) -> None:
    found = read_expression(reply, digits=3, terms=6)
    assert isinstance(found, Proposal)
    assert (found.shown, found.key) == (shown, key)


@pytest.mark.parametrize(
    ("reply", "why"),
    [
        ("", SAYS_NOTHING),
        ("\n = 4", SAYS_NOTHING),
        ("Sure, here is one: 3 + 4", NO_EXPRESSION),
        ("7", NO_EXPRESSION),
        ("3 + + * 4", NO_EXPRESSION),
        ("9 ** 9 ** 9 ** 9", NO_EXPRESSION),
        ("__import__('os').system('curl http://example.org')", NO_EXPRESSION),
        ("3 + 4; import os", NO_EXPRESSION),
        ("1 / 0", NO_RESULT),
        ("1 / 3", NO_RESULT),
        ("12345 + 1", TOO_LONG),
        ("1 + " * 500 + "1", TOO_LONG),
        ("(" * 5000 + "1 + 1", NO_EXPRESSION),
    ],
)
def test_what_is_no_expression_is_refused_with_its_reason(reply: str, why: str) -> None:
    assert read_expression(reply, digits=3, terms=6) == why


F = "```python\ndef f(x):\n{body}\n```\n{call}"


@pytest.mark.parametrize(
    ("reply", "why"),
    [
        ("", SAYS_NOTHING),
        ("I like Python.", NO_PROGRAM),
        (F.format(body="    return x", call="f(y)"), NO_PROGRAM),
        (F.format(body="    return x", call="f(__import__('os'))"), NO_PROGRAM),
        (F.format(body="    return (", call="f(1)"), NO_PROGRAM),
        (F.format(body="    import socket\n    return x", call="f(1)"), IMPORTS),
        (F.format(body="    return open('/etc/passwd').read()", call="f(1)"), FORBIDDEN),
        (F.format(body="    return x.__class__.__mro__", call="f(1)"), FORBIDDEN),
        (F.format(body="    return eval('x')", call="f(1)"), FORBIDDEN),
        (F.format(body="    return x", call="f('" + "a" * 2000 + "')"), NO_PROGRAM),
        (F.format(body="    return x" + " + 1" * 400, call="f(1)"), TOO_LONG),
        (F.format(body="    return " + "-" * 900 + "x", call="f(1)"), TOO_LONG),
        (F.format(body="    return x" + "()" * 440, call="f(1)"), TOO_LONG),
        (F.format(body="    return x" + ".a" * 450, call="f(1)"), TOO_LONG),
    ],
)
def test_what_is_no_program_is_refused_with_its_reason_and_never_run(reply: str, why: str) -> None:
    assert read_program(reply) == why


@pytest.mark.parametrize(
    ("program", "why"),
    [
        ("def f(x):\n    return [x * 2, 'a']", ""),
        ("def f(x):\n    while True:\n        x += 1", ENDLESS),
        ("def f(x):\n    a = [0]\n    while True:\n        a = a + a", HUNGRY),
        ("def f(x):\n    return 1 / 0", FAILS),
        ("def f(x):\n    return f(x)", FAILS),
        ("def f(x):\n    return list({'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'})", CHANGES),
        ("def f(x):\n    return f", NOT_PLAIN),
        ("def f(x):\n    return 'a' * 999", NOT_PLAIN),
        ("import socket\ndef f(x):\n    return socket.create_connection(('1.1.1.1', 80))", FAILS),
        ("import os\ndef f(x):\n    return os.listdir('/root')", FAILS),
    ],
)
def test_a_program_runs_in_the_sandbox_alone_and_what_it_does_there_is_a_reason(program: str, why: str) -> None:
    began = time.monotonic()
    key, said = asyncio.run(result_of(program, "f(3)", seconds=0.5, memory=64 * 2**20))
    assert (said, bool(key)) == (why, not why)
    assert time.monotonic() - began < 30


def test_the_keys_of_expressions_are_found_again_by_pythons_own_evaluator() -> None:
    assert asyncio.run(values_of(["1 / 8 + 0.5", "3 - 10 * 2"])) == ["5/8", "-17"]
    assert asyncio.run(values_of(["1 / 0"])) == []


def test_it_asks_until_there_are_as_many_new_ones_as_are_wanted_and_counts_the_rest() -> None:
    numbers = iter(range(10, 1000))
    replies = ["{n} + 4", "rubbish", "{n} * 2 = 8"]
    found, model = made(Proposer(samples=3, audit=0), lambda _: [r.format(n=next(numbers)) for r in replies])
    assert Counter(type(x) for x in found) == {Created: 6, Refused: 3}
    assert {x.reason for x in found if isinstance(x, Refused)} == {NO_EXPRESSION}
    tasks = [x.task for x in found if isinstance(x, Created)]
    assert [t.question for t in tasks[:2]] == ["Calculate 10 + 4.", "Calculate 12 * 2."]
    assert [t.private["answer"] for t in tasks[:2]] == ["14", "24"]
    assert {t.objective for t in tasks} == {GOAL.id}
    assert model.prompts[0][-1] == Message(role=Role.user, content=REQUEST)
    assert model.prompts[0][1].content in Proposer().seeds


def test_a_model_that_only_repeats_itself_comes_to_an_end_and_its_repeats_are_left_to_be_counted() -> None:
    found, model = made(Proposer(samples=4, tries=4, audit=0), lambda _: ["3 + 4"] * 4)
    assert len(found) == 24
    assert len({x.task.canonical for x in found if isinstance(x, Created)}) == 1
    assert len(model.prompts) == 6


def test_it_shows_what_it_was_handed_and_its_tasks_are_made_from_that() -> None:
    first, _ = made(Proposer(samples=6, audit=0), lambda _: [f"{i} + {i}" for i in range(10, 16)])
    sources = tuple(x.task.model_copy(update={"id": f"i1:s{i}"}) for i, x in enumerate(first))
    found, model = made(Proposer(samples=6, audit=0), lambda _: [f"{i} + {i}" for i in range(20, 26)], sources, sources)
    assert {m.content for m in model.prompts[0][1::2]} == {f"{i} + {i}" for i in range(10, 16)}
    assert {x.made_from for x in found if isinstance(x, Created)} == {found[0].made_from}
    assert set(found[0].made_from) == {t.id for t in sources}


def test_a_wrong_key_is_refused_and_a_right_one_is_told_as_found_again(monkeypatch: pytest.MonkeyPatch) -> None:
    found, _ = made(Proposer(samples=6, audit=3), lambda _: [f"{i} + 1" for i in range(10, 16)])
    assert [x.key_again for x in found if isinstance(x, Created)].count(True) == 3
    monkeypatch.setattr(proposals, "value_of", lambda _: 5)
    monkeypatch.setattr(proposals, "decimal_of", str)
    found, _ = made(Proposer(samples=6, audit=6), lambda _: [f"{i} + 1" for i in range(10, 16)])
    assert found == [Refused(KEY_OTHER)] * 6


def test_programs_get_the_key_that_the_sandbox_gives_and_hostile_ones_a_reason() -> None:
    replies = [
        F.format(body="    return x * 3 + 1", call="f(5)"),
        F.format(body="    import os\n    return os.getcwd()", call="f(5)"),
        F.format(body="    while True: pass", call="f(5)"),
    ]
    op = Proposer(of="program", samples=3, tries=1, audit=1, seconds=0.3)
    found, model = made(op, lambda _: replies)
    assert model.prompts[0][-1].content == REQUEST_PROGRAM
    (first, *_) = [x for x in found if isinstance(x, Created)]
    assert first.task.private["answer"] == "16"
    assert "f(5)" in first.task.question
    assert "return x * 3 + 1" in first.task.question
    assert {x.reason for x in found if isinstance(x, Refused)} == {IMPORTS, ENDLESS}
    assert first.key_again


def test_random_expressions_are_valid_new_and_others_in_another_round() -> None:
    op = RandomExpressions(digits=2, terms=3)
    first = asyncio.run(op([GOAL], (), (), {}))
    again = asyncio.run(op([GOAL], (), (), {}))
    other = asyncio.run(op([GOAL.model_copy(update={"id": "i1:other"})], (), [x.task for x in first], {}))
    assert [x.task for x in first] == [x.task for x in again]
    assert len({x.task.canonical for x in [*first, *other]}) == 12
    assert all(isinstance(read_expression(x.task.private["proposed"], digits=3, terms=6), Proposal) for x in first)


def test_a_key_of_many_digits_is_exact() -> None:
    for value in (
        Fraction(99999) ** 6 / 2,
        -(Fraction(10) ** 40) - Fraction(1, 8),
        Fraction(-1, 4),
        Fraction(1, 10**6),
    ):
        assert Fraction(str(decimal_of(value))) == value
    assert decimal_of(Fraction(-5, 2)) == "-2.5"
    assert decimal_of(Fraction(1, 3)) is None
