"""Room to learn: the split follows the room, difficulty follows the band, budgets sum, and each stop rule stops."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from instar.errors import DataError
from instar.evaluate.report import make_report
from instar.objective.room import STOP, RoomToLearn, largest_remainder, standings
from instar.records import Objective, Report
from tests.evaluate.build import attempt, exam_of, tasks_of


def report(marks: Mapping[str, Sequence[str]], policy: str = "p") -> Report:
    """Ability to its items' marks, one string of four samples an item; gold answers all differ."""
    tasks, tried = [], []
    for ability, items in marks.items():
        for task, own in zip(tasks_of(len(items), ability), items, strict=True):
            tasks.append(task)
            tried += [attempt(task, m, i, policy=policy) for i, m in enumerate(own)]
    return make_report(policy, exam_of(tasks, n=4), tried, tasks)


def choose(*reports: Report, op: RoomToLearn | None = None, refused: int = 0, budget: int = 100) -> dict:
    made = (op or RoomToLearn())(reports, refused, len(reports), budget)
    assert made[0].ability == "*"
    check_sums(made)
    return {o.ability: o for o in made}


def check_sums(made: Sequence[Objective]) -> None:
    for o in made:
        children = [c for c in made if c.parent == o.ability]
        assert not children or sum(c.tasks for c in children) == o.tasks
        assert o.reason


EASY, MIDDLE, LOW, NEVER, ALWAYS = (
    ["1110", "1111"] * 5,
    ["1100"] * 10,
    ["1000", "0000"] * 5,
    ["0000"] * 10,
    ["1111"] * 10,
)


def test_what_has_more_room_gets_more_of_the_budget_and_all_of_it_is_spent() -> None:
    found = choose(report({"a": ["1110"] * 10, "b": ["1000"] * 10}))
    assert found["*"].tasks == 100
    assert found["b"].tasks > found["a"].tasks > 0
    # room of a: 100 - 75 points, of b: 100 - 25; 5 % each first, then 90 tasks in 1 : 3
    assert (found["a"].tasks, found["b"].tasks) == (28, 72) or (found["a"].tasks, found["b"].tasks) == (27, 73)
    assert "75% of samples right on 10 dev items" in found["a"].reason
    assert "room 75.0 points" in found["b"].reason


def test_the_tree_has_families_between_the_root_and_their_settings() -> None:
    found = choose(report({"sum/two": MIDDLE, "sum/four": LOW, "gcd": MIDDLE}))
    assert found["*"].parent is None
    assert (found["sum"].parent, found["gcd"].parent, found["sum/two"].parent) == ("*", "*", "sum")
    assert found["sum"].metric == "mean@4"


def test_a_family_above_the_band_moves_to_its_hardest_setting() -> None:
    found = choose(report({"sum/two": ["1111"] * 9 + ["1110"], "sum/four": EASY, "gcd": MIDDLE}))
    assert found["sum/four"].tasks > found["sum/two"].tasks
    assert "above the band 20% to 80%: to the hardest of 2" in found["sum/four"].reason


def test_a_family_below_the_band_moves_to_its_easiest_setting() -> None:
    found = choose(report({"sum/two": LOW, "sum/four": ["1000"] + ["0000"] * 9, "gcd": MIDDLE}))
    assert found["sum/two"].tasks > found["sum/four"].tasks
    assert "below the band 20% to 80%: to the easiest below of 2" in found["sum/two"].reason


def test_a_setting_outside_the_band_gets_the_floor_beside_one_inside() -> None:
    found = choose(report({"sum/two": MIDDLE, "sum/four": LOW}))
    assert found["sum/four"].tasks == 5
    assert "only the floor share" in found["sum/four"].reason


def test_what_has_no_room_is_guarded_with_no_task_and_the_reason() -> None:
    found = choose(report({"a": MIDDLE, "never": NEVER, "always": ALWAYS}))
    assert [found[a].direction for a in ("a", "never", "always")] == ["improve", "guard", "guard"]
    assert (found["never"].tasks, found["always"].tasks) == (0, 0)
    assert "not one of 40 samples is right" in found["never"].reason


def test_room_is_counted_above_the_best_constant_answer() -> None:
    always_the_same = report({"a": ["1100"] * 10, "b": ["1100"] * 10})
    same = tuple(o.model_copy(update={"gold": "7"}) if o.ability == "a" else o for o in always_the_same.outcomes)
    from instar.evaluate.report import metrics_of

    own = [o for o in same if o.ability == "a"]
    abilities = {**always_the_same.abilities, "a": metrics_of(own, 4)}
    r = always_the_same.model_copy(update={"outcomes": same, "abilities": abilities})
    assert {s.ability: s.room for s in standings(r)} == {"a": 0.0, "b": 0.5}
    assert choose(r)["a"].direction == "guard"


def test_what_has_reached_its_target_is_guarded_and_says_so() -> None:
    found = choose(report({"a": ["1110"] * 10, "b": LOW}), op=RoomToLearn(target=0.7))
    assert found["a"].direction == "guard"
    assert "target of 70% is reached" in found["a"].reason


def test_objectives_lapse_after_their_rounds() -> None:
    r = report({"a": MIDDLE})
    assert RoomToLearn()([r], 0, 3, 10)[0].expires == 3
    assert RoomToLearn(lasts=2)([r], 0, 3, 10)[0].expires == 4


@pytest.mark.parametrize(
    ("reports", "refused", "op", "said"),
    [
        ([report({"a": MIDDLE})], 2, RoomToLearn(), "2 gates in a row"),
        ([report({"a": ["1110"] * 10})], 0, RoomToLearn(target=0.7), "target of 70% is reached everywhere"),
        ([report({"a": MIDDLE})] * 3, 0, RoomToLearn(), "dev gained +0.0 points over the last 2 rounds"),
        ([report({"a": NEVER, "b": ALWAYS})], 0, RoomToLearn(), "none of 2 abilities has room"),
    ],
)
def test_each_stop_rule_stops_with_its_reason_and_no_task(
    reports: list[Report], refused: int, op: RoomToLearn, said: str
) -> None:
    found = choose(*reports, op=op, refused=refused)
    assert found["*"].reason.startswith(STOP)
    assert said in found["*"].reason
    assert all(o.tasks == 0 and o.direction == "guard" for a, o in found.items() if a != "*")


def test_what_still_gains_or_was_refused_once_goes_on() -> None:
    rising = [report({"a": [m] * 10}) for m in ("1000", "1100", "1110")]
    assert choose(*rising, refused=1)["*"].tasks == 100


@pytest.mark.parametrize("budget", [1, 2, 3, 7, 99, 360])
def test_budgets_sum_exactly_whatever_the_budget(budget: int) -> None:
    many = {f"f{i}/{s}": [m] * 4 for i, m in enumerate(("1000", "1100", "1110")) for s in ("x", "y")}
    assert choose(report(many), budget=budget)["*"].tasks == budget


def test_the_largest_remainder_goes_to_the_largest_fraction() -> None:
    assert largest_remainder({"a": 1, "b": 1, "c": 1}, 10) == {"a": 4, "b": 3, "c": 3}
    assert largest_remainder({"a": 0.7, "b": 0.3}, 1) == {"a": 1, "b": 0}


def test_no_report_and_a_single_sample_an_item_are_refused() -> None:
    with pytest.raises(DataError, match="no dev report"):
        RoomToLearn()([], 0, 1, 10)
    one = report({"a": MIDDLE})
    with pytest.raises(DataError, match="at least 2"):
        RoomToLearn()([one.model_copy(update={"exam": one.exam.model_copy(update={"n": 1})})], 0, 1, 10)
