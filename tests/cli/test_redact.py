"""``instar redact``: it says what would go and who learned from it, and empties it only when told to."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, cast

import pytest
from typer.testing import CliRunner

from instar.app.configs.config import plan
from instar.app.review.rederive import verified
from instar.app.sessions import session
from instar.app.storage.paths import artefacts
from instar.cli.main import app
from instar.errors import ConfigError, LockError, Redacted, StoreError
from instar.memory import kept, value
from instar.memory.value import Memory
from instar.records import Message, Note, Policy, Role, Solution, Task
from instar.report.facts import facts
from instar.report.why import why
from instar.run.progress import Screen
from instar.store.ledger import Ledger, Made
from instar.store.lock import WriterLock
from instar.store.redact import holding
from instar.store.roles import roles_of
from instar.web.runs import runs_in

TRAINED = {
    "recipe": "rest_em", "model": "scripted", "rounds": 2, "audit_with": "none", "control": True,
    "sizes": {"train": 8, "gate": 4, "sealed": 4}, "solve": {"samples": 4}, "train": {"epochs": 1},
}  # fmt: skip


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    place = tmp_path_factory.mktemp("redact")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("INSTAR_HOME", str(place / "home"))
        (folder := place / "runs" / "one").mkdir(parents=True)
        session.execute(plan(TRAINED), folder, Screen("silent"))
        yield folder


@pytest.fixture
def folder(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("INSTAR_RUNS", str(tmp_path))
    return Path(shutil.copytree(finished, tmp_path / "one"))


def instar(*args: str) -> str:
    """What the command prints. Raises what it raises."""
    done = CliRunner().invoke(app, args, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def told(*args: str) -> dict[str, Any]:
    return dict(json.loads(instar("redact", "one", "--json", *args)))


def learned(folder: Path) -> tuple[str, str, set[str]]:
    """An answer that was learned first in the second update, where it was said, and all policies that came of it."""
    with closing(Ledger.read(folder / "ledger.db")) as ledger:
        roles = roles_of(ledger)
        first, second = (u for u in roles.candidates)
        (id, *_) = sorted(set(second.solutions) - set(first.solutions))
        (record,) = ledger.records(ids=[id])
        assert isinstance(record, Solution)
        assert record.turns[0].said is not None
        heirs = {p for p, u in roles.updates.items() if id in u.solutions}
        return id, record.turns[0].said.exchange, heirs


@pytest.mark.parametrize("by", ["answer", "model call"])
def test_it_names_those_that_must_be_retrained_and_changes_nothing_unless_told_to(folder: Path, by: str) -> None:
    answer, call, heirs = learned(folder)
    meant = answer if by == "answer" else call
    before = (folder / "ledger.db").read_bytes()
    said = instar("redact", "one", meant[:16], "--reason", "asked for")
    assert "nothing was changed: the same with --yes redacts it" in said
    assert {line.split()[5] for line in said.splitlines() if line.startswith("must be retrained")} == heirs
    assert "what was exported of them" in said
    assert (folder / "ledger.db").read_bytes() == before
    found = told(meant, "--yes", "--reason", "asked for")
    assert (found["redacted"], set(found["what"]), set(found["retrain"])) == (True, {meant}, heirs)
    assert found["beside"] > 0  # its words are those of a reply, or of answers
    with closing(Ledger.read(folder / "ledger.db")) as ledger, pytest.raises(Redacted, match="asked for"):
        ledger.records(ids=[answer]) if by == "answer" else ledger.stored_asks([r["key"] for r in ledger.rows("calls")])
    assert verified(folder).wrong == []
    assert facts(folder)["status"] == "finished"
    assert why(folder, next(iter(heirs)))["sentences"]
    assert [r["status"] for r in runs_in(folder.parent)] == ["finished"]


def test_all_that_holds_a_text_goes_and_what_learned_it_is_named(folder: Path) -> None:
    with closing(Ledger.read(folder / "ledger.db")) as ledger:
        task = ledger.sets()["sealed"][0]
        question = ledger.records(ids=[task])[0].question
    assert "no policy learned from it" in instar("redact", "one", "--text", question)
    assert told("--text", question, "--yes", "--reason", "x")["beside"] == 0
    with closing(Ledger.read(folder / "ledger.db")) as ledger:
        assert holding(ledger, question) == []
    assert question.encode() not in (folder / "ledger.db").read_bytes()
    assert verified(folder).wrong == []


def test_forgetting_a_text_takes_what_was_made_of_it_and_names_those_who_learned_from_it(folder: Path) -> None:
    answer, call, heirs = learned(folder)
    with closing(Ledger.read(folder / "ledger.db")) as ledger:
        solution = cast(Solution, ledger.records(ids=[answer])[0])
        question = cast(Task, ledger.records(ids=[solution.task])[0]).question
    said = instar("memory", "forget", "one", "--text", question)
    assert {line.split()[5] for line in said.splitlines() if line.startswith("must be retrained")} >= heirs
    assert "so must be what was exported of them" in said
    found = json.loads(instar("memory", "forget", "one", "--text", question, "--yes", "--reason", "x", "--json"))
    assert found["what"].keys() >= {solution.task, answer, call}
    assert (found["notes"], found["retrain"].keys() >= heirs) == (0, True)
    assert question.encode() not in (folder / "ledger.db").read_bytes()
    assert verified(folder).wrong == []


def test_what_an_update_remembers_for_itself_goes_too(folder: Path) -> None:
    with closing(Ledger(folder / "ledger.db")) as ledger:
        asyncio.run(ledger.add_inner("i1:c", "read so far", {"note": "Ada's letter"}))
    found = told("--text", "Ada's letter", "--yes", "--reason", "her letter")
    assert found["what"] == {"i1:c read so far": "inner step"}
    assert b"Ada's letter" not in (folder / "ledger.db").read_bytes()
    with closing(Ledger.read(folder / "ledger.db")) as ledger, pytest.raises(Redacted, match="her letter"):
        ledger.inner_step("i1:c", "read so far")
    assert verified(folder).wrong == []


def test_a_policy_that_shows_or_remembers_it_is_named_and_nobody_says_that_it_is_gone(folder: Path) -> None:
    with closing(Ledger(folder / "ledger.db")) as ledger:
        task, other = (cast(Task, r) for r in ledger.records(ids=ledger.sets()["sealed"][:2]))
        base = next(cast(Policy, p) for p in ledger.records("policy"))
        note = Note(text="I like sums.", made_from=(task.id,)).identified()
        root = kept.keep(value.insert(Memory(), [note]), artefacts(), folder / "scratch")
        changes = (
            {"few_shots": (Message(role=Role.user, content=task.question),)}, {"memory": root}, {"memory": "ab" * 32},
            {"few_shots": (Message(role=Role.user, content=other.question),)},
        )  # fmt: skip
        made = [base.model_copy(update={**c, "id": "", "parent": base.id}).identified() for c in changes]
        ledger.add_records([Made(p, "i1:op", 1, i) for i, p in enumerate(made)])
    shown, remembering, away, _ = (p.id for p in made)
    for args in ((task.id,), ("--text", task.question)):
        found = told(*args)["shows"]
        assert found.keys() == {shown, remembering, away}
        assert found[shown] == "shows it before every question"
        assert found[remembering] == f"remembers it in 1 note of its memory {root[:12]}"
        assert found[away].startswith("may remember it")
    said = instar("redact", "one", task.id, "--yes", "--reason", "asked for")
    assert f"must be made anew, in a run without it: the policy {shown} shows it" in said
    assert "it is not gone from 3 policies" in said
    assert "no policy learned from it" not in said


def test_what_cannot_go_is_refused_in_a_sentence_and_nothing_is_changed(folder: Path) -> None:
    answer, _, _ = learned(folder)
    before = (folder / "ledger.db").read_bytes()
    with closing(Ledger.read(folder / "ledger.db")) as ledger:
        final = str(roles_of(ledger).result)
    for args, error, says in (
        (
            [answer, "i1:nothing", "--yes", "--reason", "x"],
            ConfigError,
            "no ids of the run one begin with 'i1:nothing'",
        ),
        (["i1:", "--yes", "--reason", "x"], ConfigError, "20 ids of the run one begin with 'i1:'"),
        ([final, "--yes", "--reason", "x"], StoreError, "is a policy, on which figures hang"),
        ([answer, "--yes"], ConfigError, "for a reason, and none is given"),
        (["--text", "nobody said this", "--yes", "--reason", "x"], ConfigError, "holds that text"),
        ([], ConfigError, "was named"),
    ):
        with pytest.raises(error, match=says):
            instar("redact", "one", *args)
    with WriterLock(folder / "lock"), pytest.raises(LockError):
        instar("redact", "one", answer, "--yes", "--reason", "x")
    assert (folder / "ledger.db").read_bytes() == before
