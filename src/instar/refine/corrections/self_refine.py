"""The model criticises its own answer and writes it again, until it finds nothing more to say.

Paper: Madaan et al., *Self-Refine: Iterative Refinement with Self-Feedback*, arXiv 2303.17651,
algorithm 1 and figure 2.

Near zero is to be expected on reasoning: Huang et al. (arXiv 2310.01798) found that without a signal from outside it
*lowers* accuracy. Compare it with self-consistency at equal cost (``instar run self_refine`` does).

Departures:
- Instructions in a chat, the same for every kind of task; the paper writes few-shot prompts for each of its tasks.
- The phrase that stops it must begin a sentence: in the paper's code any place will do, even "I doubt that it is
  correct".
- The best-scored draft is the answer, in case of a tie the later one. The paper's code for scored tasks records the
  scores and leaves the choice to the reader.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import ClassVar

from pydantic import Field

from instar.protocols import Correct, Models
from instar.records import Experience, Sampling, Solution
from instar.refine.corrections.dialogue import UNRESOLVED, Candidate, Dialogue


class SelfRefine(Correct):
    """FEEDBACK, then REFINE, by ``models["self"]``, with all earlier drafts and feedback in the prompt.

    It stops when the feedback says ``stop`` at the beginning of a sentence, or after ``attempts`` rounds (the paper: 4
    for mathematics, 5 for acronyms, 3 for code); then the solution is flagged ``unresolved``. An answer that was left
    as it was is flagged ``unchanged``. One solution comes back in any case.

    With ``scale``, feedback is asked to end with "Score: N/10": the best-scored draft is the answer, and the last round
    gives feedback only, for a draft after it would never be scored. A draft whose feedback has no readable score is
    chosen only where none has one; then the latest is. Without ``scale`` the latest is always chosen.

    Feedback is sampled at 0.7 as in the paper's code, drafts greedily as in its mathematics.
    """

    name: ClassVar[str] = "self_refine"

    attempts: int = Field(default=4, ge=1)
    scale: int | None = Field(default=10, ge=1)
    stop: str = Field(default="it is correct", min_length=3)
    feedback_sampling: Sampling = Sampling(temperature=0.7, max_tokens=128)
    sampling: Sampling = Sampling(temperature=0.0, max_tokens=256)
    feedback_request: str = (
        "Give feedback on your answer. Check it step by step. Name each error, where it is and how to mend it. "
        "If there is no error, say: It is correct."
    )
    score_request: str = "End with 'Score: N/{scale}'."
    refine_request: str = (
        "Use this feedback to write an improved answer to the problem, in the form that was asked for."
    )

    async def __call__(self, experience: Experience, models: Models) -> Sequence[Solution]:
        talk = Dialogue(experience, models["self"])
        scored = f" {self.score_request.replace('{scale}', str(self.scale))}" if self.scale else ""
        for attempt in range(1, self.attempts + 1):
            feedback = await talk.critique(self.feedback_request + scored, self.feedback_sampling)
            if says(feedback, self.stop):
                return [talk.ended(talk.latest)]
            if self.scale:
                talk.latest.score = score_in(feedback, self.scale)
            if not self.scale or attempt < self.attempts:
                await talk.rewrite(self.refine_request, self.sampling)
        return [talk.ended(best(talk.candidates), UNRESOLVED)]


def says(feedback: str, phrase: str) -> bool:
    """Whether a sentence of the feedback begins with the phrase, whatever its case."""
    return bool(re.search(rf"(?:^|[.!?:;\n])\W*{re.escape(phrase)}\b", feedback[:8_000], re.IGNORECASE))


def score_in(feedback: str, scale: int) -> float | None:
    """The last "Score: N/scale" of a feedback as a share, or None if there is none or it is not between 0 and 1."""
    found = re.findall(rf"score\W{{0,6}}(\d{{1,4}}(?:\.\d{{1,4}})?)\s?/\s?{scale}\b", feedback[-8_000:], re.IGNORECASE)
    value = float(found[-1]) / scale if found else None
    return value if value is not None and value <= 1 else None


def best(candidates: Sequence[Candidate]) -> Candidate:
    """The best-scored candidate, the later one in a tie; the latest where none has a score."""
    scored = [(c.score, place) for place, c in enumerate(candidates) if c.score is not None]
    return candidates[max(scored)[1]] if scored else candidates[-1]
