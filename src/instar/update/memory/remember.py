"""Remember what work on tasks left behind: solved tasks as examples, or the reflections that led to an answer.

The experience pool of ExpeL (Zhao et al., arXiv 2308.10144, section 4.1) keeps the successful trajectories; Reflexion's
reflections (Shinn et al., arXiv 2303.11366) end with their task, unless this makes notes of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar, Literal

from pydantic import Field

from instar.errors import NothingLearned
from instar.memory import value
from instar.memory.embedders import Embedder, need
from instar.memory.examples import example_text
from instar.protocols import Update, UpdateContext
from instar.records import Decision, Experience, Mark, Note, NoteKind, Policy, Task, Trust, TurnKind
from instar.update.memory.writing import memory_of, with_memory


class Remember(Update):
    """A note of each task's first answer that is ``marked`` so: "examples", the question and the answer, or
    "reflections", the last one before that answer. Its day and person are the task's.

    An example is ``verified``. One that is marked "wrong" is, too: it is for a control, which would not be shown it
    otherwise, and for nothing else. A reflection is what a model wrote, and ``unknown``. What a model wrote that
    repeats 8 words in a row of a held-out task, what is longer than ``longest`` characters and what cannot be read back
    is dropped, with a decision. An example's question is not looked at for that: it is a training task's, which was
    proved to be no held-out one and may share its form with them. ``embedder``: as ``insert``.

    Raises DataError for another embedder than the memory's, NothingLearned where no note is new.
    """

    name: ClassVar[str] = "remember"
    trains: ClassVar[bool] = False

    take: Literal["examples", "reflections"] = "examples"
    marked: Literal["right", "wrong"] = "right"
    embedder: Embedder = "minilm"
    longest: int = Field(default=1_000, ge=1)

    def prepare(self, tasks: Mapping[str, Sequence[Task]]) -> None:
        """Raises ConfigError where the embedding model is not installed."""
        need(self.embedder)

    async def __call__(self, policy: Policy, data: Sequence[Experience], context: UpdateContext) -> Policy:
        before = memory_of(policy, context, self.embedder)
        found = list(self._found(data))
        notes = []
        written = [e.solution.text if self.take == "examples" else text or "" for e, text in found]
        for (e, text), leaks in zip(found, context.leaks(written), strict=True):
            reason = self._unfit(text, leaks=leaks)
            if reason is None and text is not None:
                notes.append(self._note(e, text))
            else:
                context.decide([Decision(item=e.id, kept=False, reason=f"not remembered: {reason}")])
        after = value.insert(before, notes)
        if after is before:
            raise NothingLearned(f"no note is new: {len(found)} answers came with {self.take}, {len(notes)} are fit.")
        return with_memory(policy, after, context, self.name)

    def _found(self, data: Sequence[Experience]) -> Iterator[tuple[Experience, str | None]]:
        seen: set[str] = set()
        for e in data:
            if e.feedback is None or e.feedback.mark is not Mark(self.marked) or e.task.id in seen:
                continue
            written = [t.text for t in e.solution.turns if t.kind is TurnKind.critique]
            if self.take == "reflections" and not written:
                continue
            seen.add(e.task.id)
            example = example_text(e.task.question, e.solution.text)
            yield e, example if self.take == "examples" else " ".join(written[-1].split())

    def _unfit(self, text: str | None, *, leaks: bool) -> str | None:
        if not text:
            return "there is nothing that could be read back"
        if len(text) > self.longest:
            return f"longer than {self.longest} characters"
        return "it repeats words of a task that is held out" if leaks else None

    def _note(self, e: Experience, text: str) -> Note:
        example = self.take == "examples"
        return Note(
            what=NoteKind.demonstration if example else NoteKind.reflection, text=text,
            made_from=(e.task.id, e.solution.id), when=e.task.when, who=e.task.who,
            trust=Trust.verified if example else Trust.unknown,
        ).identified()  # fmt: skip
