import asyncio

import pytest

from instar.acquire.feedback.vote import Vote, count, same
from instar.records import Mark, Message, Role, Task
from tests.acquire.things import solution, task


class Locked(Task):
    """A task whose private data cannot be looked at."""

    def __getattribute__(self, name):
        assert name != "private", "the vote looked at the gold answer"
        return super().__getattribute__(name)


def vote(*texts, of=None, **fields):
    solutions = [solution(text, id=str(i)) for i, text in enumerate(texts)]
    said = asyncio.run(Vote(**fields)(of or task(answer="1000"), solutions, {}))
    assert [f.solution for f in said] == [s.id for s in solutions]
    assert {f.source for f in said} <= {"vote"}
    return said


def test_the_majority_is_right_and_all_others_are_wrong_with_share_and_margin():
    said = vote("Answer: 7", "so 7", "Answer: 8", "no idea", "it is 7.0")
    assert [f.mark for f in said] == [Mark.right, Mark.right, Mark.wrong, Mark.wrong, Mark.right]
    assert [f.score for f in said] == [1.0, 1.0, 0.0, 0.0, 1.0]
    assert said[0].evidence == {"share": 0.6, "margin": pytest.approx(0.4), "majority": "7", "voters": 5}
    assert said[3].comment == "no answer found"
    assert said[2].comment == "against the majority: 3 of 5"


def test_in_a_tie_nobody_is_right_nor_wrong():
    said = vote("7", "8", "7", "8", "9")
    assert {(f.mark, f.score, f.comment) for f in said} == {(Mark.unscored, None, "a tie: 2 votes each")}
    assert said[0].evidence["majority"] is None


def test_without_any_answer_all_are_unscored():
    assert {(f.mark, f.score) for f in vote("no", "idea")} == {(Mark.unscored, None)}
    assert vote() == []


def test_the_gold_answer_is_never_looked_at_nor_does_it_change_anything():
    locked = Locked(
        id="t", messages=(Message(role=Role.user, content="3 + 4?"),), ability="a", canonical="c", source="t",
        private={"answer": "sentinel"},
    )  # fmt: skip
    texts = ("Answer: 7", "7", "Answer: B", "sentinel")
    found = [vote(*texts, of=t) for t in (locked, task(), task(answer="B"), task(answer="8"))]
    assert all(f == found[0] for f in found)
    assert "sentinel" not in str(found[0][0].evidence)
    with pytest.raises(AssertionError, match="looked at"):
        _ = locked.private


def test_answers_are_one_when_their_value_is():
    assert same("1,000") == same("1000.0") == same("2000/2") != same("1001")
    assert same("  Paris ") == same("PARIS")
    assert vote("Paris", "paris", "Rome", extract="text")[0].evidence["majority"] == "Paris"


def test_a_vote_is_decided_when_what_is_to_come_can_neither_change_nor_tie_it():
    assert count(["7", "7", "8"]).decided(0)
    assert not count(["7", "7", "8"]).decided(1)
    assert count(["7", "7", "7", None]).decided(2)
    assert not count([]).decided(0)
    assert not count(["7", "8"]).decided(0)
