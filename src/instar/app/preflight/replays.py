"""Whether what a replay brings is free of what is held out: its files are read, and no token is spent."""

from __future__ import annotations

from collections.abc import Iterator

from instar.app.preflight.seen import Seen
from instar.errors import InstarError
from instar.protocols import Replay
from instar.run.replaying import refuse_held_out


def held_out(seen: Seen) -> Iterator[InstarError]:
    """A file whose rows stand in dev, gate, sealed or a suite. Nothing of them is said."""
    sets = {name: tasks for name, tasks in seen.sets.items() if name != "train"}
    for op in seen.plan.ops():
        if isinstance(op, Replay):
            try:
                refuse_held_out(op, sets)
            except InstarError as e:
                yield e
