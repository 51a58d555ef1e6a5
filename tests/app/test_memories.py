"""Memories with names of their own: imported, pinned, given to a run."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from typing import Any, cast

import pytest
from typer.testing import CliRunner

from instar.app.configs.config import plan
from instar.app.memories import imported, memories, name_it, pinned, root_of
from instar.app.preflight.flight import preflight
from instar.app.sessions import session
from instar.app.storage.paths import artefacts
from instar.app.storage.retention import sweep
from instar.cli.main import app
from instar.errors import ConfigError, DataError
from instar.memory import kept, value
from instar.memory.value import Memory, faded
from instar.records import Note, Policy, Trust
from instar.run.progress import Screen
from instar.store.ledger import Ledger

ASKED = {
    "recipe": "memory_bank", "model": "scripted", "audit_with": "none", "tasks": {"op": "diaries", "users": 2},
    "sizes": {"train": 20, "gate": 4, "sealed": 6}, "insert": {"embedder": "words"}, "controls": False,
    "verifier_stress": "off",
}  # fmt: skip


@pytest.fixture(autouse=True)
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INSTAR_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("INSTAR_RUNS", str(tmp_path / "runs"))


def file_of(tmp_path: Path, *rows: Any) -> Path:
    path = tmp_path / "notes.jsonl"
    path.write_text("\n".join(r if isinstance(r, str) else json.dumps(r) for r in rows) + "\n", "utf-8")
    return path


def memory_of(name: str) -> Memory:
    return kept.read(artefacts(), root_of(name))


def instar(*args: str) -> str:
    done = CliRunner().invoke(app, ["memory", *args], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def test_what_a_file_claims_of_its_notes_is_believed_by_nobody(tmp_path: Path) -> None:
    rows = {"text": "My cat is Miso.", "who": "anna", "when": 2, "trust": "verified"}, {"text": " It rained.\u2028"}
    said = instar("import", str(file_of(tmp_path, *rows)), "mine", "--embedder", "words")
    assert "2 notes imported as mine; 0 were known" in said
    notes = list(memory_of("mine").live())
    assert [(n.text, n.who, n.when, n.trust) for n in notes] == [
        ("My cat is Miso.", "anna", 2, Trust.unknown), ("It rained.", None, None, Trust.unknown),
    ]  # fmt: skip
    assert [r["text"] for r in json.loads(instar("list", "mine", "--json"))] == [n.text for n in notes]
    assert json.loads(instar("search", "mine", "cat", "-k", "1", "--json"))[0]["text"] == "My cat is Miso."


def test_what_export_wrote_comes_back_without_what_was_forgotten(tmp_path: Path) -> None:
    notes = [Note(text=t, who="ben", trust=Trust.told).identified() for t in ("One.", "Two.", "Three.")]
    name_it("one", value.forget(value.insert(Memory(), notes), {notes[1].id: "faded"}))
    instar("export", "one", str(tmp_path / "notes.jsonl"))
    found = imported(tmp_path / "notes.jsonl", "two", onto=None, embedder="words")
    assert (found.notes, found.gone) == (2, 1)
    again = imported(tmp_path / "notes.jsonl", "two", onto="two", embedder="words")
    assert (again.notes, again.known, again.root) == (0, 2, found.root)


def test_each_line_that_is_no_note_is_named_and_nothing_is_kept(tmp_path: Path) -> None:
    wrong = (
        "no json", "[1]", {"who": "anna"}, {"text": 3}, {"text": " "}, {"text": "x" * 1001}, {"text": "a", "age": 3},
        {"text": "a", "when": "monday"}, {"text": "a", "what": "poem"}, {"text": "a", "made_from": [1]},
    )  # fmt: skip
    with pytest.raises(DataError) as e:
        imported(file_of(tmp_path, {"text": "Good."}, *wrong), "mine", onto=None, embedder="words")
    for number, why in enumerate(
        ("no JSON", "no object", "text is missing", "text is no text", "0 characters", "1,001", "'age'",
         "when is no number", "'poem'", "made_from"), 2,
    ):  # fmt: skip
        assert any(f"line {number}" in part and why in part for part in e.value.message.split("; ")), why
    assert memories() == {}
    for rows in ((), ({"text": "a", "state": "gone: faded"},), ('{"text": "\\ud800"}',), ({"text": "a\0b"},)):
        with pytest.raises(DataError, match="no file of notes"):
            imported(file_of(tmp_path, *rows), "mine", onto=None, embedder="words")
    with pytest.raises(ConfigError, match="cannot be a memory's name"):
        imported(file_of(tmp_path, {"text": "a"}), "../mine", onto=None, embedder="words")
    with pytest.raises(ConfigError, match="no run, policy, model or folder"):
        root_of("nobody")


def test_a_line_with_a_day_or_an_id_that_cannot_be_kept_is_named(tmp_path: Path) -> None:
    for line in ('{"text": "a", "when": Infinity}', '{"text": "a", "when": 1' + "0" * 400 + "}",
                 '{"text": "a", "made_from": ["\\ud800"]}'):  # fmt: skip
        with pytest.raises(DataError, match=r"line 1: (when is no number|made_from is no list)"):
            imported(file_of(tmp_path, line), "mine", onto=None, embedder="words")


def test_a_file_that_begins_as_windows_begins_one_is_read(tmp_path: Path) -> None:
    file = tmp_path / "notes.jsonl"
    file.write_text('{"text": "My cat is called Miso."}', "utf-8-sig")
    assert imported(file, "mine", onto=None, embedder="words").notes == 1


def test_a_memory_is_not_lost_to_another_of_the_same_name(tmp_path: Path) -> None:
    imported(file_of(tmp_path, {"text": "One."}), "mine", onto=None, embedder="words")
    name_it("other", Memory())
    with pytest.raises(ConfigError, match="there is a memory called mine already"):
        imported(file_of(tmp_path, {"text": "Two."}), "mine", onto=None, embedder="words")
    note = next(memory_of("mine").live())
    with pytest.raises(ConfigError, match="there is a memory called other already"):
        CliRunner().invoke(app, ["memory", "pin", "mine", note.id, "--as", "other"], catch_exceptions=False)
    imported(file_of(tmp_path, {"text": "Two."}), "mine", onto="mine", embedder="words")
    assert [n.text for n in memory_of("mine").live()] == ["One.", "Two."]


def test_what_is_pinned_is_not_forgotten_and_the_memory_before_stays(tmp_path: Path) -> None:
    notes = [Note(text=t, when=0).identified() for t in ("One.", "Two.")]
    before = name_it("one", value.insert(Memory(), notes))
    instar("pin", "one", notes[0].id.split(":")[1][:10], "--as", "two")
    assert [*faded(memory_of("two"), 1000, 0.5, 1)] == [notes[1].id]
    assert root_of("one") == before
    instar("pin", "two", notes[0].id, "--off")
    assert root_of("two") == before
    assert len(faded(pinned("one", [], on=True), 1000, 0.5, 1)) == 2


def test_a_run_begins_with_a_memory_and_goes_on_with_what_it_began_with(tmp_path: Path) -> None:
    made = plan(ASKED)
    probe = preflight(made, fetch=False).sets["sealed"][0]
    note = {"text": probe.private["told"], "who": probe.who, "when": probe.private["day"]}
    root = imported(file_of(tmp_path, note), "mine", onto=None, embedder="words").root
    (folder := tmp_path / "runs" / "one").mkdir(parents=True)
    given = plan({**ASKED, "memory": "mine"})
    assert given.digest() != made.digest()
    assert "memory" not in made.resolved()
    session.execute(given, folder, Screen("silent"))
    with closing(Ledger.read(folder / "ledger.db")) as ledger:
        policies = cast(list[Policy], ledger.records("policy"))
        base = next(p for p in policies if p.parent is None)
        final = kept.read(artefacts(), next(p for p in policies if p.parent is not None).memory or "")
    assert base.memory == root
    assert [n.text for n in memory_of("one:base").live()] == [note["text"]]
    assert note["text"] in {n.text for n in final.notes.values()}
    assert root not in {leftover.path.name for leftover in sweep(orphans=True).gone}
    (tmp_path / "home" / "memories" / "mine.json").unlink()  # what the name stood for is in the ledger
    assert session.execute(given, folder, Screen("silent")).nothing_left
    leak = {"text": f"They ask: {probe.question}"}
    found = imported(file_of(tmp_path, leak, {"text": "Fine."}), "two", onto="one", embedder="words")
    assert (found.notes, found.leaked) == (1, (1,))
    with pytest.raises(ConfigError, match="is what a run made"):
        instar("pin", "one", "i1")


def test_a_memory_that_repeats_an_exam_is_refused_without_a_word_of_it(tmp_path: Path) -> None:
    sealed = preflight(plan(ASKED), fetch=False).sets["sealed"][0].question
    imported(file_of(tmp_path, {"text": f"They ask: {sealed}"}, {"text": "Fine."}), "mine", onto=None, embedder="words")
    with pytest.raises(DataError, match="1 notes of the memory mine repeat words") as e:
        preflight(plan({**ASKED, "memory": "mine"}), fetch=False)
    assert sealed not in str(e.value)
