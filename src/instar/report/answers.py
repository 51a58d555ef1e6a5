"""Answers that a run sampled to learn from, with all that became of each: a bounded, stated selection."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from instar.report.exams import cut, questions_of, text_of
from instar.store.ledger import Ledger
from instar.store.roles import Roles

ROWS = 1200
"""Answers shown at most."""

_ALL = "select id, round from records where kind = 'solution' and round > 0"
_DROPPED = """
select json_extract(body, '$.item') as item, op, min(rowid) as first from records
where kind = 'decision' and round between 1 and :rounds and json_extract(body, '$.kept') = 0 group by item"""
_BODIES = """
select id, op, round, json_extract(body, '$.task') as task, json_extract(body, '$.policy') as policy,
       json_extract(body, '$.turns') as turns, json_extract(body, '$.engine') as engine,
       json_extract(body, '$.precision') as precision, json_extract(body, '$.flags') as flags,
       json_extract(body, '$.finish') as finish, json_extract(body, '$.tokens') as tokens
from records where id in (select value from json_each(:ids))"""
_CHILDREN = """
select e.parent, r.id, r.kind, r.op, r.round, case when r.kind = 'policy' then '{}' else r.body end as body
from edges e join records r on r.id = e.child
where e.type = 'made_from' and e.parent in (select value from json_each(:ids)) order by r.round, r.rowid"""
_TASKS = """
select r.id, json_extract(r.body, '$.ability') as ability, json_extract(r.body, '$.source') as source,
       json_extract(r.body, '$.private.answer') as gold, s.name as held
from records r left join sets s on s.task = r.id where r.id in (select value from json_each(:ids))"""
# the + keeps SQLite from beginning at every decision of the run: 40 s of 42 with 50,000 answers
_SERVED = """
select e.child as task, d.round, json_extract(d.body, '$.reason') as reason
from edges e join records d on d.id = e.parent and +d.kind = 'decision'
where e.type = 'decided_by' and e.child in (select value from json_each(:ids))"""


TRAINED, OTHER = "trained on", "only trained a policy that was not kept"
CONTROL, UNUSED = "only trained a control", "not used"


def answers(ledger: Ledger, roles: Roles, limit: int = ROWS, also: list[str] | None = None) -> dict[str, Any]:
    """At most ``limit`` answers, as evenly as can be over rounds and fates (trained on; dropped, by which filter).

    Within a round and fate the first by id, which is a hash: no hand chose them, and the same ledger gives the same.
    ``also`` are shown whatever their turn: the examples that the filters' reasons point to. "Trained on" is what the
    run's result was trained on (while it is not over, what its result may be); what trained a refused candidate, a
    policy that another replaced, or a control alone is called that.
    """
    names = {i: o["name"] for i, o in ledger.ops().items()}
    rounds = roles.last_round
    rows = sorted(ledger.select(_DROPPED, rounds=rounds), key=lambda r: int(r["first"]))
    dropped = {r["item"]: names.get(r["op"], r["op"]) for r in rows}
    line = {u.policy for u in roles.line()}
    if not roles.over:
        line |= {u.policy for u in roles.candidates if u.policy not in roles.promoted}
    candidates = {u.policy for u in roles.candidates}
    trained: dict[str, str] = {}
    for u in sorted(roles.updates.values(), key=lambda u: (u.policy in line, u.policy in candidates)):
        fate = TRAINED if u.policy in line else OTHER if u.policy in candidates else CONTROL
        trained |= dict.fromkeys(u.solutions, fate)  # the best it came to
    order = [TRAINED, OTHER, *(f"dropped by {name}" for name in dict.fromkeys(dropped.values())), CONTROL, UNUSED]
    groups: dict[tuple[int, str], list[str]] = defaultdict(list)
    fates: dict[str, str] = {}
    for r in ledger.select(_ALL):
        fate = trained.get(r["id"], UNUSED)  # whatever dropped it in another round: what it trained is what matters
        if fate in (CONTROL, UNUSED) and r["id"] in dropped:
            fate = f"dropped by {dropped[r['id']]}"
        groups[r["round"], fate].append(r["id"])
        fates[r["id"]] = fate
    groups = dict(sorted(groups.items(), key=lambda g: (g[0][0], order.index(g[0][1]))))
    chosen = _evenly(groups, limit)
    chosen += [i for i in dict.fromkeys(also or ()) if i in fates.keys() - set(chosen)]
    return {
        "rows": _rows(ledger, chosen, fates, names), "total": len(fates), "left_out": len(fates) - len(chosen),
        "groups": [{"round": k[0], "fate": k[1], "n": len(v)} for k, v in groups.items()],
        "fates": order, "rounds": rounds,
    }  # fmt: skip


def _evenly(groups: Mapping[tuple[int, str], list[str]], limit: int) -> list[str]:
    """Ids taken in turn from each group until ``limit``."""
    chosen: list[str] = []
    left = [sorted(ids) for _, ids in sorted(groups.items())]
    while left and len(chosen) < limit:
        share = max(1, (limit - len(chosen)) // len(left))
        for ids in left:
            chosen += ids[: min(share, limit - len(chosen))]
        left = [ids[share:] for ids in left if len(ids) > share]
    return chosen


def _rows(ledger: Ledger, ids: list[str], fates: dict[str, str], names: dict[str, str]) -> list[dict[str, Any]]:
    found = {r["id"]: r for r in ledger.select(_BODIES, ids=ids)}
    tasks = list(dict.fromkeys(r["task"] for r in found.values()))
    about = {r["id"]: r for r in ledger.select(_TASKS, ids=tasks)}
    questions = questions_of(ledger, tasks)
    served: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for r in ledger.select(_SERVED, ids=tasks):
        served[r["task"]].append({"round": r["round"], "reason": cut(r["reason"], 400)})
    kids: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for r in ledger.select(_CHILDREN, ids=ids):
        kids[r["parent"]].append({**r, "body": json.loads(r["body"])})
    out = []
    for id in ids:
        s, task = found[id], about.get(found[id]["task"], {})
        feedback = [k["body"] for k in kids[id] if k["kind"] == "feedback"]
        out.append(
            {
                "id": id, "round": s["round"], "fate": fates[id], "task": s["task"], "policy": s["policy"],
                "made_by": names.get(s["op"], s["op"]), "engine": f"{s['engine']}, {s['precision']}",
                "tokens": s["tokens"], "finish": s["finish"], "flags": json.loads(s["flags"] or "[]"),
                "text": text_of(s["turns"]), "question": questions.get(s["task"], ""),
                "ability": task.get("ability", ""), "gold": task.get("gold"), "source": task.get("source", ""),
                "set": task.get("held"), "served": served[s["task"]],
                "feedback": [
                    {k: cut(str(f[k]), 400) if isinstance(f[k], str) else f[k]
                     for k in ("mark", "score", "source", "answer", "comment")} for f in feedback
                ],
                "decisions": [
                    {"filter": names.get(k["op"], k["op"]), "round": k["round"], "kept": k["body"]["kept"],
                     "reason": cut(k["body"]["reason"], 400)} for k in kids[id] if k["kind"] == "decision"
                ],
                "policies": [k["id"] for k in kids[id] if k["kind"] == "policy"],
                "rewritten": [k["id"] for k in kids[id] if k["kind"] == "solution"],
            }
        )  # fmt: skip
    return out
