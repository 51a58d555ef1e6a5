"""Which precisions are allowed: the exam score of the same weights at each, beside f32.

    python -m bench.precision [--weights DIGEST ...] [--tasks 330] [--engine native]

Greedy answers to chain_sum (two terms, one to two digits), read as an exam reads them. The base model unless digests of
artefacts are given (an evolved policy's is in its run: ``instar show``). Prints a Markdown table.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Sequence

from bench.engine import chosen, ours
from instar.acquire.tasks.reasoning_gym import ReasoningGym
from instar.app.storage.paths import artefacts, home
from instar.app.weights.models import obtain
from instar.evaluate.intervals import paired_bootstrap
from instar.extract import extract
from instar.protocols import Engine
from instar.records import Policy, Sampling, Task, Weights

SYSTEM = "Solve the problem. Write the result after 'Answer:'."
GREEDY = Sampling(temperature=0.0, max_tokens=48)


async def scores(engine: Engine, policy: Policy, tasks: Sequence[Task], precision: str) -> list[float]:
    """1 for each right answer, else 0."""
    replies = await asyncio.gather(
        *(engine.ask(policy, policy.prompt(t), n=1, sampling=GREEDY, seed=0, precision=precision) for t in tasks)
    )
    golds = [str(t.private["answer"]) for t in tasks]
    return [float(extract(r[0].text, "auto", g) == g) for r, g in zip(replies, golds, strict=True)]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--weights", nargs="*", default=[])
    parser.add_argument("--tasks", type=int, default=330)
    parser.add_argument("--precisions", default="f32,bf16", help="int8 too with openvino")
    parser.add_argument("--engine", default=chosen())
    parser.add_argument("--seed", type=int, default=777)
    given = parser.parse_args()
    store = artefacts()
    base = obtain("smollm2-135m", home=home(), artefacts=store, system=SYSTEM, say=print)
    others = [
        base.model_copy(update={"weights": Weights(place="artefact", digest=d, name=d[:8])}).identified()
        for d in given.weights
    ]
    families = {"chain_sum": {"min_terms": 2, "max_terms": 2, "min_digits": 1, "max_digits": 2}}
    tasks = ReasoningGym(families=families)({"sealed": given.tasks}, {"sealed": given.seed})["sealed"]
    engine = ours(store, given.engine)
    print("| weights | precision | right | minus f32, points (95 %) | answers that differ | seconds |")
    print("|---|---|---|---|---|---|")
    for policy in [base, *others]:
        reference: list[float] = []
        for precision in given.precisions.split(","):
            began = time.perf_counter()
            found = asyncio.run(scores(engine, policy, tasks, precision))
            seconds = time.perf_counter() - began
            reference = reference or found
            gap = paired_bootstrap(reference, found)
            differ = sum(a != b for a, b in zip(reference, found, strict=True))
            print(
                f"| {policy.weights.name} | {precision} | {sum(found) / len(found):.1%} | {100 * gap.value:+.1f} "
                f"({100 * gap.low:+.1f} to {100 * gap.high:+.1f}) | {differ} | {seconds:.0f} |",
                flush=True,
            )
    engine.close()


if __name__ == "__main__":
    main()
