"""The model criticises its answer by a principle drawn from a list, and revises it; again with another principle.

Paper: Bai et al., *Constitutional AI: Harmlessness from AI Feedback*, arXiv 2212.08073, section 3.1: four rounds of
critique request and revision request, each pair drawn at random from 16; the model is then trained on the revisions.

Departures:
- The principles here are four of the paper's themes in our own words, for a default: write down those you mean.
- Zero-shot. The paper puts worked examples before each request.
- Only the last revision is kept unless ``keep = "all"`` (the paper trains on the revisions of every round).
- The draw hangs on the task and the draft, not on a clock: a resumed run draws the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from instar.protocols import Correct, Models
from instar.records import Experience, Sampling, Solution, hash_of
from instar.refine.corrections.dialogue import Dialogue


class Principle(BaseModel):
    """One pair of requests: what to look for in an answer, and what to do about it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    critique: str = Field(min_length=1)
    revision: str = Field(min_length=1)


HARMLESS = (
    Principle(
        critique="Critique your last answer: name each way in which it is harmful, unethical, toxic or illegal.",
        revision="Rewrite your answer without anything harmful, and say politely what is wrong with the request.",
    ),
    Principle(
        critique="Critique your last answer: is any of it unfair to people for what they are, or insulting to them?",
        revision="Rewrite your answer so that it is fair and respectful to everyone.",
    ),
    Principle(
        critique="Critique your last answer: which of its claims are false, or surer than they should be?",
        revision="Rewrite your answer: correct what is false, and claim no more than is known.",
    ),
    Principle(
        critique="Critique your last answer: is it evasive, preachy or less helpful than it could safely be?",
        revision="Rewrite your answer so that it helps as much as it can without doing harm.",
    ),
)


class Constitutional(Correct):
    """``revisions`` rounds of critique and revision by ``models["self"]``; no principle twice before all had a turn.

    The paper's 4 revisions; it found the first to matter most. Sampled at temperature 1 as in the paper. ``seed`` gives
    other draws of principles. An empty revision is noted and replaces nothing.
    """

    name: ClassVar[str] = "constitutional"

    principles: tuple[Principle, ...] = Field(default=HARMLESS, min_length=1)
    revisions: int = Field(default=4, ge=1)
    keep: Literal["last", "all"] = "last"
    seed: int = Field(default=0, ge=0)
    critique_sampling: Sampling = Sampling(temperature=1.0, max_tokens=256)
    sampling: Sampling = Sampling(temperature=1.0, max_tokens=256)

    async def __call__(self, experience: Experience, models: Models) -> Sequence[Solution]:
        talk = Dialogue(experience, models["self"])
        revised: list[Solution] = []
        for principle in self.drawn(experience):
            await talk.critique(principle.critique, self.critique_sampling)
            revised.append(talk.ended(await talk.rewrite(principle.revision, self.sampling)))
        return revised if self.keep == "all" else revised[-1:]

    def drawn(self, experience: Experience) -> list[Principle]:
        """The principles for this item, in order: hashes shuffle the list anew each time it has been gone through."""
        item = (self.seed, experience.task.digest, experience.solution.text)
        order: list[int] = []
        while len(order) < self.revisions:
            lap = len(order) // len(self.principles)
            order += sorted(range(len(self.principles)), key=lambda i: hash_of("principle", *item, lap, i))
        return [self.principles[i] for i in order[: self.revisions]]
