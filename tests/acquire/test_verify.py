import asyncio
import time

import pytest

from instar.acquire.feedback import checkers
from instar.acquire.feedback.verify import Verify
from instar.acquire.tasks.reasoning_gym import ReasoningGym
from instar.errors import ConfigError
from instar.records import Mark
from tests.acquire.things import solution, task

FAMILIES = """
aiw base_conversion basic_arithmetic binary_matrix bitwise_arithmetic calendar_arithmetic
chain_sum coin_flip complex_arithmetic count_bits count_primes countdown
decimal_chain_sum dice family_relationships fraction_simplification gcd knights_knaves
largest_island lcm leg_counting letter_counting n_queens number_sequence
number_sorting prime_factorization products propositional_logic rotate_matrix shortest_path
simple_equations spiral_matrix syllogism time_intervals tower_of_hanoi word_sorting
""".split()  # noqa: SIM905 - a list of 36 quoted words reads worse


def judge(verify, task, *texts):
    solutions = [solution(text, id=f"s{i}") for i, text in enumerate(texts)]
    return list(asyncio.run(verify(task, solutions, {})))


def check_file(tmp_path, body):
    path = tmp_path / "my_checks.py"
    path.write_text(body)
    return f"{path}:is_right"


def test_right_is_full_credit_and_no_answer_is_wrong():
    right, wrong, none = judge(Verify(), task(answer="7"), "Answer: 7.0", "Answer: 8", "I do not know")
    assert (right.mark, right.score, right.answer) == (Mark.right, 1.0, "7.0")
    assert (wrong.mark, wrong.score, wrong.answer) == (Mark.wrong, 0.0, "8")
    assert (none.mark, none.score, none.answer, none.comment) == (Mark.wrong, 0.0, None, "no answer found")
    assert [f.solution for f in (right, wrong, none)] == ["s0", "s1", "s2"]
    assert right.evidence == {"checker": "numeric"}


def test_auto_compares_text_where_gold_is_no_number():
    right, wrong = judge(Verify(), task(answer="Paris"), "Answer: paris.", "Answer: Rome")
    assert (right.mark, wrong.mark, right.evidence["checker"]) == (Mark.right, Mark.wrong, "exact")


def test_a_task_without_gold_is_invalid_and_not_wrong():
    [found] = judge(Verify(), task(), "Answer: 7")
    assert (found.mark, found.score, found.comment) == (Mark.invalid, None, "the task has no gold answer")


def test_nothing_to_judge_gives_nothing():
    assert judge(Verify(), task(answer="7")) == []


def test_the_gold_answer_of_many_families_is_right_and_another_is_not():
    assert len(FAMILIES) >= 25
    drawn = ReasoningGym(families={f: {} for f in FAMILIES})({"dev": len(FAMILIES)}, {"dev": 3})["dev"]
    assert [t.ability for t in drawn] == FAMILIES
    for item in drawn:
        gold = item.private["answer"]
        if gold is None:  # propositional_logic: its items carry an example instead of a gold answer
            continue
        right, wrong = judge(Verify(), item, f"There were 12 steps.\nAnswer: {gold}", "Answer: zzz")
        assert (item.ability, right.mark, right.comment) == (item.ability, Mark.right, "")
        assert wrong.mark is not Mark.right


def test_partial_credit_is_wrong_with_its_score():
    [item] = ReasoningGym(families={"prime_factorization": {}})({"dev": 1}, {"dev": 3})["dev"]
    factors = item.private["answer"].split(" × ")  # noqa: RUF001 - the family's own sign
    joined = str(int(factors[0]) * int(factors[1]))
    [partial] = judge(Verify(), item, "Answer: " + " × ".join([joined, *factors[2:]]))  # noqa: RUF001 - look-alike signs are meant
    assert (partial.mark, partial.score) == (Mark.wrong, 0.5)


@pytest.mark.parametrize(
    ("body", "instead"),
    [
        ("def is_right(reply, private):\n    return private['solution'] in reply\n", "private data has 'answer'"),
        ("def is_right(reply):\n    return True\n", "called as is_right(reply, private)"),
        ("def is_right(source, text, truth, extra=None):\n    return 1.0\n", "called as is_right(reply, private)"),
        ("def is_right(reply, private):\n    return {}['x']\n", "KeyError: 'x'; the row's"),
        ("def is_right(reply, private):\n    return {}[private['answer']]\n", "KeyError: '7'; the row's"),
    ],
)
def test_a_checker_that_asks_for_what_there_is_not_is_told_what_there_is(tmp_path, body, instead):
    (said,) = judge(Verify(checker=check_file(tmp_path, body)), task(answer="7"), "Answer: 7")
    assert said.mark is Mark.invalid
    assert instead in said.comment


def test_a_verifier_that_raises_on_free_text_is_invalid_with_its_words():
    [item] = ReasoningGym(families={"prime_factorization": {}})({"dev": 1}, {"dev": 3})["dev"]
    [found] = judge(Verify(), item, "Answer: some primes")
    assert (found.mark, found.score) == (Mark.invalid, None)
    assert found.comment.startswith("the checker raised ValueError: invalid literal")


def test_an_item_that_reasoning_gym_no_longer_generates_is_invalid():
    [item] = ReasoningGym(families={"gcd": {}})({"dev": 1}, {"dev": 3})["dev"]
    changed = item.model_copy(update={"private": {**item.private, "answer": "10007"}})
    [found] = judge(Verify(), changed, "Answer: 10007")
    assert found.mark is Mark.invalid
    assert "another item" in found.comment


BAD = """
import os, time, sys
def is_right(reply, private):
    if reply == "raise": raise ValueError("odd " + "x" * 1000)
    if reply == "exit": sys.exit(3)
    if reply == "hang":
        while True: pass
    if reply == "die": os._exit(9)
    if reply == "none": return None
    if reply == "nan": return float("nan")
    if reply == "two": return 2
    if reply == "text": return "yes" * 1000000
    if reply == "half": return 0.5
    if reply == "loud": print("l" * 10**6)
    return reply == private["answer"]
"""


@pytest.mark.parametrize(("head", "encoding"), [("", "utf-8-sig"), ("# -*- coding: latin-1 -*-\n", "latin-1")])
def test_a_checker_is_read_in_the_encoding_that_python_reads_it_in(tmp_path, head, encoding):
    path = tmp_path / "my_checks.py"
    path.write_bytes((head + "def is_right(reply, private):\n    return reply == 'é'\n").encode(encoding))
    verify = Verify(checker=f"{path}:is_right")
    assert [f.mark for f in judge(verify, task(answer="é"), "é", "e")] == [Mark.right, Mark.wrong]
    assert "'é'" in verify.own_source()


def test_a_user_checker_may_do_anything_and_only_its_own_answer_suffers(tmp_path):
    verify = Verify(checker=check_file(tmp_path, BAD), seconds=1.0)
    texts = ["raise", "ok", "hang", "exit", "die", "none", "nan", "two", "text", "half", "no"]
    found = dict(zip(texts, judge(verify, task(answer="ok"), *texts), strict=True))
    assert found["ok"].mark is Mark.right
    assert found["no"].mark is Mark.wrong
    assert (found["half"].mark, found["half"].score) == (Mark.wrong, 0.5)
    said = {
        "raise": "the checker raised ValueError: odd xxx",
        "hang": "timed out after 1 s",
        "exit": "the checker raised SystemExit: 3",
        "die": "the checking process died (exit code 9)",
        "none": "the checker returned None (NoneType), not a bool",
        "nan": "the checker returned nan, not a number from 0 to 1",
        "two": "the checker returned 2, not a number from 0 to 1",
        "text": "the checker returned 'yesyes",
    }
    for text, comment in said.items():
        assert (found[text].mark, found[text].score) == (Mark.invalid, None), text
        assert found[text].comment.startswith(comment), text
        assert len(found[text].comment) < 250


RANGED = """
def is_right(reply, private):
    return float(reply) if reply != "yes" else True
is_right.range = {}
"""


def test_a_reward_on_a_declared_scale_is_scored_by_how_far_up_it_is(tmp_path):
    verify = Verify(checker=check_file(tmp_path, RANGED.format("(-1, 3)")))
    found = judge(verify, task(answer="ok"), "3", "-1", "0", "yes", "3.5", "-1.01", "nan")
    assert [f.score for f in found] == [1.0, 0.0, 0.25, 1.0, None, None, None]
    assert [f.mark for f in found] == [Mark.right, Mark.wrong, Mark.wrong, Mark.right, *[Mark.invalid] * 3]
    assert found[2].comment == "a reward of 0 from -1 to 3"
    assert found[4].comment == "the checker returned 3.5, not a number from -1 to 3, which it declares"


@pytest.mark.parametrize("span", ["(1, 1)", "(2, 1)", "(0, float('inf'))", "1", "'ab'", "(0, 1, 2)", "None"])
def test_a_range_that_is_none_is_said_and_scores_nothing(tmp_path, span):
    [found] = judge(Verify(checker=check_file(tmp_path, RANGED.format(span))), task(answer="ok"), "0.5")
    assert (found.mark, found.score) == (Mark.invalid, None)
    assert "not two numbers, the lower first" in found.comment


def test_what_a_checker_prints_is_kept_and_cut(tmp_path, capfd):
    [found] = judge(Verify(checker=check_file(tmp_path, BAD)), task(answer="ok"), "loud")
    assert found.evidence["printed"] == "l" * 1000
    assert capfd.readouterr() == ("", "")


def test_a_checker_that_hangs_on_all_ends_soon(tmp_path):
    started = time.monotonic()
    found = judge(Verify(checker=check_file(tmp_path, BAD), seconds=0.4), task(answer="ok"), "hang", "hang")
    assert [f.mark for f in found] == [Mark.invalid] * 2
    assert time.monotonic() - started < 5


def test_a_file_that_fails_when_loaded_is_invalid_with_the_reason(tmp_path):
    checker = check_file(tmp_path, "import nothing_like_this\ndef is_right(reply, private): return True\n")
    [found] = judge(Verify(checker=checker), task(answer="7"), "7")
    assert found.mark is Mark.invalid
    assert "No module named 'nothing_like_this'" in found.comment


def test_a_checker_that_is_not_there_is_refused_naming_what_is(tmp_path):
    check_file(tmp_path, "def is_left(reply, private): return True\nasync def later(reply, private): return True\n")
    with pytest.raises(ConfigError, match=r"There is no file .*my_check\.py.*has my_checks\.py"):
        Verify(checker=f"{tmp_path}/my_check.py:is_right")
    with pytest.raises(ConfigError, match=r"no function 'is_right'.* It has is_left"):
        Verify(checker=f"{tmp_path}/my_checks.py:is_right")
    with pytest.raises(ConfigError, match="async"):
        Verify(checker=f"{tmp_path}/my_checks.py:later")
    with pytest.raises(ConfigError, match=r"my_checks\.py:is_right"):
        Verify(checker=f"{tmp_path}/my_checks.py")
    with pytest.raises(ConfigError, match="Did you mean numeric"):
        Verify(checker="numerik")


def test_a_changed_checker_changes_the_source_digest_and_not_the_id(tmp_path):
    verify = Verify(checker=check_file(tmp_path, "def is_right(reply, private): return True\n"))
    before, op_id = verify.source_digest(), verify.op_id
    check_file(tmp_path, "def is_right(reply, private): return False\n")
    assert verify.source_digest() != before
    assert verify.op_id == op_id


@pytest.mark.parametrize(
    ("answer", "gold", "tolerance", "right"),
    [
        ("1,000", "1000.0", 0, True),
        ("1/2", "0.5", 0, True),
        ("0.3333", "1/3", 0, False),
        ("0.3333", "1/3", 0.001, True),
        ("seven", "7", 0, False),
        ("1/0", "7", 0, False),
        ("1e99999999", "7", 0, False),
    ],
)
def test_numbers_are_compared_by_value(answer, gold, tolerance, right):
    assert checkers.numeric(answer, {"answer": gold}, tolerance) is right


def test_choices_are_compared_by_letter():
    [right, wrong] = judge(Verify(checker="choice", extract="choice"), task(answer="(b)"), "Answer: B.", "(C)")
    assert (right.mark, wrong.mark) == (Mark.right, Mark.wrong)


def test_numeric_on_a_gold_answer_that_is_no_number_is_invalid():
    [found] = judge(Verify(checker="numeric"), task(answer="Paris"), "Answer: 7")
    assert (found.mark, found.comment) == (Mark.invalid, "the gold answer 'Paris' is not a number")
