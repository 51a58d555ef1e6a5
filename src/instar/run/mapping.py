"""One step: an operator mapped over items, each finished call committed, each failure kept as data.

A step that was begun before replays what the ledger has and does the rest. A tolerated failure becomes final when its
step is accepted: a resumed run sees the same data. But a check that gave no score is made again (``run.again``).
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from instar.errors import STOPS_THE_RUN, BudgetSpent, Cancelled, InstarError, StepFailed
from instar.legible import said
from instar.protocols import Holds, Models, Op, identity
from instar.records import Experience, Record
from instar.run.again import UNTESTED, first_reason, not_built_on, open_calls, with_what_stands
from instar.run.generate import BoundModel, GenerateContext, Handle
from instar.run.keys import SELF, at_hand, call_key, step_key
from instar.run.outputs import Output, fitting, mint_all, pointed
from instar.run.progress import Phase, Screen
from instar.store.disk import full, is_full
from instar.store.ledger import Ledger

MAKES = {
    "solve": "solution", "exam": "solution", "correct": "solution", "judge": "feedback", "filter": "decision",
}  # fmt: skip
"""The one kind of record that a verb's calls make, where there is but one: it need not be read to be known."""


@dataclass(frozen=True)
class Item:
    """One unit of a step's work. ``id`` names it in keys and must be unique within the step."""

    id: str
    work: Callable[[Models], Awaitable[Sequence[Output]]]


@dataclass
class Step:
    """Everything a step needs to know of its run."""

    ledger: Ledger
    generate_context: GenerateContext
    screen: Screen
    seed: int
    verb: str
    op: Op
    round: int
    title: str
    concurrency: int
    tolerance: float = 0.0
    """Largest share of calls that may fail."""
    failures: list[tuple[str, Exception]] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    """The items of these failures."""
    tokens: int = 0
    """Tokens that this session's asks made."""
    usable: Callable[[Sequence[Record]], bool] = lambda _: True
    """Whether what a finished call made can still be used; if not, the call is made again."""
    seen: Callable[[Mapping[str, list[Record]]], Awaitable[None]] | None = None
    """Looks at what is there after each finished call; it records nothing."""
    keyed: tuple[str, Callable[[str], str]] | None = None
    """The step's key, and that of the call on an item, where they hang on more than the step knows."""
    before: dict[str, list[Record]] = field(default_factory=dict)
    """By item, what a call that is made again had made."""

    async def map(self, items: Sequence[Item], models: Mapping[str, Handle]) -> dict[str, list[Record]]:
        """Item id to the records its call made; a tolerated failure is missing from it."""
        self._refuse_repeats([i.id for i in items])
        self._hold(models)
        policies = at_hand({role: h.policy.id for role, h in models.items()})
        op = self.op.op_id  # once: it is a hash of all the operator's fields
        key = step_key(self.seed, self.round, self.verb, op, policies, [i.id for i in items])
        keys = {i.id: call_key(self.seed, self.round, op, [self.verb, *policies], i.id) for i in items}
        if self.keyed is not None:
            key, keys = self.keyed[0], {i.id: self.keyed[1](i.id) for i in items}
        self.ledger.ensure_op(op, self.op.name, identity(self.op), self.op.source_digest())
        self.ledger.begin_step(key, self.verb, op, self.round, len(items))
        # by call and not by step: an item that another step of this operator has done is done
        calls = self.ledger.stored_calls(keys.values())
        done = {k: c for k, c in calls.items() if c.status in ("finished", "dropped")}
        made = [o for c in done.values() for o in c.outputs]
        stored = {r.id: r for r in self.ledger.outputs(made, MAKES.get(self.verb, ""))}
        results = {
            i.id: [stored[o] for o in done[keys[i.id]].outputs] for i in items if _is(done, keys[i.id], "finished")
        }
        self._open_again({keys[i.id]: i.id for i in items}, results)
        todo = [
            i for i in items if keys[i.id] not in done or i.id in self.before or not self.usable(results.get(i.id, []))
        ]
        asks = self.ledger.stored_asks([keys[i.id] for i in todo])

        with self.screen.phase(self.title, len(items)) as phase:
            if len(todo) < len(items):
                phase.advance(len(items) - len(todo), replayed=True)
            await self._work(key, todo, keys, models, asks, results, phase)
        self._judge_failures(len(items), sum(c.status == "dropped" for c in done.values()))
        await self.ledger.finish_step(key)
        return {i.id: results[i.id] for i in items if i.id in results}

    def _hold(self, models: Mapping[str, Handle]) -> None:
        """Room in the engine for all that one call asks in turn. A judge's call asks the judge alone."""
        asked = {
            (h.policy.weights.digest, h.policy.adapters.get(part), h.precision)
            for role, h in models.items()
            for part in (role, *(getattr(self.op, "plays", ()) if role == SELF else ()))
            if h.policy.weights.place == "artefact"
        }
        engine = self.generate_context.engine
        if isinstance(engine, Holds):
            engine.hold(1 if self.verb == "judge" else max(1, len(asked)))

    def _open_again(self, items: Mapping[str, str], results: Mapping[str, list[Record]]) -> None:
        """Note the calls of earlier sessions that gave no score and are made again; ``items``: call to item."""
        known = self.ledger.unscored(UNTESTED) if results else frozenset()
        if not known and self.verb != "assess":  # most runs: nothing to look for in what may be a million records
            return
        made = {k: results[i] for k, i in items.items() if i in results and k not in self.generate_context.finished}
        unscored = open_calls(made, known)
        again = not_built_on(self.ledger, unscored)
        self.before = {items[k]: results[items[k]] for k in unscored if k in again}
        what = f"{self.verb} ({self.op.name})"
        if again:
            reason = first_reason({k: unscored[k] for k in unscored if k in again})
            self.screen.line(
                f"  {len(again)} calls of {what} gave no score and are made again{': ' if reason else ''}{reason}"
            )
            self.ledger.note_again(verb=self.verb, op=self.op.op_id, calls=len(again), reason=reason)
        if self.generate_context.accept_changes and len(again) < len(unscored):
            self.screen.line(
                f"  {len(unscored) - len(again)} calls of {what} gave no score; what was decided on them stands"
            )

    async def _work(
        self, step: str, todo: Sequence[Item], keys: Mapping[str, str], models: Mapping[str, Handle],
        asks: Mapping[str, Any], results: dict[str, list[Record]], phase: Phase,
    ) -> None:  # fmt: skip
        slots = asyncio.Semaphore(self.concurrency)
        spent: list[BudgetSpent] = []

        async def one(item: Item) -> None:
            async with slots:
                if spent:
                    return
                try:
                    await self._call(step, item, keys[item.id], models, asks, results, phase)
                except BudgetSpent as e:  # no more is begun; what is in flight is paid for and is let finish
                    spent.append(e)

        try:
            async with asyncio.TaskGroup() as group:
                for item in todo:
                    group.create_task(one(item))
        except BaseExceptionGroup as many:
            raise _first(many) from None
        if spent:
            raise spent[0]

    async def _call(
        self, step: str, item: Item, key: str, models: Mapping[str, Handle],
        asks: Mapping[str, Any], results: dict[str, list[Record]], phase: Phase,
    ) -> None:  # fmt: skip
        began = time.time()
        if self.generate_context.stopped.is_set():
            raise Cancelled("the run was asked to stop.")
        crossed: Counter[tuple[str, str]] = Counter()
        before = self.before.get(item.id, [])
        bound = {
            role: BoundModel(
                h.policy,
                h.precision,
                step,
                key,
                self.generate_context,
                asks,
                role,
                crossed=crossed,
                remade=bool(before),
            )
            for role, h in models.items()
        }
        try:
            outputs = with_what_stands(await item.work(bound), before)
            outputs = pointed(
                outputs, [r for b in bound.values() for r in b.all_given()], plainly=self.verb == "correct"
            )
            made = fitting(mint_all(outputs, self.op.op_id, self.round))
        except STOPS_THE_RUN:
            raise
        except BaseException as e:  # a user's code may raise anything, SystemExit too
            if is_the_runs(e):
                raise
            if is_full(e):
                raise full(self.generate_context.budget_tracker.places) from e
            await self._failed(step, item, key, e, began, phase)
            return
        try:
            await self.ledger.finish_call(key, step, item.id, made, began, instead_of=before)
        except InstarError:
            raise
        except Exception as e:  # what the database cannot hold: this call failed, and the others go on
            await self._failed(step, item, key, e, began, phase)
            return
        results[item.id] = [m.record for m in made]
        if open_calls({key: results[item.id]}):
            self.generate_context.finished.add(key)
        made_tokens = sum(b.all_tokens() for b in bound.values())
        self.tokens += made_tokens
        phase.advance(1, tokens=made_tokens)
        if self.seen is not None:
            await self.seen(results)

    async def _failed(self, step: str, item: Item, key: str, error: BaseException, began: float, phase: Phase) -> None:
        if item.id in self.before:  # what it said before is no better, but it is known
            phase.advance(1)
            return
        reason = said(error) if isinstance(error, InstarError) else f"{type(error).__name__}: {said(error)}"
        self.failures.append((reason, error if isinstance(error, Exception) else RuntimeError(reason)))
        self.failed.append(item.id)
        await self.ledger.fail_call(key, step, item.id, reason[:2000], began)
        phase.advance(1)

    def _judge_failures(self, items: int, dropped: int) -> None:
        failed = len(self.failures)
        if not failed:
            return
        share = (failed + dropped) / items
        reason, error = self.failures[0]
        if items == 1 and isinstance(error, InstarError):
            raise error
        why = f"{failed} of {items} calls of {self.verb} ({self.op.name}) failed; the first: {reason}"
        if share > self.tolerance:
            hint = "Mend the cause and resume: the rest is kept."
            if self.verb in ("exam", "solve", "attempt"):  # their items are tasks
                hint += f' Or leave its task out for every policy: --without {self.failed[0]}="why".'
            raise StepFailed(f"{why}; at most {self.tolerance:.0%} may fail here.", hint)
        self.screen.line(f"  note: {why} (tolerated, and final)")

    def _refuse_repeats(self, ids: Sequence[str]) -> None:
        seen: set[str] = set()
        for i in ids:
            if i in seen:
                raise StepFailed(
                    f"the same input {i} was given twice to one {self.verb} step ({self.op.name}): "
                    "both would have the same key.",
                    "Give each input once; ask for more samples of it instead.",
                )
            seen.add(i)


def is_the_runs(error: BaseException) -> bool:
    """Whether it is Ctrl-C, or the run gives up this call: all else is what a call did."""
    if isinstance(error, asyncio.CancelledError):
        task = asyncio.current_task()
        return task is None or task.cancelling() > 0
    return not isinstance(error, (Exception, SystemExit))


def _is(done: Mapping[str, Any], key: str, status: str) -> bool:
    return key in done and done[key].status == status


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The one error to show: what stops a run before what merely followed from it."""
    flat: list[BaseException] = []

    def walk(g: BaseExceptionGroup[BaseException]) -> None:
        for e in g.exceptions:
            if isinstance(e, BaseExceptionGroup):
                walk(e)
            else:
                flat.append(e)

    walk(group)
    return min(flat, key=lambda e: (isinstance(e, Cancelled), not isinstance(e, InstarError)))


def by_task(attempts: Iterable[Experience]) -> dict[str, list[Experience]]:
    """Experiences by the id of their task, both in order."""
    groups: dict[str, list[Experience]] = {}
    for e in attempts:
        groups.setdefault(e.task.id, []).append(e)
    return groups
