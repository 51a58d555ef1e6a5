"""The verb that makes a candidate: an update at work, with its context, its rollouts and what it was made from."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import MappingProxyType

from instar.errors import DataError, NothingLearned, StepFailed, StoreError
from instar.memory import timeline
from instar.memory.kept import read, whole
from instar.memory.value import Memory
from instar.protocols import ArtefactStore, Models, RolloutPrompts, Update
from instar.records import (
    OWN,
    Decision,
    Experience,
    Feedback,
    Learn,
    Learned,
    Pair,
    Policy,
    Record,
    Solution,
    Task,
    hash_of,
)
from instar.run.auditing import refuse_unmeasured
from instar.run.curves import in_words
from instar.run.generate import Handles
from instar.run.keys import at_hand, call_key, seed_of
from instar.run.outputs import Output, only
from instar.run.rollouts import Rollouts
from instar.run.steps import Steps
from instar.run.update_context import RunUpdateContext
from instar.store.ledger import Ledger
from instar.store.reach import reach
from instar.store.readers.curves import series_of
from instar.store.readers.lineage import kinds
from instar.store.roles import roles_of


async def update(
    steps: Steps, op: Update, policy: Policy, data: Sequence[Experience], *, rollout_prompts: RolloutPrompts | None,
    references: Mapping[str, Policy], title: str, artefacts: ArtefactStore, folder: Path, stop: threading.Event,
    pairs: Sequence[Pair] | None = None,
    on_rollout: Callable[[Sequence[Experience]], None] = lambda _: None, weigh: Callable[[], None] = lambda: None,
    held_out: Sequence[str] = (), models: Handles = MappingProxyType({}),
) -> Policy:  # fmt: skip
    """A candidate made from ``policy`` and ``data``, or from ``rollout_prompts``: rollouts of the update's own. It is
    made from the ``references`` that it is held against and from ``pairs``, too. Where the update says that nothing was
    learned, that is recorded as a decision, and what comes back is ``policy`` itself.

    Without ``models``, whom the update may ask, the engine is unloaded first: training needs its memory. Checkpoints go
    into a folder of the call's own under ``folder``; ``on_rollout`` is told of the rollouts, and ``weigh`` asked
    whether they can teach anything; ``stop``, set from any thread, ends the training at its next sign of progress.
    """
    tasks = rollout_prompts.tasks if rollout_prompts else ()
    if not data and not tasks and not references and pairs is None:  # a merge needs its parents alone
        raise DataError(f"there is nothing to update from: 0 experiences reached {op.name}.")
    ids = [e.id for e in data]
    item_id = hash_of("data", ids)
    if rollout_prompts and steps.cast:
        raise StepFailed(
            f"{op.name} was handed rollout prompts, and this run has other roles ({', '.join(sorted(steps.cast))}): "
            "rollouts inside an update have the policy alone.",
            "Sample with run.solve, and hand the answers to an update that trains on them.",
        )
    if rollout_prompts:
        refuse_unmeasured(steps, rollout_prompts.judge)
        item_id = hash_of("data", ids, [t.id for t in tasks], rollout_prompts.solve.op_id, rollout_prompts.judge.op_id)
    if pairs is not None:
        item_id = hash_of("pairs", item_id, [p.preference.id for p in pairs])
    _refuse_unknown(steps.ledger, artefacts, references)
    if references:  # without any, the item is what it was before there were references
        item_id = hash_of("referring", item_id, sorted((name, p.id) for name, p in references.items()))
    item_id = _apart(steps, op, policy, item_id)
    inputs = (
        policy.id,
        *ids,
        *(e.feedback.id for e in data if e.feedback),
        *dict.fromkeys([*(e.task.id for e in data), *(t.id for t in tasks)]),
        *dict.fromkeys(references[name].id for name in sorted(references)),
        *_of_pairs(pairs or ()),
        *dict.fromkeys(h.policy.id for h in models.values() if h.policy.id != policy.id),
    )
    if not models:
        steps.engine.unload()
    asked = ["update", *at_hand({role: h.policy.id for role, h in models.items()})] if models else ["update"]
    budget_tracker, replay = steps.generate_context.budget_tracker, partial(replayed, steps.ledger)
    scratch = folder / "scratch" / item_id.split(":")[1]

    key = call_key(steps.seed, steps.round, op.op_id, [policy.id], item_id)

    rollouts = Rollouts(
        steps.engine, steps.ledger, steps.generate_context, steps.watch, steps.seed, steps.round, key, steps.tolerance,
        policy, op, call_key(steps.seed, steps.round, op.op_id, asked, item_id), on_rollout,
    )  # fmt: skip
    if rollout_prompts:
        rollouts.tell_again(rollout_prompts)

    async def work(bound: Models) -> list[Output]:
        with steps.screen.phase(title, 1) as phase:
            context = RunUpdateContext(
                artefacts, seed_of(key), scratch, steps.ledger, key, budget_tracker, steps.watch, phase, stop, replay,
                rollouts, rollout_prompts, references, pairs, op=op.name,
                of=call_key(steps.seed, steps.round, op.op_id, asked, item_id), held_out=held_out, models=bound,
            )  # fmt: skip
            scratch.mkdir(parents=True, exist_ok=True)
            budget_tracker.check_disk(_gigabytes(artefacts, policy))
            try:
                candidate: Policy | Decision = await op(policy, data, context)
            except NothingLearned as e:
                candidate = Decision(item=policy.id, kept=False, reason=str(e))
            if rollout_prompts:
                weigh()  # before the call is finished: a run that is resumed comes here again
            steps.watch.count("train", phase.tokens)
            if isinstance(candidate, Decision):
                return [Output(d, inputs) for d in (candidate, *context.decided)]
        if candidate.memory is not None and candidate.memory != policy.memory:
            before = Memory() if policy.memory is None else read(artefacts, policy.memory)
            context.figures(timeline.UNIT, 1, timeline.figures_of(before, read(artefacts, candidate.memory)))
        if candidate.id != candidate.identified().id:
            raise StepFailed(f"{op.name} returned a policy without its id.")
        learned = context.told if context.told is not None else _handed(data) if data else None
        said = None if learned is None else tuple(learned)
        return [Output(candidate, inputs, learned=said), *(Output(d, inputs) for d in context.decided)]

    usable = partial(_usable, artefacts)
    made = await steps.one("update", op, item_id, work, usable=usable, models=models)
    series = series_of(steps.ledger, key)
    for line in in_words(series):
        steps.note(f"  {line}")
    if remembered := series.get(timeline.UNIT):
        steps.note(f"  memory: {timeline.in_words({name: points[-1][1] for name, points in remembered.items()})}")
    candidates, decisions = only(Policy, made), only(Decision, made)
    if not candidates:
        steps.note(f"no candidate: {decisions[0].reason}")
    for reason, n in Counter(d.reason for d in decisions if d.item != policy.id).most_common(3):
        steps.note(f"  {n} left out: {reason}")
    return next(iter(candidates), policy)


def _apart(steps: Steps, op: Update, policy: Policy, item: str) -> str:
    """What the call on these data is keyed by. That says nothing of the policy. The first one in the recipe's order,
    which is the same at each resume, keeps it so; another that is updated with them in this round is told apart."""
    first = steps.generate_context.updated.setdefault((steps.round, op.op_id, item), policy.id)
    return item if first == policy.id else hash_of("updating", item, policy.id)


def _of_pairs(pairs: Sequence[Pair]) -> list[str]:
    """What is made from pairs is made from: each of them, its answers, what was said of them, their tasks."""
    sides = [e for p in pairs for e in (p.chosen, p.rejected)]
    return list(
        dict.fromkeys(
            [
                *(p.preference.id for p in pairs), *(e.id for e in sides),
                *(e.feedback.id for e in sides if e.feedback), *(e.task.id for e in sides),
            ]
        )
    )  # fmt: skip


def _handed(data: Sequence[Experience]) -> list[Learned]:
    """All that may be trained on of what an update was handed: what one learned that says nothing."""
    return [
        Learned(e.solution.id, n, turn.said.learn if turn.said else Learn.as_asked)
        for e in data
        for n, turn in enumerate(e.solution.turns)
        if turn.train and turn.kind in OWN
    ]


def _refuse_unknown(ledger: Ledger, artefacts: ArtefactStore, references: Mapping[str, Policy]) -> None:
    """Raises StepFailed for a reference that is no policy of this run, StoreError for one whose weights are gone."""
    known = kinds(ledger, {p.id for p in references.values()})
    for name, p in references.items():
        if known.get(p.id) != "policy":
            raise StepFailed(
                f"the reference {name!r} is the policy {p.id or '(without an id)'}, which this run does not have.",
                "Hand over run.base, or a policy that an update of this run made.",
            )
        if lost := [digest for digest in sorted(reach(p)) if not artefacts.has(digest)]:
            raise StoreError(
                f"the reference {name!r} needs the artefact {lost[0][:12]}, which is gone from the store.",
                "Put it back, or start a new run.",
            )


def _usable(artefacts: ArtefactStore, made: Sequence[Record]) -> bool:
    """Whether all that these policies need is still there: artefacts can be removed behind a ledger's back."""
    policies = only(Policy, made)
    there = all(artefacts.has(digest) for p in policies for digest in reach(p))
    return bool(made) and there and all(whole(artefacts, p.memory) for p in policies if p.memory is not None)


def _gigabytes(artefacts: ArtefactStore, policy: Policy) -> float:
    """What one more policy like this takes on the disk."""
    if policy.weights.place != "artefact":
        return 0.0
    return sum(f.stat().st_size for f in artefacts.open(policy.weights.digest).rglob("*") if f.is_file()) / 1e9


def replayed(ledger: Ledger, policy: Policy) -> list[Experience]:
    """The experiences that a policy and those before it were trained toward, the oldest first: the one reading of the
    past that replays rightly. What an answer was made from in its turn, such as the wrong draft of a correction, is not
    among them: nothing was ever trained on it."""
    line = roles_of(ledger).line(policy.id)
    made_from = ledger.parents([u.policy for u in line])
    rolled = [id for u in line if u.rolled_out for id in u.solutions]  # no update was handed them
    said = ledger.children(rolled)
    wanted = {id for ids in (*made_from.values(), rolled, *said.values()) for id in ids}
    past = {r.id: r for r in ledger.records(ids=wanted)}
    feedback = {f.solution: f for f in only(Feedback, past.values())}
    ids = dict.fromkeys(id for u in reversed(line) for id in u.solutions)
    answers = only(Solution, [past[id] for id in ids])
    tasks = {t.id: t for t in only(Task, ledger.records(ids={s.task for s in answers}))}
    return [Experience(task=tasks[s.task], solution=s, feedback=feedback.get(s.id)) for s in answers]
