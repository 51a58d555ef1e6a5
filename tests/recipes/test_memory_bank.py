"""MemoryBank on the scripted model: it remembers, wrong and random memories do not help, and a kill changes nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import pytest

from instar.app.storage.paths import artefacts
from instar.memory import kept
from instar.records import Policy
from instar.store.ledger import Ledger
from tests.recipes.killing import ends_the_same_when_killed
from tests.recipes.scripted import content, instar

SETS = (
    "model=scripted", 'tasks={op="diaries", users=4}', "sizes.train=268", "sizes.gate=30", "sizes.sealed=40",
    "insert.embedder=words", "audit_with=none",
)  # fmt: skip


def run(runs: Path, name: str, *sets: str) -> dict[str, Any]:
    options = [o for s in (*SETS, *sets) for o in ("--set", s)]
    done = instar("run", "memory_bank", "--name", name, "--json", "--quiet", *options, runs=runs)
    return cast(dict[str, Any], json.loads(done.stdout))


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("work") / "runs"


@pytest.fixture(scope="module")
def undisturbed(runs: Path) -> dict[str, Any]:
    return run(runs, "undisturbed")


def test_it_answers_what_it_was_told_and_no_other_memory_does(undisturbed: dict[str, Any]) -> None:
    sealed = undisturbed["sealed"]
    assert (sealed["base"], sealed["final"] > 0.85) == (0, True)
    assert {name: c["score"] < 0.1 for name, c in sealed["controls"].items()} == {"wrong": True, "random": True}


def test_what_changed_is_superseded_and_the_memory_is_whole(
    runs: Path, undisturbed: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INSTAR_HOME", str(runs.parent / "home"))
    ledger = Ledger.read(runs / "undisturbed" / "ledger.db")
    (final,) = [cast(Policy, p) for p in ledger.records("policy") if p.id == undisturbed["final"]]
    ledger.close()
    memory = kept.read(artefacts(), final.memory or "")
    old = [n for n in memory.notes.values() if memory.state(n.id).superseded_by]
    assert len(old) == 20
    assert all(memory.notes[memory.state(n.id).superseded_by or ""].text.endswith("now.") for n in old)
    assert content(runs, "undisturbed")  # it verifies


def test_the_commands_list_search_and_explain_what_is_remembered(runs: Path, undisturbed: dict[str, Any]) -> None:
    def told(*args: str) -> Any:
        return json.loads(instar("memory", *args, "--json", runs=runs).stdout)

    live, all_of_it = told("list", "undisturbed"), told("list", "undisturbed", "--all")
    assert (len(live), len(all_of_it)) == (248, 268)
    gone = next(r for r in all_of_it if r["state"] != "holds")
    asked = next(r for r in live if r["text"].startswith("My cat is called"))
    (found,) = told("search", "undisturbed", "What is my cat called?", "-k", "1", "--who", asked["who"])
    assert (found["id"], found["text"]) == (asked["id"], asked["text"])
    why = told("why", "undisturbed", gone["id"].split(":")[-1][:12])
    assert why["made_from"][0]["text"] == why["note"]["text"] == gone["text"]
    instar("memory", "export", "undisturbed", str(runs / "notes.jsonl"), runs=runs)
    assert len((runs / "notes.jsonl").read_text().splitlines()) == 268
    refused = instar("memory", "list", "undisturbed:base", runs=runs, check=False)
    assert (refused.returncode, "has no memory" in refused.stderr) == (2, True)


@pytest.mark.parametrize(
    ("how", "flips", "held"),
    [("facts", "fenced", "trusted notes only"), ("orders", "no protection", "fenced, trusted notes only")],
)
def test_planted_notes_flip_answers_and_what_protects_a_memory_lowers_the_share(
    runs: Path, undisturbed: dict[str, Any], how: str, flips: str, held: str
) -> None:
    kept_there = sorted((runs.parent / "home" / "artefacts").glob("??/*"))
    before = (runs / "undisturbed" / "ledger.db").read_bytes()
    args = ("memory", "attack", "undisturbed", "--notes", "60", "--how", how, "--tasks", "24", "--json")
    found = json.loads(instar(*args, runs=runs).stdout)
    rows = {r["protection"]: r for r in found["rows"]}
    assert (found["suite"], found["notes"], len(rows)) == ("attack:memory", 248, 4)
    assert 30 <= found["planted"] <= 60
    assert rows[flips]["flipped"] > 0.1
    assert rows[held]["flipped"] == 0
    assert all(r["low"] <= r["flipped"] <= r["high"] for r in rows.values())
    assert rows[held]["right"] == rows[held]["under_attack"] > 0.8  # what was told stays trusted
    assert (runs / "undisturbed" / "ledger.db").read_bytes() == before
    assert sorted((runs.parent / "home" / "artefacts").glob("??/*")) == kept_there  # no poison is left
    assert found in json.loads(instar("show", "undisturbed", "--json", runs=runs).stdout)["attacks"]
    assert f"{found['planted']} {how} planted beside 248 notes" in instar("show", "undisturbed", runs=runs).stdout
    instar("report", "undisturbed", "--out", str(runs / f"{how}.html"), runs=runs)
    page = (runs / f"{how}.html").read_text()
    assert "How far its memory can be poisoned" in page
    assert f"{found['planted']} {how} planted beside 248 notes" in page


def test_a_policy_without_a_memory_cannot_be_attacked(runs: Path, undisturbed: dict[str, Any]) -> None:
    for args, why in ((("undisturbed:base",), "no policy of a run with a memory"),
                      (("undisturbed", "--how", "songs"), "are not known")):  # fmt: skip
        refused = instar("memory", "attack", *args, runs=runs, check=False)
        assert (refused.returncode, why in refused.stderr) == (2, True)


@pytest.mark.slow
def test_killed_in_the_middle_it_ends_the_same(runs: Path, undisturbed: dict[str, Any]) -> None:
    ends_the_same_when_killed(runs, "memory_bank", SETS, undisturbed, at=(100, 290, 340), common=())
