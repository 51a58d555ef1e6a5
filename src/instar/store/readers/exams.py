"""What exams and gates left in the ledger: reports, verdicts, and the answers that a report was made from."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from instar.records import Verdict
from instar.store.ledger import Ledger

_REPORTS = "select id, body, inputs from records where kind = 'report' order by rowid"
_VERDICTS = "select id, body, op from records where kind = 'verdict' order by rowid"
_BY_ROUND = "select round, body from records where kind = 'verdict' order by round, rowid"
_NEWEST = "select body from records where kind = 'verdict' order by rowid desc limit 1"
_SCORES = """
select json_extract(body, '$.policy') as policy, json_extract(body, '$.exam.suite') as suite,
       json_extract(body, '$.exam.items') as items, json_extract(body, '$.exam.n') as n,
       json_extract(body, '$.metrics') as metrics, json_extract(body, '$.abilities') as abilities
from records where kind = 'report' order by rowid"""
_EXAMINED = """
select f.id as feedback, s.id, json_extract(s.body, '$.task') as task, json_extract(s.body, '$.turns') as turns,
       json_extract(s.body, '$.engine') as engine, json_extract(s.body, '$.precision') as precision,
       json_extract(f.body, '$.comment') as comment, f.rowid as place, json_extract(s.body, '$.finish') as finish,
       json_extract(s.body, '$.memories') as memories
from edges e join records f on f.id = e.parent and f.kind = 'feedback'
join records s on s.id = json_extract(f.body, '$.solution')
where e.child = :report and e.type = 'made_from' and s.body <> '{}' order by s.idx"""


class StoredReport(NamedTuple):
    """A report as JSON, and as JSON too what it was made from: the policy, then the feedback on each answer."""

    id: str
    body: str
    inputs: str


class StoredVerdict(NamedTuple):
    """A verdict as JSON, and the operator (a gate) that gave it."""

    id: str
    body: str
    op: str


class Scores(NamedTuple):
    """A report without its items: whose, on which tasks of which suite, with how many samples, and its figures."""

    policy: str
    suite: str
    items: str
    n: int
    metrics: Mapping[str, Any]
    abilities: Mapping[str, Mapping[str, Any]]


class _Scores(NamedTuple):
    policy: str
    suite: str
    items: str
    n: int
    metrics: str
    abilities: str


class Examined(NamedTuple):
    """An answer that a report counted, with what was said of it. ``turns`` are the solution's, as JSON."""

    feedback: str
    id: str
    task: str
    turns: str
    engine: str
    precision: str
    comment: str | None
    place: int
    finish: str
    memories: str | None


class _Body(NamedTuple):
    body: str


class _Round(NamedTuple):
    round: int
    body: str


def reports(ledger: Ledger) -> Iterator[StoredReport]:
    """Every report in the order they were made, one after the other: each holds the outcomes of a whole exam."""
    return map(StoredReport._make, ledger._stream(_REPORTS))


def scores(ledger: Ledger) -> list[Scores]:
    """The figures of every report in the order they were made."""
    return [
        Scores(r.policy, r.suite, r.items, r.n, json.loads(r.metrics), json.loads(r.abilities))
        for r in ledger._select(_Scores, _SCORES)
    ]


def verdicts(ledger: Ledger) -> Iterator[StoredVerdict]:
    """Every verdict in the order they were given, one after the other."""
    return map(StoredVerdict._make, ledger._stream(_VERDICTS))


def verdicts_by_round(ledger: Ledger) -> list[tuple[int, Verdict]]:
    """(round, verdict), by round and then as they were given."""
    return [(r.round, Verdict.model_validate_json(r.body)) for r in ledger._select(_Round, _BY_ROUND)]


def newest_verdict(ledger: Ledger) -> Verdict | None:
    """What a gate said last; None before the first."""
    rows = ledger._select(_Body, _NEWEST)
    return Verdict.model_validate_json(rows[0].body) if rows else None


def examined(ledger: Ledger, report: str) -> list[Examined]:
    """The answers that a report was made from, in the order of their samples."""
    return ledger._select(Examined, _EXAMINED, report=report)
