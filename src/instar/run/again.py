"""Which finished calls are made again when a run is resumed: checks that gave no score, while nothing hangs on that.

A check that broke (it raised, was killed, returned no score; a judge's word that could not be read) says nothing of an
answer. Once the checker is mended it is asked again, and so is an audit that counted such words. What had a score keeps
it. Where something was decided already (an answer kept or dropped, a report, a policy), the old word stays: else what
was built on it would no longer follow from it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from instar.records import Assessment, Feedback, Mark, Record, Solution
from instar.run.outputs import Output
from instar.store.ledger import Ledger
from instar.store.readers.lineage import kinds as kinds_of

UNTESTED = "no_evidence"
"""The flag of a correction whose tests, or whose tool, said nothing."""
_BUILT = frozenset({"decision", "solution", "policy", "report", "verdict", "health", "objective"})


def open_calls(
    made: Mapping[str, Sequence[Record]], unscored: Collection[str] | None = None
) -> dict[str, Sequence[Record]]:
    """Of finished calls and what they made, those that hold a word which says nothing. ``unscored``: the ledger's own
    list of such answers and feedback, so that these need not be read (None: look into each)."""

    def is_open(record: Record) -> bool:
        if unscored is not None and isinstance(record, (Feedback, Solution)):
            return record.id in unscored
        return _is_open(record)

    return {key: records for key, records in made.items() if any(is_open(r) for r in records)}


def not_built_on(ledger: Ledger, made: Mapping[str, Sequence[Record]]) -> set[str]:
    """Of these calls, those on whose outputs, and on the answers they speak of, nothing was built yet."""
    if not made:
        return set()
    anchors = {key: {r.id for r in records} | {r.solution for r in records if isinstance(r, Feedback)}
               for key, records in made.items()}  # fmt: skip
    plants = _plants(ledger, made, anchors)
    parents = ledger.parents({p for ps in plants.values() for p in ps})
    answers = kinds_of(ledger, {id for ids in parents.values() for id in ids})
    likes = {p: [id for id in ids if answers.get(id) == "solution"] for p, ids in parents.items()}
    of_likes = ledger.children({like for ls in likes.values() for like in ls})
    for key, ps in plants.items():  # planted answers were judged beside the real ones that they are dressed as
        beside = {like for p in ps for like in likes[p]}
        anchors[key] |= beside | {child for like in beside for child in of_likes[like]}
    children = ledger.children({a for own in anchors.values() for a in own})
    kinds = kinds_of(ledger, {c for cs in children.values() for c in cs})
    free = set()
    for key, own in anchors.items():
        outputs = {r.id: r for r in made[key]}
        built = (
            kinds[child] in _BUILT or (kinds[child] == "feedback" and isinstance(outputs.get(a), Solution))
            for a in own
            for child in children[a]
            if child not in outputs
        )
        if not any(built):
            free.add(key)
    return free


def with_what_stands(outputs: Sequence[Output], before: Sequence[Record]) -> list[Output]:
    """What a call made again, but a solution that had a score keeps it, with the words that came with it."""
    said = {f.solution: f for f in before if isinstance(f, Feedback) and not _is_open(f)}
    return [
        replace(o, record=said[r.solution].model_copy(update={"id": ""}))
        if isinstance(r := o.record, Feedback) and r.solution in said
        else o
        for o in outputs
    ]


def first_reason(made: Mapping[str, Sequence[Record]]) -> str:
    """Why the first of these checks gave no score."""
    said = (r.comment for records in made.values() for r in records if isinstance(r, Feedback) and _is_open(r))
    return next((s for s in said if s), "")


def _is_open(record: Record) -> bool:
    if isinstance(record, Feedback):
        return record.mark is Mark.invalid
    if isinstance(record, Assessment):
        return not record.trusted or any(counts.get("invalid") for counts in record.counts.values())
    return isinstance(record, Solution) and UNTESTED in record.flags


def _plants(
    ledger: Ledger, made: Mapping[str, Sequence[Record]], anchors: Mapping[str, set[str]]
) -> dict[str, set[str]]:
    """Call to the planted answers that it speaks of."""
    assessed = ledger.parents({r.id for records in made.values() for r in records if isinstance(r, Assessment)})
    about = {key: anchors[key] | {p for r in made[key] for p in assessed.get(r.id, ())} for key in made}
    kinds = kinds_of(ledger, {a for own in about.values() for a in own})
    found = {key: {a for a in own if kinds.get(a) == "plant"} for key, own in about.items()}
    return {key: ps for key, ps in found.items() if ps}
