"""How long each session of a run worked. A clock may be set while it does; what was measured is believed."""

from __future__ import annotations

from instar.store.ledger import Ledger

ABSURD = 7 * 24 * 3600.0
"""Seconds by which a killed session's time stamps may exceed what it had measured when it finished its last step."""


def seconds_of(ledger: Ledger) -> dict[int, float]:
    """Session to its seconds: measured to its end, or, if it was killed, from its start to its last sign of life."""
    return {id: seconds for id, (seconds, _) in _found(ledger).items()}


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
