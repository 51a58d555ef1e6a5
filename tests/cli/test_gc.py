"""``instar gc``: what goes, what must stay, and that nothing goes unasked."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from instar.app.storage import retention
from instar.app.storage.paths import artefacts, runs_folder
from instar.records import KINDS, Check, Policy, Record, Verdict, Weights
from instar.store.artefacts import Artefacts
from instar.store.door import open_ledger
from instar.store.ledger import Ledger, Made
from instar.store.lock import WriterLock
from instar.store.reach import reaching
from tests.fixtures.ledgers.old import unpack
from tests.store.test_reach import Duel


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Artefacts:
    monkeypatch.setenv("INSTAR_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("INSTAR_HOME", str(tmp_path / "home"))
    return artefacts()


def weights(store: Artefacts, words: str) -> str:
    folder = store.root / f"made-{words}"
    folder.mkdir()
    (folder / "model.safetensors").write_text(words)
    return store.put(folder)


def policy(digest: str, parent: str | None) -> Policy:
    return Policy(weights=Weights(place="artefact", digest=digest), parent=parent).identified()


def make_run(store: Artefacts, name: str, *, finished: bool = True) -> dict[str, str]:
    """A run of base -> passed (promoted) -> final (promoted), with a refused candidate and a control."""
    folder = runs_folder() / name
    folder.mkdir(parents=True)
    digests = {k: weights(store, f"{name} {k}") for k in ("base", "passed", "final", "refused", "control")}
    base = policy(digests["base"], None)
    others = {k: policy(digests[k], base.id) for k in ("passed", "final", "refused", "control")}

    def verdict(k: str, promoted: bool) -> Record:
        check = Check(name="x", passed=promoted, reason="r")
        return Verdict(id=f"i1:{name}{k}", incumbent=base.id, candidate=others[k].id, incumbent_report="a",
                       candidate_report="b", promoted=promoted, checks=(check,), reason="r")  # fmt: skip

    ledger = Ledger(folder / "ledger.db")
    records = [base, *others.values(), verdict("passed", True), verdict("refused", False)]
    ledger.add_records([Made(r, "op", 0, i) for i, r in enumerate(records)])
    if finished:
        result = {"base": base.id, "final": others["final"].id, "controls": {"unverified": others["control"].id}}
        ledger.set_about(result=json.dumps(result))
    ledger.close()
    return digests


def going(found: retention.Sweep) -> set[str]:
    return {x.path.name for x in found.gone if x.kind == "weights"}


def test_only_what_was_refused_goes(store: Artefacts) -> None:
    d = make_run(store, "one")
    assert going(retention.sweep()) == {d["refused"]}


def test_looking_removes_nothing_and_removing_removes_just_that(store: Artefacts) -> None:
    d = make_run(store, "one")
    found = retention.sweep()
    assert all(store.has(x) for x in d.values())
    assert retention.remove(found) == found.bytes > 0
    assert [k for k, x in d.items() if not store.has(x)] == ["refused"]
    store.open(d["final"])  # still whole
    assert retention.sweep().gone == ()


def test_weights_another_run_ended_with_stay(store: Artefacts) -> None:
    d = make_run(store, "one")
    folder = runs_folder() / "two"
    folder.mkdir()
    ledger = Ledger(folder / "ledger.db")
    final = policy(d["refused"], None)
    ledger.add_records([Made(final, "op", 0, 0)])
    ledger.set_about(result=json.dumps({"base": final.id, "final": final.id}))
    ledger.close()
    assert going(retention.sweep()) == set()


def test_an_unfinished_run_and_one_at_work_keep_everything(store: Artefacts) -> None:
    make_run(store, "half", finished=False)
    found = retention.sweep()
    assert going(found) == set()
    assert "half is not finished" in found.kept[0]
    d = make_run(store, "one")
    with WriterLock(runs_folder() / "one" / "lock"):
        assert going(retention.sweep()) == set()
    assert going(retention.sweep()) == {d["refused"]}


def test_nothing_is_removed_from_under_a_run_that_began_after_the_look(store: Artefacts) -> None:
    d = make_run(store, "one")
    found = retention.sweep()
    with WriterLock(runs_folder() / "one" / "lock"):
        assert retention.remove(found) == 0
    assert store.has(d["refused"])


def test_a_ledger_that_cannot_be_read_stops_all_removal_of_weights(store: Artefacts) -> None:
    make_run(store, "one")
    broken = runs_folder() / "broken"
    broken.mkdir()
    (broken / "ledger.db").write_text("this is no database, but it may have been one" * 100)
    found = retention.sweep(orphans=True)
    assert going(found) == set()
    assert "broken cannot be read" in found.kept[0]


def test_weights_of_no_run_here_stay_unless_asked_for_and_models_stay_always(store: Artefacts) -> None:
    stranger, model = weights(store, "stranger"), weights(store, "model")
    place = store.root.parent / "models"
    place.mkdir()
    (place / "mine.json").write_text(json.dumps({"model": "mine", "digest": model}))
    assert going(retention.sweep()) == set()
    assert going(retention.sweep(orphans=True)) == {stranger}


def test_scratch_of_dead_processes_goes_and_of_living_ones_stays(store: Artefacts) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    for pid in (dead.pid, os.getpid()):
        (store.root / f".new-{pid}-0a1b2c3d").mkdir()
    make_run(store, "half", finished=False)
    scratch = runs_folder() / "half" / "scratch" / "abc"
    for name in (f"writing-{dead.pid}", f"writing-{os.getpid()}", "checkpoint-4"):
        (scratch / name).mkdir(parents=True)
        (scratch / name / "x").write_text("x")
    names = {x.path.name for x in retention.sweep().gone}
    assert names == {f".new-{dead.pid}-0a1b2c3d", f"writing-{dead.pid}"}


def test_scratch_of_a_finished_run_goes_whole(store: Artefacts) -> None:
    make_run(store, "one")
    (runs_folder() / "one" / "scratch" / "x").mkdir(parents=True)
    found = retention.sweep()
    assert [x.path.name for x in found.gone if x.kind == "scratch"] == ["scratch"]
    retention.remove(found)
    assert not (runs_folder() / "one" / "scratch").exists()


def test_a_removal_that_was_cut_short_is_finished_by_the_next(store: Artefacts) -> None:
    digest = weights(store, "x")
    away = store.place(digest).with_name(".gone-abc-1")
    shutil.move(store.place(digest), away)
    assert [x.path for x in retention.sweep().gone] == [away]


def test_weights_that_another_record_than_a_policy_needs_stay(
    store: Artefacts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(KINDS, "duel", Duel)
    reaching.cache_clear()
    d = make_run(store, "one")
    prize, opponent = weights(store, "prize"), weights(store, "opponent")
    duel = Duel(id="i1:duel", prize=Weights(place="artefact", digest=prize), opponent=policy(opponent, None))
    with closing(open_ledger(runs_folder() / "one" / "ledger.db", "write")) as ledger:
        ledger.add_records([Made(duel, "op", 0, 0)])
    found = retention.sweep(orphans=True)
    reaching.cache_clear()
    assert going(found) == {d["refused"]}


def test_weights_that_a_kept_policy_names_as_adapter_or_memory_stay(store: Artefacts) -> None:
    adapter, memory = weights(store, "adapter"), weights(store, "memory")
    folder = runs_folder() / "one"
    folder.mkdir(parents=True)
    base = Policy(
        weights=Weights(place="scripted", digest="s"), adapters={"judge": adapter}, memory=f"table@{memory}"
    ).identified()
    ledger = Ledger(folder / "ledger.db")
    ledger.add_records([Made(base, "op", 0, 0)])
    ledger.set_about(result=json.dumps({"base": base.id, "final": base.id}))
    ledger.close()
    assert going(retention.sweep(orphans=True)) == set()


@pytest.fixture
def migrated(store: Artefacts) -> Path:
    """A finished run of schema 1 that was brought up to date, so that a copy lies beside its ledger."""
    folder = unpack("refused-finished", runs_folder())
    open_ledger(folder / "ledger.db", "write").close()
    return folder / "ledger.db.schema-1"


def copies() -> list[Path]:
    return [x.path for x in retention.sweep().gone if x.kind == "copy"]


def test_the_copy_of_an_older_ledger_goes_when_its_run_is_finished_and_verifies(migrated: Path) -> None:
    half = migrated.with_name(f"{migrated.name}.part")
    half.write_text("half a copy")
    (other := migrated.with_name("ledger.db.schema-mine")).write_text("somebody's own")
    found = retention.sweep()
    assert [x.path for x in found.gone if x.kind == "copy"] == [migrated, half]
    assert migrated.exists()
    assert retention.remove(found) >= found.gone[0].bytes > 0
    assert [migrated.exists(), half.exists(), other.exists()] == [False, False, True]
    assert copies() == []


def test_the_copy_stays_while_it_may_be_the_way_back(migrated: Path) -> None:
    with WriterLock(migrated.parent / "lock"):
        assert copies() == []
    with closing(sqlite3.connect(migrated.with_name("ledger.db"))) as raw, raw:
        raw.execute("update records set body = replace(body, 'Answer', 'Anwser') where kind = 'solution'")
    assert copies() == []
    assert any("ledger.db.schema-1 of the run" in n and "does not verify" in n for n in retention.sweep().kept)
    with closing(sqlite3.connect(migrated.with_name("ledger.db"))) as raw, raw:
        raw.execute("delete from about where key = 'result'")
    assert any("schema-1 of the run" in n and "is not finished" in n for n in retention.sweep().kept)
