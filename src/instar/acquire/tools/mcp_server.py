"""Servers of tools, kept running for all who call them: in an event loop of their own, whatever loop calls.

One server process serves all calls of a run's process. It is begun anew where it ended or hung; a call that was in
flight as it ended is made again by itself where it has no effects.
"""

from __future__ import annotations

import asyncio
import atexit
import json
import logging
import threading
import time
from collections.abc import Coroutine, Mapping
from typing import Any, TypeVar

from instar.acquire.tools.mcp_wire import LARGEST, Heard, Place, wire
from instar.errors import ConfigError, InstarError, SandboxError
from instar.legible import said, storable
from instar.records import ToolSpec

BEGINS = 60.0
"""Seconds in which a server must have said which tools it has."""
BEGUN_IN_VAIN = 3
"""Times in a row that a server is begun in vain before others are spared the wait: then once in ``BEGINS``."""
LONGEST = 20_000
"""Characters of a result that are handed on; what a model is shown of it is far less."""
LONGEST_ABOUT = 1_000
LARGEST_SCHEMA = 20_000
MOST_TOOLS = 1_000
T = TypeVar("T")
# what a server says wrongly is told by us; its client would print it with a traceback where nobody set up logging
logging.getLogger("mcp").addHandler(logging.NullHandler())


class ServerFailed(Exception):
    """A server that ended, hung, or spoke otherwise than the protocol; ``str`` of it is why."""


class _Loop:
    """An event loop in a thread of its own: the servers live in it."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, name="instar-mcp", daemon=True)
        self._thread.start()

    async def do(self, work: Coroutine[Any, Any, T]) -> T:
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self.loop))

    def result(self, work: Coroutine[Any, Any, T], seconds: float | None = None) -> T:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(seconds)


_MADE: dict[Place, Server] = {}
_LOCK = threading.Lock()
_loop: _Loop | None = None


def server_at(place: Place) -> Server:
    """The server at a place, which is begun when it is first asked for something."""
    global _loop
    with _LOCK:
        if _loop is None:
            _loop = _Loop()
            atexit.register(close_all)
        if place not in _MADE:
            _MADE[place] = Server(place, _loop)
        return _MADE[place]


def close_all() -> None:
    """End all servers. Those that are asked afterwards are begun again."""
    with _LOCK:
        servers = list(_MADE.values())
        _MADE.clear()
    for server in servers:
        server.close()


class Server:
    """One server, its session, and what it offers."""

    def __init__(self, place: Place, loop: _Loop) -> None:
        self.place, self._loop = place, loop
        self._session: _Session | None = None
        self._tools: Mapping[str, ToolSpec] | None = None
        self._turn: asyncio.Lock | None = None
        self._one: asyncio.Lock | None = None
        self._failed, self._waits = 0, 0.0
        self._why: BaseException = ServerFailed("")

    def rested(self) -> Server:
        """Itself, to be begun again however often it could not be."""
        self._failed = 0
        return self

    def tools(self) -> Mapping[str, ToolSpec]:
        """What it offers, by name, as it said when it was first asked. Begins it.

        Raises ConfigError where it cannot be begun, or says no tools.
        """
        if self._tools is None:
            try:
                self._tools = self.listed()
            except ServerFailed as e:
                raise ConfigError(
                    f"the tool server {self.place} cannot be asked for its tools: {e}.",
                    "Look whether it is there, and speaks MCP over HTTP at this path."
                    if self.place.url
                    else "Start it by hand and look; name folders that it reads with reads = [...], and let it use the "
                    "network with network = true.",
                ) from e
        return self._tools

    def listed(self) -> Mapping[str, ToolSpec]:
        """What it offers now. Begins it. Raises ServerFailed where it cannot be begun, or says no tools."""
        return self._loop.result(self._listed())

    async def call(self, tool: str, given: Mapping[str, Any], *, seconds: float, tries: int) -> str:
        """What a tool says to a call; a failure in words, beginning with "error: "."""
        return await self._loop.do(self._called(tool, given, seconds, tries))

    async def call_alone(self, tool: str, given: Mapping[str, Any], *, seconds: float, tries: int) -> str:
        """As ``call``, of a server that does one thing at a time: none waits behind another within its ``seconds``."""
        return await self._loop.do(self._called_alone(tool, given, seconds, tries))

    def ask(self, tool: str, given: Mapping[str, Any], *, seconds: float) -> str:
        """As ``call``, for those who do not run in a loop."""
        return self._loop.result(self._called_alone(tool, given, seconds, 1))

    def close(self) -> None:
        """End it."""
        try:
            self._loop.result(self._ended(), 10)
        except (TimeoutError, RuntimeError):
            return  # it dies with this process

    async def _listed(self) -> Mapping[str, ToolSpec]:
        return (await self._open()).tools

    async def _open(self) -> _Session:
        """The session at hand, or a new one."""
        self._turn = self._turn or asyncio.Lock()
        async with self._turn:
            if self._session is None or self._session.over:
                if self._failed >= BEGUN_IN_VAIN and time.monotonic() < self._waits:
                    raise self._why
                self._session = _Session(self.place)
                try:
                    await self._session.begun()
                except BaseException as e:
                    self._session.leave()
                    self._session = None
                    if isinstance(e, ServerFailed | InstarError):
                        self._failed, self._waits, self._why = self._failed + 1, time.monotonic() + BEGINS, e
                    raise
                self._failed = 0
            return self._session

    async def _called_alone(self, tool: str, given: Mapping[str, Any], seconds: float, tries: int) -> str:
        self._one = self._one or asyncio.Lock()
        async with self._one:
            try:
                return await self._called(tool, given, seconds, tries, LARGEST)
            except asyncio.CancelledError:  # what nobody waits for any more may hang, and the next would wait behind it
                if self._session is not None:
                    self._leave(self._session)
                raise

    async def _called(
        self, tool: str, given: Mapping[str, Any], seconds: float, tries: int, longest: int = LONGEST
    ) -> str:
        why = ""
        for more in reversed(range(tries)):
            try:
                session = await self._open()
                return await session.call(tool, given, seconds, longest)
            except TimeoutError:
                if session.over and more:  # another call hung it, and this one may only have waited behind that
                    continue
                self._leave(session)
                return f"error: timed out after {seconds:g} s"
            except ServerFailed as e:
                why = str(e)
                if self._session is not None:
                    self._leave(self._session)
            except SandboxError:
                raise
            except InstarError as e:
                return f"error: {e.message}"
        return f"error: the tool server failed: {why}"

    def _leave(self, session: _Session) -> None:
        session.leave()
        if self._session is session:
            self._session = None

    async def _ended(self) -> None:
        if self._session is not None:
            self._session.leave()
            await asyncio.wait([self._session.task], timeout=8)
            self._session = None


class _Session:
    """A connection to a server, from its beginning to its end, in a task of its own: what was opened in a task must be
    closed in it."""

    def __init__(self, place: Place) -> None:
        self.place, self.heard = place, Heard()
        self.tools: Mapping[str, ToolSpec] = {}
        self._client: Any = None
        self._users, self._left = 0, False
        self._begun: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._stop = asyncio.Event()
        self.task = asyncio.create_task(self._run())

    @property
    def over(self) -> bool:
        """Whether nothing more can be asked of it."""
        return self._left or self.heard.over or self.task.done()

    async def begun(self) -> None:
        """Wait until it has said its tools. Raises ServerFailed, InstarError."""
        try:
            await asyncio.wait_for(asyncio.shield(self._begun), seconds := self.place.begins or BEGINS)
        except TimeoutError:
            raise ServerFailed(f"it said nothing for {seconds:g} s") from None

    def leave(self) -> None:
        """Take no more calls, and end it when those in flight have ended."""
        self._left = True
        if not self._users:
            self._stop.set()
            if not self._begun.done():
                self.task.cancel()

    async def call(self, tool: str, given: Mapping[str, Any], seconds: float, longest: int) -> str:
        """Raises TimeoutError, ServerFailed."""
        from mcp import MCPError

        self._users += 1
        try:
            async with asyncio.timeout(seconds):
                return _text(await self._client.call_tool(tool, dict(given)), self.place, longest)
        except TimeoutError:
            raise
        except MCPError as e:
            if self.heard.over or self.task.done():
                await asyncio.sleep(0.05)  # its last words may be on their way
                raise ServerFailed(self.heard.reason(self.place)) from e
            return f"error: {storable(self.place.without_keys(said(e)))}"
        except Exception as e:  # a server may answer anything: what the library makes of it is a reason
            if self.heard.over or self.task.done():
                raise ServerFailed(self.heard.reason(self.place)) from e
            return f"error: the tool server answered otherwise than MCP has it ({type(e).__name__})"
        finally:
            self._users -= 1
            if self._left and not self._users:
                self._stop.set()

    async def _run(self) -> None:
        from mcp import Client

        try:
            async with Client(wire(self.place, self.heard), cache=None) as client:
                self._client = client
                self.tools = await _offered(client, self.place)
                self._begun.set_result(None)
                await self._stop.wait()
        except (Exception, asyncio.CancelledError) as e:
            if not self._begun.done():
                self._begun.set_exception(_reason(e, self.heard, self.place))
                self._begun.exception()  # seen, where nobody waits any more
        finally:
            self.heard.over = True


def _reason(error: BaseException, heard: Heard, place: Place) -> BaseException:
    """Why a session did not begin."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, InstarError):
        return error
    if heard.over or heard.why:
        return ServerFailed(heard.reason(place))
    return ServerFailed(f"{type(error).__name__}: {place.without_keys(said(error))}"[:500])


async def _offered(client: Any, place: Place) -> Mapping[str, ToolSpec]:
    """All tools that it lists, their words cut to what a prompt can bear."""
    found: dict[str, ToolSpec] = {}
    cursor: str | None = None
    while len(found) < MOST_TOOLS:
        page, before = await client.list_tools(cursor=cursor), len(found)
        for t in page.tools:
            schema = place.without_keys(json.dumps(t.input_schema, ensure_ascii=False))
            if len(schema) <= LARGEST_SCHEMA:
                about = place.without_keys(" ".join((t.description or t.title or t.name).split()))[:LONGEST_ABOUT]
                found[t.name] = ToolSpec(name=storable(t.name), about=storable(about), parameters=storable(schema))
        cursor = page.next_cursor
        if not cursor or len(found) == before:  # nothing new: it would go on so without an end
            break
    return found


def _text(result: Any, place: Place, longest: int) -> str:
    """A result in words: its texts, what else it holds by its kind; untrusted."""
    parts = [
        p.text if getattr(p, "type", "") == "text" else f"({getattr(p, 'type', 'something')})" for p in result.content
    ]
    if not parts and result.structured_content is not None:
        parts = [json.dumps(result.structured_content, ensure_ascii=False, default=str)]
    text = storable(place.without_keys("\n".join(parts)))[:longest]
    return f"error: {text}" if result.is_error else text
