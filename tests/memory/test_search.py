"""Search in a memory: the best first, nobody else's notes, nothing that no longer holds, nothing where nothing fits."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any, cast

import pytest

from instar.errors import ConfigError
from instar.memory import kept, library, value
from instar.memory.embedders import embedder, words
from instar.memory.library import Library
from instar.memory.search import index, ready, search, terms
from instar.memory.value import Memory
from instar.protocols import Query
from instar.records import Note, NoteKind, Trust
from instar.store.artefacts import Artefacts


def note(text: str, **more: Any) -> Note:
    return Note(text=text, **more).identified()


CAT = note("My cat is called Miso.", who="anna", when=1)
SISTER = note("My sister's cat is called Pluto.", who="anna", when=2)
OTHER = note("My cat is called Felix.", who="ben", when=3)
RUN = note("I went running in the morning.", who="anna", when=4, what=NoteKind.summary, trust=Trust.verified)
ALL = value.insert(Memory(), [CAT, SISTER, OTHER, RUN])


def found(text: str, memory: Memory = ALL, **more: Any) -> list[str]:
    query = Query(text, **more)
    made = ready(memory, [index(segment, words) for segment in memory.segments])
    return [f.note.text for f in search(made, query, words([text])[0])]


def test_the_best_comes_first_and_no_more_than_asked_for() -> None:
    assert found("What is my cat called?", who="anna") == [CAT.text]
    assert found("What is my sister's cat called?", who="anna", k=2) == [SISTER.text, CAT.text]


@pytest.mark.parametrize(
    ("limit", "left"),
    [
        ({"who": "ben"}, {OTHER.text}),
        ({"kinds": ("summary",)}, {RUN.text}),
        ({"trust": ("verified",)}, {RUN.text}),
        ({"now": 1.5}, {CAT.text}),
        ({"who": "nobody"}, set()),
    ],
)
def test_what_is_left_out_is_never_found(limit: dict[str, Any], left: set[str]) -> None:
    assert set(found("cat called morning", k=10, **limit)) == left


def test_what_was_forgotten_or_superseded_is_not_recalled() -> None:
    memory = value.supersede(value.forget(ALL, {CAT.id: "faded"}), {SISTER.id: OTHER.id})
    assert found("cat called", memory, k=10, who="anna") == [RUN.text]


def test_nothing_is_found_where_nothing_fits() -> None:
    assert found("What is the capital of France?", k=3, floor=0.5) == []
    assert found("My cat is called", k=1, floor=0.5)


def test_a_faded_note_gives_way_to_a_fresh_one_and_a_strengthened_one_does_not() -> None:
    old, new = note("I like green tea.", when=0), note("I like green apples.", when=30)
    memory = value.insert(Memory(), [old, new])
    assert found("Which green tea do I like?", memory, now=30.0, days=1) == [new.text]
    strong = value.strengthen(memory, {old.id: (300, 0.0)})
    assert found("Which green tea do I like?", strong, now=30.0, days=1) == [old.text]
    assert found("Which green tea do I like?", memory) == [old.text]


def test_what_is_found_stays_within_its_budget() -> None:
    assert found("cat called morning", k=3, who="anna", characters=60) == [CAT.text, RUN.text]


def test_segments_change_no_score() -> None:
    parts = Memory(segments=tuple((n,) for n in (CAT, SISTER, OTHER, RUN)))
    for query in ("What is my cat called?", "morning", "sister"):
        assert found(query, parts, k=4) == found(query, k=4)


def test_chinese_is_compared_by_pairs_of_characters() -> None:
    assert terms("我的猫叫米索") == ["我的", "的猫", "猫叫", "叫米", "米索"]
    memory = value.insert(Memory(), [note("我的猫叫米索。"), note("我住在上海。")])
    assert found("我的猫叫什么名字?", memory) == ["我的猫叫米索。"]


def test_a_library_gives_the_same_in_a_new_process_and_shares_segments(tmp_path: Path) -> None:
    store = Artefacts(tmp_path / "store")
    root = kept.keep(ALL, store, tmp_path / "scratch")
    child = kept.keep(value.forget(ALL, {CAT.id: "x"}), store, tmp_path / "scratch")
    first, query = Library(store), Query("What is my cat called?", who="anna")
    assert [f.note for f in first.recall(root, query)] == [CAT]
    assert [f.note for f in first.recall(child, query)] == [SISTER]
    assert first.open(root)[1].indices[0] is first.open(child)[1].indices[0]
    assert Library(store).recall(root, query) == first.recall(root, query)
    assert json.loads((store.open(root) / kept.ROOT).read_text())["embedder"] == "words"


def test_a_library_forgets_what_no_open_memory_has_and_reads_a_memory_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(library, "OPEN", 1)
    store = Artefacts(tmp_path / "store")
    one, two = (kept.keep(value.insert(Memory(), [n]), store, tmp_path / "scratch") for n in (CAT, OTHER))
    made = Library(store)
    for root in (one, two):
        assert made.recall(root, Query("cat called"))
    assert [key[1] for key in made._indices] == [(OTHER.id,)]  # that of the first went with it
    assert made.notes(one) == {CAT.id: CAT}
    monkeypatch.setattr(kept, "read", None)  # what would read again fails
    assert made.notes(one) == {CAT.id: CAT}
    assert made.recall(two, Query("cat called"))  # it is open still


def test_notes_are_read_while_a_search_opens_and_closes_memories(tmp_path: Path) -> None:
    store = Artefacts(tmp_path / "store")
    root = kept.keep(ALL, store, tmp_path / "scratch")
    made, read = Library(store), []
    made.open(root)
    made._open = cast(Any, None)  # a search has it, and may close what is asked for
    asked = threading.Thread(target=lambda: read.append(made.notes(root)), daemon=True)
    with made._alone:
        asked.start()
        asked.join(5)
    assert read == [ALL.notes]


def test_nobody_is_none_of_the_people_and_has_notes_of_its_own() -> None:
    memory = value.insert(ALL, [note("The cat in the yard is called Tom.")])
    assert found("cat called", memory, k=9, who="") == ["The cat in the yard is called Tom."]
    assert found("cat called", ALL, k=9, who="") == []
    assert len(found("cat called", memory, k=9)) == 5


def test_an_unknown_embedder_is_refused_with_those_there_are() -> None:
    with pytest.raises(ConfigError, match="no embedder") as e:
        embedder("word2vec")
    assert "minilm" in str(e.value.hint)
