"""What the ledger is told and what it tells: records on their way in, calls, asks; and the rows they become."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, select
from sqlalchemy.dialects.sqlite import insert as upsert

from instar.errors import StepFailed, StoreError
from instar.records import KINDS, Record, Reply, canonical_json
from instar.store import schema as t


@dataclass(frozen=True)
class Made:
    """A record on its way into the ledger: what it was made from, and which records it decides on."""

    record: Record
    op: str
    round: int
    index: int
    inputs: tuple[str, ...] = ()
    decides: tuple[str, ...] = ()


@dataclass(frozen=True)
class StoredCall:
    """A call the ledger already knows: its status, and the ids of its outputs in order."""

    status: str
    outputs: tuple[str, ...]
    error: str | None


@dataclass(frozen=True)
class JournalEntry:
    """One finished ``ask``."""

    key: str
    step: str
    call: str
    turn: int
    ask: str
    policy: str
    engine: str
    precision: str
    replies: tuple[Reply, ...]
    prompt_tokens: int
    tokens: int
    seconds: float


def read_record(kind: str, body: str) -> Record:
    """A stored record. Raises StoreError for a kind this instar does not know."""
    if kind not in KINDS:
        raise StoreError(f"the ledger holds a record of unknown kind {kind!r}.", "Was it written by a newer instar?")
    return KINDS[kind].model_validate_json(body)


def record_rows(made: Sequence[Made], call: str) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The rows of records, and of the edges that hang on them."""
    rows = [
        {
            "id": m.record.id,
            "kind": m.record.kind,
            "digest": m.record.digest,
            "call": call,
            "body": m.record.model_dump_json(),
            "op": m.op,
            "round": m.round,
            "idx": m.index,
            "inputs": canonical_json(list(m.inputs)),
        }
        for m in made
    ]
    pairs = [(m.record.id, "made_from", p) for m in made for p in dict.fromkeys(m.inputs)]
    pairs += [(d, "decided_by", m.record.id) for m in made for d in m.decides]
    edges = [{"child": c, "type": kind, "parent": p} for c, kind, p in pairs if c != p]
    return rows, edges


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


def refuse_other_content(c: Connection, rows: list[dict[str, Any]]) -> None:
    """An id that is there already must mean the same: else a resumed run would go on with other data."""
    new = {r["id"]: r["digest"] for r in rows}
    for r in c.execute(
        select(t.records.c.id, t.records.c.kind, t.records.c.digest).where(t.records.c.id.in_(list(new)[:30000]))
    ):
        if new[r.id] != r.digest and r.kind != "policy":
            raise StepFailed(
                f"two different {r.kind}s have the id {r.id}: one operator was used twice on the same items "
                "in one round.",
                "Give the second use another setting, or another operator.",
            )


def execute(c: Connection, statement: Any) -> None:
    """Run one statement for what it does."""
    c.execute(statement)


def insert_new(c: Connection, table: Any, rows: list[dict[str, Any]]) -> None:
    """Append; a row that is there already stays as it is."""
    if rows:
        c.execute(upsert(table).on_conflict_do_nothing(), rows)


def upsert_all(c: Connection, table: Any, rows: list[dict[str, Any]], key: tuple[str, ...]) -> None:
    """Insert; a row whose key is there already is replaced."""
    if rows:
        statement = upsert(table)
        changed = {col.name: statement.excluded[col.name] for col in table.columns if col.name not in key}
        c.execute(statement.on_conflict_do_update(index_elements=list(key), set_=changed), rows)
