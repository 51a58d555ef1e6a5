"""From judged rollouts to what is learned from them: each answer graded within its group, whole groups to a batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from instar.errors import DataError
from instar.records import Experience, Learned, Policy
from instar.update.weights.layout.rows import Exchanges, learned_from, rows_of
from instar.update.weights.losses.grpo import advantages, step_advantages
from instar.update.weights.trainer.grpo_trainer import Answer, GroupBatch


class Graded(NamedTuple):
    """An answer with its advantage; ``turns``: those of its turns where they have their own, by their place in it."""

    experience: Experience
    advantage: float
    turns: Mapping[int, float] | None = None

    def of(self, turn: int) -> float:
        """The advantage of a trained turn."""
        return self.advantage if self.turns is None else self.turns[turn]

    @property
    def heard(self) -> bool:
        """Whether anything of it is learned."""
        return self.advantage != 0 if self.turns is None else any(self.turns.values())


def graded(tries: Sequence[Experience], *, scaled: bool, step_credit: float = 0.0) -> list[Graded]:
    """Each answer that has a score, with its advantage; groups (a task's answers) in the order of their first.
    ``step_credit``: what the labels of its steps weigh beside it, where its judge gave any.

    An answer without a score is left out: unscored is not zero.
    """
    groups: dict[str, list[Experience]] = {}
    for e in tries:
        if e.feedback is not None and e.feedback.score is not None:
            groups.setdefault(e.task.id, []).append(e)
    made: list[Graded] = []
    for group in groups.values():
        scores = [e.feedback.score for e in group if e.feedback is not None and e.feedback.score is not None]
        if not step_credit:
            made += map(Graded, group, advantages(scores, scaled=scaled))
            continue
        places = [[n for n, t in enumerate(e.solution.turns) if t.train] for e in group]
        labels = [_labels(e, len(own)) for e, own in zip(group, places, strict=True)]
        each = step_advantages(scores, labels, weight=step_credit, scaled=scaled)
        whole = advantages(scores, scaled=scaled)
        made += [
            Graded(e, a, dict(zip(own, steps, strict=True)))
            for e, a, own, steps in zip(group, whole, places, each, strict=True)
        ]
    return made


def _labels(e: Experience, n: int) -> list[int]:
    """The labels of the ``n`` trained turns of an answer; 0 for each where its judge gave none, or others."""
    said = e.feedback.evidence.get("steps") if e.feedback is not None else None
    sound = isinstance(said, (list, tuple)) and len(said) == n and all(x in (-1, 0, 1) for x in said)
    return [int(x) for x in said] if sound and said is not None else [0] * n


SILENT = "nothing was learned: no group had two rewards"


def figures(tries: Sequence[Experience], answers: Sequence[Graded]) -> dict[str, float]:
    """What a rollout came to: the mean reward, how many of its answers have signal, how long they are. ``answers`` are
    the ``graded`` among ``tries``. Of what there is none, nothing is said."""
    said = [a.experience.feedback for a in answers]
    scores = [f.score for f in said if f is not None and f.score is not None]
    found = {"tokens": float(sum(e.solution.tokens for e in tries))}
    if tries:
        found |= {"length": found["tokens"] / len(tries), "signal": sum(a.heard for a in answers) / len(tries)}
    return found | ({"reward": sum(scores) / len(scores)} if scores else {})


def group_batches_of(
    policy: Policy,
    answers: Sequence[Graded],
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
    rows = rows_of(policy, [a.experience for a in answers], folder, max_length, exchanges, as_sampled=True)
    groups: dict[str, list[Answer]] = {}
    temperatures: dict[str, float] = {}
    for row, place, turn in zip(rows.kept, rows.source, rows.turn, strict=True):
        e, advantage = answers[place].experience, answers[place].of(turn)
        groups.setdefault(e.task.id, []).append(Answer(row, advantage, e.solution.sampling.max_tokens))
        temperatures[e.task.id] = e.solution.sampling.temperature or 1.0
    names = list(groups)
    cuts = [names[i * len(names) // parts : (i + 1) * len(names) // parts] for i in range(parts)]
    return [
        GroupBatch(tuple(a for name in cut for a in groups[name]), temperatures[cut[0]]) for cut in cuts if cut
    ], rows.refused


def learned_of(
    policy: Policy, answers: Sequence[Graded], folder: Path, max_length: int, exchanges: Exchanges
) -> list[Learned]:
    """The turns that are learned from graded answers: toward the better ones, away from the worse. What has no
    advantage, and what no row could be made of, is not learned."""
    heard = [a for a in answers if a.heard]
    if not heard:
        return []
    data = [a.experience for a in heard]
    try:
        rows = rows_of(policy, data, folder, max_length, exchanges, as_sampled=True)
    except DataError:  # none is left: it was the others that were learned from, without any advantage
        return []

    def sign(place: int, turn: int) -> int:
        advantage = heard[place].of(turn)
        return (advantage > 0) - (advantage < 0)

    return learned_from(data, rows, sign)
