"""Tasks that were taken out of a run's sets by hand, each for a reason: for every policy alike, and never silently.

It is a Decision on the task. Answers to it stay where they are; a report that counted it, and on which nothing was
decided, is derived again without it.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from sqlalchemy import Connection

from instar.errors import ConfigError
from instar.records import Decision, canonical_json, hash_of, mint
from instar.store import schema as t
from instar.store.ledger import Ledger
from instar.store.readers.lineage import kinds
from instar.store.rows import Made, insert_new, link, record_rows, remove, upsert_all

LEFT_OUT = hash_of("op", {"op": "left_out", "version": 1})
BY_HAND = "by hand"
"""In the place of a call: nobody called an operator."""
_DECISIONS = "select body from records where kind = 'decision' and op = :op order by rowid"


class _Body(NamedTuple):
    body: str


def left_out(ledger: Ledger) -> dict[str, str]:
    """Task to the reason why it is left out."""
    found = (Decision.model_validate_json(body) for (body,) in ledger._select(_Body, _DECISIONS, op=LEFT_OUT))
    return {d.item: d.reason for d in found}


def told(ledger: Ledger) -> list[dict[str, Any]]:
    """Each task that is left out, with its set and the reason, as plain data."""
    sets = {task: name for name, ids in ledger.sets().items() for task in ids}
    return [{"task": task, "set": sets.get(task), "reason": reason} for task, reason in left_out(ledger).items()]


def leave_out(ledger: Ledger, prefix: str, reason: str) -> str:
    """Take the task whose id begins with ``prefix`` out of the run; returns a sentence on it.

    Raises ConfigError where there is no such task, where its set would be empty, or where something was already decided
    on its answers: that would no longer follow from them.
    """
    sets = ledger.sets()
    task, name = _task(ledger, sets, prefix)
    reason = " ".join(reason.split())
    if not reason:
        raise ConfigError("a task is left out for a reason, and none is given.", f'Write: --without {prefix}="why".')
    out = left_out(ledger)
    if task in out:
        return f"the task {task} is left out of the {name} set already: {out[task]}"
    if not set(sets[name]) - {*out, task}:
        raise ConfigError(f"the task {task} is the last of the {name} set.", "Start a new run with other data.")
    reports = _reports(ledger, task, name)
    decision = Decision(item=task, kept=False, reason=f"left out by hand: {reason}")
    decision = decision.model_copy(update={"id": mint("decision", LEFT_OUT, (task,), 0, 0)})
    rows, edges = record_rows([Made(decision, LEFT_OUT, 0, 0, (task,), (task,))], BY_HAND)
    op = {"id": LEFT_OUT, "name": "left_out", "fields": canonical_json({"op": "left_out", "version": 1}), "source": ""}

    def write(c: Connection) -> None:
        upsert_all(c, t.ops, [op], ("id",))
        insert_new(c, t.records, rows)
        link(c, edges)
        failed = (t.calls.c.item == task) & (t.calls.c.status == "failed")
        c.execute(t.calls.update().where(failed).values(status="dropped"))
        remove(c, list(reports))
        for call in reports.values():
            c.execute(t.calls.delete().where(t.calls.c.key == call))

    ledger.writer.write_now(write)
    return f"the task {task} is left out of the {name} set, for every policy: {reason}"


def _task(ledger: Ledger, sets: dict[str, list[str]], prefix: str) -> tuple[str, str]:
    of = {task: name for name, tasks in sets.items() for task in tasks}
    like = prefix if ":" in prefix else f"i1:{prefix}"
    found = [task for task in of if task.startswith(like)]
    if len(found) != 1 or not prefix:
        raise ConfigError(
            f"{len(found)} tasks of this run have an id that begins with {prefix!r}.",
            "Errors name the task that they are about; instar show --outcomes items.csv lists those of its exams.",
        )
    return found[0], of[found[0]]


def _reports(ledger: Ledger, task: str, name: str) -> dict[str, str]:
    """The reports that counted the task, with the calls that made them. Raises ConfigError as ``leave_out``."""
    answers = _made_of(ledger, [task])
    said = _made_of(ledger, [id for id, kind in answers.items() if kind == "solution"])
    further = _made_of(ledger, [id for id, kind in {**answers, **said}.items() if kind == "feedback"])
    reports = [id for id, kind in further.items() if kind == "report"]
    made = {**answers, **said, **further, **_made_of(ledger, reports)}
    plain = ("solution", "feedback", "plant", "report")
    built = [k for id, k in made.items() if k not in plain or (id in said and k == "solution")]
    if name == "train" and any(s["verb"] == "propose" for s in ledger.rows("steps")):
        built = ["choice of a round's tasks"]
    if built:
        raise ConfigError(
            f"the task {task} of the {name} set cannot be left out any more: a {built[0]} was made on it and stands.",
            "Start a new run without this row; or let more calls fail: --set tolerance=0.2 --accept-changes."
            if name == "train"
            else "Start a new run without this row.",
        )
    return {id: str(ledger.provenance(id)["call"]) for id in reports}


def _made_of(ledger: Ledger, ids: list[str]) -> dict[str, str]:
    """What was made from these records, with its kind."""
    return kinds(ledger, {c for cs in ledger.children(ids).values() for c in cs})
