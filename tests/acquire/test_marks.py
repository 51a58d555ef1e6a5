"""Worked answers: the result is seen whatever stands before it, and thoughts are no part of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from instar.acquire.tasks.asking import golds_of
from instar.acquire.tasks.marks import mark_of, steps
from instar.acquire.tasks.options import NotSo
from instar.app.scaffold.beginning import told_format
from instar.app.scaffold.tasks import Reading, read_tasks, source_of

RESULTS = {
    "**Answer:** 85 apples": "85 apples", "**Answer:**\n\n85 apples.": "85 apples",
    "Therefore, the answer is: 85": "85", "The final answer is 85.": "85", "Final answer: 85": "85",
    "ANSWER: 85": "85", "### 85": "85", "#### Answer\n85": "85", "### Final answer\n\n**85**": "85",
    "**Final Answer**\n$85$": "85", "Result: 85": "85", "Antwort: 75": "75", "Die Antwort ist 75.": "75",
    "Respuesta: 75": "75", "La respuesta es 75.": "75", "Réponse : 75": "75", "Ответ: 75": "75", "答え:75": "75",
    "最终答案\uff1a85": "85", "【答案】85": "85", "答\uff1a一共85个。": "85个", "答\uff1a是的。": "是的",
    "<answer>85</answer>": "85", "The answer is 85. Hope this helps!": "85",
}  # fmt: skip


def read(tmp_path: Path, *answers: str) -> Reading:
    path = tmp_path / "x.jsonl"
    rows = [{"question": f"q {i}", "answer": a} for i, a in enumerate(answers)]
    path.write_text("".join(json.dumps(r, ensure_ascii=False) + "\n" for r in rows), "utf-8")
    return read_tasks(path)


@pytest.mark.parametrize("end", RESULTS)
def test_of_a_worked_answer_the_result_counts_whatever_stands_before_it(end: str, tmp_path: Path) -> None:
    for worked in (f"We add the numbers up.\n{end}", f"<think>Is it 7? Answer: 7</think>\n{end}"):
        found = read(tmp_path, *[worked] * 3)
        assert {t.private["answer"] for t in source_of(found).distinct()} == {RESULTS[end]}
        assert "of an answer" in told_format(found)


def test_a_mark_that_differs_from_row_to_row_is_seen_in_all_of_them(tmp_path: Path) -> None:
    found = read(tmp_path, "a\n#### 1", "b. Answer: 2", "The answer is 3.", "so $\\boxed{4}$")
    assert [t.private["answer"] for t in source_of(found).distinct()] == ["1", "2", "3", "4"]


def test_a_mark_of_its_own_goes_before_the_words_of_a_sentence(tmp_path: Path) -> None:
    found = read(tmp_path, *(f"Result: {i}\n\nWhy: the answer is found by adding." for i in range(9)))
    assert [t.private["answer"] for t in source_of(found).distinct()] == [str(i) for i in range(9)]


def test_where_most_answers_have_a_mark_the_others_are_named_and_not_taken_whole(tmp_path: Path) -> None:
    found = read(tmp_path, *(f"We add.\n#### {i}" if i % 5 else f"1 + {i}, so {i + 1}" for i in range(20)))
    assert found.form.mark == "####"
    assert len(found.bad) == 4
    assert found.bad[0] == "line 1: the answer has no '####' with a result after it"
    long = "and here is what else there may be to say about it, which is not much after all"
    found = read(tmp_path, *(["so $\\boxed{4}$"] * 30 + [f"4 {long}"]))
    assert found.bad == ("line 31: the answer has no \\boxed{...} with a result in it",)


@pytest.mark.parametrize("thought", ["<think>1?</think>\n\n", "1?</think>\n", "<thinking>1?</thinking> ",
                                     "<|begin_of_thought|>1?<|end_of_thought|>\n"])  # fmt: skip
def test_thoughts_are_no_part_of_an_answer(thought: str) -> None:
    assert golds_of(f"{thought}85", "answer") == ("85",)
    assert golds_of([{"role": "user", "content": "q"}, {"role": "assistant", "content": f"{thought}85"}], "a") == (
        "85",
    )
    with pytest.raises(NotSo, match="holds thoughts, and no answer after them"):
        golds_of("<think>1, or is it", "answer")


@pytest.mark.parametrize("golds", [
    ["import sys\nanswer = 5", "import os\nanswer = 6"], ["```\nanswer = 5\n```"] * 2,
    ["Paris", "Answer: Rome", "Oslo"], ["No answer", "yes"],
    ["The answer is long: it begins where nobody looks, goes on and on, and has no end at all"] * 2,
])  # fmt: skip
def test_what_is_no_worked_answer_is_left_as_it_is(golds: list[str]) -> None:
    assert mark_of(golds) == ""


def test_an_example_shows_how_the_result_is_found_without_the_thoughts() -> None:
    assert steps("<think>x</think>3 + 4 = 7. So the final answer is **7**.", "any") == "3 + 4 = 7."
    assert steps("3 + 4 = 7\n\n**Answer:** 7", "any").strip() == "3 + 4 = 7"
    assert steps("3 + 4 = 7\n#### 7", "####").strip() == "3 + 4 = 7"
