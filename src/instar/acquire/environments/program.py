"""An environment of another library, played in a program of its own: in the interpreter that has the library."""

from __future__ import annotations

import inspect
import json
import random
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
from instar.acquire.tools.mcp_server import BEGINS, ServerFailed, server_at
from instar.acquire.tools.mcp_wire import LIMITS, Place
from instar.errors import ConfigError, DataError
from instar.protocols import Environment, Episode, Moved
from instar.records import Task, hash_of
from instar.sandbox import open_sandbox

_FOLDER = Path(__file__).parent / "bridges"
"""Programs, and no modules of instar: they run in an interpreter that does not have it, and import nothing of it."""
_FAILED = "error: "


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
        if like_a_key(json.dumps(self.settings())) or any(like_a_key(v) for v in _texts(self.settings())):
            raise ValueError(
                "what looks like a key stands in the settings, and would be stored with the run; name the environment "
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
        files = [str(Path(f).resolve()) for f in self.files()]
        command = (str(python or "python"), "-I", str(_FOLDER / "serve.py"), str(_FOLDER / self.world))
        given = json.dumps(self.settings(), sort_keys=True)
        reads = (*seen, *files, *self.reads)
        return Place((*command, given), "", reads, self.network, self.env, disk=self.disk)

    def __str__(self) -> str:
        """In words, for the one who starts it."""
        place = self.place()
        return f"{self.what()} of {self.name}: {replace(place, command=place.command[:1])}"

    @abstractmethod
    def what(self) -> str:
        """Which environment it is."""

    def episode(self) -> Episode:
        raise NotImplementedError(f"{self.name} is played in its own program, not in this process")

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
                "it reads with reads = [...], and let it use the network with network = true.",
            ) from e
        return self._read(server.ask(what, given, seconds=BEGINS))

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
        place = self.place()
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


class Seeded(Program):
    """One whose tasks are seeds: what begins the same from two seeds is one task."""

    at_once: ClassVar[int] = 500
    """Seeds of one question to the program, which has a minute for it."""

    def drawn(self, wanted: Mapping[str, int], seeds: Mapping[str, int]) -> dict[str, list[Task]]:
        """Tasks that differ, by set. Raises DataError where five times as many seeds do not hold them."""
        check_wanted(wanted)
        total = sum(wanted.values())
        luck = random.Random(f"{self.name}|{sorted(seeds.items())}")
        tasks: dict[str, Task] = {}
        tried: set[int] = set()
        while len(tasks) < total:
            if len(tried) >= 5 * total + self.at_once:
                raise DataError(
                    f"{self.what()} begins in {len(tasks):,} ways that differ, of {len(tried):,} seeds; "
                    f"{total:,} tasks are wanted.",
                    f"Ask for fewer{self.hint}.",
                )
            some = [s for s in luck.sample(range(2**31), self.at_once) if s not in tried][: 2 * (total - len(tasks))]
            tried.update(some)
            for of in self.pages("tasks", {"seeds": some}):
                key = f"{self.name}:{hash_of(self.name, self.settings())[3:15]}:{of['key']}"
                tasks.setdefault(key, self.task(key, of))
        rest = iter(tasks.values())
        return {name: [next(rest) for _ in range(wanted[name])] for name in wanted}

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
    lines = about.read_text(encoding="utf-8", errors="replace").splitlines() if about.is_file() else []
    homes = [Path(v.strip()).parent for k, _, v in (line.partition("=") for line in lines) if k.strip() == "home"]
    return [str(prefix), *(str(home) for home in homes if home not in (Path("/usr"), Path("/")))]


def _texts(value: Any) -> list[str]:
    if isinstance(value, Mapping):
        return [t for k, v in value.items() for t in (f"{k}={v}" if isinstance(v, str) else "", *_texts(v))]
    if isinstance(value, (list, tuple)):
        return [t for v in value for t in _texts(v)]
    return [value] if isinstance(value, str) else []
