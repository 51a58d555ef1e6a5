"""Every update of a memory, killed at many instants and resumed: the same memory, nothing half inserted, and nothing
asked twice. An instant is before or after a write to the ledger, a file put in its place or forced to the disk."""

from __future__ import annotations

import asyncio
import random
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

from instar.acquire.solutions.listen import Listen
from instar.acquire.solutions.recalling import Recalling
from instar.acquire.solutions.reflexion import Reflexion
from instar.engines.scripted.engine import ScriptedEngine
from instar.memory.kept import whole
from instar.protocols import Update
from instar.records import Experience, Mark, Message, Policy, Role, Task, mint
from instar.run.run import Run
from instar.store.verify import verify
from instar.update.memory.demonstrate import Demonstrate
from instar.update.memory.forget import Forget
from instar.update.memory.insert import Insert
from instar.update.memory.insights import Insights
from instar.update.memory.reflect import Reflect
from instar.update.memory.remember import Remember
from instar.update.memory.strengthen import Strengthen
from instar.update.memory.supersede import Supersede
from tests.run.killer import Killed, Killer
from tests.run.test_run import run_in, stored, task

SAID = (
    ("I live in Oslo.", 1.0), ("My cat is called Miso.", 1.0), ("I like tea.", 2.0), ("I live in Rome now.", 90.0),
)  # fmt: skip
UPDATES: dict[str, tuple[Update, str]] = {
    "insert": (Insert(embedder="words", longest=999), "heard"),
    "supersede": (Supersede(), "heard"),
    "strengthen": (Strengthen(), "used"),
    "forget": (Forget(days=20), "heard"),
    "reflect": (Reflect(), "heard"),
    "insights": (Insights(embedder="words", comparisons=3, group=4), "tried"),
    "remember": (Remember(embedder="words"), "tried"),
    "demonstrate": (Demonstrate(most=20), "right"),
}
OF_A_MEMORY = ("supersede", "strengthen", "forget", "reflect")
ASKING = ("reflect", "insights")


class World(NamedTuple):
    """A ledger in which people told things and sums were tried, copied for each kill."""

    folder: Path
    policies: dict[str, Policy]
    data: dict[str, Sequence[Experience]]


def told(text: str, day: float) -> Task:
    return Task(
        messages=(Message(role=Role.user, content=text),), ability="diary", canonical=text, source="test", when=day,
        who="anna",
    )  # fmt: skip


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    folder = tmp_path_factory.mktemp("world")
    run = run_in(folder, ScriptedEngine())
    asked = [told(*x) for x in (*SAID, ("What is my cat called?", 95.0), ("Where do I live?", 96.0))]
    tasks = [t.model_copy(update={"id": mint("task", "i1:t", (), 0, i)})
             for i, t in enumerate([*asked, *map(task, range(11, 19))])]  # fmt: skip
    stored(run, tasks)
    hearing, asking, sums = tasks[:4], tasks[4:6], tasks[6:]

    async def lived() -> tuple[Policy, dict[str, Sequence[Experience]]]:
        heard = await run.solve(Listen(), hearing, run.models(run.base))
        remembering = await run.update(Insert(embedder="words"), run.base, heard)
        used = await run.solve(Recalling(), asking, run.models(remembering))
        tried = await run.attempt(Reflexion(), sums, run.models(run.base))
        right = [e for e in tried if e.feedback and e.feedback.mark is Mark.right][:4]
        return remembering, {"heard": heard, "used": used, "tried": tried, "right": right}

    remembering, data = asyncio.run(lived())
    run.ledger.close()
    return World(folder, {"base": run.base, "memory": remembering}, data)


def again(folder: Path) -> Run:
    """The run of a copy, as a new process finds it."""
    return run_in(folder, ScriptedEngine())


def updated(world: World, run: Run, name: str) -> Policy:
    op, of = UPDATES[name]
    policy = world.policies["memory" if name in OF_A_MEMORY else "base"]
    models = run.models(policy) if name in ASKING else {}
    return asyncio.run(run.update(op, policy, world.data[of], models=models))


@pytest.mark.parametrize("name", UPDATES)
def test_killed_at_any_instant_it_ends_the_same(
    world: World, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends_the_same(world, tmp_path, name, Killer(monkeypatch), most=6)


@pytest.mark.nightly
@pytest.mark.parametrize("name", UPDATES)
def test_killed_at_25_instants_it_ends_the_same(
    world: World, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends_the_same(world, tmp_path, name, Killer(monkeypatch), most=25)


def ends_the_same(world: World, tmp_path: Path, name: str, killer: Killer, most: int) -> None:
    """Kill the update at so many instants by lot, each in a copy of the world, resume it, and compare."""
    shutil.copytree(world.folder, tmp_path / "whole")
    run = again(tmp_path / "whole")
    killer.passed = 0
    made = updated(world, run, name)
    instants, asks, content = killer.passed, run.generate_context.asked, run.ledger.content_digest()
    assert verify(run.ledger) == []
    assert made.made_by == name
    assert (asks > 0) is (name in ASKING)
    run.ledger.close()
    for at in sorted(random.Random(name).sample(range(instants), min(most, instants))):
        folder = tmp_path / str(at)
        shutil.copytree(world.folder, folder)
        run = again(folder)
        killer.passed, killer.at = 0, at
        with pytest.raises(Killed):
            updated(world, run, name)
        killer.at = None
        run.ledger.close()
        run = again(folder)
        kept = [p.memory for p in run.ledger.records("policy") if isinstance(p, Policy) and p.memory]
        assert all(whole(run.artefacts, root) for root in kept)  # nothing half inserted
        before = len(run.ledger.rows("journal"))
        resumed = updated(world, run, name)
        assert (resumed.id, resumed.memory) == (made.id, made.memory)
        assert run.ledger.content_digest() == content
        asked = len(run.ledger.rows("journal")) - before
        assert run.generate_context.asked == asked  # what was answered before the kill is not asked again
        run.ledger.close()
        shutil.rmtree(folder)
