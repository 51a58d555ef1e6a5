"""Updates of a memory: what is kept, what gives way, what fades, and what must never be remembered."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, ClassVar, cast

import pytest

from instar.errors import DataError, NothingLearned
from instar.memory import kept, value
from instar.memory.trust import derived_note
from instar.memory.value import Memory
from instar.protocols import Update, UpdateContext
from instar.records import (
    Decision,
    Experience,
    Feedback,
    Finish,
    Mark,
    Message,
    NoteKind,
    Policy,
    Role,
    Sampling,
    Solution,
    Task,
    Trust,
    Turn,
)
from instar.scripted_world import base_policy
from instar.similarity import shared_words
from instar.store.artefacts import Artefacts
from instar.update.memory.forget import Forget
from instar.update.memory.insert import Insert
from instar.update.memory.scramble import Scramble
from instar.update.memory.strengthen import Strengthen
from instar.update.memory.supersede import Supersede
from instar.update.memory.writing import LEAKED, memory_of, with_memory

EXAM = "Which of the seven old bridges over the river was built before the great fire of the city?"


class Context:
    """An update context with a real store; ``EXAM`` is held out."""

    def __init__(self, root: Path) -> None:
        self.artefacts, self.scratch = Artefacts(root / "store"), root / "scratch"
        self.told: list[Any] = []
        self.decided: list[Decision] = []

    def learned(self, turns: Iterable[Any]) -> None:
        self.told += turns

    def leaks(self, texts: Sequence[str]) -> list[bool]:
        return [found is not None for found in shared_words(texts, [EXAM], words=8)]

    def decide(self, decisions: Iterable[Decision]) -> None:
        self.decided += decisions

    def make(self, op: Update, policy: Policy, data: Sequence[Experience]) -> Policy:
        return asyncio.run(op(policy, data, cast(UpdateContext, self)))

    def memory(self, policy: Policy) -> Memory:
        assert policy.memory is not None
        return kept.read(self.artefacts, policy.memory)


@pytest.fixture
def context(tmp_path: Path) -> Context:
    return Context(tmp_path)


def said(text: str, day: float | None = 0, who: str = "anna", *, answer: str = "Noted.", right: bool | None = None,
         memories: tuple[str, ...] = ()) -> Experience:  # fmt: skip
    task = Task(
        id=f"t:{who}:{day}:{text}", messages=(Message(role=Role.user, content=text),), ability="diary", canonical=text,
        source="test", when=day, who=who,
    )  # fmt: skip
    solution = Solution(
        id=f"s:{task.id}", task=task.id, turns=(Turn(text=answer),), policy="p", engine="e", precision="exact",
        sampling=Sampling(), finish=Finish.stop, memories=memories,
    )  # fmt: skip
    mark = Mark.right if right else Mark.wrong
    feedback = (
        None if right is None else Feedback(solution=solution.id, score=float(right), mark=mark, source="verifier")
    )
    return Experience(task=task, solution=solution, feedback=feedback)


WORDS = Insert(embedder="words")
DIARY = (said("I live in Oslo.", 1), said("My cat is called Miso.", 2), said("I live in Rome now.", 5))


def live(memory: Memory) -> list[str]:
    return [n.text for n in memory.live()]


def test_what_was_told_is_a_note_with_its_day_its_person_and_its_source(context: Context) -> None:
    made = context.make(WORDS, base_policy(), DIARY)
    note = next(iter(context.memory(made).notes.values()))
    assert (note.text, note.when, note.who, note.trust) == ("I live in Oslo.", 1, "anna", Trust.told)
    assert note.made_from == (DIARY[0].task.id, DIARY[0].solution.id)
    assert (made.weights, made.parent, made.made_by) == (base_policy().weights, base_policy().id, "insert")
    assert made.id == made.identified().id != base_policy().id
    assert context.told == []


def test_an_answer_is_believed_as_far_as_it_was_checked(context: Context) -> None:
    op = Insert(embedder="words", take="answered", what=NoteKind.insight)
    made = context.make(op, base_policy(), [said("a", answer="x", right=True), said("b", answer="y")])
    assert {(n.text, n.trust, n.what) for n in context.memory(made).live()} == {
        ("x", Trust.verified, NoteKind.insight), ("y", Trust.unknown, NoteKind.insight),
    }  # fmt: skip


def test_what_is_in_an_exam_is_dropped_with_a_reason_that_quotes_nothing(context: Context) -> None:
    made = context.make(WORDS, base_policy(), [*DIARY, said(f"They asked me: {EXAM}")])
    assert live(context.memory(made)) == [e.task.question for e in DIARY]
    (dropped,) = context.decided
    assert not dropped.kept
    assert not set(EXAM.lower().split()) & set(dropped.reason.split()) - {"of", "the", "was"}


class Summarise(Update):
    """An update as somebody else would write it: a note made of all notes that hold."""

    name: ClassVar[str] = "summarise_for_a_test"
    trains: ClassVar[bool] = False
    text: str
    trust: Trust | None = None

    async def __call__(self, policy: Policy, data: Sequence[Experience], context: UpdateContext) -> Policy:
        memory = memory_of(policy, context)
        note = derived_note(NoteKind.summary, self.text, list(memory.live()))
        if self.trust is not None:
            note = note.model_copy(update={"trust": self.trust}).identified()
        return with_memory(policy, value.insert(memory, [note]), context, self.name)


def test_no_update_whatever_remembers_an_exam(context: Context) -> None:
    made = context.make(WORDS, base_policy(), DIARY)
    with pytest.raises(NothingLearned, match="all 1 repeat tasks that are held out"):
        context.make(Summarise(text=f"People ask: {EXAM}"), made, [])
    (dropped,) = context.decided
    assert (dropped.kept, dropped.reason) == (False, LEAKED)
    assert live(context.memory(context.make(Summarise(text="She moved."), made, [])))[-1] == "She moved."


def test_a_note_made_of_what_nobody_stands_behind_is_no_more_than_that(context: Context) -> None:
    told = context.make(WORDS, base_policy(), DIARY)
    planted = context.make(Insert(embedder="words", take="answered"), told, [said("Where?", 3, answer="In Bonn.")])
    after = [context.memory(context.make(Summarise(text="She moved."), p, [])) for p in (told, planted)]
    assert [list(m.live())[-1].trust for m in after] == [Trust.told, Trust.unknown]
    with pytest.raises(DataError, match="claims to be told"):
        context.make(Summarise(text="She moved.", trust=Trust.told), planted, [])


def test_the_same_told_again_changes_nothing_and_a_child_shares_what_its_parent_has(context: Context) -> None:
    first = context.make(WORDS, base_policy(), DIARY)
    with pytest.raises(NothingLearned, match="no note is new"):
        context.make(WORDS, first, DIARY)
    large = context.make(WORDS, base_policy(), [said(f"Fact {i} of many.", i) for i in range(50)])
    child = context.make(WORDS, large, DIARY)
    mine, parents = (set(kept.segments_of(context.artefacts.open(p.memory or ""))) for p in (child, large))
    assert parents < mine


@pytest.mark.parametrize("text", ["  ", "x" * 1_001])
def test_what_is_no_note_is_refused(context: Context, text: str) -> None:
    with pytest.raises(DataError, match="characters"):
        context.make(WORDS, base_policy(), [said(text)])


def test_another_embedder_than_the_memorys_is_refused(context: Context) -> None:
    made = context.make(WORDS, base_policy(), DIARY)
    with pytest.raises(DataError, match="searched by words"):
        context.make(Insert(embedder="minilm"), made, [said("New.")])


def test_a_later_note_takes_the_place_of_the_one_it_contradicts(context: Context) -> None:
    made = context.make(Supersede(), context.make(WORDS, base_policy(), DIARY), DIARY)
    memory = context.memory(made)
    assert live(memory) == ["My cat is called Miso.", "I live in Rome now."]
    old, new = (
        next(n for n in memory.notes.values() if n.text == t) for t in ("I live in Oslo.", "I live in Rome now.")
    )
    assert memory.state(old.id).superseded_by == new.id


def test_without_blanks_between_words_a_later_note_takes_its_place_too(context: Context) -> None:
    told = (said("我最喜欢的颜色是蓝色。", 1), said("我最喜欢的书是围城。", 2), said("我最喜欢的颜色是绿色了。", 5))
    made = context.make(Supersede(), context.make(WORDS, base_policy(), told), told)
    assert live(context.memory(made)) == ["我最喜欢的书是围城。", "我最喜欢的颜色是绿色了。"]


@pytest.mark.parametrize(
    "pair",
    [
        (said("我的猫叫米索。", 1), said("我的狗叫旺财。", 2)),
        (said("My cat is called Miso.", 1), said("My dog is called Rex.", 2)),
        (said("My doctor is Marta.", 1), said("My boss at work is Marta.", 2)),
        (said("My sister's cat is called Miso.", 1), said("My cat is called Rex.", 2)),
        (said("I live in Oslo.", 1), said("I live in Rome.", 2, "ben")),
        (said("I live in Oslo.", 1), said("I live in Rome.", 1)),
        (said("I live in Oslo.", None), said("I live in Rome.", 1)),
        (said("I live in Oslo.", 1), said("I live in Oslo.", 2)),
    ],
)  # fmt: skip
def test_what_does_not_contradict_stays(context: Context, pair: tuple[Experience, Experience]) -> None:
    with pytest.raises(NothingLearned, match="none of 2 notes is contradicted"):
        context.make(Supersede(), context.make(WORDS, base_policy(), pair), pair)


def test_a_recall_in_training_strengthens_and_one_of_an_exam_is_refused(context: Context) -> None:
    made = context.make(WORDS, base_policy(), DIARY)
    id = next(iter(context.memory(made).notes))
    used = [said("Where do I live?", 9, memories=(id,)), said("Which city?", 8, memories=(id, "i1:other"))]
    after = context.memory(context.make(Strengthen(), made, used)).state(id)
    assert (after.strength, after.recalled) == (3, 9)
    with pytest.raises(DataError, match="held out"):
        context.make(Strengthen(), made, [said(EXAM, 9, memories=(id,))])
    with pytest.raises(NothingLearned, match="still holds"):
        context.make(Strengthen(), made, [said("Where?", 9)])


def test_what_has_faded_is_forgotten_but_for_what_is_pinned_and_says_why(context: Context) -> None:
    made = context.make(WORDS, base_policy(), DIARY)
    memory = context.memory(made)
    pinned = next(iter(memory.notes))
    made = made.model_copy(
        update={"memory": kept.keep(value.pin(memory, [pinned]), context.artefacts, context.scratch), "id": ""}
    ).identified()
    after = context.memory(context.make(Forget(floor=0.05, days=1), made, [said("Today.", 6)]))
    assert live(after) == ["I live in Oslo.", "I live in Rome now."]
    (gone,) = context.decided
    assert "faded to 0.0183 by day 6" in gone.reason
    with pytest.raises(NothingLearned, match="faded"):
        context.make(Forget(), made, [said("Today.", 6)])
    with pytest.raises(DataError, match="what day it is"):
        context.make(Forget(), made, [said("Today.", None)])


def test_a_scrambled_memory_holds_nobodys_own_facts(context: Context) -> None:
    both = [*DIARY, said("I live in Riga.", 1, "ben"), said("My cat is called Miso.", 2, "ben")]
    made = context.make(WORDS, base_policy(), both)
    wrong = context.memory(context.make(Scramble(how="wrong"), made, both))
    assert {(n.who, n.text) for n in wrong.live()} == {
        ("ben", "I live in Oslo."), ("ben", "I live in Rome now."), ("anna", "I live in Riga."),
    }  # fmt: skip
    lot = context.memory(context.make(Scramble(how="random"), made, both))
    assert sorted(n.who or "" for n in lot.live()) == ["anna", "ben"]
    with pytest.raises(NothingLearned, match="only one"):
        context.make(Scramble(how="wrong"), context.make(WORDS, base_policy(), DIARY), DIARY)


@pytest.mark.parametrize("op", [Supersede(), Strengthen(), Forget(), Scramble()])
def test_without_a_memory_there_is_nothing_to_change(context: Context, op: Update) -> None:
    with pytest.raises(DataError, match="no memory"):
        context.make(op, base_policy(), DIARY)
