"""Seed tasks, cleaned before a token is spent: no near-copies in the training set, nothing of the exams in it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from math import ceil
from typing import ClassVar

from pydantic import Field

from instar.errors import DataError
from instar.protocols import Source
from instar.records import Task
from instar.similarity import near_duplicates, shared_words


class Cleaned(Source):
    """Another source's sets, the training tasks without those that nearly repeat another training task, or a task of
    dev, gate or sealed (decontamination).

    Two questions repeat each other when their character shingles overlap by ``near`` (see ``similarity``), or when
    a run of ``words`` words stands in both a training and an exam question. So that enough are left, ``spare`` times
    as many training tasks again are drawn.

    Raises:
        DataError: too few training tasks are left, with what was taken out and an example; or the source's own.
    """

    name: ClassVar[str] = "cleaned"

    inner: Source
    near: float = Field(default=0.8, gt=0.0, le=1.0)
    words: int = Field(default=13, ge=1)
    spare: float = Field(default=0.25, ge=0.0, le=10.0)

    def __call__(self, wanted: Mapping[str, int], seeds: Mapping[str, int]) -> dict[str, list[Task]]:
        n = wanted.get("train", 0)
        drawn = self.inner({**wanted, **({"train": n + ceil(n * self.spare)} if n else {})}, seeds)
        if not n:
            return drawn
        exams = [task for name, tasks in drawn.items() if name != "train" for task in tasks]
        kept, dropped, example = self._clean(drawn["train"], exams)
        if len(kept) < n:
            why = ", ".join(f"{count} {reason}" for reason, count in dropped.items())
            raise DataError(
                f"{len(kept)} training tasks are left of {len(drawn['train'])}, and {n} are wanted: {why}. "
                f"For example {example}.",
                "Give more tasks, ask for fewer, or raise `spare` (more are drawn) or `near` (fewer count as copies).",
            )
        return {**drawn, "train": kept[:n]}

    def _clean(self, train: list[Task], exams: list[Task]) -> tuple[list[Task], Counter[str], str]:
        texts, against = [t.question for t in train], [t.question for t in exams]
        near = near_duplicates(texts, self.near, against=against)
        shared = shared_words(texts, against, self.words)
        kept: list[Task] = []
        dropped: Counter[str] = Counter()
        example = ""
        for task, like, run in zip(train, near, shared, strict=True):
            if like is None and run is None:
                kept.append(task)
                continue
            exam = run is not None or (like is not None and like[0] == "against")
            dropped["repeat an exam question" if exam else "repeat another training question"] += 1
            example = example or repr(" ".join(task.question.split())[:100])
        return kept, dropped, example
