"""What was answered with something in sight is learned without it, and notes that are known by now go."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import pytest

from instar.errors import DataError, NothingLearned
from instar.memory import value
from instar.protocols import UpdateContext
from instar.records import Experience, Learn, Learned, Message, Policy, Role, Said
from instar.scripted_world import base_policy
from instar.update.memory.consolidate import Consolidate, plainly
from instar.update.memory.insert import Insert
from instar.update.memory.retire import Retire
from instar.update.memory.writing import with_memory
from tests.update.memory.test_updates import DIARY, Context, said

SHOT = (Message(role=Role.user, content="2 + 2?"), Message(role=Role.assistant, content="Answer: 4"))


class Training(Context):
    """A context in which the scripted model can be trained."""

    references: Mapping[str, Policy] = {}

    def progress(self, done: int, total: int, **_: Any) -> None: ...

    def figures(self, unit: str, number: int, figures: Mapping[str, float]) -> None: ...


@pytest.fixture
def context(tmp_path: Path) -> Training:
    return Training(tmp_path)


def answered(question: str, answer: str, right: bool | None = True, memories: tuple[str, ...] = ()) -> Experience:
    """An answer that was sampled, with what a verifier said of it."""
    e = said(question, answer=answer, right=right, memories=memories)
    pointed = Said(exchange="i1:x", reply=0, chars=len(answer))
    turns = tuple(t.model_copy(update={"said": pointed}) for t in e.solution.turns)
    return e.model_copy(update={"solution": e.solution.model_copy(update={"turns": turns})})


def test_the_weights_learn_it_plainly_and_show_no_example_any_more(context: Training) -> None:
    showing = base_policy().model_copy(update={"few_shots": SHOT, "id": ""}).identified()
    rows = [answered(f"{n} + 30?", f"Answer: {n + 30}") for n in range(20)]
    made = context.make(Consolidate(), showing, rows)
    assert (made.few_shots, made.parent, made.made_by) == ((), showing.id, "consolidate")
    assert made.id == made.identified().id
    skills, before = dict(made.weights.skills or {}), dict(showing.weights.skills or {})
    assert skills["add"] > before["add"]
    assert context.told == [Learned(e.solution.id, 0, Learn.plainly) for e in rows]
    context.references = {"plain": showing}
    assert context.make(Consolidate(), showing, rows).few_shots == SHOT
    (turn,) = plainly(rows[0].solution).turns
    assert turn.said is not None
    assert turn.said.learn is Learn.plainly


@pytest.mark.parametrize("right", [False, None])
def test_what_no_verifier_called_right_is_not_put_into_the_weights(context: Training, right: bool | None) -> None:
    rows = [answered("1 + 30?", "Answer: 31"), answered("2 + 30?", "Answer: 33", right)]
    with pytest.raises(DataError, match="only right ones go into the weights"):
        context.make(Consolidate(), base_policy(), rows)


def test_a_note_that_is_known_without_it_goes_and_one_that_is_needed_or_pinned_stays(context: Training) -> None:
    made = context.make(Insert(embedder="words"), base_policy(), [*DIARY, said("My dog is Rex.", 6)])
    known, needed, pinned, unseen = context.memory(made).notes
    made = with_memory(made, value.pin(context.memory(made), [pinned]), cast(UpdateContext, context), "pin")
    with_notes = [answered(f"{i}?", "x", True, (id,)) for i, id in enumerate((known, needed, pinned, unseen))]
    alone = [answered("0?", "x"), answered("1?", "y", False), answered("2?", "x")]
    after = context.memory(context.make(Retire(), made, [*with_notes, *alone]))
    assert [n.id for n in after.live()] == [needed, pinned, unseen]
    (gone,) = context.decided
    assert (gone.item, gone.reason) == (known, "known without it: 1 of 1 answers to 1 tasks are right")
    with pytest.raises(NothingLearned, match="none of 1 notes"):
        context.make(Retire(), made, [with_notes[1], alone[1]])
    with pytest.raises(NothingLearned, match="none of 1 notes"):
        context.make(Retire(tasks=2), made, [with_notes[0], alone[0]])
    with pytest.raises(DataError, match="Judge the answers first"):
        context.make(Retire(), made, [answered("0?", "x", None)])
