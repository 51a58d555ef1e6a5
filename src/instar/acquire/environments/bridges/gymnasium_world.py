"""A Gymnasium environment as episodes in words. Runs in the interpreter that has gymnasium, served by ``serve.py``."""

from __future__ import annotations

import hashlib
import importlib
import json
import re
import runpy
from collections.abc import Iterator, Sequence
from typing import Any

import gymnasium


class World:
    """Tasks are seeds; ``actions`` are the names of the environment's actions, in their order."""

    def __init__(
        self,
        id: str,
        settings: dict[str, Any],
        actions: list[str],
        shows: str,
        distinct: str,
        lowest: float,
        highest: float,
        imports: list[str],
    ) -> None:
        for name in imports:
            if name.endswith(".py"):
                runpy.run_path(name)
            else:
                importlib.import_module(name)
        self.render = shows == "render"
        shown: dict[str, Any] = {"render_mode": "ansi"} if self.render else {}
        self.env: Any = gymnasium.make(id, **settings, **shown)
        if not isinstance(self.env.action_space, gymnasium.spaces.Discrete):
            raise ValueError(f"{id} takes actions of {self.env.action_space}; only Discrete ones can be named")
        count, self.first = int(self.env.action_space.n), int(self.env.action_space.start)
        self.actions = [a.casefold() for a in actions] or [str(self.first + n) for n in range(count)]
        if len(self.actions) != count:
            raise ValueError(f"{id} has {count} actions, and {len(self.actions)} are named")
        named = "|".join(re.escape(a) for a in sorted(self.actions, key=len, reverse=True))
        self.named = re.compile(rf"(?<!\w)(?:{named})(?!\w)")
        self.distinct, self.low, self.high = distinct, lowest, highest

    def count(self) -> None:
        """Nobody has counted the seeds."""

    def tasks(self, wanted: dict[str, Any]) -> list[dict[str, Any]]:
        """``wanted``: the seeds. Two of one key are the same task."""
        found = []
        for seed in wanted["seeds"]:
            observation, _ = self.env.reset(seed=seed)
            start = hashlib.sha256(self._said(observation).encode()).hexdigest()[:16]
            key = start if self.distinct == "start" else f"{seed}"
            found.append({"seed": seed, "key": key, "choices": self.actions})
        return found

    def play(self, task: dict[str, Any], actions: Sequence[str]) -> Iterator[tuple[str, bool, float | None]]:
        """What is seen first, then what comes of each action: the text, whether it is over, and the score so far."""
        observation, _ = self.env.reset(seed=int(task["seed"]))
        yield self._said(observation), False, None
        total = 0.0
        for action in actions:
            found = self.named.findall(action.casefold())
            if not found:
                yield f"That is no action. Choose one of: {', '.join(self.actions)}.", False, self._score(total)
                continue
            move = self.first + self.actions.index(found[-1])
            observation, reward, over, cut, _ = self.env.step(move)
            total += float(reward)
            yield self._said(observation), over or cut, self._score(total)
            if over or cut:
                return

    def _score(self, total: float) -> float:
        return min(1.0, max(0.0, (total - self.low) / (self.high - self.low)))

    def _said(self, observation: Any) -> str:
        if self.render:
            return re.sub("\x1b\\[([0-9;]*)m", lambda m: "" if m[1] in ("", "0") else "*", self.env.render()).strip()
        if isinstance(observation, dict):
            observation = {k: _plain(v) for k, v in observation.items()}
            return json.dumps(observation, default=str)
        return str(_plain(observation))


def _plain(value: Any) -> Any:
    """Numbers of numpy as those of Python: what is said must not depend on numpy's version."""
    if isinstance(value, (tuple, list)):
        return tuple(_plain(v) for v in value)
    if hasattr(value, "tolist"):
        return _plain(value.tolist()) if getattr(value, "ndim", 0) else value.item()
    return round(value, 4) if isinstance(value, float) else value
