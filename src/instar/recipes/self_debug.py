"""Self-Debug: write code, run its visible tests, mend what failed; what that is worth is for hidden tests to say.

Paper: Chen et al., *Teaching Large Language Models to Self-Debug*, arXiv 2304.05128. As in ``self_refine`` the
procedure is the method, and is examined against sampling at the same number of tokens (the paper: it matches sampling
ten times as many programs).

Tasks hold ``private["tests"]`` with ``visible`` and ``hidden`` ones. The visible ones steer the correction, in training
and at the exam alike: a user has them too. The hidden ones judge, and are in no prompt.

Departures, each a setting: those of the operator ``self_debug``; 3 turns instead of 10; ``learn = true`` trains the
base on code that passes its visible tests. It is audited with the hidden ones.
"""

from __future__ import annotations

from instar.acquire.feedback.execution import Execution
from instar.acquire.solutions.sample import Sample
from instar.evaluate.eval import Eval
from instar.protocols import Correct, Judge, Solve
from instar.recipes.correcting import Correcting, correcting
from instar.recipes.recipe import Recipe
from instar.records import Policy, Sampling
from instar.refine.corrections.self_debug import SelfDebug
from instar.run.run import Run

_CODE = Sampling(temperature=0.0, max_tokens=96)


class SelfDebugging(Correcting):
    """Settings of Self-Debug: short programs."""

    solve: Solve = Sample(samples=1, sampling=Sampling(temperature=0.7, top_k=40, max_tokens=96))
    correct: Correct = SelfDebug(tests=Execution(tests="visible"), turns=3, sampling=_CODE, thinking=_CODE)
    audit: Judge | None = Execution()
    exam: Eval = Eval(solve=Sample(samples=1, sampling=_CODE), judge=Execution())


async def self_debug(run: Run, cfg: SelfDebugging) -> Policy:
    """Run Self-Debug and return the policy: the base, unless it was to learn."""
    return await correcting(run, cfg)


RECIPE = Recipe("self_debug", "write code, run it, mend it", "arXiv 2304.05128", SelfDebugging, self_debug)
