"""Every turn that a model wrote knows in which reply of which model call it was said; no digest knows of it."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import ClassVar

import pytest

from instar.acquire.solutions.act import UseTools
from instar.engines.scripted.engine import ScriptedEngine
from instar.protocols import Correct, Models, Solve
from instar.records import Experience, Learn, Message, Policy, Reply, Said, Sampling, Solution, Task, Turn, TurnKind
from instar.refine.corrections.self_refine import SelfRefine
from instar.store.ledger import Ledger
from instar.store.readers.exchanges import exchange
from instar.store.verify import verify
from tests.run.test_run import SAMPLE, run_in, solve, task

TASKS = [task(1), task(2), task(3)]


class ByHand(Solve):
    """An operator of another package: it makes turns itself, and knows nothing of where they were said."""

    name: ClassVar[str] = "by_hand"

    async def __call__(self, task: Task, models: Models) -> Sequence[Solution]:
        replies = await models["self"].ask(task.messages, n=3, sampling=Sampling(max_tokens=8))
        edited = Turn(text=f"{replies[2].text} (edited)")
        turns = [Turn(text=r.text, token_ids=r.token_ids) for r in replies[:2]]
        return [made(task, r, t) for r, t in zip(replies, [*turns, edited], strict=True)]


class Again(Correct):
    """A corrector of another package."""

    name: ClassVar[str] = "again"

    async def __call__(self, experience: Experience, models: Models) -> Sequence[Solution]:
        hinted = (*experience.task.messages, *experience.task.messages)
        (reply,) = await models["self"].ask(hinted, n=1, sampling=Sampling(max_tokens=8))
        return [made(experience.task, reply, Turn(text=reply.text))]


class Twin(ScriptedEngine):
    """Says the same in every sample."""

    async def ask(self, policy: Policy, messages: Sequence[Message], **more: object) -> list[Reply]:
        replies = await super().ask(policy, messages, **more)  # type: ignore[arg-type]  # handed on as it came
        return [replies[0] for _ in replies]


class Calls(ScriptedEngine):
    """Calls a tool, and goes on talking as if it had an answer; asked again, it answers."""

    async def ask(self, policy: Policy, messages: Sequence[Message], **more: object) -> list[Reply]:
        replies = await super().ask(policy, messages, **more)  # type: ignore[arg-type]  # handed on as it came
        text = "Answer: 2" if len(messages) > 1 else "I add: calculator[1 + 1]\nObservation: 3"
        return [r.model_copy(update={"text": text}) for r in replies]


def made(task: Task, reply: Reply, *turns: Turn) -> Solution:
    return Solution(task=task.id, turns=turns, policy=reply.policy, engine=reply.engine, precision=reply.precision,
                    sampling=Sampling(max_tokens=8), finish=reply.finish)  # fmt: skip


def stored(folder: Path) -> list[Solution]:
    with closing(Ledger.read(folder / "ledger.db")) as ledger:
        return [s for s in ledger.records("solution") if isinstance(s, Solution)]


def lead_there(folder: Path) -> int:
    """How many pointers of the stored solutions lead to the very words of their turn: all of them must."""
    count = 0
    with closing(Ledger.read(folder / "ledger.db")) as ledger:
        for turn in (t for s in stored(folder) for t in s.turns if t.said is not None):
            assert turn.said is not None
            reply = exchange(ledger, turn.said.exchange).replies[turn.said.reply]
            assert reply.text[: turn.said.chars] == turn.text
            count += 1
    return count


def test_a_sampled_answer_knows_its_reply_when_it_is_made_and_when_it_is_read(tmp_path: Path) -> None:
    fresh = solve(run_in(tmp_path, ScriptedEngine()), SAMPLE, TASKS)
    assert [s.turns[0].said.reply for s in fresh if s.turns[0].said] == [0, 1, 2] * 3
    read = {s.id: s for s in stored(tmp_path)}
    assert all(read[s.id].turns[0].said == s.turns[0].said for s in fresh)
    assert {s.turns[0].said.learn for s in fresh if s.turns[0].said} == {Learn.as_asked}
    assert lead_there(tmp_path) == 9


def test_equal_samples_stay_equal_though_they_were_said_in_different_replies(tmp_path: Path) -> None:
    fresh = solve(run_in(tmp_path, Twin()), SAMPLE, TASKS[:1])
    assert len({s.digest for s in fresh}) == 1
    assert len({s.turns for s in fresh}) == 1
    assert [s.turns[0].said.reply for s in fresh if s.turns[0].said] == [0, 1, 2]
    assert "said" not in fresh[0].model_dump_json()


def test_an_operator_that_knows_nothing_of_it_has_its_turns_pointed_to_but_not_those_it_edited(tmp_path: Path) -> None:
    fresh = solve(run_in(tmp_path, ScriptedEngine()), ByHand(), TASKS[:1])
    said = [s.turns[0].said for s in fresh]
    assert [None if at is None else at.reply for at in said] == [0, 1, None]
    assert lead_there(tmp_path) == 2


def test_of_equal_replies_each_is_taken_once(tmp_path: Path) -> None:
    fresh = solve(run_in(tmp_path, Twin()), ByHand(), TASKS[:1])
    assert [s.turns[0].said.reply for s in fresh if s.turns[0].said] == [0, 1]


@pytest.mark.parametrize("op", [SelfRefine(attempts=1, scale=None, stop="never at all"), Again()])
def test_what_a_corrector_makes_is_learned_plainly(tmp_path: Path, op: Correct) -> None:
    run = run_in(tmp_path, ScriptedEngine())

    async def both() -> list[Experience]:
        models = run.models(run.base)
        return await run.correct(op, await run.solve(SAMPLE, TASKS[:1], models), models)

    rewritten = asyncio.run(both())
    run.ledger.close()
    assert rewritten
    for e in rewritten:
        trained = [t for t in e.solution.turns if t.train]
        assert [t.said.learn for t in trained if t.said] == [Learn.plainly]
    lead_there(tmp_path)


def test_a_critique_and_a_draft_know_where_they_were_said_too(tmp_path: Path) -> None:
    test_what_a_corrector_makes_is_learned_plainly(tmp_path, SelfRefine(attempts=1, scale=None, stop="never at all"))
    asides = [t for s in stored(tmp_path) for t in s.turns if t.kind is TurnKind.critique]
    assert asides
    assert all(t.said is not None and t.token_ids is None for t in asides)


def test_a_reply_that_was_cut_after_its_tool_call_is_pointed_to_up_to_there(tmp_path: Path) -> None:
    op = UseTools(samples=2, tools=("calculator",), tell=False)
    fresh = solve(run_in(tmp_path, Calls()), op, TASKS[:1])
    call, observed, answer = fresh[1].turns
    assert call.text == "I add: calculator[1 + 1]"
    assert call.said is not None
    assert (call.said.reply, call.said.chars) == (1, len(call.text))
    assert observed.said is None
    assert answer.said is not None
    assert answer.said.chars is None
    assert call.said.exchange != answer.said.exchange
    assert lead_there(tmp_path) == 4


def test_a_replayed_call_points_where_it_did(tmp_path: Path) -> None:
    first = solve(run_in(tmp_path, ScriptedEngine()), SAMPLE, TASKS)
    with closing(sqlite3.connect(tmp_path / "ledger.db")) as raw, raw:  # as if it had been killed before it was kept
        raw.execute("delete from calls")
        raw.execute("delete from records where kind = 'solution'")
    again = run_in(tmp_path, ScriptedEngine())
    second = solve(again, SAMPLE, TASKS)
    assert again.generate_context.asked == 0
    assert [s.turns[0].said for s in second] == [s.turns[0].said for s in first]
    lead_there(tmp_path)


@pytest.mark.parametrize(
    ("pointers", "says"),
    [
        ("[[0,0,7]]", "is not what was said"),
        ("[[5,0,0]]", "is not what was said"),
        ('[[0,"i1:none",0]]', "is not what was said"),
        ("[[0,0,0,3]]", "is not what was said"),
        ("[[0,0,0,null,2]]", "cannot be read"),
        ("[[0,0]]", "cannot be read"),
        ("[0]", "cannot be read"),
        ("{", "cannot be read"),
    ],
)
def test_a_pointer_that_was_changed_is_noticed(tmp_path: Path, pointers: str, says: str) -> None:
    solve(run_in(tmp_path, ScriptedEngine()), SAMPLE, TASKS[:1])
    path = tmp_path / "ledger.db"
    with closing(sqlite3.connect(path)) as raw, raw:
        raw.execute("update records set pointers = ? where kind = 'solution' and idx = 0", (pointers,))
    with closing(Ledger.read(path)) as ledger:
        assert any(says in w for w in verify(ledger))


def test_where_it_was_said_is_in_no_dump() -> None:
    turn = Turn(text="4", said=Said(exchange="i1:e", reply=0))
    assert turn.model_dump() == Turn(text="4").model_dump()
    assert turn == Turn(text="4")
    assert hash(turn) == hash(Turn(text="4"))
    assert turn != Turn(text="4", train=False)
