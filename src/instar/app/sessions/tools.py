"""Tool servers of a run: each session begins them before a token is spent, and they are those the run was made with."""

from __future__ import annotations

import json

from instar.acquire.tools.mcp import Mcp
from instar.app.configs.config import Plan
from instar.errors import CannotContinue
from instar.protocols import Bench, Tool
from instar.records import hash_of
from instar.store.ledger import Ledger

SPECS = "tool_specs"


def same_tools(plan: Plan, ledger: Ledger, accept: bool) -> None:
    """Prepare all tools, and note what servers say of theirs: a model is shown that, and no identity holds it.

    Raises CannotContinue where a server describes a tool otherwise than when this run was made, unless that is
    accepted; InstarError as ``Tool.prepare``.
    """
    now: dict[str, str] = {}
    for op in plan.ops():
        if isinstance(op, Tool):
            op.prepare({})
        if isinstance(op, Mcp):
            spec = op.spec
            now[op.op_id] = hash_of("tool_spec", spec.name, spec.about, spec.parameters)
            was = json.loads(ledger.about().get(SPECS, "{}")).get(op.op_id, now[op.op_id])
            if was != now[op.op_id] and not accept:
                raise CannotContinue(
                    f"the tool server {op.place(Bench())} describes its tools otherwise than when this run was made "
                    f"({op.tool}).",
                    "Start a new run, or continue with --accept-changes: finished calls are kept as they are.",
                )
    if now:
        ledger.set_about(**{SPECS: json.dumps(now)})
