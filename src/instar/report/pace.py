"""How far a run that goes on is, and how long it may still take: from what its own steps took so far."""

from __future__ import annotations

from typing import Any


def pace(steps: list[dict[str, Any]], rounds: int, doing: dict[str, Any] | None, now: float) -> dict[str, Any]:
    """``elapsed`` seconds since the first step began; ``step`` of this round and ``of`` how many (None in the first
    round, where that is not known); ``step_left`` and ``left``, seconds, None where there is nothing to judge by.

    ``left`` is for the rounds, from the mean of those that are over; the exams after the last come on top.
    """
    begun = [s for s in steps if s["started"] is not None]
    out: dict[str, Any] = {"elapsed": None, "step": 0, "of": None, "step_left": None, "left": None}
    if not begun:
        return out
    out["elapsed"] = max(0.0, now - min(s["started"] for s in begun))
    if doing is not None and doing["started"] is not None and doing["done"] >= max(2, doing["items"] // 20):
        took = max(0.0, now - doing["started"])
        out["step_left"] = took / doing["done"] * max(0, doing["items"] - doing["done"])
    current = max((s["round"] for s in begun if s["round"] <= rounds), default=0)
    own = [s for s in begun if s["round"] == current]
    out["step"] = len(own)
    over = {r: [s for s in begun if s["round"] == r] for r in range(1, current)}
    times = [max(s["ended"] or s["started"] for s in o) - min(s["started"] for s in o) for o in over.values() if o]
    if times:
        out["of"] = max(len(own), round(sum(map(len, over.values())) / len(over)))
        one = sum(times) / len(times)
        spent = now - min(s["started"] for s in own)
        out["left"] = max(out["step_left"] or 0.0, one - spent) + one * max(0, rounds - current)
    return out
