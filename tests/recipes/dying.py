"""A process that kills itself once its run has come so far, with whatever is under way then.

A killer outside it would have to look often enough, and comes too late on a machine that is busy.
"""

from __future__ import annotations

import os
import signal
from typing import Any

from sqlalchemy import func, select

from instar.store import schema as t
from instar.store.ledger import Ledger


def kill_at(count: int) -> None:
    """From now on, end this process once a ledger that it writes holds so many solutions."""
    finish_call = Ledger.finish_call

    async def dies(self: Ledger, *args: Any, **how: Any) -> None:
        await finish_call(self, *args, **how)
        with self._engine.connect() as c:
            held = c.execute(select(func.count()).where(t.records.c.kind == "solution")).scalar_one()
        if held >= count:
            os.kill(os.getpid(), signal.SIGKILL)

    Ledger.finish_call = dies  # type: ignore[method-assign]  # the process is a test's own
