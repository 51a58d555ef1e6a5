"""The ladder: a mastered step opens the next, closed steps get nothing, and what was mastered is practised a little."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from instar.errors import ConfigError, DataError
from instar.objective.ladder import Ladder
from instar.objective.room import STOP
from instar.records import Objective, Report
from tests.evaluate.build import tasks_of
from tests.objective.test_room import ALWAYS, LOW, MIDDLE, NEVER, check_sums, report


def climb(*reports: Report, op: Ladder | None = None, refused: int = 0, budget: int = 100) -> dict[str, Objective]:
    made: Sequence[Objective] = (op or Ladder())(reports, refused, len(reports), budget)
    check_sums(made)
    assert made[0].tasks in (0, budget)
    return {o.ability: o for o in made}


START = report({"sum/one": LOW, "sum/two": LOW, "sum/three": NEVER})
ONE_DONE = report({"sum/one": ALWAYS, "sum/two": LOW, "sum/three": NEVER})


def test_at_first_the_first_step_gets_everything_though_the_second_has_right_answers_too() -> None:
    found = climb(START)
    assert [found[f"sum/{s}"].tasks for s in ("one", "two", "three")] == [100, 0, 0]
    assert found["sum/one"].direction == "improve"
    assert "open from the start" in found["sum/one"].reason
    assert "closed until sum/one (12%) is mastered (70%)" in found["sum/two"].reason
    assert "closed until sum/two" in found["sum/three"].reason


def test_a_mastered_step_opens_the_next_and_is_practised_a_little() -> None:
    found = climb(START, ONE_DONE)
    assert [found[f"sum/{s}"].tasks for s in ("one", "two", "three")] == [10, 90, 0]
    assert (found["sum/one"].direction, found["sum/two"].direction) == ("guard", "improve")
    assert "open, since sum/one was mastered" in found["sum/two"].reason


def test_what_is_open_stays_open_and_what_fell_is_improved_again() -> None:
    found = climb(START, ONE_DONE, report({"sum/one": MIDDLE, "sum/two": LOW, "sum/three": NEVER}))
    assert found["sum/one"].direction == found["sum/two"].direction == "improve"
    assert found["sum/one"].tasks > found["sum/two"].tasks > 0  # p (1 - p) is larger in the middle
    assert found["sum/three"].tasks == 0


def test_steps_are_in_the_order_of_what_was_measured_at_first_whatever_the_order_of_the_tasks() -> None:
    hard_first = report({"sum/hard": LOW, "sum/easy": MIDDLE})
    found = climb(hard_first)
    assert (found["sum/easy"].tasks, found["sum/hard"].tasks) == (100, 0)
    # and it stays so when the hard one is the easier one later on
    later = climb(hard_first, report({"sum/hard": MIDDLE, "sum/easy": LOW}))
    assert (later["sum/easy"].tasks, later["sum/hard"].tasks) == (100, 0)


def test_families_climb_side_by_side_and_needs_can_say_another_way() -> None:
    r = report({"sum/one": LOW, "sum/two": LOW, "product": LOW})
    assert [climb(r)[a].tasks for a in ("sum/one", "sum/two", "product")] == [50, 0, 50]
    other = climb(r, op=Ladder(needs={"product": ("sum/one", "sum/two"), "sum/two": ()}))
    assert [other[a].tasks for a in ("sum/one", "sum/two", "product")] == [50, 50, 0]
    assert "closed until sum/one (12%) and sum/two (12%)" in other["product"].reason


def test_it_stops_where_all_is_mastered_and_where_gates_refuse() -> None:
    done = climb(report({"a": ALWAYS, "b": ALWAYS}))
    assert done["*"].reason.startswith(f"{STOP} all 2 steps")
    assert climb(START, refused=2)["*"].reason.startswith(f"{STOP} 2 gates in a row")
    assert climb(START, refused=1)["*"].tasks == 100


def test_steps_that_need_each_other_or_are_not_there_are_refused_before_a_token_is_spent() -> None:
    with pytest.raises(ValueError, match="need each other"):
        Ladder(needs={"a": ("b",), "b": ("c",), "c": ("a",)})
    strange = Ladder(needs={"sum/two": ("product",)})
    with pytest.raises(ConfigError, match=r"needs names 'sum/two', and no dev task"):
        strange.prepare({"dev": tasks_of(2, "product")})
    strange.prepare({})
    with pytest.raises(DataError, match="'product'"):
        climb(START, op=strange)
    with pytest.raises(DataError, match="no dev report"):
        Ladder()([], 0, 1, 10)
