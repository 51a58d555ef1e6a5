"""Ledgers made by older instars (tests/fixtures/ledgers) open, verify and go on with the instar of today."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from instar.app.configs.config import Plan, plan
from instar.app.weights import models
from instar.cli.run import go_on
from instar.cli.show import page, print_summary
from instar.records import KINDS, Policy, Report, Verdict
from instar.report.facts import facts
from instar.report.summary import outcomes, summary
from instar.report.why import why
from instar.run.updating import replayed
from instar.store.ledger import Ledger
from instar.store.verify import verify
from tests.fixtures.ledgers.make import SHOTS, with_shots
from tests.fixtures.ledgers.old import FINISHED, KILLED, LEDGERS, REAL, unpack, unpack_real

Unpack = Callable[[str], Path]


@pytest.fixture
def old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Unpack:
    """Unpacks an old run into a folder of runs of this test's own."""
    monkeypatch.setenv("INSTAR_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("INSTAR_HOME", str(tmp_path / "home"))

    def one(name: str) -> Path:
        if name.startswith("few_shots"):  # no config asks for few-shots yet: its base was put in the plain one's place
            monkeypatch.setattr(models, "base_policy", with_shots)
        return unpack(name, tmp_path / "runs")

    return one


def planned(folder: Path) -> Plan:
    ledger = Ledger.read(folder / "ledger.db")
    try:
        return plan(json.loads(ledger.about()["config"]))
    finally:
        ledger.close()


def every(folder: Path, columns: str, table: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(folder / "ledger.db")) as raw:
        return raw.execute(f"select {columns} from {table}").fetchall()


def told(folder: Path) -> dict[str, Any]:
    """What a ledger says that no later statistics may change: who answered what, what was said of it, what was made.

    Reports and verdicts hold intervals and sentences beside the facts; here they are the facts alone. Rollouts, which
    older instars kept beside their update, are left out: an old twin has no records of them."""
    ledger = Ledger.read(folder / "ledger.db")
    try:
        rows = {id: (kind, digest) for id, kind, digest in every(folder, "id, kind, digest", "records")}
        for r in ledger.records("report"):
            assert isinstance(r, Report)
            rows[r.id] = ("report", r.policy, r.exam, r.outcomes)
        for v in ledger.records("verdict"):
            assert isinstance(v, Verdict)
            rows[v.id] = ("verdict", v.candidate, v.promoted)
        rolled = every(folder, "c.key, c.outputs", "calls c join steps s on s.key = c.step where s.verb = 'rollout'")
        passing = "records where kind = 'policy' and json_extract(body, '$.weights.place') = 'transient'"
        inside = {id for _, made in rolled for id in json.loads(made)} | {id for (id,) in every(folder, "id", passing)}
        # an old twin has no result
        rows = {id: r for id, r in rows.items() if r[0] not in ("health", "result") and id not in inside}
        asks = {key: (ask, replies) for key, ask, replies in every(folder, "key, ask, replies", "journal")}
        calls = {key: (status, made) for key, status, made in every(folder, "key, status, outputs", "calls")}
        calls = {key: call for key, call in calls.items() if key not in {key for key, _ in rolled}}
        return {"records": rows, "asks": asks, "calls": calls, "sets": ledger.sets()}
    finally:
        ledger.close()


def pasts(folder: Path) -> dict[str, list[str]]:
    """Each policy with the answers that its past is replayed as."""
    with closing(Ledger.read(folder / "ledger.db")) as ledger:
        return {p.id: [e.id for e in replayed(ledger, p)] for p in ledger.records("policy") if isinstance(p, Policy)}


@pytest.mark.parametrize("name", LEDGERS)
def test_an_old_ledger_opens_verifies_and_says_what_it_said(old: Unpack, name: str) -> None:
    folder, said = old(name), LEDGERS[name]
    ledger = Ledger.read(folder / "ledger.db")
    assert verify(ledger) == []
    assert ledger.content_digest() == said["content"]
    assert ledger.sets_digest() == said["sets"]
    assert ledger.asked()["calls"] == said["asks"]
    for kind, n in said["records"].items():
        assert len(ledger.records(kind)) == n
    ledger.close()
    found = summary(folder)
    assert found["status"] == name.rpartition("-")[2]
    assert found["final"] == said["final"]
    print_summary(found, page())


def test_there_is_an_old_record_of_every_kind_and_of_both_ends_of_a_gate() -> None:
    kinds = {k for said in LEDGERS.values() for k in said["records"]}
    parts_and_new = {"exam", "exchange", "result", "preference", "note", "likelihood"}
    assert kinds == set(KINDS) - parts_and_new
    assert {n.rpartition("-")[0] for n in FINISHED} == {n.rpartition("-")[0] for n in KILLED}
    assert all(LEDGERS[n]["final"] is None for n in KILLED)
    assert len({said["final"] for said in LEDGERS.values()}) > 4


@pytest.mark.parametrize("name", FINISHED)
def test_every_view_of_an_old_finished_run_can_be_made(old: Unpack, name: str) -> None:
    folder = old(name)
    assert facts(folder)["status"] == "finished"
    assert outcomes(folder)
    assert why(folder, LEDGERS[name]["final"])["kind"] == "policy"


@pytest.mark.parametrize("name", FINISHED)
def test_an_old_finished_run_stays_finished(old: Unpack, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    folder = old(name)
    go_on(folder, [], accept_changes=False, as_json=True, quiet=True)
    found = json.loads(capsys.readouterr().out)
    assert (found["status"], found["sessions"], found["final"]) == ("finished", 1, LEDGERS[name]["final"])


@pytest.mark.parametrize("name", LEDGERS)
def test_the_config_of_an_old_run_is_the_same_config_today(old: Unpack, name: str) -> None:
    assert planned(old(name)).digest() == LEDGERS[name]["config_digest"]


@pytest.mark.parametrize("name", KILLED)
def test_an_old_run_that_was_killed_goes_on_to_the_end_it_would_have_had(
    old: Unpack, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without --accept-changes, though most operators' source is another: what was noted of it is not compared."""
    folder, twin = old(name), old(f"{name.rpartition('-')[0]}-finished")
    before = told(folder)
    go_on(folder, [], accept_changes=False, as_json=True, quiet=True)
    found = json.loads(capsys.readouterr().out)
    assert (found["status"], found["sessions"]) == ("finished", 2)
    after = told(folder)
    assert before["sets"] == after["sets"]
    assert before["records"].items() <= after["records"].items()
    assert before["asks"].items() <= after["asks"].items()
    assert {k: v for k, v in before["calls"].items() if v[0] == "finished"}.items() <= after["calls"].items()
    assert after == told(twin)
    assert found["final"] == LEDGERS[twin.name]["final"]
    ledger = Ledger.read(folder / "ledger.db")
    assert verify(ledger) == []
    ledger.close()
    # of what was made today by what it learned, else by what it was handed; an old rollout was no record
    own = LEDGERS[twin.name]["recipe"] == "grpo"
    assert {p: [] if own else ids for p, ids in pasts(folder).items()} == pasts(twin)


@pytest.mark.slow
def test_an_old_run_on_real_weights_goes_on_from_the_candidate_it_had_made(
    tmp_path: Path, old: Unpack, capsys: pytest.CaptureFixture[str]
) -> None:
    """What comes after is trained and asked on this machine, so its numbers are its own; what was there stays."""
    folder = unpack_real(tmp_path)
    before = told(folder)
    assert len([r for r in before["records"].values() if r[0] == "policy"]) == 2
    ledger = Ledger.read(folder / "ledger.db")
    assert ledger.content_digest() == REAL["content"]
    ledger.close()
    go_on(folder, [], accept_changes=False, as_json=True, quiet=True)
    found = json.loads(capsys.readouterr().out)
    assert (found["status"], found["sessions"]) == ("finished", 2)
    after = told(folder)
    assert before["records"].items() <= after["records"].items()
    assert before["asks"].items() <= after["asks"].items()
    assert {found["base"], found["rounds"][0]["gate"]["candidate"]} == {
        id for id, r in before["records"].items() if r[0] == "policy"
    }
    ledger = Ledger.read(folder / "ledger.db")
    assert verify(ledger) == []
    ledger.close()


def test_the_run_with_few_shots_was_shown_them_and_its_policies_carry_them(old: Unpack) -> None:
    ledger = Ledger.read(old("few_shots-finished") / "ledger.db")
    policies = [p for p in ledger.records("policy") if isinstance(p, Policy)]
    assert [[(m.role, m.content) for m in p.few_shots] for p in policies] == [list(SHOTS)] * 2
    ledger.close()


def test_an_old_ledger_that_lost_a_word_is_found_out(old: Unpack) -> None:
    folder = old("grpo-finished")
    with closing(sqlite3.connect(folder / "ledger.db")) as raw, raw:
        raw.execute("update records set body = replace(body, 'Answer', 'Anwser') where kind = 'solution'")
    ledger = Ledger.read(folder / "ledger.db")
    assert any("does not match its digest" in w for w in verify(ledger))
    assert ledger.content_digest() == LEDGERS["grpo-finished"]["content"]  # of what the digests say, not of the bodies
    ledger.close()
