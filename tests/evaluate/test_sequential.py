"""The sequential gate: it stops as soon as it is sure, in an order of its own, and what it cannot know is a no."""

from __future__ import annotations

import pytest

from instar.evaluate.gates import PairedGate
from instar.evaluate.sequential import SHOWN_OFTEN, SequentialGate
from tests.evaluate.build import report_of, tasks_of

PLAIN = SequentialGate(guarded=(), rounds=2, seed=1)


def reports(before: dict[str, str], after: dict[str, str]):
    return report_of("old", before), report_of("new", after)


def check(verdict, name):
    return next(c for c in verdict.checks if c.name == name)


def test_a_clear_gain_is_promoted_by_few_items_and_shows_no_gain_of_the_stopped_sample() -> None:
    old, new = reports({"add": "0" * 50}, {"add": "1" * 20 + "0" * 30})
    gate = PLAIN.model_copy(update={"cap": 400})
    verdict = gate(old, new)
    assert gate.decided(old, new)
    assert verdict.promoted
    gain = check(verdict, "gain").numbers
    assert gain["decided_at"] < 50
    assert gain["low"] > 0
    assert gain.get("gain") is None
    assert (gain["confidence"], gain["wanted"]) == (0.95, 40)
    assert verdict.reason.startswith(f"Promoted after {gain['decided_at']:.0f} items (50 of 400 asked).")


def test_it_goes_on_while_nothing_is_sure_and_is_refused_when_the_items_run_out() -> None:
    old, new = reports({"add": "10" * 25}, {"add": "10" * 24 + "11"})
    more = PLAIN.model_copy(update={"cap": 400})
    assert not more.decided(old, new)
    early = more(old, new)
    assert not early.promoted
    assert "without a decision" in early.reason
    out = PLAIN.model_copy(update={"cap": 50})
    assert out.decided(old, new)
    assert not out(old, new).promoted
    assert "when all 50 items were used up" in out(old, new).reason


def test_a_harmful_candidate_is_refused_before_its_items_run_out() -> None:
    old, new = reports({"add": "1" * 50}, {"add": "1" * 25 + "0" * 25})
    gate = PLAIN.model_copy(update={"cap": 400})
    assert gate.decided(old, new)
    verdict = gate(old, new)
    assert not verdict.promoted
    assert "surely below" in verdict.reason


def test_what_is_worth_less_than_is_wanted_ends_earlier_where_that_is_asked_for() -> None:
    old, new = reports({"add": "10" * 100}, {"add": "10" * 100})
    waiting = PLAIN.model_copy(update={"cap": 400})
    assert not waiting.decided(old, new)
    assert waiting.model_copy(update={"worth": 0.1}).decided(old, new)


def test_the_order_hangs_on_the_seed_and_mixes_the_abilities() -> None:
    tasks = [*tasks_of(60, "add"), *tasks_of(60, "mul")]
    order = PLAIN.ordered(tasks)
    assert order == PLAIN.ordered(tasks[::-1])
    assert order != PLAIN.model_copy(update={"seed": 2}).ordered(tasks)
    assert 15 < sum(t.ability == "add" for t in order[:60]) < 45
    assert PLAIN.model_copy(update={"cap": 7}).ordered(tasks) == order[:7]


def test_the_verdict_hangs_on_that_order_and_not_on_the_reports() -> None:
    old, new = reports({"add": "0" * 40}, {"add": "1" * 20 + "0" * 20})
    turned = new.model_copy(update={"outcomes": new.outcomes[::-1]})
    assert PLAIN(old, turned).checks == PLAIN(old, new).checks


def test_a_guarded_ability_that_lost_its_margin_holds_the_gain_back() -> None:
    before = {"add": "0" * 60, "mul": "1" * 60}
    after = {"add": "1" * 60, "mul": "1" * 30 + "0" * 30}
    gate = SequentialGate(rounds=2, seed=1, cap=400)
    verdict = gate(*reports(before, after))
    assert check(verdict, "gain").passed
    assert not check(verdict, "guard:mul").passed
    assert not verdict.promoted
    assert "mul: change surely below -15.0 points" in verdict.reason
    same = {**after, "mul": before["mul"]}
    assert gate(*reports(before, same)).promoted
    assert gate.model_copy(update={"guarded": ("add",)})(*reports(before, after)).promoted


def test_abilities_are_guarded_that_the_first_items_do_not_hold() -> None:
    begun = SequentialGate(rounds=2).begun([*tasks_of(150, "add"), *tasks_of(50, "mul")], rounds=2, seed=1)
    assert isinstance(begun, SequentialGate)
    assert begun.guarded == ("add", "mul")
    old, new = reports({"add": "0" * 60}, {"add": "1" * 60})
    assert not begun.decided(old, new)
    out = begun.model_copy(update={"cap": 60})(old, new)
    assert not out.promoted
    assert "'mul' is not among these items" in out.reason


def test_the_error_is_shared_among_the_rounds_and_the_cap_is_fixed_beforehand() -> None:
    begun = SequentialGate().begun(tasks_of(200), rounds=5, seed=3)
    assert isinstance(begun, SequentialGate)
    assert (begun.rounds, begun.cap, begun.seed, begun.alpha) == (5, 200, 3, 0.01)
    assert begun.power() >= SHOWN_OFTEN


def test_a_cap_that_cannot_show_20_points_takes_the_fixed_test_of_the_same_error() -> None:
    asked = SequentialGate(guard_margin=0.1)
    begun = asked.begun(tasks_of(60), rounds=2, seed=1)
    assert begun == PairedGate(confidence=0.95, guard_margin=0.1)
    fewest = asked.model_copy(update={"rounds": 2}).fewest()
    assert fewest is not None
    assert 100 < fewest < 150
    assert isinstance(asked.begun(tasks_of(fewest), rounds=2, seed=1), SequentialGate)
    assert not isinstance(asked.begun(tasks_of(fewest - 1), rounds=2, seed=1), SequentialGate)
    never = SequentialGate(minimum_effect=0.3, rounds=2)
    assert never.fewest() is None
    assert isinstance(never.begun(tasks_of(150), rounds=2, seed=1), PairedGate)


@pytest.mark.parametrize("differs", ["items", "exam"])
def test_reports_that_cannot_be_compared_end_it_with_a_no(differs: str) -> None:
    old, new = reports({"add": "0" * 50}, {"add": "1" * 50})
    if differs == "items":
        new = new.model_copy(update={"outcomes": new.outcomes[1:]})
    else:
        new = new.model_copy(update={"exam": new.exam.model_copy(update={"precision": "other"})})
    gate = PLAIN.model_copy(update={"cap": 400})
    assert gate.decided(old, new)
    assert not gate(old, new).promoted


def test_an_error_that_no_fixed_test_can_have_is_refused_before_a_run_begins() -> None:
    with pytest.raises(ValueError, match=r"less than 0\.25"):
        SequentialGate(error=0.25)
    assert SequentialGate(error=0.24).begun(tasks_of(3), rounds=1, seed=0)
