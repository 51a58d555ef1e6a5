"""Programs of others that a plan starts, and servers that it asks: named before any of them is."""

from __future__ import annotations

from instar.acquire.environments.program import Program
from instar.acquire.tools.mcp import Mcp
from instar.app.configs.config import Plan
from instar.protocols import Bench


def strangers(plan: Plan) -> list[str]:
    """A line for each server of tools of this plan, and for each environment that is a program of its own."""
    servers: dict[str, list[str]] = {}
    environments: dict[str, None] = {}
    for op in plan.ops():
        if isinstance(op, Mcp):
            tools = servers.setdefault(str(op.place(Bench())), [])
            tools += [op.tool] if op.tool not in tools else []
        if isinstance(op, Program):
            environments[f"starts the environment {op}"] = None
    return [*environments] + [f"{_does(place)} for {', '.join(tools)}: {place}" for place, tools in servers.items()]


def _does(place: str) -> str:
    return "asks a tool server" if place.startswith(("http://", "https://")) else "starts a tool server"
