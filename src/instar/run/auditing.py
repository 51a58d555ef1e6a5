"""Measuring judges and filters while a run works: planted answers go where the real ones go, and never into training.

A judge is measured before its verdicts on real answers are asked for, and refused with a sentence if it cannot be
trusted. Plants are judged in calls of their own: a vote or a cap that saw one among the real answers would decide
otherwise on those. For filters the same, so each is called twice: on the real answers, which counts, and on both
together, of which only the words on the plants are read (filters are pure: the real answers never notice).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from instar.errors import InstarError, JudgeRefused, StepFailed
from instar.legible import said as in_words
from instar.protocols import Audit, Engine, Filter, Judge, Models, Op, Routes
from instar.records import (
    Assessment,
    Decision,
    Experience,
    Feedback,
    Plant,
    Policy,
    Solution,
    Task,
    Worth,
    hash_of,
)
from instar.run.asking import Handle
from instar.run.keys import EXAM_ROUND, SELF
from instar.run.mapping import Item, Output, Step, by_task, only

if TYPE_CHECKING:
    from instar.run.run import Handles

JUDGE = "judge"  # the role of the policy that judges
Marked = list[tuple[Plant, Experience]]
"""Plants, each as the filters see it: with its feedback."""


@dataclass
class Measuring:
    """With what a run measures its judges and filters, and what it has measured so far."""

    audit: Audit | None = None
    """Plants answers of known worth; None measures nothing."""
    judge: Policy | None = None
    """Who judges where a judge asks a model; None: the policy at hand, in exams the base."""
    done: set[tuple[str, str | None, int]] = field(default_factory=set)
    """What was measured already: operator, whose word it is, round."""
    planted: dict[int, Marked] = field(default_factory=dict)
    """By round, the plants as its first judge marked them. In memory only: a resumed run fills it as it replays."""


class Auditing:
    """What ``Run`` inherits to bind its judge and to measure judges and filters."""

    if TYPE_CHECKING:  # what it needs of the run itself
        engine: Engine
        base: Policy
        round: int
        measuring: Measuring

        def note(self, text: str) -> None: ...
        def _step(
            self, verb: str, op: Op, title: str, *, round: int | None = None, tolerance: float | None = None,
            quiet: bool = False,
        ) -> Step: ...  # fmt: skip

    def _with_judge(self, op: Judge, models: Handles, round: int) -> Handles:
        """The models of a judge's call. In an exam no policy judges itself: without a ``judge_model`` the base does."""
        if not op.believes_a_model or JUDGE in models:
            return models
        policy = self.measuring.judge or (self.base if round == EXAM_ROUND else None)
        if policy is None:
            return models
        precision = models[SELF].precision
        if isinstance(self.engine, Routes):  # another engine may answer for it, and has other arithmetic
            precision = self.engine.precision_beside(policy, precision)
        return {**models, JUDGE: Handle(policy, precision)}

    def _refuse_unmeasured(self, op: Judge) -> None:
        """Raises JudgeRefused for a judge that believes a model where it cannot be measured: inside an update, whose
        policy changes at every step, and with it the judge if that is itself."""
        if self.measuring.audit is not None and op.believes_a_model:
            raise JudgeRefused(
                f"the judge {op.name!r} asks a model, and inside an update's own rollouts no judge is measured.",
                "Give this recipe a judge that asks none, or believe it unmeasured with --set audit_with=none; either "
                "with --accept-changes.",
            )

    async def _measure_judge(self, op: Judge, tries: Sequence[Experience], models: Handles, round: int) -> None:
        """Record what planted answers say of a judge, once a round. Raises JudgeRefused if it is not to be trusted."""
        who = next(iter(believed(op, models)), None)
        key = (op.op_id, who, round)
        if (
            self.measuring.audit is None
            or key in self.measuring.done
            or (round == EXAM_ROUND and not op.believes_a_model)
        ):
            return
        self.measuring.done.add(key)
        grown = await self._grow(tries, round)
        if not grown:
            if op.believes_a_model:
                raise JudgeRefused(
                    f"the judge {op.name!r} cannot be measured: none of {len(tries)} answers is to a task with a known "
                    "answer.",
                    "Start a new run on tasks with answers, or believe it unmeasured with --set audit_with=none "
                    "--accept-changes.",
                )
            return
        said = await self._words(op, grown, tries, models, round)
        if round != EXAM_ROUND:  # filters see the plants as the first judge of the round marked them
            marked = [(p, Experience(task=t, solution=p.shown, feedback=said.get(p.id))) for t, ps in grown for p in ps]
            self.measuring.planted.setdefault(round, marked)
        found = await self._assess(op, who, [p for _, ps in grown for p in ps], said, round)
        self.note(f"audit of {op.name}: {found.reason}")
        if not found.trusted:
            raise JudgeRefused(
                f"the judge {op.name!r} is refused: {found.reason}.",
                "Nothing it said was used. Name another judge or judge_model, or move audit_with.kappa_at_least: with "
                "--set and --accept-changes.",
            )

    async def _measure_filter(self, op: Filter, tries: Sequence[Experience], plants: Marked) -> Marked:
        """The planted answers that pass a filter among these real ones; what this says of the filter is recorded."""
        if not plants:
            return []
        mine = {p.id for p, _ in plants}
        if op.scope == "group":  # a group without a plant says nothing of one
            grown = {e.task.id for _, e in plants}
            tries = [e for e in tries if e.task.id in grown]
        mixed = list(by_task([*tries, *(e for _, e in plants)]).values())
        calls = mixed if op.scope == "group" else [[e for group in mixed for e in group]]
        try:
            said = {d.item: d for group in calls for d in op(group) if d.item in mine}
        except InstarError:
            raise
        except (Exception, SystemExit) as e:  # a user's filter may do anything
            why = f"the filter {op.name} failed on planted answers: {type(e).__name__}: {in_words(e)}."
            raise StepFailed(why, "Mend the filter and resume: the rest is kept.") from e
        key = (op.op_id, None, self.round)
        if key not in self.measuring.done:
            self.measuring.done.add(key)
            await self._assess(op, None, [p for p, _ in plants], said, self.round)
        return [(p, e) for p, e in plants if p.id in said and said[p.id].kept]

    async def _grow(self, tries: Sequence[Experience], round: int) -> list[tuple[Task, list[Plant]]]:
        """The plants of this round's picked tasks, as recorded."""
        audit = self.measuring.audit
        if audit is None:
            return []
        picked = list(audit.pick(tries))

        def item(like: Experience) -> Item:
            async def work(_: Models) -> list[Output]:
                others = [e for e in picked if e.task.id != like.task.id]
                return [Output(p, (like.task.id, like.solution.id)) for p in audit.grow(like, others)]

            return Item(hash_of("plant", like.task.id, like.solution.id), work)

        items = {e.task.id: item(e) for e in picked}
        step = self._step("plant", audit, "planting", round=round, tolerance=0.0, quiet=True)
        made = await step.map(list(items.values()), {})
        grown = [(e.task, only(Plant, made.get(items[e.task.id].id, []))) for e in picked]
        return [(task, plants) for task, plants in grown if plants]

    async def _words(
        self, op: Judge, grown: Sequence[tuple[Task, Sequence[Plant]]], tries: Sequence[Experience], models: Handles,
        round: int,
    ) -> dict[str, Feedback]:  # fmt: skip
        """What a judge says of the plants, by their ids; one that its call failed on is missing."""
        real = by_task(tries)
        who = believed(op, models)
        items = [
            _call(op, task, shown, wanted, who)
            for task, plants in grown
            for shown, wanted in _groups(op, plants, [e.solution for e in real.get(task.id, [])])
        ]
        step = self._step("judge", op, "measuring the judge", round=round, tolerance=1.0, quiet=not op.believes_a_model)
        made = await step.map(items, models)
        return {f.solution: f for records in made.values() for f in only(Feedback, records)}

    async def _assess(
        self, op: Op, who: str | None, plants: Sequence[Plant], said: Mapping[str, Feedback | Decision], round: int
    ) -> Assessment:
        audit = self.measuring.audit
        assert audit is not None

        async def work(_: Models) -> list[Output]:
            return [Output(audit.assess(op, who, plants, said), (*(p.id for p in plants), *([who] if who else [])))]

        # the step is the measured operator's: one audit measures many on the same plants, each to its own record
        step = self._step("assess", op, f"assessing {op.name}", round=round, tolerance=0.0, quiet=True)
        item = hash_of("assess", op.op_id, who, [p.id for p in plants])
        (records,) = (await step.map([Item(item, work)], {})).values()
        (found,) = only(Assessment, records)
        return found


def _groups(
    op: Judge, plants: Sequence[Plant], real: Sequence[Solution]
) -> list[tuple[list[Solution], frozenset[str]]]:
    """The groups a judge is shown, and whose verdicts are read. In order of id: a place says nothing of worth."""
    of = {p.worth: p.shown for p in plants}
    if op.planted_in == "fellows":
        groups = [([*real, p.shown], [p.shown]) for p in plants]
    elif op.planted_in == "pairs":
        groups = [([of[Worth.good], of[Worth.bad]], [of[Worth.good], of[Worth.bad]])]
        if Worth.wrong_reason in of:
            groups.append(([of[Worth.bad], of[Worth.wrong_reason]], [of[Worth.wrong_reason]]))
    else:
        groups = [([p.shown for p in plants], [p.shown for p in plants])]
    return [(sorted(shown, key=lambda s: s.id), frozenset(s.id for s in wanted)) for shown, wanted in groups]


def believed(op: Judge, models: Handles) -> tuple[str, ...]:
    """The policy whose word a judge's verdicts are: they are made from it. None where it asks no model."""
    return (models.get(JUDGE, models[SELF]).policy.id,) if op.believes_a_model else ()


def _call(op: Judge, task: Task, shown: Sequence[Solution], wanted: frozenset[str], who: tuple[str, ...]) -> Item:
    async def work(bound: Models) -> list[Output]:
        return [Output(f, (task.id, f.solution, *who)) for f in await op(task, shown, bound) if f.solution in wanted]

    return Item(hash_of("group", [s.id for s in shown]), work)
