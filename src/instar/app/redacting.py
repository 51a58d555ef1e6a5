"""What has to go from a run: what is meant, which policies learned from it, and its redaction."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from instar.app.storage.paths import artefacts
from instar.errors import ConfigError, StoreError
from instar.memory import kept
from instar.records import Feedback, Policy, Solution, Task
from instar.store.door import open_ledger
from instar.store.ledger import Ledger
from instar.store.lock import WriterLock
from instar.store.readers.exchanges import exchanges
from instar.store.readers.taught import answers_on, begins
from instar.store.redact import UNSWEPT, Gone, holding, parts, quoting, redact, sweep
from instar.store.roles import Roles, roles_of

MOST = 50
"""Things whose words are looked for elsewhere too."""


@dataclass(frozen=True)
class Planned:
    """What would go (id to what it is), and the policies that learned from it (id to what each is in its run)."""

    what: dict[str, str]
    retrain: dict[str, str]
    beside: int
    """How much else holds the same words, and would stay."""
    shows: dict[str, str]
    """The policies that go on showing or remembering the words, whatever goes here: id to how."""
    quoted: int = 0
    """How many reasons (of failed calls, decisions, sessions) and settings hold them, and would stay: these cannot
    go."""


def planned(folder: Path, ids: Sequence[str], *, text: str | None) -> Planned:
    """What is meant by these ids (or their beginnings) and by all that holds ``text``. Nothing is changed.

    Raises ConfigError for a beginning of no id, or of several, and where nothing is meant; StoreError for what figures
    hang on, and for a ledger of an older schema.
    """
    swept(folder)
    with closing(open_ledger(folder / "ledger.db")) as ledger:
        wanted = []
        for id in ids:
            found = begins(ledger, id) if id else []
            if len(found) != 1 and id not in found:
                raise ConfigError(
                    f"{len(found) or 'no'} ids of the run {folder.name} begin with {id!r}.",
                    "instar why ID says what something is; --text finds all that holds a text. Nothing was changed.",
                )
            wanted.append(id if id in found else found[0])
        if text is not None:
            wanted += holding(ledger, text)
        if not wanted:
            raise ConfigError(
                f"nothing in the run {folder.name} {'holds that text' if text is not None else 'was named'}.",
                "Give ids, or --text with the words that have to go.",
            )
        what = parts(ledger, wanted)
        same = {id for words in words_of(ledger, what) for id in holding(ledger, words)}
        roles, answers = roles_of(ledger), answers_on(ledger, list(what))
        shows = showing(ledger, roles, answers, what, text)
        quoted = quoting(ledger, {*words_of(ledger, what), *([text] if text else [])})
        return Planned(what, learned_from(roles, answers, what), len(same - what.keys()), shows, quoted)


def swept(folder: Path) -> None:
    """End what a redaction that was killed left undone: its words may be in the file yet, where nothing finds them."""
    with closing(open_ledger(folder / "ledger.db")) as ledger:
        if UNSWEPT not in ledger.about():
            return
    with WriterLock(folder / "lock"), closing(open_ledger(folder / "ledger.db", "write")) as ledger:
        sweep(ledger)


def carried_out(folder: Path, plan: Planned, *, reason: str) -> Gone:
    """Empty all of it, or nothing. Raises LockError where the run is at work, StoreError as ``store.redact``."""
    with WriterLock(folder / "lock"), closing(open_ledger(folder / "ledger.db", "write")) as ledger:
        return redact(ledger, plan.what, reason=reason)


def words_of(ledger: Ledger, what: Mapping[str, str]) -> set[str]:
    """What the answers, questions and comments among these say, of the first ``MOST``."""
    records = ledger.records(ids=[id for id, kind in what.items() if kind in ("task", "solution", "feedback")][:MOST])
    said = [
        r.question if isinstance(r, Task) else r.text if isinstance(r, Solution) else cast(Feedback, r).comment
        for r in records
    ]
    asked = exchanges(ledger, [id for id, kind in what.items() if kind == "exchange"][:MOST])
    return {words for words in (*said, *(r.text for e in asked.values() for r in e.replies)) if words.strip()}


def learned_from(roles: Roles, answers: set[str], what: Mapping[str, str]) -> dict[str, str]:
    """The policies that learned such answers, toward or away, and all that were made from these."""
    direct = {
        u.policy
        for u in roles.updates.values()
        if not answers.isdisjoint((*u.solutions, *u.away)) or (u.rolled_out and not what.keys().isdisjoint(u.tasks))
    }
    heirs = {id: ", ".join(roles.of(id)) or "candidate" for id in roles.updates}
    return {id: said for id, said in heirs.items() if not direct.isdisjoint(u.policy for u in roles.line(id))}


def showing(
    ledger: Ledger, roles: Roles, answers: set[str], what: Mapping[str, str], text: str | None
) -> dict[str, str]:
    """The policies that show the words before every question, or have them among the notes of their memory, with how:
    they were handed such answers as examples, or it stands there word for word, or was made a note of."""
    words = {said.strip() for said in words_of(ledger, what)}
    examples = {u.policy for u in roles.updates.values() if u.idle and not answers.isdisjoint(u.handed)}

    def holds(said: str) -> bool:
        return said.strip() in words or bool(text and text in said)

    shows = {}
    for policy in cast(list[Policy], ledger.records("policy")):
        if policy.weights.place == "transient":
            continue
        how = []
        handed = any(u.policy in examples for u in roles.line(policy.id))
        if policy.few_shots and (handed or any(holds(m.content) for m in policy.few_shots)):
            how.append("shows it before every question")
        if policy.memory is not None:
            how += _remembering(policy.memory, holds, answers | what.keys())
        if how:
            shows[policy.id] = " and ".join(how)
    return shows


def _remembering(root: str, holds: Callable[[str], bool], sources: Collection[str]) -> list[str]:
    try:
        notes = kept.read(artefacts(), root).notes.values()
    except StoreError:
        return [f"may remember it, in its memory {root[:12]}, which is not here to be read"]
    n = sum(holds(note.text) or not set(note.made_from).isdisjoint(sources) for note in notes)
    return [f"remembers it in {n} note{'s' * (n != 1)} of its memory {root[:12]}"] if n else []
