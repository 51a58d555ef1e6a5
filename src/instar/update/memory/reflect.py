"""Have days summed up and people portrayed, by the policy itself or whoever plays the reflector.

MemoryBank (Zhong et al., arXiv 2305.10250, section 2.1): a summary of each day's talk, and from those a portrait of the
person. What a model wrote is believed by nobody: its notes have the trust "unknown" and name what they were made from.

Departures: the paper's daily portraits are left out, the one portrait is made from the summaries; its code writes a
summary of all days too, which none of its templates shows.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar, NamedTuple

from pydantic import Field

from instar.errors import NothingLearned
from instar.fence import WARNING, fenced, mark_for
from instar.memory import value
from instar.memory.value import Memory
from instar.protocols import Model, Update, UpdateContext
from instar.records import Decision, Experience, Finish, Message, Note, NoteKind, Policy, Reply, Role, Sampling, Trust
from instar.update.memory.writing import memory_of, with_memory, writer_of

EMPTY, CUT = "not remembered: nothing was written", "not remembered: it was cut before its end"
LEAKED = "not remembered: it repeats words of a task that is held out"


class Reflect(Update):
    """A ``summary`` note of each person's day with live events of these ``trust``, and with ``portrait`` a note of what
    its summaries say of the person. A day or person of which nothing is new is not asked about again; what is written
    anew takes the place of what was written before, unless that is pinned.

    Notes stand between marks, as material. A reply that is empty, cut, longer than ``longest`` characters or repeats 8
    words in a row of a held-out task is dropped, with a decision on its exchange. The paper samples at 0.7 with 400
    tokens; greedy and short here.

    Raises DataError without a memory, or without a model to ask; NothingLearned where nothing new was written.
    """

    name: ClassVar[str] = "reflect"
    trains: ClassVar[bool] = False

    portrait: bool = True
    trust: tuple[Trust, ...] = (Trust.told, Trust.verified)
    longest: int = Field(default=600, ge=1)
    sampling: Sampling = Sampling(temperature=0.0, max_tokens=96)
    day_request: str = "Sum up in one or two sentences what this person said on this day. Write nothing else."
    portrait_request: str = (
        "Describe this person in one or two sentences: what they are like and what matters to them. Write nothing else."
    )

    async def __call__(self, policy: Policy, data: Sequence[Experience], context: UpdateContext) -> Policy:
        before, writer = memory_of(policy, context), writer_of(context)
        events = (n for n in before.live() if n.what is NoteKind.event and n.when is not None and n.trust in self.trust)
        after = await self._written(before, NoteKind.summary, _grouped(events, by_day=True), writer, context)
        if self.portrait:
            summaries = (n for n in after.live() if n.what is NoteKind.summary)
            after = await self._written(after, NoteKind.portrait, _grouped(summaries, by_day=False), writer, context)
        if after is before:
            raise NothingLearned("no day and no person has anything new that could be summed up.")
        return with_memory(policy, after, context, self.name)

    async def _written(
        self, memory: Memory, what: NoteKind, groups: Mapping[_Of, Sequence[Note]], writer: Model,
        context: UpdateContext,
    ) -> Memory:  # fmt: skip
        """The memory with what is written of each group that is not written of yet, instead of what was before."""
        former = {_of(n, by_day=what is NoteKind.summary): n for n in memory.live() if n.what is what}
        same = {of for of, n in former.items() if n.made_from == _ids(groups.get(of, ())) or memory.state(n.id).pinned}
        todo = [(of, own) for of, own in groups.items() if of not in same]
        request = self.day_request if what is NoteKind.summary else self.portrait_request
        asked = [writer.ask(_prompt(request, own), sampling=self.sampling) for _, own in todo]
        with context.timed("generate"):
            replies = [reply for (reply,) in await asyncio.gather(*asked)]
        texts = [" ".join(r.text.split()) for r in replies]
        gave_way: dict[str, str] = {}
        notes = []
        for (of, own), reply, text, leaks in zip(todo, replies, texts, context.leaks(texts), strict=True):
            reason = LEAKED if leaks else self._unfit(text, reply)
            if reason is not None:
                context.decide([Decision(item=said_in(reply), kept=False, reason=reason)])
                continue
            day = of.day if of.day is not None else max(n.when or 0.0 for n in own)
            note = Note(what=what, text=text, made_from=_ids(own), when=day, who=of.who or None).identified()
            notes.append(note)
            if of in former and former[of].id != note.id:
                gave_way[former[of].id] = note.id
        return value.supersede(value.insert(memory, notes), gave_way)

    def _unfit(self, text: str, reply: Reply) -> str | None:
        if not text:
            return EMPTY
        if reply.finish is not Finish.stop:
            return CUT
        return f"not remembered: longer than {self.longest} characters" if len(text) > self.longest else None


class _Of(NamedTuple):
    """What is summed up: a person's day, or (without a day) the person."""

    who: str
    day: float | None


def said_in(reply: Reply) -> str:
    """Where a reply is journalled: what a decision on it is about."""
    return reply.said.exchange if reply.said is not None else ""


def _of(note: Note, *, by_day: bool) -> _Of:
    return _Of(note.who or "", note.when if by_day else None)


def _grouped(notes: Iterable[Note], *, by_day: bool) -> dict[_Of, list[Note]]:
    """Notes by what they are of: person by person, day by day, in the order in which they were remembered."""
    groups: dict[_Of, list[Note]] = defaultdict(list)
    for note in sorted(notes, key=lambda n: (n.who or "", n.when or 0.0)):
        groups[_of(note, by_day=by_day)].append(note)
    return groups


def _ids(notes: Sequence[Note]) -> tuple[str, ...]:
    return tuple(n.id for n in notes)


def _prompt(request: str, notes: Sequence[Note]) -> tuple[Message, ...]:
    text = "\n".join(f"Day {n.when:g}: {n.text}" for n in notes)
    mark = mark_for(text)
    asked = f"{fenced('diary', text, mark)}\n\n{WARNING.format(mark=mark)}\n\n{request}"
    return (Message(role=Role.user, content=asked),)
