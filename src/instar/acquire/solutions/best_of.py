"""Answer often and give the answer that a verifier finds likeliest: best-of-n, a procedure to be examined.

Paper: Hosseini et al., *V-STaR*, arXiv 2402.06457, section 3.3: candidates of the generator are ranked by the
likelihood that the verifier, a language model trained by DPO on right and wrong answers, gives them. ``by = "ratio"``
ranks by how much *likelier* than under the weights that the verifier was made from, which is DPO's implicit reward
(arXiv 2305.18290, equation 5): the likelihood alone prefers short answers, and such as the model would give anyway.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

from pydantic import Field

from instar.answers import replies_of, solution_of
from instar.errors import ConfigError
from instar.protocols import Model, Models, Scores, Solve
from instar.records import Message, Reply, Sampling, Solution, Task


class BestOf(Solve):
    """Of ``samples`` answers of ``models["self"]`` the one that ``models["verifier"]`` scores highest; of equal ones
    the first, and an empty one only where all are. By "ratio", ``models["reference"]`` scores them too, and its
    log-probability is taken off.

    The solution's ``tokens`` are its whole price: all answers that were written, and what was read to score them (the
    prompt once and every answer, by each model that scores).

    Raises ConfigError where nobody plays a role that it needs, EngineError where the engine gives no scores.
    """

    name: ClassVar[str] = "best_of"

    samples: int = Field(default=16, ge=1)
    by: Literal["ratio", "likelihood"] = "ratio"
    sampling: Sampling = Sampling(temperature=0.7, top_k=40, max_tokens=256)

    async def __call__(self, task: Task, models: Models) -> Sequence[Solution]:
        model = models["self"]
        prompt = model.policy.prompt(task)
        replies = await replies_of(model, prompt, self.sampling, self.samples)
        scores = await _scored(_player(models, "verifier"), prompt, replies)
        passes = 1
        if self.by == "ratio":
            less = await _scored(_player(models, "reference"), prompt, replies)
            scores, passes = [a - b for a, b in zip(scores, less, strict=True)], 2
        said = [i for i, r in enumerate(replies) if r.text.strip()] or [0]
        best = replies[max(said, key=lambda i: scores[i])]
        written = sum(r.tokens for r in replies)
        cost = written + passes * (best.prompt_tokens + written)
        return [solution_of(task, best, self.sampling, tokens=cost)]


def _player(models: Models, role: str) -> Model:
    if role not in models:
        raise ConfigError(
            f"best_of ranks answers by a verifier, and nobody plays the role {role!r} here.",
            "The recipe v_star trains one; in a recipe of your own: run.casts, or run.models(policy, verifier=...).",
        )
    return models[role]


async def _scored(model: Model, prompt: Sequence[Message], replies: Sequence[Reply]) -> list[float]:
    if not isinstance(model, Scores):
        raise ConfigError("best_of needs a model that scores answers.", "Ask it inside a run.")
    return await model.score(prompt, replies)
