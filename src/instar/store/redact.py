"""What had to go (a person's text): its body is emptied, its digest stays, and a row says what went, why and when.

Who reads it then is told so (``Redacted``); ``verify`` does not compare it with its digest, and finds anything else
that is empty. The text is gone from the file too, not only from what it shows.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import Connection, Table
from sqlalchemy import text as sql_of

from instar.errors import StoreError
from instar.legible import storable
from instar.store import schema as t
from instar.store.ledger import Ledger
from instar.store.rows import GONE, GONE_LIST, upsert_all

KINDS = ("task", "solution", "feedback", "plant")
"""The kinds of records that can go. On the others figures hang: what they quote lies in one of these, or, of a policy,
in what it shows first (``few_shots``) and in the notes of its memory. That stays: ``app.redacting`` names such ones,
and ``app.forgetting`` takes a person's notes out."""
INNER = "key <> 'learned' and key not glob 'curve *'"
"""What updates remember for themselves; curves and the digest of what was learned hold nobody's words."""
_WHAT = f"""
select id, kind as what from records where id in (select value from json_each(:ids))
union all select key, 'exchange' from journal where key in (select value from json_each(:ids))
union all select key, 'crossing' from borders where key in (select value from json_each(:ids))
union all select digest, 'message' from messages where digest in (select value from json_each(:ids))
union all select digest, 'prompt' from prompts where digest in (select value from json_each(:ids))
union all select call || ' ' || key, 'inner step' from inner_steps
  where call || ' ' || key in (select value from json_each(:ids)) and {INNER}"""
LIKE = "exists (select 1 from json_each(:forms) f where instr({0}, f.value))"
_SAYS = f"({LIKE.format('content')} or {LIKE.format('role')})"
"""A message: what it calls, and the tools it tells of, lie as JSON beside who speaks."""
_SHOWN = f"""
with recursive held(digest) as (
  select digest from messages where {_SAYS}
  union select m.digest from held join messages m on m.before = held.digest)
select digest from held"""
_HOLDING = f"""
select id from records where kind in (select value from json_each(:kinds)) and {LIKE.format("body")}
union all select key from journal where {LIKE.format("replies")}
union all select key from borders where {LIKE.format("asked")} or {LIKE.format("coalesce(said, '')")}
union all select digest from messages where {_SAYS}
union all select distinct prompt from journal where prompt is not null
  and messages in (select value from json_each(:shown))
union all select call || ' ' || key from inner_steps where {INNER} and {LIKE.format("inner_steps.value")}"""

_QUOTING = f"""
select (select count(*) from calls where {LIKE.format("coalesce(error, '')")})
  + (select count(*) from records where kind = 'decision' and {LIKE.format("body")})
  + (select count(*) from sessions where {LIKE.format("coalesce(note, '')")})
  + (select count(*) from about where key <> 'result' and {LIKE.format("about.value")})"""

UNSWEPT = "redaction_unswept"
"""Noted with what is emptied, and forgotten when the file holds it no more."""
_SPEAKER = "update messages set role = json_extract(role, '$.role') where digest = :id and json_valid(role)"
"""Of a message that is gone who spoke stays, and not what was called."""

PLACES: dict[str, tuple[Table, str, dict[str, str]]] = {
    "exchange": (t.journal, "key", {"replies": GONE_LIST}),
    "crossing": (t.borders, "key", {"asked": "", "said": ""}),
    "message": (t.messages, "digest", {"content": ""}),
    "prompt": (t.prompts, "digest", {"ids": GONE_LIST}),
    "inner step": (t.inner, "call || ' ' || key", {"value": GONE}),
}
"""Where all lies that is no record."""


OUTCOMES = "outcomes"
"""Of a report: what it says of single answers (``store.blank``). Its figures stay, and it is read as ever."""


class _Part(NamedTuple):
    id: str
    what: str


class _Id(NamedTuple):
    id: str


class _Digest(NamedTuple):
    digest: str


@dataclass(frozen=True)
class Gone:
    """What went: id to what it is. ``copies``: files beside the ledger that still hold it."""

    what: dict[str, str]
    copies: tuple[Path, ...]


def holding(ledger: Ledger, text: str) -> list[str]:
    """The ids of all that can go and holds this text: records, model calls, tool calls, messages, the prompts (as token
    ids) in which such a message was read, and what updates remember for themselves (by its call and key)."""
    if not text:
        return []
    refuse_old(ledger)
    forms = forms_of(text)
    shown = shown_with(ledger, forms)
    return [r.id for r in ledger._select(_Id, _HOLDING, forms=forms, kinds=list(KINDS), shown=shown)]


def shown_with(ledger: Ledger, forms: list[str]) -> list[str]:
    """The messages that hold one of these forms of texts, or come after one that does, by digest."""
    return [r.digest for r in ledger._select(_Digest, _SHOWN, forms=forms)]


def forms_of(text: str) -> list[str]:
    """A text as it may lie in the file: plain, in JSON, and in JSON within JSON (a call that a model wrote)."""
    once = _quoted([text])
    return list(dict.fromkeys([text, *once, *_quoted(once)]))


def _quoted(texts: list[str]) -> list[str]:
    return [json.dumps(text, ensure_ascii=ascii)[1:-1] for text in texts for ascii in (False, True)]


def redact(ledger: Ledger, ids: Iterable[str], *, reason: str) -> Gone:
    """Empty these records, model calls (their replies), tool calls, messages, prompts and inner steps of updates, by id
    or digest: all of them, or none. Hold the run's lock, and have nothing else read the ledger.

    Raises StoreError where one is not there, or is of a kind that figures hang on; and where no reason is given.
    """
    what, reason = parts(ledger, ids), " ".join(reason.split())
    if not reason:
        raise StoreError("what is redacted is redacted for a reason, and none is given.", "Say why it has to go.")
    rows = [{"id": id, "what": what[id], "reason": storable(reason), "at": time.time()} for id in what]

    def write(c: Connection) -> None:
        c.execute(sql_of("pragma secure_delete=on"))
        for id in what:
            _empty(c, id, what[id])
        upsert_all(c, t.redacted, rows, ("id",))
        upsert_all(c, t.about, [{"key": UNSWEPT, "value": "1"}], ("key",))

    ledger.writer.write_now(write)
    sweep(ledger)
    beside = ledger.path.parent.glob(f"{ledger.path.name}.*")
    return Gone(what, tuple(sorted(beside)))


def sweep(ledger: Ledger) -> None:
    """Take what was redacted out of the file too, if that is not done: whoever redacted it may have been killed before.
    Hold the run's lock, and have nothing else read the ledger."""
    if UNSWEPT not in ledger.about():
        return
    with closing(ledger._engine.raw_connection()) as raw:  # else the words stay in free pages and in the log
        for sql in ("vacuum", "pragma wal_checkpoint(truncate)"):
            raw.cursor().execute(sql).fetchall()

    def write(c: Connection) -> None:
        c.execute(t.about.delete().where(t.about.c.key == UNSWEPT))

    ledger.writer.write_now(write)


def quoting(ledger: Ledger, texts: Iterable[str]) -> int:
    """How many reasons (of failed calls, decisions, sessions) and settings of the run hold one of these texts. They
    cannot go: nothing says which part of them is whose."""
    forms = list(dict.fromkeys(form for text in texts if text.strip() for form in forms_of(text)))
    ((n,),) = ledger._stream(_QUOTING, forms=forms)
    return int(n)


def parts(ledger: Ledger, ids: Iterable[str]) -> dict[str, str]:
    """Each of these with what it is: a kind of record, or one of ``PLACES``. Raises StoreError where one is not there,
    or is of a kind that figures hang on."""
    refuse_old(ledger)
    wanted = list(dict.fromkeys(ids))
    what = {r.id: r.what for r in ledger._select(_Part, _WHAT, ids=wanted)}
    for id in wanted:
        if id not in what:
            raise StoreError(f"the ledger {ledger.path} holds nothing with the id {id}.", "Nothing was changed.")
        if what[id] not in (*KINDS, *PLACES):
            raise StoreError(
                f"{id} is a {what[id]}, on which figures hang; nothing was changed.",
                f"Redact what it was made from: {', '.join(KINDS)}, a model call or a message.",
            )
    return {id: what[id] for id in wanted}


def refuse_old(ledger: Ledger) -> None:
    """Raises StoreError for a ledger in which nothing can be redacted."""
    if not ledger.columns("redacted"):
        raise StoreError(
            f"{ledger.path} is a ledger of an older schema, in which nothing can be redacted.",
            "Resume its run once, which brings it up to date (and leaves a copy beside it, for `instar gc`).",
        )


def place_of(what: str) -> tuple[Table, str, dict[str, str]]:
    """Where such a thing lies: table, column of its id, and what stands there when it is gone."""
    return PLACES.get(what, (t.records, "id", {"body": GONE}))


def _empty(c: Connection, id: str, what: str) -> None:
    table, key, empty = place_of(what)
    c.execute(table.update().where(sql_of(f"{key} = :gone")).values(**empty), {"gone": id})
    if what == "message":
        c.execute(sql_of(_SPEAKER), {"id": id})
