"""A tiny chat server on loopback, with real sockets: it says what a test tells it to, and notes what it was sent."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Answer = tuple[int, Mapping[str, str], bytes]


def saying(*texts: str, finish: str | None = "stop", usage: Any = "counted") -> Answer:
    """A good answer with these choices, three tokens a word of prompt and reply."""
    choices = [
        {"index": i, "message": {"role": "assistant", "content": t}, "finish_reason": finish}
        for i, t in enumerate(texts)
    ]
    counted = {"prompt_tokens": 7, "completion_tokens": sum(3 * len(t.split()) for t in texts)}
    said: dict[str, Any] = {"object": "chat.completion", "choices": choices}
    if usage is not None:
        said["usage"] = counted if usage == "counted" else usage
    return 200, {}, json.dumps(said).encode()


def refusing(status: int, message: str = "no", **headers: str) -> Answer:
    """An error as these APIs give it. ``retry_after`` becomes the header of that name."""
    named = {k.replace("_", "-"): v for k, v in headers.items()}
    return status, named, json.dumps({"error": {"message": message}}).encode()


@dataclass
class ChatServer:
    """What the server does (``answer``, given what it was sent), and what it saw."""

    answer: Callable[[dict[str, Any]], Answer]
    models: tuple[str, ...] | None = ("small", "large")
    url: str = ""
    sent: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    most: int = 0
    """Requests that were under way at one time."""
    _now: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def seen(self, body: dict[str, Any], headers: dict[str, str]) -> Answer:
        """Note a request and answer it."""
        with self._lock:
            self.sent.append(body)
            self.headers.append(headers)
            self.times.append(time.monotonic())
            self._now += 1
            self.most = max(self.most, self._now)
        try:
            return self.answer(body)
        finally:
            with self._lock:
                self._now -= 1


@contextmanager
def serving(answer: Callable[[dict[str, Any]], Answer], **more: Any) -> Iterator[ChatServer]:
    """A server that listens while the block runs."""
    chat = ChatServer(answer, **more)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = 2**16  # head and body in one packet: else the second waits for the first to be acknowledged

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if self.path != "/v1/chat/completions":
                return self._say(refusing(404, "no such page"))
            return self._say(chat.seen(body, dict(self.headers)))

        def do_GET(self) -> None:
            if self.path != "/v1/models" or chat.models is None:
                return self._say(refusing(404, "no such page"))
            return self._say((200, {}, json.dumps({"data": [{"id": m} for m in chat.models]}).encode()))

        def _say(self, answer: Answer) -> None:
            status, headers, body = answer
            try:
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
            except OSError:
                self.close_connection = True  # who asked has gone

        def log_message(self, *_: Any) -> None:
            """Silent."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    chat.url = f"http://127.0.0.1:{server.server_port}/v1"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield chat
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
