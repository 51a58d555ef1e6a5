"""What the ledger is told and what it tells: records on their way in, calls, asks; and the rows they become."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import groupby, islice
from typing import Any

from sqlalchemy import Connection, Table, select, text
from sqlalchemy.dialects.sqlite import insert as upsert

from instar.errors import Redacted, StepFailed, StoreError
from instar.legible import storable
from instar.records import KINDS, Learn, Learned, Record, canonical_json, hash_of
from instar.store import schema as t
from instar.store.pointers import left_to, pointers_of, with_id, with_pointers, without
from instar.store.unread import TOGETHER

GONE, GONE_LIST = "{}", "[]"
"""What stands in the place of a body, or of replies and token ids, that had to go: JSON that says nothing, so that SQL
over the others goes on working."""


@dataclass(frozen=True)
class Made:
    """A record on its way into the ledger: what it was made from, and which records it decides on."""

    record: Record
    op: str
    round: int
    index: int
    inputs: tuple[str, ...] = ()
    decides: tuple[str, ...] = ()
    learned: tuple[Learned, ...] | None = None
    """Of a policy: what it learned, which may be nothing; None where nobody said."""
    left: frozenset[int] | None = None
    """Not None: it is stored briefly, without what its row or a default says. Of a solution these are then the turns
    that are, to the last token, the replies that they point to: what they say is not stored again."""


@dataclass(frozen=True)
class StoredCall:
    """A call the ledger already knows: its status, and the ids of its outputs in order."""

    status: str
    outputs: tuple[str, ...]
    error: str | None


def read_record(
    id: str, kind: str, body: str, pointers: str | None = None, call: str = "",
    replies: Mapping[str, Any] | None = None,
) -> Record:  # fmt: skip
    """A stored record, with what lies beside it. ``replies``: of the exchanges that it left words to, as JSON. Raises
    StoreError for a kind this instar does not know."""
    if kind not in KINDS:
        raise StoreError(f"the ledger holds a record of unknown kind {kind!r}.", "Was it written by a newer instar?")
    return with_pointers(with_id(KINDS[kind].model_validate_json(body), id), pointers, call, replies or {})


def whole_records(
    rows: Iterable[Sequence[Any]], replies_of: Callable[[list[str]], Iterable[Sequence[Any]]],
    refuse: Callable[[str, bool], None],
) -> Iterator[Record]:  # fmt: skip
    """Records from rows of (id, kind, body, pointers, call), with the words that were left to exchanges.

    ``replies_of`` gives (id, replies as text) of exchanges; ``refuse`` is asked about an id and whether it is empty.
    """
    waiting = iter(rows)
    while some := list(islice(waiting, TOGETHER)):
        left = [left_to(pointers, call) for *_, pointers, call in some]
        asked = sorted({said.exchange for turns in left for said in turns.values()})
        replies = {key: json.loads(said) for key, said in replies_of(asked)} if asked else {}
        for (id, kind, body, pointers, call), turns in zip(some, left, strict=True):
            refuse(id, body == GONE)
            for said in turns.values():  # what it says stood in a model call that is gone
                refuse(said.exchange, replies.get(said.exchange) == [])
            yield read_record(id, kind, body, pointers, call, replies)


def redacted(id: str, what: str, reason: str, at: float) -> Redacted:
    """What whoever reads it is told of something that had to go."""
    day = time.strftime("%Y-%m-%d", time.localtime(at))
    return Redacted(f"the {what} {id} was redacted on {day}: {reason}.", "Its digest is all that is left.")


def record_rows(made: Sequence[Made], call: str) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The rows of records, and of the edges that hang on them."""
    rows = [
        {
            "id": m.record.id,
            "kind": m.record.kind,
            "digest": m.record.digest,
            "call": call,
            "body": m.record.model_dump_json() if m.left is None else _briefly(m.record, m.left),
            "op": m.op,
            "round": m.round,
            "idx": m.index,
            "inputs": canonical_json(list(m.inputs)),
            "pointers": pointers_of(m.record, call, m.left or ()),
            **({} if m.left is None else {"brief": True}),
        }
        for m in made
    ]
    pairs = [(m.record.id, "made_from", p) for m in made for p in dict.fromkeys(m.inputs)]
    pairs += [(d, "decided_by", m.record.id) for m in made for d in m.decides]
    edges = [{"child": c, "type": kind, "parent": p} for c, kind, p in pairs if c != p]
    return rows, edges


def _briefly(record: Record, left: Collection[int]) -> str:
    """The body of a record of which there are many, and which are read one by one: what follows is left out."""
    return without(record, left).model_dump_json(exclude={"id"}, exclude_defaults=True)


def learned_rows(made: Sequence[Made], call: str) -> list[dict[str, Any]]:
    """What the policies among these learned. Of one that learned nothing there is a row that names no answer: it is not
    stored, and that it was said is (see ``learn``)."""
    rows: list[dict[str, Any]] = []
    for m in made:
        of = {"policy": m.record.id, "call": call}
        if m.learned is not None and not m.learned:
            rows.append({**of, "solution": None, "turn": 0, "how": 0, "sign": 1})
        for learned in m.learned or ():
            how = int(learned.how is Learn.plainly)
            rows.append({**of, "solution": learned.solution, "turn": learned.turn, "how": how, "sign": learned.sign})
    return rows


def call_row(
    key: str, step: str, item: str, status: str, outputs: list[str], error: str | None, started: float
) -> dict[str, Any]:
    """The row of a call."""
    return {
        "key": key,
        "step": step,
        "item": item,
        "status": status,
        "outputs": canonical_json(outputs),
        "error": error,
        "started": started,
        "ended": time.time(),
    }


def span_rows(session: int, spans: dict[str, tuple[float, int]]) -> list[dict[str, Any]]:
    """The rows of a session's seconds."""
    return [{"session": session, "phase": p, "seconds": s, "tokens": n} for p, (s, n) in spans.items()]


@dataclass(frozen=True)
class Rows:
    """What one write adds. Writes that wait together are merged, so it says what, not how."""

    records: list[dict[str, Any]] = field(default_factory=list)
    edges: list[dict[str, Any]] = field(default_factory=list)
    learned: list[dict[str, Any]] = field(default_factory=list)
    calls: list[dict[str, Any]] = field(default_factory=list)
    asks: list[dict[str, Any]] = field(default_factory=list)
    messages: list[dict[str, Any]] = field(default_factory=list)
    prompts: list[dict[str, Any]] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    """Records that a call had made and, made again, no longer makes."""


def write_rows(c: Connection, writes: Sequence[Rows]) -> None:
    """All of these writes, one statement a table. Raises StepFailed as ``refuse_other_content``."""
    records = [r for w in writes for r in w.records]
    if gone := remove(c, [i for w in writes for i in w.gone]):
        records = [{**r, "n": gone.pop(r["id"], None)} for r in records]
        c.execute(t.links.delete().where(t.links.c.parent.in_(gone.values())))
    refuse_other_content(c, records)
    if ripe := [r for r in records if r["kind"] == "policy"]:
        c.execute(_RIPEN, ripe)
    insert_records(c, records)
    link(c, [r for w in writes for r in w.edges])
    learn(c, [r for w in writes for r in w.learned])
    upsert_all(c, t.calls, [r for w in writes for r in w.calls], ("key",))
    insert_new(c, t.messages, [r for w in writes for r in w.messages])
    insert_new(c, t.prompts, [r for w in writes for r in w.prompts])
    upsert_all(c, t.journal, [r for w in writes for r in w.asks], ("key",))


_BRIEF = text("""insert or ignore into records (n, id, kind, digest, body, op, round, idx, inputs, call, pointers)
select :n, :id, :kind, :digest, :body, :op, :round, :idx,
  (select json_group_array(coalesce((select n from records where id = i.value), i.value)) from json_each(:inputs) i),
  :call, :pointers""")


def insert_records(c: Connection, rows: Sequence[dict[str, Any]]) -> None:
    """Append records in their order; one that is there already stays. Those that are brief say by numbers what they
    were made from."""
    for brief, some in groupby(rows, lambda r: r.get("brief", False)):
        if brief:
            c.execute(_BRIEF, [_sound({"n": None, **r}) for r in some])
        else:
            insert_new(c, t.records, list(some))


# a policy that a rollout had half way may be what the training ends with: then it is no passing one any more
_RIPEN = text("""update records set digest = :digest, body = :body, op = :op, round = :round, idx = :idx,
  inputs = :inputs, call = :call
where id = :id and json_extract(body, '$.weights.place') = 'transient'
  and json_extract(:body, '$.weights.place') <> 'transient'""")


def remove(c: Connection, ids: Sequence[str]) -> dict[str, int]:
    """Take these records out, with what they were made from and decided by. Returns their numbers: what is made again
    under the same id gets the same, for others may hang on it."""
    numbers: dict[str, int] = {}
    for i in range(0, len(ids), 500):
        query = select(t.records.c.id, t.records.c.n).where(t.records.c.id.in_(ids[i : i + 500]))
        found = {r.id: r.n for r in c.execute(query)}
        c.execute(t.links.delete().where(t.links.c.child.in_(found.values())))
        c.execute(t.records.delete().where(t.records.c.n.in_(found.values())))
        numbers |= found
    return numbers


_LINK = text("""insert or ignore into links (child, type, parent)
select c.n, :type, p.n from records c, records p where c.id = :child and p.id = :parent""")


def link(c: Connection, edges: Sequence[dict[str, Any]]) -> None:
    """Store edges between records that are there; one that is there already stays."""
    if edges:
        c.execute(_LINK, [{**e, "type": t.LINKED[e["type"]]} for e in edges])


# of a policy that was there before, by another call, it is known how it was made first: that stands
_UNLEARN = text("delete from learned where policy in (select n from records where id = :policy and call = :call)")
_LEARN = text("""insert or ignore into learned (policy, solution, turn, how, sign)
select p.n, s.n, :turn, :how, :sign from records p, records s
where p.id = :policy and p.call = :call and s.id = :solution""")


def learn(c: Connection, rows: Sequence[dict[str, Any]]) -> None:
    """Store what policies learned, and its digest beside their calls: of one that learned nothing the digest alone. A
    call that is made again says it anew."""
    if rows:
        made = {(r["policy"], r["call"]) for r in rows}
        c.execute(_UNLEARN, [{"policy": policy, "call": call} for policy, call in made])
        c.execute(_LEARN, list(rows))
        for policy, call in made:
            digest = learned_digest(tuple(row) for row in c.execute(LEARNED, {"policy": policy, "call": call}))
            row = {"call": call, "key": "learned", "value": canonical_json(digest)}
            upsert_all(c, t.inner, [row], ("call", "key"))


LEARNED = text("""select s.id, l.turn, l.how, l.sign from learned l
join records p on p.n = l.policy join records s on s.n = l.solution
where p.id = :policy and p.call = :call order by s.id, l.turn""")


def learned_digest(rows: Iterable[tuple[Any, ...]]) -> str:
    """What covers all that a policy learned: it is kept beside its call, for these rows are no record."""
    return hash_of("learned", [list(row) for row in rows])


def refuse_other_content(c: Connection, rows: list[dict[str, Any]]) -> None:
    """An id that is there already must mean the same: else a resumed run would go on with other data."""
    new: dict[str, dict[str, Any]] = {}
    for r in rows:
        if r["id"] in new:
            _refuse(new[r["id"]], r["kind"], r["digest"])
        new[r["id"]] = r
    ids = list(new)
    for i in range(0, len(ids), 30000):
        query = select(t.records.c.id, t.records.c.kind, t.records.c.digest).where(
            t.records.c.id.in_(ids[i : i + 30000])
        )
        for old in c.execute(query):
            _refuse(new[old.id], old.kind, old.digest)


def _refuse(row: dict[str, Any], kind: str, digest: str) -> None:
    if row["digest"] != digest and kind != "policy":
        raise StepFailed(
            f"two different {kind}s have the id {row['id']}: one operator was used twice on the same items "
            "in one round.",
            "Give the second use another setting, or another operator.",
        )


def execute(c: Connection, statement: Any) -> None:
    """Run one statement for what it does."""
    c.execute(statement)


def insert_new(c: Connection, table: Table, rows: list[dict[str, Any]]) -> None:
    """Append; a row that is there already stays as it is."""
    if rows:
        c.execute(_insert(table), [_sound(r) for r in rows])


def upsert_all(c: Connection, table: Table, rows: list[dict[str, Any]], key: tuple[str, ...]) -> None:
    """Insert; a row whose key is there already is replaced."""
    if rows:
        c.execute(_upsert(table, key), [_sound(r) for r in rows])


def _sound(row: dict[str, Any]) -> dict[str, Any]:
    """The last guard: SQLite holds UTF-8 alone, and one text that is none would end the run, at each resume again.

    In a text of JSON what is written out is JSON's own escape: it is read back as it was."""
    wrong = {k: text for k, v in row.items() if isinstance(v, str) and (text := storable(v)) is not v}
    return row | wrong if wrong else row


@cache
def _insert(table: Table) -> Any:
    return upsert(table).on_conflict_do_nothing()


@cache
def _upsert(table: Table, key: tuple[str, ...]) -> Any:
    # made once a table: a sixth of the writing thread's time went into making it anew for each call
    statement = upsert(table)
    changed = {col.name: statement.excluded[col.name] for col in table.columns if col.name not in key}
    return statement.on_conflict_do_update(index_elements=list(key), set_=changed)
