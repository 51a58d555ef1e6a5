"""Which way of asking is taken, and what is said of it."""

from __future__ import annotations

import pytest

from instar.app.scaffold.beginning import in_minutes
from instar.app.scaffold.kinds import OfKind
from instar.app.scaffold.probing import Tried, best, without_system
from instar.app.scaffold.prompts import Form, forms, shots
from instar.app.scaffold.tasks import fit


def tried(name: str, right: int, any_right: int, share: float = 0.1) -> Tried:
    return Tried(Form(name, ""), 20, right, any_right, 100, share, ())


@pytest.mark.parametrize(
    ("seen", "taken"),
    [
        ([(0, 0), (2, 7), (9, 12)], 2),
        ([(0, 5), (0, 5)], 0),
        ([(3, 10), (12, 20), (19, 20)], 1),  # examples alone do it: the plainer one has more to learn
        ([(3, 10), (12, 20), (17, 20)], 1),  # nearly all of it: a set like this had 5 points to gain, too few to show
        ([(3, 10), (12, 19), (16, 20)], 2),
        ([(0, 2), (1, 4), (19, 20)], 2),  # but too little to learn from
        ([(19, 20), (20, 20)], 0),
    ],
)
def test_the_way_with_most_rows_to_learn_from_is_taken(seen: list[tuple[int, int]], taken: int) -> None:
    all_of_them = [tried(str(i), *x) for i, x in enumerate(seen)]
    assert best(all_of_them).form.name == str(taken)


def test_a_first_run_on_many_rows_with_short_answers_is_one_round_of_some_minutes() -> None:
    many = in_minutes(fit(5000))
    assert (many.rounds, many.train, many.gate, many.sealed) == (1, 160, 150, 200)
    assert many.detects > fit(5000).detects
    assert in_minutes(fit(300)) == fit(300)


def test_examples_are_one_of_each_label_and_of_different_answers_elsewhere() -> None:
    rows = [(f"text number {i}", "ab"[i % 2]) for i in range(20)]
    assert {s["answer"] for s in shots(OfKind("classify", "", ("a", "b")), rows)} == {"a", "b"}
    texts = [(f"text {i}", f"answer {i // 2}") for i in range(20)]
    assert len({s["answer"] for s in shots(OfKind("extract", ""), texts)}) == 3


def test_what_is_asked_in_chinese_is_instructed_in_chinese() -> None:
    rows = [(f"我的包裹在哪里 {i}", "物流" if i % 2 else "退款") for i in range(20)]
    *_, last = forms(OfKind("classify", "", ("物流", "退款")), rows)
    assert last.system.startswith("把文本归入以下类别之一")
    assert "物流、退款" in last.system


def test_a_model_without_a_system_role_gets_the_instruction_in_every_question() -> None:
    form = without_system(Form("x", "Pick one.", "", ({"question": "q", "answer": "a"},)))
    assert (form.system, form.template) == ("", "Pick one.\n\n{question}")
    assert form.shots == ({"question": "q", "answer": "a"},)
