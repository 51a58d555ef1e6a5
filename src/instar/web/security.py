"""What keeps the live page private and harmless: who may ask, for what, and what a browser may do with the answer.

A run's texts are somebody's data. The page has no password, so it is for this machine alone unless its owner says
otherwise; and a web site that makes its own name point to 127.0.0.1 (DNS rebinding) is told apart by the Host header.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from instar.errors import ConfigError

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src data: blob:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": CSP,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


def is_loopback(host: str) -> bool:
    """Whether a host to bind is this machine alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def refuse_open_bind(host: str, allowed: bool) -> None:
    """Raises ConfigError for a host that other machines reach, unless that was asked for."""
    if not is_loopback(host) and not allowed:
        raise ConfigError(
            f"{host!r} can be reached from other machines, and the page shows your runs without a password.",
            "Keep 127.0.0.1 (through ssh: ssh -L 8765:127.0.0.1:8765 THIS_MACHINE), or add --allow-remote.",
        )


def hosts_for(host: str) -> frozenset[str]:
    """The names a browser may call this server by; one that listens everywhere is called by any address, not name."""
    return LOOPBACK | {host.lower()}


class Guard:
    """Answers GET and HEAD from known hosts alone, and puts the security headers on every answer."""

    def __init__(self, app: ASGIApp, hosts: frozenset[str], any_address: bool = False) -> None:
        self.app, self.hosts, self.any_address = app, hosts, any_address

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                ours = [(k.encode(), v.encode()) for k, v in HEADERS.items()]
                message["headers"] = [*(h for h in message["headers"] if h[0].decode() not in HEADERS), *ours]
            await send(message)

        said = [v.decode("latin-1") for k, v in scope["headers"] if k == b"host"]
        if len(said) != 1 or not self.knows(name_of(said[0])):
            await _refuse(send_with_headers, 421, "This server does not answer to that name.")
        elif scope["method"] not in ("GET", "HEAD"):
            await _refuse(send_with_headers, 405, "This page is for reading only.")
        else:
            await self.app(scope, receive, send_with_headers)

    def knows(self, host: str) -> bool:
        """Whether a Host header names this server."""
        return host in self.hosts or (self.any_address and _is_address(host))


def name_of(host: str) -> str:
    """A Host header without its port and brackets, in lower case."""
    host = host.strip().lower()
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.rpartition(":")[0] if host.count(":") == 1 else host


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


async def _refuse(send: Send, status: int, text: str) -> None:
    headers = [(b"content-type", b"text/plain; charset=utf-8")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": text.encode()})
