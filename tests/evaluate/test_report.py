import pytest

from instar.errors import DataError, EngineError, StepFailed
from instar.evaluate.exams import items_digest, make_exam
from instar.evaluate.gates import PairedGate
from instar.evaluate.report import make_report
from tests.evaluate.build import attempt, exam_of, report_of, tasks_of

TASKS = tasks_of(3)


def test_a_report_has_outcomes_in_task_order_and_samples_in_attempt_order():
    tried = [attempt(t, m, i) for t in reversed(TASKS) for i, m in enumerate("10")]
    report = make_report("p", exam_of(TASKS, 2), tried, TASKS)
    assert [o.task for o in report.outcomes] == [t.id for t in TASKS]
    first = report.outcomes[0]
    assert [m.value for m in first.marks] == ["right", "wrong"]
    assert (first.gold, first.answers, first.tokens) == ("1", ("1", "no"), (5, 6))


def test_one_sample_an_item_gives_the_short_list_of_metrics_in_all_and_per_ability():
    report = report_of("p", {"add": "110", "mul": "0"})
    assert set(report.metrics) == {"mean@1", "parse_rate", "tokens", "best_constant"}
    assert (report.metrics["mean@1"].value, report.metrics["mean@1"].n) == (0.5, 4)
    assert {a: m["mean@1"].value for a, m in report.abilities.items()} == {"add": pytest.approx(2 / 3), "mul": 0.0}
    assert report.metrics["best_constant"].value == 0.5  # gold 1 in add0 and mul0
    assert report.abilities["mul"]["mean@1"].high > 0.5  # 0 of 1 says little


def test_many_samples_add_the_curves_for_k_and_the_powers_of_two_below():
    tried = [attempt(t, m, i) for t in TASKS for i, m in enumerate("011000")]
    metrics = make_report("p", exam_of(TASKS, 6), tried, TASKS).metrics
    curves = {f"{c}@{k}" for c in ("pass", "maj") for k in (2, 4, 6)}
    assert set(metrics) == {"mean@1", "mean@6", "parse_rate", "tokens", "best_constant"} | curves
    assert metrics["mean@1"].value == 0.0
    assert metrics["mean@6"].value == pytest.approx(1 / 3)
    assert metrics["pass@2"].value == pytest.approx(0.6)
    assert metrics["maj@6"].value == 0.0
    assert metrics["tokens"].value == 7.5


def test_a_report_survives_json_with_the_same_digest():
    report = report_of("p", {"add": "10"})
    assert type(report).model_validate_json(report.model_dump_json()).digest == report.digest


def test_without_gold_answers_there_is_no_best_constant():
    tasks = [t.model_copy(update={"private": {}}) for t in TASKS]
    tried = [attempt(t, "0").model_copy(update={"task": bare}) for t, bare in zip(TASKS, tasks, strict=True)]
    report = make_report("p", exam_of(tasks), tried, tasks)
    assert "best_constant" not in report.metrics
    assert report.outcomes[0].gold is None


def test_a_checker_that_names_no_answers_has_no_majority():
    silent = [
        e.model_copy(update={"feedback": e.feedback.model_copy(update={"answer": None})})
        for e in (attempt(t, "1", i) for t in TASKS for i in range(2))
    ]
    metrics = make_report("p", exam_of(TASKS, 2), silent, TASKS).metrics
    assert metrics["pass@2"].value == metrics["parse_rate"].value == 1.0
    assert "maj@2" not in metrics


def test_a_missing_sample_is_refused_with_the_number_that_is_missing():
    tried = [attempt(t, "1", i) for t in TASKS for i in range(2)]
    with pytest.raises(StepFailed, match=r"lacks 2 of 6 .* 'add1' has 1 of 2"):
        make_report("p", exam_of(TASKS, 2), [tried[0], tried[1], tried[2], tried[4]], TASKS)


def test_an_unjudged_sample_is_a_missing_one():
    tried = [attempt(t, "1") for t in TASKS]
    tried[1] = tried[1].model_copy(update={"feedback": None})
    with pytest.raises(StepFailed, match="lacks 1 of 3"):
        make_report("p", exam_of(TASKS), tried, TASKS)


def test_a_crashed_checker_is_refused_with_its_count_and_first_reason():
    tried = [attempt(TASKS[0], "1"), attempt(TASKS[1], "x", comment="ValueError: free text"), attempt(TASKS[2], "?")]
    with pytest.raises(StepFailed, match=r"2 of 3 .*1 invalid and 1 unscored.*no gap.*ValueError: free text"):
        make_report("p", exam_of(TASKS), tried, TASKS)


def test_a_sample_too_many_and_one_counted_twice_are_refused():
    tried = [attempt(t, "1") for t in TASKS]
    with pytest.raises(StepFailed, match="more than 1 samples"):
        make_report("p", exam_of(TASKS), [*tried, attempt(TASKS[0], "1", 1)], TASKS)
    with pytest.raises(StepFailed, match="there twice"):
        make_report("p", exam_of(TASKS, 2), [*tried, *tried], TASKS)


def test_an_attempt_at_a_task_of_another_exam_is_refused():
    other = tasks_of(1, "mul")[0]
    with pytest.raises(StepFailed, match="not in this exam"):
        make_report("p", exam_of(TASKS), [attempt(t, "1") for t in [*TASKS, other]], TASKS)
    crossed = attempt(TASKS[1], "1").model_copy(update={"task": TASKS[0]})
    with pytest.raises(StepFailed, match="not its own"):
        make_report("p", exam_of(TASKS), [crossed], TASKS)


def test_answers_of_another_policy_or_engine_are_not_this_policys_report():
    tried = [attempt(t, "1", policy="old") for t in TASKS]
    with pytest.raises(EngineError, match=r"3 of 3 .*'old'"):
        make_report("new", exam_of(TASKS), tried, TASKS)
    with pytest.raises(EngineError, match="openvino"):
        make_report("old", exam_of(TASKS, engine="openvino"), tried, TASKS)
    with pytest.raises(EngineError, match="f32"):
        make_report("old", exam_of(TASKS, precision="f32"), tried, TASKS)


def test_part_of_an_exam_is_not_the_exam():
    with pytest.raises(DataError, match="not those of exam 'dev'"):
        make_report("p", exam_of(TASKS), [attempt(t, "1") for t in TASKS[:2]], TASKS[:2])


def test_an_exam_is_its_items_whatever_their_order_and_nothing_else():
    assert items_digest(TASKS) == items_digest(TASKS[::-1])
    changed = [*TASKS[:2], TASKS[2].model_copy(update={"private": {"answer": 4}})]
    assert len({items_digest(TASKS), items_digest(TASKS[:2]), items_digest(changed)}) == 3


def test_an_exam_names_its_operators_by_id():
    solve, judge = PairedGate(), PairedGate(guard_margin=0.1)
    exam = make_exam("gate", TASKS, solve=solve, judge=judge, engine="scripted", precision="exact", n=4)
    assert (exam.solve, exam.judge, exam.n) == (solve.op_id, judge.op_id, 4)
    assert exam.items == items_digest(TASKS)


@pytest.mark.parametrize("tasks", [[], [TASKS[0], TASKS[0]]])
def test_no_tasks_or_one_task_twice_make_no_exam(tasks):
    with pytest.raises(DataError):
        items_digest(tasks)


def test_no_samples_make_no_exam():
    with pytest.raises(DataError, match="n = 0"):
        make_exam("dev", TASKS, solve=PairedGate(), judge=PairedGate(), engine="e", precision="p", n=0)
