"""Answers that a run sampled to learn from, with all that became of each: a bounded, stated selection."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from instar.records import Solution
from instar.report.exams import questions_of, text_of
from instar.report.transcript import cut, several, transcripts
from instar.store.ledger import Ledger
from instar.store.readers import answers as read
from instar.store.readers.rollouts import rolled, signs
from instar.store.roles import Roles

ROWS = 1200
"""Answers shown at most."""


TRAINED, AWAY, OTHER = "trained on", "trained away from", "only trained a policy that was not kept"
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
    dropped = {r.item: names.get(r.op, r.op) for r in read.dropped(ledger, rounds)}
    line = {u.policy for u in roles.line()}
    if not roles.over:
        line |= {u.policy for u in roles.candidates if u.policy not in roles.promoted}
    candidates = {u.policy for u in roles.candidates}
    trained: dict[str, str] = {}
    for u in sorted(roles.updates.values(), key=lambda u: (u.policy in line, u.policy in candidates)):
        fate = TRAINED if u.policy in line else OTHER if u.policy in candidates else CONTROL
        trained |= dict.fromkeys(u.away, AWAY if fate == TRAINED else fate)
        trained |= dict.fromkeys(u.solutions, fate)  # the best it came to
    order = [TRAINED, AWAY, OTHER, *(f"dropped by {name}" for name in dict.fromkeys(dropped.values())), CONTROL, UNUSED]
    groups: dict[tuple[int, str], list[str]] = defaultdict(list)
    fates: dict[str, str] = {}
    at: dict[str, int] = {}
    for r in read.sampled(ledger):
        fate = trained.get(r.id, UNUSED)  # whatever dropped it in another round: what it trained is what matters
        if fate in (CONTROL, UNUSED) and r.id in dropped:
            fate = f"dropped by {dropped[r.id]}"
        groups[r.round, fate].append(r.id)
        fates[r.id], at[r.id] = fate, r.round
    groups = dict(sorted(groups.items(), key=lambda g: (g[0][0], order.index(g[0][1]))))
    chosen = _evenly(groups, limit)
    chosen += [i for i in dict.fromkeys(also or ()) if i in fates.keys() - set(chosen)]
    return {
        "rows": _rows(ledger, chosen, fates, at, names), "total": len(fates), "left_out": len(fates) - len(chosen),
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


def _rows(
    ledger: Ledger, ids: list[str], fates: dict[str, str], at: dict[str, int], names: dict[str, str]
) -> list[dict[str, Any]]:
    found = read.answers(ledger, ids)
    of = rolled(ledger, ids)
    learned: dict[str, list[dict[str, Any]]] = defaultdict(list)
    said = {  # their words lie elsewhere
        r.id: json.dumps([t.model_dump(mode="json") for t in r.turns])
        for r in ledger.records(ids=list(of)) if isinstance(r, Solution)
    }  # fmt: skip
    turns = transcripts(ledger, [i for i in ids if several(said.get(i, found[i].turns))])
    for row in signs(ledger, ids):
        learned[row.solution].append({"policy": row.policy, "sign": row.sign})
    tasks = list(dict.fromkeys(r.task for r in found.values()))
    about = read.tasks(ledger, tasks)
    questions = questions_of(ledger, tasks)
    served: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for r in read.served(ledger, tasks):
        served[r.task].append({"round": r.round, "reason": cut(r.reason, 400)})
    kids: dict[str, list[tuple[read.Child, dict[str, Any]]]] = defaultdict(list)
    for child in read.children(ledger, ids):
        kids[child.parent].append((child, json.loads(child.body)))
    out = []
    for id in ids:
        s, task = found[id], about.get(found[id].task)
        feedback = [body for k, body in kids[id] if k.kind == "feedback"]
        out.append(
            {
                "id": id, "round": at[id], "fate": fates[id], "task": s.task, "policy": s.policy,
                "made_by": names.get(s.op, s.op), "engine": f"{s.engine}, {s.precision}",
                "tokens": s.tokens, "finish": s.finish, "flags": json.loads(s.flags or "[]"),
                "memories": json.loads(s.memories or "[]"),
                "text": text_of(said.get(id, s.turns)), "turns": turns.get(id), "question": questions.get(s.task, ""),
                "ability": task.ability if task else "", "gold": task.gold if task else None,
                "source": task.source if task else "", "set": task.held if task else None, "served": served[s.task],
                "feedback": [
                    {k: cut(str(f[k]), 400) if isinstance(f[k], str) else f[k]
                     for k in ("id", "mark", "score", "source", "answer", "comment")} for f in feedback
                ],
                "decisions": [
                    {"filter": names.get(k.op, k.op), "round": k.round, "kept": body["kept"],
                     "reason": cut(body["reason"], 400)} for k, body in kids[id] if k.kind == "decision"
                ],
                "policies": list(dict.fromkeys(
                    [*(k.id for k, _ in kids[id] if k.kind == "policy"), *(x["policy"] for x in learned[id])]
                )),
                "learned": learned[id], "rollout": of[id].name if id in of else None,
                "rewritten": [k.id for k, _ in kids[id] if k.kind == "solution"],
            }
        )  # fmt: skip
    return out
