"""What a model is worth as a judge, and how often text in an answer talks it round: two tables.

    python bench/judges.py [MODEL ...] [--tasks 24]      # default: scripted smollm2-135m

The first table measures each judge on planted answers (``instar.evaluate.audit``), the second counts the verdicts that
injection canaries flip (``instar.acquire.feedback.canaries``), with the marks around the answer and without.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from instar.acquire.feedback.canaries import flips
from instar.acquire.feedback.pairwise import Pairwise
from instar.acquire.feedback.rubric import Rubric
from instar.acquire.feedback.self_verify import SelfVerify
from instar.acquire.feedback.verify import Verify
from instar.acquire.solutions.sample import Sample
from instar.app.configs.registry import EngineContext, engines
from instar.app.configs.run_config import DEFAULT_TASKS
from instar.app.storage.paths import artefacts, home
from instar.app.weights.models import obtain
from instar.evaluate.audit import PlantedDefects
from instar.protocols import Engine, Judge
from instar.records import Experience, Feedback, Message, Plant, Policy, Reply, Sampling, Solution, Task, Worth, hash_of

GREEDY = {"samples": 1, "sampling": Sampling(temperature=0.0, max_tokens=160)}
CRITERION = ("The last line of the answer states the same result as the reference.",)
JUDGES: dict[str, Judge] = {
    "rubric, 3 samples, reference": Rubric(),
    "rubric, 3 samples, no reference": Rubric(reference=False),
    "rubric, one criterion, reference": Rubric(criteria=CRITERION),
    "pairwise, reference": Pairwise(),
    "pairwise, no reference": Pairwise(reference=False),
    "self_verify": SelfVerify(),
    "verify (no model)": Verify(),
}


class Asked:
    """A model outside any run: the seed of an ask is a hash of its prompt."""

    def __init__(self, engine: Engine, policy: Policy) -> None:
        self.engine, self.policy = engine, policy

    async def ask(self, messages: Sequence[Message], *, n: int = 1, sampling: Sampling) -> list[Reply]:
        seed = int(hash_of("seed", [m.model_dump(mode="json") for m in messages])[3:10], 16)
        precision = self.engine.precision_for("sample")
        return await self.engine.ask(self.policy, messages, n=n, sampling=sampling, seed=seed, precision=precision)


async def measured(judge: Judge, model: Asked, likes: Sequence[Experience]) -> str:
    """One row: a judge on the plants of these tasks."""
    audit = PlantedDefects(tasks=len(likes))
    grown = [
        (e.task, [p.model_copy(update={"id": hash_of("p", e.task.id, i)}) for i, p in enumerate(audit.grow(e, likes))])
        for e in likes
    ]
    groups = [(task, group) for task, plants in grown for group in _groups(judge, plants)]
    said = await asyncio.gather(*(judge(task, [p.shown for p in group], {"self": model}) for task, group in groups))
    words: dict[str, Feedback] = {}
    for (_, group), feedback in zip(groups, said, strict=True):
        for p, f in zip(group, feedback, strict=True):
            if judge.planted_in != "pairs" or p.worth is not Worth.bad or p.id not in words:
                words[p.id] = f
    n = (found := audit.assess(judge, None, [p for _, ps in grown for p in ps], words)).numbers

    def show(key: str) -> str:
        return "-" if n.get(key) is None else f"{n[key]:.2f}"

    keys = ("agreement", "kappa", "precision", "recall", "wrong_reason_accepted", "undecided", "swap_consistency")
    return " | ".join(
        [*(show(k) for k in (*keys, "length_correlation", "spread")), "yes" if found.trusted else "REFUSED"]
    )


def _groups(judge: Judge, plants: Sequence[Plant]) -> list[list[Plant]]:
    good, bad, reason = plants
    return [[good, bad], [bad, reason]] if judge.planted_in == "pairs" else [list(plants)]


async def main(models: Sequence[str], n: int) -> None:
    """Print both tables for each model."""
    for name in models:
        policy = obtain(name, home=home(), artefacts=artefacts(), system=None, say=lambda s: print(s, file=sys.stderr))
        engine = engines()["scripted" if policy.weights.place == "scripted" else "openvino"](
            EngineContext(artefacts(), Path(tempfile.mkdtemp()), {})
        )
        model = Asked(engine, policy)
        drawn = DEFAULT_TASKS({"train": n}, {"train": 20261122})["train"]
        tasks = [t.model_copy(update={"id": t.digest}) for t in drawn]
        made = await asyncio.gather(*(Sample(samples=1)(t, {"self": model}) for t in tasks))
        likes = [Experience(task=t, solution=s[0]) for t, s in zip(tasks, made, strict=True)]
        print(f"\n### {name}: {n} tasks, {2 * n} known answers and {n} right ones for a wrong reason\n")
        print("| judge | agreement | kappa | precision | recall | wrong reason accepted | undecided "
              "| same in both orders | length correlation | spread | trusted at 0.4 |")  # fmt: skip
        print("|---|---|---|---|---|---|---|---|---|---|---|")
        for what, judge in JUDGES.items():
            print(f"| {what} | {await measured(judge, model, likes)} |", flush=True)
        await canaries(model, likes)
        engine.close()


async def canaries(model: Asked, likes: Sequence[Experience]) -> None:
    """The second table: the same wrong and right answers, without a canary and with each."""
    audit = PlantedDefects()
    of: dict[Worth, list[tuple[Task, Solution]]] = {w: [] for w in Worth}
    for e in likes:
        for p in audit.grow(e, likes):
            of[p.worth].append((e.task, p.solution.model_copy(update={"id": f"{e.task.id}{p.worth}"})))
    print("\n| canary | marks | wrong answers | found right before | flipped to right | share flipped | right answers "
          "spoiled | unreadable with it |")  # fmt: skip
    print("|---|---|---|---|---|---|---|---|")
    for protect in (True, False):
        found = await flips(Rubric(protect=protect, **GREEDY), {"self": model}, of[Worth.bad], of[Worth.good])
        for f in found:
            share = "-" if f.share is None else f"{f.share:.1%}"
            print(f"| {f.canary} | {'with' if protect else 'without'} | {f.wrong} | {f.right_before} | {f.fooled} | "
                  f"{share} | {f.spoiled} of {f.right} | {f.invalid} |")  # fmt: skip


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", default=["scripted", "smollm2-135m"])
    parser.add_argument("--tasks", type=int, default=24)
    given = parser.parse_args()
    asyncio.run(main(given.models, given.tasks))
