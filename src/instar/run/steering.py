"""The verbs that steer a run: the next objective, its tasks, whether a round can help, and a round's health."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING

from instar.errors import DataError, StepFailed
from instar.protocols import Choose, Engine, Filter, Judge, Models, Op, Predict, Propose, Watch
from instar.records import Decision, Experience, Health, Objective, Policy, Record, Report, Task, hash_of, mint
from instar.run.asking import Handle
from instar.run.keys import EXAM_ROUND
from instar.run.mapping import Item, Output, Step, only
from instar.run.stopwatch import Stopwatch
from instar.store.ledger import Ledger

if TYPE_CHECKING:
    from instar.run.examining import Examination
    from instar.run.run import Handles
    from instar.run.sets import Sets


class Steering:
    """What ``Run`` inherits: these verbs."""

    if TYPE_CHECKING:  # what they need of the run itself
        ledger: Ledger
        engine: Engine
        watch: Stopwatch
        round: int
        tasks: Sets
        healths: list[Health]

        def note(self, text: str) -> None: ...
        def _step(
            self, verb: str, op: Op, title: str, *, round: int | None = None, tolerance: float | None = None,
            quiet: bool = False,
        ) -> Step: ...  # fmt: skip
        async def _solve(self, step: Step, tasks: Sequence[Task], models: Handles) -> list[Experience]: ...
        async def _judge(self, step: Step, tries: Sequence[Experience], models: Handles) -> list[Experience]: ...
        async def evaluate(self, exam: Examination, policy: Policy, tasks: Sequence[Task], *, suite: str) -> Report: ...

    async def choose(self, op: Choose, reports: Sequence[Report], refused: int, budget: int) -> list[Objective]:
        """The objectives of this round, recorded as a tree with the root first. ``reports``: dev, newest last."""
        inputs = tuple(r.id for r in reports)

        async def work(_: Models) -> list[Output]:
            made = list(op(reports, refused, self.round, budget))
            if not made:
                raise StepFailed(f"{op.name} gave no objective.", "It must give a root; to stop, one without tasks.")
            places: dict[str, int] = {}
            for place, o in enumerate(made):
                if o.ability in places or (o.parent not in places if place else o.parent is not None):
                    raise StepFailed(
                        f"{op.name} gave the objective {o.ability!r} twice or before its parent {o.parent!r}.",
                        "Give the root first, then each objective once, after its parent (named by its ability).",
                    )
                places[o.ability] = place
            ids = {a: mint("objective", op.op_id, inputs, self.round, place) for a, place in places.items()}
            return [Output(o.model_copy(update={"parent": ids[o.parent]} if o.parent else {}), inputs) for o in made]

        made = await self._one("choose", op, hash_of("choose", inputs, refused, budget), work)
        objectives = only(Objective, made)
        self.note(f"objective: {objectives[0].reason}")
        for o in objectives[1:]:
            self.note(f"  {o.direction} {o.ability}, {o.tasks} tasks: {o.reason}")
        return objectives

    async def propose(self, op: Propose, objectives: Sequence[Objective], pool: Sequence[Task]) -> list[Task]:
        """Tasks of ``pool`` for these objectives. Each selection is recorded as a decision made from the objective that
        it serves; a task not selected stays in the pool, undecided."""
        lapsed = [o for o in objectives if o.expires is not None and o.expires < self.round]
        if not objectives or lapsed:
            what = f"the objective {lapsed[0].ability!r} lapsed after round {lapsed[0].expires}" if lapsed else "none"
            raise StepFailed(f"no live objective to propose tasks for in round {self.round}: {what}.", "Choose anew.")
        by_ability = {o.ability: o for o in objectives}
        there = {t.id: t for t in pool}

        async def work(_: Models) -> list[Output]:
            out: list[Output] = []
            for task in await op(objectives, pool, {}):
                if any(task.id == o.inputs[0] for o in out):
                    raise StepFailed(f"{op.name} proposed the task {task.id} twice.", "Give each task once.")
                if task.id not in there:
                    raise StepFailed(f"{op.name} proposed the task {task.id or '(new)'}, which is not in the pool.")
                family = task.ability.partition("/")[0]
                o = by_ability.get(task.ability) or by_ability.get(family) or objectives[0]
                reason = f"selected for the objective {o.ability} ({o.direction}, {o.tasks} tasks): {o.reason}"
                out.append(Output(Decision(item=task.id, kept=True, reason=reason), (task.id, o.id), (task.id,)))
            return out

        item = hash_of("propose", [o.id for o in objectives], [t.id for t in pool])
        tasks = [there[d.item] for d in only(Decision, await self._one("propose", op, item, work))]
        if not tasks:
            raise DataError(
                f"the pool has no task left for the objectives of round {self.round} ({len(pool)} tasks in the pool).",
                "Draw a larger one (sizes.train), or ask for fewer rounds or tasks a round.",
            )
        self._say_shortage(objectives, tasks)
        return tasks

    def _say_shortage(self, objectives: Sequence[Objective], tasks: Sequence[Task]) -> None:
        got = Counter(t.ability for t in tasks)
        self.note(f"tasks: {', '.join(f'{a} {n}' for a, n in sorted(got.items()))}")
        parents = {o.parent for o in objectives}
        for o in objectives:
            if o.id not in parents and got[o.ability] < o.tasks:
                self.note(f"{o.ability}: {got[o.ability]} of its {o.tasks} tasks")
        if len(tasks) < objectives[0].tasks:
            self.note(f"the pool is short: {len(tasks)} of {objectives[0].tasks} tasks in this round")

    async def dev(self, exam: Examination, policy: Policy) -> Report | None:
        """A policy's report on the dev set; None where the run has none."""
        return await self.evaluate(exam, policy, self.tasks.dev, suite="dev") if self.tasks.dev else None

    async def predict(
        self, op: Predict, judge: Judge, right: Filter, exam: Examination, policy: Policy, report: Report
    ) -> Decision:
        """Whether a round can help, recorded with its reason, from a dev ``report`` of this policy on this exam. The
        exam's own answers are judged again by the round's ``judge`` and kept or not by ``right``; none is asked for."""
        models = {"self": Handle(policy, self.engine.precision_for("exam"))}
        step = self._step("exam", exam.solve, "dev answers", round=EXAM_ROUND, tolerance=0.0, quiet=True)
        tries = await self._solve(step, self.tasks.dev, models)
        step = self._step("judge", judge, "checking dev", round=EXAM_ROUND, tolerance=0.0, quiet=True)
        tries = await self._judge(step, tries, models)
        groups: dict[str, list[Experience]] = {}
        for e in tries:
            groups.setdefault(e.task.id, []).append(e)

        async def work(_: Models) -> list[Output]:
            calls = list(groups.values()) if right.scope == "group" else [tries]
            kept = {d.item for group in calls for d in right(group) if d.kept}
            accepted = {task: [e.id in kept for e in own] for task, own in groups.items()}
            return [Output(op(report, accepted), (report.id,))]

        item = hash_of("predict", report.id, judge.op_id, right.op_id)
        (decision,) = only(Decision, await self._one("predict", op, item, work))
        self.note(f"prediction: {decision.reason}")
        return decision

    async def health(
        self, op: Watch, tries: Sequence[Experience], kept: Sequence[Experience],
        before: Report | None = None, after: Report | None = None,
    ) -> Health:  # fmt: skip
        """This round's health, recorded and added to ``healths``; raised alarms are said at once."""
        past = list(self.healths)
        reports = [r.id for r in (before, after) if r is not None]

        async def work(_: Models) -> list[Output]:
            inputs = tuple(dict.fromkeys([*(e.solution.policy for e in tries), *reports, *(h.id for h in past[-1:])]))
            return [Output(op(past, tries, kept, before, after), inputs)]

        item = hash_of("health", [h.id for h in past], [e.id for e in tries], [e.id for e in kept], reports)
        (health,) = only(Health, await self._one("health", op, item, work))
        self.healths.append(health)
        for alarm in health.alarms:
            if alarm.raised:
                self.note(f"ALARM {alarm.name}: {alarm.reason}")
        return health

    async def _one(
        self, verb: str, op: Op, item: str, work: Callable[[Models], Awaitable[list[Output]]]
    ) -> list[Record]:
        """One call of an operator that decides on everything at once."""
        step = self._step(verb, op, verb, tolerance=0.0, quiet=True)
        with self.watch.phase("steer"):
            (records,) = (await step.map([Item(item, work)], {})).values()
        return records
