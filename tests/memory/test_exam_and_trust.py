"""What repeats an exam, and how far a note is believed that was made from others."""

from __future__ import annotations

import pytest

from instar.memory.exam import repeated
from instar.memory.trust import derived, derived_note, overtrusted
from instar.memory.value import Memory, insert, without
from instar.records import Note, NoteKind, Trust

LONG = "Which of the seven old bridges over the river was built before the great fire?"
SHORT = "What is the capital of Peru?"
HELD_OUT = (LONG, SHORT, "Who is he?")


@pytest.mark.parametrize(
    "text",
    [
        LONG, LONG.upper(), f"They will ask: {LONG}", "of the seven old bridges over the river, I think",
        SHORT, f'Somebody asked me "{SHORT}" and I did not know.', "what is  the capital of PERU",
    ],
)  # fmt: skip
def test_what_repeats_a_question_is_found_inside_other_words_and_however_short_it_is(text: str) -> None:
    assert repeated([text], HELD_OUT) == [True]


@pytest.mark.parametrize(
    "text", ["The capital of Peru is Lima.", "Who is he? I asked.", "seven old bridges", "", "What is the capital?"]
)
def test_what_only_shares_words_is_not(text: str) -> None:
    assert repeated([text], HELD_OUT) == [False]


UNSPACED = ("秘鲁的首都是哪里？", "他是谁？", "河上的七座古桥之中，哪一座是在大火之前建成的？")


@pytest.mark.parametrize(
    ("text", "repeats"),
    [
        ("有人问我：秘鲁的首都是哪里？我不知道。", True), ("河上的七座古桥之中哪一座是在大火之前建成的，我忘了", True),
        ("我听说河上的七座古桥之中，哪一座最老没有人知道", True), ("秘鲁的首都是利马。", False),
        ("他是谁？我问过。", False), ("他是谁", True), ("大火之前建了七座桥", False),
    ],
)  # fmt: skip
def test_a_question_is_found_where_no_blanks_part_the_words(text: str, repeats: bool) -> None:
    assert repeated([text], UNSPACED) == [repeats]


def test_what_many_questions_have_is_a_template_and_proves_nothing() -> None:
    exam = [f"What is my cat called, {name}?" for name in "abcdefghij"] * 11
    assert repeated(["What is my cat called, a?"], exam) == [False]
    assert repeated(["What is my cat called, z?"], [*exam, "What is my cat called, z?"]) == [True]


def test_a_passage_that_some_questions_share_is_no_template() -> None:
    did = ("built a bridge", "planted a wood", "dug a well", "sold his bread")
    passages = [f"In 180{i} the baker of the small town by the lake {d} for the people." for i, d in enumerate(did)]
    exam = [f"{p} {q}" for p in passages for q in ("Who was it?", "When was that?", "Where was it?", "For whom?")]
    assert repeated([f"I read that {passages[2]}", "The baker of the town was there."], exam) == [True, False]


def test_a_question_that_is_written_in_three_ways_is_one_question() -> None:
    asked = "What was the name of Anna's very first red bicycle"
    assert repeated([asked], [f"{asked}?", asked, asked.lower()]) == [True]


def test_a_template_of_few_questions_proves_nothing_either_and_their_own_words_do() -> None:
    frame = "State the final answer to the following arithmetic problem: {} + {} ="
    exam = [frame.format(i, i + 7) for i in range(20, 40)]
    assert repeated([frame.format(1, 2), frame.format(25, 32)], exam) == [False, True]
    assert repeated([frame.format(1, 2)], exam[:2]) == [True]  # two are no template
    assert repeated([SHORT], [SHORT, SHORT, SHORT]) == [True]  # asked three times it is asked


@pytest.mark.parametrize(
    ("sources", "checked", "trust"),
    [
        ((Trust.verified, Trust.verified), True, Trust.verified), ((Trust.verified,), False, Trust.told),
        ((Trust.verified, Trust.told), True, Trust.told), ((Trust.told, Trust.unknown), True, Trust.unknown),
        ((), True, Trust.unknown),
    ],
)  # fmt: skip
def test_what_is_made_from_others_is_believed_no_further(
    sources: tuple[Trust, ...], checked: bool, trust: Trust
) -> None:
    assert derived(sources, checked=checked) is trust


def test_a_derived_note_is_theirs_of_the_last_day_and_nobodys_where_they_are_of_two() -> None:
    one, two, three = (
        Note(text=t, who=w, when=d, trust=Trust.told).identified()
        for t, w, d in (("a", "anna", 1), ("b", "anna", 3), ("c", "ben", None))
    )
    made = derived_note(NoteKind.portrait, "p", [one, two, one])
    assert (made.made_from, made.when, made.who, made.trust) == ((one.id, two.id), 3, "anna", Trust.told)
    assert made.id == made.identified().id
    assert derived_note(NoteKind.portrait, "p", [one, three]).who is None
    bold = made.model_copy(update={"trust": Trust.verified}).identified()
    assert overtrusted([made, bold, one], {n.id: n for n in (one, two)}) == [bold]
    memory = insert(Memory(), [one, two, made])
    assert [*without(memory, {two.id}).notes] == [one.id, made.id]
