"""A model scores answers inside an operator: as its engine does, once, and with the weights of its role."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from instar.acquire.solutions.best_of import BestOf
from instar.engines.native import build
from instar.engines.native.engine import NativeEngine
from instar.errors import StoreError
from instar.records import Message, Policy, Reply, Role, Sampling, Solution, Task, hash_of, mint
from instar.run.run import Run
from instar.store.ledger import Made
from instar.store.readers.exchanges import exchange
from tests.engines.tiny import FolderStore, make_model, policy_of
from tests.run.test_run import run_in

OP = BestOf(samples=4, sampling=Sampling(temperature=1.0, max_tokens=8))
BASE, VERIFIER = policy_of("tiny"), policy_of("other")


def task(i: int) -> Task:
    made = Task(
        messages=(Message(role=Role.user, content=f"what is {i} {i + 1} ?"),), ability="add", canonical=str(i),
        source="test",
    )  # fmt: skip
    return made.model_copy(update={"id": mint("task", "i1:t", (), 0, i)})


TASKS = [task(i) for i in range(3)]


def begun(folder: Path, engine: NativeEngine, *, new: bool = True) -> Run:
    run = run_in(folder, engine)  # type: ignore[arg-type]
    run.base, run.round = BASE, 1
    if new:
        run.ledger.add_sets(
            [Made(t, "i1:t", 0, i) for i, t in enumerate(TASKS)], [("train", i, t.id) for i, t in enumerate(TASKS)]
        )
        run.ledger.add_records([Made(p, hash_of("model", p.id), 0, i) for i, p in enumerate((BASE, VERIFIER))])
    return run


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> NativeEngine:
    if missing := build.no_processor():
        pytest.skip(missing)  # as all tests of this engine
    if missing := build.why_not():
        pytest.fail(missing)
    root = tmp_path_factory.mktemp("models")
    make_model(root / "tiny", seed=0)
    make_model(root / "other", seed=1)
    return NativeEngine(FolderStore(root), cache_gb=0.1)


async def solved(run: Run, tasks: Sequence[Task] = TASKS) -> list[Solution]:
    models = run.models(BASE, verifier=VERIFIER, reference=BASE)
    return [e.solution for e in await run.solve(OP, tasks, models)]


def test_the_answer_that_the_verifier_learned_to_prefer_is_taken_at_its_whole_price(
    tmp_path: Path, engine: NativeEngine
) -> None:
    run = begun(tmp_path, engine)
    taken = asyncio.run(solved(run))

    async def ratios(solution: Solution) -> tuple[list[float], list[Reply]]:
        said = solution.turns[0].said
        assert said is not None
        asked = exchange(run.ledger, said.exchange)
        assert asked.messages is not None
        scores = [
            await engine.score(p, asked.messages, asked.replies, precision=asked.precision) for p in (VERIFIER, BASE)
        ]
        return [math.fsum(a) - math.fsum(b) for a, b in zip(*scores, strict=True)], list(asked.replies)

    for solution in taken:
        found, replies = asyncio.run(ratios(solution))
        said = solution.turns[0].said
        assert said is not None
        spoken = [i for i, r in enumerate(replies) if r.text.strip()]
        assert said.reply == max(spoken, key=lambda i: found[i])
        written = sum(r.tokens for r in replies)
        assert solution.tokens == written + 2 * (replies[0].prompt_tokens + written)


def test_a_kill_between_two_scorings_repeats_only_the_one_in_flight(
    tmp_path: Path, engine: NativeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    real = engine.score

    async def watched(policy: Policy, *args: Any, **kwargs: Any) -> list[list[float]]:
        asked.append(policy.id)
        if asked == [VERIFIER.id, BASE.id]:
            raise StoreError("pulled the plug")
        return await real(policy, *args, **kwargs)

    monkeypatch.setattr(engine, "score", watched)
    with pytest.raises(StoreError, match="pulled the plug"):
        asyncio.run(solved(begun(tmp_path, engine), TASKS[:1]))
    again = begun(tmp_path, engine, new=False)
    (taken,) = asyncio.run(solved(again, TASKS[:1]))
    assert asked == [VERIFIER.id, BASE.id, BASE.id]
    assert again.generate_context.asked == 0
    other = tmp_path / "other"
    other.mkdir()
    assert asyncio.run(solved(begun(other, engine), TASKS[:1])) == [taken]
