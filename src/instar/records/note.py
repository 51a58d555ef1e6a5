"""What a memory is made of: one thing to remember, with what it was made from and how far it may be believed."""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar

from instar.hashing import hash_of
from instar.records.record import Record


class NoteKind(StrEnum):
    """What is remembered."""

    event = "event"
    summary = "summary"
    portrait = "portrait"
    insight = "insight"
    reflection = "reflection"
    demonstration = "demonstration"
    skill = "skill"


class Trust(StrEnum):
    """Who stands behind a note."""

    verified = "verified"
    """A verifier called it right."""
    told = "told"
    """Somebody said so."""
    unknown = "unknown"


class Note(Record):
    """One thing to remember. It is immutable: what changes of it (strength, last recall, whether it still holds) is a
    memory's, not its own. Its id is a digest of what it is, so the same note is the same note in every memory."""

    kind: ClassVar[str] = "note"

    what: NoteKind = NoteKind.event
    text: str
    made_from: tuple[str, ...] = ()
    """Ids of the task, the solution or the notes that it was made from."""
    when: float | None = None
    """The day it is of (``Task.when``), never read off a clock."""
    who: str | None = None
    """Whose it is (``Task.who``)."""
    trust: Trust = Trust.unknown

    def identified(self) -> Note:
        """The same note with its id filled in."""
        return self.model_copy(update={"id": hash_of("note", self.content())})
