"""What a run is to remember from its start is there, and holds nothing that it will be examined on."""

from __future__ import annotations

from collections.abc import Iterator

from instar.app.memories import leaking, root_of
from instar.app.preflight.seen import SHOWN, Seen
from instar.app.storage.paths import artefacts
from instar.errors import DataError, InstarError
from instar.memory import kept


def leaks(seen: Seen) -> Iterator[InstarError]:
    """Notes that repeat a task which is held out, by id: a reason that quoted one would tell the task."""
    said = seen.plan.run.memory
    if said is None:
        return
    held_out = [t.question for name, tasks in seen.sets.items() if name != "train" for t in tasks]
    found = leaking(kept.read(artefacts(), root_of(said)), held_out)
    if found:
        some = ", ".join(id.split(":")[-1][:8] for id in found[:SHOWN])
        yield DataError(
            f"{len(found)} notes of the memory {said} repeat words of tasks that are held out: {some}"
            f"{' and more' if len(found) > SHOWN else ''}.",
            "Export it, leave them out, and import the rest under another name; or take other tasks.",
        )
