"""Evol-Instruct: given instructions are made harder, or others of their kind, answered, and trained on.

Xu et al., *WizardLM: Empowering Large Language Models to Follow Complex Instructions*, arXiv 2304.12244: four rounds of
rewriting from 52,000 instructions, each by one of six operations; what failed is eliminated; the model is trained on
what was answered to all generations.

Departures, each a setting:
- The model rewrites and answers itself; in the paper a stronger one did both, which is distillation.
- Two rounds, and after each the base is trained on all answers so far, and a gate decides.
- ``create = "bootstrapped"`` makes MetaMath's questions instead (arXiv 2309.12284), whose keys are exact: then give
  ``judge = "verify"``, and only right answers are trained on.
"""

from __future__ import annotations

from instar.acquire.tasks.evolve import EvolInstruct as Evolve
from instar.protocols import Create
from instar.recipes.instructing import Instructing, instruct
from instar.recipes.recipe import Recipe
from instar.records import Policy
from instar.run.run import Run


class EvolInstruct(Instructing):
    """Settings of Evol-Instruct: those that these recipes share."""

    create: Create = Evolve()


async def evol_instruct(run: Run, cfg: EvolInstruct) -> Policy:
    """Rewrite, answer, learn; return the last promoted policy."""
    return await instruct(run, cfg, newest=True)


RECIPE = Recipe(
    "evol_instruct", "makes given instructions harder, learns from its own answers", "arXiv 2304.12244",
    EvolInstruct, evol_instruct,
)  # fmt: skip
