"""Shots: examples of a config that become turns before every question, calls of tools among them."""

from __future__ import annotations

from typing import Any

import pytest

from instar.app.configs.config import Plan, plan
from instar.app.configs.config_file import read
from instar.app.configs.shots import shown_by, with_shots
from instar.app.preflight import prompts
from instar.app.preflight.flight import OF_THE_PLAN
from instar.app.preflight.seen import Seen
from instar.errors import ConfigError
from instar.records import Message, Role, ToolCall, in_words
from instar.scripted_world import base_policy
from tests.acquire.things import task

CALLS = {
    "messages": [
        {"role": "user", "content": "3 + 4 = ?"},
        {"role": "assistant", "calls": [{"name": "calculator", "arguments": {"expression": "3 + 4"}}]},
        {"role": "tool", "content": "7"},
        {"role": "assistant", "content": "Answer: 7"},
    ]
}


def planned(*shots: dict[str, Any]) -> Plan:
    return plan({"recipe": "rest_em", "model": "scripted", "shots": list(shots)})


def test_a_question_and_its_answer_and_a_conversation_with_a_tool_become_turns() -> None:
    turns = shown_by(planned({"question": "1 + 1?", "answer": "Answer: 2"}, CALLS).run.shots)
    assert turns[:2] == (
        Message(role=Role.user, content="1 + 1?"),
        Message(role=Role.assistant, content="Answer: 2"),
    )
    assert turns[3].calls == (ToolCall(name="calculator", arguments={"expression": "3 + 4"}),)
    assert turns[4].result_of == "calculator"
    assert [m.content for m in in_words(turns)][2:] == [
        "3 + 4 = ?", "calculator[3 + 4]", "Observation: 7", "Answer: 7",
    ]  # fmt: skip


def test_two_calls_of_one_turn_have_two_results() -> None:
    asked, called, result, answer = CALLS["messages"]
    more = {"name": "python", "arguments": {"code": "print(1)"}}
    twice = {"role": "assistant", "calls": [*called["calls"], more]}
    shot = {"messages": [asked, twice, result, {"role": "tool", "content": "1"}, answer]}
    assert [m.result_of for m in shown_by(planned(shot).run.shots)] == [None, None, "calculator", "python", None]
    policy, plain = with_shots(base_policy(), planned(shot).run.shots), task("2 + 2?")
    exported = plain.model_copy(update={"messages": in_words(policy.prompt(plain))})
    assert policy.prompt(exported) == exported.messages
    for wrong in ([asked, twice, result, answer], [asked, called, result, result, answer]):
        with pytest.raises(ConfigError):
            planned({"messages": wrong})


def test_they_are_part_of_the_policy_and_of_every_prompt_that_it_gets() -> None:
    shots = planned(CALLS).run.shots
    base = base_policy("Be brief.")
    policy = with_shots(base, shots)
    assert policy.id != base.id
    assert policy.prompt(task("2 + 2?"))[1:] == (*shown_by(shots), *task("2 + 2?").messages)
    assert with_shots(base, ()) is base


def test_the_same_shots_are_read_from_a_command_line_and_without_any_a_config_is_what_it_was() -> None:
    said = plan(read("rest_em", ['shots=[{question="1 + 1?", answer="2"}]']))
    assert said.run.shots == planned({"question": "1 + 1?", "answer": "2"}).run.shots
    assert "shots" not in planned().resolved()
    assert planned().digest() == plan({"recipe": "rest_em", "model": "scripted"}).digest() != said.digest()


@pytest.mark.parametrize(
    ("shot", "says"),
    [
        ({"question": "1 + 1?"}, "a question with its answer, or messages"),
        ({**CALLS, "answer": "7"}, "not both"),
        ({"messages": CALLS["messages"][:2]}, "from a user's question to an assistant's answer"),
        ({"messages": CALLS["messages"][1:]}, "from a user's question to an assistant's answer"),
        ({"messages": [*CALLS["messages"][:2], CALLS["messages"][3]]}, "followed by what the tool answered"),
        ({"messages": [CALLS["messages"][0], CALLS["messages"][2], CALLS["messages"][3]]}, "names the tool"),
        ({"messages": [CALLS["messages"][0], *[CALLS["messages"][3]] * 2]}, "in a row are the assistant's"),
        ({"messages": [{"role": "system", "content": "x"}]}, "'user', 'assistant' or 'tool'"),
    ],
)
def test_a_shot_that_no_model_could_have_been_in_is_refused(shot: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        planned(shot)


def test_a_shot_that_shows_the_answer_to_a_held_out_question_is_refused_and_does_not_say_which() -> None:
    held = {"train": [task("3 + 4 = ?")], "gate": [task("5 + 5?")], "sealed": [task("3  + 4 = ? ")]}
    (error,) = prompts.shots(Seen(planned(CALLS), held, None))
    assert "the set sealed has 1 question that the shots show" in error.message
    assert "3 + 4" not in str(error)
    assert not list(prompts.shots(Seen(planned(), held, None)))


def test_the_lengths_of_prompts_count_them() -> None:
    seen = Seen(planned(CALLS), {}, None)
    assert seen.prompt(task("2 + 2?")) == with_shots(
        base_policy(seen.plan.run.system), seen.plan.run.shots
    ).prompt(task("2 + 2?"))  # fmt: skip


def test_a_tasks_own_system_message_stands_before_the_shots_and_no_shot_is_shown_twice() -> None:
    shots = planned(CALLS).run.shots
    policy, plain = with_shots(base_policy("Be brief."), shots), task("2 + 2?")
    own = Message(role=Role.system, content="Be kind.")
    tasked = plain.model_copy(update={"messages": (own, *plain.messages)})
    wanted = (own, *shown_by(shots), *plain.messages)
    assert policy.prompt(tasked) == Seen(planned(CALLS), {}, None).prompt(tasked) == wanted
    exported = plain.model_copy(update={"messages": in_words(wanted)})
    assert policy.prompt(exported) == in_words(wanted)
    assert base_policy("Be brief.").prompt(tasked) == tasked.messages


BOTH_KINDS = [
    {"tasks": {"op": "rows", "path": "x.csv", "shots": [{"question": "1 + 1?", "answer": "2"}]}},
    {
        "suites": {
            "guard:a": {"size": 3, "tasks": {"op": "jsonl", "path": "x", "shots": [{"question": "1", "answer": "2"}]}}
        }
    },
    {"tasks": {"op": "cleaned", "inner": {"op": "rows", "path": "x.csv", "shots": [{"question": "1", "answer": "2"}]}}},
]


@pytest.mark.parametrize("more", BOTH_KINDS)
def test_shots_of_the_policy_and_of_the_tasks_at_once_are_refused(more: dict[str, Any]) -> None:
    raw = {"recipe": "rest_em", "model": "scripted", **more}
    (error,) = prompts.shots_of_both_kinds(Seen(plan({**raw, "shots": [CALLS]}), {}, None))
    assert "every question would come after both" in error.message
    assert "Keep those at the top" in error.hint
    assert prompts.shots_of_both_kinds in OF_THE_PLAN
    assert not list(prompts.shots_of_both_kinds(Seen(plan(raw), {}, None)))
