"""What a policy learned is kept with it: what its update said, or all that it was handed; toward or away."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import ClassVar

import pytest

from instar.engines.scripted.engine import ScriptedEngine
from instar.protocols import Update, UpdateContext
from instar.records import Experience, Learned, Policy, hash_of
from instar.report.answers import answers
from instar.report.why import why
from instar.run.keys import call_key
from instar.run.run import Run
from instar.run.updating import replayed
from instar.scripted_world import weights_of
from instar.store.ledger import Ledger
from instar.store.roles import Update as Made_so
from instar.store.roles import roles_of
from instar.store.verify import verify
from tests.run.test_run import SAMPLE, run_in, stored, task


class Picks(Update):
    """A policy with another name for each ``sign``s it is told: it says that it learned its data with these."""

    name: ClassVar[str] = "test_picks"
    signs: tuple[int, ...] | None = None

    async def __call__(self, policy: Policy, data: Sequence[Experience], context: UpdateContext) -> Policy:
        if self.signs is not None:
            context.learned(Learned(e.id, 0, sign=s) for e, s in zip(data, self.signs, strict=False) if s)
        skills = {k: v / 2 for k, v in (policy.weights.skills or {}).items()}
        made = policy.model_copy(update={"weights": weights_of(skills, "picked"), "parent": policy.id, "id": ""})
        return made.identified()


def begun(folder: Path) -> Run:
    run = stored(run_in(folder, ScriptedEngine()), [task(i) for i in range(9)])
    run.round = 1
    return run


async def picked(run: Run, op: Picks, policy: Policy, first: int) -> tuple[list[str], Policy]:
    attempts = await run.solve(SAMPLE, [task(first)], run.models(policy))
    return [e.id for e in attempts], await run.update(op, policy, attempts)


def told(run: Run, *policies: Policy) -> list[Made_so]:
    with closing(Ledger.read(run.ledger.path)) as ledger:
        assert verify(ledger) == []
        return [roles_of(ledger).updates[p.id] for p in policies]


def test_what_an_update_says_that_it_learned_is_what_is_replayed(
    tmp_path: Path,
) -> None:
    run = begun(tmp_path)

    async def work() -> tuple[list[str], Policy, list[str], Policy]:
        return *(await picked(run, Picks(signs=(1, -1, 0)), run.base, 1)), *(await picked(run, Picks(), run.base, 2))

    some, one, handed, silent = asyncio.run(work())
    assert one.id == silent.id  # a second way to the same weights: it stands as it was made first
    (update,) = told(run, one)
    assert (update.solutions, update.away) == ((some[0],), (some[1],))
    assert [e.id for e in replayed(run.ledger, one)] == [some[0]]

    async def further() -> tuple[list[str], Policy]:
        return await picked(run, Picks(), one, 3)

    handed, two = asyncio.run(further())
    run.ledger.close()
    (update,) = told(run, two)
    assert (set(update.solutions), update.away) == (set(handed), ())
    with closing(Ledger.read(run.ledger.path)) as ledger:
        assert [e.id for e in replayed(ledger, two)] == [some[0], *update.solutions]
        rows = {r["id"]: r for r in answers(ledger, roles_of(ledger))["rows"]}
    fates = ["trained on", "trained away from", "not used"]
    assert [rows[id]["fate"] for id in some] == fates
    assert [rows[id]["learned"] for id in some] == [[{"policy": one.id, "sign": s}] for s in (1, -1)] + [[]]
    assert f"It went into the training of policy {one.id} away from it." in why(tmp_path, some[1])["sentences"]


def test_an_update_that_says_that_it_learned_nothing_learned_nothing_of_what_it_was_handed(tmp_path: Path) -> None:
    run = begun(tmp_path)
    handed, one = asyncio.run(picked(run, Picks(signs=()), run.base, 1))
    run.ledger.close()
    (update,) = told(run, one)
    assert (update.solutions, update.away, set(update.handed), update.idle) == ((), (), set(handed), True)
    with closing(Ledger.read(run.ledger.path)) as ledger:
        assert replayed(ledger, one) == []
        assert {r["fate"] for r in answers(ledger, roles_of(ledger))["rows"]} == {"not used"}
    said = " ".join(why(tmp_path, handed[0])["sentences"])
    assert f"the making, and not the training, of policy {one.id}" in said
    assert "No policy was trained on it." in said
    assert "3 answers to 1 task, on which no weight was trained" in " ".join(why(tmp_path, one.id)["sentences"])
    with closing(sqlite3.connect(run.ledger.path)) as raw, raw:
        raw.execute("update inner_steps set value = '\"other\"' where key = 'learned'")
    with closing(Ledger.read(run.ledger.path)) as ledger:
        assert any("is not what is kept of it" in w for w in verify(ledger))


@pytest.mark.parametrize(
    ("sql", "says"),
    [
        ("update learned set turn = 5", "cannot have learned turn 5"),
        ("update learned set sign = 0", "cannot have learned turn 0"),
        ("update learned set solution = (select n from records where kind = 'task')", "is said to have learned"),
        ("update learned set policy = 9999", "what is not there is said to have learned"),
        ("update learned set how = how + 2", "(2, 1)"),
    ],
)
def test_what_a_policy_cannot_have_learned_is_named(tmp_path: Path, sql: str, says: str) -> None:
    run = begun(tmp_path)
    asyncio.run(picked(run, Picks(signs=(1,)), run.base, 1))
    before = run.ledger.content_digest()
    run.ledger.close()
    with closing(sqlite3.connect(run.ledger.path)) as raw, raw:
        raw.execute(sql)
    with closing(Ledger.read(run.ledger.path)) as ledger:
        assert any(says in w for w in verify(ledger)), verify(ledger)
        assert ledger.content_digest() != before


def test_two_policies_updated_with_the_same_data_in_one_round_are_two_calls(tmp_path: Path) -> None:
    async def work(run: Run) -> tuple[list[str], list[Policy]]:
        attempts = await run.solve(SAMPLE, [task(1)], run.models(run.base))
        one = await run.update(Picks(), run.base, attempts)
        return [e.id for e in attempts], [one, *[await run.update(Picks(), p, attempts) for p in (run.base, one)]]

    found = []
    for again in (False, True):
        run = run_in(tmp_path, ScriptedEngine()) if again else begun(tmp_path)
        run.round = 1
        ids, (one, same, two) = asyncio.run(work(run))
        with closing(Ledger.read(run.ledger.path)) as ledger:
            assert verify(ledger) == []
            calls = {r["key"] for r in ledger.rows("calls") if r["item"] not in (task(1).id,)}
        run.ledger.close()
        assert (same.id, two.parent) == (one.id, one.id)
        assert two.id != one.id
        assert call_key(1, 1, Picks().op_id, ["update"], hash_of("data", ids)) in calls  # the first, as ever
        found.append((calls, two.id))
    assert len(found[0][0]) == 2
    assert found[0] == found[1]
