"""What models were asked and what they said, word for word: the model calls behind a record, as sentences."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

from instar.errors import ConfigError
from instar.records import Exchange, Feedback, Record, Solution, in_words
from instar.records.exchange import SELF
from instar.report.lineage import left
from instar.report.transcript import cut
from instar.store.door import open_ledger
from instar.store.ledger import Ledger
from instar.store.readers.exchanges import exchange, exchanges, find, of_call

MOST = 8
"""Model calls told at most."""
TEXT = 20_000
"""Characters of a message or a reply shown at most; a cut is marked."""


def calls(folder: Path, id: str) -> dict[str, Any]:
    """The model calls behind a record, or the one with this id, as plain data: at most ``MOST``, and how many more.

    Raises ConfigError where the run has neither, StoreError where one was redacted or cannot be read.
    """
    with closing(open_ledger(folder / "ledger.db")) as ledger:
        if id in (i for i, _ in ledger.find(id)):
            (record,) = ledger.records(ids=[id])
            found = behind(ledger, record)
        elif id in find(ledger, id):
            record, found = None, [exchange(ledger, id)]
        else:
            raise ConfigError(f"{folder.name} has no record and no model call {id}.")
    turns = record.turns if isinstance(record, Solution) else ()
    chosen = {(t.said.exchange, t.said.reply) for t in turns if t.said is not None}
    return {"calls": [_data(e, chosen) for e in found[:MOST]], "more": max(0, len(found) - MOST)}


def _data(e: Exchange, chosen: set[tuple[str, int]]) -> dict[str, Any]:
    return {
        "id": e.id, "role": e.role, "policy": e.policy, "engine": e.engine, "precision": e.precision,
        "sampling": None if e.sampling is None else e.sampling.model_dump(mode="json"),
        "messages": None if e.messages is None
        else [{"role": m.role.value, "content": cut(m.content, TEXT)} for m in in_words(e.messages)],
        "replies": [
            {"text": cut(r.text, TEXT), "tokens": r.tokens, "finish": r.finish.value, "chosen": (e.id, i) in chosen}
            for i, r in enumerate(e.replies)
        ],
    }  # fmt: skip


def behind(ledger: Ledger, record: Record) -> list[Exchange]:
    """The model calls that an answer's turns were said in, or that a judge's word rests on; none for other records.

    Of a call that judged several answers, those that were shown this one, if one can tell.
    """
    if not isinstance(record, (Solution, Feedback)):
        return []
    if isinstance(record, Solution):
        said = list(dict.fromkeys(t.said.exchange for t in record.turns if t.said is not None))
        if said:
            return list(exchanges(ledger, said).values())
    found = of_call(ledger, str(ledger.provenance(record.id)["call"]))
    if isinstance(record, Solution):  # of schema 1: which of its call's it was is not known
        return found
    text = "".join(s.text for s in left(ledger, [record.solution]) if isinstance(s, Solution))
    shown = [e for e in found if text.strip() and any(text.strip() in m.content for m in in_words(e.messages or ()))]
    return shown or found


def told(ledger: Ledger, found: list[Exchange]) -> list[str]:
    """These model calls in words, at most ``MOST``: what each was shown, and what came back."""
    out = [sentence for e in found[:MOST] for sentence in one(e)]
    if len(found) > MOST:
        out.append(f"And {len(found) - MOST} more model calls.")
    return out


def one(e: Exchange) -> list[str]:
    """A model call in words."""
    whom = "the model" if e.role in (SELF, None) else f"the {e.role}"
    by = f"policy {_short(e.policy)} on {e.engine}, {e.precision}"
    if e.messages is None:
        shown = f"In model call {e.id} {whom} ({by}) was asked something that this ledger did not keep."
    else:
        words = "; ".join(f"{m.role.value}: {m.content!r}" for m in in_words(e.messages))
        shown = f"In model call {e.id} {whom} ({by}) was shown: {words}"
    replies = [f"{i}: {r.text!r}" if len(e.replies) > 1 else repr(r.text) for i, r in enumerate(e.replies)]
    return [shown, f"It said: {'; '.join(replies)}"]


def _short(id: str) -> str:
    return id.split(":")[-1][:8]
