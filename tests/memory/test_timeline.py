"""What one update changed of a memory, counted."""

from __future__ import annotations

from instar.memory import value
from instar.memory.timeline import figures_of, in_words
from instar.memory.value import Memory
from instar.records import Note, NoteKind

NOTES = [Note(text=f"Fact {i}.").identified() for i in range(4)]
SUMMARY = Note(text="Four facts.", what=NoteKind.summary).identified()


def test_what_came_gave_way_went_and_grew_is_counted_and_what_holds_by_kind() -> None:
    before = value.insert(Memory(), NOTES)
    assert in_words(figures_of(Memory(), before)) == "4 added; 4 hold (event 4)"
    after = value.supersede(value.insert(before, [SUMMARY]), {NOTES[0].id: SUMMARY.id})
    after = value.strengthen(value.forget(after, {NOTES[1].id: "faded"}), {NOTES[2].id: (2, 1.0)})
    words = "1 added, 1 superseded, 1 forgotten, 1 strengthened; 3 hold (event 2, summary 1)"
    assert in_words(figures_of(before, after)) == words
    assert in_words(figures_of(after, after)) == "nothing new; 3 hold (event 2, summary 1)"


def test_what_holds_no_more_is_not_counted_again() -> None:
    gone = value.forget(value.insert(Memory(), NOTES), {n.id: "faded" for n in NOTES})
    assert in_words(figures_of(gone, gone)) == "nothing new; 0 hold (none)"
