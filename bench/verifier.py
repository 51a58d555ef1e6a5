"""instar's verifier as a process: a peer's answers are scored exactly as ours. One JSON line in, one out.

In: ``{"texts": [...], "private": [...]}``; out: a list of scores, 0 where the checker failed (a peer has no
"unscored").
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from typing import Any


async def scores(given: dict[str, Any]) -> list[float]:
    """The score of each text, against its own task's private data."""
    from instar.acquire.feedback.verify import Verify
    from instar.records import Finish, Message, Role, Sampling, Solution, Task, Turn

    async def one(i: int, text: str, private: dict[str, Any]) -> float:
        task = Task(
            id=f"t{i}", messages=(Message(role=Role.user, content="?"),), ability="", canonical="", source="",
            private=private,
        )  # fmt: skip
        solution = Solution(
            id=f"s{i}", task=task.id, turns=(Turn(text=text),), policy="", engine="", precision="",
            sampling=Sampling(), finish=Finish.stop,
        )  # fmt: skip
        (said,) = await Verify()(task, [solution], {})
        return said.score or 0.0

    pairs = zip(given["texts"], given["private"], strict=True)
    return list(await asyncio.gather(*(one(i, text, private) for i, (text, private) in enumerate(pairs))))


def main() -> None:
    from instar.acquire.feedback import pool

    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    pool.shared().warm()
    answers.write("ready\n")
    for line in sys.stdin:
        answers.write(json.dumps(asyncio.run(scores(json.loads(line)))) + "\n")
    pool.shared().close()


if __name__ == "__main__":
    main()
