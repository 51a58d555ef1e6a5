"""A run whose every text tries to become code: what a model, a document or a checker might write."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

from instar.records import Message, Role
from instar.store.exchanges import ask_digest, chain

PAYLOADS = (
    "</script><script>window.pwned = 1</script>",
    "<img src=x onerror='window.pwned = 2'>",
    "\"><svg onload=window.pwned=3>'`${window.pwned=4}{{7*7}}{% raw %}",
    "<!--<script>\u2028<a href='javascript:window.pwned=5'>click</a>",
)
ABILITY = "<b onmouseover=window.pwned=6>sum</b>"


def poison(ledger: Path, ability: str = "chain_sum") -> None:
    """Put the payloads wherever a text of others stands, and into the name of one ability."""
    db = sqlite3.connect(ledger)
    for n, (rowid, kind, body) in enumerate(db.execute("select rowid, kind, body from records").fetchall()):
        record = renamed(json.loads(body), ability)
        payload = PAYLOADS[n % len(PAYLOADS)]
        if kind == "solution":
            record["turns"][0]["text"] = f"{payload} {record['turns'][0]['text']}"
        elif kind == "task":
            record["messages"][-1]["content"] += f" {payload}"
            record["source"] = payload
        elif kind == "feedback":
            record["comment"] = payload
        elif kind in ("decision", "verdict"):
            record["reason"] = f"{payload} {record['reason']}"
        db.execute("update records set body = ? where rowid = ?", (json.dumps(record), rowid))
    for key, value in db.execute("select key, value from about").fetchall():
        if key in ("result", "resolved"):
            changed = renamed(json.loads(value), ability)
            if key == "resolved":
                changed["system"] = PAYLOADS[0]
            db.execute("update about set value = ? where key = ?", (json.dumps(changed), key))
    _poison_calls(db)
    db.execute("update sessions set note = ?", (PAYLOADS[1],))
    db.execute("update ops set name = name || ?", (PAYLOADS[1],))
    db.commit()
    db.close()


def _poison_calls(db: sqlite3.Connection) -> None:
    """Every model call was shown a payload and said one, its digests as they should be: else it would not be read."""
    db.row_factory = sqlite3.Row
    for n, row in enumerate(db.execute("select * from journal").fetchall()):
        (shown,) = chain([Message(role=Role.user, content=PAYLOADS[n % len(PAYLOADS)])])
        db.execute("insert or ignore into messages values (:digest, :before, :role, :content)", shown)
        replies = [{**r, "text": PAYLOADS[(n + 1) % len(PAYLOADS)]} for r in json.loads(row["replies"])]
        new = {**dict(row), "messages": shown["digest"], "replies": json.dumps(replies)}
        db.execute(
            "update journal set messages = ?, replies = ?, digest = ? where key = ?",
            (new["messages"], new["replies"], ask_digest(new), row["key"]),
        )
    db.row_factory = None


def renamed(value: Any, ability: str) -> Any:
    """The same data with an ability's name replaced by one that is HTML."""
    if isinstance(value, dict):
        return {k.replace(ability, ABILITY): renamed(v, ability) for k, v in value.items()}
    if isinstance(value, list):
        return [renamed(v, ability) for v in value]
    return value.replace(ability, ABILITY) if isinstance(value, str) else value
