"""Our side of the generation rows: ``Engine.ask`` of our fastest engine, all asks at once, as a run does it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.serve import Do, serve, settings
from instar.errors import StoreError


class OneFolder:
    """An artefact store that holds one model folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def put(self, folder: Path, *, about: Mapping[str, Any] | None = None) -> str:
        raise StoreError("a bench only reads weights: nothing is put into this store.")

    def open(self, digest: str) -> Path:
        return self.folder

    def has(self, digest: str) -> bool:
        return True


def load() -> Do:
    """The engine; the warm-up loads the weights."""
    from bench.engine import ours
    from instar.records import Message, Policy, Role, Sampling, Weights

    given = settings()
    engine = ours(OneFolder(Path(given["folder"])), given.get("engine"))
    policy = Policy(weights=Weights(place="artefact", digest="bench", name="bench")).identified()
    precision = str(given["precision"])

    async def asks(work: Mapping[str, Any]) -> tuple[int, int, float]:
        sampling = Sampling(
            temperature=work["temperature"], top_k=work["top_k"], top_p=work["top_p"], max_tokens=work["tokens"]
        )
        prompts = [[Message(role=Role(r), content=c) for r, c in turns] for turns in work["messages"]]
        began = time.perf_counter()
        groups = await asyncio.gather(
            *(
                engine.ask(policy, p, n=work["samples"], sampling=sampling, seed=work["seed"] + i, precision=precision)
                for i, p in enumerate(prompts)
            )
        )
        seconds = time.perf_counter() - began
        replies = [r for group in groups for r in group]
        return sum(r.tokens for r in replies), len({r.token_ids for r in replies}), seconds

    def do(work: Mapping[str, Any]) -> Mapping[str, Any]:
        tokens, different, seconds = asyncio.run(asks(work))
        return {"value": tokens / seconds, "seconds": seconds, "detail": {"tokens": tokens, "different": different}}

    return do


if __name__ == "__main__":
    serve(load)
