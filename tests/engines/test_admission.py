"""Prompts that share a beginning: one reads it, the others wait a step."""

from __future__ import annotations

from instar.engines.openvino.admission import BLOCK, Admission

SYSTEM = list(range(1000, 1000 + BLOCK))


def test_one_reads_the_shared_beginning_and_the_others_start_a_step_later() -> None:
    prefixes = Admission()
    prompts = [[*SYSTEM, k, k + 1] for k in range(5)]
    assert [prefixes.may_start(p) for p in prompts] == [True, False, False, False, False]
    prefixes.stepped(768)
    assert [prefixes.may_start(p) for p in prompts[1:]] == [True, True, True, True]


def test_prompts_with_nothing_in_common_or_less_than_a_block_start_together() -> None:
    prefixes = Admission()
    assert prefixes.may_start([*SYSTEM, 1])
    assert prefixes.may_start([7, *SYSTEM, 1])
    assert prefixes.may_start([*SYSTEM[:-1], 5, 6])
    assert prefixes.may_start(SYSTEM)  # its last token is read in any case: no whole block of it can be found


def test_a_longer_shared_beginning_is_waited_for_though_a_shorter_one_is_there() -> None:
    prefixes = Admission()
    assert prefixes.may_start([*SYSTEM, 1])
    prefixes.stepped(768)
    shots = [*SYSTEM, *range(BLOCK)]
    assert [prefixes.may_start([*shots, k]) for k in range(3)] == [True, False, False]
    assert prefixes.may_start([*SYSTEM, 9]), "what it shares has been read"


def test_a_beginning_is_a_matter_of_all_that_stands_before_a_block() -> None:
    prefixes = Admission()
    second = list(range(BLOCK))
    assert prefixes.may_start([*SYSTEM, *second, 1])
    assert prefixes.may_start([*range(50, 50 + BLOCK), *second, 1])


def test_a_beginning_that_takes_several_steps_is_waited_for_until_all_of_it_is_read() -> None:
    prefixes = Admission()
    shots = [k for k in range(50) for _ in range(BLOCK)]
    assert [prefixes.may_start([*shots, k]) for k in range(2)] == [True, False]
    prefixes.stepped(768)
    prefixes.stepped(768)
    assert not prefixes.may_start([*shots, 1]), "65 of 1,601 tokens are left"
    prefixes.stepped(768)
    assert [prefixes.may_start([*shots, k]) for k in (1, 2)] == [True, True]


def test_prompts_are_read_in_the_order_they_came_in() -> None:
    prefixes = Admission()
    one, two = [[k] * (3 * BLOCK) for k in (1, 2)]
    assert [prefixes.may_start([*p, 9]) for p in (one, two)] == [True, True]
    prefixes.stepped(4 * BLOCK)
    assert [prefixes.may_start([*p, 8]) for p in (one, two)] == [True, False]
