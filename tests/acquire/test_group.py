"""A group in an environment: who is asked what, what is cut, what is withdrawn, how it is judged; and episodes that are
killed anywhere end as they would have ended."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from instar.acquire.environments.village import Village, route
from instar.acquire.feedback.outcome import Outcome
from instar.acquire.feedback.pool import shared
from instar.acquire.solutions.choose_tools import ChooseTools, called, chosen, library_of
from instar.acquire.solutions.group import CALL, CALL_IT, GO_ON, IS_IT_RIGHT, Group, word_of
from instar.acquire.solutions.play import SPOILED
from instar.acquire.tasks.pose_questions import PoseQuestions
from instar.app.configs.build import build_op
from instar.app.review.rederive import verified
from instar.engines.scripted.engine import ScriptedEngine
from instar.errors import ConfigError, StoreError
from instar.protocols import Environment
from instar.records import (
    Experience,
    Finish,
    Mark,
    Message,
    Objective,
    Policy,
    Reply,
    Role,
    Solution,
    Task,
    TurnKind,
    mint,
)
from instar.run.mapping import Step
from instar.scripted_world import START, adapter_of, base_policy
from instar.store.ledger import Ledger
from tests.acquire.asked import Scripted, Told
from tests.acquire.test_play import OWN
from tests.run.test_run import run_in, solve, stored

VILLAGE = Village()


@pytest.fixture(scope="module", autouse=True)
def _ended() -> Iterator[None]:
    yield
    shared().close()


def drawn(n: int = 1, environment: Village = VILLAGE) -> list[Task]:
    tasks = environment({"train": n}, {"train": 1})["train"]
    return [t.model_copy(update={"id": mint("task", "i1:t", (), 0, i)}) for i, t in enumerate(tasks)]


class Following:
    """Plans, calls and looks back along a route; its words run on, as those of small models do."""

    def __init__(self, actions: Sequence[str], words: Sequence[str] = ()) -> None:
        self.left, self.words, self.asked = list(actions), list(words), list[str]()

    def __call__(self, last: str) -> str:
        kind = {CALL_IT: "tool", IS_IT_RIGHT: "reflect"}.get(last, "plan")
        self.asked.append(kind)
        if kind == "plan":
            return f"I go on. Tool: {self.left[0].partition('[')[0]} it is\nCall it."
        if kind == "tool":
            return f"{self.left.pop(0)}\nThe mother of Nobody is Nobody."
        return f"I look back. It is {self.words.pop(0)}. And so on."


def played_by(said: Following, **fields: Any) -> tuple[Task, Solution, Told]:
    (task,) = drawn()
    model = Told(said)
    (made,) = asyncio.run(Group(environment=VILLAGE, samples=1, **fields)(task, {"self": model}))
    return task, made, model


def test_plan_tool_and_reflect_take_turns_and_what_runs_on_is_cut() -> None:
    (task,) = drawn()
    said = Following(route(task), ["right"])
    task, made, model = played_by(said)
    assert said.asked == ["plan", "tool", "plan", "tool", "plan", "tool", "reflect"]
    call, action, seen = (TurnKind.tool_call, TurnKind.assistant, TurnKind.tool_result)
    assert [t.kind for t in made.turns] == [
        call,
        action,
        seen,
        call,
        action,
        seen,
        call,
        action,
        TurnKind.critique,
        seen,
    ]
    assert [t.text for t in made.turns if t.kind is action] == route(task)
    assert made.turns[0].text == "I go on. Tool: lookup"
    assert (made.turns[-2].text, made.turns[-1].text) == ("I look back. It is right", "Right.")
    assert [t.train for t in made.turns] == [t.kind is not seen for t in made.turns]
    assert made.finish is Finish.stop
    last = [m.content for m in model.prompts[-1]]
    assert last[0] == f"{task.question}\n\nYou have 8 steps."
    assert last[-3:] == [CALL_IT, route(task)[-1], IS_IT_RIGHT]
    (judged,) = asyncio.run(Outcome(environment=VILLAGE)(task, [made], {}))
    assert (judged.mark, judged.score) == (Mark.right, 1.0)


def test_a_call_is_asked_for_in_the_form_of_the_tool_that_was_planned() -> None:
    (task,) = drawn()
    asked: list[str] = []

    def said(last: str) -> str:
        asked.append(last)
        plans = ("It is a lookup. Tool: lookup", "It is over. Tool: finish", "Tool: hammer", "I do not know.")
        called = sum(a.startswith("Call") for a in asked)
        return "nothing[" if last.startswith("Call") else plans[min(called, 3)]

    for signatures in (True, False):
        asked.clear()
        asyncio.run(Group(environment=VILLAGE, samples=1, turns=4, signatures=signatures)(task, {"self": Told(said)}))
        calls = [a for a in asked if a.startswith("Call")]
        forms = [CALL.format("lookup[name, relation]"), CALL.format("finish[answer]")] if signatures else [CALL_IT] * 2
        assert calls == [*forms, CALL_IT, CALL_IT]


class Library(Village):
    """A village whose tools are told as others tell theirs."""

    name = "other_library"

    def library(self) -> Mapping[str, str]:
        return {"Sub": "Sub[a: int, b: int]: minus", "add": "adds two numbers", "get": "get[url] reads http://x"}


def test_the_form_of_a_tool_is_what_stands_in_its_brackets_however_others_tell_of_it() -> None:
    group = Group(environment=Library(), signatures=True)
    plans = ("Tool: sub", "Tool: add", "Tool: get", "Tool: lookup", "none")
    assert [group._request(p) for p in plans] == [
        "Call Sub[a: int, b: int].", CALL_IT, "Call get[url].", CALL_IT, CALL_IT,
    ]  # fmt: skip


def test_an_answer_that_the_group_doubts_is_withdrawn_as_often_as_it_may_be_and_not_learned() -> None:
    (task,) = drawn()
    actions = [route(task)[0], "finish[Nobody Here]", *route(task)[1:]]
    task, made, model = played_by(Following(actions, ["wrong", "right"]), reopen=1)
    drafts = [i for i, t in enumerate(made.turns) if t.kind is TurnKind.draft]
    assert [made.turns[i].text for i in drafts] == ["finish[Nobody Here]"]
    assert [t.train for t in made.turns[drafts[0] - 1 : drafts[0] + 2]] == [False, False, True]
    assert GO_ON in [m.content for m in model.prompts[-1]]
    (judged,) = asyncio.run(Outcome(environment=VILLAGE)(task, [made], {}))
    assert judged.mark is Mark.right  # what was withdrawn was never carried out
    task, made, _ = played_by(Following(actions, ["wrong"]))
    assert made.turns[-1].text == "Wrong."
    task, made, _ = played_by(Following(route(task)), reflect=False)
    assert TurnKind.critique not in {t.kind for t in made.turns}
    assert made.turns[-1].text == "Right."


def test_a_call_that_is_none_is_answered_and_an_episode_that_is_not_over_is_cut() -> None:
    _, made, _ = played_by(Following(["hm"] * 3), turns=3)
    assert made.turns[1].text == "hm\nThe mother of Nobody is Nobody."
    assert made.turns[2].text.startswith("Say one of search[...]")
    assert made.finish is Finish.length
    assert (word_of("It is right, or wrong"), word_of("Well.")) == ("wrong", None)


@pytest.mark.parametrize(
    ("action", "why"),
    [
        ("hang", "timed out after 0.3 s"),
        ("die", "process died (exit code 3)"),
        ("flood", "observation has 1,000,000 characters"),
        ("clock", "answers the same actions otherwise than it did"),
    ],
)
def test_an_environment_that_hangs_dies_floods_or_lies_ends_the_episode_with_its_reason(
    tmp_path_factory: pytest.TempPathFactory, action: str, why: str
) -> None:
    path = tmp_path_factory.mktemp("own") / "my_door.py"
    path.write_text(OWN.replace("def step(self, action):", "def step(self, action):\n        action = action[:-2]"))
    door = build_op(Environment, f"{path}:Door", where="environment")
    assert isinstance(door, Environment)
    (task,) = drawn()
    op = Group(environment=door, samples=1, seconds=0.3)
    (made,) = asyncio.run(op(task, {"self": Told(Following([f"{action}[]", "knock[]"]))}))
    assert made.flags == (SPOILED,)
    assert why in made.turns[-1].text
    (judged,) = asyncio.run(Outcome(environment=door)(task, [made], {}))
    assert (judged.mark, judged.score) == (Mark.invalid, None)
    assert why in judged.comment


class Falls(ScriptedEngine):
    """Pulls the plug at its ``at``-th ask. Keeps under which adapter each was answered."""

    def __init__(self, at: int = -1) -> None:
        super().__init__(parse_failures=0.0)
        self.left, self.adapters = at, list[str | None]()

    async def ask(self, policy: Policy, messages: Any, **more: Any) -> list[Reply]:
        self.left -= 1
        if self.left == 0:
            raise StoreError("pulled the plug")
        self.adapters.append(policy.weights.adapter)
        return await super().ask(policy, messages, **more)


GROUP = Group(environment=VILLAGE, samples=3, turns=3)


def digest(folder: Path) -> str:
    assert verified(folder).wrong == []
    with closing(Ledger.read(folder / "ledger.db")) as ledger:
        return ledger.content_digest()


def test_killed_at_fifteen_instants_within_episodes_the_ledger_is_the_same(tmp_path: Path) -> None:
    (tmp_path / "whole").mkdir()
    whole = Falls()
    solve(stored(run_in(tmp_path / "whole", whole), drawn()), GROUP, drawn())
    assert len(whole.adapters) > 15
    done = digest(tmp_path / "whole")
    for at in range(1, 16):
        folder = tmp_path / str(at)
        folder.mkdir()
        run = stored(run_in(folder, Falls(at)), drawn())
        with pytest.raises(StoreError, match="pulled the plug"):
            solve(run, GROUP, drawn())
        run.ledger.close()
        solve(run_in(folder, ScriptedEngine(parse_failures=0.0)), GROUP, drawn())
        with closing(Ledger.read(folder / "ledger.db")) as ledger:
            assert ledger.content_digest() == done, at
    assert digest(tmp_path / "15") == done


def test_each_role_acts_with_its_own_adapter_and_the_ledger_says_who_said_what(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = {role: adapter_of({**START, role: 1.0}) for role in ("plan", "tool", "reflect")}
    run = stored(run_in(tmp_path, Falls()), drawn(1))
    run.base = base_policy().model_copy(update={"adapters": own, "id": ""}).identified()
    held: list[int] = []
    monkeypatch.setattr(Step, "_hold", lambda self, models: held.append(len(self.op.plays)))
    (made, *_) = solve(stored(run, ()), GROUP, drawn(1))
    engine = run.engine
    assert isinstance(engine, Falls)
    assert set(engine.adapters) == set(own.values())
    assert held == [3]
    with closing(Ledger.read(tmp_path / "ledger.db")) as ledger:
        roles = {r["key"]: r["role"] for r in ledger.rows("journal")}
    said = {t.kind: roles[t.said.exchange] for t in made.turns if t.said is not None}
    assert said == {TurnKind.tool_call: "plan", TurnKind.assistant: "tool", TurnKind.critique: "reflect"}
    assert verified(tmp_path).wrong == []


def test_questions_are_written_from_examples_until_there_are_enough_and_only_those_that_can_be_answered() -> None:
    examples = drawn(4)
    goal = Objective(id="i1:o", ability="acting", tasks=6)
    model = Scripted()
    made = asyncio.run(PoseQuestions(own=2)([goal], examples, examples, {"self": model}))
    assert len(made) == 6
    assert len({c.task.canonical for c in made}) == 6
    assert {c.task.objective for c in made} == {"i1:o"}
    assert all(set(c.made_from) <= {t.id for t in examples} for c in made)
    assert all(c.task.private["answer"] for c in made)
    junk = Told(lambda _: "Who is the shoe of the King?")
    assert list(asyncio.run(PoseQuestions()([goal], examples, examples, {"self": junk}))) == []
    assert len(junk.prompts) == 20  # patience times as many as are wanted, in whole tens
    copy = Told(lambda _: examples[0].question)
    assert list(asyncio.run(PoseQuestions()([goal], examples, examples, {"self": copy}))) == []
    with pytest.raises(ConfigError, match="takes no questions"):
        asyncio.run(PoseQuestions(environment=build_op(Environment, "guess_number", where="environment"))(
            [goal], examples, examples, {"self": model}))  # fmt: skip


def test_tools_are_chosen_by_how_often_they_are_named_and_shown_in_another_order_each_time() -> None:
    tasks = drawn(3)
    model = Told(lambda _: "lookup[x] and finish, or the weather")
    made = [s for t in tasks for s in asyncio.run(ChooseTools(samples=2)(t, {"self": model}))]
    assert len({p[-1].content.partition("\n\n")[0] for p in model.prompts}) == 3
    said = [Experience(task=tasks[0], solution=s) for s in made]
    assert chosen(said, library_of(VILLAGE), 3) == ("lookup", "finish", "weather")
    assert chosen(said, library_of(VILLAGE), 4) == ("search", "lookup", "finish", "weather")
    shown = [Message(role=Role.user, content="news[x]?"), Message(role=Role.assistant, content="calculator[1 + 1]")]
    assert called(shown, library_of(VILLAGE)) == ("calculator",)
    assert chosen(said, library_of(VILLAGE), 3, ("calculator",)) == ("lookup", "calculator", "finish")
    assert chosen(said, library_of(VILLAGE), 1, ("search", "calculator")) == ("search", "calculator")
    with pytest.raises(ConfigError, match="no library"):
        library_of(build_op(Environment, "guess_number", where="environment"))


@pytest.mark.nightly
def test_a_thousand_scripted_episodes_take_less_than_a_minute(tmp_path: Path) -> None:
    began = time.process_time()
    made = solve(stored(run_in(tmp_path, Falls()), drawn(250)), Group(environment=VILLAGE, samples=4), drawn(250))
    assert len(made) == 1_000
    assert time.process_time() - began < 60
