"""References of an update: handed over by name, in the lineage, and nothing of an update without any is other."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import pytest

from instar.engines.scripted.engine import ScriptedEngine
from instar.errors import StepFailed, StoreError
from instar.protocols import Update, UpdateContext
from instar.records import Experience, Policy, Weights, hash_of
from instar.report.why import why
from instar.run.keys import call_key
from instar.run.run import Run
from instar.scripted_world import weights_of
from instar.store.ledger import Made
from instar.store.readers.lineage import references
from instar.store.verify import verify
from instar.update.weights.sft import SFT
from tests.run.test_run import SAMPLE, run_in, stored, task


class Between(Update):
    """Half way between the policy and its reference "anchor", skill by skill; without one, ten percent better."""

    name: ClassVar[str] = "test_between"
    handed: ClassVar[list[Mapping[str, Policy]]] = []
    remembered: ClassVar[list[int]] = []

    async def __call__(self, policy: Policy, data: Sequence[Experience], context: UpdateContext) -> Policy:
        self.handed.append(context.references)
        self.remembered.append(len(context.ancestors(policy)))
        own = dict(policy.weights.skills or {})
        anchor = context.references.get("anchor")
        other = dict(anchor.weights.skills or {}) if anchor else {k: v * 1.2 for k, v in own.items()}
        skills = {k: (v + other.get(k, v)) / 2 for k, v in own.items()}
        made = policy.model_copy(update={"weights": weights_of(skills, "between"), "parent": policy.id, "id": ""})
        return made.identified()


def begun(folder: Path) -> Run:
    folder.mkdir(parents=True, exist_ok=True)
    Between.handed.clear()
    Between.remembered.clear()
    run = stored(run_in(folder, ScriptedEngine()), [task(i) for i in range(9)])
    run.round = 1
    return run


async def _trained(run: Run, first: int, n: int = 3) -> Policy:
    attempts = await run.solve(SAMPLE, [task(i) for i in range(first, first + n)], run.models(run.base))
    return await run.update(SFT(epochs=1), run.base, attempts)


def _item_of(run: Run) -> list[str]:
    steps = {s["key"] for s in run.ledger.rows("steps") if s["verb"] == "update"}
    return [c["item"] for c in run.ledger.rows("calls") if c["step"] in steps]


def test_an_update_without_references_has_the_item_the_key_and_the_parents_it_had(tmp_path: Path) -> None:
    run = begun(tmp_path)

    async def work() -> tuple[list[Experience], Policy]:
        attempts = await run.solve(SAMPLE, [task(1)], run.models(run.base))
        return attempts, await run.update(Between(), run.base, attempts)

    attempts, made = asyncio.run(work())
    item = hash_of("data", [e.id for e in attempts])
    assert _item_of(run) == [item]
    (call,) = (c for c in run.ledger.rows("calls") if c["item"] == item)
    assert call["key"] == call_key(1, 1, Between().op_id, ["update"], item)
    assert set(run.ledger.parents([made.id])[made.id]) == {run.base.id, task(1).id, *(e.id for e in attempts)}
    assert Between.handed == [{}]
    assert references(run.ledger) == frozenset()


def test_references_reach_the_update_by_name_and_are_what_it_was_made_from(tmp_path: Path) -> None:
    run = begun(tmp_path)

    async def work() -> tuple[Policy, Policy, Policy]:
        other = await _trained(run, 0)
        attempts = await run.solve(SAMPLE, [task(7)], run.models(run.base))
        held = await run.update(Between(), run.base, attempts, references={"anchor": other, "start": run.base})
        free = await run.update(Between(), run.base, attempts)
        return other, held, free

    other, held, free = asyncio.run(work())
    assert [dict(h) for h in Between.handed] == [{"anchor": other, "start": run.base}, {}]
    assert held.id != free.id
    assert other.id in run.ledger.parents([held.id])[held.id]
    assert other.id not in run.ledger.parents([free.id])[free.id]
    assert references(run.ledger) == {(held.id, other.id)}  # the base is what it was made from
    assert verify(run.ledger) == []
    run.ledger.close()
    sentences = why(tmp_path, held.id)["sentences"]
    assert f"It was held against policy {other.id} while it was made." in sentences
    assert not any("held against" in s for s in why(tmp_path, free.id)["sentences"])


def test_another_reference_is_another_call_and_the_same_one_is_replayed(tmp_path: Path) -> None:
    run = begun(tmp_path)

    async def work() -> list[Policy]:
        one, two = await _trained(run, 0), await _trained(run, 3, n=1)
        assert one.id != two.id
        attempts = await run.solve(SAMPLE, [task(7)], run.models(run.base))
        return [
            await run.update(Between(), run.base, attempts, references={name: p})
            for name, p in (("anchor", one), ("anchor", two), ("other", one), ("anchor", one))
        ]

    made = asyncio.run(work())
    assert len(Between.handed) == 3  # the fourth is the first
    assert made[3] == made[0]
    assert len({p.id for p in made}) == 3
    again = run_in(tmp_path, ScriptedEngine())
    again.round = 1

    async def resumed() -> Policy:
        one = await _trained(again, 0)
        attempts = await again.solve(SAMPLE, [task(7)], again.models(again.base))
        return await again.update(Between(), again.base, attempts, references={"anchor": one})

    assert asyncio.run(resumed()) == made[0]
    assert len(Between.handed) == 3
    assert again.generate_context.asked == 0


def test_what_a_reference_learned_from_is_not_what_its_policy_learned_from(tmp_path: Path) -> None:
    run = begun(tmp_path)

    async def work() -> None:
        other = await _trained(run, 0)
        attempts = await run.solve(SAMPLE, [task(7)], run.models(run.base))
        held = await run.update(Between(), run.base, attempts, references={"anchor": other})
        more = await run.solve(SAMPLE, [task(8)], run.models(run.base))
        await run.update(Between(), held, more)

    asyncio.run(work())
    assert Between.remembered == [0, SAMPLE.samples]  # of task 7, and none of the three tasks of the reference


def test_a_reference_that_the_run_does_not_have_is_refused_before_the_update_works(tmp_path: Path) -> None:
    run = begun(tmp_path)
    stranger = run.base.model_copy(update={"system": "Be rude."}).identified()
    for policy, said in ((stranger, stranger.id), (run.base.model_copy(update={"id": ""}), "without an id")):
        with pytest.raises(StepFailed, match=f"the reference 'anchor' is the policy .*{said}"):
            asyncio.run(_with(run, policy))
    assert Between.handed == []


def test_a_reference_whose_weights_are_gone_is_refused(tmp_path: Path) -> None:
    run = begun(tmp_path)
    lost = Policy(weights=Weights(place="artefact", digest="ab" * 32)).identified()
    run.ledger.add_records([Made(lost, hash_of("model", "lost"), 0, 1)])
    with pytest.raises(StoreError, match="the reference 'anchor' needs the artefact abababababab, which is gone"):
        asyncio.run(_with(run, lost))
    assert Between.handed == []


async def _with(run: Run, reference: Policy) -> Policy:
    attempts = await run.solve(SAMPLE, [task(7)], run.models(run.base))
    return await run.update(Between(), run.base, attempts, references={"anchor": reference})
