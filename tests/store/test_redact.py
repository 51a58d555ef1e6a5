"""What had to go is gone from the file, is said to be gone by whoever reads it, and nothing else can be emptied."""

from __future__ import annotations

import asyncio
import json
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from instar.app.configs.config import plan
from instar.app.redacting import planned
from instar.app.review.rederive import verified
from instar.app.sessions import session
from instar.errors import ConfigError, Redacted, StoreError
from instar.hashing import canonical_json
from instar.records import (
    Exchange,
    Feedback,
    Finish,
    Message,
    Reply,
    Role,
    Sampling,
    Solution,
    Task,
    ToolCall,
    ToolSpec,
)
from instar.records.exchange import ask_hash, ask_key, seed_of
from instar.report import why as told
from instar.report.facts import facts
from instar.report.summary import outcomes, summary
from instar.run.progress import Screen
from instar.store.crossings import Crossing
from instar.store.exchanges import chain
from instar.store.ledger import Ledger
from instar.store.readers.answers import sampled
from instar.store.readers.exchanges import exchange
from instar.store.redact import UNSWEPT, Gone, holding, redact
from instar.store.roles import roles_of
from instar.store.verify import verify

JUDGED = {
    "recipe": "rest_em", "model": "scripted", "judge_model": "scripted:judge=1.0", "rounds": 1, "audit_with": "none",
    "sizes": {"train": 4, "gate": 6, "sealed": 4}, "solve": {"samples": 2},
    "judge": {"op": "rubric", "samples": 1, "sampling": {"temperature": 0.0, "max_tokens": 60}},
}  # fmt: skip
PRACTISED = {
    "recipe": "grpo", "model": "scripted", "rounds": 1, "audit_with": "none",
    "sizes": {"train": 4, "gate": 4, "sealed": 4}, "solve": {"samples": 4}, "train": {"prompts": 2, "iterations": 1},
}  # fmt: skip
WHY = "a person asked for it"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A run whose answers were judged by a model, which was shown each question again."""
    place = tmp_path_factory.mktemp("redact")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("INSTAR_HOME", str(place / "home"))
        (folder := place / "runs" / "one").mkdir(parents=True)
        session.execute(plan(JUDGED), folder, Screen("silent"))
        yield folder


@pytest.fixture(scope="module")
def practised(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A run whose answers left their words to model calls."""
    place = tmp_path_factory.mktemp("practised")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("INSTAR_HOME", str(place / "home"))
        (folder := place / "runs" / "one").mkdir(parents=True)
        session.execute(plan(PRACTISED), folder, Screen("silent"))
        yield folder


@pytest.fixture
def folder(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "one"))


def question(folder: Path, of: str = "train") -> str:
    with closing(Ledger.read(folder / "ledger.db")) as ledger:
        (task,) = ledger.records(ids=ledger.sets()[of][:1])
        assert isinstance(task, Task)
        return task.question


def gone(folder: Path, *ids: str, why: str = WHY) -> Gone:
    with closing(Ledger(folder / "ledger.db")) as ledger:
        return redact(ledger, ids, reason=why)


def held(folder: Path, text: str) -> list[str]:
    with closing(Ledger.read(folder / "ledger.db")) as ledger:
        return holding(ledger, text)


def wrong(folder: Path) -> list[str]:
    with closing(Ledger.read(folder / "ledger.db")) as ledger:
        return verify(ledger)


@pytest.mark.parametrize("of", ["train", "sealed"])
def test_a_text_that_had_to_go_is_gone_from_the_file_and_nothing_is_wrong(folder: Path, of: str) -> None:
    text = question(folder, of)
    assert any(text.encode() in p.read_bytes() for p in folder.glob("ledger.db*"))
    what = gone(folder, *held(folder, text)).what
    assert {"task", "message"} <= set(what.values())
    assert held(folder, text) == []
    assert not any(text.encode() in p.read_bytes() for p in folder.glob("ledger.db*"))
    found = verified(folder)
    assert found.wrong == []
    assert ("reports of redacted answers" in found.counts) == (of == "sealed")
    assert summary(folder)["status"] == facts(folder)["status"] == "finished"
    assert outcomes(folder)


def test_whoever_looks_into_it_is_told_what_went_why_and_when(folder: Path) -> None:
    with closing(Ledger(folder / "ledger.db")) as ledger:
        crossed = Crossing("i1:c", "i1:s", "i1:call", "tool", 0, '"who?"', '"Ada"')
        asyncio.run(ledger.add_crossing(crossed))
        (task,) = ledger.sets()["train"][:1]
        rows = sqlite3.connect(folder / "ledger.db").execute("select key, call, messages from journal").fetchall()
        (key, call, _), (other, _, shown) = rows[0], rows[-1]
        assert redact(ledger, [task, key, "i1:c", shown], reason=WHY).what == {
            task: "task", key: "exchange", "i1:c": "crossing", shown: "message"
        }  # fmt: skip
        for read in (
            lambda: ledger.records(ids=[task]), lambda: ledger.records("task"), lambda: exchange(ledger, key),
            lambda: exchange(ledger, other), lambda: ledger.stored_asks([call]), lambda: ledger.crossing("i1:c"),
        ):  # fmt: skip
            with pytest.raises(Redacted, match=rf"was redacted on \d{{4}}-\d\d-\d\d: {WHY}\."):
                read()


EMPTIED = {
    "task": "update records set body = '{}' where rowid = 1",
    "exchange": "update journal set replies = '[]' where rowid = 1",
    "message": "update messages set content = '' where rowid = 1",
}


@pytest.mark.parametrize("what", EMPTIED)
def test_what_is_empty_and_not_listed_is_found(folder: Path, what: str) -> None:
    with closing(sqlite3.connect(folder / "ledger.db")) as raw, raw:
        raw.execute(EMPTIED[what])
    assert wrong(folder) != []


def test_nothing_can_be_changed_under_the_name_of_what_is_listed(folder: Path) -> None:
    with closing(Ledger.read(folder / "ledger.db")) as ledger:
        (task,) = ledger.sets()["train"][:1]
    with closing(sqlite3.connect(folder / "ledger.db")) as raw, raw:
        raw.execute("insert into redacted values (?, 'task', 'x', 0), ('i1:none', 'message', 'x', 0)", (task,))
    assert [w.partition("redacted, and ")[2] for w in wrong(folder)] == ["is not empty", "is not there"]


def test_what_figures_hang_on_and_what_is_not_there_is_refused_whole(folder: Path) -> None:
    with closing(Ledger.read(folder / "ledger.db")) as ledger:
        (task,), was = ledger.sets()["train"][:1], ledger.content_digest()
        final = json.loads(ledger.about()["result"])["final"]
    for ids, why, says in (
        ([task, final], WHY, "is a policy, on which figures hang"), ([task, "i1:0"], WHY, "nothing with the id i1:0"),
        ([task], " ", "for a reason"),
    ):  # fmt: skip
        with pytest.raises(StoreError, match=says):
            gone(folder, *ids, why=why)
    with closing(Ledger.read(folder / "ledger.db")) as ledger:
        assert ledger.content_digest() == was
        assert ledger.records(ids=[task])
    with closing(sqlite3.connect(folder / "ledger.db")) as raw, raw:
        raw.execute("drop table redacted")
    with pytest.raises(StoreError, match="older schema"):
        held(folder, "x")


def test_copies_that_still_hold_it_are_named(folder: Path) -> None:
    shutil.copy(folder / "ledger.db", copy := folder / "ledger.db.schema-2")
    assert gone(folder, *held(folder, question(folder))).copies == (copy,)


SECRET = 'Åsa said "no"'
CALLED = ToolCall(name="look_up", arguments=canonical_json({"name": SECRET}))
TYPED = {
    "the argument of a call": Message(role=Role.assistant, content="", calls=(CALLED,)),
    "the same with escapes": Message(
        role=Role.assistant, content="", calls=(ToolCall(name="look_up", arguments=json.dumps({"name": SECRET})),)
    ),
    "a call's name": Message(role=Role.assistant, content="", calls=(ToolCall(name=SECRET),)),
    "a tool's description": Message(
        role=Role.user, content="?", tools=(ToolSpec(name="x", about=SECRET, parameters="{}"),)
    ),
    "a parameter's description": Message(
        role=Role.user, content="?",
        tools=(ToolSpec(name="x", about="", parameters=canonical_json({"properties": {"a": {"title": SECRET}}})),),
    ),
    "a call that was written as text": Message(role=Role.assistant, content=CALLED.arguments),
}  # fmt: skip


@pytest.mark.parametrize("where", TYPED)
def test_what_tools_were_told_and_asked_can_go_too(folder: Path, where: str) -> None:
    shown = (Message(role=Role.user, content="who?"), TYPED[where])
    with closing(Ledger(folder / "ledger.db")) as ledger:
        (step, call), *_ = ledger._stream("select step, call from journal")
        key, sampling = ask_key(call, 60), Sampling()
        reply = Reply(text="no", finish=Finish.stop, policy="p", engine="e", precision="f32", prompt_tokens=1, tokens=1)
        asked = Exchange(
            id=key, call=call, turn=60, role="self", ask=ask_hash(shown, 1, sampling, "p", "f32"), policy="p",
            engine="e", precision="f32", replies=(reply,), messages=shown, sampling=sampling, seed=seed_of(key),
            weights="i1:w", prompt=None,
        )  # fmt: skip
        asyncio.run(ledger.add_exchange(asked, step, 0.1))
        last = list(chain(shown))[-1]["digest"]
    assert held(folder, SECRET) == [last]
    gone(folder, last)
    assert held(folder, SECRET) == []
    assert b"sa said" not in b"".join(p.read_bytes() for p in folder.glob("ledger.db*"))
    assert wrong(folder) == []
    with closing(Ledger.read(folder / "ledger.db")) as ledger, pytest.raises(Redacted):
        exchange(ledger, key)


def learned_in(folder: Path) -> tuple[str, str, str]:
    """An answer that was trained on, where it was said, and its policy."""
    with closing(Ledger.read(folder / "ledger.db")) as ledger:
        (update,) = roles_of(ledger).updates.values()
        (solution,) = ledger.records(ids=update.solutions[:1])
        assert isinstance(solution, Solution)
        assert solution.turns[0].said is not None
        return solution.id, solution.turns[0].said.exchange, update.policy


@pytest.mark.parametrize("run", ["finished", "practised"])
@pytest.mark.parametrize("what", ["solution", "exchange"])
def test_an_answer_that_was_trained_on_can_go_and_all_reports_stand(
    request: pytest.FixtureRequest, tmp_path: Path, run: str, what: str
) -> None:
    folder = Path(shutil.copytree(request.getfixturevalue(run), tmp_path / "one"))
    solution, asked, policy = learned_in(folder)
    rows = len(facts(folder)["answers"]["rows"])
    gone(folder, solution if what == "solution" else asked)
    assert verified(folder).wrong == []
    left = [r["id"] for r in facts(folder)["answers"]["rows"]]
    if what == "solution" or run == "practised":
        assert solution not in left
        assert 0 < len(left) < rows
    else:
        assert len(left) == rows
    assert told.why(folder, policy)["sentences"]
    with closing(sqlite3.connect(folder / "ledger.db")) as raw, raw:
        raw.execute("update learned set sign = 2")
    assert any("cannot have learned" in w for w in wrong(folder))


def test_why_tells_the_rest_of_what_has_a_redacted_relative(folder: Path) -> None:
    solution, _, policy = learned_in(folder)
    with closing(Ledger.read(folder / "ledger.db")) as ledger:
        (found,) = ledger.records(ids=[solution])
        assert isinstance(found, Solution)
        kids = [r for r in ledger.records(ids=ledger.children([solution])[solution]) if isinstance(r, Feedback)]
    gone(folder, solution)
    for id in (found.task, policy):
        assert told.why(folder, id)["sentences"]
    assert any(
        s.startswith("Of ") and s.endswith(", 1 was redacted.") for s in told.why(folder, found.task)["sentences"]
    )
    assert told.why(folder, kids[0].id)["sentences"]
    with closing(Ledger.read(folder / "ledger.db")) as ledger:
        other = next(s.id for s in sampled(ledger) if s.id != solution)
        (sibling,) = ledger.records(ids=[other])
        assert isinstance(sibling, Solution)
        assert sibling.turns[0].said is not None
        heard = [r.id for r in ledger.records(ids=ledger.children([other])[other]) if isinstance(r, Feedback)]
    gone(folder, found.task, heard[0], sibling.turns[0].said.exchange)
    said = told.why(folder, other)["sentences"]
    assert any(s.startswith("What was asked cannot be shown: the exchange ") for s in said)
    assert any(s.endswith(", 1 was redacted.") for s in said)
    for id in (policy, kids[0].id):
        assert told.why(folder, id)["sentences"]


@pytest.mark.parametrize("kind", ["report", "policy", "verdict"])
@pytest.mark.parametrize("as_what", ["itself", "record", "task", "disguised"])
def test_what_figures_hang_on_is_not_skipped_because_it_is_listed(folder: Path, kind: str, as_what: str) -> None:
    with closing(sqlite3.connect(folder / "ledger.db")) as raw, raw:
        (id,) = raw.execute("select id from records where kind = ? order by rowid desc", (kind,)).fetchone()
        raw.execute("update records set body = '{}' where id = ?", (id,))
        if as_what == "disguised":
            raw.execute("update records set kind = 'plant' where id = ?", (id,))
        listed = {"itself": kind, "disguised": "plant"}.get(as_what, as_what)
        raw.execute("insert into redacted values (?, ?, 'x', 0)", (id, listed))
    says = "should have another id" if as_what == "disguised" else "is said to be redacted as a"
    assert any(id in w and says in w for w in wrong(folder))


def test_a_redaction_that_was_killed_before_the_file_was_swept_is_ended_by_the_next(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = question(folder)
    with monkeypatch.context() as killed:
        killed.setattr("instar.store.redact.sweep", lambda ledger: None)
        gone(folder, *held(folder, text))
    with closing(Ledger.read(folder / "ledger.db")) as ledger:
        assert UNSWEPT in ledger.about()
    with pytest.raises(ConfigError, match="holds that text"):
        planned(folder, [], text=text)
    assert not any(text.encode() in p.read_bytes() for p in folder.glob("ledger.db*"))
    with closing(Ledger.read(folder / "ledger.db")) as ledger:
        assert UNSWEPT not in ledger.about()


def test_reasons_and_settings_that_quote_it_are_counted(folder: Path) -> None:
    text = question(folder)
    assert planned(folder, [], text=text).quoted == 0
    with closing(sqlite3.connect(folder / "ledger.db")) as raw, raw:
        raw.execute("update calls set error = ? where rowid = 1", (f"it failed at {text}",))
        raw.execute("update sessions set note = ?", (text,))
    assert planned(folder, [], text=text).quoted == 2


def test_a_text_that_is_nowhere_is_held_by_nothing(practised: Path) -> None:
    assert held(practised, "zzz nowhere zzz") == []
