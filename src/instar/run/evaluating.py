"""The verbs that examine a policy and let it be promoted: what a run believes of its own progress."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from instar.errors import StepFailed
from instar.protocols import Gate, Judge, Models, Solve, StoppingGate
from instar.records import Decision, Exam, Experience, Policy, Report, Task, Verdict, hash_of
from instar.run.generate import handles
from instar.run.judging import judge
from instar.run.keys import EXAM_ROUND, SELF
from instar.run.outputs import Output, only
from instar.run.solving import solve
from instar.run.steps import Steps


class Eval(Protocol):
    """How an exam is solved, judged and reported; ``instar.evaluate.exams`` has the real one."""

    @property
    def solve(self) -> Solve: ...
    @property
    def judge(self) -> Judge: ...

    def describe(self, suite: str, tasks: Sequence[Task], engine: str, precision: str) -> Exam: ...
    def report(self, policy: str, exam: Exam, attempts: Sequence[Experience], tasks: Sequence[Task]) -> Report: ...


async def evaluate(steps: Steps, exam: Eval, policy: Policy, tasks: Sequence[Task], *, suite: str) -> Report:
    """A policy on an exam. No failure is tolerated: a missing attempt would change the denominator."""
    return await _report(steps, exam, policy, await _tries(steps, exam, policy, tasks, suite), tasks, suite)


async def _tries(
    steps: Steps, exam: Eval, policy: Policy, tasks: Sequence[Task], suite: str, which: str = ""
) -> list[Experience]:
    """Its judged answers to these tasks; ``which`` says in the title which of an exam's they are."""
    models = handles(steps.engine, policy, steps.cast, steps.engine.precision_for("exam"))
    title = f"exam {suite} of {short(policy.id)}{which}"
    step = steps.step("exam", exam.solve, title, round=EXAM_ROUND, tolerance=0.0)
    attempts = await solve(steps, step, tasks, models)
    check = steps.step("judge", exam.judge, f"checking {suite}{which}", round=EXAM_ROUND, tolerance=0.0)
    return await judge(steps, check, attempts, models)


def _described(steps: Steps, exam: Eval, policy: Policy, tasks: Sequence[Task], suite: str) -> Exam:
    models = handles(steps.engine, policy, steps.cast, steps.engine.precision_for("exam"))
    what = exam.describe(suite, tasks, steps.engine.name, models[SELF].precision)
    if steps.cast:
        what = what.model_copy(update={"roles": {role: p.id for role, p in sorted(steps.cast.items())}})
    return what


async def _report(
    steps: Steps, exam: Eval, policy: Policy, attempts: Sequence[Experience], tasks: Sequence[Task], suite: str
) -> Report:
    what = _described(steps, exam, policy, tasks, suite)

    async def work(_: Models) -> list[Output]:
        report = exam.report(policy.id, what, attempts, tasks)
        feedback = [e.feedback.id for e in attempts if e.feedback]
        return [Output(report, (policy.id, *feedback))]

    item = hash_of("report", what.digest, policy.id)
    (report,) = only(Report, await steps.one("report", exam.judge, item, work, round=EXAM_ROUND, phase="exam"))
    return report


async def promote(
    steps: Steps, gate: Gate, exam: Eval, incumbent: Policy, candidate: Policy, tasks: Sequence[Task],
    *, rounds: int = 1,
) -> Policy:  # fmt: skip
    """The candidate if the gate lets it pass, else the incumbent. Missing evidence means no. ``rounds``: of how many
    decisions of the run this is one."""
    if candidate.id == incumbent.id:
        steps.note("the candidate is the incumbent: nothing to decide")
        return incumbent
    if isinstance(gate, StoppingGate):
        asked, gate = gate, gate.begun(tasks, rounds=rounds, seed=steps.seed)
        if not isinstance(gate, StoppingGate):
            steps.note(f"{len(tasks)} gate items are too few for {asked.name}: {gate.name} decides")
    if isinstance(gate, StoppingGate):
        before, after = await _until_decided(steps, gate, exam, incumbent, candidate, tasks)
    else:
        before = await evaluate(steps, exam, incumbent, tasks, suite="gate")
        after = await evaluate(steps, exam, candidate, tasks, suite="gate")

    async def work(_: Models) -> list[Output]:
        inputs = (before.id, after.id)
        return [Output(gate(before, after), inputs, decides=(candidate.id,))]

    item = hash_of("gate", before.id, after.id)
    (verdict,) = only(Verdict, await steps.one("gate", gate, item, work, phase="gate"))
    steps.note(f"gate: {'promoted' if verdict.promoted else 'refused'}: {verdict.reason}")
    return candidate if verdict.promoted else incumbent


async def kept_within(
    steps: Steps, guards: Sequence[tuple[Gate, Eval, str, Sequence[Task]]], candidate: Policy
) -> bool:
    """Whether a candidate that a gate let pass keeps within every guard's budget, from the base on. Each guard is asked
    after the other, and the first that refuses is the last word on the candidate: a verdict, with its reason. A guard
    that lets it pass leaves a decision."""
    for op, exam, suite, tasks in guards:
        base = await evaluate(steps, exam, steps.base, tasks, suite=suite)
        after = await evaluate(steps, exam, candidate, tasks, suite=suite)
        verdict = op(base, after)
        inputs = (base.id, after.id)
        said: Verdict | Decision = verdict
        if verdict.promoted:
            said = Decision(item=candidate.id, kept=True, reason=verdict.reason)

        async def work(_: Models, said: Verdict | Decision = said, inputs: tuple[str, ...] = inputs) -> list[Output]:
            return [Output(said, inputs, decides=(candidate.id,))]

        await steps.one("gate", op, hash_of("guard", *inputs), work, phase="gate")
        steps.note(f"{suite}: {verdict.reason.removeprefix('Not promoted. ').removeprefix(f'{suite}: ')}")
        if not verdict.promoted:
            return False
    return True


async def _until_decided(
    steps: Steps, gate: StoppingGate, exam: Eval, incumbent: Policy, candidate: Policy, tasks: Sequence[Task]
) -> tuple[Report, Report]:
    """The reports of both on the first batches of ``tasks`` that decide. A resumed run comes by the same batches: what
    was answered in them is not asked again."""
    order = gate.ordered(tasks)
    both: dict[str, list[Experience]] = {incumbent.id: [], candidate.id: []}
    for start in range(0, len(order), gate.batch):
        batch = order[start : start + gate.batch]
        seen = order[: start + len(batch)]
        which = f", items {start + 1} to {len(seen)} of at most {len(order)}"
        for policy in (incumbent, candidate):
            both[policy.id] += await _tries(steps, exam, policy, batch, "gate", which)
        reports = [
            exam.report(p.id, _described(steps, exam, p, seen, "gate"), both[p.id], seen)
            for p in (incumbent, candidate)
        ]
        if gate.decided(*reports):
            break
    return (
        await _report(steps, exam, incumbent, both[incumbent.id], seen, "gate"),
        await _report(steps, exam, candidate, both[candidate.id], seen, "gate"),
    )


def once_a_round(
    gate: Gate, decided: Mapping[int, frozenset[str]], round: int, tasks: Sequence[Task]
) -> dict[int, frozenset[str]]:
    """What decided so far, by round, with this decision. Raises StepFailed for a second one in a round and for items
    that were used before: a loser that may try again gets through at last."""
    items = frozenset(t.id for t in tasks)
    if round in decided:
        raise StepFailed(
            f"{gate.name} decided in round {round} already: its error is for one candidate a round.",
            "Of several candidates let dev choose one, and hand that to the gate.",
        )
    if used := [r for r, own in decided.items() if own & items]:
        raise StepFailed(
            f"{len(items & decided[used[0]])} of {len(items)} gate items were used in round {used[0]}.",
            "Give each round its own items: run.gate_tasks().",
        )
    return {**decided, round: items}


def short(id: str) -> str:
    """An id as people read it: the first 8 characters."""
    return id.split(":")[-1][:8]
