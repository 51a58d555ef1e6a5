"""``instar memory forget``: of a person who is forgotten no byte is left, of the others everything."""

from __future__ import annotations

import asyncio
import html
import json
import shutil
from contextlib import closing
from pathlib import Path
from typing import Any, cast

import markupsafe
import pytest
from typer.testing import CliRunner

from instar.app import forgetting
from instar.app.configs.config import plan
from instar.app.memories import imported
from instar.app.review.rederive import verified
from instar.app.sessions import session
from instar.app.storage.paths import artefacts as store_of
from instar.cli.main import app
from instar.errors import ConfigError, LockError, StoreError
from instar.memory import kept, value
from instar.memory.library import Library
from instar.memory.trust import derived_note
from instar.memory.value import Memory
from instar.protocols import Query
from instar.records import (
    Exchange,
    Finish,
    Message,
    Note,
    NoteKind,
    Policy,
    Reply,
    Role,
    Sampling,
    Task,
)
from instar.records.exchange import ask_hash, ask_key, seed_of
from instar.run.progress import Screen
from instar.run.recalling import recall
from instar.store import artefacts
from instar.store.artefacts import Artefacts
from instar.store.ledger import Ledger, Made
from instar.store.lock import WriterLock
from instar.store.verify import verify

REMEMBERING = {
    "recipe": "memory_bank", "model": "scripted", "audit_with": "none", "tasks": {"op": "diaries", "users": 3},
    "sizes": {"train": 100, "gate": 12, "sealed": 18}, "insert": {"embedder": "words"},
}  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("forgetting")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("INSTAR_HOME", str(place / "home"))
        (folder := place / "runs" / "one").mkdir(parents=True)
        session.execute(plan(REMEMBERING), folder, Screen("silent"))
    return place


@pytest.fixture
def folder(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The run, with an INSTAR_HOME of its own."""
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    monkeypatch.setenv("INSTAR_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("INSTAR_HOME", str(tmp_path / "home"))
    return tmp_path / "runs" / "one"


def instar(*args: str) -> str:
    """What ``instar memory forget`` prints. Raises what it raises."""
    done = CliRunner().invoke(app, ["memory", "forget", *args], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def told(*args: str) -> dict[str, Any]:
    return dict(json.loads(instar("one", "--json", *args)))


def tasks_of(folder: Path) -> dict[str, list[Task]]:
    with closing(Ledger.read(folder / "ledger.db")) as ledger:
        found: dict[str, list[Task]] = {}
        for task in cast(list[Task], ledger.records("task")):
            found.setdefault(task.who or "", []).append(task)
        return found


def listed(folder: Path, which: str = "one") -> list[dict[str, Any]]:
    done = CliRunner().invoke(app, ["memory", "list", which, "--all", "--json"], catch_exceptions=False)
    return list(json.loads(done.output))


def everything(folder: Path) -> bytes:
    """Every byte of the runs and of INSTAR_HOME."""
    return b"".join(p.read_bytes() for p in sorted(folder.parents[1].rglob("*")) if p.is_file())


def words_of(folder: Path, who: str) -> tuple[set[bytes], list[bytes]]:
    """(what this person said, was asked or had expected of an answer, and nobody else; what the others said)."""
    own = tasks_of(folder)
    theirs = {w for t in own.pop(who) for w in (t.question, str(t.private.get("answer", t.question)))}
    others = [t for tasks in own.values() for t in tasks]
    every = "".join(t.model_dump_json() for t in others)
    return {w.encode() for w in theirs if w not in every}, [t.question.encode() for t in others]


def test_of_a_person_who_is_forgotten_no_byte_is_left_and_of_the_others_everything(folder: Path) -> None:
    who = sorted(tasks_of(folder))[0]
    only_theirs, of_others = words_of(folder, who)
    assert len(only_theirs) > 20
    assert all(words in everything(folder) for words in (*only_theirs, who.encode()))
    before = [r for r in listed(folder) if r["who"] != who]
    said = instar("one", "--about", who)
    assert "nothing was changed: the same with --yes takes it out" in said
    assert "no policy learned from it" in said
    assert [r for r in listed(folder) if r["who"] == who]
    found = told("--about", who, "--yes", "--reason", "asked for")
    assert found["forgotten"]
    assert {"task", "solution", "feedback", "exchange", "crossing", "message", "outcomes"} == {*found["what"].values()}
    assert (found["retrain"], found["shows"], found["still"]) == ({}, {}, [])
    assert len(found["remembered"]) == 4  # the two that were promoted in turn, and the controls
    left = everything(folder)
    assert [words for words in (*only_theirs, who.encode()) if words in left] == []
    assert [words for words in of_others if words not in left] == []
    assert listed(folder) == before
    assert verified(folder).wrong == []
    for view in (["show", "one", "--full"], ["report", "one", "--out", str(folder.parent / "one.html")]):
        shown = CliRunner().invoke(app, view, catch_exceptions=False)
        assert (shown.exit_code, who in shown.output) == (0, False), shown.output
    for note in before[-3:]:  # of the others all can be asked as before
        done = CliRunner().invoke(app, ["memory", "why", "one", note["id"], "--json"], catch_exceptions=False)
        assert json.loads(done.output)["made_from"][0]["text"] == note["text"]
    with pytest.raises(ConfigError, match=f"know nobody called '{who}'"):
        told("--about", who)


def test_who_is_not_there_is_said_with_those_who_are(folder: Path) -> None:
    before = (folder / "ledger.db").read_bytes(), listed(folder)
    with pytest.raises(ConfigError, match="know nobody called 'Zoe 9'") as e:
        told("--about", "Zoe 9", "--yes", "--reason", "x")
    assert sorted(tasks_of(folder))[0] in e.value.hint
    for args in ((), ("--about", "A", "--text", "b"), ("--about", "")):
        with pytest.raises(ConfigError, match="it is not said who or what"):
            told(*args)
    with pytest.raises(ConfigError, match="holds that text"):
        told("--text", "nobody ever said this")
    with pytest.raises(ConfigError, match="none is given"):
        told("--about", sorted(tasks_of(folder))[0], "--yes")
    assert ((folder / "ledger.db").read_bytes(), listed(folder)) == before


class Killed(BaseException):
    """What a kill looks like from inside."""


@pytest.mark.parametrize("at", ["redact", "segment", "manifest", "plan"])
def test_killed_in_the_middle_it_is_ended_by_the_next(folder: Path, monkeypatch: pytest.MonkeyPatch, at: str) -> None:
    who = sorted(tasks_of(folder))[0]
    only_theirs, _ = words_of(folder, who)

    def kill(*_: Any, **__: Any) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        if at == "segment":
            patched.setattr(Artefacts, "redact", kill)
        elif at == "manifest":  # the manifest says that the file may be another, and it is not yet
            whole, times = artefacts._replace, iter([False, True])
            patched.setattr(artefacts, "_replace", lambda *a: kill() if next(times) else whole(*a))
        elif at == "plan":
            patched.setattr(Path, "unlink", kill)
        else:
            patched.setattr(forgetting, at, kill)
        with pytest.raises(Killed):
            told("--about", who, "--yes", "--reason", "asked for")
    assert (folder / forgetting.PENDING).is_file()
    assert not any(words in (folder / forgetting.PENDING).read_bytes() for words in (*only_theirs, who.encode()))
    assert listed(folder)  # what is half done can be read
    said = instar("one", "--about", who, "--yes", "--reason", "asked for")
    assert "an earlier forgetting, which was killed, was brought to its end" in said
    left = everything(folder)
    assert [words for words in (*only_theirs, who.encode()) if words in left] == []
    assert not (folder / forgetting.PENDING).exists()
    assert verified(folder).wrong == []


def test_a_memory_with_a_name_forgets_too_and_loses_what_came_from_a_run_that_does(folder: Path) -> None:
    one, two, three = sorted(tasks_of(folder))
    file = folder.parents[1] / "notes.jsonl"
    CliRunner().invoke(app, ["memory", "export", "one", str(file)], catch_exceptions=False)
    more = {"text": "My parrot is called Kiwi.", "who": one}
    file.write_text(file.read_text() + json.dumps(more) + "\n")
    assert imported(file, "mine", onto=None, embedder="words").notes > 80
    file.unlink()
    told("--about", two, "--yes", "--reason", "asked for")
    assert {r["who"] for r in listed(folder, "mine")} == {one, three}
    assert "nothing was changed" in instar("mine", "--about", one)
    assert "forgotten in mine: " in instar("mine", "--about", one, "--yes", "--reason", "asked for")
    assert one not in {r["who"] for r in listed(folder, "mine")}
    assert b"Kiwi" not in everything(folder)
    with pytest.raises(ConfigError, match=f"mine knows nobody called '{one}'"):
        instar("mine", "--about", one)
    assert verified(folder).wrong == []


def test_two_people_one_after_the_other(folder: Path) -> None:
    one, two, three = sorted(tasks_of(folder))
    words = words_of(folder, one)[0] | words_of(folder, two)[0]
    for who in (one, two):
        told("--about", who, "--yes", "--reason", "asked for")
    left = everything(folder)
    assert [w for w in (*words, one.encode(), two.encode()) if w in left] == []
    assert {r["who"] for r in listed(folder)} == {three}
    assert verified(folder).wrong == []


def test_what_somebody_wrote_beside_the_ledger_is_named_and_what_a_killed_update_left_goes(folder: Path) -> None:
    who = sorted(tasks_of(folder))[0]
    words = next(w for w in words_of(folder, who)[0] if w.startswith(b"My "))
    (folder / "my-notes.txt").write_bytes(b"she said: " + words)
    (left := folder / "scratch" / "x" / "memory").mkdir(parents=True)
    (left / kept.NOTES).write_bytes(words)
    (dead := folder.parents[1] / "home" / "artefacts" / ".new-99999999-ab").mkdir()
    (dead / kept.NOTES).write_bytes(words)
    found = told("--about", who, "--yes", "--reason", "asked for")
    assert found["still"] == [str(folder / "my-notes.txt")]
    assert not left.exists()
    assert not dead.exists()


def test_another_run_with_the_same_notes_is_named_and_not_while_it_is_at_work(folder: Path) -> None:
    who = sorted(tasks_of(folder))[0]
    shutil.copytree(folder, folder.parent / "two")
    with WriterLock(folder.parent / "two" / "lock"), pytest.raises(LockError, match="the run two is at work"):
        told("--about", who, "--yes", "--reason", "asked for")
    assert [*told("--about", who, "--yes", "--reason", "asked for")["others"]] == ["two"]
    assert not [r for r in listed(folder, "two") if r["who"] == who]
    with pytest.raises(ConfigError, match="one"):  # its own ledger has her words yet
        told("--about", who)
    done = CliRunner().invoke(app, ["memory", "forget", "two", "--about", who, "--yes", "--reason", "x", "--quiet"])
    assert done.exit_code == 0, done.output
    assert who.encode() not in everything(folder)


def test_a_text_goes_whoever_said_it_with_what_was_made_of_it(folder: Path) -> None:
    note = next(r for r in listed(folder) if "cat is called" in r["text"])
    said = [r for r in listed(folder) if note["text"] in r["text"]]
    found = told("--text", note["text"], "--yes", "--reason", "asked for")
    assert found["notes"] >= len(said)
    assert note["text"].encode() not in everything(folder)
    assert {r["id"] for r in said}.isdisjoint(r["id"] for r in listed(folder))
    assert verified(folder).wrong == []


def test_a_note_that_was_made_of_theirs_goes_with_it_and_one_of_others_does_not(folder: Path) -> None:
    who, other, _ = sorted(tasks_of(folder))
    notes = [Note.model_validate({k: r[k] for k in Note.model_fields if k in r}) for r in listed(folder)]
    own, of_others = ([n for n in notes if n.who == name][:2] for name in (who, other))
    both = derived_note(NoteKind.summary, "They have cats.", [own[0], of_others[0]])
    again = derived_note(NoteKind.insight, "People have cats.", [both])
    apart = derived_note(NoteKind.summary, "He has a dog.", of_others)
    with closing(Ledger(folder / "ledger.db")) as ledger:
        base = cast(Policy, ledger.records("policy")[0])
        root = kept.keep(value.insert(Memory(), [both, again, apart]), store_of(), folder / "scratch")
        policy = base.model_copy(update={"memory": root, "id": "", "parent": base.id}).identified()
        ledger.add_records([Made(policy, "i1:op", 1, 0)])
    told("--about", who, "--yes", "--reason", "asked for")
    assert [*kept.read(store_of(), root).notes] == [apart.id]


def test_what_an_update_was_shown_of_them_goes_with_what_it_said_of_it_and_what_it_was_shown_of_others_stays(
    folder: Path,
) -> None:
    who, other, _ = sorted(tasks_of(folder))
    only_theirs, only_others = (
        next(w.decode() for w in words_of(folder, name)[0] if w.startswith(b"My ")) for name in (who, other)
    )
    said = {only_theirs: "She is fond of quartz.", only_others: "He is fond of basalt."}
    keys = {}
    with closing(Ledger(folder / "ledger.db")) as ledger:
        (step, call), *_ = ledger._stream(
            "select c.step, c.key from calls c join steps s on s.key = c.step where s.verb = 'update'"
        )
        base = next(p.id for p in cast(list[Policy], ledger.records("policy")) if p.parent is None)
        for turn, (words, summary) in enumerate(said.items(), 60):
            shown = (Message(role=Role.user, content="Sum up."), Message(role=Role.user, content=f"Day 1: {words}"))
            reply = Reply(text=summary, finish=Finish.stop, policy=base, engine="e", precision="f32", tokens=1)
            keys[summary] = key = ask_key(call, turn)
            asked = Exchange(
                id=key, call=call, turn=turn, role="self", ask=ask_hash(shown, 1, Sampling(), base, "f32"), policy=base,
                engine="e", precision="f32", replies=(reply,), messages=shown, sampling=Sampling(),
                seed=seed_of(key), weights="i1:w", prompt=None,
            )  # fmt: skip
            asyncio.run(ledger.add_exchange(asked, step, 0.1))
    found = told("--about", who, "--yes", "--reason", "asked for")
    assert found["what"][keys["She is fond of quartz."]] == "exchange"
    assert keys["He is fond of basalt."] not in found["what"]
    left = everything(folder)
    assert (b"quartz" in left, b"basalt" in left, only_others.encode() in left) == (False, True, True)
    with closing(Ledger.read(folder / "ledger.db")) as ledger:
        assert verify(ledger) == []


def test_a_segment_that_somebody_changed_is_still_found_out(folder: Path) -> None:
    who = sorted(tasks_of(folder))[0]
    digest, *_ = told("--about", who, "--yes", "--reason", "asked for")["segments"]
    path = store_of().place(digest) / kept.NOTES
    path.write_text(path.read_text().replace("My", "No"))
    with pytest.raises(StoreError, match="does not match the hash"):
        kept.segment(store_of(), digest)


def test_an_answer_that_was_recalled_with_it_is_not_told_again_and_says_why(folder: Path) -> None:
    note = next(iter(listed(folder)))
    with closing(Ledger.read(folder / "ledger.db")) as ledger:
        root = next(p.memory for p in cast(list[Policy], ledger.records("policy")) if p.memory is not None)
    told("--text", note["text"], "--yes", "--reason", "asked for")

    async def cross(*_: Any) -> Any:
        return [[note["id"], 0.9]]

    with pytest.raises(StoreError, match="has no note") as e:
        asyncio.run(recall(cross, root, Query("cat"), Library(store_of())))
    assert "instar memory forget" in e.value.hint


def test_what_is_left_of_others_can_still_be_asked_about_compared_and_imported_to(folder: Path) -> None:
    who, other, _ = sorted(tasks_of(folder))
    told("--about", who, "--yes", "--reason", "asked for")
    note = next(r for r in listed(folder) if r["who"] == other)
    (file := folder.parent / "notes.jsonl").write_text('{"text": "It rained."}\n')
    for command in (["why", "one", note["id"]], ["import", str(file), "mine", "--to", "one"]):
        done = CliRunner().invoke(app, ["memory", *command], catch_exceptions=False)
        assert done.exit_code == 0, done.output
    done = CliRunner().invoke(app, ["compare", "one"], catch_exceptions=False)
    assert done.exit_code == 0, done.output


def test_a_report_beside_the_ledger_is_named_though_a_page_and_json_write_quotes_otherwise(folder: Path) -> None:
    word = 'Anna\'s "cat" & Ågot'
    for name, said in (("a.html", str(markupsafe.escape(word))), ("b.html", html.escape(word)),
                       ("c.json", json.dumps(word, ensure_ascii=False)), ("d.json", json.dumps(word))):  # fmt: skip
        (folder / name).write_text(said)
    (folder / "e.html").write_text("Anna's dog")
    assert [p.name for p in forgetting._still(folder, {word})] == ["a.html", "b.html", "c.json", "d.json"]


def test_what_a_killed_import_or_gc_left_of_notes_goes_too(folder: Path) -> None:
    dead, store = 2**22 + 1, store_of()
    who = sorted(tasks_of(folder))[0]
    left = [
        store.root.parent / "memories" / f"writing-{dead}" / "memory",
        store.root / "ab" / f".gone-0123456789ab-{dead}",
    ]
    for place in left:
        place.mkdir(parents=True)
        (place / kept.NOTES).write_text(f"{who} has a cat\n")
    told("--about", who, "--yes", "--reason", "asked for")
    assert not [place for place in left if place.exists()]
