"""How long a new policy's first token takes: after an update, everything between its weights and its first word.

    python -m bench.first_token [--precisions f32,bf16] [--times 5] [--engine native]

Two sets of weights of the small model in a store of their own take turns in an engine that holds one: each ask opens
the artefact (its hash is verified), makes of it what the engine reads, reads a prompt and answers with one token.
Prints a Markdown table of medians and spreads.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import statistics
import tempfile
import time
from pathlib import Path

from bench.engine import chosen, ours
from instar import fingerprint
from instar.app.storage.paths import artefacts, home
from instar.app.weights.models import obtain
from instar.protocols import Engine
from instar.records import Message, Policy, Role, Sampling, Weights
from instar.store.artefacts import Artefacts

SYSTEM = "Solve the problem. Write the result after 'Answer:'."
PROMPT = (Message(role=Role.system, content=SYSTEM), Message(role=Role.user, content="Calculate 12 + 30."))


def two(store: Artefacts, place: Path) -> list[Policy]:
    """The base, and the same with one number changed."""
    from safetensors.torch import load_file, save_file

    base = obtain("smollm2-135m", home=home(), artefacts=artefacts(), system=SYSTEM, say=print)
    policies = []
    for changed in (False, True):
        folder = place / f"weights-{changed}"
        # not the fingerprint: one of the two is another model
        shutil.copytree(artefacts().open(base.weights.digest), folder, ignore=shutil.ignore_patterns(fingerprint.FILE))
        if changed:
            tensors = load_file(folder / "model.safetensors")
            tensors["model.norm.weight"] = tensors["model.norm.weight"] * 1.0001
            save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
        weights = Weights(place="artefact", digest=store.put(folder), name=f"changed {changed}")
        policies.append(base.model_copy(update={"weights": weights, "id": ""}).identified())
    return policies


async def seconds(engine: Engine, policy: Policy, precision: str) -> float:
    """Until the one token is there."""
    began = time.perf_counter()
    sampling = Sampling(temperature=0.0, max_tokens=1)
    await engine.ask(policy, PROMPT, n=1, sampling=sampling, seed=0, precision=precision)
    return time.perf_counter() - began


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--precisions", default="f32,bf16", help="int8 too with openvino")
    parser.add_argument("--engine", default=chosen())
    parser.add_argument("--times", type=int, default=5)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="instar-bench-") as scratch:
        place = Path(scratch)
        store = Artefacts(place / "store")
        policies = two(store, place)
        engine = ours(store, given.engine, place)
        asyncio.run(seconds(engine, policies[0], "f32"))  # libraries
        print("| precision | first token, s (least to greatest) | asks |")
        print("|---|---|---|")
        for precision in given.precisions.split(","):
            found = []
            for i in range(given.times):
                engine.artefacts = Artefacts(place / "store")  # another object: it verifies the hash, as of new weights
                found.append(asyncio.run(seconds(engine, policies[(i + 1) % 2], precision)))
            spread = f"{statistics.median(found):.2f} ({min(found):.2f} to {max(found):.2f})"
            print(f"| {precision} | {spread} | {len(found)} |", flush=True)
        engine.close()


if __name__ == "__main__":
    main()
