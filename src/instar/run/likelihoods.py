"""How likely policies find given texts: measured by the engine, journalled, never twice.

KL(base || policy) on a run's own prompts (``instar.divergence``): the base writes a short answer to at most ``PROMPTS``
training tasks, once a run, and says how likely it finds them; each candidate then says so of the same ones. Nothing is
decided by it, so where it fails, that is said and the run goes on.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, cast

from instar.borders import crossing
from instar.divergence import divergence, in_words, why_not_comparable
from instar.errors import EngineError, Redacted, StepFailed
from instar.protocols import Gate, Model, Models, Op, Solve
from instar.records import Decision, Finish, Likelihood, Likely, Policy, Reply, Task, Verdict, hash_of
from instar.run.generate import handles
from instar.run.keys import EXAM_ROUND, SELF, at_hand, call_key
from instar.run.mapping import Item
from instar.run.outputs import Output, only
from instar.run.steps import Steps
from instar.store.readers.exchanges import of_call

PROMPTS = 16
"""Training tasks at most, spread over all of them: the same ones for every candidate of a run."""
VERB = "likelihood"
TRAIN = "train"


async def measured(steps: Steps, op: Solve, candidate: Policy, train: Sequence[Task]) -> None:
    """Record how likely a candidate finds what the base answered by ``op``, and note the divergence from the base.

    Nothing is asked where the base's weights are no artefact: a table's or a server's model gives no log-probabilities
    of what it writes."""
    base = steps.base
    if base.weights.place != "artefact" or candidate.weights.place != "artefact" or not train:
        return
    if candidate.acting(SELF).weights == base.acting(SELF).weights:  # adapters of a group's roles, and of no other
        why = f"only what it says as {' and '.join(sorted(candidate.adapters))} changed, and no answer is said so"
        steps.ledger.set_about(divergence=why)
        steps.note(f"KL(base || policy) is not measured: {why}")
        return
    count = min(PROMPTS, len(train))
    tasks = [train[i * len(train) // count] for i in range(count)]
    try:
        written = await _written(steps, op, tasks)
        first = await scored(steps, op, base, TRAIN, tasks, written)
        now = await scored(steps, op, candidate, TRAIN, tasks, written)
    except (EngineError, StepFailed, Redacted) as e:
        steps.ledger.set_about(divergence=e.message)
        steps.note(f"KL(base || policy) is not measured: {e.message}")
        return
    if not why_not_comparable(first, now):
        steps.note(f"KL(base || policy): {in_words(divergence(first, now), sum(t.tokens for t in first.texts))}")


async def _written(steps: Steps, op: Solve, tasks: Sequence[Task]) -> list[Reply]:
    """What the base answers to these tasks, from the journal where it did already. Only its words are kept: nothing
    judges them, and nothing is trained on them."""
    base, item = steps.base, hash_of("answers", [t.id for t in tasks])
    key = call_key(steps.seed, EXAM_ROUND, op.op_id, [VERB, *at_hand({SELF: base.id})], item)

    async def work(bound: Models) -> list[Output]:
        # all begin in the order of the tasks, so the turns of the journal are in it too
        await asyncio.gather(*(op(task, bound) for task in tasks))
        return []

    await _one(steps, op, base, item, work, "answers of the base")
    said = sorted(of_call(steps.ledger, key), key=lambda e: e.turn)
    return [e.replies[0] for e in said]


async def scored(
    steps: Steps, op: Op, policy: Policy, suite: str, tasks: Sequence[Task], texts: Sequence[Reply]
) -> Likelihood:
    """How likely a policy finds these texts, each behind the prompt of its task. Raises EngineError where the engine
    gives no log-probabilities, or a text does not fit."""
    precision = steps.engine.precision_for("exam")

    async def work(bound: Models) -> list[Output]:
        found = await _likely(steps, bound[SELF], precision, tasks, texts)
        made = Likelihood(policy=policy.id, suite=suite, engine=steps.engine.name, precision=precision, texts=found)
        return [Output(made, (policy.id, *(t.id for t in tasks)))]

    item = hash_of(VERB, suite, [t.id for t in tasks], [[r.text, r.token_ids] for r in texts])
    made = await _one(steps, op, policy, item, work, f"likelihood of {suite}")
    return made[0]


async def _one(
    steps: Steps, op: Op, policy: Policy, item: str, work: Callable[[Models], Awaitable[Sequence[Output]]], title: str
) -> list[Likelihood]:
    """What one call gives, with the policy at hand at the precision of exams, in no round: as an exam, it is made once
    for each policy."""
    models = handles(steps.engine, policy, {}, steps.engine.precision_for("exam"))
    step = steps.step(VERB, op, title, round=EXAM_ROUND, tolerance=0.0, quiet=True)
    with steps.engaged("exam", step):
        (records,) = (await step.map([Item(item, work)], models)).values()
    return only(Likelihood, records)


async def _likely(
    steps: Steps, model: Model, precision: str, tasks: Sequence[Task], texts: Sequence[Reply]
) -> tuple[Likely, ...]:
    policy = model.policy.acting(SELF)

    async def work() -> list[list[float]]:
        steps.generate_context.budget_tracker.check()
        prompts = [model.policy.prompt(t) for t in tasks]
        scores = await asyncio.gather(
            *(
                steps.engine.score(policy, prompt, [text], precision=precision)
                for prompt, text in zip(prompts, texts, strict=True)
            )
        )
        return [[len(logps), math.fsum(logps)] for (logps,) in scores]

    asked = {"of": hash_of("likely", [t.id for t in tasks], [[r.text, r.token_ids] for r in texts])}
    found = await crossing(model, VERB, asked, work)
    return tuple(Likely(task=t.id, tokens=int(n), nats=float(nats)) for t, (n, nats) in zip(tasks, found, strict=True))


class Weighs(Protocol):
    """A gate that weighs likelihoods; ``instar.evaluate.perplexity`` has it."""

    def weigh(self, base: Likelihood, candidate: Likelihood) -> Verdict: ...


@dataclass(frozen=True)
class Texts:
    """A guard of held-out texts: who says whether the perplexity rose too much, and the texts behind their prompts."""

    suite: str
    op: Gate
    items: Sequence[Task]
    """Each with its ``private["text"]``."""


async def read(steps: Steps, guard: Texts, policy: Policy, round: int) -> Likelihood:
    """How likely a policy finds a round's part of the texts; of round 0, the part that is examined once, at the end.
    Raises EngineError where the engine cannot say."""
    whole = await _recorded(steps, guard)
    part = whole[1 + (round - 1) % 2 :: 3] if round else whole[::3]  # as Sets.guard_part, and as untouched
    replies = [
        Reply(text=str(t.private["text"]), finish=Finish.stop, policy=policy.id, engine="none", precision="none")
        for t in part
    ]
    return await scored(steps, guard.op, policy, guard.suite, part, replies)


async def _recorded(steps: Steps, guard: Texts) -> list[Task]:
    """The texts as records of the run: what was read of them is made from them."""

    async def work(_: Models) -> list[Output]:
        return [Output(task, ()) for task in guard.items]

    item = hash_of("texts", [(t.canonical, t.question, t.private["text"]) for t in guard.items])
    return only(Task, await steps.one(VERB, guard.op, item, work, round=EXAM_ROUND, phase="exam"))


async def kept_within(steps: Steps, guard: Texts, candidate: Policy, round: int) -> bool:
    """Whether a candidate that all other gates let pass keeps within the budget of the texts, from the base on. One
    that does not leaves a verdict, the last word on it; one that does, a decision."""
    base = await read(steps, guard, steps.base, round)
    now = await read(steps, guard, candidate, round)
    verdict = cast(Weighs, guard.op).weigh(base, now)
    inputs = (base.id, now.id)
    said: Verdict | Decision = verdict
    if verdict.promoted:
        said = Decision(item=candidate.id, kept=True, reason=verdict.reason)

    async def work(_: Models) -> list[Output]:
        return [Output(said, inputs, decides=(candidate.id,))]

    await steps.one("gate", guard.op, hash_of("guard", *inputs), work, phase="gate")
    steps.note(f"{guard.suite}: {verdict.reason.removeprefix('Not promoted. ').removeprefix(f'{guard.suite}: ')}")
    return verdict.promoted
