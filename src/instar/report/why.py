"""Why is this record there? Its ancestry and its descendants, in sentences."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

from instar.divergence import perplexity
from instar.errors import ConfigError, Redacted
from instar.records import (
    Decision,
    Exchange,
    Feedback,
    Health,
    Likelihood,
    Objective,
    Policy,
    Preference,
    Record,
    Report,
    Result,
    Solution,
    Task,
    Verdict,
)
from instar.report.exchanges import MOST, behind, one, told
from instar.report.lineage import ancestry, fate_of, left, legacy
from instar.report.policies import taught
from instar.store.door import open_ledger
from instar.store.ledger import Ledger
from instar.store.readers import exchanges
from instar.store.readers.lineage import in_time, kinds, references
from instar.store.readers.rollouts import rolled
from instar.store.roles import Roles, Update, roles_of


def holds(folder: Path, prefix: str) -> bool:
    """Whether a record of this run has an id that begins so."""
    ledger = open_ledger(folder / "ledger.db")
    try:
        return bool(ledger.find(prefix) or exchanges.find(ledger, prefix))
    finally:
        ledger.close()


def why(folder: Path, prefix: str) -> dict[str, Any]:
    """The record whose id begins with ``prefix``: what it is, what made it, what it went into."""
    ledger = open_ledger(folder / "ledger.db")
    try:
        asked = [] if ledger.find(prefix) else exchanges.find(ledger, prefix)
        if len(asked) == 1:
            return _exchange(exchanges.exchange(ledger, asked[0]))
        id = _one(ledger, prefix, folder)
        (record,) = ledger.records(ids=[id])
        ups = ledger.ancestors(id)
        sets = {task: name for name, ids in ledger.sets().items() for task in ids}
        roles = roles_of(ledger)
        try:
            found, gone = behind(ledger, record), []
        except Redacted as e:
            found, gone = [], [f"What was asked cannot be shown: {e.message}"]
        reached: dict[str, int] = {}
        for task in ups & set(sets):
            reached[sets[task]] = reached.get(sets[task], 0) + 1
        return {
            "id": id,
            "kind": record.kind,
            "record": record.model_dump(mode="json"),
            "sentences": [
                *_about(ledger, record, sets, roles),
                *told(ledger, found),
                *gone,
                *ancestry(ledger, record, roles),
                *_into(ledger, record, roles),
                *legacy(ledger, record, roles),
            ],
            "made_from_sets": reached,
            "exchanges": [e.model_dump(mode="json") for e in found],
            **({"learned": _signs(ledger, roles.updates[id])} if id in roles.updates else {}),
        }
    finally:
        ledger.close()


def _exchange(e: Exchange) -> dict[str, Any]:
    """A model call by its own id: it is no record, and nothing descends from it but what was made of its words."""
    said = e.model_dump(mode="json")
    return {
        "id": e.id, "kind": e.kind, "record": said, "sentences": one(e), "made_from_sets": {}, "exchanges": [said],
    }  # fmt: skip


def _one(ledger: Ledger, prefix: str, folder: Path) -> str:
    found = ledger.find(prefix)
    if not found:
        raise ConfigError(
            f"no record of {folder.name} has an id that begins with {prefix!r}.",
            "Without an id, instar why explains an answer that the result was trained on; instar report shows all ids.",
        )
    if len(found) > 1 and prefix not in [i for i, _ in found]:
        some = ", ".join(f"{i} ({k})" for i, k in found[:5])
        raise ConfigError(f"{prefix!r} begins {len(found)} or more ids: {some}.", "Give more characters.")
    return found[0][0]


def _about(ledger: Ledger, record: Record, sets: dict[str, str], roles: Roles) -> list[str]:
    origin = ledger.provenance(record.id)
    names = {i: o["name"] for i, o in ledger.ops().items()}
    made_by = f"by {names.get(origin['op'], origin['op'])}" + (
        f" in round {origin['round']}" if origin["round"] else ""
    )
    if isinstance(record, Task):
        created = record.id not in sets and ledger.provenance(record.id)["call"] != "sets"
        where = "that was made in the run" if created else f"of the {sets.get(record.id, 'unknown')} set"
        return [f"This is a {record.ability} task {where}, from {record.source}.",
                f"It asks: {record.question}",
                f"The right answer is {record.private.get('answer', 'not recorded')}.",
                *_served(ledger, record)]  # fmt: skip
    if isinstance(record, Solution):
        by = ("given and sampled by nobody" if record.engine == "none" else
              f"by policy {record.policy} on {record.engine} ({record.precision})")  # fmt: skip
        out = [f"This answer to task {record.task} was made {made_by}, {by}: {record.text!r}",
               *_rolled(ledger, record), *_flagged(ledger, record), *_recalled(ledger, record)]  # fmt: skip
        ids = ledger.children([record.id])[record.id]
        order = in_time(ledger, ids)
        kids = sorted(left(ledger, ids), key=lambda r: order.index(r.id))  # as they came: filter after filter
        for f in kids:
            if isinstance(f, Feedback):
                out.append(f"A {f.source} marked it {f.mark.value} (score {f.score}): answer {f.answer!r}. {f.comment}")
        for d in kids:
            if isinstance(d, Decision):
                of = ledger.provenance(d.id)
                late = ", for the control" if roles.last_round and of["round"] > roles.last_round else ""
                word = "kept" if d.kept else "dropped"
                by = names.get(of["op"], "?")
                what = "" if by == "replay" else "filter "
                out.append(f"The {what}{by} {word} it{late}: {d.reason}")
        for p in kids:
            if isinstance(p, Preference):
                beside = f"preferred to {p.rejected}" if p.chosen == record.id else f"less good than {p.chosen}"
                out.append(f"In a pair ({p.why}) it is {beside}: {p.reason}.")
        return out
    if isinstance(record, Feedback):
        return [f"This feedback says that solution {record.solution} is {record.mark.value}. {record.comment}"]
    if isinstance(record, Decision) and origin["op"] in {
        s["op"] for s in ledger.rows("steps") if s["verb"] == "update"
    }:
        if kinds(ledger, {record.item}).get(record.item) != "policy":
            return [f"This update {made_by} left out {record.item}: {record.reason}"]
        return [f"This update {made_by} made no candidate: {record.reason}"]
    if isinstance(record, Decision) and names.get(origin["op"]) == "brake":
        return [f"The brake held the run after round {origin['round']}: {record.reason}"]
    if isinstance(record, Decision):
        return [f"This decision {made_by} {'kept' if record.kept else 'dropped'} {record.item}: {record.reason}"]
    if isinstance(record, Preference):
        return [f"This pair ({record.why}) was made {made_by}: answer {record.chosen} is preferred to "
                f"{record.rejected}: {record.reason}."]  # fmt: skip
    if isinstance(record, Policy):
        return _policy(ledger, record, made_by, roles)
    if isinstance(record, Report):
        m = record.metrics["mean@1"]
        return [f"This report scores policy {record.policy} at {m.value:.1%} (95 % interval {m.low:.1%} to "
                f"{m.high:.1%}, n = {m.n}) on the {record.exam.suite} exam."]  # fmt: skip
    if isinstance(record, Likelihood):
        tokens = sum(t.tokens for t in record.texts)
        return [f"This says how likely policy {record.policy} finds {len(record.texts)} texts of {record.suite} "
                f"({tokens:,} tokens): a perplexity of {perplexity(record.texts):.3f}."]  # fmt: skip
    if isinstance(record, Verdict):
        word = "promoted" if record.promoted else "refused"
        return [f"This verdict {word} {record.candidate} against {record.incumbent}: {record.reason}"]
    if isinstance(record, Objective):
        return [f"This objective {made_by}: {record.direction} {record.ability}, {record.tasks} tasks. {record.reason}"]
    if isinstance(record, Health):
        raised = [a for a in record.alarms if a.raised]
        return [f"This is the health of a round, made {made_by}: {len(raised)} of {len(record.alarms)} alarms raised.",
                *(f"{a.name}: {a.reason}" for a in raised)]  # fmt: skip
    if isinstance(record, Result):
        base, final = record.policies.get("base"), record.policies.get("final")
        return [f"This is what the run ended with: policy {final}; it began with {base}. "
                f"In all {record.tokens:,} tokens were written."]  # fmt: skip
    return [f"This is a {record.kind} made {made_by}."]


def _served(ledger: Ledger, task: Task) -> list[str]:
    """Which objective a task was selected for, in which round."""
    out = []
    for d in left(ledger, ledger.parents([task.id], "decided_by")[task.id]):
        if isinstance(d, Decision):
            goals = [p for p in left(ledger, ledger.parents([d.id])[d.id]) if isinstance(p, Objective)]
            ids = ", ".join(p.id for p in goals)
            dropped = "" if d.kept else "dropped: "
            out.append(f"In round {ledger.provenance(d.id)['round']} it was {dropped}{d.reason} (objective {ids})")
    return out


def _rolled(ledger: Ledger, solution: Solution) -> list[str]:
    """Whether a policy half way through its training gave it, and in which rollout."""
    found = rolled(ledger, [solution.id])
    return [f"It is of {r.name} inside an update, by the policy as it then was." for r in found.values()]


def _recalled(ledger: Ledger, solution: Solution) -> list[str]:
    """Which notes of a memory were shown for it; their words are in what was asked."""
    if not solution.memories:
        return []
    n, policy = len(solution.memories), solution.policy.split(":")[-1][:8]
    return [
        f"It was given with {n} note{'s' * (n != 1)} recalled from its policy's memory: "
        f"{', '.join(solution.memories[:5])}{', ...' * (n > 5)}. "
        f"`instar memory why RUN:{policy} NOTE` says where one came from."
    ]


def _flagged(ledger: Ledger, solution: Solution) -> list[str]:
    """How an answer was come by, where it was not just asked for: from another answer, with the right one in sight."""
    out = []
    for draft in left(ledger, ledger.parents([solution.id])[solution.id]):
        if isinstance(draft, Solution):
            heard = [f for f in left(ledger, ledger.children([draft.id])[draft.id]) if isinstance(f, Feedback)]
            said = f", which was marked {heard[0].mark.value}" if heard else ""
            out.append(f"It was written in the place of answer {draft.id}{said}.")
    if "rationalised" in solution.flags:
        out.append("The right answer was in sight as a hint when it was written (rationalised).")
    others = [f for f in solution.flags if f != "rationalised"]
    return [*out, f"It is flagged {', '.join(others)}."] if others else out


def _policy(ledger: Ledger, policy: Policy, made_by: str, roles: Roles) -> list[str]:
    update = roles.updates.get(policy.id)
    if update is None and policy.weights.place == "transient":
        return [f"This policy is {policy.parent} half way through its training {made_by}, as it answered in a rollout: "
                "its weights were nowhere kept."]  # fmt: skip
    if update is None:
        name = policy.weights.name or policy.weights.place
        return [f"This policy judges in the run: {name}." if policy.id in roles.judges
                else f"This policy is where the run began: {name}."]  # fmt: skip
    out = [f"This policy was made {made_by} from policy {policy.parent}, {taught(update)}."]
    out += _learned(ledger, update) if update.rolled_out else []
    for reference in sorted(r for p, r in references(ledger) if p == policy.id):
        word = "merged with" if policy.made_by == "merge" else "held against"
        while_made = "" if policy.made_by == "merge" else " while it was made"
        out.append(f"It was {word} policy {reference}{while_made}.")
    for v in cast(list[Verdict], ledger.records(ids=ledger.parents([policy.id], "decided_by")[policy.id])):
        out.append(f"A gate {'promoted' if v.promoted else 'refused'} it: {v.reason}")
    if policy.id in roles.controls:
        out.append("It is a control: made to compare with, never promoted.")
    elif roles.over and policy.id == roles.result:
        out.append("The run ended with it.")
    return out


def _signs(ledger: Ledger, update: Update) -> list[dict[str, Any]]:
    """Every answer that a policy learned: toward (1) or away (-1), and in which rollout it was given, if in one."""
    of = rolled(ledger, [*update.solutions, *update.away])
    return [
        {"solution": id, "sign": sign, "rollout": of[id].name if id in of else None}
        for sign, ids in ((1, update.solutions), (-1, update.away))
        for id in ids
    ]


def _learned(ledger: Ledger, update: Update) -> list[str]:
    """The rollouts that a policy learned from, each with some of its answers."""
    of = rolled(ledger, [*update.solutions, *update.away])
    rollouts: dict[str, dict[str, list[str]]] = {}
    for word, ids in (("toward", update.solutions), ("away from", update.away)):
        for id in ids:
            if id in of:
                rollouts.setdefault(of[id].name, {}).setdefault(word, []).append(id)
    out = [
        f"Of {name} it learned " + " and ".join(f"{word} {_some(ids)}" for word, ids in found.items()) + "."
        for name, found in list(rollouts.items())[:MOST]
    ]
    return [*out, f"And of {len(rollouts) - MOST} more rollouts."] if len(rollouts) > MOST else out


def _some(ids: list[str]) -> str:
    return f"{len(ids)} answer{'s' * (len(ids) != 1)} ({', '.join(ids[:2])}{', ...' * (len(ids) > 2)})"


def _idle(record: Record, roles: Roles, policy: str) -> bool:
    """Whether a policy was made with this and trained no weight on it: it shows it, or remembers it."""
    made = roles.updates.get(policy)
    if made is None or record.id in (*made.solutions, *made.away):
        return False
    return made.idle or record.id in made.handed


def _into(ledger: Ledger, record: Record, roles: Roles) -> list[str]:
    ids = ledger.children([record.id])[record.id]
    kids = left(ledger, ids)
    trained: dict[str, str] = {}
    for u in roles.updates.values():
        trained |= {u.policy: " toward it"} if u.rolled_out and record.id in u.solutions else {}
        trained |= {u.policy: " away from it"} if record.id in u.away else {}
    policies = [k.id for k in kids if isinstance(k, Policy) and k.weights.place != "transient"]
    policies += [p for p in trained if p not in policies]
    counts: dict[str, int] = {}
    for k in kids:
        counts[k.kind] = counts.get(k.kind, 0) + 1
    out: list[str] = []
    idle = {p for p in policies if _idle(record, roles, p)}
    for p in policies:
        fate = f" ({said})" if (said := fate_of(p, roles)) else ""
        into = "the training of" if p not in idle else "the making, and not the training, of"
        out.append(f"It went into {into} policy {p}{fate}{trained.get(p, '')}.")
    if isinstance(record, Solution):
        if idle.issuperset(policies):
            out.append("No policy was trained on it.")
        elif roles.over and not any(record.id in u.solutions + u.away for u in roles.line()):
            out.append("What the run ended with was not trained on it.")
    others = ", ".join(f"{n} {kind}{'s' if n > 1 else ''}" for kind, n in sorted(counts.items()) if kind != "policy")
    if others:
        out.append(f"Made from it: {others}.")
    if gone := len(ids) - len(kids):
        out.append(f"Of {len(ids)} that were made from it, {gone} {'was' if gone == 1 else 'were'} redacted.")
    if not ids:
        out.append("Nothing was made from it.")
    return out
