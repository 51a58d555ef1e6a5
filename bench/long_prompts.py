"""What it costs to train on prompts that begin alike (the shots of an agent): each row in a pass of its own, and as the
default has it.

    python -m bench.long_prompts [--shared 1480] [--own 120] [--rows 4] [--model smollm2-135m]

Made-up rows of the real model, each way in a process of its own, one after the other: seconds of one gradient (forward
and backward, low-rank adapters as ``roles_sft`` has them), tokens fed, and the most memory that the process took.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import subprocess
import sys
import time
from collections.abc import Sequence

from bench.tools import processor
from instar.app.storage.paths import artefacts, home
from instar.app.weights.models import obtain
from instar.update.weights.layout.rows import Row
from instar.update.weights.roles_sft import RolesSFT
from instar.update.weights.trainer.hardware import AT_ONCE
from instar.update.weights.trainer.loop import _gradients
from instar.update.weights.trainer.model import open_trainable

WAYS = {"a row a pass": AT_ONCE - 1, "default": AT_ONCE}
"""The bound of a pass: at the default, what rows share may be read once."""
ANSWER = 12


def made(shared: int, own: int, count: int) -> list[Row]:
    """Rows of tokens by lot, the same each time."""
    draw = random.Random(0)
    shots = [draw.randrange(100, 40_000) for _ in range(shared)]
    rows = [(*shots, *(draw.randrange(100, 40_000) for _ in range(own))) for _ in range(count)]
    return [Row(ids, len(ids) - ANSWER) for ids in rows]


def measure(o: argparse.Namespace, bound: int) -> None:
    """One way, in this process: a line of JSON."""
    policy = obtain(o.model, home=home(), artefacts=artefacts(), system=None, say=lambda _: None)
    trainable = open_trainable(artefacts().open(policy.weights.digest), RolesSFT().lora, 0)
    began = time.monotonic()
    loss, fed = _gradients(trainable, made(o.shared, o.own, o.rows), False, bound)
    seconds, most = time.monotonic() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps({"seconds": seconds, "fed": fed, "gigabytes": most / 1e6, "loss": loss}))


def main(argv: Sequence[str] | None = None) -> None:
    """Measure each way and print a table."""
    parser = argparse.ArgumentParser(prog="python -m bench.long_prompts", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--shared", type=int, default=1480, help="tokens that all rows begin with")
    parser.add_argument("--own", type=int, default=120, help="tokens of each row after them")
    parser.add_argument("--rows", type=int, default=4)
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--bound", type=int, help=argparse.SUPPRESS)
    o = parser.parse_args(argv)
    if o.bound is not None:
        return measure(o, o.bound)
    print(processor(), "", "| way | tokens fed | seconds | peak memory | loss |", "|" + "---|" * 5, sep="\n")
    given = ["--shared", str(o.shared), "--own", str(o.own), "--rows", str(o.rows), "--model", o.model]
    for way, bound in WAYS.items():
        command = [sys.executable, "-m", "bench.long_prompts", *given, "--bound", str(bound)]
        said = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[-1])
        print(
            f"| {way} | {said['fed']:,} | {said['seconds']:.1f} | {said['gigabytes']:.1f} GB | {said['loss']:.4f} |",
            flush=True,
        )
    return None


if __name__ == "__main__":
    main()
