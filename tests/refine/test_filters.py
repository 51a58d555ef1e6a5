import pytest

from instar.records import Experience, Feedback, Finish, Mark, Message, Role, Sampling, Solution, Task, Turn
from instar.refine.filters.distinct import Distinct
from instar.refine.filters.inverted import Inverted
from instar.refine.filters.length import Finished
from instar.refine.filters.per_task_cap import PerTaskCap
from instar.refine.filters.random_sample import RandomSample
from instar.refine.filters.score_at_least import ScoreAtLeast
from instar.refine.filters.task_weight import TaskWeight


def item(id, text="Answer: 7", score=1.0, task="t", finish=Finish.stop, tokens=5, comment="", judged=True):
    asked = Message(role=Role.user, content=task)
    mark = Mark.invalid if score is None else Mark.right if score == 1 else Mark.wrong
    return Experience(
        task=Task(id=task, messages=(asked,), ability="a", canonical=task, source="t"),
        solution=Solution(
            id=id,
            task=task,
            turns=(Turn(text=text),),
            policy="p",
            engine="e",
            precision="f32",
            sampling=Sampling(),
            finish=finish,
            tokens=tokens,
        ),
        feedback=Feedback(solution=id, score=score, mark=mark, source="verifier", comment=comment) if judged else None,
    )


def kept(filter, items):
    decisions = filter(items)
    assert [d.item for d in decisions] == [i.id for i in items]  # one each, in order
    assert all(d.reason for d in decisions)
    return [d.item for d in decisions if d.kept]


def test_full_credit_is_kept_and_partial_credit_is_not():
    items = [item("a"), item("b", score=0.0), item("c", score=0.99)]
    assert kept(ScoreAtLeast(), items) == ["a"]
    assert kept(ScoreAtLeast(minimum=0.5), items) == ["a", "c"]


def test_unscored_is_not_zero():
    items = [item("a", score=None, comment="timed out after 10 s"), item("b", judged=False)]
    assert [d.reason for d in ScoreAtLeast(minimum=0.0)(items)] == [
        "unscored: invalid: timed out after 10 s",
        "unscored: it was never judged",
    ]
    assert kept(ScoreAtLeast(minimum=0.0), items) == []


def test_a_minimum_that_is_no_number_is_refused():
    with pytest.raises(ValueError):
        ScoreAtLeast(minimum=float("nan"))


def test_one_of_each_text_is_kept_within_a_task_only():
    items = [item("a"), item("b", text="  answer:\n7 "), item("c", text="Answer: 8"), item("d", task="u")]
    assert kept(Distinct(), items) == ["a", "c", "d"]
    assert Distinct()(items)[1].reason == "same text as a"


def test_a_cap_counts_per_task_and_can_prefer_the_shortest():
    items = [item("a", text="long text"), item("b", text="mid 7"), item("c", text="x"), item("d", task="u")]
    assert kept(PerTaskCap(at_most=2), items) == ["a", "b", "d"]
    assert kept(PerTaskCap(at_most=2, prefer="shortest"), items) == ["b", "c", "d"]
    assert kept(PerTaskCap(at_most=1, prefer="shortest"), [item("a"), item("b")]) == ["a"]
    assert PerTaskCap().at_most == 10


def test_a_cap_of_none_is_refused():
    with pytest.raises(ValueError):
        PerTaskCap(at_most=0)


def test_a_truncated_answer_is_dropped_with_its_reason():
    items = [
        item("a", finish=Finish.length, tokens=64),
        item("b", text=" \n"),
        item("c", tokens=9),
        item("d", tokens=8),
    ]
    assert [d.reason for d in Finished(max_tokens=8)(items)] == [
        "truncated: cut off after 64 tokens",
        "empty: the model wrote nothing",
        "too long: 9 tokens, at most 8",
        "finished",
    ]
    assert kept(Finished(), items) == ["c", "d"]


def test_a_random_sample_ignores_scores_reproduces_and_takes_what_there_is():
    items = [item(str(i), score=float(i % 2)) for i in range(100)]
    chosen = kept(RandomSample(n=30, seed=1), items)
    assert len(chosen) == 30
    assert chosen == kept(RandomSample(n=30, seed=1), items) != kept(RandomSample(n=30, seed=2), items)
    assert {int(c) % 2 for c in chosen} == {0, 1}
    assert len(kept(RandomSample(n=300), items)) == 100
    assert RandomSample(n=1).scope == "all"


def test_the_inverse_keeps_exactly_what_the_inner_filter_drops():
    items = [item("a"), item("b", score=0.0), item("c", score=None)]
    inverse = Inverted(inner=ScoreAtLeast())
    assert kept(inverse, items) == ["b", "c"]
    assert inverse(items)[1].reason == "not score_at_least: score 0 is below 1"
    assert kept(Inverted(inner=inverse), items) == ["a"]


def test_the_inverse_has_the_scope_and_the_identity_of_its_inner_filter():
    assert Inverted(inner=RandomSample(n=1)).scope == "all"
    assert Inverted(inner=ScoreAtLeast()).scope == "group"
    ids = {Inverted(inner=f).op_id for f in (ScoreAtLeast(), ScoreAtLeast(minimum=0.5), Finished(), Distinct())}
    assert len(ids) == 4


def test_no_items_give_no_decisions():
    for filter in (ScoreAtLeast(), Distinct(), PerTaskCap(), Finished(), RandomSample(n=3)):
        assert filter([]) == []


def test_a_task_weighs_most_where_half_of_its_answers_are_right_and_nothing_where_all_are():
    def task(name, right, wrong):
        own = [item(f"{name}{i}", text="x" * (9 - i), task=name) for i in range(right)]
        return own + [item(f"{name}w{i}", score=0.0, task=name) for i in range(wrong)]

    items = [
        *task("half", 4, 4),
        *task("rare", 1, 7),
        *task("always", 8, 0),
        *task("never", 0, 8),
        *task("often", 6, 2),
    ]
    assert kept(TaskWeight(at_most=3), items) == ["half1", "half2", "half3", "rare0", "often3", "often4", "often5"]
    assert kept(TaskWeight(at_most=1), items) == ["half3", "rare0", "often5"]
    assert TaskWeight()(items)[16].reason == "8 of 8 answers to its task are right: 0 kept"


def test_what_a_checker_gave_no_mark_counts_neither_as_right_nor_as_wrong():
    items = [item("a"), item("b", score=None, comment="timed out"), item("c", judged=False)]
    assert kept(TaskWeight(), items) == []
    assert TaskWeight()(items)[0].reason == "1 of 1 answers to its task are right: 0 kept"
