"""What it saves to train the turns of one dialogue in one step: each is read again in the prompt of the next.

    python -m bench.dialogue_rows [--cases 100] [--batch 12] [--pairs 4] [--steps 6]

The rows are those of AMIE's static consultations (three turns of each side, one worked example before each). One side
is the plan that ``SFT`` trains by; the other the same plan with dialogues not known to it, as it was before: rows of
one prompt meet, others by their length. Tokens fed in one epoch are counted for both; then so many steps of each are
trained in turns (A B A B ...) and the ratio of their rows a second is printed, the median and the range of the pairs.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import statistics
import tempfile
import threading
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from bench.tools import processor
from bench.train_ours import Bench
from instar.acquire.environments.clinic import Clinic
from instar.acquire.solutions.consult import StaticConsultation
from instar.app.storage.paths import artefacts, home
from instar.app.weights.models import obtain
from instar.records import Experience, Policy
from instar.refine.corrections.some_turns import SomeTurns
from instar.update.weights.layout.batches import plan
from instar.update.weights.layout.rows import Row, rows_of
from instar.update.weights.layout.shared_prefix import plant
from instar.update.weights.trainer.hardware import AT_ONCE, precision_of


async def consultations(cases: int, policy: Policy) -> list[Experience]:
    """The turns to learn of so many static consultations, both sides."""
    tasks = Clinic(sides=True, shots=1, turns=6)({"train": 2 * cases}, {"train": 0})["train"]
    models = cast(Any, {"self": SimpleNamespace(policy=policy)})
    held = [Experience(task=t, solution=s) for t in tasks for s in await StaticConsultation()(t, models)]
    return [Experience(task=e.task, solution=s) for e in held for s in await SomeTurns()(e, models)]


def apart(rows: Sequence[Row], batch: int) -> list[list[int]]:
    """The plan in which no prompt goes on from another row: before each prompt stands a token of its own."""
    prompts: dict[tuple[int, ...], int] = {}
    own = [Row((prompts.setdefault(r.ids[: r.prompt], len(prompts)), *r.ids), r.prompt + 1) for r in rows]
    return plan(own, batch_size=batch, epochs=1, seed=0)


def fed(rows: Sequence[Row], steps: Sequence[Sequence[int]]) -> int:
    """Tokens that these steps feed."""
    return sum(len(tree.tokens) for step in steps for tree in plant([rows[i] for i in step], AT_ONCE))


def main() -> None:
    """Count, train, print."""
    parser = argparse.ArgumentParser(prog="python -m bench.dialogue_rows", description=(__doc__ or "").split("\n")[0])
    for name, value in (("cases", 100), ("batch", 12), ("pairs", 4), ("steps", 6)):
        parser.add_argument(f"--{name}", type=int, default=value)
    given = parser.parse_args()
    if few := [f"--{name} {number}" for name, number in vars(given).items() if number < 1]:
        parser.error(f"{', '.join(few)}: give 1 or more")
    policy = obtain("smollm2-135m", home=home(), artefacts=artefacts(), system=None, say=print)
    folder = artefacts().open(policy.weights.digest)
    data = asyncio.run(consultations(given.cases, policy))
    rows = rows_of(policy, data, folder, 2048).kept
    sides = [plan(rows, batch_size=given.batch, epochs=1, seed=0), apart(rows, given.batch)]
    one, other = (fed(rows, steps) for steps in sides)
    print(f"{processor()}; {len(rows)} rows of {len(data)} sides of consultations, batch {given.batch}")
    print(f"tokens fed in an epoch: {one:,} with dialogues together, {other:,} apart ({other / one:.2f} times as many)")
    rate = partial(_rate, folder, rows, given.steps)
    ratios = [rate(sides[0], n) / rate(sides[1], n) for n in range(given.pairs)]
    middle = statistics.median(ratios)
    print(f"rows a second, together over apart: {middle:.2f} ({min(ratios):.2f} to {max(ratios):.2f})")


def _rate(folder: Path, rows: Sequence[Row], count: int, plan_: Sequence[list[int]], number: int) -> float:
    """Rows a second over the next ``count`` steps of this plan, on weights opened anew."""
    from instar.update.weights.trainer.loop import Settings, train
    from instar.update.weights.trainer.model import open_trainable

    steps = list(itertools.islice(itertools.cycle(plan_), number * count, (number + 1) * count))
    asked = Settings(
        learning_rate=1e-6, warmup=0.0, max_grad_norm=1.0, weight_decay=0.0, seed=0, belongs="",
        bfloat16=precision_of("auto") == "bfloat16", checkpoint_seconds=1e9, checkpoint_steps=None,
    )  # fmt: skip
    trainable = open_trainable(folder, None, 0)
    with tempfile.TemporaryDirectory() as scratch:
        began = time.perf_counter()
        shop = cast(Any, Bench(Path(scratch)))  # of a shop, only what training asks for
        train(trainable, rows, steps, asked, shop, threading.Event())
        return sum(map(len, steps)) / (time.perf_counter() - began)


if __name__ == "__main__":
    main()
