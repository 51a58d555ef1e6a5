"""How far a note may be believed that was made from others: never further than the least of them.

So what somebody planted stays what it is (``unknown``), whatever is made of it: a summary of it passes no filter that
would not have let it pass itself. Poison that is summarised is the known way around such filters (PoisonedRAG, Zou et
al., arXiv 2402.07867, plants texts; MINJA, Dong et al., arXiv 2503.03704, has an agent write them down itself).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from instar.records import Note, NoteKind, Trust

ORDER = (Trust.unknown, Trust.told, Trust.verified)
"""From the least to the most."""
TRUSTED = (Trust.told, Trust.verified)
"""What somebody stands behind."""


def derived(sources: Iterable[Trust], *, checked: bool = False) -> Trust:
    """The trust of what is made from notes of these: the least of theirs, and "verified" only where a verifier has
    called the new text itself right (``checked``). What is made from nothing is "unknown"."""
    least = min(sources, key=ORDER.index, default=Trust.unknown)
    return least if checked else min(least, Trust.told, key=ORDER.index)


def derived_note(what: NoteKind, text: str, sources: Sequence[Note], *, checked: bool = False) -> Note:
    """A note that a policy made from others, with its id: made from them, of the last of their days, whose they are
    (nobody's where they are of several people), believed no further than they are. It can be forgotten with them."""
    people = {n.who for n in sources}
    days = [n.when for n in sources if n.when is not None]
    return Note(
        what=what, text=text, made_from=tuple(dict.fromkeys(n.id for n in sources)), when=max(days, default=None),
        who=people.pop() if len(people) == 1 else None, trust=derived((n.trust for n in sources), checked=checked),
    ).identified()  # fmt: skip


def overtrusted(notes: Iterable[Note], known: Mapping[str, Note]) -> list[Note]:
    """Those of ``notes`` that claim more than the notes that they were made from, as far as these are ``known``."""
    return [n for n in notes if (least := _least(n, known)) is not None and ORDER.index(n.trust) > ORDER.index(least)]


def _least(note: Note, known: Mapping[str, Note]) -> Trust | None:
    """The least trust among the notes that a note was made from; None where it was made from none that is known."""
    sources = [known[id].trust for id in note.made_from if id in known]
    return min(sources, key=ORDER.index) if sources else None
