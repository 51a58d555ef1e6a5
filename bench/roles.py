"""How fast three roles alternate on one base: each its own adapter on the weights of the small model, beside one role.

    python -m bench.roles [--engine native] [--precision f32] [--pairs 5] [--calls 48] [--samples 4]

A call asks three times, each time what was said before and a line more, as roles that talk to each other do. On one
side all three asks are of one role, on the other each is of another, with an adapter of its own; all calls at once.
The two sides take turns (A B A B ...); prints a Markdown table of tokens a second and of the ratio of each pair.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from bench.engine import ours
from instar.app.storage.paths import artefacts, home
from instar.app.weights.models import obtain
from instar.engines.native import build
from instar.export.folder import save_adapter
from instar.protocols import Engine, Holds
from instar.records import Message, Policy, Role, Sampling
from instar.store.artefacts import Artefacts
from instar.update.weights.trainer.model import Lora, open_trainable

ROLES = ("planner", "worker", "critic")
SAMPLING = Sampling(temperature=0.7, top_k=40, max_tokens=32)


def policy_in(store: Artefacts, place: Path) -> Policy:
    """The small model with an adapter for each role, random as they are before training."""
    base = obtain("smollm2-135m", home=home(), artefacts=store, system=None, say=print)
    parent, adapters = store.open(base.weights.digest), {}
    for seed, role in enumerate(ROLES):
        trainable = open_trainable(parent, Lora(rank=16), seed)
        save_adapter(trainable, parent, place / role, base.weights.digest)
        adapters[role] = store.put(place / role)
    return base.model_copy(update={"adapters": adapters, "id": ""}).identified()


async def talk(engine: Engine, policy: Policy, roles: Sequence[str], i: int, samples: int, precision: str) -> int:
    """One call; the tokens it made."""
    shown, made = [Message(role=Role.user, content=f"How would you add {i} and {3 * i + 7}?")], 0
    for turn, role in enumerate(roles):
        replies = await engine.ask(
            policy.acting(role), shown, n=samples, sampling=SAMPLING, seed=7919 * i + turn, precision=precision
        )
        made += sum(r.tokens for r in replies)
        said = Message(role=Role.assistant, content=replies[0].text or "-")
        shown = [*shown, said, Message(role=Role.user, content="Go on.")]
    return made


async def rate(
    engine: Engine, policy: Policy, roles: Sequence[str], calls: range, samples: int, precision: str
) -> float:
    """Tokens a second of all these calls at once."""
    began = time.perf_counter()
    made = await asyncio.gather(*(talk(engine, policy, roles, i, samples, precision) for i in calls))
    return sum(made) / (time.perf_counter() - began)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--engine", default="native" if build.why_not() is None else "transformers")
    parser.add_argument("--precision", default="f32")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--calls", type=int, default=48)
    parser.add_argument("--samples", type=int, default=4)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="instar-bench-") as scratch:
        store = artefacts()
        policy = policy_in(store, Path(scratch))
        engine = ours(store, given.engine, Path(scratch))
        if isinstance(engine, Holds):
            engine.hold(len(ROLES))
        one = (ROLES[0],) * len(ROLES)
        for roles in (one, ROLES):  # loaded, and the libraries too
            asyncio.run(rate(engine, policy, roles, range(2), 1, given.precision))
        print(f"| pair | one role, tokens/s | {len(ROLES)} roles, tokens/s | ratio |\n|---|---|---|---|")
        ratios = []
        for pair in range(given.pairs):
            calls = range(100 * pair, 100 * pair + given.calls)
            alone = asyncio.run(rate(engine, policy, one, calls, given.samples, given.precision))
            three = asyncio.run(rate(engine, policy, ROLES, calls, given.samples, given.precision))
            ratios.append(three / alone)
            print(f"| {pair + 1} | {alone:,.0f} | {three:,.0f} | {ratios[-1]:.2f} |", flush=True)
        print(f"median {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")
        engine.close()


if __name__ == "__main__":
    main()
