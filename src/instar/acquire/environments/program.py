"""An environment of another library, played in a program of its own: in the interpreter that has the library."""

from __future__ import annotations

import asyncio
import inspect
import json
import os
import random
import re
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar, Self

from pydantic import Field, model_validator

from instar.acquire.environments.playing import Spoiled, checked
from instar.acquire.feedback.pool import TRIES
from instar.acquire.tasks.sets import check_wanted
from instar.acquire.tools.mcp import VARIABLE, like_a_key
from instar.acquire.tools.mcp_server import ServerFailed, server_at
from instar.acquire.tools.mcp_wire import LIMITS, Place
from instar.errors import ConfigError, DataError
from instar.protocols import Environment, Episode, Moved
from instar.records import Task, hash_of
from instar.sandbox import open_sandbox

_FOLDER = Path(__file__).parent / "bridges"
"""Programs, and no modules of instar: they run in an interpreter that does not have it, and import nothing of it."""
_FAILED = "error: "
_SEEN = (Path("/usr"), Path("/"))
_OF_KEYS = re.compile(
    r"(?:^|_|-)(?i:keys?|tokens?|secrets?|pwd|passw(?:or)?ds?|credentials?)$|(?i:apikeys?)$|^(?i:authorization)$"
    r"|[a-z](?:Key|Token|Secret|Password)s?$"
)
_A_WORD = re.compile(r"[A-Za-z_ ]{1,16}|[<\[][^\s]{1,16}[>\]]")
_OF_PASSWORDS = re.compile(r"(?i)passw|pwd")


class Program(Environment):
    """What environments of other libraries share. The library is that of ``python``, a path to an interpreter (that of
    a virtual environment, say); nothing: that of instar.

    The program runs in the sandbox: without network, with an empty environment, and of the host's files it sees the
    interpreter, the files that are named, and what ``reads`` names. With ``network`` it runs as any program of yours,
    without walls, and is given the variables that ``env`` names, and no others. It is kept running; an episode is
    played from its beginning each time all the same, one after the other.
    """

    python: str = ""
    reads: tuple[str, ...] = ()
    network: bool = False
    env: tuple[str, ...] = ()
    begins: float = Field(default=60.0, gt=0, le=3_600)
    """Seconds in which it must have begun, and in which it must say tasks: a data set may have to be fetched."""

    world: ClassVar[str] = ""
    """The file of ``bridges`` that speaks for the library."""
    library: ClassVar[str] = ""
    disk: ClassVar[int] = LIMITS.disk

    @model_validator(mode="after")
    def _sound(self) -> Self:
        if self.env and not self.network:
            raise ValueError("a program in the sandbox is given no variables: env needs network = true")
        if any(not VARIABLE.fullmatch(name) for name in self.env):
            raise ValueError("env are names of environment variables (capitals, digits, _), not what they hold")
        if found := _key_in(self.settings()):
            raise ValueError(
                f"what looks like a key stands in {found}, and would be stored with the run; name the environment "
                "variable that holds it: env = [...], with network = true"
            )
        return self

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """What the program's world is made of, as JSON has it."""

    def files(self) -> Sequence[str]:
        """Files of the settings that the program reads."""
        return ()

    def own_source(self) -> str:
        """This class, what speaks for the library, and the files that are named."""
        read = [_FOLDER / "serve.py", _FOLDER / self.world, *map(Path, self.files())]
        return inspect.getsource(type(self)) + "".join(
            f.read_text(encoding="utf-8", errors="replace") for f in read if f.is_file()
        )

    def place(self) -> Place:
        """Where the program is, and what it sees. Raises ConfigError where there is no such interpreter."""
        python = Path(self.python).expanduser() if self.python else None
        if python is not None and not python.is_file():
            raise ConfigError(
                f"there is no interpreter {self.python!r:.200} for {self.name}.",
                f"Name one that has {self.library}: python = 'VENV/bin/python' (or leave it out: instar's own).",
            )
        seen = [] if python is None else _of_interpreter(python)
        if python is not None and not (python.absolute().parent.parent / "pyvenv.cfg").is_file():
            python = python.resolve()  # the link to it is not seen from within
        files = [str(Path(f).resolve()) for f in self.files()]
        command = (str(python or "python"), "-s", str(_FOLDER / "serve.py"), str(_FOLDER / self.world))
        given = json.dumps(self.settings(), sort_keys=True)
        reads = (*seen, *files, *self.reads)
        return Place((*command, given), "", reads, self.network, self.env, disk=self.disk, begins=self.begins)

    def __str__(self) -> str:
        """In words, for the one who starts it."""
        place = self.place()
        return f"{self.what()} of {self.name}: {replace(place, command=place.command[:1])}"

    @abstractmethod
    def what(self) -> str:
        """Which environment it is."""

    def episode(self) -> Episode:
        return Course(self)

    def asked(self, what: str, given: Mapping[str, Any]) -> dict[str, Any]:
        """What the program says, before anything is played.

        Raises:
            ConfigError: it cannot be begun: no library, no such environment.
            DataError: it cannot say.
            SandboxError: it needs a sandbox, and this machine has none that it can be talked to in.
        """
        if find_spec("mcp") is None:
            raise ConfigError(f"the package mcp is needed to talk to {self.name}.", "pip install 'instar[mcp]'")
        server = server_at(self._refused()).rested()
        try:
            server.listed()
        except ServerFailed as e:
            raise ConfigError(
                f"the environment {self} could not be begun: {e}.",
                f"The interpreter must have {self.library} (python = 'VENV/bin/python' names another one); name what "
                "it reads with reads = [...], let it use the network with network = true, and give it longer with "
                "begins = 600.",
            ) from e
        return self._read(server.ask(what, given, seconds=self.begins))

    def pages(self, what: str, wanted: Mapping[str, Any]) -> list[Any]:
        """All of a list that the program says page by page. Raises as ``asked``."""
        found: list[Any] = []
        whence: int | None = 0
        while whence is not None:
            page = self.asked(what, {"wanted": dict(wanted), "whence": whence})
            found += page["items"]
            whence = page["next"]
        return found

    async def elsewhere(self, private: Mapping[str, Any], actions: Sequence[str], seconds: float) -> Sequence[Moved]:
        server = server_at(self.place())
        moves: list[Moved] = []
        whence: int | None = 0
        while whence is not None:
            given = {"task": dict(private), "actions": list(actions), "whence": whence}
            said = await server.call_alone("play", given, seconds=seconds, tries=TRIES)
            if said.startswith(_FAILED):
                raise Spoiled(f"the environment's program: {said.removeprefix(_FAILED)}"[:300])
            try:
                page = json.loads(said)
                moves += [checked(*move) for move in page["items"]]
                whence, why = page["next"], page["why"]
            except (ValueError, KeyError, TypeError) as e:
                raise Spoiled("the environment's program answered with what is no episode") from e
        if why or not moves:
            raise Spoiled(str(why or "the environment showed nothing")[:300])
        return moves

    def _refused(self) -> Place:
        """Where the program is, once it is known that it can be talked to there. Raises ConfigError, SandboxError."""
        place = self.place()
        if missing := [f for f in (*self.files(), *self.reads) if not os.path.exists(f)]:
            raise ConfigError(f"there is no {missing[0]!r:.200} for {self.name} to read.", "Mend its path.")
        if place.walls and open_sandbox(place.sandbox, allow_weaker=place.allow_weaker).image is not None:
            raise ConfigError(
                f"{self.name} cannot be talked to in a container, where it would run.",
                "Take another sandbox (bubblewrap, namespaces), or let it run without walls: network = true.",
            )
        return place

    def _read(self, said: str) -> dict[str, Any]:
        if said.startswith(_FAILED):
            why = f"the environment {self} cannot say: {said.removeprefix(_FAILED)}"
            raise DataError(why[:600], "Mend its settings.")
        found: dict[str, Any] = json.loads(said)
        return found


class Course:
    """One episode for who plays it by hand, step by step, outside of an event loop; a run plays by ``elsewhere``."""

    def __init__(self, program: Program) -> None:
        self.program = program

    def reset(self, task: Mapping[str, Any]) -> str:
        self.task, self.actions = dict(task), list[str]()
        return self._last().observation

    def step(self, action: str) -> Moved:
        self.actions.append(action)
        return self._last()

    def _last(self) -> Moved:
        return asyncio.run(self.program.elsewhere(self.task, self.actions, self.program.begins))[-1]


class Seeded(Program):
    """One whose tasks are seeds: what begins the same from two seeds is one task."""

    at_once: ClassVar[int] = 200
    """Seeds of one question to the program."""

    def same(self) -> Any:
        """What makes two tasks of one seed the same: which world it is, and not how it is shown or scored."""
        return self.settings()

    def drawn(self, wanted: Mapping[str, int], seeds: Mapping[str, int]) -> dict[str, list[Task]]:
        """Tasks that differ, by set; no set hangs on the size or the seed of one that is drawn after it.

        Raises DataError where five times as many seeds as are wanted do not hold them.
        """
        self._refused()  # or a file that is not there would be an error of whoever opens it
        world = hash_of(self.name, self.same())[3:15]
        seen: set[str] = set()
        sets: dict[str, list[Task]] = {}
        for name in check_wanted(wanted):
            luck = random.Random(f"{self.name}|{name}|{seeds.get(name, 0)}")
            tried, tasks = 0, list[Task]()
            while len(tasks) < wanted[name]:
                if tried >= 5 * wanted[name] + self.at_once:
                    raise DataError(
                        f"{self.what()} begins in {len(seen):,} ways that differ, of {tried:,} seeds; "
                        f"{sum(wanted.values()):,} tasks are wanted.",
                        f"Ask for fewer{self.hint}.",
                    )
                some = [luck.randrange(2**31) for _ in range(min(self.at_once, 2 * (wanted[name] - len(tasks))))]
                tried += len(some)
                for of in self.pages("tasks", {"seeds": some}):
                    key = f"{self.name}:{world}:{of['key']}"
                    if key not in seen and len(tasks) < wanted[name]:
                        seen.add(key)
                        tasks.append(self.task(key, of))
            sets[name] = tasks
        return {name: sets[name] for name in wanted}

    hint: ClassVar[str] = ""
    """What else to do where there are too few."""

    @abstractmethod
    def task(self, key: str, of: Mapping[str, Any]) -> Task:
        """The task of a seed, of what the program says of it."""

    def choices(self, task: Mapping[str, Any]) -> Sequence[str]:
        return tuple(task.get("choices", ()))


class Rewarded(Program):
    """One whose episodes have a reward of any size: the score is its place on the scale from ``lowest`` to
    ``highest``."""

    lowest: float = Field(default=0.0, allow_inf_nan=False)
    highest: float = Field(default=1.0, allow_inf_nan=False)

    @model_validator(mode="after")
    def _a_scale(self) -> Self:
        if self.highest <= self.lowest:
            raise ValueError(f"highest is {self.highest:g}: it must lie above lowest, which is {self.lowest:g}")
        return self


def _of_interpreter(python: Path) -> list[str]:
    """The folders that an interpreter needs to see: its environment, and the installation that it was made from."""
    prefix = python.absolute().parent.parent
    about = prefix / "pyvenv.cfg"
    if not about.is_file():  # no virtual environment: the installation itself, which may be linked from anywhere
        installed = python.resolve().parent.parent
        return [str(installed)] if list(installed.glob("lib/python3*")) and installed not in _SEEN else []
    lines = about.read_text(encoding="utf-8", errors="replace").splitlines()
    homes = [Path(v.strip()).parent for k, _, v in (line.partition("=") for line in lines) if k.strip() == "home"]
    return [str(prefix), *(str(home) for home in homes if home not in _SEEN)]


def _key_in(value: Any, where: str = "", *, name: str = "") -> str:
    """Where something that looks like a key stands, or nothing. All that is under a name of keys counts (``name``), but
    for numbers, the name of a variable, and a word or a mark, which may be a column's (``answer_key = "answer"``)."""
    if isinstance(value, Mapping):
        for key, held in value.items():
            below = f"{where}.{key}" if where else str(key)
            if found := _key_in(held, below, name=str(key) if _OF_KEYS.search(str(key)) else name):
                return found
        return ""
    if isinstance(value, (list, tuple)):
        return next((found for v in value if (found := _key_in(v, where, name=name))), "")
    if isinstance(value, str) and like_a_key(value):
        return where
    if not name or value is None or isinstance(value, bool) or value == "":
        return ""
    if isinstance(value, (int, float)):
        return where if _OF_PASSWORDS.search(name) else ""
    plain = _A_WORD.fullmatch(str(value)) or VARIABLE.fullmatch(str(value))
    return "" if plain and not _OF_PASSWORDS.search(name) else where
