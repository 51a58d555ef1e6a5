"""A memory as a value: what each change leaves as it was, how it fades, and what two candidates of one parent share."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from instar.errors import StoreError
from instar.memory import kept, value
from instar.memory.value import LARGEST, Memory, State, retention
from instar.records import Note
from instar.store.artefacts import Artefacts


def note(text: str, *, when: float | None = None, who: str | None = None) -> Note:
    return Note(text=text, when=when, who=who).identified()


CAT, DOG = note("My cat is called Miso.", when=1, who="anna"), note("My dog is called Rex.", when=2, who="ben")


def test_a_note_is_in_a_memory_once_and_the_memory_before_stays_as_it_was() -> None:
    before = value.insert(Memory(), [CAT])
    after = value.insert(before, [DOG, CAT, DOG])
    assert (len(before), len(after)) == (1, 2)
    assert value.insert(after, [CAT]) is after


def test_a_forgotten_note_does_not_come_back_by_being_told_again() -> None:
    gone = value.forget(value.insert(Memory(), [CAT, DOG]), {CAT.id: "faded"})
    assert list(value.insert(gone, [CAT]).live()) == [DOG]
    assert gone.state(CAT.id).gone == "faded"
    assert gone.notes[CAT.id] == CAT


def test_a_superseded_note_is_history_and_names_what_took_its_place() -> None:
    memory = value.supersede(value.insert(Memory(), [CAT, DOG]), {CAT.id: DOG.id})
    assert list(memory.live()) == [DOG]
    assert memory.state(CAT.id).superseded_by == DOG.id


def test_what_a_memory_does_not_have_cannot_change_in_it() -> None:
    for change in (
        lambda m: value.forget(m, {"i1:other": "x"}),
        lambda m: value.supersede(m, {CAT.id: "i1:other"}),
        lambda m: value.strengthen(m, {"i1:other": (1, None)}),
        lambda m: value.pin(m, ["i1:other"]),
    ):
        with pytest.raises(KeyError):
            change(value.insert(Memory(), [CAT]))


def test_a_note_fades_as_the_paper_says_and_a_stronger_one_more_slowly() -> None:
    assert retention(CAT, State(), 4, 1) == pytest.approx(math.exp(-3))
    assert retention(CAT, State(strength=5), 4, 1) == pytest.approx(math.exp(-3 / 5))  # the code has exp(-3 * 5 / 5)
    assert retention(CAT, State(recalled=4), 4, 1) == 1
    assert retention(CAT, State(pinned=True), 400, 1) == 1
    assert retention(note("no day"), State(), 400, 1) == 1


def test_a_recall_strengthens_and_starts_the_days_anew() -> None:
    memory = value.insert(Memory(), [CAT, DOG])
    again = value.strengthen(value.strengthen(memory, {CAT.id: (2, 9.0)}), {CAT.id: (1, 5.0)})
    assert again.state(CAT.id) == State(strength=4, recalled=9)
    assert again.state(DOG.id) == State()
    assert value.faded(again, 12, 0.3, 1) == {DOG.id: pytest.approx(math.exp(-10))}


def test_segments_are_few_and_never_longer_than_they_may_be() -> None:
    memory = Memory()
    for i in range(100):
        memory = value.insert(memory, [note(f"n{i}")])
    assert len(memory.segments) <= 8
    assert [n.text for n in memory.notes.values()] == [f"n{i}" for i in range(100)]
    large = value.insert(Memory(), [note(f"m{i}") for i in range(LARGEST + 10)])
    assert [len(s) for s in large.segments] == [LARGEST, 10]


def test_a_memory_is_kept_by_a_digest_of_all_of_it_and_read_again_as_it_was(tmp_path: Path) -> None:
    store = Artefacts(tmp_path / "store")
    memory = value.pin(value.insert(Memory(embedder="words"), [CAT, DOG]), [CAT.id])
    root = kept.keep(memory, store, tmp_path / "scratch")
    assert kept.read(store, root) == memory
    assert kept.keep(memory, store, tmp_path / "scratch") == root
    other = value.pin(memory, [CAT.id], pinned=False)
    assert kept.keep(other, store, tmp_path / "scratch") != root


def test_a_hundred_candidates_of_one_memory_cost_little_more_than_one(tmp_path: Path) -> None:
    store = Artefacts(tmp_path / "store")
    parent = value.insert(Memory(), [note(f"fact number {i} of many", when=i) for i in range(3_000)])
    kept.keep(parent, store, tmp_path / "scratch")
    before = _bytes(tmp_path / "store")
    for i in range(100):
        kept.keep(value.insert(parent, [note(f"candidate {i} heard this")]), store, tmp_path / "scratch")
    assert _bytes(tmp_path / "store") < 1.5 * before


@pytest.mark.parametrize("end", ["\u2028", "\u2029", "\u0085", "\x0b", "\x1c"])
def test_a_note_may_hold_any_end_of_a_line_that_unicode_knows(end: str, tmp_path: Path) -> None:
    store = Artefacts(tmp_path / "store")
    memory = value.insert(Memory(), [note(f"My cat{end}is called Miso."), DOG])
    assert kept.read(store, kept.keep(memory, store, tmp_path / "scratch")) == memory


@pytest.mark.parametrize("text", ['{"text": 1}\n', "no json\n", None])
def test_a_damaged_segment_is_refused_in_a_sentence(text: str | None, tmp_path: Path) -> None:
    if text is not None:
        (tmp_path / kept.NOTES).write_text(text)
    with pytest.raises(StoreError, match="the segment d1 of a memory"):
        kept._notes(str(tmp_path), "d1")


def test_a_folder_that_is_no_memory_is_refused(tmp_path: Path) -> None:
    store = Artefacts(tmp_path / "store")
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "model.bin").write_text("x")
    digest = store.put(tmp_path / "weights")
    assert kept.segments_of(store.open(digest)) == ()
    with pytest.raises(StoreError, match="is no memory"):
        kept.read(store, digest)


def _bytes(folder: Path) -> int:
    return sum(p.stat().st_size for p in folder.rglob("*") if p.is_file())


def test_what_gave_way_to_a_note_that_was_never_there_holds_again() -> None:
    old, new, kept = (Note(text=t).identified() for t in ("Old.", "New.", "Kept."))
    memory = value.supersede(value.insert(Memory(), [old, new, kept]), {old.id: new.id})
    assert [n.text for n in value.without(memory, [new.id]).live()] == ["Old.", "Kept."]
    assert value.without(memory, [kept.id]).state(old.id).superseded_by == new.id
