"""How long each session of a run worked. A clock may be set while it does; what was measured is believed."""

from __future__ import annotations

from collections.abc import Callable

from instar.store.ledger import Ledger

ABSURD = 7 * 24 * 3600.0
"""Seconds by which a killed session's time stamps may exceed what it had measured when it finished its last step."""


def seconds_of(ledger: Ledger) -> dict[int, float]:
    """Session to its seconds: measured to its end, or, if it was killed, from its start to its last sign of life."""
    return {id: seconds for id, (seconds, _) in _found(ledger).items()}


def worked(ledger: Ledger, now: float) -> Callable[[float], float]:
    """Seconds that the run's sessions had worked when it was such a time of day: what lies between a session's end and
    the next one's beginning is nobody's pace. The last one works until ``now``, if it says so."""
    sessions = ledger.rows("sessions")
    spans: list[tuple[float, float]] = [(s["started"], s["ended"] or s["started"]) for s in sessions]
    if sessions and sessions[-1]["status"] == "running":
        spans[-1] = spans[-1][0], max(now, spans[-1][0])

    def seconds(at: float) -> float:
        return sum(max(0.0, min(at, end) - start) for start, end in spans)

    return seconds


def clock_jumped(ledger: Ledger) -> bool:
    """Whether the time stamps of a session contradict what it measured."""
    return any(odd for _, odd in _found(ledger).values())


def _found(ledger: Ledger) -> dict[int, tuple[float, bool]]:
    measured: dict[int, float] = {}
    for span in ledger.rows("spans"):
        measured[span["session"]] = measured.get(span["session"], 0.0) + span["seconds"]
    out = {}
    for s in ledger.rows("sessions"):
        known = max(0.0, measured.get(s["id"], 0.0))
        stamped = (s["ended"] or s["started"]) - s["started"]
        odd = stamped < -1.0 or stamped > known + ABSURD
        whole = s["status"] != "running" and s["id"] in measured  # its last measure was made at its end
        out[s["id"]] = (known if whole or odd else max(known, stamped), odd)
    return out
