"""The run: one verb a phase of the loop. A recipe sees nothing else.

Verbs see only their arguments; nothing here reads the ledger for a recipe (on resume it would show the future).
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from instar.errors import DataError, StepFailed
from instar.protocols import (
    ArtefactStore,
    Attempt,
    Correct,
    Engine,
    Filter,
    Judge,
    Models,
    Op,
    Practice,
    Solve,
    Update,
)
from instar.records import (
    Decision,
    Experience,
    Feedback,
    Health,
    Mark,
    Policy,
    Record,
    Solution,
    Task,
    hash_of,
)  # fmt: skip
from instar.run.asking import Asking, Handle
from instar.run.attempting import experiences_of, outputs_of
from instar.run.auditing import Auditing, Measuring, believed
from instar.run.budget import Purse
from instar.run.examining import Examination, Examining
from instar.run.keys import EXAM_ROUND, call_key, seed_of, step_key
from instar.run.mapping import Item, Output, Step, by_task, only
from instar.run.progress import Screen
from instar.run.rollouts import Rollouts
from instar.run.sets import Sets as Sets
from instar.run.shop import Shop
from instar.run.steering import Steering
from instar.run.stopwatch import Stopwatch
from instar.store.ledger import Ledger
from instar.store.unread import MANY, uncollected

Handles = Mapping[str, Handle]


@dataclass(kw_only=True)
class Run(Steering, Auditing, Examining):
    """The verbs, over one ledger, one engine and one event loop. Those that steer are in ``steering``, those that
    examine and promote in ``examining``, the measuring of judges and filters in ``auditing``."""

    ledger: Ledger
    engine: Engine
    artefacts: ArtefactStore
    asking: Asking
    purse: Purse
    screen: Screen
    watch: Stopwatch
    stop: threading.Event
    folder: Path
    seed: int
    base: Policy
    tasks: Sets
    tolerance: float = 0.05
    round: int = 0
    last_round: int = 0
    controls: dict[str, Policy] = field(default_factory=dict)
    """Policies made only to compare with: examined beside the final one, never promoted."""
    procedures: dict[str, Examination] = field(default_factory=dict)
    """Ways to answer with the final policy, such as correcting itself: examined at the end, at equal cost."""
    healths: list[Health] = field(default_factory=list)
    """Of the rounds so far. In memory only: a resumed run fills it again as it replays, so it shows no future."""
    measuring: Measuring = field(default_factory=Measuring)
    evolved_at: float | None = None
    """Seconds of wall clock at which the evolution itself was over."""

    def rounds(self, n: int) -> Iterator[int]:
        """Rounds 1 to n. The round is part of every key made inside."""
        self.last_round = n
        for self.round in range(1, n + 1):
            self.screen.line(f"round {self.round} of {n}")
            yield self.round

    def train_tasks(self) -> tuple[Task, ...]:
        """This round's fresh share of the training tasks."""
        return self.tasks.share("train", self.round, self.last_round)

    def gate_tasks(self) -> tuple[Task, ...]:
        """This round's gate items: a gate that is reused every round is trained on."""
        return self.tasks.share("gate", self.round, self.last_round)

    def models(self, policy: Policy) -> Handles:
        """The policy at hand under the role "self", for sampling."""
        return {"self": Handle(policy, self.engine.precision_for("sample"))}

    def evolved(self) -> None:
        """The evolution is over; what follows is comparison: not counted in its time, nor in its last round."""
        said = self.ledger.about().get("evolved_at")  # a resumed run was over when it was first over
        self.evolved_at = float(said) if said else self.purse.seconds
        self.ledger.set_about(evolved_at=repr(self.evolved_at))
        self.round = self.last_round + 1

    def note(self, text: str) -> None:
        self.screen.line(f"  {text}")

    # --- acquire --------------------------------------------------------------------------------------------------

    async def solve(
        self, op: Solve, tasks: Sequence[Task], models: Handles, *, title: str = "solving"
    ) -> list[Experience]:
        """Every task's solutions, not yet judged, in task order."""
        return await self._solve(self._step("solve", op, title), tasks, models)

    async def _solve(self, step: Step, tasks: Sequence[Task], models: Handles) -> list[Experience]:
        op = cast(Solve, step.op)

        def item(task: Task) -> Item:
            async def work(bound: Models) -> list[Output]:
                inputs = (task.id, *(h.policy.id for h in models.values()))
                return [Output(s, inputs) for s in await op(task, bound)]

            return Item(task.id, work)

        with self._engaged("generate" if step.verb == "solve" else "exam", step):
            results = await step.map([item(task) for task in tasks], models)
        with uncollected(for_good=len(tasks) > MANY // 10):
            made = [
                Experience(task=task, solution=s) for task in tasks for s in only(Solution, results.get(task.id, []))
            ]
        if step.verb != "exam" or all(h.policy.id == self.base.id for h in models.values()):
            _refuse_all_empty(made)  # but a candidate that answers nothing is for the gate to refuse
        return made

    async def judge(self, op: Judge, tries: Sequence[Experience], models: Handles) -> list[Experience]:
        """The same experiences with feedback. An operator call sees all solutions of one task."""
        return await self._judge(self._step("judge", op, "checking"), tries, models)

    async def _judge(self, step: Step, tries: Sequence[Experience], models: Handles) -> list[Experience]:
        op = cast(Judge, step.op)
        models = self._with_judge(op, models, step.round)
        await self._measure_judge(op, tries, models, step.round)
        groups = by_task(tries)

        def item(group: Sequence[Experience]) -> Item:
            task, solutions = group[0].task, [e.solution for e in group]

            async def work(bound: Models) -> list[Output]:
                said = list(await op(task, solutions, bound))
                if [f.solution for f in said] != [s.id for s in solutions]:
                    raise StepFailed(f"{op.name} did not give one feedback for each solution, in order.")
                return [Output(f, (task.id, f.solution, *believed(op, models))) for f in said]

            return Item(hash_of("group", [s.id for s in solutions]), work)

        items = {task: item(group) for task, group in groups.items()}
        with self.watch.phase("check" if step.round != EXAM_ROUND else "exam"):
            results = await step.map(list(items.values()), models)
        feedback: dict[str, Feedback] = {}
        for task, i in items.items():  # one feedback for each solution, in order: see ``item``
            said = only(Feedback, results.get(i.id, []))
            feedback |= {e.id: f for e, f in zip(groups[task], said, strict=bool(said))}
        _refuse_all_invalid(list(feedback.values()))
        with uncollected(for_good=len(tries) > MANY):
            return [
                Experience(task=e.task, solution=e.solution, feedback=feedback[e.id]) for e in tries if e.id in feedback
            ]

    async def attempt(
        self, op: Attempt, tasks: Sequence[Task], models: Handles, *, title: str = "attempting"
    ) -> list[Experience]:
        """Every task's solutions with their feedback, in task order: for operators that judge while they solve."""

        def item(task: Task) -> Item:
            async def work(bound: Models) -> list[Output]:
                inputs = (task.id, *(h.policy.id for h in models.values()))
                return outputs_of(op, task, await op(task, bound), inputs, step.round)

            return Item(task.id, work)

        step = self._step("attempt", op, title)
        judge = getattr(op, "judge", None)
        if isinstance(judge, Judge):
            models = self._with_judge(judge, models, self.round)
        with self._engaged("generate", step):
            results = await step.map([item(task) for task in tasks], models)
        made = [e for task in tasks for e in experiences_of(task, results.get(task.id, []))]
        if isinstance(judge, Judge):
            await self._measure_judge(judge, made, models, self.round)
        _refuse_all_empty(made)
        _refuse_all_invalid([e.feedback for e in made if e.feedback])
        return made

    async def correct(self, op: Correct, tries: Sequence[Experience], models: Handles) -> list[Experience]:
        """Rewritten solutions of these experiences, not yet judged. Each knows the solution it was made from."""

        def item(e: Experience) -> Item:
            async def work(bound: Models) -> list[Output]:
                inputs = (e.task.id, e.solution.id, *(h.policy.id for h in models.values()))
                return [Output(s, inputs) for s in await op(e, bound)]

            return Item(e.id, work)

        step = self._step("correct", op, "correcting")
        with self._engaged("generate", step):
            results = await step.map([item(e) for e in tries], models)
        return [Experience(task=e.task, solution=s) for e in tries for s in only(Solution, results.get(e.id, []))]

    # --- refine ---------------------------------------------------------------------------------------------------

    async def keep(self, filters: Filter | Sequence[Filter], tries: Sequence[Experience]) -> list[Experience]:
        """What passes all filters, one after the other. Every decision is recorded with its reason."""
        kept, plants = list(tries), self.measuring.planted.get(self.round, [])
        for op in [filters] if isinstance(filters, Filter) else filters:
            if kept:
                plants = await self._measure_filter(op, kept, plants)
                kept = await self._filter(op, kept)
        return kept

    async def split(
        self, filters: Filter | Sequence[Filter], tries: Sequence[Experience]
    ) -> tuple[list[Experience], list[Experience]]:
        """(what passes, what does not)."""
        kept = await self.keep(filters, tries)
        inside = {e.id for e in kept}
        return kept, [e for e in tries if e.id not in inside]

    async def _filter(self, op: Filter, tries: Sequence[Experience]) -> list[Experience]:
        async def work(_: Models) -> list[Output]:
            groups = list(by_task(tries).values()) if op.scope == "group" else [list(tries)]
            decisions = [d for group in groups for d in op(group)]
            if sorted(d.item for d in decisions) != sorted(e.id for e in tries):
                raise StepFailed(f"the filter {op.name} did not decide on each item once.")
            return [Output(d, (d.item,)) for d in decisions]

        step = self._step("filter", op, f"filter {op.name}", quiet=True)
        with self.watch.phase("filter"):
            results = await step.map([Item(hash_of("items", [e.id for e in tries]), work)], {})
        (records,) = results.values()
        kept = {d.item for d in only(Decision, records) if d.kept}
        self.note(f"{op.name}: kept {len(kept)} of {len(tries)}")
        return [e for e in tries if e.id in kept]

    # --- update ---------------------------------------------------------------------------------------------------

    async def update(
        self, op: Update, policy: Policy, data: Sequence[Experience], *, practice: Practice | None = None,
        title: str = "training",
    ) -> Policy:  # fmt: skip
        """A candidate made from ``policy`` and ``data``, or from ``practice``: rollouts of the update's own.

        The engine is unloaded first: training needs its memory.
        """
        tasks = practice.tasks if practice else ()
        if not data and not tasks:
            raise DataError(f"there is nothing to update from: 0 experiences reached {op.name}.")
        ids = [e.id for e in data]
        item_id = hash_of("data", ids)
        if practice:
            self._refuse_unmeasured(practice.judge)
            item_id = hash_of("data", ids, [t.id for t in tasks], practice.solve.op_id, practice.judge.op_id)
        inputs = (
            policy.id,
            *ids,
            *(e.feedback.id for e in data if e.feedback),
            *dict.fromkeys([*(e.task.id for e in data), *(t.id for t in tasks)]),
        )
        self.engine.unload()
        step = self._step("update", op, title, tolerance=0.0, quiet=True)
        step.usable = self._usable
        scratch = self.folder / "scratch" / item_id.split(":")[1]

        async def work(_: Models) -> list[Output]:
            key = call_key(self.seed, self.round, op.op_id, [policy.id], item_id)
            rollouts = Rollouts(
                self.engine, self.ledger, self.asking, self.watch, self.seed, self.round,
                step_key(self.seed, self.round, "update", op.op_id, [], [item_id]), key, self.tolerance,
            )  # fmt: skip
            with self.screen.phase(title, 1) as phase:
                shop = Shop(
                    self.artefacts, seed_of(key), scratch, self.ledger, key, self.purse, self.watch, phase, self.stop,
                    self._replay, rollouts, practice,
                )  # fmt: skip
                scratch.mkdir(parents=True, exist_ok=True)
                self.purse.check_disk(self._gigabytes(policy))
                candidate = await op(policy, data, shop)
                self.watch.count("train", phase.tokens)
            if candidate.id != candidate.identified().id:
                raise StepFailed(f"{op.name} returned a policy without its id.")
            return [Output(candidate, inputs)]

        (records,) = (await step.map([Item(item_id, work)], {})).values()
        (candidate,) = only(Policy, records)
        return candidate

    def _usable(self, made: Sequence[Record]) -> bool:
        """Whether the weights of these policies are still there: artefacts can be removed behind a ledger's back."""
        artefacts = [p.weights.digest for p in only(Policy, made) if p.weights.place == "artefact"]
        return bool(made) and all(self.artefacts.has(digest) for digest in artefacts)

    def _gigabytes(self, policy: Policy) -> float:
        """What one more policy like this takes on the disk."""
        if policy.weights.place != "artefact":
            return 0.0
        return sum(f.stat().st_size for f in self.artefacts.open(policy.weights.digest).rglob("*") if f.is_file()) / 1e9

    def _replay(self, policy: Policy) -> list[Experience]:
        """The experiences in a policy's made_from ancestry: the one reading of the past that replays rightly."""
        past = self.ledger.ancestors(policy.id)
        solutions = {r.id: r for r in self.ledger.records("solution") if r.id in past}
        feedback = {f.solution: f for f in only(Feedback, self.ledger.records("feedback")) if f.id in past}
        tasks = {r.id: r for r in self.ledger.records("task") if r.id in past}
        return [
            Experience(task=cast(Task, tasks[s.task]), solution=s, feedback=feedback.get(s.id))
            for s in only(Solution, list(solutions.values()))
        ]

    @contextmanager
    def _engaged(self, phase: str, step: Step) -> Iterator[None]:
        """Count the block under this phase, as far as the engine was at work: the rest was ledger, journal, waiting."""
        began, busy = time.monotonic(), self.engine.busy_seconds()
        with self.watch.phase(phase):
            yield
        idle = time.monotonic() - began - (self.engine.busy_seconds() - busy)
        self.watch.move(phase, "bookkeeping", max(0.0, idle))
        self.watch.count(phase, step.tokens)

    def _step(
        self, verb: str, op: Op, title: str, *, round: int | None = None, tolerance: float | None = None,
        quiet: bool = False,
    ) -> Step:  # fmt: skip
        return Step(
            ledger=self.ledger, asking=self.asking, screen=Screen("silent") if quiet else self.screen, seed=self.seed,
            verb=verb, op=op, round=self.round if round is None else round, title=title,
            concurrency=self.engine.concurrency, tolerance=self.tolerance if tolerance is None else tolerance,
        )  # fmt: skip


async def settle() -> None:
    """Let finished callbacks run before a loop is left."""
    await asyncio.sleep(0)


def _refuse_all_empty(made: Sequence[Experience]) -> None:
    if made and all(not e.solution.text.strip() for e in made):
        error = StepFailed(
            f"the model returned nothing: all {len(made)} answers of this step are empty.",
            "Check the model's weights, its chat template and its stop tokens; then start a new run: this one keeps "
            "what it was answered.",
        )
        error.resumes = False
        raise error


def _refuse_all_invalid(feedback: Sequence[Feedback]) -> None:
    if feedback and all(f.mark is Mark.invalid for f in feedback):
        raise StepFailed(
            f"the checker failed on every one of {len(feedback)} answers; the first time: {feedback[0].comment}",
            "A failed check is not a wrong answer. Mend the checker and resume with --accept-changes: what gave no "
            "score is checked again.",
        )
