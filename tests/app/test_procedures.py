"""A procedure beside sampling at equal cost: how many samples that is, and whom the gains are paired with."""

from __future__ import annotations

import pytest

from instar.acquire.environments.guess_number import GuessNumber
from instar.acquire.solutions.best_of import BestOf
from instar.acquire.solutions.play import Play
from instar.acquire.solutions.recalling import Recalling
from instar.acquire.solutions.sample import Sample
from instar.app.sessions.procedures import SAMPLING, compared, sampled_by
from instar.evaluate.report import make_report
from instar.records import Report, Sampling
from tests.evaluate.build import attempt, exam_of, tasks_of


def report(*items: str, tokens: int) -> Report:
    """One string of marks an item."""
    tasks = tasks_of(len(items))
    tries = []
    for t, marks in zip(tasks, items, strict=True):
        for i, m in enumerate(marks):
            made = attempt(t, m, i)
            tries.append(made.model_copy(update={"solution": made.solution.model_copy(update={"tokens": tokens})}))
    return make_report("p", exam_of(tasks, n=len(items[0])), tries, tasks)


def test_the_rival_may_write_as_many_tokens_as_the_procedure_did() -> None:
    plain, procedure = report("1", "0", "0", tokens=10), report("1", "1", "0", tokens=42)
    sampled = report("11000", "11100", "00011", tokens=14)  # 42 tokens are three of its samples, not four
    found = compared(plain, procedure, sampled)
    assert (found["k"], found["n"]) == (3, 3)
    assert found["plain"]["score"] == pytest.approx(1 / 3)
    assert found["procedure"] == pytest.approx(
        {"score": 2 / 3, "low": found["procedure"]["low"], "high": found["procedure"]["high"], "tokens": 42}
    )
    assert found["sampling"]["score"] == pytest.approx((2 / 5 + 3 / 5 + 2 / 5) / 3)
    assert found["self_consistency"]["tokens"] == found["best_of_k"]["tokens"] == 42
    assert found["gain"]["value"] == pytest.approx(1 / 3)
    assert found["gain_on_self_consistency"]["value"] == pytest.approx(
        found["procedure"]["score"] - found["self_consistency"]["score"]
    )


def test_a_procedure_cheaper_than_one_sample_has_one_sample_for_a_rival() -> None:
    one = report("1", "0", tokens=10)
    assert compared(one, report("1", "0", tokens=1), report("11", "00", tokens=10))["k"] == 1


def test_without_answers_to_vote_on_there_is_no_majority() -> None:
    sampled = report("11", "01", tokens=10)
    silent = [o.model_copy(update={"answers": (None,) * len(o.answers)}) for o in sampled.outcomes]
    found = compared(
        report("1", "0", tokens=10), report("1", "0", tokens=20), sampled.model_copy(update={"outcomes": tuple(silent)})
    )
    assert "self_consistency" not in found
    assert "gain_on_self_consistency" not in found


def test_the_rival_answers_as_the_exam_is_answered_but_sampled_and_several_times() -> None:
    greedy = Sampling(temperature=0.0, max_tokens=40)
    sampled = SAMPLING.model_copy(update={"max_tokens": 40})
    assert sampled_by(Sample(samples=1, sampling=greedy), 5) == Sample(samples=5, sampling=sampled)
    play = Play(environment=GuessNumber(), turns=3, samples=1, sampling=greedy)
    episodes = play.model_copy(update={"samples": 5, "sampling": sampled})
    assert sampled_by(play, 5) == episodes
    assert sampled_by(Recalling(inner=play, k=2), 5) == Recalling(inner=episodes, k=2)
    assert sampled_by(BestOf(), 5) == Sample(samples=5, sampling=SAMPLING)
