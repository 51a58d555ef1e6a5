"""A person who is to be forgotten, or a text: what of it a run holds, in its ledger and in every memory of INSTAR_HOME
that has their notes; who learned from it; and that it goes.

What goes is planned first, by ids alone, and the plan is kept beside the ledger until all of it is done: whoever is
killed in the middle is ended by the next who asks.
"""

from __future__ import annotations

import html
import json
import os
import re
import shutil
from collections.abc import Collection, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from instar.app.memories import memories
from instar.app.redacting import MOST, learned_from, showing, swept
from instar.app.storage.inventory import digests
from instar.app.storage.paths import artefacts, home, runs_folder
from instar.app.weights.policies import names, reading
from instar.durable import to_disk
from instar.engines.openvino.engine import alive
from instar.errors import ConfigError, LockError, Redacted, StoreError
from instar.evaluate.measures import normalise
from instar.memory import kept
from instar.records import Note, Policy, Task
from instar.store.artefacts import Artefacts
from instar.store.blank import blank, reports_on
from instar.store.door import open_ledger
from instar.store.ledger import Ledger
from instar.store.lock import WriterLock, holder_of
from instar.store.readers.lineage import kinds
from instar.store.readers.persons import made_of, people, redacted, said_in_calls
from instar.store.readers.taught import answers_on
from instar.store.redact import OUTCOMES, forms_of, holding, parts, quoting, redact
from instar.store.roles import roles_of

PENDING = "forgetting.json"
RECORDS = ("task", "solution", "feedback")
LARGEST = 64_000_000
"""Bytes of a file beside a ledger that is still looked into for somebody's words."""


@dataclass(frozen=True)
class Forgetting:
    """What would go."""

    what: dict[str, str]
    """Of the ledger: id to what it is."""
    notes: dict[str, tuple[str, ...]]
    """Of the memories in INSTAR_HOME: segment to the ids of its notes that go."""
    answers: frozenset[str]
    """The records whose answers go from the reports."""
    retrain: dict[str, str]
    """The policies of the run that learned from it, with what each is."""
    shows: dict[str, str]
    """The policies that go on showing it, or of which nobody can say: id to how."""
    remembered: dict[str, int]
    """The policies whose memory loses notes, with how many."""
    others: dict[str, str]
    """Other runs that have such notes in a memory, with what to do there."""
    quoted: int
    """How many reasons and settings hold the words, and stay."""
    said_too: int
    """How much holds the same words and stays, for it is others'."""
    words: frozenset[str] = field(repr=False, default=frozenset())
    ended: bool = False
    """Whether an earlier one that was killed was brought to its end first."""

    @property
    def n_notes(self) -> int:
        return len({id for ids in self.notes.values() for id in ids})

    @property
    def nothing(self) -> bool:
        return not self.what and not self.notes


def planned(folder: Path, *, about: str | None = None, text: str | None = None) -> Forgetting:
    """What has to go for a person (``about``, as ``Task.who`` and notes have it) or for a text. Nothing is changed,
    but that what an earlier one left undone is ended.

    Raises ConfigError where the run holds nothing of it, StoreError for a ledger of an older schema, or a memory that
    cannot be read.
    """
    ended = _ended(folder)
    swept(folder)
    store = artefacts()
    with closing(open_ledger(folder / "ledger.db")) as ledger:
        whose, own = people(ledger), _own_segments(ledger, store)
        every = _segments(store)
        seeds, notes = _seeds(ledger, whose, [n for d in own for n in every[d]], about, text)
        if not (seeds or notes):
            if ended:
                return Forgetting({}, {}, frozenset(), {}, {}, {}, {}, 0, 0, ended=True)
            raise _nobody(
                f"the run {folder.name} and its memories",
                {*whose.values(), *(n.who for d in own for n in every[d] if n.who)},
                about,
            )
        ids, notes = _closed(ledger, seeds, notes, [n for own in every.values() for n in own])
        words = _words(ledger, ids, [n for own in every.values() for n in own if n.id in notes], text)
        calls = dict(said_in_calls(ledger, ids, notes, words))
        if text is not None:
            calls |= dict.fromkeys(holding(ledger, text))
        gone = redacted(ledger)
        what = parts(ledger, [id for id in dict.fromkeys((*sorted(ids), *calls)) if id not in gone])
        what |= dict.fromkeys(reports_on(ledger, ids, normalise), OUTCOMES)
        roles, answers = roles_of(ledger), answers_on(ledger, [id for id in what if what[id] != OUTCOMES])
        going = _going(every, notes)
        read = {id: kind for id, kind in what.items() if kind in RECORDS and _there(ledger, id)}
        shows = {
            id: how.split(" and remembers it")[0]
            for id, how in showing(ledger, roles, answers, read, text).items()
            if not how.startswith("remembers it")
        }
        some = sorted(words)[:MOST]
        return Forgetting(
            what, going, frozenset(ids), learned_from(roles, answers, what), shows,
            _remembered(ledger, store, notes), _others(folder, store, going), quoting(ledger, some),
            len({id for said in some for id in holding(ledger, said)} - what.keys() - gone), frozenset(words), ended,
        )  # fmt: skip


def planned_in_memory(name: str, *, about: str | None = None, text: str | None = None) -> Forgetting:
    """As ``planned``, for a memory with a name of its own, which no ledger stands behind. Raises ConfigError where it
    holds nothing of it."""
    folder = place_of_memories()
    ended = _ended(folder)
    store = artefacts()
    every = _segments(store)
    own = [n for d in kept.segments_of(store.open(memories()[name])) for n in every[d]]
    notes = {n.id for n in own if (text is not None and text in n.text) or (about is not None and n.who == about)}
    if not notes and ended:
        return Forgetting({}, {}, frozenset(), {}, {}, {}, {}, 0, 0, ended=True)
    if not notes:
        raise _nobody(name, {n.who for n in own if n.who}, about)
    known = [n for segment in every.values() for n in segment]
    while len(notes) < len(notes := notes | {n.id for n in known if not notes.isdisjoint(n.made_from)}):
        pass
    going = _going(every, notes)
    return Forgetting({}, going, frozenset(), {}, {}, {}, _others(folder, store, going), 0, 0, ended=ended)


def place_of_memories() -> Path:
    """Where memories with names lie: what a run's folder is to its own."""
    (folder := home() / "memories").mkdir(parents=True, exist_ok=True)
    return folder


def carried_out(folder: Path, plan: Forgetting, *, reason: str) -> tuple[Path, ...]:
    """Take all of it out, and return the files beside the ledger that still hold such words: copies from before, and
    what somebody wrote there.

    Raises LockError where the run is at work, or another that has such notes in a memory; StoreError without a reason.
    """
    reason = " ".join(reason.split())
    if not reason:
        raise StoreError("what is forgotten is forgotten for a reason, and none is given.", 'Add --reason "why".')
    if busy := [name for name in plan.others if holder_of(runs_folder() / name / "lock") is not None]:
        raise LockError(f"the run {busy[0]} is at work, and has these notes in a memory.", "Wait for it, or stop it.")
    with WriterLock(folder / "lock"):
        if not plan.nothing:
            said = {
                "reason": reason, "what": [id for id, w in plan.what.items() if w != OUTCOMES],
                "answers": sorted(plan.answers), "notes": {d: list(ids) for d, ids in plan.notes.items()},
            }  # fmt: skip
            (new := folder / f".{PENDING}").write_text(json.dumps(said))
            to_disk(new)
            os.replace(new, folder / PENDING)
            to_disk(folder)
            _done(folder, said)
    return tuple(_still(folder, plan.words))


def _ended(folder: Path) -> bool:
    """Whether there was something left to be ended, which is done then."""
    if not (folder / PENDING).is_file():
        return False
    with WriterLock(folder / "lock"):
        _done(folder, json.loads((folder / PENDING).read_text()))
    return True


def _done(folder: Path, said: Mapping[str, Any]) -> None:
    """What the plan says, each step of which may have been done before; then the plan goes."""
    store = artefacts()
    if (folder / "ledger.db").is_file():
        with closing(open_ledger(folder / "ledger.db", "write")) as ledger:
            blank(ledger, said["answers"], reason=said["reason"], alike=normalise)
            if said["what"]:
                redact(ledger, said["what"], reason=said["reason"])
    for digest, ids in said["notes"].items():
        text = kept.emptied(store, digest, ids) if store.has(digest) else None
        if text is not None:
            store.redact(digest, kept.NOTES, text)
    for path in (folder / "scratch").glob(f"**/memory/{kept.NOTES}"):  # half made by a killed update, and made anew
        shutil.rmtree(path.parent)
    for path in (*store.root.glob(".new-*"), *store.root.glob("*/.gone-*"), *(home() / "memories").glob("writing-*")):
        found = re.match(r"(?:\.new|\.gone-\w+|writing)-(\d+)", path.name)  # of a killed put, gc or import
        if found and not alive(int(found[1])) and any(path.rglob(kept.NOTES)):
            shutil.rmtree(path)
    (folder / PENDING).unlink()
    to_disk(folder)


def _seeds(
    ledger: Ledger, whose: Mapping[str, str], notes: Iterable[Note], about: str | None, text: str | None
) -> tuple[set[str], set[str]]:
    """The records and the notes of this run that are this person's, or hold this text."""
    if text is not None:
        records = parts(ledger, holding(ledger, text))
        return set(records), {n.id for n in notes if text in n.text}
    return {id for id, who in whose.items() if who == about}, {n.id for n in notes if n.who == about}


def _closed(ledger: Ledger, ids: set[str], notes: set[str], known: Collection[Note]) -> tuple[set[str], set[str]]:
    """With what was made from them: records from records or given with notes, notes from either. Until there is no
    more of it."""
    while True:
        before = len(ids), len(notes)
        ids = made_of(ledger, ids, notes)
        notes = notes | {n.id for n in known if not ids.isdisjoint(n.made_from) or not notes.isdisjoint(n.made_from)}
        if (len(ids), len(notes)) == before:
            return ids, notes


def _words(ledger: Ledger, ids: Collection[str], notes: Iterable[Note], text: str | None) -> set[str]:
    """What was asked in these tasks and stands in these notes, and the text itself."""
    tasks = [id for id, kind in kinds(ledger, set(ids) - redacted(ledger)).items() if kind == "task"]
    said = (
        {cast(Task, t).question for t in ledger.records(ids=tasks)}
        | {n.text for n in notes}
        | ({text} if text else set())
    )
    return {words for words in said if words.strip()}


def _there(ledger: Ledger, id: str) -> bool:
    """Whether a record can be read: of an answer, the model call that holds its words may have been redacted alone."""
    try:
        return bool(ledger.records(ids=[id]))
    except Redacted:
        return False


def _segments(store: Artefacts) -> dict[str, tuple[Note, ...]]:
    """Every segment of a memory that INSTAR_HOME holds, with its notes."""
    return {d: kept.segment(store, d) for d in digests(store) if kept.is_segment(store.place(d))}


def _going(every: Mapping[str, tuple[Note, ...]], notes: Collection[str]) -> dict[str, tuple[str, ...]]:
    """The segments that have some of these notes, with which."""
    going = {d: tuple(n.id for n in own if n.id in notes) for d, own in every.items()}
    return {d: own for d, own in going.items() if own}


def _own_segments(ledger: Ledger, store: Artefacts) -> list[str]:
    """The segments of all memories of a run's policies that are here."""
    roots = {p.memory for p in cast(list[Policy], ledger.records("policy")) if p.memory is not None}
    return sorted({d for root in roots if store.has(root) for d in kept.segments_of(store.open(root))})


def _remembered(ledger: Ledger, store: Artefacts, notes: Collection[str]) -> dict[str, int]:
    found = {}
    for p in cast(list[Policy], ledger.records("policy")):
        if p.memory is not None and p.weights.place != "transient" and store.has(p.memory):
            found[p.id] = sum(id in notes for id in kept.read(store, p.memory).notes)
    return {id: n for id, n in found.items() if n}


def _others(folder: Path, store: Artefacts, going: Mapping[str, Any]) -> dict[str, str]:
    """The other runs here whose policies remember such notes."""
    found = {}
    for name in names():
        if (runs_folder() / name).resolve() == folder.resolve():
            continue
        try:
            with reading(runs_folder() / name) as ledger:
                if not going.keys().isdisjoint(_own_segments(ledger, store)):
                    found[name] = "loses the same notes; what it was told and answered with them is in its own ledger"
        except StoreError as e:
            found[name] = f"cannot be read: {e.message}"
    return found


def _still(folder: Path, words: Collection[str]) -> list[Path]:
    """The files of a run, beside its ledger, that hold one of these words; and all copies of the ledger."""
    pages = {said: html.escape(said).replace("&quot;", "&#34;").replace("&#x27;", "&#39;") for said in words}  # jinja's
    forms = {form.encode() for said in words for form in (*forms_of(said), html.escape(said), pages[said])}
    found = []
    for path in sorted(p for p in folder.rglob("*") if p.is_file() and not p.name.startswith("ledger.db")):
        if path.stat().st_size <= LARGEST and any(form in path.read_bytes() for form in forms):
            found.append(path)
    return [*folder.glob("ledger.db.*"), *found]


def _nobody(where: str, known: Collection[str], about: str | None) -> ConfigError:
    if about is None:
        return ConfigError(f"nothing in {where} holds that text.", "Nothing was changed.")
    some = ", ".join(sorted(known)[:20]) + (f" and {len(known) - 20} more" if len(known) > 20 else "")
    return ConfigError(
        f"{where} know{'' if 'memories' in where else 's'} nobody called {about!r}.",
        f"There are: {some}. Nothing was changed." if known else "What it has is nobody's: try --text.",
    )
