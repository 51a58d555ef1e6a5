"""Rollouts inside an update: a policy half way through its training answers tasks and is judged; each task is a call.

A rollout is a step of its own (``rollout``), whose calls are committed one by one like those of any other: what was
judged before a kill is not judged again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

from instar.errors import StepFailed
from instar.protocols import Engine, Judge, Models, RolloutPrompts, Solve, Update, identity
from instar.records import Experience, Policy, Record, Reply, Solution, Task, hash_of, mint
from instar.run.attempting import experiences_of
from instar.run.generate import BoundModel, GenerateContext, Handle
from instar.run.keys import SELF, call_key, step_key
from instar.run.mapping import Item, Step
from instar.run.outputs import Output, Rolled, fitted, only, pointed
from instar.run.progress import Screen
from instar.run.stopwatch import Stopwatch
from instar.store.ledger import Ledger, Made
from instar.store.readers.lineage import kinds
from instar.store.readers.rollouts import made_in, over

Work = Callable[[Models], Awaitable[Sequence[Output]]]


@dataclass(frozen=True)
class Rollouts:
    """What the rollouts of one update call share. ``call`` is what their keys hang on."""

    engine: Engine
    ledger: Ledger
    generate_context: GenerateContext
    watch: Stopwatch
    seed: int
    round: int
    call: str
    tolerance: float
    parent: Policy
    """The policy that the update was handed."""
    update: Update
    made_by: str
    """The update's call in the ledger."""
    on_rollout: Callable[[Sequence[Experience]], None] = lambda _: None
    """Is told what was judged, in task order: each rollout once."""
    heard: set[str] = field(default_factory=set)
    """The names of the rollouts that it was told of."""

    async def of(
        self, rollout_prompts: RolloutPrompts, name: str, policy: Policy, tasks: Sequence[Task]
    ) -> list[Experience]:
        """As ``protocols.UpdateContext.roll_out``. Raises StepFailed when more calls fail than the run tolerates."""
        _, solve, judge = rollout_prompts
        if len({t.id for t in tasks}) < len(tasks):
            raise StepFailed(f"the rollout {name!r} was handed a task twice: both would have the same key.")
        self.ledger.ensure_op(judge.op_id, judge.name, identity(judge), judge.source_digest())
        self._note(policy)
        named = self._named(solve, name)
        step = Step(
            ledger=self.ledger, generate_context=self.generate_context, screen=Screen("silent"), seed=self.seed,
            verb="rollout", op=solve, round=self.round, title=name, concurrency=self.engine.concurrency,
            tolerance=self.tolerance, keyed=(
                self._step(named, tasks), lambda item: call_key(self.seed, self.round, named, [policy.id], item)
            ),
        )  # fmt: skip
        items = [Item(t.id, _work(solve, judge, t, policy.id, name)) for t in tasks]
        try:
            with self.watch.phase("generate"):
                results = await step.map(items, {SELF: Handle(policy, self.engine.precision_for("sample"))})
        finally:
            self.watch.count("generate", step.tokens)
            if self.update.trains:  # training needs its memory, and the weights are other ones next time
                self.engine.unload()
        attempts = _experiences(tasks, results)
        self._tell(name, attempts)
        return attempts

    def tell_again(self, rollout_prompts: RolloutPrompts) -> None:
        """Tell of the rollouts that are over: an update that goes on after a kill need not ask for them again, and one
        that is finished is not called at all."""
        for r in over(self.ledger, self.round, rollout_prompts.solve.op_id):
            if r.key == call_key(self.seed, self.round, self._named(rollout_prompts.solve, r.name), [r.policy], r.item):
                made = made_in(self.ledger, r.step)
                self._tell(r.name, self._stored(made, [t for t in rollout_prompts.tasks if t.id in made]))

    def _tell(self, name: str, attempts: Sequence[Experience]) -> None:
        if name not in self.heard:
            self.heard.add(name)
            self.on_rollout(attempts)

    def done(self, rollout_prompts: RolloutPrompts, name: str, tasks: Sequence[Task]) -> list[Experience]:
        """What a rollout of this name gave, which is over. Raises StoreError where it is not there any more."""
        return self._stored(made_in(self.ledger, self._step(self._named(rollout_prompts.solve, name), tasks)), tasks)

    def _stored(self, made: Mapping[str, Sequence[str]], tasks: Sequence[Task]) -> list[Experience]:
        found = {r.id: r for r in self.ledger.records(ids=[id for ids in made.values() for id in ids])}
        return _experiences(tasks, {task: [found[id] for id in ids] for task, ids in made.items()})

    def _named(self, solve: Solve, name: str) -> str:
        return hash_of("rollout", self.call, name, solve.op_id)

    def _step(self, named: str, tasks: Sequence[Task]) -> str:
        return step_key(self.seed, self.round, "rollout", named, [], [t.id for t in tasks])

    def _note(self, policy: Policy) -> None:
        """Record a policy half way through its training: what it was, and that its weights are nowhere kept, if they
        are others than the parent's."""
        if policy.id in kinds(self.ledger, [policy.id]):
            return
        weights = policy.weights
        if weights != self.parent.weights:
            weights = weights.model_copy(update={"place": "transient", "skills": None})
        changed = {"weights": weights, "parent": self.parent.id, "made_by": self.update.name}
        made = Made(policy.model_copy(update=changed), self.update.op_id, self.round, 0, (self.parent.id,))
        self.ledger.add_records([made], self.made_by)


def _work(solve: Solve, judge: Judge, task: Task, policy: str, name: str) -> Work:
    """One task's answers with their feedback."""

    async def work(models: Models) -> list[Output]:
        inputs = (task.id, policy, name)
        answers = await solve(task, models)
        given = cast(BoundModel, models[SELF]).all_given()
        answered = _said_where(answers, given)
        solutions = [
            fitted(s).model_copy(update={"id": mint("solution", solve.op_id, inputs, 0, i)})
            for i, s in enumerate(answered)
        ]
        marked = [fitted(f) for f in await judge(task, solutions, models)]
        if [f.solution for f in marked] != [s.id for s in solutions]:
            raise StepFailed(f"{judge.name} did not give one feedback for each solution, in order.")
        return [
            *(Rolled(s, inputs, op=solve.op_id, index=i, left=_left(s, given)) for i, s in enumerate(solutions)),
            *(Rolled(f, (task.id, f.solution), op=judge.op_id, index=i) for i, f in enumerate(marked)),
        ]

    return work


def _said_where(solutions: Sequence[Solution], given: Sequence[Reply]) -> list[Solution]:
    """The same, each turn with the model call in which it was said, as a step's answers have it."""
    made = pointed([Output(s, ()) for s in solutions], given, plainly=False)
    return only(Solution, [o.record for o in made])


def _left(solution: Solution, given: Sequence[Reply]) -> frozenset[int]:
    """The turns that say, to the last token, what a reply said: there may be a hundred thousand, and once is enough."""
    whole = {(r.said.exchange, r.said.reply, r.text, r.token_ids) for r in given if r.said is not None}
    return frozenset(
        n for n, t in enumerate(solution.turns)
        if t.said is not None and t.said.chars is None
        and (t.said.exchange, t.said.reply, t.text, t.token_ids) in whole
    )  # fmt: skip


def _experiences(tasks: Sequence[Task], results: Mapping[str, Sequence[Record]]) -> list[Experience]:
    return [e for t in tasks for e in experiences_of(t, results.get(t.id, []))]
