"""A round's figures and alarms: each goes off at what it is for, and none at a healthy run."""

from __future__ import annotations

import pytest

from instar.evaluate.health import VitalSigns, pair
from instar.evaluate.report import make_report
from instar.evaluate.vitals import distinct, vendi, vitals
from instar.records import Experience, Health, Report, Turn, Vitals
from tests.evaluate.build import attempt, exam_of, tasks_of

OPENERS = ("Let me see", "First the terms", "Step by step", "In order", "Working carefully", "From the left")


def answers(marks: str, said: list[str] | None = None, *, ability: str = "add", tokens: int = 10) -> list[Experience]:
    """Four samples a task (one mark each), with texts and answers that differ unless ``said`` fixes them."""
    out = []
    for i, mark in enumerate(marks):
        task = tasks_of(i // 4 + 1, ability)[-1]
        e = attempt(task, mark, i % 4)
        text = said[i % len(said)] if said else f"{OPENERS[i % 6]}: {i * 7919 % 1009} and {i * 31 % 97} so {i}"
        answer = said[i % len(said)] if said else str(task.private["answer"]) if mark == "1" else f"{90 + i % 4}"
        solution = e.solution.model_copy(update={"turns": (Turn(text=text),), "tokens": tokens + i % 3})
        assert e.feedback
        feedback = e.feedback.model_copy(update={"answer": answer})
        out.append(e.model_copy(update={"solution": solution, "feedback": feedback}))
    return out


def dev(marks: list[str], answer: str | None = "7") -> Report:
    tasks = tasks_of(len(marks))
    tried = [attempt(t, m, i) for t, own in zip(tasks, marks, strict=True) for i, m in enumerate(own)]
    report = make_report("p", exam_of(tasks, n=len(marks[0])), tried, tasks)
    if answer is None:  # what is wrong could not even be read
        blank = tuple(
            o.model_copy(update={"answers": tuple("7" if m == "right" else None for m in o.marks)})
            for o in report.outcomes
        )
        report = report.model_copy(update={"outcomes": blank})
    return report


def raised(*rounds: tuple[list[Experience], Report | None, Report | None], op: VitalSigns | None = None) -> set[str]:
    past: list[Health] = []
    for tries, before, after in rounds:
        past.append((op or VitalSigns())(past, tries, [], before, after))
    return {a.name for a in past[-1].alarms if a.raised}


def test_a_healthy_run_raises_no_alarm() -> None:
    low, middle, high = dev(["1000"] * 6), dev(["1100"] * 6), dev(["1110"] * 6)
    one, two, three = answers("1000" * 12), answers("1100" * 12), answers("1110" * 12)
    assert raised((one, low, middle), (two, middle, high), (three, high, high)) == set()


def test_a_collapse_onto_one_answer_raises_the_diversity_alarm() -> None:
    found = raised((answers("1000" * 12), None, None), (answers("1000" * 12, ["The answer is 4."]), None, None))
    assert "diversity_falling" in found


def test_entropy_that_falls_because_answers_became_right_is_no_collapse() -> None:
    op = VitalSigns()
    first, second = answers("1000" * 12), answers("1111" * 12)
    history = [op([], first, [], None, None)]
    now = op(history, second, [], None, None)
    entropy = pair(history[0], now, "answer_entropy")
    assert entropy
    assert entropy.after < entropy.before * 0.5
    assert not any(a.raised for a in now.alarms)


def test_train_up_and_dev_down_is_raised_and_both_up_is_not() -> None:
    worse, better = dev(["1000"] * 6), dev(["1100"] * 6)
    up, down = answers("1100" * 40), answers("1000" * 40)
    assert "train_up_dev_down" in raised((down, better, None), (up, worse, None))
    assert "train_up_dev_down" not in raised((down, worse, None), (up, better, None))


def test_a_harder_selection_of_tasks_is_not_taken_for_a_change() -> None:
    easy, hard = answers("1111" * 6, ability="easy"), answers("0000" * 6, ability="hard", tokens=80)
    assert raised((easy, None, None), (hard, None, None)) == set()


def test_a_difference_that_four_tasks_cannot_show_raises_nothing() -> None:
    worse, better = dev(["1000"] * 6), dev(["1100"] * 6)
    few = [(answers(m * 4), d, None) for m, d in (("1010", better), ("1110", worse))]
    many = [(answers(m * 40), d, None) for m, d in (("1010", better), ("1110", worse))]
    assert "train_up_dev_down" not in raised(*few)
    assert "train_up_dev_down" in raised(*many)


def test_vote_margin_up_and_accuracy_down_is_raised() -> None:
    unsure = answers("1010" * 6)  # half right, the rest scattered
    sure = answers("0000" * 6, ["5"])
    assert "margin_up_accuracy_down" in raised((unsure, None, None), (sure, None, None))
    assert "margin_up_accuracy_down" not in raised((sure, None, None), (unsure, None, None))


def test_length_that_drifts_either_way_is_raised_and_a_small_change_is_not() -> None:
    base = (answers("1100" * 6, tokens=20), None, None)
    assert "length_drifting" in raised(base, (answers("1100" * 6, tokens=40), None, None))
    assert "length_drifting" in raised(base, (answers("1100" * 6, tokens=8), None, None))
    assert "length_drifting" not in raised(base, (answers("1100" * 6, tokens=23), None, None))


def test_a_gain_that_is_only_a_better_parse_rate_is_raised_and_a_true_one_is_not() -> None:
    some = answers("1100" * 6)
    unread = dev(["11"] * 3 + ["00"] * 3, answer=None)
    read = dev(["11"] * 5 + ["00"])
    assert "parse_rate_explains_the_gain" in raised((some, unread, read))
    assert "parse_rate_explains_the_gain" not in raised((some, dev(["11"] * 3 + ["00"] * 3), read))


def test_a_gain_where_the_checker_names_no_answers_raises_nothing_about_reading() -> None:
    def named_none(report: Report) -> Report:
        bare = tuple(o.model_copy(update={"answers": (None,) * len(o.answers)}) for o in report.outcomes)
        return report.model_copy(update={"outcomes": bare})

    before, after = named_none(dev(["11"] * 3 + ["00"] * 3)), named_none(dev(["11"] * 5 + ["00"]))
    health = VitalSigns()([], answers("1100" * 6), [], before, after)
    assert (health.parse_before, health.parse_after, health.gain_read_twice) == (None, None, None)
    assert (health.newly_right, health.newly_wrong) == (2, 0)
    (alarm,) = [a for a in health.alarms if a.name == "parse_rate_explains_the_gain"]
    assert not alarm.raised
    assert "not known" in alarm.reason
    assert "parse_rate_explains_the_gain" not in raised((answers("1100" * 6), named_none(dev(["00"] * 6)), after))


def test_one_right_answer_that_was_not_read_does_not_silence_the_alarm() -> None:
    unread, read = dev(["11"] * 3 + ["00"] * 3, answer=None), dev(["11"] * 5 + ["00"])
    first = read.outcomes[0].model_copy(update={"answers": (None, "7")})
    read = read.model_copy(update={"outcomes": (first, *read.outcomes[1:])})
    assert "parse_rate_explains_the_gain" in raised((answers("1100" * 6), unread, read))


def test_what_is_not_known_is_none_and_raises_nothing() -> None:
    health = VitalSigns()([], [], [], None, None)
    assert health.train == Vitals(n=0)
    assert health.dev_before is None
    assert not any(a.raised for a in health.alarms)
    assert all("not known" in a.reason for a in health.alarms)


def test_every_alarm_says_its_numbers_in_words() -> None:
    op = VitalSigns()
    past = [op([], answers("1100" * 6, tokens=20), [], None, None)]
    now = op(past, answers("1100" * 6, tokens=40), [], None, None)
    length = next(a for a in now.alarms if a.name == "length_drifting")
    assert length.numbers["length_mean_after"] == pytest.approx(40.95, abs=0.5)
    assert "21 -> 41" in length.reason.replace("20.9", "21").replace("40.9", "41")


def test_vendi_is_one_over_n_for_equal_texts_and_one_for_texts_that_share_nothing() -> None:
    assert vendi(["abc abc"] * 40) == pytest.approx(1 / 16)
    assert vendi([""] * 16) == pytest.approx(1 / 16)
    assert vendi([chr(97 + i) * 40 for i in range(16)]) == pytest.approx(1.0, abs=0.02)
    assert vendi(["too few"] * 15) is None


def test_vendi_does_not_depend_on_how_many_answers_there_are() -> None:
    texts = [f"{OPENERS[i % 6]} {i % 4} and {i % 3}" for i in range(48)]
    assert vendi(texts * 20) == pytest.approx(vendi(texts), rel=0.05)


def test_distinct_n_compares_equal_counts_of_words() -> None:
    words = [f"w{i}" for i in range(100)]
    once, twice = distinct([" ".join(words)], 1), distinct([" ".join(words), " ".join(words)], 1)
    assert once == twice == 1.0
    assert distinct(["same"] * 200, 1) == pytest.approx(0.01)
    assert distinct(["too short"], 1) is None


def test_a_vote_that_marks_itself_says_nothing_of_its_accuracy() -> None:
    own = [
        e.model_copy(update={"feedback": e.feedback.model_copy(update={"source": "vote"})})
        for e in answers("1100" * 3)
        if e.feedback
    ]
    assert vitals(own).vote_accuracy is None
    assert vitals(answers("1100" * 3)).vote_accuracy is not None
