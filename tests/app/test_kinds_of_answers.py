"""What ``instar init`` takes gold answers for, and the verifier of labels that it writes."""

import pytest

from instar.app.scaffold.checks import of_labels
from instar.app.scaffold.kinds import OfKind, kind_of
from instar.app.scaffold.tasks import _checker_of

FORMULAS = [rf"\frac{{\sqrt{{{i}}}}}{{7}}" for i in range(30)]


@pytest.mark.parametrize(
    ("golds", "kind", "checker"),
    [
        ([f"${i}.50" for i in range(30)], "number", "exact"),
        ([f"${i},000" for i in range(1, 30)] + ["12"], "number", "exact"),
        ([f"{i} m^2" for i in range(30)], "number", "exact"),
        ([f"{i} x 10^8 m/s" for i in range(1, 30)], "number", "exact"),
        ([str(i) for i in range(30)], "number", "numeric"),
        (FORMULAS, "number", "math"),
        ([*FORMULAS, r"\$18.90"], "number", "math"),
        ([*FORMULAS, "p - q", "x = 5", "6 - 5i", "even"], "number", "math"),
        ([*FORMULAS, *(f"word {i}" for i in range(10))], "extract", "exact"),
        ([f"{i}-{i % 5}" for i in range(30)] + ["x^2"], "extract", "exact"),  # scores
        ([f"name {i}" for i in range(30)] + ["x^2"], "extract", "exact"),
        ([f"costs $5 and ${i}" for i in range(30)] + ["no"] * 30, "extract", "exact"),
    ],
)  # fmt: skip
def test_money_and_units_are_numbers_and_a_file_of_mostly_formulas_is_one_of_formulas(golds, kind, checker):
    questions = [f"row {chr(97 + i % 26)}" for i in range(len(golds))]
    found = kind_of(questions, golds, "answer")
    assert (found.kind, _checker_of(found, golds)[0]) == (kind, checker)


@pytest.mark.parametrize(
    ("golds", "kind", "why"),
    [
        ("ABCDEFGHIJKL" * 8, "choice", "every gold answer is one letter from A to L"),
        ("ABCD" * 8, "choice", "every gold answer is one letter from A to J"),
        ("MF" * 30, "classify", "60 rows have 2 distinct answers"),
        ("SML" * 30, "classify", "90 rows have 3 distinct answers"),
    ],
)
def test_letters_after_j_are_options_where_they_run_on_from_a(golds, kind, why):
    found = kind_of([f"q {i}" for i in range(len(golds))], list(golds), "answer")
    assert (found.kind, found.why) == (kind, why)


LONG = [f"the customer asks what became of the order that was made some days ago, case {x}" for x in "xy"]


@pytest.mark.parametrize(
    ("golds", "kind", "why"),
    [
        (LONG * 60, "classify", "120 rows have 2 distinct answers"),
        (
            [f"intent {chr(97 + i % 30)}{i % 30}" for i in range(240)],
            "extract",
            "240 rows have 30 labels, which are too",
        ),
        ([f"{LONG[0]} {chr(97 + i % 30)}{i % 30}z" for i in range(240)], "extract", "30 labels, which are too many"),
        (["spam"] * 120, "extract", "every row has the same answer: there is nothing to learn"),
        (["a word", "two", "three"] * 2, "extract", "short texts, 3 different ones in 6 rows"),
        ([f"word {chr(97 + i)}" for i in range(20)], "extract", "the gold answers are short texts, each another"),
        ([f"{LONG[0] * 2} {i}z" for i in range(60)] * 2, "free", "half of the gold answers have more than 120"),
    ],
)
def test_answers_that_come_again_are_called_labels_and_no_others(golds, kind, why):
    found = kind_of([f"q {i}" for i in range(len(golds))], golds, "label")
    assert found.kind == kind
    assert why in found.why


def test_labels_are_shown_without_characters_that_show_nothing():
    golds = ["spam\u200b", "\ufeffham", "\u200b"] * 20
    found = kind_of(["q"] * 60, golds, "label")
    assert (found.kind, found.labels) == ("classify", ("ham", "spam"))


@pytest.mark.parametrize(
    ("labels", "reply", "gold", "right"),
    [
        (["Yes", "No"], "Yes, there is no doubt.", "Yes", True),
        (["Yes", "No"], "Yes, without any doubt", "Yes", True),
        (["Yes", "No"], "No idea", "No", False),
        (["Yes", "No"], "No doubt", "No", False),
        (["Yes", "No"], "No, it is not.", "No", True),
        (["Yes", "No"], "Yes and no", "Yes", False),
        (["Yes", "No"], "There is no doubt that it is not yes", "Yes", False),
        (["spam", "ham"], "spam", "spam\u200b", True),
        (["spam", "ham"], "Answer: \u200bspam", "spam", True),
        (["spam", "ham"], "ham", "spam\u200b", False),
        (["spam", "ham"], "It isn’t spam", "spam", False),
        (["don't know", "sure"], "Don’t know", "don't know", True),
        (["check-in", "other"], "check\u2011in", "check-in", True),
        (["error", "none"], "Error, no doubt.", "error", True),
        (["error", "none"], "no error", "error", False),
    ],
)
def test_a_label_is_told_from_what_denies_it_and_from_idioms(labels, reply, gold, right):
    scope = {}
    exec(of_labels(OfKind("classify", "", tuple(labels))), scope)  # noqa: S102 - the file that init writes
    assert scope["is_right"](reply, {"answer": gold}) is right
