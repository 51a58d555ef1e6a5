"""Advantages of the steps of an episode, by labels of its steps: AgentEvolver's formula, and what is learned by it."""

from __future__ import annotations

from pathlib import Path

import pytest

from instar.records import Experience, Feedback, Finish, Mark, Policy, Sampling, Solution, Turn, TurnKind
from instar.scripted_world import base_policy
from instar.update.weights.losses.grpo import SPREAD, advantages, step_advantages
from instar.update.weights.trainer.group_batches import graded, group_batches_of, learned_of
from tests.update.test_grpo import folder, task

__all__ = ["folder"]  # the fixture


def episode(number: int, score: float, steps: object = None) -> Experience:
    """Two moves, with what was seen after each."""
    said = (Turn(text="12"), Turn(kind=TurnKind.tool_result, text="no", train=False))
    solution = Solution(
        id=f"s{number}", task="t1", turns=(*said, Turn(text="13"), said[1]), policy="p", engine="e", precision="f",
        sampling=Sampling(), finish=Finish.stop,
    )  # fmt: skip
    evidence = {} if steps is None else {"steps": steps}
    feedback = Feedback(
        solution=solution.id, score=score, mark=Mark.right if score == 1 else Mark.wrong, source="environment",
        evidence=evidence,
    )  # fmt: skip
    return Experience(task=task(1), solution=solution, feedback=feedback)


def test_a_step_is_worth_its_label_and_all_that_comes_after_it_with_the_outcome_at_the_end() -> None:
    # labels 1, -1, 1, 1: mean 1/2, standard deviation 1; rewards 1, 0
    label = {1: 0.5 / (1 + SPREAD), -1: -1.5 / (1 + SPREAD)}
    win, loss = advantages([1.0, 0.0], scaled=True)
    found = step_advantages([1.0, 0.0], [[1, -1], [1, 1]], weight=0.1, scaled=True)
    wanted = [
        [win + 0.1 * (label[1] + label[-1]), win + 0.1 * label[-1]],
        [loss + 0.2 * label[1], loss + 0.1 * label[1]],
    ]
    for own, right in zip(found, wanted, strict=True):
        assert own == pytest.approx(right)


def test_labels_that_are_alike_or_not_known_leave_every_step_its_answers_advantage() -> None:
    plain = advantages([1.0, 0.0], scaled=True)
    for labels in ([[1, 1], [1]], [[0, 0], [0]], [[0, 1], [0]]):
        found = step_advantages([1.0, 0.0], labels, weight=0.5, scaled=True)
        assert found == [[a] * len(own) for a, own in zip(plain, labels, strict=True)]


def test_where_all_rewards_are_alike_the_labels_alone_are_learned_from(folder: Path) -> None:
    tries = [episode(1, 0.0, [1, -1]), episode(2, 0.0, [-1, -1])]
    assert not any(a.heard for a in graded(tries, scaled=True))
    answers = graded(tries, scaled=True, step_credit=1.0)
    assert all(a.heard for a in answers)
    first, second = ([round(a.of(n), 2) for n in (0, 2)] for a in answers)
    assert first == [1.0, -0.5]
    assert second == [-1.0, -0.5]
    policy = Policy(weights=base_policy().weights)
    (batch,), refused = group_batches_of(policy, answers, folder, 256, 1)
    assert (refused, [round(a.advantage, 2) for a in batch.answers]) == ({}, [*first, *second])
    told = learned_of(policy, answers, folder, 256, lambda ids: {})
    assert [(x.solution, x.turn, x.sign) for x in told] == [("s1", 0, 1), ("s1", 2, -1), ("s2", 0, -1), ("s2", 2, -1)]


def test_a_step_whose_advantage_comes_to_nothing_is_not_said_to_be_learned(folder: Path) -> None:
    tries = [episode(1, 0.0, [1, -1]), episode(2, 0.0, [1, -1])]
    answers = graded(tries, scaled=True, step_credit=1.0)
    assert [round(answers[0].of(n), 3) for n in (0, 2)] == [0.0, -0.866]
    told = learned_of(Policy(weights=base_policy().weights), answers, folder, 256, lambda ids: {})
    assert [(x.solution, x.turn) for x in told] == [("s1", 2), ("s2", 2)]


@pytest.mark.parametrize("steps", [None, [1], [1, 1, 1], [1, 7], "11", {"0": 1}, [1, None]])
def test_labels_that_do_not_fit_the_steps_count_for_nothing(steps: object) -> None:
    tries = [episode(1, 1.0, steps), episode(2, 0.0, [1, -1])]
    found = graded(tries, scaled=False, step_credit=0.1)
    assert [found[0].of(n) for n in (0, 2)] == [0.5, 0.5]
