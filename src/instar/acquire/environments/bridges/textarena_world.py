"""A single-player game of TextArena as episodes. Runs in the interpreter that has textarena, served by ``serve.py``."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

import textarena

LONGEST = 8_000
"""Characters of what a game says first."""

_ADDRESS = re.compile(r" at 0x[0-9a-f]+")


class World:
    """Tasks are seeds; ``id`` is the game's, with the wrappers that it has there."""

    def __init__(self, id: str, make: dict[str, Any], lowest: float, highest: float) -> None:
        self.id, self.make, self.scale = id, make, (lowest, highest)
        self._begin(0)

    def count(self) -> None:
        """Nobody has counted the seeds."""

    def tasks(self, wanted: dict[str, Any]) -> list[dict[str, Any]]:
        """``wanted``: the seeds. Two of one key have the same game, what is hidden of it included."""
        found = []
        for seed in wanted["seeds"]:
            seen = self._begin(seed)
            hidden = _ADDRESS.sub("", json.dumps(self.env.state.game_state, sort_keys=True, default=_plain))
            key = hashlib.sha256(f"{seen}\n{hidden}".encode()).hexdigest()[:16]
            found.append({"seed": seed, "key": key, "says": seen.strip()[:LONGEST]})
        return found

    def play(self, task: dict[str, Any], actions: Sequence[str]) -> Iterator[tuple[str, bool, float | None]]:
        """What is seen first, then what comes of each action: the text, whether it is over, and the reward."""
        before = self._begin(int(task["seed"]))
        yield "", False, None  # it stands in the task, with the rules
        for action in actions:
            over, _ = self.env.step(action=action)
            if over:
                rewards, about = self.env.close()
                reward = max(self.scale[0], float((rewards or {}).get(0, 0.0)))  # a move that is not allowed costs 1
                yield str(about.get(0, {}).get("reason", "")), True, reward
                return
            _, seen = self.env.get_observation()
            new = seen.removeprefix(before)
            before = seen
            yield new.removeprefix(f"\n[Player] {action}").strip(), False, None

    def _begin(self, seed: int) -> str:
        self.env: Any = textarena.make(self.id, **self.make)  # its wrappers go on showing the game before
        self.env.reset(num_players=1, seed=seed)
        _, seen = self.env.get_observation()
        return str(seen)


def _plain(value: Any) -> Any:
    """What JSON has no form for: by what it holds, and not by where it lies in memory."""
    if isinstance(value, (set, frozenset)):
        return sorted(map(str, value))
    return vars(value) if hasattr(value, "__dict__") else str(value)
