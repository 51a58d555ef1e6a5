"""Self-Instruct: the model writes instructions beside given ones, answers them, and is trained on its own answers.

Wang et al., *Self-Instruct: Aligning Language Models with Self-Generated Instructions*, arXiv 2212.10560: 175 tasks
written by people, 52,000 instructions made from them, what is too like another dropped (ROUGE-L above 0.7), and the
model trained on what it answered to them.

Departures, each a setting:
- The training tasks of the config are the people's tasks (``sizes.train``); their answers are not used.
- The paper trains once, on all; here each round's answers train the base, and a gate decides.
- Nobody says whether an answer is right, as in the paper, whose authors found 46 % of their items faulty; with
  ``judge = "vote"`` (and ``solve.samples`` of 8) what most answers agree on is trained on.
"""

from __future__ import annotations

from instar.acquire.tasks.self_instruct import SelfInstruct as Write
from instar.protocols import Create
from instar.recipes.instructing import Instructing, instruct
from instar.recipes.recipe import Recipe
from instar.records import Policy
from instar.run.run import Run


class SelfInstruct(Instructing):
    """Settings of Self-Instruct: those that these recipes share."""

    create: Create = Write()


async def self_instruct(run: Run, cfg: SelfInstruct) -> Policy:
    """Write, answer, learn; return the last promoted policy."""
    return await instruct(run, cfg, newest=False)


RECIPE = Recipe(
    "self_instruct", "writes instructions beside given ones, learns from its own answers", "arXiv 2212.10560",
    SelfInstruct, self_instruct,
)  # fmt: skip
