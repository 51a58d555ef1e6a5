"""Many asks at once whose prompts begin alike, on the openvino engine: each waits until that beginning is read whole,
against waiting one step (as it was).

    python -m bench.shared_beginning [--shared 1500] [--asks 64] [--own 60] [--tokens 15] [--rounds 2]

Made-up tokens on the real model, both ways in one process, in turn, each time with a beginning that is new: seconds
until the last reply.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from bench.tools import processor
from instar.app.storage.paths import artefacts, home
from instar.app.weights.models import obtain
from instar.engines.openvino.admission import Admission
from instar.engines.openvino.pipeline import Pipeline
from instar.engines.scheduler.clock import Clock
from instar.engines.scheduler.request import Request
from instar.records import Sampling

WHOLE = Admission.stepped


def one_step(self: Admission, room: int) -> None:
    """As it was: all that a step began to read was believed to be read."""
    WHOLE(self, 10**9)


WAYS = {"one step": one_step, "until it is read": WHOLE}


async def seconds(pipeline: Pipeline, draw: random.Random, o: argparse.Namespace) -> float:
    """How long all asks took, with a beginning that was never read before."""
    loop = asyncio.get_running_loop()

    def some(n: int) -> list[int]:
        return [draw.randrange(1000, 20_000) for _ in range(n)]

    shared, how = some(o.shared), Sampling(temperature=0.7, max_tokens=o.tokens)
    asks = [Request([*shared, *some(o.own)], 1, how, i, loop, loop.create_future()) for i in range(o.asks)]
    began = time.monotonic()
    for ask in asks:
        pipeline.submit(ask)
    for ask in asks:
        await ask.answer
    return time.monotonic() - began


def main(argv: Sequence[str] | None = None) -> None:
    """Measure both ways in turn and print a table."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.shared_beginning", description=(__doc__ or "").split("\n\n")[0]
    )
    parser.add_argument("--shared", type=int, default=1500, help="tokens that all prompts begin with")
    parser.add_argument("--asks", type=int, default=64)
    parser.add_argument("--own", type=int, default=60, help="tokens of each prompt after them")
    parser.add_argument("--tokens", type=int, default=15, help="of each reply, at most")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--precision", default="f32")
    o = parser.parse_args(argv)
    policy = obtain("smollm2-135m", home=home(), artefacts=artefacts(), system=None, say=lambda _: None)
    folder, draw = artefacts().open(policy.weights.digest), random.Random(0)
    took: dict[str, list[float]] = {way: [] for way in WAYS}
    with tempfile.TemporaryDirectory() as scratch:
        pipeline = Pipeline(lambda: folder, o.precision, scratch=Path(scratch), cache_gb=4, clock=Clock())
        pipeline.ready.result()
        for _ in range(o.rounds):
            for way, stepped in WAYS.items():
                Admission.stepped = stepped  # type: ignore[method-assign]  # to have it as it was
                took[way].append(asyncio.run(seconds(pipeline, draw, o)))
        pipeline.stop()
    print(f"{processor()}; {o.asks} asks, {o.shared} tokens shared, {o.precision}\n\n| waits | seconds |\n|---|---|")
    for way, found in took.items():
        print(f"| {way} | {median(found):.1f} ({', '.join(f'{s:.1f}' for s in found)}) |")


if __name__ == "__main__":
    main()
