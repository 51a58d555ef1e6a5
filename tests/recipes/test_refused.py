"""A candidate that a gate refused is nowhere taken for the policy: not by controls, not by a round's health."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest

from instar.protocols import Update
from instar.recipes import demonstrations as shown
from instar.recipes.demonstrations import Demonstrations, demonstrations
from instar.recipes.memory_bank import MemoryBank, memory_bank
from instar.records import Policy
from instar.run.run import Run
from instar.scripted_world import base_policy
from instar.update.memory.insert import Insert
from instar.update.memory.scramble import Scramble


class Refusing:
    """A run of two rounds whose gate lets only the first ``passing`` candidates pass."""

    def __init__(self, passing: int, base: Policy) -> None:
        self.base, self.passing, self.gone_by = base, passing, 0
        self.controls: dict[str, Policy] = {}
        self.scrambled: list[str | None] = []
        self.healths: list[tuple[Any, Any]] = []
        self.tasks, self.seed, self.round = SimpleNamespace(dev=["dev"]), 0, 1
        self.alone = False

    def rounds(self, n: int) -> Sequence[int]:
        return range(2)

    def train_tasks(self) -> list[Any]:
        return []

    gate_tasks = train_tasks

    def models(self, policy: Policy) -> None: ...

    def evolved(self) -> None: ...

    async def solve(self, *_: Any, **__: Any) -> list[Any]:
        return []

    async def judge(self, *_: Any) -> list[Any]:
        return []

    async def keep(self, *_: Any) -> list[Any]:
        return ["kept"]

    async def evaluate(self, exam: Any, policy: Policy, *_: Any, **__: Any) -> str:
        return f"of {policy.id}"

    async def health(self, op: Any, tries: Any, kept: Any, before: Any, after: Any) -> None:
        self.healths.append((before, after))

    async def update(self, op: Update, policy: Policy, data: Any, title: str = "") -> Policy:
        if isinstance(op, Scramble):
            self.scrambled.append(policy.memory)
            if self.alone and op.how == "wrong":
                return policy  # as where it says NothingLearned
        memory = f"{policy.memory or ''}+{op.how if isinstance(op, Scramble) else op.name}"
        return policy.model_copy(update={"memory": memory, "id": ""}).identified()

    async def promote(self, gate: Any, exam: Any, policy: Policy, candidate: Policy, tasks: Any) -> Policy:
        self.gone_by += 1
        return candidate if self.gone_by <= self.passing else policy


BANK = MemoryBank(rounds=2, insert=Insert(embedder="words"), supersede=None, forget=None)


@pytest.mark.parametrize(("passing", "memory"), [(0, None), (1, "+insert"), (2, "+insert+insert")])
def test_controls_are_made_of_the_memory_that_was_promoted(passing: int, memory: str | None) -> None:
    run = Refusing(passing, base_policy())
    final = asyncio.run(memory_bank(cast(Run, run), BANK))
    assert final.memory == memory
    assert run.scrambled == ([memory] * 2 if memory else [])
    assert set(run.controls) == ({"wrong", "random"} if memory else set())


def test_a_control_that_is_the_real_memory_is_no_control() -> None:
    run = Refusing(2, base_policy())
    run.alone = True
    final = asyncio.run(memory_bank(cast(Run, run), BANK))
    assert final.id not in {p.id for p in run.controls.values()}
    assert set(run.controls) == {"random"}


def test_the_health_of_a_round_is_of_the_policy_that_it_ended_with(monkeypatch: pytest.MonkeyPatch) -> None:
    async def best(run: Run, cfg: Any, policy: Policy, kept: Any, before: Any) -> tuple[Any, Policy, str]:
        candidate = await run.update(cfg.show, policy, [])
        return "chosen", candidate, f"of {candidate.id}"

    monkeypatch.setattr(shown, "_best", best)
    run = Refusing(1, base_policy())
    final = asyncio.run(demonstrations(cast(Run, run), Demonstrations(rounds=2, controls=0)))
    assert run.healths == [(f"of {run.base.id}", f"of {final.id}"), (f"of {final.id}", f"of {final.id}")]
