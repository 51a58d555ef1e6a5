"""Three abilities one after the other, and what keeps the earlier: nothing, replay, KL to the last policy, a merge.

    instar run bench/lifelong.toml --name lifelong     # and instar resume lifelong, after any kill
    python -m bench.lifelong runs/lifelong             # the table, from the run's ledger, as far as it is

All arms learn *the same rows*: the gold answers of the same training tasks, stored once. The first stage is one
training that all arms share; from the second on each goes its own way. Every policy is examined on dev; nothing is
promoted and nothing is chosen, so that dev is as good as a sealed set here. One seed: a screening, not a result.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import ClassVar, cast

from instar.acquire.feedback.verify import Verify
from instar.acquire.replay import Mixed
from instar.acquire.solutions.sample import Sample
from instar.evaluate.compare import compare
from instar.evaluate.eval import Eval
from instar.protocols import Models, Replay, Solve, Update
from instar.recipes.recipe import Recipe, Settings
from instar.records import Experience, Finish, Policy, Report, Sampling, Solution, Task, Turn
from instar.run.run import Run
from instar.store.ledger import Ledger
from instar.store.readers.lineage import in_time
from instar.update.weights.merge import Merge
from instar.update.weights.regularised_sft import RegularisedSFT
from instar.update.weights.sft import SFT

ARMS = ("nothing", "replay", "kl", "merge")
TRAIN = {"learning_rate": 2e-4, "epochs": 3, "batch_size": 8}


class Gold(Solve):
    """The right answer of a task, as the prompt wants it written. It asks nobody."""

    name: ClassVar[str] = "bench_gold"

    async def __call__(self, task: Task, models: Models) -> Sequence[Solution]:
        return [
            Solution(
                task=task.id, turns=(Turn(text=f"Answer: {task.private['answer']}"),), policy="data", engine="file",
                precision="none", sampling=Sampling(), finish=Finish.stop,
            )
        ]  # fmt: skip


class Arms(Settings):
    """The settings of all arms; ``order`` are the abilities."""

    rounds: int = 3
    order: tuple[str, ...] = ("chain_sum", "spell_backward", "products")
    solve: Solve = Gold()
    plain: Update = SFT(**TRAIN)
    held: Update = RegularisedSFT(**TRAIN, kl=0.5)
    replay: Replay = Mixed(ratio=0.25)
    merge: Update = Merge(weight=0.5)
    exam: Eval = Eval(solve=Sample(samples=1, sampling=Sampling(temperature=0.0, max_tokens=12)), judge=Verify())


async def arms(run: Run, cfg: Arms) -> Policy:
    """Train every arm through all stages, and examine each policy on dev. Returns the plainly trained one."""
    at = dict.fromkeys(ARMS, run.base)
    await run.dev(cfg.exam, run.base)
    for stage in run.rounds(cfg.rounds):
        ability = cfg.order[stage - 1]
        tasks = [t for t in run.tasks.train if t.ability == ability]
        new = await run.solve(cfg.solve, tasks, run.models(run.base))
        if stage == 1:
            first = await run.update(cfg.plain, run.base, new, title=f"stage 1: {ability}")
            at = dict.fromkeys(ARMS, first)
        else:
            at = {arm: await _trained(run, cfg, arm, at[arm], new, f"stage {stage}, {arm}") for arm in ARMS}
        for arm, policy in at.items():
            report = await run.dev(cfg.exam, policy)
            if report is not None:
                run.note(f"stage {stage} ({ability}), {arm}: {_of(report)}")
    run.evolved()
    return at["nothing"]


async def _trained(run: Run, cfg: Arms, arm: str, policy: Policy, new: Sequence[Experience], title: str) -> Policy:
    if arm == "replay":
        again = await run.replay(cfg.replay, policy, new)
        return await run.update(cfg.plain, policy, [*new, *again], title=title)
    trained = await run.update(cfg.held if arm == "kl" else cfg.plain, policy, new, title=title)
    if arm != "merge":
        return trained
    return await run.update(cfg.merge, trained, [], references={"base": policy}, title=title)


def _of(report: Report) -> str:
    return ", ".join(f"{a} {100 * m['mean@1'].value:.1f} %" for a, m in report.abilities.items())


RECIPE = Recipe("bench_lifelong", "what keeps what was learned, measured", "arXiv 2404.14387", Arms, arms)


def table(folder: Path) -> str:
    """Every policy on dev, in the order in which they were examined, and its change from the base with its interval."""
    with closing(Ledger.read(folder / "ledger.db")) as ledger:
        of_dev = {r.id: r for r in cast(list[Report], ledger.records("report")) if r.exam.suite == "dev"}
        reports = [of_dev[id] for id in in_time(ledger, list(of_dev))]
        made = {p.id: p for p in cast(list[Policy], ledger.records("policy"))}
        rounds = {p: ledger.provenance(p)["round"] for p in made}
    base, lines = reports[0], []
    for r in reports:
        cells = []
        for ability, change in compare(base, r).abilities.items():
            cells.append(
                f"{ability} {100 * change.after:.1f} ({100 * change.gain:+.1f}; {100 * change.low:+.1f} to "
                f"{100 * change.high:+.1f})"
            )
        p = made[r.policy]
        lines.append(f"stage {rounds[p.id]} {p.made_by} of {str(p.parent)[-8:]}: {p.id[-8:]}: {'; '.join(cells)}")
    return "\n".join(lines)


if __name__ == "__main__":
    print(table(Path(sys.argv[1])))
