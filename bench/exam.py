"""Whole model folders on the same tasks, by one engine at one precision: what a row of gains is decided on."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from instar.acquire.feedback.verify import Verify
from instar.acquire.solutions.sample import Sample
from instar.engines.openvino.engine import OpenVinoEngine
from instar.errors import StoreError
from instar.evaluate.eval import Eval
from instar.protocols import Engine
from instar.records import Experience, Message, Policy, Reply, Report, Sampling, Task, Weights

EXAM = Eval(solve=Sample(samples=1, sampling=Sampling(temperature=0.0, max_tokens=48)), judge=Verify())


class Folders:
    """An artefact store of model folders, by the names that the caller gave them."""

    def __init__(self, folders: Mapping[str, Path]) -> None:
        self.folders = dict(folders)

    def put(self, folder: Path, *, about: Mapping[str, Any] | None = None) -> str:
        raise StoreError("a bench only reads weights: nothing is put into this store.")

    def open(self, digest: str) -> Path:
        return self.folders[digest]

    def has(self, digest: str) -> bool:
        return digest in self.folders

    def lend(self, digest: str, folder: Path) -> AbstractContextManager[None]:
        raise StoreError("a bench only reads weights: nothing is put into this store.")


class _Asked:
    """A model of the engine at the exam's precision, greedy: there is no seed to choose."""

    def __init__(self, engine: Engine, policy: Policy) -> None:
        self.engine, self.policy = engine, policy

    async def ask(self, messages: Sequence[Message], *, n: int = 1, sampling: Sampling) -> list[Reply]:
        precision = self.engine.precision_for("exam")
        return await self.engine.ask(self.policy, messages, n=n, sampling=sampling, seed=0, precision=precision)


def examine(folders: Mapping[str, Path], tasks: Sequence[Task], system: str | None) -> dict[str, Report]:
    """The report of each folder's weights on these tasks, greedy, f32, as ``instar run`` examines."""
    tasks = [t.model_copy(update={"id": f"task {i}"}) for i, t in enumerate(tasks)]  # drawn, not yet in a ledger
    with tempfile.TemporaryDirectory(prefix="instar-bench-") as scratch:
        engine = OpenVinoEngine(Folders(folders), Path(scratch))
        try:
            return {name: asyncio.run(_examine(engine, name, tasks, system)) for name in folders}
        finally:
            engine.close()


async def _examine(engine: Engine, name: str, tasks: Sequence[Task], system: str | None) -> Report:
    policy = Policy(weights=Weights(place="artefact", digest=name, name=name), system=system).identified()
    model = _Asked(engine, policy)

    async def one(task: Task) -> Experience:
        (made,) = await EXAM.solve(task, {"self": model})
        solution = made.model_copy(update={"id": f"s:{name}:{task.id}"})
        (said,) = await EXAM.judge(task, [solution], {"self": model})
        return Experience(task=task, solution=solution, feedback=said.model_copy(update={"id": f"f:{solution.id}"}))

    tries = await asyncio.gather(*(one(t) for t in tasks))
    what = EXAM.describe("sealed", tasks, engine.name, engine.precision_for("exam"))
    return EXAM.report(policy.id, what, list(tries), tasks)
