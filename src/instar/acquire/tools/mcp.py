"""A tool of a server that speaks MCP, the Model Context Protocol: a program that is started, or a URL.

Specification: https://modelcontextprotocol.io/specification, tools. The client is the package ``mcp``.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar, Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, model_validator

from instar.acquire.feedback.pool import TRIES
from instar.acquire.tools.mcp_server import server_at
from instar.acquire.tools.mcp_wire import Place
from instar.errors import ConfigError, SandboxError
from instar.legible import said
from instar.protocols import Bench, Tool
from instar.records import Task, ToolSpec
from instar.sandbox import open_sandbox

VARIABLE = re.compile(r"[A-Z][A-Z0-9_]*")
_LIKE_A_KEY = re.compile(
    r"(?i)(key|token|secret|passw(or)?d|credential)s?[=:]\s*\S|authorization:\s*(?!\$\{)\S|\w+://[^/\s:@]*:[^/\s@]+@|^bearer\s"
    r"|(?:^|[=:\"'])(?:(?:sk|pk|rk|gh[opsu]|glpat|xox[abps])[-_]\w{10}|hf_\w{10}|(?:A[KS]IA)[A-Z0-9]{12}|eyJ[\w-]{20}"
    # of the providers whose keys have more hyphens, or beginnings that names of programs have too: no digit is in these
    r"|sk-(?:proj|ant|or|svcacct|admin)-[\w-]{10}|(?:github_pat|gsk|npm|r8|xai|pypi|pplx|lin_api|tvly)[-_](?=\w*\d)\w{20}"
    r"|AIza[\w-]{30}|xapp-\d-)"
)
MOST_STEPS = 20_000
"""Rules of a schema that are looked at in one check, about half a second."""
_HERE = ("localhost", "127.0.0.1", "::1")


class Anything(BaseModel):
    """Arguments as they are: the server's own schema says what they must be."""

    model_config = ConfigDict(extra="allow")


class Mcp(Tool):
    """``tool`` of the server that ``command`` starts, or that is at ``url``. The server's other tools are not offered.

    A program runs in the sandbox: without network, with an empty environment, and of the host's files it sees those
    that the command names, the folders of ``reads``, the Python that instar runs with, and the system's programs. With
    ``network`` it runs as any program of yours, without walls, and is given the variables that ``env`` names, and no
    others. A server at a URL is sent the key in the variable that ``key`` names, where there is one.

    Arguments are checked against the server's schema before it is asked. A server that hangs, ends, says too much or
    speaks otherwise than the protocol is a failed call, in words, and is begun anew for the next.

    Raises:
        ConfigError: both or neither of command and URL; a key in either; the server offers no such tool.
        SandboxError: it needs a sandbox, and this machine has none.
    """

    name: ClassVar[str] = "mcp"
    takes: ClassVar[type[BaseModel]] = Anything
    where: ClassVar[Literal["here", "process", "sandbox"]] = "process"

    tool: str = Field(min_length=1, max_length=200)
    command: tuple[str, ...] = ()
    url: str = ""
    reads: tuple[str, ...] = ()
    network: bool = False
    env: tuple[str, ...] = ()
    key: str = ""

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if bool(self.command) == bool(self.url):
            raise ValueError('a server is a program to start (command = ["python", "server.py"]) or a url: one of them')
        told = [f"{a}={b}" for a, b in pairwise(self.command) if a.startswith("-") and not re.match(r"-|\d{1,5}$", b)]
        if any(like_a_key(part) or "\0" in part for part in (*self.command, *told)) or _unfit(self.url):
            raise ValueError(
                "what looks like a key stands in the command or the URL, and would be stored with the run; name the "
                "environment variable that holds it: env = [...] of a program with network = true, key = of a url"
            )
        if self.url and (self.reads or self.network or self.env):
            raise ValueError("reads, network and env are of a program that is started, not of a url")
        if self.env and not self.network:
            raise ValueError("a program in the sandbox is given no variables: env needs network = true")
        if self.key and not self.url:
            raise ValueError("key is of a url; a program is given what env names")
        bad = [name for name in (*self.env, *([self.key] if self.key else [])) if not VARIABLE.fullmatch(name)]
        if bad:
            raise ValueError("env and key are names of environment variables (capitals, digits, _), not what they hold")
        parts = urlsplit(self.url)
        if self.key and parts.scheme != "https" and parts.hostname not in _HERE:
            raise ValueError("the key would go over the network unencrypted: use https://")
        return self

    @property
    def called(self) -> str:
        return self.tool

    @property
    def spec(self) -> ToolSpec:
        return self._offered(self.place(Bench()))

    def own_source(self) -> str:
        """This class and the files that the command names: what the server does is what the tool does."""
        files = [Path(part) for part in self.command[1:] if part.endswith((".py", ".js", ".ts", ".sh"))]
        read = [f.read_text(encoding="utf-8", errors="replace") for f in files if f.is_file()]
        return inspect.getsource(type(self)) + "".join(read)

    def place(self, bench: Bench) -> Place:
        """Where its server is."""
        walls = (bench.sandbox, bench.allow_weaker) if self.command and not self.network else ("auto", False)
        return Place(self.command, self.url, self.reads, self.network, self.env, self.key, *walls)

    def prepare(self, tasks: Mapping[str, Sequence[Task]]) -> None:
        """Starts the server, and looks whether it offers the tool."""
        if find_spec("mcp") is None:
            raise ConfigError("the package mcp is needed to call tools of a server.", "pip install 'instar[mcp]'")
        self.refuse(Bench())
        server_at(self.place(Bench())).rested()
        self._offered(self.place(Bench()))

    def refuse(self, bench: Bench) -> None:
        """Raises SandboxError where its server cannot run behind the walls that calls are made behind."""
        place = self.place(bench)
        if place.walls and open_sandbox(place.sandbox, allow_weaker=place.allow_weaker).image is not None:
            raise SandboxError(
                f"a tool server cannot be talked to in a container, where {self.tool} would run.",
                "Take another sandbox (bubblewrap, namespaces), or let it use the network with network = true.",
            )

    def _offered(self, place: Place) -> ToolSpec:
        tools = server_at(place).tools()
        if self.tool not in tools:
            raise ConfigError(
                f"the tool server {place} offers no tool {self.tool!r}.",
                f"It offers: {', '.join(sorted(tools)) or 'none'}.",
            )
        return tools[self.tool]

    async def __call__(self, given: Mapping[str, Any], bench: Bench) -> str:
        place = self.place(bench)
        offered = await asyncio.to_thread(self._offered, place)  # it may have to be begun, and others go on meanwhile
        if wrong := _against(offered.parameters, given):
            return f"error: {wrong}"
        tries = 1 if self.effects else TRIES
        return await server_at(place).call(self.tool, given, seconds=bench.seconds, tries=tries)


def like_a_key(text: str) -> bool:
    """Whether a text looks like a key, a password or a token, which no config may hold."""
    return bool(_LIKE_A_KEY.search(text))


def _unfit(url: str) -> bool:
    if not url:
        return False
    parts = urlsplit(url)
    told = bool(parts.query) or any(map(like_a_key, (*parts.path.split("/"), parts.fragment)))
    return parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc or told


class _Steps:
    """Of a schema's rules, how many more may be looked at in one check: a few that refer to each other ask for more
    than anybody can look at."""

    def __init__(self) -> None:
        self.left = 0

    def counted(self, rule: Callable[..., Any]) -> Callable[..., Any]:
        def check(*given: Any) -> Any:
            self.left -= 1
            if self.left < 0:
                raise TimeoutError("the schema asks for too much")
            return rule(*given)

        return check


@lru_cache(maxsize=256)
def _checker(parameters: str) -> tuple[Any, _Steps]:
    """What checks arguments by a schema of JSON. It fetches nothing that the schema refers to."""
    from jsonschema.validators import extend, validator_for
    from referencing import Registry

    schema, steps = _without_patterns(json.loads(parameters)), _Steps()
    kind = validator_for(schema)
    bounded = extend(kind, {name: steps.counted(rule) for name, rule in kind.VALIDATORS.items()})
    return bounded(schema, registry=Registry()), steps


def _without_patterns(schema: Any, named: bool = False) -> Any:
    """A schema without its regular expressions: a server's may take years on a model's text. ``named``: the keys are
    names of arguments, and no keywords."""
    if isinstance(schema, list):
        return [_without_patterns(s) for s in schema]
    if not isinstance(schema, dict):
        return schema
    gone = set()
    if not named:
        gone = {k for k in ("enum", "const") if k in schema and _without_patterns(schema[k]) != schema[k]}
        if "patternProperties" in schema:  # else what only these allowed would be refused
            gone |= {"patternProperties", "additionalProperties", "unevaluatedProperties"}
    return {
        k: _without_patterns(v, not named and k == "properties")
        for k, v in schema.items()
        if k not in gone and not (k == "pattern" and isinstance(v, str))
    }


def _against(parameters: str, given: Mapping[str, Any]) -> str:
    """What is wrong with the arguments of a call by the server's schema; nothing where they fit, or no one can say."""
    try:
        checker, steps = _checker(parameters)
        steps.left = MOST_STEPS
        wrong = sorted(checker.iter_errors(dict(given)), key=lambda e: list(map(str, e.path)))[:3]
    except Exception:  # a schema that is none, or asks for too much: the server itself knows what it takes
        return ""
    return "; ".join(f"{'.'.join(map(str, e.path)) or 'the arguments'}: {said(e).splitlines()[0][:200]}" for e in wrong)
