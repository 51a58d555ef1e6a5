"""What a policy remembers, as plain rows: for commands that list it, search it and say where it came from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from instar.app.memories import memories
from instar.app.storage.paths import artefacts
from instar.app.weights.models import Say
from instar.app.weights.policies import find, reading
from instar.errors import ConfigError
from instar.memory import kept
from instar.memory.library import Library
from instar.memory.value import Memory
from instar.protocols import Query
from instar.records import Note, Solution, Task
from instar.store.readers.lineage import kinds
from instar.store.readers.persons import given_with, redacted


@dataclass(frozen=True)
class Remembered:
    """A memory with the run that its policy is of; none for one that has a name of its own."""

    root: str
    memory: Memory
    run: Path | None

    def rows(self, *, who: str | None = None, all_of_it: bool = False) -> Iterator[dict[str, Any]]:
        """Each note that holds, in the order in which they came; ``all_of_it``: also those that gave way or went."""
        for note in self.memory.notes.values():
            if (all_of_it or self.memory.state(note.id).live) and (who is None or note.who == who):
                yield self.row(note)

    def row(self, note: Note) -> dict[str, Any]:
        """A note with its state in this memory."""
        state = self.memory.state(note.id)
        became = f"superseded by {state.superseded_by}" if state.superseded_by else state.gone and f"gone: {state.gone}"
        return {
            **note.model_dump(mode="json"), "strength": state.strength, "recalled": state.recalled,
            "pinned": state.pinned, "state": became or "holds",
        }  # fmt: skip

    def note(self, prefix: str) -> Note:
        """The note whose id begins so. Raises ConfigError if there is none, or more than one."""
        found = [
            n for id, n in self.memory.notes.items() if id.startswith(prefix) or id.split(":")[-1].startswith(prefix)
        ]
        if len(found) != 1:
            many = f"begins {len(found)} notes" if found else "begins no note"
            raise ConfigError(f"{prefix!r} {many} of this memory.", "`instar memory list POLICY` has the ids.")
        return found[0]

    def search(self, query: Query) -> list[dict[str, Any]]:
        """What ``recalling`` would find, with the scores."""
        found = Library(artefacts()).recall(self.root, query)
        return [{**self.row(f.note), "score": f.score} for f in found]

    def why(self, note: Note) -> dict[str, Any]:
        """What a note was made from, in words, and the answers that were given with it, in the run of the policy."""
        if self.run is None:
            return {"note": self.row(note), "made_from": [{"id": id} for id in note.made_from], "used": []}
        with reading(self.run) as ledger:
            there = kinds(ledger, set(note.made_from)).keys() - redacted(ledger)  # notes are no records of a ledger
            sources: Mapping[str, Any] = {r.id: r for r in ledger.records(ids=there)}
            used = [cast(Solution, s) for s in ledger.records(ids=given_with(ledger, note.id))]
        return {
            "note": self.row(note),
            "made_from": [{"id": id, **_in_words(sources.get(id))} for id in note.made_from],
            "used": [{"id": s.id, "task": s.task, "text": s.text, "policy": s.policy} for s in used],
        }


def remembered(said: str, say: Say) -> Remembered:
    """The memory of that name, or of the policy that ``said`` names, as ``policies.find``. Raises ConfigError for one
    without."""
    if (root := memories().get(said)) is not None:
        return Remembered(root, kept.read(artefacts(), root), None)
    found = find(said, system=None, say=say)
    if found.policy.memory is None:
        raise ConfigError(f"{found.title} has no memory.", "Memory updates make one: instar run memory_bank.")
    return Remembered(found.policy.memory, kept.read(artefacts(), found.policy.memory), found.run)


def _in_words(record: object) -> dict[str, str]:
    if isinstance(record, Task):
        return {"kind": "task", "text": record.question}
    if isinstance(record, Solution):
        return {"kind": "solution", "text": record.text}
    return {"kind": "note or of another run", "text": ""}
