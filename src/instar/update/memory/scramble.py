"""Memories to compare with: as large as the real one and of no use. "Memory helped" is said only beside these."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Sequence
from typing import ClassVar, Literal

from pydantic import Field

from instar.errors import NothingLearned
from instar.memory import value
from instar.memory.value import Memory
from instar.protocols import Update, UpdateContext
from instar.records import Experience, Note, Policy
from instar.update.memory.writing import memory_of, with_memory


class Scramble(Update):
    """A control: "wrong" gives each person another's notes (as many kinds of facts, other values); "random" leaves each
    person one note, by lot, which is then all that can be recalled. Never for promotion.

    Raises DataError without a memory, NothingLearned for "wrong" where only one person has notes.
    """

    name: ClassVar[str] = "scramble"
    trains: ClassVar[bool] = False

    how: Literal["wrong", "random"] = "wrong"
    seed: int = Field(default=0, ge=0)

    async def __call__(self, policy: Policy, data: Sequence[Experience], context: UpdateContext) -> Policy:
        memory = memory_of(policy, context)
        own: dict[str | None, list[Note]] = defaultdict(list)
        for note in memory.live():
            own[note.who].append(note)
        people = sorted(own, key=str)
        luck = random.Random(self.seed)
        if self.how == "random":
            notes = [luck.choice(own[who]) for who in people]
        elif len(people) < 2:
            raise NothingLearned("one person's notes cannot be given to another: there is only one.")
        else:
            luck.shuffle(people)
            notes = [
                note.model_copy(update={"who": to, "made_from": (note.id,)}).identified()
                for who, to in zip(people, [*people[1:], people[0]], strict=True)
                for note in own[who]
                if note.text not in {n.text for n in own[to]}  # what is true of both would be right by chance
            ]
        return with_memory(policy, value.insert(Memory(embedder=memory.embedder), notes), context, self.name)
