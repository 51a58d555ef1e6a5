"""The scripted model behind the trainer's door: weights in, steps with their figures, weights out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from instar.protocols import UpdateContext
from instar.records import Experience, Pair, Polarity, Weights
from instar.scripted_acting import taught
from instar.scripted_world import implicit_rewards, prefer, surprise, teach, weights_of


class ScriptedTrainer:
    """Trains a table of skills: a step moves it up by right rows and down by wrong ones. Rows without a truth teach
    nothing; a step without rows changes nothing."""

    def __init__(self, weights: Weights) -> None:
        self.name, self.skills = weights.name, dict(weights.skills or {})
        self.steps = 0
        """Steps taken."""

    @property
    def weights(self) -> Weights:
        """The weights as they are now."""
        return weights_of(self.skills, self.name)

    def step(self, data: Sequence[Experience], context: UpdateContext) -> None:
        """Learn every answer once, but for those that were meant wrong."""
        data = [e for e in data if e.solution.polarity is not Polarity.wrong]
        rows = [(e.task.question, e.solution.text) for e in data]
        loss = surprise(self.skills, rows)
        self.skills = taught(teach(self.skills, rows), data)
        self.steps += 1
        if rows:
            context.figures("step", self.steps, {"loss": loss})

    def prefer(self, pairs: Sequence[Pair], before: Mapping[str, float], beta: float, context: UpdateContext) -> None:
        """Learn every pair once, held against the skills ``before``; the figures are those of DPO, before the step."""
        rows = [(p.chosen.task.question, p.chosen.solution.text, p.rejected.solution.text) for p in pairs]
        rewards = implicit_rewards(self.skills, before, rows)
        margins = [beta * (chosen - rejected) for chosen, rejected, _ in rewards]
        self.skills = prefer(self.skills, rows)
        self.steps += 1
        if rewards:
            n = len(rewards)
            context.figures("step", self.steps, {
                "loss": sum(math.log1p(math.exp(-m)) for m in margins) / n, "margin": sum(margins) / n,
                "accuracy": sum(m > 0 for m in margins) / n, "kl": sum(kl for *_, kl in rewards) / n,
            })  # fmt: skip
