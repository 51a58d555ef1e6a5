"""Whether a file is a whole ledger: SQLite's own check, and the tables, columns and types that a ledger has.

A flipped bit can make a number a text, cut an index loose from its table or hide a page. SQLite notices the last two,
nobody but us the first: and then whatever reads the ledger stumbles.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from typing import Any

from sqlalchemy import Column, Float, Integer

from instar.store import schema as t

DAMAGED = "the file is damaged"
"""How a sentence begins that SQLite's own check gave: ``store.mend`` may help, where it is indices alone."""


def damage(db: sqlite3.Connection) -> Iterator[str]:
    """What is wrong with the file, one sentence each. Raises sqlite3.Error where SQLite cannot even look."""
    said = [str(row[0]) for row in db.execute("pragma integrity_check(20)")]
    said = [line for row in said for line in row.splitlines() if line != "ok" and not line.startswith("***")]
    for line in said:
        yield f"{DAMAGED}: {line}"
    if said:
        return
    made = {row[0]: row[1:] for row in db.execute("select name, type, sql from sqlite_master")}
    there = {name for name, (kind, _) in made.items() if kind == "table"}
    if "about" not in there:
        yield "this is a database, but no ledger: it has no table 'about'"
        return
    version = db.execute("select value from about where key = 'schema'").fetchone()
    if version is None or not str(version[0]).isdigit():
        yield f"this file is not an instar ledger (its schema version reads {version and version[0]!r})"
        return
    if not 1 <= int(version[0]) <= t.SCHEMA_VERSION:
        yield f"this ledger has schema version {version[0]}; this instar knows 1 to {t.SCHEMA_VERSION}"
        return
    for table in t.metadata.sorted_tables:
        if table.name not in there:
            if t.since(table) <= int(version[0]):
                yield f"the table {table.name} is not there"
            continue
        columns = {row[1] for row in db.execute(f"pragma table_info({table.name})")}
        wanted = [c.name for c in table.columns if not c.info.get("later") and t.since(c) <= int(version[0])]
        missing = [name for name in wanted if name not in columns]
        if missing:
            yield f"the table {table.name} lacks the columns {', '.join(missing)}"
            continue
        yield from _types(db, table.name, [c for c in table.columns if c.name in columns])
    if "edges" in there:  # it is of schema 1 or 2
        yield from _types(db, "edges", list(t.edges.columns))
    elif made.get("edges") != ("view", _as_kept(t.EDGES)):
        yield "the view edges is not there, or is another" if "links" in there else "the table edges is not there"


def _as_kept(statement: str) -> str:
    """A statement as SQLite keeps it: its first words in capitals."""
    return statement.replace("create view", "CREATE VIEW", 1)


def _types(db: sqlite3.Connection, table: str, columns: list[Column[Any]]) -> Iterator[str]:
    odd = " or ".join(f"({_odd(c)})" for c in columns)
    row = db.execute(f"select {', '.join(c.name for c in columns)} from {table} where {odd}").fetchone()
    if row is not None:
        shown = json.dumps([_shown(v) for v in row], ensure_ascii=False)
        yield f"a row of {table} holds what its columns do not take: {shown}"


def _odd(column: Column[Any]) -> str:
    """The SQL condition of a value that a column may not hold."""
    name = column.name
    if isinstance(column.type, Integer):
        odd = f"typeof({name}) <> 'integer'"
    elif isinstance(column.type, Float):  # finite: a sum of seconds is shown
        odd = f"typeof({name}) not in ('real', 'integer') or abs({name}) > 1e15"
    else:
        odd = f"typeof({name}) <> 'text'"
    return f"{name} is not null and ({odd})" if column.nullable else odd


def _shown(value: Any) -> str:
    return (value if isinstance(value, str) else repr(value))[:40]
