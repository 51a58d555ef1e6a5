"""An environment of another library, served over MCP from the interpreter that has the library.

    python -s serve.py WORLD.py SETTINGS

``WORLD.py`` lies beside this file and has ``World``, made of SETTINGS (JSON). Written by hand, of the standard library
alone: it runs in interpreters of others, whose ``mcp`` is of any version or missing (verifiers 0.1.14 to 0.3.1 want
``mcp<2``, instar ``mcp>=2.3``), and a library of servers takes seconds to import.
"""

from __future__ import annotations

import importlib.util
import json
import math
import os
import random
import sys
import zlib
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TextIO

PAGE = 15_000
"""Characters of one answer; the rest is asked for again."""
LONGEST = 1_001
"""Characters of an observation: one more than instar shows, which cuts it itself."""
FLOOD = 100_000
REMEMBERED = 64
TOOLS = {
    "count": "How many tasks there are; nothing where nobody counted them.",
    "tasks": "Tasks from a place on.",
    "play": "An episode of a task, played from its beginning, and what came of each action.",
}


def page(items: Sequence[Any], whence: int) -> dict[str, Any]:
    """As many of ``items`` from ``whence`` on as one answer holds, and where the next one begins, or nothing."""
    kept: list[Any] = []
    size = 0
    for item in items[whence:]:
        size += len(json.dumps(item, ensure_ascii=False)) + 2
        if kept and size > PAGE:
            return {"items": kept, "next": whence + len(kept)}
        kept.append(item)
    return {"items": kept, "next": None}


class Served:
    """A world as three tools. What is asked from the beginning is done anew; further pages are of what was done."""

    def __init__(self, world: Any) -> None:
        self.world = world
        self.done: OrderedDict[str, Any] = OrderedDict()

    def count(self) -> dict[str, Any]:
        return {"count": self.world.count()}

    def tasks(self, wanted: dict[str, Any], whence: int) -> dict[str, Any]:
        """The tasks that are wanted, as the world knows them."""
        seeded("tasks")
        return page(self._done("tasks", whence, self.world.tasks, wanted), whence)

    def play(self, task: dict[str, Any], actions: list[str], whence: int) -> dict[str, Any]:
        """The moves of an episode, and why it could not go on, if it could not."""
        moves, why = self._done("play", whence, self._moves, task, actions)
        return {**page(moves, whence), "why": why}

    def _done(self, what: str, whence: int, work: Callable[..., Any], *given: Any) -> Any:
        key = json.dumps([what, *given], sort_keys=True)
        if not whence or key not in self.done:
            self.done[key] = work(*given)
            while len(self.done) > REMEMBERED:
                self.done.popitem(last=False)
        return self.done[key]

    def _moves(self, task: dict[str, Any], actions: list[str]) -> tuple[list[Any], str]:
        moves: list[Any] = []
        seeded(json.dumps({k: v for k, v in task.items() if k != "asked"}, sort_keys=True))
        try:
            for text, done, reward in self.world.play(task, actions):
                if len(text) > FLOOD:
                    return moves, f"the environment's observation has {len(text):,} characters"
                moves.append([text[:LONGEST], bool(done), on_scale(reward, self.world.scale, bool(done))])
        except Exception as e:
            return moves, f"the environment raised {type(e).__name__}: {e}"[:300]
        return moves, ""


def on_scale(reward: float | None, scale: tuple[float, float] | None, done: bool) -> float | None:
    """A reward as a score from 0 to 1. On the way it is cut to the scale, for more may come. Raises ValueError where an
    episode's reward lies on no scale."""
    if reward is None or scale is None:
        return reward
    low, high = scale
    for edge in scale:  # ten rewards of 0.1 are 0.9999999999999999
        reward = edge if math.isclose(reward, edge, rel_tol=1e-9, abs_tol=1e-9) else reward
    if not math.isfinite(reward) or (done and not low <= reward <= high):
        raise ValueError(f"the reward {reward:g} lies outside {low:g} to {high:g}: set lowest and highest")
    return (min(max(reward, low), high) - low) / (high - low)


def seeded(by: str) -> None:
    """What a library draws at random, without a seed of its own, is the same each time."""
    random.seed(by)
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed(zlib.crc32(by.encode()))


def _storable(said: Any) -> str:
    return _whole(json.dumps(said, ensure_ascii=False))


def _whole(text: str) -> str:
    """A text without halves of letters, which nobody could read back."""
    return text.encode("utf-8", "replace").decode()


def answers(served: Served, method: str, params: dict[str, Any]) -> dict[str, Any]:
    """What a request is answered with. Raises KeyError for one that nobody knows."""
    if method == "initialize":
        about = {"name": "instar-environment", "version": "1"}
        return {"protocolVersion": params["protocolVersion"], "capabilities": {"tools": {}}, "serverInfo": about}
    if method == "ping":
        return {}
    if method == "tools/list":
        return {"tools": [{"name": n, "description": a, "inputSchema": {"type": "object"}} for n, a in TOOLS.items()]}
    if method != "tools/call" or params.get("name") not in TOOLS:
        raise KeyError(method)
    try:
        said = getattr(served, params["name"])(**params.get("arguments", {}))
    except Exception as e:
        return {"content": [{"type": "text", "text": _whole(f"{type(e).__name__}: {e}"[:500])}], "isError": True}
    return {"content": [{"type": "text", "text": _storable(said)}]}


def serve(served: Served, lines: Iterable[str], say: TextIO) -> None:
    """Answer each line that is a request, until there are no more."""
    for line in lines:
        asked = json.loads(line)
        if "id" not in asked or "method" not in asked:
            continue
        answer: dict[str, Any] = {"jsonrpc": "2.0", "id": asked["id"]}
        try:
            answer["result"] = answers(served, asked["method"], asked.get("params") or {})
        except KeyError:
            answer["error"] = {"code": -32601, "message": "no such method"}
        say.write(json.dumps(answer) + "\n")
        say.flush()


def main() -> None:
    """Load the world and serve it. What it prints goes to stderr, and not between the lines of the protocol."""
    if (
        sys.flags.hash_randomization and os.environ.get("PYTHONHASHSEED") != "0"
    ):  # or the order of sets, and so what is said, would be another one each time
        os.environ["PYTHONHASHSEED"] = "0"
        os.execv(sys.executable, [sys.executable, "-s", *sys.argv])
    say, heard = os.fdopen(os.dup(1), "w", encoding="utf-8"), os.fdopen(os.dup(0), encoding="utf-8")
    os.dup2(2, 1)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)  # one that asks the keyboard is told that there is none
    seeded("begin")
    spec = importlib.util.spec_from_file_location("world", sys.argv[1])
    assert spec is not None
    assert spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(found)
        seeded("begin")  # numpy is there only now
        world = found.World(**json.loads(sys.argv[2]))
        world.seeded = seeded
    except Exception as e:
        sys.exit(f"{type(e).__name__}: {e}".replace("\n", " ")[-250:])
    serve(Served(world), heard, say)


if __name__ == "__main__":
    main()
