"""The append-only ledger of a run: records, typed edges, finished calls, the journal of model calls. One SQLite file.

Outputs, their edges and "finished" go in one transaction. Readers see a run while it is written. It is opened by
``store.door.open_ledger``; what it holds is told by its own methods and by ``store.readers``.
"""

from __future__ import annotations

import json
import os
import socket
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar, cast
from urllib.parse import quote

from sqlalchemy import URL, Connection, Engine, create_engine, event, func, insert, null, select, text
from sqlalchemy.exc import DatabaseError

from instar.errors import StepFailed, StoreError
from instar.hashing import hash_of_rows
from instar.legible import storable
from instar.records import Exchange, Record, Reply, canonical_json, hash_of
from instar.store import schema as t
from instar.store.crossings import Crossing, crossing_digest
from instar.store.exchanges import ask_digest, exchange_rows
from instar.store.migration import give_back, keep_copy
from instar.store.rows import (
    GONE,
    GONE_LIST,
    Rows,
    call_row,
    execute,
    insert_new,
    learned_rows,
    link,
    record_rows,
    redacted,
    span_rows,
    upsert_all,
    whole_records,
    write_rows,
)
from instar.store.rows import Made as Made
from instar.store.rows import StoredCall as StoredCall
from instar.store.still import still
from instar.store.unread import TOGETHER, UNREAD, uncollected, unread
from instar.store.writer import GroupCommit

LEARNED = """select p.id, s.id, l.turn, l.how, l.sign from learned l
join records p on p.n = l.policy join records s on s.n = l.solution order by p.id, s.id, l.turn"""
"""What policies learned, as a ledger's content has it."""
Row = TypeVar("Row", bound=tuple[Any, ...])
MOST_SHOWN = 100_000
"""Digests of messages and prompts that are remembered, so that none is written again and again: a tenth of a gigabyte
would be too much for it, and one that is forgotten costs a row that is there already."""
CACHE_KB = 16_384
"""Memory for pages of the file when all of it is read."""


def _connect(path: Path, *, read_only: bool, fixed: bool = False) -> Engine:
    query = {"mode": "ro" if read_only else "rwc", "uri": "true"} | ({"immutable": "1"} if fixed else {})
    uri = URL.create("sqlite", database=f"file:{quote(str(path))}", query=query)
    engine = create_engine(uri, connect_args={"timeout": 30, "check_same_thread": False})

    @event.listens_for(engine, "connect")
    def prepare(raw: Any, _: Any) -> None:
        cursor = raw.cursor()
        if not read_only:
            cursor.execute("pragma journal_mode=wal")
            cursor.execute("pragma synchronous=full")
        cursor.execute("pragma busy_timeout=30000")
        cursor.close()

    return engine


class Ledger:
    """Open for writing with ``Ledger(path)`` (hold the run's lock), for reading with ``Ledger.read(path)``."""

    def __init__(self, path: Path, *, read_only: bool = False, fixed: Path | None = None) -> None:
        self.path = path
        self.copied = None if read_only else keep_copy(path)
        """Where the ledger lies as it was before it was brought to this schema, if that happened just now."""
        self._engine = _connect(fixed or path, read_only=read_only, fixed=fixed is not None)
        self._writer: GroupCommit | None = None
        self._known_ops: set[str] = set()
        self._shown: set[str] = set()
        self.session: int | None = None
        self._began = time.time(), time.monotonic()
        self.spans: Callable[[], dict[str, tuple[float, int]]] | None = None
        """Where this session's seconds went so far; stored with each finished step, so that a kill loses little."""
        try:
            if not read_only:
                with self._engine.begin() as c:
                    t.create_or_migrate(c)
                give_back(path, self.copied)
                self._writer = GroupCommit(self._engine, str(path), self._beat)
            else:
                with self._engine.connect() as c:
                    c.execute(select(t.about.c.value).limit(1)).all()
        except DatabaseError as e:
            if read_only and self._is_blank():
                raise StoreError(
                    f"the ledger {path} holds nothing yet: its run is just beginning, or was killed before it began.",
                    "Look again in a moment; if it stays so, start the run again under the same name.",
                ) from None
            raise StoreError(
                f"{path} cannot be opened as a ledger ({e.orig}).",
                "Is the disk full or read-only, or the file damaged or another program's?",
            ) from None

    def _is_blank(self) -> bool:
        """Whether it is a database without a single table: a run makes the file first and what is in it then."""
        try:
            with self._engine.connect() as c:
                return c.execute(text("select 1 from sqlite_master")).first() is None
        except DatabaseError:
            return False

    @classmethod
    def read(cls, path: Path) -> Ledger:
        """A reader; works while a run writes, and on a read-only medium. Raises StoreError when there is no ledger."""
        if not path.exists():
            raise StoreError(f"there is no ledger at {path}.")
        try:
            return cls(path, read_only=True)
        except StoreError:
            if os.access(path.parent, os.W_OK):
                raise
            return cls(path, read_only=True, fixed=still(path))

    def close(self) -> None:
        if self._writer:
            self._writer.close()
        self._engine.dispose()

    @property
    def writer(self) -> GroupCommit:
        """The writing thread. Raises StoreError when the ledger is open for reading only."""
        if self._writer is None:
            raise StoreError(f"{self.path} is open for reading only.")
        return self._writer

    # --- what the run asks before it works ------------------------------------------------------------------------

    def about(self) -> dict[str, str]:
        """Facts about the run, as text."""
        with self._engine.connect() as c:
            return {r.key: r.value for r in c.execute(select(t.about))}

    def set_about(self, **values: str) -> None:
        """Note facts about the run: config, result."""
        rows = [{"key": k, "value": v} for k, v in values.items()]
        self.writer.write_now(lambda c: upsert_all(c, t.about, rows, ("key",)))

    def has_work(self) -> bool:
        """Whether anything was answered or made yet: else what is here is a start that failed."""
        asked = [
            select(t.journal.c.key),
            select(t.inner.c.key),
            select(t.calls.c.key).where(t.calls.c.status != "failed"),
        ]
        if "result" in self.about():
            return True
        with self._engine.connect() as c:
            return any(c.execute(q.limit(1)).first() is not None for q in asked)

    def forget_start(self) -> None:
        """Forget what a start that failed had noted: config, operators, sets, the model. Its sessions stay."""

        def write(c: Connection) -> None:
            for table in (t.ops, t.sets, t.records, t.links, t.learned, t.steps, t.calls):
                c.execute(table.delete())
            c.execute(t.about.delete().where(t.about.c.key.not_in(("schema", "versions"))))

        self.writer.write_now(write)

    def ops(self) -> dict[str, dict[str, Any]]:
        """Operators by id: name, fields, source digest."""
        with self._engine.connect() as c:
            return {
                r.id: {"name": r.name, "fields": json.loads(r.fields), "source": r.source}
                for r in c.execute(select(t.ops))
            }

    def add_ops(self, rows: Iterable[tuple[str, str, Any, str]]) -> None:
        """(id, name, fields, source digest) of every operator a run uses."""
        values = [{"id": i, "name": n, "fields": canonical_json(f), "source": s} for i, n, f, s in rows]
        self.writer.write_now(lambda c: upsert_all(c, t.ops, values, ("id",)))

    def ensure_op(self, id: str, name: str, fields: Any, source: str) -> None:
        """Note an operator that is not in the config but made by a recipe; one that is known stays as it is."""
        if id not in self._known_ops:
            self._known_ops |= set(self.ops())
            if id not in self._known_ops:
                self.add_ops([(id, name, fields, source)])
                self._known_ops.add(id)

    def begin_step(self, key: str, verb: str, op: str, round: int, items: int) -> bool:
        """Note that a step begins. True when the ledger knew it already (this run is being resumed)."""
        with self._engine.connect() as c:
            known = c.execute(select(t.steps.c.key).where(t.steps.c.key == key)).first() is not None
            seq = int(c.execute(select(func.count()).select_from(t.steps)).scalar_one())
        if not known:
            row = {"key": key, "seq": seq, "verb": verb, "op": op, "round": round, "items": items, "finished": 0}
            self.writer.write_now(lambda c: execute(c, insert(t.steps).values(**row, started=time.time())))
        return known

    def stored_calls(self, keys: Iterable[str]) -> dict[str, StoredCall]:
        """What these calls came to so far, by call key; one that was never made is missing."""
        sql = "select c.key, c.status, c.outputs, c.error from json_each(:keys) j cross join calls c on c.key = j.value"
        rows = self._stream(sql, keys=list(keys))
        return {key: StoredCall(status, tuple(json.loads(outputs)), error) for key, status, outputs, error in rows}

    def stored_asks(self, calls: Iterable[str]) -> dict[str, tuple[str, tuple[Reply, ...]]]:
        """Journalled model calls of these operator calls: key to (what was asked, the replies)."""
        rows = self._where(t.journal, t.journal.c.call, calls)
        for r in rows:
            self.refuse_redacted(r.key, r.replies == GONE_LIST)
            if r.digest is not None and r.digest != ask_digest(r._mapping):
                raise StoreError(f"the journalled replies to {r.key} were changed.", "Run `instar verify`.")
        return {r.key: (r.ask, tuple(Reply.model_validate(x) for x in json.loads(r.replies))) for r in rows}

    def _where(self, table: Any, column: Any, values: Iterable[str]) -> list[Any]:
        wanted = list(values)
        rows: list[Any] = []
        there = self.columns(table.name)
        with self._engine.connect() as c:
            for i in range(0, len(wanted), 500):
                query = select(*(k if k.name in there else null().label(k.name) for k in table.columns))
                rows += c.execute(query.select_from(table).where(column.in_(wanted[i : i + 500]))).all()
        return rows

    def columns(self, table: str) -> frozenset[str]:
        """The columns that a table has in this file; none where there is no such table. An older ledger has fewer."""
        return frozenset(row[0] for row in self._stream("select name from pragma_table_info(:table)", table=table))

    def inner_step(self, call: str, key: str) -> Any | None:
        """One journalled inner step, or None."""
        found = (t.inner.c.call == call) & (t.inner.c.key == key)
        with self._engine.connect() as c:
            row = c.execute(select(t.inner.c.value).where(found)).first()
        self.refuse_redacted(f"{call} {key}", row is not None and row.value == GONE)
        return None if row is None else json.loads(row.value)

    def outputs(self, ids: Iterable[str], kind: str) -> list[Record]:
        """What finished calls of one kind of record made, in order. Answers and feedback are not read before somebody
        looks into them (StoreError if one is missing then); of a decision it is told what was kept."""

        def fetch(part: Sequence[str]) -> dict[str, Record]:
            return {r.id: r for r in self.records(ids=part)}

        if kind not in UNREAD:
            return self.records(ids=ids)
        if kind != "decision":
            return unread(kind, ids, fetch)
        wanted = list(ids)
        rows = self._lying(wanted, "r.id, json_extract(r.body, '$.item'), json_extract(r.body, '$.kept')")
        with uncollected():
            known = {id: {"id": id, "item": item, "kept": bool(kept)} for id, item, kept in rows}
        missing = [i for i in wanted if i not in known]
        if missing:
            raise self._missing(missing[0])
        return unread(kind, wanted, fetch, known)

    def unscored(self, flag: str) -> frozenset[str]:
        """Feedback of broken checks, and solutions with this flag, by id: what gave no score."""
        flagged = f"{t.FLAGGED} and exists (select 1 from json_each(body, '$.flags') where value = :flag)"
        with self._engine.connect() as c:
            found = set(
                c.execute(text(f"select id from records indexed by records_invalid where {t.INVALID}")).scalars()
            )
            found |= set(
                c.execute(
                    text(f"select id from records indexed by records_flagged where {flagged}"), {"flag": flag}
                ).scalars()
            )
        return frozenset(found)

    # --- what the run writes ----------------------------------------------------------------------------------------

    async def finish_call(
        self, key: str, step: str, item: str, made: Sequence[Made], started: float, *, instead_of: Sequence[Record] = ()
    ) -> None:
        """Outputs, their edges and "finished", in one transaction. ``instead_of``: what this call had made before it
        was made again; of that, what is not made alike goes."""
        rows, edges = record_rows(made, key)
        call = call_row(key, step, item, "finished", [m.record.id for m in made], None, started)
        alike = {m.record.id: m.record.digest for m in made}
        gone = [r.id for r in instead_of if alike.get(r.id) != r.digest]
        learned = learned_rows(made, key)
        await self.writer.write(Rows(records=rows, edges=edges, learned=learned, calls=[call], gone=gone))

    def note_again(self, *, verb: str, op: str, calls: int, reason: str) -> None:
        """Note that finished calls which gave no score are made again, and why the first gave none."""
        known = json.loads(self.about().get("made_again", "[]"))
        row = {"session": self.session, "verb": verb, "op": op, "calls": calls, "reason": reason}
        self.set_about(made_again=json.dumps([*known, row]))

    async def fail_call(self, key: str, step: str, item: str, error: str, started: float) -> None:
        """A failure is data: kept with its reason, tried again if the step is resumed before it is accepted."""
        call = call_row(key, step, item, "failed", [], error, started)
        await self.writer.write(Rows(calls=[call]))

    async def finish_step(self, step: str) -> None:
        """The step is accepted: its tolerated failures become final, so that a resumed run sees the same data."""

        def write(c: Connection) -> None:
            failed = (t.calls.c.step == step) & (t.calls.c.status == "failed")
            c.execute(t.calls.update().where(failed).values(status="dropped"))
            first = (t.steps.c.key == step) & (t.steps.c.finished == 0)  # replayed, it ended when it did
            c.execute(t.steps.update().where(first).values(finished=1, ended=time.time()))
            if self.spans is not None and self.session is not None:
                upsert_all(c, t.spans, span_rows(self.session, self.spans()), ("session", "phase"))

        await self.writer.write(write)

    async def add_exchange(self, e: Exchange, step: str, seconds: float) -> None:
        """Journal one finished model call of a call of this step."""
        ask, messages, prompts = exchange_rows(e, step, seconds)
        if len(self._shown) > MOST_SHOWN:
            self._shown.clear()
        messages, prompts = ([r for r in rows if r["digest"] not in self._shown] for rows in (messages, prompts))
        await self.writer.write(Rows(asks=[ask], messages=messages, prompts=prompts))
        self._shown.update(r["digest"] for r in (*messages, *prompts))  # only now are they on disk

    def crossing(self, key: str) -> Crossing | None:
        """What a call did beyond asking, by its key. Raises StoreError where it was changed."""
        with self._engine.connect() as c:
            row: Any = c.execute(select(t.borders).where(t.borders.c.key == key)).first()
        if row is None:
            return None
        self.refuse_redacted(key, row.asked == "")
        if row.digest != crossing_digest(row._mapping):
            raise StoreError(f"the journalled {row.kind} {row.key} was changed.", "Run `instar verify`.")
        return Crossing(row.key, row.step, row.call, row.kind, row.n, row.asked, row.said, row.branch)

    async def add_crossing(self, crossing: Crossing) -> None:
        """Journal what a call did beyond asking, or that it began to."""
        row = asdict(crossing)
        row |= {"at": time.time(), "digest": crossing_digest(row)}
        await self.writer.write(lambda c: upsert_all(c, t.borders, [row], ("key",)))

    async def add_inner(self, call: str, key: str, value: Any) -> None:
        """Journal an inner step of an update."""
        try:
            row = {"call": call, "key": key, "value": canonical_json(value)}
        except (ValueError, TypeError, RecursionError) as e:
            raise StepFailed(f"an update wanted to remember {key!r}, which cannot be stored: {e}.") from e
        await self.writer.write(lambda c: insert_new(c, t.inner, [row]))

    def add_inner_soon(self, call: str, key: str, value: Any) -> None:
        """As ``add_inner`` from any thread, and without waiting: what is written next waits for both."""
        row = {"call": call, "key": key, "value": canonical_json(value)}
        self.writer.write_soon(lambda c: insert_new(c, t.inner, [row]))

    def add_sets(self, made: Sequence[Made], members: Sequence[tuple[str, int, str]]) -> None:
        """The tasks of a run and which set each belongs to."""
        rows, edges = record_rows(made, "sets")
        places = [{"name": n, "position": p, "task": i} for n, p, i in members]

        def write(c: Connection) -> None:
            insert_new(c, t.records, rows)
            link(c, edges)
            insert_new(c, t.sets, places)

        self.writer.write_now(write)
        self.set_about(sets_digest=self.sets_digest())

    def sets_digest(self) -> str:
        """A hash of which task is where in which set."""
        return hash_of("sets", self.sets())

    def add_records(self, made: Sequence[Made], call: str = "start") -> None:
        """Records that no call made: the policy a run begins with; or that a call made on its way, and which are not
        what it gives."""
        rows, edges = record_rows(made, call)

        def write(c: Connection) -> None:
            insert_new(c, t.records, rows)
            link(c, edges)

        self.writer.write_now(write)

    def end(self, made: Sequence[Made], **about: str) -> None:
        """What a run ended with, as records that no call made and as facts about it, in one transaction."""
        rows, edges = record_rows(made, "end")

        def write(c: Connection) -> None:
            write_rows(c, [Rows(records=rows, edges=edges)])
            upsert_all(c, t.about, [{"key": k, "value": v} for k, v in about.items()], ("key",))

        self.writer.write_now(write)

    def begin_session(self) -> int:
        """Note that a process begins to work on this run; returns the session's number."""
        self._began = time.time(), time.monotonic()
        row = {"pid": os.getpid(), "host": socket.gethostname(), "started": self._began[0], "status": "running"}
        self.writer.write_now(lambda c: execute(c, insert(t.sessions).values(**row)))
        with self._engine.connect() as c:
            self.session = int(c.execute(select(func.max(t.sessions.c.id))).scalar_one())
        return self.session

    def _now(self) -> float:
        """When it is, counted from this session's start: a clock that is set meanwhile changes no duration."""
        wall, monotonic = self._began
        return wall + time.monotonic() - monotonic

    def _beat(self, c: Connection) -> None:
        """The session is alive: one that is killed later has worked at least until now."""
        if self.session is not None:
            c.execute(t.sessions.update().where(t.sessions.c.id == self.session).values(ended=self._now()))

    def end_session(self, session: int, status: str, note: str, spans: dict[str, tuple[float, int]]) -> None:
        """Note how a session ended and where its seconds went."""
        rows = span_rows(session, spans)

        def write(c: Connection) -> None:
            values = {"ended": self._now(), "status": status, "note": storable(note)}
            c.execute(t.sessions.update().where(t.sessions.c.id == session).values(**values))
            upsert_all(c, t.spans, rows, ("session", "phase"))

        self.writer.write_now(write)

    # --- reading ------------------------------------------------------------------------------------------------------

    def records(self, kind: str | None = None, ids: Iterable[str] | None = None) -> list[Record]:
        """Records by kind, or by id (in the order asked for; StoreError when one is missing). Among the policies are
        none that a rollout had half way through an update."""
        if ids is not None:
            wanted = list(ids)
            with uncollected():
                rows = self._lying(wanted, f"r.id, r.kind, r.body, {self._beside}")
                found = {r.id: r for r in self._whole(rows)}
            missing = [i for i in wanted if i not in found]
            if missing:
                raise StoreError(
                    f"the ledger {self.path} holds no record {missing[0]}.",
                    "Run `instar verify`: it says all that is missing.",
                )
            return [found[i] for i in wanted]
        of = "" if kind is None else f"where {t.LASTING if kind == 'policy' else 'r.kind = :kind'}"
        query = f"select r.id, r.kind, r.body, {self._beside} from records r {of} order by r.round, r.idx, r.id"
        named = {} if kind in (None, "policy") else {"kind": kind}
        return list(self._whole(self._stream(query, **named)))

    def _whole(self, rows: Iterable[Sequence[Any]]) -> Iterator[Record]:
        """Records from rows of (id, kind, body, pointers, call), with the words that were left to exchanges."""
        sql = "select j.key, j.replies from json_each(:ids) i cross join journal j on j.key = i.value"
        return whole_records(rows, lambda ids: self._stream(sql, ids=ids), self.refuse_redacted)

    def refuse_redacted(self, id: str, is_empty: bool = True) -> None:
        """Raises Redacted for what is empty and listed as gone; ``is_empty``: whether it need be looked for at all."""
        if is_empty and self.columns("redacted"):
            for what, reason, at in self._stream("select what, reason, at from redacted where id = :id", id=id):
                raise redacted(id, what, reason, at)

    @cached_property
    def _beside(self) -> str:
        """What lies beside a record's body: where its turns were said, which schema 1 did not keep, and its call."""
        return f"{'r.pointers' if 'pointers' in self.columns('records') else 'null'}, r.call"

    def _lying(self, ids: list[str], columns: str) -> Iterator[tuple[Any, ...]]:
        """Columns of records ``r``, the id first, in no order. What one call made lies together: thousands are read in
        one go."""
        left = set(ids)
        if len(left) > TOGETHER:
            at = "select rowid from records where id in (:first, :last)"
            ends = [row[0] for row in self._stream(at, first=ids[0], last=ids[-1])]
            if ends and max(ends) - min(ends) < 2 * len(left):
                within = f"select {columns} from records r where r.rowid between :low and :high"
                with closing(self._engine.raw_connection()) as c:
                    cursor = c.cursor().execute(within, {"low": min(ends), "high": max(ends)})
                    while rows := cursor.fetchmany(TOGETHER):  # one generator a row would take longer than the reading
                        found = [row for row in rows if row[0] in left]
                        left.difference_update([row[0] for row in found])
                        yield from found
        one = f"select {columns} from json_each(:ids) j cross join records r on r.id = j.value"
        yield from self._stream(one, ids=list(left))

    def _missing(self, id: str) -> StoreError:
        return StoreError(f"the ledger {self.path} holds no record {id}.", "Run `instar verify`: it says all that is.")

    def find(self, prefix: str) -> list[tuple[str, str]]:
        """(id, kind) of records whose id begins with a prefix (with or without the scheme ``i1:``)."""
        like = prefix if ":" in prefix else f"i1:{prefix}"
        with self._engine.connect() as c:
            query = select(t.records.c.id, t.records.c.kind).where(t.records.c.id.startswith(like, autoescape=True))
            return [(r.id, r.kind) for r in c.execute(query.limit(20))]

    def provenance(self, id: str) -> dict[str, Any]:
        """Which operator made a record, in which round."""
        with self._engine.connect() as c:
            r = c.execute(
                select(*(t.records.c[k] for k in ("op", "round", "idx", "call"))).where(t.records.c.id == id)
            ).one()
        return {"op": r.op, "round": r.round, "index": r.idx, "call": r.call}

    def parents(self, ids: Iterable[str], type: str = "made_from") -> dict[str, list[str]]:
        """For each record, what it was made from (or decided by)."""
        return self._edges(ids, t.edges.c.child, t.edges.c.parent, type)

    def children(self, ids: Iterable[str], type: str = "made_from") -> dict[str, list[str]]:
        """For each record, what was made from it (or decided by it)."""
        return self._edges(ids, t.edges.c.parent, t.edges.c.child, type)

    def _edges(self, ids: Iterable[str], at: Any, to: Any, type: str) -> dict[str, list[str]]:
        wanted = list(ids)
        out: dict[str, list[str]] = {i: [] for i in wanted}
        with self._engine.connect() as c:
            for i in range(0, len(wanted), 500):
                query = select(at, to).where(at.in_(wanted[i : i + 500]), t.edges.c.type == type).order_by(at, to)
                for a, b in c.execute(query):
                    out[a].append(b)
        return out

    def ancestors(self, id: str, type: str = "made_from") -> set[str]:
        """Everything reachable from a record over edges of one type."""
        seen: set[str] = set()
        frontier = {id}
        while frontier:
            frontier = {p for ps in self.parents(frontier, type).values() for p in ps} - seen
            seen |= frontier
        return seen

    def sets(self) -> dict[str, list[str]]:
        """Set name to the ids of its tasks, in order."""
        out: dict[str, list[str]] = {}
        with self._engine.connect() as c:
            for r in c.execute(select(t.sets).order_by(t.sets.c.name, t.sets.c.position)):
                out.setdefault(r.name, []).append(r.task)
        return out

    def rows(self, table: str) -> list[dict[str, Any]]:
        """All rows of a small table (steps, sessions, spans, calls), as dictionaries."""
        with self._engine.connect() as c:
            return [dict(r._mapping) for r in c.execute(select(t.metadata.tables[table]))]

    def _select(self, row: type[Row], sql: str, **values: Any) -> list[Row]:
        """Rows of a SELECT over the tables of ``store.schema``, as named tuples with the columns' names. For
        ``store.readers`` and their neighbours alone: outside ``store`` nobody speaks SQL. A list is given as JSON and
        read with ``json_each``."""
        kind: Any = row  # a named tuple's class: there is no type that says so
        given = {k: json.dumps(v) if isinstance(v, (list, tuple)) else v for k, v in values.items()}
        with self._engine.connect() as c:
            found = c.execute(text(sql), given)
            if tuple(found.keys()) != kind._fields:
                raise TypeError(f"{row.__name__} has the fields {kind._fields}; the columns are {tuple(found.keys())}")
            return [kind._make(r) for r in found]

    def _stream(self, sql: str, **values: Any) -> Iterator[tuple[Any, ...]]:
        """The rows of a SELECT one after the other, as plain tuples: for what a million records are read by. For
        ``store`` alone, like ``_select``."""
        given = {k: json.dumps(v) if isinstance(v, list) else v for k, v in values.items()}
        with closing(self._engine.raw_connection()) as c:
            yield from c.cursor().execute(sql, given)

    def asked(self) -> dict[str, Any]:
        """What has been asked of models so far: calls, prompt tokens, tokens."""
        j = t.journal.c
        with self._engine.connect() as c:
            r = c.execute(select(func.count(), func.sum(j.prompt_tokens), func.sum(j.tokens))).one()
        return {"calls": int(r[0]), "prompt_tokens": int(r[1] or 0), "tokens": int(r[2] or 0)}

    @contextmanager
    def snapshot(self) -> Iterator[sqlite3.Connection]:
        """The database as it is at this moment, for many questions: a run that goes on writing does not change it."""
        with closing(self._engine.raw_connection()) as c:
            db = cast(sqlite3.Connection, c.driver_connection)
            db.execute(f"pragma cache_size = {-CACHE_KB}")
            db.execute("begin")
            try:
                yield db
            finally:
                db.rollback()

    def content_digest(self) -> str:
        """A hash of what the ledger says, without times, order and attempts; in the memory of one row at a time."""
        tables: tuple[str, ...] = (
            "select id, digest from records order by id, digest",
            "select child, type, parent from edges order by child, type, parent",
            "select key, status, outputs from calls order by key",
            "select key, ask, replies from journal order by key",
            "select name, position, task from sets order by name, position",
        )
        with self.snapshot() as db:
            if self.columns("borders") and db.execute("select 1 from borders limit 1").fetchone():
                tables = (*tables, "select key, asked, said from borders order by key")
            if self.columns("learned") and db.execute("select 1 from learned limit 1").fetchone():
                tables = (*tables, LEARNED)
            return hash_of_rows("ledger", (db.execute(sql) for sql in tables))
