"""What a real model proposes when it is asked for tasks: valid, new, leaking, different, and with the right key.

    python -m bench.proposals --of expression --wanted 240
    python -m bench.proposals --of program --wanted 16

One call of the operator `proposer`, without a run and without training; every key is found again in another way. Leaks
are counted against 200 sums of one and two digits, drawn like an exam's.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from instar.acquire.tasks.proposer import Proposer
from instar.app.storage.paths import artefacts, home
from instar.app.weights.models import obtain
from instar.engines.native.engine import NativeEngine
from instar.leaks import asked_again
from instar.made import KEY_OTHER, quality
from instar.protocols import Created, Refused
from instar.records import Decision, Message, Objective, Policy, Reply, Sampling


class Asked:
    """A model at hand outside a run: each ask has a seed of its own."""

    def __init__(self, engine: NativeEngine, policy: Policy) -> None:
        self.engine, self.policy, self.asks, self.tokens = engine, policy, 0, 0

    async def ask(self, messages: Sequence[Message], *, n: int = 1, sampling: Sampling) -> list[Reply]:
        self.asks += 1
        precision = self.engine.precision_for("sample")
        made = await self.engine.ask(
            self.policy, messages, n=n, sampling=sampling, seed=self.asks, precision=precision
        )  # fmt: skip
        self.tokens += sum(r.tokens for r in made)
        return made


def proposals(of: str, wanted: int) -> str:
    """A paragraph of figures."""
    store = artefacts()
    policy = obtain("smollm2-135m", home=home(), artefacts=store, system=None, say=print)
    sampling = Sampling(temperature=1.0, max_tokens=24 if of == "expression" else 120)
    op = Proposer(of=of, audit=10_000, sampling=sampling)
    goal = Objective(id="i1:bench", ability="proposed", tasks=wanted)
    with tempfile.TemporaryDirectory() as scratch:
        engine = NativeEngine(artefacts=store, scratch=Path(scratch))
        model = Asked(engine, policy)
        began = time.perf_counter()
        try:
            said = list(asyncio.run(op([goal], (), (), {"self": model})))
        finally:
            engine.close()
    seconds = time.perf_counter() - began
    tasks = [x.task for x in said if isinstance(x, Created)]
    different = list({t.canonical: t for t in tasks}.values())
    luck = random.Random(1)
    held = [
        f"State the final answer: {luck.randint(0, 99)} {luck.choice('+-')} {luck.randint(0, 99)} =" for _ in range(200)
    ]
    leaks = sum(found is not None for found in asked_again([t.question for t in different], held))
    refused = Counter(x.reason for x in said if isinstance(x, Refused))
    right = sum(x.key_again for x in said if isinstance(x, Created))
    shown = [Decision(item="", kept=True, reason="") for _ in different]
    diversity = quality("", 1, shown, [t.question for t in different], {}).diversity
    return "\n".join(
        [
            f"{of}: {len(said)} proposals in {model.asks} asks, {model.tokens:,} tokens, {seconds:.1f} s",
            f"valid {len(tasks)} ({len(tasks) / max(1, len(said)):.1%}), different {len(different)} "
            f"({len(different) / max(1, len(tasks)):.1%}), asking one of 200 held-out sums {leaks}, diversity "
            f"{diversity or 0:.0%}",
            f"keys found again in another way and the same: {right} of {right + refused[KEY_OTHER]}",
            *(f"refused {n}: {why}" for why, n in refused.most_common()),
            "for example: " + "; ".join(str(t.private["proposed"]).replace("\n", " | ") for t in different[:8]),
        ]
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--of", choices=("expression", "program"), default="expression")
    parser.add_argument("--wanted", type=int, default=240)
    given = parser.parse_args()
    print(proposals(given.of, given.wanted))
