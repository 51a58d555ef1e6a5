"""The audit: plants look like any answer, and its figures tell a good judge from a bad one, from an inverted one."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from instar.acquire.feedback.rubric import Rubric
from instar.acquire.feedback.verify import Verify
from instar.evaluate.audit import PlantedDefects, kappa
from instar.records import (
    Experience,
    Feedback,
    Finish,
    Mark,
    Message,
    Plant,
    Role,
    Sampling,
    Solution,
    Task,
    Turn,
    Worth,
)
from instar.refine.filters.calculation_right import CalculationRight

AUDIT = PlantedDefects()


def like(i: int, gold: str | None = None, question: str | None = None) -> Experience:
    task = Task(
        id=f"t{i}",
        messages=(Message(role=Role.user, content=question or f"What is {i} + 4?"),),
        ability="add",
        canonical=str(i),
        source="test",
        private={} if gold == "none" else {"answer": gold or str(i + 4)},
    )
    solution = Solution(
        id=f"s{i}", task=task.id, turns=(Turn(text="Answer: 1"),), policy="p", engine="e", precision="f32",
        sampling=Sampling(temperature=0.7), finish=Finish.length, flags=("rationalised",), tokens=3,
    )  # fmt: skip
    return Experience(task=task, solution=solution)


def grown(n: int = 12) -> list[Plant]:
    likes = [like(i) for i in range(n)]
    plants = [p for e in likes for p in AUDIT.grow(e, [o for o in likes if o is not e])]
    return [p.model_copy(update={"id": f"i1:{i}"}) for i, p in enumerate(plants)]


def said(plants: list[Plant], mark: Callable[[Plant], Mark | None]) -> dict[str, Feedback]:
    out = {}
    for p in plants:
        m = mark(p)
        if m is not None:
            score = {Mark.right: 1.0, Mark.wrong: 0.0}.get(m)
            out[p.id] = Feedback(solution=p.id, score=score, mark=m, source="judge")
    return out


def honest(p: Plant) -> Mark:
    return Mark.wrong if p.worth is Worth.bad else Mark.right


def test_each_task_gets_a_good_a_bad_and_a_wrong_reasoned_answer() -> None:
    good, bad, reason = AUDIT.grow(like(3), [])
    assert (good.worth, bad.worth, reason.worth) == (Worth.good, Worth.bad, Worth.wrong_reason)
    assert good.solution.text.endswith("Answer: 7")
    assert not bad.solution.text.endswith("Answer: 7")
    assert reason.solution.text.endswith("Answer: 7")
    assert "First, 3 + 4 = " in reason.solution.text
    assert "3 + 4 = 7" not in reason.solution.text


def test_a_plant_shows_nothing_of_its_worth_but_its_text() -> None:
    shown = [p.shown for p in grown(1)]
    for s in shown:
        assert s.model_copy(update={"id": "", "turns": (), "tokens": 0}) == shown[0].model_copy(
            update={"id": "", "turns": (), "tokens": 0}
        )
        assert s.flags == ()
        assert s.policy == "p"
        assert s.finish is Finish.stop


def test_good_and_bad_plants_are_long_and_short_equally_often_and_in_one_form() -> None:
    plants = grown(200)
    lengths = {w: [len(p.solution.text) for p in plants if p.worth is w] for w in (Worth.good, Worth.bad)}
    long = {w: sum(n > 80 for n in ns) for w, ns in lengths.items()}
    assert long == {Worth.good: 100, Worth.bad: 100}
    assert sum(lengths[Worth.good]) == pytest.approx(sum(lengths[Worth.bad]), rel=0.02)


def test_the_same_tasks_are_picked_whatever_their_order_and_none_without_an_answer() -> None:
    tries = [like(i) for i in range(40)] + [like(99, "none")]
    picked = AUDIT.pick(tries)
    assert len(picked) == 12
    assert list(picked) == list(AUDIT.pick(tries[::-1]))
    assert AUDIT.pick([like(99, "none")]) == []


def test_a_text_answer_is_made_wrong_by_another_tasks_answer_and_a_letter_by_another_letter() -> None:
    (_, bad, _) = AUDIT.grow(like(1, "Paris"), [like(2, "PARIS"), like(3, "Rome")])
    assert bad.solution.text.endswith("Answer: Rome")
    assert AUDIT.grow(like(1, "Paris"), []) == []
    (_, bad, _) = AUDIT.grow(like(1, "Infinity"), [like(3, "NaN")])  # and one more is as right
    assert bad.solution.text.endswith("Answer: NaN")
    (_, bad, _) = AUDIT.grow(like(1, "B"), [])
    assert bad.solution.text[-1] in "ACD"


def test_a_perfect_judge_has_precision_and_recall_of_one_and_the_wrong_reasons_stand_apart() -> None:
    plants = grown()
    found = AUDIT.assess(Rubric(), "i1:p", plants, said(plants, honest))
    assert found.trusted
    assert found.numbers["precision"] == found.numbers["recall"] == found.numbers["kappa"] == 1.0
    assert found.numbers["n"] == 24
    assert found.numbers["wrong_reason_accepted"] == 1.0
    assert found.counts["wrong_reason"] == {"right": 12}


def test_an_inverted_judge_is_not_trusted_whether_it_asks_a_model_or_not() -> None:
    plants = grown()
    inverted = said(plants, lambda p: Mark.right if p.worth is Worth.bad else Mark.wrong)
    for op in (Rubric(), Verify()):
        found = AUDIT.assess(op, None, plants, inverted)
        assert not found.trusted
        assert found.numbers["kappa"] == -1.0
        assert found.reason == "it agrees with 0.0% of 24 known answers (kappa -1.00): it is inverted"


def test_a_judge_that_says_yes_to_all_is_below_the_bar_but_a_check_without_a_model_is_only_measured() -> None:
    plants = grown()
    yes = said(plants, lambda _: Mark.right)
    found = AUDIT.assess(Rubric(), None, plants, yes)
    assert not found.trusted
    assert found.reason.endswith("(kappa 0.00): a kappa of 0.4 is asked for")
    assert found.numbers["precision"] == 0.5
    assert AUDIT.assess(Verify(), None, plants, yes).trusted


def test_what_is_invalid_unscored_or_missing_agrees_with_nothing() -> None:
    plants = grown()
    silent = AUDIT.assess(Rubric(), None, plants, said(plants, lambda _: Mark.invalid))
    assert not silent.trusted
    assert silent.numbers["undecided"] == 1.0
    assert silent.numbers["precision"] is None
    assert AUDIT.assess(Rubric(), None, plants, {}).counts["good"] == {"missing": 12}


def test_a_judge_that_likes_length_is_seen_to() -> None:
    plants = grown()
    long = said(plants, lambda p: Mark.right if len(p.solution.text) > 80 else Mark.wrong)
    found = AUDIT.assess(Rubric(), None, plants, long)
    assert found.numbers["length_correlation"] is not None
    assert found.numbers["length_correlation"] > 0.9
    fair = AUDIT.assess(Rubric(), None, plants, said(plants, honest))
    assert fair.numbers["length_correlation"] == pytest.approx(0.0, abs=0.05)


def test_a_filter_that_reads_the_steps_drops_right_answers_for_a_wrong_reason() -> None:
    plants = grown()
    decisions = {
        p.id: d
        for i in range(12)
        for p, d in zip(
            plants[3 * i : 3 * i + 3],
            CalculationRight()([Experience(task=like(i).task, solution=p.shown) for p in plants[3 * i : 3 * i + 3]]),
            strict=True,
        )
    }
    found = AUDIT.assess(CalculationRight(), None, plants, decisions)
    assert found.verb == "filter"
    assert found.numbers["wrong_reason_accepted"] == 0.0


def test_cohens_kappa_of_a_known_table() -> None:
    # 20 yes-yes, 5 yes-no, 10 no-yes, 15 no-no: the textbook's 0.4
    a = ["y"] * 25 + ["n"] * 25
    b = ["y"] * 20 + ["n"] * 5 + ["y"] * 10 + ["n"] * 15
    assert kappa(a, b) == pytest.approx(0.4)
    assert kappa([], []) is None
    assert kappa(["y"], ["y"]) is None
