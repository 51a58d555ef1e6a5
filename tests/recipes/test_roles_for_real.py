"""Two adapters on the real model's weights: each role its own, killed between the roles, and resumed to the same."""

from __future__ import annotations

import asyncio
import shutil
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import pytest

from instar.acquire.solutions.sample import Sample
from instar.answers import solution_of
from instar.app.storage.paths import artefacts, home
from instar.app.weights.models import obtain
from instar.engines.hf.engine import TransformersEngine
from instar.engines.native import build
from instar.engines.native.engine import NativeEngine
from instar.engines.scheduler.local import LocalEngine
from instar.engines.scripted.engine import ScriptedEngine
from instar.errors import StoreError
from instar.protocols import Engine, Models, Solve
from instar.records import Experience, Finish, Policy, Sampling, Solution, Task, Turn, TurnKind
from instar.run.budget import Budget, BudgetTracker
from instar.run.generate import GenerateContext
from instar.run.progress import Screen
from instar.run.run import Run, Sets
from instar.run.stopwatch import Stopwatch
from instar.store.ledger import Ledger, Made
from instar.update.weights.adapter_sft import AdapterSFT
from instar.update.weights.trainer.model import Lora
from tests.run.test_run import task

pytestmark = pytest.mark.slow

GREEDY = Sampling(temperature=0.0, max_tokens=6)
TASKS = [task(i) for i in range(6)]
SAYS = {"self": "Blue.", "partner": "Seven."}
"""What each role is trained to say, whatever it is asked."""
TRAIN = AdapterSFT(
    learning_rate=1e-2, epochs=6, batch_size=3, precision="float32",
    lora=Lora(rank=4, target_modules=("q_proj", "v_proj")),
)  # fmt: skip


class Relayed(Solve):
    """The partner speaks, then "self"."""

    name: ClassVar[str] = "relayed_for_real"
    breaks: ClassVar[int] = 1000
    calls: ClassVar[int] = 0

    async def __call__(self, task: Task, models: Models) -> Sequence[Solution]:
        (hint,) = await models["partner"].ask(task.messages, n=1, sampling=GREEDY)
        type(self).calls += 1
        if self.calls > self.breaks:
            raise StoreError("pulled the plug")
        (reply,) = await models["self"].ask(task.messages, n=1, sampling=GREEDY)
        heard = Turn(kind=TurnKind.partner, text=hint.text, train=False, said=hint.said)
        own = solution_of(task, reply, GREEDY)
        return [own.model_copy(update={"turns": (heard, *own.turns)})]


def run_in(folder: Path, engine: Engine, base: Policy) -> Run:
    folder.mkdir(exist_ok=True)
    ledger = Ledger(folder / "ledger.db")
    ledger.add_records([Made(base, "start", 0, 0)])
    budget_tracker = BudgetTracker(Budget(), folder)
    return Run(
        ledger=ledger, engine=engine, artefacts=artefacts(),
        generate_context=GenerateContext(engine, ledger, budget_tracker, asyncio.Event()),
        budget_tracker=budget_tracker, screen=Screen("silent"), watch=Stopwatch(), stop=threading.Event(),
        folder=folder, seed=1, base=base, tasks=Sets((), (), (), ()),
    )  # fmt: skip


def taught(answer: str) -> list[Experience]:
    """Rows that say this, whatever was asked."""
    sample = Sample(samples=1, sampling=GREEDY)
    return [
        Experience(
            task=t,
            solution=Solution(
                id=f"i1:{i}", task=t.id, turns=(Turn(text=answer),), policy="p", engine="e", precision="f32",
                sampling=sample.sampling, finish=Finish.stop,
            ),
        )
        for i, t in enumerate(TASKS)
    ]  # fmt: skip


async def both_roles(run: Run) -> Policy:
    policy = run.base
    for role, answer in SAYS.items():
        op = TRAIN.model_copy(update={"role": role})
        policy = await run.update(op, policy, taught(answer))
    return policy


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Policy, Policy]:
    """The run that made them, its base, and the policy with both adapters."""
    base = obtain("smollm2-135m", home=home(), artefacts=artefacts(), system=None, say=print)
    folder = tmp_path_factory.mktemp("trained")
    run = run_in(folder, ScriptedEngine(), base)
    policy = asyncio.run(both_roles(run))
    run.ledger.close()
    return folder, base, policy


@pytest.mark.parametrize("kind", [NativeEngine, TransformersEngine], ids=lambda k: k.name)
def test_two_adapters_on_the_real_weights_are_killed_between_the_roles_and_end_the_same(
    kind: type[LocalEngine], trained: tuple[Path, Policy, Policy], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if kind is NativeEngine and (missing := build.why_not()) is not None:
        pytest.skip(missing)
    made_in, base, policy = trained
    assert policy.weights == base.weights
    assert set(policy.adapters) == set(SAYS)
    engine = kind(artefacts(), cache_gb=0.5)

    def solve(name: str, breaks: int = 1000) -> tuple[list[Experience], Run]:
        monkeypatch.setattr(Relayed, "calls", 0)
        monkeypatch.setattr(Relayed, "breaks", breaks)
        run = run_in(tmp_path / name, engine, base)
        try:
            return asyncio.run(run.solve(Relayed(), TASKS, run.models(policy, partner=policy))), run
        finally:
            run.ledger.close()

    try:
        for name in ("whole", "killed"):
            shutil.copytree(made_in, tmp_path / name)
        tries, whole = solve("whole")
        for e in tries:
            assert [t.text.strip() for t in e.solution.turns] == [SAYS["partner"], SAYS["self"]]
        assert engine.resident_max == 2
        with pytest.raises(StoreError, match="pulled the plug"):
            solve("killed", breaks=3)
        again, resumed = solve("killed")
        assert resumed.generate_context.replayed >= 3
        assert resumed.generate_context.asked < whole.generate_context.asked
        assert again == tries
    finally:
        engine.close()
