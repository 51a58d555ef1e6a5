"""Pairs: why two answers are one, which are none, and that each answer is accounted for."""

from __future__ import annotations

import pytest

from instar.records import Decision, Experience, Feedback, Finish, Mark, Pair, Polarity, Preference
from instar.records.pair import GOLD, Why
from instar.refine.pairs import Pairs
from tests.update.tiny import experience, pair


def said(
    text: str, mark: Mark | None, *, index: int, score: float | None = None, question: str = "1+1",
    source: str = "verifier", polarity: Polarity = Polarity.unknown, flags: tuple[str, ...] = (),
    finish: Finish = Finish.stop,
) -> Experience:  # fmt: skip
    made = experience(question, text, index=index, finish=finish)
    solution = made.solution.model_copy(update={"polarity": polarity, "flags": flags})
    feedback = None
    if mark is not None:
        feedback = Feedback(id=f"f:{solution.id}", solution=solution.id, score=score, mark=mark, source=source)  # type: ignore[arg-type]
    return Experience(task=made.task, solution=solution, feedback=feedback)


def made_of(op: Pairs, items: list[Experience]) -> tuple[list[tuple[str, str]], dict[str, str]]:
    """The pairs' texts, and why each other answer is in none."""
    texts = {e.id: e.solution.text for e in items}
    out = op(items)
    pairs = [(texts[p.chosen], texts[p.rejected]) for p in out if isinstance(p, Preference)]
    left = {texts[d.item]: d.reason for d in out if isinstance(d, Decision)}
    assert {t for p in pairs for t in p} | set(left) == set(texts.values())
    return pairs, left


R, W = Mark.right, Mark.wrong


def test_own_right_answers_are_preferred_to_own_wrong_ones_each_once_before_any_twice() -> None:
    group = [said(t, m, index=i) for i, (t, m) in enumerate([("2", R), ("3", W), ("It is 2.", R), ("4", W), ("5", W)])]
    pairs, left = made_of(Pairs(), group)
    assert pairs == [("2", "3"), ("It is 2.", "4")]
    assert left == {"5": "its task has 2 pairs already"}
    every, left = made_of(Pairs(at_most=None), group)
    assert len(set(every)) == len(every) == 6
    assert [w for _, w in every[:3]] == ["3", "4", "5"]
    assert left == {}
    (first,) = (p for p in Pairs(at_most=1)(group) if isinstance(p, Preference))
    assert (first.why, first.reason) == (Why.contrastive, "own right answer beside own wrong one")


def test_a_task_with_answers_of_one_kind_has_no_pair_and_says_so() -> None:
    right = [said("2", R, index=0), said("It is 2.", R, index=1)]
    assert made_of(Pairs(), right) == ([], dict.fromkeys(("2", "It is 2."), "nothing to prefer it to"))
    wrong = [said("3", W, index=0), said("no idea", Mark.unscored, index=1)]
    pairs, left = made_of(Pairs(), wrong)
    assert pairs == []
    assert left == {
        "3": "nothing is preferred to it",
        "no idea": "on no side of a pair (contrastive): unscored, meant unknown",
    }
    cut = [said("2", R, index=0, finish=Finish.length), said("3", W, index=1)]
    assert made_of(Pairs(), cut)[0] == []


def test_two_equal_answers_are_no_pair() -> None:
    pairs, left = made_of(Pairs(), [said("2", R, index=0), said(" 2 ", W, index=1)])
    assert pairs == []
    assert set(left.values()) == {"no pair: two equal answers"}


def test_a_judges_order_pairs_the_best_with_the_worst_and_no_tie() -> None:
    scores = {"a": 0.2, "b": 1.0, "c": 0.6, "d": 0.8, "e": None}
    group = [
        said(t, R if s else Mark.invalid, index=i, score=s, source="judge") for i, (t, s) in enumerate(scores.items())
    ]
    pairs, left = made_of(Pairs(why=Why.order), group)
    assert pairs == [("b", "a"), ("d", "c")]
    assert left == {"e": "on no side of a pair (order): invalid, meant unknown"}
    ties = [said(t, R, index=i, score=1.0, source="judge") for i, t in enumerate("ab")]
    assert made_of(Pairs(why=Why.order), ties) == ([], dict.fromkeys("ab", "no pair: a tie, both score 1"))


def test_the_tasks_answer_is_preferred_to_its_own_that_are_not_known_right() -> None:
    gold = said("Answer: 2", None, index=0, flags=(GOLD,), polarity=Polarity.right)
    own = [said("2", R, index=1), said("3", W, index=2), said("perhaps", None, index=3)]
    pairs, left = made_of(Pairs(why=Why.gold, at_most=None), [gold, *own])
    assert pairs == [("Answer: 2", "3"), ("Answer: 2", "perhaps")]
    assert left == {"2": "on no side of a pair (gold): right, meant unknown"}


def test_answers_made_to_differ_are_paired_by_what_they_were_meant_to_be() -> None:
    group = [
        said("good", None, index=0, polarity=Polarity.right), said("bad", None, index=1, polarity=Polarity.wrong),
        said("bad but right", R, index=2, polarity=Polarity.wrong),
    ]  # fmt: skip
    pairs, left = made_of(Pairs(why=Why.perturbative), group)
    assert pairs == [("good", "bad")]
    assert left == {"bad but right": "no pair: it is the rejected one that is right"}


@pytest.mark.parametrize(
    ("chosen", "rejected", "sentence"),
    [
        (said("2", R, index=0), said("2", W, index=1), "two equal answers"),
        (said("2", R, index=0), said("It is 2.", R, index=1), "both are right"),
        (said("3", W, index=0), said("2", R, index=1), "it is the rejected one that is right"),
        (said("2", R, index=0), said("3", W, index=1, question="1+2"), "they answer two tasks"),
        (said("2", None, index=0, polarity=Polarity.wrong), said("3", W, index=1), "the chosen one was meant wrong"),
    ],
)
def test_what_is_no_pair_is_refused_in_one_sentence(chosen: Experience, rejected: Experience, sentence: str) -> None:
    with pytest.raises(ValueError, match=f"no pair: {sentence}"):
        pair(chosen, rejected)


def test_a_rejected_answer_is_a_negative_from_then_on() -> None:
    own = said("3", W, index=1)
    made = pair(said("2", R, index=0), own)
    assert own.solution.polarity is Polarity.unknown
    assert made.rejected.solution.polarity is Polarity.wrong
    assert Pair.model_validate(made).rejected == made.rejected
