"""How far a run is: what it is at, whether its ledger tells more than before, its calls, its engines, its seconds."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any, NamedTuple

from instar.store.ledger import Ledger

_DOING = """
select s.verb, s.round, s.items, s.started, o.name as op, count(c.key) as done
from steps s left join calls c on c.step = s.key and c.status != 'failed' left join ops o on o.id = s.op
where s.finished = 0 group by s.key order by s.seq desc limit 1"""
_REVISION = """
select (select max(rowid) from records) as records, (select max(rowid) from calls) as calls,
       (select max(rowid) from journal) as asks, (select count(*) from steps where finished) as steps,
       (select max(id) from sessions) as session, (select status from sessions order by id desc limit 1) as status,
       (select length(value) from about where key = 'result') as result,
       (select count(*) from inner_steps) as inner"""
_NEWS = """
select (select count(*) from records where kind in ('report', 'verdict', 'health', 'policy', 'assessment')) as records,
       (select max(round) from steps) as round,
       (select count(*) from about where key in ('result', 'evolved_at')) as over,
       (select count(*) from sessions where status != 'running') as ended"""
_SECONDS = "select phase, sum(seconds) as seconds from spans group by phase"
_ENGINE = """
select engine from journal where policy not in (select value from json_each(:others)) order by rowid desc limit 1"""
_CALLS = "select key, step, item from calls order by rowid"
_PLAYERS = "select distinct step, role, policy from journal where role is not null order by step, role, policy"
_COUNTED = ("records", "calls", "journal")


class Doing(NamedTuple):
    """A step that is not finished, and how many of its calls are."""

    verb: str
    round: int
    items: int
    started: float | None
    op: str | None
    done: int


class Revision(NamedTuple):
    """How much a ledger tells, counted so that it costs nothing."""

    records: int | None
    calls: int | None
    asks: int | None
    steps: int
    session: int | None
    status: str | None
    result: int | None
    inner: int


class News(NamedTuple):
    """What of a run has become final, counted."""

    records: int
    round: int | None
    over: int
    ended: int


class Call(NamedTuple):
    """A call: its key, its step, its item."""

    key: str
    step: str
    item: str


class Player(NamedTuple):
    """Who was asked as what in a step."""

    step: str
    role: str
    policy: str


class _Phase(NamedTuple):
    phase: str
    seconds: float


class _Engine(NamedTuple):
    engine: str


def doing(ledger: Ledger) -> Doing | None:
    """The newest step that is not finished; None where all are."""
    rows = ledger._select(Doing, _DOING)
    return rows[0] if rows else None


def revision(ledger: Ledger) -> Revision:
    """Another one whenever the ledger tells more; cheap enough to ask every second."""
    return ledger._select(Revision, _REVISION)[0]


def news(ledger: Ledger) -> News:
    """Others whenever there are more final figures; cheap enough to ask every few seconds."""
    return ledger._select(News, _NEWS)[0]


def seconds_by_phase(ledger: Ledger) -> dict[str, float]:
    """Where the seconds of all sessions went."""
    return {r.phase: r.seconds for r in ledger._select(_Phase, _SECONDS)}


def last_engine(ledger: Ledger, *, but_of: Collection[str] = ()) -> str | None:
    """The engine of a run's latest reply, those of some policies left out; None before the first."""
    rows = ledger._select(_Engine, _ENGINE, others=sorted(but_of))
    return rows[0].engine if rows else None


def calls(ledger: Ledger) -> Iterator[Call]:
    """Every call in the order they were stored, one after the other: there may be hundreds of thousands."""
    return map(Call._make, ledger._stream(_CALLS))


def players(ledger: Ledger) -> list[Player]:
    """Who was asked as what in each step, as far as the journal says it: one of schema 1 does not."""
    return ledger._select(Player, _PLAYERS) if "role" in ledger.columns("journal") else []


def sizes(ledger: Ledger) -> dict[str, int]:
    """How many records, calls and journalled asks there are."""
    counted: dict[str, Any] = {name: next(ledger._stream(f"select count(*) from {name}")) for name in _COUNTED}
    return {name: int(row[0]) for name, row in counted.items()}
