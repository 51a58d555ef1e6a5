"""Re-derive every id and digest of a ledger from its content, and check that every edge ends somewhere."""

from __future__ import annotations

import json
from typing import Any

from instar.records import KINDS, Policy, Report, mint
from instar.store.ledger import Ledger

HELD_OUT = ("dev", "gate", "sealed")


def verify(ledger: Ledger) -> list[str]:
    """What is wrong, one sentence each; an empty list means the ledger is what it says.

    Checked: every record's id, digest and made_from edges against its content; that edges, calls and sets end
    somewhere; that no task is in two sets and no policy descends from a held-out task; that the sealed figures are
    those of the sealed reports. Not checked: the journal's text (solutions carry their own), times.
    """
    wrong: list[str] = []
    rows = {r["id"]: r for r in ledger.rows("records")}
    edges = ledger.rows("edges")
    parents: dict[str, set[str]] = {id: set() for id in rows}
    for e in edges:
        if e["type"] == "made_from":
            parents.setdefault(e["child"], set()).add(e["parent"])
    for id, row in rows.items():
        wrong += _check(id, row)
        said = set(json.loads(row["inputs"])) - {id}
        # a policy is what it is: a second way to the same weights adds edges, and never takes one away
        if not said <= parents[id] or (row["kind"] != "policy" and said != parents[id]):
            wrong.append(f"the made_from edges of the {row['kind']} {id} are not those it was stored with")
    wrong += _sets(ledger, rows) + _result(ledger, rows)
    for e in edges:
        for end in (e["child"], e["parent"]):
            if end not in rows:
                wrong.append(f"an edge {e['child']} {e['type']} {e['parent']} ends at {end}, which is not there")
    for call in ledger.rows("calls"):
        for output in json.loads(call["outputs"]):
            if output not in rows:
                wrong.append(f"the call {call['key']} says it made {output}, which is not there")
    return wrong


def _sets(ledger: Ledger, rows: dict[str, dict[str, Any]]) -> list[str]:
    wrong: list[str] = []
    of: dict[str, str] = {}
    for s in ledger.rows("sets"):
        if s["task"] not in rows:
            wrong.append(f"the set {s['name']} names the task {s['task']}, which is not there")
        if of.setdefault(s["task"], s["name"]) != s["name"]:
            wrong.append(f"the task {s['task']} is in two sets: {of[s['task']]} and {s['name']}")
    said = ledger.about().get("sets_digest")
    if said is not None and said != ledger.sets_digest():
        wrong.append("the sets are not those that the run was made with")
    held_out = {task for task, name in of.items() if name in HELD_OUT}
    for id, row in rows.items():
        if row["kind"] == "policy" and (reached := ledger.ancestors(id) & held_out):
            wrong.append(f"the policy {id} descends from {len(reached)} held-out tasks, such as {min(reached)}")
    return wrong


def _result(ledger: Ledger, rows: dict[str, dict[str, Any]]) -> list[str]:
    result = json.loads(ledger.about().get("result", "{}"))
    sealed = result.get("sealed")
    if not sealed:
        return []
    scores = {}
    for row in rows.values():
        if row["kind"] == "report":
            report = Report.model_validate_json(row["body"])
            if report.exam.suite == "sealed":
                scores[report.policy] = sum(o.score for o in report.outcomes) / len(report.outcomes)
    return [
        f"the result says that the {who} policy scores {sealed[who]} on the sealed exam; its report says {found}"
        for who in ("base", "final")
        if (found := scores.get(result[who])) is None or abs(found - sealed[who]) > 1e-9
    ]


def _check(id: str, row: dict[str, Any]) -> list[str]:
    try:
        record = KINDS[row["kind"]].model_validate_json(row["body"])
    except (KeyError, ValueError) as e:
        return [f"the {row['kind']} {id} cannot be read: {str(e).splitlines()[0]}"]
    wrong = []
    if record.id != id:
        wrong.append(f"the {row['kind']} {id} carries another id inside: {record.id}")
    if record.digest != row["digest"]:
        wrong.append(f"the content of the {row['kind']} {id} does not match its digest: it was changed")
    if isinstance(record, Policy):
        derived = record.identified().id
    else:
        derived = mint(row["kind"], row["op"], json.loads(row["inputs"]), row["round"], row["idx"])
    if derived != id:
        wrong.append(f"the {row['kind']} {id} should be {derived} by what it says made it")
    return wrong
