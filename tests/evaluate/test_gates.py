import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from instar.evaluate.gates import PairedGate
from tests.evaluate.build import report_of


def judged(gate, before, after):
    return gate(report_of("old", before), report_of("new", after))


def check(verdict, name):
    return next(c for c in verdict.checks if c.name == name)


def test_a_clear_gain_that_harms_nothing_is_promoted():
    old = {"add": "0" * 60, "mul": "10" * 30}
    verdict = judged(PairedGate(), old, {"add": "1" * 20 + "0" * 40, "mul": "10" * 30})
    assert verdict.promoted
    assert verdict.reason.startswith("Promoted. Gain +16.7 points")
    assert (verdict.incumbent, verdict.candidate) == ("old", "new")
    assert [c.name for c in verdict.checks] == ["comparable", "gain", "guard:add", "guard:mul"]
    gain = check(verdict, "gain").numbers
    assert (gain["n"], gain["newly_right"], gain["newly_wrong"]) == (120, 20, 0)
    assert 0 < gain["low"] < gain["gain"] < gain["high"]
    assert gain["p"] == pytest.approx(2 * 0.5**20)


def test_no_change_is_not_promoted():
    same = {"add": "10" * 50}
    verdict = judged(PairedGate(), same, same)
    assert not verdict.promoted
    assert "not above the minimum effect" in verdict.reason


def test_three_of_three_newly_right_are_not_enough():
    verdict = judged(PairedGate(guarded=()), {"add": "000"}, {"add": "111"})
    assert check(verdict, "gain").numbers["gain"] == 1.0
    assert not verdict.promoted


def test_a_gain_below_the_minimum_effect_is_refused():
    before, after = {"add": "0" * 100}, {"add": "1" * 15 + "0" * 85}
    assert judged(PairedGate(), before, after).promoted
    assert not judged(PairedGate(minimum_effect=0.1), before, after).promoted


def test_a_gain_in_all_that_harms_a_guarded_ability_is_refused_by_its_name():
    before = {"add": "0" * 60, "mul": "1" * 60}
    after = {"add": "1" * 60, "mul": "1" * 40 + "0" * 20}
    verdict = judged(PairedGate(), before, after)
    assert not verdict.promoted
    assert check(verdict, "gain").passed
    assert check(verdict, "guard:add").passed
    failed = check(verdict, "guard:mul")
    assert not failed.passed
    assert failed.numbers["gain"] == pytest.approx(-1 / 3)
    assert failed.numbers["low"] < -0.15
    assert verdict.reason.startswith("Not promoted. Gain +33.3 points")
    assert "mul: -33.3 points" in verdict.reason
    assert judged(PairedGate(guarded=("add",)), before, after).promoted


def test_of_many_failed_guards_two_are_told_in_full_and_the_others_by_name():
    before = {"gained": "0" * 60, **{f"small {i}": "10" for i in range(4)}}
    reason = judged(PairedGate(), before, {**before, "gained": "1" * 60}).reason
    assert reason.startswith("Not promoted. Gain")
    assert reason.count("is not ruled out") == 2
    assert reason.endswith("2 more guards fail: small 2, small 3.")


def test_a_guard_with_too_few_items_fails_and_says_what_they_can_show():
    before = {"add": "0" * 60, "mul": "1010"}
    verdict = judged(PairedGate(), before, {"add": "1" * 60, "mul": "1010"})
    guard = check(verdict, "guard:mul")
    assert not verdict.promoted
    assert not guard.passed
    assert guard.numbers["smallest_detectable"] == 1.0
    assert "on 4 items" in guard.reason
    assert "the smallest drop these items can show is 100.0 points" in guard.reason


def test_the_default_margin_lets_an_unchanged_ability_of_50_items_pass():
    before = {"add": "0" * 60, "mul": "10" * 25}
    guard = check(judged(PairedGate(), before, {"add": "1" * 60, "mul": "10" * 25}), "guard:mul")
    assert guard.passed
    assert -0.15 <= guard.numbers["low"] < 0


def test_a_guarded_ability_that_is_not_in_the_exam_is_missing_evidence():
    verdict = judged(PairedGate(guarded=("add", "safety")), {"add": "0" * 60}, {"add": "1" * 60})
    assert not verdict.promoted
    assert "'safety' is not in this exam (it has: add)" in verdict.reason
    assert check(verdict, "guard:safety").numbers["n"] == 0


def test_bonferroni_makes_each_guard_stricter_and_leaves_the_gain_alone():
    before = {"add": "0" * 60, "mul": "10" * 30, "gcd": "10" * 30}
    after = {"add": "1" * 60, "mul": "1" * 3 + "0" * 3 + "10" * 27, "gcd": "10" * 30}
    plain, strict = (judged(PairedGate(correction=c), before, after) for c in ("none", "bonferroni"))
    assert check(strict, "guard:mul").numbers["low"] < check(plain, "guard:mul").numbers["low"]
    assert check(strict, "guard:mul").numbers["confidence"] == pytest.approx(1 - 0.05 / 3)
    assert check(strict, "gain") == check(plain, "gain")


def test_reports_that_cannot_be_compared_are_not_promoted():
    old, new = report_of("old", {"add": "0" * 60}), report_of("new", {"add": "1" * 60})
    other_exam = new.model_copy(update={"exam": new.exam.model_copy(update={"engine": "vllm"})})
    fewer = new.model_copy(update={"outcomes": new.outcomes[1:]})
    for candidate, why in (
        (other_exam, "different exams: engine"),
        (fewer, "different items"),
        (new.model_copy(update={"outcomes": ()}), "holds no outcomes"),
    ):
        verdict = PairedGate()(old, candidate)
        assert not verdict.promoted
        assert why in verdict.reason
        assert [c.name for c in verdict.checks] == ["comparable"]
    empty = old.model_copy(update={"outcomes": ()})
    assert not PairedGate()(empty, empty).promoted


def test_the_gate_reads_outcomes_and_never_the_metrics_a_report_claims():
    old, new = report_of("old", {"add": "0" * 60}), report_of("new", {"add": "0" * 60})
    boast = new.metrics["mean@1"].model_copy(update={"value": 1.0, "low": 1.0, "high": 1.0})
    assert not PairedGate()(old, new.model_copy(update={"metrics": {"mean@1": boast}})).promoted


@pytest.mark.parametrize("field", ["minimum_effect", "guard_margin", "confidence"])
def test_a_setting_that_is_not_a_number_is_refused(field):
    with pytest.raises(ValidationError, match=field):
        PairedGate.model_validate({field: float("nan")})


def test_a_nan_that_got_in_anyway_means_no():
    nan = float("nan")
    before, after = {"add": "0" * 60}, {"add": "1" * 60}
    assert judged(PairedGate(), before, after).promoted
    for field in ("minimum_effect", "guard_margin"):
        verdict = judged(PairedGate.model_construct(**{field: nan}), before, after)
        assert not verdict.promoted
        json.dumps(verdict.content(), allow_nan=False)


@pytest.mark.parametrize("setting", [{"confidence": 95}, {"guard_margin": 15}, {"minimum_effect": -0.1}, {"margin": 0}])
def test_settings_in_points_or_misspelt_are_refused(setting):
    with pytest.raises(ValidationError):
        PairedGate.model_validate(setting)


def test_the_verdict_is_the_same_again_and_can_be_stored():
    before, after = {"add": "01" * 30}, {"add": "11" * 30}
    one, two = (judged(PairedGate(), before, after) for _ in range(2))
    assert one.digest == two.digest
    assert type(one).model_validate_json(one.model_dump_json()) == one


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=4, max_size=24), st.data())
@settings(max_examples=25, deadline=None)
def test_a_better_answer_never_turns_a_promotion_into_a_refusal(pairs, data):
    gate = PairedGate(guard_margin=0.4)
    old = {"add": "".join(str(int(a)) for a, _ in pairs)}
    marks = [str(int(b)) for _, b in pairs]
    first = judged(gate, old, {"add": "".join(marks)})
    marks[data.draw(st.integers(0, len(marks) - 1))] = "1"
    second = judged(gate, old, {"add": "".join(marks)})
    assert second.promoted >= first.promoted
    assert check(second, "gain").numbers["low"] >= check(first, "gain").numbers["low"] - 1e-12
