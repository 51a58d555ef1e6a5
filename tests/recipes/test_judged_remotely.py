"""A run whose judge is on a server while its policy is here: two engines, one ledger, and a key that is in no file."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from instar.app.host.engine_choice import chosen_before, exam_engine
from instar.records import Policy, Solution
from instar.scripted_world import judged
from instar.store.ledger import Ledger
from instar.store.readers import progress
from tests.engines.chat_server import Answer, ChatServer, refusing, saying, serving
from tests.recipes.killing import ends_the_same_when_killed
from tests.recipes.scripted import content, instar, run

RUBRIC = 'judge={op="rubric", samples=1, sampling={temperature=0.0, max_tokens=60}}'
KEY = "sk-test-0123456789abcdef"


def honest(sent: dict[str, Any]) -> Answer:
    """Judges as the scripted model would that never errs; it also says every header's secret back."""
    last = judged(sent["messages"][-1]["content"], 0.0, 1.0)
    return saying(f"I look at the result, {KEY}.\n{last}" if last else "yes")


@pytest.fixture(scope="module")
def server() -> Iterator[ChatServer]:
    with pytest.MonkeyPatch.context() as patched, serving(honest) as chat:
        patched.setenv("OPENAI_API_KEY", KEY)
        yield chat


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("work") / "runs"


def sets(server: ChatServer) -> tuple[str, ...]:
    return (RUBRIC, f"judge_model=openai:small@{server.url}")


@pytest.fixture(scope="module")
def undisturbed(runs: Path, server: ChatServer) -> dict[str, Any]:
    return run(runs, "undisturbed", *sets(server))


def journal(runs: Path, name: str) -> set[tuple[str, str, str]]:
    with sqlite3.connect(runs / name / "ledger.db") as raw:
        return set(raw.execute("select distinct policy, engine, precision from journal"))


def test_the_judge_is_asked_on_its_server_and_all_else_here(
    runs: Path, server: ChatServer, undisturbed: dict[str, Any]
) -> None:
    assert undisturbed["status"] == "finished"
    assert undisturbed["sealed"]["gain"] > 0
    assert (undisturbed["sealed"]["engine"], undisturbed["sealed"]["precision"]) == ("scripted", "exact")
    ledger = Ledger.read(runs / "undisturbed" / "ledger.db")
    policies = [p for p in ledger.records("policy") if isinstance(p, Policy)]
    (judge,) = [p for p in policies if p.weights.place == "remote"]
    assert judge.weights.name == f"openai:small@{server.url}"
    assert {s.engine for s in ledger.records("solution") if isinstance(s, Solution)} == {"scripted"}
    said = journal(runs, "undisturbed")
    assert (judge.id, "openai", "remote") in said
    assert {(e, p) for id, e, p in said if id != judge.id} == {("scripted", "exact")}
    assert exam_engine(ledger) == "scripted"
    ledger.close()
    found = json.loads(instar("show", "undisturbed", "--json", runs=runs).stdout)
    (rubric,) = [a for r in found["audit"] if r["round"] == 1 for a in r["assessments"] if a["name"] == "rubric"]
    assert rubric["trusted"]
    assert rubric["policy"] == judge.id


def test_the_key_was_sent_and_stands_in_no_file_and_no_output(
    runs: Path, server: ChatServer, undisturbed: dict[str, Any]
) -> None:
    assert {h.get("Authorization") for h in server.headers} == {f"Bearer {KEY}"}
    outputs = [json.dumps(undisturbed)]
    for command in (["show", "undisturbed"], ["why", "--last"], ["verify", "undisturbed"], ["report", "undisturbed"]):
        done = instar(*command, runs=runs, check=False)
        outputs += [done.stdout, done.stderr]
    assert not any(KEY in o for o in outputs)
    files = [p for p in runs.parent.rglob("*") if p.is_file()]
    assert any(p.name == "ledger.db" for p in files)
    assert any(p.suffix == ".html" for p in files)
    assert [p for p in files if KEY.encode() in p.read_bytes()] == []


@pytest.mark.slow
def test_killed_in_the_middle_it_ends_the_same(runs: Path, server: ChatServer, undisturbed: dict[str, Any]) -> None:
    ends_the_same_when_killed(runs, "rest_em", sets(server), undisturbed, at=(100, 400))


@pytest.mark.slow
def test_a_server_that_goes_away_stops_the_run_and_when_it_is_back_it_ends_the_same(
    runs: Path, server: ChatServer, undisturbed: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = 0

    def away(sent: dict[str, Any]) -> Answer:
        nonlocal asked
        asked += 1
        return honest(sent) if asked < 60 else refusing(503, "gone to lunch")

    monkeypatch.setattr(server, "answer", away)
    stopped = run(runs, "stopped", *sets(server), "openai.tries=1", check=False)
    assert stopped["code"] == 8
    assert "answered 503: gone to lunch" in stopped["error"]
    monkeypatch.setattr(server, "answer", honest)
    instar("resume", "stopped", "--quiet", "--set", "openai.concurrency=2", runs=runs)
    found = json.loads(instar("show", "stopped", "--json", runs=runs).stdout)
    assert (found["final"], found["sealed"]) == (undisturbed["final"], undisturbed["sealed"])
    assert content(runs, "stopped") == content(runs, "undisturbed")


def test_an_inverted_judge_on_a_server_is_refused_before_it_has_judged_a_real_answer(
    runs: Path, server: ChatServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wrong(sent: dict[str, Any]) -> Answer:
        return saying(judged(sent["messages"][-1]["content"], 1.0, 0.0) or "yes")

    monkeypatch.setattr(server, "answer", wrong)
    refused = run(runs, "inverted", *sets(server), check=False)
    assert refused["code"] == 11
    assert "it is inverted" in refused["error"]


def test_with_an_engine_that_is_named_the_judges_is_not_taken_for_the_runs(runs: Path, server: ChatServer) -> None:
    run(runs, "named", *sets(server), "engine=scripted", "rounds=1")
    ledger = Ledger.read(runs / "named" / "ledger.db")
    assert progress.last_engine(ledger) in ("openai", "scripted")  # whoever came last, a judge's reply is among them
    assert "openai" in {r["engine"] for r in ledger.rows("journal")}
    assert "engines" not in ledger.about()
    before = chosen_before(ledger)
    assert before is not None
    assert (before.exam, before.sample) == ("scripted", "scripted")
    ledger.close()


def test_a_policy_and_a_judge_at_other_places_are_no_longer_refused(runs: Path) -> None:
    """A scripted judge beside a policy on a server."""
    with serving(lambda _: saying("Answer: 4")) as chat:
        judged_here = (f"model=openai:small@{chat.url}", "judge_model=scripted:judge=1.0")
        done = run(runs, "elsewhere", *judged_here, "rounds=1", "audit_with=none", recipe="self_refine", check=False)
    assert "two engines" not in str(done.get("error"))
