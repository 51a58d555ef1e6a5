"""Let a later note take the place of one that it contradicts; the earlier one is history from then on.

Two notes contradict each other here where one person said, on different days, nearly the same sentence with another
ending or middle ("I live in Oslo." and "I live in Rome now."): the words at their beginning and end that agree are a
large enough share of both, and enough of them stand at the beginning. Where no blanks part words, each letter counts
as one. That is a rule of words and no understanding: it misses what is said otherwise (in Chinese long names, too), and
takes "I went to Oslo." and "I went to Rome." for a contradiction.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import ClassVar

from pydantic import Field

from instar.errors import NothingLearned
from instar.memory import value
from instar.memory.value import Memory
from instar.protocols import Update, UpdateContext
from instar.records import Experience, Note, Policy
from instar.similarity import words_of
from instar.update.memory.writing import memory_of, with_memory


class Supersede(Update):
    """Of each person's live notes, the earlier of two that share ``share`` of their words at both ends, and ``least``
    of them at the beginning, gives way to the later. Notes without a day, or of the same day, contradict nothing; nor
    do pinned ones give way.

    Raises DataError without a memory, NothingLearned where nothing is contradicted.
    """

    name: ClassVar[str] = "supersede"
    trains: ClassVar[bool] = False

    share: float = Field(default=0.6, gt=0, le=1)
    least: int = Field(default=3, ge=1)

    async def __call__(self, policy: Policy, data: Sequence[Experience], context: UpdateContext) -> Policy:
        memory = memory_of(policy, context)
        by = contradicted(memory, self.share, self.least)
        if not by:
            raise NothingLearned(f"none of {sum(1 for _ in memory.live())} notes is contradicted by a later one.")
        return with_memory(policy, value.supersede(memory, by), context, self.name)


def contradicted(memory: Memory, share: float, least: int) -> dict[str, str]:
    """Each live note that a later one contradicts, by id, to the earliest such later one."""
    groups: dict[tuple[str | None, str], list[Note]] = defaultdict(list)
    for note in memory.live():
        if note.when is not None:
            groups[note.who, note.what].append(note)
    by: dict[str, str] = {}
    for own in groups.values():
        own.sort(key=lambda n: (n.when or 0.0, n.id))
        said = [words_of(n.text) for n in own]
        for i, earlier in enumerate(own):
            if memory.state(earlier.id).pinned:
                continue
            for j in range(i + 1, len(own)):
                if (own[j].when or 0.0) > (earlier.when or 0.0) and _alike(said[i], said[j], share, least):
                    by[earlier.id] = own[j].id
                    break
    return by


def _alike(a: Sequence[str], b: Sequence[str], share: float, least: int) -> bool:
    """Whether two sentences agree at their ends and differ between."""
    if a == b:
        return False
    shorter = min(len(a), len(b))
    first = next((i for i in range(shorter) if a[i] != b[i]), shorter)
    last = next((i for i in range(shorter - first) if a[-1 - i] != b[-1 - i]), shorter - first)
    same = first + last
    return first >= least and 2 * same >= share * (len(a) + len(b))
