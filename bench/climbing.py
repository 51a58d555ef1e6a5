"""Training of the scripted model in which a mastered step opens the next: the world for which a ladder is made.

Skills of the scripted model do not help each other. Here ``STEPS`` do: once one is above ``OPENS`` after training, the
next has ``HEAD_START`` more. Nothing else of ``sft`` changes, and nothing of a real model's training.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import ClassVar

from instar.protocols import UpdateContext
from instar.records import Experience, Policy, Weights
from instar.scripted_world import skills_of, weights_of
from instar.update.weights.sft import SFT

STEPS = ("add", "subtract", "multiply", "mixed")
OPENS, HEAD_START = 0.6, 0.2


class Climbing(SFT):
    """``sft``, after which each mastered step has opened the next."""

    name: ClassVar[str] = "bench_climbing"

    def _taught(self, policy: Policy, data: Sequence[Experience], context: UpdateContext) -> Weights:
        table = skills_of(super()._taught(policy, data, context))
        for step, following in itertools.pairwise(STEPS):
            if table[step] >= OPENS:
                table[following] = min(1.0, table[following] + HEAD_START)
        return weights_of(table)
