"""The transformers engine on tiny models: how its tests open and ask it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from instar.engines.hf.engine import TransformersEngine
from instar.records import Finish, Policy, Reply, Sampling
from tests.engines.tiny import FolderStore, policy_of, user


def make(root: Path, **settings: Any) -> TransformersEngine:
    return TransformersEngine(FolderStore(root), **{"device": "cpu", "cache_gb": 0.5, **settings})


async def asking(engine: TransformersEngine, policy: Policy, text: str = "what is 1 ?", **more: Any) -> list[Reply]:
    sampling = Sampling(
        temperature=more.pop("temperature", 1.0), max_tokens=more.pop("max_tokens", 12), top_k=more.pop("top_k", None)
    )
    settings = {"n": 1, "seed": 1, "precision": "f32", **more}
    return await engine.ask(policy, user(text), sampling=sampling, **settings)


def ask(engine: TransformersEngine, policy: Policy, text: str = "what is 1 ?", **more: Any) -> list[Reply]:
    return asyncio.run(asking(engine, policy, text, **more))


def questions(n: int) -> list[str]:
    """Of different lengths, so that a batch needs padding."""
    return [f"what is {' '.join(str((k + j) % 15) for j in range(1 + k % 7))} ?" for k in range(n)]


def reply_of(digest: str, ids: Sequence[int]) -> Reply:
    """What somebody said, to be scored."""
    return Reply(
        text="", finish=Finish.length, policy=policy_of(digest).id, engine="another", precision="f32",
        token_ids=tuple(ids),
    )  # fmt: skip


async def working(find: Callable[[], Any], seconds: float = 60) -> Any:
    """The resident that ``find`` gives, once it is there and something is under way in it."""
    limit = time.monotonic() + seconds
    while not ((found := find()) is not None and found._active):
        assert time.monotonic() < limit, f"no resident began to work in {seconds} s"
        await asyncio.sleep(0.001)
    return found
