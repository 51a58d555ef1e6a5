"""Why is this record there? Its ancestry and its descendants, in sentences."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

from instar.errors import ConfigError
from instar.records import Decision, Feedback, Health, Objective, Policy, Record, Report, Solution, Task, Verdict
from instar.report.lineage import ancestry, legacy
from instar.store.ledger import Ledger


def example(folder: Path) -> str:
    """The id of an answer that the newest policy was trained on. Raises ConfigError if there is none yet."""
    ledger = Ledger.read(folder / "ledger.db")
    try:
        of_kind = "select id from records where kind = '{}' order by rowid"
        policies, solutions = (
            [str(row["id"]) for row in ledger.select(of_kind.format(kind))] for kind in ("policy", "solution")
        )
        for policy in reversed(policies):
            made_of = ledger.ancestors(policy)
            for id in solutions:
                if id in made_of:
                    return id
    finally:
        ledger.close()
    raise ConfigError(f"{folder.name} has trained on no answer yet.", "Name a record: instar why ID.")


def holds(folder: Path, prefix: str) -> bool:
    """Whether a record of this run has an id that begins so."""
    ledger = Ledger.read(folder / "ledger.db")
    try:
        return bool(ledger.find(prefix))
    finally:
        ledger.close()


def why(folder: Path, prefix: str) -> dict[str, Any]:
    """The record whose id begins with ``prefix``: what it is, what made it, what it went into."""
    ledger = Ledger.read(folder / "ledger.db")
    try:
        id = _one(ledger, prefix, folder)
        (record,) = ledger.records(ids=[id])
        ups = ledger.ancestors(id)
        sets = {task: name for name, ids in ledger.sets().items() for task in ids}
        reached: dict[str, int] = {}
        for task in ups & set(sets):
            reached[sets[task]] = reached.get(sets[task], 0) + 1
        return {
            "id": id,
            "kind": record.kind,
            "record": record.model_dump(mode="json"),
            "sentences": [
                *_about(ledger, record, sets),
                *ancestry(ledger, record),
                *_into(ledger, record),
                *legacy(ledger, record),
            ],
            "made_from_sets": reached,
        }
    finally:
        ledger.close()


def _one(ledger: Ledger, prefix: str, folder: Path) -> str:
    found = ledger.find(prefix)
    if not found:
        raise ConfigError(
            f"no record of {folder.name} has an id that begins with {prefix!r}.",
            "Without an id, instar why explains an answer that was trained on; instar report shows every answer's id.",
        )
    if len(found) > 1 and prefix not in [i for i, _ in found]:
        some = ", ".join(f"{i} ({k})" for i, k in found[:5])
        raise ConfigError(f"{prefix!r} begins {len(found)} or more ids: {some}.", "Give more characters.")
    return found[0][0]


def _about(ledger: Ledger, record: Record, sets: dict[str, str]) -> list[str]:
    origin = ledger.provenance(record.id)
    names = {i: o["name"] for i, o in ledger.ops().items()}
    made_by = f"by {names.get(origin['op'], origin['op'])}" + (
        f" in round {origin['round']}" if origin["round"] else ""
    )
    if isinstance(record, Task):
        where = f"the {sets.get(record.id, 'unknown')} set"
        return [f"This is a {record.ability} task of {where}, from {record.source}.",
                f"It asks: {record.question}",
                f"The right answer is {record.private.get('answer', 'not recorded')}.",
                *_served(ledger, record)]  # fmt: skip
    if isinstance(record, Solution):
        out = [f"This answer to task {record.task} was made {made_by}, by policy {record.policy} on {record.engine} "
               f"({record.precision}): {record.text!r}"]  # fmt: skip
        ids = ledger.children([record.id])[record.id]
        by_time = "select id from records where id in (select value from json_each(:ids)) order by rowid"
        order = [r["id"] for r in ledger.select(by_time, ids=ids)]
        kids = sorted(ledger.records(ids=ids), key=lambda r: order.index(r.id))  # as they came: filter after filter
        for f in kids:
            if isinstance(f, Feedback):
                out.append(f"A {f.source} marked it {f.mark.value} (score {f.score}): answer {f.answer!r}. {f.comment}")
        for d in kids:
            if isinstance(d, Decision):
                by = names.get(ledger.provenance(d.id)["op"], "?")
                out.append(f"The filter {by} {'kept' if d.kept else 'dropped'} it: {d.reason}")
        return out
    if isinstance(record, Feedback):
        return [f"This feedback says that solution {record.solution} is {record.mark.value}. {record.comment}"]
    if isinstance(record, Decision):
        return [f"This decision {made_by} {'kept' if record.kept else 'dropped'} {record.item}: {record.reason}"]
    if isinstance(record, Policy):
        return _policy(ledger, record, made_by)
    if isinstance(record, Report):
        m = record.metrics["mean@1"]
        return [f"This report scores policy {record.policy} at {m.value:.1%} (95 % interval {m.low:.1%} to "
                f"{m.high:.1%}, n = {m.n}) on the {record.exam.suite} exam."]  # fmt: skip
    if isinstance(record, Verdict):
        word = "promoted" if record.promoted else "refused"
        return [f"This verdict {word} {record.candidate} against {record.incumbent}: {record.reason}"]
    if isinstance(record, Objective):
        return [f"This objective {made_by}: {record.direction} {record.ability}, {record.tasks} tasks. {record.reason}"]
    if isinstance(record, Health):
        raised = [a for a in record.alarms if a.raised]
        return [f"This is the health of a round, made {made_by}: {len(raised)} of {len(record.alarms)} alarms raised.",
                *(f"{a.name}: {a.reason}" for a in raised)]  # fmt: skip
    return [f"This is a {record.kind} made {made_by}."]


def _served(ledger: Ledger, task: Task) -> list[str]:
    """Which objective a task was selected for, in which round."""
    out = []
    for d in ledger.records(ids=ledger.parents([task.id], "decided_by")[task.id]):
        if isinstance(d, Decision):
            goals = [p for p in ledger.records(ids=ledger.parents([d.id])[d.id]) if isinstance(p, Objective)]
            ids = ", ".join(p.id for p in goals)
            out.append(f"In round {ledger.provenance(d.id)['round']} it was {d.reason} (objective {ids})")
    return out


def _policy(ledger: Ledger, policy: Policy, made_by: str) -> list[str]:
    parents = ledger.parents([policy.id])[policy.id]
    if not parents:
        return [f"This policy is where the run began: {policy.weights.name or policy.weights.place}."]
    kinds: dict[str, int] = {}
    for r in ledger.records(ids=parents):
        kinds[r.kind] = kinds.get(r.kind, 0) + 1
    out = [f"This policy was made {made_by} from policy {policy.parent}, {kinds.get('solution', 0)} answers to "
           f"{kinds.get('task', 0)} tasks."]  # fmt: skip
    for v in cast(list[Verdict], ledger.records(ids=ledger.parents([policy.id], "decided_by")[policy.id])):
        out.append(f"A gate {'promoted' if v.promoted else 'refused'} it: {v.reason}")
    return out


def _into(ledger: Ledger, record: Record) -> list[str]:
    kids = ledger.records(ids=ledger.children([record.id])[record.id])
    policies = [k.id for k in kids if isinstance(k, Policy)]
    counts: dict[str, int] = {}
    for k in kids:
        counts[k.kind] = counts.get(k.kind, 0) + 1
    out = [f"It went into the training of policy {p}." for p in policies]
    others = ", ".join(f"{n} {kind}{'s' if n > 1 else ''}" for kind, n in sorted(counts.items()) if kind != "policy")
    if others:
        out.append(f"Made from it: {others}.")
    if not kids:
        out.append("Nothing was made from it.")
    return out
