"""A Gymnasium environment as episodes in words. Runs in the interpreter that has gymnasium, served by ``serve.py``."""

from __future__ import annotations

import hashlib
import importlib
import json
import random
import re
import runpy
from collections.abc import Iterator, Sequence
from typing import Any

import gymnasium

LONGEST = 8_000
"""Characters of what is seen first."""
_COLOURED = re.compile("\x1b\\[([\\d;]*)m([^\x1b]*)\x1b\\[0?m")
_COLOURS = ("black", "red", "green", "yellow", "blue", "magenta", "cyan", "white")


class World:
    """Tasks are seeds; ``actions`` are the names of the environment's actions, in their order."""

    def __init__(
        self,
        id: str,
        make: dict[str, Any],
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
        self.id, self.make = id, make
        self.render = shows == "render"
        self.env = self._made()
        if self.render:
            modes = self.env.metadata.get("render_modes", [])
            if "ansi" not in modes:
                raise ValueError(f'{id} renders no text ({", ".join(modes) or "nothing"}): say shows = "observation"')
            self.make = {**make, "render_mode": "ansi"}
        if not isinstance(self.env.action_space, gymnasium.spaces.Discrete):
            raise ValueError(f"{id} takes actions of {self.env.action_space}; only Discrete ones can be named")
        count, self.first = int(self.env.action_space.n), int(self.env.action_space.start)
        self.actions = [a.casefold() for a in actions] or [str(self.first + n) for n in range(count)]
        if len(self.actions) != count:
            raise ValueError(f"{id} has {count} actions, and {len(self.actions)} are named")
        named = "|".join(re.escape(a) for a in sorted(self.actions, key=len, reverse=True))
        self.named = re.compile(rf"(?<!\w)(?:{named})(?!\w)")
        self.distinct, self.scale = distinct, (lowest, highest)

    def count(self) -> None:
        """Nobody has counted the seeds."""

    def tasks(self, wanted: dict[str, Any]) -> list[dict[str, Any]]:
        """``wanted``: the seeds. Two of one key are the same task."""
        seeds = wanted["seeds"]
        if self._start(seeds[0]) != self._start(seeds[0]):
            raise ValueError(f"{self.id} begins otherwise from the same seed: its reset must draw from np_random")
        if self.distinct == "seed" and not self._luck():
            raise ValueError(f"{self.id} goes the same way from every seed: all tasks would be one")
        found = []
        for seed in seeds:
            says = self._start(seed)
            key = hashlib.sha256(says.encode()).hexdigest()[:16] if self.distinct == "start" else f"{seed}"
            found.append({"seed": seed, "key": key, "choices": self.actions, "says": says[:LONGEST]})
        return found

    def play(self, task: dict[str, Any], actions: Sequence[str]) -> Iterator[tuple[str, bool, float | None]]:
        """What comes of each action: the text, whether it is over, and the reward so far. What is seen first stands in
        the task."""
        self._start(int(task["seed"]))
        yield "", False, None
        total = 0.0
        for action in actions:
            found = self.named.findall(action.casefold())
            if not found:
                yield f"That is no action. Choose one of: {', '.join(self.actions)}.", False, None
                continue
            move = self.first + self.actions.index(found[-1])
            observation, reward, over, cut, _ = self.env.step(move)
            total += float(reward)
            yield self._said(observation), over or cut, total
            if over or cut:
                return

    def _luck(self) -> bool:
        """Whether an episode hangs on its seed: some course, of a few drawn by lot, goes otherwise from some seed."""
        for draw in range(4):
            luck = random.Random(draw)
            tried = [luck.choice(self.actions) for _ in range(24)]
            first, *others = range(32)
            course = self._start(first), *self.play({"seed": first}, tried)
            if any((self._start(s), *self.play({"seed": s}, tried)) != course for s in others):
                return True
        return False

    def _made(self) -> Any:
        return gymnasium.make(self.id, **self.make)

    def _start(self, seed: int) -> str:
        """What is seen first, of an environment made anew: one may keep what its ``reset`` should not."""
        self.env.close()
        self.env = self._made()
        observation, _ = self.env.reset(seed=seed)
        return self._said(observation)

    def _said(self, observation: Any) -> str:
        if self.render:
            text, last = self.env.render().strip(), ""
            while text != last:  # colours stand in colours
                text, last = _COLOURED.sub(_named_colour, text), text
            return str(text)
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


def _named_colour(found: re.Match[str]) -> str:
    """A coloured piece of a text with its colour in words: in Taxi that alone says who waits and where to go."""
    codes = [int(c) for c in found[1].split(";") if c]
    names = [_COLOURS[c % 10] for c in codes if c // 10 in (3, 4) and c % 10 < 8]
    return f"{names[0]}({found[2]})" if names else found[2]
