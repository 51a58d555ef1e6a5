"""Tools of any kind, typed calls: how they are found, checked, answered, journalled, and what is kept of them."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, ClassVar

import pytest
from pydantic import BaseModel, ValidationError

from instar.acquire.solutions.act import call_in
from instar.acquire.solutions.call_tools import CallTools
from instar.acquire.tools.calculator import Calculator
from instar.acquire.tools.calls import answer, calls_in, first_call
from instar.acquire.tools.python import Python
from instar.app.configs.build import build_op
from instar.engines.scripted.engine import ScriptedEngine
from instar.errors import ConfigError, StepFailed, StoreError
from instar.protocols import Bench, Solve, Tool
from instar.records import Finish, Message, Reply, Role, Solution, ToolCall, ToolSpec, TurnKind, in_words
from instar.records.exchange import ask_hash
from instar.store.ledger import Ledger
from instar.store.readers.exchanges import of_call
from instar.store.verify import verify
from tests.acquire.asked import Told
from tests.acquire.things import task
from tests.run.test_run import run_in, solve
from tests.run.test_run import task as sum_of

TOOLS = (Calculator(), Python())
CALLED = ToolCall(name="calculator", arguments={"expression": "3 + 4"})

OWN = '''
import os, sys, time

PLACES = {"Oslo": 7}

def look_up(city: str, twice: bool = False) -> int:
    """The number of a city.

    Only the first paragraph is told.
    """
    return PLACES[city] * (2 if twice else 1)

def hang() -> str:
    time.sleep(60)

def die() -> str:
    os._exit(3)

def flood() -> str:
    return "x" * 10_000_000

def untyped(a):
    return a

async def later(a: int) -> int:
    return a
'''


class Loose(BaseModel):
    pass


class Ticks(Tool):
    """Says another number each time it is really called."""

    name: ClassVar[str] = "ticks"
    about: ClassVar[str] = "tells the time"
    takes: ClassVar[type[BaseModel]] = Loose
    made: ClassVar[int] = 0
    breaks: ClassVar[bool] = False

    async def __call__(self, given: Mapping[str, Any], bench: Bench) -> str:
        Ticks.made += 1
        if Ticks.breaks:
            raise asyncio.CancelledError
        return f"it is {Ticks.made} o'clock"


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Ticks, "made", 0)
    monkeypatch.setattr(Ticks, "breaks", False)


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("own") / "my_tools.py"
    path.write_text(OWN)
    return path


class Saying(Told):
    """Says its texts in order."""

    def __init__(self, *texts: str) -> None:
        said = iter(texts)
        super().__init__(lambda _: next(said))


def solved(*texts: str, **options: Any) -> tuple[Solution, Saying]:
    model = Saying(*texts)
    (made,) = asyncio.run(CallTools(**{"samples": 1, **options})(task(answer="7"), {"self": model}))
    return made, model


def answered(call: ToolCall, tool: Tool | None, seconds: float = 5.0) -> str:
    return asyncio.run(answer(tool, call, TOOLS, Bench(seconds)))


HERMES = '<tool_call>\n{"name": "calculator", "arguments": {"expression": "3 + 4"}}\n</tool_call>'
LLAMA = '{"name": "calculator", "parameters": {"expression": "3 + 4"}}'


@pytest.mark.parametrize(
    ("said", "ends"),
    [
        (HERMES, len(HERMES)),
        (f"I add. {HERMES} and then {HERMES}", len(f"I add. {HERMES}")),
        (HERMES.replace("\n", ""), len(HERMES) - 2),
        (HERMES.removesuffix("\n</tool_call>"), len(HERMES) - len("\n</tool_call>")),
        (LLAMA, len(LLAMA)),
        (f"<|python_tag|>{LLAMA}; more", len(f"<|python_tag|>{LLAMA}")),
        (f'{{"type": "function", "function": {LLAMA}}}', len(LLAMA) + len('{"type": "function", "function": }')),
        (HERMES.replace('{"expression": "3 + 4"}', json.dumps('{"expression": "3 + 4"}')), None),
        ("calculator[3 + 4] = 8", len("calculator[3 + 4]")),
        ('Calculator[{"expression": "3 + 4"}]', None),
        (f"{HERMES}\nObservation: 8", len(HERMES)),
    ],
)
def test_a_call_is_found_in_the_forms_that_models_are_taught(said: str, ends: int | None) -> None:
    found = first_call(said, TOOLS)
    assert found is not None
    assert found.call == CALLED
    assert found.ends == (len(said) if ends is None else ends)


OTHER = ToolCall(name="calculator", arguments={"expression": "5 - 88"})
AGAIN = HERMES.replace("3 + 4", "5 - 88")


@pytest.mark.parametrize(
    ("said", "rest"),
    [
        (f"I add. {HERMES}\n{AGAIN} and that is all.", " and that is all."),
        (f"{LLAMA}; {LLAMA.replace('3 + 4', '5 - 88')}", ""),
        (f"<|python_tag|>{LLAMA}; {LLAMA.replace('3 + 4', '5 - 88')}", ""),
        (f"[{LLAMA}, {LLAMA.replace('3 + 4', '5 - 88')}]", ""),
        (f"<tool_call>[{LLAMA}, {LLAMA.replace('3 + 4', '5 - 88')}]</tool_call>!", "!"),
        (
            json.dumps({"tool_calls": [
                {"id": f"c{i}", "type": "function", "function": {"name": c.name, "arguments": c.arguments}}
                for i, c in enumerate((CALLED, OTHER))
            ]}),
            "",
        ),
        ('[calculator(expression="3 + 4"), calculator(expression="5 - 88")] so', " so"),
        ("First calculator[3 + 4], then calculator[5 - 88].", "."),
        (f"{HERMES} calculator[5 - 88]\nObservation: 7", ""),
    ],
)  # fmt: skip
def test_several_calls_of_one_reply_are_read_in_order_where_that_is_wanted(said: str, rest: str) -> None:
    found = calls_in(said, TOOLS, 4)
    assert [f.call for f in found] == [CALLED, OTHER]
    made_up = said.find("\nObservation")
    assert said[found[-1].ends : None if made_up < 0 else made_up] == rest
    assert [f.call for f in calls_in(said, TOOLS, 1)] in ([CALLED], [None], [])  # a list is no call where one is wanted


@pytest.mark.parametrize(
    "said", ["[1, 2]", '["calculator"]', "[x for x in y]", "[calculator(1) for x in y]", "[" * 50_000, "[a(" * 9_000,
             "[a(" + "x )] " * 3_900,
             "[calculator(expression=open('x'))", '{"tool_calls": []}x'],
)  # fmt: skip
def test_a_list_that_is_none_of_calls_makes_none(said: str) -> None:
    began = time.process_time()
    assert [f.call for f in calls_in(said, TOOLS, 4) if f.call] == []
    assert time.process_time() - began < 1.0


def test_two_calls_are_made_in_order_and_told_as_two_results() -> None:
    made, model = solved(f"Both: {HERMES}{AGAIN} Hm.", "Answer: 7", calls=2)
    kinds = [TurnKind.tool_call, TurnKind.tool_result, TurnKind.tool_result, TurnKind.assistant]
    assert [t.kind for t in made.turns] == kinds
    assert [(t.text, t.train) for t in made.turns[1:3]] == [("7", False), ("-83", False)]
    assert made.turns[0].text == f"Both: {HERMES}{AGAIN}"
    _, call, first, second = model.prompts[1]
    assert (call.content, call.calls) == ("Both:", (CALLED, OTHER))
    assert [(m.result_of, m.content) for m in (first, second)] == [("calculator", "7"), ("calculator", "-83")]


def test_of_several_calls_one_that_cannot_be_made_is_told_so_beside_the_results_of_the_others() -> None:
    broken = '<tool_call>{"name": "calculator", "arguments": {"expression": }</tool_call>'
    made, model = solved(f"{HERMES}{broken}{AGAIN}", "Answer: 7", calls=3)
    assert [t.text for t in made.turns[1:4]] == ["7", "error: the call is not valid JSON", "-83"]
    assert (model.prompts[1][1].content, model.prompts[1][1].calls) == (f"{HERMES}{broken}{AGAIN}", ())
    three = f"[{LLAMA}, {LLAMA}, {LLAMA}]"
    made, _ = solved(three, "Answer: 7", calls=2)
    assert [t.text for t in made.turns[1:4]] == ["7", "7", "error: only 2 calls of one reply are made"]
    assert CallTools(calls=1).op_id == CallTools().op_id != CallTools(calls=2).op_id


@pytest.mark.parametrize(
    ("said", "begins", "given"),
    [
        ("calculator[" * 5_000, None, None),
        ("calculator[" * 5_000 + "3 + 4]", 11 * 4_999, "3 + 4"),
        ("a] [b calculator[x[0] + [1]] calculator[2]", 6, "x[0] + [1]"),
        ("calculator[calculator[3] + 4", 11, "3"),
    ],
)
def test_brackets_are_matched_in_one_pass(said: str, begins: int | None, given: str | None) -> None:
    began = time.process_time()
    found, in_use_tools = first_call(said, TOOLS), call_in(said, ("calculator",))
    assert time.process_time() - began < 1.0
    assert (in_use_tools is None) == (found is None)
    if begins is None:
        assert found is None
    else:
        assert found is not None
        assert found.call is not None
        assert (found.begins, found.call.given()) == (begins, {"expression": given})


@pytest.mark.parametrize(
    "said", ["Answer: 7", "Observation: calculator[1]", "<tool_response>calculator[1]", "calculator[1", "abacus[1]",
             '{"answer": 7}', "{1, 2}", ""],
)  # fmt: skip
def test_what_is_no_call_is_none(said: str) -> None:
    assert first_call(said, TOOLS) is None


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ('<tool_call>{"name": "calculator", "arguments": {</tool_call>', "not valid JSON"),
        ("<tool_call>" + "[" * 100_000, "not valid JSON"),
        ("<tool_call>[1]</tool_call>", 'has no "name"'),
        ('<tool_call>{"name": 7}</tool_call>', 'has no "name"'),
        ('<tool_call>{"name": "calculator", "arguments": [1]}</tool_call>', "no JSON object"),
        ('<tool_call>{"name": "calculator", "arguments": "3 + 4"}</tool_call>', "not valid JSON"),
        ('<tool_call>{"name": "abacus", "arguments": {}}</tool_call>', "no tool 'abacus'; there are calculator"),
        ('<tool_call>{"name": "calculator", "arguments": {}}</tool_call>', "expression: Field required"),
        ('<tool_call>{"name": "calculator", "arguments": {"expression": [1]}}</tool_call>', "expression: Input"),
    ],
)  # fmt: skip
def test_a_call_that_cannot_be_made_is_an_observation_and_the_model_goes_on(said: str, why: str) -> None:
    made, model = solved(said, "Answer: 7")
    assert [t.kind for t in made.turns] == [TurnKind.tool_call, TurnKind.tool_result, TurnKind.assistant]
    assert made.turns[1].text.startswith("error: ")
    assert why in made.turns[1].text
    assert model.prompts[1][-1].content == made.turns[1].text


def test_calls_and_results_are_typed_and_in_words_they_are_those_of_use_tools() -> None:
    made, model = solved("I compute: calculator[3 + 4]\nObservation: 8", "Answer: 7")
    asked, call, result = model.prompts[1]
    assert [t.name for t in asked.tools] == ["calculator", "python"]
    assert (call.content, call.calls) == ("I compute:", (CALLED,))
    assert (result.role, result.result_of, result.content) == (Role.user, "calculator", "7")
    assert [m.content for m in in_words(model.prompts[1])][1:] == ["I compute: calculator[3 + 4]", "Observation: 7"]
    assert "calculator[expression]: arithmetic with" in in_words(model.prompts[1])[0].content
    assert [(t.text, t.train) for t in made.turns] == [
        ("I compute: calculator[3 + 4]", True), ("7", False), ("Answer: 7", True),
    ]  # fmt: skip


def test_it_stops_after_its_turns_and_is_told_of_no_tools_where_that_is_off() -> None:
    made, model = solved(*["calculator[1+1]"] * 9, turns=3, tell=False)
    assert (len(model.prompts), made.finish) == (3, Finish.length)
    assert not model.prompts[0][0].tools


def test_an_ask_with_tools_is_another_ask_and_one_without_has_the_hash_it_had() -> None:
    plain = Message(role=Role.user, content="3 + 4?")
    more = plain.model_copy(update={"tools": (Calculator().spec,)})
    other = plain.model_copy(update={"tools": (Python().spec,)})
    sampling = CallTools().sampling
    hashes = {ask_hash([m], 1, sampling, "i1:p", "f32") for m in (plain, more, other)}
    assert len(hashes) == 3
    assert plain.model_dump() == {"role": Role.user, "content": "3 + 4?"}


def test_a_function_with_type_hints_is_a_tool(own: Path) -> None:
    op = build_op(Solve, {"op": "call_tools", "tools": ["calculator", f"{own}:look_up"]}, where="solve")
    assert isinstance(op, CallTools)
    tool = op.tools[1]
    assert (tool.spec.name, tool.spec.about) == ("look_up", "The number of a city.")
    assert set(json.loads(tool.spec.parameters)["properties"]) == {"city", "twice"}
    assert answered(ToolCall(name="look_up", arguments={"city": "Oslo", "twice": True}), tool) == "14"
    assert answered(ToolCall(name="look_up", arguments={"city": "Rom"}), tool) == "error: KeyError: 'Rom'"
    assert "Extra inputs" in answered(ToolCall(name="look_up", arguments={"city": "Oslo", "x": 1}), tool)
    found = first_call('look_up[{"city": "Oslo"}]', (tool,))
    assert found is not None
    assert found.call == ToolCall(name="look_up", arguments={"city": "Oslo"})
    assert "look_up is given JSON with city, twice" in (first_call("look_up[Oslo]", (tool,)) or found).why


@pytest.mark.parametrize(
    ("function", "says"), [("hang", "timed out after 0.5 s"), ("die", "died (exit code 3)"), ("flood", "x" * 600)]
)
def test_what_a_users_tool_does_to_its_process_is_an_observation(own: Path, function: str, says: str) -> None:
    tool = build_op(Tool, f"{own}:{function}", where="tool")
    assert isinstance(tool, Tool)
    said = answered(ToolCall(name=function), tool, seconds=0.5)
    assert says in said
    assert len(said) <= 600


@pytest.mark.parametrize(
    ("function", "says"),
    [("untyped", "the argument a has no type"), ("later", "no plain function 'later'"), ("nothing", "It has: look_up")],
)
def test_a_function_that_can_be_no_tool_is_refused_before_the_run(own: Path, function: str, says: str) -> None:
    with pytest.raises(ConfigError) as refused:
        build_op(Tool, f"{own}:{function}", where="tool")
    assert says in f"{refused.value.message} {refused.value.hint}"


def test_two_tools_of_one_name_are_refused() -> None:
    with pytest.raises(ValidationError, match="two tools are called calculator"):
        CallTools(tools=(Calculator(), Calculator(effects=True)))
    assert "effects" not in str(CallTools().op_id)
    assert Calculator(effects=True).op_id != Calculator().op_id


class Asks(ScriptedEngine):
    """Asks for the time, then answers with what it was told."""

    breaks = False

    async def ask(self, policy: Any, messages: Any, **more: Any) -> list[Reply]:
        if Asks.breaks and len(messages) > 1:
            raise StoreError("pulled the plug")
        text = f"Answer: {messages[-1].content}" if len(messages) > 1 else "ticks[]"
        return [r.model_copy(update={"text": text}) for r in await super().ask(policy, messages, **more)]


def test_killed_between_a_tools_answer_and_the_next_ask_the_tool_is_not_called_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    op = CallTools(samples=1, tools=(Ticks(),))
    for name in ("whole", "killed"):
        (tmp_path / name).mkdir()
    solve(run_in(tmp_path / "whole", Asks()), op, [sum_of(1)])
    Ticks.made = 0
    monkeypatch.setattr(Asks, "breaks", True)
    run = run_in(tmp_path / "killed", Asks())
    with pytest.raises(StoreError, match="pulled the plug"):
        solve(run, op, [sum_of(1)])
    run.ledger.close()
    monkeypatch.setattr(Asks, "breaks", False)
    Ticks.made = 7
    (made,) = solve(run_in(tmp_path / "killed", Asks()), op, [sum_of(1)])
    assert Ticks.made == 7
    assert made.turns[1].text == "it is 1 o'clock"
    with closing(Ledger.read(tmp_path / "whole" / "ledger.db")) as ledger:
        whole = ledger.content_digest()
    with closing(Ledger.read(tmp_path / "killed" / "ledger.db")) as ledger:
        assert ledger.content_digest() == whole
        assert [w for w in verify(ledger) if "which is not there" not in w] == []
        (call,) = [row["key"] for row in ledger.rows("calls")]
        first, second = of_call(ledger, call)
        assert first.messages is not None
        assert second.messages is not None
        assert [t.name for t in first.messages[0].tools] == ["ticks"]
        assert second.messages[1].calls == (ToolCall(name="ticks"),)
        assert second.messages[2].result_of == "ticks"


def test_a_tool_with_effects_is_not_called_again_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    op = CallTools(samples=1, tools=(Ticks(effects=True),))
    monkeypatch.setattr(Ticks, "breaks", True)
    run = run_in(tmp_path, Asks())
    with pytest.raises(StepFailed, match="CancelledError"):  # as when its process went down with it
        solve(run, op, [sum_of(1)])
    run.ledger.close()
    monkeypatch.setattr(Ticks, "breaks", False)
    again = run_in(tmp_path, Asks())
    with pytest.raises(StepFailed, match="not known to have ended"):
        solve(again, op, [sum_of(1)])
    again.ledger.close()
    assert Ticks.made == 1


class AsksHalf(ScriptedEngine):
    """Calls a tool whose name is half a character."""

    async def ask(self, policy: Any, messages: Any, **more: Any) -> list[Reply]:
        text = "Answer: 1" if len(messages) > 1 else '<tool_call>{"name": "\\ud800"}</tool_call>'
        return [r.model_copy(update={"text": text}) for r in await super().ask(policy, messages, **more)]


class Half(Ticks):
    """A tool that nobody could store as it is."""

    @property
    def spec(self) -> ToolSpec:
        return ToolSpec(name="ti\ud800cks", about="\udfff", parameters={"properties": {"\ud83d": {}}})


@pytest.mark.parametrize("tool", [Ticks(), Half()])
def test_half_a_character_in_a_tools_name_is_journalled_written_out(tmp_path: Path, tool: Tool) -> None:
    run = run_in(tmp_path, AsksHalf())
    solve(run, CallTools(samples=1, tools=(tool,)), [sum_of(1)])
    run.ledger.close()
    with closing(Ledger.read(tmp_path / "ledger.db")) as ledger:
        assert [w for w in verify(ledger) if "which is not there" not in w] == []
        (call,) = [row["key"] for row in ledger.rows("calls")]
        _, second = of_call(ledger, call)
    assert second.messages is not None
    question, called, result = second.messages
    assert [c.name for c in called.calls] == [result.result_of] == ["\\ud800"]
    "".join(f"{t.name}{t.about}{t.parameters}" for t in question.tools).encode()
