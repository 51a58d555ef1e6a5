"""Rollouts inside an update: a policy half way through its training answers tasks and is judged; all is journalled."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from instar.errors import BudgetSpent, Cancelled, InstarError, StepFailed
from instar.legible import said
from instar.protocols import Engine, Judge, Practice, Solve
from instar.records import Experience, Policy, Solution, Task, hash_of, mint
from instar.run.asking import Asking, BoundModel
from instar.run.keys import SELF, call_key
from instar.run.mapping import STOPS_THE_RUN, is_the_runs
from instar.run.outputs import Output, fitted, only, pointed
from instar.run.stopwatch import Stopwatch
from instar.store.ledger import Ledger


@dataclass(frozen=True)
class Rollouts:
    """What the rollouts of one update call share. ``step`` and ``call`` are the keys of that call."""

    engine: Engine
    ledger: Ledger
    asking: Asking
    watch: Stopwatch
    seed: int
    round: int
    step: str
    call: str
    tolerance: float
    hear: Callable[[Sequence[Experience]], None] = lambda _: None
    """Is told what was judged, in task order."""

    async def of(self, practice: Practice, name: str, policy: Policy, tasks: Sequence[Task]) -> list[Experience]:
        """As ``protocols.Workshop.roll_out``. Raises StepFailed when more calls fail than the run tolerates."""
        _, solve, judge = practice
        keys = {
            t.id: call_key(self.seed, self.round, hash_of("rollout", self.call, name, solve.op_id), [policy.id], t.id)
            for t in tasks
        }
        if len(keys) < len(tasks):
            raise StepFailed(f"the rollout {name!r} was handed a task twice: both would have the same key.")
        asks = self.ledger.stored_asks(keys.values())
        room = asyncio.Semaphore(self.engine.concurrency)
        failures: list[BaseException] = []
        spent: list[BudgetSpent] = []
        precision = self.engine.precision_for("sample")
        tokens = 0

        async def one(task: Task) -> list[Experience]:
            nonlocal tokens
            async with room:
                if spent:
                    return []
                if self.asking.stopped.is_set():
                    raise Cancelled("the run was asked to stop.")
                model = BoundModel(policy, precision, self.step, keys[task.id], self.asking, asks)
                try:
                    return await _solved(solve, judge, task, model, name)
                except BudgetSpent as e:  # no more is begun; what is in flight is paid for and is let finish
                    spent.append(e)
                    return []
                except STOPS_THE_RUN:
                    raise
                except BaseException as e:  # a failure is data: this task is missing from the rollout
                    if is_the_runs(e):
                        raise
                    failures.append(e)
                    return []
                finally:
                    tokens += model.tokens

        try:
            with self.watch.phase("generate"):
                async with asyncio.TaskGroup() as group:
                    running = [group.create_task(one(t)) for t in tasks]
        except BaseExceptionGroup as many:
            raise _first(many) from None
        finally:
            self.watch.count("generate", tokens)
            self.engine.unload()  # training needs its memory, and the weights are other ones next time
        if spent:
            raise spent[0]
        if len(failures) > self.tolerance * len(tasks):
            raise StepFailed(
                f"{len(failures)} of {len(tasks)} calls of the rollout {name!r} failed; the first: "
                f"{said(failures[0])}; at most {self.tolerance:.0%} may fail.",
                "Mend the cause and resume: answered asks are kept.",
            ) from failures[0]
        tries = [e for done in running for e in done.result()]
        self.hear(tries)
        return tries


async def _solved(solve: Solve, judge: Judge, task: Task, model: BoundModel, name: str) -> list[Experience]:
    """One task's answers with their feedback, each with an id of its own."""
    models = {SELF: model}
    solutions = [
        fitted(s).model_copy(update={"id": mint("solution", solve.op_id, (task.id, model.policy.id, name), 0, i)})
        for i, s in enumerate(_said_where(await solve(task, models), model))
    ]
    marked = [fitted(f) for f in await judge(task, solutions, models)]
    if [f.solution for f in marked] != [s.id for s in solutions]:
        raise StepFailed(f"{judge.name} did not give one feedback for each solution, in order.")
    return [Experience(task=task, solution=s, feedback=f) for s, f in zip(solutions, marked, strict=True)]


def _said_where(solutions: Sequence[Solution], model: BoundModel) -> list[Solution]:
    """The same, each turn with the model call in which it was said, as a step's answers have it."""
    made = pointed([Output(s, ()) for s in solutions], model.given, plainly=False)
    return only(Solution, [o.record for o in made])


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The one error to show: what stops the run before what merely followed from it."""
    flat = [e for e in group.exceptions if not isinstance(e, BaseExceptionGroup)]
    return min(flat, key=lambda e: (isinstance(e, Cancelled), not isinstance(e, InstarError)))
