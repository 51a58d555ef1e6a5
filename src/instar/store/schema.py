"""The ledger's tables, their version, and how an older ledger is brought up to date.

Times, attempts and the order of rows are for people; the *content* of a ledger (see ``Ledger.content_digest``) leaves
them out, so that a run that was killed and resumed can be compared with one that was not.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import Column, Connection, Float, Index, Integer, MetaData, String, Table, Text, select, text
from sqlalchemy.schema import CreateTable

from instar.errors import StoreError

SCHEMA_VERSION = 4
BEFORE = "before schema"
"""How what stands in the place of the source digest of an operator of an older ledger begins: it covered something
else, and is not compared."""
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

LASTING = "kind = 'policy' and json_extract(body, '$.weights.place') <> 'transient'"
"""Policies without those that rollouts inside an update had half way: what is listed as a run's policies."""

records = Table(
    "records",
    metadata,
    Column("n", Integer, primary_key=True, info={"since": 3}),  # the rowid: links name a record by it
    Column("id", String, nullable=False, unique=True),
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
    Index("records_invalid", "id", sqlite_where=text(INVALID)),
    Index("records_flagged", "id", sqlite_where=text(FLAGGED)),
)

links = Table(
    "links",
    metadata,
    Column("child", Integer, primary_key=True, autoincrement=False),
    Column("type", Integer, primary_key=True, autoincrement=False),
    Column("parent", Integer, primary_key=True, autoincrement=False),
    Index("links_parent", "parent", "type"),
    info={"since": 3},
    sqlite_with_rowid=False,
)
"""What was made from what, what was decided by what: records by their ``n``, the type by ``LINKED``. Texts in their
place were a quarter of a ledger."""
LINKED = {"made_from": 1, "decided_by": 2}

edges = Table(
    "edges",
    MetaData(),
    Column("child", String, nullable=False),
    Column("type", String, nullable=False),
    Column("parent", String, nullable=False),
)
"""The same by ids and words: how it is read. A view; up to schema 2 it was the table itself."""
EDGES = f"""create view edges as
select c.id as child, case l.type {" ".join(f"when {n} then '{word}'" for word, n in LINKED.items())} end as type,
       p.id as parent
from links l join records c on c.n = l.child join records p on p.n = l.parent"""

learned = Table(
    "learned",
    metadata,
    Column("solution", Integer, primary_key=True, autoincrement=False),
    Column("policy", Integer, primary_key=True, autoincrement=False),
    Column("turn", Integer, primary_key=True, autoincrement=False),
    Column("how", Integer, nullable=False),  # 0 as asked, 1 plainly
    Column("sign", Integer, nullable=False),  # 1 toward, -1 away
    info={"since": 3},
    sqlite_with_rowid=False,
)
"""What each policy learned, by ``n`` of the records. Of one that an older instar made nothing is known but its
inputs."""

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
    Column("branch", String, info={"since": 4}),  # null: the call did not go several ways, or not yet
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
    Column("branch", String, info={"since": 4}),
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
    connection.execute(ops.update().values(source=f"{BEFORE} 2"))


def _to_3(connection: Connection) -> None:
    """Each record gets the number that it had as a row, and edges become links between these."""
    run = connection.exec_driver_sql
    if "n" not in columns_of(connection, "records"):
        run(str(CreateTable(records.to_metadata(MetaData(), name="numbered")).compile(connection)))
        names = ", ".join(c.name for c in records.columns if c.name != "n")
        run(f"insert into numbered (n, {names}) select rowid, {names} from records order by rowid")
        run("drop table records")  # and an index of digests with it, which nobody asked
        run("alter table numbered rename to records")
    if run("select type from sqlite_master where name = 'edges'").scalar_one_or_none() == "table":
        run(FROM_EDGES.format(edges="edges"))
        run("drop table edges")
    connection.execute(ops.update().values(source=f"{BEFORE} 3"))


def _to_4(connection: Connection) -> None:
    """What is journalled so far is in no branch."""
    connection.execute(ops.update().values(source=f"{BEFORE} 4"))


FROM_EDGES = f"""insert or ignore into links (child, type, parent)
select c.n, case e.type {" ".join(f"when '{word}' then {n}" for word, n in LINKED.items())} else 0 end, p.n
from {{edges}} e join records c on c.id = e.child join records p on p.id = e.parent"""
MIGRATIONS: dict[int, Migration] = {1: _to_2, 2: _to_3, 3: _to_4}
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
        connection.exec_driver_sql(EDGES)
        connection.execute(about.insert().values(key="schema", value=str(SCHEMA_VERSION)))
        return
    version = version_of(connection.execute(select(about.c.value).where(about.c.key == "schema")).scalar_one_or_none())
    if version < SCHEMA_VERSION:
        connection.exec_driver_sql("begin immediate")
        metadata.create_all(connection)
    # not a matter of the version alone: readers do without, and an older instar leaves alone what it does not know
    for table in metadata.tables.values():
        there = columns_of(connection, table.name)
        later = (c for c in table.columns if (c.info.get("later") or since(c) > 1) and not c.primary_key)
        for column in (c for c in later if c.name not in there):
            connection.exec_driver_sql(f"alter table {table.name} add column {column.name} {column.type}")
    while version < SCHEMA_VERSION:
        if version not in MIGRATIONS:
            raise StoreError(f"this ledger has schema version {version} and no migration from it exists.")
        MIGRATIONS[version](connection)
        version += 1
        connection.execute(about.update().where(about.c.key == "schema").values(value=str(version)))
    for index in (i for table in metadata.tables.values() for i in table.indexes):
        index.create(connection, checkfirst=True)
    if not columns_of(connection, "edges"):
        connection.exec_driver_sql(EDGES)


def columns_of(connection: Connection, table: str) -> set[str]:
    """The columns that a table or view has in this file; none where there is no such one."""
    return {row[1] for row in connection.exec_driver_sql(f"pragma table_info({table})")}


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
