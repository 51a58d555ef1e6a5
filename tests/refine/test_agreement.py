"""Filters that look at no gold answer: the entropy of the answers, and CodeT's dual execution agreement."""

import pytest

from instar.records import Feedback, Mark
from instar.refine.filters.answer_entropy import AnswerEntropyAtMost, entropy
from instar.refine.filters.dual_agreement import DualAgreement, agreement
from tests.refine.test_filters import item, kept


def answered(id, answer, **evidence):
    said = Feedback(solution=id, score=None, mark=Mark.unscored, source="execution", answer=answer, evidence=evidence)
    return item(id).model_copy(update={"feedback": said})


def test_a_task_whose_samples_agree_is_kept_whole_and_one_whose_samples_do_not_is_dropped_whole():
    agreeing = [answered("a", "7"), answered("b", "7"), answered("c", "7"), answered("d", "8")]
    assert kept(AnswerEntropyAtMost(bits=0.9), agreeing) == ["a", "b", "c", "d"]
    assert kept(AnswerEntropyAtMost(bits=0.8), agreeing) == []
    assert AnswerEntropyAtMost(bits=0.8)(agreeing)[0].reason == "the answers' entropy 0.811 bits is above 0.8"


def test_silence_is_not_agreement_and_one_sample_agrees_with_nobody():
    assert entropy([None, None, None, None]) == pytest.approx(2.0)
    assert entropy(["7", "7"]) == 0.0
    assert kept(AnswerEntropyAtMost(bits=1.5), [answered(str(i), None) for i in range(4)]) == []
    assert kept(AnswerEntropyAtMost(), [answered("a", "7")]) == []
    assert kept(AnswerEntropyAtMost(), [item("a", judged=False), item("b", judged=False)]) == []


T, F = True, False


def test_the_set_of_programs_that_agree_on_most_tests_is_kept():
    # three programs pass tests 1 and 2 (3 x 2 = 6); one passes all three (1 x 3); one only the last (1 x 1)
    rows = {"a": (T, T, F), "b": (T, T, F), "c": (T, T, F), "d": (T, T, T), "e": (F, F, T)}
    items = [answered(k, None, passed=list(v)) for k, v in rows.items()]
    assert kept(DualAgreement(), items) == ["a", "b", "c"]
    assert DualAgreement()(items)[3].reason == "its consensus set scores 3, the best 6"
    assert DualAgreement()(items)[0].reason == "the best consensus set: 3 programs pass the same 2 tests"
    assert agreement(list(rows.values())) == {(T, T, F): 6, (T, T, T): 3, (F, F, T): 1}


def test_two_sets_of_one_score_are_no_agreement_and_passing_nothing_is_none():
    tied = [answered("a", None, passed=[T, F]), answered("b", None, passed=[F, T])]
    assert kept(DualAgreement(), tied) == []
    assert DualAgreement()(tied)[0].reason == "no agreement: 2 consensus sets score 1"
    assert kept(DualAgreement(), [answered("a", None, passed=[F]), answered("b", None, passed=[F])]) == []


@pytest.mark.parametrize("evidence", [{}, {"passed": []}, {"passed": "TT"}, {"passed": [1, 1]}, {"passed": [T, T, T]}])
def test_a_program_without_readable_evidence_is_unscored_and_harms_nobody(evidence):
    items = [answered("a", None, passed=[T, F]), answered("b", None, passed=[T, F]), answered("c", None, **evidence)]
    assert kept(DualAgreement(), items) == ["a", "b"]
    assert DualAgreement()(items)[2].reason.startswith("unscored")
