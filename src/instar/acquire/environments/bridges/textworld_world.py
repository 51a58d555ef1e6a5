"""Games that TextWorld makes, as episodes in words. Runs in the interpreter that has textworld (``serve.py``)."""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from typing import Any

import textworld
from textworld.generator import compile_game, make_game

KEPT = 400
"""Games that stay open: each has two files of 400 kB, which are read anew for each episode, and 2 MB of memory."""
_PROMPT = re.compile(r"\n>.*\Z", re.DOTALL)
_BLANK = re.compile(r"\s*\n\s*\n\s*")


class World:
    """Tasks are seeds. A game has ``rooms``, ``objects`` and a quest of ``quest`` commands."""

    def __init__(self, rooms: int, objects: int, quest: int, tells: bool) -> None:
        self.rooms, self.objects, self.quest, self.tells = rooms, objects, quest, tells
        self.folder = tempfile.mkdtemp()
        self.open: OrderedDict[int, Any] = OrderedDict()

    def count(self) -> None:
        """Nobody has counted the seeds."""

    def tasks(self, wanted: dict[str, Any]) -> list[dict[str, Any]]:
        """``wanted``: the seeds. Two of one key are the same game; what can be said first is known without playing."""
        found = []
        for seed in wanted["seeds"]:
            game = make_game(self._options(seed))
            path = os.path.join(self.folder, "said.json")
            game.save(path)
            begun = textworld.start(path, request_infos=textworld.EnvInfos(admissible_commands=True))
            choices = begun.reset().admissible_commands
            begun.close()
            quests = [list(q.commands) for q in game.quests]
            key = hashlib.sha256(repr((sorted(map(str, game.world.facts)), quests)).encode()).hexdigest()[:16]
            found.append({"seed": seed, "key": key, "choices": choices})
        return found

    def play(self, task: dict[str, Any], actions: Sequence[str]) -> Iterator[tuple[str, bool, float | None]]:
        """What is seen first, then what comes of each action: the text, whether it is over, and the score so far."""
        env = self._env(int(task["seed"]))
        state = env.reset()
        yield self._said(f"{state.objective}\n\n{state.description}", state), False, None
        for action in actions:
            lines = action.strip().splitlines()
            said = re.sub(r"[^\w' -]", "", lines[0] if lines else "").strip().casefold()
            state, _, over = env.step(said or "wait")
            over = bool(over)
            yield self._said(state.feedback, state, over), over, float(state.score) / float(state.max_score or 1)
            if over:
                return

    def _options(self, seed: int) -> Any:
        options = textworld.GameOptions()
        options.seeds = seed
        options.nb_rooms, options.nb_objects = self.rooms, self.objects
        options.chaining.min_length = options.chaining.max_length = self.quest
        options.path = os.path.join(self.folder, f"{seed}.z8")
        return options

    def _env(self, seed: int) -> Any:
        if seed not in self.open:
            options = self._options(seed)
            path = compile_game(make_game(options), options)
            about = ("admissible_commands", "description", "objective", "score", "max_score")
            self.open[seed] = textworld.start(path, request_infos=textworld.EnvInfos(**dict.fromkeys(about, True)))
            os.remove(path.replace(".z8", ".ni"))
            while len(self.open) > KEPT:
                old, env = self.open.popitem(last=False)
                env.close()
                for ending in ("z8", "json"):
                    os.remove(os.path.join(self.folder, f"{old}.{ending}"))
        self.open.move_to_end(seed)
        return self.open[seed]

    def _said(self, text: str, state: Any, over: bool = False) -> str:
        text = _PROMPT.sub("", text).split("Would you like to RESTART")[0]
        text = "\n".join(" ".join(line.split()) for line in _BLANK.sub("\n", text).strip().splitlines())
        if over or not self.tells:
            return text
        return f"{text}\nYou can: {', '.join(state.admissible_commands)}."
