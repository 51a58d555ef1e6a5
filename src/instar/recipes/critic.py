"""CRITIC: a tool checks each answer, and where it disagrees the model criticises and corrects itself.

Paper: Gou et al., *CRITIC: Large Language Models Can Self-Correct with Tool-Interactive Critiquing*, arXiv 2305.11738.
As in ``self_refine`` the procedure is the method, and is examined against sampling at the same number of tokens.

Departures, each a setting: those of the operator ``critic``, and ``learn = true``, which trains the base on the answers
that the tool agreed with. The tool is evidence from outside the model, but for the calculation that the *model* handed
to it: a question that is misread twice in the same way passes. ``correct.tool = "python"`` hands it a program, which
runs in the sandbox.
"""

from __future__ import annotations

from instar.protocols import Correct
from instar.recipes.correcting import Correcting, correcting
from instar.recipes.recipe import Recipe
from instar.records import Policy, Sampling
from instar.refine.corrections.critic import Critic
from instar.run.run import Run

_SHORT = Sampling(temperature=0.0, max_tokens=48)


class ToolCritic(Correcting):
    """Settings of CRITIC: short answers, as in the other recipes."""

    correct: Correct = Critic(critique_sampling=_SHORT, sampling=_SHORT)


async def critic(run: Run, cfg: ToolCritic) -> Policy:
    """Run CRITIC and return the policy: the base, unless it was to learn."""
    return await correcting(run, cfg)


RECIPE = Recipe("critic", "answer, check with a tool, correct", "arXiv 2305.11738", ToolCritic, critic)
