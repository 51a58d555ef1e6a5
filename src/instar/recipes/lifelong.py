"""Lifelong: one ability after the other, each round from the last policy, with what is to keep the earlier ones.

The survey's stability-plasticity dilemma (arXiv 2404.14387, section 2.4) and its three families of remedies, each a
setting, in any combination: ``replay`` (arXiv 2404.14387, section 5.1.1), a regulariser in ``train``
(``regularised_sft``: KL to a reference, L2-SP, EWC), ``merge`` (WiSE-FT, arXiv 2109.01903, and others). How much of a
merge is taken is chosen on dev, never on the gate.

Departures from ReST-EM, whose acquiring and filtering it has:
- A round has the training tasks of one ability alone; dev, gate and the sealed exam have all of them.
- Each update goes on from the policy that came last, not from the base: that is where forgetting comes from.
- The gate has the items of the abilities taught so far: what is gained at the new one less what is lost at the others,
  and each of them guarded, so that one that is lost refuses the candidate.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

from pydantic import Field, model_validator

from instar.acquire.replay import Mixed
from instar.errors import ConfigError
from instar.evaluate.transfer import in_words, transfer
from instar.protocols import Replay
from instar.recipes.recipe import Recipe
from instar.recipes.self_training import SelfTraining, tries_of
from instar.records import Experience, Policy, Report, Task
from instar.run.run import Run
from instar.update.weights.merge import Merge

ALONG = ("wise_ft", "slerp")
"""Merges that are a way from one policy to the other, of which dev chooses how far."""


class Lifelong(SelfTraining):
    """Settings of lifelong learning. It needs a dev set: ``sizes.dev``, some 40 items for each ability.

    ``order`` are the abilities, first to last; () is as they first come in the training set. With more rounds than
    abilities it begins anew. ``replay`` and ``merge`` "none" leave them out. Of ``steps`` dev chooses how far a merge
    by ``wise_ft`` or ``slerp`` goes from the policy before the round to the one it trained; other merges are of the
    base and all rounds' policies, and dev chooses between such a one and the trained policy alone.
    """

    rounds: int = Field(default=3, ge=1)
    order: tuple[str, ...] = ()
    replay: Replay | None = Mixed()
    merge: Merge | None = None
    steps: tuple[float, ...] = Field(default=(0.5, 0.75), min_length=1)

    @model_validator(mode="after")
    def _weighs_what_there_will_be(self) -> Self:
        if self.merge is None or not self.merge.weights:
            return self
        rounds = () if self.merge.method in ALONG else (f"round_{n}" for n in range(1, self.rounds))
        names, weights = ("self", "base", *rounds), self.merge.weights
        if strange := [name for name in weights if name not in names]:
            raise ValueError(f"merge has a weight for {strange[0]!r}, and there will be {', '.join(names)}")
        if self.merge.method == "linear" and not weights.get("self", 1.0) + weights.get("base", 1.0) > 0:
            raise ValueError("merge by linear has the base and the trained policy alone at first: weigh one of them")
        return self


async def lifelong(run: Run, cfg: Lifelong) -> Policy:
    """Learn one ability after the other and return the last promoted policy."""
    order = cfg.order or tuple(dict.fromkeys(t.ability for t in run.tasks.train))
    if strange := [a for a in order if not any(t.ability == a for t in run.tasks.train)]:
        raise ConfigError(f"order names {strange[0]!r}, and no training task is of that ability.")
    policy, earlier = run.base, list[Policy]()
    reports = [await _on_dev(run, cfg, policy)]
    taught: list[str] = []
    for number in run.rounds(cfg.rounds):
        ability = order[(number - 1) % len(order)]
        tasks = share(run.tasks.train, ability, order, number, cfg.rounds)
        run.note(f"this round's ability: {ability}, {len(tasks)} tasks")
        tries = await tries_of(run, cfg, tasks, run.models(policy))
        new = await run.keep((cfg.right, *cfg.keep), tries)
        if not new:
            run.note("no right answer in this round: nothing to train on, the policy stays")
            continue
        again = await run.replay(cfg.replay, policy, new, exam=cfg.exam) if cfg.replay else []
        held = {"base": run.base} if getattr(cfg.train, "reference", "") == "base" else {}
        trained = await run.update(cfg.train, policy, [*new, *again], references=held)
        candidate = await merged(run, cfg, policy, trained, earlier, new)
        known = {*taught, ability}
        items = [t for t in run.gate_tasks() if t.ability in known]
        policy = await run.promote(cfg.gate, cfg.exam, policy, candidate, items)
        earlier += [policy] if policy.id == candidate.id else []
        reports.append(await _on_dev(run, cfg, policy))
        taught.append(ability)
        run.note(in_words(transfer(reports, taught)))
        await run.health(cfg.watch, tries, new, *reports[-2:])
    run.evolved()
    return policy


def share(train: Sequence[Task], ability: str, order: Sequence[str], number: int, rounds: int) -> list[Task]:
    """The training tasks of an ability that belong to round ``number``: dealt out over the rounds that train it."""
    mine = [n for n in range(1, rounds + 1) if order[(n - 1) % len(order)] == ability]
    tasks, place = [t for t in train if t.ability == ability], mine.index(number)
    return tasks[place * len(tasks) // len(mine) : (place + 1) * len(tasks) // len(mine)]


async def merged(
    run: Run, cfg: Lifelong, before: Policy, trained: Policy, earlier: Sequence[Policy], new: Sequence[Experience]
) -> Policy:
    """The merge that does best on dev, all abilities alike; the trained policy itself is one of those compared.
    ``lm_cocktail`` weighs by the loss on the ``new`` answers."""
    if cfg.merge is None or trained.id == before.id:
        return trained
    if cfg.merge.method in ALONG:
        ways = [(cfg.merge.model_copy(update={"weight": w}), {"base": before}) for w in cfg.steps if w < 1]
    else:
        references = {f"round_{n}": p for n, p in enumerate(earlier, 1)}
        if cfg.merge.method == "model_stock" and not references:
            return trained  # it is of two at least
        there = {name: w for name, w in cfg.merge.weights.items() if name in ("self", "base", *references)}
        ways = [(cfg.merge.model_copy(update={"weights": there}), {"base": run.base, **references})]
    data = new if cfg.merge.method == "lm_cocktail" else []
    made = [trained] + [await run.update(op, trained, data, references=refs, title="merging") for op, refs in ways]
    scores = [_mean(await _on_dev(run, cfg, p)) for p in made]
    best = max(range(len(made)), key=lambda i: (scores[i], -i))
    names = ["as trained", *(f"{op.method} {op.weight:g}" if op.method in ALONG else op.method for op, _ in ways)]
    told = ", ".join(f"{name} {100 * score:.1f} %" for name, score in zip(names, scores, strict=True))
    run.note(f"merge: {names[best]}, by dev ({told})")
    return made[best]


def _mean(report: Report) -> float:
    """The mean of the abilities' scores: each counts alike, however many items it has."""
    found = [of["mean@1"].value for of in report.abilities.values()]
    return sum(found) / len(found)


async def _on_dev(run: Run, cfg: Lifelong, policy: Policy) -> Report:
    report = await run.dev(cfg.exam, policy)
    if report is None:
        raise ConfigError(
            "lifelong has no dev set: what was forgotten is seen there, and how much of a merge is taken.",
            "For example: --set sizes.dev=120",
        )
    return report


RECIPE = Recipe("lifelong", "one ability after another, the earlier ones kept", "arXiv 2404.14387", Lifelong, lifelong)
