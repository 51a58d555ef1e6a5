"""What the recipes share that learn from documents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from instar.protocols import Choose, Create
from instar.records import Task
from instar.run.generate import Handle
from instar.run.run import Run


async def asked_of_passages(
    run: Run, goal: Choose, write: Create, seen: Sequence[Task], models: Mapping[str, Handle]
) -> list[Task]:
    """Questions about this round's passages, none of which was ``seen``. What could not be read is noted."""
    passages = run.train_tasks()
    for line in (str(u) for t in passages for u in t.private.get("unread", ())):
        run.note(line)
    objectives = await run.choose(goal, [], 0, len(passages))
    return await run.create(write, objectives, passages, seen, models)
