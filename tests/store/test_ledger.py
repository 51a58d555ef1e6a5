"""The ledger keeps what it was told, in one transaction, and notices what was changed behind its back."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from instar.errors import LockError, StoreError
from instar.records import Decision, Exchange, Finish, Policy, Reply, Weights, hash_of, mint
from instar.store import schema
from instar.store.ledger import Ledger, Made
from instar.store.lock import WriterLock, holder_of
from instar.store.verify import verify

FIELDS = {"op": "by_hand", "version": 1}
OP = hash_of("op", FIELDS)


def decision(i: int, inputs: tuple[str, ...] = ()) -> Made:
    d = Decision(item=f"item-{i}", kept=True, reason="because")
    return Made(d.model_copy(update={"id": mint("decision", OP, inputs, 1, i)}), OP, 1, i, inputs)


def policy(name: str) -> Made:
    p = Policy(weights=Weights(place="scripted", digest=name)).identified()
    return Made(p, OP, 0, 0)


@pytest.fixture
def ledger(tmp_path: Path):
    ledger = Ledger(tmp_path / "ledger.db")
    ledger.ensure_op(OP, "by_hand", FIELDS, "source")
    ledger.begin_step("step", "filter", OP, 1, 1000)
    yield ledger
    ledger.close()


def test_outputs_edges_and_finished_are_there_together(ledger: Ledger) -> None:
    first = decision(0)
    second = decision(1, (first.record.id,))
    asyncio.run(ledger.finish_call("call", "step", "item", [first, second], 0.0))
    call = ledger.stored_calls(["call", "good", "bad"])["call"]
    assert call.status == "finished"
    assert ledger.records(ids=call.outputs) == [first.record, second.record]
    assert ledger.ancestors(second.record.id) == {first.record.id}
    assert ledger.children([first.record.id]) == {first.record.id: [second.record.id]}
    assert verify(ledger) == []


def test_a_write_that_fails_leaves_nothing_behind_and_its_neighbours_unharmed(ledger: Ledger) -> None:
    bad = Made(decision(7).record.model_copy(update={"id": None}), OP, 1, 7)

    async def both() -> list[BaseException | None]:
        good = ledger.finish_call("good", "step", "a", [decision(1)], 0.0)
        broken = ledger.finish_call("bad", "step", "b", [decision(2), bad], 0.0)
        return await asyncio.gather(good, broken, return_exceptions=True)

    ok, failed = asyncio.run(both())
    assert ok is None
    assert isinstance(failed, Exception)
    assert set(ledger.stored_calls(["call", "good", "bad"])) == {"good"}
    assert [r.item for r in ledger.records("decision")] == ["item-1"]


def test_a_step_that_is_replayed_ended_when_it_did(ledger: Ledger) -> None:
    def finished() -> list[float]:
        ledger.begin_step("replayed", "solve", "op", 1, 3)
        asyncio.run(ledger.finish_step("replayed"))
        return [s["ended"] for s in ledger.rows("steps") if s["key"] == "replayed"]

    assert finished() == finished()


def test_a_tolerated_failure_becomes_final_with_its_step(ledger: Ledger) -> None:
    asyncio.run(ledger.fail_call("call", "step", "item", "it broke", 0.0))
    assert ledger.stored_calls(["call", "good", "bad"])["call"].status == "failed"
    asyncio.run(ledger.finish_step("step"))
    assert ledger.stored_calls(["call", "good", "bad"])["call"].status == "dropped"


def test_a_journalled_ask_comes_back_as_it_was(ledger: Ledger) -> None:
    reply = Reply(text="sé \ud800ok".encode("utf-8", "ignore").decode(), finish=Finish.stop, policy="p", engine="e",
                  precision="f32", token_ids=(1, 2), prompt_tokens=3, tokens=2)  # fmt: skip
    asked = Exchange(id="key", call="call", turn=0, ask="asked", policy="p", engine="e", precision="f32",
                     replies=(reply,))  # fmt: skip
    asyncio.run(ledger.add_exchange(asked, "step", 0.1))
    assert ledger.stored_asks(["call"]) == {"key": ("asked", (reply,))}
    assert ledger.asked() == {"calls": 1, "prompt_tokens": 3, "tokens": 2}


def test_content_ignores_times_and_order_but_not_content(tmp_path: Path) -> None:
    digests = []
    for name, order in (("a", [1, 2]), ("b", [2, 1]), ("c", [1, 3])):
        ledger = Ledger(tmp_path / f"{name}.db")
        for i in order:
            asyncio.run(ledger.finish_call(f"call-{i}", "step", "x", [decision(i)], float(i)))
        digests.append(ledger.content_digest())
        ledger.close()
    assert digests[0] == digests[1]
    assert digests[0] != digests[2]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("update records set body = replace(body, 'because', 'bribed')", "does not match its digest"),
        ("update records set round = 9", "by what it says made it"),
        ("delete from records where idx = 0", "which is not there"),
        ("update records set body = '{}'", "cannot be read"),
    ],
)
def test_verify_names_what_was_changed_behind_its_back(ledger: Ledger, change: str, says: str) -> None:
    first = decision(0)
    asyncio.run(ledger.finish_call("call", "step", "x", [first, decision(1, (first.record.id,))], 0.0))
    assert verify(ledger) == []
    with sqlite3.connect(ledger.path) as raw:
        raw.execute(change)
    raw.close()
    assert any(says in w for w in verify(ledger))


def test_a_policy_is_verified_by_what_it_is(ledger: Ledger) -> None:
    ledger.add_records([policy("w1")])
    assert verify(ledger) == []
    with sqlite3.connect(ledger.path) as raw:
        raw.execute("update records set body = replace(body, '\"w1\"', '\"w2\"')")
    raw.close()
    assert verify(ledger) != []


def test_a_reader_sees_a_run_while_it_is_written(ledger: Ledger) -> None:
    reader = Ledger.read(ledger.path)
    assert reader.records("decision") == []
    asyncio.run(ledger.finish_call("call", "step", "x", [decision(0)], 0.0))
    assert len(reader.records("decision")) == 1
    with pytest.raises(StoreError, match="reading only"):
        reader.add_records([decision(1)])
    reader.close()


def test_a_second_writer_is_refused_with_the_name_of_the_first(tmp_path: Path) -> None:
    code = f"""
        import sys, time
        from pathlib import Path
        from instar.store.lock import WriterLock
        with WriterLock(Path({str(tmp_path / "lock")!r})):
            print("held", flush=True)
            time.sleep(60)
    """
    other = subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE)
    assert other.stdout is not None
    assert other.stdout.readline() == b"held\n"
    with pytest.raises(LockError, match=f"process {other.pid} on"), WriterLock(tmp_path / "lock"):
        pass
    found = holder_of(tmp_path / "lock")
    assert found is not None
    assert found["pid"] == other.pid
    other.kill()
    other.wait()
    other.stdout.close()
    with WriterLock(tmp_path / "lock"):
        pass
    assert holder_of(tmp_path / "lock") is None


def test_a_ledger_of_a_newer_instar_is_refused(tmp_path: Path) -> None:
    Ledger(tmp_path / "l.db").close()
    with sqlite3.connect(tmp_path / "l.db") as raw:
        raw.execute("update about set value = '99' where key = 'schema'")
    raw.close()
    with pytest.raises(StoreError, match="99"):
        Ledger(tmp_path / "l.db")


def test_an_older_ledger_is_brought_up_to_date(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Ledger(tmp_path / "l.db").close()
    monkeypatch.setattr(schema, "SCHEMA_VERSION", newer := schema.SCHEMA_VERSION + 1)
    with pytest.raises(StoreError, match="no migration"):
        Ledger(tmp_path / "l.db")
    monkeypatch.setitem(schema.MIGRATIONS, newer - 1, lambda c: c.exec_driver_sql("create table extra (x)"))
    ledger = Ledger(tmp_path / "l.db")
    assert ledger.about()["schema"] == str(newer)
    ledger.close()


def test_a_file_that_is_no_ledger_is_refused(tmp_path: Path) -> None:
    (tmp_path / "l.db").write_text("this is not a database, it is a letter to my aunt" * 50)
    with pytest.raises(StoreError, match="cannot be opened as a ledger"):
        Ledger(tmp_path / "l.db")
    with pytest.raises(StoreError, match="there is no ledger"):
        Ledger.read(tmp_path / "none.db")


def test_a_ledger_that_is_just_being_made_is_said_to_hold_nothing_yet(tmp_path: Path) -> None:
    (tmp_path / "l.db").touch()
    with pytest.raises(StoreError, match="holds nothing yet"):
        Ledger.read(tmp_path / "l.db")


def test_forged_lineage_and_sets_are_noticed(ledger: Ledger) -> None:
    first = decision(0)
    asyncio.run(ledger.finish_call("call", "step", "x", [first, decision(1, (first.record.id,))], 0.0))
    assert verify(ledger) == []
    with sqlite3.connect(ledger.path) as raw:
        raw.execute("delete from links")
    raw.close()
    assert any("made_from edges" in w for w in verify(ledger))


def test_a_write_that_nobody_waits_for_any_more_is_done_and_the_next_one_too(ledger: Ledger) -> None:
    async def given_up() -> None:
        waiting = [asyncio.create_task(ledger.finish_call(f"c{i}", "step", "x", [decision(i)], 0.0)) for i in range(50)]
        await asyncio.sleep(0)
        for w in waiting:
            w.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        await ledger.finish_call("last", "step", "x", [decision(99)], 0.0)

    asyncio.run(given_up())
    assert "last" in ledger.stored_calls(["last"])
    assert verify(ledger) == []
