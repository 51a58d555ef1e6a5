"""A model at hand inside a verb: bound to one policy and one call's key, journalled, budgeted, retried, checked."""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from instar.errors import Cancelled, CannotContinue, ConfigError, EngineError, StepFailed
from instar.legible import kept, storable, unwritten
from instar.memory.library import Library
from instar.protocols import Engine, Found, Query, Routes
from instar.records import Exchange, Message, Policy, Reply, Said, Sampling, ToolCall, ToolSpec, canonical_json, hash_of
from instar.records.exchange import SELF, ask_key, border_key, seed_of
from instar.records.exchange import ask_hash as ask_hash
from instar.run.budget import BudgetTracker
from instar.run.recalling import recall
from instar.store.crossings import Crossing
from instar.store.ledger import Ledger
from instar.store.readers.branches import begun_in_turn

TRIES = 4
FIRST_PAUSE = 0.2  # seconds before the second try; doubled each time


@dataclass(frozen=True)
class Handle:
    """A policy and the precision it answers in: what a recipe passes to verbs. It cannot be asked itself."""

    policy: Policy
    precision: str

    async def ask(self, messages: Sequence[Message], *, n: int = 1, sampling: Sampling) -> list[Reply]:
        raise EngineError("a model can be asked only inside an operator, where the call has a key.")


Handles = Mapping[str, Handle]
"""Who is at hand: role to policy."""


def handles(engine: Engine, policy: Policy, roles: Mapping[str, Policy], precision: str) -> Handles:
    """Who is at hand: ``policy`` as "self", at ``precision``, and who plays the other roles. Raises ConfigError."""
    if SELF in roles:
        raise ConfigError(f'the role "{SELF}" is the policy that is asked to act.', "Name the other role otherwise.")
    beside = engine.precision_beside if isinstance(engine, Routes) else lambda _, same: same
    return {SELF: Handle(policy, precision)} | {r: Handle(p, beside(p, precision)) for r, p in roles.items()}


@dataclass
class GenerateContext:
    """What all asks of one run share."""

    engine: Engine
    ledger: Ledger
    budget_tracker: BudgetTracker
    stopped: asyncio.Event
    accept_changes: bool = False
    """Ask again where the journal holds the answer to another question (the user accepted a changed operator)."""
    asked: int = 0
    """Asks this session really sent to the engine."""
    replayed: int = 0
    """Asks this session answered from the journal."""
    finished: set[str] = field(default_factory=set)
    """Calls of this session that gave no score: they are made again in a later one, never in this."""
    library: Library | None = None
    """The memories that policies recall from."""
    updated: dict[tuple[int, str, str], str] = field(default_factory=dict)
    """By round, operator and data, the first policy that was updated with them."""


@dataclass
class BoundModel:
    """Implements ``protocols.Model`` for one call. Operators see neither key nor seed."""

    policy: Policy
    precision: str
    step: str
    call: str
    shared: GenerateContext
    journalled: Mapping[str, tuple[str, tuple[Reply, ...]]]
    role: str = SELF
    remade: bool = False
    """Whether its call had finished, gave no score, and is made again (``run.again``)."""
    tokens: int = 0
    given: list[Reply] = field(default_factory=list)
    """What it answered so far, in order."""
    crossed: Counter[tuple[str, str]] = field(default_factory=Counter)
    """How often the call did what else it does, by branch and kind: one count for all its roles."""
    within: str = ""
    """The branch of the call that it is in; "" outside of any."""
    branches: list[BoundModel] = field(default_factory=list)
    """Those that went off from here, in the order in which they began."""
    parts: dict[str, BoundModel] = field(default_factory=dict)
    """The same model in the other roles that it plays here."""
    _turn: int = field(default=0)
    _replayed: bool = field(default=False)

    def branch(self, name: str) -> BoundModel:
        """As ``protocols.Branches``."""
        within = self._inside(name)
        if self.has_branch(name):
            raise StepFailed(f"the branch {within!r} of call {self.call} was begun twice: both would have one key.")
        made = replace(self, within=within, branches=[], given=[], parts={}, tokens=0, _turn=0, _replayed=False)
        self.branches.append(made)
        return made

    def acting_as(self, role: str) -> BoundModel:
        """As ``protocols.Parts``: the same model each time, so that its asks are counted on."""
        if role == self.role:
            return self
        if role not in self.parts:
            fresh: dict[str, Any] = {"branches": [], "given": [], "parts": {}, "tokens": 0, "_turn": 0}
            self.parts[role] = replace(self, role=role, **fresh, _replayed=False)
        return self.parts[role]

    def has_branch(self, name: str) -> bool:
        """As ``protocols.Branches``."""
        return any(b.within == self._inside(name) for b in self.branches)

    def _inside(self, name: str) -> str:
        return f"{self.within}/{name}" if self.within else name

    def begun_in_turn(self) -> bool:
        """As ``protocols.Branches``: more is journalled in no branch than was asked and done so far, and in branches
        nothing."""
        if not self._replayed or self.within:
            return False
        crossed = sum(n for (within, _), n in self.crossed.items() if not within)
        return begun_in_turn(
            self.shared.ledger, self.call, crossed, ask_key(self.call, self._turn, self.role) in self.journalled
        )

    def all_given(self) -> list[Reply]:
        """What it answered, here, in its other roles, and then in each of its branches, in whatever order these
        ended."""
        return [*self.given, *(r for b in (*self.parts.values(), *self.branches) for r in b.all_given())]

    def all_tokens(self) -> int:
        """Tokens that it made, those of its other roles and of its branches too."""
        return self.tokens + sum(b.all_tokens() for b in (*self.parts.values(), *self.branches))

    async def ask(self, messages: Sequence[Message], *, n: int = 1, sampling: Sampling) -> list[Reply]:
        turn, self._turn = self._turn, self._turn + 1
        key = ask_key(self.call, turn, self.role, self.within)
        messages = [_legible(m) for m in messages]
        ask = ask_hash(messages, n, sampling, self.policy.id, self.precision)
        if key in self.journalled:
            was, replies = self.journalled[key]
            # before half emojis were written out, they were asked as they were
            if was == ask or was == ask_hash(
                [_as_before(m) for m in messages], n, sampling, self.policy.id, self.precision
            ):
                self.shared.replayed += 1
                self._replayed = True
                return self._give(key, replies)
            if not self.shared.accept_changes:
                raise CannotContinue(
                    f"turn {turn} of call {self.call}{self._where()} asked something else when this run was first "
                    "made: an operator changed since.",
                    "Start a new run, or resume with --accept-changes to ask this again.",
                )
        if self.shared.stopped.is_set():
            raise Cancelled("the run was asked to stop.")
        self.shared.budget_tracker.check()
        self.shared.budget_tracker.spend(calls=1)  # before the ask: those in flight count too
        began = time.monotonic()
        try:
            replies = tuple(await self._ask_with_retries(messages, n, sampling, seed_of(key)))
            self._refuse_strangers(replies, n)
            replies = tuple(_told(r) for r in replies)
        except BaseException:
            self.shared.budget_tracker.spend(calls=-1)
            raise
        made = sum(r.tokens for r in replies)
        self.tokens += made
        self.shared.asked += 1
        self.shared.budget_tracker.spend(tokens=made)
        exchange = Exchange(
            id=key, call=self.call, turn=turn, role=self.role, ask=ask, messages=tuple(messages), sampling=sampling,
            seed=seed_of(key), policy=self.policy.id, weights=self.policy.weights.digest, engine=replies[0].engine,
            precision=self.precision, prompt=replies[0].prompt, replies=replies,
            branch=self.within or None,
        )  # fmt: skip
        await self.shared.ledger.add_exchange(exchange, self.step, time.monotonic() - began)
        return self._give(key, replies)

    async def cross(
        self, kind: str, asked: Any, work: Callable[[], Awaitable[Any]], *, again: bool = True,
        says: Callable[[Any], bool] | None = None,
    ) -> Any:  # fmt: skip
        """As ``borders.crossing``. What it gives is plain data, the same now and when it is replayed."""
        n = self.crossed[self.within, kind]
        self.crossed[self.within, kind] += 1
        given = canonical_json(kept(asked))
        key = border_key(self.call, kind, n, self.within)
        here = Crossing(key, self.step, self.call, kind, n, given, None, self.within or None)
        before = self.shared.ledger.crossing(here.key)
        if before is not None and before.asked != given:
            if not self.shared.accept_changes:
                raise CannotContinue(
                    f"{kind} {n} of call {self.call}{self._where()} was another when this run was first made: an "
                    "operator changed since.",
                    "Start a new run, or resume with --accept-changes to do this again.",
                )
            before = None
        if before is not None and before.said is not None:
            was = json.loads(before.said)
            if not (self.remade and again and says is not None and not says(was)):
                return was
        if not again:
            if before is not None:
                raise StepFailed(
                    f"{kind} {n} of call {self.call}{self._where()} ({given:.80}) was begun and is not known "
                    "to have ended: it may have had effects, and is not done again.",
                )
            await self.shared.ledger.add_crossing(here)
        if self.shared.stopped.is_set():
            raise Cancelled("the run was asked to stop.")
        said = canonical_json(kept(await work()))
        await self.shared.ledger.add_crossing(replace(here, said=said))
        return json.loads(said)

    async def score(self, messages: Sequence[Message], replies: Sequence[Reply]) -> list[float]:
        """As ``protocols.Scores``: a crossing of the kind "score", done once."""
        shown = [_legible(m).model_dump(mode="json") for m in messages]
        asked = {"of": hash_of("scored", shown, [[r.text, r.token_ids] for r in replies], self.policy.id, self.role)}

        async def work() -> list[float]:
            self.shared.budget_tracker.check()
            engine, acting = self.shared.engine, self.policy.acting(self.role)
            found = await engine.score(acting, messages, replies, precision=self.precision)
            return [math.fsum(logps) for logps in found]

        return [float(x) for x in await self.cross("score", asked, work)]

    async def recall(self, query: Query) -> Sequence[Found]:
        """As ``memory.at_hand.recalled``."""
        if self.policy.memory is None or self.shared.library is None:
            return ()
        return await recall(self.cross, self.policy.memory, query, self.shared.library)

    def _where(self) -> str:
        return f" in its branch {self.within}" if self.within else ""

    def _give(self, key: str, replies: Sequence[Reply]) -> list[Reply]:
        """The replies as an operator gets them, whether they were just made or are replayed: each knows where it is
        journalled."""
        given = [
            r.model_copy(update={"said": Said(exchange=key, reply=i), "prompt": None}) for i, r in enumerate(replies)
        ]
        self.given += given
        return given

    async def _ask_with_retries(
        self, messages: Sequence[Message], n: int, sampling: Sampling, seed: int
    ) -> Sequence[Reply]:
        """The flaky boundary: a transient failure is tried again, with a growing pause, with the same seed."""
        for attempt in range(TRIES):
            try:
                return await self.shared.engine.ask(
                    self.policy.acting(self.role), messages, n=n, sampling=sampling, seed=seed, precision=self.precision
                )
            except EngineError as e:
                if not e.transient or attempt == TRIES - 1:
                    raise
                await asyncio.sleep(FIRST_PAUSE * 2**attempt)
        raise AssertionError("unreachable")

    def _refuse_strangers(self, replies: Sequence[Reply], n: int) -> None:
        """Generators that silently keep old weights are a known plague: every reply must carry this policy, and the
        adapter of this role."""
        if len(replies) != n:
            raise EngineError(f"engine {self.shared.engine.name} gave {len(replies)} replies where {n} were asked.")
        for r in replies:
            if r.policy != self.policy.id:
                raise EngineError(
                    f"engine {self.shared.engine.name} answered with policy {r.policy} when {self.policy.id} was asked."
                )
            if r.adapter != (adapter := self.policy.adapters.get(self.role)):
                raise EngineError(
                    f"engine {self.shared.engine.name} answered with the adapter {r.adapter} where the role "
                    f"{self.role} has {adapter}."
                )
            if not all(0 <= count < 2**53 for count in (r.tokens, r.prompt_tokens)):
                raise EngineError(
                    f"engine {self.shared.engine.name} says that a reply has {r.tokens!r:.40} tokens to a prompt of "
                    f"{r.prompt_tokens!r:.40}."
                )


def _legible(message: Message) -> Message:
    """A message that every tokenizer can read: it may quote a program's output."""
    text = storable(message.content)
    message = message if text is message.content else message.model_copy(update={"content": text})
    if not message.typed:
        return message
    calls = [ToolCall(name=storable(c.name), arguments=storable(c.arguments)) for c in message.calls]
    told = [
        ToolSpec(name=storable(t.name), about=storable(t.about), parameters=storable(t.parameters))
        for t in message.tools
    ]
    of = None if message.result_of is None else storable(message.result_of)
    return message.model_copy(update={"calls": tuple(calls), "result_of": of, "tools": tuple(told)})


def _as_before(message: Message) -> Message:
    text = unwritten(message.content)
    return message if text == message.content else message.model_copy(update={"content": text})


def _told(reply: Reply) -> Reply:
    """A reply that the journal can hold, whatever an engine made of a model's bytes."""
    text = storable(reply.text)
    return reply if text is reply.text else reply.model_copy(update={"text": text})
