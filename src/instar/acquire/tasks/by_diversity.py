"""Select tasks that are as unlike each other, and what was tried, as can be: K-centre, greedily.

Wu et al., *Self-Evolved Diverse Data Sampling for Efficient Instruction Tuning* (DiverseEvol), arXiv 2311.08182: each
next one is the one farthest from its nearest centre; centres are all that was trained on before. The greedy choice
covers at most twice as far out as the best one could (Gonzalez 1985).

Departures: the paper embeds by the model that is trained, anew in every round; here a question is embedded by what
memories use (``instar.memory.embedders``), which costs no model and is the same in every round. The paper starts from
100 by lot; here the first centre is the question nearest to the middle of all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np

from instar.acquire.tasks.ranked import Chosen, Ranked
from instar.memory.embedders import Embedder, embedder, need
from instar.protocols import Tried
from instar.records import Task


class ByDiversity(Ranked):
    """Takes the task farthest from all that are taken or were tried, again and again. O(n k) for n tasks and k centres.

    ``embedder`` "words" knows spellings, "minilm" meanings in English (the extra ``hygiene``), "e5" in more
    languages (the extra ``multilingual``).
    """

    name: ClassVar[str] = "by_diversity"

    embedder: Embedder = "words"

    def prepare(self, tasks: Mapping[str, Sequence[Task]]) -> None:
        """Raises ConfigError where the embedding model is not installed."""
        need(self.embedder)

    def _ranked(self, pool: Sequence[Task], n: int, tried: Sequence[Tried]) -> Sequence[Chosen]:
        if not pool or n <= 0:
            return []
        inside = {t.id for t in pool}
        past = list({t.task.id: t.task for t in tried if t.task.id not in inside}.values())
        rows = embedder(self.embedder)([t.question for t in (*pool, *past)])
        own, old = rows[: len(pool)], rows[len(pool) :]
        chosen: list[Chosen] = []
        near = np.full(len(pool), -2.0, dtype=np.float32)  # the cosine to the nearest centre
        for start in range(0, len(old), 1024):
            np.maximum(near, (own @ old[start : start + 1024].T).max(axis=1), out=near)
        for _ in range(min(n, len(pool))):
            if near.max() < -1.5:  # no centre yet
                place = int((own @ own.mean(axis=0)).argmax())
                chosen.append(Chosen(pool[place], "the nearest to the middle of all, to begin with"))
            else:
                place = int(near.argmin())
                away = 1 - float(near[place])
                chosen.append(Chosen(pool[place], f"the farthest from what is taken or was tried: {away:.2f} from the "
                                                  "nearest (0 is alike)"))  # fmt: skip
            np.maximum(near, own @ own[place], out=near)
            near[place] = 9.0  # taken
        return chosen
