"""Have insights drawn from what went right and wrong: a short list that is voted on (ExpeL).

Paper: Zhao et al., *ExpeL: LLM Agents Are Experiential Learners*, arXiv 2308.10144, section 4.2. The model is shown the
list and either a failure beside a success of one task, or successes of several tasks, and answers with operations: ADD
(a new insight, count 2), AGREE (count + 1), EDIT (another text, count + 1), REMOVE (count - 1). An insight is dropped
when its count falls to 0.

An insight is a note, its count the note's strength, and its sources the answers that it was drawn from; an edited one
is a new note that supersedes the old. It is what a model wrote and nobody checked: its trust is "unknown".

Departures:
- Raw answers, never reflections on them: the paper's own ablation lost ten points to reflections (39 to 29 %).
- The list never holds more than ``most``, and while it is full a REMOVE counts 3; the paper's code lets it grow to
  ``most`` + 5 before it does, and then asks the model not to add.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar, NamedTuple

from pydantic import Field

from instar.errors import NothingLearned
from instar.fence import WARNING, fenced, mark_for
from instar.memory import value
from instar.memory.embedders import Embedder, need
from instar.memory.value import Memory
from instar.protocols import Update, UpdateContext
from instar.records import Decision, Experience, Finish, Mark, Message, Note, NoteKind, Policy, Role, Sampling, Task
from instar.similarity import normalised
from instar.update.memory.operations import Operation, read, whole_lines
from instar.update.memory.reflect import said_in
from instar.update.memory.writing import memory_of, with_memory, writer_of

GIVEN, FULL_COST = 2.0, 3.0
"""The count of a new insight, and what a REMOVE takes while the list is full."""


class Insights(Update):
    """Insights from judged answers: of each task with a right and a wrong one the two are compared, at most
    ``comparisons`` tasks; then right answers, one a task, in groups of ``group``. Each ask sees the list as the one
    before left it.

    Replies are untrusted. Read strictly, line by line, at most ``operations`` of each; a line that is no operation, an
    insight of another length, one that is there already and one that repeats 8 words in a row of a held-out task are
    dropped, with a decision on the exchange that quotes nothing; so is what a cut reply ends with.
    ``embedder``: as ``insert``.

    Raises DataError without a model to ask; NothingLearned where the list stays as it was.
    """

    name: ClassVar[str] = "insights"
    trains: ClassVar[bool] = False

    most: int = Field(default=20, ge=1)
    comparisons: int = Field(default=20, ge=0)
    group: int = Field(default=8, ge=2)
    operations: int = Field(default=4, ge=1)
    longest: int = Field(default=200, ge=20)
    embedder: Embedder = "minilm"
    sampling: Sampling = Sampling(temperature=0.0, max_tokens=160)
    compare_request: str = "Above are a wrong and a right answer to one task, and a list of insights."
    group_request: str = "Above are right answers to several tasks, and a list of insights."
    request: str = (
        "Change the list so that it helps with other tasks of this kind. Write only lines of these forms, at most "
        "{operations}:\nADD: a new insight\nEDIT 1: a better text for insight 1\nAGREE 1: insight 1 is right\n"
        "REMOVE 1: insight 1 is wrong\nAn insight is one general sentence that names no single task."
    )

    def prepare(self, tasks: Mapping[str, Sequence[Task]]) -> None:
        """Raises ConfigError where the embedding model is not installed."""
        need(self.embedder)

    async def __call__(self, policy: Policy, data: Sequence[Experience], context: UpdateContext) -> Policy:
        before, writer = memory_of(policy, context, self.embedder), writer_of(context)
        memory = before
        shown = [*_compared(data, self.comparisons), *_grouped(data, self.group)]
        for done, (answers, compared) in enumerate(shown, start=1):
            rules = ranked(memory)
            prompt = self._prompt(answers, rules, self.compare_request if compared else self.group_request)
            with context.timed("generate"):
                (reply,) = await writer.ask(prompt, sampling=self.sampling)
            text = reply.text if reply.finish is Finish.stop else whole_lines(reply.text)
            wanted, dropped = read(text, shown=len(rules), most=self.operations, longest=self.longest)
            leaks = context.leaks([o.text for o in wanted])
            dropped += ["it repeats words of a task that is held out" for leaked in leaks if leaked]
            kept = [o for o, leaked in zip(wanted, leaks, strict=True) if not (leaked and o.text)]
            sources = tuple(dict.fromkeys(e.id for e in answers))
            memory, unfit = applied(memory, rules, kept, sources, self.most)
            context.decide(
                Decision(item=said_in(reply), kept=False, reason=f"no insight: {reason}")
                for reason in (*dropped, *unfit)
            )
            context.progress(done, len(shown))
        if memory is before:
            raise NothingLearned(f"{len(shown)} comparisons left the list of insights as it was.")
        return with_memory(policy, memory, context, self.name)

    def _prompt(self, answers: Sequence[Experience], rules: Sequence[Note], about: str) -> tuple[Message, ...]:
        texts = [f"Task: {e.task.question}\nAnswer: {e.solution.text}" for e in answers]
        listed = "\n".join(f"{i}. {n.text}" for i, n in enumerate(rules, start=1)) or "(empty)"
        mark = mark_for(*texts, listed)
        labels = [e.feedback.mark.value if e.feedback else "answer" for e in answers]
        blocks = [fenced(label, text, mark) for label, text in zip(labels, texts, strict=True)]
        asked = [*blocks, fenced("insights", listed, mark), WARNING.format(mark=mark)]
        request = self.request.replace("{operations}", str(self.operations))
        return (Message(role=Role.user, content="\n\n".join([*asked, f"{about} {request}"])),)


class _Shown(NamedTuple):
    answers: tuple[Experience, ...]
    compared: bool
    """A wrong answer beside a right one, and not several right ones."""


def ranked(memory: Memory) -> list[Note]:
    """The insights that hold, the most agreed on first; of equal ones the earlier."""
    live = [n for n in memory.live() if n.what is NoteKind.insight]
    return sorted(live, key=lambda n: -memory.state(n.id).strength)


def applied(
    memory: Memory, rules: Sequence[Note], wanted: Sequence[Operation], sources: tuple[str, ...], most: int
) -> tuple[Memory, list[str]]:
    """The memory after these operations on the list ``rules`` that was shown, in their order, and why each that
    changes nothing does not."""
    unfit: list[str] = []
    for kind, number, text in wanted:
        live = ranked(memory)
        rule = None if number is None else rules[number - 1]
        if rule is not None and rule.id not in {n.id for n in live}:
            unfit.append(f"{kind} of an insight that was removed or edited before")
            continue
        if rule is not None and kind in ("EDIT", "REMOVE") and memory.state(rule.id).pinned:
            unfit.append(f"{kind} of an insight that is pinned")
            continue
        same = next((n for n in live if text and normalised(n.text) == normalised(text)), None)
        if kind == "EDIT" and same is not None:
            kind, rule = "AGREE", same  # as in ExpeL's code
        if rule is None:  # ADD
            note = _note(text, sources)
            if same is not None or note.id in memory.notes:
                unfit.append("ADD of an insight that is or was there already")
            elif len(live) >= most:
                unfit.append(f"ADD to a list of {most} that is full")
            else:
                memory = _counted(value.insert(memory, [note]), note, GIVEN)
        elif kind == "REMOVE":
            count = memory.state(rule.id).strength - (FULL_COST if len(live) >= most else 1.0)
            gone = {rule.id: "its count fell to 0"}
            memory = value.forget(memory, gone) if count <= 0 else _counted(memory, rule, count)
        elif kind == "AGREE":
            memory = _counted(memory, rule, memory.state(rule.id).strength + 1)
        else:
            note = _note(text, (rule.id, *sources))
            if note.id in memory.notes:
                unfit.append("EDIT to an insight that was there already")
                continue
            memory = _counted(value.insert(memory, [note]), note, memory.state(rule.id).strength + 1)
            memory = value.supersede(memory, {rule.id: note.id})
    return memory, unfit


def _note(text: str, sources: tuple[str, ...]) -> Note:
    return Note(what=NoteKind.insight, text=text, made_from=sources).identified()


def _counted(memory: Memory, note: Note, count: float) -> Memory:
    return value.changed(memory, {note.id: memory.state(note.id).model_copy(update={"strength": count})})


def _marked(data: Sequence[Experience], mark: Mark) -> dict[str, Experience]:
    """By task, its first answer that is marked so and says something."""
    found: dict[str, Experience] = {}
    for e in data:
        if e.feedback is not None and e.feedback.mark is mark and e.solution.text.strip():
            found.setdefault(e.task.id, e)
    return found


def _compared(data: Sequence[Experience], most: int) -> Iterator[_Shown]:
    right, wrong = _marked(data, Mark.right), _marked(data, Mark.wrong)
    both = [task for task in right if task in wrong]
    return (_Shown((wrong[task], right[task]), True) for task in both[:most])


def _grouped(data: Sequence[Experience], size: int) -> Iterator[_Shown]:
    right = tuple(_marked(data, Mark.right).values())
    return (_Shown(right[i : i + size], False) for i in range(0, len(right) - size + 1, size))
