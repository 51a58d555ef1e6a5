"""How far a run that goes on is, and how long it may still take: from what its own steps took so far."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Row = Mapping[str, Any]
SAMPLED, EXAMINED, TRAINED = ("solve", "attempt"), ("exam",), ("update",)
"""Verbs that take a run's time, by what they do."""


def pace(
    steps: Sequence[Row],
    rounds: int,
    doing: Row | None,
    now: float,
    agenda: Row | None = None,
    *,
    evolved: bool = False,
) -> dict[str, Any]:
    """``elapsed`` seconds since the first step began; ``step`` of this round and ``of`` how many (None in the first
    round, where that is not known); ``step_left``, ``left`` and ``all_left``, seconds, None where there is nothing to
    judge by.

    ``left`` is for the rounds, from the mean of those that are over. ``all_left`` is for the whole run, its last exams
    and its control too, and needs its ``agenda``: what it has to do (see ``whole``).
    """
    begun = [s for s in steps if s["started"] is not None]
    out: dict[str, Any] = {"elapsed": None, "step": 0, "of": None, "step_left": None, "left": None, "all_left": None}
    if not begun:
        return out
    out["elapsed"] = max(0.0, now - min(s["started"] for s in begun))
    if doing is not None and doing["started"] is not None and _tells(doing):
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
    if agenda is not None:
        out["all_left"] = whole(agenda, begun, doing, now, evolved=evolved)
    return out


def whole(agenda: Row, steps: Sequence[Row], doing: Row | None, now: float, *, evolved: bool) -> float | None:
    """Seconds until the run is over: what it has to do and has not done, each at the pace of its own kind so far. None
    before there is a pace.

    ``agenda``: ``rounds``; ``solve`` and ``round_exam``, tasks a round that are sampled and examined; ``end_exam``,
    those examined after the last; ``controls``, trainings after the last; ``samples`` and ``exam_samples`` a task;
    ``training`` and ``checking``, seconds of a training and of a task's checks as foreseen, until the run has its own.
    It is for a run whose every round makes a candidate that is promoted: one that does not is over sooner.
    """
    solving, examining = _pace(SAMPLED, steps, doing, now), _pace(EXAMINED, steps, doing, now)
    if examining is None and solving is not None:
        examining = solving * agenda["exam_samples"] / max(1, agenda["samples"])
    if solving is None and examining is not None:
        solving = examining * agenda["samples"] / max(1, agenda["exam_samples"])
    if solving is None or examining is None:
        return None
    checked = _pace(("judge",), steps, None, now)
    checking = agenda["checking"] if checked is None else checked
    rounds = agenda["rounds"]
    in_rounds = [s for s in steps if 1 <= s["round"] <= rounds]
    current = max((s["round"] for s in in_rounds), default=1)
    own = [s for s in in_rounds if s["round"] == current]
    evolved = evolved or (current == rounds and any(s["verb"] == "gate" and s["finished"] for s in own))
    since = max((s["ended"] or now for s in in_rounds), default=now) if evolved else _first(own, now)
    late = [s for s in steps if s["started"] >= since and s["round"] not in range(1, rounds + 1)]
    examined = _done(EXAMINED, late, doing)
    trainings = [s["ended"] - s["started"] for s in steps if s["verb"] in TRAINED and s["finished"]]
    training = trainings[-1] if trainings else agenda["training"]
    trained: float
    if evolved:
        sampled, exams = 0, max(0, agenda["end_exam"] - examined)
        trained = agenda["controls"] - _done(TRAINED, late, None)
    else:
        more = rounds - current
        sampled = more * agenda["solve"] + max(0, agenda["solve"] - _done(SAMPLED, own, doing))
        exams = max(0, agenda["round_exam"] - examined) + more * agenda["round_exam"] + agenda["end_exam"]
        trained = more + 1 - min(1, _done(TRAINED, own, None)) + agenda["controls"]
    if doing is not None and doing["verb"] in TRAINED and doing["started"] is not None:
        trained -= min(1.0, (now - doing["started"]) / training) if training > 0 else 0.0
    seconds = sampled * solving + exams * examining + (sampled + exams) * checking + max(0.0, trained) * training
    return float(seconds)


def _tells(doing: Row) -> bool:
    """Whether enough of a step is done to judge its pace by."""
    return bool(doing["done"] >= max(2, doing["items"] // 20))


def _first(steps: Sequence[Row], now: float) -> float:
    return min((s["started"] for s in steps), default=now)


def _pace(verbs: Sequence[str], steps: Sequence[Row], doing: Row | None, now: float) -> float | None:
    """Seconds a task of these verbs took so far; None where too few are done."""
    over = [s for s in steps if s["verb"] in verbs and s["finished"] and s["ended"] is not None]
    items, seconds = sum(s["items"] for s in over), sum(s["ended"] - s["started"] for s in over)
    if doing is not None and doing["verb"] in verbs and doing["started"] is not None and _tells(doing):
        items, seconds = items + doing["done"], seconds + max(0.0, now - doing["started"])
    return float(seconds / items) if items else None


def _done(verbs: Sequence[str], steps: Sequence[Row], doing: Row | None) -> int:
    """Tasks of these verbs that are done: in finished steps, and in the one that is being done."""
    done = sum(s["items"] for s in steps if s["verb"] in verbs and s["finished"])
    return int(done + (doing["done"] if doing is not None and doing["verb"] in verbs else 0))
