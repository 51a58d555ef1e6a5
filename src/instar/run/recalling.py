"""A recall inside a call: a crossing of kind "recall", with a count of its own, so that it shifts no ask."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from instar.errors import StoreError
from instar.memory.library import Library
from instar.protocols import Found, Query

Cross = Callable[[str, Any, Callable[[], Awaitable[Any]]], Awaitable[Any]]


async def recall(cross: Cross, root: str, query: Query, library: Library) -> list[Found]:
    """What fits in the memory of this root. Journalled are the query with all its limits and the root, and what was
    found as (note, score): the words of a note stand in its memory alone."""

    async def work() -> list[list[Any]]:
        found = await asyncio.to_thread(library.recall, root, query)
        return [[f.note.id, f.score] for f in found]

    asked = {"root": root, **query._asdict(), "kinds": list(query.kinds), "trust": list(query.trust)}
    said = await cross("recall", asked, work)
    if not said:
        return []
    notes = library.notes(root)
    if gone := [id for id, _ in said if id not in notes]:
        raise StoreError(
            f"the memory {root} has no note {gone[0]}, which was recalled from it.",
            "If its person was forgotten (instar memory forget), what was answered with it cannot be told again.",
        )
    return [Found(notes[id], float(score)) for id, score in said]
