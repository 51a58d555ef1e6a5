"""An exchange is what was asked and what came back, word for word: of a ledger of today, and as far as can be of an old
one."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pytest

from instar.engines.scripted.engine import ScriptedEngine
from instar.errors import StoreError
from instar.records import Exchange, Finish, Message, Policy, Prompt, Reply, Role, Sampling, Task
from instar.records.exchange import ask_hash, ask_key, seed_of
from instar.store.ledger import Ledger
from instar.store.readers.exchanges import exchange, exchanges, of_call
from instar.store.verify import verify
from tests.fixtures.ledgers.make import SHOTS
from tests.fixtures.ledgers.old import unpack
from tests.run.test_run import SAMPLE, run_in, solve, task

COOL = Sampling(temperature=0.7, top_k=40, max_tokens=48)
CALL = "i1:0123456789abcdef0123456789abcdef"
STEP = "i1:step"


def said(*words: str) -> tuple[Message, ...]:
    roles = [Role.user, Role.assistant]
    return tuple(Message(role=roles[i % 2], content=w) for i, w in enumerate(words))


def made(messages: Sequence[Message], turn: int = 0, role: str = "self", prompt: Prompt | None = None) -> Exchange:
    key = ask_key(CALL, turn, role)
    reply = Reply(text="Answer: é", finish=Finish.stop, policy="p", engine="e", precision="f32", token_ids=(1, 2),
                  prompt_tokens=3, tokens=2)  # fmt: skip
    return Exchange(
        id=key, call=CALL, turn=turn, role=role, ask=ask_hash(messages, 2, COOL, "p", "f32"), policy="p", engine="e",
        precision="f32", replies=(reply, reply), messages=tuple(messages), sampling=COOL, seed=seed_of(key),
        weights="i1:w", prompt=prompt,
    )  # fmt: skip


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    ledger = Ledger(tmp_path / "ledger.db")
    ledger.ensure_op("i1:op", "by_hand", {}, "source")
    ledger.begin_step(STEP, "solve", "i1:op", 1, 1)
    yield ledger
    ledger.close()


def keep(ledger: Ledger, *all_of_them: Exchange) -> None:
    async def together() -> None:
        await asyncio.gather(*(ledger.add_exchange(e, STEP, 0.1) for e in all_of_them))

    asyncio.run(together())


def count(path: Path, table: str) -> int:
    with closing(sqlite3.connect(path)) as raw:
        return int(raw.execute(f"select count(*) from {table}").fetchone()[0])


def wrong(ledger: Ledger) -> list[str]:
    """What verify says, but of this ledger's operator, which is made up."""
    return [w for w in verify(ledger) if "operator" not in w]


def test_an_exchange_comes_back_as_it_was(ledger: Ledger) -> None:
    first = made(said("2 + 2?"), prompt=Prompt(reader="i1:r", ids=(5, 6, 7)))
    judged = made(said("Is it right: 5?"), role="judge")
    keep(ledger, first, judged)
    assert exchange(ledger, first.id) == first
    assert exchange(ledger, first.id).digest == first.digest
    assert of_call(ledger, CALL) == [first, judged]
    assert exchanges(ledger, [judged.id, first.id]) == {first.id: first, judged.id: judged}
    assert wrong(ledger) == []


def test_a_model_call_that_is_not_there_is_said_to_be_missing(ledger: Ledger) -> None:
    keep(ledger, made(said("2 + 2?")))
    with pytest.raises(StoreError, match="holds no model call i1:none"):
        exchange(ledger, "i1:none")
    assert of_call(ledger, "i1:none") == []


def test_what_a_dialogue_repeats_is_stored_once(ledger: Ledger) -> None:
    words = [f"word {i}" for i in range(9)]
    asks = [made(said(*words[: 2 * i + 1]), turn=i) for i in range(5)]
    keep(ledger, *asks[:3])
    keep(ledger, *asks[3:])
    assert count(ledger.path, "messages") == 9
    assert of_call(ledger, CALL) == asks


def test_two_prompts_that_only_end_alike_share_nothing(ledger: Ledger) -> None:
    one, other = made(said("a", "b", "c"), 0), made(said("x", "b", "c"), 1)
    keep(ledger, one, other)
    assert count(ledger.path, "messages") == 6
    assert [e.messages for e in of_call(ledger, CALL)] == [one.messages, other.messages]


def test_what_engines_read_is_stored_once_and_told_apart_by_who_reads_it(ledger: Ledger) -> None:
    prompts = [Prompt(reader="i1:r", ids=(1, 2)), Prompt(reader="i1:r", ids=(1, 2)), Prompt(reader="i1:q", ids=(1, 2))]
    asks = [made(said("2 + 2?"), turn=i, prompt=p) for i, p in enumerate(prompts)]
    keep(ledger, *asks)
    assert count(ledger.path, "prompts") == 2
    assert [e.prompt for e in of_call(ledger, CALL)] == prompts


def test_what_an_engine_read_is_no_part_of_a_stored_reply() -> None:
    reply = made(said("2 + 2?")).replies[0]
    told = reply.model_copy(update={"prompt": Prompt(reader="i1:r", ids=(1, 2))})
    assert told.model_dump_json() == reply.model_dump_json()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("update messages set content = 'another' where content = 'c'", "message i1:"),
        ("update messages set role = 'system' where content = 'a'", "message i1:"),
        ("delete from messages where content = 'a'", "which is not there"),
        ("delete from messages where content = 'c'", "not all there"),
        ("update prompts set ids = '[1,3]'", "prompt i1:"),
        ("update prompts set reader = 'i1:q'", "prompt i1:"),
        ("delete from prompts", "the prompt of the ask"),
        ("update journal set role = 'judge'", "its digest"),
        ("update journal set role = null", "its digest"),
        ("update journal set sampling = replace(sampling, '48', '49')", "its digest"),
        ("update journal set seed = seed + 1", "its seed"),
        ("update journal set weights = 'i1:v'", "its digest"),
        ("update journal set messages = null", "does not say what was shown"),
    ],
)
def test_whatever_is_changed_of_an_exchange_is_noticed(ledger: Ledger, change: str, says: str) -> None:
    keep(ledger, made(said("a", "b", "c"), prompt=Prompt(reader="i1:r", ids=(1, 2))))
    assert wrong(ledger) == []
    with closing(sqlite3.connect(ledger.path)) as raw, raw:
        raw.execute(change)
    assert any(says in w for w in wrong(ledger)), wrong(ledger)


@pytest.mark.parametrize(
    "change",
    [
        "delete from messages where content = 'a'",
        "update messages set content = 'another' where content = 'b'",
        "delete from prompts",
        "update journal set weights = 'i1:v'",
    ],
)
def test_a_changed_exchange_is_not_given(ledger: Ledger, change: str) -> None:
    asked = made(said("a", "b", "c"), prompt=Prompt(reader="i1:r", ids=(1, 2)))
    keep(ledger, asked)
    with closing(sqlite3.connect(ledger.path)) as raw, raw:
        raw.execute(change)
    with pytest.raises(StoreError, match=r"not there|not all there|were changed"):
        exchange(ledger, asked.id)


class Reads(ScriptedEngine):
    """The scripted model, which says what it read: the length of each word."""

    async def ask(self, policy: Policy, messages: Sequence[Message], **more: object) -> list[Reply]:
        ids = tuple(len(w) for m in messages for w in m.content.split())
        replies = await super().ask(policy, messages, **more)  # type: ignore[arg-type]  # handed on as it came
        return [r.model_copy(update={"prompt": Prompt(reader="i1:words", ids=ids)}) for r in replies]


def test_a_run_journals_what_it_showed_to_whom_and_what_was_read(tmp_path: Path) -> None:
    run = run_in(tmp_path, Reads())
    solve(run, SAMPLE, [task(1), task(2)])
    with closing(Ledger.read(tmp_path / "ledger.db")) as ledger:
        (calls, _) = zip(*[(row["key"], row["item"]) for row in ledger.rows("calls")], strict=True)
        found = {e.messages: e for call in calls for e in of_call(ledger, call)}
        assert set(found) == {run.base.prompt(task(1)), run.base.prompt(task(2))}
        e = found[run.base.prompt(task(1))]
        assert (e.role, e.sampling, e.policy, e.weights) == ("self", SAMPLE.sampling, run.base.id,
                                                             run.base.weights.digest)  # fmt: skip
        assert e.prompt is not None
        assert e.prompt.ids[-4:] == (9, 1, 1, 2)  # Calculate 1 + 1.
        assert [w for w in verify(ledger) if "which is not there" not in w] == []  # its tasks were never stored


# --- ledgers of schema 1 ----------------------------------------------------------------------------------------------


def old(name: str, runs: Path) -> list[Exchange]:
    with closing(Ledger.read(unpack(name, runs) / "ledger.db")) as ledger:
        return [e for row in ledger.rows("calls") for e in of_call(ledger, row["key"])]


def test_of_an_old_ledger_the_prompts_of_tasks_are_known_and_who_was_asked(tmp_path: Path) -> None:
    found = old("rest_em-finished", tmp_path)
    assert len(found) == 110
    for e in found:
        assert e.role == "self"
        assert e.messages is not None
        assert e.sampling is not None
        assert ask_hash(e.messages, len(e.replies), e.sampling, e.policy, e.precision) == e.ask
        assert e.prompt is None
    assert {e.sampling.temperature for e in found if e.sampling} == {0.0, 0.7}


def test_the_few_shots_of_an_old_policy_were_shown(tmp_path: Path) -> None:
    shown = [e.messages for e in old("few_shots-finished", tmp_path)]
    assert all(m is not None and [(x.role, x.content) for x in m[-3:-1]] == list(SHOTS) for m in shown)


def test_what_an_old_judge_was_asked_is_not_known_but_that_it_was_the_judge(tmp_path: Path) -> None:
    found = old("judged-finished", tmp_path)
    assert {e.role for e in found} == {"self", "judge"}
    assert all((e.messages is None) == (e.role == "judge") for e in found)


def test_of_an_old_correction_only_what_can_be_proven_is_known(tmp_path: Path) -> None:
    found = old("self_refine-finished", tmp_path)
    assert {e.turn > 0 for e in found if e.messages is None} == {True, False}
    assert any(e.messages is not None for e in found)


def test_words_that_the_old_hash_does_not_confirm_are_not_believed(tmp_path: Path) -> None:
    folder = unpack("rest_em-finished", tmp_path)
    with closing(sqlite3.connect(folder / "ledger.db")) as raw, raw:
        raw.execute(
            """update records set body = replace(body, '"content":"', '"content":"Now: ') where kind = 'task'"""
        )
    with closing(Ledger.read(folder / "ledger.db")) as ledger:
        tasks = [t for t in ledger.records("task") if isinstance(t, Task)]
        found = [e for row in ledger.rows("calls") for e in of_call(ledger, row["key"])]
    assert tasks
    assert {e.messages for e in found} == {None}
