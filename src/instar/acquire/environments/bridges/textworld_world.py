"""Games that TextWorld makes, as episodes in words. Runs in the interpreter that has textworld (``serve.py``)."""

from __future__ import annotations

import atexit
import hashlib
import os
import re
import shutil
import tempfile
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from typing import Any

import textworld
from textworld.generator import compile_game, make_game

KEPT = 400
"""Games that stay open: each has two files of 400 kB, which are read anew for each episode, and 2 MB of memory."""
LONGEST = 8_000
"""Characters of what is seen first."""
OUTSIDE = {"save", "restore", "restart", "quit", "q", "undo", "script", "unscript", "transcript", "record", "replay"}
"""Commands of the interpreter and not of the game: a game saved in one episode could be gone on with in another."""
_PROMPT = re.compile(r"\n>.*\Z", re.DOTALL)
_BLANK = re.compile(r"\s*\n\s*\n\s*")


class World:
    """Tasks are seeds. A game has ``rooms``, ``objects`` and a quest of ``quest`` commands."""

    def __init__(self, rooms: int, objects: int, quest: int, tells: bool) -> None:
        self.rooms, self.objects, self.quest, self.tells = rooms, objects, quest, tells
        self.scale, self.why = None, ""
        self.folder = tempfile.mkdtemp()
        atexit.register(shutil.rmtree, self.folder, ignore_errors=True)
        self.open: OrderedDict[int, Any] = OrderedDict()

    def count(self) -> None:
        """Nobody has counted the seeds."""

    def tasks(self, wanted: dict[str, Any]) -> list[dict[str, Any]]:
        """``wanted``: the seeds. Two of one key are the same game; what can be said first is known without playing."""
        found = []
        for seed in wanted["seeds"]:
            try:
                game = make_game(self._options(seed))
            except Exception as e:  # of some seeds it makes none of this size
                self.why = f"{type(e).__name__}: {e}"
                continue
            path = os.path.join(self.folder, "said.json")
            game.save(path)
            begun = textworld.start(path, request_infos=textworld.EnvInfos(admissible_commands=True))
            choices = begun.reset().admissible_commands
            begun.close()
            _, says = self._begun(seed)
            quests = [list(q.commands) for q in game.quests]
            key = hashlib.sha256(repr((sorted(map(str, game.world.facts)), quests)).encode()).hexdigest()[:16]
            found.append({"seed": seed, "key": key, "choices": choices, "says": says[:LONGEST]})
        if not found:
            raise ValueError(f"no game could be made: {self.why}")
        return found

    def play(self, task: dict[str, Any], actions: Sequence[str]) -> Iterator[tuple[str, bool, float | None]]:
        """What comes of each action: the text, whether it is over, and the score so far. What is seen first stands in
        the task."""
        env, _ = self._begun(int(task["seed"]))
        yield "", False, None
        for action in actions:
            lines = action.strip().splitlines()
            said = " ".join(re.sub(r"[^\w' -]", "", lines[0] if lines else "").casefold().split())
            if said.partition(" ")[0] in OUTSIDE:
                yield "That is no command here.", False, None
                continue
            state, _, over = env.step(said or "wait")
            over = bool(over)
            yield self._said(state.feedback, state, over), over, float(state.score) / float(state.max_score or 1)
            if over:
                return

    def _begun(self, seed: int) -> tuple[Any, str]:
        env = self._env(seed)
        state = env.reset()
        return env, self._said(f"{state.objective}\n\n{state.description}", state)

    def _options(self, seed: int) -> Any:
        options = textworld.GameOptions()
        options.seeds = seed
        options.nb_rooms, options.nb_objects = self.rooms, self.objects
        options.quest_length = self.quest
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
