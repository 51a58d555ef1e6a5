"""Every slot of the loop by its name."""

from __future__ import annotations

from instar.protocols.environment import Environment
from instar.protocols.op import Op
from instar.protocols.slots import (
    Attempt,
    Audit,
    Choose,
    Correct,
    Create,
    Filter,
    Gate,
    Judge,
    Pairing,
    Predict,
    Propose,
    Replay,
    Solve,
    Source,
    Watch,
)
from instar.protocols.tool import Tool
from instar.protocols.update import Update

SLOTS: dict[str, type[Op]] = {
    c.slot: c
    for c in (
        Choose, Source, Propose, Create, Solve, Judge, Attempt, Filter, Correct, Update, Gate, Predict, Watch, Audit,
        Tool, Environment, Pairing, Replay,
    )
}  # fmt: skip
