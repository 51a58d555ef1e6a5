"""MemoryBank: what people said is kept as dated notes; the one that fits stands before a later question.

Paper: Zhong et al., *MemoryBank: Enhancing Large Language Models with Long-Term Memory*, arXiv 2305.10250: dated
turns, summaries and portraits are stored, the six nearest are shown, and what is recalled grows stronger while the rest
fades (R = exp(-t / S)). Its 15 simulated users over 10 days, asked 194 questions, are ``diaries`` here.

A round hears its days (``sizes.train`` entries, dealt out over the rounds), inserts a note of each, lets later notes
take the place of those that they contradict, and forgets what has faded. A gate decides whether the policy with the new
memory takes the old one's place. No weight is trained.

Departures, each a setting:
- One note is shown and not six (``exam.solve.k``), and none where none fits: a model of 135M is thrown off by others.
- No summaries and no portraits: a model of 135M writes none that are true.
- A contradicted note is superseded; the paper leaves both, and what comes back is by chance.
- One strength lasts 100 days, not 1, so that ten days do not outweigh what is asked; a floor forgets, and no lot.
- ``controls``: a memory of other people's notes ("wrong"), and one of a single note each, by lot ("random"). They are
  examined beside the result; the base is the control without memory.
"""

from __future__ import annotations

from pydantic import Field

from instar.acquire.feedback.verify import Verify
from instar.acquire.solutions.listen import Listen
from instar.acquire.solutions.recalling import Recalling
from instar.acquire.solutions.sample import Sample
from instar.evaluate.eval import Eval
from instar.evaluate.gates import PairedGate
from instar.protocols import Gate, Solve, Update
from instar.recipes.recipe import Recipe, Settings
from instar.records import Experience, Policy, Sampling
from instar.run.run import Run
from instar.update.memory.forget import Forget
from instar.update.memory.insert import Insert
from instar.update.memory.scramble import Scramble
from instar.update.memory.supersede import Supersede


class MemoryBank(Settings):
    """Settings of MemoryBank. An exam must be solved with ``recalling``, or what is remembered is never looked at."""

    rounds: int = Field(default=1, ge=1)
    solve: Solve = Listen()
    insert: Insert = Insert()
    supersede: Supersede | None = Supersede()
    forget: Forget | None = Forget()
    gate: Gate = PairedGate(guarded=())
    exam: Eval = Eval(
        solve=Recalling(inner=Sample(samples=1, sampling=Sampling(temperature=0.0, max_tokens=24))),
        judge=Verify(checker="exact", extract="answer_line"),
    )
    controls: bool = True


async def memory_bank(run: Run, cfg: MemoryBank) -> Policy:
    """Hear, remember, and return the last promoted policy."""
    policy = run.base
    heard: list[Experience] = []
    for _ in run.rounds(cfg.rounds):
        heard += await run.solve(cfg.solve, run.train_tasks(), run.models(policy), title="hearing")
        candidate = await run.update(cfg.insert, policy, heard, title="remembering")
        for op in (cfg.supersede, cfg.forget):
            if op is not None and candidate.memory is not None:
                candidate = await run.update(op, candidate, heard, title=f"{op.name}: memory")
        policy = await run.promote(cfg.gate, cfg.exam, policy, candidate, run.gate_tasks())
    run.evolved()
    if cfg.controls and policy.memory is not None:  # beside what was promoted, and not what a gate refused last
        for how in ("wrong", "random"):
            other: Update = Scramble(how=how, seed=run.seed)
            control = await run.update(other, policy, heard, title="a memory to compare with")
            if control.id != policy.id:  # one person's notes cannot be another's: then it is the real memory
                run.controls[how] = control
    return policy


RECIPE = Recipe(
    "memory_bank",
    "dated notes of what people said, the one that fits before each question; nothing is trained",
    "arXiv 2305.10250",
    MemoryBank,
    memory_bank,
)
