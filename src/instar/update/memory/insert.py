"""Remember what was told: a note of each experience, dated by it, believed as far as it was checked.

The store of MemoryBank (Zhong et al., arXiv 2305.10250, section 2.1). Departures: what is in an exam is not remembered
(runs of 8 words, as gauntlet-guard scans memories); the same note twice is one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal

from pydantic import Field

from instar.errors import DataError, NothingLearned
from instar.memory import value
from instar.memory.embedders import Embedder, need
from instar.protocols import Update, UpdateContext
from instar.records import Decision, Experience, Mark, Note, NoteKind, Policy, Task, Trust
from instar.update.memory.writing import memory_of, with_memory


class Insert(Update):
    """A note of each experience: what the task says (``take`` "told") or what was answered ("answered"), of kind
    ``what``. Its day and its person are the task's; it is ``verified`` if it is an answer that a verifier called right,
    ``told`` if somebody said it. ``embedder`` is what the memory is searched by for good: "minilm" (English, the extra
    hygiene), "e5" (100 languages, the extra multilingual) or "words" (spellings, needs nothing).

    A text that holds 8 words in a row of a held-out task is dropped, with a decision that does not quote it. One longer
    than ``longest`` characters is refused: it is no note.

    Raises DataError for an experience without a text, or another embedder than the memory's; NothingLearned where no
    note is new.
    """

    name: ClassVar[str] = "insert"
    trains: ClassVar[bool] = False

    what: NoteKind = NoteKind.event
    take: Literal["told", "answered"] = "told"
    embedder: Embedder = "minilm"
    longest: int = Field(default=1_000, ge=1)

    def prepare(self, tasks: Mapping[str, Sequence[Task]]) -> None:
        """Raises ConfigError where the embedding model is not installed."""
        need(self.embedder)

    async def __call__(self, policy: Policy, data: Sequence[Experience], context: UpdateContext) -> Policy:
        before = memory_of(policy, context, self.embedder)
        notes = [self._note(e) for e in data]
        leaks = context.leaks([n.text for n in notes])
        context.decide(
            Decision(item=e.id, kept=False, reason="not remembered: it repeats words of a task that is held out")
            for e, leaked in zip(data, leaks, strict=True)
            if leaked
        )
        after = value.insert(before, [n for n, leaked in zip(notes, leaks, strict=True) if not leaked])
        if after is before:
            raise NothingLearned(f"no note is new: {len(notes)} were told, {sum(leaks)} of them of held-out tasks.")
        return with_memory(policy, after, context, self.name)

    def _note(self, e: Experience) -> Note:
        text = (e.task.question if self.take == "told" else e.solution.text).strip()
        if not 0 < len(text) <= self.longest:
            raise DataError(
                f"what {e.id} would leave as a note has {len(text)} characters; a note has 1 to {self.longest}.",
                "Filter the experiences first, or set longest.",
            )
        right = e.feedback is not None and e.feedback.mark is Mark.right
        trust = Trust.told if self.take == "told" else Trust.verified if right else Trust.unknown
        source = (e.task.id, e.solution.id)
        return Note(
            what=self.what, text=text, made_from=source, when=e.task.when, who=e.task.who, trust=trust
        ).identified()
