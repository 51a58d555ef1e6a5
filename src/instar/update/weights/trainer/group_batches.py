"""From judged rollouts to what is learned from them: each answer graded within its group, whole groups to a batch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from instar.errors import DataError
from instar.records import Experience, Learned, Policy
from instar.update.weights.layout.rows import Exchanges, learned_from, rows_of
from instar.update.weights.losses.grpo import advantages
from instar.update.weights.trainer.grpo_trainer import Answer, GroupBatch


def graded(tries: Sequence[Experience], *, scaled: bool) -> list[tuple[Experience, float]]:
    """Each answer that has a score, with its advantage; groups (a task's answers) in the order of their first.

    An answer without a score is left out: unscored is not zero.
    """
    groups: dict[str, list[Experience]] = {}
    for e in tries:
        if e.feedback is not None and e.feedback.score is not None:
            groups.setdefault(e.task.id, []).append(e)
    made: list[tuple[Experience, float]] = []
    for group in groups.values():
        scores = [e.feedback.score for e in group if e.feedback is not None and e.feedback.score is not None]
        made += zip(group, advantages(scores, scaled=scaled), strict=True)
    return made


SILENT = "nothing was learned: no group had two rewards"


def figures(tries: Sequence[Experience], answers: Sequence[tuple[Experience, float]]) -> dict[str, float]:
    """What a rollout came to: the mean reward, how many of its answers have signal, how long they are. ``answers`` are
    the ``graded`` among ``tries``. Of what there is none, nothing is said."""
    scores = [e.feedback.score for e, _ in answers if e.feedback is not None and e.feedback.score is not None]
    found = {"tokens": float(sum(e.solution.tokens for e in tries))}
    if tries:
        found |= {"length": found["tokens"] / len(tries), "signal": sum(a != 0 for _, a in answers) / len(tries)}
    return found | ({"reward": sum(scores) / len(scores)} if scores else {})


def group_batches_of(
    policy: Policy,
    answers: Sequence[tuple[Experience, float]],
    folder: Path,
    max_length: int,
    parts: int,
    exchanges: Exchanges = lambda ids: {},
) -> tuple[list[GroupBatch], dict[str, int]]:
    """The answers as ``parts`` batches of whole groups (fewer if there are fewer groups), and the counts of rows that
    were refused, by reason. A refused row (an empty answer) still counted in its group's mean.

    Raises DataError if no row remains.
    """
    if not answers:
        return [], {}
    rows = rows_of(policy, [e for e, _ in answers], folder, max_length, exchanges, as_sampled=True)
    groups: dict[str, list[Answer]] = {}
    temperatures: dict[str, float] = {}
    for row, place in zip(rows.kept, rows.source, strict=True):
        e, advantage = answers[place]
        groups.setdefault(e.task.id, []).append(Answer(row, advantage, e.solution.sampling.max_tokens))
        temperatures[e.task.id] = e.solution.sampling.temperature or 1.0
    names = list(groups)
    cuts = [names[i * len(names) // parts : (i + 1) * len(names) // parts] for i in range(parts)]
    return [
        GroupBatch(tuple(a for name in cut for a in groups[name]), temperatures[cut[0]]) for cut in cuts if cut
    ], rows.refused


def learned_of(
    policy: Policy, answers: Sequence[tuple[Experience, float]], folder: Path, max_length: int, exchanges: Exchanges
) -> list[Learned]:
    """The turns that are learned from graded answers: toward the better ones, away from the worse. What has no
    advantage, and what no row could be made of, is not learned."""
    heard = [(e, a) for e, a in answers if a != 0]
    if not heard:
        return []
    data = [e for e, _ in heard]
    try:
        rows = rows_of(policy, data, folder, max_length, exchanges, as_sampled=True)
    except DataError:  # none is left: it was the others that were learned from, without any advantage
        return []
    return learned_from(data, rows, lambda place: 1 if heard[place][1] > 0 else -1)
