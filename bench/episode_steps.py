"""Where an episode of AutoAct's group breaks: each of its steps asked on its own, after words that are right so far.

    python -m bench.episode_steps [--questions 24] [--set train]

The small model with the examples that ``autoact`` brings, two-hop questions of a village, greedily on openvino in
float32: how many of each plan and call come out as the examples have them, and the product, which is what a whole
episode may hope for. ``--set sealed`` asks over relations that are held out of train.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path

from bench.tools import processor
from instar.acquire.environments.village import Village, _walk
from instar.acquire.solutions.group import _CALLED, _PLANNED, IS_IT_RIGHT
from instar.app.configs.villagers import _episode, villagers
from instar.app.storage.paths import artefacts, home
from instar.app.weights.models import obtain
from instar.engines.openvino.pipeline import Pipeline
from instar.engines.scheduler.clock import Clock
from instar.engines.scheduler.request import Request
from instar.records import Message, Sampling


def asked(name: str, questions: int) -> list[tuple[int, list[Message], str]]:
    """(place in its episode, what is said before, what is right) of every plan and call."""
    shown = [Message(**m) for shot in villagers(signatures=True) for m in shot["messages"]]
    source = Village(hops=2)
    out = []
    for task in source({name: questions}, {name: 5})[name]:
        _, place, start, path = task.canonical.split(":", 3)
        one, two = path.split(":")
        first, second, third = _walk(place, source.people, start, (one, two))
        said = [Message(**m) for m in _episode((one, two), (first, second, third), True, doubted=False)["messages"]]
        out += [
            (at, [*shown, *said[:at]], said[at].content)
            for at in range(1, len(said), 2)
            if said[at - 1].content != IS_IT_RIGHT
        ]
    return out


async def replies(pipeline: Pipeline, prompts: Sequence[Sequence[Message]]) -> list[str]:
    """The greedy reply to each."""
    loop, tokenizer, how = asyncio.get_running_loop(), pipeline.ready.result(), Sampling(temperature=0.0, max_tokens=40)
    requests = [Request(tokenizer.prompt_ids(p), 1, how, 0, loop, loop.create_future()) for p in prompts]
    for request in requests:
        pipeline.submit(request)
    return [tokenizer.text((await r.answer)[0][0]) for r in requests]


def taken(reply: str, form: re.Pattern[str], whole: bool) -> str:
    """What a group would take of a reply: a plan up to its tool, of a call the call."""
    found = form.search(reply)
    return reply.strip() if found is None else reply[: found.end()].strip() if whole else found[0]


def main() -> None:
    """Ask and print a table."""
    parser = argparse.ArgumentParser(prog="python -m bench.episode_steps", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--questions", type=int, default=24)
    parser.add_argument("--set", default="train", choices=("train", "sealed"))
    o = parser.parse_args()
    steps = asked(o.set, o.questions)
    policy = obtain("smollm2-135m", home=home(), artefacts=artefacts(), system=None, say=lambda _: None)
    folder = artefacts().open(policy.weights.digest)
    with tempfile.TemporaryDirectory() as scratch:
        pipeline = Pipeline(lambda: folder, "f32", scratch=Path(scratch), cache_gb=4, clock=Clock())
        pipeline.ready.result()
        said = asyncio.run(replies(pipeline, [before for _, before, _ in steps]))
        pipeline.stop()
    right: dict[int, list[bool]] = {}
    for (at, _, gold), reply in zip(steps, said, strict=True):
        plan = " Tool: " in gold
        right.setdefault(at, []).append(taken(reply, _PLANNED if plan else _CALLED, plan) == gold)
    print(f"{processor()}; {o.questions} questions of {o.set}\n\n| step | right |\n|---|---|")
    for name, at in zip(("p1", "c1", "p2", "c2", "p3", "c3"), sorted(right), strict=True):
        print(f"| {name} | {sum(right[at])} |")
    print(f"\nproduct {math.prod(sum(r) / len(r) for r in right.values()):.2f}")


if __name__ == "__main__":
    main()
