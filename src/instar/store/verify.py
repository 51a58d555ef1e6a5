"""Re-derive every id and digest of a ledger from its content, and check that every edge ends somewhere."""

from __future__ import annotations

import json
from typing import Any

from instar.records import KINDS, Policy, mint
from instar.store.ledger import Ledger


def verify(ledger: Ledger) -> list[str]:
    """What is wrong, one sentence each; an empty list means the ledger is what it says."""
    wrong: list[str] = []
    rows = {r["id"]: r for r in ledger.rows("records")}
    for id, row in rows.items():
        wrong += _check(id, row)
    for e in ledger.rows("edges"):
        for end in (e["child"], e["parent"]):
            if end not in rows:
                wrong.append(f"an edge {e['child']} {e['type']} {e['parent']} ends at {end}, which is not there")
    for call in ledger.rows("calls"):
        for output in json.loads(call["outputs"]):
            if output not in rows:
                wrong.append(f"the call {call['key']} says it made {output}, which is not there")
    for s in ledger.rows("sets"):
        if s["task"] not in rows:
            wrong.append(f"the set {s['name']} names the task {s['task']}, which is not there")
    return wrong


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
