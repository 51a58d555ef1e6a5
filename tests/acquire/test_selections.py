"""Selections of tasks: each takes what it is for, says why, is the same when asked again, and spends its whole budget
where there is enough."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest

from instar.acquire.tasks.by_age import ByAge, ByLot
from instar.acquire.tasks.by_difficulty import ByDifficulty
from instar.acquire.tasks.by_diversity import ByDiversity
from instar.acquire.tasks.by_learnability import ByLearnability
from instar.acquire.tasks.ranked import Ranked
from instar.errors import ConfigError
from instar.memory.embedders import words
from instar.protocols import Tried
from instar.records import Decision, Message, Objective, Role, Task

EVERY: list[Ranked] = [ByLearnability(), ByDiversity(), ByDifficulty(), ByAge(), ByLot()]


def task(i: int, ability: str = "add", question: str = "") -> Task:
    said = question or f"What is {i} + {i + 3}?"
    return Task(id=f"i1:{ability}{i}", messages=(Message(role=Role.user, content=said),), ability=ability,
                canonical=f"{ability}{i}", source="test")  # fmt: skip


def pool_of(n: int = 20, *abilities: str) -> list[Task]:
    return [task(i, a) for i in range(n) for a in (abilities or ("add",))]


def goals(**shares: int) -> list[Objective]:
    root = Objective(id="i1:root", ability="*", tasks=sum(shares.values()))
    leaves = [Objective(id=f"i1:{a}", ability=a.replace("_", "/"), tasks=n, parent=root.id) for a, n in shares.items()]
    return [root, *leaves]


def taken(op: Ranked, wanted: Sequence[Objective], pool: Sequence[Task], tried: Sequence[Tried] = ()) -> list[Decision]:
    return list(op.select(wanted, pool, tried))


def ids(decisions: Sequence[Decision]) -> list[str]:
    return [d.item for d in decisions]


def tries(tasks: Sequence[Task], right: Sequence[int], of: int = 8, round: int = 1, policy: str = "p") -> list[Tried]:
    return [Tried(t, policy, round, r, of) for t, r in zip(tasks, right, strict=True)]


@pytest.mark.parametrize("op", EVERY, ids=lambda op: op.name)
def test_each_fills_the_shares_of_the_objectives_with_a_reason_and_the_same_again(op: Ranked) -> None:
    pool, wanted = pool_of(20, "add", "multiply", "gcd"), goals(add=7, multiply=3, gcd=0)
    past = tries(pool[:30], [i % 9 for i in range(30)])
    found = taken(op, wanted, pool, past)
    assert Counter(i.rstrip("0123456789") for i in ids(found)) == {"i1:add": 7, "i1:multiply": 3}
    assert len(set(ids(found))) == 10
    assert all(d.kept and d.reason for d in found)
    assert taken(op, wanted, pool, past) == found


@pytest.mark.parametrize("op", EVERY, ids=lambda op: op.name)
def test_each_takes_what_its_siblings_have_where_a_pool_is_short_and_no_more_than_there_is(op: Ranked) -> None:
    pool = [*pool_of(2, "sum/two"), *pool_of(9, "sum/four"), *pool_of(9, "gcd")]
    found = ids(taken(op, goals(sum_two=6, gcd=1), pool))
    assert Counter(i.rstrip("0123456789") for i in found) == {"i1:sum/two": 2, "i1:sum/four": 4, "i1:gcd": 1}
    assert len(taken(op, goals(sum_two=60), pool)) == 11
    assert taken(op, goals(add=3), []) == []


@pytest.mark.parametrize("op", EVERY, ids=lambda op: op.name)
def test_none_takes_from_a_step_that_has_no_share(op: Ranked) -> None:
    pool = [*pool_of(2, "sum/two"), *pool_of(9, "sum/four"), *pool_of(9, "sum/six")]
    found = ids(taken(op, goals(sum_two=6, sum_four=0), pool))
    assert Counter(i.rstrip("0123456789") for i in found) == {"i1:sum/two": 2, "i1:sum/six": 4}


@pytest.mark.parametrize("op", EVERY, ids=lambda op: op.name)
def test_over_all_spends_the_whole_budget_and_again_takes_what_was_tried(op: Ranked) -> None:
    free = op.model_copy(update={"over": "all"})
    pool = pool_of(6, "add", "multiply")
    gone = [task(50 + i) for i in range(8)]
    assert len(taken(free, goals(add=5), pool, tries(gone, [4] * 8))) == 5
    everything = ids(taken(free.model_copy(update={"again": True}), goals(add=20), pool, tries(gone, [4] * 8)))
    assert sorted(everything) == sorted(t.id for t in [*pool, *gone])
    assert not {*ids(taken(free, goals(add=20), pool, tries(gone, [4] * 8)))} & {t.id for t in gone}


# --- by learnability --------------------------------------------------------------------------------------------------

SURE = ByLearnability(explore=0.0, over="all", again=True)


@pytest.mark.parametrize("op", EVERY, ids=lambda op: op.name)
def test_an_objective_without_steps_is_a_share_of_all(op: Ranked) -> None:
    pool = pool_of(6, "add", "multiply")
    (root, *_) = goals(add=5)
    assert len(set(ids(taken(op, [root], pool)))) == 5


def test_half_right_comes_before_always_and_never_right() -> None:
    pool = pool_of(4)
    found = taken(SURE, goals(add=4), [], tries(pool, [0, 4, 8, 2]))
    assert ids(found) == [pool[i].id for i in (1, 3, 0, 2)] or ids(found) == [pool[i].id for i in (1, 3, 2, 0)]
    assert "4.0 of 8.0 answers right" in found[0].reason


def test_what_was_not_tried_is_judged_by_its_ability_or_comes_first() -> None:
    seen = [*pool_of(10, "easy"), *pool_of(10, "hopeless"), *pool_of(10, "middle")]
    past = tries(seen, [8] * 10 + [0] * 10 + [4] * 10)
    fresh = [task(99, a) for a in ("easy", "hopeless", "middle")]
    found = taken(SURE.model_copy(update={"again": False}), goals(x=3), fresh, past)
    assert found[0].item == fresh[2].id
    assert "not tried yet; 50% right of what is like it" in found[0].reason
    first = taken(SURE.model_copy(update={"unseen": "first"}), goals(x=3), fresh, past)
    assert {*ids(first)} == {t.id for t in fresh}


def test_old_marks_count_less_than_new_ones() -> None:
    a, b = task(1), task(2)
    past = [*tries([a], [0], round=1), *tries([a], [4], round=5), *tries([b], [4], round=1), *tries([b], [0], round=5)]
    assert ids(taken(SURE, goals(add=2), [], past)) == [a.id, b.id]


def test_a_share_goes_by_lot_and_another_seed_draws_others() -> None:
    pool = pool_of(40)
    past = tries(pool, [4] * 10 + [0] * 30)
    op = SURE.model_copy(update={"explore": 0.5})
    found = taken(op, goals(add=10), [], past)
    assert sum("by lot" in d.reason for d in found) == 5
    assert {*ids(found)} & {t.id for t in pool[10:]}
    assert ids(found) != ids(taken(op.model_copy(update={"seed": 7}), goals(add=10), [], past))


# --- by diversity -----------------------------------------------------------------------------------------------------

KINDS = ("What is {i} + 3?", "Spell the word tree{i} backwards, please.", "Which colour has the sky on day {i}?")


def test_it_takes_one_of_each_kind_before_a_second_of_any() -> None:
    pool = [task(10 * k + i, question=text.format(i=i)) for k, text in enumerate(KINDS) for i in range(8)]
    found = ids(taken(ByDiversity(), goals(add=3), pool))
    assert sorted(int(i.removeprefix("i1:add")) // 10 for i in found) == [0, 1, 2]


def test_what_was_tried_is_covered_already() -> None:
    pool = [task(10 * k + 1, question=text.format(i=1)) for k, text in enumerate(KINDS)]
    past = tries([task(90, question=KINDS[0].format(i=5)), task(91, question=KINDS[1].format(i=5))], [1, 1])
    (found,) = taken(ByDiversity(), goals(add=1), pool, past)
    assert found.item == pool[2].id
    assert "the farthest from what is taken or was tried" in found.reason


def test_it_covers_the_pool_better_than_any_of_twenty_lots() -> None:
    pool = [task(i, question=KINDS[i % 3].format(i=i * 37)) for i in range(60)]
    rows = words([t.question for t in pool])

    def radius(chosen: Sequence[str]) -> float:
        of = [i for i, t in enumerate(pool) if t.id in chosen]
        return float(np.arccos(np.clip((rows @ rows[of].T).max(axis=1), -1, 1)).max())

    ours = radius(ids(taken(ByDiversity(), goals(add=8), pool)))
    lots = [radius(ids(taken(ByLot(seed=s), goals(add=8), pool))) for s in range(20)]
    assert ours <= min(lots)


def test_meanings_that_are_not_installed_are_missed_before_a_token_is_spent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("instar.memory.embedders.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match="is not installed"):
        ByDiversity(embedder="minilm").prepare({})
    ByDiversity().prepare({})


def test_two_thousand_questions_take_seconds_and_not_minutes() -> None:
    pool = [task(i, question=f"{i * 7919 % 5003} and {i}") for i in range(2000)]
    before = time.process_time()
    assert len(taken(ByDiversity(), goals(add=200), pool)) == 200
    assert time.process_time() - before < 5


# --- by difficulty ----------------------------------------------------------------------------------------------------


def test_it_takes_what_lies_in_the_band_for_the_policy_as_it_is_now() -> None:
    pool = pool_of(4)
    weak = tries(pool, [0, 1, 4, 8], round=1, policy="weak")
    op = ByDifficulty(over="all", again=True)
    (first, *_) = taken(op, goals(add=1), [], weak)
    assert first.item == pool[2].id
    assert "inside the band 30% to 80%" in first.reason
    # a stronger policy, known from one task alone: what was too hard for the weak one is now the right one
    strong = [*weak, *tries(pool[2:3], [8], round=2, policy="strong"), *tries(pool[1:2], [6], round=2, policy="strong")]
    (now, *_) = taken(op, goals(add=1), [], strong)
    assert now.item != pool[2].id


def test_what_was_not_tried_is_as_hard_as_its_ability() -> None:
    seen = [*pool_of(6, "easy"), *pool_of(6, "hard")]
    past = tries(seen, [5] * 6 + [0] * 6)
    found = taken(ByDifficulty(over="all"), goals(x=3), [task(70, "hard"), task(71, "strange"), task(72, "easy")], past)
    assert found[0].item == "i1:easy72"
    assert "not tried yet: its ability's mean" in found[0].reason
    assert found[-1].item == "i1:hard70"
    assert "outside the band" in found[-1].reason


def test_nothing_tried_leaves_the_order_and_a_band_without_room_is_refused() -> None:
    pool = pool_of(5)
    found = taken(ByDifficulty(), goals(add=2), pool)
    assert ids(found) == [t.id for t in pool[:2]]
    assert "nothing was tried yet" in found[0].reason
    with pytest.raises(ValueError, match="no band"):
        ByDifficulty(low=0.8, high=0.3)


# --- by age -----------------------------------------------------------------------------------------------------------


def test_what_was_never_tried_comes_first_and_then_the_oldest() -> None:
    old, new, never = task(1), task(2), task(3)
    past = [*tries([old, new], [4, 4], round=1), *tries([new], [4], round=2)]
    found = taken(ByAge(again=True), goals(add=3), [never], past)
    assert ids(found) == [never.id, old.id, new.id]
    assert [d.reason for d in found] == ["never tried", "last tried in round 1", "last tried in round 2"]
