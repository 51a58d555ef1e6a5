"""What reports say of single answers, where it had to go: the answer that was expected and those that were read. Marks,
scores and figures stay, for they are nobody's words."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Collection, Mapping
from itertools import count
from typing import Any, NamedTuple

from sqlalchemy import Connection
from sqlalchemy import text as sql_of

from instar.legible import storable
from instar.store import schema as t
from instar.store.ledger import Ledger
from instar.store.redact import OUTCOMES, UNSWEPT, sweep
from instar.store.rows import upsert_all

BLANK = re.compile(r"\(redacted (\d+)\)")
_ON = """
select distinct r.id as report, t.id as task
from records f join links up on up.parent = f.n and up.type = 1 join records r on r.n = up.child and r.kind = 'report'
join links down on down.child = f.n and down.type = 1 join records t on t.n = down.parent and t.kind = 'task'
where f.kind = 'feedback' and f.id in (select value from json_each(:ids))"""


_REPORTS = "select id, body from records where kind = 'report'"
Alike = Callable[[str], str | None]
"""The form under which answers are counted; None for what is none."""


class _On(NamedTuple):
    report: str
    task: str


class _Body(NamedTuple):
    id: str
    body: str


def reports_on(ledger: Ledger, ids: Collection[str], alike: Alike) -> list[str]:
    """The reports in which ``blank`` would put numbers."""
    return list(_bodies(ledger, ids, alike))


def blank(ledger: Ledger, ids: Collection[str], *, reason: str, alike: Alike) -> None:
    """Put numbers in the place of what reports say was answered by those of these records that are answers, and of what
    was expected where the task is one of them. What counts as the same answer (``alike``) has the same number in all
    reports, so that their figures still follow, that of the best constant answer too. An answer that is another's as
    well stays. Hold the run's lock."""
    bodies = _bodies(ledger, ids, alike)
    if not bodies:
        return
    rows = [{"id": id, "what": OUTCOMES, "reason": storable(reason), "at": time.time()} for id in bodies]

    def write(c: Connection) -> None:
        c.execute(sql_of("pragma secure_delete=on"))
        for id, body in bodies.items():
            c.execute(t.records.update().where(t.records.c.id == id).values(body=body))
        upsert_all(c, t.redacted, rows, ("id",))
        upsert_all(c, t.about, [{"key": UNSWEPT, "value": "1"}], ("key",))

    ledger.writer.write_now(write)
    sweep(ledger)


def is_blank(outcome: Mapping[str, Any]) -> bool:
    """Whether an outcome's answers are numbers alone."""
    return all(said is None or BLANK.fullmatch(said) for said in outcome.get("answers", ()))


def _bodies(ledger: Ledger, ids: Collection[str], alike: Alike) -> dict[str, str]:
    """What the reports come to say that have to say something else."""
    on = {(o.report, o.task) for o in ledger._select(_On, _ON, ids=list(ids))}
    said = {r.id: json.loads(r.body) for r in ledger._select(_Body, _REPORTS)}
    own = set(ids)
    names: dict[str, str] = {}
    last = 0
    for report, body in said.items():
        for o in body["outcomes"]:
            stays = [*(() if o["task"] in own else (o["gold"],)), *(() if (report, o["task"]) in on else o["answers"])]
            names |= {key: "" for v in stays if v is not None and (key := alike(v)) is not None}
            numbers = [int(found[1]) for v in (o["gold"], *o["answers"]) if v and (found := BLANK.fullmatch(v))]
            last = max([last, *numbers])
    fresh = (f"(redacted {n})" for n in count(last + 1))

    def other(value: str | None) -> str | None:
        if value is None or BLANK.fullmatch(value) or (key := alike(value)) is None:
            return value
        if key not in names:
            names[key] = next(fresh)
        return names[key] or value

    bodies = {}
    for report, body in sorted(said.items()):
        was = json.dumps(body)
        for o in body["outcomes"]:
            if o["task"] in own:
                o["gold"] = other(o["gold"])
            if (report, o["task"]) in on:
                o["answers"] = [other(a) for a in o["answers"]]
        if json.dumps(body) != was:
            bodies[report] = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    return bodies
