"""Self-QA: the policy asks itself about documents and answers with the text in sight; it learns to answer without.

After SPICE (Liu et al., arXiv 2510.24684: a document hidden from the solver gives the key) and training on synthetic
questions of a text instead of the text (Allen-Zhu and Li, arXiv 2309.14316, who show that facts are found again only
where they were seen in many forms; Yang et al., *Synthetic continued pretraining*, arXiv 2409.07431).

A round takes its passages (``sizes.train``), has questions made for the values that stand in them (``write``), answers
each with the passage (``read``) and without (``blind``), and keeps the right answers of questions that nobody answers
without it (``answerable``). These are learned plainly: the question alone, closed book. A gate decides.

Departures, each a setting:
- Nobody is trained to ask: a small model is shown the sentence and the answer and writes the question (``write``).
- The answer is picked by rule and stands in the text; SPICE's challenger picks it.
- Plain training on verified answers instead of reinforcement learning.
- ``bare``: the control, the same base trained on the passages themselves under the question that names them, with as
  many epochs as make as much text. It is examined beside the result and never promoted.
"""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import Field

from instar.acquire.feedback.verify import Verify
from instar.acquire.solutions.reading import Reading
from instar.acquire.solutions.recite import Recite
from instar.acquire.solutions.sample import Sample
from instar.acquire.tasks.passage_questions import PassageQuestions
from instar.evaluate.eval import Eval
from instar.evaluate.gates import PairedGate
from instar.objective.everything import Everything
from instar.protocols import Choose, Create, Filter, Gate, Judge, Solve
from instar.recipes.passages import asked_of_passages
from instar.recipes.recipe import Recipe, Settings
from instar.records import Experience, Policy, Sampling, Task
from instar.refine.filters.answerable import Answerable
from instar.refine.filters.length import Finished
from instar.refine.filters.per_task_cap import PerTaskCap
from instar.run.run import Run
from instar.update.weights.sft import SFT

MENTIONS = Verify(checker="guard_item", extract="text")
"""Right where the value stands in the reply and no other value of the same text does."""


class SelfQA(Settings):
    """Settings of self-QA. Its training tasks are passages: ``tasks = { op = "documents", folder = "FOLDER" }``."""

    rounds: int = Field(default=1, ge=1)
    goal: Choose = Everything()
    write: Create = PassageQuestions()
    read: Solve = Reading()
    blind: Solve = Sample(samples=1, sampling=Sampling(temperature=0.0, max_tokens=40))
    verifier: Judge = MENTIONS
    answerable: Filter = Answerable()
    keep: tuple[Filter, ...] = (Finished(), PerTaskCap(at_most=1, prefer="shortest"))
    train: SFT = SFT(epochs=12, learning_rate=1e-4)
    gate: Gate = PairedGate(guarded=())
    exam: Eval = Eval(solve=Sample(samples=1, sampling=Sampling(temperature=0.0, max_tokens=40)), judge=MENTIONS)
    bare: bool = True


async def self_qa(run: Run, cfg: SelfQA) -> Policy:
    """Ask, read, learn, and return the last promoted policy."""
    policy = run.base
    data: list[Experience] = []
    seen: list[Task] = []
    for _ in run.rounds(cfg.rounds):
        models = run.models(policy)
        made = await asked_of_passages(run, cfg.goal, cfg.write, seen, models)
        seen += made
        read = await run.judge(cfg.verifier, await run.solve(cfg.read, made, models, title="reading"), models)
        blind = await run.judge(cfg.verifier, await run.solve(cfg.blind, made, models, title="closed book"), models)
        kept = await run.keep((cfg.answerable, *cfg.keep), [*read, *blind])
        fell = not run.appraise(cfg.write, [*read, *blind]).kept
        data += kept
        if not data:
            run.note("nothing that was asked could be answered with its text alone: the policy stays")
            continue
        candidate = await run.update(cfg.train, run.base, data)
        policy = await run.promote(cfg.gate, cfg.exam, policy, candidate, run.gate_tasks())
        if fell:
            break
    run.evolved()
    if cfg.bare and data:
        run.controls["bare_text"] = await _bare(run, cfg, data)
    return policy


async def _bare(run: Run, cfg: SelfQA, data: Sequence[Experience]) -> Policy:
    """The base trained on the passages of all rounds, about as much text as the questions and answers are."""
    recited = await run.solve(Recite(), run.tasks.train, run.models(run.base), title="the bare text")
    learned = sum(_characters(e) for e in data) * cfg.train.epochs
    epochs = max(1, round(learned / sum(_characters(e) for e in recited)))
    run.note(f"the control reads the bare text {epochs} times: as much text as the questions and answers")
    train = cfg.train.model_copy(update={"epochs": epochs})
    return await run.update(train, run.base, recited, title="training the control")


def _characters(e: Experience) -> int:
    """What a training row of it says: the question, without any text that was shown, and the answer."""
    return len(e.task.question) + len(e.solution.text)


RECIPE = Recipe(
    "self_qa", "asks itself about documents, learns to answer without them", "arXiv 2510.24684", SelfQA, self_qa
)
