"""The scripted model behind the trainer's door: weights in, steps with their figures, weights out."""

from __future__ import annotations

from collections.abc import Sequence

from instar.protocols import Workshop
from instar.records import Experience, Weights
from instar.scripted_world import surprise, teach, weights_of


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

    def step(self, data: Sequence[Experience], shop: Workshop) -> None:
        """Learn every answer once."""
        rows = [(e.task.question, e.solution.text) for e in data]
        loss = surprise(self.skills, rows)
        self.skills = teach(self.skills, rows)
        self.steps += 1
        if rows:
            shop.figures("step", self.steps, {"loss": loss})
