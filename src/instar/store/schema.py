"""The ledger's tables, their version, and how an older ledger is brought up to date.

Times, attempts and the order of rows are for people; the *content* of a ledger (see ``Ledger.content_digest``) leaves
them out, so that a run that was killed and resumed can be compared with one that was not.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import Column, Connection, Float, Index, Integer, MetaData, String, Table, Text, select, text

from instar.errors import StoreError

SCHEMA_VERSION = 3
BEFORE = "before schema 2"
"""In the place of the source digest of an operator of an older ledger: it covered something else, and is not
compared."""
metadata = MetaData()

about = Table("about", metadata, Column("key", String, primary_key=True), Column("value", Text, nullable=False))

ops = Table(
    "ops",
    metadata,
    Column("id", String, primary_key=True),
    Column("name", String, nullable=False),
    Column("fields", Text, nullable=False),
    Column("source", String, nullable=False),
)

sets = Table(
    "sets",
    metadata,
    Column("name", String, primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("task", String, nullable=False),
)

steps = Table(
    "steps",
    metadata,
    Column("key", String, primary_key=True),
    Column("seq", Integer, nullable=False),
    Column("verb", String, nullable=False),
    Column("op", String, nullable=False),
    Column("round", Integer, nullable=False),
    Column("items", Integer, nullable=False),
    Column("finished", Integer, nullable=False),
    Column("started", Float),
    Column("ended", Float),
)

calls = Table(
    "calls",
    metadata,
    Column("key", String, primary_key=True),
    Column("step", String, nullable=False),
    Column("item", String, nullable=False),
    Column("status", String, nullable=False),  # finished | failed | dropped (a failure that its step has accepted)
    Column("outputs", Text, nullable=False),
    Column("error", Text),
    Column("started", Float),
    Column("ended", Float),
    Index("calls_step", "step"),
)

INVALID = "kind = 'feedback' and json_extract(body, '$.mark') = 'invalid'"
FLAGGED = "kind = 'solution' and json_array_length(body, '$.flags') > 0"
"""What a resumed run looks for among a million records: each has an index of its own, of the few that are so."""

records = Table(
    "records",
    metadata,
    Column("id", String, primary_key=True),
    Column("kind", String, nullable=False),
    Column("digest", String, nullable=False),
    Column("body", Text, nullable=False),
    Column("op", String, nullable=False),
    Column("round", Integer, nullable=False),
    Column("idx", Integer, nullable=False),
    Column("inputs", Text, nullable=False),
    Column("call", String, nullable=False),
    Column("pointers", Text, info={"since": 2}),  # of a solution: where its turns were said
    Index("records_kind", "kind"),
    Index("records_digest", "digest"),
    Index("records_invalid", "id", sqlite_where=text(INVALID)),
    Index("records_flagged", "id", sqlite_where=text(FLAGGED)),
)

edges = Table(
    "edges",
    metadata,
    Column("child", String, primary_key=True),
    Column("type", String, primary_key=True),  # made_from | decided_by
    Column("parent", String, primary_key=True),
    Index("edges_parent", "parent", "type"),
)

journal = Table(
    "journal",
    metadata,
    Column("key", String, primary_key=True),
    Column("step", String, nullable=False),
    Column("call", String, nullable=False),
    Column("turn", Integer, nullable=False),
    Column("ask", String, nullable=False),
    Column("policy", String, nullable=False),
    Column("engine", String, nullable=False),
    Column("precision", String, nullable=False),
    Column("replies", Text, nullable=False),
    Column("prompt_tokens", Integer, nullable=False),
    Column("tokens", Integer, nullable=False),
    Column("seconds", Float),
    Column("at", Float),
    Column("digest", String, info={"later": True}),  # what covers a row: a journalled reply is no record
    Column("role", String, info={"since": 2}),  # null: a row of schema 1, of which the rest below is not known
    Column("sampling", Text, info={"since": 2}),
    Column("seed", Integer, info={"since": 2}),
    Column("weights", String, info={"since": 2}),
    Column("messages", String, info={"since": 2}),  # the last message shown; "" where there was none
    Column("prompt", String, info={"since": 2}),
    Index("journal_step", "step"),
    Index("journal_call", "call"),
)
"""The exchanges: one row a finished model call."""

messages = Table(
    "messages",
    metadata,
    Column("digest", String, primary_key=True),
    Column("before", String, nullable=False),  # the digest of the message before it; "" for the first
    Column("role", String, nullable=False),
    Column("content", Text, nullable=False),
    info={"since": 2},
)
"""What models were shown, each message once for all prompts that begin alike up to it."""

prompts = Table(
    "prompts",
    metadata,
    Column("digest", String, primary_key=True),
    Column("reader", String, nullable=False),
    Column("ids", Text, nullable=False),
    info={"since": 2},
)
"""The token ids that engines read, each prompt once."""

borders = Table(
    "borders",
    metadata,
    Column("key", String, primary_key=True),
    Column("step", String, nullable=False),
    Column("call", String, nullable=False),
    Column("kind", String, nullable=False),
    Column("n", Integer, nullable=False),
    Column("asked", Text, nullable=False),
    Column("said", Text),  # null: begun, and not known to have ended
    Column("at", Float),
    Column("digest", String, nullable=False),
    Index("borders_call", "call"),
    info={"since": 2},
)
"""What calls did beyond asking models: tool calls, and what came of them."""

redacted = Table(
    "redacted",
    metadata,
    Column("id", String, primary_key=True),
    Column("what", String, nullable=False),  # record | exchange | message | prompt
    Column("reason", Text, nullable=False),
    Column("at", Float),
    info={"since": 3},
)
"""What had to go: its body is empty, its digest stays."""

inner = Table(
    "inner_steps",
    metadata,
    Column("call", String, primary_key=True),
    Column("key", String, primary_key=True),
    Column("value", Text, nullable=False),
)

sessions = Table(
    "sessions",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("pid", Integer, nullable=False),
    Column("host", String, nullable=False),
    Column("started", Float, nullable=False),
    Column("ended", Float),
    Column("status", String, nullable=False),
    Column("note", Text),
)

spans = Table(
    "spans",
    metadata,
    Column("session", Integer, primary_key=True),
    Column("phase", String, primary_key=True),
    Column("seconds", Float, nullable=False),
    Column("tokens", Integer, nullable=False),
)

Migration = Callable[[Connection], None]


def _to_2(connection: Connection) -> None:
    """What schema 1 did not keep is not known: it is recovered, where it can be proven, when it is read."""
    connection.execute(ops.update().values(source=BEFORE))


MIGRATIONS: dict[int, Migration] = {1: _to_2, 2: lambda _: None}
"""``MIGRATIONS[v]`` turns a ledger of version v into one of version v + 1, inside one transaction. Tables and columns
that are new are made already; it does what is left, and may find that it was done."""


def since(part: Table | Column[Any]) -> int:
    """The schema version from which on a ledger has this table or column."""
    return int(part.info.get("since", 1))


def create_or_migrate(connection: Connection) -> None:
    """Make a new ledger's tables, or bring an older ledger to this version. Refuses one from a newer instar.

    In one transaction of its own where it changes anything: SQLite's driver for Python begins none before a CREATE.
    """
    names = set(connection.execute(text("select name from sqlite_master where type='table'")).scalars())
    if "about" not in names:
        connection.exec_driver_sql("begin immediate")
        metadata.create_all(connection)
        connection.execute(about.insert().values(key="schema", value=str(SCHEMA_VERSION)))
        return
    version = version_of(connection.execute(select(about.c.value).where(about.c.key == "schema")).scalar_one_or_none())
    if version < SCHEMA_VERSION:
        connection.exec_driver_sql("begin immediate")
        metadata.create_all(connection)
    # not a matter of the version alone: readers do without, and an older instar leaves alone what it does not know
    for table in metadata.tables.values():
        there = {row[1] for row in connection.exec_driver_sql(f"pragma table_info({table.name})")}
        for column in (c for c in table.columns if (c.info.get("later") or since(c) > 1) and c.name not in there):
            connection.exec_driver_sql(f"alter table {table.name} add column {column.name} {column.type}")
    for index in (i for table in metadata.tables.values() for i in table.indexes):
        index.create(connection, checkfirst=True)
    while version < SCHEMA_VERSION:
        if version not in MIGRATIONS:
            raise StoreError(f"this ledger has schema version {version} and no migration from it exists.")
        MIGRATIONS[version](connection)
        version += 1
        connection.execute(about.update().where(about.c.key == "schema").values(value=str(version)))


def version_of(found: str | None) -> int:
    """The schema version as ``about`` has it. Raises StoreError for what is none, and for one that is newer."""
    if found is None or not found.isdigit():
        raise StoreError(f"this file is not an instar ledger (its schema version reads {found!r}).")
    if int(found) > SCHEMA_VERSION:
        raise StoreError(
            f"this ledger has schema version {found}; this instar knows up to {SCHEMA_VERSION}.",
            "Open it with the newer instar that wrote it.",
        )
    return int(found)
