import pytest

from instar.evaluate.compare import compare
from instar.evaluate.intervals import mcnemar_p, paired_bootstrap
from instar.evaluate.report import make_report
from tests.evaluate.build import MARKS, attempt, exam_of, report_of, tasks_of

BEFORE, AFTER = {"add": "1100000000", "mul": "1010"}, {"add": "1011111000", "mul": "1010"}


def test_a_comparison_counts_what_changed_and_how_sure_the_gain_is():
    got = compare(report_of("a", BEFORE), report_of("b", AFTER))
    assert (got.policy_a, got.policy_b, got.refusal, got.n) == ("a", "b", None, 14)
    assert (got.newly_right, got.newly_wrong, got.both_right, got.both_wrong) == (5, 1, 3, 5)
    assert got.p == mcnemar_p(5, 1)
    assert (got.before, got.after, got.gain) == (pytest.approx(4 / 14), pytest.approx(8 / 14), pytest.approx(4 / 14))
    want = paired_bootstrap([float(c) for c in "11000000001010"], [float(c) for c in "10111110001010"])
    assert (got.low, got.high) == (want.low, want.high)
    assert got.discordance == pytest.approx(6 / 14)


def test_each_ability_has_its_own_change():
    got = compare(report_of("a", BEFORE), report_of("b", AFTER)).abilities
    assert {k: (v.n, v.gain) for k, v in got.items()} == {"add": (10, pytest.approx(0.4)), "mul": (4, 0.0)}
    assert got["mul"].low < 0 < got["mul"].high


def test_swapping_the_reports_turns_the_gain_round():
    a, b = report_of("a", BEFORE), report_of("b", AFTER)
    there, back = compare(a, b), compare(b, a)
    assert there.gain == -back.gain
    assert (there.newly_right, there.newly_wrong) == (back.newly_wrong, back.newly_right)
    assert there.low == pytest.approx(-back.high, abs=0.03)


def test_items_in_another_order_are_paired_by_task():
    a, b = report_of("a", BEFORE), report_of("b", AFTER)
    assert compare(a, b.model_copy(update={"outcomes": b.outcomes[::-1]})) == compare(a, b)


def test_a_gain_of_form_shows_in_the_parse_rates():
    tasks = tasks_of(4)
    mute = [attempt(t, "0") for t in tasks]
    mute = [e.model_copy(update={"feedback": e.feedback.model_copy(update={"answer": None})}) for e in mute]
    a = make_report("p", exam_of(tasks), mute, tasks)
    b = make_report("p", exam_of(tasks), [attempt(t, "1") for t in tasks], tasks)
    got = compare(a, b)
    assert (got.parse_before, got.parse_after, got.best_constant) == (0.0, 1.0, 0.25)


def test_many_samples_count_items_whose_score_rose_or_fell():
    tasks = tasks_of(3)

    def report(policy, *marks):
        tried = [
            attempt(t, m, i, policy=policy) for t, own in zip(tasks, marks, strict=True) for i, m in enumerate(own)
        ]
        return make_report(policy, exam_of(tasks, 2), tried, tasks)

    got = compare(report("a", "00", "10", "11"), report("b", "10", "00", "11"))
    assert (got.gain, got.newly_right, got.newly_wrong, got.both_right, got.both_wrong) == (0.0, 1, 1, 1, 0)
    assert got.discordance == pytest.approx(0.5 / 3)


@pytest.mark.parametrize("field", ["suite", "solve", "judge", "engine", "precision", "items"])
def test_different_exams_are_refused_by_the_name_of_what_differs(field):
    a = report_of("a", BEFORE)
    b = a.model_copy(update={"exam": a.exam.model_copy(update={field: "other"})})
    got = compare(a, b)
    assert f"different exams: {field} " in got.refusal
    assert got.gain is got.low is got.p is None
    assert (got.n, got.abilities) == (0, {})


def test_the_id_of_an_exam_does_not_make_it_another():
    a = report_of("a", BEFORE)
    assert compare(a, a.model_copy(update={"exam": a.exam.model_copy(update={"id": "i1:z"})})).refusal is None


def test_missing_repeated_and_changed_items_are_refused():
    a = report_of("a", BEFORE)

    def with_outcomes(*outcomes):
        return compare(a, a.model_copy(update={"outcomes": outcomes})).refusal

    first, *rest = a.outcomes
    assert "1 are only in the first and 0 only in the second" in with_outcomes(*rest)
    assert "holds no outcomes" in with_outcomes()
    assert "twice" in with_outcomes(first, first, *rest)
    assert "another ability or gold" in with_outcomes(first.model_copy(update={"gold": "0"}), *rest)
    assert "without exactly 1 samples" in with_outcomes(first.model_copy(update={"marks": ()}), *rest)
    assert "never scored" in with_outcomes(first.model_copy(update={"marks": (MARKS["x"],)}), *rest)
