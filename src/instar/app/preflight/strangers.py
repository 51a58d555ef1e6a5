"""Programs of others that a plan starts, and servers that it asks: named before any of them is."""

from __future__ import annotations

from instar.acquire.tools.mcp import Mcp
from instar.app.configs.config import Plan
from instar.protocols import Bench


def strangers(plan: Plan) -> list[str]:
    """A line for each server of tools of this plan."""
    servers: dict[str, list[str]] = {}
    for op in plan.ops():
        if isinstance(op, Mcp):
            tools = servers.setdefault(str(op.place(Bench())), [])
            tools += [op.tool] if op.tool not in tools else []
    return [f"{_does(place)} for {', '.join(tools)}: {place}" for place, tools in servers.items()]


def _does(place: str) -> str:
    return "asks a tool server" if place.startswith(("http://", "https://")) else "starts a tool server"
