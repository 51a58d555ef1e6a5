"""Constitutional AI, its supervised half: critique and revise by written principles, then train on the revisions.

Paper: Bai et al., *Constitutional AI: Harmlessness from AI Feedback*, arXiv 2212.08073, section 3: answer, four rounds
of critique and revision by principles drawn at random, fine-tune a pretrained model on the *revisions* to the original
prompts. The second half (a preference model of AI feedback, and reinforcement learning) is not here.

Departures, each a setting: those of the operator ``constitutional``; the base that is trained is the same model that
revised (the paper trains a pretrained one, and mixes in helpful answers); a gate decides. It learns by default, as the
paper does. The gate and the exams measure right answers, so by themselves they say what the principles cost, not what
they bring: give ``exam.judge`` and ``gate`` what your principles are about.
"""

from __future__ import annotations

from instar.protocols import Correct
from instar.recipes.correcting import Correcting, correcting
from instar.recipes.recipe import Recipe
from instar.records import Policy, Sampling
from instar.refine.corrections.constitutional import Constitutional
from instar.run.run import Run


class Constitution(Correcting):
    """Settings of Constitutional AI. ``correct.principles``: tables with ``critique`` and ``revision``.

    No revision is ever ``unresolved``: all of them are trained on, as in the paper.
    """

    learn: bool = True
    correct: Correct = Constitutional(
        critique_sampling=Sampling(temperature=1.0, max_tokens=64), sampling=Sampling(temperature=1.0, max_tokens=48)
    )


async def constitutional(run: Run, cfg: Constitution) -> Policy:
    """Run Constitutional AI's supervised half and return the last promoted policy."""
    return await correcting(run, cfg)


RECIPE = Recipe(
    "constitutional", "critique and revise by principles, train on the revisions", "arXiv 2212.08073", Constitution,
    constitutional,
)  # fmt: skip
