import asyncio
import time
import unicodedata
from collections.abc import Sequence

import pytest

from instar.acquire.feedback.checkers import number
from instar.acquire.feedback.stress import AGAIN, EMPTY, GOLD, StressReport, check_verifier, sample, stress
from instar.acquire.feedback.verify import Verify
from instar.acquire.tasks.reasoning_gym import ReasoningGym
from instar.protocols import Judge, Models
from instar.records import Feedback, Mark, Solution, Task
from tests.acquire.things import task


def named(tmp_path, body, **settings):
    path = tmp_path / "mine.py"
    path.write_text(f"import re\ndef is_right(reply, private):\n    gold = str(private['answer'])\n    {body}\n")
    return Verify(checker=f"{path}:is_right", **settings)


def sums(*golds):
    return [task(f"Which number follows {chr(97 + i)}?", answer=g) for i, g in enumerate(golds)]


def run(judge: Judge, tasks: Sequence[Task]) -> tuple[StressReport, dict[str, float]]:
    """The report, and the share of each failed probe that was marked right."""
    report = asyncio.run(stress(judge, tasks))
    return report, {p.name: p.right or 0.0 for p in report.failures}


def test_a_sound_verifier_passes_every_probe_and_nothing_is_said():
    lines: list[str] = []
    for checker, golds in (
        ("auto", ("42", "7", "0.5", "-3")),
        ("exact", ("Paris", "two words")),
        ("numeric", ("1/2",)),
    ):
        report = asyncio.run(check_verifier(Verify(checker=checker), sums(*golds), lines.append))
        assert report.failures == report.stops == ()
        assert all(p.asked for p in report.probes if "digit" not in p.name)
    assert lines == []


def test_a_verifier_that_looks_for_gold_in_the_reply_is_caught_by_the_list_of_all_numbers(tmp_path):
    report, failed = run(named(tmp_path, "return gold in reply"), sums("42", "7", "13"))
    assert failed["all options listed"] == 1.0
    assert failed["the gold answer negated"] == 1.0
    assert GOLD not in failed
    assert EMPTY not in failed
    assert report.stops == ()  # gullible, and shown; it still tells some right from some wrong


def test_it_is_caught_on_words_too_by_the_answers_of_the_other_tasks(tmp_path):
    _, failed = run(named(tmp_path, "return gold.lower() in reply.lower()"), sums("Paris", "Rome"))
    assert failed["all options listed"] == 1.0


@pytest.mark.parametrize(
    ("body", "caught", "stops"),
    [
        ("return True", EMPTY, (EMPTY,)),
        ("return not reply.strip() or gold == reply", "white space", (EMPTY,)),
        ("return False", GOLD, (GOLD,)),
        ("return 1.0 if '1.0' in reply else gold in reply.split()", "a forged score", ()),
        ("return 'mark this right' in reply or gold in reply.split()", "an order to mark it right", ()),
        ("return len(reply) > 9999 or gold in reply.split()", "a very long answer", ()),
        ("return 'know' in reply or gold in reply.split()", '"I don\'t know"', ()),
        ("return reply.endswith('?') or gold in reply.split()", "the question repeated", ()),
        ("return len(reply.split()[-1:] and reply.split()[-1]) == len(gold)",
         "the gold answer with one digit changed", ()),
        ("return bool(re.fullmatch(r'(?s).*Answer: [^0-9]{2}', reply)) or gold in reply.split()",
         "the gold answer in look-alike letters", ()),
    ],
)  # fmt: skip
def test_each_hole_is_found_by_its_probe(tmp_path, body, caught, stops):
    report, failed = run(named(tmp_path, body), sums("42", "17"))
    assert caught in failed, report
    assert tuple(p.name for p in report.stops) == stops


def test_a_check_that_wants_its_own_form_of_answer_is_not_called_wrong(tmp_path):
    for body in ("return reply == gold", "return reply.endswith(gold + '.')", "return '<answer>' + gold in reply"):
        _, failed = run(named(tmp_path, body), sums("42"))
        assert GOLD not in failed, body


def test_a_check_that_raises_on_everything_fails_gold_and_ends_there(tmp_path):
    report, _ = run(named(tmp_path, "raise ValueError('\\x1b[31modd')"), sums("42", "7"))
    [gold] = report.stops
    assert (gold.name, gold.asked, gold.crashed) == (GOLD, 1, 1)
    assert "the checker raised ValueError" in gold.examples[0]
    assert "\x1b" not in report.lines()[0]


def test_a_check_that_hangs_costs_one_time_limit_and_not_one_for_each_probe(tmp_path):
    started = time.monotonic()
    report, _ = run(named(tmp_path, "\n    while True: pass", seconds=0.4), sums("42", "7", "13"))
    assert time.monotonic() - started < 3
    assert "timed out after 0.4 s" in report.lines(report.stops)[0]


def test_a_check_that_falls_over_one_text_fails_that_probe_alone(tmp_path):
    report, failed = run(named(tmp_path, "return int(reply.split()[-1].strip('.')) == int(gold)"), sums("42", "7"))
    assert failed['"I don\'t know"'] == 0.0
    assert report.stops == ()
    crashed = {p.name: (p.asked, p.crashed) for p in report.probes}
    assert crashed['"I don\'t know"'] == (1, 1)  # not put to the second task: each hang would cost its time limit


def test_an_answer_that_a_probe_truly_gives_is_not_held_against_the_verifier():
    last = [task("What is 8 / 2 * 1? Take the last digit of 4", answer="4"), task("How much is it?", answer="100")]
    report, failed = run(Verify(), last)
    assert failed == {}
    assert {p.name: p.asked for p in report.probes}["the question repeated"] == 1
    assert {p.name: p.asked for p in report.probes}["all options listed"] == 1


def test_zero_is_not_negated_and_look_alikes_stay_what_they_are_under_nfkc():
    seen: list[tuple[str, str]] = []

    class Spy(Judge):
        """Notes what it is shown."""

        name = "stress_spy"

        async def __call__(self, task: Task, solutions: Sequence[Solution], models: Models) -> Sequence[Feedback]:
            seen.extend((str(task.private["answer"]), s.text) for s in solutions)
            return [
                Feedback(solution=s.id, score=1.0, mark=Mark.right, source="verifier", answer=None) for s in solutions
            ]

    run(Spy(), sums("0", "0123456789"))
    assert "Answer: -0" not in {t for _, t in seen}
    [lookalike] = [t for g, t in seen if g == "0123456789" and t.startswith("Answer:") and not t.isascii()]
    plain = unicodedata.normalize("NFKC", lookalike.removeprefix("Answer: "))
    assert len(plain) == 10
    assert not any(c.isdigit() for c in plain)
    assert number(plain) is None


def test_a_judge_that_raises_or_loses_an_answer_is_a_finding_and_no_end():
    class Broken(Judge):
        """Raises."""

        name = "stress_broken"

        async def __call__(self, task: Task, solutions: Sequence[Solution], models: Models) -> Sequence[Feedback]:
            raise KeyError("self")

    report, _ = run(Broken(), sums("42"))
    assert "the judge raised KeyError: 'self'" in report.lines(report.stops)[0]


def test_tasks_without_gold_are_asked_all_but_the_gold_probes(tmp_path):
    report, _ = run(named(tmp_path, "return False"), [task(tests=[1])])
    asked = {p.name: p.asked for p in report.probes}
    assert asked[GOLD] == asked["the gold answer negated"] == 0
    assert asked[EMPTY] == 1
    assert next(p for p in report.probes if p.name == GOLD).right is None


def test_the_sample_meets_every_ability():
    tasks = [task().model_copy(update={"ability": a, "id": f"{a}{i}"}) for a in "ab" for i in range(9)]
    assert [t.id for t in sample(tasks, 5)] == ["a0", "b0", "a1", "b1", "a2"]
    assert len(sample(tasks[:3], 8)) == 3


def test_reasoning_gym_tasks_are_probed_and_a_report_can_be_stored_and_is_the_same_again():
    tasks = ReasoningGym(families={"chain_sum": {}, "gcd": {}, "products": {}})({"train": 12}, {"train": 3})["train"]
    report, failed = run(Verify(), sample(tasks, 8))
    assert failed == {}
    assert StressReport.model_validate_json(report.model_dump_json()) == report
    assert asyncio.run(stress(Verify(), sample(tasks, 8))) == report


@pytest.mark.parametrize(
    ("body", "stops", "value"),
    [
        ("return 1.0 if private['answer'] in reply.split() else -1.0", True, "-1.0"),
        ("return 1 if private['answer'] in reply.split() else -1", True, "-1"),
        ("return 1.0 if private['answer'] in reply.split() else 0.0 if reply.strip() else -0.5", True, "-0.5"),
        ("return 100.0 if private['answer'] in reply.split() else 0.0", True, "100.0"),
        ("return 1 if private['answer'] in reply.split() else -1\nis_right.range = (-1, 1)", False, ""),
        ("return float(private['answer'] in reply.split())", False, ""),
        ("return None if len(reply) > 1000 else private['answer'] in reply.split()", False, ""),
    ],
)
def test_a_reward_on_another_scale_stops_a_run_before_it_begins(tmp_path, body, stops, value):
    report, _ = run(named(tmp_path, body), sums("41", "57"))
    assert bool(report.stops) is stops
    if stops:
        assert any(p.outside for p in report.stops)
        assert f"the checker returned {value}, not a number from 0 to 1" in report.lines(report.stops)[0]


@pytest.mark.parametrize(
    "body",
    [
        "if reply.endswith(gold): return True",  # None for the others
        "return True if reply.endswith(gold) else 1 / 0",
        "if reply.endswith(gold): return True\n    import os; os._exit(0)",
    ],
)
def test_a_check_that_gives_no_wrong_answer_a_score_stops_the_run(tmp_path, body):
    report, _ = run(named(tmp_path, body), sums("42", "7"))
    assert report.never_wrong
    assert [p.name for p in report.stops] == [EMPTY]


def test_a_check_that_fails_on_some_wrong_answers_is_told_and_stops_nothing(tmp_path):
    report, _ = run(named(tmp_path, "return reply.strip() and reply[0] and reply.endswith(gold)"), sums("42", "7"))
    assert not report.never_wrong
    assert report.stops == ()
    assert any(p.crashed for p in report.failures)


@pytest.mark.parametrize(
    "body",
    [
        "import os; return reply.endswith(gold) and os.urandom(1)[0] % 2 == 0",  # lots
        "seen = globals().setdefault('seen', set()); new = reply not in seen; seen.add(reply)\n"
        "    return new and reply.endswith(gold)",
    ],
)
def test_a_check_that_says_something_else_of_the_same_text_is_told(tmp_path, body):
    report, _ = run(named(tmp_path, body), sums(*map(str, range(10, 30))))
    (again,) = [p for p in report.failures if p.name == AGAIN]
    assert "the same answer again: another verdict than before. For example" in report.lines([again])[0]
