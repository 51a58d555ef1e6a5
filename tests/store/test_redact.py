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

from instar.app import session
from instar.app.config import plan
from instar.app.rederive import verified
from instar.errors import Redacted, StoreError
from instar.records import Task
from instar.report.facts import facts
from instar.report.summary import outcomes, summary
from instar.run.progress import Screen
from instar.store.crossings import Crossing
from instar.store.ledger import Ledger
from instar.store.readers.exchanges import exchange
from instar.store.redact import Gone, holding, redact
from instar.store.verify import verify

JUDGED = {
    "recipe": "rest_em", "model": "scripted", "judge_model": "scripted:judge=1.0", "rounds": 1, "audit_with": "none",
    "sizes": {"train": 4, "gate": 6, "sealed": 4}, "solve": {"samples": 2},
    "judge": {"op": "rubric", "samples": 1, "sampling": {"temperature": 0.0, "max_tokens": 60}},
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
