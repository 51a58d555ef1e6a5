"""Self-Refine: answer, give yourself feedback, refine; what that is worth at its price, and trained on if asked to.

Paper: Madaan et al., *Self-Refine: Iterative Refinement with Self-Feedback*, arXiv 2303.17651. It trains nothing: the
procedure is the method. What is shown here is the sealed exam of the policy with and without it, beside plain sampling
and self-consistency *at the same number of written tokens*: gains reported without that comparison came from compute,
from oracle stops or from a weak first prompt (Huang et al., arXiv 2310.01798).

Departures, each a setting: those of the operator ``self_refine``, and ``learn = true``, which trains the base on the
answers that their own feedback accepted in the end. No gold answer is looked at for that, so expect a small model to
train on its own approval of its own mistakes; the gate decides.
"""

from __future__ import annotations

from instar.protocols import Correct
from instar.recipes.correcting import Correcting, correcting
from instar.recipes.recipe import Recipe
from instar.records import Policy, Sampling
from instar.refine.corrections.self_refine import SelfRefine
from instar.run.run import Run


class SelfRefining(Correcting):
    """Settings of Self-Refine: short answers, as in the other recipes."""

    correct: Correct = SelfRefine(
        feedback_sampling=Sampling(temperature=0.7, max_tokens=64), sampling=Sampling(temperature=0.0, max_tokens=48)
    )


async def self_refine(run: Run, cfg: SelfRefining) -> Policy:
    """Run Self-Refine and return the policy: the base, unless it was to learn."""
    return await correcting(run, cfg)


RECIPE = Recipe("self_refine", "answer, criticise yourself, refine", "arXiv 2303.17651", SelfRefining, self_refine)
