"""One request to a server and its answer: bounded, timed, tried again where that helps, and never trusted."""

from __future__ import annotations

import asyncio
import json
import math
import random
import threading
import time
from collections.abc import Coroutine, Mapping
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

from instar.engines.remote.address import Address
from instar.engines.remote.key import Key
from instar.errors import EngineError, ModelError
from instar.legible import storable

LARGEST = 16_000_000
"""Bytes of an answer; a server that sends more is not listened to."""
QUOTED = 300
"""Characters that an error quotes of what a server said."""
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0
PATIENCE = 120.0
"""Seconds of Retry-After that are waited; a server that asks for more is given up for now."""
AGAIN = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})
"""Statuses after which the same request may be answered."""
T = TypeVar("T")


class Refused(EngineError):
    """A server answered, and not with what was asked for. ``said`` is its own reason, without the key."""

    def __init__(self, message: str, hint: str = "", *, status: int, said: str = "", transient: bool = False) -> None:
        super().__init__(message, hint, transient=transient)
        self.status, self.said = status, said
        self.wait: float | None = None
        """Seconds that the server asks to be left alone."""


class Loop:
    """An event loop in a thread of its own. Connections live in it, whatever loop asks and however often one ends."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="instar-openai", daemon=True)
        self._thread.start()

    async def do(self, work: Coroutine[Any, Any, T]) -> T:
        """Its result. Cancelled with the one who waits for it."""
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self._loop))

    def result(self, work: Coroutine[Any, Any, T], seconds: float | None = None) -> T:
        """Its result, for one who waits in no loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(seconds)

    def close(self) -> None:
        """End it, and what is under way in it."""
        self.result(_all_given_up(), 10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=10)
        self._loop.close()


async def _all_given_up() -> None:
    others = [t for t in asyncio.all_tasks() if t is not asyncio.current_task()]
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


class Calls:
    """Sends requests, at most ``concurrency`` at a time. Used within one event loop."""

    def __init__(
        self, key: Key, *, concurrency: int, connect_seconds: float, seconds: float, tries: int, plain_http: bool
    ) -> None:
        self.key, self.plain_http, self.tries, self.seconds = key, plain_http, tries, seconds
        self.connect_seconds = connect_seconds
        self._room = asyncio.Semaphore(concurrency)
        self._concurrency = concurrency
        self._clients: dict[bool, Any] = {}

    async def send(self, address: Address, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The JSON object that the server answers with: to a POST of ``body``, to a GET where there is none.

        Raises Refused where the server says no, EngineError where it cannot be reached or talks nonsense; transient
        after the last of ``tries`` attempts at what asking again may mend.
        """
        headers = self.key.headers(address, plain_http=self.plain_http)
        async with self._room:
            for attempt in range(self.tries):
                try:
                    return await self._once(address, path, body, headers)
                except EngineError as e:
                    if not e.transient or attempt == self.tries - 1:
                        raise
                    await asyncio.sleep(_pause(attempt, getattr(e, "wait", None)))
        raise AssertionError("unreachable")

    async def close(self) -> None:
        """Let go of all connections."""
        for client in self._clients.values():
            await client.aclose()
        self._clients.clear()

    async def _once(
        self, address: Address, path: str, body: Mapping[str, Any] | None, headers: Mapping[str, str]
    ) -> dict[str, Any]:
        httpx = _httpx()
        where = f"the server {address.base_url}"
        sent = None if body is None else json.dumps(body).encode()
        # what is packed may be a thousand times as large unpacked
        headers = {**headers, "Content-Type": "application/json", "Accept-Encoding": "identity"}
        try:
            async with asyncio.timeout(self.connect_seconds + self.seconds):
                client = self._client(address)
                method = "GET" if body is None else "POST"
                request = client.stream(method, address.base_url + path, content=sent, headers=headers)
                async with request as response:
                    status, said = response.status_code, await _read(response, where)
                    asked_to_wait = _retry_after(response.headers.get("retry-after"))
        except (TimeoutError, httpx.TimeoutException):
            raise EngineError(
                f"{where} gave no answer in time (openai.connect_seconds is {self.connect_seconds:g}, openai.seconds "
                f"{self.seconds:g}).",
                "Is it at work? Raise these, or lower openai.concurrency.",
                transient=True,
            ) from None
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as e:
            why = self._quoted(str(e)) or type(e).__name__
            lasting = "CERTIFICATE" in why.upper()
            raise EngineError(
                f"{where} cannot be reached: {why}", "Is it running, and is this its URL?", transient=not lasting
            ) from None
        if 200 <= status < 300:
            return self._parsed(said, where)
        raise self._refusal(address, status, said, asked_to_wait)

    def _client(self, address: Address) -> Any:
        """Proxies and certificates of the environment hold for servers elsewhere, never for this machine."""
        here = address.on_this_machine
        if here not in self._clients:
            httpx = _httpx()
            limits = httpx.Limits(max_connections=self._concurrency, max_keepalive_connections=self._concurrency)
            timeout = httpx.Timeout(self.seconds, connect=self.connect_seconds, pool=None)
            self._clients[here] = httpx.AsyncClient(limits=limits, timeout=timeout, trust_env=not here)
        return self._clients[here]

    def _quoted(self, text: str) -> str:
        return storable(self.key.out_of(" ".join(text[: 20 * QUOTED].split()))[:QUOTED])

    def _parsed(self, said: bytes, where: str) -> dict[str, Any]:
        try:
            value = json.loads(said)
        except (ValueError, RecursionError):
            value = None
        if not isinstance(value, dict):
            quote = self._quoted(said[: 20 * QUOTED].decode("utf-8", "replace"))
            raise EngineError(f"{where} answered with what is no JSON object: {quote!r}.", _IS_IT, transient=True)
        return value

    def _refusal(self, address: Address, status: int, body: bytes, wait: float | None) -> Refused:
        said = self._quoted(_reason(body))
        where = f"the server {address.base_url}"
        reason = f": {said}" if said else "."
        if status in (401, 403):
            variable = self.key.variable or VARIABLE_UNNAMED
            sent = bool(self.key.headers(address, plain_http=True))
            what = f"refuses the key in {variable}" if sent else f"wants a key, and {variable} is not set"
            hint = f"Set {variable} to a key of that server (openai.key names another variable)."
            return Refused(f"{where} {what} ({status}){reason}", hint, status=status, said=said)
        if status == 404:
            hint = "Look at the name of the model; the URL mostly ends in /v1."
            message = f"{where} knows no model {address.model!r}, or nothing is at this URL (404){reason}"
            return Refused(message, hint, status=status, said=said)
        if 300 <= status < 400:
            hint = "Give the URL that it leads to: the key is sent to no other server than the one you name."
            return Refused(f"{where} leads elsewhere ({status}).", hint, status=status, said=said)
        spent = "insufficient_quota" in said or "billing" in said.lower()
        transient = status in AGAIN and not spent and (wait is None or wait <= PATIENCE)
        if status == 429:
            hint = "Wait, or lower openai.concurrency."
            asks = f", for {wait:.0f} seconds" if wait else ""
            what = "says that the account has no credit left" if spent else f"asks to be left alone{asks}"
            refused = Refused(f"{where} {what} (429){reason}", hint, status=status, said=said, transient=transient)
        else:
            refused = Refused(f"{where} answered {status}{reason}", status=status, said=said, transient=transient)
        refused.wait = wait
        return refused


VARIABLE_UNNAMED = "an environment variable that openai.key names"
_IS_IT = "Is it an OpenAI-compatible server, and does its URL end in /v1?"


def _pause(attempt: int, wait: float | None) -> float:
    """Seconds before the next try, never the same for two: those who were refused together do not return together."""
    own = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0**attempt) * random.uniform(0.5, 1.0)
    return own if wait is None else wait + own


def _retry_after(header: str | None) -> float | None:
    """Seconds, of a number or a date; None for none, or one that cannot be read."""
    if header is None:
        return None
    try:
        seconds = float(header)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(header).timestamp() - time.time()
        except (ValueError, OverflowError):
            return None
    return max(0.0, seconds) if math.isfinite(seconds) else None


async def _read(response: Any, where: str) -> bytes:
    encoding = response.headers.get("content-encoding", "identity")
    if encoding.lower() != "identity":
        raise EngineError(f"{where} packs its answers ({encoding[:40]!r}) although it was asked not to.", _IS_IT)
    parts: list[bytes] = []
    size = 0
    async for part in response.aiter_raw():
        size += len(part)
        if size > LARGEST:
            raise EngineError(f"{where} sends more than {LARGEST / 1e6:.0f} MB in one answer.", _IS_IT)
        parts.append(part)
    return b"".join(parts)


def _reason(body: bytes) -> str:
    """Why a server refuses, in its words: what these APIs put under "error", "detail" or "message", else all of it."""
    text = body[: 20 * QUOTED].decode("utf-8", "replace")
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return text
    error = value.get("error", value) if isinstance(value, dict) else value
    if isinstance(error, dict):
        found = [error[k] for k in ("message", "detail", "code") if isinstance(error.get(k), str)]
        return " ".join(dict.fromkeys(found)) or text
    return error if isinstance(error, str) else text


def _httpx() -> Any:
    try:
        import httpx2
    except ImportError:
        raise ModelError(
            "A model on a server needs the package httpx2, which is not installed.",
            "Install it: pip install 'instar[openai]'.",
        ) from None
    return httpx2
