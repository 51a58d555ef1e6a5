"""From documents: tasks made of a folder, answered with the texts in sight and cited; verified answers are learned.

After SPICE (Liu et al., arXiv 2510.24684: the corpus gives task and key) with citations as in ALCE (Gao et al., arXiv
2305.14627). What is learned is to answer from sources; what the sources say is learned by ``self_qa``.

A round makes questions of its passages (``write``): each stands after numbered texts, one of which answers it. The
policy answers several times; an answer is right if it gives the value and cites the text that says it, and no other.
It answers once more without the texts (``blind``): what is known without them is dropped (``answerable``). The right
ones train the base, as in ReST-EM (arXiv 2312.06585). The exam asks about documents that no round has seen.

Departures, each a setting:
- Answers are picked by rule and questions are gaps or the model's own (``write``); SPICE's challenger is trained.
- Verified answers are learned plainly; SPICE trains with reinforcement learning.
"""

from __future__ import annotations

from pydantic import Field

from instar.acquire.feedback.cited import Cited
from instar.acquire.feedback.verify import Verify
from instar.acquire.solutions.citing import Citing, WithoutTexts
from instar.acquire.solutions.sample import Sample
from instar.acquire.tasks.passage_questions import PassageQuestions
from instar.evaluate.eval import Eval
from instar.evaluate.gates import PairedGate
from instar.objective.everything import Everything
from instar.protocols import Choose, Create, Filter, Gate, Judge, Solve
from instar.recipes.passages import asked_of_passages
from instar.recipes.recipe import Recipe
from instar.recipes.self_training import SelfTraining, tries_of, unverified
from instar.records import Experience, Policy, Sampling, Task
from instar.refine.filters.answerable import Answerable
from instar.refine.filters.distinct import Distinct
from instar.refine.filters.length import Finished
from instar.refine.filters.per_task_cap import PerTaskCap
from instar.run.run import Run


class FromDocuments(SelfTraining):
    """Settings of from_documents. Its training tasks are passages, and its other sets ask about other documents:
    ``tasks = { op = "documents", folder = "FOLDER", shows = "texts" }``."""

    rounds: int = Field(default=1, ge=1)
    goal: Choose = Everything(of="cited")
    write: Create = PassageQuestions(shows="texts")
    solve: Solve = Citing()
    judge: Judge = Cited()
    blind: Solve = WithoutTexts()
    verifier: Judge = Verify(checker="guard_item", extract="text")
    answerable: Filter = Answerable(with_passage=0.25)
    keep: tuple[Filter, ...] = (Finished(), Distinct(), PerTaskCap(at_most=1, prefer="shortest"))
    gate: Gate = PairedGate(guarded=())
    exam: Eval = Eval(solve=Sample(samples=1, sampling=Sampling(temperature=0.0, max_tokens=48)), judge=Cited())


async def from_documents(run: Run, cfg: FromDocuments) -> Policy:
    """Make tasks, answer them from the texts, and return the last promoted policy."""
    policy = run.base
    data: list[Experience] = []
    first: list[Experience] = []
    seen: list[Task] = []
    for _ in run.rounds(cfg.rounds):
        models = run.models(policy)
        made = await asked_of_passages(run, cfg.goal, cfg.write, seen, models)
        seen += made
        tries = await tries_of(run, cfg, made, models)
        first = first or tries
        blind = await run.solve(cfg.blind, made, models, title="without the texts")
        blind = await run.judge(cfg.verifier, blind, models)
        before = await run.dev(cfg.exam, policy)
        kept = await run.keep((cfg.answerable, cfg.right, *cfg.keep), [*tries, *blind])
        fell = not run.appraise(cfg.write, tries).kept
        data += kept
        if not data:
            run.note("no right answer in this round: nothing to train on, the policy stays")
            continue
        candidate = await run.update(cfg.train, run.base, data)
        policy = await run.promote(cfg.gate, cfg.exam, policy, candidate, run.gate_tasks())
        await run.health(cfg.watch, tries, kept, before, await run.dev(cfg.exam, policy))
        if fell:
            break
    run.evolved()
    if cfg.control and data:
        run.controls["unverified"] = await unverified(run, cfg, first, len(data))
    return policy


RECIPE = Recipe(
    "from_documents",
    "tasks and keys from a folder, answered with citations",
    "arXiv 2510.24684",
    FromDocuments,
    from_documents,
)
